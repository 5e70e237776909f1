"""BiLLM
=====

:mod:`subbit.reference.billm` on a device. A layer goes there once and its record comes
back once: counts, thresholds and masks are chosen by kernels and stay where they are.
"""

from typing import Any

from subbit import reference
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.fetch import BlockGroups, BlockOnDevice, fetch
from subbit.fast.launches.partition import salient_columns, split_zone
from subbit.fast.launches.rows import launch_binarize
from subbit.fast.launches.search_inputs import numbers_of
from subbit.fast.launches.state import Groups
from subbit.reference.billm import PAPER, BiLLM
from subbit.reference.layer import QuantizedBlock, QuantizedLayer, block_slices
from subbit.reference.notation import Mask
from subbit.reference.zones.partition import PARTITION, Partition

from .blocks import Block, LayerState, prepare_layer, quantize_blocks
from .device import Device
from .mirror import mirrors

_CONCENTRATED, _SPARSE, _SALIENT = 1, 2, 3
_NAMES, _ORDERS = ("concentrated", "sparse", "salient"), (1, 1, 2)


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
    zone = None
    if salient is not None:
        zone = xp.where(salient, xp.uint8(_SALIENT), alive.view(xp.uint8))
    made = _block(device, W, S, to_host(alive), config, zone=zone, start=start)
    return fetch(device, [made])[0]


def _block(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: Mask,
    config: BiLLM,
    *,
    zone: DeviceArray | None,
    start: int,
) -> BlockOnDevice:
    part = config.zones
    if zone is None:
        zone = _zone(device, W, S, alive, part)
    group = split_zone(device, W, S, zone, part)
    made = Groups.blank(device, W.shape, _ORDERS)
    for number in range(len(_ORDERS)):
        launch_binarize(made, W, group, number, **part.binarizer)
    groups = BlockGroups(_NAMES, _ORDERS, (_SALIENT,), mean=part.center)
    return BlockOnDevice(start, group, made, groups)


def _zone(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: Mask,
    config: Partition,
    **switches: Any,  # noqa: ANN401  (those of `salient_columns`)
) -> DeviceArray:
    numbers = {"salient": _SALIENT, "rest": _CONCENTRATED}
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
    group = split_zone(device, W, S, numbers_of(device, columns), config)
    return group == _CONCENTRATED, group == _SPARSE


@mirrors(reference.billm_layer)
def billm_layer(
    device: Device, W: DeviceArray, H: DeviceArray, config: BiLLM = PAPER
) -> QuantizedLayer:
    """Quantize a linear layer with BiLLM."""
    state = prepare_layer(device, W, H, config.loop)
    chosen = _matrix_zone(state, config) if config.scope == "matrix" else None

    def quantize_block(block: Block) -> BlockOnDevice:
        W, S, zone = block.weights, block.scores, None if chosen is None else chosen[block.columns]
        return _block(device, W, S, block.alive, config, zone=zone, start=block.start)

    return quantize_blocks(state, quantize_block)


def _matrix_zone(state: LayerState, config: BiLLM) -> DeviceArray:
    W = state.weights
    blocks = len(block_slices(W.shape[1], config.loop.block_size))
    scores = state.scores(W, slice(0, W.shape[1]))
    return _zone(state.device, W, scores, state.alive, config.zones, blocks=blocks)
