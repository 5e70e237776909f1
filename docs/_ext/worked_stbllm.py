"""The worked example of STBLLM."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import worked_panels as show
from worked_cuts import NAMES, Cut, one_cut, recorded
from worked_panels import Panel, few
from worked_steps import (
    Equation,
    Step,
    Walk,
    binarized,
    groups_of,
    salient_columns,
    same,
    scored,
    thresholds,
    walk,
)

from subbit import reference as ref
from subbit.reference.blocks import Block, LayerState, prepare_layer
from subbit.reference.groups.together import binarize_zones
from subbit.reference.layer import QuantizedBlock, Zone
from subbit.reference.notation import Array, Mask
from subbit.reference.pruning.importance import importance_of
from subbit.reference.stbllm import STBLLM
from subbit.reference.zones.partition import candidate_thresholds


def stbllm_steps(W: Array, H: Array, config: STBLLM) -> Iterator[Step]:
    """Yield the steps of STBLLM."""
    config = with_or_without(W, H, config)
    state, how, pruning = prepare_layer(W, H, config.loop), config.zones, config.pruning
    weights, kept = ref.choose_kept(W, H, config)

    def block_steps(block: Block) -> tuple[list[Step], QuantizedBlock]:
        entries = kept[:, block.columns] if pruning.strict else np.ones_like(block.weights, bool)
        step, salient = salient_columns(block, how.partition, entries if pruning.strict else None)
        part = block.alive & entries
        cut, masks = regions(block, part & ~salient, config)
        zones = [Zone(n, m, 1) for n, m in zip(NAMES[how.regions], masks, strict=True)]
        zones.append(Zone("salient", part & salient, 2))
        groups = binarize_zones(block.weights, zones, **how.partition.binarizer)
        made = recorded(block, groups, salient, pruning.keep if pruning.strict else None)
        mask = pruned_first(W, H, kept, block=block, state=state, config=config)
        steps = [mask, scored(block, config.loop.score), step, cut(zones, salient)]
        return [*steps, *binarized(groups, salient)], made

    free = kept if pruning.free == "kept" else None
    expected = ref.stbllm_layer(W, H, config)
    yield from walk(Walk(state, weights, expected, block_steps, free))


def with_or_without(W: Array, H: Array, config: STBLLM) -> STBLLM:
    """Settle whether errors are fed forward, where the configuration takes the better layer."""
    if not config.fallback:
        return config
    chosen = ref.stbllm_layer(W, H, config).decode()
    forms = [config.changed(fallback=False), config.changed(fallback=False, compensation="none")]
    return next(f for f in forms if np.array_equal(ref.stbllm_layer(W, H, f).decode(), chosen))


RANKED: Mapping[str, Equation] = {
    "standardized": (
        "STBLLM",
        "Eq. (2)",
        "standardized_importance",
        "reference/pruning/sparsity.py",
    ),
    "ria": ("subbit", "Eq. (32)", "ria_importance", "reference/pruning/sparsity.py"),
    "wanda": ("Wanda", "Eq. (1)", "wanda_importance", "reference/pruning/sparsity.py"),
}
NM_MASK: Equation = ("subbit", "Eq. (33)", "nm_mask", "reference/pruning/sparsity.py")


def pruned_first(
    W: Array, H: Array, kept: Mask, *, block: Block, state: LayerState, config: STBLLM
) -> Step:
    """Show the scores of importance and the N:M mask."""
    pruning, (keep, group) = config.pruning, config.pruning.keep
    own = (W[:, block.columns], kept[:, block.columns])
    panels: list[Panel] = []
    if pruning.importance in RANKED:
        scores = importance_of(W, H, state.prepared, pruning)
        same(ref.nm_mask(scores, keep, group, tail=pruning.tail), kept, "the mask")
        panels.append(show.numbers("Importance", scores[:, block.columns]))
    panels.append(show.kept_and_gone("Weights, the pruned ones hatched", *own))
    fate = (
        "The others are zero from here on."
        if pruning.strict
        else "The others are zero now, but binarized with the rest later, as in the released code."
    )
    return Step(
        f"{keep} of every {group} weights",
        f"Of every {group} consecutive weights in a row, the {keep} with the largest scores are "
        f"kept. {fate}",
        (*([RANKED[pruning.importance]] if pruning.importance in RANKED else ()), NM_MASK),
        panels,
    )


def regions(block: Block, part: Mask, config: STBLLM) -> tuple[Cut, tuple[Mask, ...]]:
    """Search for the two magnitudes that cut a block in three."""
    how, W, S = config.zones.partition, block.weights, block.scores
    if config.zones.regions == 2:
        return bell_of_entries(block, part, config)
    masks = ref.choose_regions(W, S, part, config.zones)
    curves: list[Panel] = []
    said = ""
    if part.any():
        search = trisected(block, part, config)
        low, high = float(search.choice), float(search.choice) * config.zones.factor
        again = ref.trisection(
            np.abs(how.cut(W, S)),
            part,
            search.choice,
            factor=config.zones.factor,
            closed=how.closed,
        )
        same(np.stack(again), np.stack(masks), "the regions")
        curves.append(thresholds(f"lower threshold on the {how.split_by}", search))
        said = f" Here they are {few(low)} and {few(high)}."

    def step(zones: Sequence[Zone], salient: Mask) -> Step:
        shown = {zone.name: zone.mask for zone in zones}
        return Step(
            "Trisection",
            f"The other kept weights are cut at two magnitudes of the {how.split_by}, the second "
            f"{config.zones.factor:g} times the first, into a dense, an intermediate and a sparse "
            "group. Every first threshold of a grid is tried, and the one with the least error of "
            f"the three binarized groups is kept.{said}",
            (
                ("subbit", "Eq. (41)", "trisection_search_direct", "reference/zones/trisection.py"),
                ("subbit", "Eq. (42)", "Search.best", "reference/zones/search.py"),
                ("STBLLM", "Alg. 2", "trisection", "reference/zones/trisection.py"),
                ("subbit", "Eq. (49)", "stbllm_block", "reference/stbllm.py"),
            ),
            (*curves, groups_of(block, shown, salient)),
        )

    return step, masks


def bell_of_entries(block: Block, part: Mask, config: STBLLM) -> tuple[Cut, tuple[Mask, ...]]:
    """Cut the kept entries once."""
    masks = ref.choose_regions(block.weights, block.scores, part, config.zones)
    how = config.zones.partition
    return lambda zones, salient: one_cut(block, zones, salient, how), masks


def trisected(block: Block, part: Mask, config: STBLLM) -> ref.Search:
    """Evaluate every candidate, in the form of the search that the method uses."""
    how, W, S = config.zones.partition, block.weights, block.scores
    key = np.abs(how.cut(W, S))
    cuts = candidate_thresholds(key, part, how.grid, config.zones.levels)
    if config.zones.bounded:
        cuts = ref.trisection_thresholds(cuts, factor=config.zones.factor)
    target, settings = how.searched(W, S), {"factor": config.zones.factor, **how.cutter}
    if how.split_by == how.search_on:
        return ref.trisection_search(target, part, cuts, **settings)
    return ref.trisection_search_direct(target, part, cuts, key=key, **settings)
