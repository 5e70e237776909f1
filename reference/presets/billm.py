"""Configuration of BiLLM
======================

BiLLM: Pushing the Limit of Post-Training Quantization for LLMs, arXiv 2402.04291v2.

``PAPER`` follows the equations, ``RELEASED`` and ``RELEASED_MAGNITUDE`` the authors' code with
its two metrics, and ``CORRECTED`` takes the sound parts of both. The preset "column-feedback" is
beyond both: ``PAPER``, whose columns are assigned again one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from subbit.reference.blocks import LOOP, Loop
from subbit.reference.contracts.settings import Composed
from subbit.reference.zones.partition import PARTITION, Partition

Scope: TypeAlias = Literal["block", "matrix"]


@dataclass(frozen=True, init=False, repr=False)
class BiLLM(Composed):
    """Configuration of BiLLM; the defaults are the paper's.

    Fields that paper and code set differently are the switches of ERRATA.md.

    Parameters
    ----------
    loop : Loop
        The loop over blocks.
    zones : Partition
        How a block is partitioned.
    scope : {"block", "matrix"}, default "block"
        B-4. Choose salient columns block by block (Algorithm 1, code) or once over the
        whole matrix (the paper's text).

    Examples
    --------
    >>> BiLLM().zones.counts, CORRECTED.zones.counts
    ((3, 30), (0, 49))
    """

    loop: Loop = LOOP
    zones: Partition = PARTITION
    scope: Scope = "block"


PAPER = BiLLM()
RELEASED = BiLLM(
    center=True,
    sign_zero=0,
    search_on="scores",
    split_by="scores",
    grid="quantiles_with_zeros",
    search_orders=(2, 2),
    counts=(1, 49),
    compensation="released",
    closed=False,
)
RELEASED_MAGNITUDE = RELEASED.changed(score="magnitude")
CORRECTED = BiLLM(grid="quantiles", counts=(0, 49), dead_inputs="zero")

PRESETS: Mapping[str, BiLLM] = MappingProxyType(
    {
        "paper": PAPER,
        "released": RELEASED,
        "released-magnitude": RELEASED_MAGNITUDE,
        "corrected": CORRECTED,
        "column-feedback": PAPER.changed(column_feedback=True),
    }
)
