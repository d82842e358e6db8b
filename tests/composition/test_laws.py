"""Laws on random functions: to compile changes nothing, in any order, context or call."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import eager, expressions

import autograd_bp as ab
from autograd_bp import Value, grad, hessian, jit, trace
from composition.cases import CONTEXTS
from composition.functions import flat

AROUND = [name for name, context in CONTEXTS.items() if not context.inside_off]
LARGEST = 1e3  # of the sums over paths below: results far smaller than these are rounding errors


class Random:
    """A random function of numbers, and two points inside its domain."""

    def __init__(self, expression, moved):
        self.expression = expression
        self.points = expression.leaves, tuple(moved)
        self.names = tuple(range(len(expression.leaves)))

    def __call__(self, *x):
        return self.expression.build(x, eager)[-1]

    def __repr__(self):
        return f"{self.expression} at {self.points}"

    def scale(self, point):
        """Σ |∏ local derivatives| over all paths: what rounding errors are multiplied by."""
        root = self(*map(Value, point))
        order = ab.topological_order(root)
        reach = {id(node): 0.0 for node in order} | {id(root): 1.0}
        for node in reversed(order):
            for parent, d in zip(node.parents, node.local_grads, strict=True):
                reach[id(parent)] += abs(d) * reach[id(node)]
        return max(1.0, *reach.values(), *(abs(node.data) for node in order))


@st.composite
def functions(draw):
    expression = draw(expressions(smooth=True, max_steps=6))
    moved = [x + draw(st.floats(-0.05, 0.05)) for x in expression.leaves]
    f = Random(expression, moved)
    try:
        scales = [f.scale(point) for point in f.points]
    except (ValueError, ZeroDivisionError):
        assume(False)
    assume(all(scale < LARGEST for scale in scales))
    return f


def _plain(tree):
    return [x.data if isinstance(x, Value) else x for x in flat(tree)]


def assert_same(f, ours, theirs, context):
    """Two functions agree at both points, in the context and once more after it; and what the
    first gives does not depend, in any bit, on when and where it is called. (Within
    `detect_anomaly` derivatives are made of nodes, where sums may have another order.)"""
    around = CONTEXTS[context].around
    right = [_plain(theirs(*point)) for point in f.points]
    first, second = (_plain(around(lambda p=point: ours(*p))) for point in f.points)
    for got, true, point in zip([first, second], right, f.points, strict=True):
        slack = 1e-12 * f.scale(point) ** 2
        assert len(got) == len(true)
        for x, y in zip(got, true, strict=True):
            assert math.isfinite(x)
            assert abs(x - y) <= 1e-9 * abs(y) + slack
    if "detect_anomaly" not in context:
        assert _plain(ours(*f.points[0])) == first


few = settings(max_examples=3)  # in each context


@pytest.mark.parametrize("context", AROUND)
@few
@given(functions())
def test_compiled_is_the_same(context, f):
    for ours in (jit(f), jit(jit(f)), trace(f, *f.points[0])):
        assert_same(f, ours, f, context)


@pytest.mark.parametrize("context", AROUND)
@few
@given(functions())
def test_a_program_in_a_trace_is_the_same(context, f):
    program, jitted = trace(f, *f.points[0]), jit(f)
    for inner in (program, jitted):
        outer = trace(lambda *x, inner=inner: inner(*x) * x[0], *f.points[0])
        assert_same(f, outer, lambda *x: f(*x) * x[0], context)


@pytest.mark.parametrize("context", AROUND)
@few
@given(functions())
def test_gradients_are_the_same(context, f):
    inside = CONTEXTS[context].inside
    jitted, program = jit(f), trace(f, *f.points[0])
    for ours in (
        grad(jitted, f.names),
        grad(program, f.names),
        jit(grad(f, f.names)),
        jit(grad(jit(f), f.names)),
        grad(jit(jit(f)), f.names),
        lambda *x: jitted.value_and_grad(*x, argnums=f.names)[1],
        lambda *x: program.value_and_grad(*x, argnums=f.names)[1],
        grad(lambda *x: inside(lambda: jitted(*x)), f.names),
    ):
        assert_same(f, ours, grad(f, f.names), context)


@pytest.mark.parametrize("context", AROUND)
@few
@given(functions())
def test_hessians_are_the_same(context, f):
    assert_same(f, hessian(jit(f), f.names), hessian(f, f.names), context)
    assert_same(f, jit(hessian(f, f.names)), hessian(f, f.names), context)
