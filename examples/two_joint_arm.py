"""Where must the joints of an arm turn, for its hand to be there? Newton's method, exactly.

A planar arm has two links. The position of its hand is a formula in the two joint angles; to
invert it, Newton's method solves p(q) = target with the exact Jacobian from `jacobian`. The hand
follows a circle, each step beginning where the last one ended. The truth is the closed form by
the law of cosines, and the errors of the last iterations show quadratic convergence.

Source: J. J. Craig, Introduction to Robotics, 3rd edition (2005), section 4.4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from autograd_bp import cos, jacobian, sin

LINKS = (1.0, 0.7)  # metres


def hand(q: Sequence[Any], links: Sequence[float] = LINKS) -> list[Any]:
    """(x, y) of the hand, for the angles of the shoulder and of the elbow, in radians."""
    (a, b), (shoulder, elbow) = links, q
    return [
        a * cos(shoulder) + b * cos(shoulder + elbow),
        a * sin(shoulder) + b * sin(shoulder + elbow),
    ]


class Solution(NamedTuple):
    """The angles, and how far the hand was from the target before each iteration and after."""

    q: list[float]
    errors: list[float]


def newton(
    target: Sequence[float], start: Sequence[float], links: Sequence[float] = LINKS
) -> Solution:
    """Angles that take the hand to the target, from those in ``start``; ValueError if none."""
    q = list(start)
    errors = []
    for _ in range(50):
        x, y = hand(q, links)
        dx, dy = target[0] - x, target[1] - y
        errors.append(math.hypot(dx, dy))
        if errors[-1] < 1e-12 * sum(links):
            return Solution(q, errors)
        (a, b), (c, d) = jacobian(hand)(q, links)
        determinant = a * d - b * c  # 0 for a straight arm, which can move one way only
        q[0] += (d * dx - b * dy) / determinant
        q[1] += (a * dy - c * dx) / determinant
    nearest, farthest = abs(links[0] - links[1]), sum(links)
    raise ValueError(
        f"no angles found for the target {tuple(target)}, at a distance of {math.hypot(*target)}; "
        f"the arm reaches from {nearest} to {farthest}. Start nearer to the solution."
    )


def closed_form(
    target: Sequence[float], bend: float, links: Sequence[float] = LINKS
) -> list[float]:
    """The same by the law of cosines; ``bend`` is the sign of the elbow's angle."""
    (a, b), (x, y) = links, target
    elbow = math.copysign(math.acos((x * x + y * y - a * a - b * b) / (2 * a * b)), bend)
    shoulder = math.atan2(y, x) - math.atan2(b * math.sin(elbow), a + b * math.cos(elbow))
    return [shoulder, elbow]


def turn(a: float, b: float) -> float:
    """From angle b to angle a, the short way round."""
    return math.remainder(a - b, 2 * math.pi)


def main(points: int = 12) -> list[tuple[Solution, list[float]]]:
    """Follow a circle; print each pose beside its closed form; return both."""
    q = [-0.2, 1.3]  # elbow up: the hand starts on the right
    poses = []
    print("     target           shoulder      elbow   Newton − closed form   errors of the hand")
    for k in range(points):
        phase = 2 * math.pi * k / points
        target = (0.9 + 0.4 * math.cos(phase), 0.5 + 0.4 * math.sin(phase))
        solution = newton(target, q)
        q, truth = solution.q, closed_form(target, bend=1.0)
        poses.append((solution, truth))
        difference = max(abs(turn(a, b)) for a, b in zip(q, truth, strict=True))
        errors = " ".join(f"{error:.0e}" for error in solution.errors)
        print(
            f"{target[0]:8.4f} {target[1]:8.4f} {q[0]:12.6f} {q[1]:10.6f} "
            f"{difference:22.1e}   {errors}"
        )
    return poses


if __name__ == "__main__":
    main()
