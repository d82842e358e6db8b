"""Where Graphviz puts the boxes and edges of a graph, as plain data for the page.

There is a view for each way to fold the outermost scopes:

- ``open``: the scopes that are open; ``size``: width and height, in points, y downwards;
  ``down``: whether arrows lead down, not to the right.
- ``boxes``: id, x, y of the corner, width, height, role, lines of text. A line is its baseline
  and its runs, pairs of a text and how it is set: "", "b" bold, "s" raised, "f" faint.
- ``edges``: ids of tail and head, the path in SVG's language, x and y of its text, the text.
- ``frames``: corner and size of each open scope, and its name.
- ``folded``: for each box that is a scope, its name and the nodes in it.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from autograd_bp.pictures.draw import picture
from autograd_bp.pictures.scene import Scene

__all__ = ["views"]

BACKSLASH = "\U0010ff5c"
"""What must stand for a backslash, since Graphviz loses texts with some when it writes JSON. It is
a character for private use."""

MOST_COMBINED = 4  # scopes, and
SMALL = 300  # nodes, up to which every combination of open and folded scopes is laid out
MOST_ALONE = 12  # scopes, up to which there is a view for each one open alone
TANGLED = 1000  # ranks that edges leap over, from which there are fewer niceties
ROOM = (890, 670)  # the room for a graph in a window of 1280×800, and
READABLE = 0.8  # the scale below which its texts are too small there
ASTRAY = 30.0  # how far from an edge its text may stand


def views(scene: Scene) -> list[dict[str, Any]]:
    """The views of a scene; the one to begin with comes first."""
    scopes = [path[0] for path in scene.scopes if len(path) == 1]
    first, *others = _choices(scopes, len(scene.nodes), scene.leaps() > TANGLED)
    begun = _first_view(scene, scopes, first)
    return [begun, *(_view(scene, scopes, opened, begun["down"]) for opened in others)]


def _choices(scopes: Sequence[str], n: int, tangled: bool) -> Iterable[Sequence[str]]:
    """Which scopes to open in each view."""
    if not scopes:
        return [()]
    if n <= SMALL and len(scopes) <= MOST_COMBINED:
        sizes = range(len(scopes), -1, -1)
        return itertools.chain.from_iterable(itertools.combinations(scopes, k) for k in sizes)
    few = 1 < len(scopes) <= MOST_ALONE and not tangled
    alone = [(scope,) for scope in scopes] if few else []
    all_and_none: list[Sequence[str]] = [scopes, ()] if n <= SMALL else [(), scopes]
    return [*all_and_none, *alone]


def _first_view(scene: Scene, scopes: Sequence[str], opened: Sequence[str]) -> dict[str, Any]:
    """The view to begin with. It leads to the right, as one reads; but down if it is small and
    would have to be shrunk too much otherwise: a box is three times as wide as high.
    """
    across = _view(scene, scopes, opened, down=False)
    if len(scene.nodes) > SMALL or _scale(across) >= READABLE:
        return across
    return max(across, _view(scene, scopes, opened, down=True), key=_scale)


def _scale(view: dict[str, Any]) -> float:
    """By how much a window would have to shrink or could enlarge the view."""
    width, height = view["size"]
    return float(min(ROOM[0] / width, ROOM[1] / height))


def _view(scene: Scene, scopes: Sequence[str], opened: Sequence[str], down: bool) -> dict[str, Any]:
    scene = scene.folded([scope for scope in scopes if scope not in opened])
    is_tangled = scene.leaps() > TANGLED
    if is_tangled:  # with frames, Graphviz loses edges, or ends the whole process
        scene = scene.without_frames()
    graph = _laid_out(scene, down, is_tangled)
    if any("pos" not in edge for edge in graph.get("edges", [])):  # Graphviz lost it
        scene = scene.without_frames()
        graph = _laid_out(scene, down, is_tangled)
    left, bottom, right, top = map(float, graph["bb"].split(","))
    page = _Coordinates(left, top)
    objects = graph.get("objects", [])
    name_of = {thing["_gvid"]: thing["name"] for thing in objects}
    inside: dict[str, list[int]] = {}
    for i, box in enumerate(scene.boxes):
        inside.setdefault(box, []).append(i)
    return {
        "open": list(opened),
        "size": [round(right - left, 1), round(top - bottom, 1)],
        "down": down,
        "boxes": [
            page.box(thing, scene) for thing in objects if not thing["name"].startswith("cluster")
        ],
        "edges": [page.edge(edge, name_of, down) for edge in graph.get("edges", [])],
        "frames": [
            page.frame(thing, path[-1])
            for path, name in scene.scopes.items()
            for thing in objects
            if thing["name"] == f"cluster_{name}"
        ],
        "folded": {
            name: [path[0], inside[name]] for path, name in scene.scopes.items() if name in inside
        },
    }


def _laid_out(scene: Scene, down: bool, is_tangled: bool) -> Any:
    """What Graphviz says of a scene."""
    drawn = picture(scene, "TB" if down else "LR", legend=False)
    if down:
        drawn.attr("graph", ranksep="0.2", nodesep="0.15")
    if len(set(scene.boxes)) > SMALL:
        drawn.attr("graph", nslimit="1", nslimit1="1")  # a little less neat, much faster
    if is_tangled:  # it would take minutes, most of them for fewer crossings
        drawn.attr("graph", nslimit="0.1", nslimit1="0.1", mclimit="0.05", splines="line")
    drawn.body = [line.replace("\\\\", BACKSLASH) for line in drawn.body]  # as Graphviz has one
    text = drawn.pipe(format="json", encoding="utf-8").replace(BACKSLASH, "\\\\")
    return json.loads(text)


class _Coordinates:
    """Graphviz's coordinates, which go upwards, as the page's."""

    def __init__(self, left: float, top: float) -> None:
        self.left = left
        self.top = top

    def point(self, x: float, y: float) -> tuple[float, float]:
        return round(x - self.left, 1), round(self.top - y, 1)

    def box(self, thing: Any, scene: Scene) -> list[Any]:
        name = thing["name"]
        x, y = self.point(*map(float, thing["pos"].split(",")))
        width, height = 72 * float(thing["width"]), 72 * float(thing["height"])
        corner = [round(x - width / 2, 1), round(y - height / 2, 1)]
        return [
            name,
            *corner,
            round(width, 1),
            round(height, 1),
            scene.role_of(name),
            self.lines(thing),
        ]

    def lines(self, thing: Any) -> list[Any]:
        """The text of a box, from Graphviz's drawing instructions."""
        lines: dict[float, list[list[str]]] = {}
        bold = raised = faint = False
        for step in thing.get("_ldraw_", []):
            if step["op"] == "F":
                faint = step["size"] < 12
            elif step["op"] == "t":
                bold, raised = bool(step["fontchar"] & 1), bool(step["fontchar"] & 8)
            elif step["op"] == "T":
                _, y = self.point(*step["pt"])
                style = "s" if raised else "b" if bold else "f" if faint else ""
                lines.setdefault(y, []).append([step["text"], style])
        for runs in lines.values():  # without the room for browsers that set it wider
            runs[-1][0] = runs[-1][0].rstrip("\N{NO-BREAK SPACE}")
        return [[y, runs] for y, runs in lines.items()]

    def frame(self, thing: Any, title: str) -> list[Any]:
        x0, y0, x1, y1 = map(float, thing["bb"].split(","))
        return [*self.point(x0, y1), round(x1 - x0, 1), round(y1 - y0, 1), title]

    def edge(self, edge: Any, name_of: dict[int, str], down: bool) -> list[Any]:
        end, *points = edge["pos"].split()
        start, *curve = (self.point(*map(float, point.split(","))) for point in points)
        path = [
            "M{:g} {:g}".format(*start),
            "C" + " ".join("{:g} {:g}".format(*point) for point in curve),
            "L{:g} {:g}".format(*self.point(*map(float, end.split(",")[1:]))),
        ]
        text = "".join(step["text"] for step in edge["_ldraw_"] if step["op"] == "T")
        at = self.point(*map(float, edge["lp"].split(",")))
        if down:  # where Graphviz may put it far to the right
            nearest = min(_along([start, *curve]), key=lambda point: math.dist(point, at))
            at = at if math.dist(nearest, at) < ASTRAY else nearest
        return [name_of[edge["tail"]], name_of[edge["head"]], "".join(path), *at, text]


def _along(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Points on a curve, which is given as Graphviz gives it: cubic pieces, end to end."""
    for k in range(0, len(points) - 3, 3):
        for t in (0.125 * i for i in range(9)):
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            x, y = (
                round(sum(w * p[axis] for w, p in zip(weights, points[k : k + 4], strict=True)), 1)
                for axis in (0, 1)
            )
            yield x, y
