"""PTX text to instructions
========================

A recursive split at ``;``, ``{}`` and ``,`` is enough: PTX as NVRTC writes it has one
statement after the other, scopes for inline assembly, and no expressions to speak of.
Registers become numbers here; every other name stays a `Symbol` until the layout of
memory is known.
"""

import re
from collections.abc import Iterator
from pathlib import PurePath

from subbit.fast.device.errors import UnsupportedInstructionError

from .syntax import (
    Address,
    Function,
    Immediate,
    Instruction,
    Module,
    Negated,
    Operand,
    Pair,
    Register,
    Symbol,
    Variable,
    Vector,
    type_bits,
)

_DEEPEST = 50
_BRACKET = re.compile(r"[\[{(]")
_REFUSED = (".explicitcluster", ".reqnctapercluster", ".texref", ".samplerref", ".surfref")


def parse(text: str) -> Module:
    """Parse a PTX text.

    Parameters
    ----------
    text : str
        Output of NVRTC.

    Returns
    -------
    Module
        Its variables and functions.

    Raises
    ------
    UnsupportedInstructionError
        If it holds a feature that the simulated device does not know.
    """
    clean = re.sub(r"/\*.*?\*/", " ", re.sub(r"//[^\n]*", "", text), flags=re.DOTALL)
    clean = re.sub(r"^\s*(\.(?:version|target|address_size|file|loc)\b[^\n;]*)$", r"\1;", clean,
                   flags=re.MULTILINE)  # fmt: skip
    target = re.search(r"\.target\s+(\w+)", clean)
    module = Module(target.group(1) if target else "")
    module.files = dict(re.findall(r'\.file\s+(\d+)\s+"([^"]*)"', clean))
    position = 0
    while position < len(clean):
        position = _top_level(clean, position, module)
    return module


def _top_level(text: str, start: int, module: Module) -> int:
    """Read one declaration or function; return where the next begins."""
    stop = re.compile(r"[;{]").search(text, start)
    if stop is None:
        return len(text)
    head = text[start : stop.start()].strip()
    initialized = "=" in head
    if stop.group() == ";" or initialized:
        end = text.index(";", stop.start())
        _declaration(text[start:end].strip(), module)
        return end + 1
    end = _closing(text, stop.start())
    if head.startswith(".section"):
        return end + 1
    function = _header(head)
    _Body(function, module).read(text[stop.start() + 1 : end])
    module.functions[function.name] = function
    return end + 1


def _closing(text: str, start: int) -> int:
    """Return the place of the brace that closes the one at `start`."""
    depth = 0
    for match in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if match.group() == "{" else -1
        if depth == 0:
            return match.start()
    return len(text)


def _declaration(text: str, module: Module) -> None:
    for word in _REFUSED:
        if word in text:
            raise UnsupportedInstructionError(word)
    if re.search(r"\.(global|const|shared)\b", text) and ".func" not in text:
        variable = _variable(text)
        module.variables[variable.name] = variable


def _variable(text: str) -> Variable:
    """Read ``.space .align 4 .b8 name[16] = {...}``."""
    head, _, values = text.partition("=")
    space = re.search(r"\.(global|const|shared|local|param)\b", head)
    align = re.search(r"\.align\s+(\d+)", head)
    kind = re.findall(r"\.([a-z]+\d+(?:x2)?)\b", head)[0]
    name = re.findall(r"[\w$%]+(?=\s*(?:\[|$))", head.strip())[0]
    counts = re.findall(r"\[(\d*)\]", head)
    width = max(type_bits(kind) // 8, 1)
    length = 1
    for count in counts:
        length *= int(count or 0)
    size = width * length
    data = b"".join(
        _number(v.strip()).value.__and__((1 << 8 * width) - 1).to_bytes(width, "little")
        for v in re.sub(r"[{}]", "", values).split(",")
        if v.strip()
    )
    return Variable(
        name=name,
        space=space.group(1) if space else "reg",
        align=max(int(align.group(1)) if align else 1, width),
        size=size,
        data=data.ljust(size, b"\0"),
        kind=kind,
        dynamic=not size and ".extern" in head,
    )


def _parameters(text: str) -> list[Variable]:
    result = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        pointer = ".ptr" in part
        # ".ptr .align 1" describes what the pointer points to, not the parameter.
        bare = re.sub(r"\.ptr\s*(\.\w+\s+)?(\.align\s+\d+)?", " ", part)
        variable = _variable(bare if ".param" in bare else f".param {bare}")
        variable.pointer = pointer
        result.append(variable)
    return result


def _header(head: str) -> Function:
    for word in _REFUSED:
        if word in head:
            raise UnsupportedInstructionError(word)
    match = re.search(
        r"\.(entry|func)\s*(?:\((?P<results>[^)]*)\))?\s*(?P<name>[\w$]+)\s*"
        r"(?:\((?P<parameters>[^)]*)\))?(?P<rest>.*)$",
        head,
        re.DOTALL,
    )
    if match is None:
        raise UnsupportedInstructionError(head.splitlines()[0])
    function = Function(
        name=match["name"],
        entry=match[1] == "entry",
        parameters=_parameters(match["parameters"] or ""),
        results=_parameters(match["results"] or ""),
    )
    bound = re.search(r"\.(?:maxntid|reqntid)\s+([\d,\s]+)", match["rest"])
    if bound:
        threads = 1
        for n in re.findall(r"\d+", bound.group(1)):
            threads *= int(n)
        function.max_threads = threads
    return function


def _number(text: str) -> Immediate:
    if re.match(r"0[fF][0-9a-fA-F]{8}$", text):
        return Immediate(int("0x" + text[2:], 0), "f32")
    if re.match(r"0[dD][0-9a-fA-F]{16}$", text):
        return Immediate(int("0x" + text[2:], 0), "f64")
    return Immediate(int(text.rstrip("U"), 0), "int")


def split_top(text: str, separator: str = ",") -> Iterator[str]:
    """Yield the parts of `text` between separators that stand outside all brackets.

    Parameters
    ----------
    text : str
        Text to split.
    separator : str
        One character.

    Yields
    ------
    str
        The parts, without spaces around them.

    Examples
    --------
    >>> list(split_top("{a, b}, [c+4]"))
    ['{a, b}', '[c+4]']
    """
    if not _BRACKET.search(text):
        # Most instructions have registers and numbers only.
        yield from (part for part in map(str.strip, text.split(separator)) if part)
        return
    depth, start = 0, 0
    for i, character in enumerate(text):
        if character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
        elif character == separator and depth == 0:
            yield text[start:i].strip()
            start = i + 1
    if text[start:].strip():
        yield text[start:].strip()


class _Body:
    """Reads one function's statements, scope by scope."""

    def __init__(self, function: Function, module: Module) -> None:
        self.function = function
        self.module = module
        self.scopes: list[dict[str, Register | int | str]] = [{}]
        self.file, self.line = "", 0
        self.places: tuple[tuple[str, int, int], ...] = ()
        self.parents: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.unique = 0
        self.known: dict[str, Operand] = {}
        paths = {number: PurePath(name) for number, name in module.files.items()}
        self.names = {number: path.name for number, path in paths.items()}
        self.foreign = {number for number, path in paths.items() if "include" in path.parts}

    def read(self, text: str) -> None:
        """Read the statements of one scope."""
        for end, statement in self._statements(text):
            if end == "{":
                self.scopes.append({})
                self._declare_labels(statement)
                self.read(statement)
                self.scopes.pop()
            else:
                self._statement(statement)

    def _statements(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield (";", statement) and ("{", text of a nested scope) in order."""
        position = 0
        token = re.compile(r"\s*([\w$]+)\s*:(?!:)|\s*\{|\s*[^;{}\s]")
        while (match := token.match(text, position)) is not None:
            if match.group(1):
                yield ":", match.group(1) + ":"
                position = match.end()
            elif match.group().strip() == "{":
                end = _closing(text, match.end() - 1)
                yield "{", text[match.end() : end]
                position = end + 1
            else:
                end = text.find(";", position)
                end = len(text) if end < 0 else end
                yield ";", text[position:end].strip()
                position = end + 1

    def _declare_labels(self, text: str) -> None:
        for name in re.findall(r"(?:^|[;{}\n])\s*([\w$]+)\s*:(?!:)", text):
            self.unique += 1
            self.scopes[-1][name] = f"{name}@{self.unique}"

    def _statement(self, text: str) -> None:
        if not text:
            return
        if text.endswith(":"):
            self.function.labels[self._label(text[:-1])] = len(self.function.body)
        elif re.match(r"\.loc\s", text):
            self._location(text)
        elif text.startswith(".reg"):
            self._registers(text)
        elif text.startswith(".branchtargets"):
            self._table(text)
        elif re.match(r"\.(shared|local|param|const|global)\b", text):
            self._local_variable(text)
        elif not text.startswith("."):
            self.function.body.append(self._instruction(text))
        elif not text.startswith(".pragma"):
            raise UnsupportedInstructionError(text)

    def _table(self, text: str) -> None:
        here = [n for n, at in self.function.labels.items() if at == len(self.function.body)]
        names = tuple(
            self._label(n.strip()) for n in text.removeprefix(".branchtargets").split(",")
        )
        for name in here:
            self.function.tables[name] = names

    def _location(self, text: str) -> None:
        """Set the source line, following code of the toolkit's headers to its caller."""
        here = tuple(text.split(",", maxsplit=1)[0].split()[1:4])
        inlined = re.search(r"inlined_at\s+(\d+)\s+(\d+)\s+(\d+)", text)
        if inlined:
            self.parents[here] = inlined.groups()
        self.places = self._places(here if inlined else None, here)
        steps = 0
        while here[0] in self.foreign and here in self.parents and steps < _DEEPEST:
            here = self.parents[here]
            steps += 1
        if here[0] not in self.foreign:
            self.file = self.names.get(here[0], "")
            self.line = int(here[1])

    def _places(
        self, inlined: tuple[str, ...] | None, here: tuple[str, ...]
    ) -> tuple[tuple[str, int, int], ...]:
        """Return the place itself and, if it is inlined, the calls around it."""
        chain = [here]
        while inlined in self.parents and len(chain) < _DEEPEST:
            inlined = self.parents[inlined]
            chain.append(inlined)
        return tuple(
            (self.names.get(number, ""), int(line), int(column))
            for number, line, column in chain
            if int(line) and number not in self.foreign
        )

    def _registers(self, text: str) -> None:
        kind, names = text.split(None, 2)[1:]
        bits = type_bits(kind.lstrip("."))
        for name in (n.strip() for n in names.split(",")):
            ranged = re.match(r"(.+)<(\d+)>$", name)
            if ranged:
                self.scopes[-1][ranged[1] + "<>"] = bits
            else:
                self.scopes[-1][name] = self._new(bits)

    def _new(self, bits: int) -> Register:
        self.function.widths.append(bits)
        return Register(len(self.function.widths) - 1, bits)

    def _local_variable(self, text: str) -> None:
        variable = _variable(text)
        if len(self.scopes) > 1:
            self.unique += 1
            own = f"{variable.name}@{self.unique}"
            self.scopes[-1][variable.name] = own
            variable.name = own
        self.function.variables.append(variable)

    def _label(self, name: str) -> str:
        found = self._look_up(name)
        return found if isinstance(found, str) else name

    def _look_up(self, name: str) -> Register | int | str | None:
        stem = name.rstrip("0123456789") + "<>"
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
            if stem in scope:
                register = self._new(int(str(scope[stem])))
                scope[name] = register
                return register
        return None

    def _instruction(self, text: str) -> Instruction:
        text = " ".join(text.split())
        guard: Register | Negated | None = None
        rest = text
        if text.startswith("@"):
            word, rest = text.split(None, 1)
            found = self._operand(word[1:])
            if not isinstance(found, Register | Negated):
                raise UnsupportedInstructionError(text)
            guard = found
        name, _, operands = rest.partition(" ")
        try:
            parsed = tuple(self._operand(part) for part in split_top(operands))
        except (UnsupportedInstructionError, ValueError) as error:
            message = f"PTX instruction {name} (line {self.line}): {text}"
            raise UnsupportedInstructionError(message) from error
        return Instruction(
            name, tuple(name.split(".")), parsed, guard, self.file, self.line, text, self.places
        )

    def _operand(self, text: str) -> Operand:
        if text[0] == "[":
            return self._address(text[1:-1].strip())
        if text[0] in "{(":
            return Vector(tuple(self._operand(part) for part in split_top(text[1:-1])))
        if "|" in text:
            first, second = text.split("|")
            return Pair(self._operand(first.strip()), self._operand(second.strip()))
        if len(self.scopes) > 1:
            return self._single(text)
        if text not in self.known:
            self.known[text] = self._single(text)
        return self.known[text]

    def _single(self, text: str) -> Operand:
        if text[0] == "-" or text[0].isdigit():
            return _number(text)
        found = self._look_up(text.lstrip("! "))
        if text[0] == "!" and isinstance(found, Register):
            return Negated(found)
        if isinstance(found, Register):
            return found
        return Symbol(found if isinstance(found, str) else text)

    def _address(self, text: str) -> Address:
        match = re.match(r"([%\w$]+)\s*(?:\+\s*(-?\w+))?$", text)
        if match is None:
            raise UnsupportedInstructionError(text)
        base = self._operand(match[1])
        if not isinstance(base, Register | Immediate | Symbol):
            raise UnsupportedInstructionError(text)
        return Address(base, int(match[2] or "0", 0))
