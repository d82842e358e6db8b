"""A traced function: text to read, and loops to run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bp.context import is_inside, is_tracing
from autograd_bp.nary import mean, sum_of
from autograd_bp.ops import TABLE
from autograd_bp.program import engine
from autograd_bp.program.derive import pull_back, push_forward
from autograd_bp.program.instructions import Builder, Floats, Instructions
from autograd_bp.program.layout import HoldsValues, Layout, values_in, without_values
from autograd_bp.program.plan import Plan
from autograd_bp.program.simplify import simplify
from autograd_bp.text import printable
from autograd_bp.transforms import are_constants
from autograd_bp.trees import positions, whole
from autograd_bp.value import Number, Value

if TYPE_CHECKING:
    import graphviz

__all__ = ["Program", "all_leaves"]


class Program:
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

    def __init__(
        self,
        instructions: Instructions,
        arguments: Sequence[Layout],
        result: Layout,
        optimize: bool = True,
        captured: Sequence[Value] = (),
        name: str = "program",
    ) -> None:
        self.instructions = instructions
        self.arguments = tuple(arguments)
        self.result = result
        self.optimize = optimize
        self.captured = tuple(captured)
        self.name = name
        self._derived: dict[Any, Any] = {}
        self._plans: dict[Any, Plan] = {}
        self._check_sizes()

    def __getstate__(self) -> dict[str, Any]:
        # What can be made again travels with nobody.
        return self.frozen().__dict__ | {"_derived": {}, "_plans": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._check_sizes()

    def _check_sizes(self) -> None:
        inputs, outputs = self.instructions.inputs, self.instructions.outputs
        found = len(inputs) - len(self.captured), len(outputs)
        sizes = sum([layout.size for layout in self.arguments]), self.result.size
        if found != sizes:
            raise ValueError(
                f"arguments and result have {sizes[0]} and {sizes[1]} numbers, but the "
                f"instructions {found[0]} inputs and {found[1]} outputs"
            )

    # --- what it computes -------------------------------------------------------------------------

    def value(self, *args: Any) -> Any:
        """The function's result for these arguments."""
        return self._run(args)

    __call__ = value

    def _run(self, args: tuple[Any, ...], is_derivative: bool = False) -> Any:
        """The result: of Values a graph, but see the class for those of a derivative."""
        if not self.captured or (is_derivative and all_leaves(self.captured)):
            try:
                return self._on_numbers(args)
            except HoldsValues:
                if is_derivative and all_leaves(values_in(args)):
                    return self._on_numbers(without_values(args))
        return self._on_values(args)

    def _on_numbers(self, args: tuple[Any, ...]) -> Any:
        plan = self._plan(None)
        slots = plan.take_slots()
        start = len(self.captured)
        for i, x in enumerate(self.captured):
            slots[i] = x.data
        for layout, arg in zip(self._matching(args), args, strict=True):
            layout.read(arg, slots[start : start + layout.size])
            start += layout.size
        engine.run_slots(plan, slots)
        result = self.result.nest(slots[plan.same_slots])
        plan.give_back(slots)
        return result

    def _on_values(self, args: tuple[Any, ...]) -> Any:
        return self._applied(self.operands(args))

    def _applied(self, operands: Sequence[Number]) -> Any:
        from autograd_bp.program.operation import apply

        results = np.empty(self.result.size, object)
        results[:] = apply(self, operands)
        return self.result.nest(results)

    def of(self, leaves: Sequence[Number]) -> Any:
        """`value` of arguments whose leaves are these numbers and Values, none of them an array."""
        if self.captured or any([type(x) is Value for x in leaves]):  # noqa: C419 (as above)
            return self._applied([*self.captured, *leaves])
        return self.result.nest(self.row(leaves))

    def row(self, numbers: Sequence[Any]) -> Floats:
        """The numbers of the result for these inputs."""
        plan = self._plan(None)
        slots = plan.take_slots()
        slots[: len(numbers)] = numbers
        engine.run_slots(plan, slots)
        row: Floats = slots[plan.same_slots]
        plan.give_back(slots)
        return row

    def operands(self, args: tuple[Any, ...]) -> list[Number]:
        """What the inputs are: the captured Values, then what stands in the arguments."""
        row: list[Number] = list(self.captured)
        for layout, arg in zip(self._matching(args), args, strict=True):
            row += layout.numbers(arg)
        return row

    def value_and_grad(self, *args: Any, argnums: int | Sequence[int] = 0) -> tuple[Any, Any]:
        """The result, one number, and its gradient in the structure of argument ``argnums``.

        For several ``argnums`` the gradients are a tuple.

        >>> from autograd_bp.program import trace
        >>> trace(lambda w, x: w[0] * x + w[1], [2.0, 1.0], 3.0).value_and_grad([5.0, 1.0], 3.0)
        (16.0, [3.0, 1.0])
        """
        value, grad = self.with_gradient(argnums)._run(args, True)
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
        layouts = self._matching(args)
        if not all_leaves(self.captured):
            return self._map_values(args, reduce)
        numbers = [np.array([x.data for x in self.captured], float)]
        try:
            numbers += [layout.read_lanes(arg) for layout, arg in zip(layouts, args, strict=True)]
        except HoldsValues:
            if all_leaves(values_in(args)):
                return self._map(without_values(args), reduce, threads)
            return self._map_values(args, reduce)
        lanes = [x for x in numbers if x.ndim == 2]
        n = _lanes_of(lanes, reduce)
        plan = self._plan(tuple([x.ndim == 2 for x in numbers[1:]]), reduce is not None)
        slots = plan.take_slots()
        start = 0
        for x in numbers:
            if x.ndim == 1:
                slots[start : start + len(x)] = x
                start += len(x)
        out, sums = engine.run_rows(plan, slots, lanes, threads)
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
        from autograd_bp.program.operation import apply

        numbers = [
            layout.read_lanes(arg, object)
            for layout, arg in zip(self._matching(args), args, strict=True)
        ]
        n = _lanes_of([x for x in numbers if x.ndim == 2], reduce)
        out = np.empty((self.result.size, n), object)
        for i in range(n):
            rows = [x[i] if x.ndim == 2 else x for x in numbers]
            out[:, i] = apply(self, [*self.captured, *np.concatenate(rows)])
        if reduce is None:
            return self.result.nest(out)
        results = np.empty(len(out), object)
        results[:] = [(sum_of if reduce == "sum" else mean)(row) for row in out]
        return self.result.nest(results)

    def _matching(self, args: tuple[Any, ...]) -> tuple[Layout, ...]:
        if len(args) != len(self.arguments):
            raise TypeError(
                f"the program takes {len(self.arguments)} arguments, as the function that was "
                f"traced did; got {len(args)}"
            )
        return self.arguments

    def _plan(self, are_lanes: tuple[bool, ...] | None, reduce: bool = False) -> Plan:
        key = are_lanes, reduce
        plan = self._plans.get(key)
        if plan is None:
            sizes = [len(self.captured), *(layout.size for layout in self.arguments)]
            choice = False, *(are_lanes or (False,) * len(self.arguments))
            plan = self._plans[key] = Plan(self.instructions, np.repeat(choice, sizes), reduce)
        return plan

    # --- derivatives as programs ------------------------------------------------------------------

    def with_gradient(self, argnums: int | Sequence[int] = 0) -> Program:
        """The program of ``(value, gradient)``."""
        if type(argnums) is not int:
            argnums = positions(argnums, len(self.arguments), "arguments of the program")
        key = "gradient", argnums
        found: Program | None = self._derived.get(key)
        if found is None:
            found = self.once(key, lambda: self._make_gradient(argnums))
        return found

    def _make_gradient(self, argnums: int | Sequence[int]) -> Program:
        self._need_one_number("value_and_grad")
        several = [argnums] if isinstance(argnums, int) else list(argnums)
        chosen = [self.arguments[self._position(i)] for i in several]
        inputs = np.concatenate([self.instructions.inputs[:0], *map(self._inputs, several)])
        builder = Builder(self.instructions)
        grads = pull_back(self.instructions, builder, [builder.constant(1.0)], inputs)
        trees = [layout.nest(np.zeros(layout.size)) for layout in chosen]
        grad = trees[0] if isinstance(argnums, int) else tuple(trees)
        return self._derive(builder, [*self.instructions.outputs, *grads], (0.0, grad))

    def with_jacobian(self, argnums: int = 0) -> Program:
        """The program of the matrix ∂result/∂argument, by whichever mode takes fewer sweeps."""
        at = self._position(argnums)
        program: Program = self.once(("jacobian", at), lambda: self._make_jacobian(at))
        return program

    def _make_jacobian(self, argnums: int) -> Program:
        inputs = self._inputs(argnums)
        n, m = len(inputs), self.result.size
        builder = Builder(self.instructions)
        rows = []
        for i in range(min(n, m)):
            seeds = [builder.constant(float(i == j)) for j in range(min(n, m))]
            if m <= n:
                rows.append(pull_back(self.instructions, builder, seeds, inputs))
            else:
                rows.append(push_forward(self.instructions, builder, seeds, inputs))
        matrix = np.array(rows) if m <= n else np.array(rows).T
        return self._derive(builder, matrix.ravel(), np.zeros((m, n)))

    def with_hvp(self, argnums: int = 0) -> Program:
        """The program of Hessian times tangent; the tangent is one more argument, the last."""
        at = self._position(argnums)
        program: Program = self.once(("hvp", at), lambda: self._make_hvp(at))
        return program

    def _make_hvp(self, argnums: int) -> Program:
        first = self.with_gradient(argnums)
        inputs = first._inputs(argnums)
        of_gradient = first.instructions.outputs[self.result.size :]
        program = replace(first.instructions, outputs=of_gradient)
        builder = Builder(program)
        layout = self.arguments[self._position(argnums)]
        tangents = [builder.input() for _ in inputs]
        moved = push_forward(program, builder, tangents, inputs)
        tree = layout.nest(np.zeros(layout.size))
        return self._derive(builder, moved, tree, [*self.arguments, Layout(tree, "tangent")])

    def frozen(self) -> Program:
        """The program with what it captured as constants, at their present data.

        Raises ValueError where a transformation or a trace made it, so that it is none.
        """
        if not self.captured:
            return self
        if not are_constants(self.captured):
            raise ValueError(
                f"{self.name} stands on {self.captured[0]!r}, which a transformation or a trace "
                "around it made: it cannot be kept, exported or pickled with the number that this "
                "has in one call. Make it an argument of the traced function"
            )
        n = len(self.captured)
        inputs, number = self.instructions.inputs, self.instructions.number.copy()
        number[inputs[:n]] = [x.data for x in self.captured]
        instructions = replace(self.instructions, number=number, inputs=inputs[n:])
        return Program(instructions, self.arguments, self.result, self.optimize, (), self.name)

    def twin(
        self, instructions: Instructions, arguments: Sequence[Layout], result: Layout
    ) -> Program:
        """A program of these instructions that is simplified, or not, as this one is."""
        return Program(instructions, arguments, result, self.optimize, (), self.name)

    def _derive(
        self,
        builder: Builder,
        outputs: Any,
        result: Any,
        arguments: Sequence[Layout] | None = None,
    ) -> Program:
        instructions = builder.finish(outputs)
        if self.optimize:
            instructions = simplify(instructions)
        return Program(
            instructions, arguments or self.arguments, Layout(result, "result"), self.optimize,
            self.captured, self.name,
        )  # fmt: skip

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What is made from this program, made at the first call and kept."""
        if key not in self._derived:
            self._derived[key] = make()
        return self._derived[key]

    def _need_one_number(self, what: str) -> None:
        if self.result.size != 1:
            raise TypeError(
                f"{what} needs a function that returns one number; this one returns "
                f"{self.result.size}. Use jacobian for several."
            )

    def _position(self, argnums: int) -> int:
        """Which argument this one is, for what takes one only."""
        found = positions(argnums, len(self.arguments), "arguments of the program")
        if not isinstance(found, int):
            raise ValueError(f"argnums must name one argument here, got {argnums!r}")
        return found

    def _inputs(self, argnums: int) -> Any:
        at = self._position(argnums)
        start = len(self.captured) + sum(layout.size for layout in self.arguments[:at])
        return self.instructions.inputs[start : start + self.arguments[at].size]

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
        from autograd_bp.program.recover import explain

        return explain(self.frozen())

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
        from autograd_bp.program.graph import graph

        self._matching(args)
        results = graph(self, args)
        if len(results) == 1:
            results[0].backward()
        return draw(results, **options)

    def __len__(self) -> int:
        """How many instructions there are, not counting inputs and constants."""
        return int(np.count_nonzero(self.instructions.code))

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

    @property
    def input_names(self) -> list[str]:
        """What each input is called."""
        captured = [x.label or f"captured[{i}]" for i, x in enumerate(self.captured)]
        return captured + [name for layout in self.arguments for name in layout.names]


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


def all_leaves(values: Sequence[Value]) -> bool:
    """Whether nobody derives further what is computed of these Values, if there are any."""
    if not values:
        return True
    return not is_inside() and not is_tracing() and are_constants(values)
