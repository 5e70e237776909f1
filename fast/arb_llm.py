"""ARB-LLM
=======

:mod:`subbit.reference.arb_llm` on a device. A layer goes there once and its record comes
back once. The reference takes a zone's own columns out of the block; here every group
works on the whole block, with the number of each entry's group, because only the device
knows how many columns a zone has.
"""

from dataclasses import replace
from typing import cast

import numpy as np

from subbit import reference
from subbit.fast.launches.arb import launch_arb
from subbit.fast.launches.arb_rc import launch_arb_rc
from subbit.fast.launches.arb_x import Gram, launch_calibration, launch_start, launch_sweeps
from subbit.fast.launches.arb_x import gram as in_range
from subbit.fast.launches.arrays import DeviceArray, needed, to_host
from subbit.fast.launches.column_groups import (
    ZoneSearch,
    groups_of,
    salient_and_rest,
    searches_outputs,
    split_zones,
    zone_numbers,
)
from subbit.fast.launches.fetch import BlockGroups, BlockOnDevice, fetch
from subbit.fast.launches.partition import salient_columns
from subbit.fast.launches.state import Groups
from subbit.reference.arb_llm import ARBLLM, PAPER
from subbit.reference.layer import BinaryGroup, QuantizedBlock, QuantizedLayer, Zone
from subbit.reference.notation import Mask

from .blocks import Block, prepare_layer, quantize_blocks
from .device import Device
from .mirror import mirrors


@mirrors(reference.arb_llm_block)
def arb_llm_block(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: DeviceArray,
    config: ARBLLM = PAPER,
    *,
    gram: DeviceArray | None = None,
    salient: DeviceArray | None = None,
    start: int = 0,
) -> QuantizedBlock:
    """Quantize one block: salient columns, column-group bitmap, refined groups."""
    outputs, live = _gram(device, gram, W, config), to_host(alive)
    if salient is None:
        made = _block(device, W, S, live, config, gram=outputs, start=start)
        return fetch(device, [made])[0]
    zone = zone_numbers(device, alive, salient, config.zones)
    made = _block(device, W, S, live, config, gram=outputs, zone=zone, start=start)
    return replace(fetch(device, [made])[0], salient=to_host(salient))


def _block(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: Mask,
    config: ARBLLM,
    *,
    gram: Gram | None,
    zone: DeviceArray | None = None,
    start: int,
) -> BlockOnDevice:
    zones = config.zones
    salient, rest = (own.last for own in salient_and_rest(zones))
    if zone is None:
        zone = salient_columns(device, W, S, alive, zones.partition, salient=salient, rest=rest)
    outputs = image = None
    if searches_outputs(zones):
        target = zones.partition.searched(W, S)
        outputs, image = gram, _salient_image(device, target, zone, config)
    search = ZoneSearch.of(device, W, S, zones, gram=outputs, image=image)
    group, groups = split_zones(search, zone), _stored(groups_of(zones), config)
    made = _refined(device, W, group, groups.orders, config=config, S=gram)
    return BlockOnDevice(start, group, made, groups)


def _salient_image(
    device: Device, target: DeviceArray, zone: DeviceArray, config: ARBLLM
) -> DeviceArray:
    # In a search on outputs, the released ARB-X uses plain ARB for the salient columns.
    xp = device.xp
    plain = config if config.algorithm == "arb_rc" else config.changed(algorithm="arb")
    salient = (zone == salient_and_rest(config.zones)[0].last).view(xp.uint8)
    entries = xp.ascontiguousarray(xp.broadcast_to(salient, target.shape))
    return _refined(device, target, entries, (2,), config=plain, S=None).image


@mirrors(reference.refine_zones)
def refine_zones(
    device: Device,
    W: DeviceArray,
    zones: tuple[Zone, ...],
    config: ARBLLM = PAPER,
    *,
    gram: DeviceArray | None = None,
) -> tuple[BinaryGroup, ...]:
    """Binarize the groups of a block."""
    if not zones:
        return ()
    xp = device.xp
    S = _gram(device, gram, W, config)
    numbers = np.zeros(W.shape, dtype=np.uint8)
    for number, zone in enumerate(zones):
        numbers[zone.mask] = number + 1
    group = xp.asarray(numbers)
    names, orders = tuple(z.name for z in zones), tuple(z.order for z in zones)
    groups = _stored(BlockGroups(names, orders), config)
    made = _refined(device, W, group, groups.orders, config=config, S=S)
    (block,) = fetch(device, [BlockOnDevice(0, group, made, groups)])
    return cast("tuple[BinaryGroup, ...]", block.groups)


def _stored(groups: BlockGroups, config: ARBLLM) -> BlockGroups:
    row_column = config.algorithm == "arb_rc"
    return replace(groups, mean=not row_column, columns=row_column)


def _needs_gram(config: ARBLLM) -> bool:
    return config.algorithm == "arb_x" or searches_outputs(config.zones)


def _gram(device: Device, gram: DeviceArray | None, W: DeviceArray, config: ARBLLM) -> Gram | None:
    if not _needs_gram(config):
        return None
    return in_range(device, needed("gram", gram, W.shape[1]))


def _refined(
    device: Device,
    W: DeviceArray,
    group: DeviceArray,
    orders: tuple[int, ...],
    *,
    config: ARBLLM,
    S: Gram | None,
) -> Groups:
    made = Groups.blank(device, W.shape, orders)
    # A rule that depends on the number of columns needs the zone's own.
    how = config.refinement
    counted = config.algorithm == "arb_rc" and how.eps > 0.0 and how.eps_kind == "relative"
    refine = _refine_alone if counted else _refine
    for number in range(len(orders)):
        refine(made, W, group, number, config=config, S=S)
    if config.algorithm == "arb_x" and S is not None:
        launch_sweeps(made, W, group, sweeps=config.sweeps, S=S, config=how)
    return made


def _refine(
    made: Groups,
    W: DeviceArray,
    group: DeviceArray,
    number: int,
    *,
    config: ARBLLM,
    S: Gram | None,
) -> None:
    how = config.refinement
    if config.algorithm == "arb_rc":
        launch_arb_rc(made, W, group, number, config=how, column_signs=config.column_signs)
    elif config.algorithm == "arb" or S is None:
        launch_arb(made, W, group, number, config=how)
    else:
        launch_start(made, W, group, number, config=how)
        launch_calibration(made, W, group, number, S=S, config=how)


def _refine_alone(
    made: Groups,
    W: DeviceArray,
    group: DeviceArray,
    number: int,
    *,
    config: ARBLLM,
    S: Gram | None,
) -> None:
    # A block of the zone's columns; the host has to ask for their number.
    xp, device = made.device.xp, made.device
    own = group == number + 1
    used = to_host(own.any(axis=0))
    columns = xp.asarray(np.flatnonzero(used if used.any() else ~used))
    order, planes = made.planes_of(number)
    own = xp.ascontiguousarray(own[:, columns])
    alone = Groups.blank(device, own.shape, (order,))
    if S is not None:
        values = xp.ascontiguousarray(S.values[columns][:, columns])
        S = replace(S, values=values, diagonal=S.diagonal[columns])
    weights = xp.ascontiguousarray(W[:, columns])
    _refine(alone, weights, own.view(xp.uint8), 0, config=config, S=S)
    made.mean[number], made.scale[planes] = alone.mean[0], alone.scale
    made.columns[planes, columns] = alone.columns
    made.image[:, columns] = xp.where(own, alone.image, made.image[:, columns])
    for p in range(order):
        made.signs[p][:, columns] = xp.where(own, alone.signs[p], made.signs[p][:, columns])


@mirrors(reference.arb_llm_layer)
def arb_llm_layer(
    device: Device, W: DeviceArray, H: DeviceArray, config: ARBLLM = PAPER
) -> QuantizedLayer:
    """Quantize a linear layer with ARB-LLM."""
    state = prepare_layer(device, W, H, config.loop)

    def quantize_block(block: Block) -> BlockOnDevice:
        gram = in_range(device, state.gram(block.columns)) if _needs_gram(config) else None
        W, S, alive = block.weights, block.scores, block.alive
        return _block(device, W, S, alive, config, gram=gram, start=block.start)

    return quantize_blocks(state, quantize_block)
