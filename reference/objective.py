"""Objectives
==========

What "error" means. ``L1`` looks at the weights alone, ``L2`` at the layer's outputs on
the calibration inputs. ``L2`` has two forms, equal in exact arithmetic: from the inputs
themselves, and from their Gram matrix, which is all that calibration needs to keep.

========== =========== ================================================
symbol     shape       meaning
========== =========== ================================================
``D``      (n, m)      ``W - Q``
``X``      (T, m)      inputs, one token per row
``S``      (m, m)      ``XᵀX``, or any positive multiple of it
========== =========== ================================================

The number that the released BiLLM code prints as "error" is none of these: ERRATA B-12.
"""

from collections.abc import Mapping

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import Numbers, matrix, symmetric
from subbit.reference.contracts.scalars import Whole

from .errors import ArgumentError
from .notation import Array

IMAGE: Mapping[str, Numbers] = {
    "W": matrix("n", "m"),
    "Q": matrix("n", "m", text="Their quantized image."),
}


def _quadratic(D: Array, S: Array) -> float:
    return float(np.sum((D @ S) * D))


@contract(
    2,
    **IMAGE,
)
def weight_error(W: Array, Q: Array) -> float:
    """Compute the squared Frobenius norm of the weight error.

    Returns
    -------
    float
        ``L1``, nonnegative.

    Notes
    -----
    ``L1 = ‖W - Q‖²_F``.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (4).

    Examples
    --------
    >>> weight_error([[1.0, -2.0]], [[1.5, -1.5]])
    0.5
    """
    # Eq. (4), BiLLM:  L1 = ‖W − αB‖²
    # Eq. (1), ARB-LLM:  L1 = ‖W − (αB + μ)‖²
    return float(np.sum((W - Q) ** 2))


@contract(
    2,
    **IMAGE,
    X=matrix("T", "m", text="Inputs, one token per row."),
)
def calibrated_error(W: Array, Q: Array, X: Array) -> float:
    """Compute the squared output error on calibration inputs, from the inputs.

    Returns
    -------
    float
        ``L2``, nonnegative.

    Notes
    -----
    ``L2 = ‖(W - Q) Xᵀ‖²_F``.

    References
    ----------
    GPTQ, arXiv 2210.17323v2, Eq. (1).

    Examples
    --------
    >>> calibrated_error([[1.0, -2.0]], [[1.5, -1.5]], [[1.0, 1.0], [1.0, -1.0]])
    1.0
    """
    D = W - Q
    # Eq. (1), GPTQ:  L2 = ‖WX − ŴX‖²
    return float(np.sum((D @ X.T) ** 2))


@contract(
    2,
    **IMAGE,
    S=symmetric("m", "``XᵀX``, symmetric and positive semi-definite."),
)
def calibrated_error_trace(W: Array, Q: Array, S: Array) -> float:
    """Compute the squared output error on calibration inputs, from their Gram matrix.

    Returns
    -------
    float
        ``L2``; equal to :func:`calibrated_error` when ``S = XᵀX``.

    Notes
    -----
    ``L2 = Tr(D S Dᵀ)`` with ``D = W - Q``.

    Examples
    --------
    >>> calibrated_error_trace([[1.0, -2.0]], [[1.5, -1.5]], [[2.0, 0.0], [0.0, 2.0]])
    1.0
    """
    # Eq. (3), subbit:  L2 = Tr(D S Dᵀ)
    return _quadratic(W - Q, S)


@contract(
    2,
    n=Whole(text="Rows of the block."),
    k=Whole(text="Columns of the block."),
    rounds=Whole(text="Number of evaluations of the error, ``T``."),
    batch=Whole(text="Calibration sequences, ``B``."),
    length=Whole(text="Tokens per sequence, ``L``."),
)
def gram_cost_ratio(n: int, k: int, rounds: int, batch: int, length: int) -> float:
    """Compute how much cheaper the calibrated error becomes with the Gram matrix.

    Returns
    -------
    float
        Multiplications and additions of :func:`calibrated_error` over those of
        :func:`calibrated_error_trace`, with ``S = XᵀX`` computed once for all rounds.

    Notes
    -----
    From the inputs, a round costs ``n k B L``. ``S`` costs ``k² B L`` once, and then a
    round costs ``n k²``. Sums that are smaller by a factor of ``k`` are omitted.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Theorem 2, Eq. (10).

    Examples
    --------
    >>> round(gram_cost_ratio(n=4096, k=128, rounds=15, batch=128, length=2048))
    389
    """
    # Eq. (10), ARB-LLM:  n k B L T / (k² B L + n k² T) = 1 / (k (1 / (n T) + 1 / (B L)))
    return 1.0 / (k * (1.0 / (n * rounds) + 1.0 / (batch * length)))


@contract(
    2,
    **IMAGE,
    S=symmetric("m", "``XᵀX`` or any positive multiple of it."),
)
def relative_error(W: Array, Q: Array, S: Array) -> float:
    """Compute the output error relative to the energy of the outputs.

    Returns
    -------
    float
        0 for a perfect image, 1 for an image of zeros.

    Notes
    -----
    ``Tr(D S Dᵀ) / Tr(W S Wᵀ)``.

    Examples
    --------
    >>> relative_error([[2.0, 0.0]], [[1.0, 0.0]], [[3.0, 0.0], [0.0, 1.0]])
    0.25
    """
    error = calibrated_error_trace(W, Q, S)
    if error == 0.0:
        return 0.0
    energy = _quadratic(W, S)
    if energy <= 0.0:
        raise ArgumentError("W", "outputs that are not all zero", f"output energy {energy:g}")
    # Eq. (4), subbit:  ε = Tr(D S Dᵀ) / Tr(W S Wᵀ)
    return error / energy


@contract(
    2,
    **IMAGE,
    H=matrix("m", "m", text="Proxy Hessian, damped or not."),
)
def proxy_loss(W: Array, Q: Array, H: Array) -> float:
    """Estimate to second order the loss that quantization adds.

    Returns
    -------
    float
        The loss; with ``H = 2/N Σ XᵀX`` it is ``L2 / N`` for N calibration sequences.

    Notes
    -----
    ``½ Tr(D H Dᵀ)`` with ``D = W - Q``.

    Examples
    --------
    >>> proxy_loss([[1.0, -2.0]], [[1.5, -1.5]], [[2.0, 0.0], [0.0, 2.0]])
    0.5
    """
    # Eq. (5), subbit:  ℒ = ½ Tr(D H Dᵀ)
    return 0.5 * _quadratic(W - Q, H)
