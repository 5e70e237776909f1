"""The results of a comparison of methods
======================================

A study fixes model, texts and windows; its points differ in the method, in the kind of
projection and in the quantized decoder blocks. ``results.json`` is rewritten atomically
after each point.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from subbit.reference import __version__
from subbit.reference.errors import SubbitError

from .manifest import Calibration
from .records import is_unused, write_atomically

RESULTS = "results.json"
ALL_PARTS = "all"


@dataclass(frozen=True)
class Windows:
    """The windows that a model is evaluated on.

    Parameters
    ----------
    text : str
        Name or path of the text.
    windows : int
        Number of windows.
    length : int
        Tokens per window.
    sha256 : str
        Digest of the tokens.
    first_token : int, optional
        Token put before each window; None where windows are cut from the text as they are.
    """

    text: str
    windows: int
    length: int
    sha256: str
    first_token: int | None = None


@dataclass(frozen=True)
class Study:
    """The settings that all points of a comparison share.

    Parameters
    ----------
    model, precision : str
        The model, and the source of its weights.
    calibration : Calibration
        The calibration sequences.
    evaluation : Windows
        The evaluation windows.
    scales, target, version : str
        As in `Settings`.
    """

    model: str
    precision: str
    calibration: Calibration
    evaluation: Windows
    scales: str = "float16"
    target: str = "reference"
    version: str = __version__


@dataclass(frozen=True)
class Point:
    """One measured model.

    Parameters
    ----------
    label : str
        Method, preset, N:M and budget; see `parse_label`.
    part : str
        The quantized kind of projection, or ``"all"``.
    start, stop : int
        The range of quantized decoder blocks.
    perplexity, divergence : float
        On the evaluation windows; mean KL divergence from full precision per token.
    mean_error : float
        Mean relative calibrated error of the quantized linears.
    nominal, payload, artifact : float
        Bits per quantized weight.
    seconds, cpu_seconds : float
        Calibration and quantization, without evaluation.
    peak_bytes : int
        Peak memory of the process so far.
    underflows : int, default 0
        Scales that lose digits in their stored type.
    """

    label: str
    part: str
    start: int
    stop: int
    perplexity: float
    divergence: float
    mean_error: float
    nominal: float
    payload: float
    artifact: float
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    underflows: int = 0

    @property
    def key(self) -> tuple[str, str, int, int]:
        """The fields that identify a point within a study."""
        return self.label, self.part, self.start, self.stop


@dataclass(frozen=True)
class Results:
    """The finished points of a study.

    Parameters
    ----------
    study : Study
        Their shared settings.
    full : float, optional
        Perplexity at full precision.
    points : tuple of Point
        The points, in the order in which they were measured.
    """

    study: Study
    full: float | None = None
    points: tuple[Point, ...] = field(default=())

    def find(self, label: str, part: str, start: int, stop: int) -> Point | None:
        """Look up a point.

        Parameters
        ----------
        label, part, start, stop
            As in `Point`.

        Returns
        -------
        Point or None
            None if it is not measured yet.
        """
        wanted = (label, part, start, stop)
        return next((point for point in self.points if point.key == wanted), None)

    def save(self, folder: Path) -> None:
        """Write the results atomically.

        Parameters
        ----------
        folder : Path
            The study's folder.
        """
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        write_atomically(folder / RESULTS, text.encode())


@dataclass
class Notebook:
    """Results that are saved whenever they grow.

    Parameters
    ----------
    folder : Path
        The study's folder.
    results : Results
        The results so far.
    """

    folder: Path
    results: Results

    def write_full(self, perplexity: float) -> None:
        """Note the perplexity at full precision.

        Parameters
        ----------
        perplexity : float
            The perplexity.
        """
        self._write(replace(self.results, full=perplexity))

    def add(self, point: Point) -> None:
        """Note a finished point.

        Parameters
        ----------
        point : Point
            The point.
        """
        self._write(replace(self.results, points=(*self.results.points, point)))

    def _write(self, results: Results) -> None:
        results.save(self.folder)
        self.results = results


def load_results(folder: Path) -> Results:
    """Read the results of a study.

    Parameters
    ----------
    folder : Path
        The study's folder.

    Returns
    -------
    Results
        The finished points.

    Raises
    ------
    SubbitError
        If there are none, or they are damaged.
    """
    path = folder / RESULTS
    try:
        return results_from(json.loads(path.read_bytes()))
    except (OSError, ValueError, LookupError, TypeError) as error:
        message = f"{path}: no valid results ({error})"
        raise SubbitError(message) from error


def results_from(content: Mapping[str, Any]) -> Results:
    """Return results from what JSON holds of them.

    Parameters
    ----------
    content : mapping
        As `Results.save` writes it.

    Returns
    -------
    Results
        The results.
    """
    study = dict(content["study"])
    study["calibration"] = Calibration(**study["calibration"])
    study["evaluation"] = Windows(**study["evaluation"])
    points = tuple(Point(**point) for point in content["points"])
    return Results(Study(**study), content["full"], points)


def open_results(folder: Path, study: Study) -> Results:
    """Start a study or continue it.

    Parameters
    ----------
    folder : Path
        The study's folder.
    study : Study
        The study requested now.

    Returns
    -------
    Results
        The finished points.

    Raises
    ------
    SubbitError
        If the folder holds something else, or a study with other settings.
    """
    if (folder / RESULTS).is_file():
        results = load_results(folder)
        _check_same(asdict(study), asdict(results.study), f"{folder}: the study there")
        return results
    if not is_unused(folder):
        message = f"{folder}: exists and holds something other than a study of subbit"
        raise SubbitError(message)
    folder.mkdir(parents=True, exist_ok=True)
    results = Results(study)
    results.save(folder)
    return results


def _check_same(wanted: Mapping[str, Any], found: Mapping[str, Any], what: str) -> None:
    # A text under another name is the same if it gives the same tokens.
    moved = "sha256" in wanted and wanted["sha256"] == found.get("sha256")
    for name, now in wanted.items():
        then = now if moved and name == "text" else found.get(name)
        if isinstance(now, dict) and isinstance(then, dict):
            _check_same(now, then, f"{what}, {name}")
        elif now != then:
            message = f"{what} was started with {name} {then}, not {now}"
            raise SubbitError(message)
