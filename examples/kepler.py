"""A comet's position and its derivatives, through Kepler's equation: `implicit`.

Where a body is on its orbit follows from M = E − e sin E, which no formula solves for E. Newton's
method does, on plain numbers; `implicit` adds the derivatives by the implicit function theorem, to
any order. So the position is differentiated like any other formula:

- E by M and e, twice, beside the closed forms (which have E in them);
- the position by time, three times: the first gives the speed of the vis-viva equation, the second
  Newton's law of gravity, −μ r/|r|³, that nobody told the program, the third how it changes;
- the position by the orbital elements a, e and τ (when it passes the Sun), beside closed forms.

The comet is Halley's. Lengths are in astronomical units, times in years, so μ = 4π².

Source: C. D. Murray and S. F. Dermott, Solar System Dynamics (1999), sections 2.3 and 2.4.
"""

from __future__ import annotations

import math
from typing import Any

from autograd_bp import cos, grad, hessian, implicit, jacobian, sin, sqrt

MU = 4 * math.pi**2
HALLEY = {"a": 17.834, "e": 0.96714, "tau": 1986.11}  # semi-major axis, eccentricity, perihelion


def solve(M: float, e: float) -> float:
    """E on plain numbers. From ±π, Newton's method comes ever nearer, without overshooting."""
    whole_turns = M - math.remainder(M, 2 * math.pi)
    M -= whole_turns
    E = math.copysign(math.pi, M)
    for _ in range(100):
        step = (E - e * math.sin(E) - M) / (1 - e * math.cos(E))
        E -= step
        if abs(step) < 1e-15:
            break
    return whole_turns + E


anomaly = implicit(lambda E, M, e: E - e * sin(E) - M, solve, name="Kepler")


def position(t: Any, elements: dict[str, Any]) -> list[Any]:
    """(x, y) in the plane of the orbit, the Sun at the origin and the perihelion on the x axis."""
    a, e, tau = elements["a"], elements["e"], elements["tau"]
    mean_motion = sqrt(MU / a**3)
    E = anomaly(mean_motion * (t - tau), e)
    return [a * (cos(E) - e), a * sqrt(1 - e * e) * sin(E)]


def anomaly_by_rules(M: float, e: float) -> dict[str, float]:
    """E and its derivatives to second order, by autograd-bp."""

    def of_pair(x: list[Any]) -> Any:
        return anomaly(*x)

    by_M, by_e = grad(of_pair)([M, e])
    (by_MM, by_Me), (_, by_ee) = hessian(of_pair)([M, e])
    names = ("E", "∂E/∂M", "∂E/∂e", "∂²E/∂M²", "∂²E/∂M∂e", "∂²E/∂e²")
    return dict(zip(names, (anomaly(M, e), by_M, by_e, by_MM, by_Me, by_ee), strict=True))


def anomaly_by_hand(M: float, e: float) -> dict[str, float]:
    """The same by the closed forms, with E by bisection."""
    low, high = M - e, M + e  # as |E − M| = e |sin E| ≤ e
    while low < (middle := (low + high) / 2) < high:
        if middle - e * math.sin(middle) < M:
            low = middle
        else:
            high = middle
    E, s, c = middle, math.sin(middle), math.cos(middle)
    d = 1 - e * c
    return {
        "E": E,
        "∂E/∂M": 1 / d,
        "∂E/∂e": s / d,
        "∂²E/∂M²": -e * s / d**3,
        "∂²E/∂M∂e": (c - e * s * s / d) / d**2,
        "∂²E/∂e²": s * (2 * c - e * s * s / d) / d**2,
    }


def motion_by_rules(t: float, elements: dict[str, float]) -> dict[str, float]:
    """Speed, acceleration and jerk, and the position by the elements, by autograd-bp."""

    def by_time(k: int) -> Any:
        """The k-th derivative of the position: a function of the time."""
        if k == 0:
            return lambda t: position(t, elements)
        return jacobian(by_time(k - 1))

    by_elements = jacobian(position, argnums=1)(t, elements)
    named = {"speed": math.hypot(*by_time(1)(t))}
    for k, what in ((2, "acceleration"), (3, "jerk")):
        named |= {f"{what}, {axis}": d for axis, d in zip("xy", by_time(k)(t), strict=True)}
    for axis, row in zip("xy", by_elements, strict=True):
        named |= {f"∂{axis}/∂{element}": row[element] for element in elements}
    return named


def motion_by_hand(t: float, elements: dict[str, float]) -> dict[str, float]:
    """The same by physics and the closed forms."""
    a, e, tau = (elements[name] for name in ("a", "e", "tau"))
    n = math.sqrt(MU / a**3)
    E = anomaly_by_hand(n * (t - tau), e)["E"]
    s, c, b = math.sin(E), math.cos(E), math.sqrt(1 - e * e)
    d = 1 - e * c
    x, y, r = a * (c - e), a * b * s, a * d
    vx, vy = -a * s * n / d, a * b * c * n / d  # d/dt of x and y, as dE/dt = n/(1 − e cos E)
    towards = 3 * (x * vx + y * vy) / r**2
    return {
        "speed": math.sqrt(MU * (2 / r - 1 / a)),
        "acceleration, x": -MU * x / r**3,
        "acceleration, y": -MU * y / r**3,
        "jerk, x": -MU / r**3 * (vx - towards * x),
        "jerk, y": -MU / r**3 * (vy - towards * y),
        "∂x/∂a": x / a - 1.5 * vx * (t - tau) / a,
        "∂x/∂e": -a * s * s / d - a,
        "∂x/∂tau": -vx,
        "∂y/∂a": y / a - 1.5 * vy * (t - tau) / a,
        "∂y/∂e": a * (b * c * s / d - e * s / b),
        "∂y/∂tau": -vy,
    }


def main(t: float = 1987.0, elements: dict[str, float] = HALLEY) -> dict[str, tuple[float, float]]:
    """Print each derivative beside its truth; return the pairs."""
    n = math.sqrt(MU / elements["a"] ** 3)
    M, e = n * (t - elements["tau"]), elements["e"]
    ours = anomaly_by_rules(M, e) | motion_by_rules(t, elements)
    truth = anomaly_by_hand(M, e) | motion_by_hand(t, elements)
    print(f"Halley's comet in {t:.2f}, M = {M:.6f}, e = {e}")
    print(f"{'':16} {'through implicit':>20} {'by hand':>20} {'difference':>12}")
    for name in truth:
        difference = ours[name] - truth[name]
        print(f"{name:16} {ours[name]:20.12f} {truth[name]:20.12f} {difference:12.1e}")
    return {name: (ours[name], truth[name]) for name in truth}


if __name__ == "__main__":
    main()
