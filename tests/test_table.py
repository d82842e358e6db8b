"""Every row of the table against mpmath, whose functions are written here by hand.

A row that has no entry in TRUTH fails: whoever adds a row adds its mathematics here.
"""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp

import autograd_bp as ab
from autograd_bp import Value
from autograd_bp.ops import CODES, IEEE, RULES, TABLE, careful, grouped, second_rule

ROWS = [op for op in TABLE if op.operands]
SCALAR = [op for op in ROWS if not op.is_nary]
real = st.floats(-8.0, 8.0)
positive = st.floats(0.05, 8.0)
inside = st.floats(-0.95, 0.95)
choice = st.sampled_from([0.0, 1.0])

# For each row: the function in mpmath's arithmetic, and where to draw each operand from. Points
# where a row states a subgradient are in test_engine.py.
TRUTH = {
    "+": (lambda a, b: a + b, real, real),
    "-": (lambda a, b: a - b, real, real),
    "*": (lambda a, b: a * b, real, real),
    "/": (lambda a, b: a / b, real, positive),
    "**": (mp.power, positive, real),
    "neg": (lambda x: -x, real),
    "abs": (mp.fabs, positive),
    "exp": (mp.exp, real),
    "expm1": (mp.expm1, real),
    "log": (mp.log, positive),
    "log1p": (lambda x: mp.log(1 + x), inside),
    "log2": (lambda x: mp.log(x, 2), positive),
    "log10": (mp.log10, positive),
    "sqrt": (mp.sqrt, positive),
    "hypot": (mp.hypot, positive, real),
    "sin": (mp.sin, real),
    "cos": (mp.cos, real),
    "tan": (mp.tan, inside),
    "asin": (mp.asin, inside),
    "acos": (mp.acos, inside),
    "atan": (mp.atan, real),
    "atan2": (mp.atan2, positive, real),
    "sinh": (mp.sinh, real),
    "cosh": (mp.cosh, real),
    "tanh": (mp.tanh, real),
    "sigmoid": (lambda x: 1 / (1 + mp.exp(-x)), real),
    "softplus": (lambda x: mp.log(1 + mp.exp(x)), real),
    "logsigmoid": (lambda x: -mp.log(1 + mp.exp(-x)), real),
    "relu": (lambda x: x, positive),
    "leaky_relu": (lambda x, slope: slope * x, real.map(lambda x: -abs(x) - 0.1), real),
    "elu": (lambda x, alpha: alpha * mp.expm1(x), real.map(lambda x: -abs(x) - 0.1), real),
    "gelu": (lambda x: x * mp.ncdf(x), real),
    "silu": (lambda x: x / (1 + mp.exp(-x)), real),
    "erf": (mp.erf, real),
    "erfc": (mp.erfc, real),
    "lgamma": (lambda x: mp.log(mp.fabs(mp.gamma(x))), positive),
    "polygamma": (lambda n, x: mp.psi(int(n), x), st.integers(0, 4).map(float), positive),
    "<": (lambda a, b: mp.one, inside, st.just(2.0)),
    "<=": (lambda a, b: mp.zero, positive, st.just(-1.0)),
    "maximum": (lambda a, b: a, positive, st.just(-1.0)),
    "minimum": (lambda a, b: b, positive, st.just(-1.0)),
    "where": (lambda c, a, b: a if c else b, choice, real, real),
    "clip": (lambda x, lo, hi: x, inside, st.just(-1.0), st.just(1.0)),
    "dot": (lambda w, x, b: b + sum(p * q for p, q in zip(w, x, strict=True)), real, real, real),
    "sum_of": (lambda x: sum(x), real),
    "mean": (lambda x: sum(x) / len(x), real),
    "logsumexp": (lambda x: mp.log(sum(map(mp.exp, x))), real),
    "norm": (lambda x: mp.sqrt(sum(v * v for v in x)), positive),
}


def test_every_row_has_its_mathematics_here():
    assert set(TRUTH) == {op.name for op in ROWS}


def close(got, true, scale=1.0):
    """Within a few units in the last place of the result, or of the numbers that it is made of.

    σ' = y·(1 − y) and tanh' = 1 − y² take 1 − y of a rounded y: an error of 1 ulp of 1.
    """
    return abs(mp.mpf(got) - true) <= 2e-14 * max(abs(true), scale)


def by_hand(f, operands, i):
    """∂f/∂operand i in 60 digits."""
    with mp.workdps(60):
        point = [mp.mpf(x) for x in operands]
        return mp.diff(lambda x: f(*point[:i], x, *point[i + 1 :]), point[i])


@pytest.mark.parametrize("op", SCALAR, ids=lambda op: op.name)
@given(data=st.data())
def test_scalar_rows_against_mpmath(op, data):
    f, *domains = TRUTH[op.name]
    operands = [data.draw(domain) for domain in domains]
    frozen = {"polygamma": [0], "where": [0]}.get(op.name, [])  # operands without a derivative
    mask = sum(1 << i for i in range(len(operands)) if i not in frozen)
    y, *partials = RULES[CODES[op.name]][mask](*operands)
    scale = max(1.0, *map(abs, operands)) if op.name not in ("exp", "erfc") else 1e-3
    with mp.workdps(60):
        assert close(y, f(*map(mp.mpf, operands)), scale)
    assert careful(CODES[op.name], mask, operands) == pytest.approx((y, *partials), rel=1e-15)
    assert RULES[CODES[op.name]][0](*operands) == y
    moving = [i for i in range(len(operands)) if i not in frozen]
    for i, d in zip(moving, partials, strict=True):
        assert close(d, by_hand(f, operands, i), max(1.0, abs(y)))


@pytest.mark.parametrize("op", [op for op in ROWS if op.is_nary], ids=lambda op: op.name)
@given(data=st.data())
def test_nary_operations_against_mpmath_and_their_rows(op, data):
    f, *domains = TRUTH[op.name]
    n = data.draw(st.integers(1, 5))
    operands = [
        data.draw(st.lists(domain, min_size=n, max_size=n) if name.endswith("*") else domain)
        for name, domain in zip(op.operands, domains, strict=True)
    ]
    nodes = [[Value(x) for x in o] if isinstance(o, list) else Value(o) for o in operands]
    node = getattr(ab, op.name)(*nodes)
    with mp.workdps(60):
        truth = [[mp.mpf(x) for x in o] if isinstance(o, list) else mp.mpf(o) for o in operands]
        assert close(node.data, f(*truth), 10.0)
    # What the engine spells out is what the row says, bit for bit.
    assert IEEE.value(op)(*operands) == node.data
    spelled = grouped(op, node.local_grads)
    for d, partial in zip(spelled, IEEE.partials(op), strict=True):
        stated = partial(*operands, node.data)
        assert list(d) == list(stated) if isinstance(d, list) else d == stated


def operation(name):
    """How a user calls a row."""
    return {
        "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b,
        "/": lambda a, b: a / b, "**": lambda a, b: a**b, "neg": lambda x: -x, "abs": abs,
    }.get(name) or getattr(ab, name)  # fmt: skip


@pytest.mark.parametrize(
    "op", [op for op in SCALAR if op.name not in ("<", "<=")], ids=lambda op: op.name
)
@given(data=st.data())
def test_operators_methods_and_functions_are_the_row_bit_for_bit(op, data):
    _, *domains = TRUTH[op.name]
    operands = [data.draw(domain) for domain in domains]
    fixed = 1 if op.name in ("polygamma", "where") else 0
    mask = sum(1 << i for i in range(fixed, len(operands)))
    node = operation(op.name)(*operands[:fixed], *map(Value, operands[fixed:]))
    row = RULES[CODES[op.name]][mask](*operands)
    assert (node.data, *node.local_grads) == tuple(row)
    assert operation(op.name)(*operands) == row[0]
    if fixed == 0 and hasattr(Value, op.name):
        method = getattr(Value(operands[0]), op.name)(*operands[1:])
        assert (method.data, method.op) == (row[0], op.name)
    for i in range(fixed, len(operands)):  # one operand a node, the others plain numbers
        mixed = operation(op.name)(*operands[:i], Value(operands[i]), *operands[i + 1 :])
        assert (mixed.data, mixed.local_grads) == (row[0], (row[1 + i - fixed],))


@pytest.mark.parametrize("op", SCALAR, ids=lambda op: op.name)
@given(data=st.data())
def test_second_derivatives_made_from_the_rows(op, data):
    f, *domains = TRUTH[op.name]
    operands = [data.draw(domain) for domain in domains]
    frozen = 1 if op.name in ("polygamma", "where") else 0
    mask = sum(1 << i for i in range(frozen, len(operands)))
    y, *partials = RULES[CODES[op.name]][mask](*operands)
    t = [1.0, -0.5, 0.25][: len(partials)]
    rates = second_rule(CODES[op.name], mask)(
        *operands, y, *t, math.fsum(a * b for a, b in zip(partials, t, strict=True))
    )
    with mp.workdps(60):
        point = [mp.mpf(x) for x in operands]
        for i, rate in enumerate(rates, start=frozen):

            def slope(s, i=i):
                moved = [
                    *point[:frozen],
                    *(x + s * d for x, d in zip(point[frozen:], t, strict=True)),
                ]
                return mp.diff(lambda x: f(*moved[:i], x, *moved[i + 1 :]), moved[i])

            truth = mp.diff(slope, 0, h=mp.mpf(10) ** -15)
            assert abs(rate - truth) <= 1e-8 * max(1, abs(truth), abs(y), *map(abs, partials))
