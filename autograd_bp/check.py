"""check_grads: hold the derivatives of any function against finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from autograd_bp.transforms import jacobian, jvp, vjp
from autograd_bp.trees import Flat, flatten
from autograd_bp.value import Number, Value

__all__ = ["check_grads"]


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("rev", "fwd"),
    rtol: float = 1e-6,
    atol: float = 1e-6,
) -> None:
    """Raise AssertionError unless f's derivatives at ``args`` agree with finite differences.

    Every entry of the Jacobian is compared, in reverse (``"rev"``) and forward (``"fwd"``)
    mode; for order k those of f's derivatives up to the k-th. The differences are central, of
    steps h = 10⁻³·max(1, |x|) and h/2, extrapolated (Richardson), which leaves an error of order
    h⁴. The message names the argument, the two numbers and the step. ``args`` holds f's n numbers
    in a tuple or list of arguments. Costs 4n calls of f, and a sweep for each of its outputs in
    reverse and each of its n inputs in forward mode; for order k, nᵏ⁻¹ times that.

    >>> import autograd_bp as ab
    >>> check_grads(lambda x: ab.exp(x[0]) * x[1], ([0.5, 2.0],), order=3)
    >>> wrong = ab.custom(lambda x: x * x, lambda x: 3 * x, name="square")
    >>> check_grads(wrong, (2.0,), order=1)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: ∂(output 0)/∂args[0] by reverse mode is 6.0, by central differences ...
    """
    if order < 1:
        raise ValueError(f"order must be 1 or more, got {order}")
    if not modes or not set(modes) <= {"rev", "fwd"}:
        raise ValueError(f'modes must be "rev", "fwd" or both, got {modes!r}')
    if not isinstance(args, (tuple, list)):
        raise TypeError(
            f"args must be a tuple or list of f's arguments, got {args!r}; write (args,) for one"
        )
    inputs = flatten(list(args), "args")
    names = inputs.names("args")
    _check(f, inputs, names, order, modes, rtol, atol, "output")


def _check(
    f: Callable[..., Any],
    inputs: Flat,
    names: list[str],
    order: int,
    modes: Sequence[str],
    rtol: float,
    atol: float,
    what: str,
) -> None:
    def outputs(x: list[Any]) -> list[Any]:
        return flatten(f(*inputs.build(x)), "the result of f").numbers

    point = [_plain(x) for x in inputs.numbers]
    differences = [_difference(outputs, point, i) for i in range(len(point))]
    for mode in modes:
        if mode == "rev":
            results, pull_back = vjp(outputs, point)
            rows = [pull_back(unit)[0] for unit in _units(len(results))]
            columns = [[_plain(row[i]) for row in rows] for i in range(len(point))]
        else:
            moved = [jvp(outputs, (point,), (unit,))[1] for unit in _units(len(point))]
            columns = [[_plain(d) for d in column] for column in moved]
        for i, (exact, (estimate, step)) in enumerate(zip(columns, differences, strict=True)):
            for j, (d, e) in enumerate(zip(exact, estimate, strict=True)):
                # An infinity is within any tolerance of itself, but no derivative.
                if not (math.isfinite(d) and abs(d - e) <= atol + rtol * max(abs(d), abs(e))):
                    raise AssertionError(
                        f"∂({what} {j})/∂{names[i]} by {'reverse' if mode == 'rev' else 'forward'} "
                        f"mode is {d!r}, by central differences {e!r} (step {step:.3g}, at "
                        f"{names[i]} = {point[i]!r}, rtol={rtol}, atol={atol})"
                    )
    if order > 1:

        def derivatives(*x: Any) -> list[Any]:
            rows = jacobian(lambda flat: flatten(f(*inputs.build(flat)), "f").numbers)(
                flatten(list(x), "args").numbers
            )
            return [d for row in rows for d in row]

        _check(derivatives, inputs, names, order - 1, modes, rtol, atol, f"derivative of {what}")


def _plain(x: Number) -> float:
    return x.data if isinstance(x, Value) else x


def _units(n: int) -> list[list[float]]:
    return [[float(i == j) for j in range(n)] for i in range(n)]


def _difference(
    outputs: Callable[[list[Any]], list[Any]], point: Sequence[Any], i: int
) -> tuple[list[float], float]:
    step = 1e-3 * max(1.0, abs(point[i]))

    def central(h: float) -> list[float]:
        above, below = ([*point[:i], point[i] + s * h, *point[i + 1 :]] for s in (1, -1))
        pairs = zip(outputs(above), outputs(below), strict=True)
        return [(_plain(a) - _plain(b)) / (2 * h) for a, b in pairs]

    coarse, fine = central(step), central(step / 2)
    return [(4 * b - a) / 3 for a, b in zip(coarse, fine, strict=True)], step
