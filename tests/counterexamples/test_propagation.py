"""Claims about error propagation that sound true and are false, each with an instance."""

import numpy as np

from subbit import reference
from subbit.reference import Propagation


def _streams(seed, tokens, m):
    """Inputs of the two models; what separates them is noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((1, tokens, m))
    return X, X + 0.5 * rng.standard_normal(X.shape)


def _target(W, X, Y, **settings):
    H, C = reference.accumulate_hessian(Y), reference.accumulate_cross(X - Y, Y)
    return reference.propagated_weights(W, H, C, config=Propagation(**settings))


def _error(W, target, X, Y):
    return float(np.sum((X @ W.T - Y @ target.T) ** 2))


def test_more_of_the_correction_may_be_worse_on_other_tokens():
    """False: "what is better on the calibration tokens is better on others".

    With hardly more tokens than inputs the correction is fitted to their noise: on those it
    leaves a sixth of the error, on others it makes it 26 times as large.
    """
    X, Y = _streams(0, 22, 20)
    others = _streams(1, 2000, 20)
    W = np.eye(20)[:4]
    target = _target(W, X, Y, alpha=1.0, ridge=0.0)
    assert _error(W, target, X, Y) < 0.2 * _error(W, W, X, Y)
    assert _error(W, target, *others) > 25 * _error(W, W, *others)


def test_the_best_strength_on_other_tokens_may_lie_inside():
    """False: "either none of the correction is best, or all of it"."""
    X, Y = _streams(2, 60, 20)
    others = _streams(3, 2000, 20)
    W = np.eye(20)[:4]
    errors = [
        _error(W, _target(W, X, Y, alpha=alpha, ridge=0.0), *others) for alpha in (0.0, 0.4, 1.0)
    ]
    assert min(errors) == errors[1]


def test_a_ridge_is_not_the_least_squares_solution():
    """False with a ridge: "alpha = 1 gives the least error on the calibration tokens"."""
    X, Y = _streams(4, 60, 4)
    W = np.eye(4)[:2]
    least = _error(W, _target(W, X, Y, alpha=1.0, ridge=0.0), X, Y)
    assert _error(W, _target(W, X, Y, alpha=1.0, ridge=1.0), X, Y) > 1.05 * least


def test_a_better_target_may_quantize_worse():
    """False: "the quantized target is closer to the old output than the quantized weights".

    One input, halved in the new model: ``W* = 2 W`` gives the old output exactly. But RTN at
    one bit of 3, 1 has the levels 2, and of 6, 1 (the second input did not move) 3.5.
    """
    X = np.sqrt(0.5) * np.eye(2)[None]
    Y = X * np.array([0.5, 1.0])
    W = np.array([[3.0, 1.0]])
    target = _target(W, X, Y, alpha=1.0, ridge=0.0)
    assert np.allclose(target, [[6.0, 1.0]])

    def rtn(weights):
        return reference.residual_binarize(weights, center=False, sign_zero=1).decode()

    assert np.allclose(rtn(W), [[2.0, 2.0]])
    assert np.allclose(rtn(target), [[3.5, 3.5]])
    assert _error(W, rtn(target), X, Y) > _error(W, rtn(W), X, Y)
