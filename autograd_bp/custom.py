"""Operations that the table lacks: with derivatives of your own, by an equation, or condensed.

Each is one node, whose rule states its local derivatives as functions that work on numbers
and on Values alike. So pictures, backward, and every transformation to any order follow.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from autograd_bp.tape import Tape
from autograd_bp.transforms import gradients, jvp
from autograd_bp.trees import flatten
from autograd_bp.value import Number, Value, no_grad, restore, topological_boundary, watch

__all__ = ["checkpoint", "custom", "implicit"]


class Rule:
    """The operation of a node that no row of the table describes.

    ``derivatives(*operands, y)`` gives ∂y/∂operand for each operand, on numbers or on Values.
    """

    def __init__(self, name: str, derivatives: Callable[..., Sequence[Number]]) -> None:
        self.name = name
        self.notation = f"{name}(…)"
        self.derivatives = derivatives

    def node(self, operands: Sequence[Number], y: float) -> Number:
        """The result y as a node, if some operand is one."""
        if not any(isinstance(x, Value) for x in operands):
            return y
        numbers = [x.data if isinstance(x, Value) else x for x in operands]
        d = [_plain(g) for g in self.derivatives(*numbers, y)]
        if len(d) != len(operands):
            raise ValueError(
                f"the derivative of {self.name} must return one number for each of its "
                f"{len(operands)} operands, got {len(d)}"
            )
        grads = [g for g, x in zip(d, operands, strict=True) if isinstance(x, Value)]
        return restore(self, tuple(operands), y, grads)

    def partials(self, operands: Sequence[Number], y: Value) -> Sequence[Number]:
        """∂y/∂operand as graphs."""
        return self.derivatives(*operands, y)

    def rates(self, point: Sequence[float], y: float, tangents: Sequence[float]) -> list[float]:
        """How each ∂y/∂operand changes along the tangents of the operands and of y."""
        d, change = jvp(
            lambda *names: [x * 1.0 for x in self.derivatives(*names)], (*point, y), tangents
        )
        return list(change)
