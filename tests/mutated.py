"""Small changes to the reference: what is changed, and a port that has the change.

A mutant is the reference with one operator, constant, branch or order of arguments changed
in one function. The function's code is swapped while the port runs, so the judge keeps the
unchanged one.
"""

import ast
import hashlib
import importlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from types import CodeType, FunctionType

from project import import_name, sources
from subbit import reference
from subbit.conformance.protocol import CLASSES

# Checks, records and the file format are held to what they refuse and store, by tests.
# Presets are made when the module is imported, before any code is swapped.
OUTSIDE = ("bounds", "contracts", "errors", "records", "methods", "notation", "record_", "layer")
OUTSIDE += ("leveled", "stored", "_layout", "reference.binary", "factored", "owners")
UNTRIED = ("hbllm", "haar", "groups.row_split", "groups.quantiles")
UNTRIED += ("sign_product", "groups.factors", "groups.product_sweeps")
"""What came last: small changes there have not been tried yet."""
UNCHANGED = {"_presets", "_of_billm"}
# They are asked of an answer, when the port no longer runs.
UNCHANGED |= {"PayloadBits.total", "PayloadBits.per_weight"}
# Their first two arguments may be swapped: a clip is the least of the largest.
SYMMETRIC = {"np.maximum", "np.minimum", "max", "min", "np.clip", "np.array_equal"}
SYMMETRIC |= {"np.multiply", "weight_error", "calibrated_error_trace", "proxy_loss"}
COMPARE = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
BINARY = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Pow: ast.Mult,
}


@dataclass(frozen=True)
class Mutation:
    """One change, by its place in the tree of its module; and the lines of its statement."""

    module: str
    function: str
    number: int
    first: int
    last: int
    said: str

    @property
    def key(self) -> str:
        return f"{self.module}:{self.function}:{self.number}"


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Replacements for a node, each with a description."""
    yield from _other_operators(node)
    yield from _other_values(node)


def _other_operators(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in COMPARE:
            other = deepcopy(node)
            other.ops = [COMPARE[type(op)]()]
        # Annotations do not run.
        case ast.BinOp(right=ast.Constant(value=None)):
            return
        case ast.BinOp(op=op) if type(op) in BINARY:
            other = deepcopy(node)
            other.op = BINARY[type(op)]()
        case ast.BoolOp(op=op):
            other = deepcopy(node)
            other.op = ast.Or() if isinstance(op, ast.And) else ast.And()
        case ast.UnaryOp(op=ast.USub() | ast.Invert() | ast.Not(), operand=operand):
            other = operand
        case _:
            return
    yield f"{ast.unparse(node)} -> {ast.unparse(other)}", other


def _other_values(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Constant(value=bool() as value):
            yield f"{value} -> {not value}", ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield f"{value} -> {value + 1}", ast.Constant(value + 1)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield f"branches of {ast.unparse(test)} swapped", ast.IfExp(test, orelse, body)
        case ast.If(test=test, body=body, orelse=orelse):
            other = ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
            yield f"if {ast.unparse(test)} -> if not", other
        case ast.Call(func=called) if ast.unparse(called) in SYMMETRIC:
            return
        case ast.Call(args=[first, second, *rest]) if not isinstance(
            second, ast.Starred
        ) and ast.dump(first) != ast.dump(second):
            swapped = deepcopy(node)
            swapped.args = [second, first, *rest]
            yield f"{ast.unparse(node)[:60]}: arguments swapped", swapped


@cache
def tree_of(module: str) -> ast.Module:
    path = Path(importlib.import_module(module).__file__ or "")
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(module: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree_of(module).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("__"):
                    yield f"{node.name}.{inner.name}", inner


def places(function: ast.FunctionDef) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Parents, fields and positions of all nodes of a body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    for statement in body:
        yield function, "body", function.body.index(statement), statement
        yield from _places_in(statement)


def _places_in(parent: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    if _changes_nothing(parent):
        return
    for field, value in ast.iter_fields(parent):
        for at, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(node, ast.AST):
                yield parent, field, at, node
                yield from _places_in(node)


def spans(function: ast.FunctionDef) -> dict[int, tuple[int, int]]:
    """First and last line of the statement that a node is in, by its identity.

    What belongs to a branch or a loop is in the statement that opens it, up to its body.
    """
    found = {}
    # Outer statements come first, so inner ones take their own nodes from them.
    for statement in ast.walk(function):
        if not isinstance(statement, ast.stmt):
            continue
        inner = [node.lineno for node in getattr(statement, "body", ())]
        span = (
            statement.lineno,
            max(statement.lineno, min(inner) - 1) if inner else statement.end_lineno,
        )
        found |= {id(node): span for node in ast.walk(statement)}
    return found


def _changes_nothing(parent: ast.AST) -> bool:
    """Tell whether what is inside is said in an error, or has no other value that differs."""
    match parent:
        case ast.Raise() | ast.keyword(arg="strict"):
            return True
        # NumPy takes any negative length of an axis for the one that is left.
        case ast.Call(func=ast.Attribute(attr="reshape"), args=args):
            return all(isinstance(one, ast.Name | ast.UnaryOp) for one in args)
    return False


def mutated_modules() -> list[str]:
    """Modules of the reference that compute."""
    names = [import_name(p) for p in sources("reference") if p.name != "__init__.py"]
    return [name for name in names if not any(word in name for word in (*OUTSIDE, *UNTRIED))]


@cache
def mutations() -> list[Mutation]:
    found = []
    for module in mutated_modules():
        for name, function in functions(module):
            if name in UNCHANGED:
                continue
            span = spans(function)
            said = [
                (*span[id(node)], text)
                for *_, node in places(function)
                for text, _ in changes(node)
                if hasattr(node, "lineno")
            ]
            found += [Mutation(module, name, n, *one) for n, one in enumerate(said)]
    return found


@cache
def digest_of(module: str, function: str) -> str:
    """What a function's mutants depend on: its own source, without its docstring."""
    tree = dict(functions(module))[function]
    body = [ast.dump(node) for node in tree.body[bool(ast.get_docstring(tree)) :]]
    return hashlib.sha256("\n".join(body).encode()).hexdigest()[:12]


def code_of(mutation: Mutation) -> CodeType:
    tree = deepcopy(tree_of(mutation.module))
    scope = {n.name: n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    outer, _, inner = mutation.function.partition(".")
    function = scope[outer]
    if inner:
        function = next(n for n in function.body if getattr(n, "name", "") == inner)
    number = 0
    for parent, field, at, node in list(places(function)):
        for _, other in changes(node):
            if number == mutation.number:
                if at is None:
                    setattr(parent, field, other)
                else:
                    getattr(parent, field)[at] = other
                code = compile(ast.fix_missing_locations(tree), mutation.module, "exec")
                return next(c for c in codes(code) if c.co_qualname == mutation.function)
            number += 1
    raise LookupError(mutation.key)


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def target_of(mutation: Mutation) -> FunctionType:
    value = importlib.import_module(mutation.module)
    for name in mutation.function.split("."):
        value = vars(value)[name]
    value = getattr(value, "func", getattr(value, "fget", value))
    value = getattr(value, "__func__", value)
    while hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    return value


class Inside:
    """The reference, with something in force while one of its functions runs."""

    def __init__(self, inside: AbstractContextManager, asked: object = reference) -> None:
        self._inside, self._asked = inside, asked

    def __getattr__(self, name: str):
        value = getattr(self._asked, name)
        # Configurations and records are the reference's own.
        if not callable(value) or (isinstance(value, type) and name not in CLASSES):
            return value
        # A port's signature is looked at, too.
        return wraps(value)(lambda *a, **k: self._ask(value, *a, **k))

    def _ask(self, value, *places, **names):
        with self._inside():
            answer = value(*places, **names)
            if isinstance(answer, Iterator):
                return iter(list(answer))
        return Inside(self._inside, answer) if type(answer).__name__ in CLASSES else answer


def mutant(mutation: Mutation) -> Inside:
    """The reference, with one function changed while it runs."""
    target, code = target_of(mutation), code_of(mutation)

    @contextmanager
    def changed():
        own, target.__code__ = target.__code__, code
        try:
            yield
        finally:
            target.__code__ = own

    return Inside(changed)
