"""Training in minibatches, and what a trained model says.

>>> from nn import MLP, bce_with_logits
>>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
>>> model = MLP(2, [4, 1], activation=["tanh", "linear"], seed=0)
>>> history = fit(model, X, y, loss=bce_with_logits, epochs=300, seed=0, progress=False)
>>> predict(model, X)
[0, 1, 1, 0]
>>> history.accuracy[-1]
1.0
"""

from __future__ import annotations

import math
import os
import random
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeAlias

from autograd_bp import Value, mean, no_grad
from autograd_bp.context import is_recording
from autograd_bp.text import printable
from nn.losses import LOSSES, bce, bce_with_logits, cross_entropy, hinge, mse
from nn.modules import MLP, Module, count, finite, some, uninterrupted
from nn.optim import Adam, Optimizer
from nn.programs import batch_program
from nn.saving import Checkpoint, fingerprint

__all__ = ["History", "accuracy", "fit", "outputs", "predict"]

Loss: TypeAlias = Callable[[Any, Any], Any]
"""``loss(output of the model, target)`` gives a Value: one of `nn.losses`, or one's own."""

Output: TypeAlias = float | list[float]

LIMITS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
"""Between what an activation's numbers lie."""


@dataclass(repr=False)
class History:
    """What `fit` saw: one number per epoch in each list.

    ``loss`` and ``accuracy`` are means over the samples of an epoch, each measured when its
    batch came, so before the steps that followed. ``val_loss`` and ``val_accuracy`` are those
    of the validation set after the epoch. A list stays empty where there is nothing to tell:
    no validation set, or targets that are no classes.

    >>> History([0.7, 0.4, 0.1], [0.5, 0.8, 1.0])
    History(3 epochs: loss 0.7 → 0.1, accuracy 0.5 → 1)
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)

    def __repr__(self) -> str:
        changes = [
            f"{name} {numbers[0]:.4g} → {numbers[-1]:.4g}"
            for name, numbers in vars(self).items()
            if numbers
        ]
        n = len(self.loss)
        epochs = f"{n} epoch{'' if n == 1 else 's'}"
        return f"History({epochs}{': ' if changes else ''}{', '.join(changes)})"

    def _repr_html_(self) -> str:
        """The curves of the loss and the accuracy, as Jupyter shows them."""
        from nn.display import curves  # here, since few programs show themselves

        charts = []
        for name in ("loss", "accuracy"):
            lists = ("training", getattr(self, name)), ("validation", getattr(self, f"val_{name}"))
            lines = [(of, numbers) for of, numbers in lists if numbers]
            if lines:
                charts.append((name, lines))
        return f"<p>{escape(repr(self))}</p>{curves(charts) if charts else ''}"


def fit(
    model: Module,
    X: Any,
    y: Any,
    *,
    loss: Loss,
    epochs: int,
    optimizer: Optimizer | None = None,
    batch_size: int = 32,
    validation: tuple[Any, Any] | None = None,
    seed: int | None = None,
    progress: bool = True,
    history: History | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    eager: bool | None = None,
    record: str | os.PathLike[str] | None = None,
) -> History:
    """Train a model to give the targets ``y`` for the samples ``X``, and return what it saw.

    Each epoch takes all samples once, in an order that ``seed`` decides, in batches of
    ``batch_size`` (the last may be smaller). A batch is one backward pass from the mean of its
    losses, and one step of the optimizer, by default ``Adam(model.parameters(), lr=0.01)``.

    - ``X``: n rows of numbers, a list of lists or a NumPy array of shape (n, nin).
    - ``y``: n targets as the loss takes them: numbers, indices of classes, or lists of numbers.
    - ``validation``: a pair (X, y) to measure after each epoch; it is not trained on.
    - ``progress``: show a bar, with the loss and the accuracy of the epoch so far.
    - ``history``: go on from an earlier call and append to what it returned. With the same
      seed and optimizer, 5 epochs and 5 more are the same as 10.
    - ``checkpoint``: keep the run in this file (`nn.saving`), replaced after each epoch. Where
      the file is there already, go on from it until ``epochs`` are done in all: a script that
      was killed at any moment and is started again ends with the same numbers, bit for bit, as
      if it had not been. ValueError if the file is of another run: other data, another loss,
      batch size, seed, activation, optimizer or setting of it. A file has one run at a time:
      BlockingIOError if another goes on.
    - ``eager``: True builds a graph for each sample, which takes many times longer. By default
      an `MLP` with a loss of `nn` is traced once and its batches run as a program
      (`autograd_bp.trace`), if NumPy is installed; a model or a loss of one's own is run
      eagerly, since a trace is one path for all samples and does not see what code reads from
      ``.data``. False asks for a program for these too; its first batch is compared with the
      eager one. Numbers are the same to rounding either way.
    - ``record``: write a page to this path, "training.html", to scrub through the training:
      the decision boundary or predictions, the loss, the network with its weights, and the
      forward and backward pass of any sample. It is written also when training is interrupted.

    Ctrl-C raises KeyboardInterrupt as anywhere in Python, so a script or a notebook stops. The
    model is as after the last whole step: use it, or train on. To have the epochs before the
    interruption, pass ``history=History()`` and look there.

    Raises FloatingPointError when a loss or a gradient is infinite or NaN, with the model as
    it was before that batch; ValueError or TypeError for data that do not fit; RuntimeError
    within `no_grad`, where nothing can be learnt. Warns where the
    last layer's sigmoid or tanh keeps an `MLP` from what the loss asks for.
    """
    from tqdm.auto import tqdm  # here, since all else of nn does without

    if not callable(loss):
        known = [f"nn.{f.__name__}" for f in LOSSES]
        raise TypeError(f"loss must be a function, one of {', '.join(known)}; got {loss!r}")
    if not is_recording():
        raise RuntimeError(
            "fit within no_grad has no gradients to learn from: call it outside, or within "
            "autograd_bp.context.recording(), which switches them on again"
        )
    epochs, batch_size = count(epochs, "epochs"), count(batch_size, "batch_size")
    rows, targets = _samples(X, y, "X", "y")
    n = len(rows)
    if validation is not None:
        val_rows, val_targets = _samples(*_two(validation), "validation[0]", "validation[1]")
        rows, targets = rows + val_rows, targets + val_targets
    optimizer = Adam(model.parameters(), lr=0.01) if optimizer is None else optimizer
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer must be an Optimizer, got {optimizer!r}; write "
            "Adam(model.parameters(), lr=0.01), or SGD(model.parameters(), lr=0.1)"
        )
    if not set(optimizer.params) & set(model.parameters()):
        raise ValueError(
            "optimizer holds no parameter of model: it would train nothing. It was made for "
            "another model, or before this one; write Adam(model.parameters(), lr=0.01)"
        )
    history = History() if history is None else history
    _check_width(model, rows[0], "X")
    _check_width(model, rows[-1], "validation[0]")
    output = outputs(model, rows[:1])[0]
    _check_targets(loss, output, targets, n)
    _warn_of_limits(model, loss, targets[:n])
    labels, threshold = _labels(model, loss, output, targets)

    saved = None
    if checkpoint is not None:
        run_is = {
            "data": fingerprint(rows, targets),
            "validation": len(rows) - n,
            "batch_size": batch_size,
            **_identity(loss, output, targets[0]),
        }
        saved = Checkpoint(checkpoint, model, optimizer, history, run_is)

    program = batch_program(model, loss, rows, targets, eager)

    def run(batch: Sequence[int], where: str, learn: bool = True) -> tuple[float, int]:
        """The cost of some samples, and how many are classified right; sets the gradients."""
        found = None if program is None else program.run(batch, learn, labels is not None)
        if program is not None and found is not None:
            cost, grads, results = found
            if learn:
                optimizer.zero_grad()
                program.add(grads)
            return cost, count_right(batch, results)
        # Without a program, or where a number is not finite: then these errors say which.
        with nullcontext() if learn else no_grad():
            results = [model(rows[i]) for i in batch]
            node = mean([loss(y, targets[i]) for y, i in zip(results, batch, strict=True)])
        _check_cost(node, where, optimizer)
        right = count_right(batch, [_plain(y) for y in results])
        if learn:
            optimizer.zero_grad()
            node.backward()
            _check_gradients(optimizer, where)
        return node.data, right

    def count_right(batch: Sequence[int], results: list[Output]) -> int:
        if labels is None:
            return 0
        found = [_class(result, threshold) for result in results]
        return sum(labels[i] == k for i, k in zip(batch, found, strict=True))

    def means(loss_sum: float, right: int, seen: int) -> dict[str, float]:
        return {"loss": loss_sum / seen} | ({} if labels is None else {"accuracy": right / seen})

    with saved or nullcontext():
        if saved:
            seed = saved.resume(seed)
        elif seed is None:
            seed = random.randrange(2**32)
        done = len(history.loss)
        if saved:
            epochs = max(0, epochs - done)
        starts = range(0, n, batch_size)
        page = None
        if record is not None:
            from autograd_bp.steps.training import TrainingPage

            page = TrainingPage(
                record, model, loss, list(dict.fromkeys([*model.parameters(), *optimizer.params])),
                rows[:n], targets[:n], labels=labels, threshold=threshold,
                steps=epochs * len(starts), steps_per_epoch=len(starts), done=done,
            )  # fmt: skip
        bar = tqdm(total=epochs * len(starts), unit="batch", disable=not progress)
        with bar, page or nullcontext():
            for epoch in range(done, done + epochs):
                bar.set_description(f"epoch {epoch + 1}/{done + epochs}", refresh=False)
                order = list(range(n))
                random.Random(f"{seed} {epoch}").shuffle(order)
                loss_sum, right = 0.0, 0
                for start in starts:
                    batch = order[start : start + batch_size]
                    where = f"epoch {epoch + 1}, batch {start // batch_size + 1} of {len(starts)}"
                    cost, right_here = run(batch, where)
                    optimizer.step()
                    if page is not None:
                        page.step(cost)
                    loss_sum += cost * len(batch)
                    right += right_here
                    so_far = means(loss_sum, right, start + len(batch))
                    bar.set_postfix({k: f"{x:.4f}" for k, x in so_far.items()}, refresh=False)
                    bar.update()
                measured = means(loss_sum, right, n)
                if len(rows) > n:
                    where = f"validation after epoch {epoch + 1}"
                    cost, right = run(range(n, len(rows)), where, learn=False)
                    after = means(cost * (len(rows) - n), right, len(rows) - n)
                    measured |= {f"val_{name}": number for name, number in after.items()}
                with uninterrupted():  # a number for every list, or for none
                    for name, number in measured.items():
                        getattr(history, name).append(number)
                    if saved:
                        saved.write()
                if page is not None:
                    page.epoch(measured)
    return history


def outputs(model: Module, X: Any) -> list[Output]:
    """The model's outputs for each row of ``X`` as plain numbers; no graph is built.

    A number for each row, or a list of numbers if the model has several outputs.

    >>> outputs(MLP(2, [3, 1], activation="relu", seed=0), [[0.0, 0.0]])
    [0.0]
    """
    rows = _rows(X, "X")
    with no_grad():
        return [_plain(model(row)) for row in rows]


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
    threshold = _threshold(model, loss, (negative + positive) / 2)
    predicted = []
    for output in outputs(model, X):
        k = _class(output, threshold)
        predicted.append(k if isinstance(output, list) else positive if k else negative)
    return predicted


def accuracy(model: Module, X: Any, y: Any, loss: Loss | None = None) -> float:
    """The fraction of the samples that are classified right, as by `predict`: from 0 to 1.

    ``y`` are indices of classes or one-hot lists; for one output they are 0 and 1, or −1 and 1.
    ``loss`` is the loss of training.

    Raises ValueError for targets that are no classes.
    """
    rows, targets = _samples(X, y, "X", "y")
    found = outputs(model, rows)
    labels, threshold = _labels(model, loss, found[0], targets)
    if labels is None:
        n = len(found[0]) if isinstance(found[0], list) else 1
        accepted = f"0 to {n - 1}, or one-hot lists" if n > 1 else "0 and 1, or -1 and 1"
        raise ValueError(
            f"y must name classes, which are {accepted} for a model with {n} "
            f"output{'s' if n > 1 else ''}; got {some(sorted(set(map(str, targets))))}. "
            "To compare numbers use outputs(model, X)."
        )
    right = [_class(output, threshold) == k for output, k in zip(found, labels, strict=True)]
    return sum(right) / len(right)


# --- classes --------------------------------------------------------------------------------------


def _class(output: Output, threshold: float) -> int:
    """The index of the class that an output says; for a single output 0 or 1."""
    numbers = output if isinstance(output, list) else [output]
    if any(map(math.isnan, numbers)):
        raise FloatingPointError(
            f"the model's output is {output}, which says no class: "
            "its parameters, or the sample, are too large"
        )
    return numbers.index(max(numbers)) if len(numbers) > 1 else int(numbers[0] > threshold)


def _threshold(model: Module, loss: Loss | None, halfway: float) -> float:
    """Above which a single output says the second class; `predict` has the rule."""
    if loss is mse:
        return halfway
    ends_in_sigmoid = isinstance(model, MLP) and model.layers[-1].activation == "sigmoid"
    is_probability = loss is bce or (loss not in (bce_with_logits, hinge) and ends_in_sigmoid)
    return 0.5 if is_probability else 0.0


def _labels(
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
    return labels, _threshold(model, loss, (first + 1) / 2)


def _index(target: float | list[float]) -> float:
    """The index of the class that a target is, or that a one-hot list has its 1 at; else NaN."""
    if not isinstance(target, list):
        return target
    if len(target) == 1:
        return target[0]
    is_one_hot = sorted(target) == [0.0] * (len(target) - 1) + [1.0]
    return target.index(1.0) if is_one_hot else math.nan


# --- what comes from outside ----------------------------------------------------------------------


def _samples(X: Any, y: Any, x_name: str, y_name: str) -> tuple[list[Any], list[Any]]:
    rows = _rows(X, x_name)
    targets = y.tolist() if hasattr(y, "tolist") else y
    if not isinstance(targets, (list, tuple)):
        raise TypeError(f"{y_name} must be a list of targets or a NumPy array, got {y!r}")
    if len(targets) != len(rows):
        raise ValueError(
            f"{x_name} and {y_name} must be of the same length, a target for each sample; "
            f"got {len(rows)} samples and {len(targets)} targets"
        )
    return rows, [_target(t, f"{y_name}[{i}]") for i, t in enumerate(targets)]


def _rows(X: Any, name: str) -> list[tuple[float, ...]]:
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


def _check_width(model: Module, row: tuple[float, ...], name: str) -> None:
    if isinstance(model, MLP) and len(row) != model.layers[0].nin:
        raise ValueError(
            f"{name} must have rows of {model.layers[0].nin} numbers, as {model!r} takes; "
            f"got rows of {len(row)}"
        )


def _check_targets(loss: Loss, output: Output, targets: list[Any], n: int) -> None:
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


def _identity(loss: Loss, output: Output, target: Any) -> dict[str, Any]:
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


def _warn_of_limits(model: Module, loss: Loss, targets: list[Any]) -> None:
    """Say so where the last layer cannot give what the loss asks for, whatever the weights."""
    if not isinstance(model, MLP) or model.layers[-1].activation not in LIMITS:
        return
    name = model.layers[-1].activation
    low, high = LIMITS[name]
    reason = ""
    if loss in (bce_with_logits, cross_entropy) or (loss is hinge and low == 0.0):
        reason = f"{loss.__name__} takes logits, any numbers"
    elif loss is mse:
        numbers = [x for t in targets for x in (t if isinstance(t, list) else [t])]
        beyond = [x for x in numbers if not low <= x <= high]
        reason = f"there is a target {beyond[0]!r}" if beyond else ""
    if reason:
        names = [*(layer.activation for layer in model.layers[:-1]), "linear"]
        warnings.warn(
            f"the last layer's {name} gives numbers from {low:g} to {high:g} only, but {reason}: "
            f"make the model with activation={names}",
            UserWarning,
            stacklevel=3,
        )


def _two(validation: Any) -> tuple[Any, Any]:
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        raise TypeError(f"validation must be a pair (X, y), got {type(validation).__name__}")
    X, y = validation
    return X, y


def _check_cost(cost: Any, where: str, optimizer: Optimizer) -> None:
    if not isinstance(cost, Value):
        raise TypeError(
            f"loss must give a Value that depends on the model's output, got {cost!r}; "
            "do not take .data of it inside"
        )
    if not math.isfinite(cost.data):
        raise FloatingPointError(
            f"the loss became {cost.data} in {where}. Try a smaller learning rate "
            f"(now {optimizer!r}), inputs scaled to about -1 to 1, and a loss from logits "
            "(bce_with_logits, cross_entropy). The model is as before that batch."
        )


def _check_gradients(optimizer: Optimizer, where: str) -> None:
    for p in optimizer.params:
        if not math.isfinite(p.grad):
            raise FloatingPointError(
                f"the gradient of {printable(p.label) or repr(p)} became {p.grad} in {where}. Look "
                "for a derivative that is infinite, as that of sqrt at 0, and try a smaller "
                f"learning rate (now {optimizer!r}). The model is as before that batch."
            )


def _plain(result: Any) -> Output:
    """A model's output as numbers: one, or a list of several."""
    several = result if isinstance(result, (list, tuple)) else [result]
    numbers = [float(x.data if isinstance(x, Value) else x) for x in several]
    return numbers if len(numbers) > 1 else numbers[0]
