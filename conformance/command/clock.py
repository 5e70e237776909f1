"""Clocks of benchmarks
====================

What every table of ``subbit bench`` measures with, and on: CPU seconds, peak memory, a layer.
"""

import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from subbit import reference as ref
from subbit.reference.notation import Array

Work: TypeAlias = Callable[[], Any]


def cpu_seconds(*works: Work, repeats: int) -> list[float]:
    """Measure pieces of work in turn.

    Parameters
    ----------
    *works : callable
        Functions to run, without arguments.
    repeats : int
        Runs of each.

    Returns
    -------
    list of float
        Median CPU seconds of each.

    Examples
    --------
    >>> len(cpu_seconds(lambda: sum(range(10)), lambda: None, repeats=3))
    2
    """
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, record in zip(works, times, strict=True):
            start = time.process_time()
            work()
            record.append(time.process_time() - start)
    return [statistics.median(record) for record in times]


def peak_bytes(work: Work) -> int:
    """Measure the peak memory of a piece of work.

    Parameters
    ----------
    work : callable
        Function to run, without arguments.

    Returns
    -------
    int
        Bytes allocated by Python and NumPy and not yet freed, at the peak.

    Examples
    --------
    >>> peak_bytes(lambda: bytearray(10_000_000)) >= 10_000_000
    True
    """
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def synthetic_layer(n: int, m: int) -> tuple[Array, Array]:
    """Draw a layer whose inputs are correlated.

    Parameters
    ----------
    n, m : int
        Rows and columns.

    Returns
    -------
    W : ndarray of float64, shape (n, m)
        Weights with heavy tails.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian.

    Examples
    --------
    >>> [part.shape for part in synthetic_layer(2, 4)]
    [(2, 4), (4, 4)]
    """
    rng = np.random.default_rng(0)
    mixing = np.eye(m) + 0.1 * rng.standard_normal((m, m))
    X = rng.standard_normal((4, max(m // 2, 1), m)) @ mixing
    return 0.02 * rng.standard_t(5, size=(n, m)), ref.accumulate_hessian(X)
