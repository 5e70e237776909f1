"""Assigning entries column by column
==================================

A block of binary groups is fitted as a whole: masks, means and scales. Here these stay, and
its columns are assigned again from left to right: each entry goes to the nearest value that its
group can take there, and each column's error moves the columns to its right inside the block, as
in GPTQ. Beyond the papers, which keep the signs that the fit gave.

========== ========= =======================================================
symbol     shape     meaning
========== ========= =======================================================
``W``      (n, k)    weights of the block, moved by the columns before
``U``      (k, k)    the block's diagonal block of the inverse factor
``μ_i``              mean of the entry's group in row i, or 0
``r_p,i``            row scale of plane p of the entry's group
``c_p,j``            column scale of plane p, or 1
========== ========= =======================================================

Ties are decided as everywhere: at order 1 the sign of zero is +1, and of two signs the first of
the nearest pairs counts, as in :func:`~subbit.reference.groups.arb.joint_signs`. No assigned sign
is 0. Entries in no group decode to 0; their errors are fed forward, too.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import Flags, matrix
from subbit.reference.contracts.words import BLOCK
from subbit.reference.groups.arb import joint_signs
from subbit.reference.records import BinaryBlock

from .columns import compensate_columns
from .layer import BinaryGroup, QuantizedBlock
from .notation import Array, Mask, Signs
from .signs import sign


def _nearest(Z: Array, scales: Sequence[Array]) -> tuple[Signs, ...]:
    """Return the signs of the values of ``Σ_p ± scale_p`` that are nearest to `Z`."""
    if not scales:
        return ()
    if len(scales) == 1:
        # Least squares under a Gram matrix may give negative scales.
        return (sign(np.where(scales[0] < 0.0, -Z, Z)),)
    return joint_signs(Z, *scales)


def _assigned(group: BinaryGroup, column: Array, j: int) -> BinaryGroup:
    """Return one column of a group, with the signs of its nearest values."""
    ones, mask = np.ones((len(column), 1), dtype=np.int8), group.mask[:, j : j + 1]
    plus = [
        replace(
            plane,
            sign=ones,
            column_scale=None if plane.column_scale is None else plane.column_scale[j : j + 1],
        )
        for plane in group.planes
    ]
    # Eq. (93), subbit:  B_ij = argmin_{B ∈ {−1, +1}^p} |W_ij − μ_i − Σ_p B_p r_p,i c_p,j|
    Z = column[:, None] - group.row_means[:, None]
    signs = _nearest(Z, [plane.decode() for plane in plus])
    planes = (
        replace(plane, sign=np.where(mask, B, np.int8(0)))
        for plane, B in zip(plus, signs, strict=True)
    )
    return replace(group, mask=mask, planes=tuple(planes))


def _with_signs(group: BinaryGroup, signs: Sequence[Signs]) -> BinaryGroup:
    planes = zip(group.planes, signs, strict=True)
    return replace(group, planes=tuple(replace(plane, sign=own) for plane, own in planes))


@contract(
    2,
    W=BLOCK,
    U=matrix("k", "k", text="The block's diagonal block of the inverse factor."),
    block=BinaryBlock(text="The block as it was fitted; its signs are not used."),
    free=Flags(("n", "k"), text="The weights that feedback may move; all by default.", whole=False),
)
def assign_columns(
    W: Array, U: Array, block: QuantizedBlock, *, free: Mask | None = None
) -> QuantizedBlock:
    """Assign the entries of a fitted block column by column, with feedback inside it.

    Returns
    -------
    QuantizedBlock
        The block with other signs; masks, means and scales stay.

    Notes
    -----
    For the values that each entry can take, it is GPTQ: with `U` diagonal every entry goes to its
    nearest value, and a block whose weights are all among them stays as it is. The error of a
    layer usually falls, but it may rise.

    References
    ----------
    GPTQ, arXiv 2210.17323v2, Algorithm 1; Eqs. (92) and (93), subbit.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import residual_binarize
    >>> W, U = np.array([[1.0, 1.0, -0.5, -1.5]]), np.eye(4)
    >>> U[0, 2] = U[1, 2] = -2.0
    >>> block = QuantizedBlock(0, 4, (residual_binarize(W * [1.5, 1.5, 1.0, 1.0]),))
    >>> block.decode(), assign_columns(W, U, block).decode()
    (array([[ 1.25,  1.25, -1.25, -1.25]]), array([[ 1.25,  1.25, -1.25, -1.25]]))
    """
    groups = cast("tuple[BinaryGroup, ...]", block.groups)
    signs = [[np.zeros(W.shape, dtype=np.int8) for _ in group.planes] for group in groups]

    def quantize_column(current: Array, j: int) -> Array:
        own = tuple(_assigned(group, current[:, j], j) for group in groups)
        for planes, group in zip(signs, own, strict=True):
            for plane, column in zip(planes, group.planes, strict=True):
                plane[:, j] = column.sign[:, 0]
        return QuantizedBlock(j, j + 1, own).decode()[:, 0]

    compensate_columns(W, U, quantize_column, free=free)
    return replace(block, groups=tuple(map(_with_signs, groups, signs)))
