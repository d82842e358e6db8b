"""The table read as C: its expressions for both engines, at build time, and for exported files.

This module needs nothing but the table, so that ``setup.py`` can run it before the package is
built.
"""

from __future__ import annotations

import ast
import math
import sys
from collections.abc import Mapping
from pathlib import Path

from autograd_bp.ops import CONSTANTS, EDITION, TABLE, Op

__all__ = [
    "MATHEMATICS",
    "Sequences",
    "calls",
    "engine_rows",
    "expression",
    "kernel_codes",
    "kernel_rows",
    "literal",
    "parsed",
    "row_function",
    "write_headers",
]

MATHEMATICS = {
    name: name
    for name in (
        "acos", "asin", "atan", "atan2", "cos", "cosh", "erf", "erfc", "exp", "expm1", "floor",
        "hypot", "lgamma", "log", "log10", "log1p", "log2", "pow", "sin", "sinh", "sqrt", "tan",
        "tanh",
    )
} | {"abs": "fabs"}  # fmt: skip
"""What the expressions call, by its name in <math.h>."""

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.And: "&&", ast.Or: "||",
}  # fmt: skip


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


class Sequences:
    """The loops that an expression over sequences needs, before it can be evaluated.

    ``loops`` are triples (name, "sum" or "max", element), each of which may use those before.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = dict(names)  # of elements, inside a loop
        self.loops: list[tuple[str, str, str]] = []

    def reduced(self, call: ast.Call, functions: Mapping[str, str]) -> str:
        """The name of the result of a sum or max, of which there is one for each element."""
        assert isinstance(call.func, ast.Name)
        element = expression(call.args[0], functions, self.names, self)
        for name, kind, text in self.loops:
            if (kind, text) == (call.func.id, element):
                return self.use(name)
        self.loops.append((f"t{len(self.loops)}", call.func.id, element))
        return self.use(self.loops[-1][0])

    def use(self, name: str) -> str:
        """How an expression refers to the result of a loop."""
        return name


def expression(
    node: ast.expr,
    functions: Mapping[str, str],
    names: Mapping[str, str] | None = None,
    sequences: Sequences | None = None,
) -> str:
    """An expression of the table in C.

    ``functions`` says what the functions that it calls are called in C, ``names`` the same of
    operands; ``sequences`` collects its loops.

    >>> text = ast.parse("x if x > 0 else slope*expm1(x)", mode="eval").body
    >>> expression(text, MATHEMATICS)
    '((x > 0.0) ? x : (slope * expm1(x)))'
    """
    names = names or {}

    def c(inner: ast.expr) -> str:
        return expression(inner, functions, names, sequences)

    if isinstance(node, ast.Constant):
        assert isinstance(node.value, (int, float))
        return literal(node.value)
    if isinstance(node, ast.Name):
        if node.id in CONSTANTS:
            return literal(CONSTANTS[node.id])
        return names.get(node.id, node.id)
    if isinstance(node, ast.UnaryOp):
        return f"(-{c(node.operand)})"
    if isinstance(node, ast.BinOp):
        return f"({c(node.left)} {_OPERATORS[type(node.op)]} {c(node.right)})"
    if isinstance(node, ast.IfExp):
        return f"({c(node.test)} ? {c(node.body)} : {c(node.orelse)})"
    if isinstance(node, ast.BoolOp):
        joined = f" {_OPERATORS[type(node.op)]} ".join(map(c, node.values))
        return f"({joined})"
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        tests = [
            f"({c(a)} {_OPERATORS[type(op)]} {c(b)})"
            for a, op, b in zip(sides, node.ops, sides[1:], strict=False)
        ]
        return tests[0] if len(tests) == 1 else f"({' && '.join(tests)})"
    assert isinstance(node, ast.Call), ast.dump(node)
    assert isinstance(node.func, ast.Name)
    if sequences is not None and node.func.id in ("sum", "max"):
        return sequences.reduced(node, functions)
    return f"{functions[node.func.id]}({', '.join(map(c, node.args))})"


def parsed(text: str) -> ast.expr:
    """An expression of the table as a tree."""
    return ast.parse(text, mode="eval").body


def calls(text: str) -> list[str]:
    """The functions that an expression of the table calls.

    >>> calls("x + log1p(exp(-x)) if x > 0 else log1p(exp(x))")
    ['log1p', 'exp']
    """
    nodes = [node.func for node in ast.walk(parsed(text)) if isinstance(node, ast.Call)]
    return list(dict.fromkeys(node.id for node in nodes if isinstance(node, ast.Name)))


def row_function(op: Op, functions: Mapping[str, str], kind: str, real: str = "double") -> str:
    """A row's value as a C function, for the expressions that call it."""
    parameters = ", ".join(f"{real} {name}" for name in op.operands)
    value = expression(parsed(op.value), functions)
    return f"{kind} {real} {functions[op.name]}({parameters})\n{{\n    return {value};\n}}\n"


WRITTEN_BY = "/* Written by autograd_bp/program/c_text.py from the table in autograd_bp/ops.py. */"
WHICH_TABLE = f"enum {{ TABLE_IN_C = {EDITION} }};"


# --- the eager engine ----------------------------------------------------------------------------

# These Python computes by itself, so that the C library's differ in the last digit.
_PYTHONS_OWN = {"erf", "erfc", "hypot", "lgamma", "polygamma"}


def engine_rows() -> str:
    """The rows of one or two operands as C, for value.py: what `ops.RULES` is in Python.

    Both round alike, operation by operation. A row that calls what Python computes in a way of
    its own is left to Python, and so is every point outside a row's domain.
    """
    functions = {name: c for name, c in MATHEMATICS.items() if name not in _PYTHONS_OWN}
    functions["constant"] = "CONSTANT"
    inline: list[str] = []
    cases: list[str] = []
    for code, op in enumerate(TABLE):
        called = {name for text in (op.value, op.domain, *op.d) if text for name in calls(text)}
        if op.is_nary or not 1 <= len(op.operands) <= 2 or not called <= functions.keys():
            continue
        if op.name.isidentifier() and op.name not in functions:
            functions[op.name] = f"row_{op.name}"  # rows below may call it
            inline.append(row_function(op, functions, "static inline"))
        cases.append(_engine_case(code, op, functions))
    return "\n".join(
        [
            WRITTEN_BY,
            "#include <math.h>",
            WHICH_TABLE,
            "typedef struct { int known; double y, da, db; } Row;",
            "enum { NODE_a = 1, NODE_b = 2 }; /* in mask: which operands are nodes */",
            "#define CONSTANT(operand) (!(mask & NODE_##operand))",
            *inline,
            "/* What a row gives, and its partials for the operands in mask. Not known: a row or",
            "   a point that Python must be asked about. */",
            "static inline Row row_in_c(int code, int mask, double a, double b)",
            "{",
            "    Row row = {0, 0.0, a, b};",
            "    double y = 0.0;",
            "    switch (code) {",
            *cases,
            "    default: return row;",
            "    }",
            "    row.known = 1;",
            "    row.y = y;",
            "    return row;",
            "}",
            "",
        ]
    )


def _engine_case(code: int, op: Op, functions: Mapping[str, str]) -> str:
    names = dict(zip(op.operands, "ab", strict=False))

    def c(text: str) -> str:
        return expression(parsed(text), functions, names)

    lines = [f"    case {code}:"]
    if op.domain:
        lines.append(f"        if (!{c(op.domain)}) return row;")
    lines.append(f"        y = {c(op.value)};")
    for name, d in zip(names.values(), op.d, strict=True):
        lines.append(f"        if (mask & NODE_{name}) row.d{name} = {c(d)};")
    return "\n".join([*lines, "        break;"])


# --- the kernel -----------------------------------------------------------------------------------

VECTORISED = ["exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sigmoid", "erf", "erfc"]
"""The functions that kernel_loops.h has versions of its own for, over many lanes at once."""

LARGE_ANGLES = ("sin", "cos")  # beyond 1e5 these ask the C library, one number at a time


def _functions() -> dict[str, str]:
    ours = {name: f"V({name})" for name in VECTORISED}
    rows = {op.name: f"V(row_{op.name})" for op in TABLE if op.name.isidentifier()}
    return rows | MATHEMATICS | ours


def kernel_rows() -> str:
    """The loops over lanes for every row of the table, for inclusion in kernel_loops.h."""
    functions = _functions()
    inline: list[str] = []
    cases: list[str] = []
    many: list[str] = []
    for code, op in enumerate(TABLE):
        if not op.operands or op.name == "polygamma":
            continue
        if op.is_nary:
            many.append(_nary_case(code, op, functions))
            continue
        if op.name.isidentifier() and op.name not in MATHEMATICS and op.name not in VECTORISED:
            inline.append(row_function(op, functions, "static inline"))
        cases.append(_case(code, op, functions))
    return "\n".join(
        [
            WRITTEN_BY,
            *inline,
            "static void V(elementwise)(int op, int rows, int n, double *y, const double *from, "
            "const int32_t *index, int stride)",
            "{",
            "    WHOLE_VECTORS",
            "    switch (op) {",
            *cases,
            "    }",
            "}",
            "static void V(many)(int op, int k, int n, double *restrict y, const double **p)",
            "{",
            "    WHOLE_VECTORS",
            "    switch (op) {",
            *many,
            "    }",
            "}",
            "",
        ]
    )


def _case(code: int, op: Op, functions: Mapping[str, str]) -> str:
    names = {name: f"p{i}[l]" for i, name in enumerate(op.operands)}
    if op.name in VECTORISED:
        value = f"V({op.name})(p0[l])"
    else:
        value = expression(parsed(op.value), functions, names)
    count = len(op.operands)
    lines = [
        f"    case {code}:",
        f"        for (; rows--; y += stride, index += {count}) {{",
        "            double *restrict out = y;",
        *[f"            const double *restrict p{i} = from + (size_t)index[{i}] * stride;"
          for i in range(count)],
        f"            LANES out[l] = {value};",
    ]  # fmt: skip
    if op.name in LARGE_ANGLES:
        lines.append(f"            LARGE_ANGLES({op.name})")
    return "\n".join([*lines, "        }", "        break;"])


class _RowSequences(Sequences):
    def use(self, name: str) -> str:
        return f"{name}[l]"


def _nary_case(code: int, op: Op, functions: Mapping[str, str]) -> str:
    stride = [name.rstrip("*") for name in op.operands if name.endswith("*")]
    names = {name: f"x{i}[l]" for i, name in enumerate(stride)}
    names["n"] = "(double)k"
    for name in op.operands:
        if not name.endswith("*"):
            names[name] = f"p[{len(stride)} * k][l]"
    sequences = _RowSequences(names)
    value = expression(parsed(op.value), functions, names, sequences)
    lines = [f"    case {code}: {{"]
    for name, kind, element in sequences.loops:
        begin = "0.0" if kind == "sum" else "-INFINITY"
        update = f"{name}[l] + e" if kind == "sum" else f"e > {name}[l] || e != e ? e : {name}[l]"
        elements = " ".join(
            f"const double *restrict x{j} = p[{j} * k + i];" for j in range(len(stride))
        )
        lines += [
            f"        double {name}[LARGEST];",
            f"        LANES {name}[l] = {begin};",
            f"        for (int i = 0; i < k; i++) {{ {elements}",
            f"            LANES {{ double e = {element}; {name}[l] = {update}; }} }}",
        ]
    return "\n".join([*lines, f"        LANES y[l] = {value};", "        break; }"])


def kernel_codes() -> str:
    """What the kernel must know of the operations' positions in the table."""
    counts = ", ".join(str(0 if op.is_nary else len(op.operands)) for op in TABLE)
    nary = " || ".join(f"op == {code}" for code, op in enumerate(TABLE) if op.is_nary)
    codes = {op.name: code for code, op in enumerate(TABLE)}
    return (
        f"{WRITTEN_BY}\n{WHICH_TABLE}\n"
        f"enum {{ DOT = {codes['dot']}, CARRY_DOT = {codes['carry_dot']}, "
        f"SUM_OF = {codes['sum_of']} }};\n"
        f"static const int operand_count[] = {{{counts}}};\n"
        f"static inline int is_nary(int op) {{ return {nary}; }}\n"
    )


def write_headers(folder: Path) -> None:
    """Write the two headers that kernel.c includes, and the one of the eager engine."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "engine_rows.h").write_text(engine_rows(), "utf-8")
    (folder / "kernel_rows.h").write_text(kernel_rows(), "utf-8")
    (folder / "kernel_codes.h").write_text(kernel_codes(), "utf-8")


if __name__ == "__main__":
    write_headers(Path(sys.argv[1]))
