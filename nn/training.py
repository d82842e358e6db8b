"""Training in minibatches.

>>> from nn import MLP, bce_with_logits, predict
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
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from autograd_bp import Value, mean, no_grad
from autograd_bp.context import is_recording
from autograd_bp.text import printable
from nn.checks import count, uninterrupted
from nn.classes import accuracy, class_of, labels_of, outputs, plain, predict
from nn.data import Loss, Output, check_targets, check_width, fingerprint, identity, pair, samples
from nn.history import History
from nn.losses import LOSSES, bce_with_logits, cross_entropy, hinge, mse
from nn.modules import MLP, Module
from nn.optim import Adam, Optimizer
from nn.programs import batch_program
from nn.saving import Checkpoint

__all__ = ["History", "accuracy", "fit", "outputs", "predict"]

LIMITS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
"""Between what an activation's numbers lie."""


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
    within `no_grad`, where nothing can be learnt. Warns where the last layer's sigmoid or tanh
    keeps an `MLP` from what the loss asks for.
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
    rows, targets = samples(X, y, "X", "y")
    n = len(rows)
    if validation is not None:
        val_rows, val_targets = samples(*pair(validation), "validation[0]", "validation[1]")
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
    check_width(model, rows[0], "X")
    check_width(model, rows[-1], "validation[0]")
    output = outputs(model, rows[:1])[0]
    check_targets(loss, output, targets, n)
    _warn_of_limits(model, loss, targets[:n])
    labels, threshold = labels_of(model, loss, output, targets)

    saved = None
    if checkpoint is not None:
        run_is = {
            "data": fingerprint(rows, targets),
            "validation": len(rows) - n,
            "batch_size": batch_size,
            **identity(loss, output, targets[0]),
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
        right = count_right(batch, [plain(y) for y in results])
        if learn:
            optimizer.zero_grad()
            node.backward()
            _check_gradients(optimizer, where)
        return node.data, right

    def count_right(batch: Sequence[int], results: list[Output]) -> int:
        if labels is None:
            return 0
        found = [class_of(result, threshold) for result in results]
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
            from nn.training_page import TrainingPage

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
