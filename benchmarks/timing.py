"""Clock and tables of the benchmarks."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

__all__ = ["Lap", "Task", "interleaved", "interleaved_apart", "print_table"]

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
    samples: dict[Name, list[dict[str, float]]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            samples[name] += _turn(task, turn)
    return {name: _medians(laps) for name, laps in samples.items()}


def interleaved_apart(
    makers: Mapping[Name, Callable[[], Task]], rounds: int, turn: float = 0.05
) -> tuple[dict[Name, dict[str, float]], dict[Name, Any]]:
    """The same, with each task in a process of its own; also the tasks as they were at the end.

    For tasks that leave cyclic garbage: in one process the collector would send the bill to
    whoever makes objects next, and walk everyone's live objects for it. Makers and tasks travel
    between processes, so they must be picklable.
    """
    context = multiprocessing.get_context("spawn")
    ends = {name: context.Pipe() for name in makers}
    workers = [
        context.Process(target=_work, args=(ends[name][1], make, rounds, turn), daemon=True)
        for name, make in makers.items()
    ]
    for worker in workers:
        worker.start()
    samples: dict[Name, list[dict[str, float]]] = {name: [] for name in makers}
    for _ in range(rounds):
        for name, (end, _) in ends.items():
            end.send("your turn")
            samples[name] += end.recv()
    tasks = {name: end.recv() for name, (end, _) in ends.items()}
    for worker in workers:
        worker.join()
    return {name: _medians(laps) for name, laps in samples.items()}, tasks


def _work(end: Any, make: Callable[[], Task], rounds: int, turn: float) -> None:
    task = make()
    for _ in range(rounds):
        end.recv()
        end.send(_turn(task, turn))
    end.send(task)


def _turn(task: Task, seconds: float) -> list[dict[str, float]]:
    """The laps of one call, or of as many as begin within the time."""
    samples: list[dict[str, float]] = []
    end = time.perf_counter() + seconds
    while not samples or time.perf_counter() < end:
        laps = _laps(task)
        samples.append(laps | {"whole": sum(laps.values())})
    return samples


def _medians(samples: list[dict[str, float]]) -> dict[str, float]:
    return {stage: statistics.median(laps[stage] for laps in samples) for stage in samples[0]}


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
