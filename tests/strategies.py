"""What several tests share: the mathematics of each operation, points, random expressions."""

import itertools
import math
import operator
from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st
from mpmath import mp

import autograd_bp
from autograd_bp import nary, value
from autograd_bp.ops import CODES, TABLE, grouped
from autograd_bp.rules import IEEE


class Engine:
    """An engine's modules as one: all of its operations."""

    def __init__(self, value, nary):
        self.value, self.nary = value, nary

    def __getattr__(self, name):
        return getattr(self.value if hasattr(self.value, name) else self.nary, name)


engine = Engine(value, nary)

# Their derivatives are not those of their values, on purpose (test_custom.py is about them), or
# their values not those of arithmetic (test_zeros.py).
GIVEN = ("detach", "attach", "carry", "carry_dot")
SCALAR = [op for op in TABLE if op.operands and not op.is_nary and op.name not in GIVEN]
NARY = [op for op in TABLE if op.is_nary and op.name not in GIVEN]


def name_of(op):
    return op.name


# --- the truth: each operation written again, by hand, in mpmath's arithmetic --------------------


class Truth(NamedTuple):
    """``f`` is the operation on mpmath's numbers, ``gap`` how far operands are from the nearest
    point where it is not differentiable (0 at such a point). ``bits`` more bits to
    take differences in are needed where f comes so near to a constant that they vanish."""

    f: Callable
    gap: Callable = lambda *operands: math.inf
    bits: Callable = lambda *operands: 0


def _pole_gap(x):
    return abs(x - min(round(x), 0))  # the poles of Γ are 0, -1, -2, …


def _erfc(x):
    return mp.erfc(x) if x < 1e5 else mp.zero  # mpmath fails far beyond


def _bits_of_exp(x):
    return 3 * int(min(abs(x), 750))  # from there on, exp(-x) is 0 in floats


TRUTH = {
    "+": Truth(lambda a, b: a + b),
    "-": Truth(lambda a, b: a - b),
    "*": Truth(lambda a, b: a * b),
    "/": Truth(lambda a, b: a / b, lambda a, b: abs(b)),
    "**": Truth(lambda a, b: mp.power(a, b), lambda a, b: abs(a)),
    "neg": Truth(lambda x: -x),
    "abs": Truth(lambda x: mp.fabs(x), abs),
    "exp": Truth(lambda x: mp.exp(x)),
    "expm1": Truth(lambda x: mp.expm1(x), bits=_bits_of_exp),
    "log": Truth(lambda x: mp.log(x), abs),
    "log1p": Truth(lambda x: mp.log1p(x), lambda x: 1 + x),
    "log2": Truth(lambda x: mp.log(x) / mp.log(2), abs),
    "log10": Truth(lambda x: mp.log(x) / mp.log(10), abs),
    "sqrt": Truth(lambda x: mp.sqrt(x), abs),
    "hypot": Truth(lambda a, b: mp.sqrt(a * a + b * b), math.hypot),
    "sin": Truth(lambda x: mp.sin(x)),
    "cos": Truth(lambda x: mp.cos(x)),
    "tan": Truth(lambda x: mp.sin(x) / mp.cos(x), lambda x: abs(math.cos(x))),
    "asin": Truth(lambda x: mp.asin(x), lambda x: 1 - abs(x)),
    "acos": Truth(lambda x: mp.acos(x), lambda x: 1 - abs(x)),
    "atan": Truth(lambda x: mp.atan(x)),
    "atan2": Truth(lambda a, b: mp.atan2(a, b), lambda a, b: abs(a) if b < 0 else math.hypot(a, b)),
    "sinh": Truth(lambda x: mp.sinh(x)),
    "cosh": Truth(lambda x: mp.cosh(x)),
    "tanh": Truth(lambda x: mp.tanh(x)),
    "sigmoid": Truth(lambda x: 1 / (1 + mp.exp(-x))),
    "softplus": Truth(lambda x: mp.log1p(mp.exp(x))),
    "logsigmoid": Truth(lambda x: -mp.log1p(mp.exp(-x))),
    "relu": Truth(lambda x: max(x, mp.zero), abs),
    "leaky_relu": Truth(lambda x, slope: x if x > 0 else slope * x, lambda x, slope: abs(x)),
    "elu": Truth(
        lambda x, alpha: x if x > 0 else alpha * mp.expm1(x),
        lambda x, alpha: abs(x),
        lambda x, alpha: _bits_of_exp(x),
    ),
    "gelu": Truth(lambda x: x * _erfc(-x / mp.sqrt(2)) / 2),
    "silu": Truth(lambda x: x / (1 + mp.exp(-x))),
    "erf": Truth(lambda x: mp.erf(x), bits=lambda x: _bits_of_exp(x * x)),
    "erfc": Truth(lambda x: _erfc(x), bits=lambda x: _bits_of_exp(x * x)),
    "lgamma": Truth(lambda x: mp.re(mp.loggamma(x)), _pole_gap),
    "polygamma": Truth(lambda n, x: mp.psi(int(n), x), lambda n, x: _pole_gap(x)),
    "<": Truth(lambda a, b: mp.mpf(a < b), lambda a, b: abs(a - b)),
    "<=": Truth(lambda a, b: mp.mpf(a <= b), lambda a, b: abs(a - b)),
    "maximum": Truth(lambda a, b: max(a, b), lambda a, b: abs(a - b)),
    "minimum": Truth(lambda a, b: min(a, b), lambda a, b: abs(a - b)),
    "where": Truth(lambda c, a, b: a if c != 0 else b, lambda c, a, b: abs(c)),
    "clip": Truth(
        lambda x, lo, hi: min(max(x, lo), hi),
        lambda x, lo, hi: min(abs(x - lo), abs(x - hi), hi - lo),
    ),
    "dot": Truth(lambda w, x, b: b + mp.fsum(p * q for p, q in zip(w, x, strict=True))),
    "sum_of": Truth(lambda x: mp.fsum(x)),
    "mean": Truth(lambda x: mp.fsum(x) / len(x)),
    "logsumexp": Truth(lambda x: mp.log(mp.fsum(map(mp.exp, x)))),
    "norm": Truth(lambda x: mp.sqrt(mp.fsum(p * p for p in x)), lambda x: max(map(abs, x))),
}


def slope(f, i):
    """∂f/∂(operand i) by central differences, of a step so small, in arithmetic so precise,
    that 3/4 of the bits of the result are right, and half of those of its slope in turn."""

    def df(*x):
        h = mp.ldexp(abs(x[i]) if x[i] else 1, -mp.prec // 4)
        above, below = ([*x[:i], x[i] + s * h, *x[i + 1 :]] for s in (1, -1))
        return (f(*above) - f(*below)) / (2 * h)

    return df


def conditioned(f, x, moving):
    """f(x), and |f| + Σ |xᵢ ∂f/∂xᵢ|: what a relative error of 1 in each operand would make."""
    y = f(*x)
    return y, abs(y) + sum(abs(x[i] * slope(f, i)(*x)) for i in moving)


# --- points --------------------------------------------------------------------------------------

wide = st.builds(
    lambda sign, exponent: sign * 10.0**exponent, st.sampled_from([-1, 1]), st.floats(-30, 30)
)


def floats(low, high):
    """Floats that are 0 or not tiny, so that differences near them are no matter of digits."""
    return st.floats(low, high).map(lambda x: x if abs(x) >= 1e-30 else 0.0)


number = floats(-4, 4) | floats(-60, 60) | wide | st.integers(-3, 3).map(float)
positive = number.map(abs).filter(bool)
whole = (st.integers(0, 5) | st.integers(0, 30)).map(float)
_near = number.filter(lambda x: abs(x) < 9)
_up_to_one = number.map(lambda x: math.sin(x) if abs(x) != 1 else x)

_POINTS = {
    "**": st.tuples(positive, number) | st.tuples(number, st.integers(-4, 4).map(float)),
    "log": st.tuples(positive),
    "log2": st.tuples(positive),
    "log10": st.tuples(positive),
    "log1p": st.tuples(number.filter(lambda x: x > -1)),
    "sqrt": st.tuples(positive),
    "asin": st.tuples(_up_to_one),
    "acos": st.tuples(_up_to_one),
    # mpmath is slow for these elsewhere.
    "erf": st.tuples(_near | st.sampled_from([-1e5, -15.0, 15.0, 1e5])),
    "erfc": st.tuples(_near | st.sampled_from([-1e5, -15.0, 15.0, 1e5])),
    "polygamma": st.tuples(whole, number.filter(lambda x: -100 < x < 1e6)),
    "clip": st.tuples(number, number, number).map(lambda p: (p[0], min(p[1:]), max(p[1:]))),
}


def points(op):
    """Operands of a row without sequences, inside its domain where they are plain numbers."""
    drawn = _POINTS.get(op.name, st.tuples(*[number] * len(op.operands)))
    return drawn.filter(lambda operands: IEEE.domain(op, 0)(*operands))


_special_numbers = [
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 3.0, -3.0, 5e-324, -1e-310, 1e-300, 1e16, -1e16, 710.0,
    -746.0, 1.7e308, -1.7e308, math.inf, -math.inf, math.nan,
]  # fmt: skip


def special_points(op):
    """All operands made of zeros, infinities, NaN, the ends of the range and a few others."""
    numbers = _special_numbers if len(op.operands) < 3 else _special_numbers[::2]
    orders = [0.0, -0.0, 1.0, 3.0, 0.5, -1.0, math.inf, math.nan]  # higher ones take long
    choices = [orders if name == "n" else numbers for name in op.operands]
    return list(itertools.product(*choices))


# --- ways to write an operation ------------------------------------------------------------------


def _as(method, *operands):
    """A method, called on an operand that is a node."""
    if method == "where":
        condition, a, b = operands
        return a.where(condition, b)
    return getattr(operands[0], method)(*operands[1:])


OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "neg": operator.neg,
    "abs": operator.abs,
    "<": operator.lt,
    "<=": operator.le,
}


def spellings(op, operands):
    """The ways to write a row's operation on these operands, as functions of none."""
    owner = operands[1 if op.name == "where" else 0]
    found = {}
    if op.name in OPERATORS:
        found["operator"] = lambda: OPERATORS[op.name](*operands)
    if hasattr(engine.Value, op.name) and isinstance(owner, engine.Value):
        found["method"] = lambda: _as(op.name, *operands)
    if op.name in autograd_bp.__all__:
        found["function"] = lambda: getattr(autograd_bp, op.name)(*operands)
    return found


# --- random expressions --------------------------------------------------------------------------


class Expression(NamedTuple):
    """A graph to be built by any engine: leaves, and steps on what is there already.

    A step is the name of an operation and its operands: an int is the position of an earlier
    node (leaves first), a float is a plain number, a tuple is a sequence of these. The root is
    the sum of the nodes that nothing else uses.
    """

    leaves: tuple[float, ...]
    steps: tuple[tuple[str, tuple], ...]

    def build(self, leaves, operations):
        """All nodes, the root last, given the leaves and the functions that the names mean."""
        nodes = list(leaves)
        for name, operands in self.steps:
            nodes.append(operations(name)(*_looked_up(operands, nodes)))
        used = {i for _, operands in self.steps for i in _positions(operands)}
        ends = [node for i, node in enumerate(nodes) if i not in used]
        return [*nodes, operations("sum_of")(ends)]


def _looked_up(operands, nodes):
    return [
        nodes[x] if isinstance(x, int) else _looked_up(x, nodes) if isinstance(x, tuple) else x
        for x in operands
    ]


def _positions(operands):
    for x in operands:
        if isinstance(x, tuple):
            yield from _positions(x)
        elif isinstance(x, int):
            yield x


def operations_of(engine):
    """What names of operations mean in an engine."""

    def operation(name):
        if CODES[name] and TABLE[CODES[name]].is_nary:
            return getattr(engine, name)
        if name in ("<", "<="):  # a node only in a trace: `apply` makes one
            return lambda *operands: engine.apply(name, *operands)
        if name in OPERATORS:
            return OPERATORS[name]
        return lambda *operands: engine.apply(name, *operands)

    return operation


eager = operations_of(engine)


def exact(name):
    """What names of operations mean in mpmath's arithmetic."""
    return TRUTH[name].f


# In a smooth expression no step is nearer than this to where it is not differentiable, and no
# value or derivative is larger than the other: rounding errors then stay near rounding errors.
NEAREST, LARGEST = 0.02, 20.0


@st.composite
def expressions(draw, smooth=False, max_steps=12):
    """Random graphs of all operations, with sharing.

    Each step is inside the domain of its operation, and with ``smooth`` away from kinks and
    poles: the first operation that is so, from a random place in the table on.
    """
    size = 2.0 if smooth else 100.0
    plain = floats(-size, size)
    leaves = tuple(draw(st.lists(plain, min_size=1, max_size=4)))
    steps, nodes = [], [engine.Value(x) for x in leaves]

    def take(name, operands):
        try:
            node = eager(name)(*_looked_up(operands, nodes))
        except (ValueError, ZeroDivisionError):
            return False
        if smooth and not _is_smooth(node):
            return False
        steps.append((name, operands))
        nodes.append(node)
        return True

    operations = [op for op in (*SCALAR, *NARY) if op.name != "where"]
    for _ in range(draw(st.integers(1, max_steps))):
        position = st.integers(0, len(nodes) - 1)
        operand = position | plain | st.sampled_from([0.0, 1.0, 2.0, 3.0])
        n = draw(st.integers(1, 3))
        # Enough operands for any operation, the first a node.
        pool = (draw(position), *draw(st.lists(operand, min_size=2 * n, max_size=2 * n + 2)))
        start = draw(st.integers(0, len(operations)))
        if start == len(operations) and take("<", pool[:2]):
            take("where", (len(nodes) - 1, *pool[1:3]))
            continue
        for op in (*operations[start:], *operations[:start]):
            if op.name == "polygamma":
                operands = (draw(st.integers(0, 3).map(float)), pool[0])
            elif op.is_nary:
                rows = {"dot": (pool[:n], pool[n : 2 * n], pool[-1])}
                operands = rows.get(op.name, (pool[:n],))
            else:
                operands = pool[: len(op.operands)]
            if take(op.name, operands):
                break
    return Expression(leaves, tuple(steps))


def _is_smooth(node):
    if not all(abs(x) <= LARGEST for x in (node.data, *node.local_grads)):
        return False
    numbers = [x.data if isinstance(x, engine.Value) else x for x in node.operands]
    if node.op == "where":  # all right if its condition is a comparison, which is smooth itself
        return isinstance(node.operands[0], engine.Value) and node.operands[0].op == "<"
    return TRUTH[node.op].gap(*grouped(TABLE[CODES[node.op]], numbers)) >= NEAREST


def close(got, true, scale, ulps, floor=0.0):
    """Whether a float is the true number to so many units of rounding of the scale.

    Infinity is right where the true number exceeds the largest float, and errors up to
    ``floor`` where a float on the way to the result was too small to keep all of its bits.
    """
    bound = mp.ldexp(ulps * scale, -53) + floor
    if math.isinf(got):
        return got * true > 0 and abs(true) + bound >= mp.ldexp(1, 1024)
    return abs(mp.mpf(got) - true) <= bound
