"""Writes a program as C99: a file and a header that need nothing but <math.h>.

Numbers stand in one array that the caller provides, inputs first, then constants, then results.
Instructions of one kind at one distance from the inputs become a loop, matrix products three
nested ones; where their operands stand at regular distances, as in the layers of a network, a
loop needs no table of indices.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from autograd_bp.files import write_whole
from autograd_bp.languages import IN_C, C, accumulated, calls, literal, row_function
from autograd_bp.ops import CODES, TABLE, Op
from autograd_bp.program.c_names import free_name, is_reserved
from autograd_bp.program.derive import gradient
from autograd_bp.program.instructions import columns_of
from autograd_bp.program.plan import PRODUCT, Plan
from autograd_bp.program.signature import Function
from autograd_bp.special import HEADER
from autograd_bp.text import printable

__all__ = ["write_c"]

TYPES = {"float64": "double", "float32": "float"}
FUNCTIONS = {op.name: f"row_{op.name}" for op in TABLE if op.is_function} | IN_C
UNSAID = re.compile(r'["\\\x00-\x1f\x7f]|\?\?[=/\'()!<>-]')
"""What a file's name may not have in an #include: what ends it, escapes, and trigraphs."""


def write_c(program: Function, path: str | os.PathLike[str], name: str, dtype: str) -> None:
    """What `Program.to_c` does."""
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, got {name!r}; write 'model', for instance")
    if not name.isidentifier() or not name.isascii() or is_reserved(name):
        raise ValueError(
            "name must be a name in C that is still free, in C++ and its libraries too, such as "
            f"{free_name(name, default='model')!r}; got {name!r}"
        )
    if dtype not in TYPES:
        raise ValueError(f'dtype must be "float64" or "float32", got {dtype!r}')
    target = Path(path)
    if target.suffix != ".c":
        raise ValueError(f"path must end in .c, got {str(path)!r}; the header goes beside it")
    if UNSAID.search(target.name) or not _is_text(target.name):
        raise ValueError(
            "path must end in a name that C can include, without quotes, backslashes, control "
            f"characters or trigraphs, such as {name + '.c'!r}; got {str(path)!r}"
        )
    real = TYPES[dtype]
    functions = [(name, program, ["result"])]
    if program.result.size == 1:
        functions.append((f"{name}_grad", gradient(program), ["result", "gradient"]))
    plans = [
        Plan(p.instructions, np.zeros(len(p.instructions.inputs), bool), small=1)
        for _, p, _ in functions
    ]
    places = [f"argument_{k}__" for k in range(len(program.arguments))]
    parts = [
        _CFunction(function, p, plan, places, results, real)
        for (function, p, results), plan in zip(functions, plans, strict=True)
    ]
    codes = {step.operation for plan in plans for step in plan.in_slots} - {PRODUCT}
    rows = "\n".join(_row_functions(codes))
    if real == "float":
        rows = _in_single_precision(rows)
    bodies = "\n\n".join(part.definition() for part in parts)
    # What the file calls by a name where an argument has one: no function's name, no comment.
    own = set(re.findall(r"\b[A-Za-z_]\w*", re.sub(r"/\*.*?\*/|void \w+", "", bodies)))
    special = _special_functions(real) if re.search(r"\bpolygammaf?\(", bodies) else ""
    own |= {"real", *re.findall(r"static real (\w+)", rows)}
    own |= set(re.findall(r"^(?:static|typedef) .*?(\w+)(?:\(|\[|;)", special, re.MULTILINE))
    if own & {name, f"{name}_grad"}:
        raise ValueError(
            f"name must be a name that the file has no use for itself, such as "
            f"{free_name(name, own)!r}; got {name!r}"
        )
    own |= {
        name,
        f"{name}_grad",
        *(f"{name.upper()}{end}" for end in ("_H", "_WORK", "_GRAD_WORK")),
    }
    names: dict[str, str] = {}
    for place, layout in zip(places, program.arguments, strict=True):
        names[place] = free_name(layout.name, own)
        own.add(names[place])

    def named(text: str) -> str:
        return re.sub(r"argument_\d+__", lambda match: names[match[0]], text)

    text = f"{special}typedef {real} real;\n\n{rows}\n{named(bodies)}\n"
    source = f'#include "{target.with_suffix(".h").name}"\n#include <math.h>\n\n{text}'
    header = named(_header(name, parts, program, list(names.values())))
    write_whole(target.with_suffix(".h"), header.encode())
    write_whole(target, source.encode())


def _is_text(name: str) -> bool:
    """Whether a file's name can be written in UTF-8."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _comment(text: str) -> str:
    """Text within a comment, which it cannot end."""
    return printable(text).replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")


def _header(name: str, parts: list[_CFunction], program: Function, names: list[str]) -> str:
    guard = f"{name.upper()}_H"
    sizes = "\n".join(
        f"   {n}: {layout.size}" + (f", for {_comment(layout.name)}" if n != layout.name else "")
        for n, layout in zip(names, program.arguments, strict=True)
    )
    lines = [
        f"/* {name}: written by autograd-bp from {len(program)} scalar instructions.",
        "",
        "   How many numbers each array holds:",
        sizes,
        f"   result: {program.result.size}",
    ]
    if len(parts) > 1:
        lines.append(f"   gradient: {program.arguments[0].size}, ∂result/∂{names[0]}")
    lines += ["   work: room for what lies between, as many as the macros say */", ""]
    lines += [f"#ifndef {guard}", f"#define {guard}", ""]
    lines += ["#ifdef __cplusplus", 'extern "C" {', "#endif", ""]
    for part in parts:
        lines += [f"#define {part.name.upper()}_WORK {part.work}", f"{part.prototype()};", ""]
    lines += ["#ifdef __cplusplus", "}", "#endif", "", "#endif", ""]
    return "\n".join(lines)


class _CFunction:
    """One C function: the arguments in, the results out."""

    def __init__(
        self,
        name: str,
        program: Function,
        plan: Plan,
        arguments: Sequence[str],
        results: Sequence[str],
        real: str,
    ) -> None:
        self.name = name
        self.program = program
        self.plan = plan
        self.arguments = arguments
        self.results = results
        self.real = real
        self.work = max(len(plan.slots), 1)
        self._tables: list[Any] = []
        self._length = 0
        self._powers: dict[int, list[int]] = {}  # of each power's slot, where a and b are
        for step in plan.in_slots:
            if step.operation == CODES["**"]:
                slots = range(step.out, step.out + step.n)
                self._powers |= dict(zip(slots, step.operands.tolist(), strict=True))

    def prototype(self) -> str:
        parameters = [f"const {self.real} *{name}" for name in self.arguments]
        parameters += [f"{self.real} *{name}" for name in (*self.results, "work")]
        return f"void {self.name}({', '.join(parameters)})"

    def definition(self) -> str:
        statements = "\n".join(self._statements())
        constants = self.plan.slots[self.plan.uniform : self._computed]
        number: Callable[[float], str] = literal
        if self.real == "float":
            statements, number = _in_single_precision(statements), _single
        text = f"{self.prototype()}\n{{\n"
        if self._tables:
            text += _table("int", "index", [str(i) for i in np.concatenate(self._tables)])
        if len(constants):
            text += _table("real", "constant", [number(x) for x in constants.tolist()])
        return f"{text}    {self.real} *v = work;\n{statements}\n}}"

    @property
    def _computed(self) -> int:
        return min([step.out for step in self.plan.in_slots], default=len(self.plan.slots))

    def _statements(self) -> Iterator[str]:
        start = 0
        for name, layout in zip(self.arguments, self.program.arguments, strict=True):
            yield f"    for (int i = 0; i < {layout.size}; i++) v[{start} + i] = {name}[i];"
            start += layout.size
        if self._computed > start:
            yield f"    for (int i = 0; i < {self._computed - start}; i++) " + (
                f"v[{start} + i] = constant[i];"
            )
        for step in self.plan.in_slots:
            if step.operation == PRODUCT:
                yield from self._product(step.carries, step.out, *step.operands)
            elif self.real == "float" and step.operation == CODES["*"]:
                yield from self._float_products(step.operands.tolist(), step.out)
            else:
                yield from self._loop(TABLE[step.operation], step.operands, step.out)
        begin = 0
        sizes = [self.program.result.size]
        if len(self.results) == 2:
            sizes = [1, self.program.result.size - 1]
        for name, size in zip(self.results, sizes, strict=True):
            at = self._address(self.plan.same_slots[begin : begin + size][:, None])
            yield f"    for (int i = 0; i < {size}; i++) {name}[i] = {at};"
            begin += size

    def _loop(self, op: Op, rows: Any, out: int) -> Iterator[str]:
        n, count = rows.shape
        columns = columns_of(op, count)
        k = columns[0].stop  # of sequences, which come first
        names = {"n": f"{k}.0"}
        for operand, span in zip(op.operands, columns, strict=True):
            grid = rows[:, span]
            names[operand.rstrip("*")] = self._address(grid) if grid.size else "0"
        result = f"v[{out} + i]"
        if not op.is_nary:
            if op.name in FUNCTIONS:
                call = ", ".join(names[operand] for operand in op.operands)
                value = f"{FUNCTIONS[op.name]}({call})"
            else:
                value = C(FUNCTIONS, names).text(op.value)
            yield f"    for (int i = 0; i < {n}; i++) {result} = {value};"
            return
        c = C(FUNCTIONS, names)
        value = c.text(op.value)
        yield f"    for (int i = 0; i < {n}; i++) {{ /* {op.notation} */"
        for name, kind, element in c.loops:
            begin, more = accumulated(kind, name)
            yield f"        real {name} = {begin};"
            yield (
                f"        for (int j = 0; j < {k}; j++) {{ real e = {element}; {name} = {more}; }}"
            )
        yield f"        {result} = {value};"
        yield "    }"

    def _float_products(self, factors: list[list[int]], out: int) -> Iterator[str]:
        """Products p·q of floats, in doubles where a factor is a power.

        That of the derivative b·aᵇ⁻¹ may be beyond all floats where the product is not: 0·inf
        would be NaN. So such a power is computed again.
        """
        begin = 0
        for which, run in groupby(
            factors, key=lambda pq: (pq[0] in self._powers, pq[1] in self._powers)
        ):
            rows = list(run)
            if which[0] and not which[1]:
                rows = [row[::-1] for row in rows]
            columns = np.array([
                [p, *self._powers[q]] if any(which) else [p, q] for p, q in rows
            ])  # fmt: skip
            at = [self._address(column[:, None]) for column in columns.T]
            value = f"{at[0]} * {at[1]}"
            if any(which):
                value = f"(real)({at[0]} * (pow)({at[1]}, {at[2]}))"
            yield (f"    for (int i = 0; i < {len(rows)}; i++) v[{out + begin} + i] = {value};")
            begin += len(rows)

    def _product(self, carries: bool, out: int, *tables: Any) -> Iterator[str]:
        (n, k), (_, m), _ = [table.shape for table in tables]
        indices = ("i", "l"), ("l", "j"), ("i", "j")
        p, q, bias = [self._address(x, *ij) for x, ij in zip(tables, indices, strict=True)]
        yield f"    for (int i = 0; i < {n}; i++) for (int j = 0; j < {m}; j++) {{ /* P·Qᵀ + B */"
        yield "        real sum = 0.0;"
        test = f"if ({p} != 0 && {q} != 0) " if carries else ""
        yield f"        for (int l = 0; l < {k}; l++) {test}sum += {p} * {q};"
        yield f"        v[{out} + {m} * i + j] = {bias} + sum;"
        yield "    }"

    def _address(self, grid: Any, i: str = "i", j: str = "j") -> str:
        """Where in v the operand (i, j) of a loop stands, given as a table of that shape."""
        n, k = grid.shape
        base = int(grid[0, 0]) if grid.size else 0
        down = int(grid[1, 0]) - base if n > 1 else 0
        along = int(grid[0, 1]) - base if k > 1 else 0
        if (grid == base + down * np.arange(n)[:, None] + along * np.arange(k)).all():
            steps = ((down, i), (along, j))
            terms = [f"{step} * {at}" if step != 1 else at for step, at in steps if step]
            return f"v[{' + '.join([str(base), *terms])}]"
        begin = self._length
        self._tables.append(grid.ravel())
        self._length += grid.size
        column = f" + {j}" if k > 1 else ""
        return f"v[index[{begin} + {k} * {i}{column}]]"


def _table(kind: str, name: str, entries: list[str]) -> str:
    lines = [", ".join(entries[i : i + 12]) for i in range(0, len(entries), 12)]
    return (
        f"    static const {kind} {name}[] = {{\n        "
        + ",\n        ".join(lines)
        + "\n    };\n"
    )


def _row_functions(codes: set[int]) -> Iterator[str]:
    """The operations that are used and that C has no function or operator for."""
    needed: dict[str, str] = {}

    def add(op: Op) -> None:
        if op.name in IN_C or op.name in needed:
            return
        for called in calls(op.value):
            if called in CODES:
                add(TABLE[CODES[called]])
        if op.is_function:
            needed[op.name] = row_function(op, FUNCTIONS, "static", "real")

    for code in sorted(codes):
        add(TABLE[code])
    yield from needed.values()


def _special_functions(real: str) -> str:
    """What rows call and <math.h> lacks: it computes in doubles."""
    text = HEADER.read_text("utf-8") + "\n"
    if real == "float":
        text += "static float polygammaf(float n, float x) { return (float)polygamma(n, x); }\n\n"
    return text


def _in_single_precision(source: str) -> str:
    """The same text with float's literals and functions."""

    def literal_of_float(match: re.Match[str]) -> str:
        x = float(match[0])
        if 0.0 < x < 1e-38:  # the bounds below which `norm` and `hypot` scale their operands
            return "1e-30f"
        return "1e+30f" if x > 1e38 else match[0] + "f"  # and by what

    number = r"(?<![\w.])(\d+\.\d*(e[+-]?\d+)?|\d+e[+-]?\d+)(?![\w.])"
    source = re.sub(number, literal_of_float, source)
    functions = "|".join(sorted(IN_C.values(), key=len, reverse=True))
    return re.sub(rf"\b({functions})\(", r"\1f(", source)


def _single(x: float) -> str:
    """A number as a float of C: what is beyond all floats is infinite, as if it were computed."""
    with np.errstate(over="ignore", under="ignore"):
        single = np.float32(x)
    return f"{single!s}f" if np.isfinite(single) else literal(float(single))
