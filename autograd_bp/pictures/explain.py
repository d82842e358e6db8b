"""Where one gradient came from, in words and numbers.

The gradient of a node is a sum over the nodes that were computed from it, its consumers:

    ∂C/∂w = Σ ∂C/∂out · ∂out/∂w

Of each product, the first factor came back to the consumer from the root C; the second is the
local derivative, ∂out/∂w with the consumer's other operands held fixed, known since the forward
pass. ∂C/∂out is such a sum too. Put in for it, and so on up to C, it gives the other way to say
the same: the sum over all paths from w to C of the product of the local derivatives on the path.

>>> from autograd_bp import Value
>>> w, x = Value(2.0, "w"), Value(3.0, "x")
>>> z = w * x
>>> z.label = "z"
>>> C = z * z + w
>>> C.backward()
>>> explain(w, C)
The gradient of w is the sum over the 2 nodes that use it:
the gradient of each, times its local derivative with respect to w.
<BLANKLINE>
  ∂C/∂w = ∂C/∂z · ∂z/∂w         = 12 · 3  = 36
        + ∂C/∂C · ∂C/∂w|direct  = 1 · 1   = 1
        = 37
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from typing import NamedTuple

from autograd_bp.pictures.notation import in_one_line, names, set_off
from autograd_bp.tape import Tape
from autograd_bp.value import Value, peek, topological_order

__all__ = ["Explanation", "Term", "explain"]

SHOWN = 8  # terms that are written out
LIMIT = 300  # factors on all paths together
LONGEST = 40  # characters of a label that are shown

WORDS = {
    "": "leaf", "+": "sum", "-": "difference", "*": "product", "/": "quotient", "**": "power",
    "<": "less", "<=": "less_equal",
}  # fmt: skip
"""How to call the result of an operation whose name is a sign."""

ESCAPED = {character: f"\\{character}" for character in "{}$&#%_ "} | {
    "\\": r"{\backslash}",
    "^": r"{\wedge}",
    "~": r"{\sim}",
    # In braces they open no tag where a page has the formula as it is, as saved notebooks do.
    "<": "{<}",
    ">": "{>}",
}
"""What stands for a character in mathematics of LaTeX, MathJax and KaTeX."""


def explain(node: Value, root: Value, *, paths: bool = False) -> Explanation:
    """Say where ∂root/∂node came from: the sum over the node's consumers, or over its paths.

    A node does not know what was computed from it, so give the ``root`` on which ``backward()``
    was called. Its graph is walked anew, and no ``grad`` changes. Printed, the result is text; a
    notebook shows it as mathematics. Both show 6 digits; ``terms`` and ``total`` have them all.

    Nodes go by their labels, with ``#`` and the position in `topological_order(root)` where
    several have the same; one without a label by its operation and position, as "product7"; a
    root without one by C.

    With ``paths``, each term is a path from the node to the root. Their number can double with
    every node, so ValueError is raised if they have more than 300 factors together.

    >>> x = Value(3.0, "x")
    >>> y = x * x
    >>> explanation = explain(x, y * x, paths=True)
    >>> explanation.total, [term.factors for term in explanation.terms]
    (27.0, [(3.0, 6.0), (9.0,)])
    """
    for value, name in ((node, "node"), (root, "root")):
        if not isinstance(value, Value):
            raise TypeError(f"{name} must be a Value, got {value!r} of type {type(value).__name__}")
    order = topological_order(root)
    uses = _uses(node, order)
    total, *grads = Tape([node, *uses[node]], [root]).pull_back([1.0])
    if paths:
        terms = _paths(node, root, uses)
    else:
        consumers = zip(uses[node].items(), grads, strict=True)
        terms = [Term((out,), (grad, local)) for (out, local), grad in consumers]
    return Explanation(node, root, paths, total, terms, _names(node, order))


class Term(NamedTuple):
    """One term of the sum: a product.

    ``via`` holds the consumer; or every node of a path after the explained one, the root last.
    ``factors`` are ∂root/∂consumer and ∂consumer/∂node; or the local derivatives on the path,
    from the root's end. Where a node takes an operand twice, as x·x does, its local derivative
    is for both places together.
    """

    via: tuple[Value, ...]
    factors: tuple[float, ...]

    @property
    def product(self) -> float:
        """The factors multiplied."""
        return math.prod(self.factors)


class Explanation:
    """What `explain` returns: ``total`` is ∂root/∂node, and ``terms`` are what it is the sum of.

    ``node``, ``root`` and ``paths`` are as they were given; ``grad`` is what stood on the node.
    """

    def __init__(
        self,
        node: Value,
        root: Value,
        paths: bool,
        total: float,
        terms: list[Term],
        names: dict[Value, str],
    ) -> None:
        self.node = node
        self.root = root
        self.paths = paths
        self.total = total
        self.terms = terms
        self.grad = peek(node.grad)
        self._names = names

    def __str__(self) -> str:
        left, lines = self._equation(TEXT)
        indent = " " * len(left)
        equation = [f"  {indent if k else left} {line}" for k, line in enumerate(lines)]
        return "\n".join([*self._words(), "", *equation, *self._warning()])

    __repr__ = __str__

    def latex(self) -> str:
        r"""The sum as mathematics, for a place where LaTeX, MathJax or KaTeX expects some.

        >>> x = Value(3.0, "x")
        >>> print(explain(x, x * 2.0).latex())  # doctest: +NORMALIZE_WHITESPACE
        \begin{aligned}
        \frac{\partial \mathit{C}}{\partial \mathit{x}} &= \frac{\partial \mathit{C}}{\partial
        \mathit{C}} \cdot \frac{\partial \mathit{C}}{\partial \mathit{x}}\Big|_{\mathrm{direct}}
        &&= 1 \cdot 2 &&= 2
        \end{aligned}
        """
        left, lines = self._equation(LATEX)
        equation = " \\\\\n".join(f"{'' if k else left} &{line}" for k, line in enumerate(lines))
        return f"\\begin{{aligned}}\n{equation}\n\\end{{aligned}}"

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {self.latex()}$"

    def _equation(self, style: Style) -> tuple[str, list[str]]:
        """The left side; and a line for each term, then for the rest, then for the total."""
        left = style.derivative(self._names[self.root], self._names[self.node])
        rows = []
        for term in self.terms[:SHOWN]:
            numbers = [style.number(x, k > 0) for k, x in enumerate(term.factors)]
            product = style.number(term.product, False)
            symbols = style.times.join(self._symbols(style, term))
            rows.append(
                [symbols, f"= {style.times.join(numbers)}" if numbers[1:] else "", f"= {product}"]
            )
        widths = [max(map(len, column)) * style.aligned for column in zip(*rows, strict=True)]
        lines = [
            style.between.join(
                cell.ljust(width) for cell, width in zip(row, widths, strict=True)
            ).rstrip()
            for row in rows
        ]
        if len(self.terms) > SHOWN:
            rest = style.number(sum(term.product for term in self.terms[SHOWN:]), True)
            lines.append(style.more.format(len(self.terms) - SHOWN, rest))
        lines = [f"{style.plus if k else '='} {line}" for k, line in enumerate(lines)]
        if len(self.terms) != 1:
            lines.append(f"= {style.number(self.total, False)}")
        return left, lines

    def _symbols(self, style: Style, term: Term) -> list[str]:
        """∂root/∂…, …, ∂…/∂node: as many as the term has factors."""
        way = [self.root, *reversed(term.via), self.node][-len(term.factors) - 1 :]
        symbols = [
            style.derivative(self._names[of], self._names[by]) for of, by in itertools.pairwise(way)
        ]
        if way[-2] is self.root:  # or it would look like the whole sum
            symbols[-1] += style.direct
        return symbols

    def _words(self) -> list[str]:
        node, root = self._names[self.node], self._names[self.root]
        n = len(self.terms)
        if self.node is self.root:
            return [f"{root} is the root itself."]
        if not n:
            return [
                f"{root} was not computed from {node}: no path leads from the one to the other.",
                "If one should: was it cut by detach(), by no_grad(), or by computing on data?",
            ]
        if self.paths and n == 1:
            where = f"came along the one path from it to {root}"
            what = "the product of the local derivatives on it"
        elif self.paths:
            where = f"is the sum over the {n} paths from it to {root}"
            what = "the product of the local derivatives on each"
        elif n == 1:
            where = "came from the one node that uses it"
            what = f"its gradient, times its local derivative with respect to {node}"
        else:
            where = f"is the sum over the {n} nodes that use it"
            what = f"the gradient of each, times its local derivative with respect to {node}"
        return [f"The gradient of {node} {where}:", f"{what}."]

    def _warning(self) -> list[str]:
        """What to say if backward() left another number on the node."""
        rounding = 1e-9 * sum(abs(term.product) for term in self.terms)
        if f"{self.grad}" == f"{self.total}" or abs(self.grad - self.total) <= rounding:
            return []
        node, root = self._names[self.node], self._names[self.root]
        return [
            "",
            f"But {node}.grad is {_number(self.grad)}. It is 0 before {root}.backward(); leaves",
            "add up all passes since zero_grad; hooks, seeds and other roots change it.",
        ]


# --- the sums -------------------------------------------------------------------------------------


def _uses(node: Value, order: list[Value]) -> dict[Value, dict[Value, float]]:
    """Of all that depends on a node: its consumers, and their local derivatives with respect to it.

    All are in the order in which they were computed.
    """
    uses: dict[Value, dict[Value, float]] = {node: {}}
    for out in order:
        for parent, d in zip(out.parents, out.local_grads, strict=True):
            if parent in uses:
                uses.setdefault(out, {})
                uses[parent][out] = uses[parent].get(out, 0.0) + d
    return uses


def _paths(node: Value, root: Value, uses: dict[Value, dict[Value, float]]) -> list[Term]:
    """A term for each path from the node to the root."""
    paths, factors = {node: 1}, {node: 0}  # from the node to here
    for parent, consumers in uses.items():
        for out in consumers:
            paths[out] = paths.get(out, 0) + paths[parent]
            factors[out] = factors.get(out, 0) + paths[parent] + factors[parent]
            if factors[out] > LIMIT:  # the root has as many at least
                raise ValueError(
                    "the paths from the node to the root are too many or too long: they have more "
                    f"than {LIMIT} factors together. Take the sum over consumers, "
                    "explain(node, root), and explain one of those in turn; or take a root that "
                    "is nearer to the node."
                )
    terms = []
    waiting = [Term((), ())]
    while waiting:
        via, local = waiting.pop()
        if via and via[-1] is root:
            terms.append(Term(via, local))
        for out, d in reversed(uses[via[-1] if via else node].items()):
            waiting.append(Term((*via, out), (d, *local)))
    return terms


# --- text and LaTeX -------------------------------------------------------------------------------


class Style(NamedTuple):
    """How text or LaTeX writes what an equation is made of."""

    derivative: Callable[[str, str], str]
    number: Callable[[float, bool], str]
    times: str
    plus: str
    direct: str
    more: str
    between: str  # columns
    aligned: bool  # whether spaces align them


def _names(node: Value, order: list[Value]) -> dict[Value, str]:
    """A name for each node of the graph, and for the explained one in case it is not in it."""

    def unlabelled(i: int) -> str:
        return f"{WORDS.get(order[i].op) or _printable(order[i].op)}{i}"

    found = dict(zip(order, names(order, _printable, unlabelled), strict=True))
    return {node: _printable(node.label) or "node", **found}


def _printable(text: str) -> str:
    """A label on one line, without control characters and not too long."""
    text = "".join(
        c if c.isprintable() or c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    return in_one_line(text, LONGEST)


def _number(x: float, inside: bool = False) -> str:
    """A number with 6 digits; in brackets if it is negative and inside a formula."""
    text = format(x + 0.0, ".6g")  # + 0.0: no -0
    return f"({text})" if inside and x < 0.0 else text


def _derivative(of: str, by: str) -> str:
    return f"∂{set_off(of)}/∂{set_off(by)}"


def _latex_number(x: float, inside: bool) -> str:
    text = _number(x, inside).replace("inf", r"\infty").replace("nan", r"\mathrm{nan}")
    return re.sub(r"e\+?(-?)0*(\d+)", r" \\times 10^{\1\2}", text)


def _latex_derivative(of: str, by: str) -> str:
    of, by = ("".join(ESCAPED.get(character, character) for character in x) for x in (of, by))
    return rf"\frac{{\partial \mathit{{{of}}}}}{{\partial \mathit{{{by}}}}}"


TEXT = Style(_derivative, _number, " · ", "+", "|direct", "… {} more, together {}", "  ", True)
LATEX = Style(
    _latex_derivative, _latex_number, r" \cdot ", "{}+", r"\Big|_{\mathrm{direct}}",
    r"\cdots \text{{ ({} more, together }}{}\text{{)}}", " &&", False,
)  # fmt: skip
