"""The table of operations read as JavaScript, so that a page can run a tape.

>>> print(operations(["relu"]))
const operations = {
  "relu": {
    "value": (x) => ((x <= 0) ? 0.0 : x),
    "d": [(x, y) => ((x <= 0) ? 0.0 : 1.0)],
    "sequences": [false],
  },
};

The value and each derivative are functions of the operands (a sequence is an array) and, for a
derivative, of the result y. The derivative of a sequence also takes the position i of the element
that it is for. `special.js` has what JavaScript lacks.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterable

from autograd_bp.ops import CODES, CONSTANTS, TABLE, Op

__all__ = ["operations"]

IN_MATH = [
    "abs", "acos", "asin", "atan", "atan2", "cos", "cosh", "exp", "expm1", "floor", "hypot", "log",
    "log10", "log1p", "log2", "pow", "sin", "sinh", "sqrt", "tan", "tanh",
]  # fmt: skip
FUNCTIONS = {name: f"Math.{name}" for name in IN_MATH} | {
    "erf": "special.erf",
    "erfc": "special.erfc",
}
"""What the expressions call, by its name in JavaScript."""

SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "===", ast.NotEq: "!==",
    ast.And: "&&", ast.Or: "||",
}  # fmt: skip


def operations(names: Iterable[str]) -> str:
    """A definition of ``operations``, an object with an entry for each of these rows.

    Raises ValueError for an operation that a page cannot compute.
    """
    waiting = list(dict.fromkeys(names))
    entries: dict[str, str] = {}
    while waiting:
        name = waiting.pop(0)
        if name not in entries:
            row = _Row(TABLE[CODES[name]])
            entries[name] = row.text()
            waiting += row.calls
    return "\n".join(["const operations = {", *entries.values(), "};"])


class _Row:
    """A row of the table in JavaScript; ``calls`` are the other rows that it calls."""

    def __init__(self, op: Op) -> None:
        self.op = op
        self.calls: list[str] = []
        self.sequences = [name[:-1] for name in op.operands if name.endswith("*")]

    def text(self) -> str:
        names = [name.rstrip("*") for name in self.op.operands]
        derivatives = [
            f"({', '.join([*names, 'y', 'i'] if operand.endswith('*') else [*names, 'y'])}) => "
            f"{self._js(d)}"
            for operand, d in zip(self.op.operands, self.op.d, strict=True)
        ]
        sequences = [operand.endswith("*") for operand in self.op.operands]
        return (
            f"  {json.dumps(self.op.name)}: {{\n"
            f'    "value": ({", ".join(names)}) => {self._js(self.op.value)},\n'
            f'    "d": [{", ".join(derivatives)}],\n'
            f'    "sequences": {json.dumps(sequences)},\n'
            "  },"
        )

    def _js(self, expression: str) -> str:
        return self._written(ast.parse(expression, mode="eval").body)

    def _written(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return repr(node.value)
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.UnaryOp):
            return f"(-{self._written(node.operand)})"
        if isinstance(node, ast.BinOp):
            return self._joined(node.op, node.left, node.right)
        if isinstance(node, ast.IfExp):
            test, body, orelse = map(self._written, (node.test, node.body, node.orelse))
            return f"({test} ? {body} : {orelse})"
        if isinstance(node, ast.BoolOp):
            return self._joined(node.op, *node.values)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            tests = list(map(self._joined, node.ops, sides, sides[1:]))
            return tests[0] if len(tests) == 1 else f"({' && '.join(tests)})"
        assert isinstance(node, ast.Call), ast.dump(node)
        assert isinstance(node.func, ast.Name)
        return self._call(node.func.id, node.args)

    def _joined(self, sign: ast.AST, *sides: ast.expr) -> str:
        return f"({f' {SIGNS[type(sign)]} '.join(map(self._written, sides))})"

    def _name(self, name: str) -> str:
        if name in CONSTANTS:
            x = CONSTANTS[name]
            return repr(x) if math.isfinite(x) else "Infinity" if x > 0 else "NaN"
        if name in self.sequences:
            return f"{name}[i]"
        return f"{self.sequences[0]}.length" if name == "n" and self.sequences else name

    def _call(self, name: str, arguments: list[ast.expr]) -> str:
        if name in ("sum", "max"):
            length = f"{self.sequences[0]}.length"
            return f"special.{name}({length}, (i) => {self._written(arguments[0])})"
        if name in FUNCTIONS:
            called = FUNCTIONS[name]
        elif name in CODES and TABLE[CODES[name]].value != f"{name}({', '.join(self.op.operands)})":
            self.calls.append(name)
            called = f"operations[{json.dumps(name)}].value"
        else:
            raise ValueError(
                f"the page cannot compute {self.op.name}: JavaScript has no function {name}. "
                "Do without the page, or without this operation."
            )
        return f"{called}({', '.join(map(self._written, arguments))})"
