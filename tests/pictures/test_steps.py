"""The step page without a browser: its data, its text, and the file that it is written to."""

import json
import math
import re
from html import escape
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import Page
from strategies import eager, expressions

from autograd_bp import (
    Value,
    custom,
    dot,
    logsumexp,
    mean,
    relu,
    scope,
    steps,
    sum_of,
    topological_order,
)
from autograd_bp.pictures import notation
from autograd_bp.pictures import steps as page_of_steps
from autograd_bp.rules import carry
from nn import MLP, mse


def built(expression):
    """The leaves and the root of a random expression, of plain numbers alone sometimes none."""
    leaves = [Value(x, f"x{i}") for i, x in enumerate(expression.leaves)]
    return leaves, expression.build(leaves, eager)[-1]


def mlp_cost():
    record = MLP(2, [3, 1], seed=0).forward([Value(0.5, "x[0]"), Value(-1.0, "x[1]")])
    with scope("cost"):
        C = mse(record.output, 1.0)
    C.label = "C"
    return C


# --- data -----------------------------------------------------------------------------------------


def gradients(data):
    """What the page's program does: add up the gradients by the data, in their order."""
    grads = [0.0] * len(data["nodes"])
    grads[data["root"]] = 1.0
    for i in data["backward"]:
        for parent, d in zip(data["nodes"][i]["parents"], data["nodes"][i]["d"], strict=True):
            grads[parent] += carry(grads[i], float(d))
    return grads


def same(a, b):
    return a == b or (math.isnan(a) and math.isnan(b))


@settings(max_examples=60)
@given(expressions(max_steps=8))
def test_gradients_by_the_data_are_the_engines_to_the_last_bit(expression):
    _, root = built(expression)
    data = steps(root).data
    nodes = topological_order(root)
    root.backward()
    for described, grad, node in zip(data["nodes"], gradients(data), nodes, strict=True):
        assert same(float(described["data"]), node.data)
        assert same(grad, node.grad)


def test_a_bias_that_is_a_weight_too_gets_its_terms_in_the_engines_order():
    w, b = Value(0.1, "w"), Value(1e16, "b")
    root = dot([b, w], [0.3, 0.7], b) * 3.0 + b * 1e-3
    data = steps(root).data
    root.backward()
    names = [node["name"] for node in data["nodes"]]
    assert gradients(data)[names.index("b")] == b.grad


@settings(max_examples=30)
@given(expressions(max_steps=8))
def test_every_step_comes_after_what_it_needs(expression):
    data = steps(built(expression)[1]).data
    computed = [i for i, node in enumerate(data["nodes"]) if node["op"]]
    assert sorted(data["forward"]) == sorted(data["backward"]) == computed
    for order, before in ((data["forward"], True), (data["backward"], False)):
        place = {i: k for k, i in enumerate(order)}
        for i in computed:
            for parent in set(data["nodes"][i]["parents"]) & set(computed):
                assert (place[parent] < place[i]) is before


def test_gradients_labels_and_hooks_are_left_alone():
    x, y = Value(3.0), Value(2.0, "y")
    called = []
    x.register_hook(called.append)
    z = x * y
    x.grad, y.grad, z.grad = 7.0, 8.0, 9.0
    steps(z).html()
    assert (x.grad, y.grad, z.grad) == (7.0, 8.0, 9.0)
    assert (x.label, y.label, z.label) == ("", "y", "")
    assert called == []


def test_gradients_that_are_graphs_are_left_alone():
    x = Value(3.0)
    y = x**3
    y.backward(create_graph=True)
    steps(y)
    assert x.grad.op


def test_nodes_are_left_alone_also_while_a_page_is_made(monkeypatch):
    """So that a page of the same nodes may be made meanwhile, by another thread or a hook."""
    x = Value(3.0, "back\\slash")
    z = x * 2.0
    x.grad, z.grad = 7.0, 9.0
    expected = steps(z).html()
    make, meanwhile = page_of_steps.views, []

    def views(scene):
        monkeypatch.setattr(page_of_steps, "views", make)
        meanwhile.append((x.label, x.grad, z.label, z.grad, steps(z).html()))
        return make(scene)

    monkeypatch.setattr(page_of_steps, "views", views)
    assert steps(z).html() == expected
    assert meanwhile == [("back\\slash", 7.0, "", 9.0, expected)]


def test_numbers_that_json_lacks():
    x = Value(math.inf, "x")
    root = x * 0.0 + Value(-math.inf, "y")
    found = [float(node["data"]) for node in Page(steps(root).html()).data["nodes"]]
    assert len(found) == 4
    assert all(map(same, found, (node.data for node in topological_order(root))))


# --- names and formulas ---------------------------------------------------------------------------


def named(root):
    return [node["name"] for node in steps(root).data["nodes"]]


def test_names():
    x, twin, v1 = Value(1.0, "x"), Value(2.0, "x"), Value(3.0, "v1")
    assert named((x + twin) * v1) == ["x#0", "x#1", "v2", "v1", "C"]
    assert named(Value(1.0, "C") * 2.0) == ["C", "v1"]
    assert named(Value(1.0, "two\nlines  of\ttext") * 2.0)[0] == "two lines of text"
    assert len(named(Value(1.0, "x" * 1000) * 2.0)[0]) == 60


@given(st.lists(st.sampled_from(["", "a", "C", "v1", "v2", "a#1"]), min_size=1, max_size=6))
def test_names_tell_nodes_apart(labels):
    leaves = [Value(1.0, label) for label in labels]
    names = named(mean(leaves))
    if labels.count("a") < 2 or "a#1" not in labels:
        assert len(set(names)) == len(names)


X, Y = Value(3.0, "x"), Value(-2.0, "long name")
FORMULAS = [
    (X + Y, "x + (long name)", "3 + (−2)", ["1", "1"]),
    (X - 1, "x − 1", "3 − 1", ["1"]),
    (1 - X, "1 − x", "1 − 3", ["−1"]),
    (X * Y, "x·(long name)", "3·(−2)", ["long name", "x"]),
    (X * -2.0, "x·(−2)", "3·(−2)", ["−2"]),
    (X / Y, "x / (long name)", "3 / (−2)", ["1/(long name)", "−C/(long name)"]),
    (X**2, "x²", "3²", ["2·x"]),
    (X**3, "x³", "3³", ["3·x²"]),
    (Y**2, "(long name)²", "(−2)²", ["2·(long name)"]),
    (X**0.5, "x^0.5", "3^0.5", ["0.5·x^(−0.5)"]),
    (-X, "−x", "−3", ["−1"]),
    (X.sigmoid(), "σ(x)", "σ(3)", ["C·(1 − C)"]),
    (X.tanh(), "tanh(x)", "tanh(3)", ["1 − C·C"]),
    (X.log(), "ln(x)", "ln(3)", ["1/x"]),
    (relu(X), "relu(x)", "relu(3)", ["0 if x ≤ 0 else 1"]),
    (dot([X, Y], [1.0, 0.5]), "x·1 + (long name)·0.5", "3·1 + (−2)·0.5", ["1", "0.5"]),
    (dot([X], [Y], X), "x·(long name) + x", "3·(−2) + 3", ["1", "long name", "x"]),
    (mean([X, Y]), "mean(x, long name)", "mean(3, −2)", ["1/2", "1/2"]),
    (
        logsumexp([X, Y]), "logsumexp(x, long name)", "logsumexp(3, −2)",
        ["exp(x − C)", "exp((long name) − C)"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("root", "formula", "numbers", "rules"), FORMULAS)
def test_formulas(root, formula, numbers, rules):
    data = steps(root).data
    node = data["nodes"][data["root"]]
    assert (node["formula"], node["numbers"], node["rules"]) == (formula, numbers, rules)


@given(expressions(max_steps=4))
def test_every_operation_can_be_written(expression):
    for node in steps(built(expression)[1]).data["nodes"]:
        assert len(node["rules"]) == len(node["parents"]) == len(node["d"])
        assert all(node["rules"])
        assert bool(node["formula"]) is bool(node["op"])


def test_an_operation_of_ones_own_is_written_by_name():
    cube = custom(lambda x: x**3, lambda x: 3 * x**2, name="cube")
    node = steps(cube(Value(2.0, "x"))).data["nodes"][-1]
    assert (node["formula"], node["rules"]) == ("cube(x)", ["∂C/∂x"])


def test_a_long_sum_is_shortened():
    node = steps(mean([Value(1.0, f"x{i}") for i in range(100)])).data["nodes"][-1]
    assert node["formula"] == "mean(x0, x1, x2, x3, x4, …, x99)"


def test_zero_has_no_sign():
    assert notation.number(-0.0) == "0"


# --- views ----------------------------------------------------------------------------------------


def test_small_graphs_are_laid_out_for_every_way_to_fold():
    views = steps(mlp_cost()).data["views"]
    assert len(views) == 8
    assert views[0]["open"] == ["layer 1", "layer 2", "cost"]
    assert {frozenset(view["open"]) for view in views} == {
        frozenset(name for k, name in enumerate(views[0]["open"]) if mask >> k & 1)
        for mask in range(8)
    }


def test_each_view_shows_every_node_once_alone_or_in_a_folded_scope():
    page = steps(mlp_cost())
    for view in page.data["views"]:
        alone = [int(box[0][1:]) for box in view["boxes"] if box[0].startswith("n")]
        folded = [i for _, inside in view["folded"].values() for i in inside]
        assert sorted(alone + folded) == list(range(len(page.data["nodes"])))
        scopes = {name for name, _ in view["folded"].values()}
        assert scopes == {"layer 1", "layer 2", "cost"} - set(view["open"])
        assert {frame[-1] for frame in view["frames"]} == set(view["open"])
        boxes = {box[0] for box in view["boxes"]}
        assert {edge[k] for edge in view["edges"] for k in (0, 1)} <= boxes


def test_what_is_drawn_lies_inside_the_picture_and_frames_around_their_boxes():
    view = steps(mlp_cost()).data["views"][0]
    width, height = view["size"]
    for _, x, y, w, h, _, lines in view["boxes"]:
        assert -1 <= x < x + w <= width + 1
        assert -1 <= y < y + h <= height + 1
        assert all(y < baseline < y + h for baseline, _ in lines)
    x, y, w, h, _ = view["frames"][0]
    box = next(box for box in view["boxes"] if box[-1][0][1][0][0] == "z[1][0]")
    assert x < box[1] < box[1] + box[3] < x + w
    assert y < box[2] < box[2] + box[4] < y + h


def test_what_is_too_wide_leads_down():
    def first_view(sizes):
        return steps(mse(MLP(2, sizes, seed=0).forward([0.5, -1.0]).output, 1.0)).data["views"][0]

    assert not first_view([1])["down"]
    view = first_view([2, 1])
    assert view["down"]
    assert min(890 / view["size"][0], 670 / view["size"][1]) > 0.8
    assert not first_view([9, 9, 1])["down"]  # would be smaller still
    views = steps(mlp_cost()).data["views"]
    assert {view["down"] for view in views} == {True}


def test_texts_of_edges_stand_beside_them():
    for sizes in ([2, 1], [3, 1], [2, 2, 1]):
        C = mse(MLP(2, sizes, seed=0).forward([0.5, -1.0]).output, 1.0)
        for _, _, path, x, y, _ in steps(C).data["views"][0]["edges"]:
            numbers = list(map(float, re.findall(r"-?[\d.]+", path)))
            points = list(zip(numbers[::2], numbers[1::2], strict=True))
            assert min(math.dist((x, y), point) for point in points) < 80


def test_roles():
    page = steps(mlp_cost())
    roles = {
        page.data["nodes"][int(b[0][1:])]["name"]: b[5] for b in page.data["views"][0]["boxes"]
    }
    assert roles["x[0]"] == "input"
    assert roles["w[1][0][0]"] == roles["b[1][0]"] == "parameter"
    assert roles["z[1][0]"] == "pre-activation"
    assert roles["a[1][0]"] == "activation"
    assert roles["C"] == "result"


def test_large_graphs_begin_folded_and_open_one_scope_at_a_time():
    record = MLP(6, [12, 12, 6], seed=0).forward([0.1] * 6)
    C = mse(record.output, [0.0] * 6)
    views = steps(C).data["views"]
    names = ("layer 1", "layer 2", "layer 3")
    assert [tuple(view["open"]) for view in views] == [(), names, *((name,) for name in names)]


def test_many_scopes_are_not_combined():
    x = Value(1.0)
    for k in range(6):
        with scope(f"s{k}"):
            x = x.sin()
    assert len(steps(x).data["views"]) == 8


@pytest.mark.parametrize("n", [120, pytest.param(400, marks=pytest.mark.slow)])
def test_no_edge_is_lost_where_scopes_are_tangled(n):
    random = Random(0)
    x = [Value(0.5, "x"), Value(0.7, "y")]
    for k in range(n):
        with scope(f"part {3 * k // n}"):
            x.append(random.choice(x) + random.choice(x))
    root = sum_of(x)
    view = max(steps(root).data["views"], key=lambda view: len(view["boxes"]))
    nodes = topological_order(root)
    position = {node: i for i, node in enumerate(nodes)}
    expected = {(f"n{position[p]}", f"n{i}") for i, y in enumerate(nodes) for p in y.parents}
    assert {(tail, head) for tail, head, *_ in view["edges"]} == expected


def test_scopes_of_the_same_shape_of_name():
    """Two names that look alike when cut off, or are markup, are two scopes."""
    x = Value(1.0)
    for name in ("n" * 70 + "a", "n" * 70 + "b", "<b>", "two\nlines"):
        with scope(name):
            x = x.sin()
    views = steps(x).data["views"]
    assert len(views) == 16
    assert {name for name, _ in views[-1]["folded"].values()} == set(views[0]["open"])


# --- the page -------------------------------------------------------------------------------------

hostile = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(), max_size=20),
    st.text(alphabet="<>/!-\"'&\\scriptSCRIPT ;\u2028\ud800\x00", max_size=30),
    st.sampled_from(
        [
            "</script><script>alert(1)</script>", "<!--<script>", "]]>", "-->", "&lt;", "\\u003c",
            "<!--DATA-->", "<!--SCRIPT-->", "</title>", "<img src=x onerror=alert(1)>",
        ]
    ),
)  # fmt: skip


@settings(max_examples=60)
@given(hostile, hostile, hostile.filter(str.strip))
def test_labels_titles_and_scopes_are_text(label, title, scope_name):
    x = Value(2.0, label)
    with scope(scope_name):
        y = x * x
    page = steps(y, title=title)
    read = Page(page.html())
    assert read.tags == Page(steps(Value(1.0) * 2.0).html()).tags
    assert read.data == json.loads(json.dumps({"title": page.title, **page.data}))
    shown = page.title.encode("utf-8", "backslashreplace").decode()
    assert read.texts.get("title", "").split() == shown.replace("\0", "\ufffd").split() or (
        "\0" in shown
    )


def test_the_page_asks_for_nothing():
    html = steps(mlp_cost()).html()
    assert "default-src 'none'" in html
    without_names = html.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"(https?:)?//[\w-]+\.\w|@import|\bfetch\(|\bimport\b", without_names)


def test_a_notebook_shows_the_page_in_a_frame():
    page = steps(mlp_cost())
    frame = Page(page._repr_html_())
    assert frame.tags == ["iframe"]
    assert f'srcdoc="{escape(page.html())}"' in page._repr_html_()


# --- the file -------------------------------------------------------------------------------------


def test_write(tmp_path):
    path = steps(mlp_cost(), title="Σ").write(tmp_path / "new" / "page.html")
    assert path == tmp_path / "new" / "page.html"
    assert "<title>Σ</title>" in path.read_text("utf-8")
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("old")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        steps(mlp_cost()).write(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_graph_beyond_the_limit_is_refused():
    x = Value(1.0)
    for _ in range(2000):
        x = x + 1.0
    with pytest.raises(ValueError, match=r"2001 nodes, the limit of the page is 2000.*limit=2001"):
        steps(x)
    with pytest.raises(ValueError, match="the limit of the page is 3"):
        steps(mlp_cost(), limit=3)


@pytest.mark.parametrize("root", [None, 3.0, "x", [Value(1.0)]])
def test_a_root_that_is_no_value(root):
    with pytest.raises(TypeError, match="root must be a Value"):
        steps(root)


def test_a_leaf_alone():
    data = steps(Value(3.0, "x")).data
    assert data["forward"] == data["backward"] == []
    assert data["nodes"][0]["name"] == "x"
