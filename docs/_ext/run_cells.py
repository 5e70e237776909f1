"""Run the cells of a notebook, one after the other, as Jupyter would.

A program: cells come in as a list in JSON, results go out as one. Of Jupyter's own syntax it
knows ``!command`` for this project's commands, perhaps ``| tail -n N``, and ``%%writefile NAME``.
"""

import ast
import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

COMMANDS = {"subbit": "subbit.conformance", "pytest": "pytest"}


def run_command(line: str) -> str:
    """Run a command of a cell, and return what it prints."""
    line, _, last = line.partition(" | tail -n ")
    words, given = shlex.split(line), dict(os.environ)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        before = given.get(name) if name == "PYTHONPATH" else None
        given[name] = os.pathsep.join(filter(None, (value, before)))
    command = [sys.executable, "-m", COMMANDS[words[0]], *words[1:]]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)  # noqa: S603
    if not done.stdout:
        raise RuntimeError(f"{line} printed nothing: {done.stderr}")
    return "".join(done.stdout.splitlines(keepends=True)[-int(last) if last else 0 :])


def run_cell(source: str, names: dict[str, Any]) -> None:
    """Run a cell; what it prints, and the value of its last expression, go to the output."""
    first, _, rest = source.partition("\n")
    if first.startswith("%%writefile "):
        Path(first.split()[1]).write_text(rest + "\n", encoding="utf-8")
        sys.stdout.write(f"Writing {first.split()[1]}\n")
        return
    if first.startswith("!"):
        for line in source.splitlines():
            sys.stdout.write(run_command(line.removeprefix("!")))
        return
    tree = ast.parse(source)
    last = tree.body[-1] if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    if last:
        tree.body.pop()
    exec(compile(tree, "<cell>", "exec"), names)  # noqa: S102
    value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names) if last else None  # noqa: S307
    if value is not None:
        sys.stdout.write(f"{value!r}\n")


def run(cells: list[str]) -> list[dict[str, str]]:
    """Run cells up to the first that fails."""
    names: dict[str, Any] = {"__name__": "__main__"}
    found = []
    for source in cells:
        said = io.StringIO()
        failed = ""
        with contextlib.redirect_stdout(said):
            try:
                run_cell(source, names)
            except Exception:  # noqa: BLE001 - a cell may raise anything
                failed = traceback.format_exc()
        found.append({"output": said.getvalue(), "failed": failed})
        if failed:
            break
    return found


if __name__ == "__main__":
    # Modules that cells write are imported from here.
    sys.path.insert(0, "")
    json.dump(run(json.load(sys.stdin)), sys.stdout)
