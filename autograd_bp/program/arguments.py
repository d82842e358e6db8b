"""The arguments of a jitted function: which are static, and what the others are to a program."""

from __future__ import annotations

import copy
import inspect
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
import optree

from autograd_bp.program.signature import orders, values_in
from autograd_bp.program.trace import parameters
from autograd_bp.transforms import are_final
from autograd_bp.trees import argument_positions, is_array, number, whole, without_nodes
from autograd_bp.value import Number, Value

__all__ = ["Given", "Same", "Static"]

STATIC = (type(None), bool, np.bool_, str, bytes, Enum)  # the leaves that f sees as they are
QUICK = {float, Value}
PLAIN = {float, int}


class Same:
    """An object as a key of the cache, told from others by identity, and not kept alive."""

    def __init__(self, thing: Any) -> None:
        self._id = id(thing)
        try:
            self._refer: Callable[[], Any] = weakref.ref(thing)
        except TypeError:  # of slots, without one for this
            self._refer = lambda: thing

    def __hash__(self) -> int:
        return self._id

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Same)
            and self._id == other._id
            and self._refer() is other._refer() is not None
        )


class Given:
    """The arguments of a call of f, or of the method of an owner, and the key of its program.

    ``leaves`` are all that is dynamic in them, if that is single numbers and Values, else None;
    ``dynamic`` are the arguments that a program takes. Where they are ``by_identity``, leaves are
    themselves the inputs of the program.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        owner: Same | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        static: Static,
        by_identity: bool,
    ) -> None:
        self._f, self._static = f, static
        self._args, self._kwargs = args, kwargs
        if static:
            fixed, args, kwargs = static.taken_out(args, kwargs)
        else:
            fixed = None
        tree: Any = args, kwargs
        leaves, spec = optree.tree_flatten(tree, none_is_leaf=True)
        self._types, self._leaves = set(map(type, leaves)), leaves
        kinds: Sequence[Any] = (None,) * len(leaves)
        self.leaves: list[Number] | None = leaves
        if not self._types <= QUICK:
            kinds = tuple([_kind(x) for x in leaves])
            is_dynamic = kinds.count(None) == len(kinds)
            self.leaves = [number(x, "arguments") for x in leaves] if is_dynamic else None
        # Where nothing stands in a list but leaves, the lists need not be looked through.
        top = [x for x in (*args, *kwargs.values()) if isinstance(x, (dict, list, tuple, deque))]
        if spec.num_nodes - spec.num_leaves == 3 + len(top):
            tree = [kwargs, *[x for x in top if isinstance(x, dict)]]
        self.key: Any = owner, fixed, spec, kinds, orders(tree)
        # In f, leaves may be reached from outside as well, as the parameters of a model.
        values = values_in(self.dynamic) if by_identity else []
        self._identical = bool(values) and are_final(values)
        if self._identical:
            self.key = self.key, tuple([Same(x) for x in values])

    @property
    def is_plain(self) -> bool:
        """Whether the arguments hold numbers and arrays of floats, and nothing else."""
        return not self._static and (
            self._types <= PLAIN
            or all(type(x) in PLAIN or (is_array(x) and x.dtype == float) for x in self._leaves)
        )

    @cached_property
    def _parts(self) -> list[_Part]:
        static = self._static
        parts = []
        for i, x in enumerate(self._args):
            parts.append(_Part(x, static.name(i), False, static.has(i, static.name(i))))
        for name in sorted(self._kwargs):
            parts.append(_Part(self._kwargs[name], name, True, name in static.keywords))
        return parts

    @cached_property
    def dynamic(self) -> list[Any]:
        """The arguments that a program takes."""
        return [part.dynamic for part in self._parts if part.is_dynamic]

    def example(self) -> tuple[Callable[..., Any], Sequence[Any], Sequence[str]]:
        """What is traced for these arguments: a function, its arguments and their names."""
        f, parts = self._f, self._parts

        def function(*numbers: Any) -> Any:
            rest = iter(numbers)
            built = [part.build(next(rest) if part.is_dynamic else ()) for part in parts]
            named = {p.name: x for p, x in zip(parts, built, strict=True) if p.keyword}
            positional = [x for p, x in zip(parts, built, strict=True) if not p.keyword]
            return f(*positional, **{name: named[name] for name in self._kwargs})

        examples = self.dynamic if self._identical else without_nodes(self.dynamic)
        return function, examples, [part.name for part in parts if part.is_dynamic]

    def positions(self, argnums: int | Sequence[int]) -> Any:
        """Which of the dynamic arguments these positional ones are."""
        chosen = self._chosen(argnums)
        if isinstance(chosen, tuple):
            return tuple([self._position(i) for i in chosen])
        return self._position(chosen)

    def _chosen(self, argnums: int | Sequence[int]) -> int | tuple[int, ...]:
        n = sum(not part.keyword for part in self._parts)
        return argument_positions(argnums, n, "positional arguments of the call")

    def _position(self, i: int) -> int:
        if not self._parts[i].is_dynamic:
            raise ValueError(
                f"argnums must name arguments that hold numbers; argument {i} is static"
            )
        return sum(part.is_dynamic for part in self._parts[:i])

    def gradient(self, argnums: int | Sequence[int], grad: Any) -> Any:
        """The gradient in the structure of the arguments, static leaves in their places."""
        positional = [part for part in self._parts if not part.keyword]
        chosen = self._chosen(argnums)
        if isinstance(chosen, tuple):
            pairs = zip(chosen, grad, strict=True)
            return tuple([positional[i].build(g) for i, g in pairs])
        return positional[chosen].build(grad)


class _Part:
    """One argument: what of it is static, and how the numbers go in between."""

    def __init__(self, value: Any, name: str, keyword: bool, is_static: bool) -> None:
        self.name = name
        self.keyword = keyword
        self._spec: Any = None
        leaves: list[Any] = [value]
        if not is_static:
            leaves, self._spec = optree.tree_flatten(value, none_is_leaf=True)
        self._fixed = [is_static or _is_static(leaf) for leaf in leaves]
        self._leaves = [x if fixed else None for x, fixed in zip(leaves, self._fixed, strict=True)]
        self.is_dynamic = not all(self._fixed) or (not leaves and not is_static)
        self.dynamic = (
            value
            if not any(self._fixed)
            else [x for x, fixed in zip(leaves, self._fixed, strict=True) if not fixed]
        )

    def build(self, dynamic: Any) -> Any:
        """The argument, with these numbers in place of its own."""
        if not any(self._fixed):
            return dynamic
        rest = iter(dynamic if self.is_dynamic else ())
        leaves = [
            x if fixed else next(rest) for x, fixed in zip(self._leaves, self._fixed, strict=True)
        ]
        return leaves[0] if self._spec is None else self._spec.unflatten(leaves)


def _is_static(leaf: Any) -> bool:
    return isinstance(leaf, STATIC)


def _kind(leaf: Any) -> Any:
    """What the key of a program says of a leaf: nothing of a number, the shape of an array."""
    if _is_static(leaf):
        return _static_key(leaf)
    return leaf.shape if is_array(leaf) else None


def _static_key(x: Any) -> Any:
    # 1 == 1.0 == True, but f may tell them apart.
    return type(x), x, repr(x) if isinstance(x, (float, tuple, frozenset)) else None


class Static:
    """Which parameters of f are static, and what those that can be given by position are called."""

    def __init__(
        self,
        f: Callable[..., Any],
        argnums: int | Sequence[int],
        argnames: str | Iterable[str],
    ) -> None:
        self.names = parameters(f)
        n = len(self.names)
        keywords = {argnames} if isinstance(argnames, str) else set(argnames)
        positions = set()
        for i in argnums if isinstance(argnums, Sequence) else [argnums]:
            if not whole(i) or i < -n:
                raise ValueError(
                    "static_argnums must be positions of parameters of the function, of which "
                    f"there are {n}; got {argnums!r}"
                )
            positions.add(int(i) % n if i < 0 else int(i))
        accepted = _all_names(f)
        if accepted is not None and not keywords <= accepted:
            raise ValueError(
                "static_argnames must be parameters of the function "
                f"({', '.join(sorted(accepted))}); got {argnames!r}"
            )
        self.keywords = frozenset(keywords | {self.names[i] for i in positions if i < n})
        self.positions = frozenset(positions)

    def __bool__(self) -> bool:
        return bool(self.positions or self.keywords)

    def taken_out(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Any, tuple[Any, ...], Mapping[str, Any]]:
        """What the key of a program says of the static arguments, and those that are left."""
        static: dict[Any, Any] = {i: x for i, x in enumerate(args) if self.has(i, self.name(i))} | {
            name: x for name, x in kwargs.items() if name in self.keywords
        }
        for i, x in static.items():
            try:
                hash(x)
            except TypeError:
                raise TypeError(
                    f"{i if isinstance(i, str) else self.name(i)} is static, so it must be "
                    f"hashable: there is a program for each of its values; got {x!r} of type "
                    f"{type(x).__name__}. Give a tuple for a list, or have it traced as numbers"
                ) from None
        key = frozenset([(i, _static_key(x)) for i, x in static.items()])
        left = tuple([x for i, x in enumerate(args) if i not in static])
        return key, left, {name: x for name, x in kwargs.items() if name not in static}

    def name(self, i: int) -> str:
        """What f calls its argument i."""
        return self.names[i] if i < len(self.names) else f"args[{i}]"

    def has(self, i: int, name: str) -> bool:
        """Whether the argument i is static."""
        return i in self.positions or name in self.keywords

    def of_method(self) -> Static:
        """The same for the method of an object, which is no longer given."""
        bound = copy.copy(self)
        bound.names = self.names[1:]
        bound.positions = frozenset(i - 1 for i in self.positions)
        return bound


def _all_names(f: Callable[..., Any]) -> set[str] | None:
    """The names of all parameters; None where any name will do."""
    try:
        found = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in found):
        return None
    return {p.name for p in found}
