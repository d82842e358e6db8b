"""Several threads on graphs that share leaves: what docs/pages/reference/promises.md says.

The numbers are whole and small, so that sums are exact in any order: a lost or doubled
addition shows, and nothing else does.
"""

import _thread
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from autograd_bp import Value, dot, draw, no_grad, sum_of, trace, zero_grad
from autograd_bp.program import helpers, jit

THREADS, ROUNDS = 4, 30


@pytest.fixture(autouse=True)
def _eager_switching():
    """Threads take turns after a microsecond, not after five thousand."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def in_threads(*jobs):
    """Run all at once; raise what any of them raised."""
    errors = []
    barrier = threading.Barrier(len(jobs))

    def guarded(job):
        try:
            barrier.wait()
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_backward_on_graphs_that_share_leaves():
    leaves = [Value(float(i)) for i in range(20)]

    def job():
        for _ in range(ROUNDS):
            total = sum_of([x * 2.0 for x in leaves]) + dot(leaves, [3.0] * 20)
            total.backward()

    in_threads(*[job] * THREADS)
    assert [x.grad for x in leaves] == [5.0 * THREADS * ROUNDS] * 20


def test_backward_on_one_and_the_same_graph():
    leaves = [Value(1.0) for _ in range(20)]
    trunk = sum_of([x * 2.0 for x in leaves])
    for _ in range(20):
        trunk = trunk + trunk * 0.0
    roots = [trunk * float(k) for k in range(1, THREADS + 1)]

    def job(root):
        for _ in range(ROUNDS):
            root.backward()

    in_threads(*[lambda root=root: job(root) for root in roots])
    total = 2.0 * ROUNDS * sum(range(1, THREADS + 1))
    assert [x.grad for x in leaves] == [total] * 20


def test_building_while_another_thread_goes_backward():
    leaves = [Value(1.0) for _ in range(20)]
    trunk = sum_of([x * 2.0 for x in leaves])
    graphs = []
    done = threading.Event()

    def build():
        while True:  # once at least, though the other thread may be done first
            graphs.append(sum_of([trunk * 3.0, *(x * x for x in leaves)]))
            del graphs[:-5]
            if done.is_set():
                return

    def backward():
        try:
            for _ in range(THREADS * ROUNDS):
                (trunk + 1.0).backward()
        finally:
            done.set()

    in_threads(build, build, backward)
    assert [x.grad for x in leaves] == [2.0 * THREADS * ROUNDS] * 20
    zero_grad(leaves)
    graphs[-1].backward()
    assert [x.grad for x in leaves] == [3.0 * 2.0 + 2.0] * 20


def test_dropping_graphs_while_another_thread_goes_backward():
    x = Value(1.0)

    def chain():
        y = x
        for _ in range(500):
            y = y + 1.0
        return y

    def drop():
        for _ in range(ROUNDS):
            chain()

    def backward():
        for _ in range(ROUNDS):
            chain().backward()

    in_threads(drop, drop, backward, backward)
    assert x.grad == 2.0 * ROUNDS


def test_no_grad_in_one_thread_is_not_felt_in_another():
    x = Value(2.0)

    def without():
        for _ in range(1000):
            with no_grad():
                assert (x * x).is_leaf

    def recording():
        for _ in range(1000):
            y = x * x
            assert y.parents == (x, x)

    in_threads(without, recording, without, recording)
    assert not (x * x).is_leaf


# --- threads of a program's map ------------------------------------------------------------------

LANES = np.linspace(-1.0, 1.0, 5000)


@pytest.fixture(scope="module")
def program():
    return trace(lambda w, x: (w[0] * x + w[1]).tanh() * w[2], [0.5, 0.1, 2.0], 1.0)


def mapped(program, threads):
    return program.map([0.5, 0.1, 2.0], LANES, reduce="mean", grad=True, threads=threads)


def test_the_bits_do_not_depend_on_the_number_of_threads(program):
    expected = mapped(program, 1)
    for threads in [2, 3, 7, 64, 1000]:
        assert mapped(program, threads) == expected


def test_helpers_are_kept(program):
    for _ in range(50):
        mapped(program, 3)
    before = _thread._count()  # of all threads, also those that `threading` did not start
    for _ in range(50):
        mapped(program, 3)
    while _thread._count() > max(before, helpers.KEPT + 1):
        time.sleep(0.01)  # until those that are not kept have ended, whenever that is
    assert len(helpers._idle) <= helpers.KEPT


def test_threads_that_share_their_work_at_the_same_time(program):
    expected = mapped(program, 1)

    def job():
        for _ in range(ROUNDS):
            assert mapped(program, 3) == expected

    in_threads(*[job] * THREADS)


def test_a_part_that_shares_work_itself():
    """To any depth, and with no helper to be had: whoever shares does what nobody else does."""
    found = []

    def nested(depth):
        if depth:
            helpers.share([lambda: nested(depth - 1)] * 3)
        else:
            found.append(1)

    nested(5)
    assert len(found) == 3**5


def test_no_thread_can_be_started(program, monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("can't start new thread")

    expected = mapped(program, 1)
    monkeypatch.setattr(helpers, "_idle", [])
    monkeypatch.setattr(helpers, "start_new_thread", refuse)
    assert mapped(program, 4) == expected


def test_an_error_in_a_part_is_raised_when_all_have_ended():
    ended = []

    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        helpers.share([fail] + [lambda: ended.append(1)] * 9)
    assert len(ended) == 9
    assert mapped_once_more() == 10


def mapped_once_more():
    done = []
    helpers.share([lambda: done.append(1)] * 10)
    return len(done)


def test_an_interrupt_begins_no_more_parts():
    """Ctrl-C while others compute: what they began they end, on memory that is still theirs."""
    begun, leave = [], threading.Event()

    def interrupted():
        raise KeyboardInterrupt

    def part():
        begun.append(1)
        if threading.current_thread() is not threading.main_thread():
            leave.wait(10)

    timer = threading.Timer(0.2, leave.set)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        helpers.share([interrupted] + [part] * 3)
    timer.join()
    assert len(begun) == 3
    assert mapped_once_more() == 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # newer Python's, of forking with threads
def test_a_forked_child_has_helpers_of_its_own(program):
    def until_one_is_idle():  # it is so some time after its part is done
        while not helpers._idle:
            time.sleep(0.001)

    expected = mapped(program, 3)
    until_one_is_idle()
    child = os.fork()
    if child == 0:
        ok = not helpers._idle and all(mapped(program, 3) == expected for _ in range(20))
        until_one_is_idle()
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mapped(program, 3) == expected


def as_a_child(job):
    """What a forked child says of the job; one that hangs is killed."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(0 if job() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Slow:
    """A static argument; to compare it lets others go on, and may take as long as they want."""

    def __init__(self, compared):
        self.compared = compared

    def __hash__(self):
        return 1

    def __eq__(self, other):
        self.compared()
        return True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_is_forked_while_a_thread_looks_into_the_cache_of_jit():
    f = jit(lambda x, how: x * x, static_argnums=1)
    f(2.0, Slow(lambda: None))
    inside, go_on = threading.Event(), threading.Event()
    slow = Slow(lambda: (inside.set(), go_on.wait(60)))
    thread = threading.Thread(target=f, args=(2.0, slow))
    thread.start()
    try:
        assert inside.wait(60)
        assert as_a_child(lambda: f(3.0, 1.5) == 9.0 and len(f.programs) == 2) == 0
        # nor does a handler of a signal hang, which comes while this very thread looks
        assert f(3.0, Slow(lambda: f(4.0, 1.5))) == 9.0
    finally:
        go_on.set()
        thread.join()


def test_the_cache_of_jit_in_threads_keeps_those_last_used():
    f = jit(lambda x, n: sum_of([x] * n), static_argnums=1, cache_size=3)

    def job():
        for n in range(1, 9):
            assert f(1.0, n) == n
            assert f(1.0, 100) == 100

    in_threads(*[job] * THREADS)
    f(1.0, 8)
    f(1.0, 100)
    assert [program.value(1.0) for program in f.programs][-2:] == [8, 100]
    assert len(f.programs) <= 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_is_forked_while_a_thread_draws(monkeypatch):
    pygraphviz = pytest.importorskip("pygraphviz")
    monkeypatch.setenv("PATH", "")  # without Graphviz's programs
    x = Value(3.0, "x")
    picture, plain = draw(x * x), pygraphviz.AGraph.draw
    expected = picture.pipe("svg")
    inside, go_on = threading.Event(), threading.Event()

    def slow(*args, **kwargs):
        inside.set()
        go_on.wait(60)
        return plain(*args, **kwargs)

    monkeypatch.setattr(pygraphviz.AGraph, "draw", slow)
    thread = threading.Thread(target=picture.pipe, args=("svg",))
    thread.start()
    assert inside.wait(60)
    timer = threading.Timer(0.2, go_on.set)  # a fork waits for the end of the picture
    timer.start()
    assert as_a_child(lambda: picture.pipe("svg") == expected) == 0
    thread.join()
    assert picture.pipe("svg") == expected


def test_helpers_do_not_keep_the_interpreter_from_ending():
    code = """if True:
        import atexit
        import numpy as np
        from autograd_bp import trace
        f = trace(lambda x: x.sin(), 1.0)
        x = np.linspace(0.0, 1.0, 5000)
        first = f.map(x, threads=3)
        class Last:
            def __del__(self): print(np.array_equal(f.map(x, threads=3), first))
        atexit.register(lambda: print(np.array_equal(f.map(x, threads=3), first)))
        last = Last()
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr, run.stdout.split()) == (0, "", ["True", "True"])
