"""Programs against the eager engine: values, derivatives, lanes, text, cache."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_bp import (
    Value,
    custom,
    dot,
    exp,
    grad,
    hvp,
    jacobian,
    logsumexp,
    mean,
    norm,
    sum_of,
    value_and_grad,
    where,
)
from autograd_bp.ops import TABLE
from autograd_bp.program import jit, trace
from autograd_bp.rules import IEEE
from autograd_bp.value import apply
from nn import MLP

ELEMENTARY = [op for op in TABLE if op.operands and not op.is_nary]
NARY = {"dot": None, "sum_of": sum_of, "mean": mean, "logsumexp": logsumexp, "norm": norm}


def close(a, b, tolerance=1e-12, absolute=1e-300):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=absolute)


def inside(op, numbers):
    return bool(IEEE.domain(op, (1 << len(numbers)) - 1)(*numbers))


# --- every row of the table ----------------------------------------------------------------------


@pytest.mark.parametrize("op", ELEMENTARY, ids=lambda op: op.name)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_each_row_as_eager(op, data):
    number = st.floats(-3, 3).filter(lambda x: abs(x) > 1e-3)
    numbers = data.draw(st.lists(number, min_size=len(op.operands), max_size=len(op.operands)))
    if op.name in ("**", "polygamma"):  # with a constant that the domain asks to be one
        at = op.operands.index("b" if op.name == "**" else "n")
        constant = data.draw(st.sampled_from([0.0, 1.0, 2.0, 3.0]))
        free = numbers[1 - at]

        def f(x):
            return apply(op.name, x, constant) if at else apply(op.name, constant, x)

        arguments = (free,)
    else:
        if op.name == "clip":
            numbers[1:] = sorted(numbers[1:])
        if not inside(op, numbers):
            return
        arguments = tuple(numbers)

        def f(*x):
            return apply(op.name, *x)

    try:
        everything = tuple(range(len(arguments)))
        expected = value_and_grad(f, everything)(*arguments)
    except (ValueError, ZeroDivisionError):
        return  # outside the domain
    program = trace(f, *arguments)
    value, grads = program.value_and_grad(*arguments, argnums=everything)
    # Python's lgamma is not C's, and near its roots both have lost digits of terms of size 1.
    close(value, expected[0], absolute=1e-14 if op.name == "lgamma" else 1e-300)
    close(grads, expected[1], 1e-11)


@pytest.mark.parametrize("name", NARY)
@settings(max_examples=25, deadline=None)
@given(x=st.lists(st.floats(-5, 5), min_size=1, max_size=12), b=st.floats(-5, 5))
def test_each_sequence_as_eager(name, x, b):
    def f(x, b):
        return dot(x, [*x[1:], b], b) if name == "dot" else NARY[name]([*x, b])

    expected = value_and_grad(f, (0, 1))(x, b)
    value, grads = trace(f, x, b).value_and_grad(x, b, argnums=(0, 1))
    np.testing.assert_allclose(value, expected[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(grads[0], expected[1][0], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(grads[1], expected[1][1], rtol=1e-11, atol=1e-12)


# --- random programs -----------------------------------------------------------------------------


def random_function(seed, nodes):
    """A function of 4 numbers that shares subexpressions at random, all of it bounded."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["+", "-", "*", "sin", "tanh", "sigmoid", "dot", "sum", "max", "/"], nodes)
    takes = [rng.integers(0, 4 + i, 6) for i in range(nodes)]

    def f(x):
        v = list(x)
        for kind, t in zip(kinds, takes, strict=True):
            a, b, c, d, e, g = (v[i] for i in t)
            v.append(
                (a + b) * 0.5 if kind == "+"
                else a - 0.5 * b if kind == "-"
                else (a * b).sin() if kind == "*"
                else a.sin() if kind == "sin"
                else a.tanh() if kind == "tanh"
                else a.sigmoid() if kind == "sigmoid"
                else dot([a, b], [c, d], e).tanh() if kind == "dot"
                else (a * b + c * d + e * g + a).sin() if kind == "sum"
                else where(a < b, c, d) if kind == "max"
                else a / (2.0 + b * b)
            )  # fmt: skip
        return sum_of(v[-5:])

    return f


@pytest.mark.parametrize("optimize", [True, False])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), x=st.lists(st.floats(-2, 2), min_size=4, max_size=4))
def test_random_programs(optimize, seed, x):
    f = random_function(seed, 60)
    program = trace(f, [0.1, 0.2, 0.3, 0.4], optimize=optimize)
    expected = value_and_grad(f)(x)
    value, gradient = program.value_and_grad(x)
    np.testing.assert_allclose(value, expected[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-10, atol=1e-11)
    t = [0.5, -1.0, 0.25, 2.0]
    curved = program.hvp(x, tangent=t)
    np.testing.assert_allclose(curved, hvp(f, (x,), (t,))[0], rtol=1e-9, atol=1e-9)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.sampled_from([1, 7, 8, 100, 600]))
def test_lanes_are_calls(seed, n):
    f = random_function(seed, 40)

    def g(p, x):
        return f([p[0], x[0], x[1], p[1] * x[0]])

    rng = np.random.default_rng(seed)
    p, X = rng.normal(size=2), rng.normal(size=(n, 2))
    program = trace(g, p, X[0])
    one_by_one = [program.value_and_grad(p, row) for row in X]
    values = np.array([value for value, _ in one_by_one])
    grads = np.array([gradient for _, gradient in one_by_one])
    np.testing.assert_allclose(program.map(p, X), values, rtol=1e-12, atol=1e-13)
    for reduce, scale in (("sum", 1.0), ("mean", 1 / n)):
        value, gradient = program.map(p, X, reduce=reduce, grad=True)
        np.testing.assert_allclose(value, values.sum() * scale, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(gradient, grads.sum(0) * scale, rtol=1e-10, atol=1e-10)
    alone = program.map(p, X, reduce="sum", grad=True)
    shared = program.map(p, X, reduce="sum", grad=True, threads=3)
    assert alone[0] == shared[0]
    assert (alone[1] == shared[1]).all()
    per_lane = program.map(p, X, grad=True)
    np.testing.assert_allclose(per_lane[1], grads, rtol=1e-10, atol=1e-11)


def test_a_network_and_its_minibatch():
    model = MLP(3, [5, 4, 1], activation=["sigmoid", "tanh", "linear"], seed=3)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(37, 3)), rng.normal(size=37)

    def cost(params, x, target):
        return (model(list(x)) - target) ** 2

    program = trace(cost, model.parameters(), X[0], y[0])
    value, gradient = program.map(model.parameters(), X, y, reduce="mean", grad=True)
    eager = mean([(model(list(x)) - t) ** 2 for x, t in zip(X, y, strict=True)])
    eager.backward()
    close(value, eager.data)
    expected = [p.grad for p in model.parameters()]
    np.testing.assert_allclose(gradient, expected, rtol=1e-11, atol=1e-14)


def test_jacobian_by_either_mode():
    def wide(x):
        return [x[0] * x[1] * x[2], x[2].sin()]

    def tall(x):
        return [x[0].exp(), x[0] * x[1], x[1], x[0] / x[1]]

    for f, x in ((wide, [1.0, 2.0, 3.0]), (tall, [1.5, 2.5])):
        close(trace(f, x).jacobian(x), jacobian(f)(x))


def test_derivatives_of_derivatives():
    program = trace(lambda x: x.sin() * x, 1.0)
    derivative = program
    eager = lambda x: x.sin() * x  # noqa: E731
    for _ in range(3):
        whole = derivative.with_gradient()
        only = whole.instructions.outputs[1:]
        derivative = type(whole)(
            type(whole.instructions)(**{**vars(whole.instructions), "outputs": only}),
            whole.arguments,
            derivative.result,
        )
        eager = grad(eager)
        close(derivative.value(0.7), eager(0.7), 1e-11)


# --- what it says and what it keeps --------------------------------------------------------------


def test_text():
    model = MLP(2, [1], seed=0)
    program = trace(lambda p, x: model(x), model.parameters(), [1.0, 2.0])
    assert str(program).splitlines() == [
        "%0 = input p[0]  # w[1][0][0]",
        "%1 = input p[1]  # w[1][0][1]",
        "%2 = input p[2]  # b[1][0]",
        "%3 = input x[0]",
        "%4 = input x[1]",
        "%5 = dot %0 %1 %3 %4 %2  # z[1][0]",
        "%6 = sigmoid %5  # a[1][0]",
        "return %6",
    ]
    assert program.counts == {"dot": 1, "sigmoid": 1}
    assert len(program) == 2


def test_pickles_small():
    model = MLP(4, [8, 1], seed=0)
    program = trace(lambda p, x: model(x), model.parameters(), [0.0] * 4)
    program.value_and_grad(model.parameters(), [1.0] * 4)
    data = pickle.dumps(program)
    assert len(data) < 20_000
    twin = pickle.loads(data)
    arguments = model.parameters(), [1.0, 2.0, 3.0, 4.0]
    assert twin.value_and_grad(*arguments) == program.value_and_grad(*arguments)


def test_structures():
    def f(p, x):
        return {"sum": p["w"][0, 1] * x[0], "all": (p["w"] * x[1], p["b"])}

    p, x = {"w": np.arange(6.0).reshape(2, 3), "b": 4.0}, (2.0, 3.0)
    found = jit(f)(p, x)
    assert found["sum"] == 2.0
    assert found["all"][0].tolist() == (p["w"] * 3).tolist()
    assert found["all"][1] == 4.0


def test_jit_traces_once_for_a_structure():
    calls = []

    @jit
    def total(x):
        calls.append(len(x))
        return sum_of([xi * xi for xi in x])

    for _ in range(3):
        assert total([1.0, 2.0]) == 5.0
        assert total([1.0, 2.0, 3.0]) == 14.0
    assert calls == [2, 3]
    assert repr(total).endswith("total, programs: 2>")
    assert [len(p.instructions.inputs) for p in total.programs] == [2, 3]
    total.clear()
    assert total.programs == []
    assert total([1.0]) == 1.0
    assert calls == [2, 3, 1]


def test_cache_is_bounded():
    f = jit(lambda x: sum_of(x), cache_size=2)
    for n in (1, 2, 3):
        f([1.0] * n)
    assert [len(p.instructions.inputs) for p in f.programs] == [2, 3]


def test_jit_on_values_is_differentiable():
    f = jit(lambda x: x * x * 3.0)
    assert grad(f)(2.0) == 12.0


def test_a_value_in_an_example_is_the_input():
    w = Value(2.0)
    program = trace(lambda p, x: w * x, [w], 3.0)
    assert program.value([5.0], 3.0) == 15.0
    frozen = trace(lambda x: w * x, 3.0)
    w.data = 100.0
    assert frozen.value(1.0) == 2.0


def test_nan_and_infinity_pass():
    program = trace(lambda x: exp(x) + x.tanh() + x.sigmoid() + x * x, 1.0)
    assert math.isnan(program.value(math.nan))
    assert program.value(math.inf) == math.inf
    assert np.isnan(program.map(np.array([1.0, math.nan]))).tolist() == [False, True]


# --- errors --------------------------------------------------------------------------------------


def test_errors():
    with pytest.raises(TypeError, match="where"):
        trace(lambda x: x if x > 0 else -x, 1.0)
    with pytest.raises(TypeError, match="cannot be traced"):
        trace(custom(math.sin, lambda x: x), 1.0)
    program = trace(lambda x, y: [x[0] * y, y], [1.0, 2.0], 3.0)
    with pytest.raises(TypeError, match="2 arguments"):
        program.value([1.0, 2.0])
    with pytest.raises(ValueError, match="structure of the example"):
        program.value([1.0], 3.0)
    with pytest.raises(ValueError, match="structure of the example"):
        trace(lambda x: x[0][0] * x[1][0], [[1.0], [2.0]]).value([1.0, 2.0])
    with pytest.raises(TypeError, match="jacobian"):
        program.value_and_grad([1.0, 2.0], 3.0)
    with pytest.raises(ValueError, match="argnums"):
        program.jacobian([1.0, 2.0], 3.0, argnums=5)
    with pytest.raises(ValueError, match="one axis more"):
        program.map([1.0, 2.0], 3.0)
    with pytest.raises(ValueError, match="same length"):
        program.map(np.ones((3, 2)), np.ones(4))
    with pytest.raises(ValueError, match="reduce"):
        program.map([1.0, 2.0], np.ones(4), reduce="max")
    with pytest.raises(TypeError, match="real number"):
        program.value(["a", 2.0], 3.0)
    x = Value(1.0)
    with pytest.raises(ValueError, match="twice"):
        trace(lambda a, b: a * b, x, x)
