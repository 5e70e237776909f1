"""Ports that store records in fewer digits than they compute: declared, not declared, and worse."""

import collections
import types
from dataclasses import replace

import numpy as np
import pytest

from project import ROOT, some
from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.protocol import PROTOCOL
from subbit.conformance.target import arithmetic_of
from subbit.reference.bounds.rounding import Arithmetic

DECLARED = {"stored": {"scales": "float16", "means": "float16"}}
VALUES = ("sparsegpt_layer", "exact_sparsegpt", "wanda_layer")
"""Operations whose records have neither scales nor means."""
UNSEEN = ("compensate_step", "exact_signs", "exact_assign_columns", *VALUES)
"""Those, two that do not compare what a record keeps, and one whose levels have few digits."""
LATER = ("arb", "arb_x", "spbo_step", "refine_signs", "refine_rc_signs", "exact_binarization")
"""Operations of which `make test` asks some."""
KEPT = [name for name, item in OPERATIONS.items() if item.keeps and name not in UNSEEN]
ASKED = [*(name for name in KEPT if name not in LATER), *some(list(LATER))]
RECORDS = {need for name in (*KEPT, *UNSEEN) for need in OPERATIONS[name].needs}


def eight_bits(x):
    """Round to eight binary digits; float16 has eleven."""
    fraction, power = np.frexp(np.asarray(x, dtype=np.float64))
    return np.ldexp(np.round(fraction * 2**8) / 2**8, power)


def halves(x):
    """Round to float16, as hardware does: what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(x, dtype=np.float64).astype(np.float16).astype(np.float64)


def storing(change, **capabilities):
    """The reference, whose records are changed when they are returned."""
    own = {name: getattr(reference, name) for name in reference.__all__}

    def wrapped(function):
        return lambda *arguments, **switches: change(function(*arguments, **switches))

    for name in RECORDS:
        if PROTOCOL[name].records:
            own[name] = wrapped(own[name])
    return types.SimpleNamespace(**own, CAPABILITIES=capabilities)


def as_stored(record, rounding):
    """The record with rounded scales and means; stored values stay."""
    if isinstance(record, reference.QuantizedBlock):
        return replace(record, groups=tuple(as_stored(g, rounding) for g in record.groups))
    if isinstance(record, reference.QuantizedLayer):
        return replace(record, blocks=tuple(as_stored(b, rounding) for b in record.blocks))
    if isinstance(record, reference.ValueGroup):
        return record
    if isinstance(record, reference.UniformGroup):
        return replace(record, scale=rounding(record.scale))
    planes = tuple(
        reference.Plane(
            plane.sign,
            rounding(plane.row_scale),
            None if plane.column_scale is None else rounding(plane.column_scale),
        )
        for plane in record.planes
    )
    return replace(
        record, planes=planes, mean=None if record.mean is None else rounding(record.mean)
    )


def as_float16(record):
    return as_stored(record, halves)


def as_eight_bits(record):
    """With a rounding that is too coarse."""
    return as_stored(record, eight_bits)


def outcomes(port, name, depth="ci"):
    item = OPERATIONS[name]
    return [item.check(port, arithmetic_of(port), seed) for seed in seeds_of(item, depth)]


@pytest.mark.parametrize("name", [*ASKED, *some(["exact_signs", "exact_assign_columns", *VALUES])])
def test_declared_rounding_passes(name):
    found = outcomes(storing(as_float16, **DECLARED), name)
    assert [one.message for one in found if one.status == "failed"] == []
    assert any(one.status == "passed" for one in found)


@pytest.mark.parametrize("name", ASKED)
def test_rounding_that_is_not_declared_fails(name):
    assert any(one.status == "failed" for one in outcomes(storing(as_float16), name))


@pytest.mark.parametrize("name", ["wanda_layer"])
def test_values_are_neither_scales_nor_means(name):
    port = storing(lambda layer: layer.with_scales("float16"), **DECLARED)
    assert any(one.status == "failed" for one in outcomes(port, name))


@pytest.mark.parametrize(
    "value", [1.0, 1.0 + 2.0**-11, 0.1, 3e4, 6e-5, 3e-6, 2.0**-26, 0.0, 65504.0]
)
def test_what_was_computed_lies_within_the_bound_of_what_is_stored(value):
    """Of every number that is stored as this one, with and without subnormal ones."""
    port = Arithmetic("float64", stored={"scales": "float16"})
    near = value + (value * 2.0**-9 + 2.0**-13) * np.linspace(-1, 1, 4001)
    with np.errstate(over="ignore"):
        stored = near.astype(np.float16).astype(np.float64)
    flushed = np.where(np.abs(stored) < np.finfo(np.float16).tiny, 0.0, stored)
    for found in (stored, flushed):
        finite = np.isfinite(found)
        bound = port.exactly(found[finite]).as_computed("scales").error
        assert np.all(np.abs(near[finite] - found[finite]) <= bound)
    assert port.exactly([1.0]).as_computed("scales").error[0] < 1.001 * 2.0**-11


@pytest.mark.parametrize("name", ASKED)
def test_eight_bits_are_not_float16(name):
    found = outcomes(storing(as_eight_bits, **DECLARED), name)
    assert any(one.status == "failed" for one in found)


def test_theorems_about_records_are_skipped(pytester_run, make_port):
    file = ROOT / "conformance" / "theorems" / "test_arb_levels.py"
    done = pytester_run(make_port(f"CAPABILITIES = {DECLARED}"), file, "-rs", "-k", "not operation")
    assert "stores records in fewer digits than it computes" in done.stdout
    assert " failed" not in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("kind", ["scales", "means"])
def test_each_kind_is_declared_apart(kind):
    port = storing(as_float16, stored={kind: "float16"})
    assert any(one.status == "failed" for one in outcomes(port, "arb_start"))


def test_other_operations_with_records_are_not_compared_and_say_so():
    port = storing(as_float16, **DECLARED)
    statuses = collections.defaultdict(set)
    for name, item in OPERATIONS.items():
        if item.level and any(PROTOCOL[need].records for need in item.needs) and not item.keeps:
            statuses[name] = {one.status for one in outcomes(port, name, "quick")[:1]}
    assert statuses
    assert set.union(*statuses.values()) == {"declared"}
    (one, *_) = outcomes(port, "billm_layer_paper", "quick")
    assert one.message == "not compared (declared): no bound covers the stored type here"
    assert all(one.status == "passed" for one in outcomes(port, "masked_mean", "quick"))


def test_a_type_that_holds_what_is_computed_changes_nothing():
    port = storing(lambda record: record, dtype="float32", stored={"scales": "float64"})
    arithmetic = arithmetic_of(port)
    assert not arithmetic.narrows
    assert OPERATIONS["billm_layer_paper"].open_to(arithmetic)
    levels = arithmetic.read([0.1])
    assert levels.kept_as("scales") is levels


@pytest.mark.parametrize("value", [1.0, 1.0 + 2.0**-11, 0.1, 3e4, 6e-5, 3e-6, 2.0**-26, 0.0])
@pytest.mark.parametrize("error", [0.0, 1e-3])
def test_the_bound_holds_and_is_reached(value, error):
    """For every number within the error, rounded with and without subnormal ones."""
    port = Arithmetic("float64", stored={"scales": "float16"})
    kept = port.exactly([value]).widen([error * value]).kept_as("scales")
    computed = value * (1 + error * np.linspace(-1, 1, 1001))
    stored = computed.astype(np.float16).astype(np.float64)
    flushed = np.where(np.abs(stored) < np.finfo(np.float16).tiny, 0.0, stored)
    for found in (stored, flushed):
        assert np.all(np.abs(found - value) <= kept.error[0])
    if value == 1.0 + 2.0**-11:
        assert kept.error[0] <= 1.01 * (abs(stored - value).max() + error * value + 2.0**-11)


def test_beyond_the_largest_there_is_no_bound():
    port = Arithmetic("float32", stored={"scales": "float16"})
    kept = port.exactly([65504.0, 65519.0, 7e4, 1e30]).kept_as("scales")
    assert np.isinf(kept.error[1:]).all()
