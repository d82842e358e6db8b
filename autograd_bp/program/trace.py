"""From a function of numbers to a `Program`: by calling it once on Values."""

from __future__ import annotations

import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import update_wrapper
from typing import Any

import optree

from autograd_bp.context import tracing
from autograd_bp.program.layout import Layout
from autograd_bp.program.program import Program
from autograd_bp.program.record import record
from autograd_bp.program.simplify import collect_sums
from autograd_bp.trees import flatten
from autograd_bp.value import Value, traced_input

__all__ = ["Jitted", "jit", "trace"]


def trace(f: Callable[..., Any], *examples: Any, optimize: bool = True) -> Program:
    """The `Program` of f for arguments of the structure of these examples.

    Examples are numbers, NumPy arrays, and lists, tuples and dicts of them; f is called once,
    on fresh Values in their place. A Value in an example is itself the program's input. So the
    parameters of a model, which hide in a closure, become an argument:
    ``trace(lambda params, x: model(x), model.parameters(), x)``. Any other Value that f takes
    from outside is a constant.

    With ``optimize``, instructions are simplified; all of it is exact but for the order of
    sums (see `autograd_bp.program.simplify`). Without, they are as they were recorded.

    Raises TypeError for a branch on a traced value, and for operations that are no row of the
    table.

    >>> from autograd_bp import where
    >>> program = trace(lambda x: where(x > 0, x, 0.1 * x), 1.0)
    >>> program.value(-2.0)
    -0.2
    >>> trace(lambda x: x if x > 0 else 0.1 * x, 1.0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    TypeError: a branch (if, while, and, or, min, max) on a traced value: ...
    """
    names = _names(f, len(examples))
    arguments = [Layout(x, name) for x, name in zip(examples, names, strict=True)]
    inputs: list[Value] = []
    given = []
    with tracing():
        for layout, example in zip(arguments, examples, strict=True):
            nodes = [x if isinstance(x, Value) else traced_input(x) for x in layout.example]
            inputs += nodes
            given.append(flatten(example, layout.name).build(nodes))
            layout.example = []
        if len({id(x) for x in inputs}) < len(inputs):
            raise ValueError("the same Value stands twice among the examples; give it once")
        returned = f(*given)
        result = Layout(returned, "result")
        program = record(inputs, result.example)
        result.example = []
    if optimize:
        program = collect_sums(program)
    return Program(program, arguments, result, optimize)


def _names(f: Callable[..., Any], n: int) -> list[str]:
    """What f calls its positional arguments."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):  # a builtin without a signature
        parameters = []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in positional][:n]
    return names + [f"args[{i}]" for i in range(len(names), n)]


def jit(f: Callable[..., Any], *, optimize: bool = True, cache_size: int = 64) -> Jitted:
    """f as a function on numbers and NumPy arrays that runs compiled.

    The first call with arguments of a new structure traces f; its program is kept for calls
    to come. The ``cache_size`` last used programs are kept.

    >>> from autograd_bp import exp
    >>> @jit
    ... def gaussian(x, width):
    ...     return exp(-((x / width) ** 2))
    >>> gaussian(0.0, 1.0), len(gaussian.programs)
    (1.0, 1)
    """
    return Jitted(f, optimize, cache_size)


class Jitted:
    """What `jit` makes. ``programs`` are those in the cache, the last used one last."""

    def __init__(self, f: Callable[..., Any], optimize: bool, cache_size: int) -> None:
        if not callable(f):
            raise TypeError(f"jit takes a function, got {f!r}")
        if not isinstance(cache_size, int) or cache_size < 1:
            raise ValueError(f"cache_size must be a whole number from 1 on, got {cache_size!r}")
        self._f = f
        self._optimize = optimize
        self._cache_size = cache_size
        self._programs: OrderedDict[Any, Program] = OrderedDict()
        self._lock = threading.Lock()
        update_wrapper(self, f)

    def __call__(self, *args: Any) -> Any:
        """f of the arguments; on Values a graph, as f itself gives."""
        if _holds_values(args):
            return self._f(*args)
        return self.program(*args).value(*args)

    def program(self, *args: Any) -> Program:
        """The program for arguments of this structure: from the cache, or traced now."""
        key = _structure(args)
        with self._lock:
            found = self._programs.get(key)
            if found is not None:
                self._programs.move_to_end(key)
                return found
        program = trace(self._f, *args, optimize=self._optimize)
        with self._lock:
            self._programs[key] = program
            while len(self._programs) > self._cache_size:
                self._programs.popitem(last=False)
        return program

    def value_and_grad(self, *args: Any, argnums: int = 0) -> tuple[Any, Any]:
        """The value of f and its gradient; see `Program.value_and_grad`."""
        return self.program(*args).value_and_grad(*args, argnums=argnums)

    def __repr__(self) -> str:
        name = getattr(self._f, "__qualname__", repr(self._f))
        return f"<jit of {name}, programs: {len(self.programs)}>"

    @property
    def programs(self) -> list[Program]:
        """The programs in the cache."""
        with self._lock:
            return list(self._programs.values())

    def clear(self) -> None:
        """Forget all programs."""
        with self._lock:
            self._programs.clear()


def _structure(args: tuple[Any, ...]) -> Any:
    if all(type(arg) is float for arg in args):
        return len(args)
    leaves, spec = _flattened(args)
    return spec, tuple([getattr(leaf, "shape", None) for leaf in leaves])


def _holds_values(args: tuple[Any, ...]) -> bool:
    if all(type(arg) is float for arg in args):
        return False
    for leaf in _flattened(args)[0]:
        if isinstance(leaf, Value):
            return True
        holds_objects = getattr(getattr(leaf, "dtype", None), "hasobject", False)
        if holds_objects and any(isinstance(x, Value) for x in leaf.flat):
            return True
    return False


def _flattened(args: Any) -> tuple[list[Any], Any]:
    leaves, spec = optree.tree_flatten(args, none_is_leaf=True)
    return leaves, spec
