"""Every operation, every way, every kind of number; and the page that says so."""

from pathlib import Path

import pytest

from conformance.page import render
from conformance.verdict import problems, problems_of_cut
from conformance.ways import CC, WAYS

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


@pytest.mark.skipif(CC is None, reason="no C compiler on this machine")
def test_everything():
    """One test, as the truths take most of the time, and serve all ways."""
    wrong = [
        f"{way}: {case.name}{case.flat}: {what} {got}, in truth {true:.200}"
        for way in WAYS
        for case, what, got, true in (*problems(way), *problems_of_cut(way))
    ]
    assert not wrong, "\n".join(wrong)
    assert PAGE.read_text("utf-8") == render(), "run python -m tests.conformance --write"
