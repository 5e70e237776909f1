"""The same examples in every run of the tests."""

import pytest
from threadpoolctl import threadpool_limits

from subbit.conformance.inputs.profiles import give_seed, load_profile


def pytest_configure(config: pytest.Config) -> None:
    load_profile("ci")
    config.add_cleanup(threadpool_limits(1).restore_original_limits)


def pytest_runtest_setup(item: pytest.Item) -> None:
    give_seed(item)
