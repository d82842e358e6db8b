"""Calling hooks, and knowing that one is being called.

No variable says so: Ctrl-C could come before it is set back. The frames on the stack do. So this
is never compiled, as compiled functions have none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

__all__ = ["call_hook", "refuse_in_a_hook"]


def call_hook(hook: Callable[[Any], Any], grad: Any) -> Any:
    """What a hook makes of a gradient."""
    return hook(grad)


def refuse_in_a_hook() -> None:
    """Raise RuntimeError if a hook called, in this thread; takes time as the stack is deep."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code is call_hook.__code__:
            raise RuntimeError(
                "backward() was called by a hook, within a backward pass that would overwrite its "
                "gradients. In a hook, use gradients(y, xs), which leaves nodes alone; or keep "
                "what the hook saw, and call backward() when the pass is over."
            )
