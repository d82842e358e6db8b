"""Runs a `Plan` with NumPy: the fallback where the compiled kernel is absent, and slower.

The same steps, the same order of summation over blocks; one call of NumPy for each step, where
the kernel has one loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from autograd_bp.ops import TABLE, Op
from autograd_bp.program.instructions import Floats, columns_of
from autograd_bp.program.plan import COPY, LAYER, OUTER, PRODUCT, Plan, weights_in
from autograd_bp.reading import ArrayReading
from autograd_bp.rules import IEEE

__all__ = ["array_functions", "carrying", "evaluate", "run_rows", "run_slots"]


def array_functions(module: Any) -> dict[str, Any]:
    """What the table's expressions call, of NumPy's functions, or of JAX's by the same names."""
    same = (
        "abs", "cos", "cosh", "equal", "exp", "expm1", "hypot", "less", "less_equal", "log",
        "log10", "log1p", "log2", "sin", "sinh", "sqrt", "tan", "tanh", "where",
    )  # fmt: skip
    others = {
        "acos": "arccos", "asin": "arcsin", "atan": "arctan", "atan2": "arctan2", "pow": "power",
        "unequal": "not_equal", "both": "logical_and", "either": "logical_or",
    }  # fmt: skip
    found = {
        ours: getattr(module, theirs) for ours, theirs in ({x: x for x in same} | others).items()
    }
    return found | {
        name: partial(getattr(module, name), axis=1, keepdims=True) for name in ("sum", "max")
    }


@cache
def _reading() -> ArrayReading:
    """The table in NumPy: its own functions where it has them, else Python's one by one."""
    ours = array_functions(np)
    one_by_one = {
        op.name: np.vectorize(IEEE.value(op), otypes=[float])
        for op in TABLE
        if op.is_primitive and op.name not in ours
    }
    return ArrayReading(ours | one_by_one)


def evaluate(value: Callable[[Op], Callable[..., Any]], code: int, operands: Any) -> Any:
    """One operation: operands of shape (n, count, …) give results of shape (n, …).

    ``value(op)`` is the row as a function, as `ArrayReading.value` gives it.
    """
    op = TABLE[code]
    columns = columns_of(op, operands.shape[1])
    groups = [operands[:, span] for span in columns]
    if op.is_nary:
        length = columns[0].stop  # of its sequences, which come first
        groups.append(float(length))
        if length == 0:
            return operands[:, 0] if len(op.operands) > 1 else np.zeros(len(operands))
    return value(op)(*groups)[:, 0]


def run_slots(plan: Plan, slots: Floats) -> None:
    """Compute all slots from those of the inputs."""
    with np.errstate(all="ignore"):
        for operation, carries, n, out, operands in plan.in_slots:
            if operation == COPY:
                slots[out : out + n] = slots[operands]
            elif operation == PRODUCT:
                p, q, bias = [slots[which] for which in operands]
                found = (carrying if carries else np.matmul)(p, q) + bias
                slots[out : out + found.size] = found.ravel()
            else:
                slots[out : out + n] = evaluate(_reading().value, operation, slots[operands])


def carrying(p: Any, q: Any) -> Any:
    """The matrix product p·q, in which what is exactly 0 carries nothing: 0·∞ is 0.

    Where it went wrong there is a NaN: these are made again.
    """
    result = np.matmul(p, q)
    i, j = np.nonzero(np.isnan(result))
    if len(i):
        products = np.where((p[i] == 0) | (q.T[j] == 0), 0.0, p[i] * q.T[j])
        result[i, j] = products.sum(axis=1)
    return result


def run_rows(plan: Plan, slots: Floats, lanes: Floats, out: Floats, sums: Floats) -> None:
    """Compute one block of lanes: ``lanes`` and ``out`` have a column for each, ``sums`` none."""
    rows = np.empty((plan.rows, lanes.shape[1]))
    rows[: len(lanes)] = lanes
    rows[plan.splats[:, 0]] = slots[plan.splats[:, 1]][:, None]
    with np.errstate(all="ignore"):
        for operation, carries, n, at, operands in plan.in_rows:
            matmul = carrying if carries else np.matmul
            if operation == LAYER:
                x, begin = operands
                weights = weights_in(slots, begin, n, len(x))
                rows[at : at + n] = matmul(weights[:, 1:], rows[x]) + weights[:, :1]
            elif operation == OUTER:
                p, q, places = operands
                np.add.at(sums, places, matmul(rows[p], rows[q].T).ravel())
            else:
                rows[at : at + n] = evaluate(_reading().value, operation, rows[operands])
    if len(out):
        out[plan.output_row >= 0] = rows[plan.output_row[plan.output_row >= 0]]
