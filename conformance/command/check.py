"""The check command
=================

``subbit check TARGET`` runs the cases of all levels against a port; with ``--released DIR``
it compares the port with results of the authors' code. Exit codes: 0 the port conforms,
1 it diverges somewhere, 2 something is not implemented or could not be compared.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from threadpoolctl import threadpool_limits

from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import CASES, DEFAULT_DEPTH
from subbit.conformance.command import report
from subbit.conformance.command.console import make_console, refusals
from subbit.conformance.command.explore_console import EXPLORED, Limits, run_exploration
from subbit.conformance.protocol import LEVELS
from subbit.conformance.released import Comparison, compare_folder
from subbit.conformance.target import Port, arithmetic_of, resolve
from subbit.reference.errors import ArgumentError

RELEASED, REPLAY, RANDOM, LEVELED = "--released", "--replay", "--random", "no kind of check"
TAKES: Mapping[str, set[str]] = {
    RELEASED: {"--json"},
    REPLAY: set(),
    RANDOM: {"--level", "--minutes", "--cases", "--jobs", "--out"},
    LEVELED: {"--json", "--html", "--level", "--depth"},
}
"""Options that each kind of check uses."""
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
    return report.DIVERGES if diverging else report.CONFORMS


def _check_levels(
    console: Console,
    target: str,
    port: Port,
    *,
    level: int,
    depth: str,
    files: tuple[Path | None, Path | None],
) -> int:
    if depth not in CASES:
        raise ArgumentError("--depth", "one of " + ", ".join(CASES), depth)
    if level not in LEVELS:
        raise ArgumentError("--level", "a level from 0 to 3", level)
    with console.status("") as status:
        found = report.run(target, port, level=level, depth=depth, progress=status.update)
    console.print(report.table(found))
    for row in found["operations"]:
        if row["status"] == "failed":
            console.print(f"\n[bold red]{row['replay']}[/]")
            console.print(row["message"], markup=False)
        if row["status"] == "partial":
            console.print(f"\n[yellow]{row['operation']}[/]: {escape(row['message'])}")
    console.print(f"{target} {found['result']}: {_counted(found)}")
    json_file, html_file = files
    _write_json(json_file, found)
    if html_file is not None:
        html_file.write_text(report.page(found), encoding="utf-8")
    return report.exit_code(found)


def _check_options(kinds: Mapping[str, object], options: Mapping[str, object]) -> None:
    """Refuse two kinds of check at once, and options that the requested one does not use."""
    asked = [kind for kind, value in kinds.items() if value is not None] or [LEVELED]
    if len(asked) > 1:
        raise ArgumentError(asked[0], "no other kind of check alongside it", asked[1])
    for name, value in options.items():
        if value is not None and name not in TAKES[asked[0]]:
            takers = " or ".join(kind for kind, taken in TAKES.items() if name in taken)
            raise ArgumentError(name, f"{takers} alongside it", asked[0])


def _counted(found: dict[str, Any]) -> str:
    statuses = [row["status"] for row in found["operations"]]
    empty, partial = (statuses.count(status) for status in ("empty", "partial"))
    return (
        f"{statuses.count('passed')} operations passed, {statuses.count('failed')} failed, "
        + (f"{empty} compared nothing, " if empty else "")
        + (f"{partial} implemented in part, " if partial else "")
        + f"{statuses.count('missing')} not implemented"
    )


def _replay(console: Console, port: Port, case: str) -> int:
    name, _, seed = case.partition(":")
    if name not in OPERATIONS or not seed.isdigit():
        raise ArgumentError("--replay", "OPERATION:SEED as the table shows it", case)
    outcome = OPERATIONS[name].check(port, arithmetic_of(port), int(seed))
    console.print(f"{outcome.status}, error ÷ bound {outcome.ratio:.3g}")
    console.print(outcome.message, markup=False, soft_wrap=True)
    return {"passed": report.CONFORMS, "failed": report.DIVERGES}.get(
        outcome.status, report.INCOMPLETE
    )


def check_command(
    target: Annotated[
        str,
        typer.Argument(
            help="reference, fast:simulated, fast:cuda, an entry point, some.module or "
            "some.module:name"
        ),
    ],
    *,
    released: Annotated[
        Path | None, typer.Option(help="compare with the outputs in this folder instead")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the outcome to this file")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="write the outcome as one page to this file")
    ] = None,
    level: Annotated[
        int | None, typer.Option("--level", help="highest level, 0 to 3; 3 by default")
    ] = None,
    depth: Annotated[
        str | None, typer.Option("--depth", help="cases per operation: quick, ci or long")
    ] = None,
    replay: Annotated[
        str | None, typer.Option("--replay", help="run one case again, OPERATION:SEED")
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
        int | None, typer.Option(help="with --random: processes; one per processor by default")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=f"with --random: folder of the state to continue, {EXPLORED} by default"),
    ] = None,
) -> None:
    """Report where a port agrees with the specification, or with the authors' code.

    Parameters
    ----------
    target : str
        Name of the port.
    released : Path, optional
        Compare with the outputs in this folder instead of running the levels.
    json_file : Path, optional
        File for the outcome as JSON.
    html_file : Path, optional
        File for the outcome as a page.
    level : int, optional
        The highest level; 3 by default.
    depth : str, optional
        Number of cases per operation; ``"ci"`` by default.
    replay : str, optional
        One case to run instead.
    random : bool, default False
        Draw new cases instead of those that every machine runs.
    minutes : float, optional
        Time limit for drawing new cases.
    cases : int, optional
        Number of cases to reach.
    jobs : int, optional
        Number of processes.
    out : Path, optional
        Folder of the exploration's state.

    Raises
    ------
    Exit
        With code 0, 1 or 2.
    """
    console = make_console()
    folder, top = out or EXPLORED, LEVELS[-1] if level is None else level
    after = f"; progress is kept in {folder}, the same command continues" if random else ""
    options: dict[str, object] = {
        "--json": json_file,
        "--html": html_file,
        "--level": level,
        "--depth": depth,
    }
    options |= {"--minutes": minutes, "--cases": cases, "--jobs": jobs, "--out": out}
    with refusals(after), threadpool_limits(1):
        _check_options({RELEASED: released, REPLAY: replay, RANDOM: random or None}, options)
        port = resolve(target)
        if released is not None:
            code = _check_released(console, target, port, released, json_file)
        elif replay is not None:
            code = _replay(console, port, replay)
        elif random:
            limits = Limits(top, minutes, cases, jobs)
            code = run_exploration(console, target, port, folder, limits)
        else:
            files = (json_file, html_file)
            deep = DEFAULT_DEPTH if depth is None else depth
            code = _check_levels(console, target, port, level=top, depth=deep, files=files)
    raise typer.Exit(code)
