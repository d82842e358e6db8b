"""How fast are programs of scalar code that has no matrices in it?

Black–Scholes prices with their Greeks, 100,000 options at once; a two-joint arm, one call at a
time; and random programs of + − × sin tanh that share their results, from the Python code to
the first gradient, and call by call.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from autograd_bp import cos, erf, exp, grad, log, sin, sum_of, tanh
from autograd_bp.program import jit, trace
from benchmarks.race import Peer, check, module, race
from benchmarks.timing import print_table

__all__ = ["arm", "black_scholes", "calls", "first_gradient", "growth"]

# --- many lanes, one lane -------------------------------------------------------------------------


def price(option: Any, erf: Any, exp: Any, log: Any) -> Any:
    """A European call on a share of price S, by Black and Scholes; the strike is 100."""
    S, sigma, T, r = option
    spread = sigma * T**0.5
    d1 = (log(S / 100.0) + (r + 0.5 * sigma * sigma) * T) / spread

    def normal(x: Any) -> Any:
        return 0.5 + 0.5 * erf(x / math.sqrt(2.0))

    return S * normal(d1) - 100.0 * exp(-r * T) * normal(d1 - spread)


def black_scholes() -> list[str]:
    """Prices with delta, vega, theta and rho: 100,000 options."""
    rng = np.random.default_rng(0)
    n = 100_000
    low, high = (80.0, 0.1, 0.1, 0.0), (120.0, 0.5, 2.0, 0.05)
    options = rng.uniform(low, high, (n, 4))
    program = trace(lambda o: price(o, erf, exp, log), options[0])
    _, greeks = program.map(options, grad=True)
    peers = []
    jax = module("jax")
    if jax:
        from jax.scipy.special import erf as jax_erf

        f = jax.jit(
            jax.vmap(jax.value_and_grad(lambda o: price(o, jax_erf, jax.numpy.exp, jax.numpy.log)))
        )
        check("JAX", f(options)[1], greeks)
    peers.append(Peer("JAX jit", jax and (lambda: f(options)[1].block_until_ready()), 1.0))
    casadi = module("casadi")
    if casadi:
        o = casadi.SX.sym("o", 4)
        y = price([o[i] for i in range(4)], casadi.erf, casadi.exp, casadi.log)
        g = casadi.Function("g", [o], [y, casadi.gradient(y, o)]).map(n)
        columns = np.ascontiguousarray(options.T)
        check("CasADi", np.asarray(g(columns)[1]).T, greeks)
    peers.append(Peer("CasADi map", casadi and (lambda: g(columns)), 1.0))
    return race(
        "Black–Scholes with Greeks, 100,000 options", lambda: program.map(options, grad=True), peers
    )


def distance(q: Any, sin: Any, cos: Any) -> Any:
    """How far an arm with two joints is from a point, squared."""
    x = cos(q[0]) + 0.8 * cos(q[0] + q[1]) - 0.5
    y = sin(q[0]) + 0.8 * sin(q[0] + q[1]) - 1.2
    return x * x + y * y


def arm() -> list[str]:
    """Value and gradient of a small program, one call at a time."""
    at = [0.3, 0.4]
    program = trace(lambda q: distance(q, sin, cos), at)
    _, gradient = program.value_and_grad(at)
    peers = []
    jax = module("jax")
    if jax:
        f = jax.jit(jax.value_and_grad(lambda q: distance(q, jax.numpy.sin, jax.numpy.cos)))
        q = np.array(at)
        check("JAX", f(q)[1], gradient)
    peers.append(Peer("JAX jit", jax and (lambda: f(q)[1].block_until_ready()), 1.0))
    casadi = module("casadi")
    if casadi:
        s = casadi.SX.sym("q", 2)
        y = distance([s[0], s[1]], casadi.sin, casadi.cos)
        g = casadi.Function("g", [s], [y, casadi.gradient(y, s)])
        check("CasADi", np.asarray(g(at)[1]).ravel(), gradient)
    peers.append(Peer("CasADi SX", casadi and (lambda: g(at)), 1.0))
    return race("A two-joint arm, one lane a call", lambda: program.value_and_grad(at), peers)


# --- random programs ------------------------------------------------------------------------------


def random_code(n: int) -> Callable[[Any, Any, Any], list[Any]]:
    """n nodes of + − × sin tanh at random, operands from all before them, of 8 inputs."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 5, n).tolist()
    taken = (rng.random((n, 2)) * (8 + np.arange(n))[:, None]).astype(int).tolist()

    def f(x: Any, sin: Any, tanh: Any) -> list[Any]:
        v = list(x)
        for kind, (i, j) in zip(kinds, taken, strict=True):
            a, b = v[i], v[j]
            v.append(
                a + b if kind == 0 else a - b if kind == 1 else a * b if kind == 2
                else sin(a) if kind == 3 else tanh(a)
            )  # fmt: skip
        return v

    return f


X = (np.random.default_rng(1).random(8) * 0.1).tolist()


def ours(code: Any) -> tuple[Any, tuple[float, list[float]]]:
    """The program of the sum of all nodes, and its first value and gradient."""
    program = trace(lambda x: sum_of(code(x, sin, tanh)), X)
    return program, program.value_and_grad(X)


def in_casadi(casadi: Any, code: Any) -> tuple[Any, Any]:
    """The same with CasADi's SX."""
    s = casadi.SX.sym("x", 8)
    v = code([s[i] for i in range(8)], casadi.sin, casadi.tanh)
    y = casadi.sum1(casadi.vertcat(*v))
    g = casadi.Function("g", [s], [y, casadi.gradient(y, s)])
    return g, g(X)


def first_gradient() -> list[str]:
    """From Python code to its first gradient: 100,000 nodes, and 1,000 for JAX."""
    code = random_code(100_000)
    casadi = module("casadi")
    _, (value, gradient) = ours(code)
    if casadi:
        _, found = in_casadi(casadi, code)
        check("CasADi", np.asarray(found[1]).ravel(), gradient)
        check("CasADi", float(found[0]), value)
    peer = Peer("CasADi SX", casadi and (lambda: in_casadi(casadi, code)), 0.2)
    return race(
        "100,000 nodes of irregular scalar code: from the code to its first gradient",
        lambda: ours(code),
        [peer],
    ) + _first_gradient_in_jax(300)


def _first_gradient_in_jax(n: int) -> list[str]:
    """JAX on fewer nodes: its compiler takes more than minutes for 10,000."""
    code = random_code(n)
    jax = module("jax")
    _, (_, gradient) = ours(code)

    def theirs() -> Any:
        f = jax.jit(jax.value_and_grad(lambda x: sum(code(x, jax.numpy.sin, jax.numpy.tanh))))
        return f(np.array(X))[1].block_until_ready()

    if jax:
        check("JAX", theirs(), gradient)
    return race(
        f"{n:,} nodes of it: from the code to its first gradient",
        lambda: ours(code),
        [Peer("JAX jit", jax and theirs, 1.0)],
        "JAX compiles 1,000 nodes in about 20 s, and 10,000 not within two minutes.",
    )


def calls() -> list[str]:
    """The program of 100,000 nodes once it is there: value and gradient, one lane."""
    code = random_code(100_000)
    program, _ = ours(code)
    casadi = module("casadi")
    peer = Peer("CasADi SX", None, 0.35)
    if casadi:
        g, _ = in_casadi(casadi, code)
        peer = peer._replace(call=lambda: g(X))
    return race(
        "100,000 nodes of irregular scalar code: a call of value and gradient, one lane",
        lambda: program.value_and_grad(X),
        [peer],
    )


def composed() -> list[str]:
    """What `grad` adds to the gradient of a program: one node, and a tape of it."""
    code = random_code(10_000)
    program, (_, gradient) = ours(code)
    f = grad(jit(lambda x: sum_of(code(x, sin, tanh))))
    check("grad(jit(f))", np.array(f(X)), gradient)
    return race(
        "10,000 nodes of irregular scalar code: grad(jit(f)) in calls of program.value_and_grad",
        lambda: f(X),
        [Peer("program.value_and_grad", lambda: program.value_and_grad(X), 1.5)],
    )


# --- growth ---------------------------------------------------------------------------------------


def growth(sizes: tuple[int, ...] = (10_000, 100_000, 1_000_000)) -> list[str]:
    """Time and memory for a node, from the code to its first gradient, as programs grow."""
    rows = []
    for n in sizes:
        # Each in a process of its own, as the peak of memory is a process's.
        command = [sys.executable, "-m", "benchmarks.program_irregular", "--measure", str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        eager, seconds, call, bytes_ = map(float, done.stdout.split())
        per_node = [f"{1e6 * t / n:.2f}" for t in (eager, seconds)]
        rows.append([f"{n:,}", *per_node, f"{1e9 * call / n:.1f}", f"{bytes_ / n:.0f}"])
    print_table(
        "Time and memory for a node of irregular scalar code",
        ["nodes", "code alone, µs", "to first gradient, µs", "a call, ns", "peak bytes"],
        rows,
        "Operands are random, so that beyond the caches every look at a node is one at memory:\n"
        "the user's own loop over Values slows down alike. 10,000,000 nodes:\n"
        "python -m benchmarks.program_irregular 10000000",
    )
    return []


def peak_bytes() -> int:
    """The most memory that this process ever had."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where getrusage counts what the parent had, too
        (line,) = [x for x in status.read_text("ascii").splitlines() if x.startswith("VmHWM")]
        return 1024 * int(line.split()[1])
    import resource  # which Windows lacks

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def _measure(n: int) -> None:
    """Print seconds of the code on Values, to the first gradient, of a call; peak bytes."""
    code = random_code(n)
    before = peak_bytes()
    eager = 0.0

    def timed(x: Any) -> Any:
        nonlocal eager
        start = time.perf_counter()
        result = sum_of(code(x, sin, tanh))
        eager = time.perf_counter() - start
        return result

    start = time.perf_counter()
    program = trace(timed, X)
    program.value_and_grad(X)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    program.value_and_grad(X)
    call = time.perf_counter() - start
    print(eager, seconds, call, peak_bytes() - before)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time and memory for a node as programs grow.")
    parser.add_argument("nodes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        _measure(options.measure)
    else:
        growth(tuple(options.nodes))
