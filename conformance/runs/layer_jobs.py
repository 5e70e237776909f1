"""The quantization of a linear as a job
=====================================

The linears of a decoder block do not depend on each other: each takes its weight, the Hessian
of its inputs at full precision, and the configuration. So they may be quantized one after the
other in this process, or at the same time in others; see ``crew``. The same function is called
on the same numbers everywhere, on one BLAS thread, so the answers are equal to the last bit.

Rows are not divided. Products with the inverse factor are BLAS products, whose sums may depend
on the number of rows; and where rows are independent without them, as in RTN, a layer takes
less time than sending it.

========= ========= ==========================================================
symbol    shape     meaning
========= ========= ==========================================================
``W``     (n, m)    the weight, in float32 where that holds it exactly
``H``     (m, m)    the Hessian of its inputs, undamped, in float64
========= ========= ==========================================================
"""

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from subbit.conformance.declared import UndeclaredError
from subbit.conformance.models.base import Linear
from subbit.conformance.target import Port
from subbit.reference import nominal_bits, payload_bits, relative_error
from subbit.reference.errors import SubbitError
from subbit.reference.layer import QuantizedLayer
from subbit.reference.notation import AnyArray, Array
from subbit.reference.storage.record_layout import put_layer, take_layer
from subbit.reference.storage.record_tensors import Layout

from .kernels import on_one_thread
from .manifest import LayerResult
from .stored_scales import round_scales


class Clock:
    """Wall and CPU seconds since its creation."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self, elsewhere: float = 0.0) -> dict[str, float]:
        """Return both times.

        Parameters
        ----------
        elsewhere : float, default 0
            CPU seconds of other processes that belong to the same work.

        Returns
        -------
        dict of str to float
            ``seconds`` and ``cpu_seconds``.
        """
        cpu = time.process_time() - self.cpu + elsewhere
        return {
            "seconds": round(time.perf_counter() - self.wall, 4),
            "cpu_seconds": round(cpu, 4),
        }


@dataclass(frozen=True, eq=False)
class LayerJob:
    """All that the quantization of a linear needs.

    Parameters
    ----------
    block : int
        The decoder block.
    linear : Linear
        The linear.
    target : str
        Name of the port.
    entry : str
        The port's function.
    config : object
        What it takes.
    scales : str
        Type of stored scales and means.
    W : ndarray, shape (n, m)
        The weight.
    H : ndarray of float64, shape (m, m)
        The Hessian of its inputs.
    """

    block: int
    linear: Linear
    target: str
    entry: str
    config: Any
    scales: str
    W: AnyArray
    H: Array

    @property
    def where(self) -> str:
        """The linear, in the words of a message."""
        return place_name(self.block, self.linear.name)


@dataclass(frozen=True, eq=False)
class LayerAnswer:
    """A quantized linear, packed as in a file.

    Parameters
    ----------
    result : LayerResult
        Its numbers.
    layout : dict
        As from `put_layer`.
    tensors : dict of str to ndarray
        As from `put_layer`.
    scales : str
        Type of stored scales and means.
    apart : bool, default False
        Whether another process did it, so that its CPU time is not that of this one.
    """

    result: LayerResult
    layout: Layout
    tensors: dict[str, AnyArray]
    scales: str
    apart: bool = False

    def decode(self) -> Array:
        """Return the decoded weight.

        Returns
        -------
        ndarray of float64, shape (n, m)
            The weight.
        """
        return take_layer(self.layout, self.tensors, self.scales).decode()


@dataclass(frozen=True)
class Refusal:
    """What a job in another process answers in place of a layer.

    Parameters
    ----------
    said : str
        The reason. Not all errors can be sent to another process.
    """

    said: str


def place_name(block: int, name: str) -> str:
    """Name a linear in a message.

    Parameters
    ----------
    block : int
        Its decoder block.
    name : str
        Its name there.

    Returns
    -------
    str
        Both.
    """
    return f"decoder block {block}, {name}"


def narrowed(W: Array) -> AnyArray:
    """Return a weight in float32 where that loses nothing, since half as much is sent then.

    Parameters
    ----------
    W : ndarray of float64
        The weight.

    Returns
    -------
    ndarray of float32 or float64
        The same numbers.

    Examples
    --------
    >>> narrowed(np.array([0.5])).dtype.name, narrowed(np.array([0.1])).dtype.name
    ('float32', 'float64')
    """
    with np.errstate(over="ignore"):
        narrow = W.astype(np.float32)
    return narrow if np.array_equal(narrow, W) else W


def _salient_share(layer: QuantizedLayer) -> float:
    marked = [int(block.salient.sum()) for block in layer.blocks if block.salient is not None]
    return sum(marked) / layer.shape[1]


def _quantize(port: Port, job: LayerJob) -> LayerAnswer:
    # One memory layout, whichever way the arrays came: sums may depend on it.
    W = np.require(job.W, np.float64, ["C", "A", "W"])
    H = np.require(job.H, np.float64, ["C", "A", "W"])
    clock = Clock()
    layer, underflows = round_scales(getattr(port, job.entry)(W, H, job.config), job.scales)
    Q = layer.decode()
    times = clock.read()
    payload = asdict(payload_bits(layer, float_bits=8 * np.dtype(job.scales).itemsize))
    payload.pop("weights", None)
    result = LayerResult(
        block=job.block,
        name=job.linear.name,
        kind=job.linear.kind,
        shape=job.linear.shape,
        relative_error=relative_error(W, Q, H),
        nominal=nominal_bits(layer) * W.size,
        payload=payload,
        salient_share=_salient_share(layer),
        underflows=underflows,
        **times,
    )
    return LayerAnswer(result, *put_layer(layer, job.scales), job.scales)


def do_job(port: Port, job: LayerJob) -> LayerAnswer:
    """Quantize a linear, on one thread.

    Parameters
    ----------
    port : object
        Has the job's entry.
    job : LayerJob
        The job.

    Returns
    -------
    LayerAnswer
        The packed layer and its numbers.

    Raises
    ------
    SubbitError
        If the layer is refused; the message names it.
    """
    try:
        with on_one_thread():
            return _quantize(port, job)
    except (SubbitError, UndeclaredError) as error:
        message = f"{job.where}: {error}"
        raise SubbitError(message) from error


def do_job_apart(port: Port, job: LayerJob) -> LayerAnswer | Refusal:
    """Quantize a linear for another process.

    Parameters
    ----------
    port : object
        Has the job's entry.
    job : LayerJob
        The job.

    Returns
    -------
    LayerAnswer or Refusal
        What can be sent, whatever the port raises.
    """
    try:
        return replace(do_job(port, job), apart=True)
    except SubbitError as error:
        return Refusal(str(error))
    # This process is never interrupted: whatever comes here, the port raised it.
    except BaseException as error:  # noqa: BLE001
        return Refusal(f"{job.where}: raised {type(error).__name__}: {error}")


def taken(answer: LayerAnswer | Refusal) -> LayerAnswer:
    """Return an answer of another process.

    Parameters
    ----------
    answer : LayerAnswer or Refusal
        What came.

    Returns
    -------
    LayerAnswer
        The answer.

    Raises
    ------
    SubbitError
        If it is a refusal.
    """
    if isinstance(answer, Refusal):
        raise SubbitError(answer.said)
    return answer
