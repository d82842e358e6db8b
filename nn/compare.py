"""Every δ and every gradient found by hand (`nn.delta`), beside those that the engine finds."""

from __future__ import annotations

import copy
import html
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

from autograd_bp import Value, mean
from nn import losses
from nn.delta import (
    COSTS,
    Matrices,
    Vector,
    Vectors,
    activations_of,
    backward,
    forward,
    layers_of,
)
from nn.display import table
from nn.modules import MLP, Record

__all__ = ["Comparison", "Entry", "compare"]


class Entry(NamedTuple):
    """One number, found by hand and by the engine.

    ``kind`` is "δ", "∂C/∂w" or "∂C/∂b"; ``sample`` is None but for δ. ``size`` is what the
    number would be if no terms of opposite sign had met on the way to it: the same equations
    with every number made positive.
    """

    name: str
    kind: str
    layer: int
    sample: int | None
    by_hand: float
    engine: float
    size: float

    @property
    def difference(self) -> float:
        """|by hand − engine|"""
        return 0.0 if self.by_hand == self.engine else abs(self.by_hand - self.engine)

    @property
    def relative(self) -> float:
        """The difference in units of ``size``.

        Rounding errors are proportional to the terms that are added, not to their sum: where
        terms cancel, no way to compute can have the digits that were lost, by hand or not.
        """
        # Below the smallest normal number, doubles have fewer digits.
        return self.difference / max(self.size, sys.float_info.min)


class Comparison:
    """What `compare` returns. ``print`` it, show it in a notebook, or read its ``entries``.

    ``difference`` and ``relative`` are the largest of all entries, see `Entry`.
    """

    SHOWN = 20  # entries with both numbers written out

    def __init__(self, title: str, entries: list[Entry]) -> None:
        self.title = title
        self.entries = entries
        self.difference = _largest(entry.difference for entry in entries)
        self.relative = _largest(entry.relative for entry in entries)

    def _tables(self) -> list[list[list[str]]]:
        """Each δ, and the largest differences of each layer: rows of cells, the first a head."""
        deltas = [entry for entry in self.entries if entry.kind == "δ"]
        deltas.sort(key=lambda entry: entry.sample or 0)  # each sample with all its layers
        each = [["sample", "neuron", "δ by hand", "z.grad", "difference", "relative"]]
        for entry in deltas[: self.SHOWN]:
            numbers = [f"{number + 0.0:.12g}" for number in (entry.by_hand, entry.engine)]  # no -0
            each.append([str(entry.sample), entry.name, *numbers, *_differences([entry])])
        groups: dict[tuple[int, str], list[Entry]] = {}
        for entry in self.entries:
            groups.setdefault((entry.layer, entry.kind), []).append(entry)
        largest = [["layer", "", "numbers", "largest difference", "relative"]]
        for (layer, kind), group in groups.items():
            largest.append([str(layer), kind, str(len(group)), *_differences(group)])
        return [each, largest]

    def _note(self) -> str:
        more = sum(entry.kind == "δ" for entry in self.entries) - self.SHOWN
        left_out = f"{more} more δ are in .entries. " if more > 0 else ""
        return left_out + "Relative: to the sum of the sizes of the terms that a number adds up."

    def __str__(self) -> str:
        each, largest = (_aligned(table) for table in self._tables())
        return "\n".join([self.title, "", *each, "", *largest, "", self._note()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        each, largest = map(table, self._tables())
        return f"<p>{html.escape(self.title)}</p>{each}{largest}<p>{self._note()}</p>"


def compare(mlp: MLP, x: Any, y: Any, cost: Callable[[Any, Any], Any] | str) -> Comparison:
    """Find every δ and every gradient of an MLP by hand and by the engine, and report both.

    - ``x``, ``y``: a sample and its target, or a batch: a list of samples and one of targets,
      as `backprop` takes them. The cost of a batch is the mean.
    - ``cost``: `nn.mse`, `nn.bce`, `nn.bce_with_logits` or `nn.cross_entropy`, or its name.

    The engine runs ``mlp.forward`` and ``backward`` on a copy of the network: no ``grad`` of
    ``mlp`` changes. Both sides add up z from the bias on, from left to right, and both take
    σ' = a(1 − a) from a. So z and a agree to the last bit, and where a is so near 1 that 1 − a
    has lost digits, both have lost the same. What differs is the order of other sums, hence
    about 1e-16, relative to `Entry.size`.

    Raises ValueError for another cost, or an activation that is not one of `ACTIVATIONS`.

    >>> from nn import MLP, mse
    >>> report = compare(MLP(2, [3, 1], seed=0), [0.5, -1.0], 1.0, mse)
    >>> len(report.entries)  # 4 δ, 9 weights, 4 biases
    17
    >>> report.relative < 1e-14
    True
    """
    if not isinstance(mlp, MLP):
        raise TypeError(f"mlp must be an nn.MLP, got {mlp!r} of type {type(mlp).__name__}")
    name = cost if isinstance(cost, str) else getattr(cost, "__name__", "")
    loss = getattr(losses, name) if name in COSTS else None
    if loss is None or (loss is not cost and name != cost):
        raise ValueError(
            f"cost must be nn.{', nn.'.join(COSTS)} or such a name, whose ∂C/∂a is written here "
            f"by hand; got {cost!r}"
        )
    X, Y = _batch(x, y)
    twin = copy.deepcopy(mlp)
    twin.zero_grad()
    records = [twin.forward(row) for row in X]
    total = mean([loss(record.output, target) for record, target in zip(records, Y, strict=True)])
    if not isinstance(total, Value) or total.is_leaf:
        raise RuntimeError("compare needs a graph to differentiate: call it outside of no_grad()")
    total.backward()

    W, b = layers_of(
        [[[w.data for w in neuron.w] for neuron in layer.neurons] for layer in mlp.layers],
        [[neuron.b.data for neuron in layer.neurons] for layer in mlp.layers],
    )
    activation = activations_of([layer.activation for layer in mlp.layers], len(W))
    _, a, terms = forward(W, b, X, Y, name, activation)
    by_hand = backward(W, a, terms, activation)
    # σ'(z) is never negative, so the equations need no other change to give sizes.
    size = backward(
        {layer: [_sizes(row) for row in W[layer]] for layer in W},
        [{layer: _sizes(a_s[layer]) for layer in a_s} for a_s in a],
        [[_sizes(terms_k) for terms_k in terms_s] for terms_s in terms],
        activation,
    )
    return Comparison(
        f"{mlp!r}, {name}, {len(X)} sample{'s' if len(X) > 1 else ''}: by hand and by the engine",
        list(_entries(twin, records, by_hand, size)),
    )


Result: TypeAlias = tuple[list[Vectors], Matrices, Vectors]


def _entries(mlp: MLP, records: list[Record], by_hand: Result, size: Result) -> Iterator[Entry]:
    """Every number that both sides have found, from the last layer to the first."""
    for layer in range(len(mlp.layers), 0, -1):
        for s, record in enumerate(records):
            for i, z in enumerate(record.layers[layer - 1].z):
                numbers = by_hand[0][s][layer][i], z.grad, size[0][s][layer][i]
                yield Entry(f"δ[{layer}][{i}]", "δ", layer, s, *numbers)
        for i, neuron in enumerate(mlp.layers[layer - 1].neurons):
            for j, w in enumerate(neuron.w):
                numbers = by_hand[1][layer][i][j], w.grad, size[1][layer][i][j]
                yield Entry(f"w[{layer}][{i}][{j}]", "∂C/∂w", layer, None, *numbers)
        for i, neuron in enumerate(mlp.layers[layer - 1].neurons):
            numbers = by_hand[2][layer][i], neuron.b.grad, size[2][layer][i]
            yield Entry(f"b[{layer}][{i}]", "∂C/∂b", layer, None, *numbers)


def _batch(x: Any, y: Any) -> tuple[list[Any], list[Any]]:
    """Samples and targets as lists, also where there is one of each."""
    x, y = (v.tolist() if hasattr(v, "tolist") else v for v in (x, y))
    if not isinstance(x, (list, tuple)):
        raise TypeError(f"x must be a list of numbers, or a list of such samples; got {x!r}")
    rows = [row.tolist() if hasattr(row, "tolist") else row for row in x]
    if not rows or not isinstance(rows[0], (list, tuple)):
        return [rows], [y]
    if not isinstance(y, (list, tuple)) or len(y) != len(rows):
        raise ValueError(f"x holds {len(rows)} samples, so y must be a list of as many; got {y!r}")
    return rows, [target.tolist() if hasattr(target, "tolist") else target for target in y]


def _sizes(numbers: Vector) -> Vector:
    return [abs(number) for number in numbers]


def _largest(numbers: Iterable[float]) -> float:
    """The largest; NaN if there is one, which max may overlook."""
    found = list(numbers)
    return math.nan if any(map(math.isnan, found)) else max(found)


def _differences(entries: list[Entry]) -> list[str]:
    numbers = (
        _largest(entry.difference for entry in entries),
        _largest(entry.relative for entry in entries),
    )
    return [f"{number:.2g}" for number in numbers]


def _aligned(table: list[list[str]]) -> list[str]:
    """The lines of a table whose columns are as wide as they need be."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    ]
