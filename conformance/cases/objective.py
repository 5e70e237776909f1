"""Level 2: binarization, objectives and grids
===========================================

Single equations on weights, with the bounds of ``bounds``, ``bounds.objective`` and
``bounds.zones.grids``.
"""

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import MODERATE, Draw
from subbit.conformance.cases.groups import binary_group, once
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import operation
from subbit.conformance.families import ACTIVATIONS, Array
from subbit.conformance.target import Port
from subbit.reference.bounds import objective as objective_bounds
from subbit.reference.bounds.baselines.rtn import minmax_grid_bound
from subbit.reference.bounds.groups.binarize import (
    masked_mean_bound,
    masked_scale_bound,
)
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.bounds.zones.grids import (
    maximum_grid_bound,
    quantile_grid_bound,
)
from subbit.reference.bounds.zones.salient import column_saliency_bound


@operation(2)
def _masked_mean(port: Port, judge: Judge, draw: Draw) -> None:
    """Row means under a mask."""
    W = draw.weights()
    mask = draw.mask((W.shape[0], W.shape[1]))
    judge.bound(
        "means",
        port.masked_mean(W, mask),
        masked_mean_bound(W, mask, arithmetic=judge.arithmetic),
    )


@operation(2)
def _masked_scale(port: Port, judge: Judge, draw: Draw) -> None:
    """Row scales under a mask, about a given mean or about zero."""
    W = draw.weights()
    mask = draw.mask((W.shape[0], W.shape[1]))
    mean = W[:, 0] if draw.pick("mean", ("given", "none")) == "given" else None
    judge.bound(
        "scales",
        port.masked_scale(W, mask, mean),
        masked_scale_bound(W, mask, mean, arithmetic=judge.arithmetic),
    )


@operation(2)
def _binarize_once(port: Port, judge: Judge, draw: Draw) -> None:
    """One order: mean, scale and signs."""
    W, mode = draw.weights(), draw.mode()
    mask = draw.mask((W.shape[0], W.shape[1]))
    mean, scale, signs = (host(x) for x in port.binarize_once(W, mask, **mode))
    once(judge, W, mask, (mean, scale, signs), mode)


@operation(2)
def _residual_binarize(port: Port, judge: Judge, draw: Draw) -> None:
    """All orders of a group, each from the port's own signs before it."""
    W, mode, order = draw.weights(), draw.mode(), draw.pick("order", (1, 2, 3))
    mask = draw.mask((W.shape[0], W.shape[1]))
    group = port.residual_binarize(W, mask, order=order, name="salient", **mode)
    judge.exact("name", group.name, "salient")
    binary_group(judge, judge.arithmetic.read(W), mask, group, order=order, mode=mode)


def _images(draw: Draw, *, rows: tuple[int, int] = (1, 6)) -> tuple[Array, Array]:
    W = draw.weights(MODERATE, rows=rows, columns=(1, 50))
    if draw.pick("Q", ("binarized", "other")) == "binarized":
        return W, reference.residual_binarize(W).decode()
    return W, draw.rng.standard_normal(W.shape)


@operation(2)
def _weight_error(port: Port, judge: Judge, draw: Draw) -> None:
    """L1."""
    W, Q = _images(draw)
    judge.bound(
        "error",
        port.weight_error(W, Q),
        objective_bounds.weight_error_bound(W, Q, arithmetic=judge.arithmetic),
    )


@operation(2)
def _calibrated_error(port: Port, judge: Judge, draw: Draw) -> None:
    """L2 from the inputs."""
    W, Q = _images(draw)
    X = draw.inputs(W.shape[1], tuple(ACTIVATIONS)).reshape(-1, W.shape[1])
    judge.bound(
        "error",
        port.calibrated_error(W, Q, X),
        objective_bounds.calibrated_error_bound(W, Q, X, arithmetic=judge.arithmetic),
    )


def _quadratic(port: Port, judge: Judge, draw: Draw, name: str) -> None:
    W, Q = _images(draw)
    S = draw.hessian(W.shape[1], tuple(ACTIVATIONS))
    if name == "relative_error" and np.sum((W @ S) * W) <= 0.0:
        W = W + 1.0
        S = S + np.eye(len(S))
    bound = getattr(objective_bounds, f"{name}_bound")(W, Q, S, arithmetic=judge.arithmetic)
    judge.bound("error", getattr(port, name)(W, Q, S), bound)


@operation(2)
def _calibrated_error_trace(port: Port, judge: Judge, draw: Draw) -> None:
    """L2 from their second moments."""
    _quadratic(port, judge, draw, "calibrated_error_trace")


@operation(2)
def _gram_cost_ratio(port: Port, judge: Judge, draw: Draw) -> None:
    """How much cheaper the Gram matrix makes the calibrated error."""
    n, k = draw.number("rows", 1, 4096), draw.number("columns", 1, 512)
    sizes = (draw.number("rounds", 1, 30), draw.number("batch", 1, 128))
    length = draw.number("length", 1, 2048)
    wanted = np.array(reference.gram_cost_ratio(n, k, *sizes, length))
    allowed = judge.arithmetic.gamma(8) * wanted
    found = port.gram_cost_ratio(n, k, *sizes, length)
    judge.bound("ratio", found, Rounded(wanted, allowed, judge.arithmetic))


@operation(2)
def _relative_error(port: Port, judge: Judge, draw: Draw) -> None:
    """L2 relative to the outputs' energy."""
    _quadratic(port, judge, draw, "relative_error")


@operation(2)
def _proxy_loss(port: Port, judge: Judge, draw: Draw) -> None:
    """Half of the quadratic form in H."""
    _quadratic(port, judge, draw, "proxy_loss")


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
