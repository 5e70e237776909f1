"""The check command
=================

``subbit check TARGET`` runs the cases of all levels against a port; with ``--released DIR``
it compares the port with results of the authors' code. The port runs in processes of its own.
For exit codes see :mod:`subbit.conformance.command.verdicts`.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from subbit.conformance.cases import Outcome
from subbit.conformance.cases.seeds import CASES, DEFAULT_DEPTH
from subbit.conformance.command import files, replay, report, tables
from subbit.conformance.command.console import INTERRUPTED, Bar, make_console, refusals
from subbit.conformance.command.explore_console import EXPLORED, Limits, run_exploration
from subbit.conformance.command.outputs import check_writable, made_for
from subbit.conformance.command.verdicts import CONFORMS, DIVERGES, INCOMPLETE
from subbit.conformance.exceptions import read_exceptions
from subbit.conformance.programs.worker import Allowance, EndedError, Send, Worker
from subbit.conformance.protocol import LEVELS
from subbit.conformance.released import Comparison, compare_folder
from subbit.conformance.target import EXEC, OUTPUTS, Port
from subbit.reference.errors import ArgumentError, SubbitError

RELEASED, REPLAY, RANDOM, LEVELED = "--released", "--replay", "--random", "no kind of check"
TAKES: Mapping[str, set[str]] = {
    RELEASED: {"--json"},
    REPLAY: {"--arrays"},
    RANDOM: {"--level", "--minutes", "--cases", "--jobs", "--out"},
    LEVELED: {*files.WRITERS, "--level", "--depth", "--jobs", "--exceptions"},
}
"""Options that each kind of check uses, beside the limits of a case."""
_RESULT = {True: "[green]conforms[/]", False: "[bold red]diverges[/]", None: "[dim]-[/]"}


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


def compare_released(port: Port, send: Send, folder: Path) -> None:
    """Compare a port with outputs of the authors' code, in the process that has the port.

    Parameters
    ----------
    port : object
        The port.
    send : callable
        Sends each comparison, or an error that ends them.
    folder : Path
        Folder of the outputs.
    """
    try:
        for comparison in compare_folder(port, folder):
            send(comparison)
    except (SubbitError, OSError) as error:
        # As an error that can be sent to another process.
        send(error if isinstance(error, OSError) else SubbitError(str(error)))


def _compared(target: str, folder: Path, allowance: Allowance) -> list[Comparison]:
    found, worker = [], Worker(target, allowance)
    try:
        worker.describe()
        for item in worker.items(compare_released, folder):
            if isinstance(item, Exception):
                raise item
            found.append(item)
    except EndedError as error:
        after = f"{found[-1].file}, {found[-1].array}" if found else "the start"
        raise SubbitError(f"{target}, after {after}: {error}") from error
    finally:
        worker.close()
    return found


def _check_released(
    console: Console, target: str, folder: Path, allowance: Allowance, json_file: Path | None
) -> int:
    comparisons = _compared(target, folder, allowance)
    if not comparisons:
        raise ArgumentError("released", "a folder of .npz files with outputs", folder)
    console.print(_released_table(target, folder, comparisons))
    if json_file is not None:
        content = {"target": target, "arrays": [c.to_json() for c in comparisons]}
        json_file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    conforming = sum(item.passed is True for item in comparisons)
    diverging = sum(item.passed is False for item in comparisons)
    if conforming + diverging == 0:
        raise ArgumentError("released", "an array that the port can compute", folder)
    missing = len(comparisons) - conforming - diverging
    console.print(f"{conforming} conform, {diverging} diverge, {missing} not implemented")
    return DIVERGES if diverging else CONFORMS


class _Progress(report.Listener):
    """A bar that counts cases."""

    def __init__(self, target: str) -> None:
        self.bar = Bar(target, 0, make_console(stderr=True), alike=False)
        self.bar.line(f"{target}: starting")

    def planned(self, operations: int, cases: int, jobs: int) -> None:
        self.bar.expect(cases)
        processes = f"{jobs} process{'es' * (jobs != 1)}"
        self.bar.line(f"{self.bar.title}: {cases:,} cases of {operations} operations, {processes}")

    def heard(self, outcome: Outcome) -> None:
        self.bar.step(outcome.operation)


def _check_levels(
    console: Console, request: report.Request, written: Mapping[str, Path | None]
) -> int:
    progress = _Progress(request.target)
    with progress.bar:
        found = report.run(request, progress)
    files.write_files(found, written)
    tables.show(found, console)
    if found["exit_code"] == INTERRUPTED:
        raise KeyboardInterrupt
    code: int = found["exit_code"]
    return code


def _check_options(kinds: Mapping[str, object], options: Mapping[str, object]) -> None:
    """Refuse two kinds of check at once, and options that the requested one does not use."""
    asked = [kind for kind, value in kinds.items() if value is not None] or [LEVELED]
    if len(asked) > 1:
        raise ArgumentError(asked[0], "no other kind of check alongside it", asked[1])
    for name, value in options.items():
        if value is not None and name not in TAKES[asked[0]]:
            takers = " or ".join(kind for kind, taken in TAKES.items() if name in taken)
            raise ArgumentError(name, f"{takers} alongside it", asked[0])


def _target(port: str | None, others: Mapping[str, str | None]) -> str:
    named = {option: value for option, value in others.items() if value is not None}
    if len(named) + (port is not None) != 1:
        came = ", ".join(filter(None, [port, *named])) or "nothing"
        raise ArgumentError("TARGET", f"either a port or one of {', '.join(others)}", came)
    if port is not None:
        return port
    option, value = named.popitem()
    return {"--exec": EXEC, "--outputs": OUTPUTS}[option] + value


def _request(target: str, options: Mapping[str, Any], allowance: Allowance) -> report.Request:
    depth, jobs = options["--depth"] or DEFAULT_DEPTH, options["--jobs"] or 1
    level = LEVELS[-1] if options["--level"] is None else options["--level"]
    if depth not in CASES:
        raise ArgumentError("--depth", "one of " + ", ".join(CASES), depth)
    if level not in LEVELS:
        raise ArgumentError("--level", "a level from 0 to 3", level)
    known = read_exceptions(options["--exceptions"])
    return report.Request(target, level, depth, jobs, allowance, known)


def _replay(
    console: Console, target: str, case: str, allowance: Allowance, folder: Path | None
) -> int:
    if folder is None:
        found = replay.replay(target, case, allowance)
        replay.show(found, console)
    else:
        with made_for(folder, ("*.npz",)):
            folder.mkdir(parents=True, exist_ok=True)
            check_writable({"--arrays": folder / "arrays.npz"})
            found = replay.replay(target, case, allowance)
            file = replay.write_arrays(found, folder)
        replay.show(replay.Replayed(case, [], found.outcome), console)
        console.print(f"arrays: {file}", markup=False, soft_wrap=True)
    return {"passed": CONFORMS, "failed": DIVERGES}.get(found.outcome.status, INCOMPLETE)


def check_command(
    port: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="reference, fast:simulated, fast:cuda, an entry point, some.module, "
            "some.module:name or exec:COMMAND",
        ),
    ] = None,
    *,
    program: Annotated[
        str | None,
        typer.Option("--exec", help="a program and its arguments, in place of TARGET"),
    ] = None,
    outputs: Annotated[
        str | None,
        typer.Option(help="vectors with a port's answers beside them, in place of TARGET"),
    ] = None,
    released: Annotated[
        Path | None, typer.Option(help="compare with the outputs in this folder instead")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the outcome to this file")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="write the outcome as one page to this file")
    ] = None,
    junit_file: Annotated[
        Path | None, typer.Option("--junit", help="write the outcome in JUnit's XML to this file")
    ] = None,
    badge_file: Annotated[
        Path | None, typer.Option("--badge", help="write the result as a picture, SVG")
    ] = None,
    level: Annotated[
        int | None, typer.Option("--level", help="highest level, 0 to 3; 3 by default")
    ] = None,
    depth: Annotated[
        str | None, typer.Option("--depth", help="cases per operation: quick, ci or long")
    ] = None,
    exceptions: Annotated[
        Path | None, typer.Option(help="TOML file of cases to skip, and of expected failures")
    ] = None,
    replay_case: Annotated[
        str | None, typer.Option("--replay", help="run one case again, OPERATION:SEED")
    ] = None,
    arrays: Annotated[
        Path | None,
        typer.Option(help="with --replay: write the arrays to this folder, do not print them"),
    ] = None,
    random: Annotated[
        bool, typer.Option("--random", help="draw new cases until time is up, or Ctrl-C")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(help="with --random: time limit; until Ctrl-C by default")
    ] = None,
    cases: Annotated[
        int | None, typer.Option(help="with --random: number of cases, including earlier ones")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="processes; 1 by default, with --random one per processor")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=f"with --random: folder of the state to continue, {EXPLORED} by default"),
    ] = None,
    time_limit: Annotated[
        float, typer.Option(help="seconds after which a case counts as one that never ends")
    ] = Allowance.seconds,
    memory_limit: Annotated[
        float, typer.Option(help="GiB that a case may take")
    ] = Allowance.memory,
) -> None:
    """Report where a port agrees with the specification, or with the authors' code.

    Exit codes: 0 conforms, 1 diverges, 2 incomplete or refused, 3 refusals missing, 4 conforms
    with exceptions, 5 exceptions outdated, 130 interrupted.
    """
    folder = out or EXPLORED
    with refusals():
        target = _target(port, {"--exec": program, "--outputs": outputs})
    kept = "; the report is about what was finished"
    after = f"; progress is kept in {folder}, the same command continues" if random else kept
    written = {
        "--json": json_file,
        "--html": html_file,
        "--junit": junit_file,
        "--badge": badge_file,
    }
    options: dict[str, Any] = written | {"--level": level, "--depth": depth, "--jobs": jobs}
    options |= {"--minutes": minutes, "--cases": cases, "--out": out}
    options |= {"--exceptions": exceptions, "--arrays": arrays}
    console = make_console()
    with refusals(after):
        _check_options({RELEASED: released, REPLAY: replay_case, RANDOM: random or None}, options)
        check_writable(written)
        if jobs is not None and jobs < 1:
            raise ArgumentError("--jobs", "a number above 0", jobs)
        allowance = Allowance(time_limit, memory_limit)
        if released is not None:
            code = _check_released(console, target, released, allowance, json_file)
        elif replay_case is not None:
            code = _replay(console, target, replay_case, allowance, arrays)
        elif random:
            top = LEVELS[-1] if level is None else level
            limits = Limits(top, minutes, cases, jobs, allowance)
            code = run_exploration(console, target, folder, limits)
        else:
            code = _check_levels(console, _request(target, options, allowance), written)
    raise typer.Exit(code)
