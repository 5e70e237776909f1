"""The executable specification
============================

Every algorithm in plain NumPy, equation by equation, in float64. All names below are exported
here, so this package is itself a *port*: an object with the functions of the specification.
``help(billm_layer)`` has a function's equations, what it takes and what it returns.

Methods, from a layer's weights and Hessian to its record
    billm_layer, arb_llm_layer, stbllm_layer, pbs2p_layer; a block of each: billm_block,
    arb_llm_block, stbllm_block, pbs2p_block; typed groups: typed_groups_layer; products of sign
    matrices: sign_product_layer; HBLLM: hbllm_layer, hbllm_block; presets by name: METHODS
Baselines
    rtn_layer, minmax_grid, grid_codes; gptq_layer; wanda_layer; sparsegpt_layer,
    sparsegpt_prune; pb_llm_layer
Calibration
    HessianAccumulator, accumulate_hessian, dead_inputs, damp, inverse_factor, prepare_hessian
    of inputs that quantization has changed: accumulate_cross, propagated_weights
Compensation of errors
    feedback, compensate_step, compensate, block_slices
Levels and signs of a group
    sign, masked_mean, masked_scale, binarize_once, residual_binarize
    ARB: arb, arb_steps, arb_start, refine_mean, refine_scale, refine_signs, joint_signs
    ARB-X: arb_x, arb_x_steps, calibrated_mean, calibrated_scale, calibrated_sums,
    calibrate_levels
    ARB-RC: arb_rc, arb_rc_steps, rc_start, refine_row_scale, refine_column_scale,
    refine_rc_signs
    exact optima: solve_levels, two_means; the groups of a block: refine_zones, assign_columns
    typed groups: code_exponents, fit_steps, sweep_levels
    products: start_signs, project_rank_one, admm_step, refit_row_scales, refit_column_scales,
    sweep_signs
    Haar coefficients: haar, inverse_haar, row_split
Saliency of weights
    trailing_saliency, inverse_hessian_saliency, obs_saliency, magnitude_saliency
Salient columns
    choose_salient, column_saliency, rank_columns, salient_search, salient_search_direct
Cuts by magnitude
    choose_split, bell_split, bell_split_search, bell_split_search_direct,
    calibrated_split_search; thresholds: maximum_grid, quantile_grid, breakpoint_grid
    three regions: choose_regions, trisection, trisection_thresholds, trisection_search,
    trisection_search_direct
    column groups: choose_column_groups; codes of columns: allocate_codes, column_energies,
    column_scales; running sums: prefix_errors, interval_errors,
    rank_in_rows
Pruning
    importance: magnitude_importance, wanda_importance, ria_importance,
    standardized_importance, fine_scores, input_norms
    masks: nm_mask, row_mask, threshold_mask, choose_kept, pruning_masks
    in steps: spbo, spbo_steps, spbo_step, spbo_schedule
    optimal removal: removal_move, removal_loss, removal_mask
Budgets of layers
    norm_budget, outlier_share, outlier_budget, repair_budget, block_cosine,
    layer_importance, coarse_budget
Errors of a result
    weight_error, calibrated_error, calibrated_error_trace, relative_error, proxy_loss,
    trace_objective, gram_cost_ratio
Bits
    nominal_bits, payload_bits, index_floor; patterns: pattern_bits, pattern_entropy,
    rank_patterns, unrank_patterns; as printed: billm_parameter_bits, billm_storing_bits,
    billm_storage_bits, stbllm_parameter_bits, stbllm_storing_bits, stbllm_storage_bits,
    arb_storage_bits

The methods are ``billm``, ``arb_llm``, ``stbllm`` and ``pbs2p``; they are built from
``notation``, ``signs``, ``layer``, ``objective``, ``hessian``, ``compensate`` and ``blocks``. The
rest is in subpackages: ``groups``, ``zones``, ``pruning``, ``storage``, ``baselines``,
``bounds``, and ``contracts``, which declares what functions take.
"""

from subbit.reference.baselines.gptq import GPTQ, gptq_layer
from subbit.reference.baselines.pb_llm import PBLLM, pb_llm_layer
from subbit.reference.baselines.rtn import RTN, grid_codes, minmax_grid, rtn_layer
from subbit.reference.baselines.sparsegpt import SparseGPT, sparsegpt_layer, sparsegpt_prune
from subbit.reference.baselines.wanda import Wanda, wanda_layer
from subbit.reference.groups.arb import (
    arb,
    arb_start,
    arb_steps,
    joint_signs,
    refine_mean,
    refine_scale,
    refine_signs,
)
from subbit.reference.groups.arb_rc import (
    arb_rc,
    arb_rc_steps,
    rc_start,
    refine_column_scale,
    refine_rc_signs,
    refine_row_scale,
)
from subbit.reference.groups.arb_x import (
    arb_x,
    arb_x_steps,
    calibrate_levels,
    calibrated_mean,
    calibrated_scale,
    calibrated_sums,
)
from subbit.reference.groups.binarize import (
    binarize_once,
    masked_mean,
    masked_scale,
    residual_binarize,
)
from subbit.reference.groups.factors import admm_step, project_rank_one, start_signs
from subbit.reference.groups.joint_levels import solve_levels, two_means
from subbit.reference.groups.leveling import code_exponents, fit_steps
from subbit.reference.groups.product_sweeps import (
    refit_column_scales,
    refit_row_scales,
    sweep_signs,
)
from subbit.reference.groups.refinement import Refinement, Trace, trace_objective
from subbit.reference.groups.row_split import row_split
from subbit.reference.groups.sweeps import sweep_levels
from subbit.reference.pruning.budgets import (
    norm_budget,
    outlier_budget,
    outlier_share,
    repair_budget,
)
from subbit.reference.pruning.cfs import block_cosine, coarse_budget, fine_scores, layer_importance
from subbit.reference.pruning.removal import removal_loss, removal_mask, removal_move
from subbit.reference.pruning.sparsity import (
    input_norms,
    magnitude_importance,
    nm_mask,
    ria_importance,
    row_mask,
    standardized_importance,
    threshold_mask,
    wanda_importance,
)
from subbit.reference.pruning.spbo import SPBO, spbo, spbo_schedule, spbo_step, spbo_steps
from subbit.reference.storage.bits import (
    PayloadBits,
    index_floor,
    nominal_bits,
    payload_bits,
)
from subbit.reference.storage.patterns import (
    pattern_bits,
    pattern_entropy,
    rank_patterns,
    unrank_patterns,
)
from subbit.reference.storage.printed_bits import (
    arb_storage_bits,
    billm_parameter_bits,
    billm_storage_bits,
    billm_storing_bits,
    stbllm_parameter_bits,
    stbllm_storage_bits,
    stbllm_storing_bits,
)
from subbit.reference.zones.allocation import allocate_codes
from subbit.reference.zones.column_groups import ColumnGroups, choose_column_groups
from subbit.reference.zones.energy import column_energies, column_scales
from subbit.reference.zones.partition import Partition
from subbit.reference.zones.running import interval_errors, prefix_errors, rank_in_rows
from subbit.reference.zones.saliency import (
    inverse_hessian_saliency,
    magnitude_saliency,
    obs_saliency,
    trailing_saliency,
)
from subbit.reference.zones.salient import (
    choose_salient,
    column_saliency,
    rank_columns,
    salient_search,
    salient_search_direct,
)
from subbit.reference.zones.search import Search
from subbit.reference.zones.split import (
    bell_split,
    bell_split_search,
    bell_split_search_direct,
    breakpoint_grid,
    calibrated_split_search,
    maximum_grid,
    quantile_grid,
)
from subbit.reference.zones.trisection import (
    trisection,
    trisection_search,
    trisection_search_direct,
    trisection_thresholds,
)

from .arb_llm import ARBLLM, arb_llm_block, arb_llm_layer, refine_zones
from .assign import assign_columns
from .billm import BiLLM, billm_block, billm_layer, choose_split
from .blocks import Loop
from .compensate import Compensated, compensate, compensate_step, feedback
from .errors import ArgumentError, HessianError, SubbitError
from .factored import ProductGroup
from .haar import HaarGroup, HaarTerm, haar, inverse_haar
from .hbllm import HBLLM, hbllm_block, hbllm_layer
from .hessian import (
    HessianAccumulator,
    PreparedHessian,
    accumulate_hessian,
    damp,
    dead_inputs,
    inverse_factor,
    prepare_hessian,
)
from .layer import (
    BinaryGroup,
    Plane,
    QuantizedBlock,
    QuantizedLayer,
    UniformGroup,
    ValueGroup,
    Zone,
    block_slices,
)
from .leveled import Coding, LevelGroup
from .methods import METHODS, Method
from .objective import (
    calibrated_error,
    calibrated_error_trace,
    gram_cost_ratio,
    proxy_loss,
    relative_error,
    weight_error,
)
from .pbs2p import PBS2P, Fine, pbs2p_block, pbs2p_layer, pruning_masks
from .propagation import PROPAGATIONS, Propagation, accumulate_cross, propagated_weights
from .sign_product import SignProduct, sign_product_layer
from .signs import sign
from .stbllm import (
    STBLLM,
    Pruning,
    Regions,
    choose_kept,
    choose_regions,
    stbllm_block,
    stbllm_layer,
)
from .typed_groups import TypedGroups, typed_groups_layer

__version__ = "0.1.0"
SPEC_VERSION = "1"

__all__ = [
    "ARBLLM",
    "GPTQ",
    "HBLLM",
    "METHODS",
    "PBLLM",
    "PBS2P",
    "PROPAGATIONS",
    "RTN",
    "SPBO",
    "SPEC_VERSION",
    "STBLLM",
    "ArgumentError",
    "BiLLM",
    "BinaryGroup",
    "Coding",
    "ColumnGroups",
    "Compensated",
    "Fine",
    "HaarGroup",
    "HaarTerm",
    "HessianAccumulator",
    "HessianError",
    "LevelGroup",
    "Loop",
    "Method",
    "Partition",
    "PayloadBits",
    "Plane",
    "PreparedHessian",
    "ProductGroup",
    "Propagation",
    "Pruning",
    "QuantizedBlock",
    "QuantizedLayer",
    "Refinement",
    "Regions",
    "Search",
    "SignProduct",
    "SparseGPT",
    "SubbitError",
    "Trace",
    "TypedGroups",
    "UniformGroup",
    "ValueGroup",
    "Wanda",
    "Zone",
    "__version__",
    "accumulate_cross",
    "accumulate_hessian",
    "admm_step",
    "allocate_codes",
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
    "assign_columns",
    "bell_split",
    "bell_split_search",
    "bell_split_search_direct",
    "billm_block",
    "billm_layer",
    "billm_parameter_bits",
    "billm_storage_bits",
    "billm_storing_bits",
    "binarize_once",
    "block_cosine",
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
    "choose_kept",
    "choose_regions",
    "choose_salient",
    "choose_split",
    "coarse_budget",
    "code_exponents",
    "column_energies",
    "column_saliency",
    "column_scales",
    "compensate",
    "compensate_step",
    "damp",
    "dead_inputs",
    "feedback",
    "fine_scores",
    "fit_steps",
    "gptq_layer",
    "gram_cost_ratio",
    "grid_codes",
    "haar",
    "hbllm_block",
    "hbllm_layer",
    "index_floor",
    "input_norms",
    "interval_errors",
    "inverse_factor",
    "inverse_haar",
    "inverse_hessian_saliency",
    "joint_signs",
    "layer_importance",
    "magnitude_importance",
    "magnitude_saliency",
    "masked_mean",
    "masked_scale",
    "maximum_grid",
    "minmax_grid",
    "nm_mask",
    "nominal_bits",
    "norm_budget",
    "obs_saliency",
    "outlier_budget",
    "outlier_share",
    "pattern_bits",
    "pattern_entropy",
    "payload_bits",
    "pb_llm_layer",
    "pbs2p_block",
    "pbs2p_layer",
    "prefix_errors",
    "prepare_hessian",
    "project_rank_one",
    "propagated_weights",
    "proxy_loss",
    "pruning_masks",
    "quantile_grid",
    "rank_columns",
    "rank_in_rows",
    "rank_patterns",
    "rc_start",
    "refine_column_scale",
    "refine_mean",
    "refine_rc_signs",
    "refine_row_scale",
    "refine_scale",
    "refine_signs",
    "refine_zones",
    "refit_column_scales",
    "refit_row_scales",
    "relative_error",
    "removal_loss",
    "removal_mask",
    "removal_move",
    "repair_budget",
    "residual_binarize",
    "ria_importance",
    "row_mask",
    "row_split",
    "rtn_layer",
    "salient_search",
    "salient_search_direct",
    "sign",
    "sign_product_layer",
    "solve_levels",
    "sparsegpt_layer",
    "sparsegpt_prune",
    "spbo",
    "spbo_schedule",
    "spbo_step",
    "spbo_steps",
    "standardized_importance",
    "start_signs",
    "stbllm_block",
    "stbllm_layer",
    "stbllm_parameter_bits",
    "stbllm_storage_bits",
    "stbllm_storing_bits",
    "sweep_levels",
    "sweep_signs",
    "threshold_mask",
    "trace_objective",
    "trailing_saliency",
    "trisection",
    "trisection_search",
    "trisection_search_direct",
    "trisection_thresholds",
    "two_means",
    "typed_groups_layer",
    "unrank_patterns",
    "wanda_importance",
    "wanda_layer",
    "weight_error",
]
