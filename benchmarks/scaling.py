"""Does a node cost the same in small graphs and in large ones?

Two shapes: a chain, each node the only consumer of the last, and a tree that adds up products in
pairs, whose nodes wait for one another. They are built, differentiated and dropped.

More memory is slower memory: a small graph lives in the cache and in the pages that the last one
left, a large one does neither. So each size has a control that differs in nothing but the size of
its graphs: as many nodes, all alive at once, in graphs of a thousand.
"""

from __future__ import annotations

from collections.abc import Callable

from autograd_bp import Value, compiled
from benchmarks.timing import Lap, Task, interleaved, print_table

SMALL = 10**3
SIZES = [10**k for k in range(3, 8 if compiled else 7)]
STAGES = ["build", "backward", "drop"]
TARGET = "≤ 1.50×"


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


def _task(shape: Callable[[int, Value], Value], nodes: int, graphs: int) -> Task:
    w = Value(0.9999999)

    def task(lap: Lap) -> None:
        roots = [shape(nodes // graphs, w) for _ in range(graphs)]
        lap("build")
        for root in roots:
            root.backward()
        lap("backward")
        del root
        roots.clear()
        lap("drop")

    return task


def main() -> None:
    tasks = {
        (shape, nodes, graphs): _task(function, nodes, graphs)
        for shape, function in {"chain": _chain, "tree": _tree}.items()
        for nodes in SIZES
        for graphs in sorted({1, nodes // SMALL})
    }
    medians = interleaved(tasks, rounds=3)
    rows = []
    for shape, nodes, graphs in tasks:
        if graphs > 1:
            continue
        one, many = medians[shape, nodes, 1], medians[shape, nodes, nodes // SMALL]
        costs = [*(one[stage] for stage in STAGES), one["whole"], many["whole"]]
        nanoseconds = [f"{1e9 * seconds / nodes:.0f}" for seconds in costs]
        drift = one["whole"] / many["whole"]
        rows.append([shape, f"{nodes:.0e}", *nanoseconds, f"{drift:.2f}×", TARGET])
    print_table(
        f"Scaling: ns a node ({'compiled' if compiled else 'interpreted'})",
        ["shape", "nodes", *STAGES, "whole", "as graphs of 1e+03", "drift", "target"],
        rows,
        "Cost rises with the memory in use: as many nodes in graphs of a thousand, all alive at\n"
        "once, wait for the same new pages and for the cache. What drift remains is the cache\n"
        "still: backward makes three passes, and the last two find only a small graph in it.",
    )


if __name__ == "__main__":
    main()
