"""A port in files
===============

``outputs:DIR`` names a port that has answered the calls of a tree of vectors. It computes
nothing: a call is looked up by what it carries. So its cases are those of the tree, judged as
those of any other port, and what the tree does not hold is not compared.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from safetensors.numpy import save_file

from subbit.conformance.capabilities import in_json
from subbit.conformance.declared import UndeclaredError, within
from subbit.conformance.programs.arrays import Tensors
from subbit.conformance.programs.calls import read_call, write_call
from subbit.conformance.programs.forms import Codec
from subbit.conformance.programs.port import NOT_ASKED
from subbit.conformance.protocol import PROTOCOL
from subbit.conformance.target import Port
from subbit.reference.bounds.rounding import Arithmetic
from subbit.reference.notation import AnyArray

from .answered import answer_to, read_answered
from .record import key_of_call
from .tree import ANSWER_TENSORS, ANSWERS, LIST, PORT, Case, cases_in, dump, read_json

Place: TypeAlias = tuple[Case, int]
"""A case, and the number of a call in it."""
LAST_BITS = 1e-9
"""Relative difference of what processors compute differently."""


def connect(folder: str) -> "Outputs":
    """Return the port that has answered in a folder.

    Parameters
    ----------
    folder : str
        The folder that has ``v1``.

    Returns
    -------
    Outputs
        The port.

    Raises
    ------
    ArgumentError
        If there are no vectors.
    """
    return Outputs(Path(folder))


class Outputs:
    """A port that answers from files.

    Parameters
    ----------
    folder : Path
        The folder that has ``v1``.
    """

    def __init__(self, folder: Path) -> None:
        self.__file__ = str(folder.resolve())
        self.CASES: dict[str, list[int]] = {}
        self._calls: dict[str, Place] = {}
        self._alike: dict[str, list[Place]] = {}
        declared = folder / PORT
        self.CAPABILITIES = read_json(declared) if declared.exists() else None
        dtype, others = (self.CAPABILITIES or {}).get("dtype", Arithmetic().dtype), 0
        for case in cases_in(folder):
            if case.dtype and case.dtype != dtype:
                others += 1
                continue
            self.CASES.setdefault(case.operation, []).append(case.seed)
            for number, call in enumerate(case.content["calls"]):
                self._calls.setdefault(call["key"], (case, number))
                form = _form_of(call["function"], call["arguments"])
                self._alike.setdefault(form, []).append((case, number))
        left_out: Mapping[str, str] = read_json(folder / LIST)["left_out"]
        told = {"other types": f"{others} cases are for ports of another type"} if others else {}
        self.NOT_ASKED = {**NOT_ASKED, **told, **left_out}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever a port has)
        if name not in PROTOCOL:
            raise AttributeError(name)

        def looked_up(*places: Any, **names: Any) -> Any:  # noqa: ANN401
            return self._answer(name, places, names)

        return looked_up

    def _answer(self, name: str, places: tuple[Any, ...], names: Mapping[str, Any]) -> Any:  # noqa: ANN401
        found = self._calls.get(key_of_call(name, places, names)) or self._near(name, places, names)
        if found is None:
            raise UndeclaredError(f"no vector asks {name} for this")
        case, number = found
        if not case.answers:
            raise NotImplementedError(name)
        return read_answered(name, case.answers[number], case.answered)

    def _near(self, name: str, places: tuple[Any, ...], names: Mapping[str, Any]) -> "Place | None":
        """Return a call whose numbers are the same but for last bits, as of another processor."""
        codec = Codec(Tensors(0))
        form = write_call(name, places, names, codec)
        given = list(codec.tensors.outside.values())
        for case, number in self._alike.get(_form_of(name, form), ()):
            other = _Listed(case.inputs)
            read_call(name, case.content["calls"][number]["arguments"], Codec(other))
            if all(map(_same, given, other.arrays)):
                return case, number
        return None


class _Listed(Tensors):
    """Tensors that are listed as they are read."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__(0, tensors.outside)
        self.arrays: list[AnyArray] = []

    def take(self, form: Mapping[str, Any]) -> AnyArray:
        """Read an array."""
        self.arrays.append(super().take(form))
        return self.arrays[-1]


def _form_of(function: str, arguments: Mapping[str, Any]) -> str:
    """Return a call without the numbers of its arrays."""
    text = json.dumps([function, arguments], sort_keys=True)
    return re.sub(r'"tensor": "\w+"', "", text)


def _same(one: AnyArray, other: AnyArray) -> bool:
    if one.dtype.kind != "f":
        return np.array_equal(one, other)
    return np.allclose(one, other, rtol=LAST_BITS, atol=0.0, equal_nan=True)


def answer(port: Port, folder: Path) -> int:
    """Write a port's declaration, and its answers to all calls of a tree.

    Parameters
    ----------
    port : object
        The port.
    folder : Path
        The folder that has ``v1``.

    Returns
    -------
    int
        Number of cases.

    Raises
    ------
    ArgumentError
        If there are no vectors, or JSON cannot hold the declaration.
    """
    declared, number = getattr(port, "CAPABILITIES", None), 0
    if declared is not None:
        (folder / PORT).write_bytes(dump(in_json(declared)))
    for case in cases_in(folder):
        answer_case(within(port), case)
        number += 1
    return number


def answer_case(port: Port, case: Case) -> None:
    """Write a port's answers to the calls of a case.

    Parameters
    ----------
    port : object
        The port.
    case : Case
        The case.
    """
    codec = Codec(Tensors(0))
    answers = [
        answer_to(port, call["function"], call["arguments"], case.inputs, codec)
        for call in case.content["calls"]
    ]
    (case.folder / ANSWERS).write_bytes(dump({"answers": answers}))
    if codec.tensors.outside:
        save_file(codec.tensors.outside, case.folder / ANSWER_TENSORS)
