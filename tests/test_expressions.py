"""Random expressions of all operations, with sharing, against two independent truths."""

import random

import pytest
from hypothesis import given, settings
from mpmath import mp
from strategies import eager, exact, expressions, slope

from autograd_bp import Value, topological_order

# How far a gradient may be off, relative to the sum over all paths of the absolute products of
# local derivatives. Values and derivatives on the way are at most 20, and no point is nearer
# than 0.02 to a kink or a pole (see `strategies.expressions`): rounding errors are amplified,
# but not by more than a few orders of magnitude.
TOLERANCE = 1e-9


def gradients(expression):
    """The gradients of the leaves, and the sums over paths of absolute products."""
    leaves = [Value(x) for x in expression.leaves]
    root = expression.build(leaves, eager)[-1]
    root.backward()
    sizes = {id(root): 1.0}
    for node in reversed(topological_order(root)):
        for parent, d in zip(node.parents, node.local_grads, strict=True):
            sizes[id(parent)] = sizes.get(id(parent), 0.0) + abs(d) * sizes[id(node)]
    return [x.grad for x in leaves], [sizes.get(id(x), 0.0) for x in leaves]


@settings(max_examples=150)
@given(expressions(smooth=True))
def test_against_finite_differences(expression):
    """Central ones, in arithmetic so precise that the step can be as small as 2⁻²⁰⁰."""
    got, sizes = gradients(expression)
    with mp.workprec(800):

        def f(*leaves):
            return expression.build(leaves, exact)[-1]

        leaves = [mp.mpf(x) for x in expression.leaves]
        for i, (grad, size) in enumerate(zip(got, sizes, strict=True)):
            assert abs(grad - slope(f, i)(*leaves)) <= TOLERANCE * size + 1e-30


@pytest.fixture(scope="module")
def jax_operations():
    """What names of operations mean in JAX, in double precision."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    np, nn, special = jax.numpy, jax.nn, jax.scipy.special
    named = {
        "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "**": np.power,
        "neg": np.negative, "sigmoid": nn.sigmoid, "softplus": nn.softplus,
        "logsigmoid": nn.log_sigmoid, "relu": nn.relu, "leaky_relu": nn.leaky_relu,
        "elu": nn.elu, "silu": nn.silu, "erf": special.erf, "erfc": special.erfc,
        "gelu": lambda x: nn.gelu(x, approximate=False),
        "lgamma": special.gammaln,
        "polygamma": lambda n, x: special.polygamma(int(n), x),
        "<": lambda a, b: np.where(a < b, 1.0, 0.0), "<=": lambda a, b: np.where(a <= b, 1.0, 0.0),
        "where": lambda c, a, b: np.where(c != 0, a, b),
        "dot": lambda w, x, b: np.stack(w) @ np.stack(x) + b,
        "sum_of": lambda x: np.sum(np.stack(x)),
        "mean": lambda x: np.mean(np.stack(x)),
        "logsumexp": lambda x: special.logsumexp(np.stack(x)),
        "norm": lambda x: np.linalg.norm(np.stack(x)),
    }  # fmt: skip
    return jax, lambda name: named.get(name) or getattr(np, name)


@pytest.mark.slow
@settings(max_examples=30)
@given(expression=expressions(smooth=True))
def test_against_jax(jax_operations, expression):
    jax, operations = jax_operations
    got, sizes = gradients(expression)

    def f(leaves):
        return expression.build(leaves, operations)[-1]

    value, grads = jax.value_and_grad(f)([jax.numpy.float64(x) for x in expression.leaves])
    root = expression.build([Value(x) for x in expression.leaves], eager)[-1]
    assert root.data == pytest.approx(float(value), rel=1e-9, abs=1e-9)
    for grad, size, other in zip(got, sizes, grads, strict=True):
        assert abs(grad - float(other)) <= TOLERANCE * size


# --- known numbers -------------------------------------------------------------------------------


def test_the_expression_in_micrograds_readme():
    a, b = Value(-4.0), Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    assert f"{g.data:.4f}" == "24.7041"
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"


def script(engine_value):
    """A script as users of micrograd write them: only its import names the engine."""
    chance = random.Random(1)
    xs = [[chance.uniform(-1, 1) for _ in range(3)] for _ in range(8)]
    samples = [(x, 1 if x[0] * x[1] > 0 else -1) for x in xs]
    hidden = [[engine_value(chance.uniform(-1, 1)) for _ in range(4)] for _ in range(6)]
    output = [engine_value(chance.uniform(-1, 1)) for _ in range(7)]
    parameters = [p for neuron in [*hidden, output] for p in neuron]

    def model(x):
        h = [sum((wi * xi for wi, xi in zip(w, x, strict=False)), w[-1]).relu() for w in hidden]
        return sum((wi * hi for wi, hi in zip(output, h, strict=False)), output[-1])

    losses = []
    for _ in range(10):
        margins = [(1 + -y * model(list(map(engine_value, x)))).relu() for x, y in samples]
        loss = sum(margins) * (1.0 / len(margins)) + 1e-4 * sum(p * p for p in parameters)
        for p in parameters:
            p.grad = 0
        loss.backward()
        for p in parameters:
            p.data -= 0.05 * p.grad
        losses.append(loss.data)

    # As its notebooks collect what they draw.
    nodes, edges = set(), set()

    def build(v):
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)

    small = (parameters[0] * parameters[1] + parameters[0] ** 2).relu()
    build(small)
    names = sorted(n._op.lower().rstrip("2") for n in nodes)
    labels = sorted(f"data {n.data:.4f} | grad {n.grad:.4f}" for n in nodes if not n._op)
    return losses, [p.data for p in parameters], names, len(edges), labels


def test_a_script_for_micrograd_runs_with_only_the_import_changed():
    losses, _, names, edges, labels = script(Value)
    assert losses[-1] < losses[0]
    assert names == ["", "", "*", "**", "+", "relu"]
    assert (edges, len(labels)) == (6, 2)


def test_the_same_script_gives_what_micrograd_gives():
    micrograd = pytest.importorskip("micrograd.engine")
    theirs, ours = script(micrograd.Value), script(Value)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-12)
    assert ours[1] == pytest.approx(theirs[1], rel=1e-12)
    assert ours[2:] == theirs[2:]
