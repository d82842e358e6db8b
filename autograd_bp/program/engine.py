"""Carries a plan out: in the compiled kernel where it was built, else with NumPy."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np

from autograd_bp.program import lanes as numpy_lanes
from autograd_bp.program.instructions import Floats
from autograd_bp.program.plan import Plan

__all__ = ["compiled", "kernel", "run_rows", "run_slots"]

kernel: Any = None
if os.environ.get("AUTOGRAD_BP_INTERPRETED") != "1":
    with suppress(ImportError):  # it is missing where there was no C compiler
        kernel = import_module("autograd_bp.program.kernel")

compiled: bool = kernel is not None
"""Whether programs run in the compiled kernel; else NumPy runs them, several times slower."""


def run_slots(plan: Plan, slots: Floats) -> None:
    """Compute what depends on no lane."""
    if kernel is None or not plan.is_native:
        numpy_lanes.run_slots(plan, slots)
    else:
        kernel.run_slots(plan.slot_steps, plan.indices, slots)


def run_rows(
    plan: Plan, slots: Floats, lanes: list[Floats], threads: int
) -> tuple[Floats, Floats]:
    """Compute all lanes, block by block: outputs for each lane, and sums over the lanes.

    ``lanes`` are arrays of shape (lanes, inputs). The outputs are of shape (outputs, lanes).

    Each block adds up its own lanes, and the blocks' sums are added in order. So the result is
    the same for any number of threads.
    """
    n, outputs = len(lanes[0]), len(plan.output_row)
    size = plan.block
    blocks = -(-n // size)
    out = np.empty((outputs if plan.keeps_rows else 0, n))
    sums = np.zeros((max(blocks, 1), outputs))

    def run(first: int, last: int) -> None:
        if kernel is not None and plan.is_native:
            kernel.run_rows(
                plan.rows, size, first, last, plan.row_steps, plan.indices, plan.splats, slots,
                out, sums, plan.output_row, *lanes,
            )  # fmt: skip
            return
        for i in range(first, last):
            span = slice(i * size, (i + 1) * size)
            x = np.concatenate([x[span].T for x in lanes])
            numpy_lanes.run_rows(plan, slots, x, out[:, span], sums[i])

    _share(run, blocks, threads)
    return out, sums[0] if blocks < 2 else sums.sum(axis=0)


def _share(run: Callable[[int, int], None], blocks: int, threads: int) -> None:
    """Call ``run`` on parts of the blocks, one for each thread."""
    threads = min(threads, blocks)
    if threads < 2:
        run(0, blocks)
        return
    bounds = [blocks * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, bounds[:-1], bounds[1:]))
