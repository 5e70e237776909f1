"""Bits by the papers' formulas
============================

The bits that papers print for their methods, to compare with the counts of ``bits``, which
are taken from a record. Each formula says what it leaves out.

========== =====================================================
symbol     meaning
========== =====================================================
``n, m``   rows and columns of the layer
``k``      columns of a block
``c``      salient columns of the whole layer
``r``      ``c / m``, the salient share
``N, M``   kept weights of each group of consecutive columns
========== =====================================================
"""

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.scalars import Share, Whole
from subbit.reference.contracts.words import GROUP_SIZE, KEEP
from subbit.reference.errors import ArgumentError

from .patterns import pattern_bits


@contract(1, r=Share(text="Salient share, 0 to 1."))
def billm_parameter_bits(r: float) -> float:
    """Compute the nominal bits of BiLLM for a share of salient weights.

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


@contract(1, block_size=Whole(text="Columns per block."))
def billm_storing_bits(block_size: int) -> float:
    """Compute the bits of BiLLM's marks as the paper counts them.

    Returns
    -------
    float
        Bits per weight, in addition to those of :func:`billm_parameter_bits`; scales and
        means are not included.

    References
    ----------
    BiLLM, arXiv 2402.04291v2, Eq. (14).

    Examples
    --------
    >>> billm_storing_bits(128)
    1.0078125
    """
    # Eq. (14), BiLLM:  N_storing = 1 + 1 / b_size
    return 1.0 + 1.0 / block_size


@contract(
    1,
    n=Whole(text="Rows of the layer."),
    m=Whole(text="Columns of the layer."),
    c=Whole(0, "m", text="Salient columns of the whole layer."),
    k=Whole(text="Columns per block."),
)
def billm_storage_bits(n: int, m: int, c: int, k: int) -> int:
    """Compute all bits of released BiLLM as a later paper counts them.

    Returns
    -------
    int
        Bits of the layer. :func:`~subbit.reference.storage.bits.payload_bits` is lower by
        ``n c``: it stores no group number for salient entries.

    References
    ----------
    NanoQuant, arXiv 2602.06694v3, Eq. (44).

    Examples
    --------
    >>> billm_storage_bits(4096, 4096, 0, 128) / 4096**2
    2.875244140625
    """
    blocks = -(-m // k)
    # Eq. (44), NanoQuant:  2nc + 3·16·n⌈m/k⌉ + n(m − c) + 2·2·16·n⌈m/k⌉ + nm + m
    salient = 2 * n * c + 3 * 16 * n * blocks
    others = n * (m - c) + 2 * 2 * 16 * n * blocks
    return salient + others + n * m + m


@contract(1, r=Share(text="Salient share, 0 to 1."), keep=KEEP, group=GROUP_SIZE)
def stbllm_parameter_bits(r: float, keep: int, group: int) -> float:
    """Compute the nominal bits of STBLLM for a share of salient weights.

    Returns
    -------
    float
        Bits per weight.

    References
    ----------
    STBLLM, arXiv 2408.01803, from its reviews: the text was not available.

    Examples
    --------
    >>> [round(stbllm_parameter_bits(0.1, n, 8), 4) for n in (4, 5, 6)]
    [0.55, 0.6875, 0.825]
    """
    # Eq. (N_param), STBLLM:  N_param = N/M · (2 r_salient + (1 − r_salient))
    return keep / group * (2.0 * r + (1.0 - r))


@contract(1, block_size=Whole(text="Columns per block."))
def stbllm_storing_bits(block_size: int) -> float:
    """Compute the bits of STBLLM's marks as the paper counts them.

    Returns
    -------
    float
        Bits per weight, in addition to those of :func:`stbllm_parameter_bits`: two for the
        three regions. The positions of kept weights, scales and means are not included.

    References
    ----------
    STBLLM, arXiv 2408.01803, from its reviews: the text was not available.

    Examples
    --------
    >>> stbllm_storing_bits(128)
    2.0078125
    """
    # Eq. (N_storing), STBLLM:  N_storing = 2 + 1 / b_size
    return 2.0 + 1.0 / block_size


@contract(
    1,
    n=Whole(text="Rows of the layer."),
    m=Whole(text="Columns of the layer."),
    k=Whole(text="Columns per block."),
    keep=KEEP,
    group=GROUP_SIZE,
)
def stbllm_storage_bits(n: int, m: int, k: int, keep: int, group: int) -> int:
    """Compute all bits of an STBLLM layer that stays N:M sparse, as a later paper counts them.

    Returns
    -------
    int
        Bits of the layer, without what salient columns add: a second sign, and a flag per
        column.

    Notes
    -----
    A kept weight has a sign and two region bits, each group of M has the number of its
    pattern, and each row of a block has nine numbers: three for salient weights, two for each
    of three regions. The released code stores no zeros (ERRATA), so its 4:8 costs as much as
    8:8. :func:`~subbit.reference.storage.bits.payload_bits` stores no region for salient weights.

    References
    ----------
    NanoQuant, arXiv 2602.06694v3, Eqs. (46) and (47).

    Examples
    --------
    >>> [stbllm_storage_bits(4096, 4096, 128, n, 8) / 4096**2 for n in (4, 5, 6, 8)]
    [3.5, 3.75, 4.0, 4.125]
    """
    blocks = -(-m // k)
    index = pattern_bits(keep, group)
    if m % group:
        raise ArgumentError("group", f"a divisor of the width {m}", group)
    groups = n * (m // group)
    # Eq. (47), NanoQuant:  3 n m N/M + n m/M ⌈log2 C(M, N)⌉ + 9 · 16 · n ⌈m/k⌉
    return 3 * groups * keep + groups * index + 9 * 16 * n * blocks


@contract(
    1,
    n=Whole(text="Rows of the layer."),
    m=Whole(text="Columns of the layer."),
    c=Whole(0, "m", text="Salient columns of the whole layer."),
    k=Whole(text="Columns per block."),
    rows=Whole(
        0,
        text=(
            "Numbers stored for each row of each block: 7 for ARB and ARB-X, 10 with the "
            "column-group bitmap; 4 and 6 for ARB-RC."
        ),
    ),
    columns=Whole(
        0, text=("Numbers stored for each column: 4 for ARB-RC, 6 with the column-group bitmap.")
    ),
)
def arb_storage_bits(n: int, m: int, c: int, k: int, *, rows: int, columns: int = 0) -> int:
    """Compute all bits of an ARB-LLM layer as its paper's memory table counts them.

    Returns
    -------
    int
        Bits of the layer.

    Notes
    -----
    The formula reproduces the published table to its last digit; the paper's appendix
    that derives it was not available. Each plane counts a scale for every column of the
    layer, whereas :func:`~subbit.reference.storage.bits.payload_bits` counts those of a group's
    own columns.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Table 6.

    Examples
    --------
    >>> arb_storage_bits(4096, 4096, 369, 128, rows=6, columns=6) / 4096**2
    2.86376953125
    """
    blocks = -(-m // k)
    # Eq. (30), subbit:  n(m + c) + nm + m + 16 (s n⌈m/k⌉ + q m),  Table 6 of ARB-LLM
    return n * (m + c) + n * m + m + 16 * (rows * n * blocks + columns * m)
