"""Every operation compares something, and how much it leaves out is limited by name."""

import pytest

from project import some
from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.counts import Counts
from subbit.conformance.cases.seeds import seeds_of
from subbit.reference.bounds.rounding import Arithmetic

SINGLE = Arithmetic("float32")
COMPUTED = [name for name, item in OPERATIONS.items() if item.level > 0]
LIMIT = 0.06
"""Share without a bound, of numbers or of decisions, at most."""
SIGNS = "a sign on the way of the refinement is left to rounding in some rows"
SWEPT = "in float32, worst cases of straight sums add up over three sweeps of five groups"
WIDE = "in the wide case the matrix is singular to the rounding of straight sums in float32"
MORE = {
    "refine_zones": (0.25, SIGNS),
    "arb_x": (0.14, SIGNS),
    "arb_rc": (0.07, SIGNS),
    "arb_llm_layer_arb_x_released": (0.1, SIGNS),
    "arb_llm_layer_arb_x_released_nocgb": (0.1, SIGNS),
    "arb_llm_layer_arb_x_released_magnitude_nocgb": (0.1, SIGNS),
    "arb_llm_layer_arb_x_corrected": (0.6, SWEPT),
    "arb_llm_layer_arb_rc_paper": (0.1, SIGNS),
    "arb_llm_layer_arb_rc_released": (0.1, SIGNS),
    "arb_llm_layer_arb_rc_released_magnitude": (0.1, SIGNS),
    "arb_llm_layer_arb_rc_corrected": (0.1, SIGNS),
    "arb_llm_layer_arb_rc_paper_nocgb": (0.1, SIGNS),
    "arb_llm_layer_arb_rc_released_nocgb": (0.1, SIGNS),
    "arb_llm_layer_arb_rc_released_magnitude_nocgb": (0.1, SIGNS),
    "pbs2p_block": (0.14, SIGNS),
    "pbs2p_layer_canonical": (0.13, SIGNS),
    "pbs2p_layer_resigned": (0.27, SIGNS),
    "pbs2p_layer_shared": (0.14, SIGNS),
    "pbs2p_layer_recomputed": (0.11, SIGNS),
    "far_pbs2p_block": (0.2, SIGNS),
    "sequences_past_24_bits": (0.15, "a straight sum of 2^24 numbers in float32 has no bound"),
    "inverse_factor": (0.2, WIDE),
    "removal_move": (0.07, WIDE),
    "inverse_hessian_saliency": (0.12, WIDE),
    "obs_saliency": (0.12, WIDE),
    "fine_scores": (0.12, WIDE),
}
"""Operations with a larger share, each with its limit and the reason."""


@pytest.mark.parametrize("name", some(COMPUTED))
def test_an_operation_compares_most_of_its_numbers(name):
    item, counts = OPERATIONS[name], Counts()
    for seed in seeds_of(item, "ci"):
        outcome = item.check(reference, SINGLE, seed)
        assert outcome.status != "failed", outcome.message
        counts += outcome.counts
    assert counts.compared > 0
    limit, reason = MORE.get(name, (LIMIT, "none"))
    lost = {**counts.unbounded, **counts.skipped}
    assert counts.share <= limit, f"{counts.share:.1%} are not compared: {lost}; known: {reason}"
    if name in MORE:
        # Otherwise it need not be listed.
        assert counts.share > LIMIT


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_interface_has_cases_that_check_something(name):
    item = OPERATIONS[name]
    if item.level == 0:
        statuses = {item.check(reference, SINGLE, seed).status for seed in seeds_of(item, "ci")}
        assert statuses == {"passed"}


def test_exceptions_are_operations():
    assert set(MORE) <= set(COMPUTED)
