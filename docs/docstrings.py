"""The docstrings as Markdown, for the site's reference.

They are written to be read in a terminal: examples are bare doctests, and a table is the one of
reStructuredText. Here examples become blocks of code, and such a table is set as it was typed.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^( *)>>> .*?(?=^\s*$|\Z)", re.DOTALL | re.MULTILINE)
TABLE = re.compile(r"^=+ [= ]+\n.*?^=+ [= ]+$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"(```.*?```|``.*?``|`[^`]*`)", re.DOTALL)
TITLE = re.compile(r"^(\S.*)\n-{3,}$", re.MULTILINE)


def markdown(docstring: str) -> str:
    """A docstring as Markdown."""
    text = TITLE.sub(r"**\1**\n", docstring)
    text = TABLE.sub(lambda table: f"```text\n{table[0]}\n```", text)
    text = EXAMPLE.sub(lambda example: f"```pycon\n{_dedented(example)}\n```", text)
    parts = CODE.split(text.replace("  # doctest: +ELLIPSIS", ""))
    parts[::2] = [prose.replace("][", "]\\[") for prose in parts[::2]]  # w[i][j] is no link
    return "".join(parts)


def _dedented(example: re.Match[str]) -> str:
    return "\n".join(line.removeprefix(example[1]) for line in example[0].rstrip().splitlines())


class AsMarkdown(griffe.Extension):
    """What mkdocstrings calls for each object that it reads."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the object's docstring."""
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)
