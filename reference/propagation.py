"""Error propagation
=================

QEP, Y. Arai and Y. Ichikawa, arXiv 2504.09629; GPTAQ, Y. Li et al., arXiv 2504.02692; LoaQ,
L. Lin and X. Wan, arXiv 2509.06297.

A layer of a model whose earlier layers are quantized reads ``X̂``, no longer ``X``. The weights
that give the old output from the new input, ``W X ≈ W* X̂``, are those to quantize: they cost no
bits. A layer that adds to the residual stream can correct the error of the stream as well, so
that ``h + W X ≈ ĥ + W* X̂``. Both are least-squares problems with the Hessian of the new
inputs; they are solved in part (alpha, beta), since a part of the solution is fitted to the
calibration tokens alone.

========== =========== ==============================================================
symbol     shape       meaning
========== =========== ==============================================================
``X, X̂``   (N, L, m)   inputs in the model at full precision, and in the quantized one
``h, ĥ``   (N, L, n)   what the layer's output is added to, in the two models
``H``      (m, m)      ``2/N Σ_s X̂_sᵀ X̂_s``
``C``      (m, m)      ``2/N Σ_s (X_s − X̂_s)ᵀ X̂_s``
``R``      (n, m)      ``2/N Σ_s (h_s − ĥ_s)ᵀ X̂_s``
``W*``     (n, m)      the weights to quantize, with `H` as their Hessian
``α, β``               shares of both corrections that are taken
========== =========== ==============================================================

Of QEP the settings of the authors' library were available, of GPTAQ and LoaQ the abstracts
alone, whose settings here are what these say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.kinds import matrix
from subbit.reference.contracts.scalars import Share
from subbit.reference.contracts.settings import Switches
from subbit.reference.contracts.words import LAYER, PERCDAMP, PROXY

from .hessian import damp, inverse_factor
from .notation import Array
from .records import Config


@dataclass(frozen=True, repr=False)
class Propagation(Switches):
    """How much of the earlier layers' error a layer corrects.

    Parameters
    ----------
    alpha : float, default 1.0
        Share of the correction for the layer's own input, from 0 to 1.
    beta : float, default 0.0
        Share of the correction for the residual stream, from 0 to 1.
    ridge : float, default 0.01
        Number added to the diagonal of the Hessian, relative to the mean diagonal.

    Examples
    --------
    >>> Propagation(beta=0.5)
    Propagation(beta=0.5)
    """

    alpha: float = 1.0
    beta: float = 0.0
    ridge: float = 0.01

    DOMAINS: ClassVar[Mapping[str, Kind]] = {
        "alpha": Share(),
        "beta": Share(),
        "ridge": PERCDAMP,
    }


PROPAGATIONS: Mapping[str, Propagation] = MappingProxyType(
    {
        "qep": Propagation(alpha=0.5),
        "gptaq": Propagation(),
        "loaq": Propagation(beta=1.0),
        "half": Propagation(alpha=0.5, beta=0.5),
    }
)
"""Settings of :func:`propagated_weights`; the first three are published.

* ``qep``: half of the correction, 1 % ridge, as in the authors' library. That leaves out
  ``down_proj``, which is for the caller to do.
* ``gptaq``: all of it. GPTAQ has this target inside GPTQ's loop over columns; here it is
  reached before the first column is quantized, by any method.
* ``loaq``: all of it, with the residual stream. What LoaQ does for the RMSNorm that follows is
  not here. Of the ridge, neither this abstract nor GPTAQ's says anything; 1 % is GPTQ's damping.
* ``half``: half of both. A correction is fitted to the calibration as well as made from it, and
  of the strengths that were tried this one has the least error on other tokens.
"""


@contract(
    2,
    D=matrix("N", "L", "d", text="Deviations of N sequences."),
    X=matrix("N", "L", "m", text="Inputs of the quantized model for the same sequences."),
)
def accumulate_cross(D: Array, X: Array) -> Array:
    """Compute the cross Gram matrix of deviations and inputs.

    Returns
    -------
    ndarray of float64, shape (d, m)
        ``2/N Σ_s D_sᵀ X_s``.

    Notes
    -----
    On the scale of :func:`~subbit.reference.hessian.accumulate_hessian`. A sum over sequences:
    that of batches is the mean of theirs, weighted by their numbers of sequences.

    References
    ----------
    Eq. (66), subbit; QEP, arXiv 2504.09629.

    Examples
    --------
    >>> accumulate_cross([[[1.0, -1.0]]], [[[0.5, 2.0]]])
    array([[ 1.,  4.],
           [-1., -4.]])
    """
    deviations = D.reshape(-1, D.shape[-1])  # (N, L, d) -> (N L, d)
    inputs = X.reshape(-1, X.shape[-1])  # (N, L, m) -> (N L, m)
    # Eq. (66), subbit:  C = 2/N Σ_s D_sᵀ X_s
    return np.asarray((2.0 / len(X)) * (deviations.T @ inputs))


@contract(
    2,
    W=LAYER,
    H=PROXY.says("Proxy Hessian of the quantized model's inputs, not damped."),
    cross=matrix("m", "m", text="``2/N Σ (X − X̂)ᵀ X̂``, as from :func:`accumulate_cross`."),
    config=Config(Propagation),
    residual=matrix("n", "m", text="``2/N Σ (h − ĥ)ᵀ X̂``; without it, the stream is left alone."),
)
def propagated_weights(
    W: Array,
    H: Array,
    cross: Array,
    config: Propagation = Propagation(),
    *,
    residual: Array | None = None,
) -> Array:
    """Correct weights for the error of the layers before them.

    Returns
    -------
    ndarray of float64, shape (n, m)
        The weights to quantize in place of `W`; `W` itself if nothing deviates.

    Notes
    -----
    ``W* = W + (α W C + β R) (H + λI)⁻¹`` with the ridge ``λ = ridge · mean(diag H)``, see
    :func:`~subbit.reference.hessian.damp`. With ``α = β = 1`` and no ridge, W* minimizes
    ``‖h + W X − ĥ − W* X̂‖²`` over the calibration tokens; without the residual stream,
    ``‖W X − W* X̂‖²``. For other inputs neither is implied.

    References
    ----------
    QEP, arXiv 2504.09629; GPTAQ, arXiv 2504.02692; LoaQ, arXiv 2509.06297.

    Examples
    --------
    >>> X, Y = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[0.5, 0.0], [0.0, 2.0]])
    >>> H, C = 2.0 * Y.T @ Y, 2.0 * (X - Y).T @ Y
    >>> propagated_weights([[3.0, 1.0]], H, C, Propagation(ridge=0.0))
    array([[6., 1.]])
    """
    U = inverse_factor(damp(H, config.ridge))
    # Eq. (correction), QEP:  M = α W C
    moved = config.alpha * (W @ cross)
    if residual is not None:
        # Eq. (stream), LoaQ:  M ← M + β R
        moved += config.beta * residual
    # Eq. (67), subbit:  W* = W + M (H + λI)⁻¹,  (H + λI)⁻¹ = UᵀU
    return np.asarray(W + (moved @ U.T) @ U)
