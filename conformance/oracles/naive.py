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
from subbit.reference import BiLLM, Loop, Partition

Array: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Image: TypeAlias = Callable[[Array, Array, slice], Array]
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


def begin(W: Array, H: Array, loop: Loop) -> tuple[Array, Array, Mask]:
    """Damp the Hessian and silence dead inputs.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian, not damped.
    loop : Loop
        The switches of the loop over blocks.

    Returns
    -------
    W : ndarray of float64, shape (n, m)
        Weights, zero where the input is dead.
    H : ndarray of float64, shape (m, m)
        The damped Hessian.
    alive : ndarray of bool, shape (m,)
        Columns to quantize.
    """
    dead = np.diag(H) == 0
    H = H + np.diag(dead.astype(np.float64))
    H = H + loop.percdamp * np.diag(H).mean() * np.eye(len(H))
    alive = ~dead if loop.dead_inputs == "zero" else np.ones(len(H), dtype=bool)
    return np.where(dead, 0.0, W), H, alive


def scorer(H: Array, loop: Loop) -> Callable[[Array], Array]:
    """Return the function that scores a layer's weights.

    Parameters
    ----------
    H : ndarray of float64, shape (m, m)
        Damped Hessian.
    loop : Loop
        The switches of the loop over blocks.

    Returns
    -------
    callable
        Scores of weights of shape (n, m).
    """
    if loop.score == "magnitude":
        return lambda W: W
    inverse = np.linalg.inv(H)
    scale = np.linalg.cholesky(inverse).T if loop.score == "trailing" else inverse
    return lambda W: W**2 / np.diag(scale) ** 2


def over_blocks(W: Array, H: Array, loop: Loop, image: Image, free: Mask | None = None) -> Array:
    """Quantize one block after the other, and feed its error forward.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Damped Hessian.
    loop : Loop
        The switches of the loop over blocks.
    image : callable
        ``image(w, s, B)`` quantizes the weights ``w`` with scores ``s`` of the columns ``B``.
    free : ndarray of bool, shape (n, m), optional
        Weights that the error may move; all by default.

    Returns
    -------
    ndarray of float64, shape (n, m)
        The quantized weights.
    """
    W, Q, m, scores = W.copy(), np.zeros(W.shape), len(H), scorer(H, loop)
    U = np.linalg.cholesky(np.linalg.inv(H)).T
    for start in range(0, m, loop.block_size):
        B, R = slice(start, start + loop.block_size), slice(start + loop.block_size, m)
        Q[:, B] = image(W[:, B], scores(W)[:, B], B)
        D, move = W[:, B] - Q[:, B], np.zeros(W[:, R].shape)
        if loop.compensation == "released":
            move = D / np.diag(U)[B] @ U[B, R]
        elif loop.compensation == "exact":
            move = D @ np.linalg.inv(U[B, B]) @ U[B, R]
        W[:, R] -= move if free is None else move * free[:, R]
    return Q


@dataclass
class _Block:
    """Columns, with what to score them by."""

    W: Array
    S: Array
    alive: Mask
    config: BiLLM

    def salient(self, blocks: int) -> Mask:
        """Choose salient columns."""
        W, S, alive = self.W, self.S, self.alive
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

    def split(self, salient: Mask) -> tuple[Mask, Mask]:
        """Split the columns that are not salient into concentrated and sparse entries."""
        config, W, S = self.config, self.W, self.S
        target = W if config.zones.search_on == "weights" else S
        key = np.abs(W if config.zones.split_by == "weights" else S)
        part = np.broadcast_to(self.alive & ~salient, W.shape)
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
    W, H, alive = begin(W, H, config.loop)
    whole = None
    if config.scope == "matrix":
        layer = _Block(W, scorer(H, config.loop)(W), alive, config)
        whole = layer.salient(-(-len(H) // config.loop.block_size))

    def image(w: Array, s: Array, B: slice) -> Array:
        block = _Block(w, s, alive[B], config)
        salient = block.salient(1) if whole is None else whole[B]
        parts = [*((mask, 1) for mask in block.split(salient))]
        parts.append((np.broadcast_to(salient, w.shape), 2))
        return np.sum([binarize(w, mask, o, config.zones) for mask, o in parts], axis=0)

    return over_blocks(W, H, config.loop, image)
