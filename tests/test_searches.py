"""The fast searches stay accurate where subtracting sums would lose all digits."""

import numpy as np
import pytest

from subbit import reference

FAR = pytest.mark.parametrize("mean", [0.0, 1e2, -1e4, 1e6])


def _problem(mean):
    """Rows whose mean is many deviations from zero, and the resolution of an error."""
    T = mean + np.random.default_rng(0).standard_normal((6, 40))
    spread = np.sum((T - T.mean(axis=1, keepdims=True)) ** 2)
    # Rounding an entry costs u|x|, and enters the squared error times its remainder.
    return T, 1e-12 * np.sqrt(np.sum(T**2) * spread)


@FAR
@pytest.mark.parametrize("closed", [True, False])
def test_bell_split_search_far_from_zero(mean, closed):
    T, allowed = _problem(mean)
    thresholds = np.quantile(np.abs(T), np.linspace(0.1, 0.9, 9))
    arguments = (T, np.ones(40, dtype=bool), thresholds)
    fast = reference.bell_split_search(*arguments, center=True, closed=closed)
    direct = reference.bell_split_search_direct(*arguments, center=True, closed=closed)
    assert np.max(np.abs(fast.objectives - direct.objectives)) <= allowed
    assert fast.choice == direct.choice


@FAR
@pytest.mark.parametrize("orders", [(1, 1), (2, 2), (2, 1)])
def test_salient_search_far_from_zero(mean, orders):
    T, allowed = _problem(mean)
    arguments = (T, np.arange(40), np.arange(41))
    fast = reference.salient_search(*arguments, center=True, orders=orders)
    direct = reference.salient_search_direct(*arguments, center=True, orders=orders)
    assert np.max(np.abs(fast.objectives - direct.objectives)) <= allowed
    assert fast.choice == direct.choice
