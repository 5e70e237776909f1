"""Sphinx configuration."""

import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

_root = Path(__file__).resolve().parent.parent
_project = tomllib.loads((_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# The pages that show equations and code, and the reader of the equations in the code.
sys.path += [str(_root / "docs" / "_ext"), str(_root / "tests")]

project = _project["name"]
author = "The subbit authors"
project_copyright = author
version = release = _project["version"]

extensions = [
    "api",
    "book",
    "cells",
    "equation_lines",
    "equation_index",
    "fitting",
    "names",
    "navigation",
    "side_by_side",
    "symbols",
    "myst_parser",
    "onepage",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "real_layers",
    "themed",
    "worked",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"subbit {version}"

# MathJax comes with the pages, as one file that draws its own glyphs: it loads nothing else, so
# pages are typeset offline, opened from a folder too. Its menu would load more.
_mathjax = Path(*find_spec("sphinx-mathjax-offline").submodule_search_locations)
html_static_path = [
    "_ext/worked.css",
    "_ext/worked.js",
    "_ext/book.css",
    "_ext/cells.css",
    "_ext/onepage.css",
    "_ext/place.js",
    "_ext/wide.css",
    "_ext/sort.css",
    "_ext/sort.js",
    str(_mathjax / "static" / "mathjax" / "tex-svg.js"),
]
html_css_files = ["book.css", "sort.css"]
html_js_files = ["place.js", "sort.js"]
# A search shows names and titles. A summary would be asked of a server, and folders have none.
html_show_search_summary = False
html_search_scorer = str(_root / "docs" / "_ext" / "scorer.js")
pygments_dark_style = "github-dark"
mathjax_path = "tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}}

myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
# Heavy packages that only some modules need are not needed to describe them.
autodoc_mock_imports = ["cupy", "torch", "transformers"]
