"""What is exactly 0 carries nothing: in the chain rule, 0·∞ and 0·NaN are 0, in every way."""

import itertools
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp
from strategies import GIVEN

from autograd_bp import (
    Value,
    acos,
    asin,
    checkpoint,
    clip,
    cosh,
    custom,
    dot,
    exp,
    expm1,
    grad,
    gradients,
    hessian,
    hvp,
    jacobian,
    jvp,
    maximum,
    minimum,
    norm,
    polygamma,
    relu,
    sinh,
    sqrt,
    value_and_grad,
    vjp,
    where,
)
from autograd_bp.ops import CODES, TABLE
from autograd_bp.program import jit, run, trace
from autograd_bp.rules import IEEE, RULES, carry
from autograd_bp.value import apply

INF, NAN = math.inf, math.nan

# A function, and a point where its slope is infinite.
STEEP = {
    "sqrt": (sqrt, 0.0),
    "power": (lambda x: x**0.5, 0.0),
    "asin": (asin, 1.0),
    "acos": (acos, -1.0),
    "exp": (exp, 1000.0),
    "expm1": (expm1, 1000.0),
    "sinh": (sinh, 1000.0),
    "cosh": (cosh, 1000.0),
    "cube": (lambda x: x**3, 1e200),
    "norm": (lambda x: sqrt(norm([x, 0.0 * x])), 0.0),
}
# 2x, and h on a path that a factor of exactly 0 cuts: before h or after it.
CUT = {
    "where": lambda h, x, at: where(x < 1e300, 2.0 * x, h(x)),
    "where, otherwise": lambda h, x, at: where(x > 1e300, h(x), 2.0 * x),
    "maximum": lambda h, x, at: maximum(2.0 * x, -h(x) - 5000.0),
    "minimum": lambda h, x, at: minimum(2.0 * x, h(x) + 1e201),
    "clip": lambda h, x, at: 2.0 * x + clip(h(x), -2.0, -1.0),
    "relu": lambda h, x, at: 2.0 * x + relu(-h(x) - 1.0),
    "leaky_relu": lambda h, x, at: 2.0 * x + apply("leaky_relu", -h(x) - 1.0, 0.0),
    "times 0": lambda h, x, at: 2.0 * x + 0.0 * h(x),
    "dot with 0": lambda h, x, at: dot([2.0, 0.0], [x, h(x)], 1.0),
    "where before": lambda h, x, at: 2.0 * x + h(where(x < 1e300, at, x)),
    "clip before": lambda h, x, at: 2.0 * x + h(clip(x, at - 1.0, at - 0.5) * 0.0 + at),
    "power of 0": lambda h, x, at: 2.0 * x + h(x * 0.0 + at) ** 0,
}
TABLED = [(s, c) for s in STEEP for c in CUT]


def _case(steep, cut):
    h, at = STEEP[steep]
    return (lambda x: CUT[cut](h, x, at)), at


def _backward(f, x):
    node = Value(x)
    f(node).backward()
    return node.grad


def _backward_as_graph(f, x):
    node = Value(x)
    f(node).backward(create_graph=True)
    return node.grad.data


def _gradients(f, x, create_graph=False):
    node = Value(x)
    (d,) = gradients(f(node), [node], create_graph=create_graph)
    return d.data if isinstance(d, Value) else d


FIRST = {
    "backward": _backward,
    "backward as a graph": _backward_as_graph,
    "gradients": _gradients,
    "gradients as a graph": lambda f, x: _gradients(f, x, True),
    "grad": lambda f, x: grad(f)(x),
    "jvp": lambda f, x: jvp(f, (x,), (1.0,))[1],
    "vjp": lambda f, x: vjp(f, x)[1](1.0)[0],
    "a column of a Jacobian": lambda f, x: jacobian(lambda v: [f(v), f(v), v])(x)[0],
    "a row of a Jacobian": lambda f, x: jacobian(lambda v: [f(v[0]) + v[1], v[1]])([x, 1.0])[0][0],
    "value_and_grad, nested": lambda f, x: jvp(
        lambda s: value_and_grad(lambda t: f(t) * s)(x)[1], (1.0,), (1.0,)
    )[0],
    "checkpoint": lambda f, x: grad(checkpoint(f))(x),
    "checkpoint as a graph": lambda f, x: _gradients(checkpoint(f), x, True),
    "program": lambda f, x: trace(f, 0.5).value_and_grad(x)[1],
    "program, as recorded": lambda f, x: trace(f, 0.5, optimize=False).value_and_grad(x)[1],
    "program's Jacobian": lambda f, x: trace(lambda v: [f(v), v], 0.5).jacobian(x)[0][0],
    "program's row": lambda f, x: trace(lambda v: f(v[0]) + v[1], [0.5, 1.0]).jacobian([x, 1.0])[0][
        0
    ],
    "lanes": lambda f, x: trace(f, 0.5).map(np.array([0.5, x, 0.25]), grad=True)[1][1],
    "sum over lanes": lambda f, x: trace(f, 0.5).map(
        np.array([x, x]), grad=True, reduce="mean"
    )[1],
    "traced grad": lambda f, x: trace(grad(f), 0.5).value(x),
    "traced jvp": lambda f, x: trace(lambda v: jvp(f, (v,), (1.0,))[1], 0.5).value(x),
    "jit of grad": lambda f, x: jit(grad(f))(x),
}  # fmt: skip

SECOND = {
    "grad of grad": lambda f, x: grad(grad(f))(x),
    "jvp of grad": lambda f, x: jvp(grad(f), (x,), (1.0,))[1],
    "grad of jvp": lambda f, x: grad(lambda v: jvp(f, (v,), (1.0,))[1])(x),
    "hessian": lambda f, x: hessian(f)(x),
    "hvp": lambda f, x: hvp(f, (x,), (1.0,))[0],
    "hessian of a checkpoint": lambda f, x: hessian(checkpoint(f))(x),
    "program's hvp": lambda f, x: trace(f, 0.5).hvp(x, tangent=1.0),
    "program's gradient's gradient": lambda f, x: trace(grad(f), 0.5).value_and_grad(x)[1],
    "traced hessian": lambda f, x: trace(hessian(f), 0.5).value(x),
}


@pytest.mark.parametrize("way", FIRST)
def test_a_path_that_is_cut_carries_no_slope(way):
    wrong = {}
    for steep, cut in TABLED:
        f, x = _case(steep, cut)
        with np.errstate(all="ignore"):
            found = float(np.squeeze(FIRST[way](f, x)))
        if found != 2.0:
            wrong[steep, cut] = found
    assert not wrong


@pytest.mark.parametrize("way", SECOND)
def test_nor_a_curvature(way):
    wrong = {}
    for steep, cut in TABLED:
        f, x = _case(steep, cut)
        with np.errstate(all="ignore"):
            found = float(np.squeeze(SECOND[way](f, x)))
        if found != 0.0:
            wrong[steep, cut] = found
    assert not wrong


def _sum_of_all(v):
    return sum(CUT[cut](STEEP[steep][0], x, STEEP[steep][1])
               for x, (steep, cut) in zip(v, TABLED, strict=True))  # fmt: skip


AT = [STEEP[steep][1] for steep, _ in TABLED]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on this machine")
@pytest.mark.parametrize("second", [False, True])
def test_exported_c(tmp_path, second):
    n = len(AT)
    program = trace(_sum_of_all, [0.5] * n)
    if second:
        program = trace(lambda v: dot(grad(_sum_of_all)(v), list(range(n))), [0.5] * n)
    program.to_c(tmp_path / "rows.c", "rows")
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include <stdlib.h>\n#include "rows.h"\n'
        f"static double x[{n}], y[1], d[{n}], work[ROWS_GRAD_WORK];\n"
        "int main(int argc, char **argv)\n{\n"
        f"    for (int i = 0; i < {n}; i++) x[i] = strtod(argv[i + 1], 0);\n"
        "    (void)argc;\n    rows_grad(x, y, d, work);\n"
        f'    for (int i = 0; i < {n}; i++) printf("%.17g\\n", d[i]);\n    return 0;\n}}\n'
    )
    command = ["cc", "-std=c99", "-O1", "-Wall", "-Werror", "main.c", "rows.c", "-o", "rows", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True)
    run = [str(Path(tmp_path) / "rows"), *map(repr, AT)]
    printed = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    assert list(map(float, printed.split())) == [0.0 if second else 2.0] * n


@pytest.mark.slow
def test_exported_to_jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    program = trace(_sum_of_all, [0.5] * len(AT)).with_gradient(0)
    found = program.to_jax()(AT)[1]
    assert np.asarray(found).ravel().tolist() == [2.0] * len(AT)


def test_the_inputs_of_the_issue():
    f = lambda p: sqrt(p[0]) + p[1]  # noqa: E731
    assert jvp(f, ([0.0, 1.0],), ([0.0, 1.0],)) == (1.0, 1.0)
    assert jacobian(lambda p: [f(p)])([0.0, 1.0]) == [[INF, 1.0]]
    assert jacobian(lambda p: [f(p), p[1], p[0]])([0.0, 1.0])[0] == [INF, 1.0]
    assert grad(lambda x: where(x < 1, x, sqrt(x)))(0.0) == 1.0
    assert grad(lambda x: where(x > 0, x + 1, exp(x)))(1000.0) == 1.0
    assert hessian(lambda x: x**3)(1e200) == 6e200
    assert grad(lambda x: x**0)(1e-310) == 0.0


# --- matrices ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", run.kernel.available() if run.kernel else ["numpy"])
@pytest.mark.parametrize("width", [3, 40])
@pytest.mark.parametrize("bad", [INF, -INF, NAN])
def test_a_sample_whose_loss_is_left_out_carries_nothing(kernel, width, bad):
    """Through layers, outer products and matrix products, in each version of the kernel."""
    rng = np.random.default_rng(width)
    w1, w2 = rng.normal(size=(width, width)), rng.normal(size=(width, width))
    x, keep = rng.normal(size=(21, width)), np.ones(21)
    without = x.copy()
    x[5], keep[5] = bad, 0.0
    without[5] = 0.0

    def loss(w, x, keep):
        hidden = [relu(dot(row, x, 0.5)) for row in w[0]]
        out = [dot(row, hidden, -0.5) for row in w[1]]
        return where(keep > 0, sum(o * o for o in out), 0.0)

    program = trace(loss, [w1, w2], x[0], 1.0)
    if run.kernel:
        widest = run.kernel.available()[-1]
        run.kernel.use(kernel)
    try:
        options = {"reduce": "sum", "grad": True}
        found, true = (program.map([w1, w2], data, keep, **options) for data in (x, without))
        one = program.value_and_grad([w1, w2], x[5], 0.0)[1]
        slopes = program.map([w1, w2], x, keep, grad=True)[1]
    finally:
        if run.kernel:
            run.kernel.use(widest)
    for part, expected in zip(found[1], true[1], strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-12)
    assert all((part == 0.0).all() for part in one)
    assert all((part[5] == 0.0).all() for part in slopes)


# --- the rows themselves -------------------------------------------------------------------------

anything = st.floats() | st.sampled_from([0.0, -0.0, INF, -INF, NAN])


@given(anything, anything)
def test_carry_is_the_product_but_where_a_factor_is_0(a, b):
    expected = 0.0 if math.isnan(a * b) and 0.0 in (a, b) else a * b
    y, da, db = RULES[CODES["carry"]][3](a, b)
    node = apply("carry", Value(a), Value(b))
    op = TABLE[CODES["carry"]]
    traced = trace(lambda x, y: apply("carry", x, y), 1.0, 2.0)
    for found in (y, carry(a, b), node.data, IEEE.value(op)(a, b), traced(a, b)):
        assert repr(float(found)) == repr(expected)
    assert repr((da, db)) == repr((b, a)) == repr(node.local_grads)


@given(st.lists(st.tuples(anything, anything), min_size=0, max_size=6), st.floats(-5, 5))
def test_a_program_of_carry_dot_is_a_sum_of_those(pairs, bias):
    w, x = [p for p, _ in pairs], [q for _, q in pairs]
    expected = 0.0
    for p, q in pairs:
        expected += carry(p, q)
    expected += bias
    op = TABLE[CODES["carry_dot"]]
    assert repr(IEEE.value(op)(w, x, bias)) == repr(expected)


def test_custom_operations():
    steep = custom(lambda x: 0.0, lambda x: INF)
    f = lambda x: where(x < 1, 2.0 * x, steep(x))  # noqa: E731
    assert [FIRST[way](f, 0.0) for way in ("backward", "grad", "jvp", "gradients as a graph")] == [
        2.0
    ] * 4
    assert trace(f, 0.5).value_and_grad(0.0)[1] == 2.0


def test_a_node_that_is_0_now_is_not_dropped():
    """y·√x at y = 0: ∂/∂x is 0 there, and its slope in y is 1/(2√x)."""
    f = lambda p: p[0] * sqrt(p[1])  # noqa: E731
    assert hessian(f)([0.0, 4.0]) == [[0.0, 0.25], [0.25, 0.0]]
    both = jacobian(grad(f))([0.0, 4.0])
    assert both == [[0.0, 0.25], [0.25, 0.0]]
    # The slope of 0·∞ in its 0 is ∞.
    y, x = Value(0.0), Value(0.0)
    (dx,) = gradients(y * sqrt(x), [x], create_graph=True)
    assert (dx.data, gradients(dx, [y])) == (0.0, [INF])


# --- second derivatives at kinks: the subgradient that was chosen is a constant ------------------

KINKS = [op for op in TABLE if op.kink and op.name not in GIVEN]
OUTER = {
    "itself": lambda y: y,
    "square": lambda y: y**2,
    "power by a node": lambda y: y ** Value(3.0),
    "bell": lambda y: exp(-y * y),
}


def _hessians(f, points):
    """By every way; of points outside the domain, where the engine raises, by none."""

    def with_graphs(x):
        nodes = [Value(xi) for xi in x]
        first = gradients(f(nodes), nodes, create_graph=True)
        n = len(nodes)
        return [gradients(d, nodes) if isinstance(d, Value) else [0.0] * n for d in first]

    n = len(points[0])
    inside, found = [], {"hessian": [], "grad of grad": [], "create_graph": []}
    for x in points:
        try:
            f(list(map(Value, x)))
        except (ArithmeticError, ValueError):
            continue
        inside.append(x)
        found["hessian"].append(hessian(f)(x))
        found["grad of grad"].append(jacobian(grad(f))(x))
        found["create_graph"].append(with_graphs(x))
    at = np.array(inside)
    with np.errstate(all="ignore"):
        for optimize in (True, False):
            program = trace(f, [0.7] * n, optimize=optimize).with_hvp(0)
            columns = [program.map(at, np.broadcast_to(e, at.shape)) for e in np.eye(n)]
            found["program", optimize] = np.array(columns).transpose(2, 1, 0)
        traced = trace(lambda x: hessian(f)(x), [0.7] * n)
        found["traced hessian"] = [traced.value(x) for x in inside]
    return inside, {way: np.array(h, float) for way, h in found.items()}


@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("op", KINKS, ids=lambda op: op.name)
def test_all_ways_have_the_same_second_derivatives_at_kinks(op, outer):
    def f(x):
        return OUTER[outer](norm(x) if op.is_nary else apply(op.name, *x))

    n = 2 if op.is_nary else len(op.operands)
    points = [list(x) for x in itertools.product([0.0, -0.0, 1.0, -1.0, 2.0, 0.5], repeat=n)]
    inside, found = _hessians(f, points)
    reference = found.pop("hessian")
    for way, matrices in found.items():
        for x, matrix, true in zip(inside, matrices, reference, strict=True):
            np.testing.assert_allclose(matrix, true, 1e-11, 1e-11, err_msg=f"{way} at {x}")
    for x, matrix in zip(inside, reference, strict=True):
        if np.isfinite(matrix).all():
            np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12, atol=1e-12, err_msg=str(x))


def test_what_the_convention_gives():
    for f in (lambda v: norm(v) ** 2, lambda v: exp(-(norm(v) ** 2)), norm):
        assert hessian(f)([0.0, 0.0]) == [[0.0, 0.0], [0.0, 0.0]]
    assert hessian(lambda p: p[0] ** p[1])([0.0, 1.0]) == [[0.0, 0.0], [0.0, 0.0]]
    for power in (2, 2.0, Value(2.0)):
        assert hessian(lambda x, power=power: x**power)(0.0) == 2.0
    assert trace(lambda p: p[0] ** p[1], [1.0, 1.0]).hvp([0.0, 2.0], tangent=[1.0, 0.0])[0] == 2.0


@pytest.mark.parametrize("n", [98, 99, 100])
@pytest.mark.parametrize("x", [2.5, -0.25, 40.25])
def test_derivatives_of_polygamma_beyond_the_rows_orders(n, x):
    f = lambda x: polygamma(float(n), x)  # noqa: E731
    with mp.workprec(500):
        truths = [float(mp.psi(n + k, x)) for k in (1, 2, 3)]
    first, second = trace(f, 1.5).value_and_grad(x)[1], trace(f, 1.5).hvp(x, tangent=1.0)
    found = [grad(f)(x), grad(grad(f))(x), grad(grad(grad(f)))(x)]
    assert found == pytest.approx(truths, rel=1e-10)
    assert [first, second, hessian(f)(x)] == pytest.approx([*truths[:2], truths[1]], rel=1e-10)
