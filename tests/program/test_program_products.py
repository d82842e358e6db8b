"""Matrix products that are found in scalar code, and run as such."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_bp import Value, dot, value_and_grad
from autograd_bp.ops import CODES
from autograd_bp.program import lanes, run, trace
from autograd_bp.program.instructions import positions
from autograd_bp.program.plan import CARRYING, PRODUCT, Plan
from autograd_bp.program.products import WORTHWHILE, matrix_products

VERSIONS = run.kernel.available() if run.compiled else []
sizes = st.integers(1, 20)


def product_of(seed):
    """P·Qᵀ + B neuron by neuron, in any order, the terms of each sum too."""
    rng = random.Random(seed)

    def f(P, Q, B):
        found = [[None] * len(Q) for _ in P]
        places = [(i, j) for i in range(len(P)) for j in range(len(Q))]
        rng.shuffle(places)
        for i, j in places:
            terms = list(zip(P[i], Q[j], strict=True))
            rng.shuffle(terms)
            found[i][j] = dot(*zip(*terms, strict=True), B[i][j])
        return found

    return f


def dots_of(program):
    return positions(program.instructions.code == CODES["dot"])


def product_steps(program):
    plan = Plan(program.instructions, np.zeros(len(program.instructions.inputs), bool))
    return [(n, m, k) for op, n, k, _, _, m in plan.slot_steps.tolist()
            if op in (PRODUCT, CARRYING[PRODUCT])]  # fmt: skip


def results(program, *args):
    """What NumPy and each version of the kernel give."""
    flat = np.concatenate([np.ravel(x) for x in args])
    plan = Plan(program.instructions, np.zeros(len(flat), bool))
    slots = plan.take_slots()
    slots[: len(flat)] = flat
    lanes.run_slots(plan, slots)
    yield program.result.nest(slots[plan.same_slots])
    for version in VERSIONS:
        run.kernel.use(version)
        yield program.value(*args)


@settings(max_examples=40, deadline=None)
@given(n=sizes, m=sizes, k=st.integers(2, 40), seed=st.integers(0, 10**6))
def test_dots_that_fill_a_grid(n, m, k, seed):
    rng = np.random.default_rng(seed)
    P, Q, B = rng.normal(size=(n, k)), rng.normal(size=(m, k)), rng.normal(size=(n, m))
    program = trace(product_of(seed), P, Q, B)
    found = matrix_products(program.instructions, dots_of(program))
    assert len(found) == (n * m * k >= WORTHWHILE)
    assert product_steps(program) == [(min(n, m), max(n, m), k)] * len(found)
    for result in results(program, P, Q, B):
        np.testing.assert_allclose(result, P @ Q.T + B, rtol=1e-12, atol=1e-12)


def test_nan_and_infinity():
    rng = np.random.default_rng(0)
    P, Q, B = rng.normal(size=(9, 11)), rng.normal(size=(13, 11)), rng.normal(size=(9, 13))
    P[2, 3], P[5, 0], Q[7, 3], Q[12, 10], B[8, 12] = np.nan, np.inf, np.inf, 0.0, -np.inf
    P[4, 10] = -np.inf  # times 0
    program = trace(product_of(1), P, Q, B)
    assert product_steps(program) == [(9, 13, 11)]
    with np.errstate(invalid="ignore"):
        expected = [[sum(p * q) + b for q, b in zip(Q, row, strict=True)]
                    for p, row in zip(P, B, strict=True)]  # fmt: skip
    for result in results(program, P, Q, B):
        np.testing.assert_allclose(result, expected, rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.0, 1.0))
def test_grids_with_holes(seed, share):
    """Each dot is in one product at most, and is what the product says."""
    rng = np.random.default_rng(seed)
    P, Q, present = rng.normal(size=(12, 8)), rng.normal(size=(15, 8)), rng.random((12, 15)) < share
    present[:, :5] = True

    def f(P, Q):
        return [dot(p, q) for p, row in zip(P, present, strict=True)
                for q, is_there in zip(Q, row, strict=True) if is_there]  # fmt: skip

    program = trace(f, P, Q)
    products = matrix_products(program.instructions, dots_of(program))
    members = np.concatenate([product.dots.ravel() for product in products] or [[]])
    assert len(set(members.tolist())) == len(members)
    instructions = program.instructions
    for dots, p, q, bias in products:
        for (i, j), which in np.ndenumerate(dots):
            row = instructions.operand[instructions.first[which] : instructions.first[which + 1]]
            pairs = {frozenset(pair) for pair in zip(row[:8], row[8:16], strict=True)}
            assert pairs == {frozenset(pair) for pair in zip(p[i], q[j], strict=True)}
            assert row[-1] == bias[i, j]
    for result in results(program, P, Q):
        np.testing.assert_allclose(result, (P @ Q.T)[present], rtol=1e-12, atol=1e-12)


def test_irregular_dots_stay():
    rng = random.Random(0)
    picks = [rng.choices(range(200), k=8) for _ in range(400)]

    def f(x):
        return [dot([x[i] for i in a[:4]], [x[i] for i in a[4:]]) for a in picks]

    program = trace(f, [0.01 * i for i in range(200)])
    assert matrix_products(program.instructions, dots_of(program)) == []
    assert product_steps(program) == []


def network(W, V, X):
    """Two layers over several samples, written with sums: its cost."""
    cost = Value(0.0)
    for x in X:
        h = [sum(w * xi for w, xi in zip(row, x, strict=True)).tanh() for row in W]
        y = [sum(v * hi for v, hi in zip(row, h, strict=True)) for row in V]
        cost = cost + sum(yi * yi for yi in y)
    return cost


@pytest.mark.parametrize(
    ("samples", "steps"),
    [
        (1, [(1, 17, 16), (1, 18, 17), (1, 17, 18)]),  # Z1, Z2, Δ2·W2
        (9, [(9, 17, 16), (9, 18, 17), (9, 17, 18), (16, 17, 9)]),  # and Δ1ᵀ·X
    ],
)
def test_gradients_are_products_too(samples, steps):
    rng = np.random.default_rng(2)
    W, V, X = rng.normal(size=(17, 16)), rng.normal(size=(18, 17)), rng.normal(size=(samples, 16))
    program = trace(network, W, V, X)
    assert product_steps(program.with_gradient(0)) == steps
    expected = value_and_grad(network)(W.tolist(), V.tolist(), X.tolist())
    for value, gradient in results(program.with_gradient(0), W, V, X):
        assert value == pytest.approx(expected[0], rel=1e-12)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-12, atol=1e-12)
