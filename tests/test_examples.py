"""The first examples run, and reach what they promise."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
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


def test_moons(tmp_path):
    import moons

    assert moons.main(tmp_path, epochs=120, progress=False) >= 0.97
    assert {p.name for p in tmp_path.iterdir()} == {"moons_loss.png", "moons_boundary.png"}


def test_digits(tmp_path):
    import digits

    assert digits.main(tmp_path, epochs=4, samples=700, progress=False) >= 0.85
    assert (tmp_path / "digits_confusion.png").stat().st_size > 0
