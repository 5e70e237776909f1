"""Bounds of decoding
==================

How far a correct port's decoded values may deviate. Return values are as in
:mod:`~subbit.reference.bounds.groups.binarize`.
"""

import numpy as np

from subbit.reference.factored import ProductGroup
from subbit.reference.haar import HaarGroup
from subbit.reference.layer import BinaryGroup, QuantizedBlock, ValueGroup
from subbit.reference.leveled import STEPS, LevelGroup

from .haar import binary_values, haar_group_bound
from .rounding import Arithmetic, Rounded


def decode_bound(block: QuantizedBlock, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of decoding a block from its record.

    Parameters
    ----------
    block : QuantizedBlock
        The record.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        The block's values, shape (n, k).

    Notes
    -----
    1. Scales and means are converted: ``e_α``, ``e_μ``. Products with signs are exact.
    2. A binary group adds its mean and planes: ``γ_o (|μ| + Σ|α|)`` for o additions.
       Column scales and codes on a grid take one more product; plain values are converted.
    3. A power ``2^{e/16}`` is off by at most two units, and levels take two or three products.
    4. The product of two sign matrices is whole, and takes two products with scales.
    5. Haar coefficients are as in :func:`~subbit.reference.bounds.haar.haar_group_bound`.
    6. Groups are disjoint, so adding them is exact.

    Examples
    --------
    >>> from subbit.reference import residual_binarize
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> block = QuantizedBlock(0, 2, (residual_binarize([[0.1, -0.3]]),))
    >>> decode_bound(block, arithmetic=Arithmetic("float32")).error < 1e-7
    array([[ True,  True]])
    """
    parts = []
    for group in block.groups:
        if isinstance(group, BinaryGroup):
            values = binary_values(group, arithmetic)
        elif isinstance(group, ValueGroup):
            values = arithmetic.read(group.values)
        elif isinstance(group, LevelGroup):
            values = _level_values(group, arithmetic)
        elif isinstance(group, ProductGroup):
            values = _product_values(group, arithmetic)
        elif isinstance(group, HaarGroup):
            values = haar_group_bound(group, arithmetic=arithmetic)
        else:
            steps = arithmetic.exactly(group.codes - group.zero[:, None])
            values = arithmetic.read(group.scale)[:, None] * steps
        parts.append(values.keep(group.mask))
    # Eq. (B11), subbit:  |Q̂ − Q| ≤ e_μ + Σ e_α + γ_o (|μ| + Σ|α|),  or e_s |C − z| + γ_1 |Q|
    value, error = (
        np.sum([getattr(p, name) for p in parts], axis=0) for name in ("value", "error")
    )
    return Rounded(value, error, arithmetic)


def _level_values(group: LevelGroup, arithmetic: Arithmetic) -> Rounded:
    scale = arithmetic.read(group.reference)
    if group.exponent is not None:
        power = np.exp2(group.exponent / STEPS)
        # Eq. (B130), subbit:  |fl(2^{e/16}) − 2^{e/16}| ≤ 2 u 2^{e/16}
        scale *= Rounded(power, 2.0 * arithmetic.unit_roundoff * power, arithmetic)
    values = scale[:, None] * arithmetic.exactly(group.levels.astype(np.float64))
    columns = group.column_scale
    return values if columns is None else values * arithmetic.read(columns)[None]


def _product_values(group: ProductGroup, arithmetic: Arithmetic) -> Rounded:
    scales = arithmetic.read(group.row_scale)[:, None], arithmetic.read(group.column_scale)[None]
    return scales[0] * arithmetic.exactly(group.product()) * scales[1]
