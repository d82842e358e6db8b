"""The textbook by hand: against mpmath, which knows no backpropagation, and against the engine."""

import html.parser
import math
import random
import subprocess
import sys

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import nn
import nn.delta
from autograd_bp import Value, no_grad
from nn import MLP, bce, bce_with_logits, cross_entropy, hinge, mse
from nn.compare import Entry, compare
from nn.delta import (
    ACTIVATIONS,
    COSTS,
    TINY,
    backprop,
    cancelled,
    deltas,
    feedforward,
)

mp = mpmath.mp.clone()
mp.dps = 100

LOSSES = [mse, bce, bce_with_logits, cross_entropy]


def floats_up_to(scale):
    """Floats of a sane size, or 0: products of several of them do not underflow."""
    return st.floats(-scale, scale).map(lambda x: x if abs(x) > 1e-12 else 0.0)


@st.composite
def problems(draw, loss, scale, most_layers=5, most_samples=3):
    """An MLP of random shape and weights that end as the loss wants them, samples, and targets.

    The weights come from a small pool of numbers, so that many are equal and terms cancel.
    """
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=most_layers))
    if loss is cross_entropy:
        sizes[-1] += 1
    nin, n = draw(st.integers(1, 5)), draw(st.integers(1, most_samples))
    # relu and linear layers let outputs grow without bounds: those are for mse.
    hidden = list(ACTIVATIONS) if loss is mse else ["sigmoid", "sigmoid", "tanh"]
    last = {mse: hidden, bce: ["sigmoid"]}.get(loss, ["linear"])
    activation = [draw(st.sampled_from(hidden)) for _ in sizes[1:]] + [draw(st.sampled_from(last))]

    pool = draw(st.lists(floats_up_to(scale), min_size=1, max_size=12))
    rng = random.Random(draw(st.integers(0, 2**32)))
    mlp = MLP(nin, sizes, activation)
    mlp.load_state_dict({name: rng.choice(pool) for name in mlp.state_dict()})

    number = floats_up_to(2.0)
    X = draw(st.lists(st.lists(number, min_size=nin, max_size=nin), min_size=n, max_size=n))
    target = {
        mse: st.lists(number, min_size=sizes[-1], max_size=sizes[-1]),
        cross_entropy: st.integers(0, sizes[-1] - 1),
    }.get(loss, st.lists(st.floats(0.0, 1.0), min_size=sizes[-1], max_size=sizes[-1]))
    return mlp, X, draw(st.lists(target, min_size=n, max_size=n))


def by_hand(mlp, X, Y, loss):
    W = [[[w.data for w in neuron.w] for neuron in layer.neurons] for layer in mlp.layers]
    b = [[neuron.b.data for neuron in layer.neurons] for layer in mlp.layers]
    return backprop(W, b, X, Y, loss.__name__, [layer.activation for layer in mlp.layers])


# --- by hand and by the engine --------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@given(st.data())
def test_the_textbook_and_the_engine_agree(loss, data):
    # Up to 10: many neurons are so saturated that 1 - a has few digits left, or none.
    mlp, X, Y = data.draw(problems(loss, data.draw(st.sampled_from([0.1, 1.0, 10.0]))))
    try:
        report = compare(mlp, X, Y, loss)
    except FloatingPointError:
        outputs = np.array(nn.outputs(mlp, X))
        assert loss is bce
        assert (np.minimum(outputs, 1 - outputs) < 1e-15).any()
        assume(False)  # the cost itself is infinite: there is nothing to compare
    assert report.relative <= 1e-12, str(report) + str(mlp.state_dict())
    neurons = sum(len(layer.neurons) for layer in mlp.layers)
    assert len(report.entries) == len(X) * neurons + len(mlp.parameters())
    for entry in report.entries:
        assert entry.size >= abs(entry.by_hand) * (1.0 - 1e-12)


@pytest.mark.parametrize("loss", [mse, bce])
@given(st.data())
def test_where_no_terms_meet_they_agree_digit_by_digit(loss, data):
    """In a chain of single neurons each number is one product, so nothing can cancel."""
    depth = data.draw(st.integers(1, 5))
    mlp = MLP(1, [1] * depth)
    number = st.floats(-10.0, 10.0)
    mlp.load_state_dict({name: data.draw(number) for name in mlp.state_dict()})
    x, y = data.draw(st.floats(-2.0, 2.0)), data.draw(st.sampled_from([0.0, 1.0]))
    for entry in compare(mlp, [x], y, loss).entries:
        assert entry.difference <= 1e-12 * abs(entry.by_hand) + sys.float_info.min


def test_the_engine_is_asked_for_what_training_would_use():
    """z.grad of one backward pass from the mean of the losses."""
    mlp, X, Y = MLP(2, [3, 2], seed=0), [[0.5, -1.0], [1.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]]
    report = compare(mlp, X, Y, bce)
    records = [mlp.forward(x) for x in X]
    nn.losses.mean([bce(r.output, y) for r, y in zip(records, Y, strict=True)]).backward()
    expected = {}
    for s, record in enumerate(records):
        for k, layer in enumerate(record.layers, start=1):
            expected |= {(s, f"δ[{k}][{i}]"): d for i, d in enumerate(layer.delta)}
    expected |= {(None, name): p.grad for name, p in mlp.named_parameters()}
    assert {(e.sample, e.name): e.engine for e in report.entries} == expected


def test_the_model_is_left_as_it_was():
    mlp = MLP(2, [3, 1], seed=0)
    fresh = compare(mlp, [0.5, -1.0], 1.0, mse).entries
    for k, parameter in enumerate(mlp.parameters()):
        parameter.grad = float(k)
    before = [(p.data, p.grad) for p in mlp.parameters()]
    assert compare(mlp, [0.5, -1.0], 1.0, mse).entries == fresh  # whatever gradients it has
    assert [(p.data, p.grad) for p in mlp.parameters()] == before


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(z=st.floats(-800.0, 800.0) | st.floats(-2.0, 2.0) | st.sampled_from([0.0, -0.0]))
def test_activations_have_the_bits_of_the_engines(name, z):
    a = Value(z) if name == "linear" else getattr(Value(z), name)()
    assert repr(ACTIVATIONS[name][0](z)) == repr(a.data)


def test_bce_is_refused_where_the_engine_holds_its_logarithm():
    """There the engine's gradient is not that of the formula: 0, and at the edge one half."""
    for p in (math.nextafter(TINY, 0.0), TINY, math.nextafter(TINY, 1.0), 0.5):
        a = Value(p)
        bce(a, 1.0).backward()
        if a.grad == pytest.approx(-1.0 / p):
            assert sum(COSTS["bce"]([p], [1.0])[0]) == a.grad
        else:
            with pytest.raises(FloatingPointError, match="bce_with_logits"):
                COSTS["bce"]([p], [1.0])
    assert a.grad == -2.0


@pytest.mark.parametrize("wrong", [lambda a: a, lambda a: a * (1.0 - a) * (1.0 + 1e-10)])
def test_a_wrong_formula_is_found(monkeypatch, wrong):
    monkeypatch.setitem(nn.delta.ACTIVATIONS, "sigmoid", (nn.delta.sigmoid, wrong))
    report = compare(MLP(2, [3, 1], seed=0), [0.5, -1.0], 1.0, mse)
    assert report.relative > 1e-11
    assert report.difference > 0.0


def test_nan_is_not_overlooked():
    report = compare(MLP(1, [2, 1], "relu", seed=0), [float("inf")], 0.0, mse)
    assert np.isnan(report.difference)
    assert "nan" in str(report)


def test_samples_targets_and_costs_may_be_given_in_several_ways():
    mlp = MLP(2, [3, 2], ["tanh", "linear"], seed=0)
    X, Y = [[0.5, -1.0], [1.0, 2.0]], [1, 0]
    expected = compare(mlp, X, Y, cross_entropy).entries
    for x, y, cost in [
        (np.array(X), np.array(Y), cross_entropy),
        (tuple(map(tuple, X)), tuple(Y), "cross_entropy"),
        ([np.array(x) for x in X], [[0.0, 1.0], np.array([1.0, 0.0])], cross_entropy),
    ]:
        pairs = zip(compare(mlp, x, y, cost).entries, expected, strict=True)
        for one, other in pairs:
            assert one.by_hand == other.by_hand
            assert one.engine == pytest.approx(other.engine, rel=1e-12)
    assert compare(mlp, X[:1], Y[:1], cross_entropy).entries == (
        compare(mlp, X[0], Y[0], cross_entropy).entries
    )


# --- by hand and by mpmath ------------------------------------------------------------------------


def exact_sigmoid(z):
    return 1 / (1 + mp.exp(-z))


EXACT_ACTIVATIONS = {
    "sigmoid": exact_sigmoid,
    "tanh": mp.tanh,
    "relu": lambda z: max(z, mp.mpf(0)),
    "linear": lambda z: z,
}


def exact_bce(p, t):
    return -(t * mp.log(p) + (1 - t) * mp.log(1 - p))


def exact_cost(loss, a, y):
    if loss is cross_entropy:
        return mp.log(mp.fsum(mp.exp(a_k) for a_k in a)) - a[y]
    of_one = {
        mse: lambda a, y: (a - y) ** 2,
        bce: exact_bce,
        bce_with_logits: lambda a, y: exact_bce(exact_sigmoid(a), y),
    }[loss]
    return mp.fsum(of_one(a_k, mp.mpf(y_k)) for a_k, y_k in zip(a, y, strict=True)) / len(a)


def exact_mean_cost(mlp, state, X, Y, loss, nudge=None):
    """The cost, after adding h to one z, where ``nudge`` is (sample, layer, neuron, h)."""
    costs = []
    for s, (x, y) in enumerate(zip(X, Y, strict=True)):
        a = [mp.mpf(x_j) for x_j in x]
        for k, layer in enumerate(mlp.layers, start=1):
            z = []
            for i in range(len(layer.neurons)):
                products = (state[f"w[{k}][{i}][{j}]"] * a_j for j, a_j in enumerate(a))
                z.append(mp.fsum(products) + state[f"b[{k}][{i}]"])
            if nudge and nudge[:2] == (s, k):
                z[nudge[2]] += nudge[3]
            a = [EXACT_ACTIVATIONS[layer.activation](z_i) for z_i in z]
        costs.append(exact_cost(loss, a, y))
    return mp.fsum(costs) / len(costs)


@pytest.mark.parametrize("loss", LOSSES)
@settings(max_examples=25)
@given(st.data())
def test_by_hand_is_the_derivative_of_the_cost(loss, data):
    mlp, X, Y = data.draw(problems(loss, 1.0, most_layers=3, most_samples=2))
    assume(all(layer.activation != "relu" for layer in mlp.layers))  # which has a kink at 0
    state = {name: mp.mpf(x) for name, x in mlp.state_dict().items()}
    result, h = by_hand(mlp, X, Y, loss), mp.mpf(10) ** -40

    def slope(of):
        return float((of(h) - of(-h)) / (2 * h))

    def of_parameter(name):
        return lambda h: exact_mean_cost(mlp, state | {name: state[name] + h}, X, Y, loss)

    def of_z(*place):
        return lambda h: exact_mean_cost(mlp, state, X, Y, loss, (*place, h))

    close = {"rel": 1e-10, "abs": 1e-12}
    for k, layer in enumerate(mlp.layers, start=1):
        for i, neuron in enumerate(layer.neurons):
            for s in range(len(X)):
                truth = slope(of_z(s, k, i))
                assert result.delta[s][k][i] == pytest.approx(truth, **close)
            assert result.grad_b[k][i] == pytest.approx(
                slope(of_parameter(f"b[{k}][{i}]")), **close
            )
            for j in range(len(neuron.w)):
                truth = slope(of_parameter(f"w[{k}][{i}][{j}]"))
                assert result.grad_w[k][i][j] == pytest.approx(truth, **close)


def test_relu_by_hand():
    W, b = [[[1.0], [-1.0]], [[2.0, 3.0]]], [[0.0, 0.0], [0.0]]
    result = backprop(W, b, [[5.0]], [9.0], "mse", ["relu", "linear"])
    assert result.a == [{0: [5.0], 1: [5.0, 0.0], 2: [10.0]}]
    assert result.z == [{1: [5.0, -5.0], 2: [10.0]}]
    assert result.delta == [{2: [2.0], 1: [4.0, 0.0]}]  # 2(a − y); the second neuron is off
    assert result.grad_w == {2: [[10.0, 0.0]], 1: [[20.0], [0.0]]}
    assert result.grad_b == {2: [2.0], 1: [4.0, 0.0]}


@given(st.floats(-30.0, 30.0), st.floats(0.0, 1.0))
def test_cross_entropy_cancels_the_slope_of_the_sigmoid(z, y):
    result = backprop([[[1.0]]], [[z]], [[0.0]], [y], "bce")
    a = result.a[0][1]
    size = y * (1 - a[0]) + (1 - y) * a[0]  # of the two terms whose sum δ is
    assert abs(result.delta[0][1][0] - cancelled(a, [y])[0]) <= 1e-15 * size + 2**-53 * abs(
        a[0] - y
    )


@given(st.lists(st.tuples(st.floats(-5.0, 5.0), st.floats(0.0, 1.0)), min_size=1, max_size=4))
def test_so_it_does_with_several_outputs(outputs):
    z, y = map(list, zip(*outputs, strict=True))
    result = backprop([[[1.0]] * len(z)], [z], [[0.0]], [y], "bce")
    assert result.delta[0][1] == pytest.approx(cancelled(result.a[0][1], y), rel=1e-9, abs=1e-12)


def test_a_batch_is_the_mean_of_its_samples():
    mlp, X, Y = MLP(2, [3, 1], seed=0), [[0.5, -1.0], [1.0, 2.0], [0.0, 0.0]], [1.0, 0.0, 0.5]
    batch = by_hand(mlp, X, Y, mse)
    singles = [by_hand(mlp, [x], [y], mse) for x, y in zip(X, Y, strict=True)]
    for k in (1, 2):
        mean = np.mean([single.grad_w[k] for single in singles], axis=0)
        np.testing.assert_allclose(batch.grad_w[k], mean, rtol=1e-12)
        for s, single in enumerate(singles):
            np.testing.assert_allclose(batch.delta[s][k], np.divide(single.delta[0][k], 3), 1e-12)


def test_the_textbook_runs_where_there_is_no_engine():
    program = """
import importlib.util, sys
sys.modules["autograd_bp"] = sys.modules["nn"] = sys.modules["numpy"] = None  # imports now fail
spec = importlib.util.spec_from_file_location("delta", sys.argv[1])
delta = sys.modules["delta"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(delta)
for cost in delta.COSTS:
    result = delta.backprop([[[1.0], [2.0]]], [[0.0, 0.0]], [[0.0]], [[1.0, 0.0]], cost)
    assert len(result.delta[0][1]) == 2
"""
    subprocess.run([sys.executable, "-c", program, nn.delta.__file__], check=True)


# --- what the report says -------------------------------------------------------------------------


def test_the_report_is_a_table():
    report = compare(MLP(2, [3, 1], seed=0), [0.5, -1.0], 1.0, mse)
    lines = str(report).splitlines()
    assert lines[0].startswith("MLP(2, [3, 1], activation='sigmoid'), mse, 1 sample:")
    each = lines[2:7]
    assert each[0].split()[-2:] == ["difference", "relative"]
    assert [line.split()[:2] for line in each[1:]] == [
        ["0", "δ[2][0]"], ["0", "δ[1][0]"], ["0", "δ[1][1]"], ["0", "δ[1][2]"],
    ]  # fmt: skip
    assert len({len(line) for line in each}) == 1
    for line, entry in zip(each[1:], [e for e in report.entries if e.kind == "δ"], strict=True):
        assert float(line.split()[2]) == pytest.approx(entry.by_hand, rel=1e-11)
        assert float(line.split()[3]) == pytest.approx(entry.engine, rel=1e-11)
    groups = [line.split()[:3] for line in lines[9:15]]
    assert groups == [
        ["2", "δ", "1"], ["2", "∂C/∂w", "3"], ["2", "∂C/∂b", "1"],
        ["1", "δ", "3"], ["1", "∂C/∂w", "6"], ["1", "∂C/∂b", "3"],
    ]  # fmt: skip
    assert repr(report) == str(report)


def test_a_batch_is_shown_sample_by_sample_with_all_layers():
    report = compare(MLP(1, [2, 1], seed=0), [[0.5], [1.0]], [1.0, 0.0], mse)
    shown = [line.split()[:2] for line in str(report).splitlines()[3:9]]
    assert shown == [[s, name] for s in "01" for name in ("δ[2][0]", "δ[1][0]", "δ[1][1]")]


def test_zeros_have_no_sign_in_the_report():
    report = compare(MLP(1, [1], "relu"), [0.0], 1.0, mse)  # −2·0
    assert str(report.entries[0].by_hand) == "-0.0"
    assert "-0" not in str(report).split()


def test_infinities_that_agree_do_not_differ():
    entry = Entry("w[1][0][0]", "∂C/∂w", 1, None, math.inf, math.inf, math.inf)
    assert entry.difference == 0.0


@pytest.mark.parametrize(("hidden", "left_out"), [(19, False), (20, True)])
def test_a_report_that_is_just_long_enough(hidden, left_out):
    report = compare(MLP(1, [hidden, 1], seed=0), [0.5], 1.0, mse)
    assert ("more δ are in" in str(report)) == left_out


def test_the_title_counts_samples():
    one, two = ([[0.5]], [1.0]), ([[0.5], [1.0]], [1.0, 0.0])
    assert ", 1 sample:" in str(compare(MLP(1, [1], seed=0), *one, mse))
    assert ", 2 samples:" in str(compare(MLP(1, [1], seed=0), *two, mse))


def test_a_long_report_says_what_it_leaves_out():
    report = compare(MLP(2, [30, 1], seed=0), [0.5, -1.0], 1.0, mse)
    assert "11 more δ are in .entries" in str(report)
    assert str(report).count("δ[1][") == 19


class Cells(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.cells, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.cells.append(data)


def test_notebooks_show_the_same_cells_escaped():
    class Hostile(MLP):
        def __repr__(self):
            return "<script>alert('&')</script>"

    report = compare(Hostile(2, [3, 1], seed=0), [0.5, -1.0], 1.0, mse)
    page = Cells(report._repr_html_())
    assert set(page.tags) == {"p", "table", "tr", "th", "td"}
    assert page.tags.count("table") == 2
    assert "<script>alert('&')</script>, mse, 1 sample: by hand and by the engine" in page.cells
    words = " ".join(page.cells).split()
    assert words == str(report).split()


# --- what does not fit ----------------------------------------------------------------------------

ONE = MLP(2, [3, 1], seed=0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("mlp", [1.0, 2.0], 1.0, mse), TypeError, "mlp must be an nn.MLP, got 'mlp'"),
        ((ONE, [1.0, 2.0], 1.0, hinge), ValueError, "cost must be nn.mse.*got <function hinge"),
        ((ONE, [1.0, 2.0], 1.0, "MSE"), ValueError, "cost must be nn.mse.*got 'MSE'"),
        ((ONE, [1.0, 2.0], 1.0, lambda a, y: a), ValueError, "cost must be nn.mse"),
        ((ONE, 1.0, 1.0, mse), TypeError, "x must be a list of numbers, or .*got 1.0"),
        ((ONE, [1.0], 1.0, mse), ValueError, "takes one sample x, a list of 2"),
        ((ONE, [], 1.0, mse), ValueError, "takes one sample x, a list of 2"),
        ((ONE, [[1.0, 2.0]], 1.0, mse), ValueError, "y must be a list of as many; got 1.0"),
        ((ONE, [[1.0, 2.0]], [1.0, 2.0], mse), ValueError, "x holds 1 samples"),
        ((ONE, [[1.0, 2.0], 3.0], [1.0, 1.0], mse), TypeError, "list of 2 numbers.*got 3.0$"),
        ((ONE, [1.0, Value(2.0)], 1.0, mse), TypeError, r"X\[0\] must be .*Of a Value take its"),
        ((ONE, [1.0, 2.0], Value(1.0), mse), TypeError, r"Y\[0\] must be .*Of a Value take its"),
        ((MLP(2, [1], "gelu"), [1.0, 2.0], 1.0, mse), ValueError, "'gelu' is not among .*sigmoid"),
        ((MLP(2, [1], "linear"), [9.0, 9.0], 2.0, bce), ValueError, "bce"),
    ],
)
def test_what_compare_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        compare(*arguments)


def test_a_function_that_only_has_the_name_of_a_loss_is_refused():
    def mse(outputs, targets):
        return outputs

    with pytest.raises(ValueError, match="cost must be"):
        compare(ONE, [1.0, 2.0], 1.0, mse)


def test_compare_needs_a_graph():
    with no_grad(), pytest.raises(RuntimeError, match="outside of no_grad"):
        compare(ONE, [1.0, 2.0], 1.0, mse)


W1, B1 = [[[1.0, 2.0]]], [[0.5]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((W1, [], [[1.0, 2.0]], [1.0]), ValueError, "W and b must have an entry for each layer"),
        (([], [], [[1.0, 2.0]], [1.0]), ValueError, "at least one; got 0 and 0"),
        (([[1.0, 2.0]], B1, [[1.0, 2.0]], [1.0]), ValueError, r"W\[0\] must be a matrix"),
        (([[[1.0, 2.0], 3.0]], [[0.5, 0.5]], [[1.0, 2.0]], [1.0]), ValueError, r"W\[0\]\[1\] must"),
        (([[[1.0, 2.0], []]], [[0.5, 0.5]], [[1.0, 2.0]], [1.0]), ValueError, r"W\[0\]\[1\] must"),
        (
            ([[[1.0], [1.0, 2.0]]], [[0.5] * 2], [[1.0]], [1.0]),
            ValueError,
            r"W\[0\]\[1\] must .* 1",
        ),
        ((W1 + W1, B1 + B1, [[1.0, 2.0]], [1.0]), ValueError, r"W\[1\]\[0\] must be .* 1 numbers"),
        ((W1, [[1.0, 2.0]], [[1.0, 2.0]], [1.0]), ValueError, r"b\[0\] must be a list of 1"),
        ((W1, B1, [[1.0]], [1.0]), ValueError, r"X\[0\] must be a list of 2 numbers"),
        ((W1, B1, [1.0, 2.0], [1.0, 2.0]), ValueError, r"X\[0\] must be a list of 2 .*got 1.0"),
        ((W1, B1, [["1", 2.0]], [1.0]), TypeError, r"X\[0\] .* holds '1' of type str"),
        ((W1, B1, [[1.0, 2.0]], []), ValueError, "as many samples.*got 1 and 0.*write"),
        ((W1, B1, [], []), ValueError, "at least one; got 0 and 0"),
        ((W1, B1, [[1.0, 2.0]], [[1.0, 2.0]]), ValueError, r"Y\[0\] must be a list of 1"),
        ((W1, B1, [[1.0, 2.0]], [1.0], "hinge"), ValueError, "cost must be one of mse.*'hinge'"),
        ((W1, B1, [[1.0, 2.0]], [1], "cross_entropy"), ValueError, r"Y\[0\] .* class, 0 to 0"),
        ((W1, B1, [[1.0, 2.0]], [-1], "cross_entropy"), ValueError, r"Y\[0\] .* class, 0 to 0"),
        ((W1, B1, [[1.0, 2.0]], [1.0], "mse", "gelu"), ValueError, "'gelu' is not among"),
        ((W1, B1, [[1.0, 2.0]], [1.0], "mse", ["relu"] * 2), ValueError, r"one per layer \(1\)"),
    ],
)
def test_what_backprop_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        backprop(*arguments)


@pytest.mark.parametrize(
    "unequal",
    [
        *(lambda cost=cost: cost([0.5, 0.5], [1.0]) for cost in COSTS.values()),
        lambda: cancelled([0.5, 0.5], [1.0]),
        lambda: feedforward({1: [[1.0, 2.0]]}, {1: [0.0]}, [1.0], {1: "relu"}),
        lambda: feedforward({1: [[1.0], [2.0]]}, {1: [0.0]}, [1.0], {1: "relu"}),
        lambda: deltas({1: [[1.0]]}, [1.0, 2.0], {1: [1.0]}),
        lambda: deltas({1: [[1.0]], 2: [[1.0], [1.0, 2.0]]}, [1.0, 1.0], {1: [1.0], 2: [1.0, 1.0]}),
    ],
)
def test_vectors_of_unequal_length_do_not_pass_for_shorter_ones(unequal):
    with pytest.raises(ValueError, match="zip"):
        unequal()


def test_an_infinite_cost_is_refused_with_the_way_out():
    with pytest.raises(FloatingPointError, match="bce_with_logits"):
        backprop([[[1.0]]], [[0.0]], [[800.0]], [0.0], "bce")
    assert backprop([[[1.0]]], [[0.0]], [[800.0]], [1.0], "bce").delta[0][1] == [0.0]
    logit = backprop([[[1.0]]], [[0.0]], [[800.0]], [0.0], "bce_with_logits", "linear")
    assert logit.delta[0][1] == [1.0]  # a − y


def test_every_cost_that_is_written_by_hand_is_a_loss():
    assert {getattr(nn.losses, name) for name in COSTS} == set(LOSSES)
    assert set(nn.delta.__all__) <= set(vars(nn.delta))
