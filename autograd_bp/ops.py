"""The table of operations: one row states all that the project knows of an operation.

A row gives the value and every local derivative as a small expression in the operands and
the result ``y``, in plain Python syntax. Everything else is made from the rows: the eager rules on
floats (`rules`), derivatives as graphs and forward mode (`reading`), kernels and pages
(`languages`), pictures, the table in the README, and the tests.

How to read a row
-----------------
``operands``
    Names, separated by spaces. ``x*`` is a sequence of operands; the expression then speaks
    of one element, and ``sum(...)`` and ``max(...)`` run over all of them.
``value``, ``d``
    The result and ∂y/∂operand, one for each operand. They may call the functions of the table
    itself (``sigmoid(x)``), compare, branch (``p if x > 0 else q``), and use `CONSTANTS`. A row
    whose value is a call of itself (``exp(x)``) has no formula: every language must have it. A
    derivative of ``nan`` is none: the operand must be constant.
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
from collections.abc import Sequence
from typing import Any, NamedTuple
from zlib import crc32

__all__ = ["CODES", "CONSTANTS", "EDITION", "TABLE", "Op", "grouped"]


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

    @property
    def is_function(self) -> bool:
        """Whether expressions may call it by its name."""
        return bool(self.operands) and not self.is_nary and self.name.isidentifier()

    @property
    def is_primitive(self) -> bool:
        """Whether its value is a call of itself, so that every language must have it."""
        return self.value == f"{self.name}({', '.join(self.operands)})"

    def domain_for(self, mask: int) -> str:
        """The domain where the operands in ``mask`` are nodes: ``constant(b)`` is decided."""
        text = self.domain or "True"
        for i, name in enumerate(self.operands):
            text = text.replace(f"constant({name})", str(not mask >> i & 1))
        return text


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
          " else (b*y/a if abs(a) < inf else b*carry(y, a)) if abs(b) >= 9007199254740992.0"
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
