"""Coarse-to-fine search
=====================

:mod:`subbit.reference.pruning.cfs` on a device: cosines of a decoder layer's tokens, in two
stages of sums, and the scores of weights. The importance of layers is a handful of
numbers and stays on the host. The kernels are ``cosine.cu``, ``reduce.cu`` and those of
the scores.
"""

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.hessian import inverse_factor
from subbit.fast.launches import rows
from subbit.fast.launches.arrays import DeviceArray
from subbit.fast.mirror import mirrors
from subbit.fast.zones.saliency import (
    inverse_hessian_saliency,
    obs_saliency,
    trailing_saliency,
)
from subbit.reference.pruning.cfs import FineScore

from .sparsity import input_norms, magnitude_importance, wanda_importance


@mirrors(reference.block_cosine)
def block_cosine(device: Device, x: DeviceArray, y: DeviceArray) -> float:
    """Measure how little a decoder layer turns its input."""
    mean = float(rows.cosine_sum(device, x, y)) / len(x)
    # Rounding may carry a mean of ones beyond 1, where no angle exists.
    return min(max(mean, -1.0), 1.0)


@mirrors(reference.fine_scores)
def fine_scores(
    device: Device, W: DeviceArray, H: DeviceArray, *, score: FineScore = "obs"
) -> DeviceArray:
    """Score the weights for the choice within every M columns."""
    if score == "magnitude":
        return magnitude_importance(device, W)
    if score == "wanda":
        return wanda_importance(device, W, input_norms(device, H))
    if score == "squared":
        return inverse_hessian_saliency(device, W, H)
    if score == "obs":
        return obs_saliency(device, W, H)
    return trailing_saliency(device, W, inverse_factor(device, H))
