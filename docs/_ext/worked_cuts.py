"""Worked examples: how a block is cut into groups."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from worked_panels import Curves, Panel, few
from worked_steps import Step, groups_of, same, thresholds

from subbit import reference as ref
from subbit.reference.arb_llm import ARBLLM
from subbit.reference.blocks import Block
from subbit.reference.layer import BinaryGroup, QuantizedBlock, Zone
from subbit.reference.notation import Array, Mask
from subbit.reference.pbs2p import PBS2P
from subbit.reference.zones.partition import Partition, candidate_thresholds, split_search

NAMES = {3: ("dense", "intermediate", "sparse"), 2: ("concentrated", "sparse")}
Cut = Callable[[Sequence[Zone], Mask], Step]


def recorded(
    block: Block,
    groups: Sequence[BinaryGroup],
    salient: Mask | None,
    pattern: tuple[int, int] | None = None,
) -> QuantizedBlock:
    """Make the record of a block."""
    start = block.start
    return QuantizedBlock(start, start + block.weights.shape[1], tuple(groups), salient, pattern)


def bell(block: Block, columns: Mask, how: Partition) -> tuple[Cut, tuple[Mask, Mask]]:
    """Search for the magnitude between the concentrated and the sparse group."""
    W, S = block.weights, block.scores
    target, key = how.searched(W, S), np.abs(how.cut(W, S))
    if not columns.any():
        return lambda zones, salient: one_cut(block, zones, salient, how), ref.choose_split(
            W, S, columns, how
        )
    search = split_search(target, key, columns, candidate_thresholds(key, columns, how.grid), how)
    masks = ref.bell_split(key, columns, search.choice, closed=how.closed)
    same(np.stack(masks), np.stack(ref.choose_split(W, S, columns, how)), "the split")
    curve = thresholds(f"threshold on the {how.split_by}", search)

    def step(zones: Sequence[Zone], salient: Mask) -> Step:
        return one_cut(
            block, zones, salient, how, curves=(curve,), choice=few(float(search.choice))
        )

    return step, masks


def one_cut(
    block: Block,
    zones: Sequence[Zone],
    salient: Mask,
    how: Partition,
    *,
    curves: Sequence[Panel] = (),
    choice: str = "",
) -> Step:
    """Show the bell split and the groups that it leads to."""
    found = f" Here it is {choice}." if choice else ""
    masks = {zone.name: zone.mask for zone in zones}
    return Step(
        "Bell split",
        f"The other columns are cut by the magnitude of their {how.split_by}: a concentrated group "
        "around zero and a sparse one at both ends. Every threshold of a grid is tried, and the "
        f"one with the least error of both binarized groups is kept.{found}",
        (
            ("BiLLM", "Eq. (11)", "bell_split_search_direct", "reference/zones/split.py"),
            ("BiLLM", "Eq. (13)", "Search.best", "reference/zones/search.py"),
            ("BiLLM", "Eq. (11)", "bell_split", "reference/zones/split.py"),
        ),
        (*curves, groups_of(block, masks, salient)),
    )


def column_groups(
    block: Block, salient: Mask, config: ARBLLM | PBS2P
) -> tuple[tuple[Zone, ...], Step]:
    """Cut the block by magnitude, inside and outside of the salient columns."""
    how, gram = config.zones, block.gram
    image = None
    if how.split_error == "outputs":
        image = salient_image(block, salient, config)
    zones = ref.choose_column_groups(
        block.weights, block.scores, block.alive, salient, how, gram=gram, image=image
    )
    panels: list[Panel] = []
    if how.column_groups and how.bitmap == "shared" and how.splits == 1:
        panels.append(shared_threshold(block, salient, zones, config))
    panels.append(groups_of(block, {zone.name: zone.mask for zone in zones}, salient))
    return zones, Step(
        "Column-group bitmap",
        "Salient columns and all others are cut by magnitude, too. Two bitmaps, one of columns and "
        "one of large and small entries, make four groups, each with levels of its own."
        if how.column_groups
        else "The columns that are not salient are cut by magnitude.",
        (
            ("ARB-LLM", "Eq. (14)", "choose_column_groups", "reference/zones/column_groups.py"),
            *(
                (("ARB-LLM", "Eq. (14)", "_shared", "reference/zones/column_groups.py"),)
                if how.bitmap == "shared" and how.column_groups
                else ()
            ),
        ),
        panels,
    )


def salient_image(block: Block, salient: Mask, config: Any) -> Array:  # noqa: ANN401
    """Decode the salient columns as the released search on outputs sees them."""
    target = config.zones.partition.searched(block.weights, block.scores)
    zone = Zone("salient", np.broadcast_to(block.alive & salient, target.shape), 2)
    plain = config if config.algorithm == "arb_rc" else config.changed(algorithm="arb")
    return ref.refine_zones(target, (zone,), plain)[0].decode()


def shared_threshold(
    block: Block, salient: Mask, zones: Sequence[Zone], config: ARBLLM | PBS2P
) -> Curves:
    """Search for the magnitude that serves the salient columns and the others."""
    how = config.zones.partition
    target, key = (
        how.searched(block.weights, block.scores),
        np.abs(how.cut(block.weights, block.scores)),
    )
    cuts = candidate_thresholds(key, block.alive, how.grid)
    parts = ((block.alive & salient, 2), (block.alive & ~salient, 1))
    errors = [
        split_search(target, key, part, cuts, how, orders=(order, order)).objectives
        for part, order in parts
    ]
    search = ref.Search(cuts, np.sum(errors, axis=0))
    large = ref.bell_split(key, block.alive, search.choice, closed=how.closed)[1]
    chosen = np.any([z.mask for z in zones if z.name.endswith("sparse")], axis=0)
    same(large, chosen, "the bitmap")
    return thresholds(f"threshold on the {how.split_by}", search)
