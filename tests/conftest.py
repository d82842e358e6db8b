"""Settings and fixtures of the whole suite. pytest puts this folder on the path of imports."""

import gc
import importlib.util
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from strategies import Engine, engine

import autograd_bp
from autograd_bp import value

# A shell's background jobs ignore Ctrl-C, and so would the tests of it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test here is about time: neither how long one takes, nor how long to think up its examples.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_collection_finish():
    """What has been imported by now stays, so that no collection of garbage need look at it: with
    JAX and its like that is half a second each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_leaf_needs_care_yet(monkeypatch):
    """A test begins as a fresh interpreter does: the first hook of another would have passes look
    after leaves for ever. (The compiled engine's switch is out of reach.)"""
    if not autograd_bp.compiled:
        monkeypatch.setattr(value, "_leaves_need_care", False)


@pytest.fixture(scope="session")
def interpreted():
    """The engine as ordinary Python, beside the compiled one where that is in use."""
    if not autograd_bp.compiled:
        return engine
    modules = []
    with pytest.MonkeyPatch.context() as patched:
        for name in ("value", "nary", "copies"):
            source = Path(autograd_bp.__file__).with_name(f"{name}.py")
            spec = importlib.util.spec_from_file_location(f"interpreted_{name}", source)
            modules.append(importlib.util.module_from_spec(spec))
            spec.loader.exec_module(modules[-1])
            patched.setitem(sys.modules, f"autograd_bp.{name}", modules[-1])  # for the next one
    interpreted = Engine(*modules[:2])
    assert not interpreted.compiled
    return interpreted
