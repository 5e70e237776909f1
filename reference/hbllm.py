"""HBLLM
=====

HBLLM, arXiv 2512.00862: BiLLM's loop over blocks with another quantizer of a block.

In the row-wise variant, salient columns are replaced by means of their neighbors, the block is
transformed by pairs of neighboring columns, and each row of both bands is split by magnitude
into two binarized groups. What is left of the salient columns is transformed by pairs of
neighboring rows, and split again. In the column-wise variant, the columns that are not salient
are transformed by pairs of rows, and the salient ones by themselves.

========== ========= ==========================================================
symbol     shape     meaning
========== ========= ==========================================================
``W``      (n, k)    weights of the block, moved by the blocks before it
``S``      (n, k)    saliency scores
``s``      int       number of salient columns
``F``      (n, k)    the block with salient columns replaced
``Q``      (n, k)    what the transform of ``F`` decodes to
``E``      (n, s)    what is left of the salient columns
``A``      (s,)      the salient columns
========== ========= ==========================================================

What paper and code were read of, and what is chosen here, the book's page on HBLLM says.
"""

from dataclasses import replace

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.words import ALIVE, BLOCK, LAYER, PROXY, SCORES, START
from subbit.reference.groups.row_split import row_split
from subbit.reference.presets.hbllm import CORRECTED, HBLLM, PRESETS, RELEASED
from subbit.reference.records import Config
from subbit.reference.zones.salient import rank_columns, salient_search

from .blocks import Block, prepare_layer, quantize_blocks
from .haar import Axis, HaarGroup, HaarTerm, haar
from .layer import BinaryGroup, QuantizedBlock, QuantizedLayer
from .notation import Array, Indices, Mask

REACH = 3
"""Columns on either side that a salient column is replaced by the mean of."""


@contract(3, W=BLOCK, S=SCORES, alive=ALIVE, config=Config(HBLLM), start=START)
def hbllm_block(
    W: Array, S: Array, alive: Mask, config: HBLLM = RELEASED, *, start: int = 0
) -> QuantizedBlock:
    """Quantize one block: salient columns, Haar coefficients, a split of each of their rows.

    Returns
    -------
    QuantizedBlock
        One group of Haar coefficients, with a term for the salient columns if there are any.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[4.0, 4.0, 1.0, -1.0], [2.0, 2.0, 3.0, -3.0]])
    >>> hbllm_block(W, W**2, np.ones(4, dtype=bool), HBLLM(counts=(0, 0))).decode().round(9)
    array([[ 4.,  4.,  1., -1.],
           [ 2.,  2.,  3., -3.]])
    """
    X, salient = W[:, alive], _choose_salient(W, S, alive, config)[alive]
    Q, terms = np.zeros(X.shape), []
    first = salient | True if config.pairs == "columns" else ~salient
    if first.any():
        terms.append(_term(_filled(X, salient)[:, first], first, config.pairs, config))
        Q[:, first] = terms[0].decode()
    if salient.any():
        # Eq. (128), subbit:  E = W_:A − Q_:A
        E = X[:, salient] - Q[:, salient]
        terms.append(_term(E, salient, "rows", config))
    # So far a term's columns count from the first column to quantize.
    whole = tuple(replace(term, columns=_placed(term.columns, alive)) for term in terms)
    mask = np.broadcast_to(alive, W.shape).copy()
    group = HaarGroup("haar", mask, whole, config.share_mean)
    return QuantizedBlock(start, start + W.shape[1], (group,))


def _placed(columns: Mask, alive: Mask) -> Mask:
    """Count columns from the block's first one, not from the first one to quantize."""
    found = np.zeros(len(alive), dtype=np.bool_)
    found[np.flatnonzero(alive)[columns]] = True
    return found


def _choose_salient(W: Array, S: Array, alive: Mask, config: HBLLM) -> Mask:
    salient = np.zeros(len(alive), dtype=np.bool_)
    available = int(np.count_nonzero(alive))
    if not available:
        return salient
    largest = max(float(np.max(np.abs(S))), np.finfo(np.float64).tiny)
    # Eq. (126), subbit:  columns by ‖S_:j‖₂
    norms = np.sqrt(np.sum((S / largest) ** 2, axis=0))
    ranking = rank_columns(np.where(alive, norms, -1.0))[:available]
    low, high = (min(count, available) for count in config.counts)
    search = salient_search(
        W if config.search_on == "weights" else S,
        ranking,
        np.arange(low, high + 1),
        orders=config.search_orders,
        center=config.center,
        sign_zero=config.sign_zero,
    )
    salient[ranking[: int(search.choice)]] = True
    return salient


def _neighbors(rest: Indices, j: int) -> Indices:
    """Find the columns that stand in for a salient one."""
    near = rest[np.abs(rest - j) <= REACH]
    if near.size:
        return near
    left, right = rest[rest < j], rest[rest > j]
    return left[-1:] if left.size else right[:1]


def _filled(W: Array, salient: Mask) -> Array:
    """Replace salient columns by the mean of their neighbors that are not."""
    F, rest = W.copy(), np.flatnonzero(~salient)
    for j in np.flatnonzero(salient):
        near = _neighbors(rest, int(j))
        # Eq. (127), subbit:  F_:j = mean of W_:l, |l − j| ≤ 3, l not salient
        F[:, j] = np.mean(W[:, near], axis=1) if near.size else 0.0
    return F


def _term(X: Array, columns: Mask, axis: Axis, config: HBLLM) -> HaarTerm:
    """Binarize the coefficients of some columns, each band by itself."""
    C, term = haar(X, axis), HaarTerm(axis, columns, ())
    names = ("low-", "high-") if axis == "columns" else ("",)
    groups: list[BinaryGroup] = []
    for name, band in zip(names, term.bands, strict=False):
        sides = row_split(
            C[:, band],
            levels=config.quantiles,
            scale=config.scale,
            share_mean=config.share_mean,
            sign_zero=config.sign_zero,
        )
        groups += [_embedded(side, f"{name}{side.name}", band, X.shape[1]) for side in sides]
    return replace(term, groups=tuple(groups))


def _embedded(group: BinaryGroup, name: str, band: slice, width: int) -> BinaryGroup:
    """Place a group of a band among the coefficients of both."""
    mask = np.zeros((len(group.mask), width), dtype=np.bool_)
    sign = np.zeros(mask.shape, dtype=np.int8)
    mask[:, band], sign[:, band] = group.mask, group.planes[0].sign
    return BinaryGroup(name, mask, (replace(group.planes[0], sign=sign),), group.mean)


@contract(3, W=LAYER, H=PROXY, config=Config(HBLLM, text="The configuration; see ``PRESETS``."))
def hbllm_layer(W: Array, H: Array, config: HBLLM = RELEASED) -> QuantizedLayer:
    """Quantize a linear layer with HBLLM.

    Returns
    -------
    QuantizedLayer
        One block per `block_size` columns; the last one is narrower if the width is not a
        multiple of it.

    References
    ----------
    Eqs. of the block, such as Eq. (128), subbit.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> W, X = rng.normal(size=(8, 64)), rng.normal(size=(100, 64))
    >>> from subbit.reference import nominal_bits
    >>> layer = hbllm_layer(W, X.T @ X, HBLLM(block_size=32))
    >>> layer.decode().shape, len(layer.blocks), 1.0 <= nominal_bits(layer) <= 2.0
    ((8, 64), 2, True)
    """

    def quantize_block(block: Block) -> QuantizedBlock:
        W, S = block.weights, block.scores
        return hbllm_block(W, S, block.alive, config, start=block.start)

    return quantize_blocks(prepare_layer(W, H, config.loop), quantize_block)


__all__ = ["CORRECTED", "HBLLM", "PRESETS", "RELEASED", "hbllm_block", "hbllm_layer"]
