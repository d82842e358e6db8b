"""Estimators of scikit-learn, held against scikit-learn's own checks and its own networks."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_moons
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from nn import MLP, History, outputs
from nn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.one_engine

SMALL = {"hidden_layer_sizes": (8,), "learning_rate_init": 0.02, "max_iter": 60}
MOONS = make_moons(120, noise=0.1, random_state=0)
IRIS = load_iris(return_X_y=True)


def small(kind=MLPClassifier, **options):
    return kind(**{**SMALL, "random_state": 0, **options})


@parametrize_with_checks([MLPClassifier(**SMALL), MLPRegressor(**SMALL)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


# --- what is learnt -------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "gelu"])
def test_two_classes(activation):
    X, y = MOONS
    names = np.array(["one", "other"])[y]
    model = small(activation=activation, batch_size=16, learning_rate_init=0.1).fit(X, names)
    assert model.score(X, names) > 0.95
    assert model.classes_.tolist() == ["one", "other"]
    assert repr(model.model_) == (
        f"MLP(2, [8, 1], activation=['{activation.replace('logistic', 'sigmoid')}', 'linear'])"
    )
    proba = model.predict_proba(X)
    logits = np.array(outputs(model.model_, X))
    np.testing.assert_allclose(proba[:, 1], 1 / (1 + np.exp(-logits)), rtol=1e-12)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-15)


def test_three_classes():
    X, y = IRIS
    pipeline = make_pipeline(StandardScaler(), small(batch_size=30)).fit(X, y)
    model = pipeline[-1]
    assert pipeline.score(X, y) > 0.95
    logits = np.array(outputs(model.model_, pipeline[0].transform(X)))
    powers = np.exp(logits)
    np.testing.assert_allclose(
        pipeline.predict_proba(X), powers / powers.sum(axis=1, keepdims=True), rtol=1e-12
    )


def test_the_loss_is_that_of_scikit_learn():
    """With a learning rate of 0 the history has the loss of the network as it is."""
    for X, y in (MOONS, IRIS):
        model = small(learning_rate_init=0.0, max_iter=1).fit(X, y)
        expected = log_loss(y, model.predict_proba(X))
        assert model.history_.loss == pytest.approx([expected], rel=1e-12)


def test_as_good_as_scikit_learns_own():
    X, y = StandardScaler().fit_transform(IRIS[0]), IRIS[1]
    options = {"hidden_layer_sizes": (10,), "learning_rate_init": 0.02, "max_iter": 50}
    ours = cross_val_score(MLPClassifier(random_state=0, **options), X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they have not converged, which is the same for both
        theirs = cross_val_score(TheirClassifier(random_state=0, alpha=0.0, **options), X, y)
    assert ours.mean() > theirs.mean() - 0.03


def test_one_number():
    X, y = load_diabetes(return_X_y=True)
    X, y = X / X.std(axis=0), (y - y.mean()) / y.std()
    model = small(MLPRegressor, activation="identity", batch_size=50).fit(X, y)
    best = 1 - ((y - X @ np.linalg.lstsq(X, y, rcond=None)[0]) ** 2).mean()  # R² of least squares
    assert best - 0.02 < model.score(X, y) < best + 1e-3
    assert model.predict(X[:3]).shape == (3,)
    np.testing.assert_allclose(model.predict(X), outputs(model.model_, X), rtol=1e-9, atol=1e-12)


def test_several_numbers():
    X = np.random.default_rng(0).normal(size=(80, 3))
    Y = X @ np.array([[1.0, 0.5], [0.0, -1.0], [2.0, 0.0]]) + 1.0
    model = small(MLPRegressor, hidden_layer_sizes=(), batch_size=10).fit(X, Y)
    assert model.score(X, Y) > 0.999
    assert model.predict(X[:1]).shape == (1, 2)
    assert model.fit(X, Y[:, 0]).predict(X[:1]).shape == (1,)


# --- habits ---------------------------------------------------------------------------------------


def test_search_over_a_pipeline():
    X, y = MOONS
    pipeline = make_pipeline(StandardScaler(), small(max_iter=25, batch_size=16))
    grid = {
        "mlpclassifier__hidden_layer_sizes": [(), (8,)],
        "mlpclassifier__activation": ["tanh", "relu"],
    }
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_["mlpclassifier__hidden_layer_sizes"] == (8,)
    assert search.best_score_ > 0.85


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_the_same_seed_gives_the_same_bits(kind):
    X, y = MOONS
    first = small(kind, max_iter=5).fit(X, y)
    again = clone(first).fit(X, y)
    other = small(kind, max_iter=5, random_state=1).fit(X, y)
    assert again.model_.state_dict() == first.model_.state_dict()
    assert other.model_.state_dict() != first.model_.state_dict()
    unpickled = pickle.loads(pickle.dumps(first))
    assert np.array_equal(unpickled.predict(X), first.predict(X))
    assert unpickled.model_.state_dict() == first.model_.state_dict()


def test_what_fit_leaves():
    X, y = MOONS
    model = small(max_iter=7, hidden_layer_sizes=4).fit(X, y)
    assert isinstance(model.model_, MLP)
    assert isinstance(model.history_, History)
    assert model.n_iter_ == len(model.history_.loss) == 7
    assert model.n_features_in_ == 2


def test_batches():
    """ "auto" is 200 samples, or all; a batch is never larger than there are samples."""
    X, y = MOONS
    bits = [
        small(max_iter=2, batch_size=size).fit(X, y).model_.state_dict()
        for size in ("auto", 200, 120, 119)
    ]
    assert bits[0] == bits[1] == bits[2] != bits[3]


def test_data_frames_keep_their_names():
    pandas = pytest.importorskip("pandas")
    X, y = MOONS
    frame = pandas.DataFrame(X, columns=["left", "right"])
    model = small(max_iter=2).fit(frame, y)
    assert model.feature_names_in_.tolist() == ["left", "right"]
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["right", "left"]])


@pytest.mark.parametrize("verbose", [False, True])
def test_progress_is_shown_only_on_request(verbose, capsys):
    small(max_iter=1, verbose=verbose).fit(*MOONS)
    assert ("epoch 1/1" in capsys.readouterr().err) is verbose


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"activation": "rleu"}, ValueError, "activation must be one of.*relu.*logistic.*'rleu'"),
        ({"activation": ["relu"]}, ValueError, r"activation must be one of.*\['relu'\]"),
        ({"hidden_layer_sizes": (8, 0)}, ValueError, r"hidden_layer_sizes must be 1 or more"),
        ({"hidden_layer_sizes": (8.5,)}, TypeError, "hidden_layer_sizes must be a whole number"),
        ({"hidden_layer_sizes": None}, TypeError, "hidden_layer_sizes must be.*got None"),
        ({"max_iter": 0}, ValueError, "max_iter must be 1 or more, got 0"),
        ({"batch_size": -1}, ValueError, "batch_size must be 1 or more, got -1"),
        ({"batch_size": "all"}, TypeError, "batch_size must be a whole number, got 'all'"),
        ({"learning_rate_init": -1.0}, ValueError, "learning_rate_init must be 0 or more, got -1"),
        ({"learning_rate_init": "fast"}, TypeError, "learning_rate_init must be .*'fast'"),
        ({"random_state": "s"}, ValueError, "'s' cannot be used to seed"),
    ],
)
def test_parameters_out_of_range(options, error, message):
    model = small(**options)
    with pytest.raises(error, match=message):
        model.fit(*MOONS)
    with pytest.raises(NotFittedError):
        model.predict(MOONS[0])


def test_one_class_is_none():
    with pytest.raises(ValueError, match="one class, 'a'; a classifier needs two or more"):
        small().fit([[0.0], [1.0]], ["a", "a"])


def test_outputs_that_are_not_finite():
    model = small(max_iter=1).fit(*MOONS)
    with pytest.raises(FloatingPointError, match=r"output for X\[1\]"):
        model.predict([[0.0, 0.0], [1e308, -1e308]])


def test_samples_outside_of_an_activations_domain():
    X = np.array([[0.5], [0.6], [0.7], [0.8]])
    model = small(MLPRegressor, hidden_layer_sizes=(), max_iter=1).fit(X, X[:, 0])
    model.model_ = MLP(1, [1], activation="log")
    model.model_.load_state_dict({"w[1][0][0]": 1.0, "b[1][0]": 0.0})
    np.testing.assert_allclose(model.predict(X), np.log(X[:, 0]), rtol=1e-15)
    with pytest.raises(ValueError, match="log"):
        model.predict([[0.5], [-1.0]])


@pytest.mark.parametrize("missing", ["sklearn", "numpy"])
def test_without_the_package(missing):
    code = f"import sys; sys.modules[{missing!r}] = None\nimport nn.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: nn.sklearn needs a package that cannot be imported")
    assert last.endswith('run pip install "autograd-bp[sklearn]"')


def test_the_module_does_not_stand_in_for_scikit_learn():
    code = "import sklearn, nn.sklearn; print(sklearn.__name__, nn.sklearn.__name__)\n"
    code += "from nn import *; import sklearn.base; print(sklearn.base.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["sklearn", "nn.sklearn", "sklearn.base"], done.stderr
