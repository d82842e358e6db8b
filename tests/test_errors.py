"""Bad input raises the right built-in type, and the message says what to do.

Each row: the call, the type, and what the message must name: the argument, what it got, what is
accepted, the way out. Errors that Python itself words (``x + "1"``) have their type checked.
"""

import math
from decimal import Decimal

import numpy as np
import pytest

import autograd_bp as ab
from autograd_bp import (
    Value,
    clip,
    dot,
    exp,
    hypot,
    log,
    logsumexp,
    mean,
    norm,
    scope,
    softmax,
    sum_of,
    topological_order,
    zero_grad,
)  # fmt: skip

x = Value(-1.0, "p")
zero = Value(0.0, "q")
computed = x * 2.0

TEACHING = {
    # what a Value holds
    "str": (lambda: Value("3"), TypeError, ["data", "'3'", "real number", "float('3')"]),
    "None": (lambda: Value(None), TypeError, ["data", "None", "real number"]),
    "complex": (lambda: Value(1j), TypeError, ["data", "1j", "real", "imaginary"]),
    "bool": (lambda: Value(True), TypeError, ["data", "True", "1.0"]),
    "numpy bool": (lambda: Value(np.bool_(True)), TypeError, ["data", "True", "real number"]),
    "list": (lambda: Value([1.0]), TypeError, ["data", "[1.0]", "real number"]),
    "array": (lambda: Value(np.ones(1)), TypeError, ["data", "array", ".item()", "list of Values"]),
    "Decimal": (lambda: Value(Decimal(1)), TypeError, ["data", "Decimal", "convert"]),
    "Value": (lambda: Value(x), TypeError, ["data", "'p'", ".data", "detach"]),
    "label": (lambda: Value(1.0, 5), TypeError, ["label", "5", "str"]),
    # what can be set
    "set label": (lambda: setattr(x, "label", None), TypeError, ["label", "None", "str"]),
    "set data": (lambda: setattr(x, "data", "1"), TypeError, ["data", "'1'", "real number"]),
    "set data to bool": (lambda: setattr(x, "data", True), TypeError, ["data", "True", "1.0"]),
    "set grad": (lambda: setattr(x, "grad", None), TypeError, ["grad", "None", "real number"]),
    "set computed data": (
        lambda: setattr(computed, "data", 1.0), AttributeError,
        ["data", "'*'", "leaf", "detach"],
    ),
    # what would lose the gradient
    "float": (lambda: float(x), TypeError, ["'p'", "gradient", "v.data", "v.exp()"]),
    "int": (lambda: int(x), TypeError, ["'p'", "gradient", "v.data"]),
    "range": (lambda: range(x), TypeError, ["'p'", "int", "range", "functools.partial"]),
    "index": (lambda: [1.0][x], TypeError, ["'p'", "no index", "functools.partial"]),
    "math": (lambda: math.exp(x), TypeError, ["'p'", "gradient", "v.data", "v.exp()"]),
    "floor": (lambda: math.floor(x), TypeError, ["gradient", "v.data"]),
    "float array": (lambda: np.asarray([x], float), TypeError, ["gradient", "v.data"]),
    "into a float array": (
        lambda: np.zeros(1).__setitem__(0, x), TypeError, ["gradient", "v.data"],
    ),
    # points outside a domain
    "log": (lambda: x.log(), ValueError, ["log(x)", "x > 0", "-1.0", "'p'", "clip"]),
    "log of a number": (lambda: log(-1), ValueError, ["log(x)", "x > 0", "-1.0"]),
    "log of 0": (lambda: zero.log(), ValueError, ["log(x)", "x > 0", "0.0", "'q'"]),
    "sqrt": (lambda: x.sqrt(), ValueError, ["sqrt(x)", "x >= 0", "-1.0", "'p'"]),
    "log1p": (lambda: (x * 2).log1p(), ValueError, ["log1p(x)", "x > -1", "-2.0"]),
    "asin": (lambda: (x * 2).asin(), ValueError, ["asin(x)", "-1 <= x <= 1", "-2.0"]),
    "sin": (lambda: Value(math.inf).sin(), ValueError, ["sin(x)", "inf"]),
    "lgamma": (lambda: x.lgamma(), ValueError, ["lgamma(x)", "-1.0", "'p'"]),
    "clip": (lambda: x.clip(2, 1), ValueError, ["clip", "lo <= hi", "lo = 2.0", "hi = 1.0"]),
    "power": (lambda: x**0.5, ValueError, ["a ** b", "a = -1.0", "b = 0.5", "'p'"]),
    "variable power": (lambda: x ** Value(2.0, "n"), ValueError, ["-1.0 (node 'p')", "(node 'n')"]),
    "base": (lambda: (-2.0) ** x, ValueError, ["a ** b", "a = -2.0", "'p'"]),
    "pole": (lambda: zero**-1, ZeroDivisionError, ["a ** b", "a = 0.0", "b = -1.0", "'q'"]),
    "/ 0": (lambda: x / 0, ZeroDivisionError, ["a / b", "b != 0", "b = 0.0"]),
    "/ node": (lambda: x / zero, ZeroDivisionError, ["a / b", "b != 0", "b = 0.0", "'q'"]),
    "0 below": (lambda: 1 / zero, ZeroDivisionError, ["a / b", "a = 1.0", "b = 0.0", "'q'"]),
    # operands
    "operand": (lambda: exp("1"), TypeError, ["x must be", "'1'", "real number", "float('1')"]),
    "operand None": (lambda: x.hypot(None), TypeError, ["None", "real number"]),
    "second operand": (lambda: hypot(x, "1"), TypeError, ["b must be", "'1'", "real number"]),
    "bound": (lambda: clip(x, "1"), TypeError, ["lo must be", "'1'", "real number"]),
    "too many": (lambda: exp(1, 2), TypeError, ["exp(x)", "1 operand", "2"]),
    "too few": (lambda: hypot(1), TypeError, ["hypot(a, b)", "2 operands", "1"]),
    "dot": (lambda: dot([1.0], [1.0, x]), ValueError, ["w and x", "same length", "1", "2"]),
    "dot of one": (lambda: dot(x, [1.0]), TypeError, ["w must be", "sequence", "[w]"]),
    "dot element": (lambda: dot([1.0], ["a"]), TypeError, ["x must be", "'a'", "real number"]),
    "dot bias": (lambda: dot([1.0], [x], None), TypeError, ["bias", "None", "real number"]),
    "sum of one": (lambda: sum_of(x), TypeError, ["x must be", "sequence", "'p'", "[x]"]),
    "sum of number": (lambda: sum_of(3), TypeError, ["x must be", "sequence", "3"]),
    "sum of matrix": (lambda: sum_of([[x]]), TypeError, ["x must be", "real number", "'p'"]),
    "mean of none": (lambda: mean([]), ValueError, ["mean", "x is empty"]),
    "logsumexp of none": (lambda: logsumexp([]), ValueError, ["logsumexp", "x is empty"]),
    "softmax of none": (lambda: softmax([]), ValueError, ["x is empty"]),
    "norm of str": (lambda: norm("ab"), TypeError, ["x must be", "'a'"]),
    # walks and switches
    "seed": (lambda: computed.backward("1"), TypeError, ["seed", "'1'", "real number"]),
    "seed of Value": (lambda: computed.backward(x), TypeError, ["seed", "'p'", "v.data"]),
    "hook": (lambda: x.register_hook(3), TypeError, ["hook", "3", "function"]),
    "zero_grad of one": (lambda: zero_grad(x), TypeError, ["values", "sequence", "'p'"]),
    "zero_grad of numbers": (lambda: zero_grad([1.0]), TypeError, ["values", "1.0", "Value"]),
    "order of number": (lambda: topological_order(3), TypeError, ["roots", "3", "Value"]),
    "order of numbers": (lambda: topological_order([3]), TypeError, ["roots", "3", "Value"]),
    "scope": (lambda: scope(" ").__enter__(), ValueError, ["name", "' '", "spaces"]),
    "scope of int": (lambda: scope(1).__enter__(), TypeError, ["name", "1", "str"]),
}  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "words"), TEACHING.values(), ids=TEACHING.keys())
def test_errors_teach(call, kind, words):
    with pytest.raises(kind) as caught:
        call()
    assert caught.type is kind
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "other", ["1", None, 1j, [1.0], Decimal(1), object()], ids=lambda x: type(x).__name__
)
@pytest.mark.parametrize(
    "operation",
    [
        lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b,
        lambda a, b: a**b, lambda a, b: a < b, lambda a, b: a >= b,
    ],
    ids=["+", "-", "*", "/", "**", "<", ">="],
)  # fmt: skip
def test_operators_refuse_what_is_no_real_number(operation, other):
    for operands in ((x, other), (other, x)):
        with pytest.raises(TypeError):
            operation(*operands)


def test_operators_leave_a_class_of_ones_own_its_turn():
    class Unit:
        def __radd__(self, other):
            return "radd"

        def __gt__(self, other):
            return "gt"

    assert x + Unit() == "radd"
    assert (x < Unit()) == "gt"


@pytest.mark.parametrize("name", ["parents", "local_grads", "operands", "op", "is_leaf"])
def test_links_are_immutable(name):
    with pytest.raises(AttributeError, match=name):
        setattr(computed, name, ())


def test_attributes_of_ones_own_are_refused():
    with pytest.raises(AttributeError, match="gard"):
        computed.gard = 0.0


def test_nothing_is_built_by_a_call_that_fails():
    leaf = Value(2.0)
    z = leaf * leaf
    z.backward()
    for call in (lambda: z.backward("1"), lambda: leaf.log("1"), lambda: z / 0):
        with pytest.raises((TypeError, ZeroDivisionError)):
            call()
    assert (z.grad, leaf.grad) == (1.0, 4.0)


def test_names_of_all_functions_that_take_operands_are_in_their_errors():
    for name in ab.functions.__all__:
        if name not in ("leaky_relu", "elu", "clip", "where"):  # whose signatures are Python's
            with pytest.raises(TypeError, match=name):
                getattr(ab, name)()


@pytest.mark.parametrize("method", ["tanh", "relu", "backward", "detach", "__neg__"])
@pytest.mark.parametrize("impostor", [3.0, "abcdefgh"])
def test_methods_check_whose_they_are(method, impostor):
    """As in ``map(Value.tanh, floats)``: never taken for a node."""
    with pytest.raises((TypeError, AttributeError)):
        getattr(Value, method)(impostor)
