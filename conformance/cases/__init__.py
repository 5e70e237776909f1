"""Cases of all levels
===================

Importing this package registers every operation in :data:`OPERATIONS`.
"""

# Each module registers its operations.
from subbit.conformance.cases import (  # noqa: F401
    arb_llm,
    assign,
    billm,
    compensate,
    counted,
    exact,
    hbllm,
    hessian,
    names,
    objective,
    pbs2p,
    propagation,
    settings,
    sign_product,
    stbllm,
    typed_groups,
)
from subbit.conformance.cases.baselines import pruned, quantized, tied  # noqa: F401
from subbit.conformance.cases.groups import (  # noqa: F401
    arb,
    arb_rc,
    arb_runs,
    arb_x,
    binarize,
    factors,
    joint_signs,
    leveling,
    product_sweeps,
    row_split,
    sweeps,
)
from subbit.conformance.cases.judge import Outcome
from subbit.conformance.cases.pruning import budgets, cfs, removal, sparsity, spbo  # noqa: F401
from subbit.conformance.cases.registry import OPERATIONS, Operation, of_level
from subbit.conformance.cases.storage import (  # noqa: F401
    leveled,
    patterns,
    products,
    transformed,
)
from subbit.conformance.cases.zones import (  # noqa: F401
    column_groups,
    energy,
    grids,
    search,
    trisection,
)

__all__ = ["OPERATIONS", "Operation", "Outcome", "of_level"]
