"""Ctrl-C, other passes and fork at any moment: nothing is stuck, no mark stays, sums are right.

A trace function comes before bytecodes of this package: with the interpreted engine before all of
them, with the compiled one before those of what stays Python, where alone it can be interrupted.
Of all that a job runs, 20 are tried, and its ends; so many more as AUTOGRAD_BP_INTERRUPTS says.
"""

import copy
import gc
import multiprocessing
import os
import random
import signal
import sys
import threading
from contextvars import Context
from pathlib import Path

import pytest

import autograd_bp as ab
from autograd_bp import Value, dot, no_grad, scope, sum_of, topological_order
from autograd_bp.context import collect, current, is_recording, watch
from autograd_bp.custom import checkpoint, custom
from autograd_bp.program.record import record
from autograd_bp.tape import Tape, condense
from autograd_bp.value import consumers_first

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PACKAGE = str(Path(ab.__file__).parent)
TRIES = int(os.environ.get("AUTOGRAD_BP_INTERRUPTS", 20))


class Graph:
    """x, w, and y made of them by operations of all kinds; every number is whole."""

    def __init__(self):
        self.x, self.w = x, w = Value(3.0, "x"), Value(2.0, "w")
        self.made = []
        with collect(self.made):
            z = w * x
            a = dot([w, z], [x, x], z)
            b = sum_of([a, z, 1.0])
            self.square = custom(lambda v: v * v, lambda v: 2.0 * v)(z)
            self.y = b * a - self.square + (w * 0.0).exp()
        self.nodes = topological_order(self.y)

    def expected(self):
        """∂y/∂x and ∂y/∂w, by hand: a = wx + wx² + wx, b = a + wx + 1."""
        x, w = self.x.data, self.w.data
        a, b = 2 * w * x + w * x * x, 3 * w * x + w * x * x + 1
        by_x = (3 * w + 2 * w * x) * a + b * (2 * w + 2 * w * x) - 2 * w * x * w
        by_w = (3 * x + x * x) * a + b * (2 * x + x * x) - 2 * w * x * x
        return [by_x, by_w]

    def assert_usable(self):
        """Passes give the right numbers, also in another thread; no mark and no context stays."""
        x, w, y = self.x, self.w, self.y
        if not ab.compiled:
            assert all(0 <= node._code < 1 << ab.ops.CODE_BITS for node in self.nodes)
        assert is_recording()
        assert current().entries == ()
        assert (x * w).scope == ""
        assert ab.gradients(y, [x, w]) == self.expected()
        assert topological_order(y) == self.nodes
        ab.zero_grad([x, w])
        y.backward()
        thread = threading.Thread(target=y.backward)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        assert [x.grad / 2, w.grad / 2] == self.expected()

    def passes(self):
        """How many passes from y the gradient of x is the sum of."""
        grad = self.x.grad
        passes = getattr(grad, "data", grad) / self.expected()[0]
        assert passes == int(passes)
        return passes


def with_hooks(graph):
    for node in graph.x, graph.nodes[-3]:
        node.register_hook(lambda grad: None)
    graph.y.backward()


def over_an_old_graph(graph):
    graph.y.backward(create_graph=True)
    graph.y.backward(create_graph=True)
    graph.y.backward()


def contexts(graph):
    with no_grad(), scope("s"), watch(lambda node: None):
        graph.x * graph.w


# What is interrupted, and how many passes from y it makes. To be extended at will.
JOBS = {
    "backward": (lambda graph: graph.y.backward(), 1),
    "hooks": (with_hooks, 1),
    "create_graph": (lambda graph: graph.y.backward(create_graph=True), 1),
    "over an old graph": (over_an_old_graph, 3),
    "consumers_first": (lambda graph: consumers_first([graph.y], graph.nodes[3:4]), 0),
    "tape": (lambda graph: Tape([graph.x, graph.w], [graph.y], cut=True).pull_back([1.0]), 0),
    "curve": (lambda graph: Tape([graph.x], [graph.y]).curve([1.0], [1.0]), 0),
    "condense": (lambda graph: condense(graph.made[:2], graph.made[1]), 0),
    "record": (lambda graph: record([graph.x, graph.w], [graph.made[2]]), 0),
    "gradients": (lambda graph: ab.gradients(graph.y, [graph.x], create_graph=True), 0),
    "grad": (lambda graph: ab.grad(lambda x: x * graph.w)(1.0), 0),
    "checkpoint": (lambda graph: checkpoint(lambda x: x * x * x)(graph.x).sin(), 0),
    "deepcopy": (lambda graph: copy.deepcopy(graph.y), 0),
    "contexts": (contexts, 0),
}


class At:
    """Calls ``what`` before the given bytecodes of the package that a job runs, counted from 1."""

    def __init__(self, what, *places):
        self.what, self.places, self.count, self.busy = what, places, 0, False

    def at_call(self, frame, event, arg):
        if self.busy or not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self.at_opcode

    def at_opcode(self, frame, event, arg):
        if event == "opcode" and not self.busy:
            self.count += 1
            if self.count in self.places:
                self.busy = True
                try:
                    self.what()
                finally:
                    self.busy = False
        return self.at_opcode

    def run(self, job, graph):
        before = sys.gettrace()
        sys.settrace(self.at_call)
        try:
            job(graph)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)


def interrupt():
    raise KeyboardInterrupt


def places(job):
    """So many bytecodes as are to be tried, over all that a job runs, and those at its ends."""
    job(Graph())  # what it imports, it has imported
    counter = At(interrupt)
    counter.run(job, Graph())
    step = max(1, counter.count // TRIES)
    everything = range(1, counter.count + 1)
    return sorted(
        {*everything[:40], *everything[random.randrange(step) :: step], *everything[-20:]}
    )


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_an_interrupt_before_any_bytecode_leaves_nothing_behind(name, twice):
    """Twice is Ctrl-C and again, while the first is being dealt with."""
    job, _ = JOBS[name]
    for k in places(job):
        graph = Graph()
        At(interrupt, k, *([k + random.randrange(1, 30)] if twice else [])).run(job, graph)
        graph.assert_usable()


def differentiate(graph):
    """All that a handler may want to do, with the right results."""
    x, w, y = graph.x, graph.w, graph.y
    assert ab.gradients(y, [x, w]) == graph.expected()
    assert Tape([x, w], [y], cut=True).pull_back([1.0]) == graph.expected()
    assert ab.grad(lambda x: x * x)(3.0) == 6.0
    assert topological_order(y) == graph.nodes
    assert copy.deepcopy(y).data == y.data
    assert len(record([x, w], [graph.made[2]])[0].inputs) == 2
    y.backward()


@pytest.mark.parametrize("name", JOBS)
def test_a_handler_that_differentiates_within(name):
    """It does so before any bytecode, on the nodes that are being visited; all sums are right."""
    job, passes = JOBS[name]
    for k in places(job):
        graph = Graph()
        done = []

        def handler(graph=graph, done=done):
            try:
                Context().run(differentiate, graph)  # not within the contexts of the job
            except RuntimeError as error:
                assert "was called by a hook" in str(error)  # noqa: PT017
            else:
                done.append(True)

        At(handler, k).run(job, graph)
        assert graph.passes() == passes + len(done), k
        graph.assert_usable()


@pytest.mark.parametrize(
    "name", ["backward", "hooks", "consumers_first", "tape", "condense", "record"]
)
def test_a_collector_that_differentiates_within(name):
    """Up to Python 3.11 it runs wherever an object is made, in compiled code as well.

    (Not where context variables are set: a collector that sets some crashes Python itself there.)
    """
    job, passes = JOBS[name]
    job(Graph())
    graph, done = Graph(), []

    def at_collection(phase, info):
        if phase == "stop" and not done.count(None):
            done.append(None)
            try:
                Context().run(differentiate, graph)
                done.append(True)
            except RuntimeError as error:
                if "was called by a hook" not in str(error):
                    done.append(error)
            except BaseException as error:
                done.append(error)
            finally:
                done.remove(None)

    thresholds = gc.get_threshold()
    gc.callbacks.append(at_collection)
    try:
        gc.set_threshold(1)
        job(graph)
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(at_collection)
    assert set(done) <= {True}
    assert graph.passes() == passes + len(done)
    graph.assert_usable()


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_finalizer_of_an_old_gradient_that_differentiates(create_graph):
    graph = Graph()
    done = []

    class Last:
        def __call__(self, v):
            return 1.0

        def __del__(self):
            graph.y.backward()
            done.append(True)

    for node in graph.nodes[:3]:
        node.grad = custom(float, Last())(Value(0.0))
    graph.y.backward(create_graph=create_graph)
    gc.collect()
    assert len(done) == 3
    assert graph.passes() == 4
    graph.assert_usable()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that sends signals")
@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals reach it alone"
)
@pytest.mark.parametrize("name", JOBS)
def test_signals_at_any_time(name):
    """Whenever they come, if at all, and whatever is running then."""
    job, _ = JOBS[name]

    def handler(number, frame):
        nonlocal came
        if not came:
            came = True
            raise KeyboardInterrupt  # which Python drops where it comes in a finalizer

    came, graph = True, Graph()
    old = signal.signal(signal.SIGALRM, handler)
    try:
        for _ in range(TRIES):
            try:
                came = False
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 1e-3))
                while not came:
                    job(graph)
            except KeyboardInterrupt:
                pass
            graph.assert_usable()
            ab.zero_grad(graph.nodes)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, old)


# --- what waits, while a pass is open ------------------------------------------------------------


def work():
    """Every way to a derivative, in a thread or process of its own."""
    graph = Graph()
    differentiate(graph)
    graph.y.backward(create_graph=True)
    ab.zero_grad([graph.x, graph.w])
    graph.assert_usable()


def in_a_thread(job):
    thread = threading.Thread(target=job, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("where", ["hook", "derivative"])
def test_a_hook_or_a_derivative_may_wait_for_a_thread_that_differentiates(where, create_graph):
    """On the same graph, too: its passes are counted, and so is the one that waits."""
    graph = Graph()
    waits = []

    def wait(*_):
        if not waits and graph.ready:
            waits.append(True)
            in_a_thread(work)
            in_a_thread(lambda: differentiate(graph))
            in_a_thread(lambda: graph.y.backward(create_graph=True))

    graph.ready = False
    if where == "hook":
        graph.nodes[-2].register_hook(wait)
        root = graph.y
    else:
        root = custom(lambda v: v, lambda v: wait() or 1.0)(graph.y)
        graph.x.register_hook(lambda grad: None)
    graph.ready = True
    root.backward(create_graph=create_graph)
    assert len(waits) == (where == "hook" or create_graph)
    assert graph.passes() == 1 + 2 * len(waits)


METHODS = multiprocessing.get_all_start_methods()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_child_differentiates_while_a_thread_of_its_parent_is_within_a_pass(method, create_graph):
    graph = Graph()
    inside, go_on = threading.Event(), threading.Event()

    def wait(grad):
        inside.set()
        go_on.wait(60)

    graph.nodes[-2].register_hook(wait)
    thread = threading.Thread(target=graph.y.backward, kwargs={"create_graph": create_graph})
    thread.start()
    try:
        assert inside.wait(60)
        for _ in range(3 if method == "fork" else 1):
            child = multiprocessing.get_context(method).Process(target=work)
            child.start()
            child.join(120)
            assert child.exitcode == 0
    finally:
        go_on.set()
        thread.join()
    assert graph.passes() == 1


@pytest.mark.skipif("fork" not in METHODS, reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("name", JOBS)
def test_fork_before_any_bytecode(name):
    """The thread that is stopped there does not come along; its graph is right in the child."""
    job, _ = JOBS[name]
    for k in places(job)[::20]:
        graph = Graph()
        inside, go_on = threading.Event(), threading.Event()

        def stop(inside=inside, go_on=go_on):
            inside.set()
            go_on.wait(60)

        at = At(stop, k)
        thread = threading.Thread(target=lambda at=at: (at.run(job, graph), inside.set()))
        thread.start()
        try:
            assert inside.wait(60)
            child = multiprocessing.get_context("fork").Process(target=graph.assert_usable)
            child.start()
            child.join(120)
            assert child.exitcode == 0
        finally:
            go_on.set()
            thread.join()
