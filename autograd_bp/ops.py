"""The table of operations: one row states all that the project knows of an operation.

A row gives the value and every local derivative as a small expression in the operands and
the result ``y``, in plain Python syntax. Everything else is made from the rows: the eager
rules on floats (`rules`, `careful`), derivatives as graphs, forward mode, kernels, pictures,
the table in the README, and the tests. **To add an operation is to add a row.**

How to read a row
-----------------
``operands``
    Names, separated by spaces. ``x*`` is a sequence of operands; the expression then speaks
    of one element, and ``sum(...)`` and ``max(...)`` run over all of them.
``value``, ``d``
    The result and ∂y/∂operand, one for each operand. They may call the functions of the table
    itself (``sigmoid(x)``), compare, branch (``p if x > 0 else q``), and use `CONSTANTS`.
``domain``
    Where the value is defined. Outside it the eager engine raises; NaN passes through.
    ``constant(b)`` holds where b is a plain number, not a node.
``kink``
    The subgradient that ``d`` chooses where the operation is not differentiable.

All arithmetic is IEEE 754 double precision: a result too large is ±inf, 1/0 inside a local
derivative is ±inf (√x at 0), and only a point outside the stated domain is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import zip_longest
from typing import Any, NamedTuple
from zlib import crc32

from autograd_bp.special import polygamma

__all__ = [
    "CODES",
    "CONSTANTS",
    "EDITION",
    "IEEE",
    "RULES",
    "TABLE",
    "Op",
    "Reading",
    "careful",
    "carry",
    "domain_error",
    "grouped",
    "ieee",
    "second_rule",
]


class Op(NamedTuple):
    """One row of the table; the module's docstring says how its fields are read."""

    name: str
    operands: tuple[str, ...]
    value: str
    d: tuple[str, ...]
    notation: str
    domain: str = ""
    kink: str = ""

    @property
    def sequences(self) -> int:
        """How many operands are sequences, all of one length."""
        return sum(operand.endswith("*") for operand in self.operands)

    @property
    def is_nary(self) -> bool:
        """Whether some operand is a sequence."""
        return self.sequences > 0


def _row(
    name: str,
    operands: str,
    value: str,
    d: list[str],
    notation: str,
    domain: str = "",
    kink: str = "",
) -> Op:
    return Op(name, tuple(operands.split()), value, tuple(d), notation, domain, kink)


# fmt: off
TABLE: list[Op] = [
    # A leaf has no operands: it is a number that the user gave.
    _row("", "", "", [], "x"),

    # What `Value.detach` is while a function is traced.
    _row("detach", "x", "x", ["0.0"], "x, held fixed", kink="everywhere: 0"),

    # Arithmetic
    _row("+", "a b", "a + b", ["1.0", "1.0"], "a + b"),
    _row("-", "a b", "a - b", ["1.0", "-1.0"], "a − b"),
    _row("*", "a b", "a*b", ["b", "a"], "a·b"),
    # A product of the chain rule. What is exactly 0 carries nothing, be the other ±inf or NaN.
    _row("carry", "a b", "0.0 if a*b != a*b and (a == 0 or b == 0) else a*b", ["b", "a"],
         "a·b, 0·∞ = 0"),
    _row("/", "a b", "a/b", ["1.0/b", "-y/b"], "a/b", domain="b != 0"),
    # b·aᵇ/a where b - 1 is rounded, or aᵇ⁻¹ overflows and the product does not.
    _row("**", "a b", "pow(a, b)",
         ["carry(detach(b), pow(a, detach(b) - 1.0)) if a == 0"
          " else (b*y/a if abs(a) < inf else b*pow(a, b)) if abs(b) >= 9007199254740992.0"
          " else (b*y/a if abs(a) < 1e-150 else b*pow(a, b - 1.0)) if -1 < b < 0.5"
          " else b*pow(a, b - 1.0)", "y*log(a) if a != 0 else 0.0"], "aᵇ",
         domain="a > 0 or a == 0 and b >= 0 or a < 0 and b == floor(b) and constant(b)",
         kink="by b at a = 0: 0"),
    _row("neg", "x", "-x", ["-1.0"], "−x"),
    _row("abs", "x", "abs(x)", ["1.0 if x > 0 else -1.0 if x < 0 else 0.0"], "|x|",
         kink="at 0: 0"),

    # Exponentials, logarithms, roots
    _row("exp", "x", "exp(x)", ["y"], "eˣ"),
    _row("expm1", "x", "expm1(x)", ["exp(x)"], "eˣ − 1"),
    _row("log", "x", "log(x)", ["1.0/x"], "ln x", domain="x > 0"),
    _row("log1p", "x", "log1p(x)", ["1.0/(1.0 + x)"], "ln(1 + x)", domain="x > -1"),
    _row("log2", "x", "log2(x)", ["1.0/(x*LN2)"], "log₂ x", domain="x > 0"),
    _row("log10", "x", "log10(x)", ["1.0/(x*LN10)"], "log₁₀ x", domain="x > 0"),
    _row("sqrt", "x", "sqrt(x)", ["0.5/y"], "√x", domain="x >= 0", kink="at 0: inf"),
    # Scaled where the hypotenuse overflows, or is so small that it has lost bits.
    _row("hypot", "a b", "hypot(a, b)",
         ["a/y if 1e-290 < y < inf else 0.0 if y == 0 else 0.25*a/hypot(0.25*a, 0.25*b) if y > 1"
          " else 1e300*a/hypot(1e300*a, 1e300*b)",
          "b/y if 1e-290 < y < inf else 0.0 if y == 0 else 0.25*b/hypot(0.25*a, 0.25*b) if y > 1"
          " else 1e300*b/hypot(1e300*a, 1e300*b)"],
         "√(a² + b²)", kink="at (0, 0): 0"),

    # Trigonometry
    _row("sin", "x", "sin(x)", ["cos(x)"], "sin x", domain="abs(x) < inf"),
    _row("cos", "x", "cos(x)", ["-sin(x)"], "cos x", domain="abs(x) < inf"),
    _row("tan", "x", "tan(x)", ["1.0 + y*y"], "tan x", domain="abs(x) < inf"),
    _row("asin", "x", "asin(x)", ["1.0/sqrt((1.0 - x)*(1.0 + x))"], "arcsin x",
         domain="-1 <= x <= 1", kink="at ±1: inf"),
    _row("acos", "x", "acos(x)", ["-1.0/sqrt((1.0 - x)*(1.0 + x))"], "arccos x",
         domain="-1 <= x <= 1", kink="at ±1: -inf"),
    _row("atan", "x", "atan(x)", ["1.0/(1.0 + x*x)"], "arctan x"),
    _row("atan2", "a b", "atan2(a, b)",
         ["b/hypot(a, b)/hypot(a, b) if hypot(a, b) != 0 else 0.0",
          "-a/hypot(a, b)/hypot(a, b) if hypot(a, b) != 0 else 0.0"],
         "atan2(a, b)", kink="at (0, 0): 0"),
    _row("sinh", "x", "sinh(x)", ["cosh(x)"], "sinh x"),
    _row("cosh", "x", "cosh(x)", ["sinh(x)"], "cosh x"),
    _row("tanh", "x", "tanh(x)", ["1.0 - y*y"], "tanh x"),

    # Activations
    _row("sigmoid", "x", "1.0/(1.0 + exp(-x)) if x >= 0 else exp(x)/(1.0 + exp(x))",
         ["y*(1.0 - y)"], "σ(x)"),
    _row("softplus", "x", "x + log1p(exp(-x)) if x > 0 else log1p(exp(x))", ["sigmoid(x)"],
         "ln(1 + eˣ)"),
    _row("logsigmoid", "x", "-log1p(exp(-x)) if x >= 0 else x - log1p(exp(x))", ["sigmoid(-x)"],
         "ln σ(x)"),
    _row("relu", "x", "0.0 if x <= 0 else x", ["0.0 if x <= 0 else 1.0"], "max(0, x)",
         kink="at 0: 0"),
    _row("leaky_relu", "x slope", "x*slope if x <= 0 else x",
         ["slope if x <= 0 else 1.0", "x if x <= 0 else 0.0"], "max(x, slope·x)",
         kink="at 0: slope"),
    _row("elu", "x alpha", "alpha*expm1(x) if x <= 0 else x",
         ["alpha*exp(x) if x <= 0 else 1.0", "expm1(x) if x <= 0 else 0.0"], "elu(x)",
         kink="at 0: alpha"),
    _row("gelu", "x", "0.5*x*erfc(-x/SQRT2) if x != -inf else -0.0",
         ["0.5*erfc(-x/SQRT2) + x*exp(-0.5*x*x)/SQRT2PI if abs(x) < inf else 0.5*erfc(-x/SQRT2)"],
         "x·Φ(x)"),
    _row("silu", "x", "x*sigmoid(x) if x != -inf else -0.0",
         ["sigmoid(x)*(1.0 + x*sigmoid(-x)) if abs(x) < inf else sigmoid(x)"], "x·σ(x)"),

    # Special functions
    _row("erf", "x", "erf(x)", ["2.0/SQRTPI*exp(-x*x)"], "erf x"),
    _row("erfc", "x", "erfc(x)", ["-2.0/SQRTPI*exp(-x*x)"], "erfc x"),
    _row("lgamma", "x", "lgamma(x)", ["polygamma(0.0, x)"], "ln|Γ(x)|",
         domain="x > 0 or x != floor(x) or x == -inf"),
    _row("polygamma", "n x", "polygamma(n, x)", ["nan", "polygamma(n + 1.0, x)"], "ψ⁽ⁿ⁾(x)",
         domain="constant(n) and 0 <= n <= 100 and n == floor(n) "
                "and (x > 0 or x != floor(x) or x == -inf)"),

    # Choices. A comparison is a node only while a function is traced; else it is a bool.
    _row("<", "a b", "1.0 if a < b else 0.0", ["0.0", "0.0"], "a < b"),
    _row("<=", "a b", "1.0 if a <= b else 0.0", ["0.0", "0.0"], "a ≤ b"),
    _row("maximum", "a b", "a if a >= b or a != a else b",
         ["1.0 if a > b else 0.5 if a == b else 0.0", "1.0 if b > a else 0.5 if a == b else 0.0"],
         "max(a, b)", kink="at a = b: ½ each"),
    _row("minimum", "a b", "a if a <= b or a != a else b",
         ["1.0 if a < b else 0.5 if a == b else 0.0", "1.0 if b < a else 0.5 if a == b else 0.0"],
         "min(a, b)", kink="at a = b: ½ each"),
    _row("where", "c a b", "a if c != 0 else b",
         ["0.0", "1.0 if c != 0 else 0.0", "0.0 if c != 0 else 1.0"], "a if c else b"),
    _row("clip", "x lo hi", "(lo if x < lo else hi if x > hi else x) if lo <= hi else nan",
         ["0.0 if x < lo or x > hi else 1.0", "1.0 if x < lo else 0.0", "1.0 if x > hi else 0.0"],
         "clip(x, lo, hi)", domain="lo <= hi", kink="at lo and hi: that of x"),

    # A slope that is not the value's: what custom operations are while a function is traced.
    _row("attach", "a d x", "a", ["1.0", "0.0", "d"], "a, with slope d in x",
         kink="∂/∂x everywhere: d"),

    # Many operands, one node
    _row("dot", "w* x* b", "b + sum(w*x)", ["x", "w", "1.0"], "w·x + b"),
    _row("carry_dot", "w* x* b", "b + sum(0.0 if w*x != w*x and (w == 0 or x == 0) else w*x)",
         ["x", "w", "1.0"], "w·x + b, 0·∞ = 0"),
    _row("sum_of", "x*", "sum(x)", ["1.0"], "Σ xᵢ"),
    _row("mean", "x*", "sum(x)/n", ["1.0/n"], "Σ xᵢ / n", domain="n > 0"),
    _row("logsumexp", "x*", "max(x) + log(sum(exp(x - max(x)))) if abs(max(x)) < inf else max(x)",
         ["exp(x - y)"], "ln Σ exp xᵢ", domain="n > 0"),
    _row("norm", "x*",
         "sqrt(sum(x*x)) if 1e-280 < sum(x*x) < inf"
         " else max(abs(x))*sqrt(sum((x/max(abs(x)))*(x/max(abs(x)))))"
         " if 0 < max(abs(x)) < inf else max(abs(x))",
         ["x/y if y != 0 else 0.0"], "√Σ xᵢ²", kink="at 0: 0"),
]
# fmt: on


def grouped(op: Op, operands: Sequence[Any]) -> list[Any]:
    """A node's operands, which stand in one row, as the operation's own: sequences as lists.

    >>> grouped(TABLE[CODES["dot"]], ["w0", "w1", "x0", "x1", "b"])
    [['w0', 'w1'], ['x0', 'x1'], 'b']
    """
    sequences = op.sequences
    if not sequences:
        return list(operands)
    length = (len(operands) - len(op.operands) + sequences) // sequences
    groups: list[Any] = []
    start = 0
    for name in op.operands:
        if name.endswith("*"):
            groups.append(list(operands[start : start + length]))
            start += length
        else:
            groups.append(operands[start])
            start += 1
    return groups


CODES: dict[str, int] = {op.name: code for code, op in enumerate(TABLE)}
EDITION: int = crc32(repr(TABLE).encode()) >> 1
"""A number that changes with the table: compiled rows of another edition are not used."""
CODE_BITS = 7
"""How many bits a code takes; the last is left to operations that are no row."""
MARK_SHIFT = CODE_BITS + 22
"""Where marks of sorts and tapes begin in a node's code: above the number of its trace."""

CONSTANTS: dict[str, float] = {
    "LN2": math.log(2.0),
    "LN10": math.log(10.0),
    "SQRT2": math.sqrt(2.0),
    "SQRTPI": math.sqrt(math.pi),
    "SQRT2PI": math.sqrt(2.0 * math.pi),
    "inf": math.inf,
    "nan": math.nan,
}
"""Names that an expression may use besides its operands, its result ``y`` and functions."""

# --- reader 1: rules on floats, for the eager engine ---------------------------------------------


def _fast_namespace() -> dict[str, Any]:
    names = (
        "exp expm1 log log1p log2 log10 sqrt sin cos tan asin acos atan atan2 "
        "sinh cosh tanh erf erfc lgamma hypot pow floor"
    )
    functions = {name: getattr(math, name) for name in names.split()}
    return functions | CONSTANTS | {"abs": abs, "polygamma": polygamma}


def _make_rules() -> list[tuple[Callable[..., Any], ...]]:
    namespace = _fast_namespace()
    source = []
    for code, op in enumerate(TABLE):
        if op.is_nary or not op.operands:
            continue
        for mask in range(1 << len(op.operands)):
            wanted = [d for i, d in enumerate(op.d) if mask >> i & 1]
            nodes = {name for i, name in enumerate(op.operands) if mask >> i & 1}
            # Outside the domain of a function of one operand, Python raises by itself.
            check = "" if len(op.operands) == 1 else op.domain
            for name in op.operands:
                check = check.replace(f"constant({name})", str(name not in nodes))
            source.append(
                f"def rule_{code}_{mask}({', '.join(op.operands)}):\n"
                f"    if {f'not ({check})' if check else False}: raise ValueError\n"
                f"    y = {op.value}\n"
                f"    return {', '.join(['y', *wanted])}\n"
            )
        if op.name.isidentifier() and op.name not in namespace:
            source.append(f"{op.name} = rule_{code}_0\n")  # other rows may call it
    exec("".join(source), namespace)  # the text is the table above, nothing from outside
    return [
        tuple(namespace[f"rule_{code}_{mask}"] for mask in range(1 << len(op.operands)))
        if op.operands and not op.is_nary
        else ()
        for code, op in enumerate(TABLE)
    ]


RULES: list[tuple[Callable[..., Any], ...]] = _make_rules()
"""``RULES[code][mask](*operands)`` gives y alone for mask 0, else ``(y, ∂y/∂operand, …)`` for
the operands whose bits are set. They are as fast as Python gets, and raise ValueError,
ZeroDivisionError or OverflowError where `careful` must be asked."""

carry: Callable[[float, float], float] = RULES[CODES["carry"]][0]
"""A derivative times a local derivative, as the chain rule has it on paths through a graph: what
is exactly 0 carries nothing, even where the other is ±inf or NaN.

>>> carry(0.0, math.inf), carry(2.0, math.inf)
(0.0, inf)
"""


# --- reader 2: the same expressions in any arithmetic --------------------------------------------


class Reading:
    """The table read in one arithmetic: its expressions as functions.

    ``arithmetic`` maps the functions that the expressions call to ones on the operands' type,
    as well as ``div``; ``sum`` and ``max`` of a list; and ``real``, the number that a
    comparison looks at. Rows that it does not name are read from their own expressions. With
    ``calls``, there is no branch: it and comparisons become calls, as in `program.reading`.

    >>> import operator
    >>> from fractions import Fraction
    >>> exact = Reading({"div": operator.truediv, "sum": sum, "real": float})
    >>> mean = TABLE[CODES["mean"]]
    >>> exact.value(mean)([Fraction(1, 3), 1])
    Fraction(2, 3)
    >>> [partial([Fraction(1, 3), 1], Fraction(2, 3)) for partial in exact.partials(mean)]
    [[0.5, 0.5]]
    """

    def __init__(self, arithmetic: Mapping[str, Any], calls: bool = False) -> None:
        self._names: dict[str, Any] = {**CONSTANTS, **arithmetic}
        self._calls = calls
        for op in TABLE:
            if op.operands and not op.is_nary and op.name.isidentifier():
                self._names.setdefault(op.name, partial(self._call, op))
        self._compiled: dict[Any, Any] = {}

    def _call(self, op: Op, *operands: Any) -> Any:
        return self.value(op)(*operands)

    def value(self, op: Op) -> Callable[..., Any]:
        """y as a function of the operands; one that is a sequence is a list."""
        result: Callable[..., Any] = self._function(
            op, "value", lambda e: e.function(e.parse(op.value), op.operands)
        )
        return result

    def partials(self, op: Op) -> list[Callable[..., Any]]:
        """Each ∂y/∂operand as a function of the operands and y; a list for a sequence."""
        names = (*op.operands, "y")
        result: list[Callable[..., Any]] = self._function(
            op,
            "partials",
            lambda e: [
                e.function(e.parse(d), names, each=operand.endswith("*"))
                for operand, d in zip(op.operands, op.d, strict=True)
            ],
        )
        return result

    def domain(self, op: Op, mask: int) -> Callable[..., bool]:
        """Whether operands, of which those in ``mask`` are nodes, are inside the domain."""
        constants = {name for i, name in enumerate(op.operands) if not mask >> i & 1}
        result: Callable[..., bool] = self._function(
            op,
            ("domain", mask),
            lambda e: e.function(e.parse(op.domain or "True", constants), op.operands),
        )
        return result

    def second(self, op: Op, mask: int) -> list[Callable[..., Any]]:
        """How the partials of the operands in ``mask`` change along a direction.

        Functions of the operands, y, the rates of change of the operands, and that of y. Made
        by differentiating the rows' own expressions, with the rows.
        """
        from autograd_bp.expressions import rate

        moving = {name.rstrip("*") for i, name in enumerate(op.operands) if mask >> i & 1}
        names = (*op.operands, "y", *("t_" + name for name in op.operands), "t_y")
        result: list[Callable[..., Any]] = self._function(
            op,
            ("second", mask),
            lambda e: [
                e.function(rate(d, moving | {"y"}), names, each=operand.endswith("*"))
                for i, (operand, d) in enumerate(zip(op.operands, op.d, strict=True))
                if mask >> i & 1
            ],
        )
        return result

    def _function(self, op: Op, what: Any, make: Callable[[Any], Any]) -> Any:
        key = (op.name, what)
        if key not in self._compiled:
            # Here, since few programs come this way and ``import autograd_bp`` is to be quick.
            from autograd_bp.expressions import Expressions

            self._compiled[key] = make(Expressions(self._names, self._calls))
        return self._compiled[key]


# --- reader 3: IEEE 754, for the points where Python's own floats raise --------------------------


def careful(code: int, mask: int, operands: Sequence[float], *labels: str) -> tuple[float, ...]:
    """What ``RULES[code][mask]`` gives, by the rules of IEEE 754: overflow and a pole are ±inf.

    Raises ZeroDivisionError for a division by zero and ValueError for any other point outside
    the row's domain, naming the operation, the domain, and the operands with the ``labels``
    that they have as nodes.
    """
    op = TABLE[code]
    inside = any(math.isnan(x) for x in operands) or IEEE.domain(op, mask)(*operands)
    if not inside:
        raise domain_error(op, operands, labels)
    return ieee(code, mask, operands)


def ieee(code: int, mask: int, operands: Sequence[float]) -> tuple[float, ...]:
    """What `careful` gives, and outside the domain what IEEE 754 has there."""
    op = TABLE[code]
    y = IEEE.value(op)(*operands)
    partials = IEEE.partials(op)
    return y, *(d(*operands, y) for i, d in enumerate(partials) if mask >> i & 1)


def domain_error(
    op: Op, operands: Sequence[float], labels: Sequence[str] = ()
) -> ArithmeticError | ValueError:
    """The exception for operands outside the domain of an operation."""
    got = ", ".join(
        f"{name} = {operand!r}" + (f" (node {label!r})" if label else "")
        for name, operand, label in zip_longest(op.operands, operands, labels, fillvalue="")
    )
    call = f"{op.name}({', '.join(op.operands)})"
    message = (
        f"{call if op.name.isidentifier() else f' {op.name} '.join(op.operands)} "
        f"is defined for {op.domain}; got {got}. "
        "Keep the operand inside, for instance with clip or maximum."
        + (" An exponent that is a plain number is constant." if op.name == "**" else "")
    )
    by_zero = op.name == "/" or (op.name == "**" and operands[0] == 0)
    return ZeroDivisionError(message) if by_zero else ValueError(message)


def _total(function: Callable[..., float], beyond: Callable[..., float]) -> Callable[..., float]:
    """The function, with IEEE 754's answer where Python's raises."""

    def total(*operands: float) -> float:
        try:
            return function(*operands)
        except OverflowError:
            return beyond(*operands)
        except ValueError:
            return math.nan

    return total


def _divide(a: float, b: float) -> float:
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.inf if math.copysign(1, a) == math.copysign(1, b) else -math.inf


def _power(a: float, b: float) -> float:
    odd = b % 2 == 1  # not so for ±inf and NaN, whose remainder is NaN
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and odd else math.inf
    except ValueError:  # 0 to a negative power, or a negative number to a broken one
        return math.nan if a != 0 else math.copysign(math.inf, a) if odd else math.inf


def _ieee_arithmetic() -> dict[str, Any]:
    names = _fast_namespace()
    infinite = {"sinh": lambda x: math.copysign(math.inf, x)}
    total = {
        name: _total(function, infinite.get(name, lambda *operands: math.inf))
        for name, function in names.items()
        if getattr(function, "__module__", "") == "math" or name == "polygamma"
    }
    return (
        names
        | total
        | {
            "div": _divide,
            "pow": _power,
            "carry_div": lambda a, b: 0.0 if a == 0 and (b == 0 or b != b) else _divide(a, b),
            "floor": lambda x: float(math.floor(x)) if math.isfinite(x) else x,
            "sum": _left_to_right_sum,
            "max": _maximum,
            "real": float,
        }
    )


def _left_to_right_sum(terms: Sequence[float]) -> float:
    total = 0.0  # not Python's sum, which compensates the rounding from 3.12 on
    for term in terms:
        total += term
    return total


def _maximum(terms: Sequence[float]) -> float:
    return math.nan if any(map(math.isnan, terms)) else max(terms)


IEEE = Reading(_ieee_arithmetic())
"""The table in double precision as IEEE 754 has it."""


@cache
def second_rule(code: int, mask: int) -> Callable[..., tuple[float, ...]]:
    """How the partials of the operands in mask change, for a row without sequences.

    A function of the operands, y, the rates of those in mask, and that of y. As in `RULES`,
    the fast text is tried first and the careful reading where Python's floats raise; and where
    there is a NaN, the only trace that 0·∞ leaves.
    """
    import ast

    from autograd_bp.expressions import plain, rate

    op = TABLE[code]
    moving = [name for i, name in enumerate(op.operands) if mask >> i & 1]
    names = ", ".join([*op.operands, "y", *("t_" + name for name in moving), "t_y"])
    rates = [rate(d, [*moving, "y"]) for i, d in enumerate(op.d) if mask >> i & 1]
    found = ", ".join(f"r{i}" for i in range(len(rates)))
    namespace = _fast_namespace() | {"careful": partial(_careful_second, op, mask)}
    for row in TABLE:
        if row.name.isidentifier() and RULES[CODES[row.name]]:
            namespace.setdefault(row.name, RULES[CODES[row.name]][0])
    exec(
        f"def rule({names}):\n"
        f"    try:\n"
        f"        {found}, = {', '.join(ast.unparse(plain(r)) for r in rates)},\n"
        f"        if {' and '.join(f'r{i} == r{i}' for i in range(len(rates)))}: return {found},\n"
        f"    except (ArithmeticError, ValueError): pass\n"
        f"    return careful({names})\n",
        namespace,
    )
    rule: Callable[..., tuple[float, ...]] = namespace["rule"]
    return rule


def _careful_second(op: Op, mask: int, *numbers: float) -> tuple[float, ...]:
    n = len(op.operands)
    point, moving, t_y = numbers[: n + 1], iter(numbers[n + 1 : -1]), numbers[-1]
    t = [next(moving) if mask >> i & 1 else math.nan for i in range(n)]  # NaN: not looked at
    return tuple(rule(*point, *t, t_y) for rule in IEEE.second(op, mask))
