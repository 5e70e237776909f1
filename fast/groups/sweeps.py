"""Sweeps
======

:mod:`subbit.reference.groups.sweeps` on a device. Products are those of the array library; large
entries and levels of a group are chosen in one launch of ``levels.cu``, row by row.
"""

from dataclasses import replace

import numpy as np

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.levels import Scaling, powers, sweep
from subbit.fast.mirror import mirrors
from subbit.reference.errors import ArgumentError
from subbit.reference.layer import QuantizedLayer
from subbit.reference.leveled import LevelGroup

from .leveling import code_exponents


class _Group:
    """A group of levels on the device."""

    def __init__(self, device: Device, group: LevelGroup) -> None:
        xp = self.xp = device.xp
        self.device, self.group = device, group
        self.levels = xp.array(group.levels)
        self.reference = xp.asarray(group.reference, dtype=xp.float32)
        self.exponent = None if group.exponent is None else xp.asarray(group.exponent)
        columns = np.ones(group.levels.shape[1])
        if group.column_scale is not None:
            columns = group.column_scale
        self.columns = xp.asarray(columns, dtype=xp.float32)

    @property
    def row_scale(self) -> DeviceArray:
        """Scale of each row."""
        if self.exponent is None:
            return self.reference
        return self.reference * powers(self.device, self.exponent)

    def decode(self) -> DeviceArray:
        """Return the group's values."""
        levels = self.levels.astype(self.xp.float32)
        return self.row_scale[:, None] * self.columns * levels

    def refit(self, P: DeviceArray, H: DeviceArray) -> DeviceArray:
        """Refit the steps of the rows, and return the products after it."""
        xp = self.xp
        if self.exponent is None:
            return P
        Z = self.columns * self.levels.astype(xp.float32)
        gain, curvature = xp.sum(Z * P, axis=1), xp.sum((Z @ H) * Z, axis=1)
        usable = curvature > 0
        move = xp.where(usable, gain / xp.where(usable, curvature, xp.float32(1)), xp.float32(0))
        scale = self.row_scale
        wanted = xp.maximum(scale + move, xp.float32(0))
        # A negative reference has no logarithm, and no step that a positive one could have.
        exponent = code_exponents(self.device, wanted, xp.maximum(self.reference, xp.float32(0)))
        delta = self.reference * powers(self.device, exponent) - scale
        falls = (curvature * delta - xp.float32(2) * gain) * delta < 0
        self.exponent = xp.where(falls, exponent, self.exponent)
        return P - (xp.where(falls, delta, xp.float32(0))[:, None] * Z) @ H

    def swept(self, P: DeviceArray, H: DeviceArray) -> LevelGroup:
        """Return the group after one sweep."""
        products = self.xp.ascontiguousarray(self.refit(P, H))
        scaling = Scaling(self.group.coding, self.row_scale, self.columns)
        sweep(self.device, products, H, scaling, self.levels)
        exponent = None if self.exponent is None else to_host(self.exponent)
        return replace(self.group, levels=to_host(self.levels), exponent=exponent)


def _groups(device: Device, layer: QuantizedLayer) -> list[_Group]:
    groups = [block.groups[0] for block in layer.blocks]
    if not all(isinstance(group, LevelGroup) for group in groups):
        raise ArgumentError("layer", "blocks of levels", "others")
    return [_Group(device, group) for group in groups if isinstance(group, LevelGroup)]


@mirrors(reference.sweep_levels)
def sweep_levels(
    device: Device, W: DeviceArray, H: DeviceArray, layer: QuantizedLayer
) -> QuantizedLayer:
    """Choose steps and levels of a layer again, with all others as they are."""
    xp = device.xp
    if layer.shape != W.shape:
        raise ArgumentError("layer", f"a record of shape {W.shape}", layer.shape)
    if not bool((xp.diagonal(H) > 0).all()):
        raise ArgumentError("H", "a positive diagonal", "another")
    groups = _groups(device, layer)
    if layer.order is not None:
        order = xp.asarray(layer.order)
        W, H = W[:, order], xp.ascontiguousarray(H[order][:, order])
    images = [group.decode() for group in groups]
    P, blocks = (W - xp.hstack(images)) @ H, []
    for block, group, image in zip(layer.blocks, groups, images, strict=True):
        B, new = block.columns, group.group
        if new.coding.planes:
            new = group.swept(P[:, B], xp.ascontiguousarray(H[B, B]))
            P = P - (group.decode() - image) @ H[B]
        blocks.append(replace(block, groups=(new,)))
    return replace(layer, blocks=tuple(blocks))
