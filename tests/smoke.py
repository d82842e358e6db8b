"""An installation alone, in an environment that has nothing else: ``python tests/smoke.py``."""

import contextlib
import importlib.util
import io
import sys
from pathlib import Path

sys.path.remove(str(Path(__file__).parent))  # what is tried stands in no folder of the project

import autograd_bp
from autograd_bp import Value, cli, hessian
from nn import MLP, bce, fit

here = Path(autograd_bp.__file__).parent
assert Path(sys.prefix) in here.parents, f"{here} is not what was installed in {sys.prefix}"
assert autograd_bp.compiled
for module in ("tape", "program/record", "program/simplify", "program/kernel"):
    assert [*here.glob(f"{module}.*.so"), *here.glob(f"{module}.*.pyd")], f"{module} is missing"

x = Value(3.0)
(x * x).backward()
assert x.grad == 6.0
assert hessian(lambda v: v[0] ** 2 * v[1])([2.0, 5.0]) == [[10.0, 4.0], [4.0, 0.0]]

points = [[i % 7 / 7, i % 5 / 5] for i in range(35)]
history = fit(
    MLP(2, [4, 1], seed=0), points, [int(a > b) for a, b in points], loss=bce, epochs=20, seed=0,
    progress=False, eager=importlib.util.find_spec("numpy") is None,
)  # fmt: skip
assert history.loss[-1] < history.loss[0]

with contextlib.redirect_stdout(io.StringIO()) as out:
    assert not cli.main(["diff", "x*x", "x=3"])
assert "6" in out.getvalue()
sys.stdout.write(f"autograd-bp {autograd_bp.__version__} works in {sys.prefix}\n")
