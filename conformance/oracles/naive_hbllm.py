"""HBLLM once more, naively
========================

A second reading of a block, in plain float64 NumPy and without any of a port's functions: the
transform is a matrix, rows are split one by one, and every threshold's approximation is formed.

References
----------
HBLLM, arXiv 2512.00862.
"""

from fractions import Fraction

import numpy as np

from subbit.conformance.inputs.families import Array, Mask
from subbit.conformance.oracles.choices import apart, least, residual
from subbit.conformance.oracles.naive import begin, binarize, over_blocks
from subbit.reference import HBLLM, Partition


def transform(size: int) -> Array:
    """Return the matrix that transforms a column of values.

    Parameters
    ----------
    size : int
        Number of values.

    Returns
    -------
    ndarray of float64, shape (size, size)
        Orthonormal; the low band's rows come first.

    Examples
    --------
    >>> transform(3).round(3)
    array([[ 0.707,  0.707,  0.   ],
           [ 0.   ,  0.   ,  1.   ],
           [ 0.707, -0.707,  0.   ]])
    """
    T, low = np.zeros((size, size)), (size + 1) // 2
    for pair in range(size // 2):
        T[pair, 2 * pair : 2 * pair + 2] = 1.0
        T[low + pair, 2 * pair : 2 * pair + 2] = 1.0, -1.0
    if size % 2:
        T[low - 1, -1] = 1.0
    return T / np.linalg.norm(T, axis=1, keepdims=True)


def _quantile(ordered: Array, share: Fraction) -> float:
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + float(place - low) * (ordered[high] - ordered[low]))


def _split(x: Array, config: HBLLM) -> Array:
    """Return the best image of a row whose entries are cut at a magnitude."""
    steps = max(config.quantiles - 1, 1)
    shares = [Fraction(1, 10) + Fraction(8 * step, 10 * steps) for step in range(config.quantiles)]
    errors, images = [], []
    size = apart(np.abs(x))
    for cut in (_quantile(np.sort(size), share) for share in shares):
        image = np.zeros(len(x))
        for side in (size < cut, size >= cut):
            if side.any():
                d = x[side] - (x if config.share_mean else x[side]).mean()
                alpha = np.sqrt((d**2).mean()) if config.scale == "rms" else np.abs(d).mean()
                signs = np.where(d == 0.0, config.sign_zero, np.sign(d))
                image[side] = x[side] - d + alpha * signs
        errors.append(float(((x - image) ** 2).sum()))
        images.append(image)
    return images[least(errors, float((x**2).sum()))]


def _by_columns(X: Array, config: HBLLM) -> Array:
    T, low = transform(X.shape[1]), (X.shape[1] + 1) // 2
    C = X @ T.T
    for row in C:
        row[:low] = _split(row[:low], config)
        if low < len(row):
            row[low:] = _split(row[low:], config)
    return np.asarray(C @ T)


def _by_rows(X: Array, config: HBLLM) -> Array:
    T = transform(len(X))
    return np.asarray(T.T @ np.array([_split(row, config) for row in T @ X]))


def _salient(W: Array, S: Array, alive: Mask, config: HBLLM) -> Mask:
    target = W if config.search_on == "weights" else S
    how = Partition(center=config.center, sign_zero=config.sign_zero)
    norms = [float(np.linalg.norm(S[:, j])) for j in range(len(alive))]
    ranking = sorted(np.flatnonzero(alive), key=lambda j: -norms[j])
    low, high = (min(count, len(ranking)) for count in config.counts)
    errors, choices = [], []
    for count in range(low, high + 1):
        first = np.isin(np.arange(len(alive)), ranking[:count])
        parts = zip((first, alive & ~first), config.search_orders, strict=True)
        left = target.copy()
        for columns, order in parts:
            left -= binarize(target, np.broadcast_to(columns, W.shape), order, how)
        errors.append(float((left[:, alive] ** 2).sum()))
        choices.append(first)
    return choices[least(errors, float((target**2).sum()))]


def _stand_in(X: Array, salient: Mask, j: int) -> Array:
    others = [i for i in range(len(salient)) if not salient[i]]
    near = [i for i in others if abs(i - j) <= 3]
    near = near or [i for i in others if i < j][-1:] or others[:1]
    return np.mean([X[:, i] for i in near], axis=0) if near else np.zeros(len(X))


def _block(W: Array, S: Array, alive: Mask, config: HBLLM) -> Array:
    image = np.zeros(W.shape)
    if not alive.any():
        return image
    X, salient = W[:, alive], _salient(W, S, alive, config)[alive]
    Q = np.zeros(X.shape)
    if config.pairs == "columns":
        F = np.array([_stand_in(X, salient, j) if salient[j] else X[:, j] for j in range(len(X.T))])
        Q = _by_columns(F.T, config)
    elif not salient.all():
        Q[:, ~salient] = _by_rows(X[:, ~salient], config)
    if salient.any():
        E = residual((X - Q)[:, salient], float(np.abs(X).max()))
        Q[:, salient] += _by_rows(E, config)
    image[:, alive] = Q
    return image


def hbllm_layer(W: Array, H: Array, config: HBLLM) -> Array:
    """Run HBLLM's layer routine.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian, not damped.
    config : HBLLM
        The switches.

    Returns
    -------
    ndarray of float64, shape (n, m)
        The quantized weights.
    """
    W, H, alive = begin(W, H, config.loop)
    return over_blocks(W, H, config.loop, lambda w, s, B: _block(w, s, alive[B], config))
