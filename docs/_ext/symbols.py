"""The symbols of an equation, and where each is explained.

A module explains its own symbols in the table of its docstring; the page of the notation explains
those that many share, and those that only a paper has.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from book import page_of
from docutils import nodes
from listing import title_and_text
from sphinx.application import Sphinx
from written import text_of

from equations import Tag
from notation import ARTICLE, SHORT, SUBSCRIPT, TOKEN, spelled

TABLE = re.compile(
    r"^(=+) +(=+) +=+\nsymbol +shape +meaning\n=+ +=+ +=+\n(.*?)\n=+ ", re.MULTILINE | re.DOTALL
)
PAGE = "notation"
INDICES = {"i", "j"}
CELL = re.compile(r"(?<!\\)\|")
NAMES = {"mu": "μ", "alpha": "α"}
# Letters that stand for operations and numbers.
NO_SYMBOLS = set("Σ∂½…#π")
SCRIPTS = re.compile(
    rf"_(?P<low>{SUBSCRIPT.pattern})|\^(?P<high>{SUBSCRIPT.pattern})|(?P<digit>[₀-₉₊₋])"
)
MARKS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-")


@dataclass(frozen=True)
class Entry:
    """What a symbol means, and where that is said."""

    symbol: str
    shape: str
    meaning: str
    scope: str
    """A paper or the stem of a file; empty if it means this wherever nothing else is said."""
    page: str

    @property
    def anchor(self) -> str:
        """Its place on the page."""
        return anchor_of(self.symbol, self.scope)

    def shown(self) -> list[nodes.Node]:
        """Set the symbol, with its index below the line."""
        base, mark, script = re.fullmatch(r"([^_^]+)([_^]?)(.*)", self.symbol).groups()
        kind = {"_": nodes.subscript, "^": nodes.superscript}.get(mark)
        return [nodes.Text(base), *([kind("", script)] if kind else [])]


def anchor_of(symbol: str, scope: str) -> str:
    """Name the place of an entry: letters that HTML allows, whatever the script."""
    spelled_out = "-".join(f"{ord(c):x}" if ord(c) > 127 or not c.isalnum() else c for c in symbol)
    return "-".join(filter(None, ("symbol", re.sub(r"\W", "-", scope.lower()), spelled_out)))


def plain(symbol: str) -> str:
    """Write a symbol with its index on the line, as `α_1` for `α₁`."""
    text = symbol.strip().strip("`")
    text = NAMES.get(text, text)
    return re.sub(r"([₀-₉₊₋])", lambda m: f"_{m[1].translate(MARKS)}", text)


def of_module(file: str) -> list[Entry]:
    """Read the table of symbols in a module's docstring."""
    match = TABLE.search(title_and_text(text_of(file))[1])
    return list(_rows(match[0], file)) if match else []


def _rows(table: str, file: str) -> Iterator[Entry]:
    lines = table.splitlines()
    columns = [m.span() for m in re.finditer("=+", lines[0])]
    starts = [columns[0][0], columns[1][0], columns[2][0]]
    for line in lines[3:-1]:
        names, shape, meaning = (
            line[starts[0] : starts[1]],
            line[starts[1] : starts[2]],
            line[starts[2] :],
        )
        for name in re.split(r",\s*", names.strip()):
            yield Entry(plain(name), shape.strip(), meaning.strip(), "", page_of(file))


@cache
def of_page() -> tuple[Entry, ...]:
    """Read the table on the page of the notation."""
    found = []
    for line in text_of("docs/notation.md").splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in CELL.split(line)[1:-1]]
        if line.startswith("| `"):
            scopes = cells[3].split(", ") if cells[3] else [""]
            for name in re.findall("`([^`]+)`", cells[0]):
                found += [Entry(plain(name), cells[1], cells[2], s, PAGE) for s in scopes]
    return tuple(found)


@cache
def by_name(file: str | None) -> dict[tuple[str, str], Entry]:
    """Index the entries of a module, or those that are shared, by scope and symbol."""
    entries = of_module(file) if file else of_page()
    return {(entry.scope, spelled(entry.symbol)): entry for entry in reversed(entries)}


def in_formula(formula: str) -> Iterator[tuple[str, ...]]:
    """Yield the symbols of a formula, each with its index or exponent, then without."""
    text, at = spelled(formula), 0
    while at < len(text):
        match = TOKEN.match(text, at)
        assert match is not None  # noqa: S101 - any character is a mark
        at, found = match.end(), match[0]
        if match.lastgroup == "word" and len(found) == 2 and found not in SHORT:
            yield (found[0],)
            found = found[1]
        elif match.lastgroup not in {"letter", "symbol"} or ARTICLE.match(text, match.start()):
            continue
        names = [found]
        while script := SCRIPTS.match(text, at):
            at = script.end()
            low = script["low"] or (script["digit"] or "").translate(MARKS)
            names.insert(0, f"{found}_{low}" if low else f"{found}^{script['high']}")
            if "," in low:
                names.insert(1, f"{found}_{low.partition(',')[0]}")
        if found not in NO_SYMBOLS:
            yield tuple(names)


class Notation:
    """All entries, and those of an equation.

    An index may be part of a symbol, as in `α_r`, or be just an index, as in `W_ij`: the entry with
    the index comes first.
    """

    def of(self, tag: Tag) -> list[Entry]:
        """Explain the symbols of an equation, each once; rows and columns need no words."""
        found = {}
        for names in in_formula(tag.formula):
            entry = self.find(names, tag)
            if entry and entry.symbol not in INDICES:
                found.setdefault(entry, None)
        return list(found)

    def find(self, names: tuple[str, ...], tag: Tag) -> Entry | None:
        """Look a symbol up: in the module, for the paper, and for all."""
        stem = tag.key.file.rpartition("/")[2].removesuffix(".py")
        own, shared = by_name(tag.key.file), by_name(None)
        for name in names:
            scopes = (tag.key.function, stem, tag.key.paper, "")
            found = own.get(("", name)) or next(
                (shared[scope, name] for scope in scopes if (scope, name) in shared), None
            )
            if found:
                return found
        return None

    def unknown(self, tag: Tag) -> list[str]:
        """List the symbols of an equation that nothing explains."""
        return [names[0] for names in in_formula(tag.formula) if self.find(names, tag) is None]


def name_symbols(table: nodes.table) -> None:
    """Make the rows of a table of symbols places that links lead to."""
    head = next(iter(table.findall(nodes.row)), None)
    if head is None or head.astext().split()[:2] != ["symbol", "shape"]:
        return
    for row in next(iter(table.findall(nodes.tbody))).findall(nodes.row):
        cells = [cell.astext().strip() for cell in row.findall(nodes.entry)]
        scopes = cells[3].split(", ") if len(cells) > 3 and cells[3] else [""]
        names = re.split(r",\s*", cells[0])
        row["ids"] += [anchor_of(plain(name), scope) for name in names for scope in scopes]
        row["classes"].append("book-entry")


def name_shared(app: Sphinx, doctree: nodes.document) -> None:
    """Do so on the page of the notation."""
    if app.env.docname == PAGE:
        for table in doctree.findall(nodes.table):
            name_symbols(table)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything."""
    app.connect("doctree-read", name_shared)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
