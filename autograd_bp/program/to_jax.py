"""A program as a function in JAX, for its compiler and its devices.

Its derivatives are the table's: each row is a `jax.custom_jvp` whose rule is the row's own
partials, read with such rows again. So JAX's derivatives of any order are the table's, in every
one of its transformations.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

import numpy as np

from autograd_bp.ops import TABLE, Op
from autograd_bp.program.lanes import array_functions, evaluate
from autograd_bp.program.plan import PRODUCT, Plan
from autograd_bp.program.signature import Function, Layout
from autograd_bp.reading import ArrayReading
from autograd_bp.special import _BERNOULLI
from autograd_bp.value import Value

__all__ = ["to_jax"]


_FLOATS = (np.float16, np.float32, np.float64)


def to_jax(program: Function) -> Callable[..., Any]:
    """What `Program.to_jax` does."""
    try:
        import jax.numpy as jnp
    except ImportError:
        raise ImportError("to_jax needs JAX; install it with: pip install jax") from None
    instructions = program.instructions
    plan = Plan(instructions, np.zeros(len(instructions.inputs), bool), small=1, derives=True)

    def function(*args: Any) -> Any:
        leaves = [
            _checked(leaf, shape, layout)
            for layout, arg in zip(program.matching(args), args, strict=True)
            for leaf, (shape, _, _) in zip(layout.leaves(arg), layout.parts, strict=True)
        ]
        dtype = jnp.result_type(*leaves, float)  # floats from ints
        rows, (multiply, carried) = _rows(dtype), _matrix_products()
        flat = [jnp.ravel(jnp.asarray(leaf, dtype)) for leaf in leaves]
        slots = jnp.asarray(plan.slots, dtype)
        if flat:
            slots = slots.at[: plan.uniform].set(jnp.concatenate(flat))
        for operation, carries, _, out, operands in plan.in_slots:
            if operation == PRODUCT:
                p, q, bias = [slots[which] for which in operands]
                found = jnp.ravel((carried if carries else multiply)(p, q) + bias)
            else:
                found = evaluate(lambda op: rows[op.name], operation, slots[operands])
            slots = slots.at[out : out + len(found)].set(found)
        result, numbers = program.result, slots[plan.same_slots]
        parts = [numbers[start:stop].reshape(shape or ()) for shape, start, stop in result.parts]
        return result.flat.nest(parts)

    return function


def _checked(leaf: Any, shape: tuple[int, ...] | None, layout: Layout) -> Any:
    """A leaf of an argument, which keeps its type if it is JAX's, or NumPy's of floats."""
    import jax
    import jax.numpy as jnp

    if isinstance(leaf, jax.Array):
        if not (
            jnp.issubdtype(leaf.dtype, jnp.floating) or jnp.issubdtype(leaf.dtype, jnp.integer)
        ):
            raise TypeError(
                f"{layout.name} must hold arrays of real numbers, got one of dtype {leaf.dtype}; "
                "x.astype(float) has 1.0 and 0.0 for bools"
            )
        if leaf.shape != (shape or ()):
            raise layout.misfit(f"an array of shape {leaf.shape} in place of {shape or 'a number'}")
        return leaf
    if isinstance(leaf, Value) or (isinstance(leaf, np.ndarray) and leaf.dtype.hasobject):
        raise TypeError(
            f"{layout.name} must hold numbers and arrays of JAX here, got a {type(leaf).__name__}; "
            "call the program itself on Values"
        )
    number = layout.number_in(leaf) if shape is None else layout.array_in(leaf, shape)
    keeps_its_type = isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype in _FLOATS
    return leaf if keeps_its_type else number


# --- the chain rule ------------------------------------------------------------------------------

_INTERPRETERS = ("jax.interpreters.ad", "jax.interpreters.batching", "jax.interpreters.mlir")


def _bilinear(
    name: str, product: Callable[[Any, Any], Any], turned: Callable[[Any], Any]
) -> Callable[[Any, Any], Any]:
    """A product d·t of the chain rule, in which what is exactly 0 carries nothing, as JAX's.

    It is linear in t, and JAX must know it to transpose it: a ``where`` that looks at t is not.
    So it is an operation of its own, whose transpose is such a product again: t̄ = dᵀ·ȳ, where
    ``turned`` is the transposition.
    """
    import jax
    from jax.extend.core import Primitive

    ad, batching, mlir = map(import_module, _INTERPRETERS)

    def shaped(d: Any, t: Any) -> Any:
        found = jax.eval_shape(product, d, t)
        return jax.core.ShapedArray(found.shape, found.dtype)

    def transposed(y: Any, d: Any, t: Any) -> list[Any]:
        return [None, ad.Zero(t.aval) if type(y) is ad.Zero else this.bind(turned(d), y)]

    def batched(args: Any, dims: Any) -> tuple[Any, int]:
        n = next(x.shape[d] for x, d in zip(args, dims, strict=True) if d is not None)
        front = [batching.bdim_at_front(x, d, n) for x, d in zip(args, dims, strict=True)]
        return this.bind(*front), 0

    this: Any = Primitive(name)
    this.def_impl(product)
    this.def_abstract_eval(shaped)
    mlir.register_lowering(this, mlir.lower_fun(product, multiple_results=False))
    ad.defjvp(
        this,
        lambda moved, d, t: turned(this.bind(turned(t), turned(moved))),
        lambda moved, d, t: this.bind(d, moved),
    )
    ad.primitive_transposes[this] = transposed
    batching.primitive_batchers[this] = batched
    found: Callable[[Any, Any], Any] = this.bind
    return found


@cache
def _carry() -> Callable[[Any, Any], Any]:
    """d·t of arrays that may be broadcast, of t's type; 0 where one of them is exactly 0."""
    import jax.numpy as jnp

    def product(d: Any, t: Any) -> Any:
        return jnp.where((d == 0) | (t == 0), jnp.zeros_like(t), d * t)

    bind = _bilinear("carry", product, lambda x: x)

    def carry(d: Any, t: Any) -> Any:
        shape = jnp.broadcast_shapes(jnp.shape(d), jnp.shape(t))
        return bind(jnp.broadcast_to(jnp.asarray(d, t.dtype), shape), jnp.broadcast_to(t, shape))

    return carry


@cache
def _matrix_products() -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    """The product of two matrices, and the one that its derivatives are made of."""
    import jax
    import jax.numpy as jnp

    matmul = partial(jnp.matmul, precision="highest")  # else a TPU rounds the factors

    def product(d: Any, t: Any) -> Any:
        plain = matmul(d, t)  # where something was 0·inf, it is NaN

        def one_by_one() -> Any:
            d_, t_ = d[..., None], t[..., None, :, :]
            return jnp.sum(jnp.where((d_ == 0) | (t_ == 0), 0, d_ * t_), axis=-2, dtype=t.dtype)

        return jax.lax.cond(jnp.isnan(plain).any(), one_by_one, lambda: plain)

    def turned(x: Any) -> Any:
        return jnp.swapaxes(x, -1, -2)

    carried = _bilinear("carry_matmul", product, turned)
    multiply = jax.custom_jvp(matmul)

    @multiply.defjvp
    def rule(primals: Any, tangents: Any) -> tuple[Any, Any]:
        (p, q), (dp, dq) = primals, tangents
        return multiply(p, q), carried(p, dq) + turned(carried(turned(q), turned(dp)))

    return multiply, carried


# --- the rows ------------------------------------------------------------------------------------


@cache
def _rows(dtype: Any) -> dict[str, Callable[..., Any]]:
    """Each row as a function of JAX's arrays of this precision, with the row's derivatives."""
    import jax.numpy as jnp

    info: Any = jnp.finfo(dtype)  # type: ignore[no-untyped-call]
    plain = _arithmetic()
    if dtype != np.float64:
        # The table's thresholds are near the ends of double precision.
        least = float(info.tiny / info.eps)

        def number(x: float) -> float:
            return least if 0 < x < 1e-99 else 1 / least if x > 1e99 else x

        plain = plain | {"number": number}
    values = ArrayReading(plain | {"div": _quotient})
    rows: dict[str, Callable[..., Any]] = {}
    for op in TABLE:
        if op.operands:
            rows[op.name] = _row(op, values, lambda: slopes)

    def or_number(name: str, of_numbers: Callable[..., Any]) -> Callable[..., Any]:
        def function(a: Any, b: Any) -> Any:
            both = isinstance(a, float) and isinstance(b, float)
            return of_numbers(a, b) if both else rows[name](a, b)

        return function

    functions = {name: row for name, row in rows.items() if name != "where"}
    functions["pow"] = rows["**"]
    functions["mul"] = or_number("*", operator.mul)
    functions["div"] = or_number("/", operator.truediv)
    slopes: ArrayReading = ArrayReading(plain | functions)
    return rows


def _row(op: Op, values: ArrayReading, slopes: Callable[[], ArrayReading]) -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp
    from jax.custom_derivatives import SymbolicZero

    carry = _carry()
    count = len(op.operands)

    # A row with sequences has one more argument: how long they are.
    @partial(jax.custom_jvp, nondiff_argnums=(count,) * op.is_nary)
    def row(*given: Any) -> Any:
        return jnp.asarray(values.value(op)(*given), jnp.result_type(*given[:count]))

    def rule(*given: Any) -> tuple[Any, Any]:
        *n, operands, tangents = given
        y = row(*operands, *n)
        total = jnp.zeros_like(y)
        columns = zip(op.operands, op.d, slopes().partials(op), tangents, strict=True)
        for name, text, slope, t in columns:
            if text != "0.0" and type(t) is not SymbolicZero:
                term = carry(slope(*operands, y, *n), t)
                total += jnp.sum(term, axis=1, keepdims=True) if name.endswith("*") else term
        return y, total

    row.defjvp(rule, symbolic_zeros=True)
    return row


@cache
def _arithmetic() -> dict[str, Any]:
    import jax.numpy as jnp
    from jax.scipy import special

    return array_functions(jnp) | {
        "erf": special.erf,
        "erfc": special.erfc,
        "lgamma": special.gammaln,
        "polygamma": _polygamma,
    }


def _quotient(a: Any, b: Any) -> Any:
    """a/b, kept from XLA, which makes a·(1/b) and a/(b·c) of it: wrong where these leave range."""
    import jax
    import jax.numpy as jnp

    if isinstance(a, float) or isinstance(b, float):
        return a / b
    barrier: Any = jax.lax.optimization_barrier
    a, b = barrier(tuple(jnp.broadcast_arrays(a, b)))
    return a / b


def _polygamma(n: Any, x: Any) -> Any:
    """As `autograd_bp.special.polygamma`; JAX's own is for x > 0 and small n only."""
    import jax.numpy as jnp
    from jax.scipy import special

    n, x = jnp.broadcast_arrays(jnp.asarray(n, jnp.result_type(x)), x)
    sign = jnp.where(n % 2 == 1, 1.0, -1.0)
    beyond = jnp.where(x > 0, x, 1.0 - x)
    d = x - jnp.round(x)  # exact, so that the distances to the poles on both sides are
    left, right = jnp.where(d > 0, d, 1.0 + d), jnp.where(d > 0, 1.0 - d, -d)
    of_beyond = _hurwitz(n, beyond)
    of_left, of_right = _hurwitz(n, left), sign * _hurwitz(n, right)
    reflected = of_left + of_right - sign * of_beyond
    nearer = jnp.where(d > 0, of_left, of_right)  # it decides where both are infinite
    reflected = jnp.where(jnp.isnan(reflected) & (abs(d) < 0.49), nearer, reflected)
    high = sign * jnp.where(x > 0, of_beyond, reflected)
    high = jnp.where(x == jnp.inf, 0.0, high)
    inside = (n >= 0) & (n <= 300) & (n == jnp.floor(n)) & ((x > 0) | (x != jnp.floor(x)))
    return jnp.where(inside, jnp.where(n == 0, special.digamma(x), high), jnp.nan)


def _hurwitz(n: Any, x: Any) -> Any:
    """n!·Σ 1/(x + k)ⁿ⁺¹ over k = 0, 1, … for x > 0: terms, then Euler and Maclaurin's series.

    Within, all is multiplied by xⁿ, since it may lie beyond the range of floats by itself.
    """
    import jax.numpy as jnp
    from jax.scipy.special import gammaln

    s = n + 1.0
    terms = jnp.power(x[..., None] / (x[..., None] + jnp.arange(116)), s[..., None])
    end = x + 116.0
    term = s / (end * end)
    series = 1.0 / n + 0.5 / end
    for k, bernoulli in enumerate(_BERNOULLI, start=1):
        series += bernoulli / math.factorial(2 * k) * term
        term *= (s + 2 * k - 1) / end * ((s + 2 * k) / end)
    scaled = jnp.sum(terms, axis=-1) / x + jnp.power(x / end, n) * series
    return jnp.exp(gammaln(s) - n * jnp.log(x)) * scaled
