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
import json
import operator
import os
import random
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeAlias

from autograd_bp import Value
from autograd_bp.files import alone, write_whole
from autograd_bp.text import printable
from nn.checks import finite, package, shortened, some, uninterrupted
from nn.history import History
from nn.modules import ACTIVATIONS, MLP, Module
from nn.optim import Optimizer

__all__ = ["load", "read_metadata", "save"]

FORMAT = "autograd-bp 1"
RUN = 2  # the version of what a checkpoint says of its run
PREFIX = "optimizer."
TAKEN = ("format", "module", "activation", "optimizer", "training")  # the file's own metadata

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
    or, when an exception is raised, not at all. An ``optimizer`` goes on as the saved one would
    have: its settings, such as lr, become those of the file. A file of ``autograd-bp train`` holds
    besides how columns are standardised: `nn.tables.load_network` reads both.

    Raises ValueError for a file that is no safetensors file, is not whole, or does not fit: another
    class of model or optimizer, another activation, names or shapes that differ, numbers that are
    not finite. OSError passes through.
    """
    arrays, metadata = _read(path)
    if model is None:
        model = _mlp(path, arrays, metadata)
    _fitted(path, arrays, metadata, model, optimizer)()
    return model


def read_metadata(path: PathLike) -> dict[str, str]:
    """The text that `save` kept with the arrays. Raises as `load` does."""
    return _read(path)[1]


def _fitted(
    path: PathLike,
    arrays: dict[str, Array],
    metadata: dict[str, str],
    model: Module,
    optimizer: Optimizer | None,
) -> Callable[[], None]:
    """What sets a model and an optimizer to what a file has; ValueError unless all of it fits."""
    name = _name(path)
    parameters = {key: a for key, a in arrays.items() if not key.startswith(PREFIX)}
    _same_function(path, model, metadata)
    own = _parameters(model)
    missing = [key for key in own if key not in parameters]
    unexpected = [key for key in parameters if key not in own]
    if missing or unexpected:
        raise ValueError(
            f"{name} does not fit {model!r}: missing {some(missing)}; "
            f"unexpected {some(list(map(shortened, unexpected)))}. "
            "Load it into a module of the shape that it was saved from."
        )
    moves: list[tuple[Value, float]] = []
    for key, (shape, values) in own.items():
        found = parameters[key]
        if found.shape != shape:
            raise ValueError(
                f"{name} does not fit {model!r}: {printable(key)} has the shape {found.shape}, "
                f"not {shape}. Load it into a module of the shape that it was saved from."
            )
        numbers = [finite(x, f"{printable(key)} in {name}") for x in found.items]
        moves += zip(values, numbers, strict=True)

    trial = None
    if optimizer is not None:
        kind = metadata.get("optimizer")
        if kind != type(optimizer).__name__:
            raise ValueError(
                f"{name} has the state of {shortened(kind) if kind else 'no optimizer'}, "
                f"not of {type(optimizer).__name__}"
            )
        state = {
            key.removeprefix(PREFIX): a.items if a.shape else a.items[0]
            for key, a in arrays.items()
            if key.startswith(PREFIX)
        }
        trial = copy.copy(optimizer)  # to see whether all of it fits, before anything changes
        try:
            trial.load_state_dict(state)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} does not fit {optimizer!r}: {_said(error)}") from error

    def move() -> None:
        with uninterrupted():
            for parameter, number in moves:
                parameter.data = number
            if optimizer is not None:
                vars(optimizer).update(vars(trial))

    return move


def _same_function(path: PathLike, model: Module, metadata: Mapping[str, str]) -> None:
    """Raise ValueError unless the file's parameters mean in this model what they meant."""
    kind = metadata.get("module", type(model).__name__)  # files of old do not say it
    if kind != type(model).__name__:
        raise ValueError(
            f"{_name(path)} does not fit {model!r}: it is of a module {shortened(kind)}, not of "
            f"{type(model).__name__}. Load it into a {printable(kind)}, as load(path, model)."
        )
    if isinstance(model, MLP) and "activation" in metadata:
        own = [layer.activation for layer in model.layers]
        try:
            found = _json("activation", metadata["activation"])
        except ValueError as error:
            raise ValueError(f"{_name(path)} does not fit {model!r}: {_said(error)}") from error
        if found != own:
            raise ValueError(
                f"{_name(path)} does not fit {model!r}: its activation is {shortened(found)}, not "
                f"{own}. Make the model with that activation, or by load(path) alone."
            )


# --- checkpoints of fit ---------------------------------------------------------------------------


class Checkpoint:
    """What `fit` needs to go on after it was killed, as one file, replaced after each epoch.

    An epoch's order of samples follows from the seed and its number, so that the parameters, the
    optimizer's state, the seed and the history are all that the next epochs depend on. ``run``
    says what else the numbers depend on; a file of another run is refused.

    It is a context manager, within which no other run may have the same file.
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
        own = {id(p): i for i, p in enumerate(model.parameters())}
        trained = [own.get(id(p)) for p in optimizer.params]
        self.run = run
        self.seed = 0
        self.settings: dict[str, Any] = {
            **optimizer.settings(),
            "parameters": "all" if trained == list(range(len(own))) else trained,
        }
        if history.loss and not self.path.exists():
            raise ValueError(
                "history has epochs and there is no file at checkpoint yet: go on from an "
                "earlier call by history=, or keep a run in a file by checkpoint=, not by both"
            )

    def __enter__(self) -> Checkpoint:
        with uninterrupted():
            self._alone = ExitStack()
            self._draft = self._alone.enter_context(alone(self.path))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with uninterrupted():
            self._alone.close()

    def resume(self, seed: int | None) -> int:
        """Go on where the file stands, or write the first one; return the seed of the run.

        Raises ValueError for a file of another run, or of another seed, and changes nothing.
        """
        if seed is not None and not hasattr(seed, "__index__"):
            raise TypeError(f"seed must be a whole number or None, got {seed!r}")
        given = {} if seed is None else {"seed": operator.index(seed)}
        if not self.path.exists():
            self.seed = given.get("seed", random.randrange(2**32))
            self.write()
            return self.seed
        arrays, metadata = _read(self.path)
        found, epochs = self._checked(metadata)
        self._same({**self.run, **given}, found)
        load = _fitted(self.path, arrays, metadata, self.model, self.optimizer)
        # A setting may have changed as the run went: then it is that of the file's optimizer too.
        state = {name: arrays.get(PREFIX + name) for name in self.settings}
        went = {name: a.items[0] for name, a in state.items() if a and not a.shape}
        moved = {name for name, x in went.items() if x == self.settings[name]}
        self._same({n: x for n, x in self.settings.items() if n not in moved}, found["settings"])
        with uninterrupted():
            load()
            vars(self.history).update(epochs)
        self.settings = found["settings"]  # what the run began with
        self.seed = found["seed"]
        return self.seed

    def _same(self, now: Mapping[str, Any], then: Mapping[str, Any]) -> None:
        """Raise ValueError, naming all that differs."""
        differ = [
            f"its {name} is {shortened(then.get(name))}, now it is {shortened(x)}"
            for name, x in now.items()
            if then.get(name) != x
        ]
        if differ:
            raise ValueError(
                f"{_name(self.path)} is the checkpoint of another run: {'; '.join(differ)}. Give "
                "checkpoint the name of a new file, or remove that one to start anew; to train "
                "what it has in another way, nn.load it and fit without it."
            )

    def _checked(self, metadata: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The run of a file, with its seed, and its history."""
        try:
            training = _json("training", metadata["training"])
            seed, run, lists = (training[name] for name in ("seed", "run", "history"))
            epochs = {}
            for name in vars(self.history):
                if not isinstance(lists[name], list):
                    raise TypeError(f"history {name} must be a list")
                epochs[name] = [finite(x, f"history {name}") for x in lists[name]]
            n = len(epochs["loss"])
            if any(len(numbers) not in (0, n) for numbers in epochs.values()):
                raise ValueError("the lists of history must be of one length")
            if type(seed) is not int or not isinstance(run, dict):
                raise TypeError("seed must be a whole number, and run a dict")
            if not isinstance(run.setdefault("settings", {}), dict):
                raise TypeError("settings of run must be a dict")
            if training.get("version") != RUN:
                raise ValueError(
                    f"version must be {RUN}, which says all that makes a run, "
                    f"got {shortened(training.get('version', 1))}"
                )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{_name(self.path)} is no checkpoint of fit (its training: {_said(error)}); "
                "give checkpoint the name of a new file. What it "
                "has of a model is read by nn.load."
            ) from error
        return {**run, "seed": seed}, epochs

    def write(self) -> None:
        """Replace the file by one of the present state."""
        training = {
            "version": RUN, "seed": self.seed, "history": vars(self.history),
            "run": {**self.run, "settings": self.settings},
        }  # fmt: skip
        with uninterrupted():
            arrays, own = _described(self.model, self.optimizer)
            own["training"] = json.dumps(training)
            _write(self.path, arrays, own, self._draft)


# --- arrays and files -----------------------------------------------------------------------------


def _described(
    model: Module, optimizer: Optimizer | None
) -> tuple[dict[str, Array], dict[str, str]]:
    """All that a file has of a model and an optimizer."""
    arrays = {
        name: Array(
            shape, [finite(p.data, f"the data of {printable(p.label or name)}") for p in items]
        )
        for name, (shape, items) in _parameters(model).items()
    }
    metadata = {"format": FORMAT, "module": type(model).__name__}
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
        activation = _json("activation", metadata["activation"])
        if not isinstance(activation, list):
            raise ValueError("activation is no list")
        unknown = [name for name in activation if name not in ACTIVATIONS]
        if unknown:
            raise ValueError(f"no activation of this version is called {unknown[0]!r}")
        shapes = [arrays[f"w[{k + 1}]"].shape for k in range(len(activation))]
        if not shapes or any(len(shape) != 2 or 0 in shape for shape in shapes):
            raise ValueError("the weights w[l] must be matrices")
        return MLP(shapes[0][1], [shape[0] for shape in shapes], activation)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{_name(path)} does not describe an MLP ({_said(error)}); "
            "give load the model to set, as load(path, model)"
        ) from error


def _write(
    path: PathLike,
    arrays: Mapping[str, Array],
    metadata: dict[str, str],
    draft: Path | None = None,
) -> Path:
    np = package("numpy", "saving", "save")
    safetensors = package("safetensors.numpy", "saving", "save")
    tensors = {
        name: np.array(items, dtype=np.float64).reshape(shape)
        for name, (shape, items) in arrays.items()
    }
    content = _in_order(safetensors.save(tensors, metadata=metadata))
    return write_whole(path, content, draft=draft)


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
    mode = path.stat().st_mode  # what the system has to say of the path, it says in its own words
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ValueError(
            f"{_name(path)} is not a whole safetensors file, but a pipe or a device: copy what "
            "comes from it to a file"
        )
    with path.open("rb"):
        pass
    arrays: dict[str, Array] = {}
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            if metadata.get("format", FORMAT).startswith("autograd-bp") and (
                metadata.get("format", FORMAT) != FORMAT
            ):
                raise ValueError(f"its format is {metadata['format']!r}, and not {FORMAT!r}")
            for name in file.keys():  # noqa: SIM118 - it is no dict
                tensor = file.get_tensor(name)
                if tensor.dtype.kind != "f":
                    raise ValueError(f"{shortened(name)} is of type {tensor.dtype}, not of floats")
                arrays[name] = Array(tensor.shape, tensor.ravel().astype("float64").tolist())
    except (safetensors.SafetensorError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{_name(path)} is not a whole safetensors file of real numbers: {_said(error)}"
        ) from error
    return arrays, metadata


def _json(name: str, text: str) -> Any:
    """What a file's metadata has by this name; ValueError for what says one thing twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a name stands there twice")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no JSON: {error}") from error


def _said(error: Exception) -> str:
    """An exception within another's message."""
    text = printable(str(error))
    return f"{type(error).__name__}: {text if len(text) <= 200 else text[:197] + '...'}"


def _name(path: PathLike) -> str:
    """A path for a message."""
    return printable(os.fspath(path))
