"""Instructions: a graph of scalars as arrays, in an order in which operands come before results.

`Instructions` is the finished form, `Builder` the growing one. A builder takes whole arrays of
instructions at a time (`Slots`), so that writing a million of them costs a few calls of NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autograd_bp.ops import CODES, TABLE
from autograd_bp.program import record

__all__ = [
    "Bools", "Builder", "Floats", "Instructions", "Ints", "Slots",
    "grouped_by", "offsets", "positions", "split_at",
]  # fmt: skip

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FORMAT = 1  # of pickles
AGAIN = "Trace the function again, or load it where it was pickled."
SEQUENCES = np.array([op.sequences for op in TABLE])
SINGLE = np.array([len(op.operands) for op in TABLE]) - SEQUENCES  # operands besides

COPIES = [CODES["detach"], CODES["attach"]]  # their value is that of their first operand


@dataclass(frozen=True)
class Instructions:
    """What `Program` runs.

    ``code[i]`` is the row of the table for instruction i, 0 for an input or a constant.
    ``operand[first[i]:first[i + 1]]`` are the instructions that it takes, in the table's order
    (the elements of a sequence one after another). ``number[i]`` is the constant. ``inputs``
    and ``outputs`` are instructions; ``labels`` are those of the recorded nodes.

    Loops in C run over these arrays and trust them. So they are checked here, whoever made them,
    and cannot be written to any more; ValueError says what does not fit.
    """

    code: NDArray[np.int16]
    first: Ints
    operand: Ints
    number: Floats
    inputs: Ints
    outputs: Ints
    labels: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds = {"code": np.int16, "number": np.float64}
        for name in ("code", "first", "operand", "number", "inputs", "outputs"):
            array, kind = getattr(self, name), np.dtype(kinds.get(name, np.int32))
            if not (isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype == kind):
                raise ValueError(f"{name} must be an array of {kind} with one axis, got {array!r}")
            array = np.ascontiguousarray(array)[:]
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        n, edges = len(self.code), len(self.operand)
        if len(self.number) != n or len(self.first) != n + 1:
            raise ValueError(
                f"for {n} instructions there must be {n} numbers and {n + 1} entries of first; "
                f"got {len(self.number)} and {len(self.first)}"
            )
        counts = self.counts
        if self.first[0] != 0 or self.first[-1] != edges or (counts < 0).any():
            raise ValueError(f"first must rise from 0 to {edges}, the number of operands")
        self._refuse(
            (self.code < 0) | (self.code >= len(TABLE)),
            lambda i: f"has the code {self.code[i]}; the table has rows 0 to {len(TABLE) - 1}",
        )
        more, sequences = counts - SINGLE[self.code], SEQUENCES[self.code]
        self._refuse(
            (more < 0)
            | np.where(sequences > 0, more % np.maximum(sequences, 1), more).astype(bool),
            lambda i: f"({TABLE[self.code[i]].name}) cannot have {counts[i]} operands",
        )
        strange = (self.operand < 0) | (self.operand >= self.consumer)
        if strange.any():
            i, j = self.consumer[strange][0], self.operand[strange][0]
            raise ValueError(f"instruction {i} takes {j}; operands must come before it")
        for name in ("inputs", "outputs"):
            array = getattr(self, name)
            if ((array < 0) | (array >= n)).any():
                raise ValueError(f"{name} must be instructions, 0 to {n - 1}; got {array.tolist()}")
        if self.code[self.inputs].any() or len(np.unique(self.inputs)) < len(self.inputs):
            raise ValueError("inputs must be instructions of code 0, each another")

    def _refuse(self, wrong: Bools, what: Callable[[int], str]) -> None:
        for i in np.flatnonzero(wrong)[:1].tolist():
            raise ValueError(f"instruction {i} {what(i)}")

    def __getstate__(self) -> dict[str, Any]:
        # By name: a row's number is another where the table has one row more.
        rows, code = np.unique(self.code, return_inverse=True)
        operations = [(TABLE[row].name, *TABLE[row].operands) for row in rows.tolist()]
        return {"format": FORMAT, "operations": operations, **vars(self), "code": code}

    def __setstate__(self, state: dict[str, Any]) -> None:
        found = state.get("format")
        if found != FORMAT:
            age = "an older" if found is None else "another"
            raise ValueError(
                f"this program was pickled by {age} version of autograd-bp, in format {found}; "
                f"this one reads format {FORMAT}. {AGAIN}"
            )
        known = {(op.name, *op.operands): code for code, op in enumerate(TABLE)}
        fields = dict(state)
        del fields["format"]
        operations = fields.pop("operations")
        for name, *operands in operations:
            if (name, *operands) not in known:
                raise ValueError(
                    f"this program was pickled with an operation {name}({', '.join(operands)}), "
                    f"which the table of this autograd-bp does not have. {AGAIN}"
                )
        rows = np.array([known[tuple(operation)] for operation in operations], np.int16)
        fields["code"] = rows[fields["code"]]
        self.__init__(**fields)  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self.code)

    @property
    def counts(self) -> Ints:
        """How many operands each instruction has."""
        return np.diff(self.first)

    @property
    def consumer(self) -> Ints:
        """For each entry of ``operand``, whose it is."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.counts)

    @property
    def is_constant(self) -> Bools:
        """Which instructions are numbers."""
        constant: Bools = self.code == 0
        constant[self.inputs] = False
        return constant

    def descendants(self, of: Any, keep: Bools | None = None) -> Bools:
        """Which instructions are among these, or made from some by the operands to keep."""
        mark = np.zeros(len(self), np.int8)
        mark[of] = 1
        record.descendants(self.first, self.operand, self._kept(keep), mark)
        return mark.view(bool)

    def ancestors(self, of: Any, keep: Bools | None = None) -> Bools:
        """Which instructions are among these, or some are made from by the operands to keep."""
        mark = np.zeros(len(self), np.int8)
        mark[of] = 1
        record.ancestors(self.first, self.operand, self._kept(keep), mark)
        return mark.view(bool)

    def _kept(self, keep: Bools | None) -> Any:
        return np.ones(len(self.operand), np.int8) if keep is None else keep.view(np.int8)

    def levels(self) -> Ints:
        """The length of the longest way from a leaf to each instruction."""
        level = np.zeros(len(self), np.int32)
        record.levels(self.first, self.operand, level)
        return level

    def operands_of(self, which: Ints) -> Ints:
        """The operands of instructions that have equally many, a row for each."""
        start = self.first[which]
        count = int(self.first[which[0] + 1] - start[0]) if len(which) else 0
        rows: Ints = self.operand[start[:, None] + np.arange(count, dtype=np.int32)]
        return rows

    def bare(self) -> Instructions:
        """The same without `detach` and `attach`, which matter to derivatives only."""
        copies = positions(np.isin(self.code, COPIES))
        if not len(copies):
            return self
        first_operand = self.operand[self.first[copies]].tolist()
        stands_for = np.arange(len(self), dtype=np.int32)
        for i, j in zip(copies.tolist(), first_operand, strict=True):
            stands_for[i] = stands_for[j]
        program = Instructions(
            self.code,
            self.first,
            stands_for[self.operand],
            self.number,
            self.inputs,
            stands_for[self.outputs],
            {int(stands_for[i]): label for i, label in self.labels.items()},
        )
        keep = program.ancestors(program.outputs)
        keep[program.inputs] = True
        return program.selected(keep)

    def selected(self, keep: Bools) -> Instructions:
        """These instructions without those that nothing kept needs. Inputs must be kept."""
        new = np.cumsum(keep, dtype=np.int32) - 1
        counts = self.counts
        return Instructions(
            self.code[keep],
            offsets(counts[keep]),
            new[self.operand[np.repeat(keep, counts)]].astype(np.int32),
            self.number[keep],
            new[self.inputs].astype(np.int32),
            new[self.outputs].astype(np.int32),
            {int(new[i]): label for i, label in self.labels.items() if keep[i]},
        )


def positions(mask: Any) -> Ints:
    """Where a mask is set."""
    return np.flatnonzero(mask).astype(np.int32)


def grouped_by(which: Ints, *keys: Any) -> tuple[Ints, Ints]:
    """Elements sorted so that those with equal keys are neighbours, and where each group begins.

    The last key counts first; within a group the order stays.
    """
    order = np.lexsort(keys)
    is_new = np.zeros(len(which), bool)
    is_new[:1] = True
    for key in keys:
        is_new[1:] |= np.diff(key[order]) != 0
    return which[order], positions(is_new)


def split_at(which: Ints, starts: Ints) -> list[Ints]:
    """An array in parts that begin there."""
    return np.split(which, starts[1:]) if len(which) else []


def offsets(counts: Any) -> Ints:
    """Where each of so many things begins, and where the last one ends."""
    first = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=first[1:])
    return first


class Slots:
    """An array of instructions, with the operators of the table; each writes as many again."""

    __array_ufunc__ = None  # NumPy leaves the operators to this class

    def __init__(self, builder: Builder, ids: Any) -> None:
        self.builder = builder
        self.ids: Ints = np.asarray(ids, np.int32)

    def __add__(self, other: Any) -> Any:
        return self.builder.emit("+", self, other)

    def __radd__(self, other: Any) -> Any:
        return self.builder.emit("+", other, self)

    def __sub__(self, other: Any) -> Any:
        return self.builder.emit("-", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.builder.emit("-", other, self)

    def __mul__(self, other: Any) -> Any:
        return self.builder.emit("*", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.builder.emit("*", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self.builder.emit("/", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.builder.emit("/", other, self)

    def __neg__(self) -> Any:
        return self.builder.emit("neg", self)

    def __abs__(self) -> Any:
        return self.builder.emit("abs", self)


class Builder:
    """Instructions that grow, beginning with those given."""

    def __init__(self, start: Instructions) -> None:
        self._start = start
        self._codes = [start.code]
        self._counts = [start.counts]
        self._operands = [start.operand]
        self._numbers = [start.number]
        self.size = len(start)
        constants = np.flatnonzero(start.is_constant)
        self._constants: dict[str, int] = {
            repr(number): int(i)
            for i, number in zip(constants, start.number[constants].tolist(), strict=True)
        }
        self._inputs = start.inputs.tolist()

    def constant(self, number: float) -> int:
        """The instruction that is this number."""
        key = repr(float(number))
        if key not in self._constants:
            self._constants[key] = self._leaf(number)
        return self._constants[key]

    def input(self) -> int:
        """A new input, after those that there are."""
        self._inputs.append(self._leaf(0.0))
        return int(self._inputs[-1])

    def _leaf(self, number: float) -> int:
        none = np.zeros(0, np.int32)
        self.write(np.zeros(1, np.int16), np.zeros(1, np.int32), none, np.array([number]))
        return self.size - 1

    def write(
        self, codes: NDArray[np.int16], counts: Ints, operands: Ints, numbers: Any = None
    ) -> Ints:
        """Add instructions; returns which they are."""
        ids = np.arange(self.size, self.size + len(codes), dtype=np.int32)
        self._codes.append(codes)
        self._counts.append(counts.astype(np.int32))
        self._operands.append(operands.astype(np.int32))
        self._numbers.append(np.zeros(len(codes)) if numbers is None else numbers)
        self.size += len(codes)
        return ids

    def emit(self, name: str, *operands: Any) -> Slots:
        """An operation of the table on `Slots` and numbers, elementwise."""
        ids = [x.ids if isinstance(x, Slots) else self.constant(x) for x in operands]
        grid = np.broadcast_arrays(*ids)
        rows = np.stack([x.ravel() for x in grid], axis=1)
        n, k = rows.shape
        codes = np.full(n, CODES[name], np.int16)
        written = self.write(codes, np.full(n, k, np.int32), rows.ravel())
        return Slots(self, written.reshape(grid[0].shape))

    def finish(self, outputs: Any, keep_labels: bool = True) -> Instructions:
        """The instructions with these outputs."""
        return Instructions(
            np.concatenate(self._codes),
            offsets(np.concatenate(self._counts)),
            np.concatenate(self._operands),
            np.concatenate(self._numbers),
            np.asarray(self._inputs, np.int32),
            np.asarray(outputs, np.int32),
            dict(self._start.labels) if keep_labels else {},
        )

    def arithmetic(self) -> dict[str, Any]:
        """What `ArrayReading` needs to write instructions by the table's expressions."""

        def function(name: str) -> Any:
            return lambda *operands: self.emit(name, *operands)

        def equal(a: Any, b: Any) -> Any:
            return self.emit("*", self.emit("<=", a, b), self.emit("<=", b, a))

        def either(p: Any, q: Any) -> Any:
            return self.emit("maximum", p, q)

        named = {op.name: function(op.name) for op in TABLE if op.operands and not op.is_nary}
        return named | {
            "pow": function("**"),
            "less": function("<"),
            "less_equal": function("<="),
            "equal": equal,
            "unequal": lambda a, b: 1.0 - equal(a, b),
            "both": function("*"),
            "either": either,
        }
