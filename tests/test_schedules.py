"""The levels pass with race checks on, and with random orders of warps and blocks."""

import pytest

from project import some
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.target import arithmetic_of, resolve

BOTH = "race+2"
MODES = ("race", "1", BOTH)
# Presets of a layer differ in the order of kernels that operations of their own launch in all
# modes: for them one case has to do.
LAYER = 1 / 8
COMPUTED = some(
    (
        (mode, name, (3,) if operation.share <= LAYER else (3, 20))
        for mode in MODES
        for name, operation in OPERATIONS.items()
        if operation.level > 0 and (mode == BOTH or operation.share > LAYER)
    ),
    every=5,
)


@pytest.fixture(scope="module")
def port(request):
    return resolve(f"fast:simulated+{request.param}")


@pytest.mark.parametrize(("port", "name", "seeds"), COMPUTED, indirect=["port"])
def test_operation_under_checks(port, name, seeds):
    for seed in seeds:
        outcome = OPERATIONS[name].check(port, arithmetic_of(port), seed)
        assert outcome.status in {"passed", "empty"}, outcome.message


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="target: expected"):
        resolve("fast:simulated+fast")
