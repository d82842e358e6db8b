"""What do the operations on many operands cost a weight?

One node each: built, differentiated and dropped again and again, so that every cost of a use is in
it, also that of the graph's disposal. The peer is the same sum made of + and *, node by node.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from operator import mul
from typing import Any

from autograd_bp import Value, compiled, dot, logsumexp, mean, norm, softmax, sum_of
from benchmarks.timing import Lap, Task, interleaved, print_table

SIZES = (10, 100, 1000)
WEIGHTS_A_CALL = 50_000
TARGET = "≤ 4"


def _uses(n: int) -> dict[str, Callable[[], Any]]:
    """Every operation on n operands."""
    rng = random.Random(n)
    weights = [Value(rng.gauss(0.0, 1.0)) for _ in range(n)]
    values = [Value(rng.gauss(0.0, 1.0)) for _ in range(n)]
    numbers = [rng.gauss(0.0, 1.0) for _ in range(n)]
    w, v, x = tuple(weights), tuple(values), tuple(numbers)
    return {
        "dot, Values and numbers: tuples": lambda: dot(w, x),
        "dot, Values and numbers: lists": lambda: dot(weights, numbers),
        "dot, Values and numbers: generators": lambda: dot((wi for wi in w), (xi for xi in x)),
        "dot, Values and Values: tuples": lambda: dot(w, v),
        "dot, Values and Values: lists": lambda: dot(weights, values),
        "sum_of: tuple": lambda: sum_of(w),
        "sum_of: list": lambda: sum_of(weights),
        "mean: tuple": lambda: mean(w),
        "norm: tuple": lambda: norm(w),
        "logsumexp: tuple": lambda: logsumexp(w),
        "softmax: tuple (n nodes)": lambda: dot(softmax(w), x),
        "peer: sum of products (2n nodes)": lambda: sum(map(mul, w, x)),
    }


def _task(use: Callable[[], Any], n: int) -> Task:
    def task(lap: Lap) -> None:
        for _ in range(WEIGHTS_A_CALL // n):
            use()
        lap("forward")
        for _ in range(WEIGHTS_A_CALL // n):
            use().backward()
        lap("both")

    return task


def main() -> None:
    tasks = {(name, n): _task(use, n) for n in SIZES for name, use in _uses(n).items()}
    medians = interleaved(tasks, rounds=7, turn=0.01)

    def nanoseconds(name: str, n: int, stage: str) -> str:
        return f"{1e9 * medians[name, n][stage] / (WEIGHTS_A_CALL // n * n):.1f}"

    rows = []
    for name in _uses(1):
        costs = [nanoseconds(name, n, "both") for n in SIZES]
        target = "" if name.startswith("peer") else TARGET
        rows.append([name, *costs, nanoseconds(name, SIZES[-1], "forward"), target])
    print_table(
        f"Many operands, one node: ns a weight, forward and backward"
        f" ({'compiled' if compiled else 'interpreted'})",
        ["operation", *(f"n = {n}" for n in SIZES), "of it forward", "target, n = 1000"],
        rows,
        "A tuple is kept as it is; a list of nodes is copied, since it may change later; a\n"
        "generator costs what Python takes to run it. logsumexp computes two exponentials a\n"
        "weight, norm a division and a sum of squares.",
    )


if __name__ == "__main__":
    main()
