"""Kernels as the compiler sees them: every form, four architectures, no spills."""

import re
from dataclasses import replace

import numpy as np
import pytest
from fast_inputs import smooth

from project import ROOT
from subbit import fast
from subbit.fast import gate
from subbit.fast.device import nvrtc, static
from subbit.fast.device.offsets import narrow_offsets
from subbit.fast.device.static import ARCHITECTURES
from subbit.fast.launches.kernels import held, kernel, kernels

FORMS = list({(k.file, k.options): k for k in kernels()}.values())


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("form", FORMS, ids=lambda k: " ".join((k.file, *k.options)))
def test_kernel_fits_into_registers(form, arch):
    compiled = nvrtc.compile_source(
        form.source, arch, (*form.options, "--ptxas-options=-v"), form.file
    )
    reports = static.parse_report(compiled.log)
    head = (ROOT / "fast/kernels" / form.file).read_text(encoding="utf-8")
    budget = int(re.search(r"Budget   up to (\d+) registers", head)[1])
    entries = {k.entry for k in kernels() if (k.file, k.options) == (form.file, form.options)}
    assert set(reports) == entries
    committed = gate.read_budget()[gate.compiler()]
    for name, usage in reports.items():
        assert (usage.stack, usage.spill_stores, usage.spill_loads) == (0, 0, 0)
        assert usage.registers <= budget
        assert usage.registers <= committed[gate.name_of(replace(form, entry=name))][arch]
        if arch == ARCHITECTURES[0]:
            assert narrow_offsets(compiled.ptx, name) == []


@pytest.mark.parametrize("path", sorted((ROOT / "fast/kernels").glob("*.cu")), ids=lambda p: p.name)
def test_head_comment_says_what_bounds_and_readers_need(path):
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    text = "\n".join(x for x in path.read_text(encoding="utf-8").splitlines() if x[:2] == "//")
    assert head.startswith("// ")
    for word in ("// Layout", "// Traffic", "// Budget"):
        assert word in text
    assert "depth p =" in text or "No sums." in text
    assert path.name in {k.file for k in kernels()}


@pytest.mark.parametrize("entry", sorted({k.entry for k in kernels()}))
def test_no_kernel_adds_by_floating_point_atomics(entry):
    source = next(k.source for k in kernels() if k.entry == entry)
    assert "atomic" not in source


def test_reports_name_the_files_own_lines():
    source = kernel("salient_search.cu", "salient_errors", HELD=1, ORDERS=1).source
    assert [f'#line 1 "{p}"' in source for p in ("warp.cuh", "sides.cuh")] == [True, True]
    _, _, own = source.partition('#line 1 "salient_search.cu"\n')
    assert own == (ROOT / "fast/kernels/salient_search.cu").read_text(encoding="utf-8")


def test_registers_hold_rows_up_to_128_columns():
    assert [held(k) for k in (1, 32, 33, 64, 65, 128, 129, 5000)] == [1, 1, 2, 2, 4, 4, 0, 0]


def test_rows_are_read_in_whole_sectors_and_shared_memory_without_conflicts():
    port = fast.on("simulated", counters=True)
    W, everything = smooth((32, 128)), np.ones(128, dtype=bool)
    port.residual_binarize(W, order=2, center=True)
    port.column_saliency(W)
    port.salient_search(W, np.arange(128), [3, 40])
    port.bell_split_search(W, everything, [0.5, 1.0])
    port.calibrated_split_search(W, everything, [0.5, 1.0], np.eye(128))
    port.bell_split(np.abs(W), everything, 0.5)
    for name, counted in port.device.counters.items():
        shared, device = counted.total("shared"), counted.total("global")
        assert shared.wavefronts == shared.ideal_wavefronts, name
        assert device.sectors == device.ideal_sectors, name


def test_budget_is_that_of_these_kernels():
    names = {gate.name_of(k) for k in kernels()}
    for version, budget in gate.read_budget().items():
        assert set(budget) == names, version
        assert all(set(by_arch) == set(ARCHITECTURES) for by_arch in budget.values())


def test_gate_complains_of_offsets_that_wrap_around(monkeypatch):
    good = kernel("rows.cu", "masked_mean")
    text = good.source.replace("const size_t base = (size_t)row * k", "const int base = row * k")
    monkeypatch.setattr(gate, "kernels", lambda: (good, replace(good, source=text)))
    found = gate.offset_complaints()
    assert {line.partition(" uses")[0] for line in found} == {
        "masked_mean: rows.cu:23",
        "masked_mean: rows.cu:24",
    }
    assert all("from the product in line 23" in line for line in found)


def test_gate_complains_of_spills_stack_and_registers():
    name = gate.name_of(kernels()[0])
    allowed = gate.read_budget()[gate.compiler()][name]["sm_90"]
    good = gate.Cost(name, "sm_90", allowed, 0, 0, 0, 1.0, 0, {})
    assert gate.complaints([good]) == []
    for worse in ({"registers": allowed + 1}, {"spills": 4}, {"stack": 8}, {"kernel": "new"}):
        assert len(gate.complaints([replace(good, **worse)])) == 1


def test_gate_runs_every_kernel():
    assert set(gate.run_kernels(8)) == {k.entry for k in kernels()}


def test_gate_names_a_kernel_that_nothing_launches(monkeypatch):
    monkeypatch.setattr(gate, "kernels", lambda: (*kernels(), replace(kernels()[0], entry="new")))
    with pytest.raises(RuntimeError, match="nothing here launches: new"):
        gate.run_kernels(8)
