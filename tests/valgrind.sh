#!/usr/bin/env bash
# The compiled modules under valgrind's memcheck: besides what the sanitizers see, no branch depends
# on memory that was never set. Needs valgrind: tests/valgrind.sh .venv/bin/python [files of tests]
set -euo pipefail
python=${1:-.venv/bin/python}
case $python in /*) ;; *) python=$PWD/$python ;; esac
shift || true
cd "$(dirname "$0")/.."

# Each test fifty times slower than otherwise: of the suite, what the engine and the kernel are for.
if [ $# = 0 ]; then
    set -- tests/test_{graph,hooks}.py tests/program/test_program_indexing.py
fi
# Python's own allocator hides what memcheck looks for.
PYTHONMALLOC=malloc PYTHONPATH=$PWD valgrind --quiet --error-exitcode=9 --leak-check=no \
    --suppressions=tests/valgrind.supp "$python" -m pytest -q --capture=sys -p no:cacheprovider \
    -n 0 "$@"
