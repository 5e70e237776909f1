"""BiLLM once more, naively
========================

A second reading of the algorithm, in plain float64 NumPy and without any of a port's
functions: every candidate's approximation is formed, every inverse is an inverse. It is
slow and short, and a port's layer routine is compared with it, for any setting of the
switches of :class:`subbit.reference.BiLLM`.

References
----------
BiLLM, arXiv 2402.04291v2, Algorithms 1 and 2, and the authors' released code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from subbit.conformance.oracles.choices import least
from subbit.reference import BiLLM, Partition

Array: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
GRIDS: Mapping[str, Callable[[Array], Array]] = {
    "maximum": lambda key: key.max() * np.arange(1, 10) / 10,
    "quantiles": lambda key: np.quantile(key, np.linspace(0.1, 0.9, 81)),
    "quantiles_with_zeros": lambda key: np.quantile(key, np.linspace(0.1, 0.9, 81)),
    "breakpoints": np.unique,
}


def binarize(x: Array, mask: Mask, order: int, config: Partition) -> Array:
    """Binarize the masked entries and their residuals.

    Parameters
    ----------
    x : ndarray of float64, shape (n, k)
        Values.
    mask : ndarray of bool, shape (n, k)
        The group.
    order : int
        Number of orders.
    config : Partition
        Switches `center` and `sign_zero`.

    Returns
    -------
    ndarray of float64, shape (n, k)
        The approximation, zero outside the mask.
    """
    count = np.maximum(mask.sum(axis=1, keepdims=True), 1)
    total = np.zeros(x.shape)
    for _ in range(order):
        r = np.where(mask, x - total, 0.0)
        mu = r.sum(axis=1, keepdims=True) / count if config.center else 0.0
        alpha = (np.abs(r - mu) * mask).sum(axis=1, keepdims=True) / count
        signs = np.sign(r - mu)
        signs[signs == 0] = config.sign_zero
        total = total + mask * (mu + alpha * signs)
    return total


def _error(x: Array, *parts: tuple[Mask, int], config: Partition) -> float:
    return float(sum(((x - binarize(x, mask, o, config)) ** 2)[mask].sum() for mask, o in parts))


@dataclass
class _Layer:
    """The layer's state and the matrices to score it with."""

    W: Array
    H: Array
    U: Array
    alive: Mask
    config: BiLLM

    def scores(self) -> Array:
        if self.config.loop.score == "magnitude":
            return self.W
        if self.config.loop.score == "trailing":
            return self.W**2 / np.diag(self.U) ** 2
        return self.W**2 / np.diag(np.linalg.inv(self.H)) ** 2

    def salient(self, columns: slice, blocks: int) -> Mask:
        """Choose salient columns among some columns."""
        W, S, alive = self.W[:, columns], self.scores()[:, columns], self.alive[columns]
        target = W if self.config.zones.search_on == "weights" else S
        ranking = [j for j in np.argsort(-np.abs(S).sum(axis=0), kind="stable") if alive[j]]
        low, high = (min(c * blocks, len(ranking)) for c in self.config.zones.counts)
        errors, choices = [], []
        for count in range(low, high + 1):
            first = np.isin(np.arange(len(alive)), ranking[:count])
            rest = np.broadcast_to(alive & ~first, W.shape)
            parts = zip(
                (np.broadcast_to(first, W.shape), rest),
                self.config.zones.search_orders,
                strict=True,
            )
            errors.append(_error(target, *parts, config=self.config.zones))
            choices.append(first)
        return choices[least(errors, float((target**2).sum()))]

    def split(self, columns: slice, salient: Mask) -> tuple[Mask, Mask]:
        """Split the columns that are not salient into concentrated and sparse entries."""
        config = self.config
        W, S = self.W[:, columns], self.scores()[:, columns]
        target = W if config.zones.search_on == "weights" else S
        key = np.abs(W if config.zones.split_by == "weights" else S)
        part = np.broadcast_to(self.alive[columns] & ~salient, W.shape)
        if not part.any():
            return part, part
        listed = (
            np.where(part, key, 0.0) if config.zones.grid == "quantiles_with_zeros" else key[part]
        )
        errors, pairs = [], []
        for p in GRIDS[config.zones.grid](listed):
            below = key <= p if config.zones.closed else key < p
            pairs.append((part & below, part & ~below))
            parts = ((mask, 1) for mask in pairs[-1])
            errors.append(_error(target, *parts, config=config.zones))
        return pairs[least(errors, float((target**2).sum()))]


def billm_layer(W: Array, H: Array, config: BiLLM) -> Array:
    """Run BiLLM's layer routine.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian, not damped.
    config : BiLLM
        The switches.

    Returns
    -------
    ndarray of float64, shape (n, m)
        The quantized weights.
    """
    m = W.shape[1]
    dead = np.diag(H) == 0
    H = H + np.diag(dead.astype(np.float64))
    H = H + config.loop.percdamp * np.diag(H).mean() * np.eye(m)
    U = np.linalg.cholesky(np.linalg.inv(H)).T
    alive = ~dead if config.loop.dead_inputs == "zero" else np.ones(m, dtype=bool)
    layer = _Layer(np.where(dead, 0.0, W), H, U, alive, config)
    Q = np.zeros(W.shape)
    starts = range(0, m, config.loop.block_size)
    whole = layer.salient(slice(0, m), len(starts)) if config.scope == "matrix" else None
    for start in starts:
        B, R = (
            slice(start, start + config.loop.block_size),
            slice(start + config.loop.block_size, m),
        )
        salient = layer.salient(B, 1) if whole is None else whole[B]
        parts = [*((mask, 1) for mask in layer.split(B, salient))]
        parts.append((np.broadcast_to(salient, Q[:, B].shape), 2))
        Q[:, B] = sum(binarize(layer.W[:, B], mask, order, config.zones) for mask, order in parts)
        D = layer.W[:, B] - Q[:, B]
        if config.loop.compensation == "released":
            layer.W[:, R] -= D / np.diag(U)[B] @ U[B, R]
        elif config.loop.compensation == "exact":
            layer.W[:, R] -= D @ np.linalg.inv(U[B, B]) @ U[B, R]
    return Q
