"""What do the operations on many operands cost a weight?

One node each: built, differentiated and dropped again and again, so that every cost of a use is in
it, also that of the graph's disposal. A weight is an operand that gets a gradient. What is not the
engine's is measured beside it: what Python takes to make a tuple of a list or to run a generator,
and the C library for its exponentials. The peer is the same sum made of + and *, node by node.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from operator import mul
from typing import Any, NamedTuple

from autograd_bp import Value, compiled, dot, logsumexp, mean, norm, softmax, sum_of
from benchmarks.timing import Lap, Task, interleaved, print_table

SIZES = (10, 100, 1000)
PER_CALL = 50_000
TARGET = "≤ 4"


class Use(NamedTuple):
    """An operation on n operands, or on n pairs of them."""

    run: Callable[[], Any]
    others: Callable[[], Any] | None = None
    """What Python and the C library do of it."""
    but: Callable[[], Any] | None = None
    """What `others` does besides."""
    weights: int = 1
    """In each pair."""


def _twice(function: Callable[[float], float], numbers: tuple[float, ...]) -> None:
    for _ in range(2):
        deque(map(function, numbers), maxlen=0)


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
        "dot, Values and Values: tuples": Use(lambda: dot(w, v), weights=2),
        "dot, Values and Values: lists": Use(
            lambda: dot(weights, values), lambda: (tuple(weights), tuple(values)), weights=2
        ),
        "sum_of: tuple": Use(lambda: sum_of(w)),
        "sum_of: list": Use(lambda: sum_of(weights), lambda: tuple(weights)),
        "mean: tuple": Use(lambda: mean(w)),
        "norm: tuple": Use(lambda: norm(w)),
        "logsumexp: tuple": Use(  # two exponentials a weight, without Python's own part of a call
            lambda: logsumexp(w),
            lambda: _twice(math.exp, x),
            lambda: _twice(math.fabs, x),
        ),
        "softmax: tuple (2n nodes)": Use(lambda: dot(softmax(w), x)),
        "peer: sum of products (2n nodes)": Use(lambda: sum(map(mul, w, x))),
    }


def _task(use: Use, n: int) -> Task:
    stages: dict[str, Callable[[], Any] | None] = {
        "forward": use.run,
        "both": lambda: use.run().backward(),
        "others": use.others,
        "but": use.but,
    }

    def task(lap: Lap) -> None:
        for stage, run in stages.items():
            if run:
                for _ in range(PER_CALL // n):
                    run()
            lap(stage)

    return task


def main() -> None:
    tasks = {(name, n): _task(use, n) for n in SIZES for name, use in _uses(n).items()}
    medians = interleaved(tasks, rounds=7, turn=0.02)
    rows = []
    for name, use in _uses(1).items():
        costs = {  # in ns a weight
            n: {
                stage: 1e9 * seconds / (PER_CALL // n * n * use.weights)
                for stage, seconds in medians[name, n].items()
            }
            for n in SIZES
        }
        last = costs[SIZES[-1]]
        others = last["others"] - last["but"] if use.others else 0.0
        rows.append(
            [
                name,
                *(f"{costs[n]['both']:.1f}" for n in SIZES),
                f"{last['forward']:.1f}",
                f"{others:.1f}" if use.others else "",
                f"{last['both'] - others:.1f}",
                "" if name.startswith("peer") else TARGET,
            ]
        )
    print_table(
        f"Many operands, one node: ns a weight, forward and backward"
        f" ({'compiled' if compiled else 'interpreted'})",
        [
            "operation", *(f"n = {n}" for n in SIZES), "of it forward", "Python's and C's", "ours",
            "target",
        ],
        rows,
        "The last four columns are for n = 1000. A tuple is kept as it is; a list of nodes is\n"
        "copied, since it may change later; a generator costs what Python takes to run it. The\n"
        "exponentials, two a weight of logsumexp, are Python's math.exp less its math.fabs.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
