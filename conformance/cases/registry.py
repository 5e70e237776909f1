"""Operations and their cases
===========================

The suite reports on operations. Each has a level, the functions of the protocol that it
takes from the port, and a check that draws a case from a seed and judges it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from subbit.conformance import protocol
from subbit.conformance.cases.asked import Asked, layout_of
from subbit.conformance.cases.draw import BROAD, PAIRED, TALL, WIDE, Draw, is_strict
from subbit.conformance.cases.judge import Judge, Outcome
from subbit.conformance.cases.near import draws_beside, undecided
from subbit.conformance.cases.places import kept_places
from subbit.conformance.declared import UndeclaredError
from subbit.conformance.target import Port
from subbit.reference.bounds.rounding import Arithmetic

LAYERS = 3
"""The level of whole layers."""
Check = Callable[[Port, Judge, Draw], None]
LARGE = (WIDE, TALL, PAIRED, BROAD)


@dataclass(frozen=True)
class Operation:
    """An operation of a port, and how to check it.

    Parameters
    ----------
    name : str
        The operation's name.
    level : int
        0 to 3.
    needs : tuple of str
        Functions of the protocol; a port without one does not implement the operation.
    examine : callable
        ``examine(port, judge, draw)`` judges one case.
    share : float
        Share of the usual number of cases to run.
    large : tuple of int
        Large cases to run beside them.
    numbered : bool
        Whether cases are rows of a design, so that their seeds are 0, 1, 2 and so on.
    decides : bool
        Whether there are cases beside its decisions.
    rarely : bool
        Whether these are few, and none at the depth "quick", since each takes long to find.
    keeps : bool
        Whether its bounds cover the rounding to a type that the port stores records in.
    """

    name: str
    level: int
    needs: tuple[str, ...]
    examine: Check
    share: float = 1.0
    large: tuple[int, ...] = LARGE
    numbered: bool = False
    decides: bool = True
    rarely: bool = False
    keeps: bool = False

    def open_to(self, arithmetic: Arithmetic) -> bool:
        """Tell whether its bounds cover how a port computes and stores.

        Parameters
        ----------
        arithmetic : Arithmetic
            How the port computes.

        Returns
        -------
        bool
            False if records are rounded after they were computed, and no bound says how far
            that carries.
        """
        records = any(protocol.PROTOCOL[name].records for name in self.needs)
        return self.keeps or not (self.level and records and arithmetic.narrows)

    @cached_property
    def first(self) -> bool:
        """Whether it is the one about its function, or the first that needs it."""
        function = self.needs[0]
        others = (item for item in OPERATIONS.values() if item.level and function in item.needs)
        return OPERATIONS.get(function, next(others)) is self

    def _strict(self, port: Port, seed: int) -> tuple[Port, str]:
        """Return a port's strict twin in cases that ask it, and how it is strict."""
        twin = getattr(port, "STRICT_TWIN", None)
        if twin is None or not self.level or not is_strict(seed):
            return port, ""
        return twin(seed)

    def check(
        self, port: Port, arithmetic: Arithmetic, seed: int, judge: Judge | None = None
    ) -> Outcome:
        """Run one case.

        Parameters
        ----------
        port : object
            The port.
        arithmetic : Arithmetic
            How it computes.
        seed : int
            The case.
        judge : Judge, optional
            A judge of its own kind, which keeps what it compares.

        Returns
        -------
        Outcome
            The worst ratio and a sentence.
        """
        judge, drawn, how = judge or Judge(arithmetic), [Draw(seed, dtype=arithmetic.dtype)], []
        if self.level and "layouts" not in getattr(port, "NOT_ASKED", {}):
            how += [f"arrays: {layout}"] if (layout := layout_of(seed)) != "plain" else []
        try:
            self._admit(port, arithmetic)
            asked, strictly = self._strict(port, seed)
            how += [strictly] if strictly else []
            self._examine(asked, judge, drawn)
        except UndeclaredError as error:
            return Outcome(self.name, seed, "declared", message=f"not compared (declared): {error}")
        except NotImplementedError as error:
            return Outcome(self.name, seed, "missing", message=f"not implemented: {error}")
        # Whatever a foreign function raises is its answer to valid input, even an exit.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            judge.fail(f"raised {type(error).__name__}: {error}")
        return self._outcome(judge, drawn[-1], how)

    def _admit(self, port: Port, arithmetic: Arithmetic) -> None:
        lacking = protocol.missing(port, self.needs)
        if lacking:
            raise NotImplementedError(lacking[0])
        if not self.open_to(arithmetic):
            raise UndeclaredError("no bound covers the stored type here")

    def _examine(self, port: Port, judge: Judge, drawn: list[Draw]) -> None:
        """Look at a case, or at the inputs beside a decision until one fails."""
        seed, beside = drawn[0].seed, drawn[0].beside
        with np.errstate(all="ignore"):
            asked = Asked(port, judge, seed, again=self.first) if self.level else port
            for draw in self._beside(judge.arithmetic, seed) if beside else drawn[:]:
                drawn.append(draw)
                self.examine(asked, judge, draw)
                if judge.ratio > 1.0:
                    break

    def _beside(self, arithmetic: Arithmetic, seed: int) -> list[Draw]:
        kept = kept_places().get(self.name, {}).get(arithmetic.dtype, {})
        if seed in kept and kept[seed] is None:
            return undecided(seed)
        return draws_beside(self.examine, arithmetic, seed, kept.get(seed))

    def _outcome(self, judge: Judge, draw: Draw, how: list[str]) -> Outcome:
        passed, counts = judge.ratio <= 1.0, judge.counts
        looked_at = counts.compared if self.level else counts.facts
        said = f"{self.name} ({draw.label})" + ("" if passed else f": {judge.sentence}")
        if not passed:
            said += "".join(f" ({one})" for one in how)
        if not passed and math.isfinite(judge.ratio):
            said += f", {judge.ratio:.3g} times its bound"
        status = "failed" if not passed else "passed" if looked_at else "empty"
        return Outcome(self.name, draw.seed, status, judge.ratio, said, counts)


OPERATIONS: dict[str, Operation] = {}
"""All operations by name; the modules next to this one register theirs."""


def operation(
    level: int,
    *needs: str,
    name: str = "",
    share: float = 1.0,
    large: tuple[int, ...] | None = None,
    numbered: bool = False,
    decides: bool | None = None,
    rarely: bool = False,
    keeps: bool = False,
) -> Callable[[Check], Check]:
    """Register a check as an operation.

    Parameters
    ----------
    level : int
        The operation's level.
    *needs : str
        Functions of the protocol that it takes from the port.
    name : str, optional
        The operation's name; the check's own by default, without the underscore.
    share : float, default 1.0
        Share of the usual number of cases to run.
    large : tuple of int, optional
        Large cases to run beside them; by default those that are wide and tall and, below
        level 3, those with two and three columns for each lane of a warp.
    numbered : bool, default False
        Whether seeds are 0, 1, 2 and so on.
    decides : bool, optional
        Whether there are cases beside its decisions; by default, except for whole layers.
    rarely : bool, default False
        Whether these are the same few for every share, and none at the depth "quick".
    keeps : bool, default False
        Whether its bounds cover the rounding to a storage type.

    Returns
    -------
    callable
        A decorator that keeps the check.
    """

    def enter(check: Check) -> Check:
        title = name or check.__name__.lstrip("_")
        sizes = ((WIDE, TALL) if level > 2 else LARGE) if large is None else large
        OPERATIONS[title] = Operation(
            title,
            level,
            needs or (title,),
            check,
            share,
            sizes,
            numbered,
            decides=level < LAYERS if decides is None else decides,
            rarely=rarely,
            keeps=keeps,
        )
        return check

    return enter


def of_level(level: int) -> Iterator[Operation]:
    """Iterate over the operations up to a level.

    Parameters
    ----------
    level : int
        The highest level.

    Yields
    ------
    Operation
        In order of level, then of registration.
    """
    yield from sorted(
        (item for item in OPERATIONS.values() if item.level <= level), key=lambda item: item.level
    )
