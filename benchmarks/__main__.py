"""Runs the quick benchmarks and prints their tables: ``python -m benchmarks [program …]``."""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time

import autograd_bp

QUICK = ["micrograd_demo", "transformer", "nary", "scaling", "memory", "program"]


def main() -> int:
    """The number of benchmarks that failed; being slow is no failure."""
    engine = "compiled" if autograd_bp.compiled else "interpreted: no C compiler was found"
    parser = argparse.ArgumentParser(description="Run benchmarks: all of these, or those named.")
    parser.add_argument("names", nargs="*", help=", ".join(QUICK))
    names = parser.parse_args().names or QUICK
    print(f"## autograd-bp {autograd_bp.__version__}, {engine}")
    print(f"\nPython {platform.python_version()} on {platform.platform()}", flush=True)
    start = time.perf_counter()
    # Each in a process of its own: what one leaves behind would slow the next one's peers.
    failed = [
        name
        for name in names
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode
    ]
    print(f"\n{time.perf_counter() - start:.0f} s. The deepest: python -m benchmarks.chain")
    for name in failed:
        print(f"benchmarks.{name} failed", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
