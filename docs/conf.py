"""Sphinx configuration."""

import tomllib
from importlib.util import find_spec
from pathlib import Path

_project = tomllib.loads(
    (Path(__file__).resolve().parent.parent / "pyproject.toml").read_text(encoding="utf-8")
)["project"]

project = _project["name"]
author = "The subbit authors"
project_copyright = author
version = release = _project["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"subbit {version}"

# MathJax comes with the pages, as one file that draws its own glyphs: it loads nothing else, so
# pages are typeset offline, opened from a folder too. Its menu would load more.
html_static_path = [
    f"{folder}/static/mathjax/tex-svg.js"
    for folder in find_spec("sphinx-mathjax-offline").submodule_search_locations
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
