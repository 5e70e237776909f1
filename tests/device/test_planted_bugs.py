"""The simulated device must reject every faulty kernel for the correct reason, and no good one."""

import numpy as np
import pytest
from planted_kernels import BUGS, GOOD, HISTOGRAM, I32, SOURCE, XY, floats, kernel

from subbit.fast.device import (
    LaunchError,
    SimulationError,
    UnsupportedInstructionError,
)
from subbit.fast.device.simulated import Simulated


def line_of(text: str, within: str) -> int:
    """Return the source line that holds `text` in the kernel `within`."""
    start = SOURCE.index(f" {within}(")
    return SOURCE[: SOURCE.index(text, start)].count("\n") + 1


@pytest.mark.parametrize(
    ("name", "args", "grid", "block", "kind", "detail", "source"), BUGS,
    ids=[f"{b[0]}-{b[3]}" for b in BUGS],
)  # fmt: skip
def test_bug_is_rejected_for_its_reason(name, args, grid, block, kind, detail, source):
    with pytest.raises(SimulationError) as caught:
        Simulated(races=True).launch(kernel(name), grid, block, args())
    error = caught.value
    assert error.kind == kind, str(error)
    assert detail in error.detail
    assert error.place.kernel == name
    assert error.place.file == "planted.cu"
    assert error.place.line == line_of(source, name), str(error)
    assert error.place.instruction
    assert str(error.place.thread) in str(error)


@pytest.mark.parametrize(("name", "args", "grid", "block"), GOOD, ids=[g[0] for g in GOOD])
@pytest.mark.parametrize("schedule", ["lockstep", "random"])
def test_good_kernel_passes(name, args, grid, block, schedule):
    values = args()
    Simulated(races=True, schedule=schedule, seed=3).launch(kernel(name), grid, block, values)


@pytest.mark.parametrize("seed", range(3))
def test_random_schedule_finds_the_races_too(seed):
    for name in ("missing_syncthreads", "missing_syncwarp"):
        with pytest.raises(SimulationError, match="race"):
            Simulated(races=True, schedule="random", seed=seed).launch(kernel(name), 1, 64, XY())


def test_without_the_race_check_races_are_silent():
    Simulated().launch(kernel("histogram_plain"), 1, 64, HISTOGRAM())


def test_dynamic_shared_memory_that_is_too_small():
    Simulated().launch(kernel("dynamic_shared"), 1, 64, XY(), shared=256)
    with pytest.raises(SimulationError, match="out of bounds") as caught:
        Simulated().launch(kernel("dynamic_shared"), 1, 64, XY(), shared=252)
    assert caught.value.place.thread == (63, 0, 0)


def test_writing_what_is_read_through_the_read_only_path():
    x = floats()
    with pytest.raises(SimulationError, match="read-only path"):
        Simulated(races=True).launch(kernel("read_only_written"), 1, 64, (x, x))


def test_fault_names_block_and_thread():
    y = np.zeros(100, np.float32)
    with pytest.raises(SimulationError) as caught:
        Simulated().launch(kernel("good_blocks"), 2, 64, (floats(), y))
    assert caught.value.place.block == (1, 0, 0)
    assert caught.value.place.thread == (36, 0, 0)


def test_store_to_a_read_only_array():
    y = np.zeros(64, np.float32)
    y.setflags(write=False)
    with pytest.raises(SimulationError, match="read-only"):
        Simulated().launch(kernel("good_blocks"), 1, 64, (floats(), y))


KINDS = (np.zeros(4, np.float32), I32(1), np.float32(2), np.float64(3), np.uint8(4), np.uint64(5))


@pytest.mark.parametrize("arch", ["sm_80", "sm_120"])
def test_arguments_of_every_kind(arch):
    y = np.zeros(4, np.float32)
    Simulated(arch).launch(kernel("every_kind"), 1, 4, (y, *KINDS[1:]))
    np.testing.assert_array_equal(y, 15)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, np.uint64(0), "argument 0: expected an array"),
        (1, 1, "argument 1: expected a NumPy scalar of 4 bytes, got int"),
        (1, np.int64(1), "int64"),
        (2, 2.0, "got float"),
        (2, np.float64(2), "argument 2: expected a .*scalar of 4 bytes, got float64"),
        (3, np.float32(2), "scalar of 8 bytes, got float32"),
        (4, np.int32(2), "scalar of 1 bytes, got int32"),
        (2, np.zeros(1, np.float32), "expected a value of 4 bytes, got an array"),
        (0, np.zeros((4, 4), np.float32).T, "contiguous"),
    ],
)
def test_wrong_argument(place, value, message):
    values = [*KINDS]
    values[place] = value
    with pytest.raises(LaunchError, match=message):
        Simulated().launch(kernel("every_kind"), 1, 4, values)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (1, np.float32(1), "integer NumPy scalar"),
        (2, np.int32(1), "floating-point NumPy scalar"),
    ],
)
def test_wrong_kind_of_number(place, value, message):
    values = [*KINDS]
    values[place] = value
    with pytest.raises(LaunchError, match=message):
        Simulated("sm_80").launch(kernel("every_kind"), 1, 4, values)


def test_wrong_argument_count():
    with pytest.raises(LaunchError, match="takes 6 arguments, got 5"):
        Simulated().launch(kernel("every_kind"), 1, 4, KINDS[:5])


@pytest.mark.parametrize(
    ("grid", "block", "shared", "message"),
    [
        (1, 65, 0, "65 threads in a block, the kernel allows 64"),
        (1, (1, 1, 65), 0, "exceeds"),
        ((1, 70000), 1, 0, "exceeds"),
        (0, 1, 0, "at least 1"),
        ((1, 1, 1, 1), 1, 0, "one to three"),
        (1, 1, 164 * 1024, "163 KB|allows 166912"),
    ],
)
def test_launch_limits(grid, block, shared, message):
    with pytest.raises(LaunchError, match=message):
        Simulated("sm_80").launch(kernel("bounded"), grid, block, (floats(),), shared)


def test_shared_memory_limit_counts_static_and_dynamic():
    y = np.zeros(64, np.float32)
    most = (99 - 40) * 1024
    Simulated("sm_120").launch(kernel("static_too_big"), 1, 64, (y,), most)
    with pytest.raises(LaunchError, match="101380 bytes of shared memory"):
        Simulated("sm_120").launch(kernel("static_too_big"), 1, 64, (y,), most + 4)


def test_unknown_kernel_and_unsupported_instruction_are_named():
    with pytest.raises(LaunchError, match="no kernel nothing"):
        Simulated().launch(kernel("nothing"), 1, 1, ())
    with pytest.raises(UnsupportedInstructionError, match=r"printing.*vprintf"):
        Simulated().launch(kernel("printing"), 1, 1, (floats(),))
