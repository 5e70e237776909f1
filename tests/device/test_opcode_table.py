"""The simulated device gives the bits that NVIDIA's assembler gives."""

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from subbit.fast.device.static import disassembler

HERE = Path(__file__).parent


def _module(name):
    spec = importlib.util.spec_from_file_location(f"device_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


maker, ptx = _module("make_opcode_table"), _module("ptx")
TABLE = maker.loads(maker.TABLE.read_text())
FOLDED = [name for name, rows in TABLE.items() if rows]
APPROXIMATE = {"ex2": 2, "rcp": 1, "rsqrt": 2, "lg2": 0, "sqrt": 1, "div": 2}


def results(name, rows):
    into, *kinds = maker.OPCODES[name].split()
    instruction, _, tail = name.partition(":")
    operands = list(zip(*[row[:-1] for row in rows], strict=True))
    return ptx.run_instruction(instruction, into, ["b" + k[1:] for k in kinds], operands, tail)


@pytest.mark.parametrize("name", FOLDED)
def test_same_bits_as_the_assembler(name):
    rows = TABLE[name]
    wanted = np.array([row[-1] for row in rows], np.uint64)
    got = results(name, rows).astype(np.uint64)
    if ".approx" in name:
        _check_approximation(name, got, wanted)
        return
    wrong = [
        (*map(hex, row), hex(int(g)))
        for row, g in zip(rows, got, strict=True)
        if g != row[-1] and not undecided(name, row)
    ]
    assert not wrong, f"operands, NVIDIA's result, ours: {wrong}"


# Conversions of a NaN where the assembler's constant folding contradicts the PTX manual (one NaN
# per type) or itself (the answer differs with and without .ftz).
UNDECIDED = {
    ("cvt.ftz.f64.f32", 0x7FFFFFFFE0000000),
    ("cvt.rn.f32.f64", 0x7FC00000),
    ("cvt.rn.ftz.f32.f64", 0x7FC00000),
}


def undecided(name, row):
    """Tell a NaN whose payload is an open question."""
    source = {"f32.f64": np.float64, "f64.f32": np.float32}
    if (name, row[-1]) in UNDECIDED:
        dtype = next(d for end, d in source.items() if name.endswith(end))
        return bool(np.isnan(np.array(row[0], f"u{dtype().itemsize}").view(dtype)))
    return False


def _check_approximation(name, got, wanted):
    """Approximate functions may differ in the last places; zeros, infinities and NaN may not."""
    x, y = (v.astype(np.uint32).view(np.float32) for v in (got, wanted))
    special = ~np.isfinite(y) | (y == 0)
    np.testing.assert_array_equal(got[special], wanted[special])
    apart = np.abs(got[~special].astype(np.int64) - wanted[~special].astype(np.int64))
    if name.startswith("lg2"):
        x, y = x[~special], y[~special]
        assert (np.abs(x - y) < 2.0**-21 * np.maximum(1, np.abs(y))).all()
    else:
        assert apart.max() <= APPROXIMATE[name.split(".")[0]]


def test_table_covers_what_it_should():
    assert len(FOLDED) >= 110
    assert sum(map(len, TABLE.values())) >= 2000
    assert set(TABLE) == set(maker.OPCODES)


@pytest.mark.skipif(
    shutil.which("ptxas") is None or disassembler() is None, reason="no ptxas or cuobjdump"
)
def test_assembler_still_gives_the_table():
    compared = 0
    for name, rows in maker.make().items():
        known = {tuple(row[:-1]): row[-1] for row in TABLE[name]}
        for *operands, result in rows:
            if tuple(operands) in known:
                compared += 1
                assert known[tuple(operands)] == result, (name, operands)
    assert compared > 1000
