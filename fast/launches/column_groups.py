"""Zones of a block
================

The column-group bitmap as :mod:`subbit.reference.zones.column_groups` chooses it, on a device
and without waiting. A zone, the salient columns or the rest, has consecutive group
numbers. All its entries begin with the last one, and each cut gives those above the
threshold the next one from the front, so the entries' numbers are the whole state.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from subbit.fast.device import Device
from subbit.fast.launches.arb_rc import launch_arb_rc
from subbit.fast.launches.partition import candidate_thresholds
from subbit.fast.launches.state import Groups
from subbit.reference.groups.refinement import REFINEMENT
from subbit.reference.zones.column_groups import ColumnGroups

from . import searches
from .arb_x import Gram
from .arrays import DeviceArray, exponent, scaled
from .fetch import BlockGroups
from .searches import Entries, Zone


@dataclass(frozen=True)
class ZoneGroups:
    """The groups that a zone is split into.

    Parameters
    ----------
    name : str
        ``"salient"``, or empty for the rest.
    first, last : int
        The numbers, both ends included.
    order : int
        Orders of binarization.
    """

    name: str
    first: int
    last: int
    order: int

    def remaining(self, step: int) -> Zone:
        """Return the zone as one step of splitting finds it.

        Parameters
        ----------
        step : int
            The step, from 0.

        Returns
        -------
        Zone
            The large ones of the remaining entries become the next group.
        """
        return Zone(self.last, self.first + step, (self.order, self.order))

    def names(self) -> tuple[str, ...]:
        """Return the names of the groups.

        Returns
        -------
        tuple of str
            The largest entries first.
        """
        splits = self.last - self.first
        if splits == 0:
            return (self.name,)
        prefix = f"{self.name}-" if self.name else ""
        sparse = [f"sparse-{i + 1}" for i in range(splits)] if splits > 1 else ["sparse"]
        return tuple(prefix + name for name in (*sparse, "concentrated"))


def salient_and_rest(config: ColumnGroups) -> tuple[ZoneGroups, ZoneGroups]:
    """Return the salient zone and the rest.

    Parameters
    ----------
    config : ColumnGroups
        The configuration.

    Returns
    -------
    tuple of ZoneGroups
        Both zones.
    """
    salient = config.splits + 1 if config.column_groups else 1
    last = salient + config.splits + 1
    return ZoneGroups("salient", 1, salient, 2), ZoneGroups("", salient + 1, last, 1)


def searches_outputs(config: ColumnGroups) -> bool:
    """Return whether the rest is searched on the outputs.

    Parameters
    ----------
    config : ColumnGroups
        The configuration.

    Returns
    -------
    bool
        False where both zones share one threshold, whatever `split_error` says.
    """
    shared = config.column_groups and config.bitmap == "shared"
    return config.split_error == "outputs" and not shared


def groups_of(config: ColumnGroups, *, mean: bool = True, columns: bool = False) -> BlockGroups:
    """Return the groups of a block.

    Parameters
    ----------
    config : ColumnGroups
        The configuration.
    mean, columns : bool
        Whether groups have means and column scales.

    Returns
    -------
    BlockGroups
        The salient groups first.
    """
    zones = salient_and_rest(config)
    names = tuple(name for zone in zones for name in zone.names())
    orders = tuple(z.order for z in zones for _ in range(z.first, z.last + 1))
    salient = tuple(range(1, zones[0].last + 1))
    return BlockGroups(names, orders, salient, mean, columns)


def zone_numbers(
    device: Device, alive: DeviceArray, salient: DeviceArray, config: ColumnGroups
) -> DeviceArray:
    """Number the columns of a block whose salient columns are known.

    Parameters
    ----------
    device : Device
        Device that holds them.
    alive, salient : array of bool, shape (k,)
        Columns to quantize, and salient ones.
    config : ColumnGroups
        The configuration.

    Returns
    -------
    array of uint8, shape (k,)
        Number of the last group of each column's zone; 0 for columns that take no part.
    """
    xp = device.xp
    first, last = (xp.uint8(zone.last) for zone in salient_and_rest(config))
    return (xp.where(salient, first, last) * alive).astype(xp.uint8)


class ZoneSearch:
    """Searches of thresholds for the zones of a block.

    Parameters
    ----------
    device : Device
        Device to compute on.
    target, key : array of float32, shape (n, k)
        Values that errors are measured on, and values that are cut.
    config : ColumnGroups
        The configuration.
    gram : Gram, optional
        Gram matrix of the inputs; with it the rest is searched on the outputs.
    image : array of float32, shape (n, k), optional
        Decoded values of the salient entries; by default the entries themselves.
    """

    def __init__(
        self,
        device: Device,
        target: DeviceArray,
        key: DeviceArray,
        config: ColumnGroups,
        *,
        gram: Gram | None = None,
        image: DeviceArray | None = None,
    ) -> None:
        self.device, self.config, self.gram, self.key = device, config, gram, key
        power = exponent(device, target)
        self.target = scaled(device, target, -power)
        self.image = self.target if image is None else scaled(device, image, -power)

    @classmethod
    def of(
        cls,
        device: Device,
        W: DeviceArray,
        S: DeviceArray,
        config: ColumnGroups,
        *,
        gram: Gram | None = None,
        image: DeviceArray | None = None,
    ) -> Self:
        """Return the search that a configuration asks for.

        Parameters
        ----------
        device : Device
            Device to compute on.
        W, S : array of float32, shape (n, k)
            Weights and scores.
        config : ColumnGroups
            The configuration.
        gram, image
            As for the class.

        Returns
        -------
        ZoneSearch
            The search.
        """
        part = config.partition
        target, key = part.searched(W, S), device.xp.abs(part.cut(W, S))
        return cls(device, target, key, config, gram=gram, image=image)

    def _on_weights(
        self, group: DeviceArray, thresholds: DeviceArray, zones: Sequence[Zone]
    ) -> tuple[DeviceArray, DeviceArray]:
        return searches.split_objectives(
            self.device,
            Entries(self.target, self.key, group),
            thresholds,
            zones,
            **self.config.partition.cutter,
        )

    def _on_outputs(
        self, group: DeviceArray, thresholds: DeviceArray, gram: Gram, zone: Zone
    ) -> tuple[DeviceArray, DeviceArray]:
        return searches.calibrated_objectives(
            self.device,
            Entries(self.target, self.key, group),
            self.image,
            thresholds,
            gram,
            zone=zone,
            **self.config.partition.cutter,
        )

    def thresholds(self, group: DeviceArray, zone: Zone) -> DeviceArray:
        """Return the candidates of one zone.

        Parameters
        ----------
        group : array of uint8, shape (k,) or (n, k)
            Numbers of columns or entries.
        zone : Zone
            The zone.

        Returns
        -------
        array of float32, shape (c,)
            Thresholds.
        """
        part, grid = group == zone.number, self.config.partition.grid
        if grid == "quantiles_with_zeros" and zone.orders == (2, 2):
            # In the salient zone the released grid is that of the nonzero entries.
            part, grid = part & (self.key > 0), "quantiles"
        return candidate_thresholds(self.device, self.key, part, grid)

    def errors(
        self, group: DeviceArray, thresholds: DeviceArray, zones: Sequence[Zone]
    ) -> tuple[DeviceArray, DeviceArray]:
        """Return the errors of all candidates, in one launch if all are weight errors.

        Parameters
        ----------
        group : array of uint8, shape (k,) or (n, k)
            Numbers of columns or entries.
        thresholds : array of float32, shape (zones, c)
            Candidates.
        zones : sequence of Zone
            The zones, the rest last.

        Returns
        -------
        errors : array of float32, shape (zones, c)
            Errors; those of zone z are in units of ``2**power[z]``.
        power : array of int32, shape (zones,)
            The powers.
        """
        xp = self.device.xp
        by_weights = zones if self.gram is None else zones[:-1]
        errors, power = [], []
        if by_weights:
            found, unit = self._on_weights(group, thresholds[: len(by_weights)], by_weights)
            errors, power = [found], len(by_weights) * [unit]
        if self.gram is not None:
            found, unit = self._on_outputs(group, thresholds[-1], self.gram, zones[-1])
            errors, power = [*errors, found[None]], [*power, unit]
        return xp.concatenate(errors), xp.stack(power)

    def cut(
        self, group: DeviceArray, thresholds: DeviceArray, best: DeviceArray, zones: Sequence[Zone]
    ) -> DeviceArray:
        """Return the numbers of all entries after a cut.

        Parameters
        ----------
        group, thresholds
            As for :meth:`errors`.
        best : array of int32, shape (zones,)
            Positions of the chosen thresholds.
        zones : sequence of Zone
            The zones.

        Returns
        -------
        array of uint8, shape (n, k)
            Numbers.
        """
        return searches.cut_zones(
            self.device,
            self.key,
            group,
            thresholds,
            best,
            zones=zones,
            closed=self.config.partition.closed,
        )

    def taken_errors(self, group: DeviceArray, zones: Sequence[Zone]) -> DeviceArray:
        """Return the errors of the groups that were cut off last.

        Parameters
        ----------
        group : array of uint8, shape (n, k)
            Numbers after the cut.
        zones : sequence of Zone
            The zones.

        Returns
        -------
        array of float32, shape (zones,)
            Squared errors of the initial values, in units of the scaled target.
        """
        xp = self.device.xp
        if self.config.taken_error == "row_column":
            return xp.stack([self._row_column_error(group, zone) for zone in zones])
        # A threshold above all entries leaves one group.
        everything = xp.full((len(zones), 1), np.inf, dtype=xp.float32)
        whole = [replace(zone, number=zone.large) for zone in zones]
        errors, power = self._on_weights(group, everything, whole)
        return xp.ldexp(errors[:, 0], power)

    def _row_column_error(self, group: DeviceArray, zone: Zone) -> DeviceArray:
        xp = self.device.xp
        own = (group == zone.large).view(xp.uint8)
        made = Groups.blank(self.device, own.shape, zone.orders[:1])
        launch_arb_rc(made, self.target, own, config=REFINEMENT.changed(iterations=0))
        return xp.sum(xp.where(own == 1, self.target - made.image, xp.float32(0)) ** 2)


def split_zones(search: ZoneSearch, zone: DeviceArray) -> DeviceArray:
    """Choose all thresholds of a block and number its entries.

    Parameters
    ----------
    search : ZoneSearch
        The block.
    zone : array of uint8, shape (k,)
        As from :func:`zone_numbers`.

    Returns
    -------
    array of uint8, shape (n, k)
        Group number of each entry.
    """
    config = search.config
    groups = salient_and_rest(config)[0 if config.column_groups else 1 :]
    steps = [[own.remaining(step) for own in groups] for step in range(config.splits)]
    if config.column_groups and config.bitmap == "shared":
        return _by_one_threshold(search, zone, steps)
    return _by_own_thresholds(search, zone, steps)


def _by_one_threshold(
    search: ZoneSearch, group: DeviceArray, steps: Sequence[Sequence[Zone]]
) -> DeviceArray:
    xp, device = search.device.xp, search.device
    for zones in steps:
        part = (group == zones[0].number) | (group == zones[-1].number)
        thresholds = candidate_thresholds(device, search.key, part, search.config.partition.grid)
        both = xp.stack(len(zones) * [thresholds])
        errors, _ = search.errors(group, both, zones)
        best = searches.first_minimum(device, xp.sum(errors, axis=0))
        group = search.cut(group, both, xp.repeat(best, len(zones)), zones)
    return group


def _by_own_thresholds(
    search: ZoneSearch, group: DeviceArray, steps: Sequence[Sequence[Zone]]
) -> DeviceArray:
    xp, device = search.device.xp, search.device
    kept = search.config.minimum == "kept"
    taken = least = None
    for step, zones in enumerate(steps):
        thresholds = xp.stack([search.thresholds(group, zone) for zone in zones])
        errors, power = search.errors(group, thresholds, zones)
        if taken is not None:
            errors = errors + xp.ldexp(taken, -power)[:, None]
        best = searches.first_minimum(device, errors)
        lowest = xp.min(errors, axis=1)
        if kept and least is not None:
            # The released loop takes its first candidate unless one beats all cuts so far.
            best = xp.where(lowest < least, best, xp.int32(0))
            lowest = xp.minimum(lowest, least)
        least = lowest
        group = search.cut(group, thresholds, best, zones)
        if kept and step + 1 < len(steps):
            more = search.taken_errors(group, zones)
            taken = more if taken is None else taken + more
    return group
