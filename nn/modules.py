"""Neurons, layers and multilayer perceptrons, made of Values.

A neuron is two nodes of the graph, with the textbook's names:

    z[l][i] = Σⱼ w[l][i][j] · a[l-1][j] + b[l][i]        the pre-activation, one `dot`
    a[l][i] = σ(z[l][i])                                  the activation

Layers l are counted from 1 (a[0] is the input x); neurons i and inputs j from 0. The textbook
defines δ[l][i] = ∂C/∂z[l][i]. So after ``C.backward()`` it is simply the ``grad`` of the node
z[l][i], and `MLP.forward` keeps those nodes to be read:

>>> mlp = MLP(2, [3, 1], seed=0)
>>> record = mlp.forward([0.5, -1.0])
>>> cost = (record.output - 1.0) ** 2
>>> cost.backward()
>>> [len(layer.delta) for layer in record.layers]
[3, 1]
>>> record.layers[1].delta == [record.layers[1].z[0].grad]
True
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from html import escape
from typing import Any, NamedTuple

from autograd_bp import Number, Value, dot, scope
from autograd_bp.ops import TABLE
from nn.checks import count, finite, shortened, some, uninterrupted

__all__ = ["MLP", "Layer", "LayerRecord", "Module", "Neuron", "Record"]

RELU_FAMILY = ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus")
"""Activations that are near 0 on one side: their layers start with He's weights."""

ACTIVATIONS: dict[str, Callable[[Value], Value] | None] = {"linear": None} | {
    op.name: getattr(Value, op.name)
    for op in TABLE
    if hasattr(Value, op.name)
    and (op.operands == ("x",) or op.name in RELU_FAMILY)
    and op.d != ("0.0",)
}
"""What ``activation`` may name: the table's functions of one number, and "linear" for none."""


class Module:
    """Something with parameters. A subclass says which, by overriding `parameters`.

    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.k = Value(2.0, "k")
    ...
    ...     def parameters(self):
    ...         return [self.k]
    ...
    ...     def __call__(self, x):
    ...         return self.k * x
    >>> Scale().state_dict()
    {'k': 2.0}
    """

    def parameters(self) -> list[Value]:
        """The leaves that training may change, always in the same order."""
        raise NotImplementedError(
            f"{type(self).__name__} does not say what its parameters are: "
            "define parameters(self) that returns a list of Values"
        )

    def __call__(self, x: Any) -> Any:
        """The output for one sample."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(self, x)")

    def named_parameters(self) -> Iterator[tuple[str, Value]]:
        """Each parameter with its name, which is its label: w[1][0][2], b[1][0]."""
        return ((parameter.label, parameter) for parameter in self.parameters())

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to 0, as is due before each backward pass."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def state_dict(self) -> dict[str, float]:
        """The data of all parameters, by name.

        Raises ValueError if two parameters have the same label, or one has none.
        """
        state: dict[str, float] = {}
        for name, parameter in self.named_parameters():
            if not name or name in state:
                raise ValueError(
                    f"the parameters of {self!r} cannot be told apart: "
                    f"{f'two have the label {name!r}' if name else f'{parameter!r} has no label'}"
                    "; set a label of its own on each"
                )
            state[name] = parameter.data
        return state

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Set all parameters to what `state_dict` gave, or none of them.

        Raises TypeError for an entry that is no number, ValueError for one that is not finite,
        and ValueError for names that are missing or unexpected; the module is then unchanged.

        >>> mlp, twin = MLP(2, [1], seed=0), MLP(2, [1], seed=1)
        >>> twin.load_state_dict(mlp.state_dict())
        >>> twin([1.0, 2.0]).data == mlp([1.0, 2.0]).data
        True
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"state must be a dict of name to number, got {state!r}")
        own = self.state_dict()
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        if missing or unexpected:
            raise ValueError(
                f"state does not fit {self!r}: "
                f"missing {some(missing)}; unexpected {some(unexpected)}. "
                "Load it into a module of the shape that it was saved from."
            )
        data = {name: finite(state[name], f"state[{name!r}]") for name in own}
        with uninterrupted():
            for name, parameter in self.named_parameters():
                parameter.data = data[name]


class Neuron(Module):
    """z = w·x + b and a = activation(z), for ``nin`` inputs x.

    ``activation`` is one of `ACTIVATIONS`; with "linear", a *is* the node z. ``seed`` is a
    number or a ``random.Random``. ``layer`` and ``index`` are l and i of the labels, and
    ``nout`` is how many neurons the layer has, which the choice of the first weights asks for.

    The biases b start at 0, the weights uniform between ±r with

    - r = √(6 / (nin + nout)) in general: Glorot and Bengio, "Understanding the difficulty of
      training deep feedforward neural networks" (2010), equation 16;
    - r = √(6 / nin) for the `RELU_FAMILY`, a variance of 2/nin: He et al., "Delving deep into
      rectifiers" (2015), equation 10.

    >>> neuron = Neuron(2, "tanh", seed=0)
    >>> z, a = neuron.forward([1.0, -1.0])
    >>> z[0].op, z[0].label, a[0].op, a[0].label
    ('dot', 'z[1][0]', 'tanh', 'a[1][0]')
    >>> [name for name, _ in neuron.named_parameters()]
    ['w[1][0][0]', 'w[1][0][1]', 'b[1][0]']
    """

    def __init__(
        self,
        nin: int,
        activation: str = "sigmoid",
        seed: int | random.Random | None = None,
        *,
        layer: int = 1,
        index: int = 0,
        nout: int = 1,
    ) -> None:
        nin = count(nin, "nin")
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(ACTIVATIONS)}; got {activation!r}"
            )
        rng = _generator(seed)
        fan = nin if activation in RELU_FAMILY else nin + nout
        r = math.sqrt(6.0 / fan)
        here = f"[{layer}][{index}]"
        self.w = tuple(Value(rng.uniform(-r, r), f"w{here}[{j}]") for j in range(nin))
        self.b = Value(0.0, f"b{here}")
        self.activation = activation
        self.function = ACTIVATIONS[activation]
        self.z_label = f"z{here}"
        self.a_label = f"a{here}"

    def forward(self, x: Sequence[Number]) -> LayerRecord:
        """The nodes z and a, as of a layer of this neuron alone."""
        return _forward([self], _inputs(x, len(self.w), self))

    def __call__(self, x: Sequence[Number]) -> Value:
        """The node a."""
        return self.forward(x).a[0]

    def parameters(self) -> list[Value]:
        """The weights w[l][i][0], w[l][i][1], … and then the bias b[l][i]."""
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"Neuron({len(self.w)}, {self.activation!r})"


class LayerRecord(NamedTuple):
    """What one layer computed for one sample."""

    z: list[Value]
    a: list[Value]

    @property
    def delta(self) -> list[float]:
        """δ[l][i] = ∂C/∂z[l][i], the gradient that ``C.backward()`` left on each z."""
        return [z.grad for z in self.z]


class Layer(Module):
    """``nout`` neurons that read the same ``nin`` inputs; ``number`` is the l of their labels.

    >>> layer = Layer(2, 3, seed=0)
    >>> [a.label for a in layer([1.0, 2.0])]
    ['a[1][0]', 'a[1][1]', 'a[1][2]']
    """

    def __init__(
        self,
        nin: int,
        nout: int,
        activation: str = "sigmoid",
        seed: int | random.Random | None = None,
        *,
        number: int = 1,
    ) -> None:
        rng = _generator(seed)
        nout = count(nout, "nout")
        self.name = f"layer {number}"
        self.neurons = [
            Neuron(nin, activation, rng, layer=number, index=i, nout=nout) for i in range(nout)
        ]

    @property
    def nin(self) -> int:
        """How many inputs each neuron reads."""
        return len(self.neurons[0].w)

    @property
    def activation(self) -> str:
        """The name of its neurons' activation."""
        return self.neurons[0].activation

    def forward(self, x: Sequence[Number]) -> LayerRecord:
        """The nodes z and a of all neurons."""
        return _forward(self.neurons, _inputs(x, self.nin, self))

    def __call__(self, x: Sequence[Number]) -> list[Value]:
        """The activations, as a list even if it is of one."""
        return self.forward(x).a

    def parameters(self) -> list[Value]:
        """Those of the first neuron, then of the second, and so on."""
        return [parameter for neuron in self.neurons for parameter in neuron.parameters()]

    def __repr__(self) -> str:
        return f"Layer({self.nin}, {len(self.neurons)}, {self.activation!r})"


class Record(NamedTuple):
    """What an MLP computed for one sample: ``layers[l - 1]`` has z and a of layer l."""

    x: Sequence[Number]
    layers: list[LayerRecord]

    @property
    def output(self) -> Value | list[Value]:
        """The activation of the last layer: one Value, or a list if it has several neurons."""
        a = self.layers[-1].a
        return a[0] if len(a) == 1 else a


class MLP(Module):
    """A multilayer perceptron: ``nin`` inputs and a fully connected layer per entry of ``nouts``.

    ``activation`` names one of `ACTIVATIONS` for all layers, or is a list of one name per
    layer. For logits (`bce_with_logits`, `cross_entropy`, `hinge`) or regression let the last
    be "linear". `Neuron` says how the weights start; the same ``seed`` gives the same.

    >>> mlp = MLP(2, [4, 4, 1], activation=["tanh", "tanh", "linear"], seed=1)
    >>> mlp
    MLP(2, [4, 4, 1], activation=['tanh', 'tanh', 'linear'])
    >>> len(mlp.parameters())
    37
    >>> mlp([0.5, -1.0]).op
    'dot'
    """

    def __init__(
        self,
        nin: int,
        nouts: Sequence[int],
        activation: str | Sequence[str] = "sigmoid",
        seed: int | random.Random | None = None,
    ) -> None:
        if isinstance(nouts, str) or not hasattr(nouts, "__iter__"):
            raise TypeError(
                f"nouts must be a list of the layers' sizes, got {nouts!r}; "
                "write [16, 1] for 16 hidden neurons and one output"
            )
        sizes = [count(nin, "nin"), *(count(n, f"nouts[{i}]") for i, n in enumerate(nouts))]
        if len(sizes) == 1:
            raise ValueError("nouts is empty; write [1] for a single neuron")
        if not isinstance(activation, (str, Sequence)):
            raise TypeError(
                f"activation must be a name or a list of names, got {activation!r}; "
                f'write "tanh" for math.tanh, "linear" for none. Names: {", ".join(ACTIVATIONS)}'
            )
        names = [activation] * len(nouts) if isinstance(activation, str) else list(activation)
        if len(names) != len(nouts):
            raise ValueError(
                f"activation must be one name or a list of one per layer ({len(nouts)}), "
                f"got {activation!r}"
            )
        rng = _generator(seed)
        self.layers = [
            Layer(sizes[i], sizes[i + 1], names[i], rng, number=i + 1) for i in range(len(nouts))
        ]

    def __call__(self, x: Sequence[Number]) -> Value | list[Value]:
        """The output for one sample: one Value, or a list if the last layer has several neurons.

        ``x`` is a list of ``nin`` numbers or Values, or a row of a NumPy array.
        """
        return self._record(x, nullcontext).output

    def forward(self, x: Sequence[Number]) -> Record:
        """The same with every z and a kept, and each layer's nodes in a `scope` of its own.

        The scope "layer 1", … groups the nodes in pictures, and makes this slower than a call.
        """
        return self._record(x, scope)

    def _record(
        self, x: Sequence[Number], group: Callable[[str], AbstractContextManager[object]]
    ) -> Record:
        inputs = _inputs(x, self.layers[0].nin, self)
        layers: list[LayerRecord] = []
        for layer in self.layers:
            with group(layer.name):
                layers.append(_forward(layer.neurons, layers[-1].a if layers else inputs))
        return Record(inputs, layers)

    def parameters(self) -> list[Value]:
        """Those of layer 1, then of layer 2, and so on."""
        return [parameter for layer in self.layers for parameter in layer.parameters()]

    def __repr__(self) -> str:
        sizes = [len(layer.neurons) for layer in self.layers]
        names = [layer.activation for layer in self.layers]
        activation = names[0] if len(set(names)) == 1 else names
        return f"MLP({self.layers[0].nin}, {sizes}, activation={activation!r})"

    def _repr_html_(self) -> str:
        """A table of the layers, as Jupyter shows it."""
        from nn.display import table  # here, since few programs show themselves

        rows = [["layer", "inputs", "neurons", "activation", "parameters"]]
        for k, layer in enumerate(self.layers, start=1):
            numbers = layer.nin, len(layer.neurons), len(layer.parameters())
            rows.append(
                [str(k), f"{numbers[0]:,}", f"{numbers[1]:,}", layer.activation, f"{numbers[2]:,}"]
            )
        rows.append(["all", "", "", "", f"{len(self.parameters()):,}"])
        return f"<p>{escape(repr(self))}</p>{table(rows)}"


def _forward(neurons: Iterable[Neuron], x: Sequence[Number]) -> LayerRecord:
    """z and a of neurons that read the same x: all the arithmetic of this module."""
    inputs = tuple(x)  # which dot takes as it is
    zs: list[Value] = []
    activations: list[Value] = []
    for neuron in neurons:
        z: Value = dot(neuron.w, inputs, neuron.b)
        z.label = neuron.z_label
        a = z
        if neuron.function is not None:
            a = neuron.function(z)
            a.label = neuron.a_label
        zs.append(z)
        activations.append(a)
    return LayerRecord(zs, activations)


# --- what comes from outside ----------------------------------------------------------------------


def _inputs(x: Any, nin: int, module: Module) -> Sequence[Number]:
    """One sample as a list or tuple of the length that the module takes."""
    row = x.tolist() if hasattr(x, "tolist") else x
    if not isinstance(row, (list, tuple)):
        raise TypeError(f"x must be a list of {nin} numbers or Values, got {x!r}")
    is_table = bool(row) and hasattr(row[0], "__iter__") and not isinstance(row[0], str)
    if len(row) != nin or is_table:
        raise ValueError(
            f"{module!r} takes one sample x, a list of {nin} numbers or Values; got "
            f"{'a table' if is_table else len(row)}: {shortened(row)}. "
            "For many samples write [model(x) for x in X], or nn.outputs(model, X)."
        )
    return row


def _generator(seed: int | random.Random | None) -> random.Random:
    if not isinstance(seed, (int, random.Random)) and seed is not None:
        raise TypeError(
            f"seed must be a whole number, a random.Random or None, got {seed!r}; write seed=0"
        )
    return seed if isinstance(seed, random.Random) else random.Random(seed)
