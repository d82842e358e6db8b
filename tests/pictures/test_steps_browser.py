"""The step page in a real browser: what it shows, and that its gradients are the engine's."""

import math
import re
from datetime import datetime

import pytest
from browser import DESKTOP, PHONE, colours, scrolls_sideways

from autograd_bp import Value, dot, scope, steps, sum_of, topological_order
from autograd_bp.pictures import notation
from nn import MLP, bce, mse

pytest_plugins = ["browser"]  # its fixtures
pytestmark = pytest.mark.one_engine


def mlp_cost():
    record = MLP(2, [3, 1], seed=0).forward([Value(0.5, "x[0]"), Value(-1.0, "x[1]")])
    with scope("cost"):
        C = mse(record.output, 1.0)
    C.label = "C"
    return C


def expression():
    a, b = Value(-4.0, "a"), Value(2.0, "b")
    c = a * b + b**3 + (a / b).tanh() * a.exp()
    return dot([a, b, c], [c, a, 0.1], b) * a + (a - b).sigmoid() + sum_of([a, a, b])


def extremes():
    x, y = Value(1e308, "x"), Value(-0.0, "y")
    return x * 10.0 + abs(y.sqrt() + x * y) * 0.0 + Value(5e-324, "tiny") * 0.5


def cross_entropy():
    return bce(MLP(3, [4, 2], seed=2).forward([0.1, 0.2, 0.3]).output, [1.0, 0.0])


GRAPHS = [expression, extremes, cross_entropy, lambda: Value(2.0, "x")]


def same(text, x):
    return text == {math.inf: "Infinity", -math.inf: "-Infinity"}.get(x, "NaN") or float(text) == x


def position(tab):
    """The step that is shown, and the last one."""
    return tuple(map(int, tab.text_content("#count").split(" / ")))


def last(tab):
    return position(tab)[1]


# --- the gradients --------------------------------------------------------------------------------


def step_by_buttons(tab):
    for _ in range(last(tab)):
        tab.click("#next")


def step_by_keys(tab):
    for _ in range(last(tab)):
        tab.keyboard.press("ArrowRight")


def jump_by_button(tab):
    tab.click("#last")


def jump_by_key(tab):
    tab.keyboard.press("End")


def step_by_slider(tab):
    tab.fill("#slider", str(last(tab)))


WAYS = [step_by_buttons, step_by_keys, jump_by_button, jump_by_key, step_by_slider]


@pytest.mark.parametrize(
    ("graph", "way"),
    [(mlp_cost, step_by_buttons)]
    + [pytest.param(mlp_cost, way, marks=pytest.mark.slow) for way in WAYS[1:]]
    + [(graph, jump_by_key) for graph in GRAPHS],
)
def test_the_final_gradients_are_the_engines_to_the_last_bit(visit, graph, way):
    root = graph()
    tab = visit(steps(root).html())
    way(tab)
    root.backward()
    nodes = topological_order(root)
    of_boxes = tab.eval_on_selector_all(
        ".box[data-node]", "all => all.map(e => [e.dataset.node, e.dataset.gradient])"
    )
    assert sorted(int(i) for i, _ in of_boxes) == list(range(len(nodes)))
    of_leaves = tab.eval_on_selector_all(
        "#gradients li", "all => all.map(e => [e.dataset.node, e.dataset.gradient])"
    )
    assert {int(i) for i, _ in of_leaves} == {i for i, x in enumerate(nodes) if x.is_leaf}
    for i, text in of_boxes + of_leaves:
        assert same(text, nodes[int(i)].grad)


@pytest.mark.slow
def test_there_and_back_again(visit):
    tab = visit(steps(expression()).html())
    tab.keyboard.press("End")
    at_the_end = tab.inner_text("main")
    tab.keyboard.press("Home")
    assert position(tab)[0] == 0
    at_the_start = tab.inner_text("main")
    step_by_buttons(tab)
    assert tab.inner_text("main") == at_the_end
    for _ in range(last(tab)):
        tab.keyboard.press("ArrowLeft")
    assert tab.inner_text("main") == at_the_start


# --- what a step shows ----------------------------------------------------------------------------


def go_to(tab, headline):
    tab.keyboard.press("Home")
    for _ in range(last(tab)):
        tab.keyboard.press("ArrowRight")
        if re.match(headline, tab.text_content("#headline")):
            return
    raise AssertionError(f"no step is called {headline}")


def words(tab, selector):
    return re.sub(r"\s+", " ", tab.text_content(selector)).strip()


def test_a_forward_step(visit):
    x = Value(3.0, "x")
    y = x * x
    y.label = "y"
    tab = visit(steps(y * 2.0).html())
    go_to(tab, "Compute y")
    assert words(tab, "#formula p:first-child").startswith("A product. On each arrow")
    assert words(tab, "#formula p:last-child") == "y = x·x = 3·3 = 9"
    assert words(tab, ".box.active").startswith("y = x·xdata 9")
    assert tab.locator(".edge.carries").count() == 2
    assert "data ·" in tab.text_content(".box.waiting").replace("data  ", "data ")


def test_a_backward_step(visit):
    x, z = Value(-3.0, "x"), Value(0.12, "z")
    y = z * x + x * 0.5
    tab = visit(steps(y).html())
    go_to(tab, "v1 hands on")
    assert "∂C/∂x += ∂C/∂v1 · ∂v1/∂x = 1 · 0.12 = 0.12" in words(tab, "#formula")
    assert "since ∂v1/∂x = z; in all, with what it had: 0.5 + 0.12 = 0.62" in words(tab, "#formula")
    assert "∂C/∂z += ∂C/∂v1 · ∂v1/∂z = 1 · (−3) = −3" in words(tab, "#formula")
    assert tab.locator(".box.touched").count() == 2
    assert tab.get_attribute("body", "class") == "is-backward"


def test_delta_is_called_by_its_name(visit):
    tab = visit(steps(mlp_cost()).html())
    go_to(tab, r"z\[2\]\[0\] hands on its δ = ∂C/∂z\[2\]\[0\] = −0.2512")
    assert "δ −0.2512" in words(tab, ".box.active")


def test_an_activation_tells_how_delta_came_from_the_next_layer(visit):
    record = MLP(2, [2, 3, 1], seed=0).forward([0.5, -1.0])
    C = mse(record.output, 1.0)
    C.backward()
    first, second, last = record.layers
    tab = visit(steps(C).html())

    go_to(tab, r"a\[3\]\[0\] hands on")
    text = words(tab, "#formula p:last-child")
    assert text.startswith("δ(z[3][0]) = ∂C/∂a[3][0] · σ′(z[3][0]) = ")
    assert text.endswith(f"= {notation.number(last.delta[0])}")

    go_to(tab, r"a\[1\]\[1\] hands on")
    assert "δ of the next layer" in words(tab, "#formula p:nth-last-child(2)")
    formula, numbers, result = words(tab, "#formula p:last-child").split(" = ")[1:]
    assert formula.endswith(") · σ′(z[1][1])")
    terms = formula.removeprefix("(").removesuffix(") · σ′(z[1][1])").split(" + ")
    assert sorted(terms) == [f"δ(z[2][{k}]) · w[2][{k}][1]" for k in range(3)]
    for delta in second.delta:
        assert notation.number(delta) in numbers
    assert result == notation.number(first.delta[1])


def test_a_number_used_twice_by_one_node_has_two_arrows(visit):
    x = Value(3.0, "x")
    tab = visit(steps(x * x + 1.0).html())
    go_to(tab, "v1 hands on")
    formula = words(tab, "#formula")
    assert "If x grows by a little ε on one arrow alone, v1 changes by 3·ε" in formula
    assert "since ∂v1/∂x = x, on arrow 2 of 2 from x alone; in all" in formula


def test_a_local_derivative_appears_when_its_node_is_computed(visit):
    x = Value(3.0, "x")
    tab = visit(steps((x * 2.0).tanh()).html())
    texts = tab.locator("#edges .edge text")
    assert [texts.nth(k).is_visible() for k in range(2)] == [False, False]
    tab.keyboard.press("ArrowRight")
    assert [texts.nth(k).text_content() for k in range(2) if texts.nth(k).is_visible()] == ["2"]
    tab.keyboard.press("ArrowRight")
    assert [texts.nth(k).is_visible() for k in range(2)] == [True, True]
    tab.keyboard.press("Home")
    assert [texts.nth(k).is_visible() for k in range(2)] == [False, False]


def test_the_explanation_speaks_of_what_there_is(visit):
    of_neurons = ".help [data-role=pre-activation]:visible"
    assert visit(steps(mlp_cost()).html()).locator(of_neurons).count() == 2
    tab = visit(steps(Value(2.0, "x") * 3.0).html())
    assert tab.locator(of_neurons).count() == 0
    assert words(tab, ".colours span:not([hidden]) >> nth=0") == "input"


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_no_derivative_breaks_within(visit, viewport):
    tab = visit(steps(mlp_cost()).html(), viewport)
    go_to(tab, r"a\[2\]\[0\] hands on")
    heights = tab.eval_on_selector_all(
        "#headline .word, #formula .word", "all => all.map((e) => e.getBoundingClientRect().height)"
    )
    assert len(heights) > 8
    assert max(heights) < 30  # one line


def test_the_queue_shows_where_one_is_and_leads_there(visit):
    tab = visit(steps(mlp_cost()).html())
    step_by_buttons(tab)
    tab.click("#queue button:text-is('z[2][0]')")
    assert tab.text_content("#headline").startswith("z[2][0] hands on")
    assert tab.text_content("#queue [aria-current=step]") == "z[2][0]"
    assert tab.locator("#queue .done").count() == 3


def test_play_runs_to_the_end_and_can_be_paused(visit):
    tab = visit(steps(Value(2.0, "x") * 3.0 + 1.0).html())
    tab.clock.install(time=datetime(2000, 1, 1))
    tab.reload()
    tab.clock.pause_at(datetime(2000, 1, 2))  # from here on it goes only where it is told to
    tab.click("#play")
    tab.clock.run_for(2500)
    here, end = position(tab)
    assert 0 < here < end
    tab.keyboard.press(" ")  # the button has the focus: the key presses it
    assert tab.get_attribute("#play", "aria-label") == "Play"
    tab.clock.run_for(60_000)
    assert position(tab)[0] == here
    tab.click("h1")
    tab.keyboard.press(" ")
    tab.clock.run_for(60_000)
    assert position(tab) == (end, end)
    assert tab.get_attribute("#play", "aria-label") == "Play"


def test_pointing_at_a_node_or_walking_to_it_shows_its_history(visit):
    tab = visit(steps(mlp_cost()).html())
    tab.keyboard.press("End")
    x = next(i for i, node in enumerate(steps(mlp_cost()).data["nodes"]) if node["name"] == "x[0]")
    tab.hover(f".box[data-node='{x}']")
    assert tab.locator("#tip li").count() == 3
    assert "+= 0.02883 · (−0.174) = −0.005018, from z[1][1]; in all" in tab.text_content("#tip")
    tab.mouse.move(1, 1)
    assert tab.is_hidden("#tip")
    tab.focus("#theme")
    tab.keyboard.press("Tab")
    assert tab.text_content("#tip b") == "x[0], given"
    tab.keyboard.press("Escape")
    assert tab.is_hidden("#tip")


def test_a_tap_shows_the_history_on_a_phone(visit):
    tab = visit(steps(Value(2.0, "x") * 3.0).html(), PHONE, has_touch=True, is_mobile=True)
    tab.tap(".box[data-node='0']")
    assert tab.text_content("#tip b") == "x, given"


# --- folding, moving ------------------------------------------------------------------------------


def shown(tab):
    return set(tab.eval_on_selector_all(".box", "all => all.map(e => e.textContent)"))


def test_scopes_fold_and_open(visit):
    tab = visit(steps(mlp_cost()).html())
    whole = shown(tab)
    button = tab.get_by_role("button", name="layer 1", exact=True)
    assert button.get_attribute("aria-expanded") == "true"
    button.click()
    assert button.get_attribute("aria-expanded") == "false"
    assert len(shown(tab)) == len(whole) - 15 + 1
    tab.click(".box.folded")
    assert shown(tab) == whole
    button.click()
    tab.focus(".box.folded")
    tab.keyboard.press("Enter")
    assert shown(tab) == whole


def test_a_step_inside_a_folded_scope_marks_its_box(visit):
    tab = visit(steps(mlp_cost()).html())
    tab.get_by_role("button", name="layer 1", exact=True).click()
    go_to(tab, r"z\[1\]\[0\] hands on its δ")
    assert tab.text_content(".box.active").startswith("layer 1")
    assert tab.locator(".edge.carries").count() == 2
    assert tab.locator(".box.touched").count() == 2


def camera(tab):
    return tab.get_attribute(".world:has(#boxes)", "transform")


def test_zoom_pan_and_the_whole_graph(visit):
    tab = visit(steps(mlp_cost()).html())
    whole = camera(tab)
    tab.click("#zoom-in")
    nearer = camera(tab)
    assert nearer != whole
    box = tab.locator("#graph").bounding_box()
    tab.mouse.move(box["x"] + 20, box["y"] + 20)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 120, box["y"] + 60, steps=5)
    tab.mouse.up()
    assert camera(tab) not in (nearer, whole)
    tab.mouse.wheel(0, -300)
    tab.click("#fit")
    assert camera(tab) == whole


@pytest.mark.slow
def test_of_many_scopes_in_a_large_graph_all_can_be_opened(visit):
    x = Value(0.5, "x")
    for name in ["first", "second", "third"]:
        with scope(name):
            for _ in range(101):
                x = x.tanh()
    tab = visit(steps(x).html())
    choices = tab.locator("#choices button")
    closed = tab.locator("#choices [aria-expanded=false]")
    assert closed.count() == choices.count() == 3
    for name in ["first", "second"]:  # not every combination has been laid out
        tab.get_by_role("button", name=name, exact=True).click()
    assert closed.count() == 0
    tab.get_by_role("button", name="second", exact=True).click()
    assert (
        tab.get_by_role("button", name="second", exact=True).get_attribute("aria-expanded")
        == "false"
    )
    assert closed.count() == 2


@pytest.mark.slow
def test_of_a_large_graph_only_what_is_seen_is_in_the_document(visit):
    x = [Value(0.01 * i, f"x{i}") for i in range(20)]
    while len(x) < 520:
        x.append(x[-20].tanh())
    tab = visit(steps(sum_of(x[-20:])).html())
    assert tab.get_attribute("#follow", "aria-pressed") == "true"
    tab.fill("#slider", "200")
    assert 1 < tab.locator(".box").count() < 400
    headline = tab.text_content("#headline").removeprefix("Compute ")
    assert tab.text_content(".box.active").startswith(f"{headline} = ")


# --- text that is no markup, privacy, looks -------------------------------------------------------

HOSTILE = [
    "<script>document.title = 'hacked'</script>",
    "</script><img src=x onerror=\"document.title = 'hacked'\">",
    "\"& L '> <!-- ]]> \\u003c \\\\ \\N",
    "<b>δ</b>",
    "grad",
    "__proto__",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_label_is_text(visit, text):
    x = Value(2.0, text)
    scope_name = text.replace("/", "")  # a slash would be a scope inside another
    with scope(scope_name):
        y = x * x
    y.label = text + "2"
    tab = visit(steps(y, title=text).html())
    assert tab.title() == text
    assert tab.text_content("h1") == text
    step_by_buttons(tab)
    tab.hover(".box[data-node='0']")
    assert text in tab.text_content("#tip")
    assert text in tab.text_content(".box[data-node='0']")
    assert text in tab.text_content("#gradients")
    tab.click("#choices button")
    assert scope_name in tab.text_content(".box.folded")
    assert tab.title() == text
    assert tab.evaluate("document.querySelectorAll('img, b b').length") == 0


@pytest.mark.slow
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_not_blank_and_follows_the_colour_scheme(visit, scheme, viewport):
    tab = visit(steps(mlp_cost()).html(), viewport, color_scheme=scheme)
    assert colours(tab.screenshot()) > 50
    background = "getComputedStyle(document.body).backgroundColor"
    assert (tab.evaluate(background) == "rgb(255, 255, 255)") is (scheme == "light")
    tab.click("#theme")
    assert (tab.evaluate(background) == "rgb(255, 255, 255)") is (scheme == "dark")


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_page_scrolls_sideways(visit, width):
    record = MLP(2, [3, 1], seed=0).forward([Value(0.5, "x" * 200), Value(-1.0, "x[1]")])
    tab = visit(steps(mse(record.output, 1.0)).html(), {"width": width, "height": 700})
    for _ in range(last(tab) + 1):
        assert not scrolls_sideways(tab)
        tab.keyboard.press("ArrowRight")


def test_every_control_has_a_name(visit):
    tab = visit(steps(mlp_cost()).html())
    for control in tab.locator("button, input, [tabindex], summary").all():
        name = control.get_attribute("aria-label") or control.text_content()
        assert name.strip()
    assert tab.get_attribute("[aria-live]", "aria-live") == "polite"
