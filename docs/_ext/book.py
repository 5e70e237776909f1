"""Pages that show equations and code side by side, made from the sources at build time.

Each module that computes equations has a page: on the left what it says of itself and its
equations, typeset; on the right its code. The page of equations becomes the index to them.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from evidence import Evidence
from listing import Row, Unit, title_and_text, units
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import equations
from equations import Key, Tag
from notation import NotationError, pieces
from project import ROOT, relative, sources

FOLDER = ROOT / "docs" / "book"
log = logging.getLogger(__name__)
NAVIGATION: dict[int, str] = {}
"""The navigation of pages by the depth of their folder, in this build."""

# Modules of the reference that compute, though they may have no equation of their own.
ROOMS = ("", "groups", "zones", "pruning", "baselines")
OTHERS = {"__init__", "errors", "methods", "notation", "record_checks", "records", "stored"}
PARTS = (
    ("Methods", r"reference/(presets/)?(arb_llm|billm|pbs2p|stbllm|typed_groups)\.py"),
    ("Terms of all methods", r"reference/\w+\.py"),
    ("Groups", "reference/groups/"),
    ("Zones", "reference/zones/"),
    ("Pruning", "reference/pruning/"),
    ("Baselines", "reference/baselines/"),
    ("Storage", "reference/storage/"),
    ("Bounds", "reference/bounds/"),
    ("On a device", "fast/"),
)
INTRODUCTION = """\
Every algorithm beside its equations: on the left what a module says of itself, and its equations as
the papers have them; on the right the code that computes them. To look up an equation of a paper by
its number, begin with :doc:`/equations`.
"""


def text_of(file: str) -> str:
    """Read a source."""
    return (ROOT / file).read_text(encoding="utf-8")


def page_of(file: str) -> str:
    """Name the page of a module."""
    return "book/" + file.removeprefix("reference/").removesuffix(".py")


def anchor_of(key: Key) -> str:
    """Name the place of an equation on the page of its module."""
    label = key.label.replace("Eq.", "eq").replace("Alg.", "alg")
    return re.sub(r"[^a-z0-9]+", "-", f"{key.paper} {label} {key.function}".lower()).strip("-")


def has_page(file: str, tagged: set[str]) -> bool:
    """Tell whether a module belongs into the book."""
    room, _, name = file.removesuffix(".py").removeprefix("reference/").rpartition("/")
    inside = file.startswith("reference/") and room in ROOMS and name not in OTHERS
    return inside or file in tagged


def chapters() -> dict[str, list[str]]:
    """Files of the book, by part."""
    tagged = {tag.key.file for tag in equations.tags()}
    found: dict[str, list[str]] = {part: [] for part, _ in PARTS}
    for path in sources("reference", "fast"):
        file = relative(path)
        if has_page(file, tagged):
            found[next(part for part, pattern in PARTS if re.match(pattern, file))].append(file)
    return found


def write(path: Path, text: str) -> None:
    """Write a page, unless it says so already: what is unchanged is not built again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def heading(text: str, line: str) -> str:
    """Write a heading of reStructuredText."""
    return f"{text}\n{line * len(text)}"


def write_pages(_app: Sphinx) -> None:
    """Write a page of two lines for each module, and their index.

    The pages are in no table of contents: Sphinx would copy all of it for every page.
    """
    NAVIGATION.clear()
    listed = []
    kept = {FOLDER / "index.rst"}
    for part, files in chapters().items():
        listed.append(heading(part, "-"))
        for file in files:
            path = FOLDER.parent / f"{page_of(file)}.rst"
            title = title_and_text(text_of(file))[0]
            head = f":orphan:\n:hide-toc:\n\n{heading(title, '=')}"
            write(path, f"{head}\n\n.. side-by-side:: {file}\n")
            kept.add(path)
            listed.append(f"- :doc:`{title} </{page_of(file)}>`, ``{file}``")
    body = "\n\n".join(listed)
    write(FOLDER / "index.rst", f"{heading('Side by side', '=')}\n\n{INTRODUCTION}\n{body}\n")
    for path in set(FOLDER.rglob("*.rst")) - kept:
        path.unlink()


def typeset(tag: Tag) -> nodes.paragraph:
    """Set an equation: formulas that a line may be broken between, and words."""
    line = nodes.paragraph(classes=["book-equation"])
    try:
        found = pieces(tag.formula)
    except NotationError as reason:
        place = f"{tag.key.file}:{tag.line}"
        log.warning("%s: the equation is not in the notation: %s", place, reason)
        return line
    whole = nodes.inline("", classes=["book-whole"])
    for piece in found:
        if piece.is_math:
            whole += nodes.math("", rf"\displaystyle {piece.text}")
            whole += nodes.Text(" ") if piece.text.endswith(",") else nodes.Text("")
        else:
            whole += nodes.Text(f" {piece.text} ")
        if piece.ends:
            line += whole
            whole = nodes.inline("", classes=["book-whole"])
    line += whole
    return line


def container(name: str, *children: nodes.Node) -> nodes.container:
    """Wrap what belongs together."""
    return nodes.container("", *children, classes=[name])


class SideBySide(SphinxDirective):
    """The page of a module."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Return the module's text, and a section for each of its functions."""
        self.file = self.arguments[0]
        self.source = text_of(self.file)
        for other in (self.file, "docs/equations.md"):
            self.env.note_dependency(str(ROOT / other))
        self.rows = equations.rows(text_of("docs/equations.md"))
        self.versions = equations.papers(text_of("docs/equations.md"))
        self.anchors: set[str] = set()
        where = nodes.paragraph("", "", nodes.literal("", self.file), classes=["book-file"])
        said = self.parsed(title_and_text(self.source)[1])
        return [where, *said, *(self.section(unit) for unit in units(self.source, self.file))]

    def parsed(self, text: str) -> list[nodes.Node]:
        """Read a docstring; its sections become lines in bold."""
        text = re.sub(r"^Examples\n-+\n(?:.*\n?)*?(?=^\S.*\n-+\n|\Z)", "", text, flags=re.MULTILINE)
        text = re.sub(r"^(\S.*)\n-{3,}$", r"**\1**\n", text, flags=re.MULTILINE)
        holder = nodes.Element()
        lines = StringList(text.splitlines(), source=self.file)
        self.state.nested_parse(lines, 0, holder)
        return holder.children

    def section(self, unit: Unit) -> nodes.Node:
        """Show a function."""
        rows = [self.row(row, unit if place == 0 else None) for place, row in enumerate(unit.rows)]
        if not unit.name:
            return container("book-unit", *folded(rows, self.source, unit))
        title = nodes.title("", "", nodes.literal("", unit.name))
        name = f"{self.file.removesuffix('.py').replace('/', '-')}-{unit.name}"
        return nodes.section("", title, *rows, ids=[nodes.make_id(name)], classes=["book-unit"])

    def row(self, row: Row, unit: Unit | None) -> nodes.Node:
        """Show lines of code, and beside them what they compute."""
        left = container("book-left")
        if unit and unit.name:
            left += self.parsed(unit.doc)
            left += self.behind(unit.name)
        for tag in row.tags:
            left += self.equation(tag)
        right = container("book-right", *(self.code(*part) for part in row.code))
        return container("book-row" if left.children else "book-code", left, right)

    def code(self, first: int, last: int) -> nodes.Node:
        """Show lines of the source as they are."""
        text = "\n".join(self.source.splitlines()[first - 1 : last])
        block = nodes.literal_block(text, text, language="python", linenos=True)
        block["highlight_args"] = {"linenostart": first}
        return block

    def equation(self, tag: Tag) -> nodes.Node:
        """Show an equation with its number, and what the table says of it."""
        key = tag.key
        number = nodes.paragraph("", "", classes=["book-number"])
        number += paper(key, self.versions.get(key.paper, ""))
        said = self.rows.get(key, ("", ""))[1]
        note = nodes.paragraph("", "", *inline(said), classes=["book-says"])
        found = container("book-tag", number, typeset(tag), note)
        if anchor_of(key) not in self.anchors:
            self.anchors.add(anchor_of(key))
            found["ids"].append(anchor_of(key))
        return found

    def behind(self, name: str) -> Iterator[nodes.Node]:
        """Show what stands behind a function: API, bounds, theorems, the twin and its kernels."""
        if any(part.startswith("_") for part in name.split(".")):
            return
        index: Evidence = self.env.book_evidence
        full = f"subbit.{self.file.removesuffix('.py').replace('/', '.')}.{name}"
        lines = [("documented as", [reference_to(full)])]
        if bounds := index.bounds_of(name):
            lines.append(("bounded by", [link(*place) for place in bounds]))
        if theorems := index.theorems.get(name, []):
            shown = [f"{test} in {file.rpartition('/')[2]}" for file, test in theorems[:3]]
            more = [f"{len(theorems) - 3} more"] if len(theorems) > 3 else []
            lines.append(("tested by", [*map(literal, shown), *map(nodes.Text, more)]))
        if twin := index.twin_of(self.file, name):
            kernels = index.kernels_of(twin)
            shown = [f"{entry} in {file}" for file, entry in kernels[:3]]
            more = [f"{len(kernels) - 3} more"] if len(kernels) > 3 else []
            lines.append(
                ("on a device", [literal(twin[0]), *map(literal, shown), *map(nodes.Text, more)])
            )
        yield evidence_list(lines)


def folded(rows: list[nodes.Node], source: str, unit: Unit) -> list[nodes.Node]:
    """Fold what a module imports."""
    if not source.splitlines()[unit.rows[0].code[0][0] - 1].startswith(("from ", "import ")):
        return rows
    before = "<details class='book-imports'><summary>Imports and names</summary>"
    return [nodes.raw("", before, format="html"), *rows, nodes.raw("", "</details>", format="html")]


def evidence_list(lines: list[tuple[str, list[nodes.Node]]]) -> nodes.Node:
    """List what stands behind a function, each kind in a line."""
    found = container("book-behind")
    for kind, parts in lines:
        line = nodes.paragraph("", f"{kind} ")
        for place, part in enumerate(parts):
            line += [nodes.Text(", "), part] if place else [part]
        found += line
    return found


def literal(text: str) -> nodes.Node:
    """A name of the code."""
    return nodes.literal("", text)


def inline(text: str) -> list[nodes.Node]:
    """Read a cell of the table: text, and names in backticks."""
    parts = re.split(r"`([^`]+)`", text)
    return [literal(p) if place % 2 else nodes.Text(p) for place, p in enumerate(parts) if p]


def paper(key: Key, version: str) -> Iterable[nodes.Node]:
    """Name an equation, with a link to its paper."""
    name = nodes.Text(f"{key.paper}, {key.label}")
    if not version[:1].isdigit():
        return [name]
    return [nodes.reference("", "", name, refuri=f"https://arxiv.org/abs/{version}")]


def reference_to(full: str) -> nodes.Node:
    """Refer to the API page of an object."""
    target = {"refdomain": "py", "reftype": "obj", "reftarget": full, "refexplicit": True}
    return pending_xref("", literal(full.rpartition(".")[2]), refwarn=False, **target)


def link(file: str, name: str) -> nodes.Node:
    """Refer to a function of the bounds."""
    return reference_to(f"subbit.{file.removesuffix('.py').replace('/', '.')}.{name}")


def index_equations(app: Sphinx, doctree: nodes.document) -> None:
    """Replace the table of equations by a list of them, typeset, with links to their places."""
    if app.env.docname != "equations":
        return
    table = next(t for t in doctree.findall(nodes.table) if "what it says" in t.astext())
    first: dict[Key, Tag] = {}
    for tag in equations.tags():
        first.setdefault(tag.key, tag)
        app.env.note_dependency(str(ROOT / tag.key.file))
    listed = equations.rows(text_of("docs/equations.md"))
    by_paper: dict[str, list[nodes.Node]] = {}
    for key, (_, says) in listed.items():
        if key not in first:
            log.warning("docs/equations.md: no code has %s of %s", key.label, key)
            continue
        uri = app.builder.get_relative_uri("equations", page_of(key.file))
        number = nodes.reference("", key.label, internal=True, refuri=f"{uri}#{anchor_of(key)}")
        says_where = [*inline(says), nodes.Text(" — "), literal(f"{key.function} in {key.file}")]
        item = container(
            "book-item",
            nodes.paragraph("", "", number, classes=["book-number"]),
            container(
                "book-entry",
                typeset(first[key]),
                nodes.paragraph("", "", *says_where, classes=["book-says"]),
            ),
        )
        by_paper.setdefault(key.paper, []).append(item)
    sections = [
        nodes.section("", nodes.title("", name), *items, ids=[nodes.make_id(f"of-{name}")])
        for name, items in by_paper.items()
    ]
    table.replace_self(sections)


def add_styles(
    app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Give the pages of the book their room, and one navigation to all in folders of one depth.

    No page but the index is in it, so only the way up differs, and each takes a tenth of a second.
    """
    if pagename.startswith("book/") or pagename == "equations":
        app.add_css_file("book.css")
    if pagename.startswith("book/") and pagename != "book/index":
        app.add_css_file("wide.css")
        navigation, depth = context["toctree"], pagename.count("/")

        def once(**settings: object) -> str:
            if depth not in NAVIGATION:
                NAVIGATION[depth] = navigation(**settings)
            return NAVIGATION[depth]

        context["toctree"] = once


def add_evidence(app: Sphinx, env: Any, _docnames: list[str]) -> None:  # noqa: ANN401
    """Index the sources before pages are read."""
    del app
    env.book_evidence = Evidence(ROOT)


def drop_evidence(_app: Sphinx, env: Any) -> None:  # noqa: ANN401
    """Keep the index out of what Sphinx stores."""
    del env.book_evidence


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything."""
    app.add_directive("side-by-side", SideBySide)
    app.connect("builder-inited", write_pages)
    app.connect("env-before-read-docs", add_evidence)
    app.connect("env-updated", drop_evidence)
    # Before the sections of a page are collected.
    app.connect("doctree-read", index_equations, priority=400)
    # Before the theme asks for the navigation.
    app.connect("html-page-context", add_styles, priority=400)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
