"""Several threads on graphs that share leaves: what the README promises.

The numbers are whole and small, so that sums are exact in any order: a lost or doubled
addition shows, and nothing else does.
"""

import sys
import threading

import pytest

from autograd_bp import Value, dot, no_grad, sum_of, zero_grad

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
