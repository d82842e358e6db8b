"""The examples in docstrings run, and the README states what the code does."""

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import autograd_bp
import nn

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    module.name
    for package in (autograd_bp, nn)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
)


@pytest.mark.parametrize("name", ["autograd_bp", "nn", *MODULES])
def test_docstrings(name):
    module = importlib.import_module(name)
    sys.modules.setdefault(name, module)
    assert doctest.testmod(sys.modules[name]).failed == 0


def test_the_readme_is_current():
    made = subprocess.run(
        [sys.executable, ROOT / "docs" / "make_readme.py", "--check"],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stdout + made.stderr


def test_importing_needs_neither_numpy_nor_graphviz():
    code = "import sys, autograd_bp; print({'numpy', 'graphviz', 'optree'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
