"""Threads that are kept, to help whoever has work that falls into parts.

Who shares work takes part in it, and waits for nothing but parts that a helper has begun: so it
gets done however many helpers there are, none after all, and also within a helper. A helper is a
loop around a lock; it needs neither a queue nor an object of `threading`, whose own allocations
may fail and leave somebody waiting.
"""

from __future__ import annotations

import os
from _thread import LockType, allocate_lock, start_new_thread
from collections.abc import Callable, Sequence

__all__ = ["share"]

Job = Callable[[], object]

KEPT = os.cpu_count() or 1
_idle: list[_Helper] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a child has none of its parent's threads


class _Helper:
    """A thread that does a job, waits for the next, and so on."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.called = _locked()

    def serve(self) -> None:
        try:
            while True:
                self.job()
                del self.job  # and with it what it works on
                if len(_idle) >= KEPT:
                    return
                _idle.append(self)
                self.called.acquire()
        except MemoryError:
            pass  # of calling a job or of waiting for one: another helper will be started


def _locked() -> LockType:
    try:
        lock = allocate_lock()
    except RuntimeError as error:  # so Python calls a lack of memory here
        raise MemoryError from error
    lock.acquire()
    return lock


def _call_helper(job: Job) -> None:
    """Have another thread do the job, which must not raise. Raises where no thread can start."""
    try:
        helper = _idle.pop()
    except IndexError:
        start_new_thread(_Helper(job).serve, ())
    else:
        helper.job = job
        helper.called.release()


def share(parts: Sequence[Job]) -> None:
    """Do all parts, in this thread and in helpers; raise what one of them raised."""
    waiting = list(range(len(parts)))
    done = [_locked() for _ in parts]
    errors: list[BaseException | None] = [None] * len(parts)

    def work() -> None:
        while waiting:
            try:
                i = waiting.pop()
            except IndexError:  # another thread was quicker
                return
            try:
                parts[i]()
            except BaseException as error:
                errors[i] = error
            finally:
                done[i].release()

    try:
        for _ in parts[1:]:
            _call_helper(work)
    except (MemoryError, RuntimeError):
        pass  # no more threads: those that there are do it
    try:
        work()
        for lock in done:
            lock.acquire()
    finally:
        waiting.clear()  # after Ctrl-C no helper begins another part
    raised = [error for error in errors if error is not None]
    errors.clear()  # else the error and the frames that it came through keep each other alive
    if raised:
        raise raised.pop(0)
