"""Levels 0 to 3: every operation, case by case, with derived bounds.

A failing case prints its seed; ``subbit check TARGET --replay OPERATION:SEED`` repeats it.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.names import cases_of
from subbit.conformance.target import Port

FEWEST = 3
"""Cases of an operation, however little its share is."""
INTERFACES = [name for name, item in OPERATIONS.items() if item.level == 0]
COMPUTED = [name for name, item in OPERATIONS.items() if item.level > 0]


def _judge(port: Port, name: str, seed: int) -> None:
    outcome = OPERATIONS[name].check(port.tested, port.arithmetic, seed)
    if outcome.status == "missing":
        pytest.skip(outcome.message)
    assert outcome.status == "passed", outcome.message


@pytest.mark.parametrize("name", INTERFACES)
def test_interface(port: Port, name: str) -> None:
    """Level 0: the signature and the types, then every wrong argument there is."""
    for case in range(cases_of(OPERATIONS[name])):
        _judge(port, name, case)


@pytest.mark.parametrize("name", COMPUTED)
def test_operation(port: Port, name: str) -> None:
    """Levels 1 to 3: decisions by margin, values by bound, layers from their own states."""
    examples = round(settings().max_examples * OPERATIONS[name].share)

    @settings(max_examples=max(FEWEST, examples))
    @given(seed=st.integers(0, 2**32 - 1))
    def every_case(seed: int) -> None:
        _judge(port, name, seed)

    every_case()
