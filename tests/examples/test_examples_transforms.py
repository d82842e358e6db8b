"""The worked examples and the benchmark of the transformations: they run, and the truths agree."""

import math
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import rosen_der, rosen_hess, rosen_hess_prod

from autograd_bp import Value, check_grads, graph_info, hessian, hvp, jacobian, value_and_grad

ROOT = Path(__file__).parents[2]


class Example:
    """What an example's file defines."""

    def __init__(self, name):
        self.__dict__.update(runpy.run_path(str(ROOT / "examples" / f"{name}.py")))


black_scholes = Example("black_scholes")
two_joint_arm = Example("two_joint_arm")
kepler = Example("kepler")
logistic_hessian = Example("logistic_hessian")
eight_schools = Example("eight_schools")
rosenbrock = Example("rosenbrock")


# --- Black–Scholes -------------------------------------------------------------------------------


def test_black_scholes(capsys):
    result = black_scholes.main()
    lines = capsys.readouterr().out.splitlines()
    for kind in ("call", "put"):
        assert len(result[kind]) == 4 + 4 * 5 // 2  # each first and each second derivative
        for name, (ours, truth) in result[kind].items():
            assert ours == pytest.approx(truth, rel=1e-12), name
            assert any(line.startswith(name) and f"{truth:.12f}" in line for line in lines)


markets = st.fixed_dictionaries(
    {
        "S": st.floats(50.0, 200.0),
        "sigma": st.floats(0.1, 1.0),
        "t": st.floats(0.0, 0.5),
        "r": st.floats(-0.05, 0.15),
    }
)


@given(markets, st.sampled_from(["call", "put"]))
def test_greeks_anywhere(market, kind):
    option = black_scholes.Option(kind)
    ours = black_scholes.greeks(market, option)
    truth = black_scholes.closed_forms(market, option)
    assert ours == pytest.approx(truth, rel=1e-10, abs=1e-10)
    assert black_scholes.equation(market, option, ours) == pytest.approx(0.0, abs=1e-11)


# --- the arm -------------------------------------------------------------------------------------


def apart(q, truth):
    return max(abs(two_joint_arm.turn(a, b)) for a, b in zip(q, truth, strict=True))


def test_two_joint_arm(capsys):
    poses = two_joint_arm.main(points=8)
    assert len(capsys.readouterr().out.splitlines()) == 9
    assert len(poses) == 8
    for solution, truth in poses:
        assert apart(solution.q, truth) < 1e-10


poses = st.tuples(st.floats(-3.0, 3.0), st.floats(0.4, 2.7), st.sampled_from([-1.0, 1.0]))
small = st.floats(-0.1, 0.1)


@given(poses, small, small)
def test_newton_finds_any_pose_again(pose, turn_shoulder, turn_elbow):
    shoulder, elbow, bend = pose
    q = [shoulder, bend * elbow]
    target = two_joint_arm.hand(q)
    assert apart(two_joint_arm.closed_form(target, bend), q) < 1e-12
    solution = two_joint_arm.newton(target, [q[0] + turn_shoulder, q[1] + turn_elbow])
    assert apart(solution.q, q) < 1e-10
    for before, after in zip(solution.errors, solution.errors[1:], strict=False):
        assert after < 20.0 * before**2 + 1e-14  # the number of digits doubles


@given(poses)
def test_the_arms_jacobian(pose):
    q = [pose[0], pose[2] * pose[1]]
    x, y = two_joint_arm.hand(q)
    b, direction = two_joint_arm.LINKS[1], sum(q)
    ours = jacobian(two_joint_arm.hand)(q)
    truth = [[-y, -b * math.sin(direction)], [x, b * math.cos(direction)]]
    np.testing.assert_allclose(ours, truth, rtol=1e-12, atol=1e-14)


def test_a_target_out_of_reach():
    with pytest.raises(ValueError, match=r"the arm reaches from 0\.3.* to 1\.7"):
        two_joint_arm.newton((3.0, 1.0), [0.1, 0.5])


# --- Kepler --------------------------------------------------------------------------------------


def test_kepler(capsys):
    pairs = kepler.main()
    assert len(pairs) == 6 + 5 + 6
    for name, (ours, truth) in pairs.items():
        # ∂²E/∂e² is a small difference of terms that are 10³ times as large.
        assert ours == pytest.approx(truth, rel=1e-11), name
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(pairs)


@given(st.floats(-10.0, 10.0), st.floats(0.0, 0.95))
def test_the_anomaly_anywhere(M, e):
    ours, truth = kepler.anomaly_by_rules(M, e), kepler.anomaly_by_hand(M, e)
    assert ours == pytest.approx(truth, rel=1e-9, abs=1e-9)


orbits = st.fixed_dictionaries(
    {"a": st.floats(0.5, 20.0), "e": st.floats(0.01, 0.9), "tau": st.floats(-5.0, 5.0)}
)


@given(st.floats(-5.0, 5.0), orbits)
def test_any_orbit_obeys_gravity(t, elements):
    ours, truth = kepler.motion_by_rules(t, elements), kepler.motion_by_hand(t, elements)
    for what in ("speed", "acceleration", "jerk", "∂"):
        names = [name for name in truth if name.startswith(what)]
        scale = max(abs(truth[name]) for name in names)
        for name in names:
            assert ours[name] == pytest.approx(truth[name], abs=1e-9 * scale), name


# --- logistic regression -------------------------------------------------------------------------


def test_logistic_hessian(capsys):
    ours, truth = logistic_hessian.main()
    assert np.linalg.norm(ours.gradient) < 1e-7
    np.testing.assert_allclose(ours.coefficients, truth.coefficients, rtol=1e-6)
    np.testing.assert_allclose(ours.standard_errors, truth.standard_errors, rtol=1e-6)
    assert "mean concavity" in capsys.readouterr().out


@given(st.lists(st.floats(-2.0, 2.0), min_size=5, max_size=5))
@settings(max_examples=10)
def test_logistic_derivatives_anywhere(w):
    X, y = logistic_hessian.load(rows=60)
    w = np.array(w)
    value, g = value_and_grad(logistic_hessian.loss)(w, X.tolist(), y.tolist())
    H = hessian(logistic_hessian.loss)(w, X.tolist(), y.tolist())
    truth = logistic_hessian.closed_forms(w, X, y)
    z = X @ w
    assert value == pytest.approx((np.logaddexp(0.0, z) - y * z).sum(), rel=1e-12)
    np.testing.assert_allclose(g, truth.gradient, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(H, truth.hessian, rtol=1e-10, atol=1e-12)


# --- eight schools -------------------------------------------------------------------------------


def test_eight_schools(capsys):
    estimates = eight_schools.main(draws=500, warmup=100)
    assert "posteriordb" in capsys.readouterr().out
    for name, estimate in estimates.items():
        assert estimate.error < 0.15
        assert estimate.mean == pytest.approx(estimate.truth, abs=4.0 * estimate.error)
        assert estimate.rhat < 1.02
        assert estimate.ess > 400
        # posteriordb's reference draws have a Monte Carlo error of 0.033.
        assert eight_schools.POSTERIORDB[name] == pytest.approx(estimate.truth, abs=3 * 0.033)


@given(st.lists(st.floats(-2.0, 2.0), min_size=10, max_size=10))
@settings(max_examples=30)
def test_the_posteriors_gradient(q):
    by_hand = eight_schools.gradient_by_hand(np.array(q))
    _, g = value_and_grad(eight_schools.log_density)(q)
    np.testing.assert_allclose(g, by_hand, rtol=1e-11, atol=1e-12)


def test_the_posteriors_second_derivatives():
    check_grads(eight_schools.log_density, ([0.1 * k for k in range(10)],))


# --- Rosenbrock ----------------------------------------------------------------------------------


def test_rosenbrock(capsys):
    outcomes = rosenbrock.main(n=6)
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(outcomes)
    assert len(outcomes) == 4
    for way, (result, *differences) in outcomes.items():
        assert result.success, way
        np.testing.assert_allclose(result.x, 1.0, atol=1e-8)
        assert max(differences) < 1e-13


@given(st.lists(st.tuples(st.floats(-2.0, 2.0), st.floats(-1.0, 1.0)), min_size=2, max_size=8))
def test_rosenbrock_anywhere(pairs):
    x, v = np.array(pairs).T
    close = {"rtol": 1e-12, "atol": 1e-10}
    np.testing.assert_allclose(value_and_grad(rosenbrock.rosenbrock)(x)[1], rosen_der(x), **close)
    np.testing.assert_allclose(hessian(rosenbrock.rosenbrock)(x), rosen_hess(x), **close)
    np.testing.assert_allclose(rosenbrock.product(x, v), rosen_hess_prod(x, v), **close)


# --- the benchmark: what it counts and what it compares ------------------------------------------


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks import transforms
    finally:
        sys.path.remove(str(ROOT))
    return transforms


@pytest.mark.parametrize(("n", "m"), [(2, 7), (7, 7), (7, 2), (1, 5), (5, 1)])
def test_a_jacobian_sweeps_the_shorter_way(bench, n, m):
    counts = bench.sweeps(jacobian(bench.layer(n, m)), [0.1] * n)
    assert counts == {"sort": 1, **({"push_forward": n} if n < m else {"pull_back": m})}


@pytest.mark.parametrize("n", [3, 12])
def test_second_derivatives_in_a_linear_number_of_sweeps(bench, n):
    for name, program in bench.PROGRAMS.items():
        f, x, v = program(n), [0.1 * k for k in range(n)], [1.0 - 0.2 * k for k in range(n)]
        calls = []

        def counted(x, f=f, calls=calls):
            calls.append(x)
            return f(x)

        assert bench.sweeps(hessian(counted), x) == {"sort": 1, "curve": n}, name
        assert bench.sweeps(hvp, counted, (x,), (v,)) == {"sort": 1, "curve": 1}, name
        assert len(calls) == 2
        np.testing.assert_allclose(
            hvp(f, (x,), (v,))[0], np.array(hessian(f)(x)) @ v, rtol=1e-10, atol=1e-10
        )
        check_grads(f, (x,), order=1, rtol=1e-5)


def test_a_condensed_chain(bench):
    nodes = 2_500
    held = {}
    for kind in ("plain", "checkpoint"):
        w = Value(1.0 + 1.0 / nodes)
        x = bench.chain(kind, w, nodes)
        x.backward()
        assert x.data == pytest.approx((1.0 + 1.0 / nodes) ** nodes, rel=1e-11)
        assert w.grad == pytest.approx(nodes * (1.0 + 1.0 / nodes) ** (nodes - 1), rel=1e-11)
        held[kind] = graph_info(x).nodes
    assert held == {"plain": nodes + 2, "checkpoint": 50 + 2}
