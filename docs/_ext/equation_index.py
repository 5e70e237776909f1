"""Equations by their numbers: a list of all, the numbers of each paper, what a search finds."""

from collections.abc import Iterator
from functools import cache
from typing import Any, ClassVar

from book import anchor_of, page_of
from docutils import nodes
from side_by_side import standing_of
from sphinx.application import Sphinx
from sphinx.domains import Domain, ObjType
from sphinx.search.en import SearchEnglish
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from written import container, inline, literal, page_link, paragraph, text_of, typeset

import equations
from equations import Key, Listed, Tag
from project import ROOT

FIRST = ("BiLLM", "ARB-LLM", "STBLLM", "PBS2P")
PAGE = "equations"
log = logging.getLogger(__name__)


def listed() -> dict[Key, Listed]:
    """Read the table of equations."""
    return equations.rows(text_of("docs/equations.md"))


def by_number() -> dict[str, dict[str, list[Key]]]:
    """Sort the equations: by paper, the four methods first and ours last, and by number."""
    found: dict[str, dict[str, list[Key]]] = {paper: {} for paper in FIRST}
    for key in listed():
        found.setdefault(key.paper, {}).setdefault(key.label, []).append(key)
    found["subbit"] = found.pop("subbit")
    return found


def group_of(key: Key) -> str:
    """Name the place in the list where all functions of an equation stand."""
    return nodes.make_id(f"of-{key.paper}-{key.label}")


def where(key: Key) -> nodes.Node:
    """Refer to the line of an equation, by its number."""
    return page_link(page_of(key.file), nodes.Text(key.label), anchor=anchor_of(key))


class Numbers(SphinxDirective):
    """The numbers of each paper's equations, each a link to its line, or to several of them."""

    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Return a line for each paper, and one for our bounds."""
        self.env.note_dependency(str(equations.TABLE))
        lines = []
        for name, numbers in by_number().items():
            bounds = {label: keys for label, keys in numbers.items() if "(B" in label}
            others = {label: keys for label, keys in numbers.items() if label not in bounds}
            lines += [self.line(name, name, others)]
            lines += [self.line("bounds", name, bounds)] if bounds else []
        return [container("book-numbers", *lines)]

    def line(self, said: str, name: str, numbers: dict[str, list[Key]]) -> nodes.Node:
        """Return the line of a paper."""
        chips = nodes.inline("", classes=["book-chips"])
        for label, keys in numbers.items():
            alone = len(keys) == 1
            page, place = (
                (page_of(keys[0].file), anchor_of(keys[0])) if alone else (PAGE, group_of(keys[0]))
            )
            link = page_link(page, nodes.inline("", label.removeprefix("Eq. ")), anchor=place)
            link["reftitle"] = f"{name}, {label}"
            chips += [nodes.inline("", "", link, classes=["book-chip"]), nodes.Text(" ")]
        title = page_link(PAGE, nodes.strong("", said), anchor=f"of-{name.lower()}")
        return paragraph("book-papers", title, nodes.Text(" "), chips)


def index_equations(app: Sphinx, doctree: nodes.document) -> None:
    """Replace the table of equations by a list of them, typeset, with links to their places."""
    if app.env.docname != PAGE:
        return
    first: dict[Key, Tag] = {}
    for tag in equations.tags():
        first.setdefault(tag.key, tag)
        app.env.note_dependency(str(ROOT / tag.key.file))
    table = next(t for t in doctree.findall(nodes.table) if "what it says" in t.astext())
    table.replace_self(list(_sections(first)))


def _sections(first: dict[Key, Tag]) -> Iterator[nodes.Node]:
    rows = listed()
    for paper, numbers in by_number().items():
        section = nodes.section("", nodes.title("", paper), ids=[f"of-{paper.lower()}"])
        for keys in numbers.values():
            for key in keys:
                if key not in first:
                    log.warning("docs/equations.md: no code has %s of %s", key.label, key)
                    continue
                item = _item(first[key], rows[key])
                if key is keys[0]:
                    item["ids"].append(group_of(key))
                section += item
        yield section


def _item(tag: Tag, row: Listed) -> nodes.Node:
    key = tag.key
    function = page_link(page_of(key.file), literal(key.function), anchor=anchor_of(key))
    says = [
        *inline(row.words),
        nodes.Text(" — "),
        function,
        nodes.Text(" "),
        standing_of(row.standing),
    ]
    said = container("book-entry", typeset(tag), paragraph("book-says", *says))
    return container("book-item", paragraph("book-number", where(key)), said)


class Equations(Domain):
    """What a search for a number finds."""

    name = "eq"
    label = "Equation"
    object_types: ClassVar[dict[str, ObjType]] = {"equation": ObjType("equation")}

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        """Yield each equation with its place."""
        for key, row in listed().items():
            name = f"{key.paper}, {key.label}: {row.words.replace('`', '')}"
            yield f"{name} {key.function}", name, "equation", page_of(key.file), anchor_of(key), 0

    def merge_domaindata(self, _docnames: set[str], _others: dict[str, Any]) -> None:
        """Do nothing: there are no data."""


class English(SearchEnglish):
    """The words of a search; most occur on many pages, and are shortened once."""

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__(options)
        self.stem = cache(super().stem)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything."""
    app.add_domain(Equations)
    app.add_search_language(English)
    app.add_directive("equation-numbers", Numbers)
    # Before the sections of a page are collected.
    app.connect("doctree-read", index_equations, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
