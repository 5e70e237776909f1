"""Where things are in this repository."""

import ast
import json
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("reference", "fast", "conformance")
T = TypeVar("T")
DEEP = bool(os.environ.get("SUBBIT_DEEP"))
"""Whether everything is asked for, with `make deep`."""
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


# Runs Python so that Ctrl-C ends it, also where the tests were started in the background.
INTERRUPTIBLE_PYTHON = (
    sys.executable,
    "-c",
    """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
""",
)


def with_path(*folders: object) -> dict[str, str]:
    """The environment, with more folders that Python imports from."""
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    path = os.pathsep.join(filter(None, [*map(str, folders), *before]))
    return os.environ | {"PYTHONPATH": path}


def is_test(path: Path) -> bool:
    return path.name.startswith("test_") or path.name == "conftest.py"


def sources(*rooms: str, tests: bool = False) -> list[Path]:
    """Python files of the given rooms, sorted; test modules only on request."""
    files = (p for room in rooms or ROOMS for p in sorted((ROOT / room).rglob("*.py")))
    return [p for p in files if tests or not is_test(p)]


def import_name(path: Path) -> str:
    """`reference/groups/binarize.py` is imported as `subbit.reference.groups.binarize`."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(["subbit", *parts])


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Absolute names of all modules that a file imports, wherever in it."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    module = import_name(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def pages() -> list[Path]:
    """The documents that a person reads."""
    top = (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ERRATA.md", "CHANGELOG.md"))
    docs = (p for p in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in p.parts)
    return [p for p in (*top, *docs) if p.exists()]


def some(cases: Iterable[T], *, every: int = 8) -> list[T]:
    """Return a share of the cases, or all of them for `make deep`."""
    return list(cases)[:: 1 if DEEP else every]


def write_rows(file: Path, rows: Mapping[str, object]) -> None:
    """Write JSON with a line for each key, so that a change shows as one line."""
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    file.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
