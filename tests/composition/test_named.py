"""The inputs of issue 15 that gave a wrong number without a word, each with its right value."""

import asyncio
import copy
import enum
import pickle
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import numpy as np
import pytest

import autograd_bp as ab
from autograd_bp import Value, grad, hessian, hvp, jacobian, jit, jvp, no_grad, trace, vjp
from nn import MLP, Module, fit, mse

REFUSED = (TypeError, ValueError, RuntimeError, AttributeError)
# --- 1. contexts meeting a trace -----------------------------------------------------------------


def test_jit_first_called_within_no_grad():
    f = jit(lambda x: x * x)
    with no_grad():
        assert f(2.0) == 4.0
    assert f(5.0) == 25.0
    assert f.value_and_grad(5.0) == (25.0, 10.0)
    assert grad(f)(5.0) == 10.0


def test_trace_within_no_grad():
    with no_grad():
        program = trace(lambda x: x * x, 2.0)
    assert program(5.0) == 25.0
    assert program.value_and_grad(5.0) == (25.0, 10.0)


def test_a_model_first_used_for_prediction():
    model = MLP(2, [3, 1], seed=0)
    f = jit(lambda x: model(x))
    with no_grad():
        f([1.0, 2.0])
    x = [0.5, -1.0]
    y = f(x)  # a graph, as the model's weights are Values from outside
    assert y.data == pytest.approx(model(x).data, rel=1e-12)
    y.backward()
    assert all(w.grad != 0.0 for w in model.parameters()[-2:])
    np.testing.assert_allclose(f.value_and_grad(x)[1], grad(lambda x: model(x))(x), rtol=1e-12)


@pytest.mark.parametrize("make", [jit, lambda f: trace(f, 2.0)], ids=["jit", "trace"])
def test_a_function_decorated_with_no_grad_acts_as_detach_in_a_trace(make):
    @no_grad()
    def square(x):
        return x * x

    f = make(lambda x: square(x) * x)
    assert f(2.0) == 8.0
    assert f(5.0) == 125.0
    assert f.value_and_grad(5.0) == (125.0, 25.0)
    assert grad(lambda x: square(x) * x)(5.0) == 25.0


def test_fit_within_no_grad_is_refused():
    model = MLP(1, [2, 1], seed=0)
    with no_grad(), pytest.raises(REFUSED, match="no_grad"):
        fit(model, [[0.0], [1.0]], [0.0, 1.0], loss=mse, epochs=1, progress=False)


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_fit_of_an_estimator_within_no_grad_is_refused(name):
    sklearn = pytest.importorskip("nn.sklearn")
    estimator = getattr(sklearn, name)()
    with no_grad(), pytest.raises(REFUSED, match="no_grad"):
        estimator.fit(np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 1, 0, 1]))


class _Seen:
    """Which nodes a watcher was shown."""

    def __init__(self):
        self.nodes = []

    def is_on(self):
        before = len(self.nodes)
        Value(1.0) * 2.0
        return len(self.nodes) > before


def _raises_anomaly():
    x = Value(1e200)
    try:
        x * x
    except FloatingPointError:
        return True
    return False


def _contexts():
    seen = _Seen()
    return {
        "no_grad": (no_grad, lambda: (Value(1.0) * 2.0).is_leaf),
        "scope": (lambda: ab.scope("s"), lambda: (Value(1.0) * 2.0).scope == "s"),
        "watch": (lambda: ab.watch(seen.nodes.append), seen.is_on),
        "detect_anomaly": (ab.detect_anomaly, _raises_anomaly),
    }


@pytest.fixture(params=_contexts())
def context(request):
    """How to make one of the contexts, and what tells whether it is open."""
    return _contexts()[request.param]


def test_a_context_is_usable_twice_and_within_itself(context):
    make, is_on = context
    one = make()
    for _ in range(2):
        with one:
            assert is_on()
            with one:
                assert is_on()
            assert is_on()
        assert not is_on()


def test_a_context_decorates_functions(context):
    make, is_on = context

    @make()
    def f():
        return is_on()

    assert f()
    assert f()
    assert not is_on()


def test_a_context_decorates_generators(context):
    make, is_on = context

    @make()
    def f():
        yield is_on()
        yield is_on()

    run = f()
    assert next(run)
    assert not is_on(), "a paused generator switches its caller"
    assert next(run)
    assert list(f()) == [True, True]
    assert not is_on()


def test_a_context_decorates_async_functions(context):
    make, is_on = context

    @make()
    async def f():
        await asyncio.sleep(0)
        return is_on()

    async def both():
        inside, outside = await asyncio.gather(f(), _asked(is_on))
        return inside, outside, is_on()

    assert asyncio.run(both()) == (True, False, False)


async def _asked(is_on):
    await asyncio.sleep(0)
    return is_on()


def test_a_context_on_a_class_is_told(context):
    make, _ = context
    with pytest.raises(TypeError, match="class"):

        @make()
        class Decorated:
            pass


@pytest.mark.parametrize("order", ["abab", "abba", "aabb", "baab"])
def test_paused_generators_resumed_in_any_order(context, order):
    make, is_on = context

    @make()
    def paused():
        yield is_on()
        yield is_on()

    runs = {"a": paused(), "b": paused()}
    for name in order:
        assert next(runs[name])
        assert not is_on()
    for run in runs.values():
        assert next(run, None) is None
        assert not is_on()


def _in_thread(f, *args):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(f, *args).result()


def test_a_derivative_in_a_pool_thread_within_a_derivative():
    assert grad(lambda x: _in_thread(grad(lambda y: x * y**2), 3.0))(1.0) == 6.0


def test_a_derivative_in_a_task_within_a_derivative():
    async def inner(x):
        return grad(lambda y: x * y**2)(3.0)

    assert grad(lambda x: asyncio.run(inner(x)))(1.0) == 6.0


def right_or_refused(f, *points):
    """``points`` are arguments and right values; an error must be ours, and come every time."""
    outcomes = []
    for x, y in points:
        try:
            outcomes.append(f(x) == y)
        except REFUSED as error:
            outcomes.append(str(error))
    assert all(y is True for y in outcomes) or all(isinstance(y, str) for y in outcomes), outcomes


def test_where_in_a_pool_thread_within_a_trace():
    f = jit(lambda x: _in_thread(lambda: ab.where(x > 0, 2.0 * x, -x)))
    right_or_refused(f, (3.0, 6.0), (-5.0, 5.0))


def test_a_traced_value_outside_of_its_trace_raises():
    leaked = []

    def f(x):
        leaked.append(x * 2.0)
        return x

    trace(f, 1.0)
    with pytest.raises(REFUSED, match="trace"):
        leaked[0] * 3.0


# --- 2. programs and jitted functions as operations ----------------------------------------------


def cube(x):
    return x**3


@pytest.mark.parametrize("make", [jit, lambda f: trace(f, 1.0)], ids=["jit", "trace"])
def test_derivatives_of_a_program(make):
    p = make(cube)
    assert grad(p)(2.0) == 12.0
    assert jvp(p, (2.0,), (1.0,)) == (8.0, 12.0)
    assert hessian(p)(2.0) == 12.0
    assert hvp(p, (2.0,), (1.0,)) == (12.0,)
    assert jacobian(p)(2.0) == 12.0
    y, pull_back = vjp(p, 2.0)
    assert (y, pull_back(1.0)) == (8.0, (12.0,))
    x = Value(2.0)
    p(x).backward()
    assert x.grad == 12.0
    (first,) = ab.gradients(p(x), [x], create_graph=True)
    assert ab.gradients(first, [x]) == [12.0]


def test_a_program_called_in_a_trace():
    p = trace(cube, 1.0)
    q = trace(lambda x: p(x) * x, 1.0)
    assert q(2.0) == 16.0
    assert q.value_and_grad(2.0) == (16.0, 32.0)


def test_grad_of_jit_value_and_grad():
    assert grad(lambda x: jit(cube).value_and_grad(x)[1])(2.0) == 12.0


def test_jit_sees_what_it_closes_over():
    assert grad(lambda x: jit(lambda y: x * y)(2.0))(3.0) == 2.0


def test_transformations_and_jit_in_every_order():
    assert grad(jit(cube))(2.0) == 12.0
    assert hessian(jit(cube))(2.0) == 12.0
    for f in (jit(grad(cube)), jit(grad(jit(cube))), jit(jit(grad(cube)))):
        assert (f(2.0), f(3.0)) == (12.0, 27.0)
    assert jit(jit(cube))(2.0) == 8.0


def test_fit_of_a_model_that_calls_a_jitted_function():
    @jit
    def squash(x):
        return x * ab.sigmoid(x)

    class Model(Module):
        def __init__(self, squash):
            self.mlp = MLP(1, [2, 1], seed=0)
            self.squash = squash

        def __call__(self, x):
            return self.squash(self.mlp(x))

        def parameters(self):
            return self.mlp.parameters()

    X, y = [[0.0], [1.0], [2.0]], [0.0, 0.5, 1.5]
    models = Model(squash), Model(lambda x: x * ab.sigmoid(x))
    before = [w.data for w in models[0].parameters()]
    for model in models:
        fit(model, X, y, loss=mse, epochs=3, progress=False)
    after, plainly = ([w.data for w in model.parameters()] for model in models)
    assert after != before
    np.testing.assert_allclose(after, plainly, rtol=1e-9)


@pytest.mark.parametrize(
    ("derivative", "true"),
    [
        (lambda f: grad(f)(3.0), lambda x: 6 * x),
        (lambda f: jvp(f, (3.0,), (1.0,))[1], lambda x: 6 * x),
        (lambda f: vjp(f, 3.0)[1](1.0)[0], lambda x: 6 * x),
        (lambda f: jacobian(f)(3.0), lambda x: 6 * x),
        (lambda f: hessian(f)(3.0), lambda x: 2 * x),
        (lambda f: hvp(f, (3.0,), (1.0,))[0], lambda x: 2 * x),
    ],
    ids=["grad", "jvp", "vjp", "jacobian", "hessian", "hvp"],
)
def test_a_derivative_at_a_plain_point_within_a_trace(derivative, true):
    f = jit(lambda x: derivative(lambda y: x * y**2))
    assert [f(2.0), f(5.0)] == [true(2.0), true(5.0)]


def _backward(x):
    y = x * x
    y.backward()
    return x.grad * 1.0


READS = {
    "data": (lambda x: x * x.data, lambda x: x * x),
    "grad": (_backward, lambda x: 2 * x),
    "local_grads": (lambda x: (x * x * x).local_grads[0] * x, lambda x: x * x),
    "gradients": (lambda x: ab.gradients(x * x, [x])[0] * 1.0, lambda x: 2 * x),
    "==": (lambda x: ab.where(x == 2.0, 10.0, x), lambda x: 10.0 if x == 2.0 else x),
    "!=": (lambda x: ab.where(x != 2.0, 10.0, x), lambda x: 10.0 if x != 2.0 else x),
    "if ==": (lambda x: x if x == 2.0 else x * 3.0, lambda x: x if x == 2.0 else x * 3.0),
    "in": (lambda x: x if x in (2.0, 7.0) else x * 3.0, lambda x: x if x == 2.0 else x * 3.0),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("first", [2.0, 5.0])
def test_what_is_read_of_a_traced_value(name, first):
    f, true = READS[name]
    right_or_refused(jit(f), *((x, true(x)) for x in (first, 2.0, 5.0)))


@pytest.mark.parametrize("op", ["==", "!="])
def test_equality_with_a_number_is_a_node_in_a_trace(op):
    """So it must not be refused."""
    f, true = READS[op]
    assert [jit(f)(x) for x in (2.0, 5.0)] == [true(2.0), true(5.0)]
    assert trace(f, 5.0)(2.0) == true(2.0)


def test_equality_is_identity_outside_of_a_trace():
    x = Value(2.0)
    twin = Value(2.0)
    assert [x == x, x == 2.0, x == twin] == [True, False, False]
    assert [x != x, x != 2.0, x != twin] == [False, True, True]


@pytest.mark.parametrize("first", [[0.0, 2.0], [3.0, 0.0]])
def test_numpy_where_on_traced_values(first):
    def f(v):
        return np.where(v == 0, 1.0, v).sum()

    points = map(np.array, (first, [0.0, 2.0], [3.0, 0.0]))
    right_or_refused(jit(f), *((x, f(x)) for x in points))


def test_jit_does_not_depend_on_the_first_numbers():
    def outcome(f, x):
        try:
            return repr(f(x))
        except ValueError as error:
            return str(error)

    fresh, used = jit(ab.log), jit(ab.log)
    used(2.0)
    assert outcome(fresh, -1.0) == outcome(used, -1.0)
    assert fresh(2.0) == used(2.0)


@pytest.mark.parametrize("example", [0.0, -1.0, np.nan])
def test_examples_give_the_shapes_not_the_numbers(example):
    assert trace(ab.log, example)(1.0) == 0.0
    assert trace(lambda x: 1.0 / x, example).value_and_grad(2.0) == (0.5, -0.25)


class Scaled:
    """With a method that is jitted."""

    def __init__(self, factor):
        self.factor = factor

    @jit
    def times(self, x):
        return self.factor * x


class Kind(enum.Enum):
    SINE = "sin"
    COSINE = "cos"


def test_jit_on_methods():
    two, three = Scaled(2.0), Scaled(3.0)
    assert [two.times(5.0), three.times(5.0), two.times(7.0)] == [10.0, 15.0, 14.0]
    assert grad(three.times)(1.0) == 3.0


def test_jit_with_keyword_arguments():
    f = jit(lambda x, y=2.0: x - y)
    assert [f(5.0, y=3.0), f(5.0, y=4.0), f(5.0)] == [2.0, 1.0, 3.0]
    assert [f(x=5.0, y=1.0), f(y=1.0, x=7.0)] == [4.0, 6.0]


def test_jit_with_static_arguments():
    def power(x, n):
        y = 1.0
        for _ in range(n):
            y = y * x
        return y

    for f in (jit(power, static_argnums=1), jit(power, static_argnums=(1,)),
              jit(power, static_argnames="n"), jit(power, static_argnames=("n",))):  # fmt: skip
        assert [f(2.0, 3), f(2.0, 5), f(3.0, n=2)] == [8.0, 32.0, 9.0]


@pytest.mark.parametrize(
    ("f", "calls"),
    [
        (lambda x, e: x if e is None else x * e, [((2.0, None), 2.0), ((2.0, 3.0), 6.0)]),
        (lambda x, up: x + 1 if up else x - 1, [((2.0, True), 3.0), ((2.0, False), 1.0)]),
        (lambda x, name: getattr(ab, name)(x), [((0.0, "sin"), 0.0), ((0.0, "cos"), 1.0)]),
        (lambda x, kind: getattr(ab, kind.value)(x),
         [((0.0, Kind.SINE), 0.0), ((0.0, Kind.COSINE), 1.0)]),
        (lambda x, tree: x * tree["a"] if tree["on"] else x,
         [((2.0, {"a": 5.0, "on": True}), 10.0), ((2.0, {"a": 5.0, "on": False}), 2.0)]),
    ],
    ids=["None", "bool", "str", "enum", "in a dict"],
)  # fmt: skip
def test_static_leaves(f, calls):
    jitted = jit(f)
    for args, y in [*calls, *calls]:
        assert jitted(*args) == y


@jit
def jitted_cube(x):
    return x**3


@pytest.mark.parametrize(
    "again",
    [lambda f: pickle.loads(pickle.dumps(f)), lambda f: cloudpickle.loads(cloudpickle.dumps(f)),
     copy.copy, copy.deepcopy],
    ids=["pickle", "cloudpickle", "copy", "deepcopy"],
)  # fmt: skip
def test_a_jitted_function_travels(again):
    jitted_cube(3.0)
    f = again(jitted_cube)
    assert (f(2.0), grad(f)(2.0)) == (8.0, 12.0)


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda f: cloudpickle.loads(cloudpickle.dumps(f))]
)
def test_a_jitted_lambda_travels(again):
    f = again(jit(lambda x: x**3))
    assert (f(2.0), grad(f)(2.0)) == (8.0, 12.0)


def test_aux_results_are_plain_numbers():
    def f(x):
        return x * x, {"double": [2.0 * x], "x": x, "name": "f"}

    (y, aux), slope = ab.value_and_grad(f, has_aux=True)(3.0)
    assert (y, slope, aux) == (9.0, 6.0, {"double": [6.0], "x": 3.0, "name": "f"})
    assert [type(y), type(aux["x"]), type(aux["double"][0])] == [float] * 3
    slope, aux = grad(f, has_aux=True)(3.0)
    assert (slope, aux["double"]) == (6.0, [6.0])
    assert type(aux["x"]) is float


# --- 3. arguments --------------------------------------------------------------------------------

P = trace(lambda x: x * x, 3.0)


def _with_masked():
    return np.ma.masked_array([5.0, 6.0], [False, True])


NO_NUMBER = {
    "list": lambda: [5.0, 6.0],
    "list of one": lambda: [5.0],
    "tuple": lambda: (5.0,),
    "dict": lambda: {"a": 5.0, "b": 7.0},
    "array": lambda: np.array([5.0, 6.0]),
    "array of one": lambda: np.array([5.0]),
    "masked": _with_masked,
    "bool": lambda: True,
    "NumPy bool": lambda: np.True_,
    "str": lambda: "5",
    "None": lambda: None,
}
WAYS_IN = {
    "value": P,
    "value_and_grad": lambda x: P.value_and_grad(x),
    "jacobian": lambda x: P.jacobian(x),
    "hvp": lambda x: P.hvp(x, tangent=1.0),
    "tangent": lambda x: P.hvp(2.0, tangent=x),
    "grad of it": lambda x: grad(P)(x),
    "in a trace": lambda x: trace(lambda y: P(x) * y, 1.0),
}


@pytest.mark.parametrize("way", WAYS_IN)
@pytest.mark.parametrize("name", NO_NUMBER)
def test_a_scalar_argument_takes_one_number(way, name):
    with pytest.raises((TypeError, ValueError)):
        WAYS_IN[way](NO_NUMBER[name]())


def test_the_tangent_of_a_number_is_a_number():
    with pytest.raises((TypeError, ValueError)):
        P.hvp(2.0, tangent=[1.0, 2.0])


@pytest.mark.parametrize(
    "number", [5, np.int64(5), np.float32(5), np.float64(5), np.array(5.0), np.array(5)]
)
def test_numbers_of_every_kind(number):
    assert P(number) == 25.0
    assert P.value_and_grad(number) == (25.0, 10.0)
    assert P.hvp(number, tangent=number) == 10.0


Q = trace(lambda x: x[0] * x[1], np.array([3.0, 4.0]))
Q_WAYS_IN = {
    "value": Q,
    "value_and_grad": lambda x: Q.value_and_grad(x),
    "hvp": lambda x: Q.hvp(x, tangent=np.ones(2)),
    "tangent": lambda x: Q.hvp(np.ones(2), tangent=x),
    "map": lambda x: Q.map(np.array([x, x]) if type(x) is np.ndarray else type(x)([x, x])),
    "jit": lambda x: jit(lambda v: v[0] * v[1])(x),
    "trace": lambda x: trace(lambda v: v[0] * v[1], x),
    "grad": lambda x: grad(lambda v: v[0] * v[1])(x),
    "jvp": lambda x: jvp(lambda v: v[0] * v[1], (np.ones(2),), (x,)),
}


@pytest.mark.parametrize("way", Q_WAYS_IN)
@pytest.mark.parametrize("name", ["masked", "bools"])
def test_arrays_that_are_refused(way, name):
    x = _with_masked() if name == "masked" else np.array([True, False])
    if way == "map" and name == "masked":
        x = np.ma.masked_array([[5.0, 6.0]] * 2, [[False, True]] * 2)
        with pytest.raises((TypeError, ValueError)):
            Q.map(x)
        return
    with pytest.raises((TypeError, ValueError)):
        Q_WAYS_IN[way](x)


@pytest.mark.parametrize("way", ["value", "value_and_grad", "tangent", "jvp"])
@pytest.mark.parametrize("shape", [(3,), (1,), (2, 1), (1, 2)])
def test_arrays_of_another_shape(way, shape):
    with pytest.raises((TypeError, ValueError)):
        Q_WAYS_IN[way](np.ones(shape))


def test_integer_arrays_are_converted():
    x = np.array([5, 6])
    assert Q(x) == 30.0
    assert Q.value_and_grad(x)[1].tolist() == [6.0, 5.0]
    assert Q.map(np.array([[5, 6], [7, 8]])).tolist() == [30.0, 56.0]
    assert jit(lambda v: v[0] * v[1])(x) == 30.0
    assert grad(lambda v: v[0] * v[1])(x).tolist() == [6.0, 5.0]
    assert grad(lambda v: v[0] * v[1])(x).dtype == float


def test_a_matrix_of_numpy():
    """np.matrix is an array of two axes, or refused; never a row of rows."""
    for f in (lambda x: x.sum(), lambda x: x[0, 1] * 1.0):
        for way in (jit(f), lambda x: trace(f, x)(x), lambda x: ab.value_and_grad(f)(x)[0]):
            try:
                y = way(np.matrix([[5.0, 6.0]]))
            except (TypeError, ValueError):
                continue
            assert y == f(np.array([[5.0, 6.0]]))


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, None, "2"])
def test_threads_below_one(threads):
    with pytest.raises((TypeError, ValueError), match="threads"):
        P.map(np.array([1.0, 2.0]), threads=threads)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_argnums_as_numpy_integers(kind):
    def f(x, y):
        return x * y**2

    one, program = kind(1), trace(f, 1.0, 1.0)
    assert grad(f, one)(2.0, 3.0) == 12.0
    assert grad(f, (kind(0), one))(2.0, 3.0) == (9.0, 12.0)
    assert jacobian(f, one)(2.0, 3.0) == 12.0
    assert hessian(f, one)(2.0, 3.0) == 4.0
    assert program.value_and_grad(2.0, 3.0, argnums=one) == (18.0, 12.0)
    assert program.value_and_grad(2.0, 3.0, argnums=(one, kind(0))) == (18.0, (12.0, 9.0))
    assert program.jacobian(2.0, 3.0, argnums=one).tolist() == [[12.0]]
    assert program.hvp(2.0, 3.0, tangent=1.0, argnums=one) == 4.0
    assert jit(f).value_and_grad(2.0, 3.0, argnums=one) == (18.0, 12.0)
