"""Objectives
==========

What "error" means. ``L1`` looks at the weights alone, ``L2`` at the layer's outputs on
the calibration inputs. ``L2`` has two forms, equal in exact arithmetic: from the inputs
themselves, or from their Gram matrix, which is all that calibration needs to keep.

========== =========== ================================================
symbol     shape       meaning
========== =========== ================================================
``D``      (n, m)      ``W - Q``
``X``      (T, m)      inputs, one token a row
``S``      (m, m)      ``XᵀX``, or any positive multiple of it
========== =========== ================================================

The number that the released BiLLM code prints as "error" is none of these: ERRATA B-12.
"""

import numpy as np
import numpy.typing as npt

from .errors import ArgumentError, check_count, check_matrix
from .notation import Array


def _difference(W: npt.ArrayLike, Q: npt.ArrayLike) -> Array:
    weights = check_matrix("W", W)
    return weights - check_matrix("Q", Q, shape=weights.shape)


def _quadratic(D: Array, S: Array) -> float:
    return float(np.sum((D @ S) * D))


def weight_error(W: npt.ArrayLike, Q: npt.ArrayLike) -> float:
    """Squared Frobenius norm of the weight error.

    Parameters
    ----------
    W, Q : array_like of float64, shape (n, m)
        Weights and their quantized image.

    Returns
    -------
    float
        ``L1``, not negative.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

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
    return float(np.sum(_difference(W, Q) ** 2))


def calibrated_error(W: npt.ArrayLike, Q: npt.ArrayLike, X: npt.ArrayLike) -> float:
    """Squared output error on calibration inputs, from the inputs.

    Parameters
    ----------
    W, Q : array_like of float64, shape (n, m)
        Weights and their quantized image.
    X : array_like of float64, shape (T, m)
        Inputs, one token a row.

    Returns
    -------
    float
        ``L2``, not negative.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

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
    D = _difference(W, Q)
    inputs = check_matrix("X", X, shape=(None, D.shape[1]))
    # Eq. (1), GPTQ:  L2 = ‖WX − ŴX‖²
    return float(np.sum((D @ inputs.T) ** 2))


def calibrated_error_trace(W: npt.ArrayLike, Q: npt.ArrayLike, S: npt.ArrayLike) -> float:
    """Squared output error on calibration inputs, from their Gram matrix.

    Parameters
    ----------
    W, Q : array_like of float64, shape (n, m)
        Weights and their quantized image.
    S : array_like of float64, shape (m, m)
        ``XᵀX``, symmetric and positive semi-definite.

    Returns
    -------
    float
        ``L2``; equal to :func:`calibrated_error` when ``S = XᵀX``.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

    Notes
    -----
    ``L2 = Tr(D S Dᵀ)`` with ``D = W - Q``.

    Examples
    --------
    >>> calibrated_error_trace([[1.0, -2.0]], [[1.5, -1.5]], [[2.0, 0.0], [0.0, 2.0]])
    1.0
    """
    D = _difference(W, Q)
    gram = check_matrix("S", S, shape=(D.shape[1], D.shape[1]))
    # Eq. (3), subbit:  L2 = Tr(D S Dᵀ)
    return _quadratic(D, gram)


def gram_cost_ratio(n: int, k: int, rounds: int, batch: int, length: int) -> float:
    """How much cheaper the calibrated error is from the Gram matrix than from the inputs.

    Parameters
    ----------
    n, k : int
        Shape of the block, rows and columns.
    rounds : int
        How often the error is evaluated, ``T``.
    batch, length : int
        Calibration sequences ``B`` and tokens of each ``L``.

    Returns
    -------
    float
        Multiplications and additions of :func:`calibrated_error` over those of
        :func:`calibrated_error_trace`, with ``S = XᵀX`` made once for all rounds.

    Raises
    ------
    ArgumentError
        If one of them is not a whole number of at least 1.

    Notes
    -----
    From the inputs a round costs ``n k B L``. ``S`` costs ``k² B L`` once, and then a
    round costs ``n k²``. Sums that are smaller by a factor of ``k`` are left out.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Theorem 2, Eq. (10).

    Examples
    --------
    >>> round(gram_cost_ratio(n=4096, k=128, rounds=15, batch=128, length=2048))
    389
    """
    sizes = {"n": n, "k": k, "rounds": rounds, "batch": batch, "length": length}
    rows, columns, times, sequences, tokens = (check_count(*item) for item in sizes.items())
    # Eq. (10), ARB-LLM:  n k B L T / (k² B L + n k² T) = 1 / (k (1 / (n T) + 1 / (B L)))
    return 1.0 / (columns * (1.0 / (rows * times) + 1.0 / (sequences * tokens)))


def relative_error(W: npt.ArrayLike, Q: npt.ArrayLike, S: npt.ArrayLike) -> float:
    """Output error relative to the energy of the outputs.

    Parameters
    ----------
    W, Q : array_like of float64, shape (n, m)
        Weights and their quantized image.
    S : array_like of float64, shape (m, m)
        ``XᵀX`` or any positive multiple of it.

    Returns
    -------
    float
        0 for a perfect image, 1 for an image of zeros.

    Raises
    ------
    ArgumentError
        If a shape differs, a number is not finite, or the outputs are all zero while
        their error is not.

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
    # Eq. (4), subbit:  ε = Tr(D S Dᵀ) / Tr(W S Wᵀ)
    energy = _quadratic(check_matrix("W", W), check_matrix("S", S))
    if energy <= 0.0:
        raise ArgumentError("W", "outputs that are not all zero", f"output energy {energy:g}")
    return error / energy


def proxy_loss(W: npt.ArrayLike, Q: npt.ArrayLike, H: npt.ArrayLike) -> float:
    """Second-order estimate of the loss that quantization adds.

    Parameters
    ----------
    W, Q : array_like of float64, shape (n, m)
        Weights and their quantized image.
    H : array_like of float64, shape (m, m)
        Proxy Hessian, damped or not.

    Returns
    -------
    float
        The loss; with ``H = 2/N Σ XᵀX`` it is ``L2 / N`` for N calibration sequences.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

    Notes
    -----
    ``½ Tr(D H Dᵀ)`` with ``D = W - Q``.

    Examples
    --------
    >>> proxy_loss([[1.0, -2.0]], [[1.5, -1.5]], [[2.0, 0.0], [0.0, 2.0]])
    0.5
    """
    D = _difference(W, Q)
    hessian = check_matrix("H", H, shape=(D.shape[1], D.shape[1]))
    # Eq. (5), subbit:  ℒ = ½ Tr(D H Dᵀ)
    return 0.5 * _quadratic(D, hessian)
