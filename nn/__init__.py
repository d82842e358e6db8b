"""Multilayer perceptrons on `autograd_bp`, small enough to read and with every δ in sight.

>>> from nn import MLP, mse
>>> mlp = MLP(2, [3, 1], seed=0)
>>> record = mlp.forward([0.5, -1.0])
>>> mse(record.output, 1.0).backward()
>>> [len(layer.delta) for layer in record.layers]  # δ of layers 1 and 2
[3, 1]

`modules` has neurons, layers and `MLP`, `losses` the losses of one sample, `optim` the
optimisers, `training` the loop, `fit`, and `saving` files of models and runs.
"""

from nn.losses import bce, bce_with_logits, cross_entropy, hinge, mse
from nn.modules import MLP, Layer, LayerRecord, Module, Neuron, Record
from nn.optim import SGD, Adam, AdamW, Optimizer
from nn.saving import load, save
from nn.training import History, accuracy, fit, outputs, predict

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "History",
    "Layer",
    "LayerRecord",
    "Module",
    "Neuron",
    "Optimizer",
    "Record",
    "accuracy",
    "bce",
    "bce_with_logits",
    "cross_entropy",
    "fit",
    "hinge",
    "load",
    "mse",
    "outputs",
    "predict",
    "save",
]
