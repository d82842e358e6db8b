"""A transformer that learns to spell names, in plain Python on scalars.

Every weight, every activation and the loss is a `Value`: no arrays, no matrix products, only
+ * / ** exp log relu on numbers, about 7,000 of them a letter, and one call of `backward`. The
model is GPT-2's in small, one block with 4,192 parameters, with these simplifications: RMSNorm
instead of LayerNorm, relu instead of gelu, no biases.

    python examples/names_transformer.py --steps 1000 --seed 0

It trains on one name a step (data/names.txt), shows the loss, and then makes up names.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise
from operator import mul
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

from tqdm import trange

from autograd_bp import Value, maximum, no_grad
from nn import Adam

LETTERS = "abcdefghijklmnopqrstuvwxyz"
EDGE = len(LETTERS)  # the token before the first letter of a name and after the last one
CONTEXT = 16  # tokens that the model can look back on, this one included
WIDTH = 16  # numbers that stand for one token
HEADS = 4
HEAD_WIDTH = WIDTH // HEADS
HIDDEN = 4 * WIDTH
UNSEEN = 100  # names to judge the model by, which it is not trained on

Vector: TypeAlias = Sequence[Any]  # of Values: ours or, in benchmarks/, a textbook's
Matrix: TypeAlias = list[Vector]  # its rows
Parameters: TypeAlias = dict[str, Matrix]


def new_parameters(rng: random.Random, number: Callable[[float], Any] = Value) -> Parameters:
    """Weights from a normal distribution. All other numbers descend from what ``number`` makes."""
    shapes = {
        "token": (EDGE + 1, WIDTH),
        "position": (CONTEXT, WIDTH),
        "query": (WIDTH, WIDTH),
        "key": (WIDTH, WIDTH),
        "value": (WIDTH, WIDTH),
        "attention": (WIDTH, WIDTH),
        "hidden": (HIDDEN, WIDTH),
        "mlp": (WIDTH, HIDDEN),
        "logits": (EDGE + 1, WIDTH),
    }
    return {
        name: [[number(rng.gauss(0.0, 0.08)) for _ in range(columns)] for _ in range(rows)]
        for name, (rows, columns) in shapes.items()
    }


def parameters_of(weights: Parameters) -> Vector:
    """All weights in one list."""
    return [w for matrix in weights.values() for row in matrix for w in row]


# --- the model ------------------------------------------------------------------------------------


def dot(a: Vector, b: Vector) -> Any:
    """a·b."""
    return sum(map(mul, a, b))


def linear(w: Matrix, x: Vector) -> Vector:
    """W x."""
    return [dot(row, x) for row in w]


def add(a: Vector, b: Vector) -> Vector:
    """a + b."""
    return [x + y for x, y in zip(a, b, strict=True)]


def rmsnorm(x: Vector) -> Vector:
    """x divided by the root of its mean square."""
    scale = (dot(x, x) / len(x) + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def largest(x: Vector) -> Any:
    """The largest of x, held fixed; of the peers' Values, which no trace meets, the number."""
    if isinstance(x[0], Value):
        return reduce(maximum, x).detach()
    return max(xi.data for xi in x)


def softmax(x: Vector) -> Vector:
    """exp xᵢ / Σ exp xⱼ."""
    top = largest(x)  # a shift changes no quotient, and keeps exp from overflow
    exps = [(xi - top).exp() for xi in x]
    total = sum(exps)
    return [e / total for e in exps]


def attention(query: Vector, keys: Matrix, values: Matrix) -> Vector:
    """For each head the mean of the values, weighted by how well their keys fit the query."""
    mixed = []
    for head in range(HEADS):
        part = slice(head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH)
        fit = [dot(query[part], key[part]) / HEAD_WIDTH**0.5 for key in keys]
        share = softmax(fit)
        mixed += [dot(share, column) for column in zip(*[v[part] for v in values], strict=True)]
    return mixed


def next_logits(weights: Parameters, token: int, keys: Matrix, values: Matrix) -> Vector:
    """Scores of the token that follows; the key and value of this one are added to the lists.

    A token sees the lists as they are when its turn comes: itself and those before it.
    """
    x = add(weights["token"][token], weights["position"][len(keys)])
    seen = rmsnorm(x)
    keys.append(linear(weights["key"], seen))
    values.append(linear(weights["value"], seen))
    mixed = attention(linear(weights["query"], seen), keys, values)
    x = add(x, linear(weights["attention"], mixed))
    hidden = [h.relu() for h in linear(weights["hidden"], rmsnorm(x))]
    x = add(x, linear(weights["mlp"], hidden))
    return linear(weights["logits"], rmsnorm(x))


def cross_entropy(weights: Parameters, name: str) -> Any:
    """Mean of −ln p(next token) over the letters of a name and its end."""
    tokens = [EDGE, *map(LETTERS.index, name), EDGE][: CONTEXT + 1]
    keys: Matrix = []
    values: Matrix = []
    losses = []
    for token, following in pairwise(tokens):
        p = softmax(next_logits(weights, token, keys, values))
        losses.append(-p[following].log())
    return sum(losses) / len(losses)


# --- training and sampling ------------------------------------------------------------------------


def train(names: Sequence[str], steps: int, rng: random.Random) -> Parameters:
    """Weights after so many steps of Adam on one name each, the learning rate falling to 0."""
    weights = new_parameters(rng)
    optimizer = Adam(parameters_of(weights), betas=(0.85, 0.99))
    smooth = 0.0
    with trange(steps, desc="training", unit="name") as bar:
        for step in bar:
            optimizer.lr = 0.01 * (1 - step / steps)
            optimizer.zero_grad()
            loss = cross_entropy(weights, names[step % len(names)])
            loss.backward()
            optimizer.step()
            smooth = loss.data if step == 0 else 0.98 * smooth + 0.02 * loss.data
            bar.set_postfix(loss=f"{smooth:.3f}", refresh=False)
    return weights


@no_grad()
def mean_loss(weights: Parameters, names: Sequence[str]) -> float:
    """The mean of `cross_entropy` over some names."""
    return fmean(cross_entropy(weights, name).data for name in names)


@no_grad()
def sample(weights: Parameters, rng: random.Random, temperature: float = 0.5) -> str:
    """A new name; the lower the temperature, the more ordinary."""
    name = ""
    token = EDGE
    keys: Matrix = []
    values: Matrix = []
    while len(keys) < CONTEXT:
        logits = next_logits(weights, token, keys, values)
        p = [pi.data for pi in softmax([x / temperature for x in logits])]
        token = rng.choices(range(EDGE + 1), p)[0]
        if token == EDGE:
            break
        name += LETTERS[token]
    return name


def main(arguments: list[str] | None = None) -> None:
    """Train, then print names that the model makes up."""
    parser = argparse.ArgumentParser(description="A transformer on scalars learns to spell names.")
    parser.add_argument("--steps", type=int, default=1000, help="names to train on (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default 0)")
    options = parser.parse_args(arguments)
    rng = random.Random(options.seed)
    names = Path(__file__).with_name("data").joinpath("names.txt").read_text("utf-8").split()
    rng.shuffle(names)
    unseen, names = names[:UNSEEN], names[UNSEEN:]
    weights = train(names, options.steps, rng)
    print(f"Loss on {UNSEEN} names that it has not seen: {mean_loss(weights, unseen):.3f}")
    print(f"(all {EDGE + 1} tokens equally likely: {math.log(EDGE + 1):.3f})")
    print("Names that it makes up:")
    for _ in range(20):
        print(" ", sample(weights, rng))


if __name__ == "__main__":
    main()
