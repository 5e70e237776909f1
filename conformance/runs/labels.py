"""Labels: a method and what is chosen of it, in one word
======================================================

``method[:preset][@N:M][/budget][+propagation]``, such as ``billm``, ``wanda@2:4``,
``stbllm:released@4:8/outlier`` or ``arb-rc:paper+qep``. N of every M consecutive weights of a row
are *kept*. Parts left out default to the method's first preset, that preset's N:M, the budget
``uniform`` and no error propagation; printed labels leave out only the last two, so equal choices
print alike. What stands after the ``+`` is read by ``correction``.
"""

import re
from dataclasses import dataclass
from typing import Any

from subbit.reference import METHODS
from subbit.reference.errors import ArgumentError, check_choice

from .budgets import BUDGETS
from .correction import Correction, parse_correction

UNIFORM, CARRIED = "uniform", "carried"
FORM = "METHOD[:PRESET][@N:M][/BUDGET][+PROPAGATION]"

_LABEL = re.compile(
    r"(?P<method>[^:@/+]*)(:(?P<preset>[^:@/+]*))?(@(?P<keep>[^@/+]*))?(/(?P<budget>[^@/+]*))?"
    r"(\+(?P<correction>[^@/+]*))?"
)


@dataclass(frozen=True)
class Label:
    """A method and its choices.

    Parameters
    ----------
    method, preset : str
        A key of ``METHODS`` and one of its presets.
    keep : tuple of int, optional
        N and M; None for a method or preset that does not prune to N:M.
    budget : str, default "uniform"
        A key of ``BUDGETS``; ``"carried"`` for a method that keeps to payload bits, see ``rates``.
    correction : Correction, optional
        The error propagation; none by default.

    Examples
    --------
    >>> str(Label("billm", "paper"))
    'billm:paper'
    """

    method: str
    preset: str
    keep: tuple[int, int] | None = None
    budget: str = UNIFORM
    correction: Correction | None = None

    def __str__(self) -> str:
        """Return the label, complete except for the budget ``uniform``."""
        pattern = "" if self.keep is None else "@{}:{}".format(*self.keep)
        budget = "" if self.budget == UNIFORM else f"/{self.budget}"
        correction = "" if self.correction is None else f"+{self.correction}"
        return f"{self.method}:{self.preset}{pattern}{budget}{correction}"

    @property
    def entry(self) -> str:
        """Name of the port's function."""
        return METHODS[self.method].entry

    def config(self, kept: int | None = None) -> Any:  # noqa: ANN401  (each method has its own type)
        """Return the configuration that the port's function takes.

        Parameters
        ----------
        kept : int, optional
            Number of each M weights that a decoder block keeps; N by default.

        Returns
        -------
        config
            The preset with this N:M.

        Raises
        ------
        ArgumentError
            If the method does not take this N:M.
        """
        preset = METHODS[self.method].presets[self.preset]
        if self.keep is None:
            return preset
        keep, group = self.keep
        return preset.changed(keep=(keep if kept is None else kept, group))


def parse_pattern(text: str) -> tuple[int, int]:
    """Read N:M.

    Parameters
    ----------
    text : str
        Two whole numbers, such as ``"4:8"``.

    Returns
    -------
    tuple of int
        N and M.

    Raises
    ------
    ArgumentError
        If it is not N:M with ``1 <= N <= M``.

    Examples
    --------
    >>> parse_pattern("4:8")
    (4, 8)
    """
    found = re.fullmatch(r"([0-9]{1,6}):([0-9]{1,6})", text)
    keep, group = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= keep <= group:
        raise ArgumentError("keep", "N:M, N kept of every M weights, 1 <= N <= M", text)
    return keep, group


def parse_label(text: str) -> Label:
    """Read a label, and fill in what it leaves out.

    Parameters
    ----------
    text : str
        ``method[:preset][@N:M][/budget][+propagation]``.

    Returns
    -------
    Label
        The choices.

    Raises
    ------
    ArgumentError
        If it is not a label, a name in it is unknown, or the method does not prune to N:M.

    Examples
    --------
    >>> parse_label("billm")
    Label(method='billm', preset='paper', keep=None, budget='uniform', correction=None)
    """
    found = _LABEL.fullmatch(text)
    if found is None:
        raise ArgumentError("method", FORM, text)
    method = found["method"]
    check_choice("method", method, METHODS)
    preset = found["preset"] or next(iter(METHODS[method].presets))
    check_choice("preset", preset, METHODS[method].presets)
    keep = _choose_keep(Label(method, preset), found["keep"], found["budget"])
    budget = UNIFORM if found["budget"] is None else found["budget"]
    own = (UNIFORM, CARRIED) if _carries(Label(method, preset)) else BUDGETS
    check_choice("budget", budget, own)
    correction = None if found["correction"] is None else parse_correction(found["correction"])
    label = Label(method, preset, keep, budget, correction)
    label.config()
    return label


def _carries(label: Label) -> bool:
    """Whether a method keeps to payload bits, so that what one linear leaves goes to others."""
    return "payload" in label.config().switches()


def _choose_keep(label: Label, pattern: str | None, budget: str | None) -> tuple[int, int] | None:
    own: tuple[int, int] | None = label.config().switches().get("keep")
    named = budget not in {None, UNIFORM} and not _carries(label)
    if own is None and (pattern is not None or named):
        name, came = ("keep", pattern) if pattern is not None else ("budget", budget)
        raise ArgumentError(name, "a method and preset that prune to N:M", f"{came} for {label}")
    return own if pattern is None else parse_pattern(pattern)
