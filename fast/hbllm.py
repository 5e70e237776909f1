"""HBLLM
=====

:mod:`subbit.reference.hbllm` on a device. The searches and splits are kernels; the transform is
its array library's. Which columns are salient comes to the host, since it shapes what follows.
"""

from dataclasses import dataclass

import numpy as np

from subbit import reference
from subbit.fast.launches import rows, searches
from subbit.fast.launches.arrays import DeviceArray, exponent, scaled, to_host
from subbit.fast.launches.group import numbers
from subbit.fast.launches.row_splits import Halves, row_halves
from subbit.fast.launches.search_inputs import places_of
from subbit.fast.launches.transforms import paired, unpaired
from subbit.reference.haar import Axis, HaarGroup, HaarTerm
from subbit.reference.hbllm import RELEASED, _neighbors, _placed
from subbit.reference.layer import BinaryGroup, Plane, QuantizedBlock, QuantizedLayer
from subbit.reference.notation import Mask
from subbit.reference.presets.hbllm import HBLLM

from .blocks import Block, blocks_on_device, prepare_layer
from .device import Device
from .mirror import mirrors

_SALIENT, _REST = 2, 1


@dataclass(frozen=True)
class _Term:
    """A term where it was computed: the sides of each band, and what it decodes to."""

    axis: Axis
    columns: Mask
    bands: tuple[Halves, ...]
    values: DeviceArray

    def groups(self) -> tuple[BinaryGroup, ...]:
        widths = [band.group.shape[1] for band in self.bands]
        ends = np.cumsum([0, *widths])
        found = []
        names = ("low-", "high-") if self.axis == "columns" else ("",)
        for name, start, band in zip(names, ends[:-1], self.bands, strict=False):
            part = slice(start, start + band.group.shape[1])
            group, sign = to_host(band.group), to_host(band.signs)
            means, scales = numbers(band.mean), numbers(band.scale)
            for number, side in enumerate(("small", "large")):
                mask = np.zeros((len(group), ends[-1]), dtype=np.bool_)
                mask[:, part] = group == number + 1
                signs = np.zeros(mask.shape, dtype=np.int8)
                signs[:, part] = np.where(mask[:, part], sign, np.int8(0))
                plane = Plane(signs, scales[number])
                found.append(BinaryGroup(f"{name}{side}", mask, (plane,), means[number]))
        return tuple(found)


@dataclass(frozen=True)
class _BlockOnDevice:
    """A block's answer where it was computed."""

    start: int
    alive: Mask
    terms: tuple[_Term, ...]
    values: DeviceArray
    config: HBLLM

    def decode(self) -> DeviceArray:
        return self.values

    def record(self) -> QuantizedBlock:
        """Bring the block to the host."""
        terms = (
            HaarTerm(term.axis, _placed(term.columns, self.alive), term.groups())
            for term in self.terms
        )
        mask = np.broadcast_to(self.alive, self.values.shape).copy()
        group = HaarGroup("haar", mask, tuple(terms), self.config.share_mean)
        return QuantizedBlock(self.start, self.start + len(self.alive), (group,))


@mirrors(reference.hbllm_block)
def hbllm_block(
    device: Device,
    W: DeviceArray,
    S: DeviceArray,
    alive: DeviceArray,
    config: HBLLM = RELEASED,
    *,
    start: int = 0,
) -> QuantizedBlock:
    """Quantize one block: salient columns, Haar coefficients, a split of each of their rows."""
    return _block(device, W, S, to_host(alive), config, start=start).record()


def _block(
    device: Device, W: DeviceArray, S: DeviceArray, alive: Mask, config: HBLLM, *, start: int
) -> _BlockOnDevice:
    xp, inside = device.xp, np.flatnonzero(alive)
    salient = _choose_salient(device, W, S, alive, config)[inside]
    X = xp.ascontiguousarray(W[:, xp.asarray(inside)])
    Q, terms = xp.zeros(X.shape, dtype=xp.float32), []
    first = salient | True if config.pairs == "columns" else ~salient
    if first.any():
        F = _filled(device, X, salient)[:, xp.asarray(np.flatnonzero(first))]
        terms.append(_term(device, F, first, config.pairs, config))
        Q[:, xp.asarray(np.flatnonzero(first))] = terms[0].values
    if salient.any():
        chosen = xp.asarray(np.flatnonzero(salient))
        terms.append(_term(device, X[:, chosen] - Q[:, chosen], salient, "rows", config))
        Q[:, chosen] += terms[-1].values
    values = xp.zeros(W.shape, dtype=xp.float32)
    values[:, xp.asarray(inside)] = Q
    return _BlockOnDevice(start, alive, tuple(terms), values, config)


def _choose_salient(
    device: Device, W: DeviceArray, S: DeviceArray, alive: Mask, config: HBLLM
) -> Mask:
    xp, available = device.xp, int(np.count_nonzero(alive))
    if not available:
        return np.zeros(len(alive), dtype=np.bool_)
    values = scaled(device, S, -exponent(device, S))
    norms = xp.sqrt(rows.column_sums(device, values * values))
    place, _ = rows.rank(device, norms, xp.asarray(alive), available)
    low, high = (min(count, available) for count in config.counts)
    counts = xp.arange(low, high + 1, dtype=xp.int32)
    objective, _ = searches.salient_objectives(
        device,
        W if config.search_on == "weights" else S,
        places_of(device, place, None),
        counts,
        orders=config.search_orders,
        center=config.center,
        sign_zero=config.sign_zero,
    )
    best = searches.first_minimum(device, objective)
    zone = searches.mark(device, place, counts, best, salient=_SALIENT, rest=_REST)
    return to_host(zone) == _SALIENT


def _filled(device: Device, X: DeviceArray, salient: Mask) -> DeviceArray:
    """Replace salient columns by the mean of their neighbors that are not, from left to right."""
    xp, rest, F = device.xp, np.flatnonzero(~salient), X.copy()
    chosen = np.flatnonzero(salient)
    lists = [_neighbors(rest, int(j)) for j in chosen]
    count = np.array([len(near) for near in lists])
    total = xp.zeros((len(X), len(chosen)), dtype=xp.float32)
    for place in range(max(count, default=0)):
        has = np.flatnonzero(count > place)
        source = np.array([lists[i][place] for i in has])
        total[:, xp.asarray(has)] += X[:, xp.asarray(source)]
    divisor = xp.asarray(np.maximum(count, 1), dtype=xp.float32)
    F[:, xp.asarray(chosen)] = total / divisor
    return F


def _term(device: Device, X: DeviceArray, columns: Mask, axis: Axis, config: HBLLM) -> _Term:
    """Binarize the coefficients of some columns, each band by itself."""
    xp, C = device.xp, paired(device, X, axis)
    bands = tuple(
        row_halves(
            device,
            xp.ascontiguousarray(C[:, band]),
            levels=config.quantiles,
            scale=config.scale,
            share_mean=config.share_mean,
            sign_zero=config.sign_zero,
        )
        for band in HaarTerm(axis, columns, ()).bands
    )
    image = xp.hstack([band.image for band in bands])
    return _Term(axis, columns, bands, unpaired(device, image, axis))


@mirrors(reference.hbllm_layer)
def hbllm_layer(
    device: Device, W: DeviceArray, H: DeviceArray, config: HBLLM = RELEASED
) -> QuantizedLayer:
    """Quantize a linear layer with HBLLM."""
    state = prepare_layer(device, W, H, config.loop)

    def quantize_block(block: Block) -> _BlockOnDevice:
        W, S = block.weights, block.scores
        return _block(device, W, S, block.alive, config, start=block.start)

    made = blocks_on_device(state, quantize_block)
    return QuantizedLayer((W.shape[0], W.shape[1]), tuple(block.record() for block in made))
