"""Bounds of joint signs
=====================

Which of the four levels of two scales a port may choose. Return values are as in
``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``Z``      (n, k)    values to represent
``d_l``    (n, k)    distance of level l, off by ``e_l``
========== ========= ===============================================================
"""

import numpy as np
import numpy.typing as npt

from subbit.reference.bounds.rounding import Rounded
from subbit.reference.notation import Array, Mask


def joint_signs_margin(
    Z: Rounded, u: Rounded, v: Rounded, first: npt.ArrayLike, second: npt.ArrayLike
) -> Rounded:
    """Margin of a port's :func:`~subbit.reference.groups.arb.joint_signs`.

    Parameters
    ----------
    Z : Rounded
        Values to represent, shape (n, k).
    u, v : Rounded
        Scales of the first and of the second sign, shape (n, 1) or (n, k).
    first, second : array_like of int, shape (n, k)
        The port's signs.

    Returns
    -------
    Rounded
        How much farther the port's level lies than another one, shape (n, k), and the
        difference that rounding explains; the other level is the one with the largest ratio.

    Notes
    -----
    The port's distances say ``d̂_c <= d̂_l`` for every level l; hence
    ``d_c - d_l <= e_c + e_l``. A level has one more rounding than its sum, so signs may
    also be decided by midpoints between levels.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> read = Arithmetic("float32").read
    >>> Z, u, v = read([[2.9, 0.0]]), read([[2.0]]), read([[1.0]])
    >>> margin = joint_signs_margin(Z, u, v, [[1, -1]], [[1, 1]])
    >>> margin.value <= margin.error
    array([[ True,  True]])
    """
    excess, allowed = _level_distances(Z, u, v, first, second)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(excess > 0.0, excess / allowed, 0.0)
    worst = np.argmax(ratio, axis=0)[None]
    # Eq. (B43), subbit:  level c chosen  ⇒  d_c − d_l ≤ e_c + e_l for every l
    # (4, n, k) -> (n, k)
    value, error = (np.take_along_axis(x, worst, axis=0)[0] for x in (excess, allowed))
    return Rounded(np.maximum(value, 0.0), error, Z.arithmetic)


def joint_signs_certain(
    Z: Rounded, u: Rounded, v: Rounded, first: npt.ArrayLike, second: npt.ArrayLike
) -> Mask:
    """Say where rounding cannot change the choice of a level.

    Parameters
    ----------
    Z, u, v, first, second
        As in :func:`joint_signs_margin`.

    Returns
    -------
    ndarray of bool, shape (n, k)
        True where every other level is farther by more than the errors of both.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> read = Arithmetic("float32").read
    >>> joint_signs_certain(read([[2.9, 0.0]]), read([[2.0]]), read([[1.0]]), [[1, 1]], [[1, 1]])
    array([[ True, False]])
    """
    excess, allowed = _level_distances(Z, u, v, first, second)
    own = _chosen(first, second) == np.arange(4)[:, None, None]
    return np.asarray(np.all(own | (-excess > allowed), axis=0))


def _chosen(first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.intp]:
    return 2 * (np.asarray(first) > 0).astype(np.intp) + (np.asarray(second) > 0)


def _level_distances(
    Z: Rounded, u: Rounded, v: Rounded, first: npt.ArrayLike, second: npt.ArrayLike
) -> tuple[Array, Array]:
    """How much farther the chosen level is than each of the four, and the errors of both."""
    flips = ((-1, -1), (-1, 1), (1, -1), (1, 1))
    levels = [u.flip(a) + v.flip(b) for a, b in flips]
    once = Z.arithmetic.gamma(1)
    distances = [(Z - level.widen(once * level.reach)).absolute() for level in levels]
    # (4, n, k)
    value, error = (np.stack([getattr(d, name) for d in distances]) for name in ("value", "error"))
    chosen = _chosen(first, second)[None]
    # (4, n, k) -> (1, n, k)
    own, own_error = (np.take_along_axis(x, chosen, axis=0) for x in (value, error))
    return own - value, own_error + error
