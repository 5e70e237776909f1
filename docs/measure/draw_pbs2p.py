"""The figures of docs/pbs2p.md that no other chapter has; ``pbs2p.py`` saves them."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from measuring import Layer

from subbit import reference as ref
from subbit.reference.notation import Array
from subbit.reference.pbs2p import PBS2P, pruning_masks

COLUMNS = slice(128, 256)
ALL = ref.METHODS["pbs2p"].presets["exact"].changed(keep=(1, 8), partitioned=False)
WAYS = {
    "frozen signs": ALL,
    "new signs": ALL.changed(signs="resigned"),
    "recomputed scores": ALL.changed(scores="recomputed"),
    "both": ALL.changed(signs="resigned", scores="recomputed"),
}


def _errors(W: Array, H: Array, config: PBS2P) -> list[float]:
    """Return the error at the end of each step, and before the first."""
    alive = np.ones(W.shape[1], dtype=np.bool_)
    masks, S = pruning_masks(W, H, alive, config), H / 2.0
    stops = (masks[:t] for t in range(len(masks) + 1))
    made = (ref.spbo(W, None, stop, S, config=config).decode() for stop in stops)
    return [ref.relative_error(W, Q, S) for Q in made]


def _one_shot(W: Array, H: Array, config: PBS2P) -> list[float]:
    """Return what one step down to the same density gives."""
    made = (config.changed(keep=(keep, 8), schedule="one") for keep in range(7, 0, -1))
    return [_errors(W, H, single)[-1] for single in made]


def _panel(axes: Axes, layer: Layer) -> None:
    W, H = layer.W[:, COLUMNS], ref.damp(layer.H[COLUMNS, COLUMNS])
    for name, config in WAYS.items():
        (line,) = axes.plot(_errors(W, H, config), ".-", label=name)
        shot = _one_shot(W, H, config)
        axes.plot(range(1, 8), shot, "x", color=line.get_color(), markersize=5)
    axes.set(xlabel="step", title=layer.name)


def draw_steps(layers: list[Layer]) -> plt.Figure:
    """Error of one group against the step, for what may change between the steps."""
    figure, every = plt.subplots(1, len(layers), figsize=(3.2 * len(layers), 3.4), squeeze=False)
    for axes, layer in zip(every[0], layers, strict=True):
        _panel(axes, layer)
    every[0, 0].set_ylabel("relative calibrated error")
    every[0, 0].legend(fontsize="small")
    return figure
