"""What a PTX text consists of
==========================

Operands, instructions, variables, functions: the values that `parse` returns.
"""

from dataclasses import dataclass, field

from subbit.fast.device.errors import UnsupportedInstructionError


@dataclass(frozen=True, slots=True)
class Register:
    """A register: its number in the program and its width (1 for predicates)."""

    index: int
    bits: int


@dataclass(frozen=True, slots=True)
class Immediate:
    """A constant; `kind` is "int", or "f32"/"f64" for one written as float bits."""

    value: int
    kind: str


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name that is not a register: variable, label, function or special register."""

    name: str


@dataclass(frozen=True, slots=True)
class Address:
    """``[base + offset]``."""

    base: "Register | Immediate | Symbol"
    offset: int


@dataclass(frozen=True, slots=True)
class Vector:
    """``{a, b, ...}`` and, in calls, ``(a, b, ...)``."""

    parts: "tuple[Operand, ...]"


@dataclass(frozen=True, slots=True)
class Pair:
    """``p|q``."""

    first: "Operand"
    second: "Operand"


@dataclass(frozen=True, slots=True)
class Negated:
    """``!p``."""

    register: Register


Operand = Register | Immediate | Symbol | Address | Vector | Pair | Negated


@dataclass(frozen=True, slots=True)
class Instruction:
    """One PTX instruction.

    Attributes
    ----------
    name : str
        Opcode with its modifiers, as written.
    parts : tuple of str
        The same, split at the dots.
    operands : tuple of Operand
        In the order written.
    guard : Register, Negated or None
        The predicate before it.
    file, line : str and int
        Place in the CUDA source.
    text : str
        As written.
    places : tuple of tuple
        File, line and column, of the source and of every call that it is inlined at, the
        innermost first; without the toolkit's headers.
    """

    name: str
    parts: tuple[str, ...]
    operands: tuple[Operand, ...]
    guard: Register | Negated | None
    file: str
    line: int
    text: str
    places: tuple[tuple[str, int, int], ...] = ()


@dataclass(slots=True)
class Variable:
    """A variable or parameter in one of the state spaces."""

    name: str
    space: str
    align: int
    size: int
    data: bytes = b""
    pointer: bool = False
    kind: str = "b8"
    dynamic: bool = False


@dataclass(slots=True)
class Function:
    """An entry or a device function."""

    name: str
    entry: bool
    parameters: list[Variable]
    results: list[Variable] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)
    body: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    tables: dict[str, tuple[str, ...]] = field(default_factory=dict)
    widths: list[int] = field(default_factory=list)
    max_threads: int = 1024


@dataclass(slots=True)
class Module:
    """Everything in one PTX text."""

    target: str
    variables: dict[str, Variable] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


_SIZES = {
    "pred": 1, "b8": 8, "u8": 8, "s8": 8, "b16": 16, "u16": 16, "s16": 16, "f16": 16,
    "bf16": 16, "b32": 32, "u32": 32, "s32": 32, "f32": 32, "f16x2": 32, "bf16x2": 32,
    "tf32": 32, "b64": 64, "u64": 64, "s64": 64, "f64": 64,
}  # fmt: skip


def type_bits(kind: str) -> int:
    """Return the width of a PTX type in bits.

    Parameters
    ----------
    kind : str
        Such as "f32" or "pred".

    Returns
    -------
    int
        Its width; 1 for a predicate.

    Raises
    ------
    UnsupportedInstructionError
        If it isn't known.

    Examples
    --------
    >>> type_bits("f16x2")
    32
    """
    if kind not in _SIZES:
        message = f"PTX type .{kind}"
        raise UnsupportedInstructionError(message)
    return _SIZES[kind]
