"""Whether what a way gave is right."""

import math
from functools import cache

from mpmath import mp
from strategies import close

from autograd_bp.rules import IEEE

from .cases import LENGTH, all_cases, expected
from .ways import CUT, GRAPHS, WAYS

# In half ulps of |f| + Σ |xᵢ ∂f/∂xᵢ|, which is what rounding the operands and the result makes.
# The kernel's functions are vectorised and within 4 ulp each; a derivative may take several.
BOUNDS = {"eager": 8, "create_graph": 8, "jvp": 8, "Program": 16, "lanes": 16, "C": 8}
FLOOR = 2.0**-1022  # below which floats lose bits on the way


# What is known not to hold, by operation and operand of the derivative (-1: the value), with
# the condition on the operands. The published page lists the reasons.
LIMITS = {
    ("dot", -1): (
        lambda *x: any(abs(p) * abs(q) >= 2.0**1023 for p, q in zip(x[:LENGTH], x[LENGTH:-1],
                                                                   strict=True)),
        "Σ wᵢxᵢ where a single product overflows: ±inf or NaN. A row that scales its operands "
        "there makes lanes of 16 products 5 times slower and layers, then no matrix products, 32 "
        "times; BLAS and XLA, which other ways use, overflow as well",
    ),
    ("sum_of", -1): (
        lambda *x: sum(map(abs, x)) == math.inf,
        "Σ xᵢ where a sum on the way overflows: ±inf or NaN. As for `dot`, whose sums it shares",
    ),
    **{
        ("norm", i): (
            lambda *x: not 2.0**-1000 < math.hypot(*x) < math.inf,
            f"∂/∂x{'₀₁'[i]} = x/y where y = √Σ xᵢ² overflows, or is subnormal and has lost bits. "
            "Scaling as `hypot` does takes 134 instructions for 16 operands instead of 36, and 2.6 "
            "times as long",
        )
        for i in range(LENGTH)
    },
    ("mean", -1): (
        lambda *x: sum(map(abs, x)) == math.inf,
        "Σ xᵢ / n where the sum overflows: ±inf or NaN. As for `dot`",
    ),
}  # fmt: skip


_TRUTHS = {}


def truth(case):
    """Kept by what is written: -0.0 equals 0.0, and NaN nothing."""
    if repr(case) not in _TRUTHS:
        _TRUTHS[repr(case)] = expected(case)
    return _TRUTHS[repr(case)]


def numbers(way):
    """How many numbers of each case a way gives that something is asked of."""
    for case, (value, partials) in zip(all_cases(), results(way), strict=True):
        true = truth(case)
        asked = [true.value.y is not None or not true.inside]
        asked += [
            t.y is not None and d is not None for t, d in zip(true.partials, partials, strict=True)
        ]
        yield case, 0 if value is None else sum(asked)


@cache
def results(way):
    return WAYS[way](all_cases())


@cache
def cut(way):
    """The derivatives on paths that are cut by a 0, with their cases."""
    found = zip(all_cases(), CUT[way](all_cases()), strict=True)
    return [(case, i, d) for case, (_, ds) in found for i, d in enumerate(ds) if d is not None]


def problems_of_cut(way, name=None):
    """Where 0 carried something, as (case, what, got, true); of all operations, or of one."""
    for case, i, d in cut(way):
        if d != 0 and name in (None, case.name):
            yield case, f"0 times derivative {i}", d, "0"


def problems(way, name=None):
    """What is wrong, as (case, what, got, true); of all operations, or of one."""
    for case, (value, partials) in zip(all_cases(), results(way), strict=True):
        if value is None or name not in (None, case.name):
            continue
        true = truth(case)
        if not true.inside:
            right = isinstance(value, Exception) if way in GRAPHS else not math.isfinite(value)
            right |= case.name == "**" and value == 0.0 and case.flat[0] == -math.inf  # as in C
            if not right:
                yield case, "outside", value, "an error" if way in GRAPHS else "NaN or ±inf"
            continue
        if isinstance(value, Exception):
            yield case, "value", repr(value), true.value
            continue
        if not is_right(value, true.value, case, way, -1):
            yield case, "value", value, shown(true.value)
        for i, (d, dy) in enumerate(zip(partials, true.partials, strict=True)):
            if d is not None and not is_right(d, dy, case, way, i):
                yield case, f"derivative {i}", d, shown(dy)


def shown(number):
    return f"{mp.nstr(number.y, 18)} (sign {number.sign}, scale {mp.nstr(number.scale, 5)})"


def is_right(got, true, case, way, i):
    if true.y is None:
        return True
    excepted, _ = LIMITS.get((case.name, i), (None, ""))
    if excepted is not None and excepted(*case.flat):
        return True
    if mp.isnan(true.y) or math.isnan(got):
        at_infinity = any(map(math.isinf, case.flat)) and i >= 0
        return at_infinity or (mp.isnan(true.y) and math.isnan(got))
    if mp.isinf(true.y):
        return got == float(true.y)
    if true.sign and i < 0 and got == 0:
        return math.copysign(1, got) == true.sign
    with mp.workprec(2000):
        scale = true.scale + own_error(case, i, true.y)
        return close(got, true.y, scale, BOUNDS[way], FLOOR)


def own_error(case, i, result):
    """In the same units, what the row's formula adds. ``i`` is -1 for the value, else the
    operand that the derivative is for."""
    op, flat = case.op, case.flat
    if op.name in ("sigmoid", "tanh") and i == 0:
        # y(1 - y) and 1 - y², the textbook's form on purpose, cancel where y is near 1.
        y = IEEE.value(op)(*flat)
        return y if op.name == "sigmoid" else y * y
    if op.name == "lgamma" and i == -1:
        return 1  # terms near 1 cancel at its zeros 1 and 2
    if op.name == "**" and i == 0:
        return (
            abs(result * mp.log(abs(flat[0]))) if 0 < abs(flat[0]) < math.inf else 0
        )  # b - 1 is rounded
    if op.name == "polygamma":
        return flat[0] * abs(result)  # reflection takes the n-th power of π, rounded
    return 0
