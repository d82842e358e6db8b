"""What do the operations on many operands cost a weight?

One node each: built, differentiated and dropped again and again, so that every cost of a use is in
it, also that of the graph's disposal. A weight is an operand that gets a gradient. What Python
itself takes to hand the operands over, to make a tuple of a list or to run a generator, is measured
beside it. The peer is the same sum made of + and *, node by node.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from operator import mul
from typing import Any, NamedTuple

from autograd_bp import Value, compiled, dot, logsumexp, mean, norm, softmax, sum_of
from benchmarks.timing import Lap, Task, interleaved, print_table

SIZES = (10, 100, 1000)
PER_CALL = 50_000
TARGET = 4.0


class Use(NamedTuple):
    """An operation on n operands, or on n pairs of them."""

    run: Callable[[], Any]
    handed_over: Callable[[], Any] | None = None
    """What Python does before the operation can begin."""
    weights: int = 1
    """In each pair."""
    has_target: bool = True


def _uses(n: int) -> dict[str, Use]:
    rng = random.Random(n)
    weights = [Value(rng.gauss(0.0, 1.0)) for _ in range(n)]
    values = [Value(rng.gauss(0.0, 1.0)) for _ in range(n)]
    numbers = [rng.gauss(0.0, 1.0) for _ in range(n)]
    w, v, x = tuple(weights), tuple(values), tuple(numbers)
    return {
        "dot, Values and numbers: tuples": Use(lambda: dot(w, x)),
        "dot, Values and numbers: lists": Use(
            lambda: dot(weights, numbers), lambda: tuple(weights)
        ),
        "dot, Values and numbers: generators": Use(
            lambda: dot((wi for wi in w), (xi for xi in x)),
            lambda: (tuple(wi for wi in w), tuple(xi for xi in x)),
        ),
        "dot, Values and Values: tuples": Use(lambda: dot(w, v), None, 2),
        "dot, Values and Values: lists": Use(
            lambda: dot(weights, values), lambda: (tuple(weights), tuple(values)), 2
        ),
        "sum_of: tuple": Use(lambda: sum_of(w)),
        "sum_of: list": Use(lambda: sum_of(weights), lambda: tuple(weights)),
        "mean: tuple": Use(lambda: mean(w)),
        "norm: tuple": Use(lambda: norm(w)),
        "logsumexp: tuple": Use(lambda: logsumexp(w)),
        "softmax: tuple (2n nodes)": Use(lambda: dot(softmax(w), x), has_target=False),
        "peer: sum of products (2n nodes)": Use(lambda: sum(map(mul, w, x)), has_target=False),
    }


def _task(use: Use, n: int) -> Task:
    def task(lap: Lap) -> None:
        for _ in range(PER_CALL // n):
            use.run()
        lap("forward")
        for _ in range(PER_CALL // n):
            use.run().backward()
        lap("both")
        if use.handed_over:
            for _ in range(PER_CALL // n):
                use.handed_over()
        lap("Python's")

    return task


def main() -> None:
    tasks = {(name, n): _task(use, n) for n in SIZES for name, use in _uses(n).items()}
    medians = interleaved(tasks, rounds=7, turn=0.01)
    rows = []
    for name, use in _uses(1).items():

        def nanoseconds(n: int, stage: str, name: str = name, use: Use = use) -> float:
            return 1e9 * medians[name, n][stage] / (PER_CALL // n * n * use.weights)

        n = SIZES[-1]
        whole, pythons = nanoseconds(n, "both"), nanoseconds(n, "Python's")
        rows.append(
            [
                name,
                *(f"{nanoseconds(size, 'both'):.1f}" for size in SIZES),
                f"{nanoseconds(n, 'forward'):.1f}",
                f"{pythons:.1f}" if use.handed_over else "",
                f"{whole - pythons:.1f}" if use.handed_over else f"{whole:.1f}",
                f"≤ {TARGET:.0f}" if use.has_target else "",
            ]
        )
    print_table(
        f"Many operands, one node: ns a weight, forward and backward"
        f" ({'compiled' if compiled else 'interpreted'})",
        [
            "operation", *(f"n = {n}" for n in SIZES), "of it forward", "of it Python's", "ours",
            "target",
        ],
        rows,
        "The last four columns are for n = 1000. A tuple is kept as it is; a list of nodes is\n"
        "copied, since it may change later; a generator costs what Python takes to run it.\n"
        "logsumexp computes two of the C library's exponentials a weight, which take more than\n"
        "4 ns each here, norm a division and a sum of squares.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
