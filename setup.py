"""Compiles the engine where Cython and a C compiler are found; else it is installed as it is."""

import os
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup

HEADERS = "build/headers"
ROWS = ["autograd_bp/ops.py", "autograd_bp/program/c_text.py"]  # what they are written from


def write_headers() -> None:
    """Write the table of operations as C."""
    # In a process of its own and interpreted: what an older build left may not fit the sources.
    here = str(Path(__file__).parent)
    environment = {**os.environ, "AUTOGRAD_BP_INTERPRETED": "1", "PYTHONPATH": here}
    command = [sys.executable, "autograd_bp/program/c_text.py", HEADERS]
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


def kernel() -> Extension:
    """The Program's kernel, whose loops are written from the table of operations."""
    # Relaxed only as far as NaN and infinity still go through; in this extension alone.
    relaxed = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-Wno-psabi"]
    # Else any change in the kernel moves loops over the lines of the cache: up to 4 % of time.
    relaxed.append("-falign-loops=64")
    folder = "autograd_bp/program"
    return Extension(
        "autograd_bp.program.kernel",
        [f"{folder}/kernel.c"],
        include_dirs=[HEADERS, folder],
        depends=[f"{folder}/kernel_loops.h", *ROWS],
        extra_compile_args=[] if os.name == "nt" else relaxed,
        optional=True,
    )


extensions = []
if os.environ.get("AUTOGRAD_BP_COMPILE", "1") != "0":
    write_headers()
    try:
        from Cython.Build import cythonize
    except ImportError:
        pass
    else:
        # The interpreted engine rounds after every operation; so must the compiled one.
        flags = [] if os.name == "nt" else ["-O3", "-ffp-contract=off", "-falign-loops=64"]
        modules = ["value", "tape", "program.record", "program.simplify"]
        extensions = cythonize(
            [
                Extension(
                    f"autograd_bp.{module}",
                    [f"autograd_bp/{module.replace('.', '/')}.py"],
                    include_dirs=[HEADERS],
                    depends=ROWS,
                    extra_compile_args=flags,
                )
                for module in modules
            ],
            build_dir="build",
        )
        for extension in extensions:
            extension.optional = True  # cythonize forgets it
            mend(Path(extension.sources[0]))
    extensions.append(kernel())

setup(ext_modules=extensions)
