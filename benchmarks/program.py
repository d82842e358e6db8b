"""How fast programs run: side by side with hand-written code and other libraries, in one run.

    python -m benchmarks.program [--only WORK]

Every time is the median of calls over about a second, single-threaded. A peer that is not
installed is named and left out. Each peer's numbers are compared with ours before it is timed.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from autograd_bp import dot, erf, exp, log, logsumexp, sum_of
from autograd_bp.program import compiled, take, trace

Row = tuple[str, float, str]  # who, seconds, what to say of it


def seconds(call: Callable[[], Any], budget: float = 1.0, least: int = 5) -> float:
    """The median time of a call."""
    call()
    times: list[float] = []
    end = time.perf_counter() + budget
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def module(name: str) -> Any:
    """A peer, or None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def check(name: str, found: Any, expected: Any) -> None:
    """Stop if a peer computes something else."""
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9, err_msg=name)


# --- a sigmoid MLP ----------------------------------------------------------------------------


def mlp(p: Any, x: Any, sizes: list[int], last: Callable[[Any], Any]) -> list[Any]:
    """Neuron by neuron on scalars; the parameters of each are its weights and then its bias."""
    a, start = list(x), 0
    for layer, n in enumerate(sizes):
        z = []
        for _ in range(n):
            z.append(dot(p[start : start + len(a)], a, p[start + len(a)]))
            start += len(a) + 1
        a = [zi.sigmoid() if layer < len(sizes) - 1 else last(zi) for zi in z]
    return a


def matrices(p: Any, nin: int, sizes: list[int]) -> list[Any]:
    """The same parameters as matrices, biases last."""
    found, start = [], 0
    for n in sizes:
        found.append(p[start : start + n * (nin + 1)].reshape(n, nin + 1))
        start, nin = start + n * (nin + 1), n
    return found


def moons() -> Iterator[Row]:
    """2-16-16-1 sigmoid MLP, mean squared error, 100 points: full-batch value and gradient."""
    sizes = [16, 16, 1]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2))
    y = (X[:, 0] * X[:, 1] > 0).astype(float)
    p = rng.normal(size=3 * 16 + 17 * 16 + 17) * 0.5

    def cost(p: Any, x: Any, t: Any) -> Any:
        return (mlp(p, x, sizes, lambda z: z.sigmoid())[0] - t) ** 2

    program = trace(cost, p, X[0], y[0])
    value, gradient = program.map(p, X, y, reduce="mean", grad=True)
    ours = seconds(lambda: program.map(p, X, y, reduce="mean", grad=True))
    yield "autograd-bp Program", ours, ""

    W = [w[:, :-1].copy() for w in matrices(p, 2, sizes)]
    b = [w[:, -1].copy() for w in matrices(p, 2, sizes)]

    def by_hand() -> tuple[float, list[Any]]:
        A = [X]
        for w, bias in zip(W, b, strict=True):
            A.append(1.0 / (1.0 + np.exp(-(A[-1] @ w.T + bias))))
        error = A[-1][:, 0] - y
        delta = (2.0 / len(X)) * error[:, None] * A[-1] * (1.0 - A[-1])
        grads = []
        for layer in (2, 1, 0):
            grads.append(np.column_stack([delta.T @ A[layer], delta.sum(0)]))
            if layer:
                delta = (delta @ W[layer]) * A[layer] * (1.0 - A[layer])
        return float((error**2).mean()), grads[::-1]

    found = by_hand()
    check("NumPy", found[0], value)
    check("NumPy", np.concatenate([g.ravel() for g in found[1]]), gradient)
    yield "NumPy by hand", seconds(by_hand), "≤ 0.4"
    yield from _mlp_peers(p, X, y, sizes, value, gradient)
    source = _mlp_in_c()
    if source is not None:
        yield "C by hand, sample by sample", source(p, X, y, value, gradient), "≤ 0.5"


def _mlp_peers(p: Any, X: Any, y: Any, sizes: list[int], value: float, gradient: Any) -> Any:
    def cost_in(xp: Any) -> Callable[[Any], Any]:
        def cost(p: Any) -> Any:
            a = X
            for w in matrices(p, 2, sizes):
                a = 1.0 / (1.0 + xp.exp(-(xp.dot(a, w[:, :-1].T) + w[:, -1])))
            return xp.mean((a[:, 0] - y) ** 2)

        return cost

    jax = module("jax")
    if jax:
        jax.config.update("jax_enable_x64", True)
        step = jax.jit(jax.value_and_grad(cost_in(jax.numpy)))
        check("JAX", step(p)[1], gradient)
        yield "JAX jit", seconds(lambda: step(p)[1].block_until_ready()), "< 1"
    else:
        yield "JAX jit", math.nan, "not installed"
    autograd = module("autograd")
    if autograd:
        both = autograd.value_and_grad(cost_in(module("autograd.numpy")))
        check("autograd", both(p)[1], gradient)
        yield "autograd", seconds(lambda: both(p)), "< 1"
    else:
        yield "autograd", math.nan, "not installed"
    torch = module("torch")
    if torch:
        torch.set_num_threads(1)
        tp = torch.tensor(p, requires_grad=True)
        tx, ty = torch.tensor(X), torch.tensor(y)

        def step_in_torch() -> Any:
            a = tx
            for w in matrices(tp, 2, sizes):
                a = torch.sigmoid(a @ w[:, :-1].T + w[:, -1])
            return torch.autograd.grad(((a[:, 0] - ty) ** 2).mean(), tp)[0]

        check("PyTorch", step_in_torch(), gradient)
        yield "PyTorch", seconds(step_in_torch), "< 1"
    else:
        yield "PyTorch", math.nan, "not installed"
    casadi = module("casadi")
    if casadi:
        sp, sx, sy = casadi.SX.sym("p", len(p)), casadi.SX.sym("x", 2), casadi.SX.sym("y")
        a, start = [sx[0], sx[1]], 0
        for n in sizes:
            z = []
            for _ in range(n):
                terms = [sp[start + j] * aj for j, aj in enumerate(a)]
                z.append(sum(terms) + sp[start + len(a)])
                start += len(a) + 1
            a = [1 / (1 + casadi.exp(-zi)) for zi in z]
        loss = (a[0] - sy) ** 2
        f = casadi.Function("f", [sp, sx, sy], [loss, casadi.gradient(loss, sp)])
        mapped = f.map(len(X))
        P = np.repeat(p[:, None], len(X), 1)

        def in_casadi() -> Any:
            _, g = mapped(P, X.T, y[None, :])
            return np.asarray(g).mean(1)

        check("CasADi", in_casadi(), gradient)
        yield "CasADi map", seconds(in_casadi), "< 1"
    else:
        yield "CasADi map", math.nan, "not installed"


_C_BY_HAND = """
#include <math.h>
#include <string.h>
double f(const double *p, const double *X, const double *y, int n, double *g)
{
    static const int in[3] = {2, 16, 16}, out[3] = {16, 16, 1}, at[3] = {0, 48, 320};
    double total = 0;
    memset(g, 0, 337 * sizeof(double));
    for (int s = 0; s < n; s++) {
        double a[4][16], d[16], e[16];
        a[0][0] = X[2 * s]; a[0][1] = X[2 * s + 1];
        for (int l = 0; l < 3; l++)
            for (int i = 0; i < out[l]; i++) {
                const double *w = p + at[l] + i * (in[l] + 1);
                double z = w[in[l]];
                for (int j = 0; j < in[l]; j++) z += w[j] * a[l][j];
                a[l + 1][i] = 1 / (1 + exp(-z));
            }
        double error = a[3][0] - y[s];
        total += error * error;
        d[0] = 2 * error * a[3][0] * (1 - a[3][0]);
        for (int l = 2; l >= 0; l--) {
            memset(e, 0, sizeof e);
            for (int i = 0; i < out[l]; i++) {
                const double *w = p + at[l] + i * (in[l] + 1);
                double *gw = g + at[l] + i * (in[l] + 1);
                for (int j = 0; j < in[l]; j++) { gw[j] += d[i] * a[l][j]; e[j] += d[i] * w[j]; }
                gw[in[l]] += d[i];
            }
            for (int j = 0; l && j < in[l]; j++) d[j] = e[j] * a[l][j] * (1 - a[l][j]);
        }
    }
    for (int i = 0; i < 337; i++) g[i] /= n;
    return total / n;
}
"""


def _mlp_in_c() -> Callable[..., float] | None:
    """The baseline in C, compiled for this machine; None without a compiler."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return None
    import ctypes

    def run(p: Any, X: Any, y: Any, value: float, gradient: Any) -> float:
        with tempfile.TemporaryDirectory() as folder:
            source, library = Path(folder) / "f.c", Path(folder) / "f.so"
            source.write_text(_C_BY_HAND, "utf-8")
            flags = ["-O3", "-march=native", "-shared", "-fPIC", "-lm"]
            subprocess.run([compiler, str(source), *flags, "-o", str(library)], check=True)
            f = ctypes.CDLL(str(library)).f
        f.restype = ctypes.c_double
        g = np.empty(len(p))
        pointers = [ctypes.c_void_p(x.ctypes.data) for x in (p, X, y)]
        arguments = *pointers, ctypes.c_int(len(X)), ctypes.c_void_p(g.ctypes.data)
        check("C", f(*arguments), value)
        check("C", g, gradient)
        return seconds(lambda: f(*arguments))

    return run


def digits() -> Iterator[Row]:
    """64-64-32-10 sigmoid MLP, cross-entropy, batch of 64: value and gradient of a step."""
    sizes = [64, 32, 10]
    rng = np.random.default_rng(0)
    X, y = rng.random((64, 64)), rng.integers(0, 10, 64)
    p = rng.normal(size=65 * 64 + 65 * 32 + 33 * 10) * 0.2

    def cost(p: Any, x: Any, t: Any) -> Any:
        z = mlp(p, x, sizes, lambda z: z)
        return logsumexp(z) - take(z, t)

    program = trace(cost, p, X[0], y[0])
    value, gradient = program.map(p, X, y, reduce="mean", grad=True)
    ours = seconds(lambda: program.map(p, X, y, reduce="mean", grad=True))
    yield "autograd-bp Program", ours, ""
    W = [w[:, :-1].copy() for w in matrices(p, 64, sizes)]
    b = [w[:, -1].copy() for w in matrices(p, 64, sizes)]
    lanes = np.arange(64)

    def by_hand() -> tuple[float, list[Any]]:
        A = [X]
        for layer, (w, bias) in enumerate(zip(W, b, strict=True)):
            Z = A[-1] @ w.T + bias
            A.append(1.0 / (1.0 + np.exp(-Z)) if layer < 2 else Z)
        top = Z.max(axis=1, keepdims=True)
        E = np.exp(Z - top)
        total = E.sum(axis=1, keepdims=True)
        loss = float((np.log(total[:, 0]) + top[:, 0] - Z[lanes, y]).mean())
        delta = E / total
        delta[lanes, y] -= 1.0
        delta /= len(X)
        grads = []
        for layer in (2, 1, 0):
            grads.append((delta.T @ A[layer], delta.sum(0)))
            if layer:
                delta = (delta @ W[layer]) * A[layer] * (1.0 - A[layer])
        return loss, grads[::-1]

    found = by_hand()
    check("NumPy", found[0], value)
    flat = [np.column_stack(g).ravel() for g in found[1]]
    check("NumPy", np.concatenate(flat), gradient)
    yield "NumPy by hand", seconds(by_hand), "≤ 1.0"


# --- a transformer ----------------------------------------------------------------------------


def transformer() -> Iterator[Row]:
    """The scalar transformer of examples/, value and gradient for a name of 15 letters."""
    import random

    from benchmarks import textbook
    from examples import names_transformer as model

    name = "christophermari"

    def new(number: Callable[[float], Any]) -> Any:
        return model.new_parameters(random.Random(0), number)

    weights = {key: np.array(rows) for key, rows in new(float).items()}
    p = np.concatenate([w.ravel() for w in weights.values()])
    program = trace(lambda p: model.cross_entropy(_unflatten(p, weights), name), p)
    value, _ = program.value_and_grad(p)
    ours = seconds(lambda: program.value_and_grad(p))
    yield "autograd-bp Program", ours, f"{len(program)} instructions and their derivatives"
    theirs = new(textbook.Value)

    def by_textbook() -> float:
        loss = model.cross_entropy(theirs, name)
        loss.backward()
        return float(loss.data)

    check("textbook", by_textbook(), value)
    yield "textbook Value", seconds(by_textbook, least=3), "≤ 0.001"


def _unflatten(p: Any, like: dict[str, Any]) -> dict[str, Any]:
    found, start = {}, 0
    for key, w in like.items():
        found[key] = [list(row) for row in np.asarray(p[start : start + w.size]).reshape(w.shape)]
        start += w.size
    return found


# --- irregular scalar code --------------------------------------------------------------------


def black_scholes() -> Iterator[Row]:
    """A European call with delta, vega, theta and rho: 100,000 options."""
    rng = np.random.default_rng(0)
    n = 100_000
    options = np.column_stack(
        [rng.uniform(80, 120, n), rng.uniform(0.1, 0.5, n), rng.uniform(0.1, 2, n),
         rng.uniform(0.0, 0.05, n)]
    )  # fmt: skip

    def price(option: Any, erf: Any, exp: Any, log: Any) -> Any:
        S, sigma, T, r = option
        spread = sigma * T**0.5
        d1 = (log(S / 100.0) + (r + 0.5 * sigma * sigma) * T) / spread

        def normal(x: Any) -> Any:
            return 0.5 + 0.5 * erf(x / math.sqrt(2.0))

        return S * normal(d1) - 100.0 * exp(-r * T) * normal(d1 - spread)

    program = trace(lambda o: price(o, erf, exp, log), options[0])
    value, greeks = program.map(options, grad=True)
    yield "autograd-bp Program", seconds(lambda: program.map(options, grad=True)), ""
    jax = module("jax")
    if jax:
        jax.config.update("jax_enable_x64", True)
        from jax.scipy.special import erf as jax_erf

        f = jax.jit(
            jax.vmap(jax.value_and_grad(lambda o: price(o, jax_erf, jax.numpy.exp, jax.numpy.log)))
        )
        check("JAX", f(options)[1], greeks)
        yield "JAX jit", seconds(lambda: f(options)[1].block_until_ready()), "< 1"
    casadi = module("casadi")
    if casadi:
        o = casadi.SX.sym("o", 4)
        y = price([o[i] for i in range(4)], casadi.erf, casadi.exp, casadi.log)
        g = casadi.Function("g", [o], [y, casadi.gradient(y, o)]).map(n)
        T = np.ascontiguousarray(options.T)
        check("CasADi", np.asarray(g(T)[1]).T, greeks)
        yield "CasADi map", seconds(lambda: g(T)), "< 1"
    assert len(value) == n


def arm() -> Iterator[Row]:
    """How far a two-joint arm is from a point, and the gradient by its angles: one lane a call."""

    def distance(q: Any, sin: Any, cos: Any) -> Any:
        x = cos(q[0]) + 0.8 * cos(q[0] + q[1]) - 0.5
        y = sin(q[0]) + 0.8 * sin(q[0] + q[1]) - 1.2
        return x * x + y * y

    from autograd_bp import cos, sin

    program = trace(lambda q: distance(q, sin, cos), [0.1, 0.2])
    value, gradient = program.value_and_grad([0.3, 0.4])
    yield "autograd-bp Program", seconds(lambda: program.value_and_grad([0.3, 0.4])), ""
    jax = module("jax")
    if jax:
        jax.config.update("jax_enable_x64", True)
        f = jax.jit(jax.value_and_grad(lambda q: distance(q, jax.numpy.sin, jax.numpy.cos)))
        q = np.array([0.3, 0.4])
        check("JAX", f(q)[1], gradient)
        yield "JAX jit", seconds(lambda: f(q)[1].block_until_ready()), "< 1"
    casadi = module("casadi")
    if casadi:
        s = casadi.SX.sym("q", 2)
        y = distance([s[0], s[1]], casadi.sin, casadi.cos)
        g = casadi.Function("g", [s], [y, casadi.gradient(y, s)])
        check("CasADi", np.asarray(g([0.3, 0.4])[1]).ravel(), gradient)
        yield "CasADi", seconds(lambda: g([0.3, 0.4])), "< 1"
    assert value > 0


def random_code(n: int) -> Callable[[Any, Any, Any], Any]:
    """n nodes of + - * sin tanh at random, operands from all before them, of 8 inputs."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 5, n).tolist()
    taken = (rng.random((n, 2)) * (8 + np.arange(n))[:, None]).astype(int).tolist()

    def f(x: Any, sin: Any, tanh: Any) -> Any:
        v = list(x)
        for kind, (i, j) in zip(kinds, taken, strict=True):
            a, b = v[i], v[j]
            v.append(
                a + b if kind == 0 else a - b if kind == 1 else a * b if kind == 2
                else sin(a) if kind == 3 else tanh(a)
            )  # fmt: skip
        return v

    return f


def irregular(n: int = 100_000) -> tuple[list[Row], list[Row]]:
    """From Python code of 100,000 nodes to its first gradient; and a call of value and gradient."""
    from autograd_bp import sin, tanh

    code = random_code(n)
    x = (np.random.default_rng(1).random(8) * 0.1).tolist()
    start = time.perf_counter()
    program = trace(lambda x: sum_of(code(x, sin, tanh)), x)
    value, gradient = program.value_and_grad(x)
    first = [("autograd-bp Program", time.perf_counter() - start, "")]
    calls = [("autograd-bp Program", seconds(lambda: program.value_and_grad(x)), "")]
    casadi = module("casadi")
    if casadi:
        start = time.perf_counter()
        s = casadi.SX.sym("x", 8)
        v = code([s[i] for i in range(8)], casadi.sin, casadi.tanh)
        y = casadi.sum1(casadi.vertcat(*v))
        g = casadi.Function("g", [s], [y, casadi.gradient(y, s)])
        found = g(x)
        first.append(("CasADi SX", time.perf_counter() - start, "≤ 0.2"))
        check("CasADi", np.asarray(found[1]).ravel(), gradient)
        check("CasADi", float(found[0]), value)
        calls.append(("CasADi SX", seconds(lambda: g(x)), "≤ 0.35"))
    return first, calls


def show(title: str, rows: list[Row]) -> None:
    """A table: times, and ours as a fraction of each."""
    print(f"\n{title}")
    ours = rows[0][1]
    for who, took, note in rows:
        if math.isnan(took):
            print(f"  {who:30} {note}")
            continue
        ratio = "" if took is ours else f"ours {ours / took:8.4f} ×"
        wanted = f"to reach: {note}" if took is not ours else note
        print(f"  {who:30} {took * 1e3:10.4f} ms  {ratio:20} {wanted}".rstrip())


def main(arguments: list[str] | None = None) -> None:
    """Print all tables."""
    works = [moons, digits, transformer, black_scholes, arm]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--only", choices=[f.__name__ for f in works] + ["irregular"])
    only = parser.parse_args(arguments).only
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    limits = module("threadpoolctl")
    if limits:
        limits.threadpool_limits(1)
    print(f"kernel: {'compiled' if compiled else 'absent, NumPy runs the programs: slower'}")
    for work in works:
        if only in (None, work.__name__):
            show((work.__doc__ or "").strip(), list(work()))
    if only in (None, "irregular"):
        first, calls = irregular()
        show("100,000 nodes of irregular scalar code: from the code to its first gradient", first)
        show("the same: a call of value and gradient", calls)


if __name__ == "__main__":
    main()
