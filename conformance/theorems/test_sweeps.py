"""Sweeps over levels: errors of rows, fixed points, single columns, and the gauge."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.cases.storage.leveled import draw_levels
from subbit.conformance.cases.typed_groups import groups_of
from subbit.conformance.inputs.families import Array
from subbit.conformance.inputs.strategies import Layer, layers, seeds
from subbit.conformance.target import Port
from subbit.reference import LevelGroup, QuantizedBlock, QuantizedLayer
from subbit.reference.bounds.groups.sweeps import sweep_rise_bound
from subbit.reference.leveled import CODES, LARGE, SPAN, Code

ALL: tuple[Code, ...] = tuple(CODES)
some_layers = layers(rows=(1, 4), columns=(2, 40))


def _record(W: Array, seed: int, codes: tuple[Code, ...] = ALL, size: int = 20) -> QuantizedLayer:
    """A record of any levels, with steps of the size of the weights and of few bits."""
    rng, (n, m) = np.random.default_rng(seed), W.shape
    typical = np.exp2(np.round(np.log2(np.abs(W).mean(axis=1) + 2.0**-40)))
    blocks = []
    for start in range(0, m, size):
        shape = (n, min(size, m - start))
        code = codes[int(rng.integers(len(codes)))]
        columns = np.exp2(rng.integers(-1, 2, shape[1]).astype(float))
        exponent = rng.integers(-20, 5, (n,)).astype(np.int8)
        group = LevelGroup(
            "all",
            np.ones(shape, dtype=np.bool_),
            code,
            draw_levels(rng, code, shape),
            typical,
            exponent if rng.random() < 0.7 else None,
            columns if rng.random() < 0.5 else None,
        )
        blocks.append(QuantizedBlock(start, start + shape[1], (group,)))
    order = rng.permutation(m) if rng.random() < 0.5 else None
    return QuantizedLayer((n, m), tuple(blocks), order)


def _damped(H: Array) -> Array:
    return np.asarray(H + 0.05 * np.diag(H).mean() * np.eye(len(H)) + 2.0**-30 * np.eye(len(H)))


@given(layer=some_layers, seed=seeds())
def test_Z2_no_sweep_raises_the_error_of_a_row(port: Port, layer: Layer, seed: int) -> None:
    """Z2: from any levels, sweep by sweep; what is not swept stays, and so does the pattern."""
    W, H = layer[0].values, _damped(layer[1].hessian)
    before = _record(W, seed)
    for _ in range(3):
        after = port.sweep_levels(W, H, before)
        images = [np.asarray(made.decode(), np.float64) for made in (before, after)]
        rise = sweep_rise_bound(W, H, *images, arithmetic=port.arithmetic)
        assert np.all(rise.value <= rise.error)
        for own, old in zip(groups_of(after), groups_of(before), strict=True):
            assert own.code == old.code
            whole = own.mask.shape[1] // SPAN * SPAN
            is_large = np.abs(np.asarray(own.levels)[:, :whole]).reshape(len(W), -1, SPAN) == LARGE
            if own.coding.large:
                assert (is_large.sum(axis=2) == own.coding.large).all()
        before = after


@given(layer=some_layers, seed=seeds())
def test_Z3_what_is_represented_stays(port: Port, layer: Layer, seed: int) -> None:
    """Z3: without an error no product is anything but zero, and no level moves."""
    given_ = _record(layer[0].values, seed)
    blocks = tuple(
        replace(
            b,
            groups=(
                replace(g, exponent=None if g.exponent is None else np.zeros_like(g.exponent)),
            ),
        )
        for b, g in zip(given_.blocks, groups_of(given_), strict=True)
    )
    record = replace(given_, blocks=blocks)
    after = port.sweep_levels(record.decode(), _damped(layer[1].hessian), record)
    for own, old in zip(groups_of(after), groups_of(record), strict=True):
        assert compare.exact(np.asarray(own.levels), old.levels) == 0
        if old.exponent is not None:
            assert compare.exact(np.asarray(own.exponent), old.exponent) == 0


@given(layer=some_layers, seed=seeds())
def test_a_step_is_only_taken_where_the_error_falls(port: Port, layer: Layer, seed: int) -> None:
    """Of weights 2.2 % larger than what is stored, the next exponent is nearer by its logarithm.

    The step itself is nearer to the one that there is, so everything stays.
    """
    record = _record(layer[0].values, seed, ("1", "2", "3", "4"))
    H = np.diag(np.diag(_damped(layer[1].hessian)))
    after = port.sweep_levels(1.022 * record.decode(), H, record)
    for own, old in zip(groups_of(after), groups_of(record), strict=True):
        assert compare.exact(np.asarray(own.levels), old.levels) == 0
        if old.exponent is not None:
            assert compare.exact(np.asarray(own.exponent), old.exponent) == 0


@pytest.mark.parametrize("code", ["1", "2", "3", "4"])
@given(layer=some_layers, seed=seeds())
def test_no_other_level_of_the_last_column_is_better(
    port: Port, code: Code, layer: Layer, seed: int
) -> None:
    """Against all levels of the code, each evaluated with the whole layer."""
    W, H = layer[0].values, _damped(layer[1].hessian)
    after = replace(port.sweep_levels(W, H, _record(W, seed, (code,))), order=None)
    order = _record(W, seed, (code,)).order
    if order is not None:
        W, H = W[:, order], H[np.ix_(order, order)]
    group = groups_of(after)[-1]
    Q = np.asarray(after.decode(), np.float64)
    scale = group.row_scale * (1.0 if group.column_scale is None else group.column_scale[-1])
    own = np.sum(((W - Q) @ H) * (W - Q), axis=1)
    sizes = np.abs(W) + np.abs(Q) + scale[:, None] * 2**4
    allowed = port.gamma(8 * len(H) + 64) * np.sum((sizes @ np.abs(H)) * sizes, axis=1)
    top = 2 ** CODES[code].planes - 1
    for level in range(-top, top + 1, 2):
        D = W - np.column_stack([Q[:, :-1], scale * level])
        assert np.all(own <= np.sum((D @ H) * D, axis=1) + allowed)


@given(layer=some_layers, seed=seeds(), power=st.sampled_from([3, -4]))
def test_the_gauge_of_column_and_row_scales(
    port: Port, power: int, layer: Layer, seed: int
) -> None:
    """References times g and column scales divided by g: the same layer before and after."""
    port.compares_ends("the exponents' logarithms are rounded")
    W, H, factor = layer[0].values, _damped(layer[1].hessian), 2.0**power
    first = _record(W, seed)
    blocks = []
    for block, group in zip(first.blocks, groups_of(first), strict=True):
        columns = np.ones(group.mask.shape[1]) if group.column_scale is None else group.column_scale
        other = replace(group, reference=group.reference * factor, column_scale=columns / factor)
        blocks.append(replace(block, groups=(other,)))
    second = replace(first, blocks=tuple(blocks))
    assert compare.exact(first.decode(), second.decode()) == 0
    one, two = (port.sweep_levels(W, H, record).decode() for record in (first, second))
    assert compare.exact(np.asarray(one), np.asarray(two)) == 0


@given(layer=some_layers, seed=seeds())
def test_rows_are_swept_by_themselves(port: Port, layer: Layer, seed: int) -> None:
    """Each row alone ends as it does with the others."""
    port.compares_ends("products of single rows are rounded in another way")
    W, H = layer[0].values, _damped(layer[1].hessian)
    record = _record(W, seed)
    together = np.asarray(port.sweep_levels(W, H, record).decode())
    for row in range(len(W)):
        one = slice(row, row + 1)
        blocks = tuple(
            replace(b, groups=(_row_of(g, one),))
            for b, g in zip(record.blocks, groups_of(record), strict=True)
        )
        alone = QuantizedLayer((1, W.shape[1]), blocks, record.order)
        found = np.asarray(port.sweep_levels(W[one], H, alone).decode())
        assert compare.exact(found, together[one]) == 0


def _row_of(group: LevelGroup, row: slice) -> LevelGroup:
    exponent = None if group.exponent is None else group.exponent[row]
    return replace(
        group,
        mask=group.mask[row],
        levels=group.levels[row],
        reference=group.reference[row],
        exponent=exponent,
    )


@given(layer=some_layers, seed=seeds())
def test_without_planes_nothing_is_swept(port: Port, layer: Layer, seed: int) -> None:
    """A layer of groups with code "0" is zero, and stays."""
    W, H = layer[0].values, _damped(layer[1].hessian)
    record = _record(W, seed, ("0",))
    assert not np.asarray(port.sweep_levels(W, H, record).decode()).any()
