"""Stepwise pruning: schedules, steps and their symmetries.

The names are those of the property catalog. False claims about stepwise pruning have
counterexamples in `tests/counterexamples/test_pbs2p.py`.
"""

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import CONTINUOUS, LIVE, Activations, Array, Mask, Weights
from subbit.conformance.inputs.strategies import masks, matrices, seeds
from subbit.conformance.oracles import measures
from subbit.conformance.target import Port

Problem = tuple[Array, Mask, Array]
patterns = st.sampled_from([(1, 2), (2, 4), (4, 8), (6, 8), (3, 3)])
schedules = st.sampled_from(["element", "parts", "one"])
both_orders = pytest.mark.parametrize("order", [1, 2])
GROUP = 4


@st.composite
def problems(draw: st.DrawFn, families: tuple[str, ...] = CONTINUOUS) -> Problem:
    """Weights of whole groups of four, a mask, and a Gram matrix of more tokens than inputs."""
    k = GROUP * draw(st.integers(1, 4))
    W = Weights(draw(st.sampled_from(families)), draw(seeds()), (draw(st.integers(1, 4)), k))
    X = Activations(draw(st.sampled_from(LIVE)), draw(seeds()), (2, k + 4, k))
    return W.values, draw(masks()).of(W.shape), X.hessian


def _config(port: Port, **switches: Any) -> Any:
    return port.SPBO(keep=(2, GROUP), calibrated_iterations=3).changed(**switches)


def _masks(port: Port, W: Array, schedule: str = "element", **switches: Any) -> Mask:
    scores = np.abs(W) + 1.0
    return np.asarray(port.spbo_schedule(scores, 2, GROUP, schedule=schedule, **switches))


def _errors(W: Array, cell: Mask, group: Any, S: Array) -> Array:
    R = np.where(cell, W, 0.0) - group.decode()
    return np.asarray(np.sum((R @ S) * R, axis=1))


def _reach(W: Array, cell: Mask, *groups: Any) -> Array:
    """Bound on everything that a row of a group is computed from."""
    levels = sum(np.abs(measures.levels(group)).sum(axis=1) for group in groups)
    own = np.where(cell, np.abs(W), 0.0)
    return np.asarray(np.where(cell, own + own.max(axis=1)[:, None] + levels[:, None], 0.0))


def _sensitivity(W: Array, cell: Mask, S: Array, *groups: Any) -> tuple[Array, Array]:
    """How far one unit of rounding moves each level, and each error of a row."""
    u, e = _reach(W, cell, *groups), measures.basis(groups[-1])
    terms = np.sum((np.abs(e) @ np.abs(S)) * u, axis=2)
    squares = np.sum((e @ S) * e, axis=2)
    off = np.where(squares > 0, terms / np.where(squares > 0, squares, 1.0), 0.0)
    return off.sum(axis=0), np.sum((u @ np.abs(S)) * u, axis=1) + np.sum(squares * off**2, axis=0)


def _well(port: Port, group: Any, S: Array) -> Mask:
    """Rows whose small system is far from singular, or has no entries."""
    e = measures.basis(group)
    G = np.einsum("pij,qij->ipq", e @ S, e)
    size = np.sqrt(np.einsum("ipp->ip", G))
    usable = (size > 0).all(axis=1)
    size[~usable] = 1.0
    least = np.linalg.eigvalsh(G / (size[:, :, None] * size[:, None, :]))[:, 0]
    return np.asarray((usable & (least > 64 * port.gamma(64))) | ~(size > 0).any(axis=1))


@given(
    matrix=matrices(columns=(1, 24)),
    pattern=patterns,
    schedule=schedules,
    parts=st.integers(1, 5),
)
def test_B1_schedules_are_nested_and_end_at_N_of_M(
    port: Port, matrix: Weights, pattern: tuple[int, int], schedule: str, parts: int
) -> None:
    """B1: masks shrink, each entry is removed once, and the last mask is N:M."""
    scores, (keep, group) = port.held(np.abs(matrix.values)), pattern
    found = np.asarray(
        port.spbo_schedule(scores, keep, group, schedule=schedule, parts=parts, tail="dense"),
        dtype=bool,
    )
    assert len(found) == {"element": group - keep, "parts": parts, "one": 1}[schedule]
    last = np.asarray(port.nm_mask(scores, keep, group, tail="dense"), dtype=bool)
    taken = ~found & np.concatenate([np.ones((1, *scores.shape), dtype=bool), found])[:-1]
    assert compare.exact(taken.sum(axis=0), (~last).astype(int) * min(len(found), 1)) == 0
    if len(found):
        assert compare.exact(found[-1], last) == 0
    if schedule == "element":
        whole = scores.shape[1] // group * group
        shape = (len(found), len(scores), whole // group, group)
        counts = found[:, :, :whole].reshape(shape).sum(axis=3)
        expected = group - 1 - np.arange(len(found))[:, None, None] + 0 * counts
        assert compare.exact(counts, expected) == 0


@given(matrix=matrices(columns=(1, 24)), parts=st.integers(1, 5))
def test_B1_parts_are_equal_and_ascend(port: Port, matrix: Weights, parts: int) -> None:
    """B1: each part removes 1/τ of the pruned entries, and no larger score before a smaller one."""
    scores = port.held(np.abs(matrix.values))
    found = port.spbo_schedule(scores, 1, 2, schedule="parts", parts=parts, tail="dense")
    kept = np.concatenate([np.ones((1, *scores.shape)), found]).astype(bool)
    taken = kept[:-1] & ~kept[1:]
    sizes = taken.sum(axis=(1, 2))
    assert sizes.max() - sizes.min() <= 1
    for now, later in itertools.combinations(taken, 2):
        assert np.max(scores[now], initial=0.0) <= np.min(scores[later], initial=np.inf)


@both_orders
@pytest.mark.parametrize("mean", ["masked", "shared"])
@given(problem=problems(), signs=st.sampled_from(["frozen", "resigned"]), schedule=schedules)
def test_B2_pruned_entries_are_zero_or_the_mean(
    port: Port, order: int, mean: str, problem: Problem, signs: str, schedule: str
) -> None:
    """B2: exactly zero, or exactly the shared mean."""
    W, cell, S = problem
    nested, config = _masks(port, W, schedule), _config(port, mean=mean, signs=signs)
    group = port.spbo(W, cell, nested, S, order=order, config=config)
    pruned, values = cell & ~nested[-1].astype(bool), np.asarray(group.decode())
    wanted = np.zeros(W.shape)
    if mean == "shared":
        wanted += np.asarray(group.mean, dtype=np.float64)[:, None]
    assert compare.exact(values[pruned], wanted[pruned]) == 0
    assert not values[~cell].any()


@both_orders
@pytest.mark.parametrize("levels", ["alternate", "exact"])
@given(problem=problems(), mean=st.sampled_from(["masked", "shared"]), schedule=schedules)
def test_B3_no_fit_raises_the_error(
    port: Port, order: int, levels: str, problem: Problem, mean: str, schedule: str
) -> None:
    """B3 and B8: for a fixed mask a fit lowers the error of every row, pruned entries included."""
    W, cell, S = problem
    config = _config(port, mean=mean, levels=levels)
    steps = list(port.spbo_steps(W, cell, _masks(port, W, schedule), S, order=order, config=config))
    for (_, before), (name, after) in itertools.pairwise(steps):
        if name == "levels":
            rows = np.ones(len(W), dtype=bool) if levels == "alternate" else _well(port, after, S)
            slack = _sensitivity(W, cell, S, before, after)[1] * port.gamma(64 * W.shape[1])
            error, limit = (_errors(W, cell, group, S) for group in (after, before))
            assert compare.objective(error[rows], limit[rows], slack[rows]) <= 1


@given(seed=seeds(), pairs=st.integers(2, 8), rows=st.integers(1, 4))
def test_B5_when_fewer_entries_are_better(port: Port, seed: int, pairs: int, rows: int) -> None:
    """B5: the error is ``Σ w² - (Σ_K |w|)² / |K|``, so K beats all by its mean magnitude.

    Rows of pairs ±w, pruned pair by pair, have mean zero.
    """
    rng = np.random.default_rng(seed)
    half = port.held(rng.lognormal(size=(rows, pairs)))
    W, S = np.hstack([half, -half]), np.eye(2 * pairs)
    kept = np.ones((rows, pairs), dtype=bool)
    kept[:, rng.integers(1, pairs) :] = False
    K = np.hstack([kept, kept])
    config, start = _config(port, levels="exact"), port.arb_start(W)
    error = {}
    for name, mask in (("K", K), ("all", np.ones_like(K))):
        group = port.spbo_step(W, start, mask, S, config=config)
        error[name] = _errors(W, np.ones_like(K), group, S)
        sums = np.sum(np.abs(W) * mask, axis=1) ** 2 / mask.sum(axis=1)
        slack = port.gamma(64 * pairs) * 8 * np.sum(W**2, axis=1) * pairs
        assert compare.bound(error[name], np.sum(W**2, axis=1) - sums, slack) <= 1
    gain = np.sum(np.abs(W) * K, axis=1) ** 2 / K.sum(axis=1) - (
        np.sum(np.abs(W), axis=1) ** 2 / W.shape[1]
    )
    clear = np.abs(gain) > 2 * slack
    assert ((error["K"] < error["all"]) == (gain > 0))[clear].all()


@both_orders
@given(problem=problems(), mean=st.sampled_from(["masked", "shared"]))
def test_B7_with_frozen_signs_and_exact_levels_steps_do_not_count(
    port: Port, order: int, problem: Problem, mean: str
) -> None:
    """B7, the true part: only the last mask matters, so τ steps give the result of one."""
    W, cell, S = problem
    config = _config(port, levels="exact", mean=mean)
    found = [
        port.spbo(W, cell, _masks(port, W, schedule), S, order=order, config=config)
        for schedule in ("element", "parts", "one")
    ]
    rows = _well(port, found[0], S)
    e = measures.basis(found[0])
    correlated = 1.0 + np.abs(np.einsum("pij,qij->ipq", e @ S, e)).sum(axis=(1, 2))
    allowed = port.gamma(64 * W.shape[1]) * _sensitivity(W, cell, S, *found)[0]
    for group in found[1:]:
        for own, first in zip(group.planes, found[0].planes, strict=True):
            assert compare.exact(own.sign, first.sign) == 0
        if port.arithmetic.dtype == "float64":
            assert compare.exact(group.decode(), found[0].decode()) == 0
        assert (
            compare.bound(
                group.decode()[rows], found[0].decode()[rows], (allowed * correlated)[rows, None]
            )
            <= 1
        )


@both_orders
@given(problem=problems(), power=st.integers(-6, 6), signs=st.sampled_from(["frozen", "resigned"]))
def test_B10_rows_scale(port: Port, order: int, problem: Problem, power: int, signs: str) -> None:
    """B10: ``diag(s) W`` gives ``diag(s) Ŵ``, bit for bit for powers of two."""
    W, cell, S = problem
    nested = _masks(port, W)
    s = 2.0 ** (power * (np.arange(len(W)) % 3 - 1))[:, None]
    for levels in ("alternate", "exact"):
        config = _config(port, levels=levels, signs=signs)
        expected = s * port.spbo(W, cell, nested, S, order=order, config=config).decode()
        actual = port.spbo(s * W, cell, nested, S, order=order, config=config).decode()
        assert compare.exact(actual, expected) == 0


@given(problem=problems(), seed=seeds(), mean=st.sampled_from(["masked", "shared"]))
def test_B10_rows_permute_and_change_sign(
    port: Port, problem: Problem, seed: int, mean: str
) -> None:
    """B10: permuting rows permutes, and with fixed signs ``-W`` gives ``-Ŵ``."""
    W, cell, S = problem
    nested, config = _masks(port, W), _config(port, mean=mean)
    group = port.spbo(W, cell, nested, S, config=config)
    order = np.random.default_rng(seed).permutation(len(W))
    permuted = port.spbo(W[order], cell[order], nested[:, order], S, config=config)
    allowed = 4 * port.gamma(64 * W.shape[1]) * _sensitivity(W, cell, S, group)[0]
    expected = np.asarray(group.decode())
    assert compare.bound(permuted.decode(), expected[order], allowed[order, None]) <= 1
    turned = port.spbo(-W, cell, nested, S, config=config)
    # A sign of zero does not flip.
    first = [port.arb_start(sign * W, cell).planes[0].sign for sign in (1, -1)]
    rows = np.all(first[0] == -first[1], axis=1)
    assert compare.exact(np.asarray(turned.decode())[rows], -expected[rows]) == 0


@st.composite
def permutations(draw: st.DrawFn, width: int) -> Array:
    """A permutation of groups, and of the columns within each."""
    groups = draw(st.permutations(range(width // GROUP)))
    inner = [draw(st.permutations(range(GROUP))) for _ in groups]
    return np.array(
        [GROUP * g + j for g, own in zip(groups, inner, strict=True) for j in own], dtype=np.intp
    )


@given(problem=problems(), data=st.data(), mean=st.sampled_from(["masked", "shared"]))
def test_B10_columns_permute_within_and_between_groups(
    port: Port, problem: Problem, data: st.DataObject, mean: str
) -> None:
    """B10: groups of M columns may be permuted, and the columns of each; the rest follows."""
    W, cell, S = problem
    order, config = data.draw(permutations(W.shape[1])), _config(port, mean=mean)
    nested = _masks(port, W)
    assert compare.exact(_masks(port, W[:, order]), nested[:, :, order]) == 0
    group = port.spbo(W, cell, nested, S, config=config)
    moved = port.spbo(
        W[:, order], cell[:, order], nested[:, :, order], S[np.ix_(order, order)], config=config
    )
    signs = [
        port.arb_start(V, C).planes[0].sign for V, C in ((W, cell), (W[:, order], cell[:, order]))
    ]
    rows = np.all(np.asarray(signs[0])[:, order] == np.asarray(signs[1]), axis=1)
    rows &= _well(port, group, S)
    allowed = 8 * port.gamma(64 * W.shape[1]) * _sensitivity(W, cell, S, group, moved)[0]
    expected = np.asarray(group.decode())[:, order]
    assert compare.bound(moved.decode()[rows], expected[rows], allowed[rows, None]) <= 1


@given(problem=problems(), seed=seeds())
def test_B10_rows_shift_with_a_shared_mean(port: Port, problem: Problem, seed: int) -> None:
    """B10: with a shared mean and masks that do not depend on it, ``W + s`` gives ``Ŵ + s``."""
    W, cell, S = problem
    s = np.random.default_rng(seed).integers(-3, 4, (len(W), 1)).astype(np.float64)
    nested, config = _masks(port, W), _config(port, mean="shared", levels="exact")
    group, moved = (port.spbo(V, cell, nested, S, config=config) for V in (W, W + s))
    same = np.all(np.asarray(group.planes[0].sign) == np.asarray(moved.planes[0].sign), axis=1)
    rows = same & _well(port, group, S)
    e = measures.basis(group)
    correlated = 1.0 + np.abs(np.einsum("pij,qij->ipq", e @ S, e)).sum(axis=(1, 2))
    unit = port.gamma(64 * W.shape[1])
    allowed = unit * correlated * _sensitivity(np.abs(W) + np.abs(s), cell, S, group, moved)[0]
    expected = np.where(cell, np.asarray(group.decode()) + s, 0.0)
    assert compare.bound(moved.decode()[rows], expected[rows], allowed[rows, None]) <= 1


@given(problem=problems(), mean=st.sampled_from(["masked", "shared"]))
def test_signs_that_are_recomputed_are_the_best_for_their_levels(
    port: Port, problem: Problem, mean: str
) -> None:
    """``B = sign(W - μ)`` on what is kept, for the levels of the same state."""
    W, cell, S = problem
    nested, config = _masks(port, W), _config(port, signs="resigned", mean=mean)
    kept = cell
    masks_left = iter(np.asarray(nested, dtype=bool))
    for name, group in port.spbo_steps(W, cell, nested, S, config=config):
        kept = cell & next(masks_left) if name == "prune" else kept
        if name == "signs":
            mean_of = np.asarray(group.mean, dtype=np.float64)[:, None]
            clear = kept & (np.abs(W - mean_of) > port.gamma(4) * (np.abs(W) + np.abs(mean_of)))
            signs = np.asarray(group.planes[0].sign)
            assert compare.exact(signs[clear], np.sign(W - mean_of)[clear]) == 0
            assert not signs[~kept].any()


@both_orders
@given(
    problem=problems(),
    signs=st.sampled_from(["frozen", "resigned"]),
    mean=st.sampled_from(["masked", "shared"]),
)
def test_a_run_is_its_steps(
    port: Port, order: int, problem: Problem, signs: str, mean: str
) -> None:
    """A run is the fit of the start, then step after step; the last state is its result."""
    W, cell, S = problem
    nested, config = _masks(port, W), _config(port, signs=signs, mean=mean)
    states = list(port.spbo_steps(W, cell, nested, S, order=order, config=config))
    group = port.spbo(W, cell, nested, S, order=order, config=config)
    own = np.where(cell, W, 0.0)
    step = states[0][1]
    for keep in (np.ones_like(cell), *nested):
        step = port.spbo_step(own, step, keep, S, config=config)
    for last in (states[-1][1], step):
        assert compare.exact(last.mask, group.mask) == 0
        for plane, wanted in zip(last.planes, group.planes, strict=True):
            assert compare.exact(plane.sign, wanted.sign) == 0
        assert compare.exact(last.decode(), group.decode()) == 0


@given(
    W=st.lists(st.integers(-8, 8), min_size=4, max_size=4),
    root=st.lists(st.integers(-3, 3), min_size=16, max_size=16),
    pruned=st.integers(0, 3),
    mean=st.sampled_from(["masked", "shared"]),
)
def test_exact_levels_over_rational_numbers(
    port: Port, W: list[int], root: list[int], pruned: int, mean: str
) -> None:
    """The 2 x 2 system of a row, solved over rational numbers."""
    A = np.array(root, dtype=np.float64).reshape(4, 4) + 4.0 * np.eye(4)
    w, S, keep = np.array([W], dtype=np.float64), A.T @ A, np.arange(4)[None] != pruned
    start = port.arb_start(w)
    group = port.spbo_step(w, start, keep, S, config=_config(port, levels="exact", mean=mean))
    b = [Fraction(int(s)) * int(k) for s, k in zip(start.planes[0].sign[0], keep[0], strict=True)]
    m = [Fraction(int(k) if mean == "masked" else 1) for k in keep[0]]
    s = [[Fraction(x) for x in row] for row in S]
    x = [Fraction(v) for v in W]

    def form(left: list[Fraction], right: list[Fraction]) -> Fraction:
        return sum((left[i] * s[i][j] * right[j] for i in range(4) for j in range(4)), Fraction(0))

    (a, c, d), (p, q) = (form(m, m), form(m, b), form(b, b)), (form(m, x), form(b, x))
    det = a * d - c * c
    if det == 0 or det * 2**10 < a * d:
        return
    levels = [float((p * d - q * c) / det), float((q * a - p * c) / det)]
    found = measures.levels(group)[0]
    worst = float(a * d / det) * (np.abs(A).sum() ** 2) * np.abs(w).max()
    assert compare.bound(found, levels, np.full(2, port.gamma(64) * max(worst, 1e-300))) <= 1
