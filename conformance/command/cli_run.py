"""The commands quantize, evaluate and bits
========================================

The work of the commands in ``cli`` once their options are read. This module imports
everything the work needs, so it is imported when the work begins.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from subbit.conformance.command.cli_tables import bits_table, score_table, summary_table
from subbit.conformance.command.console import Bar, make_console, under_way
from subbit.conformance.command.crews import AUTOMATIC, CrewOptions, open_crew
from subbit.conformance.command.outputs import made_for
from subbit.conformance.memory import check_memory
from subbit.conformance.models.base import DecoderModel, Tokens, check_tokenized
from subbit.conformance.models.load import load_model
from subbit.conformance.runs.calibrate import batches, check_room
from subbit.conformance.runs.evaluate import evaluate, evaluation_windows
from subbit.conformance.runs.held import check_checkpoint, save_checkpoint, verify
from subbit.conformance.runs.inventory import take_inventory
from subbit.conformance.runs.labels import parse_label
from subbit.conformance.runs.manifest import (
    MANIFEST,
    Calibration,
    LayerResult,
    Manifest,
    load_manifest,
    tokens_digest,
)
from subbit.conformance.runs.plan import (
    count_steps,
    describe_calibration,
    parse_blocks,
    plan,
    recorded,
)
from subbit.conformance.runs.quantize import Hooks, check_folder, quantize_model, set_weights
from subbit.conformance.runs.records import SCALE_TYPES
from subbit.conformance.runs.study import Windows
from subbit.conformance.texts.text import load_documents, load_text, sample_sequences
from subbit.reference.errors import ArgumentError, SubbitError, check_choice, check_count

CHARACTERS = 16
"""Characters that are read for each token, four times as many as most have."""
TOKENIZING = 256
"""Bytes that a tokenizer holds for each character, where each is a token."""


@dataclass(frozen=True)
class CalibrationOptions:
    """Options of the calibration."""

    text: str
    samples: int
    length: int
    seed: int
    bos: bool = False


@dataclass(frozen=True)
class QuantizeOptions:
    """Options of a run."""

    model: str
    label: str
    calibration: CalibrationOptions
    out: Path
    blocks: str | None
    parts: str | None
    target: str
    scales: str
    resume: bool
    verbose: bool
    checkpoint: bool
    crew: CrewOptions = AUTOMATIC


@dataclass(frozen=True)
class PropagateOptions:
    """Options of the error propagation."""

    name: str | None = None
    alpha: float | None = None
    beta: float | None = None
    ridge: float | None = None

    @property
    def word(self) -> str | None:
        """The part of a label that they are."""
        numbers = {"alpha": self.alpha, "beta": self.beta, "ridge": self.ridge}
        given = {name: number for name, number in numbers.items() if number is not None}
        if self.name is None:
            for name in given:
                raise ArgumentError(f"--{name}", "--propagate alongside it", f"--{name}")
            return None
        return ":".join([self.name, *(f"{name}={number!r}" for name, number in given.items())])


def join_label(
    method: str,
    preset: str,
    keep: str | None,
    budget: str | None,
    propagate: PropagateOptions = PropagateOptions(),
) -> str:
    """Join the options that are parts of a label."""
    chosen = (":", preset or None), ("@", keep), ("/", budget), ("+", propagate.word)
    return method + "".join(mark + word for mark, word in chosen if word is not None)


def check_label(label: str) -> str:
    """Return a label in full, before anything is loaded."""
    return str(parse_label(label))


def words(text: str | None) -> tuple[str, ...] | None:
    """Split a list at commas."""
    return None if text is None else tuple(word.strip() for word in text.split(","))


def draw_calibration(
    model: DecoderModel, options: CalibrationOptions
) -> tuple[Tokens, Calibration]:
    """Draw the calibration sequences."""
    check_count("length", options.length, 2, model.context)
    check_count("samples", options.samples)
    check_count("seed", options.seed, 0)
    check_room(model, options.samples, options.length)
    first = first_token(model) if options.bos else None
    documents = load_documents(options.text, "calibration").documents
    tokens = [
        without_first(tokenized(model, document, "calibration"), first) for document in documents
    ]
    check_tokenized(tokens, model.vocabulary)
    length = options.length - (first is not None)
    drawn = sample_sequences(tokens, options.samples, length, options.seed)
    sequences = put_first(drawn, first)
    return sequences, describe_calibration(options.text, options.seed, sequences, first)


def first_token(model: DecoderModel) -> int:
    """Return the token that --bos puts first."""
    if model.first_token is None:
        raise ArgumentError("--bos", "a model that names a first token", model.name)
    return model.first_token


def without_first(tokens: Tokens, first: int | None) -> Tokens:
    """Leave out the first token that a tokenizer has put there itself."""
    return tokens[1:] if first is not None and len(tokens) and tokens[0] == first else tokens


def put_first(sequences: Tokens, first: int | None) -> Tokens:
    """Put a token before every sequence."""
    if first is None:
        return sequences
    return np.concatenate([np.full((len(sequences), 1), first), sequences], axis=1)


def tokens_of(model: DecoderModel, text: str, needed: int | None = None) -> Tokens:
    """Return the tokens of a text, or of so much of it that the needed ones are far from its end.

    What follows thousands of tokens later does not change them.
    """
    most = None if needed is None else CHARACTERS * needed + 2**16
    while True:
        loaded = load_text(text, "text", most)
        tokens = tokenized(model, loaded, "text")
        if most is None or needed is None or len(loaded) < most or len(tokens) >= 2 * needed:
            return tokens
        most *= 2


def tokenized(model: DecoderModel, text: str, argument: str) -> Tokens:
    """Return the tokens of a text, if there is memory for what the library keeps of each."""
    check_memory(argument, TOKENIZING * len(text), f"the tokens of {len(text):,} characters")
    return model.tokenize(text)


def cut_windows(
    model: DecoderModel, text: str, length: int, windows: int | None, *, bos: bool = False
) -> tuple[Tokens, Windows]:
    """Cut the evaluation text into windows."""
    check_count("window length", length, 2, model.context)
    recorded("text", text)
    first = first_token(model) if bos else None
    own = length - (first is not None)
    needed = None if windows is None else check_count("windows", windows) * own
    tokens = without_first(tokens_of(model, text, needed), first)
    check_tokenized([tokens], model.vocabulary)
    cut = evaluation_windows(tokens, length=own, windows=windows)
    cut = put_first(cut, first)
    return cut, Windows(text, len(cut), length, tokens_digest(cut), first)


def _layer_line(result: LayerResult) -> str:
    bits = f"{result.nominal / result.weights:.3f} / {result.payload_bits / result.weights:.3f}"
    return (
        f"block {result.block} {result.name}: relative error {result.relative_error:.4f}, "
        f"nominal / payload bits {bits}, salient {result.salient_share:.1%}, "
        f"{result.cpu_seconds:.2f} CPU-s"
    )


def loaded(spec: str) -> DecoderModel:
    """Load a model, and say so meanwhile; hold the checkpoint of a run to its manifest."""
    with under_way(f"loading {spec}"):
        folder = Path(spec if Path(spec).exists() else spec.partition(":")[2] or spec)
        if (folder / MANIFEST).is_file():
            check_checkpoint(folder, load_manifest(folder))
        return load_model(spec)


def tell_kept(model: DecoderModel) -> None:
    """Name the matrices of decoder blocks that no run quantizes, such as routers."""
    blocks = range(model.n_blocks)
    kept = dict.fromkeys(name for index in blocks for name in model.kept(index))
    if kept:
        text = f"in full precision, beside embedding, norms and head: {', '.join(kept)}"
        make_console(stderr=True).print(text, markup=False, soft_wrap=True)


def run_quantize(options: QuantizeOptions) -> None:
    """Quantize a model and print the results."""
    label = check_label(options.label)
    check_choice("scales", options.scales, SCALE_TYPES)
    with open_crew(options.target, options.crew) as crew, made_for(options.out):
        model = loaded(options.model)
        sequences, calibration = draw_calibration(model, options.calibration)
        settings = plan(
            model,
            label,
            calibration,
            blocks=parse_blocks(options.blocks, model.n_blocks),
            parts=words(options.parts),
            scales=options.scales,
            target=options.target,
        )
        check_folder(options.out, settings, resume=options.resume)
        tell_kept(model)
        with Bar(label, count_steps(model, settings), make_console(stderr=True)) as bar:
            hooks = Hooks(bar.step, notice=bar.line)
            if options.verbose:
                hooks = replace(hooks, layer=lambda result: bar.line(_layer_line(result)))
            manifest = quantize_model(
                model,
                crew,
                settings,
                sequences,
                out=options.out,
                resume=options.resume,
                hooks=hooks,
            )
        if options.checkpoint:
            manifest = save_checkpoint(model, options.out, manifest)
    console = make_console()
    summary_table(manifest, take_inventory(options.out, manifest)).show(console)


def open_run(spec: str) -> tuple[DecoderModel, Manifest | None]:
    """Load a model, or the quantized model in a run's folder.

    A run without a finished checkpoint is rebuilt from its model and its records.
    """
    folder = Path(spec)
    if not (folder / MANIFEST).is_file():
        return loaded(spec), None
    manifest = load_manifest(folder)
    if not manifest.complete:
        message = f"{folder}: the run there is not finished; continue it with quantize --resume"
        raise SubbitError(message)
    if (folder / "config.json").is_file() and manifest.checkpoint != {}:
        return loaded(spec), manifest
    model = loaded(manifest.settings.model)
    for block in manifest.blocks:
        set_weights(model, folder, manifest, block)
    return model, manifest


def run_evaluate(
    spec: str, text: str, length: int, windows: int | None, *, reference: str | None, bos: bool
) -> None:
    """Evaluate a model and print its perplexity."""
    model, manifest = open_run(spec)
    tokens, used = cut_windows(model, text, length, windows, bos=bos)
    other = None if reference is None else loaded(reference)
    steps = sum(1 for _ in batches(tokens.shape))
    with Bar("evaluate", steps, make_console(stderr=True)) as bar:
        measured = evaluate(model, tokens, other, bar.step)
    held = {} if manifest is None else take_inventory(Path(spec), manifest)
    names = (model.name, model.precision)
    score_table(names, manifest, measured, used, held).show(make_console())


def run_verify(folder: Path) -> bool:
    """Hold a run's files to its manifest, and say which are whole."""
    manifest = load_manifest(folder)
    console, faults, whole = make_console(), 0, 0
    for part in verify(folder, manifest):
        faults, whole = faults + bool(part.fault), whole + (not part.fault)
        console.print(f"{part.what}: {part.fault or 'whole'}", markup=False, soft_wrap=True)
    left = len(range(*manifest.settings.blocks)) - len(manifest.blocks)
    if manifest.checkpoint == {}:
        left += 1
        console.print("checkpoint: not finished")
    said = f"{whole} whole, {faults} not, {left} not finished"
    again = "; quantize --resume makes them" if faults or left else ""
    console.print(f"{said}{again}", soft_wrap=True)
    if any(block.sha256 is None for block in manifest.blocks):
        console.print("The manifest is of an older version: files were held to what they say.")
    return not (faults or left)


def run_bits(folder: Path, console: Console | None = None) -> None:
    """Count the bits of a run's files."""
    manifest = load_manifest(folder)
    if not manifest.blocks:
        message = f"{folder}: the run there has no finished decoder block yet"
        raise SubbitError(message)
    bits_table(manifest, take_inventory(folder, manifest)).show(console or make_console())
