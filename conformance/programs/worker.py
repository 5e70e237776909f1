"""A process with a port in it
===========================

A port is foreign code: it may exit, crash, never return, or take all memory. So it lives in a
process of its own, which looks it up by its name, does one piece of work at a time, and sends
what it finds as it finds it. Whatever happens to the process, what it has sent is kept, and
:class:`Worker` says how it ended.
"""

import contextlib
import faulthandler
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, TypeAlias

from subbit.conformance.declared import within
from subbit.conformance.programs.process import (
    STARTING,
    data_bytes,
    die_with_parent,
    how_it_ended,
)
from subbit.conformance.protocol import PROTOCOL, missing
from subbit.conformance.target import Port, built_with, capabilities_of, is_program, resolve
from subbit.reference.errors import ArgumentError, SubbitError

GIB = 2**30
_MAIN = """
import sys
sys.path[:] = {path!r}
from subbit.conformance.programs.worker import serve
serve(*{arguments!r})
"""
_LARGEST_GROWTH = 4
"""A process that keeps more than this part of the memory that it may take is replaced."""
_LAST_WORDS = 2.0
"""Seconds that a process which is ended has to write where it was."""
_GRACE = 5.0
"""Seconds after which a process that asks a program has itself stopped."""

Send: TypeAlias = Callable[[object], None]
Work: TypeAlias = Callable[..., None]
"""``work(port, send, *arguments)``, a function of a module, which sends what it finds."""


@dataclass(frozen=True)
class Allowance:
    """What one case may take.

    Parameters
    ----------
    seconds : float, default 300
        Time without an answer.
    memory : float, default 4
        GiB, beyond what the process takes with the port imported.
    """

    seconds: float = 300.0
    memory: float = 4.0

    def __post_init__(self) -> None:
        for name, value in (("--time-limit", self.seconds), ("--memory-limit", self.memory)):
            if not 0 < value < 2**40:
                raise ArgumentError(name, "a number above 0", value)


@dataclass(frozen=True)
class About:
    """What a port says about itself, in the words of a report.

    Parameters
    ----------
    dtype : str
        Type that it computes in.
    stored : mapping of str to str
        Types that it stores in.
    device : str
        Where it computes.
    versions : mapping of str to str
        What it is built with.
    file : str
        Where its source is, if known.
    lacking : frozenset of str
        Functions of the protocol that it does not have.
    not_asked : mapping of str to str
        What it cannot be asked, and why.
    cases : mapping of str to list of int, or None
        Its cases, if it has answered those and no others.
    """

    dtype: str
    stored: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    lacking: frozenset[str] = frozenset()
    not_asked: Mapping[str, str] = field(default_factory=dict)
    cases: Mapping[str, list[int]] | None = None


class EndedError(SubbitError):
    """A process ended before its work was done."""


@dataclass(frozen=True)
class Done:
    """The end of a piece of work.

    Parameters
    ----------
    seconds : float
        Processor time that it took.
    spent : bool
        Whether the process holds so much memory that it should be replaced.
    """

    seconds: float
    spent: bool


class Alive:
    """A sign of life: a program was asked something, and has all its time again."""


def about_port(target: str, port: Port) -> About:
    """Describe a port.

    Parameters
    ----------
    target : str
        The port's name.
    port : object
        The port.

    Returns
    -------
    About
        Its declaration.

    Examples
    --------
    >>> about_port("reference", resolve("reference")).dtype
    'float64'
    """
    declared = capabilities_of(port)
    file = getattr(port, "__file__", None)
    return About(
        declared.arithmetic.dtype,
        dict(declared.arithmetic.stored),
        declared.device,
        dict(built_with(target, port)),
        file if isinstance(file, str) else "",
        frozenset(missing(port, tuple(PROTOCOL))),
        dict(getattr(port, "NOT_ASKED", {})),
        getattr(port, "CASES", None),
    )


def _limit(kind: int, most: int) -> None:
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def _prepare(parent: int, trace: str) -> Any:  # noqa: ANN401  (a file that has to stay open)
    from threadpoolctl import threadpool_limits

    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    _limit(resource.RLIMIT_CORE, 0)
    said = Path(trace).open("w", encoding="utf-8")  # noqa: SIM115
    faulthandler.enable(said, all_threads=False)
    threadpool_limits(1)
    return said


def serve(target: str, descriptor: int, parent: int, limits: tuple[float, int], trace: str) -> None:
    """Look up a port and work on it until the line is closed; the main program of a process.

    Parameters
    ----------
    target : str
        The port's name.
    descriptor : int
        The line to the process that asks.
    parent : int
        That process; this one ends with it.
    limits : tuple of float and int
        Seconds without an answer, and bytes beyond what the process takes with the port imported.
    trace : str
        File for the place of a crash.
    """
    line, (seconds, memory) = Connection(descriptor), limits
    said = _prepare(parent, trace)
    try:
        port = within(resolve(target))
        about = about_port(target, port)
    except ArgumentError as error:
        # As an error that can be sent to another process.
        line.send(SubbitError(str(error)))
        return
    # A program has limits of its own.
    program = getattr(port, "PROCESS", None)
    if program is not None:
        program.limit(seconds, memory, lambda: line.send(Alive()))
    start = data_bytes()
    if start:
        _limit(resource.RLIMIT_DATA, start + memory)
    line.send(about)
    while True:
        try:
            work, arguments = line.recv()
        except EOFError:
            return
        began = time.process_time()
        work(port, lambda item: line.send((item,)), *arguments)
        grown = max(data_bytes() - start, program.grown if program else 0)
        line.send(Done(time.process_time() - began, grown > memory // _LARGEST_GROWTH))
        said.truncate(0)


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back: processes that start inside never receive it.

    Yields
    ------
    None
        To the body.
    """
    # Other threads cannot receive it anyway.
    main = threading.current_thread() is threading.main_thread()
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if main else None
    try:
        yield
    finally:
        if old is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)


class Worker:
    """A process that looks up a port and then works on it.

    Parameters
    ----------
    target : str
        The port's name.
    allowance : Allowance
        What each case may take.
    environment : mapping of str to str, optional
        Variables that its environment has besides those of this process.
    """

    def __init__(
        self, target: str, allowance: Allowance, environment: Mapping[str, str] | None = None
    ) -> None:
        self.target, self.allowance = target, allowance
        self.about: About | None = None
        self._trace = tempfile.NamedTemporaryFile("r", prefix="subbit-", encoding="utf-8")  # noqa: SIM115
        self.line, line = Pipe()
        limits = (allowance.seconds, int(allowance.memory * GIB))
        arguments = (target, line.fileno(), os.getpid(), limits, self._trace.name)
        # The process is killed in the end, and cannot remove what it leaves there.
        self._folder = tempfile.TemporaryDirectory(prefix="subbit-") if is_program(target) else None
        own = dict(environment or {})
        own |= {} if self._folder is None else {"TMPDIR": self._folder.name}
        with interrupts_held():
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-c", _MAIN.format(path=sys.path, arguments=arguments)],
                pass_fds=[line.fileno()],
                env=os.environ | own,
                stdin=subprocess.DEVNULL,
                # What the port prints is not part of the report.
                stdout=2,
            )
        line.close()
        self.since = time.monotonic()

    def ask(self, work: Work, *arguments: object) -> None:
        """Hand over a piece of work; it is begun when the port has been looked up.

        Parameters
        ----------
        work : callable
            The work.
        *arguments : object
            Its arguments.
        """
        self.since = time.monotonic()
        with contextlib.suppress(OSError):
            # A process that has ended says so when it is listened to.
            self.line.send((work, arguments))

    @property
    def left(self) -> float:
        """Seconds until the process has taken too long."""
        most = self.allowance.seconds
        # Importing takes its time, on a busy machine more than a case may.
        most = max(most, STARTING) if self.about is None else most
        most += 0.0 if self._folder is None else _GRACE
        return self.since + most - time.monotonic()

    def answer(self) -> object:
        """Return what has come, if anything.

        Returns
        -------
        tuple, Done or None
            One item in a tuple, the end of the work, or None.

        Raises
        ------
        EndedError
            If the process has ended, or takes too long and was ended.
        SubbitError
            If it could not look up the port.
        """
        try:
            come = self.line.recv() if self.line.poll() else None
        except (EOFError, OSError) as error:
            raise EndedError(self._ending()) from error
        if come is None:
            if self.process.poll() is not None and not self.line.poll():
                raise EndedError(self._ending())
            if self.left <= 0:
                raise EndedError(self._overdue())
            return None
        self.since = time.monotonic()
        if isinstance(come, About):
            self.about = come
            return None
        if isinstance(come, Alive):
            return None
        if isinstance(come, SubbitError):
            raise come
        return come

    def wait(self) -> object:
        """Wait for an answer.

        Returns
        -------
        tuple or Done
            As :meth:`answer`.
        """
        while True:
            self.line.poll(min(max(self.left, 0.0), 1.0))
            if (come := self.answer()) is not None:
                return come

    def describe(self) -> About:
        """Wait until the port has been looked up.

        Returns
        -------
        About
            What it says about itself.

        Raises
        ------
        SubbitError
            If there is no such port, or importing it ends the process.
        """
        while self.about is None:
            self.line.poll(min(max(self.left, 0.0), 1.0))
            try:
                self.answer()
            except EndedError as error:
                raise ArgumentError("target", "a port that can be imported", error) from error
        return self.about

    def items(self, work: Work, *arguments: object) -> Iterator[Any]:
        """Do a piece of work, and iterate over what it sends.

        Parameters
        ----------
        work : callable
            The work.
        *arguments : object
            Its arguments.

        Yields
        ------
        object
            Each item.

        Raises
        ------
        EndedError
            If the process ends before.
        """
        self.ask(work, *arguments)
        while isinstance(come := self.wait(), tuple):
            yield come[0]

    def _place(self) -> str:
        """Return where Python was when the process ended, as far as it could write it."""
        self._trace.seek(0)
        frames = re.findall(r'File "(.*)", line (\d+) in (\S+)', self._trace.read())
        own = [f for f in frames if "ctypes" not in Path(f[0]).name and "/ctypes/" not in f[0]]
        if not own:
            return ""
        file, number, function = own[0]
        return f", in {function} ({Path(file).name}, line {number})"

    def _ended(self) -> int | None:
        """Return the exit code of a process that is about to end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(_LAST_WORDS)
        return None

    def _ending(self) -> str:
        code = self._ended()
        if code is None:
            return "the process closed its connection"
        return f"the process {how_it_ended(code)}{self._place() if code < 0 else ''}"

    def _overdue(self) -> str:
        # faulthandler then writes where it is.
        self.process.send_signal(signal.SIGABRT)
        self._ended()
        return f"the process did not answer in {self.allowance.seconds:g} s{self._place()}"

    def close(self) -> None:
        """End the process immediately."""
        self.process.kill()
        self.process.wait()
        self.line.close()
        self._trace.close()
        if self._folder is not None:
            self._folder.cleanup()
