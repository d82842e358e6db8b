"""The notebook runs from top to bottom, and says what is so."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from pages import Page

NOTEBOOK = Path(__file__).parents[2] / "examples" / "backpropagation.ipynb"


@pytest.fixture(scope="module")
def cells():
    """The cells after they have been run; a cell that raises is an error here."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    patient = {"timeout": None, "startup_timeout": 600}  # on a busy machine
    options = {"metadata": {"path": str(NOTEBOOK.parents[1])}}
    NotebookClient(notebook, **patient, kernel_name="python3", resources=options).execute()
    return notebook.cells


def printed(cells):
    streams = (output for cell in cells if cell.cell_type == "code" for output in cell.outputs)
    return "".join(o.text for o in streams if o.output_type == "stream" and o.name == "stdout")


def shown(cells, start):
    """What the cell that begins so shows, by its form."""
    (cell,) = (cell for cell in cells if cell.source.startswith(start))
    return next(output.data for output in cell.outputs if output.output_type == "execute_result")


def test_it_is_kept_without_outputs():
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert cell.cell_type != "code" or (cell.outputs == [] and cell.execution_count is None)


def test_the_story_is_in_order(cells):
    headings = re.findall(
        r"^## (\d\. .*)$", "\n".join(c.source for c in cells if c.cell_type == "markdown"), re.M
    )
    assert headings == [
        "1. One neuron", "2. One layer", "3. The recursion", "4. The whole MLP",
        "5. Cross-entropy's cancellation",
    ]  # fmt: skip


def test_what_is_computed_by_hand_is_what_the_engine_finds(cells):
    text = printed(cells)
    pairs = re.findall(r"(?:by hand|the recursion) ([+-]\S+) +z\S*\.grad ([+-]\S+)", text)
    assert len(pairs) == 6
    assert all(a == b for a, b in pairs)
    numbers = dict(re.findall(r"^(.*\S) +(-\d\S+)$", text, re.M)[:4])
    assert float(numbers["δ by hand"]) == pytest.approx(float(numbers["z.grad"]), rel=1e-14)
    assert float(numbers["δ · x[0]"]) == pytest.approx(float(numbers["w[1][0][0].grad"]), rel=1e-14)


def test_the_cancellation(cells):
    rows = re.findall(r"^ *(-?\d\.\d) +(\S+) +(\S+) +(-\S+) +(-\S+)$", printed(cells), re.M)
    assert len(rows) == 5
    for _, a, of_mse, of_bce, short in rows:
        assert of_bce == short
        assert float(of_bce) == pytest.approx(float(a) - 1.0, abs=1e-6)
        assert float(of_mse) == pytest.approx(
            2 * (float(a) - 1) * float(a) * (1 - float(a)), abs=2e-6
        )


def test_pictures_pages_and_tables_are_shown(cells):
    assert "z[1][0]" in shown(cells, "draw(C)")["image/svg+xml"]
    assert "\\frac{\\partial" in shown(cells, "explain(neuron")["text/latex"]
    assert "<table" in shown(cells, "deep = MLP")["text/html"]
    for start in ('steps(C, title="One', 'steps(C, title="Two', "from html import"):
        assert Page(shown(cells, start)["text/html"]).tags == ["iframe"]
