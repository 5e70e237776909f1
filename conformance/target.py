"""Naming a port
=============

A port is any object that has the functions of :mod:`subbit.reference` as attributes; a
function it lacks is *not implemented*, never an error. A port is named by one of:

=========================== =================================================
``reference``               this project's NumPy specification
``fast:simulated``          its CUDA kernels on a device simulated in NumPy
``fast:simulated+race``     the same, with every data race reported
``fast:simulated+7``        the same, warps and blocks in the random order 7
``fast:cuda``               the same kernels on a GPU
an entry point's name       of the group ``subbit.ports``, in any package
``some.module``             a module that can be imported
``some.module:name``        an object in such a module
``exec:COMMAND``            a program, see :mod:`subbit.conformance.programs`
``outputs:DIR``             answers in files, see :mod:`subbit.conformance.frozen`
=========================== =================================================

A port may have a strict twin, which computes the same and notices more; one case in eight,
and some large ones, ask the twin in its place. ``STRICT_TWIN(seed)`` returns it, and a phrase
that says how it is strict. That of ``fast:simulated`` checks for races, and runs warps and
blocks in the random order of the case's seed.

A port describes itself in its attribute ``CAPABILITIES``, see
:mod:`subbit.conformance.capabilities`. A port without it computes in float64.
"""

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, TypeAlias

from subbit.conformance.capabilities import Capabilities, read_capabilities
from subbit.reference.bounds.rounding import Arithmetic
from subbit.reference.errors import ArgumentError, SubbitError

Port: TypeAlias = Any

ENTRY_POINT_GROUP = "subbit.ports"
_EXPECTED = (
    "reference, fast:simulated, fast:cuda, "
    f"a name of the entry-point group {ENTRY_POINT_GROUP}, module, module:name or exec:COMMAND"
)
_FAST = "fast:"
EXEC, OUTPUTS = "exec:", "outputs:"
RACES = "race"


def _registered(name: str) -> Port | None:
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name == name:
            return entry.load()
    return None


def _imported(name: str) -> Port:
    module, _, attribute = name.partition(":")
    port: Port = importlib.import_module(module)
    for part in filter(None, attribute.split(".")):
        port = getattr(port, part)
    return port


def _fast(name: str) -> Port:
    device, *modes = name.split("+")
    options: dict[str, Any] = {}
    for mode in modes:
        options |= {"races": True} if mode == RACES else {"schedule": "random", "seed": int(mode)}
    # By name: the only port this package knows is the reference.
    port = importlib.import_module("subbit.fast").on(device, **options)
    if device == "simulated":
        try:
            importlib.import_module("subbit.fast.device.nvrtc").find_library()
        except SubbitError as error:
            raise RuntimeError(f"{error}; pip install 'subbit[simulated]' brings it") from error
    return port


def resolve(target: str) -> Port:
    """Return the port with a given name.

    Parameters
    ----------
    target : str
        Its name, as in the table above.

    Returns
    -------
    object
        The port.

    Raises
    ------
    ArgumentError
        If nothing with that name can be imported.

    Examples
    --------
    >>> resolve("reference").__name__
    'subbit.reference'
    >>> resolve("subbit.reference:objective").__name__
    'subbit.reference.objective'
    """
    try:
        if target == "reference":
            return _imported("subbit.reference")
        if target.startswith(_FAST):
            return _fast(target.removeprefix(_FAST))
        if is_program(target):
            # By name: what speaks with programs knows the protocol, which knows ports.
            programs = importlib.import_module("subbit.conformance.programs.port")
            return programs.connect(target.removeprefix(EXEC))
        if target.startswith(OUTPUTS):
            outputs = importlib.import_module("subbit.conformance.frozen.outputs")
            return outputs.connect(target.removeprefix(OUTPUTS))
        port = _registered(target)
        return _imported(target) if port is None else port
    except ArgumentError as error:
        if target.startswith((EXEC, OUTPUTS)):
            raise
        raise ArgumentError("target", _EXPECTED, f"{target!r} ({error})") from error
    # Importing a foreign module runs foreign code: whatever it raises is a bad target.
    except (Exception, SystemExit) as error:
        reason = f"{target!r} ({type(error).__name__}: {error})"
        raise ArgumentError("target", _EXPECTED, reason) from error


def is_program(target: str) -> bool:
    """Tell whether a target names a program.

    Parameters
    ----------
    target : str
        The port's name.

    Returns
    -------
    bool
        Whether it is ``exec:COMMAND``.

    Examples
    --------
    >>> is_program("exec:./port"), is_program("reference")
    (True, False)
    """
    return target.startswith(EXEC)


def built_with(target: str, port: Port) -> Mapping[str, str]:
    """Return the versions of what a port is built with.

    Parameters
    ----------
    target : str
        The port's name.
    port : object
        The port.

    Returns
    -------
    mapping of str to str
        What it declares; of this project's own kernels, those of their compiler.

    Examples
    --------
    >>> built_with("reference", resolve("reference"))
    {}
    """
    declares = capabilities_of(port)
    declared = declares.versions
    if not target.startswith(_FAST):
        return declared
    if declares.device == "simulated":
        version = importlib.import_module("subbit.fast.device.nvrtc").version()
        return {"NVRTC": ".".join(map(str, version)), **declared}
    cupy = port.device.xp
    compiler = ".".join(map(str, cupy.cuda.nvrtc.getVersion()))
    return {"NVRTC": compiler, "CuPy": cupy.__version__, **declared}


def capabilities_of(port: Port) -> Capabilities:
    """Return what a port declares.

    Parameters
    ----------
    port : object
        The port.

    Returns
    -------
    Capabilities
        Its declaration; float64 without restrictions where it declares nothing.

    Raises
    ------
    ArgumentError
        If a key is not known, or a declared value is not allowed.

    Examples
    --------
    >>> capabilities_of(resolve("reference")).restricted
    False
    """
    return read_capabilities(getattr(port, "CAPABILITIES", None))


def arithmetic_of(port: Port) -> Arithmetic:
    """Return how a port computes, as it declares.

    Parameters
    ----------
    port : object
        The port.

    Returns
    -------
    Arithmetic
        Its type and depths of summation; float64 where it declares nothing.

    Raises
    ------
    ArgumentError
        If a key is not known, or a declared value is not allowed.

    Examples
    --------
    >>> arithmetic_of(resolve("reference")).dtype
    'float64'
    """
    return capabilities_of(port).arithmetic
