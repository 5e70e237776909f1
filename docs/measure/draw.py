"""Draw every figure of the documentation, for light and for dark pages.

Run ``python docs/measure/draw.py`` from the project's root, with the ``docs`` and ``demo`` extras.
It measures nothing: all numbers are in ``docs/measured`` and in the tables of the chapters. It
writes ``docs/figures/NAME.svg`` and ``NAME-dark.svg``, both without a background; their letters
are text. Names as arguments draw only these.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import Cycler, cycler
from draw_arb import draw_columns, draw_iterations, draw_prefix
from draw_billm import draw_bits as draw_sizes
from draw_billm import draw_distribution, draw_thresholds
from draw_billm import draw_prefix as billm_prefix
from draw_frontier import draw_frontier
from draw_overview import draw_groups, draw_perplexity
from draw_pbs2p import draw_outcomes, draw_steps
from draw_stbllm import draw_bits, draw_budgets, draw_curve
from matplotlib import pyplot as plt

from subbit.conformance.runs.frontier import read_frontier

DOCS = Path(__file__).parent.parent
FIGURES = DOCS / "figures"
LIGHT = ("#1c6ca8", "#d9661f", "#257a38", "#b02a55", "#6f45ad", "#8a6d1a", "#0f8a8a", "#6b6b6b")
DARK = ("#74b9f5", "#f3a65a", "#72d488", "#f48aaa", "#bda0f3", "#e0c860", "#5fd3d3", "#b5b5b5")


def cycled(colors: tuple[str, ...]) -> Cycler:
    """Tell twice as many curves apart as there are colors."""
    count = len(colors)
    return cycler(
        color=colors * 2,
        linestyle=["-"] * count + ["--"] * count,
        marker=["o"] * count + ["s"] * count,
    )


def theme(ink: str, faint: str, colors: tuple[str, ...]) -> dict[str, Any]:
    """Return matplotlib's settings for one kind of page."""
    inked = ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(inked, ink),
        "axes.edgecolor": faint,
        "axes.prop_cycle": cycled(colors),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.autolayout": True,
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
        "legend.frameon": False,
        "lines.markersize": 4.5,
        "savefig.transparent": True,
        "svg.fonttype": "none",
        "svg.hashsalt": "subbit",
    }


THEMES = {
    "": theme("#24292f", "#8b949e", LIGHT),
    "-dark": theme("#d0d4da", "#6e7681", DARK),
}


def measured(name: str) -> Any:  # noqa: ANN401
    """Return a file of measured numbers."""
    return json.loads((DOCS / "measured" / f"{name}.json").read_text(encoding="utf-8"))


def shown(name: str) -> Any:  # noqa: ANN401
    """Return the series of a figure that shows single layers."""
    return measured("layers")["figures"][name]


def rows(page: str, name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a chapter's table, the one after ``<!-- name -->``."""
    text = (DOCS / page).read_text(encoding="utf-8")
    part = text.partition(f"<!-- {name} -->")[2].partition("<!-- end -->")[0]
    lines = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("|")]
    heads, _rule, *body = lines
    for line in body:
        yield dict(zip(heads, line, strict=True))


DRAWN: dict[str, Callable[[], plt.Figure]] = {
    "arb-bits": lambda: draw_sizes(measured("arb")["curves"], "block size 64 to 256"),
    "arb-columns": lambda: draw_columns(shown("arb-columns")),
    "arb-iterations": lambda: draw_iterations(shown("arb-iterations")),
    "arb-prefix": lambda: draw_prefix(measured("arb-curve")),
    "billm-bits": lambda: draw_sizes(measured("billm")["curves"], "block or group size 32 to 512"),
    "billm-distribution": lambda: draw_distribution(shown("billm-distribution")),
    "billm-prefix": lambda: billm_prefix(list(rows("billm.md", "whole"))),
    "billm-thresholds": lambda: draw_thresholds(shown("billm-thresholds")),
    "frontier": lambda: draw_frontier(read_frontier(DOCS / "measured" / "frontier.json")[0]),
    "groups": lambda: draw_groups(measured("cut"), measured("layers")),
    "pbs2p-bits": lambda: draw_bits(measured("pbs2p")["bits"]),
    "pbs2p-budgets": lambda: draw_budgets(measured("pbs2p")["budgets"]),
    "pbs2p-claim": lambda: draw_outcomes(measured("pbs2p")["claim"]),
    "pbs2p-curve": lambda: draw_curve(measured("pbs2p-curve")),
    "pbs2p-steps": lambda: draw_steps(shown("pbs2p-steps")),
    "perplexity": lambda: draw_perplexity(list(rows("models.md", "demo"))),
    "stbllm-bits": lambda: draw_bits(measured("stbllm")["presets"]),
    "stbllm-budgets": lambda: draw_budgets(measured("stbllm")["budgets"]),
    "stbllm-curve": lambda: draw_curve(measured("stbllm-curve")),
}


def draw(name: str, folder: Path = FIGURES) -> None:
    """Draw a figure in every theme."""
    for ending, settings in THEMES.items():
        with mpl.rc_context(settings):
            figure = DRAWN[name]()
            figure.savefig(folder / f"{name}{ending}.svg", metadata={"Date": None})
            plt.close(figure)


def main() -> None:
    """Draw the named figures, or all."""
    mpl.use("agg")
    for name in sys.argv[1:] or DRAWN:
        draw(name)


if __name__ == "__main__":
    main()
