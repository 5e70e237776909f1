"""The book: a page of equations and code for each module, written when a build begins.

Each module that computes equations has a page, as have the theorems and the kernels that stand
behind them; pages of the same part are listed together.
"""

import re
from dataclasses import dataclass
from functools import cache

from evidence import evidence
from listing import title_and_text
from sphinx.application import Sphinx
from written import heading, text_of, toctree, write_all

import equations
from equations import Key
from project import ROOT, relative, sources

FOLDER = ROOT / "docs" / "book"

# Modules of the reference that compute, though they may have no equation of their own.
ROOMS = ("", "groups", "zones", "pruning", "baselines")
OTHERS = {"__init__", "errors", "methods", "notation", "records"}


@dataclass(frozen=True)
class Part:
    """Pages that are listed together."""

    name: str
    title: str
    pattern: str
    """Of the files that belong to it."""
    text: str


PARTS = (
    Part(
        "methods",
        "Methods",
        r"reference/((arb_llm|billm|hbllm|pbs2p|sign_product|stbllm|typed_groups)\.py|presets/)",
        "From a layer's weights to its record.",
    ),
    Part("terms", "Terms of all methods", r"reference/\w+\.py", "What all methods are built from."),
    Part("groups", "Groups", "reference/groups/", "Levels and signs of one group of weights."),
    Part("zones", "Zones", "reference/zones/", "Which weights form a group."),
    Part("pruning", "Pruning", "reference/pruning/", "Which weights go, and how many."),
    Part("baselines", "Baselines", "reference/baselines/", "What methods are compared with."),
    Part("storage", "Storage", "reference/storage/", "What a layer costs in bits."),
    Part("bounds", "Bounds", "reference/bounds/", "How far rounding may take a correct port."),
    Part("device", "On a device", r"fast/.*\.py", "Equations that only the fast path has."),
    Part(
        "theorems",
        "Theorems",
        "conformance/theorems/",
        "Properties that every port is tested for: what is proven on the left, its test on the "
        "right.",
    ),
    Part(
        "cases",
        "Cases",
        r"conformance/cases/",
        "What a check asks of a port, and how its answer is judged.",
    ),
    Part("kernels", "Kernels", r"fast/kernels/.*\.cu", "The CUDA sources, kernel by kernel."),
)
INTRODUCTION = """\
Every algorithm beside its equations: on the left what a module says of itself, and its equations as
the papers have them; on the right the code that computes them. To look up an equation of a paper by
its number, begin with :doc:`/equations`.
"""


def page_of(file: str) -> str:
    """Name the page of a module."""
    return "book/" + file.removeprefix("reference/").removesuffix(".py").replace(".cu", "")


def anchor_of(key: Key) -> str:
    """Name the place of an equation on the page of its module."""
    label = key.label.replace("Eq.", "eq").replace("Alg.", "alg")
    return re.sub(r"[^a-z0-9]+", "-", f"{key.paper} {label} {key.function}".lower()).strip("-")


def place_of(file: str, name: str) -> str:
    """Name the place of a function on the page of its module."""
    stem = file.removesuffix(".py")
    return re.sub(r"[^a-z0-9]+", "-", f"{stem} {name}".lower()).strip("-")


def has_page(file: str, tagged: set[str]) -> bool:
    """Tell whether a module belongs into the book."""
    room, _, name = file.removesuffix(".py").removeprefix("reference/").rpartition("/")
    is_bound = file.startswith("reference/bounds/")
    inside = file.startswith("reference/") and (room in ROOMS or is_bound) and name not in OTHERS
    return inside or file in tagged


def chapters() -> dict[str, list[str]]:
    """Files of the book with equations, by part."""
    tagged = {tag.key.file for tag in equations.tags()}
    modules = [relative(path) for path in sources("reference", "fast")]
    found: dict[str, list[str]] = {part.title: [] for part in PARTS[:-3]}
    for file in modules:
        if has_page(file, tagged):
            part = next(part for part in PARTS if re.match(part.pattern, file))
            found[part.title].append(file)
    return found


def files() -> dict[str, list[str]]:
    """Files of the book, by part: what computes, and what stands behind it."""
    asked = {file for places in evidence().cases.values() for file, _ in places}
    tests = sorted((ROOT / "conformance" / "theorems").glob("test_*.py"))
    cases = [p for p in sources("conformance") if relative(p) in asked]
    kernels = sorted((ROOT / "fast" / "kernels").glob("*.cu"))
    behind = zip(PARTS[-3:], (tests, cases, kernels), strict=True)
    return chapters() | {part.title: list(map(relative, paths)) for part, paths in behind}


@cache
def pages() -> dict[str, str]:
    """The file of each page of the book."""
    return {page_of(file): file for inside in files().values() for file in inside}


def title_of(file: str) -> str:
    """Return the title of a page."""
    if file.endswith(".cu"):
        return file.rpartition("/")[2]
    title = title_and_text(text_of(file))[0]
    is_theorem = file.startswith("conformance/")
    return f"Theorems: {re.split('[:.]', title)[0]}" if is_theorem else title


def write_pages(_app: Sphinx) -> None:
    """Write a page of two lines for each file, a list of each part, and a list of the parts."""
    written, listed = {}, []
    for part, inside in zip(PARTS, files().values(), strict=True):
        lines = []
        for file in inside:
            title = title_of(file)
            directive = "kernels" if file.endswith(".cu") else "side-by-side"
            # What stands behind is found by links, and would bury what a search is for.
            meta = ":hide-toc:\n" + (":nosearch:\n" if part in PARTS[-3:] else "")
            page = f"{meta}\n{heading(title, '=')}\n\n.. {directive}:: {file}\n"
            written[FOLDER.parent / f"{page_of(file)}.rst"] = page
            lines.append(f"- :doc:`{title} </{page_of(file)}>`, ``{file}``")
        head, tree = heading(part.title, "="), toctree(map(page_of, inside))
        body = "\n".join(lines)
        written[FOLDER / f"{part.name}.rst"] = f"{head}\n\n{part.text}\n\n{tree}\n\n{body}\n"
        listed.append(f"- :doc:`/book/{part.name}`: {part.text}")
    tree = toctree(f"book/{part.name}" for part in PARTS)
    body = "\n".join(listed)
    head = heading("Side by side", "=")
    written[FOLDER / "index.rst"] = f"{head}\n\n{INTRODUCTION}\n{tree}\n\n{body}\n"
    write_all(FOLDER, written)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
