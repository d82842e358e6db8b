"""How many bytes does a node take?

Each case builds a chain of nodes in a process of its own and reads how much its resident memory
grew: all costs are in it, those of the allocator too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autograd_bp import compiled
from benchmarks.timing import print_table

NODES = 10_000_000
NODES_OF_SLOW_ENGINES = 1_000_000  # more would take too long
TARGETS = {"compiled": 88, "interpreted": 144}

LINKS: dict[str, Callable[[Any, Any], Any]] = {
    "one parent": lambda x, leaf: x.relu(),
    "two parents": lambda x, leaf: x * leaf,
}


def resident_bytes() -> int:
    """Memory of this process now (Linux), or the most that it ever had (elsewhere)."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource  # which Windows lacks

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def measure(engine: str, link: str, nodes: int) -> None:
    """Print the bytes a node, and leave without taking the chain down."""
    if engine == "micrograd":
        from micrograd.engine import Value
    else:
        from autograd_bp import Value
    step = LINKS[link]
    leaf = Value(1.0)
    x = step(Value(1.0), leaf)
    before = resident_bytes()
    for _ in range(nodes):
        x = step(x, leaf)
    print((resident_bytes() - before) / nodes, flush=True)
    os._exit(0)


def _in_new_process(engine: str, link: str, nodes: int) -> float:
    interpreted = "1" if engine == "interpreted" else "0"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", engine, link, str(nodes)],
        env={**os.environ, "AUTOGRAD_BP_INTERPRETED": interpreted},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main() -> None:
    engines = ["micrograd", "interpreted", *(["compiled"] if compiled else [])]
    rows = []
    for engine in engines:
        nodes = NODES if engine == "compiled" else NODES_OF_SLOW_ENGINES
        sizes = [f"{_in_new_process(engine, link, nodes):.0f}" for link in LINKS]
        target = f"≤ {TARGETS[engine]}" if engine in TARGETS else ""
        rows.append([engine, f"{nodes:.0e}", *sizes, target])
    print_table("Memory: bytes a node", ["engine", "nodes", *LINKS, "target"], rows)


if __name__ == "__main__":
    if sys.argv[1:]:
        measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        main()
