"""Is a scalar transformer, traced, as fast as one written in matrices?

The script is `examples/names_transformer.py` as it stands; its peers are the same script over a
textbook's Value, and the model in NumPy with its backward pass by hand.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

from autograd_bp.program import trace
from benchmarks import transformer_by_hand
from benchmarks.engines import load, textbook
from benchmarks.race import Peer, check, race

__all__ = ["transformer"]

NAME = "christophermari"  # 15 letters: with its end 16 tokens to predict


def transformer() -> list[str]:
    """One name of 16 tokens: value and gradients by all 4,192 weights."""
    model = load(Path(__file__).parents[1] / "examples" / "names_transformer.py")
    weights = {
        name: np.array(rows) for name, rows in model.new_parameters(random.Random(0), float).items()
    }
    p = np.concatenate([w.ravel() for w in weights.values()])

    def cost(p: Any) -> Any:
        found, start = {}, 0
        for name, w in weights.items():
            rows = np.asarray(p[start : start + w.size]).reshape(w.shape)
            found[name] = [list(row) for row in rows]
            start += w.size
        return model.cross_entropy(found, NAME)

    program = trace(cost, p)
    value, gradient = program.value_and_grad(p)
    tokens = np.array([model.EDGE, *map(model.LETTERS.index, NAME), model.EDGE])
    found, gradients = transformer_by_hand.value_and_gradients(weights, tokens)
    check("NumPy", found, value)
    check("NumPy", np.concatenate([gradients[name].ravel() for name in weights]), gradient)

    theirs = model.new_parameters(random.Random(0), textbook.Value)

    def by_textbook() -> Any:
        loss = model.cross_entropy(theirs, NAME)
        loss.backward()
        return loss.data

    check("textbook", by_textbook(), value)
    check("textbook", [w.grad for w in model.parameters_of(theirs)], gradient)
    return race(
        "A scalar transformer, 16 tokens: value and gradient",
        lambda: program.value_and_grad(p),
        [
            Peer("textbook Value", by_textbook, 0.001),
            Peer(
                "NumPy by hand",
                lambda: transformer_by_hand.value_and_gradients(weights, tokens),
                1.0,
            ),
        ],
        f"{len(program)} instructions in the traced program, "
        f"{len(program.with_gradient(0))} with their derivatives.",
    )
