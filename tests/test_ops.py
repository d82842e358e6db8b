"""Every row of the table against mathematics, written by hand, in mpmath's arithmetic.

A new row needs its line in ``strategies.TRUTH``; all the tests here then apply to it.
"""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from mpmath import mp
from strategies import (
    NARY,
    SCALAR,
    TRUTH,
    close,
    conditioned,
    name_of,
    number,
    points,
    slope,
    special_points,
    spellings,
)

import autograd_bp
from autograd_bp import Value, logsumexp, polygamma, rules, softmax, special
from autograd_bp.context import tracing
from autograd_bp.functions import __all__ as function_names
from autograd_bp.ops import CODES, TABLE
from autograd_bp.program import trace
from autograd_bp.rules import IEEE, RULES, _careful_second, careful, second_rule
from autograd_bp.value import apply, release

# Rounding errors that are allowed, in units of |f| + Σ |xᵢ ∂f/∂xᵢ|: what half a unit in the last
# place of the result and of each operand makes. A row takes a few roundings, and the functions
# of the C library are not correctly rounded.
ULPS = 8


def ways_own_error(op, i, operands, result):
    """In the same units, what the way of computing adds. ``i`` is -1 for the value, else the
    operand that the derivative is for."""
    if op.name in ("sigmoid", "tanh") and i == 0:
        # y(1 - y) and 1 - y², the textbook's form on purpose, cancel where y is near 1.
        y = IEEE.value(op)(*operands)
        return y if op.name == "sigmoid" else y * y
    if op.name == "lgamma" and i == -1:
        return 1  # Python's math.lgamma adds up terms near 1 that cancel at its zeros 1 and 2
    if op.name == "**" and i == 0:
        return abs(result * mp.log(abs(operands[0])))  # b - 1 is rounded
    if op.name == "polygamma":
        return operands[0] * abs(result)  # reflection takes the n-th power of π, rounded
    return 0


by_name = pytest.mark.parametrize("op", SCALAR, ids=name_of)


def masks(op, operands):
    """Which operands may be nodes, as bits: all choices that the domain allows."""
    return [m for m in range(1, 1 << len(operands)) if IEEE.domain(op, m)(*operands)]


def nodes_and_numbers(mask, operands):
    return [Value(x) if mask >> i & 1 else x for i, x in enumerate(operands)]


def outcome(f):
    """What came of a call: every bit of its numbers, or the kind of exception."""
    try:
        result = f()
    except (ArithmeticError, ValueError) as error:
        return type(error)
    if isinstance(result, Value):
        result = (result.data, *result.local_grads)
    return [repr(x) for x in (result if isinstance(result, tuple) else (result,))]


def test_each_row_has_its_mathematics():
    assert {op.name for op in (*SCALAR, *NARY)} == set(TRUTH)


@by_name
@settings(max_examples=60)
@given(data=st.data())
def test_value_and_derivatives(op, data):
    operands = data.draw(points(op))
    f, gap, bits = TRUTH[op.name]
    allowed = masks(op, operands)
    everywhere = [i for i in range(len(operands)) if any(m >> i & 1 for m in allowed)]
    floor = math.ldexp(max(1.0, *map(abs, operands)), -1022)
    with mp.workprec(800 + bits(*operands)):
        exact = [mp.mpf(x) for x in operands]
        smooth = gap(*operands) > 0
        y, scale = conditioned(f, exact, everywhere if smooth else ())
        scale += ways_own_error(op, -1, operands, y)
        got = apply(op.name, *operands)
        assert close(got, y, scale, ULPS, floor), f"y: {got!r}, in truth {mp.nstr(y, 20)}"
        if not smooth:
            return
        truth = {i: conditioned(slope(f, i), exact, everywhere) for i in everywhere}
        for mask in allowed:
            node = apply(op.name, *nodes_and_numbers(mask, operands))
            wanted = [i for i in range(len(operands)) if mask >> i & 1]
            for i, got in zip(wanted, node.local_grads, strict=True):
                dy, scale = truth[i]
                scale += ways_own_error(op, i, operands, dy)
                assert close(got, dy, scale, ULPS, floor), (
                    f"∂y/∂{op.operands[i]}: {got!r}, in truth {mp.nstr(dy, 20)}"
                )


@by_name
@settings(max_examples=30)
@given(data=st.data())
def test_second_derivatives(op, data):
    """`second_rule`, made by differentiating the rows' expressions: how the partials change along
    a direction. Differentiating by rule leaves terms that cancel, so the error is relative to
    the derivatives of lower order too."""
    operands = data.draw(points(op))
    f, gap, bits = TRUTH[op.name]
    assume(gap(*operands) > 0.01 and all(abs(x) < 20 for x in operands))
    for mask in masks(op, operands):
        moving = [i for i in range(len(operands)) if mask >> i & 1]
        directions = [data.draw(st.sampled_from([1.0, -0.5, 3.0])) for _ in moving]
        y, *partials = RULES[CODES[op.name]][mask](*operands)
        t_y = sum(t * d for t, d in zip(directions, partials, strict=True))
        rates = second_rule(CODES[op.name], mask)(*operands, y, *directions, t_y)
        with mp.workprec(800 + bits(*operands)):
            exact = [mp.mpf(x) for x in operands]
            for i, got in zip(moving, rates, strict=True):
                true, scale = mp.zero, mp.mpf(max(1.0, abs(y), *map(abs, partials)))
                for j, t in zip(moving, directions, strict=True):
                    term, its_scale = conditioned(slope(slope(f, i), j), exact, moving)
                    true += t * term
                    scale += abs(t) * its_scale
                assert abs(got - true) <= 1e-12 * scale, op.operands[i]


@by_name
@settings(max_examples=30)
@given(data=st.data())
def test_careful_second_rules_agree_with_fast_ones(op, data):
    """Both are made from the same expressions, so at ordinary points they agree bit for bit."""
    operands = data.draw(points(op))
    gap = TRUTH[op.name].gap
    assume(gap(*operands) > 0.01 and all(abs(x) < 20 for x in operands))
    for mask in masks(op, operands):
        y, *partials = RULES[CODES[op.name]][mask](*operands)
        directions = data.draw(
            st.lists(st.floats(-3, 3), min_size=len(partials), max_size=len(partials))
        )
        at = *operands, y, *directions, data.draw(st.floats(-3, 3))
        fast = second_rule(CODES[op.name], mask)(*at)
        assert list(map(repr, _careful_second(op, mask, *at))) == list(map(repr, fast))


@by_name
def test_all_readers_agree_where_floats_are_special(op):
    """At zeros, infinities, NaN, and the ends of the range: the fast rules with the careful
    reading to fall back on (which is what `apply` is), and the careful reading alone."""
    for operands in special_points(op):
        for mask in range(1 << len(operands)):
            got = outcome(lambda: apply(op.name, *nodes_and_numbers(mask, operands)))
            assert got == outcome(lambda: careful(CODES[op.name], mask, operands)), (
                f"{op.name}{operands}, nodes {mask:b}"
            )


def whole(x):
    return math.isinf(x) or x == math.floor(x)


# Where each operation is defined, apart from its row: Python's own function raises elsewhere.
DEFINED = {
    "/": lambda a, b: b != 0,
    "**": lambda a, b: a > 0 or (b >= 0 if a == 0 else whole(b)),
    "log": math.log, "log1p": math.log1p, "log2": math.log2, "log10": math.log10,
    "sqrt": math.sqrt, "sin": math.sin, "cos": math.cos, "tan": math.tan, "asin": math.asin,
    "acos": math.acos, "lgamma": math.lgamma,
    "clip": lambda x, lo, hi: lo <= hi,
    "polygamma": lambda n, x: n in range(101) and math.lgamma(x) is not None,
}  # fmt: skip


def is_outside(op, operands, mask):
    if any(map(math.isnan, operands)):
        return False
    if (op.name == "**" and mask & 2 and operands[0] < 0) or (op.name == "polygamma" and mask & 1):
        return True  # an exponent, an order that is no constant
    try:
        return DEFINED.get(op.name, lambda *operands: True)(*operands) is False
    except ValueError:
        return True
    except OverflowError:
        return False


@by_name
def test_operands_outside_the_domain_raise_and_no_others(op):
    assert bool(op.domain) == (op.name in DEFINED)
    operands_of_all = special_points(op)
    if len(op.operands) == 1:
        near = [math.nextafter(x, to) for x in (-1.0, 1.0) for to in (-INF, INF)]
        operands_of_all += [(x,) for x in (*near, -1.5, 1.5)]
    if op.name == "polygamma":
        operands_of_all += itertools.product([99.0, 100.0, 101.0], [0.5, 20.0, -2.0])
    for operands in operands_of_all:
        for mask in range(1 << len(operands)):
            got = outcome(lambda: apply(op.name, *nodes_and_numbers(mask, operands)))
            assert isinstance(got, type) == is_outside(op, operands, mask), (
                f"{op.name}{operands}, nodes {mask:b}: {got}"
            )


@pytest.mark.parametrize("careful_one", ["_divide", "_power"])
def test_divisions_and_powers_that_python_refuses_are_those_of_c(careful_one):
    """Poles, overflow and signs: held to NumPy's, which are C's."""
    numbers = [0.0, 0.25, 1.0, 2.0, 3.0, 1074.0, 1075.0, 1e200, 1e308, 5e-324, INF, math.nan]
    function = getattr(rules, careful_one)
    operator = {"_divide": np.divide, "_power": np.power}[careful_one]
    for a, b in itertools.product([*numbers, *(-x for x in numbers)], repeat=2):
        got = function(a, b)
        with np.errstate(all="ignore"):
            true = float(operator(np.float64(a), np.float64(b)))
        if 0.0 < abs(true) < INF:  # a last digit of a power may differ
            assert got == pytest.approx(true, rel=1e-15, abs=1e-323), (a, b)
        else:
            assert repr(got) == repr(true), (a, b)


@pytest.mark.parametrize(
    ("power", "says"), [(lambda x: x**x, "a ** b is defined for"), (Value.log, "log(x) is defined")]
)
def test_the_way_out_of_a_power_is_told_for_powers_alone(power, says):
    with pytest.raises(ValueError, match=re.escape(says)) as raised:
        power(Value(-1.5))
    told = str(raised.value).endswith(" An exponent that is a plain number is constant.")
    assert told == says.startswith("a ** b")


@by_name
@settings(max_examples=30)
@given(data=st.data())
def test_fast_rules_agree_with_careful_ones(op, data):
    """At ordinary points no fast rule has to fall back."""
    operands = data.draw(points(op))
    for mask in [0, *masks(op, operands)]:
        try:
            fast = RULES[CODES[op.name]][mask](*operands)
        except ArithmeticError:  # overflow, or a pole of a derivative
            assert any(map(math.isinf, careful(CODES[op.name], mask, operands)))
        except ValueError:
            assert TRUTH[op.name].gap(*operands) == 0  # where the derivative is infinite
        else:
            fast = fast if mask else (fast,)
            assert list(map(repr, fast)) == list(map(repr, careful(CODES[op.name], mask, operands)))


@by_name
@settings(max_examples=30)
@given(data=st.data())
def test_all_spellings_agree(op, data):
    """Operators, methods and functions give what the table does, bit for bit."""
    if op.name.isidentifier() and op.name not in ("abs", "neg"):
        assert op.name in function_names
    operands = data.draw(points(op) | st.sampled_from(special_points(op)))
    for mask in range(1, 1 << len(operands)):
        given_ = nodes_and_numbers(mask, operands)
        ways = spellings(op, given_)
        assert ways
        for way, spelled in ways.items():
            if op.name in ("<", "<="):  # nodes in a trace only
                with tracing():
                    found = [spelled(), apply(op.name, *given_)]
                release(found)
                assert outcome(lambda: found[0]) == outcome(lambda: found[1]), way
            else:
                assert outcome(spelled) == outcome(lambda: apply(op.name, *given_)), way


@pytest.mark.parametrize("name", function_names)
@settings(max_examples=30)
@given(data=st.data())
def test_functions_on_plain_numbers_give_floats(name, data):
    op = TABLE[CODES[name]]
    operands = data.draw(points(op))
    got = getattr(autograd_bp, name)(*operands)
    assert type(got) is float
    *others, last = operands
    assert repr(got) == repr(apply(name, *others, Value(last)).data)


# --- where there is no derivative, the stated one ------------------------------------------------

NAN, INF = math.nan, math.inf

KINKS = {
    # name: operands, and the subgradient for each operand. All are PyTorch's but those of hypot,
    # whose 0/0 it passes on as NaN.
    "**": [((0.0, 2.0), (0.0, 0.0)), ((0.0, 1.0), (1.0, 0.0)), ((0.0, 0.0), (0.0, 0.0))],
    "abs": [((0.0,), (0.0,)), ((-0.0,), (0.0,))],
    "sqrt": [((0.0,), (INF,))],
    "hypot": [((0.0, 0.0), (0.0, 0.0))],
    "asin": [((1.0,), (INF,)), ((-1.0,), (INF,))],
    "acos": [((1.0,), (-INF,)), ((-1.0,), (-INF,))],
    "atan2": [((0.0, 0.0), (0.0, 0.0)), ((0.0, -0.0), (0.0, 0.0))],
    "relu": [((0.0,), (0.0,)), ((-0.0,), (0.0,))],
    "leaky_relu": [((0.0, 0.1), (0.1, 0.0))],
    "elu": [((0.0, 1.5), (1.5, 0.0))],
    "maximum": [((2.0, 2.0), (0.5, 0.5))],
    "minimum": [((2.0, 2.0), (0.5, 0.5))],
    "clip": [((1.0, 1.0, 2.0), (1.0, 0.0, 0.0)), ((2.0, 1.0, 2.0), (1.0, 0.0, 0.0))],
}


def test_each_stated_kink_is_tested():
    assert {op.name for op in SCALAR if op.kink} == set(KINKS)


@pytest.mark.parametrize(
    ("name", "operands", "expected"),
    [(name, *case) for name, cases in KINKS.items() for case in cases],
)
def test_subgradients(name, operands, expected):
    nodes = [Value(x) for x in operands]
    apply(name, *nodes).backward()
    assert tuple(x.grad for x in nodes) == expected


def test_ties_share_the_gradient():
    x = Value(3.0)
    (x.maximum(x) + x.minimum(x)).backward()
    assert x.grad == 2.0


def test_bounds_that_cross_or_are_nan_clip_to_nan():
    """A Program cannot raise where bounds cross."""
    clip = TABLE[CODES["clip"]]
    for x, lo, hi in itertools.product([-2.0, 0.0, 2.0, NAN], [1.0, NAN], [-1.0, NAN]):
        assert math.isnan(IEEE.value(clip)(x, lo, hi))
    for operands in [(0.0, 1.0, NAN), (0.0, NAN, 1.0), (NAN, 0.0, 1.0)]:
        assert math.isnan(apply("clip", *operands))


@given(st.tuples(number, number, number))
def test_derivatives_that_are_given_not_found(operands):
    a, d, _ = operands
    attached = apply("attach", *map(Value, operands))
    assert (attached.data, attached.local_grads) == (a, (1.0, 0.0, d))
    detached = apply("detach", Value(a))
    assert (detached.data, detached.local_grads) == (a, (0.0,))


def test_the_order_of_a_polygamma_is_no_variable():
    with pytest.raises(ValueError, match=r"polygamma.*constant\(n\)"):
        polygamma(Value(1.0), Value(2.0))
    with pytest.raises(ValueError, match=r"polygamma.*constant\(n\)"):
        polygamma(Value(1.0), 2.0)


def test_nor_is_it_where_a_function_is_traced():
    with pytest.raises(ValueError, match=r"polygamma.*constant\(n\).*n = 1"):
        trace(lambda n, x: polygamma(n, x), 1.0, 2.0)
    with pytest.raises(ValueError, match=r"polygamma.*constant\(n\).*n = 1"):
        trace(lambda n: polygamma(n, 2.0), 1.0)
    assert trace(lambda x: polygamma(1.0, x), 1.0).value(2.0) == polygamma(1.0, 2.0)


@pytest.mark.parametrize("x", [0.0, -0.0, -1.0, -7.0])
def test_the_poles_of_lgamma_are_infinite_in_every_reading(x):
    program = trace(lambda x: x.lgamma(), 1.5)
    assert IEEE.value(TABLE[CODES["lgamma"]])(x) == INF
    assert program.value(x) == INF
    assert program.map([x]) == [INF]


@pytest.mark.slow
@given(st.integers(101, 300).map(float), st.floats(-50, 50) | st.floats(0.01, 1e4))
def test_a_polygamma_beyond_the_rows_orders(n, x):
    assume(x > 0 or x != math.floor(x))
    with mp.workprec(2500):
        y = mp.psi(int(n), mp.mpf(x))
        slope = mp.psi(int(n) + 1, mp.mpf(x))
    scale = abs(y) + abs(x * slope) + n * abs(y)
    assume(abs(slope) < 1e300)
    assert abs(special.polygamma(n, x) - y) <= 4 * 2.0**-53 * scale + 1e-290


@pytest.mark.parametrize(
    ("n", "x", "y"),
    [
        (0.0, 1e-310, -INF), (0.0, -1e-310, INF), (1.0, 1e-200, INF), (1.0, -1e-200, INF),
        (2.0, 1e-200, -INF), (2.0, -1e-200, INF), (22.0, 1e-14, -INF), (22.0, -1e-14, INF),
    ],
)  # fmt: skip
def test_a_polygamma_overflows_with_its_sign(n, x, y):
    """Near 0 it is (-1)ⁿ⁺¹ n!/xⁿ⁺¹."""
    assert polygamma(n, x) == y


@pytest.mark.parametrize("n", [200.0, 1000.0])
def test_orders_beyond_what_polygamma_can_compute(n):
    """They are refused: the factors of its series exceed the floats, its value does not."""
    with pytest.raises(ValueError, match="polygamma"):
        polygamma(n, 200.0)


# --- stable where the textbook's formula is not --------------------------------------------------


@pytest.mark.parametrize("x", [-1e300, -1e4, -800.0, 800.0, 1e4, 1e300])
@pytest.mark.parametrize(
    "name",
    ["elu", "erf", "erfc", "gelu", "logsigmoid", "relu", "sigmoid", "silu", "softplus", "tanh"],
)
def test_activations_far_out(name, x):
    """Where exp(|x|) overflows. An exact reference at 1e300 would need as many digits, so the
    limits serve: from 745 on, exp(-x) is 0 in floats, and so is what differs from the limit."""
    at, constants = Value(x), (1.0,) if name == "elu" else ()
    y = apply(name, at, *constants)
    y.backward()
    if abs(x) <= 1e4:
        f, _, bits = TRUTH[name]
        with mp.workprec(800 + bits(x, *constants)):
            point = [mp.mpf(x), *constants]
            floor = math.ldexp(abs(x), -1022)
            assert close(y.data, *conditioned(f, point, [0]), ULPS, floor)
            dy, scale = conditioned(slope(f, 0), point, [0])
            scale += ways_own_error(TABLE[CODES[name]], 0, [x], dy)
            assert close(at.grad, dy, scale, ULPS, floor)
    else:
        below, above = {
            "elu": ((-1, 0), (x, 1)),
            "erf": ((-1, 0), (1, 0)),
            "erfc": ((2, 0), (0, 0)),
            "gelu": ((0, 0), (x, 1)),
            "logsigmoid": ((x, 1), (0, 0)),
            "relu": ((0, 0), (x, 1)),
            "sigmoid": ((0, 0), (1, 0)),
            "silu": ((0, 0), (x, 1)),
            "softplus": ((0, 0), (x, 1)),
            "tanh": ((-1, 0), (1, 0)),
        }[name]
        assert (y.data, at.grad) == (above if x > 0 else below)
        end = Value(math.copysign(INF, x))
        limit = apply(name, end, *constants)
        limit.backward()
        assert end.grad == at.grad
        if abs(y.data) <= 2.0:  # a limit: reached at infinity, with its sign where it is 0
            assert repr(limit.data) == repr(y.data)


@given(st.floats(-745.0, -40.0))
def test_a_small_sigmoid_keeps_the_bits_that_exp_has(x):
    """Also where 1/(1 + exp(-x)) would be 0, as exp(-x) overflows."""
    assert Value(x).sigmoid().data == math.exp(x)


@pytest.mark.parametrize("name", ["hypot"])
@example(3.0, 3.5, 1022)
@example(-3.0, 3.5, 1022)
@example(3.0, -3.5, 1022)
@example(3.0, -2.0, -1060)
@given(
    st.floats(-3.99, 3.99),
    st.floats(-3.99, 3.99),
    st.sampled_from([-1074, -1060, -1000, 0, 1022]) | st.integers(-1074, 1022),
)
def test_slopes_that_do_not_depend_on_the_length(name, a, b, exponent):
    """Neither where it overflows, nor where it has few bits left."""
    a, b = math.ldexp(a, exponent), math.ldexp(b, exponent)
    assume(a or b)
    with mp.workprec(5000):
        y = mp.sqrt(mp.mpf(a) ** 2 + mp.mpf(b) ** 2)
        true = float(a / y), float(b / y)
    assert apply(name, Value(a), Value(b)).local_grads == pytest.approx(true, rel=1e-15)


@pytest.mark.parametrize(
    ("a", "b", "y", "da", "db"),
    [
        (0.0, 0.0, 1.0, 0.0, 0.0),
        (0.0, 0.5, 0.0, INF, 0.0),
        (0.0, 1.0, 0.0, 1.0, 0.0),
        (0.0, 2.0, 0.0, 0.0, 0.0),
        (2.0, 0.0, 1.0, 0.0, math.log(2.0)),
        (1e200, 2.0, INF, 2e200, INF),
    ],
)
def test_powers_at_zero_and_beyond(a, b, y, da, db):
    for first, second in [(Value(a), b), (a, Value(b)), (Value(a), Value(b))]:
        result = first**second
        assert result.data == y
        result.backward()
        assert not isinstance(first, Value) or first.grad == da
        assert not isinstance(second, Value) or second.grad == db


@pytest.mark.parametrize(("a", "b"), [(-2.0, 3.0), (-2.0, -3.0), (-0.5, 2.0)])
def test_powers_of_negative_numbers(a, b):
    x = Value(a)
    y = x**b
    y.backward()
    assert (y.data, x.grad) == (a**b, b * a ** (b - 1))


@settings(max_examples=50)
@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=5))
def test_logsumexp_and_softmax_far_out(numbers):
    xs = [Value(x) for x in numbers]
    logsumexp(xs).backward()
    with mp.workprec(800):
        total = mp.fsum(mp.exp(x) for x in numbers)
        for x, p in zip(xs, softmax(numbers), strict=True):
            true = mp.exp(x.data) / total
            assert x.grad == p
            # exp multiplies the error of its operand, x - logsumexp(x), by that operand
            assert close(p, true, (1 + 2e4 * 3) * true, ULPS, 2.0**-1022)


def test_overflow_is_infinity_and_a_pole_of_a_derivative_too():
    x = Value(1e3)
    y = x.exp()
    y.backward()
    assert (y.data, x.grad) == (INF, INF)
    x = Value(0.0)
    x.sqrt().backward()
    assert x.grad == INF


# --- what value.py spells out again for speed ----------------------------------------------------


def by_the_table(op, operands, mask):
    """y and the partials from the row's own text."""
    y = IEEE.value(op)(*operands)
    partials = [p(*operands, y) for p in IEEE.partials(op)]
    return [repr(x) for x in (y, *(p for i, p in enumerate(partials) if mask >> i & 1))]


@pytest.mark.parametrize("name", ["+", "-", "*", "/", "neg", "relu"])
@given(data=st.data())
def test_arithmetic_as_the_table_has_it(name, data):
    op = TABLE[CODES[name]]
    anywhere = st.tuples(*[st.floats() | number] * len(op.operands))
    operands = data.draw(anywhere | st.sampled_from(special_points(op)))
    assume(name != "/" or operands[1] != 0)
    for mask in range(1, 1 << len(operands)):
        for spelled in spellings(op, nodes_and_numbers(mask, operands)).values():
            assert outcome(spelled) == by_the_table(op, operands, mask)
