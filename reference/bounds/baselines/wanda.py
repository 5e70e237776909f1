"""Bounds of Wanda
===============

How far a correct port's pruning scores may deviate. Return values are as in
:mod:`~subbit.reference.bounds.groups.binarize`.
"""

from subbit.reference.baselines.wanda import Wanda
from subbit.reference.bounds.pruning.sparsity import (
    input_norms_bound,
    power_bound,
    ria_importance_bound,
    wanda_importance_bound,
)
from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded


def pruning_scores_bound(W: Input, H: Input, config: Wanda, *, arithmetic: Arithmetic) -> Rounded:
    """Bound of the scores that :func:`~subbit.reference.baselines.wanda.wanda_layer` prunes by.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        Weights.
    H : array_like of float64 or Rounded, shape (m, m)
        Proxy Hessian, not damped.
    config : Wanda
        The configuration.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        Scores, shape (n, m).

    Examples
    --------
    >>> import numpy as np
    >>> port = Arithmetic("float32")
    >>> pruning_scores_bound([[1.0, -2.0]], 8 * np.eye(2), Wanda(), arithmetic=port).value
    array([[2., 4.]])
    """
    weights = arithmetic.checked("W", W)
    if config.importance == "magnitude":
        return weights.absolute()
    norms = input_norms_bound(H, arithmetic=arithmetic)
    if config.importance == "ria":
        exponent = config.exponent
        return ria_importance_bound(weights, norms, exponent=exponent, arithmetic=arithmetic)
    lengths = power_bound(norms, config.exponent)
    return wanda_importance_bound(weights, lengths, arithmetic=arithmetic)
