# cython: language_level=3, cdivision=True, initializedcheck=False, auto_pickle=False
"""A graph of Values as arrays, and the walks over such arrays that must visit every instruction.

Like `value.py`, this is ordinary Python that Cython compiles where it can: what takes a second
for a million instructions when interpreted takes hundredths when compiled.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from autograd_bp.ops import TABLE
from autograd_bp.value import consumers_first, sorting

try:
    from autograd_bp._pure import cython
except ImportError:  # never at run time: this line tells the compiler which name is its own
    import cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.autograd_bp.value import Value
else:
    from autograd_bp.value import Value

__all__ = ["Recording", "ancestors", "descendants", "levels", "record"]

CUSTOM = cython.declare(cython.short, 32767)
_TWO: list[bool] = [len(op.operands) == 2 for op in TABLE]


class Recording:
    """The instructions of a graph, growing; `Instructions` says what the arrays hold."""

    def __init__(self) -> None:
        self.code: Any = array("h")
        self.first: Any = array("i", [0])
        self.operand: Any = array("i")
        self.number: Any = array("d")
        self.labels: dict[int, str] = {}
        self.constants: dict[tuple[float, str], int] = {}

    def leaf(self, number: float) -> int:
        """A new instruction that is an input or a constant."""
        self.code.append(0)
        self.first.append(len(self.operand))
        self.number.append(number)
        return len(self.code) - 1

    def constant(self, number: float) -> int:
        """The instruction that is this constant; -0.0 and 0.0 are two."""
        key = (number, str(number))
        if key not in self.constants:
            self.constants[key] = self.leaf(number)
        return self.constants[key]

    def instructions(self, inputs: int, outputs: Sequence[int]) -> Any:
        """The finished instructions, of which the first ``inputs`` are inputs."""
        import numpy as np

        from autograd_bp.program.instructions import Instructions

        return Instructions(
            np.array(self.code, np.int16),
            np.array(self.first, np.int32),
            np.array(self.operand, np.int32),
            np.array(self.number, float),
            np.arange(inputs, dtype=np.int32),
            np.array(outputs, np.int32),
            self.labels,
        )


def record(inputs: Sequence[Value], outputs: Sequence[Any]) -> tuple[Recording, list[int]]:
    """The part of a graph between inputs and outputs, and where in it the outputs are.

    Inputs are instructions 0, 1, …; whatever does not depend on one of them is a constant.
    Raises TypeError for an operation that is no row of the table.
    """
    node: Value
    p: Value | None
    moves: cython.bint
    recording = Recording()
    code = recording.code
    first = recording.first
    operand = recording.operand
    number = recording.number
    seen: list[Value] = []
    with sorting:
        order: list[Value] = consumers_first([y for y in outputs if isinstance(y, Value)])
        order.reverse()
        try:
            for node in inputs:
                seen.append(node)
                node._pending = recording.leaf(node._data) + 1
                if node._details is not None and node._details.label:
                    recording.labels[node._pending - 1] = node._details.label
            for node in order:
                if node._pending or not node._code:
                    continue
                moves = False
                if node._details is not None and node._details.operands:
                    operands: tuple[Any, ...] = node.operands
                    for x in operands:
                        if isinstance(x, Value):
                            p = x
                            if p._pending:
                                moves = True
                    if not moves:
                        continue
                    if node._code == CUSTOM:
                        raise TypeError(
                            f"a trace records rows of the table of operations, and {node.op!r} "
                            "(made by custom, implicit or checkpoint) is none; write it with the "
                            "functions of autograd_bp, or compute it outside the traced function"
                        )
                    indices = [_index(recording, x) for x in operands]
                else:
                    p = node._a
                    if p is not None and p._pending:
                        moves = True
                    p = node._b
                    if p is not None and p._pending:
                        moves = True
                    if not moves:
                        continue
                    indices = [_index(recording, node._da if node._a is None else node._a)]
                    if _TWO[node._code]:
                        indices.append(_index(recording, node._db if node._b is None else node._b))
                operand.extend(indices)
                code.append(node._code)
                first.append(len(operand))
                number.append(0.0)
                seen.append(node)
                node._pending = len(code)
                if node._details is not None and node._details.label:
                    recording.labels[node._pending - 1] = node._details.label
            where: list[int] = [_index(recording, y) for y in outputs]
        finally:
            for node in seen:
                node._pending = 0
    return recording, where


@cython.cfunc
def _index(recording: Any, x: Any) -> Any:
    """The instruction that a node or a plain number is."""
    if isinstance(x, Value):
        node: Value = x
        if node._pending:
            return node._pending - 1
        return recording.constant(node._data)
    return recording.constant(float(x))


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
