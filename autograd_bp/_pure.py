"""What `value.py` and its like need when they run as ordinary Python.

There is a finder that takes modules from their sources. There are stand-ins for the module
``cython``: the compiler knows these names by itself, and here they do nothing. And there is what
compiled code does without an interruption: in Python a signal handler, a finalizer or another
thread may come after any bytecode, but not within a call such as that of ``deque(map(…))``, all
of which is C.
"""

from __future__ import annotations

import builtins
from collections import deque
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.util import spec_from_file_location
from itertools import chain, compress, repeat, starmap
from operator import add, is_
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


def pass_aside(
    root: Any,
    start: float,
    order: list[Any],
    care: bool,
    run_hooks: Callable[[Any, Any], Any],
    let_go: Callable[[Any], None],
) -> None:
    """A backward pass of which the nodes see nothing until all gradients are there."""
    if not care:
        order = [node for node in order if node._code]
    sums = dict.fromkeys(map(id, order), 0.0)
    # Without care, leaves get each part of their gradient as it is found.
    leaves: list[Any] = []
    parts: list[float] = []
    if id(root) in sums:
        sums[id(root)] += start
    else:
        leaves, parts = [root], [start]
    for node in order:
        g = sums[id(node)]
        details = node._details
        if details is not None and details.hooks:
            g = sums[id(node)] = run_hooks(node, g)
        if g == 0.0:  # it carries nothing, whatever the local derivatives
            continue
        finite = g - g == 0.0  # else a local derivative of 0 carries nothing, either
        x = node._a
        if x is not None and (finite or node._da):
            key = id(x)
            if key in sums:
                sums[key] += g * node._da
            else:
                leaves.append(x)
                parts.append(g * node._da)
        x = node._b
        if x is not None and (finite or node._db):
            key = id(x)
            if key in sums:
                sums[key] += g * node._db
            else:
                leaves.append(x)
                parts.append(g * node._db)
        if details is not None and details.has:
            for x, rate in zip(
                (*details.operands, *details.others), details.partials, strict=False
            ):
                if type(x) is float or not (finite or rate):
                    continue
                key = id(x)
                if key in sums:
                    sums[key] += g * rate
                else:
                    leaves.append(x)
                    parts.append(g * rate)
    nodes = order
    if care:
        nodes = [node for node in order if node._code]
        leaves = [node for node in order if not node._code]
        parts = [sums[id(node)] for node in leaves]
    details = [node._details for node in order if node._details is not None] if care else []
    old = [d.grad_node for d in details]  # dropped when all is written: that may run any code
    objects = chain(details, nodes, leaves)
    names = chain(repeat("grad_node", len(details)), repeat("_grad"))
    grads = [sums[id(node)] for node in nodes]
    totals = map(add, parts, map(getattr, leaves, repeat("_grad")))  # made one by one, then
    deque(map(setattr, objects, names, chain(repeat(None, len(details)), grads, totals)), 0)
    del old
    for node in leaves if care else ():
        let_go(node)


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
