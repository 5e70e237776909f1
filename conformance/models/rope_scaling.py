"""Scaled rotary frequencies
=========================

A model trained for a longer context divides its rotary frequencies, each by a constant of its
own. Three spellings of these divisors are read:

============ ======================================================================
rope_type    divisor of the pair i, with ``λ_i = 2π/ω_i`` the wavelength in tokens
============ ======================================================================
``linear``   ``factor``
``llama3``   ``1 / ((1 − s_i)/factor + s_i)``, where
             ``s_i = clip((original/λ_i − low) / (high − low), 0, 1)``
``longrope`` ``short_factor[i]``, where it is ``long_factor[i]`` too
============ ======================================================================

A GGUF file has the divisors themselves, in the tensor ``rope_freqs.weight``. Kinds that also
scale the attention, or depend on the length of the text, are left to transformers.

References
----------
Chen et al., Position Interpolation, arXiv 2306.15595, section 3.2; the Llama 3 Herd of Models,
arXiv 2407.21783; Ding et al., LongRoPE, arXiv 2402.13753, section 3.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from subbit.reference.errors import ArgumentError, SubbitError
from subbit.reference.notation import Array

from .base import NotCoveredError
from .typed import shown

SHARED = ("rope_type", "type", "rope_theta")
BANDS = ("low_freq_factor", "high_freq_factor")
ORIGINAL = "original_max_position_embeddings"
FACTORS = ("short_factor", "long_factor")


@dataclass(frozen=True)
class RopeScaling:
    """The divisors of a model's rotary frequencies.

    Parameters
    ----------
    divisors : tuple of float
        One for each of the e/2 pairs of channels of a head.
    settings : dict
        The entry ``rope_scaling`` of a ``config.json`` that gives them.
    """

    divisors: tuple[float, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


def frequencies(head_width: int, theta: float) -> Array:
    """Return the rotary frequencies before they are divided.

    Parameters
    ----------
    head_width : int
        Its e channels are rotated in e/2 pairs.
    theta : float
        Base of the frequencies.

    Returns
    -------
    ndarray of float64, shape (e/2,)
        ``ω_i = theta^(-2i/e)``, in radians per token.

    Examples
    --------
    >>> frequencies(4, 10000.0)
    array([1.  , 0.01])
    """
    return np.asarray(theta ** -(np.arange(0, head_width, 2) / head_width))


def _linear(rope: Mapping[str, Any], omega: Array) -> Array:
    return np.full(omega.shape, float(rope["factor"]))


def _llama3(rope: Mapping[str, Any], omega: Array) -> Array:
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    if high < low:
        message = "a high_freq_factor below low_freq_factor"
        raise ValueError(message)
    turns = float(rope[ORIGINAL]) * omega / (2 * np.pi)
    kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return np.asarray(1 / ((1 - kept) / float(rope["factor"]) + kept))


def _longrope(rope: Mapping[str, Any], _omega: Array) -> Array:
    short, long = (np.array(rope[f"{name}_factor"], dtype=np.float64) for name in ("short", "long"))
    if not np.array_equal(short, long):
        expected = "a longrope with one list of factors for the NumPy decoder"
        raise NotCoveredError("model", expected, "short_factor other than long_factor")
    if rope["attention_factor"] != 1:
        expected = "a longrope with attention_factor 1 for the NumPy decoder"
        raise NotCoveredError("model", expected, rope["attention_factor"])
    return short


_Rule: TypeAlias = Callable[[Mapping[str, Any], Array], Array]
KINDS: Mapping[str, tuple[_Rule, tuple[str, ...]]] = MappingProxyType(
    {
        "linear": (_linear, ("factor",)),
        "llama3": (_llama3, (*BANDS, "factor", ORIGINAL)),
        "longrope": (_longrope, (*FACTORS, "attention_factor", "factor", ORIGINAL)),
    }
)
"""How the divisors of each ``rope_type`` follow from its settings, and the keys of these."""


def read_scaling(rope: Mapping[str, Any], omega: Array) -> RopeScaling | None:
    """Return the divisors that a ``config.json`` describes.

    Parameters
    ----------
    rope : mapping
        Its entry ``rope_scaling`` or ``rope_parameters``, in either spelling.
    omega : ndarray of float64, shape (e/2,)
        From `frequencies`.

    Returns
    -------
    RopeScaling or None
        None for frequencies as they are.

    Raises
    ------
    NotCoveredError
        If the kind, or a key of it, is not one of the table above.
    ArgumentError
        If a number is missing, or gives a divisor that is not positive and finite.

    Examples
    --------
    >>> read_scaling({"rope_type": "linear", "factor": 4.0}, frequencies(4, 10000.0)).divisors
    (4.0, 4.0)
    """
    kind = shown(rope.get("rope_type", rope.get("type", "default")))
    if kind != "default" and kind not in KINDS:
        expected = f"rope_type default, {', '.join(KINDS)} for the NumPy decoder"
        raise NotCoveredError("model", expected, kind)
    compute, keys = KINDS.get(kind, (None, ()))
    unknown = sorted(set(rope) - {*keys, *SHARED})
    if unknown:
        expected = f"keys of rope_type {kind} that the NumPy decoder knows"
        raise NotCoveredError("model", expected, unknown[0])
    if compute is None:
        return None
    try:
        # A factor of 0 gives a divisor that is refused below.
        with np.errstate(divide="ignore", invalid="ignore"):
            divisors = compute(rope, omega)
    except SubbitError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ArgumentError("model", f"numbers for rope_type {kind}", f"{error}") from error
    settings = {"rope_type": kind, **{key: rope[key] for key in keys if key in rope}}
    return RopeScaling(check_divisors(divisors, omega), settings)


def given_divisors(divisors: npt.NDArray[Any], omega: Array, context: int) -> RopeScaling | None:
    """Return the scaling that a list of divisors describes.

    Parameters
    ----------
    divisors : ndarray, shape (e/2,)
        The tensor of a GGUF file.
    omega : ndarray of float64, shape (e/2,)
        From `frequencies`.
    context : int
        Longest sequence of the model.

    Returns
    -------
    RopeScaling or None
        None if all of them are 1. In a ``config.json`` they are a longrope, the one kind that
        lists them.

    Raises
    ------
    ArgumentError
        If there are too few or too many, or one is not positive and finite.

    Examples
    --------
    >>> given_divisors(np.array([1.0, 8.0]), frequencies(4, 10000.0), 64).settings["short_factor"]
    [1.0, 8.0]
    """
    checked = check_divisors(divisors, omega)
    if set(checked) == {1.0}:
        return None
    lists = {key: list(checked) for key in FACTORS}
    rest = {"attention_factor": 1.0, ORIGINAL: context}
    return RopeScaling(checked, {"rope_type": "longrope", **lists, **rest})


def check_divisors(divisors: npt.NDArray[Any], omega: Array) -> tuple[float, ...]:
    """Refuse divisors that do not fit the frequencies.

    Parameters
    ----------
    divisors : ndarray
        The values received.
    omega : ndarray of float64, shape (e/2,)
        From `frequencies`.

    Returns
    -------
    tuple of float
        The divisors.

    Raises
    ------
    ArgumentError
        If there are too few or too many, or one is not positive and finite.

    Examples
    --------
    >>> check_divisors(np.ones(2), frequencies(4, 10000.0))
    (1.0, 1.0)
    """
    if divisors.shape != omega.shape:
        expected = f"{omega.size} divisors of rotary frequencies, half the width of a head"
        raise ArgumentError("model", expected, f"an array of shape {divisors.shape}")
    if not (np.isfinite(divisors) & (divisors > 0)).all():
        expected = "positive, finite divisors of rotary frequencies"
        raise ArgumentError("model", expected, "others")
    return tuple(float(divisor) for divisor in divisors)
