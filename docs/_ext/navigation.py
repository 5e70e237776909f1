"""The navigation beside each page, without what lies below other pages than this one.

Sphinx resolves the whole table of contents again for every page, which takes longer than all else
about a page, and copies it into each. Here a page lists the pages of the first level, and those
beside, below and above itself.
"""

from collections.abc import Iterator
from html import escape
from typing import Any

from sphinx.addnodes import toctree
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

ROOT = "index"
ARROW = '<span class="icon"><svg><use href="#svg-arrow-right"></use></svg></span>'


def parts(env: BuildEnvironment) -> Iterator[tuple[str, list[str]]]:
    """Yield the lists of pages of the first level, each with its caption."""
    for node in env.get_doctree(ROOT).findall(toctree):
        yield node.get("caption") or "", node["includefiles"]


class Tree:
    """Which page is below which.

    Parameters
    ----------
    app : Sphinx
        The build.
    """

    def __init__(self, app: Sphinx) -> None:
        self.app, self.env = app, app.env
        self.below: dict[str, list[str]] = app.env.toctree_includes
        self.above = {inner: page for page, inside in self.below.items() for inner in inside}
        self.parts = list(parts(app.env))

    def way(self, page: str) -> list[str]:
        """Return a page and all that it is below, from the first level on."""
        found = [page]
        while self.above.get(found[0], ROOT) != ROOT:
            found.insert(0, self.above[found[0]])
        return found

    def beside(self, page: str) -> str:
        """Write the navigation of a page, in the words of the theme."""
        way, out = self.way(page), []
        for caption, pages in self.parts:
            head = (
                f'<p class="caption" role="heading"><span class="caption-text">{caption}</span></p>'
            )
            out += [head if caption else "", self.level(pages, page, way, 1)]
        return "".join(out)

    def level(self, pages: list[str], page: str, way: list[str], depth: int) -> str:
        """Write a list of pages, and below those on the way the next list."""
        return f"<ul>{''.join(self.item(one, page, way, depth) for one in pages)}</ul>"

    def item(self, one: str, page: str, way: list[str], depth: int) -> str:
        """Write an entry."""
        classes, inside = [f"toctree-l{depth}"], ""
        if one in way:
            classes += ["current"] + ["current-page"] * (one == page)
            if one in self.below:
                name = f"toctree-checkbox-{depth}"
                said = f"Toggle navigation of {escape(self.env.titles[one].astext())}"
                classes.append("has-children")
                box = 'type="checkbox" checked class="toctree-checkbox" role="switch"'
                inside = (
                    f'<input {box} id="{name}" name="{name}" aria-label="{said}">'
                    f'<label for="{name}">{ARROW}</label>'
                    f"{self.level(self.below[one], page, way, depth + 1)}"
                )
        uri = self.app.builder.get_relative_uri(page, one) or "#"
        link = f'<a class="reference internal" href="{uri}">{self.title(one)}</a>'
        return f'<li class="{" ".join(classes)}">{link}{inside}</li>'

    def title(self, one: str) -> str:
        """Return the title of a page, as it stands in lists."""
        return escape(self.env.titles[one].astext())


def begin(app: Sphinx, _env: object) -> None:
    """Read the tree once the pages are known."""
    app.navigation = Tree(app)


def without(
    _app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Keep the theme from asking Sphinx for its tree."""
    context["toctree"] = lambda **_: ""


def put(app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Give the page its navigation."""
    if not hasattr(app, "navigation"):
        # Nothing was read again, so nothing was checked.
        begin(app, None)
    context["furo_navigation_tree"] = app.navigation.beside(page)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything, before the theme and after it."""
    app.connect("env-check-consistency", begin)
    app.connect("html-page-context", without, priority=400)
    app.connect("html-page-context", put, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
