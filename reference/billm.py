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

Paper and code differ in a dozen places. Each is one field of :class:`BiLLM` and one
entry of ERRATA, B-1 to B-13. ``PAPER`` follows the equations, ``RELEASED`` and
``RELEASED_MAGNITUDE`` the authors' code with its two metrics, ``CORRECTED`` takes what
is sound of both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from .binarize import residual_binarize
from .compensate import Compensation, block_slices, compensate
from .errors import ArgumentError, check_choice, check_config, check_count, check_matrix
from .hessian import PreparedHessian, prepare_hessian
from .layer import QuantizedBlock, QuantizedLayer
from .notation import Array, Indices, Mask, SignOfZero
from .saliency import (
    column_saliency,
    inverse_hessian_saliency,
    magnitude_saliency,
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
)

Score: TypeAlias = Literal["inverse_hessian", "trailing", "magnitude"]
Scope: TypeAlias = Literal["block", "matrix"]
Domain: TypeAlias = Literal["weights", "scores"]
Grid: TypeAlias = Literal["maximum", "quantiles", "quantiles_with_zeros", "breakpoints"]
DeadInputs: TypeAlias = Literal["binarize", "zero"]


@dataclass(frozen=True)
class BiLLM:
    """Configuration of BiLLM; the defaults are the paper's.

    Parameters
    ----------
    block_size : int, default 128
        Columns of a block.
    percdamp : float, default 0.01
        Damping relative to the mean diagonal of the Hessian.
    center : bool, default False
        B-1. Subtract row means; the code does.
    sign_zero : {1, 0}, default 1
        B-2. Sign of zero; 0 in the code.
    score : {"trailing", "inverse_hessian", "magnitude"}, default "trailing"
        B-3. The saliency score: Algorithm 2's, Eq. (3)'s, or the weights themselves.
    scope : {"block", "matrix"}, default "block"
        B-4. Choose salient columns block by block (Algorithm 1, code) or once over the
        whole matrix (the paper's text).
    search_on : {"weights", "scores"}, default "weights"
        B-5. What the searches measure errors on; the scores in the code.
    split_by : {"weights", "scores"}, default "weights"
        B-6. What is cut by magnitude; the scores in the code.
    grid : str, default "maximum"
        B-7. Candidate thresholds: ``"maximum"`` tenths of the maximum (paper),
        ``"quantiles"`` of the non-salient entries, ``"quantiles_with_zeros"`` of those
        and as many zeros as there are salient entries (code), ``"breakpoints"`` all.
    search_orders : tuple of int, default (1, 1)
        B-8. Orders of the salient part and the rest in the salient search; (2, 2) in
        the code.
    counts : tuple of int, default (3, 30)
        B-9. Smallest and largest number of salient columns; (1, 49) in the code. Narrower
        blocks clip both ends to their width. For ``scope="matrix"`` it is per block.
    compensation : {"exact", "released", "none"}, default "exact"
        B-10. Form of the error feedback; division by the diagonal in the code.
    closed : bool, default True
        B-11. Whether a weight at the threshold is concentrated; the code says sparse.
    dead_inputs : {"binarize", "zero"}, default "binarize"
        B-13. What becomes of columns whose input never fires: binarized like the rest,
        or zero in the result.

    Examples
    --------
    >>> BiLLM().counts, CORRECTED.counts
    ((3, 30), (0, 49))
    """

    block_size: int = 128
    percdamp: float = 0.01
    center: bool = False
    sign_zero: SignOfZero = 1
    score: Score = "trailing"
    scope: Scope = "block"
    search_on: Domain = "weights"
    split_by: Domain = "weights"
    grid: Grid = "maximum"
    search_orders: tuple[int, int] = (1, 1)
    counts: tuple[int, int] = (3, 30)
    compensation: Compensation = "exact"
    closed: bool = True
    dead_inputs: DeadInputs = "binarize"

    def __post_init__(self) -> None:
        check_count("block_size", self.block_size)
        for name, kind in get_type_hints(type(self)).items():
            choices = (False, True) if kind is bool else get_args(kind)
            if get_origin(kind) is Literal or kind is bool:
                check_choice(name, getattr(self, name), choices)
        low, high = _check_pair("counts", self.counts)
        check_count("counts", high, check_count("counts", low, 0))
        for order in _check_pair("search_orders", self.search_orders):
            check_count("search_orders", order)


def _check_pair(argument: str, value: object) -> tuple[object, object]:
    match value:
        case tuple((first, second)):
            return first, second
    raise ArgumentError(argument, "a pair of whole numbers", value)


PAPER = BiLLM()
RELEASED = BiLLM(
    center=True,
    sign_zero=0,
    search_on="scores",
    split_by="scores",
    grid="quantiles_with_zeros",
    search_orders=(2, 2),
    counts=(1, 49),
    compensation="released",
    closed=False,
)
RELEASED_MAGNITUDE = replace(RELEASED, score="magnitude")
CORRECTED = BiLLM(grid="quantiles", counts=(0, 49), dead_inputs="zero")

PRESETS: Mapping[str, BiLLM] = MappingProxyType(
    {
        "paper": PAPER,
        "released": RELEASED,
        "released-magnitude": RELEASED_MAGNITUDE,
        "corrected": CORRECTED,
    }
)


def _candidates(counts: tuple[int, int], available: int, blocks: int = 1) -> Indices:
    low, high = (min(count * blocks, available) for count in counts)
    return np.arange(low, high + 1)


def choose_salient(
    W: Array, S: Array, alive: Mask, config: BiLLM = PAPER, *, blocks: int = 1
) -> Mask:
    """Choose the salient columns of a block, or of a whole matrix.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    S : ndarray of float64, shape (n, k)
        Saliency scores.
    alive : ndarray of bool, shape (k,)
        Columns that may be salient.
    config : BiLLM, default PAPER
        The configuration.
    blocks : int, default 1
        Number of blocks in `W`; the range of counts is per block.

    Returns
    -------
    ndarray of bool, shape (k,)
        True for salient columns.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (5) and Algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[9.0, 1.0, -1.0, 1.0], [-9.0, 1.0, 1.0, 1.0]])
    >>> choose_salient(W, W**2, np.ones(4, dtype=bool), CORRECTED)
    array([ True, False, False, False])
    """
    salient = np.zeros(len(alive), dtype=np.bool_)
    if not alive.any():
        return salient
    # Alg. 2, BiLLM:  columns by Σ_i |S_ij|, then the count with the smallest error
    ranking = rank_columns(np.where(alive, column_saliency(S), -1.0))[: np.count_nonzero(alive)]
    search = salient_search(
        W if config.search_on == "weights" else S,
        ranking,
        _candidates(config.counts, len(ranking), blocks),
        orders=config.search_orders,
        center=config.center,
        sign_zero=config.sign_zero,
    )
    salient[ranking[: int(search.choice)]] = True
    return salient


def _thresholds(key: Array, columns: Mask, grid: Grid) -> Array:
    if grid == "quantiles_with_zeros":
        return quantile_grid(np.where(columns, key, 0.0))
    chosen = key[:, columns]
    if grid == "maximum":
        return maximum_grid(chosen)
    return quantile_grid(chosen) if grid == "quantiles" else breakpoint_grid(chosen)


def choose_split(W: Array, S: Array, columns: Mask, config: BiLLM = PAPER) -> tuple[Mask, Mask]:
    """Choose the concentrated and the sparse entries among some columns.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    S : ndarray of float64, shape (n, k)
        Saliency scores.
    columns : ndarray of bool, shape (k,)
        The columns to split.
    config : BiLLM, default PAPER
        The configuration.

    Returns
    -------
    concentrated, sparse : ndarray of bool, shape (n, k)
        Disjoint masks that cover the columns; both empty where there are none.

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
    key = np.abs(W if config.split_by == "weights" else S)
    # Eq. (13), BiLLM:  p* = argmin_p θ²(p)
    search = _split_search(W, S, columns, _thresholds(key, columns, config.grid), config)
    return bell_split(key, columns, search.choice, closed=config.closed)


def _split_search(W: Array, S: Array, columns: Mask, cuts: Array, config: BiLLM) -> Search:
    target = W if config.search_on == "weights" else S
    if config.split_by == config.search_on:
        return bell_split_search(
            target,
            columns,
            cuts,
            center=config.center,
            sign_zero=config.sign_zero,
            closed=config.closed,
        )
    # Cut by one quantity and measured on the other, groups are not runs of a sorted row.
    return bell_split_search_direct(
        target,
        columns,
        cuts,
        key=np.abs(W if config.split_by == "weights" else S),
        center=config.center,
        sign_zero=config.sign_zero,
        closed=config.closed,
    )


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

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights of the block.
    S : ndarray of float64, shape (n, k)
        Saliency scores.
    alive : ndarray of bool, shape (k,)
        Columns to quantize; the others decode to zero.
    config : BiLLM, default PAPER
        The configuration.
    salient : ndarray of bool, shape (k,), optional
        Salient columns; searched for by default.
    start : int, default 0
        The block's first column in the layer.

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
    check_matrix("S", S, shape=np.shape(W))
    if salient is None:
        salient = choose_salient(W, S, alive, config)
    concentrated, sparse = choose_split(W, S, alive & ~salient, config)
    masks = {
        "concentrated": (concentrated, 1),
        "sparse": (sparse, 1),
        "salient": (np.broadcast_to(salient, W.shape), 2),
    }
    # Alg. 1, BiLLM:  B = residual(W_sal) + binary(W_c) + binary(W_s)
    groups = tuple(
        residual_binarize(
            W,
            mask,
            order=order,
            center=config.center,
            sign_zero=config.sign_zero,
            name=name,
        )
        for name, (mask, order) in masks.items()
    )
    return QuantizedBlock(start, start + W.shape[1], groups, salient)


class _Scorer:
    """Saliency scores of any columns of a layer."""

    def __init__(self, prepared: PreparedHessian, config: BiLLM) -> None:
        self.prepared, self.score = prepared, config.score

    def __call__(self, W: Array, columns: slice) -> Array:
        block = W[:, columns]
        if self.score == "magnitude":
            return magnitude_saliency(block)
        if self.score == "trailing":
            return trailing_saliency(block, self.prepared.factor[columns, columns])
        return inverse_hessian_saliency(W, self.prepared.damped)[:, columns]


def billm_layer(W: npt.ArrayLike, H: npt.ArrayLike, config: BiLLM = PAPER) -> QuantizedLayer:
    """Quantize a linear layer with BiLLM.

    Parameters
    ----------
    W : array_like of float64, shape (n, m)
        Weights.
    H : array_like of float64, shape (m, m)
        Proxy Hessian ``2/N Σ XᵀX``, not damped.
    config : BiLLM, default PAPER
        The configuration; see ``PRESETS``.

    Returns
    -------
    QuantizedLayer
        One block for every `block_size` columns, the last one narrower where the width
        does not divide.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.
    HessianError
        If `H` is not positive definite after damping.

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
    weights = check_matrix("W", W)
    hessian = check_matrix("H", H, shape=(weights.shape[1],) * 2)
    check_config(config, BiLLM)
    prepared = prepare_hessian(hessian, config.percdamp)
    weights = np.where(prepared.dead, 0.0, weights)
    alive = ~prepared.dead if config.dead_inputs == "zero" else np.ones(len(hessian), np.bool_)
    scores = _Scorer(prepared, config)
    salient = _matrix_salient(weights, scores, alive, config) if config.scope == "matrix" else None

    def quantize_block(current: Array, columns: slice) -> QuantizedBlock:
        return billm_block(
            current[:, columns],
            scores(current, columns),
            alive[columns],
            config,
            salient=None if salient is None else salient[columns],
            start=columns.start,
        )

    # Alg. 1, BiLLM:  for every block, quantize and compensate
    return compensate(
        weights,
        prepared.factor,
        quantize_block,
        block_size=config.block_size,
        mode=config.compensation,
    ).layer


def _matrix_salient(W: Array, scores: _Scorer, alive: Mask, config: BiLLM) -> Mask:
    blocks = len(block_slices(W.shape[1], config.block_size))
    return choose_salient(W, scores(W, slice(0, W.shape[1])), alive, config, blocks=blocks)
