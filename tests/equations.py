"""The equation tags of the code, and the table that lists them.

Run as a script it prints the tags as rows of the table in `docs/equations.md`; rows that the table
has already keep their words.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from project import ROOT, relative, sources

TABLE = ROOT / "docs" / "equations.md"
LOOKS_LIKE_TAG = re.compile(r"#\s*(eq|alg|equation|algorithm)s?\b\.?\s*\(?\d", re.IGNORECASE)
TAG = re.compile(
    r"# (?P<label>Eq\. \([^()]+\)|Alg\. \w+), (?P<paper>[A-Za-z0-9.-]+):  (?P<formula>\S.*)"
)


@dataclass(frozen=True, order=True)
class Key:
    """The fields that a tag and a row of the table share."""

    paper: str
    label: str
    function: str
    file: str


# How an equation is known, as the table says it and as pages do.
STANDINGS = {
    "paper": "read in the paper",
    "code": "read in released code",
    "reported": "reported by others",
    "ours": "chosen or derived here",
}


@dataclass(frozen=True)
class Listed:
    """What the table says of an equation."""

    version: str
    standing: str
    words: str


@dataclass(frozen=True)
class Tag:
    key: Key
    line: int
    formula: str


class BadTagError(Exception):
    pass


def _functions(tree: ast.Module) -> list[tuple[int, int, str]]:
    """First line, last line and qualified name of each function; inner ones come later."""
    found = []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{prefix}.{child.name}".lstrip(".")
                if not isinstance(child, ast.ClassDef):
                    found.append((child.lineno, child.end_lineno or child.lineno, name))
            visit(child, name)

    visit(tree, "")
    return found


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


LIBRARIES = ("numpy", "scipy", "math")
BUILTINS = {"max", "min", "sum"}
# What arrays, and the arrays with bounds of `rounding`, compute themselves.
ARRAY_METHODS = {"absolute", "copy", "flip", "sum", "total", "widen"}


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """The expressions of a statement, without positions, conditions and inner statements."""
    yield node
    for name, value in ast.iter_fields(node):
        if (isinstance(node, ast.Subscript) and name == "slice") or (
            isinstance(node, ast.IfExp | ast.If) and name == "test"
        ):
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST) and not isinstance(part, ast.stmt):
                yield from _parts(part)


def _library_names(tree: ast.Module) -> set[str]:
    """Names in a module that stand for libraries of arithmetic, or for functions of theirs."""
    found = {"xp", *BUILTINS}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            home = node.module if isinstance(node, ast.ImportFrom) else None
            for alias in node.names:
                if (home or alias.name).partition(".")[0] in LIBRARIES:
                    found.add((alias.asname or alias.name).partition(".")[0])
    return found


def _is_arithmetic(node: ast.AST, libraries: set[str]) -> bool:
    """Tell an operator, or a call of a library that computes."""
    match node:
        case ast.BinOp() | ast.BoolOp() | ast.AugAssign():
            return True
        case ast.Compare(comparators=[ast.Constant(value=str())]):
            return False
        case ast.UnaryOp(operand=operand):
            return not isinstance(operand, ast.Constant)
        case ast.Call(func=function):
            if isinstance(function, ast.Attribute) and function.attr in ARRAY_METHODS:
                return True
            while isinstance(function, ast.Attribute):
                function = function.value
            return isinstance(function, ast.Name) and function.id in libraries
    return isinstance(node, ast.Compare)


def _computes(statement: ast.stmt, libraries: set[str]) -> bool:
    """Tell arithmetic from a line that only calls other functions of the project.

    A loop is an algorithm's own if it does something; one that only reads another's states
    is not.
    """
    if isinstance(statement, ast.For | ast.While):
        inner = (node for part in statement.body for node in ast.walk(part))
        return any(isinstance(node, ast.Call) for node in inner)
    return any(_is_arithmetic(node, libraries) for node in _parts(statement))


def above_calls(text: str, file: str) -> list[Tag]:
    """Tags of a module that stand above a line without arithmetic of its own."""
    tree = ast.parse(text)
    libraries = _library_names(tree)
    statements = sorted(
        (node for node in ast.walk(tree) if isinstance(node, ast.stmt)),
        key=lambda node: node.lineno,
    )
    found = []
    for tag in tags_in(text, file):
        below = next(node for node in statements if node.lineno > tag.line)
        if not _computes(below, libraries):
            found.append(tag)
    return found


def tags_in(text: str, file: str) -> list[Tag]:
    """The tags of one module, each with the innermost function around it."""
    if not LOOKS_LIKE_TAG.search(text) and not TAG.search(text):
        return []
    functions = _functions(ast.parse(text))
    tags = []
    for line, comment in _comments(text):
        match = TAG.fullmatch(comment)
        if match is None:
            if LOOKS_LIKE_TAG.match(comment):
                raise BadTagError(f"{file}:{line}: not in the grammar: {comment}")
            continue
        around = [name for first, last, name in functions if first <= line <= last]
        if not around:
            raise BadTagError(f"{file}:{line}: outside of any function: {comment}")
        key = Key(match["paper"], match["label"], around[-1], file)
        tags.append(Tag(key, line, match["formula"]))
    return tags


def tags() -> list[Tag]:
    """All tags of the three rooms."""
    return [
        tag
        for path in sources()
        for tag in tags_in(path.read_text(encoding="utf-8"), relative(path))
    ]


def _cells(page: str, first_heading: str) -> list[list[str]]:
    """Rows of the Markdown table whose heading begins with `first_heading`."""
    lines = page.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split(" | ")])
    return rows


def papers(page: str) -> dict[str, str]:
    """Short name of each paper, and its arXiv version."""
    return {row[0]: row[1] for row in _cells(page, "short name")}


def read(page: str) -> dict[str, str]:
    """Short name of each paper, and what was read of it."""
    return {row[0]: row[3] for row in _cells(page, "short name")}


def rows(page: str) -> dict[Key, Listed]:
    """The table of equations: what each row says."""
    found: dict[Key, Listed] = {}
    for paper, version, label, standing, words, function, file in _cells(page, "paper"):
        key = Key(paper, label, function.strip("`"), file.strip("`"))
        if key in found:
            raise BadTagError(f"listed twice: {key}")
        found[key] = Listed(version, standing, words)
    return found


def _order(key: Key) -> tuple[str, bool, list[int | str], str, str]:
    """Papers by name, algorithms last, equations by number."""
    parts = [int(p) if p.isdigit() else p for p in re.findall(r"\d+|[A-Za-z]+", key.label[4:])]
    ranked = [p for part in parts for p in ((0, part) if isinstance(part, int) else (1, part))]
    return (key.paper.lower(), key.label.startswith("Alg"), ranked, key.file, key.function)


def table(page: str) -> str:
    """Write the rows for the tags of the code."""
    versions, known = papers(page), rows(page)
    formulas = {tag.key: tag.formula for tag in reversed(tags())}
    lines = []
    for key in sorted(formulas, key=_order):
        version = versions.get(key.paper, "?")
        said = f"TODO {formulas[key]}".replace("|", "¦")
        row = known.get(key, Listed(version, "ours" if key.paper == "subbit" else "TODO", said))
        shown = (row.standing, row.words, f"`{key.function}`", f"`{key.file}`")
        cells = (key.paper, version, key.label, *shown)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table(Path(TABLE).read_text(encoding="utf-8")) + "\n")
