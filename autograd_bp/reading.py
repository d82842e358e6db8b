"""The table read in any arithmetic: its expressions as functions.

The expressions are Python, so Python's own `ast` parses them. What it makes of them is changed
in one walk to what an arithmetic needs: a call where Python's operator is another's, a list where
a sequence is reduced, ``where`` where there is no single branch to take.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from autograd_bp.ops import CODES, CONSTANTS, TABLE, Op

__all__ = ["ArrayReading", "Reading", "rate"]


class Reading:
    """The table in one arithmetic.

    ``arithmetic`` maps the functions that the expressions call to ones on the operands' type, as
    well as ``sum`` and ``max`` of a list. Rows that it does not name are read from their own
    expressions. These it may name, to have them called:

    ``div``, ``mul``
        Instead of the operators / (Python's raises where IEEE 754 has ±inf) and *.
    ``real``
        The number that a comparison looks at.
    ``number``
        What to read for a number in the text; called while it is read.
    ``where(c, a, b)``, with ``calls``
        Instead of a branch; and for comparisons ``less(a, b)``, ``less_equal``, ``both(p, q)``
        and ``either``. ``equal`` and ``unequal`` are made of these, unless it has its own.

    >>> import operator
    >>> from fractions import Fraction
    >>> exact = Reading({"div": operator.truediv, "sum": sum, "real": float})
    >>> mean = TABLE[CODES["mean"]]
    >>> exact.value(mean)([Fraction(1, 3), 1])
    Fraction(2, 3)
    >>> [partial([Fraction(1, 3), 1], Fraction(2, 3)) for partial in exact.partials(mean)]
    [[0.5, 0.5]]
    """

    def __init__(self, arithmetic: Mapping[str, Any], calls: bool = False) -> None:
        self._names: dict[str, Any] = {**CONSTANTS, **arithmetic}
        self._calls = calls
        for op in TABLE:
            if op.is_function:
                self._names.setdefault(op.name, partial(self._call, op))
        if calls:
            self._names.setdefault("equal", self._equal)
            self._names.setdefault("unequal", lambda a, b: 1.0 - self._names["equal"](a, b))
        self._made: dict[tuple[str, str, int], Any] = {}

    def _call(self, op: Op, *operands: Any) -> Any:
        return self.value(op)(*operands)

    def _equal(self, a: Any, b: Any) -> Any:
        at_most = self._names["less_equal"]
        return self._names["both"](at_most(a, b), at_most(b, a))

    def value(self, op: Op) -> Callable[..., Any]:
        """y as a function of the operands; one that is a sequence is a list."""
        key = op.name, "value", 0
        if key not in self._made:
            self._made[key] = self._function(op.value, op.operands)
        result: Callable[..., Any] = self._made[key]
        return result

    def partials(self, op: Op) -> list[Callable[..., Any]]:
        """Each ∂y/∂operand as a function of the operands and y; a list for a sequence."""
        key = op.name, "partials", 0
        if key not in self._made:
            names = (*op.operands, "y")
            self._made[key] = [
                self._function(d, names, operand.endswith("*"))
                for operand, d in zip(op.operands, op.d, strict=True)
            ]
        result: list[Callable[..., Any]] = self._made[key]
        return result

    def domain(self, op: Op, mask: int) -> Callable[..., bool]:
        """Whether operands, of which those in ``mask`` are nodes, are inside the domain."""
        key = op.name, "domain", mask
        if key not in self._made:
            self._made[key] = self._function(op.domain_for(mask), op.operands)
        result: Callable[..., bool] = self._made[key]
        return result

    def second(self, op: Op, mask: int) -> list[Callable[..., Any]]:
        """How the partials of the operands in ``mask`` change along a direction.

        Functions of the operands, y, the rates of change of the operands, and that of y. Made
        by differentiating the rows' own expressions, with the rows.
        """
        key = op.name, "second", mask
        if key not in self._made:
            moving = {name.rstrip("*") for i, name in enumerate(op.operands) if mask >> i & 1}
            names = (*op.operands, "y", *("t_" + name for name in op.operands), "t_y")
            self._made[key] = [
                self._function(ast.unparse(rate(d, moving | {"y"})), names, operand.endswith("*"))
                for i, (operand, d) in enumerate(zip(op.operands, op.d, strict=True))
                if mask >> i & 1
            ]
        result: list[Callable[..., Any]] = self._made[key]
        return result

    def _function(self, text: str, names: Collection[str], each: bool = False) -> Any:
        """A function of the names; ``each`` gives a list, one result for each element."""
        sequences = [name[:-1] for name in names if name.endswith("*")]
        parameters = ["all_" + name[:-1] if name.endswith("*") else name for name in names]
        return self._compiled(text, parameters, sequences, each)

    def _compiled(
        self, text: str, parameters: Sequence[str], sequences: list[str], each: bool = False
    ) -> Any:
        # The text is the project's own table, nothing from outside.
        function = ast.parse(f"lambda {', '.join(parameters)}: {text}", mode="eval")
        assert isinstance(function.body, ast.Lambda)
        body = _Adapt(self._names, self._calls, sequences).visit(function.body.body)
        function.body.body = _over_all(body, sequences) if each else body
        code = compile(ast.fix_missing_locations(function), f"<{ast.unparse(body)}>", "eval")
        return eval(code, self._names)


class ArrayReading(Reading):
    """The table in an arithmetic of arrays, which have no single branch to take.

    One such reading serves NumPy arrays of numbers (`program.lanes`), one arrays of instructions
    that are being written (`program.derive`). An operand that is a sequence is an array with one
    more axis, over which the other operands are broadcast; ``sum`` and ``max`` run along it. The
    functions of a row with sequences take one more argument, their length n.

    >>> import numpy as np
    >>> numbers = ArrayReading({"where": np.where, "less_equal": np.less_equal})
    >>> numbers.value(TABLE[CODES["relu"]])(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, arithmetic: Mapping[str, Any]) -> None:
        super().__init__(arithmetic, calls=True)

    def _function(self, text: str, names: Collection[str], each: bool = False) -> Any:
        length = ["n"] * any(name.endswith("*") for name in names)
        return self._compiled(text, [*(name.rstrip("*") for name in names), *length], [])


# --- one walk over an expression ------------------------------------------------------------------

_COMPARISONS: dict[type[ast.cmpop], tuple[str, bool]] = {
    ast.Lt: ("less", False),
    ast.LtE: ("less_equal", False),
    ast.Gt: ("less", True),
    ast.GtE: ("less_equal", True),
    ast.Eq: ("equal", False),
}
_OPERATORS: dict[type[ast.operator], str] = {ast.Div: "div", ast.Mult: "mul"}


class _Adapt(ast.NodeTransformer):
    """Makes of an expression what an arithmetic needs, which has these names."""

    def __init__(self, names: Mapping[str, Any], calls: bool, sequences: list[str]) -> None:
        self.names = names
        self.calls = calls
        self.sequences = sequences

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.Constant(self.names["number"](node.value)) if "number" in self.names else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        name = _OPERATORS.get(type(node.op), "")
        return _call(name, node.left, node.right) if name in self.names else node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        sides = [node.left, *node.comparators]
        if not self.calls:
            if "real" in self.names:
                node.left = _call("real", node.left)
                node.comparators = [_call("real", side) for side in node.comparators]
            return node
        if isinstance(node.ops[0], ast.NotEq):  # what holds it decides how to say it
            return node
        result: ast.expr | None = None
        for a, op, b in zip(sides, node.ops, sides[1:], strict=False):
            name, swapped = _COMPARISONS[type(op)]
            call = _call(name, b, a) if swapped else _call(name, a, b)
            result = call if result is None else _call("both", result, call)
        assert result is not None
        return result

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        if not self.calls:
            return node
        test = node.test
        if isinstance(test, ast.Compare):  # what `visit_Compare` left: a != b
            equal = _call("equal", test.left, test.comparators[0])
            return _call("where", equal, node.orelse, node.body)
        return _call("where", test, node.body, node.orelse)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        if not self.calls:
            return node
        name = "both" if isinstance(node.op, ast.And) else "either"
        result, *others = map(_unequal, node.values)
        for value in others:
            result = _call(name, result, value)
        return result

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if self.sequences and _name_of(node) in ("sum", "max"):
            node.args = [_over_all(node.args[0], self.sequences)]
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id == "n" and self.sequences:
            return _call("len", ast.Name("all_" + self.sequences[0], ast.Load()))
        return node


def _unequal(test: ast.expr) -> ast.expr:
    """A test that may still be ``a != b``, as a call."""
    if isinstance(test, ast.Compare):
        return _call("unequal", test.left, test.comparators[0])
    return test


def _name_of(call: ast.Call) -> str:
    assert isinstance(call.func, ast.Name)
    return call.func.id


def _call(function: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(function, ast.Load()), list(arguments), [])


def _over_all(element: ast.expr, sequences: list[str]) -> ast.expr:
    """``[element for w, x in zip(all_w, all_x, strict=True)]``"""
    targets = "".join(name + ", " for name in sequences)
    lists = ", ".join("all_" + name for name in sequences)
    loop = ast.parse(f"[0 for {targets} in zip({lists}, strict=True)]", mode="eval").body
    assert isinstance(loop, ast.ListComp)
    loop.elt = element
    return loop


# --- derivatives of expressions -------------------------------------------------------------------


def rate(text: str, moving: Collection[str], plain: bool = False) -> ast.expr:
    """d/dt of an expression of which the names in ``moving`` change, x at the rate t_x.

    A rate that is 0 carries nothing, so products with rates are calls of ``carry``, and quotients
    of ``carry_div``. ``plain`` ones are operators, which are quicker: it may be NaN instead.

    >>> ast.unparse(rate("y*(1.0 - y)", ["y"]))
    'carry(t_y, 1.0 - y) + carry(y, -t_y)'
    >>> ast.unparse(rate("y*(1.0 - y)", ["y"], plain=True))
    't_y * (1.0 - y) + y * -t_y'
    """
    body = ast.parse(text, mode="eval").body
    return _Rate(moving, plain).of(body) or ast.Constant(0.0)


class _Rate:
    """The rules of calculus; None is the rate of what does not change."""

    def __init__(self, moving: Collection[str], plain: bool) -> None:
        self.moving = moving
        self.plain = plain

    def of(self, node: ast.expr) -> ast.expr | None:
        if isinstance(node, ast.Name):
            return ast.Name("t_" + node.id, ast.Load()) if node.id in self.moving else None
        if isinstance(node, ast.UnaryOp):
            rate = self.of(node.operand)
            return rate and ast.UnaryOp(node.op, rate)
        if isinstance(node, ast.IfExp):
            body, orelse = self.of(node.body), self.of(node.orelse)
            if body is None and orelse is None:
                return None
            zero = ast.Constant(0.0)
            return ast.IfExp(node.test, body or zero, orelse or zero)
        if isinstance(node, ast.BinOp):
            return self._of_arithmetic(node)
        if isinstance(node, ast.Call):
            return self._of_call(node)
        assert isinstance(node, ast.Constant), ast.dump(node)
        return None

    def _of_arithmetic(self, node: ast.BinOp) -> ast.expr | None:
        a, b = node.left, node.right
        da, db = self.of(a), self.of(b)
        if isinstance(node.op, ast.Mult):
            return _sum(da and self._times(da, b), db and self._times(a, db))
        if isinstance(node.op, ast.Div):  # (da - (a/b)·db)/b
            change = db and self._times(node, db)
            above = _sum(da, change and ast.UnaryOp(ast.USub(), change))
            if above is None or not self.plain:
                return above and _call("carry_div", above, b)
            return ast.BinOp(above, ast.Div(), b)
        if isinstance(node.op, ast.Sub):
            return _sum(da, db and ast.UnaryOp(ast.USub(), db))
        assert isinstance(node.op, ast.Add)
        return _sum(da, db)

    def _of_call(self, node: ast.Call) -> ast.expr | None:
        """The chain rule with the partials of the row that the expression calls."""
        name = _name_of(node)
        if name == "floor":
            return None
        op = TABLE[CODES["**" if name == "pow" else name]]
        given = {**dict(zip(op.operands, node.args, strict=True)), "y": node}

        class Substitute(ast.NodeTransformer):
            def visit_Name(self, name: ast.Name) -> ast.expr:
                return given.get(name.id, name)

        total: ast.expr | None = None
        for argument, d in zip(node.args, op.d, strict=True):
            rate = self.of(argument)
            if rate is not None:
                partial = Substitute().visit(ast.parse(d, mode="eval")).body
                total = _sum(total, self._times(partial, rate))
        return total

    def _times(self, a: ast.expr, b: ast.expr) -> ast.expr:
        return ast.BinOp(a, ast.Mult(), b) if self.plain else _call("carry", a, b)


def _sum(a: ast.expr | None, b: ast.expr | None) -> ast.expr | None:
    return a if b is None else b if a is None else ast.BinOp(a, ast.Add(), b)
