"""STBLLM once more, naively
=========================

A second reading of the algorithm, in plain float64 NumPy and without any of a port's
functions: groups of M weights are sorted one by one, every candidate's approximation is
formed, every inverse is an inverse. A port's layer routine is compared with it, for any
setting of the switches of :class:`subbit.reference.STBLLM`. It shares with
:mod:`subbit.conformance.oracles.naive` the loop over blocks and how a group
is binarized.

References
----------
STBLLM, arXiv 2408.01803, Eq. (2) and Algorithm 2, and the authors' released code;
SparseGPT, arXiv 2301.00774, Algorithm 1.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from subbit.conformance.oracles.choices import least
from subbit.conformance.oracles.naive import Array, Mask, begin, binarize, over_blocks
from subbit.reference import STBLLM

Parts: TypeAlias = list[tuple[Mask, int]]


def _standardize(x: Array, axis: str) -> Array:
    lines = x if axis == "row" else x.reshape(1, -1)
    result = np.zeros(lines.shape)
    for i, line in enumerate(lines):
        if len(set(line.tolist())) > 1:
            result[i] = (line - line.mean()) / line.std()
    return result.reshape(x.shape)


def _share(x: Array, total: Array) -> Array:
    return np.where(total > 0, x / np.where(total > 0, total, 1.0), 0.0)


def importance(W: Array, H: Array, damped: Array, config: STBLLM) -> Array:
    """Return how much each weight matters.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    H, damped : ndarray of float64, shape (m, m)
        Proxy Hessian as given, and damped.
    config : STBLLM
        The switches.

    Returns
    -------
    ndarray of float64, shape (n, m)
        The scores.
    """
    size, norms = np.abs(W), np.sqrt(np.diag(H) / 2)
    inverse = np.linalg.inv(damped)
    if config.pruning.importance == "obs":
        return W**2 / np.diag(inverse)
    if config.pruning.importance == "trailing":
        # Each column uses the inverse over itself and the columns right of it.
        free = [np.linalg.inv(damped[j:, j:])[0, 0] for j in range(len(H))]
        return W**2 / np.array(free)
    if config.pruning.importance in {"wanda", "magnitude"}:
        return size * norms if config.pruning.importance == "wanda" else size
    shares = _share(size, size.sum(axis=0)) + _share(size, size.sum(axis=1)[:, None])
    if config.pruning.importance == "ria":
        return shares * norms**config.pruning.exponent
    if config.pruning.standardize == "before":
        return _standardize(shares, config.pruning.axis) * norms**config.pruning.exponent
    scores = shares * norms**config.pruning.exponent
    return (
        _standardize(scores, config.pruning.axis)
        if config.pruning.standardize == "after"
        else scores
    )


def nm_mask(scores: Array, keep: int, group: int) -> Mask:
    """Keep the largest scores of each group, and last columns that fill no group.

    Parameters
    ----------
    scores : ndarray of float64, shape (n, m)
        Scores.
    keep, group : int
        N and M.

    Returns
    -------
    ndarray of bool, shape (n, m)
        The mask.
    """
    kept = np.ones(scores.shape, dtype=bool)
    for i, row in enumerate(scores):
        for start in range(0, len(row) - group + 1, group):
            ranked = sorted(range(start, start + group), key=lambda j: (-row[j], j))
            kept[i, ranked[keep:]] = False
    return kept


def _sparsegpt(W: Array, U: Array, keep: int, group: int) -> tuple[Array, Mask]:
    # One column after the other; blocks only save memory.
    W, m = W.copy(), W.shape[1]
    kept = np.ones(W.shape, dtype=bool)
    for j in range(m):
        columns = slice(j, j + group)
        if j % group == 0 and j + group <= m:
            kept[:, columns] = nm_mask(W[:, columns] ** 2 / np.diag(U)[columns] ** 2, keep, group)
        lost = np.where(kept[:, j], 0.0, W[:, j]) / U[j, j]
        W[:, j] = np.where(kept[:, j], W[:, j], 0.0)
        W[:, j + 1 :] -= np.outer(lost, U[j, j + 1 :])
    return W, kept


@dataclass
class _Block:
    """A block while it is partitioned."""

    W: Array
    scores: Array
    alive: Mask
    kept: Mask
    config: STBLLM

    @property
    def target(self) -> Array:
        return self.W if self.config.zones.partition.search_on == "weights" else self.scores

    def error(self, parts: Parts) -> float:
        total = 0.0
        for mask, order in parts:
            image = binarize(self.target, mask, order, self.config.zones.partition)
            total += float(((self.target - image) ** 2)[mask].sum())
        return total

    def salient(self) -> Mask:
        ranking = np.argsort(-np.abs(self.scores).sum(axis=0), kind="stable")
        ranked = [j for j in ranking if self.alive[j]]
        low, high = (min(c, len(ranked)) for c in self.config.zones.partition.counts)
        errors, choices = [], []
        for count in range(low, high + 1):
            first = np.isin(np.arange(len(self.alive)), ranked[:count])
            sides = (first, self.alive & ~first)
            masks = [np.broadcast_to(side, self.W.shape) & self.kept for side in sides]
            orders = self.config.zones.partition.search_orders
            errors.append(self.error(list(zip(masks, orders, strict=True))))
            choices.append(first)
        return choices[least(errors, float((self.target**2).sum()))]

    def _candidates(self, key: Array, part: Mask) -> Array:
        config, shares = self.config, np.linspace(0.1, 0.9, self.config.zones.levels)
        if config.zones.partition.grid == "breakpoints":
            cuts = np.unique(key[part])
        elif config.zones.partition.grid == "maximum":
            cuts = shares * key[part].max()
        else:
            zeros = config.zones.partition.grid == "quantiles_with_zeros"
            cuts = np.quantile(np.where(part, key, 0.0) if zeros else key[part], shares)
        if config.zones.regions == 3 and config.zones.bounded:
            fits = config.zones.factor * cuts <= cuts[-1]
            cuts = cuts[fits] if fits.any() else cuts
        return cuts

    def regions(self, salient: Mask) -> Parts:
        config = self.config
        key = np.abs(self.W if config.zones.partition.split_by == "weights" else self.scores)
        part = (self.alive & ~salient) & self.kept
        if not part.any():
            return [(part, 1)] * config.zones.regions
        errors, choices = [], []
        for p in self._candidates(key, part):
            edges = [p] if config.zones.regions == 2 else [p, config.zones.factor * p]
            above = sum(
                (key > edge if config.zones.partition.closed else key >= edge).astype(int)
                for edge in edges
            )
            choices.append([(part & (above == i), 1) for i in range(config.zones.regions)])
            errors.append(self.error(choices[-1]))
        return choices[least(errors, float((self.target**2).sum()))]

    def image(self) -> Array:
        salient = self.salient()
        parts = [*self.regions(salient), (salient & self.kept, 2)]
        part = self.config.zones.partition
        images = [binarize(self.W, mask, order, part) for mask, order in parts]
        return np.sum(images, axis=0)


def _quantized(begun: tuple[Array, Mask], H: Array, alive: Mask, config: STBLLM) -> Array:
    W, kept = begun
    entries = kept if config.pruning.pruned == "zero" else kept | True

    def image(w: Array, scores: Array, B: slice) -> Array:
        return _Block(w, scores, alive[B], entries[:, B], config).image()

    return over_blocks(W, H, config.loop, image, kept if config.pruning.free == "kept" else None)


def stbllm_layer(W: Array, H: Array, config: STBLLM) -> Array:
    """Run STBLLM's layer routine.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian, not damped.
    config : STBLLM
        The switches.

    Returns
    -------
    ndarray of float64, shape (n, m)
        The quantized weights.
    """
    dense, damped, alive = begin(W, H, config.loop)
    if config.pruning.importance == "sparsegpt":
        pruned, kept = _sparsegpt(
            dense, np.linalg.cholesky(np.linalg.inv(damped)).T, *config.pruning.keep
        )
    else:
        kept = nm_mask(importance(W, H, damped, config), *config.pruning.keep)
        pruned = dense * kept
    begun = dense if config.pruning.start == "dense" else pruned
    Q = _quantized((begun, kept), damped, alive, config)
    if config.fallback:
        plain = config.changed(compensation="none")
        other = _quantized((begun, kept), damped, alive, plain)
        losses = [float(np.einsum("ij,jk,ik->", D, damped, D)) for D in (dense - Q, dense - other)]
        Q = Q if losses[0] <= losses[1] else other
    return Q
