"""Errors and argument checks
============================

Every error names the argument, what was expected and what was received. The checks return
the argument in the form that functions take, such as a float64 array.
"""

from collections.abc import Iterable
from typing import Any, TypeGuard, TypeVar

import numpy as np
import numpy.typing as npt

from .notation import AnyArray, Array, Mask

# Sums of squares of numbers up to this size stay finite, and so does every answer.
LARGEST = 1e100

MOST_GROUP = 2**16
"""The most consecutive columns in a group."""

T = TypeVar("T")


class SubbitError(Exception):
    """Base class of all errors that subbit raises on purpose."""


class ArgumentError(SubbitError, ValueError):
    """An argument that a function cannot take.

    Parameters
    ----------
    argument : str
        Name of the argument as it appears in the signature.
    expected : str
        Description of what the function takes.
    came : object
        Value received, or a description of it.
    """

    def __init__(self, argument: str, expected: str, came: object) -> None:
        self.argument = argument
        self.expected = expected
        self.came = came
        super().__init__(f"{argument}: expected {expected}, got {came}")


class HessianError(ArgumentError):
    """A Hessian that is not positive definite after damping."""


def seen(value: object) -> str:
    """Describe a value in a few words.

    Parameters
    ----------
    value : object
        Value passed by a caller.

    Returns
    -------
    str
        Shape and dtype of an array, the type of anything else.

    Examples
    --------
    >>> seen([1, 2])
    'a list'
    """
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    return f"a {type(value).__name__}"


def as_array(argument: str, value: npt.ArrayLike | None) -> AnyArray:
    """Return `value` as a NumPy array.

    Parameters
    ----------
    argument : str
        Name to put in the error.
    value : array_like
        Any numbers.

    Returns
    -------
    ndarray
        The array.

    Raises
    ------
    ArgumentError
        If it cannot become one, such as a ragged list.

    Examples
    --------
    >>> as_array("W", [1, 2]).shape
    (2,)
    """
    try:
        if not _hides(value):
            return np.asarray(value)
    except Exception as error:
        raise ArgumentError(argument, "an array", f"a {type(value).__name__}: {error}") from error
    raise ArgumentError(argument, "an array without hidden entries", "a masked array")


def _hides(value: object) -> bool:
    """Return whether a masked array, or one in a list, has entries that NumPy would show."""
    if isinstance(value, list | tuple):
        return any(map(_hides, value))
    return isinstance(value, np.ma.MaskedArray) and bool(np.ma.getmaskarray(value).any())


def check_matrix(
    argument: str,
    value: npt.ArrayLike,
    *,
    shape: tuple[int | None, ...] = (None, None),
) -> Array:
    """Return `value` as a finite float64 array of the expected shape.

    Parameters
    ----------
    argument : str
        Name to put in the error.
    value : array_like
        Real numbers.
    shape : tuple of int or None, default (None, None)
        Expected lengths; None stands for any length of at least one.

    Returns
    -------
    ndarray of float64
        `value` itself if it is already a float64 array.

    Raises
    ------
    ArgumentError
        If the shape differs, an axis is empty, the numbers are not real, or one of
        them is NaN, infinite or beyond ±1e100.

    Examples
    --------
    >>> check_matrix("W", [[1, 2]]).dtype
    dtype('float64')
    >>> check_matrix("W", [[1.0, float("nan")]])
    Traceback (most recent call last):
        ...
    subbit.reference.errors.ArgumentError: W: expected finite numbers, got 1 of 2 NaN or infinite
    """
    raw = as_array(argument, value)
    wanted = "(" + ", ".join("any" if s is None else str(s) for s in shape) + ")"
    if raw.ndim != len(shape) or any(
        s not in (None, length) for s, length in zip(shape, raw.shape, strict=True)
    ):
        raise ArgumentError(argument, f"shape {wanted}", seen(raw))
    if raw.size == 0:
        raise ArgumentError(argument, "at least one element", seen(raw))
    if raw.dtype.kind not in "fiub":
        raise ArgumentError(argument, "real numbers", seen(raw))
    result = raw.astype(np.float64, copy=False)
    # NaN is neither larger nor smaller, so this is also false where there is one.
    if not (result.max() <= LARGEST and result.min() >= -LARGEST):
        bad = result.size - int(np.count_nonzero(np.isfinite(result)))
        if bad:
            came = f"{bad} of {result.size} NaN or infinite"
            raise ArgumentError(argument, "finite numbers", came)
        largest = float(np.max(np.abs(result)))
        raise ArgumentError(argument, f"magnitudes of at most {LARGEST:g}", f"{largest:g}")
    return result


def check_mask(argument: str, value: npt.ArrayLike | None, shape: tuple[int, ...]) -> Mask:
    """Return `value` as a boolean array of `shape`; None means all True.

    Parameters
    ----------
    argument : str
        Name to put in the error.
    value : array_like of bool, or None
        The mask.
    shape : tuple of int
        Expected shape.

    Returns
    -------
    ndarray of bool, shape `shape`
        The mask.

    Raises
    ------
    ArgumentError
        If the shape or the dtype differs.

    Examples
    --------
    >>> check_mask("mask", None, (2,))
    array([ True,  True])
    """
    if value is None:
        return np.ones(shape, dtype=np.bool_)
    mask = as_array(argument, value)
    if mask.dtype != np.bool_ or mask.shape != shape:
        raise ArgumentError(argument, f"a boolean array of shape {shape}", seen(mask))
    return mask


def is_whole(value: object) -> TypeGuard[int]:
    """Tell whether a value is a whole number of Python or NumPy.

    Parameters
    ----------
    value : object
        Any value.

    Returns
    -------
    bool
        False also for a truth value.

    Examples
    --------
    >>> is_whole(np.int8(3)), is_whole(True), is_whole(3.0)
    (True, False, False)
    """
    # To Python a bool is an int, and to NumPy a time is an integer.
    whole = isinstance(value, int | np.integer)
    return whole and not isinstance(value, bool | np.timedelta64)


def _is_setting(value: object, option: object) -> bool:
    # To Python, True and 1.0 equal 1; as settings they are mistakes.
    if isinstance(option, bool):
        return isinstance(value, bool | np.bool_) and bool(value) is option
    if isinstance(option, int):
        return is_whole(value) and value == option
    return isinstance(value, type(option)) and value == option


def check_choice(argument: str, value: object, choices: Iterable[T]) -> T:
    """Check and return the setting of a switch.

    Parameters
    ----------
    argument : str
        Name of the switch.
    value : object
        Its setting.
    choices : iterable
        The allowed settings.

    Returns
    -------
    object
        The setting.

    Raises
    ------
    ArgumentError
        If `value` is not one of them.

    Examples
    --------
    >>> check_choice("order", 3, (1, 2))
    Traceback (most recent call last):
        ...
    subbit.reference.errors.ArgumentError: order: expected one of 1, 2, got 3
    """
    options = list(choices)
    for option in options:
        if _is_setting(value, option):
            return option
    raise ArgumentError(argument, "one of " + ", ".join(map(str, options)), value)


def check_config(value: object, kind: type, name: str = "config") -> None:
    """Reject a configuration of another method.

    Parameters
    ----------
    value : object
        The value given.
    kind : type
        The method's configuration.
    name : str, default "config"
        Name of the argument.

    Raises
    ------
    ArgumentError
        If `value` is not of that type.

    Examples
    --------
    >>> check_config(3, str)
    Traceback (most recent call last):
        ...
    subbit.reference.errors.ArgumentError: config: expected a str configuration, got int
    """
    if not isinstance(value, kind):
        raise ArgumentError(name, f"a {kind.__name__} configuration", type(value).__name__)


def check_pair(argument: str, value: object) -> tuple[object, object]:
    """Check and return a pair of values.

    Parameters
    ----------
    argument : str
        Name of the argument, for the message.
    value : object
        Value passed by a caller.

    Returns
    -------
    tuple
        Its two members.

    Raises
    ------
    ArgumentError
        If the value is not a tuple of two elements.

    Examples
    --------
    >>> check_pair("counts", (3, 30))
    (3, 30)
    """
    match value:
        case tuple((first, second)):
            return first, second
    raise ArgumentError(argument, "a pair of whole numbers", value)


def check_count(argument: str, value: object, least: int = 1, most: int | None = None) -> int:
    """Return `value` as an int between `least` and `most`.

    Parameters
    ----------
    argument : str
        Name to put in the error.
    value : object
        A whole number.
    least, most : int
        The range, inclusive; if `most` is None, it has no upper end.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ArgumentError
        If it is not a whole number or lies outside the range.

    Examples
    --------
    >>> check_count("bits", 2)
    2
    """
    number = int(value) if is_whole(value) else least - 1
    if number < least or (most is not None and number > most):
        span = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ArgumentError(argument, f"a whole number {span}", value)
    return number


def _is_number(value: object) -> bool:
    return is_whole(value) or isinstance(value, float | np.floating)


def check_real(argument: str, value: Any, least: float = -LARGEST, most: float = LARGEST) -> float:  # noqa: ANN401
    """Return `value` as a float between `least` and `most`.

    Parameters
    ----------
    argument : str
        Name to put in the error.
    value : float
        The number.
    least, most : float
        The range, inclusive.

    Returns
    -------
    float
        The number.

    Raises
    ------
    ArgumentError
        If it is not a number or lies outside the range.

    Examples
    --------
    >>> check_real("percdamp", 0.01, 0.0)
    0.01
    """
    # A number of NumPy would round the ends of the range to its own type.
    if _is_number(value) and least <= (value if isinstance(value, int) else float(value)) <= most:
        return float(value)
    if most < LARGEST or least not in {0.0, -LARGEST}:
        span = f"a number from {least:g} to {most:g}"
    else:
        span = "a finite number" + (" that is not negative" if least == 0.0 else "")
    raise ArgumentError(argument, span, value)


def check_share(argument: str, value: float, *, below: bool = False) -> float:
    """Return `value` as a float from 0 to 1.

    Parameters
    ----------
    argument : str
        Name to put in the error.
    value : float
        The share.
    below : bool, default False
        Whether 1 itself is rejected.

    Returns
    -------
    float
        The share.

    Raises
    ------
    ArgumentError
        If it is not a number or lies outside the range.

    Examples
    --------
    >>> check_share("sparsity", 0.5, below=True)
    0.5
    """
    if _is_number(value) and (0.0 <= value < 1.0 or (value == 1.0 and not below)):
        return float(value)
    raise ArgumentError(argument, f"a number from 0 to {'below ' if below else ''}1", value)


def check_pattern(argument: str, value: object) -> tuple[int, int]:
    """Check and return N and M.

    Parameters
    ----------
    argument : str
        Name to put in the error.
    value : object
        ``(N, M)``, with N from 1 to M.

    Returns
    -------
    tuple of int
        The same pair.

    Raises
    ------
    ArgumentError
        If it is not a pair of whole numbers, or one lies outside its range.

    Examples
    --------
    >>> check_pattern("keep", (4, 8))
    (4, 8)
    """
    keep, group = check_pair(argument, value)
    most = check_count(argument, group, 1, MOST_GROUP)
    return check_count(argument, keep, 1, most), most


def check_sparsity(keep: object, sparsity: float | None) -> None:
    """Reject a configuration with both N:M sparsity and a share, or with neither.

    Parameters
    ----------
    keep : tuple of int or None
        ``(N, M)``.
    sparsity : float or None
        Share of pruned weights.

    Raises
    ------
    ArgumentError
        If both are None or neither is.

    Examples
    --------
    >>> check_sparsity((2, 4), None)
    >>> check_sparsity((2, 4), 0.5)
    Traceback (most recent call last):
        ...
    subbit.reference.errors.ArgumentError: keep: expected None beside a sparsity, got (2, 4)
    """
    if keep is None and sparsity is None:
        raise ArgumentError("sparsity", "a share where keep is None", sparsity)
    if keep is not None and sparsity is not None:
        raise ArgumentError("keep", "None beside a sparsity", keep)


def check_blocks_hold_groups(block_size: int, keep: tuple[int, int] | None) -> None:
    """Reject blocks that would cut a group of N:M sparsity.

    Parameters
    ----------
    block_size : int
        Columns per block.
    keep : tuple of int or None
        ``(N, M)``.

    Raises
    ------
    ArgumentError
        If M does not divide `block_size`.

    Examples
    --------
    >>> check_blocks_hold_groups(128, (4, 8))
    """
    if keep is not None and block_size % keep[1]:
        raise ArgumentError("block_size", f"a multiple of the group {keep[1]}", block_size)


def check_groups_fill(width: int, keep: tuple[int, int] | None, tail: str) -> None:
    """Reject a layer whose last group of N:M sparsity would be cut.

    Parameters
    ----------
    width : int
        Columns of the layer.
    keep : tuple of int or None
        ``(N, M)``.
    tail : {"error", "dense"}
        With ``"dense"``, the last columns are all kept.

    Raises
    ------
    ArgumentError
        If M does not divide `width`, and `tail` is ``"error"``.

    Examples
    --------
    >>> check_groups_fill(10, (4, 8), "dense")
    >>> check_groups_fill(10, (4, 8), "error")
    Traceback (most recent call last):
        ...
    subbit.reference.errors.ArgumentError: W: expected a width that the group 8 divides, got 10
    """
    if keep is not None and tail == "error" and width % keep[1]:
        raise ArgumentError("W", f"a width that the group {keep[1]} divides", width)
