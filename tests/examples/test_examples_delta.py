"""examples/deltas.py and examples/vanishing.py: they run, and what they show is so."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name):
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def test_deltas(tmp_path, capsys):
    comparison = example("deltas")["main"](tmp_path)
    assert comparison.relative < 1e-12
    printed = capsys.readouterr().out
    rows = [line.replace("=", "").split() for line in printed.splitlines() if ".grad = " in line]
    assert len(rows) == 4 + 6 + 3 + 1
    for row in rows:  # name, by hand, attribute, engine; the name may be several words
        numbers = [float(word) for word in row if word[0] in "+-" and "." in word]
        assert len(numbers) == 2
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-9)
        assert numbers[0] != 0.0
    for heading in ("One neuron", "One layer", "The recursion", "A whole MLP", "Cross-entropy"):
        assert f"\n{heading}" in printed
    svg = (tmp_path / "deltas.svg").read_text(encoding="utf-8")
    assert svg.count("δ") == 3  # the box of each z shows its δ


def test_vanishing(tmp_path, capsys):
    from matplotlib import image

    means = example("vanishing")["main"](tmp_path, seeds=2)
    assert {name: len(curve) for name, curve in means.items()} == dict.fromkeys(means, 10)
    sigmoid = np.array(means["sigmoid"])
    assert (sigmoid[:-1] < sigmoid[1:] / 2).all()  # at each layer on the way back
    assert sigmoid[0] < 1e-5 * sigmoid[-1]
    for name in ("tanh", "relu"):
        assert means[name][0] > 0.02 * means[name][-1]

    printed = capsys.readouterr().out
    assert f"{sigmoid[0]:.2e}" in printed
    picture = image.imread(tmp_path / "vanishing.png")
    assert picture.shape[0] >= 600
    assert picture.shape[1] >= 1000
    assert 0.01 < (picture[..., :3] < 0.9).any(axis=-1).mean() < 0.5  # neither blank nor a blot
    assert [path.name for path in tmp_path.iterdir()] == ["vanishing.png"]


def test_vanishing_reads_what_the_textbook_says():
    """Its mean |δ| of a sample is that of the recursion by hand."""
    import random

    from nn import MLP, mse
    from nn.compare import compare

    module = example("vanishing")
    seed, rng = 3, random.Random(3)
    depth, width, inputs = module["DEPTH"], module["WIDTH"], module["INPUTS"]
    mlp = MLP(inputs, [width] * depth + [1], ["sigmoid"] * depth + ["linear"], seed=rng)
    X = [[rng.gauss(0, 1) for _ in range(inputs)] for _ in range(module["SAMPLES"])]
    Y = [rng.gauss(0, 1) for _ in X]
    sums = dict.fromkeys(range(1, depth + 2), 0.0)
    for entry in compare(mlp, X, Y, mse).entries:
        if entry.kind == "δ":
            sums[entry.layer] += abs(entry.by_hand)  # 1/n of a sample's: so the sum is the mean
    expected = [sums[k] / width for k in range(1, depth + 1)]
    assert module["sizes"]("sigmoid", seed) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["deltas", "vanishing"])
def test_from_the_command_line(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--out", str(tmp_path / "new" / "folder")])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 1
    assert "δ" in capsys.readouterr().out
