"""Bounds of running sums
======================

What a search's objective loses where a port forms it from running sums of its rows. Return
values are as in ``bounds``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from subbit.reference.bounds.rounding import Arithmetic, Rounded
from subbit.reference.notation import Array, Mask


@dataclass(frozen=True, eq=False)
class Running:
    """Running sums of rows, and what they lose.

    Parameters
    ----------
    size, energy : ndarray of float64, shape (n,)
        ``T = Σ |x|`` and ``Σ x²`` of each row.
    gamma : float
        Relative error of a running sum, ``γ_{k+8}``.
    """

    size: Array
    energy: Array
    gamma: float

    @classmethod
    def of(cls, values: Rounded, mask: Mask) -> "Running":
        """Return the running sums of some entries.

        Parameters
        ----------
        values : Rounded
            Values to search, shape (n, k).
        mask : ndarray of bool, shape (n, k)
            The entries that take part.

        Returns
        -------
        Running
            Their sums.

        Examples
        --------
        >>> from subbit.reference.bounds.rounding import Arithmetic
        >>> values = Arithmetic("float32").read([[1.0, 3.0]])
        >>> running = Running.of(values, values.value > 0.0)
        >>> running.size.tolist(), running.energy.tolist(), running.gamma < 1e-6
        ([4.0], [10.0], True)
        """
        used = np.where(mask, values.reach, 0.0)
        gamma = float(values.arithmetic.gamma(used.shape[1] + 8))
        return cls(np.sum(used, axis=1), np.sum(used**2, axis=1), gamma)

    def tiled(self, times: int) -> "Running":
        """Repeat the rows.

        Parameters
        ----------
        times : int
            How often.

        Returns
        -------
        Running
            The sums of all copies.
        """
        return Running(np.tile(self.size, times), np.tile(self.energy, times), self.gamma)

    @property
    def slack(self) -> Array:
        """Loss in a level times its group's entries."""
        return 96.0 * self.gamma * self.size

    def lost(self, mean: Array, scales: Sequence[Array], *, center: bool) -> Array:
        """Return the loss in the objective of a group.

        Parameters
        ----------
        mean : ndarray of float64, shape (n,)
            Mean magnitude of the group in each row.
        scales : sequence of ndarray of float64, shape (n,)
            Scales of all orders.
        center : bool
            Whether means are subtracted.

        Returns
        -------
        ndarray of float64, shape (n,)
            The loss of each row.

        Notes
        -----
        The objective is ``Σ x² - c Σ l²`` over all means and scales l. A sum over a group is the
        difference of two running ones, so off by ``2 γ T``, and ``c l²`` by ``2 |l| δ`` if c l is
        off by δ.

        1. A mean: ``δ = 2 γ T``. A scale about zero likewise.
        2. A scale about a level is ``(Σ₊ - Σ₋) - (c₊ - c₋) l``: two sums, and the loss of the
           level, ``δ = 8 γ T`` with its roundings.
        3. The mean of a second order is at most α₁ and has lost ``δ = 14 γ T``; a scale about it,
           from the sums of up to four intervals between levels, ``δ = 36 γ T``.
        4. ``Σ x²`` and the differences of squares lose ``8 γ Σ x²``.

        Examples
        --------
        >>> running = Running(np.array([4.0]), np.array([10.0]), 0.5)
        >>> running.lost(np.array([2.0]), [np.array([2.0])], center=False)
        array([56.])
        """
        first, later = (16.0, 72.0) if center else (4.0, 16.0)
        levels = 4.0 * mean if center else np.zeros_like(mean)
        for number, scale in enumerate(scales):
            levels = levels + (later if number else first) * scale
        if center and len(scales) > 1:
            levels = levels + 28.0 * scales[0]
        # Eq. (B22), subbit:  |Δθ²| ≤ γ_{k+8} Σ_i (8 Σ_j x² + T (4|μ| + 44α₁ + 72α₂))
        return np.asarray(self.gamma * (8.0 * self.energy + self.size * levels))


def flushed(used: Mask, arithmetic: Arithmetic) -> float:
    """Return what running sums lose to numbers that are flushed to zero.

    Parameters
    ----------
    used : ndarray of bool, shape (n, k)
        The entries that take part.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    float
        The loss in an objective.

    Examples
    --------
    >>> flushed(np.array([[True]]), Arithmetic("float32")) < 1e-35
    True
    """
    return 64.0 * used.size * arithmetic.tiny
