"""BiLLM
=====

BiLLM: Pushing the Limit of Post-Training Quantization for LLMs, arXiv 2402.04291v2.

For each block of 128 columns: score the weights, make the few columns with the largest
scores salient and binarize them twice; cut the other weights at a magnitude into a
concentrated and a sparse group and binarize each once; feed the block's error forward.

========== ========= ==========================================================
symbol     shape     meaning
========== ========= ==========================================================
``W``      (n, k)    weights of the block, moved by the blocks before it
``S``      (n, k)    saliency scores
``s``      int       number of salient columns
``p``      float     magnitude between concentrated and sparse
========== ========= ==========================================================

Paper and code differ in several places. Each is one field of the configuration, see
``presets.billm``, and one entry of ERRATA, B-1 to B-13.
"""

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import Flags
from subbit.reference.contracts.words import (
    ALIVE,
    BLOCK,
    LAYER,
    PROXY,
    SALIENT,
    SCORES,
    START,
    WEIGHTS,
)
from subbit.reference.groups.together import binarize_zones
from subbit.reference.presets.billm import (
    CORRECTED,
    PAPER,
    PRESETS,
    RELEASED,
    RELEASED_MAGNITUDE,
    BiLLM,
)
from subbit.reference.records import Config
from subbit.reference.zones.partition import (
    PARTITION,
    Partition,
    candidate_thresholds,
    split_search,
)
from subbit.reference.zones.salient import choose_salient
from subbit.reference.zones.split import bell_split

from .blocks import Block, LayerState, prepare_layer, quantize_blocks
from .layer import QuantizedBlock, QuantizedLayer, Zone, block_slices
from .notation import Array, Mask


@contract(3, W=BLOCK, S=SCORES, alive=ALIVE, config=Config(BiLLM), salient=SALIENT, start=START)
def billm_block(
    W: Array,
    S: Array,
    alive: Mask,
    config: BiLLM = PAPER,
    *,
    salient: Mask | None = None,
    start: int = 0,
) -> QuantizedBlock:
    """Quantize one block: salient columns, bell split, three binarized groups.

    Returns
    -------
    QuantizedBlock
        Groups "concentrated", "sparse" and "salient".

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[9.0, 1.0, -1.0, 4.0], [-9.0, 1.0, 1.0, 4.0]])
    >>> billm_block(W, W**2, np.ones(4, dtype=bool), CORRECTED).decode()
    array([[ 9.,  1., -1.,  4.],
           [-9.,  1.,  1.,  4.]])
    """
    part = config.zones
    if salient is None:
        salient = choose_salient(W, S, alive, part)
    concentrated, sparse = choose_split(W, S, alive & ~salient, part)
    zones = (
        Zone("concentrated", concentrated, 1),
        Zone("sparse", sparse, 1),
        Zone("salient", np.broadcast_to(salient, W.shape), 2),
    )
    groups = binarize_zones(W, zones, **part.binarizer)
    return QuantizedBlock(start, start + W.shape[1], groups, salient)


@contract(
    2,
    W=WEIGHTS,
    S=SCORES,
    columns=Flags(("k",), text="Columns to split.", whole=False),
    config=Config(Partition),
)
def choose_split(
    W: Array, S: Array, columns: Mask, config: Partition = PARTITION
) -> tuple[Mask, Mask]:
    """Choose the concentrated and the sparse entries of some columns.

    Returns
    -------
    concentrated, sparse : ndarray of bool, shape (n, k)
        Disjoint masks that cover the columns; both empty if there are no columns.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eqs. (11) and (13), Algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[1.0, -1.0, 1.0, 8.0]])
    >>> choose_split(W, W**2, np.ones(4, dtype=bool))[1]
    array([[False, False, False,  True]])
    """
    if not columns.any():
        return np.zeros(W.shape, dtype=np.bool_), np.zeros(W.shape, dtype=np.bool_)
    target, key = config.searched(W, S), np.abs(config.cut(W, S))
    cuts = candidate_thresholds(key, columns, config.grid)
    search = split_search(target, key, columns, cuts, config)
    return bell_split(key, columns, search.choice, closed=config.closed)


@contract(3, W=LAYER, H=PROXY, config=Config(BiLLM, text="The configuration; see ``PRESETS``."))
def billm_layer(W: Array, H: Array, config: BiLLM = PAPER) -> QuantizedLayer:
    """Quantize a linear layer with BiLLM.

    Returns
    -------
    QuantizedLayer
        One block per `block_size` columns; the last one is narrower if the width is not a
        multiple of it.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> W, X = rng.normal(size=(4, 64)), rng.normal(size=(2, 100, 64))
    >>> from subbit.reference import accumulate_hessian, nominal_bits
    >>> layer = billm_layer(W, accumulate_hessian(X), BiLLM(block_size=32))
    >>> layer.decode().shape, len(layer.blocks), 1.0 <= nominal_bits(layer) <= 2.0
    ((4, 64), 2, True)
    """
    state = prepare_layer(W, H, config.loop)
    chosen = _matrix_salient(state, config) if config.scope == "matrix" else None

    def quantize_block(block: Block) -> QuantizedBlock:
        salient = None if chosen is None else chosen[block.columns]
        W, S = block.weights, block.scores
        return billm_block(W, S, block.alive, config, salient=salient, start=block.start)

    return quantize_blocks(state, quantize_block)


def _matrix_salient(state: LayerState, config: BiLLM) -> Mask:
    W = state.weights
    blocks = len(block_slices(W.shape[1], config.loop.block_size))
    scores = state.scores(W, slice(0, W.shape[1]))
    return choose_salient(W, scores, state.alive, config.zones, blocks=blocks)


__all__ = [
    "CORRECTED",
    "PAPER",
    "PRESETS",
    "RELEASED",
    "RELEASED_MAGNITUDE",
    "BiLLM",
    "billm_block",
    "billm_layer",
    "choose_split",
]
