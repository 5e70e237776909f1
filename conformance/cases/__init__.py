"""Cases of all levels
===================

Importing this package enters every operation into :data:`OPERATIONS`.
"""

from subbit.conformance.cases import (  # noqa: F401  (each enters its operations)
    arb_llm,
    baselines,
    budgets,
    cfs,
    column_groups,
    compensation,
    exact,
    hessian,
    layer,
    names,
    objective,
    patterns,
    pbs2p,
    refine,
    refine_calibrated,
    refine_loops,
    refine_scales,
    refine_signs,
    removal,
    search,
    sparsity,
    spbo,
    stbllm,
    trisection,
)
from subbit.conformance.cases.judge import Outcome
from subbit.conformance.cases.registry import OPERATIONS, Operation, of_level

__all__ = ["OPERATIONS", "Operation", "Outcome", "of_level"]
