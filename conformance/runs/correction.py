"""Error propagation as a setting of a run
=======================================

``NAME[:alpha=A][:beta=B][:ridge=R]``, such as ``half`` or ``loaq:alpha=0.7``: a named setting, and
what differs from it. Printed settings leave out what does not, and have a name of their own where
there is one, so equal choices print alike.

========= ======= ====== ======================================
name      alpha   beta   linears that are left out
========= ======= ====== ======================================
``qep``   0.5     0      the last of the MLP, ``down`` or ``fc2``
``gptaq`` 1       0      none
``loaq``  1       1      none
``half``  0.5     0.5    none
========= ======= ====== ======================================
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

from subbit.reference import PROPAGATIONS, Propagation
from subbit.reference.errors import ArgumentError, check_choice

PROPAGATE_FORM = "NAME[:alpha=A][:beta=B][:ridge=R]"
LEFT_OUT: Mapping[str, tuple[str, ...]] = MappingProxyType({"qep": ("down", "fc2")})
"""Kinds of linears that a named setting leaves out."""

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{0,17})?(e-?[0-9]{1,2})?|\.[0-9]{1,17}")


@dataclass(frozen=True)
class Correction:
    """How much of the accumulated error the linears of a run correct.

    Parameters
    ----------
    name : str
        A key of ``PROPAGATIONS``.
    alpha, beta, ridge : float
        As in `Propagation`.

    Examples
    --------
    >>> str(Correction("loaq", 0.7, 1.0, 0.01))
    'loaq:alpha=0.7'
    """

    name: str
    alpha: float
    beta: float
    ridge: float

    def __str__(self) -> str:
        """Return the setting, as `parse_correction` takes it."""
        own, published = asdict(self), asdict(named_correction(self.name))
        changed = [f"{key}={own[key]!r}" for key in own if own[key] != published[key]]
        return ":".join([self.name, *changed])

    def config(self, kind: str) -> Propagation | None:
        """Return the configuration for a linear.

        Parameters
        ----------
        kind : str
            `Linear.kind`.

        Returns
        -------
        Propagation or None
            None for a kind that is left out.
        """
        if kind in LEFT_OUT.get(self.name, ()):
            return None
        return Propagation(alpha=self.alpha, beta=self.beta, ridge=self.ridge)


def named_correction(name: str) -> Correction:
    """Return a named setting.

    Parameters
    ----------
    name : str
        A key of ``PROPAGATIONS``.

    Returns
    -------
    Correction
        The setting.

    Raises
    ------
    ArgumentError
        If there is none of that name.
    """
    check_choice("propagate", name, PROPAGATIONS)
    return Correction(name, **PROPAGATIONS[name].switches())


def parse_correction(text: str) -> Correction:
    """Read a setting.

    Parameters
    ----------
    text : str
        ``NAME[:alpha=A][:beta=B][:ridge=R]``.

    Returns
    -------
    Correction
        The setting.

    Raises
    ------
    ArgumentError
        If it is not one, or a number is outside its domain.

    Examples
    --------
    >>> parse_correction("qep:alpha=0.25")
    Correction(name='qep', alpha=0.25, beta=0.0, ridge=0.01)
    >>> str(parse_correction("loaq:alpha=0.5:beta=0.5"))
    'half'
    """
    name, *changes = text.split(":")
    found = named_correction(name)
    given: dict[str, float] = {}
    for change in changes:
        key, _, number = change.partition("=")
        if key not in {"alpha", "beta", "ridge"} - given.keys() or not _NUMBER.fullmatch(number):
            raise ArgumentError("propagate", PROPAGATE_FORM, text)
        given[key] = float(number)
    numbers = {"alpha": found.alpha, "beta": found.beta, "ridge": found.ridge} | given
    # Its domains are those of the setting.
    Propagation(**numbers)
    asked = Correction(found.name, **numbers)
    named = (named_correction(other) for other in PROPAGATIONS if _leaves_out(other, name))
    return next((one for one in named if asdict(one) | {"name": name} == asdict(asked)), asked)


def _leaves_out(one: str, other: str) -> bool:
    """Whether two settings leave out the same linears."""
    return LEFT_OUT.get(one) == LEFT_OUT.get(other)
