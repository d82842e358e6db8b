"""The command line: ``autograd-bp diff "tanh(2*x + y)**2" x=0.5 y=-1``.

Formulas are parsed by `autograd_bp.formula`, never evaluated. With ``--json`` a command prints
one JSON object instead of text. Whatever is wrong with the input is said on standard error in
one paragraph, and the exit code is 2.
"""

from __future__ import annotations

import argparse
import errno
import json
import math
import os
import sys
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from autograd_bp import Value, __version__
from autograd_bp.check import Estimate, differences, trusted
from autograd_bp.files import write_whole
from autograd_bp.formula import Formula
from autograd_bp.text import printable

__all__ = ["Command", "main", "parser"]


Command: TypeAlias = Callable[[str, Any, str], argparse.ArgumentParser]
"""Adds a command by its name, what runs it, and a text that says what it does; returns its parser.

What runs it takes the options and returns an object for JSON and a text."""


def main(arguments: Sequence[str] | None = None, *more: Callable[[Command], None]) -> int:
    """Run one command; returns the exit code. Each of ``more`` adds commands to those here."""
    commands = parser(*more)
    try:
        options, unknown = commands.parse_known_args(arguments)
        if unknown:
            hint = "; a formula that begins with - is written in brackets, or after --"
            signed = "formula" in options and not unknown[0].startswith("--")
            commands.error(f"unrecognized arguments: {' '.join(unknown)}{hint if signed else ''}")
    except SystemExit as end:
        raise SystemExit(end.code or _printed("autograd-bp")) from None
    name = f"autograd-bp {options.command}"
    try:
        found, text = options.run(options)
        if options.json:
            text = json.dumps(_finite(found), indent=2)
        return _printed(name, text + "\n")
    except (ValueError, TypeError, ArithmeticError, OSError, ImportError) as error:
        _complain(f"{name}: {printable(str(error))}")
        return 2
    except KeyboardInterrupt:
        _complain(f"{name}: interrupted")
        return 130


def _printed(name: str, text: str = "") -> int:
    """Print text, and what argparse has printed; the exit code says whether that was possible."""
    out = sys.stdout
    try:
        if out is None:  # it was closed before Python began
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        encoding = out.encoding or "utf-8"  # of a terminal that may not have ∂
        out.write(text.encode(encoding, "backslashreplace").decode(encoding))
        out.flush()
    except BrokenPipeError:  # whoever read it, such as ``head``, has had enough
        _abandon(out)
        return 141  # as shells say of what that has ended, 128 + SIGPIPE
    except (OSError, ValueError) as error:
        _abandon(out)
        _complain(f"{name}: standard output cannot be written: {error}")
        return 2
    return 0


def _complain(text: str) -> None:
    """One paragraph on standard error, if there is one."""
    err = sys.stderr
    try:
        if err is not None:
            err.write(f"{text}\n")
            err.flush()
    except (OSError, ValueError):
        _abandon(err)


def _abandon(stream: Any) -> None:
    """Let what a stream still holds go nowhere, or Python tries again when it ends."""
    with suppress(AttributeError, OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with arguments without letting them command the terminal."""

    def error(self, message: str) -> NoReturn:
        usage = self.format_usage().rstrip()
        _complain(f"{usage}\n{self.prog}: error: {printable(message)}")
        raise SystemExit(2)

    def _print_message(self, message: str, file: Any = None) -> NoReturn:
        raise SystemExit(_printed(self.prog, message))  # of --help and --version, which end then


def parser(*more: Callable[[Command], None]) -> argparse.ArgumentParser:
    """The commands and their options."""
    whole = _Parser(
        prog="autograd-bp", description="Derivatives, graphs and small networks, on scalars."
    )
    whole.add_argument("--version", action="version", version=f"autograd-bp {__version__}")
    try:
        import shtab
    except ImportError:
        whole.add_argument("--print-completion", action=_NoCompletion, help="needs shtab")
    else:
        shtab.add_argument_to(whole, ["--print-completion"])
    commands = whole.add_subparsers(dest="command", required=True, metavar="command")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument("--json", action="store_true", help="print one JSON object")
        added.set_defaults(run=run)
        return added

    def of_formula(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        added = command(name, run, text)
        added.add_argument(
            "formula", help='such as "tanh(2*x + y)**2"; one that begins with - goes in brackets'
        )
        added.add_argument("numbers", nargs="*", metavar="NAME=NUMBER", help="where to compute it")
        return added

    diff = of_formula("diff", _diff, "the value and the gradient, beside finite differences")
    diff.add_argument("--hessian", action="store_true", help="the second derivatives too")
    draw = of_formula("draw", _draw, "the computation graph as a picture")
    draw.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("graph.svg"),
        help="svg, png or pdf (default %(default)s)",
    )
    steps = of_formula("steps", _steps, "the forward and backward pass as a page to step through")
    steps.add_argument(
        "-o", "--out", type=Path, default=Path("steps.html"), help="(default %(default)s)"
    )
    explain = of_formula("explain", _explain, "where the gradient of one name comes from")
    explain.add_argument("--of", metavar="NAME", help="(default: the first name in the formula)")
    explain.add_argument("--latex", action="store_true", help="as LaTeX")
    for add in more:
        add(command)
    return whole


class _NoCompletion(argparse.Action):
    """Says what ``--print-completion`` needs, where it is missing."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        parser.error('completion needs the package shtab; run pip install "autograd-bp[cli]"')


# --- formulas -------------------------------------------------------------------------------------


def _given(options: argparse.Namespace) -> tuple[Formula, dict[str, float]]:
    """The formula, and the numbers that it is to be computed at, in the order of its names."""
    formula = Formula(options.formula)
    numbers: dict[str, float] = {}
    for text in options.numbers:
        name, _, number = text.partition("=")
        name = unicodedata.normalize("NFKC", name.strip())  # as Python reads names in a formula
        if name in numbers:
            raise ValueError(f"{name} is given twice; a name has one number")
        try:
            numbers[name] = float(number)
        except ValueError:
            raise ValueError(f"{text!r} must be a name and its number, such as x=0.5") from None
    unknown = [name for name in numbers if name not in formula.names]
    if unknown:
        raise ValueError(
            f"{formula.text!r} has no {', '.join(unknown)}; its names are "
            f"{', '.join(formula.names) or 'none'}"
        )
    formula({**numbers})  # what is missing, or outside a domain, is said before anything else
    return formula, {name: numbers[name] for name in formula.names if name in numbers}


def _graph(options: argparse.Namespace) -> tuple[Value, dict[str, Value]]:
    """The formula's graph after a backward pass, and its leaves."""
    formula, numbers = _given(options)
    leaves = {name: Value(x, name) for name, x in numbers.items()}
    result = formula(leaves)
    if not isinstance(result, Value):
        raise ValueError(f"{formula.text!r} depends on no name, so there is no graph")
    if result.is_leaf:
        result = result * 1.0
    result.backward()
    return result, leaves


def _diff(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from autograd_bp.transforms import hessian, value_and_grad

    formula, numbers = _given(options)
    names, point = list(numbers), list(numbers.values())

    def f(x: Sequence[Any]) -> Any:
        return formula(dict(zip(names, x, strict=True)))

    value, gradient = value_and_grad(f)(point) if names else (f([]), [])
    estimates = [_difference(f, point, i) for i in range(len(point))]
    found: dict[str, Any] = {
        "formula": formula.text,
        "value": value,
        "gradient": dict(zip(names, gradient, strict=True)),
        "finite differences": {n: e.number for n, e in zip(names, estimates, strict=True)},
    }
    lines = [f"{printable(formula.text)} = {value!r}"]
    width = max((len(name) for name in names), default=0)
    for name, g, e in zip(names, gradient, estimates, strict=True):
        line = f"∂/∂{name:<{width}} = {g!r:<24} finite difference {e.number:.10g}"
        if not _agree(g, e):
            line += (
                " (none: on either side the formula is infinite, or cannot be computed)"
                if math.isnan(e.number)
                else " (they differ: a kink, an edge, or too bent for the shortest steps)"
            )
        lines.append(line)
    if options.hessian and names:
        matrix = hessian(f)(point)
        found["hessian"] = {
            a: dict(zip(names, r, strict=True)) for a, r in zip(names, matrix, strict=True)
        }
        for a, row in found["hessian"].items():
            lines += [f"∂²/∂{a}∂{b} = {h!r}" for b, h in row.items()]
    return found, "\n".join(lines)


def _difference(f: Any, point: list[float], i: int) -> Estimate:
    """The most certain of the differences that `check_grads` takes, infinite or NaN if all are."""

    def numbers(x: list[float]) -> list[float]:
        return [float(f(x))]

    found = [e for (e,) in differences(numbers, point, i) if e is not None]
    if found:
        return min(trusted(found), key=lambda e: e.error)
    x, h = point[i], 1e-6 * max(1.0, abs(point[i]))
    try:
        above, below = (f([*point[:i], x + s * h, *point[i + 1 :]]) for s in (1, -1))
        slope = float(above - below) / (2.0 * h)
    except (ValueError, ArithmeticError):
        slope = math.nan
    return Estimate(slope, 0.0, h, h, is_central=True, size=0.0)


def _agree(g: float, e: Estimate) -> bool:
    """Whether a derivative and a difference are the same number, as far as that is known."""
    if math.isnan(g) or math.isnan(e.number) or math.isinf(g) or math.isinf(e.number):
        return g == e.number or (math.isnan(g) and math.isnan(e.number))
    return abs(g - e.number) <= 1e-4 * max(1.0, abs(g)) + 30.0 * e.error


def _draw(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from autograd_bp.pictures.draw import PICTURES, draw

    if options.out.suffix not in PICTURES:
        raise ValueError(f"out must end in {', '.join(PICTURES)}; got {str(options.out)!r}")
    result, _ = _graph(options)
    write_whole(options.out, draw(result).pipe(format=options.out.suffix[1:]))
    return {"file": str(options.out)}, printable(str(options.out))


def _steps(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from autograd_bp import steps

    result, _ = _graph(options)
    path = steps(result, title=options.formula).write(options.out)
    return {"file": str(path)}, printable(str(path))


def _explain(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from autograd_bp import explain

    result, leaves = _graph(options)
    name = options.of or next(iter(leaves))
    if name not in leaves:
        raise ValueError(f"--of must be one of {', '.join(leaves)}; got {name!r}")
    explanation = explain(leaves[name], result)
    text = explanation.latex() if options.latex else str(explanation)
    return {"name": name, "total": explanation.total, "text": text}, text


def _finite(x: Any) -> Any:
    """The same with infinite numbers and NaN, which JSON lacks, as text."""
    if isinstance(x, dict):
        return {name: _finite(y) for name, y in x.items()}
    if isinstance(x, list):
        return [_finite(y) for y in x]
    return str(x) if isinstance(x, float) and not math.isfinite(x) else x
