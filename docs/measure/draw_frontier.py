"""The figure of docs/frontier.md."""

from typing import Any

from matplotlib import pyplot as plt

from subbit.conformance.runs.frontier import BEST, Calibrated

FAMILIES = ("typed", "gptq", "rtn", "billm", "arb", "stbllm", "pbs2p", "pb-llm")
BITS = (1.0, 4.6)
TOP = 2000.0


def draw_frontier(found: Calibrated) -> plt.Figure:
    """Perplexity of whole models against payload bits."""
    figure, axes = plt.subplots(figsize=(8.5, 5.0))
    study = found.studies[0]
    colors = list(dict.fromkeys(plt.rcParams["axes.prop_cycle"].by_key()["color"]))
    family = dict(zip(FAMILIES, colors, strict=True))
    beyond = []
    best = []
    for label in found.labels():
        point: Any = found.point(0, label)
        name = label.partition(":")[0]
        color = next(c for known, c in family.items() if name.startswith(known))
        if point.perplexity > TOP:
            beyond.append(f"{label} {point.perplexity:,.0f} at {point.payload:.2f}")
            continue
        if label in BEST:
            best.append((point.payload, point.perplexity))
        filled = color if "+" in label else "none"
        spot = (point.payload, point.perplexity)
        axes.plot(*spot, "o", color=color, markerfacecolor=filled, markersize=6)
        beside = {"xytext": (7, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(label, spot, fontsize=7.5, color=color, **beside)
    if len(best) == len(BEST):
        axes.plot(*zip(*best, strict=True), "-", color=family["typed"], linewidth=1.0, marker="")
    if study.full is not None:
        axes.axhline(study.full, color="gray", linestyle=":")
        axes.text(BITS[1], study.full * 0.99, "full precision", ha="right", va="top", fontsize=8)
    ticks = (20, 30, 50, 100, 200, 500, 1000, 2000)
    axes.set(yscale="log", xlim=BITS, ylim=(17.0, TOP))
    axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    used = study.study.evaluation
    axes.set_xlabel("payload bits per quantized weight: all that a decoder needs")
    axes.set_ylabel(f"perplexity, {used.windows} windows of {used.length:,} tokens")
    if beyond:
        said = "beyond: " + "\n".join(beyond)
        axes.text(BITS[1], TOP * 0.9, said, fontsize=7.5, va="top", ha="right")
    return figure
