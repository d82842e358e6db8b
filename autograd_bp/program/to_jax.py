"""A program as a function in JAX, for its compiler and its devices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bp.program.lanes import evaluate, operand_count, product
from autograd_bp.program.plan import CARRYING, PRODUCT, Plan
from autograd_bp.program.reading import ArrayReading

if TYPE_CHECKING:
    from autograd_bp.program.program import Program

__all__ = ["to_jax"]


def to_jax(program: Program) -> Callable[..., Any]:
    """What `Program.to_jax` does."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        raise ImportError("to_jax needs JAX; install it with: pip install jax") from None
    reading = _reading(jax, jnp)
    instructions = program.instructions
    plan = Plan(instructions, np.zeros(len(instructions.inputs), bool), small=1)
    matmul = partial(jnp.matmul, precision="highest")  # else a TPU rounds the factors

    def function(*args: Any) -> Any:
        leaves = [jnp.ravel(jnp.asarray(leaf)) for leaf in jax.tree_util.tree_leaves(args)]
        given = jnp.concatenate(leaves) if leaves else jnp.zeros(0)
        slots = jnp.asarray(plan.slots, given.dtype).at[: plan.uniform].set(given)
        for code, n, k, out, at, m in plan.slot_steps.tolist():
            if code in (PRODUCT, CARRYING[PRODUCT]):
                which = plan.indices[at : at + (n + m) * k + n * m]
                kind = matmul if code == PRODUCT else partial(_carrying, jax, jnp, matmul)
                found = product(slots[which], n, m, k, kind)
                slots = slots.at[out : out + n * m].set(found)
                continue
            count = operand_count(code, k)
            which = plan.indices[at : at + n * count].reshape(count, n).T
            slots = slots.at[out : out + n].set(evaluate(reading, code, k, slots[which]))
        return _nested(program, slots[plan.same_slots])

    return function


def _carrying(jax: Any, jnp: Any, matmul: Any, p: Any, q: Any) -> Any:
    """What `lanes.carrying` computes."""

    def again(p: Any, q: Any) -> Any:
        a, b = p[:, :, None], q[None, :, :]
        return jnp.where((a == 0) | (b == 0), 0.0, a * b).sum(axis=1)

    whole = matmul(p, q)
    return jax.lax.cond(jnp.isnan(whole).any(), again, lambda p, q: whole, p, q)


def _nested(program: Program, numbers: Any) -> Any:
    layout = program.result
    leaves = [numbers[start:stop].reshape(shape or ()) for shape, start, stop in layout.parts]
    return leaves[0] if layout.spec is None else layout.spec.unflatten(leaves)


def _reading(jax: Any, jnp: Any) -> ArrayReading:
    special = jax.scipy.special
    names = (
        "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "hypot", "sin", "cos", "tan",
        "sinh", "cosh", "tanh", "where", "less", "less_equal", "equal", "abs",
    )  # fmt: skip
    return ArrayReading(
        {name: getattr(jnp, name) for name in names}
        | {
            "asin": jnp.arcsin,
            "acos": jnp.arccos,
            "atan": jnp.arctan,
            "atan2": jnp.arctan2,
            "pow": jnp.power,
            "erf": special.erf,
            "erfc": special.erfc,
            "lgamma": special.gammaln,
            "polygamma": special.polygamma,
            "unequal": jnp.not_equal,
            "both": jnp.logical_and,
            "either": jnp.logical_or,
            "sum": lambda x: jnp.sum(x, axis=1, keepdims=True),
            "max": lambda x: jnp.max(x, axis=1, keepdims=True),
        }
    )
