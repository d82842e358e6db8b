"""Does a node cost the same in small graphs and in large ones?

Two shapes: a chain, each node the only consumer of the last, and a tree that adds up products in
pairs, whose nodes wait for one another. Both are built, differentiated and dropped.
"""

from __future__ import annotations

import mmap
import resource
import time
from collections.abc import Callable

from autograd_bp import Value, compiled
from benchmarks.timing import Lap, Task, interleaved, print_table

SIZES = [10**k for k in range(3, 8 if compiled else 7)]
STAGES = ["build", "backward", "drop"]


def _chain(nodes: int, w: Value) -> Value:
    x = Value(1.0)
    for _ in range(nodes):
        x = x * w
    return x


def _tree(nodes: int, w: Value) -> Value:
    row = [w * w for _ in range(nodes // 2)]
    while len(row) > 1:
        row = [a + b for a, b in zip(row[::2], row[1::2], strict=False)]
    return row[0]


def _task(shape: Callable[[int, Value], Value], nodes: int) -> Task:
    w = Value(0.9999999)

    def task(lap: Lap) -> None:
        root = shape(nodes, w)
        lap("build")
        root.backward()
        lap("backward")
        del root
        lap("drop")

    return task


def _page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _page_faults_of(task: Task) -> int:
    task(lambda stage: None)
    before = _page_faults()
    task(lambda stage: None)
    return _page_faults() - before


def _seconds_a_page_fault() -> float:
    """What the first touch of a page costs more than the second."""
    size = 2**26
    seconds = []
    faults = _page_faults()
    with mmap.mmap(-1, size) as block:
        for _ in range(2):
            start = time.perf_counter()
            for i in range(0, size, mmap.PAGESIZE):
                block[i] = 1
            seconds.append(time.perf_counter() - start)
    return (seconds[0] - seconds[1]) / (_page_faults() - faults)


def main() -> None:
    tasks = {
        (shape, nodes): _task(function, nodes)
        for shape, function in {"chain": _chain, "tree": _tree}.items()
        for nodes in SIZES
    }
    medians = interleaved(tasks, rounds=3)
    fault = _seconds_a_page_fault()
    faults = {key: fault * _page_faults_of(task) for key, task in tasks.items()}
    rows = []
    for shape, nodes in tasks:
        apart = [(medians[shape, n]["whole"] - faults[shape, n]) / n for n in SIZES]
        drift = apart[SIZES.index(nodes)] / min(apart)
        seconds = [*map(medians[shape, nodes].get, [*STAGES, "whole"]), faults[shape, nodes]]
        costs = [f"{1e9 * s / nodes:.0f}" for s in seconds if s is not None]
        rows.append([shape, f"{nodes:.0e}", *costs, f"{drift:.2f}×", "≤ 1.50×"])
    print_table(
        f"Scaling: ns a node ({'compiled' if compiled else 'interpreted'})",
        ["shape", "nodes", *STAGES, "whole", "page faults", "drift apart from them", "target"],
        rows,
        "A small graph lives in the memory that the last one left, and in the cache. A large one\n"
        f"gets new pages from the operating system, {1e9 * fault:.0f} ns each here, counted and\n"
        "taken off before the drift is computed; what remains of it are cache misses.",
    )


if __name__ == "__main__":
    main()
