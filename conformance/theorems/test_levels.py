"""Levels 0 to 3: every operation, case by case, with derived bounds.

The cases are those of ``subbit check`` at the same depth, or on a simulated device, which is
slow, at the next lower depth. ``subbit check TARGET --replay OPERATION:SEED`` repeats one.
"""

import pytest

from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.target import Port


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(port: Port, name: str) -> None:
    """Level 0: signatures, types, wrong arguments; levels 1 to 3: decisions and numbers."""
    for seed in seeds_of(OPERATIONS[name], port.depth):
        outcome = OPERATIONS[name].check(port.tested, port.arithmetic, seed)
        if outcome.status == "missing":
            pytest.skip(outcome.message)
        assert outcome.status == "passed", f"{outcome.message} [--replay {outcome.replay}]"
