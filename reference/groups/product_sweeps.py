"""Sweeps over products
====================

A product of sign matrices is first found in a metric of the inputs' diagonal. Under the whole
Hessian it can be improved without gradients: its calibrated error

    ``Tr(D H Dᵀ)``,  ``D = W − diag(s) U V diag(c)``,

is quadratic in the row scales, in the column scales, and in each row x of U or V, where it is
``a (x − t) K (x − t)ᵀ`` and a constant. Scales have a closed form; signs are visited from left to
right, and flip if what they would be without being signs lies on the other side of zero.

========== ========= =======================================================
symbol     shape     meaning
========== ========= =======================================================
``U, V``             left signs (n, r), right signs (r, m)
``s, c``             scales of rows (n,) and of columns (m,)
``Z``      (n, m)    ``U V diag(c)``, a layer before its row scales
``Y``      (n, m)    ``diag(s) U V``, a layer before its column scales
``R, g``             normal equations, (m, m) and (m,)
``F``      (m, m)    inverse factor of R
``T, N``             ``diag(s) U`` and ``V diag(c)``
``P``      (n, m)    ``D H``
``x, K``             a row of signs and its matrix, (p,) and (p, p)
``y``      (p,)      ``(t − x) K``
========== ========= =======================================================
"""

from dataclasses import replace
from typing import cast

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import symmetric
from subbit.reference.contracts.words import LAYER
from subbit.reference.errors import ArgumentError
from subbit.reference.factored import ProductGroup
from subbit.reference.hessian import inverse_factor
from subbit.reference.layer import QuantizedLayer
from subbit.reference.least_squares import ratio
from subbit.reference.notation import Array, Signs
from subbit.reference.records import Product

DIAGONAL = symmetric("m", "Damped Hessian, with a positive diagonal.")
PRODUCT = Product(text="The record, one product of sign matrices.")


def _check_diagonal(H: Array) -> None:
    if not np.all(np.diag(H) > 0.0):
        raise ArgumentError("H", "a positive diagonal", "another")


def _product(layer: QuantizedLayer) -> ProductGroup:
    return cast("ProductGroup", layer.blocks[0].groups[0])


def _with_product(layer: QuantizedLayer, group: ProductGroup) -> QuantizedLayer:
    return replace(layer, blocks=(replace(layer.blocks[0], groups=(group,)),))


@contract(3, W=LAYER, H=DIAGONAL, layer=PRODUCT)
def refit_row_scales(W: Array, H: Array, layer: QuantizedLayer) -> QuantizedLayer:
    """Fit the row scales of a product to the calibrated error.

    Returns
    -------
    QuantizedLayer
        The layer with the best row scales for its signs and column scales, which raise no row's
        error; a row that has no part in the error keeps its own.

    References
    ----------
    Eq. (105), subbit.

    Examples
    --------
    >>> from subbit.reference import SignProduct, sign_product_layer
    >>> layer = sign_product_layer([[2.0]], [[1.0]], SignProduct(payload=64.0))
    >>> refit_row_scales([[-3.0]], [[2.0]], layer).decode()
    array([[-3.]])
    """
    _check_diagonal(H)
    group = _product(layer)
    Z = group.product() * group.column_scale
    ZH = Z @ H
    # Eq. (105), subbit:  s_i = W_i H Z_iᵀ / (Z_i H Z_iᵀ)
    dividend, divisor = np.sum(W * ZH, axis=1), np.sum(Z * ZH, axis=1)
    scales = ratio(dividend, divisor, group.row_scale, 0.0, "absolute")
    return _with_product(layer, replace(group, row_scale=scales))


@contract(3, W=LAYER, H=DIAGONAL, layer=PRODUCT)
def refit_column_scales(W: Array, H: Array, layer: QuantizedLayer) -> QuantizedLayer:
    """Fit the column scales of a product to the calibrated error, all of them together.

    Returns
    -------
    QuantizedLayer
        The layer with the best column scales for its signs and row scales; a column that is
        zero without its scale keeps it.

    Raises
    ------
    HessianError
        If `H` is not positive definite, as far as the normal equations show.

    Notes
    -----
    If `H` is positive definite, so is its product with ``YᵀY`` entry by entry, once columns of
    zeros are left out (Schur), and the error does not rise.

    References
    ----------
    Eq. (106), subbit.

    Examples
    --------
    >>> from subbit.reference import SignProduct, sign_product_layer
    >>> H = [[2.0, 1.0], [1.0, 2.0]]
    >>> layer = sign_product_layer([[2.0, 1.0]], H, SignProduct(payload=64.0))
    >>> refit_column_scales([[3.0, -2.0]], H, layer).decode().round(9)
    array([[ 3., -2.]])
    """
    _check_diagonal(H)
    group = _product(layer)
    Y = group.row_scale[:, None] * group.product()
    # Eq. (106), subbit:  R = H ∘ YᵀY,  g_j = Σ_i Y_ij [W H]_ij
    R, g = H * (Y.T @ Y), np.sum(Y * (W @ H), axis=0)
    free = np.diag(R) > 0.0
    if not free.any():
        return layer
    F = inverse_factor(R[np.ix_(free, free)])
    scales = group.column_scale.copy()
    # Eq. (107), subbit:  c = R⁻¹ g,  R⁻¹ = FᵀF
    scales[free] = F.T @ (F @ g[free])
    return _with_product(layer, replace(group, column_scale=scales))


def _swept(products: Array, K: Array, signs: Signs) -> Signs:
    """Visit a row of signs from left to right, and flip those that the others leave to flip."""
    x, p, diagonal, start = signs.astype(np.float64), products.copy(), np.diag(K), 0
    while True:
        rest = slice(start, None)
        usable = diagonal[rest] > 0.0
        # Eq. (108), subbit:  x_j ← sign(x_j + y_j / K_jj),  y ← y − δ K_j
        move = np.divide(p[rest], diagonal[rest], out=np.zeros(usable.shape), where=usable)
        flips = np.flatnonzero((x[rest] + move >= 0.0) != (x[rest] > 0.0))
        if not flips.size:
            return x.astype(np.int8)
        j = start + int(flips[0])
        p += 2.0 * x[j] * K[j]
        x[j], start = -x[j], j + 1


def _sweep_left(W: Array, H: Array, group: ProductGroup) -> ProductGroup:
    N, s = group.right * group.column_scale, group.row_scale
    # Eq. (109), subbit:  K = N H Nᵀ,  y = P_i Nᵀ / s_i,  P = D H
    K = N @ H @ N.T
    products = ((W - group.decode()) @ H) @ N.T
    left = group.left.copy()
    for i in np.flatnonzero(s):
        left[i] = _swept(products[i] / s[i], K, left[i])
    return replace(group, left=left)


def _sweep_right(W: Array, H: Array, group: ProductGroup) -> ProductGroup:
    T, c, right = group.row_scale[:, None] * group.left, group.column_scale, group.right.copy()
    K, gram = c[:, None] * H * c, T.T @ T
    products = T.T @ ((W - group.decode()) @ H) * c
    for k in np.flatnonzero(np.diag(gram)):
        # Eq. (110), subbit:  K = diag(c) H diag(c),  y = [TᵀP diag(c)]_k / [TᵀT]_kk
        x = _swept(products[k] / gram[k, k], K, right[k])
        delta = x.astype(np.float64) - right[k]
        products -= np.outer(gram[k], delta @ K)
        right[k] = x
    return replace(group, right=right)


@contract(3, W=LAYER, H=DIAGONAL, layer=PRODUCT)
def sweep_signs(W: Array, H: Array, layer: QuantizedLayer) -> QuantizedLayer:
    """Visit all signs of a product once: the left ones row by row, then the right ones.

    Returns
    -------
    QuantizedLayer
        The layer after one sweep; its scales stay.

    Raises
    ------
    ArgumentError
        If the diagonal of `H` is not positive.

    Notes
    -----
    Flipping ``x_j`` lowers the error by ``4 a K_jj |t_j|``, where ``t_j = x_j + y_j / K_jj`` has
    the other sign. So no flip raises it, and the left half raises no row's.

    References
    ----------
    Eq. (108), subbit.

    Examples
    --------
    >>> from subbit.reference import SignProduct, sign_product_layer
    >>> layer = sign_product_layer([[2.0]], [[1.0]], SignProduct(payload=64.0))
    >>> sweep_signs([[-1.0]], [[2.0]], layer).decode().round(9)
    array([[-2.]])
    """
    _check_diagonal(H)
    group = _product(layer)
    return _with_product(layer, _sweep_right(W, H, _sweep_left(W, H, group)))
