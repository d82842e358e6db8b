"""The samples and targets of a training, as they come from outside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from autograd_bp import Value
from nn.checks import finite
from nn.losses import LOSSES
from nn.modules import MLP, Module

__all__ = [
    "Loss", "Output", "check_targets", "check_width", "fingerprint", "identity", "pair", "rows_of",
    "samples",
]  # fmt: skip

Loss: TypeAlias = Callable[[Any, Any], Any]
"""``loss(output of the model, target)`` gives a Value: one of `nn.losses`, or one's own."""

Output: TypeAlias = float | list[float]
"""What a model says of one sample: a number, or a list of several."""


def samples(X: Any, y: Any, x_name: str, y_name: str) -> tuple[list[Any], list[Any]]:
    """Rows and as many targets, checked; messages call them by these names."""
    rows = rows_of(X, x_name)
    targets = y.tolist() if hasattr(y, "tolist") else y
    if not isinstance(targets, (list, tuple)):
        raise TypeError(f"{y_name} must be a list of targets or a NumPy array, got {y!r}")
    if len(targets) != len(rows):
        raise ValueError(
            f"{x_name} and {y_name} must be of the same length, a target for each sample; "
            f"got {len(rows)} samples and {len(targets)} targets"
        )
    return rows, [_target(t, f"{y_name}[{i}]") for i, t in enumerate(targets)]


def rows_of(X: Any, name: str) -> list[tuple[float, ...]]:
    """The samples as tuples of floats, all of the same length."""
    table = X.tolist() if hasattr(X, "tolist") else X
    if not isinstance(table, (list, tuple)):
        raise TypeError(
            f"{name} must be a list of rows or a NumPy array, got {type(X).__name__}; "
            f"write {name}.to_numpy() for a pandas DataFrame"
        )
    if not table:
        raise ValueError(f"{name} is empty: there are no samples")
    rows: list[tuple[float, ...]] = []
    for i, given in enumerate(table):
        row = given.tolist() if hasattr(given, "tolist") else given
        if not isinstance(row, (list, tuple)):
            raise TypeError(
                f"{name}[{i}] must be a row of numbers, got {given!r}; write [[x] for x in "
                f"{name}] if each sample is one number, [x] for a single sample x"
            )
        if rows and len(row) != len(rows[0]):
            raise ValueError(
                f"the rows of {name} must be of one length; {name}[0] has {len(rows[0])} "
                f"numbers, {name}[{i}] has {len(row)}"
            )
        rows.append(tuple([finite(x, f"{name}[{i}][{j}]") for j, x in enumerate(row)]))
    return rows


def _target(target: Any, name: str) -> Any:
    """A finite number, an int where it was one, or a list of floats."""
    t = target.tolist() if hasattr(target, "tolist") else target
    if isinstance(t, (list, tuple)):
        return [finite(x, f"{name}[{k}]") for k, x in enumerate(t)]
    if isinstance(t, str):
        raise TypeError(f"{name} must be a number, got {t!r}; number the classes 0, 1, 2, ...")
    if isinstance(t, int):
        return int(t)  # True and False are 1 and 0
    return finite(t, name)


def check_width(model: Module, row: tuple[float, ...], name: str) -> None:
    """Raise ValueError unless a row has as many numbers as an `MLP` takes."""
    if isinstance(model, MLP) and len(row) != model.layers[0].nin:
        raise ValueError(
            f"{name} must have rows of {model.layers[0].nin} numbers, as {model!r} takes; "
            f"got rows of {len(row)}"
        )


def check_targets(loss: Loss, output: Output, targets: list[Any], n: int) -> None:
    """Raise for the first target that a loss of `nn` refuses; those from n on are validation's."""
    if loss not in LOSSES:
        return
    half = Value(0.5)  # a probability, for bce
    like: Any = [half] * len(output) if isinstance(output, list) else half
    seen: set[Any] = set()
    for i, t in enumerate(targets):
        key = type(t), tuple(t) if isinstance(t, list) else t
        if key in seen:
            continue
        seen.add(key)
        try:
            loss(like, t)
        except (TypeError, ValueError) as error:
            name = f"y[{i}]" if i < n else f"validation[1][{i - n}]"
            raise type(error)(f"loss(output, {name}): {error}") from None


def pair(validation: Any) -> tuple[Any, Any]:
    """The X and y of ``validation``."""
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        raise TypeError(f"validation must be a pair (X, y), got {type(validation).__name__}")
    X, y = validation
    return X, y


def fingerprint(rows: Sequence[Any], targets: Sequence[Any]) -> str:
    """A text that differs for data that differ."""
    digest = hashlib.sha256(repr((rows, targets)).encode()).hexdigest()[:16]
    return f"{len(rows)} rows of {len(rows[0])} numbers, with targets: {digest}"


def identity(loss: Loss, output: Output, target: Any) -> dict[str, Any]:
    """What tells a loss from others: its name, and what it makes of a few outputs.

    The numbers tell functions of one name apart, such as partials, methods and lambdas.
    """
    found: list[float | None] = []
    for x in (0.5, 0.1, 0.9, -2.5, 7.0):
        given = [Value(x / (k + 1)) for k in range(len(output) if isinstance(output, list) else 1)]
        try:
            y = loss(given if isinstance(output, list) else given[0], target)
            found.append(float(f"{float(y.data):.9g}"))  # which no other machine rounds otherwise
        except (ArithmeticError, AttributeError, TypeError, ValueError):
            found.append(None)
    name = getattr(loss, "__name__", type(loss).__name__)
    return {"loss": name, "loss of a few outputs": found}
