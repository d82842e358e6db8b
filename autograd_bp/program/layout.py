"""Arguments and results as rows of numbers in NumPy arrays, and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np

from autograd_bp.program.instructions import Floats
from autograd_bp.trees import flatten, is_array, number, of_reals, without_nodes
from autograd_bp.value import Number, Value

__all__ = ["HoldsValues", "Layout", "values_in", "without_values"]

FLOAT64 = np.dtype(float)


class HoldsValues(Exception):  # noqa: N818 (no error: the way on is another)
    """Values stand where a row of numbers was to be read."""


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
        self.is_number = self.shapes == [None] and self.spec is None
        self._shape = _shape_of_all(example)  # if it could be written as one array, its shape

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"example": []}

    def numbers(self, tree: Any) -> list[Number]:
        """The numbers and Values of an argument."""
        flat = flatten(tree, self.name)
        if flat.spec != self.spec or flat.shapes != self.shapes:
            raise self.misfit(f"{flat.spec} of shapes {flat.shapes} in place of {self.spec}")
        return flat.numbers

    def read(self, tree: Any, out: Floats) -> None:
        """Write the numbers of an argument into ``out``, of shape (size,).

        Raises `HoldsValues` where a Value stands among them.
        """
        if self.spec is None:
            out[0] = tree if type(tree) is float else self.number_in(tree)
            return
        if (
            type(tree) is self._sequence
            and len(tree) == self.size
            and all([type(x) is float for x in tree])  # noqa: C419 (a list is quicker here)
        ):
            out[:] = tree
            return
        for leaf, (shape, start, stop) in zip(self.leaves(tree), self.parts, strict=True):
            if shape is None:
                out[start] = leaf if type(leaf) is float else self.number_in(leaf)
            else:
                out[start:stop] = self.array_in(leaf, shape).ravel()

    def read_lanes(self, tree: Any, dtype: type = float) -> Any:
        """The numbers of an argument that may have a leading axis more than the example.

        Without it, of shape (size,). With it, of shape (lanes, size). Raises `HoldsValues` where
        a Value stands among them, unless ``dtype`` is object.
        """
        is_plain = type(tree) is np.ndarray and tree.dtype is FLOAT64  # the quickest to read
        if self._shape is not None:
            array = tree if is_plain else self._array(tree, dtype)
            shape = array.shape
            # A view: reading the next argument may run code that gives this array another shape.
            if shape == self._shape:
                return array[:] if array.ndim == 1 else array.ravel()
            if shape[1:] == self._shape and shape:
                return array[:] if array.ndim == 2 else array.reshape(shape[0], self.size)
            raise self.misfit(
                f"an array of shape {array.shape}; for one sample it is {self._shape}, "
                f"for n samples (n, {', '.join(map(str, self._shape))})"
            )
        leaves = self.leaves(tree)
        arrays = [self._array(leaf, dtype) for leaf in leaves]
        shapes = [() if shape is None else shape for shape in self.shapes]
        if all(array.shape == shape for array, shape in zip(arrays, shapes, strict=True)):
            return np.concatenate([a.ravel() for a in arrays]) if arrays else np.zeros(0)
        lanes = {a.shape[0] if a.shape[1:] == s and a.ndim else -1
                 for a, s in zip(arrays, shapes, strict=True)}  # fmt: skip
        if len(lanes) != 1 or -1 in lanes:
            found = ", ".join(str(array.shape) for array in arrays)
            raise self.misfit(f"leaves of shapes {found}; all or none have the lanes' axis")
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

    def leaves(self, tree: Any) -> list[Any]:
        """The leaves of an argument, if it has the structure of the example."""
        if self.spec is None:
            return [tree]
        import optree

        leaves, spec = optree.tree_flatten(tree, none_is_leaf=True)
        if spec != self.spec:
            raise self.misfit(f"a {type(tree).__name__}, {spec}, in place of {self.spec}")
        return leaves

    def number_in(self, leaf: Any) -> float:
        """The leaf in the place of a number by itself."""
        if is_array(leaf):
            array = of_reals(leaf, self.name)
            if array.shape:
                raise self.misfit(f"an array of shape {array.shape} in place of a number")
            leaf = array.item()
        found = number(self._no_branch(leaf), self.name)
        if isinstance(found, Value):
            raise HoldsValues
        return found

    def array_in(self, leaf: Any, shape: tuple[int, ...]) -> Floats:
        """The leaf in the place of an array of this shape."""
        array: Floats = self._array(leaf)
        if array.shape != shape:
            raise self.misfit(f"an array of shape {array.shape} in place of {shape}")
        return array

    def _array(self, leaf: Any, dtype: type = float) -> Any:
        """The leaf as an array: one, a number, or nested lists that are like one."""
        if type(leaf) is np.ndarray and leaf.dtype is FLOAT64:
            return leaf
        array = of_reals(leaf if is_array(leaf) else self._of_lists(leaf), self.name)
        if array.dtype == FLOAT64:
            return array
        numbers = [number(x, self.name) for x in array.ravel().tolist()]
        if dtype is float and any(isinstance(x, Value) for x in numbers):
            raise HoldsValues
        row: Any = np.empty(len(numbers), dtype)
        row[:] = numbers
        return row.reshape(array.shape)

    def _of_lists(self, tree: Any) -> Any:
        """A number, or nested lists, as an array, all leaves looked at."""
        if not isinstance(tree, (list, tuple)):
            return np.asarray(number(self._no_branch(tree), self.name))
        items: Any = tree
        kinds = set(map(type, items))
        while kinds and kinds <= {list, tuple}:
            items = list(chain.from_iterable(items))
            kinds = set(map(type, items))
        if not kinds <= {float, int}:
            flatten(items, self.name)
        try:
            return np.asarray(tree)
        except ValueError:  # NumPy's of what is no array
            raise self.misfit("nested lists of different lengths") from None

    def _no_branch(self, leaf: Any) -> Any:
        spec = _spec(leaf)
        if spec is not None and not spec.is_leaf():
            raise self.misfit(f"a {type(leaf).__name__} in place of a number")
        return leaf

    def misfit(self, got: str) -> ValueError:
        """The error for an argument of another structure."""
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


def values_in(args: Sequence[Any]) -> list[Value]:
    """The Values in arguments."""
    flats = [flatten(arg, "argument") for arg in args if not _is_of_numbers(arg)]
    return [x for flat in flats for x in flat.numbers if isinstance(x, Value)]


def without_values(args: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments with the data of Values in their place."""
    return tuple([arg if _is_of_numbers(arg) else without_nodes(arg) for arg in args])


def _is_of_numbers(arg: Any) -> bool:
    return isinstance(arg, np.ndarray) and arg.dtype != object
