"""What comes from outside: numbers, names and packages; and Ctrl-C, which may come at any time."""

from __future__ import annotations

import math
import operator
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from numbers import Real
from typing import Any

from autograd_bp.text import printable

__all__ = ["count", "finite", "missing", "package", "shortened", "some", "uninterrupted"]


def count(n: Any, name: str) -> int:
    """A positive whole number from outside."""
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"{name} must be a whole number, got {n!r} of type {type(n).__name__}")
    n = operator.index(n)
    if n < 1:
        raise ValueError(f"{name} must be 1 or more, got {n}")
    return int(n)


def finite(x: Any, name: str) -> float:
    """A finite number from outside."""
    if isinstance(x, bool) or not isinstance(x, Real):
        raise TypeError(f"{name} must be a finite number, got {x!r} of type {type(x).__name__}")
    try:
        number = float(x)
    except OverflowError:  # of an int, or a fraction, beyond all floats
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, got {shortened(x)}")
    return number


def package(name: str, user: str, extra: str) -> Any:
    """A package that only ``user`` needs; ImportError says which extra brings it along."""
    try:
        return import_module(name)
    except ImportError as error:
        raise missing(error, user, extra) from error


def missing(error: ImportError, user: str, extra: str) -> ImportError:
    """The exception where an import that only ``user`` needs has failed."""
    return ImportError(
        f"{user} needs a package that cannot be imported ({error}); "
        f'run pip install "autograd-bp[{extra}]"'
    )


def some(names: Sequence[object]) -> str:
    """The first names of many, for a message, in which they command no terminal."""
    if not names:
        return "none"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(printable(str(name)) for name in names[:3]) + more


def shortened(x: object) -> str:
    """What came from outside, for a message: escaped, and not too long."""
    try:
        text = repr(x)
    except ValueError:  # Python writes no int of more digits than it would read
        text = f"a number of type {type(x).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C within it waits until its end, so that what it changes is changed wholly."""
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield  # no KeyboardInterrupt arises here
        return
    waiting: list[Any] = []
    signal.signal(signal.SIGINT, lambda *details: waiting.append(details))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        if waiting:
            usual(*waiting[0])
