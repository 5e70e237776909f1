"""Bits by the papers' formulas
============================

What the papers print for their methods, to hold against the counts of ``bits``, which are
taken from a record. Each formula says what it leaves out.

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

from subbit.reference.errors import ArgumentError, check_count

from .patterns import pattern_bits


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
        Bits of the layer. :func:`~subbit.reference.storage.bits.payload_bits` is lower by
        ``n c``: it stores no group number for salient entries.

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


def stbllm_parameter_bits(r: float, keep: int, group: int) -> float:
    """Nominal bits of STBLLM for a share of salient weights.

    Parameters
    ----------
    r : float
        Salient share, 0 to 1.
    keep, group : int
        N and M.

    Returns
    -------
    float
        Bits per weight.

    Raises
    ------
    ArgumentError
        If `r` is not from 0 to 1, or N is not a whole number from 1 to M.

    References
    ----------
    STBLLM, arXiv 2408.01803, section 3.4, by its reviews: the text was not at hand.

    Examples
    --------
    >>> [round(stbllm_parameter_bits(0.1, n, 8), 4) for n in (4, 5, 6)]
    [0.55, 0.6875, 0.825]
    """
    if not 0.0 <= r <= 1.0:
        raise ArgumentError("r", "a share from 0 to 1", r)
    check_count("keep", keep, 1, check_count("group", group))
    # Eq. (N_param), STBLLM:  N_param = N/M · (2 r_salient + (1 − r_salient))
    return keep / group * (2.0 * r + (1.0 - r))


def stbllm_storing_bits(block_size: int) -> float:
    """Bits of STBLLM's marks as the paper counts them.

    Parameters
    ----------
    block_size : int
        Columns of a block.

    Returns
    -------
    float
        Bits per weight, next to those of :func:`stbllm_parameter_bits`: two for the three
        regions. The places of kept weights, scales and means are not among them.

    Raises
    ------
    ArgumentError
        If `block_size` is not a whole number of at least one.

    References
    ----------
    STBLLM, arXiv 2408.01803, section 3.4, by its reviews: the text was not at hand.

    Examples
    --------
    >>> stbllm_storing_bits(128)
    2.0078125
    """
    # Eq. (N_storing), STBLLM:  N_storing = 2 + 1 / b_size
    return 2.0 + 1.0 / check_count("block_size", block_size)


def stbllm_storage_bits(n: int, m: int, k: int, keep: int, group: int) -> int:
    """All bits of an STBLLM layer that stays N:M sparse, as a later paper counts them.

    Parameters
    ----------
    n, m : int
        Rows and columns of the layer.
    k : int
        Columns of a block.
    keep, group : int
        N and M.

    Returns
    -------
    int
        Bits of the layer, without what salient columns add: their number is a second sign and
        a flag a column.

    Raises
    ------
    ArgumentError
        If an argument is not a whole number in its range, or M does not divide m.

    Notes
    -----
    A kept weight has a sign and two bits of region, each group of M the number of its
    pattern, each row of a block nine numbers: three for salient weights, two for each of
    three regions. The released code stores no zero (ERRATA), so its 4:8 costs what 8:8
    does. :func:`~subbit.reference.storage.bits.payload_bits` stores no region for salient weights.

    References
    ----------
    NanoQuant, arXiv 2602.06694v3, Eqs. (46) and (47).

    Examples
    --------
    >>> [stbllm_storage_bits(4096, 4096, 128, n, 8) / 4096**2 for n in (4, 5, 6, 8)]
    [3.5, 3.75, 4.0, 4.125]
    """
    check_count("n", n)
    check_count("m", m)
    blocks = -(-m // check_count("k", k))
    index = pattern_bits(keep, group)
    if m % group:
        raise ArgumentError("group", f"a divisor of the width {m}", group)
    groups = n * (m // group)
    # Eq. (47), NanoQuant:  3 n m N/M + n m/M ⌈log2 C(M, N)⌉ + 9 · 16 · n ⌈m/k⌉
    return 3 * groups * keep + groups * index + 9 * 16 * n * blocks


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
    every plane, where :func:`~subbit.reference.storage.bits.payload_bits` counts those of a group's
    own columns.

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
