"""SparseGPT and PB-LLM once more, naively
========================================

A second reading of the two algorithms in plain float64 NumPy, without any of a port's
functions: the released code as pseudocode, column by column.

References
----------
SparseGPT, arXiv 2301.00774, Algorithm 1; PB-LLM, arXiv 2310.00034; their released code.
"""

from collections.abc import Callable

import numpy as np

from subbit.conformance.inputs.families import Array, Mask
from subbit.conformance.oracles.replay import damped
from subbit.reference import PBLLM, SparseGPT

Column = Callable[[int, Array], Array]


def _factor(H: Array) -> Array:
    """Return the upper factor of the inverse, by inverting and factoring as released."""
    return np.asarray(np.linalg.cholesky(np.linalg.inv(damped(H))).T)


def _loop(W: Array, U: Array, quantize: Column) -> Array:
    """Quantize each column i from the state that the previous columns left."""
    state, Q = W.copy(), np.zeros(W.shape)
    for i in range(W.shape[1]):
        Q[:, i] = quantize(i, state)
        state[:, i:] -= np.outer((state[:, i] - Q[:, i]) / U[i, i], U[i, i:])
    return Q


def _smallest(scores: Array, share: float) -> Mask:
    return np.asarray(scores <= np.sort(scores, axis=None)[int(scores.size * share)])


def sparsegpt(W: Array, H: Array, config: SparseGPT) -> tuple[Array, Mask]:
    """Prune by SparseGPT.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian, not damped.
    config : SparseGPT
        The configuration.

    Returns
    -------
    Q : ndarray of float64, shape (n, m)
        The remaining weights.
    kept : ndarray of bool, shape (n, m)
        Their mask.
    """
    U = _factor(H)
    kept = np.ones(W.shape, dtype=np.bool_)
    step = config.block_size if config.keep is None else config.keep[1]

    def column(i: int, state: Array) -> Array:
        if i % step == 0:
            part = slice(i, i + step)
            scores = state[:, part] ** 2 / np.diag(U)[part] ** 2
            if config.keep is None:
                kept[:, part] = ~_smallest(scores, config.sparsity or 0.0)
            elif scores.shape[1] == step:
                gone = np.argsort(scores, axis=1)[:, : step - config.keep[0]]
                np.put_along_axis(kept[:, part], gone, values=False, axis=1)
        return np.where(kept[:, i], state[:, i], 0.0)

    return _loop(np.where(np.diag(H) == 0, 0.0, W), U, column), kept


def pb_llm(W: Array, H: Array, config: PBLLM) -> Array:
    """Quantize by PB-LLM.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian, not damped.
    config : PBLLM
        The configuration.

    Returns
    -------
    ndarray of float64, shape (n, m)
        The decoded layer.
    """
    U, asked, W = _factor(H), W, np.where(np.diag(H) == 0, 0.0, W)
    fitted = asked if config.dead_grid == "given" else W
    low, mean, scale = np.zeros(W.shape, dtype=np.bool_), np.zeros(W.shape), np.zeros(W.shape)
    for start in range(0, W.shape[1], config.block_size):
        part = slice(start, start + config.block_size)
        w, d = W[:, part], np.diag(U)[part]
        low[:, part] = _smallest(
            abs(w) if config.score == "magnitude" else w**2 / d**2, config.low_share
        )
        mean[:, part], scale[:, part] = _levels(w * low[:, part], low[:, part], config)
    bottom, top = np.minimum(fitted.min(axis=1), 0), np.maximum(fitted.max(axis=1), 0)
    flat = bottom == top
    step = np.where(flat, 2.0, top - bottom) / (2**config.high_bits - 1)
    zero = np.round(np.where(flat, 1.0, -bottom) / step)

    def column(i: int, state: Array) -> Array:
        sign = np.sign(state[:, i] - mean[:, i])
        sign[sign == 0] = config.sign_zero
        code = np.clip(np.round(state[:, i] / step) + zero, 0, 2**config.high_bits - 1)
        binary = mean[:, i] + scale[:, i] * sign
        return np.where(low[:, i], binary, step * (code - zero))

    return _loop(W, U, column)


def _levels(kept: Array, low: Mask, config: PBLLM) -> tuple[Array, Array]:
    entries = low if config.statistics == "group" else np.ones_like(low)
    count = np.maximum(entries.sum(axis=1, keepdims=True), 1)
    mean = kept.sum(axis=1, keepdims=True) / count
    return mean, (abs(kept - mean) * entries).sum(axis=1, keepdims=True) / count
