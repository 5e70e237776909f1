"""ARB-LLM once more, naively
==========================

A second reading of the algorithm, in plain float64 NumPy and without any of a port's
functions: residuals are formed, inverses are inverses, every candidate of a search is
binarized. A port's layer routine is compared with it, for any setting of the switches of
:class:`subbit.reference.ARBLLM`. It shares with :mod:`subbit.conformance.oracles.naive` the
loop over blocks and the binarization of a group in a search, which are the same in both methods.

References
----------
ARB-LLM, arXiv 2410.03129, Algorithm 1 and section 3, and the authors' released code.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from subbit.conformance.oracles.choices import least
from subbit.conformance.oracles.naive import Array, Mask, begin, binarize, over_blocks
from subbit.reference import ARBLLM, Refinement
from subbit.reference.groups.arb_rc import ColumnSigns

GRID = np.linspace(0.1, 0.9, 81)
Zones: TypeAlias = list[tuple[Mask, int]]


def _over(numerator: Array, denominator: Array, old: Array, eps: float, kind: str) -> Array:
    total = denominator + (eps * denominator.mean() if kind == "relative" else eps)
    result = old.copy()
    np.divide(numerator, total, out=result, where=total > 0)
    return result


@dataclass
class Group:
    """A group in the making.

    Parameters
    ----------
    m : ndarray of float64, shape (n, k)
        Its mask as numbers.
    B : list of ndarray of float64, shape (n, k)
        Signs of each order.
    r, c : list of ndarray of float64, shape (n,) and (k,)
        Scales of rows and of columns.
    mean : ndarray of float64, shape (n,)
        Means.
    """

    m: Array
    B: list[Array]
    r: list[Array]
    c: list[Array]
    mean: Array

    def image(self, without: int | None = None) -> Array:
        """Return the values of the group's entries.

        Parameters
        ----------
        without : int, optional
            An order to leave out.

        Returns
        -------
        ndarray of float64, shape (n, k)
            Zero outside the mask.
        """
        terms = [
            np.outer(self.r[p], self.c[p]) * self.B[p] for p in range(len(self.B)) if p != without
        ]
        return self.m * self.mean[:, None] + sum(terms)


def signs_of(x: Array, m: Array, zero: int) -> Array:
    """Return signs of numbers.

    Parameters
    ----------
    x, m : ndarray of float64, shape (n, k)
        The numbers, and a mask as numbers.
    zero : int
        The sign of zero.

    Returns
    -------
    ndarray of float64, shape (n, k)
        Zero outside the mask.
    """
    return m * np.where(x > 0, 1.0, np.where(x < 0, -1.0, float(zero)))


def _count(m: Array) -> Array:
    return np.maximum(m.sum(axis=1), 1)


def start(W: Array, m: Array, order: int, config: Refinement) -> Group:
    """Binarize, `order` times.

    Parameters
    ----------
    W, m : ndarray of float64, shape (n, k)
        Weights, and the group's mask as numbers.
    order : int
        Number of sign planes.
    config : Refinement
        The switches.

    Returns
    -------
    Group
        Initial values.
    """
    n, k = W.shape
    group = Group(m, [], [], [], np.zeros(n))
    count = np.full(n, float(k)) if config.divisor == "width" else _count(m)
    for _ in range(order):
        rest = m * W - group.image()
        mean = rest.sum(axis=1) / count
        away = m * (rest - mean[:, None])
        signed = rest if config.initial_signs == "plain" else away
        group.B.append(signs_of(signed, m, config.sign_zero))
        group.r.append(np.abs(away).sum(axis=1) / count)
        group.c.append(np.ones(k))
        group.mean = group.mean + mean
    return group


def choose(Z: Array, group: Group) -> None:
    """Give a group of two orders the signs of the nearest levels.

    Parameters
    ----------
    Z : ndarray of float64, shape (n, k)
        Values to represent.
    group : Group
        The group, which changes.
    """
    u, v = (np.outer(r, c) for r, c in zip(group.r, group.c, strict=True))
    pairs = ((-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0))
    best = np.argmin([np.abs(Z - (a * u + b * v)) for a, b in pairs], axis=0)
    group.B = [group.m * np.array(side)[best] for side in zip(*pairs, strict=True)]


def _exact_levels(group: Group, S: Array, target: Array) -> None:
    e = np.stack([group.m, *group.B])
    G = np.einsum("pij,jl,qil->ipq", e, S, e)
    g = np.einsum("pij,jl,il->ip", e, S, target)
    x = np.array([_fitted(rows, right) for rows, right in zip(G, g, strict=True)])
    group.mean, group.r = x[:, 0], list(x[:, 1:].T)


def _fitted(G: Array, g: Array) -> Array:
    # A level that depends on previous ones is zero. Any other split between them would have the
    # same loss, but not the same image of a dead input that is binarized.
    used: list[int] = []
    for p in range(len(G)):
        own = np.ix_([*used, p], [*used, p])
        if np.linalg.matrix_rank(G[own], hermitian=True, rtol=1e-12) > len(used):
            used.append(p)
    x = np.zeros(len(G))
    x[used] = np.linalg.solve(G[np.ix_(used, used)], g[used])
    return x


def arb(W: Array, m: Array, order: int, config: Refinement) -> Group:
    """Run Algorithm 1 of ARB-LLM.

    Parameters
    ----------
    W, m : ndarray of float64, shape (n, k)
        Weights, and the group's mask as numbers.
    order : int
        Number of sign planes.
    config : Refinement
        The switches.

    Returns
    -------
    Group
        The group.
    """
    group = start(W, m, order, config)
    for _ in range(config.iterations):
        if config.levels == "exact":
            _exact_levels(group, np.eye(W.shape[1]), m * W)
        else:
            group.mean = group.mean + (m * W - group.image()).sum(axis=1) / _count(m)
            for p, B in enumerate(group.B):
                rest = m * W - group.image(p)
                group.r[p] = _over(
                    (B * rest).sum(axis=1),
                    (B * B).sum(axis=1),
                    group.r[p],
                    config.eps,
                    config.eps_kind,
                )
        Z = W - group.mean[:, None]
        if order == 2:
            choose(Z, group)
        else:
            group.B = [signs_of(Z, m, config.sign_zero)]
    return group


def calibrate(group: Group, target: Array, S: Array, config: Refinement) -> None:
    """Fit mean and scales on the calibrated error.

    Parameters
    ----------
    group : Group
        The group, which changes.
    target : ndarray of float64, shape (n, k)
        Values that it has to match.
    S : ndarray of float64, shape (k, k)
        Gram matrix of the inputs.
    config : Refinement
        The switches.
    """
    if config.levels == "exact":
        _exact_levels(group, S, target)
        return
    eps, kind = config.calibrated_eps, config.eps_kind
    for _ in range(config.calibrated_iterations):
        rest = target - group.image() + group.m * group.mean[:, None]
        square = ((group.m @ S) * group.m).sum(axis=1)
        if config.mean_denominator == "float32" and len(group.B) == 1:
            square = ((group.m @ S) * group.m).astype(np.float32).sum(axis=1).astype(np.float64)
        group.mean = _over(((group.m @ S) * rest).sum(axis=1), square, group.mean, eps, kind)
        for p, B in enumerate(group.B):
            rest = target - group.image(p)
            square = ((B @ S) * B).sum(axis=1)
            group.r[p] = _over(((B @ S) * rest).sum(axis=1), square, group.r[p], eps, kind)


def arb_rc(
    W: Array, m: Array, order: int, config: Refinement, *, column_signs: ColumnSigns = "fixed"
) -> Group:
    """Run ARB-RC: row and column scales, no mean.

    Parameters
    ----------
    W, m : ndarray of float64, shape (n, k)
        Weights, and the group's mask as numbers.
    order : int
        Number of sign planes.
    config : Refinement
        The switches.
    column_signs : {"fixed", "refreshed"}
        Whether signs are recomputed at order 1.

    Returns
    -------
    Group
        The group.
    """
    group = Group(m, [], [], [], np.zeros(len(W)))
    for _ in range(order):
        rest = m * W - group.image()
        r = np.abs(rest).sum(axis=1) / _count(m)
        used = m * (r > 0)[:, None]
        share = np.abs(rest) / np.where(r > 0, r, 1.0)[:, None]
        group.B.append(signs_of(rest, m, config.sign_zero))
        group.r.append(r)
        group.c.append((used * share).sum(axis=0) / np.maximum(used.sum(axis=0), 1))
    for _ in range(config.iterations):
        for p, B in enumerate(group.B):
            rest = m * W - group.image(p)
            for scales, other, side in ((group.r, group.c, 1), (group.c, group.r, 0)):
                P = B * (other[p] if side == 1 else other[p][:, None])
                scales[p] = _over(
                    (P * rest).sum(axis=side),
                    (P * P).sum(axis=side),
                    scales[p],
                    config.eps,
                    config.eps_kind,
                )
        if order == 2:
            choose(W, group)
        elif column_signs == "refreshed":
            group.B = [signs_of(W, m, config.sign_zero)]
    return group


def _crossed_image(W: Array, mask: Mask, order: int, config: ARBLLM) -> Array:
    # Columns without entries have no denominator to contribute to a relative eps.
    used = mask.any(axis=0)
    columns = used if used.any() else ~used
    m = mask[:, columns].astype(np.float64)
    image = np.zeros(W.shape)
    group = arb_rc(W[:, columns], m, order, config.refinement, column_signs=config.column_signs)
    image[:, columns] = group.image()
    return image


def _groups(W: Array, zones: Zones, S: Array, config: ARBLLM) -> list[Array]:
    if config.algorithm == "arb_rc":
        return [_crossed_image(W, mask, order, config) for mask, order in zones]
    refined = config.algorithm == "arb" or config.refinement.calibrated_start == "refined"
    begin = arb if refined else start
    made = [begin(W, mask.astype(np.float64), order, config.refinement) for mask, order in zones]
    if config.algorithm == "arb":
        return [group.image() for group in made]
    for group in made:
        calibrate(group, group.m * W, S, config.refinement)
    images = [group.image() for group in made]
    for _ in range(config.sweeps):
        for i, group in enumerate(made):
            others = np.sum([image for j, image in enumerate(images) if j != i], axis=0)
            calibrate(group, W - others, S, config.refinement)
            images[i] = group.image()
    return images


@dataclass
class Block:
    """A block while it is partitioned.

    Parameters
    ----------
    W, scores : ndarray of float64, shape (n, k)
        Weights and saliency scores.
    alive : ndarray of bool, shape (k,)
        Columns to quantize.
    S : ndarray of float64, shape (k, k)
        Gram matrix of the inputs.
    config : ARBLLM
        The switches.
    """

    W: Array
    scores: Array
    alive: Mask
    S: Array
    config: ARBLLM

    @property
    def target(self) -> Array:
        """Values that the searches measure errors on."""
        return self.W if self.config.zones.partition.search_on == "weights" else self.scores

    @property
    def key(self) -> Array:
        """Values to cut."""
        return np.abs(self.W if self.config.zones.partition.split_by == "weights" else self.scores)

    def _image(self, zones: Zones) -> Array:
        images = [
            binarize(self.target, mask, order, self.config.zones.partition) for mask, order in zones
        ]
        return np.sum(images, axis=0)

    def _energy(self, *, outputs: bool = False) -> float:
        size = self.target.T @ self.target
        return float(np.sum(self.S * size) if outputs else np.trace(size))

    def _error(self, zones: Zones) -> float:
        part = np.any([mask for mask, _ in zones], axis=0)
        return float(((self.target - self._image(zones))[part] ** 2).sum())

    def salient(self) -> Mask:
        """Choose salient columns.

        Returns
        -------
        ndarray of bool, shape (k,)
            The choice with the least error.
        """
        size = np.abs(self.scores).sum(axis=0)
        ranking = [j for j in np.argsort(-size, kind="stable") if self.alive[j]]
        low, high = (min(count, len(ranking)) for count in self.config.zones.partition.counts)
        errors, choices = [], []
        for count in range(low, high + 1):
            first = np.isin(np.arange(len(self.alive)), ranking[:count])
            masks = (np.broadcast_to(x, self.W.shape) for x in (first, self.alive & ~first))
            orders = self.config.zones.partition.search_orders
            errors.append(self._error(list(zip(masks, orders, strict=True))))
            choices.append(first)
        return choices[least(errors, self._energy())]

    def _cut(self, part: Mask, p: float) -> tuple[Mask, Mask]:
        below = self.key <= p if self.config.zones.partition.closed else self.key < p
        return part & below, part & ~below

    def _cuts(self, part: Mask, order: int) -> Array:
        grid, own = self.config.zones.partition.grid, self.key[part]
        if grid == "quantiles_with_zeros":
            nonzero = own[own > 0] if (own > 0).any() else own
            return np.quantile(nonzero if order == 2 else np.where(part, self.key, 0.0), GRID)
        if grid == "maximum":
            return np.asarray(own.max() * np.arange(1, 10) / 10)
        return np.quantile(own, GRID) if grid == "quantiles" else np.unique(own)

    def _split(self, columns: Mask, order: int, fixed: Array | None) -> list[Mask]:
        left, lowest, large = np.broadcast_to(columns, self.W.shape), np.inf, []
        taken, energy = 0.0, self._energy(outputs=fixed is not None)
        for _ in range(self.config.zones.splits):
            pair = (left, left)
            if left.any():
                cuts = self._cuts(left, order)
                pairs = [self._cut(left, p) for p in cuts]
                errors = [taken + self._split_error(pair, order, fixed) for pair in pairs]
                worse = least([lowest, min(errors)], energy) == 0
                kept = self.config.zones.minimum == "kept" and worse
                pair = pairs[0 if kept else least(errors, energy)]
                lowest = min(lowest, *errors)
            left, above = pair
            large.append(above)
            taken += self._taken(above, order)
        return [*large, left]

    def _split_error(self, pair: tuple[Mask, Mask], order: int, fixed: Array | None) -> float:
        zones = [(mask, order) for mask in pair]
        if fixed is None:
            return self._error(zones)
        R = self.target - fixed - self._image(zones)
        return float((self.S * (R.T @ R)).sum())

    def _taken(self, mask: Mask, order: int) -> float:
        if self.config.zones.minimum == "reset" or not mask.any():
            return 0.0
        if self.config.zones.taken_error == "residual":
            return self._error([(mask, order)])
        plain = Refinement(iterations=0, sign_zero=self.config.refinement.sign_zero)
        m = mask.astype(np.float64)
        image = arb_rc(self.target, m, order, plain).image()
        return float(((m * self.target - image) ** 2).sum())

    def _shared(self, chosen: Mask, rest: Mask) -> tuple[list[Mask], list[Mask]]:
        left = np.broadcast_to(chosen | rest, self.W.shape)
        large = []
        for _ in range(self.config.zones.splits):
            pair = (left, left)
            if left.any():
                pairs = [self._cut(left, p) for p in self._cuts(left, 1)]
                errors = [self._both(p, chosen, rest) for p in pairs]
                pair = pairs[least(errors, self._energy())]
            left, above = pair
            large.append(above)
        masks = [*large, left]
        return [mask & chosen for mask in masks], [mask & rest for mask in masks]

    def _both(self, pair: tuple[Mask, Mask], chosen: Mask, rest: Mask) -> float:
        return sum(
            self._error([(mask & zone, order) for mask in pair])
            for zone, order in ((chosen, 2), (rest, 1))
        )

    def zones(self, salient: Mask) -> Zones:
        """Return groups and their orders, the salient ones first.

        Parameters
        ----------
        salient : ndarray of bool, shape (k,)
            Salient columns.

        Returns
        -------
        list of tuple
            Mask and order of each.
        """
        chosen, rest = self.alive & salient, self.alive & ~salient
        if self.config.zones.column_groups and self.config.zones.bitmap == "shared":
            first, second = self._shared(chosen, rest)
        else:
            first = [np.broadcast_to(chosen, self.W.shape)]
            if self.config.zones.column_groups:
                first = self._split(chosen, 2, None)
            second = self._split(rest, 1, self._fixed(chosen))
        return [(mask, 2) for mask in first] + [(mask, 1) for mask in second]

    def _fixed(self, chosen: Mask) -> Array | None:
        if self.config.zones.split_error == "weights":
            return None
        m = np.broadcast_to(chosen, self.W.shape).astype(np.float64)
        config = self.config
        if config.algorithm == "arb_rc":
            signs = config.column_signs
            return arb_rc(self.target, m, 2, config.refinement, column_signs=signs).image()
        return arb(self.target, m, 2, config.refinement).image()


def arb_llm_layer(W: Array, H: Array, config: ARBLLM) -> Array:
    """Run ARB-LLM's layer routine.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian, not damped.
    config : ARBLLM
        The switches.

    Returns
    -------
    ndarray of float64, shape (n, m)
        The quantized weights.
    """
    S = H / 2
    W, H, alive = begin(W, H, config.loop)

    def image(w: Array, scores: Array, B: slice) -> Array:
        block = Block(w, scores, alive[B], S[B, B], config)
        zones = block.zones(block.salient())
        return np.sum(_groups(w, zones, S[B, B], config), axis=0)

    return over_blocks(W, H, config.loop, image)
