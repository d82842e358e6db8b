"""A training as a page: scrub through it, and look into any sample's forward and backward pass.

`nn.fit` makes one with ``record="training.html"``. The page gets

- frames: the parameters at up to `FRAMES` moments, from the first to the last step, as 32-bit
  floats, with the mean loss of the batches since the frame before;
- tapes: one sample's loss as data. ``ops[i]`` is the operation of node i in topological order,
  ``operands[i]`` its operands, each the number of a node or a string with a plain number; and
  which nodes are parameters, inputs and outputs. A leaf has no operands, or its own number;
- samples: the inputs, the target, a tape, and where in that tape other operands stand, such as
  the target.

The page runs these tapes with the rows of `autograd_bp.ops`, which `autograd_bp.languages` writes
in JavaScript: for the decision boundary, the predictions, and the values and δ of a chosen sample.
"""

from __future__ import annotations

import base64
import os
import sys
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from autograd_bp.context import tracing
from autograd_bp.languages import operations
from autograd_bp.pictures.notation import names
from autograd_bp.pictures.page import Page, json_number, page_path
from autograd_bp.pictures.scene import Scene
from autograd_bp.value import Value, release, topological_order

__all__ = ["TrainingPage"]

FRAMES = 200
NUMBERS = 1_000_000  # in all frames together, 4 bytes each
SAMPLES = 500
INPUTS = 50_000  # in all samples together
EPOCHS = 1000  # that the curves have points for


class TrainingPage(Page):
    """Records a training as it happens; used as a context manager, it writes the page at the end.

    Also an interrupted or failed training is written, as far as it went.

    - ``path``: where the page goes. Its folder is made at once, so that a path that cannot be
      is found before the training, not after.
    - ``model``, ``loss``: functions of one sample's inputs, and of what the model gives for it
      and the target. They are traced for each sample once, so they must not branch on a Value.
    - ``rows``, ``targets``: the samples. The page has up to `SAMPLES`, spread over all.
    - ``labels``: the index of each sample's class, or None where targets are no classes;
      ``threshold``: above which a single output says class 1.
    - ``steps``: how many there will be; ``steps_per_epoch``; ``done``: epochs trained before.

    Raises ValueError for a model or a loss that a page cannot compute.
    """

    home = __name__
    main = "training.html"
    styles = ("training.css",)
    scripts = ("special.js", "tape.js", "training.js")

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: Callable[[Any], Any],
        loss: Callable[[Any, Any], Any],
        parameters: Sequence[Value],
        rows: Sequence[Sequence[float]],
        targets: Sequence[Any],
        *,
        labels: Sequence[float] | None,
        threshold: float,
        steps: int,
        steps_per_epoch: int,
        done: int = 0,
    ) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"record must be the path of a file to write, got {path!r}")
        if Path(path).is_dir():
            raise IsADirectoryError(
                f"record must be the path of a file, got the folder {str(path)!r}; "
                f"write {str(Path(path) / 'training.html')!r}"
            )
        self._path = page_path(path, "record")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self.title = f"Training {model!r}"
        self._parameters = list(parameters)
        limit = max(2, min(FRAMES, NUMBERS // max(1, len(self._parameters))))
        self._every = -(-steps // (limit - 1))
        self._steps, self._steps_per_epoch, self._done_before = steps, steps_per_epoch, done
        self._frames = array("f")
        self._epochs: list[float] = []
        self._losses: list[float | str | None] = []
        self._curves: list[tuple[int, float, float | None]] = []
        self._step, self._loss, self._since = 0, 0.0, 0

        count = max(10, min(SAMPLES, INPUTS // max(1, len(rows[0]))))
        chosen = range(0, len(rows), -(-len(rows) // count))
        tapes = _Tapes(model, loss, self._parameters)
        self._samples = [
            tapes.sample(rows[i], targets[i])
            | {"number": i, "label": None if labels is None else int(labels[i])}
            for i in chosen
        ]
        self._tapes = tapes.tapes
        self._threshold = threshold
        self.code = operations(sorted(tapes.ops))
        self._frame()

    def step(self, cost: float) -> None:
        """A step of the optimizer has been taken, on a batch of this mean loss."""
        self._step += 1
        self._loss += cost
        self._since += 1
        if self._step % self._every == 0 or self._step == self._steps:
            self._frame()

    def epoch(self, measured: dict[str, float]) -> None:
        """An epoch has ended, in which these were measured: what `nn.History` keeps."""
        n = self._done_before + len(self._curves) + 1
        self._curves.append((n, measured["loss"], measured.get("val_loss")))

    def __enter__(self) -> TrainingPage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._since:
            self._frame()
        self.data = self._described()
        self.write(self._path)

    def _frame(self) -> None:
        self._frames.extend(p.data for p in self._parameters)
        self._epochs.append(self._done_before + self._step / self._steps_per_epoch)
        self._losses.append(json_number(self._loss / self._since) if self._since else None)
        self._loss, self._since = 0.0, 0

    def _described(self) -> dict[str, Any]:
        frames = self._frames[:]
        if sys.byteorder == "big":
            frames.byteswap()
        thinned = self._curves[:: -(-len(self._curves) // EPOCHS) or 1]
        return {
            "parameters": len(self._parameters),
            "frames": base64.b64encode(frames.tobytes()).decode(),
            "epochs": self._epochs,
            "losses": self._losses,
            "curves": [[n, *map(_json, losses)] for n, *losses in thinned],
            "tapes": self._tapes,
            "samples": self._samples,
            "threshold": self._threshold,
        }


def _json(x: float | None) -> float | str | None:
    return None if x is None else json_number(x)


def _plain(x: float) -> str:
    return str(json_number(x))


class _Tapes:
    """The tapes of samples. Those of one structure share a tape, and differ in operands."""

    def __init__(
        self,
        model: Callable[[Any], Any],
        loss: Callable[[Any, Any], Any],
        parameters: list[Value],
    ) -> None:
        self.model = model
        self.loss = loss
        self.parameters = parameters
        self.tapes: list[dict[str, Any]] = []
        self.ops: set[str] = set()
        self.known: dict[Any, int] = {}  # the number of the tape, by its structure

    def sample(self, row: Sequence[float], target: Any) -> dict[str, Any]:
        """A sample with its tape: a new one, or a known one with patches."""
        inputs, outputs, nodes = self._traced(row, target)
        position = {node: i for i, node in enumerate(nodes)}
        given = {*self.parameters, *inputs}
        ops = [node.op for node in nodes]
        operands: list[list[int | str]] = [
            [position[x] if isinstance(x, Value) else _plain(x) for x in node.operands]
            for node in nodes
        ]
        for node, own in zip(nodes, operands, strict=True):
            if node.is_leaf and node not in given:
                own.append(_plain(node.data))
        places = [[position.get(node, -1) for node in group] for group in (inputs, outputs)]
        structure = (tuple(ops), tuple(map(len, operands)), *map(tuple, places))
        if structure not in self.known:
            self.known[structure] = len(self.tapes)
            self.ops.update(filter(None, ops))
            self.tapes.append(
                {
                    "ops": ops,
                    "operands": operands,
                    "parameters": [position.get(p, -1) for p in self.parameters],
                    "inputs": places[0],
                    "outputs": places[1],
                    "labels": names(nodes),
                    "roles": Scene(nodes, [p for p in self.parameters if p in position]).roles,
                }
            )
        k = self.known[structure]
        patches = [
            [i, j, x]
            for i, (new, base) in enumerate(zip(operands, self.tapes[k]["operands"], strict=True))
            for j, (x, y) in enumerate(zip(new, base, strict=True))
            if x != y
        ]
        return {"x": list(row), "target": target, "tape": k, "patches": patches}

    def _traced(
        self, row: Sequence[float], target: Any
    ) -> tuple[list[Value], list[Value], list[Value]]:
        """The inputs and outputs of one sample, and all nodes that its loss is computed from."""
        inputs = [Value(x, f"x[{j}]") for j, x in enumerate(row)]
        try:
            with tracing():
                result = self.model(inputs)
                loss = self.loss(result, target)
                nodes = topological_order(loss) if isinstance(loss, Value) else []
                release(nodes)
        except TypeError as error:
            raise ValueError(
                "record: the model and the loss must be one expression for all parameters, so "
                f"that the page can compute it for those of each frame; but: {error}"
            ) from error
        outputs = list(result) if isinstance(result, list | tuple) else [result]
        if not set(nodes).issuperset(outputs):
            raise ValueError(
                "record: the loss must be computed from every output of the model; "
                f"got the loss {loss!r} of the outputs {outputs!r}"
            )
        return inputs, outputs, nodes
