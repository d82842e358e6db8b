"""Derivatives of a `Function`, which are functions again: instructions made from instructions.

The partial derivatives of one operation are written for all of its instructions at once, by
the expression in the table. What is left of the chain rule is one sum of products for each
instruction, a `carry_dot`, where what is exactly 0 carries nothing:

    reverse   adjoint of x = Σ over consumers y of x:  adjoint of y · ∂y/∂x
    forward   tangent of y = Σ over operands x of y:   tangent of x · ∂y/∂x

So a call costs NumPy's time for arrays as long as the program, and no loop in Python. Most
factors are 1: `simplify` clears them away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from autograd_bp.ops import CODES, TABLE
from autograd_bp.program.instructions import (
    Bools,
    Instructions,
    Ints,
    columns_of,
    grouped_by,
    offsets,
    positions,
    split_at,
)
from autograd_bp.program.record import Growing, ancestors, descendants
from autograd_bp.program.signature import F, Layout
from autograd_bp.program.simplify import simplify
from autograd_bp.reading import ArrayReading
from autograd_bp.trees import argument_positions

__all__ = ["gradient", "hvp", "jacobian"]

CARRY_DOT = CODES["carry_dot"]


# --- functions ------------------------------------------------------------------------------------


def gradient(function: F, argnums: int | Sequence[int] = 0) -> F:
    """The function of ``(value, gradient)``."""
    if type(argnums) is not int:
        argnums = argument_positions(argnums, len(function.arguments), "arguments of the program")
    found: F | None = function.derived.get(("gradient", argnums))  # before all else: often called
    if found is not None:
        return found
    return function.once(("gradient", argnums), lambda: _gradient(function, argnums))


def _gradient(function: F, argnums: int | Sequence[int]) -> F:
    if function.result.size != 1:
        raise TypeError(
            "value_and_grad needs a function that returns one number; this one returns "
            f"{function.result.size}. Use jacobian for several."
        )
    program = function.instructions
    several = [argnums] if isinstance(argnums, int) else list(argnums)
    trees = [_zeros(function.arguments[function.position(i)]) for i in several]
    inputs = np.concatenate([program.inputs[:0], *map(function.inputs_of, several)])
    growing = Growing(program)
    grads = pull_back(program, growing, [growing.constant(1.0)], inputs)
    grad = trees[0] if isinstance(argnums, int) else tuple(trees)
    return _derived(function, program, growing, [*program.outputs, *grads], (0.0, grad))


def jacobian(function: F, argnums: int = 0) -> F:
    """The function of the matrix ∂result/∂argument, by whichever mode takes fewer sweeps."""
    at = function.position(argnums)
    return function.once(("jacobian", at), lambda: _jacobian(function, at))


def _jacobian(function: F, argnums: int) -> F:
    program, inputs = function.instructions, function.inputs_of(argnums)
    n, m = len(inputs), function.result.size
    growing = Growing(program)
    rows = []
    for i in range(min(n, m)):
        seeds = [growing.constant(float(i == j)) for j in range(min(n, m))]
        sweep = pull_back if m <= n else push_forward
        rows.append(sweep(program, growing, seeds, inputs))
    matrix = np.array(rows) if m <= n else np.array(rows).T
    return _derived(function, program, growing, matrix.ravel(), np.zeros((m, n)))


def hvp(function: F, argnums: int = 0) -> F:
    """The function of Hessian times tangent; the tangent is one more argument, the last."""
    at = function.position(argnums)
    return function.once(("hvp", at), lambda: _hvp(function, at))


def _hvp(function: F, argnums: int) -> F:
    first = gradient(function, argnums)
    inputs = first.inputs_of(argnums)
    of_gradient = first.instructions.outputs[function.result.size :]
    program = replace(first.instructions, outputs=of_gradient)
    growing = Growing(program)
    tangents = [growing.input() for _ in inputs]
    moved = push_forward(program, growing, tangents, inputs)
    tree = _zeros(function.arguments[argnums])
    return _derived(function, program, growing, moved, tree, tangents)


def _zeros(layout: Layout) -> Any:
    return layout.nest(np.zeros(layout.size))


def _derived(
    function: F,
    program: Instructions,
    growing: Growing,
    outputs: Any,
    result: Any,
    tangents: Sequence[int] | None = None,
) -> F:
    """The function of what was written, with an argument more for tangents, if they are given."""
    arguments = function.arguments
    if tangents is not None:
        arguments = (*arguments, Layout(result, "tangent"))
    inputs = [*program.inputs, *(tangents or ())]
    instructions = growing.instructions(inputs, outputs, dict(program.labels))
    if function.optimize:
        instructions = simplify(instructions)
    return function.twin(instructions, arguments, Layout(result, "result"), function.captured)


# --- the chain rule ------------------------------------------------------------------------------


def pull_back(
    program: Instructions, growing: Growing, seeds: Sequence[int], wrt: Sequence[int] | Ints
) -> Ints:
    """Write Σ seedⱼ ∂outputⱼ/∂x for each x in ``wrt``: reverse mode. Returns where they stand.

    ``growing`` began with ``program``; seeds are instructions in it, one for each output.
    """
    active, edges, partial = _active(program, growing, wrt)
    n, one = len(program), growing.constant(1.0)
    # A term of the sum for x: the instruction that it comes from (n + j for seed j), its factor.
    # Seeds and consumers are known before what is made from them: from the last to the first.
    target = np.concatenate([program.outputs[::-1], program.operand[edges][::-1]])
    given = n + np.arange(len(seeds), dtype=np.int32)
    source = np.concatenate([given[::-1], program.consumer[edges][::-1]])
    factor = np.concatenate([np.full(len(seeds), one, np.int32), partial[::-1]])
    order = np.argsort(-target, kind="stable")
    order = order[active[target[order]]]
    adjoint = _sums(growing, n, target[order], source[order], factor[order], seeds)
    return _or_zero(growing, adjoint[np.asarray(wrt, np.int32)])


def push_forward(
    program: Instructions, growing: Growing, tangents: Sequence[int], wrt: Sequence[int] | Ints
) -> Ints:
    """Write Σ tangentᵢ ∂output/∂xᵢ over ``wrt`` for each output: forward mode."""
    _, edges, partial = _active(program, growing, wrt)
    n, one = len(program), growing.constant(1.0)
    given = np.asarray(wrt, np.int32)
    target = np.concatenate([program.consumer[edges], given])
    source = np.concatenate([program.operand[edges], n + np.arange(len(given), dtype=np.int32)])
    factor = np.concatenate([partial, np.full(len(given), one, np.int32)])
    order = np.argsort(target, kind="stable")
    tangent = _sums(growing, n, target[order], source[order], factor[order], tangents)
    return _or_zero(growing, tangent[program.outputs])


def _active(
    program: Instructions, growing: Growing, wrt: Sequence[int] | Ints
) -> tuple[Bools, Ints, Ints]:
    """What lies between ``wrt`` and the outputs, by which operands, and the partials by these."""
    smooth = _smooth(program)
    moving = descendants(program, wrt, smooth)
    smooth &= moving[program.operand]
    active = ancestors(program, program.outputs, smooth) & moving
    edges = positions(smooth & active[program.consumer])
    return active, edges, _partials(program, growing, edges)


def _or_zero(growing: Growing, found: Ints) -> Ints:
    return np.where(found < 0, growing.constant(0.0), found).astype(np.int32)


def _sums(
    growing: Growing, n: int, target: Ints, source: Ints, factor: Ints, given: Sequence[int]
) -> Ints:
    """Write a `carry_dot` of what was written for the sources with the factors, for each target.

    Terms come target by target, sources before what is made from them. Source n + j is the
    instruction ``given[j]``. Returns where the sum of each target stands, -1 for none.
    """
    starts = np.flatnonzero(np.diff(target, prepend=-1) != 0)
    terms = np.diff(starts, append=len(target)).astype(np.int32)
    bias = growing.constant(-0.0)  # x + -0.0 is x for every x, also for 0.0 and -0.0
    where = np.full(n + len(given), -1, np.int32)
    where[target[starts]] = growing.size + np.arange(len(starts), dtype=np.int32)
    where[n:] = given
    counts = 2 * terms + 1
    first = offsets(counts)
    operands = np.full(first[-1], bias, np.int32)
    at = first[:-1].repeat(terms) + np.arange(len(target)) - starts.repeat(terms)
    operands[at] = where[source]
    operands[at + terms.repeat(terms)] = factor
    growing.extend(np.full(len(starts), CARRY_DOT, np.int16), counts, operands)
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


def _partials(program: Instructions, growing: Growing, edges: Ints) -> Ints:
    """Write ∂consumer/∂operand for these entries of ``program.operand``."""
    reading = ArrayReading(_arithmetic(growing))
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
        columns = columns_of(op, count)
        operands = [Written(growing, rows[:, span]) for span in columns]
        length = [float(columns[0].stop)] * op.is_nary  # of its sequences, which come first
        point = [*operands, Written(growing, which[:, None]), *length]
        at = program.first[which][:, None] + np.arange(count)
        for rule, span in zip(reading.partials(op), columns, strict=True):
            if wanted[at[:, span]].any():
                d = rule(*point)
                ids = d.ids if isinstance(d, Written) else growing.constant(float(d))
                result[at[:, span]] = np.broadcast_to(ids, at[:, span].shape)
    return result[edges]


# --- instructions by the table's expressions ------------------------------------------------------


def _writes(name: str, turned: bool = False) -> Callable[..., Any]:
    def method(self: Written, *others: Any) -> Written:
        operands = (*others, self) if turned else (self, *others)
        return _emit(self.growing, name, *operands)

    return method


class Written:
    """An array of instructions, with the table's operators, each of which writes as many again."""

    __array_ufunc__ = None  # NumPy leaves the operators to this class

    def __init__(self, growing: Growing, ids: Any) -> None:
        self.growing = growing
        self.ids: Ints = np.asarray(ids, np.int32)

    __add__, __radd__ = _writes("+"), _writes("+", turned=True)
    __sub__, __rsub__ = _writes("-"), _writes("-", turned=True)
    __mul__, __rmul__ = _writes("*"), _writes("*", turned=True)
    __truediv__, __rtruediv__ = _writes("/"), _writes("/", turned=True)
    __neg__, __abs__ = _writes("neg"), _writes("abs")


def _emit(growing: Growing, name: str, *operands: Any) -> Written:
    """An operation of the table on `Written` and numbers, elementwise."""
    ids = [x.ids if isinstance(x, Written) else growing.constant(float(x)) for x in operands]
    grid = np.broadcast_arrays(*ids)
    rows = np.stack([x.ravel() for x in grid], axis=1)
    n, k = rows.shape
    written = growing.extend(np.full(n, CODES[name]), np.full(n, k), rows.ravel())
    return Written(growing, written.reshape(grid[0].shape))


def _arithmetic(growing: Growing) -> dict[str, Any]:
    """What `ArrayReading` needs to write instructions by the table's expressions."""
    named: dict[str, Any] = {
        op.name: partial(_emit, growing, op.name) for op in TABLE if op.operands and not op.is_nary
    }
    return named | {
        "pow": named["**"],
        "less": named["<"],
        "less_equal": named["<="],
        "both": named["*"],
        "either": named["maximum"],
    }
