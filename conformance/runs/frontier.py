"""The frontier: perplexity against payload bits
=============================================

Every method and preset on one model, by whole models, on several texts, after calibration on
several texts. What is measured with one calibration is a study for each evaluation text, and the
runs of all of them are one: windows and sequences follow it together. ``frontier.json`` joins the
studies, and is what charts and tables are made from.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from subbit.conformance.models.base import Tokens
from subbit.reference.errors import SubbitError

from .exams import OutputError, errors_from, load_errors, written_errors
from .records import write_atomically
from .study import Point, Results, load_results, results_from

FRONTIER = "frontier.json"
ERRORS = "errors.json"
PREFIX = "prefix"
"""Folder of the study of prefix lengths, on few and short windows."""

HALF = "+half"
BEST = tuple(f"typed:{preset}/carried{HALF}" for preset in ("3bit", "2.25bit", "1.5bit"))
"""What subbit offers for the least perplexity at given payload bits."""
LABELS = (
    *BEST,
    *(f"typed:{preset}" for preset in ("3bit", "2.25bit", "1.5bit")),
    *(f"gptq:{bits}bit" for bits in (2, 3, 4)),
    "arb-rc:paper",
    "billm:paper",
    "pbs2p:best@4:8",
    "stbllm:paper@4:8",
    *(f"arb-rc:paper{HALF}", f"billm:paper{HALF}", f"pbs2p:best@4:8{HALF}"),
    *("arb-x:paper", "arb:paper"),
    *("billm:corrected", "arb-rc:corrected", "arb-x:corrected", "stbllm:corrected@4:8"),
    *("billm:released", "arb-rc:released", "arb-x:released", "stbllm:released@4:8"),
    *("stbllm:paper@6:8", "stbllm:paper@5:8", "pbs2p:best@6:8", "pbs2p:best@5:8"),
    *("pb-llm:corrected", "pb-llm:released", "billm-nm:wanda", "billm-nm:sparsegpt"),
    *(f"rtn:{bits}bit" for bits in (4, 3, 2)),
    "rtn:sign",
)
"""What is compared by default, what matters most first."""

RUN = 8
"""Tokens in a row that sequences held out may not share with those of the calibration."""


def slug(text: str) -> str:
    """Return a folder's name for a text.

    Parameters
    ----------
    text : str
        A named text or a file.

    Returns
    -------
    str
        Its last part, without what some systems do not allow in names.

    Examples
    --------
    >>> slug("enwiki-excerpt:calibration"), slug("/texts/c4.jsonl.gz")
    ('enwiki-excerpt-calibration', 'c4.jsonl.gz')
    """
    return re.sub(r"[^\w.-]+", "-", re.split(r"[/\\]", text)[-1])


def _rows(tokens: Tokens) -> set[bytes]:
    """Return every run of some tokens."""
    return {
        sequence[start : start + RUN].tobytes()
        for sequence in tokens
        for start in range(len(sequence) - RUN + 1)
    }


def held_out(used: Tokens, drawn: Tokens, most: int) -> Tokens:
    """Choose sequences that share no run of 8 tokens with others, nor among each other.

    Parameters
    ----------
    used : ndarray of int64, shape (N, L)
        Sequences of the calibration.
    drawn : ndarray of int64, shape (M, l)
        Other sequences of the same text.
    most : int
        How many are enough.

    Returns
    -------
    ndarray of int64, shape (at most `most`, l)
        The first of those drawn that share none.

    Examples
    --------
    >>> import numpy as np
    >>> drawn = np.stack([np.arange(16), np.arange(100, 116), np.arange(104, 120)])
    >>> held_out(np.arange(32)[None], drawn, 2)[:, 0]
    array([100])
    """
    seen, kept = _rows(used), list[Tokens]()
    for sequence in drawn:
        own = _rows(sequence[None])
        if len(kept) < most and not seen & own:
            kept.append(sequence)
            seen |= own
    return np.array(kept, dtype=np.int64).reshape(len(kept), drawn.shape[1])


@dataclass(frozen=True)
class Calibrated:
    """What was measured with one calibration.

    Parameters
    ----------
    studies : tuple of Results
        One for each evaluation text; points of whole models.
    prefix : Results
        Points of prefix lengths.
    errors : dict of str to dict of str to OutputError
        By label, then ``"calibration"`` and ``"held out"``.
    """

    studies: tuple[Results, ...]
    prefix: Results
    errors: Mapping[str, Mapping[str, OutputError]]

    def point(self, place: int, label: str) -> Point | None:
        """Look up a whole model.

        Parameters
        ----------
        place : int
            Number of the study.
        label : str
            The method.

        Returns
        -------
        Point or None
            None if it is not measured yet.
        """
        found = (p for p in self.studies[place].points if p.label == label)
        return max(found, key=lambda p: p.stop, default=None)

    def errors_of(self, point: Point) -> dict[str, OutputError]:
        """Look up the errors of a model.

        Parameters
        ----------
        point : Point
            The model.

        Returns
        -------
        dict of str to OutputError
            By the name of the sequences; none that are of fewer or more decoder blocks.
        """
        found = self.errors.get(point.label, {})
        return {name: error for name, error in found.items() if error.stop == point.stop}

    def labels(self) -> list[str]:
        """Return what was measured, by payload bits.

        Returns
        -------
        list of str
            Labels.
        """
        points = {p.label: p.payload for study in self.studies for p in study.points}
        return sorted(points, key=lambda label: points[label])


def read_calibrated(folder: Path, texts: Iterable[str]) -> Calibrated:
    """Read what was measured with one calibration.

    Parameters
    ----------
    folder : Path
        Its folder.
    texts : iterable of str
        Evaluation texts.

    Returns
    -------
    Calibrated
        The studies and errors.
    """
    studies = tuple(load_results(folder / slug(text)) for text in texts)
    return Calibrated(studies, load_results(folder / PREFIX), load_errors(folder / ERRORS))


def write_frontier(out: Path, found: Sequence[Calibrated]) -> None:
    """Join what was measured in one file.

    Parameters
    ----------
    out : Path
        The frontier's folder.
    found : sequence of Calibrated
        One for each calibration.
    """
    content = [
        {
            "studies": [asdict(study) for study in one.studies],
            "prefix": asdict(one.prefix),
            "errors": written_errors(one.errors),
        }
        for one in found
    ]
    write_atomically(out / FRONTIER, (json.dumps(content, indent=1) + "\n").encode())


def read_frontier(file: Path) -> list[Calibrated]:
    """Read what `write_frontier` wrote.

    Parameters
    ----------
    file : Path
        The file.

    Returns
    -------
    list of Calibrated
        One for each calibration.

    Raises
    ------
    SubbitError
        If the file is damaged.
    """
    try:
        content: list[dict[str, Any]] = json.loads(file.read_bytes())
        return [
            Calibrated(
                tuple(results_from(study) for study in one["studies"]),
                results_from(one["prefix"]),
                errors_from(one["errors"]),
            )
            for one in content
        ]
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        message = f"{file}: no valid frontier ({error})"
        raise SubbitError(message) from error
