"""Products of sign matrices: flips in exact arithmetic, scales of any size, and bare layers."""

from fractions import Fraction

import numpy as np
import pytest

from subbit import reference
from subbit.reference import SignProduct
from subbit.reference.errors import ArgumentError, HessianError
from subbit.reference.groups.product_sweeps import _swept


def _error(x, t, K):
    d = [a - b for a, b in zip(x, t, strict=True)]
    return sum(d[i] * K[i][j] * d[j] for i in range(len(d)) for j in range(len(d)))


@pytest.mark.parametrize("seed", range(12))
def test_each_flip_lowers_the_error_by_exactly_what_is_stated(seed):
    """N6, in rational numbers: the gain is 4 K_jj |t_j|, and the signs are those of the sweep."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 9))
    X = rng.integers(-3, 4, (size + 4, size))
    K = X.T @ X + np.diag(rng.integers(0, 2, size))
    x, t = rng.choice([-1, 1], size), rng.integers(-6, 7, size)
    products = ((t - x) @ K).astype(float)
    found = _swept(products, K.astype(float), x.astype(np.int8))
    own, target, form = x.tolist(), t.tolist(), [[Fraction(int(v)) for v in row] for row in K]
    for j in range(size):
        if not form[j][j]:
            continue
        moved = sum((target[i] - own[i]) * form[i][j] for i in range(size)) / form[j][j]
        wanted = own[j] + moved
        if (wanted >= 0) == (own[j] > 0):
            continue
        before = _error(own, target, form)
        own[j] = -own[j]
        assert before - _error(own, target, form) == 4 * form[j][j] * abs(wanted) >= 0
    assert found.tolist() == own


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e95])
def test_weights_of_any_size(scale):
    """Signs do not depend on the unit of the weights, and their scales are of its size."""
    rng = np.random.default_rng(0)
    W, X = rng.standard_normal((6, 10)), rng.standard_normal((40, 10))
    config = SignProduct(payload=8.0, iterations=5, sweeps=2)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        one, two = (
            reference.sign_product_layer(V, X.T @ X, config).decode() for V in (W, scale * W)
        )
    np.testing.assert_allclose(two / scale, one, rtol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (4, 6)])
@pytest.mark.parametrize("iterations", [0, 3])
def test_layers_with_nothing_in_them(shape, iterations):
    """Zeros, rows and columns of zeros, dead inputs: finite scales, and zeros where all is zero."""
    m = shape[1]
    config = SignProduct(payload=64.0, iterations=iterations, sweeps=2)
    H = np.diag(np.arange(1.0, m + 1.0))
    for dead in (H, 0.0 * H, np.diag(np.arange(m) * 1.0)):
        assert not reference.sign_product_layer(np.zeros(shape), dead, config).decode().any()
        W = np.ones(shape)
        W[0, :], W[:, -1] = 0.0, 0.0
        Q = reference.sign_product_layer(W, dead, config).decode()
        assert np.isfinite(Q).all()
        assert not Q[0].any()


def test_a_row_of_weights_and_a_column_are_exact():
    """Rank one is all that they have."""
    config = SignProduct(payload=64.0, iterations=0, sweeps=1)
    for shape in ((1, 6), (6, 1)):
        W = np.random.default_rng(0).standard_normal(shape)
        Q = reference.sign_product_layer(W, np.eye(shape[1]), config).decode()
        np.testing.assert_allclose(Q, W, rtol=1e-12)


@pytest.mark.parametrize(("payload", "step"), [(0.0, 1), (4.0, 1), (5.0, 32)])
def test_too_few_bits_for_the_scales_are_refused(payload, step):
    config = SignProduct(payload=payload, rank_step=step)
    with pytest.raises(ArgumentError, match=r"payload: expected enough for the scales.* 8 x 8"):
        reference.sign_product_layer(np.eye(8), np.eye(8), config)


def test_a_hessian_that_is_not_definite_is_refused():
    H = np.array([[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(HessianError, match="H: expected a positive definite"):
        reference.sign_product_layer(np.ones((2, 2)), H, SignProduct(payload=64.0))
    layer = reference.sign_product_layer(np.ones((2, 2)), np.eye(2), SignProduct(payload=64.0))
    with pytest.raises(HessianError, match="H: expected a positive definite"):
        reference.refit_column_scales(np.ones((2, 2)), H, layer)
    for change in ("sweep_signs", "refit_row_scales", "refit_column_scales"):
        with pytest.raises(ArgumentError, match="H: expected a positive diagonal"):
            getattr(reference, change)(np.ones((2, 2)), H - np.eye(2), layer)


@pytest.mark.parametrize(
    "other",
    [
        lambda: reference.rtn_layer(np.eye(2)),
        lambda: reference.sign_product_layer(np.ones((2, 3)), np.eye(3), SignProduct(payload=64.0)),
    ],
)
def test_another_record_is_refused(other):
    for change in ("sweep_signs", "refit_row_scales", "refit_column_scales"):
        with pytest.raises(ArgumentError, match=r"layer: expected one product of shape \(2, 2\)"):
            getattr(reference, change)(np.eye(2), np.eye(2), other())


def test_signs_at_the_start_are_those_of_the_words():
    """The hash again, in whole numbers of any size."""
    for seed in (0, 1, 2**32 - 1):
        wanted = []
        for place in range(6):
            h = (place + 2654435769 * seed) % 2**32
            h = ((h ^ h >> 16) * 2146121005) % 2**32
            h = ((h ^ h >> 15) * 2221713035) % 2**32
            wanted.append(-1 if (h ^ h >> 16) >> 31 else 1)
        assert reference.start_signs(2, 3, seed).ravel().tolist() == wanted
