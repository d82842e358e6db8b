"""Networks for tables: a column to predict from the others, as the command line trains them.

A table is the text of a CSV file with a header row. Features must be numbers; they are
standardised by the mean and the standard deviation of the training rows. A target without numbers,
or of at most 20 different whole numbers, names classes; one of other numbers is a quantity; numbers
and text mixed are refused. What prediction needs is kept in the model's file, `nn.save` writes it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, NamedTuple

from autograd_bp import softmax
from autograd_bp.files import write_whole
from autograd_bp.text import printable
from nn.checks import finite, package, some
from nn.classes import outputs
from nn.losses import cross_entropy, mse
from nn.modules import MLP
from nn.optim import Adam
from nn.plots import plots
from nn.saving import load, read_metadata, save
from nn.training import fit

__all__ = ["Network", "Table", "load_network", "read_csv", "sample_data", "train"]

MOST_CLASSES = 20  # of a target whose cells are whole numbers
HELD_OUT = 0.2


class Table(NamedTuple):
    """Rows of cells as text, and the line of the file that each stands in."""

    name: str
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]

    def position(self, column: str) -> int:
        """Where a column is; ValueError if there is none of the name."""
        if column not in self.columns:
            raise ValueError(
                f"{self.name} has no column {column!r}; its columns are "
                f"{printable(', '.join(self.columns))}"
            )
        return self.columns.index(column)

    def numbers(self, columns: Sequence[str]) -> list[list[float]]:
        """These columns as numbers, row by row; ValueError names the first cell that is none."""
        which = [(self.position(column), column) for column in columns]
        return [
            [self._number(row[k], line, column) for k, column in which]
            for row, line in zip(self.rows, self.lines, strict=True)
        ]

    def _number(self, cell: str, line: int, column: str) -> float:
        where = f"{self.name}, row {line}, column {column!r}"
        try:
            return finite(float(cell), where)
        except ValueError:
            pass
        if not cell.strip():
            raise ValueError(f"{where}: the value is missing; fill it in or leave the row out")
        raise ValueError(f"{where}: {cell[:60]!r} is no finite number")


def read_csv(path: str | os.PathLike[str]) -> Table:
    """The table in a CSV file in UTF-8 whose first row names the columns.

    Raises ValueError for a file that is none, naming the row; OSError passes through.
    """
    name = printable(str(path))
    rows: list[list[str]] = []
    lines: list[int] = []
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            columns = [column.strip() for column in next(reader, [])]
            if not columns:
                raise ValueError(f"{name} is empty; its first row must name the columns")
            if all(map(_is_number, columns)):
                raise ValueError(
                    f"{name}, row 1 has numbers only; the first row must name the columns"
                )
            if len(columns) == 1 and (other := set(columns[0]) & set(";\t|")):
                raise ValueError(
                    f"{name}, row 1: columns are separated by commas, not by {min(other)!r}"
                )
            repeated = sorted({c for c in columns if columns.count(c) > 1})
            if repeated or "" in columns:
                what = f"{some(repeated)} twice" if repeated else "a column without a name"
                raise ValueError(f"{name}, row 1: the header has {what}")
            for row in reader:
                if not row:
                    continue  # an empty line
                if len(row) != len(columns):
                    raise ValueError(
                        f"{name}, row {reader.line_num}: {len(row)} cells, and the header has "
                        f"{len(columns)}"
                    )
                rows.append(row)
                lines.append(reader.line_num)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{name}, after row {reader.line_num}: {error}; save the file as UTF-8"
            ) from None
        except csv.Error as error:
            raise ValueError(f"{name}, row {reader.line_num}: {error}") from None
    if not rows:
        raise ValueError(f"{name} has a header and no rows")
    return Table(name, columns, rows, lines)


def sample_data(name: str) -> Table:
    """scikit-learn's "moons" (400 points) or "digits" (1,797 images of 8×8) as a table."""
    try:
        from sklearn.datasets import load_digits, make_moons
    except ImportError:
        raise ImportError(
            f"{name} comes with scikit-learn, which is missing; install it with "
            'pip install "autograd-bp[cli]"'
        ) from None
    if name == "moons":
        X, y = make_moons(n_samples=400, noise=0.1, random_state=0)
        columns = ["x", "y", "moon"]
    else:
        X, y = load_digits(return_X_y=True)
        columns = [*(f"pixel{k}" for k in range(64)), "digit"]
    rows = [[*map(repr, row), str(k)] for row, k in zip(X.tolist(), y.tolist(), strict=True)]
    return Table(name, columns, rows, list(range(2, len(rows) + 2)))


@dataclass(eq=False)
class Network:
    """An MLP with what leads from a table's cells to its inputs, and back from its outputs.

    ``classes`` are the names of the classes, one for each output; empty if the one output is the
    target less ``target_mean``, over ``target_scale``.
    """

    model: MLP
    columns: list[str]
    means: list[float]
    scales: list[float]
    target: str
    classes: list[str]
    target_mean: float = 0.0
    target_scale: float = 1.0

    def standardised(self, rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """(x − mean)/scale of every feature."""
        return [
            [(x - m) / s for x, m, s in zip(row, self.means, self.scales, strict=True)]
            for row in rows
        ]

    def predict(self, table: Table) -> list[Any]:
        """For each row the name of its class, or the number."""
        return self.said(self.outputs(table))

    def outputs(self, table: Table) -> list[Any]:
        """For each row what the model makes of it: a score for each class, or one number."""
        return outputs(self.model, self.standardised(table.numbers(self.columns)))

    def said(self, found: Sequence[Any]) -> list[Any]:
        """What `outputs` come to: for each row the name of its class, or the number."""
        if self.classes:
            return [self.classes[scores.index(max(scores))] for scores in found]
        return [self.target_mean + self.target_scale * y for y in found]

    def probabilities(self, found: Sequence[Any]) -> list[dict[str, float]]:
        """For each row of `outputs` every class and its probability: the softmax of the scores."""
        return [dict(zip(self.classes, softmax(scores), strict=True)) for scores in found]

    @property
    def output_names(self) -> list[str]:
        """What the outputs of `folded` are, in their order."""
        return [f"score of {name}" for name in self.classes] or [self.target]

    def save(self, path: Path) -> None:
        """Write it as a safetensors file, whole or not at all."""
        kept = {name: getattr(self, name) for name in _KEPT}
        save(path, self.model, metadata={"network": json.dumps(kept)})

    def folded(self) -> MLP:
        """An MLP from raw features to raw outputs: what is linear around it goes into its weights.

        The outputs are the classes' scores, or the target in its own unit.
        """
        sizes = [len(layer.neurons) for layer in self.model.layers]
        names = [layer.activation for layer in self.model.layers]
        mlp = MLP(len(self.columns), sizes, names, seed=0)
        mlp.load_state_dict(self.model.state_dict())
        for neuron in mlp.layers[0].neurons:  # w·(x − m)/s + b
            for w, m, s in zip(neuron.w, self.means, self.scales, strict=True):
                w.data /= s
                neuron.b.data -= w.data * m
        for neuron in mlp.layers[-1].neurons:  # linear, so it may be stretched
            for p in neuron.parameters():
                p.data *= self.target_scale
            neuron.b.data += self.target_mean
        return mlp

    def export(self, to: str, path: Path) -> None:
        """Write `folded` as source in C, a file for ONNX, or the state_dict of an nn.Sequential."""
        mlp = self.folded()
        if to == "c":
            from autograd_bp import trace
            from autograd_bp.program.c_names import free_name

            name = free_name(path.stem, default="network")
            trace(lambda features: mlp(features), [0.0] * len(self.columns)).to_c(path, name)
        elif to == "onnx":
            from nn.export import to_onnx

            to_onnx(mlp, path)
        else:
            from nn.export import to_torch

            buffer = io.BytesIO()
            state = to_torch(mlp).state_dict()
            package("torch", "export to torch", "torch").save(state, buffer)
            write_whole(path, buffer.getvalue())


_KEPT = [field.name for field in fields(Network) if field.name != "model"]


def load_network(path: str | os.PathLike[str]) -> Network:
    """What `Network.save` wrote; ValueError for any other file, OSError passes through."""
    model = load(path)
    try:
        kept = json.loads(read_metadata(path)["network"])
        network = Network(model, **{name: kept[name] for name in _KEPT})  # type: ignore[arg-type]
        _check(network)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{printable(str(path))} is no network that `autograd-bp train` has saved "
            f"(network: {type(error).__name__}: {printable(str(error))[:200]})"
        ) from None
    return network


def _check(network: Network) -> None:
    """Raise ValueError or TypeError unless the parts fit together."""
    first, last = network.model.layers[0], network.model.layers[-1]
    n = first.nin
    for field in ("means", "scales", "target_mean", "target_scale"):
        numbers = getattr(network, field)
        for x in numbers if isinstance(numbers, list) else [numbers]:
            finite(x, field)
    lists = network.columns, network.means, network.scales, network.classes
    names = [*network.columns, *network.classes, network.target]
    classes = len(network.classes)
    if (
        not all(isinstance(x, list) for x in lists)
        or not all(isinstance(name, str) for name in names)
        or not len(network.columns) == len(network.means) == len(network.scales) == n
        or min(*network.scales, network.target_scale) <= 0.0
        or classes == 1
        or len(last.neurons) != (classes or 1)
        or last.activation != "linear"  # or `folded` would be another function
    ):
        raise ValueError("columns, means, scales, classes and the layers do not fit together")


def train(
    table: Table, target: str | None, hidden: Sequence[int], activation: str, *,
    kind: str | None = None, epochs: int, lr: float, seed: int, out: Path, progress: bool,
) -> dict[str, Any]:  # fmt: skip
    """Train, measure on a fifth of the rows that is held out, and write the model and plots.

    ``kind`` is "classes" or "quantity"; by default the target's cells tell.
    Returns what there is to tell: the score, and the files in ``out``.
    """
    target = table.columns[-1] if target is None else target
    at = table.position(target)
    columns = [column for column in table.columns if column != target]
    if not columns:
        raise ValueError(f"{table.name} has no column besides the target {target!r}")
    cells = [row[at].strip() for row in table.rows]
    X = table.numbers(columns)
    quantities = _quantities(table, target, cells, kind)
    classes = sorted(set(cells)) if quantities is None else _classes(cells, quantities, kind)
    order = list(range(len(X)))
    random.Random(seed).shuffle(order)
    n_held_out = round(HELD_OUT * len(X))
    held_out, training = order[:n_held_out], order[n_held_out:]
    if not held_out or (classes and len(classes) < 2):
        raise ValueError(
            f"{table.name} has {len(X)} rows and {len(set(cells))} different values of "
            f"{target!r}; to train takes a few rows at least, and two classes"
        )

    by_column = zip(*[X[i] for i in training], strict=True)
    moments = [_moments(numbers, name) for numbers, name in zip(by_column, columns, strict=True)]
    activations = [activation] * len(hidden) + ["linear"]
    network = Network(
        MLP(len(columns), [*hidden, len(classes) or 1], activations, seed),
        columns, [mean for mean, _ in moments], [scale for _, scale in moments],
        target, classes,
    )  # fmt: skip
    actual: Sequence[Any]
    y: list[Any]
    if classes or quantities is None:
        actual, y = cells, [classes.index(cell) for cell in cells]
    else:
        known = [quantities[i] for i in training]
        mean, scale = network.target_mean, network.target_scale = _moments(known, target)
        actual, y = quantities, [(q - mean) / scale for q in quantities]
    inputs = network.standardised(X)
    package("safetensors.numpy", "saving", "save")  # or it is missed when the training is over
    out.mkdir(parents=True, exist_ok=True)
    history = fit(
        network.model, [inputs[i] for i in training], [y[i] for i in training],
        loss=cross_entropy if classes else mse, epochs=epochs, seed=seed, progress=progress,
        optimizer=Adam(network.model.parameters(), lr=lr),
        validation=([inputs[i] for i in held_out], [y[i] for i in held_out]),
    )  # fmt: skip
    network.save(out / "model.safetensors")
    predicted = network.predict(
        table._replace(
            rows=[table.rows[i] for i in held_out], lines=[table.lines[i] for i in held_out]
        )
    )
    actual = [actual[i] for i in held_out]
    score = _score(actual, predicted, bool(classes))
    files = [out / "model.safetensors", *plots(out, history, actual, predicted, classes)]
    return {
        "target": target,
        "kind": f"{len(classes)} classes" if classes else "a quantity",
        "training rows": len(training),
        "held-out rows": len(held_out),
        **score,
        "files": [str(file) for file in files],
    }


def _quantities(
    table: Table, target: str, cells: Sequence[str], kind: str | None
) -> list[float] | None:
    """The target as numbers, or None if no cell is one; ValueError names a cell that stands out."""
    are_numbers = [_is_number(cell) for cell in cells]
    numeric = any(are_numbers)
    for cell, is_number, line in zip(cells, are_numbers, table.lines, strict=True):
        if not cell:
            raise ValueError(f"{table.name}, row {line}, column {target!r}: the value is missing")
        if not is_number and numeric:
            raise ValueError(
                f"{table.name}, row {line}, column {target!r}: {cell[:60]!r} is no number and "
                "other rows have numbers; for classes, let every row have a name"
            )
    if not numeric and kind != "quantity":
        return None
    return [row[0] for row in table.numbers([target])]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _classes(cells: Sequence[str], quantities: Sequence[float], kind: str | None) -> list[str]:
    """Numbers as the names of classes, in order; none if the numbers are quantities."""
    spelling = dict(zip(quantities, cells, strict=True))
    few = len(spelling) <= MOST_CLASSES and all(x == round(x) for x in spelling)
    if kind == "quantity" or (kind is None and not few):
        return []
    for x, cell in zip(quantities, cells, strict=True):
        if spelling[x] != cell:
            raise ValueError(
                f"the target has one class as {cell!r} and as {spelling[x]!r}; write it in one way"
            )
    return [spelling[x] for x in sorted(spelling)]


def _moments(numbers: Sequence[float], column: str) -> tuple[float, float]:
    """Mean and standard deviation, or 1 for a constant."""
    try:
        mean, deviation = fmean(numbers), pstdev(numbers)
    except OverflowError:
        deviation = math.inf
    if not math.isfinite(deviation):
        raise ValueError(f"column {column!r} has numbers too large to standardise; rescale it")
    return mean, deviation or 1.0


def _score(actual: Sequence[Any], predicted: list[Any], by_class: bool) -> dict[str, float]:
    """The accuracy; or R² and the root of the mean squared error, in the target's unit."""
    if by_class:
        right = sum(a == p for a, p in zip(actual, predicted, strict=True))
        return {"held-out accuracy": right / len(actual)}
    errors = fmean((a - p) ** 2 for a, p in zip(actual, predicted, strict=True))
    spread = pstdev(actual) ** 2
    r2 = {"held-out R²": 1.0 - errors / spread} if spread else {}  # of equal numbers there is none
    return r2 | {"held-out RMSE": math.sqrt(errors)}
