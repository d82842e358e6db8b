"""Runs the tests on a mutant, in a private copy of the project.

What costs most is the start: Python, pytest, hypothesis, mpmath, NumPy. So they are imported once,
and each mutant gets a fork, which then imports the copy's own modules. Tests that come to the
mutant's line are run, the quickest first, up to the first that fails.
"""

import hashlib
import json
import os
import resource
import shutil
import signal
import sys
from collections import defaultdict
from pathlib import Path

import hypothesis
import mpmath  # noqa: F401 - so that forks have it
import numpy  # noqa: F401
import optree  # noqa: F401
import pytest
import tqdm  # noqa: F401
from coverage import Coverage

from .mutants import Mutant
from .rows import NAMES

MEMORY = 6 * 2**30
PARTS = ("autograd_bp", "nn", "tests", "docs", "examples", "README.md", "pyproject.toml")


SLOW = "tests/test_memory.py::test_a_long_chain"  # a million nodes, freed: no matter of Python's
WARM_UP = """
from hypothesis import given, strategies
@given(strategies.floats(), strategies.data())
def test(x, data):
    assert data.draw(strategies.integers()) is not None
"""


class Copy:
    """The project in a folder of its own, and what its tests come to in one file of it."""

    def __init__(self, root: Path, folder: Path, path: str, tests: list[str], cached: Path) -> None:
        self.folder, self.path, self.tests = folder, path, tests
        for part in PARTS:
            source, target = root / part, folder / part
            if source.is_dir():
                leave = shutil.ignore_patterns("__pycache__", "value.*.so", "tape.*.so")
                shutil.copytree(source, target, ignore=leave)
            else:
                shutil.copy(source, target)
        self.source = (folder / path).read_text("utf-8")
        (folder / "test_warm_up.py").write_text(WARM_UP)  # so that forks have what it imports
        self._pytest([str(folder / "test_warm_up.py")], _Plugin())
        texts = [(folder / name).read_bytes() for name in (path, *tests)]
        cache = cached.with_suffix(f".{hashlib.sha256(b''.join(texts)).hexdigest()[:16]}.json")
        if not cache.exists():
            code, report = self._forked(_cover, self.tests, 1800)
            if code:
                raise RuntimeError(f"without a mutant the tests must pass: {report} fails")
            cache.write_text(report, "utf-8")
        found = json.loads(cache.read_text("utf-8"))
        self.seconds: dict[str, float] = found["seconds"]
        self.lines: dict[int, list[str]] = {int(n): ids for n, ids in found["lines"].items()}

    def chosen(self, mutant: Mutant) -> list[str]:
        """The tests for a mutant: those that come to its lines, or are about its row."""
        lines = range(mutant.line, mutant.last_line + 1)
        ids = {test for line in lines for test in self.lines.get(line, ())} - {""}
        if mutant.row is not None:
            ids = {test for test in self.seconds if self._about(test) in (mutant.row, None)}
        ids &= self.seconds.keys()
        if not ids:  # the import runs it: the file's own tests are named first
            return sorted(self.seconds, key=lambda test: (self._file(test), self.seconds[test]))
        return sorted(ids, key=lambda test: (self._about(test) != mutant.row, self.seconds[test]))

    def _file(self, test: str) -> int:
        return self.tests.index(test.split("::")[0])

    def _about(self, test: str) -> str | None:
        """The row that a test is about, one of several such tests."""
        _, _, name = test.removesuffix("]").partition("[")
        return name if name in NAMES else None

    def test(self, mutant: Mutant, ids: list[str]) -> str:
        """Which of these tests fails on a mutant, or what else ends the run; else nothing."""
        self._write(mutant.source)
        # First those of a row, or of the first file: most mutants need no other file's imports.
        own = [t for t in ids if (self._about(t) if mutant.row else not self._file(t))]
        try:
            for part in filter(None, (own, [test for test in ids if test not in own])):
                limit = 60 + 10 * sum(self.seconds[test] for test in part)
                code, report = self._forked(_test, (part, self.seconds), limit)
                if code not in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
                    return report or f"ended with {code}"
        finally:
            self._write(self.source)
        return ""

    def _write(self, source: str) -> None:
        file = self.folder / self.path
        for old in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
            old.unlink()  # its age in whole seconds would not tell it from the new text's
        file.write_text(source, "utf-8")

    def _forked(self, work, argument, limit: float) -> tuple[int, str]:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.close(reader)
                code = work(self, argument, writer, limit)
            finally:
                os._exit(code)
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8", errors="replace") as pipe:
            report = pipe.read()
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), report

    def _enter(self, limit: float) -> None:
        """Make this process, a fork, one that runs the copy's tests."""
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit)))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.chdir(self.folder)
        os.environ |= {"PYTHONPATH": str(self.folder), "AUTOGRAD_BP_INTERPRETED": "1"}
        sys.path[:0] = [str(self.folder)]
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)

    def _pytest(self, ids: list[str], plugin: object) -> int:
        files = dict.fromkeys(test.split("::")[0] for test in ids)
        quiet = [
            "-q",
            "-x",
            "--deselect",
            SLOW,
            "-p",
            "no:cacheprovider",
            "-p",
            "no:faulthandler",
            "--tb=no",
        ]
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        return int(pytest.main([*quiet, *files], plugins=[plugin]))


class _Plugin:
    """Examples that are the same in each run, and not made smaller after a failure."""

    def pytest_configure(self) -> None:
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile(
            "mutation", deadline=None, derandomize=True, database=None, phases=phases
        )
        hypothesis.settings.load_profile("mutation")


class _Covering(_Plugin):
    def __init__(self, coverage: Coverage) -> None:
        self.coverage = coverage
        self.failed = "the collection"
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed = report.nodeid


class _Testing(_Plugin):
    def __init__(self, ids: list[str], seconds: dict[str, float], writer: int) -> None:
        self.order = {test: i for i, test in enumerate(ids)}
        self.seconds, self.writer = seconds, writer
        signal.setitimer(signal.ITIMER_REAL, 60)  # for the imports

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self.order),
            key=lambda item: self.order[item.nodeid],
        )

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.now = nodeid
        signal.setitimer(signal.ITIMER_REAL, 5 + 20 * self.seconds[nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os.write(self.writer, report.nodeid.encode())


def _cover(copy: Copy, tests: list[str], writer: int, limit: float) -> int:
    copy._enter(limit)
    coverage = Coverage(data_file=None, include=[str(copy.folder / copy.path)], config_file=False)
    plugin = _Covering(coverage)
    coverage.start()
    code = copy._pytest(tests, plugin)
    coverage.stop()
    if code:
        os.write(writer, plugin.failed.encode())
        return code
    data = coverage.get_data()
    (file,) = data.measured_files()
    lines = data.contexts_by_lineno(file)
    with os.fdopen(writer, "w", encoding="utf-8") as pipe:
        json.dump({"seconds": plugin.seconds, "lines": lines}, pipe)
    return code


def _test(
    copy: Copy, argument: tuple[list[str], dict[str, float]], writer: int, limit: float
) -> int:
    copy._enter(limit)
    return copy._pytest(argument[0], _Testing(*argument, writer))
