"""Training by programs against eager training, and where it must not be by programs."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

import nn.training
from autograd_bp import Value, where
from nn import MLP, Module, bce, bce_with_logits, cross_entropy, fit, hinge, mse

RNG = np.random.default_rng(0)
X = RNG.normal(size=(11, 2))
LABELS = (X.sum(axis=1) > 0).astype(int)

TASKS = {
    "bce": (bce, "sigmoid", 1, LABELS),
    "bce_with_logits": (bce_with_logits, "linear", 1, LABELS),
    "hinge": (hinge, "linear", 1, 2 * LABELS - 1),
    "cross_entropy": (cross_entropy, "linear", 3, RNG.integers(0, 3, 11)),
    "probabilities": (cross_entropy, "linear", 3, np.full((11, 3), 1 / 3)),
    "mse": (mse, "tanh", 1, np.tanh(X[:, 0])),
    "mse of a column": (mse, "tanh", 1, np.tanh(X[:, :1])),
    "mse of two": (mse, "tanh", 2, np.tanh(X)),
}


@pytest.fixture
def programs(monkeypatch):
    """The programs, or None, that trainings made."""
    made = []
    make = nn.training.batch_program

    def noting(*arguments):
        made.append(make(*arguments))
        return made[-1]

    monkeypatch.setattr(nn.training, "batch_program", noting)
    return made


def train(model, X, y, loss, **options):
    return fit(model, X, y, loss=loss, **{"epochs": 3, "batch_size": 4, "seed": 0} | options,
               progress=False)  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_it_learns_what_eager_training_learns(task, programs):
    loss, activation, n, y = TASKS[task]
    results = []
    for eager in (None, True):
        model = MLP(2, [4, n], activation=["tanh", activation], seed=0)
        history = train(model, X, y, loss, validation=(X[:5], y[:5]), eager=eager)
        grads = [p.grad for p in model.parameters()]
        results.append((list(model.state_dict().values()), grads, vars(history)))
    assert programs[0] is not None
    assert programs[1] is None
    for a, b in zip(results[0][:2], results[1][:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)
    for name, numbers in results[0][2].items():
        np.testing.assert_allclose(numbers, results[1][2][name], rtol=1e-10)


def test_hooks_see_and_change_gradients():
    states = []
    for eager in (None, True):
        model, seen = MLP(2, [3, 1], seed=0), []
        model.parameters()[0].register_hook(lambda g, seen=seen: seen.append(g))
        model.parameters()[1].register_hook(lambda g: 0.5 * g)
        train(model, X, LABELS, bce, eager=eager)
        assert len(seen) == 9
        states.append([*model.state_dict().values(), *seen])
    assert states[0] == pytest.approx(states[1], rel=1e-10)


def own_loss(output, target):
    return (output - target) ** 2


@pytest.mark.parametrize(
    ("activation", "loss", "y"),
    [
        ("sigmoid", own_loss, LABELS),  # one's own
        ("linear", bce, LABELS),  # whose outputs leave 0 to 1, which is an error
        ("sqrt", mse, LABELS),  # not defined everywhere
    ],
)
def test_what_a_trace_may_miss_is_run_eagerly(activation, loss, y, programs):
    model = MLP(2, [3, 1], activation=["tanh", activation], seed=0)
    model.load_state_dict(dict.fromkeys(model.state_dict(), 0.0) | {"b[2][0]": 0.5})
    train(model, X, y, loss, epochs=1)
    assert programs == [None]


@pytest.mark.parametrize(
    ("loss", "n", "y", "message"),
    [
        (cross_entropy, 3, [0, 1, 2, 3], "0 to 2"),
        (cross_entropy, 3, [0, 1, 2, 1.0], "int\\(target\\)"),
        (hinge, 1, [1, -1, 1, 0], "-1 or 1"),
        (mse, 2, [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0]], "as many targets"),
    ],
)
def test_wrong_targets_are_errors_as_ever(loss, n, y, message):
    model = MLP(2, [n], activation="linear", seed=0)
    with pytest.raises(ValueError, match=message):
        train(model, X[:4], y, loss)


def test_numbers_that_are_not_finite_are_errors_as_ever():
    for eager in (None, True):
        model = MLP(2, [3, 1], activation="linear", seed=0)
        before = model.state_dict()
        with pytest.raises(FloatingPointError, match="the loss became inf in epoch 1, batch 1 of"):
            train(model, X, [1e200] * len(X), mse, eager=eager)
        assert model.state_dict() == before


class Gate(Module):
    """One's own model; ``choose`` is how it decides."""

    def __init__(self, choose):
        self.w, self.choose = Value(0.5, "w"), choose

    def parameters(self):
        return [self.w]

    def __call__(self, x):
        return self.choose(self.w * x[0], self.w * x[1])


def test_a_model_of_ones_own_on_request(programs):
    states = []
    for eager in (None, False):
        model = Gate(lambda a, b: where(a > b, a, b))
        train(model, X, X[:, 0], mse, eager=eager)
        states.append(model.state_dict()["w"])
    assert [p is None for p in programs] == [True, False]
    assert states[0] == pytest.approx(states[1], rel=1e-10)


def test_a_branch_in_a_model_of_ones_own():
    model = Gate(lambda a, b: a if a > b else b)
    with pytest.raises(TypeError, match="where"):
        train(model, X, X[:, 0], mse, eager=False)


def test_what_a_trace_did_not_see_is_found():
    def peeking(a, b):
        return a if (a.data if isinstance(a, Value) else a) > 0 else b

    with pytest.raises(TypeError, match="read or set while a function is traced"):
        train(Gate(peeking), X, X[:, 0], mse, eager=False)
    calls = itertools.count(1)
    with pytest.raises(ValueError, match=r"eager=False does not fit.*where\(\)"):
        train(Gate(lambda a, b: a * float(next(calls)) + b), X, X[:, 0], mse, eager=False)


def test_without_numpy_it_is_eager():
    code = """
import sys
sys.modules["numpy"] = None
from nn import MLP, bce, fit
print(fit(MLP(1, [1], seed=0), [[0.0], [1.0]], [0, 1], loss=bce, epochs=2, progress=False))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("History(2 epochs"), done.stderr
