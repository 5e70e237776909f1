"""What a comparison has to run
============================

A job is one quantization run and the blocks after which the model is evaluated. A comparison
lists the jobs of several methods; those whose points are measured already need no run.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from subbit.conformance.models.base import DecoderModel
from subbit.reference.errors import ArgumentError, check_count

from .labels import parse_label
from .manifest import Settings
from .plan import plan, whole_number
from .study import ALL_PARTS, Results, Study

COUNTS = (1, 2, 4, 8)
"""Prefix lengths by default, beside the whole model."""


def parse_counts(text: str | None, blocks: int) -> tuple[int, ...]:
    """Read a list of prefix lengths.

    Parameters
    ----------
    text : str or None
        Numbers and ``all``, separated by commas; None for those of `COUNTS` that the model has,
        and ``all``.
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
    >>> parse_counts(None, 3)
    (1, 2, 3)
    """
    if text is None:
        return tuple(sorted({blocks, *(count for count in COUNTS if count <= blocks)}))
    counts = set()
    for word in text.split(","):
        if word.strip() == "all":
            counts.add(blocks)
        elif (number := whole_number(word)) is not None:
            counts.add(check_count("ks", number, 1, blocks))
        else:
            raise ArgumentError("ks", "numbers and all, separated by commas", text)
    return tuple(sorted(counts))


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


def missing_stops(results: Results, job: Job) -> tuple[int, ...]:
    """Return the stops of a job that are not measured yet.

    Parameters
    ----------
    results : Results
        The finished points.
    job : Job
        The job.

    Returns
    -------
    tuple of int
        Some of its stops.
    """
    find = results.find
    return tuple(s for s in job.stops if find(job.label, job.part, job.start, s) is None)


def job_settings(model: DecoderModel, study: Study, job: Job) -> Settings:
    """Return the settings of a job's run.

    Parameters
    ----------
    model : DecoderModel
        The model.
    study : Study
        What all runs share.
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
        study.calibration,
        blocks=(job.start, job.stops[-1]),
        parts=None if job.part == ALL_PARTS else (job.part,),
        scales=study.scales,
        target=study.target,
    )
