"""Layer budgets: bounds, exact means, monotonicity, and the official log."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import Array
from subbit.conformance.inputs.strategies import seeds
from subbit.conformance.target import Port

sizes = st.integers(1, 16).flatmap(lambda m: st.tuples(st.integers(1, m), st.just(m)))
RULES = ("norm_budget", "outlier_budget")
every_rule = pytest.mark.parametrize("rule", RULES)
SHARES = st.lists(st.integers(0, 64).map(lambda v: v / 16), min_size=1, max_size=24).map(np.array)
"""Norms or outliers of few bits, so that equal ones are frequent and no port rounds them."""

# Output of the official demo: LLaMA-2-7B, 4:8, threshold 6, spread 2.
LOGGED = np.array([
    0.4209790205090775, 0.40479818156346137, 0.30860456160313104, 0.3875035696079076,
    0.2518391979790722, 0.21269062022471058, 0.2656249802347292, 0.24487045762452436,
    0.2065233616013601, 0.18616167374843143, 0.17812165571617955, 0.2158985236765807,
    0.18172140566178552, 0.17278453846669567, 0.16096737718335088, 0.13882137950837922,
    0.12738272316097596, 0.11663733368710533, 0.11377779313319705, 0.1085874330194503,
    0.09938126400962394, 0.10590726229810962, 0.09423685815050195, 0.09529924145634311,
    0.09761968424900826, 0.09774321719154794, 0.09282364128784812, 0.07508282834384108,
    0.07717942944462436, 0.07305392329556955, 0.07160562307723446, 0.08433890466245345,
])  # fmt: skip
PRUNED = [2, 2, 2, 2, 4, 4, 2, *[4] * 20, 5, 5, 5, 5, 4]


def test_the_official_log(port: Port) -> None:
    """Pruned of 8, layer by layer as logged, with mean 3.8125 where 4 was requested."""
    counts = port.outlier_budget(LOGGED, 4, 8)
    assert compare.exact(8 - counts, np.array(PRUNED)) == 0
    assert np.mean(8 - counts) == 3.8125
    repaired = port.outlier_budget(LOGGED, 4, 8, repair=True)
    assert np.mean(repaired) == 4
    assert compare.exact(repaired - 4, np.sign(counts - 4) - (np.arange(32) == 31)) == 0


def test_the_promotion_alone_breaks_the_mean_of_the_log(port: Port) -> None:
    """Five layers keep one weight more and four one less; the five then get two more."""
    plain = port.outlier_budget(LOGGED, 4, 8, promote=False)
    promoted = port.outlier_budget(LOGGED, 4, 8)
    assert compare.exact(promoted, np.where(plain == 5, 6, plain)) == 0
    assert (plain.sum() - 4 * 32, promoted.sum() - 4 * 32) == (1, 6)


@every_rule
@given(shares=SHARES, size=sizes)
def test_budgets_are_in_range_and_deterministic(
    port: Port, rule: str, shares: Array, size: tuple[int, int]
) -> None:
    """From 1 to M, and the same for the same input."""
    keep, group = size
    for repair in (False, True):
        counts = getattr(port, rule)(shares, keep, group, repair=repair)
        assert counts.shape == shares.shape
        assert ((counts >= 1) & (counts <= group)).all()
        again = getattr(port, rule)(shares.copy(), keep, group, repair=repair)
        assert compare.exact(again, counts) == 0


@every_rule
@given(shares=SHARES, size=sizes)
def test_repaired_budgets_have_the_mean_that_was_asked_for(
    port: Port, rule: str, shares: Array, size: tuple[int, int]
) -> None:
    """Σ N_l = L N, exactly."""
    keep, group = size
    counts = getattr(port, rule)(shares, keep, group, repair=True)
    assert counts.sum() == len(shares) * keep


@every_rule
@given(shares=SHARES, size=sizes)
def test_more_important_layers_never_keep_less(
    port: Port, rule: str, shares: Array, size: tuple[int, int]
) -> None:
    """Monotone in the norm or the outliers; equal ones get equal N before repair."""
    keep, group = size
    order = np.argsort(shares, kind="stable")
    counts = getattr(port, rule)(shares, keep, group)
    assert (np.diff(counts[order]) >= 0).all()
    for value in np.unique(shares):
        assert len(np.unique(counts[shares == value])) == 1
    repaired = getattr(port, rule)(shares, keep, group, repair=True)
    steps = np.diff(shares[order]) > 0
    assert (np.diff(repaired[order])[steps] >= 0).all()


@given(shares=SHARES, size=sizes)
def test_the_norm_rule_keeps_what_was_asked_for_or_more(
    port: Port, shares: Array, size: tuple[int, int]
) -> None:
    """Every ratio is at least N / M, in every layer; so is the mean. (I of section 4.1)"""
    keep, group = size
    assert (port.norm_budget(shares, keep, group) >= keep).all()


@given(shares=SHARES, size=sizes, repair=st.booleans())
def test_budgets_do_not_depend_on_the_unit(
    port: Port, shares: Array, size: tuple[int, int], *, repair: bool
) -> None:
    """Norms and outliers times a power of two give the same budgets, down to the least normal."""
    keep, group = size
    for rule in RULES:
        plain = getattr(port, rule)(shares, keep, group, repair=repair)
        for unit in (2.0**-3, 2.0, 2.0**5, 16.0 * port.arithmetic.tiny):
            other = getattr(port, rule)(shares * unit, keep, group, repair=repair)
            assert compare.exact(other, plain) == 0


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_equal_outliers_are_no_division_by_zero(port: Port, value: float) -> None:
    """The code divides 0 by 0 and fails; here no layer is preferred."""
    assert port.outlier_budget(np.full(5, value), 4, 8).tolist() == [4] * 5
    assert port.outlier_budget(np.full(1, value), 3, 8, repair=True).tolist() == [3]
    assert port.norm_budget(np.full(4, value), 4, 8).tolist() == [5] * 4


def test_budgets_that_the_code_fails_at_are_clipped(port: Port) -> None:
    """-1 of 8 pruned, which its top-k refuses, means none pruned; no layer loses everything."""
    shares = np.array([9.0, 1.0, 1.0, 1.0, 1.0])
    assert port.outlier_budget(shares, 7, 8, spread=4.0).tolist() == [8, 6, 6, 6, 6]
    assert port.outlier_budget(shares[::-1], 1, 8, spread=4.0).tolist() == [1, 1, 1, 1, 4]


@given(seed=seeds(), parts=st.integers(1, 4), threshold=st.sampled_from([0.0, 0.5, 1.0, 3.0]))
def test_outlier_share_counts_all_linears_of_a_layer_together(
    port: Port, seed: int, parts: int, threshold: float
) -> None:
    """100 · #{s > T mean} / #: on small whole numbers whose mean is exact, so no ties round."""
    rng = np.random.default_rng(seed)
    scores = [rng.integers(0, 9, size=(2, 4 * 2 ** int(rng.integers(3)))) for _ in range(parts)]
    flat = np.concatenate([part.ravel() for part in scores])
    wanted = 100 * np.count_nonzero(flat * flat.size > threshold * flat.sum()) / flat.size
    found = port.outlier_share([part.astype(float) for part in scores], threshold)
    assert compare.bound(found, wanted, 4 * port.unit_roundoff * wanted) <= 1
    assert 0 <= found <= 100


def test_no_score_is_above_an_even_distribution(port: Port) -> None:
    """If all are equal, none lies above the mean; at most 1/M lie above M times the mean."""
    assert port.outlier_share([np.ones((3, 4))], 1.0) == 0
    assert port.outlier_share([np.ones((3, 4)), np.full((2, 2), 16.0)], 3.0) == 25


wishes_and_range = st.tuples(
    st.lists(st.integers(-24, 56), min_size=1, max_size=5), st.integers(0, 3), st.integers(0, 4)
)


@given(drawn=wishes_and_range, place=st.floats(0, 1))
def test_no_other_counts_of_that_mean_lose_less(
    port: Port, drawn: tuple[list[int], int, int], place: float
) -> None:
    """Against all whole numbers with that range and sum, on wishes in eighths: exactly."""
    eighths, low, span = drawn
    high = low + span
    keep = low + round(place * span)
    wishes = np.array(eighths) / 8
    counts = port.repair_budget(wishes, keep, low, high)
    assert counts.sum() == len(wishes) * keep
    assert ((counts >= low) & (counts <= high)).all()
    every = np.array(list(itertools.product(range(low, high + 1), repeat=len(wishes))))
    feasible = every[every.sum(axis=1) == len(wishes) * keep]
    best = np.sum((feasible - wishes) ** 2, axis=1).min()
    assert np.sum((counts - wishes) ** 2) == best


@given(eighths=st.lists(st.integers(-40, 80), min_size=1, max_size=30), size=sizes)
def test_repair_is_monotone_and_prefers_earlier_layers(
    port: Port, eighths: list[int], size: tuple[int, int]
) -> None:
    """A larger wish never gets less; of equal wishes, the earlier gets at most one more."""
    keep, high = size
    wishes = np.array(eighths) / 8
    counts = port.repair_budget(wishes, keep, 1, high)
    order = np.argsort(-wishes, kind="stable")
    assert (np.diff(counts[order]) <= 0).all()
    for value in np.unique(wishes):
        assert np.ptp(counts[wishes == value]) <= 1


@given(seed=seeds(), layers=st.integers(1, 30), size=sizes)
def test_repair_is_rounding_where_rounding_has_the_right_sum(
    port: Port, seed: int, layers: int, size: tuple[int, int]
) -> None:
    """Nothing moves unless it must; whole numbers stay the same."""
    keep, group = size
    rng = np.random.default_rng(seed)
    whole = rng.multivariate_hypergeometric([group] * layers, layers * keep)
    assert compare.exact(port.repair_budget(whole.astype(float), keep, 0, group), whole) == 0
    near = whole + rng.integers(-3, 4, size=layers) / 8
    assert compare.exact(port.repair_budget(near, keep, 0, group), whole) == 0
