"""ARB: half steps that never raise the error, its identities, limits and symmetries.

With sign(0) = +1 and no eps, the defaults, every half step is an exact minimization. What
is false for 15 rounds, or with sign(0) = 0, has its counterexample in ``tests/counterexamples``.
"""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import ALL, CONTINUOUS, Array, Drawn, Mask, Masks, Weights
from subbit.conformance.inputs.strategies import masks, matrices, seeds, weights
from subbit.conformance.oracles import exact, exact_arb, measures
from subbit.conformance.target import Port

Matrix = Weights | Drawn
both_orders = pytest.mark.parametrize("order", [1, 2])
small = matrices(rows=(1, 4), columns=(1, 20))
continuous = weights(CONTINUOUS, rows=(1, 4), columns=(1, 20))
rounds = st.integers(0, 6)
SWITCHES = {
    "divisor": ["entries", "width"],
    "initial_signs": ["centered", "plain"],
    "levels": ["alternate", "exact"],
}
switches = st.fixed_dictionaries({k: st.sampled_from(v) for k, v in SWITCHES.items()})


def _tolerance(port: Port, W: Array, *groups: Any, rounds: int = 1) -> Array:
    return port.gamma(8 * (rounds + 1) * (W.shape[1] + 4)) * measures.natural(W, *groups)


def _allowed(port: Port, W: Array, rounds: int, shift: float = 0.0) -> Array:
    """How far rounding moves levels; alternation keeps errors in check, so they add up."""
    size = np.abs(W).max(axis=1) + abs(shift)
    return port.gamma(8 * (rounds + 2) * (W.shape[1] + 4)) * size


def _steps(port: Port, W: Array, mask: Mask, order: int, rounds: int, **changes: Any) -> list[Any]:
    config = port.Refinement(iterations=rounds, **changes)
    return list(port.arb_steps(W, mask, order=order, config=config))


def _arb(port: Port, W: Array, mask: Mask | None, order: int, rounds: int, **changes: Any) -> Any:
    config = port.Refinement(iterations=rounds, **changes)
    return port.arb(W, mask, order=order, config=config)


@both_orders
@given(matrix=small, kind=masks(), rounds=rounds, switches=switches)
def test_A1_no_half_step_raises_an_error(
    port: Port, order: int, matrix: Matrix, kind: Masks, rounds: int, switches: dict[str, str]
) -> None:
    """A1, any start, alternating or exact: in no row, by no half step."""
    W = matrix.values
    steps = _steps(port, W, kind.of(W.shape), order, rounds, **switches)
    for (_, before), (_, after) in itertools.pairwise(steps):
        error, limit = measures.row_errors(W, after), measures.row_errors(W, before)
        assert compare.objective(error, limit, _tolerance(port, W, before, after)) <= 1


@both_orders
@given(matrix=small, kind=masks(), rounds=rounds)
def test_A1_trace_of_the_objective(
    port: Port, order: int, matrix: Matrix, kind: Masks, rounds: int
) -> None:
    """A1: the trace names every half step, and holds the sum of the rows' errors after it."""
    W = matrix.values
    steps = _steps(port, W, kind.of(W.shape), order, rounds)
    trace = port.trace_objective(W, iter(steps))
    assert trace.names == ("start", *(["mean", *["scale"] * order, "signs"] * rounds))
    assert compare.exact(trace.group.decode(), steps[-1][1].decode()) == 0
    sums = [measures.row_errors(W, group).sum() for _, group in steps]
    slack = [_tolerance(port, W, group).sum() for _, group in steps]
    assert compare.bound(trace.objectives, sums, slack) <= 1
    assert compare.objective(trace.objectives[1:], trace.objectives[:-1], max(slack)) <= 1


@given(matrix=small, kind=masks(), rounds=st.integers(1, 6))
def test_A2_theorem_1_before_the_signs(
    port: Port, matrix: Matrix, kind: Masks, rounds: int
) -> None:
    """A2, order 1: ``L1 = L1⁰ - c (α² - α⁰² - (μ - μ⁰)²)`` with new levels and old signs.

    With the new signs too, the error is at most that, and at most ``L1⁰``.
    """
    W = matrix.values
    steps = _steps(port, W, kind.of(W.shape), 1, rounds)
    start = steps[0][1]
    error, count = measures.row_errors(W, start), start.mask.sum(axis=1)
    for (name, group), (_, signed) in itertools.pairwise(steps):
        if name != "scale":
            continue
        growth = group.planes[0].row_scale ** 2 - start.planes[0].row_scale ** 2
        expected = error - count * (growth - (group.mean - start.mean) ** 2)
        tolerance = _tolerance(port, W, start, group)
        assert compare.bound(measures.row_errors(W, group), expected, tolerance) <= 1
        assert compare.objective(measures.row_errors(W, signed), expected, tolerance) <= 1
        assert compare.objective(expected, error, tolerance) <= 1


@given(matrix=small, kind=masks(), rounds=rounds, switches=switches)
def test_A3_scales_stay_positive(
    port: Port, matrix: Matrix, kind: Masks, rounds: int, switches: dict[str, str]
) -> None:
    """A3, order 1: ``α ≥ 0``, and > 0 if a row has two values that rounding tells apart."""
    W = matrix.values
    mask = kind.of(W.shape)
    span = np.where(mask, W, -np.inf).max(axis=1) - np.where(mask, W, np.inf).min(axis=1)
    varied = span > _allowed(port, W, rounds)
    # Signs of W itself are all equal in rows whose entries lie on one side of zero.
    varied &= switches["initial_signs"] == "centered"
    varied &= switches["divisor"] == "entries"
    for _, group in _steps(port, W, mask, 1, rounds, **switches):
        scale = group.planes[0].row_scale
        assert (scale >= -_allowed(port, W, rounds)).all()
        assert (scale[varied] > 0).all()


@both_orders
@given(matrix=small, kind=masks(), rounds=st.integers(1, 6))
def test_A5_gradients_vanish_inside_the_iteration(
    port: Port, order: int, matrix: Matrix, kind: Masks, rounds: int
) -> None:
    """A5: ``Σ R = 0`` after a mean, ``Σ B R = 0`` after the scale of its plane."""
    W = matrix.values
    plane = 0
    for name, group in _steps(port, W, kind.of(W.shape), order, rounds):
        R = measures.remainder(W, group)
        size = measures.sizes(W, group).sum(axis=1)
        allowed = port.gamma(8 * (W.shape[1] + 4)) * size
        if name == "mean":
            plane = 0
            assert compare.bound(R.sum(axis=1), np.zeros(len(W)), allowed) <= 1
        if name == "scale":
            products = np.sum(group.planes[plane].sign * R, axis=1)
            assert compare.bound(products, np.zeros(len(W)), allowed) <= 1
            plane += 1


@both_orders
@given(matrix=small, kind=masks(), rounds=rounds, seed=seeds())
def test_A6_row_permutation(
    port: Port, order: int, matrix: Matrix, kind: Masks, rounds: int, seed: int
) -> None:
    """A6: rows are independent, bit for bit."""
    W = matrix.values
    mask = kind.of(W.shape)
    shuffled = np.random.default_rng(seed).permutation(len(W))
    expected = _arb(port, W, mask, order, rounds).decode()[shuffled]
    actual = _arb(port, W[shuffled], mask[shuffled], order, rounds).decode()
    assert compare.exact(actual, expected) == 0


@both_orders
@given(matrix=continuous, kind=masks(), rounds=rounds, seed=seeds())
def test_A6_column_permutation(
    port: Port, order: int, matrix: Weights, kind: Masks, rounds: int, seed: int
) -> None:
    """A6: the order of columns affects only rounding."""
    W = matrix.values
    mask = kind.of(W.shape)
    shuffled = np.random.default_rng(seed).permutation(W.shape[1])
    allowed = _allowed(port, W, rounds)
    clear = measures.margins(W, _steps(port, W, mask, order, rounds)) > 4 * allowed
    expected = _arb(port, W, mask, order, rounds).decode()[:, shuffled]
    actual = _arb(port, W[:, shuffled], mask[:, shuffled], order, rounds).decode()
    assert compare.bound(actual[clear], expected[clear], allowed[clear, None]) <= 1


@both_orders
@given(matrix=small, kind=masks(), rounds=rounds, switches=switches, seed=seeds())
def test_A6_row_scaling(
    port: Port,
    order: int,
    matrix: Matrix,
    kind: Masks,
    rounds: int,
    switches: dict[str, str],
    seed: int,
) -> None:
    """A6: ``Q(diag(s) W) = diag(s) Q(W)`` for s > 0, bit for bit for powers of two."""
    W = matrix.values
    mask = kind.of(W.shape)
    s = 2.0 ** np.random.default_rng(seed).integers(-6, 7, (len(W), 1))
    expected = s * _arb(port, W, mask, order, rounds, **switches).decode()
    assert compare.exact(_arb(port, s * W, mask, order, rounds, **switches).decode(), expected) == 0


@both_orders
@given(matrix=continuous, kind=masks(), rounds=rounds, seed=seeds())
def test_A6_row_sign_flip(
    port: Port, order: int, matrix: Weights, kind: Masks, rounds: int, seed: int
) -> None:
    """A6: negated rows give negated results, bit for bit if no decision is a tie."""
    W = matrix.values
    mask = kind.of(W.shape)
    clear = measures.margins(W, _steps(port, W, mask, order, rounds)) > _allowed(port, W, rounds)
    flips = np.random.default_rng(seed).choice([-1.0, 1.0], (len(W), 1))
    expected = flips * _arb(port, W, mask, order, rounds).decode()
    actual = _arb(port, flips * W, mask, order, rounds).decode()
    assert compare.exact(actual[clear], expected[clear]) == 0


@both_orders
@given(matrix=continuous, kind=masks(), rounds=rounds, shift=st.floats(-8, 8))
def test_A6_row_shift(
    port: Port, order: int, matrix: Weights, kind: Masks, rounds: int, shift: float
) -> None:
    """A6: ``Q(W + t) = Q(W) + t`` on the mask, except in rows with a decision near a tie."""
    W = matrix.values
    mask = kind.of(W.shape)
    allowed = _allowed(port, W, rounds, shift)
    clear = measures.margins(W, _steps(port, W, mask, order, rounds)) > 4 * allowed
    moved = _arb(port, W + shift, mask, order, rounds).decode()
    expected = np.where(mask, _arb(port, W, mask, order, rounds).decode() + shift, 0.0)
    assert compare.bound(moved[clear], expected[clear], allowed[clear, None]) <= 1


@both_orders
@given(matrix=small, kind=masks(), rounds=rounds, switches=switches)
def test_A7_only_the_mask_matters(
    port: Port, order: int, matrix: Matrix, kind: Masks, rounds: int, switches: dict[str, str]
) -> None:
    """A7: weights outside the mask change nothing, and decode to zero; so do empty rows."""
    W = matrix.values
    mask = kind.of(W.shape)
    with np.errstate(divide="raise", invalid="raise"):
        group = _arb(port, W, mask, order, rounds, **switches)
    other = _arb(port, np.where(mask, W, 1e6), mask, order, rounds, **switches)
    Q = group.decode()
    assert compare.exact(other.decode(), Q) == 0
    assert np.isfinite(Q).all()
    assert not Q[~mask].any()
    empty = ~mask.any(axis=1)
    assert not group.mean[empty].any()
    assert all(not plane.row_scale[empty].any() for plane in group.planes)
    assert all(compare.exact(plane.sign != 0, mask) == 0 for plane in group.planes)
    assert compare.exact(group.mask, mask) == 0


@given(matrix=small, kind=masks(), rounds=rounds, switches=switches)
def test_A9_A10_a_second_order_and_its_refinement_only_help(
    port: Port, matrix: Matrix, kind: Masks, rounds: int, switches: dict[str, str]
) -> None:
    """A9, A10: refined order 2 ≤ residual order 2 ≤ residual order 1, row by row."""
    W = matrix.values
    mask = kind.of(W.shape)
    one, two = (port.arb_start(W, mask, order=order) for order in (1, 2))
    standard = switches | {"divisor": "entries", "initial_signs": "centered"}
    refined = _arb(port, W, mask, 2, rounds, **standard)
    chain = [measures.row_errors(W, group) for group in (refined, two, one)]
    tolerance = _tolerance(port, W, one, two, refined, rounds=rounds)
    assert compare.objective(chain[1], chain[2], tolerance) <= 1
    assert compare.objective(chain[0], chain[1], tolerance) <= 1


def _kept(W: Array, mask: Mask) -> list[tuple[int, Mask, list[Any]]]:
    rational = exact.rational(W)
    return [(i, mask[i], list(rational[i][mask[i]])) for i in range(len(W)) if mask[i].any()]


@both_orders
@given(
    matrix=weights((*CONTINUOUS, "integer"), rows=(1, 2), columns=(1, 6)),
    kind=masks(),
    rounds=st.integers(0, 4),
)
def test_exact_rounds(port: Port, order: int, matrix: Weights, kind: Masks, rounds: int) -> None:
    """Whole runs against Algorithm 1 over the rational numbers, up to decisions near a tie."""
    W = port.held(matrix.values)
    mask = kind.of(W.shape)
    group = _arb(port, W, mask, order, rounds)
    allowed = _allowed(port, W, rounds)
    for i, kept, row in _kept(W, mask):
        expected = exact_arb.arb(row, order, rounds)
        if expected.margin <= 4 * allowed[i]:
            continue
        for plane, B in zip(group.planes, expected.signs, strict=True):
            assert compare.exact(plane.sign[i, kept], B) == 0
        values = exact.floats([expected.value(j) for j in range(len(row))])
        assert compare.bound(group.decode()[i, kept], values, allowed[i]) <= 1
        levels = exact.floats([expected.mean, *expected.scales])
        # Where two signs nearly agree, their scales trade places with each other.
        assert compare.bound(measures.levels(group)[i], levels, W.shape[1] * allowed[i]) <= 1


@both_orders
@pytest.mark.parametrize("initial_signs", ["centered", "plain"])
@pytest.mark.parametrize("divisor", ["entries", "width"])
@given(matrix=weights(CONTINUOUS, rows=(1, 3), columns=(1, 8)), kind=masks())
def test_exact_starts(
    port: Port, order: int, divisor: str, initial_signs: str, matrix: Weights, kind: Masks
) -> None:
    """The start divides by the entries or by the width, and signs W - μ or W."""
    W = port.held(matrix.values)
    mask = kind.of(W.shape)
    config = port.Refinement(divisor=divisor, initial_signs=initial_signs)
    group = port.arb_start(W, mask, order=order, config=config)
    for i, kept, row in _kept(W, mask):
        share = len(row) / W.shape[1] if divisor == "width" else 1.0
        rest, total = exact.floats(row), 0.0
        allowed = 4 * _allowed(port, W, 1)[i]
        for plane in group.planes:
            mean = rest.mean() * share
            scale = np.abs(rest - mean).mean() * share
            signed = rest if initial_signs == "plain" else rest - mean
            if np.abs(signed).min() <= allowed:
                break
            assert compare.exact(plane.sign[i, kept], np.sign(signed)) == 0
            assert compare.bound(plane.row_scale[i], scale, allowed) <= 1
            total += mean
            rest = rest - mean - scale * np.sign(signed)
        else:
            assert compare.bound(group.mean[i], total, allowed) <= 1


@both_orders
@given(matrix=small, kind=masks(), rounds=rounds, switches=switches)
def test_arb_is_its_last_step(
    port: Port, order: int, matrix: Matrix, kind: Masks, rounds: int, switches: dict[str, str]
) -> None:
    """The function returns the result of the last half step."""
    W = matrix.values
    mask = kind.of(W.shape)
    steps = _steps(port, W, mask, order, rounds, **switches)
    group = _arb(port, W, mask, order, rounds, **switches)
    error, last = (measures.row_errors(W, g) for g in (group, steps[-1][1]))
    allowed = _allowed(port, W, rounds)
    clear = measures.margins(W, steps) > 4 * allowed
    clear &= switches["divisor"] == "entries" and switches["initial_signs"] == "centered"
    values = steps[-1][1].decode()
    assert compare.bound(group.decode()[clear], values[clear], allowed[clear, None]) <= 1
    assert len(group.planes) == order
    if port.arithmetic.dtype == "float64":
        assert compare.bound(error, last, _tolerance(port, W, group, rounds=rounds)) <= 1


@given(
    Z=weights(("integer", "gauss", "tied"), rows=(1, 3), columns=(1, 12)),
    scales=st.tuples(st.integers(-6, 6), st.integers(-6, 6)),
)
def test_joint_signs_take_the_first_nearest_level(
    port: Port, Z: Weights, scales: tuple[int, int]
) -> None:
    """Eq. (8): the nearest of four levels; the first of equally near ones."""
    values = port.held(Z.values)
    u, v = (np.full((len(values), 1), float(scale)) for scale in scales)
    first, second = port.joint_signs(values, u, v)
    for index, value in np.ndenumerate(exact.rational(values)):
        pair, gap = exact_arb.nearest(value, *scales)
        if gap == 0 or gap > port.gamma(4) * 32:
            assert (first[index], second[index]) == pair


@both_orders
@given(matrix=small, kind=masks(), rounds=rounds, power=st.integers(-20, 20))
def test_any_eps_keeps_the_scale_equivariance(
    port: Port, order: int, matrix: Matrix, kind: Masks, rounds: int, power: int
) -> None:
    """The denominators count entries, so even an absolute eps leaves ``Q(tW) = t Q(W)``."""
    W = matrix.values
    mask = kind.of(W.shape)
    for eps_kind in ("absolute", "relative"):
        changes: dict[str, Any] = {"eps": 1e-2, "eps_kind": eps_kind}
        expected = 2.0**power * _arb(port, W, mask, order, rounds, **changes).decode()
        actual = _arb(port, 2.0**power * W, mask, order, rounds, **changes).decode()
        assert compare.exact(actual, expected) == 0


@both_orders
@given(matrix=weights(ALL, rows=(2, 4), columns=(1, 12)), eps=st.sampled_from([0.25, 0.5]))
def test_eps_is_added_to_the_denominator(
    port: Port, order: int, matrix: Weights, eps: float
) -> None:
    """``Σ B (W - …) / (c + ε)``; a relative eps is a share of the mean count of all rows."""
    W = matrix.values
    mask = np.arange(W.shape[1]) <= np.arange(len(W))[:, None]
    start = port.arb_start(W, mask, order=order)
    plain = port.refine_scale(W, start).planes[0].row_scale
    count = mask.sum(axis=1)
    for eps_kind, added in (("absolute", eps), ("relative", eps * count.mean())):
        actual = port.refine_scale(W, start, eps=eps, eps_kind=eps_kind).planes[0].row_scale
        expected = plain * count / (count + added)
        assert compare.bound(actual, expected, _allowed(port, W, 0)) <= 1


@given(matrix=weights(("tied", "integer"), rows=(1, 3), columns=(1, 12)), kind=masks())
def test_sign_of_zero(port: Port, matrix: Weights, kind: Masks) -> None:
    """D-3: with sign(0) = 0 an entry on its mean has no sign at order 1, and one at order 2."""
    W = matrix.values
    mask = kind.of(W.shape)
    config = port.Refinement(iterations=1, sign_zero=0)
    for order in (1, 2):
        group = port.arb(W, mask, order=order, config=config)
        signs = np.stack([plane.sign for plane in group.planes])
        assert order == 1 or (np.abs(signs[:, mask]) == 1).all()
        flipped = port.arb(-W, mask, order=order, config=config)
        assert order == 2 or compare.exact(flipped.decode(), -group.decode()) == 0
