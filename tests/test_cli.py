"""The command line: what it prints, what it writes, and what it says of bad input."""

import csv
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd_bp.formula import FUNCTIONS, Formula
from nn import MLP
from nn.cli import main
from nn.tables import Network, Table, load_network, read_csv

NUMBERS = st.floats(-3.0, 3.0)


@pytest.fixture
def run(capsys):
    """What a command prints; the exit code must be 0."""

    def call(*arguments):
        assert main(list(arguments)) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return call


@pytest.fixture
def complain(capsys):
    """What a command says on standard error; the exit code must be 2."""

    def call(*arguments):
        assert main(list(arguments)) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        return printed.err

    return call


def write_csv(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


# --- formulas -------------------------------------------------------------------------------------


@st.composite
def texts(draw, depth=3):
    """Formulas of arithmetic and smooth functions, in Python's own syntax."""
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(["x", "y", "2", "0.5", "pi"]))
    a, b = draw(texts(depth=depth - 1)), draw(texts(depth=depth - 1))
    return draw(st.sampled_from([f"({a} + {b})", f"({a})*({b})", f"({a}) - ({b})", f"-({a})",
                                 f"sin({a})", f"tanh({b})", f"({a})**2"]))  # fmt: skip


ROOT = Path(__file__).parent.parent


@given(texts(), NUMBERS, NUMBERS)
def test_a_formula_is_what_python_reads(text, x, y):
    names = {"x": x, "y": y, "pi": math.pi, "sin": math.sin, "tanh": math.tanh}
    truth = eval(text, {"__builtins__": {}}, names)
    assert Formula(text)({"x": x, "y": y}) == pytest.approx(truth, rel=1e-12, abs=1e-12)


def evaluated(text):
    formula = Formula(text)
    return formula(dict.fromkeys(formula.names, 0.5))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "x.__class__", "(lambda: 1)()", "[x for x in (1, 2)]",
        "'a'*10", "x if x else y", "x < y", "x and y", "x[0]", "f'{x}'", "x := 1", "print(x)",
        "exp(x=1)", "exp(*x)", "True", "None", "1j", "b'x'", "x ^ 2", "", "x +", "x;y", "x\ny",
        "exp()", "exp(x, y)", "await x", "...", "\0", "x" + "+x" * 6000, "(" * 3000 + "x",
        "-" * 3000 + "x", "{}", "x @ y", "x // y", "~x", "not x",
    ],
)  # fmt: skip
def test_all_other_syntax_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        evaluated(text)


def test_powers_do_not_take_forever():
    assert Formula("9**9**9**9")({}) == math.inf


def test_every_function_can_be_called():
    for name, function in FUNCTIONS.items():
        operands = {"polygamma": "0.0, x", "clip": "x, 0.0, 1.0"}.get(name)
        for text in (operands, "x", "x, 0.5"):
            if text is None:
                continue
            try:
                found = Formula(f"{name}({text})")({"x": 0.75})
            except ValueError:
                continue
            assert isinstance(found, float)
            break
        else:
            pytest.fail(f"{name}: {function}")


# --- commands on formulas -------------------------------------------------------------------------


def test_diff(run):
    found = json.loads(run("diff", "tanh(2*x + y)**2", "x=0.7", "y=-1", "--hessian", "--json"))
    t = math.tanh(0.4)
    first = 2 * t * (1 - t * t)
    second = 2 * (1 - t * t) * (1 - 3 * t * t)
    assert found["value"] == pytest.approx(t * t, rel=1e-14)
    assert found["gradient"] == pytest.approx({"x": 2 * first, "y": first}, rel=1e-13)
    assert found["finite differences"] == pytest.approx(found["gradient"], rel=1e-7)
    assert found["hessian"]["x"] == pytest.approx({"x": 4 * second, "y": 2 * second}, rel=1e-12)
    text = run("diff", "x*y", "x=2", "y=3")
    assert "∂/∂x = 3.0" in text
    assert "∂/∂y = 2.0" in text


def test_what_json_lacks_is_text(run):
    found = json.loads(run("diff", "exp(x)", "x=1000", "--json"))
    assert found["value"] == "inf"


def test_pictures_and_pages(run, tmp_path):
    picture, page = tmp_path / "new" / "g.svg", tmp_path / "s.html"
    run("draw", "x*y + x", "x=2", "y=3", "-o", str(picture))
    assert picture.read_bytes().lstrip().startswith(b"<?xml")
    run("steps", "x*y + x", "x=2", "y=3", "-o", str(page))
    assert "x*y + x" in page.read_text("utf-8")
    assert "∂C/∂y = " in run("explain", "x*y + x", "x=2", "y=3", "--of", "y")
    assert r"\frac" in run("explain", "x*y + x", "x=2", "y=3", "--latex")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["diff", "x*y", "x=1"], "needs a number for y"),
        (["diff", "x", "x=1", "z=2"], "has no z; its names are x"),
        (["diff", "x", "x"], "such as x=0.5"),
        (["diff", "x", "x=abc"], "such as x=0.5"),
        (["diff", "x", "x=1", "x=2"], "x is given twice"),
        (["diff", "log(x)", "x=-1"], "log(x) is defined for x > 0"),
        (["diff", "1/x", "x=0"], "b != 0"),
        (["draw", "x*2", "x=1", "-o", "g.gif"], "must end in .svg"),
        (["draw", "1 + 2"], "depends on no name"),
        (["explain", "x*2", "x=1", "--of", "q"], "--of must be one of x"),
        (["train", "moons", "--layers", "4,x"], "sizes with commas between"),
        (["train", "moons", "--activation", "tnh"], "activation must be one of"),
        (["train", "/nonexistent/a.csv"], "no file '/nonexistent/a.csv'; data is moons, digits"),
        (["steps", "x*2", "x=1", "-o", "g.png"], "must end in .html"),
    ],
)
def test_errors_are_one_paragraph(complain, arguments, match):
    said = complain(*arguments)
    assert match in said
    assert said.count("\n") == 1


def call(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "autograd_bp", *arguments], capture_output=True, text=True,
        encoding="utf-8", check=False, env=os.environ | environment,
    )  # fmt: skip


def test_as_a_process():
    done = call("diff", "x**2", "x=3", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["gradient"] == {"x": 6.0}
    done = call("diff", "x.y")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_a_terminal_without_the_signs():
    done = call("diff", "x**2", "x=3", PYTHONIOENCODING="cp1252")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u2202/\\u2202x = 6.0" in done.stdout
    done = call("diff", "ξ**2", "ξ=3", "--json", PYTHONIOENCODING="latin-1")
    assert json.loads(done.stdout)["gradient"] == {"ξ": 6.0}


def test_a_formula_that_begins_with_a_sign(run, capsys):
    for arguments in (["(-x)", "x=3"], ["--", "-x", "x=3"], ["-x * 1", "x=3"]):
        assert "∂/∂x = -1.0" in run("diff", *arguments)
    with pytest.raises(SystemExit) as end:
        main(["diff", "-x", "x=3"])
    assert end.value.code == 2
    assert "in brackets, or after --" in capsys.readouterr().err


# --- terminals ------------------------------------------------------------------------------------

PRINTING = {
    "diff": ["diff", "x*y", "x=1", "y=2"],
    "diff --json": ["diff", "x*y", "x=1", "y=2", "--json"],
    "draw": ["draw", "x*y", "x=1", "y=2", "-o", "g.svg"],
    "steps": ["steps", "x*y", "x=1", "y=2", "-o", "s.html"],
    "explain": ["explain", "x*y", "x=1", "y=2"],
    "train": ["train", "t.csv", "--layers", "2", "--epochs", "1", "-o", "out"],
    "predict": ["predict", "model.safetensors", "t.csv"],
    "export": ["export", "model.safetensors", "-o", "n.c"],
    "--help": ["--help"],
    "train --help": ["train", "--help"],
    "--version": ["--version"],
    "nothing": [],
    "what is wrong": ["diff", "x.y"],
    "another option": ["diff", "x", "--other"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("safetensors")
    path = tmp_path_factory.mktemp("printing")
    write_csv(path / "t.csv", ["x", "y"], [(k, "no"[k % 2]) for k in range(20)])
    network = Network(MLP(1, [2], "linear", seed=0), ["x"], [0.0], [1.0], "y", ["n", "o"], 0.0, 1.0)
    network.save(path / "model.safetensors")
    return path


def ended(folder, arguments, shell, **streams):
    command = [sys.executable, "-m", "autograd_bp", *arguments]
    if shell:
        command = ["sh", "-c", f"exec {shlex.join(command)} {shell}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, check=False,
        **{"stderr": subprocess.PIPE, "stdout": subprocess.PIPE} | streams,
    )  # fmt: skip
    said = done.stderr or ""
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    return done.returncode, said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
@pytest.mark.parametrize("arguments", PRINTING.values(), ids=PRINTING)
@pytest.mark.parametrize("shell", [">/dev/full", ">&-"])
def test_a_full_or_closed_output_is_2(folder, arguments, shell):
    code, said = ended(folder, arguments, shell)
    assert code == 2
    assert "autograd-bp" in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
@pytest.mark.parametrize("name", ["diff", "train", "what is wrong", "another option", "nothing"])
@pytest.mark.parametrize("shell", ["2>/dev/full", "2>&-", ">&- 2>&-", ">/dev/full 2>/dev/full"])
def test_nowhere_to_complain(folder, name, shell):
    code, _ = ended(folder, PRINTING[name], shell)
    fine = name in ("diff", "train") and not shell.startswith(">")
    assert code == (0 if fine else 2) or (name == "train" and "full" in shell and code == 2)


@pytest.mark.skipif(os.name == "nt", reason="another convention")
@pytest.mark.parametrize("name", ["diff", "diff --json", "explain", "predict", "--help"])
def test_a_reader_that_has_had_enough(folder, name):
    """As a program that SIGPIPE ends: without a word, and 128 + 13 for the shell."""
    read, write = os.pipe()
    os.close(read)
    try:
        assert ended(folder, PRINTING[name], "", stdout=write) == (141, "")
    finally:
        os.close(write)


def test_what_is_typed_does_not_command_the_terminal(capsys, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ["diff", "x", "x=1", "--\x1b[31m"], ["\x1b[31m"], ["train", "moons", "--kind", "\x1b[31m"],
        ["diff", "x", "--\x1b]0;\x07=1"], ["export", "m", "--to", "\x1b"],
        ["train", "m", "--lr", "\x1b"],
    ):  # fmt: skip
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
        assert "\x1b" not in capsys.readouterr().err
    for arguments in (["diff", "x\x1b", "x=1"], ["diff", "x", "\x1b=1"], ["predict", "\x1b", "t"]):
        assert main(arguments) == 2
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1
        assert "\x1b" not in printed.err
    assert run("diff", "(x\n+ 1)", "x=1").splitlines()[0] == r"(x\n+ 1) = 2.0"
    assert run("draw", "x*2", "x=1", "-o", "a\n\x1b[31m.svg") == "a\\n\\x1b[31m.svg\n"
    assert run("steps", "x*2", "x=1", "-o", "a\n.html") == "a\\n.html\n"


@pytest.mark.parametrize(
    ("formula", "x", "derivative", "said"),
    [
        ("exp(x)", 1000.0, "inf", "nan (none: on either side the formula is infinite"),
        ("x*1e308*100", 1e-3, "inf", "inf"),
        ("(-x*1e308)*100", 1e-3, "-inf", "-inf"),
        ("x*1e308*100 - x*1e308*100", 1.0, "nan", "nan"),
        ("abs(x)", 0.0, "0.0", "0"),
        ("abs(x) + relu(x)", 0.0, "0.0", "0.5 (they differ: a kink"),
        ("log(x)", 1e-4, "10000.0", "10000"),
        ("x**0.5", 5e-4, "22.360679774997898", "22.36067977"),
        ("sin(1e4*x)", 1.0, "-9521.553682590147", "-9521.553683"),
        ("sqrt(x)", 1e-12, "500000.0", "500000"),
        ("x**1.5", 0.0, "0.0", None),
    ],
)
def test_numbers_that_agree_are_not_said_to_differ(run, formula, x, derivative, said):
    line = run("diff", formula, f"x={x!r}").splitlines()[1]
    left, _, right = line.partition(" finite difference ")
    assert left.rstrip() == f"∂/∂x = {derivative}"
    if said is None:
        assert "differ" not in right
    else:
        assert right.startswith(said)
        assert ("(" in right) == ("(" in said)


def test_names_are_those_that_python_reads(run):
    assert json.loads(run("diff", "ﬁ**2", "ﬁ=3", "--json"))["gradient"] == {"fi": 6.0}


def test_completion_that_is_not_installed(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", "bash"])
    assert end.value.code == 2
    assert 'pip install "autograd-bp[cli]"' in capsys.readouterr().err


def test_completion(capsys):
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", "bash"])
    assert end.value.code == 0
    assert "hessian" in capsys.readouterr().out


# --- tables ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    datasets = pytest.importorskip("sklearn.datasets")
    data = datasets.load_iris()
    rows = [
        [*x, f"I. {data.target_names[k]}"]
        for x, k in zip(data.data.tolist(), data.target, strict=True)
    ]
    path = tmp_path_factory.mktemp("iris") / "iris.csv"
    return write_csv(path, ["a", "b", "c", "d", "species"], rows)


@pytest.fixture(scope="module")
def trained(iris, tmp_path_factory):
    pytest.importorskip("safetensors")
    out = tmp_path_factory.mktemp("out")
    arguments = ["train", iris, "--target", "species", "--layers", "8", "-o", str(out), "--json"]
    assert main([*arguments, "--epochs", "60"]) == 0
    return out


def test_train_and_predict(run, iris, trained):
    assert {path.name for path in trained.iterdir()} >= {"model.safetensors", "loss.png"}
    found = json.loads(run("predict", str(trained / "model.safetensors"), iris, "--json"))
    assert [max(row, key=row.get) for row in found["probabilities"]] == found["predictions"]
    assert all(math.isclose(sum(row.values()), 1.0) for row in found["probabilities"])
    with Path(iris).open(encoding="utf-8") as file:
        species = [row["species"] for row in csv.DictReader(file)]
    right = np.mean([p == s for p, s in zip(found["predictions"], species, strict=True)])
    assert right > 0.93


def test_the_order_of_columns_is_free(run, iris, trained, tmp_path):
    with Path(iris).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = ["d", "extra", "b", "a", "c"]
    shuffled = [[row.get(name, "?") for name in names] for row in rows]
    other = write_csv(tmp_path / "other.csv", names, shuffled)
    model = str(trained / "model.safetensors")
    assert run("predict", model, other) == run("predict", model, iris)


def test_a_quantity(run, tmp_path):
    pytest.importorskip("safetensors")
    x = np.linspace(-1.0, 1.0, 200)
    path = write_csv(tmp_path / "t.csv", ["y", "x"], zip(1e6 * (3 * x + 1), x, strict=True))
    arguments = ["--target", "y", "--layers", "4", "--epochs", "80", "-o", str(tmp_path / "out")]
    report = json.loads(run("train", path, *arguments, "--json"))
    assert report["kind"] == "a quantity"
    assert report["held-out R²"] > 0.97


def test_a_few_whole_numbers_are_classes_unless_it_is_said_otherwise(run, complain, tmp_path):
    pytest.importorskip("safetensors")
    path = write_csv(tmp_path / "t.csv", ["x", "y"], [(k / 40, k % 5) for k in range(40)])
    out = tmp_path / "out"
    arguments = ["train", path, "--layers", "2", "--epochs", "1", "-o", str(out), "--json"]
    kinds = [
        json.loads(run(*arguments, *kind))["kind"]
        for kind in ([], ["--kind", "classes"], ["--kind", "quantity"])
    ]
    assert kinds == ["5 classes", "5 classes", "a quantity"]
    assert "probabilities" not in json.loads(
        run("predict", str(out / "model.safetensors"), path, "--json")
    )
    names = write_csv(tmp_path / "n.csv", ["x", "y"], [(k, "no"[k % 2]) for k in range(40)])
    said = complain("train", names, "--kind", "quantity", "-o", str(out))
    assert "row 2, column 'y': 'n' is no finite number" in said
    many = write_csv(tmp_path / "m.csv", ["x", "y"], [(k, k / 2) for k in range(40)])
    assert (
        json.loads(run("train", many, *arguments[2:], "--kind", "classes"))["kind"] == "40 classes"
    )


def test_of_equal_numbers_there_is_no_share_explained(run, tmp_path):
    pytest.importorskip("safetensors")
    path = write_csv(tmp_path / "t.csv", ["x", "y"], [(k, k / 3) for k in range(5)])
    arguments = ["--layers", "2", "--epochs", "1", "-o", str(tmp_path / "out"), "--json"]
    report = json.loads(run("train", path, *arguments))
    assert report["held-out rows"] == 1
    assert "held-out R²" not in report


def test_export(run, iris, trained, tmp_path):
    """Raw features go in, and the scores of the classes come out."""
    model = str(trained / "model.safetensors")
    network, table = load_network(model), read_csv(iris)
    rows = table.numbers(network.columns)
    scores = np.array([[y.data for y in network.folded()(row)] for row in rows])
    found = [network.classes[k] for k in scores.argmax(axis=1)]
    assert found == json.loads(run("predict", model, iris, "--json"))["predictions"]

    run("export", model, "--to", "c", "-o", str(tmp_path / "n.c"))
    assert "void n(const double *features" in (tmp_path / "n.h").read_text("utf-8")
    report = json.loads(run("export", model, "--to", "c", "-o", str(tmp_path / "a-b.c"), "--json"))
    assert report["inputs"] == network.columns
    assert report["outputs"] == [f"score of {name}" for name in network.classes]
    assert "void a_b(const double *features" in (tmp_path / "a-b.h").read_text("utf-8")
    run("export", model, "--to", "onnx", "-o", str(tmp_path / "n.onnx"))
    session = pytest.importorskip("onnxruntime").InferenceSession(str(tmp_path / "n.onnx"))
    (name,) = [x.name for x in session.get_inputs()]
    np.testing.assert_allclose(session.run(None, {name: np.array(rows)})[0], scores, rtol=1e-6)


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_the_exported_source_predicts_the_same(run, iris, trained, tmp_path):
    model, source, program = str(trained / "model.safetensors"), tmp_path / "n.c", tmp_path / "p"
    run("export", model, "--to", "c", "-o", str(source))
    (tmp_path / "main.c").write_text(
        """
        #include <stdio.h>
        #include "n.h"
        int main(void) {
            double x[4], y[3], work[N_WORK];
            while (scanf("%lf,%lf,%lf,%lf%*[^\\n]", x, x + 1, x + 2, x + 3) == 4) {
                n(x, y, work);
                printf("%d\\n", y[0] >= y[1] && y[0] >= y[2] ? 0 : y[1] >= y[2] ? 1 : 2);
            }
        }
        """
    )
    files = [str(tmp_path / "main.c"), str(source), "-lm", "-o", str(program)]
    subprocess.run(["cc", "-Wall", "-Werror", *files], check=True)
    rows = Path(iris).read_text("utf-8").partition("\n")[2]
    said = subprocess.run([program], input=rows, capture_output=True, text=True, check=True).stdout
    classes = load_network(model).classes
    found = [classes[int(k)] for k in said.split()]
    assert found == run("predict", model, iris).splitlines()


def test_export_to_torch(run, trained, tmp_path):
    torch = pytest.importorskip("torch")
    run("export", str(trained / "model.safetensors"), "--to", "torch", "-o", str(tmp_path / "n.pt"))
    shapes = [tuple(x.shape) for x in torch.load(tmp_path / "n.pt").values()]
    assert shapes == [(8, 4), (8,), (3, 8), (3,)]


def test_a_quantity_is_folded(tmp_path):
    pytest.importorskip("safetensors")
    model = MLP(2, [3, 1], activation=["tanh", "linear"], seed=0)
    network = Network(model, ["a", "b"], [1.0, -2.0], [0.5, 3.0], "y", [], 1e3, 40.0)
    table = Table("t", ["a", "b"], [["0.25", "7"], ["-3", "0.5"]], [2, 3])
    folded = [network.folded()(row).data for row in table.numbers(["a", "b"])]
    assert folded == pytest.approx(network.predict(table), rel=1e-13)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is empty"),
        ("a,b\n", "a header and no rows"),
        ("a,a\n1,2\n", "the header has a twice"),
        ("a,\n1,2\n", "a column without a name"),
        ("a,b\n1,2\n3\n", "row 3: 1 cells, and the header has 2"),
        ("a,b\n1,2\n,4\n", "row 3, column 'a': the value is missing"),
        ("a,b\n1,2\nx,4\n", "row 3, column 'a': 'x' is no finite number"),
        ("a,b\n1,2\nnan,4\n", "row 3, column 'a': 'nan' is no finite number"),
        ("a,b\n1,2\n3,\n", "row 3, column 'b': the value is missing"),
        ("b\n1\n2\n", "no column besides the target"),
        ("1,2\n3,4\n", "row 1 has numbers only; the first row must name the columns"),
        ("a;b\n1;2\n", "columns are separated by commas, not by ';'"),
        ("a,b\n1,2\n", "takes a few rows"),
        ('a,b\n1,"2\n', "row"),
        ("a,b\n1,2\n3,nan\n5,6\n", "row 3, column 'b': 'nan' is no finite number"),
        ("a,b\n1,2.5\n3,n/a\n5,6.5\n", "row 3, column 'b': 'n/a' is no number and other rows"),
        ("a,b\n1,p\n3,\n5,q\n", "row 3, column 'b': the value is missing"),
        ("a,b\n1,0\n2,1\n3,1.0\n", "one class as '1' and as '1.0'"),
        ("a,b\n" + "1e308,0\n-1e308,1\n" * 9, "column 'a' has numbers too large"),
    ],
)
def test_bad_tables(complain, tmp_path, text, match):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    assert match in complain("train", str(path), "-o", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_names_in_a_file_do_not_command_the_terminal(complain, run, tmp_path):
    rows = [[k, "\x1b[31m\nno" if k % 2 else "yes"] for k in range(40)]
    path = write_csv(tmp_path / "t.csv", ["a\x1b[31m\nb", "y"], rows)
    assert r"its columns are a\x1b[31m\nb, y" in complain("train", path, "--target", "q")
    out = tmp_path / "out"
    run("train", path, "--layers", "2", "--epochs", "1", "-o", str(out))
    printed = run("predict", str(out / "model.safetensors"), path)
    assert printed.count("\n") == len(rows)
    assert "\x1b" not in printed


def test_a_target_that_is_no_column(complain, iris):
    assert "has no column 'colour'; its columns are a, b" in complain(
        "train", iris, "--target", "colour"
    )


def test_no_training_is_lost_for_what_the_end_needs(complain, iris, tmp_path, monkeypatch):
    monkeypatch.setattr("nn.tables.fit", lambda *_, **__: pytest.fail("it has trained"))
    (tmp_path / "file").write_text("")
    assert "file'" in complain("train", iris, "-o", str(tmp_path / "file"))
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    assert 'pip install "autograd-bp[save]"' in complain("train", iris, "-o", str(tmp_path))


def test_foreign_models(complain, iris, trained, tmp_path):
    from nn import MLP, save

    other = tmp_path / "other.safetensors"
    save(other, MLP(4, [3], seed=0))
    assert "that `autograd-bp train` has saved" in complain("predict", str(other), iris)
    kept = {"columns": ["a"] * 4, "means": [0] * 4, "scales": [1] * 4, "target": "t",
            "classes": ["p", "q", "r"], "target_mean": 0, "target_scale": 1}  # fmt: skip
    wrong = [{"scales": [0] * 4}, {"scales": [-1] * 4}, {"target_scale": 0}, {"columns": "abcd"},
             {"classes": dict.fromkeys("pqr", 0)}, {"classes": ["p"]}, {"target": 1},
             {"means": [0] * 3}, {"means": ["0"] * 4}]  # fmt: skip
    texts = ["[]", "{", '{"columns": 3}', *(json.dumps(kept | change) for change in wrong)]
    for text in texts:
        save(other, MLP(4, [3], "linear", seed=0), metadata={"network": text})
        assert "that `autograd-bp train` has saved" in complain("predict", str(other), iris), text
    save(other, MLP(4, [3], "sigmoid", seed=0), metadata={"network": json.dumps(kept)})
    assert "that `autograd-bp train` has saved" in complain("predict", str(other), iris)
    save(other, MLP(4, [3], "linear", seed=0), metadata={"network": json.dumps(kept)})
    assert load_network(other).classes == ["p", "q", "r"]
    assert "safetensors" in complain("predict", iris, iris)
    whole = (trained / "model.safetensors").read_bytes()
    other.write_bytes(whole[: len(whole) // 2])
    assert "safetensors" in complain("predict", str(other), iris)


HOW_TO = ROOT / "docs" / "pages" / "how-to" / "command-line.md"


def sessions(text):
    """The commands of a text's console blocks, with what is printed below each."""
    for block in re.findall(r"^```console\n\$ (.*?)^```$", text, re.DOTALL | re.MULTILINE):
        for session in block.split("\n$ "):
            command, _, printed = session.partition("\n")
            yield command, printed.rstrip("\n")


@pytest.mark.skipif(os.name == "nt", reason="the page is for a POSIX shell")
def test_the_page_shows_what_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text, commands = HOW_TO.read_text("utf-8"), set()
    for code in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        exec(compile(code, HOW_TO.name, "exec"), {})
    for command, printed in sessions(text):
        name, *arguments = shlex.split(command)
        if name != "autograd-bp":
            subprocess.run(command, shell=True, check=True)
            continue
        failed = main(arguments)
        out, err = capsys.readouterr()
        assert (err if failed else out).rstrip("\n") == printed
        commands.add(arguments[0])
    assert commands == {"diff", "draw", "steps", "explain", "train", "predict", "export"}
