"""Figures that are drawn for light and for dark pages: a chapter names them once."""

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FORMS = {"": "only-light", "-dark": "only-dark"}
"""How the names of both drawings end, and the theme's class for pages that show them."""


class ThemedFigure(SphinxDirective):
    """A figure of ``docs/figures``; its content is the caption."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Return both drawings, of which the page's theme shows one."""
        if "alt" not in self.options:
            raise self.error("a figure needs :alt:, what it shows in words")
        figure = nodes.figure()
        for ending, name in FORMS.items():
            uri = f"figures/{self.arguments[0]}{ending}.svg"
            figure += nodes.image("", uri=uri, alt=self.options["alt"], classes=[name])
        parsed = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, parsed)
        for paragraph in parsed.children:
            figure += nodes.caption(paragraph.rawsource, "", *paragraph.children)
        return [figure]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("themed-figure", ThemedFigure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
