"""Configuration of HBLLM
======================

HBLLM, arXiv 2512.00862.

``RELEASED`` follows the authors' code as far as it was read. ``CORRECTED`` takes the scale that
is best, feeds the whole error of a block forward, and leaves dead inputs out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from subbit.reference.blocks import Loop
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.scalars import Orders
from subbit.reference.contracts.settings import Composed, Range
from subbit.reference.contracts.words import LEVELS
from subbit.reference.errors import ArgumentError
from subbit.reference.groups.row_split import SplitScale
from subbit.reference.haar import Axis
from subbit.reference.notation import SignOfZero
from subbit.reference.zones.partition import Domain

LOOP = Loop(compensation="released")


@dataclass(frozen=True, init=False, repr=False)
class HBLLM(Composed):
    """Configuration of HBLLM; the defaults are the released code's.

    Parameters
    ----------
    loop : Loop
        The loop over blocks.
    pairs : {"columns", "rows"}, default "columns"
        Whether the weights outside salient columns are transformed by pairs of columns, the
        row-wise variant, or by pairs of rows, the column-wise one.
    scale : {"rms", "mean_abs"}, default "rms"
        Scale of a side of a split, see :func:`~subbit.reference.groups.row_split.row_split`.
    share_mean : bool, default False
        Whether both sides of a split have the mean of the whole row.
    quantiles : int, default 41
        Number of thresholds that a split tries.
    counts : tuple of int, default (1, 49)
        Smallest and largest number of salient columns; narrower blocks clip both ends to
        their width.
    search_on : {"weights", "scores"}, default "scores"
        Values that the search for this number measures errors on.
    search_orders : tuple of int, default (2, 2)
        Orders of the salient part and the rest in this search.
    center : bool, default True
        Whether this search subtracts row means.
    sign_zero : {1, 0}, default 0
        Sign of zero.

    Examples
    --------
    >>> HBLLM().counts, CORRECTED.scale
    ((1, 49), 'mean_abs')
    """

    loop: Loop = LOOP
    pairs: Axis = "columns"
    scale: SplitScale = "rms"
    share_mean: bool = False
    quantiles: int = 41
    counts: tuple[int, int] = (1, 49)
    search_on: Domain = "scores"
    search_orders: tuple[int, int] = (2, 2)
    center: bool = True
    sign_zero: SignOfZero = 0

    DOMAINS: ClassVar[Mapping[str, Kind]] = {
        "quantiles": LEVELS,
        "counts": Range(),
        "search_orders": Orders(2),
    }

    def __post_init__(self) -> None:
        """Check the settings against their domains and each other."""
        super().__post_init__()
        if self.loop.column_feedback:
            expected = "False: a sign of a Haar coefficient belongs to several columns"
            raise ArgumentError("column_feedback", expected, True)  # noqa: FBT003


RELEASED = HBLLM()
CORRECTED = HBLLM(
    compensation="exact",
    dead_inputs="zero",
    scale="mean_abs",
    counts=(0, 49),
    sign_zero=1,
)

PRESETS: Mapping[str, HBLLM] = MappingProxyType({"released": RELEASED, "corrected": CORRECTED})
