"""Sweeps over a tape against backward and against graphs of derivatives, and a tape's edges."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import eager, expressions

import autograd_bp as ab
from autograd_bp import Value, gradients, topological_order
from autograd_bp.adjoint import pull_back
from autograd_bp.context import collect
from autograd_bp.copies import restore
from autograd_bp.custom import Rule
from autograd_bp.tape import Tape, condense
from autograd_bp.value import consumers_first

numbers = st.floats(-2, 2)
directions = st.lists(numbers, min_size=4, max_size=4)  # for as many leaves as there may be


def recorded(expression):
    """The leaves of an expression, and its root."""
    leaves = [Value(x) for x in expression.leaves]
    return leaves, expression.build(leaves, eager)[-1]


def number(x):
    return x.data if isinstance(x, Value) else x


def paths(root):
    """The largest Σ |∏ local derivatives| over the paths from the root to a node."""
    reach = {id(root): 1.0}
    for node in reversed(topological_order(root)):
        for parent, d in zip(node.parents, node.local_grads, strict=True):
            reach[id(parent)] = reach.get(id(parent), 0.0) + abs(d) * reach[id(node)]
    return max(reach.values())


@given(expressions(), numbers)
def test_a_reverse_sweep_is_backward_bit_for_bit(expression, seed):
    x, y = recorded(expression)
    nodes = topological_order(y)
    swept = Tape(x, [y]).pull_back([seed])
    everywhere = Tape(nodes, [y]).pull_back([seed])
    assert {node.grad for node in nodes} == {0.0}
    y.backward(seed)
    assert list(map(repr, swept)) == [repr(node.grad) for node in x]
    assert list(map(repr, everywhere)) == [repr(node.grad) for node in nodes]
    assert list(map(repr, gradients(y, x, seed))) == list(map(repr, swept))


@given(expressions(smooth=True))
def test_graphs_of_gradients_hold_the_numbers_of_backward(expression):
    x, y = recorded(expression)
    graphs = gradients(y, x, create_graph=True)
    y.backward()
    scale = paths(y)
    for graph, node in zip(graphs, x, strict=True):
        assert abs(number(graph) - node.grad) <= 1e-14 * (1 + len(expression.steps)) * scale


@given(expressions(smooth=True), directions)
def test_a_forward_sweep_is_the_transpose(expression, direction):
    x, y = recorded(expression)
    t = direction[: len(x)]
    outputs = [y, *topological_order(y)[-3:]]
    tape = Tape(x, outputs)
    scale = paths(y) + max(map(paths, outputs))
    for i, moved in enumerate(tape.push_forward(t)):
        row = tape.pull_back([float(i == j) for j in range(len(outputs))])
        assert abs(moved - sum(a * b for a, b in zip(row, t, strict=True))) <= 1e-13 * scale


@given(expressions(smooth=True), directions)
def test_a_second_sweep_is_the_derivative_of_the_first(expression, direction):
    x, y = recorded(expression)
    t = direction[: len(x)]
    swept = Tape(x, [y]).curve([0.5], t)
    scale = paths(y)
    assume(scale <= 1e4)
    for d, got in zip(gradients(y, x, 0.5, create_graph=True), swept, strict=True):
        row = gradients(d, x) if isinstance(d, Value) else [0.0] * len(x)
        true = sum(a * b for a, b in zip(row, t, strict=True))
        assert abs(got - true) <= 1e-11 * (1.0 + scale) ** 2


@given(expressions(smooth=True))
def test_a_condensed_graph_is_a_tape_cut_where_it_was_entered(expression):
    """`condense` finds what the nodes of a list stand on, and the same derivatives."""
    leaves = [Value(x) for x in expression.leaves]
    entries = [x * 1.0 for x in leaves]
    made = []
    with collect(made):
        y = expression.build(entries, eager)[-1]
    base, row = condense(made, y)
    kinds = {id(node) for node in made}
    needed = topological_order(y)
    stands_on = {id(p) for n in needed if id(n) in kinds for p in n.parents if id(p) not in kinds}
    assert {id(x) for x in base} == stands_on
    assert len(base) == len(stands_on)
    # The two add the same numbers up in different orders.
    scale = 1e-14 * (1 + len(expression.steps)) * paths(y)
    assert row == pytest.approx(Tape(base, [y], cut=True).pull_back([1.0]), rel=0, abs=scale)
    assert topological_order(y) == needed  # and no mark is left


@given(expressions())
def test_a_walk_that_stops(expression):
    leaves = [Value(x) for x in expression.leaves]
    entries = [x * 1.0 for x in leaves]
    y = expression.build(entries, eager)[-1]
    everything = consumers_first([y])
    before = {id(node) for node in (*leaves, *entries)}
    assert consumers_first([y], entries) == [n for n in everything if id(n) not in before]
    assert consumers_first([y]) == everything


# --- what is an input ----------------------------------------------------------------------------


def test_an_input_that_was_computed_from_another():
    x = Value(3.0)
    u = x * x
    y = u * x  # x³; by u and x apart: u·x
    both = Tape([x, u], [y])
    assert both.pull_back([1.0]) == [27.0, 3.0]  # that of x is through u as well
    assert Tape([x, u], [y], cut=True).pull_back([1.0]) == [9.0, 3.0]
    assert both.push_forward([1.0, 0.0]) == [27.0]
    assert both.push_forward([0.0, 1.0]) == [3.0]
    apart = Tape([x, u], [y], cut=True)
    assert apart.push_forward([1.0, 0.0]) == [9.0]
    assert apart.curve([1.0], [1.0, 0.0]) == [0.0, 1.0]
    assert Tape([x], [y]).curve([1.0], [1.0]) == [18.0]
    assert Tape([u], [y]).curve([1.0], [1.0]) == [0.0]
    graphs = pull_back([x, u], [y], [1.0])
    assert [g.data for g in graphs] == [27.0, 3.0]
    assert [g.data for g in pull_back([x, u], [y], [1.0], cut=True)] == [9.0, 3.0]


def test_inputs_that_nothing_depends_on_and_results_that_depend_on_nothing():
    x, other, constant = Value(2.0), Value(3.0), Value(5.0)
    tape = Tape([other, x], [x * constant, constant])
    assert tape.pull_back([1.0, 1.0]) == [0.0, 5.0]
    assert tape.push_forward([1.0, 1.0]) == [5.0, 0.0]
    assert tape.curve([1.0, 1.0], [1.0, 1.0]) == [0.0, 0.0]


def test_results_that_are_inputs_or_repeated_and_inputs_that_are_repeated():
    x = Value(2.0)
    y = x * x
    tape = Tape([x, x], [x, y, y])
    assert tape.pull_back([1.0, 0.0, 0.0]) == [1.0, 1.0]
    assert tape.pull_back([0.0, 1.0, 10.0]) == [44.0, 44.0]
    assert [number(g) for g in pull_back([x, x], [x, y, y], [0.0, 1.0, 10.0])] == [44.0, 44.0]


def test_nothing():
    x = Value(2.0)
    assert Tape([], [x * x]).pull_back([1.0]) == []
    assert Tape([], [x * x]).push_forward([]) == [0.0]
    assert Tape([x], []).pull_back([]) == [0.0]
    assert Tape([x], []).push_forward([1.0]) == []
    assert Tape([], []).curve([], []) == []


def test_a_tape_is_of_the_moment():
    x = Value(2.0)
    tape = Tape([x], [x * x * x])
    x.data = 100.0
    assert tape.pull_back([1.0]) == [12.0]
    assert tape.curve([1.0], [1.0]) == [12.0]


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        (lambda tape: tape.pull_back([1.0, 2.0]), "expected 1 numbers, got 2"),
        (lambda tape: tape.push_forward([1.0]), "expected 2 numbers, got 1"),
        (lambda tape: tape.curve([], [1.0, 0.0]), "expected 1 numbers, got 0"),
        (lambda tape: tape.curve([1.0], [1.0]), "expected 2 numbers, got 1"),
    ],
)
def test_wrong_lengths(sweep, expected):
    x, y = Value(2.0), Value(3.0)
    with pytest.raises(ValueError, match=expected):
        sweep(Tape([x, y], [x * y]))


def test_a_tape_that_cannot_be_made_leaves_the_graph_in_order():
    x, y = Value(2.0), Value(3.0)
    z = x * y + x
    for inputs, outputs in [([x, 1.0], [z]), ([x], [z, "text"]), ([1.0], [z])]:
        with pytest.raises((TypeError, AttributeError)):
            Tape(inputs, outputs)
    assert Tape([x, y], [z]).pull_back([1.0]) == [4.0, 2.0]
    z.backward()
    assert (x.grad, y.grad) == (4.0, 2.0)
    assert len(topological_order(z)) == 4


@pytest.mark.parametrize(
    "call",
    [
        "Tape([x], [x, None])", "Tape([x, None], [x])", "topological_order([x, None])",
        "zero_grad([x, None])", "graph_info(None)", "warn_missing_gradients(None, [x])",
    ],
)  # fmt: skip
def test_none_for_a_node_is_refused_and_no_crash(call):
    """In a process of its own: compiled code may take None for a node and read its memory."""
    program = f"""
from autograd_bp import *
from autograd_bp.tape import Tape
x = Value(1.0)
try:
    {call}
except (TypeError, AttributeError):
    print("refused")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "refused\n"), ran.stderr


def test_a_long_chain_and_a_wide_sum():
    x = Value(0.5)
    y = x
    for _ in range(100_000):
        y = y * 1.0 + 0.0
    assert Tape([x], [y * y]).curve([1.0], [1.0]) == [2.0]
    row = [Value(float(i)) for i in range(50_000)]
    total = ab.dot(row, row)
    t = [1.0] * len(row)
    assert Tape(row, [total]).pull_back([1.0]) == [2.0 * i for i in range(50_000)]
    assert Tape(row, [total]).curve([1.0], t) == [2.0] * 50_000


# --- what is left where user code misbehaves ------------------------------------------------------


def test_a_rule_that_raises_leaves_no_memory_behind():
    """A tape's arrays were lost where a rule raised: 2.4 MB each time."""

    class Fails(Rule):
        def rates(self, *arguments):
            raise KeyboardInterrupt

    x = y = Value(0.5)
    for _ in range(100_000):
        y = y + 1.0
    tape = Tape([x], [restore(Fails("fails", None), (y,), y.data, [1.0])])
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("memory is read from /proc, which is Linux's")
    sizes = []
    for _ in range(60):
        with pytest.raises(KeyboardInterrupt):
            tape.curve([1.0], [1.0])
        sizes.append(int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    assert sizes[-1] - sizes[9] < 20_000_000


def test_tangents_whose_number_changes_while_they_are_read():
    class Grows(float):
        def __float__(self):
            tangents.append(0.0)
            return 1.0

    x, y = Value(2.0), Value(3.0)
    tape = Tape([x, y], [x * y])
    tangents = [Grows(), 1.0]
    with pytest.raises(ValueError, match="expected 2 numbers, got 3"):
        tape.push_forward(tangents)


def test_outputs_that_come_once_only():
    x, y = Value(2.0), Value(3.0)
    assert Tape([x, y], (node for node in [x * y, x + y])).pull_back([1.0, 1.0]) == [4.0, 3.0]


def test_a_tape_is_made_once():
    x = Value(2.0)
    tape = Tape([x], [x * x])
    if ab.compiled:
        with pytest.raises(RuntimeError, match="made once"):
            tape.__init__([x], [x * x * x])
    assert tape.pull_back([1.0]) == [4.0]
