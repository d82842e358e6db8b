"""The tour: differentiate an expression, train on real data, see δ, draw (`make demo`)."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltas
import digits
import expression
import moons
import neuron_graph

from autograd_bp import compiled

STEPS: dict[str, Callable[[Path], Any]] = {
    "1. Differentiate an expression": expression.main,
    "2. One neuron: its graph and its δ": neuron_graph.main,
    "3. Train a sigmoid MLP on two moons": moons.main,
    "4. Train on handwritten digits": digits.main,
    "5. δ: the textbook's recursion by hand, beside the engine": deltas.main,
}


PROMISED = {
    "3. Train a sigmoid MLP on two moons": 0.97,
    "4. Train on handwritten digits": 0.93,
}
"""The least accuracy of these steps, of digits on held-out images."""


def main(out: Path = Path("out")) -> None:
    """Run every step, and say which pictures there are."""
    start = time.perf_counter()
    print(f"autograd-bp, engine {'compiled' if compiled else 'interpreted (no C compiler found)'}")
    short = []
    for title, step in STEPS.items():
        print(f"\n── {title} ".ljust(100, "─"))
        result = step(out)
        if title in PROMISED and not result >= PROMISED[title]:
            short.append(f"{title}: {result:.1%} is less than the promised {PROMISED[title]:.0%}")
    print(f"\nDone in {time.perf_counter() - start:.0f} s. Pictures in {out}/:")
    for picture in sorted(out.glob("*.[ps][nv]g")):
        print(f"  {picture}")
    if short:
        raise SystemExit("\n".join(short))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the pictures")
    main(parser.parse_args().out)
