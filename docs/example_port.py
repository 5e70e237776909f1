"""A port in fifty lines
=====================

A few operations in NumPy's float32, by another route than the reference: sums along rows are
products with a mask, so the library decides their order. The suite needs to know no more
than CAPABILITIES says:

    PYTHONPATH=docs subbit check example_port --level 2

Operations that are not here are reported as not implemented, and the exit code is 2.
"""

import numpy as np
import numpy.typing as npt

CAPABILITIES = {"dtype": "float32"}
"""Nothing is said of depths, so sums may be taken in any order."""


def _floats(name: str, value: npt.ArrayLike, axes: int | None = None) -> np.ndarray:
    try:
        given = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: expected an array") from error
    if given.dtype.kind not in "iuf" or axes not in (None, given.ndim) or given.size == 0:
        raise ValueError(f"{name}: expected numbers on {axes} axes, got shape {given.shape}")
    with np.errstate(over="ignore"):
        numbers = given.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name}: expected finite numbers that float32 can hold")
    return numbers


def _entries(mask: npt.ArrayLike | None, shape: tuple[int, ...], name: str = "mask") -> np.ndarray:
    given = np.ones(shape, dtype=bool) if mask is None else np.asarray(mask)
    if given.dtype != bool or given.shape != shape:
        raise ValueError(f"{name}: expected booleans of shape {shape}")
    return given


def _row_means(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    # One product instead of a sum: Σ_j x_ij m_ij
    sums = np.einsum("ij,ij->i", values, mask.astype(np.float32))
    return sums / np.maximum(mask.sum(axis=1), 1).astype(np.float32)


def sign(x: npt.ArrayLike, zero: int = 1) -> np.ndarray:
    """Sign of each element, with a stated sign of zero."""
    values = _floats("x", x)
    if zero not in (0, 1):
        raise ValueError(f"zero: expected 0 or 1, got {zero}")
    drawn = np.sign(values).astype(np.int8)
    return drawn if zero == 0 else np.where(values == 0, np.int8(1), drawn)


def masked_mean(W: npt.ArrayLike, mask: npt.ArrayLike | None = None) -> np.ndarray:
    """Mean of each row over the entries of a group."""
    weights = _floats("W", W, 2)
    return _row_means(weights, _entries(mask, weights.shape))


def masked_scale(
    W: npt.ArrayLike, mask: npt.ArrayLike | None = None, mean: npt.ArrayLike | None = None
) -> np.ndarray:
    """Mean distance of each row's entries from their mean."""
    weights = _floats("W", W, 2)
    entries = _entries(mask, weights.shape)
    if mean is not None:
        center = _floats("mean", mean, 1)
        if len(center) != len(weights):
            raise ValueError(f"mean: expected {len(weights)} numbers")
        weights = weights - center[:, None]
    return _row_means(np.abs(weights), entries)


def weight_error(W: npt.ArrayLike, Q: npt.ArrayLike) -> float:
    """Squared Frobenius norm of the weight error."""
    weights, image = _floats("W", W, 2), _floats("Q", Q, 2)
    if image.shape != weights.shape:
        raise ValueError(f"Q: expected shape {weights.shape}, got {image.shape}")
    difference = np.ravel(weights - image)
    return float(np.dot(difference, difference))


def column_saliency(S: npt.ArrayLike) -> np.ndarray:
    """Score of each column, the sum of its magnitudes."""
    scores = _floats("S", S, 2)
    return np.ones(len(scores), dtype=np.float32) @ np.abs(scores)


def rank_columns(scores: npt.ArrayLike) -> np.ndarray:
    """Columns by decreasing score; of equal ones the lower number first."""
    values = _floats("scores", scores, 1)
    return np.lexsort((np.arange(len(values)), -values))
