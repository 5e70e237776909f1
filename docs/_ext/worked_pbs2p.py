"""The worked example of PBS2P."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import worked_panels as show
from worked_arb import SIGNED, energy, fitted, sweeps_step
from worked_cuts import column_groups
from worked_panels import Curves, Line
from worked_steps import Step, Walk, close, salient_columns, same, scored, walk

from subbit import reference as ref
from subbit.reference.blocks import Block, prepare_layer
from subbit.reference.groups.refinement import Trace
from subbit.reference.groups.together import sweep_groups
from subbit.reference.layer import QuantizedBlock, Zone
from subbit.reference.notation import Array, Mask
from subbit.reference.pbs2p import PBS2P


def pbs2p_steps(W: Array, H: Array, config: PBS2P) -> Iterator[Step]:
    """Yield the steps of PBS2P."""
    state, fine = prepare_layer(W, H, config.loop), config.fine

    def block_steps(block: Block) -> tuple[list[Step], QuantizedBlock]:
        damped = state.prepared.damped
        scored_by = 2.0 * state.gram if fine.fine_score == "wanda" else damped
        if fine.fine_hessian == "block":
            unit = unit_scores(scored_by[block.columns, block.columns], fine.fine_score)
        else:
            unit = unit_scores(scored_by, fine.fine_score)[block.columns]
        own = damped[block.columns, block.columns]
        masks = ref.pruning_masks(block.weights, own, block.alive, config, unit=unit)
        return pruned_in_steps(block, unit, masks, config)

    yield from walk(Walk(state, state.weights, ref.pbs2p_layer(W, H, config), block_steps))


def unit_scores(H: Array, score: Any) -> Array:  # noqa: ANN401
    """Score weights of magnitude one in each column."""
    return ref.fine_scores(np.ones((1, len(H))), H, score=score)[0]


def pruned_in_steps(
    block: Block, unit: Array, masks: Mask, config: PBS2P
) -> tuple[list[Step], QuantizedBlock]:
    """Partition a block and prune its groups step by step."""
    W, S, alive, how = block.weights, block.scores, block.alive, config.pruning
    steps = [order_of_removal(block, unit, masks, config), scored(block, config.loop.score)]
    salient = None
    zones: tuple[Zone, ...] = (Zone("all", np.broadcast_to(alive, W.shape), 1),)
    if config.partitioned:
        chosen, salient = salient_columns(block, config.zones.partition)
        zones, bitmap = column_groups(block, salient, config)
        steps += [chosen, bitmap]
    filled = tuple(zone for zone in zones if zone.mask.any())
    settings: dict[str, Any] = {"config": how}
    traces = [
        ref.trace_objective(
            W,
            ref.spbo_steps(W, z.mask, masks, block.gram, order=z.order, name=z.name, **settings),
            block.gram,
            entries=z.mask,
        )
        for z in filled
    ]
    steps.append(stepwise(block, filled, traces, masks))
    groups = [made.group for made in traces]
    if config.sweeps:
        target = np.where(alive & masks[-1] if how.objective == "masked" else alive, W, 0.0)
        settings = {"sweeps": config.sweeps, "config": how.refinement}
        after = sweep_groups(target, groups, block.gram, **settings)
        steps.append(sweeps_step(block, target, groups, after, config.sweeps))
        groups = list(after)
    record = ref.pbs2p_block(
        W, S, masks, alive, config, gram=block.gram, salient=salient, start=block.start
    )
    made = np.sum([group.decode() for group in groups], axis=0)
    close(made, record.decode(), "the steps of pruning")
    return [*steps, *fitted(groups, salient, SIGNED["arb_x"])], record


def order_of_removal(block: Block, unit: Array, masks: Mask, config: PBS2P) -> Step:
    """Show the fine scores, and the step in which each weight goes."""
    W, fine, (keep, group) = block.weights, config.fine, config.pruning.keep
    power = 1 if fine.fine_score in {"magnitude", "wanda"} else 2
    scores = unit * np.abs(W) ** power
    if fine.scores == "once" and block.alive.all():
        last = ref.nm_mask(scores, keep, group, tail=config.pruning.tail)
        same(last, masks[-1], "the last mask")
    gone = len(masks) - masks.sum(axis=0)  # (n, k): steps in which an entry is missing
    when = np.where(gone > 0, len(masks) - gone + 1, 0)
    words = [[str(t) if t else "" for t in row] for row in when]
    looks = [["worked-gone" if t else "" for t in row] for row in when]
    meanings = (("", "kept"), ("worked-gone", "the step in which it goes"))
    caption = "When each weight goes"
    return Step(
        f"Which weights go, and when: {keep} of every {group} stay",
        f"Fine scores say what the removal of a weight costs. Each of {len(masks)} steps takes one "
        f"more weight of every {group}, the cheapest first."
        + (" Scores are computed again after each step." if fine.scores == "recomputed" else ""),
        (
            ("PBS2P", "Eq. (8)", "obs_saliency", "reference/zones/saliency.py"),
            ("subbit", "Eq. (63)", "_scored", "reference/pbs2p.py"),
            ("subbit", "Eq. (53)", "spbo_schedule", "reference/pruning/spbo.py"),
        ),
        (
            show.percent("Fine scores", scores),
            show.Cells(caption, words, looks, legend=meanings),
            show.kept_and_gone("Weights, the pruned ones hatched", W, masks[-1]),
        ),
    )


def stepwise(block: Block, zones: Sequence[Zone], traces: Sequence[Trace], masks: Mask) -> Step:
    """Show the error of each group while it loses its entries."""
    whole = sum(energy(block, zone, calibrated=True) for zone in zones)
    lines = []
    for zone, made in zip(zones, traces, strict=True):
        stage, names = -1, []
        for name in made.names:
            stage += name in {"start", "prune"}
            names.append(f"step {stage}, {name}" if stage else name)
        xs = [float(i) for i in range(len(made.names))]
        lines.append(
            Line(zone.name, xs, [float(e / whole) for e in made.objectives], names, zone.name)
        )
    return Step(
        "Stepwise pruning with refitted levels: SPBO",
        "Each group starts whole. A step removes the weights whose turn it is, which raises or "
        "lowers its error, and then fits mean and scales to the outputs again, which never raises "
        "it. A removed weight is all error.",
        (
            ("subbit", "Eq. (57)", "spbo_steps", "reference/pruning/spbo.py"),
            ("subbit", "Eq. (55)", "_step", "reference/pruning/spbo.py"),
            ("PBS2P", "Eq. (2)", "_refit", "reference/pruning/spbo.py"),
            ("PBS2P", "Eq. (4)", "calibrated_mean", "reference/groups/arb_x.py"),
        ),
        (
            Curves(
                f"Calibrated error of each group over {len(masks)} steps",
                "start, levels, then prune and levels in turn",
                "error / energy",
                lines,
                zero=True,
            ),
        ),
    )
