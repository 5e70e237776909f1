"""Checks of arguments
===================

Arguments that several modules take, checked in one way.
"""

import numpy as np
import numpy.typing as npt

from .errors import LARGEST, ArgumentError, check_choice, check_mask, check_matrix
from .layer import BinaryGroup
from .notation import Array, Mask


def checked_order(order: object) -> int:
    """Return the order of a refinement, 1 or 2.

    Parameters
    ----------
    order : object
        What a caller handed over.

    Returns
    -------
    int
        The order.

    Raises
    ------
    ArgumentError
        If it is neither.

    Examples
    --------
    >>> checked_order(2)
    2
    """
    check_choice("order", order, (1, 2))
    return int(order)  # type: ignore[call-overload]


def checked_group(W: npt.ArrayLike, group: BinaryGroup) -> tuple[Array, Array]:
    """Return a group's weights, zero outside its mask, and its means.

    Parameters
    ----------
    W : array_like of float64, shape (n, k)
        Weights.
    group : BinaryGroup
        The group.

    Returns
    -------
    weights : ndarray of float64, shape (n, k)
        ``M ∘ W``.
    mean : ndarray of float64, shape (n,)
        ``μ``; zeros where the group has none.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

    Examples
    --------
    >>> from subbit.reference import residual_binarize
    >>> checked_group([[1.0, 2.0]], residual_binarize([[1.0, 2.0]], [[True, False]]))
    (array([[1., 0.]]), array([0.]))
    """
    if not isinstance(group, BinaryGroup):
        raise ArgumentError("group", "a BinaryGroup", group)
    weights = np.where(group.mask, check_matrix("W", W, shape=group.mask.shape), 0.0)
    return weights, np.zeros(len(weights)) if group.mean is None else group.mean


def checked_plane(group: BinaryGroup, plane: object) -> int:
    """Return the number of a sign plane of a group.

    Parameters
    ----------
    group : BinaryGroup
        The group.
    plane : object
        What a caller handed over.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ArgumentError
        If the group has no such plane.

    Examples
    --------
    >>> from subbit.reference import residual_binarize
    >>> checked_plane(residual_binarize([[1.0, 2.0]], order=2), 1)
    1
    """
    check_choice("plane", plane, range(len(group.planes)))
    return int(plane)  # type: ignore[call-overload]


def checked_part(columns: npt.ArrayLike, shape: tuple[int, int]) -> Mask:
    """Return what takes part in a search or a cut.

    Parameters
    ----------
    columns : array_like of bool, shape (k,) or (n, k)
        The columns, or the entries.
    shape : tuple of int
        (n, k).

    Returns
    -------
    ndarray of bool, shape (k,) or (n, k)
        The same.

    Raises
    ------
    ArgumentError
        If the shape or the dtype differs.

    Examples
    --------
    >>> checked_part([True, False], (3, 2))
    array([ True, False])
    """
    return check_mask("columns", columns, shape if np.ndim(columns) > 1 else shape[1:])


def checked_search(
    target: npt.ArrayLike, columns: npt.ArrayLike, thresholds: npt.ArrayLike
) -> tuple[Array, Mask, Array]:
    """Return what a search of thresholds works on.

    Parameters
    ----------
    target : array_like of float64, shape (n, k)
        What errors are measured on.
    columns : array_like of bool, shape (k,) or (n, k)
        The columns, or the entries, that take part.
    thresholds : array_like of float64, shape (c,)
        Candidates.

    Returns
    -------
    target, columns, thresholds : ndarray
        The same.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

    Examples
    --------
    >>> checked_search([[1.0, 2.0]], [True, False], [1.5])[1:]
    (array([ True, False]), array([1.5]))
    """
    values = check_matrix("target", target)
    part = checked_part(columns, values.shape)
    return values, part, check_matrix("thresholds", thresholds, shape=(None,))


def checked_factor(factor: float) -> float:
    """Return the ratio of a trisection's two magnitudes.

    Parameters
    ----------
    factor : float
        What a caller handed over.

    Returns
    -------
    float
        The ratio.

    Raises
    ------
    ArgumentError
        If it is no number from 1 to 1e100.

    Examples
    --------
    >>> checked_factor(2)
    2.0
    """
    if not 1.0 <= factor <= LARGEST:
        raise ArgumentError("factor", f"a number from 1 to {LARGEST:g}", factor)
    return float(factor)
