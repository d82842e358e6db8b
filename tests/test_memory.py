"""No recursion anywhere, and nothing that is dropped stays."""

import copy
import gc
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import autograd_bp
from autograd_bp import (
    Value,
    dot,
    draw,
    gradients,
    logsumexp,
    mean,
    norm,
    relu,
    scope,
    softmax,
    sum_of,
    topological_order,
    zero_grad,
)
from autograd_bp.ops import CODES, TABLE
from autograd_bp.rules import IEEE
from autograd_bp.value import apply

# Nodes of the long chain; 10_000_000 takes a few minutes and gigabytes.
CHAIN = int(os.environ.get("AUTOGRAD_BP_CHAIN", 1_000_000))

reads_proc = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="memory is read from /proc, which is Linux's"
)


def resident():
    """Bytes of memory that this process occupies."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- depth ---------------------------------------------------------------------------------------


def chain(x, n, link=None):
    """n nodes, one upon the other; those with a row of operands among them."""
    y = x
    for i in range(n):
        kind = i % 8 if link is None else link
        if kind == 0:
            y = dot([y], [1.0], 1.0)
        elif kind == 1:
            y = sum_of([y, 1.0])
        elif kind == 2:
            y = (y + 1.0).relu()
        else:
            y = y + 1.0
    return y


@pytest.mark.parametrize("n", [200_000, pytest.param(CHAIN, marks=pytest.mark.slow)])
def test_a_long_chain(n):
    """Built, differentiated, sorted, deep-copied, pickled, refused by draw, freed."""
    x = Value(1.0)
    y = chain(x, n)
    y.backward()
    assert x.grad == 1.0
    assert len(topological_order(y)) >= n
    with pytest.raises(ValueError, match="limit"):
        draw(y)
    twin = copy.deepcopy(y)
    assert (twin.data, twin.grad) == (y.data, 1.0)
    del y
    text = pickle.dumps(twin)
    del twin
    again = pickle.loads(text)
    again.backward()
    (leaf,) = (node for node in topological_order(again) if node.is_leaf)
    assert leaf.grad == 2.0  # it had 1.0
    del leaf, again


@pytest.mark.parametrize("link", range(4), ids=["dot", "sum_of", "two", "one"])
def test_chains_of_one_operation(link):
    x = Value(1.0)
    y = chain(x, 100_000, link)
    y.backward()
    assert x.grad == 1.0


def test_the_pickler_in_python_does_not_recurse_either():
    x = Value(1.0)
    y = chain(x, 5_000)
    assert pickle.loads(pickle._dumps(y)).data == y.data
    assert pickle._loads(pickle.dumps(y)).data == y.data


def test_deep_and_wide():
    """A ladder, each node used twice: freed from either side."""
    x = y = Value(1.0)
    rungs = []
    for _ in range(50_000):
        x, y = (x + y) * 0.5, dot([x, y], [0.5, 0.5])
        rungs.append(x)
    y.backward()
    assert rungs[-1].data == 1.0
    del rungs[::2]
    del rungs, x, y


def test_labels_and_scopes_do_not_make_it_recurse():
    x = y = Value(1.0)
    with scope("deep"):
        for i in range(100_000):
            y = y + 1.0
            y.label = f"y{i}"
    y.backward()
    assert (x.grad, y.scope) == (1.0, "deep")


# --- what is dropped is gone ---------------------------------------------------------------------


@pytest.fixture
def _no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def fail_after(n):
    x = Value(1.0, "x")
    y = chain(x, n)
    y.backward()
    (y - y.data).log()


@reads_proc
@pytest.mark.usefixtures("_no_collector")
def test_a_graph_dropped_by_an_exception_is_freed_at_once():
    """Each graph takes at least 8 MB. Later ones find the room of the earlier, so the process
    grows no more, though the garbage collector does not run."""
    sizes = []
    for _ in range(8):
        with pytest.raises(ValueError, match="log"):
            fail_after(100_000)
        sizes.append(resident())
    assert sizes[-1] - sizes[2] < 4_000_000


def blocks_left_by(job, before=1000):
    """How many blocks of memory a thousand runs leave behind, after a thousand before them.

    The first thousand fill the interpreter's free lists, once: that is no leak.
    """
    for _ in range(before):
        job()
    before = sys.getallocatedblocks()
    for _ in range(1000):
        job()
    return sys.getallocatedblocks() - before


MANY = {
    "dot": lambda x: dot([x, 2.0], [x, x], x),
    "sum_of": lambda x: sum_of([x, 1.0]),
    "mean": lambda x: mean([x, 1.0]),
    "logsumexp": lambda x: logsumexp([x, 1.0]),
    "norm": lambda x: norm([x, 1.0]),
}


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize(
    "op",
    [op for op in TABLE if op.operands and op.name != "carry_dot"],  # of instructions only
    ids=lambda op: op.name,
)
def test_every_operation_gives_its_memory_back(op):
    operands = [1.0 if op.name == "polygamma" else 0.5] + [0.5] * (len(op.operands) - 1)
    inside = op.is_nary or IEEE.domain(op, (1 << len(operands)) - 1)(*operands)
    is_node = [inside] * (len(operands) - 1) + [True]

    def job():
        if op.is_nary:
            y = MANY[op.name](Value(0.5, "x"))
        else:
            y = apply(
                op.name,
                *[Value(a) if free else a for a, free in zip(operands, is_node, strict=True)],
            )
        y.backward()
        y.parents, y.local_grads, y.operands, repr(y), y.label

    assert CODES[op.name]
    assert blocks_left_by(job) < 100  # one a run would be a thousand


# From a leaf x to a node between, and from that to a root: its gradient is a graph that holds it.
BENT = {
    "exp": (lambda x: x * 2.0, lambda u, x: (u * u).exp()),
    "mean": (lambda x: x * 2.0, lambda u, x: mean([u, x]).exp()),
    "logsumexp": (lambda x: x * 2.0, lambda u, x: logsumexp([u, x])),
    "softmax": (lambda x: x * 2.0, lambda u, x: softmax([u, x])[0]),
    "none of it reaches the leaf": (lambda x: relu(x - 9.0), lambda u, x: u.exp()),
}
WAYS_TO_LET_GO = {
    "zero_grad": lambda x: zero_grad([x]),
    "a number": lambda x: setattr(x, "grad", 0.0),
    "another pass": lambda x: (x * 1.0).backward(),
}


@pytest.mark.parametrize("let_go", WAYS_TO_LET_GO.values(), ids=WAYS_TO_LET_GO)
@pytest.mark.parametrize(("between", "root"), BENT.values(), ids=BENT)
@pytest.mark.usefixtures("_no_collector")
def test_gradients_that_are_graphs_give_their_memory_back(between, root, let_go):
    def job():
        x = Value(0.5)
        u = between(x)
        root(u, x).backward(create_graph=True)
        let_go(x)
        assert isinstance(u.grad, float)

    if autograd_bp.compiled:  # the interpreted engine leaves cycles to Python's collector
        assert blocks_left_by(job) < 100
    x = Value(0.5)
    u = between(x)
    y = root(u, x)
    y.backward(create_graph=True)
    assert isinstance(u.grad, Value)
    (again,) = gradients(x.grad, [x])  # what was kept of a gradient stays a graph
    before, slope = u.grad.data, x.grad
    let_go(x)
    assert u.grad == before
    assert gradients(slope, [x]) == [again]


@pytest.mark.usefixtures("_no_collector")
def test_failures_give_their_memory_back():
    x = Value(-1.0, "x")

    def job():
        for call in (
            lambda: (x * 2.0).log(),
            lambda: dot([x, "a"], [x, x]),
            lambda: sum_of([x * 2.0, None]),
            lambda: (x * 2.0).backward("1"),
            lambda: Value("1"),
            lambda: x * 2.0 + "1",
        ):
            try:
                call()
            except (TypeError, ValueError):
                pass
            else:
                raise AssertionError

    assert blocks_left_by(job) < 100


@pytest.mark.usefixtures("_no_collector")
def test_copies_give_their_memory_back():
    y = chain(Value(1.0, "x"), 20)
    # `copy` makes tuples of one longer and cuts them; the list of free ones holds 2000 of them.
    assert blocks_left_by(lambda: (copy.copy(y), copy.deepcopy(y)), 2100) < 100
    assert blocks_left_by(lambda: pickle.loads(pickle.dumps(y))) < 100


@reads_proc
def test_bytes_per_node():
    """Of a node with two operands, in a process of its own: at most what issue 3 promises."""
    code = """if True:
        import os, pathlib
        from autograd_bp import Value
        def resident():
            pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
            return int(pages) * os.sysconf("SC_PAGE_SIZE")
        x = y = Value(1.0)
        for _ in range(10_000):
            y = y * x
        before = resident()
        for _ in range(1_000_000):
            y = y * x
        print((resident() - before) / 1_000_000)
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(run.stdout) <= (88 if autograd_bp.compiled else 144)


# --- interrupted ---------------------------------------------------------------------------------


def test_an_interrupted_sort_leaves_nothing_behind(interpreted):
    """Ctrl-C at each line in turn of the functions that sort. (Compiled code is not interrupted
    there; it shares the lines.) Marks that stayed on nodes would make later passes wrong."""
    sorting = {"_consumers_first", "_have_wait", "_take_marks_off"}

    def graph():
        x, w = interpreted.Value(3.0), interpreted.Value(2.0)
        z = w * x
        a = interpreted.dot([w, z], [x, x], z)
        b = interpreted.sum_of([a, z, 1.0])
        only_through_c = (x + w).sin()
        c = only_through_c * 2.0
        return [x, w, z, a, b, only_through_c, c, b * a - c]

    def gradients(nodes):
        interpreted.zero_grad(nodes[:2])
        nodes[-1].backward()
        return [node.grad for node in nodes]

    expected = gradients(graph())

    def interrupted_at(k):
        """Sort a graph with an interruption at the k-th line; whether there are so many."""
        lines = 0

        def at_line(frame, event, arg):
            nonlocal lines
            if event == "line":
                lines += 1
                if lines == k:
                    raise KeyboardInterrupt
            return at_line

        def at_call(frame, event, arg):
            ours = frame.f_globals is vars(interpreted.value) and frame.f_code.co_name in sorting
            return at_line if ours and lines < k else None

        nodes = graph()
        tracer = sys.gettrace()
        sys.settrace(at_call)
        try:
            interpreted.consumers_first([nodes[-1]])
        except KeyboardInterrupt:
            happened = True
        else:
            happened = False
        finally:
            sys.settrace(tracer)
        assert gradients(nodes) == expected, f"interrupted at line {k}"
        return happened

    k = 1
    while interrupted_at(k):
        k += 1
    assert k > 100
