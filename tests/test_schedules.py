"""The levels hold with race checks on, and in random orders of warps and blocks."""

import pytest

from subbit.conformance.cases import OPERATIONS
from subbit.conformance.target import arithmetic_of, resolve

COMPUTED = [name for name, operation in OPERATIONS.items() if operation.level > 0]


@pytest.fixture(scope="module", params=["race", "1", "race+2"])
def port(request):
    return resolve(f"fast:simulated+{request.param}")


@pytest.mark.parametrize("name", COMPUTED)
def test_operation_under_checks(port, name):
    for seed in (3, 20):
        outcome = OPERATIONS[name].check(port, arithmetic_of(port), seed)
        assert outcome.status == "passed", outcome.message


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="target: expected"):
        resolve("fast:simulated+fast")
