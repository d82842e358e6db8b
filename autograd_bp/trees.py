"""Arguments and results as trees: lists, tuples and dicts of numbers and NumPy arrays.

The nesting is `optree`'s; a NumPy array counts as one leaf that holds many numbers.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeAlias

from autograd_bp.value import Number, Value
from autograd_bp.value import _number as _real_number

__all__ = ["Flat", "Tree", "blocks", "flatten", "together"]

Tree: TypeAlias = Any
"""A number, a NumPy array, or lists, tuples and dicts of them."""


class Flat:
    """A tree as one row of numbers, with what it takes to build another like it."""

    def __init__(self, numbers: list[Number], shapes: list[tuple[int, ...] | None], spec: Any):
        self.numbers = numbers
        self.shapes = shapes  # of each leaf; None: a number by itself
        self._spec = spec

    @property
    def sizes(self) -> list[int]:
        """How many numbers each leaf holds."""
        return [1 if shape is None else math.prod(shape) for shape in self.shapes]

    def is_like(self, other: Flat) -> bool:
        """Whether the two have the same structure."""
        same: bool = self._spec == other._spec
        return same and self.shapes == other.shapes

    def build(self, numbers: Sequence[Any]) -> Tree:
        """The tree with these numbers in the place of its own."""
        leaves: list[Any] = []
        start = 0
        for shape, size in zip(self.shapes, self.sizes, strict=True):
            leaves.append(_leaf(numbers[start : start + size], shape))
            start += size
        return self.nest(leaves)

    def names(self, root: str) -> list[str]:
        """How each number is reached from the tree: ``args[0]['w'][1]``."""
        paths = (
            [""]
            if self._spec is None
            else ["".join(f"[{key!r}]" for key in path) for path in self._spec.paths()]
        )
        names: list[str] = []
        for path, shape in zip(paths, self.shapes, strict=True):
            index = itertools.product(*map(range, shape or ()))
            names += [root + path + "".join(f"[{i}]" for i in at) for at in index]
        return names

    def nest(self, leaves: Sequence[Any]) -> Tree:
        """The tree with these leaves in the place of its own."""
        return leaves[0] if self._spec is None else self._spec.unflatten(leaves)


def flatten(tree: Tree, name: str) -> Flat:
    """Take a tree apart; ``name`` is that of the argument, for errors.

    >>> flat = flatten({"b": 3.0, "w": [1.0, 2.0]}, "params")
    >>> flat.numbers
    [3.0, 1.0, 2.0]
    >>> flat.build([30.0, 10.0, 20.0])
    {'b': 30.0, 'w': [10.0, 20.0]}
    """
    if isinstance(tree, (Value, float, int, Real)):  # Real: NumPy's scalars; the others are quick
        return Flat([_number(tree, name)], [None], None)
    import optree  # here, so that ``import autograd_bp`` stays quick

    leaves, spec = optree.tree_flatten(tree, none_is_leaf=True)
    numbers: list[Number] = []
    shapes: list[tuple[int, ...] | None] = []
    for leaf in leaves:
        if _is_array(leaf):
            shapes.append(leaf.shape)
            numbers += [_number(x, name) for x in leaf.ravel().tolist()]
        else:
            shapes.append(None)
            numbers.append(_number(leaf, name))
    return Flat(numbers, shapes, spec)


def together(flats: Sequence[Flat]) -> Flat:
    """A tuple of trees as one tree."""
    import optree

    leaf = optree.treespec_leaf(none_is_leaf=True)
    specs = [leaf if flat._spec is None else flat._spec for flat in flats]
    return Flat(
        [x for flat in flats for x in flat.numbers],
        [shape for flat in flats for shape in flat.shapes],
        optree.treespec_tuple(specs, none_is_leaf=True),
    )


def blocks(rows: Flat, columns: Flat, matrix: Sequence[Sequence[Number]]) -> Tree:
    """A matrix as a tree like ``rows``, whose leaves are trees like ``columns``.

    The block of a leaf of shape s and a leaf of shape t has the shape s + t.
    """
    outer: list[Any] = []
    i = 0
    for shape, size in zip(rows.shapes, rows.sizes, strict=True):
        inner: list[Any] = []
        j = 0
        for other, width in zip(columns.shapes, columns.sizes, strict=True):
            block = [x for row in matrix[i : i + size] for x in row[j : j + width]]
            whole = None if shape is None and other is None else (*(shape or ()), *(other or ()))
            inner.append(_leaf(block, whole))
            j += width
        outer.append(columns.nest(inner))
        i += size
    return rows.nest(outer)


def _leaf(numbers: Sequence[Any], shape: tuple[int, ...] | None) -> Any:
    if shape is None:
        return numbers[0]
    import numpy as np

    holds_nodes = any(isinstance(x, Value) for x in numbers)
    array = np.empty(len(numbers), dtype=object if holds_nodes else float)
    array[:] = numbers
    return array.reshape(shape)


def _is_array(leaf: object) -> bool:
    numpy = sys.modules.get("numpy")  # who has an array has imported it
    return numpy is not None and isinstance(leaf, numpy.ndarray)


def _number(x: Any, name: str) -> Number:
    if isinstance(x, Value):
        return x
    try:
        return _real_number(x, name)
    except TypeError:
        raise TypeError(
            f"{name} must hold real numbers only (in lists, tuples, dicts, NumPy arrays), "
            f"got {x!r} of type {type(x).__name__}; pass other data through a closure"
        ) from None
