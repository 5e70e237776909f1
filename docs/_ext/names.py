"""Names of the code as links: in code, in tables and in text."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from book import page_of, pages, place_of
from docutils import nodes
from evidence import evidence
from sphinx.application import Sphinx

NAME = re.compile(r'<span class="n">(\w+)</span>')
ASKED = re.compile(
    r'(<span class="n">(?:port|reference)</span><span class="o">\.</span>)' + NAME.pattern
)
# Shapes of arrays, as comments have them.
SHAPE = re.compile(r'<span class="c1">(# \([^<]*-&gt;[^<]*)</span>')
PLAIN = re.compile(r"(\w+)(\(\))?")


@cache
def of_book() -> dict[str, tuple[str, str]]:
    """The page and the place of each public function and class that has one in the book."""
    shown = set(pages().values())
    modules = [module for module in evidence().reference.values() if module.file in shown]
    return {
        name: (page_of(module.file), place_of(module.file, name))
        for module in modules
        for name in (*module.functions, *module.classes)
        if not name.startswith("_")
    }


def of_file(file: str) -> dict[str, tuple[str, str]]:
    """Where the names lead to that a module defines or imports."""
    index, shown = evidence(), set(pages().values())
    module = index.module(file)
    own = {name: (file, name) for name in (*module.functions, *module.classes)}
    found = {}
    for name, (place, leaf) in (module.imported | own).items():
        home = index.module(place) if place in shown else None
        if home and (leaf in home.functions or leaf in home.classes):
            found[name] = (page_of(place), place_of(place, leaf))
    return found


def link_literals(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Make names of functions links: all in tables, and elsewhere those that are no plain words."""
    own = of_book()
    for node in list(doctree.findall(nodes.literal)):
        match = PLAIN.fullmatch(node.astext())
        if not match or match[1] not in own or _inside(node, nodes.reference, nodes.title):
            continue
        if _inside(node, nodes.entry) or "_" in match[1] or match[2]:
            page, place = own[match[1]]
            uri = f"{app.builder.get_relative_uri(docname, page)}#{place}"
            node.replace_self(nodes.reference("", "", node.deepcopy(), internal=True, refuri=uri))


def _inside(node: nodes.Node, *kinds: type[nodes.Node]) -> bool:
    at = node.parent
    while at is not None and not isinstance(at, kinds):
        at = at.parent
    return at is not None


def resolve(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Make addresses from the root of the documentation addresses from the page that has them."""
    for node in doctree.findall(nodes.reference):
        if node.get("refuri", "").startswith("root:"):
            page, _, place = node["refuri"].removeprefix("root:").partition(".html")
            node["refuri"] = app.builder.get_relative_uri(docname, page) + place


def link_code(
    app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Make the names in a page's code links, and shapes a thing apart."""
    file = pages().get(page)
    if file and file.endswith(".py"):

        def uris(places: Mapping[str, tuple[str, str]]) -> dict[str, str]:
            uri = app.builder.get_relative_uri
            return {n: f"{uri(page, p)}#{place}" for n, (p, place) in places.items()}

        own, asked = uris(of_file(file)), uris(of_book())
        body = ASKED.sub(lambda m: m[1] + _linked(m[2], asked), context["body"])
        body = NAME.sub(lambda m: _linked(m[1], own), body)
        context["body"] = SHAPE.sub(r'<span class="c1 book-shapes">\1</span>', body)


def _linked(name: str, uris: Mapping[str, str]) -> str:
    span = f'<span class="n">{name}</span>'
    return f'<a class="book-name" href="{uris[name]}">{span}</a>' if name in uris else span


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything."""
    app.connect("doctree-resolved", link_literals)
    app.connect("doctree-resolved", resolve)
    app.connect("html-page-context", link_code)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
