import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_bp import Value
from nn import MLP, SGD, Adam, AdamW, Optimizer

FACTORIES = {
    "sgd": lambda params: SGD(params, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda params: Adam(params, lr=0.1, betas=(0.8, 0.99), weight_decay=0.01),
    "adamw": lambda params: AdamW(params, lr=0.1, betas=(0.8, 0.99), weight_decay=0.1),
}


def run(optimizer, gradients):
    """The parameters after each step, each step with the gradients of one row."""
    path = []
    for row in gradients:
        for p, g in zip(optimizer.params, row, strict=True):
            p.grad = g
        optimizer.step()
        path.append([p.data for p in optimizer.params])
    return np.array(path)


def leaves(numbers):
    return [Value(x, f"p[{i}]") for i, x in enumerate(numbers)]


# The references below use the closed forms of the moving averages, Σ βᵗ⁻ˢ gₛ, not the recursion.


def weighted(beta, g):
    """Σₛ βᵗ⁻ˢ gₛ over the rows of g, s = 1 … t."""
    t = len(g)
    return np.sum([beta ** (t - 1 - s) * g[s] for s in range(t)], axis=0)


def sgd_reference(theta, gradients, lr, momentum, weight_decay):
    g, path = [], []
    for row in gradients:
        g.append(row + weight_decay * theta)
        theta = theta - lr * weighted(momentum, g)
        path.append(theta)
    return np.array(path)


def adam_reference(theta, gradients, lr, betas, eps, coupled=0.0, decoupled=0.0):
    g, path = [], []
    for t, row in enumerate(gradients, start=1):
        g.append(row + coupled * theta)
        m = (1 - betas[0]) * weighted(betas[0], g) / (1 - betas[0] ** t)
        v = (1 - betas[1]) * weighted(betas[1], np.square(g)) / (1 - betas[1] ** t)
        theta = theta * (1 - lr * decoupled) - lr * m / (np.sqrt(v) + eps)
        path.append(theta)
    return np.array(path)


@st.composite
def problems(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, steps = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    scale = draw(st.sampled_from([1e-3, 1.0, 1e3]))
    return rng.normal(size=n), scale * rng.normal(size=(steps, n))


fractions = st.sampled_from([0.0, 0.5, 0.9, 0.999])
rates = st.sampled_from([0.0, 1e-3, 0.1])


@settings(deadline=None)
@given(problems(), rates, fractions, rates)
def test_sgd(problem, lr, momentum, weight_decay):
    theta, gradients = problem
    path = run(SGD(leaves(theta), lr, momentum, weight_decay), gradients)
    expected = sgd_reference(theta, gradients, lr, momentum, weight_decay)
    np.testing.assert_allclose(path, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


@settings(deadline=None)
@given(problems(), rates, fractions, fractions, st.sampled_from([1e-8, 1e-3]), rates)
def test_adam_and_adamw(problem, lr, beta1, beta2, eps, weight_decay):
    theta, gradients = problem
    betas = (beta1, beta2)
    for optimizer, decay in ((Adam, "coupled"), (AdamW, "decoupled")):
        path = run(optimizer(leaves(theta), lr, betas, eps, weight_decay), gradients)
        expected = adam_reference(theta, gradients, lr, betas, eps, **{decay: weight_decay})
        np.testing.assert_allclose(path, expected, rtol=1e-9, atol=1e-10)


def test_defaults_are_those_of_pytorch():
    assert SGD(leaves([1.0]), lr=0.1).state_dict() == {
        "lr": 0.1, "momentum": 0.0, "weight_decay": 0.0, "velocity": [0.0]
    }  # fmt: skip
    adam = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    empty = {"steps": 0, "m": [0.0], "v": [0.0]}
    assert Adam(leaves([1.0])).state_dict() == adam | empty
    assert AdamW(leaves([1.0])).state_dict() == adam | {"weight_decay": 1e-2} | empty


@pytest.mark.parametrize("name", FACTORIES)
def test_a_step_after_loading_is_the_step_that_would_have_come(name):
    rng = np.random.default_rng(0)
    theta, gradients = rng.normal(size=3), rng.normal(size=(10, 3))
    whole = FACTORIES[name](leaves(theta))
    path = run(whole, gradients)

    first = FACTORIES[name](leaves(theta))
    run(first, gradients[:4])
    second = type(first)(leaves([p.data for p in first.params]), lr=0.5)
    second.load_state_dict(first.state_dict())
    run(second, gradients[4:])
    assert [p.data for p in second.params] == path[-1].tolist()
    assert second.state_dict() == whole.state_dict()


def test_state_is_a_copy():
    optimizer = SGD(leaves([1.0]), lr=0.1, momentum=0.9)
    state = optimizer.state_dict()
    run(optimizer, [[1.0]])
    assert state["velocity"] == [0.0]
    state = optimizer.state_dict()
    optimizer.load_state_dict(state)
    state["velocity"][0] = 5.0
    assert optimizer.velocity == [1.0]


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"lr": -1.0}, ValueError, r"state\['lr'\] must be 0 or more"),
        ({"lr": "0.1"}, TypeError, r"state\['lr'\] must be a finite number"),
        ({"beta1": 1.0}, ValueError, r"state\['beta1'\] must be from 0 to below 1"),
        ({"steps": 1.5}, ValueError, r"state\['steps'\] must be a whole number"),
        ({"m": [0.0]}, ValueError, r"state\['m'\].*each of the 2 parameters, got 1"),
        ({"m": 0.0}, ValueError, r"state\['m'\].*got 0.0"),
        ({"v": [0.0, float("nan")]}, ValueError, r"state\['v'\]\[1\] must be a finite number"),
        ({"v": [0.0, None]}, TypeError, r"state\['v'\]\[1\]"),
        ({"velocity": [0.0, 0.0]}, ValueError, r"unexpected \['velocity'\]"),
    ],
)
def test_a_bad_state_changes_nothing(change, error, match):
    optimizer = Adam(leaves([1.0, 2.0]))
    run(optimizer, [[1.0, -1.0]])
    before = optimizer.state_dict()
    other = {**before, "lr": 0.5, "m": [7.0, 7.0], "v": [7.0, 7.0]}
    with pytest.raises(error, match=match):
        optimizer.load_state_dict(other | change)
    assert optimizer.state_dict() == before


def test_a_state_must_be_whole():
    optimizer = Adam(leaves([1.0]))
    state = optimizer.state_dict()
    del state["m"]
    with pytest.raises(ValueError, match=r"missing \['m'\]"):
        optimizer.load_state_dict(state)
    with pytest.raises(TypeError, match="must be a dict"):
        optimizer.load_state_dict([1.0])


def test_steps_count_as_whole_numbers():
    optimizer = Adam(leaves([1.0]))
    state = optimizer.state_dict() | {"steps": 3.0}  # as a file of floats has it
    optimizer.load_state_dict(state)
    assert optimizer.steps == 3
    assert isinstance(optimizer.steps, int)


def test_zero_grad_and_repr():
    params = leaves([1.0, 2.0])
    params[0].grad = 3.0
    optimizer = SGD(params, lr=0.1)
    optimizer.zero_grad()
    assert [p.grad for p in params] == [0.0, 0.0]
    assert repr(optimizer) == "SGD(2 parameters, lr=0.1, momentum=0.0, weight_decay=0.0)"


def test_lr_may_change_between_steps():
    optimizer = SGD(leaves([1.0]), lr=0.1)
    run(optimizer, [[1.0]])
    optimizer.lr = 0.5
    assert run(optimizer, [[1.0]])[0, 0] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: SGD([], lr=0.1), ValueError, "params is empty"),
        (lambda: SGD(MLP(1, [1]), lr=0.1), TypeError, r"write SGD\(model.parameters\(\)"),
        (lambda: Adam(Value(1.0)), TypeError, "params must be a list of Values"),
        (lambda: SGD([1.0], lr=0.1), TypeError, "params must be a list of Values, got 1.0"),
        (lambda: SGD([Value(1.0) * 2.0], lr=0.1), ValueError, "must be leaves"),
        (lambda: SGD(2 * leaves([1.0])[:1], lr=0.1), ValueError, "a Value twice"),
        (lambda: SGD(leaves([1.0]), lr=-0.1), ValueError, "lr must be 0 or more, got -0.1"),
        (lambda: SGD(leaves([1.0]), lr="0.1"), TypeError, "lr must be a finite number, got '0.1'"),
        (lambda: SGD(leaves([1.0]), lr=float("nan")), ValueError, "lr must be a finite number"),
        (lambda: SGD(leaves([1.0]), 0.1, momentum=1.0), ValueError, "momentum must be from 0"),
        (lambda: SGD(leaves([1.0]), 0.1, weight_decay=-1), ValueError, "weight_decay must be 0"),
        (lambda: Adam(leaves([1.0]), betas=(0.9, 1.0)), ValueError, "beta2 must be from 0"),
        (lambda: Adam(leaves([1.0]), betas=0.9), TypeError, "betas must be two numbers"),
        (lambda: Adam(leaves([1.0]), eps=0.0), ValueError, "eps must be more than 0"),
        (lambda: AdamW(leaves([1.0]), lr=True), TypeError, "lr must be a finite number"),
        (lambda: Optimizer(leaves([1.0])).step(), NotImplementedError, "_move"),
    ],
)
def test_what_does_not_fit(call, error, match):
    with pytest.raises(error, match=match):
        call()


class Interrupted(Adam):
    """Ctrl-C comes when the third parameter is about to move."""

    def _gradient(self, p):
        if p is self.params[2]:
            signal.raise_signal(signal.SIGINT)
        return super()._gradient(p)


def test_ctrl_c_leaves_no_step_half_done():
    gradients = [[1.0, -2.0, 3.0, -4.0]]
    whole, interrupted = Adam(leaves([1.0] * 4)), Interrupted(leaves([1.0] * 4))
    run(whole, gradients)
    with pytest.raises(KeyboardInterrupt):
        run(interrupted, gradients)
    assert [p.data for p in interrupted.params] == [p.data for p in whole.params]
    assert interrupted.state_dict() == whole.state_dict()
