"""Contexts: every one, in every use; and contexts, threads and leaks in traces."""

import asyncio
import contextvars
import copy
import gc
import itertools
import math
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from autograd_bp import (
    Value,
    acos,
    clip,
    detect_anomaly,
    dot,
    grad,
    gradients,
    hessian,
    jacobian,
    jit,
    jvp,
    log,
    mean,
    no_grad,
    scope,
    sqrt,
    sum_of,
    trace,
    watch,
    where,
    zero_grad,
)
from autograd_bp.context import (
    collect,
    current,
    differentiating,
    inside,
    on_numbers,
    recording,
    tracing,
    watch_derivatives,
)

ALL = {
    "no_grad": no_grad,
    "scope": lambda: scope("layer"),
    "watch": lambda: watch(id),
    "collect": lambda: collect([]),
    "watch_derivatives": lambda: watch_derivatives(id),
    "tracing": tracing,
    "inside": lambda: inside(True),
    "differentiating": differentiating,
    "detect_anomaly": detect_anomaly,
}
RESTORING = {"recording": recording, "on_numbers": on_numbers}  # open, they look as nothing does


def is_open():
    now = current()
    traces = now.trace is not None and now.trace.is_open
    watchers = (now.watchers, now.derivative_watchers)
    return bool(not now.recording or now.path or any(watchers) or now.inside or traces)


@pytest.fixture(params=ALL)
def context(request):
    yield ALL[request.param]()
    assert not is_open()


@pytest.mark.parametrize("make", (ALL | RESTORING).values(), ids=ALL | RESTORING)
def test_nothing_is_open_after_it_and_no_entry_is_left(make):
    context = make()
    with context, context:
        assert len(current().entries) == 2
    assert current().entries == ()


def test_twice_nested_in_itself_and_with_an_exception(context):
    for _ in range(2):
        with context:
            assert is_open()
            with context:
                assert is_open()
            assert is_open()
        assert not is_open()
    with pytest.raises(KeyboardInterrupt), context:
        raise KeyboardInterrupt
    assert not is_open()


def test_as_decorator_of_a_function(context):
    @context
    def f(x, *, y):
        """Of x."""
        return x + y if is_open() else None

    assert [f(1, y=2), f(1, y=2), f.__doc__, f.__name__] == [3, 3, "Of x.", "f"]


def test_as_decorator_of_a_generator(context):
    @context
    def count(n):
        seen = []
        try:
            for i in range(n):
                try:
                    seen.append((yield i, is_open()))
                except ValueError:
                    seen.append("thrown")
        finally:
            ends.append(is_open())
        return seen

    ends = []
    it = count(3)
    assert (next(it), is_open()) == ((0, True), False)
    assert (it.send("a"), is_open()) == ((1, True), False)
    assert (it.throw(ValueError), is_open()) == ((2, True), False)
    with pytest.raises(StopIteration) as end:
        next(it)
    assert (end.value.value, ends) == (["a", "thrown", None], [True])
    it = count(3)
    next(it)
    it.close()
    assert (ends, is_open()) == ([True, True], False)


def test_as_decorator_of_async_functions_and_generators(context):
    @context
    async def double(x):
        await asyncio.sleep(0)
        return 2 * x if is_open() else None

    @context
    async def count(n):
        try:
            for i in range(n):
                await asyncio.sleep(0)
                yield i, is_open()
        finally:
            ends.append(is_open())

    async def main():
        assert await double(2) == 4
        assert not is_open()
        seen = [(*pair, is_open()) async for pair in count(3)]
        assert seen == [(i, True, False) for i in range(3)]
        it = count(3)
        assert await it.asend(None) == (0, True)
        with pytest.raises(ZeroDivisionError):
            await it.athrow(ZeroDivisionError())
        it = count(3)
        await it.asend(None)
        await it.aclose()
        assert not is_open()

    ends = []
    asyncio.run(main())
    assert ends == [True] * 3


def test_on_a_class_it_says_so(context):
    class C:
        pass

    with pytest.raises(TypeError, match="decorates functions, got the class"):
        context(C)
    with pytest.raises(TypeError, match="decorates functions, got 'int'"):
        context(3)


def test_no_grad_without_brackets_says_so():
    with pytest.raises(TypeError, match=r"@no_grad\(\)"):

        @no_grad
        def f():
            pass


ORDERS = sorted(set(itertools.permutations("aabb")))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("end", ["run out", "close", "drop"])
@pytest.mark.parametrize("order", ORDERS, ids="".join)
def test_two_paused_generators_in_every_order(context, order, end, shared):
    def paused(own):
        with own:
            yield is_open()

    twin = context if shared else copy.copy(context)
    running = {"a": paused(context), "b": paused(twin)}
    begun = set()
    for name in order:
        if name not in begun:
            begun.add(name)
            assert next(running[name])
        elif end == "run out":
            assert list(running[name]) == []
        elif end == "close":
            running[name].close()
        else:
            del running[name]
        assert not is_open()
    assert current().entries == ()


@pytest.mark.parametrize("where_closed", ["thread", "other context"])
def test_a_generator_that_ends_elsewhere_leaves_nothing_on(context, where_closed):
    def paused():
        with context:
            yield

    it = paused()
    next(it)
    if where_closed == "thread":
        thread = threading.Thread(target=it.close)
        thread.start()
        thread.join()
    else:
        contextvars.Context().run(it.close)
    assert not is_open()


def test_a_pool_thread_begins_with_nothing_and_a_copied_context_with_all(context):
    with ThreadPoolExecutor() as pool, context:
        assert not pool.submit(is_open).result()
        assert pool.submit(contextvars.copy_context().run, is_open).result()


def test_a_task_keeps_what_is_open_where_it_is_made(context):
    async def child():
        await asyncio.sleep(0)
        return is_open()

    async def main():
        before = asyncio.create_task(child())
        with context:
            inner = [asyncio.create_task(child()) for _ in range(2)]
            assert await asyncio.gather(*inner, child()) == [True] * 3
            late = asyncio.create_task(child())
        kept = not isinstance(context, tracing)  # whose function has returned
        assert (await before, await late, await child(), is_open()) == (False, kept, False, False)

    def paused():
        with context:
            yield

    it = paused()  # what waits outside is none of a task's business
    next(it)
    asyncio.run(main())
    it.close()


# --- no_grad and traces ---------------------------------------------------------------------------

HELD = {
    "unary": lambda x: x.sin(),
    "binary": lambda x: x * x,
    "with a number": lambda x: 2.0 - x,
    "dot": lambda x: dot([x, 2.0 * x], [x, 3.0], x),
    "sum_of": lambda x: sum_of([x, 1.0, x]),
    "mean": lambda x: mean([x, x * x]),
    "where": lambda x: where(x < 3.0, x, x * x),
    "comparison": lambda x: x < 3.0,
    "grad": lambda x: grad(lambda y: y * y * x)(x),
    "jvp": lambda x: sum_of(jvp(lambda y: y * x, (x,), (x,))),
    "in a thread": lambda x: in_a_pool(no_grad()(lambda: x * x)),
}


def in_a_pool(f):
    with ThreadPoolExecutor() as pool:
        return pool.submit(f).result()


@pytest.mark.parametrize("how", ["with", "decorator"])
@pytest.mark.parametrize("name", HELD)
def test_no_grad_in_a_trace_holds_fixed(name, how):
    f = HELD[name]

    def with_statement(x):
        y = 1.0 * x
        with no_grad():
            held = f(y)
        return held * x

    program = trace(with_statement if how == "with" else lambda x: no_grad()(f)(x) * x, 1.5)
    for x in (0.5, 4.0):
        held = f(Value(x)).data if not isinstance(f(Value(x)), (bool, float)) else f(Value(x))
        value, slope = program.value_and_grad(x)
        assert value == pytest.approx(held * x, rel=1e-12)
        assert slope == pytest.approx(float(held), rel=1e-12)


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_a_first_call_within_no_grad_is_as_any(first, x):
    f = jit(lambda x: x * x)
    with no_grad():
        assert f(first) == first * first
        program = trace(lambda x: x * x, first)
    assert f.value_and_grad(x) == program.value_and_grad(x) == (x * x, 2.0 * x)


def test_training_within_no_grad_is_refused():
    pytest.importorskip("sklearn")
    from nn.sklearn import MLPClassifier, MLPRegressor

    X, y = np.array([[0.0], [1.0]]), [0, 1]
    runs = [
        lambda: nn.fit(nn.MLP(1, [1]), X, y, loss=nn.mse, epochs=1, progress=False),
        lambda: MLPClassifier(max_iter=1).fit(X, y),
        lambda: MLPRegressor(max_iter=1).fit(X, y),
    ]
    for run in runs:
        with no_grad(), pytest.raises(RuntimeError, match="within no_grad"):
            run()


# --- threads within transformations ---------------------------------------------------------------

DERIVATIVES = {  # of x·y² by y at 3, which is 6x
    "grad": lambda x: grad(lambda y: x * y * y)(3.0),
    "jvp": lambda x: jvp(lambda y: x * y * y, (3.0,), (1.0,))[1],
    "jacobian": lambda x: jacobian(lambda y: [x * y[0] * y[0], y[1]])([3.0, 0.0])[0][0],
    "hessian": lambda x: hessian(lambda y: x * y * y)(3.0) * 3.0,
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_a_derivative_in_a_pool_thread_within_another(name):
    def outer(x):
        return in_a_pool(lambda: DERIVATIVES[name](x))

    assert grad(outer)(1.0) == 6.0
    program = trace(outer, 1.0)
    assert (program(2.0), program.value_and_grad(5.0)) == (12.0, (30.0, 6.0))


def test_choices_in_a_pool_thread_within_a_trace():
    def outer(x):
        return in_a_pool(lambda: where(x < 3.0, x, 10.0 * x) + (x == 4.0) + x.detach())

    program = trace(outer, 2.0)
    assert [program(x) for x in (2.0, 4.0, 5.0)] == [4.0, 45.0, 55.0]
    assert program.value_and_grad(2.0)[1] == 1.0
    with pytest.raises(TypeError, match="a branch"):
        trace(lambda x: in_a_pool(lambda: 1.0 if x < 3.0 else x), 2.0)


# --- what leaks from a trace ----------------------------------------------------------------------

USES = {
    "add": lambda v: v + 1.0,
    "reflected": lambda v: 2.0**v,
    "relu": lambda v: v.relu(),
    "row": lambda v: sum_of([1.0, v]),
    "dot": lambda v: dot([1.0], [v]),
    "where": lambda v: where(v, 1.0, 2.0),
    "less": lambda v: v < 1.0,
    "equal": lambda v: v == 1.0,
    "bool": bool,
    "data": lambda v: v.data,
    "grad": lambda v: v.grad,
    "local_grads": lambda v: v.local_grads,
    "backward": lambda v: v.backward(),
    "gradients": lambda v: gradients(v, [v]),
    "format": lambda v: f"{v:.2f}",
    "float": float,
    "round": round,
    "detach": lambda v: v.detach(),
    "copy": copy.copy,
    "pickle": pickle.dumps,
    "closure of grad": lambda v: grad(lambda x: x * v)(1.0),
    "result in grad": lambda v: grad(lambda x: v)(1.0),
    "point of grad": grad(lambda x: x * x),
    "another trace": lambda v: trace(lambda x: x * v, 1.0),
    "result of another trace": lambda v: trace(lambda x: v, 1.0),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("what", ["input", "result", "row"])
def test_what_leaks_from_a_trace_is_refused(use, what):
    leaked = []

    def f(x):
        leaked.append({"input": x, "result": x * 2.0, "row": sum_of([x, x])}[what])
        return x + leaked[0]

    jit(f)(2.0)
    with pytest.raises(RuntimeError, match="used outside of that trace"):
        USES[use](leaked[0])
    assert repr(leaked[0]).startswith("Value(traced, ")


def test_in_an_inner_trace_the_outer_is_at_home_and_not_the_reverse():
    def outer(x):
        inner = []
        trace(lambda y: inner.append(y * x) or y * x, 1.0)
        with pytest.raises(RuntimeError, match="used outside of that trace"):
            inner[0] + x
        return x * x

    assert trace(outer, 2.0)(3.0) == 9.0


def test_after_traces_nothing_is_looked_at(interpreted):
    count = len(interpreted._contexts)
    with interpreted.context.tracing():
        x = interpreted.traced_input(1.0)
        y = interpreted.sum_of([x * 2.0, x])
        assert len(interpreted._contexts) == count + 4  # the context, and three nodes
    del x, y
    gc.collect()
    assert len(interpreted._contexts) == count


# --- what may be read in a trace ------------------------------------------------------------------

READS = {
    name: USES[name]
    for name in ("data", "grad", "local_grads", "backward", "gradients", "format", "float", "round",
                 "copy", "pickle", "bool")
} | {
    "in": lambda v: v in (1.0, 2.0),
    "np.where": lambda v: np.where(np.array([v, v], object) == 0.0, 1.0, 2.0),
    "setting grad": lambda v: setattr(v, "grad", 1.0),
    "a hook": lambda v: v.register_hook(print),
    "zero_grad": lambda v: zero_grad([v]),
    "int": int,
    "max": lambda v: max(v, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("what", ["input", "result", "outer"])
def test_no_number_of_one_call_is_read_in_a_trace(name, what):
    outer = Value(2.0)

    def f(x):
        return x * float(READS[name]({"input": x, "result": x * 1.0, "outer": outer}[what]) or 0.0)

    with pytest.raises(TypeError, match=r"while a function is traced|a branch"):
        trace(f, 2.0)


def test_a_constant_made_in_a_trace_can_be_read():
    assert trace(lambda x: x * Value(3.0).data, 1.0)(2.0) == 6.0


@given(st.floats(-3, 3), st.sampled_from([-1.0, 0.0, 1.0, math.nan]))
def test_equality_is_a_node_in_a_trace_and_identity_outside(first, x):
    equal, unequal = jit(lambda x: x == 1.0), jit(lambda x: x != 1.0)
    equal(first)
    unequal(first)
    assert (equal(x), unequal(x)) == (float(x == 1.0), float(x != 1.0))
    v = Value(x)
    assert (v == x, v != x, v == v, v in [v], len({v, v, Value(x)})) == (False, True, True, True, 2)


OUTSIDE = [
    (log, -1.0), (log, 0.0), (sqrt, -1.0), (acos, 2.0), (lambda x: 1.0 / x, 0.0),
    (lambda x: x**-1, 0.0), (lambda x: x**0.5, -1.0), (lambda x: clip(1.0, x, 0.0), 1.0),
    (lambda x: mean([log(x), x]), -1.0), (lambda x: grad(log)(x), -1.0), (lambda x: x / 0.0, 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("f", "x"), OUTSIDE)
def test_a_first_call_outside_the_domain_is_as_a_later_one(f, x):
    first, later = jit(f), jit(f)
    later(0.5)
    np.testing.assert_equal(first(x), later(x))
    np.testing.assert_equal(first(0.5), later(0.5))
