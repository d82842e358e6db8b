"""What `value.py` and its like need when they run as ordinary Python.

There is a finder that takes modules from their sources. There are stand-ins for the module
``cython``: the compiler knows these names by itself, and here they do nothing. And there is what
compiled code does without an interruption: in Python a signal handler, a finalizer or another
thread may come after any bytecode, but not within a call such as that of ``deque(map(…))``, all
of which is C.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.util import spec_from_file_location
from itertools import chain, compress, repeat, starmap
from operator import is_
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


class Sources(MetaPathFinder):
    """Finds the modules of a package as they are written, where compiled ones stand beside them."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:
        """Where a module's source stands; None for what has none, or is of another package."""
        if name.partition(".")[0] != self.package or path is None:
            return None
        places = [Path(folder, name.rpartition(".")[2] + ".py") for folder in path]
        found = [place for place in places if place.is_file()]
        return spec_from_file_location(name, found[0]) if found else None


def _as_it_is(definition: T) -> T:
    return definition


class cython:
    """A stand-in for the module of that name."""

    compiled = False
    short: TypeAlias = builtins.int
    int: TypeAlias = builtins.int
    longlong: TypeAlias = builtins.int
    double: TypeAlias = float
    Py_ssize_t: TypeAlias = builtins.int
    bint: TypeAlias = bool
    p_double: TypeAlias = list[float]
    p_int: TypeAlias = list[builtins.int]
    void: TypeAlias = None
    cclass = cfunc = inline = no_gc = staticmethod(_as_it_is)

    @staticmethod
    def freelist(size: builtins.int) -> Callable[[T], T]:
        """Ignore the number of dead nodes to keep for reuse."""
        return _as_it_is

    @staticmethod
    def exceptval(*, check: bool) -> Callable[[T], T]:
        """Ignore whether the C function can raise."""
        return _as_it_is

    @staticmethod
    def declare(ctype: object, value: T) -> T:
        """Ignore the C type of a module's variable."""
        return value

    @staticmethod
    def cast(ctype: object, value: T) -> T:
        """Ignore the C type of an expression."""
        return value


def set_grads(
    nodes: Sequence[Any],
    grads: Sequence[Any],
    leaves: Sequence[Any],
    before: Sequence[Any],
) -> bool:
    """What `tape.set_graphs` does."""
    details = [node._details for node in nodes]
    old = [d.grad_node for d in details]
    graphs = [None if isinstance(x, float) else x for x in before]
    plain = [i for i, graph in enumerate(graphs) if graph is None]
    now = chain(
        map(getattr, [node._details for node in leaves], repeat("grad_node")),
        map(getattr, [leaves[i] for i in plain], repeat("_grad")),
    )
    then = [*graphs, *[before[i] for i in plain]]
    # The nodes if all is as it was, else nothing: found out when the first is asked for.
    if_as_it_was = chain.from_iterable(
        compress([[*details, *nodes]], starmap(all, [(map(is_, now, then),)]))
    )
    names = chain(repeat("grad_node", len(details)), repeat("_grad"))
    numbers = [grad.data for grad in grads]
    written = list(map(setattr, if_as_it_was, names, [*grads, *numbers]))
    del old
    return bool(written)
