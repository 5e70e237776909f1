"""ARB and joint levels against the reference, and fused rounds against half steps."""

from dataclasses import replace

import numpy as np
import pytest
from fast_inputs import NASTY, U, assert_same_bits, last, mask, single, smooth

from subbit import reference
from subbit.fast.launches import arb as refine_arb
from subbit.fast.launches import depths
from subbit.reference import BinaryGroup, Plane, Refinement, weight_error
from subbit.reference.errors import ArgumentError

every_input = pytest.mark.parametrize("family", NASTY)
every_order = pytest.mark.parametrize("order", [1, 2])
SHAPES = [(1, 1), (5, 1), (40, 70), (3, 150)]
SWITCHES = {
    "paper": Refinement(iterations=4),
    "printed": Refinement(iterations=3, divisor="width", initial_signs="plain"),
    "code": Refinement(iterations=3, sign_zero=0, eps=1e-8),
    "relative": Refinement(iterations=3, eps=0.25, eps_kind="relative"),
    "relative, zeros": Refinement(iterations=3, eps=0.25, eps_kind="relative", sign_zero=0),
    "exact": Refinement(iterations=3, levels="exact"),
    "start only": Refinement(iterations=0),
}
every_switch = pytest.mark.parametrize("switch", SWITCHES)


def rounded(group):
    """A state whose numbers float32 holds."""
    return group.with_scales("float32")


def error(W, group):
    return weight_error(np.where(group.mask, W, 0.0), group.decode())


def slack(W, group, roundings):
    """Roundings of a row, each at most that of its largest number."""
    scales = np.abs([plane.row_scale for plane in group.planes]).sum(axis=0)
    largest = np.abs(np.where(group.mask, W, 0)).max(axis=1) + np.abs(group.mean) + scales
    return (depths.row(W.shape[1]) + roundings) * U * largest


def assert_fused(port, W, M, order, config):
    fused = port.arb(W, M, order=order, config=config, name="some")
    assert_same_bits(fused, last(port.arb_steps(W, M, order=order, config=config, name="some")))
    return fused


@every_order
@every_switch
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_rounds_at_once_give_the_bits_of_the_half_steps(port, order, switch, shape):
    assert_fused(port, NASTY["tied"](shape), mask(shape), order, SWITCHES[switch])


@every_input
@every_order
@pytest.mark.parametrize("switch", sorted(set(SWITCHES) - {"start only"}))
def test_arb_reaches_the_error_of_the_reference(port, family, order, switch):
    W, M = single(NASTY[family]((9, 45))), mask((9, 45))
    ours = assert_fused(port, W, M, order, SWITCHES[switch])
    theirs = reference.arb(W, M, order=order, config=SWITCHES[switch])
    energy = np.sum(np.where(M, W, 0.0) ** 2)
    assert abs(error(W, ours) - error(W, theirs)) <= 1e-5 * energy
    assert not ours.decode()[~M].any()
    assert not any(plane.sign[~M].any() for plane in ours.planes)


@every_input
@every_order
@pytest.mark.parametrize("shape", [(9, 45), (3, 150)], ids=str)
def test_every_half_step_is_that_of_the_reference(port, family, order, shape):
    W, M = single(NASTY[family](shape)), mask(shape)
    for _, step in reference.arb_steps(W, M, order=order, config=Refinement(iterations=2)):
        group = rounded(step)
        allowed = slack(W, group, 8)
        ours, theirs = port.refine_mean(W, group), reference.refine_mean(W, group)
        assert np.all(np.abs(ours.mean - theirs.mean) <= 2 * allowed)
        for p in range(order):
            ours, theirs = port.refine_scale(W, group, p), reference.refine_scale(W, group, p)
            difference = ours.planes[p].row_scale - theirs.planes[p].row_scale
            assert np.all(np.abs(difference) <= 2 * allowed)
        ours, theirs = port.refine_signs(W, group), reference.refine_signs(W, group)
        distance = np.abs(np.where(M, W - ours.decode(), 0.0))
        exact = np.abs(np.where(M, W - theirs.decode(), 0.0))
        assert np.all(distance <= exact + allowed[:, None])


@every_input
@every_order
def test_joint_levels(port, family, order):
    if family == "rows far apart":
        pytest.skip("the reference's rows are compared one by one below")
    W, M = single(NASTY[family]((9, 45))), mask((9, 45))
    group = rounded(reference.arb_start(W, M, order=order))
    ours, theirs = port.solve_levels(W, group), reference.solve_levels(W, group)
    assert np.allclose(ours.decode(), theirs.decode(), rtol=0, atol=1e-5 * np.abs(W).max())


def test_joint_levels_of_rows_far_apart(port):
    W = single(NASTY["rows far apart"]((9, 45)))
    group = rounded(reference.arb_start(W, order=2))
    ours, theirs = port.solve_levels(W, group).decode(), reference.solve_levels(W, group).decode()
    assert np.all(np.abs(ours - theirs) <= 1e-4 * np.abs(W).max(axis=1, keepdims=True))


def test_dependence_of_signs_is_exact(port):
    """One sign in two thousand differs, or none, or one plane repeats the other."""
    k = 2000
    W = single(smooth((4, k), 8))
    B = np.ones((2, 4, k), dtype=np.int8)
    B[0, :2, 0] = -1
    B[1, ::2] = B[0, ::2]
    B[1, 1, 5] = B[1, 3, 5] = -1
    group = BinaryGroup(
        "all", np.ones((4, k), dtype=bool), tuple(Plane(b, np.ones(4)) for b in B), np.zeros(4)
    )
    ours, theirs = port.solve_levels(W, group), reference.solve_levels(W, group)
    assert np.allclose(ours.decode(), theirs.decode(), atol=1e-3)
    zero = [plane.row_scale == 0 for plane in ours.planes]
    assert np.array_equal(zero, [[False, False, True, True], [True, False, True, False]])


def test_an_empty_row_keeps_its_scale_and_loses_it_jointly(port):
    W = np.zeros((2, 3))
    plane = Plane(np.zeros((2, 3), dtype=np.int8), np.array([2.0, 3.0]))
    group = BinaryGroup("all", np.zeros((2, 3), dtype=bool), (plane,), np.array([1.0, -1.0]))
    assert port.refine_scale(W, group).planes[0].row_scale.tolist() == [2.0, 3.0]
    assert port.refine_scale(W, group, eps=1e-9).planes[0].row_scale.tolist() == [0.0, 0.0]
    assert port.refine_mean(W, group).mean.tolist() == [1.0, -1.0]
    assert port.solve_levels(W, group).planes[0].row_scale.tolist() == [0.0, 0.0]


def test_signs_of_ties_are_the_first_level(port):
    Z = np.array([[0.0, 2.0, -2.0, 1.0, -1.0, 3.0, -3.0, 0.5]])
    for u, v in [(2.0, 1.0), (1.0, 2.0), (-2.0, 1.0), (1.0, 1.0), (0.0, 0.0), (0.0, 1.0)]:
        scales = np.array([[u]]), np.array([[v]])
        ours, theirs = port.joint_signs(Z, *scales), reference.joint_signs(Z, *scales)
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("wide", [(False, False), (True, False), (False, True), (True, True)])
def test_scales_of_joint_signs_may_differ_by_entry(port, wide):
    Z = single(smooth((9, 40)))
    u, v = (single(smooth((9, 40 if w else 1), seed)) for seed, w in enumerate(wide, 1))
    ours, theirs = port.joint_signs(Z, u, v), reference.joint_signs(Z, u, v)
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("sign_zero", [0, 1])
def test_a_remainder_of_zero_takes_the_sign_it_is_given(port, sign_zero):
    ours = port.arb([[0.0, 0.0, 0.0]], config=Refinement(sign_zero=sign_zero))
    assert ours.planes[0].sign.tolist() == [[sign_zero] * 3]


@every_order
@pytest.mark.parametrize("width", [5, 32, 100, 128])
@pytest.mark.parametrize("levels", ["alternate", "exact"])
def test_registers_and_memory_give_the_same_bits(port, monkeypatch, order, width, levels):
    W, M, config = smooth((10, width)), mask((10, width)), Refinement(iterations=3, levels=levels)
    held = port.arb(W, M, order=order, config=config)
    monkeypatch.setattr(refine_arb, "held", lambda _: 0)
    assert_same_bits(port.arb(W, M, order=order, config=config), held)


@every_order
@pytest.mark.parametrize("power", [-60, 60])
def test_powers_of_two_scale_the_answer(port, order, power):
    W, M = smooth((7, 50)), mask((7, 50))
    plain = port.arb(W, M, order=order)
    moved = port.arb(np.ldexp(W, power), M, order=order)
    assert np.array_equal(moved.decode(), np.ldexp(plain.decode(), power))


@every_input
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_two_means(port, family, shape):
    W, M = single(NASTY[family](shape)), mask(shape)
    ours, theirs = port.two_means(W, M), reference.two_means(W, M)
    rows = np.sum(np.where(M, W, 0.0) ** 2, axis=1)
    for i, energy in enumerate(rows):
        one = slice(i, i + 1)
        errors = [
            weight_error(np.where(M, W, 0.0)[one], group.decode()[one]) for group in (ours, theirs)
        ]
        assert abs(errors[0] - errors[1]) <= 1e-6 * energy
    assert error(W, ours) <= error(W, port.arb(W, M)) + 1e-6 * rows.sum()


def test_states_of_another_kind_are_refused(port):
    W = np.ones((2, 3))
    group = reference.arb_start(W)
    three = replace(group, planes=group.planes * 3)
    scaled = replace(group, planes=(replace(group.planes[0], column_scale=np.ones(3)),))
    for bad, words in (
        (three, "one or two"),
        (scaled, "without column scales"),
        (W, "BinaryGroup"),
    ):
        with pytest.raises(ArgumentError, match=words):
            port.refine_mean(W, bad)
    with pytest.raises(ArgumentError, match="plane"):
        port.refine_scale(W, group, 1)
    with pytest.raises(ArgumentError, match="config"):
        port.arb(W, config="paper")
    with pytest.raises(ArgumentError, match="order"):
        port.arb(W, order=3)
    with pytest.raises(ArgumentError, match="v: expected 1 or 3 columns"):
        port.joint_signs(W, np.ones((2, 1)), np.ones((2, 2)))
    with pytest.raises(ArgumentError, match="float32 can hold"):
        port.arb(np.full((1, 8), 3e38))
