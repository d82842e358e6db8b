"""Arguments and results as trees: lists, tuples and dicts of numbers and NumPy arrays.

The nesting is `optree`'s; a NumPy array counts as one leaf that holds many numbers.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, TypeAlias

from autograd_bp.value import Number, Value, peek
from autograd_bp.value import _number as _real_number

__all__ = [
    "Flat", "Tree", "argument_positions", "blocks", "flatten", "is_array", "number", "of_reals",
    "together", "whole", "without_nodes",
]  # fmt: skip

Tree: TypeAlias = Any
"""A number, a NumPy array, or lists, tuples and dicts of them."""


class Flat:
    """A tree as one row of numbers, with what it takes to build another like it."""

    def __init__(self, numbers: list[Number], shapes: list[tuple[int, ...] | None], spec: Any):
        self.numbers = numbers
        self.shapes = shapes  # of each leaf; None: a number by itself
        self.spec = spec

    @property
    def sizes(self) -> list[int]:
        """How many numbers each leaf holds."""
        return [1 if shape is None else math.prod(shape) for shape in self.shapes]

    def is_like(self, other: Flat) -> bool:
        """Whether the two have the same structure."""
        same: bool = self.spec == other.spec
        return same and self.shapes == other.shapes

    def build(self, numbers: Sequence[Any]) -> Tree:
        """The tree with these numbers in the place of its own."""
        if self.shapes.count(None) == len(self.shapes):
            return self.nest(list(numbers))
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
            if self.spec is None
            else ["".join(f"[{key!r}]" for key in path) for path in self.spec.paths()]
        )
        names: list[str] = []
        for path, shape in zip(paths, self.shapes, strict=True):
            index = itertools.product(*map(range, shape or ()))
            names += [root + path + "".join(f"[{i}]" for i in at) for at in index]
        return names

    def nest(self, leaves: Sequence[Any]) -> Tree:
        """The tree with these leaves in the place of its own."""
        return leaves[0] if self.spec is None else self.spec.unflatten(leaves)


def flatten(tree: Tree, name: str) -> Flat:
    """Take a tree apart; ``name`` is that of the argument, for errors.

    >>> flat = flatten({"b": 3.0, "w": [1.0, 2.0]}, "params")
    >>> flat.numbers
    [3.0, 1.0, 2.0]
    >>> flat.build([30.0, 10.0, 20.0])
    {'b': 30.0, 'w': [10.0, 20.0]}
    """
    if isinstance(tree, (Value, float, int, Real)):  # Real: NumPy's scalars; the others are quick
        return Flat([number(tree, name)], [None], None)
    import optree  # here, so that ``import autograd_bp`` stays quick

    leaves, spec = optree.tree_flatten(tree, none_is_leaf=True)
    if all([type(leaf) is float for leaf in leaves]):  # noqa: C419 (a list is quicker here)
        return Flat(leaves, [None] * len(leaves), spec)
    numbers: list[Number] = []
    shapes: list[tuple[int, ...] | None] = []
    for leaf in leaves:
        if is_array(leaf):
            shapes.append(leaf.shape)
            items = of_reals(leaf, name).ravel().tolist()
            numbers += [x if type(x) is float else number(x, name) for x in items]
        else:
            shapes.append(None)
            numbers.append(number(leaf, name))
    return Flat(numbers, shapes, spec)


def without_nodes(tree: Tree) -> Tree:
    """The tree with the data of Values in their place; what is no number stays as it is.

    >>> without_nodes({"y": Value(2.0), "name": "a"})
    {'y': 2.0, 'name': 'a'}
    """
    import optree

    return optree.tree_map(_without_nodes, tree, none_is_leaf=True)


def _without_nodes(leaf: Any) -> Any:
    if isinstance(leaf, Value):
        return peek(leaf)
    if is_array(leaf) and leaf.dtype == object:
        numbers = [_without_nodes(x) for x in leaf.ravel()]
        kind = float if all(isinstance(x, (int, float)) for x in numbers) else object
        return _filled(numbers, kind).reshape(leaf.shape)
    return leaf


def together(flats: Sequence[Flat]) -> Flat:
    """A tuple of trees as one tree."""
    import optree

    leaf = optree.treespec_leaf(none_is_leaf=True)
    specs = [leaf if flat.spec is None else flat.spec for flat in flats]
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
    holds_nodes = any(isinstance(x, Value) for x in numbers)
    return _filled(numbers, object if holds_nodes else float).reshape(shape)


def _filled(numbers: Sequence[Any], dtype: type) -> Any:
    import numpy as np

    array: Any = np.empty(len(numbers), dtype)
    array[:] = numbers
    return array


# --- what a leaf may be --------------------------------------------------------------------------


def is_array(leaf: object) -> bool:
    """Whether it is a NumPy array, of whatever kind."""
    numpy = sys.modules.get("numpy")  # who has an array has imported it
    return numpy is not None and isinstance(leaf, numpy.ndarray)


def of_reals(array: Any, name: str) -> Any:
    """A NumPy array as one of float64; of objects as it is, each of which is for `number`.

    Raises TypeError for what holds no real numbers, or more than numbers: a mask, a unit.
    """
    import numpy as np

    if type(array) not in (np.ndarray, np.memmap):
        masked = isinstance(array, np.ma.MaskedArray)
        way = "fill what is masked: x.filled(value)" if masked else "np.asarray(x) is a plain one"
        raise TypeError(f"{name} must hold plain NumPy arrays, got a {type(array).__name__}; {way}")
    if array.dtype.kind not in "fiuO":
        ways = {"b": "x.astype(float) has 1.0 and 0.0", "c": "give real and imaginary parts"}
        way = ways.get(array.dtype.kind, "convert it first, or pass it through a closure")
        raise TypeError(
            f"{name} must hold arrays of real numbers, got one of dtype {array.dtype}, "
            f"{array.ravel()[:3].tolist()} …; {way}"
        )
    if array.dtype == float or array.dtype.kind == "O":
        return array
    with np.errstate(over="ignore"):
        floats = array.astype(float)
    if array.dtype.itemsize > 8 and (np.isinf(floats) & np.isfinite(array)).any():
        raise _beyond_floats(name, array.dtype)
    return floats


def number(x: Any, name: str) -> Number:
    """A leaf that is no array: a Value as it is, any other real number as a float."""
    if isinstance(x, Value) or type(x) is float:
        return x
    is_foreign = hasattr(x, "__array__") and type(x).__module__ != "numpy"
    hint = "np.asarray(x) reads an array of another library" if is_foreign else ""
    try:
        if type(x).__name__ != "timedelta64":  # which NumPy counts among the integers
            real = _real_number(x, name)
            if math.isinf(real) and x != real:
                raise OverflowError
            return real
    except OverflowError:
        raise _beyond_floats(name, type(x).__name__) from None
    except TypeError as error:
        hint = hint or str(error).rpartition("; ")[2]
    raise TypeError(
        f"{name} must hold real numbers only (in lists, tuples, dicts, NumPy arrays), "
        f"got {x!r} of type {type(x).__name__}; {hint or 'convert it first'}, "
        "or pass other data through a closure"
    )


def _beyond_floats(name: str, kind: object) -> OverflowError:
    return OverflowError(
        f"{name} must hold numbers that are floats, up to 1.8e308; got a larger one, of type "
        f"{kind}; scale it, or take its logarithm"
    )


def whole(x: object) -> bool:
    """Whether it is a whole number, of Python or NumPy, and no bool."""
    return isinstance(x, Integral) and not isinstance(x, bool)


def argument_positions(argnums: Any, n: int, of: str) -> int | tuple[int, ...]:
    """Which of n arguments these are, counted from the first: one, or several as a tuple.

    >>> argument_positions(-1, 3, "arguments"), argument_positions([0, -1], 3, "arguments")
    (2, (0, 2))
    """
    if whole(argnums) and -n <= argnums < n:
        return int(argnums) % n
    if isinstance(argnums, Sequence) or (is_array(argnums) and argnums.ndim):
        found = tuple([int(i) % n for i in argnums if whole(i) and -n <= i < n])
        if len(set(found)) == len(argnums):
            return found
    raise ValueError(
        f"argnums must name {of}, of which there are {n}, by position, each once; got {argnums!r}"
    )
