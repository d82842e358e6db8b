# cython: language_level=3, cdivision=True, boundscheck=False, wraparound=False
# cython: initializedcheck=False, auto_pickle=False, binding=False
"""The engine: scalars that remember how they were made, and the chain rule run backwards.

A `Value` holds a number and links to the operands that it was computed from, each with the
local derivative ∂self/∂operand at that point:

    _data, _grad    the number, and ∂root/∂self after a pass
    _a, _b          the operands that are nodes; None for a plain number
    _da, _db        ∂self/∂a and ∂self/∂b; for a plain number the number itself
    _code           which operation it was: the position of its row in the table of `ops.py`;
                    0 for a leaf, which no operation made
    _details        what most nodes do without: a label, more operands than two

An operation computes its number and the local derivatives, and makes a node of them:

    def __mul__(self, other):
        return _node(MUL, self, other, self._data * other._data, other._data, self._data)

`Value.backward` sorts the graph topologically, consumers first, and hands every node's gradient
on to its operands:

    operand.grad += node.grad * ∂node/∂operand

That is the whole of reverse-mode automatic differentiation. Read on from here: `_node`, the sort,
`Value` with its first operator, and `backward`. Then come the other operations, compact: they
read their value and derivatives from the table, but for the few that make up most graphs
(+ - * / relu), which spell them out. Those of many operands are in `nary.py`.

This is ordinary Python. Where a C compiler is found at installation, Cython compiles the same
file: annotations such as ``float`` then become C types, and the ``cython`` decorators say that
nodes need no garbage collector (a node's operands exist before it, so no cycle can arise). The
rows of one or two operands are C then, too. Where the two must differ, ``cython.compiled`` says
which is running: read the compiled side first, it is the plain one.

``_contexts`` is 0 in ordinary use. Else something is open that new nodes must be told of: a
``no_grad``, a watcher, or a trace, which is a call of a function that records its operations for
all later calls (`context.py`). All that stands behind ``if _contexts`` can be skipped at first.
"""

from __future__ import annotations

import copyreg
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any, SupportsFloat, TypeAlias, Union

from autograd_bp import context, ops
from autograd_bp.context import State, Trace, current, is_tracing, no_grad
from autograd_bp.hooks import call_hook, refuse_in_a_hook
from autograd_bp.ops import CODES, EDITION, TABLE, grouped
from autograd_bp.rules import RULES, careful, ieee

try:
    from autograd_bp._pure import cython
except ImportError:  # never at run time: this line tells the compiler which name is its own
    import cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.cpython.mem import PyMem_Free, PyMem_Malloc
else:  # the rest stands in value.pxd for the compiler
    from operator import getitem as item

    from autograd_bp._pure import pass_aside

    Items: TypeAlias = Sequence[Any]
    if TYPE_CHECKING:
        TABLE_IN_C = 0
        row_in_c: Any = None
        PyGC_Disable: Any = None
        PyGC_Enable: Any = None

    def items(row: Items) -> Items:
        return row


__all__ = ["Number", "Value", "no_grad", "topological_order", "zero_grad"]

compiled: bool = cython.compiled
"""Whether this engine runs as C code."""

rows_in_c: bool = cython.compiled and TABLE_IN_C == EDITION
"""Whether it has the rows of `ops.py`, as they are now, in C; else Python is asked for each."""

Number: TypeAlias = Union["Value", float]
"""What operations take: a node, or a plain number (folded into the operation)."""

# Positions in the table of the operations that are spelled out below.
ADD = cython.declare(cython.short, CODES["+"])
SUB = cython.declare(cython.short, CODES["-"])
MUL = cython.declare(cython.short, CODES["*"])
DIV = cython.declare(cython.short, CODES["/"])
POW = cython.declare(cython.short, CODES["**"])
NEG = cython.declare(cython.short, CODES["neg"])
RELU = cython.declare(cython.short, CODES["relu"])
DOT = cython.declare(cython.short, CODES["dot"])
DETACH = cython.declare(cython.short, CODES["detach"])

# The bits of `_code`, from the lowest: the position in the table; the number of the trace that the
# node belongs to, mostly 0; the marks of the sort.
CODE = cython.declare(cython.int, (1 << ops.CODE_BITS) - 1)
CUSTOM = cython.declare(cython.short, (1 << ops.CODE_BITS) - 1)  # no row: a rule of its own
SHIFT = cython.declare(cython.int, ops.CODE_BITS)
KEPT = cython.declare(cython.longlong, (1 << ops.MARK_SHIFT) - 1)  # all but the marks
MET = cython.declare(cython.longlong, 1 << ops.MARK_SHIFT)
DONE = cython.declare(cython.longlong, 2 << ops.MARK_SHIFT)  # MET + MET

# The bits of `_Details.has`: whether ``operands`` has nodes, and whether ``others`` has. Below them
# the codes of these nodes or-ed together: 0 where all are leaves, so that the sort can skip them.
ROW = cython.declare(cython.longlong, 1 << ops.CODE_BITS)
OTHERS = cython.declare(cython.longlong, 2 << ops.CODE_BITS)

# How many contexts (no_grad, watch) are open in all threads, plus how many nodes of traces are
# alive. (Interpreted: the set of their identities.)
_contexts = cython.declare(cython.int, 0)
if not cython.compiled:
    _contexts = set()  # type: ignore[assignment]

# Whether some leaf may hold a hook or a gradient that is a graph: passes then visit leaves too.
_leaves_need_care = cython.declare(cython.bint, False)


# --- making a node -------------------------------------------------------------------------------


@cython.no_gc
@cython.freelist(1024)
@cython.cclass
class _Details:
    """What most nodes do without: a label, a scope, operands beyond two."""

    __slots__ = (
        "grad_node", "has", "hooks", "label", "operands", "others", "partials", "passes", "rule",
        "scope",
    )  # fmt: skip

    label: str
    scope: str
    operands: tuple[Any, ...]  # nodes and plain numbers; empty if two links suffice
    others: tuple[Any, ...]  # a dot has w in ``operands`` and x here; its bias is the link _a
    partials: cython.p_double  # ∂node/∂operand, of ``operands`` and then of ``others``
    has: cython.longlong  # whether nodes are among them: see ROW
    rule: Any  # of an operation that is no row of the table, else None
    hooks: list[Callable[[Any], Any]] | None
    grad_node: Value | None  # the gradient, where it is a graph itself
    passes: Any  # of a leaf: see `go_together`

    def __dealloc__(self) -> None:
        PyMem_Free(self.partials)


@cython.cfunc
def _node(
    code: cython.short, a: Value | None, b: Value | None, data: float, da: float, db: float
) -> Value:
    """The result of an operation on at most two operands."""
    node: Value = Value.__new__(Value)
    node._data = data
    node._grad = 0.0
    node._a = a
    node._b = b
    node._da = da
    node._db = db
    node._details = None
    node._code = code
    if _contexts:
        _in_context(node)
    return node


# --- sorting the graph ---------------------------------------------------------------------------
#
# The order is found depth first, with a stack of our own and not by recursion, as graphs are deep.
# A mark on each node says that it was MET (its operands wait on the stack above it) or is DONE (it
# stands in the order, after its operands). At the end the order is turned round.
#
# No lock is held here or in a pass, for none could be waited for in a hook or a signal handler,
# or in a child of fork. Compiled, what marks nodes or changes gradients is never interrupted:
# threads, signals and finalizers come where Python's own code runs, and none does. So nothing in
# it may call any, or drop the last reference to an object. Interpreted, anything comes anywhere:
# the marks are then in a set of the walk's own, and gradients are written by a single call.


@cython.cfunc
def _consumers_first(
    waiting: list[Value], stop: list[Value] | None, leaves: cython.bint, clear: cython.bint
) -> list[Value]:
    """The nodes of a graph, each before its operands; with ``leaves`` the leaves too.

    ``waiting`` is the stack: at first it has the roots, the first of them last, and at the end
    nothing. Nodes in ``stop`` are taken for done. With ``clear`` the compiled sort also sets the
    gradients of all nodes but leaves to 0, while it has them at hand.

    Operands are put on the stack last first, so that the first one is looked at first: read
    backwards, the order has operands as the user wrote them.
    """
    node: Value
    d: _Details
    order: list[Value] = []
    if not cython.compiled:  # sets instead of marks, and on the stack a None below the operands
        met = set(map(id, stop or ()))
        opened: list[Value] = []
        while waiting:
            node = waiting.pop()
            if node is None:
                order.append(opened.pop())
            elif id(node) not in met:
                met.add(id(node))
                opened.append(node)
                waiting.append(None)  # type: ignore[arg-type]
                p = node._b
                if p is not None and (p._code or leaves) and id(p) not in met:
                    waiting.append(p)
                p = node._a
                if p is not None and (p._code or leaves) and id(p) not in met:
                    waiting.append(p)
                if node._details is not None:
                    d = node._details
                    for p in reversed((*d.operands, *d.others)):
                        if type(p) is not float and (p._code or leaves) and id(p) not in met:
                            waiting.append(p)
        order.reverse()
        return order
    try:
        if stop is not None:
            for node in stop:
                node._code |= DONE
        while waiting:
            node = cython.cast(Value, waiting[len(waiting) - 1])
            if node._code >= MET:
                if node._code < DONE:
                    node._code += MET  # which makes it DONE
                    order.append(node)
                waiting.pop()
                continue
            if clear and node._code:
                node._grad = 0.0
            node._code += MET
            if node._b is not None and node._b._code < MET and (node._b._code or leaves):
                waiting.append(node._b)
            if node._a is not None and node._a._code < MET and (node._a._code or leaves):
                waiting.append(node._a)
            if node._details is not None:
                d = node._details
                if d.has & CODE or leaves:
                    _have_wait(d.others, waiting, leaves)
                    _have_wait(d.operands, waiting, leaves)
    finally:  # also where memory gives out
        _take_marks_off(waiting)
        _take_marks_off(order)
        if stop is not None:
            _take_marks_off(stop)
    order.reverse()
    return order


@cython.cfunc
def _have_wait(row: tuple[Any, ...], waiting: list[Value], leaves: cython.bint) -> object:
    """Put the nodes in a tuple of operands that were not met yet on the stack, the first on top."""
    p: Value
    for x in reversed(row):
        if type(x) is not float:
            p = x
            if p._code < MET and (p._code or leaves):
                waiting.append(p)
    return None


@cython.cfunc
def _take_marks_off(nodes: list[Value]) -> object:
    node: Value
    for node in nodes:
        node._code &= KEPT
    return None


# --- a Value -------------------------------------------------------------------------------------


@cython.no_gc
@cython.freelist(4096)
@cython.cclass
class Value:
    """A number that knows how it was computed, and after `backward` its gradient.

    ``data`` is an int, a float or a NumPy scalar; ``label`` names the node in pictures and
    errors. Operations take Values and plain numbers on either side.

    >>> x, y = Value(2.0, "x"), Value(3.0, "y")
    >>> z = x * y + x**2
    >>> z.backward()
    >>> z.data, x.grad, y.grad  # ∂z/∂x = y + 2x, ∂z/∂y = x
    (10.0, 7.0, 2.0)
    """

    __slots__ = ("_a", "_b", "_code", "_da", "_data", "_db", "_details", "_grad")

    _code: cython.longlong  # and above it a trace's number and marks: fewer fields in every node
    _data: float
    _grad: float
    # The operands, with ∂self/∂operand. Where an operand is a plain number its link is None
    # and the number stands in the place of its derivative.
    _a: Value | None
    _b: Value | None
    _da: float
    _db: float
    _details: _Details | None

    def __init__(self, data: SupportsFloat, label: Any = "") -> None:
        self._data = _number(data, "data")
        self._grad = self._da = self._db = 0.0
        self._a = self._b = self._details = None
        self._code = 0
        if label != "":
            self.label = label
        if _contexts:
            _in_context(self)

    def __mul__(self, other: Number) -> Value:
        if isinstance(other, Value):
            b: Value = other
            return _node(MUL, self, b, self._data * b._data, b._data, self._data)
        if not _is_real(other):
            return NotImplemented
        c: float = float(other)
        return _node(MUL, self, None, self._data * c, c, c)

    def backward(self, seed: SupportsFloat = 1.0, create_graph: bool = False) -> None:
        """Set ``grad`` of every node of this graph to ∂self/∂node, times ``seed``.

        Leaves add it to what they have, so call `zero_grad` between steps; every other node
        gets its gradient anew, and keeps it to be read. Passes may overlap, of threads or of
        signal handlers: gradients of a leaf that several graphs share are summed correctly.

        With ``create_graph`` the gradients are Values, to be differentiated again. As in
        PyTorch, a leaf and its gradient then keep each other alive, and the graph with them,
        until `zero_grad` of one of its leaves; `autograd_bp.gradients` has no such effect.

        >>> x = Value(3.0)
        >>> y = x * x
        >>> y.backward()
        >>> y.backward()
        >>> x.grad, y.grad
        (12.0, 1.0)
        """
        node: Value
        p: Value | None
        d: _Details | None
        g: float
        if _leaves_need_care:
            refuse_in_a_hook()
        if _contexts:
            refuse_in_trace(self, "backward()")
        if create_graph:
            from autograd_bp.adjoint import backward_graph  # here, for it imports this module

            return backward_graph(self, seed)
        start: float = seed if type(seed) is float else _number(seed, "seed")
        care: cython.bint = _leaves_need_care
        # Leaves hand nothing on, so the order is without them, but where hooks want to see them.
        order: list[Value] = _consumers_first([self], None, care, not care)
        with_care: cython.bint = care and _have_care(order)
        if not cython.compiled:  # the same, but with the sums kept aside: anything may come between
            pass_aside(self, start, order, with_care, run_hooks, let_go)
        elif with_care:
            from autograd_bp.tape import pass_with_hooks  # above: it has the sums in arrays

            pass_with_hooks(order, start)
        else:  # in place: nothing comes between these lines when they are compiled
            if care:  # the sort has left this to us
                for node in order:
                    if node._code:
                        node._grad = 0.0
            self._grad += start
            for node in order:
                g = node._grad
                if g == 0.0:  # it carries nothing, whatever the local derivatives
                    continue
                if g - g != 0.0:
                    _hand_on_infinite(g, node)
                    continue
                if node._a is not None:
                    node._a._grad += g * node._da
                if node._b is not None:
                    node._b._grad += g * node._db
                if node._details is not None:  # it may have more operands
                    d = node._details
                    if d.has & ROW:
                        _hand_on(g, d, d.operands, 0)
                    if d.has & OTHERS:
                        _hand_on(g, d, d.others, len(d.operands))
        for watcher in current().derivative_watchers if _contexts else ():
            for node in order:
                for p, dp in zip(node.parents, node.local_grads, strict=True):
                    watcher(node, p, node._grad, dp)
        return None

    # --- what a node knows -----------------------------------------------------------------------

    @property
    def data(self) -> float:
        """The number itself; can be set on a leaf."""
        if _contexts:
            refuse_in_trace(self, "data")
        return self._data

    @data.setter
    def data(self, data: SupportsFloat) -> None:
        if not self.is_leaf:
            raise AttributeError(
                f"data of {self!r} cannot be set: it was computed by {self.op!r} from its "
                "parents. Set the data of a leaf and compute again, or use detach()."
            )
        if _contexts:
            refuse_in_trace(self, "data")
        self._data = _number(data, "data")

    @property
    def grad(self) -> Any:
        """∂root/∂self of the last backward pass; on a leaf the sum since it was last set to 0.

        A float, or a Value after ``backward(create_graph=True)``.
        """
        if _contexts:
            refuse_in_trace(self, "grad")
        if self._details is not None and self._details.grad_node is not None:
            return self._details.grad_node
        return self._grad

    @grad.setter
    def grad(self, grad: Number) -> None:
        if _contexts:
            refuse_in_trace(self, "grad")
        if isinstance(grad, Value):
            global _leaves_need_care
            _leaves_need_care = True
            self._grad = peek(grad)
            _details_of(self).grad_node = grad
        else:
            self._grad = _number(grad, "grad")
            let_go(self)

    @property
    def label(self) -> str:
        """The name that the user gave, or an empty string."""
        return "" if self._details is None else self._details.label

    @label.setter
    def label(self, label: Any) -> None:  # Any, or the compiled setter refuses in fewer words
        if not isinstance(label, str):
            raise TypeError(f"label must be a str, got {label!r}; write label=str(...)")
        _details_of(self).label = str(label)

    @property
    def scope(self) -> str:
        """The scopes open when the node was made, outermost first, as ``"mlp/layer 1"``."""
        return "" if self._details is None else self._details.scope

    @scope.setter
    def scope(self, scope: str) -> None:
        _details_of(self).scope = scope

    @property
    def op(self) -> str:
        """The name of the operation that made this node, as in the table; of a leaf ``""``."""
        name: str = self.rule.name
        return name

    @property
    def rule(self) -> Any:
        """The operation: a row of the table, or what `autograd_bp.custom` made."""
        if self._details is not None and self._details.rule is not None:
            return self._details.rule
        return TABLE[self._code & CODE]

    @property
    def is_leaf(self) -> bool:
        """Whether this node was given, not computed."""
        return not self._code & CODE

    @property
    def operands(self) -> tuple[Number, ...]:
        """What the operation took, in the table's order: nodes and plain numbers.

        >>> (2.0 * Value(3.0)).operands
        (2.0, Value(data=3.0, grad=0.0))
        """
        a: Number = self._da if self._a is None else self._a
        b: Number = self._db if self._b is None else self._b
        code: cython.int = self._code & CODE
        details: _Details | None = self._details
        if details is None or not (details.operands or code == DOT):
            return (a, b)[: len(TABLE[code].operands)]
        row: list[Any] = [*details.operands, *details.others]
        if code == DOT:
            if not details.others:  # they were numbers: the partials of the others
                row += [details.partials[i] for i in range(len(details.operands))]
            row.append(a)
        return tuple([x if isinstance(x, Value) else float(x) for x in row])

    @property
    def parents(self) -> tuple[Value, ...]:
        """The operands that are nodes; one that was used twice stands twice."""
        return tuple([x for x in self.operands if isinstance(x, Value)])

    @property
    def local_grads(self) -> tuple[float, ...]:
        """∂self/∂parent for each of `parents`, at the point where the node was computed.

        >>> x, y = Value(2.0), Value(3.0)
        >>> (x * y).local_grads
        (3.0, 2.0)
        """
        if _contexts:
            refuse_in_trace(self, "local_grads")
        found: list[float] = []
        details: _Details | None = self._details
        if details is not None:
            for i, x in enumerate(details.operands + details.others):
                if isinstance(x, Value):
                    found.append(details.partials[i])
        if self._a is not None:
            found.append(self._da)
        if self._b is not None:
            found.append(self._db)
        return tuple(found)

    def register_hook(self, hook: Callable[[Any], Any]) -> Callable[[], None]:
        """Have ``backward`` call ``hook(grad)`` with this node's whole gradient of the pass.

        What the hook returns, unless None, takes the gradient's place and is handed on. With
        ``create_graph`` the gradient may be a Value. Returns a function that removes the hook.
        The hook must not hold this node itself, or the two keep each other alive; and it cannot
        call ``backward``, whose gradients the pass that it is in would overwrite. The nodes get
        their gradients all at once, when the last hook has returned, and none if one raises.

        >>> x = Value(3.0)
        >>> remove = x.register_hook(lambda grad: min(grad, 1.0))
        >>> (x * x).backward()
        >>> x.grad
        1.0
        """
        if not callable(hook):
            raise TypeError(f"hook must be a function of the gradient, got {hook!r}")
        if _contexts:
            refuse_in_trace(self, "a hook")
        global _leaves_need_care
        _leaves_need_care = True
        details: _Details = _details_of(self)
        mine = partial(hook)  # an object of its own: a hook given twice is removed once
        details.hooks = [*(details.hooks or []), mine]

        def remove() -> None:
            details.hooks = [other for other in details.hooks or [] if other is not mine]

        return remove

    def detach(self) -> Value:
        """A new leaf with the same data and label: no gradient flows through it.

        While a function is traced it is a node, as its data is another in each call.

        >>> x = Value(3.0)
        >>> y = x * x.detach()
        >>> y.backward()
        >>> x.grad
        3.0
        """
        if is_symbolic(self):
            return _unary("detach", self)
        return Value(self._data, self.label)

    # --- arithmetic ------------------------------------------------------------------------------

    def __add__(self, other: Number) -> Value:
        if isinstance(other, Value):
            b: Value = other
            return _node(ADD, self, b, self._data + b._data, 1.0, 1.0)
        if not _is_real(other):
            return NotImplemented
        c: float = float(other)
        return _node(ADD, self, None, self._data + c, 1.0, c)

    def __radd__(self, other: Any) -> Value:
        if not _is_real(other):
            return NotImplemented
        c: float = float(other)
        return _node(ADD, None, self, c + self._data, c, 1.0)

    def __sub__(self, other: Number) -> Value:
        if isinstance(other, Value):
            b: Value = other
            return _node(SUB, self, b, self._data - b._data, 1.0, -1.0)
        if not _is_real(other):
            return NotImplemented
        c: float = float(other)
        return _node(SUB, self, None, self._data - c, 1.0, c)

    def __rsub__(self, other: Any) -> Value:
        if not _is_real(other):
            return NotImplemented
        c: float = float(other)
        return _node(SUB, None, self, c - self._data, c, -1.0)

    def __rmul__(self, other: Any) -> Value:
        if not _is_real(other):
            return NotImplemented
        c: float = float(other)
        return _node(MUL, None, self, c * self._data, c, c)

    def __truediv__(self, other: Number) -> Value:
        if isinstance(other, Value):
            b: Value = other
            if b._data == 0.0:
                return _binary(DIV, self, other)  # which raises, or lets a NaN through
            y: float = self._data / b._data
            return _node(DIV, self, b, y, 1.0 / b._data, -y / b._data)
        if not _is_real(other):
            return NotImplemented
        c: float = float(other)
        if c == 0.0:
            return _binary(DIV, self, c)
        return _node(DIV, self, None, self._data / c, 1.0 / c, c)

    def __rtruediv__(self, other: Any) -> Value:
        if not _is_real(other):
            return NotImplemented
        c: float = float(other)
        if self._data == 0.0:
            return _binary(DIV, c, self)
        y: float = c / self._data
        return _node(DIV, None, self, y, c, -y / self._data)

    def __pow__(self, other: Number) -> Value:
        if not isinstance(other, Value) and not _is_real(other):
            return NotImplemented
        return _binary(POW, self, other)

    def __rpow__(self, other: Any) -> Value:
        if not _is_real(other):
            return NotImplemented
        return _binary(POW, other, self)

    def __neg__(self) -> Value:
        return _node(NEG, self, None, -self._data, -1.0, 0.0)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return _unary("abs", self)

    # --- elementary functions: the rows of the table as methods ----------------------------------

    def exp(self) -> Value:
        """eˣ."""
        return _unary("exp", self)

    def expm1(self) -> Value:
        """eˣ − 1, accurate near 0."""
        return _unary("expm1", self)

    def log(self) -> Value:
        """The natural logarithm; x > 0."""
        return _unary("log", self)

    def log1p(self) -> Value:
        """ln(1 + x), accurate near 0; x > −1."""
        return _unary("log1p", self)

    def log2(self) -> Value:
        """The logarithm to base 2; x > 0."""
        return _unary("log2", self)

    def log10(self) -> Value:
        """The logarithm to base 10; x > 0."""
        return _unary("log10", self)

    def sqrt(self) -> Value:
        """The square root; x ≥ 0."""
        return _unary("sqrt", self)

    def sin(self) -> Value:
        """The sine of an angle in radians."""
        return _unary("sin", self)

    def cos(self) -> Value:
        """The cosine of an angle in radians."""
        return _unary("cos", self)

    def tan(self) -> Value:
        """The tangent of an angle in radians."""
        return _unary("tan", self)

    def asin(self) -> Value:
        """The angle in radians whose sine this is; −1 ≤ x ≤ 1."""
        return _unary("asin", self)

    def acos(self) -> Value:
        """The angle in radians whose cosine this is; −1 ≤ x ≤ 1."""
        return _unary("acos", self)

    def atan(self) -> Value:
        """The angle in radians whose tangent this is."""
        return _unary("atan", self)

    def sinh(self) -> Value:
        """The hyperbolic sine."""
        return _unary("sinh", self)

    def cosh(self) -> Value:
        """The hyperbolic cosine."""
        return _unary("cosh", self)

    def tanh(self) -> Value:
        """The hyperbolic tangent. Its derivative 1 − y², as in PyTorch, is 0 from |x| ≈ 19 on."""
        return _unary("tanh", self)

    def sigmoid(self) -> Value:
        """σ(x) = 1/(1 + e⁻ˣ), without overflow at any x.

        Its derivative is y(1 − y), as in PyTorch: 0 from x ≈ 37 on, where y rounds to 1.
        """
        return _unary("sigmoid", self)

    def softplus(self) -> Value:
        """ln(1 + eˣ), without overflow at any x."""
        return _unary("softplus", self)

    def logsigmoid(self) -> Value:
        """ln σ(x), without overflow at any x."""
        return _unary("logsigmoid", self)

    def relu(self) -> Value:
        """max(0, x); the derivative at 0 is 0."""
        if self._data <= 0.0:
            return _node(RELU, self, None, 0.0, 0.0, 0.0)
        return _node(RELU, self, None, self._data, 1.0, 0.0)

    def gelu(self) -> Value:
        """x·Φ(x) with the exact normal distribution function."""
        return _unary("gelu", self)

    def silu(self) -> Value:
        """x·σ(x), also called swish."""
        return _unary("silu", self)

    def erf(self) -> Value:
        """The error function."""
        return _unary("erf", self)

    def erfc(self) -> Value:
        """1 − erf x, accurate for large x."""
        return _unary("erfc", self)

    def lgamma(self) -> Value:
        """ln|Γ(x)|."""
        return _unary("lgamma", self)

    def atan2(self, x: Number) -> Value:
        """The angle in radians of the point (x, self)."""
        return _binary(CODES["atan2"], self, x)

    def hypot(self, other: Number) -> Value:
        """√(self² + other²), without overflow on the way."""
        return _binary(CODES["hypot"], self, other)

    def maximum(self, other: Number) -> Value:
        """The larger; where equal, each gets half the gradient."""
        return _binary(CODES["maximum"], self, other)

    def minimum(self, other: Number) -> Value:
        """The smaller; where equal, each gets half the gradient."""
        return _binary(CODES["minimum"], self, other)

    def leaky_relu(self, slope: Number = 0.01) -> Value:
        """x for x > 0, else slope·x."""
        return _binary(CODES["leaky_relu"], self, slope)

    def elu(self, alpha: Number = 1.0) -> Value:
        """x for x > 0, else alpha·(eˣ − 1)."""
        return _binary(CODES["elu"], self, alpha)

    def clip(self, lo: Number | None = None, hi: Number | None = None) -> Value:
        """The nearest number from lo to hi; None is no bound."""
        lo = -math.inf if lo is None else lo
        hi = math.inf if hi is None else hi
        result: Value = apply("clip", self, lo, hi)
        return result

    def where(self, condition: object, other: Number) -> Value:
        """Self where the condition holds, else ``other``; no gradient flows through the choice."""
        choice = condition if isinstance(condition, Value) else bool(condition)
        result: Value = apply("where", choice, self, other)
        return result

    # NumPy's names for the same, so that np.arcsin of an array of Values finds them.
    arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2

    # --- as Python sees it -----------------------------------------------------------------------

    def __lt__(self, other: Number) -> Any:
        return _compared(self, other, True)

    def __le__(self, other: Number) -> Any:
        return _compared(self, other, False)

    def __gt__(self, other: Number) -> Any:
        return _compared(other, self, True)

    def __ge__(self, other: Number) -> Any:
        return _compared(other, self, False)

    # Identity, but 1.0 or 0.0 by the numbers while a function is traced.

    def __eq__(self, other: object) -> Any:
        if not is_symbolic(self, other) or not (isinstance(other, Value) or _is_real(other)):
            return NotImplemented
        return apply("<=", self, other) * apply("<=", other, self)

    def __ne__(self, other: object) -> Any:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else 1.0 - equal

    def __bool__(self) -> bool:
        if is_symbolic(self):
            need_open_trace(self)
            raise TypeError(
                "a branch (if, while, and, or, in, min, max) on a traced value: a trace records "
                "one path for all inputs. Use where(condition, a, b), maximum, minimum or clip."
            )
        return True  # as any object; a comparison looks at the number

    def __hash__(self) -> int:
        return id(self) >> 4

    def __float__(self) -> float:
        raise self._lossy("a float")

    def __int__(self) -> int:
        raise self._lossy("an int")

    def __index__(self) -> int:
        raise TypeError(
            f"{self!r} counts nothing and is no index: range, [] and * of a list take an int. "
            "In a function that is differentiated or traced, have the int stay a plain number: "
            "from a closure, or by functools.partial(f, n=3)."
        )

    def __round__(self, digits: Any = None) -> Any:
        raise self._lossy("a rounded number")

    def _lossy(self, what: str) -> TypeError:
        if _contexts:
            refuse_in_trace(self, what)
        return TypeError(
            f"{self!r} is not converted to {what} silently, since its gradient would be lost. "
            "Use v.data for the number, or a function that keeps the gradient: v.exp() or "
            "autograd_bp.exp(v) instead of math.exp(v), an object array instead of a float one."
        )

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    def __repr__(self) -> str:
        op = f", op={self.op!r}" if self.op else ""
        label = f", label={self.label!r}" if self.label else ""
        if self._code & KEPT > CODE:
            return f"Value(traced, {self._data!r} in the example{op}{label})"
        return f"Value(data={self._data!r}, grad={self._grad!r}{op}{label})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return copyreg.dispatch_table[Value](self)  # from `copies.py`; so subclasses have it too

    def _repr_svg_(self) -> str | None:
        """The graph, as Jupyter shows it. (The engine knows of pictures nowhere else.)"""
        from autograd_bp.pictures.draw import notebook_svg

        return notebook_svg(self)

    # micrograd's names for parents and op, which its drawing code reads.

    @property
    def _prev(self) -> set[Value]:
        return set(self.parents)

    @property
    def _op(self) -> str:
        return self.op

    def __dealloc__(self) -> None:
        """Drop the operands without deep recursion (compiled only; see _NESTING)."""
        global _contexts, _nested
        if self._code > CODE:  # of a trace: see `_mark_traced`
            _contexts -= 1
        if _nested >= _NESTING:
            _waiting.append(self._a)
            _waiting.append(self._b)
            _waiting.append(self._details)
            return
        _nested += 1
        self._a = None
        self._b = None
        self._details = None
        if _nested == 1:
            while _waiting:
                _waiting.pop()
        _nested -= 1


# Dropping the last node of a long chain drops the one before it, and so on. Deeper than this,
# nodes wait in a list instead of in nested calls. (Interpreted Python sees to that by itself.)
_NESTING = cython.declare(cython.int, 100)
_nested = cython.declare(cython.int, 0)
_waiting: list[object] = cython.declare(list, [])


# --- operations from the table -------------------------------------------------------------------

_rows_in_c = cython.declare(cython.bint, rows_in_c)


@cython.cfunc
def _unary(name: str, x: Value) -> Value:
    code: cython.short = CODES[name]
    if _rows_in_c:
        row = row_in_c(code, 1, x._data, 0.0)
        if row.known:
            return _node(code, x, None, row.y, row.da, 0.0)
    y, dx = _rule(code, 1, (x._data,), (x,))
    return _node(code, x, None, y, dx, 0.0)


@cython.cfunc
def _binary(code: cython.short, a: Any, b: Any) -> Value:
    """An operation on two operands, of which one is a node at least."""
    p: float = _data(a, "operand")
    q: float = _data(b, "operand")
    mask: cython.int = isinstance(a, Value) + 2 * isinstance(b, Value)
    x: Value | None = a if mask & 1 else None
    z: Value | None = b if mask & 2 else None
    if _rows_in_c:
        row = row_in_c(code, mask, p, q)
        if row.known:
            return _node(code, x, z, row.y, row.da, row.db)
    if mask == 1:
        y, p = _rule(code, mask, (p, q), (a, b))
    elif mask == 2:
        y, q = _rule(code, mask, (p, q), (a, b))
    else:
        y, p, q = _rule(code, mask, (p, q), (a, b))
    return _node(code, x, z, y, p, q)


@cython.cfunc
def _compared(a: Any, b: Any, strictly: cython.bint) -> Any:
    """Whether a < b, or a ≤ b, of which one is a node: by the numbers, in a trace a node."""
    if not (isinstance(a, Value) or _is_real(a)) or not (isinstance(b, Value) or _is_real(b)):
        return NotImplemented
    if _contexts and is_symbolic(a, b):
        return apply("<" if strictly else "<=", a, b)
    p: float = _data(a, "operand")
    q: float = _data(b, "operand")
    return p < q if strictly else p <= q


def _rule(
    code: int, mask: int, numbers: tuple[float, ...], operands: tuple[Any, ...]
) -> tuple[float, ...]:
    """The value and the local derivatives that mask asks for."""
    try:
        return RULES[code][mask](*numbers)  # type: ignore[no-any-return]
    except (ArithmeticError, ValueError):
        if is_symbolic(*operands):  # the numbers are those of an example: none need be inside
            return ieee(code, mask, numbers)
        labels = [x.label if isinstance(x, Value) else "" for x in operands]
        return careful(code, mask, numbers, *labels)


def apply(name: str, *operands: Any) -> Any:
    """Any row of the table without sequences, on nodes and plain numbers in any mixture.

    Returns a Value where an operand is one, else a float.

    >>> apply("maximum", 2, 3)
    3.0
    >>> apply("maximum", 2, Value(3.0))
    Value(data=3.0, grad=0.0, op='maximum')
    """
    code = CODES[name]
    names = TABLE[code].operands
    if len(names) == len(operands) == 2:
        a, b = operands
        if isinstance(a, Value) and isinstance(b, (Value, float)):
            return _binary(code, a, b)
        if isinstance(a, float) and isinstance(b, Value):
            return _binary(code, a, b)
    numbers = tuple([_data(x, n) for x, n in zip(operands, names, strict=True)])
    mask = sum([1 << i for i, x in enumerate(operands) if isinstance(x, Value)])
    if not mask:
        try:
            return RULES[code][0](*numbers)
        except (ArithmeticError, ValueError):
            return careful(code, 0, numbers)[0]
    if len(operands) == 1:
        return _unary(name, operands[0])
    y, *partials = _rule(code, mask, numbers, operands)
    nodes_and_numbers = [
        x if isinstance(x, Value) else c for x, c in zip(operands, numbers, strict=True)
    ]
    return node_of(code, tuple(nodes_and_numbers), y, partials)


# --- nodes of any operation ----------------------------------------------------------------------


_IN_ROWS: list[bool] = [op.is_nary for op in TABLE]


def node_of(op: Any, operands: tuple[Any, ...], data: float, partials: Iterable[float]) -> Value:
    """The node of an operation, of which the number and the derivatives are known.

    ``op`` is a row's position in the table, or a rule that is none; ``operands`` are nodes and
    floats, with a partial for each that is a node.
    """
    i: cython.Py_ssize_t
    a: Any = operands[0]
    b: Any = operands[1] if len(operands) == 2 else 0.0
    given = iter(partials)
    code: cython.short = op if isinstance(op, int) else CUSTOM
    if len(operands) <= 2 and code != CUSTOM and not _IN_ROWS[code]:
        da: float = next(given) if isinstance(a, Value) else a
        db: float = next(given) if isinstance(b, Value) else b
        return _node(
            code, a if isinstance(a, Value) else None, b if isinstance(b, Value) else None,
            data, da, db,
        )  # fmt: skip
    row: Any = operands
    others: Any = ()
    bias: Any = None
    if code == DOT:
        row, others, bias = grouped(TABLE[DOT], operands)
    details = _new_details(len(row) + len(others))
    details.operands, details.others = tuple(row), tuple(others)
    details.rule = op if code == CUSTOM else None
    for i, x in enumerate(details.operands + details.others):
        if isinstance(x, Value):
            p: Value = x
            details.has |= (p._code & CODE) | (ROW if i < len(details.operands) else OTHERS)
            details.partials[i] = next(given)
        else:
            details.partials[i] = x
    return _node_of_many(code, data, details, bias)


@cython.cfunc
def _node_of_many(code: cython.short, data: float, details: _Details, bias: Any) -> Value:
    """The result of an operation on rows of operands; the bias of a dot is a link besides."""
    node: Value = Value.__new__(Value)
    node._data = data
    node._grad = node._da = node._db = 0.0
    node._a = node._b = None
    if isinstance(bias, Value):
        node._a = bias
        node._da = 1.0
    elif bias is not None:
        node._da = float(bias)
    node._details = details
    node._code = code
    if _contexts:
        _in_context(node)
    return node


@cython.cfunc
def _new_details(n: cython.Py_ssize_t) -> _Details:
    """Details with room for n partials, and no operands yet."""
    details: _Details = _Details.__new__(_Details)
    details.label = details.scope = ""
    details.operands = details.others = ()
    details.rule = details.hooks = details.grad_node = details.passes = None
    details.has = 0
    if not cython.compiled:
        details.partials = [0.0] * n
    elif n:
        details.partials = cython.cast(cython.p_double, PyMem_Malloc(n * 8))
        if not details.partials:
            raise MemoryError
    return details


@cython.cfunc
def _details_of(node: Value) -> _Details:
    if node._details is None:
        details: _Details = _new_details(0)
        if node._details is None:  # still, whatever came between
            node._details = details
    return node._details


# --- the chain rule, beyond nodes of two operands ------------------------------------------------


@cython.cfunc
def _hand_on(g: float, details: _Details, row: tuple[Any, ...], start: cython.Py_ssize_t) -> object:
    """Add a node's gradient times the local derivative to each operand in a row."""
    i: cython.Py_ssize_t
    partials: cython.p_double = details.partials  # read once: C cannot know that it stays
    xi: Items = items(row)
    for i in range(len(row)):
        x = item(xi, i)
        if type(cython.cast(object, x)) is not float:
            cython.cast(Value, x)._grad += g * partials[start + i]
    return None


@cython.cfunc
def _hand_on_infinite(g: float, node: Value) -> object:
    """The same for all operands and a g that is ±inf or NaN: a derivative of 0 carries nothing."""
    p: Value
    was_collecting: cython.bint = PyGC_Disable()  # which would run code in Python
    try:
        for p, dp in zip(node.parents, node.local_grads, strict=True):
            if dp != 0.0:
                p._grad += g * dp
    finally:
        if was_collecting:
            PyGC_Enable()
    return None


@cython.cfunc
def _have_care(nodes: list[Value]) -> cython.bint:
    """Whether some node has a hook or a gradient that is a graph."""
    node: Value
    d: _Details | None
    for node in nodes:
        d = node._details
        if d is not None and (d.hooks or d.grad_node is not None):
            return True
    return False


def run_hooks(node: Value, grad: Any) -> Any:
    """The gradient that a node hands on: what its hooks make of the one that reached it."""
    details: _Details | None = node._details
    for hook in (details.hooks if details is not None else None) or ():
        result = call_hook(hook, grad)
        if result is not None:
            keep = isinstance(grad, Value) and isinstance(result, Value)
            grad = result if keep else _number(result, "the gradient that a hook returns")
    return grad


def expect_graphs(nodes: Iterable[Value]) -> None:
    """Make room for gradients that are graphs."""
    global _leaves_need_care
    _leaves_need_care = True
    for node in nodes:
        _details_of(node)


def consumers_first(roots: Iterable[Value], stop: Iterable[Value] = ()) -> list[Value]:
    """All nodes that the roots were computed from, and the roots: each before its operands.

    Nodes in ``stop`` are left out, and so is what only they were computed from.
    """
    nodes = _nodes(roots, "roots")
    return _consumers_first(nodes[::-1], _nodes(stop, "stop"), True, False)


def topological_order(roots: Value | Iterable[Value]) -> list[Value]:
    """All nodes that the roots were computed from, operands before results, roots included.

    The order is the same in every run. It costs time and memory proportional to the graph.

    >>> x = Value(2.0, "x")
    >>> y = x * x
    >>> [node.op or node.label for node in topological_order(y + 1.0)]
    ['x', '*', '+']
    """
    order = consumers_first([roots] if isinstance(roots, Value) else roots)
    order.reverse()
    return order


def zero_grad(values: Iterable[Value]) -> None:
    """Set ``grad`` of each to 0, as before the first pass.

    Where a pass with ``create_graph`` gave a leaf its gradient, the gradients that are graphs of
    the nodes between become numbers.

    >>> x = Value(3.0)
    >>> (x * x).backward()
    >>> zero_grad([x])
    >>> x.grad
    0.0
    """
    node: Value
    for node in _nodes(values, "values"):
        if _contexts:
            refuse_in_trace(node, "grad")
        node._grad = 0.0
        let_go(node)


def go_together(leaves: Iterable[Value], nodes: list[Value]) -> None:
    """Have the gradients of nodes, which are graphs, go when that of one of the leaves does.

    A gradient as a graph may hold the node whose gradient it is. Such nodes would keep themselves
    alive, and nobody zeroes the gradients of nodes that are no leaves.
    """
    leaf: Value
    for leaf in leaves:
        details: _Details = _details_of(leaf)
        details.passes = (nodes, details.passes)


def let_go(leaf: Value) -> None:
    """Forget a gradient that is a graph, and those of the nodes between that came with it."""
    node: Value
    details: _Details | None = leaf._details
    if details is None:
        return
    passes, details.passes, details.grad_node = details.passes, None, None
    while passes is not None:
        nodes, passes = passes
        for node in nodes[:]:
            if node._details is not None:
                node._details.grad_node = None
        nodes.clear()  # other leaves have this list, too


def _nodes(x: Any, name: str) -> list[Value]:
    """Nodes from outside, as a list."""
    nodes = list(_sequence(x, name))
    for node in nodes:
        if not isinstance(node, Value):
            raise TypeError(
                f"{name} must hold Values only, got {node!r} of type {type(node).__name__}"
            )
        if _contexts:
            need_open_trace(node)
    return nodes


# --- numbers and sequences from outside ----------------------------------------------------------


@cython.cfunc
def _is_real(x: object) -> cython.bint:
    return isinstance(x, (float, int, Real))


@cython.cfunc
def _data(x: object, name: str) -> float:
    """The number of an operand, node or plain."""
    if type(x) is float:
        return x
    if isinstance(x, Value):
        node: Value = x
        return node._data
    return float(x) if isinstance(x, (int, float)) else _number(x, name)


def _number(x: Any, name: str) -> float:
    """A real number from outside as a float."""
    if isinstance(x, (float, int, Real)) and not isinstance(x, bool):
        return float(x)
    hint = "convert it first"
    if isinstance(x, Value):
        hint = "use v.data, or v.detach() for a new leaf"
    elif isinstance(x, str):
        hint = f"write float({x!r}) if it spells a number"
    elif isinstance(x, complex):
        hint = "differentiate its real and imaginary parts, each a Value"
    elif isinstance(x, bool) or type(x).__name__ == "bool":
        hint = "write 1.0 or 0.0"
    elif hasattr(x, "item"):
        hint = "use its .item() if it holds one number, or a list of Values"
    raise TypeError(
        f"{name} must be a real number (int, float or NumPy scalar), "
        f"got {x!r} of type {type(x).__name__}; {hint}"
    )


def _plain(row: Iterable[Any], name: str) -> tuple[Any, ...]:
    """The row with its ints and other real numbers as floats."""
    return tuple([x if isinstance(x, Value) else _data(x, name) for x in row])


@cython.cfunc
def _sequence(x: Any, name: str) -> Any:
    if type(x) is tuple or type(x) is list:
        return x
    if isinstance(x, Value) or not isinstance(x, Iterable):
        raise TypeError(
            f"{name} must be a sequence of Values and numbers (a list, tuple or generator), "
            f"got {x!r}; write [{name}] for a single one"
        )
    return tuple(x)


# --- contexts and traces -------------------------------------------------------------------------


@cython.cfunc
def _in_context(node: Value) -> object:
    """Have what is open, here or as the trace of an operand, see to a new node."""
    twin: Value
    here: cython.longlong = 0
    now: State = current()
    trace: Trace | None = now.trace
    if trace is not None and trace.is_open:
        here = trace.number
        if not node._code:
            trace.constants[id(node)] = node
    elif Trace.open:  # perhaps this thread works for a function that is being traced
        for other in list(Trace.open.values()):
            if all([id(p) in other.constants for p in node.parents]):  # noqa: C419 (as Cython has it)
                other.constants[id(node)] = node
    number: cython.longlong = _innermost_trace(node, here)
    if not now.recording and not number:
        node._a = node._b = node._details = None
        node._code = 0
        return None
    if number and node._code:
        _mark_traced(node, number)
        # Without recording: its number is another in each call, so it stays, held fixed.
        if not now.recording and node._code & CODE != DETACH:
            twin = Value.__new__(Value)
            twin._data, twin._grad, twin._code = node._data, 0.0, node._code & CODE
            twin._a, twin._b, twin._da, twin._db = node._a, node._b, node._da, node._db
            twin._details = node._details
            _mark_traced(twin, number)
            _tell(twin, now)
            node._a, node._b, node._da, node._db = twin, None, 0.0, 0.0
            node._details = None
            node._code += DETACH - (node._code & CODE)
    if now.path or now.watchers:
        _tell(node, now)
    return None


def _tell(node: Value, now: State) -> None:
    if now.path:
        node.scope = now.path
    for watcher in now.watchers:
        if type(watcher) is list:
            watcher.append(node)
        else:
            watcher(node)


@cython.cfunc
def _trace_of(node: Value) -> cython.longlong:
    return (node._code & KEPT) >> SHIFT


@cython.cfunc
def _innermost_trace(node: Value, number: cython.longlong) -> cython.longlong:
    """The number of the innermost trace among this open one, or 0, and those of the operands."""
    if node._a is not None:
        number = _inner_trace(node._a, number)
    if node._b is not None:
        number = _inner_trace(node._b, number)
    if node._details is not None and node._details.has:
        for x in node._details.operands + node._details.others:
            if isinstance(x, Value):
                number = _inner_trace(x, number)
    return number


@cython.cfunc
def _inner_trace(node: Value, number: cython.longlong) -> cython.longlong:
    own: cython.longlong = _trace_of(node)
    if own == 0 or own == number:
        return number
    need_open_trace(node)
    return max(own, number)


@cython.cfunc
def _mark_traced(node: Value, number: cython.longlong) -> object:
    """Make the node one of a trace. For as long as it lives, operations look at their operands."""
    global _contexts
    node._code |= number << SHIFT
    if cython.compiled:
        _contexts += 1
    else:
        _contexts.add(id(node))  # type: ignore[attr-defined]
        node.__class__ = _Traced
    return None


if not cython.compiled:

    class _Traced(Value):
        """A node of a trace: here `__del__` does what `__dealloc__` does in C."""

        __slots__ = ()

        def __del__(self, forget: Any = _contexts.discard) -> None:  # type: ignore[attr-defined]
            forget(id(self))


def _keeper() -> Value:
    """An object that keeps ``_contexts`` from 0 for as long as it lives: a node of no trace."""
    node: Value = Value.__new__(Value)
    node._code = 0
    _mark_traced(node, 1)
    return node


context.keepers.append(_keeper)


def traced_input(number: float, label: str = "") -> Value:
    """A leaf that stands for the numbers of all calls in the trace that is open."""
    trace = current().trace
    assert trace is not None
    node: Value = Value(number, label)
    del trace.constants[id(node)]
    _mark_traced(node, trace.number)
    return node


def release(nodes: Iterable[Value]) -> None:
    """Take nodes out of their trace: then they have the numbers of this one call."""
    global _contexts
    node: Value
    for node in nodes:
        if _trace_of(node):
            node._code &= CODE
            if cython.compiled:
                _contexts -= 1
            else:
                _contexts.discard(id(node))  # type: ignore[attr-defined]
                node.__class__ = Value


def is_symbolic(*operands: object) -> bool:
    """Whether the numbers of operands are those of one call of a traced function among many."""
    node: Value
    if not _contexts:
        return False
    nodes = [x for x in operands if isinstance(x, Value)]
    for node in nodes:
        if _trace_of(node):
            return True
    return bool(nodes) and is_tracing()


def peek(x: Number) -> float:
    """The number of a node, also in a trace: for what must not be decided by it."""
    if _contexts and isinstance(x, Value):
        need_open_trace(x)
    return _data(x, "operand")


def need_open_trace(node: Value) -> None:
    if _trace_of(node) and _trace_of(node) not in Trace.open:
        raise context.leaked(node)


def refuse_in_trace(node: Value, what: str) -> None:
    """Refuse what would take the number of one call for that of all calls of a traced function."""
    need_open_trace(node)
    trace = current().trace
    outer = trace is not None and trace.is_open and id(node) not in trace.constants
    if _trace_of(node) or outer:
        raise context.read_in_trace(node, what)
