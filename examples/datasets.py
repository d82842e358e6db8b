"""The data of the first examples: two moons, handwritten digits. NumPy alone is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

DIGITS = Path(__file__).parent / "data" / "digits.csv.gz"


def moons(n: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two interleaving half circles of n/2 points each, with noise; and which one each is on."""
    angle = np.linspace(0.0, np.pi, n // 2)
    outer = np.column_stack([np.cos(angle), np.sin(angle)])
    X = np.concatenate([outer, [1.0, 0.5] - outer])
    y = np.repeat([0, 1], n // 2)
    return X + np.random.default_rng(seed).normal(0.0, noise, X.shape), y


def digits() -> tuple[np.ndarray, np.ndarray]:
    """1,797 images of 8×8 pixels from 0 to 1, a row each; and the digits that they show."""
    rows = np.loadtxt(DIGITS, delimiter=",")
    return rows[:, :-1] / 16.0, rows[:, -1].astype(int)


def held_out(
    X: np.ndarray, y: np.ndarray, part: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The rows in random order; the last part of them apart: X, X_test, y, y_test."""
    order = np.random.default_rng(seed).permutation(len(X))
    rest, test = np.split(order, [len(X) - round(part * len(X))])
    return X[rest], X[test], y[rest], y[test]
