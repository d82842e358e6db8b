"""Logistic regression on breast-cancer data, with standard errors: `value_and_grad`, `hessian`.

The loss is the negative log-likelihood, written tumour by tumour: one `dot` and one `softplus`.
Newton's method minimises it with the exact gradient and Hessian, and the inverse of the Hessian
is the covariance matrix of the estimates, so the square roots of its diagonal are their standard
errors. The truth: scikit-learn's coefficients, found by a method of its own, and at these the
gradient Xᵀ(p − y) and the Hessian XᵀWX, W = diag(p(1 − p)), in NumPy.

With all 30 columns a plane separates the classes, and the likelihood has no maximum; these four
do not separate them.

Source: T. Hastie, R. Tibshirani and J. Friedman, The Elements of Statistical Learning, 2nd edition
(2009), section 4.4.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from autograd_bp import dot, hessian, softplus, sum_of, value_and_grad

COLUMNS = ("mean radius", "mean texture", "mean smoothness", "mean concavity")


def load(rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The standardised columns after a column of ones, and 1 for each malignant tumour."""
    data = load_breast_cancer()
    chosen = [list(data.feature_names).index(name) for name in COLUMNS]
    X = StandardScaler().fit_transform(data.data[:rows, chosen])
    return np.column_stack([np.ones(len(X)), X]), (data.target[:rows] == 0).astype(float)


def loss(w: Any, X: list[list[float]], y: list[float]) -> Any:
    """−log p(y | X, w) = Σ log(1 + exp(∓w·x)), minus for the malignant tumours."""
    w = tuple(w)
    signs = [1.0 - 2.0 * label for label in y]
    return sum_of([softplus(sign * dot(w, x)) for sign, x in zip(signs, X, strict=True)])


class Fit(NamedTuple):
    """What each way of fitting gives; shapes (n,), (n,), (n, n)."""

    coefficients: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray

    @property
    def standard_errors(self) -> np.ndarray:
        """Of the coefficients: shape (n,)."""
        errors: np.ndarray = np.sqrt(np.diag(np.linalg.inv(self.hessian)))
        return errors


def newton(X: np.ndarray, y: np.ndarray) -> Fit:
    """Fit by Newton's method with autograd-bp's derivatives."""
    rows, labels = X.tolist(), y.tolist()
    w = np.zeros(X.shape[1])
    print(f"{'iteration':>9} {'loss':>20} {'|gradient|':>12}")
    for iteration in range(20):
        value, g = value_and_grad(loss)(w, rows, labels)
        H = hessian(loss)(w, rows, labels)
        print(f"{iteration:9} {value:20.12f} {np.linalg.norm(g):12.1e}")
        if np.linalg.norm(g) < 1e-10 * len(X):
            return Fit(w, g, H)
        w = w - np.linalg.solve(H, g)
    raise ValueError("Newton's method did not converge; do the columns separate the classes?")


def closed_forms(w: np.ndarray, X: np.ndarray, y: np.ndarray) -> Fit:
    """Gradient and Hessian in NumPy."""
    p = 1.0 / (1.0 + np.exp(-X @ w))
    return Fit(w, X.T @ (p - y), X.T @ (X * (p * (1.0 - p))[:, None]))


def scikit_learn(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The coefficients by scikit-learn, without a penalty: shape (n,)."""
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000, fit_intercept=False)
    return np.asarray(model.fit(X, y).coef_[0])


def main(rows: int | None = None) -> tuple[Fit, Fit]:
    """Fit both ways; print each coefficient and standard error beside its truth; return both."""
    X, y = load(rows)
    ours = newton(X, y)
    truth = closed_forms(scikit_learn(X, y), X, y)
    print(f"\n{'':16} {'coefficient':>24} {'standard error':>24}   Wald")
    print(f"{'':16} {'Newton':>12}{'scikit-learn':>13} {'Hessian':>12}{'(XᵀWX)⁻¹':>13}      z")
    pairs = zip(
        ("intercept", *COLUMNS),
        ours.coefficients,
        truth.coefficients,
        ours.standard_errors,
        truth.standard_errors,
        strict=True,
    )
    for name, a, b, error, true_error in pairs:
        print(f"{name:16} {a:12.7f} {b:12.7f} {error:12.7f} {true_error:12.7f} {a / error:6.2f}")
    apart = abs(ours.hessian - closed_forms(ours.coefficients, X, y).hessian).max()
    print(f"\nat Newton's coefficients, the Hessian and XᵀWX differ by {apart:.1e} at most")
    return ours, truth


if __name__ == "__main__":
    main()
