# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: annotation_typing=False, auto_pickle=False
"""Simplification: rules on single instructions, and sums of products made into `dot`.

A program is written anew, instruction by instruction. Each goes through a `Writer`, which

1. asks the rule for its operation (`_identity`); all are exact in IEEE arithmetic, but for small
   powers, which are so within an ulp,
2. folds constants: an operation on numbers only is done here,
3. shares: the same operation on the same operands is written once.

Then what nothing needs is dropped. All else leaves every result as it was, bit for bit, and
`collect_sums` changes the order in which terms are added up.

This is ordinary Python on arrays of whole numbers; compiled, it takes a fraction of a
microsecond for an instruction.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_bp.ops import CODES, TABLE, grouped
from autograd_bp.program.instructions import Instructions, Ints
from autograd_bp.program.record import INPUT, NUMBER, Growing, needed
from autograd_bp.rules import IEEE

try:
    from autograd_bp._pure import cython
except ImportError:  # never at run time: this line tells the compiler which name is its own
    import cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.libc.math import copysign
else:
    from math import copysign

__all__ = ["Writer", "collect_sums", "simplify"]

ADD, SUB, MUL, DIV, POW, NEG = (CODES[name] for name in ("+", "-", "*", "/", "**", "neg"))
DOT, SUM_OF, WHERE, SQRT = (CODES[name] for name in ("dot", "sum_of", "where", "sqrt"))
CARRY, CARRY_DOT = CODES["carry"], CODES["carry_dot"]
IS_NARY = bytes([op.is_nary for op in TABLE])
NONE = -1  # instead of an instruction


class Writer(Growing):
    """A program that is being written simplified."""

    def __init__(self) -> None:
        super().__init__()
        # A hash table of all instructions but leaves: where one stands, plus 1, or 0.
        self.table: Any = array("i", bytes(4 << 11))

    def add(self, code: int, a: int, b: int = NONE, c: int = NONE) -> int:
        """The instruction that gives this result, written unless there is one already."""
        found = _identity(self, code, a, b, c)
        if found != NONE:
            return found
        self.put(0, a)
        count = 1
        if b != NONE:
            self.put(1, b)
            count = 2
        if c != NONE:
            self.put(2, c)
            count = 3
        return self._close(code, count)

    def add_row(self, code: int, row: Any, n: int) -> int:
        """The same for an n-ary operation on the first n elements of an array."""
        if code == CARRY_DOT:
            if _has_zeros(self, row, n):
                row = _without_zeros(self, row, n)
                n = len(row)
            if _all_finite(self, row, n):
                code = DOT
        if code in (DOT, CARRY_DOT):
            found = short_dot(self, code, row, n)
            if found != NONE:
                return found
        for i in range(n):
            self.put(i, row[i])
        return self._close(code, n)

    def _close(self, code: int, count: int) -> int:
        """The instruction on the operands that were put: a number, an older one, or a new one."""
        start = self.first[self.size]
        for e in range(start, start + count):
            if self.code[self.operand[e]] != NUMBER:
                break
        else:
            numbers = [self.number[self.operand[e]] for e in range(start, start + count)]
            return self.constant(_result(code, numbers))
        at = self._find(code, start, count)
        found: int = self.table[at]
        if found:
            return found - 1
        self.table[at] = self.size + 1
        if 2 * self.size > len(self.table):
            self._rehash()
        return self.append(code, count, 0.0)

    def _find(self, code: int, start: int, count: int) -> int:
        """Where the hash table has an instruction like this, or room for it."""
        mask = len(self.table) - 1
        at = code
        for e in range(start, start + count):
            at += _scattered(self.operand[e])
        at &= mask
        while self.table[at] and not self._is_like(self.table[at] - 1, code, start, count):
            at = (at + 1) & mask
        return at

    def _is_like(self, i: int, code: int, start: int, count: int) -> bool:
        first = self.first[i]
        if self.code[i] != code or self.first[i + 1] - first != count:
            return False
        for e in range(count):
            if self.operand[first + e] != self.operand[start + e]:
                break
        else:
            return True
        return (
            code in (ADD, MUL, CARRY)
            and self.operand[first] == self.operand[start + 1]
            and self.operand[first + 1] == self.operand[start]
        )

    def _rehash(self) -> None:
        """Twice the room in the hash table."""
        self.table = array("i", bytes(8 * len(self.table)))
        for i in range(self.size):
            if self.code[i] > NUMBER:
                start = self.first[i]
                self.table[self._find(self.code[i], start, self.first[i + 1] - start)] = i + 1

    def finish(self, inputs: Ints, outputs: Ints, labels: dict[int, str]) -> Instructions:
        """What was written, without what nothing needs."""
        return needed(self.instructions(inputs, outputs, labels))


def _scattered(i: int) -> int:
    """Bits of i spread over 31: neighbours come to lie far apart. Their sum is the hash."""
    i = (i * 0x2C1B3C6D) & 0x7FFFFFFF
    return i ^ (i >> 15)


def _result(code: int, numbers: Sequence[Any]) -> float:
    op = TABLE[code]
    return float(IEEE.value(op)(*grouped(op, numbers)))


def simplify(program: Instructions) -> Instructions:
    """The program written anew by the rules above."""
    writer = Writer()
    new = np.full(len(program), NONE, np.int32)
    code, first, operand, number, row = _arrays(program)
    _rewrite(writer, code, first, operand, number, row, new)
    labels: dict[int, str] = {}
    for i, label in program.labels.items():
        labels.setdefault(int(new[i]), label)
    return writer.finish(new[program.inputs], new[program.outputs], labels)


def _arrays(program: Instructions) -> tuple[Any, ...]:
    """What the loops below read, and a row to work in."""
    code = program.code.copy()
    code[program.inputs] = INPUT
    row = np.zeros(program.counts.max(initial=0), np.int32)
    arrays = code, program.first, program.operand, program.number, row
    # Interpreted, lists are quicker, and their whole numbers have no bounds.
    return arrays if cython.compiled else tuple([a.tolist() for a in arrays])


def _rewrite(
    writer: Writer, code: Any, first: Any, operand: Any, number: Any, row: Any, new: Any
) -> None:
    for i in range(len(code)):
        new[i] = _rewritten(writer, i, code, first, operand, number, row, new)


def _rewritten(
    writer: Writer, i: int, code: Any, first: Any, operand: Any, number: Any, row: Any, new: Any
) -> int:
    """Instruction i, on the operands that stand in ``new``."""
    start = first[i]
    count = first[i + 1] - start
    if code[i] == INPUT:
        return writer.input()
    if code[i] == NUMBER:
        return writer.constant(number[i])
    if IS_NARY[code[i]]:
        for e in range(count):
            row[e] = new[operand[start + e]]
        return writer.add_row(code[i], row, count)
    return writer.add(
        code[i],
        new[operand[start]],
        new[operand[start + 1]] if count > 1 else NONE,
        new[operand[start + 2]] if count > 2 else NONE,
    )


# --- identities -----------------------------------------------------------------------------------
#
# A rule gets the writer and the operands, and returns the instruction to use instead, or NONE.


def _identity(writer: Writer, code: int, a: int, b: int, c: int) -> int:
    """What the rule for this operation says."""
    if code == ADD:
        return add_zero(writer, a, b)
    if code == SUB:
        return subtract_zero(writer, a, b)
    if code == MUL:
        return multiply_by_one(writer, a, b)
    if code == CARRY:
        return carry(writer, a, b)
    if code == DIV:
        return divide_by_one(writer, a, b)
    if code == NEG:
        return double_negation(writer, a)
    if code == POW:
        return small_power(writer, a, b)
    if code == WHERE:
        return settled_choice(writer, a, b, c)
    return NONE


def _is(writer: Writer, i: int, number: float) -> bool:
    kind: int = writer.code[i]
    own: float = writer.number[i]
    return kind == NUMBER and own == number


def _is_minus_zero(writer: Writer, i: int) -> bool:
    return _is(writer, i, 0.0) and copysign(1.0, writer.number[i]) < 0.0


def _negated(writer: Writer, i: int) -> int:
    """The x for which this instruction is -x; NONE if it is no negation."""
    return writer.operand[writer.first[i]] if writer.code[i] == NEG else NONE


def add_zero(writer: Writer, a: int, b: int) -> int:
    """x + -0.0 is x (x + 0.0 is not, where x is -0.0); a + (-b) is a - b."""
    if _is_minus_zero(writer, b):
        return a
    if _is_minus_zero(writer, a):
        return b
    if _negated(writer, b) != NONE:
        return writer.add(SUB, a, _negated(writer, b))
    if _negated(writer, a) != NONE:
        return writer.add(SUB, b, _negated(writer, a))
    return NONE


def subtract_zero(writer: Writer, a: int, b: int) -> int:
    """x - 0.0 is x; a - (-b) is a + b."""
    if _is(writer, b, 0.0) and not _is_minus_zero(writer, b):
        return a
    if _negated(writer, b) != NONE:
        return writer.add(ADD, a, _negated(writer, b))
    return NONE


def multiply_by_one(writer: Writer, a: int, b: int) -> int:
    """x·1 is x; x·(-1) is -x; (-a)·(-b) is a·b."""
    if _is(writer, b, 1.0):
        return a
    if _is(writer, a, 1.0):
        return b
    if _is(writer, b, -1.0):
        return writer.add(NEG, a)
    if _is(writer, a, -1.0):
        return writer.add(NEG, b)
    if _negated(writer, a) != NONE and _negated(writer, b) != NONE:
        return writer.add(MUL, _negated(writer, a), _negated(writer, b))
    return NONE


def carry(writer: Writer, a: int, b: int) -> int:
    """A product with a finite number is an ordinary one; with 0 it is 0."""
    if _is(writer, a, 0.0) or _is(writer, b, 0.0):
        return writer.constant(0.0)
    if _is_finite(writer, a) or _is_finite(writer, b):
        return writer.add(MUL, a, b)
    if _negated(writer, a) != NONE and _negated(writer, b) != NONE:
        return writer.add(CARRY, _negated(writer, a), _negated(writer, b))
    return NONE


def _has_zeros(writer: Writer, row: Any, count: int) -> bool:
    """Whether a factor is the number 0."""
    for e in range(count - 1):
        if _is(writer, row[e], 0.0):
            break
    else:
        return False
    return True


def _without_zeros(writer: Writer, row: Any, count: int) -> Any:
    """The row of a carry_dot without products with 0, which carry nothing."""
    n = count // 2
    kept = [e for e in range(n) if not _is(writer, row[e], 0.0)]
    kept = [e for e in kept if not _is(writer, row[n + e], 0.0)]
    bias = row[count - 1]
    if not kept and _is_minus_zero(writer, bias):
        bias = writer.constant(0.0)
    return array("i", [*[row[e] for e in kept], *[row[n + e] for e in kept], bias])


def _is_finite(writer: Writer, i: int) -> bool:
    kind: int = writer.code[i]
    own: float = writer.number[i]
    return kind == NUMBER and own - own == 0.0


def _all_finite(writer: Writer, row: Any, count: int) -> bool:
    """Whether each product of a dot has a finite number in it."""
    n = count // 2
    for i in range(n):
        if not _is_finite(writer, row[i]) and not _is_finite(writer, row[n + i]):
            break
    else:
        return True
    return False


def divide_by_one(writer: Writer, x: int, divisor: int) -> int:
    """x/1 is x; x/(-1) is -x; x/2ᵏ is x·2⁻ᵏ, which is exact too and quicker."""
    if _is(writer, divisor, 1.0):
        return x
    if writer.code[divisor] == NUMBER:
        number = writer.number[divisor]
        if abs(math.frexp(number)[0]) == 0.5 and 2.0**-500 < abs(number) < 2.0**500:
            return writer.add(MUL, x, writer.constant(1.0 / number))
    return NONE


def double_negation(writer: Writer, x: int) -> int:
    """-(-x) is x; -(a - b) is b - a unless a = b, where the signs of zero differ, so it stays."""
    return _negated(writer, x)


def small_power(writer: Writer, x: int, power: int) -> int:
    """x¹ is x, x² is x·x, x⁻¹ is 1/x, x⁰ is 1, x^½ is √x and x^-½ is 1/√x, within an ulp.

    The root is taken of x + 0.0, as the power of -0.0 is 0.0.
    """
    if _is(writer, power, 1.0):
        return x
    if _is(writer, power, 2.0):
        return writer.add(MUL, x, x)
    if _is(writer, power, -1.0):
        return writer.add(DIV, writer.constant(1.0), x)
    if _is(writer, power, 0.5) or _is(writer, power, -0.5):
        root = writer.add(SQRT, writer.add(ADD, x, writer.constant(0.0)))
        if _is(writer, power, 0.5):
            return root
        return writer.add(DIV, writer.constant(1.0), root)
    return writer.constant(1.0) if _is(writer, power, 0.0) else NONE


def settled_choice(writer: Writer, c: int, a: int, b: int) -> int:
    """where(c, a, b) with c a number, or with a and b the same."""
    if a == b:
        return a
    if writer.code[c] == NUMBER:
        return b if writer.number[c] == 0.0 else a
    return NONE


def short_dot(writer: Writer, code: int, row: Any, count: int) -> int:
    """A dot of one product and no bias is that product; of ones, a sum.

    -0.0 stands for no bias, as it changes no sum.
    """
    n = count // 2
    if not _is_minus_zero(writer, row[count - 1]):
        return NONE
    if n == 0:
        bias: int = row[0]
        return bias
    if n == 1:
        return writer.add(MUL if code == DOT else CARRY, row[0], row[1])
    if n == 2:
        return short_sum(writer, row)
    if _all_ones(writer, row, n, n):
        return writer.add_row(SUM_OF, row, n)
    if _all_ones(writer, row, 0, n):
        return writer.add_row(SUM_OF, row[n : 2 * n], n)
    return NONE


def _all_ones(writer: Writer, row: Any, start: int, n: int) -> bool:
    for i in range(start, start + n):
        if not _is(writer, row[i], 1.0):
            break
    else:
        return True
    return False


def short_sum(writer: Writer, row: Any) -> int:
    """A dot of two products, each by 1 or -1, is a + b or a - b."""
    plus_a = _unit(writer, row[2]) or _unit(writer, row[0])
    plus_b = _unit(writer, row[3]) or _unit(writer, row[1])
    a = row[0] if _unit(writer, row[2]) else row[2]
    b = row[1] if _unit(writer, row[3]) else row[3]
    if plus_a == 0 or plus_b == 0 or plus_a + plus_b < 0:
        return NONE
    if plus_a < 0:
        return writer.add(SUB, b, a)
    return writer.add(ADD if plus_b > 0 else SUB, a, b)


def _unit(writer: Writer, i: int) -> int:
    """1 or -1 if the instruction is that number, else 0."""
    return 1 if _is(writer, i, 1.0) else -1 if _is(writer, i, -1.0) else 0


# --- sums of products -----------------------------------------------------------------------------


def collect_sums(program: Instructions) -> Instructions:
    """Chains of + over *, which nothing else looks into, as one `dot`; without *, as `sum_of`.

    Products of the chain rule, `carry`, become a `carry_dot`.

    That is where the matrix products of scalar code come to light (see `recover`), and it is
    the only step that changes the order of summation: results differ by rounding.
    """
    ends = np.concatenate([program.operand, program.outputs])
    uses = np.bincount(ends, minlength=len(program)).astype(np.int32)
    inside = np.zeros(len(program), np.int8)
    code, first, operand, number, row = _arrays(program)
    _mark_inside(code, first, operand, uses, inside)
    writer = Writer()
    new = np.full(len(program), NONE, np.int32)
    _collect(writer, code, first, operand, number, row, inside, new)
    labels = {int(new[i]): text for i, text in program.labels.items() if new[i] != NONE}
    return writer.finish(new[program.inputs], new[program.outputs], labels)


def _mark_inside(code: Any, first: Any, operand: Any, uses: Any, inside: Any) -> None:
    """Mark the terms of a longer sum, which need no result of their own."""
    for i in range(len(code)):
        if code[i] in (ADD, SUM_OF):
            for e in range(first[i], first[i + 1]):
                j = operand[e]
                if uses[j] == 1 and code[j] in (ADD, MUL, CARRY, DOT, CARRY_DOT, SUM_OF):
                    inside[j] = 1


def _collect(
    writer: Writer, code: Any, first: Any, operand: Any, number: Any, row: Any, inside: Any,
    new: Any,
) -> None:  # fmt: skip
    for i in range(len(code)):
        if inside[i]:
            continue
        if code[i] in (ADD, SUM_OF):
            new[i] = _collected(writer, i, code, first, operand, inside, new)
        else:
            new[i] = _rewritten(writer, i, code, first, operand, number, row, new)


def _collected(
    writer: Writer, top: int, code: Any, first: Any, operand: Any, inside: Any, new: Any
) -> int:
    """The sum that ends in ``top`` as one instruction."""
    w: list[int] = []
    x: list[int] = []
    carried_w: list[int] = []
    carried_x: list[int] = []
    others: list[int] = []
    stack = [top]
    while stack:
        i = stack.pop()
        start, stop = first[i], first[i + 1]
        if i != top and not inside[i]:
            others.append(new[i])
        elif code[i] in (ADD, SUM_OF):
            for e in range(stop - 1, start - 1, -1):
                stack.append(operand[e])
        else:  # products, with two operands for each, and of a dot its bias
            n = (stop - start) // 2
            carries = code[i] in (CARRY, CARRY_DOT)
            for e in range(start, start + n):
                (carried_w if carries else w).append(new[operand[e]])
                (carried_x if carries else x).append(new[operand[e + n]])
            if code[i] in (DOT, CARRY_DOT):
                stack.append(operand[stop - 1])
    if not carried_w:
        return _sum_of_products(writer, DOT, w, x, others)
    if w:
        others = [_sum_of_products(writer, DOT, w, x, others)]
    return _sum_of_products(writer, CARRY_DOT, carried_w, carried_x, others)


def _sum_of_products(
    writer: Writer, code: int, w: list[int], x: list[int], others: list[int]
) -> int:
    """The sum of the products and the others, as a dot of that code if it takes one."""
    if not w:
        return _total(writer, others)
    if len(w) == 1:
        product = writer.add(MUL if code == DOT else CARRY, w[0], x[0])
        return _total(writer, [product, *others])
    zeros = [j for j in others if _is(writer, j, 0.0)]
    others = [j for j in others if not _is(writer, j, 0.0)] or zeros[:1]
    bias = _total(writer, others) if others else writer.constant(-0.0)
    terms = array("i", [*w, *x, bias])
    return writer.add_row(code, terms, len(terms))


def _total(writer: Writer, terms: list[int]) -> int:
    """The sum of these, of which there is one at least."""
    if len(terms) == 1:
        return terms[0]
    if len(terms) == 2:
        return writer.add(ADD, terms[0], terms[1])
    return writer.add_row(SUM_OF, array("i", terms), len(terms))
