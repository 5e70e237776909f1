"""Worked examples on the methods' pages, made by running the reference when the pages are built.

A small layer, four rows of two blocks, goes through a method step by step. Without scripts all
steps stand below one another; ``worked.js`` shows one at a time.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, ClassVar

import numpy as np
from book import anchor_of, page_of
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from worked_arb import arb_steps
from worked_billm import billm_steps
from worked_pbs2p import pbs2p_steps
from worked_stbllm import stbllm_steps
from worked_steps import Equation, Step, configured
from written import container, inline, typeset

import equations
from equations import Key, Tag
from project import ROOT
from subbit.reference.notation import Array

CUT = ROOT / "docs" / "measured" / "cut.json"
BLOCK_SIZE = 16
LOOPS = ("arb", "arb-x", "arb-rc")


def cut() -> tuple[Array, Array]:
    """Return the weights and the Hessian of the small layer."""
    made = json.loads(CUT.read_text(encoding="utf-8"))
    W = np.array(made["W"])
    half = np.zeros((W.shape[1],) * 2)
    half[np.triu_indices(len(half))] = made["H"]
    return W, half + np.triu(half, 1).T


def one_method(
    steps: Callable[[Array, Array, Any], Iterator[Step]], method: str, preset: str
) -> list[Step]:
    """Return the steps of a method."""
    return list(steps(*cut(), configured(method, preset, block_size=BLOCK_SIZE)))


def three_loops() -> list[Step]:
    """Return the steps of ARB-RC, with the loops of ARB and ARB-X before its own."""
    walks = [one_method(arb_steps, method, "paper") for method in LOOPS]
    loops = [[step for step in steps if step.is_loop] for steps in walks]
    first = walks[-1].index(loops[-1][0])
    others = [step for steps in loops[:-1] for step in steps]
    return [*walks[-1][:first], *others, *walks[-1][first:]]


EXAMPLES: dict[str, Callable[[], list[Step]]] = {
    "billm": lambda: one_method(billm_steps, "billm", "paper"),
    "arb": three_loops,
    "stbllm": lambda: one_method(stbllm_steps, "stbllm", "paper"),
    "pbs2p": lambda: one_method(pbs2p_steps, "pbs2p", "canonical"),
}


@cache
def tags() -> dict[Key, Tag]:
    """Return the first tag of each equation."""
    found: dict[Key, Tag] = {}
    for tag in equations.tags():
        found.setdefault(tag.key, tag)
    return found


class WorkedExample(SphinxDirective):
    """The worked example of a method."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Return the steps, one below the other."""
        name = self.arguments[0]
        for path in (CUT, *(ROOT / "docs" / "_ext").glob("worked*.py")):
            self.env.note_dependency(str(path))
        whole = container("worked")
        whole["ids"].append(f"worked-{name}")
        for place, step in enumerate(EXAMPLES[name](), 1):
            whole += self.step(step, place, f"worked-{name}-{place}")
        return [whole]

    def step(self, step: Step, place: int, anchor: str) -> nodes.Node:
        """Show a step."""
        title = nodes.rubric("", f"{place}. {step.title}", classes=["worked-title"])
        title["heading-level"] = 4
        shown = container("worked-step", title, nodes.paragraph("", "", *inline(step.text)))
        shown["ids"].append(anchor)
        if step.equations:
            shown += container("worked-equations", *map(self.equation, step.equations))
        html = "".join(f'<div class="worked-panel">{panel.html()}</div>' for panel in step.panels)
        shown += nodes.raw("", f'<div class="worked-panels">{html}</div>', format="html")
        return shown

    def equation(self, equation: Equation) -> nodes.Node:
        """Set an equation, with a link to the line that computes it."""
        tag = tags()[Key(*equation)]
        self.env.note_dependency(str(ROOT / tag.key.file))
        page = self.env.app.builder.get_relative_uri(self.env.docname, page_of(tag.key.file))
        text = f"{tag.key.paper}, {tag.key.label}"
        uri = f"{page}#{anchor_of(tag.key)}"
        link = nodes.paragraph("", "", nodes.reference("", text, internal=True, refuri=uri))
        link["classes"].append("worked-number")
        return container("worked-equation", link, typeset(tag))


def add_files(app: Sphinx, _page: str, _template: str, _context: Any, doctree: Any) -> None:  # noqa: ANN401
    """Give the pages that have an example its style and its script."""
    if doctree is None:
        return
    found = {name for node in doctree.findall(nodes.container) for name in node["classes"]}
    if found & {"worked", "real-layers"}:
        app.add_css_file("worked.css")
        app.add_js_file("worked.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("worked-example", WorkedExample)
    app.connect("html-page-context", add_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
