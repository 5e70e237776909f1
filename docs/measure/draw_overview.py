"""The two figures that README.md and the first page begin with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from subbit import reference as ref
from subbit.reference.layer import QuantizedBlock
from subbit.reference.notation import Array

BLOCK_SIZE, LAYER, SIZE = 16, "10.v", (10.0, 4.05)
WHITE, BLACK = "#ffffff", "#26292e"
PARTS = {
    "signs": ("signs",),
    "groups": ("group_map", "column_map"),
    "scales": ("scales", "means"),
}
"""What a decoder needs, by the counts of `payload_bits`."""


def _colors() -> list[str]:
    return list(dict.fromkeys(plt.rcParams["axes.prop_cycle"].by_key()["color"]))


def _ink_on_color() -> str:
    return WHITE if sum(to_rgb(plt.rcParams["text.color"])) < 1.5 else BLACK


def _cells(axes: Axes, title: str, shape: tuple[int, int]) -> None:
    n, k = shape
    axes.set(xlim=(0, k), ylim=(n, 0), aspect="equal")
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=10)


def _cell(axes: Axes, place: tuple[int, int], color: Any) -> None:  # noqa: ANN401
    i, j = place
    edge = plt.rcParams["axes.edgecolor"]
    axes.add_patch(Rectangle((j, i), 1, 1, facecolor=color, edgecolor=edge, linewidth=0.4))


def _weights(axes: Axes, W: Array) -> None:
    _cells(axes, "1  Weights of a block", W.shape)
    plus, minus, *_ = _colors()
    most = np.abs(W).max()
    for place, x in np.ndenumerate(W):
        tint = (*to_rgb(plus if x > 0 else minus), 0.75 * abs(x) / most)
        _cell(axes, place, tint)
        text = f"{x:.2f}".replace("-", "\N{MINUS SIGN}")
        kind = {"ha": "center", "va": "center", "fontsize": 6.5}
        axes.text(place[1] + 0.5, place[0] + 0.5, text, **kind)


def _groups(axes: Axes, block: QuantizedBlock) -> None:
    _cells(axes, "2  Groups", block.groups[0].mask.shape)
    place = 3.2
    for group, color in zip(block.groups, _colors(), strict=False):
        axes.text(place, -0.28, group.name, color=color, fontsize=10)
        place += 0.8 + 0.3 * len(group.name)
        for i, j in np.argwhere(group.mask):
            _cell(axes, (i, j), (*to_rgb(color), 0.55))


def _signs(axes: Axes, block: QuantizedBlock) -> None:
    shape = block.groups[0].mask.shape
    _cells(axes, "3  Signs: one each, two in salient columns", shape)
    for group in block.groups:
        first = group.planes[0].sign
        for i, j in np.argwhere(group.mask):
            color = WHITE if first[i, j] > 0 else BLACK
            _cell(axes, (i, j), color)
            if len(group.planes) == 2:
                second = WHITE if group.planes[1].sign[i, j] > 0 else BLACK
                axes.add_patch(
                    Rectangle(
                        (j + 0.3, i + 0.3), 0.4, 0.4, facecolor=second, edgecolor=_colors()[2]
                    )
                )


def _scales(axes: Axes, block: QuantizedBlock) -> None:
    axes.set_title("4  Scales: one for each row and group", loc="left", fontsize=10)
    planes = [
        (group.name, plane.row_scale, color)
        for group, color in zip(block.groups, _colors(), strict=False)
        for plane in group.planes
    ]
    width = 0.8 / len(planes)
    for place, (_, scales, color) in enumerate(planes):
        rows = np.arange(len(scales)) - 0.4 + (place + 0.5) * width
        axes.barh(rows, scales, 0.85 * width, color=color)
    axes.set(ylim=(len(planes[0][1]) - 0.5, -0.5), ylabel="row")
    axes.yaxis.labelpad = 6
    axes.set_yticks(range(len(planes[0][1])))
    axes.tick_params(labelsize=7)


def _bits(axes: Axes, made: Mapping[str, Any]) -> None:
    payload = made["payload"]
    total = sum(payload.values())
    axes.set_title(
        f"5  Bits per weight of a whole layer, {LAYER} of SmolLM2-135M: the signs are "
        f"{made['nominal']:.2f}, a decoder needs {total:.2f}",
        loc="left",
        fontsize=10,
    )
    left, ink = 0.0, _ink_on_color()
    for (name, keys), color in zip(PARTS.items(), _colors()[3:], strict=False):
        share = sum(payload.get(key, 0.0) for key in keys)
        axes.barh(0, share, left=left, color=color, alpha=0.8)
        kind = {"ha": "center", "va": "center", "fontsize": 8.5, "color": ink}
        axes.text(left + share / 2, 0, f"{name} {share:.2f}", **kind)
        left += share
    axes.set(xlim=(0, left), ylim=(-0.5, 0.5))
    axes.set_axis_off()


def draw_groups(cut: Mapping[str, Any], layers: Mapping[str, Any]) -> plt.Figure:
    """Show what BiLLM makes of a block, and what a real layer costs."""
    W = np.array(cut["W"])
    half = np.zeros((W.shape[1],) * 2)
    half[np.triu_indices(len(half))] = cut["H"]
    config = ref.METHODS["billm"].presets["paper"].changed(block_size=BLOCK_SIZE)
    block = ref.billm_layer(W, half + np.triu(half, 1).T, config).blocks[0]
    figure = plt.figure(figsize=SIZE, layout="none")

    def panel(left: float, bottom: float, width: float, height: float) -> Axes:
        across, up = SIZE
        return figure.add_axes((left / across, bottom / up, width / across, height / up))

    # Cells are squares: 16 of them across and 4 down.
    _weights(panel(0.05, 2.6, 4.7, 1.175), W[:, block.columns])
    _groups(panel(5.25, 2.6, 4.7, 1.175), block)
    _signs(panel(0.05, 1.05, 4.7, 1.175), block)
    _scales(panel(5.55, 1.15, 4.35, 1.075), block)
    _bits(panel(0.05, 0.1, 9.85, 0.42), layers["methods"]["billm"][LAYER])
    return figure


FAMILIES = ("rtn", "gptq", "billm", "arb", "stbllm", "pbs2p", "typed")
BESIDE = {
    "arb-rc:paper": (-1, 0),
    "arb-x:paper": (1, 4),
    "billm:released": (-1, 0),
    "pbs2p:best@5:8": (-1, -4),
    "pbs2p:best@6:8": (1, -4),
}
"""Where the name of a point stands that has another near: left or right, and how much higher."""
TOP = 160.0


def draw_perplexity(rows: Sequence[Mapping[str, str]]) -> plt.Figure:
    """Perplexity against payload bits, from a table of a demonstration."""
    figure, axes = plt.subplots(figsize=(8.5, 4.6))
    column = [head for head in rows[0] if head.startswith("ppl k=")][-1]
    colors = dict(zip(FAMILIES, [plt.rcParams["text.color"]] * 2 + _colors(), strict=False))
    beyond = []
    for row in rows:
        name, value = row["method"], float(row[column].replace(",", ""))
        if name == "full precision":
            axes.axhline(value, color="gray", linestyle=":")
            axes.text(4.7, value * 1.02, f"full precision, {value}", ha="right", fontsize=8)
            continue
        bits = float(row["payload"])
        if value > TOP:
            beyond.append(f"{name} at {bits} bits has {row[column]}")
            continue
        color = next(color for family, color in colors.items() if name.startswith(family))
        axes.plot(bits, value, marker="o", linestyle="", color=color, markersize=6)
        side, higher = BESIDE.get(name, (1, 0))
        spot = {"xytext": (7 * side, higher), "textcoords": "offset points", "va": "center"}
        axes.annotate(
            name, (bits, value), ha="right" if side < 0 else "left", fontsize=8, color=color, **spot
        )
    blocks = column.removeprefix("ppl k=")
    axes.set(yscale="log", ylim=(10.5, TOP), xlim=(1.2, 4.7))
    axes.set(xlabel="payload bits per quantized weight: all that a decoder needs")
    axes.set_ylabel(f"perplexity, first {blocks} decoder blocks quantized")
    ticks = (12, 15, 20, 30, 50, 100)
    axes.set_yticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.text(1.23, TOP * 0.93, "above: " + "; ".join(beyond), fontsize=8, va="top")
    return figure
