"""Wrong ports are rejected, each by the cases of its own operation; the honest one is not."""

import pytest
from killers import DECLARED, REMEMBERING, killers

from project import some
from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.mutants import MUTANTS
from subbit.conformance.protocol import CLASSES, PROTOCOL

RECORDED = killers()
COMPUTED = [name for name, item in OPERATIONS.items() if item.level > 0]


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
    item = OPERATIONS[name]
    for seed in seeds_of(item, "ci")[:8]:
        status = item.check(reference, DECLARED, seed).status
        assert status in {"passed", "empty"}
        if status == "passed":
            return
    pytest.fail("compared nothing")


@pytest.mark.parametrize("name", COMPUTED)
def test_mutants_are_rejected(name):
    """Each by the case that `killers.json` names; `python tests/killers.py` finds others.

    Every third one, and all of them for `make deep`.
    """
    item, recorded = OPERATIONS[name], RECORDED[name]
    known = seeds_of(item, "ci")
    assert list(recorded) == [mutant.name for mutant in MUTANTS[name]]
    assert set(recorded.values()) <= set(known)
    for number, mutant in enumerate(some(MUTANTS[name], every=3)):
        seeds = [recorded[mutant.name]]
        if mutant.name in REMEMBERING:
            # What it remembers are the cases before.
            seeds = known[: known.index(*seeds) + 1]
        found = [item.check(mutant.port, DECLARED, seed) for seed in seeds][-1]
        assert found.status == "failed", mutant.name
        assert found.message.startswith(f"{name} (")
        # It need not fail in the same way twice, either.
        if not number and mutant.name not in REMEMBERING:
            assert item.check(mutant.port, DECLARED, found.seed) == found
