"""How fast are programs? Side by side with hand-written code and other libraries, in one run.

    python -m benchmarks.program [--only moons]

Times are medians over turns, on one thread. Every peer's numbers are compared with ours before
it is timed; one that is not installed is named. What fell short stands at the end.
"""

from __future__ import annotations

import argparse
import os

from autograd_bp.program import compiled, run
from benchmarks.program_irregular import arm, black_scholes, calls, composed, first_gradient, growth
from benchmarks.program_mlp import digits, moons
from benchmarks.program_transformer import transformer
from benchmarks.race import module

WORKS = [moons, digits, transformer, black_scholes, arm, first_gradient, calls, composed, growth]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="How fast programs are, beside their peers.")
    parser.add_argument("--only", choices=[work.__name__ for work in WORKS])
    only = parser.parse_args(arguments).only
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    limits = module("threadpoolctl")
    if limits:
        limits.threadpool_limits(1)
    kernel = run.kernel.available()[-1] if compiled else "absent: NumPy runs the programs"
    print(f"\n## Programs (kernel: {kernel})")
    short = [line for work in WORKS if only in (None, work.__name__) for line in work()]
    print("\nFell short:" if short else "\nEvery ratio was reached.")
    for line in short:
        print(f"- {line}")


if __name__ == "__main__":
    main()
