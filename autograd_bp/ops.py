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
from typing import Any, NamedTuple

from autograd_bp.special import polygamma

__all__ = [
    "CODES",
    "CONSTANTS",
    "IEEE",
    "RULES",
    "TABLE",
    "Op",
    "careful",
    "domain_error",
    "partials_of",
    "value_of",
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
    def is_nary(self) -> bool:
        """Whether some operand is a sequence."""
        return any(operand.endswith("*") for operand in self.operands)


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

    # Arithmetic
    _row("+", "a b", "a + b", ["1.0", "1.0"], "a + b"),
    _row("-", "a b", "a - b", ["1.0", "-1.0"], "a − b"),
    _row("*", "a b", "a*b", ["b", "a"], "a·b"),
    _row("/", "a b", "a/b", ["1.0/b", "-y/b"], "a/b", domain="b != 0"),
    _row("**", "a b", "pow(a, b)",
         ["b*pow(a, b - 1.0) if b != 0 else 0.0", "y*log(a) if a != 0 else 0.0"], "aᵇ",
         domain="a > 0 or a == 0 and b >= 0 or a < 0 and b == floor(b) and constant(b)",
         kink="∂/∂b at a = 0: 0"),
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
    _row("hypot", "a b", "hypot(a, b)", ["a/y if y != 0 else 0.0", "b/y if y != 0 else 0.0"],
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
    _row("gelu", "x", "0.5*x*erfc(-x/SQRT2)",
         ["0.5*erfc(-x/SQRT2) + x*exp(-0.5*x*x)/SQRT2PI"], "x·Φ(x)"),
    _row("silu", "x", "x*sigmoid(x)", ["sigmoid(x)*(1.0 + x*sigmoid(-x))"], "x·σ(x)"),

    # Special functions
    _row("erf", "x", "erf(x)", ["2.0/SQRTPI*exp(-x*x)"], "erf x"),
    _row("erfc", "x", "erfc(x)", ["-2.0/SQRTPI*exp(-x*x)"], "erfc x"),
    _row("lgamma", "x", "lgamma(x)", ["polygamma(0.0, x)"], "ln|Γ(x)|",
         domain="x > 0 or x != floor(x)"),
    _row("polygamma", "n x", "polygamma(n, x)", ["nan", "polygamma(n + 1.0, x)"], "ψ⁽ⁿ⁾(x)",
         domain="constant(n) and n >= 0 and n == floor(n) and (x > 0 or x != floor(x))"),

    # Choices
    _row("maximum", "a b", "a if a >= b or a != a else b",
         ["1.0 if a > b else 0.5 if a == b else 0.0", "1.0 if b > a else 0.5 if a == b else 0.0"],
         "max(a, b)", kink="at a = b: ½ each"),
    _row("minimum", "a b", "a if a <= b or a != a else b",
         ["1.0 if a < b else 0.5 if a == b else 0.0", "1.0 if b < a else 0.5 if a == b else 0.0"],
         "min(a, b)", kink="at a = b: ½ each"),
    _row("where", "c a b", "a if c != 0 else b",
         ["0.0", "1.0 if c != 0 else 0.0", "0.0 if c != 0 else 1.0"], "a if c else b"),
    _row("clip", "x lo hi", "lo if x < lo else hi if x > hi else x",
         ["0.0 if x < lo or x > hi else 1.0", "1.0 if x < lo else 0.0", "1.0 if x > hi else 0.0"],
         "clip(x, lo, hi)", domain="lo <= hi", kink="at lo and hi: that of x"),

    # Many operands, one node
    _row("dot", "w* x* b", "b + sum(w*x)", ["x", "w", "1.0"], "w·x + b"),
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

CODES: dict[str, int] = {op.name: code for code, op in enumerate(TABLE)}
"""The position of each operation in `TABLE`; a node stores it instead of the name."""

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

# --- reader 1: rules on floats, for the eager engine ----------------------------------------


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
        for mask in range(0 if op.is_nary or not op.operands else 1 << len(op.operands)):
            wanted = [d for i, d in enumerate(op.d) if mask >> i & 1]
            # Outside the domain of a function of one operand, and of pow, Python raises by itself.
            check = op.domain and len(op.operands) > 1 and "constant" not in op.domain
            source.append(
                f"def rule_{code}_{mask}({', '.join(op.operands)}):\n"
                f"    if {f'not ({op.domain})' if check else False}: raise ValueError\n"
                f"    y = {op.value}\n"
                f"    return {', '.join(['y', *wanted])}\n"
            )
            if mask == 0 and op.name.isidentifier() and op.name not in namespace:
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


# --- reader 2: the same expressions in any arithmetic ---------------------------------------


def value_of(op: Op, operands: Sequence[Any], arithmetic: Mapping[str, Any]) -> Any:
    """The value of one operation, its expression read in the given arithmetic.

    ``arithmetic`` maps each function of the table to one on the operands' type, and ``div``,
    ``sum`` and ``max`` to division and the two reductions.

    >>> import fractions, operator
    >>> exact = {"div": operator.truediv, "sum": sum}
    >>> value_of(TABLE[CODES["mean"]], [[fractions.Fraction(1, 3), 1]], exact)
    Fraction(2, 3)
    """
    return eval(_code(op, op.value), {**arithmetic, **_names(op, operands)})


def partials_of(
    op: Op, operands: Sequence[Any], y: Any, arithmetic: Mapping[str, Any], mask: int = -1
) -> list[Any]:
    """∂y/∂operand for each operand whose bit in ``mask`` is set; a list for a sequence.

    >>> import operator
    >>> partials_of(TABLE[CODES["*"]], [3, 4], 12, {})
    [4, 3]
    >>> partials_of(TABLE[CODES["mean"]], [[3, 4]], 3.5, {"div": operator.truediv})
    [[0.5, 0.5]]
    """
    names = {**arithmetic, **_names(op, operands), "y": y}
    partials: list[Any] = []
    for i, (operand, text) in enumerate(zip(op.operands, op.d, strict=True)):
        if mask >> i & 1:
            each = operand.endswith("*")
            partials.append(eval(_code(op, text, each), names))
    return partials


def _names(op: Op, operands: Sequence[Any]) -> dict[str, Any]:
    names: dict[str, Any] = dict(CONSTANTS)
    for name, operand in zip(op.operands, operands, strict=True):
        if name.endswith("*"):
            names["all_" + name[:-1]] = operand
            names["n"] = len(operand)
        else:
            names[name] = operand
    return names


@cache
def _code(op: Op, text: str, each: bool = False, constants: frozenset[str] = frozenset()) -> Any:
    """Compile an expression with every `/` a call of div and every reduction a comprehension."""
    import ast  # here, since few programs come this way and ``import autograd_bp`` is to be quick

    sequences = [name[:-1] for name in op.operands if name.endswith("*")]

    def over_all(element: ast.expr) -> ast.expr:
        """``[element for w, x in zip(all_w, all_x)]``"""
        loop = "[0 for {} in zip({}, strict=True)]".format(
            "".join(name + ", " for name in sequences),
            ", ".join("all_" + name for name in sequences),
        )
        comprehension = ast.parse(loop, mode="eval").body
        assert isinstance(comprehension, ast.ListComp)
        comprehension.elt = element
        return comprehension

    class Rewrite(ast.NodeTransformer):
        def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
            self.generic_visit(node)
            if not isinstance(node.op, ast.Div):
                return node
            return ast.Call(ast.Name("div", ast.Load()), [node.left, node.right], [])

        def visit_Call(self, node: ast.Call) -> ast.expr:
            self.generic_visit(node)
            assert isinstance(node.func, ast.Name)
            if node.func.id == "constant":
                return ast.Constant(ast.unparse(node.args[0]) in constants)
            if node.func.id in ("sum", "max"):
                node.args = [over_all(node.args[0])]
            return node

    tree = Rewrite().visit(ast.parse(text, mode="eval"))
    if each:
        tree.body = over_all(tree.body)
    return compile(ast.fix_missing_locations(tree), f"<{op.name or 'leaf'}: {text}>", "eval")


# --- reader 3: IEEE 754, for the points where Python's own floats raise ----------------------


def careful(code: int, mask: int, operands: Sequence[float], label: str = "") -> tuple[float, ...]:
    """What ``RULES[code][mask]`` gives, by the rules of IEEE 754: overflow and a pole are ±inf.

    Raises ZeroDivisionError for a division by zero and ValueError for any other point outside
    the row's domain, naming the operation, the operands, the domain and ``label``, that of the
    node at fault.
    """
    op = TABLE[code]
    if op.domain and not any(math.isnan(x) for x in operands):
        constants = frozenset(n for i, n in enumerate(op.operands) if not mask >> i & 1)
        if not eval(_code(op, op.domain, False, constants), {**IEEE, **_names(op, operands)}):
            raise domain_error(op, operands, label)
    y = value_of(op, operands, IEEE)
    return y, *partials_of(op, operands, y, IEEE, mask)


def domain_error(op: Op, operands: Sequence[float], label: str = "") -> ArithmeticError | ValueError:
    """The exception for operands outside the domain of an operation."""
    got = ", ".join(
        f"{name} = {operand!r}" for name, operand in zip(op.operands, operands, strict=True)
    )
    node = f" (node {label!r})" if label else ""
    call = f"{op.name}({', '.join(op.operands)})"
    message = (
        f"{call if op.name.isidentifier() else f' {op.name} '.join(op.operands)} "
        f"is defined for {op.domain}; got {got}{node}. "
        "Keep the operand inside, for instance with clip, maximum or where."
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
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)


def _power(a: float, b: float) -> float:
    odd = math.isfinite(b) and b % 2 == 1
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and odd else math.inf
    except ValueError:  # 0 to a negative power, or a negative number to a broken one
        return math.nan if a != 0 else math.copysign(math.inf, a) if odd else math.inf


def _ieee_arithmetic() -> dict[str, Any]:
    names = _fast_namespace()
    infinite = {"sinh": lambda x: math.copysign(math.inf, x)}
    names |= {
        name: _total(function, infinite.get(name, lambda *operands: math.inf))
        for name, function in names.items()
        if getattr(function, "__module__", "") == "math"
    }
    names |= {"div": _divide, "pow": _power, "floor": lambda x: float(math.floor(x)) if math.isfinite(x) else x}
    for op in TABLE:
        if op.operands and not op.is_nary and op.name.isidentifier() and op.name not in names:
            names[op.name] = partial(_value_in, op, names)
    return names | {"sum": _left_to_right_sum, "max": _maximum}


def _value_in(op: Op, arithmetic: Mapping[str, Any], *operands: float) -> float:
    result: float = value_of(op, operands, arithmetic)
    return result


def _left_to_right_sum(terms: Sequence[float]) -> float:
    total = 0.0  # not Python's sum, which compensates the rounding from 3.12 on
    for term in terms:
        total += term
    return total


def _maximum(terms: Sequence[float]) -> float:
    return math.nan if any(map(math.isnan, terms)) else max(terms)


IEEE: dict[str, Any] = _ieee_arithmetic()
"""Double precision as IEEE 754 has it, as an arithmetic for `value_of` and `partials_of`."""
