"""The examples in docstrings run, and the README states what the code does.

The examples are run against the engine in use, compiled or not. They are taken from the source,
since a compiled module keeps no line numbers and finds its docstrings in other places.
"""

import ast
import doctest
import importlib.util
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import autograd_bp
import nn

ROOT = Path(__file__).parent.parent


def modules():
    for package in (autograd_bp, nn):
        yield package.__name__
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.endswith("__main__"):
                yield module.name


def examples(name):
    """The doctests of a module, from its source: beside the extension where it is compiled."""
    origin = Path(importlib.util.find_spec(name).origin)
    source = origin.with_name(origin.name.split(".")[0] + ".py")
    if not source.exists():  # written in another language
        return
    parser = doctest.DocTestParser()
    tree = ast.parse(source.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node, clean=True)
            if docstring and ">>>" in docstring:
                line = node.body[0].lineno - 1
                where = f"{name}.{getattr(node, 'name', '')}"
                yield parser.get_doctest(docstring, {}, where, str(source), line)


@pytest.mark.parametrize("name", [name for name in modules() if any(examples(name))])
def test_examples_of(name):
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(verbose=False)
    report = []
    for test in examples(name):
        test.globs = dict(vars(module))
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


def test_the_engine_has_examples():
    """That what is looked for is found: the methods of the engine among it."""
    found = {test.name for test in examples("autograd_bp.value")}
    assert {"autograd_bp.value.Value", "autograd_bp.value.backward"} <= found


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


def test_the_code_in_the_readme_runs(tmp_path, monkeypatch):
    """All of it, in order, as one session: what one block defines the next may use."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) > 4
    session = {"__name__": "readme"}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), session)
