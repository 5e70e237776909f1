"""PBS2P once more, naively
========================

A second reading of the method, in plain float64 NumPy and without any of a port's
functions: entries are ranked one by one, inverses are inverses, residuals are formed. A
port's layer routine is compared with it, for any setting of the switches of
:class:`subbit.reference.PBS2P`. It shares with :mod:`subbit.conformance.oracles.naive_arb` how
groups are found, started and fitted for given masks and targets.

References
----------
PBS2P, arXiv 2502.01705, as far as it is known, and this project's reading of it.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from subbit.conformance.oracles.naive import Array, Mask, begin, over_blocks
from subbit.conformance.oracles.naive_arb import (
    Block,
    Group,
    arb,
    calibrate,
    choose,
    signs_of,
    start,
)
from subbit.reference import PBS2P

LINEAR = ("magnitude", "wanda")


class _Whole(Block):
    """Groups of a block; a search on outputs takes the salient entries as they are."""

    config: Any

    def _fixed(self, chosen: Mask) -> Array | None:
        if self.config.zones.split_error == "weights":
            return None
        return np.where(chosen, self.target, 0.0)


def _units(H: Array, undamped: Array, score: str) -> Array:
    inverse = np.linalg.inv(H)
    if score == "trailing":
        return 1 / np.diag(np.linalg.cholesky(inverse).T) ** 2
    if score == "wanda":
        return np.sqrt(np.diag(undamped) / 2)
    if score == "magnitude":
        return np.ones(len(H))
    return 1 / np.diag(inverse) ** (2 if score == "squared" else 1)


def _scores(W: Array, units: Array, alive: Mask, config: PBS2P) -> Array:
    if config.fine.center_scores and alive.any():
        W = W - W[:, alive].mean(axis=1, keepdims=True)
    return np.where(
        alive, units * np.abs(W) ** (1 if config.fine.fine_score in LINEAR else 2), -1.0
    )


def _goes(scores: Array, config: PBS2P) -> tuple[list[list[tuple[int, int]]], int]:
    """Return the entries that each step prunes, and the number of steps."""
    keep, group = config.pruning.keep
    ranked: list[list[tuple[int, int]]] = [[] for _ in range(group - keep)]
    for i in range(scores.shape[0]):
        for at in range(0, scores.shape[1] - scores.shape[1] % group, group):
            columns = sorted(range(at, at + group), key=lambda j: (scores[i, j], -j))
            for t in range(group - keep):
                ranked[t].append((i, columns[t]))
    everything = [place for step in ranked for place in step]
    if config.pruning.schedule == "one":
        return [everything], 1
    if config.pruning.schedule == "element":
        return ranked, group - keep
    ordered = sorted(everything, key=lambda p: (scores[p], -p[0], -p[1]))
    ends = [len(ordered) * t // config.pruning.parts for t in range(config.pruning.parts + 1)]
    return [ordered[a:b] for a, b in pairwise(ends)], config.pruning.parts


def _moved(W: Array, H: Array, gone: Mask) -> Array:
    """Move weights to make up for the removed ones, row by row."""
    moved = np.where(gone, 0.0, W)
    for i, removed in enumerate(gone):
        k, p = np.flatnonzero(~removed), np.flatnonzero(removed)
        if k.size and p.size:
            moved[i, k] += np.linalg.solve(H[np.ix_(k, k)], H[np.ix_(k, p)] @ W[i, p])
    return moved


def masks(W: Array, H: Array, units: Array, alive: Mask, config: PBS2P) -> list[Mask]:
    """Return the entries kept after each step.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    H : ndarray of float64, shape (k, k)
        Damped Hessian.
    units : ndarray of float64, shape (k,)
        Scores of weights of magnitude 1.
    alive : ndarray of bool, shape (k,)
        Columns to quantize.
    config : PBS2P
        The switches.

    Returns
    -------
    list of ndarray of bool, shape (n, k)
        Nested masks.
    """
    kept, found = np.ones(W.shape, dtype=bool), []
    steps, count = _goes(_scores(W, units, alive, config), config)
    for t in range(count):
        if config.fine.scores == "recomputed":
            scores = _scores(_moved(W, H, ~kept), units, alive, config)
            steps, _ = _goes(np.where(kept, scores, -2.0), config)
        kept = kept.copy()
        for step in steps[: t + 1]:
            for place in step:
                kept[place] = False
        found.append(kept)
    return found


def _fit(group: Group, target: Array, kept: Mask, S: Array, config: PBS2P) -> None:
    calibrate(
        group,
        target if config.pruning.objective == "full" else target * kept,
        S,
        config.pruning.refinement,
    )
    if config.pruning.signs == "resigned":
        Z, mask = target - group.mean[:, None], group.m
        group.m = kept.astype(np.float64)
        if len(group.B) == 2:
            choose(Z, group)
        else:
            group.B = [signs_of(Z, group.m, config.pruning.refinement.sign_zero)]
        group.m = mask


def prune(W: Array, zone: tuple[Mask, int], nested: list[Mask], S: Array, config: PBS2P) -> Group:
    """Prune a group step by step.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    zone : tuple
        The group's entries, and its number of sign planes.
    nested : list of ndarray of bool, shape (n, k)
        Entries kept after each step.
    S : ndarray of float64, shape (k, k)
        Gram matrix of the inputs.
    config : PBS2P
        The switches.

    Returns
    -------
    Group
        The group; with a shared mean its mask stays.
    """
    cell, order = zone
    target = np.where(cell, W, 0.0)
    begin = arb if config.pruning.refinement.calibrated_start == "refined" else start
    group = begin(target, cell.astype(np.float64), order, config.pruning.refinement)
    _fit(group, target, cell, S, config)
    for mask in nested:
        kept = cell & mask
        group.B = [B * kept for B in group.B]
        if config.pruning.mean == "masked":
            group.m = kept.astype(np.float64)
        _fit(group, target, kept, S, config)
    return group


def _quantized(block: _Whole, nested: list[Mask]) -> Array:
    W, S, config = block.W, block.S, block.config
    zones = [(np.broadcast_to(block.alive, W.shape), 1)]
    if config.partitioned:
        zones = block.zones(block.salient())
    groups = [prune(W, zone, nested, S, config) for zone in zones]
    target = W * block.alive
    if config.pruning.objective == "masked" and nested:
        target = target * nested[-1]
    for _ in range(config.sweeps):
        for group in groups:
            others = sum(other.image() for other in groups if other is not group)
            calibrate(group, target - others, S, config.pruning.refinement)
    return np.asarray(sum(group.image() for group in groups))


def pbs2p_layer(W: Array, H: Array, config: PBS2P) -> Array:
    """Run PBS2P's layer routine.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian, not damped.
    config : PBS2P
        The switches.

    Returns
    -------
    ndarray of float64, shape (n, m)
        The quantized weights.
    """
    plain = H
    W, H, alive = begin(W, H, config.loop)
    whole = _units(H, plain, config.fine.fine_score)

    def image(w: Array, saliency: Array, B: slice) -> Array:
        own = _units(H[B, B], plain[B, B], config.fine.fine_score)
        units = own if config.fine.fine_hessian == "block" else whole[B]
        nested = masks(w, H[B, B], units, alive[B], config)
        block = _Whole(w, saliency, alive[B], plain[B, B] / 2, config)  # type: ignore[arg-type]
        return _quantized(block, nested)

    return over_blocks(W, H, config.loop, image)
