"""Pictures: what they show is read back from the SVG or the DOT source and held to the graph."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree as ET
from pathlib import Path

import graphviz
import pygraphviz
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autograd_bp import Value, custom, dot, scope, sigmoid, topological_order
from autograd_bp import leaky_relu as _leaky_relu
from autograd_bp.ops import TABLE
from autograd_bp.pictures.draw import LIMIT, _without_font_warnings, draw, notebook_svg
from autograd_bp.value import apply
from nn import MLP, mse

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


class Read:
    """An SVG read back: the text, the class and the place of each part with an id."""

    def __init__(self, picture):
        svg = ET.fromstring(picture.pipe(format="svg"))  # raises unless it is XML
        self.text = {}
        self.role = {}
        self.element = {}
        for g in svg.iter(f"{SVG}g"):
            name = g.get("id")
            assert name not in self.element, f"two parts have the id {name}"
            lines = ["".join(text.itertext()) for text in g.iter(f"{SVG}text")]
            self.element[name] = g
            self.text[name] = flat("".join(lines))
            self.role[name] = g.get("class").split()[-1]

    def ids(self, letter):
        return {name for name in self.element if re.fullmatch(rf"{letter}\d+(_\d+)?", name)}

    def bounds(self, name):
        """Least and greatest x and y of the outline of a box or frame."""
        shape = next(
            e for e in self.element[name].iter() if e.tag in (SVG + "path", SVG + "polygon")
        )
        numbers = [
            float(n) for n in re.findall(r"-?\d+\.?\d*", shape.get("points") or shape.get("d"))
        ]
        return min(numbers[::2]), max(numbers[::2]), min(numbers[1::2]), max(numbers[1::2])

    def contains(self, outer, inner):
        x0, x1, y0, y1 = self.bounds(outer)
        u0, u1, v0, v1 = self.bounds(inner)
        return x0 <= u0 and u1 <= x1 and y0 <= v0 and v1 <= y1


def flat(text):
    """Text without regard to white space, of which Graphviz makes no-break spaces."""
    return "".join(text.split())


def shown(x):
    """A number as pictures have it."""
    return flat(f"{0.0 if x == 0 else x:.4g}".replace("-", "−"))


def names_of(root):
    return {node: f"n{i}" for i, node in enumerate(topological_order(root))}


def neuron():
    x = [Value(1.0, "x1"), Value(-2.0, "x2")]
    w = [Value(0.7, "w1"), Value(0.3, "w2")]
    b = Value(0.1, "b")
    z = dot(w, x, b)
    z.label = "z"
    a = sigmoid(z)
    a.label = "a"
    error = a - 1.0
    C = error**2
    C.label = "C"
    C.backward()
    return {"x": x, "w": w, "b": b, "z": z, "a": a, "error": error, "C": C}


def network():
    mlp = MLP(2, [3, 1], seed=0)
    record = mlp.forward([Value(0.5, "x1"), Value(-1.0, "x2")])
    C = mse(record.output, 1.0)
    C.backward()
    return C, record


# --- what boxes and edges show -------------------------------------------------------------------


@st.composite
def graphs(draw_):
    """A graph with shared nodes, after a backward pass."""
    data = st.floats(-3.0, 3.0)
    labels = st.sampled_from(["", "", "p", "q[0]", "a long label", "θ"])
    nodes = [Value(draw_(data), draw_(labels)) for _ in range(draw_(st.integers(1, 3)))]
    for _ in range(draw_(st.integers(1, 8))):
        pick = st.sampled_from(nodes)
        kind = draw_(st.sampled_from(["+", "*", "-", "tanh", "scale", "dot"]))
        if kind == "tanh":
            node = draw_(pick).tanh()
        elif kind == "scale":
            node = draw_(pick) * draw_(data)
        elif kind == "dot":
            node = dot([draw_(pick), draw_(data)], [draw_(pick), draw_(pick)], draw_(pick))
        else:
            node = apply(kind, draw_(pick), draw_(pick))
        node.label = draw_(labels)
        nodes.append(node)
    nodes[-1].backward()
    return nodes[-1]


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_every_node_and_edge_of_any_graph_is_shown_with_its_numbers(root):
    svg = Read(draw(root))
    nodes = topological_order(root)
    name = names_of(root)
    assert svg.ids("n") == set(name.values())
    for node in nodes:
        text = svg.text[name[node]]
        assert text.startswith(flat(node.label))
        symbol = "δ" if svg.role[name[node]] == "pre-activation" else "grad"
        assert text.endswith(f"data{shown(node.data)}{symbol}{shown(node.grad)}")
        if node.is_leaf:  # no empty label, no operation
            assert text == f"{flat(node.label)}data{shown(node.data)}grad{shown(node.grad)}"
    edges = {
        f"{name[node].replace('n', 'e')}_{k}": (parent, node, d)
        for node in nodes
        for k, (parent, d) in enumerate(zip(node.parents, node.local_grads, strict=True))
    }
    assert svg.ids("e") == set(edges)
    for edge, (parent, node, d) in edges.items():
        assert svg.text[edge] == shown(d)
        title = svg.element[edge].find(f"{SVG}title").text
        assert title == f"{name[parent]}->{name[node]}"


def test_an_operand_used_twice_has_two_edges():
    x = Value(3.0, "x")
    svg = Read(draw(x * x))
    assert svg.ids("e") == {"e1_0", "e1_1"}
    assert svg.text["e1_0"] == svg.text["e1_1"] == "3"


X = Value(0.5, "x")


@pytest.mark.parametrize(
    ("node", "formula"),
    [
        (X * 2.0, "x·2"),
        (-2.0 * X, "−2·x"),
        (X * -2.0, "x·(−2)"),
        (3.0 - X, "3−x"),
        (10.0 / X, "10/x"),
        (X**2, "x²"),
        (X**-12, "x⁻¹²"),
        (X**0.5, "x0.5"),  # the 0.5 is raised
        (2.0**X, "2x"),
        (-X, "−x"),
        (abs(X), "|x|"),
        (X.exp(), "ex"),
        (X.softplus(), "ln(1+ex)"),
        (X.sin(), "sinx"),
        (X.clip(0.25, 1.0), "clip(x,0.25,1)"),
        (X.maximum(-1.0), "max(x,−1)"),
        (_leaky_relu(X), "max(x,0.01·x)"),
        (Value(2.0) * X, "…·x"),
        ((Value(1.0, "p + q") * X).tanh(), "tanh((p+q)·x)"),
        (X * 2.0 + X**2, "x·2+x²"),
        (3.0 - (X + 1.0), "3−(x+1)"),
        (3.0 - (-X), "3−(−x)"),
        (3.0 - X.expm1(), "3−(ex−1)"),
        (dot([X], [2.0], Value(1.0)) - X, "(w·x+b)−x"),
        (X - dot([X], [2.0]), "x−w·x"),
        (X**math.inf, "x∞"),
        (Value(1.0, "w[1,2]") * Value(1.0, "p#1"), "w[1,2]·p#1"),
        ((X + 1.0) * X.exp(), "(x+1)·(ex)"),
        ((X + 1.0) ** 2, "(x+1)²"),
        (X.exp().exp().exp().exp(), "eee…"),
        ((X + 12345.0) / ((X + 23456.0) * (X + 34567.0)), "(x+1.234e+04)/(…·…)"),
        (Value(1.0, "p + q") * X, "(p+q)·x"),
        (Value(1.0, "p + q").sigmoid(), "σ(p+q)"),
        (Value(1.0, "p + q").hypot(3.0), "√((p+q)²+3²)"),
        (Value(1.0, "p\nq") + X, "(pq)+x"),
        (dot([X], [2.0], Value(1.0)), "w·x+b"),
        (dot([X], [2.0]), "w·x"),
        (dot([X], [2.0], -0.5), "w·x+(−0.5)"),
        (custom(lambda x: x, lambda x: 1.0, name="f<b>&")(X), "f<b>&(…)"),
    ],
)
def test_operations_are_written_with_their_operands(node, formula):
    svg = Read(draw(node))
    text = svg.text[names_of(node)[node]]
    assert text.removesuffix(f"data{shown(node.data)}grad0") == formula


def test_every_operation_of_the_table_can_be_drawn():
    for op in TABLE[1:]:
        if op.is_nary:
            continue
        operands = [Value(0.5, f"P{i}") for i in range(len(op.operands))]
        if op.name == "polygamma":
            operands[0] = 1.0
        node = apply(op.name, *operands)
        text = Read(draw(node)).text[f"n{len(node.parents)}"]
        # Every operand's name in the notation (a word of its own) was replaced.
        formula = text.removesuffix(f"data{shown(node.data)}grad0")
        assert formula != flat(op.notation)
        assert "P" in formula, op.name


def test_numbers_are_short_and_zero_has_no_sign():
    x = Value(-1.23456789e-7, "x")
    x.grad = -0.0
    assert Read(draw(x)).text["n0"] == "xdata−1.235e−07grad0"
    y = Value(float("inf"), "y")
    y.grad = float("nan")
    assert Read(draw(y)).text["n0"] == "ydata∞gradnan"


def test_a_gradient_that_is_a_graph_shows_its_number():
    x = Value(3.0, "x")
    (x * x).backward(create_graph=True)
    assert Read(draw(x)).text["n0"] == "xdata3grad6"
    x.grad = 0.0  # a leaf and its gradient's graph hold each other


# --- roles ---------------------------------------------------------------------------------------


def test_roles_of_a_neuron():
    parts = neuron()
    name = names_of(parts["C"])
    svg = Read(draw(parts["C"]))
    expected = {
        "parameter": [*parts["w"], parts["b"]],
        "input": parts["x"],
        "pre-activation": [parts["z"]],
        "activation": [parts["a"]],
        "operation": [parts["error"]],
        "result": [parts["C"]],
    }
    for role, nodes in expected.items():
        for node in nodes:
            assert svg.role[name[node]] == role, node
    fills = [fill_of(svg, name[nodes[0]]) for nodes in expected.values()]
    assert len(set(fills)) == len(fills), "each role has a colour of its own"
    assert "δ−0.2228" in svg.text[name[parts["z"]]]


def fill_of(svg, name):
    return next(
        e.get("fill") for e in svg.element[name].iter() if e.get("fill") not in (None, "none")
    )


def test_a_dot_of_numbers_is_no_pre_activation():
    x = [Value(1.0), Value(2.0)]
    loss = -dot([0.5, 0.5], x)  # as in a cross-entropy
    svg = Read(draw(loss))
    assert [svg.role[n] for n in ("n0", "n1", "n2", "n3")] == [
        "input", "input", "operation", "result"
    ]  # fmt: skip


def test_what_is_done_to_a_pre_activation_is_not_always_an_activation():
    w, x = Value(2.0), Value(3.0)
    z = dot([w], [x], 0.5)
    for node, role in [
        (z.tanh(), "activation"),
        (z.leaky_relu(), "activation"),
        (-z, "operation"),
        (z * 2.0, "operation"),
        (z.maximum(x), "operation"),
    ]:
        root = node + 1.0
        assert Read(draw(root)).role[names_of(root)[node]] == role


def test_parameters_that_are_named():
    w, x = Value(2.0, "w"), Value(3.0, "x")
    root = w * x + 1.0
    assert Read(draw(root)).role["n0"] == "input"
    roles = Read(draw(root, parameters=[w])).role
    assert sorted(roles[n] for n in ("n0", "n1")) == ["input", "parameter"]
    parts = neuron()
    roles = Read(draw(parts["C"], parameters=[])).role
    assert "parameter" not in roles.values()
    assert "pre-activation" not in roles.values()


def test_the_legend_names_the_roles_that_are_shown():
    C, _ = network()
    legend = Read(draw(C)).text["graph0"]
    for role in ("input", "parameter", "pre-activation", "activation", "operation", "result"):
        assert role in legend
    assert "parameter" not in Read(draw(C, fold=True)).text["graph0"]
    assert "input" not in Read(draw(C, legend=False)).text["graph0"]


def test_several_roots():
    x = Value(1.0, "x")
    y, z = x * 2.0, x * 3.0
    svg = Read(draw([y, z]))
    assert svg.ids("n") == {"n0", "n1", "n2"}
    assert [svg.role[n] for n in ("n0", "n1", "n2")] == ["input", "result", "result"]
    assert draw(iter([y, z])).source == draw([y, z]).source


# --- scopes --------------------------------------------------------------------------------------


def test_layers_are_framed_with_their_parameters_and_without_the_inputs():
    C, record = network()
    svg = Read(draw(C))
    name = names_of(C)
    assert svg.ids("s") == {"s0", "s1"}
    frames = {svg.text[s]: s for s in ("s0", "s1")}
    for number, layer in enumerate(record.layers, 1):
        frame = frames[f"layer{number}"]
        parameters = {p for z in layer.z for p in z.parents if p.label.startswith(("w", "b"))}
        inside = {name[node] for node in [*layer.z, *layer.a, *parameters]}
        assert {n for n in svg.ids("n") if svg.contains(frame, n)} == inside


@pytest.mark.parametrize(("direction", "axis"), [("LR", 2), ("RL", 2), ("TB", 0), ("BT", 0)])
def test_neurons_and_their_parameters_stand_in_order(direction, axis):
    C, record = network()
    svg = Read(draw(C, direction=direction))
    name = names_of(C)

    def in_order(nodes):
        places = [svg.bounds(name[node])[axis] for node in nodes]
        return places == sorted(places)

    for layer in record.layers:
        assert in_order(layer.z)
        assert in_order(layer.a)
        for z, a in zip(layer.z, layer.a, strict=True):
            assert in_order([p for p in z.parents if p.label.startswith(("w", "b"))])
            centres = [sum(svg.bounds(name[node])[axis : axis + 2]) / 2 for node in (z, a)]
            assert abs(centres[0] - centres[1]) < 1, "z and a stand in one line"

    parts = neuron()  # without a frame
    svg, name = Read(draw(parts["C"], direction=direction)), names_of(parts["C"])
    assert in_order([*parts["w"], *parts["x"], parts["b"]])


def test_the_name_of_a_scope_stands_at_its_top():
    C, _ = network()
    svg = Read(draw(C))
    for frame in ("s0", "s1"):
        _, _, top, bottom = svg.bounds(frame)
        y = float(next(svg.element[frame].iter(f"{SVG}text")).get("y"))
        assert top < y < top + 30 < bottom


def test_scopes_nest():
    w = Value(2.0, "w")  # used in both layers, so outside both but inside the whole
    x = Value(1.0, "x")
    with scope("mlp"):
        with scope("layer 1"):
            z1 = dot([w], [x])
        with scope("layer 2"):
            z2 = dot([w], [z1])
    root = z2 + 1.0
    svg = Read(draw(root))
    name = names_of(root)
    frame = {svg.text[s]: s for s in svg.ids("s")}
    assert set(frame) == {"mlp", "layer1", "layer2"}
    assert svg.contains(frame["mlp"], frame["layer1"])
    assert svg.contains(frame["mlp"], frame["layer2"])
    for node, around in [
        (w, {"mlp"}),
        (x, set()),
        (z1, {"mlp", "layer1"}),
        (z2, {"mlp", "layer2"}),
        (root, set()),
    ]:
        assert {title for title, s in frame.items() if svg.contains(s, name[node])} == around


def test_folding_all_or_one_layer():
    C, record = network()
    name = names_of(C)
    opened, closed, half = (Read(draw(C, fold=f)) for f in (False, True, ["layer 1"]))
    assert closed.ids("s") == half.ids("s") == opened.ids("s")
    # 2·3 weights, 3 biases, 3 z, 3 a; every input goes to every neuron.
    assert closed.text["s0"] == "layer115nodes,6edgesin,3out"
    assert closed.text["s1"] == "layer26nodes,3edgesin,1out"
    assert half.text["s0"] == closed.text["s0"]
    assert half.text["s1"] == "layer2"

    within_1 = {name[n] for n in topological_order(record.layers[0].a)} - {
        name[n] for n in record.x
    }
    assert half.ids("n") == opened.ids("n") - within_1
    assert closed.ids("n") < half.ids("n")
    for n in closed.ids("n"):  # the same id is the same node
        assert closed.text[n] == half.text[n] == opened.text[n]
    assert closed.ids("e") < half.ids("e") < opened.ids("e")
    assert sorted(closed.text[e] for e in closed.ids("e")) == sorted(
        ["3edges", "3edges", "3edges", "1", shown(C.local_grads[0])]
    )


def test_folded_boxes_in_the_source():
    C, _ = network()
    graph = pygraphviz.AGraph(string=draw(C, fold=True).source)
    ends = sorted((tail, head) for tail, head in graph.edges())
    x1, x2, error, root = (n for n in graph.nodes() if n.startswith("n"))
    assert ends == sorted([(x1, "s0"), (x2, "s0"), ("s0", "s1"), ("s1", error), (error, root)])


def test_fold_by_path_and_by_one_name():
    x = Value(1.0, "x")
    with scope("mlp"), scope("layer 1"):
        y = x * 2.0
    with scope("mlp"):
        y = y * 3.0
    root = y + 1.0
    assert Read(draw(root, fold="mlp/layer 1")).ids("n") == {"n0", "n2", "n3"}
    assert Read(draw(root, fold="mlp")).ids("n") == {"n0", "n3"}
    assert draw(root, fold=["mlp", "mlp/layer 1"]).source == draw(root, fold="mlp").source
    assert draw(root, fold=True).source == draw(root, fold="mlp").source
    with pytest.raises(ValueError, match=r"'layer 1'.*'mlp', 'mlp/layer 1'"):
        draw(root, fold="layer 1")
    with pytest.raises(ValueError, match="scopes are: none"):
        draw(x, fold=["layer 1"])
    with pytest.raises(TypeError, match="fold must be True"):
        draw(root, fold=3)


# --- limits --------------------------------------------------------------------------------------


def test_the_limit_is_on_boxes():
    C, _ = network()
    n = len(topological_order(C))
    draw(C, limit=n)
    with pytest.raises(ValueError, match=rf"limit is {n - 1}.*fold=True.*limit={10 * (n - 1)}"):
        draw(C, limit=n - 1)
    draw(C, fold=True, limit=6)
    with pytest.raises(ValueError, match="would have 6 boxes, the limit is 5"):
        draw(C, fold=True, limit=5)


def test_a_long_chain_is_refused_and_can_be_folded():
    x = Value(1.0)
    y = x
    for _ in range(1_000_000):
        y = y + 1.0
    with pytest.raises(ValueError, match=f"more than {LIMIT} boxes"):
        draw(y)
    assert notebook_svg(y) is None
    y = x
    with scope("chain"):
        for _ in range(20_000):
            y = y + 1.0
    assert "20000nodes,1edgein,1out" in Read(draw(y * 2.0, fold=True)).text["s0"]


def test_scopes_too_deep_for_frames_are_drawn_as_one():
    y = Value(1.0, "x") * 2.0
    y.scope = "/".join(["deep"] * 100_000)
    assert Read(draw(y)).contains("s0", "n1")


# --- what comes from outside ---------------------------------------------------------------------

PRINTABLE = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cn", "Zl", "Zp")), min_size=1, max_size=60
).filter(lambda text: text.strip())
HOSTILE = [
    "</TD></TR></TABLE>> ]; evil [label=<",
    '"; n0 -> n1; "',
    "\\N \\G \\E \\T \\H \\L \\n \\l \\r \\",
    "&amp; &lt; &#65; &nbsp; & <!-- -->",
    "<script>alert(1)</script>",
    '{a|b} <port> [x] charset="latin1"',
    "]]> <![CDATA[",
    "漢字 ∂C/∂w e\u0301 \U0001f600 \u202etxt",
    "'\"`$(rm)%s%n{}",
]


def hostile(test):
    for text in HOSTILE:
        test = example(text)(test)
    return settings(max_examples=60, deadline=None)(test)


@hostile
@given(PRINTABLE)
def test_labels_are_shown_literally(label):
    y = Value(1.0, label) * Value(2.0)
    y.label = label
    svg = Read(draw(y))
    leaf = next(n for n in ("n0", "n1") if svg.text[n] != "data2grad0")
    assert svg.text[leaf] == f"{flat(label)}data1grad0"
    assert svg.text["n2"].startswith(f"{flat(label)}=")
    assert svg.ids("n") == {"n0", "n1", "n2"}
    assert svg.ids("e") == {"e2_0", "e2_1"}


@hostile
@given(PRINTABLE)
def test_names_of_scopes_are_shown_literally(name):
    name = name.replace("/", "-")
    x = Value(1.0)
    with scope(name):
        y = x * 2.0
    y = y + 1.0
    assert Read(draw(y)).text["s0"] == flat(name)
    assert Read(draw(y, fold=name)).text["s0"] == f"{flat(name)}1node,1edgein,1out"


@hostile
@given(PRINTABLE)
def test_labels_within_formulas_and_names_of_operations(text):
    f = custom(lambda x: x, lambda x: 1.0, name=text)
    y = f(Value(1.0, text[:20])).tanh()
    svg = Read(draw(y))
    assert flat(text)[:50] in svg.text["n1"]
    z = Value(1.0, text[:20]).sigmoid()
    assert Read(draw(z)).text["n1"].startswith(f"σ({flat(text[:20])})")


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=80))
@example("\x00\x01\x1b\x7f\x85\ud800\udfff\ufffe\uffff\u2028")
@example(" ")
@example("\n\n")
@example("<" * 80)
def test_any_string_at_all_can_be_drawn(text):
    y = Value(1.0, text) * 2.0
    y.label = text
    y.scope = text
    svg = Read(draw(y))  # parses
    assert svg.ids("n") == {"n0", "n1"}
    assert all(unicodedata.category(c) != "Cs" for c in svg.text["n0"])


def test_control_characters_and_long_labels():
    assert Read(draw(Value(1.0, "a\x00b\ud800c\x7f\td"))).text["n0"].startswith("a␀b\ufffdc␡d")
    assert Read(draw(Value(1.0, "L" * 1_000_000))).text["n0"].startswith("L" * 59 + "…data")
    assert len(draw(Value(1.0, "L" * 1_000_000)).source) < 5000


def test_a_line_break_in_a_label_is_one_in_the_picture():
    svg = Read(draw(Value(1.0, "first\nsecond")))
    lines = [text.text for text in svg.element["n0"].iter(f"{SVG}text")]
    assert lines[:2] == ["first", "second"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("x",), TypeError, "root must be Values, got 'x'"),
        ((3.0,), TypeError, "root must be Values, got 3.0 of type float"),
        ((None,), TypeError, "root must be Values, got None"),
        (([X, 1.0],), TypeError, "root must be Values, got 1.0"),
        (([],), ValueError, "root is empty"),
    ],
)
def test_what_is_no_root(arguments, error, message):
    with pytest.raises(error, match=message):
        draw(*arguments)


def test_what_is_no_direction_and_no_parameter():
    with pytest.raises(ValueError, match=r"direction must be one of LR, TB.*got 'up'"):
        draw(X, direction="up")
    with pytest.raises(TypeError, match="parameters must be Values, got <bound method"):
        draw(X, parameters=MLP(1, [1]).parameters)


def test_directions():
    y = X * 2.0

    def leads(direction):
        svg = Read(draw(y, direction=direction))
        (x0, _, y0, _), (x1, _, y1, _) = svg.bounds("n0"), svg.bounds("n1")
        return x1 - x0, y1 - y0

    assert leads("LR")[0] > 20 > abs(leads("LR")[1])
    assert leads("RL")[0] < -20
    assert leads("TB")[1] > 20 > abs(leads("TB")[0])
    assert leads("BT")[1] < -20


def test_the_same_graph_gives_the_same_picture():
    first, second = network()[0], network()[0]
    assert draw(first).source == draw(second).source
    assert draw(first).pipe() == draw(second).pipe()


# --- rendering -----------------------------------------------------------------------------------


def test_it_is_a_digraph_and_notebooks_show_it():
    picture = draw(neuron()["C"])
    assert isinstance(picture, graphviz.Digraph)
    bundle = picture._repr_mimebundle_()
    assert list(bundle) == ["image/svg+xml"]
    assert "</svg>" in bundle["image/svg+xml"]
    assert picture._repr_mimebundle_(include=["image/png"])["image/png"][:4] == b"\x89PNG"
    assert neuron()["C"]._repr_svg_() == bundle["image/svg+xml"]
    assert picture.pipe(format="pdf")[:4] == b"%PDF"
    with pytest.raises(ValueError, match="format"):
        picture.pipe(format="nonsense")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_files(tmp_path):
    picture = draw(X * 2.0)
    path = picture.render(outfile=tmp_path / "new" / "graph.svg", cleanup=True)
    assert path == str(tmp_path / "new" / "graph.svg")
    assert Path(path).read_bytes() == picture.pipe(format="svg")
    assert names_in(tmp_path / "new") == ["graph.svg"]

    path = picture.render("graph", directory=tmp_path, format="png")
    assert path == str(tmp_path / "graph.png")
    assert Path(path).read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "graph").read_text(encoding="utf-8") == picture.source
    assert picture.render(tmp_path / "plain", cleanup=True) == str(tmp_path / "plain.svg")
    assert names_in(tmp_path) == ["graph", "graph.png", "new", "plain.svg"]

    path = picture.render(tmp_path / "new" / "named.png", cleanup=True)  # not named.png.svg
    assert path == str(tmp_path / "new" / "named.png")
    assert Path(path).read_bytes()[:4] == b"\x89PNG"
    assert names_in(tmp_path / "new") == ["graph.svg", "named.png"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "graph.svg"
    target.write_text("the old one")

    def full(self, other):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space"):
            draw(X).render(outfile=target)
    with pytest.raises(ValueError, match="format"):
        draw(X).render(outfile=target, format="nonsense")
    assert target.read_text() == "the old one"
    assert names_in(tmp_path) == ["graph.svg"]
    draw(X).render(outfile=target, cleanup=True)
    assert "</svg>" in target.read_text(encoding="utf-8")


@pytest.fixture
def no_dot(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("no_dot")
def test_without_graphviz_installed_pygraphviz_draws():
    with pytest.raises(graphviz.ExecutableNotFound):
        graphviz.Digraph().pipe(format="svg")
    assert Read(draw(X)).ids("n") == {"n0"}


def test_only_fontconfig_is_held_back_from_the_terminal(capfd):
    with _without_font_warnings():
        os.write(2, b"Fontconfig warning: unknown element\nanother\nFontconfig error: none\n")
    assert capfd.readouterr().err == "another\n"


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize("package", ["pygraphviz", "graphviz"])
def test_with_neither_the_error_says_what_to_install(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"package {package}.*autograd-bp\[draw\]"):
        draw(X).pipe(format="svg")
    assert notebook_svg(X) is None
    assert X._repr_svg_() is None


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for dot is a script")
def test_dot_is_used_where_it_is_on_the_path(tmp_path, monkeypatch):
    program = tmp_path / "dot"
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "sys.stdout.buffer.write(repr(sys.argv[1:]).encode() + sys.stdin.buffer.read())\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    picture = draw(X)
    drawn = picture.pipe(format="svg", encoding="utf-8")
    assert drawn == "['-Kdot', '-Tsvg']" + picture.source
    path = Path(picture.render(outfile=tmp_path / "x.png", cleanup=True))
    assert path.read_text(encoding="utf-8").startswith("['-Kdot', '-Tpng']")


def test_importing_is_cheap_until_something_is_drawn():
    code = (
        "import sys, autograd_bp.pictures.draw\n"
        "print({'graphviz', 'pygraphviz', 'numpy'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "set()"


def test_draw_explain_and_steps_are_functions_found_when_they_are_asked_for():
    code = (
        "import sys, autograd_bp\n"
        "assert {'draw', 'explain', 'steps'} <= set(dir(autograd_bp))\n"
        "assert not any('pictures' in name for name in sys.modules)\n"
        "import autograd_bp.pictures.draw, autograd_bp.pictures.steps\n"
        "from autograd_bp import draw, explain, steps\n"
        "assert all(map(callable, (draw, explain, steps)))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_example(tmp_path):
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "neuron_graph.py", "--out", tmp_path],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        check=True,
    )
    engine, by_hand, place = run.stdout.decode("utf-8").splitlines()
    assert engine.split()[-1] == by_hand.split()[-1]
    assert str(tmp_path / "neuron.svg") in place
    svg = ET.fromstring((tmp_path / "neuron.svg").read_bytes())
    delta = float(engine.split()[-1])
    texts = flat("".join(t.text for t in svg.iter(f"{SVG}text")))
    assert f"δ{shown(delta)}" in texts
