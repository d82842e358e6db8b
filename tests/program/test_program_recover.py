"""The formulas that are found in scalar code."""

import random
import re
import runpy
from pathlib import Path

from autograd_bp import logsumexp, sum_of
from autograd_bp.program import take, trace
from nn import MLP, cross_entropy

EXAMPLES = Path(__file__).parents[2] / "examples"


def formulas(program):
    """Each formula without its shapes."""
    return [re.split(r"\s{3,}", line)[0] for line in program.explain().splitlines()]


BACKPROPAGATION = [
    "Z1 = X·W1ᵀ + b1",
    "A1 = σ(Z1)",
    "Z2 = A1·W2ᵀ + b2",
    "A2 = σ(Z2)",
    "C = Σ (A2 − t)⊙(A2 − t)",
    "Δ2 = 2·(A2 − t) ⊙ A2⊙(1 − A2)",
    "∂C/∂W2 = Δ2ᵀ·A1",
    "∂C/∂b2 = Δ2ᵀ·1",
    "Δ1 = (Δ2·W2) ⊙ A1⊙(1 − A1)",
    "∂C/∂W1 = Δ1ᵀ·X",
    "∂C/∂b1 = Δ1ᵀ·1",
]


def test_a_network_gives_the_textbook():
    model = MLP(3, [5, 1], seed=0)
    program = trace(lambda p, x, t: (model(x) - t) ** 2, model.parameters(), [1.0] * 3, 0.5)
    assert formulas(program) == BACKPROPAGATION
    assert "(5×3) = (5×N)·(N×3)" in program.explain()


def test_the_same_written_with_sums():
    def neuron(w, x):
        return (sum(wi * xi for wi, xi in zip(w, x, strict=False)) + w[-1]).sigmoid()

    def cost(p, x, t):
        return (neuron(p[1], [neuron(w, x) for w in p[0]]) - t) ** 2

    p = [[[0.1 * i + j for j in range(4)] for i in range(5)], [0.3 * i for i in range(6)]]
    assert formulas(trace(cost, p, [1.0] * 3, 0.5)) == BACKPROPAGATION


def test_three_layers_and_softmax():
    model = MLP(4, [6, 5, 3], activation=["tanh", "relu", "linear"], seed=0)

    def cost(p, x, t):
        z = model(x)
        return logsumexp(z) - take(z, t)

    found = formulas(trace(cost, model.parameters(), [1.0] * 4, 0))
    assert "A1 = tanh(Z1)" in found
    assert "Z3 = A2·W3ᵀ + b3" in found
    assert "∂C/∂W3 = Δ3ᵀ·A2" in found
    assert "Δ1 = (Δ2·W2) ⊙ (1 − A1⊙A1)" in found
    assert not any("tape" in line for line in found)


def test_irregular_code_stays_on_the_tape():
    program = trace(lambda p, x: (p * x[0]).sin() + x[1] * x[0], 0.5, [1.0, 2.0])
    assert "on the tape: 3 scalar instructions" in program.explain()
    assert trace(lambda x: x * x, 1.0).explain().endswith("on the tape: 1 scalar instruction")


def test_the_linear_maps_of_the_scalar_transformer():
    model = runpy.run_path(str(EXAMPLES / "names_transformer.py"))
    weights = model["new_parameters"](random.Random(0))
    tokens = 3

    class Table(list):
        def __getitem__(self, i):
            return take(list(self), i)

    shown = weights | {"token": Table(weights["token"])}

    def cost(_, given, following):
        keys, values, losses = [], [], []
        for token, target in zip(given, following, strict=True):
            logits = model["next_logits"](shown, token, keys, values)
            losses.append(cross_entropy(logits, target))
        return sum_of(losses)

    example = [0.0] * tokens
    program = trace(cost, model["parameters_of"](weights), example, example)
    text = program.explain()
    # For each token: query, key and value of one vector at once; attention; the hidden layer;
    # back from it; the logits.
    for inputs, outputs in ((16, 48), (16, 16), (16, 64), (64, 16), (16, 27)):
        found = re.findall(rf"^Z.*= \(N×{inputs}\)·\({inputs}×{outputs}\)", text, re.MULTILINE)
        assert len(found) >= tokens, (inputs, outputs)
