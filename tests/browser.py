"""A real browser for the tests of pages: a Chromium that the machine has, none is downloaded.

PYTEST_DONT_REWRITE (the tests import this module before pytest takes it as a plugin).
"""

import os
import shutil
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
HANGS = 300_000  # milliseconds: on a busy machine a page may take its time


def missing(reason):
    """Skip the test; but fail it in `.ci/run`, which installs the browser on purpose."""
    if os.environ.get("AUTOGRAD_BP_BROWSER") == "required":
        pytest.fail(f"AUTOGRAD_BP_BROWSER=required, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser():
    """Chromium, started once for a file of tests: playwright's event loop runs as long as it does,
    and would be in the way of tests that start one of their own."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        missing(f"none of {', '.join(PROGRAMS)} is on PATH")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("the package playwright is not installed")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=options, timeout=HANGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, tmp_path):
    """A function that shows HTML in a tab. At the end, no tab may have seen an error, or have
    asked for anything but its own file."""
    contexts, wrong = [], []

    def visit(html, viewport=DESKTOP, **options):
        file = tmp_path / f"page{len(contexts)}.html"
        file.write_text(html, encoding="utf-8")
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(HANGS)
        tab.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        tab.on("console", lambda message: wrong.append(f"console: {message.text}"))
        tab.on("dialog", lambda dialog: (wrong.append("a dialog"), dialog.dismiss()))
        own = file.as_uri()
        tab.on("request", lambda r: r.url == own or wrong.append(f"request: {r.url}"))
        tab.goto(own)
        return tab

    yield visit
    for context in contexts:
        context.close()
    assert not wrong, wrong


def colours(png):
    """How many colours a screenshot has."""
    pixels = (imread(BytesIO(png), format="png")[..., :3] * 255).astype(np.uint32)
    return len(np.unique(pixels @ [1, 256, 65536]))


def scrolls_sideways(tab):
    return tab.evaluate("document.documentElement.scrollWidth > innerWidth")
