"""Make the parts of the README that state facts of the code: its table and its picture.

``--check`` changes nothing and fails where the README differs from what would be made.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from autograd_bp import Value, draw
from autograd_bp.ops import TABLE, Op
from nn import MLP

ROOT = Path(__file__).parent.parent
START = "<!-- operations: made by docs/make_readme.py -->\n"
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


def readme() -> str:
    """The README as it should be."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, rest = text.split(START)
    return before + START + table() + END + rest.split(END)[1]


def neuron() -> Value:
    """A neuron of two inputs, after the backward pass of its squared error."""
    x = [Value(0.5, "x[0]"), Value(-1.0, "x[1]")]
    cost: Value = (MLP(2, [1], seed=1)(x) - 1.0) ** 2  # type: ignore[operator]
    cost.label = "C"
    cost.backward()
    return cost


def main() -> int:
    """Write, or with ``--check`` compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    path, made = ROOT / "README.md", readme()
    if parser.parse_args().check:
        current = path.read_text(encoding="utf-8") == made
        print("README.md is current" if current else "README.md differs: run `make readme`")
        return 0 if current else 1
    path.write_text(made, encoding="utf-8")
    (ROOT / "docs" / "images").mkdir(parents=True, exist_ok=True)
    draw(neuron()).render(outfile=ROOT / "docs" / "images" / "neuron.svg", cleanup=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
