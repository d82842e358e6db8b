"""Clock and tables of the benchmarks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, TypeVar

__all__ = ["Lap", "Task", "interleaved", "print_table"]

Lap: TypeAlias = Callable[[str], None]
Task: TypeAlias = Callable[[Lap], object]
Name = TypeVar("Name")


def interleaved(
    tasks: Mapping[Name, Task], rounds: int, turn: float = 0.05
) -> dict[Name, dict[str, float]]:
    """Median seconds of every stage of every task, and of the ``"whole"`` call.

    A task is called with a function ``lap`` and calls ``lap("forward")`` where its stage of that
    name ends. Tasks take turns, so that whatever else the machine does slows all of them alike.
    A turn lasts ``turn`` seconds or one call, whichever is longer, and there are ``rounds`` of
    them: a quick task then works with warm caches, as it does in a real loop.

    >>> def task(lap):
    ...     lap("sleep")
    >>> sorted(interleaved({"a": task, "b": task}, rounds=3, turn=0.0)["b"])
    ['sleep', 'whole']
    """
    samples: dict[Name, dict[str, list[float]]] = {name: {} for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            end = time.perf_counter() + turn
            while True:
                laps = _laps(task)
                for stage, seconds in [*laps.items(), ("whole", sum(laps.values()))]:
                    samples[name].setdefault(stage, []).append(seconds)
                if time.perf_counter() >= end:
                    break
    return {
        name: {stage: statistics.median(seconds) for stage, seconds in stages.items()}
        for name, stages in samples.items()
    }


def _laps(task: Task) -> dict[str, float]:
    laps: dict[str, float] = {}
    last = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal last
        now = time.perf_counter()
        laps[stage] = laps.get(stage, 0.0) + now - last
        last = time.perf_counter()

    task(lap)
    return laps


def print_table(
    title: str, header: Iterable[str], rows: Iterable[Iterable[object]], notes: str = ""
) -> None:
    """Print a Markdown table, the first column to the left and all others to the right."""
    cells = [list(map(str, row)) for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * widths[0], *["-" * (width - 1) + ":" for width in widths[1:]]]
    print(f"\n### {title}\n")
    for row in [cells[0], rule, *cells[1:]]:
        first, *others = zip(row, widths, strict=True)
        padded = [first[0].ljust(first[1]), *[cell.rjust(width) for cell, width in others]]
        print("| " + " | ".join(padded) + " |")
    if notes:
        print(f"\n{notes}")
