"""How much faster does micrograd's own demo run with our Value in place of its own?

micrograd 0.1.0 as it is published, its ``nn.py`` and the training loop of its demo notebook: 100
moons, MLP(2, [16, 16, 1]) with relu, hinge loss, L2, falling rate. Only ``micrograd.nn.Value``,
which its neurons make their weights of, is replaced.
"""

from __future__ import annotations

import gc
import random
from typing import Any

import micrograd.engine
import micrograd.nn
from sklearn.datasets import make_moons

import nn
from autograd_bp import compiled, mean, sum_of
from benchmarks.engines import our_engines
from benchmarks.timing import Lap, interleaved, print_table

STEPS = 20
TARGETS = {"interpreted": 6, "compiled": 100, "compiled, our nn.MLP": 300}


class Demo:
    """Gradient descent as in the notebook, one step a call, over any class of values."""

    def __init__(self, value_class: Any, X: list[list[float]], y: list[int]) -> None:
        self.value_class = value_class
        self.X, self.y = X, y
        self.losses: list[float] = []
        self.model = self.make_model()

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
        """One step."""
        gc.disable()
        super().__call__(lap)
        gc.enable()
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
    X, y = make_moons(n_samples=100, noise=0.1, random_state=1337)
    data = X.tolist(), [2 * int(yi) - 1 for yi in y]
    peer = "micrograd 0.1.0"
    demos = {
        peer: Demo(micrograd.engine.Value, *data),
        **{name: Demo(engine.Value, *data) for name, engine in our_engines().items()},
        f"{'compiled' if compiled else 'interpreted'}, our nn.MLP": OurMLP(None, *data),
    }
    medians = interleaved(demos, rounds=STEPS)
    collected = {f"{peer}, gc.disable()": WithoutCollector(micrograd.engine.Value, *data)}
    medians |= interleaved(collected, rounds=5)  # apart, since it clears up for the others
    expected = demos[peer].losses
    rows = []
    for name, demo in (demos | collected).items():
        seconds = medians[name]["step"]
        difference = ""
        if name in TARGETS and not isinstance(demo, OurMLP):
            off = max(abs(a - b) / b for a, b in zip(demo.losses[:STEPS], expected, strict=True))
            assert off < 1e-12, f"{name}: losses differ by {off}"
            difference = f"{off:.0e}"
        target = f"{TARGETS[name]}×" if name in TARGETS else ""
        ratio = f"{medians[peer]['step'] / seconds:.1f}×"
        rows.append([name, f"{1e3 * seconds:.2f}", ratio, target, difference])
    print_table(
        "micrograd's own demo: one training step",
        ["engine", "ms", "speed", "target", f"losses off by, {STEPS} steps"],
        rows,
        "micrograd's nodes are cyclic garbage, and its time is mostly the collector's: without it\n"
        "a step is faster, but no memory comes back. Ours leave the collector nothing to do.",
    )


if __name__ == "__main__":
    main()
