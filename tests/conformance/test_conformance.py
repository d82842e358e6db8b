"""Every operation, every way, every kind of number; and the page that says so."""

from pathlib import Path

import pytest

from conformance.cases import ROWS
from conformance.page import render
from conformance.verdict import problems, problems_of_cut
from conformance.ways import CC, WAYS

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"

pytestmark = pytest.mark.skipif(CC is None, reason="no C compiler on this machine")


@pytest.mark.parametrize(
    "name",
    [pytest.param(op.name, marks=pytest.mark.slow) if op.name == "dot" else op.name for op in ROWS],
)
def test_operation(name):
    """One test an operation: its truths take most of the time, and serve all ways."""
    wrong = [
        f"{way}: {case.name}{case.flat}: {what} {got}, in truth {true:.200}"
        for way in WAYS
        for case, what, got, true in (*problems(way, name), *problems_of_cut(way, name))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow  # it takes all that is above once more
def test_the_page():
    assert PAGE.read_text("utf-8") == render(), "run python -m tests.conformance --write"
