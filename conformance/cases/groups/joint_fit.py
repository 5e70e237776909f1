"""Groups that are fitted to each other
=====================================

Levels that are solved for in sweeps are judged by their decoded values: levels that outnumber
the entries are not determined, but what they decode to is. How far a correct port may deviate
follows from moving weights and inputs by rounding, where a port is not within a few roundings
anyway, and is never more than the condition of the inputs explains.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from subbit import reference
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.inputs.families import Array, Mask
from subbit.conformance.inputs.moved import TRIES, live_condition, moved
from subbit.reference import ARBLLM, PBS2P, BinaryGroup, Plane
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.groups.refinement import Refinement

Fitted: TypeAlias = ARBLLM | PBS2P
Begin: TypeAlias = Callable[[Array, Array], Sequence[BinaryGroup]]
"""``begin(W, S)`` are the groups before the first sweep, with the port's signs."""

MOST = 2.0**10
"""Roundings of the largest weight, times the condition of the inputs, that a joint fit may
differ by at most; chosen, not derived."""
NEAR = 2.0**6
"""Roundings of the largest weight that a decoded value may be off by, whatever moves change."""
SPREAD = 32.0
"""How many times what moves change in its row a correct port's value may deviate by."""


def first_fit(W: Array, S: Array, group: BinaryGroup, cell: Mask, config: Fitted) -> BinaryGroup:
    """Fit the levels of one group at once, from the signs of a port's record.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Values that the groups have to match together.
    S : ndarray of float64, shape (k, k)
        Gram matrix of the inputs.
    group : BinaryGroup
        The port's group.
    cell : ndarray of bool, shape (n, k)
        Entries that it has to match.
    config : ARBLLM or PBS2P
        The switches.

    Returns
    -------
    BinaryGroup
        The group with the best levels for its signs, whatever its own are.
    """
    planes = [Plane(host(plane.sign), np.zeros(len(cell))) for plane in group.planes]
    blank = replace(group, planes=tuple(planes), mean=np.zeros(len(cell)))
    own = np.where(cell, W, 0.0)
    return reference.calibrate_levels(own, blank, S, config=config.part(Refinement))


def judge_joint_fit(
    judge: Judge,
    W: Rounded,
    S: Rounded,
    config: Fitted,
    groups: Sequence[BinaryGroup],
    *,
    begin: Begin,
) -> None:
    """Judge groups after all sweeps.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    W : Rounded
        Values that the groups have to match together, shape (n, k).
    S : Rounded
        Gram matrix of the inputs, shape (k, k).
    config : ARBLLM or PBS2P
        The switches.
    groups : sequence of BinaryGroup
        The port's groups.
    begin : callable
        The same groups before the first sweep, with the port's signs.
    """
    _judge_decoded(
        judge, W, S, groups, lambda own, gram: swept_image(own, gram, config, begin(own, gram))
    )


def judge_last_fit(
    judge: Judge, W: Rounded, S: Rounded, config: Fitted, groups: Sequence[BinaryGroup]
) -> None:
    """Judge the group that is fitted last, from the port's record of all others.

    Parameters
    ----------
    judge, W, S, config, groups
        As for :func:`judge_joint_fit`.
    """
    last = len(groups) - 1

    def image(own: Array, gram: Array) -> Array:
        return _fitted_to_rest(own, gram, groups, last, config).decode()[None]

    _judge_decoded(judge, W, S, groups[last:], image)


def _judge_decoded(
    judge: Judge,
    W: Rounded,
    S: Rounded,
    groups: Sequence[BinaryGroup],
    image: Callable[[Array, Array], Array],
) -> None:
    wanted = image(W.value, S.value)
    found = np.stack([group.decode() for group in groups])
    largest = np.max(np.abs(W.value), initial=0.0)
    allowed = np.full(wanted.shape, NEAR * W.arithmetic.unit_roundoff * largest)
    if np.any(~(np.abs(found - wanted) <= allowed)):
        for seed in range(TRIES):
            # A solve rounds the levels of a row together, also where an exact fit leaves one
            # of its values unmoved.
            change = np.abs(image(*moved_fit(W, S, seed)) - wanted).max(axis=-1, keepdims=True)
            allowed = np.maximum(allowed, SPREAD * change)
        allowed = np.minimum(allowed, allowed_of_fit(W, S))
    for group, own, value, error in zip(groups, found, wanted, allowed, strict=True):
        expected = Rounded(value, error, judge.arithmetic)
        judge.bound(f"decoded values of {group.name}", own, expected)


def moved_fit(W: Rounded, S: Rounded, seed: int) -> tuple[Array, Array]:
    """Move weights by what they are known to, and by rounding, and inputs by rounding.

    Parameters
    ----------
    W : Rounded
        Weights, shape (n, k).
    S : Rounded
        Gram matrix of the inputs, shape (k, k).
    seed : int
        Seed of the move.

    Returns
    -------
    W : ndarray of float64, shape (n, k)
        The weights.
    S : ndarray of float64, shape (k, k)
        The Gram matrix.
    """
    own, gram = moved(W.value, S.value, seed, arithmetic=W.arithmetic)
    rng = np.random.default_rng(seed)
    return own + 2.0 * W.error * rng.uniform(-1.0, 1.0, own.shape), gram


def swept_image(W: Array, S: Array, config: Fitted, first: Sequence[BinaryGroup]) -> Array:
    """Return the decoded groups after all sweeps.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Values that the groups have to match together.
    S : ndarray of float64, shape (k, k)
        Gram matrix of the inputs.
    config : ARBLLM or PBS2P
        The switches.
    first : sequence of BinaryGroup
        The groups before the first sweep.

    Returns
    -------
    ndarray of float64, shape (groups, n, k)
        One image per group.
    """
    fitted = list(first)
    for _ in range(config.sweeps):
        for place in range(len(fitted)):
            fitted[place] = _fitted_to_rest(W, S, fitted, place, config)
    return np.stack([group.decode() for group in fitted])


def _fitted_to_rest(
    W: Array, S: Array, groups: Sequence[BinaryGroup], place: int, config: Fitted
) -> BinaryGroup:
    image = [np.asarray(g.decode()) for at, g in enumerate(groups) if at != place]
    others = np.sum(image, axis=0) if image else 0.0
    return reference.calibrate_levels(W - others, groups[place], S, config=config.part(Refinement))


def allowed_of_fit(W: Rounded, S: Rounded) -> float:
    """Return how far a decoded weight of a joint fit may deviate at most.

    Parameters
    ----------
    W : Rounded
        Values that the groups have to match together, shape (n, k).
    S : Rounded
        Gram matrix of the inputs, shape (k, k).

    Returns
    -------
    float
        :data:`MOST` roundings of the largest weight and its error, times the condition of the
        live inputs.
    """
    roundings = MOST * W.arithmetic.unit_roundoff * np.max(np.abs(W.value), initial=0.0)
    return float(live_condition(S.value) * (roundings + np.max(W.error, initial=0.0)))
