"""The points at which every row of the table is examined, and what is true there.

Points are made from the rows: all combinations of numbers of each kind, and the floats around
every number that a row's domain names. Truths are computed from the mathematics in
``strategies.TRUTH`` with thousands of bits; at infinity they are limits.
"""

import ast
import itertools
import math
import random
from functools import cache
from typing import NamedTuple

from mpmath import mp
from strategies import GIVEN, TRUTH

from autograd_bp.ops import CODES, TABLE, grouped
from autograd_bp.rules import IEEE

INF, NAN = math.inf, math.nan
KINDS = ["ordinary", "edge", "±0", "subnormal", "1e±300", "±inf", "NaN"]
ROWS = [op for op in TABLE if op.operands and op.name not in GIVEN]

ORDINARY = [0.5, -0.75, 1.0, -1.0, 2.0, 3.0, -2.5, 7.25, -19.5, 40.25, -709.5, 1e5]
SPECIAL = [
    0.0, -0.0, 5e-324, -5e-324, 1e-310, -1e-310, 1e-300, -1e-300, 1e300, -1e300,
    1.7976931348623157e308, -1.7976931348623157e308, INF, -INF, NAN,
]  # fmt: skip
OF_TWO = [0.5, -2.5, 1.0, 3.0, 0.0, -0.0, 5e-324, -1e-310, 1e-300, 1e300, -1e300,
          1.7976931348623157e308, INF, -INF, NAN]  # fmt: skip
OF_THREE = [0.5, -2.0, 0.0, -0.0, 1e-310, -1e300, INF, -INF, NAN]
ORDERS = [0.0, 1.0, 3.0, 0.5, -1.0, INF, NAN]
LENGTH = 2  # of the sequences of n-ary operations
MOST = 60  # cases of one operation, besides those with all operands alike
AT_INFINITY = 6500  # bits of arithmetic on stand-ins for infinity and zero: see _limit


class Case(NamedTuple):
    """An operation at a point. ``flat`` are its operands in one row."""

    name: str
    flat: tuple[float, ...]
    kind: str

    @property
    def op(self):
        return TABLE[CODES[self.name]]

    @property
    def operands(self):
        return grouped(self.op, self.flat)


class Number(NamedTuple):
    """What a result must be: ``y`` to rounding errors of ``scale``. ``y`` is NaN where there is
    no limit, ``sign`` that of a zero, 0 where any will do; ``y`` is None where nothing is asked.
    """

    y: object
    scale: object = 0
    sign: int = 0


ANYTHING = Number(None)


class Expected(NamedTuple):
    """Whether the point is inside the row's domain, and the result and derivatives there."""

    inside: bool
    value: Number
    partials: tuple[Number, ...]


def edges(op):
    """The floats around every number that the domain names."""
    if not op.domain:
        return []
    numbers = {
        float(node.value)
        for node in ast.walk(ast.parse(op.domain, mode="eval"))
        if isinstance(node, ast.Constant)
    }
    numbers |= {-x for x in numbers}
    return sorted({f(x, to) for x in numbers for f in (lambda x, to: x, math.nextafter)
                   for to in (-INF, INF)})  # fmt: skip


def kind_of(flat, at_edge):
    if any(map(math.isnan, flat)):
        return "NaN"
    if any(map(math.isinf, flat)):
        return "±inf"
    if any(abs(x) >= 1e300 or 2.0**-1022 <= abs(x) <= 1e-300 for x in flat):
        return "1e±300"
    if any(0 < abs(x) < 2.0**-1022 for x in flat):
        return "subnormal"
    if any(x == 0 for x in flat):
        return "±0"
    return "edge" if any(x in at_edge for x in flat) else "ordinary"


def _is_order(op, name):
    """Whether an operand is a whole number that no derivative is by."""
    return op.d[op.operands.index(name)] == "nan"


def cases_of(op):
    """All cases of one row."""
    n = sum(LENGTH if name.endswith("*") else 1 for name in op.operands)
    near = edges(op)
    if n == 1:
        points = [(x,) for x in dict.fromkeys([*ORDINARY, *SPECIAL, *near])]
        points += [(0.0,), (-0.0,)]  # which are one key
    else:
        numbers = OF_TWO if n == 2 else OF_THREE
        numbers = [*numbers, *(x for x in near if x not in numbers)]
        choices = [
            ORDERS if name in op.operands and _is_order(op, name) else numbers
            for name in [*op.operands, *[""] * (n - len(op.operands))]
        ]
        if len(numbers) ** n <= 20000:
            points = list(itertools.product(*choices))
        else:
            rng = random.Random(0)
            points = [tuple(map(rng.choice, choices)) for _ in range(MOST)]
        if len(points) > MOST:
            points = random.Random(0).sample(points, MOST)
        points += [(x,) * n for x in numbers if "nan" not in op.d]
    unique = {repr(p): p for p in points}.values()
    return [Case(op.name, p, kind_of(p, near)) for p in unique]


@cache
def all_cases():
    return [case for op in ROWS for case in cases_of(op)]


# --- what is true there --------------------------------------------------------------------------


def expected(case):
    """The truth at a case."""
    op, n = case.op, len(case.flat)
    nothing = (ANYTHING,) * n
    if any(map(math.isnan, case.flat)):
        return Expected(True, Number(_with_nan(op, case.flat)), nothing)
    if not IEEE.domain(op, 0)(*case.operands):
        return Expected(False, ANYTHING, nothing)
    with mp.workprec(_bits(op, case.flat)):
        return Expected(True, *_truth(op, case.flat))


def _bits(op, flat):
    # Twice the exponents of floats, so that cos(1e-310) differs from 1, and as much again.
    # lgamma and polygamma, which are slow, are flat nowhere.
    if any(map(math.isinf, flat)):
        return 14000 if op.name == "dot" else AT_INFINITY
    extreme = any(0 < abs(x) < 1e-100 or abs(x) > 1e100 for x in flat)
    if op.name in ("lgamma", "polygamma") or not extreme:
        return 800 + TRUTH[op.name].bits(*grouped(op, flat))
    return 4800


def _truth(op, flat):
    f = _of_row(op)
    if op.name in ("<", "<=", "where"):
        y = mp.mpf(f(*map(mp.mpf, flat)))
        return Number(y, abs(y) if mp.isfinite(y) else 0), (ANYTHING,) * len(flat)
    if any(map(math.isinf, flat)):
        y = _annex_f(op, flat)
        y = _limit(f, flat) if y is None else mp.mpf(y)
        if op.name in ("lgamma", "polygamma"):
            no_limit = flat[-1] < 0  # poles all the way
        else:
            no_limit = not TRUTH[op.name].gap(*grouped(op, flat)) > 0  # a kink, or inf - inf
        partials = [
            ANYTHING if no_limit or _no_derivative(op, i) else Number(_limit(_slope(f, i), flat), 1)
            for i in range(len(flat))
        ]
        return Number(y, abs(y) if mp.isfinite(y) else 0), tuple(partials)
    exact = [mp.mpf(x) for x in flat]
    smooth = TRUTH[op.name].gap(*grouped(op, flat)) > 0
    moving = [i for i in range(len(flat)) if smooth and not _no_derivative(op, i, flat)]
    y, scale = _conditioned(f, exact, moving)
    if op.name == "atan2" and flat[0] == 0:  # mpmath has no -0.0
        y = mp.mpf(_annex_f(op, flat))
    partials = [
        Number(*_conditioned(_slope(f, i), exact, moving)) if i in moving else ANYTHING
        for i in range(len(flat))
    ]
    return Number(
        y, scale, _sign_of_zero(f, flat) if smooth and y == 0 and not op.is_nary else 0
    ), tuple(partials)


def _of_row(op):
    return lambda *flat: TRUTH[op.name].f(*grouped(op, flat))


def _no_derivative(op, i, flat=()):
    """Whether there is none by this operand: an order, or the exponent of a negative number."""
    d = op.d[op.operands.index(_names(op)[i])]
    return d == "nan" or (op.name == "**" and i == 1 and bool(flat) and flat[0] < 0)


def _names(op):
    return [n for name in op.operands for n in [name] * (LENGTH if name.endswith("*") else 1)]


def _slope(f, i):
    """∂f/∂(operand i) by central differences; a quarter of the bits is the step."""

    def df(*x):
        h = mp.ldexp(abs(x[i]) if x[i] else 1, -300 if mp.prec >= AT_INFINITY else -mp.prec // 4)
        above, below = ([*x[:i], x[i] + s * h, *x[i + 1 :]] for s in (1, -1))
        return (f(*above) - f(*below)) / (2 * h)

    return df


def _conditioned(f, x, moving):
    y = f(*x)
    return y, abs(y) + sum(abs(x[i] * _slope(f, i)(*x)) for i in moving)


def _with_nan(op, flat):
    """NaN in, NaN out, but for what IEEE 754 says of pow and hypot, of comparisons, which are
    false, and for operands that a choice leaves out."""
    if op.name in ("<", "<="):
        return 0.0
    if op.name == "where":
        return flat[1] if flat[0] != 0 else flat[2]
    if op.name == "**" and (flat[0] == 1 or flat[1] == 0):
        return 1.0
    if op.name == "hypot" and any(map(math.isinf, flat)):
        return INF
    if op.name in ("leaky_relu", "elu") and flat[0] > 0:
        return flat[0]
    return NAN


def _annex_f(op, flat):
    """What Annex F of the C standard says where there is no limit; None elsewhere."""
    if op.name == "**":
        a, b = flat
        if b == 0 or a == 1 or (a == -1 and math.isinf(b)):
            return 1.0
        if math.isinf(b):
            return INF if (abs(a) > 1) == (b > 0) else 0.0
        y = INF if b > 0 else 0.0  # a is infinite
        return -y if a < 0 and b % 2 == 1 else y
    if op.name in ("leaky_relu", "elu") and flat[0] == 0:
        return NAN  # 0·∞
    if op.name == "atan2" and all(map(math.isinf, flat)):
        return mp.sign(flat[0]) * mp.pi * (1 if flat[1] > 0 else 3) / 4
    if op.name == "atan2" and flat[0] == 0:
        return math.copysign(0.0 if math.copysign(1, flat[1]) > 0 else math.pi, flat[0])
    if op.name == "dot":
        products = [w * x for w, x in zip(flat[:LENGTH], flat[LENGTH:], strict=False)]
        if any(map(math.isnan, products)):
            return NAN  # 0·∞
    if op.name == "lgamma" and flat[0] == -INF:
        return INF
    if op.name == "polygamma" and flat[1] == -INF:
        return NAN
    return None


def _limit(f, flat):
    """What f tends to as the infinite operands grow, and zeros are approached, in any order."""
    found = set()
    for speeds in itertools.permutations(range(1, len(flat) + 1)):
        ends = []
        for level in (1300, 2600):
            point = [
                _stand_in(x, level + 60 * speed) for x, speed in zip(flat, speeds, strict=True)
            ]
            try:
                ends.append(f(*point))
            except (ValueError, ZeroDivisionError):
                return mp.nan
        if any(isinstance(y, mp.mpc) for y in ends):
            continue
        found.add(_tendency(*ends))
    return found.pop() if len(found) == 1 else mp.nan


def _stand_in(x, bits):
    if math.isinf(x):
        return mp.sign(x) * (mp.ldexp(1 + mp.mpf(bits) / 7000, bits) + mp.mpf(1) / bits)
    if x == 0:
        return math.copysign(1, x) * mp.ldexp(1, -bits)
    return mp.mpf(x)


def _tendency(near, far):
    if abs(far) > 1.5 * abs(near):
        return mp.inf * mp.sign(far)
    if abs(far) < abs(near) / 1.5 or far == 0:
        return mp.zero
    with mp.workprec(53):
        return +far if abs(far - near) < mp.ldexp(abs(far), -50) else mp.nan


def _sign_of_zero(f, flat):
    """The sign that f has near the zeros among its operands; 0 where it has several or none."""
    if not any(x == 0 for x in flat):
        return 0
    signs = set()
    for speeds in itertools.permutations(range(1, len(flat) + 1)):
        y = f(*[_stand_in(x, 1100 + 100 * s) for x, s in zip(flat, speeds, strict=True)])
        signs.add(0 if isinstance(y, mp.mpc) else int(mp.sign(y)))
    return signs.pop() if len(signs) == 1 else 0
