"""Where programs are found, and what they do where NumPy or the kernel is missing."""

import subprocess
import sys

import pytest

import autograd_bp
from autograd_bp import program

NAMES = ["Jitted", "Program", "gather", "jit", "one_hot", "take", "trace"]


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_package_has_them(name):
    assert getattr(autograd_bp, name) is getattr(program, name)
    assert name in dir(autograd_bp)
    assert name not in autograd_bp.__all__  # so that `import *` needs no NumPy


def test_other_names_are_missing():
    with pytest.raises(AttributeError, match="'autograd_bp' has no attribute 'tarce'"):
        autograd_bp.tarce  # noqa: B018


def test_import_star_needs_no_numpy():
    done = python("import sys\nfrom autograd_bp import *\nprint('numpy' in sys.modules)")
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_without_numpy():
    done = python("import sys\nsys.modules['numpy'] = None\nfrom autograd_bp import jit")
    assert "autograd_bp.program needs numpy" in done.stderr
    assert "pip install 'autograd-bp[program]'" in done.stderr


WITHOUT_KERNEL = """
import os, sys, warnings
os.environ.pop("AUTOGRAD_BP_INTERPRETED", None)
{prepare}
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    from autograd_bp import program, trace
assert not program.compiled
assert [w.category for w in seen] == [RuntimeWarning], seen
assert "several times slower" in str(seen[0].message)
f = trace(lambda w, x: (w * x).tanh(), 1.0, 1.0)
print(f.map(0.0, [1.0, 1.0], reduce="sum", grad=True), {message!r} in str(seen[0].message))
"""


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ("sys.modules['autograd_bp.program.kernel'] = None", "is not compiled here"),
        pytest.param(
            "import autograd_bp.ops; autograd_bp.ops.EDITION += 1",  # as if a row had been edited
            "compiled from another ops.py",
            marks=pytest.mark.skipif(not program.compiled, reason="there is no kernel here"),
        ),
    ],
)
def test_without_the_kernel(prepare, message):
    """NumPy runs the programs, and says so once, unless it was asked for."""
    done = python(WITHOUT_KERNEL.format(prepare=prepare, message=message))
    assert (done.returncode, done.stdout) == (0, "(0.0, 2.0) True\n"), done.stderr


def test_the_interpreted_engine_does_not_warn():
    code = """
import os, warnings
os.environ["AUTOGRAD_BP_INTERPRETED"] = "1"
warnings.simplefilter("error")
from autograd_bp import program, value
from autograd_bp.program import record, simplify
assert not program.compiled and not value.compiled
assert all(module.__file__.endswith(".py") for module in (record, simplify))
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
