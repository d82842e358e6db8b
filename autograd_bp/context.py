"""What holds within a ``with``: `no_grad`, `scope`, `watch`, tracing and their kin.

Each is a `Context`. What is open stands in one `State` for each thread and task, put together
from *entries*, one for each ``with`` that was begun. An entry goes when its own ``with`` ends,
wherever it stands among the others, so any order of ends is right.

A ``with`` in a generator or in an ``async`` function holds while that one runs: where it waits,
at a ``yield``, the entry does not count, or the caller would be in a context that it did not
open. (A generator made into a context manager by `contextlib` is there to open what it opens
for its caller.)

A new thread begins with nothing open, those of a pool too. What asyncio runs later, tasks and
callbacks, begins with what is open where it is made, and keeps it.
"""

# ruff: noqa: N801 (contexts are used as functions are, and named as they are)

from __future__ import annotations

import contextlib
import copy
import itertools
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from types import CodeType, FrameType
from typing import Any, ClassVar, TypeVar
from weakref import WeakValueDictionary

__all__ = [
    "Context", "Effect", "State", "Trace", "collect", "current", "derivative_watchers",
    "differentiating", "inside", "is_inside", "is_recording", "is_tracing", "no_grad", "on_numbers",
    "recording", "scope", "tracing", "watch", "watch_derivatives",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])
Effect = Callable[["State"], object]

_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200  # inspect.CO_…
_CONTEXTLIB = contextlib.__file__


class _Era:
    """Shared by the states of a time; over where one of them may be out of date."""

    over = False


_era = _Era()
_always_over = _Era()
_always_over.over = True


class State:
    """What is open in a thread or task; made anew with every change."""

    __slots__ = (
        "derivative_watchers", "entries", "era", "inside", "path", "recording", "trace", "watchers",
    )  # fmt: skip

    def __init__(self, entries: tuple[_Entry, ...]) -> None:
        self.entries = entries
        self.era = _era
        self.recording = True
        self.inside = False  # whether derivatives of plain numbers are differentiable in turn
        self.trace: Trace | None = None
        self.path = ""
        self.watchers: tuple[Any, ...] = ()  # functions, and the list that `collect` fills
        self.derivative_watchers: tuple[Callable[..., object], ...] = ()
        for entry in entries:
            if entry.frame is not None:
                self.era = _always_over
                if not entry.counts():
                    continue
            if not entry.closed:
                entry.effect(self)

    def renewed(self) -> State:
        """The state as it is now, where its era is over."""
        entries = tuple([entry for entry in self.entries if not entry.closed])
        now = State(entries) if entries else _nothing
        if self.era is not _always_over or len(entries) < len(self.entries):
            _state.set(now)
        return now


class _Entry:
    """One ``with`` that was begun."""

    __slots__ = ("closed", "effect", "frame", "look", "place")

    def __init__(self, effect: Effect, frame: FrameType | None, look: object) -> None:
        self.effect = effect
        self.frame = frame  # of the generator or async function whose ``with`` it is, or None
        self.place = _place()
        self.closed = False
        self.look = look

    def counts(self) -> bool:
        """Whether it is not that of a generator which waits.

        An async function waits for the tasks that it made, which are in what it opened.
        """
        frame = self.frame
        if frame is None or frame.f_back is not None:
            return True
        task = self.place[1]
        return _awaits(frame.f_code) and task is not None and _place()[1] is not task


def _place() -> tuple[int, object]:
    """The thread and the task."""
    asyncio = sys.modules.get("asyncio")  # who has a task has it imported
    loop = asyncio and asyncio._get_running_loop()
    return threading.get_ident(), asyncio and loop and asyncio.current_task(loop)


_nothing = State(())
_nothing.era = _Era()
_state: ContextVar[State] = ContextVar("state", default=_nothing)

keepers: list[Callable[[], object]] = []
"""`value.py` puts a function here. While an object that it makes lives, operations look at the
state."""


def current() -> State:
    """What is open here."""
    now = _state.get()
    return now.renewed() if now.era.over else now


class Context:
    """A ``with`` of this package, also a decorator. Each may be used again, also within itself.

    As a decorator it is open in each call; of a generator or an ``async`` function, while that
    one runs.
    """

    changes_operations: ClassVar[bool] = True

    def __init__(self, effect: Effect | None = None) -> None:
        self._effect = effect  # None where each ``with`` has another one, by `_begin`
        self._entries: list[_Entry] = []

    def _begin(self) -> Effect:
        """What a ``with`` changes in the state. It must not hold the context: see `__del__`."""
        assert self._effect is not None
        return self._effect

    def _end(self, effect: Any) -> None:
        """Called as that is over."""

    def __enter__(self) -> None:
        frame = _waiting_frame(sys._getframe(1))
        look = [make() for make in keepers] if self.changes_operations else None
        entry = _Entry(self._begin(), frame, look)
        try:
            self._entries.append(entry)
            _state.set(State((*_state.get().entries, entry)))
        except BaseException:  # Ctrl-C: then there is no ``with`` that ends it
            self._close(entry)
            raise

    def __exit__(self, *exception: object) -> None:
        frame = _waiting_frame(sys._getframe(1))
        entries = _state.get().entries if frame is None else self._entries
        mine = [e for e in entries if e.frame is frame and e in self._entries] or self._entries
        if mine:
            self._close(mine[-1])

    def _close(self, entry: _Entry) -> None:
        entries = _state.get().entries
        if entry in entries:
            others = tuple([other for other in entries if other is not entry])
            _state.set(State(others) if others else _nothing)
        if entry not in entries or entry.place != _place():  # it stands in another state, too
            global _era
            entry.closed = True
            _era.over = True
            _era = _Era()
        if entry in self._entries:
            self._entries.remove(entry)
        self._end(entry.effect)

    def __del__(self) -> None:
        while self.__dict__.get("_entries"):  # Ctrl-C came before the end did
            self._close(self._entries[-1])

    def __copy__(self) -> Context:
        twin: Context = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, _entries=[])
        return twin

    def __call__(self, f: F) -> F:
        """The function with this context open in each call."""
        name = type(self).__name__
        if isinstance(f, type) or not callable(f):
            what = "the class" if isinstance(f, type) else repr(type(f).__name__)
            raise TypeError(
                f"{name} decorates functions, got {what} {f!r}; decorate its methods "
                f"(below @classmethod and the like), or write `with {name}(…):` in them"
            )
        decorated: Any = wraps(f)(_wrapper_for(f)(self, f))
        return decorated  # type: ignore[no-any-return]


def _waiting_frame(frame: FrameType) -> FrameType | None:
    """The frame, if it may wait with its ``with`` open, and its caller is not to be in that."""
    if not frame.f_code.co_flags & (_GENERATOR | _COROUTINE | _ASYNC_GENERATOR):
        return None
    back = frame.f_back
    opens_for_caller = back is not None and back.f_code.co_filename == _CONTEXTLIB
    return None if opens_for_caller and frame.f_code.co_filename != __file__ else frame


def _awaits(code: CodeType) -> bool:
    """Whether the ``with`` of such a frame, where it waits, waits for tasks only."""
    own = code.co_filename == __file__ and code.co_flags & _ASYNC_GENERATOR
    return bool(own or code.co_flags & _COROUTINE)


# A decorated call opens a twin of the context: one of its own, whose end comes in any case.


def _function(context: Context, f: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with copy.copy(context):
            return f(*args, **kwargs)

    return wrapper


def _generator(context: Context, f: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        mine, inner = copy.copy(context), f(*args, **kwargs)
        resume, given = inner.send, None
        while True:  # not `yield from`, which closes the inner one while the outer one waits
            try:
                with mine:
                    item = resume(given)
            except StopIteration as end:
                return end.value
            try:
                given = yield item
                resume = inner.send
            except GeneratorExit:
                with mine:
                    inner.close()
                raise
            except BaseException as error:
                resume, given = inner.throw, error

    return wrapper


def _coroutine(context: Context, f: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with copy.copy(context):
            return await f(*args, **kwargs)

    return wrapper


def _async_generator(context: Context, f: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        mine, inner = copy.copy(context), f(*args, **kwargs)
        resume, given = inner.asend, None
        while True:
            try:
                with mine:  # not open at the yield: see `_awaits`
                    item = await resume(given)
            except StopAsyncIteration:
                return
            try:
                given = yield item
                resume = inner.asend
            except GeneratorExit:
                with mine:
                    await inner.aclose()
                raise
            except BaseException as error:
                resume, given = inner.athrow, error

    return wrapper


def _wrapper_for(f: Callable[..., Any]) -> Callable[..., Any]:
    import inspect  # here, as ``import autograd_bp`` is to be quick

    for is_one, wrapper in (
        (inspect.isasyncgenfunction, _async_generator),
        (inspect.isgeneratorfunction, _generator),
        (inspect.iscoroutinefunction, _coroutine),
    ):
        if is_one(f) or is_one(type(f).__call__):
            return wrapper
    return _function


# --- the contexts --------------------------------------------------------------------------------


class no_grad(Context):
    """Within it (or a function decorated with it), results are leaves: no graph is built.

    It holds for the present thread or task. In a function that is traced, a result is what
    `Value.detach` gives: another number in each call, through which no gradient flows.

    >>> from autograd_bp import Value
    >>> x = Value(3.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y.is_leaf, y.data
    (True, 9.0)
    """

    def __init__(self, *given: object) -> None:
        super().__init__(_stop_recording)
        if given:
            raise TypeError(f"no_grad takes nothing, got {given[0]!r}; as a decorator: @no_grad()")


def _stop_recording(state: State) -> None:
    state.recording = False


class recording(Context):
    """Within it, graphs are built, also where `no_grad` is open around it."""

    changes_operations = False  # where no_grad is open around it, that does

    def __init__(self) -> None:
        super().__init__(_record)


def _record(state: State) -> None:
    state.recording = True


class watch(Context):
    """Within it, call ``watcher`` with every node as it is made, in the present thread or task.

    >>> from autograd_bp import Value
    >>> made = []
    >>> with watch(made.append):
    ...     y = Value(3.0) * 2.0
    >>> made == [y.operands[0], y]
    True
    """

    def __init__(self, watcher: Callable[[Any], object]) -> None:
        def effect(state: State) -> None:
            state.watchers = (*state.watchers, watcher)

        super().__init__(effect)
        if not callable(watcher):
            raise TypeError(f"watcher must be a function of a node, got {watcher!r}")


class collect(Context):
    """Within it, keep every node that is made in the list, and in no other list meanwhile.

    Does what ``watch(made.append)`` does, in less time.
    """

    def __init__(self, made: list[Any]) -> None:
        def effect(state: State) -> None:
            others = [watcher for watcher in state.watchers if not isinstance(watcher, list)]
            state.watchers = (*others, made)

        super().__init__(effect)


class watch_derivatives(Context):
    """Within it, call ``watcher(node, operand, rate, d)`` wherever a derivative passes a node.

    That is in every backward and forward pass; ``d`` is ∂node/∂operand, ``rate`` the derivative
    that it is multiplied by: backward the node's gradient, forward the operand's tangent.
    """

    def __init__(self, watcher: Callable[..., object]) -> None:
        def effect(state: State) -> None:
            state.derivative_watchers = (*state.derivative_watchers, watcher)

        super().__init__(effect)


class scope(Context):
    """Nodes made within it belong to this scope, and pictures draw them as one group.

    Scopes nest: ``node.scope`` is the path of names, joined by slashes.

    >>> from autograd_bp import Value
    >>> with scope("mlp"), scope("layer 1"):
    ...     z = Value(1.0) * 2.0
    >>> z.scope
    'mlp/layer 1'
    """

    def __init__(self, name: str) -> None:
        def effect(state: State) -> None:
            state.path = f"{state.path}/{name}".lstrip("/")

        super().__init__(effect)
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, got {name!r}; write scope(str(...))")
        if not name.strip():
            raise ValueError(f"name must hold more than spaces, got {name!r}: pictures print it")


class inside(Context):
    """Set whether derivatives of plain numbers are to be differentiable in turn."""

    changes_operations = False

    def __init__(self, transformation: bool) -> None:
        def effect(state: State) -> None:
            state.inside = transformation

        super().__init__(effect)


class differentiating(Context):
    """Within it a function runs whose derivative is wanted: as inside a transformation."""

    changes_operations = False

    def __init__(self) -> None:
        super().__init__(_differentiate)


def _differentiate(state: State) -> None:
    state.recording = state.inside = True


class on_numbers(inside):
    """Within it, transformations of plain numbers give plain numbers, even in another one."""

    def __init__(self) -> None:
        super().__init__(False)


def is_inside() -> bool:
    """Whether an enclosing transformation is at work."""
    return current().inside


def is_recording() -> bool:
    """Whether results are nodes of a graph: not so within `no_grad`, but in a trace."""
    return current().recording or is_tracing()


def derivative_watchers() -> tuple[Callable[..., object], ...]:
    """Who watches derivatives in this thread or task."""
    return current().derivative_watchers


# --- traces --------------------------------------------------------------------------------------

_LAST = (1 << 22) - 1  # as many traces as a node's bits can tell apart


class Trace:
    """One function being traced. Its nodes bear its number, and are of use while it is open."""

    _numbers = itertools.count()  # counted without a lock, which a signal handler could not take
    open: ClassVar[WeakValueDictionary[int, Trace]] = WeakValueDictionary()

    def __init__(self) -> None:
        self.number = next(Trace._numbers) % (_LAST - 1) + 2  # from 2 on: 1 is no trace's
        self.is_open = True
        self.constants: dict[int, Any] = {}  # the leaves made in it
        Trace.open[self.number] = self

    def __call__(self, state: State) -> None:
        """The effect of `tracing`."""
        state.recording = True
        state.trace = self
        # What is watched from outside are the numbers of calls, and a trace is none.
        state.watchers = state.derivative_watchers = ()

    def close(self) -> None:
        """The function is traced."""
        self.is_open = False
        Trace.open.pop(self.number, None)
        self.constants.clear()

    __del__ = close


def leaked(node: object) -> RuntimeError:
    """The error for a node whose trace is over."""
    return RuntimeError(
        f"{node!r} was made while a function was traced (by trace or jit), and is used "
        "outside of that trace: it stands for a number that is another in each call, and "
        "leaked through a list, an attribute, a global or a closure. Return it from the "
        "traced function, and use what the program returns."
    )


def read_in_trace(node: object, what: str) -> TypeError:
    """The error for reading what a node has in one call of a traced function only."""
    return TypeError(
        f"{what} of {node!r} is read or set while a function is traced: the program would "
        "keep for all its calls what it is in this one. Compute with the Value itself; for "
        "derivatives use grad, jvp and their kin, which can be traced, or "
        "gradients(…, create_graph=True); read numbers from what the program returns."
    )


class tracing(Context):
    """Within it, a comparison is a node, 1.0 or 0.0, and a branch on a node raises TypeError.

    Nothing that is a number of this one call can be read, and graphs are built also where
    `no_grad` is open around it. What is made in it is of no use after it.
    """

    def _begin(self) -> Effect:
        return Trace()

    def _end(self, effect: Trace) -> None:
        effect.close()


def is_tracing() -> bool:
    """Whether a function is being traced here, within `tracing`."""
    trace = current().trace
    return trace is not None and trace.is_open
