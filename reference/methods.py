"""The methods by name
===================

What a command line or a suite needs to know about a method: the port function that quantizes
a layer, and the named configurations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .baselines import gptq, pb_llm, rtn, sparsegpt, wanda
from .presets import arb_llm, billm, hbllm, pbs2p, sign_product, stbllm, typed_groups


@dataclass(frozen=True)
class Method:
    """A method's layer routine and its named configurations.

    Parameters
    ----------
    entry : str
        Name of the function ``f(W, H, config)`` that a port provides.
    presets : mapping of str to configuration
        Frozen configurations; the first is the default.

    Examples
    --------
    >>> METHODS["billm"].entry, next(iter(METHODS["billm"].presets))
    ('billm_layer', 'paper')
    """

    entry: str
    presets: Mapping[str, Any]


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "rtn": Method("rtn_layer", rtn.PRESETS),
        "gptq": Method("gptq_layer", gptq.PRESETS),
        "sparsegpt": Method("sparsegpt_layer", sparsegpt.PRESETS),
        "wanda": Method("wanda_layer", wanda.PRESETS),
        "pb-llm": Method("pb_llm_layer", pb_llm.PRESETS),
        "billm": Method("billm_layer", billm.PRESETS),
        "arb": Method("arb_llm_layer", arb_llm.PRESETS["arb"]),
        "arb-x": Method("arb_llm_layer", arb_llm.PRESETS["arb_x"]),
        "arb-rc": Method("arb_llm_layer", arb_llm.PRESETS["arb_rc"]),
        "billm-nm": Method("stbllm_layer", stbllm.BILLM_PRESETS),
        "stbllm": Method("stbllm_layer", stbllm.PRESETS),
        "pbs2p": Method("pbs2p_layer", pbs2p.PRESETS),
        "hbllm": Method("hbllm_layer", hbllm.PRESETS),
        "typed": Method("typed_groups_layer", typed_groups.PRESETS),
        "product": Method("sign_product_layer", sign_product.PRESETS),
    }
)
