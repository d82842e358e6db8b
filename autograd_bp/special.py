"""Special functions that Python's `math` lacks and a row of the table needs."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

__all__ = ["polygamma"]

# B₂, B₄, … B₃₀: the Bernoulli numbers of the asymptotic series (DLMF 24.2(iv)).
_BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798,
    -174611 / 330, 854513 / 138, -236364091 / 2730, 8553103 / 6, -23749461029 / 870,
    8615841276005 / 14322,
)  # fmt: skip


def polygamma(n: float, x: float) -> float:
    """ψ⁽ⁿ⁾(x), the n-th derivative of the digamma function ψ = (ln Γ)'; n = 0 … 300.

    The row of the table goes to 100, and its derivatives further; beyond 100 factorials exceed the
    floats, and terms are fractions, which takes milliseconds.

    Upward recurrence to where the asymptotic series holds (DLMF 5.15.5, 5.11.2, 5.15.8),
    reflection for x < 0 (DLMF 5.15.6). Raises ValueError for another n and at the poles 0, -1, …

    >>> round(polygamma(0, 1.0), 15)  # minus Euler's constant
    -0.577215664901533
    >>> round(polygamma(1, 1.0) * 6 / math.pi**2, 14)
    1.0
    """
    if math.isnan(n) or math.isnan(x):
        return math.nan
    if not 0 <= n <= 300 or n != int(n) or (-math.inf < x <= 0 and x == math.floor(x)):
        raise ValueError("outside the domain of polygamma")
    if x == -math.inf:  # it has no limit there
        return math.nan
    order = int(n)
    if x == math.inf:
        return math.inf if order == 0 else 0.0
    try:
        return _reflected(order, x) if x < 0 else _positive(order, x)
    except OverflowError:  # so near to a pole that the value exceeds the largest float
        return -math.inf if order % 2 == 0 and x > round(x) else math.inf


def _number(n: int) -> type[Any]:
    """The numbers to compute ψ⁽ⁿ⁾ in: beyond n = 100 factorials come near the largest float."""
    return float if n <= 100 else Fraction


def _positive(n: int, x: Any) -> float:
    """ψ⁽ⁿ⁾(x) for x > 0."""
    number = _number(n)
    x = number(x)
    sign = number(-1.0 if n % 2 == 0 else 1.0)
    factorial = math.factorial(n)
    steps = []
    while x < 16 + n:
        steps.append(sign * factorial * x ** -(n + 1))
        x += 1
    if n == 0:
        series = [math.log(x), -0.5 / x]
    else:
        half = number(0.5)
        series = [sign * math.factorial(n - 1) * x**-n, sign * factorial * half * x ** -(n + 1)]
    for k, bernoulli in enumerate(_BERNOULLI, start=1):
        coefficient = number(bernoulli) * math.factorial(2 * k + n - 1) / math.factorial(2 * k)
        series.append(sign * coefficient * x ** -(2 * k + n))
    return math.fsum(steps + series)


def _reflected(n: int, x: float) -> float:
    """ψ⁽ⁿ⁾(x) for x < 0, from ψ⁽ⁿ⁾(1 - x) and the n-th derivative of π·cot(πx)."""
    r = x - round(x)  # exact, so the tangent stays accurate far from 0 and near ±½
    cot = (
        1.0 / math.tan(math.pi * r)
        if abs(r) < 0.25
        else math.copysign(math.tan(math.pi * (0.5 - abs(r))), r)
    )
    if math.isinf(cot):  # x is subnormal: its powers would cancel to NaN
        raise OverflowError
    cot = _number(n)(cot)
    coefficients = [_number(n)(0), _number(n)(1)]  # cot itself, as a polynomial in cot
    for _ in range(n):  # d/du P(cot u) = -(1 + cot²)·P'(cot u)
        slope = [k * c for k, c in enumerate(coefficients)][1:]
        coefficients = [-(a + b) for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    derivative = math.pi ** (n + 1) * float(sum(c * cot**k for k, c in enumerate(coefficients)))
    return (-1.0 if n % 2 else 1.0) * _positive(n, 1.0 - x) - derivative
