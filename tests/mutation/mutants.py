"""Which mutants there are: Cosmic Ray's operators, and ones of our own for what it does not see."""

import ast
import difflib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.ast import Visitor, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from coverage import Coverage

from . import rows

BINARY = "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Div Mod_Mul Pow_Mul LShift_RShift RShift_LShift"
BITS = "BitOr_BitAnd BitAnd_BitOr"
COMPARISON = (
    "Eq_NotEq NotEq_Eq Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt Is_IsNot IsNot_Is"
)
OPERATORS = [
    # One replacement of each operator, and a neighbour of each inequality: the others, which Cosmic
    # Ray has too, are killed by the same tests.
    *("ReplaceBinaryOperator_" + name for name in f"{BINARY} {BITS}".split()),
    *("ReplaceComparisonOperator_" + name for name in COMPARISON.split()),
    *("ReplaceUnaryOperator_Delete_" + name for name in ("Not", "USub")),
    "AddNot", "ExceptionReplacer", "NumberReplacer", "RemoveDecorator", "ReplaceAndWithOr",
    "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ReplaceFalseWithTrue",
    "ReplaceOrWithAnd", "ReplaceTrueWithFalse", "ZeroIterationForLoop",
]  # fmt: skip


class Mutant(NamedTuple):
    """A file with one change. ``row`` is the name of the operation, if it is in its row.

    ``before`` and ``after`` are the text of the row, or of the function or statement.
    """

    path: str
    operator: str
    line: int
    last_line: int
    where: str
    before: str
    after: str
    source: str
    row: str | None = None

    @property
    def id(self) -> str:
        """The same as long as the row, function or statement that the mutant is in is the same."""
        text = "\0".join((self.path, self.where, self.before, self.after))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def change(self) -> str:
        """What was there, and what is there now."""
        if self.row is not None:
            return self.operator
        lines = list(difflib.ndiff(self.before.splitlines(), self.after.splitlines()))
        was, now = (
            " ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+"
        )
        return " ".join(f"{was.split('  #')[0]} → {now.split('  #')[0]}".split())

    @property
    def key(self) -> str:
        """By which a survivor is named; it holds no numbers of lines."""
        return f"{self.path} {self.row or self.where}: {self.change}"


class Piece(NamedTuple):
    """A statement of a module or of a class in it, decorators included."""

    name: str
    node: ast.stmt
    first: int
    last: int
    in_class: bool


def _pieces(body: list[ast.stmt], prefix: str = "", in_class: bool = False) -> Iterator[Piece]:
    for node in body:
        name = prefix + getattr(node, "name", "")
        if isinstance(node, ast.ClassDef):
            yield from _pieces(node.body, f"{name}.", True)
        else:
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(d.lineno for d in decorators)])
            yield Piece(name.rstrip("."), node, first, node.end_lineno, in_class)


def mutants(path: str, source: str, excluded: set[int]) -> list[Mutant]:
    """All mutants of a file, but for its ``excluded`` lines; none twice."""
    lines = source.splitlines(keepends=True)
    found: dict[str, Mutant] = {}
    for piece in _pieces(ast.parse(source).body):
        before = "".join(lines[piece.first - 1 : piece.last])
        idle = _idle(piece.node)
        seen = {_meaning(before, piece)}
        for operator, (line, column), last_line, row, after in _changes(piece, before):
            if line in excluded or any(a <= (line, column) < b for a, b in idle):
                continue
            try:
                meaning = _meaning(after, piece)
            except SyntaxError:
                continue
            if meaning in seen:
                continue
            seen.add(meaning)
            text = "".join([*lines[: piece.first - 1], after, *lines[piece.last :]])
            name, was, now = row or (None, before, after)
            mutant = Mutant(path, operator, line, last_line, piece.name, was, now, text, name)
            found[mutant.id] = mutant
    return list(found.values())


def excluded_lines(path: str) -> set[int]:
    """What only the compiled engine runs, and its variables: coverage is not asked of it either."""
    lines = Path(path).read_text("utf-8").splitlines()
    variables = {i for i, line in enumerate(lines, 1) if re.match("_(nested|NESTING) = ", line)}
    return variables.union(Coverage(data_file=None).analysis2(path)[2])


def _wrapped(text: str, piece: Piece) -> str:
    return f"class _:\n{text}" if piece.in_class else f"\n{text}"


def _meaning(text: str, piece: Piece) -> str:
    return ast.dump(ast.parse(_wrapped(text, piece)))


def _idle(node: ast.stmt) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """From where to where nothing is executed: annotations, and decorators for the compiler."""
    idle = []
    for inner in ast.walk(node):
        annotations = [getattr(inner, "annotation", None), getattr(inner, "returns", None)]
        decorators = getattr(inner, "decorator_list", [])
        compilers = [d for d in decorators if ast.unparse(d).startswith("cython.")]
        for part in filter(None, [*annotations, *compilers]):
            # The sign @ stands before its decorator.
            start = part.lineno, part.col_offset - (part in compilers)
            idle.append((start, (part.end_lineno, part.end_col_offset)))
    return idle


class Row(NamedTuple):
    """A row of the table, as text."""

    name: str
    before: str
    after: str


def _changes(
    piece: Piece, text: str
) -> Iterator[tuple[str, tuple[int, int], int, Row | None, str]]:
    """Operator, line and column, last line of the statement, row, and the piece's new text."""
    if getattr(piece.node, "target", None) is not None and piece.node.target.id == "TABLE":
        lines = text.splitlines(keepends=True)
        for name, node, place, old, new in rows.changes(piece.node):
            before = "".join(lines[node.lineno - piece.first : node.end_lineno - piece.first + 1])
            row = Row(name, before, _spliced(before, node.lineno, place, new))
            after = _spliced(text, piece.first, place, new)
            yield f"{old} → {new}", place[:2], place[2], row, after
        return
    shift = piece.first - 2  # a line stands before the piece
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        positions = _Positions(operator)
        positions.walk(get_ast(_wrapped(text, piece)))
        for occurrence, ((line, column), _) in enumerate(positions.found):
            after = mutate_code(_wrapped(text, piece), operator, occurrence)
            assert after is not None
            line += shift
            yield name, (line, column), line, None, after.split("\n", 1)[1]
    for name, place, new in _statements(piece.node):
        yield name, place[:2], place[2], None, _spliced(text, piece.first, place, new)


class _Positions(Visitor):
    def __init__(self, operator: object) -> None:
        self.operator = operator
        self.found: list[tuple[tuple[int, int], tuple[int, int]]] = []

    def visit(self, node: object) -> object:
        self.found += self.operator.mutation_positions(node)
        return node


Place = tuple[int, int, int, int]
"""First line, column in it, last line, column in it where the part ends; columns in bytes."""


def _spliced(text: str, start: int, place: Place, new: str) -> str:
    """The text, whose first line is the file's line ``start``, with something else in a place."""
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    first, column, last, end = place[0] - start, place[1], place[2] - start, place[3]
    changed = lines[first][:column] + new.encode() + lines[last][end:]
    return b"".join([*lines[:first], changed, *lines[last + 1 :]]).decode()


def _statements(node: ast.stmt) -> Iterator[tuple[str, Place, str]]:
    """What Cosmic Ray leaves: ``+=`` made ``-=`` and ``=``, assignments and calls left out."""
    for inner in ast.walk(node):
        place = _place(inner) if isinstance(inner, ast.stmt) else None
        if isinstance(inner, ast.AugAssign):
            target, value = ast.unparse(inner.target), ast.unparse(inner.value)
            other = {ast.Add: "-", ast.Sub: "+", ast.BitOr: "&", ast.BitAnd: "|"}[type(inner.op)]
            yield "AugmentedAssignment", place, f"{target} {other}= {value}"
            yield "AugmentedAssignment", place, f"{target} = {value}"
        if inner is not node and _has_effect(inner):
            yield "LeaveOut", place, "pass"


def _has_effect(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, (ast.Constant, ast.Yield))
    if isinstance(node, ast.AnnAssign):
        return node.value is not None
    return isinstance(node, (ast.Assign, ast.AugAssign))


def _place(node: ast.AST) -> Place:
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset
