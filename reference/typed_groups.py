"""Typed groups
============

A method of this project, made of the others' parts, for the least error at given payload bits.

1. Columns are ordered by their energy and divided into groups.
2. Each group gets a code, from nothing to four sign planes, so that the layer keeps to its bits.
3. Groups are quantized from left to right. A row's step is fitted to the group as the groups
   before it have left it; then its columns go to their nearest levels one after the other, and
   each column's error moves the columns to its right, as in GPTQ.
4. Sweeps choose steps and levels again under the exact Hessian.

========== ========= ===================================================
symbol     shape     meaning
========== ========= ===================================================
``U``      (m, m)    inverse factor, in the order of quantization
``ρ``      (n,)      reference of each row
``c``      (m,)      column scales
``r``      (n,)      steps of a group's rows
``ℓ``                nearest level of a code
========== ========= ===================================================
"""

from dataclasses import dataclass, replace

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.words import LAYER, UNDAMPED
from subbit.reference.groups.leveling import code_exponents, fit_steps
from subbit.reference.groups.nearest import large_entries, nearest_levels
from subbit.reference.groups.sweeps import sweep_levels
from subbit.reference.presets.typed_groups import PRESETS, Order, TypedGroups
from subbit.reference.records import Config
from subbit.reference.zones.energy import column_energies, column_scales
from subbit.reference.zones.salient import rank_columns

from .columns import compensate_columns
from .compensate import compensate
from .hessian import PreparedHessian, dead_inputs, prepare_hessian
from .layer import QuantizedBlock, QuantizedLayer
from .leveled import SPAN, Code, Coding, LevelGroup, Levels
from .notation import Array, Indices


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is settled before the first group, columns in the order of quantization."""

    prepared: PreparedHessian
    weights: Array
    column_scale: Array
    reference: Array
    codes: tuple[Code, ...]
    config: TypedGroups

    def quantize(self, W: Array, B: slice) -> QuantizedBlock:
        """Quantize a group, from the layer as earlier groups have left it."""
        code, c = self.codes[B.start // self.config.group_size], self.column_scale[B]
        steps = fit_steps(W[:, B] / c, self.weights[B] * c**2, code)
        reference, exponent = steps, None
        if self.config.scales == "exponents":
            reference, exponent = self.reference, code_exponents(steps, self.reference)
        group = LevelGroup(
            "all",
            np.ones((len(W), len(c)), dtype=np.bool_),
            code,
            np.zeros((len(W), len(c)), dtype=np.int8),
            reference,
            exponent,
            c if self.config.column_power else None,
        )
        scales = np.multiply.outer(group.row_scale, c)
        levels = _levels(W[:, B], self.prepared.factor[B, B], scales, group.coding)
        return QuantizedBlock(B.start, B.stop, (replace(group, levels=levels),))


def _importance(U: Array) -> Array:
    # Eq. (91), subbit:  w_j = 1 / U_jj²
    return np.asarray(1.0 / np.diag(U) ** 2)


def _levels(W: Array, U: Array, scales: Array, coding: Coding) -> Levels:
    """Choose the levels of a group column by column, with feedback inside it."""
    levels, is_large = np.zeros(W.shape, dtype=np.int8), np.zeros(W.shape, dtype=np.bool_)
    if not coding.planes:
        return levels

    def quantize_column(current: Array, j: int) -> Array:
        if coding.large and j % SPAN == 0:
            part = slice(j, j + SPAN)
            x = _quotients(current[:, part], scales[:, part])
            is_large[:, part] = large_entries(x, coding.large)
        x = _quotients(current[:, j], scales[:, j])
        levels[:, j] = nearest_levels(x, coding, is_large[:, j])
        # Eq. (87), subbit:  Ŵ_:j = r c_j ∘ ℓ(W_:j / (r c_j))
        return scales[:, j] * levels[:, j]

    compensate_columns(W, U, quantize_column)
    return levels


def _quotients(values: Array, scales: Array) -> Array:
    return np.divide(values, scales, out=np.zeros(values.shape), where=scales > 0.0)


def _column_order(W: Array, H: Array, order: Order) -> Indices | None:
    if order == "none":
        return None
    return rank_columns(column_energies(W, H) if order == "energy" else np.diag(H))


def _plan(W: Array, H: Array, config: TypedGroups) -> _Plan:
    n, m = W.shape
    prepared, size = prepare_hessian(H, config.percdamp), config.group_size
    column_scale, importance = column_scales(W, config.column_power), _importance(prepared.factor)
    squares = importance * np.mean(W**2, axis=0)
    # Eq. (89), subbit:  E_g = Σ_{j in g} w_j Σ_i W_ij² / n
    energies = np.add.reduceat(squares, np.arange(0, m, size))
    codes = config.allocate(energies, (n, m))
    # Eq. (90), subbit:  ρ_i = (Σ_j (W_ij / c_j)² / m)^{1/2}
    reference = np.sqrt(np.mean((W / column_scale) ** 2, axis=1))
    of_fit = {"trailing": importance, "hessian": np.diag(prepared.damped), "none": np.ones(m)}
    weights = of_fit[config.fit_weights]
    return _Plan(prepared, weights, column_scale, reference, codes, config)


@contract(3, W=LAYER, H=UNDAMPED, config=Config(TypedGroups))
def typed_groups_layer(W: Array, H: Array, config: TypedGroups = TypedGroups()) -> QuantizedLayer:
    """Quantize a layer in groups of columns with codes of their own.

    Returns
    -------
    QuantizedLayer
        One block and one group of levels for each group of columns, and their order. Its
        payload bits do not exceed `config.payload` per weight.

    Raises
    ------
    ArgumentError
        If not even the code with the fewest bits keeps to the bits; in small layers scales
        alone take several bits per weight.

    Notes
    -----
    With one code, no order and no sweeps it is GPTQ on that code's grid.

    References
    ----------
    GPTQ, arXiv 2210.17323v2, Algorithm 1; Eqs. (70) to (90), subbit.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import payload_bits, relative_error
    >>> rng = np.random.default_rng(0)
    >>> W, X = rng.normal(size=(64, 128)), rng.normal(size=(500, 128))
    >>> layer = typed_groups_layer(W, X.T @ X, TypedGroups(payload=4.0))
    >>> payload_bits(layer).per_weight <= 4.0, relative_error(W, layer.decode(), X.T @ X) < 0.03
    (True, True)
    """
    weights = np.where(dead_inputs(H), 0.0, W)
    order = _column_order(weights, H, config.order)
    if order is not None:
        weights, H = weights[:, order], H[np.ix_(order, order)]
    plan = _plan(weights, H, config)
    factor, damped = plan.prepared.factor, plan.prepared.damped
    layer = compensate(
        weights, factor, plan.quantize, block_size=config.group_size, mode="exact"
    ).layer
    for _ in range(config.sweeps):
        layer = sweep_levels(weights, damped, layer)
    return replace(layer, order=order)


__all__ = ["PRESETS", "TypedGroups", "typed_groups_layer"]
