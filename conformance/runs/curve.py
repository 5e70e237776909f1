"""Several methods side by side
============================

Two tables show what a single perplexity of a small model hides: the prefix curve
(perplexity with the first k decoder blocks quantized) and the part table (with only one
kind of projection quantized). Blocks are quantized in order, each with those before it
already quantized; so the first k blocks of a longer run are those of a run that stops at
k, and one run gives a method's whole curve.

Each finished point is saved. A second call with the same settings starts from the saved
points and from the records of unfinished runs, and continues.
"""

import contextlib
import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from subbit.conformance.models.base import DecoderModel, Float32, Tokens
from subbit.reference.errors import ArgumentError, check_count

from .calibrate import Step, ignore
from .evaluate import PrefixEvaluator, Score, last_hidden, mean_error, score
from .labels import parse_label
from .manifest import LayerResult, Manifest, Settings
from .plan import count_steps, plan
from .quantize import Hooks, quantize_model
from .study import ALL_PARTS, Point, Results


def parse_counts(text: str, blocks: int) -> tuple[int, ...]:
    """Read a list of prefix lengths.

    Parameters
    ----------
    text : str
        Numbers and ``all``, separated by commas.
    blocks : int
        Decoder blocks of the model.

    Returns
    -------
    tuple of int
        The lengths in ascending order, each once.

    Raises
    ------
    ArgumentError
        If one of them is not a number from 1 to `blocks`.

    Examples
    --------
    >>> parse_counts("4,1,all,2", 30)
    (1, 2, 4, 30)
    """
    counts = set()
    for word in text.split(","):
        if word.strip() == "all":
            counts.add(blocks)
        elif word.strip().isdecimal():
            counts.add(check_count("ks", int(word), 1, blocks))
        else:
            raise ArgumentError("ks", "numbers and all, separated by commas", text)
    return tuple(sorted(counts))


def reset_peak() -> None:
    """Reset `peak_bytes`, if the system supports it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the peak resident memory of this process since `reset_peak`, or since its start.

    Returns
    -------
    int
        Bytes; 0 if the system does not report it.
    """
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text()
        if found := re.search(r"VmHWM:\s+(\d+) kB", status):
            return 1024 * int(found[1])
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _mean_bits(bits: Iterable[float], layers: Sequence[LayerResult]) -> float:
    return sum(bits) / sum(layer.weights for layer in layers)


def make_point(manifest: Manifest, part: str, stop: int, measured: Score) -> Point:
    """Build the point of a model whose blocks up to `stop` are quantized.

    Parameters
    ----------
    manifest : Manifest
        Results of the run.
    part : str
        The kind of projection, or ``"all"``.
    stop : int
        The block after the last quantized one.
    measured : Score
        Perplexity and divergence.

    Returns
    -------
    Point
        The point.
    """
    blocks = [block for block in manifest.blocks if block.block < stop]
    layers = [layer for block in blocks for layer in block.layers]
    divergence = measured.divergence
    return Point(
        label=manifest.settings.label,
        part=part,
        start=manifest.settings.blocks[0],
        stop=stop,
        perplexity=measured.perplexity,
        divergence=math.nan if divergence is None else divergence,
        mean_error=mean_error(layer.relative_error for layer in layers),
        nominal=_mean_bits((layer.nominal for layer in layers), layers),
        payload=_mean_bits((layer.payload_bits for layer in layers), layers),
        artifact=_mean_bits((8 * block.file_bytes for block in blocks), layers),
        seconds=sum(block.seconds for block in blocks),
        cpu_seconds=sum(block.cpu_seconds for block in blocks),
        peak_bytes=peak_bytes(),
    )


@dataclass(frozen=True)
class Job:
    """One quantization run and the blocks after which the model is evaluated.

    Parameters
    ----------
    label : str
        As `parse_label` prints it.
    part : str
        Kind of projection, or ``"all"``.
    start : int
        First decoder block.
    stops : tuple of int
        Numbers of decoder blocks of the model after which to evaluate, ascending.
    """

    label: str
    part: str
    start: int
    stops: tuple[int, ...]

    @property
    def folder(self) -> str:
        """Name of the run's folder."""
        words = re.sub("[:/]", "-", self.label)
        return f"{words}-{self.part}-{self.start}-{self.stops[-1]}"


def prefix_job(label: str, stops: tuple[int, ...]) -> Job:
    """Return the job of a method's prefix curve.

    Parameters
    ----------
    label : str
        As `parse_label` takes it.
    stops : tuple of int
        Prefix lengths, ascending.

    Returns
    -------
    Job
        The job.
    """
    return Job(str(parse_label(label)), ALL_PARTS, 0, stops)


def part_jobs(label: str, parts: Iterable[str], span: tuple[int, int]) -> list[Job]:
    """Return the jobs of a method's row of the part table.

    Parameters
    ----------
    label : str
        As `parse_label` takes it.
    parts : iterable of str
        Kinds of projections.
    span : tuple of int
        The decoder blocks.

    Returns
    -------
    list of Job
        One per kind.
    """
    return [Job(str(parse_label(label)), part, span[0], (span[1],)) for part in parts]


@dataclass(frozen=True)
class Comparison:
    """Points of a study that a user wants side by side.

    Parameters
    ----------
    labels : tuple of str
        As `parse_label` prints them.
    stops : tuple of int
        Prefix lengths, ascending.
    parts : tuple of str
        Kinds of projections for the part table; may be empty.
    span : tuple of int
        The decoder blocks of the part table.
    """

    labels: tuple[str, ...]
    stops: tuple[int, ...]
    parts: tuple[str, ...]
    span: tuple[int, int]

    @property
    def jobs(self) -> list[Job]:
        """All prefix jobs, then all part jobs."""
        prefixes = [prefix_job(label, self.stops) for label in self.labels]
        parts = [job for label in self.labels for job in part_jobs(label, self.parts, self.span)]
        return prefixes + parts


@dataclass
class Laboratory:
    """Measures the points of a study that are missing.

    Parameters
    ----------
    open_model : callable
        Loads the model at full precision; called once per run, because a run leaves its
        weights in the model.
    port : object
        Quantizes the layers.
    sequences : ndarray of int64, shape (N, L)
        Calibration sequences.
    windows : ndarray of int64, shape (N, L)
        Evaluation windows.
    results : Results
        The existing results; replaced as points are added.
    folder : Path
        Folder of results and records.
    step : callable, optional
        Called after each unit of work.
    full_hidden : ndarray of float32, shape (N, L, d), optional
        Output of the last block at full precision; computed when needed.
    plans : dict, optional
        Number that each decoder block keeps, by N:M and budget; runs share it.
    """

    open_model: Callable[[], DecoderModel]
    port: object
    sequences: Tokens
    windows: Tokens
    results: Results
    folder: Path
    step: Step = ignore
    full_hidden: Float32 | None = None
    plans: dict[object, tuple[int, ...] | None] = field(default_factory=dict)

    def missing(self, job: Job) -> tuple[int, ...]:
        """Return the stops of a job that are not measured yet.

        Parameters
        ----------
        job : Job
            The job.

        Returns
        -------
        tuple of int
            Some of its stops.
        """
        find = self.results.find
        return tuple(s for s in job.stops if find(job.label, job.part, job.start, s) is None)

    def settings(self, model: DecoderModel, job: Job) -> Settings:
        """Return the settings of a job's run.

        Parameters
        ----------
        model : DecoderModel
            The model.
        job : Job
            The job.

        Returns
        -------
        Settings
            As for any other run.
        """
        return plan(
            model,
            job.label,
            self.results.study.calibration,
            blocks=(job.start, job.stops[-1]),
            parts=None if job.part == ALL_PARTS else (job.part,),
            scales=self.results.study.scales,
            target=self.results.study.target,
        )

    def count_steps(self, model: DecoderModel, jobs: Sequence[Job]) -> int:
        """Return how many units of work are left.

        Parameters
        ----------
        model : DecoderModel
            The model.
        jobs : sequence of Job
            Jobs to measure.

        Returns
        -------
        int
            How often `step` will be called.
        """
        todo = [(job, self.missing(job)) for job in jobs]
        total = model.n_blocks if any(stops for _, stops in todo) else 0
        for job, stops in todo:
            if stops:
                total += count_steps(model, self.settings(model, replace(job, stops=job.stops)))
                total += sum(model.n_blocks - stop for stop in stops)
        return total

    def measure(self, jobs: Sequence[Job]) -> Results:
        """Measure all missing points.

        Parameters
        ----------
        jobs : sequence of Job
            Jobs to measure.

        Returns
        -------
        Results
            The results, with all points of the jobs.
        """
        for job in jobs:
            if self.missing(job):
                model = self.open_model()
                reset_peak()
                self._prepare(model)
                self._run(model, job)
        return self.results

    def _prepare(self, model: DecoderModel) -> None:
        """Run the model at full precision, once."""
        if self.full_hidden is None:
            self.full_hidden = last_hidden(model, self.windows, self.step)
            full = score(model, self.full_hidden, self.windows).perplexity
            self._save(replace(self.results, full=full))

    def _save(self, results: Results) -> None:
        results.save(self.folder)
        self.results = results

    def _run(self, model: DecoderModel, job: Job) -> None:
        if self.full_hidden is None:
            raise ArgumentError("full_hidden", "the model at full precision first", None)
        evaluator = PrefixEvaluator(model, self.windows, self.full_hidden)
        stops = self.missing(job)

        def follow(index: int, manifest: Manifest) -> None:
            evaluator.follow(index)
            if index + 1 in stops:
                measured = evaluator.score(lambda note: self.step(f"{job.label}, {note}"))
                point = make_point(manifest, job.part, index + 1, measured)
                self._save(replace(self.results, points=(*self.results.points, point)))

        settings = self.settings(model, job)
        shared = settings.keep, settings.budget
        manifest = quantize_model(
            model,
            self.port,
            settings,
            self.sequences,
            out=self.folder / "runs" / job.folder,
            resume=True,
            hooks=Hooks(step=lambda note: self.step(f"{job.label}, {note}"), block=follow),
            kept=self.plans.get(shared),
        )
        self.plans[shared] = manifest.kept
