"""What a port may implement
=========================

The functions of :mod:`subbit.reference`, under their names and with their parameters. Each
belongs to the level that judges its results; all of them also belong to level 0, which
checks names, signatures, types and refusals.

===== =========================================================== ====================
level content                                                     compared by
===== =========================================================== ====================
0     names, signatures, dtypes, errors on bad input              exact
1     signs, masks, rankings, block slices, codes, counts of bits exact
2     single equations and searches                               bound, margin
3     whole layers, from the states left by their own blocks      bound, margin, slack
===== =========================================================== ====================
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from subbit import reference
from subbit.conformance.target import Port
from subbit.reference.contracts.door import Contract

LEVELS = (0, 1, 2, 3)
CLASSES = frozenset({"HessianAccumulator"})


@dataclass(frozen=True)
class Function:
    """A function of the protocol.

    Parameters
    ----------
    name : str
        Its name.
    level : int
        The level that judges its results.
    family : str
        The module of the reference that specifies it.
    signature : inspect.Signature
        Its parameters, those of the reference.
    summary : str
        Its purpose, in one line.
    contract : Contract
        Its arguments.
    records : bool
        Whether it returns a record: groups, blocks or layers.
    """

    name: str
    level: int
    family: str
    signature: inspect.Signature
    summary: str
    contract: Contract
    records: bool


RECORDS = ("BinaryGroup", "QuantizedBlock", "QuantizedLayer")


def _function(name: str) -> Function:
    value: Any = getattr(reference, name)
    contract = value.__init__.contract if name in CLASSES else value.contract
    family = value.__module__.removeprefix(f"{reference.__name__}.")
    summary = (inspect.getdoc(value) or "").partition("\n")[0]
    signature = inspect.signature(value)
    answer = str(inspect.signature(contract.function).return_annotation)
    records = any(record in answer for record in RECORDS)
    return Function(name, contract.level, family, signature, summary, contract, records)


PROTOCOL: Mapping[str, Function] = MappingProxyType(
    {
        name: _function(name)
        for name in sorted(reference.__all__)
        if inspect.isfunction(getattr(reference, name)) or name in CLASSES
    }
)
"""Functions by name. Configurations and records are the reference's own classes."""


def missing(port: Port, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the functions that a port lacks.

    Parameters
    ----------
    port : object
        The port.
    names : tuple of str
        Functions to look for.

    Returns
    -------
    tuple of str
        Those that are not attributes of it.

    Examples
    --------
    >>> missing(reference, ("sign", "billm_layer"))
    ()
    """
    return tuple(name for name in names if not hasattr(port, name))


def differences(port: Port, name: str) -> list[str]:
    """Return how a port's signature differs from the reference's.

    Parameters
    ----------
    port : object
        The port.
    name : str
        A function of the protocol.

    Returns
    -------
    list of str
        A sentence for each parameter that is missing, cannot be passed in the same way or
        has a different default. Further parameters must have defaults.

    Examples
    --------
    >>> differences(reference, "sign")
    []
    """
    wanted = PROTOCOL[name].signature.parameters
    try:
        found = inspect.signature(getattr(port, name)).parameters
    except ValueError:
        # Compiled functions need not have a signature; calls will tell.
        return []
    if any(p.kind is p.VAR_KEYWORD for p in found.values()):
        return []
    said = [f"no parameter {parameter}" for parameter in wanted if parameter not in found]
    for parameter, own in found.items():
        if parameter in wanted:
            said += _parameter(own, wanted[parameter])
        elif own.default is own.empty and own.kind is not own.VAR_POSITIONAL:
            said.append(f"a further parameter {parameter} without a default")
    return said


def _parameter(own: inspect.Parameter, wanted: inspect.Parameter) -> list[str]:
    if wanted.kind is not wanted.KEYWORD_ONLY and own.kind is own.KEYWORD_ONLY:
        return [f"{own.name} cannot be given by its place"]
    if own.kind is own.POSITIONAL_ONLY:
        return [f"{own.name} cannot be given by its name"]
    if wanted.default is wanted.empty or own.default == wanted.default:
        return []
    return [f"{own.name} has the default {own.default!r}, not {wanted.default!r}"]
