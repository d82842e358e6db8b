"""A program as an operation on Values: to any graph it adds one node for each of its results.

The local derivatives of such a node come from the program's own gradient or Jacobian, and those
of higher order from the programs derived from these. In a trace, and where a program has too many
results for that, its instructions are carried out on the Values instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from autograd_bp.context import is_recording
from autograd_bp.copies import restore
from autograd_bp.custom import Rule
from autograd_bp.program.graph import replay
from autograd_bp.program.layout import Layout
from autograd_bp.value import Number, Value, is_symbolic

if TYPE_CHECKING:
    from autograd_bp.program.program import Program

__all__ = ["apply"]

FEW = 16  # rows or columns of a Jacobian that are quicker than the instructions on nodes


def apply(program: Program, operands: Sequence[Number]) -> list[Number]:
    """The results for these numbers and Values, one for each of the program's inputs."""
    if is_symbolic(*operands):
        return replay(program.instructions, operands)
    nodes = tuple([x for x in operands if isinstance(x, Value)])
    fixed = [x for x in operands if not isinstance(x, Value)]
    moves = tuple([isinstance(x, Value) for x in operands]) if fixed else True
    flat: Program = program.once(("flat", moves), lambda: _flat(program, moves))
    point = [x.data for x in nodes] + fixed
    m, n = flat.result.size, len(nodes)
    if not is_recording():
        return [Value(y) for y in flat.row(point).tolist()]
    if min(m, n) > FEW or (m > 1 and m * n > 4 * len(program.instructions.operand)):
        return replay(program.instructions, operands)
    ones: list[Program] = flat.once("ones", lambda: _ones(flat))
    if m == 1:
        y, *row = ones[0].with_gradient(0).row(point).tolist()
        return [restore(_Applied(ones[0], fixed), nodes, y, row)]
    values = flat.row(point).tolist()
    rows = flat.with_jacobian(0).row(point).reshape(m, n).tolist()
    return [
        restore(_Applied(one, fixed), nodes, y, row)
        for one, y, row in zip(ones, values, rows, strict=True)
    ]


class _Applied(Rule):
    """The operation of a node that is a program of one number, on operands and fixed numbers."""

    def __init__(self, program: Program, fixed: list[float]) -> None:
        super().__init__(program.name, self._row)
        self.program = program
        self.fixed = fixed

    def _row(self, *operands_and_y: float) -> Sequence[float]:
        """The local derivatives on numbers, as they were found for the node."""
        point = [*operands_and_y[:-1], *self.fixed]
        row: Sequence[float] = self.program.with_gradient(0).row(point).tolist()[1:]
        return row

    def partials(self, operands: Sequence[Number], y: Value) -> Sequence[Number]:
        slopes = self.program.once("slopes", lambda: _slopes(self.program))
        return apply(slopes, [*operands, *self.fixed])

    def rates(
        self, operands: Sequence[Number], y: float, tangents: Sequence[float], t_y: float
    ) -> list[float]:
        point = [x.data if isinstance(x, Value) else x for x in operands]
        change: list[float] = self.program.hvp(point, self.fixed, tangent=list(tangents))
        return change


def _flat(program: Program, moves: tuple[bool, ...] | bool) -> Program:
    """The program of two lists: the inputs that move, and the others."""
    inputs = program.instructions.inputs
    mask = np.broadcast_to(np.array(moves, bool), len(inputs))
    instructions = replace(
        program.instructions, inputs=np.concatenate([inputs[mask], inputs[~mask]])
    )
    n = int(mask.sum())
    arguments = _list(n, "operands"), _list(len(mask) - n, "fixed")
    return program.twin(instructions, arguments, _list(program.result.size, "result"))


def _ones(flat: Program) -> list[Program]:
    """A program for each of the results."""
    outputs = flat.instructions.outputs
    return [
        flat.twin(
            replace(flat.instructions, outputs=outputs[i : i + 1]), flat.arguments, Layout(0.0, "y")
        )
        for i in range(len(outputs))
    ]


def _slopes(program: Program) -> Program:
    """The gradient alone."""
    both = program.with_gradient(0)
    instructions = replace(both.instructions, outputs=both.instructions.outputs[1:])
    return program.twin(instructions, program.arguments, _list(program.arguments[0].size, "slopes"))


def _list(n: int, name: str) -> Layout:
    return Layout([0.0] * n, name)
