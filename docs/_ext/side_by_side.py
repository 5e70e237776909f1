"""Equations and code side by side: the page of a module, function by function."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from book import anchor_of, page_of, pages, place_of
from docutils import nodes
from docutils.statemachine import StringList
from evidence import Place, evidence
from listing import Row, Unit, kernels, title_and_text, units
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from symbols import Notation, name_symbols
from written import (
    container,
    inline,
    literal,
    page_link,
    paragraph,
    reference_to,
    text_of,
    typeset,
)

import equations
from equations import STANDINGS, Key, Tag
from project import ROOT

MOST = 3
"""Tests or kernels that a function shows by name."""


def standing_of(standing: str) -> nodes.Node:
    """Say how an equation is known."""
    return nodes.inline("", STANDINGS[standing], classes=["book-standing", f"book-{standing}"])


def paper(key: Key, version: str) -> Iterable[nodes.Node]:
    """Name an equation, with a link to its paper."""
    name = nodes.Text(f"{key.paper}, {key.label}")
    if not version[:1].isdigit():
        return [name]
    return [nodes.reference("", "", name, refuri=f"https://arxiv.org/abs/{version}")]


class Listing(SphinxDirective):
    """The page of a file: lines of code."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}
    language = "python"

    def begin(self) -> nodes.Node:
        """Read the file, and say which it is."""
        self.file = self.arguments[0]
        self.source = text_of(self.file)
        self.env.note_dependency(str(ROOT / self.file))
        return paragraph("book-file", literal(self.file))

    def code(self, first: int, last: int) -> nodes.Node:
        """Show lines of the source as they are."""
        text = "\n".join(self.source.splitlines()[first - 1 : last])
        block = nodes.literal_block(text, text, language=self.language, linenos=True)
        block["highlight_args"] = {"linenostart": first}
        return block

    def named(
        self, name: str, *children: nodes.Node, extra: Iterable[nodes.Node] = ()
    ) -> nodes.Node:
        """Make the section of a function."""
        title = nodes.title("", "", literal(name), *extra)
        found = nodes.section("", title, *children, ids=[place_of(self.file, name)])
        found["classes"].append("book-unit")
        return found


class Kernels(Listing):
    """The page of a CUDA source: what it says of itself, then each kernel."""

    language = "cuda"

    def run(self) -> list[nodes.Node]:
        """Return a section for each kernel."""
        found = [self.begin()]
        for name, first, last in kernels(self.source):
            block = self.code(first, last)
            found.append(self.named(name, block) if name else block)
        return found


class SideBySide(Listing):
    """The page of a module: what it says of itself, then each function beside its equations."""

    def run(self) -> list[nodes.Node]:
        """Return the module's text, and a section for each of its functions."""
        where = self.begin()
        self.env.note_dependency(str(equations.TABLE))
        self.listed = equations.rows(text_of("docs/equations.md"))
        self.index, self.notation = evidence(), Notation()
        self.anchors: set[str] = set()
        said = self.parsed(title_and_text(self.source)[1])
        for table in (table for node in said for table in node.findall(nodes.table)):
            name_symbols(table)
        return [where, *said, *(self.section(unit) for unit in units(self.source, self.file))]

    def parsed(self, text: str) -> list[nodes.Node]:
        """Read a docstring; its sections become lines in bold, examples are left out.

        Those of tests are plain text.
        """
        if self.file.startswith("conformance/"):
            return [paragraph("", *inline(part)) for part in text.split("\n\n") if part.strip()]
        text = re.sub(r"^Examples\n-+\n(?:.*\n?)*?(?=^\S.*\n-+\n|\Z)", "", text, flags=re.MULTILINE)
        text = re.sub(r"^(\S.*)\n-{3,}$", r"**\1**\n", text, flags=re.MULTILINE)
        holder = nodes.Element()
        lines = StringList(text.splitlines(), source=self.file)
        self.state.nested_parse(lines, 0, holder)
        return holder.children

    def section(self, unit: Unit) -> nodes.Node:
        """Show a function."""
        summary, _, rest = unit.doc.partition("\n\n")
        rows = [
            self.row(row, unit, rest if not place else "") for place, row in enumerate(unit.rows)
        ]
        if not unit.name:
            return container("book-unit", *folded(rows, self.source, unit))
        behind = [] if any(row.tags for row in unit.rows) else self.behind(unit.name)
        head = container("book-head", *self.parsed(summary), *behind)
        return self.named(unit.name, head, *rows, extra=self.api(unit.name))

    def api(self, name: str) -> Iterator[nodes.Node]:
        """Refer to the API, from the title of a public function."""
        is_private = any(part.startswith("_") for part in name.split("."))
        if self.file.startswith(("reference/", "fast/")) and not is_private:
            full = f"subbit.{self.file.removesuffix('.py').replace('/', '.')}.{name}"
            yield nodes.inline("", "", reference_to(full, "API"), classes=["book-api"])

    def row(self, row: Row, unit: Unit, said: str) -> nodes.Node:
        """Show lines of code, and beside them what they compute."""
        left = container("book-left")
        if said.strip():
            left += container("book-said", *self.parsed(said))
        for tag in row.tags:
            left += self.equation(tag)
        if row.tags:
            left += self.behind(unit.name)
        right = container("book-right", *(self.code(*part) for part in row.code))
        return container("book-row" if left.children else "book-code", left, right)

    def equation(self, tag: Tag) -> nodes.Node:
        """Show an equation with its number and how it is known, and what its symbols mean."""
        key = tag.key
        listed = self.listed.get(key)
        number = paragraph("book-number", *paper(key, listed.version if listed else ""))
        if listed:
            number += [nodes.Text(" "), standing_of(listed.standing)]
        note = paragraph("book-says", *inline(listed.words if listed else ""))
        found = container("book-tag", number, typeset(tag), note, *self.where(tag))
        if anchor_of(key) not in self.anchors:
            self.anchors.add(anchor_of(key))
            found["ids"].append(anchor_of(key))
        return found

    def where(self, tag: Tag) -> Iterator[nodes.Node]:
        """List the symbols of an equation: each with its shape, its meaning on hover, its entry."""
        entries = self.notation.of(tag)
        if not entries:
            return
        line = paragraph("book-where")
        for entry in entries:
            link = page_link(entry.page, *entry.shown(), anchor=entry.anchor)
            link["reftitle"] = f"{entry.shape} {entry.meaning}".strip()
            shape = nodes.inline("", entry.shape, classes=["book-shape"])
            line += nodes.inline("", "", link, shape, classes=["book-symbol"])
            line += nodes.Text(" ")
        yield line

    def behind(self, name: str) -> Iterator[nodes.Node]:
        """Show what stands behind a function: its bound, its tests, its kernels, with links."""
        if not self.file.startswith(("reference/", "fast/")):
            return
        found = self.index.behind(self.file, name)
        kinds = (
            ("bounds", found.judged),
            ("bound", found.bounds),
            ("tests", found.tests),
            ("kernels", found.kernels),
        )
        lines = [
            paragraph("", nodes.Text(f"{kind} "), *some(places)) for kind, places in kinds if places
        ]
        if lines and found.through:
            lines.insert(0, paragraph("", nodes.Text("through "), *some(found.through)))
        if lines:
            yield container("book-behind", *lines)


def some(places: list[Place]) -> Iterator[nodes.Node]:
    """List places of the code, the first few by name."""
    for number, (file, name) in enumerate(places[:MOST]):
        yield nodes.Text(", " if number else "")
        page, shown = page_of(file), literal(name)
        yield page_link(page, shown, anchor=place_of(file, name)) if page in pages() else shown
    if len(places) > MOST:
        more = "".join(f"{name}\n" for _, name in places[MOST:]).strip()
        yield nodes.Text(", ")
        yield nodes.abbreviation("", f"{len(places) - MOST} more", explanation=more)


def folded(rows: list[nodes.Node], source: str, unit: Unit) -> list[nodes.Node]:
    """Fold what a module imports."""
    if not source.splitlines()[unit.rows[0].code[0][0] - 1].startswith(("from ", "import ")):
        return rows
    before = "<details class='book-imports'><summary>Imports and names</summary>"
    return [nodes.raw("", before, format="html"), *rows, nodes.raw("", "</details>", format="html")]


def make_room(
    app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Give the pages of two columns their room."""
    if page.startswith("book/") and "hide-toc" in (context.get("meta") or {}):
        app.add_css_file("wide.css")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything."""
    app.connect("html-page-context", make_room)
    app.add_directive("side-by-side", SideBySide)
    app.add_directive("kernels", Kernels)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
