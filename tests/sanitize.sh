#!/usr/bin/env bash
# The compiled modules under the address sanitizer: no read or write outside of what was allocated.
# Needs gcc and an environment with the project's dev extra: tests/sanitize.sh .venv/bin/python
set -euo pipefail
python=${1:-.venv/bin/python}
case $python in /*) ;; *) python=$PWD/$python ;; esac
cd "$(dirname "$0")/.."

# In a copy, so that the tree keeps its own build.
rm -rf .sanitize
mkdir .sanitize
git ls-files -z | xargs -0 cp --parents -t .sanitize
cd .sanitize
flags="-fsanitize=address -fno-omit-frame-pointer -g -O1"
CFLAGS="$flags" LDFLAGS="-fsanitize=address" "$python" setup.py --quiet build_ext --inplace > build.log 2>&1
ls autograd_bp/*.so autograd_bp/program/*.so

# Python's own allocator hides what the sanitizer looks for, and Python leaks at its end. Left out:
# what starts browsers, compilers and libraries that do not bear the sanitizer.
export LD_PRELOAD="$(gcc -print-file-name=libasan.so)" PYTHONMALLOC=malloc PYTHONPATH=$PWD
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
"$python" -m pytest -q -p no:cacheprovider -n "${WORKERS:-2}" \
    tests/test_value.py tests/test_graph.py tests/test_nary.py tests/test_hooks.py \
    tests/test_threads.py tests/test_tape.py tests/test_transforms.py tests/test_higher_order.py \
    tests/test_custom.py tests/test_debug.py tests/test_fuzz.py tests/test_nn_programs.py \
    tests/test_program_trace.py tests/test_program_simplify.py tests/test_program_kernel.py \
    tests/test_program_products.py tests/test_program_indexing.py tests/test_program_recover.py
