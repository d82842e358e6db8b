"""Train a digits MLP on many machines at once, with Dask: each sums the gradients of its images.

    python examples/data_parallel.py                              # processes on this machine
    python examples/data_parallel.py --scheduler tcp://host:8786  # a cluster that is running

The model's cost is traced once, here. The program travels to the workers, where it stays, and
so do the images: each step sends the parameters out and gradients back. The sum over partitions
is taken in their order, so that a run gives the same numbers whichever worker does what. A worker
that dies costs another one its task; what it held is made anew.

The workers of a running cluster need autograd_bp, NumPy and scikit-learn.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
from dask.distributed import Client, Future, LocalCluster
from sklearn.datasets import load_digits

from autograd_bp import Program, trace
from nn import MLP, Adam, accuracy, cross_entropy

Images = tuple[Any, Any]
"""Rows of 64 numbers from 0 to 1, and the digit of each."""


def partition(i: int, n: int) -> Images:
    """Every n-th image from the i-th on; runs on a worker."""
    digits = load_digits()
    return digits.data[i::n] / 16.0, digits.target[i::n]


def gradients(program: Program, images: Images, parameters: Any) -> tuple[float, Any]:
    """The summed cost of some images and its gradient; runs on a worker."""
    cost, grads = program.map(parameters, *images, reduce="sum", grad=True)
    return cost, np.array(grads)


def same(x: Any) -> Any:
    """What was sent: Dask keeps the result of a task, and can make it again elsewhere."""
    return x


def train(client: Client, model: MLP, partitions: int, steps: int) -> Iterator[float]:
    """Full-batch steps of Adam on all images; yields the mean cost before each."""
    parameters = model.parameters()
    optimizer = Adam(parameters, lr=0.03)

    def cost(_: Any, image: Any, digit: Any) -> Any:
        scores: Any = model(image)
        return cross_entropy(scores, digit)

    program = trace(cost, parameters, [0.0] * 64, 0.0)
    there = client.submit(same, program)
    images = [client.submit(partition, i, partitions) for i in range(partitions)]
    n = sum(client.gather(client.map(lambda xy: len(xy[1]), images)))
    for _ in range(steps):
        data = np.array([p.data for p in parameters])
        parts: list[Future] = [
            client.submit(gradients, there, xy, data, pure=False, retries=2) for xy in images
        ]
        costs, grads = zip(*client.gather(parts), strict=True)
        for p, g in zip(parameters, sum(grads) / n, strict=True):
            p.grad = float(g)
        optimizer.step()
        yield sum(costs) / n


def main(scheduler: str | None = None, workers: int = 2, steps: int = 60) -> float:
    """Train and print the cost; return the accuracy on the images that were trained on."""
    model = MLP(64, [32, 10], activation=["sigmoid", "linear"], seed=0)
    with ExitStack() as stack:
        at: Any = scheduler
        if at is None:
            at = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
            stack.enter_context(at)
        client = stack.enter_context(Client(at))
        print(client)
        for step, cost in enumerate(train(client, model, 2 * workers, steps), 1):
            if step == 1 or step % 10 == 0:
                print(f"step {step:3}  cost {cost:.4f}")
    right = accuracy(model, *partition(0, 1))
    print(f"{right:.1%} of the images are read right")
    return right


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scheduler", help="address of a Dask scheduler")
    parser.add_argument("--workers", type=int, default=2, help="processes, without a scheduler")
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    main(arguments.scheduler, arguments.workers, arguments.steps)
