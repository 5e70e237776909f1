"""Configuration of products of sign matrices
==========================================

The presets are named after the payload bits that they may spend, and after the released code.

========== ========= =======================================================
symbol     shape     meaning
========== ========= =======================================================
``r``                rank
``ρ``                penalty of step t of T
========== ========= =======================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from types import MappingProxyType
from typing import ClassVar, Literal

from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.scalars import Real, Share, Whole
from subbit.reference.contracts.settings import Switches
from subbit.reference.contracts.words import PERCDAMP
from subbit.reference.errors import ArgumentError
from subbit.reference.groups.factors import POWER_STEPS

FLOAT_BITS = 16
"""Bits of a row scale, and of a column scale."""


@dataclass(frozen=True, repr=False)
class SignProduct(Switches):
    """Configuration of products of sign matrices.

    Parameters
    ----------
    payload : float, default 1.0
        Payload bits per weight that a layer may have.
    rank_step : int, default 1
        Number that the rank is a multiple of, unless it is all rows or columns.
    iterations : int, default 60
        Steps of the alternating direction method of multipliers.
    schedule : {"linear", "cubic"}, default "linear"
        Penalty of step t of T: ``t / T`` or ``(t / T)³``.
    solves : {"jacobi", "gauss-seidel"}, default "jacobi"
        Whether the right factor is solved for with the old left one or with the new.
    ridge : float, default 0.03
        Penalty of the factors' squares.
    power_steps : int, default 5
        Steps of the projection's power iteration.
    shrinkage : float, default 0.0
        Share of its mean that the Hessian's diagonal is replaced with in the metric.
    refit : bool, default True
        Whether scales are fitted under the whole Hessian, at first and after each sweep.
    sweeps : int, default 8
        Sweeps over all signs.
    percdamp : float, default 0.05
        Damping relative to the mean diagonal.
    seed : int, default 0
        Which signs the factors start from.

    Examples
    --------
    >>> SignProduct(payload=0.5).rank((4096, 4096))
    1008
    """

    payload: float = 1.0
    rank_step: int = 1
    iterations: int = 60
    schedule: Literal["linear", "cubic"] = "linear"
    solves: Literal["jacobi", "gauss-seidel"] = "jacobi"
    ridge: float = 0.03
    power_steps: int = 5
    shrinkage: float = 0.0
    refit: bool = True
    sweeps: int = 8
    percdamp: float = 0.05
    seed: int = 0

    DOMAINS: ClassVar[Mapping[str, Kind]] = {
        "payload": Real(0.0, 64.0),
        "rank_step": Whole(),
        "iterations": Whole(0, 2**20),
        "ridge": Real(2.0**-20, 1e6),
        "power_steps": POWER_STEPS,
        "shrinkage": Share(),
        "sweeps": Whole(0, 2**20),
        "percdamp": PERCDAMP,
        "seed": Whole(0, 2**31 - 1),
    }

    def rank(self, shape: tuple[int, int]) -> int:
        """Return the rank of a layer's product.

        Parameters
        ----------
        shape : tuple of int
            (n, m).

        Returns
        -------
        int
            The largest rank within the payload bits, at most that of a full matrix.

        Raises
        ------
        ArgumentError
            If not even the smallest rank keeps to the payload bits.

        Examples
        --------
        >>> SignProduct().rank((576, 576)), SignProduct(rank_step=32).rank((576, 576))
        (272, 256)
        """
        n, m = shape
        # Eq. (111), subbit:  r (n + m) + 16 (n + m) ≤ b n m
        most = floor(self.payload * n * m / (n + m)) - FLOAT_BITS
        # The product is rounded, but what the record is held to is a quotient.
        most += _rate(most + 1, shape) <= self.payload
        most -= _rate(most, shape) > self.payload
        rank = min(max(most - most % self.rank_step, self.rank_step), n, m)
        if rank > most:
            expected = f"enough for the scales of a layer of {n} x {m}"
            raise ArgumentError("payload", expected, f"{self.payload:g} for each weight")
        return rank

    def penalty(self, step: int) -> float:
        """Return the penalty of a step.

        Parameters
        ----------
        step : int
            Its number, from 0.

        Returns
        -------
        float
            From 0 to 1.

        Examples
        --------
        >>> SignProduct(iterations=4).penalty(1)
        0.25
        """
        # Eq. (schedule), NanoQuant:  ρ = t / T, or (t / T)³
        return (step / self.iterations) ** (1 if self.schedule == "linear" else 3)


def _rate(rank: int, shape: tuple[int, int]) -> float:
    """Return the payload bits of each weight at a rank."""
    n, m = shape
    return (rank + FLOAT_BITS) * (n + m) / (n * m)


PRESETS: Mapping[str, SignProduct] = MappingProxyType(
    {
        "1bit": SignProduct(),
        "0.5bit": SignProduct(payload=0.5),
        "1.5bit": SignProduct(payload=1.5),
        "released": SignProduct(
            rank_step=32, iterations=400, shrinkage=0.4, refit=False, sweeps=0, percdamp=0.0
        ),
    }
)
