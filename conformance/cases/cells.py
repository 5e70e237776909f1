"""Groups before pruning, from a record
====================================

A record of a pruned block does not say which group a pruned weight belonged to. But the kept
weights say at which candidate thresholds the block can have been cut, and these say it for the
others. Pruned weights that lie on a threshold to within rounding may be on either side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from subbit.conformance.cases.zones.column_groups import GroupsState, Part, cut_of, on_weights
from subbit.conformance.inputs.families import Mask

MOST = 16
"""Largest number of ways to complete a record that are tried."""

Cells = list[Mask]
Zone = tuple[GroupsState, list[Part], list[int], list[int]]
"""State and entries of a cut, and the places of the groups above and below it."""


def recorded_cells(
    state: GroupsState, salient: Mask, masks: Sequence[Mask], kept: Mask
) -> list[Cells]:
    """Return the groups that a block may have had before its weights were pruned.

    Parameters
    ----------
    state : GroupsState
        State that the groups were chosen from, with one cut per zone.
    salient : ndarray of bool, shape (k,)
        The port's salient columns.
    masks : sequence of ndarray of bool, shape (n, k)
        The kept entries of the port's groups, in the order of
        :func:`~subbit.conformance.cases.zones.column_groups.forms`.
    kept : ndarray of bool, shape (n, k)
        The kept entries.

    Returns
    -------
    list of list of ndarray of bool
        All ways to complete the groups, but no more than one above :data:`MOST`; none if no
        candidate cuts the kept entries as the port did.
    """
    shape = state.weights.shape
    everything = [np.broadcast_to(x & state.alive, shape) for x in (salient, ~salient)]
    zones = _zones(state, *everything)
    ways = [
        list(_larges(cut, parts, np.logical_or.reduce([masks[i] for i in above]), kept))
        for cut, parts, above, _ in zones
    ]
    found = []
    for larges in product(*ways):
        cells = list(masks)
        if not state.config.column_groups:
            cells[0] = everything[0]
        for (_, parts, above, below), large in zip(zones, larges, strict=True):
            for place, (entries, _) in enumerate(parts):
                cells[above[place]], cells[below[place]] = entries & large, entries & ~large
        found.append(cells)
        if len(found) > MOST:
            break
    return found


def _zones(state: GroupsState, chosen: Mask, rest: Mask) -> list[Zone]:
    config = state.config
    if not config.column_groups:
        return [(state, [(rest, 1)], [1], [2])]
    if config.bitmap == "shared":
        return [(state, [(chosen, 2), (rest, 1)], [0, 2], [1, 3])]
    plain = replace(state, config=on_weights(config))
    return [(plain, [(chosen, 2)], [0], [1]), (state, [(rest, 1)], [2], [3])]


def _larges(
    state: GroupsState,
    parts: list[Part],
    own: Mask,
    kept: Mask,
) -> Iterator[Mask]:
    """Yield the entries above a cut, for each that the kept entries allow."""
    entries = np.logical_or.reduce([part for part, _ in parts])
    cut = cut_of(state, parts, entries) if entries.any() else None
    if cut is None:
        yield own
        return
    key, seen = state.key, set()
    for p, e in zip(cut.thresholds.value, cut.thresholds.error, strict=True):
        under = key.value <= p if cut.closed else key.value < p
        allowed = key.error + e
        near = entries & (np.abs(key.value - p) <= allowed) & (allowed > 0.0)
        large = entries & ~under
        if np.any((large != own) & kept & entries & ~near):
            continue
        open_keys = np.unique(key.value[near & ~kept])
        for sides in product((False, True), repeat=min(len(open_keys), 3)):
            made = np.where(kept, own, large) & entries
            for value, side in zip(open_keys, sides, strict=False):
                made[near & ~kept & (key.value == value)] = side
            if made.tobytes() not in seen:
                seen.add(made.tobytes())
                yield made
