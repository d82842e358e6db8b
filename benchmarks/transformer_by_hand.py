"""The transformer of examples/names_transformer.py in NumPy, its backward pass worked out by hand.

Rows of a matrix are tokens. A name that ends in ``_`` is the gradient of the cost by what stands
before: ``X_`` is ∂C/∂X. Of Y = X·Wᵀ the gradients are X_ = Y_·W and W_ = Y_ᵀ·X.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["value_and_gradients"]

HEADS = 4


def _rmsnorm(X: Any) -> tuple[Any, Any]:
    scale = 1.0 / np.sqrt((X * X).mean(axis=1, keepdims=True) + 1e-5)
    return X * scale, scale


def _rmsnorm_backward(Y_: Any, Y: Any, scale: Any) -> Any:
    return scale * (Y_ - Y * (Y_ * Y).mean(axis=1, keepdims=True))


def _softmax(Z: Any) -> Any:
    E = np.exp(Z - Z.max(axis=-1, keepdims=True))
    return E / E.sum(axis=-1, keepdims=True)


def _heads(X: Any) -> Any:
    """(tokens, width) as (heads, tokens, width of a head)."""
    return X.reshape(len(X), HEADS, -1).transpose(1, 0, 2)


def _joined(X: Any) -> Any:
    return X.transpose(1, 0, 2).reshape(X.shape[1], -1)


def value_and_gradients(w: dict[str, Any], tokens: Any) -> tuple[float, dict[str, Any]]:
    """The mean of −ln p(next token), and its gradients in the shape of the weights."""
    now, following = tokens[:-1], tokens[1:]
    n = len(now)
    rows = np.arange(n)

    X1 = w["token"][now] + w["position"][:n]
    S1, scale1 = _rmsnorm(X1)
    Q, K, V = (_heads(S1 @ w[name].T) for name in ("query", "key", "value"))
    root = K.shape[2] ** 0.5
    fit = Q @ K.transpose(0, 2, 1) / root
    fit[:, np.triu(np.ones((n, n), bool), 1)] = -np.inf  # a token sees those before it
    share = _softmax(fit)
    mixed = _joined(share @ V)
    X2 = X1 + mixed @ w["attention"].T
    S2, scale2 = _rmsnorm(X2)
    hidden = np.maximum(S2 @ w["hidden"].T, 0.0)
    X3 = X2 + hidden @ w["mlp"].T
    S3, scale3 = _rmsnorm(X3)
    p = _softmax(S3 @ w["logits"].T)
    cost = float(-np.log(p[rows, following]).mean())

    g: dict[str, Any] = {}
    Z_ = p
    Z_[rows, following] -= 1.0
    Z_ /= n
    g["logits"] = Z_.T @ S3
    X3_ = _rmsnorm_backward(Z_ @ w["logits"], S3, scale3)
    g["mlp"] = X3_.T @ hidden
    hidden_ = (X3_ @ w["mlp"]) * (hidden > 0.0)
    g["hidden"] = hidden_.T @ S2
    X2_ = X3_ + _rmsnorm_backward(hidden_ @ w["hidden"], S2, scale2)
    g["attention"] = X2_.T @ mixed
    mixed_ = _heads(X2_ @ w["attention"])
    share_ = mixed_ @ V.transpose(0, 2, 1)
    fit_ = share * (share_ - (share_ * share).sum(axis=2, keepdims=True)) / root
    Q_, K_ = _joined(fit_ @ K), _joined(fit_.transpose(0, 2, 1) @ Q)
    V_ = _joined(share.transpose(0, 2, 1) @ mixed_)
    S1_ = Q_ @ w["query"] + K_ @ w["key"] + V_ @ w["value"]
    g["query"], g["key"], g["value"] = Q_.T @ S1, K_.T @ S1, V_.T @ S1
    X1_ = X2_ + _rmsnorm_backward(S1_, S1, scale1)
    g["token"] = np.zeros_like(w["token"])
    np.add.at(g["token"], now, X1_)
    g["position"] = np.zeros_like(w["position"])
    g["position"][:n] = X1_
    return cost, g
