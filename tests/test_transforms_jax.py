"""Random programs on random trees of inputs: every transformation against JAX in float64."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import GIVEN

import autograd_bp as ab
from autograd_bp import Value
from autograd_bp.ops import TABLE

jax = pytest.importorskip("jax")
jnp = jax.numpy


@pytest.fixture(scope="module", autouse=True)
def _double_precision():
    """For this module only; and op by op, since to compile each random program takes longer."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    with jax.disable_jit():
        yield
    jax.config.update("jax_enable_x64", before)


# --- one program, two libraries ------------------------------------------------------------------

names = [name for name in ab.__all__ if hasattr(jnp, name) or hasattr(jax.nn, name)]
JAX = SimpleNamespace(
    **{name: getattr(jnp, name, None) or getattr(jax.nn, name) for name in names},
    logsigmoid=jax.nn.log_sigmoid,
    erf=jax.scipy.special.erf,
    erfc=jax.scipy.special.erfc,
    lgamma=jax.scipy.special.gammaln,
    polygamma=lambda n, x: jax.scipy.special.polygamma(int(n), x),
    sum_of=lambda x: jnp.sum(jnp.stack(x)),
    norm=lambda x: jnp.sqrt(jnp.sum(jnp.stack(x) ** 2)),
    array=lambda x, shape: jnp.stack(x).reshape(shape),
)
JAX.gelu = lambda x: jax.nn.gelu(x, approximate=False)
JAX.mean = lambda x: jnp.mean(jnp.stack(x))
JAX.dot = lambda w, x, b: b + sum(p * q for p, q in zip(w, x, strict=True))
JAX.logsumexp = lambda x: jax.scipy.special.logsumexp(jnp.stack(x))
JAX.softmax = lambda x: list(jax.nn.softmax(jnp.stack(x)))

OURS = SimpleNamespace(
    **{name: getattr(ab, name) for name in ab.__all__},
    array=lambda x, shape: np.array(x, dtype=object).reshape(shape),
)

# The steps that programs are made of, on nodes a and b and a number c from 0.5 to 2. Each keeps
# away from poles. Kinks lie at odd places, where neither a drawn number nor another step falls.
STEPS = {
    "+": lambda m, a, b, c: a + b * c,
    "-": lambda m, a, b, c: c - a - b,
    "*": lambda m, a, b, c: a * b,
    "/": lambda m, a, b, c: a / (b * b + c),
    "number/": lambda m, a, b, c: c / (a * a + c) - b / c,
    "**": lambda m, a, b, c: (a * a + c) ** m.atan(b),
    "whole power": lambda m, a, b, c: m.sin(a) ** 3 - m.cos(b) ** 2.0,
    "power of a number": lambda m, a, b, c: c ** m.sin(a - b),
    "neg": lambda m, a, b, c: -a,
    "abs": lambda m, a, b, c: abs(m.sin(a) - 0.1234567) * c,
    "exp": lambda m, a, b, c: m.exp(-a * a) * b,
    "expm1": lambda m, a, b, c: m.expm1(m.sin(a)),
    "log": lambda m, a, b, c: m.log(a * a + c),
    "log1p": lambda m, a, b, c: m.log1p(a * a),
    "log2": lambda m, a, b, c: m.log2(a * a + c),
    "log10": lambda m, a, b, c: m.log10(a * a + c),
    "sqrt": lambda m, a, b, c: m.sqrt(a * a + b * b + c),
    "hypot": lambda m, a, b, c: m.hypot(a, m.cosh(0.2 * b)),
    "sin": lambda m, a, b, c: m.sin(a + c * b),
    "cos": lambda m, a, b, c: m.cos(a) * b,
    "tan": lambda m, a, b, c: m.tan(m.sin(a)),
    "asin": lambda m, a, b, c: m.asin(0.9 * m.cos(a)),
    "acos": lambda m, a, b, c: m.acos(0.9 * m.sin(a)),
    "atan": lambda m, a, b, c: m.atan(c * a),
    "atan2": lambda m, a, b, c: m.atan2(a, b * b + c),
    "sinh": lambda m, a, b, c: m.sinh(0.2 * a),
    "cosh": lambda m, a, b, c: m.cosh(0.2 * a),
    "tanh": lambda m, a, b, c: m.tanh(a - c),
    "sigmoid": lambda m, a, b, c: m.sigmoid(a) * b,
    "softplus": lambda m, a, b, c: m.softplus(c * a),
    "logsigmoid": lambda m, a, b, c: m.logsigmoid(a + c),
    "relu": lambda m, a, b, c: m.relu(m.sin(a) - 0.2345678) + c * b,
    "leaky_relu": lambda m, a, b, c: m.leaky_relu(m.sin(a) + 0.3456789, 0.1),
    "leaky_relu, both": lambda m, a, b, c: m.leaky_relu(m.cos(a) - 0.4567891, m.sin(b)),
    "elu": lambda m, a, b, c: m.elu(m.atan(a) - 0.5678912, c),
    "gelu": lambda m, a, b, c: m.gelu(a),
    "silu": lambda m, a, b, c: m.silu(a + c),
    "erf": lambda m, a, b, c: m.erf(a),
    "erfc": lambda m, a, b, c: m.erfc(a) * c,
    "lgamma": lambda m, a, b, c: m.lgamma(a * a + c),
    "polygamma": lambda m, a, b, c: m.polygamma(1.0, a * a + c),
    "maximum": lambda m, a, b, c: m.maximum(a, m.sin(b) - 0.6789123),
    "minimum": lambda m, a, b, c: m.minimum(m.atan(a) + 0.7891234, b * c),
    "where": lambda m, a, b, c: m.where(a < m.cos(b) + 0.8912345, m.sin(b), a * c),
    "clip": lambda m, a, b, c: m.clip(m.sin(a), -0.9123456, b * b + 0.1357924),
    "dot": lambda m, a, b, c: m.dot([a, c, a], [b, a, a], b) * 0.25,
    "sum_of": lambda m, a, b, c: m.sum_of([a, b, a]),
    "mean": lambda m, a, b, c: m.mean([a, b, b, a * b]),
    "logsumexp": lambda m, a, b, c: m.logsumexp([a, c * b, a]),
    "softmax": lambda m, a, b, c: m.softmax([a, b, c * a])[0],
    "norm": lambda m, a, b, c: m.norm([a, b, m.cos(a) + 2.0]),
}

# In a trace a comparison is a node; elsewhere it is a bool, and `where` takes that.
NOT_IN_PROGRAMS = {"", "<", "<=", *GIVEN}


def run(m, inputs, steps):
    """All nodes of a program, the inputs first."""
    nodes = list(inputs)
    for name, i, j, c in steps:
        nodes.append(STEPS[name](m, nodes[i], nodes[j], c))
    return nodes


@st.composite
def programs(draw, n, max_steps=8):
    """Steps on n inputs, at a point where no number is larger than 8: the inputs and the steps."""
    inputs = [draw(st.floats(-2, 2)) for _ in range(n)]
    nodes, steps = list(inputs), []
    if not inputs:
        return inputs, steps
    for _ in range(draw(st.integers(1, max_steps))):
        step = (
            draw(st.sampled_from(sorted(STEPS))),
            *(draw(st.integers(0, len(nodes) - 1)) for _ in range(2)),
            draw(st.floats(0.5, 2.0)),
        )
        if abs(run(OURS, nodes, [step])[-1]) > 8:
            step = ("atan", *step[1:])
        steps.append(step)
        nodes.append(run(OURS, nodes, [step])[-1])
    return inputs, steps


# --- trees ---------------------------------------------------------------------------------------


def _branches(children):
    return (
        st.lists(children, min_size=1, max_size=3)
        | st.lists(children, min_size=1, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(["b", "a", "w"]), children, min_size=1, max_size=3)
    )


_shapes = st.sampled_from([None, None, (), (2,), (1, 2), (2, 2)])
skeletons = st.recursive(_shapes.map(lambda shape: ("leaf", shape)), _branches, max_leaves=3)
"""A tree to be filled: ("leaf", shape), where shape None is a number by itself."""


def size(skeleton):
    return sum(1 if shape is None else math.prod(shape) for shape in _leaves(skeleton))


def _leaves(skeleton):
    if isinstance(skeleton, tuple) and skeleton[0] == "leaf":
        yield skeleton[1]
    else:
        for key in _keys(skeleton):
            yield from _leaves(skeleton[key])


def _keys(tree):
    return sorted(tree) if isinstance(tree, dict) else range(len(tree))


def fill(skeleton, numbers, array):
    """The tree with an iterator's next numbers in its leaves; array(list, shape) makes one."""
    if isinstance(skeleton, tuple) and skeleton[0] == "leaf":
        shape = skeleton[1]
        if shape is None:
            return next(numbers)
        return array([next(numbers) for _ in range(math.prod(shape))], shape)
    filled = {key: fill(skeleton[key], numbers, array) for key in _keys(skeleton)}
    return filled if isinstance(skeleton, dict) else type(skeleton)(filled.values())


def numbers_of(tree):
    """All numbers of a tree, in the order that `fill` takes them."""
    if isinstance(tree, (dict, list, tuple)):
        return [x for key in _keys(tree) for x in numbers_of(tree[key])]
    if getattr(tree, "shape", None):
        return list(tree.reshape(-1))
    return [tree[()] if isinstance(tree, np.ndarray) else tree]


def plain_array(numbers, shape):
    return np.array(numbers, dtype=float).reshape(shape)


# --- a case: a function on both sides, and how far rounding may carry the two apart --------------


class Case:
    """A program as a function of a tree, and of as many numbers again, whose result is a tree."""

    def __init__(self, inputs, results, point, steps):
        self.skeleton, self.steps, self.results = inputs, steps, results
        self.at = fill(inputs, iter(point), plain_array)

    def __repr__(self):
        return f"{self.at} through {self.steps} to {self.results}"

    def scalar(self, m):
        return lambda tree: run(m, numbers_of(tree), self.steps)[-1]

    def tree(self, m):
        def f(tree):
            nodes = run(m, numbers_of(tree), self.steps)[-size(self.results) :]
            return fill(self.results, iter(nodes), m.array)

        return f

    def like_inputs(self, numbers):
        return fill(self.skeleton, iter(numbers), plain_array)

    def paths(self):
        """Σ |∏ local derivatives| over all paths through the graph: what rounding errors of the
        local derivatives are multiplied by, though the derivative itself may cancel to less."""
        nodes = run(OURS, [Value(x) for x in numbers_of(self.at)], self.steps)
        order = ab.topological_order([y for y in nodes if isinstance(y, Value)])
        reach = dict.fromkeys(map(id, order), 1.0)
        for node in reversed(order):
            for parent, d in zip(node.parents, node.local_grads, strict=True):
                reach[id(parent)] += abs(d) * reach[id(node)]
        return max(reach.values())


@st.composite
def cases(draw):
    inputs = draw(skeletons.filter(lambda tree: 1 <= size(tree) <= 5))
    point, steps = draw(programs(size(inputs)))
    results = draw(skeletons.filter(lambda tree: 1 <= size(tree) <= len(steps) + len(point)))
    case = Case(inputs, results, point, steps)
    assume(case.paths() < 1e4)
    return case


def assert_same(ours, theirs, scale):
    """The same tree: same containers, same shapes, the same numbers to rounding."""
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for got, true in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.shape(got) == np.shape(true)
        assert type(got) is float or (type(got) is np.ndarray and got.dtype == float)
        np.testing.assert_allclose(got, true, rtol=1e-10, atol=1e-11 * scale)


def test_programs_contain_every_row():
    a, b = Value(0.4), Value(-1.3)
    made = {
        node.op
        for step in STEPS.values()
        for c in (0.5, 1.0)
        for node in ab.topological_order(step(OURS, a, b, c))
    }
    assert made == {op.name for op in TABLE} - NOT_IN_PROGRAMS | {""}


@pytest.mark.parametrize(
    "name",
    [
        name if i % 6 == 0 else pytest.param(name, marks=pytest.mark.slow)
        for i, name in enumerate(STEPS)
    ],
)
@settings(max_examples=3)
@given(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), st.floats(0.5, 2.0))
def test_each_step_alone(name, point, c):
    case = Case([("leaf", None)] * 2, [("leaf", None)], point, [(name, 0, 1, c)])
    scale = case.paths() ** 2
    for ours, theirs in [(ab.grad, jax.grad), (ab.hessian, jax_hessian)]:
        assert_same(ours(case.scalar(OURS))(case.at), theirs(case.scalar(JAX))(case.at), scale)


def rows_of(pull_back, outputs):
    """JAX's Jacobian, row by row. (Its own jacrev compiles every operation for every number of
    rows, which takes most of a minute here; `test_argnums` asks it for the structure.)"""
    leaves, spec = jax.tree.flatten(outputs)
    blocks = []
    for k, leaf in enumerate(leaves):
        rows = []
        for i in range(leaf.size):
            units = [np.zeros(np.shape(other)) for other in leaves]
            units[k].reshape(-1)[i] = 1.0
            rows.append(pull_back(spec.unflatten(map(jnp.asarray, units)))[0])
        shape = np.shape(leaf)
        blocks.append(
            jax.tree.map(lambda *x: np.stack(x).reshape((*shape, *np.shape(x[0]))), *rows)
        )
    return spec.unflatten(blocks)


def jax_jacobian(f):
    def at(tree):
        outputs, pull_back = jax.vjp(f, _floats(tree))
        return rows_of(pull_back, outputs)

    return at


def jax_hessian(f):
    return jax_jacobian(jax.grad(f))


# --- the transformations -------------------------------------------------------------------------

some = settings(max_examples=25)
numbers = st.lists(st.floats(-2, 2), min_size=16, max_size=16)


@some
@given(cases())
def test_value_and_grad(case):
    ours = ab.value_and_grad(case.scalar(OURS))(case.at)
    theirs = jax.value_and_grad(case.scalar(JAX))(case.at)
    assert_same(ours, theirs, case.paths())
    assert_same(ab.grad(case.scalar(OURS))(case.at), theirs[1], case.paths())


@some
@given(cases())
def test_jacobian(case):
    assert_same(
        ab.jacobian(case.tree(OURS))(case.at),
        jax_jacobian(case.tree(JAX))(case.at),
        case.paths(),
    )


@some
@given(cases())
def test_hessian(case):
    assert_same(
        ab.hessian(case.scalar(OURS))(case.at),
        jax_hessian(case.scalar(JAX))(case.at),
        case.paths() ** 2,
    )


@some
@given(cases(), numbers)
def test_jvp(case, direction):
    tangent = case.like_inputs(direction)
    assert_same(
        ab.jvp(case.tree(OURS), (case.at,), (tangent,)),
        jax.jvp(case.tree(JAX), _floats((case.at,)), _floats((tangent,))),
        case.paths(),
    )


@some
@given(cases(), numbers)
def test_vjp(case, weights):
    seeds = fill(case.results, iter(weights), plain_array)
    ours, pull_back = ab.vjp(case.tree(OURS), case.at)
    theirs, jax_pull_back = jax.vjp(case.tree(JAX), _floats(case.at))
    assert_same(ours, theirs, case.paths())
    assert_same(pull_back(seeds), jax_pull_back(_floats(seeds)), 16 * case.paths())


@some
@given(cases(), numbers)
def test_hvp(case, direction):
    tangent = case.like_inputs(direction)
    theirs = jax.jvp(jax.grad(case.scalar(JAX)), _floats((case.at,)), _floats((tangent,)))[1]
    ours = ab.hvp(case.scalar(OURS), (case.at,), (tangent,))
    assert_same(ours, (theirs,), 16 * case.paths() ** 2)


def _floats(tree):
    """JAX's vjp and jvp want arrays of one type."""
    return jax.tree.map(lambda x: jnp.asarray(x, float), tree)


@pytest.mark.slow
@some
@given(cases(), numbers)
def test_compositions(case, direction):
    """A derivative of a derivative, forward and reverse in every order."""
    tangent = case.like_inputs(direction)

    def along(jvp, f, tangent):
        return lambda tree: jvp(f, (tree,), (tangent,))[1]

    def both(ours, theirs):
        scale = 16 * case.paths() ** 2
        at = case.at
        assert_same(ours(case.scalar(OURS))(at), theirs(case.scalar(JAX))(_floats(at)), scale)

    both(lambda f: ab.jacobian(ab.grad(f)), jax_hessian)
    both(
        lambda f: ab.grad(along(ab.jvp, f, tangent)),
        lambda f: jax.grad(along(jax.jvp, f, _floats(tangent))),
    )
    both(
        lambda f: along(ab.jvp, ab.grad(f), tangent),
        lambda f: along(jax.jvp, jax.grad(f), _floats(tangent)),
    )
    both(
        lambda f: along(ab.jvp, along(ab.jvp, f, tangent), tangent),
        lambda f: along(jax.jvp, along(jax.jvp, f, _floats(tangent)), _floats(tangent)),
    )


@pytest.mark.slow
@settings(max_examples=10)
@given(cases(), numbers)
def test_third_order(case, direction):
    """The gradient of the curvature along a direction, vᵀHv."""
    v = direction[: len(numbers_of(case.at))]
    at = [float(x) for x in numbers_of(case.at)]

    def program(m):
        return lambda x: run(m, x, case.steps)[-1]

    def ours(x):
        (product,) = ab.hvp(program(OURS), (x,), (v,))
        return ab.dot(product, v)

    def theirs(x):
        product = jax.jvp(jax.grad(program(JAX)), (x,), (v,))[1]
        return sum(p * d for p, d in zip(product, v, strict=True))

    scale = 100 * case.paths() ** 3
    assert_same(ab.grad(ours)(at), jax.grad(theirs)(at), scale)

    def trace(x):
        rows = ab.hessian(program(OURS))(x)
        return sum(rows[i][i] for i in range(len(x)))

    def their_trace(x):
        units = np.eye(len(x)).tolist()
        return sum(
            jax.jvp(jax.grad(program(JAX)), (x,), (unit,))[1][i] for i, unit in enumerate(units)
        )

    assert_same(ab.grad(trace)(at), jax.grad(their_trace)(at), scale)


# --- several arguments ---------------------------------------------------------------------------


@pytest.mark.parametrize("argnums", [0, 1, -1, (0,), (0, 1), (1, 0), (-1, 0)])
@pytest.mark.parametrize("result", ["number", "list", "dict", "array"])
def test_argnums(argnums, result):
    def f(m):
        def function(p, q):
            u = p["w"] * q[0] + m.sin(q[1]) * p["b"]
            several = [u, q[0] * q[0] * q[1]]
            if result == "number":
                return u
            if result == "array":
                return m.array(several, (2,))
            return several if result == "list" else dict(zip("uv", several, strict=True))

        return function

    at = {"w": 1.5, "b": -0.5}, np.array([0.3, 2.0])
    assert_same(ab.jacobian(f(OURS), argnums)(*at), jax.jacrev(f(JAX), argnums)(*at), 10)
    if result == "number":
        assert_same(ab.grad(f(OURS), argnums)(*at), jax.grad(f(JAX), argnums)(*at), 10)
        assert_same(
            ab.value_and_grad(f(OURS), argnums)(*at), jax.value_and_grad(f(JAX), argnums)(*at), 10
        )
    if result == "number" and isinstance(argnums, int):
        assert_same(ab.hessian(f(OURS), argnums)(*at), jax.hessian(f(JAX), argnums)(*at), 10)


@pytest.mark.parametrize("kind", [float, np.float64, np.float32, int, np.int64, np.array])
def test_kinds_of_numbers(kind):
    """Whatever the kind of number, the derivative is a double; it is an array for an array."""
    at = [kind(2), kind(3)]
    ours = ab.grad(lambda x: x[0] * np.sin(x[1] * 1.0))(at)
    theirs = jax.grad(lambda x: x[0] * jnp.sin(x[1] * 1.0))(_floats([2.0, 3.0]))
    assert_same(ours, theirs, 10)
    assert {type(x) for x in ours} == {np.ndarray if kind is np.array else float}


def test_an_array_program():
    """NumPy's own operations on object arrays: products, sums, ufuncs."""

    def f(m, x, w):
        return m.sum(m.tanh(w @ x + 1.0) ** 2) + x[0, 0] * w[1, 1]

    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(3, 2)), rng.normal(size=(2, 3))
    ours, theirs = (ab.grad(lambda *a: f(np, *a), (0, 1)), jax.grad(lambda *a: f(jnp, *a), (0, 1)))
    assert_same(ours(x, w), theirs(x, w), 10)
    ours = ab.hessian(lambda a: f(np, a, w))(x)
    assert ours.shape == (3, 2, 3, 2)
    assert_same(ours, jax_hessian(lambda a: f(jnp, a, w))(x), 10)
