"""Programs as ports
=================

``exec:COMMAND`` names a port that is a program. Its functions take and return what those of the
reference do, and ask the program; :mod:`~subbit.conformance.programs.process` runs it. So cases,
reports and replays know nothing of programs.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from shlex import split
from shutil import which
from typing import Any, TypeAlias

from subbit import reference
from subbit.conformance.protocol import CLASSES, PROTOCOL
from subbit.reference.errors import ArgumentError

from .arrays import INLINE, Tensors
from .calls import METHODS, methods_of, read_answer, read_error, write_call
from .forms import Codec, FormError, Handle
from .process import Process

Places: TypeAlias = tuple[Any, ...]
Names: TypeAlias = Mapping[str, Any]
HELLO = ("type", "protocol", "capabilities", "functions", "inline", "strict_twin")
NOT_ASKED: Mapping[str, str] = {
    "signatures": "a program is called with every argument, by name",
    "defaults": "what a case leaves out, it is given",
    "layouts": "arrays come by rows, without gaps, in one type for each kind of argument",
    "changed arguments": "what it does to its copy cannot be seen",
    "laziness": "half steps come all at once",
}
"""What a program cannot be asked, and why."""


def connect(command: str, seed: int | None = None) -> "Program":
    """Start a program.

    Parameters
    ----------
    command : str
        The program and its arguments, as a shell would split them.
    seed : int, optional
        The case that a strict twin is started for.

    Returns
    -------
    Program
        The port.

    Raises
    ------
    ArgumentError
        If it does not start, or its first message is not a valid hello.
    """
    about = {"specification": reference.SPEC_VERSION, "inline": INLINE}
    return Program(Process(command, about if seed is None else about | {"seed": seed}))


class Program:
    """A port whose functions a program computes.

    Parameters
    ----------
    process : Process
        The program.

    Raises
    ------
    ArgumentError
        If its first message is not a valid hello.
    """

    def __init__(self, process: Process) -> None:
        self.PROCESS, self._calls, hello = process, 0, process.hello
        self.NOT_ASKED = NOT_ASKED
        self._twin: Program | None = None
        try:
            _check_hello(hello)
        except ArgumentError:
            process.close()
            raise
        self.CAPABILITIES = hello.get("capabilities")
        self._inline = hello.get("inline", INLINE)
        self._functions = frozenset(hello.get("functions", PROTOCOL))
        program = which(split(process.command)[0])
        self.__file__ = str(Path(program).resolve()) if program else ""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever a port has)
        if name == "STRICT_TWIN" and "strict_twin" in self.PROCESS.hello:
            return self._strict_twin
        if name not in PROTOCOL or name not in self._functions:
            raise AttributeError(name)
        return _Function(name, self._made if name in CLASSES else self._asked)

    def _strict_twin(self, seed: int) -> tuple["Program", str]:
        if self._twin is not None:
            # Its case is over.
            self._twin.PROCESS.close()
        twin = self.PROCESS.hello["strict_twin"]
        self._twin = connect(f"{self.PROCESS.command} {twin['arguments']}", seed)
        self._twin.PROCESS.limit(self.PROCESS.seconds, self.PROCESS.memory, self.PROCESS.alive)
        return self._twin, twin["how"]

    def _made(self, name: str, places: Places, names: Names) -> Any:  # noqa: ANN401
        made = self._asked(name, places, names)
        if not isinstance(made, Handle):
            raise FormError(f"{name}: expected an object, got {made!r}")
        return _Object(name, made, self._asked)

    def _asked(self, name: str, places: Places, names: Names) -> Any:  # noqa: ANN401
        self._calls += 1
        codec = Codec(Tensors(self._inline))
        call = {"type": "call", "id": self._calls, "function": name}
        call["arguments"] = write_call(name, places, names, codec)
        message = self._with_tensors(call, codec)
        try:
            while (answer := self.PROCESS.ask(message, name))["type"] == "ask":
                message = self._called_back(answer, codec)
            return self._answered(name, answer)
        finally:
            for file in self.PROCESS.folder.glob(f"{self._calls}-*"):
                file.unlink(missing_ok=True)

    def _with_tensors(self, message: dict[str, Any], codec: Codec) -> dict[str, Any]:
        if not codec.tensors.outside:
            return message
        file = f"{self._calls}-{message['type']}.safetensors"
        return message | {"tensors": self.PROCESS.put(file, codec.tensors.outside)}

    def _taken(self, message: Mapping[str, Any]) -> Codec:
        outside = self.PROCESS.take(message["tensors"]) if "tensors" in message else {}
        return Codec(Tensors(self._inline, outside))

    def _called_back(self, asked: Mapping[str, Any], call: Codec) -> dict[str, Any]:
        """Answer a program that calls a function of the caller's."""
        name, given = asked.get("callback"), asked.get("arguments")
        if name not in call.callbacks or not isinstance(given, list):
            known = ", ".join(call.callbacks) or "none"
            raise FormError(f"ask: expected a callback among {known} and arguments, got {name}")
        try:
            value = call.callbacks[name](*self._taken(asked).read(given))
        except BaseException:
            # The program waits for an answer that does not come.
            self.PROCESS.close()
            raise
        codec = Codec(Tensors(self._inline))
        answer = {"type": "answer", "id": self._calls, "value": codec.write(value)}
        return self._with_tensors(answer, codec)

    def _answered(self, name: str, answer: Mapping[str, Any]) -> Any:  # noqa: ANN401
        kind = answer["type"]
        if answer.get("id") != self._calls:
            self.PROCESS.close()
            raise FormError(f"{name}: expected the id {self._calls}, got {answer.get('id')}")
        if kind == "result" and "value" in answer:
            return read_answer(name, answer["value"], self._taken(answer))
        if kind == "not_implemented":
            raise NotImplementedError(answer.get("message", name))
        if kind == "error" and isinstance(answer.get("error"), dict):
            raise read_error(answer["error"])
        raise FormError(f"{name}: expected a result, not_implemented or an error, got {kind}")


class _Function:
    """A function of a program. It has no signature of its own."""

    def __init__(self, name: str, asked: Callable[..., Any]) -> None:
        self.__name__, self._asked = name, asked

    def __call__(self, *places: Any, **names: Any) -> Any:  # noqa: ANN401
        return self._asked(self.__name__, places, names)


class _Object:
    """An object that stays with the program."""

    def __init__(self, kind: str, handle: Handle, asked: Callable[..., Any]) -> None:
        self._kind, self._handle, self._asked = kind, handle, asked

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name not in methods_of(self._kind):
            raise AttributeError(name)
        function = f"{self._kind}.{name}"
        if isinstance(METHODS[function], property):
            return self._asked(function, (self._handle,), {})
        return lambda *places, **names: self._asked(function, (self._handle, *places), names)


def _check_hello(hello: Mapping[str, Any]) -> None:
    for key in hello:
        if key not in HELLO:
            raise ArgumentError("hello", "keys among " + ", ".join(HELLO), repr(key))
    functions = hello.get("functions", [])
    if not isinstance(functions, list):
        raise ArgumentError("hello['functions']", "a list of functions", functions)
    for name in functions:
        if name not in PROTOCOL:
            raise ArgumentError("hello['functions']", "functions of the protocol", repr(name))
    inline = hello.get("inline", INLINE)
    if type(inline) is not int or inline < 0:
        raise ArgumentError("hello['inline']", "bytes, 0 or more", inline)
    twin = hello.get("strict_twin", {"arguments": "", "how": ""})
    if not isinstance(twin, dict) or twin.keys() != {"arguments", "how"}:
        raise ArgumentError("hello['strict_twin']", '"arguments" and "how"', twin)
