"""A graph and its backward pass as data for the page that steps through them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from autograd_bp.rules import carry
from autograd_bp.steps import notation
from autograd_bp.steps.layout import BACKSLASH, views
from autograd_bp.steps.page import Page, json_number
from autograd_bp.transforms import refuse_changed
from autograd_bp.value import Value

__all__ = ["Steps"]


class Steps(Page):
    """What `steps` returns: ``write`` it, or let a notebook show it. ``data`` is all it knows."""

    main = "steps.html"
    styles = ("steps.css",)
    scripts = ("steps.js",)

    def __init__(self, root: Value, nodes: list[Value], title: str) -> None:
        self.title = title
        names = notation.names(root, nodes)
        with _as_the_page_shows_them(root, nodes, names):
            self.data = _described(root, nodes, names) | {"views": views(nodes)}


def _described(root: Value, nodes: list[Value], names: list[str]) -> dict[str, Any]:
    """The graph as data. Nodes go by their positions in topological order."""
    for node in nodes:
        refuse_changed(node)
    index = {node: i for i, node in enumerate(nodes)}
    computed = [i for i, node in enumerate(nodes) if not node.is_leaf]
    return {
        "nodes": [_node(node, names[i], names, index) for i, node in enumerate(nodes)],
        "root": index[root],
        "forward": computed,
        "backward": computed[::-1],
    }


def _node(node: Value, name: str, names: list[str], index: dict[Value, int]) -> dict[str, Any]:
    operands = node.operands
    symbols = [names[index[x]] if isinstance(x, Value) else notation.number(x) for x in operands]
    numbers = [notation.number(x.data if isinstance(x, Value) else x) for x in operands]
    rules = notation.local_derivatives(node, name, symbols)
    parents = [index[parent] for parent in node.parents]
    edges = list(zip(parents, node.local_grads, rules, strict=True))
    if node.op == "dot" and isinstance(operands[-1], Value):
        edges.insert(0, edges.pop())  # `Value.backward` hands on to the bias first
    return {
        "name": name,
        "op": node.op,
        "data": json_number(node.data),
        "parents": [parent for parent, _, _ in edges],
        "d": [json_number(d) for _, d, _ in edges],
        "rules": [rule for _, _, rule in edges],
        "formula": notation.operation(node, symbols),
        "numbers": notation.operation(node, numbers),
    }


@contextmanager
def _as_the_page_shows_them(root: Value, nodes: list[Value], names: list[str]) -> Iterator[None]:
    """Within it, nodes have these labels, and the gradients of ``root``: the boxes fit both."""
    before = [(node.label, node.scope, node.grad) for node in nodes]
    grads = dict.fromkeys(nodes, 0.0) | {root: 1.0}
    for node in reversed(nodes):  # not by backward(), which would run the user's hooks
        for parent, d in zip(node.parents, node.local_grads, strict=True):
            grads[parent] += carry(grads[node], d)
    try:
        for node, name in zip(nodes, names, strict=True):
            node.label = name.replace("\\", BACKSLASH)
            node.scope = node.scope.replace("\\", BACKSLASH)
            node.grad = grads[node]
        yield
    finally:
        for node, (label, scope, grad) in zip(nodes, before, strict=True):
            node.label = label
            node.scope = scope
            node.grad = grad
