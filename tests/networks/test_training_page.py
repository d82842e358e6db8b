"""The training page: what `fit` records, and that the page computes what the engine does."""

import base64
import json
import math
import random
import signal
from pathlib import Path

import numpy as np
import pytest
from browser import DESKTOP, PHONE, colours, scrolls_sideways
from pages import Page

from autograd_bp import Value, custom, erf, maximum, topological_order
from autograd_bp.context import tracing
from autograd_bp.languages import operations
from autograd_bp.ops import CODES, TABLE
from autograd_bp.rules import IEEE
from autograd_bp.value import release
from nn import MLP, SGD, History, Module, bce, bce_with_logits, cross_entropy, fit, hinge, mse
from nn import training_page as training

pytest_plugins = ["browser"]
pytestmark = pytest.mark.one_engine

SPECIAL_JS = Path(training.__file__).with_name("special.js").read_text("utf-8")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 2))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


def model(nouts=(3, 1), activation="sigmoid", nin=2):
    return MLP(nin, nouts, activation=activation, seed=0)


def record(tmp_path, mlp=None, x=X, y=Y, loss=bce, epochs=3, **options):
    """Train, and return the page as text."""
    path = tmp_path / "training.html"
    options = {"batch_size": 8, "seed": 0, "progress": False, **options}
    fit(mlp or model(), x, y, loss=loss, epochs=epochs, record=path, **options)
    return path.read_text("utf-8")


def frames(data):
    numbers = np.frombuffer(base64.b64decode(data["frames"]), "<f4")
    return numbers.reshape(-1, data["parameters"]).astype(float)


# --- what is recorded -----------------------------------------------------------------------------


def test_recording_changes_nothing(tmp_path):
    with_page, without = model(), model()
    record(tmp_path, with_page, epochs=4)
    history = fit(without, X, Y, loss=bce, epochs=4, batch_size=8, seed=0, progress=False)
    assert with_page.state_dict() == without.state_dict()
    assert fit(model(), X, Y, loss=bce, epochs=4, batch_size=8, seed=0, progress=False) == history


class Noting(SGD):
    """It keeps the parameters after each step."""

    def step(self):
        super().step()
        self.seen.append([p.data for p in self.params])


def noting(mlp, lr=0.5):
    optimizer = Noting(mlp.parameters(), lr=lr)
    optimizer.seen = [[p.data for p in mlp.parameters()]]
    return optimizer


def test_every_step_of_a_short_training_is_a_frame(tmp_path):
    mlp = model()
    optimizer = noting(mlp)
    data = Page(record(tmp_path, mlp, epochs=2, optimizer=optimizer)).data
    assert np.array_equal(frames(data), np.float32(optimizer.seen))
    assert data["epochs"] == pytest.approx([k / 3 for k in range(7)])
    assert data["losses"][0] is None


def test_the_loss_of_a_frame_is_the_mean_of_the_batches_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "FRAMES", 4)
    mlp, history = model(), History()
    optimizer = noting(mlp, lr=0.0)
    html = record(tmp_path, mlp, epochs=3, optimizer=optimizer, batch_size=20, history=history)
    data = Page(html).data
    assert data["epochs"] == [0, 1, 2, 3]
    assert data["losses"][1:] == pytest.approx(history.loss, rel=1e-14)
    assert [loss for _, loss, _ in data["curves"]] == history.loss


def test_frames_are_bounded_and_the_first_and_the_last_are_there(tmp_path, monkeypatch):
    for limit, numbers, epochs in ((5, 10**6, 7), (200, 13 * 6, 7), (200, 1, 3), (7, 10**6, 6)):
        monkeypatch.setattr(training, "FRAMES", limit)
        monkeypatch.setattr(training, "NUMBERS", numbers)
        mlp = model()
        optimizer = noting(mlp)
        data = Page(record(tmp_path, mlp, epochs=epochs, optimizer=optimizer)).data
        found = frames(data)
        assert 2 <= len(found) <= max(2, min(limit, numbers // 13)) + 1
        assert np.array_equal(found[[0, -1]], np.float32([optimizer.seen[0], optimizer.seen[-1]]))
        assert data["epochs"][-1] == epochs


def test_samples_are_bounded_and_spread_over_all(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAMPLES", 15)
    samples = Page(record(tmp_path)).data["samples"]
    assert [sample["number"] for sample in samples] == list(range(0, 20, 2))
    assert [sample["x"] for sample in samples] == X[::2].tolist()
    assert [sample["label"] for sample in samples] == Y[::2].tolist()


def test_going_on_counts_on(tmp_path):
    mlp, history = model(), History()
    record(tmp_path, mlp, epochs=2, history=history)
    data = Page(record(tmp_path, mlp, epochs=2, history=history)).data
    assert (data["epochs"][0], data["epochs"][-1]) == (2, 4)
    assert [n for n, *_ in data["curves"]] == [3, 4]


def test_validation_is_in_the_curves(tmp_path):
    history = History()
    data = Page(record(tmp_path, validation=(X[:5], Y[:5]), history=history)).data
    assert [val for *_, val in data["curves"]] == history.val_loss
    assert len(data["samples"]) == 20


def test_samples_of_one_structure_share_a_tape(tmp_path):
    data = Page(record(tmp_path)).data
    assert len(data["tapes"]) == 1
    mlp = model((4, 3), ["tanh", "linear"])
    y = RNG.integers(0, 3, 20)
    data = Page(record(tmp_path, mlp, y=y, loss=cross_entropy)).data
    assert len(data["tapes"]) == 1
    assert max(len(sample["patches"]) for sample in data["samples"]) == 1

    def by_class(output, target):
        return mse(output, target) if target else mse(output * 2.0, target)

    assert len(Page(record(tmp_path, loss=by_class)).data["tapes"]) == 2


# --- when it is written ---------------------------------------------------------------------------


def interrupting(after):
    calls = []

    def loss(output, target):
        calls.append(target)
        if len(calls) == after:
            signal.raise_signal(signal.SIGINT)
        return bce(output, target)

    return loss


def test_an_interrupted_training_is_written_as_far_as_it_went(tmp_path):
    mlp = model()
    with pytest.raises(KeyboardInterrupt):
        record(tmp_path, mlp, epochs=100, loss=interrupting(20 + 8 * 3))  # 20: to trace the samples
    data = Page((tmp_path / "training.html").read_text("utf-8")).data
    assert len(frames(data)) >= 2
    assert frames(data)[-1].tolist() == np.float32([p.data for p in mlp.parameters()]).tolist()
    assert list(tmp_path.iterdir()) == [tmp_path / "training.html"]


def test_a_training_that_fails_is_written_too(tmp_path):
    mlp = model(activation=["tanh", "linear"])
    with pytest.raises(FloatingPointError):
        record(
            tmp_path, mlp, y=X[:, 0], loss=mse, epochs=50,
            optimizer=SGD(mlp.parameters(), lr=1e50),
        )  # fmt: skip
    assert Page((tmp_path / "training.html").read_text("utf-8")).data["samples"]


def test_folders_are_made(tmp_path):
    record(tmp_path / "a" / "b")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["training.html"]


# --- errors that teach, before anything is trained ------------------------------------------------


class Own(Module):
    """A model of one parameter and a function."""

    def __init__(self, function):
        self.w = Value(0.5, "w")
        self.function = function

    def parameters(self):
        return [self.w]

    def __call__(self, x):
        return self.function(self.w, x[0])


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda w, x: (w * x).lgamma(), "cannot compute lgamma: JavaScript has no function"),
        (lambda w, x: custom(math.sin, math.cos, name="own")(w * x), "own cannot be traced"),
        (lambda w, x: w * x if x > 0 else w, "must be one expression for all parameters"),
    ],
)
def test_what_a_page_cannot_compute(tmp_path, function, match):
    own = Own(function)
    with pytest.raises(ValueError, match=match):
        record(tmp_path, own, abs(X) + 0.1, X[:, 0], mse)
    assert own.w.data == 0.5
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_leaves_outputs_out(tmp_path):
    with pytest.raises(ValueError, match="must be computed from every output"):
        record(tmp_path, model((3, 2)), y=X, loss=lambda output, t: (output[0] - t[0]) ** 2)


@pytest.mark.parametrize(
    ("path", "error", "match"),
    [
        (3, TypeError, "record must be the path of a file to write, got 3"),
        (True, TypeError, "record must be the path"),
        (".", IsADirectoryError, "got the folder '.'; write 'training.html'"),
    ],
)
def test_paths_that_are_none(path, error, match):
    mlp = model()
    before = mlp.state_dict()
    with pytest.raises(error, match=match):
        fit(mlp, X, Y, loss=bce, epochs=1, progress=False, record=path)
    assert mlp.state_dict() == before


HOSTILE = "</script><script>document.title = 'hacked'</script><!-- \ud800 \\ \" & '"


class Hostile(MLP):
    def __repr__(self):
        return HOSTILE


def hostile():
    mlp = Hostile(2, [3, 1], seed=0)
    for p in mlp.parameters():
        p.label += HOSTILE
    return mlp


def test_labels_are_text(tmp_path):
    html = record(tmp_path, hostile())
    assert Page(html).tags == Page(record(tmp_path)).tags
    assert Page(html).data["title"] == f"Training {HOSTILE}"


# --- the table in JavaScript ----------------------------------------------------------------------

COMPUTED = [op for op in TABLE if op.operands and op.name not in ("lgamma", "polygamma")]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 1e-300, 1e16, -1e16, math.inf, -math.inf, math.nan]


def points(op):
    """Operands inside the domain: random ones of all sizes, and special ones."""
    rng = random.Random(op.name)

    def one():
        x = rng.choice([rng.uniform(-3, 3), rng.uniform(-30, 30), rng.gauss(0, 1) * 1e-6])
        return rng.choice(SPECIAL[:-3]) if rng.random() < 0.1 else x

    drawn = []
    while len(drawn) < 200:
        n = rng.randint(1, 5)
        x = [[one() for _ in range(n)] if "*" in name else one() for name in op.operands]
        if op.name == "**" and rng.random() < 0.5:
            x[1] = float(rng.randint(-4, 4))
        if op.name in ("asin", "acos"):
            x = [math.sin(x[0])]
        if op.name in ("log", "log2", "log10", "log1p", "sqrt", "**"):
            x[0] = abs(x[0])
        if op.name == "clip":
            x[1:] = sorted(x[1:])
        if IEEE.domain(op, 0)(*x):
            drawn.append(x)
    if len(op.operands) == 1 and not op.is_nary:
        drawn += [[x] for x in SPECIAL if math.isnan(x) or IEEE.domain(op, 0)(x)]
    return drawn


def close(got, true, scale=0.0):
    """To 1e-12, relative to the number or to the scale of what cancelled to give it."""
    got = float(got)  # from text: JSON has no infinities
    if not math.isfinite(true):
        return repr(got) == repr(true)
    return abs(got - true) <= 1e-12 * max(abs(true), scale)


def as_text(x):
    return [as_text(e) for e in x] if isinstance(x, list) else repr(x).replace("inf", "Infinity")


RUN = """([name, points, ys]) => {
  const read = (x) => Array.isArray(x) ? x.map(read) : x === "nan" ? NaN : Number(x);
  const { value, d, sequences } = operations[name];
  return points.map((texts, k) => {
    const x = texts.map(read), y = read(ys[k]);
    return [String(value(...x)), d.map((f, j) => sequences[j]
      ? x[j].map((_, i) => String(f(...x, y, i))) : String(f(...x, y)))];
  });
}"""


@pytest.fixture(scope="module")
def table(browser):
    """A tab in which the table's rows are defined."""
    tab = browser.new_page()
    tab.add_script_tag(content=SPECIAL_JS + operations(op.name for op in COMPUTED))
    yield tab
    tab.close()


@pytest.mark.parametrize("op", COMPUTED, ids=lambda op: op.name)
def test_every_row_gives_in_javascript_what_it_gives_in_python(table, op):
    xs = points(op)
    ys = [IEEE.value(op)(*x) for x in xs]
    found = table.evaluate(RUN, [op.name, as_text(xs), as_text(ys)])
    for x, y, (value, partials) in zip(xs, ys, found, strict=True):
        # Sums may cancel: dot and gelu's derivative.
        terms = [abs(p * q) for p, q in zip(*x[:2], strict=True)] if op.name == "dot" else [0.0]
        assert close(value, y, scale=sum(terms) + (abs(x[2]) if op.name == "dot" else 0.0)), x
        for partial, d in zip(partials, IEEE.partials(op), strict=True):
            true = d(*x, y)
            for got, want in zip(
                partial if isinstance(true, list) else [partial],
                true if isinstance(true, list) else [true],
                strict=True,
            ):
                assert close(got, want, scale=1.0 if op.name == "gelu" else 0.0), x


# --- the page's numbers ---------------------------------------------------------------------------


def engine(mlp, parameters, x, target, loss):
    """All nodes of a sample's loss, differentiated, by their positions; as the page has them."""
    for p, data in zip(mlp.parameters(), parameters, strict=True):
        p.data = float(data)
        p.grad = 0.0
    inputs = [Value(v, f"x[{j}]") for j, v in enumerate(x)]
    with tracing():
        C = loss(mlp(inputs), target)
        nodes = topological_order(C)
        release(nodes)  # this one call is what is wanted here
    C.backward()
    return nodes


def units(tab):
    """Value, gradient and δ of each circle, by the position of its node."""
    found = tab.eval_on_selector_all(".unit", "all => all.map(e => ({...e.dataset}))")
    return {int(unit["node"]): unit for unit in found}


def check(tab, mlp, data, loss, frame, sample):
    nodes = engine(mlp, frames(data)[frame], sample["x"], sample["target"], loss)
    shown = units(tab)
    largest = max(abs(node.grad) for node in nodes)
    for i, unit in shown.items():
        assert close(unit["value"], nodes[i].data)
        assert close(unit["gradient"], nodes[i].grad, scale=1e-3 * largest)
    deltas = [unit["delta"] for unit in shown.values() if unit["delta"]]
    zs = [z for z in nodes if z.op == "dot" and z.label.startswith("z")]
    assert len(shown) >= len(zs) + 1
    for z in zs:
        assert any(close(delta, z.grad, scale=1e-3 * largest) for delta in deltas), z.label


MODELS = {
    "one output": ({"nouts": (4, 3, 1)}, bce, Y),
    "logits": ({"nouts": (5, 1), "activation": ["tanh", "linear"]}, bce_with_logits, Y),
    "margins": ({"nouts": (5, 1), "activation": ["relu", "linear"]}, hinge, 2 * Y - 1),
    "classes": ({"nouts": (4, 3), "activation": ["gelu", "linear"]}, cross_entropy, Y + 1),
    "regression": ({"nouts": (4, 2), "activation": ["softplus", "silu"]}, mse, X[:, ::-1]),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_samples_values_and_gradients_are_the_engines(visit, tmp_path, name):
    shape, loss, y = MODELS[name]
    mlp = model(**shape)
    html = record(tmp_path, mlp, y=y, loss=loss, optimizer=SGD(mlp.parameters(), lr=0.3))
    data = Page(html).data
    tab = visit(html)
    last = len(data["epochs"]) - 1
    check(tab, mlp, data, loss, last, data["samples"][0])
    tab.click("#sample-next")
    check(tab, mlp, data, loss, last, data["samples"][1])
    tab.fill("#sample", "13")
    tab.press("#sample", "Enter")
    tab.click("#first")
    check(tab, mlp, data, loss, 0, data["samples"][13])
    tab.click("#show-gradients")
    check(tab, mlp, data, loss, 0, data["samples"][13])


def test_a_model_that_is_no_mlp(visit, tmp_path):
    own = Own(lambda w, x: maximum(w * x, (w * x).sin()) + erf(x))
    html = record(tmp_path, own, X, X[:, 0], mse)
    data = Page(html).data
    tab = visit(html)
    nodes = engine(own, frames(data)[-1], X[0], float(X[0, 0]), mse)
    for i, unit in units(tab).items():
        assert close(unit["value"], nodes[i].data, scale=1e-3)


def test_a_click_on_the_map_chooses_a_sample(visit, tmp_path):
    data = Page(html := record(tmp_path)).data
    tab = visit(html)
    note = tab.text_content("#sample-note")
    box = tab.locator("#map").bounding_box()
    chosen = set()
    for across in range(1, 10):
        for down in range(1, 6):
            tab.mouse.click(
                box["x"] + box["width"] * across / 10, box["y"] + box["height"] * down / 6
            )
            chosen.add(int(tab.input_value("#sample")))
    assert len(chosen) > 5
    assert chosen <= {sample["number"] for sample in data["samples"]}
    assert tab.text_content("#sample-note") != note or len(chosen) > 1
    k = int(tab.input_value("#sample"))
    assert tab.text_content("#sample-name") == f"for sample {k}"
    assert tab.text_content("#sample-note").startswith("x = (")


def test_a_click_on_a_neuron_explains_it(visit, tmp_path):
    tab = visit(record(tmp_path))
    tab.click(".unit[aria-label^='a[1][2]']")
    assert tab.text_content("#unit") == "a[1][2]"
    text = tab.text_content("#formula")
    for part in ("z[1][2] = w·a + b", "a[1][2] = σ(z[1][2])", "δ = ∂C/∂z[1][2]", "∂C/∂b[1][2] = δ"):
        assert part in text
    assert "∂C/∂w[1][2][0] = δ · x[0]" in text
    tab.click(".unit >> nth=-1")
    assert tab.text_content("#unit") == "C, the cost of this sample"
    tab.click(".unit >> nth=0")
    assert tab.text_content("#unit") == "x[0]"


def test_names_of_neurons_are_clear_of_the_ring_around_the_next(visit, tmp_path):
    mlp = MLP(2, [4, 3, 1], seed=0)
    tab = visit(record(tmp_path, mlp))
    tab.click(".unit[aria-label^='a[1][1]']")
    where = "where ∂C/∂z is the δ of a neuron in the next layer, and ∂z/∂a its weight"
    assert where in tab.text_content("#formula")
    rectangle = "e => e.getBoundingClientRect()"
    bottom = tab.eval_on_selector(".unit[aria-label^='a[1][0]'] .name", f"{rectangle}.bottom")
    top = tab.eval_on_selector(".unit[aria-label^='a[1][1]'] .chosen", f"{rectangle}.top")
    assert bottom <= top + 2  # the text's box has room below its letters


def test_scrubbing_by_slider_keys_buttons_play_and_on_the_curve(visit, tmp_path):
    html = record(tmp_path, epochs=5)
    last = len(Page(html).data["epochs"]) - 1
    tab = visit(html)

    def at():
        return int(tab.input_value("#slider"))

    assert at() == last
    weights = tab.get_attribute("#network line", "stroke-width")
    tab.keyboard.press("Home")
    assert at() == 0
    assert tab.get_attribute("#network line", "stroke-width") != weights
    tab.keyboard.press("ArrowRight")
    tab.click("#next")
    assert at() == 2
    tab.fill("#slider", "4")
    assert tab.text_content("#loss-note").startswith("epoch 1.333")
    box = tab.locator("#curve").bounding_box()
    tab.mouse.click(box["x"] + 50, box["y"] + 30)
    assert at() <= 1
    tab.click("h1")
    tab.keyboard.press(" ")
    tab.wait_for_selector("#last:disabled")
    assert at() == last


@pytest.mark.parametrize(
    ("shape", "loss", "x", "y", "title"),
    [
        ({}, bce, X, Y, "Decision boundary"),
        ({"nouts": (3,), "activation": "linear"}, cross_entropy, X, Y, "Decision boundary"),
        ({"activation": "tanh"}, mse, X, np.tanh(X[:, 0]), "Output"),
        ({"activation": "tanh", "nin": 1}, mse, X[:, :1], np.tanh(X[:, 1]), "Output"),
        ({"nin": 3}, bce, np.hstack([X, X])[:, :3], Y, "Outputs and targets"),
        ({"nin": 3}, mse, np.hstack([X, X])[:, :3], abs(np.tanh(X[:, 0])), "Outputs and targets"),
        ({"nin": 3, "nouts": (3,), "activation": "linear"}, cross_entropy,
         np.hstack([X, X])[:, :3], Y, "Predictions"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("viewport", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_each_kind_of_map(visit, tmp_path, shape, loss, x, y, title, viewport, scheme):
    tab = visit(record(tmp_path, model(**shape), x, y, loss), viewport, color_scheme=scheme)
    assert tab.text_content("#map-title") == title
    assert colours(tab.locator("#map").screenshot()) > 20
    assert colours(tab.locator("#curve").screenshot()) > 10
    assert colours(tab.locator("#network").screenshot()) > 20
    assert not scrolls_sideways(tab)
    tab.click("#theme")


@pytest.mark.slow
def test_every_sample_is_in_the_picture(visit, tmp_path):
    """The chosen one has a ring around it, so each makes another picture."""
    x = np.random.default_rng(0).uniform(size=(40, 3))
    tab = visit(record(tmp_path, model(nin=3), x, np.arange(40) % 2, bce, epochs=3))
    pictures = set()
    for k in range(40):
        tab.fill("#sample", str(k))
        tab.press("#sample", "Enter")
        assert tab.text_content("#sample-name") == f"for sample {k}"
        pictures.add(tab.locator("#map").screenshot())
    assert len(pictures) == 40


def test_hostile_labels_are_text_in_the_page(visit, tmp_path):
    tab = visit(record(tmp_path, hostile()))
    tab.click(".unit >> nth=3")
    assert "document.title = 'hacked'" in tab.text_content("#formula")
    assert tab.title() == f"Training {HOSTILE}".replace("\ud800", "\\ud800")
    assert "hacked" in tab.text_content("h1")


def test_a_network_of_many_weights_is_still_quick_to_show(visit, tmp_path):
    """Of 4,200 weights the page draws the 3,000 strongest."""
    x = RNG.normal(size=(12, 60))
    mlp = MLP(60, [60, 10], activation=["tanh", "linear"], seed=0)
    tab = visit(record(tmp_path, mlp, x, RNG.integers(0, 10, 12), cross_entropy, epochs=1))
    assert tab.locator("#network line").count() == 3000
    assert tab.locator(".unit").count() == 60 + 60 + 10 + 1


def test_the_example(tmp_path, capsys):
    import importlib.util

    source = Path(__file__).parents[2] / "examples" / "training_page.py"
    spec = importlib.util.spec_from_file_location("training_page", source)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    path = example.main(tmp_path, epochs=2, progress=False)
    assert Page(path.read_text("utf-8")).data["samples"]
    assert "training.html" in capsys.readouterr().out


def test_the_data_are_plain_json(tmp_path):
    assert json.loads(json.dumps(Page(record(tmp_path)).data))["title"].startswith("Training MLP(2")
    assert all(CODES[name] for name in Page(record(tmp_path)).data["tapes"][0]["ops"] if name)
