# cython: language_level=3, cdivision=True, initializedcheck=False, auto_pickle=False, binding=False
"""A recorded graph as arrays: first and second derivatives in sweeps that leave the nodes alone.

`Value.backward` writes gradients onto the nodes, for people to read. The transformations want
numbers instead, often many times over one graph: a row of a Jacobian for each output, a column
of a Hessian for each input. A `Tape` sorts the graph once; each sweep is then a loop.

Like `value.py`, this is ordinary Python that Cython compiles where it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd_bp import ops
from autograd_bp.ops import CODES, TABLE, grouped
from autograd_bp.rules import IEEE, second_rule
from autograd_bp.value import _nodes, consumers_first, expect_graphs, let_go, peek, run_hooks

try:
    from autograd_bp._pure import cython
except ImportError:  # never at run time: this line tells the compiler which name is its own
    import cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.autograd_bp.value import PyGC_Disable, PyGC_Enable, Value
    from cython.cimports.cpython.mem import PyMem_Calloc, PyMem_Free
else:
    from autograd_bp._pure import set_grads
    from autograd_bp.value import Value

__all__ = ["Tape", "condense"]

MUL = cython.declare(cython.short, CODES["*"])
CARRY = cython.declare(cython.short, CODES["carry"])
DOT = cython.declare(cython.short, CODES["dot"])
CODE = cython.declare(cython.int, (1 << ops.CODE_BITS) - 1)
SHIFT = cython.declare(cython.int, ops.MARK_SHIFT)
KEPT = cython.declare(cython.longlong, (1 << ops.MARK_SHIFT) - 1)
# Operations whose local derivatives are constants or values of operands.
_STRAIGHT = frozenset(
    CODES[name] for name in ("+", "-", "*", "carry", "neg", "dot", "sum_of", "mean")
)


@cython.no_gc
@cython.cclass
class _Numbers:
    """A number for each node of a tape; freed with the last reference, also where a rule raises."""

    __slots__ = ("at",)

    at: cython.p_double

    def __dealloc__(self) -> None:
        PyMem_Free(self.at)


@cython.cclass
class Tape:
    """The part of a graph that leads from ``inputs`` to ``outputs``.

    Whatever does not depend on an input is a constant of the tape. An input may itself depend
    on another: then its derivative is that of everything computed from it, unless ``cut`` says
    to treat inputs as leaves. Making the tape, and each sweep, cost time and memory proportional
    to the graph.

    >>> from autograd_bp import Value
    >>> x, y = Value(2.0), Value(3.0)
    >>> tape = Tape([x, y], [x * y, x + y])
    >>> tape.pull_back([1.0, 0.0])  # a row of the Jacobian
    [3.0, 2.0]
    >>> tape.push_forward([1.0, 0.0])  # a column
    [3.0, 1.0]
    >>> tape.curve([1.0, 0.0], [1.0, 0.0])  # the Hessian of x·y, times (1, 0)
    [0.0, 1.0]
    """

    __slots__ = ("_bends", "_first", "_inputs", "_operand", "_outputs", "_partial", "_partner",
                 "_size")  # fmt: skip

    _size: cython.int  # nodes, operands before results
    _first: cython.p_int  # the operands of node i are edges _first[i] to _first[i + 1]:
    _operand: cython.p_int  # which node,
    _partial: cython.p_double  # ∂node/∂operand,
    _partner: cython.p_int  # and the operand whose value that is (of x·y), or -1.
    # For a node whose local derivatives change otherwise: the rule for their rates, and the
    # point where to ask it. None for any other node.
    _bends: list[tuple[Any, tuple[float, ...]] | None]
    _inputs: list[int]  # their nodes; -1 where no output depends on it
    _outputs: list[int]

    def __init__(
        self, inputs: Sequence[Value], outputs: Sequence[Value], cut: bool = False
    ) -> None:
        node: Value
        found: cython.int
        edges: cython.int = 0
        leaves: cython.int = 0
        nodes: list[Value] = []
        given: list[Value] = _nodes(inputs, "inputs")
        ends: list[Value] = _nodes(outputs, "outputs")
        order: list[Value] = consumers_first(ends, given if cut else ())
        order.reverse()
        marks: dict[int, int] = {}
        was_collecting: cython.bint = _begin_marks()
        try:
            for node in given:
                if not cut:
                    _mark(marks, node, -1)
                elif _marked(marks, node) == 0:
                    nodes.append(node)
                    _mark(marks, node, len(nodes))
            leaves = len(nodes)
            for node in order:
                found = _numbered_operands(marks, node)
                if found or _marked(marks, node):
                    nodes.append(node)
                    _mark(marks, node, len(nodes))
                    edges += found
            bent: list[Any] = self._record(marks, nodes, edges, leaves, given, ends, True)
        finally:
            for node in nodes:
                _mark(marks, node, 0)
            for node in given:
                _mark(marks, node, 0)
            _end_marks(was_collecting)
        for i, moves in bent:
            self._bends[i] = _bend(nodes[i], moves)

    @cython.cfunc
    def _lead_through(self, made: list[Value], y: Value) -> list[Value]:
        """Become the tape of the part of ``made`` that leads to y; see `condense`."""
        node: Value
        i: cython.Py_ssize_t
        edges: cython.int = 0
        nodes: list[Value] = []
        base: list[Value] = []
        marks: dict[int, int] = {}
        was_collecting: cython.bint = _begin_marks()
        try:
            # From y back: which of the nodes does it need?
            _mark(marks, y, 1)
            for i in range(len(made) - 1, -1, -1):
                node = made[i]
                if _marked(marks, node) and node._code & CODE:
                    nodes.append(node)
                    edges += _mark_operands(marks, node)
            nodes.reverse()
            # What else was reached is what those stand on; in the order in which they use it.
            for node in nodes:
                _mark(marks, node, -1)
            for node in nodes:
                _collect_marked_operands(marks, node, base)
            nodes = base + nodes
            for i in range(len(nodes)):
                node = nodes[i]
                _mark(marks, node, i + 1)
            self._record(marks, nodes, edges, len(base), base, [y], False)
        finally:
            _mark(marks, y, 0)
            for node in made:
                _forget_marks(marks, node)
            _end_marks(was_collecting)
        return base

    @cython.cfunc
    def _record(
        self,
        marks: dict[int, int],
        nodes: list[Value],
        edges: cython.int,
        leaves: cython.int,
        inputs: list[Value],
        outputs: list[Value],
        bends: cython.bint,
    ) -> list[Any]:
        """Fill the arrays, while each node's mark is its index plus one.

        The first ``leaves`` nodes are taken for leaves. Without ``bends`` the tape has no
        second derivatives; with them, returns what `_bend` is to be asked when no mark is left.
        """
        node: Value
        p: Value | None
        i: cython.int
        k: cython.int
        n: cython.int
        a: cython.int
        b: cython.int
        start: cython.int
        e: cython.int = 0
        if cython.compiled and self._first:
            raise RuntimeError("a tape is made once: make another with Tape(inputs, outputs)")
        bent: list[Any] = []
        self._inputs = _indices(marks, inputs)
        self._outputs = _indices(marks, outputs)
        self._bends = [None] * len(nodes)
        self._first = _ints(len(nodes) + 1)
        self._operand = _ints(edges)
        self._partner = _ints(edges)
        self._partial = _doubles(edges)
        self._size = len(nodes)  # last: a tape whose making failed is empty
        for i in range(leaves, self._size):
            node = nodes[i]
            start = e
            p = node._a
            a = _marked(marks, p) - 1 if p is not None else -1
            p = node._b
            b = _marked(marks, p) - 1 if p is not None else -1
            product: bool = node._code & CODE in (MUL, CARRY)
            if a >= 0:
                self._operand[e] = a
                self._partial[e] = node._da
                self._partner[e] = b if product else -1
                e += 1
            if b >= 0:
                self._operand[e] = b
                self._partial[e] = node._db
                self._partner[e] = a if product else -1
                e += 1
            if node._details is not None and node._details.has:
                row = node._details.operands + node._details.others
                indices: list[int] = _indices(marks, row)
                n = len(node._details.others)
                for k in range(len(indices)):
                    a = indices[k]
                    if a >= 0:
                        self._operand[e] = a
                        self._partial[e] = node._details.partials[k]
                        self._partner[e] = indices[(k + n) % (2 * n)] if n else -1
                        e += 1
            self._first[i + 1] = e
            if bends and e > start and node._code & CODE not in _STRAIGHT:
                bent.append((i, _moves(marks, node)))
        return bent

    def pull_back(self, seeds: Sequence[float]) -> list[float]:
        """Σ seedⱼ ∂outputⱼ/∂input for each input: a reverse sweep (vector-Jacobian product)."""
        i: cython.int
        e: cython.int
        g: float
        d: float
        adjoints: _Numbers = self._spread(self._outputs, seeds)
        adjoint: cython.p_double = adjoints.at
        for i in range(self._size - 1, -1, -1):
            g = adjoint[i]
            if g != 0.0:  # else it carries nothing, whatever the partials: see `_carry`
                for e in range(self._first[i], self._first[i + 1]):
                    d = self._partial[e]
                    if d != 0.0:
                        adjoint[self._operand[e]] += g * d
        return _gather(adjoints, self._inputs)

    def push_forward(self, tangents: Sequence[float]) -> list[float]:
        """Σ tangentᵢ ∂output/∂inputᵢ for each output: a forward sweep (Jacobian-vector product)."""
        return _gather(self._tangents(tangents), self._outputs)

    def curve(self, seeds: Sequence[float], tangents: Sequence[float]) -> list[float]:
        """How `pull_back` of the seeds changes along the tangents: a Hessian-vector product.

        A forward sweep for the nodes' tangents, then a reverse sweep for the adjoints and their
        tangents at once: with ȳ the adjoint of a result, d its partial and a dot for a tangent,
        x̄ += ȳ·d and its tangent += ẏ̄·d + ȳ·ḋ (Pearlmutter 1994).
        """
        i: cython.int
        e: cython.int
        start: cython.int
        g: float
        h: float
        bend: float
        moved: _Numbers = self._tangents(tangents)
        adjoints: _Numbers = self._spread(self._outputs, seeds)
        changes: _Numbers = _zeros(self._size)
        tangent: cython.p_double = moved.at
        adjoint: cython.p_double = adjoints.at
        change: cython.p_double = changes.at
        for i in range(self._size - 1, -1, -1):
            g = adjoint[i]
            h = change[i]
            start = self._first[i]
            rates: Sequence[float] | None = None
            bend_of_node = self._bends[i]
            if bend_of_node is not None:
                rule, point = bend_of_node
                moving = [tangent[self._operand[e]] for e in range(start, self._first[i + 1])]
                rates = rule(*point, *moving, tangent[i])
            for e in range(self._first[i], self._first[i + 1]):
                bend = 0.0
                if self._partner[e] >= 0:
                    bend = tangent[self._partner[e]]
                elif rates is not None:
                    bend = rates[e - start]
                adjoint[self._operand[e]] += _carry(g, self._partial[e])
                change[self._operand[e]] += _carry(h, self._partial[e]) + _carry(g, bend)
        return _gather(changes, self._inputs)

    @cython.cfunc
    def _tangents(self, tangents: Sequence[float]) -> _Numbers:
        i: cython.int
        e: cython.int
        t: float
        d: float
        moved: _Numbers = self._spread(self._inputs, tangents)
        tangent: cython.p_double = moved.at
        for i in range(self._size):
            t = tangent[i]
            for e in range(self._first[i], self._first[i + 1]):
                d = self._partial[e]
                if d != 0.0 and tangent[self._operand[e]] != 0.0:
                    t += tangent[self._operand[e]] * d
            tangent[i] = t
        return moved

    @cython.cfunc
    def _spread(self, nodes: list[int], numbers: Sequence[float]) -> _Numbers:
        """An array over all nodes that holds the numbers at these."""
        given: list[float] = [float(number) for number in numbers]
        if len(nodes) != len(given):
            raise ValueError(f"expected {len(nodes)} numbers, got {len(given)}")
        spread: _Numbers = _zeros(self._size)
        array: cython.p_double = spread.at
        i: cython.int
        k: cython.int
        for k in range(len(given)):
            i = nodes[k]
            if i >= 0:
                array[i] += given[k]
        return spread

    def __dealloc__(self) -> None:
        PyMem_Free(self._first)
        PyMem_Free(self._operand)
        PyMem_Free(self._partner)
        PyMem_Free(self._partial)


def pass_with_hooks(order: list[Value], start: float) -> None:
    """What `Value.backward` does where there are hooks: the gradients reach the nodes at the end.

    Takes all nodes, consumers first, and what the gradient of the first is to begin with.
    """
    node: Value
    i: cython.int
    e: cython.int
    g: float
    made = order[::-1]
    tape: Tape = Tape.__new__(Tape)
    nodes = tape._lead_through(made, order[0]) or order  # it has no base where the root is a leaf
    nodes += [node for node in made if node._code & CODE]
    grads: list[float] = [0.0] * len(nodes)
    grads[len(nodes) - 1] += start
    for i in range(len(nodes) - 1, -1, -1):
        node = nodes[i]
        if node._details is not None and node._details.hooks:
            grads[i] = run_hooks(node, grads[i])
        g = grads[i]
        if i < tape._size:
            for e in range(tape._first[i], tape._first[i + 1]):
                grads[tape._operand[e]] += _carry(g, tape._partial[e])
    old: list[Any] = [None] * len(nodes)  # old graphs go when all is written: they may run code
    for i in range(len(nodes)):
        node = nodes[i]
        g = grads[i]
        if node._details is not None:
            old[i] = node._details.grad_node
            node._details.grad_node = None
        node._grad = g if node._code & CODE else node._grad + g
    for node in order:
        if not node._code & CODE and node._details is not None:
            let_go(node)


def set_graphs(
    nodes: list[Value], grads: list[Value], leaves: list[Value], before: list[Any]
) -> bool:
    """Give the nodes these gradients, or none if those of leaves are not what they were before.

    Returns whether they have them. Either way nothing comes between.
    """
    node: Value
    new: Value
    g: float
    i: cython.Py_ssize_t
    expect_graphs(nodes)
    if not cython.compiled:
        return set_grads(nodes, grads, leaves, before)
    for i in range(len(leaves)):
        node = leaves[i]
        graph = node._details.grad_node
        if graph is not None or isinstance(before[i], Value):
            if graph is not before[i]:
                return False
        else:
            g = before[i]
            if node._grad != g and g == g:
                return False
    old: list[Any] = [None] * len(nodes)  # as above
    for i in range(len(nodes)):
        node = nodes[i]
        new = grads[i]
        old[i] = node._details.grad_node
        node._details.grad_node = new
        node._grad = new._data
    return True


def condense(made: list[Value], y: Value) -> tuple[list[Value], list[float]]:
    """What y was computed from outside of ``made``, and ∂y/∂each.

    ``made`` holds nodes in the order in which they were made, y among them. Costs time in
    proportion to it, whatever the size of the graph that y stands on.

    >>> from autograd_bp import Value
    >>> x, y = Value(2.0, "x"), Value(3.0, "y")
    >>> u = x * y
    >>> v = u * x
    >>> base, row = condense([u, v], v)
    >>> [node.label for node in base], row
    (['x', 'y'], [12.0, 4.0])
    """
    tape: Tape = Tape.__new__(Tape)
    base = tape._lead_through(_nodes(made, "made"), y)
    return base, tape.pull_back([1.0])


@cython.cfunc
def _begin_marks() -> cython.bint:
    """Have no finalizer run while nodes have marks; returns whether some may again after that."""
    return PyGC_Disable() if cython.compiled else False


@cython.cfunc
def _end_marks(was_collecting: cython.bint) -> object:
    if cython.compiled and was_collecting:
        PyGC_Enable()
    return None


@cython.inline
@cython.cfunc
def _carry(g: float, d: float) -> float:
    """The row ``carry`` of the table: a product in which what is exactly 0 carries nothing."""
    if g == 0.0 or d == 0.0:
        return 0.0
    return g * d


@cython.inline
@cython.cfunc
def _marked(marks: dict[int, int], node: Value) -> cython.int:
    """A number that a node has for as long as its tape is made, or 0.

    Compiled, it stands in the node, above the code; see `value._consumers_first`.
    """
    if not cython.compiled:
        return marks.get(id(node), 0)
    mark: cython.int = node._code >> SHIFT
    return mark


@cython.inline
@cython.cfunc
def _mark(marks: dict[int, int], node: Value, mark: cython.longlong) -> object:
    if not cython.compiled:
        marks[id(node)] = mark
        return None
    node._code = node._code & KEPT | mark * (KEPT + 1)  # C leaves shifts of negatives undefined
    return None


@cython.cfunc
def _numbered_operands(marks: dict[int, int], node: Value) -> cython.int:
    """How many operands have their place on the tape already."""
    p: Value | None
    count: cython.int = 0
    p = node._a
    if p is not None and _marked(marks, p) > 0:
        count += 1
    p = node._b
    if p is not None and _marked(marks, p) > 0:
        count += 1
    if node._details is not None and node._details.has:
        for x in node._details.operands + node._details.others:
            if isinstance(x, Value):
                p = x
                if _marked(marks, p) > 0:
                    count += 1
    return count


@cython.cfunc
def _mark_operands(marks: dict[int, int], node: Value) -> cython.int:
    """Set a mark on each operand; returns how many links to them there are."""
    p: Value | None
    count: cython.int = 0
    p = node._a
    if p is not None:
        _mark(marks, p, 1)
        count += 1
    p = node._b
    if p is not None:
        _mark(marks, p, 1)
        count += 1
    if node._details is not None and node._details.has:
        for x in node._details.operands + node._details.others:
            if isinstance(x, Value):
                p = x
                _mark(marks, p, 1)
                count += 1
    return count


@cython.cfunc
def _collect_marked_operands(marks: dict[int, int], node: Value, base: list[Value]) -> object:
    """Append the operands that have the mark, each once."""
    p: Value | None
    if node._details is not None and node._details.has:
        for x in node._details.operands + node._details.others:
            if isinstance(x, Value):
                p = x
                if _marked(marks, p) == 1:
                    _mark(marks, p, -1)
                    base.append(p)
    p = node._a
    if p is not None and _marked(marks, p) == 1:
        _mark(marks, p, -1)
        base.append(p)
    p = node._b
    if p is not None and _marked(marks, p) == 1:
        _mark(marks, p, -1)
        base.append(p)
    return None


@cython.cfunc
def _forget_marks(marks: dict[int, int], node: Value) -> object:
    """Take the marks off a node and its operands."""
    p: Value | None
    _mark(marks, node, 0)
    p = node._a
    if p is not None:
        _mark(marks, p, 0)
    p = node._b
    if p is not None:
        _mark(marks, p, 0)
    if node._details is not None:
        _forget_row(marks, node._details.operands)
        _forget_row(marks, node._details.others)
    return None


@cython.cfunc
def _forget_row(marks: dict[int, int], row: tuple[Any, ...]) -> object:
    for x in row:  # and not in one row made of two, for which memory may be lacking
        if isinstance(x, Value):
            _mark(marks, x, 0)
    return None


@cython.cfunc
def _moves(marks: dict[int, int], node: Value) -> Any:
    """Which operands are not constant: a bool for each in a row, or bits for one or two."""
    p: Value | None
    if node._details is not None and node._details.operands:
        return [i >= 0 for i in _indices(marks, node._details.operands)]
    mask: cython.int = 0
    p = node._a
    if p is not None and _marked(marks, p) > 0:
        mask += 1
    p = node._b
    if p is not None and _marked(marks, p) > 0:
        mask += 2
    return mask


def _bend(node: Value, moves: Any) -> tuple[Any, tuple[float, ...]]:
    """The rule for the rates of a node's local derivatives, and the point where to ask it."""
    if node._details is not None and node._details.operands:
        many = _ManyOperands if node._details.rule is None else _OwnRule
        return many(node, moves), ()
    a: Value | None = node._a
    b: Value | None = node._b
    p: float = node._da if a is None else a._data
    code: cython.int = node._code & CODE
    if len(TABLE[code].operands) == 1:
        return second_rule(code, moves), (p, node._data)
    q: float = node._db if b is None else b._data
    return second_rule(code, moves), (p, q, node._data)


class _ManyOperands:
    """The rule for a node that keeps its operands in a row, some of them moving."""

    def __init__(self, node: Value, moves: list[bool]) -> None:
        self.op = TABLE[CODES[node.op]]
        self.point = [*grouped(self.op, [peek(x) for x in node.operands]), peek(node)]
        self.moves = moves

    def __call__(self, *rates: float) -> list[float]:
        *moving, t_y = rates
        given = iter(moving)
        t = grouped(self.op, [next(given) if moves else 0.0 for moves in self.moves])
        rules = IEEE.second(self.op, (1 << len(self.op.operands)) - 1)
        result: list[float] = []
        for rule in rules:
            change = rule(*self.point, *t, t_y)
            result += change if isinstance(change, list) else [change]
        return [rate for rate, moves in zip(result, self.moves, strict=True) if moves]


class _OwnRule:
    """The rule for a node that `autograd_bp.custom` or its kin made."""

    def __init__(self, node: Value, moves: list[bool]) -> None:
        self.rule = node.rule
        self.operands = node.operands
        self.y = peek(node)
        self.moves = moves

    def __call__(self, *rates: float) -> list[float]:
        *moving, t_y = rates
        given = iter(moving)
        t = [next(given) if moves else 0.0 for moves in self.moves]
        result = self.rule.rates(self.operands, self.y, t, t_y)
        return [rate for rate, moves in zip(result, self.moves, strict=True) if moves]


@cython.cfunc
def _indices(marks: dict[int, int], nodes: Sequence[object]) -> list[int]:
    """The positions that nodes have on the tape that is being made; -1 of any other object."""
    indices: list[int] = []
    for x in nodes:
        if isinstance(x, Value):
            node: Value = x
            indices.append(max(_marked(marks, node) - 1, -1))
        else:
            indices.append(-1)
    return indices


@cython.cfunc
def _gather(found: _Numbers, nodes: list[int]) -> list[float]:
    """The numbers at these nodes, 0 at none."""
    numbers: list[float] = []
    array: cython.p_double = found.at
    i: cython.int
    for i in nodes:
        numbers.append(array[i] if i >= 0 else 0.0)
    return numbers


@cython.cfunc
def _zeros(n: cython.Py_ssize_t) -> _Numbers:
    zeros: _Numbers = _Numbers.__new__(_Numbers)
    zeros.at = _doubles(n)
    return zeros


@cython.cfunc
def _doubles(n: cython.Py_ssize_t) -> cython.p_double:
    if not cython.compiled:
        return [0.0] * n
    block: cython.p_double = cython.cast(cython.p_double, PyMem_Calloc(n + 1, 8))
    if not block:
        raise MemoryError
    return block


@cython.cfunc
def _ints(n: cython.Py_ssize_t) -> cython.p_int:
    if not cython.compiled:
        return [0] * n
    block: cython.p_int = cython.cast(cython.p_int, PyMem_Calloc(n + 1, 4))
    if not block:
        raise MemoryError
    return block
