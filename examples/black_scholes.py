"""The Black–Scholes price and all of its Greeks to second order, by `grad` and `hessian`.

The price is a formula in four market variables. Its four first derivatives and ten second
ones are the Greeks; traders write each down as a closed form of its own, and those are the truth
here. As a last check, the Greeks satisfy the differential equation that the price comes from.

Sources: F. Black and M. Scholes, The Pricing of Options and Corporate Liabilities, Journal of
Political Economy 81 (1973), equation (13); E. G. Haug, The Complete Guide to Option Pricing
Formulas, 2nd edition (2007), chapter 2. No dividends.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from autograd_bp import erfc, exp, grad, hessian, log, sqrt

Market = dict[str, Any]
"""S: the price of the share; sigma: its volatility; t: today, in years; r: the interest rate."""

MARKET: Market = {"S": 100.0, "sigma": 0.25, "t": 0.0, "r": 0.03}

# Which derivative of the price each Greek is. Those in t are per year that passes.
GREEKS = {
    "delta": ("S",),
    "vega": ("sigma",),
    "theta": ("t",),
    "rho": ("r",),
    "gamma": ("S", "S"),
    "vanna": ("S", "sigma"),
    "charm": ("S", "t"),
    "∂²V/∂S∂r": ("S", "r"),
    "volga": ("sigma", "sigma"),
    "veta": ("sigma", "t"),
    "vera": ("sigma", "r"),
    "∂²V/∂t²": ("t", "t"),
    "∂²V/∂t∂r": ("t", "r"),
    "∂²V/∂r²": ("r", "r"),
}


class Option(NamedTuple):
    """The right to buy a share (call) or to sell it (put) for ``strike`` at time ``expiry``."""

    kind: str = "call"
    strike: float = 110.0
    expiry: float = 0.75

    @property
    def sign(self) -> float:
        """+1 for a call, −1 for a put: the formulas differ in nothing else."""
        return {"call": 1.0, "put": -1.0}[self.kind]


def normal_cdf(x: Any) -> Any:
    """Φ(x), by erfc, which keeps its digits far out on the left."""
    return 0.5 * erfc(-x / math.sqrt(2.0))


def price(market: Market, option: Option) -> Any:
    """V = ±(S Φ(±d₁) − K e^(−rτ) Φ(±d₂)), with τ years left."""
    S, sigma, r = market["S"], market["sigma"], market["r"]
    left = option.expiry - market["t"]
    d1 = (log(S / option.strike) + (r + sigma**2 / 2) * left) / (sigma * sqrt(left))
    d2 = d1 - sigma * sqrt(left)
    s, K = option.sign, option.strike
    return s * (S * normal_cdf(s * d1) - K * exp(-r * left) * normal_cdf(s * d2))


def greeks(market: Market, option: Option) -> dict[str, float]:
    """All Greeks from two calls: `grad` and `hessian` return dicts like ``market``."""
    first = grad(price)(market, option)
    second = hessian(price)(market, option)
    return {
        name: first[by[0]] if len(by) == 1 else second[by[0]][by[1]] for name, by in GREEKS.items()
    }


def closed_forms(market: Market, option: Option) -> dict[str, float]:
    """The same by the textbook's formula for each."""
    S, v, t, r = (market[name] for name in ("S", "sigma", "t", "r"))
    s, K, T = option.sign, option.strike, option.expiry - t
    root = math.sqrt(T)
    d1 = (math.log(S / K) + (r + v * v / 2) * T) / (v * root)
    d2 = d1 - v * root
    # How d₁ and d₂ change as the time that is left grows.
    d1_T = r / (v * root) - d2 / (2 * T)
    d2_T = d1_T - v / (2 * root)
    phi = math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
    bond = K * math.exp(-r * T)
    bond_phi = bond * math.exp(-d2 * d2 / 2) / math.sqrt(2 * math.pi)
    N1, N2 = (math.erfc(-s * d / math.sqrt(2)) / 2 for d in (d1, d2))
    vega = S * phi * root
    rho = s * T * bond * N2
    return {
        "delta": s * N1,
        "vega": vega,
        "theta": -S * phi * v / (2 * root) - s * r * bond * N2,
        "rho": rho,
        "gamma": phi / (S * v * root),
        "vanna": -phi * d2 / v,
        "charm": -phi * d1_T,
        "∂²V/∂S∂r": phi * root / v,
        "volga": vega * d1 * d2 / v,
        "veta": vega * (r * d1 / (v * root) - (1 + d1 * d2) / (2 * T)),
        "vera": -T * bond_phi * d1 / v,
        "∂²V/∂t²": -S * phi * v / (2 * root) * (d1 * d1_T + 1 / (2 * T))
        + r * (bond_phi * d2_T - s * r * bond * N2),
        "∂²V/∂t∂r": s * bond * N2 * (r * T - 1) - T * bond_phi * d2_T,
        "∂²V/∂r²": -T * rho + T * root * bond_phi / v,
    }


def equation(market: Market, option: Option, greek: dict[str, float]) -> float:
    """∂V/∂t + ½σ²S² ∂²V/∂S² + rS ∂V/∂S − rV: zero for any option's price."""
    S, v, r = market["S"], market["sigma"], market["r"]
    spread = greek["theta"] + v**2 * S**2 / 2 * greek["gamma"]
    return float(spread + r * S * greek["delta"] - r * price(market, option))


def main(market: Market = MARKET) -> dict[str, dict[str, tuple[float, float]]]:
    """Print every Greek of a call and of a put beside its closed form; return the pairs."""
    result = {}
    for kind in ("call", "put"):
        option = Option(kind)
        ours, truth = greeks(market, option), closed_forms(market, option)
        result[kind] = {name: (ours[name], truth[name]) for name in GREEKS}
        print(f"\n{kind}: {price(market, option):.6f}")
        print(f"{'Greek':10} {'by autograd-bp':>18} {'closed form':>18} {'difference':>12}")
        for name, (a, b) in result[kind].items():
            print(f"{name:10} {a:18.12f} {b:18.12f} {a - b:12.1e}")
        print(f"the differential equation is satisfied to {equation(market, option, ours):.1e}")
    return result


if __name__ == "__main__":
    main()
