"""PB-LLM
======

:mod:`subbit.reference.baselines.pb_llm` on a device. The columns inside a block are one launch of
``pb_llm.cu``; masks and levels are those of ``sparsity`` and ``binarize``.
"""

from dataclasses import dataclass

import numpy as np

from subbit import reference
from subbit.fast.compensate import compensate
from subbit.fast.device import Device
from subbit.fast.groups.binarize import masked_mean, masked_scale
from subbit.fast.hessian import prepare_hessian
from subbit.fast.launches import column_loops as columns
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.column_loops import Image, Levels
from subbit.fast.mirror import mirrors
from subbit.fast.pruning.sparsity import magnitude_importance, threshold_mask
from subbit.fast.zones.saliency import trailing_saliency
from subbit.reference.baselines.pb_llm import PBLLM
from subbit.reference.layer import (
    BinaryGroup,
    Plane,
    QuantizedBlock,
    QuantizedLayer,
    UniformGroup,
    block_slices,
)

from .rtn import minmax_grid


def _levels(
    device: Device,
    W: DeviceArray,
    U: DeviceArray,
    grid: tuple[DeviceArray, DeviceArray],
    config: PBLLM,
) -> Levels:
    """Return the low part of a block, its levels, and the grid of the others."""
    xp = device.xp
    if config.score == "trailing":
        scores = trailing_saliency(device, W, U)
    else:
        scores = magnitude_importance(device, W)
    low = ~threshold_mask(device, scores, config.low_share)
    if config.statistics == "group":
        mean = masked_mean(device, W, low)
        return Levels(low, mean, masked_scale(device, W, low, mean), *grid)
    kept = xp.where(low, W, xp.float32(0))
    mean = masked_mean(device, kept)
    return Levels(low, mean, masked_scale(device, kept, mean=mean), *grid)


@dataclass(frozen=True)
class _Rounded:
    """A block's codes and the levels they stand for."""

    levels: Levels
    codes: DeviceArray

    def image(self, device: Device) -> Image:
        xp, levels = device.xp, self.levels
        codes = self.codes.astype(xp.float32)
        low = levels.mean[:, None] + levels.alpha[:, None] * (codes - xp.float32(1))
        high = levels.scale[:, None] * (codes - levels.zero[:, None])
        return Image(xp.where(levels.low, low, high))

    def block(self, part: slice, bits: int) -> QuantizedBlock:
        levels = self.levels
        low, codes = to_host(levels.low), to_host(self.codes)
        mean, alpha, scale, zero = (
            to_host(x).astype(np.float64)
            for x in (levels.mean, levels.alpha, levels.scale, levels.zero)
        )
        signs = np.where(low, codes.astype(np.int8) - 1, 0).astype(np.int8)
        high = UniformGroup("high", ~low, np.where(low, np.uint8(0), codes), scale, zero, bits)
        groups = (BinaryGroup("low", low, (Plane(signs, alpha),), mean), high)
        return QuantizedBlock(part.start, part.stop, groups)


@mirrors(reference.pb_llm_layer)
def pb_llm_layer(
    device: Device, W: DeviceArray, H: DeviceArray, config: PBLLM = PBLLM()
) -> QuantizedLayer:
    """Binarize most weights of a layer and round the others to a fine grid."""
    xp = device.xp
    n, m = W.shape
    prepared = prepare_hessian(device, H, config.percdamp)
    zeroed, U = xp.where(prepared.dead, xp.float32(0), W), prepared.factor
    fitted = W if config.dead_grid == "given" else zeroed
    grid, W = minmax_grid(device, fitted, config.high_bits), zeroed
    parts = block_slices(m, config.block_size)
    contiguous = xp.ascontiguousarray
    levels = {b.start: _levels(device, contiguous(W[:, b]), U[b, b], grid, config) for b in parts}
    made: list[_Rounded] = []

    def quantize_block(current: DeviceArray, part: slice) -> Image:
        inside, factor = current[:, part].copy(), xp.ascontiguousarray(U[part, part])
        switches = {"bits": config.high_bits, "sign_zero": config.sign_zero}
        chosen = levels[part.start]
        codes = columns.mixed_codes(device, inside, factor, chosen, **switches)
        made.append(_Rounded(chosen, codes))
        return made[-1].image(device)

    compensate(device, W, U, quantize_block, block_size=config.block_size, mode="exact")
    blocks = (x.block(part, config.high_bits) for x, part in zip(made, parts, strict=True))
    return QuantizedLayer((n, m), tuple(blocks))
