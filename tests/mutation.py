"""How many small changes to the reference does the suite notice?

A mutant is the reference with one operator, constant, branch or order of arguments changed
in one function. The function's code is swapped while the port runs, so the judge keeps the
unchanged one. Each mutant is tested on the cases of the operations that run its function, until
one fails. Run with ``python tests/mutation.py``; results are kept line by line in the file
that ``--out`` names, and the same command continues from there.
"""

import argparse
import ast
import importlib
import json
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType

from project import ROOT, import_name, sources
from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.registry import Operation
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.inputs.seeds import seed_of
from subbit.conformance.protocol import CLASSES
from subbit.reference.bounds.rounding import Arithmetic

# Checks, records and the file format are held to what they refuse and store, by tests.
# Presets are made when the module is imported, before any code is swapped.
OUTSIDE = ("bounds", "contracts", "errors", "records", "methods", "notation", "record_", "layer")
SECONDS = 60
UNUSED = "no operation runs it"
COMMUTATIVE = {"np.maximum", "np.minimum", "max", "min"}
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
    """One change, by its place in the tree of its module."""

    module: str
    function: str
    number: int
    line: int
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
        # What an error says is no business of the suite.
        case ast.Call(func=ast.Name(id=name)) if name.endswith("Error"):
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
        for parent in ast.walk(statement):
            for field, value in ast.iter_fields(parent):
                for at, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                    if isinstance(node, ast.AST):
                        yield parent, field, at, node


def mutations() -> list[Mutation]:
    found = []
    for path in sources("reference"):
        module = import_name(path)
        if path.name == "__init__.py" or any(word in module for word in OUTSIDE):
            continue
        for name, function in functions(module):
            if name in {"_presets", "_of_billm"}:
                continue
            said = [
                (node.lineno, text)
                for *_, node in places(function)
                for text, _ in changes(node)
                if hasattr(node, "lineno")
            ]
            found += [Mutation(module, name, n, *one) for n, one in enumerate(said)]
    return found


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


class Mutant:
    """The reference, with one function changed while it runs."""

    def __init__(self, mutation: Mutation, asked: object = reference) -> None:
        self._target, self._code, self._asked = target_of(mutation), code_of(mutation), asked

    def __getattr__(self, name: str):
        value = getattr(self._asked, name)
        # Configurations and records are the reference's own.
        plain = isinstance(value, type) and name not in CLASSES
        return value if plain or not callable(value) else lambda *a, **k: self._ask(value, *a, **k)

    def _ask(self, value, *places, **names):
        right, self._target.__code__ = self._target.__code__, self._code
        try:
            answer = value(*places, **names)
        finally:
            self._target.__code__ = right
        if isinstance(answer, Iterator):
            return self._ask(lambda: iter(list(value(*places, **names))))
        if type(answer).__name__ in CLASSES:
            inner = object.__new__(Mutant)
            vars(inner).update(vars(self) | {"_asked": answer})
            return inner
        return answer


class Watched:
    """The reference, recording the names of the functions that run."""

    def __init__(self, seen: set[str]) -> None:
        self._seen = seen

    def __getattr__(self, name: str):
        value = getattr(reference, name)
        plain = isinstance(value, type) or not callable(value)
        return value if plain else lambda *a, **k: self._ask(value, *a, **k)

    def _watch(self, frame, event, _) -> None:
        if event == "call":
            name = frame.f_code.co_qualname.partition(".<locals>")[0]
            self._seen.add(f"{frame.f_globals.get('__name__', '')}:{name}")

    def _ask(self, value, *places, **names):
        sys.setprofile(self._watch)
        try:
            answer = value(*places, **names)
            return iter(list(answer)) if isinstance(answer, Iterator) else answer
        finally:
            sys.setprofile(None)


def run_by(item: Operation) -> set[str]:
    """The functions that run in an operation's first cases."""
    seen: set[str] = set()
    for kind in CLASSES & set(item.needs):
        own = getattr(reference, kind)
        seen |= {f"{own.__module__}:{kind}.{method}" for method in vars(own)}
    for seed in seeds_of(item, "quick")[:3]:
        item.check(Watched(seen), Arithmetic(), seed)
    return seen


@cache
def runs() -> dict[str, tuple[str, ...]]:
    """The operations that run each function, those with the fewest functions first."""
    ran = {name: run_by(item) for name, item in OPERATIONS.items() if item.level}
    found = defaultdict(set)
    for name, seen in ran.items():
        for function in seen:
            found[function].add(name)
    return {f: tuple(sorted(n, key=lambda one: (len(ran[one]), one))) for f, n in found.items()}


def killer(mutation: Mutation, depth: str = "ci") -> str:
    """The case that distinguishes a mutant from the reference; empty if there is none."""

    def late(*_):
        raise TimeoutError

    mutant = Mutant(mutation)
    names = runs().get(f"{mutation.module}:{mutation.function}", ())
    signal.signal(signal.SIGALRM, late)
    for name in names:
        for seed in seeds_of(OPERATIONS[name], depth):
            signal.alarm(SECONDS)
            try:
                outcome = OPERATIONS[name].check(mutant, Arithmetic(), seed)
            finally:
                signal.alarm(0)
            if outcome.status == "failed":
                return outcome.replay
    return "" if names else UNUSED


def result(mutation: Mutation) -> dict[str, object]:
    return {
        "key": mutation.key,
        "line": mutation.line,
        "said": mutation.said,
        "killed": killer(mutation),
    }


def chosen(sample: int, seed: int, only: str = "") -> list[Mutation]:
    found = [mutation for mutation in mutations() if only in mutation.module]
    return found if not sample else _sample(found, sample, seed)


def _sample(found: list[Mutation], sample: int, seed: int) -> list[Mutation]:
    # By their keys, so that a new mutant changes no other's place.
    return sorted(found, key=lambda one: seed_of(seed, one.key))[:sample]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="how many; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of a module's name")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "explored" / "mutation.jsonl")
    options = parser.parse_args()
    wanted = chosen(options.sample, options.seed, options.only)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    kept = options.out.read_text().splitlines() if options.out.exists() else []
    done = {row["key"]: row for row in map(json.loads, kept)}
    left = [mutation for mutation in wanted if mutation.key not in done]
    with options.out.open("a") as stream, ProcessPoolExecutor(options.jobs) as pool:
        for number, row in enumerate(pool.map(result, left, chunksize=4)):
            done[row["key"]] = row
            stream.write(json.dumps(row) + "\n")
            stream.flush()
            sys.stderr.write(f"\r{number + 1} of {len(left)}")
    sys.stderr.write("\n")
    rows = [done[mutation.key] for mutation in wanted]
    by_module = Counter(row["key"].partition(":")[0] for row in rows)
    alive = [row for row in rows if not row["killed"] or row["killed"] == UNUSED]
    survivors = Counter(row["key"].partition(":")[0] for row in alive)
    for module, count in sorted(by_module.items()):
        sys.stdout.write(f"{module}: {count - survivors[module]} of {count}\n")
    for row in alive:
        sys.stdout.write(f"{row['key']} (line {row['line']}): {row['said']} {row['killed']}\n")
    sys.stdout.write(f"{len(rows) - len(alive)} of {len(rows)} mutants killed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
