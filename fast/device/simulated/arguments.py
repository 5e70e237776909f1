"""Launch arguments, checked as strictly as a type system would
============================================================

CuPy passes what it is given: a Python float becomes eight bytes even where the kernel
wants four, and a wrong count reads beyond the arguments. Here every argument is checked
against the kernel's parameter: pointer or value, integer or float, size in bytes.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from subbit.fast.device.errors import LaunchError

from .machine import Bits
from .memory import Buffer
from .syntax import Address, Function, Register, Symbol, Variable
from .windows import GLOBAL_START, GLOBAL_STEP

_ALIGNMENT = 512


@dataclass(frozen=True, slots=True)
class Parameter:
    """Constraints on a kernel parameter.

    Attributes
    ----------
    offset, size : int
        Place in the argument bytes.
    pointer : bool or None
        None where the PTX does not say.
    kind : str
        "f" or "i" where the PTX says so, else "".
    """

    offset: int
    size: int
    pointer: bool | None
    kind: str


def signature(function: Function, offsets: dict[str, int], target: str) -> list[Parameter]:
    """Return the constraints on the parameters of a kernel.

    Parameters
    ----------
    function : Function
        The entry.
    offsets : dict
        Place of each parameter.
    target : str
        Architecture of the PTX; its compiler marks pointers from sm_100 on.

    Returns
    -------
    list of Parameter
        In order.
    """
    used = _used_as_pointers(function)
    marked = int("".join(filter(str.isdigit, target)) or 0) >= 100
    result = []
    for v in function.parameters:
        pointer: bool | None = v.pointer or v.name in used
        if not pointer and not marked and v.size == 8 and v.kind in ("u64", "b64"):
            pointer = None
        result.append(Parameter(offsets[v.name], v.size, pointer, _kind(v)))
    return result


def _kind(variable: Variable) -> str:
    if variable.kind == "b8" or variable.kind.startswith("b"):
        return ""
    return "f" if variable.kind.startswith("f") else "i"


def _used_as_pointers(function: Function) -> set[str]:
    """Return the parameters whose value becomes an address."""
    holders: dict[Register, str] = {}
    used = set()
    for ins in function.body:
        operands = ins.operands
        if ins.name.startswith("ld.param") and isinstance(operands[0], Register):
            base = operands[1].base if isinstance(operands[1], Address) else None
            if isinstance(base, Symbol):
                holders[operands[0]] = base.name
        elif ins.name.startswith("cvta.to") and operands[1] in holders:
            used.add(holders[operands[1]])
        else:
            for op in operands:
                if isinstance(op, Address) and op.base in holders:
                    used.add(holders[op.base])
    return used


def marshal(
    parameters: Sequence[Parameter], args: Sequence[object], first: int
) -> tuple[bytes, list[Buffer]]:
    """Return the argument bytes and the global memory behind the pointers.

    Parameters
    ----------
    parameters : sequence of Parameter
        Parameters of the kernel.
    args : sequence
        Arrays and NumPy scalars.
    first : int
        Number of the first free slot of global memory.

    Returns
    -------
    bytes
        The arguments, each at its parameter's offset.
    list of Buffer
        One for each array, or for several that overlap.

    Raises
    ------
    LaunchError
        If count, kind or size of an argument is wrong.
    """
    if len(args) != len(parameters):
        message = f"the kernel takes {len(parameters)} arguments, got {len(args)}"
        raise LaunchError(message)
    arrays = {i: a for i, a in enumerate(args) if isinstance(a, np.ndarray)}
    regions, addresses = _map(arrays, first)
    size = max((p.offset + p.size for p in parameters), default=0)
    blob = bytearray(size)
    for i, (parameter, value) in enumerate(zip(parameters, args, strict=True)):
        if i in addresses:
            _check_pointer(i, parameter)
            data = addresses[i].to_bytes(8, "little")
        else:
            data = _value(i, parameter, value)
        blob[parameter.offset : parameter.offset + parameter.size] = data
    return bytes(blob), regions


def _check_pointer(i: int, parameter: Parameter) -> None:
    if parameter.pointer is False or parameter.size != 8:
        message = f"argument {i}: expected a value of {parameter.size} bytes, got an array"
        raise LaunchError(message)


def _value(i: int, parameter: Parameter, value: object) -> bytes:
    """Return a scalar's bytes."""
    wanted = "an array" if parameter.pointer else f"a NumPy scalar of {parameter.size} bytes"
    if not isinstance(value, np.generic):
        message = f"argument {i}: expected {wanted}, got {type(value).__name__}"
        raise LaunchError(message)
    kind = {"f": "f", "i": "i", "u": "i", "b": "i"}.get(value.dtype.kind, "")
    mismatch = parameter.kind and kind and parameter.kind != kind
    if parameter.pointer or value.dtype.itemsize != parameter.size or mismatch:
        names = {"f": "floating-point ", "i": "integer "}
        wanted = wanted.replace("a NumPy", f"a {names.get(parameter.kind, '')}NumPy")
        message = (
            f"argument {i}: expected {wanted}, got {value.dtype} ({value.dtype.itemsize} bytes)"
        )
        raise LaunchError(message)
    return value.tobytes()


def _map(arrays: dict[int, Bits], first: int) -> tuple[list[Buffer], dict[int, int]]:
    """Map the arrays; those that share bytes become one region."""
    spans = []
    for i, array in arrays.items():
        if not array.flags.c_contiguous or array.dtype.hasobject:
            message = f"argument {i}: expected a contiguous array of numbers"
            raise LaunchError(message)
        start = array.__array_interface__["data"][0]
        spans.append((start, start + array.nbytes, i, array))
    spans.sort(key=lambda span: span[:3])
    regions: list[Buffer] = []
    addresses: dict[int, int] = {}
    group: list[tuple[int, int, int, Bits]] = []
    for span in spans:
        if group and span[0] >= max(s[1] for s in group):
            regions.append(_region(group, first + len(regions), addresses))
            group = []
        group.append(span)
    if group:
        regions.append(_region(group, first + len(regions), addresses))
    return regions, addresses


def _region(
    group: list[tuple[int, int, int, Bits]], slot: int, addresses: dict[int, int]
) -> Buffer:
    low, high = min(s[0] for s in group), max(s[1] for s in group)
    # An array that starts inside a bigger one keeps its alignment relative to that.
    skew = (low - _root_start(group[0][3])) % _ALIGNMENT
    base = GLOBAL_START + slot * GLOBAL_STEP + skew
    for start, _, i, _ in group:
        addresses[i] = base + start - low
    data = np.ctypeslib.as_array((ctypes.c_uint8 * (high - low)).from_address(low))
    names = ", ".join(f"argument {s[2]}" for s in group)
    writable = all(s[3].flags.writeable for s in group)
    return Buffer(data, base, names, writable=writable)


def _root_start(array: Bits) -> int:
    root: npt.NDArray[np.generic] = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    start: int = root.__array_interface__["data"][0]
    return start
