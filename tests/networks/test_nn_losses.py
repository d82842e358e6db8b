"""Each loss and its gradient against its definition, in mpmath with 150 digits."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_bp import Value, topological_order
from nn import bce, bce_with_logits, cross_entropy, hinge, mse
from nn.losses import TINY

mp = mpmath.mp.clone()
mp.dps = 150

numbers = st.floats(-100.0, 100.0)
unit = st.floats(0.0, 1.0)
inside = st.floats(1e-12, 1.0 - 1e-12)
labels = st.sampled_from([-1, 1])


def sigmoid(z):
    return 1 / (1 + mp.exp(-z))


def exact_bce(p, t):
    return -(t * mp.log(p) + (1 - t) * mp.log(1 - p))


# Of each loss on one output: the definition, its derivative, and the sizes of the terms that
# the derivative adds up, which is what its rounding is relative to.
DEFINITIONS = {
    mse: (lambda y, t: (y - t) ** 2, lambda y, t: 2 * (y - t), lambda y, t: abs(y) + abs(t)),
    bce: (
        exact_bce,
        lambda p, t: -t / p + (1 - t) / (1 - p),
        lambda p, t: t / p + (1 - t) / (1 - p),
    ),
    bce_with_logits: (
        lambda z, t: exact_bce(sigmoid(z), t),
        lambda z, t: sigmoid(z) - t,
        lambda z, t: (1 - t) * sigmoid(z) + t * sigmoid(-z),
    ),
    hinge: (
        lambda y, t: max(mp.mpf(0), 1 - t * y),
        lambda y, t: -t if t * y < 1 else mp.mpf(0),
        lambda y, t: mp.mpf(1),
    ),
}
CASES = {mse: (numbers, numbers), bce: (inside, unit), bce_with_logits: (numbers, unit),
         hinge: (numbers, labels)}  # fmt: skip


@pytest.mark.parametrize("loss", DEFINITIONS)
@settings(deadline=None)
@given(st.data())
def test_loss_and_gradient_are_those_of_the_definition(loss, data):
    outputs, targets = CASES[loss]
    pairs = data.draw(st.lists(st.tuples(outputs, targets), min_size=1, max_size=4))
    value, derivative, size = DEFINITIONS[loss]

    ys, ts = [Value(y) for y, _ in pairs], [t for _, t in pairs]
    exact = [(mp.mpf(y), mp.mpf(t)) for y, t in pairs]
    result = loss(ys, ts)
    result.backward()
    n = len(pairs)
    expected = sum(value(y, t) for y, t in exact) / n
    # 1 − p is rounded to 1e-16, and 1 − t·y relative to t·y.
    rounding = 1e-15 * max(1.0, *(abs(y) for y, _ in pairs)) if loss is hinge else 1e-15
    assert abs(mp.mpf(result.data) - expected) <= 1e-14 * expected + rounding
    for y, (y_exact, t_exact) in zip(ys, exact, strict=True):
        error = abs(mp.mpf(y.grad) - derivative(y_exact, t_exact) / n)
        # The smallest floats lose bits: a few roundings to a multiple of 2⁻¹⁰⁷⁴ each.
        assert error <= 1e-14 * size(y_exact, t_exact) / n + mp.ldexp(4, -1074)

    assert loss([y for y, _ in pairs], ts) == result.data  # plain numbers in, a number out
    assert loss(np.array([y for y, _ in pairs]), np.array(ts)) == result.data
    if n == 1:
        assert loss(ys[0], ts[0]).data == result.data


@settings(deadline=None)
@given(st.lists(numbers, min_size=2, max_size=6), st.data())
def test_cross_entropy_is_minus_the_logarithm_of_softmax(logits, data):
    n = len(logits)
    if data.draw(st.booleans()):
        target = data.draw(st.integers(0, n - 1))
        t = [mp.mpf(int(k == target)) for k in range(n)]
    else:
        raw = data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n).filter(any))
        target = [x / sum(raw) for x in raw]
        t = [mp.mpf(x) for x in target]

    z = [Value(x) for x in logits]
    result = cross_entropy(z, target)
    result.backward()
    exps = [mp.exp(x) for x in logits]
    p = [x / sum(exps) for x in exps]
    expected = -sum(tk * mp.log(pk) for tk, pk in zip(t, p, strict=True))
    assert abs(mp.mpf(result.data) - expected) <= 1e-13 * (1 + max(map(abs, logits)))
    for k in range(n):
        assert abs(mp.mpf(z[k].grad) - (p[k] - t[k])) <= 1e-13  # δ = p − t
    assert cross_entropy(logits, target) == result.data


def test_gradients_reach_targets_too():
    for loss, y, t in ((mse, 0.5, 0.25), (bce, 0.5, 0.25), (bce_with_logits, 0.5, 0.25)):
        target = Value(t)
        loss(Value(y), target).backward()
        h = 1e-6
        expected = (loss(y, t + h) - loss(y, t - h)) / (2 * h)
        assert target.grad == pytest.approx(expected, rel=1e-8)


def test_losses_do_not_overflow():
    for z, t, value, slope in (
        (800.0, 1, 0.0, 0.0),
        (800.0, 0, 800.0, 1.0),
        (-800.0, 1, 800.0, -1.0),
        (-800.0, 0, 0.0, 0.0),
        (-40.0, 0, float(mp.log(1 + mp.exp(-40))), float(sigmoid(mp.mpf(-40)))),
        (40.0, 1, float(mp.log(1 + mp.exp(-40))), -float(sigmoid(mp.mpf(-40)))),
    ):
        logit = Value(z)
        loss = bce_with_logits(logit, t)
        loss.backward()
        assert loss.data == pytest.approx(value, rel=1e-14, abs=0.0)
        assert logit.grad == pytest.approx(slope, rel=1e-14, abs=0.0)
    z = [Value(1e4), Value(-1e4), Value(1e4)]
    loss = cross_entropy(z, 1)
    loss.backward()
    assert loss.data == pytest.approx(2e4 + np.log(2), rel=1e-15)
    assert [x.grad for x in z] == pytest.approx([0.5, -1.0, 0.5])


def test_bce_is_finite_where_a_probability_is_rounded_to_0_or_1():
    for p, t in ((0.0, 1), (1.0, 0)):
        output = Value(p)
        loss = bce(output, t)
        loss.backward()
        assert loss.data == 100.0  # as PyTorch
        assert output.grad == 0.0
    for p, t in ((0.0, 0), (1.0, 1)):
        assert bce(Value(p), t).data == 0.0
    assert bce(2 * TINY, 1) == pytest.approx(100 - np.log(2), rel=1e-15)


def test_hinge_has_no_gradient_at_the_margin():
    y = Value(1.0)
    hinge(y, 1).backward()
    assert y.grad == 0.0


def test_losses_are_small_graphs():
    def size(root):
        return sum(not node.is_leaf for node in topological_order(root))

    y = Value(0.5)
    assert size(mse(y, 1.0)) == 2
    assert size(bce_with_logits(y, 1)) == 4
    assert size(hinge(y, 1)) == 3
    assert size(cross_entropy([Value(0.1)] * 10, 3)) == 2


def test_a_target_per_output_may_be_a_list_of_one():
    assert mse(Value(0.5), [1.0]).data == mse([Value(0.5)], 1.0).data == 0.25


def test_nan_passes_through():
    for loss in (mse, bce, bce_with_logits):
        assert np.isnan(loss(Value(np.nan), 1.0).data)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: mse([1.0, 2.0], [1.0]), ValueError, "got 2 outputs and 1 targets"),
        (lambda: mse([1.0, 2.0], 1), ValueError, "index of a class use cross_entropy"),
        (lambda: mse([], []), ValueError, "at least one"),
        (lambda: bce(1.5, 1), ValueError, "outputs of bce must be from 0 to 1.*bce_with_logits"),
        (lambda: bce(Value(-0.1), 1), ValueError, "outputs of bce"),
        (lambda: bce(0.5, -1), ValueError, "targets of bce must be from 0 to 1.*hinge"),
        (lambda: bce(0.5, "1"), TypeError, "targets of bce must be numbers or Values, got '1'"),
        (lambda: bce_with_logits(0.5, 2), ValueError, "targets of bce_with_logits"),
        (lambda: bce_with_logits(Value(0.5), None), TypeError, "got None"),
        (lambda: hinge(0.5, 0), ValueError, r"must be -1 or 1, got 0; write 2\*t - 1"),
        (lambda: hinge(0.5, "1"), TypeError, "targets of hinge"),
        (lambda: cross_entropy(Value(1.0), 0), ValueError, "one logit per class"),
        (lambda: cross_entropy([1.0, 2.0], 2), ValueError, "0 to 1 for these 2 logits, got 2"),
        (lambda: cross_entropy([1.0, 2.0], -1), ValueError, "got -1"),
        (lambda: cross_entropy([1.0, 2.0], 1.0), ValueError, r"write int\(target\)"),
        (lambda: cross_entropy([1.0, 2.0], True), ValueError, "index of a class"),
        (lambda: cross_entropy([1.0, 2.0], [0.5, 0.6]), ValueError, "with sum 1"),
        (lambda: cross_entropy([1.0, 2.0], [1.5, -0.5]), ValueError, "not negative"),
        (lambda: cross_entropy([1.0, 2.0], ["a", "b"]), TypeError, "probabilities in target"),
    ],
)
def test_what_does_not_fit(call, error, match):
    with pytest.raises(error, match=match):
        call()
