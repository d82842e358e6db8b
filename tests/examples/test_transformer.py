"""The example transformer against the same model in JAX, as matrices and with a causal mask."""

import importlib.util
import math
import random
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_bp import Value

ROOT = Path(__file__).parents[2]
jax.config.update("jax_enable_x64", True)


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = load(Path("examples", "names_transformer.py"))
textbook = load(Path("examples", "textbook.py"))

names = st.text(example.LETTERS, max_size=20)
seeds = st.integers(0, 2**32)
scales = st.sampled_from([1.0, 5.0, 20.0])  # from nearly even attention to all on one token


def weights_of(seed, scale=1.0, number=Value):
    return example.new_parameters(random.Random(seed), lambda x: number(scale * x))


# --- the truth -----------------------------------------------------------------------------------


def normed(x):
    return x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5)


def loss_in_jax(weights, tokens, n):
    """17 tokens, of which n + 1 count; rows are positions, all at once."""
    inputs, targets = tokens[:-1], tokens[1:]
    position = jnp.arange(16)
    x = weights["token"][inputs] + weights["position"]
    q, k, v = (
        (normed(x) @ weights[name].T).reshape(16, 4, 4) for name in ("query", "key", "value")
    )
    scores = jnp.einsum("ihd,jhd->hij", q, k) / 2.0
    scores = jnp.where(position[:, None] >= position, scores, -jnp.inf)
    mixed = jnp.einsum("hij,jhd->ihd", jax.nn.softmax(scores), v).reshape(16, 16)
    x = x + mixed @ weights["attention"].T
    x = x + jax.nn.relu(normed(x) @ weights["hidden"].T) @ weights["mlp"].T
    log_p = jax.nn.log_softmax(normed(x) @ weights["logits"].T)[position, targets]
    return -jnp.sum(jnp.where(position < n, log_p, 0.0)) / n


loss_and_gradients_in_jax = jax.jit(jax.value_and_grad(loss_in_jax))


def numbers(weights, attribute):
    return {
        name: jnp.array([[getattr(w, attribute) for w in row] for row in matrix])
        for name, matrix in weights.items()
    }


def largest_difference(a, b):
    return max(float(jnp.max(jnp.abs(a[name] - b[name]))) for name in a)


@pytest.mark.slow
@pytest.mark.parametrize("number", [Value, textbook.Value], ids=["ours", "textbook"])
@given(name=names, seed=seeds, scale=scales)
@settings(max_examples=12)
def test_loss_and_all_gradients_are_those_of_jax(number, name, seed, scale):
    weights = weights_of(seed, scale, number)
    loss = example.cross_entropy(weights, name)
    loss.backward()

    tokens = [26, *(ord(letter) - ord("a") for letter in name), 26][:17]
    padded = jnp.array(tokens + [0] * (17 - len(tokens)))
    expected, gradients = loss_and_gradients_in_jax(
        numbers(weights, "data"), padded, len(tokens) - 1
    )
    size = max(float(jnp.max(jnp.abs(g))) for g in gradients.values())
    assert math.isclose(loss.data, expected, rel_tol=1e-12)
    assert largest_difference(numbers(weights, "grad"), gradients) < 1e-11 * size


# --- properties of the model ---------------------------------------------------------------------


def test_size():
    assert len(example.parameters_of(weights_of(0))) == 4192


@given(prefix=names, a=names, b=names, seed=seeds)
@settings(max_examples=12)
def test_no_token_sees_what_follows_it(prefix, a, b, seed):
    weights = weights_of(seed, 5.0)

    def logits(name):
        keys, values = [], []
        tokens = [example.EDGE, *map(example.LETTERS.index, name)][: example.CONTEXT]
        rows = [example.next_logits(weights, token, keys, values) for token in tokens]
        return [[x.data for x in row] for row in rows]

    n = min(len(prefix) + 1, example.CONTEXT)
    assert logits(prefix + a)[:n] == logits(prefix + b)[:n]


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=30))
def test_softmax_is_a_distribution(x):
    p = [pi.data for pi in example.softmax([Value(xi) for xi in x])]
    assert min(p) >= 0.0
    assert math.isclose(sum(p), 1.0, rel_tol=1e-12)
    assert p[x.index(max(x))] == max(p)


# Zero, or numbers whose squares keep all of their bits.
tokens = st.floats(-1e3, 1e3).map(lambda x: x if abs(x) > 1e-100 else 0.0)


@given(st.lists(tokens, min_size=1, max_size=30).filter(any))
def test_rmsnorm_keeps_the_direction_and_has_mean_square_1(x):
    y = [yi.data for yi in example.rmsnorm([Value(xi) for xi in x])]
    mean_square = math.fsum(xi * xi for xi in x) / len(x)
    expected = math.sqrt(mean_square / (mean_square + 1e-5))
    assert math.isclose(math.sqrt(math.fsum(yi * yi for yi in y) / len(y)), expected, rel_tol=1e-9)
    for xi, yi in zip(x, y, strict=True):
        assert math.isclose(xi * math.hypot(*y), yi * math.hypot(*x), rel_tol=1e-9, abs_tol=1e-200)


# --- training ------------------------------------------------------------------------------------


def test_it_learns_a_name_by_heart():
    weights = example.train(["olivia"], 100, random.Random(0))
    assert example.mean_loss(weights, ["olivia"]) < 0.1
    assert example.sample(weights, random.Random(1), temperature=0.1) == "olivia"


def test_a_name_without_end_is_cut():
    weights = weights_of(0, 0.0)  # all tokens equally likely
    for row in weights["logits"]:
        row[0].data = 0.0

    class Never(random.Random):
        def choices(self, population, weights):
            assert len(weights) == len(population)
            assert all(math.isclose(p, 1 / 27) for p in weights)
            return [0]

    assert example.sample(weights, Never()) == "a" * example.CONTEXT


def test_sampling_builds_no_graph(monkeypatch):
    weights = weights_of(0)
    computed = []

    def recorded(*arguments):
        computed.extend(next_logits(*arguments))
        return computed[-27:]

    next_logits = example.next_logits
    monkeypatch.setattr(example, "next_logits", recorded)
    example.sample(weights, random.Random(0))
    example.mean_loss(weights, ["ann"])
    assert len(computed) >= 5 * 27
    assert all(x.is_leaf for x in computed)
    example.cross_entropy(weights, "ann")
    assert not computed[-1].is_leaf


def test_the_script(capsys, monkeypatch):
    monkeypatch.setattr(example, "UNSEEN", 2)
    example.main(["--steps", "3", "--seed", "1"])
    first = capsys.readouterr().out
    example.main(["--steps", "3", "--seed", "1"])
    assert capsys.readouterr().out == first
    example.main(["--steps", "3", "--seed", "2"])
    assert capsys.readouterr().out != first
    assert len(first.splitlines()) == 23
