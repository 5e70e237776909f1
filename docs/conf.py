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
    "book",
    "cells",
    "equation_lines",
    "myst_parser",
    "onepage",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"subbit {version}"

# MathJax comes with the pages, as one file that draws its own glyphs: it loads nothing else, so
# pages are typeset offline, opened from a folder too. Its menu would load more.
_mathjax = Path(*find_spec("sphinx-mathjax-offline").submodule_search_locations)
html_static_path = [
    "_ext/book.css",
    "_ext/cells.css",
    "_ext/onepage.css",
    "_ext/wide.css",
    str(_mathjax / "static" / "mathjax" / "tex-svg.js"),
]
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
