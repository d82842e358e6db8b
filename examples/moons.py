"""Train a sigmoid MLP to tell two moons apart, and draw where it decides.

The data are two interleaving half circles, with noise. A quarter of the points is held out: the
accuracy printed last is on points that training has not seen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from datasets import held_out, moons

from nn import MLP, History, accuracy, bce, fit, outputs
from nn.plots import written

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main(out: Path = Path("out"), epochs: int = 150, progress: bool = True) -> float:
    """Train, draw the loss and the decision boundary; return the held-out accuracy."""
    X, X_test, y, y_test = held_out(*moons(400, noise=0.1, seed=0), part=0.25, seed=0)

    # Two hidden layers of sigmoids and a sigmoid output: the probability of class 1.
    model = MLP(2, [16, 16, 1], activation="sigmoid", seed=0)
    history = fit(
        model, X, y, loss=bce, epochs=epochs, batch_size=25, validation=(X_test, y_test), seed=0,
        progress=progress,
    )  # fmt: skip
    right = accuracy(model, X_test, y_test, bce)
    print(f"moons: held-out accuracy {right:.1%} on {len(X_test)} points")

    out.mkdir(parents=True, exist_ok=True)
    draw_loss(history, out / "moons_loss.png")
    draw_boundary(model, X_test, y_test, out / "moons_boundary.png")
    return right


def draw_loss(history: History, path: Path) -> None:
    """The loss by epoch, on the training and the held-out points."""
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    axes.semilogy(history.loss, label="training")
    axes.semilogy(history.val_loss, label="held out")
    axes.set(xlabel="epoch", ylabel="cross-entropy", title="Two moons: the loss falls")
    axes.grid(alpha=0.3)
    axes.legend()
    print(f"loss curve: {written(figure, path)}")


def draw_boundary(model: MLP, X: np.ndarray, y: np.ndarray, path: Path) -> None:
    """The probability of class 1 over the plane, with the held-out points on it."""
    (left, bottom), (right, top) = X.min(axis=0) - 0.4, X.max(axis=0) + 0.4
    across, up = np.meshgrid(np.linspace(left, right, 80), np.linspace(bottom, top, 60))
    probability = outputs(model, np.column_stack([across.ravel(), up.ravel()]))
    field = np.reshape(probability, across.shape)

    figure, axes = plt.subplots(figsize=(7, 4.8), layout="constrained")
    shades = axes.contourf(
        across, up, field, levels=np.linspace(0, 1, 21), cmap="RdBu_r", alpha=0.8
    )
    axes.contour(across, up, field, levels=[0.5], colors="black", linewidths=1.5)
    for k, colour, marker in ((0, "#053061", "o"), (1, "#67001f", "s")):
        points = X[y == k]
        axes.scatter(
            points[:, 0], points[:, 1], c=colour, marker=marker, edgecolors="white", s=36,
            label=f"class {k}",
        )  # fmt: skip
    figure.colorbar(shades, label="a[3][0]: probability of class 1", ticks=np.linspace(0, 1, 6))
    axes.set(title="Two moons: where a 2-16-16-1 sigmoid MLP decides", xlabel="x[0]", ylabel="x[1]")
    axes.legend(loc="upper right")
    print(f"decision boundary: {written(figure, path)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the pictures")
    parser.add_argument("--epochs", type=int, default=150)
    arguments = parser.parse_args()
    main(arguments.out, arguments.epochs)
