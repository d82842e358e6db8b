"""Finding trouble: where a NaN was made, what a graph holds, why a gradient is missing."""

from __future__ import annotations

import linecache
import math
import sys
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from autograd_bp.adjoint import deriving
from autograd_bp.context import Context, Effect, State
from autograd_bp.rules import carry
from autograd_bp.text import printable
from autograd_bp.value import Value, _nodes, compiled, is_symbolic, topological_order

__all__ = ["GraphInfo", "detect_anomaly", "graph_info", "warn_missing_gradients"]

_OWN_FOLDERS = (str(Path(__file__).parent), str(Path(__file__).parent.parent / "nn"))


class detect_anomaly(Context):  # noqa: N801 (used as a function is)
    """Within it, the first operation that makes a NaN or an infinity raises FloatingPointError.

    Forward: an operation that makes a NaN of numbers that are none, or an infinity of finite
    ones. Backward (and in forward mode): a node with a finite gradient that hands on one that is
    not finite; in `Value.backward` and in all transformations. The message names the operation, the
    label, the numbers, and the line of your source that made the node. Operations are slower
    meanwhile. In a function that is traced nothing is looked at: numbers there are examples.

    >>> x = Value(1e200, "x")
    >>> with detect_anomaly():  # doctest: +ELLIPSIS
    ...     y = x * x
    Traceback (most recent call last):
    FloatingPointError: * made inf out of 1e+200 ('x'), 1e+200 ('x')...
    """

    def _begin(self) -> Effect:
        return _look_for_anomalies()


def _look_for_anomalies() -> Effect:
    lines: dict[int, str] = {}  # by identity: where each node was made

    def forward(node: Value) -> None:
        of = deriving.get()
        if of is not None:  # a node of a derivative: it stands for the operation that it is of
            lines[id(node)] = lines.get(id(of), "")
            return
        lines[id(node)] = _users_line()
        if is_symbolic(node):
            return
        numbers = [x.data if isinstance(x, Value) else x for x in node.operands]
        # Only the first: infinities that were given may rightly make others.
        new_nan = math.isnan(node.data) and not any(map(math.isnan, numbers))
        new_infinity = math.isinf(node.data) and all(map(math.isfinite, numbers))
        if numbers and (new_nan or new_infinity):
            raise FloatingPointError(f"{_described(node)}{lines[id(node)]}")

    def derivative(
        node: Value, operand: Value, rate: float, d: float, is_forward: bool = False
    ) -> None:
        if is_symbolic(node):
            return
        if math.isfinite(rate) and not math.isfinite(carry(rate, d)):
            op = printable(node.op)
            sweep = "forward" if is_forward else "backward"
            whose = "the tangent of its operand" if is_forward else "its gradient"
            raise FloatingPointError(
                f"the {sweep} pass of {op} handed on {rate * d!r}: {whose} is {rate!r} and "
                f"∂{op}/∂operand is {d!r} at the operand {_named(operand)}"
                f"{lines.get(id(node), '')}"
            )

    def effect(state: State) -> None:
        state.watchers = (*state.watchers, forward)
        state.derivative_watchers = (*state.derivative_watchers, derivative)

    return effect


def _described(node: Value) -> str:
    label = f" ({node.label!r})" if node.label else ""
    operands = ", ".join(
        _named(x) if isinstance(x, Value) else repr(x) for x in node.operands[:4]
    ) + (", …" if len(node.operands) > 4 else "")
    return f"{printable(node.op)}{label} made {node.data!r} out of {operands}"


def _named(node: Value) -> str:
    return f"{node.data!r}" + (f" ({node.label!r})" if node.label else "")


def _users_line() -> str:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OWN_FOLDERS):
        frame = frame.f_back
    name, number = frame.f_code.co_filename, frame.f_lineno
    source = linecache.getline(name, number).strip()
    return printable(f", in {name}, line {number}" + (f": {source}" if source else ""))


class GraphInfo(NamedTuple):
    """What a graph holds; ``memory`` is in bytes, of the nodes and their links."""

    nodes: int
    leaves: int
    depth: int
    operations: dict[str, int]
    memory: int


def graph_info(root: Value) -> GraphInfo:
    """Count the nodes of a graph, its leaves, its longest path, and each operation.

    >>> x = Value(2.0)
    >>> info = graph_info((x * x + 1.0).tanh())
    >>> info.nodes, info.leaves, info.depth, info.operations
    (4, 1, 3, {'*': 1, '+': 1, 'tanh': 1})
    """
    order = topological_order(_nodes([root], "root"))
    depth: dict[int, int] = {}
    memory = 0
    # A number that the interpreter keeps as an object of its own takes 24 bytes more.
    size = Value.__basicsize__ + (0 if compiled else 16 + sys.getsizeof(0.0))
    for node in order:
        operands = node.operands
        depth[id(node)] = max((depth[id(p)] + 1 for p in node.parents), default=0)
        memory += size + (16 * len(operands) if len(operands) > 2 else 0)
    operations = Counter(node.op for node in order if not node.is_leaf)
    leaves = sum(node.is_leaf for node in order)
    return GraphInfo(len(order), leaves, depth[id(root)], dict(operations), memory)


def warn_missing_gradients(root: Value, parameters: Iterable[Value]) -> list[Value]:
    """Warn of each parameter that a backward pass from ``root`` does not reach, and say why.

    Returns those parameters. A parameter is not reached where the root was not computed from
    it, or only from a detached copy, or under `no_grad`.

    >>> w, b = Value(1.0, "w"), Value(0.5, "b")
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     missing = warn_missing_gradients(w * 2.0 + b.detach(), [w, b])
    >>> print(caught[0].message)
    'b' gets no gradient: the root was computed from a detached copy of it
    """
    order = topological_order(_nodes([root], "root"))
    reached = {id(node) for node in order}
    labels = {node.label for node in order if node.is_leaf and node.label}
    missing = [p for p in _nodes(parameters, "parameters") if id(p) not in reached]
    for p in missing:
        if root.is_leaf:
            why = "the root is a leaf; was it computed under no_grad() or detached?"
        elif p.label in labels:
            why = "the root was computed from a detached copy of it"
        else:
            why = "the root was not computed from it"
        name = repr(p.label) if p.label else repr(p)
        warnings.warn(f"{name} gets no gradient: {why}", UserWarning, stacklevel=2)
    return missing
