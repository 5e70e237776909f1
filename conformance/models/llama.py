"""The LLaMA decoder in NumPy
============================

RMSNorm, rotary position embedding, grouped-query attention and SwiGLU, each beside its
equation, in float32, using only NumPy and scipy's logistic function.

=============== ============== =====================================================
symbol          shape          meaning
=============== ============== =====================================================
``x``           (N, L, d)      residual stream of N sequences of L tokens
``q``           (N, h, L, e)   queries of h heads of width e
``k``, ``v``    (N, g, L, e)   keys and values of g ≤ h heads; h/g queries share one
``cos, sin``    (L, e/2)       rotation of each pair of channels at each position
=============== ============== =====================================================

A block computes ``x ← x + Attention(RMSNorm(x))``, then ``x ← x + SwiGLU(RMSNorm(x))``.
Weights carry their Hugging Face names and orientation (rows are outputs).

References
----------
Touvron et al., LLaMA, arXiv 2302.13971, section 2.2; Zhang and Sennrich, RMSNorm, arXiv
1910.07467; Su et al., RoFormer, arXiv 2104.09864; Ainslie et al., GQA, arXiv 2305.13245;
Shazeer, GLU variants, arXiv 2002.05202.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from subbit.reference.errors import ArgumentError
from subbit.reference.notation import Array

from .base import Capture, Float32, Linear, Tokens, check_index, check_new_weight, check_tokens
from .checkpoint import write_checkpoint
from .llama_config import LlamaConfig, check_weights, hugging_face_config
from .tokenizer import TextCodec
from .weights import Weights

QUERY_ROWS = 256  # attention scores are held for this many queries at a time


def rms_norm(x: Float32, gain: Float32, epsilon: float) -> Float32:
    """Scale each row to unit mean square.

    Parameters
    ----------
    x : ndarray of float32, shape (..., d)
        Rows.
    gain : ndarray of float32, shape (d,)
        Learned gain g.
    epsilon : float
        Added to the mean square.

    Returns
    -------
    ndarray of float32, shape (..., d)
        ``g ⊙ x / sqrt(1/d Σ_j x_j² + ε)``.

    Examples
    --------
    >>> x = np.array([[3.0, -3.0]], dtype=np.float32)
    >>> rms_norm(x, np.ones(2, dtype=np.float32), 0.0)
    array([[ 1., -1.]], dtype=float32)
    """
    mean_square = np.mean(x * x, axis=-1, keepdims=True)
    return np.asarray(gain * (x / np.sqrt(mean_square + np.float32(epsilon))))


def rotation(length: int, omega: Array) -> tuple[Float32, Float32]:
    """Return the cosine and sine of every position's rotation angles.

    Parameters
    ----------
    length : int
        L positions.
    omega : ndarray of float64, shape (e/2,)
        Frequency of each pair of channels; see `LlamaConfig.frequencies`.

    Returns
    -------
    tuple of ndarray of float32, shape (L, e/2)
        ``cos(p·ω_i)`` and ``sin(p·ω_i)``.

    Examples
    --------
    >>> cosine, sine = rotation(3, np.array([1.0, 0.01]))
    >>> cosine[0], sine[0]
    (array([1., 1.], dtype=float32), array([0., 0.], dtype=float32))
    """
    # The models were trained with float32 angles, so the product is rounded the same way.
    angle = np.arange(length, dtype=np.float32)[:, None] * omega.astype(np.float32)  # (L, e/2)
    return np.cos(angle), np.sin(angle)


def rotate(x: Float32, cosine: Float32, sine: Float32) -> Float32:
    """Rotate each channel pair (i, i + e/2) by its position's angle.

    Parameters
    ----------
    x : ndarray of float32, shape (..., L, e)
        Queries or keys.
    cosine, sine : ndarray of float32, shape (L, e/2)
        From `rotation`.

    Returns
    -------
    ndarray of float32, shape (..., L, e)
        ``(a cos − b sin, b cos + a sin)`` with ``a``, ``b`` the two halves of `x`.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0]], dtype=np.float32)
    >>> rotate(x, np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32))
    array([[0., 1.]], dtype=float32)
    """
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate((a * cosine - b * sine, b * cosine + a * sine), axis=-1)


def attend(q: Float32, k: Float32, v: Float32) -> Float32:
    """Compute causal grouped-query attention for one sequence.

    Parameters
    ----------
    q : ndarray of float32, shape (h, L, e)
        Queries.
    k, v : ndarray of float32, shape (g, L, e)
        Keys and values; query heads ``i·h/g … (i+1)·h/g − 1`` read head i.

    Returns
    -------
    ndarray of float32, shape (h, L, e)
        ``softmax(q kᵀ / sqrt(e) + M) v`` with ``M_st = 0 for t ≤ s, −∞ for t > s``.

    Examples
    --------
    >>> q = np.zeros((2, 2, 2), np.float32)
    >>> v = np.array([[[2.0, 0.0], [4.0, 2.0]]], np.float32)
    >>> attend(q, np.zeros((1, 2, 2), np.float32), v)[1]
    array([[2., 0.],
           [3., 1.]], dtype=float32)
    """
    groups, length, head_width = k.shape
    q = q.reshape(groups, -1, length, head_width) / np.float32(np.sqrt(head_width))
    keys, values = k[:, None].swapaxes(-1, -2), v[:, None]
    out = np.empty_like(q)
    for start in range(0, length, QUERY_ROWS):
        stop = min(start + QUERY_ROWS, length)
        scores = q[:, :, start:stop] @ keys[..., :stop]  # (g, h/g, rows, stop)
        scores[..., np.arange(start, stop)[:, None] < np.arange(stop)] = -np.inf
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        out[:, :, start:stop] = scores @ values[..., :stop, :]
    return out.reshape(-1, length, head_width)


@dataclass
class LlamaModel:
    """A LLaMA decoder with its weights and its tokenizer; a `base.DecoderModel`.

    Parameters
    ----------
    config : LlamaConfig
        Sizes.
    weights : mutable mapping of str to ndarray of float32
        Weights by Hugging Face name, such as a `Weights`; without ``lm_head.weight`` the
        embedding is also the output projection.
    codec : TextCodec
        The tokenizer.
    name, precision : str
        See `base.DecoderModel`.
    token_roles : dict of str to object
        ``bos_token_id`` and the like, carried over to a saved ``config.json``.
    companions : tuple of Path
        Files of the source that travel to a saved folder, as from `companion_files`.

    Raises
    ------
    ArgumentError
        If a weight is missing, unknown, of the wrong shape or not finite.
    """

    config: LlamaConfig
    weights: MutableMapping[str, Float32] = field(repr=False)
    codec: TextCodec = field(repr=False)
    name: str
    precision: str
    token_roles: dict[str, Any] = field(default_factory=dict)
    companions: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Check the weights against the sizes."""
        known = self.weights
        self.weights = weights = known if isinstance(known, Weights) else Weights(known)
        check_weights(self.config, weights)
        self.n_blocks = self.config.n_blocks
        self.vocabulary = self.config.vocabulary
        self.context = self.config.context
        first = self.token_roles.get("bos_token_id")
        self.first_token = first if isinstance(first, int) else None

    def tokenize(self, text: str) -> Tokens:
        """Return the text's tokens; see `base.DecoderModel.tokenize`."""
        return self.codec.encode(text)

    def embed(self, tokens: npt.NDArray[Any]) -> Float32:
        """Return the tokens' rows of the embedding; see `base.DecoderModel.embed`."""
        check_tokens(tokens, self.vocabulary, self.context)
        return np.asarray(self.weights["model.embed_tokens.weight"][tokens])

    def run_block(self, index: int, hidden: Float32, capture: Capture | None = None) -> Float32:
        """Run one decoder block; see `base.DecoderModel.run_block`."""
        see = capture or (lambda _name, _activations: None)
        x = self._norm(index, "input_layernorm", hidden)
        see("attention_input", x)
        heads = self._attention(index, x)
        see("attention_heads", heads)
        hidden = hidden + self._apply(index, "self_attn.o_proj", heads)
        x = self._norm(index, "post_attention_layernorm", hidden)
        see("mlp_input", x)
        gate, up = (self._apply(index, f"mlp.{part}_proj", x) for part in ("gate", "up"))
        # SwiGLU:  W_down (SiLU(W_gate x) ⊙ W_up x),  SiLU(z) = z / (1 + exp(−z))
        gate *= expit(gate) * up
        see("mlp_hidden", gate)
        return np.asarray(hidden + self._apply(index, "mlp.down_proj", gate))

    def head(self, hidden: Float32) -> Float32:
        """Return the logits of some rows; see `base.DecoderModel.head`."""
        embedding = self.weights["model.embed_tokens.weight"]
        x = rms_norm(hidden, self.weights["model.norm.weight"], self.config.epsilon)
        return np.asarray(x @ self.weights.get("lm_head.weight", embedding).T)

    def linears(self, index: int) -> tuple[Linear, ...]:
        """Return a block's linears; see `base.DecoderModel.linears`."""
        check_index(index, self.n_blocks)
        return self.config.linears()

    def kept(self, index: int) -> tuple[str, ...]:
        """Return a block's other matrices, of which there are none."""
        check_index(index, self.n_blocks)
        return ()

    def weight(self, index: int, name: str) -> npt.NDArray[np.float64]:
        """Return a copy of a linear's weight; see `base.DecoderModel.weight`."""
        return self.weights[self._key(index, name)].astype(np.float64)

    def set_weight(self, index: int, name: str, weight: npt.NDArray[Any]) -> None:
        """Replace a linear's weight; see `base.DecoderModel.set_weight`."""
        key = self._key(index, name)
        check_new_weight(weight, self.weights[key].shape)
        self.weights[key] = np.array(weight, dtype=np.float32, order="C")

    def save(self, folder: str | Path) -> tuple[str, ...]:
        """Write a Hugging Face checkpoint; see `base.DecoderModel.save`."""
        tied = "lm_head.weight" not in self.weights
        config = {**self.token_roles, **hugging_face_config(self.config, tied=tied)}
        return write_checkpoint(
            Path(folder), config, dict(self.weights), self.codec, self.companions
        )

    def _attention(self, index: int, x: Float32) -> Float32:
        size, (n, length, _) = self.config, x.shape
        q, k, v = (self._apply(index, f"self_attn.{part}_proj", x) for part in "qkv")
        q = q.reshape(n, length, size.heads, -1).swapaxes(1, 2)  # (N, h, L, e)
        k, v = (a.reshape(n, length, size.kv_heads, -1).swapaxes(1, 2) for a in (k, v))
        turn = rotation(length, size.frequencies())
        q, k = rotate(q, *turn), rotate(k, *turn)
        heads = np.stack([attend(*sequence) for sequence in zip(q, k, v, strict=True)])
        return heads.swapaxes(1, 2).reshape(n, length, -1)  # (N, L, h·e)

    def _norm(self, index: int, name: str, x: Float32) -> Float32:
        gain = self.weights[f"model.layers.{index}.{name}.weight"]
        return rms_norm(x, gain, self.config.epsilon)

    def _apply(self, index: int, name: str, x: Float32) -> Float32:
        return np.asarray(x @ self.weights[f"model.layers.{index}.{name}.weight"].T)

    def _key(self, index: int, name: str) -> str:
        check_index(index, self.n_blocks)
        if name not in {linear.name for linear in self.config.linears()}:
            raise ArgumentError("name", "a linear of the decoder block", name)
        return f"model.layers.{index}.{name}.weight"
