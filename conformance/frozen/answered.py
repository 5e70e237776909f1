"""Answers to calls in files
=========================

A port that has answered the calls of a case computes nothing any more: each call has one answer,
whatever is done with it, and a call that was not asked has none.
"""

from collections.abc import Callable, Mapping
from typing import Any

from subbit.conformance.declared import UndeclaredError
from subbit.conformance.programs.arrays import Tensors
from subbit.conformance.programs.calls import read_answer, read_call, read_error, write_error
from subbit.conformance.programs.forms import Codec
from subbit.conformance.programs.process import ProgramEndedError
from subbit.conformance.protocol import PROTOCOL
from subbit.conformance.target import Port
from subbit.reference.notation import AnyArray

from .record import Recorded, key_of_call


class _Own(Tensors):
    """Tensors that are copied as they are read, since a port may write to its arguments."""

    def take(self, form: Mapping[str, Any]) -> AnyArray:
        """Read an array."""
        return super().take(form).copy()


def answer_to(
    port: Port, name: str, arguments: Mapping[str, Any], inputs: Tensors, codec: Codec
) -> dict[str, Any]:
    """Return a port's answer to a call, as files hold it.

    Parameters
    ----------
    port : object
        The port.
    name : str
        The function.
    arguments : mapping
        Forms of its arguments.
    inputs : Tensors
        Arrays of the arguments.
    codec : Codec
        Writes the answer.

    Returns
    -------
    dict
        ``value``, ``error`` or ``not_implemented``.

    Examples
    --------
    >>> from subbit import reference
    >>> answer_to(reference, "pattern_bits", {"keep": 2, "group": 4}, Tensors(), Codec())
    {'value': 3}
    """
    function: Callable[..., Any] | None = getattr(port, name, None)
    if function is None:
        return {"not_implemented": name}
    try:
        given = read_call(name, arguments, Codec(_Own(0, inputs.outside)))
        return {"value": codec.write(function(**given))}
    except NotImplementedError as error:
        return {"not_implemented": str(error)}
    except ProgramEndedError as error:
        return {"error": {"kind": "other", "message": str(error)}}
    # Whatever the port raises is its answer.
    except Exception as error:  # noqa: BLE001
        return {"error": write_error(error)}


def read_answered(name: str, answer: Mapping[str, Any], tensors: Tensors) -> Any:  # noqa: ANN401
    """Return what an answer in files says, or raise what it raises.

    Parameters
    ----------
    name : str
        The function.
    answer : mapping
        ``value``, ``error`` or ``not_implemented``.
    tensors : Tensors
        Its arrays.

    Returns
    -------
    object
        The answer.

    Raises
    ------
    NotImplementedError
        If the function is not implemented.

    Examples
    --------
    >>> read_answered("pattern_bits", {"value": 3}, Tensors())
    3
    """
    if "error" in answer:
        raise read_error(answer["error"])
    if "value" not in answer:
        raise NotImplementedError(answer.get("not_implemented", name))
    return read_answer(name, answer["value"], Codec(tensors))


class Answered:
    """A port that has answered the calls of a recorded case.

    Parameters
    ----------
    port : object
        The port.
    case : Recorded
        The case.
    """

    def __init__(self, port: Port, case: Recorded) -> None:
        codec = Codec(Tensors(0))
        self._answers = {
            call.key: answer_to(port, call.function, call.arguments, case.inputs, codec)
            for call in case.calls
        }
        self._tensors = codec.tensors

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever a port has)
        if name not in PROTOCOL:
            raise AttributeError(name)

        def looked_up(*places: Any, **names: Any) -> Any:  # noqa: ANN401
            found = self._answers.get(key_of_call(name, places, names))
            if found is None:
                raise UndeclaredError(f"the case does not ask {name} for this")
            return read_answered(name, found, self._tensors)

        return looked_up
