"""Crews: those who quantize the linears of a decoder block
========================================================

A crew takes the linears of a block as tasks and answers in any order. `Here` does them one
after the other in this process; the crews of ``processes`` and ``cluster`` send them away. A
task makes its job when it is handed out, so no more weights are held than are worked on.
"""

import abc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

from subbit.conformance.target import Port

from .layer_jobs import LayerAnswer, LayerJob, do_job

Notice: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """A job that is made when it is handed out, so that few weights are held at a time.

    Parameters
    ----------
    where : str
        The linear, in the words of a message.
    weights : int
        Number of its weights; large ones are handed out first.
    make : callable
        Returns the job, as often as it is called.
    """

    where: str
    weights: int
    make: Callable[[], LayerJob]


def largest_first(tasks: Sequence[Task]) -> list[int]:
    """Order tasks so that workers end at about the same time.

    Parameters
    ----------
    tasks : sequence of Task
        Tasks.

    Returns
    -------
    list of int
        Their places, those with most weights first.

    Examples
    --------
    >>> tasks = [Task(name, size, lambda: None) for name, size in (("k", 1), ("up", 3), ("q", 2))]
    >>> largest_first(tasks)
    [1, 2, 0]
    """
    return sorted(range(len(tasks)), key=lambda place: -tasks[place].weights)


class Crew(abc.ABC):
    """Those who quantize the linears of a decoder block."""

    def has(self, entry: str) -> bool:
        """Tell whether the port has a function.

        Parameters
        ----------
        entry : str
            Its name.

        Returns
        -------
        bool
            Whether it can be called.
        """
        return self._has(entry)

    def answers(self, tasks: Sequence[Task], notice: Notice) -> Iterator[tuple[int, LayerAnswer]]:
        """Do tasks, in any order.

        Parameters
        ----------
        tasks : sequence of Task
            What to do.
        notice : callable
            Called with a sentence about work that was lost and is done again.

        Yields
        ------
        tuple of int and LayerAnswer
            The place of a task, and its answer.

        Raises
        ------
        SubbitError
            If a layer is refused, or cannot be done; the message names it.
        """
        yield from self._answers(tasks, notice)

    def close(self) -> None:
        """End all work immediately."""
        self._close()

    @abc.abstractmethod
    def _has(self, entry: str) -> bool: ...

    @abc.abstractmethod
    def _answers(
        self, tasks: Sequence[Task], notice: Notice
    ) -> Iterator[tuple[int, LayerAnswer]]: ...

    @abc.abstractmethod
    def _close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Here(Crew):
    """The process itself, one linear after the other.

    Parameters
    ----------
    port : object
        Quantizes the layers.
    """

    def __init__(self, port: Port) -> None:
        self.port = port

    def _has(self, entry: str) -> bool:
        return hasattr(self.port, entry)

    def _answers(self, tasks: Sequence[Task], notice: Notice) -> Iterator[tuple[int, LayerAnswer]]:
        del notice
        for place, task in enumerate(tasks):
            yield place, do_job(self.port, task.make())

    def _close(self) -> None:
        """End nothing: no work outlives a call."""
