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
from subbit.reference.leveled import CODES, Code

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


PRESETS: Mapping[str, TypedGroups] = MappingProxyType(
    {
        "3bit": TypedGroups(),
        "2.25bit": TypedGroups(payload=2.25, codes=("0", "1", "2", "3", "4")),
        "1.5bit": TypedGroups(
            payload=1.5, codes=("0", "1", "1:16", "2:16", "3:16", "2", "3"), group_size=128
        ),
    }
)
