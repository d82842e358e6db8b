"""Operations that the table lacks: with derivatives of your own, by an equation, or condensed.

Each result is one node whose rule gives its local derivatives, on numbers and on Values alike.
So pictures, backward, and every transformation to any order follow.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from autograd_bp.adjoint import pull_back
from autograd_bp.context import (
    collect,
    derivative_watchers,
    inside,
    is_inside,
    is_tracing,
    on_numbers,
    recording,
)
from autograd_bp.copies import restore
from autograd_bp.tape import Tape, condense
from autograd_bp.transforms import grad, jvp
from autograd_bp.trees import Flat, flatten
from autograd_bp.value import Number, Value, _number, apply, is_symbolic, peek

__all__ = ["checkpoint", "custom", "implicit"]


class Rule:
    """The operation of a node that no row of the table describes.

    ``derivatives(*operands, y)`` gives ∂y/∂operand for each operand, on numbers or on Values.
    """

    def __init__(self, name: str, derivatives: Callable[..., Sequence[Number]]) -> None:
        self.name = name
        self.notation = f"{name}(…)"
        self.derivatives = derivatives

    def partials(self, operands: Sequence[Number], y: Value) -> Sequence[Number]:
        """∂y/∂operand for each operand, as graphs."""
        return self.derivatives(*operands, y)

    def rates(
        self, operands: Sequence[Number], y: float, tangents: Sequence[float], t_y: float
    ) -> list[float]:
        """How each ∂y/∂operand changes as the operands and y do."""
        point, direction = (*_numbers(operands), y), (*tangents, t_y)
        with on_numbers():
            change: list[float] = jvp(lambda *x: list(self.derivatives(*x)), point, direction)[1]
        return change


def _numbers(operands: Sequence[Number]) -> list[float]:
    return [peek(x) for x in operands]


def _name_of(f: Callable[..., Any], otherwise: str) -> str:
    name: str = getattr(f, "__name__", otherwise)
    return otherwise if name == "<lambda>" else name


def _result(rule: Rule, operands: Sequence[Any], y: Any) -> Any:
    y = _number(y, "the result")  # a real number, or an error that says so
    if not any(isinstance(x, Value) for x in operands):
        return y
    with on_numbers():
        partials = rule.derivatives(*_numbers(operands), y)
    if len(partials) != len(operands):
        raise ValueError(
            f"the derivative of {rule.name} must return a number for each of its "
            f"{len(operands)} operands, got {partials!r}"
        )
    pairs = zip(partials, operands, strict=True)
    return restore(
        rule,
        tuple(operands),
        y,
        [_number(d, "a derivative") for d, x in pairs if isinstance(x, Value)],
    )


def _traced(rule: Rule, f: Callable[..., Any], operands: Sequence[Any]) -> Any:
    """The operation as rows of the table: what f does on nodes, with the rule's derivatives."""
    made: list[Value] = []
    try:
        with collect(made):
            y = f(*operands)
        partials = rule.derivatives(*operands, y)
    except TypeError as error:
        raise TypeError(
            f"{rule.name} cannot be traced: within a trace its function is called with Values, "
            f"and must be written with the functions of autograd_bp, without branches. {error}"
        ) from error
    known = {id(x) for x in (*made, *operands)}
    for node in made:
        for p in node.parents:
            if id(p) not in known:
                raise TypeError(
                    f"{rule.name} takes {p!r} from outside of its operands, and its derivative by "
                    "that would be lost: make it an operand"
                )
    y = apply("detach", y)
    for x, d in zip(operands, partials, strict=True):
        if isinstance(x, Value):
            y = apply("attach", y, d, x)
    return y


def custom(
    f: Callable[..., float], derivative: Callable[..., Any], name: str = ""
) -> Callable[..., Any]:
    """An operation made of f, which computes on floats, and its derivative.

    ``derivative(*operands)`` returns ∂f/∂operand: a number, or a tuple of one for each operand.
    Write it with the functions of this package, and it is differentiated in turn. f may use
    anything; `trace` and `jit` need it to be written with these functions as well. ``name``
    stands in pictures; without it, the name of f. Operands and result are single numbers. A call
    costs one of f and one of ``derivative``, and makes one node.

    >>> import math
    >>> from autograd_bp import cos, grad
    >>> sine = custom(math.sin, cos)
    >>> grad(sine)(0.0), grad(grad(grad(sine)))(0.0)
    (1.0, -1.0)
    """

    def derivatives(*operands_and_y: Number) -> Sequence[Number]:
        result = derivative(*operands_and_y[:-1])
        return result if isinstance(result, (tuple, list)) else (result,)

    rule = Rule(name or _name_of(f, "custom"), derivatives)

    @wraps(f)
    def operation(*operands: Number) -> Any:
        if is_symbolic(*operands):
            return _traced(rule, f, operands)
        return _result(rule, operands, f(*_numbers(operands)))

    return operation


def implicit(
    residual: Callable[..., Any], solve: Callable[..., float], name: str = ""
) -> Callable[..., Any]:
    """The function y(x…) that an equation defines: ``residual(y, *x) == 0``.

    ``solve(*x)`` finds y on floats, by any means; how it does so is not differentiated. The
    derivatives are those of the implicit function theorem, ∂y/∂x = −(∂r/∂x)/(∂r/∂y), to any
    order. For a fixed point y = g(y, x), the residual is y − g(y, x). Whatever the residual
    depends on must be among its arguments; y and each x are single numbers. A call costs one of
    ``solve`` and two gradients of the residual, and makes one node. To be traced, ``solve`` must
    take a fixed number of steps.

    Raises ValueError where ``solve`` did not return a root, or ∂r/∂y is 0 there.

    >>> from autograd_bp import grad
    >>> def newton(a):  # for y² = a
    ...     y = a
    ...     for _ in range(60):
    ...         y -= (y * y - a) / (2 * y)
    ...     return y
    >>> root = implicit(lambda y, a: y * y - a, newton)
    >>> root(4.0), grad(root)(4.0), grad(grad(root))(4.0)
    (2.0, 0.25, -0.03125)
    """

    def derivatives(*operands_and_y: Number) -> Sequence[Number]:
        *operands, y = operands_and_y
        everything = tuple(range(len(operands) + 1))
        slope, *slopes = grad(residual, argnums=everything)(y, *operands)
        return [-(s / slope) for s in slopes]

    rule = Rule(name or _name_of(residual, "implicit"), derivatives)

    def operation(*operands: Number) -> Any:
        if is_symbolic(*operands):
            return _traced(rule, solve, operands)
        numbers = _numbers(operands)
        y = _number(solve(*numbers), "the result of solve")
        with on_numbers():
            _check_root(residual, y, numbers)
        return _result(rule, operands, y)

    return operation


def _check_root(residual: Callable[..., Any], y: float, operands: Sequence[float]) -> None:
    r = _number(residual(y, *operands), "the residual")
    slope = grad(residual)(y, *operands)
    if slope == 0.0 or not math.isfinite(slope):
        raise ValueError(
            f"the equation does not define y near y = {y!r}: ∂residual/∂y is {slope!r} there"
        )
    if not (math.isfinite(y) and abs(r / slope) <= 1e-6 * max(1.0, abs(y))):
        raise ValueError(
            f"solve returned y = {y!r}, where the residual is {r!r}, which is no root "
            f"(a Newton step would move y by {-r / slope!r}); iterate further or start nearer"
        )


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """f with a graph that is condensed as soon as f returns: one node for each of its results.

    The nodes that f made are dropped; each result keeps its derivatives with respect to what
    f's graph stands on, arguments and Values from outside alike. That saves the memory of f's
    graph, and gradients need no second run of f. Derivatives of higher order do run f again, so
    f must do the same each time; else they raise RuntimeError. Worth it where results are few:
    each costs a reverse sweep, and memory for a derivative with respect to everything that it
    stands on. Within `detect_anomaly` the whole graph is kept, for the operation to be named,
    and in a trace.

    >>> from autograd_bp import Value, graph_info
    >>> @checkpoint
    ... def power(x):
    ...     y = x
    ...     for _ in range(9):
    ...         y = y * x
    ...     return y
    >>> x = Value(1.5)
    >>> y = power(x)
    >>> graph_info(y).nodes, y.local_grads == (10 * 1.5**9,)
    (2, True)
    """

    @wraps(f)
    def condensed(*args: Any, **kwargs: Any) -> Any:
        if derivative_watchers() or is_tracing():
            return f(*args, **kwargs)
        # Derivatives within f are constants, or not, as they are in this call.
        in_transformation = is_inside()

        def run() -> tuple[Flat, list[Value], list[Value]]:
            """The results, those of them that f itself computed, and all nodes that f made."""
            made: list[Value] = []
            with collect(made), inside(in_transformation):
                results = flatten(f(*args, **kwargs), "the result of f")
            computed = {id(y): y for y in results.numbers if isinstance(y, Value) and not y.is_leaf}
            inner = set(computed).intersection(map(id, made))
            return results, [y for k, y in computed.items() if k in inner], made

        results, outputs, made = run()
        if any(map(is_symbolic, outputs)):  # traced in another thread
            return results.build(results.numbers)
        new: dict[int, Value] = {}
        for k, y in enumerate(outputs):
            base, row = condense(made, y)
            new[id(y)] = restore(_Condensed(f, k, run), tuple(base), peek(y), row, y.label)
        return results.build([new.get(id(y), y) for y in results.numbers])

    return condensed


class _Condensed(Rule):
    """The operation of a result of a condensed function: its k-th that is a node."""

    def __init__(
        self,
        f: Callable[..., Any],
        k: int,
        run: Callable[[], tuple[Flat, list[Value], list[Value]]],
    ) -> None:
        super().__init__(_name_of(f, "checkpoint"), lambda *x: ())
        self._k = k
        self._run = run

    def _again(self, operands: Sequence[Any], y: float) -> Value:
        """The result with its graph, on these operands."""
        with recording():
            _, outputs, made = self._run()
        again = outputs[self._k] if self._k < len(outputs) else None
        base = condense(made, again)[0] if again is not None else []
        if again is None or len(base) != len(operands) or repr(peek(again)) != repr(y):
            raise RuntimeError(
                f"{self.name} was run again for a derivative of higher order, and did not do the "
                f"same: its result is {again!r} where it was {y!r}. A function for checkpoint must "
                "do the same in each call (no new random numbers, no changed data of leaves)."
            )
        if all(old is x for old, x in zip(base, operands, strict=True)):
            return again
        # The node was copied, or f makes leaves of its own: build the graph on the operands.
        twins = {id(old): x for old, x in zip(base, operands, strict=True)}
        return copy.deepcopy(again, twins)

    def partials(self, operands: Sequence[Number], y: Value) -> Sequence[Number]:
        nodes = [x for x in operands if isinstance(x, Value)]
        return pull_back(nodes, [self._again(operands, peek(y))], [1.0], cut=True)

    def rates(
        self, operands: Sequence[Number], y: float, tangents: Sequence[float], t_y: float
    ) -> list[float]:
        nodes = [x for x in operands if isinstance(x, Value)]
        return Tape(nodes, [self._again(operands, y)], cut=True).curve([1.0], tangents)
