"""A traced function: text to read, and loops to run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bp.nary import mean, sum_of
from autograd_bp.ops import TABLE
from autograd_bp.program import derive, run
from autograd_bp.program.instructions import Floats
from autograd_bp.program.operation import as_graph, on_values
from autograd_bp.program.signature import Function, HoldsValues, values_in
from autograd_bp.text import printable
from autograd_bp.transforms import are_final
from autograd_bp.trees import whole, without_nodes
from autograd_bp.value import Number, Value

if TYPE_CHECKING:
    import graphviz

__all__ = ["MISFITS", "Program"]

MISFITS = HoldsValues, TypeError, ValueError, OverflowError
"""What arguments raise that a program does not take."""


class Program(Function):
    """A function of numbers as a list of instructions, made by `trace`.

    It is called like the function, on arguments of the structure that was traced, and gives
    floats and NumPy arrays. Derivatives are programs too: `value_and_grad`, `jacobian` and
    `hvp` make them once, from the table of operations, and keep them. ``str(program)`` is the
    listing, ``len(program)`` how many instructions it has.

    Arithmetic is IEEE 754 throughout: where a `Value` raises, outside the domain of an operation,
    a program gives NaN or ±inf.

    Called on Values, a program is one operation more: each result is a node whose derivatives, of
    any order, are the program's own. In a trace its instructions become part of the trace.
    Derivatives by its methods are Values as well where a derivative of them may be wanted: in a
    transformation, in a trace, or where an argument was itself computed. Of leaves they are
    numbers, so that ``program.value_and_grad(model.parameters(), x)`` is what it says.

    ``captured`` are Values that the traced function took from outside. They are the first inputs,
    and their data are read at each call.

    >>> from autograd_bp.program import trace
    >>> program = trace(lambda x, y: (x * y).sin(), 2.0, 3.0)
    >>> print(program)
    %0 = input x
    %1 = input y
    %2 = * %0 %1
    %3 = sin %2
    return %3
    >>> program.value_and_grad(2.0, 0.0)
    (0.0, 0.0)
    """

    # --- what it computes -------------------------------------------------------------------------

    def value(self, *args: Any) -> Any:
        """The function's result for these arguments."""
        return self._run(args)

    __call__ = value

    def _run(self, args: tuple[Any, ...], is_derivative: bool = False) -> Any:
        """The result: of Values a graph, but see the class for those of a derivative."""
        if not self.captured or (is_derivative and are_final(self.captured)):
            try:
                return self._on_numbers(args)
            except HoldsValues:
                if is_derivative and are_final(values_in(args)):
                    return self._on_numbers(without_nodes(args))
        return self._applied(self.operands(args))

    def _on_numbers(self, args: tuple[Any, ...]) -> Any:
        return self.result.nest(self._row(args))

    def _row(self, args: tuple[Any, ...]) -> Floats:
        """The numbers of the result; raises `HoldsValues` where an argument holds a Value."""
        plan = run.plan_of(self)
        slots = plan.take_slots()
        start = len(self.captured)
        for i, x in enumerate(self.captured):
            slots[i] = x.data
        for layout, arg in zip(self.matching(args), args, strict=True):
            layout.read(arg, slots[start : start + layout.size])
            start += layout.size
        run.run_slots(plan, slots)
        row: Floats = slots[plan.same_slots]
        plan.give_back(slots)
        return row

    def _applied(self, operands: Sequence[Number]) -> Any:
        results = np.empty(self.result.size, object)
        results[:] = on_values(self, operands)
        return self.result.nest(results)

    def of(self, leaves: Sequence[Number]) -> Any:
        """`value` of arguments whose leaves are these numbers and Values, none of them an array."""
        if self.captured or any([type(x) is Value for x in leaves]):  # noqa: C419 (as above)
            return self._applied([*self.captured, *leaves])
        return self.result.nest(run.row(self, leaves))

    def value_and_grad(self, *args: Any, argnums: int | Sequence[int] = 0) -> tuple[Any, Any]:
        """The result, one number, and its gradient in the structure of argument ``argnums``.

        For several ``argnums`` the gradients are a tuple.

        >>> from autograd_bp.program import trace
        >>> trace(lambda w, x: w[0] * x + w[1], [2.0, 1.0], 3.0).value_and_grad([5.0, 1.0], 3.0)
        (16.0, [3.0, 1.0])
        """
        value, grad = derive.gradient(self, argnums)._run(args, True)
        return value, grad

    def _value_and_grad_of_numbers(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], argnums: int | Sequence[int]
    ) -> tuple[float, Any] | None:
        """What `autograd_bp.value_and_grad` gives, without a graph; None where it needs one."""
        pairs = zip(self.arguments, args, strict=False)
        if kwargs or not all([layout.is_as_traced(arg) for layout, arg in pairs]):  # noqa: C419
            return None
        return self.at_once(args, argnums)

    def at_once(
        self, args: tuple[Any, ...], argnums: int | Sequence[int]
    ) -> tuple[float, Any] | None:
        """The same for arguments that are as they were traced."""
        if not self.result.is_number or not are_final(self.captured):
            return None
        try:
            both = self.with_gradient(argnums)
            row = both._row(args)
        except MISFITS:
            return None  # there it is said what is wrong
        row[1:] += 0.0  # what adds up gradients begins with 0.0, so there is no -0.0
        value, grad = both.result.nest(row)
        return value, grad

    def jacobian(self, *args: Any, argnums: int = 0) -> Floats:
        """The matrix of ∂result/∂argument: a row for each number of the result.

        >>> from autograd_bp.program import trace
        >>> trace(lambda x: [x[0] * x[1], x[0]], [2.0, 3.0]).jacobian([2.0, 3.0]).tolist()
        [[3.0, 2.0], [1.0, 0.0]]
        """
        matrix: Floats = self.with_jacobian(argnums)._run(args, True)
        return matrix

    def hvp(self, *args: Any, tangent: Any, argnums: int = 0) -> Any:
        """The Hessian by an argument times a tangent, both in the argument's structure.

        >>> from autograd_bp.program import trace
        >>> program = trace(lambda x: x[0] ** 2 * x[1], [3.0, 5.0])
        >>> program.hvp([3.0, 5.0], tangent=[1.0, 0.0])
        [10.0, 6.0]
        """
        return self.with_hvp(argnums)._run((*args, tangent), True)

    def map(self, *args: Any, reduce: str | None = None, grad: bool = False,
            threads: int = 1) -> Any:  # fmt: skip
        """The function on every lane: arguments with one axis more, in front, are its lanes.

        Without ``reduce``, results have the lanes as their first axis. ``reduce="sum"`` or
        ``"mean"`` adds up over the lanes. With ``grad`` the result is ``(value, gradients)``,
        the gradients by the first argument, in its structure. ``threads`` share the lanes in
        blocks; the result does not depend on how many they are.

        >>> import numpy as np
        >>> from autograd_bp.program import trace
        >>> square = trace(lambda w, x, y: (w * x - y) ** 2, 2.0, 1.0, 1.0)
        >>> x, y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 7.0])
        >>> square.map(2.0, x, y).tolist()
        [0.0, 0.0, 1.0]
        >>> square.map(2.0, x, y, reduce="sum", grad=True)
        (1.0, -6.0)
        """
        if reduce not in (None, "sum", "mean"):
            raise ValueError(f'reduce must be None, "sum" or "mean", got {reduce!r}')
        if not whole(threads) or threads < 1:
            raise ValueError(f"threads must be a whole number from 1 on, got {threads!r}")
        program = self.with_gradient(0) if grad else self
        return program._map(args, reduce, threads)

    def _map(self, args: tuple[Any, ...], reduce: str | None, threads: int) -> Any:
        layouts = self.matching(args)
        if not are_final(self.captured):
            return self._map_values(args, reduce)
        numbers = [np.array([x.data for x in self.captured], float)]
        try:
            numbers += [layout.read_lanes(arg) for layout, arg in zip(layouts, args, strict=True)]
        except HoldsValues:
            if are_final(values_in(args)):
                return self._map(without_nodes(args), reduce, threads)
            return self._map_values(args, reduce)
        lanes = [x for x in numbers if x.ndim == 2]
        n = _lanes_of(lanes, reduce)
        plan = run.plan_of(self, tuple([x.ndim == 2 for x in numbers[1:]]), reduce is not None)
        slots = plan.take_slots()
        start = 0
        for x in numbers:
            if x.ndim == 1:
                slots[start : start + len(x)] = x
                start += len(x)
        out, sums = run.run_rows(plan, slots, lanes, threads)
        same = slots[plan.same_slots] if len(plan.same) else None
        plan.give_back(slots)
        if reduce is None:
            if same is not None:
                out = out if plan.keeps_rows else np.empty((len(same), n))
                out[plan.same] = same[:, None]
            return self.result.nest(out)
        if same is not None:
            sums[plan.same] = same * n
        if reduce == "mean":
            sums /= float(n)
        return self.result.nest(sums)

    def _map_values(self, args: tuple[Any, ...], reduce: str | None) -> Any:
        """`map` as a graph: the program on the Values of one lane after the other."""
        numbers = [
            layout.read_lanes(arg, object)
            for layout, arg in zip(self.matching(args), args, strict=True)
        ]
        n = _lanes_of([x for x in numbers if x.ndim == 2], reduce)
        out = np.empty((self.result.size, n), object)
        for i in range(n):
            rows = [x[i] if x.ndim == 2 else x for x in numbers]
            out[:, i] = on_values(self, [*self.captured, *np.concatenate(rows)])
        if reduce is None:
            return self.result.nest(out)
        results = np.empty(len(out), object)
        results[:] = [(sum_of if reduce == "sum" else mean)(row) for row in out]
        return self.result.nest(results)

    # --- derivatives as programs ------------------------------------------------------------------

    def with_gradient(self, argnums: int | Sequence[int] = 0) -> Program:
        """The program of ``(value, gradient)``."""
        return derive.gradient(self, argnums)

    def with_jacobian(self, argnums: int = 0) -> Program:
        """The program of the matrix ∂result/∂argument, by whichever mode takes fewer sweeps."""
        return derive.jacobian(self, argnums)

    def with_hvp(self, argnums: int = 0) -> Program:
        """The program of Hessian times tangent; the tangent is one more argument, the last."""
        return derive.hvp(self, argnums)

    def explain(self) -> str:
        """The matrices that were found in the scalar code, as formulas with their shapes.

        The first argument is taken for parameters, the others for lanes, N of them, as
        ``map(params, X, y, reduce="sum", grad=True)`` runs them.

        >>> from autograd_bp.program import trace
        >>> from nn import MLP
        >>> model = MLP(2, [3, 1], seed=0)
        >>> program = trace(lambda p, x: model(x), model.parameters(), [1.0, 2.0])
        >>> print(program.explain().splitlines()[0].split("   ")[0])
        Z1 = X·W1ᵀ + b1
        """
        from autograd_bp.program.recover import formulas

        return formulas(self.frozen())

    # --- elsewhere --------------------------------------------------------------------------------

    def to_c(self, path: str | os.PathLike[str], name: str, dtype: str = "float64") -> None:
        """Write the program as portable C99: ``path``, ending in .c, and a header beside it.

        It defines ``void name(const double *argument…, double *result, double *work)``, where
        ``work`` has room for ``NAME_WORK`` numbers, and for a program of one number
        ``name_grad`` with the gradient by the first argument besides. Nothing is allocated;
        only libm is needed. ``dtype`` is "float64" or "float32".
        """
        from autograd_bp.program.c import write_c

        write_c(self.frozen(), path, name, dtype)

    def to_jax(self) -> Callable[..., Any]:
        """The same function on JAX's arrays: to be jitted, mapped and differentiated there.

        It computes in the precision of its arguments, on integers in floats. ``jax.vmap`` gives it
        lanes. JAX's derivatives of it, of any order and mode, are those of the table of
        operations: at kinks and extremes, for `custom` and `detach`. Arguments of another
        structure raise, as the program's own do.
        """
        from autograd_bp.program.to_jax import to_jax

        return to_jax(self.frozen())

    # --- what a person sees -----------------------------------------------------------------------

    def draw(self, *args: Any, **options: Any) -> graphviz.Digraph:
        """The program's graph with the numbers that it has for these arguments.

        It is drawn by `autograd_bp.draw`, which takes the ``options``. Where the result is one
        number, the boxes show ∂result/∂node besides. Raises ValueError outside the domain of an
        operation, where there is no number to show.

        >>> from autograd_bp.program import trace
        >>> "sin" in trace(lambda x, y: (x * y).sin(), 2.0, 3.0).draw(0.5, 1.0).source
        True
        """
        from autograd_bp.pictures.draw import draw

        self.matching(args)
        results = as_graph(self, args)
        if len(results) == 1:
            results[0].backward()
        return draw(results, **options)

    @property
    def counts(self) -> dict[str, int]:
        """How many instructions there are of each operation, the most frequent first.

        >>> from autograd_bp.program import trace
        >>> trace(lambda x: x.exp() + (x * x).exp(), 1.0).counts
        {'exp': 2, '*': 1, '+': 1}
        """
        codes = self.instructions.code
        found = Counter(TABLE[code].name for code in codes[codes != 0].tolist())
        return dict(found.most_common())

    def __repr__(self) -> str:
        names = ", ".join(printable(layout.name) for layout in self.arguments)
        return f"Program({names}: {len(self)} instructions)"

    def __str__(self) -> str:
        program = self.instructions
        inputs = map(printable, self.input_names)
        names = dict(zip(program.inputs.tolist(), inputs, strict=True))
        number = program.number.tolist()
        lines = []
        for i, code in enumerate(program.code.tolist()):
            taken = program.operand[program.first[i] : program.first[i + 1]].tolist()
            if i in names:
                line = f"%{i} = input {names[i]}"
            elif code == 0:
                line = f"%{i} = {number[i]!r}"
            else:
                line = " ".join([f"%{i} = {TABLE[code].name}", *(f"%{j}" for j in taken)])
            label = printable(program.labels.get(i, ""))
            lines.append(line + (f"  # {label}" if label and label != names.get(i) else ""))
        lines.append("return " + " ".join(f"%{i}" for i in program.outputs.tolist()))
        return "\n".join(lines)


def _lanes_of(lanes: Sequence[Any], reduce: str | None) -> int:
    """How many lanes there are."""
    n = len(lanes[0]) if lanes else 0
    if not lanes or any([len(x) != n for x in lanes]):  # noqa: C419 (a list is quicker here)
        counts = [len(x) for x in lanes] or "none"
        raise ValueError(
            "map needs arguments with one axis more than was traced, in front, and of the "
            f"same length in all of them; the lengths are {counts}"
        )
    if n == 0 and reduce == "mean":
        raise ValueError("the mean over no lanes: the lanes' axis has length 0")
    return n
