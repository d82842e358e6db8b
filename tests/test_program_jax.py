"""Programs as functions in JAX."""

import numpy as np
import pytest

from autograd_bp import dot, logsumexp, norm
from autograd_bp.program import take, trace

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)


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
