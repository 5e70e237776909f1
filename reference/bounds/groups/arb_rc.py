"""Bounds of row and column scales
===============================

How far a correct port's half steps of ARB-RC may deviate. Return values are as in
``bounds.groups.arb``.

========== =========== =============================================================
symbol     shape       meaning
========== =========== =============================================================
``r, c``   (n,), (k,)  row and column scales of an order
``b``      (n, k)      its signs, 0 outside the mask
``z``      (n, k)      the remainder of the other order
``N, D``   (n,)        ``Σ c b z`` and ``Σ c² b²``, or the same down the columns
``E``      (d, s)      effect of each of s earlier roundings on each of all d scales
========== =========== =============================================================

A half step is not linear in the scales; the second-order remainder is added to its own
roundings, which are counted at the reference's magnitudes. Scales that an error has moved
along the gauge, ``(t r, c / t)``, have the same products: ``E`` keeps the signs, so this
cancels in :meth:`RoundedScales.product`.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.errors import check_mask
from subbit.reference.layer import BinaryGroup
from subbit.reference.notation import Array, Mask, SignOfZero
from subbit.reference.signs import sign

from .binarize import masked_mean_bound


@dataclass(frozen=True, eq=False)
class RoundedScales:
    """A group with column scales, whose signs are known, and scales known to rounding.

    Parameters
    ----------
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    signs : ndarray of float64, shape (p, n, k)
        Signs of each order.
    scales : Rounded
        Row and column scales of each order, one after the other, shape (p (n + k),).
    spread : ndarray of float64, shape (p (n + k), s)
        Effect of each rounding on each scale.

    Examples
    --------
    >>> from subbit.reference import rc_start
    >>> scales = RoundedScales.of(rc_start([[2.0, -4.0], [1.0, 2.0]]), Arithmetic())
    >>> scales.rows(0).value, scales.columns(0).value.round(3)
    (array([3. , 1.5]), array([0.667, 1.333]))
    """

    mask: Mask
    signs: Array
    scales: Rounded
    spread: Array

    @classmethod
    def of(cls, group: "BinaryGroup | RoundedScales", arithmetic: Arithmetic) -> "RoundedScales":
        """Read a group's record as a port would.

        Parameters
        ----------
        group : BinaryGroup or RoundedScales
            The record; its planes have column scales.
        arithmetic : Arithmetic
            How the port computes.

        Returns
        -------
        RoundedScales
            Its scales with the errors of their conversion.
        """
        if not isinstance(group, BinaryGroup):
            return group
        ones = np.ones(group.mask.shape[1])
        parts = []
        for plane in group.planes:
            parts += [plane.row_scale, ones if plane.column_scale is None else plane.column_scale]
        # (o, n, k)
        signs = np.stack([np.asarray(plane.sign, dtype=np.float64) for plane in group.planes])
        return cls.at(np.asarray(group.mask), signs, arithmetic.read(np.concatenate(parts)))

    @classmethod
    def at(cls, mask: Mask, signs: Array, scales: Rounded) -> "RoundedScales":
        """Make a group of scales whose errors are independent.

        Parameters
        ----------
        mask : ndarray of bool, shape (n, k)
            The group's entries.
        signs : ndarray of float64, shape (p, n, k)
            Signs of each order.
        scales : Rounded
            All scales, shape (p (n + k),).

        Returns
        -------
        RoundedScales
            The group.
        """
        return cls(mask, signs, scales, np.diag(scales.error))

    def place(self, plane: int, *, columns: bool) -> slice:
        """Locate the scales of an order.

        Parameters
        ----------
        plane : int
            The order.
        columns : bool
            Whether to locate those of columns or those of rows.

        Returns
        -------
        slice
            Their positions.
        """
        n, k = self.mask.shape
        start = plane * (n + k) + (n if columns else 0)
        return slice(start, start + (k if columns else n))

    def rows(self, plane: int) -> Rounded:
        """Return the row scales of an order.

        Parameters
        ----------
        plane : int
            The order.

        Returns
        -------
        Rounded
            Shape (n,).
        """
        return self.scales[self.place(plane, columns=False)]

    def columns(self, plane: int) -> Rounded:
        """Return the column scales of an order.

        Parameters
        ----------
        plane : int
            The order.

        Returns
        -------
        Rounded
            Shape (k,).
        """
        return self.scales[self.place(plane, columns=True)]

    def product(self, plane: int) -> Rounded:
        """Return the products of the scales of an order.

        Parameters
        ----------
        plane : int
            The order.

        Returns
        -------
        Rounded
            ``r c``, shape (n, k); movement along the gauge is no error.
        """
        r, c = self.rows(plane), self.columns(plane)
        rows, columns = (self.spread[self.place(plane, columns=x)] for x in (False, True))
        arithmetic = self.scales.arithmetic
        with np.errstate(invalid="ignore", over="ignore"):
            # Eq. (B52), subbit:  e ≤ Σ_s |c E_r + r E_c| + e_r e_c + γ_1 |r c|
            moved = np.abs(
                c.value[None, :, None] * rows[:, None] + r.value[:, None, None] * columns
            )
            value = r.value[:, None] * c.value
            error = np.sum(np.abs(moved), axis=2) + r.error[:, None] * c.error
            error += arithmetic.gamma(1) * (np.abs(value) + error) + arithmetic.tiny
        error = np.where((value == 0.0) & (error <= arithmetic.tiny), 0.0, error)
        return Rounded(value, np.where(np.isfinite(error), error, np.inf), arithmetic)

    def moved(self, place: slice, to: Rounded, slopes: Array) -> "RoundedScales":
        """Replace some scales.

        Parameters
        ----------
        place : slice
            Scales to replace.
        to : Rounded
            Their new values, shape (m,), with the errors of this step alone.
        slopes : ndarray of float64, shape (m, p (n + k))
            How they depend on all previous scales.

        Returns
        -------
        RoundedScales
            The group with those scales and the effect of earlier errors on them.
        """
        value, own = self.scales.value.copy(), np.zeros((len(self.spread), len(slopes)))
        value[place] = to.value
        spread = self.spread.copy()
        with np.errstate(invalid="ignore", over="ignore"):
            # Eq. (B53), subbit:  E ← (∂x' / ∂x) E, and columns for the step's own roundings
            spread[place] = slopes @ self.spread
            own[place] = np.diag(to.error)
            spread = np.concatenate([spread, own], axis=1)
            error = np.sum(np.abs(spread), axis=1)
        error = np.where(np.isfinite(error), error, np.inf)
        return replace(self, scales=Rounded(value, error, self.scales.arithmetic), spread=spread)


def rc_start_bound(
    W: Input,
    mask: npt.ArrayLike | None = None,
    *,
    order: int = 1,
    sign_zero: SignOfZero = 1,
    signs: tuple[npt.ArrayLike, ...] | None = None,
    arithmetic: Arithmetic,
) -> tuple[RoundedScales, tuple[Rounded, ...]]:
    """Bounds of :func:`~subbit.reference.groups.arb_rc.rc_start`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    mask, order
        As in :func:`~subbit.reference.groups.arb_rc.rc_start`.
    sign_zero : {1, 0}, default 1
        Sign of zero.
    signs : tuple of array_like of int, shape (n, k), optional
        The port's own signs, one matrix per order; the reference's by default.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    state : RoundedScales
        The scales.
    distances : tuple of Rounded
        For each order, the values that the signs are taken of, shape (n, k).

    Notes
    -----
    1. Row scales as in :func:`~subbit.reference.bounds.groups.binarize.masked_mean_bound`.
    2. A share ``|w| / r`` is off by ``(e_w + e_r |w| / r) / (r - e_r) + γ_2``, and its mean
       down a column by a further ``γ_p``. Where rounding may decide whether a row is zero,
       the columns that it has entries in have no bound.

    Examples
    --------
    >>> W, port = [[2.0, -4.0], [1.0, 2.0]], Arithmetic("float32")
    >>> state, _ = rc_start_bound(W, arithmetic=port)
    >>> state.columns(0).value.round(3), bool(state.columns(0).error.max() < 1e-6)
    (array([0.667, 1.333]), True)
    """
    weights = arithmetic.checked("W", W)
    M = check_mask("mask", mask, weights.shape)
    rest, drawn, parts, distances = weights.keep(M), [], [], []
    for index in range(order):
        size = rest.absolute()
        rows = masked_mean_bound(size, M, arithmetic=arithmetic)
        there = rows.value > 0.0
        columns = _mean_share(size, rows, M & there[:, None])
        # Eq. (B54), subbit:  |ĉ_j − c_j| ≤ Σ e_s / m + γ_{p+2} c_j,  s = |w| / r
        unsure = M & (there & (rows.value <= rows.error) | ~there & (rows.error > 0.0))[:, None]
        columns = columns.widen(np.where(unsure.any(axis=0), np.inf, 0.0))
        B = np.where(M, sign(rest.value, sign_zero) if signs is None else signs[index], 0)
        distances.append(rest)
        parts += [rows, columns]
        drawn.append(B.astype(np.float64))
        rest -= (rows[:, None] * columns[None]).flip(B)
    scales = Rounded(
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.error for part in parts]),
        arithmetic,
    )
    return RoundedScales.at(M, np.stack(drawn), scales), tuple(distances)  # signs (o, n, k)


def _mean_share(size: Rounded, rows: Rounded, used: Mask) -> Rounded:
    arithmetic = size.arithmetic
    one = np.where(rows.value > 0.0, rows.value, 1.0)
    shares = (size / Rounded(one, rows.error, arithmetic)[:, None]).keep(used)
    counts = np.maximum(np.count_nonzero(used, axis=0), 1)
    return shares.sum("column_fit", used) / arithmetic.exactly(counts)
