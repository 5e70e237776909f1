"""The figures of docs/arb.md, from real weights; ``arb.py`` saves them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from measuring import Layer

from subbit import reference as ref
from subbit.reference.layer import BinaryGroup
from subbit.reference.notation import Array

COLUMNS = slice(256, 384)
"""A block of ``0.q`` that has a few columns much larger than the others."""
EXACT = ref.Refinement(levels="exact")


def _errors(W: Array, steps: Iterable[tuple[str, BinaryGroup]], S: Array | None = None) -> Array:
    """Return the objective after each round, the start first."""
    objectives = ref.trace_objective(W, steps, S).objectives
    # The exact levels take one step instead of all rounds.
    half_steps = max((len(objectives) - 1) // ref.Refinement().iterations, 1)
    return objectives[::half_steps]


def _line(axes: Axes, errors: Array, order: int, limit: float | None = None) -> None:
    (line,) = axes.plot(errors / errors[0], ".-", label=f"order {order}")
    if limit is not None:
        axes.axhline(limit / errors[0], linestyle=":", color=line.get_color())


def _rank_one(W: Array) -> float:
    return float(np.sum(W**2) - np.linalg.svd(np.abs(W), compute_uv=False)[0] ** 2)


def draw_iterations(layer: Layer) -> plt.Figure:
    """Objective of the three loops against the round, on one block without groups."""
    W, S = layer.W[:, COLUMNS], layer.H[COLUMNS, COLUMNS] / 2
    figure, (plain, calibrated, scaled) = plt.subplots(1, 3, figsize=(9, 3), sharey=True)
    for order in (1, 2):
        best = ref.weight_error(W, ref.two_means(W).decode()) if order == 1 else None
        _line(plain, _errors(W, ref.arb_steps(W, order=order)), order, best)
        steps = ref.arb_x_steps(W, None, S, order=order)
        exact = ref.arb_x_steps(W, None, S, order=order, config=EXACT)
        _line(calibrated, _errors(W, steps, S), order, float(_errors(W, exact, S)[-1]))
        limit = _rank_one(W) if order == 1 else None
        _line(scaled, _errors(W, ref.arb_rc_steps(W, order=order)), order, limit)
    for axes, title in ((plain, "ARB"), (calibrated, "ARB-X, calibrated"), (scaled, "ARB-RC")):
        axes.set(title=title, xlabel="round")
    plain.set_ylabel("objective / its start")
    plain.legend()
    return figure


def draw_columns(layer: Layer) -> plt.Figure:
    """Mean absolute error of each column of one block, with row scales and with both."""
    W = layer.W[:, COLUMNS]
    order = np.argsort(-np.linalg.norm(W, axis=0))
    groups = {
        "plain binarization, row scales": ref.residual_binarize(W, center=False),
        "ARB, row scales and means": ref.arb(W),
        "ARB-RC, row and column scales": ref.arb_rc(W),
    }
    figure, axes = plt.subplots(figsize=(7, 3))
    axes.plot(np.mean(np.abs(W), axis=0)[order], color="lightgray", label="weights themselves")
    for label, group in groups.items():
        axes.plot(np.mean(np.abs(W - group.decode()), axis=0)[order], label=label)
    axes.set(xlabel="column, by falling norm", ylabel="mean |W − Ŵ|", ylim=(0, None))
    axes.set_title(f"columns {COLUMNS.start} to {COLUMNS.stop - 1} of {layer.name}")
    axes.legend()
    return figure


def draw_bits(curves: dict[str, list[tuple[float, float]]]) -> plt.Figure:
    """Error against payload bits."""
    figure, axes = plt.subplots(figsize=(7, 4))
    for name, points in curves.items():
        bits, errors = zip(*sorted(points), strict=True)
        axes.plot(bits, errors, "o-", label=name)
    axes.set(xlabel="payload bits per weight", ylabel="mean relative calibrated error")
    axes.set(yscale="log", title="block size 64 to 256")
    axes.legend()
    return figure


def draw_prefix(points: list[dict[str, Any]]) -> plt.Figure:
    """Perplexity with the first decoder blocks quantized: against their number, and the bits."""
    figure, (blocks, bits) = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
    most = min(max(p["stop"] for p in points if p["label"] == q["label"]) for q in points)
    for label in dict.fromkeys(point["label"] for point in points):
        own = sorted((p["stop"], p["perplexity"]) for p in points if p["label"] == label)
        (line,) = blocks.plot(*zip(*own, strict=True), "o-", label=label)
        (last,) = (p for p in points if (p["label"], p["stop"]) == (label, most))
        bits.plot(last["payload"], last["perplexity"], "o", color=line.get_color(), label=label)
    blocks.set(xlabel="quantized decoder blocks", ylabel="perplexity", yscale="log", xscale="log")
    bits.set(xlabel="payload bits per weight", title=f"{most} blocks")
    bits.legend()
    return figure
