"""The cells of the table: towers of verbs, how they stand on each other, and in which context."""

import asyncio
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import autograd_bp as ab

from .functions import FUNCTIONS, Function, flat, plus, unit
from .verbs import VERBS, Made

# --- how the outer verb meets the inner ----------------------------------------------------------

MODES = {
    "applied": "outer(inner(f))",
    "closing": "outer(x ↦ inner(y ↦ f(x, y)) at a plain point): the inner function closes over "
    "the outer variable",
    "moving": "outer(x ↦ inner(y ↦ f(x, y)) at x/2 + 0.3): so does its point",
    "apart": "outer(x ↦ x · inner(y ↦ f(c, y)) at a plain point): nothing of the inner depends "
    "on the outer variable",
}


class Tower(NamedTuple):
    """Verbs on top of each other, the outermost first, on a function at the bottom.

    ``made`` is what they make; ``bottom`` is what the truth is a derivative of, and ``point``
    where, given the numbers that ``made`` is called with.
    """

    made: Made
    bottom: Callable[..., Any]
    point: Callable[[tuple[float, ...]], tuple[float, ...]]


def tower(verbs, function, mode, context):
    """``verbs`` by their names."""
    n, h = len(function.a), len(function.a) // 2
    first, last = function.a[:h], function.a[h:]
    by = [unit(n, i) for i in range(n)]
    *outer, innermost = [VERBS[name] for name in verbs]
    ours, bottom = function.ours, function.true
    if mode == "apart":
        ours = lambda *x: function.ours(*first, *x[h:])  # noqa: E731
        bottom = lambda *x: x[0] * function.true(*first, *x[h:])  # noqa: E731

    def inner_point(x):
        return [0.5 * p + 0.3 for p in x] if mode == "moving" else last

    def point(x):
        return tuple(x) if mode == "applied" else (*x, *inner_point(x))

    if mode == "applied":
        made = _inner(innermost, lambda *x: ours(*flat(x)), by, function, function.a, context)
    else:

        def at(x):
            f = lambda *y: ours(*x, *flat(y))  # noqa: E731
            return _inner(innermost, f, by[h:], function, last, context)

        def call(*args):
            x = flat(args)
            inner = at(x)
            y = inner.call(*inner.arguments(inner_point(x)))
            return inner.shaped([x[0] * part for part in flat(y)]) if mode == "apart" else y

        is_graph = all(verb.records == "only where recorded" for verb in outer)
        unseen = innermost.sees == "none" or (innermost.sees == "transformation" and is_graph)
        seen = 0.0 if unseen and mode != "apart" else 1.0
        moves = [
            plus((seen, by[i]), (0.5 if mode == "moving" else 0.0, by[h + i])) for i in range(h)
        ]
        made = at(first)._replace(call=call, by=moves, example=first)
    if context.inside_off:
        made = made._replace(on=made.off, by=made.by if mode == "apart" else [{} for _ in made.by])
    for verb in reversed(outer):
        made = verb.on(made)
    return Tower(made, bottom, point)


def _inner(verb, f, by, function, example, context):
    itself = [unit(len(function.a))]
    made = verb.on(Made(f, itself, itself, by, function.as_list, example))
    return made._replace(call=lambda *args: context.inside(lambda: made.call(*args)))


# --- contexts ------------------------------------------------------------------------------------


def here(thunk):
    return thunk()


def _within(manager: Callable[[], AbstractContextManager]):
    def run(thunk):
        with manager():
            return thunk()

    return run


def _in_thread(thunk):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(thunk).result()


def _in_task(thunk):
    async def task():
        return thunk()

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(task())
    finally:
        loop.close()


class Context(NamedTuple):
    """Where the calls are made, and where those of the inner verb's product within the outer.

    ``off`` where the one, ``inside_off`` where the other keeps graphs from being recorded.
    """

    group: str
    around: Callable[[Callable[[], Any]], Any] = here
    inside: Callable[[Callable[[], Any]], Any] = here
    off: bool = False
    inside_off: bool = False


MANAGERS = {
    "no_grad": ab.no_grad,
    "scope": lambda: ab.scope("s"),
    "detect_anomaly": ab.detect_anomaly,
    "watch": lambda: ab.watch(lambda node: None),
}
CONTEXTS = {
    "plain": Context("plain"),
    **{
        f"within {name}": Context("within", around=_within(manager), off=name == "no_grad")
        for name, manager in MANAGERS.items()
    },
    **{
        f"{name} inside": Context("within", inside=_within(manager), inside_off=name == "no_grad")
        for name, manager in MANAGERS.items()
    },
    "in a thread": Context("threads and tasks", around=_in_thread),
    "thread inside": Context("threads and tasks", inside=_in_thread),
    "in a task": Context("threads and tasks", around=_in_task),
    "task inside": Context("threads and tasks", inside=_in_task),
}
GROUPS = list(dict.fromkeys(context.group for context in CONTEXTS.values()))


# --- cells ---------------------------------------------------------------------------------------


class Cell(NamedTuple):
    """One tower in one context, on one function."""

    verbs: tuple[str, ...]
    mode: str
    context: str
    function: Function


IN_TRIPLES = ["grad", "jvp", "hvp", "jit", "trace", "Program.value_and_grad", "checkpoint"]
SLOW = {"to_jax", "jax.grad of to_jax"}  # so on few functions, as their answers are kept
TRIPLE_CONTEXTS = ["plain", "within no_grad", "thread inside"]


def pairs(outer):
    """The cells of all pairs with this outer verb."""
    for inner, mode, (i, name) in itertools.product(VERBS, MODES, enumerate(CONTEXTS)):
        functions = FUNCTIONS[::3] if {outer, inner} & SLOW else FUNCTIONS
        if name != "plain":
            functions = functions[:1] if {outer, inner} & SLOW else [_turn((outer, inner), i)]
        for function in functions:
            yield Cell((outer, inner), mode, name, function)


def some(cells):
    """Of each pair in each mode, one cell in the plain context and one in another, in turn."""
    names = list(CONTEXTS)[1:]
    for turn, ((_, mode), several) in enumerate(
        itertools.groupby(cells, lambda cell: (cell.verbs, cell.mode))
    ):
        several = list(several)
        if SLOW.intersection(several[0].verbs) and turn % 3:
            continue
        plain = [cell for cell in several if cell.context == "plain"]
        yield plain[(turn + list(MODES).index(mode)) % len(plain) if len(plain) > 2 else 0]
        yield next(c for c in several if c.context == names[turn % len(names)])


def triples(outer):
    """The chosen ones with this outer verb."""
    for middle, inner, mode in itertools.product(IN_TRIPLES, IN_TRIPLES, ["applied", "closing"]):
        for i, name in enumerate(TRIPLE_CONTEXTS):
            verbs = (outer, middle, inner)
            yield Cell(verbs, mode, name, _turn(verbs, i))


def _turn(verbs, i):
    """Each function in its turn."""
    names = list(VERBS)
    return FUNCTIONS[(i + sum(map(names.index, verbs))) % len(FUNCTIONS)]
