"""A program as a graph of Values again: its instructions, carried out one by one on nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import add, mul, neg, sub
from typing import TYPE_CHECKING, Any

from autograd_bp import nary, value
from autograd_bp.adjoint import everywhere
from autograd_bp.ops import CODES, TABLE, Op, grouped
from autograd_bp.program.instructions import Instructions
from autograd_bp.value import Number

if TYPE_CHECKING:
    from autograd_bp.program.program import Program

__all__ = ["graph", "replay"]


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
            if i in instructions.labels and isinstance(results[i], value.Value):
                results[i].label = instructions.labels[i]
    return [results[i] for i in instructions.outputs.tolist()]


def graph(program: Program, args: Sequence[Any]) -> list[value.Value]:
    """The results of a program, each a Value, on labelled leaves: to be drawn.

    Raises as the engine does outside the domain of an operation.
    """
    numbers = [x.data if isinstance(x, value.Value) else x for x in program.operands(tuple(args))]
    leaves = [value.Value(x, name) for x, name in zip(numbers, program.input_names, strict=True)]
    results = replay(program.instructions, leaves, strict=True)
    return [y if isinstance(y, value.Value) else value.Value(y) for y in results]
