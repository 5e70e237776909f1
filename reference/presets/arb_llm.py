"""Configuration of ARB-LLM
========================

ARB-LLM: Alternating Refined Binarizations for Large Language Models, arXiv 2410.03129.

``PAPER`` follows the equations, ``RELEASED`` the authors' code, and ``CORRECTED`` takes the
sound parts of both. Each of the three algorithms has presets of its own. ARB-RC's preset
"column-feedback" is beyond both: ``PAPER``, whose columns are assigned again one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, TypeAlias

from subbit.reference.blocks import Loop
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.settings import Composed
from subbit.reference.contracts.words import ROUNDS
from subbit.reference.groups.arb_rc import ColumnSigns
from subbit.reference.groups.refinement import REFINEMENT, Refinement
from subbit.reference.zones.column_groups import ARB_GROUPS, ColumnGroups

Algorithm: TypeAlias = Literal["arb", "arb_x", "arb_rc"]


LOOP = Loop(score="inverse_hessian")


@dataclass(frozen=True, init=False, repr=False)
class ARBLLM(Composed):
    """Configuration of ARB-LLM; the defaults are the paper's.

    Fields that paper and code set differently are the switches of ERRATA.md.

    Parameters
    ----------
    loop : Loop
        The loop over blocks.
    zones : ColumnGroups
        How a block is partitioned.
    refinement : Refinement
        How groups are refined.
    algorithm : {"arb", "arb_x", "arb_rc"}, default "arb_rc"
        How groups are binarized.
    column_signs : {"fixed", "refreshed"}, default "fixed"
        D-17. Whether ARB-RC recomputes the signs of first-order groups in every round.
    sweeps : int, default 0
        D-18. Rounds in which ARB-X fits each group of a block to the residual of the
        others; paper and code fit each group separately.

    Examples
    --------
    >>> ARBLLM().algorithm, ARBLLM().refinement.iterations, ARBLLM().zones.bitmap
    ('arb_rc', 15, 'shared')
    """

    loop: Loop = LOOP
    zones: ColumnGroups = ARB_GROUPS
    refinement: Refinement = REFINEMENT
    algorithm: Algorithm = "arb_rc"
    column_signs: ColumnSigns = "fixed"
    sweeps: int = 0

    DOMAINS: ClassVar[Mapping[str, Kind]] = {"sweeps": ROUNDS}


PAPER = ARBLLM()
RELEASED = ARBLLM(
    sign_zero=0,
    eps=1e-8,
    calibrated_eps=1e-10,
    calibrated_start="refined",
    score="trailing",
    search_on="scores",
    split_by="scores",
    bitmap="zones",
    grid="quantiles_with_zeros",
    search_orders=(2, 2),
    compensation="released",
    minimum="kept",
)
CORRECTED = ARBLLM(
    score="trailing",
    calibrated_start="refined",
    bitmap="zones",
    counts=(0, 49),
    dead_inputs="zero",
    sweeps=3,
)


def _presets(algorithm: Algorithm) -> Mapping[str, ARBLLM]:
    # For the rest, ARB-X's code searches on the outputs; the other two on the weights.
    released = RELEASED.changed(
        split_error="outputs" if algorithm == "arb_x" else "weights",
        taken_error="row_column" if algorithm == "arb_rc" else "residual",
    )
    magnitude = released.changed(score="magnitude")
    with_groups = {
        "paper": PAPER,
        "released": released,
        "released-magnitude": magnitude,
        "corrected": CORRECTED,
    }
    without = {
        f"{name}-nocgb": config.changed(column_groups=False)
        for name, config in with_groups.items()
        if name != "corrected"
    }
    presets = with_groups | without
    if algorithm == "arb_rc":
        presets["column-feedback"] = PAPER.changed(column_feedback=True)
    return MappingProxyType(
        {name: config.changed(algorithm=algorithm) for name, config in presets.items()}
    )


PRESETS: Mapping[Algorithm, Mapping[str, ARBLLM]] = MappingProxyType(
    {"arb": _presets("arb"), "arb_x": _presets("arb_x"), "arb_rc": _presets("arb_rc")}
)
