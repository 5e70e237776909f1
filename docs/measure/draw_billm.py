"""The figures of docs/billm.md, from what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt


def draw_distribution(made: Mapping[str, Any]) -> plt.Figure:
    """Histogram of one block's weights in its three groups."""
    figure, axes = plt.subplots(figsize=(7, 3))
    bins = np.array(made["bins"])
    total = sum(map(sum, made["counts"].values()))
    bottom = np.zeros(len(bins) - 1)
    for name, counts in made["counts"].items():
        label = f"{name}, {sum(counts) / total:.0%}"
        axes.stairs(bottom + counts, bins, baseline=bottom, fill=True, label=label)
        bottom = bottom + counts
    axes.set(yscale="log", xlabel="weight", ylabel="entries", ylim=(0.7, None))
    axes.set_title(f"first block of {made['layer']}")
    axes.legend()
    return figure


def draw_thresholds(made: Mapping[str, Any]) -> plt.Figure:
    """Objective of the bell split against the share of the sparse group."""
    figure, axes = plt.subplots(figsize=(7, 3))
    for label, search in made["searches"].items():
        share, error, best = (search[key] for key in ("share", "error", "best"))
        (line,) = axes.plot(share, error, marker="", label=label)
        spot = {"marker": "o", "linestyle": "", "color": line.get_color()}
        axes.plot(share[best], error[best], **spot)
    axes.axvspan(0.0, 0.1, alpha=0.15, color="gray", label="outside the released grid")
    axes.set(xlabel="share of the sparse group", ylabel="squared error / energy", ylim=(0, 0.8))
    axes.set_title(f"threshold search in the first block of {made['layer']}")
    axes.legend()
    return figure


def draw_bits(curves: Mapping[str, Sequence[tuple[float, float]]], sizes: str) -> plt.Figure:
    """Error against payload bits, at some sizes of blocks or groups."""
    figure, axes = plt.subplots(figsize=(7, 4))
    for name, points in curves.items():
        bits, errors = zip(*sorted(map(tuple, points)), strict=True)
        axes.plot(bits, errors, label=name)
    axes.set(xlabel="payload bits per weight", ylabel="mean relative calibrated error")
    axes.set(yscale="log", title=sizes)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.legend()
    return figure


def draw_prefix(rows: Sequence[Mapping[str, str]]) -> plt.Figure:
    """Perplexity with the first decoder blocks quantized, from the rows of the chapter's table."""
    figure, axes = plt.subplots(figsize=(7, 4))
    whole = next(row for row in rows if row["method"] == "full precision")
    heads = [head for head in whole if head.startswith("ppl k=")]
    stops = [int(head.removeprefix("ppl k=")) for head in heads]
    for row in rows:
        if row is not whole:
            axes.plot(stops, [float(row[h].replace(",", "")) for h in heads], label=row["method"])
    full = float(whole[heads[0]])
    axes.axhline(full, color="gray", linestyle=":", label="full precision")
    axes.set(xscale="log", yscale="log", xlabel="quantized decoder blocks", ylabel="perplexity")
    axes.set_xticks(stops, map(str, stops))
    axes.minorticks_off()
    axes.legend()
    return figure
