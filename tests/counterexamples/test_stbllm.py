"""Claims about STBLLM that sound true and are false, each with an instance that shows it.

The names are those of the property catalog of ``conformance/``; what is true has its
property test there.
"""

import numpy as np

from subbit import reference
from subbit.reference.stbllm import CORRECTED, RELEASED

W = np.array([[1.0, 1.0, 1.0, 5.0], [4.0, 5.0, 3.0, 4.0]])
"""Weights whose first row has one large weight, and whose second has none."""


def _kept(scores, keep=2, group=4):
    """Columns that each row keeps."""
    return [np.flatnonzero(row).tolist() for row in reference.nm_mask(scores, keep, group)]


def test_E4_ria_sees_the_scale_of_a_row():
    """False for RIA: "scaling a row by a positive factor leaves its mask alone".

    The shares of the row stay, but its shares of the columns approach one, so the columns
    differ less and less. Wanda's scores of a row have a common factor.
    """
    small, norms = np.array([[1.0, 3.0], [5.0, 2.0]]), np.array([1.0, 3.0])
    scaled = small * np.array([[1.0], [4.0]])
    assert _kept(reference.ria_importance(small, norms), 1, 2) == [[1], [0]]
    assert _kept(reference.ria_importance(scaled, norms), 1, 2) == [[1], [1]]
    plain, after = (reference.wanda_importance(x, norms) for x in (small, scaled))
    assert _kept(plain, 1, 2) == _kept(after, 1, 2)


def test_E4_ria_sees_the_gauge():
    """False for RIA: "W diag(c) with inputs X / c, the same layer, has the same mask".

    Shares of columns ignore c, so that only the root of the norms is divided by it; shares
    of rows see it in full.
    """
    small, norms, c = np.array([[1.0, 3.0], [2.0, 4.0]]), np.full(2, 3.0), np.array([1.0, 4.0])
    assert _kept(reference.ria_importance(small, norms), 1, 2) == [[1], [1]]
    assert _kept(reference.ria_importance(small * c, norms / c), 1, 2) == [[1], [0]]
    assert np.array_equal(
        reference.wanda_importance(small * c, norms / c), reference.wanda_importance(small, norms)
    )


def test_D4_standardizing_before_the_norms_changes_the_mask():
    """False for the paper's Eq. (2): "standardizing is an increasing map, so no mask changes".

    It is a map of the shares, not of the scores. Its zero is the mean share: below it, a long
    input lowers a score. The last weight of the second row is pruned, although its score is
    the largest before standardizing.
    """
    norms = np.array([1.0, 1.0, 1.0, 4.0])
    scores = {
        how: reference.standardized_importance(W, norms, standardize=how)
        for how in ("none", "after", "before")
    }
    assert _kept(scores["none"]) == _kept(scores["after"]) == [[2, 3], [1, 3]]
    assert _kept(scores["before"]) == [[2, 3], [0, 1]]
    assert np.argmax(scores["none"][1]) == np.argmin(scores["before"][1]) == 3


def test_D6_a_longer_input_prunes_more_of_its_column():
    """False for the paper's Eq. (2): "a longer input makes its weights more important".

    A share below the mean of its row has a negative score, and the norm multiplies it.
    """
    norms, longer = np.ones(4), np.array([1.0, 1.0, 4.0, 1.0])
    assert _kept(reference.standardized_importance(W, norms)) == [[2, 3], [0, 1]]
    assert _kept(reference.standardized_importance(W, longer)) == [[0, 3], [0, 1]]
    for score in (reference.wanda_importance, reference.ria_importance):
        before, after = (reference.nm_mask(score(W, x), 2, 4)[:, 2] for x in (norms, longer))
        assert not (before & ~after).any()


def test_half_of_the_standardized_scores_are_negative():
    """False for the paper's Eq. (2): "importance is a size"."""
    scores = reference.standardized_importance(W, np.ones(4))
    assert scores.min() < 0
    assert np.allclose(scores.mean(axis=1), 0)


def test_threshold_masks_prune_at_sparsity_zero():
    """False for SparseGPT's and PB-LLM's codes: "a sparsity of 0 prunes nothing".

    The threshold is one of the scores, and scores equal to it are pruned: one weight, or all.
    """
    assert not reference.threshold_mask(np.ones((2, 2)), 0.0).any()
    assert np.count_nonzero(~reference.threshold_mask(W[:1], 0.0)) == 3
    assert reference.row_mask(W, 0.0).all()


def test_D3_budgets_do_not_keep_what_was_asked_for():
    """False: "the mean of the layers' N is the requested N".

    The released rule is centered before it rounds, and then turns every 1 into 2. The paper's
    mean is never below N, and above it as soon as a layer is rounded up.
    """
    outliers = [8.0, 8.0, 0.0, 0.0, 0.0]
    counts = reference.outlier_budget(outliers, 4, 8)
    assert counts.tolist() == [6, 6, 3, 3, 3]
    assert reference.outlier_budget(outliers, 4, 8, promote=False).tolist() == [5, 5, 3, 3, 3]
    assert np.mean(counts) > 4 > np.mean([5, 5, 3, 3, 3])
    assert reference.norm_budget([3.0, 1.0], 4, 8).tolist() == [7, 5]


def test_rounding_down_does_not_leave_something_to_give_away():
    """False: "round down, then give what is left to the largest remainders".

    Once wishes are clipped to their range, the sum may already be too large; taking some back
    costs least where a wish is closest to the number below.
    """
    wishes = np.array([9.9, 4.6, 1.0])
    assert reference.repair_budget(wishes, 4, 1, 8).tolist() == [8, 3, 1]
    assert np.clip(np.floor(wishes), 1, 8).sum() > 12


def test_M1_best_choices_of_groups_are_not_the_best_choice_of_a_row():
    """False: "the best choice of every group, taken alone, is the best for both together".

    Each group removes the first of two weights of equal size; but the inputs of the two removed
    weights are nearly the same, and no weight is left to make up for them.
    """
    W, H = np.ones((1, 4)), np.eye(4)
    H[0, 2] = H[2, 0] = 0.5
    W[0, 1] = W[0, 3] = 1.05
    alone = reference.removal_mask(W, H, 1, 2)
    assert alone.tolist() == [[False, True, False, True]]
    other = np.array([[False, True, True, False]])
    losses = [reference.removal_loss(W, H, ~mask)[0] for mask in (alone, other)]
    assert losses[1] < losses[0]


def test_E3_compensation_can_lose_against_zeroing():
    """False: "SparseGPT's loss is at most that of zeroing the same weights".

    Each pruned weight moves all weights to its right as if they would be kept. Here the last
    one is moved away from zero to make up for the first, and then pruned: a loss of 5.5
    instead of 1.5.
    """
    w = np.array([[-1.0, -1.0, 1.0, 0.0]])
    H = np.array([[3.0, 0, 0, -2], [0, 4, 2, 0], [0, 2, 3, -3], [-2, 0, -3, 6]])
    config = reference.SparseGPT(keep=(1, 2), percdamp=0.0)
    Q, kept = reference.sparsegpt_prune(w, H, config)
    assert kept.tolist() == [[False, True, True, False]]
    losses = [reference.proxy_loss(w, x, H) for x in (Q, kept * w)]
    assert np.allclose(losses, [5.5, 1.5])
    # Moving only what stays, and all of it, is never worse than either.
    best = reference.removal_move(w, H, ~kept)
    assert reference.proxy_loss(w, best, H) <= 1.5


def test_G3_a_shared_threshold_depends_on_the_blocks():
    """False with a share: "SparseGPT's blocks are an access pattern only".

    True with N:M sparsity. A share is pruned in each block, so blocks decide where zeros are.
    """
    w = np.array([[1.0, 2.0, 3.0, 4.0]])
    kept = [
        reference.sparsegpt_prune(
            w, np.eye(4), reference.SparseGPT(keep=None, sparsity=0.0, block_size=size)
        )[1].tolist()
        for size in (2, 4)
    ]
    assert kept == [[[False, True, False, True]], [[False, True, True, True]]]


def test_P1_released_levels_are_not_means_of_the_low_weights():
    """False as released: "PB-LLM's levels are mean and mean distance of the low weights".

    The zeros of the high part enter both means: 4/3 and 8/9 for the low weights 2 and 2,
    although one level would represent them.
    """
    w = np.array([[2.0, 9.0, 2.0]])
    shares = {"low_share": 0.5, "score": "magnitude", "percdamp": 0.0}
    levels = []
    for statistics in ("row", "group"):
        config = reference.PBLLM(statistics=statistics, **shares)
        low = reference.pb_llm_layer(w, np.eye(3), config).blocks[0].groups[0]
        levels.append([low.mean[0], low.planes[0].row_scale[0]])
    assert np.allclose(levels, [[4 / 3, 8 / 9], [2, 0]])


def _layer(seed, correlation, rows=8, width=64):
    """Gaussian weights, and the Hessian of inputs whose neighbors correlate."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((2, 80, width))
    for j in range(1, width):
        X[..., j] = correlation * X[..., j - 1] + np.sqrt(1 - correlation**2) * X[..., j]
    return rng.standard_normal((rows, width)), reference.accumulate_hessian(X)


def test_D2_the_released_pattern_does_not_survive():
    """False as released: "a layer pruned to 4:8 is 4:8 when it is quantized".

    It is binarized as if it were dense: pruned weights get the level of their group, which is
    zero only if the whole group was, and the stored layer is dense.
    """
    W, H = _layer(1, 0.5)
    _, kept = reference.choose_kept(W, H, RELEASED)
    assert np.count_nonzero(kept) == W.size // 2
    layer = reference.stbllm_layer(W, H, RELEASED.changed(block_size=16))
    groups = np.count_nonzero(layer.decode().reshape(len(W), -1, 8), axis=-1)
    assert groups.min() > 4
    assert np.mean(groups) > 7.5
    assert {block.pattern for block in layer.blocks} == {None}


def test_C7_released_feedback_is_not_the_loss():
    """False as released: "½ Σ E² is the layer's loss" (and the pruning error is not in it)."""
    W, H = _layer(1, 0.9)
    damped = reference.damp(H, 0.01)
    U = reference.inverse_factor(damped)
    begun, kept = reference.choose_kept(W, H, RELEASED)
    everything = np.ones(W.shape[1], dtype=bool)

    def quantize(current, columns):
        block = current[:, columns]
        S = block**2 / np.diag(U)[columns] ** 2
        alive, mask = everything[columns], kept[:, columns]
        return reference.stbllm_block(block, S, alive, mask, RELEASED, start=columns.start)

    made = reference.compensate(begun, U, quantize, block_size=16, mode="released")
    printed = 0.5 * np.sum(made.errors**2)
    assert printed < 0.2 * reference.proxy_loss(W, made.layer.decode(), damped)


def test_the_better_start_depends_on_the_inputs():
    """False: "feeding forward what pruning loses lowers the loss of a layer".

    It is the best move of the other weights for the moment; but later blocks are quantized
    from the moved weights, and with strongly correlated inputs that costs more.
    """
    losses = []
    for correlation in (0.9, 0.0):
        W, H = _layer(3, correlation)
        for start in ("dense", "pruned"):
            config = CORRECTED.changed(fallback=False, block_size=16, start=start)
            Q = reference.stbllm_layer(W, H, config).decode()
            losses.append(reference.proxy_loss(W, Q, reference.damp(H, 0.01)))
    assert losses[0] > 1.05 * losses[1]
    assert losses[2] < 0.98 * losses[3]
