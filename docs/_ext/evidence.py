"""What stands behind a function of the reference: its bound, its theorems, its kernels.

Everything is read from the sources; nothing is imported.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from pathlib import Path

from project import ROOT

APART = ("reference/bounds/", "reference/contracts/")
ROOMS = ("reference", "fast", "conformance/theorems", "conformance/cases")
Place = tuple[str, str]
"""A file, and a name in it."""
JUDGES = ("bound", "margin", "residual")


@dataclass(frozen=True)
class Behind:
    """What stands behind a function."""

    bounds: list[Place]
    tests: list[Place]
    kernels: list[Place]
    judged: list[Place]
    """What the function itself bounds."""
    through: list[Place] = field(default_factory=list)
    """Public functions that all this is about, where it is not about the function itself."""


def _functions(tree: ast.Module | ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


@dataclass
class Module:
    """Functions of a module, and where the names come from that it imports."""

    file: str
    tree: ast.Module

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef]:
        """Functions by name."""
        return _functions(self.tree)

    @cached_property
    def classes(self) -> list[str]:
        """Names of classes."""
        return [node.name for node in self.tree.body if isinstance(node, ast.ClassDef)]

    @cached_property
    def used(self) -> dict[str, set[str]]:
        """Names and attributes that each function uses, methods included, by qualified name."""
        found = {}
        for owner in (self.tree, *(n for n in self.tree.body if isinstance(n, ast.ClassDef))):
            prefix = f"{owner.name}." if isinstance(owner, ast.ClassDef) else ""
            for name, node in _functions(owner).items():
                inside = [part for statement in node.body for part in ast.walk(statement)]
                names = {part.id for part in inside if isinstance(part, ast.Name)}
                attributes = {f".{n.attr}" for n in inside if isinstance(n, ast.Attribute)}
                found[prefix + name] = names | attributes
        return found

    @cached_property
    def imported(self) -> dict[str, Place]:
        """Local names, and the file and the name that each of them stands for."""
        found = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                home = self._home(node)
                for alias in node.names:
                    found[alias.asname or alias.name] = (f"{home}.py", alias.name)
        return found

    def _home(self, node: ast.ImportFrom) -> str:
        named = (node.module or "").replace(".", "/")
        if not node.level:
            return named.removeprefix("subbit/")
        above = self.file.split("/")[: -node.level]
        return "/".join([*above, named])


@dataclass
class Evidence:
    """An index of the sources.

    Parameters
    ----------
    root : Path
        The repository.
    """

    root: Path
    _read: dict[str, dict[str, Module]] = field(default_factory=dict)
    _reached: dict[Place, list[Place]] = field(default_factory=dict)

    def files(self, room: str) -> list[Path]:
        """List the Python files of a room."""
        return sorted((self.root / room).rglob("*.py"))

    def _modules(self, room: str) -> dict[str, Module]:
        if room in self._read:
            return self._read[room]
        found = self._read[room] = {}
        for path in self.files(room):
            file = path.relative_to(self.root).as_posix()
            found[file] = Module(file, ast.parse(path.read_text(encoding="utf-8")))
        return found

    def module(self, file: str) -> Module:
        """Return a module of whichever room."""
        room = next(room for room in ROOMS if file.startswith(f"{room}/"))
        return self._modules(room)[file]

    @cached_property
    def fast(self) -> dict[str, Module]:
        """The modules that run the same operations on a device."""
        return self._modules("fast")

    @cached_property
    def reference(self) -> dict[str, Module]:
        """The modules of the specification, without its bounds and contracts."""
        return {f: m for f, m in self._modules("reference").items() if not f.startswith(APART)}

    @cached_property
    def bounds(self) -> dict[str, str]:
        """The file of each function that bounds or judges another."""
        modules = [m for f, m in self._modules("reference").items() if "/bounds/" in f]
        return {name: module.file for module in modules for name in module.functions}

    @cached_property
    def public(self) -> dict[str, str]:
        """The file of each public function of the specification."""
        return {
            name: module.file
            for module in self.reference.values()
            for name in module.functions
            if not name.startswith("_")
        }

    @cached_property
    def theorems(self) -> dict[str, list[Place]]:
        """The property tests that ask each function of a port."""
        return self._asking("conformance/theorems", "test_")

    @cached_property
    def cases(self) -> dict[str, list[Place]]:
        """The checks that compare each function of a port with the specification."""
        return self._asking("conformance/cases", "_")

    def _asking(self, room: str, prefix: str) -> dict[str, list[Place]]:
        found: dict[str, list[Place]] = {}
        for module in self._modules(room).values():
            for name, node in module.functions.items():
                if name.startswith(prefix):
                    for asked in sorted(set(_asked(node))):
                        found.setdefault(asked, []).append((module.file, name))
        return found

    def bounds_of(self, function: str) -> list[Place]:
        """Find bounds and margins of a function."""
        leaf = function.rpartition(".")[2]
        names = [f"{leaf}_{kind}" for kind in JUDGES]
        return [(self.bounds[name], name) for name in names if name in self.bounds]

    def behind(self, file: str, function: str) -> Behind:
        """Collect what stands behind a function, or else behind the public ones that use it."""
        own = self._of(file, function)
        if own.tests or own.judged or "/bounds/" in file:
            return own
        users = self.users_of(file, function)
        parts = [own, *(self._of(*user) for user in users)]
        kinds = (field.name for field in fields(Behind) if field.name != "through")
        merged = {k: _once(place for part in parts for place in getattr(part, k)) for k in kinds}
        return Behind(**merged, through=users)

    def _of(self, file: str, function: str) -> Behind:
        twin = (file, function) if file.startswith("fast/") else self.twin_of(file, function)
        kernels = [(f"fast/kernels/{name}", entry) for name, entry in self.kernels_of(twin)]
        leaf, _, kind = function.rpartition("_")
        judged = self.public.get(leaf) if kind in JUDGES else None
        tests = self.theorems.get(function, []) + self.cases.get(function, [])
        judges = [(judged, leaf)] if judged else []
        return Behind(self.bounds_of(function), tests, kernels, judges)

    def users_of(self, file: str, function: str) -> list[Place]:
        """Find the public functions that use one and are tested, the nearest first."""
        found, seen, front = [], {(file, function)}, [(file, function)]
        while front and not found:
            front = _once(user for place in front for user in self._direct(place))
            front = [user for user in front if user not in seen]
            seen.update(front)
            found = [u for u in front if not _is_private(u[1]) and self._of(*u).tests]
        return found

    def _direct(self, place: Place) -> Iterator[Place]:
        """Yield the functions that name one, in its own module or in one that imports it."""
        file, function = place
        modules = self.reference if file in self.reference else self.fast
        owner, _, leaf = function.rpartition(".")
        if owner in modules[file].functions:
            yield file, owner
            return
        for module in modules.values():
            known = module.file == file or (file, function) in module.imported.values()
            wanted = f".{leaf}" if owner else leaf
            for name, used in module.used.items():
                if (known or owner) and wanted in used and (module.file, name) != place:
                    yield module.file, name

    def twin_of(self, file: str, function: str) -> Place | None:
        """Find the function of the same name at the same relative path in `fast/`."""
        other = file.replace("reference/", "fast/", 1)
        module = self.fast.get(other)
        return (other, function) if module and function in module.functions else None

    def kernels_of(self, place: Place | None) -> list[Place]:
        """Find the kernels that a function of `fast/` can launch, by file and entry."""
        if place is None:
            return []
        if place not in self._reached:
            self._reached[place] = sorted(set(self._kernels(place, set())))
        return self._reached[place]

    def _kernels(self, place: Place, seen: set[Place]) -> Iterator[Place]:
        module = self.fast.get(place[0])
        if place in seen or module is None or place[1] not in module.functions:
            return
        seen.add(place)
        for node in ast.walk(module.functions[place[1]]):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "kernel":
                texts = [a.value for a in node.args[:2] if isinstance(a, ast.Constant)]
                if len(texts) == 2:
                    yield str(texts[0]), str(texts[1])
            if isinstance(node, ast.Name):
                here = (module.file, node.id)
                yield from self._kernels(module.imported.get(node.id, here), seen)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                folder, name = module.imported.get(node.value.id, ("", ""))
                there = f"{folder.removesuffix('.py')}/{name}.py"
                yield from self._kernels((there, node.attr), seen)


@cache
def evidence() -> Evidence:
    """Return the index of this repository, which is read once."""
    return Evidence(ROOT)


def _once(places: Iterable[Place]) -> list[Place]:
    """Drop what was there before."""
    return list(dict.fromkeys(places))


def _is_private(name: str) -> bool:
    return any(part.startswith("_") for part in name.split("."))


def _asked(node: ast.FunctionDef) -> Iterator[str]:
    """Names that a test asks of a port."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and getattr(part.value, "id", "") == "port":
            yield part.attr
