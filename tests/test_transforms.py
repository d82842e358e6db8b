"""What the transformations promise: structures, closures, costs in calls and sweeps, errors."""

import math
import re
import threading
from collections import Counter, OrderedDict, namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_bp as ab
from autograd_bp import (
    Value,
    adjoint,
    gradients,
    hessian,
    hvp,
    jacobian,
    jvp,
    no_grad,
    topological_order,
    transforms,
    value_and_grad,
    vjp,
    watch,
)
from autograd_bp import (
    grad as grad_of,
)

Point = namedtuple("Point", "x y")


def product(tree):
    """The product of the numbers of a tree, whatever its containers."""
    if isinstance(tree, (float, int, Value)):
        return tree
    if isinstance(tree, np.ndarray):
        return math.prod(tree.ravel().tolist())
    parts = tree.values() if isinstance(tree, dict) else tree
    return math.prod(map(product, parts))


# --- structures ----------------------------------------------------------------------------------

TREES = {
    "number": (3.0, 1.0),
    "int": (3, 1.0),
    "list": ([2.0, 3.0], [3.0, 2.0]),
    "tuple": ((2.0, 3), (3.0, 2.0)),
    "tuple of one": ((5.0,), (1.0,)),
    "namedtuple": (Point(2.0, 3.0), Point(3.0, 2.0)),
    "dict": ({"b": 2.0, "a": 3.0}, {"b": 3.0, "a": 2.0}),
    "ordered dict": (OrderedDict(b=2.0, a=3.0), OrderedDict(b=3.0, a=2.0)),
    "nested": ({"w": [(2.0, 3.0), [5.0]]}, {"w": [(15.0, 10.0), [6.0]]}),
    "with empty parts": ({"w": [], "b": (2.0, {})}, {"w": [], "b": (1.0, {})}),
    "numpy scalars": ([np.float64(2.0), np.float32(3.0), np.int64(5)], [15.0, 10.0, 6.0]),
    "one numpy scalar": (np.float32(2.0), 1.0),
    "0-d array": (np.array(3.0), np.array(1.0)),
    "1-d array": (np.array([2.0, 3.0]), np.array([3.0, 2.0])),
    "2-d array": (np.array([[2.0], [3.0]]), np.array([[3.0], [2.0]])),
    "int array": (np.array([2, 3]), np.array([3.0, 2.0])),
    "object array": (np.array([2.0, 3], dtype=object), np.array([3.0, 2.0])),
    "transposed view": (np.array([[2.0, 3.0], [5.0, 7.0]]).T, np.array([[105.0, 42], [70, 30]])),
    "empty array": ([np.zeros((0, 3)), 2.0], [np.zeros((0, 3)), 1.0]),
    "array in a tree": ({"w": np.array([2.0, 3.0]), "b": 5.0}, {"w": np.array([15.0, 10]), "b": 6}),
}


def assert_same_tree(got, expected):
    assert type(got) is type(expected) or isinstance(expected, (int, float)), (got, expected)
    if isinstance(expected, dict):
        assert list(got) == list(expected)
        for key in expected:
            assert_same_tree(got[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(got) == len(expected)
        for a, b in zip(got, expected, strict=True):
            assert_same_tree(a, b)
    elif isinstance(expected, np.ndarray):
        assert (got.dtype, got.shape) == (np.dtype(float), expected.shape)
        np.testing.assert_array_equal(got, expected)
    else:
        assert type(got) is float
        assert got == expected


@pytest.mark.parametrize(("tree", "expected"), TREES.values(), ids=TREES)
def test_a_gradient_has_the_structure_of_the_argument(tree, expected):
    assert_same_tree(grad_of(product)(tree), expected)
    value, derivative = value_and_grad(product)(tree)
    assert type(value) is float
    assert_same_tree(derivative, expected)
    _, pull_back = vjp(product, tree)
    assert_same_tree(pull_back(1.0), (expected,))
    assert_same_tree(jacobian(product)(tree), expected)
    # Along itself, a product of n numbers grows by n times itself.
    _, rate = jvp(product, (tree,), (tree,))
    assert rate == len(Counter(id(x) for x in _leaves(tree))) * value


def _leaves(tree):
    if isinstance(tree, np.ndarray):
        return [object() for _ in range(tree.size)]
    if isinstance(tree, (dict, list, tuple)):
        parts = tree.values() if isinstance(tree, dict) else tree
        return [leaf for part in parts for leaf in _leaves(part)]
    return [object()]


@pytest.mark.parametrize("kind", [float, np.float64, np.float32, int, np.int64])
def test_a_cotangent_and_a_tangent_may_be_any_kind_of_number(kind):
    _, pull_back = vjp(lambda x: x * x, 3.0)
    assert pull_back(kind(1)) == (6.0,)
    assert jvp(lambda x: x * x, (3.0,), (kind(1),))[1] == 6.0
    assert hvp(lambda x: x * x, (3.0,), (kind(1),)) == (2.0,)


def test_empty_structures():
    assert grad_of(lambda x: 1.0)([]) == []
    assert hessian(lambda x: 1.0)([]) == []
    assert jacobian(lambda x: [1.0, 2.0])([]) == [[], []]
    assert jacobian(lambda x: [])([1.0]) == []
    assert jvp(lambda x: [], ([1.0],), ([1.0],)) == ([], [])
    assert vjp(lambda x: {}, [1.0])[1]({}) == ([0.0],)
    assert hvp(lambda x: 1.0, ([],), ([],)) == ([],)
    assert hessian(lambda x: 1.0)(np.zeros((2, 0))).shape == (2, 0, 2, 0)


def test_blocks_of_a_jacobian():
    """Arrays of shapes s and t give one of shape s + t; containers nest, the result's outside."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 3)), rng.normal(size=3)

    def f(p):
        return {"y": p["a"] @ p["b"], "s": [p["b"][0] * 2.0]}

    j = jacobian(f)({"a": a, "b": b})
    np.testing.assert_array_equal(j["y"]["a"], np.einsum("ij,k->ijk", np.eye(2), b))
    np.testing.assert_array_equal(j["y"]["b"], a)
    np.testing.assert_array_equal(j["s"][0]["a"], np.zeros((2, 3)))
    np.testing.assert_array_equal(j["s"][0]["b"], [2.0, 0.0, 0.0])

    h = hessian(lambda p: (p["a"] @ p["b"]).sum() + p["b"][1] ** 2)({"a": a, "b": b})
    np.testing.assert_array_equal(h["a"]["a"], np.zeros((2, 3, 2, 3)))
    np.testing.assert_array_equal(h["a"]["b"], np.array([np.eye(3)] * 2))
    np.testing.assert_array_equal(h["b"]["a"], np.transpose(h["a"]["b"], (2, 0, 1)))
    np.testing.assert_array_equal(h["b"]["b"], np.diag([0.0, 2.0, 0.0]))


def test_a_0d_array_as_result():
    """NumPy gives one at times, for instance from where; it is one number."""
    assert grad_of(lambda x: np.where(x > 0, x, -x))(np.array(-2.0)) == -1.0


# --- what may be differentiated, and what is a constant ------------------------------------------


def test_argnums():
    def f(a, b, c):
        return a * b**2 * c**3

    assert grad_of(f)(2.0, 3.0, 5.0) == 9.0 * 125.0
    assert grad_of(f, 1)(2.0, 3.0, 5.0) == 2.0 * 6.0 * 125.0
    assert grad_of(f, -1)(2.0, 3.0, 5.0) == 18.0 * 75.0
    assert grad_of(f, (2, 0))(2.0, 3.0, 5.0) == (18.0 * 75.0, 9.0 * 125.0)
    assert grad_of(f, [0])(2.0, 3.0, 5.0) == (9.0 * 125.0,)
    assert grad_of(f, ())(2.0, 3.0, 5.0) == ()
    assert jacobian(f, (-1, 1))(2.0, 3.0, 5.0) == (18.0 * 75.0, 2.0 * 6.0 * 125.0)
    assert hessian(f, 1)(2.0, 3.0, 5.0) == 2.0 * 2.0 * 125.0
    assert hessian(f, -2)(2.0, 3.0, 5.0) == 2.0 * 2.0 * 125.0


@pytest.mark.parametrize("argnums", [(0, 0), (0, -1), (0, 1, -1)])
def test_no_argument_is_differentiated_twice(argnums):
    """It would get the derivative once, and 0 the other time."""
    args = (2.0,) * (max(argnums) + 1)
    for transformation in (grad_of, value_and_grad, jacobian):
        with pytest.raises(ValueError, match="argnums"):
            transformation(lambda *x: x[0] * x[-1], argnums)(*args)


def test_a_hessian_of_several_arguments_is_given_or_refused():
    def f(a, b):
        return a * a * b

    try:
        blocks = hessian(f, (0, 1))(3.0, 5.0)
    except (TypeError, ValueError) as error:
        assert "argnums" in str(error)  # noqa: PT017
    else:
        assert blocks == ((10.0, 6.0), (6.0, 0.0))


def test_other_arguments_pass_untouched():
    marker = object()

    def f(x, other, *rest, key):
        assert other is marker
        assert rest == ("text", None)
        assert key == {"k": "v"}
        return x * x

    for transformed in (grad_of(f), jacobian(f)):
        assert transformed(3.0, marker, "text", None, key={"k": "v"}) == 6.0
    assert hessian(f)(3.0, marker, "text", None, key={"k": "v"}) == 2.0
    assert value_and_grad(f)(3.0, marker, "text", None, key={"k": "v"}) == (9.0, 6.0)


def test_has_aux():
    aux = object()

    def f(x):
        return x * x, aux

    assert grad_of(f, has_aux=True)(3.0) == (6.0, aux)
    assert value_and_grad(f, has_aux=True)(3.0) == ((9.0, aux), 6.0)
    assert value_and_grad(f, (0,), has_aux=True)(3.0) == ((9.0, aux), (6.0,))


def test_aux_inside_another_transformation_is_differentiated_too():
    def outer(x):
        derivative, extra = grad_of(lambda y: (y**3, x * y), has_aux=True)(x)
        return derivative + extra  # 3x² + x·x

    assert grad_of(outer)(2.0) == 16.0


def test_a_value_from_outside_is_a_constant():
    w = Value(5.0, "w")
    w.grad = 0.25
    scaled = w * 2.0

    def f(x):
        return scaled * x * x + w

    assert value_and_grad(f)(3.0) == (95.0, 60.0)
    assert jacobian(lambda x: [f(x), w])(3.0) == [60.0, 0.0]
    assert hessian(f)(3.0) == 20.0
    assert hvp(f, (3.0,), (0.5,)) == (10.0,)
    assert jvp(f, (3.0,), (0.5,)) == (95.0, 30.0)
    assert vjp(f, 3.0)[1](0.5) == (30.0,)
    assert value_and_grad(lambda x: w)(3.0) == (5.0, 0.0)
    assert (w.grad, scaled.grad, w.parents, scaled.parents) == (0.25, 0.0, (), (w,))


def test_an_argument_that_holds_a_value_makes_the_derivative_a_graph():
    x, c = Value(2.0, "x"), Value(5.0, "c")
    (first, plain) = grad_of(lambda p: p[0] ** 3 * p[1] * c)([x, 3.0])
    assert (first.data, plain.data) == (180.0, 40.0)
    assert gradients(first, [x, c]) == [180.0, 36.0]  # 18xc and 9x²
    assert (x.grad, c.grad) == (0.0, 0.0)
    first.backward()
    assert (x.grad, c.grad) == (180.0, 36.0)


def test_no_transformation_leaves_gradients_on_nodes():
    made = []
    with watch(made.append):
        value_and_grad(lambda x: ab.sin(x[0]) * x[1])([1.0, 2.0])
        hessian(lambda x: ab.sin(x[0]) * x[1])([1.0, 2.0])
        jacobian(grad_of(lambda x: ab.sin(x[0]) * x[1]))([1.0, 2.0])
    assert made
    assert {node.grad for node in made} == {0.0}


@pytest.mark.parametrize("constant", [4.0, 4, np.float64(4.0), np.int64(4), Value(4.0)])
def test_a_function_that_does_not_depend_on_its_argument(constant):
    def f(x):
        return constant

    assert value_and_grad(f)([1.0, 2.0]) == (4.0, [0.0, 0.0])
    assert type(value_and_grad(f)(1.0)[0]) is float
    assert jacobian(lambda x: [constant, x])(1.0) == [0.0, 1.0]
    assert hessian(f)([1.0, 2.0]) == [[0.0, 0.0], [0.0, 0.0]]
    assert hvp(f, (1.0,), (1.0,)) == (0.0,)
    assert jvp(f, (1.0,), (1.0,)) == (4.0, 0.0)
    assert vjp(f, 1.0)[1](2.0) == (0.0,)
    assert grad_of(grad_of(f))(1.0) == 0.0
    assert grad_of(lambda x: grad_of(f)(x) + x)(1.0) == 1.0


def test_the_identity_and_repeated_results():
    assert value_and_grad(lambda x: x)(3.0) == (3.0, 1.0)
    assert jacobian(lambda x: [x[1], x[0], x[1]])([2.0, 3.0]) == [[0.0, 1.0], [1.0, 0.0], [0, 1]]
    assert vjp(lambda x: [x, x, 2.0 * x], 3.0)[1]([1.0, 10.0, 100.0]) == (211.0,)
    assert hessian(lambda x: x)(3.0) == 0.0
    assert grad_of(grad_of(lambda x: x))(3.0) == 0.0


def test_under_no_grad_a_derivative_is_right_or_refused():
    """0.0 would be a wrong number."""
    with no_grad():
        try:
            found = [
                grad_of(lambda x: x * x)(3.0),
                jacobian(lambda x: x * x)(3.0),
                jvp(lambda x: x * x, (3.0,), (1.0,))[1],
            ]
        except RuntimeError as error:
            assert "no_grad" in str(error)  # noqa: PT017
        else:
            assert found == [6.0, 6.0, 6.0]


def test_under_no_grad_in_another_transformation_a_derivative_is_a_constant():
    def f(x):
        with no_grad():
            frozen = grad_of(lambda y: y**3)(x) + hessian(lambda y: y**3)(x)
        return x * frozen

    assert grad_of(f)(2.0) == 12.0 + 12.0


VERBS = [
    grad_of, value_and_grad, vjp, jvp, jacobian, hessian, hvp, gradients, ab.custom, ab.implicit,
    ab.checkpoint, ab.check_grads,
]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_each_verb_states_its_cost_and_has_an_example(verb):
    assert ">>>" in verb.__doc__
    assert re.search(r"\bcosts?\b", verb.__doc__, re.IGNORECASE)


def test_no_grad_within_the_function_makes_a_constant():
    def f(x):
        with no_grad():
            frozen = x * 1.0
        return x * frozen

    assert grad_of(f)(3.0) == 3.0


def test_the_function_keeps_its_name_and_document():
    def cost(x):
        """What is paid."""
        return x

    for transformation in (grad_of, value_and_grad, jacobian, hessian):
        assert transformation(cost).__name__ == "cost"
        assert transformation(cost).__doc__ == "What is paid."


def test_a_pull_back_serves_many_times():
    y, pull_back = vjp(lambda a, b: {"p": a * b, "s": a + b}, 2.0, 3.0)
    assert y == {"p": 6.0, "s": 5.0}
    for _ in range(2):
        assert pull_back({"p": 1.0, "s": 0.0}) == (3.0, 2.0)
        assert pull_back({"p": 0.0, "s": -2.0}) == (-2.0, -2.0)
    seed = Value(2.0)
    (da, _) = pull_back({"p": seed, "s": 0.0})
    assert gradients(da, [seed]) == [3.0]


def test_a_tangent_may_be_a_value():
    t = Value(2.0)
    y, rate = jvp(lambda x: x**3, (2.0,), (t,))
    assert (y, rate.data) == (8.0, 24.0)
    assert gradients(rate, [t]) == [12.0]
    (product,) = hvp(lambda x: x**3, (2.0,), (t,))
    assert gradients(product, [t]) == [12.0]


# --- gradients of nodes --------------------------------------------------------------------------


def test_gradients_of_nodes():
    x, y, z = Value(2.0), Value(3.0), Value(4.0)
    u = x * y
    v = u * u + x
    assert gradients(v, [x, y, z, u, v]) == [2 * 6 * 3 + 1, 24.0, 0.0, 12.0, 1.0]
    assert gradients(v, [x, u, x], seed=0.5) == [18.5, 6.0, 18.5]
    assert gradients(v, []) == []
    assert {n.grad for n in (x, y, z, u, v)} == {0.0}
    graphs = gradients(v, [x, y, z, u], create_graph=True)
    assert [getattr(g, "data", g) for g in graphs] == [37.0, 24.0, 0.0, 12.0]
    seed = Value(0.5)
    (g,) = gradients(v, [u], seed=seed)
    assert gradients(g, [seed, u]) == [12.0, 1.0]


def test_create_graph_gives_what_backward_gives():
    x, y = Value(2.0), Value(3.0)
    z = ab.sin(x * y) / y
    z.backward(seed=2.0)
    plain = [x.grad, y.grad]
    ab.zero_grad([x, y])
    z.backward(seed=2.0, create_graph=True)
    assert [x.grad.data, y.grad.data] == plain
    assert all(isinstance(node.grad, Value) for node in topological_order(z))
    z.backward(seed=2.0, create_graph=True)  # leaves add up, as ever
    assert [x.grad.data, y.grad.data] == [2 * g for g in plain]
    z.backward(seed=2.0)
    assert isinstance(z.grad, float)
    ab.zero_grad([x, y])
    assert (x.grad, y.grad) == (0.0, 0.0)


def test_a_gradient_penalty():
    """∂/∂w of (∂y/∂x)² with y = w·x², the use that create_graph is made for."""
    w, x = Value(3.0), Value(2.0)
    y = w * x * x
    (dx,) = gradients(y, [x], create_graph=True)
    (dx * dx).backward()
    assert (w.grad, x.grad) == (2 * 12.0 * 4.0, 2 * 12.0 * 6.0)


# --- identities ----------------------------------------------------------------------------------

numbers = st.floats(-2, 2)
vectors = st.lists(numbers, min_size=3, max_size=3)


def curved(x):
    """A function of three numbers with a full Hessian."""
    a, b, c = x
    return ab.sin(a * b) * ab.exp(-c * c) + ab.logsumexp([a, b * c, c]) + ab.softplus(a - b) * c


def several(x):
    a, b, c = x
    return [ab.tanh(a * b), b / (1.0 + c * c), ab.atan2(a, c * c + 1.0), a * b * c, a]


close = {"rtol": 1e-12, "atol": 1e-12}


@given(vectors, vectors)
def test_hessians_and_products(x, v):
    h = np.array(hessian(curved)(x))
    np.testing.assert_allclose(h, h.T, **close)
    np.testing.assert_allclose(h, jacobian(grad_of(curved))(x), **close)
    np.testing.assert_allclose(hvp(curved, (x,), (v,))[0], h @ v, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(jvp(grad_of(curved), (x,), (v,))[1], h @ v, rtol=1e-11, atol=1e-11)


@given(vectors)
def test_forward_and_reverse_give_the_same_jacobian(x):
    for f in (several, lambda x: several(x)[:2]):  # more results than inputs, and fewer
        outputs, pull_back = vjp(f, x)
        units = np.eye(len(outputs)).tolist()
        rows = [pull_back(unit)[0] for unit in units]
        columns = [jvp(f, (x,), (unit,))[1] for unit in np.eye(3).tolist()]
        np.testing.assert_allclose(rows, np.transpose(columns), **close)
        np.testing.assert_allclose(jacobian(f)(x), rows, **close)


@given(vectors, vectors, st.lists(numbers, min_size=5, max_size=5))
def test_forward_and_reverse_are_transposes(x, v, u):
    """u·(Jv) = (uᵀJ)·v."""
    _, moved = jvp(several, (x,), (v,))
    (pulled,) = vjp(several, x)[1](u)
    assert np.dot(u, moved) == pytest.approx(np.dot(pulled, v), rel=1e-12, abs=1e-12)


# --- costs, in calls, sweeps and nodes -----------------------------------------------------------


def chain(x):
    """50 nodes for each input."""
    for _ in range(10):
        x = [ab.tanh(a * b + c) * 0.9 - 0.1 for a, b, c in zip(x, x[1:] + x[:1], x, strict=True)]
    return x


@pytest.fixture
def sweeps(monkeypatch):
    """How often each kind of sweep over a tape was made, as a Counter."""
    count = Counter()

    class Counting:
        def __init__(self, *args):
            count["recordings"] += 1
            self.tape = tape(*args)

        def __getattr__(self, name):
            count[name] += 1
            return getattr(self.tape, name)

    tape = transforms.Tape
    monkeypatch.setattr(transforms, "Tape", Counting)
    return count


N = 7
AT = [0.1 * i for i in range(N)]

COSTS = {
    "grad": (lambda f: grad_of(lambda x: ab.sum_of(f(x)))(AT), {"pull_back": 1}),
    "value_and_grad": (lambda f: value_and_grad(lambda x: f(x)[0])(AT), {"pull_back": 1}),
    "jacobian, wide": (lambda f: jacobian(lambda x: f(x)[:2])(AT), {"pull_back": 2}),
    "jacobian, square": (lambda f: jacobian(f)(AT), {"pull_back": N}),
    "jacobian, tall": (
        lambda f: jacobian(lambda x: f(x * 4)[: N + 1])(AT[:2]),
        {"push_forward": 2},
    ),
    "jvp": (lambda f: jvp(f, (AT,), (AT,)), {"push_forward": 1}),
    "vjp": (lambda f: [vjp(f, AT)[1](AT)], {"pull_back": 1}),
    "hessian": (lambda f: hessian(lambda x: f(x)[0])(AT), {"curve": N}),
    "hvp": (lambda f: hvp(lambda x: f(x)[0], (AT,), (AT,)), {"curve": 1}),
}


@pytest.mark.parametrize(("transformed", "expected"), COSTS.values(), ids=COSTS)
def test_one_call_of_the_function_and_so_many_sweeps(sweeps, transformed, expected):
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        return chain(x)

    transformed(f)
    assert calls == 1
    assert sweeps == {"recordings": 1, **expected}


def nodes_made(f):
    """How many operations were recorded."""
    made = 0

    def count(node):
        nonlocal made
        made += not node.is_leaf

    with watch(count):
        f()
    return made


@pytest.mark.parametrize("n", [2, 8, 32])
def test_a_transformation_of_numbers_makes_no_more_nodes_than_its_function(n):
    at = [0.1 * i for i in range(n)]
    bare = nodes_made(lambda: chain([Value(x) for x in at]))
    for transformed in (
        lambda: jacobian(chain)(at),
        lambda: hessian(lambda x: chain(x)[0])(at),
        lambda: hvp(lambda x: chain(x)[0], (at,), (at,)),
        lambda: jvp(chain, (at,), (at,)),
    ):
        assert nodes_made(transformed) == bare


@pytest.mark.parametrize("n", [2, 8, 32])
def test_derivatives_as_graphs_are_linear_in_the_graph(n):
    """A gradient as a graph, and a Hessian-vector product as one: so many nodes for each node."""
    at = [0.1 * i for i in range(n)]

    def f(x):
        return ab.sum_of(chain(x))

    bare = nodes_made(lambda: f([Value(x) for x in at]))
    nested = [Value(x) for x in at]
    assert nodes_made(lambda: grad_of(f)(nested)) <= 4 * bare
    assert nodes_made(lambda: hvp(f, (nested,), (at,))) <= 12 * bare


def test_a_derivative_in_a_loop_does_not_walk_through_the_whole_past(monkeypatch):
    """Gradient descent, differentiated: twice the steps visit twice the nodes."""
    visited = 0
    walk = adjoint.consumers_first

    def counting(*roots_and_ends):
        nonlocal visited
        order = walk(*roots_and_ends)
        visited += len(order)
        return order

    monkeypatch.setattr(adjoint, "consumers_first", counting)

    def visits(steps):
        nonlocal visited
        visited = 0

        def descend(x):
            for _ in range(steps):
                x = x - 0.1 * grad_of(lambda x: ab.sin(x) * x)(x)
            return x

        grad_of(descend)(1.0)
        return visited

    assert visits(20) > 0
    assert visits(80) <= 2.2 * visits(40)


def test_threads_do_not_mix():
    w = Value(3.0)
    found = []

    def work(k):
        for _ in range(50):
            h = hessian(lambda x: w * x[0] ** 2 * x[1])([float(k), 2.0])
            found.append((k, h, grad_of(grad_of(lambda x: w * x**3))(float(k))))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 200
    for k, h, second in found:
        assert (h, second) == ([[12.0, 6.0 * k], [6.0 * k, 0.0]], 18.0 * k)


def test_no_recursion():
    def f(x):
        y = x
        for _ in range(50_000):
            y = ab.sin(y)
        return y * x

    first, second = grad_of(f)(0.5), hessian(f)(0.5)
    x = Value(0.5)
    (dx,) = gradients(f(x), [x], create_graph=True)
    assert dx.data == pytest.approx(first, rel=1e-12)
    assert gradients(dx, [x])[0] == pytest.approx(second, rel=1e-9)
    _, rate = jvp(f, (x,), (1.0,))
    assert rate.data == pytest.approx(first, rel=1e-12)


# --- errors teach --------------------------------------------------------------------------------


def identity(x):
    return x


ERRORS = {
    # what is wrong: what to do, the exception, and what its message must name
    "text": (lambda: grad_of(identity)("1.0"), TypeError, ["argument 0", "'1.0'", "str"]),
    "None in a list": (lambda: grad_of(sum)([1.0, None]), TypeError, ["argument 0", "None"]),
    "second argument": (
        lambda: grad_of(lambda a, b: a, argnums=1)(1.0, "b"), TypeError, ["argument 1", "'b'"],
    ),
    "bool": (lambda: grad_of(identity)(True), TypeError, ["argument 0", "True", "bool"]),
    "complex": (lambda: grad_of(identity)(1j), TypeError, ["argument 0", "1j", "real"]),
    "bool array": (lambda: grad_of(sum)(np.array([True])), TypeError, ["argument 0", "bool"]),
    "text array": (lambda: grad_of(sum)(np.array(["a"])), TypeError, ["argument 0", "'a'"]),
    "complex array": (lambda: grad_of(sum)(np.array([1j])), TypeError, ["argument 0", "1j"]),
    "result a list": (
        lambda: grad_of(lambda x: [x])(1.0), TypeError, ["one number", "list", "jacobian", "vjp"],
    ),
    "no result": (lambda: grad_of(lambda x: None)(1.0), TypeError, ["one number", "None"]),
    "result a function": (
        lambda: grad_of(lambda x: lambda y: x * y)(1.0), TypeError, ["one number", "function"],
    ),
    "result a tuple without has_aux": (
        lambda: value_and_grad(lambda x: (x, "extra"))(1.0), TypeError, ["one number", "has_aux"],
    ),
    "has_aux without aux": (
        lambda: grad_of(identity, has_aux=True)(1.0), TypeError, ["has_aux", "(y, aux)"],
    ),
    "has_aux with three": (
        lambda: grad_of(lambda x: (x, 1, 2), has_aux=True)(1.0), TypeError, ["has_aux"],
    ),
    "hessian of a list": (
        lambda: hessian(lambda x: x)([1.0]), TypeError, ["hessian", "one number"],
    ),
    "hvp of a list": (
        lambda: hvp(identity, ([1.0],), ([1.0],)), TypeError, ["hvp", "one number"],
    ),
    "jacobian of text": (
        lambda: jacobian(lambda x: ["a"])(1.0), TypeError, ["the result of f", "'a'"],
    ),
    "argnums beyond": (
        lambda: grad_of(identity, argnums=1)(1.0), ValueError, ["argnums", "1", "positional"],
    ),
    "argnums below": (lambda: grad_of(identity, -2)(1.0), ValueError, ["argnums", "-2"]),
    "argnums text": (lambda: grad_of(identity, "x")(1.0), ValueError, ["argnums", "'x'"]),
    "argnums broken": (
        lambda: grad_of(identity, 0.5)(1.0), (TypeError, ValueError), ["argnums", "0.5"],
    ),
    "argument by keyword": (
        lambda: grad_of(identity)(x=1.0), ValueError, ["argnums", "by position"],
    ),
    "tangents too many": (
        lambda: jvp(identity, (1.0,), (1.0, 2.0)), ValueError, ["tangents", "primals"],
    ),
    "tangents of another structure": (
        lambda: jvp(lambda x: x[0], ([1.0],), ((1.0,),)), ValueError, ["tangents", "structure"],
    ),
    "tangents of another shape": (
        lambda: hvp(lambda x: x.sum(), (np.ones(2),), (np.ones(3),)), ValueError, ["tangents"],
    ),
    "tangents that are text": (lambda: jvp(identity, (1.0,), ("a",)), TypeError, ["tangents"]),
    "primals no tuple": (lambda: jvp(identity, 1.0, 1.0), TypeError, ["primals", "1.0"]),
    "tangents no tuple": (lambda: jvp(identity, (1.0,), 1.0), TypeError, ["tangents", "1.0"]),
    "hvp, primals no tuple": (
        lambda: hvp(identity, 1.0, 1.0), TypeError, ["primals", "1.0"],
    ),
    "cotangent of another structure": (
        lambda: vjp(identity, [1.0])[1](1.0), ValueError, ["cotangent", "structure", "1.0"],
    ),
    "vjp of nothing but text": (lambda: vjp(identity, "a"), TypeError, ["argument 0", "'a'"]),
    "gradients of a number": (
        lambda: gradients(1.0, [Value(1.0)]), TypeError, ["gradients", "1.0", "grad(f)"],
    ),
    "gradients for a number": (
        lambda: gradients(Value(1.0), [2.0]), TypeError, ["xs", "2.0", "Values"],
    ),
    "gradients for one node": (
        lambda: gradients(Value(1.0), Value(2.0)), TypeError, ["xs", "[xs]"],
    ),
    "gradients with a seed of text": (
        lambda: gradients(Value(1.0), [Value(2.0)], seed="a"), TypeError, ["seed", "'a'"],
    ),
    "not a function": (lambda: grad_of(3.0)(1.0), TypeError, ["function", "3.0"]),
    "jacobian of no function": (lambda: jacobian(3.0)(1.0), TypeError, ["function", "3.0"]),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "kind", "named"), ERRORS.values(), ids=ERRORS)
def test_errors_teach(wrong, kind, named):
    with pytest.raises(kind) as caught:
        wrong()
    for words in named:
        assert words in str(caught.value)


def test_an_error_in_the_function_is_the_users_own():
    class MyError(Exception):
        pass

    def f(x):
        raise MyError("mine")

    for transformed in (grad_of(f), jacobian(f), hessian(f)):
        with pytest.raises(MyError, match="mine"):
            transformed(1.0)
    assert grad_of(lambda x: x * x)(3.0) == 6.0  # and nothing is left in disorder


def test_a_domain_error_names_the_operation():
    with pytest.raises(ValueError, match=r"log\(x\) is defined for x > 0; got x = -1.0"):
        grad_of(lambda x: ab.log(x))(-1.0)
