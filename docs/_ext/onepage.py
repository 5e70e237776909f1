"""A method on one page: its listing from top to bottom, its equations typeset in the margin.

In the listings an equation names its paper and number, ``# BiLLM (12):  …``. The same formula
stands above the code of the reference that computes it, and the number leads there.
"""

import ast
import re
from typing import Any

from book import anchor_of, page_of
from docutils import nodes
from docutils.statemachine import StringList
from listing import parsed, title_and_text
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import equations
from equations import Key, Tag
from notation import pieces
from project import ROOT

LINE = re.compile(
    r" *# (?P<paper>[A-Za-z0-9.-]+) (?P<label>\([^()]+\)|Alg\. \w+):  (?P<formula>\S.*)"
)
ROOM = "conformance/onepage"
FOLDER = "onepage/"


def tags_of(text: str, file: str) -> list[Tag]:
    """List the equations of a listing; they belong to no function."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if match := LINE.fullmatch(line):
            label = match["label"] if match["label"].startswith("Alg") else f"Eq. {match['label']}"
            found.append(Tag(Key(match["paper"], label, "", file), number, match["formula"]))
    return found


def homes() -> dict[tuple[str, str, str], Key]:
    """Find where the reference has each equation, by paper, label and formula."""
    found: dict[tuple[str, str, str], Key] = {}
    for tag in equations.tags():
        found.setdefault((tag.key.paper, tag.key.label, tag.formula), tag.key)
    return found


def strips(text: str, tags: list[Tag]) -> list[tuple[int, int]]:
    """Divide a listing into strips, each from an equation or a function to the next."""
    body = parsed(text).body[1:]
    starts = [node.lineno for node in body if isinstance(node, ast.FunctionDef)]
    cuts = sorted({body[0].lineno, *starts, *(tag.line for tag in tags)})
    ends = [*cuts[1:], len(text.splitlines()) + 1]
    return [(first, after - 1) for first, after in zip(cuts, ends, strict=True)]


def container(name: str, *children: nodes.Node) -> nodes.container:
    """Wrap what belongs together."""
    return nodes.container("", *children, classes=[name])


def typeset(formula: str) -> nodes.paragraph:
    """Set an equation: formulas that a line may be broken between, and words."""
    line = nodes.paragraph(classes=["book-equation"])
    for piece in pieces(formula):
        math = nodes.math("", rf"\displaystyle {piece.text}")
        line += math if piece.is_math else nodes.Text(f" {piece.text} ")
        line += nodes.Text("\N{EM SPACE}" if piece.ends else "")
    return line


class OnePage(SphinxDirective):
    """The listing of a method."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return what the listing says of its symbols, then its lines."""
        self.file = self.arguments[0]
        self.source = (ROOT / self.file).read_text(encoding="utf-8")
        self.env.note_dependency(str(ROOT / self.file))
        self.homes = homes()
        tags = tags_of(self.source, self.file)
        where = nodes.paragraph("", "", nodes.literal("", self.file), classes=["book-file"])
        said = nodes.Element()
        text = title_and_text(self.source)[1]
        self.state.nested_parse(StringList(text.splitlines(), source=self.file), 0, said)
        rows = []
        for first, last in strips(self.source, tags):
            margin = container("onepage-margin")
            margin += [self.equation(tag) for tag in tags if tag.line == first]
            rows.append(container("onepage-row", margin, self.code(first, last)))
        return [where, *said.children, container("onepage", *rows)]

    def code(self, first: int, last: int) -> nodes.Node:
        """Show lines of the listing as they are."""
        text = "\n".join(self.source.splitlines()[first - 1 : last])
        return nodes.literal_block(text, text, language="python")

    def equation(self, tag: Tag) -> nodes.Node:
        """Show an equation; its number leads to the reference."""
        home = self.homes[tag.key.paper, tag.key.label, tag.formula]
        uri = self.env.app.builder.get_relative_uri(self.env.docname, page_of(home.file))
        name = f"{tag.key.paper}, {tag.key.label}"
        link = nodes.reference("", name, internal=True, refuri=f"{uri}#{anchor_of(home)}")
        number = nodes.paragraph("", "", link, classes=["book-number"])
        return container("onepage-tag", number, typeset(tag.formula))


def add_styles(
    app: Sphinx, pagename: str, _template: str, _context: dict[str, Any], _doctree: object
) -> None:
    """Give the listings their room."""
    if pagename.startswith(FOLDER) and pagename != f"{FOLDER}index":
        for name in ("book.css", "wide.css", "onepage.css"):
            app.add_css_file(name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything."""
    app.add_directive("one-page", OnePage)
    app.connect("html-page-context", add_styles, priority=400)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
