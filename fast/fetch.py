"""Bringing a layer back
=====================

What a layer routine leaves on the device, and its one transfer to the host: masks and
signs as bits, scales and means as float32, all in one array of 32-bit words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from subbit.reference.billm import BiLLM
from subbit.reference.errors import ArgumentError
from subbit.reference.layer import BinaryGroup, Plane, QuantizedBlock
from subbit.reference.notation import AnyArray, Array, Mask, Signs

from . import rows
from .arrays import DeviceArray, to_host
from .device import Device

NAMES = ("concentrated", "sparse", "salient")


@dataclass(frozen=True)
class BlockOnDevice:
    """A block's answer where it was computed.

    Parameters
    ----------
    start : int
        First column in the layer.
    group : array of uint8, shape (n, k)
        Number of each entry's group, from 1, in the order of `NAMES`; 0 for none.
    made : Binarized
        Means, scales, signs and image.
    """

    start: int
    group: DeviceArray
    made: rows.Binarized

    def decode(self) -> DeviceArray:
        """Return the image, still on the device.

        Returns
        -------
        array of float32, shape (n, k)
            The block's values.
        """
        return self.made.image

    def words(self, device: Device) -> list[DeviceArray]:
        """Pack everything that the host needs.

        Parameters
        ----------
        device : Device
            Where the block is.

        Returns
        -------
        list of array of uint32
            Bits of three masks and of two signs in two planes; then means and scales.
        """
        xp, made = device.xp, self.made
        bits = rows.pack(device, self.group, made.signs)
        return [bits, made.mean.view(xp.uint32), made.scale.view(xp.uint32)]


def fetch(device: Device, blocks: Sequence[Any], config: BiLLM) -> tuple[QuantizedBlock, ...]:
    """Bring blocks to the host in one transfer.

    Parameters
    ----------
    device : Device
        Where the blocks are.
    blocks : sequence of BlockOnDevice
        Consecutive blocks.
    config : BiLLM
        The configuration they were made with.

    Returns
    -------
    tuple of QuantizedBlock
        Their records.

    Raises
    ------
    ArgumentError
        If the computation left the range of float32.
    """
    words = [block.words(device) for block in blocks]
    flat = to_host(device.xp.concatenate([part.ravel() for parts in words for part in parts]))
    records, place = [], 0
    for block, parts in zip(blocks, words, strict=True):
        here = []
        for part in parts:
            here.append(flat[place : place + part.size].reshape(part.shape))
            place += part.size
        records.append(_record(block, here, config))
    return tuple(records)


def _bits(words: AnyArray, k: int) -> Mask:
    text = np.ascontiguousarray(words, dtype="<u4").view(np.uint8)
    return np.unpackbits(text, axis=-1, count=k, bitorder="little").astype(np.bool_)


def _float64(words: AnyArray) -> Array:
    numbers = words.view(np.float32).astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ArgumentError("W", "weights whose image float32 can hold", "larger ones")
    return numbers


def _record(block: BlockOnDevice, words: list[AnyArray], config: BiLLM) -> QuantizedBlock:
    k = block.group.shape[1]
    bits, mean, scale = _bits(words[0], k), _float64(words[1]), _float64(words[2])
    masks, signs = bits[: len(NAMES)], _signs(bits[len(NAMES) :])
    groups, row = [], 0
    for number, (name, mask) in enumerate(zip(NAMES, masks, strict=True)):
        order = block.made.orders[number]
        planes = tuple(
            Plane(np.where(mask, signs[p], np.int8(0)), scale[row + p]) for p in range(order)
        )
        row += order
        groups.append(BinaryGroup(name, mask, planes, mean[number] if config.center else None))
    # A salient column is salient in every row.
    return QuantizedBlock(block.start, block.start + k, tuple(groups), masks[2][0])


def _signs(bits: Mask) -> Signs:
    return np.asarray(bits[::2].astype(np.int8) - bits[1::2].astype(np.int8))
