"""What is differentiated: small functions, written once for this package and once for mpmath.

Verbs are linear in the function that they act on, with constant coefficients. So what a verb, and
any tower of them, computes is a sum of partial derivatives of the function at the bottom, and its
truth is mpmath's differences of that function: nothing of the engine has a part in it.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp

import autograd_bp as ab

Polynomial = dict[tuple[int, ...], float]
"""A sum of partial derivatives: the coefficient of each, by how often each number is derived."""


class Function(NamedTuple):
    """``ours`` and ``true`` take numbers; ``a`` and ``b`` are two points, on the two sides of a
    branch. With ``as_list`` it is given its numbers in a list, else one by one."""

    name: str
    ours: Callable[..., Any]
    true: Callable[..., Any]
    a: tuple[float, ...]
    b: tuple[float, ...]
    as_list: bool = False

    def __reduce__(self):
        # A function that closes over this one is pickled in some cells. What mpmath hangs on
        # would be copied, and mpmath is broken by that.
        return _named, (self.name,)


def _named(name):
    return next(function for function in FUNCTIONS if function.name == name)


def _dot(w, x):
    return mp.fsum(p * q for p, q in zip(w, x, strict=True))


FUNCTIONS = [
    Function("x·y²", lambda x, y: x * y**2, lambda x, y: x * y**2, (2.0, 3.0), (-1.5, 0.5)),
    Function(
        "sin x·eʸ",
        lambda x, y: ab.sin(x) * ab.exp(y),
        lambda x, y: mp.sin(x) * mp.exp(y),
        (0.5, 0.25),
        (2.0, -0.75),
    ),
    Function(
        "where x > y",
        lambda x, y: ab.where(x > y, x**3 * y**2, ab.cos(x * y) * y),
        lambda x, y: x**3 * y**2 if x > y else mp.cos(x * y) * y,
        (1.25, 0.75),
        (-1.5, 0.25),
    ),
    Function(
        "LSE·dot",
        lambda p, q, r, s: ab.logsumexp([p, q, r]) * ab.dot([p, q], [r, s]),
        lambda p, q, r, s: mp.log(mp.exp(p) + mp.exp(q) + mp.exp(r)) * _dot([p, q], [r, s]),
        (0.5, -1.0, 0.75, 2.0),
        (1.5, 0.25, -0.5, 1.0),
        as_list=True,
    ),
    Function(
        "norm·tanh",
        lambda p, q, r, s: ab.norm([p, q + s]) * ab.tanh(r * s) + p * r,
        lambda p, q, r, s: mp.sqrt(p * p + (q + s) ** 2) * mp.tanh(r * s) + p * r,
        (0.75, 1.0, 0.5, -0.25),
        (-1.25, 0.5, 1.5, 0.75),
        as_list=True,
    ),
]  # fmt: skip


# --- the truth -----------------------------------------------------------------------------------


@cache
def partial(true, at, orders):
    """A partial derivative, by differences in mpmath's arithmetic, of many digits."""
    with mp.workdps(40):
        point = tuple(map(mp.mpf, at))
        return float(mp.diff(true, point, orders) if any(orders) else true(*point))


def value_of(polynomial, true, at):
    """What a sum of partial derivatives is at a point."""
    return math.fsum(c * partial(true, at, orders) for orders, c in polynomial.items())


def plus(*several):
    """The sum of polynomials, each with a factor: ``plus((1, p), (-2, q))``."""
    found: Polynomial = {}
    for factor, polynomial in several:
        for orders, c in polynomial.items():
            found[orders] = found.get(orders, 0.0) + factor * c
    return {orders: c for orders, c in found.items() if c}


def times(p, q):
    """One after the other."""
    return plus(
        *((c * d, {tuple(map(sum, zip(i, j, strict=True))): 1.0})
          for (i, c), (j, d) in itertools.product(p.items(), q.items()))
    )  # fmt: skip


def unit(n, *derived):
    """The derivative by each of these variables, of n; without one, the function itself."""
    return {tuple(derived.count(i) for i in range(n)): 1.0}


# --- trees of numbers ----------------------------------------------------------------------------


def flat(tree):
    """The numbers of lists, tuples and arrays."""
    if isinstance(tree, np.ndarray):
        tree = tree.ravel().tolist() if tree.ndim else [tree.item()]
    if isinstance(tree, (list, tuple)):
        return [x for part in tree for x in flat(part)]
    return [tree]


def weights(n: int) -> Sequence[float]:
    """Numbers of either sign, no two alike, to tell the parts of a sum by."""
    return [(1.0 + i / 4) * (-1) ** i for i in range(n)]


def weighted(tree):
    numbers = flat(tree)
    return sum(w * x for w, x in zip(weights(len(numbers)), numbers, strict=True))
