"""Carries a plan out: in the compiled kernel where it was built, else with NumPy."""

from __future__ import annotations

import os
import warnings
from functools import partial
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np

from autograd_bp.ops import EDITION
from autograd_bp.program import helpers
from autograd_bp.program import lanes as numpy_lanes
from autograd_bp.program.instructions import Floats, Ints
from autograd_bp.program.plan import KEPT, Plan
from autograd_bp.program.signature import Function

__all__ = ["compiled", "kernel", "plan_of", "row", "run_rows", "run_slots"]

kernel: Any = None
if os.environ.get("AUTOGRAD_BP_INTERPRETED") != "1":
    _lack: tuple[str, str] | None = None
    try:
        kernel = import_module("autograd_bp.program.kernel")
    except ImportError:
        _lack = "is not compiled here", "Install a C compiler, then autograd-bp again."
    else:
        if kernel.edition != EDITION:
            kernel = None
            _lack = "was compiled from another ops.py than the one in use", "Install again."
    if _lack:
        warnings.warn(
            f"the kernel of autograd_bp.program {_lack[0]}: NumPy runs programs instead, "
            f"5 to 400 times slower. {_lack[1]}",
            RuntimeWarning,
            stacklevel=2,
        )

compiled: bool = kernel is not None
"""Whether programs run in the compiled kernel; else NumPy runs them, 5 to 400 times slower."""


NOTHING: Floats = np.empty((0, 0))
NO_STEPS: Ints = np.empty((0, 6), np.int32)


def plan_of(
    function: Function, are_lanes: tuple[bool, ...] | None = None, reduce: bool = False
) -> Plan:
    """How to run a function, some of whose arguments are lanes; made once."""
    key = are_lanes, reduce
    plan: Plan | None = function.derived.get(key)
    if plan is None:
        sizes = [len(function.captured), *(layout.size for layout in function.arguments)]
        choice = False, *(are_lanes or (False,) * len(function.arguments))
        plan = Plan(function.instructions, np.repeat(choice, sizes), reduce)
        function.derived[key] = plan
    return plan


def row(function: Function, numbers: Any) -> Floats:
    """The numbers of the result for these inputs."""
    plan = plan_of(function)
    slots = plan.take_slots()
    slots[: len(numbers)] = numbers
    run_slots(plan, slots)
    found: Floats = slots[plan.same_slots]
    plan.give_back(slots)
    return found


def run_slots(plan: Plan, slots: Floats) -> None:
    """Compute what depends on no lane."""
    if kernel is None:
        numpy_lanes.run_slots(plan, slots)
    else:
        room = _take_room(plan)
        kernel.run_slots(plan.slot_steps, plan.indices, slots, room)
        _give_back(plan, room)


def run_rows(plan: Plan, slots: Floats, lanes: list[Floats], threads: int) -> tuple[Floats, Floats]:
    """Compute slots, then all lanes, block by block: outputs of each lane, and their sums.

    ``lanes`` are arrays of shape (lanes, inputs). The outputs are of shape (outputs, lanes), or
    empty if the plan keeps none. Each block adds up its own lanes, and the blocks' sums are added
    in order. So the result is the same for any number of threads.
    """
    n, outputs = len(lanes[0]), len(plan.output_row)
    blocks = -(-n // plan.block)
    out = np.empty((outputs, n)) if plan.keeps_rows else NOTHING
    sums = np.zeros((max(blocks, 1), outputs))
    run = _in_numpy if kernel is None else _in_kernel
    if threads < 2 or blocks < 2:
        run(plan, plan.slot_steps, slots, lanes, out, sums, 0, blocks)
    else:
        run_slots(plan, slots)
        threads = min(threads, blocks)
        bounds = [blocks * i // threads for i in range(threads + 1)]
        part = partial(run, plan, NO_STEPS, slots, lanes, out, sums)
        helpers.share([partial(part, *span) for span in pairwise(bounds)])
    return out, sums[0] if blocks < 2 else sums.sum(axis=0)


def _in_kernel(
    plan: Plan, steps: Ints, slots: Floats, lanes: list[Floats], out: Floats, sums: Floats,
    first: int, last: int,
) -> None:  # fmt: skip
    """Carry out these steps of slots, then compute blocks of lanes."""
    room = _take_room(plan)
    kernel.run_rows(
        plan.rows, plan.block, first, last, steps, plan.row_steps, plan.indices, plan.splats,
        slots, out, sums, room, plan.output_row, *lanes,
    )  # fmt: skip
    _give_back(plan, room)


def _take_room(plan: Plan) -> Floats:
    """What the kernel works in, for one thread at a time: it allocates nothing by itself."""
    try:
        return plan.rooms.pop()
    except IndexError:
        return np.empty(kernel.room(plan.rows, plan.block, plan.slot_steps, plan.row_steps))


def _give_back(plan: Plan, room: Floats) -> None:
    if len(plan.rooms) < KEPT:
        plan.rooms.append(room)


def _in_numpy(
    plan: Plan, steps: Ints, slots: Floats, lanes: list[Floats], out: Floats, sums: Floats,
    first: int, last: int,
) -> None:  # fmt: skip
    """The same where the kernel is missing."""
    if len(steps):
        numpy_lanes.run_slots(plan, slots)
    for i in range(first, last):
        span = slice(i * plan.block, (i + 1) * plan.block)
        x = np.concatenate([x[span].T for x in lanes])
        numpy_lanes.run_rows(plan, slots, x, out[:, span], sums[i])
