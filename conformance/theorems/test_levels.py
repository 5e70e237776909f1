"""Levels 0 to 3: every operation, case by case, with derived bounds.

The cases are those of ``subbit check`` at the same depth, or on a simulated device, which is
slow, at the next lower depth. ``subbit check TARGET --replay OPERATION:SEED`` repeats one.
"""

import pytest

from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.counts import Counts
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.protocol import missing
from subbit.conformance.target import Port


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(port: Port, name: str) -> None:
    """Level 0: signatures, types, wrong arguments; levels 1 to 3: decisions and numbers."""
    item = OPERATIONS[name]
    if lacking := missing(port.tested, item.needs):
        pytest.skip(f"not implemented: {lacking[0]}")
    seeds, unknown, counts = seeds_of(item, port.depth), [], Counts()
    for seed in seeds:
        outcome = item.check(port.tested, port.arithmetic, seed)
        if outcome.status == "missing":
            unknown.append(outcome.message)
            continue
        assert outcome.status != "failed", f"{outcome.message} [--replay {outcome.replay}]"
        counts += outcome.counts
    if len(unknown) < len(seeds):
        assert counts.compared if item.level else counts.facts, "nothing was compared"
    if unknown:
        compared = len(seeds) - len(unknown)
        pytest.skip(f"{compared} of {len(seeds)} cases passed, the others {unknown[0]}")
