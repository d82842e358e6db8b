"""Walks over a graph of Values, all iterative, and how graphs are pickled."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from autograd_bp.value import Value, consumers_first, rebuilt, recorded

__all__ = ["topological_order"]


def topological_order(roots: Value | Iterable[Value]) -> list[Value]:
    """All nodes that the roots were computed from, operands before results, roots included.

    The order is the same in every run. It costs time and memory proportional to the graph.

    >>> x = Value(2.0, "x")
    >>> y = x * x
    >>> [node.op or node.label for node in topological_order(y + 1.0)]
    ['x', '*', '+']
    """
    order = consumers_first([roots] if isinstance(roots, Value) else roots)
    order.reverse()
    return order


# --- pickling ------------------------------------------------------------------------------------
#
# pickle follows links by recursion, and a graph is deep. So the first node that it meets hands
# over its whole ancestry as a list in topological order: each node's operands are then in
# pickle's memo before the node itself, and sharing survives, also between several roots.


class _Ready(threading.local):
    """The nodes, by identity, whose operands pickle has in its memo."""

    def __init__(self) -> None:
        self.ids: set[int] = set()


_ready = _Ready()


class _Ancestry:
    """The nodes that a node was computed from, and the node: pickled as a list."""

    def __init__(self, node: Value) -> None:
        self.nodes: list[Value] = []
        self.nodes = topological_order(node)

    def __iter__(self) -> Iterator[Value]:
        for node in self.nodes:
            _ready.ids.add(id(node))
            yield node

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (), None, iter(self)

    def __del__(self) -> None:
        _ready.ids.difference_update(map(id, self.nodes))


def _last(nodes: list[Value]) -> Value:
    return nodes[-1]


def _restore(grad: float, *record: Any) -> Value:
    node = rebuilt(*record)
    node.grad = grad
    return node


def reduced(node: Value) -> tuple[Any, ...]:
    if not node.is_leaf and id(node) not in _ready.ids:
        return _last, (_Ancestry(node),)
    _ready.ids.discard(id(node))
    grad = node.grad.data if isinstance(node.grad, Value) else node.grad
    return _restore, (grad, *recorded(node))
