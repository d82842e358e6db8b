"""A program as an operation on Values: to any graph it adds one node for each of its results.

The local derivatives of such a node come from the program's own gradient or Jacobian, and those
of higher order from the programs derived from these. In a trace, and where a program has too many
results for that, its instructions are carried out on the Values instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from operator import add, mul, neg, sub
from typing import Any

import numpy as np

from autograd_bp import nary, value
from autograd_bp.adjoint import everywhere
from autograd_bp.context import is_recording
from autograd_bp.copies import restore
from autograd_bp.custom import Rule
from autograd_bp.ops import CODES, TABLE, Op, grouped
from autograd_bp.program import derive, run
from autograd_bp.program.instructions import Instructions
from autograd_bp.program.signature import Function, Layout
from autograd_bp.value import Number, Value, is_symbolic, peek

__all__ = ["as_graph", "on_values", "replay"]

FEW = 16  # rows or columns of a Jacobian that are quicker than the instructions on nodes


def on_values(program: Function, operands: Sequence[Number]) -> list[Number]:
    """The results for these numbers and Values, one for each of the program's inputs."""
    if is_symbolic(*operands):
        return replay(program.instructions, operands)
    nodes = tuple([x for x in operands if isinstance(x, Value)])
    fixed = [x for x in operands if not isinstance(x, Value)]
    moves = tuple([isinstance(x, Value) for x in operands]) if fixed else True
    flat = _flat(program, moves)
    point = [x.data for x in nodes] + fixed
    m, n = flat.result.size, len(nodes)
    if not is_recording():
        return [Value(y) for y in run.row(flat, point).tolist()]
    if min(m, n) > FEW or (m > 1 and m * n > 4 * len(program.instructions.operand)):
        return replay(program.instructions, operands)
    ones = _ones(flat)
    if m == 1:
        y, *row = run.row(derive.gradient(ones[0]), point).tolist()
        return [restore(_Applied(ones[0], fixed), nodes, y, row)]
    values = run.row(flat, point).tolist()
    rows = run.row(derive.jacobian(flat), point).reshape(m, n).tolist()
    return [
        restore(_Applied(one, fixed), nodes, y, row)
        for one, y, row in zip(ones, values, rows, strict=True)
    ]


class _Applied(Rule):
    """The operation of a node that is a program of one number, on operands and fixed numbers."""

    def __init__(self, program: Function, fixed: list[float]) -> None:
        super().__init__(program.name, self._row)
        self.program = program
        self.fixed = fixed

    def _row(self, *operands_and_y: float) -> Sequence[float]:
        """The local derivatives on numbers, as they were found for the node."""
        point = [*operands_and_y[:-1], *self.fixed]
        row: Sequence[float] = run.row(derive.gradient(self.program), point).tolist()[1:]
        return row

    def partials(self, operands: Sequence[Number], y: Value) -> Sequence[Number]:
        slopes = self.program.once("slopes", lambda: _slopes(self.program))
        return on_values(slopes, [*operands, *self.fixed])

    def rates(
        self, operands: Sequence[Number], y: float, tangents: Sequence[float], t_y: float
    ) -> list[float]:
        point = [*map(peek, operands), *self.fixed, *tangents]
        change: list[float] = run.row(derive.hvp(self.program), point).tolist()
        return change


def _flat(program: Function, moves: tuple[bool, ...] | bool) -> Function:
    """The program of two lists: the inputs that move, and the others."""

    def make() -> Function:
        inputs = program.instructions.inputs
        mask = np.broadcast_to(np.array(moves, bool), len(inputs))
        instructions = replace(
            program.instructions, inputs=np.concatenate([inputs[mask], inputs[~mask]])
        )
        n = int(mask.sum())
        arguments = _list(n, "operands"), _list(len(mask) - n, "fixed")
        return program.twin(instructions, arguments, _list(program.result.size, "result"))

    return program.once(("flat", moves), make)


def _ones(flat: Function) -> list[Function]:
    """A program for each of the results."""

    def make() -> list[Function]:
        outputs = flat.instructions.outputs
        parts = [replace(flat.instructions, outputs=outputs[[i]]) for i in range(len(outputs))]
        return [flat.twin(part, flat.arguments, Layout(0.0, "y")) for part in parts]

    return flat.once("ones", make)


def _slopes(program: Function) -> Function:
    """The gradient alone."""
    both = derive.gradient(program)
    instructions = replace(both.instructions, outputs=both.instructions.outputs[1:])
    return program.twin(instructions, program.arguments, _list(program.arguments[0].size, "slopes"))


def _list(n: int, name: str) -> Layout:
    return Layout([0.0] * n, name)


# --- instructions on nodes ------------------------------------------------------------------------


def _on_nodes(op: Op) -> Callable[..., Number]:
    if op.name == "carry_dot":  # no function for users
        return _carry_dot
    if op.is_nary:
        function = getattr(nary, op.name)
        return lambda *operands: function(*grouped(op, operands))
    return partial(value.apply, op.name)


def _carry_dot(*operands: Number) -> Number:
    w, x, bias = grouped(TABLE[CODES["carry_dot"]], operands)
    products = [value.apply("carry", *pair) for pair in zip(w, x, strict=True)]
    total: Number = nary.sum_of([*products, bias])
    return total


_STRICT: list[Any] = [_on_nodes(op) if op.operands else None for op in TABLE]
for _name, _operator in {"+": add, "-": sub, "*": mul, "neg": neg}.items():
    _STRICT[CODES[_name]] = _operator  # the same, sooner
_EVERYWHERE = [
    everywhere(op) if op.domain and not op.is_nary else function
    for op, function in zip(TABLE, _STRICT, strict=True)
]


def replay(
    instructions: Instructions, inputs: Sequence[Number], strict: bool = False
) -> list[Number]:
    """The outputs for these numbers and Values.

    Outside the domain of an operation a result is NaN or ±inf, as in a program; where it is to
    be ``strict`` this raises, as the engine does.
    """
    operations = _STRICT if strict else _EVERYWHERE
    results: list[Any] = instructions.number.tolist()
    for i, x in zip(instructions.inputs.tolist(), inputs, strict=True):
        results[i] = x
    first, operand = instructions.first.tolist(), instructions.operand.tolist()
    for i, code in enumerate(instructions.code.tolist()):
        if code:
            results[i] = operations[code](*[results[j] for j in operand[first[i] : first[i + 1]]])
            if i in instructions.labels and isinstance(results[i], Value):
                results[i].label = instructions.labels[i]
    return [results[i] for i in instructions.outputs.tolist()]


def as_graph(function: Function, args: tuple[Any, ...]) -> list[Value]:
    """The results, each a Value, on labelled leaves: to be drawn.

    Raises as the engine does outside the domain of an operation.
    """
    names = function.input_names
    leaves = [Value(peek(x), name) for x, name in zip(function.operands(args), names, strict=True)]
    results = replay(function.instructions, leaves, strict=True)
    return [y if isinstance(y, Value) else Value(y) for y in results]
