"""Nothing that was not written looks like an answer: arrays, local memory, registers."""

import numpy as np
import pytest

from subbit.fast.device.simulated import Simulated
from subbit.fast.device.simulated.parse import parse
from subbit.fast.device.simulated.program import Program


def stored(body):
    """Run eight threads that store the register %v."""
    text = f""".version 8.0
.target sm_80
.visible .entry k(.param .u64 p0) {{
.reg .b64 %a; .reg .b32 %i, %v, %w; .reg .pred %q, %unset; .local .align 4 .b8 depot[16];
mov.u32 %i, %tid.x; setp.gt.u32 %q, %i, 3;
{body}
ld.param.u64 %a, [p0]; mad.wide.u32 %a, %i, 4, %a; st.global.b32 [%a], %v; ret; }}"""
    result = np.zeros(8, np.float32)
    Simulated().launch_program(Program(parse(text), "k"), 1, 8, (result,))
    return result


@pytest.mark.parametrize(
    "body",
    ["", "add.f32 %v, %w, 0f3F800000;", "ld.local.b32 %v, [depot+8];"],
    ids=["register", "operand", "local memory"],
)
def test_what_was_not_written_is_nan(body):
    assert np.isnan(stored(body)).all()


def test_lanes_that_did_not_write_a_register_read_nan():
    assert np.isnan(stored("@%q mov.b32 %v, 0;")).tolist() == [True] * 4 + [False] * 4


def test_a_predicate_that_was_not_written_is_not_the_false_one_that_it_may_have_to_be():
    assert (stored("mov.b32 %v, 0; @%unset mov.b32 %v, 0f3F800000;") == 1.0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.uint8, np.int32, np.uint32])
def test_arrays_from_empty_stand_out(dtype):
    xp = Simulated().xp
    like = np.zeros((3, 5), dtype)
    for made in (xp.empty((3, 5), dtype=dtype), xp.empty_like(like)):
        assert made.dtype == dtype
        assert made.shape == (3, 5)
        assert np.isnan(made).all() or not (np.abs(made.astype(np.int64)) < 90).any()


def test_flags_from_empty_are_true_and_false_in_turn():
    made = Simulated().xp.empty((2, 3), dtype=bool)
    assert made.tolist() == [[True, False, True], [False, True, False]]


def test_zeros_are_zeros():
    assert not Simulated().xp.zeros(3).any()
