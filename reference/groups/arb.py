"""Alternating refined binarization
================================

ARB-LLM, arXiv 2410.03129, section 3.2, Algorithm 1.

A group starts from the plain binarization, ``μ`` the mean, ``α`` the mean distance, ``B``
the signs. But the mean of ``αB + μ`` is not the mean of ``W`` unless the signs balance,
so ``μ``, ``α`` and ``B`` are each refined given the other two, for a fixed number of
rounds. The second order has two scales and two signs; the four levels that they make are
compared for each weight at once. Every half step minimizes the error over what it
changes, so the error never rises.

========== ========= =======================================================
symbol     shape     meaning
========== ========= =======================================================
``M``      (n, k)    the group's entries
``c``      (n,)      their number in each row
``mu``     (n,)      mean
``alpha``  (n,)      scale of each order
``B``      (n, k)    signs of each order, 0 outside the mask
``R``      (n, k)    ``M ∘ (W - Ŵ)``
========== ========= =======================================================

First order is a damped two-means iteration in each row: ``μ - α`` and ``μ + α`` are the
centers. ``levels`` has the exact
optimum, and what the alternation of ``μ`` and ``α`` converges to. ERRATA D-1 to D-5.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from subbit.reference.checks import checked_group, checked_order, checked_plane
from subbit.reference.errors import ArgumentError, check_matrix
from subbit.reference.layer import BinaryGroup, Plane
from subbit.reference.least_squares import EpsKind, ratio
from subbit.reference.notation import Array, SignOfZero, Signs, sign

from .binarize import masked_mean, masked_scale, residual_binarize
from .joint_levels import solve_levels
from .refinement import REFINEMENT, Refinement, Steps


def arb_start(
    W: npt.ArrayLike,
    mask: npt.ArrayLike | None = None,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> BinaryGroup:
    """Initial values of a refinement: the plain binarization.

    Parameters
    ----------
    W : array_like of float64, shape (n, k)
        Weights.
    mask : array_like of bool, shape (n, k), optional
        The group's entries; all by default.
    order : {1, 2}, default 1
        Number of sign planes.
    config : Refinement
        `divisor`, `initial_signs` and `sign_zero` are used.
    name : str, default "all"
        Name of the group in the record.

    Returns
    -------
    BinaryGroup
        `order` planes and a mean.

    Raises
    ------
    ArgumentError
        If a shape differs, a number is not finite or the order is unknown.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eqs. (1) and (6), Algorithm 1.

    Examples
    --------
    >>> arb_start([[4.0, 1.0, 1.0, 0.0]]).decode()
    array([[2.75, 0.25, 0.25, 0.25]])
    """
    checked_order(order)
    # Eq. (1), ARB-LLM:  μ = mean W,  α = mean |W − μ|,  B = sign(W − μ)
    # Eq. (6), ARB-LLM:  Ŵ = α₁B₁ + α₂B₂ + μ
    group = residual_binarize(
        W, mask, order=order, center=True, sign_zero=config.sign_zero, name=name
    )
    if config.divisor == "entries" and config.initial_signs == "centered":
        return group
    return _printed_start(check_matrix("W", W), group, config)


def _printed_start(W: Array, group: BinaryGroup, config: Refinement) -> BinaryGroup:
    M, (n, k) = group.mask, group.mask.shape
    share = np.count_nonzero(M, axis=1) / k if config.divisor == "width" else np.ones(n)
    total, rest, planes = np.zeros(n), np.where(M, W, 0.0), []
    for _ in group.planes:
        # Alg. 1, ARB-LLM:  μ = Σ M∘W / m,  α = Σ M∘|W − μ| / m,  B = sign(M∘W)
        mean = masked_mean(rest, M) * share
        scale = masked_scale(rest, M, mean) * share
        signed = rest if config.initial_signs == "plain" else rest - mean[:, None]
        B = np.where(M, sign(signed, config.sign_zero), np.int8(0))
        planes.append(Plane(B, scale))
        total += mean
        rest = np.where(M, rest - mean[:, None] - scale[:, None] * B, 0.0)
    return replace(group, planes=tuple(planes), mean=total)


def _mean_of(group: BinaryGroup) -> Array:
    return np.zeros(len(group.mask)) if group.mean is None else group.mean


def _mean_step(weights: Array, group: BinaryGroup) -> BinaryGroup:
    counts = np.maximum(np.count_nonzero(group.mask, axis=1), 1)
    # Eq. (3), ARB-LLM:  R = W − Ŵ,  μ ← μ + mean R
    R = weights - group.decode()
    return replace(group, mean=_mean_of(group) + np.sum(R, axis=1) / counts)


def refine_mean(W: npt.ArrayLike, group: BinaryGroup) -> BinaryGroup:
    """Move the mean by the mean of what is left.

    Parameters
    ----------
    W : array_like of float64, shape (n, k)
        Weights.
    group : BinaryGroup
        The state.

    Returns
    -------
    BinaryGroup
        The state with the best mean for its scales and signs.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

    Notes
    -----
    ``μ_i ← μ_i + Σ_j R_ij / c_i``; afterwards ``Σ_j R_ij = 0``.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eq. (3).

    Examples
    --------
    >>> W = [[4.0, 1.0, 1.0, 0.0]]
    >>> refine_mean(W, arb_start(W)).mean
    array([2.125])
    """
    # Eq. (3), ARB-LLM:  δ_μ = mean (W − Ŵ),  μ ← μ + δ_μ
    return _mean_step(checked_group(W, group)[0], group)


def _scale_step(
    weights: Array, group: BinaryGroup, number: int, eps: float, kind: EpsKind
) -> BinaryGroup:
    own = group.planes[number]
    B = own.sign.astype(np.float64)
    Z = weights - _mean_of(group)[:, None]
    if len(group.planes) == 1:
        # Eq. (4), ARB-LLM:  α = Σ B∘(W − μ) / Σ B²
        numerator = np.sum(B * Z, axis=1)
    else:
        # Eq. (7), ARB-LLM:  α₁ = Σ B₁∘(W − μ − α₂B₂) / Σ B₁²,  then α₂ likewise
        numerator = np.sum(B * (Z - group.planes[1 - number].decode()), axis=1)
    scale = ratio(numerator, np.sum(B * B, axis=1), own.row_scale, eps, kind)
    new = replace(own, row_scale=scale)
    return replace(group, planes=(*group.planes[:number], new, *group.planes[number + 1 :]))


def refine_scale(
    W: npt.ArrayLike,
    group: BinaryGroup,
    plane: int = 0,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
) -> BinaryGroup:
    """Fit the scale of one sign plane to what the others leave.

    Parameters
    ----------
    W : array_like of float64, shape (n, k)
        Weights.
    group : BinaryGroup
        The state.
    plane : int, default 0
        Which sign plane.
    eps, eps_kind
        As in :class:`~subbit.reference.groups.refinement.Refinement`.

    Returns
    -------
    BinaryGroup
        The state with the best scale for its mean, signs and other scale.

    Raises
    ------
    ArgumentError
        If a shape differs, a number is not finite or there is no such plane.

    Notes
    -----
    ``α_i = Σ_j B_ij (W - μ)_ij / (Σ_j B_ij² + eps)``, with the other plane's term
    subtracted as well at order 2. The paper prints ``diag(Bᵀ(W - μ))``, which has the
    wrong shape: ERRATA D-4.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eqs. (4) and (7).

    Examples
    --------
    >>> W = [[4.0, 1.0, 1.0, 0.0]]
    >>> refine_scale(W, refine_mean(W, arb_start(W))).planes[0].row_scale
    array([1.5625])
    """
    weights, _ = checked_group(W, group)
    # Eq. (4), ARB-LLM:  α = diag(B (W − μ)ᵀ) / diag(B Bᵀ);  order 2: Eq. (7)
    return _scale_step(weights, group, checked_plane(group, plane), eps, eps_kind)


def joint_signs(Z: npt.ArrayLike, u: npt.ArrayLike, v: npt.ArrayLike) -> tuple[Signs, Signs]:
    """Choose two signs at once: the nearest of the four levels that two scales make.

    Parameters
    ----------
    Z : array_like of float64, shape (n, k)
        What is to be represented.
    u, v : array_like of float64, shape (n, 1) or (n, k)
        Scales of the first and of the second sign.

    Returns
    -------
    first, second : ndarray of int8, shape (n, k)
        Signs, -1 or +1.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

    Notes
    -----
    The levels are ``-u - v, -u + v, u - v, u + v``; of equally near ones the first counts.
    The paper finds the same level by bisection.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eq. (8).

    Examples
    --------
    >>> joint_signs([[2.9, 1.2, 0.0]], [[2.0]], [[1.0]])
    (array([[ 1,  1, -1]], dtype=int8), array([[ 1, -1,  1]], dtype=int8))
    """
    values = check_matrix("Z", Z)
    scales = [check_matrix(name, x, shape=(len(values), None)) for name, x in (("u", u), ("v", v))]
    for name, x in zip("uv", scales, strict=True):
        if x.shape[1] not in {1, values.shape[1]}:
            raise ArgumentError(name, f"1 or {values.shape[1]} columns", x.shape[1])
    first, second = scales
    # Eq. (8), ARB-LLM:  (B₁, B₂) = argmin |Z − (± α₁ ± α₂)|
    levels = (-first - second, -first + second, first - second, first + second)
    nearest = np.zeros(values.shape, dtype=np.int8)
    distance = np.abs(values - levels[0])
    for number, level in enumerate(levels[1:], 1):
        other = np.abs(values - level)
        nearest[other < distance] = number
        np.minimum(distance, other, out=distance)
    return (
        np.where(nearest >= 2, 1, -1).astype(np.int8),
        np.where(nearest % 2 == 1, 1, -1).astype(np.int8),
    )


def _signs_step(weights: Array, group: BinaryGroup, sign_zero: SignOfZero) -> BinaryGroup:
    Z = weights - _mean_of(group)[:, None]
    if len(group.planes) == 1:
        # Eq. (4), ARB-LLM:  B = sign(W − μ)
        signs: tuple[Signs, ...] = (sign(Z, sign_zero),)
    else:
        signs = joint_signs(Z, *(plane.row_scale[:, None] for plane in group.planes))
    planes = tuple(
        replace(plane, sign=np.where(group.mask, B, np.int8(0)))
        for plane, B in zip(group.planes, signs, strict=True)
    )
    return replace(group, planes=planes)


def refine_signs(W: npt.ArrayLike, group: BinaryGroup, *, sign_zero: SignOfZero = 1) -> BinaryGroup:
    """Give every entry the signs of the level nearest to it.

    Parameters
    ----------
    W : array_like of float64, shape (n, k)
        Weights.
    group : BinaryGroup
        The state.
    sign_zero : {1, 0}, default 1
        Sign of zero at order 1. At order 2 no sign is ever zero.

    Returns
    -------
    BinaryGroup
        The state with the best signs for its mean and scales.

    Raises
    ------
    ArgumentError
        If a shape differs or a number is not finite.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eqs. (4) and (8).

    Examples
    --------
    >>> W = [[4.0, 2.0, 1.0, 0.0]]
    >>> refine_signs(W, refine_mean(W, arb_start(W))).planes[0].sign
    array([[ 1,  1, -1, -1]], dtype=int8)
    """
    # Eq. (4), ARB-LLM:  B = sign(W − μ);  order 2: Eq. (8)
    return _signs_step(checked_group(W, group)[0], group, sign_zero)


def arb_steps(
    W: npt.ArrayLike,
    mask: npt.ArrayLike | None = None,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> Steps:
    """Yield every half step of ARB.

    Parameters
    ----------
    W : array_like of float64, shape (n, k)
        Weights.
    mask : array_like of bool, shape (n, k), optional
        The group's entries; all by default.
    order : {1, 2}, default 1
        Number of sign planes.
    config : Refinement
        The switches; ``levels="exact"`` fits mean and scales in one step.
    name : str, default "all"
        Name of the group in the record.

    Yields
    ------
    name : str
        ``"start"``, then in turn ``"mean"``, ``"scale"`` for each plane, ``"signs"``; or
        ``"levels"`` and ``"signs"``.
    group : BinaryGroup
        The state after the step.

    Raises
    ------
    ArgumentError
        If a shape differs, a number is not finite or the order is unknown.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Algorithm 1.

    Examples
    --------
    >>> W = [[4.0, 1.0, 1.0, 0.0]]
    >>> [name for name, _ in arb_steps(W, config=Refinement(iterations=1))]
    ['start', 'mean', 'scale', 'signs']
    """
    group = arb_start(W, mask, order=order, config=config, name=name)
    yield "start", group
    weights, _ = checked_group(W, group)
    # Alg. 1, ARB-LLM:  for t = 1 … T:  μ, then α, then B
    for _ in range(config.iterations):
        if config.levels == "exact":
            group = solve_levels(weights, group)
            yield "levels", group
        else:
            group = _mean_step(weights, group)
            yield "mean", group
            for plane in range(order):
                group = _scale_step(weights, group, plane, config.eps, config.eps_kind)
                yield "scale", group
        group = _signs_step(weights, group, config.sign_zero)
        yield "signs", group


def arb(
    W: npt.ArrayLike,
    mask: npt.ArrayLike | None = None,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> BinaryGroup:
    """Binarize a group and refine it on the weight error.

    Parameters
    ----------
    W : array_like of float64, shape (n, k)
        Weights.
    mask : array_like of bool, shape (n, k), optional
        The group's entries; all by default. A row without entries decodes to zero.
    order : {1, 2}, default 1
        Number of sign planes.
    config : Refinement
        The switches.
    name : str, default "all"
        Name of the group in the record.

    Returns
    -------
    BinaryGroup
        `order` planes and a mean.

    Raises
    ------
    ArgumentError
        If a shape differs, a number is not finite or the order is unknown.

    Notes
    -----
    The error is at most that of the start. For skewed rows 15 rounds are far from the
    limit: with fixed signs the scale closes in by the factor ``mean(B)²`` a round.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Algorithm 1.

    Examples
    --------
    >>> arb([[4.0, 1.0, 1.0, 0.0]]).decode().round(3)
    array([[4.   , 0.667, 0.667, 0.667]])
    """
    # Alg. 1, ARB-LLM:  the state after T rounds
    for _, group in arb_steps(W, mask, order=order, config=config, name=name):
        result = group
    return result
