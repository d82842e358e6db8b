import copy
import math
import pickle
import random
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nn
from autograd_bp import Value, topological_order
from nn import MLP, Layer, Module, Neuron, Record
from nn.modules import ACTIVATIONS, uninterrupted

weights = st.floats(-3.0, 3.0)


@st.composite
def sigmoid_mlps(draw):
    """A sigmoid MLP with weights and biases from a sane range, and a sample."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=6))
    mlp = MLP(sizes[0], sizes[1:])
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    mlp.load_state_dict({name: float(rng.normal(0, 1.5)) for name in mlp.state_dict()})
    return mlp, draw(st.lists(weights, min_size=sizes[0], max_size=sizes[0]))


def matrices(mlp):
    """W[k], b[k] of every layer, by the number of the layer."""
    state = mlp.state_dict()
    W, b, nin = {}, {}, mlp.layers[0].nin
    for k, layer in enumerate(mlp.layers, start=1):
        nout = len(layer.neurons)
        W[k] = np.array([[state[f"w[{k}][{i}][{j}]"] for j in range(nin)] for i in range(nout)])
        b[k] = np.array([state[f"b[{k}][{i}]"] for i in range(nout)])
        nin = nout
    return W, b


# --- the textbook ---------------------------------------------------------------------------------


@settings(deadline=None)
@given(sigmoid_mlps())
def test_delta_and_gradients_are_those_of_the_textbook_recursion(drawn):
    mlp, x = drawn
    W, b = matrices(mlp)
    L = len(W)
    target = np.linspace(0.0, 1.0, len(b[L]))

    a = {0: np.array(x)}
    for k in range(1, L + 1):
        a[k] = 1 / (1 + np.exp(-(W[k] @ a[k - 1] + b[k])))
    delta = {L: (a[L] - target) * a[L] * (1 - a[L])}  # C = ½ Σ (a − t)²
    for k in range(L - 1, 0, -1):
        delta[k] = (W[k + 1].T @ delta[k + 1]) * a[k] * (1 - a[k])

    record = mlp.forward(x)
    out = record.output if isinstance(record.output, list) else [record.output]
    cost = 0.5 * sum((o - float(t)) ** 2 for o, t in zip(out, target, strict=True))
    cost.backward()
    gradients = {name: p.grad for name, p in mlp.named_parameters()}
    for k in range(1, L + 1):
        np.testing.assert_allclose(record.layers[k - 1].delta, delta[k], rtol=1e-11, atol=1e-16)
        for i, j in np.ndindex(W[k].shape):
            expected = pytest.approx(delta[k][i] * a[k - 1][j], rel=1e-11, abs=1e-16)
            assert gradients[f"w[{k}][{i}][{j}]"] == expected
        for i in range(len(b[k])):
            assert gradients[f"b[{k}][{i}]"] == pytest.approx(delta[k][i], rel=1e-11, abs=1e-16)


@settings(deadline=None)
@given(sigmoid_mlps())
def test_a_call_and_forward_agree(drawn):
    mlp, x = drawn
    called = mlp(x)
    recorded = mlp.forward(x).output
    several = len(mlp.layers[-1].neurons) > 1
    assert isinstance(called, list) == isinstance(recorded, list) == several
    pairs = zip(called, recorded, strict=True) if several else [(called, recorded)]
    for one, other in pairs:
        assert one.data == other.data
        assert [n.op for n in topological_order(one)] == [n.op for n in topological_order(other)]


# --- the graph that a person sees -----------------------------------------------------------------


def test_a_neuron_is_two_nodes_and_labels_say_which():
    mlp = MLP(2, [3, 1], activation="tanh", seed=0)
    x = [Value(1.0, "x[0]"), Value(-1.0, "x[1]")]
    nodes = topological_order(mlp(x))
    expected = {"x[0]", "x[1]"}
    for k, nin, nout in ((1, 2, 3), (2, 3, 1)):
        for i in range(nout):
            expected |= {f"z[{k}][{i}]", f"a[{k}][{i}]", f"b[{k}][{i}]"}
            expected |= {f"w[{k}][{i}][{j}]" for j in range(nin)}
    assert len(nodes) == len(expected)
    assert {node.label for node in nodes} == expected
    for node in nodes:
        assert node.op == {"z": "dot", "a": "tanh"}.get(node.label[0], "")


def test_scopes_group_the_layers_of_forward_only():
    mlp = MLP(2, [3, 1], seed=0)
    record = mlp.forward([1.0, 2.0])
    for number, layer in enumerate(record.layers, start=1):
        assert {node.scope for node in layer.z + layer.a} == {f"layer {number}"}
    assert {node.scope for node in topological_order(mlp([1.0, 2.0]))} == {""}


def test_linear_layers_have_one_node_per_neuron():
    record = MLP(2, [2, 1], activation=["tanh", "linear"], seed=0).forward([1.0, 2.0])
    assert record.layers[1].a[0] is record.layers[1].z[0]
    assert record.output.label == "z[2][0]"
    assert record.layers[0].a[0] is not record.layers[0].z[0]


def test_record_has_the_input_and_every_layer():
    x = [Value(0.5), Value(-1.0)]
    record = MLP(2, [3, 2], seed=0).forward(x)
    assert isinstance(record, Record)
    assert record.x == x
    assert [len(layer.z) for layer in record.layers] == [3, 2]
    assert record.output is record.layers[1].a


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "linear"])
def test_every_activation_is_applied_to_z(name):
    neuron = Neuron(1, name, seed=0)
    neuron.w[0].data, neuron.b.data = 0.25, 0.5  # z = 0.75 is in the domain of all
    z, a = neuron.forward([1.0])
    assert z[0].data == 0.75
    assert a[0].data == getattr(Value(0.75), name)().data
    assert a[0].parents == (z[0],)


def test_activations_are_the_usual_ones_at_least():
    assert {"sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "linear"} <= set(
        ACTIVATIONS
    )
    assert not {"", "+", "neg", "dot", "clip", "maximum"} & set(ACTIVATIONS)


def test_parts_work_alone():
    layer = Layer(2, 1, "linear", seed=0, number=4)
    (a,) = layer([1.0, 2.0])
    assert a.label == "z[4][0]"
    neuron = Neuron(2, "linear", layer=3, index=7, seed=0)
    w0, w1, b = neuron.parameters()
    assert [p.label for p in (w0, w1, b)] == ["w[3][7][0]", "w[3][7][1]", "b[3][7]"]
    assert neuron([2.0, 3.0]).data == b.data + w0.data * 2.0 + w1.data * 3.0


def test_numpy_rows_and_values_are_inputs():
    mlp = MLP(3, [2, 2], seed=0)
    plain = [v.data for v in mlp([1.0, 2.0, 3.0])]
    for x in (
        np.array([1.0, 2.0, 3.0]),
        np.array([1, 2, 3]),
        np.array([1.0, 2.0, 3.0], dtype=np.float32),
        np.array([Value(1.0), Value(2.0), Value(3.0)], dtype=object),
        list(np.array([1.0, 2.0, 3.0])),
        (1, 2, 3),
    ):
        assert [v.data for v in mlp(x)] == plain
        assert [v.data for v in mlp.forward(x).output] == plain


# --- first weights --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activation", "bound"),
    [
        ("sigmoid", math.sqrt(6 / 140)),
        ("tanh", math.sqrt(6 / 140)),
        ("linear", math.sqrt(6 / 140)),
        ("relu", math.sqrt(6 / 100)),
        ("leaky_relu", math.sqrt(6 / 100)),
        ("gelu", math.sqrt(6 / 100)),
    ],
)
def test_weights_start_as_glorot_or_he(activation, bound):
    layer = Layer(100, 40, activation, seed=0)
    w = np.array([p.data for neuron in layer.neurons for p in neuron.w])
    assert np.abs(w).max() <= bound
    assert np.abs(w).max() > 0.99 * bound
    # 4,000 draws: the standard error of the mean is bound/110, that of the variance 1.5 %.
    assert abs(w.mean()) < bound / 25
    assert w.var() == pytest.approx(bound**2 / 3, rel=0.06)
    assert {neuron.b.data for neuron in layer.neurons} == {0.0}


def test_seeds_reproduce():
    state = MLP(3, [4, 2], seed=7).state_dict()
    assert MLP(3, [4, 2], seed=7).state_dict() == state
    assert MLP(3, [4, 2], seed=random.Random(7)).state_dict() == state
    assert MLP(3, [4, 2], seed=8).state_dict() != state
    assert MLP(3, [4, 2]).state_dict() != MLP(3, [4, 2]).state_dict()


# --- parameters and state -------------------------------------------------------------------------


def test_parameters_and_names_are_in_the_same_order():
    mlp = MLP(2, [2, 1], seed=0)
    names = "w[1][0][0] w[1][0][1] b[1][0] w[1][1][0] w[1][1][1] b[1][1] "
    names += "w[2][0][0] w[2][0][1] b[2][0]"
    named = list(mlp.named_parameters())
    assert [name for name, _ in named] == names.split()
    assert [p for _, p in named] == mlp.parameters()


def test_zero_grad():
    mlp = MLP(2, [2, 1], seed=0)
    mlp([1.0, 2.0]).backward()
    assert any(p.grad for p in mlp.parameters())
    mlp.zero_grad()
    assert not any(p.grad for p in mlp.parameters())


@settings(deadline=None)
@given(sigmoid_mlps(), st.data())
def test_state_goes_round_and_a_bad_one_changes_nothing(drawn, data):
    mlp, _ = drawn
    state = mlp.state_dict()
    twin = MLP(mlp.layers[0].nin, [len(layer.neurons) for layer in mlp.layers], seed=1)
    twin.load_state_dict(state)
    assert twin.state_dict() == state

    spoiled = {name: data + 1.0 for name, data in state.items()}
    name = data.draw(st.sampled_from(sorted(state)))
    how = data.draw(
        st.sampled_from(["missing", "unexpected", "nan", "inf", "text", "none", "bool"])
    )
    if how == "missing":
        del spoiled[name]
        error, match = ValueError, rf"missing {name.replace('[', '.').replace(']', '.')}"
    elif how == "unexpected":
        spoiled["w[9][9][9]"] = 1.0
        error, match = ValueError, r"unexpected w.9..9..9."
    else:
        bad = {"nan": math.nan, "inf": -math.inf, "text": "1.0", "none": None, "bool": True}[how]
        spoiled[name] = bad
        error = ValueError if how in ("nan", "inf") else TypeError
        match = name.replace("[", ".").replace("]", ".")
    with pytest.raises(error, match=match):
        twin.load_state_dict(spoiled)
    assert twin.state_dict() == state


def test_numpy_scalars_load():
    mlp = MLP(1, [1], seed=0)
    mlp.load_state_dict({"w[1][0][0]": np.float64(2.0), "b[1][0]": np.float32(0.5)})
    assert mlp.state_dict() == {"w[1][0][0]": 2.0, "b[1][0]": 0.5}


def test_state_must_be_a_mapping():
    with pytest.raises(TypeError, match="state must be a dict"):
        MLP(1, [1]).load_state_dict([1.0, 2.0])


def test_modules_copy_and_pickle():
    mlp = MLP(2, [3, 1], activation=["relu", "linear"], seed=0)
    for twin in (copy.deepcopy(mlp), pickle.loads(pickle.dumps(mlp))):
        assert twin([1.0, 2.0]).data == mlp([1.0, 2.0]).data
        assert twin.parameters()[0] is not mlp.parameters()[0]
        twin.parameters()[0].data += 1.0
        assert twin.state_dict() != mlp.state_dict()


def test_reprs_say_how_to_make_them():
    for text in (
        "MLP(2, [16, 1], activation='relu')",
        "MLP(2, [16, 1], activation=['relu', 'linear'])",
        "Layer(2, 3, 'tanh')",
        "Neuron(2, 'sigmoid')",
    ):
        assert repr(eval(text)) == text


class Pair(Module):
    """Two MLPs, whose parameters have the same labels."""

    def __init__(self):
        self.parts = [MLP(1, [1], seed=0), MLP(1, [1], seed=1)]

    def parameters(self):
        return [p for part in self.parts for p in part.parameters()]


def test_parameters_that_cannot_be_told_apart_have_no_state():
    with pytest.raises(ValueError, match=r"two have the label 'w\[1\]\[0\]\[0\]'"):
        Pair().state_dict()
    pair = Pair()
    pair.parameters()[0].label = ""
    with pytest.raises(ValueError, match="has no label"):
        pair.state_dict()


def test_a_module_must_say_its_parameters_and_output():
    with pytest.raises(NotImplementedError, match="define parameters"):
        Module().parameters()
    with pytest.raises(NotImplementedError, match="__call__"):
        Module()([1.0])


# --- errors that teach ----------------------------------------------------------------------------


@pytest.mark.parametrize("call", [lambda m, x: m(x), lambda m, x: m.forward(x)])
@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        ([1.0], ValueError, r"a list of 2 numbers or Values; got 1: \[1.0\]"),
        ([1.0, 2.0, 3.0], ValueError, "got 3"),
        ([], ValueError, "got 0"),
        ([[1.0, 2.0], [3.0, 4.0]], ValueError, "got a table.*nn.outputs"),
        (np.ones((5, 2)), ValueError, "got a table"),
        (np.ones(3), ValueError, "got 3"),
        (np.float64(1.0), TypeError, "x must be a list of 2"),
        (1.0, TypeError, "x must be a list of 2"),
        (Value(1.0), TypeError, "x must be a list of 2"),
        (None, TypeError, "x must be a list of 2"),
        ("ab", TypeError, "x must be a list of 2"),
        (["a", "b"], TypeError, "must be a real number.*got 'a'"),
        ([None, 1.0], TypeError, "real number"),
    ],
)
def test_inputs_that_do_not_fit(call, x, error, match):
    for module in (MLP(2, [1], seed=0), Layer(2, 1, seed=0), Neuron(2, seed=0)):
        with pytest.raises(error, match=match):
            call(module, x)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((0, [1]), ValueError, "nin must be 1 or more, got 0"),
        ((2.0, [1]), TypeError, "nin must be a whole number, got 2.0"),
        ((True, [1]), TypeError, "nin must be a whole number"),
        ((2, 1), TypeError, r"nouts must be a list.*write \[16, 1\]"),
        ((2, "16"), TypeError, "nouts must be a list"),
        ((2, []), ValueError, "nouts is empty"),
        ((2, [3, 0]), ValueError, r"nouts\[1\] must be 1 or more"),
        ((2, [1], "Sigmoid"), ValueError, "activation must be one of sigmoid|.*got 'Sigmoid'"),
        ((2, [1], "maximum"), ValueError, "got 'maximum'"),
        ((2, [3, 1], ["tanh"]), ValueError, r"one per layer \(2\)"),
    ],
)
def test_shapes_that_do_not_make_an_mlp(arguments, error, match):
    with pytest.raises(error, match=match):
        MLP(*arguments)


# --- Ctrl-C ---------------------------------------------------------------------------------------


def test_ctrl_c_waits_for_the_end_of_what_must_not_be_interrupted():
    usual = signal.getsignal(signal.SIGINT)
    reached = []

    def interrupted():
        with uninterrupted():
            for i in range(1000):  # without the guard Python raises within a few rounds
                if i == 0:
                    signal.raise_signal(signal.SIGINT)
                reached.append(i)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached == list(range(1000))
    assert signal.getsignal(signal.SIGINT) is usual


def test_ctrl_c_leaves_no_state_half_loaded():
    walks = []

    class Interrupted(MLP):
        def named_parameters(self):
            walks.append("the first compares the names, the second sets the data")
            for i, named in enumerate(super().named_parameters()):
                if len(walks) == 2 and i == 3:
                    signal.raise_signal(signal.SIGINT)
                yield named

    mlp = Interrupted(2, [2, 1], seed=0)
    state = MLP(2, [2, 1], seed=1).state_dict()
    with pytest.raises(KeyboardInterrupt):
        mlp.load_state_dict(state)
    assert len(walks) == 2
    assert mlp.state_dict() == state


def test_threads_that_get_no_ctrl_c_need_no_guard():
    passed = []

    def run():
        with uninterrupted():
            passed.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert passed == [signal.getsignal(signal.SIGINT)]


def test_activation_must_be_names():
    with pytest.raises(TypeError, match=r"activation must be a name.*got None.*linear"):
        MLP(2, [3, 1], None)


# --- the package ----------------------------------------------------------------------------------


def test_names_of_the_package_are_found_when_they_are_asked_for():
    code = (
        "import sys, nn\n"
        "assert not {'nn.modules', 'autograd_bp'} & set(sys.modules)\n"
        "from nn import *\n"
        "assert set(nn.__all__) <= set(globals()) and set(nn.__all__) <= set(dir(nn))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert nn.saving.load is nn.load
    with pytest.raises(AttributeError, match="module 'nn' has no attribute 'transformers'"):
        nn.transformers  # noqa: B018
