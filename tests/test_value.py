"""What a Value is and does: data, gradients, links, switches, copies; in Python and in NumPy."""

import asyncio
import copy
import inspect
import io
import math
import operator
import os
import pickle
import subprocess
import sys
import threading
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import eager, expressions

import autograd_bp
from autograd_bp import (
    Value,
    custom,
    dot,
    exp,
    maximum,
    no_grad,
    scope,
    sum_of,
    topological_order,
    watch,
    zero_grad,
)  # fmt: skip

# --- a node --------------------------------------------------------------------------------------


def test_a_leaf():
    x = Value(3, label="x")
    assert (x.data, x.grad, x.label, x.op, x.scope) == (3.0, 0.0, "x", "", "")
    assert type(x.data) is float
    assert type(x.grad) is float
    assert x.is_leaf
    assert x.parents == x.local_grads == x.operands == ()


def test_a_computed_node():
    x, y = Value(3.0), Value(2.0)
    z = x / y
    assert (z.data, z.op, z.is_leaf) == (1.5, "/", False)
    assert z.parents == z.operands == (x, y)
    assert z.local_grads == (0.5, -0.75)


@pytest.mark.parametrize(
    "number",
    [3, 3.0, Fraction(3), np.float64(3), np.float32(3), np.float16(3), np.int64(3), np.uint8(3)],
    ids=lambda x: type(x).__name__,
)
def test_numbers_on_either_side(number):
    """Ints, floats, NumPy scalars: folded into the operation, never nodes of their own."""
    assert Value(number).data == 3.0
    x = Value(2.0)
    cases = [
        (x + number, 5.0, (1.0,)), (number + x, 5.0, (1.0,)),
        (x - number, -1.0, (1.0,)), (number - x, 1.0, (-1.0,)),
        (x * number, 6.0, (3.0,)), (number * x, 6.0, (3.0,)),
        (x / number, 2 / 3, (1 / 3,)), (number / x, 1.5, (-0.75,)),
        (x**number, 8.0, (12.0,)), (number**x, 9.0, (9 * math.log(3.0),)),
        (x.maximum(number), 3.0, (0.0,)),
        (maximum(x, number), 3.0, (0.0,)), (maximum(number, x), 3.0, (0.0,)),
        (dot([number], [x], number), 9.0, (3.0,)),
    ]  # fmt: skip
    for y, data, local_grads in cases:
        assert type(y) is Value
        assert (y.data, y.local_grads, y.parents) == (data, local_grads, (x,))
        assert all(type(n) is float for n in y.operands if n is not x)
    assert [x < number, x <= number, x > number, x >= number] == [True, True, False, False]
    assert [number < x, number <= x, number > x, number >= x] == [False, False, True, True]


def test_numbers_keep_their_side():
    x = Value(2.0)
    assert (3.0 - x).operands == (3.0, x)
    assert (x - 3.0).operands == (x, 3.0)
    assert (3.0**x).operands == (3.0, x)


def test_a_comparison_serves_as_a_mask():
    x = Value(-2.0)
    assert ((x > 0) * x).data == 0.0
    assert ((x < 0) * x).data == -2.0


def test_unary_signs():
    x = Value(-2.0)
    assert ((-x).data, (-x).local_grads) == (2.0, (-1.0,))
    assert +x is x
    assert (abs(x).data, abs(x).local_grads) == (2.0, (-1.0,))


def test_assignment_with_an_operator_makes_a_new_node():
    x = Value(2.0)
    y = x
    y += 1
    y *= 3
    assert (x.data, y.data, y.parents[0].parents) == (2.0, 9.0, (x,))


def test_sum_of_a_list():
    xs = [Value(1.0), Value(2.0), Value(3.0)]
    total = sum(xs)
    total.backward()
    assert (total.data, [x.grad for x in xs]) == (6.0, [1.0, 1.0, 1.0])


def test_comparisons_look_at_data():
    x, y, twin = Value(1.0), Value(2.0), Value(1.0)
    assert [x < y, x <= y, x > y, x >= y] == [True, True, False, False]
    assert [x < twin, x <= twin, x > twin, x >= twin] == [False, True, False, True]
    assert max([x, y, twin]) is y
    assert sorted([y, x])[0] is x
    nan = Value(math.nan)
    assert [nan < x, nan <= x, nan > x, nan >= x] == [False] * 4


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
def test_an_operand_that_knows_the_comparison_is_asked(compare):
    class Knows:
        def answer(self, other):
            return "mine"

        __lt__ = __le__ = __gt__ = __ge__ = answer

    assert compare(Value(1.0), Knows()) == "mine"


@pytest.mark.parametrize("wrong", [True, np.True_])
def test_truth_values_are_no_numbers(wrong):
    with pytest.raises(TypeError, match=r"write 1\.0 or 0\.0"):
        Value(wrong)


def test_equality_and_hash_are_identity():
    x, twin = Value(1.0), Value(1.0)
    assert x == x
    assert x != twin
    assert x != 1.0
    assert len({x, twin, x}) == 2
    assert {x: "one"}[x] == "one"
    assert twin not in [x]


def test_a_node_is_true_as_any_object_is():
    assert Value(0.0)


# --- text ----------------------------------------------------------------------------------------


def test_repr():
    x = Value(3.0, "x")
    assert repr(x) == "Value(data=3.0, grad=0.0, label='x')"
    assert repr(Value(-0.5)) == "Value(data=-0.5, grad=0.0)"
    y = x * x
    y.backward()
    assert repr(y) == "Value(data=9.0, grad=1.0, op='*')"
    assert str(x) == f"{x}" == "Value(data=3.0, grad=6.0, label='x')"


@pytest.mark.parametrize("spec", [".4f", "10.3e", "+", "%", "g", "_.1f"])
def test_format(spec):
    assert format(Value(1234.56789), spec) == format(1234.56789, spec)


def test_labels_can_be_given_later():
    x = Value(1.0)
    y = x + 1
    y.label = "y"
    assert (x.label, y.label) == ("", "y")


# --- the backward pass ---------------------------------------------------------------------------


def test_repeated_passes_add_up_on_leaves_only():
    x, w = Value(3.0), Value(2.0)
    z = w * x
    y = z**2 + z
    y.backward()
    once = [n.grad for n in (x, w, z, y)]
    assert once == [26.0, 39.0, 13.0, 1.0]
    y.backward()
    assert [n.grad for n in (x, w, z, y)] == [52.0, 78.0, 13.0, 1.0]
    zero_grad([x, w])
    assert [n.grad for n in (x, w, z)] == [0.0, 0.0, 13.0]
    y.backward()
    assert [n.grad for n in (x, w, z, y)] == once


@given(expressions(smooth=True))
def test_a_second_pass_doubles_leaves_and_no_others(expression):
    leaves = [Value(x) for x in expression.leaves]
    nodes = expression.build(leaves, eager)
    nodes[-1].backward()
    once = [n.grad for n in nodes]
    nodes[-1].backward()
    rounding = 1e-12 * max(1.0, *map(abs, once))  # the terms of a sum, in another order
    for node, grad in zip(nodes, once, strict=True):
        if node.is_leaf:
            assert node.grad == pytest.approx(2.0 * grad, rel=0.0, abs=rounding)
        else:
            assert node.grad == grad


def test_passes_from_two_roots_that_share_nodes():
    x = Value(3.0)
    z = x * x
    y1, y2 = z + 1.0, z * 2.0
    y1.backward()
    y2.backward()
    assert (x.grad, z.grad, y1.grad, y2.grad) == (6.0 + 12.0, 2.0, 1.0, 1.0)


def test_a_pass_from_an_inner_node():
    x = Value(3.0)
    z = x * x
    y = z * z
    y.backward()
    x.grad = 0.0
    z.backward()
    assert (x.grad, z.grad, y.grad) == (6.0, 1.0, 1.0)


@pytest.mark.parametrize("seed", [2, 0.5, -1.0, np.float64(3.0)])
def test_seed(seed):
    x = Value(3.0)
    y = x * x
    y.backward(seed)
    assert (x.grad, y.grad) == (6.0 * seed, float(seed))


def test_the_root_may_be_a_leaf():
    x = Value(3.0)
    x.backward()
    x.backward(2.0)
    assert x.grad == 3.0


def test_diamonds_do_not_cost_double():
    """2¹⁰⁰ paths, 100 nodes."""
    x = Value(1.0)
    y = x
    for _ in range(100):
        y = (y + y) * 0.5
    y.backward()
    assert (y.data, x.grad) == (1.0, 1.0)


def test_setting_gradients():
    x = Value(3.0)
    x.grad = 5
    assert (x.grad, type(x.grad)) == (5.0, float)
    y = x * 2.0
    y.backward()
    assert x.grad == 7.0
    y.grad = 4.0  # readable until the next pass
    assert y.grad == 4.0


GRADIENTS_THAT_ARE_NODES = """
from autograd_bp import Value
x = Value(3.0)
x.grad = Value(2.0)
assert "grad=2.0" in repr(x)
(x * x).backward()
assert type(x.grad) is float and x.grad == 8.0, x
x.grad = Value(2.0)
x.grad = 1.0
assert x.grad == 1.0, x
"""


def test_a_gradient_that_was_set_to_a_node_counts_in_the_next_pass():
    """In a fresh interpreter, where nothing else has asked passes to look after leaves."""
    subprocess.run([sys.executable, "-c", GRADIENTS_THAT_ARE_NODES], check=True)


def test_a_gradient_that_was_set_to_a_node_has_passes_look_after_leaves():
    """The same without a process of its own."""
    exec(GRADIENTS_THAT_ARE_NODES, {})


def test_passes_that_look_after_leaves_give_what_the_others_do():
    """Passes leave leaves out of their order until there is a hook, in this interpreter."""
    program = """
from autograd_bp import Value, dot, sum_of
x, w = Value(3.0), Value(2.0)
z = w * x
a = dot([w, z], [x, x * w], z)
b = sum_of([a, z, 1.0])
c = (x + w).sin() * 2.0
y = b * a - c + sum_of([x, 2.0]) + dot([w], [x], x)
y.backward()
plain = [node.grad for node in (y, c, b, a, z, w, x)]
x.grad = w.grad = 0.0
x.register_hook(lambda grad: None)
y.backward()
assert plain == [node.grad for node in (y, c, b, a, z, w, x)], plain
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_lets_passes_and_operations_skip_work(interpreted):
    """Where nothing is to be found nothing is looked for, which only the time shows. The
    interpreted engine lets the notes be read by which it decides."""
    node, dot, flags = interpreted.Value(2.0), interpreted.dot, {}
    for name, w, x in [("w", node, 1.0), ("x", 1.0, node), ("both", node, node)]:
        flags[name] = dot([w], [x])._details.has
    assert min(flags.values()) > 0
    assert (flags["w"] & flags["x"], flags["w"] | flags["x"]) == (0, flags["both"])
    assert dot([1.0], [node * node])._details.has & ~flags["both"]  # an operand was computed
    assert copy.copy(dot([1.0], [node]))._details.has == flags["x"]
    program = """
from autograd_bp import Value, no_grad, value, watch
assert (len(value._contexts), value._leaves_need_care) == (0, False)
with no_grad(), watch(print):
    assert len(value._contexts) == 2
Value(1.0).exp().backward()
assert (len(value._contexts), value._leaves_need_care) == (0, False)
"""
    environment = os.environ | {"AUTOGRAD_BP_INTERPRETED": "1"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_setting_data_of_a_leaf():
    x = Value(3.0)
    y = x * x
    x.data = np.float32(4)
    assert (x.data, type(x.data)) == (4.0, float)
    assert (y.data, y.local_grads) == (9.0, (3.0, 3.0))  # as recorded
    x.data += 1.0
    assert (x * x).data == 25.0


def test_zero_grad_drops_a_gradient_that_is_a_graph():
    x = Value(3.0)
    (x * x).backward(create_graph=True)
    assert isinstance(x.grad, Value)
    autograd_bp.zero_grad([x])
    assert x.grad == 0.0


def test_zero_grad_takes_any_iterable():
    xs = [Value(1.0), Value(2.0)]
    for kind in (list, tuple, set, iter):
        sum_of(xs).backward()
        zero_grad(kind(xs))
        assert [x.grad for x in xs] == [0.0, 0.0]


def test_detach():
    x = Value(3.0, "x")
    y = x * x
    y.label = "y"
    d = y.detach()
    assert (d.data, d.label, d.is_leaf, d.parents) == (9.0, "y", True, ())
    (x * d).backward()
    assert (x.grad, d.grad, y.grad) == (9.0, 3.0, 0.0)


# --- hooks ---------------------------------------------------------------------------------------


def test_hooks_read_the_gradient_of_a_pass_and_may_replace_it():
    x = Value(3.0)
    seen = []
    y = x * x
    y.register_hook(seen.append)
    remove = x.register_hook(lambda grad: 10.0 * grad)
    (2.0 * y).backward()
    assert (seen, y.grad, x.grad) == ([2.0], 2.0, 120.0)
    (2.0 * y).backward()  # the hook gets what this pass brings, not the sum so far
    assert (seen, x.grad) == ([2.0, 2.0], 240.0)
    remove()
    zero_grad([x])
    (2.0 * y).backward()
    assert x.grad == 12.0


def test_what_a_hook_returns_is_handed_on():
    x = Value(3.0)
    y = x * x
    y.register_hook(lambda grad: min(grad, 1.0))
    y.register_hook(lambda grad: -grad)  # after the first
    (5.0 * y).backward()
    assert (y.grad, x.grad) == (-1.0, -6.0)


# --- switches ------------------------------------------------------------------------------------


def test_no_grad():
    x = Value(3.0)
    with no_grad():
        results = [x * x, x.exp(), x**2, dot([x], [x], x), sum_of([x]), x.clip(0, 1), Value(1.0)]
        with no_grad():
            results.append(x + 1)
        results.append(x + 1)  # still off
    assert all(y.is_leaf and y.parents == y.local_grads == y.operands == () for y in results)
    assert [y.data for y in results[:4]] == [9.0, math.exp(3.0), 9.0, 12.0]
    assert (x * x).parents == (x, x)
    results[0].backward()
    assert x.grad == 0.0


@pytest.mark.parametrize("x", [-2.0, -1.0, 0.0, 3.0])
def test_parameters_of_activations_that_are_left_out(x):
    """PyTorch's: a slope of 0.01, an alpha of 1."""
    assert Value(x).leaky_relu().data == (x if x > 0.0 else 0.01 * x)
    assert Value(x).elu().data == (x if x > 0.0 else math.expm1(x))


@pytest.mark.parametrize("x", [-2.0, 0.5, 3.0])
def test_clip_with_one_bound_or_none(x):
    assert Value(x).clip(1.0).data == max(x, 1.0)
    assert Value(x).clip(hi=1.0).data == min(x, 1.0)
    assert Value(x).clip().data == x


def test_comparisons_within_no_grad_are_not_traced():
    with no_grad():
        assert (Value(1.0) < 2.0) is True


def test_no_grad_ends_with_an_exception():
    with pytest.raises(ZeroDivisionError), no_grad():
        Value(1.0) / 0.0
    assert not (Value(1.0) + 1.0).is_leaf


def test_no_grad_as_decorator():
    @no_grad()
    def predict(x):
        """Of x."""
        return x * 2.0

    x = Value(3.0)
    for _ in range(2):
        assert predict(x).is_leaf
    assert not (x * 2.0).is_leaf
    assert predict.__doc__ == "Of x."


def test_no_grad_holds_for_its_own_thread_and_task():
    x = Value(3.0)
    seen = {}

    def elsewhere():
        seen["thread"] = (x * x).is_leaf

    async def task(name, switch):
        if switch:
            with no_grad():
                await asyncio.sleep(0.0)
                seen[name] = (x * x).is_leaf
        else:
            await asyncio.sleep(0.0)
            seen[name] = (x * x).is_leaf

    async def both():
        await asyncio.gather(task("without", True), task("with", False))

    with no_grad():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    asyncio.run(both())
    assert seen == {"thread": False, "without": True, "with": False}


def test_watch():
    made, also = [], []
    x = Value(3.0)
    with watch(made.append):
        y = x * x
        with watch(also.append):
            z = y.exp()
        with no_grad():
            x + 1.0  # leaves no node behind
        w = dot([x], [y], x)
        leaf = Value(1.0)
    x - 1.0
    assert made == [y, z, w, leaf]
    assert also == [z]


def test_watchers_see_whole_nodes():
    seen = []
    x = Value(3.0)
    with watch(lambda node: seen.append((node.op, node.parents, node.local_grads, node.data))):
        x * 2.0
        dot([x], [4.0], x)
        x.clip(0.0, 1.0)
    assert seen == [
        ("*", (x,), (2.0,), 6.0),
        ("dot", (x, x), (4.0, 1.0), 15.0),
        ("clip", (x,), (0.0,), 1.0),
    ]


# --- NumPy ---------------------------------------------------------------------------------------


def values(*numbers):
    return np.array([Value(x) for x in numbers], dtype=object)


@pytest.mark.parametrize(
    "name",
    [
        "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "sin", "cos", "tan", "arcsin",
        "arccos", "arctan", "sinh", "cosh", "tanh", "absolute", "negative", "positive",
    ],
)  # fmt: skip
def test_functions_of_one_array(name):
    numbers = [0.25, 0.5]
    xs = values(*numbers)
    ys = getattr(np, name)(xs)
    assert [type(y) for y in ys] == [Value, Value]
    assert [y.data for y in ys] == pytest.approx(list(getattr(np, name)(numbers)), rel=1e-15)
    sum_of(ys).backward()
    h = 1e-6
    slopes = getattr(np, name)(np.add(numbers, h)) - getattr(np, name)(np.subtract(numbers, h))
    assert [x.grad for x in xs] == pytest.approx(list(slopes / (2 * h)), rel=1e-8)


@pytest.mark.parametrize(
    "name",
    ["add", "subtract", "multiply", "divide", "power", "arctan2", "hypot", "maximum", "minimum"],
)
def test_functions_of_two_arrays(name):
    xs, numbers = values(0.25, 0.5), np.array([0.5, 0.125])
    function = getattr(np, name)
    expected = list(function([0.25, 0.5], numbers))
    assert [y.data for y in function(xs, values(*numbers))] == expected
    if name in ("arctan2", "hypot"):  # these call a method, which a float has not
        return
    mixed = [function(xs, numbers), function(numbers, xs)]
    assert [getattr(y, "data", y) for y in mixed[0]] == expected
    assert [getattr(y, "data", y) for y in mixed[1]] == list(function(numbers, [0.25, 0.5]))


def test_matrix_products():
    W = np.array([[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]])
    x = values(5.0, 6.0)
    z = W @ x
    assert [v.data for v in z] == [17.0, 39.0]
    z.sum().backward()
    assert [v.grad for v in x] == [4.0, 6.0]
    assert [[w.grad for w in row] for row in W] == [[5.0, 6.0], [5.0, 6.0]]
    assert ([v.data for v in np.ones((2, 2)) @ x], (W**2).mean().data) == ([11.0, 11.0], 7.5)


def test_arrays_of_numbers_meet_a_single_node():
    x = Value(2.0)
    ys = np.array([1.0, 2.0]) * x + x / np.array([1.0, 4.0])
    assert [y.data for y in ys] == [4.0, 4.5]
    assert list(np.array([1.0, 3.0]) < x) == [True, False]


def test_a_float_array_of_nodes_is_refused():
    with pytest.raises((TypeError, ValueError)):
        np.asarray([Value(1.0)], dtype=float)


# --- copies --------------------------------------------------------------------------------------


def described(roots):
    """All that is to survive a copy, as plain data."""
    order = topological_order(roots)
    position = {id(node): i for i, node in enumerate(order)}
    return [
        (
            node.op, repr(node.data), repr(node.grad), repr(node.local_grads), node.label,
            node.scope,
            [position[id(x)] if isinstance(x, Value) else repr(x) for x in node.operands],
        )
        for node in order
    ], [position[id(root)] for root in roots]  # fmt: skip


class PurePython:
    """The pickler that is written in Python."""

    @staticmethod
    def dumps(value, protocol):
        file = io.BytesIO()
        pickle._Pickler(file, protocol).dump(value)
        return file.getvalue()

    @staticmethod
    def loads(text):
        return pickle._Unpickler(io.BytesIO(text)).load()


WAYS = {"deepcopy": copy.deepcopy} | {
    f"{name} {protocol}": lambda x, pickler=pickler, protocol=protocol: pickler.loads(
        pickler.dumps(x, protocol)
    )
    for name, pickler in (("pickle", pickle), ("pure pickle", PurePython))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
}
each_way = pytest.mark.parametrize("copied", WAYS.values(), ids=WAYS.keys())


@each_way
@settings(max_examples=25)
@given(expression=expressions(), data=st.data())
def test_graphs_survive(copied, expression, data):
    nodes = expression.build([Value(x, f"x{i}") for i, x in enumerate(expression.leaves)], eager)
    nodes[-1].backward()
    nodes[-1].scope = "a/b"
    roots = data.draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=4))
    before = described(roots)
    twins = copied(roots)
    assert described(twins) == before == described(roots)
    assert not {id(n) for n in topological_order(twins)} & {id(n) for n in nodes}


@each_way
def test_shared_nodes_stay_shared(copied):
    """Between roots, whichever comes first, and with a container in between."""
    x = Value(3.0)
    z = x * x
    roots = {"a": z + 1.0, "b": [z, x], "c": z * x}
    twins = copied(roots)
    z2, x2 = twins["b"]
    assert twins["a"].parents == (z2,)
    assert twins["c"].parents == (z2, x2)
    assert z2.parents == (x2, x2)
    twins["c"].backward()
    assert (x2.grad, x.grad) == (27.0, 0.0)


@each_way
def test_a_copy_continues_where_the_original_was(copied):
    x = Value(3.0, "x")
    y = x * x
    y.backward()
    twin = copied(y)
    twin.backward()
    (leaf,) = set(twin.parents)
    assert (leaf.grad, leaf.label, x.grad) == (12.0, "x", 6.0)


def double(x):
    return 2.0 * x


def twos(x):
    return 2.0


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy], ids=["deepcopy", "copy"])
def test_operations_of_ones_own_survive(copied):
    x = Value(3.0)
    y = copied(custom(double, twos, name="double")(x))
    y.backward()
    assert (y.op, y.data, y.parents[0].grad) == ("double", 6.0, 2.0)


def test_one_pickler_after_another():
    """Half a pickle, one with an error, or a second by the same pickler: no state is left."""
    x = Value(3.0)
    y = x * x
    file = io.BytesIO()
    pickler = pickle.Pickler(file)
    pickler.dump(y)
    pickler.dump([y + 1.0, y])
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps([y, lambda: 0])
    assert described([pickle.loads(pickle.dumps(y))]) == described([y])
    file.seek(0)
    unpickler = pickle.Unpickler(file)
    first, (successor, second) = unpickler.load(), unpickler.load()
    assert first is second
    assert successor.parents == (first,)


def test_a_shallow_copy_shares_the_operands():
    x = Value(3.0, "x")
    y = x * x
    y.label = "y"
    y.backward()
    twin = copy.copy(y)
    assert twin is not y
    assert (twin.parents, twin.local_grads, twin.label) == ((x, x), (3.0, 3.0), "y")
    assert (twin.data, twin.grad) == (9.0, 1.0)
    assert copy.copy(x).grad == x.grad == 6.0


@pytest.mark.parametrize("copied", [copy.deepcopy, WAYS["pickle 4"]], ids=["deepcopy", "pickle"])
def test_copies_made_without_gradients_are_graphs_all_the_same(copied):
    y = Value(3.0) * 2.0
    with no_grad():
        twin = copied(y)
    assert (twin.op, twin.operands[1]) == ("*", 2.0)


# --- micrograd's names ---------------------------------------------------------------------------


def test_names_of_micrograd():
    x, y = Value(1.0), Value(2.0)
    assert (x._prev, x._op) == (set(), "")
    assert ((x + y)._prev, (x + y)._op, (x * x)._prev) == ({x, y}, "+", {x})


# --- documentation -------------------------------------------------------------------------------


def test_everything_public_has_a_docstring():
    for name in autograd_bp.__all__:
        if name not in ("Number", "compiled"):  # a type and a bool
            assert inspect.getdoc(getattr(autograd_bp, name)), name
    for name in dir(Value):
        if not name.startswith("_"):
            assert inspect.getdoc(getattr(Value, name)), name


def test_scope_reaches_nodes_and_copies():
    with scope("net"), scope("layer"):
        y = exp(Value(1.0))
    assert (y.scope, copy.deepcopy(y).scope) == ("net/layer", "net/layer")
