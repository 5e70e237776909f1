"""ARB with calibration
====================

ARB-LLM, arXiv 2410.03129, section 3.3 (ARB-X).

The error that matters is that of the layer's outputs, ``L2 = Tr(R S Rᵀ)``, which depends on
the inputs only through their Gram matrix ``S = XᵀX`` (Theorem 2). With the signs fixed,
``L2`` is a convex quadratic of mean and scales in each row; they are refined in turn.
The signs stay those of ARB's start, or of the group that ARB ends with (ERRATA D-6).

========== =========== =============================================================
symbol     shape       meaning
========== =========== =============================================================
``S``      (k, k)      Gram matrix of the block's inputs, up to a positive factor
``m``      (n, k)      the group's mask as numbers, a row vector for each row
``b``      (n, k)      signs of an order, 0 outside the mask
``w``      (n, k)      the group's target, ``M ∘ W``
``G``      (n, p, p)   Gram matrices of ``m, b₁, b₂`` under ``S``
``g``      (n, p)      their products with ``w`` under ``S``
========== =========== =============================================================

All that a row needs is ``G`` and ``g``, a handful of numbers: two or three matrix products
compute them, and each round then costs only scalar operations. The half steps of
:func:`arb_x_steps` do the same as the equations read. ERRATA D-6, D-7, D-13, D-18.
"""

from dataclasses import replace

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kinds import matrix
from subbit.reference.contracts.scalars import choice
from subbit.reference.contracts.words import ENTRIES, EPS, EPS_KIND, GRAM, NAME, ORDER, WEIGHTS
from subbit.reference.layer import BinaryGroup
from subbit.reference.least_squares import EpsKind, ratio, solve_normal
from subbit.reference.notation import Array, Mask
from subbit.reference.records import GROUP, PLANE, Config

from .refinement import REFINEMENT, Precision, Refinement, Steps
from .start import calibrated_start

VANISHING = 2.0**-46
"""Share of ``c tr(S)`` below which a denominator without eps counts as zero."""


def _basis(group: BinaryGroup) -> Array:
    signs = (plane.sign.astype(np.float64) for plane in group.planes)
    return np.stack([group.mask.astype(np.float64), *signs])  # (p, n, k)


@contract(
    2,
    target=matrix(
        "n", "k", text=("The group's target, ``M ∘ W`` or the residual of the other groups.")
    ),
    group=GROUP.says("Mask and signs."),
    S=GRAM,
)
def calibrated_sums(target: Array, group: BinaryGroup, S: Array) -> tuple[Array, Array]:
    """Compute everything that the calibrated error of a group's rows depends on.

    Returns
    -------
    G : ndarray of float64, shape (n, p, p)
        Gram matrices of mask and signs, ``p`` one more than the order.
    g : ndarray of float64, shape (n, p)
        Their products with the target.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eqs. (9) and (11).

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import arb_start
    >>> W = [[1.0, -1.0]]
    >>> calibrated_sums(W, arb_start(W), np.eye(2))[1]
    array([[0., 2.]])
    """
    basis = _basis(group)
    # Eq. (25), subbit:  G_pq = e_p S e_qᵀ,  g_p = e_p S wᵀ,  e = (m, b₁, b₂)
    products = basis @ S  # (p, n, k)
    return (
        np.einsum("pij,qij->ipq", products, basis),  # (n, p, p)
        np.einsum("pij,ij->ip", products, target),  # (n, p)
    )


@contract(
    2,
    W=WEIGHTS,
    group=GROUP,
    S=GRAM,
    eps=EPS,
    eps_kind=EPS_KIND,
    precision=choice(Precision, "Precision of the denominator's sum."),
)
def calibrated_mean(
    W: Array,
    group: BinaryGroup,
    S: Array,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
    precision: Precision = "float64",
) -> BinaryGroup:
    """Fit the mean to the calibrated error.

    Returns
    -------
    BinaryGroup
        The state with the best mean for its scales and signs.

    Notes
    -----
    ``μ = m S (w - Σ α b)ᵀ / (m S mᵀ + eps)`` in each row.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eq. (11).

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import arb_start
    >>> W = [[4.0, 1.0, 1.0, 0.0]]
    >>> calibrated_mean(W, arb_start(W), np.eye(4)).mean
    array([2.125])
    """
    m = group.mask.astype(np.float64)
    rest = np.where(group.mask, W, 0.0) - sum(plane.decode() for plane in group.planes)
    # Eq. (4), PBS2P:  μ = 1ᵀS(W − αB)ᵀ / 1ᵀS1,  1 over the entries that have the mean
    # Eq. (11), ARB-LLM:  μ = 1ᵀS(W − αB)ᵀ / 1ᵀS1
    numerator = np.sum((m @ S) * rest, axis=1)
    mean = group.row_means
    new = _quotient(numerator, m, S, mean, eps=eps, kind=eps_kind, precision=precision)
    return replace(group, mean=new)


@contract(
    2,
    W=WEIGHTS,
    group=GROUP,
    S=GRAM,
    plane=PLANE,
    eps=EPS,
    eps_kind=EPS_KIND,
)
def calibrated_scale(
    W: Array,
    group: BinaryGroup,
    S: Array,
    plane: int = 0,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
) -> BinaryGroup:
    """Fit the scale of one sign plane to the calibrated error.

    Returns
    -------
    BinaryGroup
        The state with the best scale for its mean, signs and other scale.

    Notes
    -----
    ``α = b S (w - μ m)ᵀ / (b S bᵀ + eps)`` in each row, with the other plane's term also
    subtracted at order 2.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eq. (11).

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import arb_start
    >>> W = [[4.0, 1.0, 1.0, 0.0]]
    >>> group = calibrated_mean(W, arb_start(W), np.eye(4))
    >>> calibrated_scale(W, group, np.eye(4)).planes[0].row_scale
    array([1.5625])
    """
    own = group.planes[plane]
    b = own.sign.astype(np.float64)
    rest = np.where(group.mask, W, 0.0) - group.row_means[:, None] * group.mask
    for number, other in enumerate(group.planes):
        if number != plane:
            rest -= other.decode()
    # Eq. (11), ARB-LLM:  α = diag(B S (W − μ)ᵀ) / diag(B S Bᵀ)
    numerator = np.sum((b @ S) * rest, axis=1)
    scale = _quotient(numerator, b, S, own.row_scale, eps=eps, kind=eps_kind)
    planes = (*group.planes[:plane], replace(own, row_scale=scale), *group.planes[plane + 1 :])
    return replace(group, planes=planes)


def _quotient(
    numerator: Array,
    e: Array,
    S: Array,
    current: Array,
    *,
    eps: float,
    kind: EpsKind,
    precision: Precision = "float64",
) -> Array:
    products = (e @ S) * e
    denominator = np.sum(products, axis=1)
    if precision == "float32":
        denominator = np.sum(products.astype(np.float32), axis=1).astype(np.float64)
    return _divide(numerator, denominator, _floor(e, S), current, eps=eps, kind=kind)


def _floor(e: Array, S: Array) -> Array:
    # S is positive semi-definite only up to rounding: anything below this is rounding.
    return VANISHING * np.sum(e * e, axis=1) * np.trace(S)


def _divide(
    numerator: Array, denominator: Array, floor: Array, current: Array, *, eps: float, kind: EpsKind
) -> Array:
    if eps == 0.0:
        denominator = np.where(denominator > floor, denominator, 0.0)
    return ratio(numerator, denominator, current, eps, kind)


@contract(
    2,
    target=matrix(
        "n",
        "k",
        text=(
            "The group's target: its own weights ``M ∘ W``, or, for coupled groups, the "
            "residual of the other groups in all columns."
        ),
    ),
    group=GROUP.says("The state, with the signs that stay."),
    S=GRAM,
    config=Config(
        Refinement,
        text=(
            "`calibrated_iterations`, `calibrated_eps`, `eps_kind`, `mean_denominator` and "
            '`levels` are used; ``levels="exact"`` is the limit of infinitely many rounds.'
        ),
    ),
)
def calibrate_levels(
    target: Array,
    group: BinaryGroup,
    S: Array,
    *,
    config: Refinement = REFINEMENT,
) -> BinaryGroup:
    """Refine mean and scales on the calibrated error, with scalar operations.

    Returns
    -------
    BinaryGroup
        The state with refined mean and scales.

    Notes
    -----
    ``μ = (g₀ - Σ α_p G_0p) / G₀₀`` and ``α_p = (g_p - μ G_p0 - α_q G_pq) / G_pp``. At order
    1 the distance from the limit shrinks by ``G₀₁² / (G₀₀ G₁₁)`` per round.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eq. (11).

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import arb_start
    >>> W = np.array([[4.0, 1.0, 1.0, 0.0]])
    >>> calibrate_levels(W, arb_start(W), np.eye(4)).decode().round(3)
    array([[4.   , 0.667, 0.667, 0.667]])
    """
    G, g = calibrated_sums(target, group, S)
    exact = config.levels == "exact"
    levels = solve_normal(G, g) if exact else _alternate(G, g, group, S, config)
    planes = tuple(
        replace(plane, row_scale=levels[:, p + 1].copy()) for p, plane in enumerate(group.planes)
    )
    return replace(group, planes=planes, mean=levels[:, 0].copy())


def _alternate(G: Array, g: Array, group: BinaryGroup, S: Array, config: Refinement) -> Array:
    x = np.column_stack([group.row_means, *(plane.row_scale for plane in group.planes)])  # (n, p)
    denominators = G.diagonal(axis1=1, axis2=2).copy()
    if config.mean_denominator == "float32" and len(group.planes) == 1:
        m = group.mask.astype(np.float64)
        denominators[:, 0] = np.sum(((m @ S) * m).astype(np.float32), axis=1)
    floors = np.column_stack([_floor(e, S) for e in _basis(group)])  # (n, p)
    for _ in range(config.calibrated_iterations):
        for p in range(x.shape[1]):
            # Eq. (27), subbit:  x_p ← (g_p − Σ_{q≠p} G_pq x_q) / (G_pp + ε),  x = (μ, α₁, α₂)
            others = np.sum(G[:, p] * x, axis=1) - G[:, p, p] * x[:, p]
            x[:, p] = _divide(
                g[:, p] - others,
                denominators[:, p],
                floors[:, p],
                x[:, p],
                eps=config.calibrated_eps,
                kind=config.eps_kind,
            )
    return x


@contract(
    2,
    W=WEIGHTS,
    mask=ENTRIES.says("The group's entries; None for all."),
    S=GRAM,
    order=ORDER,
    config=Config(Refinement),
    name=NAME,
)
def arb_x_steps(
    W: Array,
    mask: Mask,
    S: Array,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> Steps:
    """Yield every half step of ARB-X on the calibrated error, as the equations read.

    Yields
    ------
    name : str
        ``"start"``, then in turn ``"mean"`` and ``"scale"`` for each plane.
    group : BinaryGroup
        The state after the step.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eq. (11).

    Examples
    --------
    >>> import numpy as np
    >>> W, config = [[4.0, 1.0, 1.0, 0.0]], Refinement(calibrated_iterations=1)
    >>> [name for name, _ in arb_x_steps(W, None, np.eye(4), config=config)]
    ['start', 'mean', 'scale']
    """
    group = calibrated_start(W, mask, order=order, config=config, name=name)
    yield "start", group
    eps, kind = config.calibrated_eps, config.eps_kind
    precision = config.mean_denominator if order == 1 else "float64"
    if config.levels == "exact":
        yield "levels", calibrate_levels(np.where(group.mask, W, 0.0), group, S, config=config)
        return
    # Eq. (11), ARB-LLM:  in every round μ, then α
    for _ in range(config.calibrated_iterations):
        group = calibrated_mean(W, group, S, eps=eps, eps_kind=kind, precision=precision)
        yield "mean", group
        for plane in range(order):
            group = calibrated_scale(W, group, S, plane, eps=eps, eps_kind=kind)
            yield "scale", group


@contract(
    2,
    W=WEIGHTS,
    mask=ENTRIES.says("The group's entries; None for all."),
    S=GRAM,
    order=ORDER,
    config=Config(Refinement),
    name=NAME,
)
def arb_x(
    W: Array,
    mask: Mask,
    S: Array,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> BinaryGroup:
    """Binarize a group and refine its levels on the calibrated error.

    Returns
    -------
    BinaryGroup
        `order` planes and a mean; the last state of :func:`arb_x_steps`, in scalar form.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eq. (11).

    Examples
    --------
    >>> import numpy as np
    >>> arb_x([[4.0, 1.0, 1.0, 0.0]], None, np.eye(4)).decode().round(3)
    array([[4.   , 0.667, 0.667, 0.667]])
    """
    group = calibrated_start(W, mask, order=order, config=config, name=name)
    return calibrate_levels(np.where(group.mask, W, 0.0), group, S, config=config)
