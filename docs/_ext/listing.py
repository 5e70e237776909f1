"""A module as it is read beside its paper: functions, and in them the lines of each equation."""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from equations import Tag, tags_in

Lines = tuple[int, int]
"""First and last line."""
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Row:
    """Lines of code, and the equations above them."""

    tags: tuple[Tag, ...]
    code: tuple[Lines, ...]


@dataclass(frozen=True)
class Unit:
    """A function, a method, the head of a class, or lines outside of them, which have no name."""

    name: str
    doc: str
    rows: tuple[Row, ...]


@cache
def parsed(text: str) -> ast.Module:
    """Parse a source, once."""
    return ast.parse(text)


def title_and_text(text: str) -> tuple[str, str]:
    """Divide a module's docstring into its heading and the rest."""
    doc = ast.get_docstring(parsed(text)) or ""
    title, _, rest = doc.partition("\n")
    underline, _, after = rest.partition("\n")
    if underline and set(underline) == {"="}:
        return title, after.strip("\n")
    return title, rest.strip("\n")


def units(text: str, file: str) -> list[Unit]:
    """Divide a module.

    Parameters
    ----------
    text : str
        Its source.
    file : str
        Its path, for the tags.

    Returns
    -------
    list of Unit
        Together they have every line of the module but blank ones and docstrings.
    """
    lines = text.splitlines()
    tree = parsed(text)
    tags = tags_in(text, file)
    starts = list(_starts(_without_doc(tree.body), lines))
    ends = [start - 1 for start, _, _ in starts[1:]] + [len(lines)]
    found = []
    for (start, name, node), end in zip(starts, ends, strict=True):
        doc = _doc_lines(node)
        here = [tag for tag in tags if start <= tag.line <= end]
        said = inspect.cleandoc(ast.get_docstring(node) or "") if node else ""
        rows = tuple(_rows(lines, (start, end), doc, here))
        if rows or said:
            found.append(Unit(name, said, rows))
    return found


def _without_doc(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if is_doc else body


def _starts(
    body: Iterable[ast.stmt], lines: list[str], prefix: str = ""
) -> Iterator[tuple[int, str, Definition | None]]:
    """Yield first line, name and definition of each unit; what lies between definitions is one."""
    inside = bool(prefix)
    for node in body:
        is_definition = isinstance(node, Definition)
        if inside and not is_definition:
            continue
        inside = not is_definition
        name = f"{prefix}{node.name}" if is_definition else ""
        yield _first_line(node, lines), name, node if is_definition else None
        if isinstance(node, ast.ClassDef):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            yield from _starts(methods, lines, f"{name}.")


def _first_line(node: ast.stmt, lines: list[str]) -> int:
    """Where a statement begins, with its decorators and the comments above it."""
    decorators = getattr(node, "decorator_list", [])
    line = min([node.lineno, *(d.lineno for d in decorators)])
    while line > 1 and lines[line - 2].lstrip().startswith("#"):
        line -= 1
    return line


def _doc_lines(node: Definition | None) -> Lines | None:
    if node is None or ast.get_docstring(node) is None:
        return None
    doc = node.body[0]
    return doc.lineno, doc.end_lineno or doc.lineno


def _rows(lines: list[str], span: Lines, doc: Lines | None, tags: list[Tag]) -> Iterator[Row]:
    """Yield what precedes the first equation, then the lines from each equation to the next."""
    at = {tag.line for tag in tags}
    cuts = [tag.line for tag in tags if tag.line - 1 not in at]
    bounds = sorted({span[0], *cuts, span[1] + 1})
    for start, after in pairwise(bounds):
        here = tuple(tag for tag in tags if start <= tag.line < after)
        parts = [(start, after - 1)]
        if doc and start <= doc[0] < after:
            parts = [(start, doc[0] - 1), (doc[1] + 1, after - 1)]
        code = tuple(part for part in (_trimmed(lines, part) for part in parts) if part)
        if code:
            yield Row(here, code)


def _trimmed(lines: list[str], part: Lines) -> Lines | None:
    """Leave out blank lines at both ends."""
    written = [n for n in range(part[0], part[1] + 1) if lines[n - 1].strip()]
    return (written[0], written[-1]) if written else None


KERNEL = re.compile(
    r"^extern \"C\" __global__ void[^(]*?(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\(", re.MULTILINE
)


def kernels(text: str) -> list[tuple[str, int, int]]:
    """Divide a CUDA source.

    Parameters
    ----------
    text : str
        The source.

    Returns
    -------
    list of (str, int, int)
        Name, first and last line of each kernel, with the comment and the template above it; lines
        before a kernel, which have no name, hold what kernels share.
    """
    lines = text.splitlines()
    found, last = [], 0
    for match in KERNEL.finditer(text):
        first = text.count("\n", 0, match.start()) + 1
        while first > 1 and lines[first - 2].strip():
            first -= 1
        end = next(n for n in range(first, len(lines) + 1) if lines[n - 1] == "}")
        found += [("", last + 1, first - 1), (match[1], first, end)]
        last = end
    found.append(("", last + 1, len(lines)))
    parts = [(name, _trimmed(lines, (first, end))) for name, first, end in found]
    return [(name, *part) for name, part in parts if part]
