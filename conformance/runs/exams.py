"""What is measured of a run while it goes on
==========================================

An exam follows a run block by block, and keeps what it has measured at once. Windows of a text
give points: perplexity, and the divergence from full precision. Sequences give errors of linears
and of the hidden states; they are measured on the calibration and on other sequences, since what
has been fitted to the first says less about the second the fewer they are.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from subbit.conformance.models.base import DecoderModel, Float32, Linear, Tokens
from subbit.reference.errors import SubbitError

from .calibrate import Step, batches, embed
from .evaluate import PrefixEvaluator, last_hidden, mean_error, score
from .jobs import Job, missing_stops
from .manifest import Manifest
from .points import make_point
from .records import write_atomically
from .study import Notebook

MASSIVE = 10.0
"""Times the median norm beyond which a token is left out of the error of hidden states."""

Follow: TypeAlias = Callable[[int, Manifest], None]
"""Called with each decoder block of a run that has its final weights."""


class Examiner(Protocol):
    """One thing that is measured of several runs."""

    def missing(self, job: Job) -> Collection[int]:
        """Return the stops after which a run is still to be measured.

        Parameters
        ----------
        job : Job
            The run.
        """

    def steps(self, model: DecoderModel, todo: Sequence[Job]) -> int:
        """Return how many units of work the missing measurements are.

        Parameters
        ----------
        model : DecoderModel
            The model.
        todo : sequence of Job
            Runs of which something is missing.
        """

    def begin(self, model: DecoderModel, job: Job, step: Step) -> Follow:
        """Start to follow a run.

        Parameters
        ----------
        model : DecoderModel
            The model, at full precision; the run changes it.
        job : Job
            The run.
        step : callable
            Called after each unit of work.
        """


@dataclass
class Exam:
    """Windows of a text, and the points measured on them.

    Parameters
    ----------
    windows : ndarray of int64, shape (N, L)
        The windows.
    notebook : Notebook
        The existing results; points are added to it.
    stops : collection of int, optional
        Numbers of blocks after which to measure; None for all stops of a run.
    full : dict of str to ndarray of float32, shape (N, L, d), optional
        The model's output at full precision by the windows' digest; what is missing is added.
    """

    windows: Tokens
    notebook: Notebook
    stops: Collection[int] | None = None
    full: dict[str, Float32] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of the windows."""
        return self.notebook.results.study.evaluation.sha256

    def missing(self, job: Job) -> tuple[int, ...]:
        """Return the stops of a run without a point; see `Examiner.missing`.

        Parameters
        ----------
        job
            As there.

        Returns
        -------
        tuple of int
            The stops, ascending.
        """
        found = missing_stops(self.notebook.results, job)
        return tuple(stop for stop in found if self.stops is None or stop in self.stops)

    def steps(self, model: DecoderModel, todo: Sequence[Job]) -> int:
        """Count the decoder blocks that windows pass through; see `Examiner.steps`.

        Parameters
        ----------
        model, todo
            As there.

        Returns
        -------
        int
            The units of work.
        """
        stops = [stop for job in todo for stop in self.missing(job)]
        full = model.n_blocks if stops and self.digest not in self.full else 0
        return full + sum(model.n_blocks - stop for stop in stops)

    def begin(self, model: DecoderModel, job: Job, step: Step) -> Follow:
        """Follow a run with the windows; see `Examiner.begin`.

        Parameters
        ----------
        model, job, step
            As there.

        Returns
        -------
        callable
            Takes the blocks.
        """
        if self.digest not in self.full:
            self.full[self.digest] = last_hidden(model, self.windows, step)
        full = self.full[self.digest]
        if self.notebook.results.full is None:
            self.notebook.write_full(score(model, full, self.windows).perplexity)
        evaluator, stops = PrefixEvaluator(model, self.windows, full), self.missing(job)

        def follow(index: int, manifest: Manifest) -> None:
            evaluator.follow(index)
            if index + 1 in stops:
                measured = evaluator.score(step)
                self.notebook.add(make_point(manifest, job.part, index + 1, measured))

        return follow


@dataclass(frozen=True)
class OutputError:
    """Relative squared errors on some sequences.

    Parameters
    ----------
    layers : float
        Mean over linears of ``‖X Wᵀ - Y Ŵᵀ‖² / ‖X Wᵀ‖²``, X the inputs in the model at full
        precision and Y those in the quantized one.
    stream : float
        ``‖h - ĥ‖² / ‖h‖²`` of the hidden states after the last block, without tokens whose norm
        is above 10 times the median.
    stop : int
        The block after the last one that was followed.
    linears : int
        Linears in the mean. Left out are experts that other tokens reach than before, whose
        outputs can't be compared, and linears whose outputs are all zero.
    """

    layers: float
    stream: float
    stop: int
    linears: int


Errors: TypeAlias = dict[str, dict[str, OutputError]]
"""Errors by label, then by the name of the sequences."""


class OutputErrors:
    """Follows two models and adds up the errors of one.

    Parameters
    ----------
    full, made : DecoderModel
        The model at full precision, and the one that is being quantized.
    tokens : ndarray of int64, shape (N, L)
        Sequences.
    """

    def __init__(self, full: DecoderModel, made: DecoderModel, tokens: Tokens) -> None:
        self.full, self.made = full, made
        self.hidden, self.other = embed(full, tokens), embed(made, tokens)
        self.ratios: list[float] = []
        self.done = 0

    def follow(self, index: int) -> None:
        """Send the sequences through a block of both models.

        Parameters
        ----------
        index : int
            The block, which has its final weights.
        """
        linears = self.full.linears(index)
        off, of = np.zeros(len(linears)), np.zeros(len(linears))
        for batch in batches(self.hidden.shape):
            self.hidden[batch], X = _pass(self.full, index, self.hidden[batch])
            self.other[batch], Y = _pass(self.made, index, self.other[batch])
            for place, linear in enumerate(linears):
                was, now = X.get(linear.input_name), Y.get(linear.input_name)
                if was is not None and now is not None and was.shape == now.shape:
                    outputs = was @ _weight(self.full, index, linear)
                    made = now @ _weight(self.made, index, linear)
                    off[place] += float(np.sum((outputs - made) ** 2))
                    of[place] += float(np.sum(outputs**2))
        self.ratios += [float(x) for x in off[of > 0.0] / of[of > 0.0]]
        self.done = index + 1

    def read(self) -> OutputError:
        """Return the errors up to the last block that was followed.

        Returns
        -------
        OutputError
            The errors.
        """
        norms = np.linalg.norm(self.hidden, axis=-1)
        usual = norms <= MASSIVE * np.median(norms)
        off = float(np.sum((self.hidden - self.other)[usual] ** 2))
        stream = off / float(np.sum(norms[usual] ** 2))
        return OutputError(mean_error(self.ratios), stream, self.done, len(self.ratios))


def _weight(model: DecoderModel, index: int, linear: Linear) -> Float32:
    return model.weight(index, linear.name).T.astype(np.float32)


def _pass(model: DecoderModel, index: int, hidden: Float32) -> tuple[Float32, dict[str, Float32]]:
    inputs: dict[str, Float32] = {}

    def keep(name: str, activations: Float32) -> None:
        inputs[name] = activations.copy()

    return model.run_block(index, hidden, keep), inputs


@dataclass
class ErrorExam:
    """Sequences, and the errors of runs on them.

    Parameters
    ----------
    open_model : callable
        Loads the model at full precision.
    sequences : dict of str to ndarray of int64, shape (N, L)
        Sequences by name.
    file : Path
        Where the errors are kept.
    """

    open_model: Callable[[], DecoderModel]
    sequences: dict[str, Tokens]
    file: Path
    errors: Errors = field(init=False)

    def __post_init__(self) -> None:
        """Read what is kept."""
        self.errors = load_errors(self.file)

    def missing(self, job: Job) -> tuple[int, ...]:
        """Return the last stop of a run without errors there or later; see `Examiner.missing`.

        Parameters
        ----------
        job
            As there.

        Returns
        -------
        tuple of int
            One stop, or none.
        """
        measured = [error.stop for error in self.errors.get(job.label, {}).values()]
        return () if min(measured, default=0) >= job.stops[-1] else job.stops[-1:]

    def steps(self, model: DecoderModel, todo: Sequence[Job]) -> int:
        """Count nothing: all is done beside the run's own steps; see `Examiner.steps`.

        Parameters
        ----------
        model, todo
            As there.

        Returns
        -------
        int
            Zero.
        """
        del model, todo
        return 0

    def begin(self, model: DecoderModel, job: Job, step: Step) -> Follow:
        """Follow a run with the sequences; see `Examiner.begin`.

        Parameters
        ----------
        model, job, step
            As there.

        Returns
        -------
        callable
            Takes the blocks.
        """
        del step
        full = self.open_model()
        watched = {name: OutputErrors(full, model, x) for name, x in self.sequences.items()}

        def follow(index: int, manifest: Manifest) -> None:
            del manifest
            for one in watched.values():
                one.follow(index)
            if index + 1 == job.stops[-1]:
                self.errors[job.label] = {name: one.read() for name, one in watched.items()}
                text = json.dumps(written_errors(self.errors), indent=1)
                write_atomically(self.file, text.encode())

        return follow


def load_errors(file: Path) -> Errors:
    """Read the errors that an exam has kept.

    Parameters
    ----------
    file : Path
        Its file; there may be none yet.

    Returns
    -------
    dict of str to dict of str to OutputError
        By label, then by the name of the sequences.

    Raises
    ------
    SubbitError
        If the file is damaged.
    """
    if not file.is_file():
        return {}
    try:
        return errors_from(json.loads(file.read_bytes()))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        message = f"{file}: no valid errors ({error})"
        raise SubbitError(message) from error


def errors_from(content: dict[str, dict[str, Any]]) -> Errors:
    """Return errors from what JSON holds of them.

    Parameters
    ----------
    content : dict
        As `written_errors` returns it.

    Returns
    -------
    dict of str to dict of str to OutputError
        The errors.
    """
    return {
        label: {name: OutputError(**error) for name, error in found.items()}
        for label, found in content.items()
    }


def written_errors(errors: Mapping[str, Mapping[str, OutputError]]) -> dict[str, Any]:
    """Return errors as JSON holds them.

    Parameters
    ----------
    errors : dict of str to dict of str to OutputError
        The errors.

    Returns
    -------
    dict
        Of the same keys.

    Examples
    --------
    >>> written_errors({"rtn": {"held out": OutputError(0.5, 0.25, 1, 7)}})
    {'rtn': {'held out': {'layers': 0.5, 'stream': 0.25, 'stop': 1, 'linears': 7}}}
    """
    return {
        label: {name: asdict(error) for name, error in found.items()}
        for label, found in errors.items()
    }
