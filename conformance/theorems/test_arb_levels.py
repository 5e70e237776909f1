"""Levels of ARB: its fixed points, two-means as its bound, exact levels as its limit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import CONTINUOUS, Array, Drawn, Mask, Masks, Weights
from subbit.conformance.inputs.strategies import masks, matrices, seeds, weights
from subbit.conformance.oracles import exact, exact_arb, measures
from subbit.conformance.target import Port

Matrix = Weights | Drawn
both_orders = pytest.mark.parametrize("order", [1, 2])
small = matrices(rows=(1, 4), columns=(1, 20))
rounds = st.integers(0, 6)
SWITCHES = {
    "divisor": ["entries", "width"],
    "initial_signs": ["centered", "plain"],
    "levels": ["alternate", "exact"],
}
switches = st.fixed_dictionaries({k: st.sampled_from(v) for k, v in SWITCHES.items()})


def _tolerance(port: Port, W: Array, *groups: Any, rounds: int = 1) -> Array:
    return port.gamma(8 * (rounds + 1) * (W.shape[1] + 4)) * measures.natural(W, *groups)


def _allowed(port: Port, W: Array, rounds: int) -> Array:
    """How far rounding moves levels; alternation keeps errors in check, so they add up."""
    return port.gamma(8 * (rounds + 2) * (W.shape[1] + 4)) * np.abs(W).max(axis=1)


def _steps(port: Port, W: Array, mask: Mask, order: int, rounds: int, **changes: Any) -> list[Any]:
    config = port.Refinement(iterations=rounds, **changes)
    return list(port.arb_steps(W, mask, order=order, config=config))


def _arb(port: Port, W: Array, mask: Mask | None, order: int, rounds: int, **changes: Any) -> Any:
    config = port.Refinement(iterations=rounds, **changes)
    return port.arb(W, mask, order=order, config=config)


@given(matrix=weights(CONTINUOUS, rows=(1, 4), columns=(1, 12)), kind=masks())
def test_A4_fixed_points_are_those_of_two_means(port: Port, matrix: Weights, kind: Masks) -> None:
    """A4, order 1: where signs no longer change, ``μ ± α`` are the means of their entries."""
    W = matrix.values
    mask = kind.of(W.shape)
    steps = _steps(port, W, mask, 1, 12, levels="exact")
    group, last = steps[-1][1], steps[-3][1]
    B = group.planes[0].sign
    allowed = _allowed(port, W, W.shape[1])
    settled = (last.planes[0].sign == B).all(axis=1) & (B.min(axis=1) == -1) & (B.max(axis=1) == 1)
    for side in (-1, 1):
        level = group.mean + side * group.planes[0].row_scale
        mean = exact.floats(exact.masked_mean(exact.rational(W), side * B == 1))
        assert compare.bound(level[settled], mean[settled], allowed[settled]) <= 1
    again = port.refine_signs(W, port.refine_scale(W, port.refine_mean(W, group)))
    assert compare.bound(again.mean[settled], group.mean[settled], allowed[settled]) <= 1
    margin = np.abs(W - group.mean[:, None])
    signs = again.planes[0].sign
    ratio = compare.decision(signs[settled], B[settled], margin[settled], allowed[settled, None])
    assert ratio <= 1


@given(matrix=small, kind=masks(), rounds=rounds, switches=switches)
def test_A4_nothing_beats_two_means(
    port: Port, matrix: Matrix, kind: Masks, rounds: int, switches: dict[str, str]
) -> None:
    """A4, order 1: two-means bounds every refinement from below."""
    W = matrix.values
    mask = kind.of(W.shape)
    group = _arb(port, W, mask, 1, rounds, **switches)
    best = port.two_means(W, mask)
    tolerance = _tolerance(port, W, group, best)
    assert (
        compare.objective(measures.row_errors(W, best), measures.row_errors(W, group), tolerance)
        <= 1
    )


@given(matrix=matrices(rows=(1, 3), columns=(1, 7)), kind=masks())
def test_A4_two_means_is_the_best_code_of_two_levels(
    port: Port, matrix: Matrix, kind: Masks
) -> None:
    """A4: two-means against every pair of clusters, over the rational numbers."""
    W = matrix.values
    mask = kind.of(W.shape)
    group = port.two_means(W, mask)
    rows = [
        [value for value, keep in zip(row, kept, strict=True) if keep]
        for row, kept in zip(exact.rational(W), mask, strict=True)
    ]
    best = exact.floats([exact_arb.best_two_levels(row) for row in rows])
    tolerance = _tolerance(port, W, group)
    assert compare.bound(measures.row_errors(W, group), best, tolerance) <= 1


@given(matrix=small, kind=masks())
def test_A4_two_means_cuts_the_sorted_row(port: Port, matrix: Matrix, kind: Masks) -> None:
    """A4: equal weights share a cluster, and the upper one has the larger weights."""
    W = port.held(matrix.values)
    mask = kind.of(W.shape)
    group = port.two_means(W, mask, name="rest")
    B = group.planes[0].sign
    low = np.where(B == -1, W, -np.inf).max(axis=1)
    assert (low < np.where(B == 1, W, np.inf).min(axis=1)).all()
    assert (group.planes[0].row_scale >= 0).all()
    assert compare.exact(B != 0, mask) == 0
    assert group.name == "rest"


@st.composite
def two_valued(draw: st.DrawFn) -> tuple[Array, Array, Array, Mask]:
    """Rows ``aB + μ`` on a mask, both signs in each, and other values outside it."""
    rng = np.random.default_rng(draw(seeds()))
    shape = (draw(st.integers(1, 4)), draw(st.integers(2, 20)))
    mask = rng.random(shape) < draw(st.sampled_from([0.4, 1.0]))
    mask[:, :2] = True
    B = np.where(rng.random(shape) < draw(st.sampled_from([0.1, 0.5, 0.9])), 1.0, -1.0)
    B[:, :2] = [1.0, -1.0]
    a = rng.integers(1, 33, (shape[0], 1)) / 8
    mean = rng.integers(-32, 33, (shape[0], 1)) / 8
    W = np.where(mask, a * B + mean, 9.0)
    return W, a[:, 0], np.where(mask, B, 0.0), mask


@given(drawn=two_valued())
def test_A8_two_levels_are_recovered_with_exact_levels(
    port: Port, drawn: tuple[Array, Array, Array, Mask]
) -> None:
    """A8, order 1: ``W = aB + μ`` comes back after one round with exact levels."""
    W, _, B, mask = drawn
    group = _arb(port, W, mask, 1, 1, levels="exact")
    assert compare.exact(group.planes[0].sign, B) == 0
    allowed = W.shape[1] * _allowed(port, W, 1)[:, None]
    assert compare.bound(group.decode(), np.where(mask, W, 0.0), allowed) <= 1
    solved = port.solve_levels(W, port.arb_start(W, mask))
    assert compare.bound(solved.decode(), np.where(mask, W, 0.0), allowed) <= 1


@given(drawn=two_valued(), rounds=st.integers(0, 8))
def test_A8_alternation_recovers_two_levels_in_the_limit(
    port: Port, drawn: tuple[Array, Array, Array, Mask], rounds: int
) -> None:
    """A8, order 1: after t rounds the error of a row is ``c a² B̄² (1 - B̄²) B̄⁴ᵗ``."""
    W, a, B, mask = drawn
    group = _arb(port, W, mask, 1, rounds)
    count = mask.sum(axis=1)
    square = (B.sum(axis=1) / count) ** 2
    expected = count * a**2 * square * (1 - square) * square ** (2 * rounds)
    tolerance = _tolerance(port, W, group, rounds=rounds)
    assert compare.bound(measures.row_errors(W, group), expected, tolerance) <= 1


@both_orders
@given(matrix=small, kind=masks())
def test_exact_levels_are_least_squares(
    port: Port, order: int, matrix: Matrix, kind: Masks
) -> None:
    """solve_levels: the residual is orthogonal to the mask and to all signs at once."""
    W = matrix.values
    start = port.arb_start(W, kind.of(W.shape), order=order)
    group = port.solve_levels(W, start)
    R = measures.remainder(W, group)
    products = np.sum(measures.basis(group) * R, axis=2)
    size = measures.sizes(W, start, group).sum(axis=1)
    allowed = port.gamma(16 * W.shape[1] * (W.shape[1] + 4)) * size
    assert compare.bound(products, np.zeros(products.shape), allowed) <= 1
    assert all(
        compare.exact(p.sign, q.sign) == 0 for p, q in zip(group.planes, start.planes, strict=True)
    )


@both_orders
@given(matrix=small, kind=masks(), times=st.integers(0, 8))
def test_exact_levels_are_the_limit_of_alternation(
    port: Port, order: int, matrix: Matrix, kind: Masks, times: int
) -> None:
    """solve_levels: no alternation beats it; at order 1 it approaches it by ``B̄²`` per round."""
    W = matrix.values
    start = group = port.arb_start(W, kind.of(W.shape), order=order)
    for _ in range(times):
        group = port.refine_mean(W, group)
        for plane in range(order):
            group = port.refine_scale(W, group, plane)
    limit = port.solve_levels(W, start)
    tolerance = _tolerance(port, W, start, group, limit, rounds=W.shape[1])
    assert (
        compare.objective(measures.row_errors(W, limit), measures.row_errors(W, group), tolerance)
        <= 1
    )
    if order == 2:
        return
    share = measures.sign_shares(start) ** 2
    distance = start.planes[0].row_scale - limit.planes[0].row_scale
    expected = limit.planes[0].row_scale + share**times * distance
    # Equal signs leave the scale undetermined.
    rows = share < 1
    allowed = _allowed(port, W, times) * W.shape[1]
    assert compare.bound(group.planes[0].row_scale[rows], expected[rows], allowed[rows]) <= 1


@given(width=st.integers(1, 9), order=st.sampled_from([1, 2]))
def test_rows_of_one_value_are_themselves(port: Port, width: int, order: int) -> None:
    """A constant row comes back exactly, in any number of rounds, and with exact levels."""
    assume(port.holds(12))
    W = np.repeat([[1.5], [-0.25], [0.0]], width, axis=1)
    for changes in ({}, {"levels": "exact"}):
        assert compare.exact(_arb(port, W, None, order, 3, **changes).decode(), W) == 0
