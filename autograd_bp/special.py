"""Functions that Python's `math` lacks and a row of the table needs; special.h has them in C."""

from __future__ import annotations

import math
from pathlib import Path

__all__ = ["HEADER", "polygamma"]

HEADER = Path(__file__).with_name("special.h")

# B₂, B₄, … B₃₀: the Bernoulli numbers of the asymptotic series (DLMF 24.2(iv)).
_BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798,
    -174611 / 330, 854513 / 138, -236364091 / 2730, 8553103 / 6, -23749461029 / 870,
    8615841276005 / 14322,
)  # fmt: skip


def polygamma(n: float, x: float) -> float:
    """ψ⁽ⁿ⁾(x), the n-th derivative of the digamma function ψ = (ln Γ)'; n = 0 … 300.

    The row of the table goes to 100, and its derivatives further. Upward recurrence to where the
    asymptotic series holds (DLMF 5.15.5, 5.11.2, 5.15.8), reflection for x < 0 (DLMF 5.15.6).
    Raises ValueError for another n and at the poles 0, -1, …

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
        if order > 100:
            return _scaled(order, x)
        return _reflected(order, x) if x < 0 else _positive(order, x)
    except OverflowError:  # so near to a pole that the value exceeds the largest float
        return -math.inf if order % 2 == 0 and x > round(x) else math.inf


def _positive(n: int, x: float) -> float:
    """ψ⁽ⁿ⁾(x) for x > 0."""
    sign = -1.0 if n % 2 == 0 else 1.0
    factorial = math.factorial(n)
    terms = []
    while x < 16 + n:
        terms.append(sign * factorial * x ** -(n + 1))
        x += 1
    if n == 0:
        terms += [math.log(x), -0.5 / x]
    else:
        terms += [sign * math.factorial(n - 1) * x**-n, sign * factorial * 0.5 * x ** -(n + 1)]
    for k, bernoulli in enumerate(_BERNOULLI, start=1):
        coefficient = bernoulli * math.factorial(2 * k + n - 1) / math.factorial(2 * k)
        terms.append(sign * coefficient * x ** -(2 * k + n))
    return math.fsum(terms)


def _reflected(n: int, x: float) -> float:
    """ψ⁽ⁿ⁾(x) for x < 0, from ψ⁽ⁿ⁾(1 - x) and the n-th derivative of π·cot(πx)."""
    r = x - round(x)  # exact, so the tangent stays accurate far from 0 and near ±½
    cot = (
        1.0 / math.tan(math.pi * r)
        if abs(r) < 0.25
        else math.copysign(math.tan(math.pi * (0.5 - abs(r))), r)
    )
    coefficients = [0.0, 1.0]  # cot itself, as a polynomial in cot
    for _ in range(n):  # d/du P(cot u) = -(1 + cot²)·P'(cot u)
        slope = [k * c for k, c in enumerate(coefficients)][1:]
        coefficients = [-(a + b) for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    total = 0.0
    for k in range((n + 1) % 2, n + 2, 2):  # the others are 0
        total += coefficients[k] * cot**k
    derivative = math.pi ** (n + 1) * total
    return (-1.0 if n % 2 else 1.0) * _positive(n, 1.0 - x) - derivative


def _scaled(n: int, x: float) -> float:
    """ψ⁽ⁿ⁾(x) for n > 100, where factorials come near the largest float.

    (-1)ⁿ⁺¹ n!·Σ 1/(x + k)ⁿ⁺¹, as a multiple of n!/dⁿ⁺¹, d the distance to the nearest pole. Poles
    further off than 16 + n add nothing.
    """
    away = x if x > 0 else x - round(x)
    d = abs(away)
    k = 0 if x > 0 else max(round(x), -16 - n)
    terms = []
    while away + k < 16 + n:
        terms.append((d / (away + k)) ** (n + 1))
        k += 1
    x = away + k
    term = d / n * (d / x) ** n
    terms += [term, term * n * 0.5 / x]
    for k, bernoulli in enumerate(_BERNOULLI, start=1):
        term *= (2 * k + n - 2) / x * ((2 * k + n - 1) / x) / (2 * k * (2 * k - 1))
        terms.append(bernoulli * term)
    y = (-1.0 if n % 2 == 0 else 1.0) * math.fsum(terms) / d
    for k in range(1, n + 1):
        y *= k / d
    return y
