"""What do derivatives cost, in gradients?

One gradient is ``grad(f)(x)``: f is recorded, its graph sorted, one reverse sweep made. The others
are measured in it, all taking turns. `checkpoint` is measured on a chain: its memory in a process
of its own, its time beside that of the plain chain.
"""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any
from unittest import mock

import autograd_bp as ab
from autograd_bp import Value, compiled, dot, grad, hessian, hvp, jacobian, sum_of, tanh, transforms
from autograd_bp.tape import Tape
from benchmarks.memory import resident_bytes
from benchmarks.timing import Lap, Task, interleaved, print_table

SIZES = (10, 30, 100)
SHAPES = ((3, 100), (30, 30), (100, 3), (100, 1))
CHAIN = 1_000_000
ENGINE = "compiled" if compiled else "interpreted"

Vector = Sequence[Any]
Function = Callable[[Vector], Any]


# --- programs: functions of any number of inputs -------------------------------------------------


def _numbers(n: int, seed: int) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(0.0, 1.0) for _ in range(n)]


def _matrix(n: int) -> list[list[float]]:
    return [_numbers(n, seed=i) for i in range(n)]


def rosenbrock(n: int) -> Function:
    """Arithmetic, two inputs at a time."""
    return lambda x: sum_of([100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2 for a, b in pairwise(x)])


def elementary(n: int) -> Function:
    """Functions of one operand, one upon another, for each input."""

    def tower(a: Any) -> Any:
        return ab.log(1.0 + ab.exp(ab.sin(a)) + ab.sqrt(1.0 + ab.cos(tanh(a))))

    return lambda x: sum_of([tower(a) for a in x])


def quadratic(n: int) -> Function:
    """x·Ax: dots of inputs with numbers, and of nodes with nodes."""
    A = _matrix(n)
    return lambda x: dot(tuple(x), tuple(dot(tuple(x), row) for row in A))


def log_likelihood(n: int) -> Function:
    """Logistic regression on as many rows as inputs."""
    rows = _matrix(n)
    return lambda w: sum_of([ab.softplus(dot(tuple(w), row)) for row in rows])


def two_layers(n: int) -> Function:
    """A layer of tanh, a softmax, its cross-entropy; gradients by the layer's inputs."""
    W, V = _matrix(n), _matrix(n)

    def loss(x: Vector) -> Any:
        hidden = tuple(tanh(dot(tuple(x), row)) for row in W)
        z = [dot(hidden, row) for row in V]
        return ab.logsumexp(z) - z[0]

    return loss


PROGRAMS = {
    "Rosenbrock": rosenbrock,
    "elementary functions": elementary,
    "x·Ax": quadratic,
    "logistic regression": log_likelihood,
    "tanh layer, softmax": two_layers,
}


# --- the tables ----------------------------------------------------------------------------------


def _call(run: Callable[..., object], *arguments: Any) -> Task:
    def task(lap: Lap) -> None:
        run(*arguments)
        lap("call")

    return task


def second_order() -> None:
    """hvp and hessian of every program, in gradients."""
    rows = []
    for name, program in PROGRAMS.items():
        tasks: dict[tuple[str, int], Task] = {}
        for n in SIZES:
            f, x, v = program(n), _numbers(n, seed=-1), _numbers(n, seed=-2)
            tasks["gradient", n] = _call(grad(f), x)
            tasks["hvp", n] = _call(hvp, f, (x,), (v,))
            tasks["hessian", n] = _call(hessian(f), x)
        medians = interleaved(tasks, rounds=5, turn=0.02)
        seconds = {key: stages["whole"] for key, stages in medians.items()}
        products = [f"{seconds['hvp', n] / seconds['gradient', n]:.2f}" for n in SIZES]
        whole = [f"{seconds['hessian', n] / seconds['gradient', n] / n:.2f}" for n in SIZES]
        rows.append([name, f"{1e6 * seconds['gradient', SIZES[-1]]:.0f}", *products, *whole])
    print_table(
        f"Second derivatives, in gradients ({ENGINE})",
        [
            "program",
            f"µs a gradient, n = {SIZES[-1]}",
            *(f"hvp, n = {n}" for n in SIZES),
            *(f"hessian / n, n = {n}" for n in SIZES),
        ],
        [*rows, ["target", "", *["≤ 4"] * len(SIZES), *["≤ 1"] * len(SIZES)]],
        "A Hessian records its function once; a column is then a forward and a reverse sweep.",
    )


def sweeps(transformed: Callable[..., object], *arguments: Any) -> Counter[str]:
    """How many sweeps of each kind a transformation makes, and how many graphs it sorts."""
    counts: Counter[str] = Counter()

    class CountingTape:
        def __init__(self, *arguments: Any) -> None:
            counts["sort"] += 1
            self._tape = Tape(*arguments)

        def __getattr__(self, sweep: str) -> Any:
            counts[sweep] += 1
            return getattr(self._tape, sweep)

    with mock.patch.object(transforms, "Tape", CountingTape):
        transformed(*arguments)
    return counts


def layer(n: int, m: int) -> Function:
    """n inputs, m outputs, each of which depends on all inputs."""
    W = [_numbers(n, seed=i) for i in range(m)]
    return lambda x: [tanh(dot(tuple(x), row)) for row in W]


def total(x: Vector, f: Function) -> Any:
    """The sum of all outputs."""
    return sum_of(f(x))


def jacobians() -> None:
    """Which way a Jacobian is swept, and at what cost."""
    rows = []
    for n, m in SHAPES:
        f, x = layer(n, m), _numbers(n, seed=-1)
        counted = sweeps(jacobian(f), x)
        tasks = {"jacobian": _call(jacobian(f), x), "gradient": _call(grad(total), x, f)}
        medians = interleaved(tasks, rounds=5, turn=0.02)
        ratio = medians["jacobian"]["whole"] / medians["gradient"]["whole"]
        made = [counted[sweep] for sweep in ("push_forward", "pull_back")]
        rows.append([f"{n} → {m}", *made, min(n, m), f"{ratio:.2f}"])
    print_table(
        f"Jacobians ({ENGINE})",
        ["inputs → outputs", "forward sweeps", "reverse sweeps", "target", "cost in gradients"],
        rows,
        "The gradient is that of the sum of all outputs.",
    )


# --- checkpoint ----------------------------------------------------------------------------------


def _segment(x: Any, w: Value, nodes: int) -> Any:
    for _ in range(nodes):
        x = x * w
    return x


SEGMENTS = {"plain": _segment, "checkpoint": ab.checkpoint(_segment)}


def chain(kind: str, w: Value, nodes: int) -> Any:
    """w to the power of ``nodes``, a square, in √nodes segments of √nodes nodes."""
    segment = math.isqrt(nodes)
    x: Any = Value(1.0)
    for _ in range(segment):
        x = SEGMENTS[kind](x, w, segment)
    return x


def _measure(kind: str) -> None:
    """Print the bytes that the chain takes, and leave without taking it down."""
    w = Value(1.0 + 1.0 / CHAIN)
    chain(kind, w, 100)  # first uses have costs of their own
    before = resident_bytes()
    x = chain(kind, w, CHAIN)
    print(resident_bytes() - before, flush=True)
    x.backward()
    assert math.isclose(w.grad, CHAIN * x.data / w.data, rel_tol=1e-6), w
    os._exit(0)


def _memory(kind: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.transforms", kind],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)


def _chain_task(kind: str) -> Task:
    def task(lap: Lap) -> None:
        x = chain(kind, Value(1.0 + 1.0 / CHAIN), CHAIN)
        lap("forward")
        x.backward()
        lap("backward")
        del x
        lap("drop")

    return task


def checkpoints() -> None:
    """Memory and time of a chain, plain and condensed."""
    medians = interleaved({kind: _chain_task(kind) for kind in SEGMENTS}, rounds=3)
    rows = []
    for kind in SEGMENTS:
        stages = [f"{medians[kind][name]:.3f}" for name in ("forward", "backward", "whole")]
        ratio = medians[kind]["whole"] / medians["plain"]["whole"]
        rows.append([kind, f"{_memory(kind) / 1e6:.1f}", *stages, f"{ratio:.2f}×"])
    print_table(
        f"A chain of {CHAIN:,} nodes, in segments of {math.isqrt(CHAIN):,} ({ENGINE})",
        ["", "MB", "forward, s", "backward, s", "whole, s", "time"],
        rows,
        "A condensed segment is differentiated as soon as it is run, in the forward pass.",
    )


def main() -> None:
    second_order()
    jacobians()
    checkpoints()


if __name__ == "__main__":
    if sys.argv[1:]:
        _measure(sys.argv[1])
    else:
        main()
