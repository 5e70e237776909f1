"""A bug in one line of a kernel is noticed by the ordinary check of an operation.

The cases are those of `subbit check fast:simulated`, in its order.
"""

import pytest
from killers import KERNELS, killers
from planted_sources import BUGS, FOLDER, OFFSETS, Faulty

from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.draw import is_strict
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.target import arithmetic_of
from subbit.fast.device import nvrtc
from subbit.fast.device.offsets import narrow_offsets
from subbit.fast.launches.kernels import FILES, kernels
from subbit.fast.port import Port

RECORDED = killers(KERNELS)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_is_noticed(bug):
    """By the case that is recorded; `python tests/killers.py` finds others."""
    port, item = Port(Faulty(bug), "simulated"), OPERATIONS[bug.operation]
    assert RECORDED[bug.name] in seeds_of(item, "ci")
    found = item.check(port, arithmetic_of(port), RECORDED[bug.name])
    assert found.status == "failed"
    assert bug.said in found.message
    if "a missing barrier" in bug.kind:
        assert is_strict(found.seed)
    strictly = f"(with race checks, in the random order {found.seed})"
    assert (strictly in found.message) == is_strict(found.seed)


@pytest.mark.parametrize("bug", OFFSETS, ids=lambda bug: bug.name)
def test_offset_in_32_bits_is_read_from_the_code(bug):
    forms = [k for k in kernels() if k.file == bug.file]
    found = []
    for form in {k.entry: k for k in forms}.values():
        source = bug.plant(form.source)
        assert source != form.source
        ptx = nvrtc.compile_source(source, "sm_80", form.options, form.file).ptx
        found += narrow_offsets(ptx, form.entry)
    assert found
    assert {at.file for at in found} <= {bug.file, *FILES[bug.file].shared}


def test_every_source_has_a_bug():
    assert {bug.file for bug in BUGS} == {path.name for path in FOLDER.glob("*.cu*")}
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    assert list(RECORDED) == [bug.name for bug in BUGS]
