"""Typed groups
============

:mod:`subbit.reference.typed_groups` on a device. The columns of a group are one launch of
``levels.cu``; steps are fitted by its array library, and the codes are chosen on the host.
"""

from dataclasses import dataclass, replace

import numpy as np

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.groups.leveling import code_exponents, fit_steps
from subbit.fast.groups.sweeps import sweep_levels
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.column_loops import Image
from subbit.fast.launches.levels import Scaling, level_codes, powers
from subbit.fast.mirror import mirrors
from subbit.fast.zones.energy import column_energies, column_scales
from subbit.fast.zones.salient import rank_columns
from subbit.reference.hessian import PreparedHessian
from subbit.reference.layer import QuantizedBlock, QuantizedLayer
from subbit.reference.leveled import CODES, Code, LevelGroup
from subbit.reference.presets.typed_groups import Order, TypedGroups

from .compensate import compensate
from .hessian import dead_inputs, prepare_hessian


@dataclass
class _Plan:
    """What is settled before the first group, columns in the order of quantization."""

    device: Device
    W: DeviceArray
    prepared: PreparedHessian
    config: TypedGroups

    def __post_init__(self) -> None:
        xp, config, W = self.device.xp, self.config, self.W
        n, m = W.shape
        self.column_scale = column_scales(self.device, W, config.column_power)
        importance = 1 / xp.diagonal(self.prepared.factor) ** 2
        squares = importance * xp.mean(W * W, axis=0)
        starts = range(0, m, config.group_size)
        energies = [float(xp.sum(squares[at : at + config.group_size])) for at in starts]
        self.codes: tuple[Code, ...] = config.allocate(np.array(energies), (n, m))
        self.reference = xp.sqrt(xp.mean((W / self.column_scale) ** 2, axis=1))
        of_fit = {
            "trailing": importance,
            "hessian": xp.diagonal(self.prepared.damped),
            "none": xp.ones(m, dtype=xp.float32),
        }
        self.weights = of_fit[config.fit_weights]
        self.blocks: list[QuantizedBlock] = []

    def quantize(self, W: DeviceArray, B: slice) -> Image:
        """Quantize a group, from the layer as earlier groups have left it."""
        xp, config, c = self.device.xp, self.config, self.column_scale[B]
        code = self.codes[B.start // config.group_size]
        steps = fit_steps(self.device, W[:, B] / c, self.weights[B] * c * c, code)
        of_rows, exponent = steps, None
        if config.scales == "exponents":
            of_rows, exponent = self.reference, code_exponents(self.device, steps, self.reference)
            steps = of_rows * powers(self.device, exponent)
        levels = self._levels(xp.ascontiguousarray(W[:, B]), B, code, steps)
        group = LevelGroup(
            "all",
            np.ones(levels.shape, dtype=np.bool_),
            code,
            to_host(levels),
            to_host(of_rows).astype(np.float64),
            None if exponent is None else to_host(exponent),
            to_host(c).astype(np.float64) if config.column_power else None,
        )
        self.blocks.append(QuantizedBlock(B.start, B.stop, (group,)))
        return Image(steps[:, None] * c * levels.astype(xp.float32))

    def _levels(self, W: DeviceArray, B: slice, code: Code, steps: DeviceArray) -> DeviceArray:
        xp = self.device.xp
        c = xp.ascontiguousarray(self.column_scale[B])
        if not CODES[code].planes:
            return xp.zeros(W.shape, dtype=xp.int8)
        scaling = Scaling(CODES[code], steps, c)
        U = xp.ascontiguousarray(self.prepared.factor[B, B])
        return level_codes(self.device, W.copy(), U, scaling)


def _column_order(
    device: Device, W: DeviceArray, H: DeviceArray, order: Order
) -> DeviceArray | None:
    if order == "none":
        return None
    if order == "energy":
        return rank_columns(device, column_energies(device, W, H))
    return rank_columns(device, device.xp.ascontiguousarray(device.xp.diagonal(H)))


@mirrors(reference.typed_groups_layer)
def typed_groups_layer(
    device: Device, W: DeviceArray, H: DeviceArray, config: TypedGroups = TypedGroups()
) -> QuantizedLayer:
    """Quantize a layer in groups of columns with codes of their own."""
    xp = device.xp
    weights = xp.where(dead_inputs(device, H), xp.float32(0), W)
    order = _column_order(device, weights, H, config.order)
    if order is not None:
        weights = xp.ascontiguousarray(weights[:, order])
        H = xp.ascontiguousarray(H[order][:, order])
    plan = _Plan(device, weights, prepare_hessian(device, H, config.percdamp), config)
    factor, size = plan.prepared.factor, config.group_size
    compensate(device, weights, factor, plan.quantize, block_size=size, mode="exact")
    layer = QuantizedLayer((W.shape[0], W.shape[1]), tuple(plan.blocks))
    for _ in range(config.sweeps):
        layer = sweep_levels(device, weights, plan.prepared.damped, layer)
    host = None if order is None else to_host(order).astype(np.intp)
    return replace(layer, order=host)
