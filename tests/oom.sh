#!/usr/bin/env bash
# Every allocation of every operation made to fail, one after the other: tests/oom.py says more. Needs
# gcc, glibc and a compiled engine in the environment: tests/oom.sh .venv/bin/python [operations]
set -euo pipefail
python=${1:-.venv/bin/python}
case $python in /*) ;; *) python=$PWD/$python ;; esac
shift || true
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
headers=$("$python" -c "import sysconfig; print(sysconfig.get_paths()['include'])")
gcc -shared -fPIC -O1 -fno-builtin -I"$headers" -o "$folder/failing_malloc.so" tests/failing_malloc.c
# Python's own allocator would hide most allocations.
LD_PRELOAD=$folder/failing_malloc.so PYTHONMALLOC=malloc PYTHONPATH=$PWD:$folder OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 PYTHONFAULTHANDLER=1 "$python" tests/oom.py "$@"
