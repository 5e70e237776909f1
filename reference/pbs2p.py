"""PBS2P
=====

Progressive Binarization with Semi-Structured Pruning for LLMs, arXiv 2502.01705.

The block loop is BiLLM's, and the groups of a block are ARB-LLM's. Two things are new: only N
of every M consecutive weights in a row are kept, chosen by the scores of ``cfs``; and each
group is pruned step by step, with its levels refitted after every step, by ``spbo``.

========== =========== =============================================================
symbol     shape       meaning
========== =========== =============================================================
``W``      (n, k)      weights of the block, moved by the blocks before it
``S``      (n, k)      saliency scores, for the groups
``s``      (n, k)      fine scores, for the pruning
``P_t``    (t, n, k)   entries kept after each step
``gram``   (k, k)      mean over sequences of ``X_sᵀ X_s`` in the block, ``H / 2``
========== =========== =============================================================

1. Score the weights of the block; rank them within every M columns of a row; form ``P_t``.
2. Split the block into groups, as if nothing were pruned.
3. Run ``spbo`` on each group: it starts whole and loses the entries that ``P_t`` loses.
4. Feed the block's error forward.

Neither the paper's text nor its code was available, so every reading of it is a preset, see
``presets.pbs2p``.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import Nested, matrix, symmetric
from subbit.reference.contracts.words import (
    ALIVE,
    BLOCK,
    GRAM,
    LAYER,
    PROXY,
    SALIENT,
    SCORES,
    START,
    WEIGHTS,
)
from subbit.reference.errors import check_groups_fill
from subbit.reference.groups.binarize import masked_mean
from subbit.reference.groups.together import sweep_groups
from subbit.reference.presets.pbs2p import BEST, CANONICAL, PBS2P, PRESETS, Fine
from subbit.reference.pruning.cfs import fine_scores
from subbit.reference.pruning.removal import removal_move
from subbit.reference.pruning.spbo import SPBO, spbo, spbo_schedule
from subbit.reference.records import Config
from subbit.reference.zones.column_groups import choose_column_groups
from subbit.reference.zones.salient import choose_salient

from .blocks import Block, prepare_layer, quantize_blocks
from .layer import BinaryGroup, QuantizedBlock, QuantizedLayer, Zone
from .notation import Array, Mask

PRUNED, REMOVED = -1.0, -2.0
"""Scores of dead columns and of removed entries; all others are nonnegative."""


@contract(
    3,
    W=BLOCK,
    S=SCORES,
    masks=Nested(
        ("t", "n", "k"),
        whole=False,
        text=("Weights kept after each step, nested; see :func:`pruning_masks`."),
    ),
    alive=ALIVE,
    config=Config(PBS2P),
    gram=GRAM,
    salient=SALIENT,
    start=START,
)
def pbs2p_block(
    W: Array,
    S: Array,
    masks: Mask,
    alive: Mask,
    config: PBS2P = CANONICAL,
    *,
    gram: Array,
    salient: Mask | None = None,
    start: int = 0,
) -> QuantizedBlock:
    """Quantize one block: groups, each pruned step by step.

    Returns
    -------
    QuantizedBlock
        ARB-LLM's groups, or one group "all". With a shared mean, each is followed by a group
        of its pruned weights, with a mean and no signs, such as "sparse-pruned".

    References
    ----------
    PBS2P, arXiv 2502.01705, SPBO.

    Examples
    --------
    >>> import numpy as np
    >>> W, alive = np.array([[3.0, 0.5, -0.4, -3.0]]), np.ones(4, dtype=bool)
    >>> config = PBS2P(keep=(2, 4), partitioned=False)
    >>> masks = pruning_masks(W, np.eye(4), alive, config)
    >>> pbs2p_block(W, W**2, masks, alive, config, gram=np.eye(4)).decode()
    array([[ 3.,  0.,  0., -3.]])
    """
    if config.partitioned and salient is None:
        salient = choose_salient(W, S, alive, config.zones.partition)
    zones: tuple[Zone, ...] = (Zone("all", np.broadcast_to(alive, W.shape), 1),)
    if salient is not None:
        zones = choose_column_groups(W, S, alive, salient, config.zones, gram=gram)
    how = config.pruning
    groups = tuple(
        spbo(W, zone.mask, masks, gram, order=zone.order, config=how, name=zone.name)
        for zone in zones
    )
    kept = masks[-1] if len(masks) else np.ones(W.shape, dtype=np.bool_)
    # Eq. (65), subbit:  sweeps match W, pruned weights included, or P ∘ W
    target = np.where(alive & kept if how.objective == "masked" else alive, W, 0.0)
    swept = sweep_groups(target, groups, gram, sweeps=config.sweeps, config=how.refinement)
    recorded = [part for group in swept for part in _recorded(group, kept, how)]
    pattern = how.keep if how.mean == "masked" else None
    return QuantizedBlock(start, start + W.shape[1], tuple(recorded), salient, pattern)


def _recorded(group: BinaryGroup, kept: Mask, config: SPBO) -> tuple[BinaryGroup, ...]:
    if config.mean == "masked":
        return (group,)
    pruned = BinaryGroup(f"{group.name}-pruned", group.mask & ~kept, (), group.mean)
    return (replace(group, mask=group.mask & kept), pruned)


@contract(
    3,
    W=WEIGHTS,
    H=symmetric("k", "Damped Hessian of the block's columns.", definite="as given"),
    alive=ALIVE.says("Columns to quantize; the others are pruned first."),
    config=Config(PBS2P),
    unit=matrix(
        "k",
        text=("Scores of weights of magnitude 1 in each column; computed from `H` by default."),
    ),
)
def pruning_masks(
    W: Array,
    H: Array,
    alive: Mask,
    config: PBS2P = CANONICAL,
    *,
    unit: Array | None = None,
) -> Mask:
    """Choose the weights of a block that are kept after each step.

    Returns
    -------
    ndarray of bool, shape (t, n, k)
        Nested masks; the last is N:M.

    Notes
    -----
    Recomputed scores are those of the weights that minimize ``(W' - W) H (W' - W)ᵀ`` with
    all removed ones zero; the groups are still binarized from ``W``.

    References
    ----------
    PBS2P, arXiv 2502.01705, CFS, fine stage.

    Examples
    --------
    >>> import numpy as np
    >>> W = [[3.0, 1.0, 1.0, 2.0]]
    >>> config, alive = PBS2P(keep=(2, 4)), np.ones(4, dtype=bool)
    >>> pruning_masks(W, np.diag([1.0, 1.0, 9.0, 1.0]), alive, config)[-1].astype(int)
    array([[1, 0, 1, 0]])
    """
    if unit is None:
        unit = _unit_scores(H, config.fine)
    pruning = config.pruning
    check_groups_fill(W.shape[1], pruning.keep, pruning.tail)
    schedule = partial(
        spbo_schedule,
        keep=pruning.keep[0],
        group=pruning.keep[1],
        schedule=pruning.schedule,
        parts=pruning.parts,
        tail=pruning.tail,
    )
    masks = schedule(_scored(W, unit, alive, config.fine))
    if config.fine.scores == "once":
        return masks
    kept = np.ones(W.shape, dtype=np.bool_)
    for t in range(len(masks)):
        # Eq. (62), subbit:  s_t = scores of argmin_{W' ⊙ (1 − P_{t−1}) = 0} (W' − W) H (W' − W)ᵀ
        moved = removal_move(W, H, ~kept) if t else W
        scores = _scored(moved, unit, alive, config.fine)
        kept = schedule(np.where(kept, scores, REMOVED))[t]
        masks[t] = kept
    return masks


def _unit_scores(H: Array, fine: Fine) -> Array:
    return fine_scores(np.ones((1, len(H))), H, score=fine.fine_score)[0]


def _scored(W: Array, unit: Array, alive: Mask, fine: Fine) -> Array:
    if fine.center_scores:
        W = W - masked_mean(W, np.broadcast_to(alive, W.shape))[:, None]
    sizes = np.abs(W) if fine.fine_score in {"magnitude", "wanda"} else W**2
    # Eq. (63), subbit:  s_ij = u_j |W_ij − μ_i|^p,  p = 2, for magnitude and Wanda 1
    return np.where(alive, unit * sizes, PRUNED)


@contract(
    3,
    W=LAYER,
    H=PROXY,
    config=Config(PBS2P, text="The configuration, with the layer's own `keep`; see ``PRESETS``."),
)
def pbs2p_layer(W: Array, H: Array, config: PBS2P = CANONICAL) -> QuantizedLayer:
    """Quantize a linear layer with PBS2P.

    Returns
    -------
    QuantizedLayer
        One block per `block_size` columns; the last one is narrower if the width is not a
        multiple of it.

    References
    ----------
    PBS2P, arXiv 2502.01705, CFS and SPBO.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> W, X = rng.normal(size=(4, 64)), rng.normal(size=(2, 100, 64))
    >>> from subbit.reference import accumulate_hessian, nominal_bits
    >>> layer = pbs2p_layer(W, accumulate_hessian(X), PBS2P(block_size=32))
    >>> layer.decode().shape, float(np.mean(layer.decode() != 0.0)), nominal_bits(layer) < 1.0
    ((4, 64), 0.5, True)
    """
    check_groups_fill(W.shape[1], config.pruning.keep, config.pruning.tail)
    state, fine = prepare_layer(W, H, config.loop), config.fine
    # Wanda's norms are those of the inputs, without damping.
    scored = 2.0 * state.gram if fine.fine_score == "wanda" else state.prepared.damped
    unit = _unit_scores(scored, fine) if fine.fine_hessian == "layer" else None

    def quantize_block(block: Block) -> QuantizedBlock:
        W, S, alive, own = block.weights, block.scores, block.alive, block.columns
        by = _unit_scores(scored[own, own], fine) if unit is None else unit[own]
        masks = pruning_masks(W, state.prepared.damped[own, own], alive, config, unit=by)
        return pbs2p_block(W, S, masks, alive, config, gram=block.gram, start=block.start)

    return quantize_blocks(state, quantize_block)


__all__ = [
    "BEST",
    "CANONICAL",
    "PBS2P",
    "PRESETS",
    "PRUNED",
    "REMOVED",
    "Fine",
    "pbs2p_block",
    "pbs2p_layer",
    "pruning_masks",
]
