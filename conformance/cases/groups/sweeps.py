"""Level 3: sweeps over levels
===========================

No row's error may rise, codes, references and column scales stay, and the levels and exponents
of a row are the reference's, unless rounding decides one of them: the reference is then asked
again with weights and Hessian moved by roundings, and what changes in a row is open.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.layers import INPUTS, SLACK
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.cases.storage.leveled import draw_levels
from subbit.conformance.cases.typed_groups import draw_config, groups_of, leveled_form
from subbit.conformance.inputs.families import CONTINUOUS, Array
from subbit.conformance.inputs.moved import TRIES, answer_moved
from subbit.conformance.target import Port
from subbit.reference import LevelGroup, QuantizedLayer
from subbit.reference.bounds.groups.sweeps import sweep_rise_bound
from subbit.reference.bounds.objective import flushed_slack
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.leveled import CODES, Code
from subbit.reference.notation import AnyArray, Mask

CODE_LIST: tuple[Code, ...] = tuple(CODES)
BETWEEN = 1.022
"""Share of a step that is nearer to the next one by its logarithm, and to this one by itself."""


def _anything(draw: Draw, group: LevelGroup) -> LevelGroup:
    """Draw another code, and levels and exponents that have nothing to do with the weights."""
    code = CODE_LIST[int(draw.rng.integers(len(CODE_LIST)))]
    exponent = group.exponent
    if exponent is not None:
        exponent = draw.rng.integers(-24, 4, len(exponent)).astype(np.int8)
    levels = draw_levels(draw.rng, code, group.mask.shape)
    return replace(group, code=code, levels=levels, exponent=exponent)


def _other_levels(draw: Draw, layer: QuantizedLayer) -> QuantizedLayer:
    blocks = [
        replace(block, groups=(_anything(draw, group),))
        for block, group in zip(layer.blocks, groups_of(layer), strict=True)
    ]
    return replace(layer, blocks=tuple(blocks))


def _kept(judge: Judge, found: QuantizedLayer, given: QuantizedLayer) -> bool:
    """Judge what a sweep leaves as it is; whether the rest can be compared."""
    leveled_form(judge, found, given.shape, [(b.start, b.stop) for b in given.blocks])
    judge.form("order is there", found.order is None, given.order is None)
    if judge.ratio > 0.0:
        return False
    if given.order is not None:
        judge.exact("order", found.order, given.order)
    for own, old in zip(groups_of(found), groups_of(given), strict=True):
        judge.form("code", own.code, old.code)
        judge.form("exponents are there", own.exponent is None, old.exponent is None)
        judge.form("column scales are there", own.column_scale is None, old.column_scale is None)
        judge.bound("references", own.reference, judge.arithmetic.read(old.reference))
        if own.column_scale is not None and old.column_scale is not None:
            judge.bound("column scales", own.column_scale, judge.arithmetic.read(old.column_scale))
    return judge.ratio <= 1.0


def _chosen(layer: QuantizedLayer) -> AnyArray:
    """Return all that a sweep chooses, by rows."""
    parts = [host(g.levels).astype(np.int64) for g in groups_of(layer)]
    parts += [host(g.exponent)[:, None] for g in groups_of(layer) if g.exponent is not None]
    return np.hstack(parts)


def _open_rows(
    judge: Judge, W: Array, H: Array, wanted: AnyArray, sweep: Callable[[Array, Array], AnyArray]
) -> Mask:
    """Mark the rows in which moves of weights and Hessian change something."""
    found = np.zeros(len(W), dtype=np.bool_)
    for seed in range(TRIES):
        other = answer_moved(sweep, W, H, seed, arithmetic=judge.arithmetic)
        found |= np.any(other != wanted, axis=1)
    return found


def _drawn(draw: Draw) -> tuple[Array, Array, QuantizedLayer]:
    W = draw.weights(CONTINUOUS, columns=(12, 48))
    H = draw.hessian(W.shape[1], INPUTS)
    layer = reference.typed_groups_layer(W, H, draw_config(draw, W.shape).changed(sweeps=0))
    H = reference.damp(H, draw.pick("percdamp", (0.05, 0.01)))
    kind = draw.pick("levels", ("any", "of the weights", "any", "between two steps"))
    if kind == "any":
        layer = _other_levels(draw, layer)
    if kind == "between two steps":
        return BETWEEN * layer.decode(), np.diag(np.diag(H)), layer
    return W, H, layer


@operation(3, large=LARGE, decides=True, rarely=True)
def _sweep_levels(port: Port, judge: Judge, draw: Draw) -> None:
    """One sweep over a record: from quantized weights, or from any levels."""
    W, H, layer = _drawn(draw)
    found = port.sweep_levels(W, H, layer)
    if not _kept(judge, found, layer):
        return
    wanted = reference.sweep_levels(W, H, layer)
    own, right = _chosen(found), _chosen(wanted)
    judge.form("shape of levels and exponents", own.shape, right.shape)
    if own.shape != right.shape:
        return
    is_open = np.zeros(len(W), dtype=np.bool_)
    if np.any(own != right):
        is_open = _open_rows(
            judge, W, H, right, lambda W, H: _chosen(reference.sweep_levels(W, H, layer))
        )
    allowed = np.where(is_open, 1.0, 0.0)[:, None]
    margin = Rounded(np.zeros(allowed.shape), allowed, judge.arithmetic)
    judge.decision("levels and exponents", own, right, margin)
    _judge_errors(judge, W, H, (layer, found, wanted), is_open)


def _judge_errors(
    judge: Judge,
    W: Array,
    H: Array,
    records: tuple[QuantizedLayer, QuantizedLayer, QuantizedLayer],
    is_open: Mask,
) -> None:
    before, after, right = (np.asarray(record.decode(), np.float64) for record in records)
    rise = sweep_rise_bound(W, H, before, after, arithmetic=judge.arithmetic)
    judge.within("rise of a row's error", rise)
    reached, least = (reference.calibrated_error_trace(W, Q, H) for Q in (after, right))
    # A row in which rounding decides may come to rest at another minimum.
    apart = SLACK * least if is_open.any() else 0.0
    flushed = flushed_slack(
        least, len(W) * np.sum(np.abs(H)), 2 * len(H), squares=True, arithmetic=judge.arithmetic
    )
    slack = apart + float(np.sum(rise.error))
    judge.objective("error after the sweep", reached, least, slack, float(flushed))
