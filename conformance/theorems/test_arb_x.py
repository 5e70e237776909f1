"""ARB-X: levels on the calibrated error, by half steps and by scalars, and their limit.

With the signs held, the calibrated error of a row is a convex quadratic of a handful of
levels. Everything here follows from that, for any signs, masks and Gram matrices.
"""

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import CONTINUOUS, LIVE, Activations, Array, Mask, Weights
from subbit.conformance.inputs.strategies import masks, seeds
from subbit.conformance.oracles import counting, exact, exact_arb, measures
from subbit.conformance.target import Port

Problem = tuple[Array, Mask, Array]
both_orders = pytest.mark.parametrize("order", [1, 2])
starts = st.sampled_from(["standard", "refined"])
rounds = st.integers(0, 5)


@st.composite
def problems(
    draw: st.DrawFn,
    families: tuple[str, ...] = (*CONTINUOUS, "tied", "zero_rows"),
    inputs: tuple[str, ...] = LIVE,
    largest: int = 16,
) -> Problem:
    """Weights, a mask, and the Gram matrix of more tokens than there are inputs."""
    k = draw(st.integers(1, largest))
    W = Weights(draw(st.sampled_from(families)), draw(seeds()), (draw(st.integers(1, 4)), k))
    X = Activations(draw(st.sampled_from(inputs)), draw(seeds()), (2, k + 4, k))
    return W.values, draw(masks()).of(W.shape), X.hessian


def _config(port: Port, rounds: int, start: str = "standard", **changes: Any) -> Any:
    return port.Refinement(
        iterations=3, calibrated_iterations=rounds, calibrated_start=start, **changes
    )


def _unit(port: Port, W: Array, rounds: int = 0) -> float:
    return port.gamma(8 * (rounds + 1) * (W.shape[1] + 4))


def _start(port: Port, W: Array, mask: Mask, order: int, start: str) -> Any:
    begin = port.arb if start == "refined" else port.arb_start
    return begin(W, mask, order=order, config=_config(port, 0))


def _sensitivity(W: Array, S: Array, *groups: Any) -> Array:
    """How far one unit of rounding moves each entry, through the levels of its row."""
    return np.asarray(measures.sensitivities(W, *groups, S=S).sum(axis=1))


@both_orders
@given(problem=problems(), rounds=rounds, start=starts)
def test_X1_no_half_step_raises_an_error(
    port: Port, order: int, problem: Problem, rounds: int, start: str
) -> None:
    """X1: in no row, by no half step, so the result is at most ARB's."""
    W, mask, S = problem
    config = _config(port, rounds, start)
    steps = list(port.arb_x_steps(W, mask, S, order=order, config=config))
    for (_, before), (_, after) in itertools.pairwise(steps):
        error, limit = (measures.row_errors(W, group, S) for group in (after, before))
        slack = measures.calibrated_slack(W, before, after, S=S, unit=_unit(port, W))
        assert compare.objective(error, limit, slack) <= 1
    start_group = _start(port, W, mask, order, start)
    group = port.arb_x(W, mask, S, order=order, config=config)
    error, limit = (measures.row_errors(W, g, S) for g in (group, start_group))
    slack = measures.calibrated_slack(W, start_group, group, S=S, unit=_unit(port, W, rounds))
    assert compare.objective(error, limit, slack) <= 1


@both_orders
@given(problem=problems(), rounds=rounds, start=starts)
def test_X1_trace_of_the_objective(
    port: Port, order: int, problem: Problem, rounds: int, start: str
) -> None:
    """X1: with S the trace holds the sum of the rows' calibrated errors after each half step."""
    W, mask, S = problem
    config = _config(port, rounds, start)
    steps = list(port.arb_x_steps(W, mask, S, order=order, config=config))
    trace = port.trace_objective(W, iter(steps), S)
    assert trace.names == ("start", *(["mean", *["scale"] * order] * rounds))
    sums = [measures.row_errors(W, group, S).sum() for _, group in steps]
    slack = [_unit(port, W) * measures.natural(W, group, S=S).sum() for _, group in steps]
    assert compare.bound(trace.objectives, sums, slack) <= 1


@both_orders
@given(problem=problems(), coupling=st.sampled_from([0.0, 1.0]), seed=seeds())
def test_X1_exact_levels_are_joint_least_squares(
    port: Port, order: int, problem: Problem, coupling: float, seed: int
) -> None:
    """X1, exact levels: ``e S (T - Ŵ)ᵀ = 0`` for the mask and all signs, for any target T."""
    W, mask, S = problem
    elsewhere = coupling * np.random.default_rng(seed).standard_normal(W.shape)
    target = np.where(mask, W, elsewhere)
    start = port.arb_start(W, mask, order=order)
    group = port.calibrate_levels(target, start, S, config=_config(port, 0, levels="exact"))
    e = measures.basis(group)
    gradient = np.sum((e @ S) * (target - group.decode()), axis=2)
    u = np.abs(target) + measures.sizes(W, start, group)
    size = np.sum((np.abs(e) @ np.abs(S)) * u, axis=2)
    # Eliminating one level can lose the square of what the others have in common.
    allowed = 8 * _unit(port, W) * size * len(e)
    well = _well(e, S, port)
    assert compare.bound(gradient[:, well], np.zeros((len(e), well.sum())), allowed[:, well]) <= 1


def _well(e: Array, S: Array, port: Port) -> Mask:
    """Rows whose small systems are far enough from singular, or have one variable."""
    G = np.einsum("pij,qij->ipq", e @ S, e)
    scale = np.sqrt(np.einsum("ipp->ip", G))
    usable = (scale > 0).all(axis=1)
    scale[~usable] = 1.0
    correlation = G / (scale[:, :, None] * scale[:, None, :])
    least = np.linalg.eigvalsh(correlation)[:, 0]
    return np.asarray(usable & (least > 64 * port.gamma(64)))


@both_orders
@given(problem=problems(), rounds=st.integers(0, 8), start=starts)
def test_X1_no_alternation_beats_exact_levels(
    port: Port, order: int, problem: Problem, rounds: int, start: str
) -> None:
    """X1: the joint solution bounds every number of rounds from below."""
    W, mask, S = problem
    begin = _start(port, W, mask, order, start)
    target = np.where(mask, W, 0.0)
    config = _config(port, rounds)
    reached = port.calibrate_levels(target, begin, S, config=config)
    best = port.calibrate_levels(target, begin, S, config=_config(port, 0, levels="exact"))
    slack = measures.calibrated_slack(W, reached, best, S=S, unit=4 * _unit(port, W, rounds))
    well = _well(measures.basis(begin), S, port)
    error, limit = (measures.row_errors(W, group, S)[well] for group in (best, reached))
    assert compare.objective(error, limit, slack[well]) <= 1


@given(problem=problems(CONTINUOUS), times=st.integers(0, 6), start=starts)
def test_X1_linear_rate(port: Port, problem: Problem, times: int, start: str) -> None:
    """X1, order 1: the scale approaches its limit by ``G₀₁² / (G₀₀ G₁₁)`` per round."""
    W, mask, S = problem
    begin = _start(port, W, mask, 1, start)
    target = np.where(mask, W, 0.0)
    limit = port.calibrate_levels(target, begin, S, config=_config(port, 0, levels="exact"))
    group = port.calibrate_levels(target, begin, S, config=_config(port, times))
    e = measures.basis(begin)
    G = np.einsum("pij,qij->ipq", e @ S, e)
    squares = G[:, 0, 0] * G[:, 1, 1]
    rate = G[:, 0, 1] ** 2 / np.where(squares > 0, squares, 1.0)
    rows = (squares > 0) & (rate < 0.9)
    scale, first, last = (g.planes[0].row_scale for g in (group, begin, limit))
    expected = last + rate**times * (first - last)
    allowed = 10 * _unit(port, W, times) * _sensitivity(W, S, begin, group, limit)
    assert compare.bound(scale[rows], expected[rows], allowed[rows]) <= 1


@both_orders
@given(problem=problems(), start=starts)
def test_X2_forms_of_the_objective(port: Port, order: int, problem: Problem, start: str) -> None:
    """X2: ``Tr(R S Rᵀ) = ⟨S, RᵀR⟩ = w S wᵀ - 2 g x + x G xᵀ`` with the sums of the group."""
    W, mask, S = problem
    group = _start(port, W, mask, order, start)
    R, own = measures.remainder(W, group), np.where(mask, W, 0.0)
    G, g = port.calibrated_sums(own, group, S)
    x = measures.levels(group)
    constant = np.sum((own @ S) * own, axis=1)
    sums = constant - 2 * np.sum(g * x, axis=1) + np.einsum("ip,ipq,iq->i", x, G, x)
    allowed = _unit(port, W) * 4 * measures.natural(W, group, S=S)
    assert compare.bound(sums, measures.row_errors(W, group, S), allowed) <= 1
    inner = float(np.sum(S * (R.T @ R)))
    assert compare.bound(inner, measures.row_errors(W, group, S).sum(), allowed.sum()) <= 1
    trace = port.calibrated_error_trace(own, group.decode(), S)
    assert compare.bound(trace, inner, allowed.sum()) <= 1


@both_orders
@given(
    problem=problems(),
    rounds=rounds,
    start=starts,
    eps=st.sampled_from([(0.0, "absolute"), (1e-3, "absolute"), (1e-3, "relative")]),
    levels=st.sampled_from(["alternate", "exact"]),
)
def test_X2_scalars_do_the_half_steps(
    port: Port,
    order: int,
    problem: Problem,
    rounds: int,
    start: str,
    eps: tuple[float, str],
    levels: str,
) -> None:
    """X2: the recurrence over scalars ends where the half steps end; the signs stay."""
    W, mask, S = problem
    changes = {"calibrated_eps": eps[0], "eps_kind": eps[1], "levels": levels}
    config = _config(port, rounds, start, **changes)
    group = port.arb_x(W, mask, S, order=order, config=config)
    *_, (_, last) = port.arb_x_steps(W, mask, S, order=order, config=config)
    allowed = _unit(port, W, rounds) * _sensitivity(W, S, group, last)
    rows = _well(measures.basis(last), S, port) | ~mask.any(axis=1)
    assert compare.bound(group.decode()[rows], last.decode()[rows], 4 * allowed[rows, None]) <= 1
    begin = _start(port, W, mask, order, start)
    if levels == "alternate":
        for found in (group, last):
            for plane, own in zip(found.planes, begin.planes, strict=True):
                assert compare.exact(plane.sign, own.sign) == 0


@both_orders
@given(problem=problems(), rounds=rounds, power=st.integers(-12, 12), start=starts)
def test_X3_scaled_gram_matrices(
    port: Port, order: int, problem: Problem, rounds: int, power: int, start: str
) -> None:
    """X3: ``S → tS`` changes nothing, bit for bit for powers of two; eps 0 or relative."""
    W, mask, S = problem
    for changes in (
        {},
        {"calibrated_eps": 1e-2, "eps_kind": "relative"},
        {"levels": "exact"},
    ):
        config = _config(port, rounds, start, **changes)
        expected = port.arb_x(W, mask, S, order=order, config=config)
        actual = port.arb_x(W, mask, 2.0**power * S, order=order, config=config)
        assert compare.exact(actual.decode(), expected.decode()) == 0
    tripled = port.arb_x(W, mask, 3 * S, order=order, config=_config(port, rounds, start))
    group = port.arb_x(W, mask, S, order=order, config=_config(port, rounds, start))
    rows = _well(measures.basis(group), S, port)
    allowed = 4 * _unit(port, W, rounds) * _sensitivity(W, S, group, tripled)
    assert compare.bound(tripled.decode()[rows], group.decode()[rows], allowed[rows, None]) <= 1


@both_orders
@given(problem=problems(), rounds=rounds, seed=seeds(), start=starts)
def test_X4_row_scaling(
    port: Port, order: int, problem: Problem, rounds: int, seed: int, start: str
) -> None:
    """X4: ``Q(diag(s) W) = diag(s) Q(W)`` for s > 0, bit for bit for powers of two."""
    W, mask, S = problem
    s = 2.0 ** np.random.default_rng(seed).integers(-6, 7, (len(W), 1))
    for levels in ("alternate", "exact"):
        config = _config(port, rounds, start, levels=levels)
        expected = s * port.arb_x(W, mask, S, order=order, config=config).decode()
        actual = port.arb_x(s * W, mask, S, order=order, config=config).decode()
        assert compare.exact(actual, expected) == 0


@both_orders
@given(problem=problems(CONTINUOUS), rounds=rounds, shift=st.floats(-8, 8), start=starts)
def test_X4_row_shift(
    port: Port, order: int, problem: Problem, rounds: int, shift: float, start: str
) -> None:
    """X4: ``Q(W + t) = Q(W) + t`` on the mask, except in rows with a decision near a tie."""
    W, mask, S = problem
    config = _config(port, rounds, start)
    group = port.arb_x(W, mask, S, order=order, config=config)
    moved = port.arb_x(W + shift, mask, S, order=order, config=config)
    near = 4 * _unit(port, W, 4) * (np.abs(W).max(axis=1) + abs(shift))
    steps = list(port.arb_steps(W, mask, order=order, config=_config(port, 0)))
    clear = measures.margins(W, steps if start == "refined" else steps[:1]) > near
    clear &= _well(measures.basis(group), S, port)
    allowed = 4 * _unit(port, W, rounds + 4) * _sensitivity(W + shift, S, group, moved)
    expected = np.where(mask, group.decode() + shift, 0.0)
    assert compare.bound(moved.decode()[clear], expected[clear], allowed[clear, None]) <= 1


@both_orders
@given(
    seed=seeds(),
    power=st.integers(-40, 40),
    digits=st.sampled_from([0, 12]),
    rounds=st.integers(1, 3),
)
def test_levels_that_no_input_sees_stay(
    port: Port, order: int, seed: int, power: int, digits: int, rounds: int
) -> None:
    """If ``m S mᵀ`` is zero, or rounding, nothing is divided by it: the mean stays."""
    assume(digits == 0 or port.arithmetic.dtype == "float64")
    rng = np.random.default_rng(seed)
    X = np.round(2 * rng.standard_normal((9, 5)), digits)
    X[:, -1] = -X[:, :-1].sum(axis=1)
    W, S = rng.standard_normal((3, 5)), 2.0**power * (X.T @ X)
    start = port.arb_start(W, order=order)
    group = port.arb_x(W, None, S, order=order, config=_config(port, rounds))
    assert compare.exact(group.mean, start.mean) == 0
    assert compare.exact(port.calibrated_mean(W, start, S).mean, start.mean) == 0


@both_orders
@given(problem=problems(), rounds=rounds, start=starts)
def test_only_the_mask_matters(
    port: Port, order: int, problem: Problem, rounds: int, start: str
) -> None:
    """Weights outside the mask change nothing, and decode to zero; so do empty rows."""
    W, mask, S = problem
    for levels in ("alternate", "exact"):
        config = _config(port, rounds, start, levels=levels)
        with np.errstate(divide="raise", invalid="raise"):
            Q = port.arb_x(W, mask, S, order=order, config=config).decode()
        other = port.arb_x(np.where(mask, W, 1e6), mask, S, order=order, config=config)
        assert compare.exact(other.decode(), Q) == 0
        assert np.isfinite(Q).all()
        assert not Q[~mask].any()


@both_orders
@given(problem=problems(), rounds=rounds, seed=seeds())
def test_row_permutation(port: Port, order: int, problem: Problem, rounds: int, seed: int) -> None:
    """Rows are independent; products of matrices may round differently."""
    W, mask, S = problem
    config = _config(port, rounds)
    group = port.arb_x(W, mask, S, order=order, config=config)
    shuffled = np.random.default_rng(seed).permutation(len(W))
    actual = port.arb_x(W[shuffled], mask[shuffled], S, order=order, config=config).decode()
    rows = _well(measures.basis(group), S, port)[shuffled]
    allowed = (4 * _unit(port, W, rounds) * _sensitivity(W, S, group))[shuffled]
    expected = group.decode()[shuffled]
    assert compare.bound(actual[rows], expected[rows], allowed[rows, None]) <= 1


@both_orders
@given(problem=problems(CONTINUOUS), rounds=rounds)
def test_equal_inputs_give_the_weight_error_back(
    port: Port, order: int, problem: Problem, rounds: int
) -> None:
    """With ``S = tI`` the calibrated half steps are those of ARB, signs aside."""
    W, mask, _ = problem
    S = 3 * np.eye(W.shape[1])
    group = expected = port.arb_start(W, mask, order=order)
    allowed = _unit(port, W, rounds) * 8 * np.abs(W).max(axis=1)
    for _ in range(rounds):
        group = port.calibrated_mean(W, group, S)
        expected = port.refine_mean(W, expected)
        for plane in range(order):
            group = port.calibrated_scale(W, group, S, plane)
            expected = port.refine_scale(W, expected, plane)
    assert compare.bound(group.decode(), expected.decode(), allowed[:, None]) <= 1


@both_orders
@given(
    problem=problems((*CONTINUOUS, "integer"), ("iid", "ar0.5", "positive"), 4),
    rounds=st.integers(0, 3),
)
def test_exact_rounds(port: Port, order: int, problem: Problem, rounds: int) -> None:
    """Whole runs against Eq. (11) over the rational numbers, up to decisions near a tie."""
    W, mask, S = port.held(problem[0]), problem[1], port.held(problem[2])
    group = port.arb_x(W, mask, S, order=order, config=_config(port, rounds))
    well = _well(measures.basis(group), S, port)
    near = 4 * _unit(port, W) * np.abs(W).max(axis=1)
    allowed = 4 * _unit(port, W, rounds) * _sensitivity(W, S, group)
    numbers, gram = exact.rational(W), exact.rational(S)
    for i in np.flatnonzero(well & mask.any(axis=1)):
        kept = mask[i]
        state = exact_arb.start(list(numbers[i][kept]), order)
        if state.margin <= near[i]:
            continue
        inner = gram[np.ix_(kept, kept)].tolist()
        state = exact_arb.calibrated(list(numbers[i][kept]), inner, state, rounds)
        values = exact.floats([state.value(j) for j in range(kept.sum())])
        assert compare.bound(group.decode()[i, kept], values, allowed[i]) <= 1


@both_orders
@given(problem=problems(("integer", "tied"), ("integer",), 8))
def test_exact_sums(port: Port, order: int, problem: Problem) -> None:
    """``G = e S eᵀ`` and ``g = e S wᵀ`` over whole numbers, where nothing is rounded."""
    W, mask, H = problem
    S = np.round(H)
    assume(port.holds(22))
    group = port.arb_start(W, mask, order=order)
    G, g = port.calibrated_sums(W, group, S)
    e, gram = measures.basis(group), exact.rational(S)
    for i in range(len(W)):
        rows = [exact.rational(e[p, i]) for p in range(order + 1)]
        own = exact.rational(W[i])
        expected = exact.rational(np.zeros((order + 1, order + 2)))
        for p, q in itertools.product(range(order + 1), range(order + 1)):
            expected[p, q] = Fraction(rows[p].dot(gram).dot(rows[q]))
        for p in range(order + 1):
            expected[p, -1] = Fraction(rows[p].dot(gram).dot(own))
        assert compare.exact(np.column_stack([G[i], g[i]]), exact.floats(expected)) == 0


@given(problem=problems(CONTINUOUS), eps=st.sampled_from([0.25, 0.5]))
def test_eps_is_added_to_the_denominator(port: Port, problem: Problem, eps: float) -> None:
    """``e S restᵀ / (e S eᵀ + ε)``; a relative eps is a share of the mean of all rows."""
    W, mask, S = problem
    start = port.arb_start(W, mask)
    e = measures.basis(start)
    squares = np.sum((e @ S) * e, axis=2)
    rows = _well(e, S, port)
    steps = {0: port.calibrated_mean, 1: port.calibrated_scale}
    allowed = 4 * _unit(port, W) * _sensitivity(W, S, start)
    for p, step in steps.items():
        plain = measures.levels(step(W, start, S))[:, p]
        for kind, added in (("absolute", eps), ("relative", eps * squares[p].mean())):
            actual = measures.levels(step(W, start, S, eps=eps, eps_kind=kind))[:, p]
            expected = plain[rows] * squares[p][rows] / (squares[p][rows] + added)
            assert compare.bound(actual[rows], expected, allowed[rows]) <= 1


@given(
    sizes=st.tuples(*(st.integers(1, n) for n in (9, 7, 4, 3, 6))),
    seed=seeds(),
)
def test_theorem_2_by_counting(port: Port, sizes: tuple[int, ...], seed: int) -> None:
    """Theorem 2: the multiplications of both forms, counted while they compute the same errors."""
    n, k, times, batch, length = sizes
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((n, k))
    images = [rng.standard_normal((n, k)) for _ in range(times)]
    X = rng.standard_normal((batch * length, k))
    direct, gram = counting.counted(X), counting.counted(X)
    errors = counting.from_inputs(W, images, direct)
    unit = port.gamma(8 * (n + k + len(X)))
    natural = [float(np.sum((np.abs(W - Q) @ np.abs(X).T) ** 2)) for Q in images]
    allowed = unit * np.array(natural)
    assert compare.bound(counting.from_gram(W, images, gram), errors, allowed) <= 1
    assert compare.bound([port.calibrated_error(W, Q, X) for Q in images], errors, allowed) <= 1
    S = X.T @ X
    traces = [port.calibrated_error_trace(W, Q, S) for Q in images]
    assert compare.bound(traces, errors, allowed) <= 1
    ratio = port.gram_cost_ratio(n, k, times, batch, length)
    assert ratio == pytest.approx(direct.tally[0] / gram.tally[0], rel=1e-12)
