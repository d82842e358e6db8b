# cython: language_level=3, cdivision=True, boundscheck=False, wraparound=False
# cython: initializedcheck=False, annotation_typing=False, auto_pickle=False
"""A graph of Values as arrays, and the walks over such arrays that must visit every instruction.

Like `value.py`, this is ordinary Python that Cython compiles where it can: what takes a second
for a million instructions when interpreted takes hundredths when compiled.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from autograd_bp.ops import CODE_BITS, TABLE
from autograd_bp.value import Value, consumers_first

try:
    from autograd_bp._pure import cython
except ImportError:  # never at run time: this line tells the compiler which name is its own
    import cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.autograd_bp.value import PyGC_Disable, PyGC_Enable

__all__ = ["INPUT", "NUMBER", "Recording", "ancestors", "descendants", "levels", "record"]

# A node's code stands in the lowest bits; above them, while compiled code records a graph, a mark:
# the instruction that the node is, plus one. See `value._consumers_first`.
BITS = CODE_BITS
CODE = (1 << BITS) - 1
CUSTOM = CODE  # the code of a node that is no row of the table
_TWO: list[bool] = [len(op.operands) == 2 for op in TABLE]
NUMBER = 0  # the codes of instructions that compute nothing: numbers,
INPUT = -1  # and inputs, until they are finished


class Recording:
    """Instructions, growing; `Instructions` says what the arrays hold.

    The arrays have room for more than the ``size`` instructions that are recorded so far.
    """

    def __init__(self) -> None:
        self.size = 0
        self.code: Any = array("h", bytes(2 << 10))
        self.first: Any = array("i", bytes(4 << 10))
        self.operand: Any = array("i", bytes(4 << 10))
        self.number: Any = array("d", bytes(8 << 10))
        self.constants: dict[str, int] = {}
        self.marks: dict[int, int] = {}  # by identity: those of the interpreted engine

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
            self.code = _doubled("h", self.code)
            self.first = _doubled("i", self.first)
            self.number = _doubled("d", self.number)
        self.code[i] = code
        self.number[i] = number
        self.first[i + 1] = self.first[i] + count
        self.size = i + 1
        return i

    def instructions(self, inputs: Any, outputs: Any, labels: dict[int, str]) -> Any:
        """The finished instructions."""
        import numpy as np

        from autograd_bp.program.instructions import Instructions

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


def record(inputs: Sequence[Value], outputs: Sequence[Any]) -> Any:
    """The part of a graph between inputs and outputs as `Instructions`.

    Inputs are the first instructions; whatever does not depend on one of them is a constant.
    Raises TypeError for an operation that is no row of the table.
    """
    recording = Recording()
    labels: dict[int, str] = {}
    ends = [y if isinstance(y, Value) else float(y) for y in outputs]
    order: list[Value] = consumers_first([y for y in ends if isinstance(y, Value)])
    order.reverse()
    found = _record(recording, list(inputs), ends, order, labels)
    return recording.instructions(range(len(inputs)), found, labels)


def _record(
    recording: Recording,
    inputs: list[Value],
    outputs: list[Any],
    order: list[Value],
    labels: dict[int, str],
) -> list[int]:
    """Record a graph, given operands first; returns which instructions the outputs are."""
    seen: list[Value] = []
    was_collecting = PyGC_Disable() if cython.compiled else False
    try:
        for node in inputs:
            seen.append(node)
            _mark(recording, node, recording.input() + 1)
            _keep_label(recording, node, labels)
        for node in order:
            if _marked(recording, node) or not node._code:
                continue
            count = 0
            if node._details is not None and node._details.operands:
                operands: tuple[Any, ...] = node.operands
                if not _any_marked(recording, operands):
                    continue
                if node._code == CUSTOM:
                    raise TypeError(
                        f"a trace records rows of the table of operations, and {node.op!r} "
                        "(made by custom, implicit or checkpoint, before the trace) is none; "
                        "call it within the traced function"
                    )
                for x in operands:
                    recording.put(count, _index(recording, x))
                    count += 1
            else:
                p = node._a
                if not (p is not None and _marked(recording, p)):
                    p = node._b
                    if not (p is not None and _marked(recording, p)):
                        continue
                recording.put(0, _index_of(recording, node._a, node._da))
                count = 1
                if _TWO[node._code]:
                    recording.put(1, _index_of(recording, node._b, node._db))
                    count = 2
            seen.append(node)
            _mark(recording, node, recording.append(node._code, count, 0.0) + 1)
            _keep_label(recording, node, labels)
        return [_index(recording, y) for y in outputs]
    finally:
        for node in seen:
            _mark(recording, node, 0)
        if cython.compiled and was_collecting:
            PyGC_Enable()


def _marked(recording: Recording, node: Value) -> int:
    return node._code >> BITS if cython.compiled else recording.marks.get(id(node), 0)


def _mark(recording: Recording, node: Value, mark: int) -> None:
    if cython.compiled:
        node._code = node._code & CODE | mark << BITS
    else:
        recording.marks[id(node)] = mark


def _keep_label(recording: Recording, node: Value, labels: dict[int, str]) -> None:
    if node._details is not None and node._details.label:
        labels[_marked(recording, node) - 1] = node._details.label


def _any_marked(recording: Recording, operands: tuple[Any, ...]) -> bool:
    """Whether an operand is recorded already, and so depends on an input."""
    for x in operands:
        if isinstance(x, Value):
            p = x
            if _marked(recording, p):
                return True
    return False


def _index(recording: Recording, x: Any) -> int:
    """The instruction that a node or a plain number is."""
    if isinstance(x, Value):
        return _index_of(recording, x, 0.0)
    return recording.constant(float(x))


def _index_of(recording: Recording, node: Value | None, number: float) -> int:
    """The instruction that a node is; without one, that of a number."""
    if node is None:
        return recording.constant(number)
    if _marked(recording, node):
        return _marked(recording, node) - 1
    return recording.constant(node._data)


# The arguments below are int32 and int8 arrays; record.pxd tells the compiler so.


def descendants(first: Any, operand: Any, keep: Any, mark: Any) -> None:
    """Mark every instruction made from a marked one, over the operands to ``keep``."""
    for i in range(len(first) - 1):
        for e in range(first[i], first[i + 1]):
            if keep[e] and mark[operand[e]]:
                mark[i] = 1
                break


def ancestors(first: Any, operand: Any, keep: Any, mark: Any) -> None:
    """Mark every instruction that a marked one is made from, over the operands to ``keep``."""
    for i in range(len(first) - 2, -1, -1):
        if mark[i]:
            for e in range(first[i], first[i + 1]):
                if keep[e]:
                    mark[operand[e]] = 1


def levels(first: Any, operand: Any, level: Any) -> None:
    """Set how many instructions the longest way from a leaf to each has: 0 for the leaves."""
    for i in range(len(first) - 1):
        top = 0
        for e in range(first[i], first[i + 1]):
            if level[operand[e]] >= top:
                top = level[operand[e]] + 1
        level[i] = top
