"""Known exceptions
================

An adopter's own list of cases that are not run, or that are known to fail, each with its
reason. It is a TOML file with two kinds of entries::

    [[skip]]
    cases = "pbs2p_*"
    reason = "not part of our product"

    [[expect]]
    cases = "masked_mean:3"
    reason = "rounds the mean twice, to be fixed in release 2"

``cases`` is OPERATION or OPERATION:SEED, where ``*`` and ``?`` stand for any characters. A
skipped case is not run. An expected failure is run, and is no divergence; once it passes, or
an entry names no case at all, the list is out of date, and reports say so.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from subbit.conformance.cases import OPERATIONS, Outcome
from subbit.conformance.cases.seeds import CASES, seeds_of
from subbit.reference.errors import ArgumentError

SKIP, EXPECT = "skip", "expect"
KINDS = (SKIP, EXPECT)
OPTION = "--exceptions"
_KEYS = {"cases", "reason"}
STALE = {"nothing", "passes"}
"""States of entries that are out of date."""
DEEPEST = tuple(CASES)[-1]


@dataclass(frozen=True)
class Entry:
    """One entry of a list.

    Parameters
    ----------
    kind : {"skip", "expect"}
        Whether its cases are left out, or are known to fail.
    cases : str
        OPERATION or OPERATION:SEED, with ``*`` and ``?``.
    reason : str
        Why.
    """

    kind: str
    cases: str
    reason: str

    def holds(self, operation: str, seed: int) -> bool:
        """Tell whether the entry is about a case.

        Parameters
        ----------
        operation : str
            The operation.
        seed : int
            The case.

        Returns
        -------
        bool
            Whether it is.

        Examples
        --------
        >>> Entry("skip", "masked_*", "later").holds("masked_mean", 3)
        True
        """
        name, _, number = self.cases.partition(":")
        return fnmatchcase(operation, name) and (not number or fnmatchcase(str(seed), number))

    @property
    def exists(self) -> bool:
        """Whether it is about any case of any level and depth."""
        return any(
            self.holds(name, seed)
            for name, item in OPERATIONS.items()
            for seed in seeds_of(item, DEEPEST)
        )

    def __str__(self) -> str:
        return f"[[{self.kind}]] {self.cases}"


@dataclass(frozen=True)
class Exceptions:
    """A list of known exceptions.

    Parameters
    ----------
    entries : tuple of Entry
        The entries.
    file : str
        Where they are from.
    """

    entries: tuple[Entry, ...] = ()
    file: str = ""

    def find(self, kind: str, operation: str, seed: int) -> Entry | None:
        """Return the entry of a kind about a case.

        Parameters
        ----------
        kind : {"skip", "expect"}
            The kind.
        operation : str
            The operation.
        seed : int
            The case.

        Returns
        -------
        Entry or None
            The first such entry.
        """
        about = (e for e in self.entries if e.kind == kind and e.holds(operation, seed))
        return next(about, None)

    def reasons(self, kind: str, operation: str, seeds: Iterable[int]) -> str:
        """Return the reasons of entries about some cases.

        Parameters
        ----------
        kind : {"skip", "expect"}
            The kind.
        operation : str
            The operation.
        seeds : iterable of int
            The cases.

        Returns
        -------
        str
            The reasons in parentheses after a space; empty if there are none.
        """
        found = [entry.reason for s in seeds if (entry := self.find(kind, operation, s))]
        return f" ({'; '.join(dict.fromkeys(found))})" if found else ""

    def kept(self, operation: str, seeds: Iterable[int]) -> list[int]:
        """Return the cases of an operation that are not skipped.

        Parameters
        ----------
        operation : str
            The operation.
        seeds : iterable of int
            Its cases.

        Returns
        -------
        list of int
            Those to run.
        """
        return [seed for seed in seeds if self.find(SKIP, operation, seed) is None]

    def states(
        self, planned: Mapping[str, Sequence[int]], outcomes: Mapping[str, Iterable[Outcome]]
    ) -> Iterator[tuple[Entry, str, int]]:
        """Tell what became of each entry.

        Parameters
        ----------
        planned : mapping of str to sequence of int
            The cases of each operation, skipped ones included.
        outcomes : mapping of str to iterable of Outcome
            Outcomes of the cases that were run.

        Yields
        ------
        tuple
            The entry, its state and the number of its cases. The state is ``"used"``;
            ``"passes"`` if it expects failures and all its cases pass; ``"unreached"`` if its
            cases belong to another level or depth; ``"nothing"`` if there are none.
        """
        for entry in self.entries:
            held = sum(entry.holds(name, seed) for name, seeds in planned.items() for seed in seeds)
            found = {
                one.status
                for name, ones in outcomes.items()
                for one in ones
                if entry.holds(name, one.seed)
            }
            state = "used"
            if not held:
                state = "unreached" if entry.exists else "nothing"
            elif entry.kind == EXPECT and "passed" in found and "failed" not in found:
                state = "passes"
            yield entry, state, held


def _entry(kind: str, given: Any, file: Path) -> Entry:  # noqa: ANN401
    if not isinstance(given, dict) or given.keys() != _KEYS:
        came = f"{given} in {file}"
        raise ArgumentError(OPTION, f"the keys {', '.join(sorted(_KEYS))} in each [[{kind}]]", came)
    for key, value in given.items():
        if not isinstance(value, str) or not value.strip():
            raise ArgumentError(
                OPTION, f"text for {key} in each [[{kind}]]", f"{value!r} in {file}"
            )
    return Entry(kind, given["cases"], given["reason"])


def read_exceptions(file: Path | None) -> Exceptions:
    """Read a list of known exceptions.

    Parameters
    ----------
    file : Path or None
        The TOML file; None is an empty list.

    Returns
    -------
    Exceptions
        The list.

    Raises
    ------
    ArgumentError
        If it is no such list.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> read_exceptions(None).entries
    ()
    """
    if file is None:
        return Exceptions()
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArgumentError(OPTION, "a TOML file", f"{file} ({error})") from error
    for key, value in content.items():
        if key not in KINDS or not isinstance(value, list):
            expected = " and ".join(f"[[{kind}]]" for kind in KINDS)
            raise ArgumentError(OPTION, f"entries {expected}", f"{key} in {file}")
    entries = [_entry(kind, one, file) for kind in KINDS for one in content.get(kind, [])]
    return Exceptions(tuple(entries), str(file))
