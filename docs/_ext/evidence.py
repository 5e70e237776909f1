"""What stands behind a function of the reference: its bound, its theorems, its twin, its kernels.

Everything is read from the sources; nothing is imported.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

Place = tuple[str, str]
"""A file, and a name in it."""


def _functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
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
    _reached: dict[Place, list[Place]] = field(default_factory=dict)

    def files(self, room: str) -> list[Path]:
        """List the Python files of a room."""
        return sorted((self.root / room).rglob("*.py"))

    def _modules(self, room: str) -> dict[str, Module]:
        found = {}
        for path in self.files(room):
            file = path.relative_to(self.root).as_posix()
            found[file] = Module(file, ast.parse(path.read_text(encoding="utf-8")))
        return found

    @cached_property
    def fast(self) -> dict[str, Module]:
        """The modules that run the same operations on a device."""
        return self._modules("fast")

    @cached_property
    def bounds(self) -> dict[str, str]:
        """The file of each function that bounds or judges another."""
        modules = self._modules("reference/bounds").values()
        return {name: module.file for module in modules for name in module.functions}

    @cached_property
    def theorems(self) -> dict[str, list[Place]]:
        """The property tests that ask each function of a port."""
        found: dict[str, list[Place]] = {}
        for module in self._modules("conformance/theorems").values():
            for name, node in module.functions.items():
                if name.startswith("test_"):
                    for asked in sorted(set(_asked(node))):
                        found.setdefault(asked, []).append((module.file, name))
        return found

    def bounds_of(self, function: str) -> list[Place]:
        """Find bounds and margins of a function."""
        leaf = function.rpartition(".")[2]
        names = [f"{leaf}_{kind}" for kind in ("bound", "margin", "residual")]
        return [(self.bounds[name], name) for name in names if name in self.bounds]

    def twin_of(self, file: str, function: str) -> Place | None:
        """Find the function of the same name at the same relative path in `fast/`."""
        other = file.replace("reference/", "fast/", 1)
        module = self.fast.get(other)
        return (other, function) if module and function in module.functions else None

    def kernels_of(self, place: Place) -> list[Place]:
        """Find the kernels that a function of `fast/` can launch, by file and entry."""
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


def _asked(node: ast.FunctionDef) -> Iterator[str]:
    """Names that a test asks of a port."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and getattr(part.value, "id", "") == "port":
            yield part.attr
