"""The backward pass as a page to step through: one HTML file that needs nothing else.

>>> from autograd_bp import Value, steps
>>> x = Value(3.0, "x")
>>> page = steps(x * x, title="A square")  # then: page.write("square.html")
>>> page.data["forward"], page.data["backward"]
([1], [1])

The page is a small program of its own (`page.html`, `page.css`, `page.js` beside this file); it
gets the graph as data: what each node computed, its local derivatives, and the order in which
`Value.backward` takes the nodes. It adds up the gradients itself, by that order, so they are the
engine's to the last bit.
"""

from __future__ import annotations

import html
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from autograd_bp.draw import draw
from autograd_bp.files import write_whole
from autograd_bp.graph import topological_order
from autograd_bp.ops import Op, grouped
from autograd_bp.value import Value, consumers_first, zero_grad

__all__ = ["Steps", "steps"]

LIMIT = 2000  # nodes
MOST_COMBINED = 4  # scopes, and
SMALL = 300  # nodes, up to which every combination of open and folded scopes is laid out


def steps(root: Value, *, title: str = "", limit: int = LIMIT) -> Steps:
    """The forward and backward pass of a graph, as a page.

    ``title`` is the page's heading. The graph is laid out once for each way to fold its
    outermost scopes; with more than 4 scopes or 300 nodes, with all open and with all folded.
    Raises ValueError for a graph of more than ``limit`` nodes, TypeError for a root that is not
    a Value.
    """
    if not isinstance(root, Value):
        raise TypeError(f"root must be a Value, the result to differentiate; got {root!r}")
    return Steps(root, title, limit)


class Steps:
    """What `steps` returns: ``write`` it, or let a notebook show it."""

    def __init__(self, root: Value, title: str, limit: int) -> None:
        self.title = title or "Backpropagation, step by step"
        nodes = topological_order(root)
        if len(nodes) > limit:
            raise ValueError(
                f"the graph has {len(nodes)} nodes, the limit of the page is {limit}. Take a "
                "smaller graph (one sample, a smaller network), or raise it: steps(root, limit=…)"
            )
        with _differentiated(root, nodes):
            views = _views(root, nodes, limit)
        self.data = _data(root, nodes) | {"title": self.title, "views": views}

    def html(self) -> str:
        """The page."""
        parts = {
            "/*STYLE*/": _file("page.css"),
            "/*SCRIPT*/": _file("page.js"),
            "TITLE": html.escape(self.title),
            "/*DATA*/": _inside_script(self.data),
        }
        # In one pass, since a title or a label may look like another part's mark.
        marks = "|".join(map(re.escape, parts))
        return re.sub(marks, lambda mark: parts[mark[0]], _file("page.html"))

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to a file, whole or not at all; return its path."""
        # Half a surrogate pair, which UTF-8 has not, becomes an escape.
        return write_whole(path, self.html().encode("utf-8", "backslashreplace"))

    def _repr_html_(self) -> str:
        frame = html.escape(self.html(), quote=True)
        return f'<iframe srcdoc="{frame}" style="width:100%;height:640px;border:0"></iframe>'


@cache
def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _inside_script(data: Any) -> str:
    """JSON that no label can end the script element with."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=True)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


# --- the graph as data ---------------------------------------------------------------------------


def _data(root: Value, nodes: list[Value]) -> dict[str, Any]:
    index = {id(node): i for i, node in enumerate(nodes)}
    names = _names(root, nodes)
    described = []
    for i, node in enumerate(nodes):
        inner = [names[index[id(x)]] if isinstance(x, Value) else _number(x) for x in node.operands]
        described.append(
            {
                "name": names[i],
                "op": node.op,
                "data": _json_number(node.data),
                "parents": [index[id(parent)] for parent in node.parents],
                "d": [_json_number(d) for d in node.local_grads],
                "rules": _symbolic_partials(node, names[i], inner),
                "formula": _symbolic_value(node, inner),
                "numbers": _symbolic_value(
                    node, [_number(x.data if isinstance(x, Value) else x) for x in node.operands]
                ),
                "scope": node.scope,
            }
        )
    order = [index[id(node)] for node in consumers_first([root]) if not node.is_leaf]
    return {
        "nodes": described,
        "root": index[id(root)],
        "forward": [i for i, node in enumerate(nodes) if not node.is_leaf],
        "backward": order,
    }


def _names(root: Value, nodes: list[Value]) -> list[str]:
    """A name for each node: its label, or v and its number; C for a root without one."""
    return [node.label or ("C" if node is root else f"v{i}") for i, node in enumerate(nodes)]


def _json_number(x: float) -> float | str:
    """JSON has no infinities: those and NaN go as text that JavaScript's Number reads."""
    return x if abs(x) < float("inf") else {x != x: "NaN", x > 0: "Infinity"}.get(True, "-Infinity")


def _number(x: float) -> str:
    return format(x + 0.0, ".4g").replace("-", "−")


def _symbolic_value(node: Value, inner: list[str]) -> str:
    """The operation written out with its operands' names, or with their numbers."""
    if node.is_leaf:
        return ""
    if not isinstance(node.rule, Op):
        return f"{node.op}({', '.join(inner)})"
    groups = grouped(node.rule, inner)
    if node.op == "dot":
        w, x, b = groups
        return " + ".join([*_shortened([f"{p}·{q}" for p, q in zip(w, x, strict=True)]), b])
    if node.rule.is_nary:
        inside = ", ".join(_shortened(groups[0]))
        return f"{node.op}({inside})"
    if node.op in ("+", "-", "*", "/"):
        sign = {"-": "−", "*": "·"}.get(node.op, node.op)
        return f" {sign} ".join(_bracketed(name) for name in groups)
    if node.op == "**":
        return f"{_bracketed(groups[0])}^{_bracketed(groups[1])}"
    if node.op == "neg":
        return f"−{_bracketed(groups[0])}"
    return f"{'σ' if node.op == 'sigmoid' else node.op}({', '.join(groups)})"


def _bracketed(name: str) -> str:
    return f"({name})" if name.startswith("−") or " " in name else name


def _shortened(terms: list[str], most: int = 6) -> list[str]:
    return terms if len(terms) <= most else [*terms[: most - 1], "…", terms[-1]]


def _symbolic_partials(node: Value, name: str, inner: list[str]) -> list[str]:
    """∂node/∂parent for each parent: the row's own expression with names put in."""
    if not isinstance(node.rule, Op):
        return [f"∂{name}/∂{parent}" for parent in inner[: len(node.parents)]]
    groups = grouped(node.rule, inner)
    texts: list[str] = []
    for k, (operand, d) in enumerate(zip(node.rule.operands, node.rule.d, strict=True)):
        several = operand.endswith("*")
        for j in range(len(groups[k]) if several else 1):
            given = {"y": name, "n": str(len(groups[0]))}
            for other, group in zip(node.rule.operands, groups, strict=True):
                given[other.rstrip("*")] = group[j] if other.endswith("*") else group
            texts.append(_written(d, given))
    return [text for text, x in zip(texts, node.operands, strict=True) if isinstance(x, Value)]


def _written(expression: str, names: dict[str, str]) -> str:
    """An expression of the table as mathematics, with these names in it."""
    text = re.sub(r"\b(\d+)\.0\b", r"\1", expression)
    text = text.replace("-", "−").replace("*", "·").replace("!=", "≠").replace(">=", "≥")
    text = text.replace("<=", "≤").replace("==", "=")
    return re.sub(r"[A-Za-z_]\w*", lambda word: names.get(word[0], word[0]), text)


@contextmanager
def _differentiated(root: Value, nodes: list[Value]) -> Iterator[None]:
    """Within it, the nodes have the gradients of ``root``, so that the boxes are wide enough."""
    before = [node.grad for node in nodes]
    zero_grad(nodes)
    root.backward()
    try:
        yield
    finally:
        for node, grad in zip(nodes, before, strict=True):
            node.grad = grad


# --- the pictures --------------------------------------------------------------------------------


def _views(root: Value, nodes: list[Value], limit: int) -> list[dict[str, Any]]:
    """An SVG for each way to fold the outermost scopes; ``open`` are those that are not."""
    scopes = list(dict.fromkeys(node.scope.split("/")[0] for node in nodes if node.scope))
    if len(scopes) <= MOST_COMBINED and len(nodes) <= SMALL:
        choices: Iterable[tuple[str, ...]] = itertools.chain.from_iterable(
            itertools.combinations(scopes, k) for k in range(len(scopes), -1, -1)
        )
    else:
        choices = [tuple(scopes), ()]
    views = []
    for opened in choices:
        folded = [scope for scope in scopes if scope not in opened]
        picture = draw(root, fold=folded, limit=limit, legend=False)
        svg = picture.pipe(format="svg", encoding="utf-8")
        views.append({"open": list(opened), "svg": svg[svg.index("<svg") :]})
    return views
