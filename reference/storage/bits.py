"""Bits
====

Two counts, never to be mixed, both taken from the record itself. The papers' formulas for
the same layers are in ``printed_bits``.

* **Nominal** bits are what the papers print: signs of kept weights, with a second sign
  for salient ones.
* **Payload** bits are everything a decoder needs. The layout counted is the tightest of
  the plain ones: signs and codes of a group's own entries; a column map for the salient
  columns; the group number of every other entry; a map of kept entries where some are
  pruned, by pattern numbers where N of each M are kept; 16 bits for each scale and mean of
  every row, and for each weight stored as is.

A third term, *artifact* bits, is the size of a file and is measured where one is written.

========== =====================================================
symbol     meaning
========== =====================================================
``n, m``   rows and columns of the layer
``k``      columns of a block
``c``      salient columns of the whole layer
``r``      ``c / m``, the salient share; the rank of a product
``N, M``   kept weights of each group of consecutive columns
========== =====================================================
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from math import ceil, log2
from typing import TypeVar

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.scalars import Whole
from subbit.reference.factored import ProductGroup
from subbit.reference.haar import HaarGroup
from subbit.reference.layer import (
    BinaryGroup,
    Group,
    Plane,
    QuantizedBlock,
    QuantizedLayer,
    UniformGroup,
    ValueGroup,
)
from subbit.reference.leveled import CODE_BITS, EXPONENT_BITS, SPAN, LevelGroup
from subbit.reference.notation import Array, Mask
from subbit.reference.records import Layer

from .haar_layout import MAP, columns_of, owners_of_bands
from .kept_entries import flags_of, meant_entries
from .level_layout import place_of
from .patterns import pattern_bits, pattern_entropy

_Bits = TypeVar("_Bits", int, float)

NOMINAL_FLOAT = 16
"""Bits of a weight stored as is, as papers on pruning count them."""
SIGN = 1
"""Nominal bits of a level that may be large, as of a weight in one of BiLLM's two groups."""


@dataclass(frozen=True)
class PayloadBits:
    """Bits of a record, by what they encode.

    Parameters
    ----------
    signs : int
        Sign planes; both matrices of a product.
    zero_signs : int
        Marks of entries whose sign is 0, in planes that have one with a nonzero scale. One
        sign bit cannot express it; only the released presets need it.
    codes : int
        Codes on uniform grids.
    values : int
        Weights that are stored as is.
    group_map : int
        Group numbers of the entries, among the groups of the salient columns or among those
        of the others, or of Haar coefficients among those of a band; pattern numbers of large
        levels.
    column_map : int
        Salient columns; columns of a term of Haar coefficients; the code of each group of
        levels.
    kept_map : int
        Entries that are not pruned, or columns that are not dead: pattern numbers where a
        block has N:M sparsity, and flags where these do not say everything.
    scales, means, zero_points : int
        Row and column scales, in groups of levels as references and exponents; row means; grid
        zero points.
    order : int
        Column permutation.
    weights : int
        Number of weights of the layer.

    Examples
    --------
    >>> from subbit.reference import payload_bits, rtn_layer
    >>> bits = payload_bits(rtn_layer([[1.0, -1.0]]))
    >>> bits.signs, bits.scales, bits.means, bits.total
    (2, 16, 16, 34)
    """

    signs: int = 0
    zero_signs: int = 0
    codes: int = 0
    values: int = 0
    group_map: int = 0
    column_map: int = 0
    kept_map: int = 0
    scales: int = 0
    means: int = 0
    zero_points: int = 0
    order: int = 0
    weights: int = 0

    @property
    def total(self) -> int:
        """All bits together."""
        return sum(getattr(self, f.name) for f in fields(self) if f.name != "weights")

    @property
    def per_weight(self) -> float:
        """All bits divided by the number of weights."""
        return self.total / self.weights

    def __add__(self, other: "PayloadBits") -> "PayloadBits":
        """Return the sum of both, part by part."""
        return PayloadBits(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )


@contract(1, layer=Layer(text="The record."))
def nominal_bits(layer: QuantizedLayer) -> float:
    """Count signs, codes and plain values of a layer, per weight.

    Returns
    -------
    float
        Bits per weight, as the papers count them; 16 for a weight stored as is.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (14).

    Examples
    --------
    >>> from subbit.reference import rtn_layer
    >>> nominal_bits(rtn_layer([[1.0, -1.0]]))
    1.0
    """
    # Eq. (14), BiLLM:  N_param = 2 r_salient + (1 − r_salient), counted entry by entry
    total = sum(_nominal(group) for block in layer.blocks for group in block.groups)
    return float(total / (layer.shape[0] * layer.shape[1]))


@contract(
    1,
    layer=Layer(text="The record."),
    float_bits=Whole(1, 1024, text="Bits of a stored scale or mean."),
)
def payload_bits(layer: QuantizedLayer, *, float_bits: int = 16) -> PayloadBits:
    """Count everything that a decoder of the layer needs, part by part.

    Returns
    -------
    PayloadBits
        The parts, in bits of the whole layer.

    Notes
    -----
    With N:M sparsity a block of k columns has ``n ⌊k/M⌋ ⌈log2 C(M, N)⌉`` bits of patterns. If
    fewer than N entries of a group are covered, k more flags say which columns are dead; if
    that does not explain it, every entry of the patterns gets a flag.

    For BiLLM's three groups this is ``n (2m + (p + g) · 16 m/k) + m`` with p planes and g
    means in all: the second sign of a salient entry takes the place of the group number,
    which it does not need.

    Examples
    --------
    >>> from subbit.reference import rtn_layer
    >>> payload_bits(rtn_layer([[1.0, -1.0]])).per_weight
    17.0
    """
    n, m = layer.shape
    # Eq. (19), subbit:  payload = Σ_blocks signs + maps + 16 · (scales + means)
    total = PayloadBits(weights=n * m, order=0 if layer.order is None else m * _index_bits(m))
    for block in layer.blocks:
        total += _map_bits(block)
        for group in block.groups:
            if group.mask.any():
                total += _group_bits(group, float_bits)
    return total + PayloadBits(scales=_references(layer) * n * float_bits)


@contract(1, layer=Layer(text="The record."))
def index_floor(layer: QuantizedLayer) -> float:
    """Count the bits of a layer's map of kept entries, with pattern entropy instead of numbers.

    Returns
    -------
    float
        Bits of the whole layer: ``kept_map`` of :func:`payload_bits` with ``log2 C(M, N)`` not
        rounded up. No code for all patterns has fewer on average.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference import QuantizedBlock, ValueGroup
    >>> mask = np.array([[True, True, False, False]])
    >>> block = QuantizedBlock(0, 4, (ValueGroup("kept", mask, 1.0 * mask),), pattern=(2, 4))
    >>> layer = QuantizedLayer((1, 4), (block,))
    >>> payload_bits(layer).kept_map, round(index_floor(layer), 3)
    (3, 2.585)
    """
    # Eq. (39), subbit:  floor = Σ_blocks n ⌊k/M⌋ log2 C(M, N) + flags
    return float(sum(_patterns(block, pattern_entropy) + _flags(block) for block in layer.blocks))


def _index_bits(choices: int) -> int:
    return ceil(log2(choices)) if choices > 1 else 0


def _nominal(group: Group) -> int:
    if isinstance(group, ProductGroup):
        return group.left.size + group.right.size
    if isinstance(group, HaarGroup):
        return sum(_nominal(own) for term in group.terms for own in term.groups)
    return int(np.count_nonzero(group.mask)) * _depth(group)


def _depth(group: BinaryGroup | UniformGroup | ValueGroup | LevelGroup) -> int:
    if isinstance(group, ValueGroup):
        return NOMINAL_FLOAT
    if isinstance(group, LevelGroup):
        return SIGN if group.coding.large else group.coding.planes
    return len(group.planes) if isinstance(group, BinaryGroup) else group.bits


def _map_bits(block: QuantizedBlock) -> PayloadBits:
    k = block.stop - block.start
    salient = np.zeros(k, dtype=np.bool_) if block.salient is None else block.salient
    return PayloadBits(
        group_map=_group_map(block, salient) + _group_map(block, ~salient),
        column_map=0 if block.salient is None else k,
        kept_map=_patterns(block, pattern_bits) + _flags(block),
    )


def _patterns(block: QuantizedBlock, bits: Callable[[int, int], _Bits]) -> _Bits | int:
    """Count the bits of a block's patterns, by those of one of them."""
    if block.pattern is None:
        return 0
    (n, k), (keep, group) = block.groups[0].mask.shape, block.pattern
    return n * (k // group) * bits(keep, group)


def _flags(block: QuantizedBlock) -> int:
    """Count the flags that say which entries, of the patterns or of all, are covered."""
    kept = np.any([group.mask for group in block.groups], axis=0)
    meant = meant_entries(kept, block.pattern, argument="layer")
    flags = {"all": 0, "columns": kept.shape[1], "entries": int(np.count_nonzero(meant))}
    return flags[flags_of(kept, meant)]


def _group_map(block: QuantizedBlock, columns: Mask) -> int:
    # An entry names its group among those of its zone; a single group needs no name.
    entries = [int(np.count_nonzero(group.mask[:, columns])) for group in block.groups]
    return sum(entries) * _index_bits(sum(count > 0 for count in entries))


def _group_bits(group: Group, float_bits: int) -> PayloadBits:
    n = len(group.mask)
    entries = int(np.count_nonzero(group.mask))
    if isinstance(group, ValueGroup):
        return PayloadBits(values=entries * float_bits)
    if isinstance(group, LevelGroup):
        return _level_bits(group, float_bits)
    if isinstance(group, ProductGroup):
        return _product_bits(group, float_bits)
    if isinstance(group, HaarGroup):
        return _haar_bits(group, float_bits)
    if not isinstance(group, BinaryGroup):
        return PayloadBits(
            codes=entries * group.bits, scales=n * float_bits, zero_points=n * group.bits
        )
    # A column without entries of the group needs no scale.
    used = int(np.count_nonzero(group.mask.any(axis=0)))
    columns = used * sum(plane.column_scale is not None for plane in group.planes)
    return PayloadBits(
        signs=entries * len(group.planes),
        zero_signs=entries * sum(_has_zero_sign(group, plane) for plane in group.planes),
        scales=(n * len(group.planes) + columns) * float_bits,
        means=0 if group.mean is None else n * float_bits,
    )


def _level_bits(group: LevelGroup, float_bits: int) -> PayloadBits:
    """Count a group of levels without its references, which others may share."""
    (n, k), code = group.mask.shape, group.coding
    if not code.planes:
        return PayloadBits(column_map=CODE_BITS)
    entries = n * k * _depth(group)
    exponents = 0 if group.exponent is None else n * EXPONENT_BITS
    columns = 0 if group.column_scale is None else k * float_bits
    # Eq. (72), subbit:  levels = n k p + 8 n + 16 k + 3
    # Eq. (73), subbit:  levels = n k + n ⌊k/16⌋ ⌈log2 C(16, N)⌉ + 8 n + 16 k + 3
    return PayloadBits(
        signs=entries if code.large else 0,
        codes=0 if code.large else entries,
        group_map=n * (k // SPAN) * pattern_bits(code.large, SPAN) if code.large else 0,
        column_map=CODE_BITS,
        scales=exponents + columns,
    )


def _product_bits(group: ProductGroup, float_bits: int) -> PayloadBits:
    n, k = group.mask.shape
    # Eq. (114), subbit:  product = r (n + k) + 16 (n + k)
    return PayloadBits(signs=group.rank * (n + k), scales=(n + k) * float_bits)


def _haar_bits(group: HaarGroup, float_bits: int) -> PayloadBits:
    """Count the terms of a group of Haar coefficients."""
    covered, total = group.mask[0], PayloadBits()
    for place, term in enumerate(group.terms):
        bands, rows = owners_of_bands(term), len(group.mask)
        mapped = columns_of(group.terms, place, covered) == MAP
        # Eq. (129), subbit:  haar = Σ_terms signs + Σ_bands n ⌈log2 g⌉ + c + 16 (scales + means)
        total += PayloadBits(
            group_map=sum(
                rows * (part.stop - part.start) * _index_bits(len(present))
                for part, present in zip(term.bands, bands, strict=True)
            ),
            column_map=int(np.count_nonzero(covered)) if mapped else 0,
            means=rows * len(bands) * float_bits if group.shared_means else 0,
        )
        for own in term.groups:
            if own.mask.any():
                bits = _group_bits(own, float_bits)
                total += replace(bits, means=0) if group.shared_means else bits
    return total


def _references(layer: QuantizedLayer) -> int:
    """Count the different row references of a layer's groups of levels."""
    known: list[Array] = []
    for group in (group for block in layer.blocks for group in block.groups):
        if isinstance(group, LevelGroup) and group.coding.planes:
            known += [group.reference][place_of(group.reference, known) < len(known) :]
    return len(known)


def _has_zero_sign(group: BinaryGroup, plane: Plane) -> bool:
    zero = group.mask & (plane.sign == 0) & (plane.row_scale[:, None] != 0.0)
    return bool(zero.any())
