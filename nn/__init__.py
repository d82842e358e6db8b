"""Multilayer perceptrons on `autograd_bp`, small enough to read and with every δ in sight.

>>> from nn import MLP, mse
>>> mlp = MLP(2, [3, 1], seed=0)
>>> record = mlp.forward([0.5, -1.0])
>>> mse(record.output, 1.0).backward()
>>> [len(layer.delta) for layer in record.layers]  # δ of layers 1 and 2
[3, 1]

`modules` has neurons, layers and `MLP`, `losses` the losses of one sample, `optim` the
optimisers, `training` the loop, `fit`, `classes` what a trained model says, and `saving` files of
models and runs. Each is imported when one of its names is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nn.classes import accuracy, outputs, predict
    from nn.history import History
    from nn.losses import bce, bce_with_logits, cross_entropy, hinge, mse
    from nn.modules import MLP, Layer, LayerRecord, Module, Neuron, Record
    from nn.optim import SGD, Adam, AdamW, Optimizer
    from nn.saving import load, save
    from nn.training import fit

__all__ = [
    "MLP", "SGD", "Adam", "AdamW", "History", "Layer", "LayerRecord", "Module", "Neuron",
    "Optimizer", "Record", "accuracy", "bce", "bce_with_logits", "cross_entropy", "fit", "hinge",
    "load", "mse", "outputs", "predict", "save",
]  # fmt: skip

_HOMES = {
    "classes": "accuracy outputs predict",
    "history": "History",
    "losses": "bce bce_with_logits cross_entropy hinge mse",
    "modules": "MLP Layer LayerRecord Module Neuron Record",
    "optim": "SGD Adam AdamW Optimizer",
    "saving": "load save",
    "training": "fit",
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name == home:
            return import_module(f"nn.{home}")
        if name in names.split():
            return getattr(import_module(f"nn.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_HOMES})
