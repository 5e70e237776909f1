"""Who quantizes the layers of a command
======================================

``--workers N`` chooses processes on this machine, ``--scheduler ADDRESS`` a cluster. Without
either there are as many processes as processors, for blocks large enough to be worth it.
"""

from dataclasses import dataclass

from subbit.conformance.command.console import make_console
from subbit.conformance.declared import within
from subbit.conformance.runs.crew import Crew, Here
from subbit.conformance.runs.processes import Machine, Processes, available_processors
from subbit.conformance.target import capabilities_of, resolve
from subbit.reference.errors import ArgumentError

ON_A_GPU = "cuda"


@dataclass(frozen=True)
class CrewOptions:
    """Options that choose a crew.

    Parameters
    ----------
    workers : int, optional
        Processes on this machine.
    scheduler : str, optional
        Address of a cluster's scheduler.
    """

    workers: int | None = None
    scheduler: str | None = None


AUTOMATIC = CrewOptions()
"""As many processes as there are processors."""


def _notice(sentence: str) -> None:
    make_console(stderr=True).print(f"subbit: {sentence}", markup=False, soft_wrap=True)


def open_crew(target: str, options: CrewOptions) -> Crew:
    """Find those who quantize the layers, before anything else takes time.

    Parameters
    ----------
    target : str
        Name of the port.
    options : CrewOptions
        The choice.

    Returns
    -------
    Crew
        To be closed.

    Raises
    ------
    SubbitError
        If there is no such port or cluster.
    """
    if options.scheduler is not None:
        if options.workers is not None:
            raise ArgumentError("--workers", "no --scheduler alongside it", options.scheduler)
        if not options.scheduler.strip():
            # Without one, dask starts processes of its own.
            raise ArgumentError("--scheduler", "the address of a dask scheduler", "nothing")
        from subbit.conformance.runs.cluster import Cluster

        return Cluster(options.scheduler, target, _notice)
    if options.workers is not None and options.workers != 1:
        return Processes(target, options.workers)
    port = within(resolve(target))
    # Several processes would only share the GPU.
    if options.workers == 1 or capabilities_of(port).device == ON_A_GPU:
        return Here(port)
    return Machine(target, port, available_processors())
