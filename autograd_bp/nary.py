# cython: language_level=3, cdivision=True, boundscheck=False, wraparound=False
# cython: initializedcheck=False, auto_pickle=False, binding=False
"""Operations on many operands, one node each: a neuron's pre-activation, sums, a norm.

Of an operation on rows of operands, numbers and partials are read and written in plain loops:
one pass over a row finds its numbers, and what is among them. Like `value.py`, this is ordinary
Python that Cython compiles where it can.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from autograd_bp import ops
from autograd_bp.ops import CODES
from autograd_bp.value import Number

try:
    from autograd_bp._pure import cython
except ImportError:  # never at run time: this line tells the compiler which name is its own
    import cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.autograd_bp.value import (
        Items,
        Value,
        _data,
        _Details,
        _new_details,
        _node_of_many,
        _sequence,
        _unary,
        item,
        items,
        number_of,
    )
    from cython.cimports.libc.math import exp, log, sqrt
else:
    from math import exp, log, sqrt
    from operator import getitem as item

    from autograd_bp.value import (
        Items,
        Value,
        _data,
        _Details,
        _new_details,
        _node_of_many,
        _sequence,
        _unary,
        items,
    )

    number_of = float

from autograd_bp.value import _plain

__all__ = ["dot", "logsumexp", "mean", "norm", "softmax", "sum_of"]

DOT = cython.declare(cython.short, CODES["dot"])
SUM_OF = cython.declare(cython.short, CODES["sum_of"])
MEAN = cython.declare(cython.short, CODES["mean"])
LOGSUMEXP = cython.declare(cython.short, CODES["logsumexp"])
NORM = cython.declare(cython.short, CODES["norm"])
INF = cython.declare(cython.double, math.inf)

# What a row holds: see `value.py`. And what is neither a node nor a float yet.
CODE = cython.declare(cython.int, (1 << ops.CODE_BITS) - 1)
ROW = cython.declare(cython.longlong, 1 << ops.CODE_BITS)
OTHERS = cython.declare(cython.longlong, 2 << ops.CODE_BITS)
ODD = cython.declare(cython.longlong, 4 << ops.CODE_BITS)


def dot(w: Iterable[Number], x: Iterable[Number], bias: Number = 0.0) -> Any:
    """w·x + bias as one node: the pre-activation of a neuron.

    Lists, tuples and generators will do. A tuple of weights is quickest: it is kept as it is,
    where a list, which may change later, is copied.

    >>> from autograd_bp import Value
    >>> z = dot([Value(1.0), Value(2.0)], [3.0, 4.0], Value(0.5))
    >>> z.data, z.local_grads
    (11.5, (3.0, 4.0, 1.0))
    """
    # The bias first: what its own __float__ does to the lists, it does before they are read.
    bias_number: float = _data(bias, "bias")
    is_node: bool = isinstance(bias, Value)
    ws: tuple[Any, ...] = tuple(_sequence(w, "w"))
    xs: Any = _sequence(x, "x")
    i: cython.Py_ssize_t
    n: cython.Py_ssize_t = len(ws)
    if len(xs) != n:
        raise ValueError(f"dot takes w and x of the same length, got {n} and {len(xs)}")
    details: _Details = _new_details(2 * n)
    partials: cython.p_double = details.partials
    wi: Items = items(ws)
    xi: Items = items(xs)
    z: float = 0.0
    has: cython.longlong = 0
    for i in range(n):
        # wᵢ is ∂z/∂xᵢ, and xᵢ is ∂z/∂wᵢ
        has |= _note(cython.cast(object, item(wi, i)), ROW, partials, n + i)
        has |= _note(cython.cast(object, item(xi, i)), OTHERS, partials, i)
        z += partials[n + i] * partials[i]
    if has & ODD:
        return dot(_plain(ws, "w"), _plain(xs, "x"), bias if is_node else bias_number)
    z = bias_number + z
    if not has and not is_node:
        return z
    details.has = has
    details.operands = ws
    if has & OTHERS:  # else its numbers stand in the partials already
        details.others = tuple(xs)
    return _node_of_many(DOT, z, details, bias if is_node else bias_number)


def sum_of(x: Iterable[Number]) -> Any:
    """Σ xᵢ as one node; 0.0 of nothing.

    >>> from autograd_bp import Value
    >>> sum_of([Value(1.0), 2.0, Value(3.0)]).data
    6.0
    """
    details: _Details = _row(x, SUM_OF)
    total: float = _sum(details, 1.0)
    return _result(SUM_OF, total, details)


def mean(x: Iterable[Number]) -> Any:
    """Σ xᵢ / n as one node.

    >>> from autograd_bp import Value
    >>> mean([Value(1.0), 2.0, Value(6.0)]).data
    3.0
    """
    details: _Details = _row(x, MEAN)
    n: float = float(len(details.operands))
    if n == 0.0:
        raise ValueError("mean of no numbers: x is empty")
    total: float = _sum(details, 1.0 / n)
    return _result(MEAN, total / n, details)


@cython.cfunc
def _sum(details: _Details, partial: float) -> float:
    """The sum that `_row` found; the partial takes the numbers' place."""
    i: cython.Py_ssize_t
    partials: cython.p_double = details.partials
    n: cython.Py_ssize_t = len(details.operands)
    for i in range(n):
        partials[i] = partial
    return partials[n]


def logsumexp(x: Iterable[Number]) -> Any:
    """ln Σ exp xᵢ as one node, without overflow for any xᵢ; its gradient is `softmax`.

    The gradient exp(xᵢ − y) takes over the rounding of y: its relative error is about |y|·10⁻¹⁶.

    >>> from autograd_bp import Value
    >>> logsumexp([Value(1e4), Value(1e4)]).data == 1e4 + math.log(2)
    True
    """
    i: cython.Py_ssize_t
    details: _Details = _row(x, LOGSUMEXP)
    partials: cython.p_double = details.partials
    n: cython.Py_ssize_t = len(details.operands)
    if n == 0:
        raise ValueError("logsumexp of no numbers: x is empty")
    top: float = partials[n]
    y: float = top
    if abs(top) < INF:
        y = 0.0
        for i in range(n):
            y += exp(partials[i] - top)
        y = top + log(y)
    for i in range(n):
        partials[i] = exp(partials[i] - y)
    return _result(LOGSUMEXP, y, details)


def norm(x: Iterable[Number]) -> Any:
    """√Σ xᵢ² as one node, without overflow on the way; its derivative at 0 is 0.

    >>> from autograd_bp import Value
    >>> norm([Value(3.0), Value(4.0)]).data
    5.0
    """
    i: cython.Py_ssize_t
    details: _Details = _row(x, NORM)
    partials: cython.p_double = details.partials
    n: cython.Py_ssize_t = len(details.operands)
    squares: float = partials[n]
    y: float = sqrt(squares) if 1e-280 < squares < INF else _scaled_norm(partials, n)
    for i in range(n):
        partials[i] = partials[i] / y if y != 0.0 else 0.0
    return _result(NORM, y, details)


@cython.cfunc
def _scaled_norm(x: cython.p_double, n: cython.Py_ssize_t) -> float:
    """√Σ xᵢ² where squares are too small or too large, or there is an infinity or a NaN."""
    i: cython.Py_ssize_t
    top: float = 0.0
    total: float = 0.0
    for i in range(n):
        if abs(x[i]) > top or x[i] != x[i]:
            top = abs(x[i])
    if not 0.0 < top < INF:
        return top
    for i in range(n):
        total += (x[i] / top) * (x[i] / top)
    y: float = top * sqrt(total)
    return y


def softmax(x: Iterable[Number]) -> list[Any]:
    """exp xᵢ / Σ exp xⱼ for each i, as exp(xᵢ - logsumexp(x)), without overflow for any xᵢ.

    >>> from autograd_bp import Value
    >>> [round(p.data, 4) for p in softmax([Value(1.0), Value(2.0), Value(3.0)])]
    [0.09, 0.2447, 0.6652]
    """
    xs = tuple(_sequence(x, "x"))
    if not xs:
        raise ValueError("softmax of no numbers: x is empty")
    total = logsumexp(xs)
    if not isinstance(total, Value):
        return [exp(xi - total) for xi in xs]
    return [_unary("exp", xi - total) for xi in xs]


@cython.cfunc
def _row(x: Any, code: cython.short) -> _Details:
    """Details whose one row is x, with its numbers where the partials will be.

    After them stands what the operation needs first: max xᵢ for logsumexp, Σ xᵢ² for norm, else
    Σ xᵢ. Found on the way, it takes hardly any time.
    """
    i: cython.Py_ssize_t
    row: tuple[Any, ...] = tuple(_sequence(x, "x"))
    n: cython.Py_ssize_t = len(row)
    details: _Details = _new_details(n + 1)
    partials: cython.p_double = details.partials
    xi: Items = items(row)
    has: cython.longlong = 0
    first: float = -INF if code == LOGSUMEXP else 0.0
    number: float
    for i in range(n):
        has |= _note(cython.cast(object, item(xi, i)), ROW, partials, i)
        number = partials[i]
        if code != LOGSUMEXP:
            first += number * number if code == NORM else number
        elif number > first or number != number:  # also a NaN: then it stays
            first = number
    if has & ODD:
        return _row(_plain(row, "x"), code)
    partials[n] = first
    details.has = has
    details.operands = row
    return details


@cython.inline
@cython.cfunc
@cython.exceptval(check=False)
def _note(
    x: object, row: cython.longlong, numbers: cython.p_double, i: cython.Py_ssize_t
) -> cython.longlong:
    """Put the number of an operand into its place; what it adds to the `_Details.has` of its row.

    Nothing in here can raise or is a call: so the loops over rows stay short.
    """
    if type(x) is float:
        numbers[i] = number_of(x)
        return 0
    if isinstance(x, Value):
        numbers[i] = cython.cast(Value, x)._data
        code: cython.longlong = cython.cast(Value, x)._code & CODE
        return row | code
    return ODD


@cython.cfunc
def _result(code: cython.short, y: float, details: _Details) -> Any:
    """A node if some operand is one, else the plain number."""
    return _node_of_many(code, y, details, None) if details.has else y
