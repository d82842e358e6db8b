"""What notebooks show of networks and trainings: the numbers that they have, escaped."""

import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from browser import colours, scrolls_sideways
from hypothesis import given
from hypothesis import strategies as st
from pages import Page

from autograd_bp import Value
from nn import MLP, History, bce, fit
from nn.compare import compare
from nn.display import HEIGHT, MOST, WIDTH, curves, table

pytest_plugins = ["browser"]  # its fixtures

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</td><script>alert('&')</script>"
NUMBERS = st.floats(0, 1e300) | st.floats(allow_nan=True, allow_infinity=True)


class Cells(HTMLParser):
    """The cells of a table, row by row."""

    def __init__(self, text):
        super().__init__()
        self.rows = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows:
            self.rows[-1][-1] += data


def picture(history):
    """The SVG of a history's charts."""
    return ET.fromstring(re.search(r"<svg.*</svg>", history._repr_html_(), re.DOTALL)[0])


def texts(element):
    return [text.text for text in element.iter(f"{SVG}text")]


def points(element):
    """The points of each line of a chart, one that stands alone included."""
    found = []
    for line in element.iter():
        if line.tag == f"{SVG}polyline":
            found.append([tuple(map(float, p.split(","))) for p in line.get("points").split()])
        elif line.tag == f"{SVG}circle":
            found.append([(float(line.get("cx")), float(line.get("cy")))])
    return found


# --- networks -------------------------------------------------------------------------------------


def test_an_mlp_is_a_table_of_its_layers():
    mlp = MLP(2, [16, 3], activation=["leaky_relu", "linear"])
    assert Cells(mlp._repr_html_()).rows == [
        ["layer", "inputs", "neurons", "activation", "parameters"],
        ["1", "2", "16", "leaky_relu", "48"],
        ["2", "16", "3", "linear", "51"],
        ["all", "", "", "", "99"],
    ]
    assert Page(mlp._repr_html_()).texts["p"] == repr(mlp)


def test_the_parameters_are_counted():
    mlp = MLP(40, [30, 1])
    assert Cells(mlp._repr_html_()).rows[-1][-1] == f"{len(mlp.parameters()):,}" == "1,261"


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=2), min_size=1
    )
)
def test_cells_are_escaped(rows):
    assert Cells(table([["head"], *rows])).rows == [["head"], *rows]


class Hostile(MLP):
    def __repr__(self):
        return HOSTILE


def test_hostile_names_do_nothing():
    mlp = Hostile(1, [1])
    assert "<script" not in mlp._repr_html_()
    assert Page(mlp._repr_html_()).texts["p"] == HOSTILE
    drawn = curves([(HOSTILE, [(HOSTILE, [1.0, 2.0])])])
    assert "<script" not in drawn
    assert texts(ET.fromstring(drawn)).count(HOSTILE) == 2


# --- trainings ------------------------------------------------------------------------------------


def test_a_history_is_a_chart_for_loss_and_one_for_accuracy():
    svg = picture(History([0.8, 0.5, 0.2], [0.5, 0.75, 1.0], [0.9, 0.6, 0.4], [0.5, 0.5, 1.0]))
    loss, accuracy = svg.findall(f"{SVG}g")
    names = ["training", "validation"]
    assert set(texts(loss)) == {"loss", "epoch", "1", "3", "0.2", "0.9", *names}
    assert set(texts(accuracy)) == {"accuracy", "epoch", "1", "3", "0.5", *names}
    validation, training = points(loss)
    assert len(validation) == len(training) == 3
    dashed = [line.get("stroke-dasharray") for line in loss.iter(f"{SVG}polyline")]
    assert [bool(dashes) for dashes in dashed] == [True, False]


def test_heights_are_the_numbers():
    (line,) = points(picture(History([0.75, 0.25, 1.0, 0.5])))
    assert [x for x, _ in line] == pytest.approx(
        [64.0, 64 + 262 / 3, 64 + 262 * 2 / 3, 326.0], abs=0.1
    )
    top, bottom = 30.0, 144.0
    heights = [(bottom - y) / (bottom - top) for _, y in line]
    assert heights == pytest.approx([2 / 3, 0.0, 1.0, 1 / 3], abs=1e-3)


def test_a_hundredfold_fall_is_drawn_by_powers_of_ten():
    svg = picture(History([1.0, 0.1, 0.01]))
    assert "loss (logarithmic)" in texts(svg)
    (((_, first), (_, middle), (_, last)),) = points(svg)
    assert middle == pytest.approx((first + last) / 2)
    assert "loss" in texts(picture(History([1.0, 0.1, 0.02])))
    assert "loss" in texts(picture(History([1.0, 0.1, 0.0])))


def test_nothing_to_draw():
    assert History()._repr_html_() == "<p>History(0 epochs)</p>"


def test_one_epoch_is_a_dot():
    svg = picture(History([0.5]))
    assert repr(History([0.5])) == "History(1 epoch: loss 0.5 → 0.5)"
    assert points(svg) == [[(195.0, 87.0)]]  # in the middle
    assert "epoch 1" in texts(svg)


def test_numbers_that_are_not_finite_leave_a_gap():
    lines = points(picture(History([1.0, 2.0, math.nan, math.inf, 1.5])))
    assert [len(line) for line in lines] == [2, 1]


def test_long_trainings_keep_their_peaks():
    losses = [1.0] * 100_000
    losses[54_321], losses[70_000] = 3.0, 0.5
    svg = picture(History(losses))
    (line,) = points(svg)
    assert len(line) <= 2 * MOST + 2
    assert [x for x, _ in line] == sorted(x for x, _ in line)
    assert {min(y for _, y in line), max(y for _, y in line)} == {30.0, 144.0}
    assert {"3", "0.5"} <= set(texts(svg))


@given(st.lists(NUMBERS, min_size=1, max_size=20), st.lists(NUMBERS, max_size=20))
def test_every_history_is_drawn_within_its_bounds(training, validation):
    for line in points(picture(History(training, [], validation))):
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in line)


# --- in a browser ---------------------------------------------------------------------------------


def test_seen_in_a_browser(visit):
    X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 1]
    mlp = MLP(2, [3, 1], seed=0)
    history = fit(mlp, X, y, loss=bce, epochs=30, validation=(X, y), seed=0, progress=False)
    x = Value(2.0, "x")
    shown = [
        mlp._repr_html_(), history._repr_html_(), compare(mlp, X[0], 1.0, bce)._repr_html_(),
        (x * x)._repr_svg_(),
    ]  # fmt: skip
    for viewport in ({"width": 800, "height": 600}, {"width": 390, "height": 844}):
        tab = visit(f"<meta charset=utf-8>{''.join(shown[:2])}", viewport)
        assert not scrolls_sideways(tab)
        charts = tab.locator("svg")
        assert charts.count() == 1
        assert colours(charts.screenshot()) > 20
        left, right = (charts.locator("g").nth(i).bounding_box() for i in (0, 1))
        assert left["x"] >= 0
        assert left["x"] + left["width"] <= right["x"]
        words = [text.bounding_box() for text in charts.locator("text").all()]
        for i, a in enumerate(words):
            for b in words[:i]:
                apart_x = a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
                apart_y = a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"]
                assert apart_x or apart_y
    everything = visit(f"<meta charset=utf-8>{''.join(shown)}")
    assert everything.locator("table").count() == 3
    assert everything.locator("svg").count() == 2
