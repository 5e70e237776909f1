"""Plots of a study
================

The prefix curve and the part table as one figure, written to a file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .frontier import Calibrated
from .jobs import Comparison
from .study import ALL_PARTS, Results


def _draw_prefix(axes: Any, results: Results, shown: Comparison) -> None:  # noqa: ANN401
    for label in shown.labels:
        found = [results.find(label, ALL_PARTS, 0, stop) for stop in shown.stops]
        points = [point for point in found if point is not None]
        axes.plot([p.stop for p in points], [p.perplexity for p in points], "o-", label=label)
    axes.set(xscale="log", yscale="log", xlabel="decoder blocks quantized, from the first")
    axes.set_xticks(shown.stops, [str(stop) for stop in shown.stops])
    axes.set_xticks([], minor=True)
    axes.set_ylabel("perplexity")


def _draw_parts(axes: Any, results: Results, shown: Comparison) -> None:  # noqa: ANN401
    width = 0.8 / len(shown.labels)
    for index, label in enumerate(shown.labels):
        found = [results.find(label, part, *shown.span) for part in shown.parts]
        heights = [float("nan") if point is None else point.perplexity for point in found]
        axes.bar([place + index * width for place in range(len(found))], heights, width)
    middle = 0.4 - width / 2
    axes.set_xticks([place + middle for place in range(len(shown.parts))], shown.parts)
    first, stop = shown.span
    axes.set(yscale="log", xlabel=f"only this part quantized, blocks {first} to {stop - 1}")


def _title(results: Results) -> str:
    study = results.study
    used, windows = study.calibration, study.evaluation
    first = "" if used.first_token is None else f", first token {used.first_token}"
    return (
        f"{study.model} ({study.precision}); calibration {used.text}, {used.samples} x "
        f"{used.length}, seed {used.seed}{first};\nevaluation {windows.text}, "
        f"{windows.windows} windows of {windows.length}"
    )


def plot_study(results: Results, shown: Comparison, path: Path) -> None:
    """Plot prefix curves, and parts side by side if there are any.

    Parameters
    ----------
    results : Results
        The study.
    shown : Comparison
        The part of it to show.
    path : Path
        The file; its suffix sets the format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11 if shown.parts else 6, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2 if shown.parts else 1, squeeze=False, sharey=True)[0]
    _draw_prefix(panels[0], results, shown)
    if shown.parts:
        _draw_parts(panels[1], results, shown)
    for panel in panels:
        if results.full is not None:
            panel.axhline(results.full, color="black", linestyle=":", label="full precision")
    panels[0].legend()
    figure.suptitle(_title(results), fontsize="small")
    figure.savefig(path, dpi=150)


def plot_frontier(found: Sequence[Calibrated], path: Path) -> None:
    """Plot perplexity against payload bits, a panel for each calibration and evaluation text.

    Parameters
    ----------
    found : sequence of Calibrated
        One for each calibration.
    path : Path
        The file; its suffix sets the format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = max(len(one.studies) for one in found)
    figure = Figure(figsize=(6.5 * across, 4.5 * len(found)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(found), across, squeeze=False)
    for one, row in zip(found, panels, strict=True):
        for study, axes in zip(one.studies, row, strict=False):
            for point in study.points:
                axes.plot(point.payload, point.perplexity, "o", markersize=4)
                spot = (point.payload, point.perplexity)
                axes.annotate(f" {point.label}", spot, fontsize=6, va="center")
            if study.full is not None:
                axes.axhline(study.full, color="gray", linestyle=":")
            axes.set(yscale="log", xlabel="payload bits per quantized weight", ylabel="perplexity")
            axes.set_title(_title(study), fontsize="x-small")
    figure.savefig(path, dpi=150)
