"""No cell of the table is silent, or worse than the page says.

The whole of it takes minutes, so that most runs look at a part: two cells of each pair in each
mode, in the plain context and in another.
"""

from functools import cache
from pathlib import Path

import pytest

from composition.cases import CONTEXTS, GROUPS, IN_TRIPLES, MODES, pairs, some, triples
from composition.page import heading, render
from composition.verbs import CC, VERBS
from composition.verdict import ORDER, RAW, SILENT, judge, worst

PAGE = Path(__file__).parents[2] / "docs" / "composition.md"

pytestmark = pytest.mark.skipif(CC is None, reason="no C compiler on this machine")


@cache
def published():
    """The page's marks, by mode, group of contexts, outer and inner verb."""
    found = {}
    lines = iter(PAGE.read_text("utf-8").splitlines())
    headings = {heading(mode, group): (mode, group) for mode in MODES for group in GROUPS}
    for line in lines:
        if line in headings:
            next(lines)
            columns = next(lines).strip("| ").split(" | ")[1:]
            next(lines)
            while (row := next(lines)).startswith("|"):
                outer, *marks = row.strip("| ").split(" | ")
                for inner, mark in zip(columns, marks, strict=True):
                    found[headings[line], (outer, inner)] = mark
    return found


def _failures(cells):
    for cell in cells:
        verdict = worst(judge(cell))
        where = f"{' ∘ '.join(cell.verbs)}, {cell.mode}, {cell.context}, {cell.function.name}"
        if verdict.mark in (RAW, SILENT):
            yield f"{where}: {verdict.what}"
        elif len(cell.verbs) == 2:
            page = published()[(cell.mode, CONTEXTS[cell.context].group), cell.verbs]
            if ORDER.index(verdict.mark) > ORDER.index(page):
                yield f"{where}: {page} on the page, but now {verdict.what}"


@pytest.mark.slow
def test_everything():
    assert PAGE.read_text("utf-8") == render(), "run python -m tests.composition --write"


# Half of the time goes to these, which compile: of their cells `make test` looks at a 15th, of
# the others' at a fifth: odd numbers, as every second cell is in the plain context. (The page that
# `test_everything` compares is made of every cell.)
COMPILING = {"check_grads", "to_c", "to_jax", "jax.grad of to_jax"}


@pytest.mark.parametrize("outer", VERBS)
def test_pairs(outer):
    step = 15 if outer in COMPILING else 5
    failures = list(_failures(list(some(pairs(outer)))[::step]))
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("outer", IN_TRIPLES)
def test_triples(outer):
    failures = list(_failures(list(triples(outer))[:: len(IN_TRIPLES) - 1]))
    assert not failures, "\n".join(failures)
