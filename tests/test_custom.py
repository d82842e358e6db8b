"""Operations of one's own, by an equation, and condensed: values, derivatives to any order."""

import copy
import io
import math
import pickle
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp

import autograd_bp as ab
from autograd_bp import (
    Value,
    check_grads,
    checkpoint,
    custom,
    gradients,
    graph_info,
    hessian,
    hvp,
    implicit,
    jacobian,
    jvp,
    no_grad,
    topological_order,
    vjp,
)
from autograd_bp import grad as grad_of
from autograd_bp.program.plan import bare

numbers = st.floats(-2, 2)

# --- custom --------------------------------------------------------------------------------------


def _sinc(x):
    return math.sin(x) / x


def _its_slope(x):
    return (x * ab.cos(x) - ab.sin(x)) / (x * x)


sinc = custom(_sinc, _its_slope, name="sinc")
area = custom(lambda a, b: a * b, lambda a, b: (b, a), name="area")


@given(st.floats(0.5, 6.0))
def test_a_custom_operation_is_differentiated_to_any_order(at):
    with mp.workdps(40):
        truth = mp.diffs(lambda x: mp.sin(x) / x, at, 4)
        f = sinc
        for true in truth:
            assert abs(f(at) - true) <= 1e-11
            f = grad_of(f)


def test_a_custom_operation_is_one_node_with_its_name():
    a, b = Value(2.0, "a"), Value(3.0, "b")
    y = area(a, b)
    assert (y.data, y.op, y.operands, y.parents) == (6.0, "area", (a, b), (a, b))
    assert y.local_grads == (3.0, 2.0)
    assert graph_info(y * 2.0).operations == {"area": 1, "*": 1}
    y.backward()
    assert (a.grad, b.grad) == (3.0, 2.0)
    y.backward(create_graph=True)
    assert (a.grad.data, b.grad.data) == (6.0, 4.0)
    assert "area" in repr(y)


def test_plain_operands_stay_plain():
    assert area(2.0, 3.0) == 6.0
    assert type(area(2, 3)) is float
    x = Value(3.0)
    y = area(2.0, x)
    assert (y.operands, y.parents, y.local_grads) == ((2.0, x), (x,), (2.0,))
    assert area(x, np.float64(2.0)).local_grads == (2.0,)
    z = area(x, x)
    z.backward()
    assert (z.local_grads, x.grad) == ((3.0, 3.0), 6.0)


def test_a_custom_operation_in_every_transformation():
    def plain(p):
        return ab.sin(p[0] * p[1]) * p[0] * p[0]

    def own(p):
        return ab.sin(area(p[0], p[1])) * area(p[0], p[0])

    at, v = [0.7, -1.3], [0.5, 2.0]
    for transformed in (
        grad_of,
        hessian,
        lambda f: jacobian(grad_of(f)),
        lambda f: lambda p: jvp(f, (p,), (v,)),
        lambda f: lambda p: hvp(f, (p,), (v,)),
        lambda f: lambda p: vjp(f, p)[1](3.0),
        lambda f: grad_of(lambda p: hessian(f)(p)[0][1]),
    ):
        np.testing.assert_allclose(
            np.ravel(np.concatenate([np.ravel(x) for x in _flat(transformed(own)(at))])),
            np.ravel(np.concatenate([np.ravel(x) for x in _flat(transformed(plain)(at))])),
            rtol=1e-13,
        )
    check_grads(own, (at,), order=3)


def _flat(tree):
    if isinstance(tree, (list, tuple)):
        return [x for part in tree for x in _flat(part)]
    return [tree]


def test_names():
    def cube(x):
        return x**3

    assert custom(cube, lambda x: 3 * x * x)(Value(2.0)).op == "cube"
    assert custom(cube, lambda x: 3 * x * x, name="x³")(Value(2.0)).op == "x³"
    assert custom(lambda x: x, lambda x: 1.0)(Value(2.0)).op == "custom"
    operation = custom(cube, lambda x: 3 * x * x)
    assert operation.__name__ == "cube"


def test_the_value_sees_floats_and_so_does_the_derivative_until_it_is_differentiated():
    seen = []

    def f(x):
        seen.append(type(x))
        return x * x

    def derivative(x):
        seen.append(type(x))
        return 2.0 * x

    square = custom(f, derivative)
    square(Value(2.0)).backward()
    grad_of(square)(2)
    assert set(seen) == {float}
    assert grad_of(grad_of(square))(2.0) == 2.0
    assert set(seen) == {float, Value}


def test_a_custom_operation_under_no_grad_and_detached():
    x = Value(2.0)
    with no_grad():
        y = area(x, 3.0)
    assert (y.data, y.is_leaf) == (6.0, True)
    assert area(x.detach(), x).parents[0] is not x


def test_a_derivative_given_by_grad():
    cube = custom(lambda x: x**3, grad_of(lambda x: x**3))
    assert [cube(2.0), grad_of(cube)(2.0), grad_of(grad_of(cube))(2.0)] == [8.0, 12.0, 12.0]
    assert hessian(cube)(2.0) == 12.0
    # with the operand in the closure of the inner derivative
    own = custom(lambda x: 6.0 * x * x, lambda x: 6.0 * grad_of(lambda y: x * y * y)(1.0))
    assert [grad_of(own)(2.0), grad_of(grad_of(own))(2.0), hessian(own)(2.0)] == [24.0, 12.0, 12.0]


CAPTURED = {
    "in the value": lambda w: custom(lambda a: w * a, lambda a: 3.0)(2.0),
    "in the derivative": lambda w: custom(lambda a: 3.0 * a, lambda a: w)(Value(2.0)),
    "in the residual": lambda w: implicit(lambda y, a: w * y - a, lambda a: a / 3.0)(6.0),
}


@pytest.mark.parametrize("use", CAPTURED.values(), ids=CAPTURED)
def test_a_captured_value_is_refused_where_its_gradient_would_be_lost(use):
    with pytest.raises(TypeError, match="real number"):
        use(Value(3.0))
    with pytest.raises(TypeError, match="real number"):
        grad_of(use)(3.0)


CUSTOM_ERRORS = {
    "too few derivatives": (
        lambda: custom(lambda a, b: a * b, lambda a, b: a, name="area")(Value(1.0), 2.0),
        ValueError, ["area", "2 operands", "(1.0,)"],
    ),
    "too many derivatives": (
        lambda: custom(lambda a: a, lambda a: (1.0, 2.0), name="id")(Value(1.0)),
        ValueError, ["id", "1 operands", "(1.0, 2.0)"],
    ),
    "a value that is no number": (
        lambda: custom(lambda a: "one", lambda a: a)(Value(1.0)), TypeError, ["'one'", "str"],
    ),
    "an operand that is no number": (
        lambda: custom(lambda a: a, lambda a: a)("one"), TypeError, ["'one'", "str"],
    ),
    "a derivative that is no number": (
        lambda: custom(lambda a: a, lambda a: None)(Value(1.0)), TypeError, ["None"],
    ),
    "a derivative that cannot be differentiated": (
        lambda: grad_of(grad_of(custom(math.sin, math.cos)))(1.0),
        TypeError, ["not converted to a float silently", "autograd_bp.exp(v)"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "kind", "named"), CUSTOM_ERRORS.values(), ids=CUSTOM_ERRORS)
def test_errors_of_custom(wrong, kind, named):
    with pytest.raises(kind) as caught:
        wrong()
    for words in named:
        assert words in str(caught.value)


# --- implicit ------------------------------------------------------------------------------------


def newton(f, slope, start):
    y = start
    for _ in range(100):
        y -= f(y) / slope(y)
    return y


# y³ + a·y = b, with one real root for a > 0.
cubic = implicit(
    lambda y, a, b: y**3 + a * y - b,
    lambda a, b: newton(lambda y: y**3 + a * y - b, lambda y: 3 * y * y + a, 1.0),
    name="cubic",
)


def cardano(a, b):
    """The same root by Cardano's formula."""
    s = mp.sqrt(b * b / 4 + a**3 / 27)
    return mp.cbrt(b / 2 + s) - mp.cbrt(s - b / 2)


@given(st.floats(0.5, 3.0), st.floats(-2.0, 2.0))
def test_a_root_of_several_parameters_against_cardano(a, b):
    with mp.workdps(60):
        point = mp.mpf(a), mp.mpf(b)
        assert abs(cubic(a, b) - cardano(*point)) <= 1e-14
        value, (da, db) = ab.value_and_grad(cubic, (0, 1))(a, b)
        assert abs(value - cardano(*point)) <= 1e-14
        assert abs(da - mp.diff(cardano, point, (1, 0))) <= 1e-11
        assert abs(db - mp.diff(cardano, point, (0, 1))) <= 1e-11
        (haa, hab), (hba, hbb) = hessian(lambda p: cubic(p[0], p[1]))([a, b])
        for got, orders in [(haa, (2, 0)), (hab, (1, 1)), (hba, (1, 1)), (hbb, (0, 2))]:
            assert abs(got - mp.diff(cardano, point, orders)) <= 1e-9
        third = grad_of(grad_of(grad_of(cubic, 1), 0), 1)(a, b)
        assert abs(third - mp.diff(cardano, point, (1, 2))) <= 1e-8


def test_a_fixed_point():
    """y = x·cos y, the residual y − x·cos y; dy/dx = cos y/(1 + x·sin y)."""

    def iterate(x):
        y = 0.5
        for _ in range(2000):
            y = 0.5 * y + 0.5 * x * math.cos(y)
        return y

    dottie = implicit(lambda y, x: y - x * ab.cos(y), iterate)
    assert dottie(1.0) == pytest.approx(0.7390851332151607, abs=1e-15)
    for x in (0.3, 1.0, 1.4):
        y = dottie(x)
        expected = math.cos(y) / (1.0 + x * math.sin(y))
        assert grad_of(dottie)(x) == pytest.approx(expected, rel=1e-13)
    check_grads(dottie, (1.0,), order=3)


def test_an_implicit_function_is_one_node_however_it_is_solved():
    a, b = Value(1.5, "a"), Value(0.5, "b")
    y = cubic(a, b)
    assert (y.op, y.parents, graph_info(y).nodes) == ("cubic", (a, b), 3)
    assert cubic(1.5, 0.5) == y.data
    assert cubic(a, 0.5).parents == (a,)
    y.backward(create_graph=True)
    db = 1.0 / (3 * y.data**2 + 1.5)
    assert (a.grad.data, b.grad.data) == pytest.approx((-y.data * db, db), rel=1e-14)


def test_implicit_functions_compose_with_themselves_and_with_transformations():
    root = implicit(lambda y, x: y * y - x, math.sqrt)

    def quartic_root(x):
        return root(root(x))

    for order, f in enumerate([quartic_root, lambda x: x**0.25]):
        for _ in range(4):
            f = grad_of(f)
        found = f(2.0)
        if order == 0:
            by_implicit = found
    assert by_implicit == pytest.approx(found, rel=1e-12)
    assert jvp(quartic_root, (16.0,), (1.0,)) == (2.0, pytest.approx(1 / 32))

    # a residual that is itself a derivative: the minimum of (y − x²)² + y⁴/10 over y
    def slope(y, x):
        return grad_of(lambda y: (y - x * x) ** 2 + 0.1 * y**4)(y)

    def descend(x):
        return newton(lambda y: 2 * (y - x * x) + 0.4 * y**3, lambda y: 2 + 1.2 * y * y, x * x)

    argmin = implicit(slope, descend)
    y = argmin(1.5)
    assert grad_of(argmin)(1.5) == pytest.approx(4 * 1.5 / (2 + 1.2 * y * y), rel=1e-12)
    check_grads(argmin, (1.5,), order=2)


def test_a_multiple_root_or_none_is_refused():
    flat = implicit(lambda y, a: (y - a) ** 2, lambda a: a)
    with pytest.raises(ValueError, match=r"does not define y near y = 2.0.*is 0.0 there"):
        flat(2.0)
    lazy = implicit(lambda y, a: y * y - a, lambda a: 1.0)
    with pytest.raises(ValueError, match=r"y = 1.0.*residual is -1.0.*iterate further"):
        lazy(2.0)
    with pytest.raises(ValueError, match=r"no root"):
        lazy(Value(2.0))
    with pytest.raises(ValueError, match="nan"):
        implicit(lambda y, a: y * y - a, lambda a: math.nan)(2.0)
    with pytest.raises(TypeError, match="real number"):
        implicit(lambda y, a: y - a, lambda a: None)(2.0)
    with pytest.raises(TypeError, match="real number"):
        implicit(lambda y, a: [y - a], lambda a: a)(2.0)


@pytest.mark.parametrize("y", [math.inf, -math.inf])
def test_infinity_is_no_root(y):
    with pytest.raises(ValueError, match="inf"):
        implicit(lambda y, a: y - a, lambda a: y)(2.0)


def test_a_root_to_the_precision_of_the_solver_is_accepted():
    near = implicit(lambda y, a: y * y - a, lambda a: math.sqrt(a) * (1 + 1e-8))
    assert grad_of(near)(4.0) == pytest.approx(0.25, rel=1e-7)
    far = implicit(lambda y, a: y * y - a, lambda a: math.sqrt(a) * (1 + 1e-4))
    with pytest.raises(ValueError, match="no root"):
        far(4.0)


# --- checkpoint ----------------------------------------------------------------------------------


def mixed(x, y):
    """A few operations of two numbers, with sharing."""
    u = ab.tanh(x * y) + x
    for _ in range(4):
        u = ab.sin(u * x) - y * u
    return u


@given(numbers, numbers, st.tuples(numbers, numbers))
def test_a_condensed_function_has_the_same_derivatives(x, y, v):
    condensed = checkpoint(mixed)
    at = [x, y]
    approx = {"rtol": 1e-10, "atol": 1e-10}
    for transformed in (
        lambda f: ab.value_and_grad(lambda p: f(*p))(at),
        lambda f: hessian(lambda p: f(*p))(at),
        lambda f: jvp(lambda p: f(*p), (at,), (list(v),)),
        lambda f: hvp(lambda p: f(*p) ** 2, (at,), (list(v),)),
        lambda f: jacobian(grad_of(lambda p: f(*p) * p[0]))(at),
    ):
        for got, true in zip(_flat(transformed(condensed)), _flat(transformed(mixed)), strict=True):
            np.testing.assert_allclose(got, true, **approx)


def test_a_condensed_function_to_third_order():
    plain, condensed = (
        grad_of(grad_of(grad_of(lambda x, f=f: f(x, 0.3)))) for f in (mixed, checkpoint(mixed))
    )
    assert condensed(0.7) == pytest.approx(plain(0.7), rel=1e-12)
    check_grads(checkpoint(mixed), (0.7, 0.3), order=3, rtol=1e-5)


def test_what_a_condensed_function_leaves_behind():
    x, y = Value(0.5, "x"), Value(2.0, "y")
    plain, condensed = mixed(x, y), checkpoint(mixed)(x, y)
    assert condensed.data == plain.data
    assert (condensed.op, condensed.parents) == ("mixed", (x, y))
    assert condensed.local_grads == tuple(gradients(plain, [x, y]))
    assert graph_info(condensed).nodes == 3
    assert graph_info(condensed).memory < graph_info(plain).memory / 4


def test_the_nodes_within_are_freed():
    """Counted through the weak references to a number that each of them holds in its hook."""
    alive = []

    class Mark:
        pass

    def f(x):
        y = x
        for _ in range(20):
            y = ab.sin(y)
            mark = Mark()
            y.register_hook(lambda grad, mark=mark: None)
            alive.append(weakref.ref(mark))
        return y

    x = Value(0.5)
    kept = f(x)
    assert sum(ref() is not None for ref in alive) == 20
    del kept
    alive.clear()
    y = checkpoint(f)(x)
    assert len(alive) == 20
    assert sum(ref() is not None for ref in alive) <= 1  # the last Mark may be a local variable
    y.backward()
    assert len(alive) == 20  # gradients need no second run


def test_a_condensed_function_runs_again_for_second_derivatives_only():
    runs = 0

    def f(x):
        nonlocal runs
        runs += 1
        return x * x * x

    condensed = checkpoint(f)
    assert (grad_of(condensed)(2.0), runs) == (12.0, 1)
    assert (hessian(condensed)(2.0), runs) == (12.0, 3)


def test_captured_values_get_their_gradients():
    w, b = Value(3.0, "w"), Value(-1.0, "b")
    scaled = w * 2.0

    @checkpoint
    def layer(x):
        return ab.tanh(scaled * x + b) * w

    def plain(x):
        return ab.tanh(scaled * x + b) * w

    x = Value(0.3, "x")
    y = layer(x)
    true = plain(x)
    assert {id(node) for node in y.parents} == {id(scaled), id(b), id(w), id(x)}
    assert gradients(y, [x, w, b]) == pytest.approx(gradients(true, [x, w, b]), rel=1e-14)
    for node in (x, w, b):
        (d,) = gradients(y, [node], create_graph=True)
        (e,) = gradients(true, [node], create_graph=True)
        assert gradients(d, [x, w, b]) == pytest.approx(gradients(e, [x, w, b]), rel=1e-13)


def test_several_results():
    @checkpoint
    def f(x, y):
        return {"sum": x + y, "rest": [x * y, x * y * y, 3.0, x]}

    x, y = Value(2.0, "x"), Value(5.0, "y")
    results = f(x, y)
    assert list(results) == ["sum", "rest"]
    product, third, constant, same = results["rest"]
    assert (results["sum"].data, product.data, third.data, constant) == (7.0, 10.0, 50.0, 3.0)
    assert same is x
    assert gradients(third, [x, y]) == [25.0, 20.0]
    assert gradients(results["sum"] * product, [x, y]) == [10.0 + 35.0, 10.0 + 14.0]
    np.testing.assert_array_equal(
        jacobian(lambda p: f(*p)["rest"])([2.0, 5.0]), [[5, 2], [25, 20], [0, 0], [1, 0]]
    )
    np.testing.assert_array_equal(
        hessian(lambda p: f(*p)["rest"][1])([2.0, 5.0]), [[0, 10], [10, 4]]
    )


def test_one_result_given_twice_and_one_computed_from_another():
    @checkpoint
    def f(x):
        y = x * x
        return [y, y, y * x]

    x = Value(3.0)
    a, b, c = f(x)
    assert a is b
    assert [gradients(y, [x])[0] for y in (a, c)] == [6.0, 27.0]
    assert hessian(lambda x: f(x)[2])(3.0) == 18.0


def test_trees_arrays_and_keywords_pass_through():
    @checkpoint
    def f(p, *, power):
        return np.sum(p["w"] ** power) + p["b"]

    at = {"w": np.array([2.0, 3.0]), "b": 1.0}
    value, derivative = ab.value_and_grad(f)(at, power=3)
    assert value == 36.0
    np.testing.assert_array_equal(derivative["w"], [12.0, 27.0])
    assert derivative["b"] == 1.0


def test_a_condensed_function_of_plain_numbers_is_plain():
    assert checkpoint(lambda x: x * x)(3.0) == 9.0
    assert checkpoint(lambda x: ab.sin(x))(0.0) == 0.0
    with no_grad():
        y = checkpoint(mixed)(Value(0.5), 2.0)
    assert y.is_leaf
    assert y.data == mixed(0.5, 2.0)


def test_a_label_survives():
    @checkpoint
    def f(x):
        y = x * x
        y.label = "y"
        return y

    assert f(Value(2.0)).label == "y"


def test_condensed_within_condensed():
    inner = checkpoint(lambda x, y: ab.sin(x * y) * x)

    @checkpoint
    def outer(x, y):
        return inner(x, y) * inner(y, x) + x

    def plain(x, y):
        return ab.sin(x * y) * x * (ab.sin(x * y) * y) + x

    x, y = Value(0.7), Value(1.3)
    assert graph_info(outer(x, y)).operations == {"outer": 1}
    at = [0.7, 1.3]
    for transformed in (grad_of, hessian, lambda f: grad_of(lambda p: hessian(f)(p)[0][1])):
        np.testing.assert_allclose(
            transformed(lambda p: outer(*p))(at), transformed(lambda p: plain(*p))(at), rtol=1e-12
        )


def test_condensed_within_condensed_frees_its_nodes_at_once():
    """Not only when the outer function returns."""
    alive = []

    class Mark:
        pass

    @checkpoint
    def inner(x):
        for _ in range(20):
            x = ab.sin(x)
            mark = Mark()
            x.register_hook(lambda grad, mark=mark: None)
            alive.append(weakref.ref(mark))
        return x

    left = []

    @checkpoint
    def outer(x):
        for _ in range(3):
            x = inner(x)
            left.append(sum(ref() is not None for ref in alive))
        return x

    outer(Value(0.5))
    assert len(alive) == 60
    assert max(left) <= 1


def test_a_function_that_does_something_else_the_second_time_is_refused():
    calls = 0

    @checkpoint
    def f(x):
        nonlocal calls
        calls += 1
        return x * x * float(calls)

    x = Value(3.0)
    y = f(x)
    assert gradients(y, [x]) == [6.0]
    with pytest.raises(RuntimeError, match="must do the same in each call"):
        gradients(y, [x], create_graph=True)


def test_implicit_functions_under_no_grad():
    with no_grad():
        y = cubic(Value(1.5), 0.5)
        assert grad_of(cubic)(1.5, 0.5) != 0.0
    assert (y.is_leaf, y.data) == (True, cubic(1.5, 0.5))


def test_custom_and_implicit_within_condensed_and_the_reverse():
    root = implicit(lambda y, x: y * y - x, math.sqrt)

    @checkpoint
    def f(x):
        return sinc(root(x)) * root(x)  # sin √x

    for transformed in (grad_of, hessian, lambda f: grad_of(grad_of(grad_of(f)))):
        assert transformed(f)(2.0) == pytest.approx(
            transformed(lambda x: ab.sin(ab.sqrt(x)))(2.0), rel=1e-12
        )
    square = checkpoint(lambda y: y * y)
    again = implicit(lambda y, x: square(y) - x, math.sqrt)
    assert grad_of(grad_of(again))(4.0) == pytest.approx(-1 / 32, rel=1e-14)
    cube = custom(lambda x: x**3, checkpoint(lambda x: 3.0 * x * x))
    assert grad_of(grad_of(cube))(2.0) == 12.0


def nested(x):
    """6x³, by a derivative at a plain number with respect to a variable of its own."""
    return x * grad_of(lambda y: x * x * y * y)(3.0)


@pytest.mark.parametrize(
    "second",
    [
        lambda f: hessian(f)(2.0),
        lambda f: grad_of(grad_of(f))(2.0),
        lambda f: hvp(f, (2.0,), (1.0,))[0],
        lambda f: jvp(grad_of(f), (2.0,), (1.0,))[1],
        lambda f: grad_of(lambda x: jvp(f, (x,), (1.0,))[1])(2.0),
    ],
)
def test_a_derivative_within_a_condensed_function(second):
    assert second(nested) == 72.0
    assert second(checkpoint(nested)) == 72.0


def test_condensed_in_a_long_chain_of_segments():
    """Memory in proportion to the segments, the same gradient."""

    def segment(x):
        for _ in range(1000):
            x = ab.sin(x)
        return x

    condensed = checkpoint(segment)
    x = Value(1.0)
    y = x
    for _ in range(20):
        y = condensed(y)
    assert graph_info(y).nodes == 21
    z = x
    for _ in range(20):
        z = segment(z)
    assert y.data == z.data
    assert gradients(y, [x]) == pytest.approx(gradients(z, [x]), rel=1e-12)


def test_an_error_within_a_condensed_function_is_the_users_own():
    @checkpoint
    def f(x):
        return ab.log(x)

    with pytest.raises(ValueError, match=r"log\(x\) is defined for x > 0"):
        f(Value(-1.0))
    with pytest.raises(TypeError, match="the result of f must hold real numbers"):
        checkpoint(lambda x: "text")(Value(1.0))
    assert f(Value(1.0)).data == 0.0


# --- copies --------------------------------------------------------------------------------------


def test_plain_nodes_beside_own_ones_copy_and_pickle():
    x = Value(2.0, "x")
    y = ab.sin(x) * x
    area(y, x)
    checkpoint(mixed)(y, x)
    for twin in (pickle.loads(pickle.dumps(y)), copy.deepcopy(y)):
        assert [node.op for node in topological_order(twin)] == ["", "sin", "*"]
        twin.backward()
        assert topological_order(twin)[0].grad == gradients(y, [x])[0]
    assert x.grad == 0.0


@pytest.mark.parametrize(
    "own",
    [
        lambda x: area(x, x * 3.0),
        lambda x: cubic(x, x * 3.0),
        lambda x: checkpoint(mixed)(x, x * 3.0),
        lambda x: custom(lambda x: x**3, lambda x: 3.0 * x**2, name="sin")(x),
        lambda x: custom(lambda a, b: a * b**2, lambda a, b: (b**2, 2.0 * a * b), name="*")(x, x),
    ],
    ids=["custom", "implicit", "checkpoint", "named as a row", "named as an operator"],
)
def test_a_copied_graph_of_own_operations_has_all_derivatives(own):
    x = Value(0.7, "x")
    y = own(x)
    twin = copy.deepcopy(y)
    (at,) = [node for node in topological_order(twin) if node.is_leaf]
    assert at is not x

    def derivatives(y, x):
        (first,) = gradients(y, [x], create_graph=True)
        (second,) = gradients(first, [x])
        return first.data, second

    assert derivatives(twin, at) == pytest.approx(derivatives(y, x), rel=1e-14)


def square(x):
    return x * x


def twice(x):
    return 2.0 * x


def test_an_own_operation_is_pickled_or_refused_and_never_broken():
    y = custom(square, twice)(Value(3.0))
    try:
        data = pickle.dumps(y)
    except (pickle.PicklingError, AttributeError, TypeError):
        return
    twin = pickle.load(io.BytesIO(data))
    twin.backward()
    assert twin.parents[0].grad == 6.0


# --- in a trace -----------------------------------------------------------------------------------

slanted = custom(lambda a, b: a * ab.exp(b), lambda a, b: (a * a, 3.0 * ab.sin(b)), "slanted")


def between(a, b):
    """Derivatives that are not those of the value, so that a trace which takes those is found."""
    return slanted(a * b, b) * b + slanted(b, 2.0)


@given(st.floats(-2.0, 2.0), st.floats(-2.0, 2.0), st.booleans())
def test_a_trace_keeps_the_derivatives_that_were_given(a, b, optimize):
    program = ab.trace(between, 1.0, 1.0, optimize=optimize)
    value, gradient = program.value_and_grad(a, b, argnums=(0, 1))
    assert value == pytest.approx(between(a, b), rel=1e-12, abs=1e-12)
    both = grad_of(between, argnums=(0, 1))
    assert gradient == pytest.approx(both(a, b), rel=1e-12, abs=1e-12)
    for argnum in (0, 1):
        second = program.hvp(a, b, tangent=1.0, argnums=argnum)
        truth = grad_of(lambda *x, i=argnum: both(*x)[i], argnums=argnum)(a, b)
        assert second == pytest.approx(truth, rel=1e-12, abs=1e-12)


def test_lanes_of_a_traced_operation():
    a, b = np.linspace(-2.0, 2.0, 40), np.linspace(-1.0, 2.0, 40)
    program = ab.trace(lambda w, a, b: w * between(a, b), 1.0, 1.0, 1.0)
    assert program.map(2.0, a, b) == pytest.approx(
        [2.0 * between(*x) for x in zip(a, b, strict=True)]
    )


@given(st.floats(0.1, 50.0))
def test_a_traced_equation(a):
    def newton(a):
        y = a
        for _ in range(60):
            y -= (y * y - a) / (2.0 * y)
        return y

    program = ab.trace(implicit(lambda y, a: y * y - a, newton), 2.0)
    value, gradient = program.value_and_grad(a)
    second = program.hvp(a, tangent=1.0)
    assert (value, gradient, second) == pytest.approx((a**0.5, 0.5 * a**-0.5, -0.25 * a**-1.5))


def test_a_checkpoint_is_traced_through():
    program = ab.trace(checkpoint(lambda x: x.exp() * x), 1.0)
    assert program.value_and_grad(2.0) == pytest.approx((2.0 * math.exp(2.0), 3.0 * math.exp(2.0)))


def test_detached_values_follow_their_inputs_in_a_trace():
    program = ab.trace(lambda x: x * (3.0 * x).detach(), 1.0)
    assert program.value_and_grad(5.0) == (75.0, 15.0)


def test_what_no_derivative_needs_is_not_computed():
    program = ab.trace(slanted, 1.0, 1.0)
    assert "sin" in program.counts
    assert len(bare(program.instructions)) == 4  # two inputs, exp, *


def test_what_cannot_be_traced_says_why():
    with pytest.raises(TypeError, match=r"sin cannot be traced: .* functions of autograd_bp"):
        ab.trace(custom(math.sin, ab.cos), 1.0)
