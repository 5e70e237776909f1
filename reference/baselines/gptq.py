"""GPTQ
====

GPTQ, arXiv 2210.17323v2, section 3; the multi-bit baseline.

Columns are rounded one after the other to a uniform grid, and each column's error moves
the columns to its right: the loop of ``compensate`` with blocks of one column, inside the
same loop with blocks of 128. The outer blocks are only an access pattern; they change
nothing unless scales are refitted, which happens at the first column of a group, from
the weights as the outer loop has left them.

========== ========= ==============================================
symbol     shape     meaning
========== ========= ==============================================
``s, z``   (n,)      grid of a group of columns
``U``      (m, m)    inverse factor, in the order of quantization
========== ========= ==============================================
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from subbit.reference.columns import compensate_columns
from subbit.reference.compensate import compensate
from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.scalars import Whole
from subbit.reference.contracts.settings import Maybe, Switches
from subbit.reference.contracts.words import BITS, LAYER, PERCDAMP, UNDAMPED
from subbit.reference.hessian import dead_inputs, prepare_hessian
from subbit.reference.layer import QuantizedBlock, QuantizedLayer, UniformGroup, block_slices
from subbit.reference.notation import Array, Codes, Indices
from subbit.reference.records import Config

from .rtn import DeadGrid, grid_codes, minmax_grid


@dataclass(frozen=True, repr=False)
class GPTQ(Switches):
    """Configuration of GPTQ.

    Parameters
    ----------
    bits : int, default 2
        Bits per code, 1 to 8.
    group_size : int or None, default None
        Columns that share a scale in each row; None for the whole row.
    activation_order : bool, default False
        Quantize columns in decreasing order of the Hessian's diagonal.
    block_size : int, default 128
        Columns per outer block.
    percdamp : float, default 0.01
        Damping relative to the mean diagonal.
    dead_grid : {"zeroed", "given"}, default "zeroed"
        L-2. Whether the grid of a whole row is fitted to the weights whose dead inputs are
        zeroed, or to those as given (released code). Grids of groups are fitted afterwards in
        both.

    Examples
    --------
    >>> GPTQ(bits=3, group_size=64).group_size
    64
    """

    bits: int = 2
    group_size: int | None = None
    activation_order: bool = False
    block_size: int = 128
    percdamp: float = 0.01
    dead_grid: DeadGrid = "zeroed"

    DOMAINS: ClassVar[Mapping[str, Kind]] = {
        "bits": BITS,
        "group_size": Maybe(Whole()),
        "block_size": Whole(),
        "percdamp": PERCDAMP,
    }


PRESETS: Mapping[str, GPTQ] = MappingProxyType(
    {
        "2bit": GPTQ(bits=2, group_size=128),
        "3bit": GPTQ(bits=3, group_size=128),
        "4bit": GPTQ(bits=4, group_size=128),
    }
)


class _GridCodes:
    """Codes and grids of a layer while it is being quantized."""

    def __init__(self, shape: tuple[int, int], config: GPTQ) -> None:
        self.bits = config.bits
        self.groups = block_slices(shape[1], config.group_size or shape[1])
        self.codes: Codes = np.zeros(shape, dtype=np.uint8)
        self.grids: list[tuple[Array, Array]] = []

    def fit(self, W: Array, stop: int) -> None:
        """Fit the grids of the groups that start left of column `stop`."""
        for group in self.groups[len(self.grids) :]:
            if group.start < stop:
                self.grids.append(minmax_grid(W[:, group], self.bits))

    def round(self, values: Array, column: int) -> Array:
        """Round one column of the layer to its grid."""
        scale, zero = self.grids[column // self.groups[0].stop]
        codes = self.codes[:, column] = grid_codes(values[:, None], scale, zero, self.bits)[:, 0]
        # As the record decodes it.
        return scale * (codes - zero)

    def block(self, columns: slice) -> QuantizedBlock:
        """Return the record of a range of columns, one group per grid in it.

        A layer's own blocks have one grid each, so none of their codes is outside its mask.
        """
        numbers = np.arange(columns.start, columns.stop) // self.groups[0].stop
        codes = self.codes[:, columns]
        groups = []
        for number in np.unique(numbers):
            scale, zero = self.grids[number]
            mask = np.broadcast_to(numbers == number, codes.shape)
            groups.append(UniformGroup("all", mask, codes, scale, zero, self.bits))
        return QuantizedBlock(columns.start, columns.stop, tuple(groups))


def _quantize_columns(W: Array, U: Array, config: GPTQ, *, fitted: Array) -> _GridCodes:
    grid = _GridCodes((W.shape[0], W.shape[1]), config)
    if config.group_size is None:
        grid.fit(fitted, 1)

    def quantize_block(current: Array, columns: slice) -> QuantizedBlock:
        def round_column(block: Array, column: int) -> Array:
            return grid.round(block[:, column], columns.start + column)

        grid.fit(current, columns.stop)
        compensate_columns(current[:, columns], U[columns, columns], round_column)
        return grid.block(columns)

    compensate(W, U, quantize_block, block_size=config.block_size, mode="exact")
    return grid


@contract(3, W=LAYER, H=UNDAMPED, config=Config(GPTQ))
def gptq_layer(W: Array, H: Array, config: GPTQ = GPTQ()) -> QuantizedLayer:
    """Quantize a layer column by column with error compensation.

    Returns
    -------
    QuantizedLayer
        One block for each group of columns that share a grid.

    Notes
    -----
    With ``E`` the scaled column errors, ``W - Q = E U`` and the proxy loss of the damped
    Hessian is ``½ Σ E²``.

    References
    ----------
    GPTQ, arXiv 2210.17323v2, Eqs. (1) and (2), Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([[0.0, 1.0, 2.0, 3.0]])
    >>> gptq_layer(W, np.eye(4)).decode()
    array([[0., 1., 2., 3.]])
    """
    order = _activation_order(H) if config.activation_order else None
    if order is not None:
        W, H = W[:, order], H[np.ix_(order, order)]
    prepared = prepare_hessian(H, config.percdamp)
    zeroed = np.where(prepared.dead, 0.0, W)
    fitted = W if config.dead_grid == "given" else zeroed
    grid = _quantize_columns(zeroed, prepared.factor, config, fitted=fitted)
    blocks = tuple(grid.block(group) for group in grid.groups)
    return QuantizedLayer((W.shape[0], W.shape[1]), blocks, order)


def _activation_order(H: Array) -> Indices:
    # Eq. (14), subbit:  columns by decreasing H_jj, a dead input counting as 1
    diagonal = np.where(dead_inputs(H), 1.0, np.diag(H))
    return np.argsort(-diagonal, kind="stable")
