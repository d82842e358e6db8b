"""The C that programs are written as: it compiles clean and gives the same numbers."""

import itertools
import math
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import autograd_bp as ab
from autograd_bp import dot, grad, logsumexp, mean, norm, where
from autograd_bp.ops import TABLE
from autograd_bp.program import trace
from autograd_bp.program.c_names import is_reserved
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

    def f(x):
        # The order of a polygamma is constant.
        terms = [
            apply(op.name, *[2.0 if name == "n" else x[i] for i, name in enumerate(op.operands)])
            for op in rows
        ]
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
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "digits_in_c.py"))
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


# --- names ----------------------------------------------------------------------------------------

CXX = shutil.which("g++")
HEADERS = """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal
    stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath time
    uchar wchar wctype""".split()  # noqa: SIM905 - as one reads it
ISSUE = """i index NAN INFINITY HUGE_VAL class new template exp2 fmax isnan float_t _Bool main errno
    y0 y1 yn j0 j1 jn gamma signgam _x __x a__b a_t std linux unix bool true nullptr typeof
    thread_local alignas asm restrict inline complex I imaginary _Complex _Generic operator and
    not_eq this friend virtual co_await concept requires M_PI isfinite signbit fpclassify sinf
    powl lgamma_r scalb drem exp10 pow10 sincos real result gradient work v constant row_relu
    row_maximum e j l sum t0 t1 argument_0__ f f_grad F_WORK F_GRAD_WORK F_H double float""".split()  # noqa: SIM905


def known_to_the_compiler():
    """What this machine's headers declare and define, and its compilers by themselves."""
    includes = "".join(f"#include <{header}.h>\n" for header in HEADERS)
    found = set()
    for compiler, standard, lines in [
        (CC, "c99", includes), (CC, "c11", includes), (CC, "gnu17", "#include <math.h>\n"),
        (CXX, "c++17", ""), (CXX, "gnu++17", ""),
    ]:  # fmt: skip
        for flag in ("-P", "-dM") if compiler else ():
            language = "c++" if compiler == CXX else "c"
            text = subprocess.run(
                [compiler, f"-std={standard}", "-E", flag, "-x", language, "-"],
                input=lines, capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
            pattern = r"^#define (\w+)" if flag == "-dM" else r"\b([A-Za-z]\w*)\s*\("
            found |= set(re.findall(pattern, text, re.MULTILINE))
    return sorted(found)


def with_arguments(names):
    """A program whose arguments have any names at all."""
    n = len(names)
    code = ", ".join(f"x{k}" for k in range(n))
    program = trace(eval(f"lambda {code}: ({code},)[0].relu() * {n}.5"), *[1.0] * n)
    for layout, name in zip(program.arguments, names, strict=True):
        layout.name = name
    return program


def compiled(folder, *files, standards=("c99", "gnu17", "c2x", "c++98", "gnu++20")):
    """The files, and their headers, with both compilers and each standard."""
    for standard in (s for s in standards if "+" not in s):
        subprocess.run(
            [CC, *STRICT[1:], f"-std={standard}", "-fsyntax-only", *files], cwd=folder, check=True
        )
    lines = "".join(f'#include "{Path(file).with_suffix(".h").name}"\n' for file in files)
    for standard in (s for s in standards if "+" in s):
        if CXX is not None:
            subprocess.run(
                [CXX, f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror",
                 "-fsyntax-only", "-x", "c++", "-"],
                input=f"#include <math.h>\n{lines}", text=True, cwd=folder, check=True,
            )  # fmt: skip


@needs_compiler
def test_arguments_may_have_any_name(tmp_path):
    odd = ["λ", "θ₁", "θ₂", "x", "x_", "x__", "_x", "", "args[0]", "args[1]", "a*/b", "??/", "1x",
           "\n", "\x1b[31m", "x" * 10_000, "x" * 10_001, "\ud800", "lambda", "None"]  # fmt: skip
    names = [*ISSUE, *odd, *known_to_the_compiler()]
    with_arguments(names).to_c(tmp_path / "f.c", "f")
    compiled(tmp_path, "f.c")
    header = (tmp_path / "f.h").read_text("utf-8")
    given = re.findall(r"\*(\w+)", re.search(r"void f\((.*?)\);", header)[1])[:-2]
    assert len(set(given)) == len(names)
    assert given[names.index("i")] == "i_"
    assert "\n   i_: 1, for i\n" in header, "and it says so"
    assert not [name for name in given if name.startswith("_") or "__" in name]


@needs_compiler
def test_a_function_has_a_name_that_compiles_or_is_refused(tmp_path):
    """Every name that the headers or the compilers know of, and some that are nobody's."""
    program = trace(lambda x: x.relu() * 2.5, 1.0)
    free = [
        "f",
        "model",
        "island",
        "total",
        "stringent",
        "memory",
        "Exp",
        "dx_t",
        "a1",
        "y2",
    ]
    written, refused = [], {}
    others = [name for name in ISSUE if name.lower()[:2] != "f_"]  # which are in f.h
    for name in dict.fromkeys([*others, *known_to_the_compiler(), *free]):
        try:
            program.to_c(tmp_path / f"{name}.c", name)
        except ValueError as error:
            refused[name] = str(error)
        else:
            written.append(name)
    for said in refused.values():
        assert said.startswith("name must be a name")
        assert not is_reserved(re.search(r"such as '(\w+)'", said)[1]), "the way out"
    assert set(free) <= set(written)
    assert not {"exp2", "fmax", "isnan", "float_t", "_Bool", "class", "real", "row_relu"} & {
        *written
    }
    assert len(written) < 150, "most are refused, or nobody waits for the compiler"
    for k in range(0, len(written), 50):
        compiled(tmp_path, *(f"{name}.c" for name in written[k : k + 50]))


@needs_compiler
def test_names_of_files(tmp_path):
    program = trace(lambda x: x * 2.5, 1.0)
    for name in ["model-1.5.c", "a b.c", "1e5.c", "ü.c", "a'b.c", "x.y.z.c", "%s.c", "sin(1.0).c"]:
        for dtype in ("float64", "float32"):
            program.to_c(tmp_path / name, "f", dtype)
            compiled(tmp_path, name, standards=("c99",))
    before = sorted(tmp_path.iterdir())
    for name in ['a"b.c', "a\\b.c", "a\nb.c", "a\rb.c", "a\x1b.c", "a??=b.c", "\udcff.c"]:
        with pytest.raises(ValueError, match="path must end in a name that C can include"):
            program.to_c(tmp_path / name, "f")
    assert sorted(tmp_path.iterdir()) == before
    (tmp_path / 'a"\n??/').mkdir()  # folders are not written anywhere
    program.to_c(tmp_path / 'a"\n??/' / "f.c", "f")
    compiled(tmp_path / 'a"\n??/', "f.c")


# --- single precision -----------------------------------------------------------------------------


@needs_compiler
def test_constants_beyond_floats_compile(tmp_path):
    numbers = [1e300, -1e300, 1e39, 3.4e38, 3.5e38, 1e-40, 1e-50, 1e-300, -1e-46, 0.1, 16777217.0]
    program = trace(lambda x: [x * c for c in numbers], 1.0)
    value, _ = run(tmp_path, program, (1.0,), "float32", grad=False)
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_array_equal(value.astype(np.float32), np.array(numbers, np.float32))


@needs_compiler
@pytest.mark.parametrize("x", [1e-40, 1.0])
def test_the_gradient_of_a_power_in_floats(tmp_path, x):
    """To rounding of floats, whatever is beyond them on the way."""
    program = trace(lambda p, x: p[0] ** p[1] + p[0] ** p[2] + x, [1.0, 2.0, 3.0], 1.0)
    for a, b in [(0.0, 0.01), (0.5, 1.5), (0.99, -1e-6)]:
        p = [float(np.float32(t)) for t in (x, a, b)]
        _, gradient = run(tmp_path, program, (p, 0.0), "float32")
        expected = np.array(program.value_and_grad(p, 0.0)[1])
        with np.errstate(over="ignore"):
            expected = expected.astype(np.float32)
        np.testing.assert_allclose(gradient, expected, rtol=2e-4, atol=1e-37)


@needs_compiler
def test_every_row_in_floats_at_small_and_large_numbers(tmp_path):
    """None is NaN where it is a number in doubles that floats have."""
    rows = [op for op in TABLE if op.operands and not op.is_nary]
    rows = [op for op in rows if op.name not in ("lgamma", "polygamma", "attach", "tan")]

    def f(x):
        return [apply(op.name, *x[: len(op.operands)]) for op in rows] + [norm(x[:2])]

    program = trace(f, [0.3, 0.4, 0.7])
    gradients = trace(lambda x: norm(x[:2]) + apply("hypot", x[0], x[1]) + x[2], [0.3, 0.4, 0.7])
    for x in ([0.3, 0.4, 0.7], [1e-22, 2e-22, 0.5], [1e-40, 3e-40, 0.5]):
        x = [float(np.float32(t)) for t in x]
        value, _ = run(tmp_path, program, (x,), "float32", grad=False)
        np.testing.assert_allclose(value, program.value(x), rtol=1e-5, atol=1e-37)
        _, gradient = run(tmp_path, gradients, (x,), "float32")
        np.testing.assert_allclose(gradient, gradients.value_and_grad(x)[1], rtol=1e-4, atol=1e-37)


FAR = [1000.0, -1000.0, 100.0, -100.0, 87.0, -87.0, 30.0, -30.0, 0.0]


@needs_compiler
def test_every_row_in_floats_far_out(tmp_path):
    """What is a number, infinite or NaN in doubles is so in floats, as far as they have it."""
    rows = [op for op in TABLE if len(op.operands) in (1, 2) and not op.is_nary]
    rows = [op for op in rows if op.name not in ("lgamma", "polygamma", "attach")]
    cases = [(op, *at) for op in rows for at in itertools.product(FAR, repeat=len(op.operands))]

    def f(x):
        operands = iter(x)
        return [apply(op.name, *itertools.islice(operands, len(at))) for op, *at in cases]

    flat = [x for _, *at in cases for x in at]
    program = trace(f, [0.5] * len(flat))
    value, _ = run(tmp_path, program, (flat,), "float32", grad=False)
    with np.errstate(over="ignore", under="ignore"):
        rounded = np.array(flat, np.float32).tolist()
        expected = np.array(program.value(rounded), np.float32)
    where_it_differs = [
        (op.name, at, x, y)
        for (op, *at), x, y in zip(cases, value, expected, strict=True)
        if not np.isclose(x, y, rtol=2e-5, atol=1e-37, equal_nan=True)
    ]
    assert not where_it_differs


@needs_compiler
def test_activations_in_floats_far_out_as_jax(tmp_path):
    jax = pytest.importorskip("jax")
    where = jax.numpy.where
    theirs = {
        "sigmoid": jax.nn.sigmoid,
        "softplus": jax.nn.softplus,
        "silu": jax.nn.silu,
        # The slope of JAX's own is expm1(x) + 1: at -30 no bit of it is left.
        "elu": lambda x: where(x > 0, x, jax.numpy.exp(where(x > 0, 0.0, x)) - 1.0),
        "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        "logsigmoid": jax.nn.log_sigmoid,
        "tanh": jax.numpy.tanh,
        "relu": jax.nn.relu,
        "exp": jax.numpy.exp,
        "log1p": jax.numpy.log1p,
        "atan": jax.numpy.arctan,
    }

    def f(x):
        ours = [getattr(ab, name) for name in theirs]
        return [[g(xi) for xi in x] for h in ours for g in (h, grad(h))]

    value, _ = run(tmp_path, trace(f, [0.5] * len(FAR)), (FAR,), "float32", grad=False)
    x = jax.numpy.array(FAR, "float32")
    expected = [row for g in theirs.values() for row in (g(x), jax.vmap(jax.grad(g))(x))]
    assert {row.dtype for row in expected} == {np.dtype("float32")}
    got = value.reshape(-1, len(FAR))
    np.testing.assert_allclose(got, np.array(expected), rtol=2e-5, atol=1e-37)


def test_errors(tmp_path):
    program = trace(lambda x: x.lgamma(), 1.5)
    with pytest.raises(ValueError, match="no use for itself"):
        program.to_c(tmp_path / "model.c", "exact_add")
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


@pytest.mark.parametrize("name", [None, 5, b"f"])
def test_a_name_that_is_no_str(name, tmp_path):
    with pytest.raises(TypeError, match="name must be a str, got"):
        trace(lambda x: x * x, 1.0).to_c(tmp_path / "f.c", name)
