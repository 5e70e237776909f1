"""PBS2P
=====

:mod:`subbit.reference.pbs2p` on a device. A layer goes there once and its record comes
back once: step masks are bit words that kernels write and read. Only weights that are
scored again in every step, ``scores="recomputed"``, visit the host in between, where
removing several weights at once is solved in float64.
"""

from dataclasses import replace

from subbit import reference
from subbit.fast.launches.arb_x import Gram, launch_start, launch_sweeps
from subbit.fast.launches.arb_x import gram as in_range
from subbit.fast.launches.arrays import DeviceArray, exponent, matrix, scaled, to_host
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
from subbit.fast.launches.pruning_steps import scheduled, with_start
from subbit.fast.launches.spbo import launch_pruning
from subbit.fast.launches.state import Groups
from subbit.fast.pruning.cfs import fine_scores
from subbit.reference.layer import QuantizedBlock, QuantizedLayer
from subbit.reference.notation import Mask
from subbit.reference.pbs2p import CANONICAL, PBS2P, PRUNED, REMOVED, Fine

from .blocks import Block, LayerState, prepare_layer, quantize_blocks
from .device import Device
from .launches import masks as pruning
from .launches import rows
from .mirror import mirrors


@mirrors(reference.pbs2p_block)
def pbs2p_block(  # noqa: PLR0917  (the reference's, and a device)
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    masks: DeviceArray,
    alive: DeviceArray,
    config: PBS2P = CANONICAL,
    *,
    gram: DeviceArray,
    salient: DeviceArray | None = None,
    start: int = 0,
) -> QuantizedBlock:
    """Quantize one block: groups, each pruned step by step."""
    words = pruning.words_of(device, masks)
    zone = None if salient is None else zone_numbers(device, alive, salient, config.zones)
    made = _block(
        device,
        W,
        S,
        to_host(alive),
        config,
        words=words,
        gram=in_range(device, gram),
        zone=zone,
        start=start,
    )
    (block,) = fetch(device, [made])
    return block if salient is None else replace(block, salient=to_host(salient))


def _block(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: Mask,
    config: PBS2P,
    *,
    words: DeviceArray,
    gram: Gram,
    zone: DeviceArray | None = None,
    start: int,
) -> BlockOnDevice:
    xp, masked = device.xp, config.pruning.mean == "masked"
    live = xp.asarray(alive)
    if zone is None and config.partitioned:
        salient, rest = (own.last for own in salient_and_rest(config.zones))
        part = config.zones.partition
        zone = salient_columns(device, W, S, alive, part, salient=salient, rest=rest)
    group, groups = _grouped(device, W, S, config, alive=live, zone=zone, gram=gram)
    fits = with_start(device, words)
    kept = pruning.masks_of(device, fits[-1], W.shape[1])
    if not masked:
        group, groups = _with_pruned(group, groups)
    made = Groups.blank(device, W.shape, groups.orders)
    for number in (number for number, order in enumerate(groups.orders) if order):
        launch_start(made, W, group, number, config=config.pruning.refinement)
        launch_pruning(made, W, group, number, words=fits, S=gram, config=config.pruning)
    left = _without_pruned(device, group, kept, zone, config=config, groups=groups)
    pruned = ~(kept & live) if config.pruning.objective == "masked" else ~live
    target = xp.where(pruned, xp.float32(0), W)
    entries = left if masked else group
    launch_sweeps(
        made, target, entries, sweeps=config.sweeps, S=gram, config=config.pruning.refinement
    )
    if not masked:
        made.mean[1::2] = made.mean[::2]
    return BlockOnDevice(start, left, made, groups)


def _grouped(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    config: PBS2P,
    *,
    alive: DeviceArray,
    zone: DeviceArray | None,
    gram: Gram,
) -> tuple[DeviceArray, BlockGroups]:
    # Group numbers of the entries before any is pruned.
    xp, pattern = device.xp, config.pruning.keep if config.pruning.mean == "masked" else None
    if zone is None:
        whole = xp.broadcast_to(alive.view(xp.uint8), W.shape)
        return xp.ascontiguousarray(whole), BlockGroups(("all",), (1,), pattern=pattern)
    outputs = gram if searches_outputs(config.zones) else None
    group = split_zones(ZoneSearch.of(device, W, S, config.zones, gram=outputs), zone)
    groups = groups_of(config.zones)
    return group, replace(groups, partial=config.pruning.mean == "masked", pattern=pattern)


def _with_pruned(group: DeviceArray, groups: BlockGroups) -> tuple[DeviceArray, BlockGroups]:
    # Group g becomes 2g - 1, so 2g can mark the entries it loses.
    names = tuple(n for name in groups.names for n in (name, f"{name}-pruned"))
    orders = tuple(o for order in groups.orders for o in (order, 0))
    salient = tuple(range(1, 2 * len(groups.salient) + 1))
    doubled = 2 * group - (group > 0)
    return doubled, replace(groups, names=names, orders=orders, salient=salient)


def _without_pruned(
    device: Device,
    group: DeviceArray,
    kept: DeviceArray,
    zone: DeviceArray | None,
    *,
    config: PBS2P,
    groups: BlockGroups,
) -> DeviceArray:
    # A pruned entry is in the next group, or in no group; then its salient column is numbered.
    xp = device.xp
    if config.pruning.mean == "shared":
        return group + ((group > 0) & ~kept)
    outside = xp.uint8(0)
    if zone is not None:
        salient = zone == salient_and_rest(config.zones)[0].last
        outside = xp.where(salient, xp.uint8(groups.left_out), outside)
    return xp.ascontiguousarray(xp.where(kept, group, outside))


@mirrors(reference.pruning_masks)
def pruning_masks(
    device: Device,
    W: DeviceArray,
    H: DeviceArray,
    alive: DeviceArray,
    config: PBS2P = CANONICAL,
    *,
    unit: DeviceArray | None = None,
) -> DeviceArray:
    """Choose the weights of a block that are kept after each step."""
    k = W.shape[1]
    if unit is None:
        unit = _unit(device, H, config.fine)
    words = _words(device, W, H, alive, config, unit=unit)
    return pruning.masks_of(device, words, k)


def _unit(device: Device, H: DeviceArray, fine: Fine) -> DeviceArray:
    ones = device.xp.ones((1, len(H)), dtype=device.xp.float32)
    return fine_scores(device, ones, H, score=fine.fine_score)[0]


def _words(
    device: Device,
    W: DeviceArray,
    H: DeviceArray,
    alive: DeviceArray,
    config: PBS2P,
    *,
    unit: DeviceArray,
) -> DeviceArray:
    words = scheduled(device, _scored(device, W, unit, alive, config.fine), config.pruning)
    if config.fine.scores == "once":
        return words
    xp, k = device.xp, W.shape[1]
    kept = xp.ones(W.shape, dtype=bool)
    for t in range(len(words)):
        moved = _moved(device, W, H, kept) if t else W
        scores = xp.where(
            kept, _scored(device, moved, unit, alive, config.fine), xp.float32(REMOVED)
        )
        words[t] = scheduled(device, scores, config.pruning)[t]
        kept = pruning.masks_of(device, words[t], k)
    return words


def _moved(device: Device, W: DeviceArray, H: DeviceArray, kept: DeviceArray) -> DeviceArray:
    moved = reference.removal_move(to_host(W), to_host(H), ~to_host(kept))
    return matrix(device, "W", moved)


def _scored(
    device: Device, W: DeviceArray, unit: DeviceArray, alive: DeviceArray, fine: Fine
) -> DeviceArray:
    xp = device.xp
    if fine.center_scores:
        entries = xp.ascontiguousarray(xp.broadcast_to(alive, W.shape))
        W = W - rows.row_mean(device, W, entries)[:, None]
    # Powers of two keep the order, and squares within float32.
    sizes = xp.abs(scaled(device, W, -exponent(device, W)))
    factors = scaled(device, unit, -exponent(device, unit))
    if fine.fine_score not in {"magnitude", "wanda"}:
        sizes = sizes * sizes
    return xp.where(alive, factors * sizes, xp.float32(PRUNED))


@mirrors(reference.pbs2p_layer)
def pbs2p_layer(
    device: Device, W: DeviceArray, H: DeviceArray, config: PBS2P = CANONICAL
) -> QuantizedLayer:
    """Quantize a linear layer with PBS2P."""
    xp, state = device.xp, prepare_layer(device, W, H, config.loop)
    by_layer = config.fine.fine_hessian == "layer"
    unit = _unit_scores(state, slice(None), config.fine) if by_layer else None

    def quantize_block(block: Block) -> BlockOnDevice:
        W, alive, own = block.weights, block.alive, block.columns
        by = _unit_scores(state, own, config.fine) if unit is None else unit[own]
        damped = xp.ascontiguousarray(state.prepared.damped[own, own])
        return _block(
            device,
            W,
            block.scores,
            alive,
            config,
            words=_words(device, W, damped, xp.asarray(alive), config, unit=by),
            gram=in_range(device, state.gram(own)),
            start=block.start,
        )

    return quantize_blocks(state, quantize_block)


def _unit_scores(state: LayerState, columns: slice, fine: Fine) -> DeviceArray:
    # Wanda's norms are those of the inputs, without the damping term.
    H = state.hessian if fine.fine_score == "wanda" else state.prepared.damped
    own = state.device.xp.ascontiguousarray(H[columns, columns])
    return _unit(state.device, own, fine)
