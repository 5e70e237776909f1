"""Levels 1 and 2: stepwise pruning
================================

A schedule is exact for scores that a port's type holds. Each step is judged from a port's
own state before it, a whole run by the combined bounds of its steps, in the rows where no
sign was left to rounding.
"""

from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import BROAD, PAIRED, VAST, WIDE, Draw
from subbit.conformance.cases.exact import TIED
from subbit.conformance.cases.groups.arb import (
    judge_start,
    kept_levels,
    levels_of,
    same_form,
    same_signs,
    signs_in,
)
from subbit.conformance.cases.groups.arb_runs import judge_end, on_host, states_of
from subbit.conformance.cases.groups.arb_x import drawn_calibration, drawn_gram
from subbit.conformance.cases.groups.joint_signs import judge_signs
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.pruning.recorded import judge_recorded
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.inputs.families import CONTINUOUS, Array, Mask
from subbit.conformance.target import Port
from subbit.reference import SPBO, BinaryGroup
from subbit.reference.bounds.pruning import spbo as spbo_bounds

SHAPES = ((1, 2), (2, 4), (4, 8), (5, 8), (6, 8), (3, 3))
"""N:M, the last of which prunes nothing."""
LARGEST = ((9, 16), (13, 16), (5, 16), (2, 4), (5, 8), (12, 16))
"""N:M of large cases."""
SCHEDULES = ("element", "element", "parts", "one")


def drawn_pattern(draw: Draw) -> dict[str, Any]:
    """Draw how entries are pruned.

    Parameters
    ----------
    draw : Draw
        The case.

    Returns
    -------
    dict
        The switches `keep`, `schedule`, `parts` and `tail` of a configuration.
    """
    return {
        "keep": draw.pick("N:M", LARGEST if draw.least else SHAPES),
        "schedule": draw.pick("schedule", SCHEDULES),
        "parts": draw.pick("parts", (1, 2, 4, 5)),
        "tail": "dense",
    }


def drawn_stepwise(draw: Draw) -> SPBO:
    """Draw the switches of stepwise pruning.

    Parameters
    ----------
    draw : Draw
        The case.

    Returns
    -------
    SPBO
        The switches.
    """
    return SPBO(
        refinement=drawn_calibration(draw),
        **drawn_pattern(draw),
        signs=draw.pick("signs", ("frozen", "resigned")),
        mean=draw.pick("mean", ("masked", "shared")),
        objective=draw.pick("objective", ("full", "full", "masked")),
    )


def masks_of(scores: Array, config: SPBO) -> Mask:
    """Return the reference's masks after each step.

    Parameters
    ----------
    scores : ndarray of float64, shape (n, k)
        Scores.
    config : SPBO
        The switches.

    Returns
    -------
    ndarray of bool, shape (t, n, k)
        The masks.

    Examples
    --------
    >>> masks_of(np.array([[1.0, 2.0]]), SPBO(keep=(1, 2)))
    array([[[False,  True]]])
    """
    return reference.spbo_schedule(
        scores,
        *config.keep,
        schedule=config.schedule,
        parts=config.parts,
        tail=config.tail,
    )


@operation(1)
def _spbo_schedule(port: Port, judge: Judge, draw: Draw) -> None:
    """Nested masks, for scores that the port's type holds, ties included."""
    scores = np.abs(draw.weights((*CONTINUOUS, *TIED)))
    scores = judge.arithmetic.held(scores)
    pattern = drawn_pattern(draw)
    keep, group = pattern.pop("keep")
    found = port.spbo_schedule(scores, keep, group, **pattern)
    judge.exact("masks", found, reference.spbo_schedule(scores, keep, group, **pattern))


@dataclass(frozen=True, eq=False)
class Run:
    """A run of stepwise pruning on a group.

    Parameters
    ----------
    weights : ndarray of float64 or Rounded, shape (n, k)
        Weights.
    cell : ndarray of bool, shape (n, k)
        The group's entries before any is pruned.
    masks : ndarray of bool, shape (t, n, k)
        Entries kept after each step.
    gram : ndarray of float64 or Rounded, shape (k, k)
        Gram matrix of the inputs.
    order : int
        Number of sign planes.
    config : SPBO
        The switches.
    """

    weights: Any
    cell: Mask
    masks: Mask
    gram: Any
    order: int
    config: SPBO

    @property
    def kept(self) -> Mask:
        """The group's entries in the end."""
        return self.cell & self.masks[-1] if len(self.masks) else self.cell

    def rows(self, some: Mask) -> "Run":
        """Return the run of some rows.

        Parameters
        ----------
        some : ndarray of bool, shape (n,)
            The rows.

        Returns
        -------
        Run
            Their run.
        """
        weights, cell, masks = self.weights[some], self.cell[some], self.masks[:, some]
        return replace(self, weights=weights, cell=cell, masks=masks)

    def moved(self, share: Array, gram: Array) -> "Run":
        """Return the run with other weights and inputs.

        Parameters
        ----------
        share : ndarray of float64, shape (n, k)
            Factor of each weight.
        gram : ndarray of float64, shape (k, k)
            The other Gram matrix.

        Returns
        -------
        Run
            The other run.
        """
        weights = getattr(self.weights, "value", self.weights)
        return replace(self, weights=weights * share, gram=gram)

    def group(self) -> BinaryGroup:
        """Return the reference's group.

        Returns
        -------
        BinaryGroup
            The last state.
        """
        weights, gram = (getattr(x, "value", x) for x in (self.weights, self.gram))
        return reference.spbo(
            weights, self.cell, self.masks, gram, order=self.order, config=self.config
        )

    def pruned(self, state: BinaryGroup, keep: Mask) -> BinaryGroup:
        """Return a state with fewer entries and the same levels.

        Parameters
        ----------
        state : BinaryGroup
            The state.
        keep : ndarray of bool, shape (n, k)
            Entries to keep.

        Returns
        -------
        BinaryGroup
            The state, pruned.
        """
        kept = state.mask & keep
        planes = tuple(replace(p, sign=np.where(kept, p.sign, 0)) for p in state.planes)
        mask = kept if self.config.mean == "masked" else state.mask
        return replace(state, mask=mask, planes=planes)


def _drawn_run(draw: Draw) -> Run:
    W = draw.weights((*CONTINUOUS, "tied", "zero_rows"), rows=(1, 4), columns=(2, 26))
    cell, order = draw.mask((W.shape[0], W.shape[1])), draw.pick("order", (1, 1, 2))
    S, config = drawn_gram(draw, W.shape[1]), drawn_stepwise(draw)
    return Run(W, cell, masks_of(draw.rng.random(W.shape), config), S, order, config)


@operation(2, share=0.5, decides=False, large=(*LARGE, VAST + 1), keeps=True)
def _spbo_step(port: Port, judge: Judge, draw: Draw) -> None:
    """One step from an exactly known state."""
    run = _drawn_run(draw)
    W, cell, masks, config = run.weights, run.cell, run.masks, run.config
    steps = reference.spbo_steps(W, cell, masks[:1], run.gram, order=run.order, config=config)
    *_, (_, state) = islice(steps, draw.number("states", 1, 3))
    keep = masks[-1] if len(masks) else draw.rng.random(W.shape) < 0.5
    own = replace(run, weights=np.where(cell, W, draw.pick("beside", (0.0, 0.0, 1.0))))
    group = on_host(port.spbo_step(own.weights, state, keep, run.gram, config=config))
    _judge_step(judge, own, state, keep, group)


def _judge_step(judge: Judge, run: Run, state: BinaryGroup, keep: Mask, group: BinaryGroup) -> None:
    pruned, config = run.pruned(state, keep), run.config
    made = spbo_bounds.spbo_step_bound(
        run.weights, state, keep, run.gram, config=config, arithmetic=judge.arithmetic
    )
    if not same_form(judge, group, pruned):
        return
    judge.bound("levels", levels_of(group), kept_levels(made.levels))
    if config.signs == "frozen":
        same_signs(judge, group, pruned)
    else:
        _judge_new_signs(judge, run, group, state.mask & keep)


def _judge_new_signs(judge: Judge, run: Run, group: BinaryGroup, kept: Mask) -> None:
    """Judge that signs are the best for the group's own levels, and pruned entries have none."""
    for found in signs_in(group):
        judge.exact("signs of pruned entries", found[~kept], np.zeros(np.count_nonzero(~kept)))
    own = replace(group, mask=kept)
    judge_signs(judge, run.weights, own, own, zero=run.config.refinement.sign_zero)


@operation(2, share=0.5)
def _spbo_steps(port: Port, judge: Judge, draw: Draw) -> None:
    """All states, each from the one before it."""
    run = _drawn_run(draw)
    W, cell, masks, config = run.weights, run.cell, run.masks, run.config
    fit = ["levels", *["signs"] * (config.signs == "resigned")]
    names = ["start", *fit, *(["prune", *fit] * len(masks))]
    steps = port.spbo_steps(W, cell, masks, run.gram, order=run.order, config=config, name="rest")
    states = states_of(judge, steps, names)
    if not states:
        return
    judge.form("name", states[0].name, "rest")
    begin = judge_end if config.refinement.calibrated_start == "refined" else judge_start
    begin(judge, W, cell, states[0], (run.order, config.refinement))
    run = replace(run, weights=np.where(cell, W, 0.0))
    kept, nested = cell, iter(masks)
    for name, (state, group) in zip(names[1:], pairwise(states), strict=True):
        if name == "prune":
            kept = cell & next(nested)
            _judge_same_levels(judge, group, state)
            if same_form(judge, group, run.pruned(state, kept)):
                same_signs(judge, group, run.pruned(state, kept))
        elif name == "signs":
            _judge_same_levels(judge, group, state)
            _judge_new_signs(judge, run, group, kept)
        else:
            only = replace(run, config=config.changed(signs="frozen"))
            _judge_step(judge, only, state, kept, group)


def _judge_same_levels(judge: Judge, group: BinaryGroup, state: BinaryGroup) -> None:
    judge.exact("levels that stay", levels_of(group), levels_of(state))


@operation(2, share=0.5, large=(*LARGE, WIDE + 1, PAIRED + 1, BROAD + 2))
def _spbo(port: Port, judge: Judge, draw: Draw) -> None:
    """A whole run, by the combined bounds of its steps."""
    run = _drawn_run(draw)
    given, switches = (run.weights, run.cell, run.masks, run.gram), {"order": run.order}
    group = on_host(port.spbo(*given, **switches, config=run.config, name="rest"))
    judge.form("name", group.name, "rest")
    judge_run(judge, run, group)


def judge_run(judge: Judge, run: Run, group: BinaryGroup, *, swept: bool = False) -> Mask:
    """Judge a group that has been pruned step by step.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    run : Run
        The run that it comes from.
    group : BinaryGroup
        The port's group.
    swept : bool, default False
        Whether its levels were fitted to other groups afterwards, and are not judged here.

    Returns
    -------
    ndarray of bool, shape (n,)
        Rows in which no sign on the way was left to rounding.
    """
    signs, config = signs_in(group), run.config
    mask = run.cell if config.mean == "shared" else run.kept
    judge.exact("mask", group.mask, mask)
    judge.form("shapes of signs", [s.shape for s in signs], [mask.shape] * run.order)
    judge.true("there is a mean", group.mean is not None)
    if judge.ratio == np.inf:
        return np.zeros(len(mask), dtype=np.bool_)
    judge.true("signs are -1, 0 or 1", all(np.isin(s, (-1, 0, 1)).all() for s in signs))
    judge.true("no signs of pruned entries", not any(np.any(s[~run.kept]) for s in signs))
    state, decided = spbo_bounds.spbo_bound(
        run.weights,
        run.cell,
        run.masks,
        run.gram,
        order=run.order,
        config=config,
        arithmetic=judge.arithmetic,
    )
    for number, found in enumerate(signs):
        wanted = state.basis[number + 1][decided].astype(np.int8)
        judge.exact(f"signs of order {number + 1}", found[decided], wanted)
    if swept:
        return decided
    judge_recorded(
        judge,
        judge.arithmetic.checked("W", run.weights).keep(run.cell),
        group,
        run.gram,
        kept=run.kept,
        levels=state.levels.widen(np.where(decided, 0.0, np.inf)[:, None]),
        config=config,
    )
    if config.signs == "resigned":
        _judge_new_signs(judge, run, group, run.kept)
    return decided
