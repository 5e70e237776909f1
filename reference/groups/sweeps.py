"""Sweeps
======

Once all columns have levels, each can be chosen again with the others as they are: coordinate
descent on the calibrated error

    ``Tr(D H Dᵀ)``,  ``D = W − Q``,

whose gradient with respect to Q is ``−2 D H``. In each group, from left to right: the steps of
the rows by least squares, rounded to their exponents; then the large entries of each 16
columns; then the levels column by column. A step or a pattern is only taken by the rows whose
error falls, and a column's new level is the best there is, so that no row's error rises.

========== ========= ===================================================
symbol     shape     meaning
========== ========= ===================================================
``L``      (n, k)    levels of a group
``c``      (k,)      its column scales
``Z``      (n, k)    ``L_g c_gᵀ``, a group before its row scales
``r``      (n,)      its row scales
``P``      (n, k)    ``D H``, at the columns of the group
``δ``                what is added to Q
========== ========= ===================================================
"""

from dataclasses import dataclass, replace

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import symmetric
from subbit.reference.contracts.words import LAYER
from subbit.reference.errors import ArgumentError
from subbit.reference.layer import QuantizedLayer
from subbit.reference.leveled import SPAN, STEPS, LevelGroup, Levels
from subbit.reference.notation import Array
from subbit.reference.records import Layer

from .leveling import code_exponents
from .nearest import large_entries, nearest_levels


@dataclass
class _Sweep:
    """A group while it is swept, with its part of H, and its products, which follow it."""

    group: LevelGroup
    H: Array
    P: Array

    def __post_init__(self) -> None:
        scale, self.L = self.group.column_scale, self.group.levels.copy()
        self.c = np.ones(self.L.shape[1]) if scale is None else scale
        self.r, self.e = self.group.row_scale, self.group.exponent

    def refit(self) -> None:
        """Refit the steps of the rows."""
        if self.e is None:
            return
        Z = self.L * self.c
        gain, curvature = np.sum(Z * self.P, axis=1), np.sum((Z @ self.H) * Z, axis=1)
        # Eq. (81), subbit:  r_i ← r_i + Z_i P_iᵀ / (Z_i H Z_iᵀ)
        move = np.divide(gain, curvature, out=np.zeros_like(gain), where=curvature > 0.0)
        e = code_exponents(np.maximum(self.r + move, 0.0), self.group.reference)
        delta = self.group.reference * np.exp2(e / STEPS) - self.r
        # Eq. (82), subbit:  δ_i² Z_i H Z_iᵀ − 2 δ_i Z_i P_iᵀ < 0 where it is taken
        falls = (curvature * delta - 2.0 * gain) * delta < 0.0
        self.e = np.where(falls, e, self.e).astype(np.int8)
        delta = np.where(falls, delta, 0.0)
        self.r = self.r + delta
        self.P -= (delta[:, None] * Z) @ self.H

    def targets(self, columns: slice) -> Array:
        """Return what some columns would be without levels, in units of their steps."""
        scale = self.r[:, None] * self.c[columns]
        # Eq. (83), subbit:  t_:j = L_:j + P_:j / (r c_j H_jj)
        unit = np.divide(self.P[:, columns], scale, out=np.zeros(scale.shape), where=scale != 0.0)
        targets: Array = self.L[:, columns] + unit / np.diag(self.H)[columns]
        return targets

    def change(self, columns: slice, levels: Levels) -> Array:
        """Return what new levels of some columns add to Q."""
        change: Array = (
            self.r[:, None] * self.c[columns] * (levels - self.L[:, columns].astype(np.float64))
        )
        return change

    def move(self, columns: slice, levels: Levels) -> None:
        """Give some columns new levels."""
        delta = self.change(columns, levels)
        self.L[:, columns] = levels
        # Eq. (84), subbit:  P ← P − δ H
        self.P -= delta @ self.H[columns]

    def choose_large(self) -> None:
        """Choose the large entries of each 16 columns again, with the signs that suit them."""
        for start in range(0, self.L.shape[1] - SPAN + 1, SPAN):
            part = slice(start, start + SPAN)
            coding, t = self.group.coding, self.targets(part)
            levels = nearest_levels(t, coding, large_entries(t, coding.large))
            delta = self.change(part, levels)
            # Eq. (85), subbit:  δ_i H δ_iᵀ − 2 P_i δ_iᵀ < 0 where it is taken
            rise = np.sum((delta @ self.H[part, part] - 2.0 * self.P[:, part]) * delta, axis=1)
            self.move(part, np.where((rise < 0.0)[:, None], levels, self.L[:, part]))

    def choose_levels(self) -> None:
        """Choose the levels of each column again."""
        coding = self.group.coding
        for column in range(self.L.shape[1]):
            one = slice(column, column + 1)
            is_large = np.abs(self.L[:, one]) > 1
            self.move(one, nearest_levels(self.targets(one), coding, is_large))

    def swept(self) -> LevelGroup:
        """Return the group after one sweep."""
        self.refit()
        if self.group.coding.large:
            self.choose_large()
        self.choose_levels()
        return replace(self.group, levels=self.L, exponent=self.e)


def _groups(layer: QuantizedLayer) -> list[LevelGroup]:
    groups = [block.groups[0] for block in layer.blocks]
    if not all(isinstance(group, LevelGroup) for group in groups):
        raise ArgumentError("layer", "blocks of levels", "others")
    return [group for group in groups if isinstance(group, LevelGroup)]


@contract(
    3,
    W=LAYER,
    H=symmetric("m", "Damped Hessian, with a positive diagonal."),
    layer=Layer(text="The record, of groups of levels."),
)
def sweep_levels(W: Array, H: Array, layer: QuantizedLayer) -> QuantizedLayer:
    """Choose steps and levels of a layer again, with all others as they are.

    Returns
    -------
    QuantizedLayer
        The layer after one sweep; its codes, references and column scales stay.

    Raises
    ------
    ArgumentError
        If a block has another kind of group, the shapes differ, or the diagonal of `H` is not
        positive.

    Notes
    -----
    No row's error ``D_i H D_iᵀ`` rises.

    References
    ----------
    Eqs. (81) to (85), subbit.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import QuantizedBlock
    >>> W, H = np.array([[-0.4, 1.0]]), np.array([[1.0, 0.9], [0.9, 1.0]])
    >>> group = LevelGroup("all", W != 0, "1", np.array([[1, 1]], dtype=np.int8), np.ones(1))
    >>> layer = QuantizedLayer((1, 2), (QuantizedBlock(0, 2, (group,)),))
    >>> sweep_levels(W, H, layer).decode()
    array([[-1.,  1.]])
    """
    if layer.shape != W.shape:
        raise ArgumentError("layer", f"a record of shape {W.shape}", layer.shape)
    if not np.all(np.diag(H) > 0.0):
        raise ArgumentError("H", "a positive diagonal", "another")
    groups = _groups(layer)
    if layer.order is not None:
        W, H = W[:, layer.order], H[np.ix_(layer.order, layer.order)]
    Q = np.hstack([group.decode() for group in groups])  # groups of (n, k) -> (n, m)
    P, blocks = (W - Q) @ H, []
    for block, group in zip(layer.blocks, groups, strict=True):
        B, new = block.columns, group
        if group.coding.planes:
            new = _Sweep(group, H[B, B], P[:, B].copy()).swept()
            # Eq. (84), subbit:  P ← P − δ H
            P -= (new.decode() - Q[:, B]) @ H[B]
        blocks.append(replace(block, groups=(new,)))
    return replace(layer, blocks=tuple(blocks))
