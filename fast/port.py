"""Ports
=====

A port is an object with the functions of the specification. This one has those of this
package, bound to a device; records, configurations and bit counts are the reference's
own.
"""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType, MethodType
from typing import Any

from subbit import reference

from . import (
    arb_llm,
    assign,
    billm,
    compensate,
    haar,
    hbllm,
    hessian,
    objective,
    pbs2p,
    propagation,
    sign_product,
    signs,
    stbllm,
    typed_groups,
)
from .baselines import gptq, pb_llm, rtn, sparsegpt, wanda
from .device import Device
from .groups import (
    arb,
    arb_rc,
    arb_x,
    binarize,
    factors,
    joint_levels,
    leveling,
    product_sweeps,
    row_split,
    sweeps,
)
from .launches import depths
from .pruning import cfs, sparsity, spbo
from .zones import column_groups, energy, regions, running, saliency, salient, split, trisection

MODULES = (
    signs,
    objective,
    binarize,
    hessian,
    saliency,
    salient,
    sparsity,
    split,
    trisection,
    regions,
    running,
    compensate,
    rtn,
    gptq,
    sparsegpt,
    wanda,
    pb_llm,
    billm,
    joint_levels,
    arb,
    arb_x,
    arb_rc,
    assign,
    column_groups,
    arb_llm,
    stbllm,
    spbo,
    cfs,
    pbs2p,
    propagation,
    energy,
    leveling,
    sweeps,
    typed_groups,
    factors,
    product_sweeps,
    sign_product,
    haar,
    row_split,
    hbllm,
)
HOST = frozenset(
    {
        "allocate_codes",
        "arb_storage_bits",
        "billm_parameter_bits",
        "billm_storage_bits",
        "billm_storing_bits",
        "block_slices",
        "coarse_budget",
        "gram_cost_ratio",
        "index_floor",
        "layer_importance",
        "nominal_bits",
        "norm_budget",
        "outlier_budget",
        "outlier_share",
        "pattern_bits",
        "pattern_entropy",
        "payload_bits",
        "rank_patterns",
        "removal_loss",
        "removal_mask",
        "removal_move",
        "repair_budget",
        "start_signs",
        "stbllm_parameter_bits",
        "stbllm_storage_bits",
        "stbllm_storing_bits",
        "trace_objective",
        "unrank_patterns",
    }
)
"""Functions that compute nothing on arrays of a device.

Removing several weights at once is among them: it is a comparison's measure, and thousands of
small systems, each of its own columns, are solved in float64 where their conditioning asks for it.
"""


def functions() -> Mapping[str, Callable[..., Any]]:
    """Return the functions and classes that take a device first.

    Returns
    -------
    mapping of str to callable
        By the name that the reference exports.
    """
    return {
        name: value
        for module in MODULES
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    }


class Port:
    """The functions of the specification, bound to a device.

    Parameters
    ----------
    device : Device
        Device that they compute on.
    name : str
        Name of the device.

    Examples
    --------
    >>> from subbit.fast import on
    >>> on("simulated").CAPABILITIES["dtype"]
    'float32'
    """

    dtype = "float32"

    def __init__(self, device: Device, name: str) -> None:
        self.device, self.name = device, name
        self.CAPABILITIES: Mapping[str, object] = MappingProxyType(
            {
                "dtype": self.dtype,
                "device": name,
                "depth": MappingProxyType(
                    {
                        "row": depths.row,
                        "column": depths.column,
                        "column_fit": depths.column_fit,
                        "objective": depths.objective,
                        "product": depths.product,
                    }
                ),
            }
        )
        if hasattr(device, "strict"):
            self.STRICT_TWIN = self._strict_twin
        own = functions()
        for name_ in reference.__all__:
            value = getattr(reference, name_)
            if name_ in own:
                value = MethodType(own[name_], device)
            elif inspect.isfunction(value) and name_ not in HOST:
                # Not implemented: the reference must not answer on this port's behalf.
                continue
            setattr(self, name_, value)

    def _strict_twin(self, seed: int) -> "tuple[Port, str]":
        """Return this port on a device that notices more, and what that is."""
        own: Any = self.device
        device, how = own.strict(seed)
        return type(self)(device, self.name), how

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Tell type checkers that there are more attributes than the class lists."""
        message = f"{type(self).__name__} has no attribute {name!r}"
        raise AttributeError(message)
