"""Arguments and results as rows of numbers in NumPy arrays, and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from autograd_bp.program.instructions import Floats
from autograd_bp.trees import flatten
from autograd_bp.value import Value, peek

__all__ = ["Layout"]

FLOAT64 = np.dtype(float)


class Layout:
    """The structure of an argument or a result, made from an example of it.

    It knows how to read another of the same structure into a row of numbers, and how to nest a
    row as the example was: numbers stay numbers, arrays become arrays of floats.
    """

    def __init__(self, example: Any, name: str) -> None:
        self.name = name
        flat = flatten(example, name)
        self.shapes = flat.shapes
        self.size = sum(flat.sizes)
        ends = list(accumulate(flat.sizes))
        self.parts = list(zip(flat.shapes, [0, *ends], ends, strict=False))
        self.names = flat.names(name)
        self.example: list[Any] = flat.numbers
        self.spec = _spec(example)
        # The type of an example that is a list of bare numbers: the quickest to read.
        is_flat = type(example) in (list, tuple) and all(_spec(x) is None for x in example)
        self._sequence = type(example) if is_flat else None
        # A tuple of numbers and arrays needs no optree to be built again.
        self._is_tuple = type(example) is tuple and all(
            isinstance(x, (Value, float, int, np.ndarray)) for x in example
        )
        self._shape = _shape_of_all(example)  # if it could be written as one array, its shape

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"example": []}

    def read(self, tree: Any, out: Floats) -> None:
        """Write the numbers of an argument into ``out``, of shape (size,)."""
        if self.spec is None:
            out[0] = _number(tree, self.name)
            return
        if (
            type(tree) is self._sequence
            and len(tree) == self.size
            and all([type(x) is float for x in tree])  # noqa: C419 (a list is quicker here)
        ):
            out[:] = tree
            return
        for leaf, (shape, start, stop) in zip(self._leaves(tree), self.parts, strict=True):
            if shape is None:
                out[start] = leaf if type(leaf) is float else _number(leaf, self.name)
            else:
                array = _array(leaf, self.name)
                if array.shape != shape:
                    raise self._misfit(f"an array of shape {array.shape} in place of {shape}")
                out[start:stop] = array.ravel()

    def read_lanes(self, tree: Any) -> Floats:
        """The numbers of an argument that may have a leading axis more than the example.

        Without it, of shape (size,). With it, of shape (lanes, size).
        """
        is_array = type(tree) is np.ndarray and tree.dtype is FLOAT64  # the quickest to read
        if self._shape is not None and (is_array or not _holds_values(tree)):
            array = tree if is_array else _array(tree, self.name)
            shape = array.shape
            if shape == self._shape:
                return array if array.ndim == 1 else array.ravel()
            if shape[1:] == self._shape and shape:
                return array if array.ndim == 2 else array.reshape(shape[0], self.size)
            raise self._misfit(
                f"an array of shape {array.shape}; for one sample it is {self._shape}, "
                f"for n samples (n, {', '.join(map(str, self._shape))})"
            )
        leaves = self._leaves(tree)
        arrays = [_array(leaf, self.name) for leaf in leaves]
        shapes = [() if shape is None else shape for shape in self.shapes]
        if all(array.shape == shape for array, shape in zip(arrays, shapes, strict=True)):
            return np.concatenate([a.ravel() for a in arrays]) if arrays else np.zeros(0)
        lanes = {a.shape[0] if a.shape[1:] == s and a.ndim else -1
                 for a, s in zip(arrays, shapes, strict=True)}  # fmt: skip
        if len(lanes) != 1 or -1 in lanes:
            found = ", ".join(str(array.shape) for array in arrays)
            raise self._misfit(f"leaves of shapes {found}; all or none have the lanes' axis")
        (n,) = lanes
        return np.concatenate([a.reshape(n, -1) for a in arrays], axis=1)

    def nest(self, numbers: Floats) -> Any:
        """``numbers`` of shape (size,), or (size, lanes), in the structure of the example."""
        if numbers.ndim == 2:
            leaves = [
                numbers[start:stop].T.reshape(numbers.shape[1], *(shape or ()))
                for shape, start, stop in self.parts
            ]
        else:
            leaves = [
                numbers.item(start) if shape is None else _shaped(numbers[start:stop], shape)
                for shape, start, stop in self.parts
            ]
        if self._is_tuple:
            return tuple(leaves)
        return leaves[0] if self.spec is None else self.spec.unflatten(leaves)

    def _leaves(self, tree: Any) -> list[Any]:
        if self.spec is None:
            return [tree]
        import optree

        leaves, spec = optree.tree_flatten(tree, none_is_leaf=True)
        if spec != self.spec:
            raise self._misfit(f"{spec} in place of {self.spec}")
        return leaves

    def _misfit(self, got: str) -> ValueError:
        return ValueError(
            f"{self.name} must have the structure of the example that was traced; got {got}. "
            "Trace again for another structure, or use jit, which does so by itself."
        )


def _shaped(numbers: Floats, shape: tuple[int, ...]) -> Floats:
    return numbers if len(shape) == 1 else numbers.reshape(shape)


def _spec(tree: Any) -> Any:
    """optree's description of a tree; None for a bare number."""
    if isinstance(tree, (Value, float, int)):
        return None
    import optree

    return optree.tree_structure(tree, none_is_leaf=True)


def _shape_of_all(example: Any) -> tuple[int, ...] | None:
    """The shape of an array, or of nested lists that an array could replace; else None."""
    if isinstance(example, (Value, float, int)):
        return ()
    if isinstance(example, np.ndarray):
        return tuple(example.shape)
    if isinstance(example, (list, tuple)) and example:
        shapes = {_shape_of_all(x) for x in example}
        inner = shapes.pop()
        return None if shapes or inner is None else (len(example), *inner)
    return None


def _holds_values(tree: Any) -> bool:
    """Whether the first leaf of nested lists is a Value."""
    while isinstance(tree, (list, tuple)) and tree:
        tree = tree[0]
    return isinstance(tree, Value)


def _number(x: Any, name: str) -> float:
    return peek(x) if isinstance(x, Value) else float(flatten([x], name).numbers[0])


def _array(leaf: Any, name: str) -> Floats:
    if isinstance(leaf, np.ndarray) and leaf.dtype == FLOAT64:
        return leaf
    array = np.asarray(leaf)
    if array.dtype.kind not in "fiub":
        numbers: Sequence[Any] = flatten(array if array.ndim else [leaf], name).numbers
        data = [peek(x) for x in numbers]
        return np.array(data, float).reshape(array.shape)
    return array.astype(float)
