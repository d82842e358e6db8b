"""Derivatives of instructions, which are instructions again.

The partial derivatives of one operation are written for all of its instructions at once, by
the expression in the table. What is left of the chain rule is one sum of products for each
instruction, a `carry_dot`, where what is exactly 0 carries nothing:

    reverse   adjoint of x = Σ over consumers y of x:  adjoint of y · ∂y/∂x
    forward   tangent of y = Σ over operands x of y:   tangent of x · ∂y/∂x

So a call costs NumPy's time for arrays as long as the program, and no loop in Python. Most
factors are 1: `simplify` clears them away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autograd_bp.ops import CODES, TABLE
from autograd_bp.program.instructions import (
    Bools,
    Builder,
    Instructions,
    Ints,
    Slots,
    grouped_by,
    offsets,
    positions,
    split_at,
)
from autograd_bp.reading import ArrayReading

__all__ = ["pull_back", "push_forward"]

CARRY_DOT = CODES["carry_dot"]


def pull_back(
    program: Instructions, builder: Builder, seeds: Sequence[int], wrt: Sequence[int] | Ints
) -> Ints:
    """Write Σ seedⱼ ∂outputⱼ/∂x for each x in ``wrt``: reverse mode. Returns where they stand.

    ``builder`` began with ``program``; seeds are instructions in it, one for each output.
    """
    smooth = _smooth(program)
    moving = program.descendants(wrt, smooth)
    smooth &= moving[program.operand]
    active = program.ancestors(program.outputs, smooth) & moving
    edges = positions(smooth & active[program.consumer])
    partial = _partials(program, builder, edges)
    n = len(program)
    one = builder.constant(1.0)
    # A term of the sum for x: the instruction that it comes from (n + j for seed j), its factor.
    # Seeds and consumers are known before what is made from them: from the last to the first.
    target = np.concatenate([program.outputs[::-1], program.operand[edges][::-1]])
    given = n + np.arange(len(seeds), dtype=np.int32)
    source = np.concatenate([given[::-1], program.consumer[edges][::-1]])
    factor = np.concatenate([np.full(len(seeds), one, np.int32), partial[::-1]])
    order = np.argsort(-target, kind="stable")
    order = order[active[target[order]]]
    adjoint = _sums(builder, n, target[order], source[order], factor[order], seeds)
    zero = builder.constant(0.0)
    found: Ints = adjoint[np.asarray(wrt, np.int32)]
    return np.where(found < 0, zero, found).astype(np.int32)


def push_forward(
    program: Instructions, builder: Builder, tangents: Sequence[int], wrt: Sequence[int] | Ints
) -> Ints:
    """Write Σ tangentᵢ ∂output/∂xᵢ over ``wrt`` for each output: forward mode."""
    smooth = _smooth(program)
    moving = program.descendants(wrt, smooth)
    smooth &= moving[program.operand]
    active = program.ancestors(program.outputs, smooth) & moving
    edges = positions(smooth & active[program.consumer])
    partial = _partials(program, builder, edges)
    n = len(program)
    one = builder.constant(1.0)
    given = np.asarray(wrt, np.int32)
    target = np.concatenate([program.consumer[edges], given])
    source = np.concatenate([program.operand[edges], n + np.arange(len(given), dtype=np.int32)])
    factor = np.concatenate([partial, np.full(len(given), one, np.int32)])
    order = np.argsort(target, kind="stable")
    tangent = _sums(builder, n, target[order], source[order], factor[order], tangents)
    zero = builder.constant(0.0)
    found: Ints = tangent[program.outputs]
    return np.where(found < 0, zero, found).astype(np.int32)


def _sums(
    builder: Builder, n: int, target: Ints, source: Ints, factor: Ints, given: Sequence[int]
) -> Ints:
    """Write a `carry_dot` of what was written for the sources with the factors, for each target.

    Terms come target by target, sources before what is made from them. Source n + j is the
    instruction ``given[j]``. Returns where the sum of each target stands, -1 for none.
    """
    starts = np.flatnonzero(np.diff(target, prepend=-1) != 0)
    terms = np.diff(starts, append=len(target)).astype(np.int32)
    bias = builder.constant(-0.0)  # x + -0.0 is x for every x, also for 0.0 and -0.0
    where = np.full(n + len(given), -1, np.int32)
    where[target[starts]] = builder.size + np.arange(len(starts), dtype=np.int32)
    where[n:] = given
    counts = 2 * terms + 1
    first = offsets(counts)
    operands = np.full(first[-1], bias, np.int32)
    at = first[:-1].repeat(terms) + np.arange(len(target)) - starts.repeat(terms)
    operands[at] = where[source]
    operands[at + terms.repeat(terms)] = factor
    builder.write(np.full(len(starts), CARRY_DOT, np.int16), counts, operands)
    return where[:n]


def _smooth(program: Instructions) -> Bools:
    """For each operand, whether the result has a derivative by it that is not 0 everywhere."""
    flat = np.ones((len(TABLE), 3), bool)
    for code, op in enumerate(TABLE):
        if not op.is_nary:
            flat[code, : len(op.d)] = [d != "0.0" for d in op.d]
    position = np.arange(len(program.operand)) - program.first[program.consumer]
    found: Bools = flat[program.code[program.consumer], np.minimum(position, 2)]
    return found


def _partials(program: Instructions, builder: Builder, edges: Ints) -> Ints:
    """Write ∂consumer/∂operand for these entries of ``program.operand``."""
    reading = ArrayReading(builder.arithmetic())
    result = np.full(len(program.operand), -1, np.int32)
    wanted = np.zeros(len(program.operand), bool)
    wanted[edges] = True
    is_consumer = np.zeros(len(program), bool)
    is_consumer[program.consumer[edges]] = True
    consumers = positions(is_consumer)
    kinds = program.counts[consumers], program.code[consumers]
    for which in split_at(*grouped_by(consumers, *kinds)):
        op = TABLE[program.code[which[0]]]
        rows = program.operands_of(which)
        count = rows.shape[1]
        sequences = sum(name.endswith("*") for name in op.operands)
        length = (count - len(op.operands) + sequences) // max(sequences, 1)
        operands: list[Slots] = []
        columns: list[slice] = []
        start = 0
        for name in op.operands:
            stop = start + (length if name.endswith("*") else 1)
            columns.append(slice(start, stop))
            operands.append(Slots(builder, rows[:, start:stop]))
            start = stop
        point = [*operands, Slots(builder, which[:, None]), *([float(length)] * op.is_nary)]
        at = program.first[which][:, None] + np.arange(count)
        for rule, span in zip(reading.partials(op), columns, strict=True):
            if wanted[at[:, span]].any():
                d = rule(*point)
                ids = d.ids if isinstance(d, Slots) else builder.constant(d)
                result[at[:, span]] = np.broadcast_to(ids, at[:, span].shape)
    return result[edges]
