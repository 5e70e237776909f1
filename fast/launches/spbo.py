"""Kernel of stepwise pruning
==========================

All masks of a group and the fits after them in one launch of ``spbo.cu``, or in one
launch each where denominators have to be averaged over rows first. The head of that file
describes the kernel.
"""

import numpy as np

from subbit.reference.pruning.spbo import SPBO

from .arb_x import (
    DEPENDENT,
    VANISHING,
    Gram,
    absolute_eps,
    averages_denominators,
    basis_of,
    calibrated_eps,
    products_of,
)
from .arrays import DeviceArray
from .kernels import held, kernel, over_rows
from .masks import masks_of
from .state import Groups


def launch_pruning(
    made: Groups,
    W: DeviceArray,
    group: DeviceArray,
    number: int = 0,
    *,
    words: DeviceArray,
    S: Gram,
    config: SPBO,
    whole: bool = False,
) -> None:
    """Take every step of a group that has a mean, scales and signs.

    Parameters
    ----------
    made : Groups
        The groups.
    W : array of float32, shape (n, k)
        Weights.
    group : array of uint8, shape (n, k)
        Number of each entry's group before any is pruned, from 1.
    number : int, default 0
        The group, from 0.
    words : array of uint32, shape (t, n, ceil(k / 32))
        Entries kept after each step, one bit per entry.
    S : Gram
        Gram matrix of the inputs.
    config : SPBO
        The switches. Only a relative `calibrated_eps` needs a launch for each step.
    whole : bool, default False
        Whether `W` counts outside the group too.
    """
    parts, order, how = [words], made.orders[number], config.refinement
    averaged = averages_denominators(how) and how.levels == "alternate"
    if averaged:
        parts = [words[t : t + 1] for t in range(len(words))]
    for part in parts:
        if averaged:
            eps = _averaged_eps(made, group, number, words=part[0], S=S, config=config)
        else:
            eps = absolute_eps(made.device, order + 1, S, how)
        _prune(made, W, group, number, words=part, S=S, config=config, whole=whole, eps=eps)


def _averaged_eps(
    made: Groups,
    group: DeviceArray,
    number: int,
    *,
    words: DeviceArray,
    S: Gram,
    config: SPBO,
) -> DeviceArray:
    # By the denominators of the entries that this step keeps.
    kept = masks_of(made.device, words, group.shape[1])
    basis = basis_of(made, group, number)
    first = 0 if config.mean == "masked" else 1
    basis[first:] *= kept
    return calibrated_eps(made.device, basis, products_of(basis, S.values), S, config.refinement)


def _prune(
    made: Groups,
    W: DeviceArray,
    group: DeviceArray,
    number: int,
    *,
    words: DeviceArray,
    S: Gram,
    config: SPBO,
    whole: bool,
    eps: DeviceArray,
) -> None:
    n, k = W.shape
    order, planes = made.planes_of(number)
    which = kernel("spbo.cu", "prune_stepwise", HELD=held(k), ORDERS=order)
    how = config.refinement
    exact = how.levels == "exact"
    vanishing = VANISHING if exact or how.calibrated_eps == 0.0 else 0.0
    switches = (whole, config.mean == "shared", config.objective == "masked")
    resigned, rounds = config.signs == "resigned", how.calibrated_iterations
    args = (
        *(W, group, *map(np.int32, (number + 1, n, k)), S.values, S.diagonal, words),
        *map(np.int32, (len(words), *switches, resigned)),
        *(np.float32(how.sign_zero), np.int32(exact), np.int32(rounds)),
        *(np.float32(vanishing), np.float32(DEPENDENT), eps, made.mean[number]),
        *(made.scale[planes], made.signs, made.image),
    )
    over_rows(made.device, which, n, args)
