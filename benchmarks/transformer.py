"""How much faster is a training step of a scalar transformer than over a textbook's Value?

The script is `examples/names_transformer.py`, the same functions for every engine; only the class
that its weights are made of differs.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.engines import load, our_engines, textbook
from benchmarks.timing import Lap, interleaved_apart, print_table

NAME = "olivia"  # of average length, with its end seven tokens to predict
TARGET = 25


def _engines() -> dict[str, Any]:
    return {"textbook": textbook, **our_engines()}


class Step:
    """Forward and backward pass for one name, over any engine's values."""

    def __init__(self, engine: str) -> None:
        self.script = load(Path(__file__).parents[1] / "examples" / "names_transformer.py")
        self.weights = self.script.new_parameters(random.Random(0), _engines()[engine].Value)
        self.gradients: list[float] = []

    def __getstate__(self) -> dict[str, Any]:
        """What is left of it after the benchmark: the gradients of the first step."""
        return {"gradients": self.gradients}

    def __call__(self, lap: Lap) -> None:
        """One step."""
        loss = self.script.cross_entropy(self.weights, NAME)
        lap("forward")
        loss.backward()
        lap("backward")
        del loss
        lap("drop")
        if not self.gradients:
            self.gradients = [w.grad for w in self.script.parameters_of(self.weights)]


def main() -> None:
    makers = {name: partial(Step, name) for name in _engines()}
    medians, steps = interleaved_apart(makers, rounds=9, turn=0.2)
    expected = steps["textbook"].gradients
    largest = max(map(abs, expected))
    for name, step in steps.items():
        off = max(abs(a - b) for a, b in zip(step.gradients, expected, strict=True)) / largest
        assert off < 1e-12, f"{name}: gradients differ by {off} of the largest"

    both = {name: stages["forward"] + stages["backward"] for name, stages in medians.items()}
    rows = []
    for name, stages in medians.items():
        times = [f"{1e3 * stages[s]:.2f}" for s in ("forward", "backward", "drop")]
        ratio = f"{both['textbook'] / both[name]:.1f}×"
        rows.append([name, *times, ratio, f"{TARGET}×" if name == "compiled" else ""])
    print_table(
        "A scalar transformer: one training step, forward and backward",
        ["engine", "forward, ms", "backward, ms", "drop, ms", "forward + backward", "target"],
        rows,
        f"4,192 weights, the name {NAME!r}; gradients agree to 1e-12. Each in a process of its\n"
        "own, taking turns: the garbage collector drops the textbook's graphs, in its other times.",
    )


if __name__ == "__main__":
    main()
