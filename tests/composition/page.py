"""The published page, docs/composition.md."""

import re
from collections import Counter, defaultdict

from .cases import CONTEXTS, GROUPS, IN_TRIPLES, MODES, TRIPLE_CONTEXTS
from .functions import FUNCTIONS
from .verbs import VERBS
from .verdict import ERROR, RAW, RIGHT, SILENT, everything, worst

HEAD = f"""# Composition

Made by `python -m tests.composition`. Every verb is applied to what every verb makes, in every
context, and compared with partial derivatives that mpmath takes of the function at the bottom.

- {RIGHT} **right**, to 10⁻⁹, in every call: at one point, at another on the other side of a branch,
  and, where the context is a `with`, once more after it.
- {ERROR} **an error** of this package's own, in one call or more, that names the way out. They are
  listed below.
- {RAW} an error that is not this package's own, or names no way out.
- {SILENT} **silently wrong**: other numbers, or a Value where a number should be.

A mark is the worst of its cells. A cell is one tower of verbs in one context on one function of
{", ".join(f"`{f.name}`" for f in FUNCTIONS)}.
"""


def render():
    """The page's text."""
    return "\n".join([HEAD, *_counts(), *_pairs(), *_triples(), *_errors(), ""])


def _counts():
    yield "| | cells | " + " | ".join([RIGHT, ERROR, RAW, SILENT]) + " |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    found = Counter()
    for cell, verdict in everything():
        kind = "pairs, " + CONTEXTS[cell.context].group if len(cell.verbs) == 2 else "triples"
        found[kind, verdict.mark] += 1
    for kind in dict.fromkeys(kind for kind, _ in found):
        counts = [found[kind, mark] for mark in (RIGHT, ERROR, RAW, SILENT)]
        yield f"| {kind} | {sum(counts)} | " + " | ".join(map(str, counts)) + " |"
    yield ""


def _matrix(rows, columns, verdicts):
    """A table of marks; ``verdicts`` by row and column."""
    yield "| outer \\ inner | " + " | ".join(columns) + " |"
    yield "| --- |" + " :-: |" * len(columns)
    for row in rows:
        marks = [worst(verdicts[row, column]).mark for column in columns]
        yield f"| {row} | {' | '.join(marks)} |"
    yield ""


def heading(mode, group):
    """That of a table."""
    names = [name for name in CONTEXTS if CONTEXTS[name].group == group]
    return f"### {mode}: {', '.join(names)}"


def _pairs():
    for mode, meaning in MODES.items():
        yield f"## Pairs, {mode}"
        yield ""
        yield f"{meaning}."
        yield ""
        for group in GROUPS:
            yield heading(mode, group)
            yield ""
            verdicts = defaultdict(list)
            for cell, verdict in everything():
                if (cell.mode, CONTEXTS[cell.context].group, len(cell.verbs)) == (mode, group, 2):
                    verdicts[cell.verbs].append(verdict)
            yield from _matrix(VERBS, VERBS, verdicts)


def _triples():
    yield "## Triples"
    yield ""
    yield f"{', '.join(TRIPLE_CONTEXTS)}; applied, and with the innermost closing."
    yield ""
    verdicts = defaultdict(list)
    for cell, verdict in everything():
        if len(cell.verbs) == 3:
            verdicts[" ∘ ".join(cell.verbs[:2]), cell.verbs[2]].append(verdict)
    yield from _matrix(list(dict.fromkeys(row for row, _ in verdicts)), IN_TRIPLES, verdicts)


def _errors():
    for name, marks in [("Errors", (ERROR,)), ("What is not as it should be", (RAW, SILENT))]:
        found = defaultdict(Counter)
        for cell, verdict in everything():
            if verdict.mark in marks:
                found[_kind(verdict)][" ∘ ".join(cell.verbs), cell.mode] += 1
        yield f"## {name}"
        yield ""
        if not found:
            yield "None."
        for message, where in sorted(found.items(), key=lambda item: -item[1].total()):
            some = [f"{tower} ({mode})" for tower, mode in list(where)[:4]]
            more = f" and {len(where) - 4} more towers" if len(where) > 4 else ""
            yield f"- {where.total()} cells, {'; '.join(some)}{more}: {message}"
        yield ""


def _kind(verdict):
    """The message without what differs from cell to cell: nodes and numbers."""
    if verdict.mark == SILENT:
        return "Values where numbers should be" if "a Value" in verdict.what else "other numbers"
    text = re.sub(r"Value\(.*?\)", "Value(…)", verdict.what)
    return re.sub(r"[-+]?\d[\d.]*(e-?\d+)?", "…", text.replace("\n", " "))
