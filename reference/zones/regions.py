"""Regions of magnitude
====================

Algorithm 2 of STBLLM, arXiv 2408.01803: the entries outside salient columns are cut at two
magnitudes into a dense, an intermediate and a sparse region. With two regions this is BiLLM's
split.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.kinds import Part
from subbit.reference.contracts.settings import Composed
from subbit.reference.contracts.words import FACTOR, LEVELS, SCORES, WEIGHTS
from subbit.reference.notation import Array, Mask
from subbit.reference.records import Config

from .partition import PARTITION, Partition, candidate_thresholds, split_search
from .search import Search
from .split import bell_split
from .trisection import (
    trisection,
    trisection_search,
    trisection_search_direct,
    trisection_thresholds,
)


@dataclass(frozen=True, init=False, repr=False)
class Regions(Composed):
    """How a block is cut into regions of magnitude.

    Parameters
    ----------
    partition : Partition
        How salient columns and thresholds are searched.
    regions : {3, 2}, default 3
        Groups that the weights outside salient columns are cut into.
    factor : float, default 2.0
        The upper threshold divided by the lower one.
    levels : int, default 160
        Number of candidate thresholds.
    bounded : bool, default True
        S-10. Whether the upper threshold must also lie within the grid. If none does, as in
        a block of one magnitude, all candidates count; the code fails.

    Examples
    --------
    >>> Regions(regions=2).partition.grid
    'maximum'
    """

    partition: Partition = PARTITION
    regions: Literal[3, 2] = 3
    factor: float = 2.0
    levels: int = 160
    bounded: bool = True

    DOMAINS: ClassVar[Mapping[str, Kind]] = {"factor": FACTOR, "levels": LEVELS}


REGIONS = Regions()


@contract(
    2,
    W=WEIGHTS,
    S=SCORES,
    part=Part(("n", "k"), text="Columns or entries to cut."),
    config=Config(Regions),
)
def choose_regions(W: Array, S: Array, part: Mask, config: Regions = REGIONS) -> tuple[Mask, ...]:
    """Cut some entries into regions of magnitude.

    Returns
    -------
    tuple of ndarray of bool, shape (n, k)
        Dense, intermediate and sparse entries; concentrated and sparse ones for two
        regions. They are disjoint and cover the part.

    References
    ----------
    STBLLM, arXiv 2408.01803, Algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[1.0, -1.0, 3.0, -3.0, 9.0]])
    >>> for mask in choose_regions(W, W**2, np.ones(5, dtype=bool)):
    ...     print(mask.astype(int))
    [[1 1 0 0 0]]
    [[0 0 1 1 0]]
    [[0 0 0 0 1]]
    """
    if not part.any():
        return (np.zeros(W.shape, dtype=np.bool_),) * config.regions
    how = config.partition
    target, key = how.searched(W, S), np.abs(how.cut(W, S))
    cuts = candidate_thresholds(key, part, how.grid, config.levels)
    if config.regions == 2:
        search = split_search(target, key, part, cuts, how)
        return bell_split(key, part, search.choice, closed=how.closed)
    if config.bounded:
        cuts = trisection_thresholds(cuts, factor=config.factor)
    search = _trisect(target, key, part, cuts, config)
    return trisection(key, part, search.choice, factor=config.factor, closed=how.closed)


def _trisect(target: Array, key: Array, part: Mask, cuts: Array, config: Regions) -> Search:
    how = config.partition
    # Cut by another quantity, groups are not runs of a sorted row.
    direct = partial(trisection_search_direct, key=key)
    search = trisection_search if how.split_by == how.search_on else direct
    return search(target, part, cuts, factor=config.factor, **how.cutter)
