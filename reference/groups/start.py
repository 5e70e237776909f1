"""Where calibrated fits start
===========================

Fits to the output error begin with the group that ``arb`` starts from, or with the one that
it ends with. ERRATA D-6.
"""

from subbit.reference.layer import BinaryGroup
from subbit.reference.notation import Array, Mask

from .arb import arb, arb_start
from .refinement import Refinement


def calibrated_start(
    W: Array, mask: Mask, *, order: int, config: Refinement, name: str
) -> BinaryGroup:
    """Binarize a group as the start of calibrated fits.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    mask : ndarray of bool, shape (n, k)
        The group's entries.
    order : int
        Sign planes, 1 or 2.
    config : Refinement
        The configuration.
    name : str
        Name of the group.

    Returns
    -------
    BinaryGroup
        The initial values, or the refined ones.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference.groups.refinement import REFINEMENT
    >>> row = np.array([[3.0, -1.0]])
    >>> calibrated_start(row, row != 0, order=1, config=REFINEMENT, name="all").decode()
    array([[ 3., -1.]])
    """
    begin = arb if config.calibrated_start == "refined" else arb_start
    return begin(W, mask, order=order, config=config, name=name)
