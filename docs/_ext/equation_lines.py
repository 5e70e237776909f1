"""Equations of docstrings, typeset.

Below the summary of a function stand its equations as its code has them, or the place in its
paper, which the section References has too.
"""

import re

from sphinx.application import Sphinx
from sphinx.util import logging

from notation import NotationError, pieces

LINE = re.compile(r"    (?P<label>(?:Eq\. \([^()]+\)|Alg\. \w+), [\w-]+):  (?P<formula>\S.*)")
log = logging.getLogger(__name__)


def typeset(label: str, formula: str) -> str:
    """Write an equation as a line of reStructuredText."""
    found = pieces(formula)
    parts = [f":math:`{p.text.strip()}`" if p.is_math else p.text.strip() for p in found]
    return f"| **{label}**  {' '.join(filter(None, parts))}"


def typeset_lines(
    _app: Sphinx, what: str, name: str, _value: object, _options: object, lines: list[str]
) -> None:
    """Replace the lines below a summary."""
    if what != "function" or "" not in lines:
        return
    start = lines.index("") + 1
    end = start
    while end < len(lines) and lines[end].startswith("    "):
        end += 1
    found = []
    for line in lines[start:end]:
        if match := LINE.fullmatch(line):
            try:
                found.append(typeset(match["label"], match["formula"]))
            except NotationError as reason:
                log.warning("%s: %s is not in the notation: %s", name, match["label"], reason)
    lines[start:end] = found


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything."""
    app.setup_extension("sphinx.ext.autodoc")
    # Before sections are read.
    app.connect("autodoc-process-docstring", typeset_lines, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
