"""Wrong ports are rejected, each by the cases of its own operation; the honest one is not."""

import sys
from collections import Counter

import pytest

from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.mutants import MUTANTS
from subbit.conformance.protocol import CLASSES, PROTOCOL
from subbit.reference.bounds.rounding import Arithmetic

COMPUTED = [name for name, item in OPERATIONS.items() if item.level > 0]
DECLARED = Arithmetic()
REMEMBERING = {"answers in one workspace", "remembered by shapes", "one sum for all"}


def outcomes(port, name):
    item = OPERATIONS[name]
    return (item.check(port, DECLARED, seed) for seed in seeds_of(item, "ci"))


def first_failure(port, name):
    return next((found for found in outcomes(port, name) if found.status == "failed"), None)


def test_every_operation_has_mutants():
    assert set(MUTANTS) == set(COMPUTED)
    assert min(map(len, MUTANTS.values())) >= 4
    for found in MUTANTS.values():
        assert len({mutant.name for mutant in found}) == len(found)


def test_every_function_is_judged_by_what_it_computes():
    needed = {name for item in COMPUTED for name in OPERATIONS[item].needs}
    assert set(PROTOCOL) - CLASSES - needed == set()


@pytest.mark.parametrize("name", COMPUTED)
def test_every_function_that_an_operation_needs_is_wrong_in_a_mutant(name):
    changed = {function for mutant in MUTANTS[name] for function in mutant.functions}
    assert set(OPERATIONS[name].needs) <= changed


@pytest.mark.parametrize("name", COMPUTED)
def test_the_honest_port_is_accepted(name):
    first = [found for found, _ in zip(outcomes(reference, name), range(8), strict=False)]
    assert {found.status for found in first} <= {"passed", "empty"}
    assert any(found.status == "passed" for found in first)


@pytest.mark.parametrize("name", COMPUTED)
def test_mutants_are_rejected(name):
    """`pytest -rP` shows by which check, and how many cases it took."""
    rejected = Counter()
    for mutant in MUTANTS[name]:
        found = first_failure(mutant.port, name)
        assert found is not None, mutant.name
        assert found.message.startswith(f"{name} (")
        again = OPERATIONS[name].check(mutant.port, DECLARED, found.seed)
        # A port that remembers calls need not fail in the same way twice.
        assert again == found or (again.status == "failed" and mutant.name in REMEMBERING)
        rejected[mutant.name] += 1
        sys.stdout.write(f"{mutant.name}: {found.message} [{found.replay}]\n")
    sys.stdout.write(f"{name}: {rejected.total()} of {len(MUTANTS[name])} mutants rejected\n")
