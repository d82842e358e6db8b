"""A program as a graph of Values again, to be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bp import value
from autograd_bp.ops import TABLE, grouped

if TYPE_CHECKING:
    from autograd_bp.program.program import Program

__all__ = ["graph"]


def graph(program: Program, args: Sequence[Any]) -> list[value.Value]:
    """The results, each a Value, of running the instructions one by one on Values.

    Raises as the engine does outside the domain of an operation.
    """
    instructions = program.instructions
    numbers = np.zeros(len(instructions.inputs))
    start = 0
    for layout, arg in zip(program.arguments, args, strict=True):
        layout.read(arg, numbers[start : start + layout.size])
        start += layout.size
    names = [name for layout in program.arguments for name in layout.names]
    nodes: list[Any] = instructions.number.tolist()
    for i, number, name in zip(instructions.inputs.tolist(), numbers, names, strict=True):
        nodes[i] = value.Value(number, name)
    first, operand = instructions.first.tolist(), instructions.operand.tolist()
    for i, code in enumerate(instructions.code.tolist()):
        if code:
            operands = [nodes[j] for j in operand[first[i] : first[i + 1]]]
            nodes[i] = _result(TABLE[code], operands)
            if i in instructions.labels and isinstance(nodes[i], value.Value):
                nodes[i].label = instructions.labels[i]
    results = [nodes[i] for i in instructions.outputs.tolist()]
    return [y if isinstance(y, value.Value) else value.Value(y) for y in results]


def _result(op: Any, operands: list[Any]) -> Any:
    if op.name == "carry_dot":  # no function for users
        w, x, bias = grouped(op, operands)
        return value.sum_of(
            [*[value.apply("carry", *pair) for pair in zip(w, x, strict=True)], bias]
        )
    if op.is_nary:
        return getattr(value, op.name)(*grouped(op, operands))
    return value.apply(op.name, *operands)
