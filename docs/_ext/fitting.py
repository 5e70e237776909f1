"""Figures and tables that fit the page: light or dark, wide or narrow."""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

MANY = 5
"""Columns that a table may have and still be set as text is."""


def mark_opaque(app: Sphinx, doctree: nodes.document) -> None:
    """Mark drawings on white that do not follow the page: in the dark, the page inverts them."""
    for image in doctree.findall(nodes.image):
        path = Path(app.srcdir, image["uri"])
        if path.suffix == ".svg" and path.is_file():
            text = path.read_text(encoding="utf-8")
            follows = "prefers-color-scheme" in text or "only-" in " ".join(image["classes"])
            if "fill: #ffffff" in text and not follows:
                image["classes"].append("book-opaque")


def label_cells(_app: Sphinx, doctree: nodes.document) -> None:
    """Let each cell of a table with many columns say its column: on a phone, rows become lists."""
    for group in doctree.findall(nodes.tgroup):
        heads = [entry.astext() for head in group.findall(nodes.thead) for entry in head[0]]
        if group["cols"] < MANY or len(heads) < group["cols"]:
            continue
        group.parent["classes"].append("book-many")
        for body in group.findall(nodes.tbody):
            for row in body:
                for head, entry in list(zip(heads, row, strict=False))[1:]:
                    if not entry.children:
                        continue
                    entry.insert(0, nodes.inline("", head, classes=["book-label"]))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything."""
    app.connect("doctree-read", mark_opaque)
    app.connect("doctree-read", label_cells)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
