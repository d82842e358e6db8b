"""Mutants of the table of operations, whose rows are strings: no tool sees into them."""

import ast
import copy
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,),
}  # fmt: skip


NAMES = frozenset(
    re.findall(r'_row\("([^"]+)"', (ROOT / "autograd_bp" / "ops.py").read_text("utf-8"))
)


def changes(table: ast.AST) -> Iterator[tuple[str, ast.Call, tuple[int, int, int, int], str, str]]:
    """Of each row its name, the call, the place of an expression, what it is, another literal."""
    for row in ast.walk(table):
        if isinstance(row, ast.Call) and isinstance(row.func, ast.Name) and row.func.id == "_row":
            name, operands, value, d = row.args[:4]
            names = [operand.rstrip("*") for operand in operands.value.split()]
            domains = [part.value for part in row.keywords if part.arg == "domain"]
            for part in [value, *d.elts, *domains]:
                if not part.value:
                    continue
                place = part.lineno, part.col_offset, part.end_lineno, part.end_col_offset
                for new in others(part.value, names, part in d.elts, part in domains):
                    yield name.value, row, place, part.value, repr(new)


def others(text: str, operands: list[str], is_partial: bool, is_domain: bool) -> Iterator[str]:
    """The expression with one thing wrong in it.

    An operator replaced, a comparison turned or moved by its boundary, a sign left out, a number
    one larger or smaller, one branch always taken, a function left out, an operand in the place of
    another; the whole with the opposite sign; no domain.
    """
    tree = ast.parse(text, mode="eval")
    names = [*operands, "y"] if is_partial else operands
    for i, node in enumerate(ast.walk(tree.body)):
        for new in _replacements(node, names):
            other = ast.unparse(_Replace(i, new).visit(copy.deepcopy(tree)))
            if other != ast.unparse(tree):  # 1e300 + 1 is 1e300
                yield other
    if is_domain:
        yield ""
    elif text not in ("0.0", "nan"):
        yield f"-({text})"


def _replacements(node: ast.AST, names: list[str]) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp):
        yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
    elif isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            for other in COMPARISONS[type(op)]:
                ops = [*node.ops[:i], other(), *node.ops[i + 1 :]]
                yield ast.Compare(node.left, ops, node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Call):
        yield node.args[0]
    elif isinstance(node, ast.Constant):
        yield ast.Constant(node.value + 1)
        yield ast.Constant(node.value - 1)
    elif isinstance(node, ast.Name) and node.id in names:
        yield from (ast.Name(name) for name in names if name != node.id)


class _Replace(ast.NodeTransformer):
    """Put another expression in the place of the node that `ast.walk` comes to as number i."""

    def __init__(self, i: int, new: ast.expr) -> None:
        self.i, self.new = i, new

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Expression):
            self.target = list(ast.walk(node.body))[self.i]
        if node is self.target:
            return self.new
        return self.generic_visit(node)
