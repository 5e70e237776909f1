"""What is known of registers from the text, and that knowing it changes no bit."""

import numpy as np
import pytest

from subbit import fast
from subbit.fast.device.simulated import Simulated, decode, load, machine
from subbit.fast.device.simulated.known import constants, flushed_registers, writers_of
from subbit.fast.device.simulated.parse import parse
from subbit.fast.device.simulated.program import Program

TINY = 0x00000001


def function(*lines):
    text = f""".version 8.0
.target sm_80
.visible .entry k(.param .u64 p) {{
.reg .b32 %a, %b, %c, %d; .reg .pred %p; .reg .b64 %rd, %re;
{chr(10).join(lines)}
ret; }}"""
    return parse(text).functions["k"]


def names(found):
    """Name the registers by their numbers, in the order in which they are declared."""
    return {"abcd"[at] for at in found if at < 4}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["add.ftz.f32 %a, %b, %c;"], "a"),
        (["add.f32 %a, %b, %c;"], ""),
        (["add.s32 %a, %b, %c;"], ""),
        (["add.ftz.f32 %a, %b, %c;", "ld.global.f32 %a, [%rd];"], ""),
        (["add.ftz.f32 %a, %b, %c;", "@%p mov.b32 %a, 1;"], ""),
        (["add.ftz.f32 %a, %b, %c;", "@%p mov.f32 %a, 0f3F800000;"], "a"),
        (["mul.ftz.f32 %b, %d, %d;", "mov.b32 %a, %b;"], "ab"),
        (["mov.b32 %a, %b;"], ""),
        (["mul.ftz.f32 %b, %d, %d;", "selp.f32 %a, %b, 0f00000000, %p;"], "ab"),
        (["mul.ftz.f32 %b, %d, %d;", "selp.f32 %a, %b, %c, %p;"], "b"),
        (["mul.ftz.f32 %b, %d, %d;", "shfl.sync.bfly.b32 %a|%p, %b, 1, 31, -1;"], "ab"),
        (["mov.b32 %a, %b;", "mul.ftz.f32 %b, %a, %a;", "mov.b32 %b, %a;"], "ab"),
        (["mul.ftz.f32 %a, %c, %c;", "mov.b64 {%a, %b}, %rd;"], ""),
    ],
    ids=str,
)
def test_registers_without_subnormals(lines, expected):
    assert names(flushed_registers(writers_of(function(*lines)))) == set(expected)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["mov.b32 %a, -1;"], {"a": -1}),
        (["mov.b32 %a, %b;"], {}),
        (["mov.b32 %a, 1;", "mov.b32 %a, 2;"], {}),
        (["@%p mov.b32 %a, 1;"], {}),
        (["mov.b32 %a, 1;", "add.s32 %a, %a, 1;"], {}),
        (["mov.b32 %a, 1;", "setp.eq.s32 %p, %a, 1;"], {"a": 1}),
        (["mov.b32 %a, 1;", "ld.global.v2.b32 {%b, %a}, [%rd];"], {}),
    ],
    ids=str,
)
def test_constants(lines, expected):
    found = constants(writers_of(function(*lines)))
    assert {"abcd"[at]: value.value for at, value in found.items()} == expected


def test_a_subnormal_is_flushed_unless_it_cannot_be_there():
    lines = [
        "ld.param.u64 %rd, [p]; cvta.to.global.u64 %re, %rd;",
        "ld.global.f32 %a, [%re]; add.ftz.f32 %b, %a, %a; add.ftz.f32 %c, %b, %b;",
        f"mov.b32 %d, {TINY}; add.ftz.f32 %d, %d, %a;",
        "st.global.f32 [%re], %c; st.global.f32 [%re+4], %d;",
    ]
    text = """.version 8.0
.target sm_80
.visible .entry k(.param .u64 p) {
.reg .b32 %a, %b, %c, %d; .reg .b64 %rd, %re;
"""
    x = np.array([TINY, 7], np.uint32)
    program = Program(parse(text + "\n".join(lines) + "\nret; }"), "k")
    Simulated().launch_program(program, 1, 1, (x,))
    assert x.tolist() == [0, 0]


@pytest.fixture
def knowing_nothing(monkeypatch):
    """Decode and run as if nothing were known, and warps came lane by lane."""

    def forget():
        monkeypatch.setattr(decode, "flushed_registers", lambda _: frozenset())
        monkeypatch.setattr(decode, "constants", lambda _: {})
        monkeypatch.setattr(machine.Machine, "in_warps", property(lambda _: False))
        load.cache_clear()

    yield forget
    monkeypatch.undo()
    load.cache_clear()


@pytest.mark.parametrize("scale", [1.0, 2.0**-125])
@pytest.mark.parametrize("layer", ["pbs2p_layer", "arb_llm_layer", "gptq_layer", "stbllm_layer"])
def test_knowing_it_changes_no_bit(knowing_nothing, layer, scale):
    rng = np.random.default_rng(5)
    W, X = rng.standard_normal((3, 24)) * scale, rng.standard_normal((40, 24))
    arguments = W, X.T @ X
    on = fast.on("simulated")
    known = getattr(on, layer)(*arguments).decode()
    knowing_nothing()
    np.testing.assert_array_equal(known, getattr(on, layer)(*arguments).decode())
