"""Programs as functions in JAX: their values and derivatives are the program's own."""

import itertools

import numpy as np
import pytest
from strategies import name_of, special_points

import autograd_bp as ab
from autograd_bp import custom, dot, exp, hypot, logsumexp, maximum, norm, polygamma, sqrt, where
from autograd_bp.ops import TABLE
from autograd_bp.program import take, trace
from autograd_bp.value import apply
from nn import MLP

jax = pytest.importorskip("jax")
jnp = jax.numpy
jax.config.update("jax_enable_x64", True)

pytestmark = pytest.mark.one_engine


def some_slow(parameters, quick):
    """Each takes JAX a second to compile: `make test` has those that ``quick`` says."""
    return [p if quick(p) else pytest.param(p, marks=pytest.mark.slow) for p in parameters]


def test_as_the_program():
    def f(p, x):
        z = [dot(w, x, 0.1).tanh() for w in p["w"]]
        smooth = (z[0] * z[1]).exp() + z[2] ** 3 + (x[0] * x[0] + 1.0).lgamma()
        return {"cost": logsumexp(z) - take(z, x[2]) + norm(z), "smooth": [smooth, x[1].relu()]}

    rng = np.random.default_rng(0)
    p, x = {"w": rng.normal(size=(4, 3))}, np.array([0.3, -0.7, 2.0])
    program = trace(f, p, x)
    function = jax.jit(program.to_jax())
    expected, found = program.value(p, x), function(p, x)
    assert float(found["cost"]) == pytest.approx(expected["cost"], rel=1e-12)
    np.testing.assert_allclose(np.array(found["smooth"]), expected["smooth"], rtol=1e-12)

    cost = trace(lambda p, x: f(p, x)["cost"], p, x)
    gradient = jax.jit(jax.grad(cost.to_jax()))(p, x)
    np.testing.assert_allclose(gradient["w"], cost.value_and_grad(p, x)[1]["w"], rtol=1e-11)
    X = np.stack([x, [0.1, 0.2, 1.0]])
    lanes = jax.jit(jax.vmap(cost.to_jax(), in_axes=(None, 0)))(p, X)
    np.testing.assert_allclose(lanes, cost.map(p, X), rtol=1e-12)


def test_matrix_products():
    def f(P, Q):
        return [[dot(p, q, p[0]) for q in Q] for p in P]

    rng = np.random.default_rng(1)
    P, Q = rng.normal(size=(9, 8)), rng.normal(size=(7, 8))
    function = jax.jit(trace(f, P, Q).to_jax())
    np.testing.assert_allclose(function(P, Q), P @ Q.T + P[:, :1], rtol=1e-12)


# --- every row -----------------------------------------------------------------------------------

ROWS = [op for op in TABLE if op.operands and (not op.is_nary or hasattr(ab, op.name))]


def program_of(op):
    """A row as a program of a list of operands, and at which points to try it."""
    if op.name == "dot":  # XLA fuses: 3·1.7e308 - inf is no NaN there
        numbers = [0.0, 1.0, -1.0, 0.5, 3.0, 1e-300, 1e16, np.inf, -np.inf, np.nan]
        points = list(itertools.product(numbers, repeat=3))
        return trace(lambda x: dot(x[:1], x[1:2], x[2]), [1.0] * 3), points
    if op.is_nary:
        points = special_points(next(row for row in TABLE if row.name == "*"))
        return trace(lambda x: getattr(ab, op.name)(list(x)), [1.0, 2.0]), points
    if op.name == "polygamma":  # its order is a number
        xs = [0.5, 3.0, 40.0, -0.5, -2.7, 1e-300, 1e10, 0.0, -3.0, np.inf, -np.inf, np.nan]
        orders = [0.0, 3.0]
        several = [lambda x, n=n: polygamma(n, x) for n in orders]
        return trace(lambda x: ab.sum_of([f(x[0]) for f in several]), [1.5]), [(x,) for x in xs]
    start = [0.5, 0.0, 1.0] if op.name == "clip" else [1.0] * len(op.operands)
    return trace(lambda x: apply(op.name, *x), start), special_points(op)


def derivatives(function, direction):
    """Of a list of numbers: the value, the gradient, the tangent, the Hessian by the tangent."""

    def of(row):
        x = list(row)
        with_gradient = jax.value_and_grad(function)
        (value, gradient), (tangent, second) = jax.jvp(with_gradient, (x,), (direction,))
        return value, jnp.stack(gradient), tangent, jnp.stack(second)

    return of


def assert_like(got, expected, rtol, atol):
    got, expected = (np.reshape(x, (len(expected), -1)) for x in (got, expected))
    with np.errstate(all="ignore"):
        scale = np.nanmax(np.abs(np.nan_to_num(expected, posinf=0, neginf=0)), axis=1)
        same = (got == expected) | (abs(got - expected) <= rtol * scale[:, None] + atol)
    same |= np.isnan(got) & np.isnan(expected)
    wrong = np.flatnonzero(~same.all(axis=1))
    assert not len(wrong), (wrong, got[wrong], expected[wrong])


@pytest.mark.parametrize("op", some_slow(ROWS, lambda op: op in ROWS[::3]), ids=name_of)
def test_rows(op):
    program, points = program_of(op)
    X = np.array(points, float)
    X = X[~((abs(X) < 2.3e-308) & (X != 0)).any(axis=1)]  # XLA takes subnormal numbers for 0
    direction = [1.0 + 0.25 * i for i in range(X.shape[1])]
    found = jax.jit(jax.vmap(derivatives(program.to_jax(), direction)))(X)
    value, gradient = program.map(X, grad=True)
    second = program.with_hvp().map(X, np.broadcast_to(direction, X.shape).copy())
    gradient, second = np.column_stack(gradient), np.column_stack(second)
    with np.errstate(all="ignore"):
        tangent = (gradient * direction).sum(axis=1)
    rtol = 1e-9 if op.name in ("polygamma", "lgamma") else 1e-12
    for got, expected in zip(found, (value, gradient, tangent), strict=False):
        assert_like(got, expected, rtol, 1e-300)
    # XLA takes 1/1.7e308 for 0 as well, and with it what b·y/a, the derivative of aᵇ, has of y.
    kept = ~((abs(X[:, 0]) > 4e307) & np.isfinite(X[:, 0])) | (op.name != "**")
    assert_like(found[3][kept], second[kept], rtol, 1e-300)


@pytest.mark.parametrize("op", some_slow(ROWS, lambda op: op in ROWS[::9]), ids=name_of)
def test_rows_in_single_precision(op):
    program, _ = program_of(op)
    n = program.arguments[0].size
    numbers = [-20.0, -3.0, -0.75, 0.0, 0.5, 1.0, 2.5, 3.0, 20.0, 60.0]
    X = np.array(list(itertools.product(numbers[:: max(1, n - 1)], repeat=n)), np.float32)
    direction = [np.float32(1.0 + 0.25 * i) for i in range(n)]
    found = jax.jit(jax.vmap(derivatives(program.to_jax(), direction)))(X)
    value, gradient = program.map(X.astype(float), grad=True)
    second = program.with_hvp().map(X.astype(float), np.broadcast_to(direction, X.shape) * 1.0)
    expected = value, np.column_stack(gradient), None, np.column_stack(second)
    for i in (0, 1, 3):
        assert found[i].dtype == np.float32
        e = np.reshape(expected[i], (len(X), -1))
        in_range = ((abs(e) < 1e30) & ((abs(e) > 1e-30) | (e == 0))).all(axis=1)
        assert in_range.any()
        got = np.reshape(found[i], (len(X), -1))
        assert_like(got[in_range], e[in_range], 2e-4, 1e-6)  # of numbers near 1, that cancel


# --- derivatives that JAX's own of the values would not be ---------------------------------------

slope_of_a_third = custom(lambda x: x * x, lambda x: 3.0 * x)
AT = {  # a function, a point, its derivative and its second derivative there
    "detach": (lambda x: x.detach() * x, 3.0, 3.0, 0.0),
    "custom": (slope_of_a_third, 2.0, 6.0, 3.0),
    "root of the other branch": (lambda x: where(x < 1.0, x, sqrt(x)), 0.0, 1.0, 0.0),
    "exp of the other branch": (lambda x: where(x > 0.0, x + 1.0, exp(x)), 1000.0, 1.0, 0.0),
    "cube": (lambda x: x**3, 1e150, 3e300, 6e150),
    "tie": (lambda x: maximum(x, 2.0 * x) + maximum(x, 1.0), 1.0, 2.5, 0.0),
    "kink": (lambda x: abs(x) + x.relu(), 0.0, 0.0, 0.0),
    "norm, large": (lambda x: norm([x, 0.0]), 1e300, 1.0, 0.0),
    "norm, small": (lambda x: norm([x, x]), 1e-300, 2**0.5, None),
    "hypot, large": (lambda x: hypot(x, x), 1.2e308, 2**0.5, 0.0),
    "hypot, small": (lambda x: hypot(x, 0.0), 1e-305, 1.0, 0.0),
    "atan2, small": (lambda x: ab.atan2(x, 1e-300), 0.0, 1e300, None),
    "polygamma": (lambda x: polygamma(2, x), -2.5, 55.0, None),
    **{
        f"{name} at {x}": (lambda v, name=name: getattr(v, name)(), x, slope, 0.0)
        for name in ("sigmoid", "softplus", "silu", "elu", "logsigmoid", "gelu", "tanh")
        for x, slope in (
            (1000.0, float(name not in ("sigmoid", "logsigmoid", "tanh"))),
            (-1000.0, float(name == "logsigmoid")),
        )
    },
}


@pytest.mark.parametrize("name", some_slow(AT, lambda name: name in list(AT)[::9]))
def test_the_tables_derivatives_in_each_of_jaxs_transformations(name):
    f, x, slope, second = AT[name]
    slope = polygamma(3, x) if name == "polygamma" else slope
    function = trace(f, 0.5).to_jax()

    @jax.jit
    def everything(x):
        first = jax.grad(function), jax.jacfwd(function), jax.jacrev(function)
        again = jax.grad(first[0]), jax.jacfwd(first[0]), jax.jacrev(first[1]), jax.jacfwd(first[1])
        slopes = [df(x) for df in first]
        slopes += [jax.jvp(function, (x,), (2.0,))[1] / 2, jax.vjp(function, x)[1](2.0)[0] / 2]
        slopes.append(jax.vmap(first[0])(jnp.array([x, x]))[1])
        return slopes, [ddf(x) for ddf in again]

    slopes, seconds = everything(x)
    np.testing.assert_allclose(slopes, [slope] * 6, rtol=1e-9)
    if second is not None:
        np.testing.assert_allclose(seconds, [second] * 4, rtol=1e-9)


@pytest.mark.slow
def test_what_is_0_carries_nothing():
    function = trace(lambda x: sqrt(x[0]) + x[1], [1.0, 1.0]).to_jax()
    assert float(jax.jvp(function, ([0.0, 1.0],), ([0.0, 1.0],))[1]) == 1.0
    rows = trace(lambda x: [sqrt(x[0]) + x[1], x[1]], [1.0, 1.0]).to_jax()
    for jacobian in (jax.jacfwd, jax.jacrev):
        np.testing.assert_array_equal(np.array(jacobian(rows)([0.0, 1.0])), [[np.inf, 1], [0, 1]])


@pytest.mark.slow
def test_what_is_0_carries_nothing_in_products_of_matrices():
    def f(P, Q):
        return [[dot(p, q, 0.0) for q in Q] for p in P]

    P, Q = np.ones((9, 8)), np.ones((7, 8))
    Q[0, 0] = np.inf
    function = trace(f, P, Q).to_jax()
    direction = np.zeros((9, 8))
    direction[:, 1] = 1.0
    assert "carry_matmul" in str(jax.make_jaxpr(jax.jacfwd(function))(P, Q))
    tangent = jax.jvp(lambda P: jnp.array(function(P, Q)), (P,), (direction,))[1]
    np.testing.assert_array_equal(tangent, np.ones((9, 7)))
    seed = np.zeros((9, 7))
    seed[:, 1] = 1.0
    pull_back = jax.vjp(lambda P: jnp.array(function(P, Q)), P)[1]
    np.testing.assert_array_equal(pull_back(seed)[0], np.ones((9, 8)))
    lanes = jax.jit(jax.vmap(lambda seed: pull_back(seed)[0]))(np.stack([seed, 2 * seed]))
    np.testing.assert_array_equal(lanes, np.ones((2, 9, 8)) * [[[1]], [[2]]])


def test_third_derivatives():
    third = jax.jit(jax.grad(jax.jacfwd(jax.grad(trace(lambda x: x.sigmoid(), 0.5).to_jax()))))
    s = 1 / (1 + np.exp(-0.3))
    assert float(third(0.3)) == pytest.approx(s * (1 - s) * (1 - 6 * s + 6 * s * s), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("hessian", [jax.hessian, lambda f: jax.jacrev(jax.jacrev(f))])
def test_whole_networks(hessian):
    model = MLP(3, [4, 2], activation=["gelu", "linear"], seed=0)

    def cost(p, x):
        y = model(x)
        return norm([y[0] - x[0], y[1] * y[1].detach()]) + slope_of_a_third(y[0])

    p, x = np.array([v.data for v in model.parameters()]), np.array([0.3, -0.5, 0.8])
    program = trace(cost, model.parameters(), x)
    flat = program.to_jax()
    function = jax.jit(lambda p, x: flat(list(p), x))
    value, gradient = program.value_and_grad(p.tolist(), x)
    assert float(function(p, x)) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(jax.grad(function)(p, x), gradient, rtol=1e-10)
    direction = np.linspace(-1, 1, len(p))
    expected = program.hvp(p.tolist(), x, tangent=direction.tolist())
    found = jax.jit(hessian(function))(p, x) @ direction
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    X = np.stack([x, -x, 2 * x])
    lanes = jax.vmap(jax.value_and_grad(function), in_axes=(None, 0))(p, X)
    mapped = program.map(p.tolist(), X, grad=True)
    np.testing.assert_allclose(lanes[0], mapped[0], rtol=1e-12)
    np.testing.assert_allclose(lanes[1], np.column_stack(mapped[1]), rtol=1e-10)


# --- arguments -----------------------------------------------------------------------------------


def test_numbers_of_any_kind_are_floats():
    function = trace(lambda x, y: x * 0.5 + y[0], 1.0, np.array([1.0])).to_jax()
    assert float(function(3, np.array([1]))) == 2.5
    assert float(jax.jit(function)(3, jnp.array([1]))) == 2.5
    half = np.float32(3), np.array([1], np.float32)
    assert function(*half).dtype == np.float32
    assert function(3.0, half[1]).dtype == np.float32
    assert function(np.float64(3.0), half[1]).dtype == np.float64


WRONG = {
    "a list for a number": ([1.0, 2.0], [1.0, 2.0], ValueError, "x must .* list in place of a num"),
    "an array for a number": (np.ones(2), [1.0, 2.0], ValueError, r"x must .* shape \(2,\)"),
    "JAX's for a number": (jnp.ones(2), [1.0, 2.0], ValueError, r"x must .* shape \(2,\)"),
    "too long": (1.0, [1.0, 2.0, 3.0], ValueError, "w must have the structure"),
    "a dict for a list": (1.0, {"a": 1.0}, ValueError, "w must have the structure"),
    "bools": (jnp.array(True), [1.0, 2.0], TypeError, "x must .* dtype bool"),
    "NumPy's bools": (np.array(True), [1.0, 2.0], TypeError, "x must .* dtype bool"),
    "complex": (jnp.array(1j), [1.0, 2.0], TypeError, "x must .* dtype complex"),
    "text": ("a", [1.0, 2.0], TypeError, "x must hold real numbers"),
    "a Value": (ab.Value(1.0), [1.0, 2.0], TypeError, "x must .* Value; call the program itself"),
}


@pytest.mark.parametrize("name", WRONG)
def test_arguments_that_do_not_fit(name):
    x, w, kind, message = WRONG[name]
    program = trace(lambda x, w: x * w[0] + w[1], 1.0, [1.0, 2.0])
    with pytest.raises(kind, match=message):
        program.to_jax()(x, w)
    with pytest.raises(TypeError, match="takes 2 arguments"):
        program.to_jax()(x)
