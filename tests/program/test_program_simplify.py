"""Each rule of simplification by itself, on what it changes and on what it must leave alone."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_bp import dot, sum_of, value_and_grad, where
from autograd_bp.ops import CODES, TABLE
from autograd_bp.program import trace
from autograd_bp.program.simplify import Writer, collect_sums, simplify


def listing(f, *examples):
    """The operations that are left, in order."""
    program = simplify(trace(f, *examples, optimize=False).instructions)
    return [TABLE[code].name for code in program.code.tolist() if code]


def negated(x):
    return -x


def collected(f, *examples):
    return list(trace(f, *examples).counts)


@pytest.mark.parametrize(
    ("f", "left"),
    [
        (lambda x: x + -0.0, []),
        (lambda x: -0.0 + x, []),
        (lambda x: x + 0.0, ["+"]),  # -0.0 + 0.0 is 0.0
        (lambda x: x - 0.0, []),
        (lambda x: x - -0.0, ["-"]),
        (lambda x: x * 1.0, []),
        (lambda x: -1.0 * x, ["neg"]),
        (lambda x: x * 0.0, ["*"]),  # of infinity it is NaN
        (lambda x: x / 1.0, []),
        (lambda x: x / 4.0, ["*"]),
        (lambda x: x / 3.0, ["/"]),
        (lambda x: negated(negated(x)), []),
        (lambda x: x.exp() + (-x), ["exp", "-"]),
        (lambda x: (-x) + x.exp(), ["exp", "-"]),
        (lambda x: x.exp() - (-x), ["exp", "+"]),
        (lambda x: (-x) * (-(x.exp())), ["exp", "*"]),
        (lambda x: x**1, []),
        (lambda x: x**2, ["*"]),
        (lambda x: x**-1, ["/"]),
        (lambda x: x**0, []),
        (lambda x: x**3, ["**"]),
        (lambda x: (x * x) ** 0.5, ["*", "+", "sqrt"]),
        (lambda x: (x * x + 1.0) ** -0.5, ["*", "+", "+", "sqrt", "/"]),
        (lambda x: where(x > 0, x, x), []),
        (lambda x: dot([x], [x], -0.0), ["*"]),
        (lambda x: dot([x], [x], 0.0), ["dot"]),
        (lambda x: dot([x, x.exp()], [1.0, 1.0], -0.0), ["exp", "+"]),
        (lambda x: x.sin() * x.sin(), ["sin", "*"]),
        (lambda x: (x * 2.0) + (2.0 * x), ["*", "+"]),
        (lambda x: [x.exp(), x.sin()][0], ["exp"]),
    ],
)
@settings(max_examples=20, deadline=None)
@given(x=st.floats(-10, 10))
def test_rules(f, left, x):
    assert listing(f, 1.5) == left
    before, after = trace(f, 1.5, optimize=False), trace(f, 1.5)
    expected = before.value(x) if x or left else None
    if expected is not None:
        assert after.value(x) == pytest.approx(expected, rel=1e-15) or math.isnan(expected)


def test_exact_at_zeros_infinities_and_nan():
    def f(x):
        return [x + -0.0, x - 0.0, x * 1.0, negated(negated(x)), x * -1.0, x / 4.0]

    for x in (0.0, -0.0, math.inf, -math.inf, math.nan):
        before = trace(f, 1.0, optimize=False).value(x)
        after = trace(f, 1.0).value(x)
        assert list(map(repr, before)) == list(map(repr, after))


def test_constants_are_folded():
    writer = Writer()
    three = writer.add(CODES["+"], writer.constant(1.0), writer.constant(2.0))
    assert writer.number[three] == 3.0
    pole = writer.add(CODES["/"], writer.constant(1.0), writer.constant(0.0))
    assert writer.number[pole] == math.inf


def test_zeros_are_two_constants():
    writer = Writer()
    assert writer.constant(0.0) != writer.constant(-0.0)


def test_dead_instructions_go():
    def f(x):
        x.exp()
        return x * 2.0

    program = trace(lambda x: [f(x), x.sin()], 1.0)
    only = type(program.instructions)(
        **{**vars(program.instructions), "outputs": program.instructions.outputs[:1]}
    )
    assert len(simplify(only)) == 3  # the input, 2.0 and the product


@pytest.mark.parametrize(
    ("f", "left"),
    [
        (lambda w, x: sum(wi * xi for wi, xi in zip(w, x, strict=True)), ["dot"]),
        (lambda w, x: sum(wi * xi for wi, xi in zip(w, x, strict=True)) + w[0], ["dot"]),
        (lambda w, x: sum_of([wi * xi for wi, xi in zip(w, x, strict=True)]), ["dot"]),
        (lambda w, x: w[0] + w[1] + x[0] + x[1], ["sum_of"]),
        (lambda w, x: w[0] * x[0] + x[1], ["*", "+"]),
        (lambda w, x: dot(w, x) + w[2] * x[0], ["dot"]),
    ],
)
def test_sums_of_products(f, left):
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=3).tolist(), rng.normal(size=3).tolist()
    assert collected(f, w, x) == left
    expected = value_and_grad(f, (0, 1))(w, x)
    found = trace(f, w, x).value_and_grad(w, x, argnums=(0, 1))
    assert found[0] == pytest.approx(expected[0], rel=1e-13)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-13)


def test_a_product_used_twice_stays():
    program = trace(lambda a, b, c: [a * b + b * c + c, a * b], 1.0, 2.0, 3.0, optimize=False)
    counts = collect_sums(program.instructions)
    assert CODES["*"] in counts.code.tolist()
