"""The ways to evaluate an operation. Each gives, for all cases, the value and the derivatives.

Programs run all rows at once: their operands are parts of one row of inputs, so the gradient
of the sum of all results is every local derivative.
"""

import math
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from autograd_bp import gradients, jvp, sum_of
from autograd_bp.copies import restore
from autograd_bp.nary import dot, logsumexp, mean, norm
from autograd_bp.ops import grouped
from autograd_bp.program import trace
from autograd_bp.rules import IEEE
from autograd_bp.value import Value, apply

from .cases import ROWS

MANY = {"dot": dot, "sum_of": sum_of, "mean": mean, "logsumexp": logsumexp, "norm": norm}
CC = shutil.which("gcc") or shutil.which("cc")


def call(op, flat):
    operands = grouped(op, flat)
    return MANY[op.name](*operands) if op.is_nary else apply(op.name, *operands)


def _masks(case):
    """Which operands are nodes: each alone, and all. Several are not in every domain."""
    n = len(case.flat)
    return dict.fromkeys([(1 << n) - 1, *(1 << i for i in range(n))])


def _is_inside(case, mask):
    if any(map(math.isnan, case.flat)) or case.op.is_nary:
        return True
    return IEEE.domain(case.op, mask)(*case.operands)


def _on_nodes(case, derivatives):
    """Values and derivatives for each choice of nodes, merged; an exception by its type."""
    value = None
    partials = [None] * len(case.flat)
    for mask in _masks(case):
        nodes = [Value(x) if mask >> i & 1 else x for i, x in enumerate(case.flat)]
        which = [i for i in range(len(nodes)) if mask >> i & 1]
        try:
            y, found = derivatives(case, nodes, which)
        except (ValueError, ZeroDivisionError) as error:
            if _is_inside(case, mask):
                return error, partials
            continue
        assert _is_inside(case, mask), f"{case} gave {y}, but is outside {case.op.domain}"
        value = y
        for i, d in zip(which, found, strict=True):
            partials[i] = d
    return ValueError() if value is None else value, partials


def _eager(case, nodes, which):
    y = call(case.op, nodes)
    return y.data, y.local_grads


def _create_graph(case, nodes, which):
    y = call(case.op, nodes)
    found = gradients(y, [nodes[i] for i in which], create_graph=True)
    return y.data, [d.data if isinstance(d, Value) else d for d in found]


def _jvp(case, nodes, which):
    found = []
    for i in which:
        y, d = jvp(
            lambda x, i=i: call(case.op, [*nodes[:i], x, *nodes[i + 1 :]]),
            (case.flat[i],),
            (1.0,),
        )
        found.append(d)
    return y, found


def _cut(y, x):
    """1, on a path beside y: its derivative by y is 0, so whatever y's are, they carry nothing."""
    return apply("where", apply("<", x, x), y, 1.0)


def _eager_cut(case, nodes, which):
    y = _cut(call(case.op, nodes), 0.0)
    y.backward()
    return y.data, [nodes[i].grad for i in which]


def _create_graph_cut(case, nodes, which):
    y = _cut(call(case.op, nodes), 0.0)
    found = gradients(y, [nodes[i] for i in which], create_graph=True)
    return y.data, [d.data if isinstance(d, Value) else d for d in found]


def _jvp_cut(case, nodes, which):
    found = []
    for i in which:
        y, d = jvp(
            lambda x, i=i: _cut(call(case.op, [*nodes[:i], x, *nodes[i + 1 :]]), 0.0),
            (case.flat[i],),
            (1.0,),
        )
        found.append(d)
    return y, found


def eager(cases):
    return [_on_nodes(case, _eager) for case in cases]


def create_graph(cases):
    return [_on_nodes(case, _create_graph) for case in cases]


def forward(cases):
    return [_on_nodes(case, _jvp) for case in cases]


# --- programs ------------------------------------------------------------------------------------


class _AllRows:
    """Programs of all these rows at once, and the cases as their lanes."""

    def __init__(self, cases, rows, cut=False):
        self.cut = cut
        self.rows = [op for op in rows if any(case.name == op.name for case in cases)]
        lists = {op.name: [c for c in cases if c.name == op.name] for op in self.rows}
        self.lanes = max(map(len, lists.values()), default=0)
        self.start, self.columns = {}, []
        for op in self.rows:
            self.start[op.name] = len(self.columns)
            # Where a row has fewer cases than another, its own stand in once more.
            full = [c.flat for c in lists[op.name]]
            full = [full[i % len(full)] for i in range(self.lanes)]
            self.columns += zip(*full, strict=True)
        self.place = {
            (case.name, repr(case.flat)): i for name in lists for i, case in enumerate(lists[name])
        }
        self.sizes = {op.name: len(lists[op.name][0].flat) for op in self.rows}

    def inputs(self):
        return np.array(self.columns).T.copy()

    def function(self, x):
        return [self._result(op, x) for op in self.rows]

    def total(self, x):
        return sum_of(self.function(x))

    def _result(self, op, x):
        begin = self.start[op.name]
        operands = tuple(x[begin : begin + self.sizes[op.name]])
        y = restore(op.name, operands, 0.0, [0.0] * len(operands))
        return _cut(y, x[begin]) if self.cut else y

    def results(self, cases, values, gradients):
        """For each case its value and derivatives; values have a row for each lane."""
        names = [op.name for op in self.rows]
        found = {}
        for case in cases:
            if case.name in names:
                lane, begin = self.place[case.name, repr(case.flat)], self.start[case.name]
                partials = [None] * len(case.flat)
                if gradients is not None:
                    partials = gradients[lane, begin : begin + len(case.flat)].tolist()
                found[repr(case)] = float(values[lane, names.index(case.name)]), partials
        return found


def _both(part):
    ones = [1.0] * len(part.columns)
    with np.errstate(all="ignore"):
        return trace(part.function, ones), trace(part.total, ones).with_gradient(0)


def _merged(cases, found):
    return [found[repr(case)] for case in cases]


def program(cases, cut=False):
    found = {}
    part = _AllRows(cases, ROWS, cut)
    if part.rows:
        f, derivative = _both(part)
        x = part.inputs()
        values = np.array([f.value(lane) for lane in x.tolist()])
        slopes = np.array([derivative.value(lane)[1] for lane in x.tolist()])
        found |= part.results(cases, values, slopes)
    return _merged(cases, found)


def lanes(cases, cut=False):
    found = {}
    part = _AllRows(cases, ROWS, cut)
    if part.rows:
        f, derivative = _both(part)
        x = part.inputs()
        values, slopes = np.array(f.map(x)).T, np.array(derivative.map(x)[1]).T
        found |= part.results(cases, values, slopes)
    return _merged(cases, found)


def c_export(cases, cut=False):
    """One file of C for all rows, compiled once, which reads and writes the lanes as bytes."""
    values_of, slopes_of = _AllRows(cases, ROWS), _AllRows(cases, ROWS, cut)
    values = _run_c(trace(values_of.function, [1.0] * len(values_of.columns)), values_of.inputs())
    derivative = trace(slopes_of.total, [1.0] * len(slopes_of.columns)).with_gradient(0)
    slopes = _run_c(derivative, slopes_of.inputs())[:, 1:]
    found = values_of.results(cases, values, slopes)
    return _merged(cases, found)


def _run_c(program, inputs):
    count, n = inputs.shape
    m = program.result.size
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program.to_c(folder / "rows.c", "rows")
        (folder / "main.c").write_text(
            '#include <stdio.h>\n#include "rows.h"\n'
            f"static double x[{n}], y[{m}], work[ROWS_WORK];\n"
            "int main(void)\n{\n"
            f"    while (fread(x, sizeof(double), {n}, stdin) == {n}) {{\n"
            f"        rows(x, y, work);\n"
            f"        fwrite(y, sizeof(double), {m}, stdout);\n    }}\n    return 0;\n}}\n"
        )
        flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-pedantic", "-Werror"]
        command = [CC, *flags, "main.c", "rows.c", "-o", "rows", "-lm"]
        subprocess.run(command, cwd=folder, check=True)
        numbers = struct.pack(f"{inputs.size}d", *inputs.ravel())
        printed = subprocess.run(
            [folder / "rows"], input=numbers, check=True, capture_output=True
        ).stdout
    return np.frombuffer(printed).reshape(count, m)


WAYS = {
    "eager": eager,
    "create_graph": create_graph,
    "jvp": forward,
    "Program": program,
    "lanes": lanes,
    "C": c_export,
}
CUT = {
    "eager": lambda cases: [_on_nodes(case, _eager_cut) for case in cases],
    "create_graph": lambda cases: [_on_nodes(case, _create_graph_cut) for case in cases],
    "jvp": lambda cases: [_on_nodes(case, _jvp_cut) for case in cases],
    "Program": lambda cases: program(cases, cut=True),
    "lanes": lambda cases: lanes(cases, cut=True),
    "C": lambda cases: c_export(cases, cut=True),
}
"""The same, on a path that a factor of 0 cuts: each derivative must be 0."""
GRAPHS = ("eager", "create_graph", "jvp")  # which raise outside the domain
