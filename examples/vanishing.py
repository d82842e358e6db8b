"""Vanishing δ made visible: |δ[l]| by layer in networks of ten layers.

The recursion multiplies by (W[l+1])ᵀ and by σ'(z[l]) once for each layer. The slope of the
sigmoid is ¼ at most, so with the usual first weights δ shrinks by more than that each time, and
the first layers hardly learn. The slope of tanh is 1 around 0, and that of relu is 1 wherever
the neuron is on.

The networks have ten layers of 16 neurons and a linear output; the weights are those that
`nn.MLP` starts with; samples and targets are random. Nothing is trained: this is the first step.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import matplotlib

from autograd_bp import mean
from nn import MLP, mse
from nn.plots import written

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DEPTH, WIDTH, INPUTS, SAMPLES = 10, 16, 8, 16
# Of each activation: colour (Okabe and Ito's, which the colour-blind can tell apart), marker.
STYLES = {"relu": ("#009e73", "s"), "tanh": ("#0072b2", "^"), "sigmoid": ("#d55e00", "o")}


def main(out: Path = Path("out"), seeds: int = 5) -> dict[str, list[float]]:
    """Print the table, draw it; return the mean |δ[l]| of layers 1 … 10 by activation."""
    curves = {name: [sizes(name, seed) for seed in range(seeds)] for name in STYLES}
    means = {
        name: [sum(column) / seeds for column in zip(*runs, strict=True)]
        for name, runs in curves.items()
    }
    print(f"mean |δ[l]| over {WIDTH} neurons, {SAMPLES} samples and {seeds} networks")
    print(f"{'layer l':>8}" + "".join(f"{name:>12}" for name in means))
    for k in range(DEPTH):
        print(f"{k + 1:>8}" + "".join(f"{curve[k]:12.2e}" for curve in means.values()))
    for name, curve in means.items():
        factor = (curve[0] / curve[-1]) ** (1 / (DEPTH - 1))
        print(f"{name}: from layer to layer × {factor:.2f}, over all {curve[0] / curve[-1]:.1e}")

    out.mkdir(parents=True, exist_ok=True)
    plot(curves, means, out / "vanishing.png")
    return means


def sizes(activation: str, seed: int) -> list[float]:
    """The mean |δ[l]| of one network, for l = 1 … DEPTH."""
    rng = random.Random(seed)
    mlp = MLP(INPUTS, [WIDTH] * DEPTH + [1], [activation] * DEPTH + ["linear"], seed=rng)
    records = [mlp.forward([rng.gauss(0, 1) for _ in range(INPUTS)]) for _ in range(SAMPLES)]
    costs = [mse(record.output, rng.gauss(0, 1)) for record in records]
    mean(costs).backward()
    # The mean has divided each sample's δ by their number: undone, to show that of a sample.
    return [
        sum(SAMPLES * abs(δ) for record in records for δ in record.layers[k].delta)
        / (SAMPLES * WIDTH)
        for k in range(DEPTH)
    ]


def plot(curves: dict[str, list[list[float]]], means: dict[str, list[float]], path: Path) -> None:
    """One line for each activation, its name at its end; the networks' spread as a band."""
    figure, axes = plt.subplots(figsize=(8, 4.8), layout="constrained")
    layers = range(1, DEPTH + 1)
    for name, (colour, marker) in STYLES.items():
        columns = list(zip(*curves[name], strict=True))
        axes.fill_between(
            layers, list(map(min, columns)), list(map(max, columns)), color=colour, alpha=0.15, lw=0
        )
        axes.semilogy(layers, means[name], color=colour, marker=marker, lw=2.2, ms=6)
        axes.annotate(
            name, (1, means[name][0]), xytext=(-12, 0), textcoords="offset points",
            color=colour, fontsize=13, fontweight="bold", ha="right", va="center",
        )  # fmt: skip
    last = means["sigmoid"][-1]
    guide = [last / 4 ** (DEPTH - k) for k in layers]
    axes.semilogy(layers, guide, color="#595959", ls="--", lw=1.2, zorder=1)
    axes.annotate(
        "¼ per layer: the most that σ' can be", (5, guide[4]), xytext=(-6, 10),
        textcoords="offset points", color="#595959", fontsize=12, ha="right",
    )  # fmt: skip
    axes.text(
        0.985, 0.09, f"line: mean of {len(curves['relu'])} networks; band: their range",
        transform=axes.transAxes, color="#595959", fontsize=12, ha="right",
    )  # fmt: skip
    axes.set(xlim=(-0.6, DEPTH + 0.4), xticks=list(layers))
    axes.set_xlabel(r"layer $l$   (backpropagation goes ←)", fontsize=13)
    axes.set_ylabel(r"mean $|\delta^l|$", fontsize=14)
    title = "δ vanishes on its way back through ten layers of sigmoids"
    axes.set_title(title, loc="left", fontsize=15, pad=12)
    axes.tick_params(labelsize=12)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    print(f"plot: {written(figure, path)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--seeds", type=int, default=5, help="how many networks to average over")
    arguments = parser.parse_args()
    main(arguments.out, arguments.seeds)
