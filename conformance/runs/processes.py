"""Processes that quantize linears
===============================

Each process has its own port, on one BLAS thread, and does one linear at a time. Processes
start when there is work for them, and stay for the next decoder block. If one ends before its
linear is done, for example for lack of memory, the linear is done again once by a new one.
"""

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from types import MappingProxyType

from subbit.conformance.programs.worker import Allowance, EndedError, Send, Worker
from subbit.conformance.target import Port
from subbit.reference.errors import ArgumentError, SubbitError, check_count

from .crew import Crew, Here, Notice, Task, largest_first
from .layer_jobs import LayerAnswer, LayerJob, Refusal, do_job_apart, taken

ONE_THREAD: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"
    )
)
"""Environment in which a BLAS library starts no threads, whichever it is."""
WORTH_A_PROCESS = 2**20
"""Weights of a decoder block below which starting processes takes longer than the work."""

_UNLIMITED = Allowance(seconds=1e6, memory=2.0**19)
_PATIENCE = 1.0


def available_processors() -> int:
    """Return how many processors this process may use.

    Returns
    -------
    int
        At least 1.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quantize_apart(port: Port, send: Send, job: LayerJob) -> None:
    """Quantize a linear in the process that has the port.

    Parameters
    ----------
    port : object
        The port.
    send : callable
        Sends the answer.
    job : LayerJob
        The job.
    """
    send(do_job_apart(port, job))


class Processes(Crew):
    """Processes on this machine.

    Parameters
    ----------
    target : str
        The port's name; every process looks it up.
    count : int
        The most processes.

    Raises
    ------
    ArgumentError
        If `count` is not at least 1.
    """

    def __init__(self, target: str, count: int) -> None:
        self.target, self.count = target, check_count("workers", count, 1)
        self.busy: dict[Worker, int] = {}
        # The first one starts at once, beside whatever this process does until there is work.
        self.free: list[Worker] = [self._start()]

    def _start(self) -> Worker:
        return Worker(self.target, _UNLIMITED, ONE_THREAD)

    def _has(self, entry: str) -> bool:
        if not self.free:
            self.free.append(self._start())
        return entry not in self.free[0].describe().lacking

    def _answers(self, tasks: Sequence[Task], notice: Notice) -> Iterator[tuple[int, LayerAnswer]]:
        waiting, again = deque(largest_first(tasks)), set[int]()
        try:
            while waiting or self.busy:
                self._hand_out(tasks, waiting)
                wait([worker.line for worker in self.busy], timeout=_PATIENCE)
                for worker, place in list(self.busy.items()):
                    try:
                        come = self._listen(worker)
                    except EndedError as error:
                        self._lost(worker, tasks[place], error, notice, last=place in again)
                        again.add(place)
                        waiting.appendleft(place)
                        continue
                    if come is not None:
                        yield place, taken(come)
        finally:
            self._end_busy()

    def _hand_out(self, tasks: Sequence[Task], waiting: deque[int]) -> None:
        idle = min(self.count - len(self.busy), len(waiting))
        # All of them first: a job is sent when the process reads it, and they start side by side.
        self.free += [self._start() for _ in range(idle - len(self.free))]
        for _ in range(idle):
            worker, place = self.free.pop(), waiting.popleft()
            self.busy[worker] = place
            worker.ask(quantize_apart, tasks[place].make())

    def _listen(self, worker: Worker) -> LayerAnswer | Refusal | None:
        """Take what a process has sent; it is free again afterwards."""
        come = worker.answer()
        if not isinstance(come, tuple):
            return None
        worker.wait()
        del self.busy[worker]
        self.free.append(worker)
        answer: LayerAnswer | Refusal = come[0]
        return answer

    def _lost(
        self, worker: Worker, task: Task, error: EndedError, notice: Notice, *, last: bool
    ) -> None:
        """Forget a process that has ended, and say so."""
        del self.busy[worker]
        worker.close()
        if worker.about is None:
            raise ArgumentError("target", "a port that can be imported", error) from error
        if last:
            hint = f"if memory is short, take fewer --workers than {self.count}"
            message = f"{task.where}: {error}, and the same happened to a second one; {hint}"
            raise SubbitError(message) from error
        notice(f"{task.where}: {error}; the linear is done again in a new process")

    def _end_busy(self) -> None:
        for worker in self.busy:
            worker.close()
        self.busy.clear()

    def _close(self) -> None:
        self._end_busy()
        while self.free:
            self.free.pop().close()


class Machine(Crew):
    """One process or several, whichever a decoder block is worth.

    Parameters
    ----------
    target : str
        The port's name.
    port : object
        The port.
    count : int
        The most processes.
    """

    def __init__(self, target: str, port: Port, count: int) -> None:
        self.here, self.target, self.count = Here(port), target, count
        self.processes: Processes | None = None

    def _has(self, entry: str) -> bool:
        return self.here.has(entry)

    def _answers(self, tasks: Sequence[Task], notice: Notice) -> Iterator[tuple[int, LayerAnswer]]:
        small = sum(task.weights for task in tasks) < WORTH_A_PROCESS
        if small or len(tasks) == 1 or self.count == 1:
            yield from self.here.answers(tasks, notice)
            return
        if self.processes is None:
            self.processes = Processes(self.target, self.count)
        yield from self.processes.answers(tasks, notice)

    def _close(self) -> None:
        if self.processes is not None:
            self.processes.close()
