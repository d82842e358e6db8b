"""One self-contained HTML file, made of the parts that lie beside this module."""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from autograd_bp.files import write_whole

__all__ = ["Page", "json_number", "page_path"]


class Page:
    """A page that can be written to a file, or shown by a notebook.

    ``main`` names the HTML of its middle part, ``styles`` and ``scripts`` the files to put in,
    all of them in the package ``home``, beside those of all pages; ``data`` is what the scripts
    get, and ``code`` is JavaScript that was made, not written.
    """

    home: str = __package__
    main: str
    styles: Iterable[str] = ()
    scripts: Iterable[str] = ()
    code: str = ""
    title: str
    data: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.title!r}: write(path), or let a notebook show it>"

    def html(self) -> str:
        """The page as text."""
        parts = {
            "TITLE": html.escape(_utf8(self.title)),
            "STYLE": "\n".join([_file("common.css"), *self._own(self.styles)]),
            "MAIN": "".join(self._own([self.main])),
            "DATA": _inside_script({"title": self.title, **self.data}),
            "SCRIPT": "\n".join([_file("common.js"), self.code, *self._own(self.scripts)]),
        }
        # In one go: a title or a label that looks like one of these marks is not replaced.
        return re.sub(r"<!--([A-Z]+)-->", lambda mark: parts[mark[1]], _file("common.html"))

    def _own(self, names: Iterable[str]) -> list[str]:
        return [_file(name, self.home) for name in names]

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to a file, whole or not at all; return its path.

        Raises ValueError unless it ends in .html or .htm: browsers go by that.
        """
        return write_whole(page_path(path, "path"), self.html().encode())

    def _repr_html_(self) -> str:
        frame = html.escape(self.html(), quote=True)
        return f'<iframe srcdoc="{frame}" style="width:100%;height:640px;border:0"></iframe>'


def page_path(path: str | os.PathLike[str], name: str) -> Path:
    """The path of a page to write; ValueError names the argument unless it ends like one."""
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{name} must end in .html, as a page does; got {str(path)!r}")
    return target


@cache
def _file(name: str, home: str = __package__) -> str:
    return files(home).joinpath(name).read_text(encoding="utf-8")


def _utf8(text: str) -> str:
    """The text with an escape for each half of a surrogate pair, which UTF-8 has not."""
    return text.encode("utf-8", "backslashreplace").decode()


def _inside_script(data: Any) -> str:
    """JSON that nothing in it can end the script element with."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("</", "<\\/").replace("<!", "\\u003c!")


def json_number(x: float) -> float | str:
    """JSON has no infinities: those and NaN go as text that JavaScript's Number reads."""
    return x if abs(x) < float("inf") else {x != x: "NaN", x > 0: "Infinity"}.get(True, "-Infinity")
