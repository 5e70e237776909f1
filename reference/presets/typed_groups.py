"""Configuration of typed groups
=============================

The presets are named after the payload bits that they may spend.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, TypeAlias

from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.scalars import Choices, Real, Share, Whole
from subbit.reference.contracts.settings import Switches
from subbit.reference.contracts.words import PERCDAMP
from subbit.reference.errors import ArgumentError
from subbit.reference.leveled import CODES, EXPONENT_BITS, FLOAT_BITS, Code
from subbit.reference.notation import Array
from subbit.reference.zones.allocation import allocate_codes

Order: TypeAlias = Literal["energy", "activation", "none"]
FitWeights: TypeAlias = Literal["trailing", "hessian", "none"]


@dataclass(frozen=True, repr=False)
class TypedGroups(Switches):
    """Configuration of typed groups.

    Parameters
    ----------
    payload : float, default 3.0
        Payload bits per weight that a layer may have.
    codes : tuple of str, default ('1', '2', '3', '4')
        Codes that groups of columns choose from.
    group_size : int, default 64
        Columns per group, which is also a block of the loop.
    order : {"energy", "activation", "none"}, default "energy"
        Whether columns are quantized in decreasing order of their energy, of the Hessian's
        diagonal, or as they come.
    column_power : float, default 1.0
        Power of the columns' root mean squares that is their scale; with 0 there are none.
    fit_weights : {"trailing", "hessian", "none"}, default "trailing"
        Weight of a column's error when steps are fitted: ``1 / U_jj²``, ``H_jj``, or 1.
    scales : {"exponents", "references"}, default "exponents"
        Whether a row's step is an exponent of its reference, or a reference of its own.
    sweeps : int, default 2
        Sweeps over all columns after the first pass.
    percdamp : float, default 0.05
        Damping relative to the mean diagonal.

    Examples
    --------
    >>> TypedGroups(payload=2.25, codes=("0", "1", "2", "3", "4")).group_size
    64
    """

    payload: float = 3.0
    codes: tuple[Code, ...] = ("1", "2", "3", "4")
    group_size: int = 64
    order: Order = "energy"
    column_power: float = 1.0
    fit_weights: FitWeights = "trailing"
    scales: Literal["exponents", "references"] = "exponents"
    sweeps: int = 2
    percdamp: float = 0.05

    DOMAINS: ClassVar[Mapping[str, Kind]] = {
        "payload": Real(0.0, 64.0),
        "codes": Choices(tuple(CODES)),
        "group_size": Whole(),
        "column_power": Share(),
        "sweeps": Whole(0, 2**20),
        "percdamp": PERCDAMP,
    }

    def allocate(self, energies: Array, shape: tuple[int, int]) -> tuple[Code, ...]:
        """Choose the codes of a layer's groups.

        Parameters
        ----------
        energies : ndarray of float64, shape (G,)
            Energy of each group.
        shape : tuple of int
            (n, m).

        Returns
        -------
        tuple of str
            A code for each group.

        Raises
        ------
        ArgumentError
            If not even the code with the fewest bits keeps to the payload bits.

        Examples
        --------
        >>> import numpy as np
        >>> TypedGroups().allocate(np.array([4.0, 1.0]), (256, 128))
        ('3', '2')
        """
        n, m = shape
        order = 0 if self.order == "none" else m * (m - 1).bit_length()
        coded = self.scales == "exponents"
        # Eq. (88), subbit:  Σ_g b_g ≤ b n m − 16 n − m ⌈log2 m⌉
        budget = self.payload * n * m - (FLOAT_BITS * n if coded else 0) - order
        try:
            return allocate_codes(
                energies,
                n,
                m,
                self.group_size,
                max(budget, 0.0),
                codes=self.codes,
                row_bits=EXPONENT_BITS if coded else FLOAT_BITS,
                column_bits=FLOAT_BITS if self.column_power else 0,
            )
        except ArgumentError as error:
            expected = f"enough for the scales of a layer of {n} x {m}"
            raise ArgumentError("payload", expected, f"{self.payload:g} for each weight") from error


PRESETS: Mapping[str, TypedGroups] = MappingProxyType(
    {
        "3bit": TypedGroups(),
        "2.25bit": TypedGroups(payload=2.25, codes=("0", "1", "2", "3", "4")),
        "1.5bit": TypedGroups(
            payload=1.5, codes=("0", "1", "1:16", "2:16", "3:16", "2", "3"), group_size=128
        ),
    }
)
