"""Measurements of a run
=====================

``subbit bench model`` quantizes decoder blocks of a model with one process and with several, in
turn, and times the phases of both runs by the clock on the wall. Both have to write the same
records, to the last bit.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from subbit.conformance.command.about import machine
from subbit.conformance.command.cli_run import (
    CalibrationOptions,
    check_label,
    draw_calibration,
    loaded,
)
from subbit.conformance.command.console import Bar, Table, make_console, refusals
from subbit.conformance.command.crews import CrewOptions, open_crew
from subbit.conformance.command.outputs import check_writable
from subbit.conformance.runs.manifest import record_path
from subbit.conformance.runs.plan import parse_blocks, plan
from subbit.conformance.runs.processes import available_processors
from subbit.conformance.runs.quantize import Hooks, quantize_model
from subbit.reference.errors import SubbitError

PHASES = ("load", "calibrate", "quantize", "save")


@dataclass(frozen=True)
class ModelBench:
    """What is run.

    Parameters
    ----------
    model : str
        As `load_model` takes it.
    label : str
        As `parse_label` takes it.
    blocks : str
        Decoder blocks, START:STOP.
    calibration : CalibrationOptions
        The calibration.
    target : str
        Name of the port.
    """

    model: str
    label: str
    blocks: str
    calibration: CalibrationOptions
    target: str


class Phases:
    """Seconds of the phases of a run, so far."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self._since = time.perf_counter()

    def end(self, phase: str) -> None:
        """Add the time since the end of the phase before.

        Parameters
        ----------
        phase : str
            What that time was spent on.
        """
        now = time.perf_counter()
        self.seconds[phase] += now - self._since
        self._since = now

    def step(self, note: str) -> None:
        """Take a step of a run.

        Parameters
        ----------
        note : str
            As for `Hooks.step`.
        """
        # All steps but those named after a linear are passes through the model.
        passes = note.startswith("budget") or ", calibrated" in note or note.endswith(", done")
        self.end("calibrate" if passes else "quantize")


def time_phases(bench: ModelBench, workers: int, out: Path) -> dict[str, float]:
    """Run once, and time the phases.

    Parameters
    ----------
    bench : ModelBench
        What to run.
    workers : int
        Number of processes.
    out : Path
        Folder for the run.

    Returns
    -------
    dict of str to float
        Seconds by phase. The start of processes counts where it is waited for.
    """
    phases = Phases()
    with open_crew(bench.target, CrewOptions(workers)) as crew:
        model = loaded(bench.model)
        phases.end("load")
        sequences, calibration = draw_calibration(model, bench.calibration)
        blocks = parse_blocks(bench.blocks, model.n_blocks)
        settings = plan(model, bench.label, calibration, blocks=blocks, target=bench.target)
        # Records and manifest are written between a block's last linear and this event.
        hooks = Hooks(phases.step, block=lambda *_: phases.end("save"))
        quantize_model(model, crew, settings, sequences, out=out, hooks=hooks)
    phases.end("quantize")
    model.save(out)
    phases.end("save")
    return phases.seconds


def _records(out: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(record_path(out, 0).parent.iterdir())]


def measure_model(
    bench: ModelBench, workers: int, repeats: int, bar: Bar
) -> Iterator[dict[str, Any]]:
    """Time the phases with one process and with several, in turn.

    Parameters
    ----------
    bench : ModelBench
        What to run.
    workers : int
        Number of processes.
    repeats : int
        Runs of each.
    bar : Bar
        Shows the progress.

    Yields
    ------
    dict
        Phase, both medians in seconds, and how many times as long one process takes.

    Raises
    ------
    SubbitError
        If both do not write the same records.
    """
    times: dict[int, list[dict[str, float]]] = {1: [], workers: []}
    records = []
    for repeat in range(repeats):
        for count, found in times.items():
            with tempfile.TemporaryDirectory(prefix="subbit-bench-") as folder:
                found.append(time_phases(bench, count, Path(folder, "run")))
                records.append(_records(Path(folder, "run")))
            bar.step(f"workers {count}, run {repeat + 1}")
    if any(one != records[0] for one in records):
        message = f"the records of one process and of {workers} differ"
        raise SubbitError(message)
    for phase in (*PHASES, "total"):
        one, several = (
            statistics.median(sum(run.values()) if phase == "total" else run[phase] for run in runs)
            for runs in (times[1], times[workers])
        )
        yield {"phase": phase, "one": one, "several": several, "ratio": one / several}


def _table(rows: list[dict[str, Any]], bench: ModelBench, workers: int) -> Table:
    columns = ("phase", "workers 1, s", f"workers {workers}, s", "ratio")
    cells = tuple(
        (row["phase"], *(f"{row[key]:.2f}" for key in ("one", "several", "ratio"))) for row in rows
    )
    drawn = bench.calibration
    notes = (
        f"{bench.label} by {bench.target}, {bench.model}, decoder blocks {bench.blocks}",
        f"calibration: {drawn.text}, {drawn.samples} samples of {drawn.length} tokens",
        "seconds on the wall; the records of both are the same to the last bit",
    )
    return Table("Phases of a run", columns, cells, notes)


def model_command(
    *,
    model: Annotated[str, typer.Option(help="as for quantize")] = "smollm2-135m",
    method: Annotated[
        str, typer.Option(help="METHOD:PRESET@N:M/BUDGET+PROPAGATION")
    ] = "billm:paper",
    blocks: Annotated[str, typer.Option(help="decoder blocks START:STOP")] = "0:2",
    calibration: Annotated[
        str, typer.Option(help="calibration: a named text or a file")
    ] = "enwiki-excerpt:calibration",
    samples: Annotated[int, typer.Option(help="calibration sequences")] = 16,
    length: Annotated[int, typer.Option(help="tokens per calibration sequence")] = 1024,
    target: Annotated[str, typer.Option(help="port that quantizes the layers")] = "reference",
    workers: Annotated[
        int | None, typer.Option(min=2, help="processes; as many as processors by default")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="runs of each")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the numbers here")] = None,
) -> None:
    """Time load, calibration, quantization and saving, with one process and with several."""
    with refusals():
        check_writable({"--json": json_file})
        drawn = CalibrationOptions(calibration, samples, length, 0)
        bench = ModelBench(model, check_label(method), blocks, drawn, target)
        count = max(available_processors(), 2) if workers is None else workers
        with Bar("bench model", 2 * repeats, make_console(stderr=True)) as bar:
            rows = list(measure_model(bench, count, repeats, bar))
        _table(rows, bench, count).show(make_console())
        if json_file is not None:
            content = {"machine": machine(), "workers": count, "rows": rows}
            json_file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
