"""Arrays of the host and of a device are kept apart, as on a GPU."""

import numpy as np
import pytest
from apart import Apart, MixedError

from project import some
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.target import arithmetic_of
from subbit.fast.device.simulated import Simulated
from subbit.fast.port import Port


@pytest.fixture(scope="module")
def apart():
    return Port(Apart(Simulated()), "simulated")


@pytest.mark.parametrize(
    "name", some([name for name, item in OPERATIONS.items() if item.level], every=3)
)
def test_nothing_of_the_host_is_among_arrays_of_the_device(apart, name):
    item = OPERATIONS[name]
    outcome = item.check(apart, arithmetic_of(apart), next(iter(seeds_of(item, "quick"))))
    if outcome.status == "missing":
        pytest.skip(outcome.message)
    assert outcome.status in {"passed", "empty"}, outcome.message


def test_the_two_do_not_mix(apart):
    xp = apart.device.xp
    there, here = xp.ones((2, 3)), np.ones((2, 3))
    for mixed in (
        lambda: there + here,
        lambda: here + there,
        lambda: xp.where(there > 0, here, 0),
        lambda: xp.stack([there, here]),
        lambda: np.sum(there),
        lambda: there[np.array([0])],
        lambda: xp.ascontiguousarray(here),
    ):
        with pytest.raises(MixedError):
            mixed()
    assert type((there + 1).get()) is np.ndarray
    assert np.array_equal((there * xp.asarray(here)).get(), here)
