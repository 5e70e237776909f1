"""The executable specification
============================

Every algorithm in plain NumPy, equation for equation, in float64. The modules read in
this order: ``notation``, ``objective``, ``layer``, ``binarize``; ``refinement``, ``arb``,
``levels``, ``arb_x``, ``arb_rc``; ``hessian``, ``saliency``, ``split`` with ``running``,
``partition``, ``column_groups``; ``compensate``, ``blocks``, ``bits``; then the methods
``rtn``, ``gptq``, ``billm`` and ``arb_llm``.

Their functions are exported here under their own names, so that this package is itself
a *port*: an object with the functions of the specification.
"""

from .arb import (
    arb,
    arb_start,
    arb_steps,
    joint_signs,
    refine_mean,
    refine_scale,
    refine_signs,
)
from .arb_llm import ARBLLM, arb_llm_block, arb_llm_layer, refine_zones
from .arb_rc import (
    arb_rc,
    arb_rc_steps,
    rc_start,
    refine_column_scale,
    refine_rc_signs,
    refine_row_scale,
)
from .arb_x import (
    arb_x,
    arb_x_steps,
    calibrate_levels,
    calibrated_mean,
    calibrated_scale,
    calibrated_sums,
)
from .billm import BiLLM, billm_block, billm_layer, choose_salient, choose_split
from .binarize import binarize_once, masked_mean, masked_scale, residual_binarize
from .bits import (
    PayloadBits,
    arb_storage_bits,
    billm_parameter_bits,
    billm_storage_bits,
    billm_storing_bits,
    nominal_bits,
    payload_bits,
)
from .column_groups import ColumnGroups, Zone, choose_column_groups
from .compensate import Compensated, block_slices, compensate, compensate_step, feedback
from .errors import ArgumentError, HessianError, SubbitError
from .gptq import GPTQ, gptq_layer
from .hessian import (
    HessianAccumulator,
    PreparedHessian,
    accumulate_hessian,
    damp,
    dead_inputs,
    inverse_factor,
    prepare_hessian,
)
from .layer import BinaryGroup, Plane, QuantizedBlock, QuantizedLayer, UniformGroup
from .levels import solve_levels, two_means
from .methods import METHODS, Method
from .notation import sign
from .objective import (
    calibrated_error,
    calibrated_error_trace,
    gram_cost_ratio,
    proxy_loss,
    relative_error,
    weight_error,
)
from .partition import Partition
from .refinement import Refinement, Trace, trace_objective
from .rtn import RTN, grid_codes, minmax_grid, rtn_layer
from .running import interval_errors, prefix_errors, rank_in_rows
from .saliency import (
    Search,
    column_saliency,
    inverse_hessian_saliency,
    magnitude_saliency,
    obs_saliency,
    rank_columns,
    salient_search,
    salient_search_direct,
    trailing_saliency,
)
from .split import (
    bell_split,
    bell_split_search,
    bell_split_search_direct,
    breakpoint_grid,
    calibrated_split_search,
    maximum_grid,
    quantile_grid,
)

__version__ = "0.1.0"
SPEC_VERSION = "1"

__all__ = [
    "ARBLLM",
    "GPTQ",
    "METHODS",
    "RTN",
    "SPEC_VERSION",
    "ArgumentError",
    "BiLLM",
    "BinaryGroup",
    "ColumnGroups",
    "Compensated",
    "HessianAccumulator",
    "HessianError",
    "Method",
    "Partition",
    "PayloadBits",
    "Plane",
    "PreparedHessian",
    "QuantizedBlock",
    "QuantizedLayer",
    "Refinement",
    "Search",
    "SubbitError",
    "Trace",
    "UniformGroup",
    "Zone",
    "__version__",
    "accumulate_hessian",
    "arb",
    "arb_llm_block",
    "arb_llm_layer",
    "arb_rc",
    "arb_rc_steps",
    "arb_start",
    "arb_steps",
    "arb_storage_bits",
    "arb_x",
    "arb_x_steps",
    "bell_split",
    "bell_split_search",
    "bell_split_search_direct",
    "billm_block",
    "billm_layer",
    "billm_parameter_bits",
    "billm_storage_bits",
    "billm_storing_bits",
    "binarize_once",
    "block_slices",
    "breakpoint_grid",
    "calibrate_levels",
    "calibrated_error",
    "calibrated_error_trace",
    "calibrated_mean",
    "calibrated_scale",
    "calibrated_split_search",
    "calibrated_sums",
    "choose_column_groups",
    "choose_salient",
    "choose_split",
    "column_saliency",
    "compensate",
    "compensate_step",
    "damp",
    "dead_inputs",
    "feedback",
    "gptq_layer",
    "gram_cost_ratio",
    "grid_codes",
    "interval_errors",
    "inverse_factor",
    "inverse_hessian_saliency",
    "joint_signs",
    "magnitude_saliency",
    "masked_mean",
    "masked_scale",
    "maximum_grid",
    "minmax_grid",
    "nominal_bits",
    "obs_saliency",
    "payload_bits",
    "prefix_errors",
    "prepare_hessian",
    "proxy_loss",
    "quantile_grid",
    "rank_columns",
    "rank_in_rows",
    "rc_start",
    "refine_column_scale",
    "refine_mean",
    "refine_rc_signs",
    "refine_row_scale",
    "refine_scale",
    "refine_signs",
    "refine_zones",
    "relative_error",
    "residual_binarize",
    "rtn_layer",
    "salient_search",
    "salient_search_direct",
    "sign",
    "solve_levels",
    "trace_objective",
    "trailing_saliency",
    "two_means",
    "weight_error",
]
