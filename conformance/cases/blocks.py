"""BiLLM's blocks against the reference from the same state
========================================================

A port's salient columns and its split are judged as decisions: salient columns are the
first of a ranking, their number and the threshold reach the least objective, and every
entry lies on its side of one of the candidate thresholds. Where rounding may change a
ranking, nothing is said of the number.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from subbit.conformance.cases.groups import binary_group
from subbit.conformance.cases.judge import Judge
from subbit.conformance.families import Mask
from subbit.reference import BiLLM, BinaryGroup, QuantizedBlock, bounds_grid, bounds_search
from subbit.reference.notation import AnyArray
from subbit.reference.rounding import Rounded

ORDERS = {"concentrated": 1, "sparse": 1, "salient": 2}


def _mode(config: BiLLM) -> dict[str, Any]:
    return {"center": config.center, "sign_zero": config.sign_zero}


@dataclass(frozen=True, eq=False)
class BlockState:
    """What a block was quantized from.

    Parameters
    ----------
    weights, scores : Rounded
        Shape (n, k).
    alive : ndarray of bool, shape (k,)
        Columns to quantize.
    config : BiLLM
        The configuration.
    """

    weights: Rounded
    scores: Rounded
    alive: Mask
    config: BiLLM

    @property
    def searched(self) -> Rounded:
        """What the searches measure errors on."""
        return self.weights if self.config.search_on == "weights" else self.scores

    @property
    def key(self) -> Rounded:
        """What is cut."""
        split = self.weights if self.config.split_by == "weights" else self.scores
        return split.absolute()


def _finite(x: Rounded) -> bool:
    return bool(np.isfinite(x.error).all() and np.isfinite(x.value).all())


def judge_salient(judge: Judge, state: BlockState, salient: Mask, *, blocks: int = 1) -> None:
    """Judge a choice of salient columns.

    Parameters
    ----------
    judge : Judge
        Who collects.
    state : BlockState
        What it was made from.
    salient : ndarray of bool, shape (k,)
        The port's choice.
    blocks : int, default 1
        Number of blocks in the state.
    """
    alive, config = state.alive, state.config
    judge.exact("shape of the salient columns", salient.shape, alive.shape)
    if salient.shape != alive.shape:
        return
    judge.true("salient columns are alive", not np.any(salient & ~alive))
    available, chosen = int(np.count_nonzero(alive)), int(np.count_nonzero(salient))
    low, high = (min(count * blocks, available) for count in config.counts)
    judge.true(f"from {low} to {high} columns are salient, {chosen} found", low <= chosen <= high)
    if not low <= chosen <= high or available == 0:
        return
    score = bounds_search.column_saliency_bound(state.scores, arithmetic=judge.arithmetic)
    if not _finite(score):
        judge.unbounded += salient.size
        return
    columns = np.flatnonzero(alive)
    # The port's salient columns first; among themselves in the order of the reference.
    by_score = columns[np.argsort(-score.value[columns], kind="stable")]
    own = np.concatenate([by_score[salient[by_score]], by_score[~salient[by_score]]])
    judge.within(
        "ranking of columns",
        bounds_search.rank_columns_margin(score, own, arithmetic=judge.arithmetic),
    )
    if not _certain(score, by_score):
        judge.unbounded += 1
        return
    counts = np.arange(low, high + 1)
    bound = bounds_search.salient_search_bound(
        state.searched,
        by_score,
        counts,
        orders=config.search_orders,
        running=True,
        **_mode(config),
        arithmetic=judge.arithmetic,
    )
    judge.within("number of salient columns", bounds_search.choice_margin(bound, chosen - low))


def _certain(score: Rounded, ranking: AnyArray) -> bool:
    s, e = score.value[ranking], score.error[ranking]
    gap, reach = s[:-1] - s[1:], e[:-1] + e[1:]
    return bool(np.all((gap > reach) | ((gap == 0.0) & (reach == 0.0))))


def _grid(judge: Judge, key: Rounded, columns: Mask, config: BiLLM) -> Rounded:
    chosen = Rounded(key.value[:, columns], key.error[:, columns], judge.arithmetic)
    if config.grid == "maximum":
        return bounds_grid.maximum_grid_bound(chosen, arithmetic=judge.arithmetic)
    if config.grid == "quantiles":
        return bounds_grid.quantile_grid_bound(chosen, arithmetic=judge.arithmetic)
    if config.grid == "quantiles_with_zeros":
        kept = key.keep(np.broadcast_to(columns, key.shape))
        return bounds_grid.quantile_grid_bound(kept, arithmetic=judge.arithmetic)
    values, first = np.unique(chosen.value, return_index=True)
    return Rounded(values, chosen.error.ravel()[first], judge.arithmetic)


def judge_split(
    judge: Judge, state: BlockState, columns: Mask, concentrated: Mask, sparse: Mask
) -> None:
    """Judge a choice of concentrated and sparse entries.

    Parameters
    ----------
    judge : Judge
        Who collects.
    state : BlockState
        What it was made from.
    columns : ndarray of bool, shape (k,)
        The columns that are split.
    concentrated, sparse : ndarray of bool, shape (n, k)
        The port's masks.
    """
    config, key = state.config, state.key
    used = np.broadcast_to(columns, key.shape)
    judge.exact("the two masks together", concentrated ^ sparse, used)
    if not columns.any() or concentrated.shape != key.shape or np.any(concentrated & ~used):
        return
    if not (_finite(state.searched) and _finite(key)):
        judge.unbounded += key.value.size
        return
    cuts = _grid(judge, key, columns, config)
    _judge_sides(judge, key, used, concentrated, cuts, closed=config.closed)
    switches = {**_mode(config), "running": True, "arithmetic": judge.arithmetic}
    tried = (
        bounds_search.bell_split_search_bound(
            state.searched, columns, cuts.value, key=key, closed=config.closed, **switches
        )
        if cuts.value.size
        else None
    )
    # The port's own masks, as a split by something that only tells them apart.
    sides = np.where(concentrated, 0.0, 1.0)
    own = bounds_search.bell_split_search_bound(
        state.searched, columns, [0.5], key=sides, **switches
    )
    if tried is None:
        return
    both = Rounded(
        np.append(tried.value, own.value), np.append(tried.error, own.error), judge.arithmetic
    )
    judge.within("threshold", bounds_search.choice_margin(both, len(tried.value)))


def _judge_sides(
    judge: Judge, key: Rounded, used: Mask, concentrated: Mask, cuts: Rounded, *, closed: bool
) -> None:
    """Of all thresholds the one whose masks are nearest to the port's."""
    best: Rounded | None = None
    for p, e in zip(cuts.value, cuts.error, strict=True):
        below = key.value <= p if closed else key.value < p
        differs = used & (below != concentrated)
        distance = np.where(differs, np.abs(key.value - p), 0.0)
        allowed = np.where(differs, key.error + e, 0.0)
        # At an exact tie the rule for it holds.
        distance = np.where(differs & (allowed == 0.0), np.inf, distance)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(differs, distance / allowed, 0.0)
        at = int(np.argmax(ratios))
        worst = Rounded(distance.ravel()[at], allowed.ravel()[at], judge.arithmetic)
        if best is None or _ratio(worst) < _ratio(best):
            best = worst
    if best is not None:
        judge.within("sides of the threshold", best)


def _ratio(x: Rounded) -> float:
    return 0.0 if x.value == 0.0 else float(x.value / x.error) if x.error > 0.0 else float("inf")


def judge_block(judge: Judge, state: BlockState, block: QuantizedBlock) -> None:
    """Judge all that was decided in a block, and what was made of it.

    Parameters
    ----------
    judge : Judge
        Who collects.
    state : BlockState
        What it was made from.
    block : QuantizedBlock
        The port's record.
    """
    groups: dict[str, Any] = {group.name: group for group in block.groups}
    judge.exact("groups", sorted(groups), sorted(ORDERS))
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
            mode = _mode(state.config)
            binary_group(judge, state.weights, masks[name], group, order=order, mode=mode)
        else:
            judge.fail(f"group {name} is not binary")
