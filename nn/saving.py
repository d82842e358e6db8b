"""Models and training runs as safetensors files: arrays and text, nothing that can run.

`save` writes a model, and its optimizer if wanted, as one file; `load` reads it back, all of it
or nothing. `fit(..., checkpoint="run.safetensors")` keeps such a file up to date by itself.

>>> import tempfile
>>> from nn import MLP, Adam
>>> model = MLP(2, [3, 1], seed=0)
>>> with tempfile.TemporaryDirectory() as folder:
...     path = save(f"{folder}/model.safetensors", model)
...     twin = load(path)
>>> twin
MLP(2, [3, 1], activation='sigmoid')
>>> twin([0.5, -1.0]).data == model([0.5, -1.0]).data
True

The file of an `MLP` has for each layer l the arrays ``w[l]``, of shape (neurons, inputs), and
``b[l]``, of shape (neurons,); that of another module has each parameter as an array of no
dimensions, by its name. An optimizer's memory and settings are there as ``optimizer.m`` and so
on. All numbers are doubles, so nothing is rounded.
"""

from __future__ import annotations

import copy
import glob
import hashlib
import json
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from autograd_bp import Value
from autograd_bp.files import write_whole
from nn.modules import MLP, Module, finite, package, some, uninterrupted
from nn.optim import Optimizer

if TYPE_CHECKING:
    from nn.training import History

__all__ = ["load", "read_metadata", "save"]

FORMAT = "autograd-bp 1"
PREFIX = "optimizer."
TAKEN = ("format", "activation", "optimizer", "training")  # names of the file's own metadata

PathLike: TypeAlias = str | os.PathLike[str]


class Array(NamedTuple):
    """The numbers of an array, row by row, or the parameters that they are for."""

    shape: tuple[int, ...]
    items: Sequence[Any]


def save(
    path: PathLike,
    model: Module,
    optimizer: Optimizer | None = None,
    *,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a model, and an optimizer's state, as a safetensors file; return its path.

    The file is there whole or not at all, and an older one stays until then. Equal models and
    optimizers make equal files, byte for byte. ``metadata`` is text of one's own to keep with it,
    which `read_metadata` gives back.

    Raises ValueError where parameters cannot be told apart or are not finite.
    """
    arrays, own = _described(model, optimizer)
    given = dict(metadata or {})
    for key, text in given.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"metadata must be a dict of str to str, got {key!r}: {text!r}")
        if key in TAKEN:
            raise ValueError(f"metadata has the name {key!r}, which is taken; choose another")
    return _write(path, arrays, own | given)


def load(path: PathLike, model: Module | None = None, optimizer: Optimizer | None = None) -> Module:
    """Set a model's parameters, and an optimizer's state, to what `save` wrote; return the model.

    Without a ``model``, an `MLP` is made as the file describes it. What is given changes wholly
    or, when an exception is raised, not at all. A file of ``autograd-bp train`` holds besides how
    columns are standardised: `nn.tables.load_network` reads both.

    Raises ValueError for a file that is no safetensors file, is not whole, or does not fit: names
    or shapes that differ, numbers that are not finite, another optimizer. OSError passes through.
    """
    arrays, metadata = _read(path)
    return _load(path, arrays, metadata, model, optimizer)


def read_metadata(path: PathLike) -> dict[str, str]:
    """The text that `save` kept with the arrays. Raises as `load` does."""
    return _read(path)[1]


def _load(
    path: PathLike,
    arrays: dict[str, Array],
    metadata: dict[str, str],
    model: Module | None,
    optimizer: Optimizer | None,
) -> Module:
    parameters = {name: a for name, a in arrays.items() if not name.startswith(PREFIX)}
    if model is None:
        model = _mlp(path, parameters, metadata)
    own = _parameters(model)
    missing = [name for name in own if name not in parameters]
    unexpected = [name for name in parameters if name not in own]
    if missing or unexpected:
        raise ValueError(
            f"{path} does not fit {model!r}: missing {some(missing)}; unexpected "
            f"{some([_short(name) for name in unexpected])}. "
            "Load it into a module of the shape that it was saved from."
        )
    moves: list[tuple[Value, float]] = []
    for name, (shape, values) in own.items():
        found = parameters[name]
        if found.shape != shape:
            raise ValueError(
                f"{path} does not fit {model!r}: {name} has the shape {found.shape}, not {shape}. "
                "Load it into a module of the shape that it was saved from."
            )
        numbers = [finite(x, f"{name} in {path}") for x in found.items]
        moves += zip(values, numbers, strict=True)

    trial = None
    if optimizer is not None:
        kind = metadata.get("optimizer")
        if kind != type(optimizer).__name__:
            raise ValueError(
                f"{path} has the state of {_short(kind) if kind else 'no optimizer'}, "
                f"not of {type(optimizer).__name__}"
            )
        state = {
            name.removeprefix(PREFIX): a.items if a.shape else a.items[0]
            for name, a in arrays.items()
            if name.startswith(PREFIX)
        }
        trial = copy.copy(optimizer)  # to see whether all of it fits, before anything changes
        try:
            trial.load_state_dict(state)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} does not fit {optimizer!r}: {error}") from error
    with uninterrupted():
        for parameter, number in moves:
            parameter.data = number
        if optimizer is not None:
            vars(optimizer).update(vars(trial))
    return model


# --- checkpoints of fit ---------------------------------------------------------------------------


class Checkpoint:
    """What `fit` needs to go on after it was killed, as one file, replaced after each epoch.

    An epoch's order of samples follows from the seed and its number, so that the parameters, the
    optimizer's state, the seed and the history are all that the next epochs depend on. ``run``
    says what else the numbers depend on; a file of another run is refused.
    """

    def __init__(
        self,
        path: PathLike,
        model: Module,
        optimizer: Optimizer,
        history: History,
        run: Mapping[str, Any],
    ) -> None:
        self.path = Path(path)
        self.model = model
        self.optimizer = optimizer
        self.history = history
        self.run = run
        if history.loss and not self.path.exists():
            raise ValueError(
                "history has epochs and there is no file at checkpoint yet: go on from an "
                "earlier call by history=, or keep a run in a file by checkpoint=, not by both"
            )

    def resume(self, seed: int | None) -> int:
        """Go on where the file stands, or write the first one; return the seed of the run.

        Raises ValueError for a file of another run, or of another seed, and changes nothing.
        """
        for stray in self.path.parent.glob(f".{glob.escape(self.path.name)}.????????.tmp"):
            stray.unlink(missing_ok=True)  # of a run that was killed while it wrote
        if not self.path.exists():
            self.seed = random.randrange(2**32) if seed is None else seed
            self.write()
            return self.seed
        arrays, metadata = _read(self.path)
        try:
            training = json.loads(metadata["training"])
            found_seed, found, lists = training["seed"], training["run"], training["history"]
            epochs = {name: [finite(x, name) for x in lists[name]] for name in vars(self.history)}
            if not isinstance(found_seed, int) or not isinstance(found, dict):
                raise TypeError("seed and run")
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"{self.path} is no checkpoint of fit ({type(error).__name__}: "
                f"{_short(str(error))}); give checkpoint the name of a new file"
            ) from error
        wanted = dict(self.run) if seed is None else {**self.run, "seed": seed}
        for name, now in wanted.items():
            then = found_seed if name == "seed" else found.get(name)
            if then != now:
                raise ValueError(
                    f"{self.path} is the checkpoint of another run: its {name} is "
                    f"{_short(then)}, now it is {_short(now)}. Give checkpoint the name of a new "
                    "file, or remove that one to start anew."
                )
        with uninterrupted():
            _load(self.path, arrays, metadata, self.model, self.optimizer)
            vars(self.history).update(epochs)
        self.seed = found_seed
        return found_seed

    def write(self) -> None:
        """Replace the file by one of the present state."""
        training = {"seed": self.seed, "run": self.run, "history": vars(self.history)}
        with uninterrupted():
            arrays, own = _described(self.model, self.optimizer)
            _write(self.path, arrays, own | {"training": json.dumps(training)})


def fingerprint(rows: Sequence[Any], targets: Sequence[Any]) -> str:
    """A text that differs for data that differ."""
    return hashlib.sha256(repr((rows, targets)).encode()).hexdigest()[:16]


# --- arrays and files -----------------------------------------------------------------------------


def _described(
    model: Module, optimizer: Optimizer | None
) -> tuple[dict[str, Array], dict[str, str]]:
    """All that a file has of a model and an optimizer."""
    arrays = {
        name: Array(shape, [finite(p.data, f"the data of {p.label or name}") for p in items])
        for name, (shape, items) in _parameters(model).items()
    }
    metadata = {"format": FORMAT}
    if isinstance(model, MLP):
        metadata["activation"] = json.dumps([layer.activation for layer in model.layers])
    if optimizer is not None:
        metadata["optimizer"] = type(optimizer).__name__
        for name, state in optimizer.state_dict().items():
            numbers = state if isinstance(state, list) else [state]
            shape = (len(numbers),) if isinstance(state, list) else ()
            arrays[PREFIX + name] = Array(
                shape, [finite(x, f"{name} of {optimizer!r}") for x in numbers]
            )
    return arrays, metadata


def _parameters(model: Module) -> dict[str, Array]:
    """The arrays of a model, with the parameters that they are made of."""
    if not isinstance(model, MLP):
        names = model.state_dict()  # raises where they cannot be told apart
        return {n: Array((), [p]) for n, p in zip(names, model.parameters(), strict=True)}
    arrays: dict[str, Array] = {}
    for k, layer in enumerate(model.layers, start=1):
        n = len(layer.neurons)
        arrays[f"w[{k}]"] = Array((n, layer.nin), [w for x in layer.neurons for w in x.w])
        arrays[f"b[{k}]"] = Array((n,), [x.b for x in layer.neurons])
    return arrays


def _mlp(path: PathLike, arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> MLP:
    """An MLP of the shape that a file describes.

    Its size follows from arrays that are there in full, so a file cannot ask for more than it has.
    """
    try:
        activation = json.loads(metadata["activation"])
        if not isinstance(activation, list):
            raise ValueError("activation is no list")
        shapes = [arrays[f"w[{k + 1}]"].shape for k in range(len(activation))]
        if not shapes or any(len(shape) != 2 or 0 in shape for shape in shapes):
            raise ValueError("the weights w[l] must be matrices")
        return MLP(shapes[0][1], [shape[0] for shape in shapes], activation)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} does not describe an MLP ({type(error).__name__}: {_short(str(error))}); "
            "give load the model to set, as load(path, model)"
        ) from error


def _write(path: PathLike, arrays: Mapping[str, Array], metadata: dict[str, str]) -> Path:
    np = package("numpy", "saving", "save")
    safetensors = package("safetensors.numpy", "saving", "save")
    tensors = {
        name: np.array(items, dtype=np.float64).reshape(shape)
        for name, (shape, items) in arrays.items()
    }
    return write_whole(path, _in_order(safetensors.save(tensors, metadata=metadata)))


def _in_order(file: bytes) -> bytes:
    """The same file with its header's names in order: the library shuffles those of the metadata.

    A file is the header's length in 8 bytes, the header in JSON, and the numbers. Spaces after the
    header bring it to a multiple of 8, so that the numbers are aligned.
    """
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + file[end:]


def _read(path: PathLike) -> tuple[dict[str, Array], dict[str, str]]:
    safetensors = package("safetensors", "loading", "save")
    package("numpy", "loading", "save")
    path = Path(path)
    with path.open("rb"):
        pass  # what the system has to say of the path, it says in its own words
    arrays: dict[str, Array] = {}
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            for name in file.keys():  # noqa: SIM118 - it is no dict
                tensor = file.get_tensor(name)
                if tensor.dtype.kind != "f":
                    raise ValueError(f"{_short(name)} is of type {tensor.dtype}, not of floats")
                arrays[name] = Array(tensor.shape, tensor.ravel().astype("float64").tolist())
    except (safetensors.SafetensorError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a whole safetensors file of real numbers: {_short(str(error))}"
        ) from error
    return arrays, metadata


def _short(x: object) -> str:
    """What a file says, for a message: escaped, and not too long."""
    text = repr(x)
    return text if len(text) <= 80 else text[:77] + "..."
