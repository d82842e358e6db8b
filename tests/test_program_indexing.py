"""Indices that are data."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd_bp import Value, logsumexp, value_and_grad
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
