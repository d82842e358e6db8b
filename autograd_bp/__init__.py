"""autograd-bp: reverse-mode automatic differentiation on scalars.

>>> from autograd_bp import Value
>>> x = Value(3.0, label="x")
>>> y = x * x + x.sin()
>>> y.backward()
>>> round(x.grad, 4)  # 2x + cos x
5.01
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

if os.environ.get("AUTOGRAD_BP_INTERPRETED") == "1" and "autograd_bp.value" not in sys.modules:
    # Run the engine from its source though it is compiled: to step through it, or to test it.
    from autograd_bp._pure import Sources

    sys.meta_path.insert(0, Sources(__name__))

from autograd_bp import functions as _functions
from autograd_bp.check import check_grads
from autograd_bp.context import no_grad, scope, watch
from autograd_bp.custom import checkpoint, custom, implicit
from autograd_bp.debug import GraphInfo, detect_anomaly, graph_info, warn_missing_gradients
from autograd_bp.functions import *  # noqa: F403
from autograd_bp.nary import dot, logsumexp, mean, norm, softmax, sum_of
from autograd_bp.transforms import (
    grad,
    gradients,
    hessian,
    hvp,
    jacobian,
    jvp,
    value_and_grad,
    vjp,
)
from autograd_bp.value import Number, Value, compiled, topological_order, zero_grad

if TYPE_CHECKING:
    from autograd_bp.pictures.draw import draw
    from autograd_bp.pictures.explain import explain
    from autograd_bp.pictures.steps import steps
    from autograd_bp.program import Jitted as Jitted
    from autograd_bp.program import Program as Program
    from autograd_bp.program import gather as gather
    from autograd_bp.program import jit as jit
    from autograd_bp.program import one_hot as one_hot
    from autograd_bp.program import take as take
    from autograd_bp.program.trace import trace as trace

__version__ = "0.1.0"

__all__ = [
    "GraphInfo", "Number", "Value", "check_grads", "checkpoint", "compiled", "custom",
    "detect_anomaly", "dot", "draw", "explain", "grad", "gradients", "graph_info", "hessian", "hvp",
    "implicit", "jacobian", "jvp", "logsumexp", "mean", "no_grad", "norm", "scope", "softmax",
    "steps", "sum_of", "topological_order", "value_and_grad", "vjp", "warn_missing_gradients",
    "watch", "zero_grad", *_functions.__all__,
]  # fmt: skip

# These are found when they are asked for: most programs draw nothing, and those of ``program``
# need NumPy, which the rest does without, so that ``from autograd_bp import *`` leaves them out.
_LATER = {"draw": "pictures.draw", "explain": "pictures.explain", "steps": "pictures.steps"}
_LATER |= dict.fromkeys(
    ["Jitted", "Program", "gather", "jit", "one_hot", "take", "trace"], "program"
)


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"autograd_bp.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
