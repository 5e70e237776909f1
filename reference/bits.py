"""Bits
====

Two counts, never to be mixed, both taken from the record itself.

* **Nominal** bits are what the papers print: signs of kept weights, with a second sign
  for salient ones.
* **Payload** bits are everything a decoder needs. The layout counted is the tightest of
  the plain ones: signs and codes of a group's own entries; a column map for the salient
  columns; the number of the group for every other entry; a map of kept entries where
  some are pruned; 16 bits for each scale and mean of every row.

The third word, *artifact* bits, is the size of a file and is measured where one is
written.

========== =====================================================
symbol     meaning
========== =====================================================
``n, m``   rows and columns of the layer
``k``      columns of a block
``c``      salient columns of the whole layer
``r``      ``c / m``, the salient share
========== =====================================================
"""

from dataclasses import dataclass, fields
from math import ceil, log2

import numpy as np

from .errors import check_count
from .layer import BinaryGroup, Group, Plane, QuantizedBlock, QuantizedLayer
from .notation import Mask


@dataclass(frozen=True)
class PayloadBits:
    """Bits of a record, by what they say.

    Parameters
    ----------
    signs : int
        Sign planes.
    zero_signs : int
        Marks of entries whose sign is 0, in planes that have one with a scale that is
        not 0. One sign bit cannot say it; only the released presets need it.
    codes : int
        Codes on uniform grids.
    group_map : int
        Numbers of the entries' groups, among those of the salient columns or among those
        of the others.
    column_map : int
        Salient columns.
    kept_map : int
        Entries that are not pruned, or columns that are not dead.
    scales, means, zero_points : int
        Row and column scales, row means, grid zero points.
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
        """Return the bits of both, part by part."""
        return PayloadBits(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )


def nominal_bits(layer: QuantizedLayer) -> float:
    """Signs and codes of a layer, per weight.

    Parameters
    ----------
    layer : QuantizedLayer
        The record.

    Returns
    -------
    float
        Bits per weight, as the papers count them.

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
    total = sum(
        np.count_nonzero(group.mask) * _depth(group)
        for block in layer.blocks
        for group in block.groups
    )
    return float(total / (layer.shape[0] * layer.shape[1]))


def payload_bits(layer: QuantizedLayer, *, float_bits: int = 16) -> PayloadBits:
    """Everything a decoder of the layer needs, part by part.

    Parameters
    ----------
    layer : QuantizedLayer
        The record.
    float_bits : int, default 16
        Bits of a stored scale or mean.

    Returns
    -------
    PayloadBits
        The parts, in bits of the whole layer.

    Raises
    ------
    ArgumentError
        If `float_bits` is not a whole number of at least one.

    Notes
    -----
    For BiLLM's three groups this is ``n (2m + (p + g) · 16 m/k) + m`` with p planes and g
    means in all: the second sign of a salient entry takes the place of the group number
    that it does not need.

    Examples
    --------
    >>> from subbit.reference import rtn_layer
    >>> payload_bits(rtn_layer([[1.0, -1.0]])).per_weight
    17.0
    """
    check_count("float_bits", float_bits)
    n, m = layer.shape
    # Eq. (19), subbit:  payload = Σ_blocks signs + maps + 16 · (scales + means)
    total = PayloadBits(weights=n * m, order=0 if layer.order is None else m * _index_bits(m))
    for block in layer.blocks:
        total += _map_bits(block)
        for group in block.groups:
            if group.mask.any():
                total += _group_bits(group, float_bits)
    return total


def _index_bits(choices: int) -> int:
    return ceil(log2(choices)) if choices > 1 else 0


def _depth(group: Group) -> int:
    return len(group.planes) if isinstance(group, BinaryGroup) else group.bits


def _map_bits(block: QuantizedBlock) -> PayloadBits:
    n, k = block.groups[0].mask.shape
    salient = np.zeros(k, dtype=np.bool_) if block.salient is None else block.salient
    kept = np.any([group.mask for group in block.groups], axis=0)
    if kept.all():
        kept_bits = 0
    else:
        kept_bits = k if np.array_equal(kept, np.broadcast_to(kept[0], kept.shape)) else n * k
    return PayloadBits(
        group_map=_group_map(block, salient) + _group_map(block, ~salient),
        column_map=0 if block.salient is None else k,
        kept_map=kept_bits,
    )


def _group_map(block: QuantizedBlock, columns: Mask) -> int:
    # An entry names its group among those that its zone has; one group needs no name.
    entries = [int(np.count_nonzero(group.mask[:, columns])) for group in block.groups]
    return sum(entries) * _index_bits(sum(count > 0 for count in entries))


def _group_bits(group: Group, float_bits: int) -> PayloadBits:
    n = len(group.mask)
    entries = int(np.count_nonzero(group.mask))
    if not isinstance(group, BinaryGroup):
        return PayloadBits(
            codes=entries * group.bits, scales=n * float_bits, zero_points=n * group.bits
        )
    # A column that the group has no entry in needs no scale.
    used = int(np.count_nonzero(group.mask.any(axis=0)))
    columns = used * sum(plane.column_scale is not None for plane in group.planes)
    return PayloadBits(
        signs=entries * len(group.planes),
        zero_signs=entries * sum(_has_zero_sign(group, plane) for plane in group.planes),
        scales=(n * len(group.planes) + columns) * float_bits,
        means=0 if group.mean is None else n * float_bits,
    )


def _has_zero_sign(group: BinaryGroup, plane: Plane) -> bool:
    zero = group.mask & (plane.sign == 0) & (plane.row_scale[:, None] != 0.0)
    return bool(zero.any())


def billm_parameter_bits(r: float) -> float:
    """Nominal bits of BiLLM for a share of salient weights.

    Parameters
    ----------
    r : float
        Salient share, 0 to 1.

    Returns
    -------
    float
        Bits per weight.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (14).

    Examples
    --------
    >>> billm_parameter_bits(0.125)
    1.125
    """
    # Eq. (14), BiLLM:  N_param = 2 r_salient + 1 · (1 − r_salient)
    return 2.0 * r + (1.0 - r)


def billm_storing_bits(block_size: int) -> float:
    """Bits of BiLLM's marks as the paper counts them.

    Parameters
    ----------
    block_size : int
        Columns of a block.

    Returns
    -------
    float
        Bits per weight, next to those of :func:`billm_parameter_bits`; scales and means
        are not among them.

    Raises
    ------
    ArgumentError
        If `block_size` is not a whole number of at least one.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (14).

    Examples
    --------
    >>> billm_storing_bits(128)
    1.0078125
    """
    # Eq. (14), BiLLM:  N_storing = 1 + 1 / b_size
    return 1.0 + 1.0 / check_count("block_size", block_size)


def billm_storage_bits(n: int, m: int, c: int, k: int) -> int:
    """All bits of released BiLLM as a later paper counts them.

    Parameters
    ----------
    n, m : int
        Rows and columns of the layer.
    c : int
        Salient columns of the whole layer.
    k : int
        Columns of a block.

    Returns
    -------
    int
        Bits of the layer. :func:`payload_bits` is lower by ``n c``: it stores no group
        number for salient entries.

    Raises
    ------
    ArgumentError
        If an argument is not a whole number in its range.

    References
    ----------
    NanoQuant, arXiv 2602.06694v3, Eq. (44).

    Examples
    --------
    >>> billm_storage_bits(4096, 4096, 0, 128) / 4096**2
    2.875244140625
    """
    check_count("n", n)
    check_count("c", c, 0, check_count("m", m))
    blocks = -(-m // check_count("k", k))
    # Eq. (44), NanoQuant:  2nc + 3·16·n⌈m/k⌉ + n(m − c) + 2·2·16·n⌈m/k⌉ + nm + m
    salient = 2 * n * c + 3 * 16 * n * blocks
    others = n * (m - c) + 2 * 2 * 16 * n * blocks
    return salient + others + n * m + m


def arb_storage_bits(n: int, m: int, c: int, k: int, *, rows: int, columns: int = 0) -> int:
    """All bits of an ARB-LLM layer as its paper's memory table counts them.

    Parameters
    ----------
    n, m : int
        Rows and columns of the layer.
    c : int
        Salient columns of the whole layer.
    k : int
        Columns of a block.
    rows : int
        Numbers stored for each row of each block: 7 for ARB and ARB-X, 10 with the
        column-group bitmap; 4 and 6 for ARB-RC.
    columns : int, default 0
        Numbers stored for each column: 4 for ARB-RC, 6 with the column-group bitmap.

    Returns
    -------
    int
        Bits of the layer.

    Raises
    ------
    ArgumentError
        If an argument is not a whole number in its range.

    Notes
    -----
    The formula reproduces the published table to its last digit; the paper's appendix
    that derives it was not at hand. A scale of every column of the layer is counted for
    every plane, where :func:`payload_bits` counts those of a group's own columns.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Table 6.

    Examples
    --------
    >>> arb_storage_bits(4096, 4096, 369, 128, rows=6, columns=6) / 4096**2
    2.86376953125
    """
    check_count("n", n)
    check_count("c", c, 0, check_count("m", m))
    blocks = -(-m // check_count("k", k))
    check_count("rows", rows, 0)
    check_count("columns", columns, 0)
    # Eq. (30), subbit:  n(m + c) + nm + m + 16 (s n⌈m/k⌉ + q m),  Table 6 of ARB-LLM
    return n * (m + c) + n * m + m + 16 * (rows * n * blocks + columns * m)
