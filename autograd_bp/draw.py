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
from typing import TYPE_CHECKING, Any, TypeAlias

from autograd_bp.files import write_whole
from autograd_bp.graph import topological_order
from autograd_bp.ops import CODES, TABLE, Op, grouped
from autograd_bp.value import Value

if TYPE_CHECKING:
    import graphviz

__all__ = ["draw", "notebook_svg"]

PICTURES = (".svg", ".png", ".pdf")  # what files of pictures end in
DIRECTIONS = ("LR", "TB", "RL", "BT")
LIMIT = 300  # boxes; more take seconds to lay out, and no one can read them
LONGEST = 60  # characters of a label that are shown
LONGEST_IN_FORMULA = 20
LONGEST_FORMULA = 24  # with the formulas of its operands put in
DEEPEST = 16  # levels of scopes that are told apart: Graphviz treats frames by recursion

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
UNLABELLED = "…"  # an operand without a label, in a formula
EDGE = "#808080"  # seen on white and on black
FONT = "Helvetica,Arial,sans-serif"

DOT = TABLE[CODES["dot"]]
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SUPERSCRIPTS = {"ᵇ": "b", "ˣ": "x", "⁽ⁿ⁾": "(n)"}  # of operands, in notations

# Control characters are shown as pictures of themselves, but for those that are white space.
CONTROLS = {code: chr(0x2400 + code) for code in range(32)}
CONTROLS |= {9: " ", 10: "\n", 13: "\r", 127: "\N{SYMBOL FOR DELETE}"}
NOT_IN_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")

Scope: TypeAlias = tuple[str, ...]
# By tail, head and, of an edge that is drawn alone, its id: ids and local derivatives.
Lines: TypeAlias = dict[tuple[str, str, str], list[tuple[str, float]]]


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

    plan = _Plan(topological_order(roots), marked, fold)
    n = len(set(plan.boxes))
    if n > limit:
        raise TooManyBoxesError(str(n), limit)
    return plan.picture(direction, legend)


def notebook_svg(root: Value) -> str | None:
    """The picture as Jupyter asks for it, or None: too many boxes, or nothing to draw with."""
    try:
        svg: str = draw(root).pipe(format="svg", encoding="utf-8")
    except (TooManyBoxesError, ImportError):
        return None
    return svg


class _Plan:
    """What to draw where: each node's role, the scope that it stands in, and its box."""

    def __init__(
        self,
        nodes: list[Value],
        parameters: list[Value] | None,
        fold: bool | str | Iterable[str],
    ) -> None:
        self.nodes = nodes
        self.roles = _roles(nodes, parameters)
        self.homes = _homes(nodes, self.roles)
        self.scopes: dict[Scope, str] = {}  # each with its id
        self.reading = _reading_order(nodes)
        for home in (self.homes[i] for i in self.reading):
            for depth in range(1, len(home) + 1):
                self.scopes.setdefault(home[:depth], f"s{len(self.scopes)}")
        folded = self._folded(fold)
        self.folds = {path: _outermost(path, folded) for path in [(), *self.scopes]}
        self.boxes = [
            f"n{i}" if fold is None else self.scopes[fold]
            for i, fold in enumerate(self.folds[home] for home in self.homes)
        ]

    def _folded(self, fold: bool | str | Iterable[str]) -> set[Scope]:
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

    def picture(self, direction: str, legend: bool) -> Any:
        """All of it in Graphviz's language."""
        picture = _new_picture(direction)
        lines = self._lines()
        frames: dict[Scope, Any] = {(): picture}
        for path, name in self.scopes.items():
            if self.folds[path] is None:
                frames[path] = _new_frame(path[-1], name)
            elif self.folds[path] == path:
                frames[path[:-1]].node(name, self._folded_box(path[-1], name, lines), id=name)
        shown = [i for i in self.reading if self.folds[self.homes[i]] is None]
        # Sideways, dot stacks the leaves of a frame from the bottom up.
        sideways = direction in ("LR", "RL")
        upwards = [i for i in shown if sideways and self.homes[i] and self.nodes[i].is_leaf]
        for i in dict.fromkeys([*reversed(upwards), *shown]):
            box = _node_box(self.nodes[i], self.roles[i])
            frames[self.homes[i]].node(f"n{i}", box, id=f"n{i}", **{"class": self.roles[i]})
        for path in sorted(frames, key=len, reverse=True):  # the innermost first
            if path:
                frames[path[:-1]].subgraph(frames[path])
        for (tail, head, _), edges in lines.items():
            name, derivative = edges[0]
            text = _number(derivative) if len(edges) == 1 else _count(len(edges), "edge")
            picture.edge(
                tail, head, _pill(text), id=name, weight=self._weight(head),
                minlen=self._length(tail, head),
            )  # fmt: skip
        if legend:
            picture.attr(label=_legend({self.roles[i] for i in shown}), labelloc="b")
        return picture

    def drop_frames(self) -> None:
        """Draw open scopes without their frames, which Graphviz cannot always do."""
        self.homes = [home if self.folds[home] else () for home in self.homes]
        self.scopes = {path: name for path, name in self.scopes.items() if self.folds[path]}

    def leaps(self) -> int:
        """How many ranks the edges between boxes leap over, each node as near to the root as can
        be. Graphviz puts a point of its own on each, and takes time by them.
        """
        rank = dict.fromkeys(self.nodes, 0)
        for node in reversed(self.nodes):
            for parent in node.parents:
                rank[parent] = max(rank[parent], rank[node] + 1)
        box_of = dict(zip(self.nodes, self.boxes, strict=True))
        return sum(
            rank[parent] - rank[node] - 1
            for node in self.nodes
            for parent in set(node.parents)
            if box_of[parent] != box_of[node]
        )

    def _lines(self) -> Lines:
        box_of = dict(zip(self.nodes, self.boxes, strict=True))
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

    def _weight(self, head: str) -> str:
        """How much the layout strives to make the edges into a box short and straight."""
        is_activation = head.startswith("n") and self.roles[int(head[1:])] == "activation"
        return "10" if is_activation else "1"

    def _length(self, tail: str, head: str) -> str:
        """How many ranks apart: a way into a frame leaves room for the frame's own leaves."""
        return "2" if self._frame_of(head) not in ((), self._frame_of(tail)) else "1"

    def _frame_of(self, box: str) -> Scope:
        return self.homes[int(box[1:])] if box.startswith("n") else ()

    def _folded_box(self, title: str, box: str, lines: Lines) -> str:
        into = sum(len(edges) for (_, head, _), edges in lines.items() if head == box)
        out = sum(len(edges) for (tail, _, _), edges in lines.items() if tail == box)
        counts = f"{_count(self.boxes.count(box), 'node')}, {_count(into, 'edge')} in, {out} out"
        return _framed([_bold(title), _faint(counts)], "scope")


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


# --- roles and scopes ----------------------------------------------------------------------------


def _roles(nodes: list[Value], parameters: list[Value] | None) -> list[str]:
    """The role of each node by the rules at the top."""
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
        elif len(parents) == 1 and roles[parents[0]] == "pre-activation" and _is_function(node):
            roles[node] = "activation"
        else:
            roles[node] = "operation"
    return list(roles.values())


def _is_function(node: Value) -> bool:
    """Whether the operation is no arithmetic."""
    return node.op.isidentifier() and node.op != "neg"


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


# --- text ----------------------------------------------------------------------------------------


def _node_box(node: Value, role: str) -> str:
    formulas = [_formula(node, depth) for depth in (2, 1, 0)]
    formula = next((text for text in formulas if _length(text) <= LONGEST_FORMULA), formulas[-1])
    title = " = ".join(filter(None, [_bold(node.label), formula]))
    symbol = "<B>δ</B>" if role == "pre-activation" else _faint("grad&#160;")
    grad = node.grad.data if isinstance(node.grad, Value) else node.grad
    numbers = f"{_faint('data&#160;')} {_number(node.data)} &#160; {symbol} {_number(grad)}"
    return _framed([title, numbers] if title else [numbers], role)


def _length(text: str) -> int:
    """How many characters a reader sees."""
    return len(re.sub("<[^>]*>", "", html.unescape(text)))


def _formula(node: Value, depth: int) -> str:
    """The operation with its plain numbers and its operands' labels put in.

    An operand without a label is its own formula, down to so many operations below this one.
    """
    rule = node.rule
    if not isinstance(rule, Op):
        return _text(rule.notation)
    if node.is_leaf:
        return ""
    notation = html.escape(rule.notation)
    operands = dict(zip(rule.operands, grouped(rule, node.operands), strict=True))
    if rule.is_nary:  # only a plain bias is to be put in, and none if there is none
        if operands.get("b") == 0.0:
            notation = notation.removesuffix(" + b")
        operands = {name: x for name, x in operands.items() if isinstance(x, float)}
    power = operands.get("b") if rule.name == "**" else None
    if isinstance(power, float) and power == round(power) and abs(power) < 1000:
        notation = notation.replace("ᵇ", str(round(power)).translate(RAISED))
    for letter, plain in SUPERSCRIPTS.items():
        notation = notation.replace(letter, f'<SUP><FONT POINT-SIZE="9">{plain}</FONT></SUP>')
    if not operands:
        return notation
    names = "|".join(operands)
    return re.sub(
        rf"(?<![A-Za-z])({names})(?![A-Za-z])",
        lambda found: _operand(
            operands[found[0]], notation[: found.start()], notation[found.end() :], depth
        ),
        notation,
    )


def _operand(x: Value | float, before: str, after: str, depth: int) -> str:
    """An operand in a formula, in brackets where it would be misread without."""
    set_off = before.endswith(("(", ", ", "|", ">")) and after.startswith((")", ", ", "|", "<"))
    if isinstance(x, float):
        text = _number(x)
        simple = not x < 0 or not before
    elif x.label:
        label = " ".join(x.label.split())
        text = _text(label, LONGEST_IN_FORMULA) or UNLABELLED
        simple = bool(re.fullmatch(r"\w[\w.,'\[\]]*", label))
    else:
        text = _formula(x, depth - 1) if depth else ""
        if not text:
            return UNLABELLED
        around = before.rstrip()[-1:] + after.lstrip()[:1]
        simple = around in ("+", "−") and x.op not in ("+", "-", "neg")
    return text if simple or set_off else f"({text})"


def _number(x: float) -> str:
    return format(x + 0.0, ".4g").replace("-", "−")  # + 0.0: no −0


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
