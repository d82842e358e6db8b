"""The published page, docs/conformance.md."""

import math
from collections import Counter

from autograd_bp.ops import CODES, TABLE
from autograd_bp.rules import IEEE

from .cases import KINDS, ROWS, all_cases
from .verdict import BOUNDS, LIMITS, cut, numbers, problems, problems_of_cut, truth
from .ways import WAYS

HEAD = """# Conformance

Made by `python -m tests.conformance`, and held to what that prints by the test suite. Every row
of the table of operations is evaluated in every way that there is, at numbers of every kind, and
compared with mpmath at thousands of bits.

- **Inside the domain** a value and each local derivative must be within the stated bound, in units
  in the last place of |y| + Σ |xᵢ ∂y/∂xᵢ|: what rounding the operands and the result makes.
  Below 2⁻¹⁰²², where floats lose bits, 2⁻¹⁰²² is added. A result beyond the largest float must be
  ±inf. A zero must have its sign, where the mathematics gives it one.
- **At ±inf** a value must be its limit; NaN where it has none (∞ − ∞, 0·∞), except where
  Annex F of the C standard has a number (pow, hypot, atan2, lgamma). A derivative must be its
  limit, or NaN where its formula meets ∞/∞ or 0·∞; no other number will do.
- **NaN** in, NaN out, except that comparisons are false, `where`, `leaky_relu` and `elu` do not
  look at what they do not choose, pow(1, y) = pow(x, 0) = 1 and hypot(∞, y) = ∞.
- **Outside the domain** `eager`, `create_graph` and `jvp` raise ValueError or ZeroDivisionError.
  `Program`, its lanes and exported C cannot, and give NaN or ±inf (pow(−∞, b) may be 0, as in C).
- **0 carries nothing.** On a path with a factor of exactly 0, a local derivative of ±inf or NaN
  adds nothing: the derivatives of `where(x < x, y, 1)` are 0 at every case of every row. JAX and
  PyTorch give NaN there, hence their "double where".
- Where an operation is **not differentiable**, `tests/test_ops.py` tests the stated subgradient,
  and `tests/test_zeros.py` that it counts as a constant: its own derivatives are 0 in every way.
- `detach` and `attach`, whose derivatives are not those of their values, and `carry` and
  `carry_dot`, which are the products of the chain rule, are left to `tests/test_custom.py` and
  `tests/test_zeros.py`.
"""


def render():
    """The page's text."""
    return "\n".join([HEAD, *_ways(), "", *_limits(), "", *_rows(), "", *_special(), ""])


def _ways():
    yield "## The ways"
    yield ""
    yield "| way | bound (ulp) | cases | numbers compared | wrong | times 0 | wrong |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for way in WAYS:
        counts = [n for _, n in numbers(way) if n]
        wrong = sum(1 for _ in problems(way))
        not_0 = sum(1 for _ in problems_of_cut(way))
        yield (
            f"| {way} | {BOUNDS[way] // 2} | {len(counts)} | {sum(counts)} | {wrong} "
            f"| {len(cut(way))} | {not_0} |"
        )


def _limits():
    yield "## What is known not to hold"
    yield ""
    for (name, _), (_, reason) in LIMITS.items():
        yield f"- `{name}`: {reason}."


def _rows():
    yield "## Cases of each operation"
    yield ""
    yield "| operation | domain | " + " | ".join(KINDS) + " | outside |"
    yield "| --- | --- | " + "---: | " * (len(KINDS) + 1)
    inside, outside = Counter(), Counter()
    for case in all_cases():
        if truth(case).inside:
            inside[case.name, case.kind] += 1
        else:
            outside[case.name] += 1
    for op in ROWS:
        counts = " | ".join(str(inside[op.name, kind] or "") for kind in KINDS)
        domain = f"`{op.domain}`" if op.domain else ""
        yield f"| `{op.name}` | {domain} | {counts} | {outside[op.name] or ''} |"


def _special():
    points = [-math.inf, -0.0, 0.0, math.inf, math.nan]
    yield "## Functions of one operand at special points"
    yield ""
    yield "| operation | " + " | ".join(f"at {x!r}" for x in points) + " |"
    yield "| --- | " + "--- | " * len(points)
    for op in ROWS:
        if len(op.operands) == 1 and not op.is_nary:
            yield f"| `{op.name}` | {' | '.join(_shown(op, x) for x in points)} |"


def _shown(op, x):
    if not math.isnan(x) and not IEEE.domain(TABLE[CODES[op.name]], 0)(x):
        return "error"
    y = IEEE.value(op)(x)
    (d,) = (rule(x, y) for rule in IEEE.partials(op))
    return f"{y:.6g}, slope {d:.6g}"
