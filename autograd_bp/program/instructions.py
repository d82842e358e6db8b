"""Instructions: a graph of scalars as arrays, in an order in which operands come before results.

This is the finished form; how instructions grow, and walks over them, are in `record`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autograd_bp.ops import TABLE, Op, grouped

__all__ = [
    "Bools", "Floats", "Instructions", "Ints",
    "columns_of", "grouped_by", "offsets", "positions", "split_at",
]  # fmt: skip

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FORMAT = 2  # of pickles
AGAIN = "Trace the function again, or load it where it was pickled."
SEQUENCES = np.array([op.sequences for op in TABLE])
SINGLE = np.array([len(op.operands) for op in TABLE]) - SEQUENCES  # operands besides


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
        code = np.asarray(fields["code"])
        if code.dtype.kind not in "iu" or ((code < 0) | (code >= len(rows))).any():
            raise ValueError(
                f"the {len(rows)} operations that this program was pickled with do not fit its "
                f"instructions, {code.tolist()}: what holds it was damaged. {AGAIN}"
            )
        fields["code"] = rows[code]
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

    def operands_of(self, which: Ints) -> Ints:
        """The operands of instructions that have equally many, a row for each."""
        start = self.first[which]
        count = int(self.first[which[0] + 1] - start[0]) if len(which) else 0
        rows: Ints = self.operand[start[:, None] + np.arange(count, dtype=np.int32)]
        return rows

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


def columns_of(op: Op, count: int) -> list[slice]:
    """Where each operand of an operation stands among its so many operands in a row."""
    groups = [x if isinstance(x, list) else [x] for x in grouped(op, range(count))]
    ends = np.cumsum([len(group) for group in groups]).tolist()
    return [slice(end - len(group), end) for group, end in zip(groups, ends, strict=True)]


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
