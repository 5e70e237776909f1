"""Processes that judge cases
==========================

A port is foreign code: it may exit, crash, or never return. So cases are judged in separate
processes. A process that dies, or is ended because a case takes longer than :data:`LIMIT`,
is replaced, and the cases that may have killed it are judged again, one at a time, until one
does so again: that case has failed.
"""

import contextlib
import ctypes
import faulthandler
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from subbit.conformance.cases import OPERATIONS, Outcome
from subbit.conformance.target import Port, arithmetic_of, resolve
from subbit.reference.errors import ArgumentError, SubbitError

from .explored import Failure, Tally

LIMIT = 300.0
"""Seconds after which a case counts as one that never ends."""
Batch = tuple[str, list[int]]
Judged = tuple[str, Tally, list[Failure]]
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG

# The port of this process, looked up once, when the process starts.
_PORT: list[Port | SubbitError] = []


def _start(target: str, parent: int) -> None:
    from threadpoolctl import threadpool_limits

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    threadpool_limits(1)
    try:
        _PORT.append(resolve(target))
    except ArgumentError as error:
        # As an error that can be sent to another process.
        _PORT.append(SubbitError(str(error)))


def _case(name: str, seed: int, port: Port) -> Outcome:
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123  (no path)
        faulthandler.dump_traceback_later(LIMIT, exit=True, file=nowhere)
        try:
            return OPERATIONS[name].check(port, arithmetic_of(port), seed)
        except KeyboardInterrupt:
            # This process is never interrupted: the port raised it.
            return Outcome(name, seed, "failed", float("inf"), f"{name}: raised KeyboardInterrupt")
        finally:
            faulthandler.cancel_dump_traceback_later()


def _judge(name: str, seeds: list[int]) -> Judged:
    port, began = _PORT[0], time.process_time()
    if isinstance(port, SubbitError):
        raise port
    outcomes = [_case(name, seed, port) for seed in seeds]
    tally = Tally(
        cases=len(outcomes),
        missing=sum(outcome.status == "missing" for outcome in outcomes),
        compared=sum(outcome.compared for outcome in outcomes),
        unbounded=sum(outcome.unbounded for outcome in outcomes),
        worst=max((outcome.ratio for outcome in outcomes), default=0.0),
        seconds=time.process_time() - began,
    )
    failed = (outcome for outcome in outcomes if outcome.status == "failed")
    return name, tally, [Failure(name, outcome.seed, outcome.message) for outcome in failed]


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    # Processes that start here never receive Ctrl-C; this one does afterwards.
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


class Workers:
    """Processes that judge cases of a target.

    Parameters
    ----------
    target : str
        The port's name; every process looks it up.
    jobs : int
        Number of processes.
    """

    def __init__(self, target: str, jobs: int) -> None:
        self.target, self.jobs = target, jobs
        self.running: dict[Future[Judged], Batch] = {}
        self.ended: set[str] = set()
        self.pool = self._pool(jobs)

    def _pool(self, jobs: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            jobs, get_context("spawn"), initializer=_start, initargs=(self.target, os.getpid())
        )

    def submit(self, batch: Batch) -> None:
        """Submit a batch to be judged.

        Parameters
        ----------
        batch : tuple
            An operation, and seeds.
        """
        with _interrupts_held():
            self.running[self.pool.submit(_judge, *batch)] = batch

    def results(self) -> list[Judged]:
        """Wait for some batches.

        Returns
        -------
        list of tuple
            An operation, the tally of its cases, and those that failed; if a case ended its
            process, its batch up to that case.
        """
        done, _ = wait(self.running, return_when=FIRST_COMPLETED)
        try:
            found = [future.result() for future in done]
        except BrokenProcessPool:
            found = [future.result() for future in done if future.exception() is None]
            lost = [batch for future, batch in self.running.items() if future.exception(LIMIT)]
            self.running.clear()
            self.close()
            self.pool = self._pool(self.jobs)
            return found + [part for batch in lost for part in self._alone(*batch)]
        for future in done:
            del self.running[future]
        return found

    def _alone(self, name: str, seeds: list[int]) -> Iterator[Judged]:
        pool = self._pool(1)
        try:
            for seed in seeds:
                with _interrupts_held():
                    future = pool.submit(_judge, name, [seed])
                try:
                    yield future.result()
                except BrokenProcessPool:
                    self.ended.add(name)
                    message = (
                        f"{name}: the process ended, or did not answer in {LIMIT:g} s; "
                        "other cases of the operation are left out"
                    )
                    yield name, Tally(cases=1, worst=float("inf")), [Failure(name, seed, message)]
                    return
        finally:
            _end(pool)

    def close(self) -> None:
        """End all processes immediately."""
        _end(self.pool)


def _end(pool: ProcessPoolExecutor) -> None:
    processes: Any = pool._processes or {}  # noqa: SLF001  (public from 3.14 on)
    for process in list(processes.values()):
        process.kill()
    pool.shutdown(wait=True, cancel_futures=True)
