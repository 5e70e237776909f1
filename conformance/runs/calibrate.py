"""Calibration
===========

The proxy Hessians of the decoder blocks, one block at a time, from one array of hidden states.

========= ============ =====================================================
symbol    shape        meaning
========= ============ =====================================================
tokens    (N, L)       the calibration sequences
hidden    (N, L, d)    input of the next decoder block; the only array kept
``X_s``   (L, m)       input of a linear in sequence s
``H``     (m, m)       ``2/N Σ_s X_sᵀ X_s``
``e``                  an expert; ``X_s`` has the T tokens that its router sends to it
========= ============ =====================================================

All linears of a block get their inputs from the block at full precision; blocks before it
are already quantized. Linears that read the same input share one Hessian. A few sequences
go through the block at a time; their captured inputs are summed up and dropped.

The loss of an expert's linear is taken over the tokens that the router sends to it, each
counted once, whatever its routing weight: ``H_e = 2/N Σ_{t → e} x_t x_tᵀ``, N as for all
linears. An expert that no token reaches has no Hessian; it gets the identity, so that its
weights are approximated for their own sake, and a warning names it. So does any linear whose
inputs are all zero.
"""

import warnings
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from subbit.conformance.memory import check_memory
from subbit.conformance.models.base import DecoderModel, Float32, Tokens
from subbit.reference.errors import ArgumentError, SubbitError
from subbit.reference.notation import Array

BATCH_TOKENS = 2048
"""Tokens that go through a block at a time, or one sequence if that is longer."""

MANY = 2**20
"""Tokens whose hidden states may not fit into memory, where those of fewer do."""

Step = Callable[[str], None]


class UnreachedWarning(UserWarning):
    """No token of the calibration reached a linear."""


def warn_unreached(index: int, name: str) -> None:
    """Say that an input was never seen, and what is taken in its place.

    Parameters
    ----------
    index : int
        The decoder block.
    name : str
        `Linear.input_name`.
    """
    message = f"decoder block {index}: no token reaches {name}; the identity is its Hessian"
    warnings.warn(message, UnreachedWarning, stacklevel=3)


def ignore(_note: str) -> None:
    """Ignore a step.

    Parameters
    ----------
    _note : str
        The finished step.
    """


def batches(shape: tuple[int, ...]) -> Iterator[slice]:
    """Cut N sequences into groups that go through a block together.

    Parameters
    ----------
    shape : tuple of int
        (N, L, ...).

    Yields
    ------
    slice
        Consecutive sequences, at most `BATCH_TOKENS` tokens or one sequence.

    Examples
    --------
    >>> list(batches((5, 1024)))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    count, length = shape[:2]
    size = max(1, BATCH_TOKENS // length)
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def check_finite(what: str, values: npt.NDArray[np.floating]) -> None:
    """Refuse NaN and infinite numbers.

    Parameters
    ----------
    what : str
        Description of the numbers, for the message.
    values : ndarray
        The numbers.

    Raises
    ------
    SubbitError
        If one of them is NaN or infinite.
    """
    if not np.isfinite(values).all():
        message = f"{what} NaN or infinite numbers"
        raise SubbitError(message)


def check_room(model: DecoderModel, samples: int, length: int, argument: str = "samples") -> None:
    """Refuse more sequences than memory has room for, before one is drawn.

    Parameters
    ----------
    model : DecoderModel
        The model.
    samples, length : int
        N and L.
    argument : str, default "samples"
        Where they came from, for errors.

    Raises
    ------
    ArgumentError
        If their tokens and hidden states do not fit.
    """
    width = model.embed(np.zeros((1, 1), dtype=np.int64)).shape[-1]
    # Tokens, and hidden states in float32; both twice for a moment.
    needed = samples * length * 2 * (8 + 4 * width)
    what = f"{samples:,} sequences of {length:,} tokens with {width:,} numbers for each"
    check_memory(argument, needed, what)


def embed(model: DecoderModel, tokens: Tokens) -> Float32:
    """Return the hidden states that the first decoder block reads.

    Parameters
    ----------
    model : DecoderModel
        The model.
    tokens : ndarray of int64, shape (N, L)
        Sequences.

    Returns
    -------
    ndarray of float32, shape (N, L, d)
        A new array.

    Raises
    ------
    ArgumentError
        If the sequences are longer than the model's context, or do not fit into memory.
    """
    if tokens.shape[1] > model.context:
        expected = f"at most the {model.context} tokens of the model's context"
        raise ArgumentError("length", expected, tokens.shape[1])
    if tokens.size >= MANY:
        check_room(model, len(tokens), tokens.shape[1], "sequences")
    hidden = np.array(model.embed(tokens), dtype=np.float32)
    check_finite("model: the embedding gives", hidden)
    return hidden


class Witness(Protocol):
    """Observer of sequences passing through a decoder block."""

    def capture(self, name: str, activations: Float32) -> None:
        """Receive the input of one or several linears.

        Parameters
        ----------
        name : str
            `Linear.input_name`.
        activations : ndarray of float32, shape (b, L, m) or (1, T, m)
            Inputs for the b sequences that pass together, or for the T of their tokens
            that reach an expert; only lent.
        """

    def passed(self, before: Float32, after: Float32) -> None:
        """Receive the input and the output of the decoder block.

        Parameters
        ----------
        before, after : ndarray of float32, shape (b, L, d)
            Input and output for the same sequences; only lent.
        """


def advance(
    model: DecoderModel, index: int, hidden: Float32, witness: Witness | None = None
) -> None:
    """Run one decoder block on all sequences, in place.

    Parameters
    ----------
    model : DecoderModel
        The model.
    index : int
        The block.
    hidden : ndarray of float32, shape (N, L, d)
        Its input, replaced by its output.
    witness : Witness, optional
        Observer of the pass.

    Raises
    ------
    SubbitError
        If the output is not finite.
    """
    capture = None if witness is None else witness.capture
    for batch in batches(hidden.shape):
        after = model.run_block(index, hidden[batch], capture)
        if witness is not None:
            witness.passed(hidden[batch], after)
        hidden[batch] = after
    check_finite(f"model: decoder block {index} gives", hidden)


def _add_gram(total: Array, activations: Float32) -> None:
    """Add ``Σ_s X_sᵀ X_s``.

    The product of one sequence is taken in float32, three times as fast as in float64
    (NumPy sees the shared operand and calls ``syrk``). Its relative error, about 1e-7 of
    the largest diagonal entry, is far below the damping, 1e-2 of the mean one. The sum
    over sequences, which grows with N, is taken in float64.
    """
    for X in activations:
        total += X.T @ X


def block_hessians(
    model: DecoderModel, index: int, hidden: Float32, inputs: Collection[str]
) -> dict[str, Array]:
    """Return the Hessian of each wanted input of one decoder block.

    Parameters
    ----------
    model : DecoderModel
        The model, with this block at full precision.
    index : int
        The block.
    hidden : ndarray of float32, shape (N, L, d)
        Its input; not changed.
    inputs : collection of str
        Names of the inputs, `Linear.input_name`.

    Returns
    -------
    dict of str to ndarray of float64, shape (m, m)
        ``H = 2/N Σ_s X_sᵀ X_s``, undamped; the identity, with an `UnreachedWarning`, where no
        token reaches an expert, or all inputs are zero.

    Raises
    ------
    SubbitError
        If activations are not finite.
    """
    totals: dict[str, Array] = {}

    def capture(name: str, activations: Float32) -> None:
        if name in inputs:
            width = activations.shape[-1]
            _add_gram(totals.setdefault(name, np.zeros((width, width))), activations)

    for batch in batches(hidden.shape):
        model.run_block(index, hidden[batch], capture)
    for name, total in totals.items():
        check_finite(f"model: {name} of decoder block {index} holds", total)
    found = {name: 2.0 / len(hidden) * total for name, total in totals.items()}
    for linear in model.linears(index):
        name = linear.input_name
        # Some libraries give experts that no token reaches zeros.
        if name in inputs and not (name in found and found[name].any()):
            warn_unreached(index, name)
            found[name] = np.eye(linear.shape[1])
    return found
