"""Three real layers on a method's page, drawn from what ``docs/measure/layers.py`` measured."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from worked_panels import Bars, Curves, Line, Panel, legend

from project import ROOT

MEASURED = ROOT / "docs" / "measured" / "layers.json"
STOPS = {
    "billm": "Error, one idea after the other",
    "stbllm": "Error, one step after the other",
    "pbs2p": "Error, if pruning stops there",
}
LOOPS = {"arb": "intermediate", "arb-x": "sparse", "arb-rc": "concentrated"}
"""The loops of ARB-LLM, and the group whose color each has."""


@dataclass(frozen=True)
class Shares:
    """How weights divide into groups.

    Parameters
    ----------
    caption : str
        What is divided.
    shares : mapping of str to float
        The share of each group.
    """

    caption: str
    shares: Mapping[str, float]

    def html(self) -> str:
        """Return a bar, and its numbers in words."""
        left = 1.0 - sum(self.shares.values())
        shares = {**self.shares, **({"pruned": left} if left > 1e-4 else {})}
        looks = {name: "worked-gone" if name == "pruned" else f"worked-{name}" for name in shares}
        parts = "".join(
            f'<span class="{looks[name]}" style="width:{100 * share:.2f}%"></span>'
            for name, share in shares.items()
        )
        said = [(looks[name], f"{name} {share:.1%}") for name, share in shares.items()]
        return (
            f'<figure class="worked-figure"><figcaption>{escape(self.caption)}</figcaption>'
            f'<div class="worked-shares" aria-hidden="true">{parts}</div>{legend(said)}</figure>'
        )


def measured() -> dict[str, Any]:
    """Return what was measured."""
    made: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return made


def panels(method: str, made: Mapping[str, Any]) -> Iterator[Panel]:
    """Yield what is shown of a layer."""
    yield Shares("Weights by group", made["shares"])
    if method == "arb":
        yield rounds(made)
    else:
        yield Bars(STOPS[method], ("step", "error"), list(made["steps"].items()))
    total = sum(made["payload"].values())
    rows = [(name.replace("_", " "), bits) for name, bits in made["payload"].items()]
    yield Bars(f"Payload: {total:.2f} bits per weight", ("part", "bits per weight"), rows)


def rounds(made: Mapping[str, Any]) -> Panel:
    """Draw the error of the layer by rounds."""
    stops = made["rounds"]
    lines = [
        Line(name, list(map(float, stops)), errors, [f"{n} rounds" for n in stops], LOOPS[name])
        for name, errors in made["curves"].items()
    ]
    up = "relative calibrated error"
    return Curves("Error, if the loop stops after some rounds", "rounds", up, lines)


def chosen(made: Mapping[str, Any]) -> str:
    """Say what the searches chose."""
    salient = made["salient"]
    some = f"{min(salient)} to {max(salient)} of 128 columns are salient"
    return f"In its {len(salient)} blocks {some}, {sum(salient) / len(salient):.1f} on average."


class RealLayers(SphinxDirective):
    """The layers, each in a box."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Return a box for each layer."""
        method = self.arguments[0]
        self.env.note_dependency(str(MEASURED))
        whole = nodes.container("", classes=["real-layers", f"real-layers-{method}"])
        for name, made in measured()["methods"][method].items():
            rows, columns = made["shape"]
            title = nodes.rubric("", f"{name}, {rows} × {columns}", classes=["worked-title"])
            title["heading-level"] = 3
            box = nodes.container("", title, nodes.paragraph("", chosen(made)))
            box["classes"].append("real-layer")
            html = "".join(
                f'<div class="worked-panel">{p.html()}</div>' for p in panels(method, made)
            )
            box += nodes.raw("", html, format="html")
            whole += box
        return [whole]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("real-layers", RealLayers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
