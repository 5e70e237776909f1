"""Products of sign matrices
=========================

NanoQuant, arXiv 2602.06694v3, without its gradients.

One scaled product of two sign matrices holds the whole layer, at bits that its rank sets: half a
bit for each weight is as possible as two.

1. The rank is the largest whose signs and scales keep to the payload bits.
2. Weights are scaled by the roots of the Hessian's diagonal, and factored by the alternating
   direction method of multipliers. The start is a fixed pattern of signs.
3. Signs of the factors are kept; of their magnitudes, a mean for each row and each column.
4. Scales are fitted under the whole Hessian; then signs are visited, scales fitted again, and so
   on. The authors tune both by gradients through a decoder block, which also gives them a metric
   for the outputs; here there are no gradients, and outputs count alike.

========== ========= =======================================================
symbol     shape     meaning
========== ========= =======================================================
``d``      (m,)      metric of the inputs
``τ``                shrinkage of the metric
``A, B``             factors in that metric, (n, r) and (r, m)
``s, c``             scales of rows and columns
========== ========= =======================================================
"""

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.words import LAYER, UNDAMPED
from subbit.reference.groups.factors import admm_step, start_signs
from subbit.reference.groups.product_sweeps import (
    refit_column_scales,
    refit_row_scales,
    sweep_signs,
)
from subbit.reference.presets.sign_product import PRESETS, SignProduct
from subbit.reference.records import Config

from .factored import ProductGroup
from .hessian import prepare_hessian
from .layer import QuantizedBlock, QuantizedLayer
from .notation import Array
from .signs import sign


def _metric(diagonal: Array, shrinkage: float) -> Array:
    # Eq. (metric), NanoQuant:  d_j = (1 − τ) H_jj + τ mean(diag H)
    return np.asarray((1.0 - shrinkage) * diagonal + shrinkage * np.mean(diagonal))


def _factors(W: Array, config: SignProduct) -> tuple[Array, Array]:
    """Factor weights in their metric."""
    (n, m), r = W.shape, config.rank(W.shape)
    left = start_signs(n, r, 2 * config.seed).astype(np.float64)
    right = start_signs(r, m, 2 * config.seed + 1).astype(np.float64)
    left_dual, right_dual = np.zeros((n, r)), np.zeros((r, m))
    for t in range(config.iterations):
        left, right, left_dual, right_dual = admm_step(
            W,
            left,
            right,
            left_dual=left_dual,
            right_dual=right_dual,
            penalty=config.penalty(t),
            ridge=config.ridge,
            steps=config.power_steps,
            solves=config.solves,
        )
    return left, right


def _magnitudes(A: Array, B: Array) -> tuple[Array, Array]:
    """Return scales of rows and columns, the two of equal length."""
    lengths = np.sqrt(np.sum(A**2, axis=0))
    # Eq. (scales), NanoQuant:  s_i = mean_k |A_ik| / ‖A_:k‖,  c_j = mean_k |B_kj|
    s = np.mean(np.divide(np.abs(A), lengths, out=np.zeros(A.shape), where=lengths > 0.0), axis=1)
    c = np.mean(np.abs(B), axis=0)
    longer = np.sqrt(np.linalg.norm(c)), np.sqrt(np.linalg.norm(s))
    if not all(longer):
        return s, c
    # Eq. (112), subbit:  s ← s √(‖c‖ / ‖s‖),  c ← c √(‖s‖ / ‖c‖)
    return s * (longer[0] / longer[1]), c * (longer[1] / longer[0])


def _started(W: Array, metric: Array, config: SignProduct) -> ProductGroup:
    # A power of two, so that squares stay in range; it changes no digit.
    power = int(np.frexp(np.max(np.abs(W)))[1])
    # Eq. (113), subbit:  W diag(√d) ≈ A B,  Ŵ = A B diag(√d)⁻¹
    A, B = _factors(np.ldexp(W, -power) * np.sqrt(metric), config)
    s, c = _magnitudes(A, np.ldexp(B / np.sqrt(metric), power))
    return ProductGroup("all", np.ones(W.shape, dtype=np.bool_), sign(A), sign(B), s, c)


@contract(3, W=LAYER, H=UNDAMPED, config=Config(SignProduct))
def sign_product_layer(W: Array, H: Array, config: SignProduct = SignProduct()) -> QuantizedLayer:
    """Quantize a layer as one product of two sign matrices.

    Returns
    -------
    QuantizedLayer
        One block with one product. Its payload bits do not exceed `config.payload` per weight.

    Raises
    ------
    ArgumentError
        If the scales alone take more bits; in small layers they take several per weight.

    Notes
    -----
    Refitted scales and sweeps lower the error or keep it; the factors' steps need not.

    References
    ----------
    Eq. (113), subbit; NanoQuant, arXiv 2602.06694v3, released code.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import payload_bits, relative_error
    >>> rng = np.random.default_rng(0)
    >>> W, X = rng.normal(size=(96, 4)) @ rng.normal(size=(4, 96)), rng.normal(size=(300, 96))
    >>> layer = sign_product_layer(W, X.T @ X)
    >>> payload_bits(layer).per_weight <= 1.0, relative_error(W, layer.decode(), X.T @ X) < 0.2
    (True, True)
    """
    prepared = prepare_hessian(H, config.percdamp)
    weights = np.where(prepared.dead, 0.0, W)
    metric = _metric(np.diag(prepared.damped), config.shrinkage)
    block = QuantizedBlock(0, W.shape[1], (_started(weights, metric, config),))
    layer = QuantizedLayer((W.shape[0], W.shape[1]), (block,))
    for sweep in range(config.sweeps + 1):
        if sweep:
            layer = sweep_signs(weights, prepared.damped, layer)
        if config.refit:
            layer = refit_row_scales(weights, prepared.damped, layer)
            layer = refit_column_scales(weights, prepared.damped, layer)
    return layer


__all__ = ["PRESETS", "SignProduct", "sign_product_layer"]
