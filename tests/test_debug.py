"""Finding trouble: anomalies and the lines that made them, graphs in numbers, missing gradients."""

import math
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import autograd_bp as ab
from autograd_bp import (
    Value,
    checkpoint,
    compiled,
    custom,
    detect_anomaly,
    dot,
    graph_info,
    no_grad,
    scope,
    warn_missing_gradients,
)

HERE = Path(__file__)
SOURCE = HERE.read_text(encoding="utf-8").splitlines()


def place(marker):
    """How a message names the one line of this file that ends in the comment ``# marker``."""
    (number,) = [i for i, line in enumerate(SOURCE, 1) if line.endswith(f"# {marker}")]
    return f"{HERE}, line {number}: {SOURCE[number - 1].strip()}"


def anomaly(act):
    """What detect_anomaly says of what ``act`` does."""
    with detect_anomaly(), pytest.raises(FloatingPointError) as caught:
        act()
    return str(caught.value)


# --- forward -------------------------------------------------------------------------------------


def test_an_overflow_is_named_with_its_line():
    x = Value(1e200, "x")

    def act():
        y = x + 1.0
        return y * x  # overflows

    message = anomaly(act)
    assert message.startswith("* made inf out of 1e+200, 1e+200 ('x')")
    assert message.endswith(place("overflows"))


def exponential(x):
    return ab.exp(x)  # far too large


FORWARD = {
    "operator": (lambda: Value(1e308, "a") * 10.0, "* made inf out of 1e+308 ('a'), 10.0"),
    "reflected": (lambda: -10.0 * Value(1e308, "a"), "* made -inf out of -10.0, 1e+308 ('a')"),
    "function": (lambda: exponential(Value(1e4, "x")), "exp made inf out of 10000.0 ('x')"),
    "method": (lambda: Value(-1e4).sinh(), "sinh made -inf out of -10000.0"),
    "power": (lambda: Value(10.0) ** 400, "** made inf out of 10.0, 400.0"),
    "dot": (
        lambda: dot([Value(1e200, "w"), 1.0], [1e200, Value(2.0, "v")], Value(1.0, "b")),
        "dot made inf out of 1e+200 ('w'), 1.0, 1e+200, 2.0 ('v'), …",
    ),
    "sum": (lambda: ab.sum_of([Value(1e308)] * 3), "sum_of made inf out of"),
    "own operation": (
        lambda: custom(lambda x: math.inf, lambda x: 1.0, name="pole")(Value(0.0, "x")),
        "pole made inf out of 0.0 ('x')",
    ),
    "infinity minus itself": (
        lambda: Value(math.inf, "a") - Value(math.inf, "b"),
        "- made nan out of inf ('a'), inf ('b')",
    ),
    "infinity times 0": (lambda: Value(math.inf, "a") * 0.0, "* made nan out of inf ('a'), 0.0"),
    "a constant infinity times 0": (
        lambda: Value(0.0, "a") * math.inf, "* made nan out of 0.0 ('a'), inf",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("act", "expected"), FORWARD.values(), ids=FORWARD)
def test_the_first_operation_that_makes_a_nan_or_an_infinity(act, expected):
    message = anomaly(act)
    assert expected in message
    assert f", in {HERE}, line " in message


def test_the_line_is_the_innermost_of_the_users():
    assert anomaly(lambda: exponential(Value(1e4))).endswith(place("far too large"))


def test_the_line_within_a_numpy_call_and_within_nn():
    from nn import MLP

    weights = np.array([Value(1e200)] * 2, dtype=object)

    def act():
        return np.tanh(weights) @ weights * np.exp(weights)  # by ufuncs

    assert anomaly(act).endswith(place("by ufuncs"))
    mlp = MLP(2, [1], seed=0)
    for p in mlp.parameters():
        p.data = 1e308

    def forward():
        return mlp([1.0, 1.0])  # of a network

    assert anomaly(forward).endswith(place("of a network"))


def test_infinity_and_nan_that_were_given_are_no_anomalies():
    with detect_anomaly():
        x = Value(math.inf) * 2.0
        y = Value(math.nan) + 1.0
        z = x - y
        assert ab.maximum(Value(-math.inf), 1.0).data == 1.0
        ab.clip(Value(3.0), lo=1.0)  # whose other bound is infinity
    assert (x.data, math.isnan(z.data)) == (math.inf, True)


def test_plain_numbers_and_ordinary_graphs_pass():
    with detect_anomaly():
        assert ab.exp(1e4) == math.inf
        x = Value(2.0)
        y = ab.log(x) * ab.sqrt(x)
        y.backward()
        z = ab.sin(x)
        z.backward(create_graph=True)
        assert ab.hessian(lambda x: x[0] * ab.sin(x[1]))([1.0, 2.0])
    assert math.isfinite(y.grad)


def test_it_ends_with_its_block_and_after_an_error():
    for _ in range(2):
        anomaly(lambda: Value(1e308) * 10.0)
    assert (Value(1e308) * 10.0).data == math.inf
    x = Value(0.0)
    ab.sqrt(x).backward()
    assert x.grad == math.inf


# --- backward ------------------------------------------------------------------------------------


def test_a_backward_pass_that_makes_an_infinity():
    x = Value(0.0, "x")

    def act():
        root = ab.sqrt(x)  # has a pole in its derivative
        y = root + 1.0
        y.backward()

    message = anomaly(act)
    assert message.startswith("the backward pass of sqrt handed on inf: its gradient is 1.0")
    assert "∂sqrt/∂operand is inf at the operand 0.0 ('x')" in message
    assert message.endswith(place("has a pole in its derivative"))


def test_a_zero_carries_nothing_and_is_no_anomaly():
    x = Value(0.0, "x")
    with ab.detect_anomaly():
        y = ab.sqrt(x) * 0.0
        y.backward()
        assert x.grad == 0.0
        assert ab.grad(lambda x: ab.where(x < 1, x, ab.sqrt(x)))(0.0) == 1.0


def test_a_backward_pass_that_overflows():
    x = Value(1e-10, "x")

    def act():
        y = x * 1e200  # steep
        (y + 1.0).backward(seed=1e300)

    message = anomaly(act)
    assert "* handed on inf: its gradient is 1e+300" in message
    assert message.endswith(place("steep"))


def test_what_only_hands_an_infinity_further_is_not_to_blame():
    x = Value(0.0, "x")

    def act():
        u = 3.0 * (x * 2.0)
        v = ab.sqrt(u)  # is the culprit
        (v + v).backward()

    message = anomaly(act)
    assert message.startswith("the backward pass of sqrt handed on inf")
    assert message.endswith(place("is the culprit"))


def test_a_backward_pass_in_a_row_of_operands():
    w = Value(1.0, "w")

    def act():
        dot([w, 1.0], [1e300, 2.0]).backward(seed=1e10)  # large

    message = anomaly(act)
    assert "dot handed on inf" in message
    assert "1.0 ('w')" in message
    assert message.endswith(place("large"))


def test_a_node_made_before_is_named_without_its_line():
    y = ab.sqrt(Value(0.0, "x"))
    message = anomaly(y.backward)
    assert message.endswith("at the operand 0.0 ('x')")


def test_a_backward_pass_with_graphs_of_gradients():
    x = Value(0.0, "x")

    def act():
        y = ab.sqrt(x)  # and its pole
        y.backward(create_graph=True)

    message = anomaly(act)
    assert "sqrt" in message
    assert "0.0 ('x')" in message
    assert message.endswith(place("and its pole"))


def test_the_backward_pass_of_a_transformation():
    def f(x):
        return ab.sqrt(x)  # inside a transformation

    for transformed in (ab.grad(f), ab.jacobian(f), ab.value_and_grad(f)):
        message = anomaly(lambda transformed=transformed: transformed(0.0))
        assert "sqrt" in message
        assert message.endswith(place("inside a transformation"))


@pytest.mark.parametrize(
    "transformed",
    [
        lambda f: ab.jvp(f, (0.0,), (1.0,)), lambda f: ab.hvp(f, (0.0,), (1.0,)),
        lambda f: ab.hessian(f)(0.0), lambda f: ab.grad(ab.grad(f))(0.0),
        lambda f: ab.vjp(f, 0.0)[1](1.0), lambda f: ab.grad(checkpoint(f))(0.0),
    ],
)  # fmt: skip
def test_any_transformation_names_the_line(transformed):
    def f(x):
        return ab.sqrt(x)  # below the transformation

    message = anomaly(lambda: transformed(f))
    assert "pass of sqrt handed on inf" in message
    assert message.endswith(place("below the transformation"))


def test_a_pole_of_the_second_derivative_only():
    def f(x):
        return x**1.5  # is smooth once

    assert ab.grad(f)(0.0) == 0.0
    with detect_anomaly():
        assert ab.grad(f)(0.0) == 0.0
    for second in (ab.hessian(f), ab.grad(ab.grad(f))):
        assert anomaly(lambda second=second: second(0.0)).endswith(place("is smooth once"))


def test_derivatives_are_the_same_under_watch():
    def f(x):
        return ab.sin(x[0] * x[1]) + x[0] ** 3

    at, v = [0.5, 2.0], [1.0, -1.0]
    verbs = [
        lambda: ab.grad(f)(at), lambda: ab.hessian(f)(at), lambda: ab.hvp(f, (at,), (v,))[0],
        lambda: ab.jacobian(f)(at), lambda: [ab.jvp(f, (at,), (v,))[1]],
    ]  # fmt: skip
    for verb in verbs:
        with detect_anomaly():
            found = verb()
        np.testing.assert_allclose(found, verb(), rtol=1e-14)
        assert all(type(x) is float for x in np.ravel(np.array(found, dtype=object)))


def test_a_replaced_gradient_is_the_hooks_affair():
    x = Value(2.0)
    y = x * 3.0
    y.register_hook(lambda grad: 0.5)
    with detect_anomaly():
        (y * y).backward()
    assert x.grad == 1.5


# --- graph_info ----------------------------------------------------------------------------------


def test_what_a_graph_holds():
    x, y = Value(1.0), Value(2.0)
    u = x * y
    z = ab.sum_of([u, u, ab.tanh(u), 3.0]) + x
    info = graph_info(z)
    assert info.nodes == 6
    assert info.leaves == 2
    assert info.depth == 4
    assert info.operations == {"*": 1, "tanh": 1, "sum_of": 1, "+": 1}
    assert info == graph_info(z)


def test_a_leaf():
    info = graph_info(Value(1.0))
    assert (info.nodes, info.leaves, info.depth, info.operations) == (1, 1, 0, {})
    assert info.memory > 0


def test_a_long_graph():
    y = Value(1.0)
    for _ in range(30_000):
        y = y + 1.0
    info = graph_info(y)
    assert (info.nodes, info.depth, info.operations) == (30_001, 30_000, {"+": 30_000})
    assert info.memory == 30_001 * graph_info(Value(1.0)).memory


@pytest.mark.skipif(
    not compiled or not Path("/proc/self/statm").exists(),
    reason="the sizes of Python's own objects differ by version; read from /proc",
)
def test_memory_is_what_the_process_takes():
    program = """
import resource
from autograd_bp import Value, graph_info
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
y = Value(1.0)
for _ in range(10_000):
    y = y + 1.0
before = resident()
for _ in range(500_000):
    y = y + 1.0
print(resident() - before, 500_000 * graph_info(Value(1.0)).memory)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    grown, stated = map(int, ran.stdout.split())
    assert grown == pytest.approx(stated, rel=0.2)


def test_condensed_and_own_operations_are_counted_under_their_names():
    own = custom(lambda a, b: a * b, lambda a, b: (b, a), name="area")
    x = Value(2.0)
    y = checkpoint(lambda x: ab.sin(ab.sin(x)))(own(x, x))
    assert graph_info(y).operations == {"area": 1, "checkpoint": 1}


# --- missing gradients ---------------------------------------------------------------------------


def warned(root, parameters):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        missing = warn_missing_gradients(root, parameters)
    assert all(w.category is UserWarning for w in caught)
    return missing, [str(w.message) for w in caught], [w.filename for w in caught]


def test_no_warning_where_all_are_reached():
    w, b = Value(1.0, "w"), Value(2.0, "b")
    assert warned(ab.relu(w * -1.0 + b * 0.0), [w, b]) == ([], [], [])
    assert warned(w, [w]) == ([], [], [])
    assert warned(w, []) == ([], [], [])


def test_the_reasons():
    w, b, c = Value(1.0, "w"), Value(2.0, "b"), Value(3.0, "c")
    unnamed = Value(4.0)
    with no_grad():
        frozen = c * 2.0
    root = w * 2.0 + b.detach() + frozen
    missing, messages, files = warned(root, (p for p in [w, b, c, unnamed]))
    assert [id(p) for p in missing] == [id(b), id(c), id(unnamed)]
    assert messages == [
        "'b' gets no gradient: the root was computed from a detached copy of it",
        "'c' gets no gradient: the root was not computed from it",
        "Value(data=4.0, grad=0.0) gets no gradient: the root was not computed from it",
    ]
    assert set(files) == {__file__}


@pytest.mark.parametrize("how", ["no_grad", "detach"])
def test_a_root_that_is_a_leaf(how):
    w = Value(1.0, "w")
    if how == "no_grad":
        with no_grad():
            root = w * 2.0
    else:
        root = (w * 2.0).detach()
    missing, messages, _ = warned(root, [w])
    assert missing == [w]
    assert messages == [
        "'w' gets no gradient: the root is a leaf; was it computed under no_grad() or detached?"
    ]


def test_a_module_with_an_unused_layer():
    from nn import MLP

    used, unused = MLP(2, [2, 1], seed=0), MLP(2, [1], seed=0)
    root = used([1.0, 2.0])
    missing, messages, _ = warned(root, [*used.parameters(), *unused.parameters()])
    assert {id(p) for p in missing} == {id(p) for p in unused.parameters()}
    assert len(messages) == 3
    root.backward()
    assert all(p.grad == 0.0 for p in missing)


def test_warnings_can_be_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="'w' gets no gradient"):
            warn_missing_gradients(Value(2.0) * 1.0, [Value(1.0, "w")])


# --- misuse --------------------------------------------------------------------------------------

ERRORS = {
    "a number for a root": (lambda: graph_info(3.0), TypeError, ["root", "3.0"]),
    "a list for a root": (lambda: graph_info([Value(1.0)]), TypeError, ["root"]),
    "no root": (lambda: warn_missing_gradients(2.0, [Value(1.0)]), TypeError, ["root", "2.0"]),
    "a number for a parameter": (
        lambda: warn_missing_gradients(Value(1.0), [3.0]), TypeError, ["parameters", "3.0"],
    ),
    "one parameter": (
        lambda: warn_missing_gradients(Value(1.0), Value(2.0)), TypeError, ["parameters"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "kind", "named"), ERRORS.values(), ids=ERRORS)
def test_errors_teach(wrong, kind, named):
    with pytest.raises(kind) as caught:
        wrong()
    for words in named:
        assert words in str(caught.value)


def test_scopes_and_watchers_go_on_within():
    with detect_anomaly(), scope("layer"):
        node = Value(1.0) * 2.0
    assert node.scope == "layer"
