"""What tests of searches share
============================

Draws of a search's arguments, and a group's error again from the values that a port's own
binarizer decodes to.

A search objective is a difference of sums of squares and can cancel to nearly nothing,
so rounding is measured against the energy ``Σ x²`` of the searched values, from which every
form subtracts. The objective jumps where an entry sits exactly on its mean and
sign(0) = 0, or where that decides the next order's mean; on the families used with those
settings, such ties are absent or decided exactly in any order of summation.
"""

import numpy as np
from hypothesis import strategies as st

from subbit.conformance.inputs.families import ALL, CONTINUOUS, MODES, Array, Mask
from subbit.conformance.inputs.strategies import seeds
from subbit.conformance.target import Port

ROUNDINGS = 2**13
"""Roundings, of the energy, that a search's objective may lose: 1e-12 in float64."""


def families(mode: str, orders: tuple[int, ...] = (1, 1)) -> tuple[str, ...]:
    """Return the families on which rounding never makes an objective jump.

    Parameters
    ----------
    mode : str
        Setting of the binarizer, of :data:`subbit.conformance.inputs.families.MODES`.
    orders : tuple of int, default (1, 1)
        Orders of binarization.

    Returns
    -------
    tuple of str
        Their names.

    Examples
    --------
    >>> "zeros" in families("affine"), "zeros" in families("released", (2, 1))
    (True, False)
    """
    jumps = MODES[mode]["sign_zero"] == 0 and max(orders) > 1
    return CONTINUOUS if jumps else ALL


def thresholds(data: st.DataObject, key: Array) -> Array:
    """Draw thresholds on entries, between them and outside all of them.

    Parameters
    ----------
    data : DataObject
        Draws.
    key : ndarray of float64, shape (n, k)
        Values to cut.

    Returns
    -------
    ndarray of float64, shape (13,)
        Thresholds in any order.
    """
    rng = np.random.default_rng(data.draw(seeds(), label="thresholds"))
    entries = rng.choice(key.ravel(), 6)
    between = rng.uniform(0, 1.2, 6) * key.max()
    return rng.permutation([*entries, *between, 0.0])


def columns(data: st.DataObject, width: int) -> Mask:
    """Draw columns that take part.

    Parameters
    ----------
    data : DataObject
        Draws.
    width : int
        Number of columns.

    Returns
    -------
    ndarray of bool, shape (k,)
        The columns.
    """
    rng = np.random.default_rng(data.draw(seeds(), label="columns"))
    return rng.random(width) < data.draw(st.sampled_from([1.0, 0.7, 0.2]), label="density")


def group_error(port: Port, T: Array, mask: Mask, order: int, mode: str) -> float:
    """Return the squared error of a group as a port binarizes it.

    Parameters
    ----------
    port : object
        The port.
    T : ndarray of float64, shape (n, k)
        Values.
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    order : int
        Orders of binarization.
    mode : str
        Setting of the binarizer.

    Returns
    -------
    float
        The error.

    Examples
    --------
    >>> from subbit import reference
    >>> row = np.array([[1.0, 3.0]])
    >>> group_error(reference, row, row > 0, 1, "mean-free")
    2.0
    """
    Q = port.residual_binarize(T, mask, order=order, **MODES[mode]).decode()
    return float(np.sum((np.where(mask, T, 0.0) - Q) ** 2))
