"""Fragment maps of mma and ldmatrix, written a second time here, against dense products."""

from pathlib import Path

import numpy as np
import pytest

from subbit.fast.device import Kernel, SimulationError
from subbit.fast.device.simulated import Simulated

SOURCE = (Path(__file__).parent / "kernels" / "fragments.cu").read_text()
RNG = np.random.default_rng(5)
ARCHITECTURES = ("sm_80", "sm_90", "sm_100", "sm_120")


def launch(name, *args, arch="sm_80"):
    Simulated(arch, races=True).launch(Kernel(SOURCE, name, file="fragments.cu"), 1, 32, args)


def pack(values, kind):
    """Return elements, the first in the lowest bits, as 32-bit words."""
    if kind == "b1":
        return np.packbits(values.astype(np.uint8), bitorder="little").view(np.uint32)
    if kind == "bf16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint32)
    dtype = {"f16": np.float16, "s8": np.int8, "u8": np.uint8}[kind]
    return np.ascontiguousarray(values.astype(dtype)).view(np.uint32)


def a_words(matrix, kind):
    """Registers of A, after the tables of the PTX manual: (register, lane)."""
    per = {"f16": 2, "bf16": 2, "s8": 4, "u8": 4, "b1": 32}[kind]
    return np.array([
        [pack(matrix[row0 + lane // 4, column0 + lane % 4 * per :][:per], kind)[0]
         for lane in range(32)]
        for column0 in range(0, matrix.shape[1], 4 * per) for row0 in (0, 8)
    ], np.uint32)  # fmt: skip


def b_words(matrix, kind):
    """Registers of B: every lane holds consecutive rows of one column."""
    per = {"f16": 2, "bf16": 2, "s8": 4, "u8": 4, "b1": 32}[kind]
    return np.array([
        [pack(matrix[row0 + lane % 4 * per :, lane // 4][:per], kind)[0] for lane in range(32)]
        for row0 in range(0, len(matrix), 4 * per)
    ], np.uint32)  # fmt: skip


def c_words(matrix, dtype):
    return np.array([
        [matrix[lane // 4 + row0, lane % 4 * 2 + odd] for lane in range(32)]
        for row0 in (0, 8) for odd in (0, 1)
    ], dtype)  # fmt: skip


def small(kind, shape):
    if kind == "b1":
        return RNG.integers(0, 2, shape)
    if kind == "u8":
        return RNG.integers(0, 256, shape)
    return RNG.integers(-8, 9, shape) if kind != "s8" else RNG.integers(-128, 128, shape)


MMA = [
    ("f16_k16", "f16", "f16", 16), ("f16_k8", "f16", "f16", 8), ("bf16_k16", "bf16", "bf16", 16),
    ("bf16_k8", "bf16", "bf16", 8), ("s8_k32", "s8", "s8", 32), ("s8_k16", "s8", "s8", 16),
    ("u8_k32", "u8", "s8", 32), ("b1_k256", "b1", "b1", 256), ("b1_xor", "b1", "b1", 256),
]  # fmt: skip


@pytest.mark.parametrize(("name", "first", "second", "k"), MMA, ids=[m[0] for m in MMA])
def test_mma_against_the_dense_product(name, first, second, k):
    a, b = small(first, (16, k)), small(second, (k, 8))
    c = RNG.integers(-100, 100, (16, 8))
    dtype = np.int32 if first in ("s8", "u8", "b1") else np.float32
    d = np.zeros((4, 32), dtype)
    launch(name, a_words(a, first), b_words(b, second), c_words(c, dtype), d)
    want = c + (a @ b if name != "b1_xor" else (a[:, :, None] != b[None]).sum(axis=1))
    np.testing.assert_array_equal(d, c_words(want, dtype))


def test_mma_with_half_accumulators():
    a, b, c = small("f16", (16, 16)), small("f16", (16, 8)), RNG.integers(-9, 9, (16, 8))
    pairs = c_words(c, np.float16)
    c2 = np.stack([pack(pairs[2 * i : 2 * i + 2].T.copy().ravel(), "f16") for i in range(2)])
    d = np.zeros((2, 32), np.uint32)
    launch("f16_f16", a_words(a, "f16"), b_words(b, "f16"), c2, d)
    want = c_words(c + a @ b, np.float16)
    np.testing.assert_array_equal(
        d.view(np.float16).reshape(2, 32, 2).swapaxes(1, 2).reshape(4, 32), want
    )


@pytest.mark.parametrize(("name", "kind", "selector"), [
    ("sparse_k32", "f16", 0), ("sparse_k32_bf16", "bf16", 1),
])  # fmt: skip
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_sparse_mma_against_the_dense_product(name, kind, selector, arch):
    dense, kept = np.zeros((16, 32), int), np.zeros((16, 16), int)
    metadata = RNG.integers(0, 1 << 32, 32, dtype=np.uint32)
    fields = np.zeros((16, 8), np.uint32)
    for row in range(16):
        for group in range(8):
            places = sorted(RNG.choice(4, 2, replace=False))
            values = RNG.integers(1, 9, 2)
            dense[row, 4 * group + np.array(places)] = values
            kept[row, 2 * group : 2 * group + 2] = values
            fields[row, group] = places[0] | places[1] << 2
    for lane in range(32):
        thread = lane % 4 - 2 * selector
        if thread in (0, 1):
            words = [0, 0]
            for upper in (0, 1):
                for i in range(4):
                    words[upper] |= int(fields[lane // 4 + 8 * upper, 4 * thread + i]) << 4 * i
            metadata[lane] = words[0] | words[1] << 16
    b, c = small("f16", (32, 8)), RNG.integers(-50, 50, (16, 8))
    d = np.zeros((4, 32), np.float32)
    words = np.concatenate([b_words(b, kind), metadata[None]])
    launch(name, a_words(kept, kind), words, c_words(c, np.float32), d, arch=arch)
    np.testing.assert_array_equal(d, c_words(c + dense @ b, np.float32))


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("trans", [False, True])
def test_ldmatrix(count, trans):
    if trans and count != 4:
        pytest.skip("one width is enough")
    x = np.arange(256, dtype=np.uint16)
    y = np.zeros((count, 32), np.uint32)
    launch(f"ldmatrix_x{count}{'_trans' if trans else ''}", x.view(np.uint32), y)
    rows = x.reshape(32, 8)[np.arange(32) ^ 5]
    for i in range(count):
        matrix = rows[8 * i : 8 * i + 8]
        matrix = matrix.T if trans else matrix
        # Lane l holds row l / 4, columns 2 (l mod 4) and the next.
        np.testing.assert_array_equal(y[i].view(np.uint16).reshape(8, 8), matrix)


def test_ldmatrix_needs_the_whole_warp():
    with pytest.raises(SimulationError, match="all 32 threads"):
        launch("ldmatrix_half_warp", np.zeros(128, np.uint32), np.zeros(32, np.uint32))
