"""Several methods side by side
============================

Two tables show what a single perplexity of a small model hides: the prefix curve
(perplexity with the first k decoder blocks quantized) and the part table (with only one
kind of projection quantized). Blocks are quantized in order, each with those before it
already quantized; so the first k blocks of a longer run are those of a run that stops at
k, and one run gives a method's whole curve, on as many texts as there are exams.

Each finished point is saved. A second call with the same settings starts from the saved
points and from the records of unfinished runs, and continues.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from subbit.conformance.models.base import DecoderModel, Tokens

from .calibrate import Step, ignore
from .crew import Notice
from .exams import Examiner
from .jobs import Job, job_settings
from .kernels import on_one_thread
from .manifest import Manifest
from .plan import count_steps
from .points import reset_peak
from .quantize import Hooks, quantize_model, warn
from .study import Study


@dataclass
class Laboratory:
    """Measures what is missing of a comparison.

    Parameters
    ----------
    open_model : callable
        Loads the model at full precision; called once per run, because a run leaves its
        weights in the model.
    port : object or Crew
        Quantizes the layers, as in `quantize_model`.
    sequences : ndarray of int64, shape (N, L)
        Calibration sequences.
    study : Study
        What all runs share.
    runs : Path
        Folder for the runs.
    exams : sequence of Examiner
        What is measured of each run.
    step : callable, optional
        Called after each unit of work.
    notice : callable, optional
        As in `Hooks`.
    """

    open_model: Callable[[], DecoderModel]
    port: object
    sequences: Tokens
    study: Study
    runs: Path
    exams: Sequence[Examiner]
    step: Step = ignore
    notice: Notice = warn
    # What runs share: plans by N:M and budget.
    _plans: dict[object, tuple[int, ...] | None] = field(default_factory=dict, init=False)

    def missing(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs of which something is not measured yet.

        Parameters
        ----------
        jobs : sequence of Job
            Jobs.

        Returns
        -------
        list of Job
            Some of them.
        """
        return [job for job in jobs if any(exam.missing(job) for exam in self.exams)]

    def steps_left(self, model: DecoderModel, jobs: Sequence[Job]) -> int:
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
            How often `measure` calls `step`.
        """
        todo = self.missing(jobs)
        runs = sum(count_steps(model, job_settings(model, self.study, job)) for job in todo)
        return runs + sum(exam.steps(model, todo) for exam in self.exams)

    def measure(self, jobs: Sequence[Job]) -> None:
        """Measure what is missing.

        Parameters
        ----------
        jobs : sequence of Job
            Jobs to measure.
        """
        for job in self.missing(jobs):
            model = self.open_model()
            reset_peak()
            # After the model, which may bring a library with threads of its own.
            with on_one_thread():
                self._run(model, job)

    def _run(self, model: DecoderModel, job: Job) -> None:
        def step(note: str) -> None:
            self.step(f"{job.label}, {note}")

        exams = [exam.begin(model, job, step) for exam in self.exams if exam.missing(job)]

        def follow(index: int, manifest: Manifest) -> None:
            for exam in exams:
                exam(index, manifest)

        settings = job_settings(model, self.study, job)
        shared = settings.keep, settings.budget
        manifest = quantize_model(
            model,
            self.port,
            settings,
            self.sequences,
            out=self.runs / job.folder,
            resume=True,
            hooks=Hooks(step=step, block=follow, notice=self.notice),
            kept=self._plans.get(shared),
        )
        self._plans[shared] = manifest.kept
