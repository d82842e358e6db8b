"""The verbs, one row each: what a verb makes of a function, and what of the function's truth."""

import ctypes
import pickle
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import jax
import numpy as np

import autograd_bp as ab
from autograd_bp import Value

from .functions import flat, plus, times, weighted, weights

jax.config.update("jax_enable_x64", True)
CC = shutil.which("gcc") or shutil.which("cc")


class Made(NamedTuple):
    """A function, as verbs make and take it.

    ``on`` is what its results are, ``off`` what they are where no graph is recorded; each is a
    polynomial. ``by`` are the derivatives by its numbers, as polynomials. It takes them in a list
    with ``as_list``, else one by one; ``example`` is a point to trace it at. ``is_bare`` where it
    gives one number, in no list.
    """

    call: Callable[..., Any]
    on: Sequence[dict]
    off: Sequence[dict]
    by: Sequence[dict]
    as_list: bool
    example: tuple[float, ...]
    is_bare: bool = True

    def arguments(self, numbers):
        return (list(numbers),) if self.as_list else tuple(numbers)

    @property
    def argnums(self):
        return 0 if self.as_list else tuple(range(len(self.by)))

    def as_number(self):
        """The same where it gives one number, else a sum of its results."""
        if self.is_bare:
            return self
        return self._replace(
            call=lambda *args: weighted(self.call(*args)),
            on=[_sum(self.on)],
            off=[_sum(self.off)],
            is_bare=True,
        )

    def shaped(self, numbers):
        """A list of results as this function gives them, or near enough."""
        return numbers[0] if self.is_bare else numbers


def _sum(polynomials):
    return plus(*zip(weights(len(polynomials)), polynomials, strict=True))


class Verb(NamedTuple):
    """``make(f, made)`` applies it to a function. ``truth(p, by)`` says what it makes of results.

    ``records`` is what it does where no graph is recorded: it records all the same ("always"),
    its function's results are all that it looks at ("never"), or its derivatives are of a graph
    that is not there, and 0 ("only where recorded"). ``sees`` is which of the nodes that the
    function closes over are no constants: "all", those that a "transformation" around it made
    (or a trace), or "none", as what is pickled has copies.
    """

    make: Callable[[Callable[..., Any], Made], Callable[..., Any]]
    truth: Callable[[Sequence[dict], Sequence[dict]], Sequence[dict]]
    records: str = "always"
    of_number: bool = True
    plain: bool = True  # of plain numbers it makes plain numbers
    sees: str = "all"

    def on(self, made):
        made = made.as_number() if self.of_number else made
        nothing = [{} for _ in made.by]
        off = {
            "always": lambda: self.truth(made.on, made.by),
            "never": lambda: self.truth(made.off, made.by),
            "only where recorded": lambda: self.truth(made.off, nothing),
        }[self.records]()
        return made._replace(
            call=self.make(made.call, made),
            on=self.truth(made.on, made.by),
            off=off,
            is_bare=made.is_bare and self.truth is _same,
        )


# --- what they compute ---------------------------------------------------------------------------


def _same(p, by):
    return p


def _gradient(p, by):
    return [times(d, p[0]) for d in by]


def _value_and_gradient(p, by):
    return [p[0], *_gradient(p, by)]


def _jacobian(p, by):
    return [times(d, q) for q in p for d in by]


def _hessian(p, by):
    return [times(d, times(e, p[0])) for d in by for e in by]


def _along(by):
    return plus(*zip(weights(len(by)), by, strict=True))


def _jvp(p, by):
    return [*p, *(times(_along(by), q) for q in p)]


def _vjp(p, by):
    return [*p, *(times(d, _sum(p)) for d in by)]


def _hvp(p, by):
    return [times(d, times(_along(by), p[0])) for d in by]


# --- how they are applied ------------------------------------------------------------------------


def _make_jvp(f, made):
    tangents = made.arguments(weights(len(made.by)))
    return lambda *args: ab.jvp(f, args, tangents)


def _make_hvp(f, made):
    tangents = made.arguments(weights(len(made.by)))
    return lambda *args: ab.hvp(f, args, tangents)


def _make_vjp(f, made):
    def call(*args):
        y, pull_back = ab.vjp(f, *args)
        return y, pull_back(_like(y, iter(weights(len(flat(y))))))

    return call


def _like(tree, numbers):
    if isinstance(tree, np.ndarray):
        return np.array([next(numbers) for _ in range(tree.size)]).reshape(tree.shape)
    if isinstance(tree, (list, tuple)):
        return type(tree)(_like(part, numbers) for part in tree)
    return next(numbers)


def _on_nodes(made, args):
    """Fresh nodes for the arguments, flat and as arguments."""
    nodes = [x * 1.0 if isinstance(x, Value) else Value(x) for x in flat(args)]
    return nodes, made.arguments(nodes)


def _make_gradients(f, made):
    def call(*args):
        nodes, given = _on_nodes(made, args)
        return ab.gradients(f(*given), nodes, create_graph=True)

    return call


def _make_backward(f, made):
    def call(*args):
        nodes, given = _on_nodes(made, args)
        y = f(*given)
        if not isinstance(y, Value):
            ab.gradients(y, nodes)  # raises, where a number's lack of `backward` would be Python's
        y.backward(create_graph=True)
        return [x.grad for x in nodes]

    return call


def _make_check_grads(f, made):
    def call(*args):
        ab.check_grads(f, args, order=1)
        return f(*args)

    return call


def _once(make):
    """A verb whose product is made at the first call, from an example, and kept."""

    def verb(f, made):
        products = []

        def call(*args):
            if not products:
                products.append(make(f, made))
            return products[0](*args)

        return call

    return verb


def _program(f, made):
    return ab.trace(f, *made.arguments(made.example))


def _program_map(f, made):
    program = _program(f, made)

    def call(*args):
        return _first_lane(program.map(*(np.array([x, x]) for x in args)))

    return call


def _first_lane(tree):
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(_first_lane, tree))
    return tree[0]


def _program_value_and_grad(f, made):
    program = _program(f, made)
    return lambda *args: program.value_and_grad(*args, argnums=made.argnums)


def _program_of_list(f, made):
    """The same of one list, for what takes derivatives by one argument only."""
    return ab.trace(lambda x: f(*made.arguments(x)), list(made.example))


def _program_jacobian(f, made):
    program = _program_of_list(f, made)
    return lambda *args: program.jacobian(flat(args)).tolist()


def _program_hvp(f, made):
    program = _program_of_list(f, made)
    return lambda *args: program.hvp(flat(args), tangent=list(weights(len(made.by))))


def _make_to_c(f, made):
    program = _program(f, made)
    with tempfile.TemporaryDirectory() as folder:
        program.to_c(Path(folder) / "f.c", "f")
        text = (Path(folder) / "f.c").read_text("utf-8")
        header = (Path(folder) / "f.h").read_text("utf-8")
    function = compiled(text, header)
    work = next(int(line.split()[2]) for line in header.splitlines() if "F_WORK" in line)
    m = len(made.on)

    def call(*args):
        rows = [np.array([float(x) for x in flat(a)]) for a in args]
        y, room = np.zeros(m), np.zeros(work + 1)
        function(*(ctypes.c_void_p(x.ctypes.data) for x in (*rows, y, room)))
        return made.shaped(y.tolist())

    return call


@cache
def compiled(text, header):
    """The function in a text of C. Equal texts are compiled once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "f.c").write_text(text, "utf-8")
        (folder / "f.h").write_text(header, "utf-8")
        command = [CC, "-std=c99", "-O0", "-w", "-shared", "-fPIC", "f.c", "-o", "f.so", "-lm"]
        subprocess.run(command, cwd=folder, check=True)
        return ctypes.CDLL(str(folder / "f.so")).f


def _make_to_jax(f, made):
    function = _in_jax(_program(f, made), lambda function: function)
    return lambda *args: made.shaped(function(*args))


def _make_jax_grad(f, made):
    return _in_jax(
        _program(f, made), lambda function: jax.value_and_grad(function, argnums=made.argnums)
    )


_seen_by_jax: dict[Any, Any] = {}


def _in_jax(program, transform):
    """JAX's answers, which take long, are kept: a program is its listing."""
    function = transform(program.to_jax())
    name = str(program), transform.__code__

    def call(*args):
        if any(isinstance(x, Value) for x in flat(args)):
            return function(*args)
        key = name, repr(args)
        if key not in _seen_by_jax:
            _seen_by_jax[key] = [float(x) for x in jax.tree.leaves(function(*args))]
        return _seen_by_jax[key]

    return call


def _make_custom(f, made):
    derivative = ab.grad(f, argnums=made.argnums)
    operation = ab.custom(
        lambda *x: f(*made.arguments(x)), lambda *x: derivative(*made.arguments(x)), name="g"
    )
    return lambda *args: operation(*flat(args))


def _make_implicit(f, made):
    operation = ab.implicit(
        lambda y, *x: y - f(*made.arguments(x)), lambda *x: f(*made.arguments(x)), name="g"
    )
    return lambda *args: operation(*flat(args))


def _make_jit_value_and_grad(f, made):
    jitted = ab.jit(f)
    return lambda *args: jitted.value_and_grad(*args, argnums=made.argnums)


VERBS = {
    "call": Verb(lambda f, made: f, _same, "never", of_number=False, plain=False),
    "grad": Verb(lambda f, made: ab.grad(f, made.argnums), _gradient),
    "value_and_grad": Verb(
        lambda f, made: ab.value_and_grad(f, made.argnums), _value_and_gradient
    ),
    "jacobian": Verb(lambda f, made: ab.jacobian(f, made.argnums), _jacobian, of_number=False),
    "hessian": Verb(lambda f, made: ab.hessian(f, made.argnums), _hessian),
    "jvp": Verb(_make_jvp, _jvp, of_number=False),
    "vjp": Verb(_make_vjp, _vjp, of_number=False),
    "hvp": Verb(_make_hvp, _hvp),
    "gradients": Verb(_make_gradients, _gradient, "only where recorded", plain=False),
    "backward": Verb(_make_backward, _gradient, "only where recorded", plain=False),
    "check_grads": Verb(_make_check_grads, _same, "never", of_number=False, plain=False),
    "trace": Verb(_once(_program), _same, of_number=False, sees="transformation"),
    "jit": Verb(lambda f, made: ab.jit(f), _same, of_number=False),
    "jit.value_and_grad": Verb(_make_jit_value_and_grad, _value_and_gradient),
    "Program.value_and_grad": Verb(
        _once(_program_value_and_grad), _value_and_gradient, sees="transformation"
    ),
    "Program.jacobian": Verb(
        _once(_program_jacobian), _jacobian, of_number=False, sees="transformation"
    ),
    "Program.hvp": Verb(_once(_program_hvp), _hvp, sees="transformation"),
    "Program.map": Verb(_once(_program_map), _same, of_number=False, sees="transformation"),
    "pickled program": Verb(
        _once(lambda f, made: pickle.loads(pickle.dumps(_program(f, made)))),
        _same, of_number=False, sees="none",
    ),
    "pickled jit": Verb(
        _once(lambda f, made: cloudpickle.loads(cloudpickle.dumps(ab.jit(f)))),
        _same, of_number=False, sees="none",
    ),
    "to_c": Verb(_once(_make_to_c), _same, of_number=False),
    "to_jax": Verb(_once(_make_to_jax), _same, of_number=False),
    "jax.grad of to_jax": Verb(_once(_make_jax_grad), _value_and_gradient),
    "custom": Verb(_make_custom, _same, "never"),
    "implicit": Verb(_make_implicit, _same, "never"),
    "checkpoint": Verb(
        lambda f, made: ab.checkpoint(f), _same, "never", of_number=False, plain=False
    ),
}  # fmt: skip
