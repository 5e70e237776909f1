"""Level 3: HBLLM
==============

Every block is judged from the state that the port's own earlier blocks left. Its salient columns
are judged as a decision; each term's sides are judged from the coefficients that follow from the
port's own terms before it.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from subbit import reference
from subbit.conformance.inputs.families import CONTINUOUS, Array, Mask
from subbit.conformance.target import Port
from subbit.reference import (
    HBLLM,
    BinaryGroup,
    HaarGroup,
    HaarTerm,
    Partition,
    QuantizedBlock,
    QuantizedLayer,
)
from subbit.reference.bounds import compensate as compensate_bounds
from subbit.reference.bounds.haar import haar_bound, haar_group_bound
from subbit.reference.bounds.hbllm import column_norms_bound, filled_bound
from subbit.reference.bounds.rounding import Rounded

from .blocks import BlockState, judge_salient
from .draw import Draw
from .groups.row_split import judge_sides
from .judge import Judge, host
from .layers import INPUTS, judge_objective, live_columns, prepared_bound, scores_bound
from .registry import operation

FAMILIES = (*CONTINUOUS, "tied", "zero_rows")
SIDES = {
    ("columns", 1): ["low-small", "low-large"],
    ("columns", 2): ["low-small", "low-large", "high-small", "high-large"],
    ("rows", 1): ["small", "large"],
}
"""Names of a term's groups, by its axis and number of bands."""


def _salient(group: HaarGroup, alive: Mask, config: HBLLM) -> Mask:
    """Return the columns that a record has made salient."""
    if len(group.terms) > 1:
        return host(group.terms[1].columns)
    only = group.terms[0]
    # The transform of all columns by pairs of rows is the same, salient or not.
    everything = config.pairs == "rows" and min(config.counts) >= np.count_nonzero(alive)
    return host(only.columns) if everything else np.zeros(len(alive), dtype=np.bool_)


def _columns_form(alive: Mask, salient: Mask, config: HBLLM) -> list[str]:
    first = alive if config.pairs == "columns" else alive & ~salient
    wanted = [(config.pairs, first), ("rows", salient)]
    return [f"{axis} {np.flatnonzero(columns)}" for axis, columns in wanted if columns.any()]


def judge_transformed(
    judge: Judge, state: BlockState, block: QuantizedBlock, config: HBLLM
) -> None:
    """Judge all decisions in a block, and the resulting terms.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    state : BlockState
        State that the block was quantized from; its configuration is a partition.
    block : QuantizedBlock
        The port's record.
    config : HBLLM
        The configuration.
    """
    alive = state.alive
    (group,) = block.groups if len(block.groups) == 1 else (None,)
    if not isinstance(group, HaarGroup):
        judge.fail("the block is not one group of Haar coefficients")
        return
    judge.form("name", group.name, "haar")
    judge.form("shared means", group.shared_means, config.share_mean)
    judge.exact("mask", group.mask, np.broadcast_to(alive, state.weights.shape))
    if not alive.any() or not group.terms:
        judge.form("terms", len(group.terms), int(alive.any()))
        return
    salient = _salient(group, alive, config)
    found = [f"{term.axis} {np.flatnonzero(host(term.columns))}" for term in group.terms]
    judge.form("terms", found, _columns_form(alive, salient, config))
    if judge.ratio > 1.0:
        return
    norms = column_norms_bound(state.scores, arithmetic=judge.arithmetic)
    judge_salient(judge, state, salient, score=norms)
    _judge_terms(judge, state.weights[:, alive], salient[alive], group, config)


def _judge_terms(judge: Judge, W: Rounded, salient: Mask, group: HaarGroup, config: HBLLM) -> None:
    of, terms = judge.arithmetic, list(group.terms)
    left = W[:, salient]
    if terms[0].axis == config.pairs and not (config.pairs == "rows" and salient.all()):
        first = salient | True if config.pairs == "columns" else ~salient
        F = filled_bound(W, salient, arithmetic=of)[:, first]
        _judge_term(judge, F, terms[0], config, "first term")
        if config.pairs == "columns" and salient.any():
            own = replace(group, terms=(terms[0],))
            left = left - haar_group_bound(own, arithmetic=of)[:, host(terms[1].columns)]
    if salient.any():
        _judge_term(judge, left, terms[-1], config, "salient columns")


def _judge_term(judge: Judge, X: Rounded, term: HaarTerm, config: HBLLM, where: str) -> None:
    C, bands = haar_bound(X, term.axis, arithmetic=judge.arithmetic), term.bands
    names = [own.name for own in term.groups]
    with judge.at(where):
        judge.form("groups", names, SIDES[term.axis, len(bands)])
        if judge.ratio > 1.0:
            return
        switches = {name: config.switches()[name] for name in ("scale", "share_mean", "sign_zero")}
        for place, band in enumerate(bands):
            pair = term.groups[2 * place : 2 * place + 2]
            outside = np.ones(C.shape, dtype=np.bool_)
            outside[:, band] = False
            for own in pair:
                judge.true("entries of one band", not np.any(host(own.mask) & outside))
            small, large = (_cut(own, band) for own in pair)
            judge_sides(judge, C[:, band], (small, large), config.quantiles, switches)


def _cut(group: BinaryGroup, band: slice) -> BinaryGroup:
    planes = tuple(replace(plane, sign=host(plane.sign)[:, band]) for plane in group.planes)
    return replace(group, mask=host(group.mask)[:, band], planes=planes)


def _partition(config: HBLLM) -> Partition:
    """Return what the search for salient columns has in common with that of other methods."""
    names = ("center", "sign_zero", "search_on", "search_orders", "counts")
    return Partition(**{name: config.switches()[name] for name in names})


def _drawn(draw: Draw, config: HBLLM) -> HBLLM:
    return config.changed(
        pairs=draw.pick("pairs", ("columns", "columns", "rows")),
        share_mean=draw.pick("share mean", (False, False, True)),
        counts=draw.pick("counts", ((0, 3), (1, 49), (2, 2))),
        quantiles=draw.pick("quantiles", (9, 5)),
    )


@operation(3, decides=True)
def _hbllm_block(port: Port, judge: Judge, draw: Draw) -> None:
    """One block from an exactly known state."""
    W = draw.weights(FAMILIES, rows=(1, 6), columns=(1, 24))
    S = W**2 * draw.rng.uniform(0.5, 2.0, W.shape[1])
    presets = reference.METHODS["hbllm"].presets
    config = _drawn(draw, presets[draw.pick("preset", tuple(presets))])
    alive, start = draw.columns(W.shape[1]), draw.number("start", 0, 500)
    block = port.hbllm_block(W, S, alive, config, start=start)
    judge.form("columns", (block.start, block.stop), (start, start + W.shape[1]))
    read = judge.arithmetic.read
    state = BlockState(read(W), read(S), alive, _partition(config))
    judge_transformed(judge, state, block, config)


def _hbllm(preset: str) -> Callable[[Port, Judge, Draw], None]:
    config: HBLLM = reference.METHODS["hbllm"].presets[preset]

    def examine(port: Port, judge: Judge, draw: Draw) -> None:
        W = draw.weights(CONTINUOUS, rows=(1, 5), columns=(3, 30))
        H = draw.hessian(W.shape[1], INPUTS)
        own = _drawn(draw, config).changed(block_size=draw.pick("block size", (12, 15, 128)))
        layer = port.hbllm_layer(W, H, own)
        judge.form("shape", layer.shape, W.shape)
        slices = reference.block_slices(W.shape[1], own.loop.block_size)
        found = [(b.start, b.stop) for b in layer.blocks]
        judge.form("blocks", found, [(s.start, s.stop) for s in slices])
        if judge.ratio == 0.0:
            _judge_layer(judge, W, H, own, layer)

    return examine


def _judge_layer(judge: Judge, W: Array, H: Array, config: HBLLM, layer: QuantizedLayer) -> None:
    alive, loop = live_columns(H, config.loop), config.loop
    damped, U = prepared_bound(judge, H, loop.percdamp)
    states = compensate_bounds.layer_states_bound(
        np.where(np.diag(H) == 0, 0.0, W),
        U,
        layer,
        mode=loop.compensation,
        arithmetic=judge.arithmetic,
    )
    scores = scores_bound(states, (damped, U), loop, layer)
    for state, score, block in zip(states, scores, layer.blocks, strict=True):
        with judge.at_columns(block.columns):
            own = BlockState(state, score, alive[block.columns], _partition(config))
            judge_transformed(judge, own, block, config)
    judge_objective(judge, W, H, layer, partial(reference.hbllm_layer, config=config))


for _preset in reference.METHODS["hbllm"].presets:
    operation(
        3,
        "hbllm_layer",
        name=f"hbllm_layer_{_preset}",
        decides=True,
        rarely=True,
    )(_hbllm(_preset))
