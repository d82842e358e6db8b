"""Losses of one sample, each a node or a few; the cost of a batch is their `autograd_bp.mean`.

Outputs are Values or plain numbers, one or a list, as a model gives them, and targets are as
many. With several outputs the loss is the mean over them, as PyTorch has it by default. If all
are plain numbers, so is the result. Each docstring states the formula for one output.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, SupportsIndex, TypeAlias

from autograd_bp import Number, Value, dot, log, logsumexp, maximum, mean, relu, softplus
from autograd_bp.value import is_symbolic

__all__ = ["bce", "bce_with_logits", "cross_entropy", "hinge", "mse"]

Outputs: TypeAlias = Number | Sequence[Number]

TINY = math.exp(-100.0)  # PyTorch's floor: no logarithm in `bce` is below −100


def mse(outputs: Outputs, targets: Outputs) -> Any:
    """Mean squared error, Σₖ (yₖ − tₖ)² / n over the n outputs of the sample.

    >>> mse(Value(0.5), 1.0).data
    0.25
    >>> mse([1.0, 2.0], [1.0, 0.0])
    2.0
    """
    return _mean(_squared_error, outputs, targets, "mse")


def bce(outputs: Outputs, targets: Outputs) -> Any:
    """Binary cross-entropy of probabilities p, −(t·ln p + (1 − t)·ln(1 − p)).

    Outputs and targets are from 0 to 1. As in PyTorch the logarithms are −100 at least, so that
    the loss is finite where p has been rounded to 0 or 1. There the gradient is 0: train with
    `bce_with_logits` if outputs get that far.

    >>> round(bce(Value(0.8), 1).data, 4)  # −ln 0.8
    0.2231
    """
    return _mean(_binary_cross_entropy, outputs, targets, "bce")


def bce_with_logits(outputs: Outputs, targets: Outputs) -> Any:
    """Binary cross-entropy of p = σ(z) from the logits z, (1 − t)·softplus(z) + t·softplus(−z).

    It is `bce(σ(z), t)`, exact where σ(z) is 0 or 1 to rounding. Targets are from 0 to 1.

    >>> bce_with_logits(Value(-800.0), 1).data
    800.0
    """
    return _mean(_binary_cross_entropy_of_logit, outputs, targets, "bce_with_logits")


def hinge(outputs: Outputs, targets: Outputs) -> Any:
    """The margin loss of a support vector machine, max(0, 1 − t·y), for labels t = ±1.

    The derivative is 0 where t·y is exactly 1.

    >>> hinge(Value(0.25), -1).data
    1.25
    """
    return _mean(_margin, outputs, targets, "hinge")


def cross_entropy(outputs: Sequence[Number], target: int | Value | Sequence[Number]) -> Any:
    """Cross-entropy of softmax(z) from the logits z, ln Σₖ exp zₖ − Σₖ tₖ·zₖ.

    ``target`` is the index of the class (t is 1 there and 0 elsewhere), or the list t of the
    classes' probabilities. A Value is an index, which may be traced (`autograd_bp.take`).

    >>> round(cross_entropy([Value(1.0), Value(2.0), Value(3.0)], 2).data, 4)
    0.4076
    >>> round(cross_entropy([1.0, 2.0, 3.0], [0.0, 0.0, 1.0]), 4)
    0.4076
    """
    logits = _list(outputs)
    if len(logits) < 2:
        raise ValueError(
            f"cross_entropy takes a list of one logit per class, got {outputs!r}; "
            "for a single output use bce_with_logits, or give the model two"
        )
    if isinstance(target, Value):
        from autograd_bp import take  # here, since it needs NumPy

        return logsumexp(logits) - take(logits, target)
    if isinstance(target, bool) or not isinstance(target, SupportsIndex):
        return logsumexp(logits) - dot(_probabilities(target, len(logits)), logits)
    k = operator.index(target)
    if not 0 <= k < len(logits):
        raise ValueError(
            f"target must be the index of a class, 0 to {len(logits) - 1} for these "
            f"{len(logits)} logits, got {k}"
        )
    return logsumexp(logits) - logits[k]


LOSSES = (bce, bce_with_logits, cross_entropy, hinge, mse)

# --- one output -----------------------------------------------------------------------------------


def _squared_error(y: Any, t: Any) -> Any:
    return (y - t) ** 2


def _binary_cross_entropy(p: Any, t: Any) -> Any:
    _check_unit(p, "outputs of bce", "for logits use bce_with_logits, or end in a sigmoid")
    _check_unit(t, "targets of bce", "for labels -1 and 1 use hinge")
    return -dot([t, 1.0 - t], [log(maximum(p, TINY)), log(maximum(1.0 - p, TINY))])


def _binary_cross_entropy_of_logit(z: Any, t: Any) -> Any:
    _check_unit(t, "targets of bce_with_logits", "for labels -1 and 1 use hinge")
    return dot([1.0 - t, t], [softplus(z), softplus(-z)])


def _margin(y: Any, t: Any) -> Any:
    if abs(_number(t, "targets of hinge")) != 1.0 and not is_symbolic(t):
        raise ValueError(
            f"targets of hinge must be -1 or 1, got {t!r}; write 2*t - 1 for labels 0 and 1"
        )
    return relu(1.0 - t * y)


# --- what comes from outside ----------------------------------------------------------------------


def _mean(loss: Callable[[Any, Any], Any], outputs: Outputs, targets: Outputs, name: str) -> Any:
    """The mean of a loss over the outputs of a sample; for one output, the loss itself."""
    ys, ts = _list(outputs), _list(targets)
    if len(ys) != len(ts) or not ys:
        raise ValueError(
            f"{name} takes as many targets as outputs, at least one; got {len(ys)} outputs and "
            f"{len(ts)} targets. For the index of a class use cross_entropy."
        )
    losses = [loss(y, t) for y, t in zip(ys, ts, strict=True)]
    return losses[0] if len(losses) == 1 else mean(losses)


def _list(x: Any) -> list[Any]:
    if hasattr(x, "tolist"):
        x = x.tolist()
    return list(x) if isinstance(x, Sequence) and not isinstance(x, str) else [x]


def _number(x: Any, what: str) -> float:
    """The data of a node, or a plain number; NaN is left to show in the loss, as in a trace."""
    if not isinstance(x, (Value, Real)):
        raise TypeError(f"{what} must be numbers or Values, got {x!r} of type {type(x).__name__}")
    return math.nan if is_symbolic(x) else float(x.data if isinstance(x, Value) else x)


def _check_unit(x: Any, what: str, way_out: str) -> None:
    number = _number(x, what)
    if number < 0.0 or number > 1.0:
        raise ValueError(f"{what} must be from 0 to 1, got {x!r}; {way_out}")


def _probabilities(target: Any, n: int) -> list[Any]:
    ts = _list(target)
    if len(ts) != n:
        raise ValueError(
            f"target must be the index of a class (an int) or a list of {n} probabilities, "
            f"got {target!r}; write int(target) for an index that is a float"
        )
    numbers = [_number(t, "probabilities in target") for t in ts]
    known = not any(map(is_symbolic, ts))
    if known and (min(numbers) < 0.0 or not abs(sum(numbers) - 1.0) < 1e-6):
        raise ValueError(
            f"target must be probabilities, not negative and with sum 1, got {target!r}"
        )
    return ts
