"""Tables, progress and refusals of the command line
=================================================

Results go to standard output, progress and refusals to standard error.
"""

import contextlib
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from types import TracebackType
from typing import Any, Self

import rich.markup
import rich.table
import typer
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from subbit.reference.errors import SubbitError

REFUSED, INTERRUPTED = 2, 130
PLAIN_WIDTH = 160
SECONDS_BETWEEN_LINES = 10.0
_LONGEST = 2000
"""Characters of a refusal; a name in a file may have any number."""
_PERIOD = 300.0
"""Seconds of work that the remaining time is told from."""


def make_console(*, stderr: bool = False) -> Console:
    """Return a console that does not fold lines if the output is not a terminal.

    Parameters
    ----------
    stderr : bool, default False
        Write to standard error.

    Returns
    -------
    Console
        The console.
    """
    for stream in (sys.stdout, sys.stderr):
        # The name of a file need not be in UTF-8; it is shown all the same.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    console = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


@dataclass(frozen=True)
class Table:
    """A table with the notes needed to read it.

    Parameters
    ----------
    title : str
        Title of the table.
    columns : tuple of str
        Headings; the first column is text, the others are numbers.
    rows : tuple of tuple of str
        Cells.
    notes : tuple of str
        Model, texts, windows and the like, one line each.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]

    def drawn(self) -> RenderableType:
        """Return the table without title and notes.

        Returns
        -------
        RenderableType
            What a console prints.
        """
        drawn = rich.table.Table()
        for index, column in enumerate(self.columns):
            drawn.add_column(column, justify="right" if index else "left", no_wrap=not index)
        for row in self.rows:
            drawn.add_row(*row)
        return drawn

    def show(self, console: Console) -> None:
        """Print the table.

        Parameters
        ----------
        console : Console
            Console to print to.
        """
        console.print(self.title, style="bold", markup=False, soft_wrap=True)
        console.print(self.drawn())
        for note in self.notes:
            console.print(note, markup=False, soft_wrap=True)

    def to_markdown(self) -> str:
        """Return the table in Markdown.

        Returns
        -------
        str
            Title, table and notes.
        """
        ruler = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = ["| " + " | ".join(row) + " |" for row in (self.columns, ruler, *self.rows)]
        notes = [f"- {note}" for note in self.notes]
        return "\n".join([f"**{self.title}**", "", *lines, "", *notes, ""])


def format_number(value: float | None, digits: int = 2) -> str:
    """Format a number for a table.

    Parameters
    ----------
    value : float or None
        The number.
    digits : int, default 2
        Digits after the decimal point below a thousand; none above.

    Returns
    -------
    str
        The number, or ``-`` for None.

    Examples
    --------
    >>> format_number(27.6412), format_number(77321.4), format_number(None)
    ('27.64', '77,321', '-')
    """
    if value is None:
        return "-"
    return f"{value:,.{digits if abs(value) < 1000 else 0}f}"


@contextlib.contextmanager
def under_way(work: str) -> Iterator[None]:
    """Say that work goes on whose steps cannot be counted.

    Parameters
    ----------
    work : str
        The work.

    Yields
    ------
    None
        To the work.
    """
    console = make_console(stderr=True)
    if console.is_terminal:
        with console.status(rich.markup.escape(work)):
            yield
        return
    # A log has no line for work that is over at once.
    said = threading.Timer(1.0, lambda: console.print(work, markup=False, soft_wrap=True))
    said.daemon = True
    said.start()
    try:
        yield
    finally:
        said.cancel()


class _Below(Progress):
    """Progress below something else that grows."""

    def __init__(
        self, *columns: ProgressColumn, above: Callable[[], RenderableType], console: Console
    ) -> None:
        self._above = above
        super().__init__(*columns, console=console, speed_estimate_period=_PERIOD, transient=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return what to draw."""
        yield self._above()
        yield from super().get_renderables()


class Bar:
    """Progress with remaining time: a bar on a terminal, an occasional line elsewhere.

    Parameters
    ----------
    title : str
        The work in progress.
    total : int
        Number of steps.
    console : Console
        Console to show it on.
    alike : bool, default True
        Whether all steps take about the same time, so that the remaining time can be told.
    above : callable, optional
        Returns what stands above the bar while it is there, such as the results so far.
    """

    def __init__(
        self,
        title: str,
        total: int,
        console: Console,
        *,
        alike: bool = True,
        above: Callable[[], RenderableType] | None = None,
    ) -> None:
        self.title, self.total, self.done, self.alike = title, total, 0, alike
        self.console = console
        self.started = self.told = time.monotonic()
        self.progress: Progress | None = None
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                *((TextColumn("left"), TimeRemainingColumn()) if alike else ()),
            )
            self.progress = (
                Progress(*columns, console=console, speed_estimate_period=_PERIOD)
                if above is None
                else _Below(*columns, above=above, console=console)
            )
            self.task = self.progress.add_task(title, total=total)

    def __enter__(self) -> Self:
        if self.progress is not None:
            self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.progress is not None:
            self.progress.stop()

    def step(self, note: str) -> None:
        """Count one step.

        Parameters
        ----------
        note : str
            The finished step.
        """
        self.done += 1
        if self.progress is not None:
            self.progress.update(self.task, advance=1, description=f"{self.title}: {note}")
            return
        now = time.monotonic()
        if now - self.told >= SECONDS_BETWEEN_LINES:
            self.told = now
            left = (now - self.started) / self.done * max(self.total - self.done, 0)
            told = f", about {left:.0f} s left" if self.alike else ""
            self.line(f"{self.title}: {note}, {self.done}/{self.total}{told}")

    def expect(self, total: int) -> None:
        """Set the number of steps, if it is known only later.

        Parameters
        ----------
        total : int
            The number.
        """
        self.total = total
        if self.progress is not None:
            self.progress.update(self.task, total=total)

    def line(self, text: str) -> None:
        """Print a line above the bar.

        Parameters
        ----------
        text : str
            The line.
        """
        self.console.print(text, markup=False)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f": {error.filename}"
        return f"{error.strerror}{where}"
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


@contextlib.contextmanager
def _warnings_in_a_line(console: Console) -> Iterator[None]:
    """Print the project's own warnings without the line of code that they come from."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:  # noqa: ANN401
            if category.__module__.startswith("subbit."):
                console.print(f"subbit: {message}", markup=False, soft_wrap=True)
            else:
                usual(message, category, *place, **more)

        warnings.showwarning = show
        yield


@contextlib.contextmanager
def refusals(after_interrupt: str = "") -> Iterator[None]:
    """Turn errors into one sentence and an exit code.

    Parameters
    ----------
    after_interrupt : str, default ""
        Text for a user who pressed Ctrl-C.

    Yields
    ------
    None
        To the body, whose errors are caught.

    Raises
    ------
    Exit
        With code 2 for a refusal, 130 for Ctrl-C.
    """
    console = make_console(stderr=True)
    try:
        with _warnings_in_a_line(console):
            yield
    except (SubbitError, OSError, MemoryError) as error:
        _tell(console, _sentence(error))
        raise typer.Exit(REFUSED) from error
    except KeyboardInterrupt as error:
        _tell(console, f"interrupted{after_interrupt}")
        raise typer.Exit(INTERRUPTED) from error


def _tell(console: Console, sentence: str) -> None:
    # The exit code tells it too, where nothing can be written.
    with contextlib.suppress(OSError):
        console.print(f"subbit: {sentence}", markup=False, soft_wrap=True)
