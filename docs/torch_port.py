"""A port in torch
===============

A few operations in float32 on tensors, on a GPU where there is one. Tensors come back as they are:
the suite moves them to the host. It reads bfloat16 as float32, which has all of its numbers.

    PYTHONPATH=docs subbit check torch_port --level 2
"""

import numpy as np
import numpy.typing as npt
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CAPABILITIES = {
    "dtype": "float32",
    "device": DEVICE,
    "versions": {"torch": torch.__version__},
}


def _floats(name: str, value: npt.ArrayLike, axes: int) -> torch.Tensor:
    try:
        given = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: expected an array") from error
    if given.dtype.kind not in "iuf" or given.ndim != axes or given.size == 0:
        raise ValueError(f"{name}: expected numbers on {axes} axes")
    with np.errstate(over="ignore"):
        numbers = torch.from_numpy(given.astype(np.float32)).to(DEVICE)
    if not torch.isfinite(numbers).all():
        raise ValueError(f"{name}: expected finite numbers that float32 can hold")
    return numbers


def _entries(mask: npt.ArrayLike | None, shape: torch.Size) -> torch.Tensor:
    if mask is None:
        return torch.ones(shape, dtype=torch.bool, device=DEVICE)
    given = np.asarray(mask)
    if given.dtype != bool or given.shape != tuple(shape):
        raise ValueError(f"mask: expected booleans of shape {tuple(shape)}")
    return torch.from_numpy(given.copy()).to(DEVICE)


def masked_mean(W: npt.ArrayLike, mask: npt.ArrayLike | None = None) -> torch.Tensor:
    """Mean of each row over the entries of a group."""
    weights = _floats("W", W, 2)
    entries = _entries(mask, weights.shape)
    sums = torch.where(entries, weights, 0.0).sum(dim=1)
    return sums / entries.sum(dim=1).clamp(min=1)


def magnitude_importance(W: npt.ArrayLike) -> torch.Tensor:
    """Magnitude of each weight."""
    return _floats("W", W, 2).abs()


def column_saliency(S: npt.ArrayLike) -> torch.Tensor:
    """Score of each column, the sum of its magnitudes."""
    return _floats("S", S, 2).abs().sum(dim=0)


def rank_columns(scores: npt.ArrayLike) -> torch.Tensor:
    """Columns by decreasing score; of equal ones the lower number first."""
    return torch.sort(_floats("scores", scores, 1), descending=True, stable=True).indices
