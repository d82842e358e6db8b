"""Pictures of graphs: a box for each node, laid out by Graphviz.

A box shows the node's label, its operation, data and grad. An edge leads from an operand to the
result and shows the local derivative ∂result/∂operand, the factor by which `Value.backward`
multiplies the gradient on its way back. Colours tell roles apart:

=============== ================================================================================
input           a leaf
parameter       a leaf that a `dot` takes as a weight or bias, or one of ``parameters``
pre-activation  z: a `dot` of which a parameter is an operand; its grad is shown as δ
activation      a: a function of one pre-activation alone
result          the cost: nothing else in the picture is computed from it
operation       any other node
=============== ================================================================================

Nodes of a `scope` stand in one frame, together with the parameters that only they use.

In SVG each part has an ``id``, the same in every run and whatever is folded: ``n7`` is the node
at position 7 of `topological_order(root)`; ``e7_0`` the edge into it from ``parents[0]``; ``s0``,
``s1``, … are the scopes, open or folded, in the order of the forward pass. Edges between the
same two boxes of which one is folded are drawn as one, with the id of the first. The ``class``
of a node ends in its role.

No program needs to be installed: where Graphviz's ``dot`` is not on PATH, the package
``pygraphviz`` does its work.
"""

from __future__ import annotations

import html
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from autograd_bp.files import write_whole
from autograd_bp.pictures.notation import LONGEST, formula, number
from autograd_bp.pictures.scene import Lines, Scene, Scope
from autograd_bp.value import Value, topological_order

if TYPE_CHECKING:
    import graphviz

__all__ = ["PICTURES", "TooManyBoxesError", "draw", "notebook_svg", "picture"]

PICTURES = (".svg", ".png", ".pdf")  # what files of pictures end in
DIRECTIONS = ("LR", "TB", "RL", "BT")
LIMIT = 300  # boxes; more take seconds to lay out, and no one can read them
LONGEST_FORMULA = 24  # with the formulas of its operands put in

# Fill and line of a box. The lines are Okabe and Ito's colours, which the colour-blind can tell
# apart; the fills are light, so that dark text is legible on a slide of any colour.
COLOURS = {
    "input": ("#e3f2fc", "#0072b2"),
    "parameter": ("#fdf0d5", "#e69f00"),
    "pre-activation": ("#d9f2e9", "#009e73"),
    "activation": ("#f8e6f0", "#cc79a7"),
    "operation": ("#f4f4f4", "#7a7a7a"),
    "result": ("#fde3d3", "#d55e00"),
    "scope": ("#ffffff", "#7a7a7a"),
}
FRAME = {"style": "rounded,filled", "fillcolor": "#fafafa", "color": "#bbbbbb"}
TEXT = "#1a1a1a"
FAINT = "#595959"
EDGE = "#808080"  # seen on white and on black
FONT = "Helvetica,Arial,sans-serif"

# Control characters are shown as pictures of themselves, but for those that are white space.
CONTROLS = {code: chr(0x2400 + code) for code in range(32)}
CONTROLS |= {9: " ", 10: "\n", 13: "\r", 127: "\N{SYMBOL FOR DELETE}"}
NOT_IN_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")


class TooManyBoxesError(ValueError):
    """The picture would have more boxes than its limit."""

    def __init__(self, n: str, limit: int) -> None:
        super().__init__(
            f"the picture would have {n} boxes, the limit is {limit}. Group nodes with "
            'scope("name") and fold the groups: draw(root, fold=True). Or draw a part: '
            f"draw(an_earlier_node). Or raise the limit: draw(root, limit={10 * limit or LIMIT})."
        )


def draw(
    root: Value | Iterable[Value],
    *,
    fold: bool | str | Iterable[str] = (),
    limit: int = LIMIT,
    direction: str = "LR",
    parameters: Iterable[Value] | None = None,
    legend: bool = True,
) -> graphviz.Digraph:
    """The graph that ``root``, a Value or several, was computed from.

    Notebooks show the result; ``.render(outfile="graph.svg")`` writes it (also as png or pdf),
    ``.pipe(format="svg")`` gives the bytes, ``.source`` the text in Graphviz's language.

    ``fold`` names scopes, such as ``"layer 1"`` or ``"mlp/layer 1"``, to be drawn as one box
    each; True folds all of the outermost. ``direction`` is the way of the forward pass: "LR"
    from left to right, "TB" downwards, "RL", "BT". ``parameters`` are the nodes to be shown as
    such, instead of the weights and biases of each `dot`. ``legend`` adds what the colours mean.

    Raises ValueError for a picture of more than ``limit`` boxes, and ImportError where the
    package graphviz is missing.

    >>> from autograd_bp import scope
    >>> x = Value(3.0, "x")
    >>> with scope("square"):
    ...     y = x * x
    >>> "1 node" in draw(y + 1.0, fold="square").source
    True
    """
    _package("graphviz")
    roots = [root] if isinstance(root, Value) else _values(root, "root")
    if not roots:
        raise ValueError("root is empty; give a Value or several")
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}; got {direction!r}")
    marked = None if parameters is None else _values(parameters, "parameters")
    if not fold and _more_than(limit, roots):
        raise TooManyBoxesError(f"more than {limit}", limit)

    scene = Scene(topological_order(roots), marked).folded(fold)
    n = len(set(scene.boxes))
    if n > limit:
        raise TooManyBoxesError(str(n), limit)
    return picture(scene, direction, legend)


def notebook_svg(root: Value) -> str | None:
    """The picture as Jupyter asks for it, or None: too many boxes, or nothing to draw with."""
    try:
        svg: str = draw(root).pipe(format="svg", encoding="utf-8")
    except (TooManyBoxesError, ImportError):
        return None
    return svg


def _values(values: Iterable[Value], name: str) -> list[Value]:
    found = list(values) if isinstance(values, Iterable) else [values]
    for x in found:
        if not isinstance(x, Value):
            raise TypeError(f"{name} must be Values, got {x!r} of type {type(x).__name__}")
    return found


def _more_than(limit: int, roots: list[Value]) -> bool:
    """Whether the graph has more nodes; only so many are visited."""
    found = set(roots)
    waiting = list(found)
    while waiting and len(found) <= limit:
        new = set(waiting.pop().parents) - found
        found |= new
        waiting.extend(new)
    return len(found) > limit


# --- from a scene to Graphviz's language ---------------------------------------------------------


def picture(scene: Scene, direction: str, legend: bool) -> Any:
    """All of a scene in Graphviz's language."""
    whole = _new_picture(direction)
    lines = scene.lines()
    frames: dict[Scope, Any] = {(): whole}
    for path, name in scene.scopes.items():
        if scene.folds[path] is None:
            frames[path] = _new_frame(path[-1], name)
        elif scene.folds[path] == path:
            box = _folded_box(path[-1], scene.boxes.count(name), name, lines)
            frames[path[:-1]].node(name, box, id=name)
    shown = [i for i in scene.reading if scene.folds[scene.homes[i]] is None]
    # Sideways, dot stacks the leaves of a frame from the bottom up.
    sideways = direction in ("LR", "RL")
    upwards = [i for i in shown if sideways and scene.homes[i] and scene.nodes[i].is_leaf]
    for i in dict.fromkeys([*reversed(upwards), *shown]):
        role = scene.roles[i]
        frames[scene.homes[i]].node(f"n{i}", _node_box(scene, i), id=f"n{i}", **{"class": role})
    for path in sorted(frames, key=len, reverse=True):  # the innermost first
        if path:
            frames[path[:-1]].subgraph(frames[path])
    for (tail, head, _), edges in lines.items():
        name, derivative = edges[0]
        text = number(derivative) if len(edges) == 1 else _count(len(edges), "edge")
        # An activation is near to its z; a way into a frame leaves room for the frame's own leaves.
        weight = "10" if scene.role_of(head) == "activation" else "1"
        ranks = "2" if scene.frame_of(head) not in ((), scene.frame_of(tail)) else "1"
        whole.edge(tail, head, _pill(text), id=name, weight=weight, minlen=ranks)
    if legend:
        whole.attr(label=_legend({scene.roles[i] for i in shown}), labelloc="b")
    return whole


def _node_box(scene: Scene, i: int) -> str:
    node, role = scene.nodes[i], scene.roles[i]
    formulas = [formula(node, scene.labels, depth, _text, _raised) for depth in (2, 1, 0)]
    shown = next((text for text in formulas if _length(text) <= LONGEST_FORMULA), formulas[-1])
    title = " = ".join(filter(None, [_bold(scene.labels[node]), shown]))
    symbol = "<B>δ</B>" if role == "pre-activation" else _faint("grad&#160;")
    grad = number(scene.grads[node])
    numbers = f"{_faint('data&#160;')} {number(node.data)} &#160; {symbol} {grad}"
    return _framed([title, numbers] if title else [numbers], role)


def _folded_box(title: str, n: int, box: str, lines: Lines) -> str:
    into = sum(len(edges) for (_, head, _), edges in lines.items() if head == box)
    out = sum(len(edges) for (tail, _, _), edges in lines.items() if tail == box)
    counts = f"{_count(n, 'node')}, {_count(into, 'edge')} in, {out} out"
    return _framed([_bold(title), _faint(counts)], "scope")


def _length(text: str) -> int:
    """How many characters a reader sees."""
    return len(re.sub("<[^>]*>", "", html.unescape(text)))


def _raised(text: str) -> str:
    return f'<SUP><FONT POINT-SIZE="9">{text}</FONT></SUP>'


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _bold(text: str) -> str:
    return f"<B>{_text(text)}</B>" if _text(text) else ""


def _faint(text: str) -> str:
    return f'<FONT COLOR="{FAINT}" POINT-SIZE="10">{text}</FONT>'


def _text(text: str, longest: int = LONGEST) -> str:
    """Text from outside for a label of Graphviz's HTML-like kind: what it says, and no markup."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    text = NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text.strip().translate(CONTROLS))
    text = html.escape(text.replace("\\", "\\\\"))  # Graphviz expands \N, \G and so on
    return "<BR/>".join(text.splitlines())


def _framed(rows: list[str], role: str) -> str:
    """A box of some rows."""
    fill, line = COLOURS[role]
    width = 2 if role == "result" else 1
    return (
        f'<<TABLE BORDER="{width}" COLOR="{line}" BGCOLOR="{fill}" STYLE="ROUNDED" '
        'CELLBORDER="0" CELLSPACING="0" CELLPADDING="3">'
        f"{''.join(f'<TR>{_cell(row)}</TR>' for row in rows)}</TABLE>>"
    )


def _cell(row: str) -> str:
    """A row of a box, with room to spare: browsers set text wider, and superscripts higher, than
    Graphviz measures them.
    """
    room = ' HEIGHT="26" VALIGN="BOTTOM"' if "<SUP>" in row else ""
    return f"<TD{room}>{row}&#160;</TD>"


def _pill(text: str) -> str:
    """Text beside an edge, on a ground of its own."""
    return (
        '<<TABLE BORDER="0" CELLSPACING="2" CELLPADDING="1"><TR>'
        f'<TD BGCOLOR="white" STYLE="ROUNDED">{text}</TD></TR></TABLE>>'
    )


def _legend(roles: set[str]) -> str:
    cells = [
        f'<TD BORDER="1" COLOR="{line}" BGCOLOR="{fill}">{_faint(role)}</TD>'
        for role, (fill, line) in COLOURS.items()
        if role in roles
    ]
    cells.append(f'<TD BGCOLOR="white">{_faint("on an edge: ∂result/∂operand")}</TD>')
    return f'<<TABLE BORDER="0" CELLSPACING="4" CELLPADDING="3"><TR>{"".join(cells)}</TR></TABLE>>'


# --- Graphviz ------------------------------------------------------------------------------------


def _new_picture(direction: str) -> Any:
    return _picture_class()(
        format="svg",
        graph_attr={
            "rankdir": direction, "bgcolor": "transparent", "fontname": FONT,
            # dot orders the boxes within frames twice; the second time loses their natural order
            "remincross": "false",
        },
        node_attr={"shape": "plain", "fontname": FONT, "fontsize": "12", "fontcolor": TEXT},
        edge_attr={
            "fontname": FONT, "fontsize": "10", "fontcolor": TEXT, "color": EDGE,
            "arrowsize": "0.6",
        },
    )  # fmt: skip


def _new_frame(title: str, name: str) -> Any:
    return _picture_class()(
        name=f"cluster_{name}",
        graph_attr={
            "id": name, "class": "scope", "label": f"<{_bold(title)}>" if _bold(title) else "",
            "labeljust": "l", "labelloc": "t", "fontsize": "12", "fontcolor": FAINT,
            "margin": "12", **FRAME,
        },
    )  # fmt: skip


class _Rendering:
    """What a graphviz.Digraph does with ``dot``, done also without, and files replaced whole."""

    directory: str
    encoding: str
    engine: str
    filename: str
    format: str
    source: str

    def pipe(
        self,
        format: str | None = None,  # noqa: A002 - graphviz's name for it
        renderer: str | None = None,
        formatter: str | None = None,
        neato_no_op: bool | int | None = None,
        quiet: bool = False,
        *,
        engine: str | None = None,
        encoding: str | None = None,
    ) -> Any:
        """The picture as bytes, or with ``encoding`` as str: see `graphviz.Digraph.pipe`."""
        graphviz = _package("graphviz")
        try:
            return graphviz.Digraph.pipe(
                self, format=format, renderer=renderer, formatter=formatter,
                neato_no_op=neato_no_op, quiet=quiet, engine=engine, encoding=encoding,
            )  # fmt: skip
        except graphviz.ExecutableNotFound:
            kind = ":".join(filter(None, [format or self.format, renderer, formatter]))
            picture = _lay_out(self.source, engine or self.engine, kind)
            return picture if encoding is None else picture.decode(encoding)

    def render(
        self,
        filename: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        view: bool = False,
        cleanup: bool = False,
        format: str | None = None,  # noqa: A002 - graphviz's name for it
        *,
        outfile: str | os.PathLike[str] | None = None,
        quiet_view: bool = False,
        **options: Any,
    ) -> str:
        """Write the picture and return where: see `graphviz.Digraph.render`.

        To ``outfile``, or to ``filename`` plus the format's suffix; where ``filename`` ends as a
        picture does (.svg, .png, .pdf), it is taken for ``outfile``. The source goes beside it,
        unless ``cleanup``. Other options are those of `pipe`.
        """
        if outfile is None and Path(filename or "").suffix.lower() in PICTURES:
            outfile = filename
        if outfile is None:
            source = Path(self.directory if directory is None else directory) / (
                self.filename if filename is None else filename
            )
            kind = format or self.format
            target = source.with_name(f"{source.name}.{kind}")
        else:
            target = Path(self.directory if directory is None else "") / outfile
            kind = format or target.suffix[1:].lower() or self.format
            source = target.with_suffix(".gv")
        write_whole(target, self.pipe(format=kind, **options))
        if not cleanup and source != target:
            write_whole(source, self.source.encode(self.encoding))
        if view:
            _package("graphviz").view(str(target), quiet=quiet_view)
        return str(target)


_one_at_a_time = threading.RLock()  # as a library, Graphviz keeps state of its own
if hasattr(os, "register_at_fork"):  # a child begins with neither the lock nor half a picture
    os.register_at_fork(
        before=_one_at_a_time.acquire,
        after_in_parent=_one_at_a_time.release,
        after_in_child=_one_at_a_time.release,
    )


def _lay_out(source: str, engine: str, kind: str) -> bytes:
    """What Graphviz's programs do, done by the copy of it that pygraphviz carries."""
    pygraphviz = _package("pygraphviz")
    with (
        _one_at_a_time,
        _without_font_warnings(),
        closing(pygraphviz.AGraph(string=source)) as graph,
    ):
        picture: bytes = graph.draw(format=kind, prog=engine)
    return picture


@contextmanager
def _without_font_warnings() -> Iterator[None]:
    """Hold back what Fontconfig writes to the terminal: the copy's is older than most systems'
    settings, and names what it does not know in them. All else on standard error comes after.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # there is none
        yield
        return
    with TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            for line in held:
                if not line.startswith(b"Fontconfig "):
                    os.write(2, line)


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"pictures need the package {name}, which cannot be imported ({error}); "
            'run pip install "autograd-bp[draw]"'
        ) from error


@cache
def _picture_class() -> Any:
    """graphviz.Digraph with the methods above; made late, since graphviz need not be there."""
    return type("Picture", (_Rendering, _package("graphviz").Digraph), {})
