"""The compiled and the interpreted engine: two runs of one file, equal bit for bit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SCALAR, expressions, name_of, operations_of, special_points
from strategies import engine as compiled

import autograd_bp
from autograd_bp.ops import CODES, TABLE

pytestmark = pytest.mark.skipif(
    not autograd_bp.compiled, reason="the engine in use is not compiled, so there is only one"
)


def run(engine, expression, passes):
    """All that can be read of a graph after backward passes from some of its nodes, as text."""
    leaves = [engine.Value(x, f"x{i}") for i, x in enumerate(expression.leaves)]
    nodes = expression.build(leaves, operations_of(engine))
    place = {id(node): i for i, node in enumerate(nodes)}
    seen = []
    for root, seed in passes:
        nodes[root % len(nodes)].backward(seed)
        seen.append([repr(node.grad) for node in nodes])
    for node in nodes:
        operands = [place.get(id(x), repr(x)) for x in node.operands]
        seen.append([node.op, repr(node.data), repr(node.local_grads), operands, repr(node)])
    for root in nodes:
        seen.append([place[id(node)] for node in engine.consumers_first([root])])
    seen.append([place[id(node)] for node in engine.consumers_first(nodes)])
    return seen


@settings(max_examples=200)
@given(
    expression=expressions(max_steps=20),
    passes=st.lists(st.tuples(st.integers(-1, 30), st.floats(-2, 2)), min_size=1, max_size=3),
)
def test_equal_bit_for_bit(interpreted, expression, passes):
    assert run(compiled, expression, passes) == run(interpreted, expression, passes)


@given(
    st.sampled_from(["sum_of", "mean", "logsumexp", "norm", "dot"]),
    st.lists(st.tuples(st.floats(), st.booleans()), min_size=1, max_size=8),
    st.floats(),
)
def test_operations_on_many_operands(interpreted, name, row, bias):
    """Over all floats, infinities and NaN included."""

    def outcome(engine):
        xs = [engine.Value(x) if is_node else x for x, is_node in row]
        y = getattr(engine, name)(*([xs, xs[::-1], engine.Value(bias)] if name == "dot" else [xs]))
        if isinstance(y, float):
            return repr(y)
        y.backward(0.5)
        return repr(y), repr(y.operands), repr(y.local_grads)

    assert outcome(compiled) == outcome(interpreted)


def result_of_a_row(engine, op, operands, mask):
    """A node as text, or the error, of operands of which those in mask are nodes."""
    given_ = [engine.Value(x) if mask >> i & 1 else x for i, x in enumerate(operands)]
    try:
        y = engine.apply(op.name, *given_)
    except (ArithmeticError, ValueError) as error:
        return repr(error)
    return repr(y), repr(y.operands), repr(y.local_grads)


def assert_equal_rows(interpreted, op, operands):
    for mask in range(1, 1 << len(operands)):
        result, same = (
            result_of_a_row(engine, op, operands, mask) for engine in (compiled, interpreted)
        )
        assert result == same, (operands, mask)


def test_the_rows_are_c():
    assert compiled.rows_in_c


@pytest.mark.parametrize("op", SCALAR, ids=name_of)
@given(data=st.data())
def test_every_row_on_any_floats(interpreted, op, data):
    """Rows that were made C give what the same rows give in Python, bit for bit."""
    operands = [data.draw(st.floats() | st.floats(-4, 4)) for _ in op.operands]
    assert_equal_rows(interpreted, op, operands)


@pytest.mark.parametrize("op", SCALAR, ids=name_of)
def test_every_row_at_special_points(interpreted, op):
    for operands in special_points(op):
        assert_equal_rows(interpreted, op, operands)


@given(n=st.integers(0, 100), x=st.floats() | st.floats(-30, 30))
def test_every_order_of_a_polygamma(interpreted, n, x):
    """special.h is special.py, operation by operation; at 100 the slope takes the other formula."""
    operands = [float(n), x]
    polygamma = TABLE[CODES["polygamma"]]
    result, same = (
        result_of_a_row(engine, polygamma, operands, 2) for engine in (compiled, interpreted)
    )
    assert result == same


def test_they_accumulate_in_the_same_order(interpreted):
    """Sums of floats depend on the order of their terms: here a leaf has a thousand."""

    def gradient(engine):
        x = engine.Value(0.1)
        terms = [x * (1.0 + 1e-3 * i) for i in range(1000)]
        total = engine.sum_of([t.sin() if i % 3 else t for i, t in enumerate(terms)])
        total.backward()
        return x.grad

    assert gradient(compiled) == gradient(interpreted)


def test_both_have_the_same_names(interpreted):
    assert set(compiled.__all__) == set(interpreted.__all__)
    public = {name for name in dir(interpreted.Value) if not name.startswith("_")}
    assert public == {name for name in dir(compiled.Value) if not name.startswith("_")}
