"""Programs: scalar code traced once, simplified, differentiated, and run as native loops.

>>> from autograd_bp.program import jit
>>> @jit
... def f(x, y):
...     return x * y + x.sin()
>>> f(0.0, 3.0)
0.0
>>> f.value_and_grad(0.0, 3.0)
(0.0, 4.0)
"""

from __future__ import annotations

try:
    import numpy as _numpy  # noqa: F401
    import optree as _optree  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"autograd_bp.program needs {error.name}; install it with: "
        "pip install 'autograd-bp[program]'"
    ) from None

from autograd_bp.program.engine import compiled
from autograd_bp.program.indexing import gather, one_hot, take
from autograd_bp.program.jitted import Jitted, jit
from autograd_bp.program.program import Program
from autograd_bp.program.trace import trace

__all__ = ["Jitted", "Program", "compiled", "gather", "jit", "one_hot", "take", "trace"]
