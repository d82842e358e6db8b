"""Optimisers: how parameters move against their gradients. PyTorch's formulas and names.

>>> from autograd_bp import Value
>>> x = Value(5.0, "x")
>>> optimizer = SGD([x], lr=0.25)
>>> for _ in range(20):
...     optimizer.zero_grad()
...     ((x - 3.0) ** 2).backward()
...     optimizer.step()
>>> round(x.data, 4)
3.0
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from autograd_bp import Value, zero_grad
from nn.checks import finite, uninterrupted

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]


def _at_least_0(x: Any, name: str) -> float:
    number = finite(x, name)
    if number < 0.0:
        raise ValueError(f"{name} must be 0 or more, got {x!r}")
    return number


def _positive(x: Any, name: str) -> float:
    number = finite(x, name)
    if number <= 0.0:
        raise ValueError(f"{name} must be more than 0, got {x!r}")
    return number


def _fraction(x: Any, name: str) -> float:
    number = finite(x, name)
    if not 0.0 <= number < 1.0:
        raise ValueError(f"{name} must be from 0 to below 1, got {x!r}")
    return number


def _whole(x: Any, name: str) -> int:
    number = _at_least_0(x, name)
    if number != int(number):
        raise ValueError(f"{name} must be a whole number, got {x!r}")
    return int(number)


class Optimizer:
    """What all optimisers share. ``params`` are leaves, usually ``model.parameters()``.

    A subclass lists its settings, each with the check of its range, and the names of what it
    remembers of each parameter, and defines `_move`. Settings are attributes; they may be
    changed between steps, as a schedule of ``lr`` does.
    """

    _settings: ClassVar[dict[str, Callable[[Any, str], float]]] = {}
    _counters: ClassVar[tuple[str, ...]] = ()  # among the settings: what each step changes
    _memory: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Iterable[Value], **settings: float) -> None:
        if isinstance(params, Value) or not isinstance(params, Iterable):
            raise TypeError(
                f"params must be a list of Values, got {params!r}; "
                f"write {type(self).__name__}(model.parameters(), ...)"
            )
        self.params = list(params)
        for p in self.params:
            if not isinstance(p, Value):
                raise TypeError(f"params must be a list of Values, got {p!r} in it")
            if not p.is_leaf:
                raise ValueError(f"params must be leaves, got {p!r}; use its detach()")
        if not self.params:
            raise ValueError("params is empty: there is nothing to train")
        if len(set(self.params)) < len(self.params):
            raise ValueError("params has a Value twice; each is to move once a step")
        for name, check in self._settings.items():
            setattr(self, name, check(settings[name], name))
        for name in self._memory:
            setattr(self, name, [0.0] * len(self.params))

    def zero_grad(self) -> None:
        """Set the gradients of the parameters to 0, as is due before each backward pass."""
        zero_grad(self.params)

    def step(self) -> None:
        """Move every parameter once, by its present ``grad``.

        Ctrl-C during a step takes effect at its end, so that no step is left half done.
        """
        with uninterrupted():
            self._move()

    def _move(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not define _move(self)")

    def settings(self) -> dict[str, float]:
        """What was chosen, by name: all of `state_dict` that steps do not change by themselves.

        >>> SGD([Value(1.0)], lr=0.1, momentum=0.9).settings()
        {'lr': 0.1, 'momentum': 0.9, 'weight_decay': 0.0}
        """
        return {name: getattr(self, name) for name in self._settings if name not in self._counters}

    def state_dict(self) -> dict[str, float | list[float]]:
        """All that the next step depends on besides the parameters: settings and memory.

        What is remembered is a list of one number for each of ``params``.
        """
        settings: dict[str, float | list[float]] = {
            name: getattr(self, name) for name in self._settings
        }
        return settings | {name: list(getattr(self, name)) for name in self._memory}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set all that `state_dict` gave, or nothing: then it raises, naming the entry at fault.

        Raises TypeError for an entry that is no number, ValueError for missing or unexpected
        entries, lists of another length, and numbers out of range or not finite.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"state must be a dict as state_dict() gives, got {state!r}")
        own = {*self._settings, *self._memory}
        if set(state) != own:
            raise ValueError(
                f"state does not fit {type(self).__name__}: missing "
                f"{sorted(own - set(state))}, unexpected {sorted(set(state) - own, key=str)}"
            )
        loaded: dict[str, Any] = {
            name: check(state[name], f"state[{name!r}]") for name, check in self._settings.items()
        }
        for name in self._memory:
            numbers = state[name]
            if not isinstance(numbers, (list, tuple)) or len(numbers) != len(self.params):
                got = f"{len(numbers)}" if isinstance(numbers, (list, tuple)) else repr(numbers)
                raise ValueError(
                    f"state[{name!r}] must be a list of one number for each of the "
                    f"{len(self.params)} parameters, got {got}"
                )
            loaded[name] = [finite(x, f"state[{name!r}][{i}]") for i, x in enumerate(numbers)]
        with uninterrupted():
            vars(self).update(loaded)

    def __repr__(self) -> str:
        settings = [f"{name}={getattr(self, name)!r}" for name in self._settings]
        return f"{type(self).__name__}({', '.join([f'{len(self.params)} parameters', *settings])})"


class SGD(Optimizer):
    """Stochastic gradient descent, as torch.optim.SGD.

        g ← ∂C/∂θ + weight_decay·θ
        v ← momentum·v + g
        θ ← θ − lr·v

    >>> x = Value(1.0)
    >>> x.grad = 2.0
    >>> SGD([x], lr=0.1).step()
    >>> x.data
    0.8
    """

    _settings: ClassVar[dict[str, Callable[[Any, str], float]]] = {
        "lr": _at_least_0,
        "momentum": _fraction,
        "weight_decay": _at_least_0,
    }
    _memory = ("velocity",)

    lr: float
    momentum: float
    weight_decay: float
    velocity: list[float]

    def __init__(
        self,
        params: Iterable[Value],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)

    def _move(self) -> None:
        for i, p in enumerate(self.params):
            g = p.grad + self.weight_decay * p.data
            v = self.velocity[i] = self.momentum * self.velocity[i] + g
            p.data -= self.lr * v


class Adam(Optimizer):
    """Adaptive moment estimation, as torch.optim.Adam; step t of

        g ← ∂C/∂θ + weight_decay·θ
        m ← β₁·m + (1 − β₁)·g
        v ← β₂·v + (1 − β₂)·g²
        θ ← θ − lr · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + eps)

    Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.

    >>> x = Value(1.0)
    >>> x.grad = 2.0
    >>> Adam([x], lr=0.1).step()
    >>> round(x.data, 6)  # the first step is lr long, however steep it is
    0.9
    """

    _settings: ClassVar[dict[str, Callable[[Any, str], float]]] = {
        "lr": _at_least_0,
        "beta1": _fraction,
        "beta2": _fraction,
        "eps": _positive,
        "weight_decay": _at_least_0,
        "steps": _whole,
    }
    _counters = ("steps",)
    _memory = ("m", "v")

    lr: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    steps: int
    m: list[float]
    v: list[float]

    def __init__(
        self,
        params: Iterable[Value],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise TypeError(f"betas must be two numbers (beta1, beta2), got {betas!r}")
        super().__init__(
            params, lr=lr, beta1=betas[0], beta2=betas[1], eps=eps, weight_decay=weight_decay,
            steps=0,
        )  # fmt: skip

    def _move(self) -> None:
        self.steps += 1
        correction1 = 1.0 - self.beta1**self.steps
        correction2 = 1.0 - self.beta2**self.steps
        for i, p in enumerate(self.params):
            g = self._gradient(p)
            m = self.m[i] = self.beta1 * self.m[i] + (1.0 - self.beta1) * g
            v = self.v[i] = self.beta2 * self.v[i] + (1.0 - self.beta2) * g * g
            p.data -= self.lr * (m / correction1) / (math.sqrt(v / correction2) + self.eps)

    def _gradient(self, p: Value) -> float:
        gradient: float = p.grad + self.weight_decay * p.data
        return gradient


class AdamW(Adam):
    """Adam with decoupled weight decay, as torch.optim.AdamW.

    θ first shrinks to (1 − lr·weight_decay)·θ, then moves as by `Adam` without weight decay.

    Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), algorithm 2.
    """

    def __init__(
        self,
        params: Iterable[Value],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def _gradient(self, p: Value) -> float:
        p.data *= 1.0 - self.lr * self.weight_decay
        gradient: float = p.grad
        return gradient
