"""MLPs in other libraries: as files of ONNX, and as modules of PyTorch and back.

>>> from nn import MLP
>>> mlp = MLP(2, [3, 1], activation=["tanh", "linear"], seed=0)
>>> from_torch(to_torch(mlp))  # doctest: +SKIP
MLP(2, [3, 1], activation=['tanh', 'linear'])

All numbers stay doubles. Each function needs its library only when it is called:
``pip install "autograd-bp[onnx]"`` or ``"autograd-bp[torch]"``.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from autograd_bp import Value
from autograd_bp.files import write_whole
from autograd_bp.ops import CODES, CONSTANTS, TABLE
from nn.checks import package
from nn.modules import ACTIVATIONS, MLP

__all__ = ["from_torch", "to_onnx", "to_torch"]


def _plain_mlp(model: Any, function: str) -> MLP:
    if type(model) is not MLP:  # a subclass may compute something else
        raise TypeError(
            f"{function} takes an nn.MLP, got {model!r} of type {type(model).__name__}; "
            "of an estimator of nn.sklearn give model_"
        )
    return model


def _arrays(mlp: MLP) -> list[tuple[str, list[list[float]], list[float]]]:
    """The activation, the weights (neurons, inputs) and the biases (neurons,) of each layer."""
    return [
        (
            layer.activation,
            [[w.data for w in neuron.w] for neuron in layer.neurons],
            [neuron.b.data for neuron in layer.neurons],
        )
        for layer in mlp.layers
    ]


# --- ONNX -----------------------------------------------------------------------------------------

OPSET = 17
"""The version of ONNX's operators: an old one that has all of them, so that old runtimes do."""

NOT_IN_ONNX = ("asin", "acos", "atan", "lgamma")
"""Activations that ONNX lacks, or that ONNX Runtime has in single precision only."""

OPERATORS = {
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin", "cos": "Cos", "tanh": "Tanh",
    "sigmoid": "Sigmoid", "relu": "Relu",
    "where": "Where", "less": "Less", "less_equal": "LessOrEqual", "equal": "Equal", "abs": "Abs",
}  # fmt: skip
"""What ONNX has by itself. Other activations are written as their rows of the table say."""


def to_onnx(model: MLP, path: str | os.PathLike[str]) -> Path:
    """Write an MLP as an ONNX file; return its path.

    The input ``x`` has the shape (samples, nin), the output ``y`` the shape (samples, neurons of
    the last layer), for any number of samples, both of doubles. Layer l is a ``Gemm`` of the
    arrays ``w[l]`` and ``b[l]``, named as by `nn.save`, and its activation.

    A runtime gives the model's own outputs to rounding; but with gelu, erf and erfc to about
    1e-7, since ONNX Runtime has the error function in single precision only. Outside of an
    activation's domain, as log of -1, where the engine raises, it gives NaN.

    The file is there whole or not at all. Raises TypeError for anything but an `MLP`, ValueError
    for an activation that is `NOT_IN_ONNX` or a path that does not end in .onnx, and ImportError
    without the package onnx.

    >>> import onnxruntime, tempfile
    >>> from nn import MLP
    >>> mlp = MLP(2, [3, 1], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     session = onnxruntime.InferenceSession(to_onnx(mlp, f"{folder}/mlp.onnx"))
    >>> y = session.run(None, {"x": [[0.5, -1.0]]})[0]
    >>> bool(abs(y[0, 0] - mlp([0.5, -1.0]).data) < 1e-15)
    True
    """
    layers = _arrays(_plain_mlp(model, "to_onnx"))
    if Path(path).suffix.lower() != ".onnx":
        raise ValueError(f"path must end in .onnx, got {str(path)!r}")
    for name, _, _ in layers:
        if name in NOT_IN_ONNX:
            raise ValueError(
                f"ONNX and its runtime have no {name!r} in double precision; to_onnx takes the "
                f"activations {', '.join(a for a in ACTIVATIONS if a not in NOT_IN_ONNX)}"
            )
    onnx = package("onnx", "to_onnx", "onnx")
    helper, double = onnx.helper, onnx.TensorProto.DOUBLE

    graph = _Graph(onnx)
    a = _Tensor(graph, "x")
    for k, (name, weights, biases) in enumerate(layers, start=1):
        graph.arrays |= {f"w[{k}]": weights, f"b[{k}]": biases}
        z = graph.add("Gemm", a, _Tensor(graph, f"w[{k}]"), _Tensor(graph, f"b[{k}]"), transB=1)
        a = z.named(f"z[{k}]")
        if name != "linear":
            a = graph.activation(name, a).named(f"a[{k}]")
    a.named("y")

    opsets = [helper.make_opsetid("", OPSET)]
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "MLP",
            [helper.make_tensor_value_info("x", double, ["samples", len(layers[0][1][0])])],
            [helper.make_tensor_value_info("y", double, ["samples", len(layers[-1][2])])],
            [_initializer(onnx, name, array) for name, array in graph.arrays.items()],
        ),
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="autograd-bp",
    )
    onnx.checker.check_model(made, full_check=True)
    return write_whole(path, made.SerializeToString())


def _initializer(onnx: Any, name: str, array: Any) -> Any:
    import numpy as np  # which comes with onnx

    return onnx.numpy_helper.from_array(np.array(array, np.float64), name)


class _Tensor:
    """A result within a graph; arithmetic on it writes nodes."""

    def __init__(self, graph: _Graph, name: str, node: Any = None) -> None:
        self.graph = graph
        self.name = name
        self.node = node

    def named(self, name: str) -> _Tensor:
        """The same under another name, while no node has read it yet."""
        self.node.output[0] = name
        return _Tensor(self.graph, name, self.node)

    def __add__(self, other: _Tensor | float) -> _Tensor:
        return self.graph.add("Add", self, other)

    def __sub__(self, other: _Tensor | float) -> _Tensor:
        return self.graph.add("Sub", self, other)

    def __mul__(self, other: _Tensor | float) -> _Tensor:
        return self.graph.add("Mul", self, other)

    def __truediv__(self, other: _Tensor | float) -> _Tensor:
        return self.graph.add("Div", self, other)

    def __radd__(self, other: float) -> _Tensor:
        return self.graph.add("Add", other, self)

    def __rsub__(self, other: float) -> _Tensor:
        return self.graph.add("Sub", other, self)

    def __rmul__(self, other: float) -> _Tensor:
        return self.graph.add("Mul", other, self)

    def __rtruediv__(self, other: float) -> _Tensor:
        return self.graph.add("Div", other, self)

    def __neg__(self) -> _Tensor:
        return self.graph.add("Neg", self)


class _Graph:
    """The nodes of an ONNX graph in their order, and the arrays that they read."""

    def __init__(self, onnx: Any) -> None:
        from autograd_bp.reading import ArrayReading  # needs NumPy, as onnx does

        self.onnx = onnx
        self.nodes: list[Any] = []
        self.arrays: dict[str, Any] = {}
        exp, log, sin, cos = (partial(self.add, name) for name in ("Exp", "Log", "Sin", "Cos"))
        self.operators = {name: partial(self.add, op) for name, op in OPERATORS.items()} | {
            "expm1": lambda x: exp(x) - 1.0,
            "log1p": lambda x: log(x + 1.0),
            "log2": lambda x: log(x) / CONSTANTS["LN2"],
            "log10": lambda x: log(x) / CONSTANTS["LN10"],
            "tan": lambda x: sin(x) / cos(x),
            "sinh": lambda x: (exp(x) - exp(-x)) / 2.0,
            "cosh": lambda x: (exp(x) + exp(-x)) / 2.0,
            "erf": self._erf,
            "erfc": lambda x: 1.0 - self._erf(x),
        }
        self.reading = ArrayReading(self.operators)

    def activation(self, name: str, z: _Tensor) -> _Tensor:
        """The activation of z, with the constants that a neuron has in it, such as a slope."""
        function = ACTIVATIONS[name]
        assert function is not None  # there is nothing to write for "linear"
        constants = function(Value(0.5)).operands[1:]
        write = self.operators.get(name) or self.reading.value(TABLE[CODES[name]])
        result: _Tensor = write(z, *constants)
        return result

    def add(self, operator: str, *inputs: _Tensor | float, **attributes: Any) -> _Tensor:
        """Write a node; numbers among its inputs become arrays of no dimensions."""
        names = [x.name if isinstance(x, _Tensor) else self._number(x) for x in inputs]
        output = f"{operator} {len(self.nodes)}"
        node = self.onnx.helper.make_node(operator, names, [output], **attributes)
        self.nodes.append(node)
        return _Tensor(self, output, node)

    def _number(self, x: float) -> str:
        self.arrays[str(float(x))] = float(x)
        return str(float(x))

    def _erf(self, x: _Tensor) -> _Tensor:
        types = self.onnx.TensorProto
        single = self.add("Cast", x, to=types.FLOAT)
        return self.add("Cast", self.add("Erf", single), to=types.DOUBLE)


# --- PyTorch --------------------------------------------------------------------------------------

TORCH: dict[str, tuple[str, dict[str, float]]] = {
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("ReLU", {}),
    "leaky_relu": ("LeakyReLU", {}),
    "elu": ("ELU", {}),
    "gelu": ("GELU", {}),
    "silu": ("SiLU", {}),
    # Above its threshold PyTorch takes z for softplus(z); here the two are the same double.
    "softplus": ("Softplus", {"threshold": 40.0}),
    "logsigmoid": ("LogSigmoid", {}),
}
"""The class of torch.nn of each activation, and settings of it that are not the default."""


def to_torch(model: MLP) -> Any:
    """A ``torch.nn.Sequential`` with the outputs and the gradients of an MLP, in doubles.

    Each layer is a ``Linear`` and the module of its activation, none for "linear". The module
    has parameters of its own. It takes doubles: ``x.double()`` for other tensors, or
    ``.float()`` on the module. It gives a tensor of shape (samples, neurons), also for one.

    Raises TypeError for anything but an `MLP`, ValueError for an activation that torch.nn has
    no module of, and ImportError without the package torch.

    >>> from nn import MLP
    >>> to_torch(MLP(2, [3, 1], seed=0))  # doctest: +SKIP
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): Sigmoid()
      (2): Linear(in_features=3, out_features=1, bias=True)
      (3): Sigmoid()
    )
    """
    layers = _arrays(_plain_mlp(model, "to_torch"))
    for name, _, _ in layers:
        if name not in ("linear", *TORCH):
            raise ValueError(
                f"torch.nn has no module of the activation {name!r}; "
                f"to_torch takes linear, {', '.join(TORCH)}"
            )
    torch = package("torch", "to_torch", "torch")
    modules = []
    for name, weights, biases in layers:
        linear = torch.nn.Linear(len(weights[0]), len(biases), dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(weights, dtype=torch.float64))
            linear.bias.copy_(torch.tensor(biases, dtype=torch.float64))
        modules.append(linear)
        if name != "linear":
            kind, settings = TORCH[name]
            modules.append(getattr(torch.nn, kind)(**settings))
    return torch.nn.Sequential(*modules)


def from_torch(sequential: Any) -> MLP:
    """The `MLP` of a ``torch.nn.Sequential`` of ``Linear`` layers and activations.

    Activations are those of `TORCH` with PyTorch's own settings; ``Identity`` and nothing at all
    are "linear". A Sequential within it is read as if its modules stood there. The result has
    parameters of its own. Weights of any precision become doubles, so a module of floats is
    matched to the rounding of floats.

    Raises TypeError for anything but a ``Sequential``, ValueError for a module that an MLP has
    no match of, naming it and its place, or a weight that is not finite.
    """
    torch = package("torch", "from_torch", "torch")
    if not isinstance(sequential, torch.nn.Sequential):
        raise TypeError(
            f"from_torch takes a torch.nn.Sequential, got {type(sequential).__name__}; write "
            "Sequential(Linear(2, 3), Tanh(), Linear(3, 1))"
        )
    linears: list[Any] = []
    activation: list[str] = []
    for name, module in sequential.named_modules(remove_duplicate=False):
        if type(module) in (torch.nn.Sequential, torch.nn.Identity):
            continue
        where = f"{name}: {module}"
        if type(module) is torch.nn.Linear:
            if module.bias is None:
                raise ValueError(f"{where} has no bias, but neurons of nn do; give it one of zeros")
            if any(module is linear for linear in linears):
                raise ValueError(f"{where} stands there twice, but layers of nn share no weights")
            if linears and module.in_features != linears[-1].out_features:
                raise ValueError(
                    f"{where} does not take the {linears[-1].out_features} outputs before it"
                )
            linears.append(module)
            activation.append("linear")
            continue
        found = _activation_of(module, torch)
        if found is None:
            raise ValueError(
                f"{where} has no match in an MLP, which is made of Linear, Identity and, with "
                f"their usual settings, {', '.join(kind for kind, _ in TORCH.values())}"
            )
        if not linears or activation[-1] != "linear":
            raise ValueError(f"{where} does not follow a Linear: each layer has one activation")
        activation[-1] = found
    if not linears:
        raise ValueError(f"the Sequential has no Linear layer, so no neurons: {sequential}")

    mlp = MLP(linears[0].in_features, [linear.out_features for linear in linears], activation)
    state: dict[str, float] = {}
    for k, linear in enumerate(linears, start=1):
        for i, row in enumerate(linear.weight.tolist()):
            state |= {f"w[{k}][{i}][{j}]": w for j, w in enumerate(row)}
        state |= {f"b[{k}][{i}]": b for i, b in enumerate(linear.bias.tolist())}
    mlp.load_state_dict(state)
    return mlp


def _activation_of(module: Any, torch: Any) -> str | None:
    """The name of the activation that a module computes, if it has one here."""
    for name, (kind, settings) in TORCH.items():
        if type(module) is getattr(torch.nn, kind):
            usual = type(module)()
            same = all(
                getattr(module, setting) == getattr(usual, setting)
                for setting in getattr(usual, "__constants__", ())
                if setting not in ("inplace", *settings)
            )
            return name if same else None
    return None
