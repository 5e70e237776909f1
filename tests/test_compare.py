"""The comparison rules: what they accept and, above all, what they reject."""

import math

import numpy as np
import pytest

from subbit.conformance import compare

NAN, INF = float("nan"), float("inf")


def test_gamma_is_the_textbook_bound():
    assert compare.gamma(1) == pytest.approx(2.0**-53)
    assert compare.gamma(1000) > 1000 * 2.0**-53


def test_a_sum_stays_within_gamma():
    rng = np.random.default_rng(0)
    terms = rng.standard_normal(1000)
    running = 0.0
    for term in terms:
        running += term
    allowed = compare.gamma(999) * np.abs(terms).sum()
    assert 0 < compare.bound(running, math.fsum(terms), allowed) <= 1


@pytest.mark.parametrize(
    ("actual", "expected"),
    [([1.0], [1.0 + 2**-52]), ([NAN], [NAN]), ([1.0, 2.0], [1.0]), ([[1.0]], [1.0])],
)
def test_exact_refuses(actual, expected):
    assert compare.exact(actual, expected) == INF


def test_exact_takes_both_zeros():
    assert compare.exact([0.0], [-0.0]) == 0


@pytest.mark.parametrize(
    ("actual", "expected", "allowed", "ratio"),
    [
        ([1.0, 3.0], [1.0, 2.0], 0.5, 2.0),
        ([1.0, 3.0], [1.0, 2.0], [0.0, 4.0], 0.25),
        ([1.0], [1.0], 0.0, 0.0),
        ([1.0], [1.0 + 1e-15], 0.0, INF),
        ([NAN], [1.0], 1.0, INF),
        ([1.0], [NAN], 1.0, INF),
        ([INF], [INF], 1.0, INF),
        ([1.0], [1.0], NAN, INF),
        ([1.0], [1.0], INF, INF),
        ([1.0, 1.0], [1.0], 1.0, INF),
        ([1.0], [2.0], -1.0, INF),
        ([], [], 0.0, 0.0),
    ],
)
def test_bound(actual, expected, allowed, ratio):
    assert compare.bound(actual, expected, allowed) == ratio


@pytest.mark.parametrize(
    ("actual", "expected", "margin", "ratio"),
    [
        ([1, -1], [1, -1], [5.0, 5.0], 0.0),
        ([1, 1], [1, -1], [5.0, 0.25], 0.5),
        ([1, 1], [1, -1], [0.0, 1.0], 2.0),
        ([1, 1], [1, -1], [0.0, -1.0], 2.0),
        ([1, 1], [1, -1], [0.0, NAN], INF),
        ([1], [1, -1], [0.0, 0.0], INF),
    ],
)
def test_decision(actual, expected, margin, ratio):
    assert compare.decision(actual, expected, margin, 0.5) == ratio


def test_decision_without_allowance_asks_for_a_true_tie():
    assert compare.decision([1], [-1], 0.0, 0.0) == 0
    assert compare.decision([1], [-1], 1e-300, 0.0) == INF


@pytest.mark.parametrize(
    ("reached", "best", "ratio"),
    [(1.0, 2.0, 0.0), (2.0, 2.0, 0.0), (3.0, 2.0, 2.0), (NAN, 2.0, INF), (INF, 2.0, INF)],
)
def test_objective(reached, best, ratio):
    assert compare.objective(reached, best, 0.5) == ratio
    assert compare.objective([0.0, reached], [1.0, best], 0.5) == ratio


def test_statistic_is_relative_to_the_tolerance_and_refuses_nan():
    assert compare.statistic(11.0, 10.0, 0.1) == pytest.approx(1.0)
    assert compare.statistic([9.0, 11.0], [10.0, 10.0], 0.1) == 0.0
    assert compare.statistic(10.5, 10.0, 0.01) > 1
    assert compare.statistic(float("nan"), 10.0, 0.1) == math.inf
