"""ARB-LLM
=======

ARB-LLM: Alternating Refined Binarizations for Large Language Models, arXiv 2410.03129.

The block loop is BiLLM's: score the weights, choose salient columns, cut the entries at
a magnitude, binarize each group, feed the block's error forward. Two things are new: a group
is binarized by ``arb``, ``arb_x`` or ``arb_rc``, and salient columns are cut too, the
column-group bitmap. The paper's final methods, ARB-LLM_X and ARB-LLM_RC, use it.

========== ========= ==========================================================
symbol     shape     meaning
========== ========= ==========================================================
``W``      (n, k)    weights of the block, moved by the blocks before it
``S``      (n, k)    saliency scores
``gram``   (k, k)    mean over sequences of ``X_sᵀ X_s`` in the block, ``H / 2``
========== ========= ==========================================================

Paper and code differ in eighteen places, ERRATA D-1 to D-18. Each is one field of the
configuration, see ``presets.arb_llm``.
"""

from dataclasses import replace

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import symmetric
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
from subbit.reference.groups.arb import arb
from subbit.reference.groups.arb_rc import arb_rc
from subbit.reference.groups.arb_x import arb_x
from subbit.reference.groups.together import sweep_groups
from subbit.reference.presets.arb_llm import ARBLLM, CORRECTED, PAPER, PRESETS, RELEASED
from subbit.reference.records import Config, Zones
from subbit.reference.zones.column_groups import choose_column_groups
from subbit.reference.zones.salient import choose_salient

from .blocks import Block, prepare_layer, quantize_blocks
from .errors import ArgumentError
from .layer import BinaryGroup, QuantizedBlock, QuantizedLayer, Zone
from .notation import Array, Mask


@contract(
    3,
    W=BLOCK,
    S=SCORES,
    alive=ALIVE,
    config=Config(ARBLLM),
    gram=symmetric("k", "Gram matrix of the block's inputs; ARB-X needs it."),
    salient=SALIENT,
    start=START,
)
def arb_llm_block(
    W: Array,
    S: Array,
    alive: Mask,
    config: ARBLLM = PAPER,
    *,
    gram: Array | None = None,
    salient: Mask | None = None,
    start: int = 0,
) -> QuantizedBlock:
    """Quantize one block: salient columns, column-group bitmap, refined groups.

    Returns
    -------
    QuantizedBlock
        Groups "salient-sparse", "salient-concentrated", "sparse" and "concentrated"; or
        "salient" in place of the first two.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, section 3.4.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[9.0, 1.0, -1.0, 4.0], [-9.0, 1.0, 1.0, 4.0]])
    >>> block = arb_llm_block(W, W**2, np.ones(4, dtype=bool))
    >>> [group.name for group in block.groups]
    ['salient-sparse', 'salient-concentrated', 'sparse', 'concentrated']
    """
    how = config.zones
    if salient is None:
        salient = choose_salient(W, S, alive, how.partition)
    image = None
    if how.split_error == "outputs":
        image = _salient_image(how.partition.searched(W, S), alive & salient, config)
    zones = choose_column_groups(W, S, alive, salient, how, gram=gram, image=image)
    groups = refine_zones(W, zones, config, gram=gram)
    return QuantizedBlock(start, start + W.shape[1], groups, salient)


@contract(
    3,
    W=WEIGHTS,
    zones=Zones(text="Disjoint groups."),
    config=Config(ARBLLM),
    gram=symmetric("k", 'Gram matrix of the inputs; the algorithm ``"arb_x"`` needs it.'),
)
def refine_zones(
    W: Array, zones: tuple[Zone, ...], config: ARBLLM = PAPER, *, gram: Array | None = None
) -> tuple[BinaryGroup, ...]:
    """Binarize the groups of a block.

    Returns
    -------
    tuple of BinaryGroup
        One group per zone.

    Notes
    -----
    ARB-X fits each group to its own weights, but the calibrated error of the block has terms
    between groups. With `sweeps`, each group is then fitted to the residual of the others,
    ``W - Σ_h Ŵ_h``, and the block's error never rises.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, section 3.4.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[1.0, -1.0, 8.0, 9.0]])
    >>> zone = Zone("all", np.ones((1, 4), dtype=bool), 1)
    >>> refine_zones(W, (zone,))[0].decode().round(3)
    array([[ 1., -1.,  8.,  9.]])
    """
    if config.algorithm == "arb_x" and gram is None:
        raise ArgumentError("gram", f"a matrix of shape {(W.shape[1],) * 2}", "None")
    groups = tuple(_refine(W, zone, config, gram) for zone in zones)
    if config.algorithm != "arb_x" or gram is None:
        return groups
    return sweep_groups(W, groups, gram, sweeps=config.sweeps, config=config.refinement)


def _refine(W: Array, zone: Zone, config: ARBLLM, gram: Array | None) -> BinaryGroup:
    columns, how = _fitted_columns(zone.mask, config), config.refinement
    V, M = W[:, columns], zone.mask[:, columns]
    if config.algorithm == "arb_rc":
        signs = config.column_signs
        group = arb_rc(V, M, order=zone.order, config=how, column_signs=signs, name=zone.name)
    elif config.algorithm == "arb_x" and gram is not None:
        S = gram[np.ix_(columns, columns)]
        group = arb_x(V, M, S, order=zone.order, config=how, name=zone.name)
    else:
        group = arb(V, M, order=zone.order, config=how, name=zone.name)
    return _put_back(group, zone.mask, columns)


def _fitted_columns(mask: Mask, config: ARBLLM) -> Mask:
    # A salient zone has few columns: the others are left out and put back later. Where
    # initial sums are divided by the width, D-1, that width is the block's.
    used = np.asarray(np.any(mask, axis=0))
    by_width = config.refinement.divisor == "width" and config.algorithm != "arb_rc"
    return np.ones_like(used) if by_width or not used.any() else used


def _put_back(group: BinaryGroup, mask: Mask, columns: Mask) -> BinaryGroup:
    planes = []
    for plane in group.planes:
        signs = np.zeros(mask.shape, dtype=np.int8)
        signs[:, columns] = plane.sign
        scales = plane.column_scale
        if scales is not None:
            scales = np.zeros(len(columns))
            scales[columns] = plane.column_scale
        planes.append(replace(plane, sign=signs, column_scale=scales))
    return replace(group, mask=mask, planes=tuple(planes))


def _salient_image(T: Array, salient: Mask, config: ARBLLM) -> Array:
    # In a search on outputs, the released ARB-X uses plain ARB for the salient columns.
    plain = config if config.algorithm == "arb_rc" else config.changed(algorithm="arb")
    zone = Zone("salient", np.broadcast_to(salient, T.shape), 2)
    return _refine(T, zone, plain, None).decode()


@contract(3, W=LAYER, H=PROXY, config=Config(ARBLLM, text="The configuration; see ``PRESETS``."))
def arb_llm_layer(W: Array, H: Array, config: ARBLLM = PAPER) -> QuantizedLayer:
    """Quantize a linear layer with ARB-LLM.

    Returns
    -------
    QuantizedLayer
        One block per `block_size` columns; the last one is narrower if the width is not a
        multiple of it.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, section 3.4.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> W, X = rng.normal(size=(4, 64)), rng.normal(size=(2, 100, 64))
    >>> from subbit.reference import accumulate_hessian, nominal_bits
    >>> layer = arb_llm_layer(W, accumulate_hessian(X), ARBLLM(block_size=32))
    >>> layer.decode().shape, len(layer.blocks), 1.0 <= nominal_bits(layer) <= 2.0
    ((4, 64), 2, True)
    """

    def quantize_block(block: Block) -> QuantizedBlock:
        W, S = block.weights, block.scores
        return arb_llm_block(W, S, block.alive, config, gram=block.gram, start=block.start)

    return quantize_blocks(prepare_layer(W, H, config.loop), quantize_block)


__all__ = [
    "ARBLLM",
    "CORRECTED",
    "PAPER",
    "PRESETS",
    "RELEASED",
    "arb_llm_block",
    "arb_llm_layer",
    "refine_zones",
]
