"""One interface to a decoder language model
==========================================

Calibration, quantization and evaluation are written once, against `DecoderModel`. The
NumPy decoder of `llama` and the transformers adapter of `hf` both have its shape.

=============== ============ =======================================================
symbol          shape        meaning
=============== ============ =======================================================
``tokens``      (N, L)       N sequences of L token numbers
``hidden``      (N, L, d)    the residual stream, before or after a decoder block
``activations`` (N, L, m)    the input of one or several linears of a block
``W``           (n, m)       weight of a linear; rows are outputs, for every model
``logits``      (T, V)       scores of the V vocabulary entries at T positions
=============== ============ =======================================================

A whole forward pass is ``embed``, then ``run_block`` for every block in order, then
``head`` on a few hundred rows at a time (all logits at once cost gigabytes).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from subbit.reference.errors import ArgumentError, check_count

Float32: TypeAlias = npt.NDArray[np.float32]
Tokens: TypeAlias = npt.NDArray[np.int64]
Capture: TypeAlias = Callable[[str, Float32], None]


class NotCoveredError(ArgumentError):
    """A model that the NumPy decoder does not support."""


@dataclass(frozen=True)
class Linear:
    """Description of one linear layer, without its weight.

    Parameters
    ----------
    name : str
        Name inside its block, such as ``"self_attn.q_proj"``.
    kind : str
        Its part in the block: ``q k v o gate up down`` in LLaMA-style blocks,
        ``qkv`` and ``gate_up`` for fused projections, ``fc1 fc2`` for a plain MLP,
        otherwise the last word of its name.
    input_name : str
        Name of its input. Linears with the same input share one Hessian.
    shape : tuple of int
        ``(n, m)``: outputs, inputs.

    Examples
    --------
    >>> Linear("self_attn.q_proj", "q", "attention_input", (64, 64)).kind
    'q'
    """

    name: str
    kind: str
    input_name: str
    shape: tuple[int, int]


class DecoderModel(Protocol):
    """A decoder-only language model, divided into its blocks.

    Attributes
    ----------
    name : str
        The user's name for the model.
    precision : str
        Source of its weights, such as ``"dequantized Q4_1 GGUF"``.
    n_blocks : int
        Number of decoder blocks.
    vocabulary : int
        Number of logits per position.
    context : int
        Longest sequence the model accepts.
    first_token : int or None
        The token that begins a text (BOS), if the source names one.
    """

    name: str
    precision: str
    n_blocks: int
    vocabulary: int
    context: int
    first_token: int | None

    def tokenize(self, text: str) -> Tokens:
        """Return the text's tokens, with the special tokens that its tokenizer adds.

        Parameters
        ----------
        text : str
            Any text.

        Returns
        -------
        ndarray of int64, shape (T,)
            Token numbers.
        """

    def embed(self, tokens: npt.NDArray[Any]) -> Float32:
        """Return the input of the first decoder block.

        Parameters
        ----------
        tokens : ndarray of int, shape (N, L)
            Token numbers; L is at most `context`.

        Returns
        -------
        ndarray of float32, shape (N, L, d)
            Hidden states.
        """

    def run_block(self, index: int, hidden: Float32, capture: Capture | None = None) -> Float32:
        """Run one decoder block on whole sequences that start at position 0.

        Parameters
        ----------
        index : int
            The block.
        hidden : ndarray of float32, shape (N, L, d)
            Its input; memory grows with N·L, so pass a few sequences at a time.
        capture : callable, optional
            Called as ``capture(input_name, activations)`` for each distinct input of
            the block's linears, in the order in which they are computed. Activations
            are (N, L, m), or (1, T, m) for an expert that T of the tokens are routed
            to; not called for one that none reaches. The array is only lent: copy it
            to keep it.

        Returns
        -------
        ndarray of float32, shape (N, L, d)
            Its output, a new array.
        """

    def linears(self, index: int) -> tuple[Linear, ...]:
        """Return the block's linear layers in the order in which they are computed.

        Parameters
        ----------
        index : int
            The block.

        Returns
        -------
        tuple of Linear
            Names, kinds, inputs and shapes.
        """

    def kept(self, index: int) -> tuple[str, ...]:
        """Return the block's other matrices, which no run quantizes.

        Parameters
        ----------
        index : int
            The block.

        Returns
        -------
        tuple of str
            Names of parameters inside the block, such as those of routers.
        """

    def weight(self, index: int, name: str) -> npt.NDArray[np.float64]:
        """Return a copy of a linear's weight.

        Parameters
        ----------
        index : int
            The block.
        name : str
            `Linear.name`.

        Returns
        -------
        ndarray of float64, shape (n, m)
            Rows are outputs, even if the model stores the transpose.
        """

    def set_weight(self, index: int, name: str, weight: npt.NDArray[Any]) -> None:
        """Replace a linear's weight; it is stored in float32.

        Parameters
        ----------
        index : int
            The block.
        name : str
            `Linear.name`.
        weight : ndarray, shape (n, m)
            Rows are outputs.
        """

    def head(self, hidden: Float32) -> Float32:
        """Return the logits: the last norm, then the output projection.

        Parameters
        ----------
        hidden : ndarray of float32, shape (T, d)
            Rows of the last block's output.

        Returns
        -------
        ndarray of float32, shape (T, V)
            Logits.
        """

    def save(self, folder: str | Path) -> tuple[str, ...]:
        """Write a dense Hugging Face checkpoint with its tokenizer.

        Parameters
        ----------
        folder : str or Path
            The folder; created if missing. Each file appears complete or not at all.

        Returns
        -------
        tuple of str
            Names of the files.
        """


def check_index(index: int, n_blocks: int) -> None:
    """Refuse the index of a decoder block that the model does not have.

    Parameters
    ----------
    index : int
        The block.
    n_blocks : int
        Number of blocks.

    Raises
    ------
    ArgumentError
        If it is not from 0 to ``n_blocks − 1``.
    """
    check_count("index", index, 0, n_blocks - 1)


def check_tokens(tokens: npt.NDArray[Any], vocabulary: int, context: int) -> None:
    """Refuse anything but (N, L) tokens of the vocabulary.

    Parameters
    ----------
    tokens : ndarray
        The value received.
    vocabulary : int
        Tokens are from 0 to ``vocabulary − 1``.
    context : int
        Maximum L.

    Raises
    ------
    ArgumentError
        If the dtype, the shape or a token does not fit.
    """
    if tokens.dtype.kind not in "iu" or tokens.ndim != 2 or 0 in tokens.shape:
        came = f"an array of shape {tokens.shape} and dtype {tokens.dtype}"
        raise ArgumentError("tokens", "whole numbers of shape (N, L)", came)
    if tokens.shape[1] > context:
        raise ArgumentError("tokens", f"sequences of at most {context} tokens", tokens.shape[1])
    if tokens.min() < 0 or tokens.max() >= vocabulary:
        came = f"{tokens.min()} to {tokens.max()}"
        raise ArgumentError("tokens", f"numbers from 0 to {vocabulary - 1}", came)


def check_tokenized(tokens: Iterable[npt.NDArray[Any]], vocabulary: int) -> None:
    """Refuse a tokenizer that gives tokens which the embedding does not have.

    Parameters
    ----------
    tokens : iterable of ndarray of int, shapes (T,)
        Tokens of some texts.
    vocabulary : int
        Rows of the embedding.

    Raises
    ------
    ArgumentError
        If a token is too large; the message names the largest.

    Examples
    --------
    >>> check_tokenized([np.array([0, 255])], 256)
    >>> check_tokenized([np.array([0, 256])], 256)
    Traceback (most recent call last):
        ...
    subbit.reference.errors.ArgumentError: model: expected a tokenizer whose tokens are rows of \
the embedding, 0 to 255, got token 256 in the text
    """
    largest = max((int(some.max(initial=-1)) for some in tokens), default=-1)
    if largest >= vocabulary:
        expected = f"a tokenizer whose tokens are rows of the embedding, 0 to {vocabulary - 1}"
        raise ArgumentError("model", expected, f"token {largest} in the text")


def check_new_weight(weight: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
    """Refuse a weight of the wrong shape, or one with NaN or infinite numbers.

    Parameters
    ----------
    weight : ndarray
        The value received.
    shape : tuple of int
        ``(n, m)`` of the weight that it replaces.

    Raises
    ------
    ArgumentError
        If it does not fit.
    """
    if weight.shape != shape:
        raise ArgumentError("weight", f"shape {shape}", weight.shape)
    if not np.isfinite(weight).all():
        raise ArgumentError("weight", "finite numbers", "NaN or infinite ones")
