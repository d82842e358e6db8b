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

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

from autograd_bp.adjoint import as_node, held_fixed, pull_back, push_forward, seed_of
from autograd_bp.context import (
    Trace,
    current,
    derivative_watchers,
    differentiating,
    is_inside,
    is_recording,
    is_tracing,
    recording,
)
from autograd_bp.tape import Tape
from autograd_bp.trees import (
    Flat,
    Tree,
    argument_positions,
    blocks,
    flatten,
    together,
    without_nodes,
)
from autograd_bp.value import (
    Number,
    Value,
    _nodes,
    _number,
    consumers_first,
    is_symbolic,
    peek,
    refuse_in_trace,
)

__all__ = [
    "grad", "gradients", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp",
]  # fmt: skip


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
    start = seed_of(seed)
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
        chosen = argument_positions(argnums, len(args), "positional arguments of the call")
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
        self.outputs = [as_node(y) for y in outputs]
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
        return push_forward(self.inputs, self.outputs, tangents)

    def _curve(self, tangents: Sequence[Number]) -> list[Number]:
        first = self._pull_back([1.0])
        return push_forward(self.inputs, [as_node(d) for d in first], tangents)


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
