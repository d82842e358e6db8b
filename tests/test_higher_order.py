"""Derivatives of derivatives: against mpmath to order 5, and every way to them against the others.

A derivative rule is stated once, in a row of the table. It is then read on floats (the eager
engine), on nodes (graphs of derivatives), and differentiated as text (sweeps of second order).
Here the three are held together, for every row.
"""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from strategies import NARY, SCALAR, TRUTH, eager, name_of, special_points

import autograd_bp as ab
from autograd_bp import Value, grad, gradients, hvp, jacobian, jvp, vjp
from autograd_bp.ops import CODES, grouped
from autograd_bp.program import trace
from autograd_bp.rules import IEEE, second_rule
from autograd_bp.tape import Tape
from autograd_bp.value import apply

# Where to draw each operand from: near to 0, but away from kinks and poles.
real, positive, inside = st.floats(-8.0, 8.0), st.floats(0.05, 8.0), st.floats(-0.95, 0.95)
negative = st.floats(-8.0, -0.1)
DOMAINS = {
    "/": (real, positive), "**": (positive, real), "abs": (positive,), "log": (positive,),
    "log1p": (inside,), "log2": (positive,), "log10": (positive,), "sqrt": (positive,),
    "hypot": (positive, real), "tan": (inside,), "asin": (inside,), "acos": (inside,),
    "atan2": (positive, real), "relu": (positive,), "leaky_relu": (negative, real),
    "elu": (negative, real), "lgamma": (positive,),
    "polygamma": (st.integers(0, 4).map(float), positive),
    "<": (inside, st.just(2.0)), "<=": (positive, st.just(-1.0)),
    "maximum": (positive, st.just(-1.0)), "minimum": (positive, st.just(-1.0)),
    "where": (st.sampled_from([0.0, 1.0]), real, real),
    "clip": (inside, st.just(-1.0), st.just(1.0)),
}  # fmt: skip

# The operands before this one have no derivative: the order of a polygamma, a condition.
FIRST_MOVING = {"polygamma": 1, "where": 1}

COMPARISONS = ("<", "<=")  # nodes in a trace only, and flat


def number(x):
    return x.data if isinstance(x, Value) else x


# --- orders 1 to 5 against mpmath ----------------------------------------------------------------


def by_grad(f, order):
    for _ in range(order):
        f = grad(f)
    return f


def by_jvp(f, order):
    for _ in range(order):
        f = (lambda f: lambda x: jvp(f, (x,), (1.0,))[1])(f)
    return f


def by_vjp_and_jacobian(f, order):
    for k in range(order):
        f = (lambda f: lambda x: vjp(f, x)[1](1.0)[0])(f) if k % 2 else jacobian(f)
    return f


def by_hvp(f, order):
    while order > 1:
        f, order = (lambda f: lambda x: hvp(f, (x,), (1.0,))[0])(f), order - 2
    return grad(f) if order else f


def by_backward(f, order):
    def derivative(at):
        x = Value(at)
        y = f(x)
        for _ in range(order):
            if isinstance(y, Value):  # else it does not depend on x any more
                y.backward(create_graph=True)
            y = x.grad
            x.grad = 0.0
        return number(y)

    return derivative


def by_gradients(f, order):
    def derivative(at):
        x = Value(at)
        y = f(x)
        for _ in range(order):
            if isinstance(y, Value):  # else it does not depend on x any more
                (y,) = gradients(y, [x], create_graph=True)
            else:
                y = 0.0
        return number(y)

    return derivative


WAYS = [by_grad, by_jvp, by_vjp_and_jacobian, by_hvp, by_backward, by_gradients]
DIRECTION = [1.0, -0.5, 0.25]


def drawn(data, op):
    """Operands of a scalar row, inside its domain and away from its kinks."""
    return [data.draw(domain) for domain in DOMAINS.get(op.name, (real,) * len(op.operands))]


@pytest.mark.parametrize("op", [op for op in SCALAR if op.name not in COMPARISONS], ids=name_of)
@settings(max_examples=10)
@given(data=st.data())
def test_five_orders_against_mpmath(op, data):
    """The operation along a line through a random point, all of its operands moving."""
    operands = drawn(data, op)
    first = FIRST_MOVING.get(op.name, 0)
    direction = [0.0] * first + DIRECTION[: len(operands) - first]
    if len(operands) - first == 1:
        direction[first] = 1.0

    def line(f, s):
        moved = [x + s * d for x, d in zip(operands[first:], direction[first:], strict=True)]
        return f(*operands[:first], *moved)

    with mp.workdps(40):
        truth = list(mp.diffs(lambda s: line(TRUTH[op.name].f, s), mp.zero, 6))
    # In units of 1, the operands' size, rounding an operand changes the k-th derivative by the
    # next, and one derivative is made from products that hold lower ones and y.
    scale = [float(max(map(abs, truth[: k + 2]))) for k in range(6)]
    for way in WAYS:
        for order in range(1, 6):
            got = way(lambda s: line(eager(op.name), s), order)(0.0)
            assert abs(got - truth[order]) <= 1e-11 * scale[order] * math.factorial(order), (
                f"{way.__name__}, order {order}: {got!r}, in truth {mp.nstr(truth[order], 17)}"
            )


def test_a_polynomial_ends():
    def f(x):
        return x**5 - 3.0 * x**2

    expected = [5 * 16.0 - 12.0, 20 * 8.0 - 6.0, 60 * 4.0, 120 * 2.0, 120.0, 0.0, 0.0]
    for way in WAYS:
        assert [way(f, order)(2.0) for order in range(1, 8)] == expected


@pytest.mark.parametrize("at", [0.0, -0.0])
@pytest.mark.parametrize("n", range(7))
def test_whole_powers_at_zero(n, at):
    """Taylor's coefficients of xⁿ at 0, where a rule that divides by x would give NaN."""
    for way in WAYS:
        for order in range(1, 7):
            assert way(lambda x: x**n, order)(at) == (math.factorial(n) if order == n else 0.0)


# --- one rule, three readings --------------------------------------------------------------------


def recorded(op, operands):
    """The operation on operands, for each choice of which are nodes; the fresh nodes too."""
    for mask in range(1, 1 << len(operands)):
        given_ = [Value(x) if mask >> i & 1 else x for i, x in enumerate(operands)]
        try:
            node = apply(op.name, *given_)
        except (ArithmeticError, ValueError):  # outside the domain
            continue
        yield mask, node, [x for x in given_ if isinstance(x, Value)]


def bits(numbers):
    """Every bit of them; all NaN are one."""
    return [repr(x.data if isinstance(x, Value) else float(x)) for x in numbers]


@pytest.mark.parametrize("op", SCALAR, ids=name_of)
@settings(max_examples=15)
@given(data=st.data())
def test_a_rule_read_on_nodes_gives_the_floats_of_the_eager_rule(op, data):
    for mask, node, nodes in recorded(op, drawn(data, op)):
        assert bits(gradients(node, nodes, create_graph=True)) == bits(node.local_grads), mask


@pytest.mark.parametrize("op", SCALAR, ids=name_of)
def test_so_it_does_where_floats_are_special(op):
    for operands in special_points(op):
        for mask, node, nodes in recorded(op, operands):
            found = f"{op.name}{operands}, nodes {mask:b}"
            try:
                graphs = gradients(node, nodes, create_graph=True)
            except (ArithmeticError, ValueError) as error:
                pytest.fail(f"{found}: {node.local_grads} on floats, but on nodes {error!r}")
            assert bits(graphs) == bits(node.local_grads), found


@pytest.mark.parametrize("op", NARY, ids=name_of)
@given(data=st.data())
def test_so_do_operations_on_many(op, data):
    node, nodes = many(data, op)
    graphs = gradients(node, nodes, create_graph=True)
    assert [number(g) for g in graphs] == gradients(node, nodes)


def many(data, op):
    """An operation on sequences, some of whose operands are nodes, one of them twice."""
    n = data.draw(st.integers(1, 4))
    # Zero, but nothing near it, where the second derivatives of the norm are beyond all bounds.
    numbers = st.floats(-3, 3).map(lambda x: x if abs(x) > 0.01 else 0.0)
    rows = [
        data.draw(st.lists(numbers, min_size=n, max_size=n) if name.endswith("*") else numbers)
        for name in op.operands
    ]
    first = Value(data.draw(numbers))
    nodes = [first]
    given_ = []
    for row in rows:
        if isinstance(row, list):
            row = [Value(x) if data.draw(st.booleans()) else x for x in row]
            row[0] = first
            nodes += [x for x in row if isinstance(x, Value) and x is not first]
        given_.append(row)
    return getattr(ab, op.name)(*given_), nodes


def curved(node, nodes, t):
    """How ∂node/∂nodes changes along t, by graphs: the rules read on nodes, differentiated."""
    rates = []
    for d in gradients(node, nodes, create_graph=True):
        changes = gradients(d, nodes) if isinstance(d, Value) else [0.0] * len(nodes)
        rates.append(math.fsum(a * b for a, b in zip(changes, t, strict=True)))
    return rates


@pytest.mark.parametrize("op", SCALAR, ids=name_of)
@settings(max_examples=15)
@given(data=st.data())
def test_rates_are_the_derivatives_of_the_rule(op, data):
    """`second_rule`, `IEEE.second` and the sweep over a tape, held against graphs."""
    operands = drawn(data, op)
    for mask, node, nodes in recorded(op, operands):
        t = DIRECTION[: len(nodes)]
        t_y = sum(d * t_i for d, t_i in zip(node.local_grads, t, strict=True))
        truth = curved(node, nodes, t)
        scale = max(1.0, *map(abs, (node.data, *node.local_grads, *truth)))
        rates = second_rule(CODES[op.name], mask)(*operands, node.data, *t, t_y)
        for got, true in zip(rates, truth, strict=True):
            assert abs(got - true) <= 1e-12 * scale
        everywhere = iter(t)
        full = [next(everywhere) if mask >> i & 1 else 0.0 for i in range(len(operands))]
        rules = IEEE.second(op, mask)
        assert bits(rule(*operands, node.data, *full, t_y) for rule in rules) == bits(rates)
        # The tape adds t_y up in another order, and a product has a shorter way.
        for got, true in zip(Tape(nodes, [node]).curve([1.0], t), truth, strict=True):
            assert abs(got - true) <= 1e-12 * scale


@pytest.mark.parametrize("op", SCALAR, ids=name_of)
def test_at_kinks_sweeps_and_graphs_choose_the_same(op):
    """Wherever the first derivative is finite."""
    few = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5]
    for operands in itertools.product(few, repeat=len(op.operands)):
        for _, node, nodes in recorded(op, operands):
            t = DIRECTION[: len(nodes)]
            if all(map(math.isfinite, node.local_grads)):
                truth = curved(node, nodes, t)
                assert Tape(nodes, [node]).curve([1.0], t) == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize("op", SCALAR, ids=name_of)
def test_both_texts_of_the_rates_agree_where_floats_are_special(op):
    for operands in special_points(op):
        for mask, node, nodes in recorded(op, operands):
            t = DIRECTION[: len(nodes)]
            t_y = sum(d * t_i for d, t_i in zip(node.local_grads, t, strict=True))
            moving = iter(t)
            full = [next(moving) if mask >> i & 1 else 0.0 for i in range(len(operands))]
            fast = second_rule(CODES[op.name], mask)(*operands, node.data, *t, t_y)
            careful = [rule(*operands, node.data, *full, t_y) for rule in IEEE.second(op, mask)]
            assert bits(fast) == bits(careful), f"{op.name}{operands}, nodes {mask:b}"


@pytest.mark.parametrize("op", NARY, ids=name_of)
@settings(max_examples=30)
@given(data=st.data())
def test_rates_of_operations_on_many(op, data):
    node, nodes = many(data, op)
    t = [math.sin(1.0 + i) for i in range(len(nodes))]
    truth = curved(node, nodes, t)
    scale = max(1.0, *map(abs, truth))
    for got, true in zip(Tape(nodes, [node]).curve([1.0], t), truth, strict=True):
        assert abs(got - true) <= 1e-11 * scale
    # and the rule itself, where every operand is a node by itself
    rows = grouped(op, [x.data if isinstance(x, Value) else x for x in node.operands])
    apart = [[Value(x) for x in row] if isinstance(row, list) else Value(row) for row in rows]
    flat = [x for row in apart for x in (row if isinstance(row, list) else [row])]
    node = getattr(ab, op.name)(*apart)
    t = [math.cos(1.0 + i) for i in range(len(flat))]
    t_y = sum(a * b for a, b in zip(gradients(node, flat), t, strict=True))
    rules = IEEE.second(op, (1 << len(op.operands)) - 1)
    found = [rule(*rows, node.data, *grouped(op, t), t_y) for rule in rules]
    rates = [r for rate in found for r in (rate if isinstance(rate, list) else [rate])]
    for got, true in zip(rates, curved(node, flat, t), strict=True):
        assert abs(got - true) <= 1e-11 * max(scale, abs(true))


# --- no perturbation confusion -------------------------------------------------------------------
#
# The examples of Siskind and Pearlmutter (2005) and Manzyuk et al. (2019), with each derivative
# taken in each way.


def by_jvp_once(f):
    return lambda x: jvp(f, (x,), (1.0,))[1]


def by_half_steps(f):
    """Along 0.5, twice that: a tangent that is not 1."""
    return lambda x: 2.0 * jvp(f, (x,), (0.5,))[1]


def by_vjp_once(f):
    return lambda x: vjp(f, x)[1](1.0)[0]


def by_jacobian_of_a_list(f):
    return lambda x: jacobian(lambda p: [f(p[0])])([x])[0][0]


def by_an_antiderivative(f):
    """The Hessian of g(x, u) = u·f(x), times a unit vector along u: its first entry is f'(x)."""
    return lambda x: hvp(lambda p: p[1] * f(p[0]), ([x, 0.0],), ([0.0, 1.0],))[0][0]


def by_gradients_of_a_graph(f):
    def derivative(at):
        x = at * 1.0 if isinstance(at, Value) else Value(at)
        y = f(x)
        if not isinstance(y, Value):
            return 0.0
        (d,) = gradients(y, [x], create_graph=True)
        return d

    return derivative


def by_backward_with_a_graph(f):
    def derivative(at):
        x = at * 1.0 if isinstance(at, Value) else Value(at)
        y = f(x)
        if not isinstance(y, Value):
            return 0.0
        y.backward(create_graph=True)
        d = x.grad
        ab.zero_grad(ab.topological_order(y))  # gradients left on outer nodes are not ours
        return d

    return derivative


OUTER = [
    grad, by_jvp_once, by_half_steps, by_vjp_once, by_jacobian_of_a_list, by_an_antiderivative,
]  # fmt: skip
# Those that are no transformations cannot tell one within them that its closure varies.
INNER = [*OUTER, by_gradients_of_a_graph, by_backward_with_a_graph]

each_pair = pytest.mark.parametrize(
    ("outer", "inner"), list(itertools.product(OUTER, INNER)), ids=lambda d: d.__name__
)


@each_pair
def test_the_inner_derivative_is_not_of_the_outer_variable(outer, inner):
    """d/dx (x · d/dy (x + y)) = 1; taking x for y gives 2."""
    assert number(outer(lambda x: x * inner(lambda y: x + y)(1.0))(1.0)) == 1.0
    assert number(outer(lambda x: x * inner(lambda y: x + y)(x))(1.0)) == 1.0
    assert number(outer(lambda x: x * inner(lambda y: y)(x))(5.0)) == 1.0
    assert number(outer(lambda x: x * inner(lambda y: x)(x))(5.0)) == 0.0


@each_pair
def test_a_closure_over_the_outer_variable(outer, inner):
    # d/dx (x · d/dy (x·y²)|y=3) = d/dx 6x²
    assert number(outer(lambda x: x * inner(lambda y: x * y * y)(3.0))(2.0)) == 24.0
    # d/dx d/dy (x³·y⁴)|y=x = d/dx 4x⁶
    assert number(outer(lambda x: inner(lambda y: x**3 * y**4)(x))(2.0)) == 24 * 2.0**5
    # a variable of the same name, and a function that is passed on
    assert number(outer(lambda x: inner(lambda x: x * x)(x) * x)(3.0)) == 12.0
    # d/dx d/dy sin(x·y)|y=2 = d/dx x·cos(2x)
    found = number(outer(lambda x: inner(lambda y: ab.sin(x * y))(2.0))(0.5))
    assert found == pytest.approx(math.cos(1.0) - math.sin(1.0), rel=1e-13)


@each_pair
def test_the_derivative_of_a_function_that_takes_a_derivative(outer, inner):
    """A shift u ↦ (x ↦ f(x + u)), whose derivative at u = 0 is that of f: D(D(exp)) = exp."""

    def d(derivative, f):
        return lambda x: derivative(lambda u: f(x + u))(0.0)

    found = number(d(outer, d(inner, ab.exp))(1.0))
    assert found == pytest.approx(math.e, rel=1e-14)


@pytest.mark.parametrize("derivatives", list(itertools.permutations(OUTER, 3)))
def test_three_levels(derivatives):
    """d/dx d/dy d/dz (x³y²z + xyz²) with y = x + 1 and z = x·y, at x = 2, by hand."""
    a, b, c = derivatives

    def inner(x, y):
        return c(lambda z: x**3 * y**2 * z + x * y * z * z)(x * y)  # x³y² + 2xy·xy

    def middle(x):
        return b(lambda y: inner(x, y))(x + 1.0)  # 2x³y + 4x²y

    # 2x³(x + 1) + 4x²(x + 1) = 2x⁴ + 6x³ + 4x²
    assert number(a(middle)(2.0)) == 8 * 8.0 + 18 * 4.0 + 8 * 2.0


def test_a_loop_of_derivatives():
    """Newton's method for the minimum of x² − 2·a·x, differentiated: the minimum is at a."""

    def argmin(a):
        x = 10.0
        for _ in range(3):

            def f(x):
                return x * x - 2.0 * a * x

            x = x - grad(f)(x) / grad(grad(f))(x)
        return x

    assert grad(argmin)(3.0) == 1.0
    assert jvp(argmin, (3.0,), (2.0,)) == (3.0, 2.0)
    assert ab.hessian(argmin)(3.0) == 0.0


def test_a_derivative_of_plain_numbers_inside_another_still_sees_the_closure():
    assert grad(lambda x: grad(lambda y: x * y)(1.0))(5.0) == 1.0
    assert grad(lambda x: ab.hessian(lambda y: x * x * y * y)(1.0))(5.0) == 20.0
    assert grad(lambda x: hvp(lambda y: x * y**3, (2.0,), (1.0,))[0])(5.0) == 12.0
    assert jacobian(lambda x: jacobian(lambda y: [x * y, y])(1.0))(5.0) == [1.0, 0.0]


# --- data that was changed since -----------------------------------------------------------------

CHANGED = {
    "power": lambda x: x**3,
    "product": lambda x: x * x,
    "times 0": lambda x: x * (x.detach() - 3.0),
    "sin": lambda x: x.sin(),
    "dot": lambda x: ab.dot([x, 2.0], [x, x], 1.0),
    "norm": lambda x: ab.norm([x, 4.0]),
    "logsumexp": lambda x: ab.logsumexp([x, 1.0]),
    "branch": lambda x: ab.relu(x - 4.0) * 1.0 + ab.maximum(x, 4.0),
    "custom": lambda x: ab.custom(math.sin, ab.cos)(x),
    "program": lambda x: trace(lambda v: v.sin() * v, 1.0)(x),
    "checkpoint": lambda x: ab.checkpoint(lambda v: v.sin() * v)(x),
}


@pytest.mark.parametrize("kind", CHANGED)
def test_a_graph_of_other_numbers_is_the_recorded_one_or_an_error(kind):
    def fresh(data=3.0):
        x = Value(data)
        return x, CHANGED[kind](x)

    x, y = fresh()
    (recorded,) = gradients(y, [x])
    (curvature,) = (
        gradients(gradients(y, [x], create_graph=True)[0], [x]) if kind != "branch" else [0]
    )
    x.data = 5.0
    assert gradients(y, [x]) == [recorded]  # as they were recorded
    for way in ("create_graph", "detect_anomaly", "backward"):
        try:
            if way == "create_graph":
                (d,) = gradients(y, [x], create_graph=True)
            elif way == "backward":
                y.backward(create_graph=True)
                d = x.grad
            else:
                with ab.detect_anomaly():
                    (d,) = gradients(y, [x])
        except RuntimeError:
            continue
        assert number(d) == recorded
        if isinstance(d, Value) and d.parents:
            assert gradients(d, [x]) == [curvature]
    x.data = 3.0  # as it was
    assert number(gradients(y, [x], create_graph=True)[0]) == pytest.approx(recorded, rel=1e-12)


def test_the_error_names_the_node_and_the_way_out():
    x = Value(3.0, "x")
    y = x**3
    x.data = 5.0
    with pytest.raises(RuntimeError, match=r"after Value\(data=27.0.*Compute the result again"):
        gradients(y, [x], create_graph=True)
