"""Small arithmetic
================

What searches and refinements share: what they check, how they divide, the error of a
candidate, and the little systems of equations that joint fits solve.
"""

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from .binarize import residual_binarize
from .errors import LARGEST, ArgumentError, check_choice, check_mask, check_matrix
from .layer import BinaryGroup
from .notation import Array, Mask, SignOfZero

EpsKind: TypeAlias = Literal["absolute", "relative"]

DEPENDENT = 2.0**-40
"""Share of a squared length below which what is left of it counts as nothing."""


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


def group_error(
    target: Array, mask: Mask, order: int, *, center: bool, sign_zero: SignOfZero
) -> float:
    """Squared error of the residual binarization of a group.

    Parameters
    ----------
    target : ndarray of float64, shape (n, k)
        Values.
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    order : int
        Orders of binarization.
    center, sign_zero
        As in :func:`~subbit.reference.binarize.residual_binarize`.

    Returns
    -------
    float
        The error, not negative.

    Examples
    --------
    >>> import numpy as np
    >>> row = np.array([[1.0, 3.0]])
    >>> group_error(row, row > 0, 1, center=False, sign_zero=1)
    2.0
    """
    group = residual_binarize(target, mask, order=order, center=center, sign_zero=sign_zero)
    return float(np.sum((np.where(mask, target, 0.0) - group.decode()) ** 2))


def ratio(numerator: Array, denominator: Array, current: Array, eps: float, kind: EpsKind) -> Array:
    """Divide, with an eps, and keep the current value where there is nothing to divide by.

    Parameters
    ----------
    numerator, denominator, current : ndarray of float64, shape (n,)
        What is divided, by what, and the value before.
    eps : float
        What is added to the denominator.
    kind : {"absolute", "relative"}
        Whether `eps` is a number or a share of the mean denominator.

    Returns
    -------
    ndarray of float64, shape (n,)
        Quotients.

    Examples
    --------
    >>> import numpy as np
    >>> one, two = np.ones(2), np.array([2.0, 0.0])
    >>> ratio(one, two, one, 0.0, "absolute"), ratio(one, two, one, 1.0, "relative")
    (array([0.5, 1. ]), array([0.33333333, 1.        ]))
    """
    # Eq. (20), subbit:  x / (d + ε), or x / (d + ε mean(d))
    divisor = denominator + (eps * np.mean(denominator) if kind == "relative" else eps)
    usable = divisor > 0.0
    return np.where(usable, numerator / np.where(usable, divisor, 1.0), current)


def solve_normal(G: Array, g: Array) -> Array:
    """Solve small normal equations, one system for each row.

    Parameters
    ----------
    G : ndarray of float64, shape (n, p, p)
        Gram matrices, symmetric and positive semi-definite.
    g : ndarray of float64, shape (n, p)
        Right sides, in the range of `G`.

    Returns
    -------
    ndarray of float64, shape (n, p)
        Solutions; a variable that depends on those before it is zero.

    Notes
    -----
    ``G = L D Lᵀ``, without the pivots that are nothing but rounding.

    Examples
    --------
    >>> import numpy as np
    >>> solve_normal(np.array([[[2.0, 0.0], [0.0, 4.0]]]), np.array([[2.0, 2.0]]))
    array([[1. , 0.5]])
    >>> solve_normal(np.array([[[1.0, 1.0], [1.0, 1.0]]]), np.array([[3.0, 3.0]]))
    array([[3., 0.]])
    """
    rest, right = G.copy(), g.copy()
    count = G.shape[1]
    usable = np.zeros(g.shape, dtype=np.bool_)
    # Eq. (22), subbit:  G = L D Lᵀ by elimination,  x from L D Lᵀ x = g
    for p in range(count):
        usable[:, p] = rest[:, p, p] > DEPENDENT * G[:, p, p]
        pivot = np.where(usable[:, p], rest[:, p, p], 1.0)
        factor = np.where(usable[:, p, None], rest[:, p + 1 :, p] / pivot[:, None], 0.0)
        rest[:, p + 1 :, :] -= factor[:, :, None] * rest[:, None, p, :]
        right[:, p + 1 :] -= factor * right[:, p, None]
    solution = np.zeros(g.shape)
    for p in reversed(range(count)):
        known = np.sum(rest[:, p, p + 1 :] * solution[:, p + 1 :], axis=1)
        pivot = np.where(usable[:, p], rest[:, p, p], 1.0)
        solution[:, p] = np.where(usable[:, p], (right[:, p] - known) / pivot, 0.0)
    return solution
