"""Every allocation made to fail in turn, as SQLite does it: `make oom`.

An operation runs once for each allocation that it makes: in the first run the first one fails, in
the next run the second, until a run gets through. Then again, with all allocations failing from
that one on. Each run must end with its result or with MemoryError; afterwards nothing is left of
it, other threads go on, and the same operation gives the same numbers as before.

What fails is the C library's malloc where our compiled modules ask for memory, be it through
Python, and for NumPy's arrays, in which the kernel works (failing_malloc.c).
"""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
import threading
import warnings

import failing_malloc  # type: ignore[import-not-found]
import numpy as np

import autograd_bp
from autograd_bp import (
    Value,
    dot,
    logsumexp,
    mean,
    norm,
    softmax,
    sum_of,
    trace,
    zero_grad,
)
from autograd_bp.custom import checkpoint, custom
from autograd_bp.program import run
from autograd_bp.program.simplify import simplify
from autograd_bp.tape import Tape
from autograd_bp.transforms import gradients

cube = custom(lambda x: x**3, lambda x: 3.0 * x**2)
tail = checkpoint(lambda x: (x * 2.0).tanh() + x)


def graph():
    x = [Value(0.5, "x"), Value(-1.5), Value(2.0)]
    z = dot(x, [1.0, x[0], 3], x[2])
    y = logsumexp([z, *x]) + norm(x) * sum_of([x[1], 2]) - mean(x).exp()
    return x, (y.tanh() + softmax(x)[0].log() + x[0] ** x[2] + x[1].clip(-2.0, 1.0)).sigmoid()


def build():
    return graph()[1].data


def build_custom():
    x = Value(0.5)
    y = tail(cube(x) * x)
    y.backward()
    return y.data, x.grad


FIXED, ROOT = graph()
MODEL = trace(lambda x: dot(x, x, x[0]).tanh() + sum_of(x) * x[1].exp(), [0.5, 0.2, -0.1])
LANES = np.linspace(-1.0, 1.0, 3 * 600).reshape(600, 3)
POINT = [0.5, 0.2, -0.1]
TAPE = Tape(FIXED, [ROOT])
CHAIN = 20_000


def backward():
    zero_grad(FIXED)
    ROOT.backward()
    return [x.grad for x in FIXED]


def backward_graph():
    x, y = graph()
    try:
        y.backward(create_graph=True)
        return [v.grad.data for v in x]
    finally:
        zero_grad(x)


def second_derivatives():
    first = gradients(ROOT, FIXED, create_graph=True)
    return gradients(first[0], FIXED)


def make_tape():
    return Tape(FIXED, [ROOT]).pull_back([1.0])


def sweep():
    return (
        TAPE.pull_back([1.0]),
        TAPE.push_forward([1.0, 0.0, 2.0]),
        TAPE.curve([1.0], [1.0, 0.0, 2.0]),
    )


def copied():
    return copy.deepcopy(ROOT).data


def pickled():
    return pickle.loads(pickle.dumps(ROOT)).data


def traced():
    return trace(
        lambda x, y: dot(x, x, y).sin() * 2.0 + (x[0] * x[1] + x[0] * y), POINT, 1.0
    ).value(POINT, 2.0)


def simplified():
    return len(simplify(MODEL.instructions))


def program_pickled():
    return pickle.loads(pickle.dumps(MODEL)).value(POINT)


def value():
    return MODEL.value(POINT), MODEL.value_and_grad(POINT)


def mapped():
    return MODEL.map(LANES), MODEL.map(LANES, reduce="mean", grad=True)


def mapped_in_threads():
    return MODEL.map(LANES, threads=2), MODEL.map(LANES, reduce="sum", grad=True, threads=3)


def planned():
    for key in [key for key in MODEL.derived if key[0] != "gradient"]:
        del MODEL.derived[key]
    return MODEL.value(POINT), MODEL.map(LANES, threads=2)


def drop_a_chain():
    """Nothing is made here but in front of it: a deep graph is freed while there is no memory."""
    return held.pop().data


held: list[Value] = []


def chain():
    y = Value(1.0)
    for i in range(CHAIN):
        y = sum_of([y, 1.0]) if i % 3 else y + 1.0
    held[:] = [y]


OPERATIONS = [
    build, backward, sweep, value, mapped, mapped_in_threads, planned, drop_a_chain, build_custom,
    backward_graph, second_derivatives, make_tape, copied, pickled, traced, simplified,
]  # fmt: skip
# On request only: Cython's memoryviews leave blocks behind.
ON_REQUEST = [program_pickled]
PREPARATIONS = {drop_a_chain: chain}


def as_text(result):
    """Numbers to the bit."""
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        return repr(result)


def others_can_go_on():
    """Whether a pass in another thread comes to its end."""
    thread = threading.Thread(target=backward, daemon=True)
    thread.start()
    thread.join(10)
    return not thread.is_alive()


def once(operation, n):
    """Run it with allocation n failing: whether it got through, and how many blocks it left."""
    PREPARATIONS.get(operation, int)()
    gc.collect()
    before = failing_malloc.blocks()
    result = None
    failing_malloc.fail_after(n)
    try:
        result = operation()
    except MemoryError:
        pass
    finally:
        failing_malloc.fail_no_more()
    refused = failing_malloc.refusals()
    got_through = result is not None and refused == 0
    del result
    held.clear()
    gc.collect()
    return got_through, refused, failing_malloc.blocks() - before


problems: list[str] = []


def check(operation):
    """Have each of its allocations fail; how many did."""
    PREPARATIONS.get(operation, int)()
    expected = as_text(operation())
    for _ in range(3):
        once(operation, 10**9)
    total = 0
    counting = once(lambda: sum_of((1.0,) * 100), 0)[
        2
    ]  # blocks that the count itself and a MemoryError take
    for forever in (False, True):
        n = 0
        while True:
            at = -1 - n if forever else n
            print(f"\r{operation.__name__}: {at} ", end="", file=sys.stderr, flush=True)
            got_through, refused, left = once(operation, at)
            total += refused
            for _ in range(4):  # caches grow once; a leak grows each time
                if left <= counting:
                    break
                left = once(operation, at)[2]
            if left > counting:
                problems.append(f"{operation.__name__}, {at}: {left - counting} blocks left")
            PREPARATIONS.get(operation, int)()
            found = as_text(operation())
            if found != expected:
                problems.append(f"{operation.__name__}, {at}: then {found}, not {expected}")
            if not others_can_go_on():
                problems.append(f"{operation.__name__}, {at}: another thread hangs")
            if got_through or len(problems) > 5:
                break
            n += 1
    return total


def main(name):
    assert autograd_bp.compiled
    assert run.compiled
    warnings.simplefilter("ignore")
    gc.freeze()  # then collecting takes no time
    (operation,) = [
        operation for operation in OPERATIONS + ON_REQUEST if operation.__name__ == name
    ]
    failed = check(operation)
    print(f"\r{name}: {failed} allocations made to fail", flush=True)
    for problem in problems:
        print(f"  {problem}")
    sys.exit(bool(problems))


if __name__ == "__main__":
    if len(sys.argv) == 2:
        main(sys.argv[1])
    # Each in a process of its own: a crash is not the end.
    chosen = sys.argv[1:] or [operation.__name__ for operation in OPERATIONS]
    runs = [subprocess.run([sys.executable, __file__, name]) for name in chosen]
    print("\n".join([f"{run.args[-1]}: failed" for run in runs if run.returncode]))
    sys.exit(any(run.returncode for run in runs))
