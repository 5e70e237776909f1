"""The worked examples of ARB-LLM, with its three loops."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import worked_panels as show
from worked_cuts import column_groups, recorded
from worked_panels import Curves, Line, Panel
from worked_steps import Equation, Step, Walk, close, salient_columns, scored, sign_planes, walk

from subbit import reference as ref
from subbit.reference.arb_llm import ARBLLM
from subbit.reference.blocks import Block, prepare_layer
from subbit.reference.groups.refinement import Trace
from subbit.reference.layer import BinaryGroup, QuantizedBlock, Zone
from subbit.reference.notation import Array, Mask

EXACT = 1e-12
"""Share of the energy below which an error is rounding."""


def arb_steps(W: Array, H: Array, config: ARBLLM) -> Iterator[Step]:
    """Yield the steps of ARB-LLM, with one of its three loops."""
    state = prepare_layer(W, H, config.loop)

    def block_steps(block: Block) -> tuple[list[Step], QuantizedBlock]:
        step, salient = salient_columns(block, config.zones.partition)
        zones, bitmap = column_groups(block, salient, config)
        groups = ref.refine_zones(block.weights, zones, config, gram=block.gram)
        steps = [scored(block, config.loop.score), step, bitmap, *refined(block, zones, config)]
        if config.sweeps and config.algorithm == "arb_x":
            steps.append(swept(block, zones, groups, config))
        by = (*SIGNED[config.algorithm], *([] if config.algorithm == "arb_x" else [JOINT]))
        return [*steps, *fitted(groups, salient, by)], recorded(block, groups, salient)

    yield from walk(Walk(state, state.weights, ref.arb_llm_layer(W, H, config), block_steps))


LOOPS: Mapping[str, tuple[str, str, tuple[Equation, ...]]] = {
    "arb": (
        "ARB",
        "Mean, scale and signs are set to their optimum in turn, each given the others.",
        (
            ("ARB-LLM", "Alg. 1", "arb_steps", "reference/groups/arb.py"),
            ("ARB-LLM", "Eq. (3)", "refine_mean", "reference/groups/arb.py"),
            ("ARB-LLM", "Eq. (4)", "refine_scale", "reference/groups/arb.py"),
            ("ARB-LLM", "Eq. (7)", "refine_scale", "reference/groups/arb.py"),
            ("ARB-LLM", "Eq. (8)", "joint_signs", "reference/groups/arb.py"),
        ),
    ),
    "arb_x": (
        "ARB-X",
        (
            "Signs stay. Mean and scales are set in turn to what is best for the layer's outputs, "
            "which are known by the Gram matrix of the inputs."
        ),
        (
            ("ARB-LLM", "Eq. (11)", "arb_x_steps", "reference/groups/arb_x.py"),
            ("ARB-LLM", "Eq. (11)", "calibrated_mean", "reference/groups/arb_x.py"),
            ("ARB-LLM", "Eq. (11)", "calibrated_scale", "reference/groups/arb_x.py"),
        ),
    ),
    "arb_rc": (
        "ARB-RC",
        (
            "No mean, but a scale for each column of a group. Row and column scales are set to "
            "their optimum in turn; two signs are chosen together after each round."
        ),
        (
            ("ARB-LLM", "Eq. (12)", "_plane", "reference/groups/arb_rc.py"),
            ("ARB-LLM", "Eq. (13)", "_fit_rows", "reference/groups/arb_rc.py"),
            ("ARB-LLM", "Eq. (13)", "_fit_columns", "reference/groups/arb_rc.py"),
            ("ARB-LLM", "Eq. (8)", "joint_signs", "reference/groups/arb.py"),
        ),
    ),
}


def traced(block: Block, zone: Zone, config: ARBLLM) -> Trace:
    """Run the loop of a group and evaluate every half step."""
    W, how = block.weights, config.refinement
    settings: dict[str, Any] = {"order": zone.order, "config": how, "name": zone.name}
    if config.algorithm == "arb_x":
        steps = ref.arb_x_steps(W, zone.mask, block.gram, **settings)
        return ref.trace_objective(W, steps, block.gram)
    if config.algorithm == "arb_rc":
        signs = config.column_signs
        steps = ref.arb_rc_steps(W, zone.mask, column_signs=signs, **settings)
    else:
        steps = ref.arb_steps(W, zone.mask, **settings)
    return ref.trace_objective(W, steps)


def refined(block: Block, zones: Sequence[Zone], config: ARBLLM) -> list[Step]:
    """Show the error of each group after every half step of the loop."""
    name, said, equations = LOOPS[config.algorithm]
    filled = tuple(zone for zone in zones if zone.mask.any())
    traces = [traced(block, zone, config) for zone in filled]
    ends = ref.refine_zones(block.weights, filled, config.changed(sweeps=0), gram=block.gram)
    for made, end in zip(traces, ends, strict=True):
        close(made.group.decode(), end.decode(), f"the loop of {end.name}")
    calibrated, how = config.algorithm == "arb_x", config.refinement
    what = "calibrated error" if calibrated else "squared error"
    rounds = how.calibrated_iterations if calibrated else how.iterations
    energies = [energy(block, zone, calibrated=calibrated) for zone in filled]
    shares = [made.objectives / whole for made, whole in zip(traces, energies, strict=True)]
    falls = "; ".join(
        f"{zone.name} from {share[0]:.1%} to {share[-1]:.1%}"
        for zone, share in zip(filled, shares, strict=True)
        if share[0] > EXACT
    )
    exact = [zone.name for zone, share in zip(filled, shares, strict=True) if share[-1] <= EXACT]
    if exact:
        falls += f". With as many levels as entries the fit is exact, as in {' and '.join(exact)}"
    return [
        Step(
            f"Alternating refinement: {name}",
            f"{said} No half step raises the group's {what}. As a share of the group's own energy "
            f"it falls: {falls}.",
            equations,
            (half_steps(filled, traces, shares, rounds=rounds, up=f"{what} / energy"),),
            is_loop=True,
        )
    ]


def energy(block: Block, zone: Zone, *, calibrated: bool) -> float:
    """Return the error of a group that decodes to zero."""
    W = np.where(zone.mask, block.weights, 0.0)
    nothing = np.zeros(W.shape)
    if calibrated:
        return ref.calibrated_error_trace(W, nothing, block.gram) or 1.0
    return ref.weight_error(W, nothing) or 1.0


def half_steps(
    zones: Sequence[Zone],
    traces: Sequence[Trace],
    shares: Sequence[Array],
    *,
    rounds: int,
    up: str,
) -> Curves:
    """Show the errors of traces against the rounds."""
    lines = []
    for zone, made, share in zip(zones, traces, shares, strict=True):
        # Exact levels take one step instead of all rounds.
        each = max((len(made.names) - 1) // rounds, 1)
        xs = [i / each for i in range(len(made.names))]
        names = [f"round {(i - 1) // each + 1}, {name}" for i, name in enumerate(made.names)]
        lines.append(Line(zone.name, xs, share.tolist(), ["start", *names[1:]], zone.name))
    return Curves("Error after every half step", "round", up, lines, zero=True)


def swept(
    block: Block, zones: Sequence[Zone], groups: Sequence[BinaryGroup], config: ARBLLM
) -> Step:
    """Show what sweeps over the groups gain."""
    before = ref.refine_zones(block.weights, zones, config.changed(sweeps=0), gram=block.gram)
    return sweeps_step(block, block.weights, before, groups, config.sweeps)


def sweeps_step(
    block: Block,
    target: Array,
    before: Sequence[BinaryGroup],
    after: Sequence[BinaryGroup],
    sweeps: int,
) -> Step:
    """Compare the block's error before and after sweeps."""
    images = [np.sum([g.decode() for g in groups], axis=0) for groups in (before, after)]
    errors = [ref.calibrated_error_trace(target, image, block.gram) for image in images]
    rows = [("each group by itself", errors[0]), (f"after {sweeps} sweeps", errors[1])]
    return Step(
        "Sweeps",
        "Each group is fitted again, to what the others leave of the block.",
        (("subbit", "Eq. (29)", "sweep_groups", "reference/groups/together.py"),),
        (show.Bars("Calibrated error of the block", ("levels", "calibrated error"), rows),),
    )


SIGNED: Mapping[str, tuple[Equation, ...]] = {
    "arb": (("ARB-LLM", "Eq. (4)", "refine_signs", "reference/groups/arb.py"),),
    "arb_x": (("ARB-LLM", "Eq. (1)", "binarize_once", "reference/groups/binarize.py"),),
    "arb_rc": (("ARB-LLM", "Eq. (12)", "_plane", "reference/groups/arb_rc.py"),),
}
JOINT: Equation = ("ARB-LLM", "Eq. (8)", "joint_signs", "reference/groups/arb.py")


def fitted(
    groups: Sequence[BinaryGroup], salient: Mask | None, equations: Sequence[Equation]
) -> list[Step]:
    """Show the signs and levels that a loop ends with."""
    filled = [group for group in groups if group.mask.any()]
    panels: list[Panel] = [show.levels("Means and scales of each row", filled)]
    scales, names = [], []
    for group in filled:
        for order, plane in enumerate(group.planes, 1):
            if plane.column_scale is not None:
                scales.append(plane.column_scale)
                names.append(f"{group.name}{f' {order}' if len(group.planes) > 1 else ''}")
    if scales:
        values = np.stack(scales)  # (planes, k)
        shown = show.numbers("Column scales", values, shown=values != 0.0)
        panels.append(replace(shown, names=names))
    return [
        Step(
            "Signs",
            "The signs that the loop ends with: white is plus, black is minus.",
            equations,
            sign_planes(filled, salient),
        ),
        Step(
            "Levels",
            "The numbers that are stored beside the signs.",
            (("subbit", "Eq. (1)", "BinaryGroup.decode", "reference/binary.py"),),
            panels,
        ),
    ]
