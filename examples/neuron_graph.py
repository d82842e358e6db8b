"""One sigmoid neuron and its cost as a picture, with δ where backpropagation left it.

    python examples/neuron_graph.py [folder]

writes neuron.svg into the folder (default: out). Needs: pip install "autograd-bp[draw]".
"""

from __future__ import annotations

import sys
from pathlib import Path

from autograd_bp import Value
from autograd_bp.draw import draw
from nn import MLP, mse

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out")

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

path = draw(C).render(outfile=folder / "neuron.svg", cleanup=True)
print(f"The graph is in {path}")
