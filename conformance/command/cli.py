"""The `subbit` command
====================

Options only; the work is in ``cli_run`` and ``cli_curve``, which are imported when a
command runs, so ``subbit --help`` is instant.

Exit codes: 0 done, 1 a port diverges (``check``), 2 refused with one sentence,
130 interrupted with Ctrl-C; ``check`` has more, see ``verdicts``.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from subbit.conformance.command.console import refusals
from subbit.reference.errors import ArgumentError

MODEL_HELP = "smollm2-135m, tiny, a Hugging Face folder, a .gguf file or a hub name"
TEXT_HELP = "a named text or a file"
LABEL_HELP = "METHOD:PRESET@N:M/BUDGET+PROPAGATION, all but METHOD optional; may be repeated"
INIT_PORT_HELP = "Write a port that has every function of the protocol, to be filled in."
CHECK_HELP = "Report where a port agrees with the specification, or with the authors' code."
BENCH_HELP = "Measure speed and memory."
VECTORS_HELP = "Cases in files, for ports in any language."
SCOREBOARD_HELP = "Make one table, in Markdown, of several reports."
DOCTOR_HELP = "Tell what can run here, what is missing, and what installs it."
FRONTIER_HELP = "Compare whole models by payload bits, on several texts."
STUDY_HELP = "Measure the claims of a paper."
GO_ON = "; finished decoder blocks are kept, --resume continues the run"

Model = Annotated[str, typer.Argument(help=MODEL_HELP)]
CalibrationText = Annotated[str, typer.Option("--calibration", help=f"calibration: {TEXT_HELP}")]
Samples = Annotated[int, typer.Option(help="calibration sequences")]
Length = Annotated[int, typer.Option(help="tokens per calibration sequence")]
Seed = Annotated[int, typer.Option(help="seed for sampling positions")]
EvaluationText = Annotated[str, typer.Option("--text", help=f"evaluation: {TEXT_HELP}")]
Blocks = Annotated[str | None, typer.Option(help="decoder blocks START:STOP; all by default")]
Parts = Annotated[str | None, typer.Option(help="kinds of linears, such as q,k,o")]
Target = Annotated[str, typer.Option(help="port that quantizes the layers")]
Keep = Annotated[
    str | None, typer.Option(help="N:M, keep N of every M weights; the preset's by default")
]
Budget = Annotated[
    str | None,
    typer.Option(
        help="how N is set per decoder block: uniform, or by norm, outlier or coarse; "
        "norm-exact and so on keep N on average. For typed groups, carried: bits that a linear "
        "leaves go to later ones"
    ),
]
Propagate = Annotated[
    str | None,
    typer.Option(help="correct the error of the layers before: qep, gptaq, loaq or half"),
]
Alpha = Annotated[float | None, typer.Option(help="share of a layer's own correction")]
Beta = Annotated[float | None, typer.Option(help="share of the residual stream's correction")]
Ridge = Annotated[float | None, typer.Option(help="ridge relative to the mean diagonal")]
Scales = Annotated[str, typer.Option(help="stored scales: float16, float32 or float64")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="processes that quantize linears; one for each processor by default"),
]
Scheduler = Annotated[
    str | None,
    typer.Option(help="address of a dask scheduler whose workers quantize, in place of processes"),
]

Bos = Annotated[
    bool,
    typer.Option("--bos", help="begin every sequence and window with the model's first token"),
]

EMBEDDED_CALIBRATION = "enwiki-excerpt:calibration"
EMBEDDED_EVALUATION = "enwiki-excerpt:evaluation"


def quantize_command(
    *,
    model: Model,
    method: Annotated[str, typer.Option(help="for example rtn, gptq, billm, arb-rc or stbllm")],
    out: Annotated[Path, typer.Option(help="folder for records, state and checkpoint")],
    preset: Annotated[str, typer.Option(help="a preset of the method; its first by default")] = "",
    keep: Keep = None,
    budget: Budget = None,
    propagate: Propagate = None,
    alpha: Alpha = None,
    beta: Beta = None,
    ridge: Ridge = None,
    calibration: CalibrationText = EMBEDDED_CALIBRATION,
    samples: Samples = 32,
    length: Length = 1024,
    seed: Seed = 0,
    bos: Bos = False,
    blocks: Blocks = None,
    parts: Parts = None,
    target: Target = "reference",
    scales: Scales = "float16",
    resume: Annotated[bool, typer.Option("--resume", help="continue the run in OUT")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="print a line per layer")] = False,
    no_checkpoint: Annotated[
        bool, typer.Option("--no-checkpoint", help="write only layer records")
    ] = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
) -> None:
    """Quantize a model decoder block by decoder block."""
    with refusals(GO_ON):
        from subbit.conformance.command.cli_run import (
            CalibrationOptions,
            PropagateOptions,
            QuantizeOptions,
            join_label,
            run_quantize,
        )
        from subbit.conformance.command.crews import CrewOptions

        propagation = PropagateOptions(propagate, alpha, beta, ridge)
        run_quantize(
            QuantizeOptions(
                model=model,
                label=join_label(method, preset, keep, budget, propagation),
                calibration=CalibrationOptions(calibration, samples, length, seed, bos),
                out=out,
                blocks=blocks,
                parts=parts,
                target=target,
                scales=scales,
                resume=resume,
                verbose=verbose,
                checkpoint=not no_checkpoint,
                crew=CrewOptions(workers, scheduler),
            )
        )


def evaluate_command(
    *,
    model: Annotated[str, typer.Argument(help=f"a folder written by quantize, or {MODEL_HELP}")],
    text: EvaluationText = EMBEDDED_EVALUATION,
    length: Annotated[int, typer.Option(help="tokens per window")] = 2048,
    windows: Annotated[int | None, typer.Option(help="number of windows; all by default")] = None,
    reference: Annotated[
        str | None, typer.Option(help="model to measure the KL divergence from")
    ] = None,
    bos: Bos = False,
) -> None:
    """Compute the perplexity of a model, and its KL divergence from another."""
    with refusals():
        from subbit.conformance.command.cli_run import run_evaluate

        run_evaluate(model, text, length, windows, reference=reference, bos=bos)


def bits_command(
    folder: Annotated[Path, typer.Argument(help="a folder written by quantize")],
) -> None:
    """Count nominal, payload and artifact bits of a quantized model."""
    with refusals():
        from subbit.conformance.command.cli_run import run_bits

        run_bits(folder)


def verify_command(
    run: Annotated[Path, typer.Argument(help="folder of a run")],
) -> None:
    """Hold a run's record files to its manifest, and say which decoder blocks are whole."""
    with refusals():
        from subbit.conformance.command.cli_run import run_verify

        if not run_verify(run):
            raise typer.Exit(1)


def curve_command(
    *,
    model: Model,
    method: Annotated[list[str], typer.Option(help=LABEL_HELP)],
    out: Annotated[Path, typer.Option(help="folder for results; a second call continues there")],
    ks: Annotated[
        str | None,
        typer.Option(help="prefix lengths; by default 1,2,4,8,all, as far as the model goes"),
    ] = None,
    calibration: CalibrationText = EMBEDDED_CALIBRATION,
    samples: Samples = 32,
    length: Length = 1024,
    seed: Seed = 0,
    bos: Bos = False,
    text: EvaluationText = EMBEDDED_EVALUATION,
    window: Annotated[int, typer.Option(help="tokens per evaluation window")] = 512,
    windows: Annotated[int, typer.Option(help="number of evaluation windows")] = 6,
    blocks: Annotated[
        str | None, typer.Option(help="decoder blocks START:STOP in the part table")
    ] = None,
    parts: Parts = None,
    no_parts: Annotated[bool, typer.Option("--no-parts", help="skip the part table")] = False,
    plot: Annotated[Path | None, typer.Option(help="write a plot: .png, .svg or .pdf")] = None,
    target: Target = "reference",
    scales: Scales = "float16",
    workers: Workers = None,
    scheduler: Scheduler = None,
) -> None:
    """Compare methods by prefix curve and by kind of projection."""
    with refusals("; finished points are kept, the same command continues"):
        from subbit.conformance.command.cli_curve import CurveOptions, run_curve
        from subbit.conformance.command.cli_run import CalibrationOptions
        from subbit.conformance.command.crews import CrewOptions

        run_curve(
            CurveOptions(
                model=model,
                labels=tuple(method),
                ks=ks,
                calibration=CalibrationOptions(calibration, samples, length, seed, bos),
                text=text,
                window=window,
                windows=windows,
                out=out,
                blocks=blocks,
                parts=parts,
                with_parts=not no_parts,
                scales=scales,
                target=target,
                plot=plot,
                crew=CrewOptions(workers, scheduler),
            )
        )


def demo_command(
    *,
    out: Annotated[Path | None, typer.Option(help="keep results and tables in this folder")] = None,
    whole: Annotated[
        bool, typer.Option("--all", help="four decoder blocks, in fifteen ways: ten minutes more")
    ] = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
) -> None:
    """Quantize two decoder blocks of a real model in eight ways and compare them."""
    with refusals():
        from subbit.conformance.command.cli_curve import run_demo
        from subbit.conformance.command.crews import CrewOptions

        run_demo(out, CrewOptions(workers, scheduler), whole=whole)


def kernels_command(
    *,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the numbers here")] = None,
    write_budget: Annotated[
        bool, typer.Option("--write-budget", help="save these numbers as the budget")
    ] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="list lines that the cases of a check never reach")
    ] = False,
    depth: Annotated[
        str | None, typer.Option(help="with --coverage: quick, ci or long; ci by default")
    ] = None,
) -> None:
    """Compile all kernels for four architectures and hold them to their budget."""
    with refusals():
        from subbit.conformance.command.outputs import check_writable

        if coverage and write_budget:
            raise ArgumentError("--write-budget", "no --coverage alongside it", "--coverage")
        if depth is not None and not coverage:
            raise ArgumentError("--depth", "--coverage alongside it", depth)
        check_writable({"--json": json_file})
        if coverage:
            from subbit.conformance.command.kernel_coverage import cover_kernels

            done = cover_kernels("ci" if depth is None else depth, json_file)
        else:
            from subbit.conformance.command.kernel_tables import check_kernels

            done = check_kernels(json_file, write_budget=write_budget)
        if not done:
            raise typer.Exit(1)


_HERE: Mapping[str, Callable[..., None]] = {
    "quantize": quantize_command,
    "evaluate": evaluate_command,
    "bits": bits_command,
    "verify": verify_command,
    "curve": curve_command,
    "demo": demo_command,
    "kernels": kernels_command,
}
# Modules that are slow to import, so they are imported only for their own commands.
_ELSEWHERE: Mapping[str, tuple[str, str, str]] = {
    "init-port": ("skeleton", "init_port_command", INIT_PORT_HELP),
    "check": ("check", "check_command", CHECK_HELP),
    "vectors": ("cli_vectors", "vectors_app", VECTORS_HELP),
    "scoreboard": ("scoreboard", "scoreboard_command", SCOREBOARD_HELP),
    "doctor": ("doctor", "doctor_command", DOCTOR_HELP),
    "bench": ("bench", "bench_app", BENCH_HELP),
    "frontier": ("cli_frontier", "frontier_command", FRONTIER_HELP),
    "study": ("cli_study", "study_app", STUDY_HELP),
}


def _print_version(asked: bool) -> None:  # noqa: FBT001  (typer hands it over)
    if asked:
        from subbit.reference import SPEC_VERSION, __version__

        typer.echo(f"subbit {__version__}, specification {SPEC_VERSION}")
        raise typer.Exit


def _top_command(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="print the version"),
    ] = False,
) -> None:
    """Executable specification of binary post-training quantization."""


def _placeholder() -> None:
    """Stand in for a command whose module is not needed now."""


def make_app(command: str | None = None) -> typer.Typer:
    """Assemble the commands.

    Parameters
    ----------
    command : str, optional
        The command that will run; modules of others may stay unimported.

    Returns
    -------
    Typer
        The application.
    """
    app = typer.Typer(
        name="subbit",
        callback=_top_command,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name, function in _HERE.items():
        app.command(name)(function)
    for name, (module, attribute, text) in _ELSEWHERE.items():
        found: object = _placeholder
        if name == command:
            home = importlib.import_module(f"subbit.conformance.command.{module}")
            found = getattr(home, attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        elif callable(found):
            app.command(name, help=text)(found)
    return app


def main() -> None:
    """Run the `subbit` command."""
    make_app(next(iter(sys.argv[1:]), None))()
