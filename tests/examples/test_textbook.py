"""The engine against the engine on one page, ``examples/textbook.py``, which anyone can check.

Numbers agree to the last bit, sums of gradients included: both add them up in the same order.
Only a division, which is one operation here and a product with a power there, agrees to rounding.
"""

import math
import operator
import random
import sys
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autograd_bp import Value

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import textbook

OF_TWO = {"+": operator.add, "-": operator.sub, "*": operator.mul}
OF_ONE = {
    "neg": operator.neg,
    "exp": lambda a: a.exp(),
    "log": lambda a: a.log(),
    "relu": lambda a: a.relu(),
    "+ number": lambda a: a + 1.7,
    "number +": lambda a: 1.7 + a,
    "- number": lambda a: a - 1.7,
    "number -": lambda a: 1.7 - a,
    "* number": lambda a: a * -0.3,
    "number *": lambda a: -0.3 * a,
    **{f"** {n}": lambda a, n=n: a**n for n in (-1.5, -1.0, 0.5, 2.0, 3.0)},
}
DIVISIONS = {
    "/": operator.truediv,
    "number /": lambda a, b: 1.7 / a,
    "/ number": lambda a, b: a / -0.3,
}
EPS = sys.float_info.epsilon
TINY = sys.float_info.min
"""Below it floats lose bits."""


@st.composite
def expressions(draw, divided=False):
    """Leaves, and steps: each the name of an operation and the places of earlier numbers.

    hypothesis gives the size and a seed: what it makes up by itself has so few bits that no sum
    rounds, and shares so little that hardly a node has three gradients to add.
    """
    rng = random.Random(draw(st.integers(0, 2**64)))
    leaves = [rng.choice([rng.uniform(-3.0, 3.0), rng.randrange(-1, 3)]) for _ in range(3)]
    steps = []
    for n in range(len(leaves), len(leaves) + draw(st.integers(1, 20))):
        operations = rng.choice([OF_TWO, OF_TWO, OF_ONE])
        places = [rng.randrange(n) for _ in range(1 if operations is OF_ONE else 2)]
        steps.append((rng.choice(list(operations)), places))
    if divided:
        places = [rng.randrange(n), rng.randrange(n)]
        steps.append((rng.choice(list(DIVISIONS)), places))
    return leaves, steps


def run(number, expression):
    """The nodes of an expression after the last one's backward pass."""
    leaves, steps = expression
    nodes = [number(float(x)) for x in leaves]
    for name, places in steps:
        nodes.append((OF_ONE | OF_TWO | DIVISIONS)[name](*(nodes[i] for i in places)))
    nodes[-1].backward()
    return nodes


def run_the_page(expression):
    """Its nodes, where Python's arithmetic has a finite number for each."""
    try:
        nodes = run(textbook.Value, expression)
    except (ValueError, OverflowError, ZeroDivisionError, TypeError):  # the last of complex roots
        nodes = []
    numbers = [x for node in nodes for x in (node.data, node.grad)]
    assume(nodes and all(isinstance(x, float) and math.isfinite(x) for x in numbers))
    return nodes


def bits(nodes):
    return [(node.data.hex(), node.grad.hex()) for node in nodes]


@settings(max_examples=400)
@given(expressions())
def test_same_operations_give_the_same_bits(expression):
    theirs = run_the_page(expression)
    assert bits(run(Value, expression)) == bits(theirs)


@settings(max_examples=200)
@given(expressions(divided=True))
def test_a_division_agrees_to_rounding(expression):
    theirs = run_the_page(expression)
    ours = run(Value, expression)
    assert [node.data for node in ours[:-1]] == [node.data for node in theirs[:-1]]
    assert abs(ours[-1].data - theirs[-1].data) <= 2 * EPS * abs(theirs[-1].data) + TINY

    # The last quotient's own derivatives differ by five roundings at most, half an EPS each. Then
    # either pass rounds a product and a sum for each edge on the way to a leaf.
    edges = 3 + sum(len(node.parents) for node in theirs)
    for mine, other, ways in zip(ours, theirs, sums_of_ways(theirs), strict=True):
        assert abs(mine.grad - other.grad) <= (3 + 2 * edges) * EPS * ways + TINY


def sums_of_ways(nodes):
    """For each node the sum, over all ways from it to the last, of the sizes of what they carry."""
    order, sizes = [], {id(nodes[-1]): 1.0}

    def visit(node):
        if node not in order:
            for parent in node.parents:
                visit(parent)
            order.append(node)

    visit(nodes[-1])
    for node in reversed(order):
        for parent, local_grad in zip(node.parents, node.local_grads, strict=True):
            way = sizes[id(node)] * abs(local_grad)
            sizes[id(parent)] = sizes.get(id(parent), 0.0) + way
    return [sizes.get(id(node), 0.0) for node in nodes]


def test_the_page_is_short():
    assert len(Path(textbook.__file__).read_text("utf-8").splitlines()) < 100
