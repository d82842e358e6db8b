"""The operations on many operands: dot, sum_of, mean, logsumexp, norm, softmax."""

import copy
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from strategies import NARY, TRUTH, close, conditioned, floats, name_of, slope

import autograd_bp
from autograd_bp import Value, dot, logsumexp, mean, norm, softmax, sum_of
from autograd_bp.ops import Op, grouped
from autograd_bp.rules import IEEE

ULPS = 4  # of rounding, for each operand

number = floats(-100, 100) | st.integers(-3, 3).map(float)
anything = number | st.floats() | st.sampled_from([1e200, -1e200, 1e-200, -0.0])


def rows(op, elements):
    """Operands for a row of the table: lists of one length, and numbers."""
    return st.integers(1, 6).flatmap(
        lambda n: st.tuples(
            *[
                st.lists(elements, min_size=n, max_size=n) if name.endswith("*") else elements
                for name in op.operands
            ]
        )
    )


def flat(operands):
    return [x for group in operands for x in (group if isinstance(group, list) else [group])]


def some_nodes(draw, operands):
    """The same with some of the numbers made nodes, one at least."""
    count = len(flat(operands))
    chosen = draw(st.lists(st.booleans(), min_size=count, max_size=count).filter(any))
    mixed = [Value(x) if is_node else x for x, is_node in zip(flat(operands), chosen, strict=True)]
    return mixed, [i for i, is_node in enumerate(chosen) if is_node]


by_name = pytest.mark.parametrize("op", NARY, ids=name_of)


@by_name
@settings(max_examples=40)
@given(data=st.data())
def test_value_and_derivatives(op, data):
    operands = data.draw(rows(op, number))
    f, gap, _ = TRUTH[op.name]
    mixed, nodes = some_nodes(data.draw, operands)
    y = getattr(autograd_bp, op.name)(*grouped(op, mixed))
    y.backward()
    n = len(mixed)
    floor = 100 * 2.0**-1022
    with mp.workprec(1100):  # exp(100) beside exp(-100) takes 300 of them

        def truth(*x):
            return f(*grouped(op, x))

        exact = [mp.mpf(x) for x in flat(operands)]
        smooth = gap(*operands) > 0
        true, scale = conditioned(truth, exact, range(n) if smooth else ())
        if op.name == "logsumexp":  # a logarithm, of a number near 1 perhaps, is added last
            scale += 1
        assert close(y.data, true, scale, ULPS * n, floor)
        for i in nodes if smooth else ():
            true, scale = conditioned(slope(truth, i), exact, range(n))
            if op.name == "logsumexp":  # exp(x - y): the rounding of y becomes relative
                scale += true * (1 + abs(y.data))
            assert close(mixed[i].grad, true, scale, ULPS * n, floor)


@by_name
@given(data=st.data())
def test_as_the_table_has_it(op, data):
    """value.py spells these out for speed: bit for bit what the row's own text gives."""
    operands = data.draw(rows(op, anything))
    mixed, nodes = some_nodes(data.draw, operands)
    got = getattr(autograd_bp, op.name)(*grouped(op, mixed))
    y = IEEE.value(op)(*operands)
    partials = flat([partial(*operands, y) for partial in IEEE.partials(op)])
    assert repr(got.data) == repr(y)
    assert repr(got.local_grads) == repr(tuple(partials[i] for i in nodes))
    assert repr(got.operands) == repr(tuple(mixed))
    assert got.grad == 0.0


@by_name
@given(data=st.data())
def test_plain_numbers_give_a_float(op, data):
    operands = data.draw(rows(op, number))
    y = getattr(autograd_bp, op.name)(*operands)
    assert type(y) is float
    mixed, _ = some_nodes(data.draw, operands)
    assert y == getattr(autograd_bp, op.name)(*grouped(op, mixed)).data


@given(st.lists(st.booleans()), st.integers(0, 3))
def test_grouped_is_the_inverse_of_putting_operands_in_one_row(is_sequence, n):
    names = tuple(f"x{i}" + "*" * many for i, many in enumerate(is_sequence))
    groups = [[(i, j) for j in range(n)] if many else i for i, many in enumerate(is_sequence)]
    assert grouped(Op("any", names, "", (), ""), flat(groups)) == groups


@by_name
def test_any_iterable_will_do(op):
    xs = [Value(1.0), 2.0, Value(4.0)]
    operation = getattr(autograd_bp, op.name)
    for kind in (list, tuple, iter, lambda x: (v for v in x), lambda x: np.array(x, dtype=object)):
        y = operation(*[kind(xs) for name in op.operands if name.endswith("*")])
        assert y.data == operation(*[xs for name in op.operands if name.endswith("*")]).data
        assert y.parents[:2] == (xs[0], xs[2])


def test_numbers_of_numpy():
    w = [Value(1.0), Value(2.0)]
    z = dot(w, np.array([3.0, 4.0]), np.float32(0.5))
    assert z.data == 11.5
    assert z.operands == (*w, 3.0, 4.0, 0.5)
    assert sum_of(np.arange(3)) == 3.0


def test_a_pass_steps_over_whole_numbers_and_numpys():
    x = Value(3.0)
    y = x * x
    total = sum_of([y, 2, np.float32(0.5)]) + dot([y, 2], [np.float32(4.0), y], 1)
    total.backward()
    assert (total.data, y.grad, x.grad) == (9.0 + 2.5 + 36.0 + 18.0 + 1.0, 7.0, 42.0)


def test_the_operands_of_a_dot():
    w, x, b = [Value(1.0), Value(2.0)], [Value(3.0), 4.0], Value(0.5)
    z = dot(w, x, b)
    assert z.parents == (*w, x[0], b)
    assert z.local_grads == (3.0, 4.0, 1.0, 1.0)
    z.backward(2.0)
    assert [p.grad for p in z.parents] == [6.0, 8.0, 2.0, 2.0]


@pytest.mark.parametrize("op", ["dot", "reversed dot", "sum_of", "logsumexp", "norm"])
def test_a_list_may_change_later(op):
    """The node keeps what was in it, whether as a node or as a number."""
    w, x = [Value(1.0), Value(2.0)], [3.0, 4.0]
    use = {"dot": lambda: dot(w, x), "reversed dot": lambda: dot(x, w)}
    y = use.get(op, lambda: getattr(autograd_bp, op)(w))()
    before = y.operands, y.parents, y.local_grads
    w[:], x[:] = [Value(7.0)] * 3, [Value(5.0)]
    assert (y.operands, y.parents, y.local_grads) == before
    y.backward()
    assert tuple(p.grad for p in y.parents) == y.local_grads
    twin = copy.deepcopy(y)
    assert twin.local_grads == y.local_grads
    assert [float(getattr(p, "data", p)) for p in twin.operands] == [
        float(getattr(p, "data", p)) for p in y.operands
    ]


def test_the_numbers_of_a_dot_are_what_was_given():
    w = [Value(1.0), Value(-0.0), Value(math.nan)]
    z = dot(w, [-0.0, 2, np.float32(0.5)], 3)
    assert str(z.operands[3:]) == "(-0.0, 2.0, 0.5, 3.0)"
    assert str(copy.deepcopy(z).operands[3:]) == "(-0.0, 2.0, 0.5, 3.0)"
    assert str(dot([-0.0, 2, 0.5], w, 3).operands[:3]) == "(-0.0, 2.0, 0.5)"
    assert dot([5.0], [7.0], w[0]).operands == (5.0, 7.0, w[0])


def test_a_list_of_another_kind_is_read_as_python_reads_it():
    class Doubled(list):
        def __iter__(self):
            return (2.0 * x for x in super().__iter__())

    class Tupled(tuple):
        def __iter__(self):
            return (2.0 * x for x in super().__iter__())

    x = Value(3.0)
    assert sum_of(Doubled([x, 1.0])).data == sum_of(Tupled([x, 1.0])).data == 8.0
    assert dot(Doubled([x]), Tupled([x])).data == 36.0


def test_a_node_used_many_times_gets_every_share():
    x = Value(3.0)
    y = dot([x, x], [x, 2.0], x)  # x² + 3x
    y.backward()
    assert (y.data, x.grad) == (18.0, 9.0)
    x.grad = 0.0
    sum_of([x] * 5).backward()
    assert x.grad == 5.0


def test_only_the_bias_is_a_node():
    b = Value(2.0)
    z = dot([1.0], [3.0], b)
    z.backward()
    assert (z.data, z.parents, b.grad) == (5.0, (b,), 1.0)
    z = dot([], [], b)
    z.backward()
    assert (z.data, z.operands, b.grad) == (2.0, (b,), 2.0)


def test_of_no_numbers():
    assert sum_of([]) == 0.0
    assert norm([]) == 0.0
    assert dot([], []) == 0.0
    for name in ("mean", "logsumexp", "softmax"):
        with pytest.raises(ValueError, match=f"^{name} of no numbers: x is empty$"):
            getattr(autograd_bp, name)(iter([]))


@pytest.mark.parametrize("x", [-1e4, 0.0, 1e4])
def test_logsumexp_without_overflow(x):
    xs = [Value(x), Value(x)]
    y = logsumexp(xs)
    y.backward()
    assert y.data == pytest.approx(x + math.log(2.0), rel=1e-15)
    assert [v.grad for v in xs] == pytest.approx([0.5, 0.5], rel=1e-12)


@by_name
def test_the_domain_is_where_the_function_does_not_raise(op):
    for numbers in ([], [2.0], [2.0, 3.0]):
        inside = IEEE.domain(op, 1)(*[numbers if x.endswith("*") else 1.0 for x in op.operands])
        try:
            getattr(autograd_bp, op.name)(*[numbers for x in op.operands if x.endswith("*")])
        except ValueError:
            assert not inside
        else:
            assert inside


INF = math.inf


@pytest.mark.parametrize(
    ("numbers", "true"),
    [([-INF, 0.0], 0.0), ([-INF, -INF], -INF), ([INF, 0.0], INF), ([math.nan, 0.0], math.nan)],
)
def test_logsumexp_of_infinities(numbers, true):
    got = logsumexp([Value(numbers[0]), numbers[1]]).data
    (row,) = (op for op in NARY if op.name == "logsumexp")
    assert repr(got) == repr(IEEE.value(row)(numbers)) == repr(true)


def test_norm_without_overflow_or_underflow():
    for scale in (1e-200, 1e-320, 1.0, 1e200, 1e307):
        xs = [Value(3.0 * scale), Value(-4.0 * scale)]
        y = norm(xs)
        y.backward()
        precision = 1e-15 if scale > 1e-300 else 1e-3  # subnormal numbers have few bits
        assert y.data == pytest.approx(5.0 * scale, rel=precision, abs=0.0)
        assert [x.grad for x in xs] == pytest.approx([0.6, -0.8], rel=precision)
    xs = [Value(0.0), Value(0.0)]
    norm(xs).backward()
    assert [x.grad for x in xs] == [0.0, 0.0]


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=6), st.data())
def test_softmax(numbers, data):
    """Probabilities; ∂pᵢ/∂xⱼ = pᵢ([i = j] - pⱼ)."""
    xs = [Value(x) for x in numbers]
    ps = softmax(xs)
    assert math.fsum(p.data for p in ps) == pytest.approx(1.0, rel=1e-13)
    i = data.draw(st.integers(0, len(xs) - 1))
    ps[i].backward()
    for j, x in enumerate(xs):
        expected = ps[i].data * ((i == j) - ps[j].data)
        assert x.grad == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("n", [2**10, 2**17])  # so that 1/n is exact
def test_many_operands(n):
    w = [Value(1.0) for _ in range(n)]
    x = [float(i % 7) for i in range(n)]
    total = dot(w, x) + sum_of(w) + mean(w)
    total.backward()
    assert total.data == sum(x) + n + 1.0
    assert all(wi.grad == xi + 1.0 + 1.0 / n for wi, xi in zip(w, x, strict=True))


# --- code of a user's that runs on the way --------------------------------------------------------


class Meddles(float):
    """A number that does something to others when it is read."""

    def __new__(cls, number, act):
        self = super().__new__(cls, number)
        self.act = act
        return self

    def __float__(self):
        self.act()
        return float.__add__(self, 0.0)


@pytest.mark.parametrize("change", ["longer", "shorter"])
@pytest.mark.parametrize("place", ["bias", "w", "x"])
def test_operands_that_change_the_lists_they_stand_in(place, change):
    """The list of a dot was read again after its bias, and out of bounds."""
    length = 2000
    for _ in range(20):
        w, x = [Value(1.0) for _ in range(length)], [Value(2.0) for _ in range(length)]

        def act():
            if change == "longer":
                w.extend([Value(1.0)] * length)
                x.extend([Value(2.0)] * length)
            else:
                w.clear()
                x.clear()

        meddling = Meddles(0.5, act)
        if place == "bias":
            bias = meddling
        else:
            bias = 0.0
            (w if place == "w" else x)[length // 2] = meddling
        try:
            z = dot(w, x, bias)
        except ValueError:  # w and x are not of the same length
            continue
        if isinstance(z, Value):
            z.backward()
            assert len(z.local_grads) == len(z.parents)
            n = len(z.operands) // 2
            total = sum(
                [
                    float(getattr(a, "data", a)) * float(getattr(b, "data", b))
                    for a, b in zip(z.operands[:n], z.operands[n : 2 * n], strict=True)
                ]
            )
            assert z.data == total + float(getattr(z.operands[-1], "data", z.operands[-1]))


@pytest.mark.parametrize("f", [sum_of, mean, logsumexp, norm, softmax])
def test_operands_that_change_their_list(f):
    x = [Value(1.0) for _ in range(50)]
    x[10] = Meddles(0.5, x.clear)
    y = f(x)
    y = sum_of(y) if isinstance(y, list) else y
    y.backward()
    assert len(y.operands) == 50
