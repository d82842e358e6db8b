"""Text from outside, as it may be shown."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    r"""Text in one line, and with an escape for all that would command a terminal or hide itself.

    >>> print(printable("two\nlines, \x1b[31mred"))
    two\nlines, \x1b[31mred
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
