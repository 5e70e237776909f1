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


def mark_wide(_app: Sphinx, doctree: nodes.document) -> None:
    """Mark tables of many columns, which get less room for each."""
    for group in doctree.findall(nodes.tgroup):
        if group["cols"] >= MANY:
            group.parent["classes"].append("book-many")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything."""
    app.connect("doctree-read", mark_opaque)
    app.connect("doctree-read", mark_wide)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
