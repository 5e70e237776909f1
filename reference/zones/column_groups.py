"""Column-group bitmap
===================

ARB-LLM, arXiv 2410.03129, section 3.4.

Two bitmaps divide a block: one marks its columns as salient or not, the other its entries
as large or small. Together they form four groups, and each is binarized separately, the
salient ones twice:

    ``G_s = 1 C_sᵀ ∘ G``  and  ``G_ns = 1 C_nsᵀ ∘ G``.

The paper has one bitmap ``G`` for the whole block, hence one threshold. Its code searches
for a threshold in each of the two zones. Without the column-group bitmap, the salient columns
are one group, as in BiLLM.

========== ========= ==========================================================
symbol     shape     meaning
========== ========= ==========================================================
``W``      (n, k)    weights of the block
``S``      (n, k)    saliency scores
``C_s``    (k,)      salient columns
``p``      float     magnitude between small (concentrated) and large (sparse)
========== ========= ==========================================================

With ``splits`` larger than 1, the small entries are cut again to form more groups. ERRATA
D-8b, D-10, D-12.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.kinds import Flags, matrix, symmetric
from subbit.reference.contracts.scalars import Whole
from subbit.reference.contracts.settings import Composed
from subbit.reference.contracts.words import ALIVE, SCORES, WEIGHTS
from subbit.reference.errors import ArgumentError
from subbit.reference.groups.arb_rc import rc_start
from subbit.reference.groups.group_error import group_error
from subbit.reference.layer import Zone
from subbit.reference.notation import Array, Mask
from subbit.reference.records import Config

from .partition import PARTITION, Partition, candidate_thresholds, split_search
from .split import bell_split, calibrated_split_search

Bitmap: TypeAlias = Literal["shared", "zones"]
Minimum: TypeAlias = Literal["reset", "kept"]
SplitError: TypeAlias = Literal["weights", "outputs"]

TakenError: TypeAlias = Literal["residual", "row_column"]


@dataclass(frozen=True, init=False, repr=False)
class ColumnGroups(Composed):
    """How the column-group bitmap is chosen.

    Parameters
    ----------
    partition : Partition
        How salient columns and thresholds are searched.
    column_groups : bool, default True
        Whether salient columns are cut too.
    bitmap : {"shared", "zones"}, default "shared"
        D-10. One threshold for the block (paper), or one for each zone (code).
    splits : int, default 1
        Cuts per zone, one fewer than its groups.
    minimum : {"reset", "kept"}, default "reset"
        D-12. Whether a further cut is judged by itself, or taken only if it beats all cuts
        before it; in that case, if it does not, the code takes the lowest threshold.
    taken_error : {"residual", "row_column"}, default "residual"
        D-12. Initial values by which groups already cut off count with ``minimum="kept"``:
        those of ARB or of ARB-RC.
    split_error : {"weights", "outputs"}, default "weights"
        D-10. Error that the search of the rest minimizes; the code's ARB-X uses the outputs.

    Examples
    --------
    >>> ColumnGroups().bitmap
    'shared'
    """

    partition: Partition = PARTITION
    column_groups: bool = True
    bitmap: Bitmap = "shared"
    splits: int = 1
    minimum: Minimum = "reset"
    taken_error: TakenError = "residual"
    split_error: SplitError = "weights"

    DOMAINS: ClassVar[Mapping[str, Kind]] = {"splits": Whole()}


COLUMN_GROUPS = ColumnGroups()
ARB_GROUPS = ColumnGroups(center=True, grid="quantiles", counts=(1, 49), closed=False)
"""How a block is partitioned in ARB-LLM's paper, and with it in PBS2P's."""


@dataclass(frozen=True, eq=False)
class _ZoneSearch:
    # Input of the search of a zone; with a Gram matrix, errors are those of outputs.
    target: Array
    key: Array
    config: ColumnGroups
    gram: Array | None = None
    image: Array | None = None

    def errors(self, part: Mask, cuts: Array, order: int) -> Array:
        orders, config = (order, order), self.config.partition
        if self.gram is None:
            search = split_search(self.target, self.key, part, cuts, config, orders=orders)
        else:
            search = calibrated_split_search(
                self.target,
                part,
                cuts,
                self.gram,
                image=self.image,
                key=self.key,
                orders=orders,
                **config.cutter,
            )
        return search.objectives

    def cut(self, part: Mask, threshold: float) -> tuple[Mask, Mask]:
        return bell_split(self.key, part, threshold, closed=self.config.partition.closed)

    def taken_error(self, mask: Mask, order: int) -> float:
        # Error of a group that is already cut off, needed only by the released rule.
        if self.config.minimum == "reset":
            return 0.0
        if self.config.taken_error == "row_column":
            own = np.where(mask, self.target, 0.0)
            return float(np.sum((own - rc_start(own, mask, order=order).decode()) ** 2))
        part = self.config.partition
        return group_error(self.target, mask, order, **part.binarizer)


@contract(
    2,
    W=WEIGHTS,
    S=SCORES,
    alive=ALIVE.says("Columns to quantize."),
    salient=Flags(("k",), text="Salient columns.", whole=False),
    config=Config(ColumnGroups),
    gram=symmetric("k", 'Gram matrix of the inputs; ``split_error="outputs"`` needs it.'),
    image=matrix(
        "n",
        "k",
        text=(
            'Decoded values of the salient entries, for ``split_error="outputs"``; by default '
            "the entries themselves."
        ),
    ),
)
def choose_column_groups(
    W: Array,
    S: Array,
    alive: Mask,
    salient: Mask,
    config: ColumnGroups = COLUMN_GROUPS,
    *,
    gram: Array | None = None,
    image: Array | None = None,
) -> tuple[Zone, ...]:
    """Split a block into its groups.

    Returns
    -------
    tuple of Zone
        Disjoint groups that cover the columns to quantize, the salient ones first, and
        within each zone the largest entries first.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eq. (14).

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[1.0, -1.0, 8.0, 9.0]])
    >>> salient, everything = np.array([0, 0, 0, 1], bool), np.ones(4, bool)
    >>> config = ColumnGroups(grid="quantiles", column_groups=False)
    >>> for zone in choose_column_groups(W, W**2, everything, salient, config):
    ...     print(zone.name, zone.mask.astype(int)[0], zone.order)
    salient [0 0 0 1] 2
    sparse [0 0 1 0] 1
    concentrated [1 1 0 0] 1
    """
    target, key = config.partition.searched(W, S), np.abs(config.partition.cut(W, S))
    # Eq. (14), ARB-LLM:  {salient, others} × {large, small}
    chosen, rest = alive & salient, alive & ~salient
    state = _ZoneSearch(target, key, config)
    if config.column_groups and config.bitmap == "shared":
        return _shared(state, chosen, rest)
    zones = [np.broadcast_to(chosen, W.shape)]
    if config.column_groups:
        zones = _split_zone(state, chosen, 2)
    if config.split_error == "outputs":
        if gram is None:
            raise ArgumentError("gram", f"a matrix of shape {(W.shape[1],) * 2}", "None")
        state = _ZoneSearch(target, key, config, gram, image)
    return _named(zones, "salient", 2) + _named(_split_zone(state, rest, 1), "", 1)


def _named(masks: list[Mask], zone: str, order: int) -> tuple[Zone, ...]:
    if len(masks) == 1:
        return (Zone(zone, masks[0], order),)
    *large, small = masks
    prefix = f"{zone}-" if zone else ""
    numbers = [f"-{i + 1}" for i in range(len(large))] if len(large) > 1 else [""]
    names = [f"{prefix}sparse{number}" for number in numbers]
    cut = tuple(Zone(name, mask, order) for name, mask in zip(names, large, strict=True))
    return (*cut, Zone(f"{prefix}concentrated", small, order))


def _shared(state: _ZoneSearch, salient: Mask, rest: Mask) -> tuple[Zone, ...]:
    entries: Mask = salient | rest
    masks: list[Mask] = []
    for _ in range(state.config.splits):
        parts = ((entries & salient, 2), (entries & rest, 1))
        threshold = _shared_threshold(state, entries, parts)
        entries, large = state.cut(entries, threshold)
        masks.append(large)
    masks.append(entries)
    # Eq. (14), ARB-LLM:  G_s = 1 C_sᵀ ∘ G,  G_ns = 1 C_nsᵀ ∘ G
    return _named([mask & salient for mask in masks], "salient", 2) + _named(
        [mask & rest for mask in masks], "", 1
    )


def _shared_threshold(
    state: _ZoneSearch, entries: Mask, parts: tuple[tuple[Mask, int], ...]
) -> float:
    if not entries.any():
        return 0.0
    cuts = candidate_thresholds(state.key, entries, state.config.partition.grid)
    errors = np.sum([state.errors(part, cuts, order) for part, order in parts], axis=0)
    return float(cuts[np.argmin(errors)])


def _split_zone(state: _ZoneSearch, columns: Mask, order: int) -> list[Mask]:
    masks: list[Mask] = []
    left, taken, least = columns, 0.0, np.inf
    for _ in range(state.config.splits):
        threshold = 0.0
        if left.any():
            cuts = _zone_thresholds(state, left, order)
            errors = state.errors(left, cuts, order) + taken
            # The released loop takes its first candidate unless one beats all cuts so far.
            better = errors.min() < least or state.config.minimum == "reset"
            threshold = float(cuts[np.argmin(errors)] if better else cuts[0])
            least = min(least, float(errors.min()))
        left, large = state.cut(left, threshold)
        masks.append(large)
        if len(masks) < state.config.splits:
            taken += state.taken_error(large, order)
    return [*masks, left]


def _zone_thresholds(state: _ZoneSearch, part: Mask, order: int) -> Array:
    grid = state.config.partition.grid
    if grid == "quantiles_with_zeros" and order == 2:
        # In the salient zone, the released grid is that of the nonzero entries.
        nonzero = np.broadcast_to(part, state.key.shape) & (state.key > 0.0)
        return candidate_thresholds(state.key, nonzero if nonzero.any() else part, "quantiles")
    return candidate_thresholds(state.key, part, grid)
