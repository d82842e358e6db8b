"""What a trained model says: its outputs as numbers, and the classes that they name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from autograd_bp import Value, no_grad
from nn.checks import some
from nn.data import Loss, Output, rows_of, samples
from nn.losses import bce, bce_with_logits, hinge, mse
from nn.modules import MLP, Module

__all__ = ["accuracy", "class_of", "labels_of", "outputs", "plain", "predict"]


def outputs(model: Module, X: Any) -> list[Output]:
    """The model's outputs for each row of ``X`` as plain numbers; no graph is built.

    A number for each row, or a list of numbers if the model has several outputs.

    >>> outputs(MLP(2, [3, 1], activation="relu", seed=0), [[0.0, 0.0]])
    [0.0]
    """
    rows = rows_of(X, "X")
    with no_grad():
        return [plain(model(row)) for row in rows]


def predict(
    model: Module, X: Any, loss: Loss | None = None, classes: tuple[int, int] | None = None
) -> list[int]:
    """The class of each row of ``X``; with several outputs, the index of the largest.

    With one output it is the second of ``classes`` if the output is above a threshold, else the
    first. ``classes`` are (0, 1) unless given, or (−1, 1) for `hinge`. The ``loss`` of training
    says where the threshold is:

    - `bce`: 0.5, half a probability;
    - `bce_with_logits` and `hinge`: 0;
    - `mse`: halfway between the classes;
    - no loss, or one's own: 0.5 if an `MLP` ends in a sigmoid, else 0.

    Raises FloatingPointError where an output is NaN.

    >>> model = MLP(1, [1], activation="linear")
    >>> model.load_state_dict({"w[1][0][0]": 2.0, "b[1][0]": 1.0})
    >>> predict(model, [[0.0], [-1.0]], hinge)
    [1, -1]
    """
    negative, positive = classes or (-1 if loss is hinge else 0, 1)
    threshold = threshold_of(model, loss, (negative + positive) / 2)
    predicted = []
    for output in outputs(model, X):
        k = class_of(output, threshold)
        predicted.append(k if isinstance(output, list) else positive if k else negative)
    return predicted


def accuracy(model: Module, X: Any, y: Any, loss: Loss | None = None) -> float:
    """The fraction of the samples that are classified right, as by `predict`: from 0 to 1.

    ``y`` are indices of classes or one-hot lists; for one output they are 0 and 1, or −1 and 1.
    ``loss`` is the loss of training.

    Raises ValueError for targets that are no classes.
    """
    rows, targets = samples(X, y, "X", "y")
    found = outputs(model, rows)
    labels, threshold = labels_of(model, loss, found[0], targets)
    if labels is None:
        n = len(found[0]) if isinstance(found[0], list) else 1
        accepted = f"0 to {n - 1}, or one-hot lists" if n > 1 else "0 and 1, or -1 and 1"
        raise ValueError(
            f"y must name classes, which are {accepted} for a model with {n} "
            f"output{'s' if n > 1 else ''}; got {some(sorted(set(map(str, targets))))}. "
            "To compare numbers use outputs(model, X)."
        )
    right = [class_of(output, threshold) == k for output, k in zip(found, labels, strict=True)]
    return sum(right) / len(right)


def plain(result: Any) -> Output:
    """A model's output as numbers: one, or a list of several."""
    several = result if isinstance(result, (list, tuple)) else [result]
    numbers = [float(x.data if isinstance(x, Value) else x) for x in several]
    return numbers if len(numbers) > 1 else numbers[0]


def class_of(output: Output, threshold: float) -> int:
    """The index of the class that an output says; for a single output 0 or 1."""
    numbers = output if isinstance(output, list) else [output]
    if any(map(math.isnan, numbers)):
        raise FloatingPointError(
            f"the model's output is {output}, which says no class: "
            "its parameters, or the sample, are too large"
        )
    return numbers.index(max(numbers)) if len(numbers) > 1 else int(numbers[0] > threshold)


def threshold_of(model: Module, loss: Loss | None, halfway: float) -> float:
    """Above which a single output says the second class; `predict` has the rule."""
    if loss is mse:
        return halfway
    ends_in_sigmoid = isinstance(model, MLP) and model.layers[-1].activation == "sigmoid"
    is_probability = loss is bce or (loss not in (bce_with_logits, hinge) and ends_in_sigmoid)
    return 0.5 if is_probability else 0.0


def labels_of(
    model: Module, loss: Loss | None, output: Output, targets: list[Any]
) -> tuple[Sequence[float] | None, float]:
    """What `_class` should say for each target (None if some target is no class); a threshold.

    ``output`` is one of the model's, to tell how many outputs it has.
    """
    found = [_index(target) for target in targets]
    if isinstance(output, list):
        return (found if set(found) <= set(range(len(output))) else None), 0.0
    first = -1 if -1 in found else 0
    labels = [int(k == 1) for k in found] if set(found) <= {first, 1} else None
    return labels, threshold_of(model, loss, (first + 1) / 2)


def _index(target: float | list[float]) -> float:
    """The index of the class that a target is, or that a one-hot list has its 1 at; else NaN."""
    if not isinstance(target, list):
        return target
    if len(target) == 1:
        return target[0]
    is_one_hot = sorted(target) == [0.0] * (len(target) - 1) + [1.0]
    return target.index(1.0) if is_one_hot else math.nan
