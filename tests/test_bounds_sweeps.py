"""Bounds of groups that are fitted to each other, and of where such fits may start."""

import numpy as np
import pytest

from subbit import reference
from subbit.conformance.inputs.families import WEIGHTS
from subbit.reference.bounds.groups.arb_runs import arb_any_signs_bound
from subbit.reference.bounds.groups.arb_sweeps import swept_levels_bound
from subbit.reference.bounds.groups.refinement import RoundedLevels
from subbit.reference.bounds.rounding import Arithmetic, Rounded
from subbit.reference.groups.refinement import Refinement
from subbit.reference.groups.together import sweep_groups

DOUBLE, SINGLE = Arithmetic(), Arithmetic("float32")
ROUNDS = 4


def arb_with_doubts(W, order, rounds, rng):
    """ARB, where a sign that lies near its tie goes either way; every level on the way."""
    kept, levels, rest = [], np.zeros(order + 1), W.copy()
    signs = np.ones((order + 1, len(W)))
    for p in range(1, order + 1):
        mean = rest.mean()
        levels[0] += mean
        rest = rest - mean
        signs[p] = np.where(rest >= 0, 1.0, -1.0)
        levels[p] = np.abs(rest).mean()
        rest = rest - levels[p] * signs[p]
    for _ in range(rounds):
        for p in range(order + 1):
            levels[p] += signs[p] @ (W - levels @ signs) / len(W)
            kept.append(levels.copy())
        options = np.array(np.meshgrid(*[[-1.0, 1.0]] * order)).reshape(order, -1)
        far = np.abs(W[:, None] - levels[0] - levels[1:] @ options)
        near = far <= far.min(axis=1, keepdims=True) + 1e-3 * np.abs(W).max()
        choice = np.argmax(near * rng.random(near.shape), axis=1)
        signs[1:] = options[:, choice]
    return np.abs(kept)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("family", ["gauss", "t3", "shifted", "tied", "spiky", "outlier_columns"])
def test_levels_of_arb_stay_within_their_bound_whatever_signs_are_decided(family, order):
    rng, config = np.random.default_rng(7), Refinement(iterations=ROUNDS)
    reached = 0.0
    for width in (*range(1, 7), 9, 20):
        for _ in range(20):
            W = WEIGHTS[family](rng, (1, width))
            everything = np.ones(W.shape, dtype=bool)
            bound = arb_any_signs_bound(DOUBLE.read(W), everything, order=order, config=config)
            found = arb_with_doubts(W[0], order, ROUNDS, rng).max(axis=0)
            assert np.all(found <= bound.error[0])
            reached = max(reached, np.max(found / np.maximum(bound.error[0], 1e-300)))
    # A bound of twice what is proven for exact arithmetic; one of a tenth would be exceeded.
    assert 0.05 < reached <= 0.5 + 1e-9


def test_no_bound_where_its_proof_does_not_hold():
    W = DOUBLE.read(np.ones((2, 3)))
    for changed in ({"eps": 0.1}, {"sign_zero": 0}, {"levels": "exact"}):
        config = Refinement(**changed)
        assert np.isinf(arb_any_signs_bound(W, W.value > 0, order=1, config=config).error).all()
    half = Arithmetic("float16").read(np.ones((2, 3)))
    made = arb_any_signs_bound(half, half.value > 0, order=2, config=Refinement())
    assert np.isinf(made.error).all()


def drawn(seed, rows=3, width=12):
    """Weights, inputs and two groups of a block, one of them with a row of a single entry."""
    rng = np.random.default_rng(seed)
    W, X = rng.standard_normal((rows, width)), rng.standard_normal((30, width))
    S = X.T @ (X + 0.5 * X[:, ::-1])
    first = rng.random((rows, width)) < 0.5
    first[0] = np.arange(width) == 3
    groups = [reference.arb_start(W, first, order=2), reference.arb_start(W, ~first)]
    return W, (S + S.T) / 2 + 20.0 * np.eye(width), groups


def swept(W, S, groups, levels, *, sweeps, config, dtype):
    """Fit the levels of each group in turn, in another type."""
    W, S = (np.asarray(x, dtype=dtype) for x in (W, S))
    bases = [np.asarray(RoundedLevels.of(g, DOUBLE).basis, dtype=dtype) for g in groups]
    levels = [np.asarray(x, dtype=dtype) for x in levels]
    images = [np.einsum("ip,pij->ij", x, e) for x, e in zip(levels, bases, strict=True)]
    for _ in range(sweeps):
        for g, basis in enumerate(bases):
            target = W - sum(image for h, image in enumerate(images) if h != g)
            products = np.einsum("pij,jl->pil", basis, S)
            G = np.einsum("pil,qil->ipq", products, basis)
            right = np.einsum("pil,il->ip", products, target)
            for _ in range(config.calibrated_iterations):
                for p in range(len(basis)):
                    rest = right[:, p] - (G[:, p] * levels[g]).sum(axis=1)
                    rest += G[:, p, p] * levels[g][:, p]
                    here = G[:, p, p] > 0
                    fitted = rest / np.where(here, G[:, p, p], 1)
                    levels[g][:, p] = np.where(here, fitted, levels[g][:, p])
            images[g] = np.einsum("ip,pij->ij", levels[g], basis)
    return levels, images


def started(groups, arithmetic, error=0.0):
    made = [RoundedLevels.of(g, arithmetic) for g in groups]
    return [RoundedLevels.at(g.basis, g.levels.widen(error)) for g in made]


@pytest.mark.parametrize("sweeps", [1, 3])
@pytest.mark.parametrize("seed", range(6))
def test_bound_covers_float32_and_is_not_idle(seed, sweeps):
    W, S, groups = drawn(seed)
    config = Refinement(calibrated_iterations=ROUNDS)
    W, S = (np.asarray(x, np.float32).astype(np.float64) for x in (W, S))
    given = started(groups, SINGLE)
    made = swept_levels_bound(SINGLE.read(W), given, SINGLE.read(S), sweeps=sweeps, config=config)
    levels = [g.levels.value for g in given]
    exact, _ = swept(W, S, groups, levels, sweeps=sweeps, config=config, dtype=np.longdouble)
    rough, images = swept(W, S, groups, levels, sweeps=sweeps, config=config, dtype=np.float32)
    right = sweep_groups(W, groups, S, sweeps=sweeps, config=config)
    for g, true, found, image, group in zip(made, exact, rough, images, right, strict=True):
        assert np.allclose(g.levels.value, true.astype(float), rtol=0, atol=1e-11)
        assert np.allclose(RoundedLevels.of(group, DOUBLE).levels.value, true.astype(float))
        off = np.abs(found - true).astype(float)
        assert np.all(off <= g.levels.error)
        assert off.max() > 1e-4 * np.median(g.levels.error)
        assert np.all(np.abs(image - g.decoded.value) <= g.decoded.error + 1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_where_fits_start_hardly_matters_and_the_bound_says_so(seed):
    """In longdouble, so that nothing but the start differs."""
    rng = np.random.default_rng(seed)
    W, S, groups = drawn(seed)
    config, wide = Refinement(calibrated_iterations=15), 12.0
    given = started(groups, DOUBLE, wide)
    made = swept_levels_bound(DOUBLE.read(W), given, DOUBLE.read(S), sweeps=3, config=config)
    for _ in range(20):
        starts = [g.levels.value + wide * rng.choice([-1.0, 1.0], g.levels.shape) for g in given]
        levels, images = swept(W, S, groups, starts, sweeps=3, config=config, dtype=np.longdouble)
        for g, found, image in zip(made, levels, images, strict=True):
            assert np.all(np.abs(found - g.levels.value) <= g.levels.error)
            assert np.all(np.abs(image - g.decoded.value) <= g.decoded.error)
    # A single entry does not determine three levels, but what they decode to.
    assert made[0].levels.error[0].max() > 1.0
    assert made[0].decoded.error.max() < 1.0
    assert np.median(made[0].decoded.error[groups[0].mask]) < 0.1
    assert made[1].levels.error.max() < 1.0


def test_a_forgotten_group_would_not_be_covered():
    W, S, groups = drawn(0)
    config = Refinement(calibrated_iterations=ROUNDS)
    given = started(groups, SINGLE)
    made = swept_levels_bound(SINGLE.read(W), given, SINGLE.read(S), sweeps=2, config=config)
    alone = [reference.calibrate_levels(W, group, S, config=config) for group in groups]
    for g, group in zip(made, alone, strict=True):
        found = RoundedLevels.of(group, DOUBLE).levels.value
        assert np.any(np.abs(found - g.levels.value) > g.levels.error)


def test_weights_known_to_less_widen_the_bound():
    W, S, groups = drawn(1)
    config, given = Refinement(calibrated_iterations=ROUNDS), started(groups, DOUBLE)
    known = DOUBLE.read(W)
    less = Rounded(known.value, known.error + 1e-3, DOUBLE)
    narrow, wide = (
        swept_levels_bound(x, given, DOUBLE.read(S), sweeps=1, config=config)[1].levels.error
        for x in (known, less)
    )
    assert np.all(wide > narrow + 1e-4)
