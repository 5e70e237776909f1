"""ARB with row and column scales
==============================

ARB-LLM, arXiv 2410.03129, section 3.3 (ARB-RC).

No mean, but a scale for every column in addition to the one for every row:
``Ŵ = α_r α_cᵀ ∘ B``. Both are fitted in turn, each by least squares given the other; a second
order adds a second such term, and then the signs are chosen again in every round.

========== ========= =======================================================
symbol     shape     meaning
========== ========= =======================================================
``M``      (n, k)    the group's entries
``r``      (n,)      row scales ``α_r`` of an order
``c``      (k,)      column scales ``α_c`` of an order
``B``      (n, k)    signs of an order, 0 outside the mask
========== ========= =======================================================

At order 1 all scales stay positive, so ``B = sign(W)`` stays the best choice, and with a
full mask the loop is alternating least squares for the best rank-one fit of ``|W|``: its
error tends to ``‖W‖² - σ₁(|W|)²``. Scales are unique only up to a factor that can move
between rows and columns; compare products. ERRATA D-3, D-5, D-17.
"""

from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from subbit.reference.contracts.door import ALL, contract
from subbit.reference.contracts.scalars import choice
from subbit.reference.contracts.words import ENTRIES, EPS, EPS_KIND, NAME, ORDER, SIGN_ZERO, WEIGHTS
from subbit.reference.layer import BinaryGroup, Plane
from subbit.reference.least_squares import EpsKind, ratio
from subbit.reference.notation import Array, Mask, SignOfZero
from subbit.reference.records import PLANE, Binary, Config
from subbit.reference.signs import sign

from .arb import joint_signs
from .binarize import masked_mean
from .refinement import REFINEMENT, Refinement, Steps


def _plane(Z: Array, M: Mask, sign_zero: SignOfZero) -> Plane:
    magnitudes = np.abs(Z)
    rows = masked_mean(magnitudes, M)
    used = M & (rows > 0.0)[:, None]
    # Eq. (12), ARB-LLM:  α_r = mean_j |W_ij|,  α_c = mean_i |W_ij| / α_r,i,  B = sign(W)
    shares = np.divide(magnitudes, rows[:, None], out=np.zeros_like(magnitudes), where=used)
    columns = masked_mean(shares.T, used.T)
    return Plane(np.where(M, sign(Z, sign_zero), np.int8(0)), rows, columns)


@contract(
    2,
    W=WEIGHTS,
    mask=ENTRIES,
    order=ORDER,
    config=Config(Refinement, text="`sign_zero` is used."),
    name=NAME,
)
def rc_start(
    W: Array,
    mask: Mask = ALL,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    name: str = "all",
) -> BinaryGroup:
    """Compute the initial row scales, column scales and signs.

    Returns
    -------
    BinaryGroup
        `order` planes with column scales, no mean. Rows and columns without entries have
        the scale 0; rows of zeros do not count in the columns' means.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eq. (12).

    Examples
    --------
    >>> rc_start([[2.0, -4.0], [1.0, 2.0]]).decode()
    array([[ 2., -4.],
           [ 1.,  2.]])
    """
    rest, planes = W, []
    # Eq. (12), ARB-LLM:  for W, and at order 2 for what is left of it
    for _ in range(order):
        planes.append(_plane(rest, mask, config.sign_zero))
        rest = rest - planes[-1].decode()
    return BinaryGroup(name, mask, tuple(planes))


SCALED = Binary(columns=True, text="The state; its planes have column scales.")
_Products: TypeAlias = tuple[Array, Array]
"""``B∘W`` for the residual of the other plane, and ``B²``, both of shape (n, k)."""


def _products(W: Array, group: BinaryGroup, plane: int) -> _Products:
    for number, other in enumerate(group.planes):
        if number != plane:
            W = W - other.decode()
    B = group.planes[plane].sign.astype(np.float64)
    return B * W, B * B


def _with_plane(group: BinaryGroup, plane: int, new: Plane) -> BinaryGroup:
    return replace(group, planes=(*group.planes[:plane], new, *group.planes[plane + 1 :]))


def _columns(group: BinaryGroup, plane: int) -> Array:
    return np.asarray(group.planes[plane].column_scale)


def _fit_rows(
    group: BinaryGroup, plane: int, products: _Products, eps: float, kind: EpsKind
) -> BinaryGroup:
    (signed, squared), c = products, _columns(group, plane)
    # Eq. (13), ARB-LLM:  α_r = Σ_j α_c B∘W / Σ_j α_c² B²
    r = ratio(signed @ c, squared @ (c * c), group.planes[plane].row_scale, eps, kind)
    return _with_plane(group, plane, replace(group.planes[plane], row_scale=r))


def _fit_columns(
    group: BinaryGroup, plane: int, products: _Products, eps: float, kind: EpsKind
) -> BinaryGroup:
    (signed, squared), r = products, group.planes[plane].row_scale
    # Eq. (13), ARB-LLM:  α_c = Σ_i α_r B∘W / Σ_i α_r² B²
    c = ratio(r @ signed, (r * r) @ squared, _columns(group, plane), eps, kind)
    return _with_plane(group, plane, replace(group.planes[plane], column_scale=c))


@contract(2, W=WEIGHTS, group=SCALED, plane=PLANE, eps=EPS, eps_kind=EPS_KIND)
def refine_row_scale(
    W: Array,
    group: BinaryGroup,
    plane: int = 0,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
) -> BinaryGroup:
    """Fit the row scales of one sign plane to the residual of the other.

    Returns
    -------
    BinaryGroup
        The state with the best row scales for its column scales and signs.

    Notes
    -----
    ``α_r,i = Σ_j P_ij W_ij / (Σ_j P_ij² + eps)`` with ``P = α_c ∘ B``.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eq. (13).

    Examples
    --------
    >>> W = [[2.0, -4.0], [1.0, 2.0]]
    >>> refine_row_scale(W, rc_start(W)).decode()
    array([[ 2., -4.],
           [ 1.,  2.]])
    """
    return _fit_rows(group, plane, _products(W, group, plane), eps, eps_kind)


@contract(2, W=WEIGHTS, group=SCALED, plane=PLANE, eps=EPS, eps_kind=EPS_KIND)
def refine_column_scale(
    W: Array,
    group: BinaryGroup,
    plane: int = 0,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
) -> BinaryGroup:
    """Fit the column scales of one sign plane to the residual of the other.

    Returns
    -------
    BinaryGroup
        The state with the best column scales for its row scales and signs.

    Notes
    -----
    ``α_c,j = Σ_i P_ij W_ij / (Σ_i P_ij² + eps)`` with ``P = α_r ∘ B``.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eq. (13).

    Examples
    --------
    >>> W = [[2.0, -4.0], [1.0, 2.0]]
    >>> refine_column_scale(W, rc_start(W)).decode()
    array([[ 2., -4.],
           [ 1.,  2.]])
    """
    return _fit_columns(group, plane, _products(W, group, plane), eps, eps_kind)


@contract(
    2,
    W=WEIGHTS,
    group=SCALED.says("The state; at order 1 its scales must not be negative."),
    sign_zero=SIGN_ZERO.says("Sign of zero at order 1. At order 2 no sign is ever zero."),
)
def refine_rc_signs(W: Array, group: BinaryGroup, *, sign_zero: SignOfZero = 1) -> BinaryGroup:
    """Give every entry the signs of its nearest level, for row and column scales.

    Returns
    -------
    BinaryGroup
        The state with the best signs for its scales.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eq. (8) with ``u = r₁ c₁``, ``v = r₂ c₂``.

    Examples
    --------
    >>> W = [[2.0, -4.0], [1.0, 2.0]]
    >>> refine_rc_signs(W, rc_start(W, order=2)).planes[0].sign.tolist()
    [[1, -1], [1, 1]]
    """
    if len(group.planes) == 1:
        signs: tuple[npt.NDArray[np.int8], ...] = (sign(W, sign_zero),)
    else:
        # With all signs +1 a plane decodes to the products of its scales.
        plus = np.ones(group.mask.shape, dtype=np.int8)
        u, v = (replace(plane, sign=plus).decode() for plane in group.planes)
        signs = joint_signs(W, u, v)
    planes = tuple(
        replace(plane, sign=np.where(group.mask, B, np.int8(0)))
        for plane, B in zip(group.planes, signs, strict=True)
    )
    return replace(group, planes=planes)


ColumnSigns: TypeAlias = Literal["fixed", "refreshed"]

COLUMN_SIGNS = choice(
    ColumnSigns,
    "D-17. Whether signs are recomputed in every round at order 1; at order 2 they always are.",
)


@contract(
    2,
    W=WEIGHTS,
    mask=ENTRIES,
    order=ORDER,
    config=Config(Refinement),
    column_signs=COLUMN_SIGNS,
    name=NAME,
)
def arb_rc_steps(
    W: Array,
    mask: Mask = ALL,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    column_signs: ColumnSigns = "fixed",
    name: str = "all",
) -> Steps:
    """Yield every half step of ARB-RC.

    Yields
    ------
    name : str
        ``"start"``, then in turn ``"rows"`` and ``"columns"`` for each plane, and at order
        2, or with ``column_signs="refreshed"``, ``"signs"``.
    group : BinaryGroup
        The state after the step.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eqs. (8), (12) and (13).

    Examples
    --------
    >>> W = [[2.0, -4.0], [1.0, 2.0]]
    >>> [name for name, _ in arb_rc_steps(W, config=Refinement(iterations=1))]
    ['start', 'rows', 'columns']
    """
    group = rc_start(W, mask, order=order, config=config, name=name)
    yield "start", group
    eps, kind = config.eps, config.eps_kind
    products = _products(W, group, 0)
    # Eq. (13), ARB-LLM:  for t = 1 … T:  α_r, then α_c
    for _ in range(config.iterations):
        for plane in range(order):
            if order == 2:
                products = _products(W, group, plane)
            group = _fit_rows(group, plane, products, eps, kind)
            yield "rows", group
            group = _fit_columns(group, plane, products, eps, kind)
            yield "columns", group
        if order == 2 or column_signs == "refreshed":
            # At order 1 they are those of the weights from the start, and so are the products.
            group = refine_rc_signs(W, group, sign_zero=config.sign_zero)
            yield "signs", group


@contract(
    2,
    W=WEIGHTS,
    mask=ENTRIES.says(
        "The group's entries; all by default. A row without entries decodes to zero."
    ),
    order=ORDER,
    config=Config(Refinement),
    column_signs=COLUMN_SIGNS,
    name=NAME,
)
def arb_rc(
    W: Array,
    mask: Mask = ALL,
    *,
    order: int = 1,
    config: Refinement = REFINEMENT,
    column_signs: ColumnSigns = "fixed",
    name: str = "all",
) -> BinaryGroup:
    """Binarize a group with row and column scales and refine them.

    Returns
    -------
    BinaryGroup
        `order` planes with column scales, no mean.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eqs. (12) and (13).

    Examples
    --------
    >>> arb_rc([[2.0, -4.0], [1.0, 2.0]]).decode().round(6)
    array([[ 2., -4.],
           [ 1.,  2.]])
    """
    for _, group in arb_rc_steps(
        W, mask, order=order, config=config, column_signs=column_signs, name=name
    ):
        result = group
    return result
