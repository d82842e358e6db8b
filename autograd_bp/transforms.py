"""Derivatives of functions: grad, jacobian, hessian, vjp, jvp, hvp, composing freely.

A function of numbers, or of lists, tuples, dicts and NumPy arrays of them, is called once on
fresh leaves. On plain numbers its graph becomes a `Tape`, whose sweeps give floats. Inside
another transformation, or where an argument holds a Value, the derivative must be
differentiable itself: then the same rows of the table are read on nodes and give a graph.

A Value that the function takes from outside its arguments is a constant, unless an enclosing
transformation made it. Within `no_grad`, derivatives are found all the same, as plain numbers.
Variables are told apart by their nodes, so a derivative inside a derivative never mistakes the
outer variable for its own (no perturbation confusion).

Costs are in units of one call of the function on Values: recording it, and sorting.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any

from autograd_bp import functions
from autograd_bp.context import Trace, current, differentiating, is_inside, on_numbers, recording
from autograd_bp.ops import CODES, IEEE, RULES, TABLE, Op, Reading, carry, grouped
from autograd_bp.tape import Tape, set_graphs
from autograd_bp.trees import Flat, Tree, blocks, flatten, positions, together, without_nodes
from autograd_bp.value import (
    Number,
    Value,
    _nodes,
    _number,
    apply,
    consumers_first,
    derivative_watchers,
    held_fixed,
    is_recording,
    is_symbolic,
    is_tracing,
    peek,
    refuse_in_trace,
    restore,
    run_hooks,
    sum_of,
)

__all__ = [
    "grad", "gradients", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp",
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
            return restore(op.name, operands, y, partials) if partials else float(y)
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


# --- gradients of nodes --------------------------------------------------------------------------


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
                adjoint[id(node)] = run_hooks(node, _as_node(adjoint[id(node)]))
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
    start = _seed(seed)
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
        grads = [_as_node(sums.get(id(node), 0.0)) for node in order]
        given = set_graphs(order, grads, leaves, before)


def _as_node(x: Number) -> Value:
    return x if isinstance(x, Value) else Value(x)


def _seed(seed: Any) -> Number:
    return seed if isinstance(seed, Value) else _number(seed, "seed")


def gradients(
    y: Value, xs: Sequence[Value], seed: Number = 1.0, create_graph: bool = False
) -> list[Any]:
    """∂y/∂x times ``seed`` for each of the nodes xs, leaving every node's ``grad`` alone.

    Floats, or Values where ``create_graph`` is set or the seed is a Value. Like
    ``torch.autograd.grad``; 0.0 for an x that y does not depend on. Costs one reverse sweep.

    >>> x = Value(3.0)
    >>> (first,) = gradients(x**3, [x], create_graph=True)
    >>> gradients(first, [x])  # 6x
    [18.0]
    """
    if not isinstance(y, Value):
        raise TypeError(f"gradients takes a Value for y, got {y!r}; of a function, see grad(f)")
    inputs = _nodes(xs, "xs")
    start = _seed(seed)
    if create_graph or isinstance(start, Value):
        return pull_back(inputs, [y], [start])
    refuse_in_trace(y, "gradients()")
    if derivative_watchers():
        return list(map(peek, pull_back(inputs, [y], [start])))
    return Tape(inputs, [y]).pull_back([start])


# --- one recorded call of a function -------------------------------------------------------------


class _Call:
    """A function, called once on fresh leaves for the arguments that are differentiated."""

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        argnums: int | Sequence[int],
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        chosen = positions(argnums, len(args), "positional arguments of the call")
        several = (chosen,) if isinstance(chosen, int) else chosen
        flats = [flatten(args[i], f"argument {i}") for i in several]
        self.inputs_tree = flats[0] if isinstance(chosen, int) else together(flats)
        numbers = self.inputs_tree.numbers
        # Where a derivative is to be differentiated in turn, it must be a graph.
        self.nested = is_recording() and (
            is_inside() or is_tracing() or any(isinstance(x, Value) for x in numbers)
        )
        self.inputs = [
            x * 1.0 if self.nested and isinstance(x, Value) else Value(peek(x)) for x in numbers
        ]
        given = list(args)
        start = 0
        for i, flat in zip(several, flats, strict=True):
            given[i] = flat.build(self.inputs[start : start + len(flat.numbers)])
            start += len(flat.numbers)
        try:
            _running[id(self)] = threading.get_ident(), self.inputs
            with differentiating():
                self.result = f(*given, **(kwargs or {}))
        finally:
            _running.pop(id(self), None)

    def sweep(self, outputs: Sequence[Number]) -> _Sweep:
        if not self.nested and is_recording():
            self.nested = varies_elsewhere(outputs)
        return _Sweep(self.inputs, outputs, self.nested)

    def plain(self, y: Number) -> Number:
        """A result as the caller wants it: a node only inside another transformation."""
        return held_fixed([y])[0] if self.nested else peek(y)


_running: dict[int, tuple[int, list[Value]]] = {}
"""The calls whose functions are running, by identity: their threads and variables."""


def varies_elsewhere(outputs: Sequence[Number]) -> bool:
    """Whether results depend on what a transformation or a trace in another thread varies.

    A thread of a pool knows nothing of who gave it its work; the graph does.
    """
    theirs = _variables(but_in=threading.get_ident())
    if not theirs and not Trace.open:
        return False
    nodes = consumers_first([y for y in outputs if isinstance(y, Value)])
    return any(id(node) in theirs or is_symbolic(node) for node in nodes)


def are_constants(leaves: Sequence[Value]) -> bool:
    """Whether these are no computed Values, and no variables of a transformation or a trace."""
    if not all(x.is_leaf for x in leaves):
        return False
    variables = _variables() if leaves else set()
    return not any(id(x) in variables or is_symbolic(x) for x in leaves)


def are_final(values: Sequence[Value]) -> bool:
    """Whether nobody derives further what is computed of these Values, if there are any."""
    return not values or (not (is_inside() or is_tracing()) and are_constants(values))


def _variables(but_in: int = 0) -> set[int]:
    """The variables of the calls that are running, by identity, but for those in one thread."""
    return {id(x) for thread, xs in list(_running.values()) if thread != but_in for x in xs}


def others_vary() -> bool:
    """Whether a transformation or a trace may be running in another thread."""
    return bool(Trace.open) or any(t != threading.get_ident() for t, _ in list(_running.values()))


class _Sweep:
    """Forward and reverse through one graph, on numbers or, nested, on nodes."""

    def __init__(self, inputs: list[Value], outputs: Sequence[Number], nested: bool):
        self.inputs = inputs
        self.outputs = [_as_node(y) for y in outputs]
        self.nested = nested
        # Derivatives can be watched at nodes only.
        self.tape = None if nested or derivative_watchers() else Tape(inputs, self.outputs)

    def pull_back(self, seeds: Sequence[Number]) -> list[Any]:
        """∂outputs/∂inputs transposed, times the seeds."""
        return self._run(seeds, self._pull_back, "pull_back")

    def push_forward(self, tangents: Sequence[Number]) -> list[Any]:
        """∂outputs/∂inputs times the tangents."""
        return self._run(tangents, self._push_forward, "push_forward")

    def curve(self, tangents: Sequence[Number]) -> list[Any]:
        """The Hessian of the one output, times the tangents."""
        return self._run(tangents, self._curve, "curve", [1.0])

    def _run(
        self,
        numbers: Sequence[Number],
        on_nodes: Callable[[Sequence[Number]], list[Number]],
        on_tape: str,
        *seeds: Any,
    ) -> list[Any]:
        if self.nested or any(isinstance(x, Value) for x in numbers):
            with recording():  # a derivative of a derivative needs the graph of the first
                found = on_nodes(numbers)
            return held_fixed(found)
        if self.tape is None:
            with recording():
                return list(map(peek, on_nodes(numbers)))
        result: list[float] = getattr(self.tape, on_tape)(*seeds, numbers)
        return result

    def _pull_back(self, seeds: Sequence[Number]) -> list[Number]:
        return pull_back(self.inputs, self.outputs, seeds, cut=True)

    def _push_forward(self, tangents: Sequence[Number]) -> list[Number]:
        return _push_forward(self.inputs, self.outputs, tangents)

    def _curve(self, tangents: Sequence[Number]) -> list[Number]:
        first = self._pull_back([1.0])
        return _push_forward(self.inputs, [_as_node(d) for d in first], tangents)


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


def _push_forward(
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


def _one_output(result: Any, what: str) -> Number:
    if getattr(result, "shape", None) == () and hasattr(result, "item"):
        result = result.item()  # a NumPy array without dimensions is one number
    if isinstance(result, Value):
        return result
    try:
        return _number(result, "the result")
    except TypeError:
        raise TypeError(
            f"{what} takes a function that returns one number, but it returned {result!r} of type "
            f"{type(result).__name__}; use jacobian or vjp for several, has_aux=True for extras"
        ) from None


def _function(f: Any) -> Callable[..., Any]:
    if not callable(f):
        raise TypeError(f"a function to differentiate is needed, got {f!r}; write lambda x: ...")
    function: Callable[..., Any] = f
    return function


def _arguments(primals: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(primals, (tuple, list)):
        raise TypeError(
            f"{name} must be a tuple or list with one entry for each argument of the function, "
            f"got {primals!r}; write ({name},) for a single argument"
        )
    return tuple(primals)


# --- the transformations -------------------------------------------------------------------------


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns f's value and its gradient, in the structure of the argument.

    ``argnums``: which positional argument to differentiate, or several (then the gradients are
    a tuple). With ``has_aux``, f returns ``(y, aux)`` and the result is ``((y, aux), grad)``, with
    numbers for the Values in aux.
    Costs one reverse sweep, however many inputs.

    >>> value_and_grad(lambda w, x: w[0] * x + w[1])([2.0, 1.0], 3.0)
    (7.0, [3.0, 1.0])
    """
    # A compiled function gives both at once where that is what its graph would give, else None.
    at_once = None if has_aux else getattr(f, "_value_and_grad_of_numbers", None)

    @wraps(_function(f))
    def transformed(*args: Any, **kwargs: Any) -> Any:
        if at_once is not None and not current().entries:
            found = at_once(args, kwargs, argnums)
            if found is not None:
                return found
        call = _Call(f, args, argnums, kwargs)
        result, aux = _with_aux(call.result) if has_aux else (call.result, None)
        y = _one_output(result, "grad")
        gradient = call.inputs_tree.build(call.sweep([y]).pull_back([1.0]))
        value = call.plain(y)
        if has_aux and not call.nested:
            aux = without_nodes(aux)
        return ((value, aux), gradient) if has_aux else (value, gradient)

    return transformed


def _with_aux(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"with has_aux=True the function must return (y, aux), got {result!r}")
    return result


def grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns ∂f/∂argument, in the structure of the argument.

    See `value_and_grad`; with ``has_aux`` the result is ``(grad, aux)``. Costs one reverse sweep.

    >>> grad(lambda x: x**3)(2.0)
    12.0
    >>> grad(grad(lambda x: x**3))(2.0)
    12.0
    >>> grad(lambda p: p["w"] * p["b"])({"w": 2.0, "b": 5.0})
    {'w': 5.0, 'b': 2.0}
    """
    both = value_and_grad(f, argnums, has_aux)

    @wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        value, derivative = both(*args, **kwargs)
        return (derivative, value[1]) if has_aux else derivative

    return transformed


def vjp(f: Callable[..., Any], *primals: Tree) -> tuple[Tree, Callable[[Tree], tuple[Tree, ...]]]:
    """f(*primals), and a function that maps ȳ, shaped like it, to ȳᵀ·J, one for each primal.

    Each call of that function costs one reverse sweep.

    >>> y, pull_back = vjp(lambda a, b: [a * b, a + b], 2.0, 3.0)
    >>> y, pull_back([1.0, 10.0])
    ([6.0, 5.0], (13.0, 12.0))
    """
    call = _Call(_function(f), primals, range(len(primals)))
    outputs = flatten(call.result, "the result of f")
    sweep = call.sweep(outputs.numbers)

    def pull_back(cotangent: Tree) -> tuple[Tree, ...]:
        seeds = _like(outputs, cotangent, "the cotangent", "the result of f")
        pulled: tuple[Tree, ...] = call.inputs_tree.build(sweep.pull_back(seeds))
        return pulled

    return outputs.build([call.plain(y) for y in outputs.numbers]), pull_back


def jvp(
    f: Callable[..., Any], primals: Sequence[Tree], tangents: Sequence[Tree]
) -> tuple[Any, Any]:
    """f(*primals) and J·tangents, the derivative of f in that direction: forward mode.

    ``tangents`` is shaped like ``primals``, a list or tuple of f's arguments. Costs one forward
    sweep, however many outputs.

    >>> jvp(lambda a, b: [a * b, a + b], (2.0, 3.0), (1.0, 0.0))
    ([6.0, 5.0], [3.0, 1.0])
    """
    args = _arguments(primals, "primals")
    call = _Call(_function(f), args, range(len(args)))
    outputs = flatten(call.result, "the result of f")
    moved = call.sweep(outputs.numbers).push_forward(_directions(call, tangents))
    return outputs.build([call.plain(y) for y in outputs.numbers]), outputs.build(moved)


def _directions(call: _Call, tangents: Sequence[Tree]) -> list[Number]:
    return _like(call.inputs_tree, _arguments(tangents, "tangents"), "tangents", "primals")


def _like(model: Flat, tree: Tree, name: str, other: str) -> list[Number]:
    given = flatten(tree, name)
    if not given.is_like(model):
        raise ValueError(f"{name} must have the structure of {other}, got {tree!r}")
    return given.numbers


def jacobian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns ∂f/∂argument: the structure of f's result, each leaf of it in the
    structure of the argument (arrays of shapes s and t give one of shape s + t; several
    ``argnums`` give a tuple in each leaf).

    Costs as many sweeps as there are inputs (forward) or outputs (reverse), whichever is fewer.

    >>> jacobian(lambda x: [x[0] * x[1], x[0]])([2.0, 3.0])
    [[3.0, 2.0], [1.0, 0.0]]
    """

    @wraps(_function(f))
    def transformed(*args: Any, **kwargs: Any) -> Any:
        call = _Call(f, args, argnums, kwargs)
        outputs = flatten(call.result, "the result of f")
        sweep = call.sweep(outputs.numbers)
        n, m = len(call.inputs), len(outputs.numbers)
        if n < m:
            columns = [sweep.push_forward(unit) for unit in _units(n)]
            matrix = [[column[i] for column in columns] for i in range(m)]
        else:
            matrix = [sweep.pull_back(unit) for unit in _units(m)]
        return blocks(outputs, call.inputs_tree, matrix)

    return transformed


def _units(n: int) -> Iterable[list[float]]:
    for i in range(n):
        yield [float(i == j) for j in range(n)]


def hessian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns the matrix of second derivatives of f, which returns one number:
    the structure of the argument, each leaf of it in that structure again (arrays of shapes s
    and t give one of shape s + t; several ``argnums`` give a tuple of tuples).

    Costs one recording and n forward-and-reverse sweeps for n inputs.

    >>> hessian(lambda x: x[0] ** 2 * x[1])([3.0, 5.0])
    [[10.0, 6.0], [6.0, 0.0]]
    """

    @wraps(_function(f))
    def transformed(*args: Any, **kwargs: Any) -> Any:
        call = _Call(f, args, argnums, kwargs)
        sweep = call.sweep([_one_output(call.result, "hessian")])
        matrix = [sweep.curve(unit) for unit in _units(len(call.inputs))]
        return blocks(call.inputs_tree, call.inputs_tree, matrix)

    return transformed


def hvp(
    f: Callable[..., Any], primals: Sequence[Tree], tangents: Sequence[Tree]
) -> tuple[Tree, ...]:
    """The Hessian of f at ``primals`` times ``tangents``, without the matrix; shaped like them.

    Costs one recording, a forward sweep and a reverse sweep, however many inputs.

    >>> hvp(lambda x: x[0] ** 2 * x[1], ([3.0, 5.0],), ([1.0, 0.0],))
    ([10.0, 6.0],)
    """
    args = _arguments(primals, "primals")
    call = _Call(_function(f), args, range(len(args)))
    sweep = call.sweep([_one_output(call.result, "hvp")])
    products: tuple[Tree, ...] = call.inputs_tree.build(sweep.curve(_directions(call, tangents)))
    return products
