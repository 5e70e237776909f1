"""What the extensions of this documentation share: pages that they write, and nodes."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util import logging

from equations import Tag
from notation import NotationError, pieces
from project import ROOT

log = logging.getLogger(__name__)


def text_of(file: str) -> str:
    """Read a source."""
    return (ROOT / file).read_text(encoding="utf-8")


def heading(text: str, line: str) -> str:
    """Write a heading of reStructuredText."""
    return f"{text}\n{line * len(text)}"


def toctree(pages: Iterator[str]) -> str:
    """Write a table of contents that does not show."""
    listed = "\n".join(f"   /{page}" for page in pages)
    return f".. toctree::\n   :hidden:\n\n{listed}"


def write_all(folder: Path, pages: Mapping[Path, str]) -> None:
    """Write pages, unless they say so already: what is unchanged is not built again.

    Parameters
    ----------
    folder : Path
        All pages in it that are not among these are removed.
    pages : mapping
        Text by path.
    """
    for path, text in pages.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in set(folder.rglob("*.rst")) - pages.keys():
        path.unlink()


def container(name: str, *children: nodes.Node) -> nodes.container:
    """Wrap what belongs together."""
    return nodes.container("", *children, classes=name.split())


def paragraph(name: str, *children: nodes.Node) -> nodes.paragraph:
    """Make a paragraph of a class."""
    return nodes.paragraph("", "", *children, classes=[name])


def literal(text: str) -> nodes.Node:
    """A name of the code."""
    return nodes.literal("", text)


def inline(text: str) -> list[nodes.Node]:
    """Read a cell of a table, or a sentence of a docstring: text, names in backticks, roles."""
    text = re.sub(r":\w+:`~?([^`]+)`", lambda m: f"`{m[1].rpartition('.')[2]}`", text)
    parts = re.split(r"`+([^`]+)`+", text)
    return [literal(p) if place % 2 else nodes.Text(p) for place, p in enumerate(parts) if p]


def reference_to(full: str, text: str = "") -> nodes.Node:
    """Refer to the API page of an object."""
    target = {"refdomain": "py", "reftype": "obj", "reftarget": full, "refexplicit": True}
    shown = nodes.inline("", text) if text else literal(full.rpartition(".")[2])
    return pending_xref("", shown, refwarn=False, **target)


def page_link(page: str, *children: nodes.Node, anchor: str = "") -> nodes.Node:
    """Refer to a page, or to a place on it, by its address from the root of the documentation.

    `addresses` makes it an address from the page that has it.
    """
    uri = f"{page}.html#{anchor}" if anchor else f"{page}.html"
    return nodes.reference("", "", *children, internal=True, refuri=f"root:{uri}")


def typeset(tag: Tag) -> nodes.paragraph:
    """Set an equation: formulas that a line may be broken between, and words."""
    line = nodes.paragraph(classes=["book-equation"])
    try:
        found = pieces(tag.formula)
    except NotationError as reason:
        place = f"{tag.key.file}:{tag.line}"
        log.warning("%s: the equation is not in the notation: %s", place, reason)
        return line
    whole = nodes.inline("", classes=["book-whole"])
    for piece in found:
        if piece.is_math:
            whole += nodes.math("", rf"\displaystyle {piece.text}")
            whole += nodes.Text(" ") if piece.text.endswith(",") else nodes.Text("")
        else:
            whole += nodes.Text(f" {piece.text} ")
        if piece.ends:
            line += whole
            whole = nodes.inline("", classes=["book-whole"])
    line += whole
    return line
