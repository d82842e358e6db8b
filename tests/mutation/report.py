"""The page docs/mutation.md: how many mutants were killed, and why the others were not."""

import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import toml
from cosmic_ray.work_item import WorkResult

from .mutants import Mutant

ROOT = Path(__file__).parents[2]
WANTED = 0.95
REASONS = Path(__file__).with_name("survivors.toml")
HEAD = """# Mutation testing

Made by `make mutation`, of the files as commit `{commit}` left them; lines are those there. Each
mutant is the engine with one thing wrong in it: is there a test that fails? A mutant that no test
kills is a fault that no test would find, or a change that has no effect; every
survivor is listed below with the reason.

- The mutants are of the interpreted engine, and the tests of each file are its own test files,
  with hypothesis' examples drawn in the same way in each run. A test that takes twenty times as
  long as usual, and five seconds, has failed too.
- [Cosmic Ray](https://cosmic-ray.readthedocs.io) makes them: one replacement of each arithmetic
  operator (+ −, · /, shifts, & |); each comparison turned round, and each inequality moved by its
  boundary; `and` for `or`, True for False and back; `not` and a minus sign left out, `not` put
  before conditions; numbers one larger and one smaller; loops without a pass, `break` for
  `continue`, exceptions not caught, decorators left out. It could also put every operator in the
  place of every other; those mutants die of the same tests.
- Of our own are the statements that it leaves alone: `+=` made `-=` and `=`, assignments and
  calls left out; and the rows of the table of operations, which are strings: an operator replaced,
  a comparison turned or moved, a sign or a function left out, a number one larger or smaller, one
  branch always taken, an operand in the place of another, the opposite sign, no domain.
- Left out are annotations, and what only the compiled engine runs.
"""


def page(found: dict[str, list[Mutant]], results: dict[str, WorkResult]) -> tuple[str, list[str]]:
    """The page, and what is wrong: a survivor without a reason, a score too low."""
    git = ["git", "log", "-1", "--format=%h", "--", *found]
    commit = subprocess.run(
        git, capture_output=True, check=True, text=True, cwd=ROOT
    ).stdout.strip()
    lines = [
        HEAD.format(commit=commit),
        "| mutants of | made | killed | survivors | killed of run | not yet run |",
    ]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    survivors: list[Mutant] = []
    wrong = []
    for name, mutants in _groups(found):
        run = [mutant for mutant in mutants if mutant.id in results]
        alive = [mutant for mutant in run if not results[mutant.id].is_killed]
        score = 1.0 - len(alive) / max(len(run), 1)
        killed = len(run) - len(alive)
        lines.append(
            f"| {name} | {len(mutants)} | {killed} | {len(alive)} | {score:.1%} "
            f"| {len(mutants) - len(run)} |"
        )
        if len(run) < len(mutants):
            wrong.append(f"{name}: {len(mutants) - len(run)} mutants are still to run")
        if score < WANTED:
            wrong.append(
                f"{name}: {score:.1%} of the mutants are killed, and {WANTED:.0%} should be"
            )
        if name in found:
            survivors += alive
    partly = sum(len(set(results[m.id].output.split()[:3:2])) > 1 for m in survivors)
    if partly:
        lines += [
            "",
            f"Of the survivors {partly} have met only the quickest of their tests so far.",
        ]
        wrong.append(f"{partly} survivors have not met all of their tests: run without --seconds")
    listed, unexplained = _explained(survivors)
    return "\n".join([*lines, "", "## Survivors", "", *listed, ""]), wrong + unexplained


def _groups(found: dict[str, list[Mutant]]) -> list[tuple[str, list[Mutant]]]:
    """The files, and of ops.py the rows and the rest."""
    groups = []
    for path, mutants in found.items():
        groups.append((path, mutants))
        rows = [mutant for mutant in mutants if mutant.row is not None]
        if rows:
            rest = [mutant for mutant in mutants if mutant.row is None]
            groups += [("– its rows", rows), ("– its functions", rest)]
    return groups


def _explained(survivors: list[Mutant]) -> tuple[list[str], list[str]]:
    """Survivors by reason, as lines of the page; and those without one."""
    left = Counter(mutant.key for mutant in survivors)
    by_key = defaultdict(list)
    for mutant in survivors:
        by_key[mutant.key].append(mutant)
    lines = []
    for reason in toml.loads(REASONS.read_text("utf-8")).get("reason", []):
        here = [mutant for key in reason["mutants"] for mutant in by_key[key][:1] if left[key] > 0]
        left.subtract(reason["mutants"])
        if here:
            lines += ["", f"**{reason['why']}**", ""]
            lines += [f"- {mutant.path}:{mutant.line} {_short(mutant)}" for mutant in here]
    nameless = [key for key, count in left.items() for _ in range(count) if count > 0]
    if nameless:
        open_ = [mutant for key in dict.fromkeys(nameless) for mutant in by_key[key][-left[key] :]]
        lines += ["", "**No reason yet: a test may be missing, or not have run.**", ""]
        lines += [f"- {mutant.path}:{mutant.line} {_short(mutant)}" for mutant in open_]
    return lines[1:], [f"no reason is given for {key!r}" for key in nameless]


def _short(mutant: Mutant) -> str:
    """The change with some of what is around it on its line."""
    was, _, now = mutant.change.partition(" → ")
    if mutant.row is not None:
        now = now[1:-1]  # a literal
    start = max(_alike(was, now) - 30, 0)
    end = max(_alike(was[::-1], now[::-1]) - 15, 0)
    parts = (text[start : len(text) - end] for text in (was, now))
    before, after = "…" * (start > 0), "…" * (end > 0)
    shown = " → ".join(f"`{before}{part}{after}`" for part in parts)
    return f"({mutant.row}) {shown}" if mutant.row is not None else shown


def _alike(one: str, other: str) -> int:
    """How many characters at the start are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
