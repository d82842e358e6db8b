import signal

import numpy as np
import pytest
from sklearn.datasets import make_moons

from autograd_bp import Value, mean, sqrt
from nn import (
    MLP,
    SGD,
    Adam,
    History,
    Module,
    accuracy,
    bce,
    bce_with_logits,
    cross_entropy,
    fit,
    hinge,
    mse,
    outputs,
    predict,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 2))
Y = (X.sum(axis=1) > 0).astype(int)
LINEAR = ["tanh", "linear"]


def model(nouts=(3, 1), activation="sigmoid", nin=2):
    return MLP(nin, nouts, activation=activation, seed=0)


def quiet(mlp, X, y, loss=bce, epochs=3, **options):
    return fit(mlp, X, y, loss=loss, epochs=epochs, **{"seed": 0, "progress": False, **options})


def watched(loss, events):
    """The loss; it notes the target of each call."""

    def noting(output, target):
        events.append(target)
        return loss(output, target)

    return noting


class NotingSGD(SGD):
    """It notes each step between the targets that `watched` notes."""

    events: list

    def step(self):
        self.events.append("step")
        super().step()


# --- what a training does -------------------------------------------------------------------------


def test_a_full_batch_is_one_step_against_the_mean_gradient():
    mlp, by_hand = model(), model()
    quiet(mlp, X, Y, epochs=2, batch_size=10, optimizer=SGD(mlp.parameters(), lr=0.5))
    for _ in range(2):
        by_hand.zero_grad()
        for x, t in zip(X, Y, strict=True):
            bce(by_hand(x), t).backward()  # leaves add up
        for p in by_hand.parameters():
            p.data -= 0.5 * p.grad / len(X)
    assert mlp.state_dict() == pytest.approx(by_hand.state_dict(), rel=1e-12)


def test_epochs_take_each_sample_once_and_steps_follow_batches():
    mlp, events = model(), []
    optimizer = NotingSGD(mlp.parameters(), lr=0.1)
    optimizer.events = events
    y = [i / 10 for i in range(10)]
    quiet(mlp, X, y, watched(mse, events), epochs=3, batch_size=4, optimizer=optimizer)
    orders = []
    for epoch in (events[0:13], events[13:26], events[26:39]):
        assert [i for i, event in enumerate(epoch) if event == "step"] == [4, 9, 12]
        orders.append(tuple(event for event in epoch if event != "step"))
        assert sorted(orders[-1]) == y
    assert len({*orders, tuple(y)}) == 4


@pytest.mark.parametrize("form", ["numpy", "lists", "rows", "float32", "column"])
def test_samples_may_be_arrays_or_lists(form):
    given = {
        "numpy": (X, Y),
        "lists": (X.tolist(), Y.tolist()),
        "rows": (list(X), list(Y)),
        "float32": (X.astype(np.float32), Y.astype(bool)),
        "column": (X, Y.reshape(-1, 1)),
    }[form]
    histories = [quiet(model(), *pair) for pair in (given, (X, Y))]
    tolerance = 1e-6 if form == "float32" else 0.0
    assert histories[0].loss == pytest.approx(histories[1].loss, rel=tolerance, abs=tolerance)
    assert histories[0].accuracy == histories[1].accuracy


def test_seeds_reproduce():
    def trained(seed):
        mlp = model()
        return quiet(mlp, X, Y, batch_size=3, seed=seed), mlp.state_dict()

    assert trained(1) == trained(1)
    assert trained(1) != trained(2)
    assert trained(None) != trained(None)


def test_five_epochs_and_five_more_are_ten():
    whole, parts = model(), model()
    ten = quiet(whole, X, Y, epochs=10, batch_size=3, validation=(X, Y))
    optimizer = Adam(parts.parameters(), lr=0.01)
    more = {"batch_size": 3, "optimizer": optimizer, "validation": (X, Y)}
    five = quiet(parts, X, Y, epochs=5, **more)
    again = quiet(parts, X, Y, epochs=5, history=five, **more)
    assert again is five
    assert again == ten
    assert parts.state_dict() == whole.state_dict()


def test_the_history_has_the_means_over_the_samples():
    mlp = model()
    start = quiet(mlp, X, Y, epochs=2, batch_size=3, optimizer=SGD(mlp.parameters(), lr=0.0),
                  validation=(X[:4], Y[:4]))  # fmt: skip
    expected = mean([bce(mlp(x).data, t) for x, t in zip(X, Y, strict=True)])
    assert start.loss == pytest.approx([expected, expected], rel=1e-14)
    assert start.accuracy == [accuracy(mlp, X, Y)] * 2
    expected = mean([bce(mlp(x).data, t) for x, t in zip(X[:4], Y[:4], strict=True)])
    assert start.val_loss == pytest.approx([expected, expected], rel=1e-14)
    assert start.val_accuracy == [accuracy(mlp, X[:4], Y[:4])] * 2


def test_validation_is_measured_after_the_epoch_and_not_trained_on():
    with_it, without = model(), model()
    other = RNG.normal(size=(5, 2))
    history = quiet(with_it, X, Y, validation=(other, [1, 0, 1, 0, 1]), epochs=2)
    assert quiet(without, X, Y, epochs=2).val_loss == []
    assert with_it.state_dict() == without.state_dict()
    pairs = zip(outputs(with_it, other), [1, 0, 1, 0, 1], strict=True)
    expected = mean([bce(p, t) for p, t in pairs])
    assert history.val_loss[-1] == pytest.approx(expected, rel=1e-14)


def test_regression_has_no_accuracy():
    history = quiet(model(activation=LINEAR), X, X[:, 0] * X[:, 1], mse, validation=(X, Y))
    assert len(history.loss) == len(history.val_loss) == 3
    assert history.accuracy == history.val_accuracy == []
    history = quiet(model((3, 2), LINEAR), X, X, mse)
    assert history.accuracy == []


def test_losses_of_ones_own_may_use_methods_of_values():
    def margin(output, target):
        return (1.0 - target * output).relu()

    one, other = model(activation=LINEAR), model(activation=LINEAR)
    y = 2 * Y - 1
    assert quiet(one, X, y, margin, validation=(X, y)) == quiet(
        other, X, y, hinge, validation=(X, y), eager=True
    )


def test_two_moons_are_told_apart():
    points, y = make_moons(100, noise=0.1, random_state=0)
    mlp = model((8, 1), LINEAR)
    optimizer = Adam(mlp.parameters(), lr=0.1)
    history = quiet(mlp, points, y, bce_with_logits, 100, batch_size=20, optimizer=optimizer)
    assert history.loss[0] > 0.4
    assert history.loss[-1] < 0.05
    assert history.accuracy[-1] >= 0.98
    unseen = make_moons(200, noise=0.1, random_state=1)
    assert accuracy(mlp, *unseen, bce_with_logits) >= 0.97


def test_several_classes_are_learnt():
    points = np.random.default_rng(1).normal(size=(60, 2))
    angles = np.arctan2(points[:, 1], points[:, 0])
    y = np.digitize(angles, [-np.pi / 3, np.pi / 3])
    mlp = model((8, 3), LINEAR)
    history = quiet(mlp, points, y, cross_entropy, 60, optimizer=Adam(mlp.parameters(), lr=0.05))
    assert history.loss[-1] < 0.3
    assert history.accuracy[-1] > 0.9
    assert predict(mlp, points) == [int(np.argmax(o)) for o in outputs(mlp, points)]


# --- the progress bar and the history -------------------------------------------------------------


def test_the_bar_shows_loss_and_accuracy(capsys):
    quiet(model(), X, Y, epochs=2, progress=True)
    shown = capsys.readouterr().err
    assert "epoch 2/2" in shown
    assert "loss=" in shown
    assert "accuracy=" in shown


def test_no_bar_is_shown_when_not_asked(capsys):
    quiet(model(), X, Y, epochs=2)
    assert capsys.readouterr() == ("", "")


def test_history_is_read_at_a_glance():
    assert repr(History()) == "History(0 epochs)"
    history = History([0.7, 0.25], [], [1.0, 0.123456], [0.5, 1.0])
    expected = "History(2 epochs: loss 0.7 → 0.25, val_loss 1 → 0.1235, val_accuracy 0.5 → 1)"
    assert repr(history) == expected


# --- interruptions and numbers that overflow ------------------------------------------------------


def after_steps(n, eager):
    """The state after n steps of batches of 4, as a training that is not interrupted has it."""
    mlp, states = model(), []

    class Recording(Adam):
        def step(self):
            super().step()
            states.append(mlp.state_dict())

    optimizer = Recording(mlp.parameters(), lr=0.01)
    quiet(mlp, X, Y, epochs=3, batch_size=4, optimizer=optimizer, eager=eager)
    return states[n - 1]


def test_ctrl_c_leaves_the_model_of_the_last_whole_step():
    mlp, calls = model(), []

    def interrupted(output, target):
        calls.append(target)
        if len(calls) == 17:  # in the fifth batch: 4, 4, 2, 4, 3
            raise KeyboardInterrupt
        return bce(output, target)

    history = History()
    with pytest.raises(KeyboardInterrupt):
        quiet(mlp, X, Y, interrupted, batch_size=4, history=history)
    assert mlp.state_dict() == after_steps(4, eager=True)
    assert len(history.loss) == len(history.accuracy) == 1
    quiet(mlp, X, Y, batch_size=4, history=history)  # it can be trained on
    assert len(history.loss) == 4


def test_a_signal_in_the_midst_of_a_step_waits_for_its_end():
    mlp = model()

    class Interrupted(Adam):
        def _gradient(self, p):
            if self.steps == 4 and p is self.params[5]:
                signal.raise_signal(signal.SIGINT)
            return super()._gradient(p)

    with pytest.raises(KeyboardInterrupt):
        quiet(mlp, X, Y, batch_size=4, optimizer=Interrupted(mlp.parameters(), lr=0.01))
    assert mlp.state_dict() == after_steps(4, eager=False)


def test_a_signal_while_an_epoch_is_noted_waits_for_all_lists():
    class Interrupting(list):
        def append(self, number):
            signal.raise_signal(signal.SIGINT)
            super().append(number)

    history = History(loss=Interrupting())
    with pytest.raises(KeyboardInterrupt):
        quiet(model(), X, Y, history=history, validation=(X, Y))
    assert {len(numbers) for numbers in vars(history).values()} == {1}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_step(bad):
    mlp, calls = model(), []

    def spoiling(output, target):
        calls.append(target)
        return bce(output, target) * (bad if len(calls) == 17 else 1.0)

    with pytest.raises(FloatingPointError, match=rf"{bad} in epoch 2, batch 2 of 3.*learning rate"):
        quiet(mlp, X, Y, spoiling, batch_size=4)
    assert mlp.state_dict() == after_steps(4, eager=True)


def test_a_gradient_that_is_not_finite_stops_before_the_step():
    mlp = model(activation=LINEAR)
    before = mlp.state_dict()

    def infinite(output, target):
        return sqrt(output - output.detach())

    became = r"gradient of w\[1\]\[0\]\[0\] became (-?inf|nan) in ep"
    with pytest.raises(FloatingPointError, match=became):
        quiet(mlp, X, Y, infinite)
    assert mlp.state_dict() == before


def test_a_learning_rate_far_too_large_is_reported():
    mlp = model(activation=LINEAR)
    with pytest.raises(FloatingPointError, match=r"SGD\(13 parameters, lr=1e\+50"):
        quiet(mlp, X, X[:, 0], mse, 50, optimizer=SGD(mlp.parameters(), lr=1e50))


def test_a_validation_loss_that_is_not_finite_is_reported():
    def spoiling(output, target):
        return bce(output, target) * (float("nan") if target == 0.5 else 1.0)

    with pytest.raises(FloatingPointError, match="validation after epoch 1"):
        quiet(model(), X, Y, spoiling, validation=(X[:1], [0.5]))


# --- outputs, predict, accuracy -------------------------------------------------------------------


def constant(value, activation="linear", n=1):
    """An MLP whose outputs are ``value`` before the activation, whatever the input."""
    mlp = model((n,), activation)
    for name, p in mlp.named_parameters():
        p.data = 0.0 if name[0] == "w" else value
    return mlp


@pytest.mark.parametrize(
    ("loss", "activation", "threshold", "labels"),
    [
        (bce, "linear", 0.5, (0, 1)),
        (bce_with_logits, "linear", 0.0, (0, 1)),
        (bce_with_logits, "sigmoid", 0.0, (0, 1)),
        (hinge, "linear", 0.0, (-1, 1)),
        (mse, "linear", 0.5, (0, 1)),
        (mse, "sigmoid", 0.5, (0, 1)),
        (None, "sigmoid", 0.5, (0, 1)),
        (None, "tanh", 0.0, (0, 1)),
        (None, "linear", 0.0, (0, 1)),
        (lambda o, t: o, "sigmoid", 0.5, (0, 1)),
        (lambda o, t: o, "linear", 0.0, (0, 1)),
    ],
)
def test_one_output_is_held_against_the_threshold_of_the_loss(loss, activation, threshold, labels):
    inverse = {"sigmoid": lambda p: np.log(p / (1 - p)), "tanh": np.arctanh, "linear": float}
    rows = [[0.0, 0.0]]
    for below in (threshold - 0.1, threshold + 0.1):
        if activation == "sigmoid" and not 0 < below < 1:
            continue
        mlp = constant(inverse[activation](below), activation)
        k = int(below > threshold)
        assert predict(mlp, rows, loss) == [labels[k]]
        assert accuracy(mlp, rows, [labels[k]], loss) == 1.0
        assert accuracy(mlp, rows, [labels[1 - k]], loss) == 0.0


def test_an_output_at_the_threshold_says_the_first_class():
    rows = [[0.0, 0.0]]
    assert predict(constant(0.0), rows, hinge) == [-1]
    assert predict(constant(0.5), rows, bce) == [0]


def test_squared_error_decides_halfway_between_the_classes():
    mlp, rows = constant(0.25), [[0.0, 0.0], [1.0, 1.0]]
    assert predict(mlp, rows, mse) == [0, 0]
    assert predict(mlp, rows, mse, classes=(-1, 1)) == [1, 1]
    assert accuracy(mlp, rows, [0, 1], mse) == 0.5
    assert accuracy(mlp, rows, [-1, 1], mse) == 0.5
    assert accuracy(mlp, rows, [0, 0], mse) == 1.0


def test_several_outputs_say_the_largest():
    mlp = constant(0.0, n=3)
    mlp.load_state_dict(mlp.state_dict() | {"b[1][1]": 2.0, "w[1][2][0]": 1.0})
    rows = [[0.0, 0.0], [5.0, 0.0]]
    assert outputs(mlp, rows) == [[0.0, 2.0, 0.0], [0.0, 2.0, 5.0]]
    assert predict(mlp, rows) == [1, 2]
    assert accuracy(mlp, rows, [1, 1]) == 0.5
    assert accuracy(mlp, np.array(rows), np.array([1.0, 2.0])) == 1.0
    assert accuracy(mlp, rows, [[0, 1, 0], [0, 0, 1]]) == 1.0


def test_outputs_are_plain_numbers():
    mlp = model((3, 1))
    found = outputs(mlp, X)
    assert found == [mlp(x).data for x in X]
    assert {type(x) for x in found} == {float}


def test_outputs_build_no_graph():
    class Doubling(Module):
        def parameters(self):
            return []

        def __call__(self, x):
            results.append(Value(2.0) * x[0])
            return results[-1]

    results = []
    assert outputs(Doubling(), [[1.0], [3.0]]) == [2.0, 6.0]
    assert all(result.is_leaf for result in results)


def test_an_output_that_is_nan_is_no_class():
    mlp = constant(1.0)
    mlp.parameters()[0].data = float("nan")
    for ask in (lambda: predict(mlp, X), lambda: accuracy(mlp, X, Y)):
        with pytest.raises(FloatingPointError, match="output is nan"):
            ask()


@pytest.mark.parametrize(
    ("nouts", "y", "match"),
    [
        ((1,), [0, 2], "0 and 1, or -1 and 1 for a model with 1 output; got 0, 2"),
        ((1,), [-1, 0], "got -1, 0"),
        ((1,), [0.3, 0.7], "outputs"),
        ((3,), [0, 3], "0 to 2, or one-hot lists for a model with 3 outputs; got 0, 3"),
        ((3,), [[0, 1, 1], [1, 0, 0]], "one-hot"),
        ((3,), [[0, 1, 0, 0], [0, 0, 0, 1]], "one-hot"),
    ],
)
def test_accuracy_is_for_classes(nouts, y, match):
    with pytest.raises(ValueError, match=match):
        accuracy(model(nouts), X[:2], y)


# --- errors that teach ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"X": []}, ValueError, "X is empty"),
        ({"X": 3.0}, TypeError, "X must be a list of rows"),
        ({"X": [1.0, 2.0]}, TypeError, r"X\[0\] must be a row of numbers, got 1.0; write \[\[x\]"),
        ({"X": [[1.0, 2.0], [1.0]]}, ValueError, r"X\[0\] has 2 numbers, X\[1\] has 1"),
        ({"X": [[1.0, 2.0], [1.0, "a"]]}, TypeError, r"X\[1\]\[1\] must be a finite number"),
        ({"X": [[1.0, float("nan")]] * 2}, ValueError, r"X\[0\]\[1\] must be a finite number"),
        ({"validation": ([[1.0]], [0])}, ValueError, r"validation\[0\] must have rows of 2"),
        ({"validation": (X[:1], [5])}, ValueError, r"loss\(output, validation\[1\]\[0\]\)"),
        ({"X": X[:2, :1]}, ValueError, "X must have rows of 2 numbers"),
        ({"y": [1]}, ValueError, "got 2 samples and 1 targets"),
        ({"y": 1}, TypeError, "y must be a list of targets"),
        ({"y": ["cat", "dog"]}, TypeError, r"y\[0\] must be a number.*number the classes"),
        ({"y": [0, float("inf")]}, ValueError, r"y\[1\] must be a finite number"),
        ({"y": [None, 0]}, TypeError, r"y\[0\] must be a finite number"),
        ({"y": [[0], [None]]}, TypeError, r"y\[1\]\[0\]"),
        ({"y": [-1, 1]}, ValueError, "targets of bce"),
        ({"epochs": 0}, ValueError, "epochs must be 1 or more"),
        ({"epochs": 1.5}, TypeError, "epochs must be a whole number"),
        ({"batch_size": 0}, ValueError, "batch_size must be 1 or more"),
        ({"loss": "bce"}, TypeError, "loss must be a function, one of nn.bce"),
        ({"loss": lambda o, t: o.data}, TypeError, r"do not take \.data"),
        ({"validation": X}, TypeError, r"validation must be a pair \(X, y\)"),
        ({"validation": ([[1.0]], [])}, ValueError, r"validation\[0\] and validation\[1\]"),
        ({"validation": ([["a", 1.0]], [1])}, TypeError, r"validation\[0\]\[0\]\[0\]"),
    ],
)
def test_what_does_not_fit(change, error, match):
    mlp = model()
    before = mlp.state_dict()
    given = {"X": X[:2], "y": [0, 1], "loss": bce, "epochs": 1, "progress": False} | change
    with pytest.raises(error, match=match):
        fit(mlp, given.pop("X"), given.pop("y"), **given)
    assert mlp.state_dict() == before


def test_the_optimizer_must_be_one():
    mlp = MLP(1, [1], seed=0)
    with pytest.raises(TypeError, match=r"optimizer must be an Optimizer, got 3; write Adam\("):
        fit(mlp, [[1.0]], [1.0], loss=mse, epochs=1, optimizer=3, progress=False)


def test_the_optimizer_must_be_the_models():
    mlp, other = MLP(1, [1], seed=0), MLP(1, [1], seed=0)
    with pytest.raises(ValueError, match=r"optimizer holds no parameter of model.*Adam\("):
        fit(mlp, [[1.0]], [1.0], loss=mse, epochs=1, optimizer=Adam(other.parameters()))


# --- a last layer that cannot give what the loss asks for ----------------------------------------


@pytest.mark.parametrize(
    ("last", "loss", "y", "words"),
    [
        ("sigmoid", cross_entropy, Y, "sigmoid gives numbers from 0 to 1 only, but cross_entropy"),
        ("tanh", cross_entropy, Y, "tanh gives numbers from -1 to 1 only, but cross_entropy"),
        ("sigmoid", bce_with_logits, Y, "bce_with_logits takes logits, any numbers"),
        ("sigmoid", hinge, 2 * Y - 1, "hinge takes logits"),
        ("sigmoid", mse, [*Y[:-1], 1.5], r"there is a target 1\.5: .*=\['relu', 'linear'\]"),
        ("tanh", mse, [*Y[:-1], -1.5], r"there is a target -1\.5"),
    ],
)
def test_it_warns_where_no_weights_will_do(last, loss, y, words):
    nouts = [3, 2 if loss is cross_entropy else 1]
    with pytest.warns(UserWarning, match=words) as caught:
        fit(model(nouts, ["relu", last]), X, y, loss=loss, epochs=1, progress=False)
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("last", "loss", "y"),
    [("sigmoid", bce, Y), ("sigmoid", mse, Y), ("tanh", hinge, 2 * Y - 1), ("tanh", mse, -Y),
     ("linear", mse, 9.0 * Y), ("linear", bce_with_logits, Y)],
)  # fmt: skip
def test_it_does_not_warn_where_some_will(last, loss, y):
    quiet(model([3, 1], ["relu", last]), X, y, loss, epochs=1)
