"""The matrices in scalar code: a plan read back as the formulas of a textbook.

A `Plan` has already found what is regular: neurons that read the same inputs are a layer,
products that fill a grid are an outer product. Here these are named. A *block* is a set of rows
that were made alike, the columns of a matrix with a row for each lane: the inputs X, the
pre-activations Z1 of layer 1, and so on. A block that is used as δ in the gradient of the
weights of layer l is called Δl; any other is written out where it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograd_bp.ops import CODES, TABLE, Op, grouped
from autograd_bp.program.derive import gradient
from autograd_bp.program.plan import COPY, LAYER, OUTER, Plan, weights_in
from autograd_bp.program.signature import Function

__all__ = ["formulas"]

MULTIPLY = TABLE[CODES["*"]]
SUM, PRODUCT, ATOM = 1, 2, 3  # how tightly a formula holds together


@dataclass
class Block:
    """Rows that stand for the columns of one matrix."""

    width: int
    text: str
    binding: int = ATOM
    layer: int = 0  # which layer's pre-activations these are; 0 for none

    def inside(self, binding: int) -> str:
        """The formula as part of one that holds together so tightly."""
        return self.text if self.binding >= binding else f"({self.text})"


@dataclass
class Weights:
    """The weights of a layer: slots of the parameters, a row for each neuron."""

    grid: Any
    input: Block


def formulas(program: Function) -> str:
    """What `Program.explain` returns."""
    whole = gradient(program) if program.result.size == 1 else program
    sizes = [layout.size for layout in program.arguments]
    lanes = np.repeat([False] + [True] * (len(sizes) - 1), sizes)
    if not lanes.any():
        return f"no argument besides the first has lanes\n{_tape(len(program))}"
    return _Reader(program, Plan(whole.instructions, lanes, reduce=True)).text()


def _tape(n: int) -> str:
    return f"on the tape: {n} scalar instruction{'' if n == 1 else 's'}"


class _Reader:
    def __init__(self, program: Function, plan: Plan) -> None:
        self.plan = plan
        self.lines: list[tuple[str, str]] = []  # a formula and its shapes
        self.irregular = 0
        self.weights: list[Weights] = []
        self.block_of: dict[int, tuple[Block, int]] = {}  # a row: its block, and its column there
        self.backward: dict[int, list[tuple[str, str]]] = {}  # of each layer
        self.slot_of = dict(plan.splats.tolist())
        # Rows that are multiplied with the inputs of a layer, and with which: its Δ.
        self.deltas: dict[frozenset[int], Any] = {}
        for step in plan.in_rows:
            if step.operation == OUTER:
                p, q, _ = step.operands
                self.deltas[frozenset(p.tolist())] = q
        row = 0
        for layout in program.arguments[1:]:
            name = layout.name if layout.size == 1 else layout.name.upper()
            block = Block(layout.size, name)
            for column in range(layout.size):
                self.block_of[row] = block, column
                row += 1
        names = [n for layout in program.arguments[:1] for n in layout.names]
        for at, slot in self.slot_of.items():
            text = names[slot] if slot < plan.uniform else f"{plan.slots[slot]:g}"
            self.block_of[at] = Block(1, text), 0
        self.source = np.arange(len(plan.slots))  # where a copied slot comes from
        for step in plan.in_slots:
            if step.operation == COPY:
                self.source[step.out : step.out + step.n] = step.operands

    def text(self) -> str:
        for step in self.plan.in_rows:
            if step.operation == LAYER:
                self._layer(step.n, step.out, *step.operands)
            elif step.operation == OUTER:
                self._outer(*step.operands)
            else:
                self._elementwise(TABLE[step.operation], step.operands, step.out)
        for number in sorted(self.backward, reverse=True):
            self.lines += self.backward[number]
        width = max((len(formula) for formula, _ in self.lines), default=0)
        lines = [f"{formula:{width}}   {shapes}".rstrip() for formula, shapes in self.lines]
        return "\n".join([*lines, *([_tape(self.irregular)] if self.irregular else [])])

    # --- layers -----------------------------------------------------------------------------------

    def _layer(self, n: int, out: int, rows: Any, begin: int) -> None:
        k = len(rows)
        found = self._whole_block(rows)
        grid = weights_in(self.source, begin, n, k)
        if found is None:
            self._on_tape(range(out, out + n))
            return
        x, columns = found
        bias, w = grid[:, 0], grid[:, 1:][:, np.argsort(columns)]
        for number, weights in enumerate(self.weights, 1):
            turned = {tuple(column): j for j, column in enumerate(weights.grid.T.tolist())}
            places = [turned.get(tuple(row)) for row in w.tolist()]
            if len(turned) == n and None not in places:
                block = Block(n, f"{x.inside(PRODUCT)}·W{number}", SUM)
                self._place(block, range(out, out + n), [int(i or 0) for i in places])
                return
        if (w >= self.plan.uniform).any():  # not the parameters themselves
            self._on_tape(range(out, out + n))
            return
        self.weights.append(Weights(w, x))
        number = len(self.weights)
        has_bias = bool((bias < self.plan.uniform).all())
        formula = f"Z{number} = {x.inside(PRODUCT)}·W{number}ᵀ" + f" + b{number}" * has_bias
        self.lines.append((formula, f"(N×{n}) = (N×{k})·({k}×{n})" + f" + ({n})" * has_bias))
        self._place(Block(n, f"Z{number}", layer=number), range(out, out + n), range(n))

    def _outer(self, p: Any, q: Any, places: Any) -> None:
        n, k = len(p), len(q)
        cost = places[0] == 0
        ones = [i for i, row in enumerate(q.tolist()) if self._text(row) == "1"]
        rest = np.delete(q, ones)
        delta, x = self._whole_block(p), self._whole_block(rest)
        if delta is None or (len(rest) and x is None):
            self.irregular += n * k
            return
        block = delta[0]
        if cost and n == k == 1:
            factors = block.text if x is None else _formula(MULTIPLY, [block, x[0]], 1).text
            self.lines.append((f"C = Σ {factors}", "over N lanes"))
            return
        number = self._layer_that_reads(x[0]) if x is not None else 0
        if x is None or not number:
            self.lines.append((f"∂C = Σ {block.text}", "over N lanes"))
            return
        lines = self.backward.setdefault(number, [])
        gradient = f"∂C/∂W{number} = {block.inside(PRODUCT)}ᵀ·{x[0].inside(PRODUCT)}"
        lines.append((gradient, f"({n}×{len(rest)}) = ({n}×N)·(N×{len(rest)})"))
        if ones:
            lines.append((f"∂C/∂b{number} = {block.inside(PRODUCT)}ᵀ·1", f"({n})"))

    def _layer_that_reads(self, x: Block) -> int:
        return next((i for i, w in enumerate(self.weights, 1) if w.input is x), 0)

    def _place(self, block: Block, rows: Sequence[int], columns: Sequence[int]) -> None:
        """Let these rows be the block; a block that is some layer's Δ gets that name."""
        factors = self.deltas.get(frozenset(rows))
        for column in factors if factors is not None else ():
            x = self.block_of.get(int(column))
            number = self._layer_that_reads(x[0]) if x else 0
            if number and number not in self.backward:
                self.backward[number] = [(f"Δ{number} = {block.text}", f"(N×{block.width})")]
                block = Block(block.width, f"Δ{number}")
        for row, column in zip(rows, columns, strict=True):
            self.block_of[row] = block, column

    # --- elementwise ------------------------------------------------------------------------------

    def _elementwise(self, op: Op, rows: Any, out: int) -> None:
        if op.is_nary:
            for i, row in enumerate(rows.tolist()):
                self._reduction(op, row, out + i)
            return
        alike: dict[tuple[int, ...], list[int]] = {}
        for i, operands in enumerate(rows.tolist()):
            kinds = tuple([self._kind(j) for j in operands])
            alike.setdefault(kinds, []).append(i)
        for members in alike.values():
            self._alike(op, rows[members], [out + i for i in members])

    def _kind(self, row: int) -> int:
        """What tells operands apart: their block; all that are the same in every lane are one."""
        if row in self.slot_of:
            return 0
        return id(self.block_of[row][0]) if row in self.block_of else -1

    def _alike(self, op: Op, rows: Any, outs: list[int]) -> None:
        """Instructions whose operands come from the same blocks."""
        width, blocks = len(outs), []
        columns: list[int] | None = None
        for operand in np.transpose(rows).tolist():
            found = self._columns(operand)
            if found is None:
                self._on_tape(outs)
                return
            block, at = found
            if width > 1 and block.width == width:
                if columns not in (None, at):
                    self._on_tape(outs)
                    return
                columns = at
            blocks.append(block)
        block = _formula(op, blocks, width)
        layer = blocks[0].layer if len(blocks) == 1 else 0
        if layer and not any(name.startswith(f"A{layer} =") for name, _ in self.lines):
            self.lines.append((f"A{layer} = {block.text}", f"(N×{width})"))
            block = Block(width, f"A{layer}")
        self._place(block, outs, columns or range(width))

    def _columns(self, rows: list[int]) -> tuple[Block, list[int]] | None:
        """The block that these operands are, each once, or one column of it repeated."""
        width = len(rows)
        slots = [self.slot_of[row] for row in rows if row in self.slot_of]
        if len(slots) == width and len(set(slots)) > 1:
            for number, weights in enumerate(self.weights, 1):
                flat = weights.grid.ravel().tolist()
                if len(flat) == width and set(flat) == set(slots):
                    return Block(width, f"W{number}"), [flat.index(slot) for slot in slots]
            if min(slots) < self.plan.uniform or len(set(slots)) < width:
                return None
            numbers = self.plan.slots[slots].tolist()
            ends = f"[{min(numbers):g} … {max(numbers):g}]"
            return Block(width, ends), [sorted(numbers).index(x) for x in numbers]
        found = [self.block_of[row] for row in rows if row in self.block_of]
        if len(found) < width:
            return None
        block = found[0][0]
        at = [column for _, column in found]
        whole = block.width == width and len(set(at)) == width
        return (block, at) if whole or block.width == 1 else None

    def _reduction(self, op: Op, row: list[int], out: int) -> None:
        parts = []
        for group in grouped(op, row):
            members = group if isinstance(group, list) else [group]
            found = self._whole_block(members)
            if found is None:
                self._on_tape([out])
                return
            parts.append(found[0].text)
        self.block_of[out] = Block(1, f"{op.name}({', '.join(parts)})"), 0

    # --- rows -------------------------------------------------------------------------------------

    def _whole_block(self, rows: Sequence[int] | Any) -> tuple[Block, list[int]] | None:
        """The block that these rows are all of, and their columns in it."""
        found = [self.block_of.get(int(row)) for row in rows]
        if not found or found[0] is None:
            return None
        block = found[0][0]
        columns = [f[1] for f in found if f is not None and f[0] is block]
        return (block, columns) if sorted(columns) == list(range(block.width)) else None

    def _text(self, row: int) -> str:
        return self.block_of[row][0].text if row in self.block_of else ""

    def _on_tape(self, rows: Sequence[int]) -> None:
        """Rows that belong to no matrix: each is a block of its own, named by its row."""
        self.irregular += len(rows)
        for row in rows:
            self._place(Block(1, f"r{row}"), [row], [0])


def _formula(op: Op, blocks: list[Block], width: int) -> Block:
    if op.name == "neg":
        return Block(width, f"−{blocks[0].inside(PRODUCT)}", PRODUCT)
    if op.name == "+" and blocks[0] is blocks[1]:
        return Block(width, f"2·{blocks[0].inside(PRODUCT)}", PRODUCT)
    if op.name == "+":
        return Block(width, " + ".join(b.inside(SUM) for b in blocks), SUM)
    if op.name == "-":
        return Block(width, f"{blocks[0].inside(SUM)} − {blocks[1].inside(PRODUCT)}", SUM)
    if op.name in ("*", "carry"):
        a, b = blocks
        if b.text.startswith("W"):
            return Block(width, f"{a.inside(PRODUCT)}·{b.text}", SUM)
        sign = "·" if 1 in (a.width, b.width) and width > 1 else "⊙"
        sign = f" {sign} " if "⊙" in b.text else sign
        return Block(width, f"{a.inside(PRODUCT)}{sign}{b.inside(PRODUCT)}", PRODUCT)
    if op.name in ("<", "<="):
        sign = "≤" if op.name == "<=" else "<"
        return Block(width, f"({blocks[0].text} {sign} {blocks[1].text})")
    name = "σ" if op.name == "sigmoid" else op.name
    return Block(width, f"{name}({', '.join(b.text for b in blocks)})")
