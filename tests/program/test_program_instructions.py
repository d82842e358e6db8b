"""Instructions are checked where they come in, and pickled by the names of their operations."""

import copy
import dataclasses
import os
import pickle
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd_bp import Value, dot, logsumexp, trace
from autograd_bp.copies import restore
from autograd_bp.ops import CODES, TABLE
from autograd_bp.program import Program
from autograd_bp.program.instructions import FORMAT, Instructions
from autograd_bp.program.plan import Plan
from autograd_bp.program.simplify import collect_sums, simplify

PACKAGE = Path(__file__).parents[2] / "autograd_bp"


def f(w, x):
    z = dot(w, x, 0.5)
    return [logsumexp([z, *w]) + x[0] ** 3.0, (z - x[1]).tanh(), 2.0 * w[0]]


@pytest.fixture(scope="module")
def program():
    return trace(f, [0.5, -1.0], [2.0, 3.0])


def with_(instructions, **changes):
    """A copy with some elements of arrays set to other numbers."""
    arrays = {}
    for name, (i, number) in changes.items():
        arrays[name] = getattr(instructions, name).copy()
        arrays[name][i] = number
    return dataclasses.replace(instructions, **arrays)


# --- what does not fit is refused -----------------------------------------------------------------

N = len(trace(f, [0.5, -1.0], [2.0, 3.0]).instructions)
LARGE = 2**31 - 1
WRONG = [
    ("code", -1, "code"),
    ("code", len(TABLE), "code"),
    ("code", 32767, "code"),
    ("operand", -1, "takes -1"),
    ("operand", N, "takes"),
    ("operand", LARGE, "takes"),
    ("operand", -LARGE, "takes"),
    ("inputs", -1, "inputs"),
    ("inputs", N, "inputs"),
    ("outputs", N, "outputs"),
    ("outputs", -1, "outputs"),
    ("first", 1, "first"),
]


@pytest.mark.parametrize(("name", "number", "message"), WRONG)
@pytest.mark.parametrize("at", [0, -1])
def test_numbers_out_of_range(program, name, number, message, at):
    with pytest.raises(ValueError, match=message):
        with_(program.instructions, **{name: (at, number)})


def test_operands_come_before_what_takes_them(program):
    given = program.instructions
    for e, consumer in enumerate(given.consumer.tolist()):
        with pytest.raises(ValueError, match="before"):
            with_(given, operand=(e, consumer))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first": [0, 0]}, "first"),
        ({"number": []}, "numbers"),
        ({"code": [[0, 0]]}, "one axis"),
        ({"code": None}, "code"),
        ({"inputs": [0, 0, 1, 2]}, "each another"),
    ],
)
def test_arrays_that_do_not_belong_together(program, changes, message):
    arrays = {
        name: x if x is None else np.array(x, getattr(program.instructions, name).dtype)
        for name, x in changes.items()
    }
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(program.instructions, **arrays)


def test_arrays_of_another_type(program):
    with pytest.raises(ValueError, match="operand must be an array of int32"):
        dataclasses.replace(program.instructions, operand=program.instructions.operand.astype(int))


@pytest.mark.parametrize("op", TABLE[1:], ids=lambda op: op.name)
def test_operations_with_too_few_operands_or_too_many(op):
    def made(count):
        n = count + 1
        return Instructions(
            np.array([0] * count + [CODES[op.name]], np.int16),
            np.array([0] * n + [count], np.int32),
            np.arange(count, dtype=np.int32),
            np.zeros(n),
            np.arange(count, dtype=np.int32),
            np.array([count], np.int32),
        )

    single = len(op.operands) - op.sequences
    for count in range(8):
        more = count - single
        if more >= 0 and (more % op.sequences == 0 if op.sequences else more == 0):
            assert len(made(count)) == count + 1
        else:
            with pytest.raises(ValueError, match=f"cannot have {count} operands"):
                made(count)


def test_what_was_checked_stays(program):
    for name in ("code", "first", "operand", "number", "inputs", "outputs"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(program.instructions, name)[0] = 9
        with pytest.raises(AttributeError):
            setattr(program.instructions, name, None)


def test_a_layout_of_another_size(program):
    with pytest.raises(ValueError, match=r"4 inputs"):
        Program(program.instructions, program.arguments[:1], program.result)


@given(
    name=st.sampled_from(["code", "first", "operand", "inputs", "outputs"]),
    at=st.integers(0, 10**6),
    number=st.integers(-40, 40) | st.sampled_from([-LARGE, LARGE, 32767, -32768]),
)
def test_any_one_number_changed_is_refused_or_runs(name, at, number):
    program = trace(f, [0.5, -1.0], [2.0, 3.0])
    array = getattr(program.instructions, name)
    number = max(min(number, np.iinfo(array.dtype).max), np.iinfo(array.dtype).min)
    try:
        instructions = with_(program.instructions, **{name: (at % len(array), number)})
    except ValueError:
        return
    instructions = simplify(collect_sums(instructions))
    other = Program(instructions, program.arguments, program.result)
    other.value([0.5, -1.0], [2.0, 3.0])
    other.map([0.5, -1.0], np.ones((20, 2)), threads=2)
    Plan(instructions, [True] * 4)


# --- records of nodes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (("no such", (Value(1.0),), 1.0, [1.0]), "no operation 'no such'"),
        (("exp", (), 1.0, []), "'exp' cannot have 0"),
        (("exp", (Value(1.0), Value(2.0)), 1.0, [1.0, 1.0]), "cannot have 2"),
        (("+", (Value(1.0),), 1.0, [1.0]), "cannot have 1"),
        (("+", (Value(1.0),) * 3, 1.0, [1.0] * 3), "cannot have 3"),
        (("where", (Value(1.0),), 1.0, [1.0]), "cannot have 1"),
        (("dot", (Value(1.0), Value(1.0)), 1.0, [1.0, 1.0]), "cannot have 2"),
        (("dot", (), 1.0, []), "cannot have 0"),
        (("", (Value(1.0),), 1.0, [1.0]), "cannot have 1"),
        (("+", (Value(1.0), 2.0), 1.0, []), "local derivative"),
        (("+", (Value(1.0), 2.0), 1.0, [1.0, 2.0]), "local derivative"),
        (("sum_of", (Value(1.0), 2.0), 1.0, []), "local derivative"),
        ((None, (Value(1.0),), 1.0, [1.0]), "a rule"),
        ((7, (Value(1.0),), 1.0, [1.0]), "a rule"),
        ((TABLE[1], (), 1.0, []), "a rule"),
    ],
)
def test_records_that_do_not_fit(record, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        restore(*record)


# --- pickles -------------------------------------------------------------------------------------


def same(program, other):
    at = [0.5, -1.0], [2.0, 3.0]
    return (
        program.value(*at) == other.value(*at)
        and str(program) == str(other)
        and (program.jacobian(*at) == other.jacobian(*at)).all()
    )


def test_copies(program):
    assert same(program, pickle.loads(pickle.dumps(program)))
    assert same(program, copy.deepcopy(program))
    assert same(program, copy.copy(program))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(program.instructions, protocol))
        assert all(
            np.array_equal(x, y)
            for x, y in zip(vars(program.instructions).values(), vars(again).values(), strict=True)
        )


def state_with(program, **changes):
    """A pickle's own state, changed, as it would be read."""
    state = program.instructions.__getstate__() | changes
    for name in [name for name, x in changes.items() if x is None]:
        del state[name]
    return Instructions.__new__(Instructions), state


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None, "operations": None}, r"an older version.*format None.*Trace"),
        ({"format": FORMAT + 1}, rf"another version.*format {FORMAT + 1}.*Trace"),
        ({"operations": [("", ), ("no such", "x")]}, r"operation no such\(x\).*Trace"),
        ({"operations": [("", ), ("-", "b", "a")]}, r"operation -\(b, a\).*Trace"),
        ({"operations": []}, r"0 operations .* do not fit its instructions.*damaged.*Trace"),
        ({"code": np.array([-1])}, r"do not fit its instructions, \[-1\].*damaged.*Trace"),
        ({"code": np.array([0.5])}, r"do not fit its instructions, \[0.5\].*damaged.*Trace"),
    ],
)  # fmt: skip
def test_pickles_that_do_not_fit(program, changes, message):
    again, state = state_with(program, **changes)
    with pytest.raises(ValueError, match=message):
        again.__setstate__(state)


def test_a_pickle_with_an_operand_out_of_range(program):
    operand = program.instructions.operand.copy()
    operand[0] = LARGE
    again, state = state_with(program, operand=operand)
    with pytest.raises(ValueError, match="operands must come before"):
        again.__setstate__(state)


WRITE = """if True:
    import pickle, sys
    from autograd_bp import dot, logsumexp, trace, Value
    from autograd_bp.value import apply
    def f(w, x):
        z = dot(w, x, 0.5)
        return logsumexp([z, *w]) + x[0].sin() * (z - x[1]).tanh() + x[0] ** 3.0
    program = trace(f, [0.5, -1.0], [2.0, 3.0])
    x = Value(0.5, "x")
    y = logsumexp([x, 2.0]).tanh() * dot([x], [x], x)
    sys.stdout.buffer.write(pickle.dumps(
        (program, y, program.value([0.5, -1.0], [2.0, 3.0]), y.data, y.local_grads)
    ))
"""
READ = """if True:
    import pickle, sys
    from autograd_bp.ops import CODES
    program, y, expected, data, partials = pickle.loads(sys.stdin.buffer.read())
    print(CODES["sin"], program.value([0.5, -1.0], [2.0, 3.0]) == expected)
    print(y.op, y.data == data, y.local_grads == partials, [p.op for p in y.parents])
"""


def in_a_tree(tree, code, given=b""):
    environment = os.environ | {"PYTHONPATH": str(tree), "AUTOGRAD_BP_INTERPRETED": "1"}
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, env=environment, input=given, capture_output=True, cwd=tree)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the package, interpreted, whose table has other rows."""
    there = tmp_path_factory.mktemp("tree")
    shutil.copytree(
        PACKAGE,
        there / "autograd_bp",
        ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"),
    )
    return there


@pytest.fixture
def with_one_row_more(tree):
    """Within it, the tree's table has a row before all others but the leaf's."""

    @contextmanager
    def more():
        ops = tree / "autograd_bp" / "ops.py"
        text = ops.read_text()
        begin = text.index('    _row("+"')
        row = '    _row("first", "x", "3.0*x", ["3.0"], "first x"),\n'
        ops.write_text(text[:begin] + row + text[begin:])
        yield
        ops.write_text(text)

    return more


def test_a_table_with_one_row_more(tree, with_one_row_more):
    """It loaded in silence, and computed another function."""
    written = in_a_tree(tree, WRITE)
    assert written.returncode == 0, written.stderr.decode()
    with with_one_row_more():
        read = in_a_tree(tree, READ, written.stdout)
    assert read.returncode == 0, read.stderr.decode()
    assert read.stdout.decode().split("\n")[:2] == [
        f"{CODES['sin'] + 1} True", "* True True ['tanh', 'dot']",
    ]  # fmt: skip


def test_a_table_that_lacks_an_operation(tree, with_one_row_more):
    with with_one_row_more():
        written = in_a_tree(tree, WRITE.replace("x[0].sin()", "apply('first', x[0])"))
    assert written.returncode == 0, written.stderr.decode()
    read = in_a_tree(tree, READ, written.stdout)
    assert read.returncode == 1
    assert "operation first(x), which the table" in read.stderr.decode()
