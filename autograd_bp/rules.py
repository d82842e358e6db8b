"""The table read on floats: as fast as Python gets, and by IEEE 754 where Python's floats raise."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import zip_longest
from typing import Any

from autograd_bp.ops import CODES, CONSTANTS, TABLE, Op
from autograd_bp.reading import Reading, rate
from autograd_bp.special import polygamma

__all__ = ["IEEE", "RULES", "careful", "carry", "domain_error", "ieee", "second_rule"]

FUNCTIONS: dict[str, Callable[..., float]] = {
    name: getattr(math, name)
    for name in (
        "acos", "asin", "atan", "atan2", "cos", "cosh", "erf", "erfc", "exp", "expm1", "floor",
        "hypot", "lgamma", "log", "log10", "log1p", "log2", "pow", "sin", "sinh", "sqrt", "tan",
        "tanh",
    )
} | {"polygamma": polygamma}  # fmt: skip
"""What the expressions call and is no row with a formula, but for ``abs``."""


# --- the fast text --------------------------------------------------------------------------------


def _make_rules() -> list[tuple[Callable[..., Any], ...]]:
    namespace: dict[str, Any] = FUNCTIONS | CONSTANTS | {"abs": abs}
    source = []
    for code, op in enumerate(TABLE):
        if op.is_nary or not op.operands:
            continue
        for mask in range(1 << len(op.operands)):
            wanted = [d for i, d in enumerate(op.d) if mask >> i & 1]
            # Outside the domain of a function of one operand, Python raises by itself.
            domain = "True" if len(op.operands) == 1 else op.domain_for(mask)
            check = f"    if not ({domain}): raise ValueError\n" if domain != "True" else ""
            source.append(
                f"def rule_{code}_{mask}({', '.join(op.operands)}):\n{check}"
                f"    y = {op.value}\n"
                f"    return {', '.join(['y', *wanted])}\n"
            )
        if op.is_function and op.name not in namespace:
            source.append(f"{op.name} = rule_{code}_0\n")  # other rows may call it
    exec("".join(source), namespace)  # the text is the table, nothing from outside
    return [
        tuple(namespace[f"rule_{code}_{mask}"] for mask in range(1 << len(op.operands)))
        if op.operands and not op.is_nary
        else ()
        for code, op in enumerate(TABLE)
    ]


RULES: list[tuple[Callable[..., Any], ...]] = _make_rules()
"""``RULES[code][mask](*operands)`` gives y alone for mask 0, else ``(y, ∂y/∂operand, …)`` for
the operands whose bits are set. They are as fast as Python gets, and raise ValueError,
ZeroDivisionError or OverflowError where `careful` must be asked."""

carry: Callable[[float, float], float] = RULES[CODES["carry"]][0]
"""A derivative times a local derivative, as the chain rule has it on paths through a graph: what
is exactly 0 carries nothing, even where the other is ±inf or NaN.

>>> carry(0.0, math.inf), carry(2.0, math.inf)
(0.0, inf)
"""


# --- IEEE 754, for the points where Python's own floats raise -------------------------------------


def careful(code: int, mask: int, operands: Sequence[float], *labels: str) -> tuple[float, ...]:
    """What ``RULES[code][mask]`` gives, by the rules of IEEE 754: overflow and a pole are ±inf.

    Raises ZeroDivisionError for a division by zero and ValueError for any other point outside
    the row's domain, naming the operation, the domain, and the operands with the ``labels``
    that they have as nodes.
    """
    op = TABLE[code]
    inside = any(math.isnan(x) for x in operands) or IEEE.domain(op, mask)(*operands)
    if not inside:
        raise domain_error(op, operands, labels)
    return ieee(code, mask, operands)


def ieee(code: int, mask: int, operands: Sequence[float]) -> tuple[float, ...]:
    """What `careful` gives, and outside the domain what IEEE 754 has there.

    Raises ValueError for a node in the place of an operand that must be constant.
    """
    op = TABLE[code]
    variable = any(d == "nan" and mask >> i & 1 for i, d in enumerate(op.d))
    if variable and not any(map(math.isnan, operands)):
        raise domain_error(op, operands)
    y = IEEE.value(op)(*operands)
    partials = IEEE.partials(op)
    return y, *(d(*operands, y) for i, d in enumerate(partials) if mask >> i & 1)


def domain_error(
    op: Op, operands: Sequence[float], labels: Sequence[str] = ()
) -> ArithmeticError | ValueError:
    """The exception for operands outside the domain of an operation."""
    got = ", ".join(
        f"{name} = {operand!r}" + (f" (node {label!r})" if label else "")
        for name, operand, label in zip_longest(op.operands, operands, labels, fillvalue="")
    )
    call = f"{op.name}({', '.join(op.operands)})"
    message = (
        f"{call if op.name.isidentifier() else f' {op.name} '.join(op.operands)} "
        f"is defined for {op.domain}; got {got}. "
        "Keep the operand inside, for instance with clip or maximum."
        + (" An exponent that is a plain number is constant." if op.name == "**" else "")
    )
    # As Python's own operators have it.
    by_zero = op.name == "/" or (op.name == "**" and operands[0] == 0)
    return ZeroDivisionError(message) if by_zero else ValueError(message)


def _total(
    function: Callable[..., float],
    beyond: Callable[..., float] = lambda *operands: math.inf,
    outside: float = math.nan,
) -> Callable[..., float]:
    """The function, with IEEE 754's answer where Python's raises."""

    def total(*operands: float) -> float:
        try:
            return function(*operands)
        except OverflowError:
            return beyond(*operands)
        except ValueError:
            return outside

    return total


def _divide(a: float, b: float) -> float:
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.inf if math.copysign(1, a) == math.copysign(1, b) else -math.inf


def _power(a: float, b: float) -> float:
    odd = b % 2 == 1  # not so for ±inf and NaN, whose remainder is NaN
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and odd else math.inf
    except ValueError:  # 0 to a negative power, or a negative number to a broken one
        return math.nan if a != 0 else math.copysign(math.inf, a) if odd else math.inf


def _left_to_right_sum(terms: Sequence[float]) -> float:
    total = 0.0  # not Python's sum, which compensates the rounding from 3.12 on
    for term in terms:
        total += term
    return total


def _maximum(terms: Sequence[float]) -> float:
    return math.nan if any(map(math.isnan, terms)) else max(terms)


IEEE = Reading(
    {name: _total(function) for name, function in FUNCTIONS.items()}
    | {
        "abs": abs,
        "div": _divide,
        "pow": _power,
        "carry_div": lambda a, b: 0.0 if a == 0 and (b == 0 or b != b) else _divide(a, b),
        "floor": lambda x: float(math.floor(x)) if math.isfinite(x) else x,
        "lgamma": _total(math.lgamma, outside=math.inf),  # where C has its poles
        "sinh": _total(math.sinh, beyond=lambda x: math.copysign(math.inf, x)),
        "sum": _left_to_right_sum,
        "max": _maximum,
        "real": float,
    }
)
"""The table in double precision as IEEE 754 has it."""


# --- how the partials change ----------------------------------------------------------------------


@cache
def second_rule(code: int, mask: int) -> Callable[..., tuple[float, ...]]:
    """How the partials of the operands in mask change, for a row without sequences.

    A function of the operands, y, the rates of those in mask, and that of y. As in `RULES`,
    the fast text is tried first and the careful reading where Python's floats raise; and where
    there is a NaN, the only trace that 0·∞ leaves.
    """
    op = TABLE[code]
    moving = [name for i, name in enumerate(op.operands) if mask >> i & 1]
    names = ", ".join([*op.operands, "y", *("t_" + name for name in moving), "t_y"])
    rates = [
        ast.unparse(rate(d, [*moving, "y"], plain=True))
        for i, d in enumerate(op.d)
        if mask >> i & 1
    ]
    found = ", ".join(f"r{i}" for i in range(len(rates)))
    namespace: dict[str, Any] = {
        row.name: RULES[CODES[row.name]][0] for row in TABLE if row.is_function
    }
    namespace |= FUNCTIONS | CONSTANTS | {"abs": abs, "careful": partial(_careful_second, op, mask)}
    exec(
        f"def rule({names}):\n"
        f"    try:\n"
        f"        {found}, = {', '.join(rates)},\n"
        f"        if {' and '.join(f'r{i} == r{i}' for i in range(len(rates)))}: return {found},\n"
        f"    except (ArithmeticError, ValueError): pass\n"
        f"    return careful({names})\n",
        namespace,
    )
    rule: Callable[..., tuple[float, ...]] = namespace["rule"]
    return rule


def _careful_second(op: Op, mask: int, *numbers: float) -> tuple[float, ...]:
    """What the rule of `second_rule` gives, by the rules of IEEE 754."""
    n = len(op.operands)
    point, moving, t_y = numbers[: n + 1], iter(numbers[n + 1 : -1]), numbers[-1]
    t = [next(moving) if mask >> i & 1 else math.nan for i in range(n)]  # NaN: not looked at
    return tuple(rule(*point, *t, t_y) for rule in IEEE.second(op, mask))
