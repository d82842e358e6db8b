"""Runs a `Plan` with NumPy: the fallback where the compiled kernel is absent, and slower.

The same steps, the same order of summation over blocks; one call of NumPy for each step, where
the kernel has one loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from autograd_bp.ops import TABLE, Op
from autograd_bp.program.instructions import Floats, Ints
from autograd_bp.program.plan import CARRYING, COPY, LAYER, OUTER, PRODUCT, TILE, Plan
from autograd_bp.reading import ArrayReading
from autograd_bp.rules import IEEE

__all__ = ["carrying", "evaluate", "operand_count", "product", "run_rows", "run_slots"]


@cache
def _reading() -> ArrayReading:
    """The table in NumPy: its own functions where it has them, else Python's one by one."""
    inverse = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2"}
    names = "exp expm1 log log1p log2 log10 sqrt hypot sin cos tan sinh cosh tanh"
    ours = {name: getattr(np, name) for name in names.split()}
    ours |= {name: getattr(np, theirs) for name, theirs in inverse.items()}
    one_by_one = {
        op.name: np.vectorize(IEEE.value(op), otypes=[float])
        for op in TABLE
        if op.is_primitive and op.name not in ours
    }
    return ArrayReading(
        ours
        | one_by_one
        | {
            "abs": np.abs,
            "pow": np.power,
            "where": np.where,
            "less": np.less,
            "less_equal": np.less_equal,
            "equal": np.equal,
            "unequal": np.not_equal,
            "both": np.logical_and,
            "either": np.logical_or,
            "sum": lambda x: np.sum(x, axis=1, keepdims=True),
            "max": lambda x: np.max(x, axis=1, keepdims=True),
        }
    )


def evaluate(
    value: Callable[[Op], Callable[..., Any]], code: int, length: int, operands: Any
) -> Any:
    """One operation: operands of shape (n, count, …) give results of shape (n, …).

    ``value(op)`` is the row as a function, as `ArrayReading.value` gives it.
    """
    op = TABLE[code]
    groups: list[Any] = []
    start = 0
    for name in op.operands:
        stop = start + (length if name.endswith("*") else 1)
        groups.append(operands[:, start:stop])
        start = stop
    if op.is_nary:
        groups.append(float(length))
        if length == 0:
            return operands[:, 0] if len(op.operands) > 1 else np.zeros(operands[:, 0].shape)
    return value(op)(*groups)[:, 0]


def operand_count(code: int, length: int) -> int:
    """How many operands an operation takes whose sequences have this length."""
    op = TABLE[code]
    return len(op.operands) - op.sequences + op.sequences * length


def run_slots(plan: Plan, slots: Floats) -> None:
    """Compute all slots from those of the inputs."""
    with np.errstate(all="ignore"):
        for code, n, k, out, args, extra in plan.slot_steps.tolist():
            if code == COPY:
                slots[out : out + n] = slots[plan.indices[args : args + n]]
                continue
            if code in (PRODUCT, CARRYING[PRODUCT]):
                m = extra
                which = plan.indices[args : args + (n + m) * k + n * m]
                matmul = np.matmul if code == PRODUCT else carrying
                slots[out : out + n * m] = product(slots[which], n, m, k, matmul)
                continue
            count = operand_count(code, k)
            which = plan.indices[args : args + n * count].reshape(count, n).T
            slots[out : out + n] = evaluate(_reading().value, code, k, slots[which])


def product(operands: Any, n: int, m: int, k: int, matmul: Any = np.matmul) -> Any:
    """The results of a PRODUCT step."""
    p, q, bias = operands[: n * k], operands[n * k : (n + m) * k], operands[(n + m) * k :]
    return matmul(p.reshape(n, k), q.reshape(k, m)).ravel() + bias


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
        for code, n, k, at, args, extra in plan.row_steps.tolist():
            if code in (LAYER, CARRYING[LAYER]):
                matmul = np.matmul if code == LAYER else carrying
                rows[at : at + n] = _layer(plan, slots, rows, (n, k, args, extra), matmul)
            elif code in (OUTER, CARRYING[OUTER]):
                matmul = np.matmul if code == OUTER else carrying
                _outer(plan.indices[args : args + n + k + n * k], rows, n, sums, matmul)
            else:
                count = operand_count(code, k)
                which = plan.indices[args : args + n * count].reshape(n, count)
                rows[at : at + n] = evaluate(_reading().value, code, k, rows[which])
    if len(out):
        out[plan.output_row >= 0] = rows[plan.output_row[plan.output_row >= 0]]


def _layer(
    plan: Plan, slots: Floats, rows: Floats, step: tuple[int, int, int, int], matmul: Any
) -> Floats:
    n, k, args, begin = step
    tiles = -(-n // TILE)
    packed = slots[begin : begin + tiles * TILE * (k + 1)].reshape(tiles, k + 1, TILE)
    weights = packed.transpose(0, 2, 1).reshape(tiles * TILE, k + 1)[:n]
    x = rows[plan.indices[args : args + k]]
    result: Floats = matmul(weights[:, 1:], x) + weights[:, :1]
    return result


def _outer(index: Ints, rows: Floats, n: int, sums: Floats, matmul: Any) -> None:
    k = (len(index) - n) // (n + 1)
    products = matmul(rows[index[:n]], rows[index[n : n + k]].T)
    np.add.at(sums, index[n + k :], products.ravel())
