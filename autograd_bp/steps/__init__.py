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

from typing import TYPE_CHECKING

from autograd_bp.value import Value, topological_order

if TYPE_CHECKING:
    from autograd_bp.steps.backward import Steps

__all__ = ["steps"]

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
    from autograd_bp.steps.backward import Steps  # here: ``import autograd_bp`` is to be quick

    return Steps(root, nodes, title or "Backpropagation, step by step")
