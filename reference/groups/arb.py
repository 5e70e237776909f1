"""Alternating refined binarization
================================

ARB-LLM, arXiv 2410.03129, section 3.2, Algorithm 1.

A group starts from the plain binarization: ``μ`` is the mean, ``α`` the mean distance, ``B``
the signs. But the mean of ``αB + μ`` is not the mean of ``W`` unless the signs balance,
so ``μ``, ``α`` and ``B`` are each refined given the other two, for a fixed number of
rounds. The second order has two scales and two signs; for each weight, the four levels that
they form are compared at once. Every half step minimizes the error over the variables that it
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
centers. ``joint_levels`` has the exact optimum, and the limit of the alternation of ``μ`` and
``α``. ERRATA D-1 to D-5.
"""

from dataclasses import replace

import numpy as np

from subbit.reference.contracts.door import ALL, contract
from subbit.reference.contracts.kinds import Spread, matrix
from subbit.reference.contracts.words import ENTRIES, EPS, EPS_KIND, NAME, ORDER, SIGN_ZERO, WEIGHTS
from subbit.reference.layer import BinaryGroup, Plane
from subbit.reference.least_squares import EpsKind, ratio
from subbit.reference.notation import Array, Mask, SignOfZero, Signs
from subbit.reference.records import GROUP, PLANE, Config
from subbit.reference.signs import sign

from .binarize import masked_mean, masked_scale, residual_binarize
from .joint_levels import solve_levels
from .refinement import REFINEMENT, Refinement, Steps


@contract(
    2,
    W=WEIGHTS,
    mask=ENTRIES,
    order=ORDER,
    config=Config(Refinement, text="`divisor`, `initial_signs` and `sign_zero` are used."),
    name=NAME,
)
def arb_start(
    W: Array,
    mask: Mask = ALL,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> BinaryGroup:
    """Compute the initial values of a refinement: the plain binarization.

    Returns
    -------
    BinaryGroup
        `order` planes and a mean.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eqs. (1) and (6), Algorithm 1.

    Examples
    --------
    >>> arb_start([[4.0, 1.0, 1.0, 0.0]]).decode()
    array([[2.75, 0.25, 0.25, 0.25]])
    """
    group = residual_binarize(
        W, mask, order=order, center=True, sign_zero=config.sign_zero, name=name
    )
    if config.divisor == "entries" and config.initial_signs == "centered":
        return group
    return _printed_start(W, group, config)


def _printed_start(W: Array, group: BinaryGroup, config: Refinement) -> BinaryGroup:
    M, (n, k) = group.mask, group.mask.shape
    share = np.count_nonzero(M, axis=1) / k if config.divisor == "width" else np.ones(n)
    total, rest, planes = np.zeros(n), W, []
    for _ in group.planes:
        # Alg. 1, ARB-LLM:  μ = Σ M∘W / m,  α = Σ M∘|W − μ| / m,  B = sign(M∘W)
        mean = masked_mean(rest, M) * share
        scale = masked_scale(rest, M, mean) * share
        signed = rest if config.initial_signs == "plain" else rest - mean[:, None]
        B = np.where(M, sign(signed, config.sign_zero), np.int8(0))
        planes.append(Plane(B, scale))
        total += mean
        rest = rest - mean[:, None] - scale[:, None] * B
    return replace(group, planes=tuple(planes), mean=total)


@contract(2, W=WEIGHTS, group=GROUP)
def refine_mean(W: Array, group: BinaryGroup) -> BinaryGroup:
    """Move the mean by the mean of the residual.

    Returns
    -------
    BinaryGroup
        The state with the best mean for its scales and signs.

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
    M, counts = group.mask, np.maximum(np.count_nonzero(group.mask, axis=1), 1)
    # Eq. (3), ARB-LLM:  R = W − Ŵ,  μ ← μ + mean R
    R = np.where(M, W - group.decode(), 0.0)
    return replace(group, mean=group.row_means + np.sum(R, axis=1) / counts)


@contract(2, W=WEIGHTS, group=GROUP, plane=PLANE, eps=EPS, eps_kind=EPS_KIND)
def refine_scale(
    W: Array,
    group: BinaryGroup,
    plane: int = 0,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
) -> BinaryGroup:
    """Fit the scale of one sign plane to the residual of the mean and the other plane.

    Returns
    -------
    BinaryGroup
        The state with the best scale for its mean, signs and other scale.

    Notes
    -----
    ``α_i = Σ_j B_ij (W - μ)_ij / (Σ_j B_ij² + eps)``, with the other plane's term also
    subtracted at order 2. The paper prints ``diag(Bᵀ(W - μ))``, which has the wrong shape:
    ERRATA D-4.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eqs. (4) and (7).

    Examples
    --------
    >>> W = [[4.0, 1.0, 1.0, 0.0]]
    >>> refine_scale(W, refine_mean(W, arb_start(W))).planes[0].row_scale
    array([1.5625])
    """
    own = group.planes[plane]
    B = own.sign.astype(np.float64)
    Z = W - group.row_means[:, None]
    if len(group.planes) == 1:
        # Eq. (4), ARB-LLM:  α = Σ B∘(W − μ) / Σ B²
        numerator = np.sum(B * Z, axis=1)
    else:
        # Eq. (7), ARB-LLM:  α₁ = Σ B₁∘(W − μ − α₂B₂) / Σ B₁²,  then α₂ likewise
        numerator = np.sum(B * (Z - group.planes[1 - plane].decode()), axis=1)
    scale = ratio(numerator, np.sum(B * B, axis=1), own.row_scale, eps, eps_kind)
    new = replace(own, row_scale=scale)
    return replace(group, planes=(*group.planes[:plane], new, *group.planes[plane + 1 :]))


@contract(
    2,
    Z=matrix("n", "k", text="Values to represent."),
    u=Spread(("n", "k"), text="Scales of the first sign."),
    v=Spread(("n", "k"), text="Scales of the second sign."),
)
def joint_signs(Z: Array, u: Array, v: Array) -> tuple[Signs, Signs]:
    """Choose two signs at once: the nearest of the four levels that two scales form.

    Returns
    -------
    first, second : ndarray of int8, shape (n, k)
        Signs, -1 or +1.

    Notes
    -----
    The levels are ``-u - v, -u + v, u - v, u + v``; if several are nearest, the first is taken.
    The paper finds the same level by bisection.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eq. (8).

    Examples
    --------
    >>> joint_signs([[2.9, 1.2, 0.0]], [[2.0]], [[1.0]])
    (array([[ 1,  1, -1]], dtype=int8), array([[ 1, -1,  1]], dtype=int8))
    """
    # Eq. (8), ARB-LLM:  (B₁, B₂) = argmin |Z − (± α₁ ± α₂)|
    levels = (-u - v, -u + v, u - v, u + v)
    nearest = np.zeros(Z.shape, dtype=np.int8)
    distance = np.abs(Z - levels[0])
    for number, level in enumerate(levels[1:], 1):
        other = np.abs(Z - level)
        nearest[other < distance] = number
        np.minimum(distance, other, out=distance)
    return (
        np.where(nearest >= 2, 1, -1).astype(np.int8),
        np.where(nearest % 2 == 1, 1, -1).astype(np.int8),
    )


@contract(
    2,
    W=WEIGHTS,
    group=GROUP,
    sign_zero=SIGN_ZERO.says("Sign of zero at order 1. At order 2 no sign is ever zero."),
)
def refine_signs(W: Array, group: BinaryGroup, *, sign_zero: SignOfZero = 1) -> BinaryGroup:
    """Give every entry the signs of its nearest level.

    Returns
    -------
    BinaryGroup
        The state with the best signs for its mean and scales.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eqs. (4) and (8).

    Examples
    --------
    >>> W = [[4.0, 2.0, 1.0, 0.0]]
    >>> refine_signs(W, refine_mean(W, arb_start(W))).planes[0].sign
    array([[ 1,  1, -1, -1]], dtype=int8)
    """
    # Eq. (4), ARB-LLM:  B = sign(W − μ)
    Z = W - group.row_means[:, None]
    if len(group.planes) == 1:
        signs: tuple[Signs, ...] = (sign(Z, sign_zero),)
    else:
        signs = joint_signs(Z, *(plane.row_scale[:, None] for plane in group.planes))
    planes = tuple(
        replace(plane, sign=np.where(group.mask, B, np.int8(0)))
        for plane, B in zip(group.planes, signs, strict=True)
    )
    return replace(group, planes=planes)


@contract(
    2,
    W=WEIGHTS,
    mask=ENTRIES,
    order=ORDER,
    config=Config(
        Refinement, text='The switches; ``levels="exact"`` fits mean and scales in one step.'
    ),
    name=NAME,
)
def arb_steps(
    W: Array,
    mask: Mask = ALL,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> Steps:
    """Yield every half step of ARB.

    Yields
    ------
    name : str
        ``"start"``, then in turn ``"mean"``, ``"scale"`` for each plane, ``"signs"``; or
        ``"levels"`` and ``"signs"``.
    group : BinaryGroup
        The state after the step.

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
    # Alg. 1, ARB-LLM:  for t = 1 … T:  μ, then α, then B
    for _ in range(config.iterations):
        if config.levels == "exact":
            group = solve_levels(W, group)
            yield "levels", group
        else:
            group = refine_mean(W, group)
            yield "mean", group
            for plane in range(order):
                group = refine_scale(W, group, plane, eps=config.eps, eps_kind=config.eps_kind)
                yield "scale", group
        group = refine_signs(W, group, sign_zero=config.sign_zero)
        yield "signs", group


@contract(
    2,
    W=WEIGHTS,
    mask=ENTRIES.says(
        "The group's entries; all by default. A row without entries decodes to zero."
    ),
    order=ORDER,
    config=Config(Refinement),
    name=NAME,
)
def arb(
    W: Array,
    mask: Mask = ALL,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> BinaryGroup:
    """Binarize a group and refine it on the weight error.

    Returns
    -------
    BinaryGroup
        `order` planes and a mean.

    Notes
    -----
    The error is at most that of the start. For skewed rows, 15 rounds are far from the
    limit: with fixed signs, the scale approaches it by a factor of ``mean(B)²`` per round.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Algorithm 1.

    Examples
    --------
    >>> arb([[4.0, 1.0, 1.0, 0.0]]).decode().round(3)
    array([[4.   , 0.667, 0.667, 0.667]])
    """
    for _, group in arb_steps(W, mask, order=order, config=config, name=name):
        result = group
    return result
