"""Make what states facts of the code: the reference's table of operations, the README's pictures.

``--check`` changes nothing and fails where the table differs from what would be made. The
pictures of the pages need playwright and a Chromium on PATH; without them they are left alone.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from sklearn.datasets import make_moons

from autograd_bp import Value, dot, draw, steps
from autograd_bp.ops import TABLE, Op
from nn import MLP, Adam, bce, fit

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PAGE = ROOT / "docs" / "pages" / "reference" / "operations.md"
START = "<!-- operations: made by `make reference` -->\n"
END = "<!-- end of operations -->"


def written(op: Op) -> str:
    """How a user writes the operation."""
    names = [name.rstrip("*") for name in op.operands]
    if op.name in ("neg", "abs"):
        return {"neg": "-x", "abs": "abs(x)"}[op.name]
    return (
        f"{op.name}({', '.join(names)})" if op.name.isidentifier() else f" {op.name} ".join(names)
    )


def table() -> str:
    """The table of operations, in Markdown."""
    lines = [
        "| operation | value | local derivatives | defined for | subgradient |",
        "|---|---|---|---|---|",
    ]
    for op in TABLE:
        if op.operands:
            cells = [f"`{written(op)}`", f"`{op.value}`", " , ".join(f"`{d}`" for d in op.d)]
            cells += [f"`{op.domain}`" if op.domain else "", op.kink]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def reference() -> str:
    """The page of operations as it should be."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(START)
    return before + START + "\n" + table() + "\n" + END + rest.split(END)[1]


def neuron() -> Value:
    """A neuron of two inputs, after the backward pass of its squared error."""
    x = [Value(0.5, "x[0]"), Value(-1.0, "x[1]")]
    cost: Value = (MLP(2, [1], seed=1)(x) - 1.0) ** 2  # type: ignore[operator]
    cost.label = "C"
    cost.backward()
    return cost


def step_page(path: Path) -> None:
    """A neuron's backward pass, to step through."""
    w, x, b = Value(-0.8, "w"), Value(1.5, "x"), Value(0.3, "b")
    z = dot([w], [x], b)
    a = z.sigmoid()
    cost = (a - 1.0) ** 2
    z.label, a.label, cost.label = "z", "a", "C"
    steps(cost, title="One neuron, one sample").write(path)


def training_page(path: Path) -> None:
    """A training on two moons."""
    X, y = make_moons(150, noise=0.1, random_state=0)
    model = MLP(2, [6, 4, 1], activation=["tanh", "tanh", "sigmoid"], seed=1)
    adam = Adam(model.parameters(), lr=0.03)
    fit(model, X, y, loss=bce, optimizer=adam, epochs=40, seed=0, progress=False, record=path)


def photograph() -> None:
    """Pictures of both pages as a browser shows them."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("the package playwright is not installed: pictures of the pages are left alone")
        return
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        print(f"no {', '.join(PROGRAMS)} on PATH: pictures of the pages are left alone")
        return
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, make, size, presses in (
            ("step_page", step_page, {"width": 1280, "height": 560}, 9),
            ("training_page", training_page, {"width": 1280, "height": 800}, 0),
        ):
            page = Path(folder, f"{name}.html")
            make(page)
            tab = browser.new_page(viewport=size, reduced_motion="reduce")
            tab.goto(page.as_uri())
            for _ in range(presses):
                tab.keyboard.press("ArrowRight")
            tab.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


def main() -> int:
    """Write, or with ``--check`` compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    made = reference()
    if parser.parse_args().check:
        current = PAGE.read_text(encoding="utf-8") == made
        print(
            f"{PAGE.name} is current" if current else f"{PAGE.name} differs: run `make reference`"
        )
        return 0 if current else 1
    PAGE.write_text(made, encoding="utf-8")
    IMAGES.mkdir(parents=True, exist_ok=True)
    draw(neuron()).render(outfile=IMAGES / "neuron.svg", cleanup=True)
    photograph()
    return 0


if __name__ == "__main__":
    sys.exit(main())
