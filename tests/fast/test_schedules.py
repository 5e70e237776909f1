"""Every kernel under random schedules with race checks: the same bits as in lock-step."""

import numpy as np
import pytest
from fast_inputs import hessian, mask, smooth

from project import some
from subbit import fast
from subbit.reference import SPBO, Refinement

ROUNDS = Refinement(iterations=2, calibrated_iterations=2)
STEPWISE = SPBO(calibrated_iterations=2, mean="shared", signs="resigned")
W = smooth((37, 70))
WIDE = smooth((9, 150))
MASKS = mask((2, *W.shape))
MASKS[1] &= MASKS[0]
CALLS = {
    "means": lambda p: p.masked_mean(W, mask(W.shape)),
    "scales": lambda p: p.masked_scale(W, mask(W.shape)),
    "binarize": lambda p: p.residual_binarize(W, order=2, center=True).decode(),
    "binarize wide": lambda p: p.residual_binarize(WIDE, order=2, center=True).decode(),
    "scores": lambda p: p.trailing_saliency(W, np.diag(np.arange(1.0, 71.0))),
    "columns": lambda p: p.column_saliency(smooth((300, 40))),
    "ranks": lambda p: p.rank_columns(np.abs(W[0])),
    "salient search": lambda p: (
        p.salient_search(W, np.arange(70), [0, 3, 9], orders=(2, 2), center=True).objectives
    ),
    "salient search wide": lambda p: p.salient_search(WIDE, np.arange(150), [5]).objectives,
    "many rows": lambda p: p.salient_search(smooth((270, 8)), np.arange(8), [3]).objectives,
    "split search": lambda p: (
        p.bell_split_search(W, np.ones(70, dtype=bool), [0.5, 1.0], center=True).objectives
    ),
    "split search of entries": lambda p: (
        p.bell_split_search_direct(W, mask(W.shape), [0.5, 1.0], orders=(2, 2)).objectives
    ),
    "calibrated split search": lambda p: (
        p.calibrated_split_search(W, mask(W.shape), [0.5], hessian(70), orders=(2, 2)).objectives
    ),
    "calibrated split search wide": lambda p: (
        p.calibrated_split_search(WIDE[:3], np.arange(150) % 3 > 0, [0.5], hessian(150)).objectives
    ),
    "trisection search": lambda p: (
        p.trisection_search(W, mask(W.shape), [0.5, 1.0], orders=(1, 2, 1), center=True).objectives
    ),
    "trisection search wide": lambda p: (
        p.trisection_search(WIDE, np.arange(150) % 3 > 0, [0.5], center=True).objectives
    ),
    "trisection": lambda p: np.stack(p.trisection(np.abs(W), mask(W.shape), 0.6)),
    "split": lambda p: np.stack(p.bell_split(np.abs(W), np.arange(70) % 3 > 0, 0.8)),
    "wanda": lambda p: p.wanda_importance(W, W[0] ** 2),
    "importance": lambda p: p.standardized_importance(W, W[0] ** 2),
    "importance wide": lambda p: p.standardized_importance(WIDE, WIDE[0] ** 2),
    "2:4 mask": lambda p: p.nm_mask(np.round(W), 2, 4, tail="dense"),
    "4:8 mask of two blocks": lambda p: p.nm_mask(np.round(smooth((70, 32))), 4, 8),
    "5:16 mask": lambda p: p.nm_mask(np.round(WIDE), 5, 16, tail="dense"),
    "3:7 mask": lambda p: p.nm_mask(np.round(W), 3, 7),
    "arb": lambda p: p.arb(W, mask(W.shape), order=2, config=ROUNDS).decode(),
    "arb wide": lambda p: p.arb(WIDE, order=2, config=ROUNDS).decode(),
    "levels": lambda p: p.solve_levels(W, p.arb_start(W, order=2)).decode(),
    "joint signs": lambda p: np.stack(p.joint_signs(W, W[:, :1], W)),
    "arb-x": lambda p: p.arb_x(W, mask(W.shape), hessian(70), order=2, config=ROUNDS).decode(),
    "arb-x wide": lambda p: p.arb_x(WIDE, None, hessian(150), order=2, config=ROUNDS).decode(),
    "calibrated mean": lambda p: p.calibrated_mean(W, p.arb_start(W), hessian(70)).mean,
    "calibrated sums": lambda p: p.calibrated_sums(W, p.arb_start(W), hessian(70))[0],
    "arb-rc": lambda p: p.arb_rc(W, mask(W.shape), order=2, config=ROUNDS).decode(),
    "arb-rc wide": lambda p: p.arb_rc(WIDE, order=2, config=ROUNDS).decode(),
    "arb-rc many rows": lambda p: p.arb_rc(smooth((70, 9)), config=ROUNDS).decode(),
    "step masks": lambda p: p.spbo_schedule(np.round(W), 4, 8, tail="dense"),
    "step masks of two blocks": lambda p: p.spbo_schedule(np.round(smooth((70, 32))), 5, 8),
    "stepwise": lambda p: p.spbo(
        W, mask(W.shape), MASKS, hessian(70), order=2, config=STEPWISE
    ).decode(),
    "stepwise wide": lambda p: p.spbo(
        WIDE[:2], None, mask((1, 2, 150)), hessian(150), config=STEPWISE
    ).decode(),
    "cosine": lambda p: p.block_cosine(WIDE, np.roll(WIDE, 1)),
    "gptq": lambda p: p.gptq_layer(WIDE[:, :40], hessian(40)).decode(),
}


@pytest.mark.parametrize("name", CALLS)
def test_bits_do_not_depend_on_the_schedule(port, name):
    expected = CALLS[name](port)
    for seed in some(range(3)):
        strict = fast.on("simulated", races=True, schedule="random", seed=seed)
        assert np.array_equal(CALLS[name](strict), expected)


@pytest.mark.parametrize(
    "name",
    [
        *("binarize", "salient search", "split search", "calibrated split search", "columns"),
        "trisection search",
        *("importance", "2:4 mask", "5:16 mask", "3:7 mask"),
        *("arb", "levels", "arb-x", "arb-rc"),
        *("step masks", "stepwise", "cosine"),
    ],
)
@pytest.mark.parametrize("arch", some(["sm_120", "sm_90", "sm_100"]))
def test_bits_do_not_depend_on_the_architecture(port, name, arch):
    assert np.array_equal(CALLS[name](fast.on("simulated", arch=arch)), CALLS[name](port))
