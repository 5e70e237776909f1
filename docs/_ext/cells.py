"""Notebooks among the pages: cells are run, and shown with what they print.

A page with ``code-cell`` directives is a notebook in MyST's format, which Jupyter opens with
jupytext. Its cells run once in a process of their own; a cell that fails fails the build. The page
also becomes a file of Jupyter, outputs included. Results are kept as long as neither the cells nor
the project changes.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from project import ROOT, sources

RUNNER = Path(__file__).with_name("run_cells.py")
KEPT = ROOT / "build" / "cells"
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?P<source>.*?)\n```$", re.MULTILINE | re.DOTALL)
HEAD = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
SECONDS = 300
# A terminal's width, one thread, and nothing that only a terminal shows.
GIVEN = {"COLUMNS": "100", "NO_COLOR": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
log = logging.getLogger(__name__)
Results = list[dict[str, str]]


def digest(cells: list[str]) -> str:
    """Name what the results follow from: cells, the project's sources and Python."""
    found = hashlib.sha256(json.dumps([cells, sys.version]).encode())
    for path in (*sources(), RUNNER, ROOT / "constraints.txt"):
        found.update(path.read_bytes())
    return found.hexdigest()


def run_apart(cells: list[str]) -> Results:
    """Run cells in a folder and a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(  # noqa: S603
            [sys.executable, RUNNER],
            input=json.dumps(cells),
            cwd=folder,
            env=os.environ | GIVEN,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    if done.returncode:
        return [{"output": "", "failed": done.stderr}]
    found: Results = json.loads(done.stdout)
    return found


@cache
def results(text: str) -> Results:
    """Return the results of a page's cells: those that are kept, or new ones."""
    cells = [match["source"] for match in CELL.finditer(text)]
    path = KEPT / f"{digest(cells)}.json"
    if path.exists():
        kept: Results = json.loads(path.read_text(encoding="utf-8"))
        return kept
    found = run_apart(cells)
    if not any(result["failed"] for result in found):
        KEPT.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found), encoding="utf-8")
    return found


def notebook(text: str) -> dict[str, Any]:
    """Write a page as a file of Jupyter."""
    kept: list[dict[str, Any]] = []
    at, body = 0, HEAD.sub("", text)
    for match, result in zip(CELL.finditer(body), results(text), strict=False):
        kept.append({"cell_type": "markdown", "source": body[at : match.start()].strip()})
        output = {"output_type": "stream", "name": "stdout", "text": result["output"]}
        kept.append(
            {
                "cell_type": "code",
                "execution_count": None,
                "source": match["source"],
                "outputs": [output] if result["output"] else [],
            }
        )
        at = match.end()
    kept.append({"cell_type": "markdown", "source": body[at:].strip()})
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cells = [{"metadata": {}, **cell} for cell in kept if cell["source"]]
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": {"kernelspec": python}, "cells": cells}


class CodeCell(SphinxDirective):
    """A cell, and what it printed."""

    has_content = True
    optional_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Return the cell and its output."""
        path = self.env.doc2path(self.env.docname)
        text = Path(path).read_text(encoding="utf-8")
        number = self.env.temp_data.get("cells", 0)
        self.env.temp_data["cells"] = number + 1
        self.env.note_dependency(str(RUNNER))
        source = "\n".join(self.content)
        language = "none" if source.startswith("!") else "python"
        shown: list[nodes.Node] = [nodes.literal_block(source, source, language=language)]
        found = results(text)
        if number >= len(found):
            return shown
        if found[number]["failed"]:
            log.warning("a cell failed:\n%s", found[number]["failed"], location=self.get_location())
        if output := found[number]["output"].rstrip():
            block = nodes.literal_block(output, output, language="none", classes=["cell-output"])
            shown.append(block)
        return shown


def write_notebooks(app: Sphinx, failure: Exception | None) -> None:
    """Write the pages with cells as files of Jupyter, beside them."""
    if failure is not None or app.builder.format != "html":
        return
    for name in app.env.found_docs:
        text = Path(app.env.doc2path(name)).read_text(encoding="utf-8")
        if CELL.search(text):
            file = Path(app.outdir, f"{name}.ipynb")
            file.write_text(json.dumps(notebook(text), indent=1, ensure_ascii=False), "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything."""
    app.add_directive("code-cell", CodeCell)
    app.add_css_file("cells.css")
    app.connect("build-finished", write_notebooks)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
