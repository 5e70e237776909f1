"""The groups of a block together
==============================

Zones become groups one by one. Groups that are fitted to the outputs share their error, so
each can then be fitted to the residual of the others.
"""

from collections.abc import Sequence

import numpy as np

from subbit.reference.layer import BinaryGroup, Zone
from subbit.reference.notation import Array, SignOfZero

from .arb_x import calibrate_levels
from .binarize import residual_binarize
from .refinement import Refinement


def binarize_zones(
    W: Array, zones: Sequence[Zone], *, center: bool, sign_zero: SignOfZero
) -> tuple[BinaryGroup, ...]:
    """Binarize every zone of a block separately.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    zones : sequence of Zone
        Disjoint groups of entries, and the order of each.
    center, sign_zero
        As in :func:`~subbit.reference.groups.binarize.residual_binarize`.

    Returns
    -------
    tuple of BinaryGroup
        One group per zone.

    Examples
    --------
    >>> W = np.array([[1.0, -1.0, 8.0]])
    >>> zones = (Zone("small", np.abs(W) < 2.0, 1), Zone("large", np.abs(W) > 2.0, 1))
    >>> sum(g.decode() for g in binarize_zones(W, zones, center=False, sign_zero=1))
    array([[ 1., -1.,  8.]])
    """
    return tuple(
        residual_binarize(
            W,
            zone.mask,
            order=zone.order,
            center=center,
            sign_zero=sign_zero,
            name=zone.name,
        )
        for zone in zones
    )


def sweep_groups(
    target: Array,
    groups: Sequence[BinaryGroup],
    gram: Array,
    *,
    sweeps: int,
    config: Refinement,
) -> tuple[BinaryGroup, ...]:
    """Fit the levels of each group to the residual of the others.

    Parameters
    ----------
    target : ndarray of float64, shape (n, k)
        Values that the groups together must match.
    groups : sequence of BinaryGroup
        The groups of a block.
    gram : ndarray of float64, shape (k, k)
        Gram matrix of the block's inputs.
    sweeps : int
        Rounds over all groups.
    config : Refinement
        How levels are fitted.

    Returns
    -------
    tuple of BinaryGroup
        The groups with new levels; the calibrated error of the block has not risen.

    Examples
    --------
    >>> from subbit.reference.groups.refinement import REFINEMENT
    >>> W, gram = np.array([[1.0, 3.0]]), np.array([[1.0, 0.5], [0.5, 1.0]])
    >>> zone = Zone("all", np.ones((1, 2), dtype=bool), 1)
    >>> groups = binarize_zones(W, (zone,), center=True, sign_zero=1)
    >>> sweep_groups(W, groups, gram, sweeps=1, config=REFINEMENT)[0].decode()
    array([[1., 3.]])
    """
    fitted = list(groups)
    for _ in range(sweeps):
        image = np.sum([group.decode() for group in fitted], axis=0)
        for i, group in enumerate(fitted):
            # Eq. (29), subbit:  fit group g to W − Σ_{h≠g} Ŵ_h
            others = image - group.decode()
            fitted[i] = calibrate_levels(target - others, group, gram, config=config)
            image = others + fitted[i].decode()
    return tuple(fitted)
