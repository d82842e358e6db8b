"""Backpropagation on one page: numbers that know where they came from, and the chain rule.

Read it from the top. `autograd_bp` is the same with all operations, at any depth, and compiled;
tests/examples/test_textbook.py holds its numbers against those of this page.
"""

from __future__ import annotations

import math


class Value:
    """A number, the values that it was computed from, and its derivative by each of them."""

    __slots__ = ("data", "grad", "local_grads", "parents")

    def __init__(
        self, data: float, parents: tuple[Value, ...] = (), local_grads: tuple[float, ...] = ()
    ) -> None:
        self.data = data
        self.parents = parents  # what it was computed from: nothing, if it is a leaf
        self.local_grads = local_grads  # ∂self/∂parent, for each parent
        self.grad = 0.0  # ∂root/∂self, once root.backward() has run

    # The forward pass: an operation computes a number, and notes its parents and local derivatives.

    def __add__(self, other: Value | float) -> Value:
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other: Value | float) -> Value:
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def backward(self) -> None:
        """Leave ∂self/∂value, as its ``grad``, on each value that self was computed from."""
        # A topological order: each value stands after its parents, and self comes last.
        order: list[Value] = []
        visited: set[Value] = set()

        def visit(value: Value) -> None:
            if value not in visited:
                visited.add(value)
                for parent in value.parents:
                    visit(parent)
                order.append(value)

        visit(self)

        # The chain rule, from self back: at its turn a value has been given all of its gradient.
        self.grad = 1.0
        for value in reversed(order):
            for parent, local_grad in zip(value.parents, value.local_grads, strict=True):
                parent.grad += value.grad * local_grad

    # More operations. Nothing above has to know of them.

    def __pow__(self, power: float) -> Value:
        return Value(self.data**power, (self,), (power * self.data ** (power - 1.0),))

    def exp(self) -> Value:
        """eˣ, which is its own derivative."""
        y = math.exp(self.data)
        return Value(y, (self,), (y,))

    def log(self) -> Value:
        """The natural logarithm."""
        return Value(math.log(self.data), (self,), (1.0 / self.data,))

    def relu(self) -> Value:
        """x where it is positive, else 0."""
        return Value(max(0.0, self.data), (self,), (float(self.data > 0.0),))

    # What is left is made of those, and gets its derivatives from them.

    def __neg__(self) -> Value:
        return self * -1.0

    def __sub__(self, other: Value | float) -> Value:
        return self + -other

    def __truediv__(self, other: Value | float) -> Value:
        return self * other**-1.0

    def __rsub__(self, other: float) -> Value:
        return -self + other

    def __rtruediv__(self, other: float) -> Value:
        return self**-1.0 * other

    __radd__ = __add__
    __rmul__ = __mul__
