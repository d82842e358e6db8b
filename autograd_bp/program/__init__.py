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

import os
import sys

try:
    import numpy as _numpy  # noqa: F401
    import optree as _optree  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"autograd_bp.program needs {error.name}; install it with: "
        "pip install 'autograd-bp[program]'"
    ) from None

if os.environ.get("AUTOGRAD_BP_INTERPRETED") == "1":
    # Run these from source as well: compiled, they look into nodes of the compiled engine.
    import importlib.util
    from pathlib import Path

    for _name in ("record", "simplify"):
        _spec = importlib.util.spec_from_file_location(
            f"{__name__}.{_name}", Path(__file__).with_name(f"{_name}.py")
        )
        assert _spec is not None
        assert _spec.loader is not None
        sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
        _spec.loader.exec_module(sys.modules[_spec.name])

from autograd_bp.program.indexing import gather, one_hot, take
from autograd_bp.program.jitted import Jitted, jit
from autograd_bp.program.program import Program
from autograd_bp.program.run import compiled
from autograd_bp.program.trace import trace

__all__ = ["Jitted", "Program", "compiled", "gather", "jit", "one_hot", "take", "trace"]
