"""Importance scores and sparsity masks
====================================

:mod:`subbit.reference.pruning.sparsity` on a device. Scores take one launch each, after
one for the column sums; standardizing over a whole matrix uses sums of the array
library. The kernels are ``saliency.cu``, ``importance.cu``, ``nm_mask.cu`` and
``nm_mask_any.cu``.
"""

import numpy as np

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import masks as pruning
from subbit.fast.launches import rows
from subbit.fast.launches.arrays import DeviceArray
from subbit.fast.mirror import mirrors
from subbit.reference.errors import ArgumentError
from subbit.reference.pruning.sparsity import Axis, Standardize, Tail


def _held(device: Device, scores: DeviceArray) -> DeviceArray:
    if not bool(device.xp.isfinite(scores).all()):
        raise ArgumentError("W", "weights whose scores float32 can hold", "larger ones")
    return scores


@mirrors(reference.input_norms)
def input_norms(device: Device, H: DeviceArray) -> DeviceArray:
    """Compute the length of each input over the calibration set, from the proxy Hessian."""
    xp = device.xp
    diagonal = xp.diagonal(H)
    least = float(diagonal.min())
    if least < 0.0:
        raise ArgumentError("H", "a diagonal that is not negative", f"{least:g}")
    return xp.sqrt(diagonal / xp.float32(2))


@mirrors(reference.magnitude_importance)
def magnitude_importance(device: Device, W: DeviceArray) -> DeviceArray:
    """Score weights by their magnitude."""
    return device.xp.abs(W)


@mirrors(reference.wanda_importance)
def wanda_importance(device: Device, W: DeviceArray, norms: DeviceArray) -> DeviceArray:
    """Score weights by magnitude times the length of their input."""
    return _held(device, pruning.scaled_magnitude(device, W, norms))


@mirrors(reference.ria_importance)
def ria_importance(
    device: Device, W: DeviceArray, norms: DeviceArray, *, exponent: float = 0.5
) -> DeviceArray:
    """Score weights by their share of column and row, times a power of the input's length."""
    return standardized_importance(device, W, norms, exponent=exponent, standardize="none")


def _standardized(device: Device, x: DeviceArray) -> DeviceArray:
    xp = device.xp
    # Measured from one of them, equal values deviate by exactly zero.
    moved = x - x[0, 0]
    centered = moved - moved.mean()
    deviation = xp.sqrt((centered * centered).mean())
    return xp.where(deviation > 0, centered / xp.where(deviation > 0, deviation, 1), 0)


@mirrors(reference.standardized_importance)
def standardized_importance(
    device: Device,
    W: DeviceArray,
    norms: DeviceArray,
    *,
    exponent: float = 1.0,
    standardize: Standardize = "before",
    axis: Axis = "row",
) -> DeviceArray:
    """Score weights by their standardized share, times the input's length."""
    xp = device.xp
    factor = norms ** xp.float32(exponent)
    columns = rows.column_sums(device, W)
    # A sum of magnitudes that overflows would leave shares of zero.
    if float(xp.abs(W).max()) > np.finfo(np.float32).max / max(W.shape):
        raise ArgumentError("W", "weights whose sums float32 can hold", "larger ones")
    if axis == "row":
        scores = pruning.importance(device, W, columns, factor, standardize)
    elif standardize == "before":
        ones = xp.ones_like(factor)
        shares = pruning.importance(device, W, columns, ones, "none")
        scores = _standardized(device, shares) * factor
    else:
        scores = pruning.importance(device, W, columns, factor, "none")
        scores = _standardized(device, scores) if standardize == "after" else scores
    return _held(device, scores)


@mirrors(reference.nm_mask)
def nm_mask(
    device: Device, scores: DeviceArray, keep: int, group: int, *, tail: Tail = "error"
) -> DeviceArray:
    """Keep the N largest of every M consecutive scores of a row."""
    pattern = pruning.check_pattern(scores.shape[1], keep, group, tail)
    return pruning.nm_mask(device, scores, *pattern)


@mirrors(reference.row_mask)
def row_mask(device: Device, scores: DeviceArray, sparsity: float) -> DeviceArray:
    """Prune a share of the smallest scores of each row."""
    xp = device.xp
    n, width = scores.shape
    pruned = int(width * sparsity)
    order = xp.argsort(-scores, axis=1, kind="stable")
    kept = xp.zeros(scores.shape, dtype=bool)
    kept[xp.arange(n)[:, None], order[:, : width - pruned]] = True
    return kept


@mirrors(reference.threshold_mask)
def threshold_mask(device: Device, scores: DeviceArray, sparsity: float) -> DeviceArray:
    """Prune all scores up to a quantile of them."""
    place = int(scores.size * sparsity)
    return scores > device.xp.sort(scores.ravel())[place]
