"""From a function of numbers to a `Program`: by calling it once on Values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from autograd_bp.context import current, inside, is_inside, is_tracing, tracing
from autograd_bp.program.layout import Layout
from autograd_bp.program.program import Program
from autograd_bp.program.record import record
from autograd_bp.program.simplify import collect_sums
from autograd_bp.transforms import others_vary
from autograd_bp.trees import flatten
from autograd_bp.value import Value, traced_input

__all__ = ["argument_names", "name_of", "parameters", "trace", "traced"]


def trace(f: Callable[..., Any], *examples: Any, optimize: bool = True) -> Program:
    """The `Program` of f for arguments of the structure of these examples.

    Examples are numbers, NumPy arrays, and lists, tuples and dicts of them; f is called once,
    on fresh Values in their place. A Value in an example is itself the program's input. So the
    parameters of a model, which hide in a closure, become an argument:
    ``trace(lambda params, x: model(x), model.parameters(), x)``. Any other Value that f takes
    from outside is a constant, unless an enclosing transformation or trace made it.

    With ``optimize``, instructions are simplified; all of it is exact but for the order of
    sums (see `autograd_bp.program.simplify`). Without, they are as they were recorded.

    Raises TypeError for a branch on a traced value, and for operations that are no row of the
    table.

    >>> from autograd_bp import where
    >>> program = trace(lambda x: where(x > 0, x, 0.1 * x), 1.0)
    >>> program.value(-2.0)
    -0.2
    >>> trace(lambda x: x if x > 0 else 0.1 * x, 1.0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    TypeError: a branch (if, while, and, or, in, min, max) on a traced value: ...
    """
    captures = is_inside() or is_tracing() or others_vary()
    return traced(f, examples, argument_names(f, len(examples)), optimize, captures)


def traced(
    f: Callable[..., Any],
    examples: Sequence[Any],
    names: Sequence[str],
    optimize: bool,
    captures: bool,
) -> Program:
    """What `trace` gives; where it ``captures``, no Value from outside is a constant."""
    arguments = [Layout(x, name) for x, name in zip(examples, names, strict=True)]
    inputs: list[Value] = []
    given = []
    with tracing():
        for layout, example in zip(arguments, examples, strict=True):
            nodes = [x if isinstance(x, Value) else traced_input(x) for x in layout.example]
            inputs += nodes
            given.append(flatten(example, layout.name).build(nodes))
            layout.example = []
        if len({id(x) for x in inputs}) < len(inputs):
            raise ValueError("the same Value stands twice among the examples; give it once")
        with inside(True):
            returned = f(*given)
        result = Layout(returned, "result")
        within = current().trace if captures else None
        instructions, captured = record(inputs, result.example, within)
        result.example = []
    if optimize:
        instructions = collect_sums(instructions)
    return Program(instructions, arguments, result, optimize, captured, name_of(f))


def name_of(f: Any) -> str:
    """What a function is called; a lambda is a program."""
    name: str = getattr(f, "__name__", "program")
    return "program" if name == "<lambda>" else name


def argument_names(f: Callable[..., Any], n: int) -> list[str]:
    """What f calls its positional arguments."""
    names = parameters(f)[:n]
    return names + [f"args[{i}]" for i in range(len(names), n)]


def parameters(f: Callable[..., Any]) -> list[str]:
    """The parameters that can be given by position."""
    try:
        found = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):  # a builtin without a signature
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in found if p.kind in positional]
