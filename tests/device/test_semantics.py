"""Opcodes that the assembler does not fold, against exhaustive or independent formulas."""

import importlib.util
import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from subbit.fast.device.simulated import floats
from subbit.fast.device.simulated.semantics.logic import permute, truth

HERE = Path(__file__).parent
RNG = np.random.default_rng(7)


def _module(name):
    spec = importlib.util.spec_from_file_location(f"device_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


run = _module("ptx").run_instruction


def words(n, bits=32):
    return RNG.integers(0, 1 << bits, n, dtype=np.uint64)


def hard_floats(n):
    """Float32 bits of all sizes: cancellation, ties and subnormal results are common."""
    bits = words(n).astype(np.uint32)
    close = (bits & 0x807FF000) | ((RNG.integers(100, 150, n) << 23).astype(np.uint32))
    return np.where(RNG.random(n) < 0.7, close, bits)


def round_fraction(x, mantissa, least):
    """Return a fraction rounded to nearest even; `least` is the ulp's exponent of subnormals."""
    if x == 0:
        return Fraction(0)
    exponent = math.floor(math.log2(abs(x))) if abs(x) > Fraction(1, 2**900) else -900
    while Fraction(2) ** (exponent + 1) <= abs(x):
        exponent += 1
    while Fraction(2) ** exponent > abs(x):
        exponent -= 1
    ulp = Fraction(2) ** max(exponent - mantissa + 1, least)
    return Fraction(round(x / ulp)) * ulp


@pytest.mark.parametrize("ftz", [False, True])
def test_fma_is_rounded_once(ftz):
    a, b, c = (hard_floats(1500) for _ in range(3))
    # Cancellation down to the last bits: c is close to minus the product.
    with np.errstate(all="ignore"):
        product = (a.view(np.float32) * b.view(np.float32)).view(np.uint32)
    c[:700] = product[:700] ^ 0x80000000
    got = run("fma.rn.ftz.f32" if ftz else "fma.rn.f32", "b32", ("b32",) * 3, (a, b, c))
    x = [v.view(np.float32) for v in (a, b, c, got)]
    tiny = Fraction(2) ** -126
    for p, q, r, g in zip(*x, strict=True):
        if not all(map(np.isfinite, (p, q, r))):
            continue
        values = [Fraction(float(v)) for v in (p, q, r)]
        if ftz:
            values = [v if abs(v) >= tiny else Fraction(0) for v in values]
        exact = round_fraction(values[0] * values[1] + values[2], 24, -149)
        if ftz and abs(exact) < tiny:
            exact = Fraction(0)
        if abs(exact) >= Fraction(2) ** 128:
            assert np.isinf(g)
        else:
            assert Fraction(float(g)) == exact


def test_fma_near_a_tie():
    """The float64 sum is halfway between two float32; the part it lost decides."""
    a = np.float32([1 + 2.0**-12] * 4 + [-(1 + 2.0**-12)])
    c = np.float32([2.0**-80, -(2.0**-80), 0, 2.0**-140, -(2.0**-100)])
    got = run("fma.rn.f32", "b32", ("b32",) * 3, [v.view(np.uint32) for v in (a, np.abs(a), c)])
    even, above = np.float32(1 + 2.0**-11), np.float32(1 + 2.0**-11 + 2.0**-23)
    np.testing.assert_array_equal(got.view(np.float32), [above, even, even, above, -above])


def test_bfloat_fma_near_a_tie():
    """The square of 1 + 2^-4 lies halfway between two bfloat16; a summand of 2^-100 decides."""
    a, c = [0x3F88] * 3, [0x0D80, 0x8D80, 0]
    got = run("fma.rn.bf16", "b16", ("b16",) * 3, (a, a, c))
    assert [int(g) for g in got] == [0x3F91, 0x3F90, 0x3F90]


def test_conversion_of_nan_to_integers():
    nan32, nan64 = [0x7FC00000, 0xFFC00001], [0x7FF8000000000000, 0xFFF8000000000001]
    for name, into, kind, want in (
        ("s32.f32", "b32", "b32", 0), ("u32.f32", "b32", "b32", 0),
        ("s64.f32", "b64", "b32", 1 << 63), ("u64.f32", "b64", "b32", 1 << 63),
        ("s32.f64", "b32", "b64", 1 << 31), ("s64.f64", "b64", "b64", 1 << 63),
    ):  # fmt: skip
        got = run(f"cvt.rzi.{name}", into, (kind,), (nan32 if kind == "b32" else nan64,))
        assert [int(g) for g in got] == [want] * 2, name


@pytest.mark.parametrize("mode", ["rz", "rm", "rp"])
def test_directed_rounding_encloses(mode):
    a, b, c = (hard_floats(3000) for _ in range(3))
    got = run(f"fma.{mode}.f32", "b32", ("b32",) * 3, (a, b, c)).view(np.float32)
    for p, q, r, g in zip(*(v.view(np.float32) for v in (a, b, c)), got, strict=True):
        if not all(map(np.isfinite, (p, q, r, g))):
            continue
        exact = Fraction(float(p)) * Fraction(float(q)) + Fraction(float(r))
        value = Fraction(float(g))
        low, high = (value <= exact, value >= exact)
        assert low if mode == "rm" else high if mode == "rp" else abs(value) <= abs(exact)
        with np.errstate(over="ignore"):
            step = np.nextafter(
                g, np.float32(np.inf if mode == "rm" or (mode == "rz" and exact > 0) else -np.inf)
            )
        if value != exact and np.isfinite(step):
            assert (Fraction(float(step)) > exact) if step > g else (Fraction(float(step)) < exact)


def test_double_fma_is_rounded_once():
    a, b = (RNG.standard_normal(400) * 2.0 ** RNG.integers(-30, 30, 400) for _ in range(2))
    c = np.where(RNG.random(400) < 0.6, -a * b * (1 + RNG.choice([0, 2.0**-52, 2.0**-30], 400)),
                 RNG.standard_normal(400))  # fmt: skip
    a[:20] *= 1e280
    b[10:30] *= 1e-290
    got = run("fma.rn.f64", "b64", ("b64",) * 3, [v.view(np.uint64) for v in (a, b, c)])
    for p, q, r, g in zip(a, b, c, got.view(np.float64), strict=True):
        exact = Fraction(p) * Fraction(q) + Fraction(r)
        try:
            assert float(exact) == g
        except OverflowError:
            assert np.isinf(g)


@pytest.mark.parametrize("name", ["add.rn.f64", "mul.rn.f64", "div.rn.f64"])
def test_double_arithmetic(name):
    a, b = (RNG.standard_normal(200) * 2.0 ** RNG.integers(-100, 100, 200) for _ in range(2))
    got = run(name, "b64", ("b64",) * 2, [v.view(np.uint64) for v in (a, b)]).view(np.float64)
    for p, q, g in zip(a, b, got, strict=True):
        x, y = Fraction(p), Fraction(q)
        exact = {"add": x + y, "mul": x * y, "div": x / y}[name[:3]]
        assert float(exact) == g


@pytest.mark.parametrize("name", ["div.rn.f32", "rcp.rn.f32", "sqrt.rn.f32"])
def test_division_and_root_are_rounded_once(name):
    a, b = (RNG.standard_normal(500) * 2.0 ** RNG.integers(-40, 40, 500) for _ in range(2))
    a, b = np.abs(a).astype(np.float32), b.astype(np.float32)
    operands = (a, b) if name.startswith("div") else (a,)
    got = run(name, "b32", ("b32",) * len(operands), [v.view(np.uint32) for v in operands])
    for p, q, g in zip(a, b, got.view(np.float32), strict=True):
        if name.startswith("sqrt"):
            # g is right if x lies between the squares of the midpoints beside it.
            low, high = (
                Fraction(float(g)) + Fraction(float(np.nextafter(g, np.float32(s))))
                for s in (0, np.inf)
            )
            assert (low / 2) ** 2 <= Fraction(float(p)) <= (high / 2) ** 2
        else:
            exact = (
                Fraction(float(p)) / Fraction(float(q))
                if len(operands) == 2
                else 1 / Fraction(float(p))
            )
            assert Fraction(float(g)) == round_fraction(exact, 24, -149)


def test_lop3_every_table():
    a, b, c = np.uint32(0xF0), np.uint32(0xCC), np.uint32(0xAA)
    for table in range(256):
        got = truth(table, *(np.array([v]) for v in (a, b, c)))
        assert int(got[0]) & 0xFF == table, table
    x, y, z = words(50), words(50), words(50)
    got = run("lop3.b32", "b32", ("b32",) * 3, (x, y, z), "0xca")
    np.testing.assert_array_equal(got, ((x & y) | (~x & z)).astype(np.uint32))


def test_prmt_every_selector():
    a, b = 0x8361_0F72, 0xD4E5_9687
    table = [a >> 8 * i & 255 for i in range(4)] + [b >> 8 * i & 255 for i in range(4)]
    selectors = np.arange(1 << 16, dtype=np.uint32)
    both = np.full(1 << 16, b << 32 | a, np.uint64)
    want = np.zeros(1 << 16, np.uint64)
    for i in range(4):
        nibble = selectors >> 4 * i & 15
        byte = np.array(table, np.uint64)[nibble & 7]
        byte = np.where(nibble & 8, np.where(byte & 128, 255, 0), byte).astype(np.uint64)
        want |= byte << np.uint64(8 * i)
    np.testing.assert_array_equal(permute(both, selectors, ""), want)


# PTX's own tables: bytes from most to least significant for selector values 0 to 3.
PRMT_MODES = {
    "f4e": ["3210", "4321", "5432", "6543"], "b4e": ["5670", "6701", "7012", "0123"],
    "rc8": ["0000", "1111", "2222", "3333"], "ecl": ["3210", "3211", "3222", "3333"],
    "ecr": ["0000", "1110", "2210", "3210"], "rc16": ["1010", "3232", "1010", "3232"],
}  # fmt: skip


@pytest.mark.parametrize("mode", PRMT_MODES)
def test_prmt_modes(mode):
    a, b = [0x33221100] * 4, [0x77665544] * 4
    got = run(f"prmt.b32.{mode}", "b32", ("b32",) * 3, (a, b, [0, 1, 2, 3]))
    assert [f"{g:08x}"[::2] for g in got] == PRMT_MODES[mode]


@pytest.mark.parametrize("signs", ["s32.s32", "u32.u32", "s32.u32", "u32.s32"])
def test_dp4a(signs):
    a, b, c = words(300), words(300), words(300)
    got = run(f"dp4a.{signs}", "b32", ("b32",) * 3, (a, b, c))
    kinds = [np.int8 if s[0] == "s" else np.uint8 for s in signs.split(".")]
    x, y = (v.astype(np.uint32).view(k).reshape(-1, 4).astype(np.int64)
            for v, k in zip((a, b), kinds, strict=True))  # fmt: skip
    want = (x * y).sum(axis=1) + c.astype(np.int64)
    np.testing.assert_array_equal(got, want.astype(np.uint64).astype(np.uint32))


@pytest.mark.parametrize(
    ("half", "signs"), [("lo", "s32.s32"), ("hi", "u32.u32"), ("hi", "s32.u32")]
)
def test_dp2a(half, signs):
    a, b, c = words(100), words(100), words(100)
    got = run(f"dp2a.{half}.{signs}", "b32", ("b32",) * 3, (a, b, c))
    first, second = signs.split(".")
    x = a.astype(np.uint32).view(np.int16 if first[0] == "s" else np.uint16).reshape(-1, 2)
    y = b.astype(np.uint32).view(np.int8 if second[0] == "s" else np.uint8).reshape(-1, 4)
    y = y[:, 2:] if half == "hi" else y[:, :2]
    want = (x.astype(np.int64) * y).sum(axis=1) + c.astype(np.int64)
    np.testing.assert_array_equal(got, want.astype(np.uint64).astype(np.uint32))


def test_every_half_to_float_and_back():
    bits = np.arange(1 << 16, dtype=np.uint16)
    wide = run("cvt.f32.f16", "b32", ("b16",), (bits,))
    sign, exponent, mantissa = bits >> 15, (bits >> 10 & 31).astype(int), (bits & 1023).astype(int)
    value = np.where(
        exponent == 0, mantissa * 2.0**-24, (1024 + mantissa) * 2.0 ** (exponent - 25.0)
    )
    value = np.where(sign, -value, value).astype(np.float32)
    finite = exponent < 31
    np.testing.assert_array_equal(wide[finite], value.view(np.uint32)[finite])
    assert (wide[(exponent == 31) & (mantissa != 0)] == 0x7FFFFFFF).all()
    back = run("cvt.rn.f16.f32", "b16", ("b32",), (wide,))
    number = finite | (mantissa == 0)
    np.testing.assert_array_equal(back[number], bits[number])


def test_every_bfloat_to_float_and_back():
    bits = np.arange(1 << 16, dtype=np.uint32)
    back = run("cvt.rn.bf16.f32", "b16", ("b32",), (bits << 16,))
    number = (bits & 0x7F80) != 0x7F80
    np.testing.assert_array_equal(back[number], bits[number])


@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_narrowing_rounds_to_nearest_even(kind):
    x = hard_floats(1500)
    mantissa, least, top = (11, -24, 16) if kind == "f16" else (8, -133, 128)
    x[:500] = (RNG.integers(110, 140, 500) << 23 | RNG.integers(0, 256, 500) << 15).astype(
        np.uint32
    )
    got = run(f"cvt.rn.{kind}.f32", "b16", ("b32",), (x,))
    widen = floats.WIDEN[kind]
    for value, g in zip(x.view(np.float32), widen(got), strict=True):
        if np.isfinite(value):
            exact = round_fraction(Fraction(float(value)), mantissa, least)
            assert np.isinf(g) if abs(exact) >= Fraction(2) ** top else Fraction(g) == exact


@pytest.mark.parametrize("name", ["add.rn", "sub.rn", "mul.rn", "fma.rn"])
@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_packed_arithmetic_is_rounded_once(name, kind):
    """Both halves, with the numbers in float64 checked by fractions."""
    mantissa, least, top = (11, -24, 16) if kind == "f16" else (8, -133, 128)
    count = 3 if name == "fma.rn" else 2
    if kind == "bf16":
        exponents = RNG.integers(90, 160, (count, 600)).astype(np.uint64)
        low = exponents << 7 | words(600, 7) | words(600, 1) << 15
    else:
        low = np.stack([words(600, 16) for _ in range(count)])
    operands = [low[i] << 16 | low[i][::-1] for i in range(count)]
    got = run(f"{name}.{kind}x2", "b32", ("b32",) * count, operands)
    np.testing.assert_array_equal(got >> 16, (got & 0xFFFF)[::-1])
    widen = floats.WIDEN[kind]
    values = [widen((o >> 16).astype(np.uint16)) for o in operands]
    result = widen((got >> 16).astype(np.uint16))
    for *x, g in zip(*values, result, strict=True):
        if not all(map(math.isfinite, x)):
            continue
        a, b, *c = map(Fraction, x)
        exact = {"add": a + b, "sub": a - b, "mul": a * b, "fma": a * b + (c[0] if c else 0)}[
            name[:3]
        ]
        exact = round_fraction(exact, mantissa, least)
        assert np.isinf(g) if abs(exact) >= Fraction(2) ** top else Fraction(g) == exact


def test_packed_comparisons_and_extremes():
    a, b = words(400), words(400)
    for name, function in (("min", np.fmin), ("max", np.fmax)):
        got = run(f"{name}.f16x2", "b32", ("b32", "b32"), (a, b))
        x, y, g = (v.astype(np.uint32).view(np.float16) for v in (a, b, got))
        number = ~(np.isnan(x) & np.isnan(y))
        np.testing.assert_array_equal(g[number], function(x, y)[number])
    ones = run("set.lt.f16x2.f16x2", "b32", ("b32", "b32"), (a, b)).view(np.float16)
    x, y = (v.astype(np.uint32).view(np.float16) for v in (a, b))
    np.testing.assert_array_equal(ones, (x < y).astype(np.float16))
    flipped = run("neg.bf16x2", "b32", ("b32",), (a,))
    np.testing.assert_array_equal(flipped, (a ^ 0x80008000).astype(np.uint32))


def test_packed_pair_keeps_its_order():
    a, b = np.float32([1.5]), np.float32([-2.25])
    got = run("cvt.rn.f16x2.f32", "b32", ("b32", "b32"), (a.view(np.uint32), b.view(np.uint32)))
    np.testing.assert_array_equal(got.view(np.float16), np.float16([-2.25, 1.5]))
    got = run("cvt.rn.bf16x2.f32", "b32", ("b32", "b32"), (a.view(np.uint32), b.view(np.uint32)))
    assert int(got[0]) == 0x3FC0C010


@pytest.mark.parametrize("name", ["div.s64", "rem.s64", "div.u32", "rem.s32"])
def test_division_of_integers(name):
    bits = int(name[-2:])
    a, b = (
        words(300, bits - 1) * 2 + 1,
        words(300, bits - 1) >> RNG.integers(0, bits - 2, 300, dtype=np.uint64),
    )
    b = np.maximum(b, 1)
    signed = ".s" in name
    got = run(name, f"b{bits}", (f"b{bits}",) * 2, (a, b))

    def number(v):
        v = int(v)
        return v - (1 << bits) if signed and v >> (bits - 1) else v

    for x, y, g in zip(a, b, got, strict=True):
        p, q = number(x), number(y)
        quotient = abs(p) // abs(q) * (1 if (p < 0) == (q < 0) else -1)
        want = quotient if name.startswith("div") else p - quotient * q
        assert int(g) == want % (1 << bits)


@pytest.mark.parametrize(("name", "signed"), [("mul.hi.s64", True), ("mul.hi.u64", False)])
def test_high_product(name, signed):
    a, b = words(200, 63) * 2 + 1, words(200, 63) * 2
    got = run(name, "b64", ("b64", "b64"), (a, b))
    wrap = (lambda v: int(v) - (1 << 64) * (int(v) >> 63)) if signed else int
    want = [(wrap(x) * wrap(y) >> 64) % (1 << 64) for x, y in zip(a, b, strict=True)]
    assert [int(g) for g in got] == want


def test_conversion_of_64_bit_integers_is_rounded_once():
    x = (words(400, 63) | (1 << 62)) >> RNG.integers(0, 50, 400, dtype=np.uint64)
    got = run("cvt.rn.f32.u64", "b32", ("b64",), (x,)).view(np.float32)
    for value, g in zip(x, got, strict=True):
        assert Fraction(float(g)) == round_fraction(Fraction(int(value)), 24, -149)


def test_shifts_beyond_the_width():
    x, n = [0x80000001] * 5, [0, 31, 32, 33, 1000]
    assert list(run("shl.b32", "b32", ("b32", "b32"), (x, n))) == [0x80000001, 0x80000000, 0, 0, 0]
    assert list(run("shr.u32", "b32", ("b32", "b32"), (x, n))) == [0x80000001, 1, 0, 0, 0]
    ones = 0xFFFFFFFF
    assert list(run("shr.s32", "b32", ("b32", "b32"), (x, n))) == [
        0x80000001,
        ones,
        ones,
        ones,
        ones,
    ]
