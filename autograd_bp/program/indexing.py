"""Indices that are data: an embedding's token, a target's class.

A traced index cannot index a list, as a trace is one path for all indices. But
``take(rows, i)`` is a matrix product with a vector that is 1 at i and 0 elsewhere: one program
for all i, whose gradient is the scatter-add that one expects, a product as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from autograd_bp.functions import where
from autograd_bp.nary import dot, sum_of
from autograd_bp.value import Number, Value

__all__ = ["gather", "one_hot", "take"]


def one_hot(i: Number, n: int) -> list[Any]:
    """n numbers, 1.0 at position i and 0.0 elsewhere; no gradient flows into i.

    Raises IndexError unless i is a whole number from 0 to n - 1; where i is traced, all n are
    NaN instead.

    >>> one_hot(1, 3)
    [0.0, 1.0, 0.0]
    """
    if not _is_traced(i):
        at = _index(i, n)
        return [float(k == at) for k in range(n)]
    hot = [(i <= k) * (i >= k) for k in range(n)]
    found = sum_of(hot)
    return [where(found, h, math.nan) for h in hot]


def take(rows: Sequence[Any], i: Number) -> Any:
    """``rows[i]`` where i may be traced: a number, or a list of them if rows are sequences.

    Raises IndexError as `one_hot` does; where i is traced, the result is NaN instead. In a
    trace, all rows must be finite, since each is multiplied by 0 or 1.

    >>> take([[1.0, 2.0], [3.0, 4.0]], 1)
    [3.0, 4.0]
    """
    if not _is_traced(i):
        row = rows[_index(i, len(rows))]
        return row if isinstance(row, (Value, float, int)) else list(row)
    hot = one_hot(i, len(rows))
    if isinstance(rows[0], (Value, float, int)):
        return dot(rows, hot)
    return [dot(column, hot) for column in zip(*rows, strict=True)]


def gather(rows: Sequence[Any], indices: Iterable[Number]) -> list[Any]:
    """`take` for each of several indices.

    >>> gather([10.0, 20.0, 30.0], [2, 0])
    [30.0, 10.0]
    """
    return [take(rows, i) for i in indices]


def _is_traced(i: Any) -> bool:
    return isinstance(i, Value) and isinstance(i <= 0, Value)


def _index(i: Any, n: int) -> int:
    number = i.data if isinstance(i, Value) else i
    if isinstance(number, bool) or not hasattr(number, "__float__"):
        raise TypeError(f"an index must be a whole number, got {i!r}")
    at = int(number) if math.isfinite(number) else -1
    if at != number or not 0 <= at < n:
        raise IndexError(f"index {number!r} is no whole number from 0 to {n - 1}")
    return at
