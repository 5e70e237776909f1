"""Bringing a layer back
=====================

The data that a layer routine leaves on the device, and its one transfer to the host: groups and
signs as bits, scales and means as float32, all in one array of 32-bit words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from subbit.fast.device import Device
from subbit.reference.errors import ArgumentError
from subbit.reference.layer import BinaryGroup, Plane, QuantizedBlock
from subbit.reference.notation import AnyArray, Array, Signs

from . import rows
from .arrays import DeviceArray, to_host
from .state import Groups


@dataclass(frozen=True)
class BlockGroups:
    """The groups of a block, and which of their fields are stored.

    Parameters
    ----------
    names : tuple of str
        Names of the groups; the first has number 1.
    orders : tuple of int
        Orders of the groups.
    salient : tuple of int
        Numbers of the groups of salient columns; empty where no columns are chosen.
    mean : bool, default True
        Whether groups have means.
    columns : bool, default False
        Whether planes have column scales.
    partial : bool, default False
        Whether entries of salient columns may be in no group; they are numbered `left_out`.
    pattern : tuple of int, optional
        ``(N, M)`` where blocks keep N of each M consecutive weights.
    """

    names: tuple[str, ...]
    orders: tuple[int, ...]
    salient: tuple[int, ...] = ()
    mean: bool = True
    columns: bool = False
    partial: bool = False
    pattern: tuple[int, int] | None = None

    @property
    def left_out(self) -> int:
        """Number of entries of salient columns that are in no group."""
        return len(self.names) + 1

    @property
    def bits(self) -> int:
        """Binary digits of a group's number."""
        return (len(self.names) + self.partial).bit_length()


@dataclass(frozen=True)
class BlockOnDevice:
    """A block's answer where it was computed.

    Parameters
    ----------
    start : int
        First column in the layer.
    group : array of uint8, shape (n, k)
        Number of each entry's group, from 1; 0 for no group, in salient columns the groups'
        ``left_out``.
    made : Groups
        Means, scales, signs and image; column scales, where the groups have them.
    groups : BlockGroups
        The groups.
    """

    start: int
    group: DeviceArray
    made: Groups
    groups: BlockGroups

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
            Device that holds the block.

        Returns
        -------
        list of array of uint32
            Bits of group numbers and of signs; row scales; means and column scales, if any.
        """
        xp, made = device.xp, self.made
        numbers = [made.scale]
        if self.groups.mean:
            numbers.append(made.mean)
        if self.groups.columns:
            numbers.append(made.columns)
        bits = rows.pack(device, self.group, made.signs, self.groups.bits)
        return [bits, *(part.view(xp.uint32) for part in numbers)]


def fetch(device: Device, blocks: Sequence[Any]) -> tuple[QuantizedBlock, ...]:
    """Bring blocks to the host in one transfer.

    Parameters
    ----------
    device : Device
        Device that holds the blocks.
    blocks : sequence of BlockOnDevice
        Consecutive blocks.

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
        records.append(_record(block, iter(here)))
    return tuple(records)


def _bits(words: AnyArray, k: int) -> AnyArray:
    text = np.ascontiguousarray(words, dtype="<u4").view(np.uint8)
    return np.unpackbits(text, axis=-1, count=k, bitorder="little")


def _float64(words: AnyArray) -> Array:
    numbers = words.view(np.float32).astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ArgumentError("W", "weights whose image float32 can hold", "larger ones")
    return numbers


def _record(block: BlockOnDevice, words: Iterator[AnyArray]) -> QuantizedBlock:
    stored, k = block.groups, block.group.shape[1]
    bits = _bits(next(words), k)
    number, signs = _numbers(bits[: stored.bits]), _signs(bits[stored.bits :])
    scale = _float64(next(words))
    mean = _float64(next(words)) if stored.mean else None
    columns = _float64(next(words)) if stored.columns else None
    groups, row = [], 0
    for g, (name, order) in enumerate(zip(stored.names, stored.orders, strict=True)):
        mask = number == g + 1
        planes = tuple(
            Plane(
                np.where(mask, signs[p], np.int8(0)),
                scale[row + p],
                None if columns is None else columns[row + p],
            )
            for p in range(order)
        )
        row += order
        groups.append(BinaryGroup(name, mask, planes, None if mean is None else mean[g]))
    salient = None
    if stored.salient:
        # A salient column is salient in every row.
        salient = np.isin(number[0], (*stored.salient, stored.left_out))
    return QuantizedBlock(block.start, block.start + k, tuple(groups), salient, stored.pattern)


def _numbers(bits: AnyArray) -> AnyArray:
    return sum(digit << place for place, digit in enumerate(bits))


def _signs(bits: AnyArray) -> Signs:
    return np.asarray(bits[::2].astype(np.int8) - bits[1::2].astype(np.int8))
