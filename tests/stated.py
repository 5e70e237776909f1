"""What each public function of the reference computes, from the equation tags of its code.

Run as a script it writes `reference/contracts/stated.py`, from which `help()` has the equations:
a comment is not there when the code runs.
"""

import ast
import inspect
import sys
from collections.abc import Iterator

import equations
from equations import Tag
from project import ROOT, relative, sources
from subbit import reference

TABLE = ROOT / "reference" / "contracts" / "stated.py"
HEAD = '''"""Equations of the public functions
=================================

As they stand in the code, above the lines that compute them; ``python tests/stated.py`` writes
this file.
"""

STATED = """\\
'''
Functions = dict[str, ast.FunctionDef | ast.ClassDef]


def called(node: ast.AST, inside: Functions) -> Iterator[str]:
    """Names of a module's own functions and classes that a function uses, in the order of lines."""
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in inside]
    yield from dict.fromkeys(n.id for n in sorted(names, key=lambda n: (n.lineno, n.col_offset)))


def with_helpers(name: str, inside: Functions) -> list[str]:
    """A function, and the private helpers that it calls in its module."""
    found, waiting = [], [name]
    while waiting:
        here = waiting.pop(0)
        if here not in found:
            found.append(here)
            waiting += [n for n in called(inside[here], inside) if n.startswith("_")]
    return found


def of_function(name: str, inside: Functions, tags: list[Tag]) -> list[str]:
    """The equations of a function, or where it has none those of the first other that it calls."""
    helpers = with_helpers(name, inside)
    own = [tag for p in helpers for tag in tags if tag.key.function.partition(".")[0] == p]
    if own:
        lines = (f"{tag.key.label}, {tag.key.paper}:  {tag.formula}" for tag in own)
        return list(dict.fromkeys(lines))
    others = [n for n in called(inside[name], inside) if not n.startswith("_") and n != name]
    return next(filter(None, (of_function(n, inside, tags) for n in others)), [])


def stated() -> dict[str, list[str]]:
    """The equations of all functions with a contract."""
    found = {}
    for path in sources("reference"):
        file, text = relative(path), path.read_text(encoding="utf-8")
        tags = equations.tags_in(text, file)
        nodes = ast.parse(text).body
        inside = {n.name: n for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        module = file.removeprefix("reference/").removesuffix(".py").replace("/", ".")
        for name in inside:
            value = getattr(reference, name, None)
            is_home = getattr(value, "__module__", "") == f"subbit.reference.{module}"
            if is_home and inspect.isfunction(value):
                found[f"{module}.{name}"] = of_function(name, inside, tags)
    return found


def written() -> str:
    """The file."""
    lines = []
    for name, own in stated().items():
        lines += [name, *(f"  {line}" for line in own)] if own else []
    return HEAD + "\n".join(lines) + '\n"""\n'


if __name__ == "__main__":
    TABLE.write_text(written(), encoding="utf-8")
    sys.stdout.write(f"{TABLE}\n")
