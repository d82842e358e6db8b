"""The Python of the site's pages: found, run, and held against the output that stands below it.

A page's blocks are one session, in order. A block that prints is followed by a block titled
"Output" with what it prints; `...` in it stands for anything. The titles of `PEERS` mark code for
another library: it is run by itself, see `pairs`. A title that is a path marks lines of that file,
which are shown and not run.
"""

from __future__ import annotations

import doctest
import io
import linecache
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "pages"
sys.path.append(str(ROOT / "examples"))  # pages may import an example, as in its folder

PEERS = {"micrograd": "micrograd", "PyTorch": "torch", "JAX": "jax"}
"""By the title of a block, the package that its code is for."""

FENCE = re.compile(r'^```(\w+)(?: title="([^"]*)")?[^\n]*\n(.*?)^```$', re.DOTALL | re.MULTILINE)
MAKES = re.compile(r"^makes: \[(.*)\]$", re.MULTILINE)


class Block(NamedTuple):
    """Code, and what it is to print."""

    title: str
    code: str
    output: str


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of Python of a page."""
    fences = FENCE.findall(page.read_text(encoding="utf-8"))
    for k, (language, title, text) in enumerate(fences):
        if language == "python":
            below = fences[k + 1] if k + 1 < len(fences) else ("", "", "")
            yield Block(title, text, below[2] if below[1] == "Output" else "")


def pairs(page: Path) -> Iterator[tuple[Block, Block]]:
    """Each block for a peer, with the block of this library that stands beside it."""
    found = list(blocks(page))
    for peer, own in pairwise(found):
        if peer.title in PEERS:
            yield peer, own


def is_shown(block: Block) -> bool:
    """Whether a block is a part of a file."""
    return block.title.endswith(".py")


def makes(page: Path) -> list[str]:
    """The files that the page's code writes, as its front matter names them."""
    found = MAKES.search(page.read_text(encoding="utf-8"))
    return found[1].split(", ") if found else []


def printed(block: Block, session: dict[str, Any]) -> str:
    """Run a block within a session; return what it prints."""
    out, name = io.StringIO(), "example.py"
    # So that a message can quote the line, as it does for a file.
    linecache.cache[name] = len(block.code), None, block.code.splitlines(keepends=True), name
    with redirect_stdout(out):
        exec(compile(block.code, name, "exec"), session)
    return out.getvalue()


def run(page: Path, folder: Path) -> None:
    """Run a page's code in a folder; AssertionError where it prints other than the page says."""
    session: dict[str, Any] = {"__name__": page.stem}
    with _inside(folder):
        for block in blocks(page):
            if block.title not in PEERS and not is_shown(block):
                got = printed(block, session)
                if not doctest.OutputChecker().check_output(block.output, got, doctest.ELLIPSIS):
                    raise AssertionError(
                        f"{page.name} says that this code prints\n{block.output}\n"
                        f"It prints\n{got}\nThe code is\n{block.code}"
                    )


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
