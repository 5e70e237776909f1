"""From operands to closures
=========================

Everything about an operand that doesn't depend on the launch is decided here, once per
kernel: register number, width, view, constant. At run time only a call is left.
"""

from collections.abc import Callable

import numpy as np

from subbit.fast.device.errors import UnsupportedInstructionError

from .floats import flush
from .known import constants, flushed_registers, is_flushed, writers_of
from .machine import Bits, Machine
from .syntax import (
    Address,
    Function,
    Immediate,
    Instruction,
    Negated,
    Operand,
    Pair,
    Register,
    Symbol,
    Vector,
    type_bits,
)
from .unwritten import unwritten
from .windows import LOCAL_WINDOW, SHARED_WINDOW

Source = Callable[[Machine], Bits]
Target = Callable[[Machine, Bits], None]
Run = Callable[[Machine], None]
Factory = Callable[[Instruction, "Decoder"], Run]

STORAGE = {1: "?", 8: "u1", 16: "u2", 32: "u4", 64: "u8"}
DTYPES = {
    "pred": "?", "b8": "u1", "u8": "u1", "s8": "i1", "b16": "u2", "u16": "u2", "s16": "i2",
    "f16": "u2", "bf16": "u2", "b32": "u4", "u32": "u4", "s32": "i4", "f32": "f4",
    "f16x2": "u4", "bf16x2": "u4", "tf32": "u4", "b64": "u8", "u64": "u8", "s64": "i8",
    "f64": "f8",
}  # fmt: skip
OPCODES: dict[str, Factory] = {}


def opcode(*names: str) -> Callable[[Factory], Factory]:
    """Register a factory for the opcodes of these names."""

    def register(factory: Factory) -> Factory:
        for name in names:
            OPCODES[name] = factory
        return factory

    return register


def unsupported(ins: Instruction) -> UnsupportedInstructionError:
    """Return the error that names an instruction."""
    return UnsupportedInstructionError(f"PTX instruction {ins.name} (line {ins.line}): {ins.text}")


class Decoder:
    """Builds sources and targets from operands.

    Parameters
    ----------
    function : Function
        The function.
    offset : int
        Number of the function's first register in the program.
    addresses : dict
        Space and address of every variable that the function sees.
    parameters : dict
        Offset of every kernel parameter.
    """

    def __init__(
        self,
        function: Function,
        offset: int,
        addresses: dict[str, tuple[str, int]],
        parameters: dict[str, int],
    ) -> None:
        self.offset = offset
        self.addresses = addresses
        self.parameters = parameters
        writers = writers_of(function)
        self.flushed = flushed_registers(writers)
        self.constants = constants(writers)
        self.read: dict[tuple[int, str], Source] = {}

    def source(self, operand: Operand, kind: str) -> Source:
        """Return a closure that reads `operand` as PTX type `kind`."""
        dtype = DTYPES[kind]
        if isinstance(operand, Register):
            known = self.constants.get(operand.index)
            if known is not None and type_bits(kind) <= operand.bits:
                return _constant(immediate(known, kind))
            key = operand.index, dtype
            if key not in self.read:
                self.read[key] = _register(operand.index + self.offset, operand.bits, dtype)
            return self.read[key]
        if isinstance(operand, Negated):
            inner = self.source(operand.register, "pred")
            return lambda m: ~inner(m)
        if isinstance(operand, Immediate):
            return _constant(immediate(operand, kind))
        if isinstance(operand, Symbol):
            return self._symbol(operand.name, dtype)
        message = f"operand {operand} of type .{kind}"
        raise UnsupportedInstructionError(message)

    def flushed_source(self, operand: Operand, kind: str) -> Source:
        """Return a closure that reads a float32 `operand` with subnormals flushed to zero."""
        source = self.source(operand, kind)
        return source if is_flushed(operand, self.flushed) else lambda m: flush(source(m))

    def _symbol(self, name: str, dtype: str) -> Source:
        if name.startswith("%"):
            return _special(name, dtype)
        if name == "WARP_SZ":
            return _constant(np.array([32], dtype))
        if name in self.parameters:
            message = f"address of kernel parameter {name}"
            raise UnsupportedInstructionError(message)
        return _constant(np.array([self.addresses[name][1]], np.uint64).astype(dtype))

    def address(self, operand: Operand, space: str) -> Source:
        """Return a closure that gives the int64 addresses of ``[base + offset]``."""
        if not isinstance(operand, Address):
            message = f"address {operand}"
            raise UnsupportedInstructionError(message)
        base, offset = operand.base, operand.offset
        if isinstance(base, Register):
            return _register_address(base.index + self.offset, base.bits, offset)
        if isinstance(base, Immediate):
            return _constant(np.array([base.value + offset], np.int64))
        own, start = self.addresses[base.name]
        window = {"shared": SHARED_WINDOW, "local": LOCAL_WINDOW}.get(own, 0)
        start += window if space == "generic" else 0
        return _constant(np.array([start + offset], np.int64))

    def target(self, operand: Operand) -> Target:
        """Return a closure that writes a register; narrow values are extended."""
        if isinstance(operand, Symbol) and operand.name == "_":
            return lambda m, value: None
        if isinstance(operand, Pair):
            return self.target(operand.first)
        if not isinstance(operand, Register):
            message = f"destination {operand}"
            raise UnsupportedInstructionError(message)
        index, bits = operand.index + self.offset, operand.bits
        storage = np.dtype(STORAGE[bits])

        def put(m: Machine, value: Bits) -> None:
            if value.dtype != storage:
                if value.dtype.itemsize != storage.itemsize:
                    signed = value.dtype.kind == "i"
                    value = value.astype(f"{'i' if signed else 'u'}{storage.itemsize}")
                value = value.view(storage)
            m.put(index, value)

        return put

    def targets(self, operand: Operand) -> list[Target]:
        """Return the targets of a vector, or the one of a register."""
        if isinstance(operand, Vector):
            return [self.target(part) for part in operand.parts]
        return [self.target(operand)]

    def sources(self, operand: Operand, kind: str) -> list[Source]:
        """Return the sources of a vector, or the one of a register."""
        if isinstance(operand, Vector):
            return [self.source(part, kind) for part in operand.parts]
        return [self.source(operand, kind)]


def immediate(operand: Immediate, kind: str) -> Bits:
    """Return a constant as an array of one element of PTX type `kind`."""
    bits = type_bits(kind)
    if bits == 1:
        return np.array([bool(operand.value)])
    value = operand.value & ((1 << bits) - 1)
    return np.array([value], f"u{bits // 8}").view(DTYPES[kind])


def _constant(value: Bits) -> Source:
    value.setflags(write=False)
    return lambda m: value


def _special(name: str, dtype: str) -> Source:
    def get(m: Machine) -> Bits:
        if name not in m.special:
            raise UnsupportedInstructionError(name)
        value = m.special[name]
        if m.index is not None and len(value) > 1:
            value = value[m.index]
        return value.astype(dtype, copy=False)

    return get


def _register(index: int, bits: int, dtype: str) -> Source:
    wanted, storage = np.dtype(dtype), np.dtype(STORAGE[bits])
    nothing = unwritten(wanted)
    same, narrow = wanted == storage, wanted.itemsize < storage.itemsize
    unsigned = np.dtype(f"u{wanted.itemsize}") if wanted != np.bool_ else wanted

    def get(m: Machine) -> Bits:
        value = m.registers[index]
        if value is None:
            return nothing
        if m.index is not None and len(value) > 1:
            value = value[m.index]
        if same:
            return value
        if narrow:
            value = value.astype(unsigned)
        elif value.dtype.itemsize < wanted.itemsize:
            value = value.astype(f"u{wanted.itemsize}")
        return value.view(wanted)

    return get


def _register_address(index: int, bits: int, offset: int) -> Source:
    nothing = unwritten(np.int64)

    def get(m: Machine) -> Bits:
        value = m.registers[index]
        if value is None:
            return nothing
        if m.index is not None and len(value) > 1:
            value = value[m.index]
        value = value.astype(np.int64) if bits < 64 else value.view(np.int64)
        return value + offset if offset else value

    return get


def unary(d: Decoder, ins: Instruction, kind: str, function: Callable[[Bits], Bits],
          into: Operand | None = None, *, ftz: bool = False) -> Run:  # fmt: skip
    """Return the run of ``dst = function(a)``; with `ftz` its arguments are flushed."""
    put = d.target(into or ins.operands[0])
    source = d.flushed_source if ftz else d.source
    a = source(ins.operands[1], kind)
    return lambda m: put(m, function(a(m)))


def binary(
    d: Decoder, ins: Instruction, kind: str, function: Callable[[Bits, Bits], Bits],
    second: str | None = None, *, ftz: bool = False,
) -> Run:  # fmt: skip
    """Return the run of ``dst = function(a, b)``; `second` is the type of b."""
    put = d.target(ins.operands[0])
    source = d.flushed_source if ftz else d.source
    a, b = source(ins.operands[1], kind), source(ins.operands[2], second or kind)
    return lambda m: put(m, function(a(m), b(m)))


def ternary(
    d: Decoder, ins: Instruction, kind: str, function: Callable[[Bits, Bits, Bits], Bits],
    third: str | None = None, *, ftz: bool = False,
) -> Run:  # fmt: skip
    """Return the run of ``dst = function(a, b, c)``; `third` is the type of c."""
    put = d.target(ins.operands[0])
    source = d.flushed_source if ftz else d.source
    a, b = source(ins.operands[1], kind), source(ins.operands[2], kind)
    c = source(ins.operands[3], third or kind)
    return lambda m: put(m, function(a(m), b(m), c(m)))


def guarded(run: Run, predicate: Source) -> Run:
    """Return `run` for the active lanes whose predicate holds."""

    def conditional(m: Machine) -> None:
        chosen = predicate(m)
        if len(chosen) == 1:
            if chosen[0]:
                run(m)
            return
        mask, count = m.mask, m.count
        part = m.select(chosen)
        number = int(np.count_nonzero(part))
        if number:
            m.set_active(part, number)
            run(m)
            m.set_active(mask, count)

    return conditional
