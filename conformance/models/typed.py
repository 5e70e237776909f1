"""What a model's description says
===============================

What a ``config.json`` or the metadata of a GGUF file says is checked before anything is computed
or allocated from it.
"""

import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from subbit.reference.errors import ArgumentError, is_whole

MOST_BLOCKS = 2**14
"""Decoder blocks of a model."""
MOST_WIDTH = 2**24
"""Channels, heads or tokens of a vocabulary."""
MOST_CONTEXT = 2**40
MOST_LISTED = 2**20
"""Tensors, or files."""


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
    return _whole_from(1, most, key, _found(source, key, default))


def count_of(source: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """Return a number of things that a description lists, which may be none.

    Parameters
    ----------
    source, key, default
        As for `whole`.

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
    >>> count_of({"split.no": 0}, "split.no")
    0
    """
    return _whole_from(0, MOST_LISTED, key, _found(source, key, default))


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
        raise ArgumentError("model", expected, shown(value))
    return float(value)


def flag(source: Mapping[str, Any], key: str) -> bool:
    """Return a yes or no of a description; false if it is missing.

    Parameters
    ----------
    source, key
        As for `whole`.

    Returns
    -------
    bool
        The value.

    Raises
    ------
    ArgumentError
        If it is no yes or no; the message names the key.

    Examples
    --------
    >>> flag({"tie_word_embeddings": True}, "tie_word_embeddings")
    True
    """
    value = _found(source, key, default=False)
    if not isinstance(value, bool | np.bool_):
        raise ArgumentError("model", f"true or false for {key}", shown(value))
    return bool(value)


def word(source: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """Return a text of a description.

    Parameters
    ----------
    source, key
        As for `whole`.
    default : str, optional
        As for `whole`.

    Returns
    -------
    str
        The text.

    Raises
    ------
    ArgumentError
        If it is missing or no text; the message names the key.

    Examples
    --------
    >>> word({"model": "gpt2"}, "model")
    'gpt2'
    """
    value = _found(source, key, default)
    if not isinstance(value, str):
        raise ArgumentError("model", f"a text for {key}", shown(value))
    # JSON may spell half of a surrogate pair, which is no character.
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise ArgumentError("model", f"a text of whole characters for {key}", ascii(value)[:60])
    return value


def listed(source: Mapping[str, Any], key: str, kind: type) -> list[Any]:
    """Return a list of a description; empty if it is missing.

    Parameters
    ----------
    source, key
        As for `whole`.
    kind : type
        The type of its elements.

    Returns
    -------
    list
        The elements.

    Raises
    ------
    ArgumentError
        If it is no list, or an element is of another type; the message names the key.

    Examples
    --------
    >>> listed({"tokens": ["a", "b"]}, "tokens", str)
    ['a', 'b']
    """
    value = _found(source, key, [])
    if not isinstance(value, list) or not all(type(one) is kind for one in value):
        expected = f"a list whose elements are of type {kind.__name__} for {key}"
        raise ArgumentError("model", expected, shown(value))
    return value


def shown(value: object) -> str:
    """Return the beginning of a value, for a message.

    Parameters
    ----------
    value : object
        What a file holds, nested however deeply.

    Returns
    -------
    str
        Some tens of characters.

    Examples
    --------
    >>> shown("q4"), shown([[[]]])
    ('q4', '[[[]]]')
    """
    return (value if isinstance(value, str) else reprlib.repr(value))[:60]


def _whole_from(least: int, most: int, key: str, value: Any) -> int:  # noqa: ANN401
    if not is_whole(value) or not least <= value <= most:
        expected = f"a whole number from {least} to {most} for {key}"
        raise ArgumentError("model", expected, shown(value))
    return int(value)


def _found(source: Mapping[str, Any], key: str, default: Any) -> Any:  # noqa: ANN401
    value = source.get(key)
    value = default if value is None else value
    if value is None:
        raise ArgumentError("model", f"a source with {key}", "one without it")
    return value
