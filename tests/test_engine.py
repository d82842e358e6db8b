"""What the README promises of Value: semantics, errors, depth, memory, threads, two engines."""

import copy
import io
import math
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_bp as ab
from autograd_bp import (
    Value,
    dot,
    logsumexp,
    mean,
    no_grad,
    norm,
    scope,
    softmax,
    sum_of,
    topological_order,
    watch,
    zero_grad,
)

# --- backward ------------------------------------------------------------------------------------


def test_micrograds_example():
    a, b = Value(-4.0), Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    assert (f"{g:.4f}", f"{a.grad:.4f}", f"{b.grad:.4f}") == ("24.7041", "138.8338", "645.5773")


def test_a_script_of_micrograd_runs_with_only_its_import_changed():
    script = """
from micrograd.engine import Value
import random
random.seed(0)
w = [Value(random.uniform(-1, 1)) for _ in range(3)]
x = [Value(1.0), Value(-2.0), Value(0.5)]
for _ in range(3):
    act = sum((wi * xi for wi, xi in zip(w, x)), Value(0))
    loss = (act.relu() - 2) ** 2 + 0.1 * sum(p * p for p in w) / 2
    for p in w: p.grad = 0
    loss.backward()
    for p in w: p.data -= 0.01 * p.grad
nodes, todo = set(), [loss]
while todo:
    v = todo.pop()
    if v not in nodes:
        nodes.add(v)
        todo.extend(v._prev)
result = loss.data, [p.grad for p in w], len(nodes) > 10, loss._op
"""
    theirs, ours = {}, {}
    pytest.importorskip("micrograd")
    exec(script, theirs)
    exec(script.replace("micrograd.engine", "autograd_bp"), ours)
    assert ours["result"][0] == pytest.approx(theirs["result"][0], rel=1e-14)
    assert ours["result"][1] == pytest.approx(theirs["result"][1], rel=1e-14)
    assert ours["result"][2:] == theirs["result"][2:]


def test_repeated_backward_adds_on_leaves_and_renews_the_rest():
    x = Value(3.0)
    y = x * x
    z = y * y
    z.backward()
    first = x.grad, y.grad
    z.backward()
    assert (x.grad, y.grad, z.grad) == (2 * first[0], first[1], 1.0)
    zero_grad([x])
    z.backward(seed=2.0)
    assert (x.grad, y.grad, z.grad) == (2 * first[0], 2 * first[1], 2.0)


def test_backward_from_a_leaf_adds_the_seed():
    x = Value(3.0)
    x.backward()
    x.backward(2.0)
    assert x.grad == 3.0


def test_detach_and_no_grad():
    x = Value(3.0, "x")
    assert x.detach() is not x
    assert (x.detach().label, x.detach().is_leaf) == ("x", True)
    with no_grad():
        with no_grad():
            assert (x * x).is_leaf
        assert dot([x], [2.0], x).is_leaf
    assert not (x * x).is_leaf
    assert no_grad()(lambda: x * x)().is_leaf


def test_plain_numbers_are_folded_into_the_operation():
    x = Value(3.0)
    assert (x * 2.0).parents == (x,)
    assert (2.0 - x).operands == (2.0, x)
    assert (2 / x).local_grads == (-2 / 9,)
    assert (x * x).parents == (x, x)
    assert dot([x, 2.0], [1.0, x], 0.5).operands == (x, 2.0, 1.0, x, 0.5)
    assert dot([], [], x).operands == (x,)


def test_numbers_on_either_side():
    v = Value(3.0)
    for two in (2, 2.0, np.float64(2), np.float32(2), np.int64(2)):
        for result, truth in [
            (v + two, 5), (two + v, 5), (v - two, 1), (two - v, -1), (v * two, 6), (two * v, 6),
            (v / two, 1.5), (two / v, 2 / 3), (v**two, 9), (two**v, 8),
        ]:  # fmt: skip
            assert isinstance(result, Value)
            assert result.data == pytest.approx(truth, rel=1e-15)
    assert sum([v, v, 1]).data == 7.0
    assert Value(np.float32(0.5)).data == 0.5


def test_numpy_object_arrays():
    x = np.array([Value(0.5), Value(0.25)])
    assert [v.op for v in np.exp(x)] == ["exp", "exp"]
    assert np.arcsin(x)[0].data == math.asin(0.5)
    (np.array([[1.0, 2.0], [x[0], 4.0]]) @ x)[1].backward()
    assert (x[0].grad, x[1].grad) == (1.0, 4.0)


def test_comparison_identity_and_text():
    a, b = Value(1.0, "a"), Value(1.0)
    assert a <= b
    assert a >= 1
    assert 0 < a < 2
    assert a != b
    assert len({a, b, a}) == 2
    assert repr(a) == "Value(data=1.0, grad=0.0, label='a')"
    assert repr(a + 1) == "Value(data=2.0, grad=0.0, op='+')"
    assert f"{a:.3f}" == "1.000"


def test_hooks_read_and_replace():
    x = Value(3.0)
    seen = []
    y = x * x
    y.register_hook(seen.append)
    remove = x.register_hook(lambda grad: 10 * grad)
    (2 * y).backward()
    assert (seen, x.grad) == ([2.0], 120.0)
    remove()
    zero_grad([x])
    (2 * y).backward()
    assert x.grad == 12.0


# --- stability and kinks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "x", "y", "d"),
    [
        (Value.sigmoid, 800.0, 1.0, 0.0), (Value.sigmoid, -800.0, 0.0, 0.0),
        (Value.softplus, 800.0, 800.0, 1.0), (Value.softplus, -800.0, 0.0, 0.0),
        (Value.logsigmoid, -800.0, -800.0, 1.0), (Value.logsigmoid, 800.0, 0.0, 0.0),
        (Value.exp, 1000.0, math.inf, math.inf), (Value.sqrt, 0.0, 0.0, math.inf),
        (Value.asin, 1.0, math.pi / 2, math.inf), (Value.relu, 0.0, 0.0, 0.0),
        (abs, 0.0, 0.0, 0.0), (Value.leaky_relu, 0.0, 0.0, 0.01), (Value.elu, 0.0, 0.0, 1.0),
        (lambda v: v**2, 0.0, 0.0, 0.0), (lambda v: v**0, 0.0, 1.0, 0.0),
        (lambda v: v**1, 0.0, 0.0, 1.0), (lambda v: v**0.5, 0.0, 0.0, math.inf),
        (lambda v: 0.0**v, 2.0, 0.0, 0.0), (lambda v: v.clip(0, 1), 1.0, 1.0, 1.0),
        (lambda v: v.maximum(2.0), 2.0, 2.0, 0.5), (lambda v: v.minimum(2.0), 2.0, 2.0, 0.5),
        (lambda v: v.hypot(0.0), 0.0, 0.0, 0.0), (lambda v: norm([v]), 0.0, 0.0, 0.0),
        (lambda v: norm([v, 0.0]), 1e200, 1e200, 1.0), (lambda v: norm([v]), 1e-200, 1e-200, 1.0),
        (lambda v: logsumexp([v, 1e4]), 1e4, 1e4 + math.log(2), 0.5),
        (lambda v: logsumexp([v, -1e4]), -1e4, -1e4 + math.log(2), 0.5),
    ],
)  # fmt: skip
def test_values_and_derivatives_where_naive_formulas_fail(f, x, y, d):
    v = Value(x)
    result = f(v)
    result.backward()
    assert result.data == pytest.approx(y, rel=1e-15, abs=0)
    assert v.grad == pytest.approx(d, rel=1e-11, abs=1e-300)


def test_softmax_of_large_numbers():
    p = softmax([Value(1e4), Value(1e4 + 1)])
    assert [v.data for v in p] == pytest.approx(
        [1 / (1 + math.e), math.e / (1 + math.e)], rel=1e-11
    )


# --- errors teach --------------------------------------------------------------------------------

LABELLED = Value(-1.0, "p")


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        (lambda: Value("3"), TypeError, ["data", "'3'", "float"]),
        (lambda: Value(None), TypeError, ["data", "None"]),
        (lambda: Value(1j), TypeError, ["data", "1j", "real"]),
        (lambda: Value(True), TypeError, ["data", "True", "1.0"]),
        (lambda: Value(Value(1.0)), TypeError, ["data", ".data", "detach"]),
        (lambda: Value(1.0, 5), TypeError, ["label", "5", "str"]),
        (lambda: float(LABELLED), TypeError, [".data", "exp", "gradient"]),
        (lambda: int(LABELLED), TypeError, [".data"]),
        (lambda: math.exp(LABELLED), TypeError, ["v.exp()"]),
        (lambda: np.asarray([LABELLED], float), TypeError, [".data"]),
        (lambda: LABELLED.log(), ValueError, ["log", "-1.0", "'p'", "x > 0"]),
        (lambda: ab.log(-1), ValueError, ["log", "-1.0"]),
        (lambda: LABELLED**0.5, ValueError, ["a ** b", "-1.0", "'p'"]),
        (lambda: LABELLED / 0, ZeroDivisionError, ["a / b", "0.0"]),
        (lambda: 1 / Value(0.0, "q"), ZeroDivisionError, ["'q'"]),
        (lambda: Value(0.0) ** -1, ZeroDivisionError, ["**"]),
        (lambda: LABELLED.clip(2, 1), ValueError, ["lo <= hi"]),
        (lambda: setattr(LABELLED * 2, "data", 1.0), AttributeError, ["leaf", "detach"]),
        (lambda: setattr(LABELLED, "data", "1"), TypeError, ["data", "'1'"]),
        (lambda: setattr(LABELLED, "grad", None), TypeError, ["grad", "None"]),
        (lambda: setattr(LABELLED, "parents", ()), AttributeError, ["parents"]),
        (lambda: LABELLED + "1", TypeError, ["+"]),
        (lambda: LABELLED + None, TypeError, ["+"]),
        (lambda: LABELLED < "1", TypeError, ["<"]),
        (lambda: dot([1.0], [1.0, 2.0]), ValueError, ["same length", "1", "2"]),
        (lambda: dot(LABELLED, [1.0]), TypeError, ["w", "sequence"]),
        (lambda: dot(["a"], [LABELLED]), TypeError, ["w", "'a'"]),
        (lambda: mean([]), ValueError, ["empty"]),
        (lambda: logsumexp([]), ValueError, ["empty"]),
        (lambda: ab.exp(1, 2), TypeError, ["exp(x)", "2"]),
        (lambda: (LABELLED * 2).backward("1"), TypeError, ["seed"]),
        (lambda: LABELLED.register_hook(3), TypeError, ["hook", "3"]),
        (lambda: scope("").__enter__(), TypeError, ["name"]),
    ],
)
def test_bad_input_gets_an_error_that_teaches(act, kind, words):
    with pytest.raises(kind) as caught:
        act()
    for word in words:
        assert word in str(caught.value)


# --- graphs --------------------------------------------------------------------------------------


def expression(x, y):
    a = dot([x, y], [y, 2.0], x)
    b = a.tanh() * x + sum_of([a, y, a])
    return b / (1.0 + a * a) - b.maximum(0.1)


def test_topological_order_has_operands_first_and_is_the_same_in_every_run():
    root = expression(Value(0.3), Value(-0.7))
    order = topological_order(root)
    place = {node: i for i, node in enumerate(order)}
    assert len(place) == len(order)
    assert order[-1] is root
    assert all(place[p] < place[node] for node in order for p in node.parents)
    assert [n.op for n in order] == [
        n.op for n in topological_order(expression(Value(0.3), Value(-0.7)))
    ]


def test_scopes_nest_and_watchers_see_every_node():
    seen = []
    with scope("mlp"), watch(seen.append):
        a = Value(1.0) * 2.0
        with scope("layer 1"):
            b = a + 1.0
    assert (a.scope, b.scope, (b * 2).scope) == ("mlp", "mlp/layer 1", "")
    assert [node.op for node in seen] == ["", "*", "+"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_copies_keep_the_sharing_between_roots(protocol):
    x, y = Value(0.3, "x"), Value(-0.7)
    root = expression(x, y)

    def by_python(objects):
        buffer = io.BytesIO()
        pickle._Pickler(buffer, protocol).dump(objects)
        return pickle.loads(buffer.getvalue())

    copies = [copy.deepcopy, by_python, lambda o: pickle.loads(pickle.dumps(o, protocol))]
    for duplicate in copies:
        x2, root2, twice = duplicate((x, root, root * 2))
        assert twice.parents[0] is root2
        assert (x2.label, root2.data) == ("x", root.data)
        root2.backward()
        zero_grad([x, y])
        root.backward()
        assert x2.grad == x.grad
        zero_grad([x, y])
    assert copy.copy(root).parents[0] is root.parents[0]


# --- depth and memory ----------------------------------------------------------------------------


def test_a_chain_of_a_million_nodes():
    x = Value(1.0)
    y = x
    for i in range(1_000_000):
        y = y + x if i % 100_000 else sum_of([y, dot([y], [0.0], x)])
    y.backward()
    assert x.grad == y.data
    twin = copy.deepcopy(y)
    assert twin.data == y.data
    again = pickle.loads(pickle.dumps(twin))
    assert again.data == y.data
    with pytest.raises(ValueError, match="limit"):
        ab.draw(y)
    del y, twin, again  # freed without recursion


FREED = """
import gc, sys
from autograd_bp import Value
gc.disable()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
def build_and_fail():
    x = y = Value(1.0)
    for _ in range(200_000):
        y = (y + x) * 0.5
    raise RuntimeError
sizes = []
for _ in range(6):
    try:
        build_and_fail()
    except RuntimeError:
        pass
    sizes.append(resident())
assert sizes[-1] - sizes[1] < 8_000_000, sizes
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_a_graph_dropped_after_an_exception_is_freed_without_the_garbage_collector():
    subprocess.run([sys.executable, "-c", FREED], check=True)


# --- threads -------------------------------------------------------------------------------------


def test_threads_that_share_leaves_add_up_exactly():
    x = Value(1.0)

    def work():
        for _ in range(50):
            y = x
            for _ in range(200):
                y = y + x
            y.backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert x.grad == 4 * 50 * 201


def test_no_grad_holds_for_its_own_thread():
    x, found = Value(1.0), []
    with no_grad():
        thread = threading.Thread(target=lambda: found.append((x * x).is_leaf))
        thread.start()
        thread.join()
    assert found == [False]


# --- two engines ---------------------------------------------------------------------------------

numbers = st.floats(-3.0, 3.0)
steps = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 30), st.integers(0, 30), numbers),
    min_size=1,
    max_size=25,
)


def build(engine, leaves, recipe):
    nodes = [engine.Value(x) for x in leaves]
    for kind, i, j, c in recipe:
        a, b = nodes[i % len(nodes)], nodes[j % len(nodes)]
        nodes.append(
            [
                lambda: a + b, lambda: a - b, lambda: a * b, lambda: a / (b * b + 1.0),
                lambda: c * a, lambda: a + c, lambda: -a, lambda: a.tanh(), lambda: a.relu(),
                lambda: engine.dot(nodes[-4:], nodes[:4][: len(nodes[-4:])], b),
                lambda: engine.sum_of([a, c, b, a]), lambda: engine.logsumexp([a, b, c]),
                lambda: (a.sigmoid() + 0.5) ** b.tanh(),
            ][kind]()
        )  # fmt: skip
    return nodes


@pytest.mark.skipif(not ab.compiled, reason="only one engine: nothing was compiled")
@given(st.lists(numbers, min_size=4, max_size=4), steps)
def test_the_two_engines_agree_bit_for_bit(interpreted, leaves, recipe):
    results = []
    for engine in (sys.modules["autograd_bp.value"], interpreted):
        nodes = build(engine, leaves, recipe)
        nodes[-1].backward()
        place = {node: i for i, node in enumerate(nodes)}
        order = [place.get(node, -1) for node in engine.consumers_first([nodes[-1]])]
        results.append(
            (order, [(n.data.hex(), n.grad.hex(), [d.hex() for d in n.local_grads]) for n in nodes])
        )
    assert results[0] == results[1]
