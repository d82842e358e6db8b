"""Whether a cell is right, raises and names the way out, or neither."""

import contextvars
import math
import multiprocessing
import re
import traceback
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

import autograd_bp
from autograd_bp import Value

from .cases import CONTEXTS, IN_TRIPLES, Cell, here, pairs, tower, triples
from .functions import flat, value_of
from .verbs import VERBS

OURS = Path(autograd_bp.__file__).parent.as_posix()
CLOSE = 1e-9
RIGHT, ERROR, RAW, SILENT = "✓", "!", "?", "✗"
ORDER = [RIGHT, ERROR, RAW, SILENT]
"""From good to bad. RAW is an error that is not ours, or that names no way out."""

WAY_OUT = re.compile(
    r"\b(use|write|give|pass|call|take|make|trace|return|must|wrap|move|see|compute|keep|read|"
    r"leave|detach|open|run|iterate)s?\b",
    re.IGNORECASE,
)


class Verdict(NamedTuple):
    """``what`` was wrong, or the error's message."""

    mark: str
    what: str = ""


def judge(cell: Cell) -> list[Verdict]:
    """Of each call: in the context at one point, at another, and at the first again without."""
    return contextvars.copy_context().run(_judge, cell)


def _judge(cell):
    context = CONTEXTS[cell.context]
    made, bottom, point = tower(cell.verbs, cell.function, cell.mode, context)
    n = len(made.by)
    a, b = cell.function.a, cell.function.b
    calls = [(context.around, context.off, a), (context.around, context.off, b)]
    if cell.context.startswith("within"):
        calls.append((here, False, a))
    verdicts = []
    for around, off, at in calls:
        x = at[:n]
        true = [value_of(p, bottom, point(x)) for p in (made.off if off else made.on)]
        try:
            got = around(lambda x=x: made.call(*made.arguments(x)))
        except Exception as error:
            found = isinstance(error, AssertionError) and _is_stated_otherwise(cell, off)
            verdicts.append(Verdict(RIGHT) if found else _of_error(error))
        else:
            verdicts.append(_of_result(got, true, VERBS[cell.verbs[0]].plain))
    return verdicts


def _is_stated_otherwise(cell, off):
    """Whether a derivative is not that of the values, as is said of `no_grad` and of copies: then
    `check_grads` finds a difference, and is right."""
    sees_nothing = VERBS[cell.verbs[-1]].sees == "none" and cell.mode != "applied"
    return off or CONTEXTS[cell.context].inside_off or sees_nothing


def _of_result(got, true, plain):
    numbers = flat(got)
    if plain and any(isinstance(x, Value) for x in numbers):
        return Verdict(SILENT, f"a Value where a number should be: {got!r:.60}")
    numbers = [x.data if isinstance(x, Value) else x for x in numbers]
    if len(numbers) == len(true) and all(map(_is_close, numbers, true)):
        return Verdict(RIGHT)
    return Verdict(SILENT, f"{_shown(numbers)}, in truth {_shown(true)}")


def _is_close(x, y):
    return math.isfinite(x) and abs(x - y) <= CLOSE * abs(y) + 1e-12


def _shown(numbers):
    shown = ", ".join(f"{x:.6g}" if isinstance(x, float) else f"{x!r:.30}" for x in numbers[:4])
    return f"[{shown}{', …' if len(numbers) > 4 else ''}]" if len(numbers) != 1 else shown


def _of_error(error):
    own = traceback.extract_tb(error.__traceback__)[-1].filename
    text = f"{type(error).__name__}: {error}"
    kinds = (TypeError, ValueError, RuntimeError, AttributeError)
    is_ours = own.startswith((OURS, "autograd_bp/")) and isinstance(error, kinds)
    # JAX's grad looks at its arguments before it calls what `to_jax` made, and says what it got.
    is_jaxs = "is not a valid JAX type" in text
    told = is_jaxs or (is_ours and WAY_OUT.search(str(error)))
    return Verdict(ERROR if told else RAW, text)


def worst(verdicts):
    return max(verdicts, key=lambda verdict: ORDER.index(verdict.mark))


def judged(cells):
    return [(cell, worst(judge(cell))) for cell in cells]


def judged_pairs(outer):
    return judged(pairs(outer))


def judged_triples(outer):
    return judged(triples(outer))


@cache
def everything():
    """All cells with their verdicts, pairs and then triples. It takes minutes on every core."""
    # JAX has threads, which a fork would lose.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [*pool.map(judged_pairs, VERBS), *pool.map(judged_triples, IN_TRIPLES)]
    return [one for job in jobs for one in job]
