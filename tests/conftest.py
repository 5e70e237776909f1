"""The same examples in every run of the tests."""

import pytest

from subbit.conformance.inputs.profiles import give_seed, load_profile, one_thread


def pytest_configure(config: pytest.Config) -> None:
    one_thread(config)


def pytest_collectstart(collector: pytest.Collector) -> None:
    if isinstance(collector, pytest.Module):
        load_profile("quick", share=2)


def pytest_runtest_setup(item: pytest.Item) -> None:
    give_seed(item)
