"""Configuration of STBLLM
=======================

STBLLM: Breaking the 1-Bit Barrier with Structured Binary LLMs, arXiv 2408.01803.

``PAPER`` follows the equations, ``RELEASED`` and ``RELEASED_MAGNITUDE`` the authors' code, and
``CORRECTED`` takes the sound parts of both. The presets of ``billm-nm``, two groups instead of
three behind another method's mask, are the ones that STBLLM compares itself with.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from subbit.reference.blocks import LOOP, Loop
from subbit.reference.contracts.settings import Composed
from subbit.reference.errors import check_blocks_hold_groups
from subbit.reference.pruning.importance import PRUNING, Importance, Pruning
from subbit.reference.zones.regions import REGIONS, Regions


@dataclass(frozen=True, init=False, repr=False)
class STBLLM(Composed):
    """Configuration of STBLLM; the defaults are the paper's.

    Fields that paper and code set differently are the switches of ERRATA.md.

    Parameters
    ----------
    loop : Loop
        The loop over blocks.
    pruning : Pruning
        Which weights are kept.
    zones : Regions
        How a block is partitioned.
    fallback : bool, default False
        Beyond paper and code: also quantize without any feedback, and take the layer with the
        lower loss.

    Examples
    --------
    >>> STBLLM().pruning.keep, CORRECTED.pruning.start, RELEASED.pruning.pruned
    ((4, 8), 'dense', 'binarize')
    """

    loop: Loop = LOOP
    pruning: Pruning = PRUNING
    zones: Regions = REGIONS
    fallback: bool = False

    def __post_init__(self) -> None:
        """Check the settings against their domains, and blocks for whole groups."""
        super().__post_init__()
        if self.pruning.prunes:
            check_blocks_hold_groups(self.loop.block_size, self.pruning.keep)


PAPER = STBLLM()
RELEASED = STBLLM(
    center=True,
    sign_zero=0,
    search_on="scores",
    split_by="scores",
    grid="quantiles_with_zeros",
    search_orders=(2, 2),
    counts=(1, 49),
    compensation="released",
    closed=False,
    importance="ria",
    exponent=0.5,
    pruned="binarize",
    free="all",
)
RELEASED_MAGNITUDE = RELEASED.changed(score="magnitude")
CORRECTED = STBLLM(
    grid="quantiles",
    counts=(0, 49),
    dead_inputs="zero",
    importance="ria",
    exponent=0.5,
    start="dense",
    free="all",
    fallback=True,
)

PRESETS: Mapping[str, STBLLM] = MappingProxyType(
    {
        "paper": PAPER,
        "released": RELEASED,
        "released-magnitude": RELEASED_MAGNITUDE,
        "corrected": CORRECTED,
    }
)


def _of_billm(config: STBLLM, importance: Importance) -> STBLLM:
    return config.changed(importance=importance, exponent=1.0, regions=2, levels=81)


BILLM_PRESETS: Mapping[str, STBLLM] = MappingProxyType(
    {
        "wanda": _of_billm(RELEASED, "wanda"),
        "sparsegpt": _of_billm(RELEASED, "sparsegpt"),
        "wanda-strict": _of_billm(CORRECTED, "wanda"),
        "sparsegpt-strict": _of_billm(CORRECTED, "sparsegpt"),
    }
)
"""BiLLM behind the mask of another method."""
