"""Levels 0 to 3: every operation, case by case, with derived bounds.

The cases are those of ``subbit check`` at the same depth, or on a simulated device, which is
slow, at the next lower depth. ``subbit check TARGET --replay OPERATION:SEED`` repeats one.
"""

from collections.abc import Callable

import pytest

from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.command.rows import EMPTY, rows_of
from subbit.conformance.command.told import PROPERTY, told_of
from subbit.conformance.command.workers import Workers
from subbit.conformance.exceptions import Exceptions
from subbit.conformance.protocol import missing
from subbit.conformance.target import Port


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(
    port: Port,
    workers: Workers,
    exceptions: Exceptions,
    record_property: Callable[[str, object], None],
    name: str,
) -> None:
    """Level 0: signatures, types, wrong arguments; levels 1 to 3: decisions and numbers."""
    item = OPERATIONS[name]
    if lacking := missing(port.tested, item.needs):
        pytest.skip(f"not implemented: {lacking[0]}")
    seeds = seeds_of(item, port.depth)
    judged = workers.judge(name, exceptions.kept(name, seeds))
    record_property(PROPERTY, told_of(seeds, judged))
    rows = rows_of(item, seeds, judged, exceptions)
    failures = [(row, failure) for row in rows for failure in row.failures]
    said = [f"{row.part}: {one['message']} [--replay {one['replay']}]" for row, one in failures]
    if failures:
        pytest.fail("\n".join(said), pytrace=False)
    assert all(row.status != EMPTY for row in rows), "no number was compared"
    aside = [f"{row.part}: {row.message}" for row in rows if row.status != "passed"]
    if any(row.expected for row in rows):
        pytest.xfail("; ".join(aside))
    if aside:
        pytest.skip("; ".join(aside))
