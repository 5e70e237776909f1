"""The answer
============

All methods return the same kind of record. In a block, group g decodes to

    ``mask_g · (mean_g + Σ_planes row_scale · column_scale · sign)``

and the block is the sum over its groups. Entries that no group covers decode to zero.
The multi-bit baselines use a second kind of group, codes on a uniform grid, and those
that only prune use a third kind, plain numbers; a fourth, in ``leveled``, has odd levels of a
coded scale, a fifth, in ``factored``, is a product of two sign matrices, and a sixth, in ``haar``,
has binary groups of Haar coefficients. If a method keeps N of each M consecutive weights, the block
says so: its kept entries are then stored as pattern numbers.

============== ========= =======================================================
field          shape     meaning
============== ========= =======================================================
``sign``       (n, k)    -1, 0 or +1 under the mask, 0 outside it
``row_scale``  (n,)      one scale per row
``mask``       (n, k)    the entries of the group
``mean``       (n,)      one mean per row, or None for mean-free groups
``salient``    (k,)      the block's salient columns
``pattern``              ``(N, M)``, or None if kept weights follow no pattern
``order``      (m,)      the column permutation that was quantized, or None
============== ========= =======================================================
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.scalars import Whole

from .binary import BinaryGroup, Plane
from .errors import ArgumentError
from .factored import ProductGroup
from .haar import HaarGroup
from .leveled import LevelGroup
from .notation import Array, Codes, Indices, Mask
from .stored import as_stored

MOST_BLOCKS = 2**20
"""The most blocks of a layer."""


@dataclass(frozen=True, eq=False)
class UniformGroup:
    """Entries on a uniform grid of ``2**bits`` levels in each row.

    Parameters
    ----------
    name : str
        The group's name.
    mask : ndarray of bool, shape (n, k)
        The entries.
    codes : ndarray of uint8, shape (n, k)
        Grid positions from 0 to ``2**bits - 1``; 0 outside the mask.
    scale : ndarray of float64, shape (n,)
        Distance between levels.
    zero : ndarray of float64, shape (n,)
        The code that stands for the value zero, a whole number.
    bits : int
        Bits per code.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones(1)
    >>> codes = np.array([[0, 3]], dtype=np.uint8)
    >>> UniformGroup("all", np.ones((1, 2), dtype=bool), codes, 2 * one, one, 2).decode()
    array([[-2.,  4.]])
    """

    name: str
    mask: Mask
    codes: Codes
    scale: Array
    zero: Array
    bits: int

    def decode(self) -> Array:
        """Return the group's values, zero outside its mask.

        Returns
        -------
        ndarray of float64, shape (n, k)
            ``mask · scale · (codes - zero)``.
        """
        # Eq. (2), subbit:  Ŵ_g = M_g ∘ s (C − z)
        values = self.scale[:, None] * (self.codes - self.zero[:, None])
        return np.where(self.mask, values, 0.0)

    def with_scales(self, dtype: npt.DTypeLike) -> "UniformGroup":
        """Return the group with its scales rounded to a storage type.

        Parameters
        ----------
        dtype : dtype_like
            A floating type, such as ``"float16"``.

        Returns
        -------
        UniformGroup
            The same codes with rounded scales; zero points are whole numbers and stay.
        """
        return replace(self, scale=as_stored(self.scale, dtype))


@dataclass(frozen=True, eq=False)
class ValueGroup:
    """Entries that are stored as they are.

    Parameters
    ----------
    name : str
        The group's name.
    mask : ndarray of bool, shape (n, k)
        The entries.
    values : ndarray of float64, shape (n, k)
        Their values; 0 outside the mask.

    Examples
    --------
    >>> import numpy as np
    >>> ValueGroup("kept", np.array([[True, False]]), np.array([[0.5, 0.0]])).decode()
    array([[0.5, 0. ]])
    """

    name: str
    mask: Mask
    values: Array

    def decode(self) -> Array:
        """Return the group's values, zero outside its mask.

        Returns
        -------
        ndarray of float64, shape (n, k)
            ``mask · values``.
        """
        # Eq. (37), subbit:  Ŵ_g = M_g ∘ V
        return np.where(self.mask, self.values, 0.0)

    def with_scales(self, dtype: npt.DTypeLike) -> "ValueGroup":
        """Return the group with its values rounded to a storage type.

        Parameters
        ----------
        dtype : dtype_like
            A floating type, such as ``"float16"``.

        Returns
        -------
        ValueGroup
            The same entries with rounded values.
        """
        return replace(self, values=as_stored(self.values, dtype))


@dataclass(frozen=True, eq=False)
class Zone:
    """A group of a block before it is binarized.

    Parameters
    ----------
    name : str
        The group's name.
    mask : ndarray of bool, shape (n, k)
        Its entries.
    order : int
        Orders of binarization.

    Examples
    --------
    >>> import numpy as np
    >>> Zone("sparse", np.ones((1, 2), dtype=bool), 1).name
    'sparse'
    """

    name: str
    mask: Mask
    order: int


Group: TypeAlias = BinaryGroup | UniformGroup | ValueGroup | LevelGroup | ProductGroup | HaarGroup


@dataclass(frozen=True, eq=False)
class QuantizedBlock:
    """Consecutive columns that were quantized together.

    Parameters
    ----------
    start, stop : int
        The block's columns, ``start`` included, ``stop`` not.
    groups : tuple of Group
        Groups with disjoint masks.
    salient : ndarray of bool, shape (stop - start,), optional
        Columns whose kept entries belong to no group of other columns; None if a method has
        no such columns.
    pattern : tuple of int, optional
        ``(N, M)`` if no row has entries in more than N of each M consecutive columns,
        counted from the block's first; the last ``(stop - start) % M`` columns are free.
    """

    start: int
    stop: int
    groups: tuple[Group, ...]
    salient: Mask | None = None
    pattern: tuple[int, int] | None = None

    @property
    def columns(self) -> slice:
        """The block's columns in the layer."""
        return slice(self.start, self.stop)

    def decode(self) -> Array:
        """Return the sum of the block's groups.

        Returns
        -------
        ndarray of float64, shape (n, stop - start)
            The block's values.
        """
        total = self.groups[0].decode()
        for group in self.groups[1:]:
            total += group.decode()
        return total


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """The quantized image of one linear layer.

    Parameters
    ----------
    shape : tuple of int
        (n, m).
    blocks : tuple of QuantizedBlock
        The blocks from left to right; together they cover all columns once.
    order : ndarray of intp, shape (m,), optional
        ``order[j]`` is the input that the j-th quantized column belongs to; None if the
        columns kept their order.

    Examples
    --------
    >>> from subbit.reference import rtn_layer
    >>> rtn_layer([[1.0, -3.0, 2.0, -2.0]]).decode()
    array([[ 1.5, -2.5,  1.5, -2.5]])
    """

    shape: tuple[int, int]
    blocks: tuple[QuantizedBlock, ...]
    order: Indices | None = None

    def decode(self) -> Array:
        """Return the layer's values with the columns in their original order.

        Returns
        -------
        ndarray of float64, shape (n, m)
            ``Q``.

        Raises
        ------
        ArgumentError
            If the blocks leave out a column, or have one twice.
        """
        starts, stops = ([getattr(b, end) for b in self.blocks] for end in ("start", "stop"))
        if [*starts, self.shape[1]] != [0, *stops]:
            spans = ", ".join(f"{block.start} to {block.stop}" for block in self.blocks)
            expected = f"blocks that hold columns 0 to {self.shape[1]} in order, each once"
            raise ArgumentError("blocks", expected, spans or "no block")
        values = np.empty(self.shape)
        for block in self.blocks:
            values[:, block.columns] = block.decode()
        if self.order is None:
            return values
        result = np.empty(self.shape)
        result[:, self.order] = values
        return result

    def with_scales(self, dtype: npt.DTypeLike) -> "QuantizedLayer":
        """Return the layer with scales and means rounded to a storage type.

        Parameters
        ----------
        dtype : dtype_like
            A floating type, such as ``"float16"``.

        Returns
        -------
        QuantizedLayer
            The layer as a file with scales of that type holds it.

        Raises
        ------
        ArgumentError
            If a scale or a mean is beyond the type's largest number.
        """
        blocks = tuple(
            replace(block, groups=tuple(group.with_scales(dtype) for group in block.groups))
            for block in self.blocks
        )
        return replace(self, blocks=blocks)


@contract(
    1,
    width=Whole(1, 2**24, text="Number of columns m."),
    block_size=Whole(text="Columns per block."),
)
def block_slices(width: int, block_size: int) -> list[slice]:
    """Return the column ranges of the blocks; the last one may be narrower.

    Returns
    -------
    list of slice
        Consecutive ranges that cover all columns.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Algorithm 1.

    Examples
    --------
    >>> block_slices(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    starts = range(0, width, block_size)
    if len(starts) > MOST_BLOCKS:
        least = -(-width // MOST_BLOCKS)
        raise ArgumentError("block_size", f"at least {least} for {width} columns", block_size)
    # Alg. 1, BiLLM:  for b = 0, β, 2β, …
    return [slice(start, min(start + block_size, width)) for start in starts]


__all__ = [
    "MOST_BLOCKS",
    "BinaryGroup",
    "Group",
    "HaarGroup",
    "LevelGroup",
    "Plane",
    "QuantizedBlock",
    "QuantizedLayer",
    "UniformGroup",
    "ValueGroup",
    "Zone",
    "block_slices",
]
