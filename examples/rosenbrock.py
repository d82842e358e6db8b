"""Rosenbrock's valley through `scipy.optimize.minimize`, with exact derivatives.

SciPy's second-order methods want a gradient and a Hessian, or a Hessian times a vector: `grad`,
`hessian` and `hvp` are these. The function is written once, on numbers. The truths: the minimum is
at (1, …, 1), and SciPy has this very function's derivatives in closed form.

Source: H. H. Rosenbrock, An Automatic Method for Finding the Greatest or Least Value of a Function,
The Computer Journal 3 (1960); in n dimensions as `scipy.optimize.rosen`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import OptimizeResult, minimize, rosen_der, rosen_hess, rosen_hess_prod

from autograd_bp import grad, hessian, hvp, sum_of


def rosenbrock(x: Any) -> Any:
    """Σ 100 (xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)²."""
    return sum_of([100.0 * (b - a**2) ** 2 + (1.0 - a) ** 2 for a, b in pairwise(x)])


def product(x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The Hessian at x times v, without the Hessian."""
    (result,) = hvp(rosenbrock, (x,), (v,))
    return np.asarray(result)


WAYS: dict[str, dict[str, Any]] = {
    "Newton-CG, Hessian": {"method": "Newton-CG", "hess": hessian(rosenbrock)},
    "Newton-CG, products": {"method": "Newton-CG", "hessp": product},
    "trust-ncg, Hessian": {"method": "trust-ncg", "hess": hessian(rosenbrock)},
    "trust-ncg, products": {"method": "trust-ncg", "hessp": product},
}


class Outcome(NamedTuple):
    """Where a minimisation ended, and how far the derivatives were from SciPy's on its way."""

    result: OptimizeResult
    gradient_apart: float
    hessian_apart: float
    product_apart: float


def run(way: str, x0: np.ndarray) -> Outcome:
    """Minimise from x0, comparing the derivatives with SciPy's, relatively, at each iterate."""
    path = [x0]
    result = minimize(
        rosenbrock, x0, jac=grad(rosenbrock), callback=lambda x: path.append(x.copy()),
        options={"gtol" if way.startswith("trust") else "xtol": 1e-10}, **WAYS[way],
    )  # fmt: skip
    v = np.linspace(-1.0, 1.0, len(x0))
    pairs = {
        "gradient_apart": [(grad(rosenbrock)(x), rosen_der(x)) for x in path],
        "hessian_apart": [(hessian(rosenbrock)(x), rosen_hess(x)) for x in path],
        "product_apart": [(product(x, v), rosen_hess_prod(x, v)) for x in path],
    }
    return Outcome(result, **{name: max(map(_apart, both)) for name, both in pairs.items()})


def _apart(pair: tuple[np.ndarray, np.ndarray]) -> float:
    ours, truth = pair
    return float(abs(ours - truth).max() / max(1.0, abs(truth).max()))


def main(n: int = 10) -> dict[str, Outcome]:
    """Minimise in n dimensions in four ways; print each one's outcome; return them."""
    x0 = np.where(np.arange(n) % 2, 1.0, -1.2)  # Rosenbrock's start, in every other direction
    outcomes = {way: run(way, x0) for way in WAYS}
    print(f"{'':20} {'':10} {'distance to':>12} {'the same as SciPy, but for':^38}")
    print(f"{f'n = {n}':20} {'iterations':>10} {'(1, …, 1)':>12} ", end="")
    print(f"{'gradient':>12} {'Hessian':>12} {'product':>12}")
    for way, (result, *apart) in outcomes.items():
        print(f"{way:20} {result.nit:10} {abs(result.x - 1.0).max():12.1e} ", end="")
        print(" ".join(f"{a:12.1e}" for a in apart))
    return outcomes


if __name__ == "__main__":
    main()
