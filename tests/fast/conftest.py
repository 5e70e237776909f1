"""Ports that the tests of the fast path share."""

import pytest

from subbit import fast


@pytest.fixture(scope="session")
def port():
    return fast.on("simulated")


@pytest.fixture(scope="session")
def strict():
    """Data races are errors, and warps run in a random order."""
    return fast.on("simulated", races=True, schedule="random", seed=7)
