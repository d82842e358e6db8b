"""MLPs as ONNX files, held against ONNX Runtime, and as modules of PyTorch."""

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_bp import gradients, mean
from nn import MLP, bce_with_logits, cross_entropy, mse, outputs
from nn.export import NOT_IN_ONNX, TORCH, from_torch, to_onnx, to_torch
from nn.modules import ACTIVATIONS

pytestmark = pytest.mark.one_engine

IN_ONNX = [name for name in ACTIVATIONS if name not in NOT_IN_ONNX]
POSITIVE = {"log", "log1p", "log2", "log10", "sqrt"}  # activations whose z is kept above 0
SINGLE = {"gelu", "erf", "erfc"}  # ONNX Runtime has erf in single precision only

NETWORKS = st.builds(
    lambda sizes, names, seed: MLP(
        sizes[0], sizes[1:], activation=names[: len(sizes) - 1], seed=seed
    ),
    st.lists(st.integers(1, 4), min_size=2, max_size=4),
    st.lists(st.sampled_from(["linear", *TORCH]), min_size=3, max_size=3),
    st.integers(0, 1000),
)


def with_biases(mlp, seed=0):
    """The network with biases that are not all 0."""
    rng = np.random.default_rng(seed)
    for name, p in mlp.named_parameters():
        if name.startswith("b"):
            p.data = rng.uniform(-1, 1)
    return mlp


def table(mlp, X):
    """The outputs that the engine finds, as an array (samples, outputs)."""
    return np.array(outputs(mlp, X)).reshape(len(X), -1)


# --- ONNX -----------------------------------------------------------------------------------------


def run(path, X):
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (y,) = session.run(["y"], {"x": X})
    return y


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("onnx")
    return tmp_path_factory.mktemp("onnx")


@pytest.mark.parametrize("name", IN_ONNX)
def test_each_activation_in_onnx_runtime(name, folder):
    X = np.concatenate([np.linspace(-6, 6, 200), [0.0, -0.0, 1e-9, -1e-9, 30.0, -30.0, 1e-300]])
    X = (np.abs(X) + 1e-3 if name in POSITIVE else X)[:, None]
    mlp = MLP(1, [1], activation=name)
    mlp.load_state_dict({"w[1][0][0]": 1.0, "b[1][0]": 0.0})
    found = run(to_onnx(mlp, folder / "one.onnx"), X)
    expected = table(mlp, X)
    tolerance = 2e-7 if name in SINGLE else 1e-14
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@settings(max_examples=30)
@given(NETWORKS, st.integers(1, 5))
def test_networks_in_onnx_runtime(folder, mlp, n):
    with_biases(mlp)
    X = np.random.default_rng(n).normal(size=(n, mlp.layers[0].nin))
    found = run(to_onnx(mlp, folder / "any.onnx"), X)
    assert found.shape == (n, len(mlp.layers[-1].neurons))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, table(mlp, X), rtol=1e-6, atol=1e-6)


def test_the_arrays_have_the_names_of_saved_ones(folder):
    import onnx

    mlp = with_biases(MLP(2, [3, 1], activation=["tanh", "linear"], seed=0))
    model = onnx.load(to_onnx(mlp, folder / "sub" / "named.onnx"))  # folders are made
    arrays = {a.name: onnx.numpy_helper.to_array(a) for a in model.graph.initializer}
    assert {name: a.shape for name, a in arrays.items()} == {
        "w[1]": (3, 2), "b[1]": (3,), "w[2]": (1, 3), "b[2]": (1,)
    }  # fmt: skip
    assert arrays["w[1]"][2, 1] == mlp.layers[0].neurons[2].w[1].data
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Tanh", "Gemm"]
    assert [node.output[0] for node in model.graph.node] == ["z[1]", "a[1]", "y"]


@pytest.mark.parametrize("name", NOT_IN_ONNX)
def test_activations_that_onnx_lacks_are_refused(name, folder):
    old = to_onnx(MLP(1, [1], seed=0), folder / "kept.onnx").read_bytes()
    with pytest.raises(ValueError, match=f"no '{name}' in double.*linear.*softplus"):
        to_onnx(MLP(1, [2, 1], activation=["tanh", name]), folder / "kept.onnx")
    assert (folder / "kept.onnx").read_bytes() == old
    assert not list(folder.glob(".*"))


def test_other_suffixes_are_refused(folder):
    with pytest.raises(ValueError, match=r"path must end in \.onnx, got .*mlp\.txt"):
        to_onnx(MLP(1, [1]), folder / "mlp.txt")
    assert not (folder / "mlp.txt").exists()


class Twice(MLP):
    def __call__(self, x):
        return 2 * super().__call__(x)


@pytest.mark.parametrize("export", [lambda m: to_onnx(m, "never.onnx"), to_torch])
@pytest.mark.parametrize("model", [Twice(1, [1]), MLP(1, [1]).layers[0], None])
def test_other_models_are_refused(export, model):
    with pytest.raises(TypeError, match=r"takes an nn\.MLP, got "):
        export(model)


@pytest.mark.parametrize(
    ("missing", "call"),
    [
        ("onnx", "to_onnx(MLP(1, [1]), 'never.onnx')"),
        ("torch", "to_torch(MLP(1, [1]))"),
        ("torch", "from_torch(None)"),
    ],
)
def test_without_the_package(missing, call):
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom nn import MLP\n"
    code += f"from nn.export import *\n{call}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert re.match(rf'ImportError: .*pip install "autograd-bp\[{missing}\]"$', last), done.stderr


# --- PyTorch --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def linear(torch, *sizes):
    return torch.nn.Linear(*sizes, dtype=torch.float64)


def named_grads(sequential):
    """The gradients of a Sequential by the names that an MLP has for them."""
    grads, k = {}, 0
    for module in sequential:
        if hasattr(module, "weight"):
            k += 1
            for i, row in enumerate(module.weight.grad.tolist()):
                grads |= {f"w[{k}][{i}][{j}]": g for j, g in enumerate(row)}
            grads |= {f"b[{k}][{i}]": g for i, g in enumerate(module.bias.grad.tolist())}
    return grads


def check_equal(torch, mlp, sequential, X):
    """Outputs, and gradients of a mean squared error, are the same to rounding."""
    Y = np.random.default_rng(1).normal(size=(len(X), len(mlp.layers[-1].neurons)))
    np.testing.assert_allclose(
        sequential(torch.tensor(X)).detach().numpy(), table(mlp, X), rtol=1e-11, atol=1e-13
    )
    cost = mean([mse(mlp(x), list(y)) for x, y in zip(X, Y, strict=True)])
    expected = gradients(cost, mlp.parameters())
    sequential.zero_grad()
    torch.nn.functional.mse_loss(sequential(torch.tensor(X)), torch.tensor(Y)).backward()
    found = named_grads(sequential)
    assert set(found) == {name for name, _ in mlp.named_parameters()}
    for (name, _), g in zip(mlp.named_parameters(), expected, strict=True):
        assert found[name] == pytest.approx(g, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ["linear", *TORCH])
def test_each_activation_in_torch(name, torch):
    X = np.concatenate([np.linspace(-6, 6, 60), [0.0, 15.0, 25.0, 39.0, 45.0, -45.0]])[:, None]
    mlp = MLP(1, [1], activation=name)
    mlp.load_state_dict({"w[1][0][0]": 1.0, "b[1][0]": 0.0})
    check_equal(torch, mlp, to_torch(mlp), X)


@settings(max_examples=30)
@given(NETWORKS)
def test_there_and_back(torch, mlp):
    with_biases(mlp)
    X = np.random.default_rng(0).normal(size=(4, mlp.layers[0].nin))
    sequential = to_torch(mlp)
    check_equal(torch, mlp, sequential, X)
    twin = from_torch(sequential)
    assert repr(twin) == repr(mlp)
    assert twin.state_dict() == mlp.state_dict()


def test_losses_agree_too(torch):
    F = torch.nn.functional
    X = np.random.default_rng(0).normal(size=(6, 2))
    two = MLP(2, [3, 1], activation=["tanh", "linear"], seed=0)
    t = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0]
    found = F.binary_cross_entropy_with_logits(
        to_torch(two)(torch.tensor(X))[:, 0], torch.tensor(t).double()
    )
    assert found.item() == pytest.approx(
        mean([bce_with_logits(two(x), k) for x, k in zip(X, t, strict=True)]).data, rel=1e-12
    )
    three = MLP(2, [3, 3], activation=["tanh", "linear"], seed=0)
    k = [0, 1, 2, 2, 1, 0]
    found = F.cross_entropy(to_torch(three)(torch.tensor(X)), torch.tensor(k))
    assert found.item() == pytest.approx(
        mean([cross_entropy(three(x), i) for x, i in zip(X, k, strict=True)]).data, rel=1e-12
    )


def test_what_torch_has_trained(torch):
    """A nested module of floats, with an activation that is used twice, becomes the same MLP."""
    torch.manual_seed(0)
    nn = torch.nn
    act = nn.Tanh()
    sequential = nn.Sequential(
        nn.Sequential(nn.Linear(2, 3), act), nn.Linear(3, 3), nn.Identity(),
        nn.Linear(3, 2), act, nn.Linear(2, 1), nn.Softplus(),
    )  # fmt: skip
    mlp = from_torch(sequential)
    assert repr(mlp) == ("MLP(2, [3, 3, 2, 1], activation=['tanh', 'linear', 'tanh', 'softplus'])")
    X = np.random.default_rng(0).normal(size=(5, 2))
    expected = sequential.double()(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(table(mlp, X), expected, rtol=1e-12)
    sequential[1].weight.data.zero_()  # each has parameters of its own
    np.testing.assert_allclose(table(mlp, X), expected, rtol=1e-12)


def refused(torch):
    nn = torch.nn
    shared = nn.Linear(2, 2)
    return [
        (nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), r"1: Dropout.* has no match"),
        (nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(0.2)), r"LeakyReLU.*0\.2.* has no match"),
        (nn.Sequential(nn.Linear(2, 2), nn.ELU(2.0)), r"ELU.* has no match"),
        (nn.Sequential(nn.Linear(2, 2), nn.GELU("tanh")), r"GELU.*tanh.* has no match"),
        (nn.Sequential(nn.Linear(2, 2), nn.Softplus(beta=2)), r"Softplus.* has no match"),
        (nn.Sequential(nn.Linear(2, 2, bias=False)), r"has no bias"),
        (nn.Sequential(nn.Tanh(), nn.Linear(2, 2)), r"0: Tanh\(\) does not follow a Linear"),
        (nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.ReLU()), r"2: ReLU\(\) does not follow"),
        (nn.Sequential(nn.Linear(2, 3), nn.Linear(2, 1)), r"does not take the 3 outputs"),
        (nn.Sequential(shared, nn.Tanh(), shared), r"2: Linear.* stands there twice"),
        (nn.Sequential(nn.Identity()), r"no Linear layer"),
        (nn.Sequential(), r"no Linear layer"),
    ]


@pytest.mark.parametrize("i", range(12))
def test_modules_without_a_match_are_refused(i, torch):
    cases = refused(torch)
    assert len(cases) == 12
    sequential, message = cases[i]
    with pytest.raises(ValueError, match=message):
        from_torch(sequential)


def test_weights_that_are_not_finite_are_refused(torch):
    layer = linear(torch, 1, 1)
    layer.weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"w\[1\]\[0\]\[0\].*finite"):
        from_torch(torch.nn.Sequential(layer))


def test_what_is_no_sequential_is_refused(torch):
    with pytest.raises(TypeError, match=r"takes a torch\.nn\.Sequential, got Linear"):
        from_torch(linear(torch, 1, 1))


@pytest.mark.parametrize("name", sorted({*ACTIVATIONS} - {*TORCH, "linear"}))
def test_activations_that_torch_lacks_are_refused(name):
    with pytest.raises(ValueError, match=f"no module of the activation '{name}'.*tanh"):
        to_torch(MLP(1, [1], activation=name))
