# cython: language_level=3, auto_pickle=False, annotation_typing=False
"""Simplification: rules on single instructions, and sums of products made into `dot`.

A program is written anew, instruction by instruction. Each goes through `Writer.add`, which

1. asks the rules for its operation, in `IDENTITIES`; all are exact in IEEE arithmetic,
   but for small powers, which are so within an ulp,
2. folds constants: an operation on numbers only is done here,
3. shares: the same operation on the same operands is written once.

Then what nothing needs is dropped. All else leaves every result as it was, bit for bit, and
`collect_sums` changes the order in which terms are added up.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_bp.ops import CODES, IEEE, TABLE, grouped
from autograd_bp.program.instructions import Instructions

__all__ = ["IDENTITIES", "Writer", "collect_sums", "simplify"]

ADD, SUB, MUL, DIV, POW, NEG = (CODES[name] for name in ("+", "-", "*", "/", "**", "neg"))
DOT, SUM_OF, WHERE, SQRT = (CODES[name] for name in ("dot", "sum_of", "where", "sqrt"))
COMMUTATIVE = frozenset((ADD, MUL))


class Writer:
    """A program that is being written simplified.

    ``number[i]`` is the number that instruction i is, or None; ``code`` and ``operands`` are
    what it does.
    """

    def __init__(self) -> None:
        self.code: list[int] = []
        self.operands: list[tuple[int, ...]] = []
        self.number: list[float | None] = []
        self._constants: dict[str, int] = {}
        self._written: dict[tuple[int, tuple[int, ...]], int] = {}

    def input(self) -> int:
        """A new input."""
        return self._append(0, (), None)

    def constant(self, number: float) -> int:
        """The instruction that is this number; 0.0 and -0.0 are two."""
        key = repr(number)
        if key not in self._constants:
            self._constants[key] = self._append(0, (), float(number))
        return self._constants[key]

    def add(self, code: int, operands: tuple[int, ...]) -> int:
        """The instruction that gives this result, written unless there is one already."""
        rule = IDENTITIES.get(code)
        if rule is not None:
            found = rule(self, operands)
            if found is not None:
                return found
        folded = True
        for i in operands:
            if self.number[i] is None:
                folded = False
                break
        if folded:
            return self.constant(_result(code, [self.number[i] for i in operands]))
        key = (code, operands)
        if code in COMMUTATIVE and operands[0] > operands[1]:
            key = (code, (operands[1], operands[0]))
        at = self._written.get(key)
        if at is None:
            at = self._append(code, operands, None)
            self._written[key] = at
        return at

    def _append(self, code: int, operands: tuple[int, ...], number: float | None) -> int:
        self.code.append(code)
        self.operands.append(operands)
        self.number.append(number)
        return len(self.code) - 1

    def finish(
        self, inputs: Sequence[int], outputs: Sequence[int], labels: dict[int, str]
    ) -> Instructions:
        """What was written, without what nothing needs."""
        first = array("i", [0])
        operand = array("i")
        for row in self.operands:
            operand.extend(row)
            first.append(len(operand))
        whole = Instructions(
            np.array(self.code, np.int16),
            np.array(first, np.int32),
            np.array(operand, np.int32),
            np.array([0.0 if x is None else x for x in self.number]),
            np.array(inputs, np.int32),
            np.array(outputs, np.int32),
            labels,
        )
        keep = whole.ancestors(whole.outputs)
        keep[whole.inputs] = True
        return whole.selected(keep)


def _result(code: int, numbers: Sequence[Any]) -> float:
    op = TABLE[code]
    return float(IEEE.value(op)(*grouped(op, numbers)))


def simplify(program: Instructions) -> Instructions:
    """The program written anew by the rules above."""
    writer = Writer()
    new: list[int] = []
    operand = program.operand.tolist()
    first = program.first.tolist()
    number = program.number.tolist()
    inputs = set(program.inputs.tolist())
    labels: dict[int, str] = {}
    for i, code in enumerate(program.code.tolist()):
        if code:
            taken = tuple([new[j] for j in operand[first[i] : first[i + 1]]])
            at = writer.add(code, taken)
        else:
            at = writer.input() if i in inputs else writer.constant(number[i])
        new.append(at)
        label = program.labels.get(i)
        if label is not None:
            labels.setdefault(at, label)
    return writer.finish(
        [new[i] for i in program.inputs], [new[i] for i in program.outputs], labels
    )


# --- identities -----------------------------------------------------------------------------------
#
# A rule gets the writer and the operands, and returns the instruction to use instead, or None.


def _is(writer: Writer, i: int, number: float) -> bool:
    own = writer.number[i]
    return own is not None and own == number


def _is_minus_zero(writer: Writer, i: int) -> bool:
    number = writer.number[i]
    return number is not None and number == 0.0 and math.copysign(1.0, number) < 0.0


def add_zero(writer: Writer, operands: tuple[int, ...]) -> int | None:
    """x + -0.0 is x (x + 0.0 is not, where x is -0.0); a + (-b) is a - b."""
    a, b = operands
    if _is_minus_zero(writer, b):
        return a
    if _is_minus_zero(writer, a):
        return b
    if writer.code[b] == NEG:
        return writer.add(SUB, (a, writer.operands[b][0]))
    if writer.code[a] == NEG:
        return writer.add(SUB, (b, writer.operands[a][0]))
    return None


def subtract_zero(writer: Writer, operands: tuple[int, ...]) -> int | None:
    """x - 0.0 is x; a - (-b) is a + b."""
    a, b = operands
    if _is(writer, b, 0.0) and not _is_minus_zero(writer, b):
        return a
    if writer.code[b] == NEG:
        return writer.add(ADD, (a, writer.operands[b][0]))
    return None


def multiply_by_one(writer: Writer, operands: tuple[int, ...]) -> int | None:
    """x·1 is x; x·(-1) is -x; (-a)·(-b) is a·b."""
    a, b = operands
    if _is(writer, b, 1.0):
        return a
    if _is(writer, a, 1.0):
        return b
    if _is(writer, b, -1.0):
        return writer.add(NEG, (a,))
    if _is(writer, a, -1.0):
        return writer.add(NEG, (b,))
    if writer.code[a] == NEG and writer.code[b] == NEG:
        return writer.add(MUL, (writer.operands[a][0], writer.operands[b][0]))
    return None


def divide_by_one(writer: Writer, operands: tuple[int, ...]) -> int | None:
    """x/1 is x; x/(-1) is -x; x/2ᵏ is x·2⁻ᵏ, which is exact too and quicker."""
    x, divisor = operands
    if _is(writer, divisor, 1.0):
        return x
    number = writer.number[divisor]
    if (
        number is not None
        and abs(np.frexp(number)[0]) == 0.5
        and 2.0**-500 < abs(number) < 2.0**500
    ):
        return writer.add(MUL, (x, writer.constant(1.0 / number)))
    return None


def double_negation(writer: Writer, operands: tuple[int, ...]) -> int | None:
    """-(-x) is x; -(a - b) is b - a unless a = b, where the signs of zero differ, so it stays."""
    (x,) = operands
    return writer.operands[x][0] if writer.code[x] == NEG else None


def small_power(writer: Writer, operands: tuple[int, ...]) -> int | None:
    """x¹ is x, x² is x·x, x⁻¹ is 1/x, x⁰ is 1, x^½ is √x and x^-½ is 1/√x, within an ulp.

    The root is taken of x + 0.0, as the power of -0.0 is 0.0.
    """
    x, power = operands
    if _is(writer, power, 1.0):
        return x
    if _is(writer, power, 2.0):
        return writer.add(MUL, (x, x))
    if _is(writer, power, -1.0):
        return writer.add(DIV, (writer.constant(1.0), x))
    if _is(writer, power, 0.5) or _is(writer, power, -0.5):
        root = writer.add(SQRT, (writer.add(ADD, (x, writer.constant(0.0))),))
        one = writer.constant(1.0)
        return root if _is(writer, power, 0.5) else writer.add(DIV, (one, root))
    return writer.constant(1.0) if _is(writer, power, 0.0) else None


def settled_choice(writer: Writer, operands: tuple[int, ...]) -> int | None:
    """where(c, a, b) with c a number, or with a and b the same."""
    c, a, b = operands
    if a == b:
        return a
    number = writer.number[c]
    return None if number is None else a if number != 0.0 else b


def short_dot(writer: Writer, operands: tuple[int, ...]) -> int | None:
    """A dot of one product and no bias is that product; of ones, a sum.

    -0.0 stands for no bias, as it changes no sum.
    """
    n = len(operands) // 2
    if not _is_minus_zero(writer, operands[-1]):
        return None
    w, x = operands[:n], operands[n : 2 * n]
    if n == 0:
        return operands[-1]
    if n == 1:
        return writer.add(MUL, (w[0], x[0]))
    if n == 2:
        first, second = _signed(writer, w[0], x[0]), _signed(writer, w[1], x[1])
        if first is not None and second is not None:
            (a, plus_a), (b, plus_b) = first, second
            if plus_a:
                return writer.add(ADD if plus_b else SUB, (a, b))
            return writer.add(SUB, (b, a)) if plus_b else None
        return None
    for terms, factors in ((w, x), (x, w)):
        ones = [i for i in factors if _is(writer, i, 1.0)]
        if len(ones) == n:
            return writer.add(SUM_OF, terms)
    return None


def _signed(writer: Writer, a: int, b: int) -> tuple[int, bool] | None:
    """What a·b is but for its sign, and whether that is +; None unless a factor is 1 or -1."""
    for x, factor in ((a, b), (b, a)):
        for sign in (1.0, -1.0):
            if _is(writer, factor, sign):
                return x, sign > 0.0
    return None


IDENTITIES: dict[int, Callable[[Writer, tuple[int, ...]], int | None]] = {
    ADD: add_zero,
    SUB: subtract_zero,
    MUL: multiply_by_one,
    DIV: divide_by_one,
    NEG: double_negation,
    POW: small_power,
    WHERE: settled_choice,
    DOT: short_dot,
}


# --- sums of products -----------------------------------------------------------------------------


def collect_sums(program: Instructions) -> Instructions:
    """Chains of + over *, which nothing else looks into, as one `dot`; without *, as `sum_of`.

    That is where the matrix products of scalar code come to light (see `recover`), and it is
    the only step that changes the order of summation: results differ by rounding.
    """
    uses = np.bincount(
        np.concatenate([program.operand, program.outputs]), minlength=len(program)
    ).tolist()
    code = program.code.tolist()
    operand = program.operand.tolist()
    first = program.first.tolist()
    inside = [False] * len(code)  # terms of a longer sum: they need no result of their own
    for i, c in enumerate(code):
        if c in (ADD, SUM_OF):
            for j in operand[first[i] : first[i + 1]]:
                if uses[j] == 1 and code[j] in (ADD, MUL, DOT, SUM_OF):
                    inside[j] = True
    writer = Writer()
    new: list[int] = []
    inputs = set(program.inputs.tolist())
    number = program.number.tolist()
    for i, c in enumerate(code):
        if c == 0:
            new.append(writer.input() if i in inputs else writer.constant(number[i]))
        elif inside[i]:
            new.append(-1)
        elif c in (ADD, SUM_OF):
            new.append(_collected(writer, program, i, (code, operand, first, inside), new))
        else:
            new.append(writer.add(c, tuple([new[j] for j in operand[first[i] : first[i + 1]]])))
    labels = {new[i]: label for i, label in program.labels.items() if new[i] >= 0}
    return writer.finish(
        [new[i] for i in program.inputs], [new[i] for i in program.outputs], labels
    )


def _collected(
    writer: Writer, program: Instructions, top: int, lists: tuple[Any, ...], new: list[int]
) -> int:
    """The sum that ends in ``top`` as one instruction."""
    code, operand, first, inside = lists
    w: list[int] = []
    x: list[int] = []
    others: list[int] = []
    stack = [top]
    while stack:
        i = stack.pop()
        taken = operand[first[i] : first[i + 1]]
        if i != top and not inside[i]:
            others.append(new[i])
        elif code[i] in (ADD, SUM_OF):
            stack += reversed(taken)
        elif code[i] == MUL:
            w.append(new[taken[0]])
            x.append(new[taken[1]])
        else:  # a dot
            n = len(taken) // 2
            w += [new[j] for j in taken[:n]]
            x += [new[j] for j in taken[n : 2 * n]]
            stack.append(taken[-1])
    if len(w) == 1:
        others.insert(0, writer.add(MUL, (w[0], x[0])))
    elif w:
        zeros = [j for j in others if _is(writer, j, 0.0)]
        others = [j for j in others if not _is(writer, j, 0.0)] or zeros[:1]
        others = others or [writer.constant(-0.0)]
        bias = others[0] if len(others) == 1 else _total(writer, others)
        return writer.add(DOT, (*w, *x, bias))
    return _total(writer, others)


def _total(writer: Writer, terms: list[int]) -> int:
    if len(terms) == 2:
        return writer.add(ADD, (terms[0], terms[1]))
    return writer.add(SUM_OF, tuple(terms))
