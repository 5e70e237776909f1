"""BiLLM
=====

:mod:`subbit.reference.billm` on a device. A layer goes there once and its record comes
back once: counts, thresholds and masks are chosen by kernels and stay where they are.
"""

from typing import Any

from subbit import reference
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.fetch import BlockOnDevice, Layout, fetch
from subbit.fast.launches.partition import candidate_thresholds, salient_columns
from subbit.fast.launches.rows import launch_binarize
from subbit.fast.launches.state import Groups
from subbit.reference.billm import PAPER, BiLLM
from subbit.reference.layer import QuantizedBlock, QuantizedLayer, block_slices
from subbit.reference.notation import Mask
from subbit.reference.zones.partition import PARTITION, Partition

from .blocks import Block, LayerState, prepare_layer, quantize_blocks
from .device import Device
from .launches import searches
from .mirror import mirrors

_CONCENTRATED, _SPARSE, _SALIENT = 1, 2, 3
_NAMES, _ORDERS = ("concentrated", "sparse", "salient"), (1, 1, 2)
_REST = searches.Cut(_CONCENTRATED, _SPARSE)


def _codes(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: Mask,
    config: Partition,
    **switches: Any,  # noqa: ANN401  (those of `salient_columns`)
) -> DeviceArray:
    numbers = {"salient": _SALIENT, "rest": _REST.zone}
    return salient_columns(device, W, S, alive, config, **numbers, **switches)


@mirrors(reference.choose_split)
def choose_split(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    columns: DeviceArray,
    config: Partition = PARTITION,
) -> tuple[DeviceArray, DeviceArray]:
    """Choose the concentrated and the sparse entries of some columns."""
    group = _group(device, W, S, columns.view(device.xp.uint8), config)
    return group == _CONCENTRATED, group == _SPARSE


def _group(
    device: Device, W: DeviceArray, S: DeviceArray, codes: DeviceArray, config: Partition
) -> DeviceArray:
    key = device.xp.abs(config.cut(W, S))
    thresholds = candidate_thresholds(device, key, codes == _REST.zone, config.grid)
    objective, _ = searches.split_objectives(
        device,
        searches.Entries(config.searched(W, S), key, codes),
        thresholds,
        (_REST,),
        center=config.center,
        sign_zero=config.sign_zero,
        closed=config.closed,
    )
    best = searches.first_minimum(device, objective)
    return searches.cut_zones(
        device, key, codes, thresholds, best, cuts=(_REST,), closed=config.closed
    )


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
    codes = None
    if salient is not None:
        codes = xp.where(salient, xp.uint8(_SALIENT), alive.view(xp.uint8))
    made = _block(device, W, S, to_host(alive), config, codes=codes, start=start)
    return fetch(device, [made])[0]


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
    part = config.zones
    if codes is None:
        codes = _codes(device, W, S, alive, part)
    group = _group(device, W, S, codes, part)
    made = Groups.blank(device, W.shape, _ORDERS)
    for number in range(len(_ORDERS)):
        launch_binarize(made, W, group, number, center=part.center, sign_zero=part.sign_zero)
    layout = Layout(_NAMES, _ORDERS, (_SALIENT,), mean=part.center)
    return BlockOnDevice(start, group, made, layout)


@mirrors(reference.billm_layer)
def billm_layer(
    device: Device, W: DeviceArray, H: DeviceArray, config: BiLLM = PAPER
) -> QuantizedLayer:
    """Quantize a linear layer with BiLLM."""
    state = prepare_layer(device, W, H, config.loop)
    chosen = _matrix_codes(state, config) if config.scope == "matrix" else None

    def quantize_block(block: Block) -> BlockOnDevice:
        W, S, codes = block.weights, block.scores, None if chosen is None else chosen[block.columns]
        return _block(device, W, S, block.alive, config, codes=codes, start=block.start)

    return quantize_blocks(state, quantize_block)


def _matrix_codes(state: LayerState, config: BiLLM) -> DeviceArray:
    W = state.weights
    blocks = len(block_slices(W.shape[1], config.loop.block_size))
    scores = state.scores(W, slice(0, W.shape[1]))
    return _codes(state.device, W, scores, state.alive, config.zones, blocks=blocks)
