"""``python -m tests.mutation``: run the tests on each mutant, print the score and the survivors.

The session is a file of Cosmic Ray's, so an interrupted run goes on where it was, and its own
tools read it (``cr-report``, ``cr-html``). A result is kept as long as the function or the row
that the mutant is in stays as it was; ``--fresh`` forgets all.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

from .mutants import Mutant, excluded_lines, mutants
from .report import page
from .runner import Copy

ROOT = Path(__file__).parents[2]
TESTS = {
    "nn/delta.py": "nn_delta",
    "nn/compare.py": "nn_delta",
    "autograd_bp/ops.py": "ops nary errors tape transforms",
    "autograd_bp/value.py": "value nary hooks errors graph threads debug check custom transforms "
    "memory ops",
}
"""The files that are mutated, and the test files that are run on the mutants."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument(
        "files",
        nargs="*",
        default=list(TESTS),
        metavar="FILE",
        help="of these: " + ", ".join(TESTS),
    )
    parser.add_argument("--session", type=Path, default=ROOT / "out" / "mutation.sqlite")
    parser.add_argument("--fresh", action="store_true", help="forget the results so far")
    parser.add_argument("--again", action="store_true", help="run survivors again")
    parser.add_argument(
        "--seconds",
        type=float,
        default=float("inf"),
        help="of tests on each mutant, at most; a survivor is then run again next time",
    )
    parser.add_argument("--report", action="store_true", help="run nothing: results so far")
    parser.add_argument("--write", action="store_true", help="write docs/mutation.md")
    parser.add_argument(
        "--where", default="", help="only functions and rows that this pattern finds"
    )
    return parser.parse_args()


def _add(db: WorkDB, path: str, found: list[Mutant]) -> None:
    known = {item.job_id for item in db.work_items}
    for i, mutant in enumerate(found):
        if mutant.id not in known:
            spec = MutationSpec(
                path, mutant.operator, i, (mutant.line, 0), (mutant.last_line, 1000),
                definition_name=mutant.where,
            )  # fmt: skip
            db.add_work_item(WorkItem.single(mutant.id, spec))


def _run(db: WorkDB, path: str, found: list[Mutant], options: argparse.Namespace) -> None:
    results = dict(db.results)
    pending = [m for m in found if m.id not in results or _is_open(results[m.id], options)]
    pending = [m for m in pending if re.search(options.where, f"{m.where} [{m.row}]")]
    if not pending:
        return
    with tempfile.TemporaryDirectory() as folder:
        tests = [f"tests/test_{name}.py" for name in TESTS[path].split()]
        copy = Copy(ROOT, Path(folder) / "copy", path, tests, options.session)
        for i, mutant in enumerate(pending):
            chosen = copy.chosen(mutant)
            ids = list(_within(options.seconds, chosen, copy.seconds))
            killer = copy.test(mutant, ids)
            state = TestOutcome.KILLED if killer else TestOutcome.SURVIVED
            output = killer or f"{len(ids)} of {len(chosen)} tests"
            result = WorkResult(WorkerOutcome.NORMAL, output, state, mutant.change)
            db.set_result(mutant.id, result)
            sys.stderr.write(f"\r{path}: {i + 1} of {len(pending)}")
            if not killer:
                sys.stderr.write(f"\r{path}:{mutant.line} {output}\n  {mutant.key}\n")
        sys.stderr.write("\n")


def _within(seconds: float, tests: list[str], each: dict[str, float]) -> Iterator[str]:
    """As many of the tests as take so long together, one at least."""
    for i, test in enumerate(tests):
        seconds -= each[test]
        if i == 0 or seconds >= 0.0:
            yield test


def _is_open(result: WorkResult, options: argparse.Namespace) -> bool:
    if result.is_killed:
        return False
    ran, _, chosen = result.output.removesuffix(" tests").partition(" of ")
    return options.again or (ran != chosen and options.seconds == float("inf"))


def main() -> bool:
    options = _arguments()
    all_found: dict[str, list[Mutant]] = {}
    options.session.parent.mkdir(parents=True, exist_ok=True)
    if options.fresh:
        options.session.unlink(missing_ok=True)
    with use_db(options.session, WorkDB.Mode.create) as db:
        for path in options.files:
            found = mutants(
                path, (ROOT / path).read_text("utf-8"), excluded_lines(str(ROOT / path))
            )
            _add(db, path, found)
            if not options.report:
                _run(db, path, found, options)
            all_found[path] = found
        text, wrong = page(all_found, dict(db.results))
    if options.write:
        from autograd_bp.files import write_whole  # not sooner: a fork imports its own copy of it

        write_whole(ROOT / "docs" / "mutation.md", text.encode())
    else:
        sys.stdout.write(text)
    for problem in wrong:
        sys.stderr.write(f"{problem}\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
