"""Quantization of a model, decoder block by decoder block
=======================================================

If weights are pruned to N:M, the number that each decoder block keeps is planned first, and
the plan is saved. Then for each decoder block: compute Hessians of its inputs from the block
at full precision; quantize each chosen linear by a port, here or in other processes (``crew``);
round scales to their storage type; put the decoded weights into the model; save the records and
the manifest; and pass the hidden states through the quantized block. With error propagation
(``streams``) a block is calibrated and quantized input by input instead, on what is quantized
already, and a second array of hidden states passes through it at full precision.

Hidden states are not saved. A resumed run restores the finished blocks' weights from their
records and runs the sequences through them again. This repeats the same operations on the
same numbers, so the following blocks are the same to the last bit, whatever the number of
workers and of threads, wherever BLAS and NumPy have the same kernels.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from subbit.conformance.models.base import (
    DecoderModel,
    Float32,
    Linear,
    Tokens,
    check_tokens,
)
from subbit.conformance.models.claim import claim
from subbit.reference.errors import ArgumentError, SubbitError
from subbit.reference.storage.record_tensors import RecordError

from .budgets import count_budget_steps, plan_kept
from .calibrate import Step, advance, check_finite, embed, ignore
from .crew import Crew, Here, Notice, Task
from .held import digest_of, read_block, weights_digest
from .kernels import arithmetic, differences, on_one_thread
from .labels import CARRIED
from .layer_jobs import Clock, LayerAnswer, LayerJob, narrowed, place_name
from .manifest import (
    LAYER_FOLDER,
    MANIFEST,
    BlockResult,
    LayerResult,
    Manifest,
    Settings,
    check_same,
    load_manifest,
    record_path,
    tokens_digest,
)
from .plan import chosen_linears, count_calibrations
from .rates import bits_left, bits_left_before, stage_rates
from .records import is_unused, join_packed, write_atomically
from .streams import OneStream, Stage, Streams


def _nothing(*_: object) -> None:
    """Ignore an event.

    Parameters
    ----------
    *_ : object
        Its description.
    """


def warn(sentence: str) -> None:
    """Warn of work that was lost and is done again.

    Parameters
    ----------
    sentence : str
        What happened.
    """
    warnings.warn(sentence, RuntimeWarning, stacklevel=2)


@dataclass(frozen=True)
class Hooks:
    """Callbacks for the progress of a run.

    Parameters
    ----------
    step : callable
        Called as ``step(note)`` after each unit of work; see `count_steps`.
    layer : callable
        Called with the `LayerResult` of each linear, in the order of the block's linears.
    block : callable
        Called as ``block(index, manifest)`` when a decoder block of the model has its
        final weights, whether quantized now, earlier, or not at all.
    notice : callable
        Called with a sentence about work that was lost and is done again; a warning by default.
    """

    step: Step = ignore
    layer: Callable[[LayerResult], None] = _nothing
    block: Callable[[int, Manifest], None] = _nothing
    notice: Notice = warn


class _Run:
    """One quantization run, with the state that its steps share."""

    def __init__(
        self, model: DecoderModel, port: object, settings: Settings, hooks: Hooks, out: Path | None
    ) -> None:
        self.entry, self.config = settings.choice.entry, settings.choice.config()
        self.crew = port if isinstance(port, Crew) else Here(port)
        correction = settings.propagation
        for needed in (self.entry, *(["propagated_weights"] if correction else [])):
            if not self.crew.has(needed):
                raise ArgumentError("target", f"a port that has {needed}", settings.target)
        self.streams = Streams(model, correction) if correction else OneStream(model)
        self.model, self.settings, self.hooks, self.out = model, settings, hooks, out

    def check_weights(self) -> None:
        """Find bad weights before anything is written."""
        for index in range(*self.settings.blocks):
            for linear in chosen_linears(self.model, self.settings, index):
                where = f"model: the weight of {linear.name} in decoder block {index} holds"
                check_finite(where, self.model.weight(index, linear.name))

    def plan(self, sequences: Tokens, manifest: Manifest) -> Manifest:
        """Plan the number that each decoder block keeps, or use the existing plan."""
        pattern, budget = self.settings.keep, self.settings.budget
        if pattern is None:
            return manifest
        if manifest.kept is None:
            kept = plan_kept(self.model, budget, pattern, sequences, self.hooks.step)
            manifest = replace(manifest, kept=kept)
        else:
            for index in range(count_budget_steps(self.model, budget)):
                self.hooks.step(f"budget, block {index}, restored")
        if self.out is not None:
            manifest.save(self.out)
        return manifest

    def job(self, index: int, linear: Linear, stage: Stage, payload: float | None) -> LayerJob:
        """Return all that the quantization of a linear needs."""
        changes = {} if payload is None else {"payload": payload}
        return LayerJob(
            block=index,
            linear=linear,
            target=self.settings.target,
            entry=self.entry,
            config=self.config.changed(**changes) if changes else self.config,
            scales=self.settings.scales,
            W=narrowed(self.model.weight(index, linear.name)),
            H=stage.hessians[linear.input_name],
            deviations=stage.deviations.get(linear.name),
        )

    def quantize_stage(
        self, index: int, stage: Stage, rates: Mapping[str, float]
    ) -> list[LayerAnswer]:
        """Quantize linears, in any order, and put their decoded weights into the model."""
        self.hooks.step(f"block {index}, {stage.note}")
        linears = stage.linears
        tasks = [
            Task(
                place_name(index, linear.name),
                linear.shape[0] * linear.shape[1],
                partial(self.job, index, linear, stage, rates.get(linear.name)),
            )
            for linear in linears
        ]
        answers: dict[int, LayerAnswer] = {}
        told = 0
        for place, answer in self.crew.answers(tasks, self.hooks.notice):
            name = linears[place].name
            self.model.set_weight(index, name, answer.decode())
            answers[place] = answer
            self.hooks.step(f"block {index}, {name}")
            while told in answers:
                self.hooks.layer(answers[told].result)
                told += 1
        return [answers[place] for place in range(len(linears))]

    def answers(
        self, index: int, linears: Sequence[Linear], hidden: Float32, left: float | None
    ) -> list[LayerAnswer]:
        """Quantize the linears of a decoder block, stage by stage, with bits that are left."""
        answers: list[LayerAnswer] = []
        for stage in self.streams.gather(index, linears, hidden):
            if left is None:
                answers += self.quantize_stage(index, stage, {})
                continue
            payload = self.config.payload
            rates = stage_rates(payload, stage.linears, linears, left)
            found = self.quantize_stage(index, stage, rates)
            results = [answer.result for answer in found]
            left += bits_left(payload, results, stage.linears, linears)
            answers += found
        return answers

    def quantize_block(self, index: int, hidden: Float32, manifest: Manifest) -> BlockResult:
        """Calibrate and quantize one decoder block, and save its records."""
        clock = Clock()
        linears = chosen_linears(self.model, self.settings, index)
        source = weights_digest(self.model, index, [linear.name for linear in linears])
        carried = self.settings.budget == CARRIED
        left = bits_left_before(self.config.payload, manifest, index) if carried else None
        answers = self.answers(index, linears, hidden, left)
        packed = {answer.result.name: (answer.layout, answer.tensors) for answer in answers}
        data = join_packed(packed, scales=self.settings.scales, about=self.about(index))
        if self.out is not None:
            path = record_path(self.out, index)
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, data)
        results = tuple(answer.result for answer in answers)
        elsewhere = sum(answer.result.cpu_seconds for answer in answers if answer.apart)
        times = clock.read(elsewhere)
        return BlockResult(
            index, results, len(data), **times, sha256=digest_of(data), source=source
        )

    def about(self, index: int) -> dict[str, Any]:
        """Return the origin of a record file."""
        keys = ("model", "method", "preset", "config", "target", "version")
        about = {key: getattr(self.settings, key) for key in keys}
        if self.settings.propagation is not None:
            about["propagation"] = str(self.settings.propagation)
        return {"block": index, **about, "config": dict(sorted(self.config.written().items()))}

    def restore_block(self, manifest: Manifest, done: BlockResult, out: Path) -> bool:
        """Put a finished block's weights into the model, unless its records are not whole."""
        names = [layer.name for layer in done.layers]
        made_from = done.source
        if made_from and made_from != weights_digest(self.model, done.block, names):
            message = f"{out}: decoder block {done.block} was made from other weights than those of"
            raise SubbitError(f"{message} {self.model.name} now")
        try:
            set_weights(self.model, out, manifest, done)
        except RecordError as error:
            self.hooks.notice(f"{error}; decoder block {done.block} is quantized again")
            return False
        # As many steps as making them.
        linears = chosen_linears(self.model, self.settings, done.block)
        for _ in range(len(names) + count_calibrations(self.settings, linears)):
            self.hooks.step(f"block {done.block}, restored")
        return True

    def finish_block(self, index: int, hidden: Float32, manifest: Manifest) -> Manifest:
        """Restore a decoder block or quantize it, and save the manifest."""
        done = manifest.find(index)
        if done is not None and self.out and self.restore_block(manifest, done, self.out):
            return manifest
        kept = None if manifest.kept is None else manifest.kept[index]
        self.config = self.settings.choice.config(kept)
        made = self.quantize_block(index, hidden, manifest)
        if done is not None and made.sha256 != done.sha256:
            # Later blocks were made from the hidden states of other weights.
            self.hooks.notice(f"decoder block {index} differs from before; later ones are redone")
            manifest = manifest.before(index)
        manifest = manifest.with_block(made)
        if self.out is not None:
            manifest.save(self.out)
        return manifest

    def go_on(self, sequences: Tokens, manifest: Manifest) -> Manifest:
        """Go through the decoder blocks, and say so where records may come out differently."""
        if manifest.arithmetic and (said := differences(arithmetic(), manifest.arithmetic)):
            self.hooks.notice(f"{self.out} was started with {said}: last bits may differ")
        return self.run(sequences, manifest)

    def run(self, sequences: Tokens, manifest: Manifest) -> Manifest:
        """Go through the decoder blocks."""
        manifest = self.plan(sequences, manifest)
        hidden = embed(self.model, sequences)
        stop = self.settings.blocks[1]
        for index in range(stop):
            if linears := chosen_linears(self.model, self.settings, index):
                self.streams.begin(index, linears, hidden)
                manifest = self.finish_block(index, hidden, manifest)
            self.hooks.block(index, manifest)
            if index + 1 < stop:
                self.streams.leave(index)
                advance(self.model, index, hidden)
            self.hooks.step(f"block {index}, done")
        return manifest


def set_weights(model: DecoderModel, folder: Path, manifest: Manifest, done: BlockResult) -> None:
    """Put weights from a run's records into one block of a model.

    Parameters
    ----------
    model : DecoderModel
        The model at full precision.
    folder : Path
        The run's folder.
    manifest : Manifest
        Its manifest.
    done : BlockResult
        The block.

    Raises
    ------
    RecordError
        If the record file is damaged, or not the one that the run has written.
    """
    for name, layer in read_block(folder, manifest, done).layers.items():
        model.set_weight(done.block, name, layer.decode())


def check_folder(out: Path, settings: Settings, *, resume: bool) -> None:
    """Refuse a folder that a run cannot use, without touching it.

    Parameters
    ----------
    out : Path
        The folder.
    settings : Settings
        The run.
    resume : bool
        Whether to continue an unfinished run with the same settings.

    Raises
    ------
    SubbitError
        If there is other content, or a run with other settings.
    """
    if is_unused(out):
        return
    if not (out / MANIFEST).is_file():
        message = f"{out}: exists and holds something other than a run of subbit"
        raise SubbitError(message)
    if not resume:
        message = f"{out}: holds a run already; --resume continues it"
        raise SubbitError(message)
    check_same(settings, load_manifest(out).settings, f"{out}: the run there")


def _open_folder(out: Path, settings: Settings, *, resume: bool) -> Manifest:
    check_folder(out, settings, resume=resume)
    if (out / MANIFEST).is_file():
        return load_manifest(out)
    manifest = Manifest(settings, arithmetic=arithmetic())
    manifest.save(out)
    return manifest


def quantize_model(
    model: DecoderModel,
    port: object,
    settings: Settings,
    sequences: Tokens,
    *,
    out: Path | None = None,
    resume: bool = False,
    hooks: Hooks | None = None,
    kept: tuple[int, ...] | None = None,
) -> Manifest:
    """Quantize a model's chosen linears, in place.

    Parameters
    ----------
    model : DecoderModel
        The model; afterwards it has the decoded weights.
    port : object or Crew
        Quantizes the layers: a port, which has the functions of ``subbit.reference``, or a crew,
        which has ports in other processes.
    settings : Settings
        Settings, as from `plan`.
    sequences : ndarray of int64, shape (N, L)
        Calibration sequences.
    out : Path, optional
        Folder for records and state; None keeps nothing.
    resume : bool, default False
        Continue the run that `out` holds. A folder without one starts a new run.
    hooks : Hooks, optional
        Callbacks for the run's progress.
    kept : tuple of int, optional
        Number that each decoder block keeps, as `plan_kept` returns it for these settings;
        planned by default.

    Returns
    -------
    Manifest
        Settings and results.

    Raises
    ------
    SubbitError
        If the model, the folder or a layer is refused.
    OSError
        If `out` cannot be written; its finished blocks stay valid.
    """
    run = _Run(model, port, settings, hooks or Hooks(), out)
    check_tokens(sequences, model.vocabulary, model.context)
    if settings.calibration.sha256 != tokens_digest(sequences):
        raise ArgumentError("sequences", "those that the settings describe", "others")
    if kept is not None and (settings.keep is None or len(kept) != model.n_blocks):
        expected = f"{model.n_blocks} counts, and settings that prune to N:M"
        raise ArgumentError("kept", expected, f"{len(kept)} for {settings.label}")
    if out is None:
        run.check_weights()
        with on_one_thread():
            return run.run(sequences, Manifest(settings, kept=kept))
    check_folder(out, settings, resume=resume)
    run.check_weights()
    out.mkdir(parents=True, exist_ok=True)
    with claim(out, LAYER_FOLDER), on_one_thread():
        manifest = _open_folder(out, settings, resume=resume)
        return run.go_on(sequences, replace(manifest, kept=manifest.kept or kept))
