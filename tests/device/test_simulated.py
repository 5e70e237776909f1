"""Whole kernels: correct results, the same on every architecture and in every order."""

from pathlib import Path

import numpy as np
import pytest

from subbit.fast.device import Kernel, LaunchError, SimulationError
from subbit.fast.device.simulated import Simulated
from subbit.fast.device.simulated.parse import parse
from subbit.fast.device.simulated.program import Program

SOURCE = (Path(__file__).parent / "kernels" / "samples.cu").read_text()
ARCHITECTURES = ("sm_80", "sm_90", "sm_100", "sm_120")
MODES = {
    "lockstep": {}, "races": {"races": True}, "random": {"schedule": "random", "races": True},
    "counters": {"counters": True},
}  # fmt: skip


def kernel(name):
    return Kernel(SOURCE, name, file="samples.cu")


def rng():
    return np.random.default_rng(11)


def block_sum(device):
    x, out = rng().integers(-99, 99, 3000).astype(np.float32), np.zeros(3, np.float32)
    device.launch(kernel("block_sum"), 3, 256, (x, out, np.int32(len(x))))
    assert out.sum() == x.sum()
    return (out,)


def pack_signs(device):
    x, bits = rng().standard_normal(1000).astype(np.float32), np.zeros(32, np.uint32)
    device.launch(kernel("pack_signs"), 8, 128, (x, bits, np.int32(1000)))
    want = np.zeros(1024, np.bool_)
    want[:1000] = x >= 0
    np.testing.assert_array_equal(bits, np.packbits(want, bitorder="little").view(np.uint32))
    return (bits,)


def gemv(device):
    rows, columns = 10, 256
    signs = rng().integers(0, 2, (rows, columns)).astype(np.bool_)
    bits = np.packbits(signs, axis=1, bitorder="little").view(np.uint32)
    x = rng().standard_normal(columns).astype(np.float32)
    scale, y = rng().random(rows, np.float32), np.zeros(rows, np.float32)
    args = (bits, scale, x, y, np.int32(rows), np.int32(columns // 128))
    device.launch(kernel("gemv_1bit"), 3, 128, args, shared=4 * columns)
    np.testing.assert_allclose(y, scale * (np.where(signs, 1.0, -1.0) @ x), rtol=1e-5, atol=1e-5)
    return (y,)


def bgemm(device):
    a, b = (rng().integers(0, 1 << 32, (32, 16), dtype=np.uint32) for _ in range(2))
    b = b[::-1].copy()
    c = np.zeros((32, 32), np.int32)
    device.launch(kernel("bgemm_popc"), (2, 2), (16, 16), (a, b, c, np.int32(32), np.int32(16)))
    differing = np.bitwise_count(a[:, None] ^ b[None]).sum(axis=-1)
    np.testing.assert_array_equal(c, 512 - 2 * differing.astype(int))
    return (c,)


def gemm(device):
    a, b = (rng().integers(-4, 5, (s, 48)).astype(np.float16) for s in (32, 16))
    c = np.zeros((32, 16), np.float32)
    device.launch(kernel("gemm_mma"), (2, 2), 32, (a, b, c, np.int32(16), np.int32(48)))
    np.testing.assert_array_equal(c, a.astype(np.float32) @ b.astype(np.float32).T)
    return (c,)


def mixed(device):
    h = np.arange(64).astype(np.float16)
    o, d, q = np.zeros(64, np.float16), np.zeros(32), np.zeros(32, np.uint64)
    pair = np.array((3, 0.5), dtype=[("count", np.int32), ("bias", np.float32)])[()]
    device.launch(kernel("mixed"), 1, 32, (h, o, d, pair, q), shared=128)
    np.testing.assert_array_equal(o[:40], (h[:40] * h[:40] + np.float16(0.5)))
    t = np.arange(32, dtype=np.uint64)
    want = t * ((t * 7) & 7) * 12345678912345 // (t + 3)
    with np.errstate(over="ignore"):
        for lane, change in enumerate(
            (
                lambda v: v + 5,
                lambda v: v * 7,
                lambda v: v ^ 9,
                lambda v: v << 3,
                lambda v: v % 11,
                lambda v: v + 4,
            )
        ):
            want[lane] = change(int(want[lane]))  # fmt: skip
        want[7] = 3
        peers = np.array([sum(1 << j for j in range(32) if j // 3 == i // 3) for i in range(32)])
        want += (t ^ 1) + peers.astype(np.uint64) + 31 + 16
    np.testing.assert_array_equal(q, want)
    return o, d, q


CASES = [block_sum, pack_signs, gemv, bgemm, gemm, mixed]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.__name__)
def test_right_answer_in_every_mode(case, mode):
    case(Simulated(**MODES[mode]))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.__name__)
def test_architectures_agree_to_the_bit(case):
    first, *others = (case(Simulated(arch)) for arch in ARCHITECTURES)
    for other in others:
        for x, y in zip(first, other, strict=True):
            assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.__name__)
def test_order_does_not_matter(case, seed):
    still = case(Simulated())
    for x, y in zip(still, case(Simulated(schedule="random", seed=seed)), strict=True):
        assert x.tobytes() == y.tobytes()


def test_random_order_does_show_where_order_matters():
    source = """extern "C" __global__ void k(float* y, float v) {
        atomicAdd(y, (threadIdx.x % 7 + blockIdx.x) * v);
    }"""
    results = set()
    for seed in range(6):
        y = np.zeros(1, np.float32)
        device = Simulated(schedule="random", seed=seed)
        device.launch(Kernel(source, "k"), 4, 128, (y, np.float32(0.1)))
        results.add(y.tobytes())
    assert len(results) > 1


def test_blocks_beyond_one_chunk():
    source = """extern "C" __global__ void k(int* y) {
        __shared__ int s[33];
        s[threadIdx.x] = blockIdx.x + 1000 * blockIdx.y + threadIdx.x;
        __syncthreads();
        y[(blockIdx.y * gridDim.x + blockIdx.x) * 33 + threadIdx.x] = s[32 - threadIdx.x];
    }"""
    y = np.zeros((3, 200, 33), np.int32)
    Simulated(races=True).launch(Kernel(source, "k"), (200, 3), 33, (y,))
    row, column, t = np.ogrid[:3, :200, :33]
    np.testing.assert_array_equal(y, column + 1000 * row + 32 - t)


def test_race_between_blocks_of_different_chunks():
    source = (
        'extern "C" __global__ void k(int* y) { if (blockIdx.x % 599 == 0) y[threadIdx.x] = 1; }'
    )
    with pytest.raises(SimulationError, match="race") as caught:
        Simulated(races=True).launch(Kernel(source, "k"), 600, 64, (np.zeros(64, np.int32),))
    assert caught.value.place.block == (599, 0, 0)


def test_overlapping_arguments_are_one_memory():
    source = """extern "C" __global__ void k(const float* x, float* y) {
        y[threadIdx.x] = x[threadIdx.x] + 1;
    }"""
    a = np.arange(40, dtype=np.float32)
    Simulated(races=True).launch(Kernel(source, "k"), 1, 4, (a[:4], a[4:8]))
    np.testing.assert_array_equal(a[:8], [0, 1, 2, 3, 1, 2, 3, 4])
    with pytest.raises(SimulationError, match="out of bounds"):
        Simulated().launch(Kernel(source, "k"), 1, 5, (a[:4], a[4:8]))
    with pytest.raises(SimulationError, match="of argument 0, argument 1"):
        Simulated(races=True).launch(Kernel(source, "k"), 1, 8, (a[:8], a[4:12]))


def test_view_that_starts_off_alignment():
    source = (
        'extern "C" __global__ void k(float4* x) { x[threadIdx.x].x = 1; x[0] = x[threadIdx.x]; }'
    )
    a = np.zeros(40, np.float32)
    Simulated().launch(Kernel(source, "k"), 1, 1, (a[4:],))
    with pytest.raises(SimulationError, match="misaligned"):
        Simulated().launch(Kernel(source, "k"), 1, 1, (a[1:],))


def test_pointers_chosen_by_lane_and_generic_addresses():
    source = """__device__ __noinline__ int get(const int* p) { return *p; }
    extern "C" __global__ void k(const int* a, const int* b, int* y) {
        __shared__ int s[32];
        int local[2] = {int(threadIdx.x) * 100, a[0]};
        s[threadIdx.x] = -int(threadIdx.x);
        __syncthreads();
        int kind = threadIdx.x % 4;
        const int* p = kind == 0 ? a + threadIdx.x : kind == 1 ? b + threadIdx.x
                     : kind == 2 ? s + threadIdx.x : local + (a[1] - 1);
        y[threadIdx.x] = get(p);
    }"""
    a, b = np.arange(32, dtype=np.int32), np.arange(32, dtype=np.int32) + 1000
    for modes in MODES.values():
        y = np.zeros(32, np.int32)
        Simulated(**modes).launch(Kernel(source, "k"), 1, 32, (a, b, y))
        t = np.arange(32)
        want = np.select([t % 4 == 0, t % 4 == 1, t % 4 == 2], [a, b, -t], 100 * t)
        np.testing.assert_array_equal(y, want)


def test_counters_show_a_bank_conflict_and_wasted_sectors():
    source = """extern "C" __global__ void k(const float* x, float* y, int step) {
        __shared__ float s[32 * 33];
        s[threadIdx.x * 32] = x[threadIdx.x];
        s[threadIdx.x * 33 + 1] = x[threadIdx.x * step];
        __syncwarp();
        y[threadIdx.x] = s[threadIdx.x * 32] + ((const float4*)s)[threadIdx.x].x;
    }"""
    device = Simulated(counters=True)
    x, y = np.zeros(32 * 32, np.float32), np.zeros(32, np.float32)
    with pytest.raises(SimulationError):
        device.launch(Kernel(source, "k"), 1, 32, (x, y, np.int32(32)))
    lines = {(s.line, s.space, s.direction): t for s, t in device.counters["k"].lines.items()}
    assert lines[3, "shared", "store"].wavefronts == 32
    assert lines[3, "shared", "store"].ideal_wavefronts == 1
    assert lines[3, "global", "load"].sectors == lines[3, "global", "load"].ideal_sectors == 4
    assert lines[4, "shared", "store"].wavefronts == 1
    assert lines[4, "global", "load"].sectors == 32
    assert lines[4, "global", "load"].ideal_sectors == 4


def test_counters_of_wide_accesses():
    device = Simulated(counters=True)
    gemm(device)
    # Rows are 48 bytes apart: ldmatrix finds its eight rows in different banks, but a quarter
    # warp of cp.async fills four rows of 32 bytes, the last of which meets the first.
    for site, traffic in device.counters["gemm_mma"].lines.items():
        if site.space == "shared":
            conflicts = 2 if site.direction == "store" else 1
            assert traffic.wavefronts == conflicts * traffic.ideal_wavefronts > 0
    device = Simulated(counters=True)
    gemv(device)
    loads = device.counters["gemv_1bit"].total("global")
    assert loads.sectors >= loads.ideal_sectors > 0


def test_results_do_not_depend_on_the_race_check_or_counters():
    assert len({mixed(Simulated(**m))[2].tobytes() for m in MODES.values()}) == 1


def test_arithmetic_of_the_c_source_survives_a_divergent_loop():
    source = """extern "C" __global__ void collatz(const unsigned* x, int* steps, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= n) return;
        unsigned v = x[i];
        int count = 0;
        while (v != 1) { v = v % 2 ? 3 * v + 1 : v / 2; count++; if (count > 500) break; }
        steps[i] = count;
    }"""

    def collatz(v):
        count = 0
        while v != 1:
            v, count = (3 * v + 1 if v % 2 else v // 2), count + 1
        return count

    x, steps = np.arange(1, 301, dtype=np.uint32), np.zeros(300, np.int32)
    for modes in MODES.values():
        steps[:] = 0
        Simulated(**modes).launch(Kernel(source, "collatz"), 3, 128, (x, steps, np.int32(300)))
        np.testing.assert_array_equal(steps, [collatz(int(v)) for v in x])


def program(body, parameters=1):
    names = ", ".join(f".param .u64 p{i}" for i in range(parameters))
    text = f""".version 8.0
    .target sm_80
    .visible .entry k({names}) {{
    .reg .b32 %r<9>; .reg .b64 %a, %b, %t; .reg .pred %p, %q;
    mov.u32 %r1, %tid.x; cvt.u64.u32 %t, %r1; ld.param.u64 %a, [p0];
    {body} }}"""
    return Program(parse(text), "k")


def test_lanes_that_spin_first_do_not_starve_the_others():
    body = """setp.eq.s32 %p, %r1, 1; @%p bra SET;
    SPIN: ld.volatile.global.u32 %r2, [%a]; setp.eq.s32 %q, %r2, 0; @%q bra SPIN;
    st.global.u32 [%a+4], 7; ret;
    SET: st.volatile.global.u32 [%a], 1; ret;"""
    y = np.zeros(2, np.uint32)
    Simulated().launch_program(program(body), 1, 2, (y,))
    np.testing.assert_array_equal(y, [1, 7])


def test_registers_that_were_copied_stay_apart():
    body = """mov.u32 %r2, %r1; mov.u32 %r3, %r2; setp.eq.s32 %p, %r1, 5;
    @%p add.u32 %r3, %r3, 1000;
    mad.lo.u64 %a, %t, 8, %a; st.global.v2.u32 [%a], {%r2, %r3}; ret;"""
    y = np.zeros((128, 2), np.uint32)
    Simulated().launch_program(program(body), 1, 128, (y,))
    want = np.arange(128)
    np.testing.assert_array_equal(y[:, 0], want)
    np.testing.assert_array_equal(y[:, 1], np.where(want == 5, 1005, want))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spread", [1, 40])
def test_atomics_return_what_was_there(mode, spread):
    source = """extern "C" __global__ void k(unsigned* counter, int* seen, int* best,
                                             unsigned* turn, unsigned long long* owner,
                                             float* sum, int spread) {
        int i = blockIdx.x * blockDim.x + threadIdx.x, slot = i % spread;
        int ticket = atomicAdd(counter + slot, 1u);
        atomicAdd(seen + slot * 1024 + ticket, 1);
        atomicMax(best + slot, i);
        atomicMin(best + slot + spread, -i);
        atomicInc(turn + slot, 4u);
        atomicCAS(owner + slot, 0ull, (unsigned long long)i + 1);
        atomicAdd(sum + slot, 0.5f);
        atomicXor(best + 2 * spread + slot, 1 << i % 31);
    }"""
    n = 256
    counter, seen, best = (
        np.zeros(spread, np.uint32),
        np.zeros((spread, 1024), np.int32),
        np.zeros(3 * spread, np.int32),
    )
    turn, owner, total = (
        np.zeros(spread, np.uint32),
        np.zeros(spread, np.uint64),
        np.zeros(spread, np.float32),
    )
    args = (counter, seen, best, turn, owner, total, np.int32(spread))
    Simulated(**MODES[mode]).launch(Kernel(source, "k"), 4, n // 4, args)
    slots = np.arange(n) % spread
    counts = np.bincount(slots)
    np.testing.assert_array_equal(counter, counts)
    np.testing.assert_array_equal(seen, np.arange(1024) < counts[:, None])
    last = [np.flatnonzero(slots == s)[-1] for s in range(spread)]
    np.testing.assert_array_equal(best[:spread], last)
    np.testing.assert_array_equal(best[spread : 2 * spread], np.negative(last))
    bits = 1 << np.arange(n) % 31
    xor = [np.bitwise_xor.reduce(bits[slots == s]) for s in range(spread)]
    np.testing.assert_array_equal(best[2 * spread :], xor)
    np.testing.assert_array_equal(turn, counts % 5)
    assert all(owner[s] and (owner[s] - 1) % spread == s for s in range(spread))
    np.testing.assert_array_equal(total, counts * 0.5)


def test_unknown_settings():
    with pytest.raises(LaunchError, match="sm_80"):
        Simulated("sm_70")
    with pytest.raises(LaunchError, match="lockstep"):
        Simulated(schedule="never")
