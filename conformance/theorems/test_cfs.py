"""The coarse-to-fine search: importance of layers, their budgets, scores of weights.

The names are those of the property catalog.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import CONTINUOUS, LIVE, Activations, Array, Weights
from subbit.conformance.inputs.strategies import seeds
from subbit.conformance.target import Port
from subbit.reference.errors import ArgumentError

KINDS = ("arccos", "one_minus", "reciprocal", "redundancy")
every_kind = pytest.mark.parametrize("kind", KINDS)
rules = st.sampled_from(["proportional", "interpolated"])
# Read off the paper's bar chart of 32 layers; their mean is 1.
BARS = (
    *(2.85, 1.72, 1.50, 1.41, 1.56, 1.55, 1.40, 1.30, 1.15, 1.10, 0.98, 0.97, 1.06, 0.98, 1.05),
    *(1.04, 0.94, 0.83, 0.66, 0.54, 0.49, 0.51, 0.42, 0.37, 0.33, 0.32, 0.32, 0.34, 0.37, 0.45),
    *(0.73, 2.75),
)


@st.composite
def cosines(draw: st.DrawFn) -> Array:
    """Mean cosines of some layers, none close to a point where a formula has no bound."""
    count = draw(st.integers(1, 24))
    return np.array(draw(st.lists(st.integers(1, 63), min_size=count, max_size=count))) / 64


@st.composite
def budgets(draw: st.DrawFn) -> tuple[Array, dict[str, int]]:
    """Importance, and N, M and the ends."""
    keep, group = draw(st.sampled_from([(4, 8), (5, 8), (6, 8), (1, 4), (2, 2)]))
    low, high = draw(st.integers(1, keep)), draw(st.integers(keep, group))
    amounts = draw(st.lists(st.integers(0, 64), min_size=1, max_size=24))
    return np.array(amounts) / 16, {"keep": keep, "group": group, "low": low, "high": high}


@every_kind
@given(c=cosines())
def test_B11_importance_has_mean_one_and_falls_with_the_cosine(
    port: Port, kind: str, c: Array
) -> None:
    """B11: ``mean(LI) = 1``; the more a layer turns its input, the more it matters."""
    found = np.asarray(port.layer_importance(c, kind=kind))
    assert compare.bound(found.mean(), 1.0, port.gamma(8 * len(c) + 8) * 64) <= 1
    order = np.argsort(c, kind="stable")
    gaps, different = np.diff(found[order]), np.diff(c[order]) > 0
    assert (gaps[different] < 0).all()
    assert compare.exact(gaps[~different], np.zeros(np.count_nonzero(~different))) == 0


@every_kind
def test_B11_layers_that_do_nothing_are_all_alike(port: Port, kind: str) -> None:
    """B11: if all cosines are one, no layer is more important than another."""
    assert compare.bound(port.layer_importance(np.ones(3), kind=kind), np.ones(3), 1e-6) <= 1


@every_kind
def test_B11_cosines_up_to_both_ends_have_an_importance_and_no_others(
    port: Port, kind: str
) -> None:
    """B11: -1 and 1 are cosines of angles, and nothing beyond; some formulas need one above 0."""
    positive = kind in {"reciprocal", "redundancy"}
    lowest = 2.0**-10 if positive else -1.0
    assert np.isfinite(port.layer_importance([lowest, 1.0], kind=kind)).all()
    for wrong in (1.5, -1.5, *([0.0] if positive else [])):
        with pytest.raises(ArgumentError, match=r"^cosines:"):
            port.layer_importance([0.5, wrong], kind=kind)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_B11_no_cosine_is_beyond_one(port: Port, sign: float) -> None:
    """B11: of parallel vectors it is 1 but for rounding, which must not carry it beyond."""
    for width in range(1, 65):
        x = np.ones((1, width))
        assert np.abs(port.block_cosine(x, sign * x)) <= 1.0


@given(
    seed=seeds(), shape=st.tuples(st.integers(1, 6), st.integers(1, 24)), power=st.integers(-9, 9)
)
def test_B11_cosines_do_not_see_scales(
    port: Port, seed: int, shape: tuple[int, int], power: int
) -> None:
    """B11: scaling x or y changes nothing, bit for bit for powers of two; -y turns the sign."""
    x, y = np.random.default_rng(seed).standard_normal((2, *shape))
    c = port.block_cosine(x, y)
    assert port.block_cosine(2.0**power * x, y) == port.block_cosine(x, 2.0**power * y) == c
    assert port.block_cosine(x, -y) == -c
    assert compare.bound(port.block_cosine(x, 3 * x), 1.0, port.gamma(4 * shape[1] + 32)) <= 1
    assert compare.bound(port.block_cosine(y, x), c, port.gamma(4 * shape[1] + 32)) <= 1


@given(problem=budgets(), rule=rules)
def test_B11_repaired_budgets_meet_the_average(
    port: Port, problem: tuple[Array, dict[str, int]], rule: str
) -> None:
    """B11: ``Σ N_l = L N`` and ``N_low <= N_l <= N_high``; a larger wish never gets less."""
    importance, numbers = problem
    found = np.asarray(port.coarse_budget(importance, **numbers, rule=rule))
    assert found.sum() == numbers["keep"] * len(importance)
    _in_range_and_monotone(found, importance, numbers)


@given(problem=budgets(), rule=rules)
def test_B11_rounded_budgets_are_monotone(
    port: Port, problem: tuple[Array, dict[str, int]], rule: str
) -> None:
    """B11: before repair, the ends and the order hold, and equal layers get equal numbers."""
    importance, numbers = problem
    found = np.asarray(port.coarse_budget(importance, **numbers, rule=rule, repair=False))
    _in_range_and_monotone(found, importance, numbers)
    for amount in np.unique(importance):
        assert len(np.unique(found[importance == amount])) == 1
    if rule == "proportional":
        wishes = np.floor(numbers["keep"] * importance + 0.5)
        assert compare.exact(found, np.clip(wishes, numbers["low"], numbers["high"])) == 0


def _in_range_and_monotone(found: Array, importance: Array, numbers: dict[str, int]) -> None:
    assert numbers["low"] <= found.min()
    assert found.max() <= numbers["high"]
    order = np.argsort(importance, kind="stable")
    different = np.diff(importance[order]) > 0
    assert (np.diff(found[order])[different] >= 0).all()


@given(problem=budgets(), rule=rules)
def test_B11_alike_layers_keep_the_target(
    port: Port, problem: tuple[Array, dict[str, int]], rule: str
) -> None:
    """B11: importance of one everywhere is N everywhere, repaired or not."""
    importance, numbers = problem
    for repair in (True, False):
        ones = np.ones(len(importance))
        found = port.coarse_budget(ones, **numbers, rule=rule, repair=repair)
        assert compare.exact(found, np.full(len(ones), numbers["keep"])) == 0


@pytest.mark.parametrize(("low", "high", "total"), [(3, 5, 124), (2, 6, 121), (3, 6, 132)], ids=str)
def test_clipping_breaks_the_average_of_the_drawn_bars(
    port: Port, low: int, high: int, total: int
) -> None:
    """With the importance in the paper's chart, 4:8 would be 3.88, 3.78 or 4.13 of 8."""
    importance = np.array(BARS)
    ends = {"low": low, "high": high}
    assert int(np.sum(port.coarse_budget(importance, 4, 8, **ends, repair=False))) == total
    assert int(np.sum(port.coarse_budget(importance, 4, 8, **ends))) == 128


@given(family=st.sampled_from(CONTINUOUS), inputs=st.sampled_from(LIVE), seed=seeds())
def test_B12_scores_are_losses_of_removal(port: Port, family: str, inputs: str, seed: int) -> None:
    """B12: ``w² / (2 [H⁻¹]_jj)`` is the least ``½ r H rᵀ`` of all r with ``r_j = -w_j``."""
    k = 6
    W = Weights(family, seed, (2, k)).values
    H = port.damp(Activations(inputs, seed, (2, 24, k)).hessian, 0.01)
    scores = np.asarray(port.fine_scores(W, H))
    condition = np.linalg.cond(H)
    for j in range(k):
        free = np.arange(k) != j
        r = np.zeros(W.shape)
        r[:, j] = -W[:, j]
        r[:, free] = np.linalg.solve(H[np.ix_(free, free)], np.outer(H[free, j], W[:, j])).T
        loss = 0.5 * np.sum((r @ H) * r, axis=1)
        allowed = port.gamma(64 * k) * condition * (loss + 1e-300)
        assert compare.bound(scores[:, j] / 2, loss, allowed) <= 1


@given(family=st.sampled_from(CONTINUOUS), seed=seeds(), power=st.integers(-6, 6))
def test_scores_scale(port: Port, family: str, seed: int, power: int) -> None:
    """Masks ignore the scale of weights and inputs; scores scale with powers of it."""
    W = Weights(family, seed, (2, 6)).values
    H = port.damp(Activations("ar0.5", seed, (2, 24, 6)).hessian, 0.01)
    of_weights = {"obs": 2, "squared": 2, "trailing": 2, "magnitude": 1, "wanda": 1}
    of_hessian = {"obs": 1, "squared": 2, "trailing": 1, "magnitude": 0, "wanda": 0.5}
    for score, p in of_weights.items():
        found = np.asarray(port.fine_scores(W, H, score=score))
        scaled = port.fine_scores(2.0**power * W, H, score=score)
        assert compare.exact(scaled, 2.0 ** (power * p) * found) == 0
        scaled = port.fine_scores(W, 4.0**power * H, score=score)
        assert compare.exact(scaled, 4.0 ** (power * of_hessian[score]) * found) == 0


@given(seed=seeds())
def test_trailing_scores_equal_the_unordered_in_the_first_column(port: Port, seed: int) -> None:
    """``U_00² = [H⁻¹]_00``; elsewhere the trailing score has the smaller divisor."""
    W = Weights("gauss", seed, (2, 5)).values
    H = port.damp(Activations("ar0.5", seed, (2, 24, 5)).hessian, 0.01)
    first, own = (np.asarray(port.fine_scores(W, H, score=s)) for s in ("trailing", "obs"))
    allowed = port.gamma(400) * np.linalg.cond(H) * own
    assert compare.bound(first[:, 0], own[:, 0], allowed[:, 0]) <= 1
    assert (first >= own - allowed).all()
