"""Known exceptions in pytest
==========================

At the end of a session, what became of each entry of the list; a list that is out of date
fails the session, as it has an exit code of its own in ``subbit check``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from subbit.conformance.cases import Outcome
from subbit.conformance.exceptions import STALE, Exceptions

from .tables import exception_line
from .workers import Judged

PROPERTY = "subbit"


def told_of(planned: Sequence[int], judged: Judged) -> dict[str, Any]:
    """Return what a test says of an operation's cases to the session.

    Parameters
    ----------
    planned : sequence of int
        The operation's cases.
    judged : Judged
        Outcomes of those that were run.

    Returns
    -------
    dict
        Numbers and text only, so it can be sent between processes.
    """
    return {
        "operation": judged.operation,
        "planned": list(planned),
        "outcomes": [[one.seed, one.status] for one in judged.outcomes],
    }


class Told:
    """What tests have told of known exceptions.

    Parameters
    ----------
    known : Exceptions
        The exceptions.
    """

    def __init__(self, known: Exceptions) -> None:
        self.known = known
        self.planned: dict[str, list[int]] = {}
        self.outcomes: dict[str, list[Outcome]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a test has told.

        Parameters
        ----------
        report : TestReport
            Its report.
        """
        for name, value in report.user_properties if report.when == "call" else ():
            if name == PROPERTY and isinstance(value, dict):
                self._take(value)

    def _take(self, told: Mapping[str, Any]) -> None:
        name = told["operation"]
        self.planned[name] = told["planned"]
        self.outcomes[name] = [Outcome(name, seed, status) for seed, status in told["outcomes"]]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail a session whose list is out of date.

        Parameters
        ----------
        session : Session
            The session.
        exitstatus : int
            Its exit code so far.
        """
        states = {state for _, state, _ in self.known.states(self.planned, self.outcomes)}
        if exitstatus == pytest.ExitCode.OK and states & STALE:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print a line for each entry.

        Parameters
        ----------
        terminalreporter : TerminalReporter
            Where to print.
        """
        terminalreporter.section(f"known exceptions of {self.known.file}")
        for entry, state, number in self.known.states(self.planned, self.outcomes):
            terminalreporter.write_line(
                exception_line(entry.kind, entry.cases, entry.reason, state, number)
            )
