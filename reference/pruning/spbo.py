"""Stepwise pruning with binarization optimization
===============================================

Progressive Binarization with Semi-Structured Pruning for LLMs (PBS2P), arXiv 2502.01705,
SPBO.

A group is binarized, then loses its entries a few at a time; after each step mean and
scales are refitted to the error of the layer's outputs. A removed entry decodes to zero,
and all of its weight is error: ``R = W - P ∘ (αB + μ)``, ``L2 = Tr(R S Rᵀ)``.

The text of the paper was not available, and no code by its authors exists. Its figures,
abstracts and public reviews tell of nested masks, one scale and one mean per row, and their
fit after each step on the original inputs; no sign changes in the figures. The rest is this
project's reading, and each choice is a switch.

========== =========== =============================================================
symbol     shape       meaning
========== =========== =============================================================
``W``      (n, k)      the group's target, zero in other groups' entries
``P_t``    (n, k)      entries kept after step t, ``P_0 ⊇ P_1 ⊇ … ⊇ P_τ``
``S``      (k, k)      Gram matrix of the block's inputs
``e``      (n, k)      ``P_t`` and ``P_t ∘ B``, with a shared mean 1 and ``P_t ∘ B``
========== =========== =============================================================

For a fixed mask ``L2`` is the quadratic that ``arb_x`` minimizes, with the mask ``P_t``
and the *whole* ``W`` as its target: ``e S Wᵀ`` includes what pruned entries leave to the kept
ones. So the fit is :func:`~subbit.reference.groups.arb_x.calibrate_levels`, and the masked
residual is the same fit to ``P_t ∘ W``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.kinds import Flags, Nested, matrix
from subbit.reference.contracts.scalars import choice
from subbit.reference.contracts.settings import Composed, Pattern
from subbit.reference.contracts.words import (
    ENTRIES,
    GRAM,
    GROUP_SIZE,
    KEEP,
    NAME,
    ORDER,
    PARTS,
    WEIGHTS,
)
from subbit.reference.groups.arb import refine_signs
from subbit.reference.groups.arb_x import calibrate_levels
from subbit.reference.groups.refinement import REFINEMENT, Refinement, Steps
from subbit.reference.groups.start import calibrated_start
from subbit.reference.layer import BinaryGroup
from subbit.reference.notation import Array, Mask
from subbit.reference.records import GROUP, Config

from .sparsity import Tail, nm_mask

Schedule: TypeAlias = Literal["element", "parts", "one"]
StepSigns: TypeAlias = Literal["frozen", "resigned"]
StepMean: TypeAlias = Literal["masked", "shared"]
Residual: TypeAlias = Literal["full", "masked"]


@dataclass(frozen=True, init=False, repr=False)
class SPBO(Composed):
    """How a group is pruned and refined.

    Parameters
    ----------
    refinement : Refinement
        How levels are fitted, before the first step and after each.
    keep : tuple of int, default (4, 8)
        (N, M): N of every M consecutive entries of a row stay.
    tail : {"error", "dense"}, default "error"
        Treatment of last columns that do not fill a group of M.
    schedule : {"element", "parts", "one"}, default "element"
        Whether a step removes one entry of every M; an equal part of all removals, the
        smallest scores of the block first; or everything.
    parts : int, default 4
        Steps of the schedule "parts", as many as in the paper's figure.
    signs : {"frozen", "resigned"}, default "frozen"
        Whether signs stay, or are recomputed after each fit.
    mean : {"masked", "shared"}, default "masked"
        Whether pruned entries decode to zero or to the mean.
    objective : {"full", "masked"}, default "full"
        Whether pruned entries leave their weight in the residual, or nothing.

    Examples
    --------
    >>> SPBO().keep, SPBO().schedule, SPBO().signs
    ((4, 8), 'element', 'frozen')
    """

    refinement: Refinement = REFINEMENT
    keep: tuple[int, int] = (4, 8)
    tail: Tail = "error"
    schedule: Schedule = "element"
    parts: int = 4
    signs: StepSigns = "frozen"
    mean: StepMean = "masked"
    objective: Residual = "full"

    DOMAINS: ClassVar[Mapping[str, Kind]] = {"keep": Pattern(), "parts": PARTS}


STEPWISE = SPBO()


@contract(
    1,
    scores=matrix("n", "k", text="How much each entry matters."),
    keep=KEEP.says("Number of entries that stay per group of columns, N."),
    group=GROUP_SIZE,
    schedule=choice(
        Schedule,
        (
            "Entries that a step removes: the one with the smallest score of every group; an "
            "equal part of all removals, smallest scores of the block first; everything."
        ),
    ),
    parts=PARTS.says('Number of steps of the schedule "parts".'),
    tail=choice(Tail, "As in :func:`~subbit.reference.pruning.sparsity.nm_mask`."),
)
def spbo_schedule(
    scores: Array,
    keep: int,
    group: int,
    *,
    schedule: Schedule = "element",
    parts: int = 4,
    tail: Tail = "error",
) -> Mask:
    """Choose the entries kept after each step.

    Returns
    -------
    ndarray of bool, shape (t, n, k)
        Nested masks. With "element" there are M - N of them; the last is always N:M, and
        the same for all schedules.

    Notes
    -----
    ``P_t = [N + τ - t : M]`` with τ = M - N steps. Of equal scores, the lower column stays
    longer, and in "parts" the earlier row.

    References
    ----------
    PBS2P, arXiv 2502.01705, SPBO; the figure of its mask group.

    Examples
    --------
    >>> spbo_schedule([[3.0, 1.0, 4.0, 2.0]], 2, 4).astype(int)
    array([[[1, 0, 1, 1]],
    <BLANKLINE>
           [[1, 0, 1, 0]]])
    """
    last = nm_mask(scores, keep, group, tail=tail)
    if schedule == "one":
        return last[None]
    if schedule == "parts":
        return _in_parts(scores, last, parts)
    # Eq. (53), subbit:  P_t = nm_mask(s, M − t, M),  t = 1, …, M − N
    steps = [nm_mask(scores, left, group, tail=tail) for left in range(group - 1, keep - 1, -1)]
    return np.array(steps, dtype=np.bool_).reshape(-1, *last.shape)  # (M - N, n, k)


def _in_parts(scores: Array, last: Mask, parts: int) -> Mask:
    places = np.flatnonzero(~last)[::-1]
    ordered = places[np.argsort(scores.ravel()[places], kind="stable")]
    step = np.zeros(scores.size, dtype=np.intp)
    # Eq. (54), subbit:  of p entries in ascending order, step t takes ⌊(t − 1) p / τ⌋ … ⌊t p / τ⌋
    counts = np.arange(1, parts + 1) * len(ordered) // parts
    step[ordered] = 1 + np.searchsorted(counts, np.arange(len(ordered)), side="right")
    gone = step.reshape(scores.shape)  # (n k,) -> (n, k)
    return (gone == 0) | (gone > np.arange(1, parts + 1)[:, None, None])


@contract(
    2,
    W=matrix(
        "n",
        "k",
        text=(
            "The group's target in all columns: its own weights before any was pruned, zero "
            "elsewhere."
        ),
    ),
    group=GROUP,
    keep=Flags(("n", "k"), text="Entries to keep.", whole=False),
    S=GRAM,
    config=Config(SPBO),
)
def spbo_step(
    W: Array,
    group: BinaryGroup,
    keep: Mask,
    S: Array,
    *,
    config: SPBO = STEPWISE,
) -> BinaryGroup:
    """Prune a group and refit its mean and scales.

    Returns
    -------
    BinaryGroup
        The next state. With a shared mean, its mask stays, and pruned entries have the
        sign 0, so they decode to the mean.

    Notes
    -----
    ``μ = e₀ S (W - α P∘B)ᵀ / (e₀ S e₀ᵀ)`` and ``α = (P∘B) S (W - μ e₀)ᵀ / ((P∘B) S
    (P∘B)ᵀ)`` in each row in turn, or jointly. ``W`` is not masked: pruned entries are part
    of the residual.

    References
    ----------
    Eq. (57), subbit; PBS2P, arXiv 2502.01705, Eqs. (2) and (4), as its reviews describe them.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import arb_start
    >>> W = [[3.0, -1.0, 0.5, -2.0]]
    >>> keep = np.array([[True, False, False, True]])
    >>> exact = SPBO(levels="exact")
    >>> spbo_step(W, arb_start(W), keep, np.eye(4), config=exact).decode()
    array([[ 3.,  0.,  0., -2.]])
    """
    *_, (_, last) = _step(W, group, keep, S, config)
    return last


def _step(W: Array, group: BinaryGroup, keep: Mask, S: Array, config: SPBO) -> Steps:
    kept = group.mask & keep
    # Eq. (55), subbit:  Ŵ = P ∘ (αB + μ), or α P∘B + μ with a shared mean
    planes = tuple(
        replace(plane, sign=np.where(kept, plane.sign, np.int8(0))) for plane in group.planes
    )
    pruned = replace(group, mask=kept if config.mean == "masked" else group.mask, planes=planes)
    yield "prune", pruned
    yield from _refit(W, pruned, kept, S, config)


def _refit(W: Array, group: BinaryGroup, keep: Mask, S: Array, config: SPBO) -> Steps:
    # Eq. (2), PBS2P:  L2 = ‖WX − ŴX‖², with W as it was before any entry went
    target = W if config.objective == "full" else np.where(keep, W, 0.0)
    fitted = calibrate_levels(target, group, S, config=config.refinement)
    yield "levels", fitted
    if config.signs == "resigned":
        signed = refine_signs(W, replace(fitted, mask=keep), sign_zero=config.refinement.sign_zero)
        yield "signs", replace(signed, mask=fitted.mask)


STEPS: Mapping[str, Kind] = {
    "W": WEIGHTS,
    "mask": ENTRIES.says("The group's entries before any is pruned; None for all."),
    "masks": Nested(
        ("t", "n", "k"),
        text="Entries of the block kept after each step, nested.",
        whole=False,
    ),
    "S": GRAM,
    "order": ORDER,
    "config": Config(SPBO),
    "name": NAME,
}


@contract(2, **STEPS)
def spbo_steps(
    W: Array,
    mask: Mask,
    masks: Mask,
    S: Array,
    *,
    order: int = 1,
    config: SPBO = STEPWISE,
    name: str = "all",
) -> Steps:
    """Yield every state of stepwise pruning.

    Yields
    ------
    name : str
        ``"start"``, ``"levels"``, then for each step ``"prune"`` and ``"levels"``; each
        ``"levels"`` is followed by ``"signs"`` where signs are recomputed.
    group : BinaryGroup
        The state.

    References
    ----------
    PBS2P, arXiv 2502.01705, SPBO.

    Examples
    --------
    :func:`~subbit.reference.groups.refinement.trace_objective` evaluates the steps; over all
    entries of the group, a pruned one counts with its whole weight:

    >>> import numpy as np
    >>> from subbit.reference import trace_objective
    >>> W = np.array([[3.0, 0.5, -0.4, -3.0]])
    >>> steps = spbo_steps(W, None, spbo_schedule(W**2, 2, 4), np.eye(4))
    >>> made = trace_objective(W, steps, entries=np.ones((1, 4), dtype=bool))
    >>> made.names
    ('start', 'levels', 'prune', 'levels', 'prune', 'levels')
    >>> made.objectives.round(1)
    array([6.5, 6.5, 5. , 3.3, 2. , 0.4])
    """
    own = np.where(mask, W, 0.0)
    group = calibrated_start(own, mask, order=order, config=config.refinement, name=name)
    yield "start", group
    for state in _refit(own, group, mask, S, config):
        group = state[1]
        yield state
    # Eq. (57), subbit:  (α, B, μ)_t from P_t and (α, B, μ)_{t−1},  t = 1, …, τ
    for keep in masks:
        for state in _step(own, group, keep, S, config):
            group = state[1]
            yield state


@contract(2, **STEPS)
def spbo(
    W: Array,
    mask: Mask,
    masks: Mask,
    S: Array,
    *,
    order: int = 1,
    config: SPBO = STEPWISE,
    name: str = "all",
) -> BinaryGroup:
    """Binarize a group, prune it step by step and fit its levels after each step.

    Returns
    -------
    BinaryGroup
        The last state of :func:`spbo_steps`.

    Notes
    -----
    With frozen signs and exact levels, the last mask alone decides the result: many steps
    then give the same as one. Only alternation that has not converged, new signs, or masks
    that depend on the steps make a difference.

    References
    ----------
    PBS2P, arXiv 2502.01705, SPBO.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[3.0, 0.5, -0.4, -3.0]])
    >>> spbo(W, None, spbo_schedule(W**2, 2, 4), np.eye(4)).decode()
    array([[ 3.,  0.,  0., -3.]])
    """
    *_, (_, group) = spbo_steps(W, mask, masks, S, order=order, config=config, name=name)
    return group
