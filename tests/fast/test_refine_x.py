"""ARB-X against the reference: scalars, direct half steps, and their sums."""

import numpy as np
import pytest
from fast_inputs import NASTY, hessian, mask, single, smooth

from subbit import reference
from subbit.fast.launches import arb_x as refine_x
from subbit.fast.launches import depths
from subbit.reference import Refinement, calibrated_error_trace
from subbit.reference.errors import ArgumentError

every_order = pytest.mark.parametrize("order", [1, 2])
SWITCHES = {
    "paper": Refinement(iterations=2, calibrated_iterations=6),
    "code": Refinement(iterations=3, calibrated_start="refined", calibrated_eps=1e-10),
    "relative": Refinement(calibrated_eps=0.25, eps_kind="relative"),
    "exact": Refinement(iterations=2, levels="exact"),
    "large eps": Refinement(sign_zero=0, calibrated_eps=0.5, calibrated_iterations=5),
}


def low_rank(k):
    X = smooth((3, k))
    return X.T @ X


GRAMS = {
    "smooth": hessian,
    "dead": lambda k: hessian(k, dead=range(0, k, 4)),
    "low rank": low_rank,
    "large": lambda k: 1e30 * hessian(k),
    "small": lambda k: 1e-30 * hessian(k),
    "zero": lambda k: np.zeros((k, k)),
}


def error(W, group, S):
    return calibrated_error_trace(np.where(group.mask, W, 0.0), group.decode(), S)


def energy(W, M, S):
    own = np.where(M, W, 0.0)
    return np.sum((own @ S) * own)


@pytest.mark.parametrize("family", NASTY)
@every_order
@pytest.mark.parametrize("switch", SWITCHES)
def test_arb_x_reaches_the_error_of_the_reference(port, family, order, switch):
    W, M, S = single(NASTY[family]((9, 45))), mask((9, 45)), single(hessian(45))
    ours = port.arb_x(W, M, S, order=order, config=SWITCHES[switch])
    theirs = reference.arb_x(W, M, S, order=order, config=SWITCHES[switch])
    assert abs(error(W, ours, S) - error(W, theirs, S)) <= 1e-4 * energy(W, M, S)
    assert np.max(np.abs(ours.decode() - theirs.decode())) <= 1e-2 * np.abs(W).max()


@pytest.mark.parametrize("kind", GRAMS)
@every_order
@pytest.mark.parametrize("switch", SWITCHES)
def test_every_gram_matrix(port, kind, order, switch):
    """Differences below float32's resolution move levels, but hardly the error."""
    W, M, S = single(smooth((5, 45))), mask((5, 45)), single(GRAMS[kind](45))
    ours = port.arb_x(W, M, S, order=order, config=SWITCHES[switch])
    theirs = reference.arb_x(W, M, S, order=order, config=SWITCHES[switch])
    assert abs(error(W, ours, S) - error(W, theirs, S)) <= 1e-2 * energy(W, M, S)
    if kind not in {"low rank", "dead"} or switch != "exact":
        assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-3, atol=1e-3)


@every_order
@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("shape", [(5, 1), (40, 70), (3, 150)], ids=str)
def test_half_steps_end_where_the_scalars_do(port, order, switch, shape):
    W, M, S = smooth(shape), mask(shape), hessian(shape[1])
    *_, (_, direct) = port.arb_x_steps(W, M, S, order=order, config=SWITCHES[switch])
    scalar = port.arb_x(W, M, S, order=order, config=SWITCHES[switch])
    assert np.allclose(direct.decode(), scalar.decode(), rtol=1e-4, atol=1e-4)


@every_order
def test_half_steps_are_those_of_the_reference(port, order):
    W, M, S = single(smooth((9, 45))), mask((9, 45)), single(hessian(45))
    config = Refinement(calibrated_iterations=2)
    names = []
    for name, step in reference.arb_x_steps(W, M, S, order=order, config=config):
        names.append(name)
        group = step.with_scales("float32")
        ours, theirs = port.calibrated_mean(W, group, S), reference.calibrated_mean(W, group, S)
        assert np.allclose(ours.mean, theirs.mean, atol=1e-5)
        for p in range(order):
            ours = port.calibrated_scale(W, group, S, p, eps=1e-3, eps_kind="relative")
            theirs = reference.calibrated_scale(W, group, S, p, eps=1e-3, eps_kind="relative")
            assert np.allclose(ours.planes[p].row_scale, theirs.planes[p].row_scale, atol=1e-5)
    ours = [name for name, _ in port.arb_x_steps(W, M, S, order=order, config=config)]
    assert ours == names


@every_order
def test_sums_count_what_lies_outside_of_the_group(port, order):
    W, M, S = single(smooth((9, 45))), mask((9, 45)), single(hessian(45))
    group = reference.arb_start(W, M, order=order)
    for ours, theirs in zip(
        port.calibrated_sums(W, group, S), reference.calibrated_sums(W, group, S), strict=True
    ):
        assert ours.shape == theirs.shape
        depth = depths.product(45) + depths.row(45) + 2
        largest = 45**2 * np.abs(S).max() * max(1, np.abs(W).max())
        assert np.all(np.abs(ours - theirs) <= depth * 2.0**-24 * largest)
    coupled = port.calibrate_levels(W, group, S).decode()
    assert np.allclose(coupled, reference.calibrate_levels(W, group, S).decode(), atol=1e-4)
    own = port.calibrate_levels(np.where(M, W, 0.0), group, S).decode()
    assert not np.allclose(own, coupled, atol=1e-2)


def test_a_large_common_part_costs_no_digits(port):
    W, S = single(smooth((6, 64)) + 1000.0), single(hessian(64))
    ours, theirs = port.arb_x(W, None, S), reference.arb_x(W, None, S)
    assert np.allclose(ours.planes[0].row_scale, theirs.planes[0].row_scale, atol=1e-3)


def test_eps_draws_levels_towards_zero(port):
    W, S = single(smooth((6, 40)) + 3.0), single(hessian(40))
    for eps, kind in [(1.0, "relative"), (0.5, "relative"), (1.0, "absolute")]:
        config = Refinement(calibrated_eps=eps, eps_kind=kind, calibrated_iterations=3)
        gram = S if kind == "relative" else S / 2000
        ours = port.arb_x(W, None, gram, config=config)
        theirs = reference.arb_x(W, None, gram, config=config)
        assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-4, atol=1e-4)
        assert np.abs(ours.mean).max() < 2.5


def balanced(seed):
    """A Gram matrix of inputs of which the last three add up to nothing, but for rounding."""
    X = smooth((50, 6), seed)
    X[:, 5] = -X[:, 3] - X[:, 4]
    return single(X.T @ X)


def test_a_mean_whose_denominator_is_rounding_stays(port):
    M = np.array([[False] * 3 + [True] * 3])
    W = single(smooth((1, 6)))
    start = port.arb_start(W, M)
    for seed in range(8):
        assert np.array_equal(port.calibrated_mean(W, start, balanced(seed)).mean, start.mean)
        levels = port.calibrate_levels(W, start, balanced(seed))
        assert np.abs(levels.decode()).max() < 10
    S = np.diag([1.0, 1.0, 1.0, 1.0, 0.0, 1e-9])
    masks = np.eye(6, dtype=bool)[4:]
    moved = port.calibrated_mean(3 * np.ones((2, 6)), port.arb_start(np.ones((2, 6)), masks), S)
    assert moved.mean.tolist() == [1.0, 3.0]


def test_a_scale_that_adds_nothing_but_rounding_is_zero(port):
    W = single([[1.0, 1.5, 2.0, -1.0, -1.2, -2.0]])
    start = port.arb_start(W)
    assert start.planes[0].sign.tolist() == [[1, 1, 1, -1, -1, -1]]
    for seed in range(8):
        levels = port.calibrate_levels(W, start, balanced(seed), config=SWITCHES["exact"])
        assert levels.planes[0].row_scale.tolist() == [0.0]


@every_order
@pytest.mark.parametrize("power", [-60, 60])
def test_powers_of_two_scale_the_answer(port, order, power):
    W, M, S = smooth((7, 50)), mask((7, 50)), hessian(50)
    plain = port.arb_x(W, M, S, order=order).decode()
    moved = port.arb_x(np.ldexp(W, power), M, S, order=order).decode()
    assert np.array_equal(moved, np.ldexp(plain, power))
    assert np.array_equal(port.arb_x(W, M, np.ldexp(S, power), order=order).decode(), plain)


@every_order
@pytest.mark.parametrize("levels", ["alternate", "exact"])
def test_registers_and_memory_give_the_same_bits(port, monkeypatch, order, levels):
    W, M, S = smooth((10, 100)), mask((10, 100)), hessian(100)
    group, config = reference.arb_start(W, M, order=order), Refinement(levels=levels)
    held = port.calibrate_levels(W, group, S, config=config)
    mean = port.calibrated_mean(W, group, S).mean
    monkeypatch.setattr(refine_x, "held", lambda _: 0)
    assert np.array_equal(port.calibrate_levels(W, group, S, config=config).decode(), held.decode())
    assert np.array_equal(port.calibrated_mean(W, group, S).mean, mean)


def test_gram_matrices_of_another_width_are_refused(port):
    W = np.ones((2, 3))
    for name in ("calibrated_mean", "calibrated_scale", "calibrate_levels", "calibrated_sums"):
        with pytest.raises(ArgumentError, match="S: expected shape"):
            getattr(port, name)(W, reference.arb_start(W), np.eye(2))
    with pytest.raises(ArgumentError, match="target: expected shape"):
        port.calibrated_sums(np.ones((2, 4)), reference.arb_start(W), np.eye(3))
