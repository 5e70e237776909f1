"""A simulated device whose arrays are not those of the host.

On the simulated device both are NumPy arrays, so a host array would pass where a GPU needs its own.
Here, as in CuPy, the two do not mix: only `asarray` and `array` move an array to the device, and
only `get` moves it back.
"""

import numpy as np

UPLOADS = frozenset({"asarray", "array"})
_HERE = np.ndarray


class MixedError(TypeError):
    """A host array was used where a device array is needed, or the reverse."""


def _each(values):
    for value in values:
        if isinstance(value, list | tuple):
            yield from _each(value)
        elif isinstance(value, dict):
            yield from _each(value.values())
        else:
            yield value


def _check(where, *values):
    for value in _each(values):
        # Numbers are handed over as they are; CuPy takes arrays without axes as such.
        if isinstance(value, _HERE) and value.ndim and not isinstance(value, There):
            message = f"{where}: an array of the host, of shape {value.shape}"
            raise MixedError(message)


def _plain(value):
    if isinstance(value, There):
        return value.view(_HERE)
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def _there(value):
    if isinstance(value, _HERE):
        return value.view(There)
    return type(value)(map(_there, value)) if type(value) in {list, tuple} else value


class There(np.ndarray):
    """An array of the device."""

    def get(self):
        """The same numbers on the host."""
        return np.array(self.view(_HERE))

    def __array_ufunc__(self, ufunc, method, *inputs, **switches):
        _check(ufunc.__name__, inputs, switches)
        return _there(getattr(ufunc, method)(*_plain(inputs), **_plain(switches)))

    def __array_function__(self, function, types, args, switches):
        message = f"{function.__name__}: NumPy's function for an array of the device"
        raise MixedError(message)

    def __getitem__(self, key):
        _check("index", key)
        return _there(self.view(_HERE)[_plain(key)])

    def __setitem__(self, key, value):
        _check("assignment", key, value)
        self.view(_HERE)[_plain(key)] = _plain(value)


def _wrapped(function, name):
    def call(*args, **switches):
        if name not in UPLOADS:
            _check(name, args, switches)
        return _there(function(*_plain(args), **_plain(switches)))

    return call


class Namespace:
    """The device's functions, restricted to device arrays."""

    ndarray = There

    def __init__(self, xp):
        self._xp = xp

    def __getattr__(self, name):
        value = getattr(self._xp, name)
        is_function = callable(value) and not isinstance(value, type)
        return _wrapped(value, name) if is_function else value


class Linear:
    """The device's linear algebra, for its own arrays."""

    def __init__(self, linalg):
        self._linalg = linalg

    def __getattr__(self, name):
        return _wrapped(getattr(self._linalg, name), name)


class Apart:
    """A simulated device with its own memory."""

    def __init__(self, device):
        self._device = device
        self.xp, self.linalg = Namespace(device.xp), Linear(device.linalg)

    def __getattr__(self, name):
        return getattr(self._device, name)

    def launch(self, kernel, grid, block, args, shared=0):
        """Run a kernel on arrays of the device."""
        _check(kernel.entry, args)
        return self._device.launch(kernel, grid, block, _plain(list(args)), shared)
