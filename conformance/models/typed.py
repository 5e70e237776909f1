"""Numbers from a model's description
===================================

What a ``config.json`` or the metadata of a GGUF file says is checked before anything is computed
or allocated from it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from subbit.reference.errors import ArgumentError, is_whole

MOST_BLOCKS = 2**14
"""Decoder blocks of a model."""
MOST_WIDTH = 2**24
"""Channels, heads or tokens of a vocabulary."""
MOST_CONTEXT = 2**40


def whole(
    source: Mapping[str, Any], key: str, most: int = MOST_WIDTH, default: int | None = None
) -> int:
    """Return a positive whole number of a description.

    Parameters
    ----------
    source : mapping
        The description.
    key : str
        The number's key.
    most : int, optional
        The largest that makes sense.
    default : int, optional
        What a missing key, or null, stands for; by default it has to be there.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ArgumentError
        If it is missing, no whole number, or out of range; the message names the key.

    Examples
    --------
    >>> whole({"num_hidden_layers": 30}, "num_hidden_layers")
    30
    """
    value = _found(source, key, default)
    if not is_whole(value) or not 1 <= value <= most:
        expected = f"a whole number from 1 to {most} for {key}"
        raise ArgumentError("model", expected, str(value)[:60])
    return int(value)


def real(source: Mapping[str, Any], key: str, most: float, default: float | None = None) -> float:
    """Return a positive number of a description.

    Parameters
    ----------
    source, key
        As for `whole`.
    most : float
        The largest that makes sense.
    default : float, optional
        As for `whole`.

    Returns
    -------
    float
        The number.

    Raises
    ------
    ArgumentError
        If it is missing, no number, or out of range; the message names the key.

    Examples
    --------
    >>> real({"rms_norm_eps": 1e-5}, "rms_norm_eps", 1.0)
    1e-05
    """
    value = _found(source, key, default)
    good = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    # A whole number may be too large for a float.
    if not good or not 0 < (value if isinstance(value, int) else float(value)) <= most:
        expected = f"a number above 0 and up to {most:g} for {key}"
        raise ArgumentError("model", expected, str(value)[:60])
    return float(value)


def _found(source: Mapping[str, Any], key: str, default: float | None) -> Any:  # noqa: ANN401
    value = source.get(key)
    value = default if value is None else value
    if value is None:
        raise ArgumentError("model", f"a source with {key}", "one without it")
    return value
