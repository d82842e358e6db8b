"""What the site has that nobody types: MkDocs calls the functions ``on_…`` while it builds.

- Pages and pictures that a page's own code writes, such as a step page: its front matter names
  them, ``makes: [neuron.html]``, and the code of the page is run to have them.
- The README as the home page, CONTRIBUTING, CHANGELOG, what was proven, the examples' source.
- What the commands say of themselves. Formulas as MathML, which browsers set without a script.
"""

from __future__ import annotations

import ast
import html
import os
import posixpath
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import code_blocks
from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
AT_ROOT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "docs/proofs.md": "proofs.md",
    "docs/composition.md": "composition.md",
    "docs/conformance.md": "conformance.md",
    "docs/mutation.md": "mutation.md",
    "examples": "examples.md",
}
"""Where what the README and its like link to stands in the site."""

AS_THEY_ARE = [*sorted(ROOT.glob("docs/images/*")), ROOT / "examples/backpropagation.ipynb"]
"""What they link to besides, for the site as it is, in a folder of the same name."""

AT_ROOT |= {p.relative_to(ROOT).as_posix(): f"{p.parent.name}/{p.name}" for p in AS_THEY_ARE}

SOURCES = [
    *sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("examples/*.py")),
    "autograd_bp/value.py", "autograd_bp/ops.py", "nn/delta.py",
]  # fmt: skip
LINK = re.compile(r"(!?)\[([^]\n]*)\]\(([^)\s]+)\)")
FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL
)  # fmt: skip
PRIME = re.compile(r"<msup>(<mi>[^<]*</mi>)<mi>&#x02032;</mi></msup>")
"""A prime stands as high as it should already; as an exponent it would be raised twice."""

OUTSIDE = re.compile(r"<(?:script|link|img|iframe|source|video)\b[^>]*[\"'=](?:https?:)?//[^>]*>")
EMBEDDED = re.compile(r'<p><a class="embedded( \w+)?" href="([^"]+)">(.*?)</a></p>')


def on_files(files: Files, config: Any) -> Files:
    """Add what is made."""

    def add(path: str, content: str | bytes) -> None:
        file = File.generated(config, path, content=content)
        if file.dest_uri in {other.dest_uri for other in files}:
            raise FileExistsError(f"{path} would replace a page of the site; give it another name")
        files.append(file)

    for name in [name for name in AT_ROOT if name.endswith(".md")]:
        add(AT_ROOT[name], at_root(ROOT / name))
    for path in AS_THEY_ARE:
        add(f"{path.parent.name}/{path.name}", path.read_bytes())
    for source in SOURCES:
        add(_page_of(source), _source_page(source))
    add("examples.md", _examples())
    for page in sorted(code_blocks.PAGES.rglob("*.md")):
        if code_blocks.makes(page):
            with TemporaryDirectory() as folder:
                code_blocks.run(page, Path(folder))
                for name in code_blocks.makes(page):
                    where = page.parent.relative_to(code_blocks.PAGES) / name
                    add(where.as_posix(), (Path(folder) / name).read_bytes())
    return files


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Put in the help of the commands."""
    if "<!-- commands -->" in markdown:
        markdown = markdown.replace("<!-- commands -->", commands())
    return markdown


def on_page_content(html: str, **kwargs: Any) -> str:
    """Formulas as MathML, links marked ``{ .embedded }`` as frames."""
    html = FORMULA.sub(_mathml, html)
    return EMBEDDED.sub(
        r'<iframe class="embedded\1" src="\2" title="\3" loading="lazy"></iframe>'
        r'<p class="caption"><a href="\2">\3</a>, in a tab of its own</p>',
        html,
    )


def _mathml(formula: re.Match[str]) -> str:
    display = "block" if formula[2] == "[" else "inline"
    mathml = convert(html.unescape(formula[3]), display=display)
    return PRIME.sub(r"<mrow>\1<mo>&#x02032;</mo></mrow>", mathml)


def on_post_build(config: Any) -> None:
    """Refuse a site whose pages ask for anything from outside when they are read."""
    for page in Path(config.site_dir).rglob("*.html"):
        found = OUTSIDE.search(page.read_text(encoding="utf-8"))
        if found:
            raise RuntimeError(f"{page} asks for something from outside: {found[0]}")
    for style in Path(config.site_dir).rglob("*.css"):
        if re.search(r"(url\(|@import)\s*[\"']?https?:", style.read_text(encoding="utf-8")):
            raise RuntimeError(f"{style} asks for something from outside")


def commands() -> str:
    """The help of each command, as it prints it."""

    def help_of(*command: str) -> str:
        call = [sys.executable, "-m", "autograd_bp", *command, "--help"]
        where = {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(ROOT)}
        return subprocess.run(call, env=where, check=True, text=True, capture_output=True).stdout

    whole = help_of()
    names = re.findall(r"^    (\w+) ", whole, re.MULTILINE)
    texts = [f"```text\n{whole}```", *(f"## {n}\n\n```text\n{help_of(n)}```" for n in names)]
    return "\n\n".join(texts)


def at_root(path: Path) -> str:
    """The text of a file of `AT_ROOT`, with links that hold in the site."""
    folder = path.parent.relative_to(ROOT).as_posix()
    return LINK.sub(partial(_link, folder), path.read_text(encoding="utf-8"))


def _link(folder: str, link: re.Match[str]) -> str:
    if "://" in link[3]:
        return link[0]
    target = posixpath.normpath(posixpath.join(folder, link[3]))
    if target in SOURCES:
        return f"[{link[2]}]({_page_of(target)})"
    if target.startswith("docs/pages/"):
        return f"{link[1]}[{link[2]}]({target.removeprefix('docs/pages/')})"
    if target in AT_ROOT:
        return f"{link[1]}[{link[2]}]({AT_ROOT[target]})"
    if not (ROOT / target).exists():
        raise FileNotFoundError(f"the README or its like links to {target}, which is not there")
    if link[1]:
        raise FileNotFoundError(f"the README or its like shows {target}, which the site lacks")
    return link[2]  # a file that the site does not have


def _page_of(source: str) -> str:
    return posixpath.join("source", source.removesuffix(".py") + ".md")


def _source_page(source: str) -> str:
    text = (ROOT / source).read_text(encoding="utf-8")
    return f"---\nhide: [toc]\n---\n# {source}\n\n````python\n{text}````\n"


def _examples() -> str:
    lines = ["# Examples", "", "Each is a short program, and each is run by a test.", ""]
    for source in SOURCES:
        if source.startswith("examples/"):
            tree = ast.parse((ROOT / source).read_text(encoding="utf-8"))
            about = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
            lines.append(f"- [{Path(source).name}]({_page_of(source)}): {about}")
    return "\n".join(lines) + "\n"
