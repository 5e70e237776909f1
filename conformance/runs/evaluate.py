"""Evaluation
==========

Perplexity as computed by GPTQ's and BiLLM's scripts, and the mean Kullback-Leibler
divergence per token from another model, usually the same one at full precision.

The text is cut into non-overlapping windows of L tokens; the remainder is dropped. Each
window is read from position 0, without tokens of the window before. With ``l_{w,t}``
the negative log-likelihood of the token at position t, for t = 1 … L-1,

    ``perplexity = exp( 1/N Σ_w 1/(L-1) Σ_t l_{w,t} )``
    ``KL = 1/(N(L-1)) Σ_{w,t} Σ_v p_v (log p_v - log q_v)``

with p the distribution of the full-precision model at the same positions. Perplexities of
different window lengths cannot be compared.

A model's last hidden states, (N, L, d), are kept, but never its logits, (N, L, V): those
are computed 256 rows at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from subbit.conformance.models.base import DecoderModel, Float32, Tokens
from subbit.reference.errors import ArgumentError, check_count

from .calibrate import Step, advance, batches, embed, ignore
from .kernels import on_one_thread

HEAD_ROWS = 256
"""Rows of logits that are held at a time."""


@dataclass(frozen=True)
class Score:
    """How well a model predicts a text.

    Parameters
    ----------
    perplexity : float
        ``exp`` of the mean over windows of the mean negative log-likelihood.
    divergence : float, optional
        Mean KL divergence per token from the other model, in nats.
    """

    perplexity: float
    divergence: float | None = None


def evaluation_windows(tokens: Tokens, *, length: int, windows: int | None = None) -> Tokens:
    """Cut a text into windows.

    Parameters
    ----------
    tokens : ndarray of int64, shape (T,)
        The whole text.
    length : int
        Tokens per window, L.
    windows : int, optional
        Number of windows from the start of the text; None takes all that fit.

    Returns
    -------
    ndarray of int64, shape (N, L)
        The windows.

    Raises
    ------
    ArgumentError
        If fewer than `windows` fit, or none at all.

    Examples
    --------
    >>> import numpy as np
    >>> evaluation_windows(np.arange(8), length=3)
    array([[0, 1, 2],
           [3, 4, 5]])
    """
    check_count("length", length, 2)
    most = len(tokens) // length
    count = most if windows is None else check_count("windows", windows)
    if most < max(count, 1):
        expected = f"at least {max(count, 1) * length} tokens ({max(count, 1)} x {length})"
        raise ArgumentError("evaluation text", expected, len(tokens))
    return tokens[: count * length].reshape(count, length)


def log_softmax(logits: Float32) -> Float32:
    """Return the logarithms of the softmax of each row.

    Parameters
    ----------
    logits : ndarray of float32, shape (T, V)
        Scores.

    Returns
    -------
    ndarray of float32, shape (T, V)
        Log-probabilities.
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    total = np.exp(shifted).sum(axis=1, dtype=np.float64)
    result: Float32 = shifted - np.log(total).astype(np.float32)[:, None]
    return result


def _row_chunks(count: int) -> Iterable[slice]:
    return (slice(start, start + HEAD_ROWS) for start in range(0, count, HEAD_ROWS))


def _kl_sum(p: Float32, q: Float32) -> float:
    """Return ``Σ_t Σ_v p_v (log p_v - log q_v)`` from log-probabilities."""
    return float((np.exp(p) * (p - q)).sum(dtype=np.float64))


def _score_window(
    model: DecoderModel,
    hidden: Float32,
    tokens: Tokens,
    reference: tuple[DecoderModel, Float32] | None,
) -> tuple[float, float]:
    """Return loss and divergence of one window, means over its predicted positions."""
    loss = divergence = 0.0
    for rows in _row_chunks(len(tokens) - 1):
        q = log_softmax(model.head(hidden[:-1][rows]))
        loss -= float(q[np.arange(len(q)), tokens[1:][rows]].sum(dtype=np.float64))
        if reference is not None:
            other, other_hidden = reference
            p = log_softmax(other.head(other_hidden[:-1][rows]))
            divergence += _kl_sum(p, q)
    return loss / (len(tokens) - 1), divergence / (len(tokens) - 1)


def _summarize(windows: list[tuple[float, float]], *, with_divergence: bool) -> Score:
    losses, divergences = np.mean(windows, axis=0)
    with np.errstate(over="ignore"):
        perplexity = float(np.exp(losses))
    return Score(perplexity, float(divergences) if with_divergence else None)


def score(
    model: DecoderModel,
    hidden: Float32,
    tokens: Tokens,
    reference: tuple[DecoderModel, Float32] | None = None,
) -> Score:
    """Score a model from its last hidden states.

    Parameters
    ----------
    model : DecoderModel
        The model; only its head is used.
    hidden : ndarray of float32, shape (N, L, d)
        Output of its last decoder block for the windows.
    tokens : ndarray of int64, shape (N, L)
        The windows.
    reference : tuple of DecoderModel and ndarray, optional
        The model at full precision with its last hidden states, for the divergence.

    Returns
    -------
    Score
        Perplexity, and divergence if there is a reference.
    """
    found = []
    for window in range(len(tokens)):
        other = None if reference is None else (reference[0], reference[1][window])
        found.append(_score_window(model, hidden[window], tokens[window], other))
    return _summarize(found, with_divergence=reference is not None)


def last_hidden(model: DecoderModel, tokens: Tokens, step: Step = ignore) -> Float32:
    """Run a whole model, without its head.

    Parameters
    ----------
    model : DecoderModel
        The model.
    tokens : ndarray of int64, shape (N, L)
        Windows.
    step : callable, optional
        Called after each decoder block.

    Returns
    -------
    ndarray of float32, shape (N, L, d)
        Output of the last decoder block.
    """
    hidden = embed(model, tokens)
    return finish(model, 0, hidden, step)


def finish(model: DecoderModel, first: int, hidden: Float32, step: Step = ignore) -> Float32:
    """Run the decoder blocks from `first` on, in place.

    Parameters
    ----------
    model : DecoderModel
        The model.
    first : int
        The first block that has not been run.
    hidden : ndarray of float32, shape (N, L, d)
        Its input; overwritten.
    step : callable, optional
        Called after each decoder block.

    Returns
    -------
    ndarray of float32, shape (N, L, d)
        `hidden`, now the output of the last decoder block.
    """
    for index in range(first, model.n_blocks):
        advance(model, index, hidden)
        step(f"evaluating, block {index}")
    return hidden


def evaluate(
    model: DecoderModel,
    tokens: Tokens,
    reference: DecoderModel | None = None,
    step: Step = ignore,
) -> Score:
    """Return a model's perplexity, and its divergence from another one.

    Parameters
    ----------
    model : DecoderModel
        The model.
    tokens : ndarray of int64, shape (N, L)
        Windows, as from `evaluation_windows`.
    reference : DecoderModel, optional
        The model to compare with, with the same vocabulary.
    step : callable, optional
        Called after each of the `batches` of windows; only one is in memory.

    Returns
    -------
    Score
        Perplexity and divergence.

    Raises
    ------
    ArgumentError
        If the vocabularies differ.
    """
    if reference is not None and reference.vocabulary != model.vocabulary:
        expected = f"a vocabulary of {model.vocabulary}, as the model's"
        raise ArgumentError("reference", expected, reference.vocabulary)
    found: list[tuple[float, float]] = []
    for batch in batches(tokens.shape):
        with on_one_thread():
            hidden = last_hidden(model, tokens[batch])
            full = None if reference is None else last_hidden(reference, tokens[batch])
            for window, row in enumerate(tokens[batch]):
                other = None if reference is None or full is None else (reference, full[window])
                found.append(_score_window(model, hidden[window], row, other))
        step(f"window {batch.stop} of {len(tokens)}")
    return _summarize(found, with_divergence=reference is not None)


class PrefixEvaluator:
    """Evaluates a model while its blocks are quantized one after the other.

    The windows follow the quantized blocks one by one, so a point of the prefix curve
    costs only the blocks that are still at full precision.

    Parameters
    ----------
    model : DecoderModel
        The model before any quantization.
    tokens : ndarray of int64, shape (N, L)
        Windows.
    full : ndarray of float32, shape (N, L, d)
        Output of the last block of the model at full precision.
    """

    def __init__(self, model: DecoderModel, tokens: Tokens, full: Float32) -> None:
        self.model = model
        self.tokens = tokens
        self.full = full
        self.hidden = embed(model, tokens)
        self.done = 0

    def follow(self, index: int) -> None:
        """Run the next block, which has its final weights.

        Parameters
        ----------
        index : int
            The block; blocks come in order.
        """
        check_count("index", index, self.done, self.done)
        advance(self.model, index, self.hidden)
        self.done += 1

    def score(self, step: Step = ignore) -> Score:
        """Score the model with the blocks quantized so far.

        Parameters
        ----------
        step : callable, optional
            Called after each of the remaining decoder blocks.

        Returns
        -------
        Score
            Perplexity, and divergence from full precision.
        """
        hidden = finish(self.model, self.done, self.hidden.copy(), step)
        # the head is never quantized, so it serves both sides
        return score(self.model, hidden, self.tokens, (self.model, self.full))


def mean_error(errors: Iterable[float]) -> float:
    """Return the mean of relative layer errors, each layer with the same weight.

    Parameters
    ----------
    errors : iterable of float
        One per layer.

    Returns
    -------
    float
        Their mean; NaN if there are none.

    Examples
    --------
    >>> mean_error([0.1, 0.3])
    0.2
    """
    values = list(errors)
    return sum(values) / len(values) if values else float("nan")
