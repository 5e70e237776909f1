"""Binarization: optimality, the error identities, exact recovery and symmetries.

The modes are the settings of the binarizer: ``mean-free`` is the paper's, ``released``
the released code's (row mean subtracted, sign(0) = 0); the other two are in between.
"""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import (
    ALL,
    CONTINUOUS,
    MODES,
    SUMMABLE,
    Array,
    Drawn,
    Mask,
    Masks,
    Weights,
)
from subbit.conformance.inputs.strategies import masks, matrices, seeds, weights
from subbit.conformance.oracles import exact
from subbit.conformance.target import Port

Matrix = Weights | Drawn
every_mode = pytest.mark.parametrize("mode", MODES)
with_mean = pytest.mark.parametrize("mode", ["affine", "released"])
mean_free = pytest.mark.parametrize("mode", ["mean-free", "mean-free-zero"])
orders = st.integers(1, 4)


def _decode(port: Port, W: Array, mask: Mask | None, mode: str, order: int = 1) -> Array:
    return port.residual_binarize(W, mask, order=order, **MODES[mode]).decode()


def _errors(W: Array, mask: Mask, Q: Array) -> Array:
    return np.sum((np.where(mask, W, 0.0) - Q) ** 2, axis=1)


def _natural(W: Array, mask: Mask) -> Array:
    """Row sums of the squared terms that the error identities subtract.

    A mean is at most the largest magnitude, so (|x| + |mu|)² stays below four times it.
    """
    rows = np.where(mask, np.abs(W), 0.0)
    return 4 * np.sum((rows + rows.max(axis=1, keepdims=True)) ** 2, axis=1)


def _tolerance(port: Port, W: Array, mask: Mask, order: int = 1) -> Array:
    return port.gamma(8 * (order + 1) * (W.shape[1] + 4)) * _natural(W, mask)


def _growth(width: int, order: int) -> int:
    """Bits that a mean and a scale of 2ᵏ entries add to a sum, in each order."""
    return 2 * order * (width.bit_length() - 1)


def _zeros(group: Any, plane: int) -> Array:
    """c₀: entries of each row whose sign in that plane is 0."""
    return np.sum(group.mask & (group.planes[plane].sign == 0), axis=1)


@every_mode
@given(matrix=weights(columns=(1, 7), rows=(1, 2)))
def test_A1_scale_and_signs_are_optimal_for_the_mean(
    port: Port, mode: str, matrix: Weights
) -> None:
    """A1, all modes: no other signs, with their best scale, give a smaller error."""
    W = matrix.values
    group = port.residual_binarize(W, **MODES[mode])
    mean = np.zeros(len(W)) if group.mean is None else group.mean
    Y = W - mean[:, None]
    reached = _errors(W, group.mask, group.decode())
    candidates = np.array(list(itertools.product((-1.0, 1.0), repeat=W.shape[1])))
    # Σ(y − αs)² over the best α is Σy² − (Σys)²/c.
    best = np.sum(Y**2, axis=1) - np.max((Y @ candidates.T) ** 2, axis=1) / W.shape[1]
    assert compare.objective(reached, best, _tolerance(port, W, group.mask)) <= 1


@every_mode
@given(
    matrix=weights(columns=(1, 30)), kind=masks(), step=st.sampled_from([-0.1, -1e-3, 1e-3, 0.1])
)
def test_A1_scale_is_optimal_for_the_signs(
    port: Port, mode: str, matrix: Weights, kind: Masks, step: float
) -> None:
    """A1, all modes: without zero signs, moving the scale either way adds ``c (Δα)²``."""
    W, mask = matrix.values, kind.of(matrix.shape)
    group = port.residual_binarize(W, mask, **MODES[mode])
    mean = np.zeros(len(W)) if group.mean is None else group.mean
    scale = group.planes[0].row_scale
    moved = mean[:, None] + ((1 + step) * scale)[:, None] * group.planes[0].sign
    rows = _zeros(group, 0) == 0
    gain = _errors(W, mask, np.where(mask, moved, 0.0)) - _errors(W, mask, group.decode())
    expected = mask.sum(axis=1) * (step * scale) ** 2
    assert compare.bound(gain[rows], expected[rows], 2 * _tolerance(port, W, mask)[rows]) <= 1


@every_mode
@given(matrix=matrices(), kind=masks())
def test_A3_error_of_one_order(port: Port, mode: str, matrix: Matrix, kind: Masks) -> None:
    """A3, all modes: ``SSE = v - c α² - c₀ α²``, c₀ entries on the mean with sign 0."""
    W = matrix.values
    mask = kind.of(W.shape)
    group = port.residual_binarize(W, mask, **MODES[mode])
    mean = port.masked_mean(W, mask) if MODES[mode]["center"] else np.zeros(len(W))
    scale = port.masked_scale(W, mask, mean)
    v = np.sum(np.where(mask, W - mean[:, None], 0.0) ** 2, axis=1)
    expected = v - (mask.sum(axis=1) + _zeros(group, 0)) * scale**2
    actual = _errors(W, mask, group.decode())
    assert compare.bound(actual, expected, _tolerance(port, W, mask)) <= 1


@every_mode
@given(matrix=matrices(), kind=masks(), order=orders)
def test_A4_decrement_of_a_further_order(
    port: Port, mode: str, matrix: Matrix, kind: Masks, order: int
) -> None:
    """A4, all modes, all orders: one more order lowers the error by ``c (μ² + α²) + c₀ α²``."""
    W = matrix.values
    mask = kind.of(W.shape)
    before = _decode(port, W, mask, mode, order)
    group = port.residual_binarize(W, mask, order=order + 1, **MODES[mode])
    remainder = np.where(mask, W, 0.0) - before
    mean = port.masked_mean(remainder, mask) if MODES[mode]["center"] else np.zeros(len(W))
    scale = port.masked_scale(remainder, mask, mean)
    fall = _errors(W, mask, before) - _errors(W, mask, group.decode())
    count = mask.sum(axis=1)
    expected = count * (mean**2 + scale**2) + _zeros(group, order) * scale**2
    tolerance = 2 * _tolerance(port, W, mask, order)
    assert compare.bound(fall, expected, tolerance) <= 1
    assert (
        compare.objective(_errors(W, mask, group.decode()), _errors(W, mask, before), tolerance)
        <= 1
    )


@every_mode
@given(matrix=matrices(), kind=masks(), order=orders)
def test_A4_prime_error_bound(
    port: Port, mode: str, matrix: Matrix, kind: Masks, order: int
) -> None:
    """A4', all modes: ``SSE_o ≤ (1 - 1/c)^o Σx²``."""
    W = matrix.values
    mask = kind.of(W.shape)
    energy = np.sum(np.where(mask, W, 0.0) ** 2, axis=1)
    limit = (1 - 1 / np.maximum(mask.sum(axis=1), 1)) ** order * energy
    actual = _errors(W, mask, _decode(port, W, mask, mode, order))
    assert compare.objective(actual, limit, _tolerance(port, W, mask, order)) <= 1


@given(matrix=weights(("constant_magnitude",)), kind=masks())
def test_A5a_one_magnitude_is_recovered(port: Port, matrix: Weights, kind: Masks) -> None:
    """A5a, mean-free: ``W = α B`` comes back bit for bit if the sums are exact."""
    W = matrix.values
    mask = kind.of(W.shape)
    assert compare.exact(_decode(port, W, mask, "mean-free"), np.where(mask, W, 0.0)) == 0


@given(seed=seeds(), half=st.integers(1, 20))
def test_A5a_any_magnitude_is_recovered_to_rounding(port: Port, seed: int, half: int) -> None:
    """A5a, mean-free: ``W = α B`` for a magnitude of full precision."""
    rng = np.random.default_rng(seed)
    W = rng.choice([-1.0, 1.0], (3, 2 * half)) * rng.lognormal(sigma=9, size=(3, 1))
    actual = _decode(port, W, None, "mean-free")
    assert compare.bound(actual, W, port.gamma(2 * half + 1) * np.abs(W)) <= 1


@with_mean
@given(seed=seeds(), half=st.integers(1, 20), order=orders)
def test_A5b_balanced_two_valued_groups_are_recovered(
    port: Port, mode: str, seed: int, half: int, order: int
) -> None:
    """A5b, with a mean: two values, equally often, come back exactly."""
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.integers(-64, 64, 2)) / 8
    W = rng.permutation(np.repeat([low, high], half))[None]
    assert compare.exact(_decode(port, W, None, mode, order), W) == 0


@with_mean
@given(matrix=weights(("all_equal",)), kind=masks(), order=orders)
def test_A5b_constant_groups_are_recovered(
    port: Port, mode: str, matrix: Weights, kind: Masks, order: int
) -> None:
    """A5b, with a mean: a constant group comes back exactly."""
    W = matrix.values
    mask = kind.of(W.shape)
    assert compare.exact(_decode(port, W, mask, mode, order), np.where(mask, W, 0.0)) == 0


@with_mean
@given(
    share=st.sampled_from([(3, 1), (1, 3), (5, 3), (3, 5), (7, 1), (1, 7)]),
    low=st.integers(-16, 16),
    gap=st.integers(1, 32),
    order=orders,
)
def test_A5c_unbalanced_gap_shrinks_and_never_closes(
    port: Port, mode: str, share: tuple[int, int], low: int, gap: int, order: int
) -> None:
    """A5c, with a mean: the gap of the residual is ``(1 - 2p)^(2 order)`` of the first, never 0."""
    assume(port.holds(6 + _growth(sum(share), order)))
    W = np.repeat([low + gap, low], share)[None].astype(np.float64)
    residual = np.unique(W - _decode(port, W, None, mode, order))
    p = share[0] / sum(share)
    assert len(residual) == 2
    assert residual[1] - residual[0] == (1 - 2 * p) ** (2 * order) * gap


@every_mode
@pytest.mark.parametrize("factor", [4.0, 0.125])
@given(matrix=matrices(), kind=masks(), order=orders)
def test_A6_power_of_two_scaling(
    port: Port, mode: str, factor: float, matrix: Matrix, kind: Masks, order: int
) -> None:
    """A6, all modes: ``Q(cW) = c Q(W)`` bit for bit for a power of two."""
    W = matrix.values
    mask = kind.of(W.shape)
    scaled = _decode(port, factor * W, mask, mode, order)
    assert compare.exact(scaled, factor * _decode(port, W, mask, mode, order)) == 0


@every_mode
@given(matrix=matrices(), kind=masks(), order=orders)
def test_A6_negation(port: Port, mode: str, matrix: Matrix, kind: Masks, order: int) -> None:
    """A6: ``Q(-W) = -Q(W)`` bit for bit; with sign(0) = +1 if nothing ties with its mean."""
    W = matrix.values
    mask = kind.of(W.shape)
    if MODES[mode]["sign_zero"] == 1:
        probe = MODES[mode] | {"sign_zero": 0}
        group = port.residual_binarize(W, mask, order=order, **probe)
        assume(not any(_zeros(group, p).any() for p in range(order)))
    assert (
        compare.exact(_decode(port, -W, mask, mode, order), -_decode(port, W, mask, mode, order))
        == 0
    )


@with_mean
@given(
    matrix=weights(("integer", "tied"), columns=(1, 1)),
    width=st.sampled_from([1, 2, 4, 8, 16, 32]),
    shift=st.integers(-512, 512),
    order=orders,
)
def test_A6_shift_exact(
    port: Port, mode: str, matrix: Weights, width: int, shift: int, order: int
) -> None:
    """A6, with a mean: ``Q(W + t) = Q(W) + t`` bit for bit if nothing is rounded."""
    assume(port.holds(12 + _growth(width, order)))
    W = Weights(matrix.family, matrix.seed, (matrix.shape[0], width)).values
    moved = _decode(port, W + shift / 4, None, mode, order)
    assert compare.exact(moved, _decode(port, W, None, mode, order) + shift / 4) == 0


@with_mean
@given(matrix=weights(CONTINUOUS), kind=masks(), shift=st.floats(-100, 100))
def test_A6_shift(port: Port, mode: str, matrix: Weights, kind: Masks, shift: float) -> None:
    """A6, with a mean: ``Q(W + t) = Q(W) + t``, except for entries at their mean."""
    W = matrix.values
    mask = kind.of(W.shape)
    allowed = port.gamma(8 * (W.shape[1] + 4)) * (np.abs(W).max() + abs(shift))
    clear = np.abs(W - port.masked_mean(W, mask)[:, None]) > allowed
    moved = _decode(port, W + shift, mask, mode)
    expected = np.where(mask, _decode(port, W, mask, mode) + shift, 0.0)
    assert compare.bound(moved[clear], expected[clear], allowed) <= 1


@every_mode
@given(matrix=matrices(), kind=masks(), order=orders, seed=seeds())
def test_A6_row_permutation(
    port: Port, mode: str, matrix: Matrix, kind: Masks, order: int, seed: int
) -> None:
    """A6, all modes: rows are independent, bit for bit."""
    W = matrix.values
    mask = kind.of(W.shape)
    shuffled = np.random.default_rng(seed).permutation(len(W))
    expected = _decode(port, W, mask, mode, order)[shuffled]
    assert compare.exact(_decode(port, W[shuffled], mask[shuffled], mode, order), expected) == 0


@every_mode
@given(matrix=weights(CONTINUOUS), kind=masks(), seed=seeds())
def test_A6_column_permutation(
    port: Port, mode: str, matrix: Weights, kind: Masks, seed: int
) -> None:
    """A6, all modes: the order of columns affects only rounding."""
    W = matrix.values
    mask = kind.of(W.shape)
    shuffled = np.random.default_rng(seed).permutation(W.shape[1])
    allowed = port.gamma(8 * (W.shape[1] + 4)) * np.abs(W).max()
    clear = np.abs(W - port.masked_mean(W, mask)[:, None])[:, shuffled] > allowed
    actual = _decode(port, W[:, shuffled], mask[:, shuffled], mode)
    expected = _decode(port, W, mask, mode)[:, shuffled]
    assert compare.bound(actual[clear], expected[clear], allowed) <= 1


@every_mode
@given(
    matrix=weights(SUMMABLE, columns=(1, 1)),
    width=st.sampled_from([1, 2, 4, 8, 16]),
    order=orders,
    seed=seeds(),
)
def test_A6_column_permutation_exact(
    port: Port, mode: str, matrix: Weights, width: int, order: int, seed: int
) -> None:
    """A6, all modes: if nothing is rounded, columns permute bit for bit."""
    assume(port.holds(6 + _growth(width, order)))
    W = Weights(matrix.family, matrix.seed, (matrix.shape[0], width)).values
    shuffled = np.random.default_rng(seed).permutation(width)
    expected = _decode(port, W, None, mode, order)[:, shuffled]
    assert compare.exact(_decode(port, W[:, shuffled], None, mode, order), expected) == 0


@mean_free
@given(matrix=weights((*CONTINUOUS, *SUMMABLE, "huge_range"), columns=(1, 30)), kind=masks())
def test_A6f_idempotence(port: Port, mode: str, matrix: Weights, kind: Masks) -> None:
    """A6f, mean-free, order 1: ``Q(Q(W)) = Q(W)`` if no sign is 0."""
    W = matrix.values
    mask = kind.of(W.shape)
    once = port.residual_binarize(W, mask, **MODES[mode])
    rows = _zeros(once, 0) == 0
    first = once.decode()
    twice = _decode(port, first, mask, mode)
    allowed = port.gamma(W.shape[1] + 1) * np.abs(first)
    assert compare.bound(twice[rows], first[rows], allowed[rows]) <= 1


@every_mode
@given(matrix=matrices(), kind=masks(), order=orders)
def test_A7_empty_rows_and_outside_are_zero(
    port: Port, mode: str, matrix: Matrix, kind: Masks, order: int
) -> None:
    """A7, all modes: no NaN, zero outside the mask, zero scale and mean in empty rows."""
    W = matrix.values
    mask = kind.of(W.shape)
    with np.errstate(divide="raise", invalid="raise"):
        group = port.residual_binarize(W, mask, order=order, **MODES[mode])
        mean = port.masked_mean(W, mask)
        scale = port.masked_scale(W, mask, mean)
    empty = ~mask.any(axis=1)
    Q = group.decode()
    assert np.isfinite(Q).all()
    assert not Q[~mask].any()
    assert not mean[empty].any()
    assert not scale[empty].any()
    assert all(not plane.row_scale[empty].any() for plane in group.planes)
    assert all(not plane.sign[~mask].any() for plane in group.planes)
    assert compare.exact(group.mask, mask) == 0


@every_mode
@given(matrix=matrices(ALL, columns=(1, 20)), kind=masks(), order=orders)
def test_record_of_a_group(port: Port, mode: str, matrix: Matrix, kind: Masks, order: int) -> None:
    """All modes: `order` planes of signs that the mode allows, and a mean if it has one."""
    W = matrix.values
    group = port.residual_binarize(W, kind.of(W.shape), order=order, name="salient", **MODES[mode])
    assert group.name == "salient"
    assert len(group.planes) == order
    assert (group.mean is not None) == MODES[mode]["center"]
    allowed = {-1, 1} if MODES[mode]["sign_zero"] == 1 else {-1, 0, 1}
    for plane in group.planes:
        assert set(np.unique(plane.sign[group.mask])) <= allowed
        assert (plane.row_scale >= 0).all()


@given(matrix=matrices(columns=(1, 12)), kind=masks())
def test_exact_mean_and_scale(port: Port, matrix: Matrix, kind: Masks) -> None:
    """Mean and scale against rational numbers: sums of c terms and one division."""
    W = matrix.values
    mask = kind.of(W.shape)
    rows = exact.rational(W)
    mean = exact.masked_mean(rows, mask)
    size = np.where(mask, np.abs(W), 0.0).sum(axis=1) / np.maximum(mask.sum(axis=1), 1)
    allowed = port.gamma(W.shape[1] + 1) * size
    assert compare.bound(port.masked_mean(W, mask), exact.floats(mean), allowed) <= 1
    rounded = exact.floats(mean)
    scale = exact.masked_scale(rows, mask, list(exact.rational(rounded)))
    allowed = port.gamma(W.shape[1] + 2) * (size + np.abs(rounded))
    assert compare.bound(port.masked_scale(W, mask, rounded), exact.floats(scale), allowed) <= 1


@every_mode
@given(
    matrix=weights(SUMMABLE, rows=(1, 3), columns=(1, 1)),
    width=st.sampled_from([1, 2, 4, 8]),
    order=orders,
)
def test_exact_orders_bit_for_bit(
    port: Port, mode: str, matrix: Weights, width: int, order: int
) -> None:
    """All modes, all orders: if nothing is rounded, equal to the rationals, ties included."""
    assume(port.holds(6 + _growth(width, order)))
    W = Weights(matrix.family, matrix.seed, (matrix.shape[0], width)).values
    mask = np.ones(W.shape, dtype=bool)
    steps = exact.residual_binarize(exact.rational(W), mask, order=order, **MODES[mode])
    group = port.residual_binarize(W, mask, order=order, **MODES[mode])
    for plane, step in zip(group.planes, steps, strict=True):
        assert compare.exact(plane.sign, step.sign) == 0
        assert compare.exact(plane.row_scale, exact.floats(step.scale)) == 0
    assert compare.exact(group.decode(), exact.floats(steps[-1].total)) == 0


@every_mode
@given(
    matrix=weights((*CONTINUOUS, "integer"), rows=(1, 3), columns=(1, 9)),
    kind=masks(),
    order=st.integers(1, 3),
)
def test_exact_orders_by_margin(
    port: Port, mode: str, matrix: Weights, kind: Masks, order: int
) -> None:
    """All modes: signs equal to the rationals beyond rounding, scales within it."""
    W = matrix.values
    mask = kind.of(W.shape)
    steps = exact.residual_binarize(exact.rational(W), mask, order=order, **MODES[mode])
    group = port.residual_binarize(W, mask, order=order, **MODES[mode])
    allowed = port.gamma(16 * order * (W.shape[1] + 4)) * np.abs(W).max(axis=1)
    settled = np.ones(len(W), dtype=bool)
    for plane, step in zip(group.planes, steps, strict=True):
        margin = np.abs(exact.floats(step.distance))
        scale = exact.floats(step.scale)
        sign_ratio = compare.decision(
            plane.sign[settled], step.sign[settled], margin[settled], allowed[settled, None]
        )
        assert sign_ratio <= 1
        assert compare.bound(plane.row_scale[settled], scale[settled], allowed[settled]) <= 1
        # A sign that rounding may decide makes the rest a different problem.
        settled &= ~(mask & (margin <= allowed[:, None])).any(axis=1)
    total = exact.floats(steps[-1].total)
    assert compare.bound(group.decode()[settled], total[settled], 4 * allowed[settled, None]) <= 1
