"""Round to nearest
================

The baselines that look at the weights alone.

* ``kind="sign"``: one bit, ``μ + α · sign(w - μ)`` for each row and group of columns, or
  without the mean the XNOR form ``α · sign(w)``.
* ``kind="minmax"``: 1 to 8 bits, a uniform grid from the smallest to the largest entry
  of each row and group, zero always on the grid. Its one-bit form maps to the two ends
  of the range; it is not the XNOR form.

========== ========= ===========================================
symbol     shape     meaning
========== ========= ===========================================
``s``      (n,)      distance between levels
``z``      (n,)      the code of the value zero
``C``      (n, k)    codes, 0 to ``2^b - 1``
========== ========= ===========================================
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from subbit.reference.errors import (
    ArgumentError,
    check_choice,
    check_config,
    check_count,
    check_matrix,
)
from subbit.reference.groups.binarize import residual_binarize
from subbit.reference.layer import Group, QuantizedBlock, QuantizedLayer, UniformGroup, block_slices
from subbit.reference.notation import Array, Codes


@dataclass(frozen=True)
class RTN:
    """Configuration of round to nearest.

    Parameters
    ----------
    kind : {"sign", "minmax"}, default "sign"
        Signs with a row scale, or a uniform grid.
    bits : int, default 1
        Bits of a code; 1 for ``"sign"``.
    group_size : int or None, default 128
        Columns that share a scale in a row; None for the whole row.
    center : bool, default True
        Whether ``"sign"`` keeps a mean; false gives the XNOR form.

    Examples
    --------
    >>> RTN(kind="minmax", bits=2).bits
    2
    """

    kind: Literal["sign", "minmax"] = "sign"
    bits: int = 1
    group_size: int | None = 128
    center: bool = True

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, ("sign", "minmax"))
        check_choice("center", self.center, (False, True))
        check_count("bits", self.bits, 1, 8)
        if self.kind == "sign" and self.bits != 1:
            raise ArgumentError("bits", "1 with kind 'sign'", self.bits)
        if self.group_size is not None:
            check_count("group_size", self.group_size)


PRESETS: Mapping[str, RTN] = MappingProxyType(
    {
        "sign": RTN(),
        "xnor": RTN(center=False),
        "2bit": RTN(kind="minmax", bits=2),
        "3bit": RTN(kind="minmax", bits=3),
        "4bit": RTN(kind="minmax", bits=4),
    }
)


def minmax_grid(W: npt.ArrayLike, bits: int) -> tuple[Array, Array]:
    """Uniform grid over the range of each row.

    Parameters
    ----------
    W : array_like of float64, shape (n, k)
        Weights.
    bits : int
        Bits of a code, 1 to 8.

    Returns
    -------
    scale : ndarray of float64, shape (n,)
        Distance between levels; positive.
    zero : ndarray of float64, shape (n,)
        Code of the value zero, a whole number.

    Raises
    ------
    ArgumentError
        If `W` is not a finite matrix or `bits` is outside 1 to 8.

    Notes
    -----
    The range always includes zero; a row of zeros gets the range from -1 to 1.

    References
    ----------
    GPTQ's released quantizer, asymmetric, per channel.

    Examples
    --------
    >>> minmax_grid([[-1.0, 2.0]], bits=2)
    (array([1.]), array([1.]))
    """
    weights = check_matrix("W", W)
    check_count("bits", bits, 1, 8)
    low = np.minimum(weights.min(axis=1), 0.0)
    high = np.maximum(weights.max(axis=1), 0.0)
    empty = high - low < np.finfo(np.float64).tiny
    low, high = np.where(empty, -1.0, low), np.where(empty, 1.0, high)
    # Eq. (11), subbit:  s = (max − min) / (2^b − 1),  z = round(−min / s)
    scale = (high - low) / (2**bits - 1)
    return scale, np.round(-low / scale)


def grid_codes(W: npt.ArrayLike, scale: Array, zero: Array, bits: int) -> Codes:
    """Nearest grid position of each weight.

    Parameters
    ----------
    W : array_like of float64, shape (n, k)
        Weights.
    scale, zero : ndarray of float64, shape (n,)
        The grid of each row.
    bits : int
        Bits of a code, 1 to 8.

    Returns
    -------
    ndarray of uint8, shape (n, k)
        Codes; values outside the range get the nearest end.

    Raises
    ------
    ArgumentError
        If `W` is not a finite matrix or `bits` is outside 1 to 8.

    Notes
    -----
    Halves are rounded to even before the zero point is added, as in the released code.

    Examples
    --------
    >>> import numpy as np
    >>> grid_codes([[-1.2, 0.4, 2.6]], np.array([1.0]), np.array([1.0]), bits=2)
    array([[0, 1, 3]], dtype=uint8)
    """
    weights = check_matrix("W", W)
    top = 2 ** check_count("bits", bits, 1, 8) - 1
    # Eq. (12), subbit:  C = clip(round(W / s) + z, 0, 2^b − 1)
    positions = np.round(weights / scale[:, None]) + zero[:, None]
    return np.clip(positions, 0, top).astype(np.uint8)


def _quantize_group(W: Array, config: RTN) -> Group:
    if config.kind == "sign":
        return residual_binarize(W, center=config.center)
    scale, zero = minmax_grid(W, config.bits)
    codes = grid_codes(W, scale, zero, config.bits)
    return UniformGroup("all", np.ones(W.shape, dtype=np.bool_), codes, scale, zero, config.bits)


def rtn_layer(
    W: npt.ArrayLike, H: npt.ArrayLike | None = None, config: RTN = RTN()
) -> QuantizedLayer:
    """Quantize a layer by rounding each weight to the nearest level.

    Parameters
    ----------
    W : array_like of float64, shape (n, m)
        Weights.
    H : array_like of float64, shape (m, m), optional
        Not used; every layer routine has the same signature.
    config : RTN, default RTN()
        The configuration.

    Returns
    -------
    QuantizedLayer
        One block for each group of columns.

    Raises
    ------
    ArgumentError
        If `W` is not a finite matrix.

    Examples
    --------
    >>> rtn_layer([[0.0, 1.0, 2.0, 3.0]], config=RTN(kind="minmax", bits=2)).decode()
    array([[0., 1., 2., 3.]])
    """
    del H
    weights = check_matrix("W", W)
    check_config(config, RTN)
    n, m = weights.shape
    # Eq. (13), subbit:  Q_g = nearest level of each row's grid in the columns of group g
    blocks = tuple(
        QuantizedBlock(g.start, g.stop, (_quantize_group(weights[:, g], config),))
        for g in block_slices(m, config.group_size or m)
    )
    return QuantizedLayer((n, m), blocks)
