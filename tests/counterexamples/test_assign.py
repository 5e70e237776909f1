"""Claims about assigned columns that sound true and are false, each with an instance.

What is true has its property test in ``conformance/``.
"""

import numpy as np

from subbit import reference
from subbit.reference import BiLLM, QuantizedBlock


def _layer_errors(seed):
    """Errors of a layer without and with feedback between columns."""
    rng = np.random.default_rng(seed)
    W, mix = rng.standard_normal((4, 24)), np.eye(24) + 0.4 * rng.standard_normal((24, 24))
    X = rng.standard_normal((64, 24)) @ mix
    config = BiLLM(block_size=8, counts=(1, 2))
    return [
        reference.relative_error(
            W,
            reference.billm_layer(W, X.T @ X, config.changed(column_feedback=on)).decode(),
            X.T @ X,
        )
        for on in (False, True)
    ]


def test_feedback_between_columns_may_raise_the_error_of_a_layer():
    """False: "with feedback between columns a layer never has a larger error".

    A column's error moves those to its right to where the best of all real numbers is. They then
    have a few values each, of scales that were fitted to other weights.
    """
    better, worse = (_layer_errors(seed) for seed in (5, 25))
    assert better[1] < 0.8 * better[0]
    assert worse[1] > 1.1 * worse[0]


def test_it_may_raise_the_error_of_a_block_alone():
    """False: "at least the block's own error falls", where no other columns follow."""
    W = np.array([[0.75, 0.0, 1.25]])
    H = np.array([[26.0, -11.0, 2.0], [-11.0, 35.0, 19.0], [2.0, 19.0, 42.0]])
    block = QuantizedBlock(0, 3, (reference.residual_binarize(W),))
    assigned = reference.assign_columns(W, reference.inverse_factor(H), block)
    before, after = (reference.proxy_loss(W, made.decode(), H) for made in (block, assigned))
    assert after > 2.0 * before


def test_an_assigned_block_need_not_stay_when_it_is_fitted_again():
    """False: "the scales of an assigned block are still the best for its signs"."""
    rng = np.random.default_rng(13)
    W, X = rng.standard_normal((1, 12)), rng.standard_normal((40, 12))
    U = reference.inverse_factor(reference.damp(X.T @ X))
    block = QuantizedBlock(0, 12, (reference.residual_binarize(W),))
    group = reference.assign_columns(W, U, block).groups[0]
    refitted = reference.refine_scale(W, group)
    assert refitted.planes[0].row_scale[0] < 0.8 * group.planes[0].row_scale[0]
