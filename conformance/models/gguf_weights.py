"""Weights in GGUF files
=====================

A tensor of a quantized type stays as it is until its weight is used; its scales tell before
whether all of its numbers are finite.
"""

from functools import partial
from typing import Any

import numpy as np

from .base import Float32
from .needs import require
from .reading import reading
from .weights import Stored

# Where the blocks of a quantized type hold their scales, in half precision; all else in them
# are whole numbers.
SCALES = {
    "Q4_0": slice(0, 2), "Q4_1": slice(0, 4), "Q5_0": slice(0, 2), "Q5_1": slice(0, 4),
    "Q8_0": slice(0, 2), "Q2_K": slice(80, 84), "Q3_K": slice(108, 110), "Q4_K": slice(0, 4),
    "Q5_K": slice(0, 4), "Q6_K": slice(208, 210),
}  # fmt: skip


def stored_weight(tensor: Any, heads: int) -> Float32 | Stored:  # noqa: ANN401 - an untyped library
    """Return the weight that a tensor holds.

    Parameters
    ----------
    tensor : gguf.ReaderTensor
        A tensor of a file.
    heads : int
        Number of heads whose rows are interleaved in it, as `unpermute` takes it; 0 for none.

    Returns
    -------
    ndarray of float32 or Stored
        The second for types whose scales tell what is finite.
    """
    scales = SCALES.get(tensor.tensor_type.name)
    if scales is None:
        return _decoded(tensor, heads)
    _, size = require("gguf", "model", "demo").GGML_QUANT_SIZES[tensor.tensor_type]
    blocks = tensor.data.reshape(-1, size)  # (n, bytes) -> (blocks, bytes of a block)
    halves = np.ascontiguousarray(blocks[:, scales]).view(np.float16)
    # Whole numbers below 2^13 times finite halves are finite in float32.
    finite = bool(np.isfinite(halves).all())
    return Stored(shape_of(tensor), finite, partial(_decoded, tensor, heads))


def shape_of(tensor: Any) -> tuple[int, ...]:  # noqa: ANN401 - an untyped library
    """Return the shape of the weight that a tensor holds.

    Parameters
    ----------
    tensor : gguf.ReaderTensor
        A tensor of a file, which lists the lengths of its axes from the last to the first.

    Returns
    -------
    tuple of int
        The shape.
    """
    return tuple(tensor.shape.tolist()[::-1])


def _decoded(tensor: Any, heads: int) -> Float32:  # noqa: ANN401 - an untyped library
    weight = dequantized(tensor)
    return unpermute(weight, heads) if heads else weight


def dequantized(tensor: Any) -> Float32:  # noqa: ANN401 - an untyped library
    """Return the numbers of a tensor.

    Parameters
    ----------
    tensor : gguf.ReaderTensor
        A tensor of a file.

    Returns
    -------
    ndarray of float32
        The numbers, in the tensor's shape.

    Raises
    ------
    ArgumentError
        If the library does not decode its type.
    """
    library = require("gguf", "model", "demo")
    with reading("a tensor that gguf decodes", tensor.name), np.errstate(all="ignore"):
        values = library.dequantize(tensor.data, tensor.tensor_type)
        return np.asarray(values, dtype=np.float32)


def unpermute(weight: Float32, heads: int) -> Float32:
    """Restore interleaved rotary rows to two halves per head.

    Parameters
    ----------
    weight : ndarray of float32, shape (heads · e, m)
        Query or key projection as GGUF stores it: rows 2i and 2i + 1 of a head rotate together.
    heads : int
        Number of heads in it.

    Returns
    -------
    ndarray of float32, shape (heads · e, m)
        Rows i and i + e/2 of a head rotate together.

    Examples
    --------
    >>> unpermute(np.arange(4, dtype=np.float32)[:, None], 1).ravel()
    array([0., 2., 1., 3.], dtype=float32)
    """
    pairs = weight.reshape(heads, -1, 2, weight.shape[1])  # (heads, e/2, 2, m)
    return pairs.swapaxes(1, 2).reshape(weight.shape)
