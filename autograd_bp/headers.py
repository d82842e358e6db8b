"""What the installation writes from the table in C, for the eager engine and for the kernel.

``python -m autograd_bp.headers FOLDER``, which ``setup.py`` runs before the package is built.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from autograd_bp.languages import IN_C, C, accumulated, calls, row_function
from autograd_bp.ops import CODES, EDITION, TABLE, Op

__all__ = ["engine_rows", "kernel_codes", "kernel_rows", "write_headers"]

WRITTEN_BY = "/* Written by autograd_bp/headers.py from the table in autograd_bp/ops.py. */"
WHICH_TABLE = f"enum {{ TABLE_IN_C = {EDITION} }};"


# --- the eager engine ----------------------------------------------------------------------------

# Of these Python's versions are its own: the C library's differ in the last digit.
DIFFERENT_IN_PYTHON = {"erf", "erfc", "hypot", "lgamma"}


def engine_rows() -> str:
    """The rows of one or two operands as C, for value.py: what `rules.RULES` is in Python.

    Both round alike, operation by operation. A row that calls what Python computes in a way of
    its own is left to Python, and so is every point outside a row's domain.
    """
    functions = {name: c for name, c in IN_C.items() if name not in DIFFERENT_IN_PYTHON}
    functions["constant"] = "CONSTANT"
    inline: list[str] = []
    cases: list[str] = []
    for code, op in enumerate(TABLE):
        called = {name for text in (op.value, op.domain, *op.d) for name in calls(text)}
        if op.is_nary or not 1 <= len(op.operands) <= 2 or not called <= functions.keys():
            continue
        if op.is_function and op.name not in functions:
            functions[op.name] = f"row_{op.name}"  # rows below may call it
            inline.append(row_function(op, functions, "static inline"))
        cases.append(_engine_case(code, op, functions))
    return "\n".join(
        [
            WRITTEN_BY,
            "#include <math.h>",
            '#include "special.h"',
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
    c = C(functions, names)
    lines = [f"    case {code}:"]
    if op.domain:
        lines.append(f"        if (!{c.text(op.domain)}) return row;")
    lines.append(f"        y = {c.text(op.value)};")
    for name, d in zip(names.values(), op.d, strict=True):
        lines.append(f"        if (mask & NODE_{name}) row.d{name} = {c.text(d)};")
    return "\n".join([*lines, "        break;"])


# --- the kernel -----------------------------------------------------------------------------------

VECTORISED = ["exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sigmoid", "erf", "erfc"]
"""The functions that kernel_loops.h has versions of its own for, over many lanes at once."""

LARGE_ANGLES = ("sin", "cos")  # beyond 1e5 these ask the C library, one number at a time


def _functions() -> dict[str, str]:
    ours = {name: f"V({name})" for name in VECTORISED}
    rows = {op.name: f"V(row_{op.name})" for op in TABLE if op.name.isidentifier()}
    return rows | IN_C | ours


def kernel_rows() -> str:
    """The loops over lanes for every row of the table, for inclusion in kernel_loops.h."""
    functions = _functions()
    inline: list[str] = []
    cases: list[str] = []
    many: list[str] = []
    for code, op in enumerate(TABLE):
        if not op.operands:
            continue
        if op.is_nary:
            many.append(_nary_case(code, op, functions))
            continue
        if op.is_function and op.name not in IN_C and op.name not in VECTORISED:
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
    own = op.name in VECTORISED
    value = f"V({op.name})(p0[l])" if own else C(functions, names).text(op.value)
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


def _nary_case(code: int, op: Op, functions: Mapping[str, str]) -> str:
    stride = [name.rstrip("*") for name in op.operands if name.endswith("*")]
    names = {name: f"x{i}[l]" for i, name in enumerate(stride)}
    names["n"] = "(double)k"
    for name in op.operands:
        if not name.endswith("*"):
            names[name] = f"p[{len(stride)} * k][l]"
    c = C(functions, names, at="[l]")
    value = c.text(op.value)
    lines = [f"    case {code}: {{"]
    for name, kind, element in c.loops:
        begin, update = accumulated(kind, f"{name}[l]")
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
    return (
        f"{WRITTEN_BY}\n{WHICH_TABLE}\n"
        f"enum {{ DOT = {CODES['dot']}, CARRY_DOT = {CODES['carry_dot']}, "
        f"SUM_OF = {CODES['sum_of']} }};\n"
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
