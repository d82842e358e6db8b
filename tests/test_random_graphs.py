"""Random expressions with sharing: the engine against finite differences and against JAX."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_bp as ab
from autograd_bp import Value

numbers = st.floats(-2.0, 2.0)
recipes = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 40), st.integers(0, 40), numbers),
    min_size=1,
    max_size=15,
)
leaves = st.lists(numbers, min_size=3, max_size=3)


def expression(m, xs, recipe):
    """Smooth operations on what is there so far, each result there for the next."""
    nodes = list(xs)
    for kind, i, j, c in recipe:
        a, b = nodes[i % len(nodes)], nodes[j % len(nodes)]
        if kind == 0:
            y = a + b
        elif kind == 1:
            y = a - c * b
        elif kind == 2:
            y = a * b * 0.5
        elif kind == 3:
            y = a / (b * b + 1.5)
        elif kind == 4:
            y = (a * a + 1.0) ** (0.25 * b)
        elif kind == 5:
            y = m.tanh(a)
        elif kind == 6:
            y = m.sin(a) + c
        elif kind == 7:
            y = m.exp(-a * a)
        elif kind == 8:
            y = m.log1p(a * a)
        elif kind == 9:
            y = m.sigmoid(a) * b
        elif kind == 10:
            y = m.dot([a, b, a], [b, c, a], nodes[0]) * 0.25
        elif kind == 11:
            y = m.logsumexp([a, b, c])
        else:
            y = m.sqrt(a * a + 0.5)
        nodes.append(y)
    return nodes[-1] + 0.0 * nodes[0]


def gradient(xs, recipe):
    nodes = [Value(x) for x in xs]
    y = expression(ab, nodes, recipe)
    y.backward()
    return y.data, [x.grad for x in nodes]


@given(leaves, recipes)
def test_against_finite_differences(xs, recipe):
    y, grads = gradient(xs, recipe)
    scale = max(1.0, abs(y), *map(abs, grads))
    if scale > 1e4:
        return
    h = 1e-3
    for i, d in enumerate(grads):

        def f(t, i=i):
            return expression(ab, [*xs[:i], xs[i] + t, *xs[i + 1 :]], recipe)

        coarse, fine = (f(h) - f(-h)) / (2 * h), (f(h / 2) - f(-h / 2)) / h
        if abs(coarse - fine) > 1e-3 * scale:
            continue  # it bends too quickly for differences to say anything
        assert math.isclose(d, (4 * fine - coarse) / 3, rel_tol=1e-5, abs_tol=1e-5 * scale)


class Jax:
    """The same names in JAX."""

    def __init__(self, jax):
        np = jax.numpy
        self.tanh, self.sin, self.exp, self.log1p, self.sqrt = (
            np.tanh,
            np.sin,
            np.exp,
            np.log1p,
            np.sqrt,
        )
        self.sigmoid = jax.nn.sigmoid
        self.logsumexp = lambda x: jax.scipy.special.logsumexp(
            np.stack([np.asarray(v, float) for v in x])
        )
        self.dot = lambda w, x, b: b + sum(p * q for p, q in zip(w, x, strict=True))


@given(leaves, recipes)
def test_against_jax(xs, recipe):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    with jax.disable_jit():
        y, grads = jax.value_and_grad(lambda x: expression(Jax(jax), list(x), recipe))(xs)
    ours, our_grads = gradient(xs, recipe)
    scale = max(1.0, *(abs(float(g)) for g in grads))
    assert ours == pytest.approx(float(y), rel=1e-10, abs=1e-12)
    assert our_grads == pytest.approx([float(g) for g in grads], rel=1e-9, abs=1e-10 * scale)
