"""STBLLM
======

:mod:`subbit.reference.stbllm` on a device. A layer goes there once and its record comes
back once: masks, counts, thresholds and regions are chosen by kernels and stay where they
are. With a fallback, two layers are computed, and one number says which of them comes back.
"""

from dataclasses import replace

from subbit import reference
from subbit.fast.baselines.sparsegpt import sparsegpt_prune
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.fetch import BlockGroups, BlockOnDevice, fetch
from subbit.fast.launches.partition import salient_columns
from subbit.fast.launches.regions import REGIONS, split_regions
from subbit.fast.launches.rows import launch_binarize
from subbit.fast.launches.state import Groups
from subbit.fast.pruning.sparsity import (
    input_norms,
    magnitude_importance,
    nm_mask,
    ria_importance,
    standardized_importance,
    wanda_importance,
)
from subbit.fast.zones.saliency import obs_saliency, trailing_saliency
from subbit.reference.baselines.sparsegpt import SparseGPT
from subbit.reference.layer import QuantizedBlock, QuantizedLayer
from subbit.reference.notation import Mask
from subbit.reference.stbllm import PAPER, STBLLM, Pruning

from .blocks import Block, LayerState, blocks_on_device, brought_back, prepare_layer
from .device import Device
from .mirror import mirrors
from .objective import proxy_loss

_NAMES = {
    3: ("dense", "intermediate", "sparse", "salient"),
    2: ("concentrated", "sparse", "salient"),
}


def _groups(config: STBLLM) -> BlockGroups:
    names = _NAMES[config.zones.regions]
    return BlockGroups(
        names,
        (*(1,) * config.zones.regions, 2),
        (len(names),),
        mean=config.zones.partition.center,
        partial=True,
        pattern=config.pruning.keep if config.pruning.strict else None,
    )


@mirrors(reference.stbllm_block)
def stbllm_block(  # noqa: PLR0917  (the reference's, and a device)
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: DeviceArray,
    kept: DeviceArray,
    config: STBLLM = PAPER,
    *,
    salient: DeviceArray | None = None,
    start: int = 0,
) -> QuantizedBlock:
    """Quantize one block: salient columns, regions, binarized groups."""
    xp = device.xp
    zone, number = None, _groups(config).salient[0]
    if salient is not None:
        zone = xp.where(salient, xp.uint8(number), alive.view(xp.uint8))
    made = _block(device, W, S, to_host(alive), config, kept=kept, zone=zone, start=start)
    return fetch(device, [made])[0]


def _block(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: Mask,
    config: STBLLM,
    *,
    kept: DeviceArray,
    zone: DeviceArray | None,
    start: int,
) -> BlockOnDevice:
    groups, part = _groups(config), config.zones.partition
    entries = kept if config.pruning.strict else None
    if zone is None:
        numbers = {"salient": groups.salient[0], "rest": REGIONS.number}
        zone = salient_columns(device, W, S, alive, part, entries=entries, **numbers)
    zone = _without_pruned(device, zone, alive, entries, groups)
    group = split_regions(device, W, S, zone, config.zones)
    made = Groups.blank(device, W.shape, groups.orders)
    for number in range(len(groups.orders)):
        launch_binarize(made, W, group, number, **part.binarizer)
    return BlockOnDevice(start, group, made, groups)


def _without_pruned(
    device: Device, zone: DeviceArray, alive: Mask, kept: DeviceArray | None, groups: BlockGroups
) -> DeviceArray:
    xp = device.xp
    salient = zone == groups.salient[0]
    outside = xp.where(salient, xp.uint8(groups.left_out), xp.uint8(0))
    part = xp.asarray(alive) if kept is None else xp.asarray(alive) & kept
    return xp.ascontiguousarray(xp.where(part, zone, outside))


def _scores(device: Device, W: DeviceArray, state: LayerState, pruning: Pruning) -> DeviceArray:
    norms = input_norms(device, state.hessian)
    match pruning.importance:
        case "standardized":
            return standardized_importance(
                device,
                W,
                norms,
                exponent=pruning.exponent,
                standardize=pruning.standardize,
                axis=pruning.axis,
            )
        case "ria":
            return ria_importance(device, W, norms, exponent=pruning.exponent)
        case "wanda":
            return wanda_importance(device, W, norms)
        case "obs":
            return obs_saliency(device, W, state.prepared.damped)
        case "trailing":
            return trailing_saliency(device, W, state.prepared.factor)
    return magnitude_importance(device, W)


@mirrors(reference.choose_kept)
def choose_kept(
    device: Device, W: DeviceArray, H: DeviceArray, config: STBLLM = PAPER
) -> tuple[DeviceArray, DeviceArray]:
    """Choose the weights that are kept, and those that quantization starts from."""
    state = prepare_layer(device, W, H, config.loop)
    return _choose_kept(device, W, state, config)


def _choose_kept(
    device: Device, W: DeviceArray, state: LayerState, config: STBLLM
) -> tuple[DeviceArray, DeviceArray]:
    # Scores are those of the layer as given; a dead input's weights are zeroed afterwards.
    xp, pruning, loop = device.xp, config.pruning, config.loop
    if not pruning.prunes:
        return state.weights, xp.ones(W.shape, dtype=bool)
    if pruning.importance == "sparsegpt":
        method = SparseGPT(
            keep=pruning.keep,
            block_size=loop.block_size,
            percdamp=loop.percdamp,
            tail=pruning.tail,
        )
        moved, kept = sparsegpt_prune(device, W, state.hessian, method)
    else:
        scores = _scores(device, W, state, pruning)
        kept = nm_mask(device, scores, *pruning.keep, tail=pruning.tail)
        moved = xp.where(kept, state.weights, xp.float32(0))
    return state.weights if pruning.start == "dense" else moved, kept


@mirrors(reference.stbllm_layer)
def stbllm_layer(
    device: Device, W: DeviceArray, H: DeviceArray, config: STBLLM = PAPER
) -> QuantizedLayer:
    """Quantize a linear layer with STBLLM."""
    state = prepare_layer(device, W, H, config.loop)
    weights, kept = _choose_kept(device, W, state, config)
    begun = replace(state, weights=weights)
    blocks = _quantized(begun, kept, config)
    if config.fallback and config.loop.compensation != "none":
        plain = _quantized(begun, kept, config.changed(compensation="none", column_feedback=False))
        blocks = min((blocks, plain), key=lambda each: _loss(state, each))
    return brought_back(state, blocks)


def _quantized(state: LayerState, kept: DeviceArray, config: STBLLM) -> tuple[BlockOnDevice, ...]:
    def quantize_block(block: Block) -> BlockOnDevice:
        return _block(
            state.device,
            block.weights,
            block.scores,
            block.alive,
            config,
            kept=state.device.xp.ascontiguousarray(kept[:, block.columns]),
            zone=None,
            start=block.start,
        )

    free = kept if config.pruning.free == "kept" else None
    return blocks_on_device(replace(state, loop=config.loop), quantize_block, free=free)


def _loss(state: LayerState, blocks: tuple[BlockOnDevice, ...]) -> float:
    image = state.device.xp.hstack([block.decode() for block in blocks])
    return proxy_loss(state.device, state.weights, image, state.prepared.damped)
