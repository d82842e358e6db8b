"""How a `Reading` turns the expressions of the table into functions.

The expressions are Python, so Python's own `ast` parses them. Reading one in another
arithmetic takes three rewrites: a division becomes a call of ``div`` (Python's raises where
IEEE 754 has ±inf), the sides of a comparison pass through ``real`` (a node compares by its
number), and a reduction over a sequence becomes a list.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from typing import Any

from autograd_bp.ops import CODES, TABLE, Op

__all__ = ["Expressions", "plain", "rate"]

# The names by which expressions call the rows whose own names are no identifiers.
_ROW_OF_FUNCTION = {"pow": "**"}


class Expressions:
    """Parses, differentiates and compiles expressions, given what their names stand for."""

    def __init__(self, names: Mapping[str, Any], calls: bool = False) -> None:
        self._names = dict(names)
        self._calls = calls  # whether branches and comparisons become calls: see `selected`

    def parse(self, text: str, constants: Collection[str] = ()) -> ast.expr:
        """The expression with ``constant(b)`` decided: whether b is among the constants."""

        class Decide(ast.NodeTransformer):
            def visit_Call(self, node: ast.Call) -> ast.expr:
                self.generic_visit(node)
                if isinstance(node.func, ast.Name) and node.func.id == "constant":
                    return ast.Constant(ast.unparse(node.args[0]) in constants)
                return node

        tree: ast.Expression = Decide().visit(ast.parse(text, mode="eval"))
        if self._calls:
            from autograd_bp.program.reading import selected

            return selected(ast.unparse(tree))
        return tree.body

    def function(self, body: ast.expr, names: Collection[str], each: bool = False) -> Any:
        """A function of the names; ``each`` gives a list, one result for each element."""
        sequences = [name[:-1] for name in names if name.endswith("*")]
        # Differentiation shares subtrees and rewriting changes them: parse anew to part them.
        body = _Rewrite(sequences).visit(ast.parse(ast.unparse(body), mode="eval").body)
        if each:
            body = _over_all(body, sequences)
        parameters = ["all_" + name[:-1] if name.endswith("*") else name for name in names]
        source = ast.parse(f"lambda {', '.join(parameters)}: 0", mode="eval")
        assert isinstance(source.body, ast.Lambda)
        source.body.body = body
        code = compile(ast.fix_missing_locations(source), f"<{ast.unparse(body)}>", "eval")
        return eval(code, self._names)


class _Rewrite(ast.NodeTransformer):
    def __init__(self, sequences: list[str]) -> None:
        self.sequences = sequences

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        return _call("div", node.left, node.right) if isinstance(node.op, ast.Div) else node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        node.left = _call("real", node.left)
        node.comparators = [_call("real", side) for side in node.comparators]
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if _name_of(node) in ("sum", "max"):
            node.args = [_over_all(node.args[0], self.sequences)]
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id == "n" and self.sequences:
            return _call("len", ast.Name("all_" + self.sequences[0], ast.Load()))
        return node


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


def rate(text: str, moving: Collection[str]) -> ast.expr:
    """d/dt of an expression of which the names in ``moving`` change, x at the rate t_x.

    A rate that is 0 carries nothing, so products with rates are calls of ``carry``, and quotients
    of ``carry_div``.

    >>> ast.unparse(rate("y*(1.0 - y)", ["y"]))
    'carry(t_y, 1.0 - y) + carry(y, -t_y)'
    """
    return _rate(ast.parse(text, mode="eval").body, moving) or ast.Constant(0.0)


def plain(rate: ast.expr) -> ast.expr:
    """A rate with ordinary products and quotients, which are quicker: it may be NaN instead.

    >>> ast.unparse(plain(rate("y*(1.0 - y)", ["y"])))
    't_y * (1.0 - y) + y * -t_y'
    """

    class Plain(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.expr:
            self.generic_visit(node)
            op = {"carry": ast.Mult(), "carry_div": ast.Div()}.get(_name_of(node))
            return ast.BinOp(node.args[0], op, node.args[1]) if op else node

    # Differentiation shares subtrees and rewriting changes them: parse anew to part them.
    result: ast.expr = Plain().visit(ast.parse(ast.unparse(rate), mode="eval").body)
    return result


def _rate(node: ast.expr, moving: Collection[str]) -> ast.expr | None:
    """d/dt of an expression by the rules of calculus; None where it does not change."""
    if isinstance(node, ast.Name):
        return ast.Name("t_" + node.id, ast.Load()) if node.id in moving else None
    if isinstance(node, ast.UnaryOp):
        rate = _rate(node.operand, moving)
        return rate and ast.UnaryOp(node.op, rate)
    if isinstance(node, ast.IfExp):
        body, orelse = _rate(node.body, moving), _rate(node.orelse, moving)
        if body is None and orelse is None:
            return None
        zero = ast.Constant(0.0)
        return ast.IfExp(node.test, body or zero, orelse or zero)
    if isinstance(node, ast.BinOp):
        return _rate_of_arithmetic(node, moving)
    if isinstance(node, ast.Call):
        return _rate_of_call(node, moving)
    assert isinstance(node, ast.Constant), ast.dump(node)
    return None


def _rate_of_arithmetic(node: ast.BinOp, moving: Collection[str]) -> ast.expr | None:
    a, b = node.left, node.right
    da, db = _rate(a, moving), _rate(b, moving)
    if isinstance(node.op, ast.Mult):
        return _sum(da and _call("carry", da, b), db and _call("carry", a, db))
    if isinstance(node.op, ast.Div):  # (da - (a/b)·db)/b
        change = db and _call("carry", node, db)
        above = _sum(da, change and ast.UnaryOp(ast.USub(), change))
        return above and _call("carry_div", above, b)
    if isinstance(node.op, ast.Sub):
        return _sum(da, db and ast.UnaryOp(ast.USub(), db))
    assert isinstance(node.op, ast.Add)
    return _sum(da, db)


def _rate_of_call(node: ast.Call, moving: Collection[str]) -> ast.expr | None:
    """The chain rule with the partials of the row that the expression calls."""
    name = _name_of(node)
    if name == "floor":
        return None
    op: Op = TABLE[CODES[_ROW_OF_FUNCTION.get(name, name)]]
    given = {**dict(zip(op.operands, node.args, strict=True)), "y": node}

    class Substitute(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.expr:
            return given.get(name.id, name)

    total: ast.expr | None = None
    for argument, d in zip(node.args, op.d, strict=True):
        rate = _rate(argument, moving)
        if rate is not None:
            partial = Substitute().visit(ast.parse(d, mode="eval")).body
            total = _sum(total, _call("carry", partial, rate))
    return total


def _sum(a: ast.expr | None, b: ast.expr | None) -> ast.expr | None:
    return a if b is None else b if a is None else ast.BinOp(a, ast.Add(), b)
