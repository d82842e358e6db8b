"""What to draw: the role of each node, the scope that it stands in, its box, and the edges.

Drawings by Graphviz (`pictures.draw`) and the pages' views (`pictures.views`) are made from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import TypeAlias, TypeVar

from autograd_bp.ops import CODES, TABLE, grouped
from autograd_bp.pictures.notation import is_arithmetic
from autograd_bp.value import Value, peek

__all__ = ["ROLES", "Scene", "Scope"]

ROLES = ("input", "parameter", "pre-activation", "activation", "operation", "result")
DEEPEST = 16  # levels of scopes that are told apart: Graphviz treats frames by recursion
DOT = TABLE[CODES["dot"]]

T = TypeVar("T")
Scope: TypeAlias = tuple[str, ...]
# By tail, head and, of an edge that is drawn alone, its id: ids and local derivatives.
Lines: TypeAlias = dict[tuple[str, str, str], list[tuple[str, float]]]


class Scene:
    """The nodes of a graph in topological order, and what a picture shows of them.

    ``labels`` and ``grads`` are shown in place of the nodes' own. Where ``parameters`` is None,
    they are the weights and biases of each `dot`. Positions in ``nodes`` tell nodes apart:
    ``roles[i]``, ``homes[i]`` (the scope that it is drawn in) and ``boxes[i]`` (the id of its
    box: ``n`` and the position, or that of a folded scope) are those of ``nodes[i]``.
    """

    def __init__(
        self,
        nodes: Sequence[Value],
        parameters: Iterable[Value] | None = None,
        *,
        labels: Iterable[str] | None = None,
        grads: Iterable[float] | None = None,
    ) -> None:
        self.nodes = list(nodes)
        self.labels = _by_node(nodes, (x.label for x in nodes) if labels is None else labels)
        self.grads = _by_node(nodes, (peek(x.grad) for x in nodes) if grads is None else grads)
        self.roles = _roles(self.nodes, parameters)
        self.homes = _homes(self.nodes, self.roles)
        self.reading = _reading_order(self.nodes)
        self.scopes: dict[Scope, str] = {}  # each with its id
        for home in (self.homes[i] for i in self.reading):
            for depth in range(1, len(home) + 1):
                self.scopes.setdefault(home[:depth], f"s{len(self.scopes)}")
        self._fold(set())

    def folded(self, fold: bool | str | Iterable[str]) -> Scene:
        """The same with each of these scopes in one box; True folds the outermost."""
        twin = copy(self)
        twin._fold(self._chosen(fold))
        return twin

    def without_frames(self) -> Scene:
        """The same with open scopes drawn without their frames, which Graphviz cannot always do."""
        twin = copy(self)
        twin.homes = [home if self.folds[home] else () for home in self.homes]
        twin.scopes = {path: name for path, name in self.scopes.items() if self.folds[path]}
        return twin

    def _fold(self, folded: set[Scope]) -> None:
        self.folds = {path: _outermost(path, folded) for path in [(), *self.scopes]}
        self.boxes = [
            f"n{i}" if fold is None else self.scopes[fold]
            for i, fold in enumerate(self.folds[home] for home in self.homes)
        ]

    def _chosen(self, fold: bool | str | Iterable[str]) -> set[Scope]:
        if isinstance(fold, bool):
            return set(self.scopes) if fold else set()
        if not isinstance(fold, Iterable):
            raise TypeError(f"fold must be True, the name of a scope or several, got {fold!r}")
        paths = {"/".join(path): path for path in self.scopes}
        names = [fold] if isinstance(fold, str) else list(fold)
        for name in names:
            if name not in paths:
                raise ValueError(
                    f"fold names the scope {name!r}, which no node of this graph is in; "
                    f"its scopes are: {', '.join(map(repr, paths)) or 'none'}"
                )
        return {paths[name] for name in names}

    def lines(self) -> Lines:
        """The edges between boxes; those between the same two, of which one is folded, as one."""
        box_of = _by_node(self.nodes, self.boxes)
        lines: Lines = {}
        for i, node in enumerate(self.nodes):
            head = self.boxes[i]
            for k, (parent, d) in enumerate(zip(node.parents, node.local_grads, strict=True)):
                tail = box_of[parent]
                name = f"e{i}_{k}"
                single = tail.startswith("n") and head.startswith("n")
                if tail != head:
                    lines.setdefault((tail, head, name if single else ""), []).append((name, d))
        return lines

    def leaps(self) -> int:
        """How many ranks the edges between boxes leap over, each node as near to the root as can
        be. Graphviz puts a point of its own on each, and takes time by them.
        """
        rank = dict.fromkeys(self.nodes, 0)
        for node in reversed(self.nodes):
            for parent in node.parents:
                rank[parent] = max(rank[parent], rank[node] + 1)
        box_of = _by_node(self.nodes, self.boxes)
        return sum(
            rank[parent] - rank[node] - 1
            for node in self.nodes
            for parent in set(node.parents)
            if box_of[parent] != box_of[node]
        )

    def role_of(self, box: str) -> str:
        """The role of a box's node, or "folded"."""
        return self.roles[int(box[1:])] if box.startswith("n") else "folded"

    def frame_of(self, box: str) -> Scope:
        """The scope in whose frame a box stands."""
        return self.homes[int(box[1:])] if box.startswith("n") else ()


def _by_node(nodes: Iterable[Value], given: Iterable[T]) -> dict[Value, T]:
    return dict(zip(nodes, given, strict=True))


def _reading_order(nodes: list[Value]) -> list[int]:
    """Positions of the nodes, each one's leaves before it in the order of its operands."""
    position = {node: i for i, node in enumerate(nodes)}
    computed = [node for node in nodes if not node.is_leaf]
    read = [position[x] for node in computed for x in (*node.parents, node)]
    return list(dict.fromkeys([*read, *range(len(nodes))]))


def _outermost(path: Scope, folded: set[Scope]) -> Scope | None:
    """The folded scope that this one is, or is in."""
    around = (path[:depth] for depth in range(1, len(path) + 1))
    return next((scope for scope in around if scope in folded), None)


def _roles(nodes: list[Value], parameters: Iterable[Value] | None) -> list[str]:
    """The role of each node, by the rules of `pictures.draw`."""
    marked = set(parameters or ())
    consumed: set[Value] = set()
    for node in nodes:
        consumed.update(node.parents)
        if parameters is None and node.rule is DOT:
            weights, _, bias = grouped(DOT, node.operands)
            marked.update(x for x in (*weights, bias) if isinstance(x, Value) and x.is_leaf)
    roles: dict[Value, str] = {}
    for node in nodes:
        parents = node.parents
        if node in marked:
            roles[node] = "parameter"
        elif node.is_leaf:
            roles[node] = "input"
        elif node not in consumed:
            roles[node] = "result"
        elif node.rule is DOT and not marked.isdisjoint(parents):
            roles[node] = "pre-activation"
        elif (
            len(parents) == 1
            and roles[parents[0]] == "pre-activation"
            and not is_arithmetic(node.rule)
        ):
            roles[node] = "activation"
        else:
            roles[node] = "operation"
    return list(roles.values())


def _homes(nodes: list[Value], roles: list[str]) -> list[Scope]:
    """The scope that each node is drawn in: its own, or a parameter's that all its users share."""
    own = {node: tuple(node.scope.split("/", DEEPEST - 1)) if node.scope else () for node in nodes}
    shared: dict[Value, Scope] = {}
    for node in nodes:
        for parent in node.parents:
            shared[parent] = _common(shared.get(parent, own[node]), own[node])
    return [
        own[node] or (shared.get(node, ()) if role == "parameter" else ())
        for node, role in zip(nodes, roles, strict=True)
    ]


def _common(a: Scope, b: Scope) -> Scope:
    """The innermost scope around both."""
    depth = 0
    while depth < min(len(a), len(b)) and a[depth] == b[depth]:
        depth += 1
    return a[:depth]
