"""How long do the step page of a large graph take to make, and a step in it to show?

A step is timed in headless Chromium from the arrow key to the end of the frame that shows it:
with the camera on the node at work, and with all of the graph in sight. Needs playwright and a
Chromium on PATH; painting is the processor's work here, where a desktop has a graphics card.
"""

from __future__ import annotations

import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autograd_bp import Value, steps, sum_of, topological_order
from benchmarks.timing import print_table
from nn import MLP, mse

NODES = 2000
PRESSES = 100
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PRESS = """async (presses) => {
  const times = [];
  for (let k = 0; k < presses; k++) {
    const start = performance.now();
    const key = new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true });
    document.body.dispatchEvent(key);
    await new Promise((shown) => requestAnimationFrame(() => setTimeout(shown)));
    times.push(performance.now() - start);
  }
  return times;
}"""


def chain() -> Value:
    x = Value(0.5, "x")
    for _ in range(NODES - 1):
        x = x.tanh()
    return x


def wide_mlp() -> Value:
    x = [Value(0.1 * i, f"x[{i}]") for i in range(20)]
    output: Any = MLP(20, [59, 10, 1], seed=0)(x)
    cost: Value = mse(output, 1.0)
    return cost


def tangle() -> Value:
    """Each node has two parents, picked at random from all that came before."""
    pick = random.Random(0)
    x = [Value(pick.uniform(0.5, 1.5), f"x{i}") for i in range(20)]
    while len(x) < NODES - 1:
        x.append(pick.choice(x) + pick.choice(x))
    used = {parent for node in x for parent in node.parents}
    root: Value = sum_of([node for node in x if node not in used])
    return root


GRAPHS: Mapping[str, Callable[[], Value]] = {"chain": chain, "wide MLP": wide_mlp, "tangle": tangle}


def shown(tab: Any, follow: bool) -> str:
    """Median and 95th percentile of a step around the turn from forward to backward, in ms."""
    if (tab.get_attribute("#follow", "aria-pressed") == "true") != follow:
        tab.click("#follow")
    if not follow:
        tab.click("#fit")
    last = int(tab.text_content("#count").split(" / ")[1])
    tab.fill("#slider", str(max(0, last // 2 - PRESSES // 2)))
    times = tab.evaluate(PRESS, min(PRESSES, last))
    return f"{statistics.median(times):.0f}, {statistics.quantiles(times, n=20)[-1]:.0f}"


def main() -> None:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        sys.exit("this benchmark needs the package playwright, and Chromium on PATH")
    rows = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, graph in GRAPHS.items():
            root = graph()
            start = time.perf_counter()
            file = steps(root, limit=NODES + 100).write(Path(folder, "page.html"))
            made = time.perf_counter() - start
            tab = browser.new_page(viewport={"width": 1280, "height": 800})
            tab.goto(file.as_uri())
            while tab.locator("#choices [aria-expanded=false]").count():
                tab.locator("#choices [aria-expanded=false]").first.click()
            nodes = str(len(topological_order(root)))
            rows.append([name, nodes, f"{made:.1f}", shown(tab, True), shown(tab, False)])
            tab.close()
        browser.close()
    columns = ["graph", "nodes", "page made in s", "step, near: median, p95 ms", "whole in sight"]
    print_table("Step page", columns, rows)


if __name__ == "__main__":
    main()
