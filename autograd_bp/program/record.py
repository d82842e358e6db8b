# cython: language_level=3, cdivision=True, boundscheck=False, wraparound=False
# cython: initializedcheck=False, annotation_typing=False, auto_pickle=False
"""Instructions that grow, from Values or array by array, and walks that must visit each of them.

Like `value.py`, this is ordinary Python that Cython compiles where it can: what takes a second
for a million instructions when interpreted takes hundredths when compiled.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_bp.context import Trace
from autograd_bp.ops import CODE_BITS, MARK_SHIFT, TABLE
from autograd_bp.program.instructions import Bools, Instructions, Ints
from autograd_bp.value import Value, consumers_first

try:
    from autograd_bp._pure import cython
except ImportError:  # never at run time: this line tells the compiler which name is its own
    import cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.autograd_bp.value import PyGC_Disable, PyGC_Enable

__all__ = [
    "INPUT", "NUMBER", "Growing", "ancestors", "descendants", "levels", "needed", "record",
]  # fmt: skip

# A node's code stands in the lowest bits; far above them, while compiled code records a graph, a
# mark: the instruction that the node is, plus one. See `value._consumers_first`.
SHIFT = MARK_SHIFT
KEPT = (1 << SHIFT) - 1
BITS = CODE_BITS
CODE = (1 << BITS) - 1
CUSTOM = CODE  # the code of a node that is no row of the table
_TWO: list[bool] = [len(op.operands) == 2 for op in TABLE]
NUMBER = 0  # the codes of instructions that compute nothing: numbers,
INPUT = -1  # and inputs, until they are finished


class Growing:
    """Instructions, growing; `Instructions` says what the arrays hold.

    They begin with those of ``start``. The arrays have room for more than the ``size``
    instructions that are there so far.
    """

    def __init__(self, start: Instructions | None = None) -> None:
        self.size = 0
        self.code: Any = array("h", bytes(2 << 10))
        self.first: Any = array("i", bytes(4 << 10))
        self.operand: Any = array("i", bytes(4 << 10))
        self.number: Any = array("d", bytes(8 << 10))
        self.constants: dict[str, int] = {}
        self.marks: dict[int, int] = {}  # by identity: those of the interpreted engine
        if start is not None:
            code = start.code.copy()
            code[start.inputs] = INPUT
            self.extend(code, start.counts, start.operand, start.number)
            constants = np.flatnonzero(start.is_constant)
            numbers = map(repr, start.number[constants].tolist())
            self.constants.update(zip(numbers, constants.tolist(), strict=True))

    def input(self) -> int:
        """A new input."""
        return self.append(INPUT, 0, 0.0)

    def constant(self, number: float) -> int:
        """The instruction that is this number; -0.0 and 0.0 are two."""
        key = repr(number)
        at = self.constants.get(key)
        if at is None:
            at = self.constants[key] = self.append(NUMBER, 0, number)
        return at

    def put(self, i: int, operand: int) -> None:
        """Make this operand i of the next instruction that has operands."""
        at = self.first[self.size] + i
        if at == len(self.operand):
            self.operand = _doubled("i", self.operand)
        self.operand[at] = operand

    def append(self, code: int, count: int, number: float) -> int:
        """A new instruction, on so many operands that were put."""
        i = self.size
        if i + 1 == len(self.code):
            self._make_room()
        self.code[i] = code
        self.number[i] = number
        self.first[i + 1] = self.first[i] + count
        self.size = i + 1
        return i

    def extend(self, codes: Any, counts: Any, operands: Any, numbers: Any = 0.0) -> Ints:
        """Arrays of new instructions, which cost a few calls of NumPy; returns which they are."""
        start, stop = self.size, self.size + len(codes)
        begin, end = self.first[start], self.first[start] + len(operands)
        while len(self.code) <= stop:
            self._make_room()
        while len(self.operand) < end:
            self.operand = _doubled("i", self.operand)
        np.asarray(self.code)[start:stop] = codes
        np.asarray(self.number)[start:stop] = numbers
        np.asarray(self.first)[start + 1 : stop + 1] = begin + np.cumsum(counts)
        np.asarray(self.operand)[begin:end] = operands
        self.size = stop
        return np.arange(start, stop, dtype=np.int32)

    def _make_room(self) -> None:
        self.code = _doubled("h", self.code)
        self.first = _doubled("i", self.first)
        self.number = _doubled("d", self.number)

    def instructions(self, inputs: Any, outputs: Any, labels: dict[int, str]) -> Instructions:
        """The finished instructions."""
        size = self.size
        return Instructions(
            np.maximum(np.array(self.code, np.int16)[:size], NUMBER),
            np.array(self.first, np.int32)[: size + 1],
            np.array(self.operand, np.int32)[: int(self.first[size])],
            np.array(self.number, float)[:size],
            np.array(inputs, np.int32),
            np.array(outputs, np.int32),
            labels,
        )


def _doubled(kind: str, old: Any) -> Any:
    """A copy of an array with room for twice as many numbers."""
    new = array(kind, bytes(2 * len(old) * array(kind).itemsize))
    memoryview(new)[: len(old)] = memoryview(old)
    return new


def record(
    inputs: Sequence[Value], outputs: Sequence[Any], trace: Trace | None = None
) -> tuple[Instructions, list[Value]]:
    """The part of a graph between inputs and outputs as `Instructions`.

    Whatever does not depend on an input is a constant. But each Value from outside of the
    ``trace``, if one is given, that its nodes stand on is captured: it becomes an input, before
    those given. Returns the instructions, and the captured nodes.

    Raises TypeError for an operation that is no row of the table.
    """
    growing = Growing()
    labels: dict[int, str] = {}
    captured: list[Value] = []
    given = list(inputs)
    ends = [y if isinstance(y, Value) else float(y) for y in outputs]
    order: list[Value] = consumers_first([y for y in ends if isinstance(y, Value)])
    order.reverse()
    was_collecting = PyGC_Disable() if cython.compiled else False
    marked = (order, given, captured)
    try:
        for node in given:
            _mark(growing, node, growing.input() + 1)
            _keep_label(growing, node, labels)
        for node in order:  # without a trace all; else what was there before it
            if not _marked(growing, node) and node._code & CODE and not _is_of(trace, node):
                _append(growing, node, labels)
        if trace is not None:
            for node in order:
                if not _marked(growing, node) and node._code & CODE and _is_of(trace, node):
                    _capture_operands(growing, node, trace, captured, labels)
                    _append(growing, node, labels)
            for y in ends:
                if isinstance(y, Value):
                    _capture(growing, y, trace, captured, labels)
        found = [_index(growing, y) for y in ends]
        entries = [_index_of(growing, node, 0.0) for node in [*captured, *given]]
    finally:
        for nodes in marked:
            for node in nodes:
                _mark(growing, node, 0)
        if cython.compiled and was_collecting:
            PyGC_Enable()
    return growing.instructions(entries, found, labels), captured


def _append(growing: Growing, node: Value, labels: dict[int, str]) -> None:
    """Make a node the next instruction, if an operand is one already."""
    count = 0
    if node._details is not None and node._details.operands:
        operands: tuple[Any, ...] = node.operands
        if not _any_marked(growing, operands):
            return
        if node._code & CODE == CUSTOM:
            raise TypeError(
                f"a trace records rows of the table of operations, and {node.op!r} "
                "(made by custom, implicit or checkpoint, before the trace) is none; "
                "call it within the traced function"
            )
        for x in operands:
            growing.put(count, _index(growing, x))
            count += 1
    else:
        p = node._a
        if not (p is not None and _marked(growing, p)):
            p = node._b
            if not (p is not None and _marked(growing, p)):
                return
        growing.put(0, _index_of(growing, node._a, node._da))
        count = 1
        if _TWO[node._code & CODE]:
            growing.put(1, _index_of(growing, node._b, node._db))
            count = 2
    _mark(growing, node, growing.append(node._code & CODE, count, 0.0) + 1)
    _keep_label(growing, node, labels)


def _capture_operands(
    growing: Growing, node: Value, trace: Trace, captured: list[Value], labels: dict[int, str]
) -> None:
    """Make the operands that the traced function did not make inputs."""
    if node._a is not None:
        _capture(growing, node._a, trace, captured, labels)
    if node._b is not None:
        _capture(growing, node._b, trace, captured, labels)
    if node._details is not None:
        for x in node._details.operands + node._details.others:
            if isinstance(x, Value):
                _capture(growing, x, trace, captured, labels)


def _capture(
    growing: Growing, node: Value, trace: Trace, captured: list[Value], labels: dict[int, str]
) -> None:
    """Make a node an input, if it is none yet and from outside of the trace."""
    if not _marked(growing, node) and not _is_of(trace, node) and id(node) not in trace.constants:
        captured.append(node)
        _mark(growing, node, growing.input() + 1)
        _keep_label(growing, node, labels)


def _marked(growing: Growing, node: Value) -> int:
    return node._code >> SHIFT if cython.compiled else growing.marks.get(id(node), 0)


def _is_of(trace: Trace | None, node: Value) -> bool:
    return trace is not None and (node._code & KEPT) >> BITS == trace.number


def _mark(growing: Growing, node: Value, mark: int) -> None:
    if cython.compiled:
        node._code = node._code & KEPT | mark << SHIFT
    else:
        growing.marks[id(node)] = mark


def _keep_label(growing: Growing, node: Value, labels: dict[int, str]) -> None:
    if node._details is not None and node._details.label:
        labels[_marked(growing, node) - 1] = node._details.label


def _any_marked(growing: Growing, operands: tuple[Any, ...]) -> bool:
    """Whether an operand is recorded already, and so depends on an input."""
    for x in operands:
        if isinstance(x, Value):
            p = x
            if _marked(growing, p):
                return True
    return False


def _index(growing: Growing, x: Any) -> int:
    """The instruction that a node or a plain number is."""
    if isinstance(x, Value):
        return _index_of(growing, x, 0.0)
    return growing.constant(float(x))


def _index_of(growing: Growing, node: Value | None, number: float) -> int:
    """The instruction that a node is; without one, that of a number."""
    if node is None:
        return growing.constant(number)
    if _marked(growing, node):
        return _marked(growing, node) - 1
    return growing.constant(node._data)


# --- walks ----------------------------------------------------------------------------------------


def descendants(program: Instructions, of: Any, keep: Bools | None = None) -> Bools:
    """Which instructions are among these, or made from some by the operands to keep."""
    mark = _marks(program, of)
    _mark_descendants(program.first, program.operand, _kept(program, keep), mark)
    found: Bools = mark.view(bool)
    return found


def ancestors(program: Instructions, of: Any, keep: Bools | None = None) -> Bools:
    """Which instructions are among these, or some are made from by the operands to keep."""
    mark = _marks(program, of)
    _mark_ancestors(program.first, program.operand, _kept(program, keep), mark)
    found: Bools = mark.view(bool)
    return found


def levels(program: Instructions) -> Ints:
    """The length of the longest way from a leaf to each instruction."""
    level = np.zeros(len(program), np.int32)
    _set_levels(program.first, program.operand, level)
    return level


def needed(program: Instructions) -> Instructions:
    """The instructions without those that no output is made from, but all inputs."""
    keep = ancestors(program, program.outputs)
    keep[program.inputs] = True
    return program.selected(keep)


def _marks(program: Instructions, of: Any) -> Any:
    mark = np.zeros(len(program), np.int8)
    mark[of] = 1
    return mark


def _kept(program: Instructions, keep: Bools | None) -> Any:
    return np.ones(len(program.operand), np.int8) if keep is None else keep.view(np.int8)


# The arguments below are int32 and int8 arrays; record.pxd tells the compiler so.


def _mark_descendants(first: Any, operand: Any, keep: Any, mark: Any) -> None:
    """Mark every instruction made from a marked one, over the operands to ``keep``."""
    for i in range(len(first) - 1):
        for e in range(first[i], first[i + 1]):
            if keep[e] and mark[operand[e]]:
                mark[i] = 1
                break


def _mark_ancestors(first: Any, operand: Any, keep: Any, mark: Any) -> None:
    """Mark every instruction that a marked one is made from, over the operands to ``keep``."""
    for i in range(len(first) - 2, -1, -1):
        if mark[i]:
            for e in range(first[i], first[i + 1]):
                if keep[e]:
                    mark[operand[e]] = 1


def _set_levels(first: Any, operand: Any, level: Any) -> None:
    """Set how many instructions the longest way from a leaf to each has: 0 for the leaves."""
    for i in range(len(first) - 1):
        top = 0
        for e in range(first[i], first[i + 1]):
            if level[operand[e]] >= top:
                top = level[operand[e]] + 1
        level[i] = top
