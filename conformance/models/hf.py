"""Every other model, through transformers
========================================

The blocks, norms and projections are transformers' own modules; this file only finds them
(`layouts`) and passes them what the whole model would. A block's further arguments, such
as position embeddings and the causal mask, are recorded from one forward pass of the whole
model per sequence length, so none of them is rebuilt here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from subbit.reference.errors import ArgumentError

from .base import (
    Capture,
    Float32,
    Linear,
    NotCoveredError,
    Tokens,
    check_index,
    check_new_weight,
    check_tokens,
)
from .checkpoint import companion_files, copy_companions, read_json, write_whole
from .gguf_file import open_gguf, read_codec, read_metadata, stored_precision
from .gguf_transformers import check_keys, check_tensors, check_tokenizer, divide_frequencies
from .layouts import GGUF_NAMES, find_layout
from .ledger import TENSORS, is_listed
from .needs import require
from .tokenizer import has_tokenizer

CHECKED_TOKENS = 16
CHECKED_SHARE = 1e-4  # of the largest logit


class _Codec(Protocol):
    """The tokenizer that a model needs."""

    def encode(self, text: str) -> Tokens:
        """Return the text's tokens, including those that the tokenizer adds."""

    def write(self, folder: Path) -> None:
        """Write the tokenizer's files."""


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


class _ReachedBlocksError(Exception):
    """Ends a forward pass that is needed only up to the first block."""


@dataclass
class TransformersModel:
    """A transformers model, in float32 on the CPU; a `base.DecoderModel`.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A causal language model with one of `layouts.LAYOUTS`.
    codec : TextCodec or TransformersCodec
        Its tokenizer.
    name, precision : str
        See `base.DecoderModel`.
    companions : tuple of Path
        Files of the source that travel to a saved folder, as from `companion_files`.

    Raises
    ------
    ArgumentError
        If the architecture is not supported, or a weight is not finite.
    """

    model: Any = field(repr=False)
    codec: _Codec = field(repr=False)
    name: str
    precision: str
    companions: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Find the blocks, and check the weights."""
        self._torch = require("torch", "model", "models")
        self._layout = find_layout(self.model.config.model_type)
        self._blocks = self.model.get_submodule(self._layout.blocks)
        self.model.eval().requires_grad_(requires_grad=False)
        for name, weight in self.model.named_parameters():
            if not self._torch.isfinite(weight).all():
                raise ArgumentError("model", "finite weights", f"NaN or infinite numbers in {name}")
        self.n_blocks = len(self._blocks)
        self.vocabulary = self.model.get_output_embeddings().weight.shape[0]
        self.context = self.model.config.max_position_embeddings
        self._arguments: dict[int, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {}

    def tokenize(self, text: str) -> Tokens:
        """Return the text's tokens; see `base.DecoderModel.tokenize`."""
        return self.codec.encode(text)

    def embed(self, tokens: npt.NDArray[Any]) -> Float32:
        """Return the input of the first block; see `base.DecoderModel.embed`."""
        check_tokens(tokens, self.vocabulary, self.context)
        found = []

        def stop(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            found.append(args[0] if args else kwargs["hidden_states"])
            raise _ReachedBlocksError

        hook = self._blocks[0].register_forward_pre_hook(stop, with_kwargs=True)
        try:
            self._run_whole(tokens)
        except _ReachedBlocksError:
            pass
        finally:
            hook.remove()
        return np.asarray(found[0].numpy())

    def run_block(self, index: int, hidden: Float32, capture: Capture | None = None) -> Float32:
        """Run one decoder block; see `base.DecoderModel.run_block`."""
        check_index(index, self.n_blocks)
        args, kwargs = self._block_arguments(hidden.shape[1])[index]
        hooks = self._capture_hooks(index, hidden.shape[:2], capture) if capture else []
        try:
            with self._torch.no_grad():
                out = self._blocks[index](self._tensor(hidden), *args, **kwargs)
        finally:
            for hook in hooks:
                hook.remove()
        return np.asarray((out[0] if isinstance(out, tuple) else out).numpy())

    def head(self, hidden: Float32) -> Float32:
        """Return the logits of some rows; see `base.DecoderModel.head`."""
        x = self._tensor(hidden)
        with self._torch.no_grad():
            for path in self._layout.head:
                module = _find(self.model, path)
                x = x if module is None else module(x)
            if cap := getattr(self.model.config, "final_logit_softcapping", None):
                x = cap * self._torch.tanh(x / cap)
        return np.asarray(x.numpy())

    def linears(self, index: int) -> tuple[Linear, ...]:
        """Return a block's linears; see `base.DecoderModel.linears`."""
        check_index(index, self.n_blocks)
        return tuple(
            Linear(name, kind, input_name, tuple(self._matrix(index, name).shape))
            for name, kind, input_name in self._layout.linears
        )

    def weight(self, index: int, name: str) -> npt.NDArray[np.float64]:
        """Return a copy of a linear's weight; see `base.DecoderModel.weight`."""
        return np.array(self._matrix(index, name).numpy(), dtype=np.float64, order="C")

    def set_weight(self, index: int, name: str, weight: npt.NDArray[Any]) -> None:
        """Replace a linear's weight; see `base.DecoderModel.set_weight`."""
        matrix = self._matrix(index, name)
        check_new_weight(weight, tuple(matrix.shape))
        matrix.copy_(self._tensor(weight))

    def save(self, folder: str | Path) -> None:
        """Write a Hugging Face checkpoint; see `base.DecoderModel.save`."""

        def write(staging: Path) -> None:
            copy_companions(self.companions, staging)
            self.codec.write(staging)
            self.model.save_pretrained(staging)

        write_whole(Path(folder), write)

    def check_whole(self) -> None:
        """Compare the parts in turn with the library's own forward pass, on a few tokens.

        Raises
        ------
        ArgumentError
            If the logits differ, because the model does something outside its parts.
        """
        length = min(CHECKED_TOKENS, self.context)
        tokens = np.linspace(0, self.vocabulary - 1, length).astype(np.int64)[None]
        hidden = self.embed(tokens)
        for index in range(self.n_blocks):
            hidden = self.run_block(index, hidden)
        with self._torch.no_grad():
            whole = self.model(input_ids=self._torch.from_numpy(tokens), use_cache=False)
        theirs = whole.logits[0].float().numpy()
        apart = float(np.abs(self.head(hidden[0]) - theirs).max())
        # The modules are the same ones, so that only the order of sums could differ.
        if not apart <= CHECKED_SHARE * np.abs(theirs).max():
            kind = type(self.model).__name__
            expected = f"a {kind} that is its embedding, its decoder blocks and its head"
            came = f"logits that are {apart:.3g} from its own"
            raise ArgumentError("model", expected, came)

    def _tensor(self, values: npt.NDArray[Any]) -> Any:  # noqa: ANN401 - an untyped library
        return self._torch.from_numpy(np.array(values, dtype=np.float32, order="C"))

    def _run_whole(self, tokens: npt.NDArray[Any]) -> None:
        numbers = self._torch.from_numpy(np.array(tokens, dtype=np.int64))
        with self._torch.no_grad():
            self.model.base_model(input_ids=numbers, use_cache=False)

    def _block_arguments(self, length: int) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Return the arguments of each block other than the hidden states.

        They are recorded for one sequence: positions and mask are the same for all
        sequences of a length, and are broadcast over them.
        """
        if length not in self._arguments:
            seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

            def record(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                rest = {key: value for key, value in kwargs.items() if key != "hidden_states"}
                seen.append((args[1:], rest))

            hooks = [b.register_forward_pre_hook(record, with_kwargs=True) for b in self._blocks]
            self._run_whole(np.zeros((1, length), dtype=np.int64))
            for hook in hooks:
                hook.remove()
            self._arguments = {length: seen}
        return self._arguments[length]

    def _capture_hooks(self, index: int, leading: Sequence[int], capture: Capture) -> list[Any]:
        first: dict[str, str] = {}
        for name, _, input_name in self._layout.linears:
            first.setdefault(input_name, name)
        hooks = []
        for input_name, name in first.items():

            def see(_module: object, args: tuple[Any, ...], seen: str = input_name) -> None:
                # OPT flattens the sequences before its MLP.
                capture(seen, args[0].numpy().reshape(*leading, -1))

            module = self._blocks[index].get_submodule(name)
            hooks.append(module.register_forward_pre_hook(see))
        return hooks

    def _matrix(self, index: int, name: str) -> Any:  # noqa: ANN401 - an untyped library
        """Return a view of the weight with outputs as rows."""
        check_index(index, self.n_blocks)
        if name not in {known for known, _, _ in self._layout.linears}:
            raise ArgumentError("name", "a linear of the decoder block", name)
        module = self._blocks[index].get_submodule(name)
        stored = module.weight.detach()
        return stored.T if type(module).__name__ == "Conv1D" else stored


def load_transformers(spec: str) -> TransformersModel:
    """Load a model through transformers.

    Parameters
    ----------
    spec : str
        A Hugging Face folder, a GGUF file, or the name of a hub model.

    Returns
    -------
    TransformersModel
        The model, in float32.

    Raises
    ------
    ArgumentError
        If it cannot be read or reached, lacks a weight, has one that is not finite or not
        used, if its parts in turn do not give its logits, or its architecture is not
        supported.
    """
    library = require("transformers", "model", "models")
    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()
    path = Path(spec)
    if path.is_file():
        return _load_gguf(path, spec)
    if path.is_dir():
        find_layout(str(read_json(path / "config.json").get("model_type")))
        if not has_tokenizer(path):
            expected = "a folder with a tokenizer, such as a file tokenizer.json"
            raise ArgumentError("model", expected, f"{path} without one")
    config = _attempt(spec, library.AutoConfig.from_pretrained)
    find_layout(config.model_type)
    model = _load_weights(spec)
    tokenizer = _attempt(spec, library.AutoTokenizer.from_pretrained)
    precision = f"{config.dtype or 'float32'} checkpoint".removeprefix("torch.")
    files = companion_files(path) if path.is_dir() else ()
    codec = TransformersCodec(tokenizer)
    return _checked(TransformersModel(model, codec, spec, precision, files))


def _load_gguf(path: Path, spec: str) -> TransformersModel:
    library = require("transformers", "model", "models")
    reader = open_gguf(path)
    if reader.count > 1:
        expected = "a GGUF file in one part for transformers (llama-gguf-split --merge joins parts)"
        raise ArgumentError("model", expected, f"the first of {reader.count} parts")
    metadata = read_metadata(reader)
    architecture = str(metadata.get("general.architecture"))
    find_layout(GGUF_NAMES.get(architecture, architecture))
    where = {"gguf_file": path.name}
    config = _attempt(str(path.parent), library.AutoConfig.from_pretrained, **where)
    check_keys(metadata, config)
    model = _load_weights(str(path.parent), **where)
    check_tensors(reader, model, architecture)
    config = model.config
    divide_frequencies(reader, config)
    # transformers refuses to save a model whose config says it came from a quantized file.
    del config.quantization_config
    plain = library.AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(model.state_dict())
    try:
        codec: _Codec = read_codec(metadata)
    except NotCoveredError:
        check_tokenizer(metadata)
        own = _attempt(str(path.parent), library.AutoTokenizer.from_pretrained, **where)
        codec = TransformersCodec(own)
    return _checked(TransformersModel(plain, codec, spec, stored_precision(reader)))


def _checked(model: TransformersModel) -> TransformersModel:
    model.check_whole()
    return model


def _load_weights(source: str, **where: str) -> Any:  # noqa: ANN401 - an untyped library
    torch = require("torch", "model", "models")
    loader = require("transformers", "model", "models").AutoModelForCausalLM.from_pretrained
    # Mismatched shapes are in the report too; the library's own message only points at a log.
    asked = {"output_loading_info": True, "ignore_mismatched_sizes": True}
    model, report = _attempt(source, loader, dtype=torch.float32, **asked, **where)
    if report["missing_keys"]:
        missing = min(report["missing_keys"])
        raise ArgumentError("model", f"a checkpoint with the weight {missing}", "one without it")
    if report["mismatched_keys"]:
        name, came, expected = min(report["mismatched_keys"])
        raise ArgumentError("model", f"{name} of shape {tuple(expected)}", tuple(came))
    extra = sorted(key for key in report["unexpected_keys"] if not is_listed(key, TENSORS))
    if extra:
        expected = f"only tensors that {type(model).__name__} of transformers uses"
        raise ArgumentError("model", expected, extra[0])
    return model


def _attempt(source: str, load: Any, **options: Any) -> Any:  # noqa: ANN401 - an untyped library
    try:
        return load(source, **options)
    except Exception as error:  # the library raises many kinds, each with its reason
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # A line that ends in a colon announces the reason.
        reason = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1])
        expected = "a model that transformers can load"
        came = f"{source} ({reason or type(error).__name__})"
        raise ArgumentError("model", expected, came) from error


def _find(model: Any, path: str) -> Any:  # noqa: ANN401 - an untyped library
    for part in path.split("."):
        model = getattr(model, part, None)
    return model
