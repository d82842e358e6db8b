"""What a training saw, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

from nn.display import curves

__all__ = ["History"]


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
        charts = []
        for name in ("loss", "accuracy"):
            lists = ("training", getattr(self, name)), ("validation", getattr(self, f"val_{name}"))
            lines = [(of, numbers) for of, numbers in lists if numbers]
            if lines:
                charts.append((name, lines))
        return f"<p>{escape(repr(self))}</p>{curves(charts) if charts else ''}"
