"""ARB-RC against the reference, and fused passes against half steps."""

import numpy as np
import pytest
from fast_inputs import NASTY, assert_same_bits, last, mask, single, smooth

from subbit import reference
from subbit.fast.launches import arb_rc as refine_rc
from subbit.reference import Refinement, weight_error
from subbit.reference.errors import ArgumentError

every_order = pytest.mark.parametrize("order", [1, 2])
SWITCHES = {
    "paper": Refinement(iterations=4),
    "code": Refinement(iterations=3, sign_zero=0, eps=1e-8),
    "relative": Refinement(iterations=3, eps=0.25, eps_kind="relative", sign_zero=0),
    "refreshed": Refinement(iterations=3, sign_zero=0),
    "start only": Refinement(iterations=0),
}


def error(W, group):
    return weight_error(np.where(group.mask, W, 0.0), group.decode())


def asked(order, switch):
    signs = "refreshed" if switch == "refreshed" else "fixed"
    return {"order": order, "config": SWITCHES[switch], "column_signs": signs}


def assert_fused(port, W, M, **switches):
    fused = port.arb_rc(W, M, name="some", **switches)
    assert_same_bits(fused, last(port.arb_rc_steps(W, M, name="some", **switches)))
    return fused


@every_order
@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (70, 40), (9, 150)], ids=str)
def test_fused_passes_give_the_bits_of_the_half_steps(port, order, switch, shape):
    assert_fused(port, NASTY["tied"](shape), mask(shape), **asked(order, switch))


@pytest.mark.parametrize("family", NASTY)
@every_order
@pytest.mark.parametrize("switch", sorted(set(SWITCHES) - {"start only"}))
def test_arb_rc_reaches_the_error_of_the_reference(port, family, order, switch):
    W, M = single(NASTY[family]((9, 45))), mask((9, 45))
    ours = assert_fused(port, W, M, **asked(order, switch))
    theirs = reference.arb_rc(W, M, **asked(order, switch))
    # What order 1 leaves may be nothing but rounding, and then has other signs.
    share = {1: 1e-5, 2: 1e-3}[order]
    assert abs(error(W, ours) - error(W, theirs)) <= share * np.sum(np.where(M, W, 0.0) ** 2)
    assert ours.mean is None
    assert not ours.decode()[~M].any()


@every_order
@pytest.mark.parametrize("shape", [(40, 70), (5, 150)], ids=str)
def test_every_half_step_is_that_of_the_reference(port, order, shape):
    W, M = single(smooth(shape)), mask(shape)
    M[:, 3] = False
    config = Refinement(iterations=2)
    for _, step in reference.arb_rc_steps(
        W, M, order=order, config=config, column_signs="refreshed"
    ):
        group = step.with_scales("float32")
        for name in ("refine_row_scale", "refine_column_scale"):
            for p in range(order):
                for eps in ({}, {"eps": 1e-2}, {"eps": 1e-2, "eps_kind": "relative"}):
                    ours = getattr(port, name)(W, group, p, **eps)
                    theirs = getattr(reference, name)(W, group, p, **eps)
                    assert np.allclose(ours.decode(), theirs.decode(), rtol=1e-5, atol=1e-5)
        ours, theirs = port.refine_rc_signs(W, group), reference.refine_rc_signs(W, group)
        distance, exact = (np.abs(np.where(M, W - g.decode(), 0.0)) for g in (ours, theirs))
        assert np.all(distance <= exact + 1e-5)


def test_start_is_that_of_the_reference(port):
    W, M = single(NASTY["dead"]((40, 70))), mask((40, 70))
    M[:, 3] = False
    ours, theirs = port.rc_start(W, M), reference.rc_start(W, M)
    (plane,), (exact,) = ours.planes, theirs.planes
    assert np.array_equal(plane.sign, exact.sign)
    assert np.allclose(plane.row_scale, exact.row_scale, rtol=1e-5)
    assert np.allclose(plane.column_scale, exact.column_scale, rtol=1e-5)
    assert plane.column_scale[3] == 0.0


def test_scales_without_entries_stay_as_they_are(port):
    W, M = np.ones((2, 3)), np.array([[True, False, True], [False, False, False]])
    group = reference.rc_start(W, M)
    group.planes[0].row_scale[1], group.planes[0].column_scale[1] = 5.0, 7.0
    assert port.refine_row_scale(W, group).planes[0].row_scale.tolist() == [1.0, 5.0]
    assert port.refine_column_scale(W, group).planes[0].column_scale.tolist() == [1.0, 7.0, 1.0]
    assert port.refine_row_scale(W, group, eps=1e-9).planes[0].row_scale[1] == 0.0
    assert port.refine_column_scale(W, group, eps=1e-9).planes[0].column_scale[1] == 0.0


@every_order
@pytest.mark.parametrize("width", [5, 32, 128])
def test_registers_and_memory_give_the_same_bits(port, monkeypatch, order, width):
    W, M, config = smooth((70, width)), mask((70, width)), Refinement(iterations=2)
    held = port.arb_rc(W, M, order=order, config=config)
    monkeypatch.setattr(refine_rc, "held", lambda _: 0)
    assert_same_bits(port.arb_rc(W, M, order=order, config=config), held)


@every_order
@pytest.mark.parametrize("power", [-100, 100])
def test_powers_of_two_scale_the_answer(port, order, power):
    """Far enough that squares of the weights would leave the range."""
    W, M = smooth((7, 50)), mask((7, 50))
    plain = port.arb_rc(W, M, order=order, config=Refinement(iterations=3))
    moved = port.arb_rc(np.ldexp(W, power), M, order=order, config=Refinement(iterations=3))
    assert np.array_equal(moved.decode(), np.ldexp(plain.decode(), power))


def test_exact_where_nothing_rounds(port):
    W = np.where(smooth((40, 16)) < 0, -1.0, 1.0) * 2.0 ** np.arange(-20, 20)[:, None]
    W *= 2.0 ** (np.arange(16) % 3)
    W[:, 3] = 0.0
    M = W != 0
    assert error(W, port.arb_rc(W, M, config=Refinement(iterations=3))) <= 1e-9 * np.sum(W**2)
    even = np.where(smooth((64, 32)) < 0, -1.0, 1.0) * 2.0 ** np.arange(-32, 32)[:, None]
    assert np.array_equal(port.arb_rc(even).decode(), even)


def test_states_without_column_scales_are_refused(port):
    W = np.ones((2, 3))
    for name in ("refine_row_scale", "refine_column_scale", "refine_rc_signs"):
        with pytest.raises(ArgumentError, match="planes with column scales"):
            getattr(port, name)(W, reference.arb_start(W))
