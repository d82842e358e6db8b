"""Run benchmarks, and put what they print into the site, dated: ``make bench-pages``.

    python docs/make_benchmarks.py [name ...]

The pages docs/pages/benchmarks/NAME.md are written by this program alone.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from autograd_bp import compiled
from autograd_bp.files import write_whole

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "pages" / "benchmarks"
MEASURED = ["autograd_bp", "nn", "benchmarks"]
SHORT = ["micrograd_demo", "transformer", "nary", "scaling", "memory", "program", "transforms"]


def _output(*command: str) -> str:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def _processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def page(name: str) -> str:
    """Run a benchmark; return its page."""
    # The commit that last changed what is measured: others come and go with the site's text.
    commit = _output("git", "log", "-1", "--format=%h", "--", *MEASURED)
    changed = " with changes" if _output("git", "status", "--porcelain", "--", *MEASURED) else ""
    table = _output(sys.executable, "-m", f"benchmarks.{name}")
    today = datetime.now(timezone.utc).date()
    return (
        f"---\nhide: [toc]\n---\n# benchmarks.{name}\n\n"
        f"Printed by `python -m benchmarks.{name}` on {today}, at commit `{commit}`{changed}. "
        f"Engine {'compiled' if compiled else 'interpreted'}, Python {platform.python_version()}, "
        f"{platform.system()}, {_processor()}, {os.cpu_count()} cores.\n\n{table}\n"
    )


def main() -> None:
    """Run those that are named, or the short ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"by default {', '.join(SHORT)}")
    for name in parser.parse_args().names or SHORT:
        print(write_whole(PAGES / f"{name}.md", page(name).encode()))


if __name__ == "__main__":
    main()
