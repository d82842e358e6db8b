"""One sigmoid neuron and its cost as a picture, with δ where backpropagation left it."""

from __future__ import annotations

import argparse
from pathlib import Path

from autograd_bp import Value, draw
from nn import MLP, mse


def main(out: Path = Path("out")) -> float:
    """Print δ of the engine and by hand, draw the graph; return δ."""
    # A network of a single neuron: z = w·x + b, a = σ(z). The inputs are Values, to be seen.
    network = MLP(2, [1], activation="sigmoid", seed=1)
    x = [Value(0.5, label="x[0]"), Value(-1.0, label="x[1]")]
    neuron = network.forward(x).layers[0]

    # The cost of the output a where 1 was wanted; backward() gives every node ∂C/∂node.
    C = mse(neuron.a, [1.0])
    C.label = "C"
    C.backward()

    # The textbook's δ = ∂C/∂z is the gradient of z. By hand: ∂C/∂a · σ'(z) = 2(a − 1) · a(1 − a).
    z, a = neuron.z[0], neuron.a[0]
    print(f"δ of the engine  {z.grad:+.6f}")
    print(f"δ by hand        {2 * (a.data - 1) * a.data * (1 - a.data):+.6f}")

    out.mkdir(parents=True, exist_ok=True)
    print(f"graph: {draw(C).render(outfile=out / 'neuron.svg', cleanup=True)}")
    delta: float = z.grad
    return delta


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    main(parser.parse_args().out)
