"""Texts by name, and the sequences drawn from them
=================================================

=============================== ====================================================
specification                   documents
=============================== ====================================================
``enwiki-excerpt:calibration``  first half of the embedded excerpt of Wikipedia
``enwiki-excerpt:evaluation``   its second half
``FILE.txt``                    one, as in the file, without a byte order mark
``FILE.jsonl``, ``FILE.json``   one per line, its field ``"text"``
``.jsonl.gz``, ``.json.gz``     the same, compressed
``hub:NAME:CONFIG:SPLIT``       one, all rows of a hub data set (CONFIG may be empty)
=============================== ====================================================

Evaluation reads the documents joined by a blank line; calibration draws each sequence from
within one document. The published WikiText-2 numbers also join the rows of the hub's data
set by a blank line; a local copy of that text must already be joined.
"""

import gzip
import json
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from subbit.conformance.memory import check_memory
from subbit.conformance.models.base import Tokens
from subbit.conformance.models.needs import quiet, require
from subbit.conformance.models.reading import reading
from subbit.reference.errors import ArgumentError, check_count

from .wikipedia import excerpt

KNOWN = (
    "enwiki-excerpt:calibration, enwiki-excerpt:evaluation, a .txt, .jsonl, .json, .jsonl.gz or "
    ".json.gz file, or hub:NAME:CONFIG:SPLIT"
)
LINES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
SEPARATOR = "\n\n"
MOST_TEXT = 2**31
"""Bytes of a text; a file of the C4 data set has 0.8 · 10⁹."""
MOST_LINE = 2**24
"""Bytes of a line of a file in JSON."""
MOST_BYTES = 4
"""Bytes of a character in UTF-8."""
READABLE = "a readable file in UTF-8"
HELD = 4
"""Bytes in memory for one of a file: the text, once more when it is joined, and its tokens."""
CHUNK = 2**20


@dataclass(frozen=True)
class Text:
    """A named text.

    Parameters
    ----------
    name : str
        Its specification.
    documents : tuple of str
        Its documents, none of them empty.
    """

    name: str
    documents: tuple[str, ...]

    def joined(self) -> str:
        """Return the whole text, as the papers' loaders join it.

        Returns
        -------
        str
            The documents, separated by blank lines.

        Examples
        --------
        >>> Text("two", ("a", "b")).joined().splitlines()
        ['a', '', 'b']
        """
        return SEPARATOR.join(self.documents)


def load_documents(spec: str, argument: str = "text") -> Text:
    """Load a text with its documents kept separate.

    Parameters
    ----------
    spec : str
        An entry of the table above.
    argument : str, default "text"
        The argument that `spec` came from, for errors.

    Returns
    -------
    Text
        The text.

    Raises
    ------
    ArgumentError
        If there is no such text, or if it is empty or cannot be read.
    """
    path = Path(spec)
    if path.is_file():
        size = _unpacked_size(path, argument)
        check_memory(argument, HELD * size, f"the {size:,} bytes of {path}")
    kept = tuple(filter(None, _documents(spec, argument)))
    if not kept:
        raise ArgumentError(argument, "a text that is not empty", spec)
    return Text(spec, kept)


def load_text(spec: str, argument: str = "text", most: int | None = None) -> str:
    """Load a text as one string, for evaluation.

    Parameters
    ----------
    spec : str
        An entry of the table above.
    argument : str, default "text"
        The argument that `spec` came from, for errors.
    most : int, optional
        Characters after which no more is read; the whole text by default.

    Returns
    -------
    str
        The documents, joined by a blank line.

    Raises
    ------
    ArgumentError
        If there is no such text, or if it is empty or cannot be read.

    Examples
    --------
    >>> load_text("enwiki-excerpt:evaluation", most=4)
    'Acid'
    """
    if most is None:
        return load_documents(spec, argument).joined()
    kept, size = list[str](), -len(SEPARATOR)
    for document in filter(None, _documents(spec, argument, most)):
        kept.append(document)
        size += len(document) + len(SEPARATOR)
        if size >= most:
            break
    if not kept:
        raise ArgumentError(argument, "a text that is not empty", spec)
    return SEPARATOR.join(kept)[:most]


def sample_sequences(
    documents: Sequence[npt.NDArray[Any]],
    samples: int,
    length: int,
    seed: int,
    argument: str = "calibration",
) -> Tokens:
    """Draw calibration sequences.

    Parameters
    ----------
    documents : sequence of ndarray of int, shapes (T,)
        Tokens of each document; ``[tokens]`` for one long text.
    samples : int
        N, the number of sequences.
    length : int
        L, the tokens in each.
    seed : int
        Seed of the generator; the same seed draws the same sequences.
    argument : str, default "calibration"
        The argument that the text came from, for errors.

    Returns
    -------
    ndarray of int64, shape (N, L)
        For each sequence, a document is drawn uniformly from those with at least L tokens,
        then a start uniformly within the document. Sequences may overlap.

    Raises
    ------
    ArgumentError
        If every document is shorter than L tokens, or the sequences do not fit into memory.

    Notes
    -----
    This is the rule of the C4 loader that GPTQ introduced and the binary methods kept, with
    a NumPy generator in place of Python's.

    Examples
    --------
    >>> sample_sequences([np.arange(5), np.arange(2)], 1, 5, seed=0)
    array([[0, 1, 2, 3, 4]])
    """
    check_count("samples", samples)
    check_count("length", length)
    check_count("seed", seed, 0)
    long = [document for document in documents if document.size >= length]
    if not long:
        longest = max((document.size for document in documents), default=0)
        expected = f"a text with a document of at least {length} tokens"
        raise ArgumentError(argument, expected, f"at most {longest}")
    check_memory("samples", 8 * samples * length, f"{samples:,} sequences of {length:,} tokens")
    rng = np.random.default_rng(seed)
    drawn = np.empty((samples, length), dtype=np.int64)
    for row in drawn:
        document = long[rng.integers(len(long))]
        start = rng.integers(document.size - length + 1)
        row[:] = document[start : start + length]
    return drawn


def _half(documents: Sequence[str], which: str) -> Sequence[str]:
    """Cut between two documents, just past half of the characters."""
    ends = np.cumsum([len(document) for document in documents])
    cut = int(np.searchsorted(ends, ends[-1] / 2)) + 1
    return documents[:cut] if which == "calibration" else documents[cut:]


def _documents(spec: str, argument: str, most: int | None = None) -> Iterator[str]:
    """Yield the documents of a text; of one in a single piece, only so many characters."""
    name, _, rest = spec.partition(":")
    path = Path(spec)
    if name == "enwiki-excerpt" and rest in ("calibration", "evaluation"):
        yield from _half(excerpt(argument), rest)
    elif name == "hub":
        yield _hub(rest, argument)
    elif path.is_file() and path.name.endswith((".txt", *LINES)):
        with reading(READABLE, path, argument), _opened(path) as stream:
            if path.suffix == ".txt":
                # Editors put a byte order mark at the start; it is no character of the text.
                decoder = getincrementaldecoder("utf-8-sig")()
                size = path.stat().st_size
                data = stream.read(size if most is None else min(size, MOST_BYTES * most))
                yield decoder.decode(data, final=not stream.read(1))
            else:
                yield from _lines(stream, path, argument)
    else:
        raise ArgumentError(argument, KNOWN, spec or "nothing")


def _opened(path: Path) -> IO[bytes]:
    if path.name.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(path))
    return path.open("rb")


def _unpacked_size(path: Path, argument: str) -> int:
    """Return how many bytes a file has once it is unpacked, without holding them."""
    size = 0
    with reading(READABLE, path, argument), _opened(path) as stream:
        while (chunk := len(stream.read(CHUNK))) and size <= MOST_TEXT:
            size += chunk
    if size > MOST_TEXT:
        expected = f"a text of at most {MOST_TEXT:,} bytes"
        raise ArgumentError(argument, expected, f"more, unpacked, in {path}")
    return size


def _lines(stream: IO[bytes], path: Path, argument: str) -> Iterator[str]:
    """Yield the document of each line that is not empty."""
    for number in count(1):
        line = stream.readline(MOST_LINE + 1)
        where = f"{path}, line {number}"
        if len(line) > MOST_LINE:
            raise ArgumentError(argument, f"lines of at most {MOST_LINE:,} bytes", where)
        if not line:
            return
        text = line.decode("utf-8" if number > 1 else "utf-8-sig")
        if text.strip():
            yield _document(text, where, argument)


def _document(line: str, where: str, argument: str) -> str:
    try:
        document = json.loads(line)["text"]
        # JSON may spell half of a surrogate pair, which is no character.
        document.encode("utf-8")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        expected = 'an object with a field "text", a string of whole characters, in each line'
        raise ArgumentError(argument, expected, f"{where} ({error})") from error
    return str(document)


def _hub(spec: str, argument: str) -> str:
    parts = spec.rsplit(":", 2)
    if len(parts) != 3:
        raise ArgumentError(argument, "hub:NAME:CONFIG:SPLIT", f"hub:{spec}")
    name, config, split = parts
    library = require("datasets", argument, "models")
    quiet("datasets", "huggingface_hub")
    try:
        rows = library.load_dataset(name, config or None, split=split)["text"]
    except Exception as error:  # network, name, split: the library raises many kinds
        expected = f"a hub data set that can be reached, with a split {split} and a column text"
        reason = str(error).partition("\n")[0]
        raise ArgumentError(argument, expected, f"{name} ({reason})") from error
    return SEPARATOR.join(rows)
