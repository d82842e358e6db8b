"""Hooks on nodes: they read or replace a gradient, on leaves and within the graph."""

import math
import threading

import pytest

import autograd_bp as ab
from autograd_bp import Value, dot, topological_order, zero_grad


def graph():
    """x·y + x, with the names of its nodes."""
    x, y = Value(2.0, "x"), Value(3.0, "y")
    p = x * y
    return x, y, p, p + x


def test_a_hook_reads_the_whole_gradient_of_the_pass():
    x, y, p, z = graph()
    seen = {}
    for name, node in [("x", x), ("y", y), ("p", p), ("z", z)]:
        node.register_hook(lambda grad, name=name: seen.update({name: grad}))
    z.backward(seed=10.0)
    assert seen == {"x": 40.0, "y": 20.0, "p": 10.0, "z": 10.0}
    assert (x.grad, y.grad, p.grad, z.grad) == (40.0, 20.0, 10.0, 10.0)
    assert list(seen) in (["z", "p", "x", "y"], ["z", "p", "y", "x"])  # consumers first


def test_a_hook_runs_once_for_each_pass_on_a_node_with_many_consumers():
    x = Value(3.0)
    seen = []
    x.register_hook(seen.append)
    y = ab.sum_of([x * x, x, dot([x, x], [1.0, x])])
    y.backward()
    y.backward()
    assert seen == [14.0, 14.0]  # of the pass alone, though the leaf adds up
    assert x.grad == 28.0


def test_what_a_hook_returns_is_handed_on():
    x, y, p, z = graph()
    p.register_hook(lambda grad: 100.0 * grad)
    z.backward()
    assert (x.grad, y.grad, p.grad) == (301.0, 200.0, 100.0)


def test_the_root_too():
    x, y, _, z = graph()
    z.register_hook(lambda grad: -grad)
    z.backward()
    assert (z.grad, x.grad, y.grad) == (-1.0, -4.0, -2.0)


@pytest.mark.parametrize("replacement", [1, 0.5, -0.0, math.inf])
def test_a_replaced_gradient_of_a_leaf_is_added(replacement):
    x = Value(3.0)
    x.grad = 7.0
    x.register_hook(lambda grad: replacement)
    (x * x).backward()
    assert x.grad == 7.0 + replacement


def test_zero_is_a_replacement_and_none_is_not():
    x, y, p, z = graph()
    p.register_hook(lambda grad: 0)
    x.register_hook(lambda grad: None)
    z.backward()
    assert (x.grad, y.grad) == (1.0, 0.0)


def test_hooks_run_in_the_order_of_registration():
    x = Value(3.0)
    x.register_hook(lambda grad: grad + 1.0)
    x.register_hook(lambda grad: grad * 10.0)
    (2.0 * x).backward()
    assert x.grad == 30.0


def test_a_hook_is_removed():
    x, _, p, z = graph()
    seen = []
    remove_first = p.register_hook(lambda grad: seen.append("first"))
    p.register_hook(lambda grad: seen.append("second"))
    z.backward()
    remove_first()
    remove_first()  # which is harmless
    z.backward()
    assert seen == ["first", "second", "second"]
    zero_grad([x])
    z.backward()
    assert x.grad == 4.0


def test_one_hook_registered_twice_is_removed_once():
    x = Value(3.0)
    seen = []
    hook = seen.append
    remove = x.register_hook(hook)
    x.register_hook(hook)
    remove()
    (x * 2.0).backward()
    assert seen == [2.0]


def test_a_hook_may_remove_itself_or_register_another():
    x = Value(3.0)
    seen = []

    def once(grad):
        seen.append("once")
        remove()

    remove = x.register_hook(once)
    x.register_hook(lambda grad: seen.append("always"))
    y = x * 2.0
    y.backward()
    y.backward()
    assert seen == ["once", "always", "always"]


def test_a_hook_on_a_leaf_inside_a_row():
    xs = [Value(float(i)) for i in range(4)]
    seen = []
    xs[2].register_hook(lambda grad: seen.append(grad) or 0.5)
    dot(xs, [1.0, 2.0, 3.0, 4.0]).backward()
    assert seen == [3.0]
    assert [x.grad for x in xs] == [1.0, 2.0, 0.5, 4.0]


def test_a_hook_on_a_node_that_the_pass_does_not_reach_stays_silent():
    x, y = Value(2.0), Value(3.0)
    y.register_hook(lambda grad: pytest.fail("not reached"))
    (x * y.detach()).backward()
    (y * 2.0).detach().backward()
    assert y.grad == 0.0


def test_hooks_run_when_the_gradients_are_graphs():
    x, y, p, z = graph()
    seen = []
    p.register_hook(lambda grad: seen.append(grad))
    x.register_hook(lambda grad: grad * 10.0)
    z.backward(create_graph=True)
    assert [getattr(g, "data", g) for g in seen] == [1.0]
    assert (x.grad.data, y.grad.data) == (40.0, 2.0)
    (dy,) = ab.gradients(x.grad, [y])  # 10·(y + 1)
    assert dy == 10.0


def test_an_error_in_a_hook_reaches_the_user_and_the_next_pass_is_right():
    x, y, p, z = graph()

    def fail(grad):
        raise RuntimeError("mine")

    remove = p.register_hook(fail)
    with pytest.raises(RuntimeError, match="mine"):
        z.backward()
    remove()
    zero_grad([x, y])
    z.backward()
    assert (x.grad, y.grad, p.grad, z.grad) == (4.0, 2.0, 1.0, 1.0)
    assert len(topological_order(z)) == 4


def test_an_error_in_a_hook_loses_no_gradient_of_earlier_passes():
    x, _, p, z = graph()
    x.register_hook(lambda grad: None)
    x.grad = 5.0

    def fail(grad):
        raise RuntimeError("mine")

    p.register_hook(fail)
    with pytest.raises(RuntimeError, match="mine"):
        z.backward()
    assert x.grad >= 5.0


@pytest.mark.parametrize("wrong", ["3.0", 1j, [1.0], True, Value(1.0)])
def test_a_hook_that_returns_no_number(wrong):
    x = Value(3.0)
    x.register_hook(lambda grad: wrong)
    with pytest.raises(TypeError, match="gradient that a hook returns must be a real number"):
        (x * x).backward()


@pytest.mark.parametrize("wrong", [None, 3.0, "hook"])
def test_what_is_no_function_is_refused(wrong):
    with pytest.raises(TypeError, match="hook must be a function of the gradient"):
        Value(1.0).register_hook(wrong)


def test_transformations_leave_hooks_alone():
    """They leave no gradients on nodes, so there is nothing to hook."""
    x = Value(3.0)
    x.register_hook(lambda grad: pytest.fail("no backward pass was asked for"))
    assert ab.gradients(x * x, [x]) == [6.0]
    assert ab.grad(lambda y: y * x)(2.0) == 3.0


# --- a hook within a pass ------------------------------------------------------------------------


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("inner_graph", [False, True])
def test_a_hook_cannot_begin_another_pass(create_graph, inner_graph):
    """It would overwrite the gradients of the outer pass, half of which are handed on."""
    x, y, p, z = graph()
    p.register_hook(lambda grad: p_squared.backward(create_graph=inner_graph))
    p_squared = (x * y) ** 2
    x.grad = 0.5
    with pytest.raises(RuntimeError, match=r"backward\(\) was called by a hook.*use gradients"):
        z.backward(create_graph=create_graph)
    assert p_squared.grad == 0.0
    # The next pass, of this or another graph, is as ever; and so it is in another thread.
    zero_grad([x, y])
    p_squared.backward()
    assert (x.grad, y.grad) == (36.0, 24.0)
    thread = threading.Thread(target=p_squared.backward)
    thread.start()
    thread.join()
    assert (x.grad, y.grad) == (72.0, 48.0)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_may_differentiate_without_a_pass(create_graph):
    x, y, p, z = graph()
    found = []

    def hook(grad):
        found.append(ab.gradients(z, [x, y, p]))
        found.append(ab.hessian(lambda v: v[0] * v[1] * x)([1.0, 2.0]))
        found.append(len(topological_order(z)))

    p.register_hook(hook)
    z.backward(create_graph=create_graph)
    assert found == [[4.0, 2.0, 1.0], [[0.0, 2.0], [2.0, 0.0]], 4]
    assert [getattr(node.grad, "data", node.grad) for node in (x, y, p)] == [4.0, 2.0, 1.0]
