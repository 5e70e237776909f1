"""Round to nearest
================

The baselines that look at the weights alone.

* ``kind="sign"``: one bit, ``μ + α · sign(w - μ)`` for each row and group of columns, or,
  without the mean, the XNOR form ``α · sign(w)``.
* ``kind="minmax"``: 1 to 8 bits, a uniform grid from the smallest to the largest entry
  of each row and group, always including zero. Its one-bit form maps to the two ends of the
  range; it is not the XNOR form.

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
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.kinds import Numbers, matrix
from subbit.reference.contracts.scalars import Whole
from subbit.reference.contracts.settings import Maybe, Switches
from subbit.reference.contracts.words import BITS, LAYER, WEIGHTS
from subbit.reference.errors import (
    ArgumentError,
)
from subbit.reference.groups.binarize import residual_binarize
from subbit.reference.layer import Group, QuantizedBlock, QuantizedLayer, UniformGroup, block_slices
from subbit.reference.notation import Array, Codes
from subbit.reference.records import Config

DeadGrid: TypeAlias = Literal["zeroed", "given"]


@dataclass(frozen=True, repr=False)
class RTN(Switches):
    """Configuration of round to nearest.

    Parameters
    ----------
    kind : {"sign", "minmax"}, default "sign"
        Signs with a row scale, or a uniform grid.
    bits : int, default 1
        Bits per code; 1 for ``"sign"``.
    group_size : int or None, default 128
        Columns that share a scale in each row; None for the whole row.
    center : bool, default True
        Whether ``"sign"`` keeps a mean; False gives the XNOR form.

    Examples
    --------
    >>> RTN(kind="minmax", bits=2).bits
    2
    """

    kind: Literal["sign", "minmax"] = "sign"
    bits: int = 1
    group_size: int | None = 128
    center: bool = True

    DOMAINS: ClassVar[Mapping[str, Kind]] = {"bits": BITS, "group_size": Maybe(Whole())}

    def __post_init__(self) -> None:
        """Check the settings against their domains, and signs for one bit."""
        super().__post_init__()
        if self.kind == "sign" and self.bits != 1:
            raise ArgumentError("bits", "1 with kind 'sign'", self.bits)


PRESETS: Mapping[str, RTN] = MappingProxyType(
    {
        "sign": RTN(),
        "xnor": RTN(center=False),
        "2bit": RTN(kind="minmax", bits=2),
        "3bit": RTN(kind="minmax", bits=3),
        "4bit": RTN(kind="minmax", bits=4),
    }
)


@contract(2, W=WEIGHTS, bits=BITS)
def minmax_grid(W: Array, bits: int) -> tuple[Array, Array]:
    """Fit a uniform grid to the range of each row.

    Returns
    -------
    scale : ndarray of float64, shape (n,)
        Distance between levels; positive.
    zero : ndarray of float64, shape (n,)
        Code of the value zero, a whole number.

    Notes
    -----
    The range always includes zero; a row of zeros gets the range from -1 to 1. A zero point
    between two codes is the even one, as in the released code.

    References
    ----------
    GPTQ's released quantizer, asymmetric, per channel.

    Examples
    --------
    >>> minmax_grid([[-1.0, 2.0]], bits=2)
    (array([1.]), array([1.]))
    """
    low = np.minimum(W.min(axis=1), 0.0)
    high = np.maximum(W.max(axis=1), 0.0)
    empty = high - low < np.finfo(np.float64).tiny
    low, high = np.where(empty, -1.0, low), np.where(empty, 1.0, high)
    # Eq. (11), subbit:  s = (max − min) / (2^b − 1),  z = round(−min / s)
    scale = (high - low) / (2**bits - 1)
    return scale, np.round(-low / scale)


@contract(
    1,
    W=WEIGHTS,
    scale=Numbers(
        ("n",), positive=True, nonzero=True, text="Distance between the levels of each row."
    ),
    zero=matrix("n", text="The code of zero in each row."),
    bits=BITS,
)
def grid_codes(W: Array, scale: Array, zero: Array, bits: int) -> Codes:
    """Find the nearest grid position of each weight.

    Returns
    -------
    ndarray of uint8, shape (n, k)
        Codes; values outside the range get the nearest end.

    Notes
    -----
    Halves are rounded to even before the zero point is added, as in the released code.

    Examples
    --------
    >>> import numpy as np
    >>> grid_codes([[-1.2, 0.4, 2.6]], np.array([1.0]), np.array([1.0]), bits=2)
    array([[0, 1, 3]], dtype=uint8)
    """
    top = 2**bits - 1
    # Eq. (12), subbit:  C = clip(round(W / s) + z, 0, 2^b − 1)
    positions = np.round(W / scale[:, None]) + zero[:, None]
    return np.clip(positions, 0, top).astype(np.uint8)


def _quantize_group(W: Array, config: RTN) -> Group:
    if config.kind == "sign":
        return residual_binarize(W, center=config.center)
    scale, zero = minmax_grid(W, config.bits)
    codes = grid_codes(W, scale, zero, config.bits)
    return UniformGroup("all", np.ones(W.shape, dtype=np.bool_), codes, scale, zero, config.bits)


@contract(
    3,
    W=LAYER,
    H=matrix("m", "m", text="Not used; every layer routine has the same signature."),
    config=Config(RTN),
)
def rtn_layer(W: Array, H: Array | None = None, config: RTN = RTN()) -> QuantizedLayer:
    """Quantize a layer by rounding each weight to the nearest level.

    Returns
    -------
    QuantizedLayer
        One block for each group of columns.

    Examples
    --------
    >>> rtn_layer([[0.0, 1.0, 2.0, 3.0]], config=RTN(kind="minmax", bits=2)).decode()
    array([[0., 1., 2., 3.]])
    """
    del H
    n, m = W.shape
    # Eq. (13), subbit:  Q_g = nearest level of each row's grid in the columns of group g
    blocks = tuple(
        QuantizedBlock(g.start, g.stop, (_quantize_group(W[:, g], config),))
        for g in block_slices(m, config.group_size or m)
    )
    return QuantizedLayer((n, m), blocks)
