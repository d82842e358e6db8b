#!/usr/bin/env bash
# The compiled modules under the address and the undefined-behaviour sanitizer: nothing is read or
# written outside of what was allocated, nothing is done that C leaves undefined. Needs gcc and an
# environment with the project's dev extra: tests/sanitize.sh .venv/bin/python [files of tests]
set -euo pipefail
python=${1:-.venv/bin/python}
case $python in /*) ;; *) python=$PWD/$python ;; esac
shift || true
cd "$(dirname "$0")/.."

# In a copy, so that the tree keeps its own build. Infinities and NaN are meant where they arise.
rm -rf .sanitize
mkdir .sanitize
git ls-files -z | xargs -0 cp --parents -t .sanitize
cd .sanitize
flags="-fsanitize=address,undefined -fno-sanitize=float-divide-by-zero,float-cast-overflow"
CFLAGS="$flags -fno-omit-frame-pointer -g -O1" LDFLAGS="-fsanitize=address,undefined" \
    "$python" setup.py --quiet build_ext --inplace > build.log 2>&1 || { cat build.log; exit 1; }
for module in autograd_bp/{value,tape}.*.so autograd_bp/program/{record,simplify,kernel}.*.so; do
    nm -D "$module" | grep __asan_report_load > /dev/null  # or it was not built for this
done

# Python's own allocator hides what the sanitizer looks for, and Python leaks at its end.
preload="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
export PYTHONMALLOC=malloc PYTHONPATH=$PWD
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

# A wrong read must be found, or the runs below prove nothing.
if LD_PRELOAD=$preload "$python" -c "
import ctypes, autograd_bp
ctypes.string_at(ctypes.addressof(ctypes.create_string_buffer(64)), 4096)" 2> /dev/null; then
    echo "the sanitizer is not at work" >&2
    exit 1
fi

# Left out: what starts browsers, compilers and libraries that do not bear the sanitizer. Its report
# goes to the terminal (--capture=sys), as a process that it stops can print nothing more.
if [ $# = 0 ]; then
    set -- tests/test_{value,graph,nary,hooks,threads,tape,transforms,higher_order,custom,debug}.py \
        tests/test_fuzz.py tests/networks/test_nn_programs.py \
        tests/program/test_program_{trace,simplify,kernel,products,indexing,recover}.py
fi
LD_PRELOAD=$preload "$python" -m pytest -q --capture=sys -p no:cacheprovider -n "${WORKERS:-0}" "$@" \
    --deselect tests/test_debug.py::test_memory_is_what_the_process_takes `# with the sanitizer's own,` \
    --deselect tests/program/test_program_kernel.py::test_what_it_works_in_is_used_again  # which it keeps
