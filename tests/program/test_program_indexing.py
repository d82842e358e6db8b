"""Indices that are data."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd_bp import Value, logsumexp, tanh, value_and_grad, where
from autograd_bp.program import gather, jit, one_hot, take, trace


@given(st.integers(0, 5))
def test_take_as_indexing(i):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(6, 3)).tolist()

    def f(table, i):
        row = take(table, i)
        return row[0] * row[1] + row[2].sin() if hasattr(row[2], "sin") else math.nan

    program = trace(f, table, 0)
    expected = value_and_grad(lambda t: t[i][0] * t[i][1] + t[i][2].sin())(table)
    value, gradient = program.value_and_grad(table, i)
    assert value == pytest.approx(expected[0], rel=1e-14)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-14)


def test_a_class_as_target_over_lanes():
    rng = np.random.default_rng(1)
    W, X, y = rng.normal(size=(4, 3)), rng.normal(size=(50, 3)), rng.integers(0, 4, 50)

    def cost(W, x, target):
        z = list(W @ x)
        return logsumexp(z) - take(z, target)

    value, gradient = trace(cost, W, X[0], y[0]).map(W, X, y, reduce="mean", grad=True)
    Z = X @ W.T
    P = np.exp(Z) / np.exp(Z).sum(1, keepdims=True)
    assert value == pytest.approx(-np.log(P[np.arange(50), y]).mean(), rel=1e-13)
    P[np.arange(50), y] -= 1
    np.testing.assert_allclose(gradient, P.T @ X / 50, rtol=1e-12, atol=1e-15)


def test_one_program_for_all_indices():
    table = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    f = jit(lambda table, tokens: gather(table, tokens))
    assert f(table, [2, 0]) == [[5.0, 6.0], [1.0, 2.0]]
    assert f(table, [1, 1]) == [[3.0, 4.0], [3.0, 4.0]]
    assert len(f.programs) == 1


def test_eager():
    x = [Value(1.0), Value(2.0)]
    assert take(x, 1) is x[1]
    assert take(x, Value(1.0)) is x[1]
    assert one_hot(2.0, 3) == [0.0, 0.0, 1.0]


def test_out_of_range():
    for i in (3, -1, 0.5, math.nan, math.inf):
        with pytest.raises(IndexError, match="0 to 2"):
            take([1.0, 2.0, 3.0], i)
    with pytest.raises(TypeError, match="whole number"):
        take([1.0], "0")
    program = trace(lambda x, i: take(x, i), [1.0, 2.0, 3.0], 0)
    assert program.value([1.0, 2.0, 3.0], 2) == 3.0
    for i in (3.0, -1.0, 0.5, math.nan):
        assert math.isnan(program.value([1.0, 2.0, 3.0], i))


# --- sequences of varying length ------------------------------------------------------------------

LONGEST = 6


def last_state(w, tokens):
    """A small recurrent network."""
    h = 0.0
    for t in tokens:
        h = tanh(w[0] * h + w[1] * t)
    return h


def padded(w, tokens, length):
    """The same over a fixed number of tokens, of which only the first ``length`` count."""
    h = 0.0
    for k, t in enumerate(tokens):
        h = where(length > k, tanh(w[0] * h + w[1] * t), h)
    return h


@given(st.lists(st.floats(-2.0, 2.0), min_size=1, max_size=LONGEST))
def test_padding_compiles_once_for_all_lengths(tokens):
    w = [0.5, -1.25]
    program = PADDED.program(w, [0.0] * LONGEST, 1.0)
    filled = tokens + [1e300] * (LONGEST - len(tokens))
    value, gradient = program.value_and_grad(w, filled, float(len(tokens)))
    expected = value_and_grad(last_state)(w, tokens)
    assert value == pytest.approx(expected[0], rel=1e-12, abs=1e-300)
    assert gradient == pytest.approx(expected[1], rel=1e-12, abs=1e-300)
    assert len(PADDED.programs) == 1


PADDED = jit(padded)


def test_a_program_for_each_length():
    f = jit(last_state)
    for _ in range(2):
        for n in range(1, LONGEST + 1):
            f([0.5, -1.25], [1.0] * n)
    assert len(f.programs) == LONGEST
    f.clear()
    assert f.programs == []
