"""Theorems that a mutant of the reference does not satisfy.

As a port, this module is the reference with one small change, which the environment names, if
any: ``--target proving:PORT``. Theorems are looked for in the files that ask for what the changed
module offers, or for what a module that imports it does.
"""

import os
import re
import subprocess
import sys
from functools import cache

from mutated import Mutation, mutant, mutations

from project import ROOT, import_name, imports, sources, with_path
from subbit import reference

NAMED = "SUBBIT_MUTANT"
THEOREMS = "conformance/theorems"
DEPTH = "quick"
FAILED = re.compile(rf"^(?:FAILED|ERROR) {THEOREMS}/(\S+)", re.MULTILINE)
ONE = 1
"""Exit status of pytest where a test failed."""


def __getattr__(name: str) -> object:
    if name == "PORT":
        key = os.environ.get(NAMED)
        return mutant(next(m for m in mutations() if m.key == key)) if key else reference
    raise AttributeError(name)


@cache
def _importers() -> dict[str, set[str]]:
    """Modules of the reference, by each module that they import."""
    found: dict[str, set[str]] = {}
    for path in sources("reference"):
        if path.name != "__init__.py":
            for name in imports(path):
                found.setdefault(name, set()).add(import_name(path))
    return found


@cache
def _public() -> dict[str, set[str]]:
    """What the reference offers, by the module that defines it."""
    found: dict[str, set[str]] = {}
    for name in dir(reference):
        module = getattr(getattr(reference, name), "__module__", None)
        if isinstance(module, str):
            found.setdefault(module, set()).add(name)
    return found


def files_for(module: str) -> list[str]:
    """Names of the files of theorems that may notice a change, those of the module itself first."""
    seen: list[str] = []
    for names in (_offered({module}), _offered(_importers().get(module, set()))):
        asked = re.compile(rf"\bport\.({'|'.join(map(re.escape, sorted(names)))})\b")
        for path in sorted((ROOT / THEOREMS).glob("test_*.py")) if names else ():
            if path.name not in seen and asked.search(path.read_text(encoding="utf-8")):
                seen.append(path.name)
    return [name for name in seen if name != "test_levels.py"]


def _offered(modules: set[str]) -> set[str]:
    return {name for module in modules for name in _public().get(module, set())}


def theorem_against(mutation: Mutation, tests: list[str], seconds: float) -> str | None:
    """Name the first of some tests that a mutant fails, ``file::test``; None if it passes all.

    A test that the reference itself fails says nothing.
    """
    failed = _failed(mutation.key, tuple(tests), seconds)
    return failed if failed and not _failed("", (failed,), seconds) else None


@cache
def _failed(key: str, tests: tuple[str, ...], seconds: float) -> str | None:
    words = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--tb=no", "-rfE"]
    words += ["-p", "no:cacheprovider", "--target", "proving:PORT", "--depth", DEPTH]
    words += [f"{THEOREMS}/{name}" for name in tests]
    environment = with_path(ROOT / "tests") | {NAMED: key}
    try:
        done = subprocess.run(
            words,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode not in (0, ONE):
        raise RuntimeError(f"{key}: pytest ended with {done.returncode}\n{done.stdout}")
    found = FAILED.search(done.stdout)
    return found[1] if found else None
