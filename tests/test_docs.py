"""The examples in docstrings run, and the README states what the code does.

The examples are run against the engine in use, compiled or not. They are taken from the source,
since a compiled module keeps no line numbers and finds its docstrings in other places.
"""

import ast
import doctest
import importlib.util
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import autograd_bp
import nn

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "docs"))

import code_blocks  # noqa: E402 (it is no package's, but the site's)

PAGES = sorted(code_blocks.PAGES.rglob("*.md"))


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
        # A name that a compiled module takes from another in C is no attribute of it.
        test.globs = vars(autograd_bp) | vars(module)
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


def test_the_engine_has_examples():
    """That what is looked for is found: the methods of the engine among it."""
    found = {test.name for test in examples("autograd_bp.value")}
    assert {"autograd_bp.value.Value", "autograd_bp.value.backward"} <= found


def test_the_table_of_operations_is_current():
    made = subprocess.run(
        [sys.executable, ROOT / "docs" / "make_reference.py", "--check"],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.mark.skipif(shutil.which("patch") is None, reason="no patch on this machine")
def test_the_example_of_a_new_operation_applies(tmp_path):
    """`make example-operation` does so too, and runs the tests that appear."""
    change = ROOT / "docs" / "example-operation.patch"
    for name in re.findall(r"^--- a/(.*)$", change.read_text("utf-8"), re.MULTILINE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["patch", "-p1", "-i", change], cwd=tmp_path, check=True)
    (new,) = re.findall(r'^\+    (_row\("gaussian".*),$', change.read_text("utf-8"), re.MULTILINE)
    assert new in (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_the_map_of_the_house_has_just_the_rooms_that_there_are():
    house = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## The house")[2]
    parts = re.split(r"^`(\S+)/`, ", house, flags=re.M)[1:]
    folders = dict(zip(parts[::2], parts[1::2], strict=True))
    assert list(folders) == ["autograd_bp", "autograd_bp/program", "autograd_bp/pictures", "nn"]
    for folder, table in folders.items():
        rows = re.findall(r"^\| (`.*?) \| .+\. \|$", table, re.M)
        named = re.findall(r"`([\w./]+)`", " ".join(rows))
        files = [*(ROOT / folder).glob("*.py"), *(ROOT / folder).glob("kernel.c")]
        packages = [path.parent for path in (ROOT / folder).glob("*/__init__.py")]
        there = {path.name for path in files} - {"__init__.py"}
        there |= {f"{path.name}/" for path in packages} - {"program/", "pictures/"}
        assert sorted(named) == sorted(there), folder


def test_importing_needs_neither_numpy_nor_graphviz():
    code = "import sys, autograd_bp; print({'numpy', 'graphviz', 'optree'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


def test_the_code_in_the_readme_prints_what_it_says(tmp_path):
    """All of it, in order, as one session: what one block defines the next may use."""
    blocks = list(code_blocks.blocks(ROOT / "README.md"))
    assert len(blocks) > 5
    assert sum(bool(block.output) for block in blocks) == sum("print" in b.code for b in blocks)
    code_blocks.run(ROOT / "README.md", tmp_path)


def test_the_readme_is_read_in_one_sitting():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


# --- the site -------------------------------------------------------------------------------------


def name_of(page):
    return page.relative_to(code_blocks.PAGES).as_posix()


def test_the_site_has_pages_with_code():
    assert len([page for page in PAGES if any(code_blocks.blocks(page))]) >= 18


@pytest.mark.parametrize(
    "page",
    # Code that stands in pairs is run below.
    [p for p in PAGES if any(code_blocks.blocks(p)) and not any(code_blocks.pairs(p))],
    ids=name_of,
)
def test_the_code_of_a_page_prints_what_the_page_says(page, tmp_path):
    code_blocks.run(page, tmp_path)
    assert set(code_blocks.makes(page)) <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("peer", "own"),
    [pair for page in PAGES for pair in code_blocks.pairs(page)],
    ids=lambda block: block.title,
)
def test_code_side_by_side_prints_the_same(peer, own):
    assert own.title == "autograd-bp"
    printed = code_blocks.printed(own, {"__name__": "own"})
    assert printed.strip()
    pytest.importorskip(code_blocks.PEERS[peer.title])
    assert printed == code_blocks.printed(peer, {"__name__": "peer"})


def test_a_page_that_says_something_else_is_found(tmp_path):
    page = tmp_path / "page.md"
    text = '```python\nprint(1 + 1)\n```\n\n```text title="Output"\n3\n```\n'
    page.write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError, match="says that this code prints"):
        code_blocks.run(page, tmp_path)


@pytest.mark.parametrize("page", [p for p in PAGES if p.name.endswith(".zh.md")], ids=name_of)
def test_a_chinese_chapter_has_the_same_code_and_formulas(page):
    def parts(page):
        formulas = re.findall(r"\$\$.*?\$\$", page.read_text(encoding="utf-8"), re.DOTALL)
        return list(code_blocks.blocks(page)), formulas

    english = page.with_name(page.name.replace(".zh", ""))
    assert parts(page) == parts(english)
    assert len(parts(english)[0]) > 5


def test_the_first_chapter_reads_the_engine_on_one_page_whole():
    page = code_blocks.PAGES / "tutorial" / "textbook.md"
    (title,) = {block.title for block in code_blocks.blocks(page) if code_blocks.is_shown(block)}
    shown = [b.code.strip("\n") for b in code_blocks.blocks(page) if code_blocks.is_shown(b)]
    file = (ROOT / title).read_text(encoding="utf-8")
    assert [line for line in "\n".join(shown).splitlines() if line] == [
        line for line in file.splitlines() if line
    ]


def test_the_reference_has_every_public_name():
    found = set()
    for page in (code_blocks.PAGES / "reference").glob("*.md"):
        for path, options in re.findall(r"^::: (\S+)((?:\n +.*)*)", page.read_text("utf-8"), re.M):
            members = re.search(r"members: \[(.*)\]", options)
            found |= {f"{path}.{name}" for name in members[1].split(", ")} if members else {path}
    found = {path: pkgutil.resolve_name(path) for path in found}  # modules first, as mkdocstrings
    objects = {id(x) for x in found.values() if callable(x)}  # some have several paths
    assert len(objects) > 80
    table = {op.name for op in autograd_bp.ops.TABLE}  # its page has them all

    def has(module, name):
        x = getattr(module, name)
        if callable(x):
            return id(x) in objects or (module is autograd_bp and name in table)
        return f"{module.__name__}.{name}" in found

    # What these have for users stands in nn, or is a command.
    inside = {"nn.checks", "nn.classes", "nn.cli", "nn.data", "nn.training_page"}
    public = ["autograd_bp", "autograd_bp.program"]
    public += [m for m in modules() if m.startswith("nn") and m not in inside]
    for module in map(importlib.import_module, public):
        assert [name for name in module.__all__ if not has(module, name)] == [], module
