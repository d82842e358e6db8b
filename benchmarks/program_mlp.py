"""Are programs from scalar MLPs as fast as matrix code written by hand?

Two networks of sigmoid neurons, written neuron by neuron on scalars: full-batch value and
gradient on 100 moons, and a training step on a batch of 64 digits. Beside them the same in
matrix form with NumPy, JAX, PyTorch and autograd, over samples with CasADi, in C sample by
sample, and on scalars with micrograd.
"""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autograd_bp import dot, logsumexp
from autograd_bp.program import take, trace
from benchmarks.race import Peer, check, module, race

__all__ = ["digits", "moons"]

RATE = 1e-3  # of gradient descent


def mlp(p: Any, x: Any, sizes: Sequence[int], last: Callable[[Any], Any]) -> list[Any]:
    """Neuron by neuron on scalars; the parameters of each are its weights and then its bias."""
    a, start = list(x), 0
    for layer, n in enumerate(sizes):
        z = []
        for _ in range(n):
            z.append(dot(p[start : start + len(a)], a, p[start + len(a)]))
            start += len(a) + 1
        a = [zi.sigmoid() if layer < len(sizes) - 1 else last(zi) for zi in z]
    return a


def matrices(p: Any, nin: int, sizes: Sequence[int]) -> list[Any]:
    """The same parameters as matrices, biases in the last column."""
    found, start = [], 0
    for n in sizes:
        found.append(p[start : start + n * (nin + 1)].reshape(n, nin + 1))
        start, nin = start + n * (nin + 1), n
    return found


def weights_and_biases(p: Any, nin: int, sizes: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """Copies of them, apart."""
    both = matrices(p, nin, sizes)
    return [w[:, :-1].copy() for w in both], [w[:, -1].copy() for w in both]


def joined(W: Sequence[Any], b: Sequence[Any]) -> Any:
    """The same in one row again."""
    return np.concatenate([np.column_stack(pair).ravel() for pair in zip(W, b, strict=True)])


# --- moons ----------------------------------------------------------------------------------------


def moons() -> list[str]:
    """2-16-16-1, mean squared error, 100 points."""
    sizes = [16, 16, 1]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2))
    y = (X[:, 0] * X[:, 1] > 0).astype(float)
    p = rng.normal(size=3 * 16 + 17 * 16 + 17) * 0.5

    def cost(p: Any, x: Any, t: Any) -> Any:
        return (mlp(p, x, sizes, lambda z: z.sigmoid())[0] - t) ** 2

    program = trace(cost, p, X[0], y[0])

    def ours() -> Any:
        return program.map(p, X, y, reduce="mean", grad=True)

    value, gradient = ours()
    W, b = weights_and_biases(p, 2, sizes)

    def by_hand() -> tuple[float, list[Any], list[Any]]:
        A = [X]
        for w, bias in zip(W, b, strict=True):
            A.append(1.0 / (1.0 + np.exp(-(A[-1] @ w.T + bias))))
        error = A[-1][:, 0] - y
        delta = (2.0 / len(X)) * error[:, None] * A[-1] * (1.0 - A[-1])
        dW: list[Any] = []
        db: list[Any] = []
        for layer in (2, 1, 0):
            dW.insert(0, delta.T @ A[layer])
            db.insert(0, delta.sum(0))
            if layer:
                delta = (delta @ W[layer]) * A[layer] * (1.0 - A[layer])
        return float((error**2).mean()), dW, db

    found, dW, db = by_hand()
    check("NumPy", found, value)
    check("NumPy", joined(dW, db), gradient)
    arguments = p, X, y, sizes, gradient
    return race(
        "2-16-16-1 sigmoid MLP, 100 moons: value and gradient of the whole batch",
        ours,
        [
            Peer("NumPy by hand", by_hand, 0.4),
            Peer("JAX jit", _moons_in_jax(*arguments), 1.0),
            Peer("PyTorch", _moons_in_torch(*arguments), 1.0),
            Peer("autograd", _moons_in_autograd(*arguments), 1.0),
            Peer("CasADi map", _moons_in_casadi(*arguments), 1.0),
            Peer("micrograd", _moons_in_micrograd(*arguments), 1.0),
            Peer("C by hand, sample by sample", _moons_in_c(*arguments), 0.5),
        ],
        "C is compiled by gcc -O3 -march=native; all gradients agree to 1e-6.",
    )


def _cost_in(xp: Any, X: Any, y: Any, sizes: Sequence[int]) -> Callable[[Any], Any]:
    def cost(p: Any) -> Any:
        a = X
        for w in matrices(p, 2, sizes):
            a = 1.0 / (1.0 + xp.exp(-(xp.dot(a, w[:, :-1].T) + w[:, -1])))
        return xp.mean((a[:, 0] - y) ** 2)

    return cost


def _moons_in_jax(p: Any, X: Any, y: Any, sizes: Sequence[int], gradient: Any) -> Any:
    jax = module("jax")
    if jax is None:
        return None
    both = jax.jit(jax.value_and_grad(_cost_in(jax.numpy, X, y, sizes)))
    check("JAX", both(p)[1], gradient)
    return lambda: both(p)[1].block_until_ready()


def _moons_in_autograd(p: Any, X: Any, y: Any, sizes: Sequence[int], gradient: Any) -> Any:
    autograd = module("autograd")
    if autograd is None:
        return None
    both = autograd.value_and_grad(_cost_in(module("autograd.numpy"), X, y, sizes))
    check("autograd", both(p)[1], gradient)
    return lambda: both(p)


def _moons_in_torch(p: Any, X: Any, y: Any, sizes: Sequence[int], gradient: Any) -> Any:
    torch = module("torch")
    if torch is None:
        return None
    W, b = ([torch.tensor(x, requires_grad=True) for x in part]
            for part in weights_and_biases(p, 2, sizes))  # fmt: skip
    inputs, targets = torch.tensor(X), torch.tensor(y)

    def step() -> Any:
        a = inputs
        for w, bias in zip(W, b, strict=True):
            a = torch.sigmoid(torch.addmm(bias, a, w.T))
        return torch.autograd.grad(((a[:, 0] - targets) ** 2).mean(), [*W, *b])

    found = [g.numpy() for g in step()]
    check("PyTorch", joined(found[:3], found[3:]), gradient)
    return step


def _moons_in_casadi(p: Any, X: Any, y: Any, sizes: Sequence[int], gradient: Any) -> Any:
    casadi = module("casadi")
    if casadi is None:
        return None
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

    def step() -> Any:
        _, gradients = mapped(P, X.T, y[None, :])
        return np.asarray(gradients).mean(1)

    check("CasADi", step(), gradient)
    return step


def _moons_in_micrograd(p: Any, X: Any, y: Any, sizes: Sequence[int], gradient: Any) -> Any:
    """Over micrograd's Value, with a sigmoid in its manner, as it has none."""
    micrograd = module("micrograd.engine")
    if micrograd is None:
        return None

    def sigmoid(z: Any) -> Any:
        out = micrograd.Value(1.0 / (1.0 + math.exp(-z.data)), (z,), "sigmoid")

        def backward() -> None:
            z.grad += out.data * (1.0 - out.data) * out.grad

        out._backward = backward
        return out

    weights = [micrograd.Value(float(w)) for w in p]
    samples = list(zip(X.tolist(), y.tolist(), strict=True))

    def step() -> Any:
        losses = []
        for x, t in samples:
            a, start = list(x), 0
            for n in sizes:
                z = []
                for _ in range(n):
                    w = weights[start : start + len(a)]
                    bias = weights[start + len(a)]
                    z.append(sum((wi * ai for wi, ai in zip(w, a, strict=True)), bias))
                    start += len(a) + 1
                a = [sigmoid(zi) for zi in z]
            losses.append((a[0] - t) ** 2)
        loss = sum(losses) * (1.0 / len(losses))
        for w in weights:
            w.grad = 0.0
        loss.backward()
        return [w.grad for w in weights]

    check("micrograd", step(), gradient)
    return step


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


def _moons_in_c(p: Any, X: Any, y: Any, sizes: Sequence[int], gradient: Any) -> Any:
    compiler = shutil.which("gcc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "f.c", Path(folder) / "f.so"
        source.write_text(_C_BY_HAND, "utf-8")
        flags = ["-O3", "-march=native", "-shared", "-fPIC"]
        subprocess.run([compiler, *flags, str(source), "-o", str(library), "-lm"], check=True)
        f = ctypes.CDLL(str(library)).f
    f.restype = ctypes.c_double
    g = np.empty(len(p))
    p_, X_, y_, g_ = (ctypes.c_void_p(x.ctypes.data) for x in (p, X, y, g))
    n = ctypes.c_int(len(X))

    def step() -> Any:
        f(p_, X_, y_, n, g_)
        return p, X, y, g  # what the pointers point at must live as long as this function

    check("C", step()[3], gradient)
    return step


# --- digits ---------------------------------------------------------------------------------------


def digits() -> list[str]:
    """64-64-32-10, cross-entropy, a step of gradient descent on a batch of 64."""
    sizes = [64, 32, 10]
    rng = np.random.default_rng(0)
    X, y = rng.random((64, 64)), rng.integers(0, 10, 64)
    p = rng.normal(size=65 * 64 + 65 * 32 + 33 * 10) * 0.2

    def cost(p: Any, x: Any, t: Any) -> Any:
        z = mlp(p, x, sizes, lambda z: z)
        return logsumexp(z) - take(z, t)

    program = trace(cost, p, X[0], y[0])
    _, gradient = program.map(p, X, y, reduce="mean", grad=True)
    after = p - RATE * gradient
    W, b = weights_and_biases(p, 64, sizes)
    torch_step = _digits_in_torch(p, X, y, sizes, after)

    def ours() -> None:
        _, gradient = program.map(p, X, y, reduce="mean", grad=True)
        p[:] -= RATE * gradient

    lanes = np.arange(len(X))

    def by_hand() -> None:
        A = [X]
        for layer, (w, bias) in enumerate(zip(W, b, strict=True)):
            Z = A[-1] @ w.T + bias
            A.append(1.0 / (1.0 + np.exp(-Z)) if layer < 2 else Z)
        E = np.exp(Z - Z.max(axis=1, keepdims=True))
        total = E.sum(axis=1, keepdims=True)
        np.log(total[:, 0]).mean()  # of the value, which is wanted too
        delta = E / total
        delta[lanes, y] -= 1.0
        delta /= len(X)
        for layer in (2, 1, 0):
            dW, db = delta.T @ A[layer], delta.sum(0)
            if layer:
                delta = (delta @ W[layer]) * A[layer] * (1.0 - A[layer])
            W[layer] -= RATE * dW
            b[layer] -= RATE * db

    ours()
    by_hand()
    check("ours", p, after)
    check("NumPy", joined(W, b), after)
    return race(
        "64-64-32-10 sigmoid MLP, batch of 64 digits: a training step",
        ours,
        [Peer("NumPy by hand", by_hand, 1.0), Peer("PyTorch", torch_step, 0.7)],
        "Cross-entropy, gradients and the step of gradient descent; parameters agree to 1e-6.",
    )


def _digits_in_torch(p: Any, X: Any, y: Any, sizes: Sequence[int], after: Any) -> Any:
    torch = module("torch")
    if torch is None:
        return None
    W, b = ([torch.tensor(x, requires_grad=True) for x in part]
            for part in weights_and_biases(p, 64, sizes))  # fmt: skip
    inputs, targets = torch.tensor(X), torch.tensor(y)
    optimizer = torch.optim.SGD([*W, *b], lr=RATE)

    def step() -> None:
        a = inputs
        for layer, (w, bias) in enumerate(zip(W, b, strict=True)):
            z = torch.addmm(bias, a, w.T)
            a = torch.sigmoid(z) if layer < 2 else z
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(a, targets).backward()
        optimizer.step()

    step()
    found = [[x.detach().numpy() for x in part] for part in (W, b)]
    check("PyTorch", joined(*found), after)
    return step
