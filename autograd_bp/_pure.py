"""What `value.py` needs of the module ``cython`` when it runs as ordinary Python.

The compiler knows these names by itself; here they do nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def _as_it_is(definition: T) -> T:
    return definition


class cython:
    """A stand-in for the module of that name."""

    compiled = False
    short = int
    int = int
    Py_ssize_t = int
    bint = bool
    p_double = list[float]
    cclass = cfunc = no_gc = final = staticmethod(_as_it_is)

    @staticmethod
    def freelist(size: "int") -> Callable[[T], T]:
        """Ignore the number of dead nodes to keep for reuse."""
        return _as_it_is

    @staticmethod
    def declare(ctype: object, value: T) -> T:
        """Ignore the C type of a module's variable."""
        return value
