"""What the last bits of a sum depend on
=====================================

Libraries choose their kernels by the processor and by the number of threads, and kernels add up
in different orders. So what runs compute, they compute on one thread, whatever the environment
says; a run says by which kernels, and is told where those change.
"""

import platform
from collections.abc import Mapping

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

Facts = Mapping[str, str]


def on_one_thread() -> threadpool_limits:
    """Return a context in which BLAS, and torch if it is loaded, use one thread.

    Returns
    -------
    threadpool_limits
        To be entered; what held before holds again afterwards.

    Examples
    --------
    >>> with on_one_thread():
    ...     set(threads().split(", "))
    {'1'}
    """
    return threadpool_limits(1)


def kernels() -> dict[str, str]:
    """Return which kernels this process computes with.

    Returns
    -------
    dict of str to str
        Those of BLAS, and NumPy's own.
    """
    blas = {
        f"{one['internal_api']} {one.get('version')} {one.get('architecture', '')}".strip()
        for one in threadpool_info()
        if one["user_api"] == "blas"
    }
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    return {"BLAS": ", ".join(sorted(blas)), "SIMD": f"{platform.machine()} {' '.join(found)}"}


def differences(wanted: Facts, found: Facts) -> str:
    """Describe where facts differ.

    Parameters
    ----------
    wanted, found : mapping of str to str
        Those of this process, and those of another.

    Returns
    -------
    str
        Nothing if they are equal.

    Examples
    --------
    >>> differences({"NumPy": "2.4.6", "SciPy": "1.17"}, {"NumPy": "2.3.0", "SciPy": "1.17"})
    'NumPy 2.3.0, not 2.4.6'
    """
    names = [name for name in wanted if wanted[name] != found.get(name)]
    return "; ".join(f"{name} {found.get(name, 'unknown')}, not {wanted[name]}" for name in names)


def threads() -> str:
    """Return how many threads BLAS uses in this process.

    Returns
    -------
    str
        One number for each BLAS library.
    """
    counts = sorted(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")
    return ", ".join(map(str, counts))


def arithmetic() -> dict[str, str]:
    """Return what the last bits of this process's sums depend on.

    Returns
    -------
    dict of str to str
        Kernels and threads.

    Examples
    --------
    >>> list(arithmetic())
    ['BLAS', 'SIMD', 'threads']
    """
    return {**kernels(), "threads": threads()}
