"""Bounds of fitted row and column scales
======================================

How far a correct port's least-squares fits of ARB-RC may deviate. Return values and symbols
are as in ``bounds.groups.arb_rc``.

A fit is ``N / D``, with the scales of the other side in both, so it is not linear: errors
propagate by its derivatives, and the remainder is bounded too.
"""

from dataclasses import dataclass

import numpy as np

from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.layer import BinaryGroup
from subbit.reference.least_squares import EpsKind
from subbit.reference.notation import Array, Mask

from .arb_rc import RoundedScales
from .refinement import quotient_bound


@dataclass(frozen=True, eq=False)
class _Side:
    """One side's least-squares fit, seen as a fit of rows.

    `z`, `z_second` and `flips` have the fitted side first; `other` is the other
    side's scale of the same order, off by `other_error`. Values below the smallest
    number times `unit` may be flushed.
    """

    z: Rounded
    z_second: Array
    z_error: Array
    flips: Array
    other: Array
    other_error: Array
    transposed: bool
    unit: float

    def sum(self, terms: Rounded, used: Mask) -> Rounded:
        return terms.T.sum("column_fit", used.T) if self.transposed else terms.sum("row", used)

    def forms(self) -> tuple[Rounded, Rounded]:
        """Numerator and denominator with their own roundings."""
        exactly, used = self.z.arithmetic.exactly, self.flips != 0.0
        P = exactly(self.other)[None].flip(self.flips)
        signed = (self.z * P).or_else(self.z * exactly(self.other)[None])
        # Along a column, row scales are squared, in the unit of the weights.
        square = self.unit if self.transposed else 1.0
        lost = self.z.arithmetic.tiny * self.unit * square * used
        signed = Rounded(self.z.value * P.value, signed.error * used + lost, self.z.arithmetic)
        squares = (P * P).widen(self.z.arithmetic.tiny * square**2 * used)
        return self.sum(signed, used), self.sum(squares, used)


def _own_side(W: Rounded, state: RoundedScales, plane: int, *, columns: bool) -> _Side:
    arithmetic = W.arithmetic
    z, second, spread = W.keep(state.mask), np.zeros(W.shape), np.zeros(W.shape)
    for q in range(len(state.signs)):
        if q != plane:
            r, c = state.rows(q), state.columns(q)
            exact = arithmetic.exactly(r.value)[:, None] * arithmetic.exactly(c.value)[None]
            z -= exact.flip(state.signs[q])
            second = np.abs(state.signs[q]) * (r.error[:, None] * c.error)
            spread = np.abs(state.signs[q]) * (
                np.abs(r.value)[:, None] * c.error + r.error[:, None] * np.abs(c.value)
            )
    other = state.rows(plane) if columns else state.columns(plane)
    flips = state.signs[plane]
    if columns:
        z, second, spread, flips = z.T, second.T, spread.T, flips.T
    # A port may work on multiples of a power of two near the largest weight.
    unit = max(1.0, 2.0 * float(np.max(W.keep(state.mask).reach, initial=0.0)))
    return _Side(z, second, spread + second, flips, other.value, other.error, columns, unit)


def _fit_bound(
    W: Input,
    group: BinaryGroup | RoundedScales,
    plane: int,
    *,
    columns: bool,
    eps: float,
    kind: EpsKind,
    arithmetic: Arithmetic,
) -> RoundedScales:
    state = RoundedScales.of(group, arithmetic)
    weights = arithmetic.checked("W", W, shape=state.mask.shape)
    side, place = (
        _own_side(weights, state, plane, columns=columns),
        state.place(plane, columns=columns),
    )
    numerator, denominator = side.forms()
    count = len(denominator.value)
    old = arithmetic.exactly(state.scales.value[place])
    new = quotient_bound(numerator, denominator, old, eps, kind)
    share = eps / count if kind == "relative" else 0.0
    total = denominator.value
    total = total + (share * np.sum(total) if kind == "relative" else eps)
    usable = total > 0.0
    least = np.where(usable, total, 1.0)
    squared = side.flips**2
    # How N, and D times the scale, depend on the other side's scales of this order.
    dD = 2.0 * side.other * squared
    among = dD + share * np.sum(dD, axis=0)
    slopes = np.zeros((count, len(state.spread)))
    slopes[:, state.place(plane, columns=not columns)] = (
        side.flips * side.z.value - new.value[:, None] * among
    ) / least[:, None]
    for q in range(len(state.signs)):
        if q != plane:
            _other_slopes(slopes, state, side, q, columns=columns, least=least)
    slopes = np.where(usable[:, None], slopes, 0.0)
    slopes[np.arange(count), np.arange(place.start, place.stop)] += ~usable
    with np.errstate(invalid="ignore", over="ignore"):
        # Eq. (B56), subbit:  |r̂ − r| ≤ Σ |∂r / ∂x| e_x + (e_N + |r| e_D) / D + γ_2 |r|,  or c
        first = np.sum(np.abs(slopes @ state.spread), axis=1) + new.error
    second = _second_order(side, np.abs(new.value), first, (among, share), least)
    return state.moved(place, new.widen(np.where(usable, second, 0.0)), slopes)


def _other_slopes(
    slopes: Array, state: RoundedScales, side: _Side, q: int, *, columns: bool, least: Array
) -> None:
    """Fill in how a fit depends on the scales of the other order."""
    flips = state.signs[q].T if columns else state.signs[q]
    own, across = state.place(q, columns=columns), state.place(q, columns=not columns)
    both = side.other * side.flips * flips / least[:, None]
    near, far = state.scales.value[own], state.scales.value[across]
    count = len(least)
    slopes[np.arange(count), np.arange(own.start, own.stop)] -= both @ far
    slopes[:, across] -= both * near[:, None]


def _second_order(
    side: _Side, size: Array, first: Array, dD: tuple[Array, float], least: Array
) -> Array:
    """Remainder of the slopes, ``(|d²N| + |x| d²D) / D`` and a share of all errors."""
    e, (among, share) = side.other_error, dD
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        moved = e * side.z_error + np.abs(side.other) * side.z_second
        N2 = np.sum(np.abs(side.flips) * moved, axis=1)
        D2 = side.flips**2 @ e**2
        D2 += share * np.sum(D2)
        rho = (np.abs(among) @ e + D2) / least
        # Eq. (B55), subbit:  e₂ ≤ ((|d²N| + |x| d²D) / D + ρ e₁) / (1 − ρ),  ρ = (dD + d²D) / D
        second = ((N2 + size * D2) / least + rho * first) / (1.0 - rho)
    return np.where(rho < 0.5, second, np.inf)


def refine_row_scale_bound(
    W: Input,
    group: BinaryGroup | RoundedScales,
    plane: int = 0,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
    arithmetic: Arithmetic,
) -> RoundedScales:
    """Bound of :func:`~subbit.reference.groups.arb_rc.refine_row_scale`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    group : BinaryGroup or RoundedScales
        The state.
    plane, eps, eps_kind
        As in :func:`~subbit.reference.groups.arb_rc.refine_row_scale`.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    RoundedScales
        The state with new row scales.

    Notes
    -----
    1. The remainder of the other order takes a product and a subtraction.
    2. Numerator and denominator are sums of products along the rows, ``γ_{p+1} Σ|c z|``
       and ``γ_{p+1} Σ c²``; the quotient's error is as always.
    3. Errors of the other side propagate by the derivatives of ``N / D``.

    Examples
    --------
    >>> from subbit.reference import rc_start
    >>> W, port = [[2.0, -4.0], [1.0, 2.0]], Arithmetic("float32")
    >>> made = refine_row_scale_bound(W, rc_start(W), arithmetic=port)
    >>> made.rows(0).value, bool(made.rows(0).error.max() < 3e-6)
    (array([3. , 1.5]), True)
    """
    return _fit_bound(W, group, plane, columns=False, eps=eps, kind=eps_kind, arithmetic=arithmetic)


def refine_column_scale_bound(
    W: Input,
    group: BinaryGroup | RoundedScales,
    plane: int = 0,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
    arithmetic: Arithmetic,
) -> RoundedScales:
    """Bound of :func:`~subbit.reference.groups.arb_rc.refine_column_scale`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    group : BinaryGroup or RoundedScales
        The state.
    plane, eps, eps_kind
        As in :func:`~subbit.reference.groups.arb_rc.refine_column_scale`.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    RoundedScales
        The state with new column scales.

    Notes
    -----
    As in :func:`refine_row_scale_bound`, with sums down the columns.

    Examples
    --------
    >>> from subbit.reference import rc_start
    >>> W, port = [[2.0, -4.0], [1.0, 2.0]], Arithmetic("float32")
    >>> made = refine_column_scale_bound(W, rc_start(W), arithmetic=port)
    >>> bool(made.columns(0).error.max() < 2e-6)
    True
    """
    return _fit_bound(W, group, plane, columns=True, eps=eps, kind=eps_kind, arithmetic=arithmetic)
