"""A port in Python as a program
=============================

``python -m subbit.conformance.programs.serve TARGET`` is a program that computes what a port
does. It answers the same messages as a program in any other language would, and is the shortest
description of them that runs.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from safetensors.numpy import load_file, save_file

from subbit.conformance.capabilities import in_json
from subbit.conformance.programs.arrays import INLINE, Tensors
from subbit.conformance.programs.calls import METHODS, SELF, read_call, write_error
from subbit.conformance.programs.forms import Codec, FormError, Handle
from subbit.conformance.programs.process import PROTOCOL_VERSION
from subbit.conformance.protocol import CLASSES, PROTOCOL
from subbit.conformance.target import Port, resolve

Message = dict[str, Any]


class Server:
    """Answers messages for a port.

    Parameters
    ----------
    port : object
        The port.
    read, write : file
        Where messages come from, and where they go.
    """

    def __init__(self, port: Port, read: IO[str], write: IO[str]) -> None:
        self.port, self._read, self._write = port, read, write
        self._objects: dict[str, Any] = {}
        self._folder, self._inline, self._files = Path(), INLINE, 0

    def run(self) -> None:
        """Answer until the input ends."""
        for line in self._read:
            message = json.loads(line)
            if message["type"] == "hello":
                self._folder, self._inline = Path(message["folder"]), message["inline"]
                self._say(self._hello())
            else:
                self._say(self._answer(message) | {"id": message["id"]})

    def _hello(self) -> Message:
        functions = [name for name in PROTOCOL if hasattr(self.port, name)]
        hello: Message = {"type": "hello", "protocol": PROTOCOL_VERSION, "functions": functions}
        declared = getattr(self.port, "CAPABILITIES", None)
        return hello if declared is None else hello | {"capabilities": in_json(declared)}

    def _say(self, message: Message) -> None:
        self._write.write(json.dumps(message, separators=(",", ":"), allow_nan=False) + "\n")
        self._write.flush()

    def _codec(self, message: Mapping[str, Any]) -> Codec:
        file = message.get("tensors")
        outside = load_file(self._folder / file) if file else {}
        return Codec(Tensors(self._inline, outside), call=self._callback(message["id"]))

    def _written(self, message: Message, value: Any, key: str) -> Message:  # noqa: ANN401
        codec = Codec(Tensors(self._inline))
        message[key] = codec.write(value)
        if codec.tensors.outside:
            self._files += 1
            message["tensors"] = f"answer-{self._files}.safetensors"
            save_file(codec.tensors.outside, self._folder / message["tensors"])
        return message

    def _callback(self, call: int) -> Callable[[str], Callable[..., Any]]:
        """Return functions that ask the suite to call one of its own."""

        def named(name: str) -> Callable[..., Any]:
            def ask(*arguments: Any) -> Any:  # noqa: ANN401
                message = {"type": "ask", "id": call, "callback": name}
                self._say(self._written(message, arguments, "arguments"))
                answer = json.loads(next(self._read))
                return self._codec(answer).read(answer["value"])

            return ask

        return named

    def _answer(self, call: Mapping[str, Any]) -> Message:
        name = call["function"]
        try:
            given = read_call(name, call["arguments"], self._codec(call))
            found = self._called(name, given)
            if isinstance(found, Iterator):
                found = tuple(found)
        except NotImplementedError as error:
            return {"type": "not_implemented", "message": str(error)}
        # Whatever the port raises is its answer.
        except Exception as error:  # noqa: BLE001
            return {"type": "error", "error": write_error(error)}
        return self._written({"type": "result"}, found, "value")

    def _called(self, name: str, given: dict[str, Any]) -> Any:  # noqa: ANN401
        if name in PROTOCOL:
            found = getattr(self.port, name)(**given)
            if name not in CLASSES:
                return found
            handle = Handle(f"o{len(self._objects)}")
            self._objects[handle.name] = found
            return handle
        handle = given.pop(SELF)
        if not isinstance(handle, Handle) or handle.name not in self._objects:
            raise FormError(f"{name}: expected an object that is here, got {handle!r}")
        own, method = self._objects[handle.name], name.partition(".")[2]
        found = getattr(own, method)
        return found if isinstance(METHODS[name], property) else found(**given)


def main() -> None:
    """Serve the port that the first argument names."""
    # What the port prints is no message.
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    Server(resolve(sys.argv[1]), sys.stdin, messages).run()


if __name__ == "__main__":
    main()
