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
B-13. The presets of ``billm-nm``, two groups instead of three behind another method's mask,
are the ones that STBLLM compares itself with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from subbit.reference.baselines.sparsegpt import SparseGPT, sparsegpt_prune
from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.kinds import Flags, Part
from subbit.reference.contracts.scalars import Share
from subbit.reference.contracts.settings import Composed, Pattern, Switches
from subbit.reference.contracts.words import (
    ALIVE,
    BLOCK,
    FACTOR,
    HESSIAN,
    LAYER,
    LEVELS,
    PROXY,
    SALIENT,
    SCORES,
    START,
    WEIGHTS,
)
from subbit.reference.groups.together import binarize_zones
from subbit.reference.pruning.sparsity import (
    Axis,
    Standardize,
    Tail,
    input_norms,
    magnitude_importance,
    nm_mask,
    ria_importance,
    standardized_importance,
    wanda_importance,
)
from subbit.reference.records import Config
from subbit.reference.zones.partition import (
    PARTITION,
    Partition,
    candidate_thresholds,
    split_search,
)
from subbit.reference.zones.saliency import obs_saliency, trailing_saliency
from subbit.reference.zones.salient import choose_salient
from subbit.reference.zones.search import Search
from subbit.reference.zones.split import bell_split
from subbit.reference.zones.trisection import (
    trisection,
    trisection_search,
    trisection_search_direct,
    trisection_thresholds,
)

from .blocks import LOOP, Block, LayerState, Loop, prepare_layer, quantize_blocks
from .errors import check_blocks_hold_groups
from .layer import QuantizedBlock, QuantizedLayer, Zone
from .notation import Array, Mask
from .objective import proxy_loss

Importance: TypeAlias = Literal[
    "standardized", "ria", "wanda", "magnitude", "obs", "trailing", "sparsegpt"
]
Pruned: TypeAlias = Literal["zero", "binarize"]
Start: TypeAlias = Literal["pruned", "dense"]
Free: TypeAlias = Literal["kept", "all"]


@dataclass(frozen=True, repr=False)
class Pruning(Switches):
    """Choice of the weights to keep, and treatment of the others.

    Parameters
    ----------
    keep : tuple of int, default (4, 8)
        S-7. ``(N, M)``: N of every M weights are kept. The code counts pruned ones instead.
        With N = M nothing is pruned.
    tail : {"error", "dense"}, default "error"
        Treatment of the last columns if M does not divide the width.
    importance : str, default "standardized"
        S-1. Which weights matter: ``"standardized"`` Eq. (2), ``"ria"`` the code,
        ``"wanda"``, ``"magnitude"``, ``"obs"`` and ``"trailing"`` the two scores of optimal
        brain surgery; ``"sparsegpt"`` takes the mask, and with ``start="pruned"`` the
        weights, of SparseGPT.
    standardize : {"before", "after", "none"}, default "before"
        S-2. Where Eq. (2) standardizes: before or after the factor of the inputs.
    exponent : float, default 1.0
        S-1. Power of the inputs' norms in Eq. (2) and in RIA; 1/2 in the code.
    axis : {"row", "matrix"}, default "row"
        S-2. Axis over which Eq. (2) takes mean and deviation; the text does not say.
    pruned : {"zero", "binarize"}, default "zero"
        S-5. Whether pruned weights are zero in the result, or binarized like the others
        (code).
    start : {"pruned", "dense"}, default "pruned"
        S-5. Whether quantization starts from the pruned weights, or from the dense ones, so
        that the pruning error is fed forward too.
    free : {"kept", "all"}, default "kept"
        S-5. Whether feedback moves only the kept weights, or all weights (code). A pruned
        weight that has drifted is part of the error of its block.

    Examples
    --------
    >>> Pruning(keep=(8, 8)).prunes, Pruning().strict
    (False, True)
    """

    keep: tuple[int, int] = (4, 8)
    tail: Tail = "error"
    importance: Importance = "standardized"
    standardize: Standardize = "before"
    exponent: float = 1.0
    axis: Axis = "row"
    pruned: Pruned = "zero"
    start: Start = "pruned"
    free: Free = "kept"

    DOMAINS: ClassVar[Mapping[str, Kind]] = {"keep": Pattern(), "exponent": Share()}

    @property
    def prunes(self) -> bool:
        """Whether some weights are pruned at all."""
        return self.keep[0] < self.keep[1]

    @property
    def strict(self) -> bool:
        """Whether some weights are pruned and zero in the result."""
        return self.prunes and self.pruned == "zero"


@dataclass(frozen=True, init=False, repr=False)
class Regions(Composed):
    """How a block is cut into regions of magnitude.

    Parameters
    ----------
    partition : Partition
        How salient columns and thresholds are searched.
    regions : {3, 2}, default 3
        Groups that the weights outside salient columns are cut into.
    factor : float, default 2.0
        The upper threshold divided by the lower one.
    levels : int, default 160
        Number of candidate thresholds.
    bounded : bool, default True
        S-10. Whether the upper threshold must also lie within the grid. If none does, as in
        a block of one magnitude, all candidates count; the code fails.

    Examples
    --------
    >>> Regions(regions=2).partition.grid
    'maximum'
    """

    partition: Partition = PARTITION
    regions: Literal[3, 2] = 3
    factor: float = 2.0
    levels: int = 160
    bounded: bool = True

    DOMAINS: ClassVar[Mapping[str, Kind]] = {"factor": FACTOR, "levels": LEVELS}


PRUNING, REGIONS = Pruning(), Regions()


@dataclass(frozen=True, init=False, repr=False)
class STBLLM(Composed):
    """Configuration of STBLLM; the defaults are the paper's.

    Fields that paper and code set differently are the switches of ERRATA.md.

    Parameters
    ----------
    loop : Loop
        The loop over blocks.
    pruning : Pruning
        Which weights are kept.
    zones : Regions
        How a block is partitioned.
    fallback : bool, default False
        Beyond paper and code: also quantize without feedback, and take the layer with the
        lower loss.

    Examples
    --------
    >>> STBLLM().pruning.keep, CORRECTED.pruning.start, RELEASED.pruning.pruned
    ((4, 8), 'dense', 'binarize')
    """

    loop: Loop = LOOP
    pruning: Pruning = PRUNING
    zones: Regions = REGIONS
    fallback: bool = False

    def __post_init__(self) -> None:
        """Check the settings against their domains, and blocks for whole groups."""
        super().__post_init__()
        if self.pruning.prunes:
            check_blocks_hold_groups(self.loop.block_size, self.pruning.keep)


PAPER = STBLLM()
RELEASED = STBLLM(
    center=True,
    sign_zero=0,
    search_on="scores",
    split_by="scores",
    grid="quantiles_with_zeros",
    search_orders=(2, 2),
    counts=(1, 49),
    compensation="released",
    closed=False,
    importance="ria",
    exponent=0.5,
    pruned="binarize",
    free="all",
)
RELEASED_MAGNITUDE = RELEASED.changed(score="magnitude")
CORRECTED = STBLLM(
    grid="quantiles",
    counts=(0, 49),
    dead_inputs="zero",
    importance="ria",
    exponent=0.5,
    start="dense",
    free="all",
    fallback=True,
)

PRESETS: Mapping[str, STBLLM] = MappingProxyType(
    {
        "paper": PAPER,
        "released": RELEASED,
        "released-magnitude": RELEASED_MAGNITUDE,
        "corrected": CORRECTED,
    }
)


def _of_billm(config: STBLLM, importance: Importance) -> STBLLM:
    return config.changed(importance=importance, exponent=1.0, regions=2, levels=81)


BILLM_PRESETS: Mapping[str, STBLLM] = MappingProxyType(
    {
        "wanda": _of_billm(RELEASED, "wanda"),
        "sparsegpt": _of_billm(RELEASED, "sparsegpt"),
        "wanda-strict": _of_billm(CORRECTED, "wanda"),
        "sparsegpt-strict": _of_billm(CORRECTED, "sparsegpt"),
    }
)
"""BiLLM behind the mask of another method."""


def _scores(W: Array, norms: Array, state: LayerState, pruning: Pruning) -> Array:
    match pruning.importance:
        case "standardized":
            return standardized_importance(
                W,
                norms,
                exponent=pruning.exponent,
                standardize=pruning.standardize,
                axis=pruning.axis,
            )
        case "ria":
            return ria_importance(W, norms, exponent=pruning.exponent)
        case "wanda":
            return wanda_importance(W, norms)
        case "obs":
            return obs_saliency(W, state.prepared.damped)
        case "trailing":
            return trailing_saliency(W, state.prepared.factor)
    return magnitude_importance(W)


@contract(3, W=LAYER, H=HESSIAN, config=Config(STBLLM))
def choose_kept(W: Array, H: Array, config: STBLLM = PAPER) -> tuple[Array, Mask]:
    """Choose the weights that are kept, and those that quantization starts from.

    Returns
    -------
    weights : ndarray of float64, shape (n, m)
        Weights to start from: zero where pruned, unless ``start="dense"``, and where the
        input is dead.
    kept : ndarray of bool, shape (n, m)
        The mask.

    Raises
    ------
    HessianError
        If `H` is not positive definite after damping.

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
    # Alg. 1, STBLLM:  W ∘ M, where M holds the N largest scores of each M weights
    return _choose_kept(W, H, state, config)


def _choose_kept(W: Array, H: Array, state: LayerState, config: STBLLM) -> tuple[Array, Mask]:
    # Scores are those of the layer as given; a dead input's weights are zeroed afterwards.
    pruning, loop = config.pruning, config.loop
    if not pruning.prunes:
        return state.weights, np.ones(W.shape, dtype=np.bool_)
    if pruning.importance == "sparsegpt":
        method = SparseGPT(
            keep=pruning.keep,
            block_size=loop.block_size,
            percdamp=loop.percdamp,
            tail=pruning.tail,
        )
        moved, kept = sparsegpt_prune(W, H, method)
    else:
        scores = _scores(W, input_norms(H), state, pruning)
        kept = nm_mask(scores, *pruning.keep, tail=pruning.tail)
        moved = np.where(kept, state.weights, 0.0)
    return state.weights if pruning.start == "dense" else moved, kept


@contract(
    2,
    W=WEIGHTS,
    S=SCORES,
    part=Part(("n", "k"), text="Columns or entries to cut."),
    config=Config(Regions),
)
def choose_regions(W: Array, S: Array, part: Mask, config: Regions = REGIONS) -> tuple[Mask, ...]:
    """Cut some entries into regions of magnitude.

    Returns
    -------
    tuple of ndarray of bool, shape (n, k)
        Dense, intermediate and sparse entries; concentrated and sparse ones for two
        regions. They are disjoint and cover the part.

    References
    ----------
    STBLLM, arXiv 2408.01803, Algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[1.0, -1.0, 3.0, -3.0, 9.0]])
    >>> for mask in choose_regions(W, W**2, np.ones(5, dtype=bool)):
    ...     print(mask.astype(int))
    [[1 1 0 0 0]]
    [[0 0 1 1 0]]
    [[0 0 0 0 1]]
    """
    if not part.any():
        return (np.zeros(W.shape, dtype=np.bool_),) * config.regions
    how = config.partition
    target, key = how.searched(W, S), np.abs(how.cut(W, S))
    cuts = candidate_thresholds(key, part, how.grid, config.levels)
    if config.regions == 2:
        search = split_search(target, key, part, cuts, how)
        return bell_split(key, part, search.choice, closed=how.closed)
    if config.bounded:
        cuts = trisection_thresholds(cuts, factor=config.factor)
    # Alg. 2, STBLLM:  p₁* = argmin over p₁, with p₂ = 2 p₁, of the three groups' error
    search = _trisect(target, key, part, cuts, config)
    return trisection(key, part, search.choice, factor=config.factor, closed=how.closed)


def _trisect(target: Array, key: Array, part: Mask, cuts: Array, config: Regions) -> Search:
    how = config.partition
    # Cut by another quantity, groups are not runs of a sorted row.
    direct = partial(trisection_search_direct, key=key)
    search = trisection_search if how.split_by == how.search_on else direct
    return search(
        target,
        part,
        cuts,
        factor=config.factor,
        center=how.center,
        sign_zero=how.sign_zero,
        closed=how.closed,
    )


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
    # Alg. 1, STBLLM:  B = residual(W_sal) + binary(W_dense) + binary(W_inter) + binary(W_sparse)
    groups = binarize_zones(W, zones, center=how.center, sign_zero=how.sign_zero)
    pattern = config.pruning.keep if strict else None
    return QuantizedBlock(start, start + W.shape[1], groups, salient, pattern)


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

    Raises
    ------
    HessianError
        If `H` is not positive definite after damping.

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
    plain = _quantized(begun, kept, config.changed(compensation="none"))
    # Eq. (50), subbit:  Q = argmin over both forms of ½ tr((W − Q) H (W − Q)ᵀ)
    return min((layer, plain), key=lambda each: _loss(state, each))


def _quantized(state: LayerState, kept: Mask, config: STBLLM) -> QuantizedLayer:
    def quantize_block(block: Block) -> QuantizedBlock:
        W, S, own = block.weights, block.scores, kept[:, block.columns]
        return stbllm_block(W, S, block.alive, own, config, start=block.start)

    begun = replace(state, loop=config.loop)
    free = kept if config.pruning.free == "kept" else None
    # Alg. 1, STBLLM:  for every block, quantize and compensate
    return quantize_blocks(begun, quantize_block, free=free)


def _loss(state: LayerState, layer: QuantizedLayer) -> float:
    return proxy_loss(state.weights, layer.decode(), state.prepared.damped)
