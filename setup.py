"""Compiles the engine where Cython and a C compiler are found; else it is installed as it is."""

import os

from setuptools import Extension, setup

extensions = []
if os.environ.get("AUTOGRAD_BP_COMPILE", "1") != "0":
    try:
        from Cython.Build import cythonize
    except ImportError:
        pass
    else:
        # The interpreted engine rounds after every operation; so must the compiled one.
        flags = [] if os.name == "nt" else ["-O3", "-ffp-contract=off"]
        modules = ["value", "tape"]
        extensions = cythonize(
            [
                Extension(
                    f"autograd_bp.{module}",
                    [f"autograd_bp/{module}.py"],
                    extra_compile_args=flags,
                )
                for module in modules
            ],
            build_dir="build",
        )
        for extension in extensions:
            extension.optional = True  # cythonize forgets it

setup(ext_modules=extensions)
