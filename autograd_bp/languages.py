"""The table read as text in other languages: one walk, and a table of spellings for each.

This module needs nothing but the table, so that the installation can use it (see `headers`).
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterable, Mapping

from autograd_bp.ops import CODES, CONSTANTS, TABLE, Op

__all__ = [
    "IN_C", "C", "JavaScript", "Language", "accumulated", "calls", "literal", "operations",
    "row_function",
]  # fmt: skip


class Language:
    """Writes expressions of the table.

    ``functions`` says what the functions that they call are called here, ``names`` the same of
    operands.
    """

    signs: Mapping[type[ast.AST], str] = {
        ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/",
        ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
        ast.And: "&&", ast.Or: "||",
    }  # fmt: skip

    def __init__(
        self, functions: Mapping[str, str], names: Mapping[str, str] | None = None
    ) -> None:
        self.functions = functions
        self.names = names or {}

    def text(self, expression: str) -> str:
        """The expression in this language."""
        return self._written(ast.parse(expression, mode="eval").body)

    def number(self, x: float) -> str:
        """A number, exactly."""
        raise NotImplementedError

    def reduced(self, kind: str, element: str) -> str:
        """The sum or max of an element over the sequences."""
        raise NotImplementedError

    def _written(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            assert isinstance(node.value, (int, float))
            return self.number(node.value)
        if isinstance(node, ast.Name):
            if node.id in CONSTANTS:
                return self.number(CONSTANTS[node.id])
            return self.names.get(node.id, node.id)
        if isinstance(node, ast.UnaryOp):
            return f"(-{self._written(node.operand)})"
        if isinstance(node, ast.BinOp):
            return self._joined(node.op, node.left, node.right)
        if isinstance(node, ast.BoolOp):
            return self._joined(node.op, *node.values)
        if isinstance(node, ast.IfExp):
            test, body, orelse = map(self._written, (node.test, node.body, node.orelse))
            return f"({test} ? {body} : {orelse})"
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            tests = list(map(self._joined, node.ops, sides, sides[1:]))
            return tests[0] if len(tests) == 1 else f"({' && '.join(tests)})"
        assert isinstance(node, ast.Call), ast.dump(node)
        assert isinstance(node.func, ast.Name)
        arguments = list(map(self._written, node.args))
        if node.func.id in ("sum", "max"):
            return self.reduced(node.func.id, *arguments)
        return f"{self.functions[node.func.id]}({', '.join(arguments)})"

    def _joined(self, sign: ast.AST, *sides: ast.expr) -> str:
        return f"({f' {self.signs[type(sign)]} '.join(map(self._written, sides))})"


def calls(text: str) -> list[str]:
    """The functions that an expression of the table calls.

    >>> calls("x + log1p(exp(-x)) if x > 0 else log1p(exp(x))")
    ['log1p', 'exp']
    """
    nodes = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return list(dict.fromkeys(node.id for node in nodes if isinstance(node, ast.Name)))


# --- C --------------------------------------------------------------------------------------------

IN_C = {
    name: name
    for name in (
        "acos", "asin", "atan", "atan2", "cos", "cosh", "erf", "erfc", "exp", "expm1", "floor",
        "hypot", "lgamma", "log", "log10", "log1p", "log2", "polygamma", "pow", "sin", "sinh",
        "sqrt", "tan", "tanh",
    )
} | {"abs": "fabs"}  # fmt: skip
"""What the expressions call and C has in <math.h>, or in special.h."""


def literal(number: float) -> str:
    """A number as C has it, exactly.

    >>> literal(2.0), literal(0.1), literal(math.inf)
    ('2.0', '0.1', 'INFINITY')
    """
    if math.isnan(number):
        return "NAN"
    if math.isinf(number):
        return "INFINITY" if number > 0 else "-INFINITY"
    return repr(float(number))


class C(Language):
    """C99, where a reduction is a loop before the expression.

    ``loops`` are triples (name, "sum" or "max", element), each of which may use those before.

    >>> C(IN_C).text("x if x > 0 else slope*expm1(x)")
    '((x > 0.0) ? x : (slope * expm1(x)))'
    """

    def __init__(
        self, functions: Mapping[str, str], names: Mapping[str, str] | None = None, at: str = ""
    ) -> None:
        super().__init__(functions, names)
        self.loops: list[tuple[str, str, str]] = []
        self._at = at  # what follows the name of a loop's result where it is used

    def number(self, x: float) -> str:
        """A number, exactly."""
        return literal(x)

    def reduced(self, kind: str, element: str) -> str:
        """The name of the result of a loop, which one like it has already or a new one."""
        for name, *loop in self.loops:
            if loop == [kind, element]:
                return name + self._at
        self.loops.append((f"t{len(self.loops)}", kind, element))
        return self.loops[-1][0] + self._at


def accumulated(kind: str, total: str) -> tuple[str, str]:
    """What a reduction's total begins with, and what it is after one more element e."""
    if kind == "sum":
        return "0.0", f"{total} + e"
    return "-INFINITY", f"e > {total} || e != e ? e : {total}"


def row_function(op: Op, functions: Mapping[str, str], kind: str, real: str = "double") -> str:
    """A row's value as a C function, for the expressions that call it."""
    parameters = ", ".join(f"{real} {name}" for name in op.operands)
    value = C(functions).text(op.value)
    return f"{kind} {real} {functions[op.name]}({parameters})\n{{\n    return {value};\n}}\n"


# --- JavaScript -----------------------------------------------------------------------------------

IN_JAVASCRIPT = {
    name: f"Math.{name}"
    for name in (
        "abs", "acos", "asin", "atan", "atan2", "cos", "cosh", "exp", "expm1", "floor", "hypot",
        "log", "log10", "log1p", "log2", "pow", "sin", "sinh", "sqrt", "tan", "tanh",
    )
} | {"erf": "special.erf", "erfc": "special.erfc"}  # fmt: skip
"""What the expressions call and JavaScript has, or the page's special.js."""


class JavaScript(Language):
    """JavaScript, where a sequence is an array and i the position of one of its elements."""

    signs: Mapping[type[ast.AST], str] = {**Language.signs, ast.Eq: "===", ast.NotEq: "!=="}

    def __init__(self, op: Op) -> None:
        rows = {
            row.name: f"operations[{json.dumps(row.name)}].value"
            for row in TABLE
            if row.is_function and not row.is_primitive
        }
        sequences = [name[:-1] for name in op.operands if name.endswith("*")]
        names = {name: f"{name}[i]" for name in sequences}
        if sequences:
            names["n"] = f"{sequences[0]}.length"
        super().__init__(rows | IN_JAVASCRIPT, names)

    def number(self, x: float) -> str:
        """A number, exactly."""
        return repr(x) if math.isfinite(x) else "Infinity" if x > 0 else "NaN"

    def reduced(self, kind: str, element: str) -> str:
        """A call of special.js, which goes over the positions."""
        return f"special.{kind}({self.names['n']}, (i) => {element})"


def operations(names: Iterable[str]) -> str:
    """A definition of ``operations`` in JavaScript, with an entry for each row that a page needs.

    The value and each derivative are functions of the operands and, for a derivative, of the
    result y. The derivative of a sequence also takes the position i of the element that it is
    for. Raises ValueError for an operation that a page cannot compute.

    >>> print(operations(["relu"]))
    const operations = {
      "relu": {
        "value": (x) => ((x <= 0) ? 0.0 : x),
        "d": [(x, y) => ((x <= 0) ? 0.0 : 1.0)],
        "sequences": [false],
      },
    };
    """
    waiting = list(dict.fromkeys(names))
    entries: dict[str, str] = {}
    while waiting:
        name = waiting.pop(0)
        if name in entries:
            continue
        op = TABLE[CODES[name]]
        js = JavaScript(op)
        called = [f for text in (op.value, *op.d) for f in calls(text) if f not in ("sum", "max")]
        for function in called:
            if function not in js.functions:
                raise ValueError(
                    f"the page cannot compute {name}: JavaScript has no function {function}. "
                    "Do without the page, or without this operation."
                )
        waiting += [function for function in called if function not in IN_JAVASCRIPT]
        entries[name] = _entry(op, js)
    return "\n".join(["const operations = {", *entries.values(), "};"])


def _entry(op: Op, js: JavaScript) -> str:
    names = [name.rstrip("*") for name in op.operands]
    sequences = [name.endswith("*") for name in op.operands]
    derivatives = [
        f"({', '.join([*names, 'y', *['i'] * each])}) => {js.text(d)}"
        for each, d in zip(sequences, op.d, strict=True)
    ]
    return (
        f"  {json.dumps(op.name)}: {{\n"
        f'    "value": ({", ".join(names)}) => {js.text(op.value)},\n'
        f'    "d": [{", ".join(derivatives)}],\n'
        f'    "sequences": {json.dumps(sequences)},\n'
        "  },"
    )
