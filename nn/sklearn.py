"""Estimators of scikit-learn: an `MLP` behind fit, predict and score.

They stand in pipelines and searches like scikit-learn's own ``MLPClassifier`` and
``MLPRegressor``, whose parameters' names, defaults and meanings they take over as far as they
have them. What they train is an `nn.MLP`, with `nn.fit`, and can be looked at afterwards.

>>> from sklearn.datasets import make_moons
>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> X, y = make_moons(100, noise=0.1, random_state=0)
>>> classifier = MLPClassifier(hidden_layer_sizes=8, learning_rate_init=0.05, random_state=0)
>>> pipeline = make_pipeline(StandardScaler(), classifier).fit(X, y)
>>> pipeline.score(X, y) > 0.9
True
>>> classifier.model_
MLP(2, [8, 1], activation=['relu', 'linear'])

Needs ``pip install "autograd-bp[sklearn]"``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nn.checks import count, finite, missing
from nn.classes import outputs
from nn.losses import bce_with_logits, cross_entropy, mse
from nn.modules import ACTIVATIONS, MLP
from nn.optim import Adam
from nn.training import fit

try:
    import numpy as np
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

    from autograd_bp import trace
except ImportError as error:
    raise missing(error, "nn.sklearn", "sklearn") from error

__all__ = ["MLPClassifier", "MLPRegressor"]

SYNONYMS = {"identity": "linear", "logistic": "sigmoid"}
"""Activations that scikit-learn names otherwise; both names are taken."""


class _MLPEstimator(BaseEstimator):
    """What the two share: parameters, training, and the outputs of the trained network."""

    def __init__(
        self,
        *,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.random_state = random_state
        self.verbose = verbose

    def _train(self, X: Any, targets: Any, nout: int, loss: Callable[[Any, Any], Any]) -> None:
        sizes: Any = self.hidden_layer_sizes
        several = [sizes] if hasattr(sizes, "__index__") else sizes
        if isinstance(several, str) or not hasattr(several, "__iter__"):
            raise TypeError(
                "hidden_layer_sizes must be a tuple of the hidden layers' sizes, or one number; "
                f"got {sizes!r}; write (16, 16) for two layers, () for none"
            )
        hidden = [count(n, "each of hidden_layer_sizes") for n in several]
        known = {name: name for name in ACTIVATIONS} | SYNONYMS
        if not isinstance(self.activation, str) or self.activation not in known:
            raise ValueError(
                f"activation must be one of {', '.join(known)}; got {self.activation!r}"
            )
        lr = finite(self.learning_rate_init, "learning_rate_init")
        if lr < 0.0:
            raise ValueError(f"learning_rate_init must be 0 or more, got {lr}")
        epochs = count(self.max_iter, "max_iter")
        batch_size = 200 if self.batch_size == "auto" else self.batch_size
        random = check_random_state(self.random_state)
        of_weights, of_order = (int(n) for n in random.randint(2**31 - 1, size=2))
        names = [known[self.activation]] * len(hidden) + ["linear"]
        model = MLP(X.shape[1], [*hidden, nout], names, seed=of_weights)
        self.history_ = fit(
            model, X, targets, loss=loss, epochs=epochs,
            optimizer=Adam(model.parameters(), lr=lr),
            batch_size=min(count(batch_size, "batch_size"), len(X)),
            seed=of_order, progress=bool(self.verbose),
        )  # fmt: skip
        self.model_ = model
        self.n_iter_ = epochs

    def _outputs(self, X: Any) -> Any:
        """The outputs for each row of X, an array (samples, outputs), computed by a program."""
        check_is_fitted(self, "model_")
        X = validate_data(self, X, reset=False, dtype=np.float64)
        parameters = self.model_.parameters()
        program = trace(lambda _, x: self.model_(x), parameters, X[0])
        found = program.map(np.array([p.data for p in parameters]), X)
        columns = np.column_stack(found if isinstance(found, (list, tuple)) else [found])
        if not np.isfinite(columns).all():
            outputs(self.model_, X)  # raises where a sample leaves the domain of an activation
            i = int(np.argmin(np.isfinite(columns).all(axis=1)))
            raise FloatingPointError(
                f"the network's output for X[{i}] is {columns[i].tolist()}: "
                "the sample, or the trained weights, are too large"
            )
        return columns


class MLPClassifier(ClassifierMixin, _MLPEstimator):
    """A multilayer perceptron that tells classes apart, trained on cross-entropy by Adam.

    With two classes the network has one output, a logit (`bce_with_logits`); with more, one for
    each class (`cross_entropy`). Scale the inputs, as with a ``StandardScaler``.

    Parameters, as far as there are any those of ``sklearn.neural_network.MLPClassifier``:

    - ``hidden_layer_sizes``: neurons of each hidden layer; a number for one layer, () for none.
    - ``activation``: that of the hidden layers, by a name of `nn` or by "identity", "logistic".
    - ``batch_size``: samples of one step; "auto" is 200, or all where they are fewer.
    - ``learning_rate_init``: the learning rate of Adam, which stays the same.
    - ``max_iter``: how often all samples are gone through. All are: there is no early stop.
    - ``random_state``: a number for the same weights and order of samples each time.
    - ``verbose``: show a progress bar.

    After ``fit``: ``classes_``, ``model_`` the `MLP`, ``history_`` the `History`, ``n_iter_``,
    ``n_features_in_`` and, for a DataFrame, ``feature_names_in_``.

    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"]
    >>> model = MLPClassifier(hidden_layer_sizes=(), learning_rate_init=0.5, random_state=0)
    >>> model.fit(X, y).predict([[-1.0], [4.0]]).tolist()
    ['low', 'high']
    """

    def fit(self, X: Any, y: Any) -> MLPClassifier:
        """Train anew on the samples ``X`` (samples, features) and their classes ``y``.

        Raises FloatingPointError if the loss becomes infinite, which a smaller learning rate
        or inputs of smaller size help.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, indices = np.unique(column_or_1d(y), return_inverse=True)
        n = len(self.classes_)
        if n < 2:
            raise ValueError(
                f"y has one class, {self.classes_.tolist()[0]!r}; a classifier needs two or more"
            )
        self._train(X, indices, *((1, bce_with_logits) if n == 2 else (n, cross_entropy)))
        return self

    def predict_proba(self, X: Any) -> Any:
        """The probabilities of the ``classes_``, in their order, for each row of ``X``."""
        logits = self._outputs(X)
        if logits.shape[1] == 1:
            logits = np.hstack([np.zeros_like(logits), logits])  # whose softmax is the sigmoid
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> Any:
        """The most probable class for each row of ``X``."""
        probabilities = self.predict_proba(X)  # or the error that there are no classes_ yet
        return self.classes_[probabilities.argmax(axis=1)]


class MLPRegressor(RegressorMixin, _MLPEstimator):
    """A multilayer perceptron for one number or several, trained on the squared error by Adam.

    Scale the inputs, and targets that are far from 1. The parameters are those of
    `MLPClassifier`, as are the attributes after ``fit``, but for ``classes_``.

    >>> import numpy as np
    >>> X = np.linspace(-1.0, 1.0, 50)[:, None]
    >>> y = np.sin(3.0 * X[:, 0])
    >>> model = MLPRegressor(hidden_layer_sizes=8, activation="tanh", learning_rate_init=0.05)
    >>> model.set_params(batch_size=10, random_state=0).fit(X, y).score(X, y) > 0.9
    True
    """

    def fit(self, X: Any, y: Any) -> MLPRegressor:
        """Train anew on the samples ``X`` (samples, features) and their targets ``y``.

        ``y`` has the shape (samples,) or (samples, outputs). Raises FloatingPointError if the
        loss becomes infinite, which a smaller learning rate or smaller numbers help.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._train(X, y.astype(np.float64), 1 if y.ndim == 1 else y.shape[1], mse)
        return self

    def predict(self, X: Any) -> Any:
        """The outputs for each row of ``X``: (samples,), or (samples, outputs) if several."""
        found = self._outputs(X)
        return found[:, 0] if found.shape[1] == 1 else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
