"""The elementary functions of the table, on Values and on plain numbers.

A plain number in gives a float back, a Value gives a node, so one formula serves both:

>>> from autograd_bp import Value, sigmoid
>>> sigmoid(0.0)
0.5
>>> sigmoid(Value(0.0))
Value(data=0.5, grad=0.0, op='sigmoid')
"""

from __future__ import annotations

import math
from typing import Any, Protocol, overload

from autograd_bp.ops import CODES, TABLE
from autograd_bp.value import Number, Value, apply

__all__ = [
    "acos",
    "asin",
    "atan",
    "atan2",
    "clip",
    "cos",
    "cosh",
    "elu",
    "erf",
    "erfc",
    "exp",
    "expm1",
    "gelu",
    "hypot",
    "leaky_relu",
    "lgamma",
    "log",
    "log1p",
    "log2",
    "log10",
    "logsigmoid",
    "maximum",
    "minimum",
    "polygamma",
    "relu",
    "sigmoid",
    "silu",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "tan",
    "tanh",
    "where",
]  # fmt: skip


class Unary(Protocol):
    """A function of one operand."""

    @overload
    def __call__(self, x: Value, /) -> Value: ...
    @overload
    def __call__(self, x: float, /) -> float: ...


class Binary(Protocol):
    """A function of two operands."""

    @overload
    def __call__(self, a: float, b: float, /) -> float: ...
    @overload
    def __call__(self, a: Value, b: Number, /) -> Value: ...
    @overload
    def __call__(self, a: Number, b: Value, /) -> Value: ...


def _from_table(name: str) -> Any:
    op = TABLE[CODES[name]]
    method = getattr(Value, name, None)

    def function(*operands: Any) -> Any:
        if len(operands) == 1 and isinstance(operands[0], Value) and method is not None:
            return method(operands[0])
        if len(operands) != len(op.operands):
            raise TypeError(
                f"{name}({', '.join(op.operands)}) takes {len(op.operands)} operands, "
                f"got {len(operands)}"
            )
        return apply(name, *operands)

    function.__name__ = function.__qualname__ = name
    domain = f" Defined for {op.domain}." if op.domain else ""
    kink = f" Subgradient {op.kink}." if op.kink else ""
    function.__doc__ = f"{name}({', '.join(op.operands)}) = {op.notation}.{domain}{kink}"
    return function


exp: Unary = _from_table("exp")
expm1: Unary = _from_table("expm1")
log: Unary = _from_table("log")
log1p: Unary = _from_table("log1p")
log2: Unary = _from_table("log2")
log10: Unary = _from_table("log10")
sqrt: Unary = _from_table("sqrt")
hypot: Binary = _from_table("hypot")
sin: Unary = _from_table("sin")
cos: Unary = _from_table("cos")
tan: Unary = _from_table("tan")
asin: Unary = _from_table("asin")
acos: Unary = _from_table("acos")
atan: Unary = _from_table("atan")
atan2: Binary = _from_table("atan2")
sinh: Unary = _from_table("sinh")
cosh: Unary = _from_table("cosh")
tanh: Unary = _from_table("tanh")
sigmoid: Unary = _from_table("sigmoid")
softplus: Unary = _from_table("softplus")
logsigmoid: Unary = _from_table("logsigmoid")
relu: Unary = _from_table("relu")
gelu: Unary = _from_table("gelu")
silu: Unary = _from_table("silu")
erf: Unary = _from_table("erf")
erfc: Unary = _from_table("erfc")
lgamma: Unary = _from_table("lgamma")
polygamma: Binary = _from_table("polygamma")
maximum: Binary = _from_table("maximum")
minimum: Binary = _from_table("minimum")


def leaky_relu(x: Number, slope: Number = 0.01) -> Any:
    """x for x > 0, else slope·x.

    >>> leaky_relu(-2.0)
    -0.02
    """
    return apply("leaky_relu", x, slope)


def elu(x: Number, alpha: Number = 1.0) -> Any:
    """x for x > 0, else alpha·(eˣ − 1).

    >>> elu(2.0)
    2.0
    """
    return apply("elu", x, alpha)


def clip(x: Number, lo: Number | None = None, hi: Number | None = None) -> Any:
    """The nearest number to x from lo to hi; None is no bound.

    >>> clip(3.0, hi=2.0)
    2.0
    """
    return apply("clip", x, -math.inf if lo is None else lo, math.inf if hi is None else hi)


def where(condition: Any, a: Number, b: Number) -> Any:
    """a where the condition holds, else b; no gradient flows through the condition.

    Both a and b are evaluated before the choice, so both must be inside their domains.

    >>> x = Value(-2.0)
    >>> where(x > 0, x, -x).data
    2.0
    """
    choice = condition if isinstance(condition, Value) else bool(condition)
    return apply("where", choice, a, b)
