#!/usr/bin/env bash
# Adds an operation to a copy of the project, as docs/example-operation.patch does it: one row, its
# spellings, its truths. Then builds the engine and runs the tests that have appeared:
# tests/example_operation.sh .venv/bin/python
set -euo pipefail
python=${1:-.venv/bin/python}
case $python in /*) ;; *) python=$PWD/$python ;; esac
cd "$(dirname "$0")/.."

rm -rf .example
mkdir .example
git ls-files -z | xargs -0 cp --parents -t .example
cd .example
patch --quiet -p1 < docs/example-operation.patch
"$python" setup.py --quiet build_ext --inplace > build.log 2>&1 || { cat build.log; exit 1; }
PYTHONPATH=$PWD "$python" -m pytest -q -p no:cacheprovider -n 0 tests -k gaussian
