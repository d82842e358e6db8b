"""Backpropagation by hand: the textbook's four equations, on lists of numbers.

Nothing here is used by the engine, and nothing here uses the engine. The two exist to be held
against each other, by `nn.compare`.

What is wanted
--------------
A network of layers l = 1 … L computes, from the input a⁰ = x of one sample,

    zˡ = Wˡ aˡ⁻¹ + bˡ    and    aˡ = σ(zˡ)

and a cost C compares the output aᴸ with the target y. To train it, ∂C/∂w and ∂C/∂b are wanted
for every weight and bias.

Why δ
-----
Let θ be any weight or bias of neuron i in layer l. It acts on C through that neuron's zˡᵢ and
through nothing else, so by the chain rule

    ∂C/∂θ = ∂C/∂zˡᵢ · ∂zˡᵢ/∂θ

The second factor is known after the forward pass: z = Σⱼ wᵢⱼ aⱼ + bᵢ, hence ∂z/∂wᵢⱼ = aⱼ and
∂z/∂bᵢ = 1. The first factor is the same for all parameters of the neuron. It gets a name,

    δˡᵢ = ∂C/∂zˡᵢ

and what is left to find is one unknown per neuron instead of one per weight. That gives two of
the four equations at once:

    ∂C/∂wˡᵢⱼ = δˡᵢ aˡ⁻¹ⱼ          (3)
    ∂C/∂bˡᵢ  = δˡᵢ                 (4)

The last δ
----------
In layer L, zᵢ acts on C through aᵢ = σ(zᵢ) alone:

    δᴸ = ∂C/∂aᴸ ⊙ σ'(zᴸ)           (1)

where ⊙ multiplies element by element.

Every other δ
-------------
In layer l < L, zˡᵢ acts on C through aˡᵢ, and that through every zˡ⁺¹ₖ = … + wₖᵢ aˡᵢ + …. Sum over
those ways: ∂C/∂zˡᵢ = Σₖ ∂C/∂zˡ⁺¹ₖ · wₖᵢ · σ'(zˡᵢ), which is

    δˡ = ((Wˡ⁺¹)ᵀ δˡ⁺¹) ⊙ σ'(zˡ)   (2)

So each δ follows from the one of the layer after it, and all of them from the last.

Costs
-----
A sample has K outputs a and as many targets y. As in `nn.losses`, its cost is the mean over them
(where other texts have ½Σ(a − y)² or a plain sum, theirs differs by a constant factor):

=================  ===========================================  =============================
cost               C                                            ∂C/∂aₖ
=================  ===========================================  =============================
`mse`              Σₖ (aₖ − yₖ)² / K                            2(aₖ − yₖ) / K
`bce`              −Σₖ (yₖ ln aₖ + (1 − yₖ) ln(1 − aₖ)) / K      ((1 − yₖ)/(1 − aₖ) − yₖ/aₖ) / K
`bce_with_logits`  the same of σ(aₖ)                            (σ(aₖ) − yₖ) / K
`cross_entropy`    ln Σⱼ exp aⱼ − Σₖ yₖ aₖ                       softmax(a)ₖ − yₖ
=================  ===========================================  =============================

The cost of a batch of n samples is the mean of theirs, so each sample's ∂C/∂a has a factor 1/n,
and (3) and (4) are summed over the samples.

The cancellation
----------------
Take `bce` after a sigmoid. Brought to one denominator, its ∂C/∂a = (a − y) / (a(1 − a)) / K; and
σ'(z) = a(1 − a). In (1) the two meet and a(1 − a) cancels:

    δᴸ = (a − y) / K

The slope of the sigmoid, which makes learning slow where a neuron is wrong and sure of it, is
gone. `backprop` does not use this: it multiplies the two factors out, and `cancelled` gives
what must come of it. The last two costs have the cancellation in them: their outputs are logits,
from a linear layer.

>>> W, b = [[[0.5, -0.5], [1.0, 0.25]], [[1.0, -2.0]]], [[0.0, 0.1], [0.2]]
>>> result = backprop(W, b, [[1.0, 2.0]], [1.0], cost="bce")
>>> [round(d, 4) for d in result.delta[0][1]]  # sample 0, layer 1: one for each neuron
[-0.1757, 0.209]
>>> a = result.a[0][2]
>>> abs(result.delta[0][2][0] - cancelled(a, [1.0])[0]) < 1e-15
True
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from numbers import Real
from typing import Any, NamedTuple, TypeAlias

__all__ = [
    "ACTIVATIONS", "COSTS", "Backprop", "backprop", "cancelled", "deltas", "feedforward",
    "gradients",
]  # fmt: skip

Vector: TypeAlias = list[float]
Matrix: TypeAlias = list[Vector]
"""W[i][j] leads from neuron j of the layer before to neuron i: one row for each neuron."""

Vectors: TypeAlias = dict[int, Vector]
Matrices: TypeAlias = dict[int, Matrix]
"""By the number of the layer, 1 … L as in the textbook; a[0] is x."""

TINY = math.exp(-100.0)  # where `nn.bce` holds its logarithms, as PyTorch does


# --- σ and σ' -------------------------------------------------------------------------------------


def sigmoid(z: float) -> float:
    """1 / (1 + exp(−z)), without overflow."""
    return 1.0 / (1.0 + math.exp(-z)) if z >= 0.0 else math.exp(z) / (1.0 + math.exp(z))


ACTIVATIONS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "sigmoid": (sigmoid, lambda a: a * (1.0 - a)),
    "tanh": (math.tanh, lambda a: 1.0 - a * a),
    "relu": (lambda z: 0.0 if z <= 0.0 else z, lambda a: 0.0 if a <= 0.0 else 1.0),
    "linear": (lambda z: z, lambda a: 1.0),
}
"""a = σ(z), and σ'(z) in terms of a."""


# --- ∂C/∂a ----------------------------------------------------------------------------------------


def _mse(a: Vector, y: Vector) -> list[Vector]:
    return [[2.0 * (a_k - y_k) / len(a)] for a_k, y_k in zip(a, y, strict=True)]


def _bce(a: Vector, y: Vector) -> list[Vector]:
    return [
        [_ratio(1.0 - y_k, 1.0 - a_k) / len(a), -_ratio(y_k, a_k) / len(a)]
        for a_k, y_k in zip(a, y, strict=True)
    ]


def _bce_with_logits(a: Vector, y: Vector) -> list[Vector]:
    return [[sigmoid(a_k) / len(a), -y_k / len(a)] for a_k, y_k in zip(a, y, strict=True)]


def _cross_entropy(a: Vector, y: Vector) -> list[Vector]:
    top = max(a)  # so that no exp overflows
    total = sum(math.exp(a_k - top) for a_k in a)
    return [[math.exp(a_k - top) / total, -y_k] for a_k, y_k in zip(a, y, strict=True)]


COSTS: dict[str, Callable[[Vector, Vector], list[Vector]]] = {
    "mse": _mse,
    "bce": _bce,
    "bce_with_logits": _bce_with_logits,
    "cross_entropy": _cross_entropy,
}
"""∂C/∂aₖ of one sample for every output k, each as the list of the terms whose sum it is."""


def _ratio(y: float, p: float) -> float:
    """y/p, one term of cross-entropy's derivative; absent where y is 0, whatever p."""
    if y == 0.0:
        return 0.0
    if p <= TINY:
        raise FloatingPointError(
            f"bce of an output whose probability is {p!r} where the target gives it {y!r}: there "
            "∂C/∂a is infinite and σ' is 0, so that their product says nothing (and nn.bce, which "
            "holds its logarithms at −100, has gradient 0). Let the last layer be "
            '"linear" and use bce_with_logits, the same cost with a(1 − a) cancelled.'
        )
    return y / p


def cancelled(a: Sequence[float], y: Sequence[float]) -> Vector:
    """δᴸ of `bce` after a sigmoid, with a(1 − a) cancelled: (a − y) / K.

    >>> cancelled([0.75, 0.5], [1.0, 0.0])
    [-0.125, 0.25]
    """
    return [(a_k - y_k) / len(a) for a_k, y_k in zip(a, y, strict=True)]


# --- the four equations ---------------------------------------------------------------------------


def feedforward(
    W: Matrices, b: Vectors, x: Vector, activation: dict[int, str]
) -> tuple[Vectors, Vectors]:
    """zˡ and aˡ of every layer for one sample x, which is a⁰.

    >>> feedforward({1: [[1.0, 2.0]]}, {1: [0.5]}, [3.0, 4.0], {1: "relu"})
    ({1: [11.5]}, {0: [3.0, 4.0], 1: [11.5]})
    """
    z: Vectors = {}
    a: Vectors = {0: x}
    for layer in W:
        σ, _ = ACTIVATIONS[activation[layer]]
        z[layer] = [
            dot(w_i, a[layer - 1], b_i) for w_i, b_i in zip(W[layer], b[layer], strict=True)
        ]
        a[layer] = [σ(z_i) for z_i in z[layer]]
    return z, a


def deltas(W: Matrices, dC_da: Vector, slope: Vectors) -> Vectors:
    """δˡ of every layer for one sample: equation (1), then (2) from layer L − 1 down to 1.

    ``dC_da`` is ∂C/∂aᴸ, and ``slope[l]`` is σ'(zˡ).

    >>> deltas({1: [[1.0]], 2: [[3.0]]}, [2.0], {1: [0.25], 2: [0.5]})
    {2: [1.0], 1: [0.75]}
    """
    L = len(W)
    δ = {L: hadamard(dC_da, slope[L])}
    for layer in range(L - 1, 0, -1):
        δ[layer] = hadamard(times(transpose(W[layer + 1]), δ[layer + 1]), slope[layer])
    return δ


def gradients(δ: Vectors, a: Vectors) -> tuple[Matrices, Vectors]:
    """∂C/∂W and ∂C/∂b of every layer for one sample: equations (3) and (4).

    >>> gradients({1: [0.5]}, {0: [3.0, 4.0]})
    ({1: [[1.5, 2.0]]}, {1: [0.5]})
    """
    dC_dw = {layer: [[δ_i * a_j for a_j in a[layer - 1]] for δ_i in δ[layer]] for layer in δ}
    dC_db = {layer: δ[layer] for layer in δ}
    return dC_dw, dC_db


def dot(u: Vector, v: Vector, start: float = 0.0) -> float:
    """start + u·v, added up from left to right."""
    for u_i, v_i in zip(u, v, strict=True):
        start += u_i * v_i  # not Python's sum: from 3.12 on it rounds otherwise than the engine
    return start


def times(M: Matrix, v: Vector) -> Vector:
    """M v"""
    return [dot(row, v) for row in M]


def transpose(M: Matrix) -> Matrix:
    """Mᵀ"""
    return [list(column) for column in zip(*M, strict=True)]


def hadamard(u: Vector, v: Vector) -> Vector:
    """u ⊙ v"""
    return [u_i * v_i for u_i, v_i in zip(u, v, strict=True)]


# --- a batch --------------------------------------------------------------------------------------


class Backprop(NamedTuple):
    """What the equations give for a batch.

    ``z[s][l]``, ``a[s][l]`` and ``delta[s][l]`` are lists with a number for each neuron, of
    sample s and layer l; ``grad_w[l][i][j]`` and ``grad_b[l][i]`` are ∂C/∂w and ∂C/∂b.
    """

    z: list[Vectors]
    a: list[Vectors]
    delta: list[Vectors]
    grad_w: Matrices
    grad_b: Vectors


def backprop(
    W: Sequence[Any],
    b: Sequence[Any],
    X: Sequence[Any],
    Y: Sequence[Any],
    cost: str = "mse",
    activation: str | Sequence[str] = "sigmoid",
) -> Backprop:
    """Forward, then the four equations, for a network given by its weights and a batch.

    - ``W``, ``b``: for each layer a matrix, of one row for each of its neurons, and a list.
    - ``X``: n samples, each a list of numbers.
    - ``Y``: n targets, each a list of K numbers, or a number where K is 1; for "cross_entropy"
      also the index of a class.
    - ``cost``: one of `COSTS`; ``activation``: one of `ACTIVATIONS`, or a list of one per layer.

    Raises ValueError or TypeError for what does not fit, and FloatingPointError where ∂C/∂a of
    "bce" is infinite.

    >>> result = backprop([[[2.0]], [[3.0]]], [[0.0], [0.0]], [[0.0]], [1.0])
    >>> result.a[0][1]  # σ(0)
    [0.5]
    >>> result.grad_w[2][0][0] == result.delta[0][2][0] * 0.5
    True
    """
    weights, biases = layers_of(W, b)
    activations = activations_of(activation, len(weights))
    if cost not in COSTS:
        raise ValueError(f"cost must be one of {', '.join(COSTS)}; got {cost!r}")
    z, a, terms = forward(weights, biases, X, Y, cost, activations)
    return Backprop(z, a, *backward(weights, a, terms, activations))


def forward(
    W: Matrices, b: Vectors, X: Any, Y: Any, cost: str, activation: dict[int, str]
) -> tuple[list[Vectors], list[Vectors], list[list[Vector]]]:
    """z and a of each sample, and the terms of ∂C/∂aᴸ, C being the mean cost."""
    n, L = len(X), len(W)
    if len(Y) != n or n == 0:
        raise ValueError(
            f"X and Y must hold as many samples, at least one; got {n} and {len(Y)}. "
            "For a single sample x with target y write [x] and [y]."
        )
    z, a, terms = [], [], []
    for s, (x, y) in enumerate(zip(X, Y, strict=True)):
        z_s, a_s = feedforward(W, b, _vector(x, len(W[1][0]), f"X[{s}]"), activation)
        z.append(z_s)
        a.append(a_s)
        dC_da = COSTS[cost](a_s[L], _target(y, len(a_s[L]), cost, f"Y[{s}]"))
        terms.append([[term / n for term in terms_k] for terms_k in dC_da])
    return z, a, terms


def backward(
    W: Matrices, a: list[Vectors], terms: list[list[Vector]], activation: dict[int, str]
) -> tuple[list[Vectors], Matrices, Vectors]:
    """δ of each sample, and both gradients, summed over the samples."""
    delta, dC_dw, dC_db = [], [], []
    for a_s, terms_s in zip(a, terms, strict=True):
        slope = {
            layer: [ACTIVATIONS[activation[layer]][1](a_i) for a_i in a_s[layer]] for layer in W
        }
        δ = deltas(W, [sum(terms_k) for terms_k in terms_s], slope)
        dC_dw_s, dC_db_s = gradients(δ, a_s)
        delta.append(δ)
        dC_dw.append(dC_dw_s)
        dC_db.append(dC_db_s)
    return (
        delta,
        {layer: _sum_of_matrices([dC_dw_s[layer] for dC_dw_s in dC_dw]) for layer in W},
        {layer: _sum_of_vectors([dC_db_s[layer] for dC_db_s in dC_db]) for layer in W},
    )


def _sum_of_vectors(vectors: Iterable[Vector]) -> Vector:
    return [sum(numbers) for numbers in zip(*vectors, strict=True)]


def _sum_of_matrices(matrices: Iterable[Matrix]) -> Matrix:
    return [_sum_of_vectors(rows) for rows in zip(*matrices, strict=True)]


def layers_of(W: Any, b: Any) -> tuple[Matrices, Vectors]:
    """The weights and biases by number of the layer, of sizes that fit."""
    if len(W) != len(b) or not len(W):
        raise ValueError(
            f"W and b must have an entry for each layer, at least one; got {len(W)} and {len(b)}"
        )
    weights: Matrices = {}
    biases: Vectors = {}
    for layer, (matrix, bias) in enumerate(zip(W, b, strict=True), start=1):
        name = f"W[{layer - 1}]"
        if not len(matrix) or not hasattr(matrix[0], "__len__") or not len(matrix[0]):
            raise ValueError(f"{name} must be a matrix with a row for each neuron, got {matrix!r}")
        nin = len(weights[layer - 1]) if layer > 1 else len(matrix[0])
        weights[layer] = [_vector(row, nin, f"{name}[{i}]") for i, row in enumerate(matrix)]
        biases[layer] = _vector(bias, len(matrix), f"b[{layer - 1}]")
    return weights, biases


def activations_of(activation: str | Sequence[str], L: int) -> dict[int, str]:
    """The name of each layer's activation, by number of the layer."""
    names = [activation] * L if isinstance(activation, str) else list(activation)
    if len(names) != L:
        raise ValueError(
            f"activation must be one name or a list of one per layer ({L}), got {activation!r}"
        )
    for name in names:
        if name not in ACTIVATIONS:
            raise ValueError(
                f"activation {name!r} is not among those whose σ' is written here by hand: "
                f"{', '.join(ACTIVATIONS)}. (The engine differentiates any.)"
            )
    return dict(enumerate(names, start=1))


def _target(y: Any, K: int, cost: str, name: str) -> Vector:
    """The target as a list of as many numbers as there are outputs."""
    if cost == "cross_entropy" and hasattr(y, "__index__"):
        if not 0 <= y < K:
            raise ValueError(f"{name} must be the index of a class, 0 to {K - 1}; got {y!r}")
        return [1.0 if k == y else 0.0 for k in range(K)]
    return _vector([y] if isinstance(y, Real) else y, K, name)


def _vector(x: Any, n: int, name: str) -> Vector:
    """A list of n numbers from outside."""
    numbers = list(x) if isinstance(x, Iterable) and not isinstance(x, str) else [x]
    for number in numbers:
        if not isinstance(number, Real):
            raise TypeError(
                f"{name} must be a list of {n} plain numbers; it holds {number!r} of type "
                f"{type(number).__name__}. Of a Value take its data."
            )
    if len(numbers) != n or not isinstance(x, Iterable):
        raise ValueError(f"{name} must be a list of {n} numbers, got {x!r}")
    return [float(number) for number in numbers]


def __getattr__(name: str) -> object:
    """What stood here before it became `nn.compare`."""
    if name in ("Comparison", "Entry", "compare"):
        return getattr(import_module("nn.compare"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
