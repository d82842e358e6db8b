"""Train a sigmoid MLP to read handwritten digits: 1,797 real images of 8×8 pixels.

The data ship with scikit-learn (from the UCI repository's Optical Recognition of Handwritten
Digits). A fifth is held out. Every weight is a scalar Value, every image a scalar graph.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split

from autograd_bp import compiled
from nn import MLP, Adam, cross_entropy, fit, predict
from nn.plots import written

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main(
    out: Path = Path("out"), epochs: int = 12, samples: int = 1797, progress: bool = True
) -> float:
    """Train, draw the confusion matrix; return the held-out accuracy."""
    digits = load_digits()
    X, y = digits.data[:samples] / 16.0, digits.target[:samples]  # pixels are 0 to 16
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.2, random_state=0, stratify=y)

    # One hidden layer of sigmoids; the last layer is linear, since softmax is in the loss.
    model = MLP(64, [32, 10], activation=["sigmoid", "linear"], seed=0)
    engine = "compiled" if compiled else "interpreted: this is slower"
    print(f"digits: {len(X)} images, {len(model.parameters())} parameters ({engine})")
    fit(
        model, X, y, loss=cross_entropy, optimizer=Adam(model.parameters(), lr=0.01),
        epochs=epochs, batch_size=32, seed=0, progress=progress,
    )  # fmt: skip
    predicted = predict(model, X_test)
    held_out = float(np.mean(np.array(predicted) == y_test))
    print(f"digits: held-out accuracy {held_out:.1%} on {len(X_test)} images")

    figure, axes = plt.subplots(figsize=(6.4, 5.6), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(y_test, predicted, ax=axes, cmap="Blues")
    axes.set(title=f"Handwritten digits, held out: {held_out:.1%} right")
    print(f"confusion matrix: {written(figure, out / 'digits_confusion.png')}")
    return held_out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--samples", type=int, default=1797, help="use only the first so many")
    arguments = parser.parse_args()
    main(arguments.out, arguments.epochs, arguments.samples)
