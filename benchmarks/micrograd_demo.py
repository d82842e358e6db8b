"""How much faster does micrograd's own demo run with our Value in place of its own?

micrograd 0.1.0 as it is published, its ``nn.py`` and the training loop of its demo notebook: 100
moons, MLP(2, [16, 16, 1]) with relu, hinge loss, L2, falling rate. Only ``micrograd.nn.Value``,
which its neurons make their weights of, is replaced.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import micrograd.engine
import micrograd.nn
from sklearn.datasets import make_moons

import nn
from autograd_bp import mean, sum_of
from benchmarks.engines import our_engines
from benchmarks.timing import Lap, interleaved_apart, print_table

PEER = "micrograd 0.1.0"
STEPS = 20
TARGETS = {"interpreted": 6, "compiled": 100, "compiled, our nn.MLP": 300}


def value_class(engine: str) -> Any:
    """The class of values of that engine."""
    return micrograd.engine.Value if engine == PEER else our_engines()[engine].Value


class Demo:
    """Gradient descent as in the notebook, one step a call, over any engine's values."""

    def __init__(self, engine: str) -> None:
        X, y = make_moons(n_samples=100, noise=0.1, random_state=1337)
        self.value_class = value_class(engine)
        self.X, self.y = X.tolist(), [2 * int(yi) - 1 for yi in y]
        self.losses: list[float] = []
        self.model = self.make_model()

    def __getstate__(self) -> dict[str, Any]:
        """What is left of it after the benchmark: the losses."""
        return {"losses": self.losses}

    def make_model(self) -> Any:
        """micrograd's MLP, its weights made of our class."""
        random.seed(1337)
        micrograd.nn.Value = self.value_class
        return micrograd.nn.MLP(2, [16, 16, 1])

    def cost(self) -> Any:
        """Mean hinge loss plus L2."""
        inputs = [list(map(self.value_class, row)) for row in self.X]
        scores = list(map(self.model, inputs))
        losses = [(1 + -yi * score).relu() for yi, score in zip(self.y, scores, strict=True)]
        data_loss = sum(losses) * (1.0 / len(losses))
        return data_loss + 1e-4 * sum(p * p for p in self.model.parameters())

    def __call__(self, lap: Lap) -> None:
        """One step."""
        cost = self.cost()
        self.model.zero_grad()
        cost.backward()
        rate = max(0.1, 1.0 - 0.9 * len(self.losses) / 100)
        for p in self.model.parameters():
            p.data -= rate * p.grad
        self.losses.append(cost.data)
        del cost
        lap("step")


class WithoutCollector(Demo):
    """The same with garbage collection off, as it could run while memory lasts."""

    def __call__(self, lap: Lap) -> None:
        """One step, and off the clock the collector's work."""
        gc.disable()
        super().__call__(lap)
        gc.collect()


class OurMLP(Demo):
    """The same with our `nn.MLP` and losses: two nodes a neuron."""

    def make_model(self) -> Any:
        """Our MLP of the same size."""
        return nn.MLP(2, [16, 16, 1], activation=["relu", "relu", "linear"], seed=1337)

    def cost(self) -> Any:
        """Mean hinge loss plus L2."""
        losses = [nn.hinge(self.model(x), yi) for x, yi in zip(self.X, self.y, strict=True)]
        return mean(losses) + 1e-4 * sum_of(p**2 for p in self.model.parameters())


def main() -> None:
    engines = list(our_engines())
    makers: dict[str, Callable[[], Demo]] = {name: partial(Demo, name) for name in [PEER, *engines]}
    makers[f"{engines[-1]}, our nn.MLP"] = partial(OurMLP, engines[-1])
    makers[f"{PEER}, gc.disable()"] = partial(WithoutCollector, PEER)
    medians, demos = interleaved_apart(makers, rounds=STEPS)
    rows = []
    for name, laps in medians.items():
        difference = ""
        if name in engines:
            losses = zip(demos[name].losses, demos[PEER].losses, strict=False)
            off = max(abs(a - b) / b for a, b in losses)
            assert off < 1e-12, f"{name}: losses differ by {off}"
            difference = f"{off:.0e}"
        target = f"{TARGETS[name]}×" if name in TARGETS else ""
        ratio = f"{medians[PEER]['step'] / laps['step']:.1f}×"
        rows.append([name, f"{1e3 * laps['step']:.2f}", ratio, target, difference])
    print_table(
        "micrograd's own demo: one training step",
        ["engine", "ms", "speed", "target", f"losses off by, {STEPS} steps"],
        rows,
        "Each in a process of its own, taking turns. micrograd's nodes are cyclic garbage, and\n"
        "its time is mostly the collector's: without it a step is faster, but no memory comes\n"
        "back. Ours leave the collector nothing to do.",
    )


if __name__ == "__main__":
    main()
