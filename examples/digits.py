"""Train a sigmoid MLP to read handwritten digits: 1,797 real images of 8×8 pixels.

The data are from the UCI repository: Optical Recognition of Handwritten Digits. A fifth is held
out. Every weight is a scalar Value, every image a scalar graph.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import datasets
import matplotlib
import numpy as np

from autograd_bp import compiled
from nn import MLP, Adam, cross_entropy, fit, predict
from nn.plots import written

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main(
    out: Path = Path("out"), epochs: int = 12, samples: int = 1797, progress: bool = True
) -> float:
    """Train, draw the confusion matrix; return the held-out accuracy."""
    X, y = (rows[:samples] for rows in datasets.digits())
    X, X_test, y, y_test = datasets.held_out(X, y, part=0.2, seed=0)

    # One hidden layer of sigmoids; the last layer is linear, since softmax is in the loss.
    model = MLP(64, [32, 10], activation=["sigmoid", "linear"], seed=0)
    engine = "compiled" if compiled else "interpreted: this is slower"
    print(f"digits: {len(X)} images, {len(model.parameters())} parameters ({engine})")
    fit(
        model, X, y, loss=cross_entropy, optimizer=Adam(model.parameters(), lr=0.01),
        epochs=epochs, batch_size=32, seed=0, progress=progress,
    )  # fmt: skip
    predicted = predict(model, X_test)
    right = float(np.mean(np.array(predicted) == y_test))
    print(f"digits: held-out accuracy {right:.1%} on {len(X_test)} images")

    counts = np.zeros((10, 10), int)
    np.add.at(counts, (y_test, np.array(predicted)), 1)
    figure, axes = plt.subplots(figsize=(6.4, 5.6), layout="constrained")
    figure.colorbar(axes.imshow(counts, cmap="Blues"))
    for (i, j), n in np.ndenumerate(counts):
        shade = "white" if n > counts.max() / 2 else "black"
        axes.text(j, i, str(n), ha="center", va="center", color=shade)
    axes.set(
        title=f"Handwritten digits, held out: {right:.1%} right", xlabel="predicted digit",
        ylabel="true digit", xticks=range(10), yticks=range(10),
    )  # fmt: skip
    print(f"confusion matrix: {written(figure, out / 'digits_confusion.png')}")
    return right


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--samples", type=int, default=1797, help="use only the first so many")
    arguments = parser.parse_args()
    main(arguments.out, arguments.epochs, arguments.samples)
