"""Matrix products in scalar code: dots that share their operands.

``dot(w, x)`` for every w of some vectors and every x of others is one matrix product, however the
code that was traced came to write it. A `Plan` carries it out as such.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from autograd_bp.program.instructions import Instructions, Ints, positions, split_at

__all__ = ["Product", "matrix_products"]

WORTHWHILE = 256  # multiplications in a product that is quicker than its dots one by one


class Product(NamedTuple):
    """P·Qᵀ + B: instruction ``dots[i, j]`` is dot(row i of P, row j of Q) + B[i, j]."""

    dots: Ints
    p: Ints
    q: Ints
    bias: Ints


def matrix_products(program: Instructions, dots: Ints) -> list[Product]:
    """The matrix products among dots of one length, each dot in one of them at most.

    Dots that share their first vector are a row; rows that have the same second vectors are a
    matrix. Of the two matrices that are multiplied, P has the fewer rows.
    """
    operands = program.operands_of(dots)
    k = operands.shape[1] // 2
    w, x = operands[:, :k], operands[:, k : 2 * k]
    # Equal vectors have equal sums: that rules out most of what is irregular, and quickly.
    sums = w.sum(axis=1) % (8 * len(dots)), x.sum(axis=1) % (8 * len(dots))
    fits = positions(_times(sums[0]) * _times(sums[1]) * k >= WORTHWHILE)
    if not len(fits):
        return []
    operands, dots = operands[fits], dots[fits]
    w, x = _in_order(w[fits], x[fits])
    first, second = _alike(w), _alike(x)
    fits = positions(_times(first) * _times(second) * k >= WORTHWHILE)
    order = fits[np.lexsort((second[fits], first[fits]))]
    rows: dict[bytes, list[Any]] = {}
    for row in split_at(order.astype(np.int32), positions(np.diff(first[order], prepend=-1))):
        rows.setdefault(second[row].tobytes(), []).append(row)
    found = []
    for grid in map(np.array, rows.values()):
        if grid.size * k >= WORTHWHILE:
            p, q = w[grid[:, 0]], x[grid[0]]
            if len(p) > len(q):
                p, q, grid = q, p, grid.T
            found.append(Product(dots[grid], p, q, operands[grid, -1]))
    return found


def _in_order(w: Ints, x: Ints) -> tuple[Ints, Ints]:
    """The products of each dot sorted by the older of their factors.

    So it does not matter in which order a sum was written, or differentiated.
    """
    order = np.argsort(np.minimum(w, x), axis=1, kind="stable")
    return np.take_along_axis(w, order, 1), np.take_along_axis(x, order, 1)


def _alike(vectors: Ints) -> Any:
    """For each row of a table the first one that equals it."""
    whole = np.dtype((np.void, vectors.shape[1] * vectors.itemsize))
    rows = np.ascontiguousarray(vectors).view(whole).ravel()
    _, first, which = np.unique(rows, return_index=True, return_inverse=True)
    return first[which]


def _times(numbers: Any) -> Any:
    """For each number how many equal it."""
    return np.bincount(numbers)[numbers]
