"""The check command
=================

``subbit check TARGET`` runs the property suite against a port; with ``--released DIR`` it
compares the port with what the authors' code computed. Exit codes: 0 the port conforms,
1 it diverges somewhere, 2 nothing could be compared.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import hypothesis
import pytest
import typer
from rich.console import Console
from rich.table import Table

from subbit.conformance.console import make_console, refusals
from subbit.conformance.released import Comparison, compare_folder
from subbit.conformance.target import Port, resolve
from subbit.reference.errors import ArgumentError

CONFORMS, DIVERGES = 0, 1
SUITE = [Path(__file__).parent]
"""What ``pytest`` runs; the options are declared beside it."""
_DEPTHS = ("quick", "ci", "long")
_RESULT = {True: "[green]conforms[/]", False: "[bold red]diverges[/]", None: "[dim]-[/]"}


@dataclass
class Operation:
    """What the suite found out about one family of operations.

    Parameters
    ----------
    operation : str
        Its name: the test file's, without prefix.
    passed, failed, skipped : int
        Numbers of tests; skipped are those whose function a port lacks.
    failures : list of dict
        For each failed test its name and how to replay it.
    """

    operation: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)


class _Collector:
    """Pytest plugin that counts outcomes by operation."""

    def __init__(self) -> None:
        self.operations: dict[str, Operation] = {}

    def _of(self, nodeid: str) -> Operation:
        name = Path(nodeid.partition("::")[0]).stem.removeprefix("test_")
        return self.operations.setdefault(name, Operation(name))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        operation = self._of(report.nodeid)
        if report.skipped:
            operation.skipped += 1
        elif report.failed:
            operation.failed += 1
            operation.failures.append(_failure(report))
        elif report.when == "call":
            operation.passed += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            operation = self._of(report.nodeid)
            operation.failed += 1
            operation.failures.append({"test": report.nodeid, "replay": report.longreprtext})


def _failure(report: pytest.TestReport) -> dict[str, str]:
    text = re.sub(r"^E {0,7}", "", report.longreprtext, flags=re.MULTILINE)
    example = re.search(r"(?:Falsifying example|Failing test case): .*?\n\)", text, re.DOTALL)
    blob = re.search(r"@reproduce_failure\(.*?\)", text)
    found = [match[0] for match in (example, blob) if match]
    return {
        "test": report.nodeid.rpartition("/")[2],
        "replay": "\n".join(found) or text.strip().rpartition("\n")[2],
    }


def run_suite(target: str, depth: str) -> list[Operation]:
    """Run the property suite against a port.

    Parameters
    ----------
    target : str
        The port's name.
    depth : str
        ``"quick"``, ``"ci"`` or ``"long"``: how many examples each property gets.

    Returns
    -------
    list of Operation
        The outcomes, by operation.
    """
    collector = _Collector()
    arguments = [
        *map(str, SUITE),
        "--import-mode=importlib",
        "-pno:terminal",
        "-pno:cacheprovider",
        f"--target={target}",
        f"--depth={depth}",
    ]
    hypothesis.settings.register_profile("before-check", hypothesis.settings())
    with tempfile.TemporaryDirectory() as scratch:
        # Somebody else's folder is no place for a cache of examples.
        os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", scratch)
        pytest.main(arguments, plugins=[collector])
    hypothesis.settings.load_profile("before-check")
    return sorted(collector.operations.values(), key=lambda operation: operation.operation)


def _suite_table(target: str, operations: Iterable[Operation]) -> Table:
    table = Table("operation", title=f"properties of {target}", title_justify="left")
    for heading in ("tests", "passed", "failed", "not implemented"):
        table.add_column(heading, justify="right")
    for item in operations:
        tests = item.passed + item.failed + item.skipped
        failed = f"[bold red]{item.failed}[/]" if item.failed else "0"
        table.add_row(item.operation, str(tests), str(item.passed), failed, str(item.skipped))
    return table


def _released_table(target: str, folder: Path, comparisons: Iterable[Comparison]) -> Table:
    table = Table("file", "array", title=f"{target} and {folder}", title_justify="left")
    table.add_column("deviation", justify="right")
    table.add_column("rule")
    table.add_column("result", overflow="fold")
    for item in comparisons:
        deviation = "" if item.deviation is None else f"{item.deviation:.2e}"
        plain = item.status if item.status not in ("conforms", "diverges") else None
        table.add_row(
            item.file, item.array, deviation, item.rule or "", plain or _RESULT[item.passed]
        )
    return table


def _write_json(path: Path | None, content: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _check_released(
    console: Console, target: str, port: Port, folder: Path, json_file: Path | None
) -> int:
    comparisons = list(compare_folder(port, folder))
    if not comparisons:
        raise ArgumentError("released", "a folder of .npz files with outputs", folder)
    console.print(_released_table(target, folder, comparisons))
    _write_json(json_file, {"target": target, "arrays": [c.to_json() for c in comparisons]})
    conforming = sum(item.passed is True for item in comparisons)
    diverging = sum(item.passed is False for item in comparisons)
    if conforming + diverging == 0:
        raise ArgumentError("released", "an array that the port can compute", folder)
    missing = len(comparisons) - conforming - diverging
    console.print(f"{conforming} conform, {diverging} diverge, {missing} not implemented")
    return DIVERGES if diverging else CONFORMS


def _check_properties(console: Console, target: str, depth: str, json_file: Path | None) -> int:
    if depth not in _DEPTHS:
        raise ArgumentError("--depth", "one of " + ", ".join(_DEPTHS), depth)
    operations = run_suite(target, depth)
    console.print(_suite_table(target, operations))
    for operation in operations:
        for failure in operation.failures:
            console.print(f"\n[bold red]{failure['test']}[/]")
            console.print(failure["replay"], markup=False)
    content = {"target": target, "depth": depth, "operations": [asdict(o) for o in operations]}
    _write_json(json_file, content)
    if sum(item.passed + item.failed for item in operations) == 0:
        raise ArgumentError("target", "a port with at least one function of the suite", target)
    return DIVERGES if any(item.failed for item in operations) else CONFORMS


def check_command(
    target: Annotated[
        str, typer.Argument(help="reference, an entry point, some.module or some.module:name")
    ],
    released: Annotated[
        Path | None,
        typer.Option("--released", help="folder with outputs of the authors' code"),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the outcome to this file")
    ] = None,
    depth: Annotated[
        str, typer.Option("--depth", help="examples for each property: quick, ci or long")
    ] = "ci",
) -> None:
    """Say where a port agrees with the specification, or with the authors' code.

    Parameters
    ----------
    target : str
        Name of the port.
    released : Path, optional
        Compare with the outputs in this folder instead of running the properties.
    json_file : Path, optional
        Where to write the outcome as JSON.
    depth : str, default "ci"
        How many examples each property gets.

    Raises
    ------
    Exit
        With code 0, 1 or 2.
    """
    console = make_console()
    with refusals():
        port = resolve(target)
        if released is None:
            code = _check_properties(console, target, depth, json_file)
        else:
            code = _check_released(console, target, port, released, json_file)
    raise typer.Exit(code)
