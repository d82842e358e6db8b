"""The order of nodes, and scopes."""

import copy
import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import eager, expressions

from autograd_bp import Value, dot, scope, topological_order
from autograd_bp.value import consumers_first


def ancestry(roots):
    """All nodes that the roots were computed from, found the plain way."""
    found = {}
    stack = list(roots)
    while stack:
        node = stack.pop()
        if id(node) not in found:
            found[id(node)] = node
            stack.extend(node.parents)
    return found


def evaluated(roots):
    """The same in the order in which an expression is evaluated: operands as written, then it."""
    found = {}

    def visit(node):
        for operand in node.parents:
            if id(operand) not in found:
                visit(operand)
        found[id(node)] = node

    for root in roots:
        if id(root) not in found:
            visit(root)
    return list(found.values())


def built(expression):
    return expression.build([Value(x) for x in expression.leaves], eager)


@given(expressions(), st.data())
def test_topological_order(expression, data):
    nodes = built(expression)
    roots = data.draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=3))
    order = topological_order(roots)
    place = {id(node): i for i, node in enumerate(order)}
    assert len(place) == len(order)  # each once
    assert set(place) == set(ancestry(roots))  # all, and no others
    assert order == evaluated(roots)
    for node in order:
        assert all(place[id(p)] < place[id(node)] for p in node.parents)
    assert topological_order(roots) == order  # nothing is left behind by the first walk


@given(expressions())
def test_the_order_does_not_depend_on_addresses(expression):
    positions = []
    keep = []
    for _ in range(2):
        nodes = built(expression)
        keep.append(nodes)
        place = {id(node): i for i, node in enumerate(nodes)}
        positions.append([place[id(node)] for node in topological_order(nodes[-1])])
    assert positions[0] == positions[1]


def test_one_root_or_many():
    x = Value(1.0)
    y = x + 1.0
    assert topological_order(y) == topological_order([y]) == topological_order(iter([y])) == [x, y]
    assert topological_order(x) == [x]
    assert topological_order([]) == []
    assert topological_order([y, x, y]) == [x, y]
    z = Value(2.0)
    assert topological_order([y, z]) == [x, y, z]
    assert topological_order([z, y]) == [z, x, y]


def test_a_walk_that_stops_short_leaves_nodes_as_they_were():
    x = Value(3.0)
    y = x * x
    z = y + 1.0
    assert consumers_first([z], stop=[y]) == [z]
    assert (y.op, y.is_leaf, y.local_grads) == ("*", False, (3.0, 3.0))
    z.backward()
    assert (y.grad, x.grad) == (1.0, 6.0)


def test_rows_of_operands_are_walked_too():
    w, x, b = Value(1.0), Value(2.0) * 1.0, Value(3.0)
    z = dot([w], [x], b)
    assert set(topological_order(z)) == {w, x, *x.parents, b, z}


# --- scopes --------------------------------------------------------------------------------------


def test_scopes_nest():
    x = Value(1.0)
    with scope("net"):
        y = x + 1.0
        with scope("layer 1"):
            z = dot([y], [x])
            leaf = Value(2.0)
        w = z * 2.0
    after = w * 2.0
    assert [n.scope for n in (x, y, z, leaf, w, after)] == [
        "", "net", "net/layer 1", "net/layer 1", "net", "",
    ]  # fmt: skip


def test_a_scope_ends_with_an_exception():
    with pytest.raises(ZeroDivisionError), scope("inner"):
        Value(1.0) / 0.0
    assert Value(1.0).scope == ""


def test_a_scope_serves_as_a_decorator_and_again():
    @scope("step")
    def step(x):
        return x + 1.0

    y = step(step(Value(1.0)))
    assert [n.scope for n in topological_order(y)] == ["", "step", "step"]


def test_a_scope_holds_for_its_own_thread():
    seen = []
    with scope("here"):
        thread = threading.Thread(target=lambda: seen.append(Value(1.0).scope))
        thread.start()
        thread.join()
        seen.append(Value(1.0).scope)
    assert seen == ["", "here"]


class Named(Value):
    pass


class Weighted(Value):
    __slots__ = ("weight",)

    def __init__(self, data, label="", weight=1.0):
        super().__init__(data, label)
        self.weight = weight


class Both(Weighted):
    def __init__(self, data, label="", weight=1.0):
        super().__init__(data, label, weight)
        self.history = [weight]


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "pickle 0": lambda x: pickle.loads(pickle.dumps(x, 0)),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("leaf", [Named(3.0, "s"), Weighted(3.0, "s", 7.0), Both(3.0, "s", 7.0)])
def test_copies_of_a_subclass_are_of_it_and_have_what_it_adds(leaf, how):
    leaf.grad = 2.0
    twin = COPIES[how](leaf)
    assert type(twin) is type(leaf)
    assert twin is not leaf
    assert (twin.data, twin.label, twin.grad) == (3.0, "s", 2.0)
    assert getattr(twin, "weight", None) == getattr(leaf, "weight", None)
    assert getattr(twin, "history", None) == getattr(leaf, "history", None)
    inner = COPIES[how](leaf * leaf).operands[0]
    assert type(inner) is type(leaf)
    assert inner.label == "s"


@pytest.mark.parametrize("how", COPIES)
def test_copies_have_the_scope_of_the_nodes_and_not_that_which_is_open(how):
    x = Value(3.0)
    with scope("a"):
        y = x * x
    with scope("b"):
        twin, twin_of_leaf = COPIES[how](y), COPIES[how](x)
    assert [node.scope for node in topological_order(twin)] == ["", "a"]
    assert twin_of_leaf.scope == ""
