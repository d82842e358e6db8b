"""One piece of work, our program beside its peers: times in turns, and the ratio of each."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.timing import Lap, Task, interleaved, print_table

__all__ = ["Peer", "check", "module", "race"]

OURS = "autograd-bp Program"
SLOW = 0.25  # seconds: calls that take longer have fewer turns


class Peer(NamedTuple):
    """What does the same work, and the fraction of its time that ours is to take at most."""

    name: str
    call: Callable[[], object] | None  # None: it is not installed
    reach: float


def module(name: str) -> Any:
    """A peer, or None if it is not installed."""
    try:
        found = importlib.import_module(name)
    except ImportError:
        return None
    if name == "jax":
        found.config.update("jax_enable_x64", True)
    if name == "torch":
        found.set_num_threads(1)
    return found


def check(name: str, found: Any, expected: Any) -> None:
    """Stop if a peer computes something else."""
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9, err_msg=name)


def race(
    title: str,
    ours: Callable[[], object],
    peers: Sequence[Peer],
    notes: str = "",
    rounds: int = 11,
) -> list[str]:
    """Print the table of one piece of work; returns what fell short, in words.

    Times are medians over turns. Calls that take long have three turns.
    """
    calls = {OURS: ours} | {p.name: p.call for p in peers if p.call is not None}
    quick: dict[str, Task] = {}
    slow: dict[str, Task] = {}
    for name, call in calls.items():
        start = time.perf_counter()
        call()
        is_slow = time.perf_counter() - start > SLOW
        (slow if is_slow else quick)[name] = _task(call)
    medians = interleaved(quick, rounds, turn=0.06) | interleaved(slow, 3, turn=0.0)
    seconds = {name: stages["whole"] for name, stages in medians.items()}
    own = seconds[OURS]
    rows: list[tuple[str, str, str, str]] = [(OURS, _milliseconds(own), "", "")]
    short = []
    for name, theirs, reach in peers:
        wanted = "≤ 1" if reach == 1.0 else f"≤ {reach:g}"
        if theirs is None:
            rows.append((name, "not installed", "", wanted))
            short.append(f"{title}: {name} is not installed, so {wanted} is not measured")
            continue
        ratio = own / seconds[name]
        rows.append((name, _milliseconds(seconds[name]), f"{ratio:.2g}", wanted))
        if ratio > reach:
            short.append(f"{title}: {ratio:.2f} × the time of {name}, wanted {wanted}")
    print_table(title, ["", "ms", "ours / theirs", "to reach"], rows, notes)
    return short


def _task(call: Callable[[], object]) -> Task:
    def task(lap: Lap) -> None:
        call()
        lap("call")

    return task


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"
