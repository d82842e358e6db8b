"""The backward pass as a page to step through: one HTML file that needs nothing else.

>>> from autograd_bp import Value, steps
>>> x = Value(3.0, "x")
>>> page = steps(x * x, title="A square")  # then: page.write("square.html")
>>> page.data["forward"], page.data["backward"]
([1], [1])

The page is a small program of its own, the HTML, CSS and JavaScript beside this file. It gets
the graph as data: what each node computed, its local derivatives, the order in which
`Value.backward` takes the nodes, and where Graphviz puts them. It adds up the gradients itself,
in that order, so they are the engine's to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autograd_bp.adjoint import refuse_changed
from autograd_bp.ops import Op
from autograd_bp.pictures import notation
from autograd_bp.pictures.page import Page, json_number
from autograd_bp.pictures.scene import Scene
from autograd_bp.pictures.views import views
from autograd_bp.tape import Tape
from autograd_bp.value import Value, topological_order

__all__ = ["Steps", "steps"]

LIMIT = 2000  # nodes


def steps(root: Value, *, title: str = "", limit: int = LIMIT) -> Steps:
    """The forward and backward pass of a graph, as a page: ``steps(C).write("backward.html")``.

    ``title`` is the page's heading. The page can fold and open the outermost scopes: in any
    combination if there are no more than 4, with no more than 300 nodes; else all, none, or
    one at a time. Needs Graphviz, as `draw` does. Up to the limit the page is laid out in
    seconds, be the graph a chain, an MLP or a tangle: where edges leap over more than 1,000
    ranks in all, they are straight lines, and open scopes have no frames.

    Raises ValueError for a graph of more than ``limit`` nodes, TypeError for a root that is not
    a Value.
    """
    if not isinstance(root, Value):
        raise TypeError(f"root must be a Value, the result to differentiate; got {root!r}")
    nodes = topological_order(root)
    if len(nodes) > limit:
        raise ValueError(
            f"the graph has {len(nodes)} nodes, the limit of the page is {limit}. Take a smaller "
            "graph (one sample, a smaller network), or an earlier node as root, or raise the "
            f"limit: steps(root, limit={len(nodes)})"
        )
    return Steps(nodes, title or "Backpropagation, step by step")


class Steps(Page):
    """What `steps` returns: ``write`` it, or let a notebook show it. ``data`` is all it knows."""

    main = "steps.html"
    styles = ("steps.css",)
    scripts = ("steps.js",)

    def __init__(self, nodes: Sequence[Value], title: str) -> None:
        self.title = title
        for node in nodes:
            refuse_changed(node)
        names = notation.names(nodes)
        scene = Scene(nodes, labels=names, grads=Tape(nodes, nodes[-1:]).pull_back([1.0]))
        self.data = _described(nodes, names) | {"views": views(scene)}


def _described(nodes: Sequence[Value], names: Sequence[str]) -> dict[str, Any]:
    """The graph as data. Nodes go by their positions in topological order."""
    index = {node: i for i, node in enumerate(nodes)}
    computed = [i for i, node in enumerate(nodes) if not node.is_leaf]
    return {
        "nodes": [_node(node, names[i], names, index) for i, node in enumerate(nodes)],
        "root": len(nodes) - 1,
        "forward": computed,
        "backward": computed[::-1],
    }


def _node(
    node: Value, name: str, names: Sequence[str], index: Mapping[Value, int]
) -> dict[str, Any]:
    operands = node.operands
    symbols = [names[index[x]] if isinstance(x, Value) else notation.number(x) for x in operands]
    numbers = [notation.number(x.data if isinstance(x, Value) else x) for x in operands]
    rules = notation.local_derivatives(node, name, symbols)
    parents = [index[parent] for parent in node.parents]
    edges = list(zip(parents, node.local_grads, rules, strict=True))
    if _ends_in_one(node.rule) and isinstance(operands[-1], Value):
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


def _ends_in_one(rule: Any) -> bool:
    """Whether a single operand follows sequences of them."""
    return isinstance(rule, Op) and rule.is_nary and not rule.operands[-1].endswith("*")
