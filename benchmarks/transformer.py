"""How much faster is a training step of a scalar transformer than over a textbook's Value?

The script is `examples/names_transformer.py`, the same functions for every engine; only the class
that its weights are made of differs.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import textbook
from benchmarks.engines import load, our_engines
from benchmarks.timing import Lap, interleaved, print_table

NAME = "olivia"  # of average length, with its end seven tokens to predict
TARGET = 25


def _step(script: Any, weights: dict[str, list[list[Any]]]) -> Callable[[Lap], None]:
    def step(lap: Lap) -> None:
        loss = script.cross_entropy(weights, NAME)
        lap("forward")
        loss.backward()
        lap("backward")
        del loss
        lap("drop")

    return step


def main() -> None:
    script = load(Path(__file__).parents[1] / "examples" / "names_transformer.py")
    engines = {"textbook": textbook, **our_engines()}
    weights = {
        name: script.new_parameters(random.Random(0), engine.Value)
        for name, engine in engines.items()
    }
    steps = {name: _step(script, weights[name]) for name in engines}

    for step in steps.values():
        step(lambda stage: None)
    expected = [w.grad for w in script.parameters_of(weights["textbook"])]
    largest = max(map(abs, expected))
    for name in engines:
        found = [w.grad for w in script.parameters_of(weights[name])]
        off = max(abs(a - b) for a, b in zip(found, expected, strict=True)) / largest
        assert off < 1e-12, f"{name}: gradients differ by {off} of the largest"

    medians = interleaved(steps, rounds=15, turn=0.1)
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
        f"4,192 weights, the name {NAME!r}; gradients agree to 1e-12. The textbook's graphs are\n"
        "dropped by the garbage collector, within its other times.",
    )


if __name__ == "__main__":
    main()
