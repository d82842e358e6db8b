"""Does anything break on a chain of ten million nodes?

Built, differentiated, copied, pickled, drawn and dropped, each engine in a process of its own.
It takes minutes and gigabytes, so it is not among the quick ones:

    python -m benchmarks.chain [nodes]
"""

from __future__ import annotations

import copy
import math
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import autograd_bp
from autograd_bp import Value
from autograd_bp.pictures.draw import TooManyBoxesError, draw

NODES = 10_000_000


@contextmanager
def _timed(what: str) -> Iterator[None]:
    print(f"    {what:<20} ", end="", flush=True)  # so indented it is code in Markdown
    start = time.perf_counter()
    yield
    print(f"{time.perf_counter() - start:8.2f} s  ok", flush=True)


def _check(root: Value, leaf: Value, nodes: int) -> None:
    """x·w·w·…: the derivative with respect to w is n·wⁿ⁻¹, that to the other parent wⁿ."""
    assert math.isclose(root.data, math.exp(nodes * math.log1p(1 / nodes)), rel_tol=1e-6), root
    assert math.isclose(leaf.grad, nodes * root.data, rel_tol=1e-6), leaf


def run(nodes: int) -> None:
    """All steps with the engine of this process."""
    w = Value(1.0 + 1.0 / nodes)
    with _timed("build"):
        x = Value(1.0)
        for _ in range(nodes):
            x = x * w
    with _timed("differentiate"):
        x.backward()
        _check(x, w, nodes)
    with _timed("deep-copy"):
        twin = copy.deepcopy(x)
        assert twin.data == x.data
        assert twin.grad == x.grad
        assert twin is not x
    with _timed("drop the copy"):
        del twin
    with _timed("pickle"):
        pickled = pickle.dumps(x)
    with _timed("drop"):
        del x
    with _timed("unpickle"):
        x = pickle.loads(pickled)
        del pickled
    with _timed("differentiate it"):
        w = x.parents[1]
        w.grad = 0.0
        x.backward()
        _check(x, w, nodes)
    with _timed("draw: refused"):
        try:
            draw(x)
        except TooManyBoxesError:
            pass
        else:
            raise AssertionError(f"{nodes} boxes were drawn")
    with _timed("drop it too"):
        del x


def main() -> None:
    nodes = int(sys.argv[1]) if sys.argv[1:] else NODES
    if "AUTOGRAD_BP_INTERPRETED" in os.environ:
        run(nodes)
        return
    for engine in ["compiled"] * autograd_bp.compiled + ["interpreted"]:
        print(f"\nA chain of {nodes:,} nodes, {engine}:\n", flush=True)
        subprocess.run(
            [sys.executable, "-m", "benchmarks.chain", str(nodes)],
            env={**os.environ, "AUTOGRAD_BP_INTERPRETED": "01"[engine == "interpreted"]},
            check=True,
        )


if __name__ == "__main__":
    main()
