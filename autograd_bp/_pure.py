"""What `value.py` needs of the module ``cython`` when it runs as ordinary Python.

The compiler knows these names by itself; here they do nothing.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TypeAlias, TypeVar

T = TypeVar("T")


def _as_it_is(definition: T) -> T:
    return definition


class cython:
    """A stand-in for the module of that name."""

    compiled = False
    short: TypeAlias = builtins.int
    int: TypeAlias = builtins.int
    longlong: TypeAlias = builtins.int
    double: TypeAlias = float
    Py_ssize_t: TypeAlias = builtins.int
    bint: TypeAlias = bool
    p_double: TypeAlias = list[float]
    p_int: TypeAlias = list[builtins.int]
    void: TypeAlias = None
    ccall = cclass = cfunc = inline = no_gc = staticmethod(_as_it_is)

    @staticmethod
    def freelist(size: builtins.int) -> Callable[[T], T]:
        """Ignore the number of dead nodes to keep for reuse."""
        return _as_it_is

    @staticmethod
    def exceptval(*, check: bool) -> Callable[[T], T]:
        """Ignore whether the C function can raise."""
        return _as_it_is

    @staticmethod
    def declare(ctype: object, value: T) -> T:
        """Ignore the C type of a module's variable."""
        return value

    @staticmethod
    def cast(ctype: object, value: T) -> T:
        """Ignore the C type of an expression."""
        return value
