"""The C that programs are written as: it compiles clean and gives the same numbers."""

import math
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from autograd_bp import dot, logsumexp, mean, norm, where
from autograd_bp.ops import TABLE
from autograd_bp.program import trace
from autograd_bp.value import apply
from nn import MLP

CC = shutil.which("gcc") or shutil.which("cc")
needs_compiler = pytest.mark.skipif(CC is None, reason="no C compiler on this machine")
STRICT = ["-std=c99", "-O1", "-Wall", "-Wextra", "-pedantic", "-Werror"]


def run(folder, program, arguments, dtype="float64", grad=True):
    """What the exported functions print, as arrays: the value, and the gradient."""
    program.to_c(folder / "model.c", "model", dtype)
    real = {"float64": "double", "float32": "float"}[dtype]
    flat = [np.ravel(np.hstack([np.ravel(x) for x in a]) if isinstance(a, (list, tuple)) else a)
            for a in arguments]  # fmt: skip
    digits = 17 if real == "double" else 9
    arrays = "\n".join(
        f"static const {real} a{i}[] = {{{', '.join(f'{x:.17g}' for x in a)}}};"
        for i, a in enumerate(flat)
    )
    names = ", ".join(f"a{i}" for i in range(len(flat)))
    m, n = program.result.size, len(flat[0])
    call = f"model_grad({names}, value, gradient, work);" if grad else ""
    (folder / "main.c").write_text(
        f'#include <stdio.h>\n#include "model.h"\n{arrays}\n'
        f"static {real} value[{m}], gradient[{n}];\n"
        f"static {real} work[MODEL_WORK{' + MODEL_GRAD_WORK' if grad else ''}];\n"
        f"int main(void)\n{{\n    model({names}, value, work);\n"
        f'    for (int i = 0; i < {m}; i++) printf("%.{digits}g\\n", (double)value[i]);\n'
        f"    {call}\n"
        f'    for (int i = 0; i < {n}; i++) printf("%.{digits}g\\n", (double)gradient[i]);\n'
        "    return 0;\n}\n"
    )
    subprocess.run([CC, *STRICT, "main.c", "model.c", "-o", "model", "-lm"], cwd=folder, check=True)
    printed = subprocess.run(
        [folder / "model"], check=True, capture_output=True, text=True
    ).stdout.split()
    numbers = np.array(printed, float)
    return numbers[:m], numbers[m:]


@needs_compiler
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 2e-5)])
def test_a_network(tmp_path, dtype, tolerance):
    model = MLP(4, [6, 5, 3], activation=["sigmoid", "tanh", "linear"], seed=0)

    def cost(p, x, t):
        z = model(list(x))
        return logsumexp(z) - dot(z, list(t)) + 0.01 * norm(p)

    parameters = model.parameters()
    x, t = [0.5, -1.0, 2.0, 0.25], [0.0, 1.0, 0.0]
    program = trace(cost, parameters, x, t)
    p = [w.data for w in parameters]
    value, gradient = run(tmp_path, program, (p, x, t), dtype)
    expected = program.value_and_grad(p, x, t)
    np.testing.assert_allclose(value, expected[0], rtol=tolerance)
    np.testing.assert_allclose(gradient, expected[1], rtol=tolerance, atol=tolerance)


@needs_compiler
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 2e-5)])
def test_matrix_products(tmp_path, dtype, tolerance):
    rng = np.random.default_rng(0)
    W, X = rng.normal(size=(9, 8)).tolist(), rng.normal(size=(5, 8)).tolist()

    def cost(W, X):
        return mean([dot(w, x, w[0]).tanh() * x[1] for x in X for w in W])

    program = trace(cost, W, X)
    value, gradient = run(tmp_path, program, (W, X), dtype)
    assert (tmp_path / "model.c").read_text().count("/* P·Qᵀ + B */") == 3
    expected = program.value_and_grad(W, X)
    np.testing.assert_allclose(value, expected[0], rtol=tolerance)
    np.testing.assert_allclose(gradient, np.ravel(expected[1]), rtol=tolerance, atol=tolerance)


@needs_compiler
def test_every_row(tmp_path):
    rows = [op for op in TABLE if op.operands and not op.is_nary]
    rows = [op for op in rows if op.name not in ("lgamma", "polygamma")]

    def f(x):
        terms = [apply(op.name, *x[: len(op.operands)]) for op in rows]
        return mean(terms) + norm(terms) + logsumexp(x) + where(x[0] < x[1], x[2], x[0] / x[1])

    x = [0.3, 0.4, 0.7]
    program = trace(f, x)
    value, gradient = run(tmp_path, program, (x,))
    expected = program.value_and_grad(x)
    np.testing.assert_allclose(value, expected[0], rtol=1e-13)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-12)


@needs_compiler
def test_several_results(tmp_path):
    program = trace(lambda x, y: [x[0] * y, x[1].sin(), 3.0], [1.0, 2.0], 3.0)
    value, _ = run(tmp_path, program, ([1.0, 2.0], 3.0), grad=False)
    np.testing.assert_allclose(value, [3.0, np.sin(2.0), 3.0], rtol=1e-15)


def test_layers_need_no_tables(tmp_path):
    model = MLP(8, [8, 4, 1], seed=0)
    program = trace(lambda p, x: model(x), model.parameters(), [0.0] * 8)
    program.to_c(tmp_path / "model.c", "model")
    text = (tmp_path / "model.c").read_text("utf-8")
    assert "index[" not in text.split("void model_grad")[0]
    assert len(text) < 6000


@needs_compiler
def test_the_example(tmp_path):
    pytest.importorskip("sklearn")
    example = runpy.run_path(str(Path(__file__).parent.parent / "examples" / "digits_in_c.py"))
    assert example["main"](tmp_path, epochs=3) >= 0.85
    assert (tmp_path / "digits_net.h").is_file()


@needs_compiler
def test_arguments_may_have_names_that_c_uses(tmp_path):
    program = trace(
        lambda exp, real, constant, work: exp.exp() * real * constant * work * 0.3,
        1.0, 2.0, 3.0, 4.0,
    )  # fmt: skip
    value, gradient = run(tmp_path, program, [0.5, 2.0, 3.0, 4.0])
    true = 7.2 * math.exp(0.5)
    np.testing.assert_allclose([*value, *gradient], [true, true], rtol=1e-14)


def test_errors(tmp_path):
    program = trace(lambda x: x.lgamma(), 1.5)
    with pytest.raises(ValueError, match="polygamma"):
        program.to_c(tmp_path / "model.c", "model")
    program = trace(lambda x: x * 2.0, 1.5)
    with pytest.raises(ValueError, match="name in C"):
        program.to_c(tmp_path / "model.c", "double")
    with pytest.raises(ValueError, match="name in C"):
        program.to_c(tmp_path / "model.c", "sin")
    with pytest.raises(ValueError, match=r"end in \.c"):
        program.to_c(tmp_path / "model", "model")
    with pytest.raises(ValueError, match="float32"):
        program.to_c(tmp_path / "model.c", "model", "float16")
    assert list(tmp_path.iterdir()) == []
