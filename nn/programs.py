"""Batches as programs: what `nn.fit` runs in place of a graph for each sample.

A model's cost of one sample is traced once (`autograd_bp.trace`); each batch is then lanes over
that program. Parameters stay the Values that they are: their data go in, gradients come back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from autograd_bp import gradients, mean
from autograd_bp.context import current
from autograd_bp.ops import CODES, TABLE
from autograd_bp.value import run_hooks
from nn.checks import uninterrupted
from nn.losses import LOSSES, bce
from nn.modules import MLP, Module

__all__ = ["BatchProgram", "batch_program"]


def batch_program(
    model: Module,
    loss: Callable[[Any, Any], Any],
    rows: Sequence[Sequence[float]],
    targets: Sequence[Any],
    eager: bool | None,
) -> BatchProgram | None:
    """The program for `nn.fit`, or None to train eagerly.

    With ``eager`` None there is a program where it surely does what model and loss do. With
    False there is one, or the error that says why not.
    """
    is_known = _is_known(model, loss, targets)
    if eager or (eager is None and not is_known):
        return None
    return BatchProgram(model, loss, rows, targets, is_known)


def _is_known(model: Module, loss: Callable[[Any, Any], Any], targets: Sequence[Any]) -> bool:
    """Whether nothing is missed by a trace, which is one path for all samples.

    A trace does not see what code reads from ``.data``, and raises no error for one sample among
    many. What an `MLP` and the losses of `nn` do is known.
    """
    if find_spec("numpy") is None or current().derivative_watchers or current().watchers:
        return False  # whoever watches wants to see nodes
    if type(model) is not MLP or loss not in LOSSES:
        return False
    activations = [layer.activation for layer in model.layers]
    if loss is bce and activations[-1] != "sigmoid":
        return False  # outputs may leave 0 to 1, where bce raises
    if any(name in CODES and TABLE[CODES[name]].domain for name in activations):
        return False  # samples may leave the domain, where eager raises
    kinds = {len(t) if isinstance(t, list) else type(t) for t in targets}
    return len(kinds) == 1 or kinds == {int, float}


class BatchProgram:
    """The mean cost of some of the samples, its gradients, and the model's outputs.

    ``rows`` and ``targets`` are as `nn.fit` has them, targets all numbers or all lists.
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[[Any, Any], Any],
        rows: Sequence[Sequence[float]],
        targets: Sequence[Any],
        is_known: bool,
    ) -> None:
        with uninterrupted():  # NumPy cannot be imported again after half an import
            import numpy as np

            from autograd_bp import trace

        self.parameters = model.parameters()
        row, target = list(rows[0]), targets[0]
        example = list(target) if isinstance(target, list) else float(target)
        self._cost = trace(lambda _, x, t: loss(model(x), t), self.parameters, row, example)
        self._outputs = trace(lambda _, x: model(x), self.parameters, row)
        self._rows, self._targets = np.array(rows), np.array(targets, float)
        self._array = np.array
        if not is_known:
            self._compare(lambda i: loss(model(rows[i]), targets[i]))

    def run(
        self, batch: Sequence[int], with_grads: bool, with_outputs: bool
    ) -> tuple[float, list[float], list[Any]] | None:
        """The cost of samples, its gradient by each parameter, and the outputs for each sample.

        What is not asked for is empty. None if a number is not finite.
        """
        found = self._map(self._cost, batch, reduce="mean", grad=with_grads)
        cost, grads = found if with_grads else (found, [])
        if not all(map(math.isfinite, (cost, *grads))):
            return None
        return cost, grads, self._outputs_of(batch) if with_outputs else []

    def _outputs_of(self, batch: Sequence[int]) -> list[Any]:
        found = self._map(self._outputs, batch)
        several = found if isinstance(found, (list, tuple)) else [found]
        rows = list(zip(*[column.tolist() for column in several], strict=True))
        return [row[0] for row in rows] if len(several) == 1 else [list(row) for row in rows]

    def add(self, grads: Sequence[float]) -> None:
        """Add gradients onto the parameters, as a backward pass does."""
        for p, g in zip(self.parameters, grads, strict=True):
            p.grad = p.grad + run_hooks(p, g)

    def _map(self, program: Any, batch: Sequence[int], **options: Any) -> Any:
        which = list(batch)
        data = self._array([p.data for p in self.parameters])
        lanes = [self._rows[which], self._targets[which]][: len(program.arguments) - 1]
        return program.map(data, *lanes, **options)

    def _compare(self, eager_loss: Callable[[int], Any]) -> None:
        """Raise ValueError unless the first samples give what they give eagerly."""
        batch = range(min(len(self._rows), 8))
        cost = mean([eager_loss(i) for i in batch])
        expected = [cost.data, *gradients(cost, self.parameters)]
        found, grads, _ = self.run(batch, True, False) or (math.nan, [], [])
        for a, b in zip([found, *grads], expected, strict=False):
            if not math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9):
                raise ValueError(
                    f"eager=False does not fit this model or loss: over the first {len(batch)} "
                    f"samples a program computes {a}, eager training {b}. A trace is one path for "
                    "all samples: choose with where() instead of reading .data, let nothing be "
                    "random, or train with eager=True"
                )
