"""A kernel, decoded
=================

The instructions of the entry and of the functions it calls, as basic blocks of closures.
A block starts at every label and at every instruction that waits for other lanes, and
ends at every branch. Nothing here depends on a launch, so a program is built once.
"""

from dataclasses import dataclass, field

import numpy as np

from subbit.fast.device.errors import Fault, UnsupportedInstructionError

from . import semantics
from .arguments import signature
from .decode import OPCODES, Decoder, Run, Source, guarded, unsupported
from .machine import Bits, Machine
from .memory import Buffer
from .syntax import Function, Instruction, Module, Negated, Register, Symbol, Variable, Vector
from .windows import GLOBAL_START, GLOBAL_STEP

__all__ = ["Block", "Jump", "Program", "semantics"]

_CONTROL = {"bra", "ret", "exit", "call", "brx"}
_RED_ZONE = 256


@dataclass(slots=True)
class Jump:
    """How a block ends.

    Attributes
    ----------
    kind : str
        "fall", "branch", "exit", "return" or "table".
    targets : tuple of int
        Block numbers; a branch has the one taken and the next.
    source : Source or None
        Predicate of a branch, index of a table, block to return to.
    """

    kind: str
    targets: tuple[int, ...] = ()
    source: Source | None = None


@dataclass(slots=True)
class Block:
    """Instructions that run one after the other.

    Attributes
    ----------
    runs : list of callable
        The closures.
    instructions : list of Instruction
        Their sources, for reports.
    sync : str
        Scope that its first instruction waits for: "block", "warp" or "".
    members : Source or None
        The member mask of a warp sync; None for the whole warp.
    jump : Jump
        Its end.
    """

    runs: list[Run] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    sync: str = ""
    members: Source | None = None
    jump: Jump = field(default_factory=lambda: Jump("exit"))


class Program:
    """A decoded kernel.

    Parameters
    ----------
    module : Module
        The parsed PTX.
    entry : str
        Name of the kernel.

    Raises
    ------
    UnsupportedInstructionError
        If an instruction isn't covered; the message names it.
    """

    def __init__(self, module: Module, entry: str) -> None:
        self.module = module
        self.function = module.functions[entry]
        self.widths: list[int] = []
        self.blocks: list[Block] = []
        self.regions = _module_regions(module)
        self.parameters, self.parameter_size = _parameter_offsets(self.function)
        self.frame = 0
        self.shared_static = 0
        self._shared: list[tuple[int, int]] = []
        self._row = 0
        self._order = _call_order(module, entry)
        self._addresses = self._lay_out()
        self._first: dict[str, int] = {}
        self._return_register: dict[str, int] = {}
        self._build()
        self.granule = _granule(self.blocks)
        self.signature = signature(self.function, self.parameters, module.target)

    def shared_map(self, dynamic: int) -> Bits:
        """Return which bytes of a block's row of shared memory may be used."""
        row = self._row + dynamic
        allowed = np.zeros(-(-(row + _RED_ZONE) // 16) * 16, np.bool_)
        for start, size in self._shared:
            allowed[start : start + size] = True
        allowed[self._row : row] = True
        return allowed

    def _lay_out(self) -> dict[str, dict[str, tuple[str, int]]]:
        """Give every variable its address, function by function."""
        common: dict[str, tuple[str, int]] = {}
        for k, region in enumerate(self.regions):
            common[region.name] = "global", GLOBAL_START + k * GLOBAL_STEP
        shared = [v for v in self.module.variables.values() if v.space == "shared"]
        own: dict[str, dict[str, tuple[str, int]]] = {}
        for function in self._order:
            own[function.name] = {}
            for variable in [*function.variables, *_function_parameters(function)]:
                if variable.space == "shared":
                    self._place_shared(variable, own[function.name])
                else:
                    self._place_local(variable, own[function.name])
        for variable in (v for v in shared if not v.dynamic):
            self._place_shared(variable, common)
        self._row = -(-self._row // _RED_ZONE) * _RED_ZONE
        for variable in (v for v in shared if v.dynamic):
            common[variable.name] = "shared", self._row
        return {name: {**common, **table} for name, table in own.items()}

    def _place_shared(self, variable: Variable, table: dict[str, tuple[str, int]]) -> None:
        # Every variable starts at a multiple of the zone, as a real layout may well do.
        start = -(-self._row // _RED_ZONE) * _RED_ZONE
        table[variable.name] = "shared", start
        self._shared.append((start, variable.size))
        self._row = start + variable.size + _RED_ZONE
        self.shared_static = -(-self.shared_static // variable.align) * variable.align
        self.shared_static += variable.size

    def _place_local(self, variable: Variable, table: dict[str, tuple[str, int]]) -> None:
        start = -(-self.frame // 16) * 16
        table[variable.name] = "local", start
        self.frame = -(-(start + variable.size) // 16) * 16

    def _build(self) -> None:
        """Build the blocks of all functions, the entry's first."""
        plans = []
        for function in self._order:
            offset = len(self.widths)
            self.widths += function.widths
            self._return_register[function.name] = len(self.widths)
            self.widths.append(32)
            parameters = self.parameters if function.entry else {}
            decoder = Decoder(function, offset, self._addresses[function.name], parameters)
            starts = _leaders(function)
            self._first[function.name] = len(self.blocks)
            plans.append((function, decoder, starts, len(self.blocks)))
            self.blocks += [Block() for _ in starts]
        for function, decoder, starts, first in plans:
            number = {at: first + j for j, (at, _) in reversed(list(enumerate(starts)))}
            for k, (begin, skip) in enumerate(starts):
                end = starts[k + 1][0] if k + 1 < len(starts) else len(function.body)
                last = k + 1 == len(starts)
                self._fill(function, decoder, number, first + k, begin, end, skip=skip, last=last)

    def _fill(
        self, function: Function, decoder: Decoder, number: dict[int, int], here: int,
        begin: int, end: int, *, skip: bool, last: bool,
    ) -> None:  # fmt: skip
        """Decode one block; with `skip` it only jumps over a guarded instruction."""
        block = self.blocks[here]
        block.jump = Jump("exit") if last else Jump("fall", (here + 1,))
        if skip:
            guard = function.body[begin].guard
            over = number.get(begin + 1, here + 2)
            block.jump = Jump("branch", (here + 1, over), decoder.source(guard, "pred"))  # type: ignore[arg-type]
            block.instructions.append(function.body[begin])
            block.runs.append(_nothing)
            return
        for ins in function.body[begin:end]:
            if ins.parts[0] in _CONTROL:
                self._end(function, decoder, number, here, ins)
            else:
                self._add(block, decoder, ins)

    @staticmethod
    def _add(block: Block, decoder: Decoder, ins: Instruction) -> None:
        factory = OPCODES.get(ins.parts[0])
        if factory is None:
            raise unsupported(ins)
        run = factory(ins, decoder)
        kind = sync_kind(ins)
        if kind:
            block.sync = kind
            block.members = semantics.members(ins, decoder)
        elif ins.guard is not None:
            run = guarded(run, decoder.source(ins.guard, "pred"))
        block.runs.append(run)
        block.instructions.append(ins)

    def _end(
        self, function: Function, decoder: Decoder, number: dict[int, int], here: int,
        ins: Instruction,
    ) -> None:  # fmt: skip
        block, name = self.blocks[here], ins.parts[0]
        block.instructions.append(ins)
        if name == "call":
            self._call(decoder, here, ins)
            return
        block.runs.append(_nothing)
        if name == "bra":
            target = number[function.labels[_name(ins.operands[0])]]
            if ins.guard is None:
                block.jump = Jump("fall", (target,))
            else:
                source = decoder.source(ins.guard, "pred")
                block.jump = Jump("branch", (target, here + 1), source)
        elif name == "brx":
            labels = function.tables[_name(ins.operands[1])]
            targets = tuple(number[function.labels[label]] for label in labels)
            block.jump = Jump("table", targets, decoder.source(ins.operands[0], "u32"))
        elif name == "ret" and not function.entry:
            back = Register(self._return_register[function.name] - decoder.offset, 32)
            block.jump = Jump("return", (), decoder.source(back, "u32"))
        else:
            block.jump = Jump("exit")

    def _call(self, decoder: Decoder, here: int, ins: Instruction) -> None:
        """Copy the parameters, note the way back, jump; copy the results on return."""
        block = self.blocks[here]
        name, results, arguments = call_parts(ins)
        if name == "__assertfail":
            block.runs.append(_assertion)
            return
        callee = self.module.functions.get(name)
        if callee is None:
            raise unsupported(ins)
        inner = self._addresses[name]
        into = [(decoder.addresses[a][1], inner[p.name][1], p.size)
                for a, p in zip(arguments, callee.parameters, strict=True)]  # fmt: skip
        back = [(inner[p.name][1], decoder.addresses[a][1], p.size)
                for a, p in zip(results, callee.results, strict=True)]  # fmt: skip
        register = self._return_register[name]
        way_back = np.array([here + 1], np.uint32)

        def enter(m: Machine) -> None:
            _copy_frame(m, into)
            m.put(register, way_back)

        block.runs.append(enter)
        block.jump = Jump("fall", (self._first[name],))
        self.blocks[here + 1].runs.insert(0, lambda m: _copy_frame(m, back))
        self.blocks[here + 1].instructions.insert(0, ins)


def _nothing(m: Machine) -> None:
    """Stand for an instruction whose work is the block's jump."""


def _assertion(m: Machine) -> None:
    kind = "assertion"
    raise Fault(kind, "an assert of the kernel failed", int(m.active[0]))


def _copy_frame(m: Machine, copies: list[tuple[int, int, int]]) -> None:
    frame = m.memory.local.data.reshape(m.lanes, -1)
    lanes = m.active
    for start, into, size in copies:
        frame[lanes, into : into + size] = frame[lanes, start : start + size]


def _name(operand: object) -> str:
    if isinstance(operand, Symbol):
        return operand.name
    message = f"indirect jump or call through {operand}"
    raise UnsupportedInstructionError(message)


def call_parts(ins: Instruction) -> tuple[str, list[str], list[str]]:
    """Return a call's function, result variables and argument variables."""
    groups = [op for op in ins.operands if isinstance(op, Vector)]
    names = [op for op in ins.operands if not isinstance(op, Vector)]
    if len(names) != 1:
        raise unsupported(ins)
    first = isinstance(ins.operands[0], Vector)
    results = [_name(p) for p in groups[0].parts] if first else []
    arguments = groups[1:] if first else groups
    return _name(names[0]), results, [_name(p) for p in arguments[0].parts] if arguments else []


def sync_kind(ins: Instruction) -> str:
    """Return what an instruction waits for: "", "block" or "warp"."""
    name = ins.parts[0]
    if name in ("bar", "barrier"):
        return "warp" if "warp" in ins.parts else "block"
    if name in ("shfl", "vote", "match", "redux", "mma", "ldmatrix", "elect"):
        return "warp"
    return ""


def _leaders(function: Function) -> list[tuple[int, bool]]:
    """Return where blocks start; True marks a block that jumps over what follows."""
    starts = {0} | {at for at in function.labels.values() if at < len(function.body)}
    skips = set()
    for at, ins in enumerate(function.body):
        control, sync = ins.parts[0] in _CONTROL, bool(sync_kind(ins))
        if sync:
            starts.add(at)
        if control and at + 1 < len(function.body):
            starts.add(at + 1)
        if isinstance(ins.guard, Register | Negated) and (
            sync or (control and ins.parts[0] != "bra")
        ):
            skips.add(at)
            starts |= {at, at + 1} if at + 1 < len(function.body) else {at}
    return [
        (at, skip) for at in sorted(starts) for skip in ((True, False) if at in skips else (False,))
    ]


def _call_order(module: Module, entry: str) -> list[Function]:
    """Return the entry and what it calls, and refuse recursion."""
    order: list[Function] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            message = f"recursion: call of {name}"
            raise UnsupportedInstructionError(message)
        function = module.functions.get(name)
        if function is None:
            return
        if function not in order:
            order.append(function)
        for ins in function.body:
            if ins.parts[0] == "call":
                visit(call_parts(ins)[0], (*above, name))

    visit(entry, ())
    return order


def _module_regions(module: Module) -> list[Buffer]:
    """Return the module's global and constant variables as memory."""
    kept = [v for v in module.variables.values() if v.space in ("global", "const")]
    return [
        Buffer(np.frombuffer(bytearray(v.data), np.uint8), GLOBAL_START + k * GLOBAL_STEP, v.name,
               writable=v.space == "global")
        for k, v in enumerate(kept)
    ]  # fmt: skip


def _function_parameters(function: Function) -> list[Variable]:
    return [] if function.entry else [*function.parameters, *function.results]


def _parameter_offsets(function: Function) -> tuple[dict[str, int], int]:
    offsets, position = {}, 0
    for parameter in function.parameters:
        position = -(-position // parameter.align) * parameter.align
        offsets[parameter.name] = position
        position += parameter.size
    return offsets, position


def _granule(blocks: list[Block]) -> int:
    """Return the narrowest access in bytes, the grain of the race check."""
    widths = [
        semantics.access_bytes(ins)
        for block in blocks
        for ins in block.instructions
        if ins.parts[0] in semantics.ACCESSES
    ]
    return min([w for w in widths if w], default=4)
