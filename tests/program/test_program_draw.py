"""A program as a picture: its instructions, with the numbers of the engine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd_bp import Value, dot, logsumexp, trace, where
from autograd_bp.program.operation import as_graph
from nn import MLP

numbers = st.floats(-3.0, 3.0)


def mixture(p, x):
    h = [dot(p[:2], [x, 1.0], p[2]), (p[0] * x).tanh(), where(x > 0, p[1], x)]
    return logsumexp(h) * h[1] + h[2]


@given(st.lists(numbers, min_size=3, max_size=3), numbers)
def test_the_graph_has_the_engines_numbers(p, x):
    leaves = [Value(c) for c in p]
    expected = mixture(leaves, Value(x))
    (result,) = as_graph(trace(mixture, [1.0, 2.0, 3.0], 1.0), ([*p], x))
    assert result.data == pytest.approx(expected.data, rel=1e-12, abs=1e-12)


def test_boxes_bear_the_names_of_inputs_and_labels():
    model = MLP(2, [2, 1], seed=0)
    program = trace(lambda p, x: model(x), model.parameters(), [1.0, 2.0])
    source = program.draw([p.data for p in model.parameters()], [0.5, -0.5]).source
    for name in ("x[0]", "p[0]", "z[1][0]", "a[2][0]"):
        assert name in source


def test_several_results_and_one_that_is_a_constant():
    program = trace(lambda x: [x * 2.0, 5.0, x], 1.0)
    assert [y.data for y in as_graph(program, (3.0,))] == [6.0, 5.0, 3.0]
    assert program.draw(3.0).source.count("grad") == 3


def test_errors():
    program = trace(lambda x: x.log(), 1.0)
    with pytest.raises(ValueError, match="log"):
        program.draw(-1.0)
    with pytest.raises(TypeError, match="takes 1 arguments"):
        program.draw()
