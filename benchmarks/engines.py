"""The engines that are compared, side by side in one process."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import autograd_bp.value

__all__ = ["load", "our_engines", "textbook"]


def load(path: Path) -> Any:
    """A module from a file, apart from what ``import`` finds under its name."""
    spec = importlib.util.spec_from_file_location(f"_benchmark_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


textbook = load(Path(__file__).parents[1] / "examples" / "textbook.py")
"""The baseline: an engine in the fewest lines that do the work."""


def our_engines() -> dict[str, Any]:
    """The modules of our engine: interpreted, and compiled where it is."""
    engines = {"interpreted": load(Path(autograd_bp.__file__).with_name("value.py"))}
    if autograd_bp.compiled:
        engines["compiled"] = autograd_bp.value
    else:
        print("The engine is not compiled here: only its interpreted form is measured.")
    return engines
