"""BiLLM
=====

:mod:`subbit.reference.billm` on a device. A layer goes there once and its record comes
back once: counts, thresholds and masks are chosen by kernels and stay where they are.
"""

import numpy as np

from subbit import reference
from subbit.reference.billm import PAPER, BiLLM, Grid
from subbit.reference.compensate import block_slices
from subbit.reference.errors import check_config
from subbit.reference.hessian import PreparedHessian
from subbit.reference.layer import QuantizedBlock, QuantizedLayer
from subbit.reference.notation import Mask

from . import linalg, rows, searches
from .arrays import DeviceArray, exponent, mask, matrix, scaled, to_host
from .compensate import compensate
from .device import Device
from .fetch import BlockOnDevice, fetch
from .grids import quantiles, tenths
from .hessian import prepare_hessian
from .mirror import mirrors

ORDERS = (1, 1, 2)


@mirrors(reference.choose_salient)
def choose_salient(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: DeviceArray,
    config: BiLLM = PAPER,
    *,
    blocks: int = 1,
) -> DeviceArray:
    """Choose the salient columns of a block, or of a whole matrix."""
    weights = matrix(device, "W", W)
    scores = matrix(device, "S", S, shape=weights.shape)
    part = mask(device, "alive", alive, weights.shape[1:])
    return _codes(device, weights, scores, to_host(part), config, blocks=blocks) == searches.SALIENT


def _codes(
    device: Device, W: DeviceArray, S: DeviceArray, alive: Mask, config: BiLLM, *, blocks: int = 1
) -> DeviceArray:
    # 3 for salient columns, 1 for others, 0 for dead ones
    xp = device.xp
    count = int(np.count_nonzero(alive))
    if count == 0:
        return xp.zeros(len(alive), dtype=xp.uint8)
    place, _ = rows.rank(device, rows.column_sums(device, S), xp.asarray(alive), count)
    low, high = (min(number * blocks, count) for number in config.counts)
    counts = xp.arange(low, high + 1, dtype=xp.int32)
    objective, _ = searches.salient_objectives(
        device,
        W if config.search_on == "weights" else S,
        place,
        counts,
        orders=config.search_orders,
        center=config.center,
        sign_zero=config.sign_zero,
    )
    return searches.mark(device, place, counts, searches.first_minimum(device, objective))


def _thresholds(device: Device, key: DeviceArray, codes: DeviceArray, grid: Grid) -> DeviceArray:
    # How many columns are left is known on the device only, so what is not part of the
    # sample is put at its end instead of being taken out.
    xp = device.xp
    columns = codes == searches.OTHER
    if grid == "maximum":
        return tenths(device, xp.max(xp.where(columns, key, xp.float32(0))))
    if grid == "quantiles_with_zeros":
        everything = xp.where(columns, key, xp.float32(0)).ravel()
        return quantiles(device, xp.sort(everything), key.size)
    ordered = xp.sort(xp.where(columns, key, xp.float32(np.inf)).ravel())
    size = xp.count_nonzero(columns) * len(key)
    if grid == "quantiles":
        return quantiles(device, ordered, size)
    # Repeated breakpoints don't change which one is the first minimum.
    cuts = ordered[xp.minimum(xp.arange(key.size), xp.maximum(size - 1, 0))]
    return xp.where(size > 0, cuts, xp.float32(0))


@mirrors(reference.choose_split)
def choose_split(
    device: Device, W: DeviceArray, S: DeviceArray, columns: DeviceArray, config: BiLLM = PAPER
) -> tuple[DeviceArray, DeviceArray]:
    """Choose the concentrated and the sparse entries among some columns."""
    weights = matrix(device, "W", W)
    scores = matrix(device, "S", S, shape=weights.shape)
    part = mask(device, "columns", columns, weights.shape[1:])
    group = _group(device, weights, scores, part.view(device.xp.uint8), config)
    return group == searches.CONCENTRATED, group == searches.SPARSE


def _group(
    device: Device, W: DeviceArray, S: DeviceArray, codes: DeviceArray, config: BiLLM
) -> DeviceArray:
    key = device.xp.abs(W if config.split_by == "weights" else S)
    cuts = _thresholds(device, key, codes, config.grid)
    objective, _ = searches.split_objectives(
        device,
        W if config.search_on == "weights" else S,
        key,
        codes,
        cuts,
        center=config.center,
        sign_zero=config.sign_zero,
        closed=config.closed,
    )
    best = searches.first_minimum(device, objective)
    return searches.cut(device, key, codes, cuts, best, closed=config.closed)


@mirrors(reference.billm_block)
def billm_block(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: DeviceArray,
    config: BiLLM = PAPER,
    *,
    salient: DeviceArray | None = None,
    start: int = 0,
) -> QuantizedBlock:
    """Quantize one block: salient columns, bell split, three binarized groups."""
    xp = device.xp
    weights = matrix(device, "W", W)
    scores = matrix(device, "S", S, shape=weights.shape)
    part = mask(device, "alive", alive, weights.shape[1:])
    codes = None
    if salient is not None:
        chosen = mask(device, "salient", salient, weights.shape[1:])
        codes = xp.where(chosen, xp.uint8(searches.SALIENT), part.view(xp.uint8))
    made = _block(device, weights, scores, to_host(part), config, codes=codes, start=start)
    return fetch(device, [made], config)[0]


def _block(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: Mask,
    config: BiLLM,
    *,
    codes: DeviceArray | None,
    start: int,
) -> BlockOnDevice:
    if codes is None:
        codes = _codes(device, W, S, alive, config)
    group = _group(device, W, S, codes, config)
    made = rows.Binarized(device, W.shape, ORDERS)
    for number in range(len(ORDERS)):
        made.binarize(W, group, number, center=config.center, sign_zero=config.sign_zero)
    return BlockOnDevice(start, group, made)


class _Scorer:
    """Saliency scores of any columns of a layer, up to one factor."""

    def __init__(
        self, device: Device, W: DeviceArray, prepared: PreparedHessian, config: BiLLM
    ) -> None:
        xp = device.xp
        self.device, self.magnitude = device, config.score == "magnitude"
        # Scores are squares; only their ratios matter, and this keeps them within float32.
        self.power = exponent(device, W)
        if config.score == "inverse_hessian":
            self.divisor = linalg.inverse_diagonal(device, "H", prepared.damped)
        else:
            self.divisor = xp.ascontiguousarray(xp.diagonal(prepared.factor))

    def __call__(self, W: DeviceArray, columns: slice) -> DeviceArray:
        block = scaled(self.device, W[:, columns], -self.power)
        if self.magnitude:
            return block
        return rows.scores(self.device, block, self.divisor[columns], squared=True)


def _alive(H: DeviceArray, config: BiLLM) -> Mask:
    # From the caller's own matrix: where it lies on the host, nothing comes back for this.
    diagonal = to_host(H.diagonal()) if hasattr(H, "get") else np.diagonal(np.asarray(H))
    live: Mask = diagonal.astype(np.float32) != 0
    return live if config.dead_inputs == "zero" else np.ones(len(live), dtype=np.bool_)


@mirrors(reference.billm_layer)
def billm_layer(
    device: Device, W: DeviceArray, H: DeviceArray, config: BiLLM = PAPER
) -> QuantizedLayer:
    """Quantize a linear layer with BiLLM."""
    xp = device.xp
    weights = matrix(device, "W", W)
    hessian = matrix(device, "H", H, shape=(weights.shape[1],) * 2)
    check_config(config, BiLLM)
    prepared = prepare_hessian(device, hessian, config.percdamp)
    weights = xp.where(prepared.dead, xp.float32(0), weights)
    alive = _alive(H, config)
    scores = _Scorer(device, weights, prepared, config)
    chosen = None
    if config.scope == "matrix":
        chosen = _matrix_codes(device, weights, scores, alive, config)

    def quantize_block(current: DeviceArray, columns: slice) -> BlockOnDevice:
        return _block(
            device,
            xp.ascontiguousarray(current[:, columns]),
            scores(current, columns),
            alive[columns],
            config,
            codes=None if chosen is None else chosen[columns],
            start=columns.start,
        )

    made = compensate(
        device,
        weights,
        prepared.factor,
        quantize_block,
        block_size=config.block_size,
        mode=config.compensation,
    )
    return QuantizedLayer(made.layer.shape, fetch(device, made.layer.blocks, config))


def _matrix_codes(
    device: Device, W: DeviceArray, scores: _Scorer, alive: Mask, config: BiLLM
) -> DeviceArray:
    blocks = len(block_slices(W.shape[1], config.block_size))
    return _codes(device, W, scores(W, slice(0, W.shape[1])), alive, config, blocks=blocks)
