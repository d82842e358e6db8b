"""check_grads passes what is right, catches what is wrong, and says where."""

import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import autograd_bp as ab
from autograd_bp import Value, check_grads, custom, implicit
from autograd_bp import check as module
from autograd_bp.ops import TABLE
from autograd_bp.value import apply

# --- right ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("modes", [("rev",), ("fwd",), ("rev", "fwd"), ["fwd", "rev"]])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_right_derivatives_pass(order, modes):
    def f(p, c):
        return {"a": ab.sin(p["w"][0] * c) + p["b"], "list": [p["w"][1] ** 2 * c, p["b"]]}

    check_grads(f, ({"w": [0.4, -1.3], "b": 2.0}, 0.7), order=order, modes=modes)


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_right_derivatives_pass_anywhere(x, y):
    check_grads(lambda x, y: ab.tanh(x * y) + ab.logsumexp([x, y, x * x]), (x, y))


@pytest.mark.parametrize("x", [1e-6, 1.0, -1e3, 1e12])
def test_the_step_grows_with_the_point(x):
    """At 10¹² a step of 10⁻³ would vanish in rounding."""
    check_grads(lambda x: x * x, (x,), order=1)


STEEP = 2000.0 * math.pi  # whose period is the first step


@pytest.mark.parametrize(
    ("f", "x", "order"),
    [
        (ab.log, 1e-4, 3),
        (ab.log, 1e-300, 1),
        (lambda x: x**0.5, 5e-4, 2),
        (lambda x: x**-0.5, 1e-9, 1),
        (lambda x: 1.0 / x, -1e-5, 2),
        (ab.asin, 1.0 - 1e-7, 1),
        (lambda x: x**1.5, 0.0, 1),  # which is its edge
        (lambda x: ab.log(1.0 - x) * (1.0 - x) ** 2, 1.0 - 1e-13, 1),
        (lambda x: ab.sin(1e4 * x), 1.0, 2),
        (lambda x: ab.sin(1e4 * x), -300.0, 1),
        (lambda x: ab.sin(1e6 * x), 0.3, 1),
        (lambda x: ab.sin(STEEP * x), 1.0, 2),
        (lambda x: x + 1e-9 * ab.sin(1e6 * x), 1.0, 1),
        (lambda x: ab.relu(x) + ab.relu(x - 1.0), 1.0 - 1e-5, 1),
        (lambda x: x + 1e10, 1.0, 1),
        (lambda x: ab.exp(x), 700.0, 1),
        (lambda x: [ab.log(x), x * x], 1e-6, 1),
    ],
)
def test_the_step_follows_scale_bend_and_domain(f, x, order):
    check_grads(f, (x,), order=order)


ROWS = [
    op for op in TABLE
    if op.operands and not op.is_nary and op.name not in ("attach", "detach", "polygamma")
]  # fmt: skip
SCALES = st.sampled_from([-12, -9, -6, -4, -3, -2, -1, 0, 1, 2, 4, 6])


# Where differences of f can tell, since it is smooth as far as steps go.
NAMES = {"sin", "cos", "exp", "tanh", "atan", "*", "+", "-", "neg", "erf", "softplus", "sigmoid"}
SMOOTH = [op for op in ROWS if op.name in NAMES]


@st.composite
def at_many_scales(draw, rows):
    """A row of the table, and numbers of all sizes at which it is finite."""
    op = draw(st.sampled_from(rows))
    sizes = st.builds(lambda x, e, s: s * x * 10.0**e, st.floats(1.0, 9.99), SCALES,
                      st.sampled_from([1.0, 1.0, -1.0]))  # fmt: skip
    args = [draw(sizes) for _ in op.operands]
    assume(len(set(args)) == len(args))  # or min, max and clip have their kinks there
    try:
        y = apply(op.name, *map(Value, args))
        slopes = ab.grad(lambda *x: apply(op.name, *x), argnums=tuple(range(len(args))))(*args)
    except (ValueError, ArithmeticError):
        assume(False)
    assume(all(map(math.isfinite, [y.data, *slopes])))
    return op, args, slopes


@settings(max_examples=150)
@given(at_many_scales(ROWS), st.integers(1, 2))
def test_no_row_of_the_table_is_called_wrong_at_any_scale(case, order):
    op, args, _ = case
    try:
        check_grads(lambda *x: apply(op.name, *x), args, order=order)
    except (ValueError, ArithmeticError):
        assume(False)  # the derivative is out of its own domain


@settings(max_examples=60)
@given(at_many_scales(SMOOTH), st.sampled_from([1e-4, -1e-4, 1e-3, -1.0]))
def test_what_is_wrong_by_one_in_ten_thousand_is_found(case, off):
    """Wherever it is more than the tolerance: where the derivative is not near 0."""
    op, args, slopes = case
    assume(abs(off * slopes[0]) > 1e-5 * max(1.0, abs(slopes[0])))
    wrong = custom(
        lambda x: apply(op.name, x, *args[1:]),
        lambda x: (1.0 + off) * ab.grad(lambda x: apply(op.name, x, *args[1:]))(x),
    )
    with pytest.raises(AssertionError, match="by central differences"):
        check_grads(wrong, args[:1], order=1, modes=("rev",))


def test_a_wrong_derivative_of_what_repeats_is_found():
    """Of a period that is the first step: a difference would be 0, as is what is lost."""
    with pytest.raises(AssertionError, match=r"mode is 0\.0, by central differences 6283\.18"):
        check_grads(lambda x: x * 0.0 + ab.sin(STEEP * forget(x)), (1.0,), order=1)


def test_a_wrong_derivative_at_an_edge_is_found():
    wrong = custom(lambda x: x**2.5 + 3.0 * x, lambda x: 3.001 + 0.0 * x)
    with pytest.raises(AssertionError, match=r"is 3\.001, by one-sided differences (3\.0|2\.99)"):
        check_grads(wrong, (0.0,), order=1)


def test_a_step_of_ones_own():
    asked = []

    def f(x):
        asked.append(x.data)
        return x * x * x

    check_grads(f, (1.0,), order=1, modes=("rev",), step=0.25)
    assert max(asked) == 1.25
    wrong = custom(lambda x: x * x, lambda x: 3.0 * x)
    with pytest.raises(AssertionError, match=r"differences 4\.0 .*step 0\.125, at"):
        check_grads(wrong, (2.0,), order=1, step=0.125)


def test_arrays_constants_and_nothing():
    check_grads(lambda a: a @ a.T, (np.array([[1.0, 2.0], [0.5, -1.0]]),))
    check_grads(lambda x: 3.0, (1.0,))
    check_grads(lambda x: [3.0, x], (1,))
    check_grads(lambda: 1.0, ())
    check_grads(lambda x: 2.0, ([],))


def test_a_function_with_no_results_has_no_derivatives():
    check_grads(lambda x: [], (1.0,))


def test_a_closure_over_a_value_is_a_constant():
    w = Value(3.0)
    check_grads(lambda x: w * x * x, (2.0,))
    assert w.grad == 0.0


# --- wrong ---------------------------------------------------------------------------------------


def wrong_at(i):
    """a·b², with a wrong derivative for operand i, by 0.1 %."""
    right = [lambda a, b: b * b, lambda a, b: 2.0 * a * b]
    factors = [1.001 if i == k else 1.0 for k in range(2)]
    return custom(
        lambda a, b: a * b * b,
        lambda a, b: tuple(c * d(a, b) for c, d in zip(factors, right, strict=True)),
        name="wrong",
    )


@pytest.mark.parametrize(("mode", "word"), [("rev", "reverse"), ("fwd", "forward")])
@pytest.mark.parametrize(
    ("i", "name", "wrong", "right", "at"), [(0, "args[0]", 9.009, 9.0, 2.0),
    (1, "args[1]['k'][1]", 12.012, 12.0, 3.0)],
)  # fmt: skip
def test_a_wrong_derivative_is_named(mode, word, i, name, wrong, right, at):
    def f(a, p):
        return [a, wrong_at(i)(a, p["k"][1])]

    with pytest.raises(AssertionError) as caught:
        check_grads(f, (2.0, {"k": [5.0, 3.0]}), order=1, modes=(mode,))
    message = str(caught.value)
    assert f"∂(output 1)/∂{name} by {word} mode is" in message
    got, estimate = (float(x) for x in re.findall(r"(?:is|differences) ([-\d.e]+)", message))
    assert (got, estimate) == (pytest.approx(wrong, rel=1e-12), pytest.approx(right, rel=1e-9))
    assert f"step {1e-3 * at:.3g}" in message
    assert f"{name} = {at}" in message
    assert "rtol=1e-06, atol=1e-06" in message


def test_an_entry_of_an_array_is_named():
    bad = custom(lambda x: x * x, lambda x: 3.0 * x)

    def f(a):
        return a[0, 0] * a[1, 1] + bad(a[1, 0])

    with pytest.raises(AssertionError, match=re.escape("∂(output 0)/∂args[0]['w'][1][0] by")):
        check_grads(lambda p: f(p["w"]), ({"w": np.ones((2, 2))},))


def test_both_modes_are_asked(monkeypatch):
    """A mode that is wrong alone is caught, and named."""

    def off(transformation):
        return lambda *args: _scaled(transformation(*args))

    def _scaled(result):
        return (result[0], [2.0 * x for x in result[1]])

    monkeypatch.setattr(module, "jvp", off(module.jvp))
    check_grads(lambda x: x * x, (3.0,), order=1, modes=("rev",))
    with pytest.raises(AssertionError, match=r"by forward mode is 12\.0"):
        check_grads(lambda x: x * x, (3.0,), order=1)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 3), (3, 1), (2, 2)])
def test_each_mode_is_the_one_that_it_says(monkeypatch, inputs, outputs):
    """Whatever the shape, though a Jacobian by itself takes the cheaper of the two."""
    count = Counter()
    tape = ab.transforms.Tape

    class Counting:
        def __init__(self, *args):
            self.tape = tape(*args)

        def __getattr__(self, name):
            count[name] += 1
            return getattr(self.tape, name)

    monkeypatch.setattr(ab.transforms, "Tape", Counting)

    def f(x):
        return [ab.sum_of(x) * (k + 1.0) for k in range(outputs)]

    check_grads(f, ([1.0] * inputs,), order=1, modes=("rev",))
    assert count["push_forward"] == 0
    assert count["pull_back"] >= 1
    count.clear()
    check_grads(f, ([1.0] * inputs,), order=1, modes=("fwd",))
    assert count["pull_back"] == 0
    assert count["push_forward"] == inputs


def forget(x):
    """The number alone: what it depends on is lost."""
    return x.data if isinstance(x, Value) else x


@pytest.mark.parametrize("mode", ["rev", "fwd"])
def test_a_wrong_second_derivative_is_caught_at_order_2_only(mode):
    """The first derivative of x³ is right, but its own is lost."""
    bad = custom(lambda x: x**3, lambda x: 3.0 * forget(x) ** 2)
    check_grads(bad, (2.0,), order=1, modes=(mode,))
    with pytest.raises(AssertionError, match=r"∂\(derivative of output 0\)/∂args\[0\].*is 0.0"):
        check_grads(bad, (2.0,), order=2, modes=(mode,))


def test_a_wrong_third_derivative_is_caught_at_order_3_only():
    bad = custom(lambda x: x**4, lambda x: x * x * 4.0 * x + 0.0 * forget(x))
    check_grads(bad, (2.0,), order=3)
    worse = custom(
        lambda x: x**4, custom(lambda x: 4.0 * x**3, lambda x: 12.0 * forget(x) ** 2 + 0.0 * x)
    )
    check_grads(worse, (2.0,), order=2)
    with pytest.raises(AssertionError, match=r"∂\(derivative of derivative of output 0\)"):
        check_grads(worse, (2.0,), order=3)


def test_a_gradient_that_is_lost_is_caught():
    with pytest.raises(AssertionError, match=r"mode is 0.0, by central differences"):
        check_grads(lambda x: x * 0.0 + forget(x) ** 2, (2.0,), order=1)


def test_a_parameter_that_implicit_was_not_told_of_is_caught():
    def f(a):
        hidden = implicit(lambda y: y * y - forget(a), lambda: math.sqrt(forget(a)))
        return a * 0.0 + hidden()

    with pytest.raises(AssertionError, match=r"mode is 0\.0"):
        check_grads(f, (4.0,), order=1)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_derivative_that_is_no_number_is_caught(bad):
    with pytest.raises(AssertionError, match=f"mode is {bad!r}"):
        check_grads(custom(lambda x: x, lambda x: bad), (1.0,), order=1)


def test_tolerances():
    slightly = custom(lambda x: x * x, lambda x: 2.0 * x * (1 + 1e-5))
    with pytest.raises(AssertionError):
        check_grads(slightly, (3.0,), order=1)
    check_grads(slightly, (3.0,), order=1, rtol=1e-4)
    check_grads(slightly, (3.0,), order=1, atol=1e-3)
    with pytest.raises(AssertionError, match="rtol=1e-08, atol=1e-09"):
        check_grads(slightly, (3.0,), order=1, rtol=1e-8, atol=1e-9)


# --- misuse --------------------------------------------------------------------------------------

ERRORS = {
    "order 0": (lambda: check_grads(abs, (1.0,), order=0), ValueError, ["order", "0"]),
    "order -1": (lambda: check_grads(abs, (1.0,), order=-1), ValueError, ["order", "-1"]),
    "no modes": (lambda: check_grads(abs, (1.0,), modes=()), ValueError, ["modes", "()"]),
    "another mode": (
        lambda: check_grads(abs, (1.0,), modes=("reverse",)), ValueError, ['"rev"', "reverse"],
    ),
    "a mode that is no list": (
        lambda: check_grads(abs, (1.0,), modes="rev"), ValueError, ["modes", "'rev'"],
    ),
    "args no tuple": (lambda: check_grads(abs, 1.0), TypeError, ["args", "1.0"]),
    "a step of 0": (lambda: check_grads(abs, (1.0,), step=0.0), ValueError, ["step", "0.0"]),
    "a step that is no number": (
        lambda: check_grads(abs, (1.0,), step="x"), ValueError, ["step", "'x'"],
    ),
    "an infinite step": (
        lambda: check_grads(abs, (1.0,), step=math.inf), ValueError, ["step", "inf"],
    ),
    "text in args": (lambda: check_grads(abs, ("a",)), TypeError, ["args", "'a'"]),
    "a result that is no number": (
        lambda: check_grads(lambda x: "a", (1.0,)), TypeError, ["the result of f", "'a'"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "kind", "named"), ERRORS.values(), ids=ERRORS)
def test_errors_teach(wrong, kind, named):
    with pytest.raises(kind) as caught:
        wrong()
    for words in named:
        assert words in str(caught.value)
