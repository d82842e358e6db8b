"""Compiles the engine where Cython and a C compiler are found; else it is installed as it is.

AUTOGRAD_BP_COMPILE=0 leaves it interpreted, AUTOGRAD_BP_JOBS=1 compiles one file after the other.
"""

import os
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup

HEADERS = "build/headers"
# What they are written from.
ROWS = [f"autograd_bp/{name}" for name in ("ops.py", "languages.py", "headers.py", "special.h")]
JOBS = int(os.environ.get("AUTOGRAD_BP_JOBS", os.cpu_count() or 1))

# How much each module gains from the compiler's effort. Tracing is calls into Python and looks at
# memory: with -O1 it takes 2 % more instructions than with -O3, and a third of the time to compile.
# Those that take longest come first, so that no core waits for one of them at the end.
EFFORT = {
    "value": "-O3",
    "tape": "-O2",
    "program.simplify": "-O1",
    "program.record": "-O1",
    "nary": "-O3",
}


def write_headers() -> None:
    """Write the table of operations as C."""
    # In a process of its own and interpreted: what an older build left may not fit the sources.
    here = str(Path(__file__).parent)
    environment = {**os.environ, "AUTOGRAD_BP_INTERPRETED": "1", "PYTHONPATH": here}
    command = [sys.executable, "-m", "autograd_bp.headers", HEADERS]
    subprocess.run(command, cwd=here, env=environment, check=True)  # noqa: S603 (our own file)


def mend(source: Path) -> None:
    """Where a list comprehension lacks memory, Cython 3.3.1 gives an element up a second time."""
    given = source.read_text(encoding="utf-8")
    name, end = "__Pyx_ListComp_AppendAndDecref(PyObject* list, PyObject* x) {", "\n}\n"
    for part in given.split(name)[1:]:
        body = part[: part.index(end)]
        once = body.replace("\n    Py_DECREF(x);\n", "\n    if (!result) Py_DECREF(x);\n")
        given = given.replace(name + body, name + once)
    if given != source.read_text(encoding="utf-8"):
        source.write_text(given, encoding="utf-8")


def flags(*own: str) -> list[str]:
    """What the compiler of every module is told, besides what is its own."""
    if os.name == "nt":
        return []
    # Python's own flags ask for the debugger's symbols: a third of the time, most of the size.
    wanted = os.environ.get("CFLAGS", "").split()
    symbols = [] if "-g" in wanted else ["-g0"]
    if any(flag.startswith("-O") for flag in wanted):  # that counts which comes last
        own = tuple(flag for flag in own if not flag.startswith("-O"))
    # Else any change of the code moves loops over the lines of the cache: up to 4 % of time.
    return [*own, "-falign-loops=64", *symbols]


def kernel() -> Extension:
    """The Program's kernel, whose loops are written from the table of operations."""
    # Relaxed only as far as NaN and infinity still go through; in this extension alone.
    relaxed = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-Wno-psabi"]
    folder = "autograd_bp/program"
    return Extension(
        "autograd_bp.program.kernel",
        [f"{folder}/kernel.c"],
        include_dirs=[HEADERS, "autograd_bp", folder],
        depends=[f"{folder}/kernel_loops.h", *ROWS, "setup.py"],
        extra_compile_args=flags(*relaxed),
        optional=True,
    )


def modules() -> list[Extension]:
    """The modules that Cython compiles from the very files that are read; none without Cython."""
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    found: list[Extension] = cythonize(
        [
            Extension(
                f"autograd_bp.{module}",
                [f"autograd_bp/{module.replace('.', '/')}.py"],
                include_dirs=[HEADERS, "autograd_bp"],
                depends=[*ROWS, "setup.py"],
                # The interpreted engine rounds after every operation; so must the compiled one.
                extra_compile_args=flags(effort, "-ffp-contract=off"),
            )
            for module, effort in EFFORT.items()
        ],
        build_dir="build",
        nthreads=JOBS if JOBS > 1 else 0,
    )
    for extension in found:
        extension.optional = True  # cythonize forgets it
        mend(Path(extension.sources[0]))
    return found


def main() -> None:
    """What setuptools asks for."""
    extensions = []
    if os.environ.get("AUTOGRAD_BP_COMPILE", "1") != "0":
        write_headers()
        extensions = [kernel(), *modules()]  # the longest first, as above
    setup(ext_modules=extensions, options={"build_ext": {"parallel": JOBS}})


if __name__ == "__main__":  # Cython's other processes may import this file
    main()
