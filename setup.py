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
        engine = Extension(
            "autograd_bp.value",
            ["autograd_bp/value.py"],
            # The interpreted engine rounds after every operation; so must the compiled one.
            extra_compile_args=[] if os.name == "nt" else ["-O3", "-ffp-contract=off"],
            optional=True,
        )
        extensions = cythonize([engine], build_dir="build")

setup(ext_modules=extensions)
