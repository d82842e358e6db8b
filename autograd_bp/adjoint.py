"""Derivatives as graphs: the rows of the table, read on nodes.

`Tape` sweeps numbers. Here the same sweeps, backward and forward, make nodes of what they compute,
so that a derivative can be differentiated again: for ``backward(create_graph=True)``, and for
transformations inside one another. Kept equal to `Tape`'s by tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from autograd_bp import functions
from autograd_bp.context import current, derivative_watchers, on_numbers
from autograd_bp.nary import sum_of
from autograd_bp.ops import CODES, TABLE, Op, grouped
from autograd_bp.reading import Reading
from autograd_bp.rules import IEEE, RULES, carry
from autograd_bp.tape import set_graphs
from autograd_bp.value import (
    Number,
    Value,
    _number,
    apply,
    consumers_first,
    go_together,
    is_symbolic,
    node_of,
    peek,
    run_hooks,
)

__all__ = [
    "as_node", "backward_graph", "everywhere", "held_fixed", "pull_back", "push_forward",
    "refuse_changed", "seed_of",
]  # fmt: skip

deriving: ContextVar[Value | None] = ContextVar("deriving", default=None)
"""The node that a derivative is being made of, where `watch_derivatives` is open."""

# --- the table read on nodes ---------------------------------------------------------------------


def everywhere(op: Op) -> Callable[..., Number]:
    """An operation as derivatives need it: beyond its domain as IEEE 754 has it, and no error."""

    def function(*operands: Number) -> Number:
        try:
            result: Number = apply(op.name, *operands)
        except (ValueError, ZeroDivisionError):
            numbers = [float(peek(x)) for x in operands]
            y = IEEE.value(op)(*numbers)
            partials = [
                rule(*numbers, y)
                for rule, x in zip(IEEE.partials(op), operands, strict=True)
                if isinstance(x, Value)
            ]
            return node_of(CODES[op.name], operands, y, partials) if partials else float(y)
        return result

    return function


def _node_arithmetic() -> dict[str, Any]:
    named = {name: getattr(functions, name) for name in functions.__all__}
    bounded = {op.name: everywhere(op) for op in TABLE if op.domain and not op.is_nary}
    named |= {name: bounded[name] for name in named if name in bounded}
    return named | {
        "div": bounded["/"],
        "pow": bounded["**"],
        "carry": lambda g, d: _carry(g, d),
        "detach": peek,
        "abs": abs,
        "floor": lambda x: math.floor(peek(x)),
        "sum": sum_of,
        "max": lambda terms: max(map(peek, terms)),
        "real": peek,
    }


NODES = Reading(_node_arithmetic())
"""The table in graphs: derivatives that can be differentiated again."""


def _choices_as_nodes() -> dict[str, Any]:
    def equal(a: Number, b: Number) -> Any:
        return apply("<=", a, b) * apply("<=", b, a)

    return {
        "detach": partial(apply, "detach"),
        "where": partial(apply, "where"),
        "less": partial(apply, "<"),
        "less_equal": partial(apply, "<="),
        "equal": equal,
        "unequal": lambda a, b: 1.0 - equal(a, b),
        "both": lambda p, q: p * q,
        "either": partial(apply, "maximum"),
    }


TRACED = Reading(_node_arithmetic() | _choices_as_nodes(), calls=True)
"""The same while a function is traced: its program must choose anew for the numbers it gets."""


def _node_partials(node: Value, wanted: Sequence[bool]) -> list[Number | None]:
    """∂node/∂operand as a graph, for the wanted operands of a node; None for the others."""
    if not isinstance(node.rule, Op):  # an operation made by `autograd_bp.custom` or its kin
        return list(node.rule.partials(node.operands, node))
    groups = grouped(node.rule, node.operands)
    choices = grouped(node.rule, wanted)
    result: list[Number | None] = []
    rules = (TRACED if is_symbolic(node) else NODES).partials(node.rule)
    for rule, choice in zip(rules, choices, strict=True):
        if isinstance(choice, list):
            result += rule(*groups, node) if any(choice) else [None] * len(choice)
        else:
            result.append(rule(*groups, node) if choice else None)
    return result


# --- sweeps --------------------------------------------------------------------------------------


def _adjoints(
    order: list[Value], seeds: dict[int, Number], moving: set[int], hooks: bool = False
) -> dict[int, Number]:
    """Backward, with a graph for every gradient: by identity, of the nodes in ``moving``."""
    adjoint = dict(seeds)
    with _watching() as watchers:
        for node in order:
            if id(node) not in moving or id(node) not in adjoint:
                continue
            if watchers:
                deriving.set(node)
            if hooks:
                adjoint[id(node)] = run_hooks(node, as_node(adjoint[id(node)]))
            g = adjoint[id(node)]
            for x, d in _moving_operands(node, moving):
                for watcher in watchers:
                    watcher(node, x, peek(g), peek(d))
                handed_on = _carry(g, d)
                before = adjoint.get(id(x))
                adjoint[id(x)] = handed_on if before is None else before + handed_on
    return adjoint


def _moving_operands(node: Value, moving: Container[int]) -> list[tuple[Value, Number]]:
    """The operands that move, each with ∂node/∂operand as a graph."""
    operands = node.operands
    wanted = [id(x) in moving for x in operands]
    if not any(wanted):
        return []
    if not is_symbolic(node):
        refuse_changed(node)
    return [
        (x, d)
        for x, d in zip(operands, _node_partials(node, wanted), strict=True)
        if isinstance(x, Value) and d is not None and id(x) in moving
    ]


def refuse_changed(node: Value) -> None:
    """Raise RuntimeError if a leaf that the node was computed from has other data since then.

    `Value.backward` and sweeps of numbers take the local derivatives that were recorded. A
    derivative as a graph is made of the operands as they are now, and must be the same.
    """
    if not any(isinstance(x, Value) and x.is_leaf for x in node.operands):
        return
    then, now = (node.data, *node.local_grads), tuple(_computed_again(node))
    if then == now:
        return
    scale = max([abs(a) for a in then if math.isfinite(a)], default=0.0)
    for a, b in zip(then, now, strict=False):
        same = math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9 * scale)
        if not (same or (math.isnan(a) and math.isnan(b))):
            raise RuntimeError(
                f"data of a leaf was changed after {node!r} was computed from it: a derivative "
                "that is a graph (create_graph, detect_anomaly) would mix the numbers of then "
                "with those of now. Compute the result again after data is set."
            )


def _computed_again(node: Value) -> Sequence[float]:
    """A node's data and local derivatives, from its operands as they are now."""
    operands, y = node.operands, node.data
    numbers = [peek(x) for x in operands]
    moving = [isinstance(x, Value) for x in operands]
    if not isinstance(node.rule, Op):
        with on_numbers():
            found = node.rule.derivatives(*numbers, y)
        return [y, *(peek(d) for d, moves in zip(found, moving, strict=False) if moves)]
    op = node.rule
    if not op.is_nary:
        mask = sum(1 << i for i, moves in enumerate(moving) if moves)
        try:
            result: Sequence[float] = RULES[CODES[op.name]][mask](*numbers)
            return result
        except (ArithmeticError, ValueError):
            pass  # beyond the domain: as derivatives have it
    point = [*grouped(op, numbers), IEEE.value(op)(*grouped(op, numbers))]
    partials: list[float] = []
    for rule in IEEE.partials(op):
        found = rule(*point)
        partials += found if isinstance(found, list) else [found]
    return [point[-1], *(d for d, moves in zip(partials, moving, strict=True) if moves)]


@contextmanager
def _watching() -> Iterator[tuple[Callable[..., object], ...]]:
    """Who watches derivatives; within it, tell them in ``deriving`` of which node one is made."""
    token = deriving.set(deriving.get())
    try:
        yield derivative_watchers()
    finally:
        deriving.reset(token)


def _carry(g: Number, d: Number) -> Number:
    """The row ``carry`` on nodes, as a plain product where that is the same here and now.

    A factor that is the number 0 or 1 takes no node. A node whose number is 0 does: the product
    is 0, and changes as the node does.
    """
    if isinstance(g, Value) and isinstance(d, Value) and not is_symbolic(g, d):
        product = g.data * d.data
        if product == product:  # no NaN, and 0·∞ would be one
            return g * d
    for factor, other in ((g, d), (d, g)):
        if not isinstance(factor, Value):
            if factor == 1.0:
                return other
            if factor == 0.0:
                return carry(factor, peek(other))
    if is_symbolic(g, d) or math.isnan(peek(g) * peek(d)):
        result: Number = apply("carry", g, d)
        return result
    return g * d


def _dependent_on(inputs: Iterable[Value], order: list[Value]) -> set[int]:
    """The nodes (by identity) of a graph, given consumers first, that depend on the inputs."""
    moving = {id(x) for x in inputs}
    for node in reversed(order):
        if id(node) not in moving and any(id(parent) in moving for parent in node.parents):
            moving.add(id(node))
    return moving


def backward_graph(root: Value, seed: Any) -> None:
    """What `Value.backward` does with ``create_graph=True``."""
    start = seed_of(seed)
    order = consumers_first([root])
    adjoint = _adjoints(order, {id(root): start}, {id(node) for node in order}, hooks=True)
    leaves = [node for node in order if node.is_leaf]
    given = False
    while not given:  # and again, if a leaf's gradient changed meanwhile
        before = [node.grad for node in leaves]
        sums = dict(adjoint)
        for node, old in zip(leaves, before, strict=True):
            if isinstance(old, Value) or old != 0.0:
                sums[id(node)] = old + adjoint.get(id(node), 0.0)
        grads = [as_node(sums.get(id(node), 0.0)) for node in order]
        given = set_graphs(order, grads, leaves, before)
    bent = [x for x, d in zip(order, grads, strict=True) if not (x.is_leaf or d.is_leaf)]
    if bent:
        go_together(leaves, bent)


# --- nodes and numbers ----------------------------------------------------------------------------


def as_node(x: Number) -> Value:
    """A node for a number, unless it is one."""
    return x if isinstance(x, Value) else Value(x)


def seed_of(seed: Any) -> Number:
    """A seed from outside: a node, or a real number as a float."""
    return seed if isinstance(seed, Value) else _number(seed, "seed")


def pull_back(
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    seeds: Sequence[Number],
    cut: bool = False,
) -> list[Number]:
    """What a `Tape` of the same inputs and outputs gives, as graphs."""
    order = consumers_first(outputs, inputs if cut else ())
    moving = _dependent_on(inputs, order)
    given: dict[int, Number] = {}
    for y, seed in zip(outputs, seeds, strict=True):
        given[id(y)] = given[id(y)] + seed if id(y) in given else seed
    adjoint = _adjoints(order, given, moving)
    return [adjoint.get(id(x), 0.0) for x in inputs]


def push_forward(
    inputs: Sequence[Value], outputs: Sequence[Value], tangents: Sequence[Number]
) -> list[Number]:
    """What a `Tape` of the same gives, as graphs; the inputs do not depend on each other."""
    tangent: dict[int, Number] = {id(x): t for x, t in zip(inputs, tangents, strict=True)}
    with _watching() as watchers:
        for node in reversed(consumers_first(outputs, inputs)):
            if watchers:
                deriving.set(node)
            terms = []
            for x, d in _moving_operands(node, tangent):
                for watcher in watchers:
                    watcher(node, x, peek(tangent[id(x)]), peek(d), True)
                terms.append(_carry(tangent[id(x)], d))
            if terms:
                tangent[id(node)] = terms[0] if len(terms) == 1 else sum_of(terms)
    return [tangent.get(id(y), 0.0) for y in outputs]


def held_fixed(results: list[Any]) -> list[Any]:
    """Results of what ran within `recording`, as `no_grad` around it has them in a trace."""
    if current().recording:
        return results
    return [apply("detach", x) if isinstance(x, Value) else x for x in results]
