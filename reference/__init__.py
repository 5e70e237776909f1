"""The executable specification
============================

Every algorithm in plain NumPy, equation for equation, in float64. The modules read in
this order: ``notation``, ``objective``, ``binarize``, ``hessian``, ``saliency``,
``split`` with ``running``, ``compensate``, ``layer``, ``bits``; then the methods ``rtn``,
``gptq`` and ``billm``.

Their functions are exported here under their own names, so that this package is itself
a *port*: an object with the functions of the specification.
"""

from .billm import BiLLM, billm_block, billm_layer, choose_salient, choose_split
from .binarize import binarize_once, masked_mean, masked_scale, residual_binarize
from .bits import (
    PayloadBits,
    billm_parameter_bits,
    billm_storage_bits,
    billm_storing_bits,
    nominal_bits,
    payload_bits,
)
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
from .methods import METHODS, Method
from .notation import sign
from .objective import (
    calibrated_error,
    calibrated_error_trace,
    proxy_loss,
    relative_error,
    weight_error,
)
from .rtn import RTN, grid_codes, minmax_grid, rtn_layer
from .running import interval_errors, prefix_errors, rank_in_rows
from .saliency import (
    column_saliency,
    inverse_hessian_saliency,
    magnitude_saliency,
    obs_saliency,
    rank_columns,
    trailing_saliency,
)
from .split import (
    Search,
    bell_split,
    bell_split_search,
    bell_split_search_direct,
    breakpoint_grid,
    maximum_grid,
    quantile_grid,
    salient_search,
    salient_search_direct,
)

__version__ = "0.1.0"
SPEC_VERSION = "1"

__all__ = [
    "GPTQ",
    "METHODS",
    "RTN",
    "SPEC_VERSION",
    "ArgumentError",
    "BiLLM",
    "BinaryGroup",
    "Compensated",
    "HessianAccumulator",
    "HessianError",
    "Method",
    "PayloadBits",
    "Plane",
    "PreparedHessian",
    "QuantizedBlock",
    "QuantizedLayer",
    "Search",
    "SubbitError",
    "UniformGroup",
    "__version__",
    "accumulate_hessian",
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
    "calibrated_error",
    "calibrated_error_trace",
    "choose_salient",
    "choose_split",
    "column_saliency",
    "compensate",
    "compensate_step",
    "damp",
    "dead_inputs",
    "feedback",
    "gptq_layer",
    "grid_codes",
    "interval_errors",
    "inverse_factor",
    "inverse_hessian_saliency",
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
    "relative_error",
    "residual_binarize",
    "rtn_layer",
    "salient_search",
    "salient_search_direct",
    "sign",
    "trailing_saliency",
    "weight_error",
]
