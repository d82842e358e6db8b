"""What an argument may be: one table of kinds, for every way into a program or a transformation."""

import re
from contextlib import nullcontext
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from autograd_bp import (
    Value,
    grad,
    hessian,
    jacobian,
    no_grad,
    scope,
    sum_of,
    value_and_grad,
    vjp,
)
from autograd_bp.program import jit, trace

HUGE = np.longdouble("1e400")

# A leaf, and what it is as a float or an array of floats; or what it is refused with.
KINDS = {
    "float": (5.0, 5.0),
    "int": (5, 5.0),
    "large int": (2**60, 2.0**60),
    "fraction": (Fraction(5, 2), 2.5),
    "nan": (float("nan"), float("nan")),
    "float64 of NumPy": (np.float64(5), 5.0),
    "float16 of NumPy": (np.float16(5), 5.0),
    "longdouble": (np.longdouble(5), 5.0),
    "int of NumPy": (np.int8(5), 5.0),
    "0-d array": (np.array(5.0), 5.0),
    "0-d array of ints": (np.array(5), 5.0),
    "array": (np.array([5.0, 6.0]), [5.0, 6.0]),
    "array of ints": (np.array([5, 6]), [5.0, 6.0]),
    "array of unsigned": (np.array([5, 6], np.uint64), [5.0, 6.0]),
    "array of float32": (np.array([5, 6], np.float32), [5.0, 6.0]),
    "array of longdouble": (np.array([5, 6], np.longdouble), [5.0, 6.0]),
    "array of objects": (np.array([5, Fraction(6)], object), [5.0, 6.0]),
    "array turned round": (np.array([6.0, 5.0])[::-1], [5.0, 6.0]),
    "array of big endians": (np.array([5.0, 6.0], ">f8"), [5.0, 6.0]),
    "int beyond floats": (10**400, OverflowError),
    "int of many digits": (10**5000, OverflowError),
    "fraction beyond floats": (Fraction(10**400), OverflowError),
    "longdouble beyond floats": (HUGE, OverflowError),
    "array beyond floats": (np.array([HUGE, 1.0]), OverflowError),
    "array of ints beyond floats": (np.array([10**400, 1], object), OverflowError),
    "masked array": (np.ma.array([5.0, 6.0], mask=[0, 1]), TypeError),
    "masked array, nothing masked": (np.ma.array([5.0, 6.0]), TypeError),
    "masked number": (np.ma.array(5.0), TypeError),
    "matrix": (np.matrix([[5.0, 6.0]]), TypeError),
    "record array": (np.rec.array([(5.0,), (6.0,)], dtype=[("a", float)]), TypeError),
    "bool": (True, TypeError),
    "bool of NumPy": (np.True_, TypeError),
    "array of bools": (np.array([True, False]), TypeError),
    "0-d array of bools": (np.array(True), TypeError),
    "array of bools as objects": (np.array([5.0, True], object), TypeError),
    "array of None": (np.array([5.0, None], object), TypeError),
    "array of text": (np.array(["5", "6"]), TypeError),
    "array of objects and text": (np.array([5.0, "6"], object), TypeError),
    "array of complex": (np.array([5j, 6.0]), TypeError),
    "array of dates": (np.array(["2020-01-01"] * 2, "M8[D]"), TypeError),
    "array of times": (np.array([1, 2], "m8[ns]"), TypeError),
    "structured array": (np.zeros(2, [("a", float)]), TypeError),
    "decimal": (Decimal(5), TypeError),
    "complex": (5j, TypeError),
    "text": ("5", TypeError),
    "bytes": (b"5", TypeError),
    "none": (None, TypeError),
    "date": (np.datetime64("2020-01-01"), TypeError),
    "time": (np.timedelta64(5), TypeError),
    "time in ns": (np.timedelta64(5, "ns"), TypeError),
    "object": (object(), TypeError),
}


def squares(x):
    """Σ xᵢ² over whatever was given."""
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, np.ndarray):
        x = x.ravel().tolist()
    return sum_of([v * v for v in x]) if isinstance(x, list) else x * x


def total(expected):
    return float(np.sum(np.square(expected)))


def doubled(expected):
    return 2.0 * np.asarray(expected)


# What a program of one number, of an array of two, and of a list or dict with such, is asked.
NUMBER = trace(lambda x: x * x, 1.0)
ARRAY = trace(lambda x: squares(x), np.ones(2))
WAYS = {
    "value": (lambda p, x: p.value(x), total),
    "value_and_grad": (lambda p, x: p.value_and_grad(x)[1], doubled),
    "jacobian": (lambda p, x: p.jacobian(x), lambda e: doubled(e).reshape(1, -1)),
    "hvp at it": (
        lambda p, x: p.hvp(x, tangent=1.0 if p is NUMBER else np.ones(2)),
        lambda e: doubled(np.ones_like(e)),
    ),
    "hvp along it": (lambda p, x: p.hvp(1.0 if p is NUMBER else np.ones(2), tangent=x), doubled),
    "grad of it": (lambda p, x: grad(p)(x), doubled),
    "vjp of it": (lambda p, x: vjp(p, x)[1](1.0)[0], doubled),
    "grad of it in no_grad": (lambda p, x: no_grad()(grad(p))(x), doubled),
    "hessian of it": (
        lambda p, x: hessian(p)(x),
        lambda e: 2.0 * np.eye(np.size(e)).reshape(2 * np.shape(e)),
    ),
}
OTHER_WAYS = {
    "grad": (lambda x: grad(squares)(x), doubled),
    "jacobian of a function": (lambda x: jacobian(squares)(x), doubled),
    "jit": (lambda x: jit(squares)(x), total),
    "trace": (lambda x: trace(squares, x).value(x), total),
    "in a list": (lambda x: trace(lambda y: squares(y[0]), [x]).value([x]), total),
    "in a dict": (lambda x: grad(lambda y: squares(y["a"]))({"a": x})["a"], doubled),
}


def refused(call, kind, name):
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert re.search(name, message), message
    assert any(mark in message for mark in (";", "Trace again", "use jit")), message


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_programs(kind, way):
    leaf, expected = KINDS[kind]
    call, right = WAYS[way]
    name = "tangent" if way == "hvp along it" else "argument 0|x must" if "of it" in way else "x"
    for program, shape in ((NUMBER, ()), (ARRAY, (2,))):
        if isinstance(expected, type):
            # Of another shape as well, either may be said first.
            refused(lambda p=program: call(p, leaf), (expected, ValueError), name)
        elif np.shape(expected) == shape:
            np.testing.assert_array_equal(call(program, leaf), right(expected))
        else:
            refused(lambda p=program: call(p, leaf), ValueError, name)


def structure(tree):
    """Types, shapes and the order of keys."""
    if isinstance(tree, dict):
        return type(tree), [(key, structure(x)) for key, x in tree.items()]
    if isinstance(tree, (list, tuple)):
        return type(tree), [structure(x) for x in tree]
    return type(tree), np.shape(tree)


TREES = [
    2.0, np.array(2.0), [2.0, 3.0], (2.0, 3.0), [np.array(2.0), 3.0],
    {"a": 2.0, "b": 3.0}, {"b": 3.0, "a": 2.0}, {"b": np.ones(2), "a": np.array(2.0)},
    [{"b": 3.0, "a": (2.0, {"d": 1.0, "c": 2.0})}], ({"d": np.ones((2, 2)), "c": 1.0}, 2.0),
]  # fmt: skip


def product(tree):
    """The last leaf counts for another than the others, so the order of keys is seen."""
    items = list(tree.values()) if isinstance(tree, dict) else tree
    if isinstance(items, (list, tuple)):
        first, *rest = map(product, items)
        return sum([2.0 * x for x in rest], first * first)
    return sum_of(np.ravel(items)) if np.shape(items) else items * items


def twins(tree):
    """Trees that differ in the order of keys, and in what is a number and what an array."""
    if isinstance(tree, dict):
        yield {key: tree[key] for key in reversed(tree)}
        return
    if isinstance(tree, (list, tuple)):
        yield type(tree)([next(twins(x)) for x in tree])
    else:
        yield (tree if np.ndim(tree) else np.array(tree) if type(tree) is float else tree.item())


@pytest.mark.parametrize("within", [nullcontext, no_grad, lambda: scope("s")])
@pytest.mark.parametrize("transform", [grad, value_and_grad])
@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_a_gradient_has_the_structure_of_the_argument_whatever_was_traced(tree, transform, within):
    jitted = jit(product)
    for argument in (tree, next(twins(tree)), tree):
        expected = transform(product)(argument)
        with within():
            found = transform(jitted)(argument)
        assert structure(found) == structure(expected)
        assert repr(found) == repr(expected)
    program = trace(product, tree)
    for argument in (tree, next(twins(tree))):
        with within():
            found = grad(program)(argument)
        assert structure(found) == structure(argument)


def test_a_jitted_function_sees_the_order_of_keys():
    first = jit(lambda tree, **named: [*tree.values(), *named.values()][::2])
    for tree in ({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}):
        for named in ({"c": 3.0, "d": 4.0}, {"d": 4.0, "c": 3.0}):
            assert first(tree, **named) == [*tree.values(), *named.values()][::2]
    assert len(first.programs) == 4


@pytest.mark.parametrize("way", OTHER_WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_functions(kind, way):
    leaf, expected = KINDS[kind]
    call, right = OTHER_WAYS[way]
    if way == "jit" and kind == "bool":
        expected = 1.0  # static, as the function has it
    if isinstance(expected, type):
        with pytest.raises(expected):
            call(leaf)
    else:
        np.testing.assert_array_equal(call(leaf), right(expected))


@pytest.mark.parametrize("kind", KINDS)
def test_leaves_of_lists_and_dicts(kind):
    leaf, expected = KINDS[kind]
    of_list = trace(lambda x: x[0] * x[1], [1.0, 1.0])
    of_dict = trace(lambda x: x["a"] * x["b"], {"a": 1.0, "b": 1.0})
    for program, argument in ((of_list, [leaf, 2.0]), (of_dict, {"a": leaf, "b": 2.0})):
        if isinstance(expected, float):
            np.testing.assert_array_equal(program.value(argument), 2.0 * expected)
        else:
            wrong = (expected, ValueError) if isinstance(expected, type) else ValueError
            refused(lambda p=program, a=argument: p.value(a), wrong, "x")


@pytest.mark.parametrize("kind", KINDS)
def test_lanes(kind):
    leaf, expected = KINDS[kind]
    for lanes, found in ((leaf, expected), ([leaf, 2.0], None)):
        if found is None:  # a list of numbers, as lanes
            found = [expected, 2.0] if isinstance(expected, float) else expected
            found = ValueError if isinstance(found, list) and np.ndim(expected) else found
        if isinstance(found, type):
            refused(lambda x=lanes: NUMBER.map(x), (found, ValueError), "x")
        elif np.ndim(found) == 0:
            with pytest.raises(ValueError, match="one axis more"):
                NUMBER.map(lanes)
        else:
            np.testing.assert_array_equal(NUMBER.map(lanes), np.square(found))


CONTAINERS = [[5.0, 6.0], (5.0, 6.0), {"a": 5.0, "b": 7.0}, [], [[5.0]], [5.0], {"a": 5.0}]


@pytest.mark.parametrize("tree", CONTAINERS, ids=repr)
def test_no_container_is_a_number(tree):
    for call, _ in WAYS.values():
        with pytest.raises(ValueError, match=f"a {type(tree).__name__} in place of a number"):
            call(NUMBER, tree)


def test_nested_lists_as_lanes():
    program = trace(lambda x: x[0] * x[1], [1.0, 1.0])
    assert program.map([[1, 2.0], (3.0, 4.0)]).tolist() == [2.0, 12.0]
    assert program.map([np.array([1, 2]), np.array([3.0, 4.0])]).tolist() == [2.0, 12.0]
    for wrong, kind in [
        ([[1.0, 2.0], [3.0]], ValueError),
        ([[1.0, True], [3.0, 4.0]], TypeError),
        ([np.ma.array([1.0, 2.0], mask=[0, 1])] * 2, TypeError),
        ([np.array([True, False])] * 2, TypeError),
        ([[1.0, None], [3.0, 4.0]], TypeError),
        ([{"a": 1.0, "b": 2.0}], (TypeError, ValueError)),
    ]:
        refused(lambda x=wrong: program.map(x), kind, "x")


def test_arrays_of_other_libraries_are_told_the_way():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(TypeError, match=r"np\.asarray\(x\)"):
        ARRAY.value(pandas.Series([5.0, 6.0]))


# --- options -------------------------------------------------------------------------------------

TWO = trace(lambda x, y: x * x * y, 1.0, 1.0)
GRADIENTS = {0: 12.0, 1: 4.0, -1: 4.0, (0, 1): (12.0, 4.0), (-1, 0): (4.0, 12.0), (1,): (4.0,)}


@pytest.mark.parametrize("argnums", GRADIENTS, ids=repr)
def test_argnums(argnums):
    def f(x, y):
        return x * x * y

    spellings = [argnums]
    if isinstance(argnums, int):
        spellings += [np.int64(argnums), np.int8(argnums)]
    else:
        spellings += [list(argnums), np.array(argnums), [np.int32(i) for i in argnums]]
    for spelling in spellings:
        assert TWO.value_and_grad(2.0, 3.0, argnums=spelling)[1] == GRADIENTS[argnums]
        assert grad(f, argnums=spelling)(2.0, 3.0) == GRADIENTS[argnums]
        assert jit(f).value_and_grad(2.0, 3.0, argnums=spelling)[1] == GRADIENTS[argnums]
        if isinstance(argnums, int):
            assert TWO.jacobian(2.0, 3.0, argnums=spelling).tolist() == [[GRADIENTS[argnums]]]
            second = {0: 6.0, 1: 0.0}[argnums % 2]
            assert TWO.hvp(2.0, 3.0, tangent=1.0, argnums=spelling) == second
            assert hessian(f, argnums=spelling)(2.0, 3.0) == second


@pytest.mark.parametrize(
    "argnums", [2, -3, True, False, 0.0, "0", None, (0, 0), (0, -2), (0, 2), [True], [0.0], {0}],
    ids=repr,
)  # fmt: skip
def test_argnums_that_name_nothing(argnums):
    for call in (
        lambda: TWO.value_and_grad(2.0, 3.0, argnums=argnums),
        lambda: TWO.jacobian(2.0, 3.0, argnums=argnums),
        lambda: TWO.hvp(2.0, 3.0, tangent=1.0, argnums=argnums),
        lambda: grad(lambda x, y: x * y, argnums=argnums)(2.0, 3.0),
    ):
        with pytest.raises(ValueError, match="argnums must name"):
            call()


def test_threads_and_reduce():
    X = np.arange(1000.0)
    for threads in (1, 2, np.int64(2)):
        assert NUMBER.map(X, reduce="sum", threads=threads) == np.sum(X * X)
    for threads in (0, -1, 1.5, 2.0, True, "2", None):
        with pytest.raises(ValueError, match="threads must be a whole number from 1 on"):
            NUMBER.map(X, threads=threads)
    for reduce in ("max", "Sum", "", 1, True):
        with pytest.raises(ValueError, match="reduce must be"):
            NUMBER.map(X, reduce=reduce)


def test_values_among_numbers():
    assert NUMBER.value(3.0) == 9.0
    assert float(np.asarray(ARRAY.value_and_grad(np.array([Value(5.0), 6.0]))[1][0])) == 10.0
