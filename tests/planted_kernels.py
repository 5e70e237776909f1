"""Kernels with one bug each, their correct twins, and how to launch them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from subbit.fast.device import Kernel

SOURCE = (Path(__file__).parent / "device" / "kernels" / "planted.cu").read_text()
I32 = np.int32


def kernel(name: str) -> Kernel:
    return Kernel(SOURCE, name, file="planted.cu")


def floats(n: int = 64) -> np.ndarray[Any, Any]:
    return np.arange(n, dtype=np.float32)


def bins(n: int = 64) -> np.ndarray[Any, Any]:
    return (np.arange(n) % 8).astype(np.int32)


XY: Callable[[], tuple[Any, ...]] = lambda: (floats(), np.zeros(64, np.float32))  # noqa: E731
XYN: Callable[[], tuple[Any, ...]] = lambda: (floats(256), np.zeros(64, np.float32), I32(4))  # noqa: E731
VECTORS: Callable[[], tuple[Any, ...]] = lambda: (floats(256), np.zeros(256, np.float32))  # noqa: E731
HISTOGRAM: Callable[[], tuple[Any, ...]] = lambda: (bins(), np.zeros(8, np.int32))  # noqa: E731

# name, arguments, grid, block, fault, text in its detail, text on its source line
BUGS: list[tuple[str, Callable[[], tuple[Any, ...]], int, int, str, str, str]] = [
    ("missing_syncthreads", XY, 1, 64, "race", "shared memory, written by", "s[63"),
    ("missing_second_barrier", XYN, 1, 64, "race", "shared memory, read by", "s[threadIdx.x] ="),
    ("missing_syncwarp", XY, 1, 64, "race", "written by", "s[threadIdx.x ^ 1]"),
    ("syncwarp_wrong_half", XY, 1, 64, "race", "written by", "s[threadIdx.x ^ 16]"),
    ("read_past_end", lambda: (floats(), np.zeros(65, np.float32), I32(64)), 1, 96,
     "out of bounds", "byte 256 of argument 0, which has 256 bytes", "y[threadIdx.x] = x"),
    ("static_shared_overrun", XY, 1, 64, "out of bounds", "shared access", "s[threadIdx.x + 1]"),
    ("divergent_barrier", XY, 1, 64, "barrier divergence", "24 threads have left",
     "__syncthreads()"),
    ("different_barriers", lambda: (floats(96), np.zeros(96, np.float32)), 1, 96, "deadlock",
     "spin without effect", "while"),
    ("different_barriers", XY, 1, 64, "barrier divergence", "32 wait at line", "__syncthreads()"),
    ("spin_for_ever", lambda: (np.zeros(1, I32), np.zeros(64, I32)), 1, 64, "deadlock",
     "64 run at line", "while"),
    ("half_warp_shuffle", XY, 1, 32, "shuffle", "reads lane 16", "__shfl"),
    ("shuffle_outside_mask", XY, 1, 32, "shuffle", "reads lane 16", "__shfl"),
    ("shuffle_across_masks", XY, 1, 32, "shuffle", "reads lane 16", "__shfl"),
    ("shuffle_not_in_mask", XY, 1, 32, "shuffle", "not in its own member mask", "__shfl"),
    ("shuffle_deadlock", XY, 1, 32, "deadlock", "nothing can run", "__shfl"),
    ("misaligned", lambda: (floats(260), np.zeros(256, np.float32)), 1, 64, "misaligned",
     "16-byte global access", "*(const float4*)"),
    ("uninitialized_shared", XY, 1, 64, "uninitialized read", "4-byte read", "s[threadIdx.x ^ 1]"),
    ("async_without_wait", VECTORS, 1, 64, "cp.async", "read before the copy",
     "y[threadIdx.x] = s"),
    ("async_wait_too_few", VECTORS, 1, 64, "cp.async", "read before the copy",
     "y[threadIdx.x] = s"),
    ("async_without_barrier", VECTORS, 1, 64, "race", "written by", "y[threadIdx.x] = s"),
    ("two_blocks_one_element", lambda: (floats(), np.zeros(128, np.float32)), 2, 64, "race",
     "argument 1, written by", "y[("),
    ("block_reads_anothers", lambda: (floats(), np.zeros(128, np.float32)), 2, 64, "race",
     "argument 1", "if (threadIdx.x == 0)"),
    ("read_by_all_written_by_one", XY, 1, 64, "race", "shared memory, read by", "s = v"),
    ("read_twice_written_by_one", XY, 1, 64, "race", "shared memory, read by", "s = 1.f"),
    ("missing_barrier_for_global", lambda: (floats(), np.zeros(128, np.float32)), 1, 64, "race",
     "argument 1, written by", "y[64"),
    ("histogram_plain", HISTOGRAM, 1, 64, "race", "argument 1", "bins["),
    ("atomic_and_plain", HISTOGRAM, 1, 64, "race", "argument 1, written by", "bins[1]"),
    ("local_overrun", HISTOGRAM, 1, 64, "out of bounds", "local access", "y[threadIdx.x]"),
    ("trapping", lambda: (floats(),), 1, 64, "trap", "trap", "trap"),
]  # fmt: skip

GOOD: list[tuple[str, Callable[[], tuple[Any, ...]], int, int]] = [
    ("good_syncthreads", XY, 1, 64),
    ("good_second_barrier", XYN, 1, 64),
    ("good_syncwarp", XY, 1, 64),
    ("good_syncwarp_half", XY, 1, 64),
    ("good_read", lambda: (floats(), np.zeros(64, np.float32), I32(64)), 1, 96),
    ("good_static_shared", XY, 1, 64),
    ("good_uniform_barrier", XYN, 1, 64),
    ("good_spin", lambda: (np.zeros(1, I32), np.zeros(1, I32)), 1, 32),
    ("good_half_shuffle", XY, 1, 32),
    ("good_shuffle_in_halves", XY, 1, 32),
    ("good_read_then_write", XY, 1, 64),
    ("good_two_atomics", HISTOGRAM, 2, 32),
    ("good_aligned", VECTORS, 1, 64),
    ("good_async", VECTORS, 1, 64),
    ("good_blocks", lambda: (floats(), np.zeros(128, np.float32)), 2, 64),
    ("good_barrier_for_global", lambda: (floats(), np.zeros(128, np.float32)), 1, 64),
    ("good_histogram", HISTOGRAM, 2, 32),
    ("good_histogram_shared", HISTOGRAM, 2, 64),
    ("read_only_written", XY, 1, 64),
]
