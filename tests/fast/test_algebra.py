"""Objectives, the Hessian and error feedback against the reference."""

import numpy as np
import pytest
from fast_inputs import NASTY, hessian, smooth

from subbit import reference
from subbit.reference import QuantizedBlock
from subbit.reference.errors import ArgumentError, HessianError

NAMES = ("calibrated_error_trace", "relative_error", "proxy_loss")


@pytest.mark.parametrize("family", NASTY)
def test_objectives(port, family):
    W, H, X = NASTY[family]((5, 20)), hessian(20), smooth((30, 20), 3)
    Q = 0.75 * W
    for name in NAMES:
        exact = getattr(reference, name)(W, Q, H)
        assert getattr(port, name)(W, Q, H) == pytest.approx(exact, rel=1e-4)
    assert port.weight_error(W, Q) == pytest.approx(reference.weight_error(W, Q), rel=1e-5)
    exact = reference.calibrated_error(W, Q, X)
    assert port.calibrated_error(W, Q, X) == pytest.approx(exact, rel=1e-5)


def test_relative_error_of_silent_outputs(port):
    with pytest.raises(ArgumentError, match="not all zero"):
        port.relative_error([[0.0]], [[1.0]], [[1.0]])


def test_hessian_of_sequences(port):
    X = smooth((3, 10, 6))
    assert np.allclose(
        port.accumulate_hessian(X), reference.accumulate_hessian(X), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("dead", [(), (0, 5)])
def test_prepared_hessian(port, dead):
    H = hessian(24, dead=dead)
    ours, theirs = port.prepare_hessian(H), reference.prepare_hessian(H)
    assert np.flatnonzero(ours.dead).tolist() == list(dead)
    assert np.allclose(ours.damped, theirs.damped, rtol=1e-6)
    assert np.allclose(ours.factor, theirs.factor, rtol=1e-4, atol=1e-5 * theirs.factor.max())
    assert not np.tril(ours.factor, -1).any()


@pytest.mark.parametrize(
    ("H", "words"),
    [
        ([[1.0, 2.0], [2.0, 1.0]], "positive definite"),
        ([[1.0, 0.5], [0.0, 1.0]], "symmetric"),
        ([[1.0, 0.5]], "square"),
    ],
)
def test_bad_hessians_are_refused(port, H, words):
    with pytest.raises(ArgumentError, match=words):
        port.inverse_factor(H)


def test_a_hessian_that_is_not_positive_definite_is_its_own_error(port):
    with pytest.raises(HessianError):
        port.billm_layer(np.ones((2, 2)), [[1.0, 2.0], [2.0, 1.0]])


@pytest.mark.parametrize("mode", ["none", "released", "exact"])
def test_feedback(port, mode):
    D, U = smooth((4, 12)), reference.inverse_factor(hessian(12))
    exact = reference.feedback(D, U, mode)
    assert np.allclose(port.feedback(D, U, mode), exact, rtol=1e-4, atol=1e-5 * np.abs(exact).max())


def one_group(W, columns):
    group = reference.residual_binarize(W[:, columns])
    return QuantizedBlock(columns.start, columns.stop, (group,))


def test_blocks_of_the_host_can_be_compensated(port):
    W, U = smooth((4, 20)), reference.inverse_factor(hessian(20))
    ours = port.compensate(W, U, one_group, block_size=8, mode="exact")
    theirs = reference.compensate(W, U, one_group, block_size=8, mode="exact")
    assert np.allclose(ours.layer.decode(), theirs.layer.decode(), rtol=1e-4, atol=1e-5)
    assert np.allclose(ours.errors, theirs.errors, rtol=1e-3, atol=1e-5 * theirs.errors.max())
    step = port.compensate_step(W, U, slice(0, 8), one_group, mode="released")
    exact = reference.compensate_step(W, U, slice(0, 8), one_group, mode="released")
    assert np.allclose(step[1], exact[1], rtol=1e-4, atol=1e-5)


def test_unknown_modes_are_refused(port):
    with pytest.raises(ArgumentError, match="none, released, exact"):
        port.feedback(np.ones((1, 1)), np.ones((1, 1)), "some")
