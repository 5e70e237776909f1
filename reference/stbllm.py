"""STBLLM
======

STBLLM: Breaking the 1-Bit Barrier with Structured Binary LLMs, arXiv 2408.01803.

Of every M consecutive weights in a row, keep the N that matter most. Then, for each block
of 128 columns: make the few columns with the largest scores salient and binarize them
twice; cut the other weights at two magnitudes into a dense, an intermediate and a sparse
group and binarize each once; feed the block's error forward.

========== ========= ==========================================================
symbol     shape     meaning
========== ========= ==========================================================
``W``      (n, k)    weights of the block, moved by the blocks before it
``S``      (n, k)    saliency scores
``kept``   (n, k)    the N:M mask; N counts kept weights, M is the group
``p``      float     magnitude between dense and intermediate; the next one is ``2 p``
========== ========= ==========================================================

The released code prunes and then quantizes as if nothing were pruned, so no weight of its
result is zero. The switch ``pruned`` says whether the mask survives quantization. Text and
code differ as listed in ERRATA, S-1 to S-10, and for the parts of BiLLM's block loop B-1 to
B-13. Each difference is one field of the configuration, see ``presets.stbllm``.
"""

from dataclasses import replace

import numpy as np

from subbit.reference.baselines.sparsegpt import SparseGPT, sparsegpt_prune
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
    UNDAMPED,
)
from subbit.reference.errors import check_groups_fill
from subbit.reference.groups.together import binarize_zones
from subbit.reference.presets.stbllm import (
    BILLM_PRESETS,
    CORRECTED,
    PAPER,
    PRESETS,
    RELEASED,
    RELEASED_MAGNITUDE,
    STBLLM,
)
from subbit.reference.pruning.importance import Pruning, importance_of
from subbit.reference.pruning.sparsity import nm_mask
from subbit.reference.records import Config
from subbit.reference.zones.regions import Regions, choose_regions
from subbit.reference.zones.salient import choose_salient

from .blocks import Block, LayerState, prepare_layer, quantize_blocks
from .layer import QuantizedBlock, QuantizedLayer, Zone
from .notation import Array, Mask
from .objective import proxy_loss

_NAMES = {3: ("dense", "intermediate", "sparse"), 2: ("concentrated", "sparse")}


@contract(
    3,
    W=BLOCK,
    S=SCORES,
    alive=ALIVE,
    kept=Flags(
        ("n", "k"),
        whole=False,
        text=('The N:M mask; with ``pruned="zero"``, entries outside it decode to zero.'),
    ),
    config=Config(STBLLM),
    salient=SALIENT,
    start=START,
)
def stbllm_block(
    W: Array,
    S: Array,
    alive: Mask,
    kept: Mask,
    config: STBLLM = PAPER,
    *,
    salient: Mask | None = None,
    start: int = 0,
) -> QuantizedBlock:
    """Quantize one block: salient columns, regions, binarized groups.

    Returns
    -------
    QuantizedBlock
        Groups "dense", "intermediate", "sparse" and "salient"; for two regions
        "concentrated", "sparse" and "salient".

    References
    ----------
    STBLLM, arXiv 2408.01803, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[9.0, 1.0, -1.0, 4.0], [-9.0, 1.0, 1.0, 4.0]])
    >>> kept = np.array([[1, 1, 0, 1], [1, 0, 1, 1]], dtype=bool)
    >>> config = STBLLM(grid="quantiles", counts=(0, 2))
    >>> stbllm_block(W, W**2, np.ones(4, dtype=bool), kept, config).decode()
    array([[ 9.,  1.,  0.,  4.],
           [-9.,  0.,  1.,  4.]])
    """
    how, strict = config.zones.partition, config.pruning.strict
    entries = kept if strict else np.ones_like(kept)
    if salient is None:
        salient = choose_salient(W, S, alive, how, entries=entries if strict else None)
    # Eq. (49), subbit:  every group is cut from what is kept, M_g ⊆ M
    part = alive & entries
    regions = choose_regions(W, S, part & ~salient, config.zones)
    named = zip(_NAMES[config.zones.regions], regions, strict=True)
    zones = [Zone(name, mask, 1) for name, mask in named]
    zones.append(Zone("salient", part & salient, 2))
    groups = binarize_zones(W, zones, **how.binarizer)
    pattern = config.pruning.keep if strict else None
    return QuantizedBlock(start, start + W.shape[1], groups, salient, pattern)


@contract(3, W=LAYER, H=UNDAMPED, config=Config(STBLLM))
def choose_kept(W: Array, H: Array, config: STBLLM = PAPER) -> tuple[Array, Mask]:
    """Choose the weights that are kept, and those that quantization starts from.

    Returns
    -------
    weights : ndarray of float64, shape (n, m)
        Weights to start from: zero where pruned, unless ``start="dense"``, and where the
        input is dead.
    kept : ndarray of bool, shape (n, m)
        The mask.

    References
    ----------
    STBLLM, arXiv 2408.01803, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> config = STBLLM(keep=(2, 4), importance="wanda")
    >>> choose_kept(np.array([[4.0, 1.0, -2.0, 3.0]]), np.eye(4), config)
    (array([[4., 0., 0., 3.]]), array([[ True, False, False,  True]]))
    """
    state = prepare_layer(W, H, config.loop)
    return _choose_kept(W, H, state, config)


def _choose_kept(W: Array, H: Array, state: LayerState, config: STBLLM) -> tuple[Array, Mask]:
    # Scores are those of the layer as given; a dead input's weights are zeroed afterwards.
    pruning, loop = config.pruning, config.loop
    if not pruning.prunes:
        return state.weights, np.ones(W.shape, dtype=np.bool_)
    check_groups_fill(W.shape[1], pruning.keep, pruning.tail)
    if pruning.importance == "sparsegpt":
        method = SparseGPT(
            keep=pruning.keep,
            block_size=loop.block_size,
            percdamp=loop.percdamp,
            tail=pruning.tail,
        )
        moved, kept = sparsegpt_prune(W, H, method)
    else:
        scores = importance_of(W, H, state.prepared, pruning)
        kept = nm_mask(scores, *pruning.keep, tail=pruning.tail)
        # Alg. 1, STBLLM:  W ∘ M, where M holds the N largest scores of each M weights
        moved = np.where(kept, state.weights, 0.0)
    return state.weights if pruning.start == "dense" else moved, kept


@contract(
    3,
    W=LAYER,
    H=PROXY,
    config=Config(STBLLM, text="The configuration; see ``PRESETS`` and ``BILLM_PRESETS``."),
)
def stbllm_layer(W: Array, H: Array, config: STBLLM = PAPER) -> QuantizedLayer:
    """Quantize a linear layer with STBLLM.

    Returns
    -------
    QuantizedLayer
        One block per `block_size` columns; the last one is narrower if the width is not a
        multiple of it.

    Notes
    -----
    With ``start="dense"``, ``free="all"`` and exact feedback, ``W - Q = E U``, where ``W`` is
    the dense weights: ``½ Σ E²`` is then the whole loss, of pruning and of binarization.

    References
    ----------
    STBLLM, arXiv 2408.01803, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> W, X = rng.normal(size=(4, 64)), rng.normal(size=(2, 100, 64))
    >>> from subbit.reference import accumulate_hessian
    >>> layer = stbllm_layer(W, accumulate_hessian(X), STBLLM(block_size=32))
    >>> np.count_nonzero(layer.decode().reshape(4, 8, 8), axis=-1).max()
    np.int64(4)
    """
    state = prepare_layer(W, H, config.loop)
    weights, kept = _choose_kept(W, H, state, config)
    begun = replace(state, weights=weights)
    layer = _quantized(begun, kept, config)
    if not config.fallback or config.loop.compensation == "none":
        return layer
    alone = config.changed(compensation="none", column_feedback=False)
    plain = _quantized(begun, kept, alone)
    # Eq. (50), subbit:  Q = argmin over both forms of ½ tr((W − Q) H (W − Q)ᵀ)
    return min((layer, plain), key=lambda each: _loss(state, each))


def _quantized(state: LayerState, kept: Mask, config: STBLLM) -> QuantizedLayer:
    def quantize_block(block: Block) -> QuantizedBlock:
        W, S, own = block.weights, block.scores, kept[:, block.columns]
        return stbllm_block(W, S, block.alive, own, config, start=block.start)

    begun = replace(state, loop=config.loop)
    free = kept if config.pruning.free == "kept" else None
    return quantize_blocks(begun, quantize_block, free=free)


def _loss(state: LayerState, layer: QuantizedLayer) -> float:
    return proxy_loss(state.weights, layer.decode(), state.prepared.damped)


__all__ = [
    "BILLM_PRESETS",
    "CORRECTED",
    "PAPER",
    "PRESETS",
    "RELEASED",
    "RELEASED_MAGNITUDE",
    "STBLLM",
    "Pruning",
    "Regions",
    "choose_kept",
    "choose_regions",
    "stbllm_block",
    "stbllm_layer",
]
