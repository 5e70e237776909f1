"""The vectors command
===================

``subbit vectors make DIR`` writes cases to files, ``lint DIR`` checks them, ``flags DIR`` lists the
known ways to be wrong that they do not show, and ``answer DIR`` lets a port answer their calls, for
``subbit check --outputs DIR``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from subbit.conformance.cases.registry import Operation, of_level
from subbit.conformance.command.console import Bar, make_console, refusals
from subbit.conformance.command.outputs import made_for
from subbit.conformance.frozen.lint import lint
from subbit.conformance.frozen.make import SIZES, family_of, make
from subbit.conformance.frozen.outputs import answer
from subbit.conformance.frozen.tree import LIST, ROOT, cases_in, read_json
from subbit.conformance.protocol import LEVELS, PROTOCOL
from subbit.conformance.target import resolve
from subbit.reference.errors import ArgumentError

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="the folder that has v1")]

vectors_app = typer.Typer(help="Cases in files, for ports in any language.", no_args_is_help=True)


@vectors_app.callback()
def _group_command() -> None:
    """Cases in files, for ports in any language."""


def _chosen(level: int | None, family: str | None) -> Iterator[Operation]:
    if level is not None and level not in LEVELS:
        raise ArgumentError("--level", "a level from 0 to 3", level)
    families = sorted({function.family for function in PROTOCOL.values()})
    if family is not None and family not in families:
        raise ArgumentError("--family", "one of " + ", ".join(families), family)
    for item in of_level(LEVELS[-1] if level is None else level):
        if family in {None, family_of(item)}:
            yield item


@vectors_app.command("make")
def make_command(
    folder: Folder,
    *,
    level: Annotated[int | None, typer.Option(help="highest level, 0 to 3; 3 by default")] = None,
    family: Annotated[
        str | None, typer.Option(help="one module of the reference, such as groups.binarize")
    ] = None,
    size: Annotated[str, typer.Option(help="small or standard")] = next(iter(SIZES)),
) -> None:
    """Write vectors."""
    with refusals():
        items = list(_chosen(level, family))
        bar = Bar("vectors", len(items), make_console(stderr=True), alike=False)
        with bar, made_for(folder / ROOT, ()):
            content = make(items, size, folder, bar.step)
        caught = sum(bool(flag["cases"]) for flag in content["flags"].values())
        console = make_console()
        console.print(
            f"{folder}: {content['cases']} cases, {caught} of {len(content['flags'])} flags",
            highlight=False,
            markup=False,
        )
        for name, reason in content["left_out"].items():
            console.print(f"left out: {name} ({reason})", highlight=False, markup=False)


@vectors_app.command("lint")
def lint_command(folder: Folder) -> None:
    """Check that vectors are what they say."""
    with refusals():
        found = list(lint(folder))
        console = make_console()
        for fault in found:
            console.print(fault, highlight=False, markup=False, soft_wrap=True)
        number = sum(1 for _ in cases_in(folder))
        console.print(f"{number} cases, {len(found)} faults", highlight=False)
    if found:
        raise typer.Exit(1)


@vectors_app.command("flags")
def flags_command(folder: Folder) -> None:
    """List the known ways to be wrong that no answer in files shows, by reason."""
    with refusals():
        flags = read_json(folder / LIST)["flags"]
        missed: dict[str, list[str]] = {}
        for name, flag in flags.items():
            if "reason" in flag or not flag["cases"]:
                missed.setdefault(flag.get("reason", "no reason given"), []).append(name)
        console = make_console()
        shown = len(flags) - sum(map(len, missed.values()))
        console.print(f"{shown} of {len(flags)} flags are shown by a case", highlight=False)
        for reason, names in missed.items():
            said = [f"{len(names)} are not: {reason}", *(f"  {name}" for name in names)]
            console.print("\n".join(said), highlight=False, markup=False, soft_wrap=True)


@vectors_app.command("answer")
def answer_command(
    folder: Folder,
    target: Annotated[str, typer.Argument(help="the port, as for check")],
) -> None:
    """Let a port answer the calls of vectors, in files beside them."""
    with refusals():
        number = answer(resolve(target), folder)
        make_console().print(f"{number} cases answered by {target}", highlight=False, markup=False)
