"""Level 3: typed groups
=====================

The record's form, its bits, order, codes and scales are judged by the weights. Without sweeps
the levels and steps of a record tell the state that each was chosen from, and are judged by it;
with sweeps, what the layer decodes to is compared as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil

import numpy as np

from subbit import reference
from subbit.conformance.cases.billm import FAMILIES
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.layers import (
    INPUTS,
    judge_objective,
    prepared_bound,
    single_columns,
)
from subbit.conformance.cases.registry import LARGE, operation
from subbit.conformance.cases.settings import judge_decoded
from subbit.conformance.cases.zones.energy import SETS, bits_of, misplaced
from subbit.conformance.inputs.families import Array
from subbit.conformance.target import Port
from subbit.reference import LevelGroup, QuantizedBlock, QuantizedLayer, TypedGroups
from subbit.reference.bounds import compensate as compensate_bounds
from subbit.reference.bounds.groups.leveling import (
    code_exponents_margin,
    fit_steps_bound,
    level_distance,
)
from subbit.reference.bounds.layer import decode_bound
from subbit.reference.bounds.pruning.sparsity import nm_mask_margin, power_bound
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.bounds.zones.energy import column_energies_bound, column_scales_bound
from subbit.reference.bounds.zones.salient import rank_columns_margin
from subbit.reference.groups.nearest import large_entries, nearest_levels
from subbit.reference.leveled import EXPONENT_BITS, FLOAT_BITS, SPAN, Code
from subbit.reference.notation import AnyArray

LARGE_SETS: tuple[tuple[Code, ...], ...] = (("2:16",), ("1", "1:16", "2:16", "3:16"), ("0", "3:16"))
"""Further codes to choose from, since only wide groups have large entries."""
APART = 2.0**-20
"""Share by which energies differ clearly, beyond their bounds."""
FINEST = 1024
"""Payloads are drawn in steps of so many to a bit."""


def _group_bits(n: int, width: int, code: Code, config: TypedGroups) -> int:
    coded = config.scales == "exponents"
    row_bits = EXPONENT_BITS if coded else FLOAT_BITS
    return bits_of(code, (n, width), row_bits, FLOAT_BITS if config.column_power else 0)


def _widths(m: int, config: TypedGroups) -> list[int]:
    return [part.stop - part.start for part in reference.block_slices(m, config.group_size)]


def _shared_bits(n: int, m: int, config: TypedGroups) -> int:
    order = 0 if config.order == "none" else m * (m - 1).bit_length()
    return order + (FLOAT_BITS * n if config.scales == "exponents" else 0)


def spent_bits(shape: tuple[int, int], codes: Sequence[Code], config: TypedGroups) -> int:
    """Count the bits that a layer of typed groups may have.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    codes : sequence of str
        Codes of its groups.
    config : TypedGroups
        Their size, order and scales.

    Returns
    -------
    int
        The bits; only references of exponents are shared.

    Examples
    --------
    >>> spent_bits((4, 32), ["1"], TypedGroups(order="none"))
    739
    """
    (n, m), widths = shape, _widths(shape[1], config)
    own = [_group_bits(n, k, code, config) for k, code in zip(widths, codes, strict=True)]
    return sum(own) + _shared_bits(n, m, config)


def within_reach(config: TypedGroups, shape: tuple[int, int], share: float) -> TypedGroups:
    """Return a configuration with a payload between those of the smallest and largest codes.

    Parameters
    ----------
    config : TypedGroups
        The configuration.
    shape : tuple of int
        Rows and columns.
    share : float
        Where between them, from 0 to 1.

    Returns
    -------
    TypedGroups
        The configuration with that payload.

    Examples
    --------
    >>> within_reach(TypedGroups(order="none"), (4, 32), 0.5).payload
    7.2734375
    """
    (n, m), bits = shape, float(_shared_bits(*shape, config))
    for width in _widths(m, config):
        own = [_group_bits(n, width, code, config) for code in config.codes]
        bits += min(own) + share * (max(own) - min(own))
    return config.changed(payload=ceil(bits * FINEST / (n * m)) / FINEST)


def draw_config(draw: Draw, shape: tuple[int, int]) -> TypedGroups:
    """Draw a configuration whose payload a small layer can keep to.

    Parameters
    ----------
    draw : Draw
        The case.
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    TypedGroups
        The configuration; its payload lies between those of the smallest and largest codes.
    """
    config = TypedGroups(
        codes=draw.pick("codes", LARGE_SETS[:2] if draw.least else (*SETS, *LARGE_SETS)),
        group_size=draw.pick("group size", (512,) if draw.least else (16, 7, 31, 40)),
        order=draw.pick("order", ("energy", "activation", "none")),
        column_power=draw.pick("column power", (1.0, 0.5, 0.0)),
        fit_weights=draw.pick("fit weights", ("trailing", "hessian", "none")),
        scales=draw.pick("scales", ("exponents", "exponents", "references")),
        sweeps=draw.pick("sweeps", (0,) if draw.least else (0, 0, 1, 2)),
    )
    return within_reach(config, shape, draw.pick("share", (0.4, 0.7, 0.2, 1.0)))


def groups_of(layer: QuantizedLayer) -> list[LevelGroup]:
    """Return the groups of a record of levels.

    Parameters
    ----------
    layer : QuantizedLayer
        A record with one group of levels in each block.

    Returns
    -------
    list of LevelGroup
        The groups.
    """
    return [g for block in layer.blocks for g in block.groups if isinstance(g, LevelGroup)]


def leveled_form(
    judge: Judge, layer: QuantizedLayer, shape: tuple[int, int], blocks: Sequence[tuple[int, int]]
) -> bool:
    """Judge that a record has one group of levels in each block.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    layer : QuantizedLayer
        The port's record.
    shape : tuple of int
        Rows and columns.
    blocks : sequence of tuple of int
        First column of each block, and the one after its last.

    Returns
    -------
    bool
        Whether it has.
    """
    judge.form("shape", layer.shape, shape)
    judge.form("blocks", [(b.start, b.stop) for b in layer.blocks], list(blocks))
    for block in layer.blocks:
        judge.form("names of the groups", [group.name for group in block.groups], ["all"])
        judge.true("groups of levels", isinstance(block.groups[0], LevelGroup))
        judge.true("all entries are the group's", bool(np.all(host(block.groups[0].mask))))
    return judge.ratio == 0.0


@dataclass(frozen=True, eq=False)
class _Given:
    """A layer in a port's order of quantization, and what the port made of it."""

    W: Rounded
    prepared: tuple[Rounded, Rounded]
    layer: QuantizedLayer
    config: TypedGroups

    def states(self, first: int) -> tuple[Rounded, ...]:
        """Return the states of single columns up to one, and of all from there on."""
        return compensate_bounds.layer_states_bound(
            self.W,
            self.prepared[1],
            single_columns(self.layer, first),
            mode="exact",
            arithmetic=self.W.arithmetic,
        )

    @property
    def importance(self) -> Rounded:
        """What an error of each column costs when those to its right make up for it."""
        factor = self.prepared[1]
        diagonal = Rounded(np.diag(factor.value), np.diag(factor.error), factor.arithmetic)
        ones = factor.arithmetic.exactly(np.ones(diagonal.shape))
        return ones / (diagonal * diagonal)

    @property
    def weights(self) -> Rounded:
        """Weight of each column's squared error when steps are fitted."""
        damped = self.prepared[0]
        match self.config.fit_weights:
            case "trailing":
                return self.importance
            case "hessian":
                return Rounded(np.diag(damped.value), np.diag(damped.error), damped.arithmetic)
            case "none":
                return damped.arithmetic.exactly(np.ones(len(damped.value)))


def _order(
    judge: Judge, W: Array, H: Array, layer: QuantizedLayer, config: TypedGroups
) -> AnyArray:
    everything = np.arange(len(H))
    judge.form("a column order is recorded", layer.order is not None, config.order != "none")
    if layer.order is None:
        return everything
    order = host(layer.order)
    judge.exact("column order, sorted", np.sort(order), everything)
    if judge.ratio > 0.0:
        return everything
    scores = judge.arithmetic.read(np.diag(H))
    if config.order == "energy":
        scores = column_energies_bound(W, H, arithmetic=judge.arithmetic)
    margin = rank_columns_margin(scores, order, arithmetic=judge.arithmetic)
    judge.choice("column order", margin)
    return order


def _judge_codes(judge: Judge, given: _Given) -> None:
    """Judge codes by their bits, and by the energies of their groups."""
    layer, config, of = given.layer, given.config, judge.arithmetic
    codes = [group.code for group in groups_of(layer)]
    judge.true("codes of those to choose from", set(codes) <= set(config.codes))
    if judge.ratio > 1.0:
        return
    n, m = layer.shape
    over = np.array([max(spent_bits((n, m), codes, config) - config.payload * n * m, 0.0)])
    judge.within("bits over the payload", Rounded(over, np.zeros(1), of))
    squares = (given.W * given.W).sum("column") / of.exactly(np.full(m, float(n)))
    columns = given.importance * squares
    parts = reference.block_slices(m, config.group_size)
    sums = [columns[part].sum("any") for part in parts]
    value, error = (np.array([getattr(x, name) for x in sums]) for name in ("value", "error"))
    apart = np.max(np.where(value > 0.0, error, 0.0) / np.where(value > 0.0, value, 1.0))
    if np.isfinite(apart):
        wrong = misplaced(value, _widths(m, config), codes, apart=2.0 * float(apart) + APART)
        judge.exact("better codes than groups before", wrong, np.zeros(len(parts), np.bool_))


def _judge_scales(judge: Judge, W: Array, layer: QuantizedLayer, config: TypedGroups) -> None:
    """Judge column scales, and references that groups share."""
    columns = column_scales_bound(W, config.column_power, arithmetic=judge.arithmetic)
    relative = judge.arithmetic.read(W) / columns[None]
    width = judge.arithmetic.exactly(np.full(len(W), float(W.shape[1])))
    reference_ = power_bound((relative * relative).sum("row") / width, 0.5)
    coded = config.scales == "exponents"
    for block, group in zip(layer.blocks, groups_of(layer), strict=True):
        judge.form("column scales are there", group.column_scale is None, not config.column_power)
        judge.form("exponents are there", group.exponent is not None, coded)
        if group.column_scale is not None:
            judge.bound("column scales", group.column_scale, columns[block.columns])
        if coded:
            judge.bound("references", group.reference, reference_)


def _judge_steps(
    judge: Judge, given: _Given, state: Rounded, columns: slice, group: LevelGroup
) -> None:
    """Judge a group's steps by the state that earlier groups left."""
    of = judge.arithmetic
    scale = np.ones(state.shape[1]) if group.column_scale is None else host(group.column_scale)
    c = of.read(scale)
    with np.errstate(invalid="ignore"):
        weights = given.weights[columns] * (c * c)
        bound = fit_steps_bound(state / c[None], weights, group.code, arithmetic=of)
    if group.exponent is None:
        judge.bound("steps", group.reference, bound.nearest(host(group.reference)))
        return
    exponent, reference_ = host(group.exponent), of.read(host(group.reference))
    margins = [
        code_exponents_margin(step, reference_, exponent, arithmetic=of) for step in bound.each
    ]
    judge.choice("exponents", bound.best_of(margins))


def _judge_levels(judge: Judge, given: _Given, columns: slice, group: LevelGroup) -> None:
    """Judge a group's levels column by column, each by the state that earlier columns left."""
    code, of, states = group.coding, judge.arithmetic, given.states(columns.stop)
    ones = replace(group, levels=np.ones(group.mask.shape, dtype=np.int8))
    block = QuantizedBlock(columns.start, columns.stop, (ones,))
    scales = decode_bound(block, arithmetic=of)
    levels, is_large = host(group.levels), np.abs(host(group.levels)) > 1
    for j in range(levels.shape[1]):
        with judge.at(f"column {columns.start + j}"):
            if code.large and j % SPAN == 0 and j + SPAN <= levels.shape[1]:
                part = slice(j, j + SPAN)
                state = given.states(columns.start + j)[-1][:, :SPAN]
                sizes = _quotients(state, scales[:, part]).absolute()
                margin = nm_mask_margin(sizes, code.large, SPAN, arithmetic=of)
                largest = large_entries(sizes.value, code.large)
                judge.decision("large entries", is_large[:, part], largest, margin)
            x = _quotients(states[columns.start + j][:, 0], scales[:, j])
            wanted = nearest_levels(x.value, code, is_large[:, j])
            judge.decision("levels", levels[:, j], wanted, level_distance(x, code))


def _quotients(state: Rounded, scales: Rounded) -> Rounded:
    some = scales.value > 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        return (state / scales).keep(some)


def _judge_choices(judge: Judge, given: _Given) -> None:
    layer = given.layer
    for block, group in zip(layer.blocks, groups_of(layer), strict=True):
        if not group.coding.planes:
            judge.exact("levels", group.levels, np.zeros(group.mask.shape))
            continue
        with judge.at_columns(block.columns):
            state = given.states(block.start)[-1][:, : block.stop - block.start]
            _judge_steps(judge, given, state, block.columns, group)
        _judge_levels(judge, given, block.columns, group)


@operation(3, large=LARGE, decides=True, rarely=True)
def _typed_groups_layer(port: Port, judge: Judge, draw: Draw) -> None:
    """Form, bits, order and scales; steps and levels from their states; the objective."""
    W = draw.weights(FAMILIES, columns=(2, 40))
    H = draw.hessian(W.shape[1], INPUTS)
    config = draw_config(draw, W.shape)
    layer = port.typed_groups_layer(W, H, config)
    groups = [(s.start, s.stop) for s in reference.block_slices(W.shape[1], config.group_size)]
    if not leveled_form(judge, layer, W.shape, groups):
        return
    live = np.where(np.diag(H) == 0, 0.0, W)
    order = _order(judge, live, H, layer, config)
    prepared = prepared_bound(judge, H[np.ix_(order, order)], config.percdamp)
    weights, unordered = judge.arithmetic.read(live[:, order]), replace(layer, order=None)
    given = _Given(weights, prepared, unordered, config)
    _judge_codes(judge, given)
    _judge_scales(judge, live[:, order], layer, config)
    if judge.ratio > 1.0:
        return
    if not config.sweeps:
        _judge_choices(judge, given)
    reading = partial(reference.typed_groups_layer, config=config)
    if config.sweeps:
        judge_decoded(judge, layer, W, H, reading, coupled=True)
    judge_objective(judge, W, H, layer, reading)
