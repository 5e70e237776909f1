"""Profiles of hypothesis
======================

The property tests draw the same examples on every machine: each test's seed follows from
its name, nothing is remembered from run to run, and nothing depends on what else happens to
be imported. (Hypothesis collects constants from all local modules, so a test would draw one
thing when it runs alone and another after its neighbors.)

``--hypothesis-seed N`` draws other examples, and the same ones for the same N.
"""

import importlib
from collections.abc import Mapping
from typing import Any

import hypothesis
import pytest
from threadpoolctl import threadpool_limits

from subbit.conformance.inputs.seeds import seed_of

EXAMPLES: Mapping[str, int] = {"quick": 16, "ci": 30, "long": 400}
"""Examples per property, by depth."""
SEED_OPTION = "hypothesis_seed"
"""Pytest's name for the option that draws other examples."""


def _forget_local_constants() -> None:
    # There is no public switch for this, and older versions have no such constants.
    providers: Any = importlib.import_module("hypothesis.internal.conjecture.providers")
    if hasattr(providers, "_get_local_constants"):
        nothing = importlib.import_module("hypothesis.internal.constants_ast").Constants()
        providers._get_local_constants = lambda: nothing  # noqa: SLF001


def load_profile(depth: str, *, share: int = 1) -> None:
    """Set how hypothesis draws.

    Parameters
    ----------
    depth : {"quick", "ci", "long"}
        How many examples.
    share : int, default 1
        Divisor of their number.
    """
    _forget_local_constants()
    hypothesis.settings.register_profile(
        "subbit",
        max_examples=EXAMPLES[depth] // share,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("subbit")


def one_thread(config: pytest.Config) -> None:
    """Compute on one thread, since the number of threads changes the order of sums.

    Parameters
    ----------
    config : pytest.Config
        Its cleanup lifts the limit.
    """
    config.add_cleanup(threadpool_limits(1).restore_original_limits)


def give_seed(item: pytest.Item) -> None:
    """Give a property test the seed of its name.

    Parameters
    ----------
    item : pytest.Item
        Any test; only hypothesis tests draw.
    """
    test: Any = getattr(item, "obj", None)
    if getattr(test, "is_hypothesis_test", False):
        # Without folders and packages, so it does not matter where pytest was started.
        words = [item.path.stem, item.name]
        given = item.config.getoption(SEED_OPTION, None)
        hypothesis.seed(seed_of(*words if given is None else [*words, given]))(test)
