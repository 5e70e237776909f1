"""Schedules of stepwise pruning
=============================

Which entries each step keeps, as bit words, as :func:`subbit.reference.spbo_schedule`
chooses them. The number of each kind is known beforehand, so nothing waits.
"""

import numpy as np

from subbit.fast.device import Device
from subbit.reference.pruning.spbo import SPBO

from . import masks as pruning
from .arrays import DeviceArray


def scheduled(device: Device, scores: DeviceArray, config: SPBO) -> DeviceArray:
    """Return the entries that each step keeps.

    Parameters
    ----------
    device : Device
        Device to compute on.
    scores : array of float32, shape (n, k)
        Importance of the entries.
    config : SPBO
        The switches `keep`, `schedule`, `parts` and `tail`.

    Returns
    -------
    array of uint32, shape (t, n, ceil(k / 32))
        One bit per entry, as :func:`~subbit.fast.launches.masks.words_of` returns them.

    Raises
    ------
    ArgumentError
        If M does not divide the width and `tail` is "error".
    """
    keep, group = pruning.check_pattern(scores.shape[1], *config.keep, config.tail)
    if config.schedule == "element":
        return pruning.step_masks(device, scores, group - 1, keep, group)
    if config.schedule == "one":
        return pruning.step_masks(device, scores, keep, keep, group)
    last = pruning.nm_mask(device, scores, keep, group)
    gone = len(scores) * (scores.shape[1] // group) * (group - keep)
    return pruning.words_of(device, _in_parts(device, scores, last, gone, config.parts))


def _in_parts(
    device: Device, scores: DeviceArray, last: DeviceArray, gone: int, parts: int
) -> DeviceArray:
    # From the last entry to the first, so among equal scores the later ones go first.
    xp = device.xp
    backward = xp.where(last, xp.float32(np.inf), scores).ravel()[::-1]
    ordered = scores.size - 1 - xp.argsort(backward, kind="stable")[:gone]
    # Eq. (54), subbit:  of p entries in ascending order, step t takes ⌊(t − 1) p / τ⌋ … ⌊t p / τ⌋
    counts = xp.arange(1, parts + 1) * gone // parts
    step = xp.full(scores.size, parts + 1)
    step[ordered] = 1 + xp.searchsorted(counts, xp.arange(gone), side="right")
    return step.reshape(scores.shape) > xp.arange(1, parts + 1)[:, None, None]


def with_start(device: Device, words: DeviceArray) -> DeviceArray:
    """Return the words of all fits: those of the whole group, then those of the steps.

    Parameters
    ----------
    device : Device
        Device that holds them.
    words : array of uint32, shape (t, n, ceil(k / 32))
        Entries that the steps keep.

    Returns
    -------
    array of uint32, shape (t + 1, n, ceil(k / 32))
        The first keeps everything.
    """
    xp = device.xp
    everything = xp.full((1, *words.shape[1:]), np.iinfo(np.uint32).max, dtype=xp.uint32)
    return xp.concatenate([everything, words])
