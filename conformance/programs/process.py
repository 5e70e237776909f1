"""Running a program
=================

A program reads messages from its standard input and writes messages to its standard output, one
JSON object on each line. Arrays that are too large for a line are in safetensors files, in a
folder that the first message names.

A program may crash, hang or take all memory. It is then ended, and :class:`ProgramEndedError`
says how; no case catches that, since it ends a case as the end of its process would.
"""

import contextlib
import ctypes
import json
import os
import re
import resource
import select
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from subbit.reference.errors import ArgumentError
from subbit.reference.notation import AnyArray

from .forms import FormError

PROTOCOL_VERSION = 1
STARTING = 120.0
"""Seconds that a program may take to answer the first message, or a process to import a port."""
SECONDS = 300.0
"""Seconds that it may take for any other one, unless limits are set."""
_LAST_WORDS = 2.0
"""Seconds that a program has to end after it has closed its output."""
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_LIBC = ctypes.CDLL(None)
_CHUNK = 2**16
_SHOWN = 80
"""Characters of a line that is no message."""
_NO_NUMBER = re.compile(r"-?(nan|inf)", re.IGNORECASE)
_REALS = 'what JSON has no number for is {"real": "nan"}, "inf" or "-inf"'


class ProgramEndedError(BaseException):
    """A program ended before it answered, or was ended since it took too long."""


def data_bytes(process: int | str = "self") -> int:
    """Return the size of what RLIMIT_DATA limits.

    Parameters
    ----------
    process : int or str, default "self"
        The process.

    Returns
    -------
    int
        Bytes; 0 if that cannot be known.
    """
    with contextlib.suppress(OSError, IndexError):
        pages = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[5]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0


def how_it_ended(code: int) -> str:
    """Describe the end of a process.

    Parameters
    ----------
    code : int
        Its exit code, or minus the number of a signal.

    Returns
    -------
    str
        In words.

    Examples
    --------
    >>> how_it_ended(3), how_it_ended(-11)
    ('exited with code 3', 'was ended by SIGSEGV (Segmentation fault)')
    """
    if code >= 0:
        return f"exited with code {code}"
    return f"was ended by {signal.Signals(-code).name} ({signal.strsignal(-code)})"


def die_with_parent() -> None:
    """Have this process killed when the one that started it ends, where the system can."""
    with contextlib.suppress(AttributeError):
        _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _shown(text: str, place: int = 0) -> str:
    """Return the part of a text that begins a little before a place."""
    start = max(place - _SHOWN // 2, 0)
    stop = start + _SHOWN
    return repr(f"{'…' * (start > 0)}{text[start:stop]}{'…' * (stop < len(text))}")


def _message_in(line: bytes, doing: str) -> Mapping[str, Any]:
    """Read a message, or say what is wrong with the line and where."""
    text = line.decode(errors="replace")
    expected = f"{doing}: expected a message on each line"
    try:
        message = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        # Python reads NaN and the like without a place.
        place = getattr(error, "pos", text.find(str(error)))
        hint = f"; {_REALS}" if _NO_NUMBER.match(text, place) else ""
        at = "" if not place else f", which at character {place + 1} is no JSON"
        raise FormError(f"{expected}, got {_shown(text, place)}{at}{hint}") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise FormError(f"{expected}, an object with a type, got {_shown(text)}")
    return message


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


class Process:
    """A program that runs.

    Parameters
    ----------
    command : str
        The program and its arguments, as a shell would split them.
    hello : mapping
        What the first message says besides.

    Raises
    ------
    ArgumentError
        If there is no such program, or it does not answer the first message with one.
    """

    def __init__(self, command: str, hello: Mapping[str, Any]) -> None:
        self.seconds, self.memory, self.command = SECONDS, 0, command
        self.alive: Callable[[], None] = lambda: None
        self._folder = tempfile.TemporaryDirectory(prefix="subbit-")
        self.folder = Path(self._folder.name)
        self._greeting = {"type": "hello", "protocol": PROTOCOL_VERSION, **hello}
        self._child: subprocess.Popen[bytes] | None = None
        self._came, self._start, self._doing = b"", 0, ""
        self.hello = self._begin()

    def _begin(self) -> Mapping[str, Any]:
        """Start the program and greet it."""
        expected = "a program that can be started and answers hello"
        words = shlex.split(self.command)
        if not words:
            raise ArgumentError("--exec", expected, "nothing")
        try:
            self._child = subprocess.Popen(  # noqa: S603
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                # So that whatever it starts can be ended with it.
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  (one system call)
            )
            os.set_blocking(self._stream("stdin"), False)
            self._came, self._doing = b"", "hello"
            self._send({**self._greeting, "folder": str(self.folder)}, STARTING)
            hello = self._receive(STARTING)
        except (OSError, FormError, ProgramEndedError) as error:
            self.close()
            raise ArgumentError("--exec", expected, f"{self.command!r}: {error}") from error
        said = hello.get("protocol")
        if hello.get("type") != "hello" or said != PROTOCOL_VERSION:
            self.close()
            raise ArgumentError("--exec", f"hello, and protocol {PROTOCOL_VERSION}", hello)
        self._start = data_bytes(self._child.pid)
        self._hold()
        return hello

    def _stream(self, name: str) -> int:
        assert self._child is not None  # noqa: S101  (it was started)
        return int(getattr(self._child, name).fileno())

    def limit(self, seconds: float, memory: int, alive: Callable[[], None]) -> None:
        """Limit what a call may take.

        Parameters
        ----------
        seconds : float
            Time without an answer.
        memory : int
            Bytes beyond what the program takes after the first message.
        alive : callable
            Called at the beginning of each call.
        """
        self.seconds, self.memory, self.alive = seconds, memory, alive
        self._hold()

    def _hold(self) -> None:
        if self.memory and self._start and self._child:
            most = self._start + self.memory
            # Only Linux can limit another process.
            with contextlib.suppress(AttributeError, OSError, ValueError):
                resource.prlimit(self._child.pid, resource.RLIMIT_DATA, (most, most))

    @property
    def running(self) -> bool:
        """Whether it was started and has not been ended."""
        return self._child is not None

    @property
    def grown(self) -> int:
        """Bytes that the program holds beyond what it took after the first message."""
        return data_bytes(self._child.pid) - self._start if self._child else 0

    def ask(self, message: Mapping[str, Any], doing: str) -> Mapping[str, Any]:
        """Send a message and wait for an answer.

        Parameters
        ----------
        message : mapping
            The message.
        doing : str
            What the program is to do, for the sentence that says how it ended.

        Returns
        -------
        mapping
            The answer.

        Raises
        ------
        ProgramEndedError
            If it ends before, or takes too long; the next message starts it again.
        FormError
            If it answers with something else.
        """
        if self._child is None:
            self._begin()
        self._doing = doing
        self.alive()
        try:
            self._send(message, self.seconds)
            return self._receive(self.seconds)
        except (FormError, ProgramEndedError):
            # Whatever it says next would be the answer to an earlier message.
            self.close()
            raise

    def _send(self, message: Mapping[str, Any], seconds: float) -> None:
        line = json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        view, until, stream = memoryview(line), time.monotonic() + seconds, self._stream("stdin")
        while view:
            self._wait([], [stream], until, seconds)
            try:
                view = view[os.write(stream, view[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise ProgramEndedError(self._ending()) from error

    def _receive(self, seconds: float) -> Mapping[str, Any]:
        until, stream = time.monotonic() + seconds, self._stream("stdout")
        while b"\n" not in self._came:
            self._wait([stream], [], until, seconds)
            more = os.read(stream, _CHUNK)
            if not more:
                raise ProgramEndedError(self._ending())
            self._came += more
        line, _, self._came = self._came.partition(b"\n")
        return _message_in(line, self._doing)

    def _wait(self, read: list[int], write: list[int], until: float, seconds: float) -> None:
        left = until - time.monotonic()
        if left <= 0 or not any(select.select(read, write, [], left)):
            said = f"the program did not answer in {seconds:g} s, in {self._doing}"
            raise ProgramEndedError(said)

    def _ending(self) -> str:
        assert self._child is not None  # noqa: S101  (it was started)
        try:
            code = self._child.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            return f"the program closed its output, in {self._doing}"
        return f"the program {how_it_ended(code)}, in {self._doing}"

    def put(self, name: str, tensors: Mapping[str, AnyArray]) -> str:
        """Write arrays for the program.

        Parameters
        ----------
        name : str
            Name of the file.
        tensors : mapping of str to ndarray
            The arrays.

        Returns
        -------
        str
            The name.
        """
        save_file(dict(tensors), self.folder / name)
        return name

    def take(self, name: object) -> dict[str, AnyArray]:
        """Read arrays that the program wrote, and remove their file.

        Parameters
        ----------
        name : str
            Name of the file.

        Returns
        -------
        dict of str to ndarray
            The arrays.

        Raises
        ------
        FormError
            If there is no such file, or it holds none.
        """
        path = self.folder / str(name)
        if not isinstance(name, str) or path.parent != self.folder or not path.is_file():
            raise FormError(f"tensors: expected a file in the folder that hello named, got {name}")
        try:
            return load_file(path)
        except (SafetensorError, OSError, KeyError) as error:
            raise FormError(
                f"tensors: expected a safetensors file, got {name} ({error})"
            ) from error
        finally:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """End the program, and whatever it started."""
        child, self._child = self._child, None
        if child is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()
