"""Pictures of a training on a table, by matplotlib: what `nn.tables.train` writes beside the model.

Names come from files, so they are cut to length and never read as mathematics.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autograd_bp.files import write_whole
from nn.history import History

__all__ = ["plots"]

LONGEST = 16  # characters of a class's name


def plots(
    out: Path,
    history: History,
    actual: Sequence[Any],
    predicted: Sequence[Any],
    classes: Sequence[str],
) -> list[Path]:
    """Write loss.png and held_out.png into a folder; return their paths, none without matplotlib.

    The first is the loss by epoch. The second has what was predicted for the held-out rows
    against what is: counts by class, or points if there are no ``classes``.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        return []
    mpl.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    epochs = range(1, len(history.loss) + 1)  # as the history and the training page count them
    axes.semilogy(epochs, history.loss, label="training")
    axes.semilogy(epochs, history.val_loss, label="held out")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="cross-entropy" if classes else "squared error", title="Loss")
    axes.grid(alpha=0.3)
    axes.legend()
    files = [written(figure, out / "loss.png")]

    figure, axes = pyplot.subplots(figsize=(6, 5.4), layout="constrained")
    if classes:
        _confusion(axes, actual, predicted, classes)
    else:
        _scatter(axes, actual, predicted)
    axes.set_title("Held-out rows")
    return [*files, written(figure, out / "held_out.png")]


def _confusion(
    axes: Any, actual: Sequence[str], predicted: Sequence[str], classes: Sequence[str]
) -> None:
    counts = [[0] * len(classes) for _ in classes]
    for a, p in zip(actual, predicted, strict=True):
        counts[classes.index(a)][classes.index(p)] += 1
    axes.imshow(counts, cmap="Blues")
    most = max(map(max, counts))
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            colour = "white" if 2 * count > most else "black"
            axes.text(j, i, str(count), ha="center", va="center", color=colour)
    names = [_shown(name) for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=45 if len(max(names, key=len)) > 3 else 0)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="actual")


def _scatter(axes: Any, actual: Sequence[float], predicted: Sequence[float]) -> None:
    axes.scatter(actual, predicted, s=14, alpha=0.7)
    ends = [min(actual), max(actual)]
    axes.plot(ends, ends, color="black", linewidth=1)
    axes.set(xlabel="actual", ylabel="predicted")


def _shown(name: str) -> str:
    name = "".join(c if c.isprintable() else " " for c in name)
    name = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    return name.replace("$", r"\$")


def written(figure: Any, path: Path) -> Path:
    """Write a figure as a PNG, whole or not at all, and close it; return its path."""
    from matplotlib import pyplot

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=150)
    pyplot.close(figure)
    return write_whole(path, drawn.getvalue())
