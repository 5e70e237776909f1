"""Claims about products of sign matrices that sound true and are false, each with an instance.

The names are those of the property catalog of ``conformance/``; what is true has its
property test there.
"""

from itertools import pairwise

import numpy as np

from subbit import reference
from subbit.reference import SignProduct


def _errors(W, steps, rank):
    """Squared errors of the product of both projected factors, after each step."""
    n, m = W.shape
    left = reference.start_signs(n, rank, 0).astype(float)
    right = reference.start_signs(rank, m, 1).astype(float)
    duals = np.zeros(left.shape), np.zeros(right.shape)
    for t in range(steps):
        left, right, *duals = reference.admm_step(
            W, left, right, left_dual=duals[0], right_dual=duals[1], penalty=t / steps
        )
        unit = left / np.linalg.norm(left, axis=0)
        yield np.sum((W - unit @ right) ** 2)


def test_N3_a_step_may_raise_the_error():
    """False: "both problems are convex and solved exactly, so no step raises the error"."""
    W = np.random.default_rng(0).standard_normal((8, 12))
    found = list(_errors(W, 20, 4))
    assert found[-1] < found[0]
    assert max(b / a for a, b in pairwise(found)) > 1.05


def _layers(changes, seed):
    rng = np.random.default_rng(seed)
    W, X = rng.standard_normal((12, 16)), rng.standard_normal((2, 24, 16))
    H, other = X[0].T @ X[0], X[1].T @ X[1]
    config = SignProduct(payload=4.0, **changes)
    Q = reference.sign_product_layer(W, H, config).decode()
    return [reference.relative_error(W, Q, S) for S in (H, other)]


def test_N3_more_steps_may_leave_more():
    """False: "a product after more steps leaves less"."""
    few, many = (_layers({"iterations": n, "refit": False, "sweeps": 0}, 5)[0] for n in (60, 120))
    assert many > 1.1 * few


def test_N6_sweeps_may_raise_the_error_on_other_inputs():
    """False: "sweeps never raise the error", of inputs that were not calibrated on."""
    before, after = (_layers({"sweeps": n, "percdamp": 1e-3}, 0) for n in (0, 8))
    assert after[0] < 0.9 * before[0]
    assert after[1] > before[1]


def test_N6_signs_at_rest_are_not_the_best():
    """False: "where no single flip lowers the error, nothing does"."""
    rng = np.random.default_rng(4)
    W, H, ones = 2.0 * rng.standard_normal((2, 3)), np.eye(3), (np.ones(2), np.ones(3))
    start = (rng.choice([-1, 1], size).astype(np.int8) for size in ((2, 2), (2, 3)))
    group = reference.ProductGroup("all", np.isfinite(W), *start, *ones)
    layer = reference.QuantizedLayer((2, 3), (reference.QuantizedBlock(0, 3, (group,)),))
    for _ in range(8):
        layer, last = reference.sweep_signs(W, H, layer), layer
    assert np.array_equal(layer.decode(), last.decode())
    # All signs that there are: two matrices of 2 x 2 and 2 x 3.
    all_signs = 2 * np.array(list(np.ndindex(*[2] * 10))) - 1
    left, right = all_signs[:, :4].reshape(-1, 2, 2), all_signs[:, 4:].reshape(-1, 2, 3)
    best = np.min(np.sum((W - left @ right) ** 2, axis=(1, 2)))
    assert np.sum((W - layer.decode()) ** 2) > 1.1 * best
