"""Claims about BiLLM that sound true and are false, each with an instance that shows it.

The names are those of the property catalog of ``conformance/``; what is true has its
property test there.
"""

import numpy as np
import pytest

from subbit import reference
from subbit.reference.billm import PAPER, RELEASED
from subbit.reference.layer import QuantizedBlock

AFFINE = {"center": True, "sign_zero": 1}
RELEASED_BINARIZER = {"center": True, "sign_zero": 0}
MEAN_FREE = {"center": False, "sign_zero": 1}


def _binarize(W, **mode):
    return reference.residual_binarize(W, **mode).decode()


def _one_group(W, columns):
    group = reference.residual_binarize(W[:, columns])
    return QuantizedBlock(columns.start, columns.stop, (group,))


def _layer(seed, n, m):
    """Gaussian weights, and the Hessian of inputs whose neighbors correlate by 0.9."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((2, 64, m))
    for j in range(1, m):
        X[..., j] = 0.9 * X[..., j - 1] + np.sqrt(1 - 0.81) * X[..., j]
    return rng.standard_normal((n, m)), reference.accumulate_hessian(X)


def test_A2_binarization_is_not_the_best_two_level_code():
    """False: "μ ± α is the best code of two levels for a row".

    The best pair need not lie symmetrically around the mean: for 0, 0, 0, 1 the levels 0
    and 1 are exact, while v - cα² = 3/4 - 4 (3/8)² = 3/16 remains.
    """
    W = np.array([[0.0, 0.0, 0.0, 1.0]])
    two_levels = np.array([[0.0, 0.0, 0.0, 1.0]])
    assert reference.weight_error(W, two_levels) == 0
    assert reference.weight_error(W, _binarize(W, **RELEASED_BINARIZER)) == 3 / 16
    assert reference.weight_error(W, _binarize(W, **MEAN_FREE)) == 3 / 4


@pytest.mark.parametrize("mode", [AFFINE, RELEASED_BINARIZER])
def test_A5a_one_magnitude_is_not_recovered_with_a_mean(mode):
    """False with a mean: "a row α B comes back exactly".

    With three signs to one the mean is α/2, and the two levels are its neighbors 5/4 and
    -1/4 of α instead of ±α.
    """
    W = np.array([[1.0, 1.0, 1.0, -1.0]])
    assert _binarize(W, **mode).tolist() == [[1.25, 1.25, 1.25, -0.25]]
    assert reference.weight_error(W, _binarize(W, **mode)) == 0.75
    assert reference.weight_error(W, _binarize(W, **MEAN_FREE)) == 0


def test_A6_shifted_weights_do_not_shift_the_mean_free_result():
    """False without a mean: "Q(W + t) = Q(W) + t".

    The levels are ±α and stay symmetric around zero wherever the weights go.
    """
    W = np.array([[1.0, -1.0, 1.0, -1.0]])
    assert _binarize(W + 3, **MEAN_FREE).tolist() == [[3.0, 3.0, 3.0, 3.0]]
    assert (_binarize(W, **MEAN_FREE) + 3).tolist() == [[4.0, 2.0, 4.0, 2.0]]
    assert np.array_equal(_binarize(W + 3, **AFFINE), _binarize(W, **AFFINE) + 3)


@pytest.mark.parametrize("mode", [AFFINE, RELEASED_BINARIZER])
def test_A6f_binarizing_twice_is_not_binarizing_once_with_a_mean(mode):
    """False with a mean: "Q(Q(W)) = Q(W)".

    Q(W) is a two-valued row; its mean lies midway only where signs balance (A5a).
    """
    once = _binarize(np.array([[1.0, 1.0, 1.0, -1.0]]), **mode)
    twice = _binarize(once, **mode)
    assert np.max(np.abs(twice - once)) > 0.1
    mean_free = _binarize(once, **MEAN_FREE)
    assert np.array_equal(_binarize(mean_free, **MEAN_FREE), mean_free)


def test_A8_released_signs_have_three_levels():
    """False for the released code: "one order has two levels in a row".

    An entry on its row's mean gets the sign 0 and the mean itself as third level.
    """
    W = np.array([[-1.0, 0.0, 1.0]])
    assert len(np.unique(_binarize(W, **RELEASED_BINARIZER))) == 3
    assert len(np.unique(_binarize(W, **AFFINE))) == 2
    assert len(np.unique(_binarize(W, **MEAN_FREE))) == 2


@pytest.mark.parametrize("seed", range(4))
def test_B3_the_released_search_does_not_find_a_good_split_of_the_weights(seed):
    """False for the released code: "the searched split is good for the weights".

    It minimizes the error of the scores w²/U_jj², whose tail asks for the smallest sparse
    group on the grid; with the same salient columns, cutting |w| leaves far less error.
    """
    W = np.random.default_rng(seed).standard_normal((24, 128))
    alive = np.ones(128, dtype=bool)
    released = reference.billm_block(W, W**2, alive, RELEASED)
    on_weights = RELEASED.changed(search_on="weights", split_by="weights", grid="quantiles")
    better = reference.billm_block(W, W**2, alive, on_weights, salient=released.salient)
    error = reference.weight_error(W, released.decode())
    assert error > 1.2 * reference.weight_error(W, better.decode())


def test_B4b_splitting_can_raise_the_error_with_a_mean():
    """False with a mean: "two groups are never worse than one".

    -4, -4, 3, 4 is nearly balanced around zero; without the 3 the rest is two to one.
    """
    W = np.array([[-4.0, -4.0, 3.0, 4.0]])
    columns = np.ones(4, dtype=bool)
    whole = reference.weight_error(W, _binarize(W, **AFFINE))
    split = reference.bell_split_search_direct(W, columns, [3.0], **AFFINE).objectives[0]
    assert whole == 0.5
    assert split > 9 * whole
    mean_free = reference.bell_split_search_direct(W, columns, [3.0], **MEAN_FREE).objectives[0]
    assert mean_free <= reference.weight_error(W, _binarize(W, **MEAN_FREE))


@pytest.mark.parametrize("mode", ["released", "exact"])
def test_C4_compensation_can_raise_the_loss(mode):
    """False: "error compensation lowers the layer's loss".

    It is optimal for the moment, but the next block is quantized from moved weights: 2, 2 was
    exact, and once its first entry has moved, the heavy fourth input bears half of the move.
    """
    W = np.array([[1.0, 3.0, 2.0, 2.0]])
    H = np.array([[1, 0, 0.5, 0], [0, 1, -0.5, 0], [0.5, -0.5, 1, 0], [0, 0, 0, 10.0]])
    U = reference.inverse_factor(H)
    losses = {
        name: reference.proxy_loss(
            W, reference.compensate(W, U, _one_group, block_size=2, mode=name).layer.decode(), H
        )
        for name in ("none", mode)
    }
    assert losses["none"] == pytest.approx(1.0)
    assert losses[mode] > 1.5 * losses["none"]


def test_C7_the_released_error_is_not_the_loss():
    """False for the released code: "the printed error ½ Σ (D / diag U)² is the loss".

    Dividing by the diagonal ignores how inputs correlate; only D U_BB⁻¹ gives Tr(D H Dᵀ).
    """
    W = np.array([[1.0, 3.0]])
    H = np.array([[1.0, 0.9], [0.9, 1.0]])
    U = reference.inverse_factor(H)
    printed = {}
    for mode in ("released", "exact"):
        result = reference.compensate(W, U, _one_group, block_size=2, mode=mode)
        printed[mode] = float(np.sum(result.errors**2) / 2)
        loss = reference.proxy_loss(W, result.layer.decode(), H)
        assert loss == pytest.approx(0.1)
    assert printed["released"] > 4 * loss
    assert printed["exact"] == pytest.approx(loss)


@pytest.mark.parametrize("config", [PAPER, RELEASED], ids=["paper", "released"])
def test_S5_rows_are_not_independent(config):
    """False: "each row is quantized by itself".

    Salient columns and the threshold are chosen for all rows together, so one loud row
    decides for the others.
    """
    W, H = _layer(0, 8, 32)
    louder = W.copy()
    louder[0] *= 20
    changed = config.changed(block_size=32)
    before = reference.billm_layer(W, H, changed).decode()[1:]
    after = reference.billm_layer(louder, H, changed).decode()[1:]
    assert np.mean(before != after) > 0.5


@pytest.mark.parametrize("config", [PAPER, RELEASED], ids=["paper", "released"])
def test_S6_columns_do_not_permute_inside_a_block(config):
    """False: "permuting columns inside a block permutes Q".

    The scores divide by U_jj, the Schur complement of the columns to the right of j, which
    changes with the order.
    """
    W, H = _layer(1, 8, 32)
    order = np.arange(31, -1, -1)
    changed = config.changed(block_size=32)
    expected = reference.billm_layer(W, H, changed).decode()[:, order]
    actual = reference.billm_layer(W[:, order], H[np.ix_(order, order)], changed).decode()
    assert np.max(np.abs(actual - expected)) > 0.1


@pytest.mark.parametrize("config", [PAPER, RELEASED], ids=["paper", "released"])
def test_S8_dead_inputs_do_not_end_at_zero(config):
    """False for paper and released code: "weights of inputs that never fire are zero".

    They are set to zero and then binarized with their group, to ±α or μ ± α.
    """
    W, H = _layer(2, 8, 32)
    H[:, 5] = H[5, :] = 0.0
    Q = reference.billm_layer(W, H, config.changed(block_size=32)).decode()
    assert np.min(np.abs(Q[:, 5])) > 0.01
    zeroed = config.changed(block_size=32, dead_inputs="zero")
    assert not reference.billm_layer(W, H, zeroed).decode()[:, 5].any()
