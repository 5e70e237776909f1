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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from subbit.conformance.models.base import DecoderModel, Float32, Tokens

from .calibrate import Step, ignore
from .crew import Notice
from .evaluate import PrefixEvaluator, last_hidden, score
from .jobs import Job, job_settings, missing_stops
from .kernels import on_one_thread
from .manifest import Manifest
from .points import make_point, reset_peak
from .quantize import Hooks, quantize_model, warn
from .study import Notebook, Results


@dataclass
class Laboratory:
    """Measures the points of a study that are missing.

    Parameters
    ----------
    open_model : callable
        Loads the model at full precision; called once per run, because a run leaves its
        weights in the model.
    port : object or Crew
        Quantizes the layers, as in `quantize_model`.
    sequences : ndarray of int64, shape (N, L)
        Calibration sequences.
    windows : ndarray of int64, shape (N, L)
        Evaluation windows.
    notebook : Notebook
        The existing results; points are added to it.
    step : callable, optional
        Called after each unit of work.
    notice : callable, optional
        As in `Hooks`.
    """

    open_model: Callable[[], DecoderModel]
    port: object
    sequences: Tokens
    windows: Tokens
    notebook: Notebook
    step: Step = ignore
    notice: Notice = warn
    # What runs share: the model's output at full precision, and plans by N:M and budget.
    _full_hidden: Float32 | None = field(default=None, init=False)
    _plans: dict[object, tuple[int, ...] | None] = field(default_factory=dict, init=False)

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
            if missing_stops(self.notebook.results, job):
                model = self.open_model()
                reset_peak()
                # After the model, which may bring a library with threads of its own.
                with on_one_thread():
                    self._run(model, job, self._at_full_precision(model))
        return self.notebook.results

    def _at_full_precision(self, model: DecoderModel) -> Float32:
        """Run the model as it is, once."""
        if self._full_hidden is None:
            self._full_hidden = last_hidden(model, self.windows, self.step)
            self.notebook.write_full(score(model, self._full_hidden, self.windows).perplexity)
        return self._full_hidden

    def _run(self, model: DecoderModel, job: Job, full_hidden: Float32) -> None:
        evaluator = PrefixEvaluator(model, self.windows, full_hidden)
        stops = missing_stops(self.notebook.results, job)

        def step(note: str) -> None:
            self.step(f"{job.label}, {note}")

        def follow(index: int, manifest: Manifest) -> None:
            evaluator.follow(index)
            if index + 1 in stops:
                measured = evaluator.score(step)
                self.notebook.add(make_point(manifest, job.part, index + 1, measured))

        settings = job_settings(model, self.notebook.results.study, job)
        shared = settings.keep, settings.budget
        manifest = quantize_model(
            model,
            self.port,
            settings,
            self.sequences,
            out=self.notebook.folder / "runs" / job.folder,
            resume=True,
            hooks=Hooks(step=step, block=follow, notice=self.notice),
            kept=self._plans.get(shared),
        )
        self._plans[shared] = manifest.kept
