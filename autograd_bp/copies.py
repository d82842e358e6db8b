"""A node made again from its parts, and by that copies and pickles of graphs.

`pickle` and `copy` follow links by recursion, and a graph is deep. So the first node that they
meet hands over its whole ancestry as a list in topological order: each node's operands are then
in their memo before the node itself, and sharing survives, also between several roots.
A gradient that is a graph is copied as its number, and hooks stay with the node.
"""

from __future__ import annotations

import copyreg
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from autograd_bp.context import is_recording, recording
from autograd_bp.ops import CODES, TABLE, Op
from autograd_bp.value import (
    Number,
    Value,
    _plain,
    node_of,
    peek,
    refuse_in_trace,
    topological_order,
)

__all__ = ["restore"]

_SEQUENCES: list[int] = [op.sequences for op in TABLE]


def restore(
    op: Any,
    operands: tuple[Number, ...],
    data: float,
    local_grads: Iterable[float],
    label: str = "",
    scope: str = "",
) -> Value:
    """A node as it was: the inverse of reading its attributes.

    ``op`` is the name of a row, or a rule that is none.
    """
    partials = tuple(local_grads)
    nodes = sum([isinstance(x, Value) for x in operands])
    if isinstance(op, str):
        code: Any = _code_for(op, len(operands))
    elif nodes and isinstance(getattr(op, "name", None), str):
        code = op
    else:
        raise ValueError(f"a rule has a name and some operand that is a Value; got {op!r}")
    if len(partials) != nodes:
        raise ValueError(
            f"{op!r} needs a local derivative for each operand that is a Value, of which there "
            f"are {nodes}; got {len(partials)}"
        )
    node = node_of(code, _plain(operands, "operand"), data, partials) if code else Value(data)
    if label:
        node.label = label
    if scope:
        node.scope = scope
    return node


def _code_for(op: str, count: int) -> int:
    """The row of an operation that is to have so many operands."""
    code = CODES.get(op)
    if code is None:
        raise ValueError(
            f"the table has no operation {op!r}: was it recorded by another version of autograd-bp?"
        )
    sequences = _SEQUENCES[code]
    more = count + sequences - len(TABLE[code].operands)
    if more < 0 or (more % sequences if sequences else more):
        raise ValueError(f"{op!r} cannot have {count} operands")
    return code


def _again(grad: float, *parts: Any) -> Value:
    """The node of these parts, also within `no_grad`: a copy of a graph is a graph."""
    if is_recording():  # which takes less time to ask than to see to
        node = restore(*parts)
    else:
        with recording():
            node = restore(*parts)
    node.grad = grad
    scope = parts[5]
    if node.scope != scope:  # but that which is open here
        node.scope = scope
    return node


def _again_as(kind: type[Value], grad: float, data: float, label: str, scope: str) -> Value:
    """The leaf of a subclass."""
    node = kind.__new__(kind)
    Value.__init__(node, data, label)
    node.grad = grad
    node.scope = scope
    return node


class _Ready(threading.local):
    """The nodes, by identity, whose operands `pickle` or `copy` has in its memo."""

    def __init__(self) -> None:
        self.ids: set[int] = set()


_ready = _Ready()


class _Ancestry:
    """The nodes that a node was computed from, and the node: pickled as a list."""

    def __init__(self, node: Value) -> None:
        self.node = node
        self.nodes: list[Value] = []

    def __iter__(self) -> Iterator[Value]:
        self.nodes = topological_order(self.node)
        for node in self.nodes:
            _ready.ids.add(id(node))
            yield node

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (), None, iter(self)

    def __del__(self) -> None:
        _ready.ids.difference_update(map(id, self.nodes))


def _last(nodes: Any) -> Value:
    """The node itself; of an ancestry that was not copied, as `copy.copy` has it, its twin."""
    if isinstance(nodes, _Ancestry):
        function, parts, *_ = _parts(nodes.node)
        return function(*parts)  # type: ignore[no-any-return]
    node: Value = nodes[-1]
    return node


def _parts(node: Value) -> tuple[Any, ...]:
    """What makes the node again, of its operands, as `__reduce__` says it."""
    refuse_in_trace(node, "a copy")
    grad = peek(node.grad)
    kind = type(node)
    if kind is not Value:  # a leaf: operations make none
        return _again_as, (kind, grad, node.data, node.label, node.scope), _state_of(node)
    op = node.op if isinstance(node.rule, Op) else node.rule  # which may bear the name of a row
    parts = op, node.operands, node.data, node.local_grads, node.label, node.scope
    return _again, (grad, *parts)


def _state_of(node: Value) -> Any:
    """What a subclass adds to a node: its dict, and its slots, as `copyreg` has them."""
    own = set(copyreg._slotnames(type(node))) - set(copyreg._slotnames(Value))  # type: ignore[attr-defined]
    slots = {name: getattr(node, name) for name in own if hasattr(node, name)}
    return getattr(node, "__dict__", None), slots


def _reduced(node: Value) -> tuple[Any, ...]:
    """What `pickle` and `copy` ask for: a function and its arguments."""
    if node.is_leaf or id(node) in _ready.ids:
        _ready.ids.discard(id(node))
        return _parts(node)
    return _last, (_Ancestry(node),)


copyreg.pickle(Value, _reduced)
