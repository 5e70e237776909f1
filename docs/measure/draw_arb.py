"""The figures of docs/arb.md, from what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import pyplot as plt


def draw_iterations(made: Mapping[str, Any]) -> plt.Figure:
    """Objective of the three loops against the round, on one block without groups."""
    figure, every = plt.subplots(1, 3, figsize=(9, 3), sharey=True)
    for axes, (title, orders) in zip(every, made["loops"].items(), strict=True):
        for order, found in orders.items():
            (line,) = axes.plot(found["error"], marker=".", label=order)
            if "limit" in found:
                axes.axhline(found["limit"], linestyle=":", color=line.get_color())
        axes.set(title=title, xlabel="round")
    every[0].set_ylabel("objective / its start")
    every[0].legend()
    return figure


def draw_columns(made: Mapping[str, Any]) -> plt.Figure:
    """Mean absolute error of each column of one block, with row scales and with both."""
    figure, axes = plt.subplots(figsize=(7, 3))
    weights, *images = made["means"].items()
    axes.plot(weights[1], color="gray", alpha=0.6, marker="", label=weights[0])
    for label, means in images:
        axes.plot(means, marker="", label=label)
    axes.set(xlabel="column, by falling norm", ylabel="mean |W − Ŵ|", ylim=(0, None))
    first, last = made["columns"]
    axes.set_title(f"columns {first} to {last} of {made['layer']}")
    axes.legend()
    return figure


def draw_prefix(points: Sequence[Mapping[str, Any]]) -> plt.Figure:
    """Perplexity with the first decoder blocks quantized: against their number, and the bits."""
    figure, (blocks, bits) = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
    most = min(max(p["stop"] for p in points if p["label"] == q["label"]) for q in points)
    for label in dict.fromkeys(point["label"] for point in points):
        own = sorted((p["stop"], p["perplexity"]) for p in points if p["label"] == label)
        (line,) = blocks.plot(*zip(*own, strict=True), label=label)
        (last,) = (p for p in points if (p["label"], p["stop"]) == (label, most))
        spot = {"marker": "o", "linestyle": "", "color": line.get_color(), "label": label}
        bits.plot(last["payload"], last["perplexity"], **spot)
    blocks.set(xlabel="quantized decoder blocks", ylabel="perplexity", yscale="log", xscale="log")
    bits.set(xlabel="payload bits per weight", title=f"{most} blocks")
    bits.legend()
    return figure
