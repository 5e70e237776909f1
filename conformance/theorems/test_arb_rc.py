"""ARB-RC: row and column scales by alternating least squares, and their limits.

Scales are determined up to a factor between rows and columns, so products are compared,
never factors.
"""

import itertools
from dataclasses import replace
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
TAME = ("gauss", "t3", "shifted", "outlier_columns", "tied", "integer", "zero_rows", "zero_columns")
both_orders = pytest.mark.parametrize("order", [1, 2])
tame = weights(TAME, rows=(1, 5), columns=(1, 16))
continuous = weights(CONTINUOUS, rows=(1, 5), columns=(1, 16))
rounds = st.integers(0, 5)


def _config(port: Port, rounds: int, **changes: Any) -> Any:
    return port.Refinement(iterations=rounds, **changes)


def _decode(port: Port, W: Array, mask: Mask | None, order: int, rounds: int, **c: Any) -> Array:
    config = _config(port, rounds, **c)
    return np.asarray(port.arb_rc(W, mask, order=order, config=config).decode())


def _unit(port: Port, W: Array, rounds: int = 0) -> float:
    return port.gamma(8 * (rounds + 1) * (sum(W.shape) + 4))


def _energy(W: Array, *groups: Any) -> float:
    return float(measures.natural(W, *groups).sum())


def _singular(W: Array) -> Array:
    return np.append(np.linalg.svd(np.abs(W), compute_uv=False), 0.0)


@both_orders
@given(matrix=tame, kind=masks(), rounds=rounds, signs=st.sampled_from(["fixed", "refreshed"]))
def test_R1_no_half_step_raises_the_error(
    port: Port, order: int, matrix: Weights, kind: Masks, rounds: int, signs: str
) -> None:
    """R1: neither rows nor columns nor signs, at both orders."""
    W = matrix.values
    config, mask = _config(port, rounds), kind.of(W.shape)
    steps = list(port.arb_rc_steps(W, mask, order=order, config=config, column_signs=signs))
    for (_, before), (_, after) in itertools.pairwise(steps):
        slack = _unit(port, W) * _energy(W, before, after)
        error, limit = (measures.row_errors(W, group).sum() for group in (after, before))
        assert compare.objective(error, limit, slack) <= 1


@both_orders
@given(matrix=tame, kind=masks(), rounds=rounds, eps=st.sampled_from([1e-8, 1e-3, 0.1, 1.0]))
def test_R1_an_eps_is_a_ridge(
    port: Port, order: int, matrix: Weights, kind: Masks, rounds: int, eps: float
) -> None:
    """With an absolute eps no half step raises ``‖W - Ŵ‖² + eps (‖α_r‖² + ‖α_c‖²)``.

    The error alone may rise, up to the whole energy of the weights if eps is far above it.
    """
    W = matrix.values
    config = _config(port, rounds, eps=eps, eps_kind="absolute")
    steps = [
        group for _, group in port.arb_rc_steps(W, kind.of(W.shape), order=order, config=config)
    ]
    scales = [[(p.row_scale, p.column_scale) for p in group.planes] for group in steps]
    penalties = [eps * sum(np.sum(a**2) for pair in pairs for a in pair) for pairs in scales]
    errors = [measures.row_errors(W, group).sum() for group in steps]
    slack = _unit(port, W) * (max(_energy(W, group) for group in steps) + max(penalties))
    for before, after in itertools.pairwise(np.add(errors, penalties)):
        assert compare.objective(after, before, slack) <= 1


@both_orders
@given(matrix=tame, kind=masks(), rounds=rounds, signs=st.sampled_from(["fixed", "refreshed"]))
def test_R1_trace_of_the_objective(
    port: Port, order: int, matrix: Weights, kind: Masks, rounds: int, signs: str
) -> None:
    """R1: the trace names every half step, and holds the error after it; the last one counts."""
    W = matrix.values
    mask = kind.of(W.shape)
    config = _config(port, rounds)
    steps = list(port.arb_rc_steps(W, mask, order=order, config=config, column_signs=signs))
    trace = port.trace_objective(W, iter(steps))
    signed = ["signs"] * (order == 2 or signs == "refreshed")
    assert trace.names == ("start", *(["rows", "columns"] * order + signed) * rounds)
    sums = [measures.row_errors(W, group).sum() for _, group in steps]
    slack = _unit(port, W) * max(_energy(W, group) for _, group in steps)
    assert compare.bound(trace.objectives, sums, slack) <= 1
    group = port.arb_rc(W, mask, order=order, config=config)
    clear = measures.margins(W, steps).min() > 4 * _unit(port, W, rounds) * np.abs(W).max()
    if order == 1 or clear:
        allowed = _unit(port, W, rounds) * measures.sizes(W, group, steps[-1][1]).max()
        assert compare.bound(group.decode(), steps[-1][1].decode(), allowed) <= 1


@given(matrix=continuous, rounds=st.integers(0, 15))
def test_R2_rank_one_bound_and_limit(port: Port, matrix: Weights, rounds: int) -> None:
    """R2, order 1, full mask: never below ``‖W‖² - σ₁(|W|)²``, which is its limit.

    Power iteration turns the rows' scales toward the first singular vector by (σ₂/σ₁)² per
    round; the excess falls at least as fast as the square of the other components.
    """
    W = matrix.values
    first, second, *_ = _singular(W)
    least = np.sum(W**2) - first**2
    starts, config = port.rc_start(W), _config(port, rounds)
    group = port.arb_rc(W, config=config)
    slack = _unit(port, W, rounds) * _energy(W, starts, group)
    error = measures.row_errors(W, group).sum()
    assert compare.objective(least, error, slack) <= 1
    if rounds == 0:
        return
    # In the basis of singular vectors a round multiplies the columns' scales by their squares.
    c = starts.planes[0].column_scale
    _, _, vectors = np.linalg.svd(np.abs(W))
    share = (vectors[0] @ c) ** 2 / (c @ c)
    excess = first**2 * (second / first) ** (4 * rounds - 2) * (1 - share) / share
    assert compare.objective(error, least + excess, slack) <= 1


@given(matrix=tame, kind=masks(), rounds=rounds)
def test_R3_signs_stay_optimal(port: Port, matrix: Weights, kind: Masks, rounds: int) -> None:
    """R3, order 1: scales stay ≥ 0, so ``sign(W)`` stays optimal; recomputing changes nothing."""
    W = matrix.values
    mask = kind.of(W.shape)
    for _, group in port.arb_rc_steps(W, mask, config=_config(port, rounds)):
        (plane,) = group.planes
        assert (plane.row_scale >= 0).all()
        assert (plane.column_scale >= 0).all()
        assert compare.exact(plane.sign, np.where(mask, np.where(W >= 0, 1, -1), 0)) == 0
        assert compare.exact(port.refine_rc_signs(W, group).decode(), group.decode()) == 0
    fixed = _decode(port, W, mask, 1, rounds)
    config = _config(port, rounds)
    refreshed = port.arb_rc(W, mask, config=config, column_signs="refreshed")
    assert compare.exact(refreshed.decode(), fixed) == 0


def _clear(port: Port, W: Array, mask: Mask, order: int, rounds: int) -> bool:
    steps = port.arb_rc_steps(W, mask, order=order, config=_config(port, rounds))
    allowed = 4 * _unit(port, W, rounds) * np.abs(W).max()
    return bool(order == 1 or measures.margins(W, steps).min() > allowed)


@both_orders
@given(matrix=continuous, kind=masks(), rounds=rounds, seed=seeds())
def test_R4_permutations(
    port: Port, order: int, matrix: Weights, kind: Masks, rounds: int, seed: int
) -> None:
    """R4: rows and columns permute, to rounding."""
    W = matrix.values
    mask = kind.of(W.shape)
    assume(_clear(port, W, mask, order, rounds))
    rng = np.random.default_rng(seed)
    index = np.ix_(*(rng.permutation(length) for length in W.shape))
    expected = _decode(port, W, mask, order, rounds)[index]
    allowed = _unit(port, W, rounds) * (np.abs(W).max() + np.abs(expected).max())
    actual = _decode(port, W[index], mask[index], order, rounds)
    assert compare.bound(actual, expected, allowed) <= 1


@both_orders
@given(matrix=continuous, kind=masks(), rounds=rounds, seed=seeds())
def test_R4_sign_flips(
    port: Port, order: int, matrix: Weights, kind: Masks, rounds: int, seed: int
) -> None:
    """R4: negated rows and columns stay negated, bit for bit if no decision is a tie."""
    W = matrix.values
    mask = kind.of(W.shape)
    assume(_clear(port, W, mask, order, rounds))
    rng = np.random.default_rng(seed)
    flips = rng.choice([-1.0, 1.0], (len(W), 1)) * rng.choice([-1.0, 1.0], W.shape[1])
    expected = flips * _decode(port, W, mask, order, rounds)
    assert compare.exact(_decode(port, flips * W, mask, order, rounds), expected) == 0


@both_orders
@given(matrix=tame, kind=masks(), rounds=rounds, power=st.integers(-20, 20))
def test_R4_global_scaling(
    port: Port, order: int, matrix: Weights, kind: Masks, rounds: int, power: int
) -> None:
    """R4: ``Q(tW) = t Q(W)`` without eps or with a relative one, bit for bit for powers of two."""
    W = matrix.values
    mask = kind.of(W.shape)
    for changes in ({}, {"eps": 1e-2, "eps_kind": "relative"}):
        expected = 2.0**power * _decode(port, W, mask, order, rounds, **changes)
        actual = _decode(port, 2.0**power * W, mask, order, rounds, **changes)
        assert compare.exact(actual, expected) == 0


@st.composite
def rank_one(draw: st.DrawFn, density: float) -> tuple[Array, Mask]:
    """``(r cᵀ) ∘ B`` on a mask whose rows and columns are all connected."""
    rng = np.random.default_rng(draw(seeds()))
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 12)))
    r, c = rng.uniform(0.25, 4, (shape[0], 1)), rng.uniform(0.25, 4, shape[1])
    mask = rng.random(shape) < density
    mask[0] = mask[:, 0] = True
    return r * c * rng.choice([-1.0, 1.0], shape), mask


@given(drawn=rank_one(1.0), rounds=rounds)
def test_R5_recovery_at_once(port: Port, drawn: tuple[Array, Mask], rounds: int) -> None:
    """R5, full mask: ``(r cᵀ) ∘ B`` comes back with the initial values, and stays."""
    W, mask = drawn
    actual = _decode(port, W, mask, 1, rounds)
    assert compare.bound(actual, W, _unit(port, W, rounds) * np.abs(W)) <= 1


@given(drawn=rank_one(0.6), rounds=rounds)
def test_R5_recovery_in_the_limit(port: Port, drawn: tuple[Array, Mask], rounds: int) -> None:
    """R5, with holes: errors approach 0, and the solution itself does not move."""
    W, mask = drawn
    own = np.where(mask, W, 0.0)
    energy = float(np.sum(own**2))
    errors = [
        float(np.sum((own - _decode(port, W, mask, 1, count)) ** 2)) for count in (rounds, 60)
    ]
    assert errors[1] <= max(1e-2 * errors[0], 1e-4 * energy)
    (plane,) = port.rc_start(W).planes
    cut = replace(plane, sign=np.where(mask, plane.sign, np.int8(0)))
    solution = replace(port.rc_start(W, mask), planes=(cut,))
    again = port.refine_column_scale(W, port.refine_row_scale(W, solution))
    assert compare.bound(again.decode(), own, 4 * _unit(port, W) * np.abs(W)) <= 1


@both_orders
@given(matrix=matrices(TAME, rows=(1, 4), columns=(1, 12)), kind=masks(), rounds=rounds)
def test_only_the_mask_matters(
    port: Port, order: int, matrix: Matrix, kind: Masks, rounds: int
) -> None:
    """Weights outside the mask change nothing, and decode to zero; so do empty rows."""
    W = matrix.values
    mask = kind.of(W.shape)
    config = _config(port, rounds)
    with np.errstate(divide="raise", invalid="raise"):
        group = port.arb_rc(W, mask, order=order, config=config, name="rest")
    other = port.arb_rc(np.where(mask, W, 1e6), mask, order=order, config=config)
    Q = group.decode()
    assert compare.exact(other.decode(), Q) == 0
    assert np.isfinite(Q).all()
    assert not Q[~mask].any()
    assert group.name == "rest"
    assert group.mean is None
    assert len(group.planes) == order
    for plane in group.planes:
        assert compare.exact(plane.sign != 0, mask) == 0
        assert not plane.row_scale[~mask.any(axis=1)].any()
        assert not plane.column_scale[~mask.any(axis=0)].any()


@both_orders
@given(matrix=continuous, kind=masks(), rounds=st.integers(1, 4))
def test_gradients_vanish_inside_the_iteration(
    port: Port, order: int, matrix: Weights, kind: Masks, rounds: int
) -> None:
    """Eq. (13): after rows ``Σ_j c B R = 0`` in each row, after columns ``Σ_i r B R = 0``."""
    W = matrix.values
    plane = 0
    steps = port.arb_rc_steps(W, kind.of(W.shape), order=order, config=_config(port, rounds))
    for name, group in steps:
        if name in {"start", "signs"}:
            plane = 0
            continue
        own = group.planes[plane % order]
        P = own.sign * (own.column_scale if name == "rows" else own.row_scale[:, None])
        axis = 1 if name == "rows" else 0
        gradient = np.sum(P * measures.remainder(W, group), axis=axis)
        size = np.sum(np.abs(P) * measures.sizes(W, group), axis=axis)
        assert compare.bound(gradient, np.zeros(len(gradient)), _unit(port, W) * size) <= 1
        plane += name == "columns"


@both_orders
@given(matrix=continuous, kind=masks(), rounds=rounds, seed=seeds())
def test_rows_of_zeros_do_not_count(
    port: Port, order: int, matrix: Weights, kind: Masks, rounds: int, seed: int
) -> None:
    """Eq. (12): rows whose scale is zero take no part in the columns' means, then or later."""
    W = matrix.values
    mask = kind.of(W.shape)
    assume(_clear(port, W, mask, order, rounds))
    place = np.random.default_rng(seed).integers(0, len(W) + 1)
    wider = (np.insert(W, place, 0.0, axis=0), np.insert(mask, place, values=True, axis=0))
    actual = np.delete(_decode(port, *wider, order, rounds), place, axis=0)
    expected = _decode(port, W, mask, order, rounds)
    allowed = 2 * _unit(port, W, rounds) * (np.abs(W).max() + np.abs(expected).max())
    assert compare.bound(actual, expected, allowed) <= 1


@both_orders
@given(
    matrix=weights(("gauss", "integer"), rows=(1, 3), columns=(1, 3)),
    rounds=st.integers(0, 2),
)
def test_exact_rounds(port: Port, order: int, matrix: Weights, rounds: int) -> None:
    """Whole runs against Eqs. (12) and (13) over the rational numbers, up to decisions near a tie.

    Order 2 needs two rows and columns: with one, the residual of a rank-one matrix is zero.
    """
    W = port.held(matrix.values)
    assume((np.abs(W).max(axis=1) > 0).all())
    assume(order == 1 or min(W.shape) > 1)
    group = port.arb_rc(W, order=order, config=_config(port, rounds))
    steps = port.arb_rc_steps(W, order=order, config=_config(port, rounds))
    near = 4 * _unit(port, W, rounds) * np.abs(W).max()
    assume(order == 1 or measures.margins(W, steps).min() > near)
    expected = exact_arb.crossed(exact.rational(W).tolist(), order, rounds)
    values = np.array(
        [[expected.value(i, j) for j in range(W.shape[1])] for i in range(len(W))], dtype=object
    )
    size = measures.sizes(W, group).max()
    unit = _unit(port, W, rounds)
    assert compare.bound(group.decode(), exact.floats(values), 8 * unit * size) <= 1


@given(matrix=weights(("gauss",), rows=(2, 4), columns=(2, 8)), eps=st.sampled_from([0.25, 0.5]))
def test_eps_is_added_to_the_denominator(port: Port, matrix: Weights, eps: float) -> None:
    """``Σ P W / (Σ P² + ε)``; a relative eps is a share of the mean of all denominators."""
    W = matrix.values
    start = port.rc_start(W)
    r, c = start.planes[0].row_scale, start.planes[0].column_scale
    squares = (np.full(len(r), np.sum(c**2)), np.full(len(c), np.sum(r**2)))
    steps = (port.refine_row_scale, port.refine_column_scale)
    for name, step, square in zip(("row_scale", "column_scale"), steps, squares, strict=True):
        plain = getattr(step(W, start).planes[0], name)
        for kind, added in (("absolute", eps), ("relative", eps * square.mean())):
            actual = getattr(step(W, start, eps=eps, eps_kind=kind).planes[0], name)
            expected = plain * square / (square + added)
            assert compare.bound(actual, expected, _unit(port, W) * plain.max()) <= 1
