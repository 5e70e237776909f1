"""The command frontier
====================

Many hours for a model of any size, so every point, record and error is kept, and the same command
continues.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import RenderableType

from subbit.conformance.command.cli_run import (
    CalibrationOptions,
    check_label,
    cut_windows,
    draw_calibration,
    loaded,
)
from subbit.conformance.command.cli_tables import study_notes
from subbit.conformance.command.console import (
    Bar,
    Table,
    format_number,
    make_console,
    refusals,
)
from subbit.conformance.command.crews import AUTOMATIC, CrewOptions, open_crew
from subbit.conformance.command.outputs import check_plot, made_for
from subbit.conformance.models.base import DecoderModel, Float32, Tokens
from subbit.conformance.models.claim import claim
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.crew import Crew
from subbit.conformance.runs.curve import Laboratory
from subbit.conformance.runs.exams import ErrorExam, Exam, OutputError
from subbit.conformance.runs.frontier import (
    ERRORS,
    LABELS,
    PREFIX,
    Calibrated,
    held_out,
    read_calibrated,
    slug,
    write_frontier,
)
from subbit.conformance.runs.jobs import Job, job_settings, parse_counts, prefix_job
from subbit.conformance.runs.records import SCALE_TYPES, write_atomically
from subbit.conformance.runs.study import Notebook, Study, Windows, open_results
from subbit.reference.errors import ArgumentError, check_choice

TABLES = "tables.md"
PREFIX_WINDOWS, PREFIX_LENGTH = 6, 512
HELD_OUT, HELD_OUT_LENGTH = 8, 512
IN_SAMPLE = 4
"""Calibration sequences on which errors are measured beside those held out."""


@dataclass(frozen=True)
class FrontierOptions:
    """Options of a frontier."""

    model: str
    labels: tuple[str, ...]
    calibrations: tuple[CalibrationOptions, ...]
    texts: tuple[str, ...]
    window: int
    windows: int
    out: Path
    ks: str | None = None
    scales: str = "float16"
    target: str = "reference"
    plot: Path | None = None
    crew: CrewOptions = AUTOMATIC


_Text: TypeAlias = tuple[Tokens, Windows]
"""Windows of a text, and their description."""


def _check_options(options: FrontierOptions) -> None:
    """Refuse bad options before a model is loaded."""
    for label in options.labels:
        check_label(label)
    calibrations = [one.text for one in options.calibrations]
    for name, texts in (("text", list(options.texts)), ("calibration", calibrations)):
        folders = [slug(text) for text in texts]
        if len(set(folders)) < len(folders) or PREFIX in folders:
            expected = f"texts of different names, none of them {PREFIX!r}"
            raise ArgumentError(name, expected, ", ".join(folders))
    check_plot(options.plot, made=options.out)
    check_choice("scales", options.scales, SCALE_TYPES)


def run_frontier(options: FrontierOptions) -> list[Table]:
    """Measure what is missing, print it, and join it in one file."""
    _check_options(options)
    with open_crew(options.target, options.crew) as crew, made_for(options.out):
        found = _measure(options, crew)
    tables = [frontier_table(one) for one in found]
    for table in tables:
        table.show(make_console())
    text = "\n".join(table.to_markdown() for table in tables)
    write_atomically(options.out / TABLES, text.encode(errors="backslashreplace"))
    if options.plot is not None:
        from subbit.conformance.runs.plot import plot_frontier

        plot_frontier(found, options.plot)
    return tables


def _measure(options: FrontierOptions, crew: Crew) -> list[Calibrated]:
    model = loaded(options.model)
    texts = [cut_windows(model, text, options.window, options.windows) for text in options.texts]
    short = min(PREFIX_LENGTH, options.window), min(PREFIX_WINDOWS, options.windows)
    prefix = cut_windows(model, options.texts[0], *short)
    stops = parse_counts(options.ks, model.n_blocks)
    jobs = [prefix_job(label, stops) for label in options.labels]
    full: dict[str, Float32] = {}
    found = []
    for calibration in options.calibrations:
        folder = options.out / slug(calibration.text)
        _Calibration(options, calibration, folder, full).measure(model, crew, texts, prefix, jobs)
        found.append(read_calibrated(folder, options.texts))
        write_frontier(options.out, found)
    return found


@dataclass(frozen=True)
class _Calibration:
    """One calibration, the folder of what is measured with it, and what all of them share."""

    options: FrontierOptions
    calibration: CalibrationOptions
    folder: Path
    full: dict[str, Float32]

    def measure(
        self,
        model: DecoderModel,
        crew: Crew,
        texts: Sequence[_Text],
        prefix: _Text,
        jobs: Sequence[Job],
    ) -> None:
        """Measure what is missing of the jobs."""
        options = self.options
        sequences, used = draw_calibration(model, self.calibration)
        first, *rest = [
            Study(model.name, model.precision, used, windows, options.scales, options.target)
            for _, windows in (prefix, *texts)
        ]
        # What settings are refused is known before there is a folder.
        for job in jobs:
            job_settings(model, first, job)
        self.folder.mkdir(parents=True, exist_ok=True)
        with claim(self.folder):
            last = {jobs[0].stops[-1]}
            exams = [
                self._exam(slug(name), text, study, last)
                for name, text, study in zip(options.texts, texts, rest, strict=True)
            ]
            exams.append(self._exam(PREFIX, prefix, first, None))
            errors = ErrorExam(self._fresh, self._watched(model, sequences), self.folder / ERRORS)
            laboratory = Laboratory(
                self._fresh, crew, sequences, first, self.folder / "runs", (*exams, errors)
            )
            steps = laboratory.steps_left(model, jobs)
            title = f"frontier, {slug(self.calibration.text)}"
            with Bar(title, steps, make_console(stderr=True), above=self._so_far) as bar:
                laboratory.step, laboratory.notice = bar.step, bar.line
                laboratory.measure(jobs)

    def _exam(self, name: str, text: _Text, study: Study, stops: set[int] | None) -> Exam:
        folder = self.folder / name
        return Exam(text[0], Notebook(folder, open_results(folder, study)), stops, self.full)

    def _watched(self, model: DecoderModel, sequences: Tokens) -> dict[str, Tokens]:
        """Return the sequences that errors are measured on."""
        others = replace(
            self.calibration,
            samples=8 * HELD_OUT,
            length=min(HELD_OUT_LENGTH, self.calibration.length),
            seed=self.calibration.seed + 1,
        )
        apart = held_out(sequences, draw_calibration(model, others)[0], HELD_OUT)
        return {"calibration": sequences[:IN_SAMPLE]} | ({"held out": apart} if len(apart) else {})

    def _fresh(self) -> DecoderModel:
        return load_model(self.options.model)

    def _so_far(self) -> RenderableType:
        return frontier_table(read_calibrated(self.folder, self.options.texts)).drawn()


def _error_cells(found: Mapping[str, OutputError], field: str) -> list[str]:
    errors = (found.get(name) for name in ("calibration", "held out"))
    return [format_number(None if x is None else getattr(x, field), 4) for x in errors]


def frontier_table(found: Calibrated) -> Table:
    """Return what was measured with one calibration, by payload bits.

    Parameters
    ----------
    found : Calibrated
        The studies and errors.

    Returns
    -------
    Table
        A row for each method.
    """
    texts = [study.study.evaluation.text for study in found.studies]
    names = [slug(text) for text in texts]
    stops = sorted({point.stop for point in found.prefix.points})
    full = [format_number(study.full) for study in found.studies]
    start = [format_number(found.prefix.full)] * len(stops)
    rows = [("full precision", "-", "-", *full, *["-"] * len(full), *["-"] * 4, *start)]
    for label in found.labels():
        points = [found.point(place, label) for place in range(len(texts))]
        some = next(point for point in points if point is not None)
        errors = found.errors_of(some)
        prefix = [found.prefix.find(label, some.part, some.start, stop) for stop in stops]
        rows.append(
            (
                label,
                format_number(some.payload, 3),
                format_number(some.artifact, 3),
                *(format_number(None if p is None else p.perplexity) for p in points),
                *(format_number(None if p is None else p.divergence, 3) for p in points),
                *_error_cells(errors, "layers"),
                *_error_cells(errors, "stream"),
                *(format_number(None if p is None else p.perplexity) for p in prefix),
            )
        )
    columns = (
        "method", "payload", "artifact", *(f"ppl {name}" for name in names),
        *(f"KL {name}" for name in names), "layer error", "held out", "stream error",
        "held out", *(f"ppl k={stop}" for stop in stops),
    )  # fmt: skip
    used = found.prefix.study.evaluation
    notes = (
        *study_notes(found.studies[0]),
        *(f"evaluation: {x.study.evaluation.text}" for x in found.studies[1:]),
        f"k: blocks quantized, from the first, on {used.windows} windows of {used.length}",
        "errors: of outputs, the error that arrives included; 'held out' is from other sequences",
    )
    return Table("Perplexity of whole models by payload bits", columns, tuple(rows), notes)


def frontier_command(
    *,
    model: Annotated[
        str, typer.Argument(help="smollm2-135m, tiny, a folder, a .gguf file or a hub name")
    ],
    out: Annotated[Path, typer.Option(help="folder for results; a second call continues there")],
    method: Annotated[
        list[str] | None,
        typer.Option(help="METHOD:PRESET@N:M/BUDGET+PROPAGATION, repeated; by default all methods"),
    ] = None,
    calibration: Annotated[
        list[str] | None, typer.Option(help="calibration: a named text or a file; may be repeated")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="evaluation: a named text or a file; may be repeated")
    ] = None,
    samples: Annotated[int, typer.Option(help="calibration sequences")] = 32,
    length: Annotated[int, typer.Option(help="tokens per calibration sequence")] = 1024,
    seed: Annotated[int, typer.Option(help="seed for sampling positions")] = 0,
    window: Annotated[int, typer.Option(help="tokens per evaluation window")] = 2048,
    windows: Annotated[int, typer.Option(help="number of evaluation windows")] = 20,
    ks: Annotated[str | None, typer.Option(help="prefix lengths; by default 1,2,4,8,all")] = None,
    plot: Annotated[Path | None, typer.Option(help="write a plot: .png, .svg or .pdf")] = None,
    target: Annotated[str, typer.Option(help="port that quantizes the layers")] = "reference",
    scales: Annotated[
        str, typer.Option(help="stored scales: float16, float32 or float64")
    ] = "float16",
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes that quantize linears")
    ] = None,
) -> None:
    """Compare whole models by payload bits."""
    with refusals("; finished points are kept, the same command continues"):
        run_frontier(
            FrontierOptions(
                model=model,
                labels=tuple(method or LABELS),
                calibrations=tuple(
                    CalibrationOptions(one, samples, length, seed)
                    for one in calibration or ["enwiki-excerpt:calibration"]
                ),
                texts=tuple(text or ["enwiki-excerpt:evaluation"]),
                window=window,
                windows=windows,
                out=out,
                ks=ks,
                scales=scales,
                target=target,
                plot=plot,
                crew=CrewOptions(workers, None),
            )
        )
