"""Every other model, through transformers
========================================

Embedding, decoder blocks and head are transformers' own modules. `decoder` finds and runs
them, `block_linears` tells the linears of a block, and this file gives both the interface
of `base`. A new architecture needs nothing here.
"""

import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from subbit.reference.errors import ArgumentError

from .base import Capture, Float32, Linear, Tokens, check_index, check_new_weight, check_tokens
from .block_linears import BlockLinears, describe
from .checkpoint import copy_companions, write_whole
from .decoder import Tensor
from .find_decoder import CHECKED_SHARE, find_decoder
from .needs import require
from .products import Place, Watch, watched
from .stored_weights import HeldWeights, Weights

CHECKED_TOKENS = 16
SHARD = "512MB"  # a checkpoint's file, so that saving needs no more memory than a block does
CONTEXTS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")


class Codec(Protocol):
    """The tokenizer that a model needs."""

    def encode(self, text: str) -> Tokens:
        """Return the text's tokens, including those that the tokenizer adds.

        Parameters
        ----------
        text : str
            Any text.

        Returns
        -------
        ndarray of int64, shape (T,)
            Token numbers.
        """

    def write(self, folder: Path) -> None:
        """Write the tokenizer's files.

        Parameters
        ----------
        folder : Path
            An existing folder.
        """


@dataclass(frozen=True)
class TransformersCodec:
    """A tokenizer of transformers.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        The tokenizer.
    """

    tokenizer: Any

    def encode(self, text: str) -> Tokens:
        """Return the text's tokens, including those that the tokenizer adds.

        Parameters
        ----------
        text : str
            Any text.

        Returns
        -------
        ndarray of int64, shape (T,)
            Token numbers.
        """
        # verbose=False: a text longer than the context is cut into windows later.
        return np.array(self.tokenizer(text, verbose=False)["input_ids"], dtype=np.int64)

    def write(self, folder: Path) -> None:
        """Write the tokenizer's files.

        Parameters
        ----------
        folder : Path
            An existing folder.
        """
        self.tokenizer.save_pretrained(folder)


@dataclass
class TransformersModel:
    """A transformers model, in float32 on the CPU; a `base.DecoderModel`.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A causal language model.
    codec : TextCodec or TransformersCodec
        Its tokenizer.
    name, precision : str
        See `base.DecoderModel`.
    companions : tuple of Path
        Files of the source that travel to a saved folder, as from `companion_files`.
    weights : Weights, optional
        The weights, if some are not in memory.

    Raises
    ------
    ArgumentError
        If it is not a list of decoder blocks between an embedding and a head, if these in
        turn do not give its logits, or if a weight is not finite.
    """

    model: Any = field(repr=False)
    codec: Codec = field(repr=False)
    name: str
    precision: str
    companions: tuple[Path, ...] = ()
    weights: Weights | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the weights, find the blocks, and compare them in turn with the whole."""
        self._torch = require("torch", "model", "models")
        self.model.eval().requires_grad_(requires_grad=False)
        # Only this way of running experts multiplies by the matrix of one after the other.
        self.model.set_experts_implementation("eager")
        self._weights = self.weights or HeldWeights(self.model)
        for name, _ in self.model.named_parameters():
            # The extremes are NaN if any number is; `isfinite` on all would double the memory.
            if not all(self._torch.isfinite(x) for x in self._weights[name].aminmax()):
                raise ArgumentError("model", "finite weights", f"NaN or infinite numbers in {name}")
        self.context = _context(self.model.config)
        first = getattr(self.model.config, "bos_token_id", None)
        self.first_token = first if isinstance(first, int) else None
        tokens = self._two_sequences()
        self.decoder, logits = find_decoder(self.model, tokens)
        self.n_blocks, self.vocabulary = len(self.decoder.blocks), logits.shape[-1]
        self._described: list[BlockLinears] = []
        self._check_whole(tokens, logits)

    def tokenize(self, text: str) -> Tokens:
        """Return the text's tokens; see `base.DecoderModel.tokenize`."""
        return self.codec.encode(text)

    def embed(self, tokens: npt.NDArray[Any]) -> Float32:
        """Return the input of the first block; see `base.DecoderModel.embed`."""
        check_tokens(tokens, self.vocabulary, self.context)
        numbers = self._torch.from_numpy(np.array(tokens, dtype=np.int64))
        return np.asarray(self.decoder.embed(numbers).numpy())

    def run_block(self, index: int, hidden: Float32, capture: Capture | None = None) -> Float32:
        """Run one decoder block; see `base.DecoderModel.run_block`."""
        check_index(index, self.n_blocks)
        first = self._described[index].first_of_inputs()
        leading = hidden.shape[:2]

        def see(name: str, _place: Place, x: Tensor) -> None:
            if capture is not None and name in first:
                capture(first[name], _by_sequence(x.numpy(), leading))

        block = self.decoder.blocks[index]
        with nullcontext() if capture is None else watched(block, see):
            return np.asarray(self.decoder.run(index, self._tensor(hidden)).numpy())

    def head(self, hidden: Float32) -> Float32:
        """Return the logits of some rows; see `base.DecoderModel.head`."""
        return np.asarray(self.decoder.head(self._tensor(hidden)).numpy())

    def linears(self, index: int) -> tuple[Linear, ...]:
        """Return a block's linears; see `base.DecoderModel.linears`."""
        check_index(index, self.n_blocks)
        return self._described[index].linears

    def kept(self, index: int) -> tuple[str, ...]:
        """Return a block's other matrices; see `base.DecoderModel.kept`."""
        check_index(index, self.n_blocks)
        return self._described[index].kept

    def weight(self, index: int, name: str) -> npt.NDArray[np.float64]:
        """Return a copy of a linear's weight; see `base.DecoderModel.weight`."""
        place, full = self._place(index, name)
        return np.array(place.matrix(self._weights[full]).numpy(), dtype=np.float64, order="C")

    def set_weight(self, index: int, name: str, weight: npt.NDArray[Any]) -> None:
        """Replace a linear's weight; see `base.DecoderModel.set_weight`."""
        place, full = self._place(index, name)
        check_new_weight(weight, tuple(place.matrix(self._weights[full]).shape))
        place.matrix(self._weights.for_writing(full)).copy_(self._tensor(weight))

    def save(self, folder: str | Path) -> tuple[str, ...]:
        """Write a Hugging Face checkpoint; see `base.DecoderModel.save`."""

        def write(staging: Path) -> None:
            copy_companions(self.companions, staging)
            self.codec.write(staging)
            with warnings.catch_warnings():
                # The library warns that weights come from disk, shard by shard.
                warnings.simplefilter("ignore")
                self.model.save_pretrained(staging, max_shard_size=SHARD)

        return write_whole(Path(folder), write)

    def _two_sequences(self) -> Tensor:
        """Return two short sequences, equal in their first halves."""
        length = min(CHECKED_TOKENS, self.context)
        rows = self.model.get_input_embeddings().weight.shape[0]
        first = np.linspace(0, rows - 1, length).astype(np.int64)
        second = np.where(np.arange(length) < length // 2, first, first[0])
        return self._torch.from_numpy(np.stack([first, second]))

    def _check_whole(self, tokens: Tensor, whole: Tensor) -> None:
        """Compare the parts in turn with the library's own logits, and describe the linears.

        Two sequences pass each block one after the other, as in calibration, so that a
        block which leaves something behind for the next is found out.
        """
        states = [self.decoder.embed(sequence[None]) for sequence in tokens]
        for index, block in enumerate(self.decoder.blocks):
            watch = Watch()
            with watched(block, watch.see):
                states[0] = self.decoder.run(index, states[0])
            states[1] = self.decoder.run(index, states[1])
            self._described.append(describe(block, watch))
        ours = self._torch.stack([self.decoder.head(state[0]) for state in states])
        apart = float((ours - whole).abs().max())
        if not apart <= CHECKED_SHARE * whole.abs().max():
            kind = type(self.model).__name__
            expected = f"a {kind} that is its embedding, its decoder blocks and its head"
            came = f"logits that are {apart:.3g} from its own"
            raise ArgumentError("model", expected, came)

    def _tensor(self, values: npt.NDArray[Any]) -> Tensor:
        return self._torch.from_numpy(np.array(values, dtype=np.float32, order="C"))

    def _place(self, index: int, name: str) -> tuple[Place, str]:
        """Return where a linear's matrix is, and the full name of the parameter."""
        check_index(index, self.n_blocks)
        places = self._described[index].places
        if name not in places:
            raise ArgumentError("name", "a linear of the decoder block", name)
        return places[name], f"{self.decoder.path}.{index}.{places[name].parameter}"


def _context(config: Any) -> int:  # noqa: ANN401 - an untyped library
    """Return the longest sequence that a configuration states; some have no limit."""
    text = config.get_text_config()
    stated = [getattr(text, name, None) for name in CONTEXTS]
    return min([value for value in stated if isinstance(value, int)], default=sys.maxsize)


def _by_sequence(x: npt.NDArray[Any], leading: Sequence[int]) -> npt.NDArray[Any]:
    """Return inputs as (N, L, m), or as one sequence if they are only some of the tokens."""
    rows = x.reshape(-1, x.shape[-1])
    count = leading[0] if len(rows) == leading[0] * leading[1] else 1
    return rows.reshape(count, -1, x.shape[-1])
