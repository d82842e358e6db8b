"""Random sequences of everything that a user can do, against a plain model.

``python -m tests.fuzz --examples 20000 --seed 1`` is the heavy run; it prints its figures.
The model is a graph of plain records: values by `math`, derivatives by forward mode from
scratch, each time they are asked for.
"""

import argparse
import copy
import gc
import math
import pickle
import sys
import time
from collections import Counter

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

import autograd_bp as ab
from autograd_bp.value import apply

try:
    from autograd_bp.program import trace
except ImportError:  # without NumPy
    trace = None

DONE = Counter()
"""How often each rule ran, in all examples."""

LARGEST = 1e3  # of values and local derivatives: rounding errors then stay small
MOST_NODES = 60


def _sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def _direction(a, b):
    a, b = a * 2.0**500, b * 2.0**500  # or the length of the smallest floats has one bit
    return a / math.hypot(a, b), b / math.hypot(a, b)


# Each operation again: its value, and its local derivatives given the operands.
MODEL = {
    "+": (lambda a, b: a + b, lambda a, b: (1, 1)),
    "-": (lambda a, b: a - b, lambda a, b: (1, -1)),
    "*": (lambda a, b: a * b, lambda a, b: (b, a)),
    "/": (lambda a, b: a / b, lambda a, b: (1 / b, -a / b / b)),
    "neg": (lambda x: -x, lambda x: (-1,)),
    "sin": (math.sin, lambda x: (math.cos(x),)),
    "exp": (math.exp, lambda x: (math.exp(x),)),
    # The textbook's forms, which the engine states that it uses.
    "tanh": (math.tanh, lambda x: (1 - math.tanh(x) ** 2,)),
    "sigmoid": (_sigmoid, lambda x: (_sigmoid(x) * (1 - _sigmoid(x)),)),
    "relu": (lambda x: max(x, 0), lambda x: (float(x > 0),)),
    "maximum": (max, lambda a, b: (1.0, 0.0) if a > b else (0.0, 1.0) if b > a else (0.5, 0.5)),
    "hypot": (math.hypot, _direction),
    "sum_of": (lambda *x: math.fsum(x), lambda *x: (1,) * len(x)),
    "mean": (lambda *x: math.fsum(x) / len(x), lambda *x: (1 / len(x),) * len(x)),
    "dot": (
        lambda *x: math.fsum((*(w * v for w, v in zip(x[:2], x[2:4], strict=True)), x[4])),
        lambda *x: (*x[2:4], *x[:2], 1),
    ),
}
OF_ONE = ["neg", "sin", "exp", "tanh", "sigmoid", "relu"]
OF_TWO = ["+", "-", "*", "/", "maximum", "hypot"]
OF_MANY = {"sum_of": 3, "mean": 2, "dot": 5}


def on_values(name, operands):
    """The engine's operation; the operands of the model stand in one row."""
    if name == "dot":
        return ab.dot(operands[:2], operands[2:4], operands[4])
    if name in OF_MANY:
        return getattr(ab, name)(operands)
    return apply(name, *operands)


class Record:
    """A node of the model."""

    def __init__(self, data, name="", operands=()):
        self.data = data
        self.name = name
        self.operands = operands
        self.grad = 0.0
        self.scale = 0.0  # what rounding errors of grad are relative to

    def partials(self):
        return MODEL[self.name][1](*map(number, self.operands))


def number(x):
    return x.data if isinstance(x, Record) else x


def ancestry(root):
    """All records that root was computed from, operands first, root last."""
    order, seen = [], set()

    def visit(record):
        if isinstance(record, Record) and id(record) not in seen:
            seen.add(id(record))
            for x in record.operands:
                visit(x)
            order.append(record)

    visit(root)
    return order


def derivative(order, wrt):
    """∂(the last of order)/∂wrt by forward mode, and the same with all signs positive."""
    tangent = {id(wrt): (1.0, 1.0)}
    for record in order:
        if record is wrt or not record.name:
            continue
        t = s = 0.0
        for x, d in zip(record.operands, record.partials(), strict=True):
            if isinstance(x, Record):
                tx, sx = tangent.get(id(x), (0.0, 0.0))
                t, s = t + d * tx, s + abs(d) * sx
        tangent[id(record)] = t, s
    return tangent.get(id(order[-1]), (0.0, 0.0))


def assert_near(got, true, scale):
    assert abs(got - true) <= 1e-9 * scale + 1e-250, (got, true, scale)


class Machine(RuleBasedStateMachine):
    """Values, each with its record in the model."""

    def __init__(self):
        super().__init__()
        self.nodes = []

    # --- building ---

    @initialize(numbers=st.lists(st.floats(-8, 8), min_size=2, max_size=4))
    def begin(self, numbers):
        for x in numbers:
            self.keep(ab.Value(x), Record(x))

    @rule(x=st.floats(-8, 8), label=st.text(max_size=3))
    def leaf(self, x, label):
        DONE["leaf"] += 1
        self.keep(ab.Value(x, label), Record(x))

    def keep(self, value, record):
        if len(self.nodes) < MOST_NODES:
            self.nodes.append((value, record))

    def pick(self, data):
        return data.draw(st.sampled_from(self.nodes), label="node")

    @rule(data=st.data(), names=st.lists(st.sampled_from(list(MODEL)), min_size=1, max_size=8))
    def operate(self, data, names):
        for name in names:
            self.operate_once(data, name)

    def operate_once(self, data, name):
        n = OF_MANY.get(name, 1 if name in OF_ONE else 2)
        pairs = [self.pick(data)]
        plain = st.floats(-8, 8).map(lambda x: (x, x))
        for _ in range(n - 1):
            pairs.append(data.draw(plain) if data.draw(st.booleans()) else self.pick(data))
        if data.draw(st.booleans()):
            pairs.reverse()
        values, records = zip(*pairs, strict=True)
        numbers = [number(x) for x in records]
        if (name == "/" and numbers[1] == 0) or (name == "hypot" and not any(numbers)):
            return
        if name == "exp" and numbers[0] > 8:
            return
        y = MODEL[name][0](*numbers)
        if not all(abs(x) <= LARGEST for x in (y, *MODEL[name][1](*numbers))):
            return
        DONE["operate"] += 1
        value = on_values(name, list(values))
        scale = abs(y) + sum(abs(x) ** 2 + abs(x) for x in numbers)
        assert abs(value.data - y) <= 1e-13 * scale, name
        # From here on the model has the engine's number, so that errors do not add up.
        self.keep(value, Record(value.data, name, tuple(records)))

    # --- gradients ---

    @rule(data=st.data(), start=st.sampled_from([1.0, -2.0, 0.0]), graph=st.booleans())
    def backward(self, data, start, graph):
        DONE["backward"] += 1
        value, record = self.pick(data)
        value.backward(start, create_graph=graph)
        order = ancestry(record)
        for other in order:
            d, scale = derivative(order, other)
            keep = not other.name
            other.grad = d * start + (other.grad if keep else 0.0)
            other.scale = scale * abs(start) + (other.scale if keep else 0.0)
        self.compare(value, record)

    def compare(self, value, record, seen=None):
        """The graph of a node with that of its record, all gradients included."""
        pairs, seen = [(value, record)], set()
        while pairs:
            value, record = pairs.pop()
            if id(record) in seen:
                continue
            seen.add(id(record))
            assert value.data == record.data
            assert value.op == record.name
            grad = value.grad.data if isinstance(value.grad, ab.Value) else value.grad
            assert_near(grad, record.grad, record.scale)
            assert len(value.operands) == len(record.operands)
            for v, r in zip(value.operands, record.operands, strict=True):
                assert isinstance(v, ab.Value) == isinstance(r, Record)
                if isinstance(r, Record):
                    pairs.append((v, r))

    @rule(data=st.data())
    def zero_grad(self, data):
        DONE["zero_grad"] += 1
        value, record = self.pick(data)
        ab.zero_grad([value])
        record.grad = record.scale = 0.0

    @rule(data=st.data(), graph=st.booleans())
    def gradients(self, data, graph):
        DONE["gradients"] += 1
        value, record = self.pick(data)
        order = ancestry(record)
        found = ab.gradients(value, [x for x, _ in self.nodes], create_graph=graph)
        for (_, wrt), got in zip(self.nodes, found, strict=True):
            true = derivative(order, wrt) if any(r is wrt for r in order) else (0.0, 0.0)
            assert_near(got.data if isinstance(got, ab.Value) else got, *true)
        self.compare(value, record)

    # --- the same expression as a function ---

    @rule(data=st.data())
    def transform(self, data):
        """grad, jvp, trace and value_and_grad of a function that builds the graph again."""
        DONE["transform"] += 1
        _, record = self.pick(data)
        order = ancestry(record)
        leaves = [r for r in order if not r.name]

        def f(x):
            made = {id(r): v for r, v in zip(leaves, x, strict=True)}
            for r in order:
                if r.name:
                    operands = [made[id(o)] if isinstance(o, Record) else o for o in r.operands]
                    made[id(r)] = on_values(r.name, operands)
            return made[id(record)]

        at = [r.data for r in leaves]
        true = [derivative(order, r) for r in leaves]
        size = sum(abs(x) * s for x, (_, s) in zip(at, true, strict=True)) + abs(record.data)
        for got, (d, scale) in zip(ab.grad(f)(at), true, strict=True):
            assert_near(got, d, scale)
        y, slope = ab.jvp(f, (at,), ([1.0] * len(at),))
        assert y == record.data
        assert_near(slope, sum(d for d, _ in true), sum(s for _, s in true))
        if trace is not None:
            y, slopes = trace(f, at).value_and_grad(at)
            assert abs(y - record.data) <= 1e-9 * size + 1e-250
            for got, (d, scale) in zip(slopes, true, strict=True):
                assert abs(got - d) <= 1e-6 * (scale + 1e-250)

    # --- copies, and the end ---

    @rule(data=st.data(), how=st.sampled_from(["detach", "copy", "deepcopy", "pickle"]))
    def duplicate(self, data, how):
        DONE[how] += 1
        value, record = self.pick(data)
        if how == "detach":
            self.keep(value.detach(), Record(record.data))
            return
        if how == "copy":
            twin, other = copy.copy(value), copy.copy(record)
        elif how == "deepcopy":
            twin, other = copy.deepcopy(value), copy.deepcopy(record)
        else:
            twin, other = pickle.loads(pickle.dumps(value)), copy.deepcopy(record)
        self.compare(twin, other)
        self.keep(twin, other)

    @rule(data=st.data())
    def drop(self, data):
        DONE["drop"] += 1
        if len(self.nodes) > 2:
            del self.nodes[data.draw(st.integers(0, len(self.nodes) - 1))]

    @rule(data=st.data())
    def draw(self, data):
        DONE["draw"] += 1
        value, record = self.pick(data)
        text = ab.draw(value).source
        assert text.lstrip().startswith("digraph")
        assert text.count(" -> ") >= len({id(r) for r in ancestry(record)}) - 1

    def teardown(self):
        for value, record in self.nodes:
            self.compare(value, record)
        self.nodes.clear()


def run(examples, steps=30):
    """So many sequences of at most so many steps."""
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    start = time.perf_counter()
    seed(arguments.seed)(Machine)
    run(arguments.examples)
    gc.collect()
    sys.stdout.write(
        f"{arguments.examples} sequences with seed {arguments.seed}, {DONE.total()} steps in "
        f"{time.perf_counter() - start:.0f} s, no disagreement: "
        + ", ".join(f"{name} {count}" for name, count in DONE.most_common())
        + f"; engine {'compiled' if ab.compiled else 'interpreted'}\n"
    )


if __name__ == "__main__":
    main()
