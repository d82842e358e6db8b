"""The first examples run, and reach what they promise."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")


def test_expression(tmp_path):
    import expression

    for grad, estimate in expression.main(tmp_path).values():
        assert grad == pytest.approx(estimate, rel=1e-6)
    assert (tmp_path / "expression.svg").stat().st_size > 0


def test_neuron_graph(tmp_path):
    import neuron_graph

    neuron_graph.main(tmp_path)
    assert (tmp_path / "neuron.svg").stat().st_size > 0


def test_the_data_are_those_of_scikit_learn():
    import datasets
    from sklearn.datasets import load_digits, make_moons

    X, y = datasets.digits()
    theirs = load_digits()
    assert (theirs.data == X * 16).all()
    assert (y == theirs.target).all()
    X, y = datasets.moons(400, noise=0.0, seed=0)
    expected, labels = make_moons(400, shuffle=False)
    np.testing.assert_allclose(X, expected, atol=1e-15)
    assert (y == labels).all()
    rows = np.arange(10.0)[:, None]
    X, X_test, y, y_test = datasets.held_out(rows, rows[:, 0], part=0.3, seed=1)
    assert len(X_test) == 3
    assert sorted([*y, *y_test]) == rows[:, 0].tolist()
    assert (X[:, 0] == y).all()
    assert (X_test[:, 0] == y_test).all()


def test_moons(tmp_path):
    import moons

    assert moons.main(tmp_path, epochs=120, progress=False) >= 0.97
    assert {p.name for p in tmp_path.iterdir()} == {"moons_loss.png", "moons_boundary.png"}


def test_digits(tmp_path):
    import digits

    assert digits.main(tmp_path, epochs=4, samples=700, progress=False) >= 0.85
    assert (tmp_path / "digits_confusion.png").stat().st_size > 0
