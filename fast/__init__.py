"""The operations of the reference in CUDA
=======================================

``on("cuda")`` and ``on("simulated")`` give a port: the functions of
:mod:`subbit.reference` with the same names and signatures, computed in float32 by the
kernels in ``kernels/``, on a GPU or on a device simulated in NumPy.
"""

from typing import Any

from subbit.reference.errors import check_choice

from .port import Port

__all__ = ["Port", "on"]

DEVICES = ("cuda", "simulated")


def on(name: str, **options: Any) -> Port:  # noqa: ANN401
    """Return the port of a device.

    Parameters
    ----------
    name : {"cuda", "simulated"}
        The device. Nothing falls back: without a GPU, "cuda" is an error.
    **options : dict
        Options of the device, such as ``races=True`` or ``schedule="random"`` for "simulated".

    Returns
    -------
    Port
        The functions of the reference, bound to the device.

    Raises
    ------
    ArgumentError
        If no device has that name.
    DeviceUnavailableError
        If this machine lacks it or something it needs.

    Examples
    --------
    >>> port = on("simulated")
    >>> port.masked_mean([[1.0, 2.0, 9.0]], [[True, True, False]])
    array([1.5], dtype=float32)
    """
    check_choice("name", name, DEVICES)
    if name == "cuda":
        from subbit.fast.device.cuda import Cuda

        return Port(Cuda(**options), name)
    from subbit.fast.device.simulated import Simulated

    return Port(Simulated(**options), name)


def __getattr__(name: str) -> Port:
    """Return the port that ``subbit.fast:simulated`` or ``subbit.fast:cuda`` names."""
    if name in DEVICES:
        return on(name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
