"""PTX text to instructions, and text that is refused by name."""

from pathlib import Path

import numpy as np
import pytest

from subbit.fast.device import Kernel, UnsupportedInstructionError, nvrtc
from subbit.fast.device.simulated import Simulated, load
from subbit.fast.device.simulated.parse import parse
from subbit.fast.device.simulated.program import Program
from subbit.fast.device.simulated.syntax import (
    Address,
    Immediate,
    Negated,
    Pair,
    Register,
    Symbol,
    Vector,
)

SAMPLES = (Path(__file__).parent / "kernels" / "samples.cu").read_text()

HEAD = ".version 8.0\n.target sm_80\n.address_size 64\n"


def body(text):
    return f"{HEAD}.visible .entry k(.param .u64 p) {{ {text} }}"


def first(text):
    return parse(body(text)).functions["k"].body[0]


def test_operands_of_every_form():
    text = (
        ".reg .b32 %r<9>; .reg .pred %p<3>; .reg .b64 %d;"
        "@!%p1 shfl.sync.idx.b32 %r1|%p2, {%r2, %r3}, [%d+-4], 0f3F800000, !%p1, 0x1F, -3, name;"
    )
    ins = first(text)
    assert isinstance(ins.guard, Negated)
    pair, vector, address, one, negated, number, minus, name = ins.operands
    assert isinstance(pair, Pair)
    assert isinstance(vector, Vector)
    assert len(vector.parts) == 2
    assert isinstance(address, Address)
    assert address.offset == -4
    assert one == Immediate(0x3F800000, "f32")
    assert isinstance(negated, Negated)
    assert number == Immediate(31, "int")
    assert minus == Immediate(-3, "int")
    assert name == Symbol("name")


def test_nested_scopes_have_their_own_registers_and_labels():
    module = parse(body(
        ".reg .b32 %a; { .reg .b32 %a; .reg .pred %p; setp.eq.s32 %p, %a, 0; @%p bra L;"
        "mov.u32 %a, 1; L: mov.u32 %a, 2; } { .reg .b32 %a; L: mov.u32 %a, 3; } mov.u32 %a, 4;"
    ))  # fmt: skip
    function = module.functions["k"]
    targets = [ins.operands[0] for ins in function.body if ins.name == "mov.u32"]
    assert len({t.index for t in targets if isinstance(t, Register)}) == 3
    assert len(function.labels) == 2
    jump = next(ins for ins in function.body if ins.name == "bra")
    assert function.labels[jump.operands[0].name] == 3


def test_lines_of_inlined_headers_lead_to_the_caller():
    text = body(
        ".reg .b32 %r;\n.loc 1 7 3\nmov.u32 %r, 1;\n"
        ".loc 2 900 1, function_name $L__info, inlined_at 1 8 5\nmov.u32 %r, 2;\n"
        ".loc 2 20 1, function_name $L__info, inlined_at 2 900 1\nmov.u32 %r, 3;\n"
        ".loc 3 4 1\nmov.u32 %r, 4;\n"
    )
    text += '\n.file 1 "/x/a.cu"\n.file 2 "/cuda/include/cuda_fp16.h"\n.file 3 "b.cuh"\n'
    lines = [(ins.file, ins.line) for ins in parse(text).functions["k"].body]
    assert lines == [("a.cu", 7), ("a.cu", 8), ("a.cu", 8), ("b.cuh", 4)]


@pytest.mark.parametrize("arch", ["sm_80", "sm_100"])
def test_parameters(arch):
    source = (
        "struct S { int a; double b; };"
        'extern "C" __global__ void k(float* x, unsigned char c, S s, short h, const int* y) '
        "{ *x = c + s.a + h + *y; }"
    )
    program = load(Kernel(source, "k"), arch)
    sizes = [v.size for v in program.function.parameters]
    assert sizes == [8, 1, 16, 2, 8]
    assert list(program.parameters.values()) == [0, 8, 16, 32, 40]
    assert [v.pointer for v in program.function.parameters] == [
        p if arch == "sm_100" else False for p in (True, False, False, False, True)
    ]


def test_constant_data():
    source = (
        "__constant__ short t[3] = {1, -2, 3}; __device__ int counter = 5;"
        'extern "C" __global__ void k(int* x) { x[threadIdx.x] = t[threadIdx.x] + counter; }'
    )
    x = np.zeros(3, np.int32)
    Simulated().launch(Kernel(source, "k"), 1, 3, (x,))
    np.testing.assert_array_equal(x, [6, 3, 8])


def test_every_sample_parses_for_every_architecture():
    for arch in ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120"):
        source = SAMPLES.split("// C (m x n)")[0] if arch == "sm_75" else SAMPLES
        module = parse(nvrtc.compile_source(source, arch).ptx)
        for function in module.functions.values():
            if function.entry:
                assert Program(module, function.name).blocks


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (".reg .b32 %r; tex.1d.v4.f32.s32 {%r,%r,%r,%r}, [t, {%r}];", "tex.1d"),
        ("wgmma.fence.sync.aligned;", "wgmma.fence"),
        (".reg .b64 %d; mbarrier.init.shared.b64 [%d], 1;", "mbarrier.init"),
        (".reg .b64 %d; cp.async.bulk.commit_group;", "cp.async.bulk"),
        ("barrier.cluster.arrive;", "barrier.cluster"),
        (".reg .b32 %r; vadd4.s32.s32.s32 %r, %r, %r, %r;", "vadd4"),
        (".reg .b32 %r; shfl.down.b32 %r, %r, 1, 31;", "shfl.down"),
        (".reg .f32 %f; div.rz.f32 %f, %f, %f;", "div.rz.f32"),
        (".reg .b32 %r; redux.sync.min.f32 %r, %r, -1;", "redux.sync.min.f32"),
    ],
)
def test_what_is_not_covered_is_named(text, name):
    with pytest.raises(UnsupportedInstructionError, match=name):
        Program(parse(body(text)), "k")


def test_clusters_and_recursion_are_refused():
    source = 'extern "C" __global__ void __cluster_dims__(2) k(int* x) { *x = 1; }'
    with pytest.raises(UnsupportedInstructionError, match="cluster"):
        load(Kernel(source, "k"), "sm_90")
    source = (
        "__device__ __noinline__ int f(int n) { return n < 2 ? n : f(n - 1) * f(n - 2) + 1; }"
        'extern "C" __global__ void k(int* x) { *x = f(*x); }'
    )
    with pytest.raises(UnsupportedInstructionError, match="recursion"):
        load(Kernel(source, "k"), "sm_80")
