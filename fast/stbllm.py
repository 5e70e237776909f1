"""STBLLM
======

:mod:`subbit.reference.stbllm` on a device. A layer goes there once and its record comes
back once: masks, counts, thresholds and regions are chosen by kernels and stay where they
are. With a fallback two layers are made, and one number says which of them comes back.
"""

from dataclasses import replace
from typing import Any

from subbit import reference
from subbit.fast.baselines.sparsegpt import sparsegpt_prune
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.fetch import BlockOnDevice, Layout, fetch
from subbit.fast.launches.partition import candidate_thresholds, salient_columns
from subbit.fast.launches.regions import cut_regions
from subbit.fast.launches.search_inputs import numbers_of
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
from subbit.reference.stbllm import PAPER, STBLLM

from .blocks import LayerState, blocks_on_device, brought_back, prepare_layer
from .device import Device
from .launches import rows, searches
from .mirror import mirrors
from .objective import proxy_loss

_REST = 1
_NAMES = {
    3: ("dense", "intermediate", "sparse", "salient"),
    2: ("concentrated", "sparse", "salient"),
}


def _layout(config: STBLLM) -> Layout:
    names = _NAMES[config.regions]
    return Layout(
        names,
        (*(1,) * config.regions, 2),
        (len(names),),
        mean=config.center,
        partial=True,
        pattern=config.keep if config.strict else None,
    )


def _scores(device: Device, W: DeviceArray, state: LayerState, config: STBLLM) -> DeviceArray:
    norms = input_norms(device, state.hessian)
    match config.importance:
        case "standardized":
            return standardized_importance(
                device,
                W,
                norms,
                exponent=config.exponent,
                standardize=config.standardize,
                axis=config.axis,
            )
        case "ria":
            return ria_importance(device, W, norms, exponent=config.exponent)
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
    state = prepare_layer(device, W, H, config)
    return _choose_kept(device, W, state, config)


def _choose_kept(
    device: Device, W: DeviceArray, state: LayerState, config: STBLLM
) -> tuple[DeviceArray, DeviceArray]:
    # Scores are those of the layer as it came; a dead input's weights are zero afterwards.
    xp = device.xp
    if not config.prunes:
        return state.weights, xp.ones(W.shape, dtype=bool)
    if config.importance == "sparsegpt":
        method = SparseGPT(
            keep=config.keep,
            block_size=config.block_size,
            percdamp=config.percdamp,
            tail=config.tail,
        )
        moved, kept = sparsegpt_prune(device, W, state.hessian, method)
    else:
        kept = nm_mask(device, _scores(device, W, state, config), *config.keep, tail=config.tail)
        moved = xp.where(kept, state.weights, xp.float32(0))
    return state.weights if config.start == "dense" else moved, kept


@mirrors(reference.choose_regions)
def choose_regions(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    part: DeviceArray,
    config: STBLLM = PAPER,
) -> tuple[DeviceArray, ...]:
    """Cut some entries into regions of magnitude."""
    codes = numbers_of(device, part)
    group = _group(device, W, S, codes, config)
    return tuple(group == number for number in range(1, config.regions + 1))


def _group(
    device: Device, W: DeviceArray, S: DeviceArray, codes: DeviceArray, config: STBLLM
) -> DeviceArray:
    xp = device.xp
    key = xp.abs(W if config.split_by == "weights" else S)
    target = W if config.search_on == "weights" else S
    thresholds = candidate_thresholds(device, key, codes == _REST, config.grid, config.levels)
    entries = searches.Entries(target, key, codes)
    switches: dict[str, Any] = {
        "center": config.center,
        "sign_zero": config.sign_zero,
        "closed": config.closed,
    }
    if config.regions == 3:
        cut = searches.Cut(_REST, 2, (1, 1, 1), largest=3, factor=config.factor)
        return cut_regions(device, entries, thresholds, cut, bounded=config.bounded, **switches)
    cut = searches.Cut(_REST, 2)
    objective, _ = searches.split_objectives(device, entries, thresholds, (cut,), **switches)
    best = searches.first_minimum(device, objective)
    return searches.cut_zones(
        device, key, codes, thresholds, best, cuts=(cut,), closed=config.closed
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
    codes, number = None, _layout(config).salient[0]
    if salient is not None:
        codes = xp.where(salient, xp.uint8(number), alive.view(xp.uint8))
    made = _block(device, W, S, to_host(alive), config, kept=kept, codes=codes, start=start)
    return fetch(device, [made])[0]


def _block(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: Mask,
    config: STBLLM,
    *,
    kept: DeviceArray,
    codes: DeviceArray | None,
    start: int,
) -> BlockOnDevice:
    layout = _layout(config)
    if codes is None:
        codes = salient_columns(
            device,
            W,
            S,
            alive,
            config,
            salient=layout.salient[0],
            rest=_REST,
            entries=kept if config.strict else None,
        )
    numbers = _numbers(device, codes, alive, kept if config.strict else None, layout)
    group = _group(device, W, S, numbers, config)
    made = rows.Binarized(device, W.shape, layout.orders)
    for number in range(len(layout.orders)):
        made.binarize(W, group, number, center=config.center, sign_zero=config.sign_zero)
    return BlockOnDevice(start, group, made, layout)


def _numbers(
    device: Device, codes: DeviceArray, alive: Mask, kept: DeviceArray | None, layout: Layout
) -> DeviceArray:
    xp = device.xp
    salient = codes == layout.salient[0]
    outside = xp.where(salient, xp.uint8(layout.left_out), xp.uint8(0))
    part = xp.asarray(alive) if kept is None else xp.asarray(alive) & kept
    return xp.ascontiguousarray(xp.where(part, codes, outside))


@mirrors(reference.stbllm_layer)
def stbllm_layer(
    device: Device, W: DeviceArray, H: DeviceArray, config: STBLLM = PAPER
) -> QuantizedLayer:
    """Quantize a linear layer with STBLLM."""
    state = prepare_layer(device, W, H, config)
    weights, kept = _choose_kept(device, W, state, config)
    begun = replace(state, weights=weights)
    blocks = _quantized(begun, kept, config)
    if config.fallback and config.compensation != "none":
        plain = _quantized(begun, kept, replace(config, compensation="none"))
        blocks = min((blocks, plain), key=lambda each: _loss(state, each))
    return brought_back(state, blocks)


def _quantized(state: LayerState, kept: DeviceArray, config: STBLLM) -> tuple[BlockOnDevice, ...]:
    device = state.device
    begun = replace(state, config=config)

    def quantize_block(current: DeviceArray, columns: slice) -> BlockOnDevice:
        return _block(
            device,
            device.xp.ascontiguousarray(current[:, columns]),
            begun.scores(current, columns),
            begun.alive[columns],
            config,
            kept=device.xp.ascontiguousarray(kept[:, columns]),
            codes=None,
            start=columns.start,
        )

    free = kept if config.free == "kept" else None
    return blocks_on_device(begun, quantize_block, free=free)


def _loss(state: LayerState, blocks: tuple[BlockOnDevice, ...]) -> float:
    image = state.device.xp.hstack([block.decode() for block in blocks])
    return proxy_loss(state.device, state.weights, image, state.prepared.damped)
