"""`jit`: a function that is traced once for each structure of its arguments."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import update_wrapper
from types import MethodType
from typing import Any

from autograd_bp.context import is_tracing
from autograd_bp.program.arguments import Given, Same, Static
from autograd_bp.program.program import MISFITS, Program
from autograd_bp.program.trace import name_of, traced
from autograd_bp.transforms import are_constants
from autograd_bp.trees import argument_positions

__all__ = ["Jitted", "jit"]


def jit(
    f: Callable[..., Any],
    *,
    optimize: bool = True,
    cache_size: int = 64,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Iterable[str] = (),
) -> Jitted:
    """f as a function on numbers and NumPy arrays that runs compiled.

    The first call with arguments of a new structure traces f; its program is kept for calls
    to come. The ``cache_size`` last used programs are kept. None, bools, strings, bytes and
    enums in the arguments are static: f sees them as they are, and there is a program for each.
    So are, whatever they are, the arguments that ``static_argnums`` and ``static_argnames``
    name; these must be hashable. The object of a method is static too.

    On Values, and where f takes Values from outside, the result is a graph, as that of f: one
    node for each number. See `Program`. Plain numbers from outside are constants.

    >>> from autograd_bp import exp
    >>> @jit
    ... def gaussian(x, width):
    ...     return exp(-((x / width) ** 2))
    >>> gaussian(0.0, 1.0), len(gaussian.programs)
    (1.0, 1)
    """
    return Jitted(f, optimize, cache_size, static_argnums, static_argnames)


class Jitted:
    """What `jit` makes. ``programs`` are those in the cache, the last used one last."""

    def __init__(
        self,
        f: Callable[..., Any],
        optimize: bool = True,
        cache_size: int = 64,
        static_argnums: int | Sequence[int] = (),
        static_argnames: str | Iterable[str] = (),
    ) -> None:
        if not callable(f):
            raise TypeError(f"jit takes a function, got {f!r}")
        if not isinstance(cache_size, int) or cache_size < 1:
            raise ValueError(f"cache_size must be a whole number from 1 on, got {cache_size!r}")
        self._f = f
        self._options = optimize, cache_size, static_argnums, static_argnames
        self._static = Static(f, static_argnums, static_argnames)
        self._owner: Same | None = None  # the object, of a method
        # No lock, which a fork, or a signal's handler that calls f, could find held for ever. Each
        # access is one step; a program has with it when it was last used.
        self._programs: dict[Any, tuple[Program, list[int]]] = {}
        self._clock = itertools.count()
        self._is_new_each_time = False  # as it stands on what a trace around it computed
        update_wrapper(self, f, updated=())  # not the fields of another one

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """f of the arguments; on Values a graph, as f itself gives."""
        if is_tracing():  # the trace around it takes in what f does
            return self._f(*args, **kwargs)
        call = self._arguments(args, kwargs)
        program = self._program(call)
        return program.value(*call.dynamic) if call.leaves is None else program.of(call.leaves)

    def program(self, *args: Any, **kwargs: Any) -> Program:
        """The program for arguments of this structure: from the cache, or traced now.

        Its arguments are those that are not static, first the positional ones, then the others
        by name. As in `trace`, leaves that are given here may stand in f for the inputs.
        """
        return self._program(self._arguments(args, kwargs, by_identity=True))

    def value_and_grad(
        self, *args: Any, argnums: int | Sequence[int] = 0, **kwargs: Any
    ) -> tuple[Any, Any]:
        """The value of f and its gradient; see `Program.value_and_grad`."""
        call = self._arguments(args, kwargs, by_identity=True)
        program = self._program(call)
        value, grad = program.value_and_grad(*call.dynamic, argnums=call.positions(argnums))
        return value, call.gradient(argnums, grad)

    def _value_and_grad_of_numbers(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], argnums: int | Sequence[int]
    ) -> tuple[float, Any] | None:
        """As that of `Program`."""
        try:
            argument_positions(argnums, len(args), "arguments of the call")
            call = self._arguments(args, kwargs)
        except MISFITS:
            return None
        if kwargs or self._is_new_each_time or not call.is_plain:
            return None
        return self._program(call).at_once(args, argnums)

    def _arguments(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], by_identity: bool = False
    ) -> Given:
        return Given(self._f, self._owner, args, kwargs, self._static, by_identity)

    def _program(self, call: Given) -> Program:
        found = self._programs.get(call.key)
        if found is not None:
            found[1][0] = next(self._clock)
            return found[0]
        optimize, cache_size, *_ = self._options
        program = traced(*call.example(), optimize, captures=True)
        program.name = name_of(self._f)
        if are_constants(program.captured):  # the next call takes the same
            self._programs[call.key] = program, [next(self._clock)]
            for key, _ in self._by_use()[:-cache_size]:
                self._programs.pop(key, None)
        else:
            self._is_new_each_time = True
        return program

    def _by_use(self) -> list[tuple[Any, Program]]:
        entries = sorted(self._programs.items(), key=lambda entry: entry[1][1])
        return [(key, program) for key, (program, _) in entries]

    def __get__(self, instance: Any, owner: type | None = None) -> Jitted:
        """The method of an object: it shares the cache, in which the object has its programs."""
        if instance is None or isinstance(self._f, staticmethod):
            return self
        bound = object.__new__(Jitted)
        bound.__dict__.update(self.__dict__)
        bound._f = MethodType(self._f, instance)
        bound._owner = Same(instance)
        bound._static = self._static.of_method()
        return bound

    def __reduce__(self) -> str | tuple[Any, ...]:
        if isinstance(self._f, MethodType):
            return getattr, (self._f.__self__, self._f.__name__)
        name = getattr(self._f, "__qualname__", "")
        found: Any = sys.modules.get(getattr(self._f, "__module__", ""))
        in_main = found is sys.modules.get("__main__")
        for part in name.split("."):
            found = getattr(found, part, None)
        # By its name, as functions are pickled; but cloudpickle takes along what is in __main__.
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if found is self and not (in_main and caller.startswith("cloudpickle")):
            return name
        return Jitted, (self._f, *self._options)

    def __repr__(self) -> str:
        name = getattr(self._f, "__qualname__", repr(self._f))
        return f"<jit of {name}, programs: {len(self.programs)}>"

    @property
    def programs(self) -> list[Program]:
        """The programs in the cache."""
        return [program for _, program in self._by_use()]

    def clear(self) -> None:
        """Forget all programs."""
        self._programs.clear()
