"""A program made ready to run: instructions in batches that one loop each carries out.

What depends on no lane is computed once, in *slots*: numbers in one array. There the loops run
over instructions: all that have the same operation and the same distance from the leaves are
one step. What depends on a lane is computed in *rows*, one number for each lane of a block, and
the loops run over lanes.

Steps are rows of six whole numbers, (operation, n, k, out, args, extra); ``args`` is where the
operands begin in ``index``. Besides the rows of the table there are four operations:

COPY      slots[out + i] = slots[index[args + i]], for i < n
PRODUCT   slots[out + i·m + j] = b_ij + Σ_l p_il q_jl, for n rows p and m = ``extra`` rows q of k
          slots each; the operands are p row by row, q column by column, b row by row
LAYER     n neurons that read the same k rows x: rows[out + i] = b_i + Σ_j w_ij x_j. The weights
          stand in slots from ``extra`` on, in tiles of four neurons: b, then w_j for each j
OUTER     sums[index[...]] += Σ over lanes p_i q_j, for n rows p and k rows q

and the last three of `carry_dot` and `carry`, where 0·∞ is 0: their codes are in CARRYING.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from autograd_bp.ops import CODES, TABLE, Op
from autograd_bp.program.instructions import (
    Floats,
    Instructions,
    Ints,
    grouped_by,
    offsets,
    positions,
    split_at,
)
from autograd_bp.program.products import WORTHWHILE, Product, matrix_products
from autograd_bp.program.record import descendants, levels, needed

__all__ = [
    "CARRYING", "COPY", "KEPT", "LAYER", "OUTER", "PRODUCT", "Plan", "Step", "bare", "weights_in",
]  # fmt: skip

COPY, LAYER, OUTER, PRODUCT = 200, 201, 202, 203
CARRYING = {LAYER: 205, OUTER: 206, PRODUCT: 207}
TILE = 4  # neurons of a layer that are computed at once
PRODUCTS = [CODES["*"], CODES["carry"]]
DOTS = [CODES["dot"], CODES["carry_dot"]]
CARRIES = [CODES["carry"], CODES["carry_dot"]]
COPIES = [CODES["detach"], CODES["attach"]]  # their value is that of their first operand
WORKING_SET = 1 << 19  # bytes of rows at a time: they stay in the second-level cache
SMALLEST, LARGEST = 16, 256  # lanes in a block
IS_NARY = np.array([op.is_nary for op in TABLE])
KEPT = os.cpu_count() or 1  # calls at a time whose memory is kept for later ones
SMALL = 8  # n-ary instructions fewer than this are quicker one by one

Steps = list[tuple[int, int, int, int, int, int]]


class Step(NamedTuple):
    """A step, decoded: its results are n slots or rows from ``out`` on.

    ``operation`` is a row of the table, or COPY, PRODUCT, LAYER or OUTER, of which the last three
    may be the one that ``carries``. ``operands`` are slots or rows: of a row of the table in a
    table with a row for each result; else

    COPY      the slots that are copied
    PRODUCT   p of shape (n, k), q of shape (k, m), and the bias of shape (n, m), for n·m results
    LAYER     the rows x, and from where in slots on `weights_in` finds the weights
    OUTER     the rows p, the rows q, and where in the sums the products go, p by p
    """

    operation: int
    carries: bool
    n: int
    out: int
    operands: Any


class Plan:
    """How to run instructions whose inputs are partly lanes, and sum their outputs over lanes.

    ``slots`` is the array to begin with, constants filled in. Slots begin with the ``uniform``
    inputs that are no lanes, in their order; rows begin with those that are. ``same`` lists the
    outputs that are equal in all lanes, ``same_slots`` says where they stand; ``output_row``
    where the others do, or -1. With ``reduce`` the others are in ``sums`` instead. N-ary
    instructions fewer than ``small`` are a step each. `detach` and `attach` are left out unless
    it ``derives``.
    """

    def __init__(
        self,
        program: Instructions,
        is_lane: Any,
        reduce: bool = False,
        small: int = SMALL,
        derives: bool = False,
    ) -> None:
        if not derives:
            program = bare(program)
        self.is_lane = np.asarray(is_lane, bool)
        self._spare: list[Floats] = []  # slots that no call is using
        self.rooms: list[Floats] = []  # what the kernel works in, likewise
        self._index: list[Any] = []
        self._length = 0
        self._copies: Steps = []
        self._row_steps: Steps = []
        self._program = program
        lanes = program.inputs[self.is_lane]
        varies = descendants(program, lanes) if len(lanes) else np.zeros(len(program), bool)
        self._level = levels(program)
        self._place_slots(varies, small)
        self._place_rows(varies, lanes, reduce)
        self.indices: Ints = (
            np.concatenate(self._index).astype(np.int32) if self._index else np.zeros(0, np.int32)
        )
        # How many lanes to compute at once. It depends on the program only, never on threads.
        fit = WORKING_SET // (8 * max(self.rows, 1))
        self.block = max(SMALLEST, min(LARGEST, 1 << max(fit.bit_length() - 1, 0)))
        self.slot_steps: Ints = np.concatenate([self._computed, _table(self._copies)])
        self.row_steps: Ints = _table(self._row_steps)
        for name in (
            "_index", "_computed", "_copies", "_row_steps", "_level", "_slot", "_row", "_program",
        ):  # fmt: skip
            delattr(self, name)

    def take_slots(self) -> Floats:
        """Slots to compute in, for one call at a time: what is constant in them is there."""
        try:
            return self._spare.pop()
        except IndexError:
            slots: Floats = self.slots.copy()
            return slots

    def give_back(self, slots: Floats) -> None:
        """Keep the slots for the next call. Calls in several threads get slots of their own."""
        if len(self._spare) < KEPT:
            self._spare.append(slots)

    # --- for whoever is no kernel -----------------------------------------------------------------

    @cached_property
    def in_slots(self) -> list[Step]:
        """The steps that depend on no lane."""
        return self._decoded(self.slot_steps, is_rows=False)

    @cached_property
    def in_rows(self) -> list[Step]:
        """The steps that depend on lanes."""
        return self._decoded(self.row_steps, is_rows=True)

    def _decoded(self, table: Ints, is_rows: bool) -> list[Step]:
        plain = {carrying: code for code, carrying in CARRYING.items()}
        steps = []
        for code, n, k, out, args, extra in table.tolist():
            operation = plain.get(code, code)
            index = self.indices[args:]
            operands: Any
            if operation == COPY:
                operands = index[:n]
            elif operation == PRODUCT:
                m = extra
                p, q, bias = np.split(index[: (n + m) * k + n * m], [n * k, (n + m) * k])
                operands = p.reshape(n, k), q.reshape(k, m), bias.reshape(n, m)
            elif operation == LAYER:
                operands = index[:k], extra
            elif operation == OUTER:
                operands = tuple(np.split(index[: n + k + n * k], [n, n + k]))
            else:
                count = _count(TABLE[code], k)
                operands = index[: n * count].reshape((n, count) if is_rows else (count, n))
                operands = operands if is_rows else operands.T
            steps.append(Step(operation, code != operation, n, out, operands))
        return steps

    # --- slots ------------------------------------------------------------------------------------

    def _place_slots(self, varies: Any, small: int) -> None:
        program = self._program
        given = program.inputs[~self.is_lane]
        constants = positions(program.is_constant)
        computed, starts = self._runs(positions((program.code != 0) & ~varies))
        products, single, starts = self._products_in(computed, starts)
        ids = np.concatenate([given, constants, computed])
        self._slot = np.full(len(program), -1, np.int32)
        self._slot[ids] = np.arange(len(ids), dtype=np.int32)
        self.slots: Floats = np.zeros(len(ids))
        self.slots[self._slot[constants]] = program.number[constants]
        self.uniform = len(given)
        sizes = np.diff(starts, append=len(single))
        few = IS_NARY[program.code[single]] & (sizes < small).repeat(sizes)
        steps = self._in_columns(single, np.union1d(starts, positions(few)))
        if products:
            steps = np.concatenate([steps, _table([self._product(p) for p in products])])
            steps = steps[np.argsort(steps[:, 3])]  # slots lie in the order of the levels
        self._computed: Ints = steps

    def _products_in(self, computed: Ints, starts: Ints) -> tuple[list[Product], Ints, Ints]:
        """Matrix products in runs of instructions, and the runs that are left without them.

        In ``computed`` the instructions of a product are moved together, row by row.
        """
        program = self._program
        sizes = np.diff(starts, append=len(computed))
        products: list[Product] = []
        single = np.ones(len(computed), bool)
        first = computed[starts]
        multiplications = sizes * (program.counts[first] // 2)
        fits = np.isin(program.code[first], DOTS) & (multiplications >= WORTHWHILE)
        for start, size in zip(starts[fits].tolist(), sizes[fits].tolist(), strict=True):
            run = computed[start : start + size]
            found = matrix_products(program, run)
            if found:
                members = np.concatenate([product.dots.ravel() for product in found])
                run[:] = np.concatenate([members, np.setdiff1d(run, members)])
                single[start : start + len(members)] = False
                products += found
        run_of = np.arange(len(starts)).repeat(sizes)[single]
        return products, computed[single], positions(np.diff(run_of, prepend=-1))

    def _product(self, product: Product) -> tuple[int, int, int, int, int, int]:
        dots, p, q, bias = product
        operands = [self._slot[ids].ravel() for ids in (p, q.T, bias)]
        args = self._arguments(np.concatenate(operands))
        code = self._kind(PRODUCT, dots[0, 0])
        return code, len(p), p.shape[1], int(self._slot[dots[0, 0]]), args, len(q)

    def _kind(self, code: int, instruction: int) -> int:
        """The operation for an instruction like this, of which there are two."""
        return CARRYING[code] if self._program.code[instruction] in CARRIES else code

    def _runs(self, which: Ints) -> tuple[Ints, Ints]:
        """Instructions by level, and in it those of one operation and length together.

        Returns them in this order, and where in it each run begins.
        """
        program = self._program
        return grouped_by(which, program.counts[which], program.code[which], self._level[which])

    def _in_columns(self, ids: Ints, starts: Ints) -> Ints:
        """Steps for runs of instructions, whose slots lie in this order."""
        program = self._program
        counts = program.counts[ids]
        sizes = np.diff(starts, append=len(ids))
        code, width = program.code[ids[starts]], counts[starts]
        k = np.where(np.isin(code, DOTS), width // 2, np.where(IS_NARY[code], width, 1))
        args = offsets(sizes * width)
        # Operand j of instruction i in a run of n stands at args + j·n + i.
        i = np.arange(len(ids)) - starts.repeat(sizes)
        j = np.arange(counts.sum()) - offsets(counts)[:-1].repeat(counts)
        at = (args[:-1].repeat(sizes) + i).repeat(counts) + j * sizes.repeat(sizes).repeat(counts)
        index = np.empty(len(at), np.int32)
        index[at] = self._slot[program.operand[program.first[ids].repeat(counts) + j]]
        self._index.append(index)
        self._length = len(index)
        steps = [code, sizes, k, self._slot[ids[starts]], args[:-1], np.zeros(len(starts))]
        table: Ints = np.column_stack(steps).astype(np.int32)
        return table

    def _step(
        self, steps: Steps, code: int, n: int, k: int, out: int, operands: Any, extra: int = 0
    ) -> None:
        steps.append((code, n, k, out, self._arguments(operands), extra))

    def _arguments(self, operands: Any) -> int:
        """Where these operands begin in the index, to which they are added."""
        begin = self._length
        self._index.append(np.asarray(operands).ravel())
        self._length += self._index[-1].size
        return begin

    def _copy_of(self, slots: Any) -> int:
        """New slots, next to each other, that hold what these hold; where they begin."""
        out = len(self.slots)
        self._step(self._copies, COPY, len(slots), 1, out, slots)
        self.slots = np.concatenate([self.slots, np.zeros(len(slots))])
        return out

    # --- rows -------------------------------------------------------------------------------------

    def _place_rows(self, varies: Any, lanes: Ints, reduce: bool) -> None:
        program = self._program
        self._row = np.full(len(program), -1, np.int32)
        self._row[lanes] = np.arange(len(lanes))
        self.rows = len(lanes)
        self._splats: dict[int, int] = {}
        self._factors, skipped = self._products(varies, reduce)
        live = varies & (program.code != 0)
        live[skipped] = False
        weighted: list[tuple[Ints, Ints, Ints]] = []
        for which in split_at(*self._runs(positions(live))):
            if program.code[which[0]] in DOTS:
                which, weighted = self._layers_of(which, varies)
                for ids, w, x in weighted:
                    self._layer(ids, w, x)
            if len(which):
                self._elementwise(which)
        self._reduce(varies, reduce)
        self.splats: Ints = np.array(
            [(row, slot) for slot, row in self._splats.items()], np.int32
        ).reshape(-1, 2)

    def _rows_of(self, ids: Ints) -> Ints:
        """The rows of instructions; one that is the same in all lanes is spread over a row."""
        for i in np.unique(ids[self._row[ids] < 0]).tolist():
            self._splats[int(self._slot[i])] = self.rows
            self._row[i] = self.rows
            self.rows += 1
        found: Ints = self._row[ids]
        return found

    def _new_rows(self, ids: Ints) -> int:
        self._row[ids] = self.rows + np.arange(len(ids))
        self.rows += len(ids)
        return self.rows - len(ids)

    def _elementwise(self, which: Ints) -> None:
        program = self._program
        rows = self._rows_of(program.operands_of(which))
        code = int(program.code[which[0]])
        out = self._new_rows(which)
        self._step(self._row_steps, code, len(which), _length(code, rows[0]), out, rows)

    def _layers_of(self, which: Ints, varies: Any) -> tuple[Ints, list[tuple[Ints, Ints, Ints]]]:
        """Among dots of one length those with uniform weights, as layers; and what is left."""
        program = self._program
        operands = program.operands_of(which)
        n = operands.shape[1] // 2
        w, x, bias = operands[:, :n], operands[:, n : 2 * n], operands[:, -1]
        swap = varies[w] & ~varies[x]
        w, x = np.where(swap, x, w), np.where(swap, w, x)
        fits = (~varies[w]).all(axis=1) & varies[x].all(axis=1) & ~varies[bias]
        groups: dict[bytes, list[int]] = {}
        for i in np.flatnonzero(fits).tolist():
            groups.setdefault(x[i].tobytes(), []).append(i)
        layers = [
            (which[rows], np.column_stack([bias[rows], w[rows]]), x[rows[0]])
            for rows in groups.values()
        ]
        return which[~fits], layers

    def _layer(self, ids: Ints, weights: Ints, x: Ints) -> None:
        """Neurons ``ids`` that read x with these weights, the bias first."""
        tiles = -(-len(ids) // TILE)
        padded = weights[np.minimum(np.arange(tiles * TILE), len(ids) - 1)]
        tiled = padded.reshape(tiles, TILE, -1).transpose(0, 2, 1)
        begin = self._copy_of(self._slot[tiled].ravel())
        rows = self._rows_of(x)
        out = self._new_rows(ids)
        kind = self._kind(LAYER, ids[0])
        self._step(self._row_steps, kind, len(ids), len(x), out, rows, begin)

    # --- sums over lanes --------------------------------------------------------------------------

    def _products(self, varies: Any, reduce: bool) -> tuple[dict[int, Any], Ints]:
        """Outputs that are sums of products and nothing else: these need no row of their own."""
        if not reduce:
            return {}, np.zeros(0, np.int32)
        program = self._program
        used = np.bincount(program.operand, minlength=len(program)) > 0
        factors: dict[int, Any] = {}
        for i in np.unique(program.outputs).tolist():
            operands = program.operand[program.first[i] : program.first[i + 1]]
            if used[i] or not varies[i]:
                continue
            if program.code[i] in PRODUCTS:
                factors[i] = operands[:1], operands[1:]
            elif program.code[i] in DOTS and self._is_zero(operands[-1]):
                n = len(operands) // 2
                factors[i] = operands[:n], operands[n : 2 * n]
        return factors, np.array(list(factors), np.int32)

    def _is_zero(self, i: int) -> bool:
        program = self._program
        return bool(program.is_constant[i] and program.number[i] == 0.0)

    def _reduce(self, varies: Any, reduce: bool) -> None:
        program = self._program
        outputs = program.outputs
        self.same = np.flatnonzero(~varies[outputs])
        self.same_slots: Ints = self._slot[outputs[self.same]]
        self.keeps_rows = not reduce and len(self.same) < len(outputs)
        self.output_row: Ints = np.full(len(outputs), -1, np.int32)
        if not reduce:
            self.output_row[:] = np.where(varies[outputs], self._row[outputs], -1)
            return
        ones = self._row_of_ones()
        factors = {
            i: [self._rows_of(ids).tolist() for ids in pair] for i, pair in self._factors.items()
        }
        kinds = {i: self._kind(OUTER, i) for i in factors}
        # What is multiplied by 1 goes with other products of its row, of whichever kind.
        kind_of = {a: kinds[i] for i, (p, _) in factors.items() for a in p}
        pairs: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for at, i in enumerate(outputs.tolist()):
            if i in factors:
                for a, b in zip(*factors[i], strict=True):
                    pairs.setdefault((kinds[i], a), []).append((b, at))
            elif varies[i]:
                a = int(self._row[i])
                pairs.setdefault((kind_of.get(a, OUTER), a), []).append((ones, at))
        blocks: dict[tuple[int, tuple[int, ...]], list[tuple[int, list[int]]]] = {}
        for (kind, p), found in pairs.items():
            found.sort()
            q = tuple([b for b, _ in found])
            blocks.setdefault((kind, q), []).append((p, [at for _, at in found]))
        for (kind, q), block in blocks.items():
            rows = [p for p, _ in block]
            places = [at for _, ats in block for at in ats]
            self._step(self._row_steps, kind, len(rows), len(q), 0, [*rows, *q, *places])

    def _row_of_ones(self) -> int:
        ones = len(self.slots)
        self.slots = np.append(self.slots, 1.0)
        self._splats[ones] = self.rows
        self.rows += 1
        return self.rows - 1


def bare(program: Instructions) -> Instructions:
    """The same without `detach` and `attach`, which matter to derivatives only."""
    copies = positions(np.isin(program.code, COPIES))
    if not len(copies):
        return program
    first_operand = program.operand[program.first[copies]].tolist()
    stands_for = np.arange(len(program), dtype=np.int32)
    for i, j in zip(copies.tolist(), first_operand, strict=True):
        stands_for[i] = stands_for[j]
    program = replace(
        program,
        operand=stands_for[program.operand],
        outputs=stands_for[program.outputs],
        labels={int(stands_for[i]): label for i, label in program.labels.items()},
    )
    return needed(program)


def weights_in(slots: Any, begin: int, n: int, k: int) -> Any:
    """What a layer has in slots, of shape (n, k + 1): each neuron's bias, then its weights."""
    tiles = -(-n // TILE)
    packed = slots[begin : begin + tiles * TILE * (k + 1)].reshape(tiles, k + 1, TILE)
    return packed.transpose(0, 2, 1).reshape(tiles * TILE, k + 1)[:n]


def _table(steps: Steps) -> Ints:
    return np.array(steps, np.int32).reshape(-1, 6)


def _count(op: Op, length: int) -> int:
    """How many operands an operation takes whose sequences have this length."""
    return len(op.operands) - op.sequences + op.sequences * length


def _length(code: int, operands: Any) -> int:
    """How many elements each sequence has; 1 for an operation without."""
    return len(operands) // 2 if code in DOTS else len(operands) if TABLE[code].is_nary else 1
