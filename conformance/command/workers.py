"""Processes that judge cases
==========================

Cases of an operation are judged one after another in one process; several operations at a
time, in as many processes as there are jobs. If a case ends its process, or takes too long or
too much memory, it has failed, and the operation's other cases are left out; the rest goes on
in a new process. So the findings are the same for any number of processes.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from typing import Self, TypeAlias

from subbit.conformance.cases import OPERATIONS, Outcome
from subbit.conformance.cases.judge import Judge
from subbit.conformance.programs.process import ProgramEndedError
from subbit.conformance.programs.worker import About, Allowance, Done, EndedError, Send, Worker
from subbit.conformance.target import Port, arithmetic_of
from subbit.reference.bounds.rounding import Arithmetic

Batch: TypeAlias = tuple[str, list[int]]


@dataclass
class Judged:
    """Outcomes of some cases of an operation.

    Parameters
    ----------
    operation : str
        The operation.
    seeds : list of int
        The cases.
    outcomes : list of Outcome
        What became of them, in their order.
    seconds : float
        Processor time.
    ended : bool
        Whether the last outcome is that of a case which ended its process.
    """

    operation: str
    seeds: list[int]
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    ended: bool = False

    @property
    def left_out(self) -> list[int]:
        """Cases that were not run, since an earlier one ended the process."""
        return self.seeds[len(self.outcomes) :] if self.ended else []


def judge_case(
    port: Port, arithmetic: Arithmetic, name: str, seed: int, judge: Judge | None = None
) -> Outcome:
    """Judge one case, whatever the port raises.

    Parameters
    ----------
    port : object
        The port.
    arithmetic : Arithmetic
        How it computes.
    name : str
        The operation.
    seed : int
        The case.
    judge : Judge, optional
        A judge that keeps what it compares.

    Returns
    -------
    Outcome
        Its outcome.
    """
    try:
        return OPERATIONS[name].check(port, arithmetic, seed, judge)
    except ProgramEndedError as error:
        return replace(failed(name, seed, str(error)), ended=True)
    # This process is never interrupted: whatever comes here, the port raised it.
    except BaseException as error:  # noqa: BLE001
        return failed(name, seed, f"raised {type(error).__name__}: {error}")


def failed(name: str, seed: int, said: str) -> Outcome:
    """Return the outcome of a case that gave no answer.

    Parameters
    ----------
    name : str
        The operation.
    seed : int
        The case.
    said : str
        What happened.

    Returns
    -------
    Outcome
        A failure.
    """
    return Outcome(name, seed, "failed", math.inf, f"{name}:{seed}: {said}")


def said_of(judged: Judged, outcome: Outcome) -> str:
    """Return what an outcome says, and whether other cases are left out for it.

    Parameters
    ----------
    judged : Judged
        Outcomes of cases.
    outcome : Outcome
        One of them.

    Returns
    -------
    str
        The message.
    """
    if judged.ended and outcome is judged.outcomes[-1]:
        return f"{outcome.message}; other cases of the operation are left out"
    return outcome.message


def judge_cases(port: Port, send: Send, name: str, seeds: list[int]) -> None:
    """Judge cases of an operation, in the process that has the port.

    Parameters
    ----------
    port : object
        The port.
    send : callable
        Sends each outcome.
    name : str
        The operation.
    seeds : list of int
        The cases.
    """
    arithmetic = arithmetic_of(port)
    for seed in seeds:
        outcome = judge_case(port, arithmetic, name, seed)
        send(outcome)
        if outcome.ended:
            # As if it had ended this process; the next call starts the program again.
            return


class Workers:
    """Processes that judge cases of a target.

    Parameters
    ----------
    target : str
        The port's name; every process looks it up.
    jobs : int
        Number of processes.
    allowance : Allowance, optional
        What each case may take.
    heard : callable, optional
        Called with each outcome as it comes, in any order.

    Raises
    ------
    SubbitError
        If there is no such port, or its process ends while importing it.
    """

    def __init__(
        self,
        target: str,
        jobs: int,
        allowance: Allowance | None = None,
        heard: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        self.target, self.jobs, self.heard = target, jobs, heard
        self.allowance = allowance or Allowance()
        self.waiting: deque[Batch] = deque()
        self.busy: dict[Worker, Judged] = {}
        self.free: list[Worker] = [Worker(target, self.allowance)]
        try:
            self.about: About = self.free[0].describe()
        except BaseException:
            self.close()
            raise

    @property
    def pending(self) -> int:
        """Number of batches that are not finished."""
        return len(self.waiting) + len(self.busy)

    def submit(self, batch: Batch) -> None:
        """Submit a batch to be judged.

        Parameters
        ----------
        batch : tuple
            An operation, and seeds.
        """
        self.waiting.append(batch)
        self._hand_out()

    def _hand_out(self) -> None:
        while self.waiting and (self.free or len(self.busy) < self.jobs):
            worker = self.free.pop() if self.free else Worker(self.target, self.allowance)
            name, seeds = self.waiting.popleft()
            self.busy[worker] = Judged(name, seeds)
            worker.ask(judge_cases, name, seeds)

    def results(self) -> list[Judged]:
        """Wait for some batches.

        Returns
        -------
        list of Judged
            Batches that are finished, at least one.
        """
        found: list[Judged] = []
        while self.busy and not found:
            lines = {worker.line: worker for worker in self.busy}
            patience = min(1.0, *(worker.left for worker in self.busy))
            wait(list(lines), timeout=max(patience, 0.0))
            found = [judged for worker in lines.values() if (judged := self._listen(worker))]
        self._hand_out()
        return found

    def _listen(self, worker: Worker) -> Judged | None:
        """Take what a process has sent; return its batch if it is finished."""
        judged = self.busy[worker]
        try:
            while (come := worker.answer()) is not None:
                if isinstance(come, Done):
                    judged.seconds = come.seconds
                    judged.ended = any(one.ended for one in judged.outcomes[-1:])
                    self._release(worker, spent=come.spent)
                    return judged
                self._hear(judged, come)
        except EndedError as error:
            if worker.about is None:
                raise
            judged.ended = True
            # After the last answer it is the last case that did it.
            del judged.outcomes[len(judged.seeds) - 1 :]
            seed = judged.seeds[len(judged.outcomes)]
            self._hear(judged, (failed(judged.operation, seed, str(error)),))
            self._release(worker, spent=True)
            return judged
        return None

    def _hear(self, judged: Judged, come: object) -> None:
        if isinstance(come, tuple):
            outcome: Outcome = come[0]
            if outcome.status == "failed" and "raised MemoryError" in outcome.message:
                said = f"{outcome.message} (--memory-limit {self.allowance.memory:g} GiB)"
                outcome = replace(outcome, message=said)
            judged.outcomes.append(outcome)
            self.heard(outcome)

    def _release(self, worker: Worker, *, spent: bool) -> None:
        del self.busy[worker]
        if spent:
            worker.close()
        else:
            self.free.append(worker)

    def judge(self, name: str, seeds: list[int]) -> Judged:
        """Judge cases of an operation and wait for them.

        Parameters
        ----------
        name : str
            The operation.
        seeds : list of int
            The cases.

        Returns
        -------
        Judged
            Their outcomes.
        """
        self.submit((name, seeds))
        (judged,) = self.results()
        return judged

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes immediately."""
        for worker in (*self.busy, *self.free):
            worker.close()
        self.busy.clear()
        self.free.clear()
        self.waiting.clear()
