"""Each method on one page: a port's layers are those of the pages.

The pages have the paper's setting of every switch; the second readings in ``oracles`` have all
of them, and tell where rounding decides.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbit.conformance.inputs.families import ACTIVATIONS, ALL, Activations, Array, Weights
from subbit.conformance.inputs.strategies import Layer, seeds
from subbit.conformance.onepage.arb_llm import arb, arb_llm, arb_rc, arb_x
from subbit.conformance.onepage.billm import billm
from subbit.conformance.onepage.pbs2p import pbs2p
from subbit.conformance.onepage.stbllm import stbllm
from subbit.conformance.oracles import naive, naive_arb, naive_pbs2p, naive_stbllm
from subbit.conformance.oracles.settled import same_layer
from subbit.conformance.target import Port

AGREEMENT = 1e-8
BY_STATE = "level 3 judges every block from its own state"
few = settings(max_examples=max(4, settings().max_examples // 2))
Page = Callable[..., Array]
PAGES: dict[str, tuple[Page, Page, str]] = {
    "billm": (billm, naive.billm_layer, "paper"),
    "arb": (partial(arb_llm, refine=arb), naive_arb.arb_llm_layer, "paper"),
    "arb-x": (partial(arb_llm, refine=arb_x), naive_arb.arb_llm_layer, "paper"),
    "arb-rc": (partial(arb_llm, refine=arb_rc), naive_arb.arb_llm_layer, "paper"),
    "stbllm": (stbllm, naive_stbllm.stbllm_layer, "paper"),
    "pbs2p": (pbs2p, naive_pbs2p.pbs2p_layer, "canonical"),
}


@st.composite
def any_layers(draw: st.DrawFn) -> Layer:
    """Layers of all kinds: weights that tie or are zero, inputs that never fire, one row."""
    shape = (draw(st.integers(1, 6)), 8 * draw(st.integers(1, 6)))
    W = Weights(draw(st.sampled_from(ALL)), draw(seeds()), shape)
    tokens = (draw(st.integers(1, 3)), draw(st.integers(8, 24)), shape[1])
    return W, Activations(draw(st.sampled_from(list(ACTIVATIONS))), draw(seeds()), tokens)


@pytest.mark.parametrize("method", PAGES)
@few
@given(
    layer=any_layers(),
    block_size=st.sampled_from([16, 24, 128]),
    counts=st.sampled_from([None, (6, 12)]),
)
def test_layers_are_those_of_the_page(
    port: Port, method: str, layer: Layer, block_size: int, counts: tuple[int, int] | None
) -> None:
    """The paper's form of every method, read from its page, gives the same layer."""
    port.compares_ends(BY_STATE)
    page, reading, preset = PAGES[method]
    chosen: dict[str, Any] = {"block_size": block_size} | ({"counts": counts} if counts else {})
    config = port.METHODS[method].presets[preset].changed(**chosen)
    W, H = layer[0].values, layer[1].hessian
    actual = getattr(port, port.METHODS[method].entry)(W, H, config).decode()
    expected = page(W, H, **chosen)
    assert same_layer(actual, expected, W, H, AGREEMENT, reading=lambda W, H: reading(W, H, config))
