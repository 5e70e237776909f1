"""Blocks against the reference from the same state
================================================

A port's salient columns and its splits are judged as decisions: salient columns are the
first of a ranking, their number and the threshold reach the least objective, and every
entry lies on its side of one of the candidate thresholds. Where rounding may change a
ranking, the number is not judged.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.groups.judged import binary_group
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.zones.cuts import (
    Cut,
    better,
    errors_of_weights,
    finite,
    grid_bound,
    judge_cut,
)
from subbit.conformance.inputs.families import Mask
from subbit.reference import BinaryGroup, Partition, QuantizedBlock
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.bounds.zones.salient import (
    column_saliency_bound,
    rank_columns_margin,
    salient_search_bound,
)
from subbit.reference.bounds.zones.split import choice_margin
from subbit.reference.contracts.settings import Switches
from subbit.reference.notation import AnyArray

ORDERS = {"concentrated": 1, "sparse": 1, "salient": 2}


@dataclass(frozen=True, eq=False)
class BlockState:
    """State that a block was quantized from.

    Parameters
    ----------
    weights, scores : Rounded
        Shape (n, k).
    alive : ndarray of bool, shape (k,)
        Columns to quantize.
    config : Switches
        The configuration, which is or contains a partition.
    """

    weights: Rounded
    scores: Rounded
    alive: Mask
    config: Switches

    @property
    def partition(self) -> Partition:
        """How the block is partitioned."""
        return self.config.part(Partition)

    @property
    def searched(self) -> Rounded:
        """Values that the searches measure errors on."""
        return self.partition.searched(self.weights, self.scores)

    @property
    def key(self) -> Rounded:
        """Values to cut."""
        return self.partition.cut(self.weights, self.scores).absolute()


def judge_salient(
    judge: Judge,
    state: BlockState,
    salient: Mask,
    *,
    blocks: int = 1,
    entries: Mask | None = None,
    score: Rounded | None = None,
) -> None:
    """Judge a choice of salient columns.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    state : BlockState
        State that the block was quantized from.
    salient : ndarray of bool, shape (k,)
        The port's choice.
    blocks : int, default 1
        Number of blocks in the state.
    entries : ndarray of bool, shape (n, k), optional
        The entries whose errors count; all by default.
    score : Rounded, optional
        Scores of the columns, shape (k,); the sums of those of their entries by default.
    """
    alive, config = state.alive, state.partition
    judge.form("shape of the salient columns", salient.shape, alive.shape)
    if salient.shape != alive.shape:
        return
    judge.true("salient columns are alive", not np.any(salient & ~alive))
    available, chosen = int(np.count_nonzero(alive)), int(np.count_nonzero(salient))
    low, high = (min(count * blocks, available) for count in config.counts)
    judge.true(f"from {low} to {high} columns are salient, {chosen} found", low <= chosen <= high)
    if not low <= chosen <= high or available == 0:
        return
    if score is None:
        score = column_saliency_bound(state.scores, arithmetic=judge.arithmetic)
    if not finite(score):
        judge.skip(salient.size, "salient columns of scores without a bound")
        return
    columns = np.flatnonzero(alive)
    # The port's salient columns first, in the reference's order among themselves.
    by_score = columns[np.argsort(-score.value[columns], kind="stable")]
    own = np.concatenate([by_score[salient[by_score]], by_score[~salient[by_score]]])
    judge.choice(
        "ranking of columns",
        # Which of two equal columns is salient, the paper does not say.
        rank_columns_margin(score, own, ordered=False, arithmetic=judge.arithmetic),
    )
    if not _certain(score, by_score):
        judge.skip(1, "a number of salient columns whose ranking rounding decides")
        return
    counts = np.arange(low, high + 1)
    switches: dict[str, Any] = {"orders": config.search_orders, **config.binarizer}
    switches["entries"] = entries
    plain = reference.salient_search_direct(state.searched.value, by_score, counts, **switches)
    rivals = better(plain.objectives, float(plain.objectives[chosen - low]))
    bound = salient_search_bound(
        state.searched,
        by_score,
        np.append(counts[rivals], chosen),
        running=True,
        **switches,
        arithmetic=judge.arithmetic,
    )
    judge.choice("number of salient columns", choice_margin(bound, len(bound.value) - 1))


def _certain(score: Rounded, ranking: AnyArray) -> bool:
    s, e = score.value[ranking], score.error[ranking]
    return bool(np.all(s[:-1] - s[1:] > e[:-1] + e[1:]))


def judge_split(
    judge: Judge, state: BlockState, columns: Mask, concentrated: Mask, sparse: Mask
) -> None:
    """Judge a choice of concentrated and sparse entries.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    state : BlockState
        State that the block was quantized from.
    columns : ndarray of bool, shape (k,)
        Columns to split.
    concentrated, sparse : ndarray of bool, shape (n, k)
        The port's masks.
    """
    config, key = state.partition, state.key
    used = np.broadcast_to(columns, key.shape)
    judge.exact("the two masks together", concentrated ^ sparse, used)
    if not columns.any() or concentrated.shape != key.shape or np.any(concentrated & ~used):
        return
    if not (finite(state.searched) and finite(key)):
        judge.skip(key.value.size, "cuts of a state without a bound")
        return

    errors = errors_of_weights(state.searched, used, 1, config)
    thresholds = grid_bound(key, used, config.grid)
    judge_cut(judge, Cut(key, used, thresholds, config.closed, errors), concentrated)


def judge_block(judge: Judge, state: BlockState, block: QuantizedBlock) -> None:
    """Judge all decisions in a block, and the resulting groups.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    state : BlockState
        State that the block was quantized from.
    block : QuantizedBlock
        The port's record.
    """
    groups: dict[str, Any] = {group.name: group for group in block.groups}
    judge.form("groups", sorted(groups), sorted(ORDERS))
    if set(groups) != set(ORDERS) or block.salient is None:
        judge.fail("salient columns are not recorded")
        return
    salient = np.asarray(block.salient)
    judge_salient(judge, state, salient)
    masks = {name: np.asarray(group.mask) for name, group in groups.items()}
    judge.exact("salient mask", masks["salient"], np.broadcast_to(salient, state.weights.shape))
    judge_split(judge, state, state.alive & ~salient, masks["concentrated"], masks["sparse"])
    for name, order in ORDERS.items():
        group = groups[name]
        if isinstance(group, BinaryGroup):
            mode = state.partition.binarizer
            binary_group(judge, state.weights, masks[name], group, order=order, mode=mode)
        else:
            judge.fail(f"group {name} is not binary")
