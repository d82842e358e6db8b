"""The arguments of a jitted function: which are static, and what the others are to a program."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np
import optree

from autograd_bp.program.layout import values_in, without_values
from autograd_bp.program.program import all_leaves
from autograd_bp.program.trace import argument_names, parameters

__all__ = ["Given", "Same", "given", "static_parameters"]

STATIC = (type(None), bool, np.bool_, str, bytes, Enum)  # the leaves that f sees as they are


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
    """The arguments of a call: those that a program takes, and the key of that program."""

    def __init__(
        self,
        key: Any,
        dynamic: list[Any],
        parts: Sequence[_Part] = (),
        names: Sequence[str] = (),
        function: Callable[..., Any] | None = None,
        examples: list[Any] | None = None,
    ) -> None:
        self.key = key
        self.dynamic = dynamic
        self.examples = dynamic if examples is None else examples
        self.names = names
        self.function = function
        self._parts = parts

    def positions(self, argnums: int | Sequence[int]) -> Any:
        """Which of the dynamic arguments these positional ones are."""
        if not self._parts:
            return argnums
        if isinstance(argnums, Sequence):
            return tuple([self._position(i) for i in argnums])
        return self._position(argnums)

    def _position(self, i: Any) -> int:
        n = sum(not part.keyword for part in self._parts)
        if not _is_int(i) or not -n <= i < n:
            raise ValueError(
                f"argnums must name positional arguments of the call, which has {n}; got {i!r}. "
                "Pass the arguments to differentiate by position."
            )
        if not self._parts[i % n].is_dynamic:
            raise ValueError(
                f"argnums must name arguments that hold numbers; argument {i} is static"
            )
        return sum(part.is_dynamic for part in self._parts[: i % n])

    def gradient(self, argnums: int | Sequence[int], grad: Any) -> Any:
        """The gradient in the structure of the arguments, static leaves in their places."""
        if not self._parts:
            return grad
        positional = [part for part in self._parts if not part.keyword]
        if isinstance(argnums, Sequence):
            pairs = zip(argnums, grad, strict=True)
            return tuple([positional[i].build(g) for i, g in pairs])
        return positional[argnums].build(grad)


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
        kinds = [
            _static_key(x, name) if fixed else getattr(x, "shape", None)
            for x, fixed in zip(leaves, self._fixed, strict=True)
        ]
        self.key = self._spec, tuple(kinds), name if keyword else ""

    def build(self, dynamic: Any) -> Any:
        """The argument, with these numbers in place of its own."""
        if not any(self._fixed):
            return dynamic
        rest = iter(dynamic if self.is_dynamic else ())
        leaves = [
            x if fixed else next(rest) for x, fixed in zip(self._leaves, self._fixed, strict=True)
        ]
        return leaves[0] if self._spec is None else self._spec.unflatten(leaves)


def given(
    f: Callable[..., Any],
    owner: Same | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    static: tuple[frozenset[int], frozenset[str]],
    by_identity: bool,
) -> Given:
    """The arguments of a call of f, or of the method of an owner.

    Where they are ``by_identity``, leaves are themselves the inputs of the program.
    """
    positions, keywords = static
    names = argument_names(f, len(args))
    parts = [
        _Part(x, name, False, i in positions or name in keywords)
        for i, (x, name) in enumerate(zip(args, names, strict=True))
    ]
    parts += [_Part(kwargs[name], name, True, name in keywords) for name in sorted(kwargs)]
    used = [part for part in parts if part.is_dynamic]
    dynamic = [part.dynamic for part in used]

    def function(*numbers: Any) -> Any:
        rest = iter(numbers)
        built = [part.build(next(rest) if part.is_dynamic else ()) for part in parts]
        named = {p.name: x for p, x in zip(parts, built, strict=True) if p.keyword}
        return f(*[x for p, x in zip(parts, built, strict=True) if not p.keyword], **named)

    key: Any = owner, tuple([part.key for part in parts])
    values = values_in(dynamic)
    if values and by_identity and all_leaves(values):
        # In f they may be reached from outside as well, as the parameters of a model.
        key, examples = (key, tuple([Same(x) for x in values])), dynamic
    else:
        examples = list(without_values(dynamic)) if values else dynamic
    return Given(key, dynamic, parts, [part.name for part in used], function, examples)


def _is_int(i: Any) -> bool:
    return isinstance(i, (int, np.integer)) and not isinstance(i, bool)


def _is_static(leaf: Any) -> bool:
    return isinstance(leaf, STATIC)


def _static_key(x: Any, name: str) -> Any:
    try:
        hash(x)
    except TypeError:
        raise TypeError(
            f"{name} is static, so it must be hashable: there is a program for each of its "
            f"values; got {x!r} of type {type(x).__name__}. Give a tuple for a list, or have it "
            "differentiated and traced as numbers"
        ) from None
    # 1 == 1.0 == True, but f may tell them apart.
    return type(x), x, repr(x) if isinstance(x, (float, tuple, frozenset)) else None


def static_parameters(
    f: Callable[..., Any], argnums: int | Sequence[int], argnames: str | Iterable[str]
) -> tuple[frozenset[int], frozenset[str]]:
    """The positions and the names of the arguments that are static."""
    known = parameters(f)
    names = {argnames} if isinstance(argnames, str) else set(argnames)
    positions = set()
    for i in argnums if isinstance(argnums, Sequence) else [argnums]:
        if not _is_int(i) or i < -len(known):
            raise ValueError(
                "static_argnums must be positions of parameters of the function, of which there "
                f"are {len(known)}; got {argnums!r}"
            )
        positions.add(int(i) % len(known) if i < 0 else int(i))
    accepted = _all_names(f)
    if accepted is not None and not names <= accepted:
        raise ValueError(
            f"static_argnames must be parameters of the function ({', '.join(sorted(accepted))}); "
            f"got {argnames!r}"
        )
    names |= {known[i] for i in positions if i < len(known)}
    return frozenset(positions), frozenset(names)


def _all_names(f: Callable[..., Any]) -> set[str] | None:
    """The names of all parameters; None where any name will do."""
    try:
        found = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in found):
        return None
    return {p.name for p in found}
