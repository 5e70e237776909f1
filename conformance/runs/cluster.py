"""A dask cluster that quantizes linears
=====================================

The workers of a running ``dask.distributed`` cluster, on this machine or on many. Each has its
own port, hence its own device, and does one linear at a time: it must have one thread. A job
goes to the scheduler and on to a worker, and is kept there until it is answered; if a worker is
lost, the scheduler gives its job to another one.

dask sends pickled objects, so scheduler, workers and this process have to trust each other.
Nothing is pickled to a file.

Bits depend on versions, so workers that differ in one from this process are refused. They
also depend on the processor, through the kernels that its BLAS library chooses; differences
there are told.
"""

import contextlib
import functools
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import scipy

from subbit.conformance.declared import within
from subbit.conformance.models.needs import require
from subbit.conformance.target import Port, resolve
from subbit.reference import __version__
from subbit.reference.errors import ArgumentError, SubbitError

from .crew import Crew, Notice, Task, largest_first
from .kernels import Facts, differences, kernels
from .layer_jobs import LayerAnswer, LayerJob, Refusal, do_job_apart, taken

_PATIENCE = 10.0
"""Seconds for a connection, and between looks at the workers."""
_LARGE_GRAPH = "Sending large graph"


def versions() -> dict[str, str]:
    """Return the versions that have to be equal.

    Returns
    -------
    dict of str to str
        By name.

    Examples
    --------
    >>> sorted(versions())
    ['NumPy', 'SciPy', 'subbit']
    """
    return {"subbit": __version__, "NumPy": np.__version__, "SciPy": scipy.__version__}


@functools.cache
def _port(target: str) -> Port:
    return within(resolve(target))


def look(target: str, entry: str) -> dict[str, Any]:
    """Describe the process of a worker.

    Parameters
    ----------
    target : str
        The port's name.
    entry : str
        A function of the port.

    Returns
    -------
    dict of str to object
        Its versions, its kernels, whether its port has the function, and why not.
    """
    facts: dict[str, Any] = {"versions": versions(), "kernels": kernels(), "error": ""}
    try:
        facts["has"] = hasattr(_port(target), entry)
    except SubbitError as error:
        facts |= {"has": False, "error": str(error)}
    return facts


def quantize_there(job: LayerJob, wanted: Facts) -> LayerAnswer | Refusal:
    """Quantize a linear in the process of a worker.

    Parameters
    ----------
    job : LayerJob
        The job.
    wanted : mapping of str to str
        The versions of the process that asks; a worker may have joined later.

    Returns
    -------
    LayerAnswer or Refusal
        The answer.
    """
    if differ := differences(wanted, versions()):
        return Refusal(f"{job.where}: a worker has {differ}")
    try:
        port = _port(job.target)
    except SubbitError as error:
        return Refusal(f"{job.where}: {error}")
    return do_job_apart(port, job)


class Cluster(Crew):
    """The workers of a running cluster.

    Parameters
    ----------
    address : str
        Address of its scheduler, such as ``"tcp://10.0.0.1:8786"``.
    target : str
        The port's name; every worker looks it up.
    notice : callable
        Called with a sentence about workers that compute with other kernels.

    Raises
    ------
    ArgumentError
        If dask is missing, nothing answers there, or a worker has other versions or several
        threads.
    """

    def __init__(self, address: str, target: str, notice: Notice) -> None:
        self.address, self.target, self.notice = address, target, notice
        self.dask = require("distributed", "scheduler", "cluster")
        self.told: set[str] = set()
        try:
            self.client = self.dask.Client(address, timeout=_PATIENCE, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ArgumentError("scheduler", "the address of a dask scheduler", error) from error
        try:
            self._check_workers()
        except BaseException:
            self._close()
            raise

    def _check_workers(self) -> None:
        try:
            self.client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError as error:
            came = f"none at {self.address} in {_PATIENCE:g} s"
            raise ArgumentError("scheduler", "a cluster with workers", came) from error
        self._look(self._workers(), "", self.notice)

    def _workers(self) -> set[str]:
        """Return the workers there are now."""
        found: dict[str, int] = self.client.nthreads()
        for worker, threads in found.items():
            # The limit on BLAS threads is one for the whole process.
            if threads != 1:
                expected = "workers that do one linear at a time, --nthreads 1"
                raise ArgumentError("scheduler", expected, f"{worker} with {threads} threads")
        return set(found)

    def _look(self, workers: set[str], entry: str, notice: Notice) -> list[dict[str, Any]]:
        """Compare workers with this process."""
        found = self.client.run(
            look, self.target, entry, workers=sorted(workers), on_error="return"
        )
        # Of one that is lost meanwhile, the scheduler says so.
        found = {name: one for name, one in found.items() if not isinstance(one, OSError)}
        for worker, facts in found.items():
            # What a worker raises before this project's own code could: it has none, or another.
            if isinstance(facts, Exception):
                came = f"{worker} with {type(facts).__name__}: {facts}"
                raise ArgumentError("scheduler", "workers that can import subbit", came)
            if differ := differences(versions(), facts["versions"]):
                expected = "workers with the versions of this process"
                raise ArgumentError("scheduler", expected, f"{worker} with {differ}")
            if facts["error"]:
                raise SubbitError(f"{facts['error']} (on {worker})")
            self._tell_kernels(worker, facts["kernels"], notice)
        return list(found.values())

    def _tell_kernels(self, worker: str, found: Facts, notice: Notice) -> None:
        differ = differences(kernels(), found)
        if differ and differ not in self.told:
            self.told.add(differ)
            notice(f"worker {worker} computes with {differ}: last bits may differ")

    def _has(self, entry: str) -> bool:
        return all(facts["has"] for facts in self._look(self._workers(), entry, self.notice))

    def _answers(self, tasks: Sequence[Task], notice: Notice) -> Iterator[tuple[int, LayerAnswer]]:
        waiting, flying = deque(largest_first(tasks)), dict[Any, int]()
        workers = self._workers()
        try:
            while waiting or flying:
                while waiting and len(flying) < max(len(workers), 1):
                    place = waiting.popleft()
                    flying[self._submit(tasks[place].make())] = place
                for future in self._finished(flying):
                    place = flying.pop(future)
                    yield place, self._answer(future, tasks[place].where)
                workers = self._compared(workers, notice)
        finally:
            self._cancel(flying)

    def _submit(self, job: LayerJob) -> Any:  # noqa: ANN401  (dask is optional)
        with warnings.catch_warnings():
            # A job is large, and the scheduler should hold it, to give it to another worker.
            warnings.filterwarnings("ignore", message=_LARGE_GRAPH)
            return self.client.submit(quantize_there, job, versions(), pure=False)

    def _finished(self, flying: Mapping[Any, int]) -> list[Any]:
        with contextlib.suppress(TimeoutError), self.client.as_current():
            return list(self.dask.wait(list(flying), _PATIENCE, "FIRST_COMPLETED").done)
        return []

    def _compared(self, before: set[str], notice: Notice) -> set[str]:
        """Return the workers there are now; compare new ones, and tell which are lost."""
        now = self._workers()
        for worker in sorted(before - now):
            notice(f"worker {worker} is lost; what it was doing is done again by another")
        if now - before:
            self._look(now - before, "", notice)
        if before and not now:
            notice(f"no worker is left at {self.address}; waiting for one")
        return now

    def _answer(self, future: Any, where: str) -> LayerAnswer:  # noqa: ANN401
        try:
            come: LayerAnswer | Refusal = future.result()
        # The errors of dask have no common class: a worker was killed too often, or the scheduler
        # is gone or could not read the job.
        except Exception as error:
            message = f"{where}: the cluster gave no answer ({type(error).__name__}: {error})"
            raise SubbitError(message) from error
        finally:
            future.release()
        return taken(come)

    def _cancel(self, flying: Mapping[Any, int]) -> None:
        if flying and self.client.status == "running":
            self.client.cancel(list(flying))

    def _close(self) -> None:
        self.client.close()
