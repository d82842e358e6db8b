"""How a node is named, and its operation and local derivatives are written, for people."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from autograd_bp.ops import Op, grouped
from autograd_bp.value import Value

__all__ = [
    "formula", "in_one_line", "is_arithmetic", "local_derivatives", "names", "number", "operation",
    "set_off",
]  # fmt: skip

LONGEST = 60  # characters of a label
LONGEST_IN_FORMULA = 20
MOST = 6  # terms of a sum that are written out
OPENING, CLOSING = ("(", ", ", "|", ">"), (")", ", ", "|", "<")  # around what needs no brackets
UNLABELLED = "…"  # an operand without a label, in a formula

CONSTANTS = {
    "LN2": "ln 2", "LN10": "ln 10", "SQRT2": "√2", "SQRTPI": "√π", "SQRT2PI": "√(2π)",
    "inf": "∞", "nan": "NaN", "log": "ln", "sigmoid": "σ", "polygamma": "ψ",
}  # fmt: skip
SIGNS = {"-": "−", " * ": "·", " / ": "/", ">=": "≥", "<=": "≤", "!=": "≠", "==": "="}
RAISED = str.maketrans("-−0123456789", "⁻⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SUPERSCRIPTS = {"ᵇ": "b", "ˣ": "x", "⁽ⁿ⁾": "(n)"}
"""Operands that stand raised in the rows' notations."""
COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip


# --- names and numbers ----------------------------------------------------------------------------


def in_one_line(label: str, longest: int = LONGEST) -> str:
    """A label on one line, and not too long."""
    text = " ".join(label.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def names(
    nodes: Sequence[Value],
    written: Callable[[str], str] = in_one_line,
    unlabelled: Callable[[int], str] | None = None,
) -> list[str]:
    """A name for each node of a graph in topological order: its label, as it is ``written``.

    Nodes with the same label are told apart by their positions. Without a label, the root is C if
    no other is, and others are what ``unlabelled`` calls them by their positions, or v1, v2, …
    """
    labels = [written(node.label) for node in nodes]
    several = Counter(labels)
    free = (f"v{k}" for k in range(1, 2 * len(nodes) + 2) if f"v{k}" not in several)
    found = []
    for i, label in enumerate(labels):
        if label:
            found.append(label if several[label] == 1 else f"{label}#{i}")
        elif i == len(nodes) - 1 and "C" not in several:
            found.append("C")
        else:
            found.append(unlabelled(i) if unlabelled else next(free))
    return found


def number(x: float) -> str:
    """Four digits, with the minus of mathematics."""
    return format(x + 0.0, ".4g").replace("-", "−").replace("inf", "∞")  # + 0.0: no −0


def set_off(text: str) -> str:
    """A name or number as an operand, in brackets where it would be misread without."""
    return text if re.fullmatch(r"[\w.,'#\[\]…]+", text) else f"({text})"


# --- operations -----------------------------------------------------------------------------------


def is_arithmetic(rule: Any) -> bool:
    """Whether an operation is written by a sign, and not as a function."""
    return not rule.name.isidentifier() or rule.notation.startswith("−")


def operation(node: Value, operands: Sequence[str]) -> str:
    """What the node computes from operands that are written so, in one line.

    >>> operation(Value(3.0) * 2.0, ["x", "2"])
    'x·2'
    """
    if node.is_leaf:
        return ""
    rule = node.rule
    if not isinstance(rule, Op):
        return f"{node.op}({', '.join(operands)})"
    groups = grouped(rule, operands)
    if rule.sequences == 2:
        w, x, b = groups
        has_bias = isinstance(node.operands[-1], Value) or node.operands[-1] != 0
        products = [f"{set_off(p)}·{set_off(q)}" for p, q in zip(w, x, strict=True)]
        return " + ".join([*_some(products), *([b] if has_bias else [])])
    if rule.is_nary:
        return f"{node.op}({', '.join(_some(groups[0]))})"
    if is_arithmetic(rule):
        texts = dict(zip(rule.operands, map(set_off, groups), strict=True))
        texts["ᵇ"] = _raised(texts.get("b", ""))
        notation = rule.notation.replace("/", " / ")
        return re.sub("|".join(texts), lambda found: texts[found[0]], notation)
    return f"{CONSTANTS.get(node.op, node.op)}({', '.join(groups)})"


def _raised(exponent: str) -> str:
    return exponent.translate(RAISED) if exponent.isdecimal() else f"^{exponent}"


def _some(terms: list[str]) -> list[str]:
    return terms if len(terms) <= MOST else [*terms[: MOST - 1], "…", terms[-1]]


def formula(
    node: Value,
    labels: Mapping[Value, str],
    depth: int,
    escaped: Callable[[str, int], str],
    raised: Callable[[str], str],
) -> str:
    """The row's notation with the node's plain numbers and its operands' labels put in, as markup.

    An operand without a label is its own formula, down to ``depth`` operations below this one.
    Text that is no markup is ``escaped``, and cut to a length.
    """
    rule = node.rule
    notation = escaped(_notation(node), LONGEST)
    if not isinstance(rule, Op):
        return notation
    if node.is_leaf:
        return ""
    operands = dict(zip(rule.operands, grouped(rule, node.operands), strict=True))
    if rule.is_nary:  # only a plain bias is to be put in
        operands = {name: x for name, x in operands.items() if isinstance(x, float)}
    for letter, plain in SUPERSCRIPTS.items():
        power = operands.get(plain)
        if isinstance(power, float) and power.is_integer() and abs(power) < 1000:
            text = str(round(power)).translate(RAISED)
        else:
            text = raised(plain)
        notation = notation.replace(letter, text)
    if not operands:
        return notation

    def put_in(found: re.Match[str]) -> str:
        x, before, after = operands[found[0]], notation[: found.start()], notation[found.end() :]
        is_set_off = before.endswith(OPENING) and after.startswith(CLOSING)
        if isinstance(x, float):
            text = number(x)
            is_simple = not x < 0 or not before
        elif labels[x]:
            label = in_one_line(labels[x], len(labels[x]))
            text = escaped(label, LONGEST_IN_FORMULA) or UNLABELLED
            is_simple = set_off(label) == label
        else:
            text = formula(x, labels, depth - 1, escaped, raised) if depth else ""
            if not text:
                return UNLABELLED
            around = before.rstrip()[-1:] + after.lstrip()[:1]
            is_simple = around in ("+", "−") and not _is_sum(x)
        return text if is_simple or is_set_off else f"({text})"

    return re.sub(rf"(?<![A-Za-z])({'|'.join(operands)})(?![A-Za-z])", put_in, notation)


def _notation(node: Value) -> str:
    """The row's notation, without the bias where a `dot` has none."""
    has_none = isinstance(node.rule, Op) and node.rule.is_nary and node.operands[-1] == 0.0
    notation: str = node.rule.notation
    return notation.removesuffix(" + b") if has_none else notation


def _is_sum(node: Value) -> bool:
    """Whether a node's formula would be misread beside a plus or a minus."""
    return bool(re.search(r"[+−<≤,]| if ", re.sub(r"\(.*?\)", "", _notation(node))))


# --- local derivatives ----------------------------------------------------------------------------


def local_derivatives(node: Value, name: str, operands: Sequence[str]) -> list[str]:
    """∂node/∂parent for each of its parents, as the table has it with these names put in.

    >>> x = Value(3.0)
    >>> local_derivatives(x**2.0, "y", ["x", "2"]), local_derivatives(x.sigmoid(), "y", ["x"])
    (['2·x'], ['y·(1 − y)'])
    """
    if not isinstance(node.rule, Op):
        return [f"∂{name}/∂{text}" for text in _of_parents(node, operands)]
    written = grouped(node.rule, operands)
    given = grouped(node.rule, node.operands)
    texts: list[str] = []
    for k, (operand, d) in enumerate(zip(node.rule.operands, node.rule.d, strict=True)):
        for j in range(len(given[k]) if operand.endswith("*") else 1):
            terms: dict[str, ast.expr] = (
                {"n": ast.Constant(float(len(given[0])))} if (node.rule.is_nary) else {}
            )
            texts_of = {"y": name}
            point = {"y": node.data}
            for other, text, x in zip(node.rule.operands, written, given, strict=True):
                plain = other.rstrip("*")
                one, its = (x[j], text[j]) if other.endswith("*") else (x, text)
                texts_of[plain] = its
                point[plain] = one.data if isinstance(one, Value) else one
                if not isinstance(one, Value):
                    terms[plain] = _literal(one)
            texts.append(_written(d, terms, texts_of, point))
    return _of_parents(node, texts)


def _of_parents(node: Value, texts: Sequence[str]) -> list[str]:
    return [text for text, x in zip(texts, node.operands, strict=True) if isinstance(x, Value)]


def _written(
    expression: str,
    known: Mapping[str, ast.expr],
    texts: Mapping[str, str],
    point: Mapping[str, float],
) -> str:
    """An expression of the table as mathematics: plain operands put in, the rest by name."""
    tree = _Simplify(known, point).visit(ast.parse(expression, mode="eval")).body
    text = _symbols(ast.unparse(ast.fix_missing_locations(tree)))
    alone = isinstance(tree, ast.Name)
    return re.sub(
        r"[A-Za-z_][A-Za-z_0-9]*",
        lambda word: (
            (texts[word[0]] if alone else set_off(texts[word[0]]))
            if word[0] in texts
            else CONSTANTS.get(word[0], word[0])
        ),
        text,
    )


def _symbols(text: str) -> str:
    """Python's signs and numbers as those of mathematics."""
    text = re.sub(r"(?<![\w.])\d+\.?\d*(?:e[+-]?\d+)?", lambda found: number(float(found[0])), text)
    for sign, symbol in SIGNS.items():
        text = text.replace(sign, symbol)
    return re.sub(r" \*\* (\d+)\b(?!\.)", lambda found: _raised(found[1]), text).replace(
        " ** ", "^"
    )


class _Simplify(ast.NodeTransformer):
    """Puts known numbers in, and computes what then follows from numbers alone.

    What guards a formula at 0 or at the ends of the range is decided by the numbers at the point.
    """

    def __init__(self, known: Mapping[str, ast.expr], point: Mapping[str, float]) -> None:
        self.known = known
        self.point = point

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.known.get(node.id, node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        a, b = _constant(node.left), _constant(node.right)
        if isinstance(node.op, ast.Sub) and a is not None and b is not None:
            return _literal(a - b)
        if isinstance(node.op, ast.Mult) and 1.0 in (a, b):
            return node.right if a == 1.0 else node.left
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        sides = [node.left, *node.comparators]
        numbers = [_constant(side) for side in sides]
        if _is_guard(node.ops, numbers):
            numbers = [self._at_the_point(side) for side in sides]
        known = [x for x in numbers if x is not None]
        if len(known) < len(numbers):
            return node
        pairs = zip(node.ops, pairwise(known), strict=True)
        return ast.Constant(all(COMPARISONS[type(op)](a, b) for op, (a, b) in pairs))

    def _at_the_point(self, side: ast.expr) -> float | None:
        if isinstance(side, ast.Call) and _is_call_of("abs", side):
            x = self._at_the_point(side.args[0])
            return None if x is None else abs(x)
        if isinstance(side, ast.Name):
            return self.point.get(side.id, _constant(side))
        return _constant(side)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        decides = isinstance(node.op, ast.Or)  # True decides an "or", False an "and"
        if any(isinstance(x, ast.Constant) and x.value is decides for x in node.values):
            return ast.Constant(decides)
        undecided = [x for x in node.values if not isinstance(x, ast.Constant)]
        if len(undecided) > 1:
            return ast.BoolOp(node.op, undecided)
        return undecided[0] if undecided else ast.Constant(not decides)

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if _is_call_of("detach", node):
            return node.args[0]
        if _is_call_of("carry", node):
            return self.visit_BinOp(ast.BinOp(node.args[0], ast.Mult(), node.args[1]))
        if _is_call_of("pow", node):
            base, exponent = node.args
            if _constant(exponent) in (0.0, 1.0):
                return base if _constant(exponent) else _literal(1.0)
            return ast.BinOp(base, ast.Pow(), exponent)
        return node


def _is_call_of(name: str, node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == name


def _is_guard(ops: Sequence[ast.cmpop], numbers: Sequence[float | None]) -> bool:
    """Whether a comparison looks for 0 itself, or for the ends of the range."""
    if any(isinstance(op, (ast.Eq, ast.NotEq)) for op in ops):
        return True
    return any(x is not None and x != 0 and not 1e-100 < abs(x) < 1e15 for x in numbers)


def _literal(x: float) -> ast.expr:
    """A number as an expression, of which Python's signs for infinity and below 0 are parts."""
    if x != x:
        return ast.Name("nan", ast.Load())
    size = ast.Name("inf", ast.Load()) if math.isinf(x) else ast.Constant(abs(x))
    return ast.UnaryOp(ast.USub(), size) if x < 0 else size


def _constant(node: ast.expr) -> float | None:
    """The number that an expression is, if it is one."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        x = _constant(node.operand)
        return None if x is None else -x
    if isinstance(node, ast.Name) and node.id == "inf":
        return math.inf
    if isinstance(node, ast.Constant) and isinstance(node.value, float | int):
        return float(node.value)
    return None
