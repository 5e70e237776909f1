"""Claims about HBLLM that sound true and are false, each with an instance that shows it.

What is true has its property test in ``conformance/``.
"""

import numpy as np

from subbit import reference
from subbit.reference import HBLLM


def _split_errors(X):
    return np.sum((X - sum(side.decode() for side in reference.row_split(X))) ** 2, axis=1)


def _in_bands(X):
    """Errors of rows whose bands are split, and of rows whose halves are split as they are."""
    half = X.shape[1] // 2
    return [_split_errors(Y[:, :half]) + _split_errors(Y[:, half:]) for Y in (reference.haar(X), X)]


def _of_four_values(seed, width):
    """A row whose halves are -3, -1, 1 and 3 equally often: a split represents it exactly."""
    rng = np.random.default_rng(seed)
    values = np.repeat([-3.0, -1.0, 1.0, 3.0], width // 8)
    return np.concatenate([rng.permutation(values), rng.permutation(values)])[None]


def test_H4_the_transform_does_not_help_where_neighbors_do_not_correlate():
    """False: "Haar coefficients are easier to binarize than weights".

    Of independent Gaussian weights they have the same law: the transform wins about as often as
    it loses. What is left of the gain is that half rows have parameters of their own.
    """
    transformed, plain = _in_bands(np.random.default_rng(0).standard_normal((400, 64)))
    assert 160 <= np.count_nonzero(transformed < plain) <= 240
    assert abs(transformed.mean() / plain.mean() - 1.0) < 0.02


def test_H4_the_transform_may_lose():
    """False: "it is never worse": sums and differences of four values have more than four."""
    transformed, plain = _in_bands(_of_four_values(0, 64))
    assert plain < 1e-20
    assert transformed > 1.0


def test_the_best_scale_may_leave_more_of_a_layer():
    """False: "mean distances never leave more than root mean squares", of a layer.

    H3 is about one side of a split. Later blocks are quantized from what earlier ones left.
    """
    ratios, config = [], HBLLM(block_size=16, quantiles=5)
    for seed in (1, 7):
        rng = np.random.default_rng(seed)
        W, X = rng.standard_normal((4, 32)), rng.standard_normal((40, 32))
        rms, mean = (
            reference.hbllm_layer(W, X.T @ X, config.changed(scale=scale)).decode()
            for scale in ("rms", "mean_abs")
        )
        errors = [reference.relative_error(W, Q, X.T @ X) for Q in (rms, mean)]
        ratios.append(errors[1] / errors[0])
    assert ratios[0] > 1.1
    assert ratios[1] < 0.95


def test_a_salient_column_may_be_worse_than_none():
    """False: "columns that are quantized twice are never worse for it".

    The first time, its neighbors' mean stands in its place, and its partner suffers.
    """
    X = reference.inverse_haar(_of_four_values(1, 64))
    config, every = HBLLM(scale="mean_abs"), np.ones(64, dtype=bool)
    errors = []
    for count in (0, 1):
        block = reference.hbllm_block(X, X**2, every, config.changed(counts=(count, count)))
        errors.append(np.sum((X - block.decode()) ** 2))
    assert errors[0] < 1e-20
    assert errors[1] > 0.1
