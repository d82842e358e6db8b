"""The table read on arrays: its expressions as functions of whole arrays of operands.

An array has no single branch to take. So here ``p if x > 0 else q`` becomes a call of
``where``, and a comparison becomes a call too. One such reading serves NumPy arrays of numbers
(see `lanes`) and arrays of instructions that are being written (see `derive`).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from autograd_bp.ops import CONSTANTS, TABLE, Op

__all__ = ["ArrayReading", "selected"]


class ArrayReading:
    """The table in an arithmetic of arrays.

    ``arithmetic`` maps the functions that the rows call, and besides ``where(c, a, b)``,
    ``less(a, b)``, ``less_equal(a, b)``, ``equal(a, b)``, ``both(p, q)``, ``either(p, q)``,
    and ``sum`` and ``max`` over the elements of a sequence. An operand that is a sequence is an
    array with one more axis, over which the other operands are broadcast.

    >>> import numpy as np
    >>> numbers = ArrayReading({"where": np.where, "less_equal": np.less_equal})
    >>> relu = next(op for op in TABLE if op.name == "relu")
    >>> numbers.value(relu)(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, arithmetic: Mapping[str, Any]) -> None:
        self._names: dict[str, Any] = {**CONSTANTS, **arithmetic}
        for op in TABLE:
            if op.operands and not op.is_nary and op.name.isidentifier():
                self._names.setdefault(op.name, partial(self._call, op))
        self._compiled: dict[tuple[str, str, bool], Callable[..., Any]] = {}

    def _call(self, op: Op, *operands: Any) -> Any:
        return self.value(op)(*operands)

    def value(self, op: Op) -> Callable[..., Any]:
        """y as a function of the operands; of a row with sequences, also of their length n."""
        return self._function(op, op.value, False)

    def partials(self, op: Op) -> list[Callable[..., Any]]:
        """Each ∂y/∂operand as a function of the operands, y and, for sequences, n."""
        return [self._function(op, d, True) for d in op.d]

    def _parsed(self, text: str) -> ast.expr:
        return selected(text)

    def _function(self, op: Op, text: str, with_result: bool) -> Callable[..., Any]:
        key = (op.name, text, with_result)
        if key not in self._compiled:
            names = [name.rstrip("*") for name in op.operands]
            names += ["y"] * with_result + ["n"] * op.is_nary
            body = ast.unparse(self._parsed(text))
            # The text is the project's own table, nothing from outside.
            self._compiled[key] = eval(f"lambda {', '.join(names)}: {body}", self._names)  # noqa: S307
        return self._compiled[key]


def selected(text: str) -> ast.expr:
    """An expression of the table with its branches and comparisons as calls.

    >>> ast.unparse(selected("0.0 if x <= 0 else x"))
    'where(less_equal(x, 0), 0.0, x)'
    """
    tree: ast.Expression = _Select().visit(ast.parse(text, mode="eval"))
    return ast.fix_missing_locations(tree).body


_COMPARISONS: dict[type[ast.cmpop], tuple[str, bool]] = {
    ast.Lt: ("less", False),
    ast.LtE: ("less_equal", False),
    ast.Gt: ("less", True),
    ast.GtE: ("less_equal", True),
    ast.Eq: ("equal", False),
}


class _Select(ast.NodeTransformer):
    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        test = node.test
        if isinstance(test, ast.Compare):  # what `visit_Compare` left: a != b
            equal = _call("equal", test.left, test.comparators[0])
            return _call("where", equal, node.orelse, node.body)
        return _call("where", test, node.body, node.orelse)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.ops[0], ast.NotEq):
            return node
        sides = [node.left, *node.comparators]
        result: ast.expr | None = None
        for a, op, b in zip(sides, node.ops, sides[1:], strict=False):
            name, swapped = _COMPARISONS[type(op)]
            call = _call(name, b, a) if swapped else _call(name, a, b)
            result = call if result is None else _call("both", result, call)
        assert result is not None
        return result

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        name = "both" if isinstance(node.op, ast.And) else "either"
        result = _unequal(node.values[0])
        for value in node.values[1:]:
            result = _call(name, result, _unequal(value))
        return result


def _unequal(test: ast.expr) -> ast.expr:
    """A test that may still be ``a != b``, as a call."""
    if isinstance(test, ast.Compare):
        return _call("unequal", test.left, test.comparators[0])
    return test


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])
