"""The commands curve and demo
===========================

Both measure the points of a study; the demo is a study with fixed choices.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import RenderableType

from subbit.conformance.command.cli_run import (
    CalibrationOptions,
    check_label,
    cut_windows,
    draw_calibration,
    loaded,
    words,
)
from subbit.conformance.command.cli_tables import part_table, prefix_table
from subbit.conformance.command.console import Bar, Table, make_console
from subbit.conformance.command.crews import AUTOMATIC, CrewOptions, open_crew
from subbit.conformance.command.outputs import check_plot, made_for
from subbit.conformance.models.base import DecoderModel
from subbit.conformance.models.claim import claim
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.crew import Crew
from subbit.conformance.runs.curve import Laboratory
from subbit.conformance.runs.exams import Exam
from subbit.conformance.runs.jobs import Comparison, job_settings, parse_counts
from subbit.conformance.runs.labels import FORM
from subbit.conformance.runs.plan import parse_blocks
from subbit.conformance.runs.records import SCALE_TYPES, write_atomically
from subbit.conformance.runs.study import Notebook, Results, Study, load_results, open_results
from subbit.reference.errors import ArgumentError, check_choice

TABLES = "tables.md"


@dataclass(frozen=True)
class CurveOptions:
    """Options of a comparison."""

    model: str
    labels: tuple[str, ...]
    ks: str | None
    calibration: CalibrationOptions
    text: str
    window: int
    windows: int
    out: Path
    blocks: str | None = None
    parts: str | None = None
    with_parts: bool = True
    scales: str = "float16"
    target: str = "reference"
    plot: Path | None = None
    crew: CrewOptions = AUTOMATIC


DEMO = CurveOptions(
    model="smollm2-135m",
    labels=(
        "rtn:sign",
        "gptq:2bit",
        "billm:paper",
        "arb-rc:paper",
        "stbllm:paper@4:8",
        "pbs2p:best@4:8",
        "typed:1.5bit/carried+half",
        "typed:2.25bit/carried+half",
    ),
    ks="2",
    calibration=CalibrationOptions("enwiki-excerpt:calibration", samples=16, length=1024, seed=0),
    text="enwiki-excerpt:evaluation",
    window=512,
    windows=6,
    out=Path(),
    with_parts=False,
)
"""One form of each method, what subbit offers for few bits, and two decoder blocks."""
DEMO_ALL = replace(
    DEMO,
    labels=(
        "rtn:sign",
        "gptq:2bit",
        "billm:paper",
        "billm:released",
        "arb-x:paper",
        "arb-rc:paper",
        "arb-rc:released",
        "stbllm:paper@6:8",
        "stbllm:paper@5:8",
        "stbllm:paper@4:8",
        "stbllm:released@4:8",
        "stbllm:corrected@4:8",
        "pbs2p:best@6:8",
        "pbs2p:best@5:8",
        "pbs2p:best@4:8",
        "typed:1.5bit/carried+half",
        "typed:2.25bit/carried+half",
        "typed:3bit/carried+half",
    ),
    ks="1,2,4",
)


class _Models:
    """Loads a fresh model for each call, reusing the first one once."""

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.first: DecoderModel | None = None

    def peek(self) -> DecoderModel:
        """Return the model, for reading only."""
        if self.first is None:
            self.first = loaded(self.spec)
        return self.first

    def take(self) -> DecoderModel:
        """Return a model at full precision, free to change."""
        # Later ones are loaded while the bar stands, which shows that work goes on.
        model, self.first = self.first or load_model(self.spec), None
        return model


def _choose_parts(model: DecoderModel, options: CurveOptions) -> tuple[str, ...]:
    linears = (linear for index in range(model.n_blocks) for linear in model.linears(index))
    kinds = tuple(dict.fromkeys(linear.kind for linear in linears))
    chosen = words(options.parts) or kinds
    for part in chosen:
        check_choice("parts", part, kinds)
    return chosen if options.with_parts else ()


def _compare(model: DecoderModel, options: CurveOptions) -> Comparison:
    return Comparison(
        tuple(check_label(label) for label in options.labels),
        parse_counts(options.ks, model.n_blocks),
        _choose_parts(model, options),
        parse_blocks(options.blocks, model.n_blocks),
    )


def _tables(results: Results, comparison: Comparison) -> list[Table]:
    tables = [prefix_table(results, comparison)]
    if comparison.parts:
        tables.append(part_table(results, comparison))
    return tables


def _check_options(options: CurveOptions) -> None:
    """Refuse bad options before a model is loaded."""
    if not options.labels:
        raise ArgumentError("method", f"at least one {FORM}", "none")
    for label in options.labels:
        check_label(label)
    check_plot(options.plot, made=options.out)
    check_choice("scales", options.scales, SCALE_TYPES)


def run_curve(options: CurveOptions, title: str = "curve") -> Sequence[Table]:
    """Measure the missing points of a comparison, then print and plot it."""
    _check_options(options)
    with open_crew(options.target, options.crew) as crew, made_for(options.out):
        results, comparison = _measure(options, crew, title)
    tables = _tables(results, comparison)
    _report(tables, results, comparison, options)
    return tables


def _measure(options: CurveOptions, crew: Crew, title: str) -> tuple[Results, Comparison]:
    models = _Models(options.model)
    model = models.peek()
    comparison = _compare(model, options)
    sequences, calibration = draw_calibration(model, options.calibration)
    tokens, windows = cut_windows(
        model, options.text, options.window, options.windows, bos=options.calibration.bos
    )
    study = Study(model.name, model.precision, calibration, windows, options.scales, options.target)
    # What settings are refused is known before there is a folder.
    for job in comparison.jobs:
        job_settings(model, study, job)
    open_results(options.out, study)
    console = make_console(stderr=True)

    def so_far() -> RenderableType:
        return prefix_table(exam.notebook.results, comparison).drawn()

    with claim(options.out):
        # Read once more: another process may have gone on until now.
        exam = Exam(tokens, Notebook(options.out, load_results(options.out)))
        laboratory = Laboratory(models.take, crew, sequences, study, options.out / "runs", (exam,))
        steps = laboratory.steps_left(model, comparison.jobs)
        with Bar(title, steps, console, above=so_far) as bar:
            laboratory.step, laboratory.notice = bar.step, bar.line
            del model
            laboratory.measure(comparison.jobs)
        return exam.notebook.results, comparison


def _report(
    tables: Sequence[Table], results: Results, comparison: Comparison, options: CurveOptions
) -> None:
    console = make_console()
    for table in tables:
        table.show(console)
    text = "\n".join(table.to_markdown() for table in tables)
    write_atomically(options.out / TABLES, text.encode(errors="backslashreplace"))
    if options.plot is not None:
        from subbit.conformance.runs.plot import plot_study

        plot_study(results, comparison, options.plot)


def run_demo(out: Path | None, crew: CrewOptions = AUTOMATIC, *, whole: bool) -> None:
    """Run the demonstration, in a given folder or in a temporary one."""
    options = replace(DEMO_ALL if whole else DEMO, crew=crew)
    if out is not None:
        run_curve(replace(options, out=out), "demo")
        return
    with tempfile.TemporaryDirectory(prefix="subbit-demo-") as folder:
        run_curve(replace(options, out=Path(folder)), "demo")
