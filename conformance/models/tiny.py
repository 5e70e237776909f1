"""A small random model for tests and for trying the commands
===========================================================

It has every part of the embedded model, random weights, and runs in milliseconds. The MLP
is wider than one block of 128 columns, and its last block is short.
"""

import numpy as np

from .llama import LlamaModel
from .llama_config import LlamaConfig
from .tokenizer import byte_codec


def tiny_model(
    seed: int = 0, *, blocks: int = 3, width: int = 64, mlp_width: int = 160, context: int = 256
) -> LlamaModel:
    """Return a random LLaMA decoder whose tokens are bytes.

    Parameters
    ----------
    seed : int, default 0
        Seed of the weights.
    blocks : int, default 3
        Number of decoder blocks.
    width : int, default 64
        Hidden width; a multiple of 16, for heads of 16 channels, two per key head.
    mlp_width : int, default 160
        Width of the gated MLP.
    context : int, default 256
        Longest sequence.

    Returns
    -------
    LlamaModel
        The model.

    Examples
    --------
    >>> model = tiny_model(blocks=2)
    >>> hidden = model.embed(model.tokenize("to be")[None])
    >>> for index in range(model.n_blocks):
    ...     hidden = model.run_block(index, hidden)
    >>> model.head(hidden[0]).shape
    (5, 256)
    """
    heads = width // 16
    config = LlamaConfig(
        vocabulary=256, width=width, mlp_width=mlp_width, n_blocks=blocks, heads=heads,
        kv_heads=max(heads // 2, 1), head_width=16, context=context, epsilon=1e-5, theta=10000.0,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in config.shapes().items():
        # Unit gain and variance 1/m keep the residual stream of order one.
        spread = 0.1 if len(shape) == 1 else shape[1] ** -0.5
        weights[name] = rng.normal(float(len(shape) == 1), spread, shape).astype(np.float32)
    return LlamaModel(config, weights, byte_codec(), "tiny", "random float32")
