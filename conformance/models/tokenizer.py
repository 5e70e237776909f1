"""Tokenizers
==========

A thin record around a `tokenizers.Tokenizer`, and the three sources of one: a
``tokenizer.json``, the metadata of a GGUF file, and the 256 bytes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from subbit.reference.errors import ArgumentError, is_whole

from .base import NotCoveredError, Tokens
from .needs import require
from .reading import read_json, reading
from .typed import flag, listed, shown, word

# GGUF names a pre-tokenizer, and only these two are supported here.
PRE_TOKENIZERS = ("smollm", "gpt-2")
# Of which the library needs one, whatever tokenizer_config.json says.
FILES = ("tokenizer.*", "vocab.*", "*.model", "*.tiktoken", "tekken.json")
CONTROL, USER_DEFINED = 3, 4  # token types of GGUF


@dataclass(frozen=True)
class TextCodec:
    """A tokenizer and the settings that Hugging Face stores with it.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        The tokenizer.
    settings : dict
        Contents of ``tokenizer_config.json``.
    """

    tokenizer: Any
    settings: dict[str, Any] = field(default_factory=dict)

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
        with reading("a tokenizer that takes the text", "one that does not"):
            return np.array(self.tokenizer.encode(text).ids, dtype=np.int64)

    def write(self, folder: Path) -> None:
        """Write ``tokenizer.json`` and ``tokenizer_config.json``.

        Parameters
        ----------
        folder : Path
            An existing folder.
        """
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", **self.settings}
        files = {
            "tokenizer.json": self.tokenizer.to_str(pretty=True),
            "tokenizer_config.json": json.dumps(settings, indent=2) + "\n",
        }
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")


def read_folder(folder: Path) -> TextCodec:
    """Read the tokenizer of a Hugging Face folder.

    Parameters
    ----------
    folder : Path
        Folder with a ``tokenizer.json``.

    Returns
    -------
    TextCodec
        Its tokenizer, without truncation or padding.

    Raises
    ------
    ArgumentError
        If the file cannot be read.
    """
    library = require("tokenizers", "model", "demo")
    with reading("a folder with a readable tokenizer.json", folder):
        # Not from_file: the library takes no name but in UTF-8.
        tokenizer = library.Tokenizer.from_buffer((folder / "tokenizer.json").read_bytes())
        tokenizer.no_truncation()
        tokenizer.no_padding()
    settings = folder / "tokenizer_config.json"
    return TextCodec(tokenizer, read_json(settings) if settings.exists() else {})


def has_tokenizer(folder: Path) -> bool:
    """Return whether a Hugging Face folder has the files of a tokenizer.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    bool
        Without them, transformers loads a tokenizer that finds no tokens in any text.
    """
    return any(True for pattern in FILES for _ in folder.glob(pattern))


def from_gguf(metadata: dict[str, Any]) -> TextCodec:
    """Build a byte-level BPE tokenizer from the metadata of a GGUF file.

    Parameters
    ----------
    metadata : dict
        Values by key without ``tokenizer.ggml.``: ``model``, ``pre``, ``tokens``,
        ``token_type``, ``merges``, and the numbers of the special tokens.

    Returns
    -------
    TextCodec
        The tokenizer.

    Raises
    ------
    NotCoveredError
        If the file names a different kind of tokenizer.
    ArgumentError
        If its merges and its tokens do not match.
    """
    kind = word(metadata, "model", ""), word(metadata, "pre", "gpt-2")
    if kind[0] != "gpt2" or kind[1] not in PRE_TOKENIZERS:
        known = " or ".join(PRE_TOKENIZERS)
        raise NotCoveredError("model", f"a gpt2 tokenizer of kind {known} in the GGUF file", kind)
    tokens, types = listed(metadata, "tokens", str), listed(metadata, "token_type", int)
    merges = [tuple(merge.split(" ")) for merge in listed(metadata, "merges", str)]
    settings = _settings(metadata, tokens)
    with reading("a consistent tokenizer in the GGUF file", "another"):
        vocabulary = {token: number for number, token in enumerate(tokens)}
        tokenizer = _byte_level(vocabulary, merges, digits=kind[1] == "smollm")
        _add_special(tokenizer, tokens, types)
        if flag(metadata, "add_bos_token"):
            _put_first(tokenizer, word(settings, "bos_token"))
    return TextCodec(tokenizer, settings)


def byte_codec() -> TextCodec:
    """Return a tokenizer whose 256 tokens are the bytes, in the order of GPT-2's letters.

    Returns
    -------
    TextCodec
        The tokenizer; it adds no special tokens.

    Examples
    --------
    >>> len(byte_codec().encode("né"))
    3
    """
    alphabet = sorted(require("tokenizers", "model", "demo").pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(alphabet)}
    return TextCodec(_byte_level(vocabulary, [], digits=False))


def _byte_level(
    vocabulary: dict[str, int], merges: Sequence[tuple[str, ...]], *, digits: bool
) -> Any:  # noqa: ANN401 - an untyped library
    library = require("tokenizers", "model", "demo")
    tokenizer = library.Tokenizer(library.models.BPE(vocab=vocabulary, merges=list(merges)))
    steps = [library.pre_tokenizers.ByteLevel(add_prefix_space=False)]
    if digits:  # SmolLM splits off every digit before the byte-level split; GPT-2 does not
        steps.insert(0, library.pre_tokenizers.Digits(individual_digits=True))
    tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence(steps)
    tokenizer.decoder = library.decoders.ByteLevel()
    return tokenizer


def _add_special(
    tokenizer: Any,  # noqa: ANN401 - an untyped library
    tokens: Sequence[str],
    types: Sequence[int],
) -> None:
    added = require("tokenizers", "model", "demo").AddedToken
    marked = [
        (t, kind) for t, kind in zip(tokens, types, strict=False) if kind in (CONTROL, USER_DEFINED)
    ]
    tokenizer.add_special_tokens(
        [added(token, normalized=False, special=True) for token, kind in marked if kind == CONTROL]
    )
    tokenizer.add_tokens(
        [added(token, normalized=False) for token, kind in marked if kind == USER_DEFINED]
    )


def _put_first(tokenizer: Any, token: str) -> None:  # noqa: ANN401 - an untyped library
    template = require("tokenizers", "model", "demo").processors.TemplateProcessing
    tokenizer.post_processor = template(
        single=f"{token} $A", special_tokens=[(token, tokenizer.token_to_id(token))]
    )


def _settings(metadata: dict[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {"clean_up_tokenization_spaces": False}
    for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("unknown", "unk"), ("padding", "pad")):
        key = f"{ours}_token_id"
        if (number := metadata.get(key)) is None:
            continue
        if not is_whole(number) or not 0 <= number < len(tokens):
            expected = f"a number from 0 to {len(tokens) - 1} for {key}"
            raise ArgumentError("model", expected, shown(number))
        settings[f"{theirs}_token"] = tokens[number]
    if "chat_template" in metadata:
        settings["chat_template"] = word(metadata, "chat_template")
    return settings
