"""How δ emerges: one neuron, one layer, the recursion, a whole MLP, cross-entropy's cancellation.

Each step computes δ twice: by hand, as the textbook does, and by the engine, which knows only
the chain rule and leaves δ as the gradient of the node z.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from autograd_bp import Value, draw, explain
from nn import MLP, Layer, Neuron, bce, mse
from nn.compare import Comparison, compare
from nn.delta import backprop, cancelled

SAMPLE, TARGET = [0.5, -1.0], 1.0


def main(out: Path = Path("out")) -> Comparison:
    """Tell the story, draw the MLP's graph; return the comparison for the MLP."""
    one_neuron()
    one_layer()
    recursion()
    comparison = whole_mlp()
    cancellation()
    picture(out / "deltas.svg")
    return comparison


def one_neuron() -> None:
    """The cost depends on w only through z, so ∂C/∂w = ∂C/∂z · ∂z/∂w = δ · x."""
    neuron = Neuron(2, seed=1)
    record = neuron.forward(SAMPLE)
    z, a = record.z[0], record.a[0]
    cost = mse(a, TARGET)
    cost.backward()

    δ = 2 * (a.data - TARGET) * a.data * (1 - a.data)  # ∂C/∂a · σ'(z)
    heading("One neuron: δ = ∂C/∂z = ∂C/∂a · σ'(z), and every ∂C/∂w = δ · x")
    row("δ", δ, z.grad, "z.grad")
    for j, w in enumerate(neuron.w):
        row(f"δ · x[{j}]", δ * SAMPLE[j], w.grad, f"w[{j}].grad")
    row("δ · 1", δ, neuron.b.grad, "b.grad")


def one_layer() -> None:
    """Three neurons read the same x: three unknowns δ, from which nine gradients follow."""
    layer = Layer(2, 3, seed=1)
    record = layer.forward(SAMPLE)
    targets = [1.0, 0.0, 1.0]
    mse(record.a, targets).backward()

    heading("One layer: one δ for each neuron, instead of one unknown for each weight")
    for i, (a, y) in enumerate(zip(record.a, targets, strict=True)):
        δ = 2 * (a.data - y) / 3 * a.data * (1 - a.data)  # mse is a mean: hence the 3
        row(f"δ[{i}]", δ, record.z[i].grad, f"z[{i}].grad")
        row(f"δ[{i}] · x[0]", δ * SAMPLE[0], layer.neurons[i].w[0].grad, f"w[{i}][0].grad")


def recursion() -> None:
    """A hidden neuron acts on the cost through every neuron of the next layer: sum over those."""
    mlp = MLP(2, [3, 2], seed=1)
    hidden, last = mlp.forward(SAMPLE).layers
    mse(last.a, [1.0, 0.0]).backward()

    heading("The recursion: δ[1] = (W[2]ᵀ δ[2]) ⊙ σ'(z[1])")
    for i, a in enumerate(hidden.a):
        through = [
            neuron.w[i].data * last.delta[k] for k, neuron in enumerate(mlp.layers[1].neurons)
        ]
        δ = sum(through) * a.data * (1 - a.data)
        row(f"δ[1][{i}]", δ, hidden.z[i].grad, f"z[1][{i}].grad")


def whole_mlp() -> Comparison:
    """The four equations of nn/delta.py from the last layer to the first; then one weight."""
    mlp = MLP(2, [2, 2, 1], seed=1)
    heading("A whole MLP: every δ and every gradient")
    comparison = compare(mlp, SAMPLE, TARGET, mse)
    print(comparison)

    heading("Where the gradient of one weight came from")
    record = mlp.forward([Value(x, f"x[{j}]") for j, x in enumerate(SAMPLE)])
    cost = mse(record.output, TARGET)
    cost.label = "C"
    cost.backward()
    print(explain(mlp.layers[0].neurons[0].w[0], cost))
    print()
    print(explain(record.layers[0].a[0], cost))
    return comparison


def picture(path: Path) -> None:
    """The graph of a smaller MLP, which a slide has room for."""
    mlp = MLP(2, [2, 1], seed=1)
    cost = mse(mlp([Value(x, f"x[{j}]") for j, x in enumerate(SAMPLE)]), TARGET)
    cost.label = "C"
    cost.backward()
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(cost).render(outfile=path, cleanup=True)
    print(f"\ngraph, with δ in the box of each z: {path}")


def cancellation() -> None:
    """Cross-entropy: a(1 − a) in ∂C/∂a and in σ' cancel, so a wrong neuron learns fast."""
    heading("Cross-entropy after a sigmoid: δ = ∂C/∂a · σ'(z) = (a − y) / (a(1 − a)) · a(1 − a)")
    names = ["z", "a", "∂C/∂a", "σ'(z)", "δ: product", "a − y", "δ of mse"]
    print("".join(f"{name:>13}" for name in names))
    W, x = [[[1.0]]], [[0.0]]
    for z in (-8.0, -4.0, 0.0, 4.0):
        result = backprop(W, [[z]], x, [TARGET], cost="bce")
        (a,), (δ,) = result.a[0][1], result.delta[0][1]
        slope = a * (1 - a)
        (short,) = cancelled([a], [TARGET])
        (squared,) = backprop(W, [[z]], x, [TARGET], cost="mse").delta[0][1]
        numbers = [z, a, (a - TARGET) / slope, slope, δ, short, squared]
        print("".join(f"{number:13.6f}" for number in numbers))
    print("\n  The lower z, the more wrong is the neuron. That stops δ of mse, but not a − y.\n")
    neuron = Neuron(2, seed=1)
    record = neuron.forward(SAMPLE)
    bce(record.a[0], TARGET).backward()
    row("a − y", record.a[0].data - TARGET, record.z[0].grad, "z.grad")


def heading(text: str) -> None:
    """A line above each step."""
    print(f"\n{text}\n")


def row(name: str, by_hand: float, engine: float, attribute: str) -> None:
    """The same number twice."""
    print(f"  {name:>12} = {by_hand:+.12f}     {attribute:>12} = {engine:+.12f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    main(parser.parse_args().out)
