"""A bug in one line of a kernel is noticed by the ordinary check of an operation.

The cases are those of `subbit check fast:simulated`, in its order.
"""

import numpy as np
import pytest
from killers import KERNELS, PLANTED, first_failure, killers
from planted_sources import BUGS, FOLDER, FREE, OFFSETS, Faulty
from planted_unwritten import UNWRITTEN, Lucky

from project import some
from subbit import fast
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.draw import is_strict
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.target import arithmetic_of
from subbit.fast.device import nvrtc
from subbit.fast.device.offsets import narrow_offsets
from subbit.fast.launches.kernels import FILES, kernels
from subbit.fast.port import Port
from subbit.reference import SparseGPT

ZERO_IS_RIGHT = [
    bug
    for bug in UNWRITTEN
    if bug.operation in {"masked_scale", "wanda_importance", "block_cosine"}
]

RECORDED = killers(KERNELS)


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
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
    if bug in some(PLANTED):
        assert item.check(port, arithmetic_of(port), found.seed) == found


@pytest.mark.parametrize("bug", ZERO_IS_RIGHT, ids=lambda bug: bug.name)
def test_without_a_pattern_unwritten_entries_pass(bug):
    assert first_failure(Port(Lucky(bug), "simulated"), bug.operation) is None


@pytest.mark.parametrize("other", FREE, ids=lambda bug: bug.name)
def test_another_order_of_equal_scores_is_no_bug(other):
    assert first_failure(Port(Faulty(other), "simulated"), other.operation) is None


def test_it_is_another_order():
    W, config = [[1.0, 1.0, 1.0, 2.0]], SparseGPT(keep=(2, 4), percdamp=0.0)
    ports = (fast.on("simulated"), Port(Faulty(FREE[0]), "simulated"))
    kept = [port.sparsegpt_layer(W, np.eye(4), config).decode().tolist() for port in ports]
    assert kept == [[[1.0, 0.0, 0.0, 2.0]], [[0.0, 0.0, 1.0, 2.0]]]


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
    assert list(RECORDED) == [bug.name for bug in PLANTED]
