"""Bounds of calibrated refinements
================================

How far a correct port's levels of ARB-X may deviate. Return values are as in
``bounds.groups.arb``.

========== =========== =============================================================
symbol     shape       meaning
========== =========== =============================================================
``S``      (k, k)      Gram matrix of the inputs
``e``      (n, k)      mask or signs, one row vector per row
``w``      (n, k)      the target, and after a subtraction ``r``, the remainder
``G, g``   (n, p, p)   ``G_pq = e_p S e_qᵀ``,  ``g_p = e_p S wᵀ``
========== =========== =============================================================

``S`` is symmetric: a port may form ``e S`` or ``S wᵀ`` first. Levels do not depend on the unit
of ``S``: a port may choose one in which sums over all its entries stay in range, and what it
flushes to zero counts in that unit.
"""

from collections.abc import Sequence

import numpy as np

from subbit.reference.bounds.least_squares import solve_normal_bound
from subbit.reference.bounds.rounding import Arithmetic, Input, Rounded
from subbit.reference.groups.refinement import REFINEMENT, Precision, Refinement
from subbit.reference.layer import BinaryGroup
from subbit.reference.least_squares import EpsKind
from subbit.reference.notation import Array

from .refinement import RoundedLevels, quotient_bound

SINGLE = Arithmetic("float32")
VANISHING = 2.0**7
"""Roundings of ``c tr(S)`` that a denominator without eps may consist of before it counts."""


def _lost(S: Rounded) -> float:
    """What flushing may take from a sum of products with S, in whatever unit a port has it."""
    # No sum over its k² entries leaves the type's range.
    power = 1 + 2 * (len(S.value) - 1).bit_length()
    return S.arithmetic.tiny * max(1.0, float(np.max(S.reach, initial=0.0)) * 2.0**power)


def _form(e: Array, S: Rounded, w: Rounded) -> Rounded:
    """``e S wᵀ`` in each row, whichever product comes first."""
    arithmetic, k = S.arithmetic, e.shape[1]
    with np.errstate(invalid="ignore", over="ignore"):
        products, sizes = e @ S.value, np.abs(e) @ S.reach
        value = np.sum(products * w.value, axis=1)
        reach = np.sum(sizes * w.reach, axis=1)
        carried = np.sum(np.abs(products) * w.error, axis=1)
        carried += np.sum((np.abs(e) @ S.error) * w.reach, axis=1)
    depth = arithmetic.depth("product", k) + arithmetic.depth("row", k) + 2
    # Eq. (B48), subbit:  |ĝ − g| ≤ |e S| e_w + |e| e_S |w| + γ_{p+q+2} |e||S||w| + flushed
    flushed = 2 * k * _lost(S) * (k + np.sum(w.reach, axis=1) + np.sum(sizes, axis=1))
    error = carried + arithmetic.gamma(depth, 2 * k) * reach + np.where(reach > 0.0, flushed, 0.0)
    error = np.where(reach + error <= arithmetic.largest, error, np.inf)
    return Rounded(value, error, arithmetic)


def _sums(target: Rounded, basis: Array, S: Rounded) -> tuple[Rounded, Rounded]:
    exactly = [S.arithmetic.exactly(e) for e in basis]
    G = [[_form(e, S, f) for f in exactly] for e in basis]
    return _stack([_stack(row) for row in G]), _stack([_form(e, S, target) for e in basis])


def _stack(parts: Sequence[Rounded]) -> Rounded:
    return Rounded(
        np.stack([part.value for part in parts], axis=1),  # p of (n, …) -> (n, p, …)
        np.stack([part.error for part in parts], axis=1),  # p of (n, …) -> (n, p, …)
        parts[0].arithmetic,
    )


def calibrated_sums_bound(
    target: Input, group: BinaryGroup | RoundedLevels, S: Input, *, arithmetic: Arithmetic
) -> tuple[Rounded, Rounded]:
    """Bounds of :func:`~subbit.reference.groups.arb_x.calibrated_sums`.

    Parameters
    ----------
    target : array_like of float64 or Rounded, shape (n, k)
        Values that the group has to match.
    group : BinaryGroup or RoundedLevels
        Mask and signs.
    S : array_like of float64 or Rounded, shape (k, k)
        Gram matrix of the inputs.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    G : Rounded
        Gram matrices, shape (n, p, p).
    g : Rounded
        Products with the target, shape (n, p).

    Notes
    -----
    Each is a product of matrices and a sum along a row, of terms with both signs:
    ``|e S| e_w + |e| e_S |w| + γ |e||S||w|``.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import arb_start
    >>> W, port = [[1.0, -1.0]], Arithmetic("float32")
    >>> calibrated_sums_bound(W, arb_start(W), np.eye(2), arithmetic=port)[1].value
    array([[0., 2.]])
    """
    state = RoundedLevels.of(group, arithmetic)
    values = arithmetic.checked("target", target, shape=state.mask.shape)
    gram = arithmetic.checked("S", S, shape=(values.shape[1],) * 2)
    return _sums(values, state.basis, gram)


def _denominator(
    total: Rounded, e: Array, S: Rounded, *, eps: float, precision: Precision
) -> Rounded:
    """A denominator as a divisor; without a bound where it may be only rounding."""
    error = total.error
    if precision == "float32":
        size = np.sum((np.abs(e) @ S.reach) * np.abs(e), axis=1)
        error = error + 2.0 * SINGLE.gamma(e.shape[1] + 1) * size
    if eps > 0.0:
        return Rounded(total.value, error, total.arithmetic)
    # This is the reference's floor in float64; a port may have any floor below its own.
    near = (total.value - error <= _floor(e, S)) & (total.value + error > 0.0)
    return Rounded(total.value, np.where(near, np.inf, error), total.arithmetic)


def _floor(e: Array, S: Rounded) -> Array:
    share = 1.01 * VANISHING * S.arithmetic.unit_roundoff
    return np.asarray(share * np.sum(e * e, axis=1) * np.trace(S.value))


def _refit(
    W: Input,
    group: BinaryGroup | RoundedLevels,
    S: Input,
    place: int,
    *,
    eps: float,
    kind: EpsKind,
    precision: Precision,
    arithmetic: Arithmetic,
) -> RoundedLevels:
    state = RoundedLevels.of(group, arithmetic)
    weights = arithmetic.checked("W", W, shape=state.mask.shape)
    gram = arithmetic.checked("S", S, shape=(weights.shape[1],) * 2)
    e = state.basis[place]
    left = state.remainder(weights, place)
    among = [_form(e, gram, arithmetic.exactly(other)) for other in state.basis]
    divisor = _denominator(among[place], e, gram, eps=eps, precision=precision)
    old = Rounded(state.levels.value[:, place], np.zeros(len(e)), arithmetic)
    new = quotient_bound(_form(e, gram, left), divisor, old, eps, kind)
    slopes = _slopes(_stack(among), divisor, place, eps, kind)
    return state.moved(place, new, slopes)


def _slopes(row: Rounded, divisor: Rounded, place: int, eps: float, kind: EpsKind) -> Array:
    total = divisor.value + (eps * np.mean(divisor.value) if kind == "relative" else eps)
    usable = total > 0.0
    # The least divisor enlarges all slopes of a row alike, so cancellation is preserved.
    least = np.where(usable, np.maximum(total - divisor.error, 0.0), 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Eq. (B49), subbit:  e_x ≤ Σ |G_pq / G_pp| e_q + (e_g + |x| e_G) / (G_pp − e_G) + γ_2 |x|
        slopes = np.where(usable[:, None], -row.value / least[:, None], 0.0)
    slopes[:, place] = ~usable
    return np.asarray(slopes)


def calibrated_mean_bound(
    W: Input,
    group: BinaryGroup | RoundedLevels,
    S: Input,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
    precision: Precision = "float64",
    arithmetic: Arithmetic,
) -> RoundedLevels:
    """Bound of :func:`~subbit.reference.groups.arb_x.calibrated_mean`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    group : BinaryGroup or RoundedLevels
        The state.
    S : array_like of float64 or Rounded, shape (k, k)
        Gram matrix of the inputs.
    eps, eps_kind, precision
        As in :func:`~subbit.reference.groups.arb_x.calibrated_mean`.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    RoundedLevels
        The state with the new mean.

    Notes
    -----
    1. The remainder of the scales is a sum of ``o + 1`` numbers.
    2. Numerator and denominator are forms as in :func:`calibrated_sums_bound`.
    3. A denominator that is summed in float32 is also off by ``γ_k`` of that type.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import arb_start
    >>> W, port = [[4.0, 1.0, 1.0, 0.0]], Arithmetic("float32")
    >>> made = calibrated_mean_bound(W, arb_start(W), np.eye(4), arithmetic=port)
    >>> made.mean.value, made.mean.error < 1e-5
    (array([2.125]), array([ True]))
    """
    return _refit(
        W, group, S, 0, eps=eps, kind=eps_kind, precision=precision, arithmetic=arithmetic
    )


def calibrated_scale_bound(
    W: Input,
    group: BinaryGroup | RoundedLevels,
    S: Input,
    plane: int = 0,
    *,
    eps: float = 0.0,
    eps_kind: EpsKind = "absolute",
    arithmetic: Arithmetic,
) -> RoundedLevels:
    """Bound of :func:`~subbit.reference.groups.arb_x.calibrated_scale`.

    Parameters
    ----------
    W : array_like of float64 or Rounded, shape (n, k)
        Weights.
    group : BinaryGroup or RoundedLevels
        The state.
    S : array_like of float64 or Rounded, shape (k, k)
        Gram matrix of the inputs.
    plane, eps, eps_kind
        As in :func:`~subbit.reference.groups.arb_x.calibrated_scale`.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    RoundedLevels
        The state with the new scale.

    Notes
    -----
    As in :func:`calibrated_mean_bound`, with the plane's signs instead of the mask.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import arb_start
    >>> W, port = [[4.0, 1.0, 1.0, 0.0]], Arithmetic("float32")
    >>> made = calibrated_scale_bound(W, arb_start(W), np.eye(4), arithmetic=port)
    >>> made.scales[0].value, made.scales[0].error < 1e-5
    (array([1.25]), array([ True]))
    """
    return _refit(
        W,
        group,
        S,
        plane + 1,
        eps=eps,
        kind=eps_kind,
        precision="float64",
        arithmetic=arithmetic,
    )


def calibrate_levels_bound(
    target: Input,
    group: BinaryGroup | RoundedLevels,
    S: Input,
    *,
    config: Refinement = REFINEMENT,
    arithmetic: Arithmetic,
) -> RoundedLevels:
    """Bound of :func:`~subbit.reference.groups.arb_x.calibrate_levels`.

    Parameters
    ----------
    target : array_like of float64 or Rounded, shape (n, k)
        Values that the group has to match.
    group : BinaryGroup or RoundedLevels
        The state.
    S : array_like of float64 or Rounded, shape (k, k)
        Gram matrix of the inputs.
    config : Refinement
        As in :func:`~subbit.reference.groups.arb_x.calibrate_levels`.
    arithmetic : Arithmetic
        How the port computes.

    Returns
    -------
    RoundedLevels
        The state with the last levels.

    Notes
    -----
    1. The sums as in :func:`calibrated_sums_bound`.
    2. Each scalar step is off by ``e_g + Σ e_G |x| + γ Σ |G||x|``, divided by ``G_pp``;
       earlier errors propagate by ``-G_pq / G_pp``, so they shrink as the rounds converge.
    3. Jointly, the elimination as in ``bounds.groups.joint_levels``.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import arb_start
    >>> W, port = [[4.0, 1.0, 1.0, 0.0]], Arithmetic("float32")
    >>> made = calibrate_levels_bound(W, arb_start(W), np.eye(4), arithmetic=port)
    >>> made.levels.value.round(3), bool(made.levels.error.max() < 2e-5)
    (array([[2.333, 1.667]]), True)
    """
    state = RoundedLevels.of(group, arithmetic)
    values = arithmetic.checked("target", target, shape=state.mask.shape)
    gram = arithmetic.checked("S", S, shape=(values.shape[1],) * 2)
    G, g = _sums(values, state.basis, gram)
    # A port may subtract its own mean first and refine the change: both are then rounded.
    first = np.where(np.isfinite(state.mean.error), state.mean.reach, np.abs(state.mean.value))
    known = arithmetic.exactly(state.basis[0] * first[:, None])
    apart = _stack([_form(e, gram, known) for e in state.basis])
    g = g.widen(2.0 * apart.error + arithmetic.gamma(8) * apart.reach)
    if config.levels == "exact":
        least = np.column_stack([_floor(e, gram) for e in state.basis])  # (n, p)
        found = solve_normal_bound(G, g, least=least)
        added = arithmetic.gamma(2) * first[:, None] * np.eye(len(least[0]))[0]
        return RoundedLevels.at(state.basis, found.widen(added))
    count = len(state.basis)
    single: Precision = config.mean_denominator if count == 2 else "float64"
    eps, kind = config.calibrated_eps, config.eps_kind
    divisors = [
        _denominator(
            G[:, p, p], state.basis[p], gram, eps=eps, precision="float64" if p else single
        )
        for p in range(count)
    ]
    slopes = [_slopes(G[:, p], divisors[p], p, eps, kind) for p in range(count)]
    total = divisors[0].value
    total = total + eps * (np.mean(total) if kind == "relative" else 1.0)
    for _ in range(config.calibrated_iterations):
        for p in range(count):
            old = Rounded(state.levels.value[:, p], np.zeros(len(g.value)), arithmetic)
            left = _others(G[:, p], g[:, p], state.levels, first, p, lost=_lost(gram))
            if p == 0:
                left = left.widen(arithmetic.gamma(4) * total * first)
            new = quotient_bound(left, divisors[p], old, eps, kind)
            state = state.moved(p, new, slopes[p])
    return state


def _others(
    row: Rounded, g: Rounded, x: Rounded, first: Array, place: int, *, lost: float
) -> Rounded:
    arithmetic, count = g.arithmetic, x.shape[1]
    size = x.reach + first[:, None] * (np.arange(count) == 0)
    apart = np.arange(count) != place
    with np.errstate(invalid="ignore", over="ignore"):
        value = g.value - np.sum(row.value * x.value * apart, axis=1)
        # The reference adds all products and takes one back; a port may do so too.
        reach = g.reach + 2.0 * np.sum(row.reach * size, axis=1)
        carried = g.error + np.sum(row.error * size * apart, axis=1)
        # Eq. (B51), subbit:  e ≤ e_g + Σ_{q≠p} e_{G_pq} |x_q| + γ_{p+2} (|g| + 2 Σ |G_pq||x_q|)
        error = carried + arithmetic.gamma(count + 2) * reach
    flushed = np.where(reach > 0.0, (count + 2) * lost, 0.0)
    bounded = reach + error <= arithmetic.largest
    return Rounded(value, np.where(bounded, error + flushed, np.inf), arithmetic)
