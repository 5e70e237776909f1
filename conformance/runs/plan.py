"""What a run does, checked before it starts
=========================================

A run is described by its `Settings`; two runs with equal settings give equal records. Here
the settings are built from a user's choices, and every name in them is checked. How much
each decoder block keeps is planned as the run's first step; see ``budgets``.
"""

import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from subbit.conformance.models.base import DecoderModel, Linear, Tokens
from subbit.reference import __version__
from subbit.reference.errors import ArgumentError, check_choice

from .budgets import count_budget_steps
from .labels import Label, parse_label
from .manifest import Calibration, Settings, tokens_digest
from .records import SCALE_TYPES
from .streams import stages


def parse_blocks(text: str | None, count: int) -> tuple[int, int]:
    """Read a selection of decoder blocks.

    Parameters
    ----------
    text : str, optional
        ``START:STOP``, where either may be missing; None for all.
    count : int
        Decoder blocks of the model.

    Returns
    -------
    tuple of int
        The first block, and the one after the last.

    Raises
    ------
    ArgumentError
        If it is not such a selection.

    Examples
    --------
    >>> parse_blocks("0:4", 30), parse_blocks("28:", 30)
    ((0, 4), (28, 30))
    """
    start, colon, stop = (text or ":").partition(":")
    first = whole_number(start) if start else 0
    last = whole_number(stop) if stop else count
    if not colon or first is None or last is None:
        raise ArgumentError("blocks", "START:STOP", text)
    return first, last


def whole_number(word: str) -> int | None:
    """Read a number that is not negative.

    Parameters
    ----------
    word : str
        What a user wrote.

    Returns
    -------
    int or None
        The number; None if it is none, or has more than 18 digits.

    Examples
    --------
    >>> whole_number(" 12"), whole_number("²")
    (12, None)
    """
    return int(word) if re.fullmatch(r"\s*[0-9]{1,18}\s*", word) else None


def recorded(argument: str, name: str) -> str:
    """Return a name that stands in a run's files.

    Parameters
    ----------
    argument : str
        Where it came from, for errors.
    name : str
        A name, perhaps that of a file.

    Returns
    -------
    str
        The name.

    Raises
    ------
    ArgumentError
        If it is not in UTF-8, as those of files need not be.
    """
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ArgumentError(argument, "a name in UTF-8", ascii(name)) from error
    return name


def _check_blocks(model: DecoderModel, blocks: tuple[int, int] | None) -> tuple[int, int]:
    start, stop = blocks or (0, model.n_blocks)
    if not 0 <= start < stop <= model.n_blocks:
        expected = f"START:STOP with 0 <= START < STOP <= {model.n_blocks}"
        raise ArgumentError("blocks", expected, f"{start}:{stop}")
    return start, stop


def _check_parts(
    model: DecoderModel, blocks: tuple[int, int], parts: Collection[str] | None
) -> tuple[str, ...]:
    kinds = tuple(
        dict.fromkeys(linear.kind for index in range(*blocks) for linear in model.linears(index))
    )
    for part in parts or ():
        check_choice("parts", part, kinds)
    return tuple(kind for kind in kinds if parts is None or kind in parts)


def _check_widths(
    model: DecoderModel, label: Label, blocks: tuple[int, int], parts: Collection[str]
) -> None:
    """Refuse an M that does not divide a linear's width, if the method would refuse it."""
    if label.keep is None or label.config().switches().get("tail", "error") != "error":
        return
    group = label.keep[1]
    for linear in (x for index in range(*blocks) for x in model.linears(index)):
        if linear.kind in parts and linear.shape[1] % group:
            expected = f"N:M with an M that divides the {linear.shape[1]} columns of {linear.name}"
            raise ArgumentError("keep", expected, "{}:{}".format(*label.keep))


def _switches(label: Label) -> dict[str, object]:
    switches: dict[str, object] = json.loads(json.dumps(label.config().written()))
    return {name: switches[name] for name in sorted(switches) if name != "keep"}


def describe_calibration(
    text: str, seed: int, sequences: Tokens, first_token: int | None = None
) -> Calibration:
    """Return the description of a run's calibration.

    Parameters
    ----------
    text : str
        Name of the text.
    seed : int
        Seed for sampling positions.
    sequences : ndarray of int64, shape (N, L)
        The sequences.
    first_token : int, optional
        Token that was put before each of them.

    Returns
    -------
    Calibration
        The description.
    """
    samples, length = sequences.shape
    return Calibration(text, samples, length, seed, tokens_digest(sequences), first_token)


def plan(
    model: DecoderModel,
    label: str,
    calibration: Calibration,
    *,
    blocks: tuple[int, int] | None = None,
    parts: Collection[str] | None = None,
    scales: str = "float16",
    target: str = "reference",
) -> Settings:
    """Check the choices and fill in the rest.

    Parameters
    ----------
    model : DecoderModel
        The model.
    label : str
        Method, preset, N:M, budget and error propagation, see `parse_label`; such as
        ``"billm:paper"``.
    calibration : Calibration
        As from `describe_calibration`.
    blocks : tuple of int, optional
        First decoder block, and the one after the last; None for all.
    parts : collection of str, optional
        Kinds of linears; None for all.
    scales : str, default "float16"
        Type of stored scales and means.
    target : str, default "reference"
        Name of the port.

    Returns
    -------
    Settings
        The settings of a run.

    Raises
    ------
    ArgumentError
        If the model has no such blocks or parts, or something else is unknown.
    """
    choice = parse_label(label)
    check_choice("scales", scales, SCALE_TYPES)
    span = _check_blocks(model, blocks)
    chosen = _check_parts(model, span, parts)
    _check_widths(model, choice, span, chosen)
    recorded("calibration", calibration.text)
    name = str(Path(model.name).resolve()) if Path(model.name).exists() else model.name
    return Settings(
        model=recorded("model", name),
        precision=recorded("model", model.precision),
        method=choice.method,
        preset=choice.preset,
        config=_switches(choice),
        calibration=calibration,
        blocks=span,
        parts=chosen,
        scales=scales,
        target=recorded("target", target),
        version=__version__,
        keep=choice.keep,
        budget=choice.budget,
        propagation=choice.correction,
    )


def chosen_linears(model: DecoderModel, settings: Settings, index: int) -> tuple[Linear, ...]:
    """Return the linears of a block that a run quantizes.

    Parameters
    ----------
    model : DecoderModel
        The model.
    settings : Settings
        The run.
    index : int
        The decoder block.

    Returns
    -------
    tuple of Linear
        Empty if the block is not selected.
    """
    if index not in range(*settings.blocks):
        return ()
    return tuple(linear for linear in model.linears(index) if linear.kind in settings.parts)


def count_calibrations(settings: Settings, linears: Sequence[Linear]) -> int:
    """Return how often a run calibrates in a block.

    Parameters
    ----------
    settings : Settings
        The run.
    linears : sequence of Linear
        The linears of the block that it quantizes.

    Returns
    -------
    int
        Once for all of them, or with error propagation once for each input.
    """
    return min(1, len(linears)) if settings.propagation is None else len(stages(linears))


def count_steps(model: DecoderModel, settings: Settings) -> int:
    """Return how often a run calls ``hooks.step``, if it starts from the beginning.

    Parameters
    ----------
    model : DecoderModel
        The model.
    settings : Settings
        The run.

    Returns
    -------
    int
        One per linear, one per calibration, one per forward pass, and those of the budget.
    """
    per_block = [chosen_linears(model, settings, i) for i in range(settings.blocks[1])]
    planned = count_budget_steps(model, settings.budget)
    return planned + sum(len(x) + count_calibrations(settings, x) + 1 for x in per_block)
