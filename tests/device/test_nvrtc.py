"""The compiler binding and the static gate."""

import subprocess
import sys
from pathlib import Path

import pytest

from subbit.fast.device import CompileError, Kernel, nvrtc, static

SAMPLES = (Path(__file__).parent / "kernels" / "samples.cu").read_text()
TINY = 'extern "C" __global__ void k(float* x, float a) { x[0] = a * x[1] + x[2]; }'


def test_one_compile_gives_ptx_and_machine_code():
    compiled = nvrtc.compile_source(TINY, "sm_90")
    assert ".target sm_90" in compiled.ptx
    assert compiled.cubin[:4] == b"\x7fELF"


def test_no_contraction_and_always_flushing():
    ptx = nvrtc.compile_source(TINY, "sm_80").ptx
    assert "mul.rn.ftz.f32" in ptx
    assert "add.rn.ftz.f32" in ptx
    assert "fma" not in ptx


def test_order_of_options():
    options = nvrtc.all_options(("-DX=1",), "sm_80")
    assert options[:3] == ("-DX=1", "-fmad=false", "-lineinfo")
    assert options[-3:] == ("-ftz=true", "-arch=sm_80", "--device-as-default-execution-space")
    assert all(o.startswith("-I") for o in options[3:-3])


def test_errors_carry_the_log_and_the_file_name():
    with pytest.raises(CompileError, match=r"broken.cu\(1\): error"):
        nvrtc.compile_source("this is not CUDA", file="broken.cu")


def test_compiles_are_kept():
    assert nvrtc.compile_source(TINY, "sm_80") is nvrtc.compile_source(TINY, "sm_80")


def test_needs_no_driver_and_no_cupy():
    code = (
        "import sys\n"
        "from subbit.fast.device import nvrtc\n"
        "from subbit.fast.device.simulated import Simulated\n"
        f"nvrtc.compile_source({TINY!r})\n"
        "assert 'cupy' not in sys.modules\n"
        "assert 'libcuda.so' not in open('/proc/self/maps').read()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("arch", static.ARCHITECTURES)
def test_static_report(arch):
    for entry in ("block_sum", "gemv_1bit", "bgemm_popc", "gemm_mma", "mixed"):
        usage = static.inspect(Kernel(SAMPLES, entry), arch, machine_code=False)
        assert 8 <= usage.registers <= 64
        assert usage.spill_stores == usage.spill_loads == usage.stack == 0
    assert usage.shared == 0
    usage = static.inspect(Kernel(SAMPLES, "bgemm_popc"), arch, machine_code=False)
    assert usage.shared == 2 * 16 * 17 * 4


@pytest.mark.skipif(static.disassembler() is None, reason="no cuobjdump")
def test_instruction_mix():
    usage = static.inspect(Kernel(SAMPLES, "bgemm_popc"), "sm_80")
    assert usage.count("POPC") == 16
    usage = static.inspect(Kernel(SAMPLES, "gemm_mma"), "sm_90")
    assert usage.count("HMMA.16816.F32") > 0
    assert usage.count("LDSM") > 0
    assert usage.count("LDGSTS") > 0
    assert static.inspect(Kernel(SAMPLES, "gemv_1bit"), "sm_80").wide_accesses > 0


def test_spills_are_reported():
    source = """extern "C" __global__ void __launch_bounds__(1024, 2) k(float* x) {
        float a[96];
        #pragma unroll
        for (int i = 0; i < 96; i++) a[i] = x[i * 1024 + threadIdx.x];
        __syncthreads();
        #pragma unroll
        for (int i = 0; i < 96; i++) x[i * 1024 + threadIdx.x] = a[95 - i] * a[i];
    }"""
    usage = static.inspect(Kernel(source, "k"), "sm_80", machine_code=False)
    assert usage.spill_stores > 0
    assert usage.stack > 0
    assert usage.mix == {}


def test_report_of_several_functions():
    log = (
        "ptxas info    : Compiling entry function 'one' for 'sm_80'\n"
        "ptxas info    : Function properties for one\n"
        "ptxas         .     16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads\n"
        "ptxas info    : Used 40 registers, used 1 barriers, 512 bytes smem, 372 bytes cmem[0]\n"
        "ptxas info    : Function properties for helper\n"
        "ptxas         .     99 bytes stack frame, 9 bytes spill stores, 9 bytes spill loads\n"
        "ptxas info    : Compiling entry function 'two' for 'sm_80'\n"
        "ptxas info    : Function properties for two\n"
        "ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        "ptxas info    : Used 22 registers, used 0 barriers, 372 bytes cmem[0]\n"
    )
    assert static.parse_report(log) == {
        "one": static.Usage(40, 8, 12, 16, 512),
        "two": static.Usage(22, 0, 0, 0, 0),
    }


@pytest.mark.parametrize(
    ("registers", "shared", "arch", "threads", "share"),
    [
        (128, 0, "sm_90", 128, 0.25), (72, 0, "sm_90", 128, 0.4375), (32, 0, "sm_80", 256, 1.0),
        (32, 48 * 1024, "sm_80", 128, 3 * 128 / 2048), (16, 0, "sm_80", 32, 0.5),
        (32, 0, "sm_120", 1024, 2 / 3), (255, 0, "sm_80", 256, 0.125),
        (36, 0, "sm_80", 64, 0.75),
    ],
)  # fmt: skip
def test_occupancy(registers, shared, arch, threads, share):
    usage = static.Usage(registers, 0, 0, 0, 0)
    assert static.occupancy(usage, arch, threads, shared) == pytest.approx(share)
