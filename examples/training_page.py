"""Train on two moons and write the training as a page to scrub through, training.html.

    python examples/training_page.py --out out

Open the page in any browser: slide through the training, click on a sample to see its forward
and backward pass, on a neuron to see where its δ came from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split

from nn import MLP, Adam, bce, fit


def main(out: Path = Path("out"), epochs: int = 120, progress: bool = True) -> Path:
    """Train, and return where the page is."""
    X, y = make_moons(n_samples=400, noise=0.1, random_state=0)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=0, stratify=y)
    model = MLP(2, [8, 8, 1], activation=["tanh", "tanh", "sigmoid"], seed=0)
    path = out / "training.html"
    history = fit(
        model, X, y, loss=bce, optimizer=Adam(model.parameters(), lr=0.02), epochs=epochs,
        batch_size=25, validation=(X_test, y_test), seed=0, progress=progress, record=path,
    )  # fmt: skip
    print(f"moons: held-out accuracy {history.val_accuracy[-1]:.1%}")
    print(f"the training as a page: {path}")
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the page")
    parser.add_argument("--epochs", type=int, default=120)
    arguments = parser.parse_args()
    main(arguments.out, arguments.epochs)
