"""Programs and jitted functions as operations: on Values, in transformations, in other traces."""

import copy
import enum
import math
import multiprocessing
import pickle
from functools import partial

import cloudpickle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_program_trace import random_function

from autograd_bp import (
    Value,
    check_grads,
    checkpoint,
    custom,
    detect_anomaly,
    dot,
    exp,
    grad,
    gradients,
    hessian,
    hvp,
    implicit,
    jacobian,
    jvp,
    no_grad,
    sin,
    sum_of,
    value_and_grad,
    vjp,
    watch,
)
from autograd_bp.program import jit, trace
from nn import MLP

POINT = [0.3, -1.2, 0.7, 1.9]
numbers = st.lists(st.floats(-2, 2), min_size=4, max_size=4)


def close(a, b, tolerance=1e-9):
    np.testing.assert_allclose(
        np.array(number(a), float), np.array(number(b), float), rtol=tolerance, atol=tolerance
    )


def number(x):
    """The data of Values in lists and arrays."""
    if isinstance(x, Value):
        return x.data
    if isinstance(x, np.ndarray):
        return number(x.tolist())
    return [number(y) for y in x] if isinstance(x, (list, tuple)) else x


# --- a gradient at once ---------------------------------------------------------------------------

CAPTURED = [Value(0.3), Value(-1.2)]
AT_ONCE = {
    "list": (lambda x: x[0] * x[1] - x[2], ([1.0, 2.0, 3.0],)),
    "numbers": (lambda x, y: x * y.sin(), (2.0, 3)),
    "minus zero": (lambda x, y: -x * y, (0.0, 0.0)),
    "dict": (lambda p, x: p["a"] * x[0] + p["b"][0], ({"a": 1.0, "b": (2,)}, [3.0, -4.0])),
    "array": (lambda x, w: dot(list(x), w), (np.array([1.0, 2.0, 3.0]), [1.0, 2.0, 0.0])),
    "matrix": (lambda x, y: x[0, 1] * y, (np.arange(4.0).reshape(2, 2), 2.0)),
    "beyond the domain": (lambda x: x[0].log() + x[1] / x[2], ([-1.0, 1.0, 0.0],)),
    "captured": (lambda x: CAPTURED[0] * x[0] + CAPTURED[1] * x[1], ([1.0, 2.0],)),
    "constant": (lambda x: 3.0, ([1.0, 2.0],)),
    "nothing": (lambda x, y: x[0], ([2.0], [])),
}
BY_GRAPH = {
    "several results": (lambda x, y: [x, y], (2.0, 3.0)),
    "text": (lambda x: x[0], (["a"],)),
    "beyond floats": (lambda x: x[0], ([10**400],)),
    "no structure": (lambda x: x[0] * x[1], ([1.0], 2.0)),
}


def in_bits(f):
    """What f gives, types and signs of zero and all, or the error that it raises."""
    try:
        return pickle.dumps(f())
    except (TypeError, ValueError, OverflowError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("case", [*AT_ONCE, *BY_GRAPH])
@pytest.mark.parametrize("argnums", [0, 1, -1, (0,), (1, 0), [0, 1], 5, "x"])
def test_a_gradient_at_once_is_that_of_the_graph(case, argnums):
    f, args = (AT_ONCE | BY_GRAPH)[case]
    for make in (jit, lambda f: trace(f, *args)) if case in AT_ONCE else (jit,):
        g = make(f)
        by_graph = value_and_grad(lambda *x: g(*x), argnums)
        first = in_bits(lambda: by_graph(*args))
        assert in_bits(lambda: value_and_grad(make(f), argnums)(*args)) == first
        at_once = in_bits(lambda: g._value_and_grad_of_numbers(args, {}, argnums))
        left_to_the_graph = pickle.dumps(None) if isinstance(first, tuple) else first
        assert at_once in (first, left_to_the_graph)
        with no_grad(), watch(lambda node: None):
            assert in_bits(lambda: value_and_grad(g, argnums)(*args)) == first


# --- laws, on random programs --------------------------------------------------------------------


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6), x=numbers, y=numbers, t=numbers)
@pytest.mark.parametrize("made", [jit, lambda f: trace(f, POINT)], ids=["jit", "trace"])
def test_a_program_is_the_function(made, seed, x, y, t):
    f = random_function(seed, 15)
    g = made(f)
    for point in (x, y):
        close(g(point), f([Value(c) for c in point]))
        close(grad(g)(point), grad(f)(point))
        close(jit(grad(g))(point), grad(f)(point))
        close(jit(g)(point), f([Value(c) for c in point]))
        close(hessian(g)(point), hessian(f)(point), 1e-7)
        close(jvp(g, (point,), (t,)), jvp(f, (point,), (t,)))
        close(hvp(g, (point,), (t,)), hvp(f, (point,), (t,)), 1e-7)
        close(grad(lambda p: dot(grad(g)(p), t))(point), hvp(f, (point,), (t,))[0], 1e-7)
        nodes = [Value(c) for c in point]
        close(gradients(g(nodes), nodes), grad(f)(point))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), x=numbers, t=numbers)
def test_several_results(seed, x, t):
    several = [random_function(seed + i, 8) for i in range(3)]

    def rows(x):
        return [f(x) for f in several]

    close(jacobian(jit(rows))(x), jacobian(rows)(x))
    close(vjp(jit(rows), x)[1](t[:3])[0], vjp(rows, x)[1](t[:3])[0])
    close(hessian(lambda p: dot(jit(rows)(p), t[:3]))(x), hessian(lambda p: dot(rows(p), t[:3]))(x))


def test_many_results_are_their_instructions():
    def f(x):
        return [xi * x[0] for xi in x]

    x = [float(i) for i in range(1, 41)]
    nodes = [Value(c) for c in x]
    results = trace(f, x)(nodes)
    assert {y.op for y in results} == {"*"}
    close(grad(lambda p: sum_of(trace(f, x)(p)))(x), grad(lambda p: sum_of(f(p)))(x))


# --- one node, with the function's name -----------------------------------------------------------


def test_on_values_a_program_is_one_node():
    def energy(x, y):
        return x * exp(y) + sin(x)

    program = trace(energy, 1.0, 1.0)
    x, y = Value(0.5), Value(0.25)
    for node in (program(x, y), jit(energy)(x, y)):
        assert node.op == "energy"
        assert node.parents == (x, y)
        assert node.data == energy(0.5, 0.25)
        assert node.local_grads == pytest.approx(
            [math.exp(0.25) + math.cos(0.5), 0.5 * math.exp(0.25)]
        )
    assert program(x, 2.0).parents == (x,)
    assert isinstance(program(0.5, 0.25), float)
    (slope,) = gradients(program(x, y), [y], create_graph=True)
    assert gradients(slope, [x]) == pytest.approx([math.exp(0.25)])
    with no_grad():
        assert program(x, y).is_leaf


def test_outside_of_a_domain_a_program_gives_nan_also_on_values():
    program = trace(lambda x: x.log(), 1.0)
    y = program(Value(-1.0))
    assert math.isnan(y.data)
    with detect_anomaly(), pytest.raises(FloatingPointError):
        program(Value(-1.0))


def test_derivatives_of_leaves_are_numbers_outside_of_transformations():
    model = MLP(2, [3, 1], seed=0)
    program = trace(lambda p, x: model(x), model.parameters(), [1.0, 2.0])
    value, slopes = program.value_and_grad(model.parameters(), [1.0, 2.0])
    assert isinstance(value, float)
    assert all(isinstance(g, float) for g in slopes)
    sums = program.map(model.parameters(), np.ones((3, 2)), reduce="sum")
    assert isinstance(sums, float)
    w = Value(2.0)
    square = trace(lambda x: x * x, 1.0)
    _, slope = square.value_and_grad(w * 3.0)
    slope.backward()
    assert w.grad == 6.0


# --- in a trace, and what is closed over ----------------------------------------------------------


@pytest.mark.parametrize("first", [2.0, 5.0])
def test_a_program_in_a_trace_is_inlined(first):
    cube = trace(lambda x: x**3, 1.0)
    f = jit(lambda x: cube(x) + 2.0 * jit(lambda y: y * y)(x))
    for x in (first, 3.0, -1.0):
        assert f(x) == x**3 + 2 * x * x
        assert f.value_and_grad(x)[1] == pytest.approx(3 * x * x + 4 * x)
    assert len(f.program(1.0)) <= 5


@pytest.mark.parametrize(
    "inner",
    [
        lambda x: jit(lambda y: x * y)(2.0),
        lambda x: trace(lambda y: x * y, 1.0)(2.0),
        lambda x: grad(jit(lambda y: x * y * y))(1.0),
        lambda x: jit(grad(lambda y: x * y * y))(1.0),
        lambda x: grad(lambda y: x * y * y)(1.0),
        lambda x: jvp(lambda y: x * y * y, (1.0,), (1.0,))[1],
        lambda x: vjp(lambda y: x * y * y, 1.0)[1](1.0)[0],
        lambda x: jacobian(lambda y: [x * y * y])(1.0)[0],
        lambda x: hessian(lambda y: x * y * y)(1.0),
        lambda x: hvp(lambda y: x * y * y, (1.0,), (1.0,))[0],
        lambda x: value_and_grad(lambda y: x * y * y)(1.0)[1],
        lambda x: jit(lambda y: x * y * y).value_and_grad(1.0)[1],
        lambda x: trace(lambda y: x * y * y, 1.0).value_and_grad(1.0)[1],
        lambda x: trace(lambda y: x * y * y, 1.0).jacobian(1.0)[0, 0],
        lambda x: trace(lambda y: x * y * y, 1.0).hvp(1.0, tangent=1.0),
        lambda x: trace(lambda y: x * y, 1.0).map(np.array([0.5, 1.5]), reduce="sum"),
        lambda x: trace(lambda w, y: w * y, 1.0, 1.0).map(x, np.array([0.5, 1.5]), reduce="sum"),
        lambda x: sum_of(trace(lambda y: x * y, 1.0).map(np.array([0.5, 1.5]))),
        lambda x: checkpoint(lambda y: 2.0 * x * y)(1.0),
        lambda x: custom(lambda a, b: a * b, lambda a, b: (b, a))(x, 2.0),
        lambda x: implicit(lambda y, a: y - 2.0 * a, lambda a: 2.0 * a)(x),
    ],
)
def test_what_an_outer_variable_made_is_seen(inner):
    """Each is 2x: its value at any point, its slope, and nothing that the first call saw."""
    for outer in (lambda f: f, jit, lambda f: trace(f, 7.0), lambda f: jit(jit(f))):
        f = outer(inner)
        for x in (3.0, 5.0):
            assert number(f(x)) == pytest.approx(2 * x)
            assert number(grad(f)(x)) == pytest.approx(2.0)
            assert number(grad(grad(lambda z, f=f: f(z) * z))(x)) == pytest.approx(4.0)
    leaf = Value(3.0)
    y = jit(inner)(leaf)
    y.backward()
    assert leaf.grad == pytest.approx(2.0)


def test_a_jitted_function_reads_the_leaves_it_closes_over_anew():
    w = Value(3.0)
    f = jit(lambda x: w * x)
    y = f(2.0)
    y.backward()
    assert (y.data, w.grad) == (6.0, 2.0)
    w.data = 4.0
    assert f(2.0).data == 8.0
    assert f.value_and_grad(2.0) == (8.0, 4.0)
    assert len(f.programs) == 1
    assert f.program(2.0).frozen().value(2.0) == 8.0
    twin = pickle.loads(pickle.dumps(f.program(2.0)))
    assert twin.value(2.0) == 8.0


def test_what_no_leaf_is_closed_over_is_not_kept():
    """A Value that is computed anew for each call must not be that of the first."""
    box = []
    f = jit(lambda x: box[-1] * x)
    for c in (2.0, 5.0):
        w = Value(c)
        box.append(w * 3.0)
        f(2.0).backward()
        assert w.grad == 6.0
        assert f(2.0).data == 6.0 * c


def test_a_model_first_used_for_prediction():
    model = MLP(2, [3, 1], seed=0)
    f = jit(lambda x: model(x))
    with no_grad():
        f([0.1, 0.2])
    for _ in range(2):
        y, expected = f([0.5, 0.7]), model([0.5, 0.7])
        assert y.data == pytest.approx(expected.data)
        slopes = gradients(expected, model.parameters())
        close(gradients(y, model.parameters()), slopes)
        for p in model.parameters():
            p.data *= 2.0


def test_an_argument_is_not_mistaken_for_what_is_closed_over():
    x = Value(3.0)
    f = jit(lambda y: x * y)
    assert f(x).data == 9.0
    assert f(2.0).data == 6.0
    assert f(Value(5.0)).data == 15.0


# --- jit for daily use ----------------------------------------------------------------------------


class Mode(enum.Enum):
    SQUARE = 2
    CUBE = 3


@jit
def powered(x, mode=Mode.SQUARE, *, shift=None, negate=False):
    y = x**mode.value if isinstance(mode, Mode) else x ** {"square": 2, "cube": 3}[mode]
    y = y if shift is None else y + shift
    return -y if negate else y


class Scaled:
    def __init__(self, scale):
        self.scale = Value(scale)

    @jit
    def forward(self, x):
        return self.scale * x

    @partial(jit, static_argnums=2)
    def power(self, x, n):
        return self.scale * x**n

    @staticmethod
    @jit
    def double(x):
        return 2.0 * x


def test_static_leaves_and_keywords():
    assert powered(2.0) == 4.0
    assert powered(2.0, Mode.CUBE) == powered(2.0, mode="cube") == 8.0
    assert powered(2.0, shift=1.0) == 5.0
    assert powered(2.0, shift=None, negate=np.bool_(True)) == -4.0
    assert powered(x=3.0) == 9.0
    assert powered.value_and_grad(2.0, "cube", shift=3.0) == (11.0, 12.0)
    assert grad(lambda x: powered(x, mode="cube"))(2.0) == 12.0
    nested = jit(lambda d: d["x"] ** d["n"].value)
    assert nested.value_and_grad({"x": 2.0, "n": Mode.CUBE}) == (8.0, {"x": 12.0, "n": Mode.CUBE})
    assert nested({"x": 2.0, "n": Mode.SQUARE}) == 4.0


def test_static_arguments():
    for f in (
        jit(lambda x, n: x**n, static_argnums=1),
        jit(lambda x, n: x**n, static_argnums=-1),
        jit(lambda x, n: x**n, static_argnames="n"),
        jit(lambda x, n: x**n, static_argnames=["n"]),
    ):
        assert [f(2.0, 3), f(2.0, 4), f(2.0, n=5)] == [8.0, 16.0, 32.0]
        assert f.value_and_grad(2.0, 3) == (8.0, 12.0)
        with pytest.raises(ValueError, match="static"):
            f.value_and_grad(2.0, 3, argnums=1)
        with pytest.raises(TypeError, match="n is static, so it must be hashable"):
            f(2.0, [1])
    kind = jit(lambda x, n: x * (1.0 if isinstance(n, bool) else 2.0), static_argnums=1)
    assert [kind(1.0, 1), kind(1.0, True), kind(1.0, 1.0)] == [2.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="static_argnames"):
        jit(lambda x: x, static_argnames="y")
    with pytest.raises(ValueError, match="static_argnums"):
        jit(lambda x: x, static_argnums=-2)


def test_methods():
    a, b = Scaled(2.0), Scaled(5.0)
    assert (a.forward(3.0).data, b.forward(3.0).data) == (6.0, 15.0)
    a.forward(3.0).backward()
    assert (a.scale.grad, b.scale.grad) == (3.0, 0.0)
    a.scale.data = 10.0
    assert a.forward(1.0).data == 10.0
    assert (a.power(2.0, 3).data, b.power(2.0, n=2).data) == (80.0, 20.0)
    assert Scaled.double(4.0) == a.double(4.0) == 8.0
    assert isinstance(Scaled.forward, type(powered))


def test_an_object_of_a_method_is_not_kept_alive():
    import gc
    import weakref

    a = Scaled(2.0)
    a.forward(3.0)
    dead = weakref.ref(a)
    del a
    gc.collect()
    assert dead() is None


@jit
def at_the_top(x):
    return x * x + 1.0


def test_pickles_and_copies():
    assert pickle.loads(pickle.dumps(at_the_top)) is at_the_top
    assert copy.deepcopy(at_the_top)(2.0) == 5.0
    for f in (at_the_top, jit(lambda x: x * x + 1.0), Scaled(1.0).forward):
        twin = pickle.loads(cloudpickle.dumps(f))
        assert number(twin(2.0)) == number(f(2.0))
        assert number(copy.copy(f)(2.0)) == number(f(2.0))
        assert number(copy.deepcopy(f)(2.0)) == number(f(2.0))
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        assert pool.map(at_the_top, [1.0, 2.0]) == [2.0, 5.0]


def test_aux_holds_numbers():
    def f(x):
        return x * x, {"y": x * 3.0, "name": "f", "rows": np.array([x, 2.0 * x], object)}

    slope, aux = grad(f, has_aux=True)(2.0)
    assert (slope, aux["y"], aux["name"], aux["rows"].tolist()) == (4.0, 6.0, "f", [2.0, 4.0])
    assert aux["rows"].dtype == float
    (_, outer), _ = value_and_grad(lambda x: value_and_grad(f, has_aux=True)(x)[0], has_aux=True)(
        2.0
    )
    assert outer["y"] == 6.0


@pytest.mark.parametrize("eager", [True, False])
def test_a_model_that_calls_a_jitted_function_is_trained(eager):
    from nn import fit, mse
    from nn.modules import Module

    class Net(Module):
        def __init__(self):
            self.inner = MLP(2, [3, 1], activation="tanh", seed=1)

        def parameters(self):
            return self.inner.parameters()

        @jit
        def forward(self, x):
            return self.inner(x)

        __call__ = forward

    rows = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    results = []
    for model in (Net(), MLP(2, [3, 1], activation="tanh", seed=1)):
        fit(
            model,
            rows,
            [1.0, 1.0, 0.0, 0.0],
            loss=mse,
            epochs=3,
            progress=False,
            eager=eager,
            seed=0,
        )
        results.append([p.data for p in model.parameters()])
    close(*results)


# --- what the table of compositions found ---------------------------------------------------------


def test_second_derivatives_within_no_grad_within_a_trace():
    def f(x):
        with no_grad():
            inner = hessian(lambda y: x * y**3)(2.0), hvp(lambda y: x * y**3, (2.0,), (1.0,))[0]
        return [*inner, x]

    for x in (1.0, 5.0):
        assert jit(f)(x) == [12.0 * x, 12.0 * x, x]
        assert jacobian(jit(f))(x) == [0.0, 0.0, 1.0]


def test_a_custom_operation_that_would_lose_a_derivative_in_a_trace():
    def outside(x, z):
        return custom(lambda y: z * y, lambda y: z)(x)

    with pytest.raises(TypeError, match="make it an operand"):
        jit(outside)(2.0, 3.0)
    inside = custom(lambda y: (y * y) + Value(3.0), lambda y: 2.0 * y)
    assert jit(lambda x: inside(x)).value_and_grad(2.0) == (7.0, 4.0)


def test_what_watches_from_outside_sees_no_trace():
    made = []
    f = jit(lambda x: x.log())
    with watch(made.append), detect_anomaly():
        assert math.isnan(f(-1.0))
    assert made == []
    assert grad(checkpoint(jit(lambda x: x**3)))(2.0) == 12.0


def test_check_grads_of_a_function_that_differentiates():
    def f(x):
        y = Value(2.0)
        return gradients(x * y**2, [y], create_graph=True)[0]

    check_grads(f, (3.0,))
