"""Differentiate an expression: write it down, call backward(), read the gradients.

Beside each gradient stands what finite differences make of it: (f(x + h) − f(x − h)) / 2h.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autograd_bp import Value, draw, tanh


def f(a: Any, b: Any) -> Any:
    """Any function of numbers is one of Values too."""
    return tanh(a * b + b**2) / (a + 3.0)


def by_differences(f: Callable[[float], float], x: float, h: float = 1e-6) -> float:
    """The slope of a function of one number, without calculus."""
    return (f(x + h) - f(x - h)) / (2 * h)


def main(out: Path = Path("out")) -> dict[str, tuple[float, float]]:
    """Print the gradients, draw the graph; return each gradient with its estimate."""
    a, b = Value(2.0, label="a"), Value(-0.5, label="b")
    y = f(a, b)
    y.label = "y"
    y.backward()

    rows = {
        "∂y/∂a": (a.grad, by_differences(lambda x: f(x, b.data), a.data)),
        "∂y/∂b": (b.grad, by_differences(lambda x: f(a.data, x), b.data)),
    }
    print(f"y = tanh(a·b + b²) / (a + 3) at a = {a.data}, b = {b.data}:  y = {y:.10f}")
    print(f"{'':8}{'backward()':>16}{'differences':>16}")
    for name, (grad, estimate) in rows.items():
        print(f"{name:8}{grad:>16.10f}{estimate:>16.10f}")

    out.mkdir(parents=True, exist_ok=True)
    draw(y).render(outfile=out / "expression.svg", cleanup=True)
    print(f"graph: {out / 'expression.svg'}")
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    main(parser.parse_args().out)
