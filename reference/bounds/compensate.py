"""Bounds of compensation
======================

How far a correct port may deviate: the feedback of a block's error, the other columns after
it, and the states that a layer's blocks are quantized from. Return values are as in
``bounds``.

========== ========= ===============================================================
symbol     shape     meaning
========== ========= ===============================================================
``D``      (n, k)    a block's error ``W_B - Q_B``
``E``      (n, k)    the error fed forward
``U_BB``   (k, k)    the block's diagonal block of the inverse factor
``U_BR``   (k, r)    the rows of the block, the columns right of it
========== ========= ===============================================================

References
----------
N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., Theorem 8.5.
"""

import numpy as np
import numpy.typing as npt
import scipy.linalg

from subbit.reference.compensate import feedback
from subbit.reference.errors import ArgumentError, check_matrix
from subbit.reference.layer import QuantizedLayer
from subbit.reference.notation import Array, Compensation, Mask

from .layer import decode_bound
from .rounding import Arithmetic, Input, Rounded


def feedback_residual(
    D: Input, U_block: Input, E: npt.ArrayLike, mode: Compensation, *, arithmetic: Arithmetic
) -> Rounded:
    """Residual of a port's feedback, and its bound.

    Parameters
    ----------
    D : array_like of float64 or Rounded, shape (n, k)
        The block's error ``W_B - Q_B``.
    U_block : array_like of float64 or Rounded, shape (k, k)
        ``U_BB``, upper triangular.
    E : array_like of float64, shape (n, k)
        The port's answer.
    mode : {"none", "released", "exact"}
        The form of compensation.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        ``|E U - D|``, and the most it may be, shape (n, k). In mode "released" U is its
        diagonal; in mode "none" ``|E|`` and 0.

    Notes
    -----
    1. A triangular solve by substitution is exact for a U that is off by ``γ_k |U|``,
       whatever the order of subtraction; scaling to a unit diagonal first adds five roundings.
    2. The port's D and U are themselves off by ``e_D`` and ``e_U``.

    So ``|Ê U - D| <= e_D + |Ê| e_U + γ_{k+5} |Ê||U|``: no condition number enters.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> U, E = [[2.0, 1.0], [0.0, 1.0]], [[0.5, 0.5]]
    >>> feedback_residual([[1.0, 1.0]], U, E, "exact", arithmetic=Arithmetic("float32")).value
    array([[0., 0.]])
    """
    error = arithmetic.checked("D", D)
    answer = check_matrix("E", E, shape=error.shape)
    if mode == "none":
        return Rounded(np.abs(answer), np.zeros(error.shape), arithmetic)
    factor = arithmetic.checked("U_block", U_block, shape=(error.shape[1],) * 2)
    part = _solved_with(factor, mode)
    value = np.abs(answer @ part.value - error.value)
    # Eq. (B35), subbit:  |Ê U − D| ≤ e_D + |Ê| e_U + γ_{k+5} |Ê||U|
    return Rounded(value, _solve_allowance(np.abs(answer), error, part, mode), arithmetic)


def _solved_with(U: Rounded, mode: Compensation) -> Rounded:
    mask = np.eye(len(U.value), dtype=np.bool_) if mode == "released" else np.triu(U.value) != 0.0
    return U.keep(mask)


def _solve_allowance(size: Array, D: Rounded, U: Rounded, mode: Compensation) -> Array:
    arithmetic, k = D.arithmetic, D.shape[1]
    gamma = arithmetic.gamma(2 if mode == "released" else k + 5)
    lost = (k + 1) * arithmetic.tiny * (1.0 + np.sum(np.abs(U.value), axis=0))
    return np.asarray(D.error + size @ (U.error + gamma * np.abs(U.value)) + lost)


def compensation_bound(
    W_rest: Input, E: Input, U_rest: Input, *, free: Mask | None = None, arithmetic: Arithmetic
) -> Rounded:
    """Bound of the columns right of a block after its feedback.

    Parameters
    ----------
    W_rest : array_like of float64 or Rounded, shape (n, r)
        The columns right of the block.
    E : array_like of float64 or Rounded, shape (n, k)
        The port's feedback, checked by :func:`feedback_residual`.
    U_rest : array_like of float64 or Rounded, shape (k, r)
        ``U_BR``.
    free : ndarray of bool, shape (n, r), optional
        The weights that move; all by default.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    Rounded
        ``W_R - E U_BR``, shape (n, r).

    Notes
    -----
    A sum of k + 1 terms in any order, k of them products:
    ``e_W + |E| e_U + e_E |U| + γ_{k+1} (|W| + |E||U|)``. Other weights stay as they were.

    Examples
    --------
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> bound = compensation_bound([[5.0]], [[1.0, 1.0]], [[1.0], [1.0]], arithmetic=Arithmetic())
    >>> bound.value
    array([[3.]])
    """
    rest = arithmetic.checked("W_rest", W_rest)
    fed = arithmetic.checked("E", E) @ arithmetic.checked("U_rest", U_rest)
    moved = rest - fed
    k = np.shape(U_rest.value if isinstance(U_rest, Rounded) else U_rest)[0]
    # Eq. (B36), subbit:  e ≤ e_W + |E| e_U + e_E |U| + γ_{k+1} (|W| + |E||U|)
    bound = moved.widen(arithmetic.gamma(k) * rest.reach)
    if free is None:
        return bound
    # Eq. (B100), subbit:  e ≤ e_W where nothing moves
    value = np.where(free, bound.value, rest.value)
    return Rounded(value, np.where(free, bound.error, rest.error), arithmetic)


def layer_states_bound(
    W: Input,
    U: Input,
    layer: QuantizedLayer,
    *,
    mode: Compensation,
    free: Mask | None = None,
    arithmetic: Arithmetic,
) -> tuple[Rounded, ...]:
    """Bound of the states that the blocks of a port's layer were quantized from.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, m)
        The layer's weights.
    U : array_like of float64 or Rounded, shape (m, m)
        Inverse factor; from :func:`inverse_factor_bound` where the port computed its own.
    layer : QuantizedLayer
        The port's answer, without a column order.
    mode : {"none", "released", "exact"}
        The form of compensation.
    free : ndarray of bool, shape (n, m), optional
        The weights that feedback moves; all by default.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    tuple of Rounded
        For each block, the weights that it was given, shape (n, k).

    Raises
    ------
    ArgumentError
        If the layer has a column order.

    Notes
    -----
    Two correct layers may part at one tie and never meet again. But the port's own images
    determine, to rounding, what each of its blocks was given, whatever it decided:

    1. ``D = W_B - Q_B`` of the state so far and the port's image.
    2. ``E = D U_BB⁻¹`` is off by ``Δ |U_BB⁻¹| / (1 - ρ)``, where Δ is the allowance of
       :func:`feedback_residual` and ``ρ`` the norm of ``(e_U + γ |U|) |U⁻¹|``.
    3. ``W_R - E U_BR`` as in :func:`compensation_bound`.

    So each block of the port is compared with the reference's block from the same state.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import rtn_layer
    >>> from subbit.reference.bounds.rounding import Arithmetic
    >>> layer = rtn_layer([[1.0, -3.0]])
    >>> W, U, port = [[1.0, -3.0]], np.eye(2), Arithmetic("float32")
    >>> layer_states_bound(W, U, layer, mode="exact", arithmetic=port)[0].value
    array([[ 1., -3.]])
    """
    if layer.order is not None:
        raise ArgumentError("layer", "columns in their own order", "a column order")
    current = arithmetic.checked("W", W, shape=layer.shape)
    factor = arithmetic.checked("U", U, shape=(layer.shape[1],) * 2)
    states, done = [], 0
    for block in layer.blocks:
        width = block.stop - block.start
        given, rest = current[:, :width], current[:, width:]
        states.append(given)
        done = block.stop
        if mode != "none" and done < layer.shape[1]:
            D = given - decode_bound(block, arithmetic=arithmetic)
            E = _feedback(D, factor[block.columns, block.columns], mode)
            movable = None if free is None else free[:, done:]
            rest = compensation_bound(
                rest, E, factor[block.columns, done:], free=movable, arithmetic=arithmetic
            )
        current = rest
    return tuple(states)


def _feedback(D: Rounded, U: Rounded, mode: Compensation) -> Rounded:
    E = feedback(D.value, U.value, mode)
    part = _solved_with(U, mode)
    inverse = np.abs(scipy.linalg.solve_triangular(part.value, np.eye(len(part.value))))
    gamma = D.arithmetic.gamma(2 if mode == "released" else D.shape[1] + 5)
    share = float(np.max(np.sum((part.error + gamma * np.abs(part.value)) @ inverse, axis=1)))
    if not share < 1.0:
        return Rounded(E, np.full(E.shape, np.inf), D.arithmetic)
    # Eq. (B37), subbit:  e_E ≤ (e_D + |E| e_U + γ_{k+5} |E||U|) |U⁻¹| / (1 − ρ)
    first = _solve_allowance(np.abs(E), D, part, mode) @ inverse
    # The higher orders are at most the largest entry of the first times ρ / (1 − ρ).
    rest = share / (1.0 - share) * np.max(first, axis=1, keepdims=True)
    return Rounded(E, first + rest, D.arithmetic)
