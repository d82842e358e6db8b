"""Hamiltonian Monte Carlo on the eight schools, the gradient by `value_and_grad`.

Eight schools coached their pupils for a test; school j gained y_j points, with standard error σ_j.
How large is the effect μ of coaching, and how much do schools differ (τ)? The usual model is

    y_j ~ N(θ_j, σ_j²),   θ_j = μ + τ z_j,   z_j ~ N(0, 1),   μ ~ N(0, 5²),   τ ~ half-Cauchy(5),

written with z_j in place of θ_j so that the posterior has no funnel. The sampler needs the
gradient of its log density and nothing else from it. ArviZ judges the draws: R̂ near 1 says that
the chains agree, ESS how many independent draws these are worth.

Two truths. Given τ the model is Gaussian, so the posterior means are integrals over τ alone, done
here by quadrature; posteriordb's reference draws give the same to their Monte Carlo error. And the
gradient has a short closed form, in NumPy.

Sources: D. B. Rubin, Estimation in Parallel Randomized Experiments, Journal of Educational
Statistics 6 (1981), table 1; R. M. Neal, MCMC Using Hamiltonian Dynamics, Handbook of Markov Chain
Monte Carlo (2011), section 5.3; M. Magnusson et al., posteriordb, posterior
eight_schools-eight_schools_noncentered.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import arviz as az
import numpy as np

from autograd_bp import exp, grad, log1p, sum_of, value_and_grad

EFFECT = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)  # y, points
ERROR = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)  # σ
POSTERIORDB = {"μ": 4.41, "τ": 3.60}  # means, each with a Monte Carlo error of 0.03


def log_density(q: Any) -> Any:
    """Of q = (μ/5, log τ, z_1 … z_8), up to a constant: coordinates of about unit scale."""
    m, log_tau, *z = q
    mu, tau = 5.0 * m, exp(log_tau)
    prior = sum_of([m * m, *(zj * zj for zj in z)]) * -0.5 - log1p((tau / 5.0) ** 2)
    residuals = [(y - (mu + tau * zj)) / s for y, zj, s in zip(EFFECT, z, ERROR, strict=True)]
    # The last term is the Jacobian of the change of variable from τ to log τ.
    return prior - 0.5 * sum_of([r * r for r in residuals]) + log_tau


def gradient_by_hand(q: np.ndarray) -> np.ndarray:
    """The gradient of `log_density`, worked out on paper."""
    m, tau, z = q[0], math.exp(q[1]), q[2:]
    pull = (np.array(EFFECT) - 5.0 * m - tau * z) / np.square(ERROR)
    by_log_tau = tau * (pull @ z) - 2.0 * tau**2 / (25.0 + tau**2) + 1.0
    return np.array([5.0 * pull.sum() - m, by_log_tau, *(tau * pull - z)])


def means_by_quadrature() -> dict[str, float]:
    """Posterior means by the trapezoidal rule over log τ, all else integrated on paper."""
    y, s = np.array(EFFECT), np.array(ERROR)
    log_tau = np.linspace(-15.0, 15.0, 6001)
    tau = np.exp(log_tau)
    variance = s**2 + tau[:, None] ** 2  # of y_j, given μ and τ
    precision = 1 / 25.0 + (1 / variance).sum(axis=1)  # of μ, given τ and y
    mu = (y / variance).sum(axis=1) / precision
    log_p = log_tau - np.log1p((tau / 5.0) ** 2) - 0.5 * np.log(precision)
    log_p += 0.5 * precision * mu**2 - 0.5 * (np.log(variance) + y**2 / variance).sum(axis=1)
    p = np.exp(log_p - log_p.max())
    return {"μ": float(p @ mu / p.sum()), "τ": float(p @ tau / p.sum())}


def sample(draws: int, warmup: int, seed: int, step: float = 0.3) -> tuple[np.ndarray, float]:
    """One chain: draws of q, shape (draws, 10), and the mean probability of acceptance."""
    rng = np.random.default_rng(seed)
    energy_and_force = value_and_grad(log_density)
    q = rng.normal(size=10)
    value, force = energy_and_force(q)
    kept, accepted = [], 0.0
    for i in range(warmup + draws):
        momentum = rng.normal(size=10)
        new_q, new_value, new_force = q, value, force
        new_momentum = momentum + step / 2 * force
        for _ in range(rng.integers(4, 12)):  # a fixed number could go round in circles
            new_q = new_q + step * new_momentum
            new_value, new_force = energy_and_force(new_q)
            new_momentum = new_momentum + step * new_force
        new_momentum = new_momentum - step / 2 * new_force
        gain = new_value - value - (new_momentum @ new_momentum - momentum @ momentum) / 2
        probability = math.exp(min(0.0, gain))
        if rng.random() < probability:
            q, value, force = new_q, new_value, new_force
        if i >= warmup:
            kept.append(q)
            accepted += probability / draws
    return np.array(kept), accepted


class Estimate(NamedTuple):
    """Of one posterior mean: by the draws, its Monte Carlo error, by quadrature; R̂ and ESS."""

    mean: float
    error: float
    truth: float
    rhat: float
    ess: float


def main(chains: int = 4, draws: int = 2000, warmup: int = 200) -> dict[str, Estimate]:
    """Sample; print the posterior means of μ and τ beside the truths; return the estimates."""
    points = np.random.default_rng(0).normal(size=(20, 10))
    apart = max(abs(grad(log_density)(q) - gradient_by_hand(q)).max() for q in points)
    print(f"at {len(points)} points the gradient and its closed form differ by {apart:.1e} at most")

    runs = [sample(draws, warmup, seed) for seed in range(chains)]
    accepted = np.mean([probability for _, probability in runs])
    print(f"{chains} chains of {draws} draws, accepted with probability {accepted:.2f}\n")
    q = np.array([kept for kept, _ in runs])  # chain, draw, coordinate
    truth = means_by_quadrature()
    judges: list[Any] = [az.mcse, az.rhat, az.ess]
    estimates = {}
    print(f"  {'draws':>8} {'±':>6} {'quadrature':>12} {'posteriordb':>12} {'R̂':>8} {'ESS':>6}")
    for name, x in {"μ": 5.0 * q[:, :, 0], "τ": np.exp(q[:, :, 1])}.items():
        judged = [float(judge(x)) for judge in judges]
        estimates[name] = e = Estimate(float(x.mean()), judged[0], truth[name], *judged[1:])
        print(
            f"{name} {e.mean:8.3f} {e.error:6.3f} {e.truth:12.3f} {POSTERIORDB[name]:12.2f} "
            f"{e.rhat:8.4f} {e.ess:6.0f}"
        )
    return estimates


if __name__ == "__main__":
    main()
