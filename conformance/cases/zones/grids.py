"""Level 2: scores of columns and grids
====================================

Scores to rank by, and grids for cuts and codes.
"""

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import operation
from subbit.conformance.target import Port
from subbit.reference.bounds.baselines.rtn import minmax_grid_bound
from subbit.reference.bounds.zones.grids import (
    maximum_grid_bound,
    quantile_grid_bound,
)
from subbit.reference.bounds.zones.salient import column_saliency_bound


@operation(2)
def _column_saliency(port: Port, judge: Judge, draw: Draw) -> None:
    """Sums of magnitudes down the columns."""
    S = draw.weights(rows=(1, 80), columns=(1, 20))
    judge.bound(
        "scores",
        port.column_saliency(S),
        column_saliency_bound(S, arithmetic=judge.arithmetic),
    )


@operation(2)
def _maximum_grid(port: Port, judge: Judge, draw: Draw) -> None:
    """Shares of the maximum."""
    key, levels = np.abs(draw.weights()), draw.pick("levels", (9, 1, 5, 20))
    judge.bound(
        "thresholds",
        port.maximum_grid(key, levels),
        maximum_grid_bound(key, levels, arithmetic=judge.arithmetic),
    )


@operation(2)
def _quantile_grid(port: Port, judge: Judge, draw: Draw) -> None:
    """Linear quantiles."""
    key, levels = np.abs(draw.weights()), draw.pick("levels", (1, 5, 81))
    judge.bound(
        "thresholds",
        port.quantile_grid(key, levels),
        quantile_grid_bound(key, levels, arithmetic=judge.arithmetic),
    )


@operation(2)
def _minmax_grid(port: Port, judge: Judge, draw: Draw) -> None:
    """Scale and zero point of each row."""
    W, bits = draw.weights(), draw.pick("bits", (1, 2, 3, 4, 8))
    scale, zero = (host(x) for x in port.minmax_grid(W, bits))
    bound, margin = minmax_grid_bound(W, bits, arithmetic=judge.arithmetic)
    judge.bound("scales", scale, bound)
    judge.exact("zero points, rounded", zero, np.round(zero))
    judge.decision("zero points", zero, reference.minmax_grid(W, bits)[1], margin)
