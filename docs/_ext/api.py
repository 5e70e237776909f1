"""The API: a page for each room with what its modules have, and a page for each module.

`docs/api.md` lists the modules by room. The pages are written from it when a build begins.
"""

import ast
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from listing import title_and_text
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from written import (
    container,
    heading,
    inline,
    literal,
    page_link,
    paragraph,
    reference_to,
    toctree,
    write_all,
)

from project import ROOT

LIST = ROOT / "docs" / "api.md"
FOLDER = ROOT / "docs" / "api"
# Links of old to the one page that had everything lead to the module's page.
FORWARD = """<script>
{
  const pages = %s;
  const wanted = decodeURIComponent(location.hash.slice(1)).split(".");
  while (wanted.length && !pages[wanted.join(".")]) wanted.pop();
  if (wanted.length) location.replace(pages[wanted.join(".")] + location.hash);
}
</script>"""
ROOM = re.compile(
    r"^```\{api\} (?P<name>\w+)\n(?P<title>.*)\n(?P<modules>(?:subbit\S+\n)+)```", re.MULTILINE
)


@dataclass(frozen=True)
class Room:
    """Modules that have a page together."""

    name: str
    title: str
    modules: tuple[str, ...]

    @property
    def page(self) -> str:
        """The page of the room."""
        return f"api/{self.name}"


def rooms() -> list[Room]:
    """Read the list of modules."""
    text = LIST.read_text(encoding="utf-8")
    return [Room(m["name"], m["title"], tuple(m["modules"].split())) for m in ROOM.finditer(text)]


def page_of_module(module: str) -> str:
    """Name the page of a module."""
    return f"api/{module.removeprefix('subbit.')}"


def short(module: str) -> str:
    """Shorten a module's name for headings."""
    return module.removeprefix("subbit.reference.").removeprefix("subbit.")


@cache
def tree_of(module: str) -> tuple[str, ast.Module]:
    """Read a module's source."""
    path = ROOT.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = file.read_text(encoding="utf-8")
    return text, ast.parse(text)


def title_of(module: str) -> str:
    """Return the title of a module."""
    return title_and_text(tree_of(module)[0])[0]


def names_of(module: str) -> list[tuple[str, str]]:
    """List the public functions and classes of a module, and what they do."""
    found = []
    for node in tree_of(module)[1].body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            said = (ast.get_docstring(node) or "").partition("\n\n")[0]
            found.append((node.name, " ".join(said.split())))
    return found


def pages() -> dict[Path, str]:
    """Write the pages of rooms and modules."""
    found = {}
    for room in rooms():
        inner = toctree(map(page_of_module, room.modules))
        lists = "\n\n".join(
            f"{heading(short(m), '-')}\n\n{title_of(m)}. :doc:`Everything </{page_of_module(m)}>`"
            f"\n\n.. api-names:: {m}"
            for m in room.modules
        )
        text = f"{heading(room.title, '=')}\n\n{inner}\n\n{lists}\n"
        found[FOLDER / f"{room.name}.rst"] = text
        for module in room.modules:
            named = names_of(module)
            names = f".. api-names:: {module}\n\n" if len(named) > 2 else ""
            options = "   :members:\n   :ignore-module-all:\n"
            text = f"{heading(short(module), '=')}\n\n{names}.. automodule:: {module}\n{options}"
            found[FOLDER.parent / f"{page_of_module(module)}.rst"] = text
    return found


class Names(SphinxDirective):
    """The names of a module, each with its first sentence."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Return a list with a line for each name."""
        module = self.arguments[0]
        lines = [
            container(
                "book-item",
                paragraph("book-name", reference_to(f"{module}.{name}")),
                paragraph("book-says", *inline(said)),
            )
            for name, said in names_of(module)
        ]
        return [container("book-names", *lines)] if lines else []


class List(SphinxDirective):
    """A room in the list of all modules: its title, and the names of its modules."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Return the room."""
        room = next(room for room in rooms() if room.name == self.arguments[0])
        items = [
            container(
                "book-item",
                paragraph("book-name", page_link(page_of_module(module), literal(short(module)))),
                paragraph("book-says", nodes.Text(title_of(module))),
            )
            for module in room.modules
        ]
        title = nodes.title("", "", page_link(room.page, nodes.inline("", room.title)))
        return [nodes.section("", title, container("book-names", *items), ids=[room.name])]


def forward(
    app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Lead from places of the list to where they are now."""
    if page == "api":
        modules = [module for room in rooms() for module in room.modules]
        uris = {m: app.builder.get_relative_uri(page, page_of_module(m)) for m in modules}
        context["body"] += FORWARD % json.dumps(uris)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything."""
    app.add_directive("api", List)
    app.add_directive("api-names", Names)
    app.connect("builder-inited", lambda _: write_all(FOLDER, pages()))
    app.connect("html-page-context", forward)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
