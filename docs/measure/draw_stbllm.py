"""The figures of docs/stbllm.md and of its kind in docs/pbs2p.md, from what was measured."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.02, 1.0)}
"""Where a legend hides no point."""


def _curves(points: Iterable[tuple[str, float, float]]) -> dict[str, list[tuple[float, float]]]:
    # A label without its density names the curve, densities are its points.
    curves: dict[str, list[tuple[float, float]]] = {}
    for label, bits, value in points:
        method, _, rest = label.partition("@")
        budget = rest.partition("/")[2]
        curves.setdefault(f"{method}, {budget}" if budget else method, []).append((bits, value))
    return curves


def _plain(axes: Axes) -> None:
    """Write the numbers of a short logarithmic axis without exponents."""
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")


def draw_bits(presets: Mapping[str, Any]) -> plt.Figure:
    """Error against payload bits, a curve for each preset."""
    figure, axes = plt.subplots(figsize=(9, 4.5))
    found = ((name, e["payload"], e["error"]) for name, e in presets.items())
    for name, points in _curves(found).items():
        bits, errors = zip(*sorted(points), strict=True)
        axes.plot(bits, errors, label=name)
    axes.set(xlabel="payload bits per weight", ylabel="mean relative calibrated error")
    axes.set(yscale="log", title="4:8, 5:8 and 6:8")
    _plain(axes)
    axes.legend(fontsize="small", **BESIDE)
    return figure


def draw_budgets(plans: Mapping[str, list[int]]) -> plt.Figure:
    """What each decoder block keeps by each rule."""
    figure, every = plt.subplots(
        len(plans), 1, figsize=(7, 1.2 * len(plans)), sharex=True, sharey=True
    )
    for axes, (name, kept) in zip(every, plans.items(), strict=True):
        axes.bar(range(len(kept)), kept, width=0.8)
        axes.axhline(4, color="gray", linestyle=":")
        axes.set_title(name, fontsize="small", loc="left")
        axes.set(ylim=(0, 8))
    every[-1].set_xlabel("decoder block")
    figure.supylabel("kept of 8")
    return figure


def draw_curve(points: Sequence[Mapping[str, Any]]) -> plt.Figure:
    """Perplexity and layer error against payload bits, as many blocks quantized as all have."""
    stops = [{p["stop"] for p in points if p["label"] == q["label"]} for q in points]
    most = max(set.intersection(*stops))
    figure, both = plt.subplots(1, 2, figsize=(11, 4.5), sharex=True)
    for axes, key in zip(both, ("perplexity", "mean_error"), strict=True):
        chosen = ((p["label"], p["payload"], p[key]) for p in points if p["stop"] == most)
        for name, curve in _curves(chosen).items():
            bits, values = zip(*sorted(curve), strict=True)
            axes.plot(bits, values, label=name)
        axes.set(xlabel="payload bits per weight", ylabel=key.replace("_", " "), yscale="log")
        _plain(axes)
    both[0].set_title(f"first {most} decoder blocks quantized")
    both[1].legend(fontsize="x-small", **BESIDE)
    return figure
