"""Formulas from outside, as text: ``tanh(2*x + y)**2``.

Python's own `ast` parses them; what comes out is walked node by node, and only numbers, names,
arithmetic and calls of the functions of this package mean anything. Nothing is evaluated.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from autograd_bp import functions, nary
from autograd_bp.value import Number, apply

__all__ = ["Formula"]

LONGEST = 10_000  # characters
CONSTANTS = {"pi": math.pi, "e": math.e}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(functions, name) for name in functions.__all__ if name != "where"
} | {"abs": lambda x: apply("abs", x)}
OF_MANY: dict[str, Callable[..., Any]] = {
    "sum": nary.sum_of, "mean": nary.mean, "norm": nary.norm, "logsumexp": nary.logsumexp,
}  # fmt: skip
BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**",
}  # fmt: skip
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos, ast.USub: lambda x: apply("neg", x),
}  # fmt: skip


class Formula:
    """A function of the names in a text.

    It may hold numbers, names, ``pi`` and ``e``, ``+ - * / **``, brackets, the functions of the
    table of operations, and ``sum``, ``mean``, ``norm`` and ``logsumexp`` of several operands.
    A name that stands for something else, attributes, strings, comparisons and all other syntax
    raise ValueError, which quotes the text.

    >>> formula = Formula("tanh(2*x + y)**2")
    >>> formula.names
    ('x', 'y')
    >>> formula({"x": 0.5, "y": -1.0})
    0.0
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"a formula has {LONGEST} characters at most, got {len(text)}")
        self.text = text.strip()
        try:
            self._body = ast.parse(self.text, mode="eval").body
            found = dict.fromkeys(self._names(self._body))
        except SyntaxError as error:
            raise ValueError(
                f"{self.text!r} is no formula: {error.msg}, at character {error.offset}"
            ) from None
        except (RecursionError, MemoryError):
            raise ValueError(f"a formula of {len(text)} characters is nested too deeply") from None
        self.names: tuple[str, ...] = tuple(found)

    def __call__(self, operands: Mapping[str, Number]) -> Any:
        """The result: a Value if an operand is one, else a float.

        Raises ValueError for a name without an operand, as the operations do outside their
        domains.
        """
        missing = [name for name in self.names if name not in operands and name not in CONSTANTS]
        if missing:
            raise ValueError(f"{self.text!r} needs a number for {', '.join(missing)}")
        try:
            return self._walk(self._body, {**CONSTANTS, **operands})
        except RecursionError:
            raise ValueError(f"{self.text[:60]!r}… is nested too deeply") from None

    def _names(self, node: ast.expr) -> list[str]:
        """The names in the order of the text; ValueError for what a formula may not hold."""
        if isinstance(node, ast.Name):
            return [node.id]
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return []
        if isinstance(node, ast.UnaryOp) and type(node.op) in UNARY:
            return self._names(node.operand)
        if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
            return self._names(node.left) + self._names(node.right)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            if node.func.id not in FUNCTIONS and node.func.id not in OF_MANY:
                raise ValueError(
                    f"{self.text!r} calls {node.func.id!r}, which is no function here; there are "
                    f"{', '.join(sorted([*FUNCTIONS, *OF_MANY]))}"
                )
            return [name for x in node.args for name in self._names(x)]
        hint = "; a power is written **" if isinstance(node, ast.BinOp) else ""
        raise ValueError(
            f"{self.text!r} has {ast.unparse(node)[:60]!r} in it, and a formula is made of "
            f"numbers, names, + - * / ** and functions only{hint}"
        )

    def _walk(self, node: ast.expr, operands: Mapping[str, Number]) -> Any:
        if isinstance(node, ast.Name):
            return operands[node.id]
        if isinstance(node, ast.Constant):
            return _float(node.value)
        if isinstance(node, ast.UnaryOp):
            return UNARY[type(node.op)](self._walk(node.operand, operands))
        if isinstance(node, ast.BinOp):
            a, b = self._walk(node.left, operands), self._walk(node.right, operands)
            return apply(BINARY[type(node.op)], a, b)
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Name)
        taken = [self._walk(x, operands) for x in node.args]
        if node.func.id in OF_MANY:
            return OF_MANY[node.func.id](taken)
        try:
            return FUNCTIONS[node.func.id](*taken)
        except TypeError as error:  # the wrong number of operands
            raise ValueError(f"{ast.unparse(node)[:60]!r}: {error}") from None


def _float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:  # a whole number beyond the largest float
        return math.inf
