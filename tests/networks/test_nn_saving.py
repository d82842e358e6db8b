"""Nothing is lost: files of models and runs, killed, torn, foreign and hostile ones among them."""

import json
import os
import re
import subprocess
import sys
import textwrap
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_bp import Value, where
from autograd_bp.files import alone
from nn import MLP, SGD, Adam, AdamW, History, Module, bce, fit, load, mse, outputs, save
from nn.saving import read_metadata

safetensors = pytest.importorskip("safetensors.numpy")

X = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
Y = [0, 1, 1, 0]


def trained(make=Adam, seed=0, **settings):
    model = MLP(2, [3, 1], seed=seed)
    optimizer = make(model.parameters(), lr=0.1, **settings)
    fit(model, X, Y, loss=bce, epochs=2, batch_size=3, optimizer=optimizer, seed=0, progress=False)
    return model, optimizer


def state(model, optimizer=None):
    return repr((model.state_dict(), optimizer and optimizer.state_dict()))


class Line(Module):
    def __init__(self, k=0.1, c=2.0):
        self.k, self.c = Value(k, "k"), Value(c, "c")

    def parameters(self):
        return [self.k, self.c]

    def __call__(self, x):
        return self.k * x[0] + self.c


# --- save and load --------------------------------------------------------------------------------


@given(
    st.integers(1, 4),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.sampled_from(["sigmoid", "tanh", "relu", "linear"]),
    st.data(),
)
@settings(max_examples=30)
def test_an_mlp_comes_back_bit_for_bit(tmp_path_factory, nin, nouts, activation, data):
    model = MLP(nin, nouts, activation)
    for p in model.parameters():
        p.data = data.draw(st.floats(allow_nan=False, allow_infinity=False))
    path = save(tmp_path_factory.mktemp("m") / "m.safetensors", model)
    twin = load(path)
    assert repr(twin) == repr(model)
    assert state(twin) == state(model)


def test_the_arrays_are_named_and_shaped_as_in_the_textbook(tmp_path):
    model, _ = trained()
    arrays = safetensors.load_file(save(tmp_path / "m.safetensors", model))
    assert {name: array.shape for name, array in arrays.items()} == {
        "w[1]": (3, 2), "b[1]": (3,), "w[2]": (1, 3), "b[2]": (1,),
    }  # fmt: skip
    a = 1 / (1 + np.exp(-(arrays["w[1]"] @ [0.3, -0.7] + arrays["b[1]"])))
    a = 1 / (1 + np.exp(-(arrays["w[2]"] @ a + arrays["b[2]"])))
    assert outputs(model, [[0.3, -0.7]]) == pytest.approx(a)


def test_equal_models_make_equal_files(tmp_path):
    """The library shuffles metadata anew for each file, so a few are compared."""
    notes = [(f"note {i}", "σ'") for i in range(6)]
    files = {
        save(tmp_path / "m.safetensors", *trained(), metadata=dict(order)).read_bytes()
        for order in (notes, notes[::-1], notes, notes)
    }
    assert len(files) == 1
    numbers = safetensors.load(files.pop())  # and the library still reads it
    assert numbers["optimizer.m"].shape == (13,)


@pytest.mark.parametrize(
    ("make", "settings"), [(SGD, {"momentum": 0.9}), (Adam, {}), (AdamW, {"weight_decay": 0.1})]
)
def test_an_optimizer_goes_on_where_it_was(tmp_path, make, settings):
    model, optimizer = trained(make, **settings)
    path = save(tmp_path / "run.safetensors", model, optimizer)
    twin = MLP(2, [3, 1], seed=7)
    other = make(twin.parameters(), lr=0.5)
    assert load(path, twin, other) is twin
    assert state(twin, other) == state(model, optimizer)
    for m, o in ((model, optimizer), (twin, other)):
        fit(m, X, Y, loss=bce, epochs=2, batch_size=3, optimizer=o, seed=1, progress=False)
    assert state(twin, other) == state(model, optimizer)


def test_any_module(tmp_path):
    path = save(tmp_path / "line.safetensors", Line())
    assert state(load(path, Line(5.0, 6.0))) == state(Line())
    with pytest.raises(ValueError, match=r"does not describe an MLP.*load\(path, model\)"):
        load(path)


def test_metadata(tmp_path):
    path = save(tmp_path / "m.safetensors", Line(), metadata={"note": "σ'"})
    assert read_metadata(path)["note"] == "σ'"
    with pytest.raises(ValueError, match="'training', which is taken"):
        save(path, Line(), metadata={"training": ""})
    with pytest.raises(TypeError, match="str to str"):
        save(path, Line(), metadata={"n": 3})


def test_what_cannot_be_saved_leaves_the_old_file(tmp_path):
    path = save(tmp_path / "line.safetensors", Line())
    before = path.read_bytes()
    with pytest.raises(ValueError, match="the data of k must be a finite number, got nan"):
        save(path, Line(k=float("nan")))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["line.safetensors"]


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="all may be written")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        save(tmp_path / "m.safetensors", Line())


# --- files that are torn, foreign or hostile ------------------------------------------------------


def refused(path, error=ValueError, match=None):
    """The file is refused with a message that names it, and nothing changes."""
    model, optimizer = trained(seed=3)
    before = state(model, optimizer)
    with pytest.raises(error, match=match) as raised:
        load(path, model, optimizer)
    assert path.name in str(raised.value)
    assert state(model, optimizer) == before
    return str(raised.value)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return save(tmp_path_factory.mktemp("whole") / "m.safetensors", *trained()).read_bytes()


def test_every_truncation_is_refused(tmp_path, whole):
    path = tmp_path / "torn.safetensors"
    model, optimizer = trained(seed=3)
    before = state(model, optimizer)
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        with pytest.raises(ValueError, match=r"torn\.safetensors is not a whole safetensors file"):
            load(path, model, optimizer)
    assert state(model, optimizer) == before


@given(st.binary(max_size=200), st.data())
@settings(max_examples=200)
def test_changed_bytes_never_crash_and_never_half_load(tmp_path_factory, whole, junk, data):
    """Either it loads wholly or it is refused; a changed number is no fault that can be seen."""
    at = data.draw(st.integers(0, len(whole)))
    path = tmp_path_factory.mktemp("j") / "j.safetensors"
    path.write_bytes(whole[:at] + junk + whole[at + data.draw(st.integers(0, len(junk))) :])
    model, optimizer = trained(seed=3)
    before = state(model, optimizer)
    with suppress(ValueError):
        load(path, model, optimizer)
        return
    assert state(model, optimizer) == before


def test_foreign_files(tmp_path):
    import pickle

    for name, content in {
        "model.pt": pickle.dumps({"w": 1.0}),
        "empty": b"",
        "page.html": b"<!DOCTYPE html><html></html>",
        "zip.npz": b"PK\x03\x04" + bytes(100),
        "header": (2**63).to_bytes(8, "little") + b"{}",
        "nested": (100_000).to_bytes(8, "little") + b"[" * 100_000,
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        refused(path, match="not a whole safetensors file")
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
    with pytest.raises(OSError, match=r"directory|denied"):
        load(tmp_path)


def written(path, changes=(), metadata=None, like=None):
    model, optimizer = like or trained()
    save(path, model, optimizer)
    arrays = safetensors.load_file(path)
    arrays = {k: a for k, a in {**arrays, **dict(changes)}.items() if a is not None}
    safetensors.save_file(arrays, path, {**read_metadata(path), **(metadata or {})})
    return path


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"w[1]": np.zeros((2, 3))}, r"w\[1\] has the shape \(2, 3\), not \(3, 2\)"),
        ({"w[1]": None}, r"missing w\[1\]; unexpected none"),
        ({"w[9]": np.zeros(3)}, r"unexpected 'w\[9\]'"),
        ({"<script>\x1b[31m" + "x" * 1000: np.zeros(3)}, r"unexpected '<script>\\x1b\[31mx+\.\.\."),
        ({"b[2]": np.array([np.inf])}, r"b\[2\] in .* must be a finite number, got inf"),
        ({"b[2]": np.array([np.nan])}, "must be a finite number, got nan"),
        ({"b[2]": np.array([1])}, "of type int64, not of floats"),
        ({"b[2]": np.array([True])}, "of type bool"),
        ({"optimizer.m": np.zeros(3)}, r"one number for each of the 13 parameters, got 3"),
        ({"optimizer.m": None}, r"missing \['m'\]"),
        ({"optimizer.evil": np.zeros(3)}, r"unexpected \['evil'\]"),
        ({"optimizer.beta1": np.array(1.5)}, r"state\['beta1'\] must be from 0 to below 1"),
        ({"optimizer.lr": np.zeros((1, 1))}, r"state\['lr'\] must be a finite number"),
        ({"optimizer.v": np.full(13, np.nan)}, "must be a finite number, got nan"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, changes, match):
    refused(written(tmp_path / "bad.safetensors", changes), match=match)


class Net(MLP):
    """An MLP that computes something else."""

    def __call__(self, x):
        return super().__call__(x) * 2.0


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: MLP(2, [3, 1], "tanh"), r"its activation is \['sigmoid', 'sigmoid'\], not \['tan"),
        (lambda: MLP(2, [3, 1], ["sigmoid", "linear"]), r"not \['sigmoid', 'linear'\]\. Make the"),
        (lambda: Net(2, [3, 1]), "it is of a module 'MLP', not of Net"),
        (lambda: Line(), "it is of a module 'MLP', not of Line"),
    ],
)
def test_a_model_that_computes_something_else(tmp_path, make, match):
    path = save(tmp_path / "m.safetensors", trained()[0])
    model = make()
    before = state(model)
    with pytest.raises(ValueError, match=rf"m\.safetensors does not fit.*{match}"):
        load(path, model)
    assert state(model) == before
    with pytest.raises(ValueError, match="of a module 'Net', not of MLP"):
        load(save(path, Net(2, [3, 1])))


@pytest.mark.slow
@given(st.data())
def test_hostile_metadata(tmp_path_factory, data):
    """Whatever stands in a field, it is loaded or a ValueError names the file and the field."""
    values = st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5)
        | st.sampled_from([10**400, -(10**400), 10**4000, 1e308]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("h") / "h.safetensors"
    kept = {"seed": 0, "version": 2, "run": {}, "history": {name: [] for name in vars(History())}}
    if data.draw(st.booleans()):
        where = kept["history"] if data.draw(st.booleans()) else kept
        name = data.draw(st.sampled_from(sorted(where)))
        where[name] = [data.draw(values)] if where is kept["history"] else data.draw(values)
        metadata = {"training": json.dumps(kept)}
    else:
        field = data.draw(st.sampled_from(["activation", "training", "optimizer", "module"]))
        value = data.draw(values)
        metadata = {field: value if isinstance(value, str) else json.dumps(value)}
        metadata[field] = metadata[field].encode("utf-8", "replace").decode()
    written(path, metadata=metadata)
    for read in (load, lambda path: checkpointed(path, 3)):
        said = "h.safetensors"
        try:
            read(path)
        except ValueError as error:
            said = str(error)
        assert "h.safetensors" in said


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        ({"activation": '["sigmoid", "sigmoid"'}, r"m\.safetensors does .*activation is no JSON"),
        (
            {"activation": '{"a": 1, "a": 1}'},
            r"m\.safetensors does .*activation is .* a name .*twice",
        ),
        (
            {"activation": '["sigmoid", "swoosh"]'},
            r"m\.safetensors does .* no activation of this version is called 'swoosh'\); give",
        ),
        ({"format": "autograd-bp 2"}, r"m\.safetensors is not .* its format is 'autograd-bp 2'"),
    ],
)
def test_metadata_that_is_none(tmp_path, metadata, match):
    with pytest.raises(ValueError, match=match):
        load(written(tmp_path / "m.safetensors", metadata=metadata))


def test_bytes_that_are_no_text(tmp_path):
    path = written(tmp_path / "m.safetensors")
    path.write_bytes(path.read_bytes().replace(b"sigmoid", b"sigm\xffid", 1))
    with pytest.raises(ValueError, match=r"m\.safetensors is not a whole safetensors file"):
        load(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is not a whole safetensors file, but a pipe"):
        load(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is not a whole safetensors file, but a pipe"):
        checkpointed(tmp_path / "pipe", 1)


def test_another_optimizer(tmp_path):
    path = written(tmp_path / "adamw.safetensors", like=trained(AdamW))
    refused(path, match="has the state of 'AdamW', not of Adam")
    refused(save(tmp_path / "plain.safetensors", trained()[0]), match="of no optimizer, not of")


@pytest.mark.parametrize(
    ("metadata", "changes"),
    [
        ({"activation": '["__class__", "sigmoid"]'}, {}),
        ({"activation": "[" * 100_000}, {}),
        ({"activation": "3"}, {}),
        ({"activation": "[]"}, {}),
        ({"activation": '[["sigmoid"], {}]'}, {}),
        ({"activation": '["sigmoid"]'}, {"w[1]": np.zeros((10**12, 0))}),  # needs no bytes
        ({"activation": '["sigmoid", "sigmoid", "sigmoid"]'}, {}),
    ],
)
def test_a_file_cannot_ask_for_more_than_it_has(tmp_path, metadata, changes):
    path = written(tmp_path / "m.safetensors", changes, metadata)
    with pytest.raises(ValueError, match=r"does not describe an MLP|does not fit"):
        load(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows refuses such names itself")
def test_hostile_file_names(tmp_path):
    for name in ["a b'; rm -rf ~ #.safetensors", "$(touch x)", "*?[x].safetensors", "σ\n\x1b[31m"]:
        path = save(tmp_path / name, Line())
        assert state(load(path, Line(5.0, 6.0))) == state(Line())
        model, optimizer = Line(), None
        for epochs in (1, 2):
            optimizer = Adam(model.parameters())
            history = fit(model, X, Y, loss=mse, epochs=epochs, optimizer=optimizer,
                          progress=False, checkpoint=tmp_path / f"run {name}")  # fmt: skip
            assert len(history.loss) == epochs
        assert len(list(tmp_path.iterdir())) == 2
        for file in tmp_path.iterdir():
            file.unlink()


# --- checkpoints ----------------------------------------------------------------------------------


def checkpointed(path, epochs, seed=0, model=None, optimizer=None, loss=bce, **options):
    model = model or MLP(2, [3, 1], seed=0)
    optimizer = optimizer or Adam(model.parameters(), lr=0.1)
    history = fit(model, X, Y, loss=loss, epochs=epochs, batch_size=3, optimizer=optimizer,
                  seed=seed, progress=False, checkpoint=path, **options)  # fmt: skip
    return history, state(model, optimizer)


@pytest.mark.parametrize("validation", [None, (X[:2], Y[:2])])
def test_stopped_and_resumed_is_the_same_as_not_stopped(tmp_path, validation):
    options = {"validation": validation}
    straight = checkpointed(tmp_path / "a", 7, **options)
    for epochs in (1, 3, 4, 7, 7, 2):
        resumed = checkpointed(tmp_path / "b", epochs, **options)
    assert resumed == straight  # asking for 2 of 7 changes nothing
    assert straight[1] == checkpointed(None, 7, **options)[1]


def test_a_run_without_a_seed_keeps_its_own(tmp_path):
    first, _ = checkpointed(tmp_path / "a", 3, seed=None)
    copy = tmp_path / "b"
    copy.write_bytes((tmp_path / "a").read_bytes())
    ends = [checkpointed(p, 6, seed=None, model=MLP(2, [3, 1], seed=s))
            for s, p in enumerate([tmp_path / "a", copy])]  # fmt: skip
    assert ends[0] == ends[1]
    assert ends[0][0].loss[:3] == first.loss


def test_the_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    checkpointed(path, 2)
    before = path.read_bytes()
    model = MLP(2, [3, 1], seed=5)
    unchanged = state(model)
    args = {"loss": bce, "epochs": 3, "batch_size": 3, "seed": 0, "progress": False}
    for data, change, what in [
        ((X, [1, 1, 1, 0]), {}, "data"),
        ((X, Y), {"batch_size": 2}, "batch_size is 3, now it is 2"),
        ((X, Y), {"loss": mse}, "loss is 'bce', now it is 'mse'"),
        ((X, Y), {"seed": 1}, "seed is 0, now it is 1"),
        ((X[:3], Y[:3]), {"validation": (X[3:], Y[3:])}, "validation is 0, now it is 1"),
    ]:
        with pytest.raises(ValueError, match=f"checkpoint of another run: its {what}"):
            fit(model, *data, checkpoint=path, **{**args, **change})
    with pytest.raises(ValueError, match="does not fit"):
        fit(MLP(2, [4, 1]), X, Y, checkpoint=path, **args)
    with pytest.raises(ValueError, match="of 'Adam', not of SGD"):
        fit(model, X, Y, checkpoint=path, optimizer=SGD(model.parameters(), 0.1), **args)
    with pytest.raises(ValueError, match="not by both"):
        fit(model, X, Y, checkpoint=tmp_path / "new", history=History([1.0]), **args)
    assert state(model) == unchanged
    assert path.read_bytes() == before
    assert not (tmp_path / "new").exists()


MAKERS = {
    "lr": lambda p: Adam(p, lr=0.2),
    "weight_decay": lambda p: Adam(p, lr=0.1, weight_decay=0.01),
    "beta1": lambda p: Adam(p, lr=0.1, betas=(0.8, 0.999)),
    "beta2": lambda p: Adam(p, lr=0.1, betas=(0.9, 0.99)),
    "eps": lambda p: Adam(p, lr=0.1, eps=1e-6),
    "parameters": lambda p: Adam(p[::-1], lr=0.1),
}


@pytest.mark.parametrize("epochs", [0, 1])
@pytest.mark.parametrize("name", MAKERS)
def test_another_setting_of_the_optimizer_is_refused(tmp_path, name, epochs):
    path = tmp_path / "run.safetensors"
    if epochs:
        checkpointed(path, epochs)
    else:
        with pytest.raises(ZeroDivisionError):
            checkpointed(path, 1, loss=lambda y, t: bce(y, t) + 1.0 / (y.data - y.data))
    before = path.read_bytes()
    options = {} if epochs else {"loss": lambda y, t: bce(y, t) + 1.0 / (y.data - y.data)}
    model = MLP(2, [3, 1], seed=0)
    changed = MAKERS[name](model.parameters())
    with pytest.raises(ValueError, match=f"checkpoint of another run: its {name} is .*, now it is"):
        checkpointed(path, 3, model=model, optimizer=changed, **options)
    assert path.read_bytes() == before
    assert state(model) == state(MLP(2, [3, 1], seed=0))


def test_all_that_differs_is_named_at_once(tmp_path):
    path = tmp_path / "run.safetensors"
    make = {"momentum": 0.9, "weight_decay": 0.1}
    for model, change in [(MLP(2, [3, 1], seed=0), {}), (MLP(2, [3, 1], seed=0), make)]:
        optimizer = SGD(model.parameters(), lr=0.1, **change)
        if change:
            both = r"momentum is 0\.0, now it is 0\.9; its weight_decay is 0\.0, now it is 0\.1"
            with pytest.raises(ValueError, match=both):
                checkpointed(path, 2, model=model, optimizer=optimizer)
        else:
            checkpointed(path, 1, model=model, optimizer=optimizer)


def power(y, t, p=2.0):
    return abs(y - t) ** p


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (partial(power, p=2.0), partial(power, p=3.0)),
        (lambda y, t: (y - t) ** 2, lambda y, t: abs(y - t)),
        (lambda y, t: bce(y, t), lambda y, t: 2.0 * bce(y, t)),
        (lambda y, t: abs(y - t), lambda y, t: where(abs(y - t) < 5.0, abs(y - t), 5.0 * y)),
    ],
)
def test_a_loss_of_the_same_name_is_another(tmp_path, one, other):
    path = tmp_path / "run.safetensors"
    checkpointed(path, 1, loss=one)
    assert len(checkpointed(path, 2, loss=one)[0].loss) == 2
    with pytest.raises(ValueError, match="its loss of a few outputs is"):
        checkpointed(path, 3, loss=other)


def test_another_activation_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    checkpointed(path, 1)
    model = MLP(2, [3, 1], ["tanh", "sigmoid"], seed=0)
    with pytest.raises(ValueError, match=r"its activation is \['sigmoid', 'sigmoid'\], not"):
        checkpointed(path, 2, model=model)


def test_a_setting_that_changes_as_the_run_goes(tmp_path):
    """A schedule of lr: started anew or gone on with, it is the same run."""

    class Halving(SGD):
        def _move(self):
            super()._move()
            self.lr *= 0.5

    def optimized(path, epochs):
        model = MLP(2, [3, 1], seed=0)
        optimizer = Halving(model.parameters(), lr=0.1)
        checkpointed(path, epochs, model=model, optimizer=optimizer)
        return model, optimizer

    straight = optimized(None, 4)
    for epochs in (1, 3, 4):
        model, optimizer = optimized(tmp_path / "run", epochs)
    assert state(model, optimizer) == state(*straight)
    checkpointed(tmp_path / "run", 5, model=model, optimizer=optimizer)


def test_a_checkpoint_of_an_older_version(tmp_path):
    path = tmp_path / "run.safetensors"
    checkpointed(path, 1)
    training = json.loads(read_metadata(path)["training"])
    del training["version"], training["run"]["settings"]
    written(path, like=trained(), metadata={"training": json.dumps(training)})
    with pytest.raises(ValueError, match=r"version must be 2, .* got 1\).* read by nn\.load"):
        checkpointed(path, 2)
    assert isinstance(load(path), MLP)


def test_seeds(tmp_path):
    checkpointed(tmp_path / "a", 1, seed=np.int64(3))
    assert json.loads(read_metadata(tmp_path / "a")["training"])["seed"] == 3
    with pytest.raises(TypeError, match="seed"):
        checkpointed(tmp_path / "b", 1, seed="three")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_two_runs_do_not_share_a_file(tmp_path):
    path = tmp_path / "run.safetensors"
    checkpointed(path, 1)
    before = path.read_bytes()
    model = MLP(2, [3, 1], seed=0)
    with alone(path), pytest.raises(BlockingIOError, match=r"another run .*run\.safetensors"):
        checkpointed(path, 2, model=model)
    assert path.read_bytes() == before
    assert state(model) == state(MLP(2, [3, 1], seed=0))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="the runs are ended by signals")
def test_of_four_runs_one_writes_and_three_are_refused_by_name(tmp_path):
    """None dies of another's clearing away, and the end is that of one run alone."""
    fit_it = f"history = fit({ARGUMENTS}, epochs=30, seed=0{{}})"
    straight = started(fit_it.format(""), tmp_path).communicate()[0]
    wait = "sys.stdin.readline()\n"  # so that they start together
    code = RUN.format(fit=wait + fit_it.format(", checkpoint='run.safetensors'"))
    runs = [
        subprocess.Popen([sys.executable, "-c", code], text=True, cwd=tmp_path,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]  # fmt: skip
    for run in runs:
        assert run.stdout.readline() == "go\n"
    for run in runs:
        run.stdin.write("\n")
        run.stdin.flush()
    ends = [run.communicate() for run in runs]
    assert ["go\n" + out for out, _ in ends].count(straight) >= 1
    for run, (out, err) in zip(runs, ends, strict=True):
        if run.returncode:
            assert "BlockingIOError" in err
            assert "run.safetensors" in err
        else:
            assert "go\n" + out == straight
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


@pytest.mark.parametrize(
    "training",
    [None, "", "[]", "[" * 100_000, '{"seed": "0", "run": {}, "history": {}}',
     '{"seed": 0, "run": {}, "history": {"loss": ["x"]}}',
     '{"seed": 0, "run": [], "history": {"loss": [], "accuracy": [], "val_loss": [], '
     '"val_accuracy": []}}'],
)  # fmt: skip
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, training):
    path = tmp_path / "run.safetensors"
    metadata = {} if training is None else {"training": training}
    written(path, metadata=metadata)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="is no checkpoint of fit"):
        checkpointed(path, 3)
    assert path.read_bytes() == before


RUN = textwrap.dedent(
    """
    import sys
    from nn import MLP, Adam, bce, fit
    rows = [[((i * 7) % 11) / 11, ((i * 5) % 13) / 13] for i in range(24)]
    targets = [int(a > b) for a, b in rows]
    model = MLP(2, [4, 1], seed=0)
    optimizer = Adam(model.parameters(), lr=0.05)
    print("go", flush=True)
    {fit}
    print("end", repr((model.state_dict(), optimizer.state_dict(), vars(history))), flush=True)
    """
)
ARGUMENTS = "model, rows, targets, loss=bce, batch_size=5, optimizer=optimizer, progress=False"


def started(fit, tmp_path):
    return subprocess.Popen(
        [sys.executable, "-c", RUN.format(fit=fit)], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )


# Moments are counted in calls and returns of functions, Python's and C's: they are the same places
# on every machine, however fast it is and whatever else it does.
MOMENTS = textwrap.dedent(
    """
    import itertools, json, math, os, random, signal
    from nn import History, accuracy, outputs
    from nn.saving import read_metadata

    def at_moment(n, act):
        events = itertools.count()
        sys.setprofile(lambda *event: act() if next(events) == n else None)
        return events

    def another():  # eight epochs of another model
        fit(MLP(2, [4, 1], seed=1), rows, targets, loss=bce, epochs=8, progress=False,
            checkpoint="another")
        os.remove("another")

    rng = random.Random(0)
    another()  # what is imported, is so before the moments
    events = at_moment(-1, None)
    another()
    sys.setprofile(None)
    latest = next(events)
    """
)
KILLS = 50


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has neither fork nor SIGKILL")
def test_killed_50_times_at_any_moment(tmp_path):
    """kill -9 at random moments of training and writing; the end is that of an unkilled run."""
    train = f"history = fit({ARGUMENTS}, epochs={{}}, checkpoint='run.safetensors', seed=None)"
    # In copies of a process that has imported everything, which is most of what a start takes.
    kills = MOMENTS + textwrap.dedent(
        f"""
        history, done = History(), []
        for _ in range({KILLS}):
            moment = rng.randrange(latest)
            child = os.fork()
            if not child:
                at_moment(moment, lambda: os.kill(os.getpid(), signal.SIGKILL))
                {train.format(4000)}
                os._exit(1)
            assert os.waitpid(child, 0)[1] == signal.SIGKILL
            if os.path.exists("run.safetensors"):
                training = json.loads(read_metadata("run.safetensors")["training"])
                done.append(len(training["history"]["loss"]))
        print(done, training["seed"], flush=True)
        """
    )
    process = started(kills, tmp_path)
    assert process.stdout.readline() == "go\n"
    done, seed = re.fullmatch(r"\[(.*)\] (\d+)\n", process.stdout.readline()).groups()
    process.communicate()
    done = list(map(int, done.split(", ")))
    assert done == sorted(done)
    assert 10 < done[-1] < 4000
    assert done[-1] > done[0]

    total = done[-1] + 3
    resumed = started(train.format(total), tmp_path).communicate()[0]
    straight = started(f"history = fit({ARGUMENTS}, epochs={total}, seed={seed})", tmp_path)
    assert resumed == straight.communicate()[0]
    assert "end" in resumed
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"], "strays are cleared away"


@pytest.mark.parametrize("checkpoint", [None, "run.safetensors"])
def test_ctrl_c_leaves_a_usable_model(tmp_path, checkpoint):
    """Interrupted as by Ctrl-C, at random moments, 50 times in one process."""
    code = MOMENTS + textwrap.dedent(
        f"""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        history, interrupted = History(), 0
        for _ in range(50):
            done = len(history.loss) if {checkpoint!r} else 0
            moment = rng.randrange(latest)
            try:
                at_moment(moment, lambda: signal.raise_signal(signal.SIGINT))
                fit({ARGUMENTS}, epochs=done + 20, history=history, seed=0,
                    checkpoint={checkpoint!r})
            except KeyboardInterrupt:
                interrupted += 1
            finally:
                sys.setprofile(None)
            assert all(math.isfinite(p.data) for p in model.parameters())
            assert all(0 < y < 1 for y in outputs(model, rows))
            assert len(history.loss) == len(history.accuracy)
        assert interrupted > 40, interrupted  # Python drops what is raised in a destructor
        """
    )
    process = started(code, tmp_path)
    out = process.communicate()[0]
    assert process.returncode == 0
    assert "end" in out
    assert {p.name for p in tmp_path.iterdir()} == ({checkpoint} if checkpoint else set())


def test_the_package_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r'pip install "autograd-bp\[save\]"'):
        save(tmp_path / "m", Line())
    Path(tmp_path / "m").write_bytes(b"")
    with pytest.raises(ImportError, match=r'pip install "autograd-bp\[save\]"'):
        load(tmp_path / "m")
