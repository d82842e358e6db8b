"""check_grads: hold the derivatives of any function against finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from numbers import Real
from typing import Any, NamedTuple

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
    step: float | None = None,
) -> None:
    """Raise AssertionError unless f's derivatives at ``args`` agree with finite differences.

    Every entry of the Jacobian is compared, in reverse (``"rev"``) and forward (``"fwd"``)
    mode; for order k those of f's derivatives up to the k-th. ``args`` holds f's n numbers in a
    tuple or list of arguments.

    The differences are central, of shrinking steps, extrapolated (Ridders) until they agree; they
    come with an error of their own, which is allowed for. Steps begin at 10⁻³·max(1, |x|), or at
    ``step``; where f bends too much for them, is too flat, or ends, others follow, down to what
    rounding permits. At the edge of f's domain they are one-sided. So a right derivative passes,
    unless there is a kink within the smallest steps, and a wrong one is found where f can be
    computed precisely enough to tell. The message names the argument, the numbers and the step.

    Costs about 6n calls of f where it is smooth, up to 100n where it is not, and a sweep for each
    of its outputs in reverse and each of its n inputs in forward mode; for order k, nᵏ⁻¹ times
    that.

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
    if step is not None and not (isinstance(step, Real) and 0.0 < step < math.inf):
        raise ValueError(f"step must be None or a finite number above 0, got {step!r}")
    if not isinstance(args, (tuple, list)):
        raise TypeError(
            f"args must be a tuple or list of f's arguments, got {args!r}; write (args,) for one"
        )
    inputs = flatten(list(args), "args")
    names = inputs.names("args")
    tolerance = Tolerance(rtol, atol, None if step is None else float(step))
    _check(f, inputs, names, order, modes, tolerance, "output")


class Tolerance(NamedTuple):
    """How far a derivative may be from a difference, and with which step differences begin."""

    rtol: float
    atol: float
    step: float | None


class Estimate(NamedTuple):
    """A derivative by differences, how far off it may be, the step and with which they began.

    And the size of the two numbers whose difference it is.
    """

    number: float
    error: float
    step: float
    begin: float
    is_central: bool
    size: float = 0.0


def _check(
    f: Callable[..., Any],
    inputs: Flat,
    names: list[str],
    order: int,
    modes: Sequence[str],
    tolerance: Tolerance,
    what: str,
) -> None:
    def outputs(x: list[Any]) -> list[Any]:
        return flatten(f(*inputs.build(x)), "the result of f").numbers

    point = [_plain(x) for x in inputs.numbers]
    found: dict[str, list[list[float]]] = {}  # by mode, for each input: ∂ each output
    for mode in modes:
        if mode == "rev":
            results, pull_back = vjp(outputs, point)
            rows = [pull_back(unit)[0] for unit in _units(len(results))]
            found[mode] = [[_plain(row[i]) for row in rows] for i in range(len(point))]
        else:
            moved = [jvp(outputs, (point,), (unit,))[1] for unit in _units(len(point))]
            found[mode] = [[_plain(d) for d in column] for column in moved]

    def numbers(x: list[float]) -> list[float]:
        # On Values, as the derivatives are: Python's own powers leave the real numbers. And with
        # their graph: f may differentiate itself.
        return [_plain(y) for y in outputs([Value(number) for number in x])]

    for i, name in enumerate(names):
        for mode, j, d, e in _disagreeing(numbers, point, i, found, tolerance):
            kind = "central" if e.is_central else "one-sided"
            raise AssertionError(
                f"∂({what} {j})/∂{name} by {'reverse' if mode == 'rev' else 'forward'} mode is "
                f"{d!r}, by {kind} differences {e.number!r} ± {e.error:.1g} (step {e.begin:.3g}, "
                f"at {name} = {point[i]!r}, rtol={tolerance.rtol}, atol={tolerance.atol})"
            )
    if order > 1:

        def derivatives(*x: Any) -> list[Any]:
            rows = jacobian(lambda flat: flatten(f(*inputs.build(flat)), "f").numbers)(
                flatten(list(x), "args").numbers
            )
            return [d for row in rows for d in row]

        _check(derivatives, inputs, names, order - 1, modes, tolerance, f"derivative of {what}")


def _disagreeing(
    f: Callable[[list[float]], list[float]],
    point: list[float],
    i: int,
    found: dict[str, list[list[float]]],
    tolerance: Tolerance,
) -> Iterator[tuple[str, int, float, Estimate]]:
    """The derivatives by input i that no difference agrees with: mode, output, number, the best."""
    entries = [abs(d) for by in found.values() for column in by for d in column]
    # Entries are sums that may cancel, of terms as large as the largest entry is.
    rounding = 8.0 * EPSILON * max(filter(math.isfinite, entries), default=0.0)
    tolerance = tolerance._replace(atol=tolerance.atol + rounding)
    wanted = [(mode, j, d) for mode, by in found.items() for j, d in enumerate(by[i])]
    seen: dict[int, list[Estimate]] = {}
    for estimates in differences(f, point, i, tolerance.step):
        for j, e in enumerate(estimates):
            if e is not None:
                seen.setdefault(j, []).append(e)
        wanted = [(m, j, d) for m, j, d in wanted if not _agrees(d, estimates[j], tolerance)]
        if not wanted:
            return
    for mode, j, d in wanted:
        if j not in seen:  # f cannot be computed on either side, and is infinite or NaN here too
            yield mode, j, d, Estimate(math.nan, math.inf, 0.0, 0.0, is_central=True)
            continue
        known = trusted(seen[j])
        best = min(known, key=lambda e: e.error)
        # Errors are estimates too: what is not much less certain than the best has a say.
        good = (e for e in known if e.error <= 30.0 * best.error)
        if not any(_agrees(d, e, tolerance, 2.0 * e.error) for e in good):
            enough = (e for e in known if 1e3 * e.error <= _allowed(d, e, tolerance))
            yield mode, j, d, next(enough, best)


def _agrees(d: float, e: Estimate | None, tolerance: Tolerance, slack: float = 0.0) -> bool:
    """Whether a derivative is what a difference says, which must be certain unless it has slack."""
    if e is None or not math.isfinite(d):
        return False  # an infinity is within any tolerance of itself, but no derivative
    allowed = _allowed(d, e, tolerance)
    if slack > 0.0:
        return abs(d - e.number) <= allowed + slack
    # Over a step so long, any two numbers of that size have a slope within the tolerance of 0.
    is_blind = 0.0 < e.size <= 1e3 * allowed * e.step
    return abs(d - e.number) <= allowed and e.error <= allowed and not is_blind


def _allowed(d: float, e: Estimate, tolerance: Tolerance) -> float:
    return tolerance.atol + tolerance.rtol * max(abs(d), abs(e.number))


def _plain(x: Number) -> float:
    return float(x.data if isinstance(x, Value) else x)


def _units(n: int) -> list[list[float]]:
    return [[float(i == j) for j in range(n)] for i in range(n)]


# --- differences ----------------------------------------------------------------------------------

RATIO = 2.1  # of steps; no power of it is a whole number of periods of what repeats
LEVELS = 8  # steps of a series, which shrink 180-fold
EPSILON = 2.0**-52


def differences(
    f: Callable[[list[float]], list[float]],
    point: Sequence[float],
    i: int,
    step: float | None = None,
) -> Iterator[list[Estimate | None]]:
    """Estimates of the derivative of each output by input i, one after the other.

    There is None where none can be made: where f raises, or is not finite. Those of the sides
    come last, for the outputs that have no central ones.
    """
    x = float(point[i])
    size = max(1.0, abs(x))
    begins = [1e-3 * size, 0.1 * size, 1e-6 * size, 1e-9 * size, 1e-12 * size]
    if 0.0 < abs(x) < 1.0:
        begins[1:1] = [1e-3 * abs(x), 0.1 * abs(x)]
    if step is not None:
        begins.insert(0, step)

    def at(x: float) -> list[float]:
        try:
            return f([*point[:i], x, *point[i + 1 :]])
        except (TypeError, ValueError, ArithmeticError):  # Python's powers turn complex
            return [math.nan] * len(here)

    here = f(list(point))
    sides: list[list[Estimate | None]] = []
    is_central = [False] * len(here)
    for begin in begins:
        both, upper, lower = (_Series(begin, order, x) for order in (2, 1, 1))
        for level in range(LEVELS):
            above, below = x + begin / RATIO**level, x - begin / RATIO**level
            if above == x or below == x:
                break
            up, down = at(above), at(below)
            sides += [upper.next(up, here, above - x), lower.next(down, here, below - x)]
            estimates = both.next(up, down, above - below)
            is_central = [c or e is not None for c, e in zip(is_central, estimates, strict=True)]
            yield estimates
    if not all(is_central):
        for side in sides:
            yield [None if c else e for c, e in zip(is_central, side, strict=True)]


def trusted(estimates: Sequence[Estimate]) -> list[Estimate]:
    """Those of the estimates that no shorter step contradicts, which is right where it is certain.

    Long steps may not see what repeats or bends between them.
    """
    return [
        e for e in estimates
        if not any(
            o.step < e.step and abs(o.number - e.number) > 30.0 * (o.error + e.error)
            for o in estimates
        )
    ]  # fmt: skip


class _Series:
    """Ridders' extrapolation of differences whose steps shrink by `RATIO`.

    Their errors are a series in powers of the step, in those of its square if they are central.
    Ridders, "Accurate computation of F'(x) and F'(x)F''(x)" (1982).
    """

    def __init__(self, begin: float, order: int, x: float) -> None:
        self.begin = begin
        self.order = order
        self.x = x
        self.rows: list[list[float]] = []  # of each output, the extrapolations at the last step

    def next(self, a: list[float], b: list[float], gap: float) -> list[Estimate | None]:
        """The estimate of each output, by its numbers at two points so far apart."""
        before = self.rows or [[] for _ in a]
        self.rows, estimates = [], []
        for p, q, old in zip(a, b, before, strict=True):
            slope = (p - q) / gap
            row = [slope] if math.isfinite(slope) else []
            best: Estimate | None = None
            for k, coarse in enumerate(old if row else []):
                weight = RATIO ** (self.order * (k + 1))
                row.append((weight * row[k] - coarse) / (weight - 1.0))
                error = max(abs(row[-1] - row[k]), abs(row[-1] - coarse))
                # What rounding of f and of its operand leaves, however well the numbers agree.
                error += EPSILON * (abs(p) + abs(q) + abs(self.x * slope)) / abs(gap)
                if math.isfinite(error) and (best is None or error < best.error):
                    best = Estimate(
                        row[-1], error, abs(gap), self.begin, self.order == 2, abs(p) + abs(q)
                    )
            self.rows.append(row)
            estimates.append(best)
        return estimates
