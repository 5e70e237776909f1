"""Claims about ARB-LLM that sound true and are false, each with an instance that shows it.

The names are those of the property catalog of ``conformance/``; what is true has its
property test there.
"""

import numpy as np
import pytest

from subbit import reference
from subbit.reference import Refinement

ONE_ROUND = Refinement(iterations=1)
ZERO_SIGNS = Refinement(sign_zero=0)
REFINED_START = Refinement(calibrated_start="refined")
# Signs change in its first round, and sums are binary fractions or fifths.
SKEWED = np.array([[8.0, 3.0, 2.0, 1.0, 0.0]])


def _error(W, group):
    return reference.weight_error(np.where(group.mask, W, 0.0), group.decode())


def _lognormal(seed):
    return np.random.default_rng(seed).lognormal(size=(1, 64))


def _two_valued(width):
    """One entry +1, the others -1."""
    return np.where(np.arange(width) == 0, 1.0, -1.0)[None]


@pytest.mark.parametrize(
    ("order", "steps", "W"),
    [
        (1, reference.arb_steps, [[3.0, 0.0, -1.0, -2.0]]),
        (2, reference.arb_steps, [[-2.0, 0.0, 2.0]]),
        (2, reference.arb_rc_steps, [[0.0, 3.0], [3.0, 0.0]]),
    ],
    ids=["arb1", "arb2", "rc2"],
)
def test_A1_the_error_rises_where_zero_has_no_sign(order, steps, W):
    """False with sign(0) = 0: "no half step raises the error".

    An entry without a sign lies on a third level, the mean; the next signs take that level
    away from it, or give it to another entry.
    """
    rises = {}
    for zero in (1, 0):
        config = Refinement(iterations=2, sign_zero=zero)
        trace = reference.trace_objective(W, steps(W, order=order, config=config))
        rises[zero] = np.max(np.diff(trace.objectives))
    assert rises[1] <= 1e-12
    assert rises[0] > 1


def test_A2_theorem_1_is_no_equation_for_the_result():
    """False: "L1 = L1⁰ - m (α² - α⁰² - (μ - μ⁰)²)" for what a round returns.

    The right side is the error with the new levels and the old signs. The new signs lower
    it further, here by more than a seventh, so it holds as a bound.
    """
    (_, start), _, (_, levels), (_, result) = reference.arb_steps(SKEWED, config=ONE_ROUND)
    growth = levels.planes[0].row_scale ** 2 - start.planes[0].row_scale ** 2
    right = _error(SKEWED, start) - 5 * (growth - (levels.mean - start.mean) ** 2)[0]
    assert _error(SKEWED, levels) == pytest.approx(right)
    assert _error(SKEWED, result) < right * 6 / 7


def test_A2_theorem_1_fails_with_zero_signs():
    """False with sign(0) = 0: the identity itself, since fewer than m entries have a sign."""
    W = np.array([[3.0, 0.0, -1.0, -2.0]])
    steps = reference.arb_steps(W, config=Refinement(iterations=1, sign_zero=0))
    (_, start), _, (_, levels), _ = steps
    growth = levels.planes[0].row_scale ** 2 - start.planes[0].row_scale ** 2
    right = _error(W, start) - 4 * (growth - (levels.mean - start.mean) ** 2)[0]
    assert abs(_error(W, levels) - right) > 0.1


def test_A4_fifteen_rounds_are_not_the_optimum():
    """False: "parameters fully converge after 15 rounds", the paper's section 3.2.

    This lognormal row is still at more than twice the error that 400 rounds reach.
    """
    W = _lognormal(3)
    late = _error(W, reference.arb(W, config=Refinement(iterations=200)))
    best = _error(W, reference.two_means(W))
    assert _error(W, reference.arb(W)) > 2 * late
    assert late == pytest.approx(best)


@pytest.mark.parametrize("levels", ["alternate", "exact"])
def test_A4_more_rounds_do_not_reach_the_optimum(levels):
    """False: "alternation ends at the best two levels", however many rounds it takes.

    The mean of this row cuts it below the 4 and stays there: the midpoint of 0 and
    22/3 is below the 4 as well. A cut above the 4 is better.
    """
    W = np.array([[0.0, 0.0, 0.0, 4.0, 9.0, 9.0]])
    group = reference.arb(W, config=Refinement(iterations=60, levels=levels))
    assert _error(W, group) == pytest.approx(50 / 3)
    assert _error(W, reference.two_means(W)) == pytest.approx(12)


def test_A5_gradients_do_not_vanish_after_the_signs():
    """False: "a round ends where Σ R = 0 and Σ B R = 0": its last half step moves signs."""
    group = reference.arb(SKEWED, config=ONE_ROUND)
    R = SKEWED - group.decode()
    assert abs(np.sum(R)) > 1
    assert abs(np.sum(group.planes[0].sign * R)) > 0.4
    late = SKEWED - reference.arb(SKEWED, config=Refinement(iterations=200)).decode()
    assert abs(np.sum(late)) < 1e-12


@pytest.mark.parametrize("factors", [[1.0, -1.0, 1.0, 1.0], [1.0, 2.0, 1.0, 1.0]])
@pytest.mark.parametrize("order", [1, 2])
def test_A6_columns_neither_flip_nor_scale(order, factors):
    """False: "negated or scaled columns come back negated or scaled".

    All entries of a row share their levels.
    """
    W = np.array([[4.0, 1.5, 1.0, 0.0]])
    expected = reference.arb(W, order=order).decode() * factors
    assert np.max(np.abs(reference.arb(W * factors, order=order).decode() - expected)) > 0.2


def test_A6_rows_with_ties_do_not_flip():
    """False with sign(0) = +1: "a negated row comes back negated".

    The entry on the mean goes up either way. Without a sign for zero the row flips.
    """
    W = np.array([[-1.0, 0.0, 1.0]])
    assert np.max(np.abs(reference.arb(-W).decode() + reference.arb(W).decode())) > 1
    Q = reference.arb(W, config=ZERO_SIGNS).decode()
    assert np.array_equal(reference.arb(-W, config=ZERO_SIGNS).decode(), -Q)


def test_A8_two_levels_are_not_recovered_in_fifteen_rounds():
    """False: "W = aB + μ comes back". With unbalanced signs, B̄⁴ per round is slow.

    Solving for both levels at once takes one round.
    """
    W = _two_valued(32)
    assert reference.weight_error(W, reference.arb(W).decode()) > 0.05
    once = reference.arb(W, config=Refinement(iterations=1, levels="exact"))
    assert reference.weight_error(W, once.decode()) < 1e-25


def test_A10_a_second_order_can_be_worse_than_a_refined_first():
    """False: "refined order 2 ≤ refined order 1".

    Both are local searches, from different starts.
    """
    W = np.array([[20.0, 8.0, 3.0, 3.0, 1.0]])
    first, second = (_error(W, reference.arb(W, order=order)) for order in (1, 2))
    assert second > 1.05 * first
    start = _error(W, reference.arb_start(W, order=2))
    assert second <= start


def _two_groups(W, S, *, calibrated):
    half = np.array([[True] * 3 + [False] * 3])
    for mask in (half, ~half):
        if calibrated:
            yield reference.arb_x(W, mask, S, config=REFINED_START)
        else:
            yield reference.arb(W, mask)


def test_X5_groups_that_all_improve_can_make_their_row_worse():
    """False: "ARB-X lowers the output error of the block", D-18.

    Each group's own error falls, but the products between groups, which no group considers,
    rise by more.
    """
    W = np.array([[0.0, 1.0, 4.0, -2.0, 0.0, 4.0]])
    X = np.array(
        [
            [1.0, 0.0, 0.0, 0.0, 0.0, -1.0],
            [0.0, 1.0, 0.0, 0.0, -1.0, 0.0],
            [-1.0, 0.0, 1.0, 0.0, -1.0, -1.0],
            [1.0, 1.0, 0.0, -1.0, -1.0, 1.0],
            [-1.0, 1.0, 1.0, 1.0, -1.0, 1.0],
            [0.0, 0.0, 0.0, -1.0, -1.0, 0.0],
        ]
    )
    S = X.T @ X
    before, after = (list(_two_groups(W, S, calibrated=c)) for c in (False, True))
    for old, new in zip(before, after, strict=True):
        own = np.where(old.mask, W, 0.0)
        errors = [reference.calibrated_error_trace(own, g.decode(), S) for g in (new, old)]
        assert errors[0] < errors[1]
    images = [sum(group.decode() for group in groups) for groups in (before, after)]
    totals = [reference.calibrated_error(W, Q, X) for Q in images]
    assert totals[1] > 2.5 * totals[0]


def test_X5_new_signs_can_raise_the_calibrated_error():
    """False: "recomputing B = sign(W - μ) lowers L2", even with the best levels for them.

    The nearest level is nearest in the weights; inputs that move together ask for others.
    """
    W = np.array([[-2.0, 2.0, 0.0]])
    X = np.array([[2.0, -2.0, -2.0], [0.0, -1.0, 2.0], [1.0, -2.0, 0.0], [2.0, -2.0, 2.0]])
    S = X.T @ X
    group = reference.arb_x(W, None, S)
    signed = reference.refine_signs(W, group)
    best = reference.calibrate_levels(W, signed, S, config=Refinement(levels="exact"))
    errors = [reference.calibrated_error(W, g.decode(), X) for g in (group, signed, best)]
    assert errors[2] > 20 * errors[0]
    assert errors[1] >= errors[2]


def test_X5_calibration_can_raise_the_error_of_other_data():
    """False: "calibrated levels are better for the model's inputs".

    They are better only for the inputs they saw, here one token. The weight error rises too.
    """
    W = np.array([[4.0, 1.0, 0.0, -1.0]])
    seen = np.array([[2.0, 1.0, 1.0, 0.0]])
    other = np.array([[0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]])
    plain = reference.arb(W).decode()
    fitted = reference.arb_x(W, None, seen.T @ seen).decode()
    assert reference.calibrated_error(W, fitted, seen) < 1e-12
    assert reference.calibrated_error(W, plain, seen) == pytest.approx(4.0)
    assert reference.calibrated_error(W, fitted, other) > 5 * reference.calibrated_error(
        W, plain, other
    )
    assert reference.weight_error(W, fitted) > reference.weight_error(W, plain)


def test_X1_fifteen_rounds_can_stay_far_from_the_joint_levels():
    """False: "15 rounds on the calibrated error converge".

    If mask and signs nearly agree, the rate G₀₁² / (G₀₀ G₁₁) is close to one.
    """
    W, S = _two_valued(64), np.eye(64) + 0.5
    group = reference.arb_x(W, None, S)
    joint = reference.arb_x(W, None, S, config=Refinement(levels="exact"))
    errors = [reference.calibrated_error_trace(W, g.decode(), S) for g in (group, joint)]
    assert errors[0] > 0.05
    assert errors[1] < 1e-20


@pytest.mark.parametrize(
    ("change", "back"),
    [
        (lambda W: W * [[1.0], [3.0]], lambda Q: Q / [[1.0], [3.0]]),
        (lambda W: W * [1.0, 3.0], lambda Q: Q / [1.0, 3.0]),
        (lambda W: W + 1, lambda Q: Q - 1),
    ],
    ids=["rows", "columns", "shift"],
)
def test_R4_row_and_column_scales_follow_neither_scaling_nor_shift(change, back):
    """False: "with a scale for every row and column, scaled rows or columns come back scaled".

    The fit weighs large rows and columns more; and without a mean nothing can shift.
    """
    W = np.array([[1.0, -2.0], [2.0, 1.0]])
    assert (
        np.max(np.abs(back(reference.arb_rc(change(W)).decode()) - reference.arb_rc(W).decode()))
        > 0.1
    )


def test_R4_an_absolute_eps_breaks_the_scaling():
    """False for the released eps: "Q(tW) = t Q(W)".

    1e-8 is large compared to squared scales of weights around 1e-5. A share of the mean
    denominator of all rows does not break it.
    """
    W = np.random.default_rng(0).standard_normal((8, 16))
    off = {}
    for kind in ("absolute", "relative"):
        config = Refinement(eps=1e-8, eps_kind=kind)
        for order in (1, 2):
            expected = reference.arb_rc(W, order=order, config=config).decode()
            actual = 1e5 * reference.arb_rc(1e-5 * W, order=order, config=config).decode()
            off[kind, order] = np.max(np.abs(actual - expected))
    assert off["absolute", 1] > 0.02
    assert off["absolute", 2] > 0.5
    assert max(off["relative", 1], off["relative", 2]) < 1e-12


def test_X3_an_absolute_eps_depends_on_the_scale_of_the_inputs():
    """False for the released eps: "S and tS give the same", D-7; a relative one does."""
    W, S = SKEWED, np.eye(5) + 0.5
    off = {}
    for kind in ("absolute", "relative"):
        config = Refinement(calibrated_eps=1e-10, eps_kind=kind)
        expected = reference.arb_x(W, None, S, config=config).decode()
        actual = reference.arb_x(W, None, 1e-9 * S, config=config).decode()
        off[kind] = np.max(np.abs(actual - expected))
    assert off["absolute"] > 0.01
    assert off["relative"] < 1e-12


def test_R5_holes_delay_the_recovery():
    """False with holes: "(r cᵀ) ∘ B comes back with the initial values".

    Means over what is left of rows and columns are no longer proportional to r and c.
    """
    W = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]])
    mask = np.array([[True, True, False], [True, False, True]])
    errors = [
        _error(W, reference.arb_rc(W, mask, config=Refinement(iterations=T))) for T in (0, 1, 15)
    ]
    assert errors[0] > 0.1
    assert 1e-2 < errors[1] < errors[0]
    assert 1e-4 < errors[2] < 1e-3
    assert reference.weight_error(W, reference.rc_start(W).decode()) < 1e-25


def test_G3_no_candidate_threshold_can_leave_a_group_whole():
    """False: "the search finds a split that is at least as good as none".

    Quantiles from 0.1 to 0.9 always cut. This row is balanced, but wherever it is cut, one of
    the two parts is not.
    """
    W = np.array([[1.02, 1.05, 1.0, 0.92, 1.04, -0.95, -0.9, -0.94, -0.98, -0.91]])
    magnitudes = np.abs(W)
    errors = []
    for p in np.quantile(magnitudes, np.linspace(0.1, 0.9, 81)):
        below = magnitudes < p
        assert 0 < np.count_nonzero(below) < W.size
        errors.append(sum(_error(W, reference.arb_start(W, mask)) for mask in (below, ~below)))
    assert min(errors) > 5 * _error(W, reference.arb_start(W))


def test_D1_the_printed_mean_correction_diverges():
    """Algorithm 1 prints ``μ ← μ + Σ R``, without the division in Eq. (3).

    Then the mean overshoots by the number of entries, and the error grows without end.
    """
    W = np.array([4.0, 2.0, 1.0, -1.0])
    mean, B = W.mean(), np.sign(W)
    scale = np.abs(W - mean).mean()
    errors = []
    for _ in range(12):
        mean += np.sum(W - scale * B - mean)
        scale = np.mean(B * (W - mean))
        B = np.where(mean <= W, 1.0, -1.0)
        errors.append(np.sum((W - scale * B - mean) ** 2))
    assert errors[-1] > 1e9
    plain = Refinement(divisor="width", initial_signs="plain")
    trace = reference.trace_objective(W[None], reference.arb_steps(W[None], config=plain))
    assert trace.objectives[-1] <= trace.objectives[0]


def test_D1_dividing_by_the_width_starts_wrong():
    """False: "m is m". With half of a row masked, the printed start halves mean and scale."""
    W = np.array([[4.0, 2.0, 9.0, 9.0]])
    mask = np.array([[True, True, False, False]])
    entries, width = (
        reference.arb_start(W, mask, config=Refinement(divisor=divisor))
        for divisor in ("entries", "width")
    )
    assert _error(W, entries) == 0
    assert width.mean == 1.5
    assert _error(W, width) > 2


def test_D4_the_printed_numerator_of_the_scale_has_the_wrong_length():
    """Eq. (4) prints ``diag(Bᵀ(W - μ))``, one number per column; it should be one per row."""
    W = np.random.default_rng(0).standard_normal((3, 5))
    group = reference.refine_mean(W, reference.arb_start(W))
    B, centered = group.planes[0].sign, W - group.mean[:, None]
    assert np.diag(B.T @ centered).shape == (5,)
    rows = np.diag(B @ centered.T) / 5
    scale = reference.refine_scale(W, group).planes[0].row_scale
    assert rows == pytest.approx(scale)
