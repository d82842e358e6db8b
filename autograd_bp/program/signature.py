"""What a program takes and gives: arguments and results as rows of numbers, and back.

A `Function` is instructions with such a signature: what derivatives are made of and emitters
take. `Program` is one that runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate, chain
from typing import Any, TypeVar

import numpy as np
import optree

from autograd_bp.program.instructions import Floats, Instructions, Ints
from autograd_bp.transforms import are_constants
from autograd_bp.trees import Flat, argument_positions, flatten, is_array, number, of_reals
from autograd_bp.value import Number, Value

__all__ = ["Function", "HoldsValues", "Layout", "orders", "values_in"]

T = TypeVar("T")
FLOAT64 = np.dtype(float)
LEAVES = {float, int, Value, np.ndarray}


class HoldsValues(Exception):  # noqa: N818 (no error: the way on is another)
    """Values stand where a row of numbers was to be read."""


class Layout:
    """The structure of an argument or a result, made from an example of it.

    It knows how to read another of the same structure into a row of numbers, and how to nest a
    row as the example was: numbers stay numbers, arrays become arrays of floats.
    """

    def __init__(self, example: Any, name: str, flat: Flat | None = None) -> None:
        self.name = name
        flat = flat or flatten(example, name)
        self.flat = Flat([], flat.shapes, flat.spec)
        self.size = sum(flat.sizes)
        ends = list(accumulate(flat.sizes))
        self.parts = list(zip(flat.shapes, [0, *ends], ends, strict=False))
        self.names = flat.names(name)
        self.is_number = flat.spec is None
        # The type of an example that is a list of bare numbers: the quickest to read.
        is_flat = type(example) in (list, tuple) and all(map(_is_number, example))
        self._sequence = type(example) if is_flat else None
        # A tuple of numbers and arrays needs no optree to be built again.
        self._is_tuple = type(example) is tuple and all(
            _is_number(x) or isinstance(x, np.ndarray) for x in example
        )
        self._orders = orders(example)
        self._shape = _shape_of_all(example)  # if it could be written as one array, its shape

    def numbers(self, tree: Any) -> list[Number]:
        """The numbers and Values of an argument."""
        flat = flatten(tree, self.name)
        if not flat.is_like(self.flat) and _kind(flat) != _kind(self.flat):
            raise self.misfit(f"{flat.spec} of shapes {flat.shapes} in place of {self.flat.spec}")
        return flat.numbers

    def read(self, tree: Any, out: Floats) -> None:
        """Write the numbers of an argument into ``out``, of shape (size,).

        Raises `HoldsValues` where a Value stands among them.
        """
        if self.is_number:
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
        shapes = [() if shape is None else shape for shape in self.flat.shapes]
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
        return self.flat.nest(leaves)

    def is_as_traced(self, tree: Any) -> bool:
        """Whether an argument that can be read has the example's structure to the last detail."""
        if self.is_number:
            return not is_array(tree)
        if type(tree) is self._sequence and set(map(type, tree)) <= LEAVES - {np.ndarray}:
            return True
        leaves = optree.tree_leaves(tree, none_is_leaf=True)
        arrays = [shape is not None for shape in self.flat.shapes]
        return orders(tree) == self._orders and list(map(is_array, leaves)) == arrays

    def leaves(self, tree: Any) -> list[Any]:
        """The leaves of an argument, if it has the structure of the example."""
        if self.is_number:
            return [tree]
        leaves, spec = optree.tree_flatten(tree, none_is_leaf=True)
        if spec != self.flat.spec:
            raise self.misfit(f"a {type(tree).__name__}, {spec}, in place of {self.flat.spec}")
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
        if not _is_number(leaf) and not optree.tree_is_leaf(leaf, none_is_leaf=True):
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


def _kind(flat: Flat) -> tuple[Any, ...]:
    """The structure, in which an array without dimensions is a number."""
    alone = flat.spec is None or flat.spec.is_leaf()
    return None if alone else flat.spec, [shape or None for shape in flat.shapes]


def _is_number(x: Any) -> bool:
    return isinstance(x, (Value, float, int))


def _shape_of_all(example: Any) -> tuple[int, ...] | None:
    """The shape of an array, or of nested lists that an array could replace; else None."""
    if _is_number(example):
        return ()
    if isinstance(example, np.ndarray):
        return tuple(example.shape)
    if isinstance(example, (list, tuple)) and example:
        shapes = {_shape_of_all(x) for x in example}
        inner = shapes.pop()
        return None if shapes or inner is None else (len(example), *inner)
    return None


def orders(tree: Any) -> tuple[Any, ...]:
    """The keys of each dict in a tree, in their order: optree does not see it, but users do."""
    if not isinstance(tree, (dict, list, tuple, deque)):
        return ()
    items = tree.values() if isinstance(tree, dict) else tree
    found = (tuple(tree),) if isinstance(tree, dict) else ()
    if not set(map(type, items)) <= LEAVES:
        for x in items:
            found += orders(x)
    return found


def values_in(args: Sequence[Any]) -> list[Value]:
    """The Values in arguments."""
    found: list[Value] = []
    for arg in args:
        if not is_array(arg) or arg.dtype == object:
            found += [x for x in flatten(arg, "argument").numbers if isinstance(x, Value)]
    return found


class Function:
    """Instructions, and what they take and give; `Program` says what its fields are."""

    def __init__(
        self,
        instructions: Instructions,
        arguments: Sequence[Layout],
        result: Layout,
        optimize: bool = True,
        captured: Sequence[Value] = (),
        name: str = "program",
    ) -> None:
        self.instructions = instructions
        self.arguments = tuple(arguments)
        self.result = result
        self.optimize = optimize
        self.captured = tuple(captured)
        self.name = name
        self.derived: dict[Any, Any] = {}
        self._check_sizes()

    def __getstate__(self) -> dict[str, Any]:
        # What can be made again travels with nobody.
        return self.frozen().__dict__ | {"derived": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._check_sizes()

    def _check_sizes(self) -> None:
        inputs, outputs = self.instructions.inputs, self.instructions.outputs
        found = len(inputs) - len(self.captured), len(outputs)
        sizes = sum([layout.size for layout in self.arguments]), self.result.size
        if found != sizes:
            raise ValueError(
                f"arguments and result have {sizes[0]} and {sizes[1]} numbers, but the "
                f"instructions {found[0]} inputs and {found[1]} outputs"
            )

    def __len__(self) -> int:
        """How many instructions there are, not counting inputs and constants."""
        return int(np.count_nonzero(self.instructions.code))

    def twin(
        self: F,
        instructions: Instructions,
        arguments: Sequence[Layout],
        result: Layout,
        captured: Sequence[Value] = (),
    ) -> F:
        """One of these instructions that is simplified, or not, as this one is."""
        return type(self)(instructions, arguments, result, self.optimize, captured, self.name)

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """What is made from this one, made at the first call and kept."""
        found: T | None = self.derived.get(key)
        if found is None:
            found = self.derived[key] = make()
        return found

    def frozen(self: F) -> F:
        """The same with what it captured as constants, at their present data.

        Raises ValueError where a transformation or a trace made it, so that it is none.
        """
        if not self.captured:
            return self
        if not are_constants(self.captured):
            raise ValueError(
                f"{self.name} stands on {self.captured[0]!r}, which a transformation or a trace "
                "around it made: it cannot be kept, exported or pickled with the number that this "
                "has in one call. Make it an argument of the traced function"
            )
        n = len(self.captured)
        inputs, number = self.instructions.inputs, self.instructions.number.copy()
        number[inputs[:n]] = [x.data for x in self.captured]
        instructions = replace(self.instructions, number=number, inputs=inputs[n:])
        return self.twin(instructions, self.arguments, self.result)

    def matching(self, args: tuple[Any, ...]) -> tuple[Layout, ...]:
        """The layouts of these arguments, if they are as many."""
        if len(args) != len(self.arguments):
            raise TypeError(
                f"the program takes {len(self.arguments)} arguments, as the function that was "
                f"traced did; got {len(args)}"
            )
        return self.arguments

    def operands(self, args: tuple[Any, ...]) -> list[Number]:
        """What the inputs are: the captured Values, then what stands in the arguments."""
        row: list[Number] = list(self.captured)
        for layout, arg in zip(self.matching(args), args, strict=True):
            row += layout.numbers(arg)
        return row

    def position(self, argnums: int) -> int:
        """Which argument this one is, for what takes one only."""
        found = argument_positions(argnums, len(self.arguments), "arguments of the program")
        if not isinstance(found, int):
            raise ValueError(f"argnums must name one argument here, got {argnums!r}")
        return found

    def inputs_of(self, argnums: int) -> Ints:
        """The inputs that are this argument's numbers."""
        at = self.position(argnums)
        start = len(self.captured) + sum(layout.size for layout in self.arguments[:at])
        return self.instructions.inputs[start : start + self.arguments[at].size]

    @property
    def input_names(self) -> list[str]:
        """What each input is called."""
        captured = [x.label or f"captured[{i}]" for i, x in enumerate(self.captured)]
        return captured + [name for layout in self.arguments for name in layout.names]


F = TypeVar("F", bound=Function)
