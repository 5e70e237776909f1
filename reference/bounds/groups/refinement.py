"""Levels to rounding
==================

A group whose signs are known and whose levels are known to rounding, and the quotient that
ends every fit of a level.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from subbit.reference.bounds.rounding import Arithmetic, Rounded
from subbit.reference.layer import BinaryGroup
from subbit.reference.least_squares import EpsKind
from subbit.reference.notation import Array, Indices, Mask


@dataclass(frozen=True, eq=False)
class RoundedLevels:
    """A group whose signs are known, and levels known to rounding.

    Parameters
    ----------
    basis : ndarray of float64, shape (p, n, k)
        Mask and signs.
    levels : Rounded
        Mean and scales, shape (n, p).
    spread : ndarray of float64, shape (n, p, s)
        Effect of each rounding on each level.

    Examples
    --------
    >>> from subbit.reference import arb_start
    >>> RoundedLevels.of(arb_start([[0.1, 0.3]]), Arithmetic("float32")).levels.error < 1e-8
    array([[ True,  True]])
    """

    basis: Array
    levels: Rounded
    spread: Array

    @classmethod
    def of(cls, group: BinaryGroup | Self, arithmetic: Arithmetic) -> Self:
        """Read a group's record as a port would.

        Parameters
        ----------
        group : BinaryGroup or RoundedLevels
            The record; without a mean it has the mean 0.
        arithmetic : Arithmetic
            How the port computes.

        Returns
        -------
        RoundedLevels
            Its levels with the errors of their conversion.
        """
        if not isinstance(group, BinaryGroup):
            return group
        mean = np.zeros(len(group.mask)) if group.mean is None else group.mean
        levels = np.column_stack([mean, *(plane.row_scale for plane in group.planes)])  # (n, p)
        signs = [np.asarray(plane.sign, dtype=np.float64) for plane in group.planes]
        basis = np.stack([group.mask.astype(np.float64), *signs])  # (p, n, k)
        return cls.at(basis, arithmetic.read(levels))

    @classmethod
    def at(cls, basis: Array, levels: Rounded) -> Self:
        """Make a group of levels whose errors are independent.

        Parameters
        ----------
        basis : ndarray of float64, shape (p, n, k)
            Mask and signs.
        levels : Rounded
            Mean and scales, shape (n, p).

        Returns
        -------
        RoundedLevels
            The group.
        """
        return cls(basis, levels, levels.error[:, :, None] * np.eye(levels.shape[1]))

    @property
    def mask(self) -> Mask:
        """The group's entries, shape (n, k)."""
        return self.basis[0] != 0.0

    @property
    def mean(self) -> Rounded:
        """Row means, shape (n,)."""
        return self.levels[:, 0]

    @property
    def scales(self) -> tuple[Rounded, ...]:
        """Row scales of each order, shape (n,)."""
        return tuple(self.levels[:, p] for p in range(1, self.levels.shape[1]))

    def moved(self, place: int, to: Rounded, slopes: Array) -> "RoundedLevels":
        """Replace a level.

        Parameters
        ----------
        place : int
            Level to replace.
        to : Rounded
            Its new value, shape (n,), with the errors of this step alone.
        slopes : ndarray of float64, shape (n, p)
            How it depends on the previous levels.

        Returns
        -------
        RoundedLevels
            The group with that level and the effect of earlier errors on it.
        """
        value = self.levels.value.copy()
        value[:, place] = to.value
        spread = np.concatenate([self.spread, np.zeros((*self.spread.shape[:2], 1))], axis=2)
        with np.errstate(invalid="ignore", over="ignore"):
            # Eq. (B38), subbit:  E_p ← Σ_q (∂x_p / ∂x_q) E_q, and a column for the step's own
            # (n, p), (n, p, s) -> (n, s)
            spread[:, place] = np.einsum("iq,iqs->is", slopes, spread)
            spread[:, place, -1] = to.error
            error = np.sum(np.abs(spread), axis=2)
        error = np.where(np.isfinite(error), error, np.inf)
        return replace(self, levels=Rounded(value, error, self.levels.arithmetic), spread=spread)

    def part(self, places: Indices) -> "RoundedLevels":
        """Return some of the levels.

        Parameters
        ----------
        places : ndarray of int
            Which ones.

        Returns
        -------
        RoundedLevels
            These levels with their signs and errors.
        """
        return RoundedLevels(self.basis[places], self.levels[:, places], self.spread[:, places])

    @property
    def decoded(self) -> Rounded:
        """What the levels represent together, shape (n, k), without rounding of its own.

        An error that levels have in common cancels where their signs are opposite.
        """
        # (n, p), (p, n, k) -> (n, k)
        value = np.einsum("ip,pij->ij", self.levels.value, self.basis)
        with np.errstate(invalid="ignore", over="ignore"):
            # Eq. (B120), subbit:  |Σ_p e_p x̂_p − Σ_p e_p x_p| ≤ Σ_s |Σ_p e_p E_ps|
            # (p, n, k), (n, p, s) -> (n, k, s)
            error = np.abs(np.einsum("pij,ips->ijs", self.basis, self.spread)).sum(axis=2)
        error = np.where(np.isfinite(error), error, np.inf)
        return Rounded(value, error, self.levels.arithmetic)

    def remainder(self, W: Rounded, without: int | None = None) -> Rounded:
        """Return the weights minus the levels, with the errors of this step alone.

        Parameters
        ----------
        W : Rounded
            Weights, shape (n, k).
        without : int, optional
            Level not to subtract.

        Returns
        -------
        Rounded
            ``M ∘ (W - Σ x_p e_p)``, shape (n, k); errors of the levels are left out.
        """
        places = [p for p in range(len(self.basis)) if p != without]
        parts = self.basis[places]
        # (n, p), (p, n, k) -> (n, k)
        value = W.value - np.einsum("ip,pij->ij", self.levels.value[:, places], parts)
        sizes = np.einsum("ip,pij->ij", self.levels.reach[:, places], np.abs(parts))  # (n, k)
        arithmetic, count = W.arithmetic, len(places)
        with np.errstate(invalid="ignore", over="ignore"):
            reach = W.reach + sizes
            error = W.error + arithmetic.gamma(count) * reach + count * arithmetic.tiny
        error = np.where((reach <= arithmetic.largest) & (reach > 0.0), error, np.inf)
        error = np.where(reach == 0.0, 0.0, error)
        return Rounded(value, error, arithmetic).keep(self.mask)


def quotient_bound(
    numerator: Rounded, denominator: Rounded, current: Rounded, eps: float, kind: EpsKind
) -> Rounded:
    """Bound of a quotient with an eps that keeps the current value where it must.

    Parameters
    ----------
    numerator, denominator, current : Rounded
        Dividend, divisor and the value before, shape (n,).
    eps, kind
        As in :class:`~subbit.reference.groups.refinement.Refinement`.

    Returns
    -------
    Rounded
        Quotients, shape (n,).

    Notes
    -----
    As any quotient. Where rounding may decide whether the divisor is positive, there is no
    bound.

    Examples
    --------
    >>> one, none = Arithmetic().read([1.0]), Arithmetic().read([0.0])
    >>> quotient_bound(one, none, one, 0.0, "absolute").error
    array([0.])
    """
    arithmetic, divisor = numerator.arithmetic, denominator
    if eps > 0.0:
        share = arithmetic.read(eps)
        if kind == "relative":
            share *= denominator.sum("any") / arithmetic.exactly(len(denominator.value))
        divisor = denominator + share
    quotient = numerator / divisor
    kept = (divisor.value <= 0.0) & (divisor.error == 0.0)
    # Eq. (B39), subbit:  a quotient where d + ε > e_d, the current value where d + ε ≤ 0 exactly
    error = np.where(divisor.value > divisor.error, quotient.error, np.inf)
    return Rounded(
        np.where(divisor.value > 0.0, quotient.value, current.value),
        np.where(kept, current.error, error),
        arithmetic,
    )
